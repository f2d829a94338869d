"""An embedded Postgres with 12 people who are all members of 50 communities, made by the product's own operations.

Synchronisation with the disk is off: a machine does not fail here, and the delays are made on purpose.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from actors.storage import Entry
from persistence.migrate import apply_migrations, read_migrations
from persistence.operations.slow import Outcome, carry_out
from protocol.codes import Code
from protocol.operations import AnyOperation, CreateCommunity, Join
from protocol.values import StreamKind
from supervisors.embedded_postgres import PostgresOptions, start

SETTINGS: Final = {"fsync": "off", "shared_buffers": "64MB", "max_wal_size": "256MB", "io_method": "sync"}


class Writer:
    """A person with one device that numbers what it asks for. A number is used up by a commit alone."""

    def __init__(self, user: int, device: int) -> None:
        self.user = user
        self.device = device
        self.number = 0

    def entry(self, operation: AnyOperation, ahead: int = 1) -> Entry:
        """The operation under the `ahead`-th number after the last one committed."""
        number = self.number + ahead
        return Entry(self.user, self.device, 1, number, number, operation)


class World(msgspec.Struct, frozen=True):
    """Where everything happens: people, and of each community its channel and its board, which holds records."""

    dsn: str
    writers: tuple[Writer, ...]
    channels: tuple[int, ...]
    boards: tuple[int, ...]

    @property
    def streams(self) -> tuple[int, ...]:
        return self.channels + self.boards


@asynccontextmanager
async def open_world(folder: Path, *, writers: int, communities: int) -> AsyncIterator[World]:
    """A server of its own for the length of the block."""
    server = start(PostgresOptions(folder, settings=SETTINGS))
    try:
        connection = await asyncpg.connect(server.dsn)
        try:
            await apply_migrations(connection, read_migrations())
            people = [await _person(connection, f"writer{n}") for n in range(writers)]
            streams = [await _community(connection, people, n) for n in range(communities)]
            channels, boards = zip(*streams, strict=True)
        finally:
            await connection.close()
        yield World(server.dsn, tuple(people), channels, boards)
    finally:
        server.stop()


async def carry_out_now(connection: asyncpg.Connection, writer: Writer, operation: AnyOperation) -> Outcome:
    """One operation in a transaction of its own."""
    async with connection.transaction(isolation="read_committed"):
        outcome = await carry_out(connection, writer.entry(operation))
    assert outcome.code is Code.OK, outcome
    writer.number += 1
    return outcome


async def _person(connection: asyncpg.Connection, name: str) -> Writer:
    user: int = await connection.fetchval(
        "select user_id from create_account($1::text::citext, $1::text, 'none: nobody logs in with it')", name
    )
    device: int = await connection.fetchval("insert into devices (user_id, generation) values ($1, 1) returning id", user)
    return Writer(user, device)


async def _community(connection: asyncpg.Connection, people: list[Writer], number: int) -> tuple[int, int]:
    """Founds one that everybody is a member of; the streams of its channel and its board."""
    founder = people[number % len(people)]
    space = (await carry_out_now(connection, founder, CreateCommunity(f"community {number}"))).value
    for person in people:
        if person is not founder:
            await carry_out_now(connection, person, Join(space))
    rows = await connection.fetch("select kind, id from streams where space_id = $1", space)
    streams = {StreamKind(row["kind"]): row["id"] for row in rows}
    return streams[StreamKind.CHANNEL], streams[StreamKind.BOARD]
