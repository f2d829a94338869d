"""The asyncio side of the bridge: connections, and one unit of work on one of them.

    perform ─▶ slot ─▶ connection ─▶ BEGIN ─▶ work ─▶ COMMIT ─▶ connection back
               FIFO    idle, newest  CONNECTING WORKING  COMMITTING
                       first; or new

A lane is a bounded set of connections to one address; a lane of one connection is a journal's own. asyncpg's pool is not used:
it wraps every connection in a proxy and spends a round trip on resetting it (`RESET ALL`), which work that runs in a
transaction and changes no session state does not need.

Invariant: a connection is given back only when it is open, outside a transaction and owes no answer; every other one is closed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeVar

import asyncpg

from actors.storage_port import Unavailable
from persistence.faults import Phase

T = TypeVar("T")

Isolation = Literal["none", "read_committed", "snapshot"]
"""`none`: every statement commits by itself (one round trip for one statement); `read_committed`: one transaction, each statement sees
what was committed before it; `snapshot`: one transaction that sees one moment."""

Work = Callable[[asyncpg.Connection], Awaitable[T]]
"""Runs entirely on the asyncio side. It awaits only its connection, changes no session state, and may be run again on another
connection when it only reads."""

CONNECT_S: Final = 3.0
"""A loopback or same-rack server answers in milliseconds; a longer wait only hides that it is gone."""


@dataclass(frozen=True, slots=True)
class LaneOptions:
    """One address and how to use it. `pooler`: a transaction-pooling PgBouncer stands between."""

    name: str
    dsn: str
    connections_max: int
    pooler: bool = False
    connect_s: float = CONNECT_S
    session_settings: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Progress:
    """How far a unit of work is, for whoever must judge its failure or end it from outside."""

    phase: Phase = Phase.CONNECTING
    connection: asyncpg.Connection | None = field(default=None)
    begun_s: float = 0.0
    """When it got a connection, by the monotonic clock; 0: not yet."""

    @property
    def connection_closed(self) -> bool:
        return self.connection is not None and self.connection.is_closed()


class Lane:
    """A bounded set of connections. Lives and is used on the asyncio thread alone."""

    def __init__(self, options: LaneOptions) -> None:
        self._options = options
        self._slots = asyncio.Semaphore(options.connections_max)
        self._idle: list[asyncpg.Connection] = []
        self._open: set[asyncpg.Connection] = set()
        self._closed = False

    @property
    def connections_open(self) -> int:
        return len(self._open)

    async def perform(self, work: Work[T], isolation: Isolation, readonly: bool, progress: Progress) -> T:
        """Runs `work` on a connection of this lane; waits for one in order of arrival."""
        async with self._slots:
            connection = await self._connection()
            progress.connection = connection
            progress.begun_s = time.monotonic()
            clean = False
            try:
                value = await self._transact(connection, work, isolation, readonly, progress)
                clean = True
                return value
            except asyncpg.PostgresError:
                # The server's own answer: nothing is owed. Whatever else went by (a cancellation above all) is looked at below.
                clean = True
                raise
            finally:
                await self._give_back(connection, clean)

    async def _transact(
        self,
        connection: asyncpg.Connection,
        work: Work[T],
        isolation: Isolation,
        readonly: bool,
        progress: Progress,
    ) -> T:
        # Behind a transaction-pooling PgBouncer even one statement needs a transaction: asyncpg parses and executes in two messages, and
        # between them the pooler may change servers.
        if isolation == "none" and not self._options.pooler:
            progress.phase = Phase.COMMITTING
            return await work(connection)
        level = "repeatable_read" if isolation == "snapshot" else "read_committed"
        begun = False
        try:
            async with connection.transaction(isolation=level, readonly=readonly):
                begun = True
                progress.phase = Phase.WORKING
                value = await work(connection)
                progress.phase = Phase.COMMITTING
        finally:
            if not begun:
                # asyncpg remembers a transaction whose BEGIN failed or was cancelled, and would make every later one a savepoint inside
                # it: such a connection once failed all operations of a gateway until its tree gave up.
                connection.terminate()
        return value

    async def _connection(self) -> asyncpg.Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._open.discard(connection)
        if self._closed:
            raise Unavailable("closed", "this bridge is stopping")
        options = self._options
        connection = await asyncpg.connect(
            options.dsn,
            timeout=options.connect_s,
            # A pooler gives the next transaction another server, which never heard of our prepared statements.
            statement_cache_size=0 if options.pooler else 256,
            # A pooler refuses start-up parameters that it does not know.
            server_settings={
                "application_name": f"educonnect {options.name}",
                **({} if options.pooler else dict(options.session_settings)),
            },
        )
        self._open.add(connection)
        return connection

    async def _give_back(self, connection: asyncpg.Connection, clean: bool) -> None:
        if not clean and not connection.is_closed():
            if self._options.pooler:
                # A cancel request travels through the pooler by itself and may arrive late, at somebody else's query.
                connection.terminate()
            else:
                # asyncpg lets no query begin before the cancelled one has ended on the server: this waits for that.
                await _settle(connection)
        if connection.is_closed() or connection.is_in_transaction() or self._closed:
            connection.terminate()
            self._open.discard(connection)
        else:
            self._idle.append(connection)

    def close(self) -> None:
        """Closes what is idle now and the rest when it comes back."""
        self._closed = True
        while self._idle:
            connection = self._idle.pop()
            connection.terminate()
            self._open.discard(connection)

    def abort(self) -> None:
        """Closes everything at once."""
        self.close()
        for connection in list(self._open):
            connection.terminate()
        self._open.clear()


async def _settle(connection: asyncpg.Connection) -> None:
    try:
        await connection.execute("SELECT 1")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
        connection.terminate()
