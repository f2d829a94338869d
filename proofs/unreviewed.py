"""`python -m proofs unreviewed`: people speak where everything is checked first, while gateways and models are killed and hung.

    authors ─ say, edit, take back ─▶ two gateways ─▶ held ─▶ model ─▶ the log
    moderators ─ decide ─────────────▶  ▲ kill -9              ▲ kill -9, SIGSTOP, SIGCONT
                                        ▲ SIGSTOP until its lease is over and another has it, SIGCONT

Afterwards, and while it goes on: nothing is in the log, neither message nor edit, that neither a model nor a moderator let through, none of
the hateful texts at all, and none was ever shown to a device; once everything is well again everything that was acknowledged is either
there or held, each once, and no older edit stands in a newer one's place. Leases are shorter than usual, by the settings, so that a gateway
outlives its own within the run. Starts servers of its own in a temporary folder, ends them, and touches no process but theirs. Each seed is
a run of its own, with channels of its own. Exit status 1 on any violation.
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

from bench.moderation import token_of
from bench.ours import ENVIRONMENT, Ours, open_ours
from client import connect
from persistence.moderation.moderator import ModeratorOptions
from proofs.numbers import at_least_one, some_time
from proofs.reviewing.people import Deeds, Seat, act, listen, pause, prepare, text_of
from proofs.reviewing.verdict import Row, Stood, account, judge
from protocol import codec
from protocol.values import HeldForm, HeldState
from supervisors.dev import Installation
from supervisors.process import set_up_log

ROOMS: Final = 4
EVERY_S: Final = 1.5
HUNG_S: Final = 1.5
QUIET_S: Final = 60.0
LOOK_S: Final = 0.2
SHORT: Final = ("--seconds", "12", "--per-s", "20", "--seeds", "1")
STRIKES: Final = ("gateway", "stop gateway", "models", "hang models", "nothing")
OPTIONS: Final = ModeratorOptions(first_s=0.6, call_s=0.6, lease_min_s=2.0)
STOPPED_S: Final = OPTIONS.first_lease_s + 1.0
"""Longer than any lease here: what the stopped gateway was at is another's by then."""
_SHORT_LEASES: Final = {
    "EDUCONNECT_MODERATION_FIRST_S": f"{OPTIONS.first_s}",
    "EDUCONNECT_MODERATION_CALL_S": f"{OPTIONS.call_s}",
    "EDUCONNECT_MODERATION_LEASE_MIN_S": f"{OPTIONS.lease_min_s}",
}
_LOG: Final = "select stream_id, seq, body from log where stream_id = any($1) and kind in (1, 2, 6)"
_HELD: Final = (
    "select id, stream_id, form, state, body, judged_by, decided_by, target, became from held where stream_id = any($1) and form in (1, 2)"
)


class Options(Struct, frozen=True):
    seconds: float = 20.0
    per_s: float = 20.0
    seeds: tuple[int, ...] = (0,)


def main(argv: Sequence[str]) -> int:
    """Runs it and prints what came out."""
    parser = argparse.ArgumentParser(prog="python -m proofs unreviewed", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=some_time, default=20.0, help="of each seed")
    parser.add_argument("--per-s", type=at_least_one, default=20)
    parser.add_argument("--seeds", type=at_least_one, default=3, help="how many, from --seed on")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--short", action="store_true", help=" ".join(SHORT))
    asked = parser.parse_args(argv)
    if asked.short:
        asked = parser.parse_args([*SHORT, "--seed", str(asked.seed)])
    set_up_log("error", "console")
    seeds = tuple(range(asked.seed, asked.seed + asked.seeds))
    with tempfile.TemporaryDirectory(prefix="educonnect-unreviewed-") as folder:
        violations = trio.run(_prove, Path(folder), Options(asked.seconds, float(asked.per_s), seeds))
    for violation in violations:
        print(f"VIOLATION {violation}")
    return 1 if violations else 0


async def _prove(folder: Path, options: Options) -> list[str]:
    violations: list[str] = []
    async with open_ours(folder, gateways=2, people=ROOMS * 2, environment={**ENVIRONMENT, **_SHORT_LEASES}, ml=True) as ours:
        for seed in options.seeds:
            violations += [f"seed {seed}: {one}" for one in await _prove_one(ours, options, seed)]
    return violations


