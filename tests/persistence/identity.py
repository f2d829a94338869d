"""What tests of accounts and sessions share: a herald that remembers, people, and time that is moved by ageing rows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import asyncpg
import msgspec

from actors.accounts import Caller, Claims, Credentials, Declined, Opened, Registration
from actors.storage import CONTROL_STREAM, Fact
from persistence.accounts import PostgresAccounts
from persistence.bridge import Bridge
from protocol.codec import decode_body
from protocol.events import SessionRevoked

T = TypeVar("T")
U = TypeVar("U")

CALLER = Caller("192.0.2.7", "test/1")


class Listening:
    """A herald that keeps what it is told."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []

    def committed(self, facts: Sequence[Fact]) -> None:
        self.facts.extend(facts)

    @property
    def revoked(self) -> list[tuple[int, int]]:
        """(user, session) of each SessionRevoked, in order."""
        found = []
        for fact in self.facts:
            assert fact.stream == CONTROL_STREAM
            body = decode_body(fact.body)
            assert isinstance(body, SessionRevoked)
            found.append((body.user, body.session))
        return found


async def register(accounts: PostgresAccounts, name: str = "ada") -> Opened:
    opened = await accounts.register(Registration(name, name.title(), "$argon2id$of " + name, "phone"), CALLER)
    assert isinstance(opened, Opened), opened
    return opened


async def log_in(accounts: PostgresAccounts, user: int, device: int = 0) -> Opened:
    opened = await accounts.log_in(user, device, "", None, CALLER)
    assert isinstance(opened, Opened), opened
    return opened


async def credentials(accounts: PostgresAccounts, user: int) -> Credentials:
    """What a password is compared with now."""
    names = await accounts.find_names(user)
    found = None if names is None else await accounts.find_credentials(names.name)
    assert found is not None
    return found


async def refresh(accounts: PostgresAccounts, token: str) -> Opened:
    opened = await accounts.refresh(token, CALLER)
    assert isinstance(opened, Opened), opened
    return opened


def claims(opened: Opened) -> Claims:
    return Claims(opened.user, opened.device, opened.session, 0, 2**31)


def code(answer: object) -> int:
    assert isinstance(answer, Declined), answer
    return answer.code


async def query(bridge: Bridge, sql: str, *values: object) -> list[asyncpg.Record]:
    async def work(tx: asyncpg.Connection) -> list[asyncpg.Record]:
        return list(await tx.fetch(sql, *values))

    return await bridge.run(work, deadline_s=10.0)


AGE_TOKENS = """
UPDATE refresh_tokens SET issued_at = issued_at - make_interval(secs => $1), expires_at = expires_at - make_interval(secs => $1),
    used_at = used_at - make_interval(secs => $1)
"""
AGE_SESSIONS = """
UPDATE sessions SET expires_at = expires_at - make_interval(secs => $1), last_seen_at = last_seen_at - make_interval(secs => $1)
"""


async def let_pass(bridge: Bridge, seconds: float) -> None:
    """Makes everything that has a time older, which is what waiting would do."""
    await query(bridge, AGE_TOKENS, seconds)
    await query(bridge, AGE_SESSIONS, seconds)


async def generation(bridge: Bridge, device: int) -> int:
    (row,) = await query(bridge, "SELECT generation FROM devices WHERE id = $1", device)
    value: int = row["generation"]
    return value


async def stored_text(bridge: Bridge) -> str:
    """Every column of every table that identity writes, as one text: to look for what must not be there."""
    parts = []
    for table in ("accounts", "devices", "sessions", "refresh_tokens", "audit_log", "log", "streams"):
        parts += [row[0] for row in await query(bridge, f"SELECT t::text FROM {table} t")]
    return "\n".join(parts)


def encoded(user: int, session: int) -> bytes:
    return msgspec.msgpack.encode(SessionRevoked(user, session))


def overlap(
    dsn: str, first: Callable[[asyncpg.Connection], Awaitable[T]], second: Callable[[asyncpg.Connection], Awaitable[U]]
) -> tuple[T, U]:
    """Runs `second` while everything of `first` is done but its commit: the interleaving that a race only sometimes meets.

    `first` commits when `second` waits for it, or has ended without waiting.
    """

    async def transact(connection: asyncpg.Connection) -> U:
        async with connection.transaction():
            return await second(connection)

    async def body() -> tuple[T, U]:
        one, other, watcher = [await asyncpg.connect(dsn) for _ in range(3)]
        try:
            async with one.transaction():
                answer = await first(one)
                task = asyncio.create_task(transact(other))
                while not task.done() and not await watcher.fetchval(  # noqa: ASYNC110 (Postgres tells nobody who waits)
                    "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $1", other.get_server_pid()
                ):
                    await asyncio.sleep(0)
            return answer, await task
        finally:
            for connection in (one, other, watcher):
                await connection.close()

    return asyncio.run(body())
