"""Orderers, workers that are killed, and at last the verdict.

    4 orderers ─ transactions, some rolled back, some cancelled later ─▶ Postgres ◀─ 3 workers, one SIGKILLed every 0.7 s on average
                                                          when the time is over: killing stops, the queue runs empty, the tables are read

Only processes that were started here are killed, by their number; they end with this one, however it ends.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from random import Random
from typing import Final

import asyncpg
import msgspec

from actors.jobs import Order, pack
from persistence.jobs.enqueue import enqueue
from persistence.migrate import apply_migrations, read_migrations
from proofs.gapping.world import SETTINGS
from proofs.jobbing.kinds import TABLES, TICK_S, Keyed, Numbered
from proofs.jobbing.verdict import Found, Ordered, Verdict, judge
from supervisors.embedded_postgres import TETHER, PostgresOptions, start

KEYS: Final = 20
ORDERS_MAX: Final = 20
"""In one transaction."""
UNDONE: Final = 0.15
CANCELS: Final = 0.1
KILL_S: Final = 0.7
PAUSE_S: Final = 0.02
DRAIN_S: Final = 90.0
HERE: Final = Path(__file__).resolve().parents[2]


class Options(msgspec.Struct, frozen=True):
    """How much of it. `fenced=False` shows that this proof can fail."""

    seconds: float = 20.0
    workers: int = 3
    orderers: int = 4
    seed: int = 1
    fenced: bool = True


class Crew:
    """The workers: each is started again when it was killed."""

    def __init__(self, dsn: str, options: Options) -> None:
        self._dsn = dsn
        self._options = options
        self._names = count(1)
        self._processes: list[subprocess.Popen[bytes]] = [self._start() for _ in range(options.workers)]
        self.kills = 0

    def _start(self) -> subprocess.Popen[bytes]:
        how = "fenced" if self._options.fenced else "unfenced"
        worker = (sys.executable, "-m", "proofs.jobbing.worker", self._dsn, f"worker-{next(self._names)}", how)
        tether = (sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), str(int(signal.SIGKILL)))
        return subprocess.Popen((*tether, *worker), cwd=HERE, stdin=subprocess.DEVNULL)

    async def storm(self, until: float, chance: Random) -> None:
        """Kills one at a time, at random moments."""
        loop = asyncio.get_running_loop()
        # The first ones must have begun: a process takes most of a second to import.
        await asyncio.sleep(min(1.5, (until - loop.time()) / 3))
        while loop.time() < until:
            victim = chance.randrange(len(self._processes))
            self._processes[victim].kill()
            self._processes[victim].wait()
            self.kills += 1
            self._processes[victim] = self._start()
            await asyncio.sleep(chance.expovariate(1 / KILL_S))

    def check(self) -> None:
        """Raises `RuntimeError` where one ended by itself."""
        for process in self._processes:
            if process.poll() is not None:
                raise RuntimeError(f"a worker ended by itself with status {process.returncode}")

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()


async def run(options: Options, folder: Path) -> tuple[Verdict, int]:
    """All of it; the verdict, and how often a worker was killed."""
    async with _open_database(folder) as dsn:
        ordered, numbers, chance = Ordered(), count(1), Random(options.seed)
        loop = asyncio.get_running_loop()
        crew = Crew(dsn, options)
        began = loop.time()
        try:
            until = began + options.seconds
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(crew.storm(until, Random(f"{options.seed} kills")))
                for n in range(options.orderers):
                    tasks.create_task(_order(dsn, ordered, numbers, Random(f"{options.seed} {n}"), until))
            # Whoever was killed last needs its lease to run out, and what failed its time to come again.
            await _drain(dsn, crew, chance)
        finally:
            crew.stop()
        found = await _find(dsn, loop.time() - began)
        return judge(ordered, found), crew.kills


@asynccontextmanager
async def _open_database(folder: Path) -> AsyncIterator[str]:
    server = start(PostgresOptions(folder, settings=SETTINGS))
    try:
        connection = await asyncpg.connect(server.dsn)
        try:
            await apply_migrations(connection, read_migrations())
            await connection.execute(TABLES)
        finally:
            await connection.close()
        yield server.dsn
    finally:
        server.stop()


async def _order(dsn: str, ordered: Ordered, numbers: count[int], chance: Random, until: float) -> None:
    """Transactions that order, until the time is over; now and then one is cancelled again."""
    loop = asyncio.get_running_loop()
    connection = await asyncpg.connect(dsn)
    try:
        while loop.time() < until:
            await _one_transaction(connection, ordered, numbers, chance)
            if ordered.effects and chance.random() < CANCELS:
                await _cancel_one(connection, ordered)
            await asyncio.sleep(chance.random() * PAUSE_S)
    finally:
        await connection.close()


async def _one_transaction(connection: asyncpg.Connection, ordered: Ordered, numbers: count[int], chance: Random) -> None:
    drawn = [
        (chance.choices(("effect", "told", "level", "doomed"), (8, 2, 3, 0.2))[0], next(numbers))
        for _ in range(chance.randint(1, ORDERS_MAX))
    ]
    keys = sorted({f"key-{chance.randrange(KEYS)}" for kind, _ in drawn if kind == "level"})
    orders = [
        Order(kind, pack(Numbered(n)), delay_s=chance.choice((0.0, 0.0, 0.3)), priority=chance.randint(-2, 2))
        for kind, n in drawn
        if kind != "level"
    ]
    levels: dict[str, int] = {}
    transaction = connection.transaction()
    await transaction.start()
    # What a key's job must see, written before it is ordered.
    for key in keys:
        levels[key] = next(numbers)
        await connection.execute(
            "insert into asked (key, n) values ($1, $2) on conflict (key) do update set n = greatest(asked.n, excluded.n)", key, levels[key]
        )
    await enqueue(connection, *orders, *(Order("level", pack(Keyed(key)), key=key) for key in keys))
    await asyncio.sleep(chance.random() * PAUSE_S)
    if chance.random() < UNDONE:
        await transaction.rollback()
        ordered.undone |= {n for _, n in drawn}
        return
    await transaction.commit()
    ordered.orders += len(orders) + len(keys)
    for kind, n in drawn:
        if kind != "level":
            {"effect": ordered.effects, "told": ordered.told, "doomed": ordered.doomed}[kind].add(n)
    for key, n in levels.items():
        ordered.levels[key] = max(ordered.levels.get(key, 0), n)


async def _cancel_one(connection: asyncpg.Connection, ordered: Ordered) -> None:
    """As the desk does it: a waiting job goes, a running one is marked."""
    async with connection.transaction():
        row = await connection.fetchrow(
            "select id, state, payload from jobs where kind = 'effect' order by id desc limit 1 for update skip locked"
        )
        if row is None:
            return
        if row["state"] == 2:
            await connection.execute("update jobs set cancelled = true where id = $1", row["id"])
        else:
            await connection.execute("delete from jobs where id = $1", row["id"])
    ordered.cancelled.add(msgspec.msgpack.decode(row["payload"], type=Numbered).n)


async def _drain(dsn: str, crew: Crew, chance: Random) -> None:
    """Until nothing is left but what the clock brings. Raises `RuntimeError` where that takes too long."""
    loop = asyncio.get_running_loop()
    until = loop.time() + DRAIN_S
    connection = await asyncpg.connect(dsn)
    try:
        while await connection.fetchval("select exists (select from jobs where kind <> 'tick')"):
            crew.check()
            if loop.time() > until:
                raise RuntimeError(f"jobs are left after {DRAIN_S:g} s")
            await asyncio.sleep(0.1)
        # No more ticks: what was fired is done.
        await connection.execute("update job_schedules set next_at = 'infinity'")
        while await connection.fetchval("select exists (select from jobs)"):
            crew.check()
            await asyncio.sleep(0.1)
    finally:
        await connection.close()


async def _find(dsn: str, took_s: float) -> Found:
    connection = await asyncpg.connect(dsn)
    try:
        fired, skipped = await connection.fetchrow("select fired, skipped from job_schedules where name = 'tick'")
        return Found(
            effects=[n for (n,) in await connection.fetch("select n from effects")],
            told=[(n, effect) for n, effect in await connection.fetch("select n, effect from told")],
            levels=dict(await connection.fetch("select key, max(n) from levels group by key")),
            ticks=await connection.fetchval("select count(*) from ticks"),
            fired=fired,
            dead=[
                (kind, msgspec.msgpack.decode(payload, type=Numbered).n)
                for kind, payload in await connection.fetch("select kind, payload from dead_jobs")
            ],
            left=await connection.fetchval("select count(*) from jobs"),
            ticks_due_max=int(took_s / TICK_S) + 2 - skipped,
        )
    finally:
        await connection.close()