async def _prove_one(ours: Ours, options: Options, seed: int) -> list[str]:
    dice = random.Random(seed)
    rooms = await ours.rooms(ROOMS, 2)
    streams = [room.stream for room in rooms]
    await ours.ask(lambda connection: prepare(connection, streams))
    struck: Counter[str] = Counter()
    violations: list[str] = []
    deeds = Deeds()
    looks = 0
    async with AsyncExitStack() as stack:
        seats: list[Seat] = []
        for place, room in enumerate(rooms):
            moderator, author = sorted(room.people, key=lambda person: person.user)
            urls = [f"http://127.0.0.1:{ours.ports[(place + shift) % 2]}" for shift in range(2)]
            seats.append(
                Seat(
                    room.stream,
                    await stack.enter_async_context(connect(urls[0], token_of(author))),
                    author.user,
                    await stack.enter_async_context(connect(urls[1], token_of(moderator))),
                )
            )
        async with trio.open_nursery() as shown:
            for seat in seats:
                shown.start_soon(listen, seat, violations)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_strike, ours, dice, struck)

                async def watch() -> None:
                    nonlocal looks
                    while True:
                        violations.extend(judge(*await _look(ours, streams)))
                        looks += 1
                        await trio.sleep(LOOK_S)

                nursery.start_soon(watch)
                for number in range(int(options.seconds * options.per_s)):
                    await act(ours, dice.choice(seats), dice, number, deeds)
                    await pause(options.per_s)
                nursery.cancel_scope.cancel()
            counts = await _settle(ours, streams, deeds, violations)
            shown.cancel_scope.cancel()
    log, held = await _look(ours, streams)
    violations += judge(log, held)
    if counts is not None:
        violations += account(held, counts[0], counts[1])
        print(f"seed {seed}: acknowledged {counts[0]} said, {counts[1]} edited, {counts[2]} taken back or decided; {looks} looks")
    states = Counter(row.state.name.lower() for row in held)
    print(f"  struck: {', '.join(f'{what} {times}' for what, times in sorted(struck.items()))}")
    print(f"  held: {', '.join(f'{state} {times}' for state, times in sorted(states.items()))}")
    return list(dict.fromkeys(violations))


async def _strike(ours: Ours, dice: random.Random, struck: Counter[str]) -> None:
    """Kills and hangs, one at a time; each kind before any comes again."""
    installation = ours.installation
    while True:
        for what in dice.sample(STRIKES, len(STRIKES)):
            await trio.sleep(EVERY_S * dice.uniform(0.5, 1.5))
            struck[what] += 1
            if what == "gateway":
                _signal(dice.choice(installation.gateways).pid, signal.SIGKILL)
            elif what == "models":
                _signal(_models(installation), signal.SIGKILL)
            elif what == "hang models":
                await _stop_for(_models(installation), HUNG_S)
            elif what == "stop gateway":
                # While it waits for an answer: what it has claimed is taken over, and the answer finds it awake again, too late.
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_stop_for, _models(installation), HUNG_S)
                    await trio.sleep(OPTIONS.first_s / 2)
                    nursery.start_soon(_stop_for, dice.choice(installation.gateways).pid, STOPPED_S)


async def _look(ours: Ours, streams: list[int]) -> tuple[list[Stood], list[Row]]:
    """All of these streams, and what is held of them, at one moment."""

    async def work(connection: asyncpg.Connection) -> tuple[list[Stood], list[Row]]:
        log = [Stood(row[0], row[1], codec.decode_body(row[2])) for row in await connection.fetch(_LOG, streams)]
        held = [
            Row(id, stream, HeldForm(form), HeldState(state), None if body is None else text_of(body), *rest)
            for id, stream, form, state, body, *rest in await connection.fetch(_HELD, streams)
        ]
        return log, held

    return await ours.ask(work, isolation="snapshot")


async def _settle(ours: Ours, streams: list[int], deeds: Deeds, violations: list[str]) -> tuple[int, int, int] | None:
    """Waits until everything is answered and judged; how many of each were acknowledged."""
    counts: tuple[int, int, int] | None = None
    with trio.move_on_after(QUIET_S) as patience:
        counts = await deeds.settle()
        while any(row.state is HeldState.CHECKING for row in (await _look(ours, streams))[1]):  # noqa: ASYNC110 (asked of the database)
            await trio.sleep(LOOK_S)
    if patience.cancelled_caught:
        violations.append(f"after {QUIET_S:g} s not everything that was said is answered and judged")
    return counts


async def _stop_for(pid: int, seconds: float) -> None:
    _signal(pid, signal.SIGSTOP)
    try:
        await trio.sleep(seconds)
    finally:
        _signal(pid, signal.SIGCONT)


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
