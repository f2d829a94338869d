"""Runs, one after the other, over one installation of real servers.

    servers, one learner with some devices ─▶ run: writes and faults at once ─▶ heal ─▶ judge ─▶ next run, other lessons

Choices follow the seed of each run; what they meet is the real world's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import asyncpg
import trio
from msgspec import Struct

from client import SessionEnded
from client.store import Confirmed
from persistence.bridge import Bridge, BridgeOptions
from proofs.maxwrite.faults import KINDS, Faults
from proofs.maxwrite.history import Final, History, Told, Write
from proofs.maxwrite.learner import PERCENT, Learner
from proofs.maxwrite.verdict import judge
from proofs.rehearsal.device import Badge
from proofs.rehearsal.killing import Killer
from proofs.rehearsal.population import ENVIRONMENT, PASSWORD, Door
from proofs.rehearsal.run import unreported
from proofs.rehearsal.wire import Wire
from protocol.entities import Entity
from protocol.merge import unpack_record
from protocol.operations import CreateCommunity
from protocol.values import StreamKind
from supervisors.dev import Installation
from supervisors.tree import Report, running

SETTING_S = 120.0
HEAL_S = 60.0
LOOK_S = 0.05
READ_S = 30.0
LESSONS = 3
CRASHES = 0.3
"""The share of runs in which one device's application goes down, too."""
BACK, FORTH = 3, 6
"""How far, in percent, a write may lie behind and before what its device has seen: so that most of them meet others of the same moment."""
WRITES_PER_S = 40.0
"""Of all devices together."""


class Options(Struct, frozen=True):
    """What is asked for. `seconds`: how long each run writes; its faults fall within."""

    runs: int = 200
    devices: int = 4
    gateways: int = 2
    seconds: float = 2.5
    seed: int = 1


class Result(Struct):
    """What came out. `wrong`: by run, what is wrong with its history."""

    runs: int = 0
    writes: int = 0
    outcomes: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    crashes: int = 0
    wrong: dict[int, list[str]] = {}
    slowest_heal_s: float = 0.0


async def run_all(options: Options, folder: Path, say: Callable[[str], None], report: Report | None = unreported) -> Result:
    """All runs, with the servers' data in `folder`, which is to be empty. Ends early after a run that is not right: look at that one."""
    installation = Installation(folder, port=0, gateways=options.gateways, environment=ENVIRONMENT)
    chance = Random(options.seed)
    result = Result(outcomes=Counter(), faults=Counter(), wrong={})
    async with running(installation.spec(), report=report), Door(lambda: installation.urls, chance) as door:
        bridge = Bridge(BridgeOptions(installation.dsn, connections_max=1))
        async with trio.open_nursery() as everything:
            await everything.start(bridge.serve)
            with trio.fail_after(SETTING_S):
                learners = await _enrol(options.devices, door, lambda: installation.urls, chance, everything)
            say(f"{len(learners)} devices are in")
            faults = Faults(Killer(installation, chance, lambda line: None), chance)
            for number in range(1, options.runs + 1):
                history = await _run(number, options, learners, faults, bridge, everything)
                wrong = judge(history)
                _count(result, history)
                if wrong:
                    result.wrong[number] = wrong
                    break
                if number % 10 == 0:
                    say(f"{number} runs, {result.writes} writes, slowest healed in {result.slowest_heal_s:.1f} s")
            result.faults = faults.done
            result.crashes = sum(learner.crashes for learner in learners)
            everything.cancel_scope.cancel()
    return result


def _count(result: Result, history: History) -> None:
    result.runs += 1
    result.writes += len(history.writes)
    result.outcomes.update(write.outcome.name.lower() if write.outcome is not None else "none" for write in history.writes)
    result.slowest_heal_s = max(result.slowest_heal_s, history.healed_s)


async def _enrol(devices: int, door: Door, urls: Callable[[], list[str]], chance: Random, everything: trio.Nursery) -> list[Learner]:
    """One learner with this many devices, in a community of their own; every device follows the learner's progress there."""
    learners: list[Learner] = []
    for number in range(devices):
        account = door.account(0)
        if number == 0:
            credentials = await account.register("learner", PASSWORD, "Learner", "first")
        else:
            credentials = await account.login("learner", PASSWORD, device_name=f"device {number}")
        badge = Badge(credentials, lambda: door.account(0))
        learners.append(Learner(f"device {number + 1}", badge, Wire(urls, Random(chance.random()))))
    for learner in learners:
        await everything.start(learner.live)
    await learners[0].session.do(CreateCommunity("School"))
    overview = await learners[0].session.overview()
    stream = next(stream.stream for space in overview.spaces for stream in space.streams if stream.kind is StreamKind.PROGRESS)
    for learner in learners:
        learner.follow(stream)
    return learners


