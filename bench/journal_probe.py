"""What the journal and the store cost, alone: posts into one stream and into a thousand, reads and attaches in batches.

    python -m bench.journal_probe [--posts 60000] [--streams 1,1000] [--rate 3000]

Starts its own Postgres (fsync on) in a temporary folder. CPU is user + system of all of Postgres' processes, and of this process, which
is the load generator too. `--rate` posts at a steady pace instead of as fast as possible: shows the pacing and the latencies.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import trio

from actors.storage import Answered, Attach, CheckAudience, Decided, Denied, Entry, Fact, ListSpaces, Query, ReadAfter, ReadBefore
from persistence.bridge import Bridge, BridgeOptions
from persistence.journal import Journal
from persistence.migrate import migrate
from persistence.store import Store
from protocol.codes import Code
from protocol.operations import Say
from supervisors.embedded_postgres import Postgres, PostgresOptions, start

DEVICES = 2_000
WINDOW = 2_000
"""Posts outstanding when posting as fast as possible."""
TEXT = "see you at nine"


class Silence:
    def committed(self, facts: Sequence[Fact]) -> None:
        pass


class Tally:
    """Counts answers and remembers how long they took."""

    def __init__(self) -> None:
        self.count = 0
        self.bad = 0
        self.begun: dict[int, float] = {}
        self.took_s: list[float] = []
        self.on_told: Callable[[], None] = lambda: None

    def tell(self, message: Any, size_bytes: int = 0) -> bool:
        self.count += 1
        self.on_told()
        return True

    def tell_control(self, message: Any) -> None:
        self.tell(message)


class Reply:
    """One device's address: remembers when its post went out."""

    __slots__ = ("begun_s", "tally")

    def __init__(self, tally: Tally, begun_s: float) -> None:
        self.tally = tally
        self.begun_s = begun_s

    def tell(self, message: Decided, size_bytes: int = 0) -> bool:
        if message.code is not Code.OK:
            self.tally.bad += 1
        self.tally.took_s.append(time.perf_counter() - self.begun_s)
        return self.tally.tell(message)

    def tell_control(self, message: Decided) -> None:
        self.tell(message)


def cpu_of_s(server: Postgres) -> float:
    """Of the postmaster and its children, those that have ended included."""
    main = psutil.Process(server.pid)
    own = main.cpu_times()
    total = own.user + own.system + own.children_user + own.children_system
    for child in main.children(recursive=True):
        times = child.cpu_times()
        total += times.user + times.system
    return float(total)


async def prepare(bridge: Bridge, streams: int) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """(user, device) pairs, streams that all may write, and the sessions of the devices."""

    async def work(tx: asyncpg.Connection) -> tuple[list[tuple[int, int]], list[int], list[int]]:
        await tx.execute("select create_account(('u' || random())::citext, 'U', 'x') from generate_series(1, $1)", DEVICES)
        users = [row[0] for row in await tx.fetch("select id from accounts order by id desc limit $1", DEVICES)]
        devices = [
            (row[0], row[1])
            for row in await tx.fetch(
                "insert into devices (user_id, generation) select u, 1 from unnest($1::bigint[]) u returning user_id, id", users
            )
        ]
        sessions = [
            row[0]
            for row in await tx.fetch(
                "insert into sessions (user_id, device_id, expires_at) select u, d, now() + interval '1 day'"
                " from unnest($1::bigint[], $2::bigint[]) as x (u, d) returning id",
                [user for user, _ in devices],
                [device for _, device in devices],
            )
        ]
        space = await tx.fetchval("insert into spaces (kind, name, created_by) values (1, 'bench', $1) returning id", users[0])
        await tx.execute("insert into members (space_id, user_id, role) select $1, u, 8 from unnest($2::bigint[]) u", space, users)
        rows = await tx.fetch(
            "insert into streams (space_id, kind, placement) select $1, 3, $1 from generate_series(1, $2) returning id", space, streams
        )
        return devices, [row[0] for row in rows], sessions

    made = await bridge.run(work, deadline_s=60)
    await bridge.run(lambda connection: connection.execute("vacuum analyze"), deadline_s=60, isolation="none")
    return made


async def post(journal: Journal, devices: list[tuple[int, int]], streams: list[int], posts: int, rate: float, numbers: list[int]) -> Tally:
    """Posts round robin over devices and streams."""
    tally = Tally()
    woken = trio.Event()

    def told() -> None:
        woken.set()

    tally.on_told = told
    sent = 0
    began = time.perf_counter()
    while tally.count < posts:
        due = min(posts, int((time.perf_counter() - began) * rate) if rate else tally.count + WINDOW)
        while sent < due:
            at = sent % len(devices)
            numbers[at] += 1
            user, device = devices[at]
            entry = Entry(user, device, 1, numbers[at], sent, Say(streams[sent % len(streams)], TEXT))
            assert journal.submit(entry, Reply(tally, time.perf_counter()))
            sent += 1
        if rate:
            await trio.sleep(0.001)
        else:
            woken = trio.Event()
            await woken.wait()
    return tally


