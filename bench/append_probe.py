"""What the append costs with a later migration, beside what it cost before, and what slow mode costs where it is on.

    python -m bench.append_probe [--rounds 60] [--batch 500]

Starts its own Postgres (fsync on) in a temporary folder. The function before documents is kept beside the present one, called otherwise;
both take batches of posts in turns, over one connection, in the same tables: what the machine does besides hits both alike. Prints the
median of each in microseconds a post, commit included, and how far the present one is from the earlier.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from itertools import count
from pathlib import Path
from statistics import median

import asyncpg
import trio

from actors.storage import Entry
from persistence.bridge import Bridge, BridgeOptions
from persistence.migrate import MIGRATIONS, migrate
from persistence.operations.hot import Columns
from protocol.codes import Code
from protocol.operations import Say
from supervisors.embedded_postgres import PostgresOptions, start

EARLIER = "0026_moderation.sql"
EARLIER_ARGUMENTS = 13
PEOPLE = 1_000
TEXT = "see you at nine"


async def remember(connection: asyncpg.Connection) -> None:
    """The earlier function, as `journal_append_earlier`."""
    text = (MIGRATIONS / EARLIER).read_text("utf-8")
    begin = text.index("create or replace function journal_append(")
    end = text.index("-- Claims streams")
    await connection.execute(text[begin:end].replace("function journal_append(", "function journal_append_earlier(", 1))


async def people(connection: asyncpg.Connection) -> tuple[list[tuple[int, int]], list[int], int]:
    """(user, device) pairs, all learners in a space of a thousand channels, and one more channel in slow mode."""
    await connection.execute("select create_account(('u' || random())::citext, 'U', 'x') from generate_series(1, $1)", PEOPLE)
    users = [row[0] for row in await connection.fetch("select id from accounts order by id desc limit $1", PEOPLE)]
    devices = await connection.fetch(
        "insert into devices (user_id, generation) select u, 1 from unnest($1::bigint[]) u returning user_id, id", users
    )
    space = await connection.fetchval("insert into spaces (kind, name, created_by) values (1, 'bench', $1) returning id", users[0])
    await connection.execute("insert into members (space_id, user_id, role) select $1, u, 8 from unnest($2::bigint[]) u", space, users)
    sql = "insert into streams (space_id, kind, placement, slow_s) select $1, 3, $1, $3 from generate_series(1, $2) returning id"
    streams = [row[0] for row in await connection.fetch(sql, space, 1_000, 0)]
    slow: int = await connection.fetchval(sql, space, 1, 1)
    await connection.execute("vacuum analyze")
    return [(row[0], row[1]) for row in devices], streams, slow


class Poster:
    """Posts batches by one function or the other, in the name of one person after another."""

    def __init__(self, connection: asyncpg.Connection, devices: list[tuple[int, int]]) -> None:
        self._connection = connection
        self._devices = devices
        self._numbers = [0] * len(devices)
        self._next = count()

    async def post(self, streams: list[int], batch: int, function: str) -> float:
        """Seconds for one batch."""
        entries = []
        for _ in range(batch):
            n = next(self._next)
            at = n % len(self._devices)
            self._numbers[at] += 1
            user, device = self._devices[at]
            entries.append(Entry(user, device, 1, self._numbers[at], n, Say(streams[n % len(streams)], TEXT)))
        columns = Columns(entries)
        connection = _Renamed(self._connection, function)
        began = time.perf_counter()
        rows = await columns.append(connection)
        took_s = time.perf_counter() - began
        assert all(row["code"] == Code.OK for row in rows), "a post was refused"
        return took_s


class _Renamed:
    """A connection that calls another function."""

    def __init__(self, connection: asyncpg.Connection, function: str) -> None:
        self._connection = connection
        self._function = function

    async def fetch(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        if self._function != "journal_append":
            # Before there were documents it was not told what an update adds, and refers to.
            sql, arguments = sql.replace(", $14, $15, $16, $17, $18", ""), arguments[:EARLIER_ARGUMENTS]
        rows: list[asyncpg.Record] = await self._connection.fetch(sql.replace("journal_append(", f"{self._function}("), *arguments)
        return rows


async def compare(connection: asyncpg.Connection, rounds: int, batch: int) -> None:
    await remember(connection)
    devices, streams, slow = await people(connection)
    poster = Poster(connection, devices)
    for name, into in (("one stream", streams[:1]), ("1000 streams", streams)):
        took: dict[str, list[float]] = {"journal_append_earlier": [], "journal_append": []}
        for turn in range(rounds + 5):
            for function in sorted(took, reverse=bool(turn % 2)):
                took_s = await poster.post(into, batch, function)
                if turn >= 5:
                    took[function].append(took_s / batch * 1e6)
        before, now = median(took["journal_append_earlier"]), median(took["journal_append"])
        print(f"{name:13} earlier {before:6.1f} µs a post  now {now:6.1f} µs  {100 * (now / before - 1):+5.1f} %")
    took_slow = []
    for _ in range(rounds):
        # As if everybody had been silent for long enough: nobody waits here.
        await connection.execute("update slow_posts set at_ms = 0")
        took_slow.append(await poster.post([slow], min(batch, PEOPLE), "journal_append") / min(batch, PEOPLE) * 1e6)
    print(f"slow mode     now {median(took_slow):6.1f} µs a post")


async def run(dsn: str, rounds: int, batch: int) -> None:
    bridge = Bridge(BridgeOptions(dsn))
    async with trio.open_nursery() as nursery:
        await nursery.start(bridge.serve)
        await migrate(bridge)
        await bridge.run(lambda connection: compare(connection, rounds, batch), deadline_s=600.0, isolation="none")
        nursery.cancel_scope.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--batch", type=int, default=500)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = start(PostgresOptions(Path(folder)))
        try:
            trio.run(run, server.dsn, arguments.rounds, arguments.batch)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