async def _run(number: int, options: Options, learners: list[Learner], faults: Faults, bridge: Bridge, everything: trio.Nursery) -> History:
    chance = Random(options.seed * 1_000_003 + number)
    lessons = [number * 10 + n for n in range(LESSONS)]
    before = {learner.badge.device: len(learner.told) for learner in learners}
    writes: list[Write] = []
    async with trio.open_nursery() as storm:
        storm.start_soon(_strike, faults, learners, options.seconds, chance)
        await _write(number, options.seconds, learners, lessons, chance, writes, everything)
    began = trio.current_time()
    finals: list[Final] = []
    with trio.move_on_after(HEAL_S):
        while any(learner.open for learner in learners):  # noqa: ASYNC110 (many devices, and none tells)
            await trio.sleep(LOOK_S)
        finals = await _read(bridge, learners[0].stream, lessons)
        while not _agree(learners, finals, lessons):  # noqa: ASYNC110
            await trio.sleep(LOOK_S)
    told: dict[int, list[Told]] = {}
    for learner in learners:
        told[learner.badge.device] = [one for one in learner.told[before[learner.badge.device] :] if one.lesson in lessons]
        finals += learner.finals(lessons)
    return History(
        number,
        writes,
        told,
        finals,
        open=sum(learner.open for learner in learners),
        healed_s=trio.current_time() - began,
        faults=tuple(fault for learner in learners for fault in learner.faults),
    )


async def _strike(faults: Faults, learners: list[Learner], seconds: float, chance: Random) -> None:
    """Two faults of different kinds a run, at moments by chance; now and then a crash of an application, too."""
    ends = trio.current_time() + seconds
    if chance.random() < CRASHES:
        await trio.sleep(chance.random() * seconds / 3)
        chance.choice(learners).crash()
    for kind in chance.sample(KINDS, 2):
        left_s = max(ends - trio.current_time(), 0.2)
        await trio.sleep(chance.random() * left_s / 2)
        await faults.strike(kind, learners, max(ends - trio.current_time(), 0.2))


async def _write(
    number: int, seconds: float, learners: list[Learner], lessons: list[int], chance: Random, writes: list[Write], everything: trio.Nursery
) -> None:
    """Random devices advance random lessons, each upon what it has seen itself: mostly a little further, sometimes not at all."""
    ends = trio.current_time() + seconds
    while trio.current_time() < ends:
        learner, lesson = chance.choice(learners), chance.choice(lessons)
        held = learner.store.record(learner.stream, Entity.PROGRESS, lesson)
        mark = number * 10_000 + len(writes) + 1
        try:
            write, pending = learner.write(mark, lesson, _percent(held, chance), held.version if held is not None else 0)
        except SessionEnded:
            pass  # its application is down; nobody is there to write
        else:
            writes.append(write)
            everything.start_soon(learner.wait_outcome, write, pending)
        await trio.sleep(chance.expovariate(WRITES_PER_S))


def _percent(held: Confirmed | None, chance: Random) -> int:
    seen = held.fields.get(PERCENT, 0) if held is not None else 0
    assert isinstance(seen, int)
    return max(1, min(100, seen + chance.randint(-BACK, FORTH)))


async def _read(bridge: Bridge, stream: int, lessons: list[int]) -> list[Final]:
    """These lessons as Postgres holds them."""

    async def work(connection: asyncpg.Connection) -> list[asyncpg.Record]:
        sql = "select key, version, cells from records where stream_id = $1 and entity = $2 and key = any($3)"
        rows: list[asyncpg.Record] = await connection.fetch(sql, stream, int(Entity.PROGRESS), lessons)
        return rows

    finals = []
    for row in await bridge.run(work, deadline_s=READ_S, readonly=True):
        percent = unpack_record(row["cells"], int(Entity.PROGRESS)).fields.get(PERCENT, 0)
        assert isinstance(percent, int)
        finals.append(Final("the server", row["key"], row["version"], percent))
    return finals


def _agree(learners: list[Learner], finals: list[Final], lessons: list[int]) -> bool:
    wanted = {(final.lesson, final.version) for final in finals}
    return (
        all({(final.lesson, final.version) for final in learner.finals(lessons)} == wanted for learner in learners)
        and len({learner.seen for learner in learners}) == 1
    )


def describe(result: Result) -> str:
    """The figures, for people."""
    outcomes = ", ".join(f"{count} {name}" for name, count in sorted(result.outcomes.items()))
    faults = ", ".join(f"{count} × {name}" for name, count in sorted(result.faults.items()))
    lines = [
        f"runs               {result.runs}",
        f"writes             {result.writes}: {outcomes}",
        f"faults             {faults}; {result.crashes} crashes of applications",
        f"slowest to heal    {result.slowest_heal_s:.1f} s",
        f"stuck queues       {sum(any(line.startswith('stuck') for line in lines) for lines in result.wrong.values())}",
        f"wrong runs         {len(result.wrong)}",
    ]
    for number, wrong in result.wrong.items():
        lines += [f"run {number}: {line}" for line in wrong[:20]]
    return "\n".join(lines)