async def query(store: Store, queries: list[Query]) -> float:
    """Seconds until all are answered."""
    done = trio.Event()
    tally = Tally()

    class Answers:
        def tell(self, message: Answered, size_bytes: int = 0) -> bool:
            if isinstance(message.result, Denied):
                tally.bad += 1
            tally.count += 1
            if tally.count == len(queries):
                done.set()
            return True

        def tell_control(self, message: Answered) -> None:
            self.tell(message)

    answers = Answers()
    began = time.perf_counter()
    for ticket, asked in enumerate(queries):
        store.ask(asked, ticket, answers)
    await done.wait()
    assert tally.bad == 0, f"{tally.bad} queries were denied"
    return time.perf_counter() - began


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


async def measure(server: Postgres, arguments: argparse.Namespace) -> None:
    bridge = Bridge(BridgeOptions(server.dsn))
    async with trio.open_nursery() as nursery:
        await nursery.start(bridge.serve)
        await migrate(bridge)
        journal = Journal(bridge, Silence(), lambda: None)
        store = Store(bridge)
        await nursery.start(journal.serve)
        await nursery.start(store.serve)
        devices: list[tuple[int, int]] = []
        streams: list[int] = []
        sessions: list[int] = []
        for count in map(int, arguments.streams.split(",")):
            devices, streams, sessions = await prepare(bridge, count)
            numbers = [0] * len(devices)
            await post(journal, devices, streams, 5_000, 0, numbers)  # warm: plans, pages
            batches = journal.stats.batches
            server_s, own_s, began = cpu_of_s(server), sum(os.times()[:2]), time.perf_counter()
            tally = await post(journal, devices, streams, arguments.posts, arguments.rate, numbers)
            took_s = time.perf_counter() - began
            server_s, own_s = cpu_of_s(server) - server_s, sum(os.times()[:2]) - own_s
            assert tally.bad == 0, f"{tally.bad} posts were refused"
            each = 1e6 / arguments.posts
            print(
                f"{count:5} streams: {arguments.posts / took_s:8.0f} posts/s  postgres {server_s * each:5.1f} µs"
                f"  this process {own_s * each:5.1f} µs  batch {arguments.posts / (journal.stats.batches - batches):6.1f}"
                f"  p50 {percentile(tally.took_s, 0.5) * 1e3:5.1f} ms  p99 {percentile(tally.took_s, 0.99) * 1e3:5.1f} ms"
            )
        heads = await bridge.run(lambda c: c.fetch("select id, head from streams where id = any($1)", streams), deadline_s=30)
        asked: dict[str, list[Query]] = {
            "Attach": [Attach(session, user, device, 1) for session, (user, device) in zip(sessions, devices, strict=True)],
            "ReadAfter 20": [
                ReadAfter(heads[n % len(heads)]["id"], devices[n % DEVICES][0], max(heads[n % len(heads)]["head"] - 20, 0), 100, 65536)
                for n in range(DEVICES)
            ],
            "ReadBefore 50": [
                ReadBefore(head["id"], devices[n % DEVICES][0], head["head"], 50, 65536) for n, head in zip(range(DEVICES), cycle(heads))
            ],
            "CheckAudience": [CheckAudience(head["id"], tuple(user for user, _ in devices[:50])) for head in islice(cycle(heads), DEVICES)],
            "ListSpaces": [ListSpaces(user) for user, _ in devices[:200]],
        }
        for name, queries in asked.items():
            await query(store, queries[:200])
            server_s, own_s = cpu_of_s(server), sum(os.times()[:2])
            took_s = await query(store, queries)
            each = 1e6 / len(queries)
            print(
                f"{name:13}: {len(queries) / took_s:8.0f} /s  postgres {(cpu_of_s(server) - server_s) * each:5.1f} µs"
                f"  this process {(sum(os.times()[:2]) - own_s) * each:5.1f} µs"
            )
        nursery.cancel_scope.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=60_000)
    parser.add_argument("--streams", default="1,1000")
    parser.add_argument("--rate", type=float, default=0.0, help="posts/s; 0: as fast as possible")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = start(PostgresOptions(Path(folder)))
        try:
            trio.run(measure, server, arguments)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
