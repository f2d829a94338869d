"""Two gateways that post into the same streams, beside one that does all of it at the same rate: server CPU a post, and deadlocks.

    100 posters, 1 stream        ─ 3,000 a second, and as fast as may be ─▶ all through one gateway │ half through each
    1,000 posters, 1,000 streams ─ likewise

Each gateway has a journal of its own, and their batches meet in Postgres: at the rows of the same streams where everybody posts into one,
and in what a batch costs whatever its size. Nobody follows. A gateway that is not posted through idles beside, and its time is not counted.

Invariant: Postgres counted no deadlock between the first post and the last, or there is no figure.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import median
from typing import Final

import asyncpg
import msgspec
import trio

from bench.figures import Goal, Measured
from bench.generator import Generator, GeneratorFailed, Report, open_generator
from bench.ours import Ours
from bench.population import Room
from bench.stage import Options, Stage, open_stage
from bench.usage import cpu_s

RATE_PER_S: Final = 3_000
RATE_S: Final = 5.0
FAST: Final = 30_000
"""Posts of a run as fast as may be."""
OUTSTANDING: Final = 8
GOAL: Final = Goal(ratio_max=1.2)
COUNTED_S: Final = 1.5
"""Postgres publishes its counters a second after a transaction, at the latest."""


class Shape(msgspec.Struct, frozen=True):
    """One layout, of people who are at one gateway, and of as many who are at both."""

    name: str
    streams: int
    posters: int


SHAPES: Final = (Shape("one stream", 1, 100), Shape("1,000 streams", 1_000, 1))
QUICK: Final = (Shape("one stream", 1, 20), Shape("20 streams", 20, 1))


class Turn(msgspec.Struct, frozen=True):
    """One run. `parts_s`: CPU seconds of the processes that took part."""

    report: Report
    parts_s: dict[str, float]

    @property
    def cost_us(self) -> float:
        return sum(self.parts_s.values()) / self.report.messages * 1e6


class Load(msgspec.Struct, frozen=True):
    """How they post."""

    name: str
    run: Callable[[Generator], Awaitable[Report]]


def loads(quick: bool) -> list[Load]:
    share = 10 if quick else 1
    return [
        Load(f"{RATE_PER_S:,}/s in all", lambda generator: generator.post_at(RATE_PER_S, RATE_S / share)),
        Load("full speed", lambda generator: generator.post(FAST // share, OUTSTANDING)),
    ]


async def measure(options: Options, say: Callable[[str], None]) -> list[Measured]:
    """Both layouts, both ways. The peer of two gateways is one."""
    shapes = QUICK if options.quick else SHAPES
    measured: list[Measured] = []
    async with open_stage(servers=2, people=2 * max(shape.streams * shape.posters for shape in shapes), peers=False) as stage:
        begun = await stage.ours.ask(deadlocks)
        for shape in shapes:
            rooms = await stage.ours.rooms(2 * shape.streams, shape.posters)
            async with _open(stage, rooms[: shape.streams], 1) as one, _open(stage, rooms[shape.streams :], 2) as two:
                for load in loads(options.quick):
                    turns: dict[int, list[Turn]] = {1: [], 2: []}
                    for number in range(-1, options.rounds):
                        for gateways, generator in ((1, one), (2, two))[:: 1 if number % 2 else -1]:
                            turn = await _turn(stage.ours, gateways, generator, load)
                            if number >= 0:  # the first one only warms up
                                turns[gateways].append(turn)
                    measured.append(_summarise(shape, load, turns, None if options.quick else GOAL, say))
        await trio.sleep(COUNTED_S)
        found = await stage.ours.ask(deadlocks) - begun
        say(f"posts_two: {found} deadlocks")
        if found:
            raise GeneratorFailed(f"Postgres counted {found} deadlocks")
    return [*measured, Measured("deadlocks of two gateways posting", found, "in all", goal=Goal(figure_max=0), note="pg_stat_database")]


async def deadlocks(connection: asyncpg.Connection) -> int:
    """How many Postgres has broken in this database since it was made."""
    found: int = await connection.fetchval("select deadlocks from pg_stat_database where datname = current_database()")
    return found


@asynccontextmanager
async def _open(stage: Stage, rooms: Sequence[Room], gateways: int) -> AsyncIterator[Generator]:
    plan = await stage.ours.plan(rooms, follows=False)
    seats = tuple(msgspec.structs.replace(seat, server=n % gateways) for n, seat in enumerate(plan.seats))
    async with AsyncExitStack() as stack:
        generator = await stack.enter_async_context(open_generator(msgspec.structs.replace(plan, seats=seats), stage.folder))
        await generator.connect(len(seats))
        yield generator


async def _turn(ours: Ours, gateways: int, generator: Generator, load: Load) -> Turn:
    parts = ours.parts()
    parts["gateways"] = parts["gateways"][:gateways]
    before = {part: cpu_s(pids) for part, pids in parts.items()}
    report = await load.run(generator)
    return Turn(report, {part: cpu_s(pids) - before[part] for part, pids in parts.items()})


def _summarise(shape: Shape, load: Load, turns: dict[int, list[Turn]], goal: Goal | None, say: Callable[[str], None]) -> Measured:
    for gateways, its in turns.items():
        whole_s = sum(sum(turn.parts_s.values()) for turn in its)
        shares = ", ".join(f"{part} {sum(turn.parts_s[part] for turn in its) / whole_s:.0%}" for part in its[0].parts_s)
        costs = " ".join(f"{turn.cost_us:.0f}" for turn in its)
        say(
            f"posts_two: {shape.name}, {load.name}, through {gateways}: {costs} µs each ({shares}); "
            f"{median(turn.report.messages / turn.report.wall_s for turn in its):,.0f}/s, "
            f"p50 {median(turn.report.p50_ms for turn in its):.1f} ms, p99 {median(turn.report.p99_ms for turn in its):.1f} ms"
        )
    one, two = ([turn.cost_us for turn in turns[gateways]] for gateways in (1, 2))
    return Measured(
        f"two gateways posting into {shape.name}, {load.name}",
        median(two),
        "µs server CPU a post",
        "one gateway, all posts",
        median(one),
        median(b / a for a, b in zip(one, two, strict=True)),
        goal,
        "committed and acknowledged; fsync on; no followers",
    )
