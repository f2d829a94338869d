"""What one crossing to asyncpg costs: `python -m bench.bridge_probe [--calls 20000] [--tasks 50] [--rounds 5]`.

    each        CPU of this process per call, Postgres not counted; single-row selects by primary key, rounds interleaved
    run         `bridge.run`, isolation "none": one statement, one crossing
    in txn      the same in a transaction: BEGIN, statement, COMMIT, still one crossing
    submit      the callback form, `--tasks` outstanding
    statements  what the bridge avoids: three statements as three crossings, against three in one
    trio-asyncio  the same select through trio-asyncio, where it is installed

Starts its own embedded Postgres in a temporary folder.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import resource
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import outcome
import trio

from persistence.bridge import Bridge, BridgeOptions
from persistence.lanes import Isolation
from supervisors.embedded_postgres import PostgresOptions, serve_postgres

DEADLINE_S = 60.0
SELECT = "SELECT n FROM probe WHERE n = $1"


async def one(connection: asyncpg.Connection) -> Any:
    return await connection.fetchval(SELECT, 7)


async def three(connection: asyncpg.Connection) -> Any:
    for _ in range(3):
        await connection.fetchval(SELECT, 7)


async def prepare(connection: asyncpg.Connection) -> None:
    await connection.execute("CREATE TABLE probe AS SELECT generate_series(1, 1000) AS n; ALTER TABLE probe ADD PRIMARY KEY (n)")


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def by_tasks(calls: int, tasks: int, call: Callable[[], Awaitable[Any]]) -> None:
    async def worker() -> None:
        for _ in range(calls // tasks):
            await call()

    async with trio.open_nursery() as nursery:
        for _ in range(tasks):
            nursery.start_soon(worker)


async def by_callbacks(calls: int, outstanding: int, bridge: Bridge) -> None:
    left, done = calls, trio.Event()
    under_way = 0

    def answered(answer: outcome.Outcome[Any]) -> None:
        nonlocal under_way
        answer.unwrap()
        under_way -= 1
        fill()

    def fill() -> None:
        nonlocal left, under_way
        while left and under_way < outstanding:
            left -= 1
            under_way += 1
            bridge.submit(one, answered, deadline_s=DEADLINE_S, readonly=True, isolation="none")
        if not left and not under_way:
            done.set()

    fill()
    await done.wait()


async def through_trio_asyncio(dsn: str, calls: int, tasks: int) -> None:
    trio_asyncio = importlib.import_module("trio_asyncio")  # no dependency of ours: measured where somebody installed it

    async with trio_asyncio.open_loop():
        pool = await trio_asyncio.aio_as_trio(asyncpg.create_pool)(dsn, min_size=8, max_size=8)
        fetch = trio_asyncio.aio_as_trio(pool.fetchval)
        await by_tasks(calls, tasks, lambda: fetch(SELECT, 7))
        await trio_asyncio.aio_as_trio(pool.close)()


async def probe(calls: int, tasks: int, rounds: int, data_dir: Path) -> None:
    async with trio.open_nursery() as nursery:
        dsn: str = await nursery.start(serve_postgres, PostgresOptions(data_dir))
        bridge = Bridge(BridgeOptions(dsn))
        await nursery.start(bridge.serve)
        await bridge.run(prepare, deadline_s=DEADLINE_S)

        def run(work: Any, isolation: Isolation) -> Callable[[], Awaitable[Any]]:
            return lambda: bridge.run(work, deadline_s=DEADLINE_S, readonly=True, isolation=isolation)

        async def three_crossings() -> None:
            for _ in range(3):
                await run(one, "none")()

        rows: dict[str, Callable[[], Awaitable[None]]] = {
            "run": lambda: by_tasks(calls, tasks, run(one, "none")),
            "run, alone": lambda: by_tasks(calls, 1, run(one, "none")),
            "in txn": lambda: by_tasks(calls, tasks, run(one, "read_committed")),
            "submit": lambda: by_callbacks(calls, tasks, bridge),
            "3 statements, 1 crossing": lambda: by_tasks(calls, tasks, run(three, "none")),
            "3 statements, 3 crossings": lambda: by_tasks(calls, tasks, three_crossings),
        }
        if importlib.util.find_spec("trio_asyncio") is not None:
            rows["trio-asyncio"] = lambda: through_trio_asyncio(dsn, calls, tasks)
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in rows}
        for _ in range(rounds):
            for name, row in rows.items():
                cpu, wall = cpu_s(), trio.current_time()
                await row()
                taken[name].append((cpu_s() - cpu, trio.current_time() - wall))
        print(f"{'':28}{'CPU µs/call':>12}{'calls/s':>10}   ({calls} calls, {tasks} tasks, median of {rounds} rounds)")
        for name, figures in taken.items():
            cpu = statistics.median(cpu for cpu, _ in figures)
            wall = statistics.median(wall for _, wall in figures)
            print(f"{name:28}{cpu / calls * 1e6:>12.0f}{calls / wall:>10.0f}")
        nursery.cancel_scope.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--tasks", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="educonnect-probe-") as folder:
        trio.run(probe, given.calls, given.tasks, given.rounds, Path(folder))


if __name__ == "__main__":
    main()
