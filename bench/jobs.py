"""Small jobs from their order to their end: jobs a second, and CPU a job, of one process and of two, with and without an effect.

    20,000 orders in transactions of 100 ─▶ Postgres (fsync on) ◀─ claim, run, end ─ 1 │ 2 processes of the product's foreman
    an effect is one row, written in the transaction that ends its job; every effect is counted, once each

CPU is that of Postgres and the processes that work; who orders, and waits for the end, is not counted. Beside 200,000 jobs that wait for
others the same is measured again: a long queue must not make claims dear.

Invariant: every job that was ordered is done exactly once, or there is no figure.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Final

import asyncpg
import msgspec
import trio

from actors.jobs import Order, pack
from bench.figures import Goal, Measured
from bench.generator import GeneratorFailed
from bench.jobs_worker import Small
from bench.stage import Options
from bench.usage import cpu_s
from persistence.bridge import Bridge, BridgeOptions
from persistence.jobs.enqueue import enqueue
from persistence.migrate import migrate
from supervisors.embedded_postgres import PostgresOptions, start

JOBS: Final = 20_000
QUICK_JOBS: Final = 500
BESIDE: Final = 200_000
BATCH: Final = 100
GOAL: Final = Goal(figure_min=3_000)
FLAT: Final = Goal(ratio_max=1.2)
GIVE_UP_S: Final = 300.0
LOOK_S: Final = 0.02
HERE: Final = Path(__file__).resolve().parent.parent


class Turn(msgspec.Struct, frozen=True):
    """One run."""

    jobs: int
    wall_s: float
    parts_s: dict[str, float]

    @property
    def per_s(self) -> float:
        return self.jobs / self.wall_s

    @property
    def cost_us(self) -> float:
        return sum(self.parts_s.values()) / self.jobs * 1e6


class Place(msgspec.Struct, frozen=True):
    """The database, and whose CPU counts there."""

    dsn: str
    postgres: int
    bridge: Bridge


async def measure(options: Options, say: Callable[[str], None]) -> list[Measured]:
    """All shapes in turn, each round; there is no peer."""
    jobs = QUICK_JOBS if options.quick else JOBS
    beside = 10 * QUICK_JOBS if options.quick else BESIDE
    shapes = {"row": ("row", 1), "none": ("none", 1), "two": ("row", 2)}
    turns: dict[str, list[Turn]] = {name: [] for name in (*shapes, "beside", "order")}
    with tempfile.TemporaryDirectory(prefix="educonnect-bench-jobs-") as folder:
        server = start(PostgresOptions(Path(folder)))
        try:
            await migrate(server.dsn)
            async with trio.open_nursery() as nursery:
                bridge = Bridge(BridgeOptions(server.dsn))
                await nursery.start(bridge.serve)
                place = Place(server.dsn, server.pid, bridge)
                await ask(place, "create table effects (n bigint not null, word text not null)")
                for number in range(-1, options.rounds):
                    for name, (kind, processes) in shapes.items():
                        ordered, worked = await one_turn(place, kind, processes, jobs, say if number >= 0 else lambda line: None)
                        if number >= 0:  # the first one only warms up
                            turns[name].append(worked)
                            turns["order"].append(ordered)
                await order(place, "others", beside)
                await ask(place, "analyze jobs")
                for _ in range(options.rounds):
                    _, worked = await one_turn(place, "row", 1, jobs, say)
                    turns["beside"].append(worked)
                nursery.cancel_scope.cancel()
        finally:
            server.stop()
    return summarise(turns, beside, None if options.quick else GOAL, None if options.quick else FLAT)


async def one_turn(place: Place, kind: str, processes: int, jobs: int, say: Callable[[str], None]) -> tuple[Turn, Turn]:
    """Orders while nobody works, then lets them work until nothing is left. Raises `GeneratorFailed`."""
    await ask(place, "truncate effects")
    before_s, began = cpu_s([place.postgres]), time.monotonic()
    await order(place, kind, jobs)
    ordered = Turn(jobs, time.monotonic() - began, {"Postgres": cpu_s([place.postgres]) - before_s})
    with ExitStack() as stack:
        workers = [stack.enter_context(working(place.dsn)) for _ in range(processes)]
        pids = [worker.pid for worker in workers]
        before = {"Postgres": cpu_s([place.postgres]), "jobs": cpu_s(pids)}
        began = time.monotonic()
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        with trio.fail_after(GIVE_UP_S):
            while await remaining(place, kind):  # noqa: ASYNC110 (nobody here hears of it)
                await trio.sleep(LOOK_S)
        wall_s = time.monotonic() - began
        after = {"Postgres": cpu_s([place.postgres]), "jobs": cpu_s(pids)}
    worked = Turn(jobs, wall_s, {part: after[part] - before[part] for part in after})
    if kind == "row":
        rows, distinct = await ask(place, "select count(*), count(distinct n) from effects")
        if (rows, distinct) != (jobs, jobs):
            raise GeneratorFailed(f"{jobs} jobs left {rows} effects, {distinct} of them distinct")
    shares = ", ".join(f"{part} {seconds / sum(worked.parts_s.values()):.0%}" for part, seconds in worked.parts_s.items())
    say(
        f"jobs: {kind}, {processes} processes: {worked.per_s:,.0f}/s, {worked.cost_us:.0f} µs CPU each ({shares});"
        f" ordered at {ordered.per_s:,.0f}/s, {ordered.cost_us:.0f} µs of Postgres each"
    )
    return ordered, worked


@contextmanager
def working(dsn: str) -> Iterator[subprocess.Popen[str]]:
    """A process that works when it is told to, for as long as the block."""
    command = (sys.executable, "-m", "bench.jobs_worker", dsn)
    with subprocess.Popen(command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline().strip() != "ready":
                raise GeneratorFailed("a process of jobs did not begin")
            yield process
        finally:
            process.kill()


async def order(place: Place, kind: str, jobs: int) -> None:
    """In transactions of `BATCH`."""
    for first in range(0, jobs, BATCH):
        orders = [Order(kind, pack(Small(n, f"word {n}"))) for n in range(first, min(first + BATCH, jobs))]

        async def work(tx: asyncpg.Connection, orders: list[Order] = orders) -> None:
            await enqueue(tx, *orders)

        await place.bridge.run(work, deadline_s=30)


async def remaining(place: Place, kind: str) -> bool:
    """Whether any of the kind is there. By the indexes: counting rows would read all that wait beside, and be charged to the work."""
    (found,) = await ask(
        place,
        "select exists (select from jobs where kind = $1 and state = 0 and region = '')"
        " or exists (select from jobs where kind = $1 and state = 2)"
        " or exists (select from jobs where kind = $1 and state = 1)",
        kind,
    )
    return bool(found)


async def ask(place: Place, sql: str, *arguments: object) -> tuple[int, ...]:
    async def work(tx: asyncpg.Connection) -> tuple[int, ...]:
        row = await tx.fetchrow(sql, *arguments)
        return tuple(row or ())

    return await place.bridge.run(work, deadline_s=60)


def summarise(turns: dict[str, list[Turn]], beside: int, goal: Goal | None, flat: Goal | None) -> list[Measured]:
    def rate(name: str) -> float:
        return median(turn.per_s for turn in turns[name])

    def cost(name: str) -> float:
        return median(turn.cost_us for turn in turns[name])

    ratios = [long.cost_us / short.cost_us for long, short in zip(turns["beside"], turns["row"], strict=True)]
    effect = "its effect is a row, written with its end; fsync on"
    return [
        Measured("jobs a second, one process", rate("row"), "/s", goal=goal, note=effect),
        Measured("jobs a second, two processes", rate("two"), "/s", goal=goal, note=effect),
        Measured("jobs a second without an effect, one process", rate("none"), "/s", goal=goal, note="fsync on"),
        Measured("server CPU a job", cost("row"), "µs", note=f"claim, run, effect and end; {effect}"),
        Measured("server CPU a job without an effect", cost("none"), "µs"),
        Measured("Postgres' CPU an order", cost("order"), "µs", note=f"in transactions of {BATCH}"),
        Measured(
            f"server CPU a job beside {beside:,} others that wait",
            cost("beside"),
            "µs",
            "an empty queue",
            cost("row"),
            median(ratios),
            flat,
            "jobs of another kind; flat is the goal",
        ),
    ]
