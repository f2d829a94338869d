"""One real Postgres for a test process, and a fresh, migrated database of it for each test.

    session   postgres_server ─▶ template (migrated once)
    test      database ─▶ CREATE DATABASE … TEMPLATE … ─▶ bridge
                          (also `empty_database`)

Each xdist worker has its own server, on a unix socket in a temporary folder: nothing is shared with any other process. fsync is off,
since only the disk could tell; a test of durability starts a server of its own.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
import trio

from persistence.bridge import Bridge, BridgeOptions
from persistence.migrate import apply_migrations, read_migrations
from supervisors.embedded_postgres import Postgres, PostgresOptions, start

TEST_SETTINGS = {
    "fsync": "off",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "max_wal_size": "256MB",
    "io_method": "sync",
    "autovacuum": "off",
}
TEMPLATE = "template_educonnect"

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server for this test process. A test that kills or stops a server starts one of its own."""
    server = start(PostgresOptions(Path(tmp_path_factory.mktemp("postgres")), settings=TEST_SETTINGS))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres_template(postgres_server: Postgres) -> str:
    """The name of a database that is migrated and has no connections."""
    execute(postgres_server.dsn, f"CREATE DATABASE {TEMPLATE}")
    asyncio.run(_migrate(postgres_server.dsn_for(TEMPLATE)))
    return TEMPLATE


@pytest.fixture
def database(postgres_server: Postgres, postgres_template: str) -> Iterator[str]:
    """The dsn of a fresh database with the whole schema."""
    yield from _lend_database(postgres_server, postgres_template)


@pytest.fixture
def empty_database(postgres_server: Postgres) -> Iterator[str]:
    """The dsn of a fresh database with nothing in it."""
    yield from _lend_database(postgres_server, "template0")


@pytest.fixture
async def bridge(database: str) -> AsyncIterator[Bridge]:
    """A serving bridge to a fresh, migrated database."""
    async with serving(Bridge(BridgeOptions(database))) as bridge:
        yield bridge


@asynccontextmanager
async def serving(bridge: Bridge) -> AsyncIterator[Bridge]:
    """Runs a bridge while the block lasts."""
    async with trio.open_nursery() as nursery:
        await nursery.start(bridge.serve)
        yield bridge
        nursery.cancel_scope.cancel()


@pytest.fixture(scope="session")
def free_port() -> int:
    """A loopback TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def execute(dsn: str, *statements: str) -> None:
    """Runs statements on a connection of their own, from synchronous code. Blocks."""

    async def body() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(body())


def _lend_database(server: Postgres, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    # Copying the files takes 26 ms where writing them through the log takes 318.
    execute(server.dsn, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    yield server.dsn_for(name)
    execute(server.dsn, f"DROP DATABASE {name} WITH (FORCE)")


async def _migrate(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await apply_migrations(connection, read_migrations())
    finally:
        await connection.close()
