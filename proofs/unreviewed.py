"""`python -m proofs unreviewed`: people speak where everything is checked first, while gateways and models are killed and hung.

    writers ─ harmless and hateful, so many a second ─▶ two gateways ─▶ held ─▶ model ─▶ the log
                                                          ▲ kill -9      ▲ kill -9, SIGSTOP, SIGCONT

Afterwards, and while it goes on: no message is in the log that no model let through, none of the hateful ones at all, and once everything
is well again everything that was acknowledged is either there or held, each once. Starts servers of its own in a temporary folder, ends
them, and touches no process but theirs. Exit status 1 on any violation.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import asyncpg
import trio
from msgspec import Struct

from bench.moderation import HARMFUL, HARMLESS, token_of
from bench.ours import ENVIRONMENT, Ours, open_ours
from bench.population import Room
from client import Session, connect
from client.pending import Pending
from proofs.numbers import at_least_one, some_time
from protocol.operations import Say
from protocol.values import HeldState
from supervisors.dev import Installation
from supervisors.process import set_up_log

ROOMS: Final = 4
EVERY_S: Final = 2.0
HUNG_S: Final = 1.5
QUIET_S: Final = 60.0
LOOK_S: Final = 0.1
SHORT: Final = ("--seconds", "6", "--per-s", "20")
STRIKES: Final = ("gateway", "models", "hang models", "nothing")

_UNREVIEWED: Final = (
    "select l.stream_id, l.seq from log l where l.stream_id = any($1) and l.kind in (1, 6) and not exists (select from held h"
    " where h.stream_id = l.stream_id and h.became = l.seq and h.state = $2 and h.judged_by <> '' and h.judged_by <> 'lexicon')"
)
_HATEFUL: Final = "select stream_id, seq from log where stream_id = any($1) and position('worthless' in encode(body, 'escape')) > 0"
_CHECKING: Final = "select count(*)::int from held where state = 1 and stream_id = any($1)"
_HELD: Final = "select state, count(*)::int as times, count(distinct body)::int as texts from held where stream_id = any($1) group by state"


class Options(Struct, frozen=True):
    seconds: float = 20.0
    per_s: float = 20.0
    seed: int = 0


def main(argv: Sequence[str]) -> int:
    """Runs it and prints what came out."""
    parser = argparse.ArgumentParser(prog="python -m proofs unreviewed", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=some_time, default=20.0)
    parser.add_argument("--per-s", type=at_least_one, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--short", action="store_true", help=" ".join(SHORT))
    asked = parser.parse_args(argv)
    if asked.short:
        asked = parser.parse_args([*SHORT, "--seed", str(asked.seed)])
    set_up_log("error", "console")
    print(f"seed {asked.seed}")
    with tempfile.TemporaryDirectory(prefix="educonnect-unreviewed-") as folder:
        violations = trio.run(_prove, Path(folder), Options(asked.seconds, float(asked.per_s), asked.seed))
    for violation in violations:
        print(f"VIOLATION {violation}")
    return 1 if violations else 0


async def _prove(folder: Path, options: Options) -> list[str]:
    dice = random.Random(options.seed)
    async with open_ours(folder, gateways=2, people=ROOMS * 2, environment=ENVIRONMENT, ml=True) as ours:
        rooms = await ours.rooms(ROOMS, 2)
        streams = [room.stream for room in rooms]
        await ours.ask(lambda connection: _check_first(connection, streams))
        struck: Counter[str] = Counter()
        violations: list[str] = []
        async with AsyncExitStack() as stack:
            writers = [
                await stack.enter_async_context(connect(f"http://127.0.0.1:{ours.ports[place % 2]}", token_of(room.people[1])))
                for place, room in enumerate(rooms)
            ]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_strike, ours, dice, struck)
                nursery.start_soon(_watch, ours, streams, violations)
                said = await _speak(writers, rooms, dice, options)
                nursery.cancel_scope.cancel()
            acknowledged = await _settle(ours, streams, said, violations)
        violations += await ours.ask(lambda connection: _look(connection, streams))
        rows = await ours.ask(lambda connection: connection.fetch(_HELD, streams))
        held = sum(row["times"] for row in rows)
        print(f"struck: {', '.join(f'{what} {times}' for what, times in sorted(struck.items()))}")
        print(f"said: {acknowledged} acknowledged; {', '.join(f'{HeldState(row[0]).name.lower()} {row[1]}' for row in rows)}")
        if held != acknowledged or any(row["times"] != row["texts"] for row in rows):
            violations.append(f"{acknowledged} were acknowledged and {held} are held or were")
        return list(dict.fromkeys(violations))


async def _check_first(connection: asyncpg.Connection, streams: list[int]) -> None:
    """As `SetModeration` does."""
    await connection.execute(
        "insert into moderation_policies (space_id, check_first) select space_id, true from streams where id = any($1)", streams
    )
    await connection.execute("update streams set check_first = true where id = any($1)", streams)


async def _speak(writers: list[Session], rooms: list[Room], dice: random.Random, options: Options) -> list[Pending]:
    said: list[Pending] = []
    for number in range(int(options.seconds * options.per_s)):
        text = (HARMFUL if dice.random() < 0.3 else dice.choice(HARMLESS)).format(n=number)
        place = number % len(rooms)
        said.append(writers[place].submit(Say(rooms[place].stream, text)))
        await trio.sleep(1 / options.per_s)
    return said


async def _strike(ours: Ours, dice: random.Random, struck: Counter[str]) -> None:
    """Kills and hangs, one at a time."""
    while True:
        await trio.sleep(EVERY_S * dice.uniform(0.5, 1.5))
        what = dice.choice(STRIKES)
        struck[what] += 1
        installation = ours.installation
        if what == "gateway":
            _signal(dice.choice(installation.gateways).pid, signal.SIGKILL)
        elif what == "models":
            _signal(_models(installation), signal.SIGKILL)
        elif what == "hang models":
            pid = _models(installation)
            _signal(pid, signal.SIGSTOP)
            try:
                await trio.sleep(HUNG_S)
            finally:
                _signal(pid, signal.SIGCONT)


async def _watch(ours: Ours, streams: list[int], violations: list[str]) -> None:
    """Looks all the time: what was there for a moment was read."""
    while True:
        violations += await ours.ask(lambda connection: _look(connection, streams))
        await trio.sleep(LOOK_S)


async def _look(connection: asyncpg.Connection, streams: list[int]) -> list[str]:
    unreviewed = await connection.fetch(_UNREVIEWED, streams, HeldState.RELEASED)
    hateful = await connection.fetch(_HATEFUL, streams)
    return [
        *(f"stream {row[0]}: message {row[1]} is there, and no model let it through" for row in unreviewed),
        *(f"stream {row[0]}: message {row[1]} is hateful, and there" for row in hateful),
    ]


async def _settle(ours: Ours, streams: list[int], said: list[Pending], violations: list[str]) -> int:
    """Waits until everything is acknowledged and judged; how many were acknowledged."""
    acknowledged = 0
    with trio.move_on_after(QUIET_S) as patience:
        for pending in said:
            acknowledged += await pending.wait() == 0
        while await ours.ask(lambda connection: connection.fetchval(_CHECKING, streams)):  # noqa: ASYNC110 (asked of the database)
            await trio.sleep(LOOK_S)
    if patience.cancelled_caught:
        violations.append(f"after {QUIET_S:g} s not everything that was said is acknowledged and judged")
    return acknowledged


def _models(installation: Installation) -> int:
    assert installation.ml is not None
    return installation.ml.pid


def _signal(pid: int, what: signal.Signals) -> None:
    """A process of ours; one that is starting again at this moment is left alone."""
    if pid > 0:
        try:
            os.kill(pid, what)
        except ProcessLookupError:
            return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
