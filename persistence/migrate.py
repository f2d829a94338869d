"""Brings a database to this program's schema: plain SQL files, in order, each exactly once.

    migrations/0001_name.sql ─▶ lock ─▶ compare with schema_migrations ─▶ apply what is missing ─▶ unlock
                                try,     a changed file is refused         one transaction each,
                                again                                      with its own record

Several gateways may start at once: one applies, the others wait and find nothing to do. The lock belongs to a session, so this
needs a direct connection to Postgres; a transaction-pooling PgBouncer would give lock and unlock to different servers.

Every migration is safe while the previous version of the program still runs, and so an older program starts on a newer schema:
applied versions beyond its own files are none of its business.

A file whose first line is `-- no transaction` holds one statement that Postgres refuses inside a transaction (CREATE INDEX
CONCURRENTLY). Its record is a second transaction, so write it such that running it again does no harm.

Invariant: a refused migration leaves nothing behind, and what is recorded as applied is what the file says.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import asyncpg
import outcome
import trio

from persistence.bridge import Bridge, BridgeOptions
from persistence.lanes import Work

MIGRATIONS: Final = Path(__file__).with_name("migrations")
LOCK_KEY: Final = 0x65_64_75_63  # "educ": advisory locks are one namespace per database
LOCK_POLL_S: Final = 0.02
DEADLINE_S: Final = 3600.0
DDL_LOCK_TIMEOUT: Final = "5s"
"""A change of schema that waits for a table's lock stops everybody who comes after it: give up soon, nothing is lost."""

_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_NO_TRANSACTION = "-- no transaction"
_TRANSACTION_WORDS = frozenset({"begin", "start", "commit", "end", "rollback", "abort", "savepoint", "prepare"})

_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    took_ms    integer NOT NULL
)"""


class MigrationRefused(Exception):
    """A migration cannot be applied. The text names file, line and reason; nothing of it remains in the database."""

    def __init__(self, file: str, line: int, reason: str) -> None:
        super().__init__(f"{file}:{line}: {reason}")
        self.file, self.line, self.reason = file, line, reason


@dataclass(frozen=True, slots=True)
class Migration:
    """One file. `checksum`: SHA-256 of its text, in hexadecimal."""

    version: int
    name: str
    sql: str
    checksum: str

    @property
    def file(self) -> str:
        return f"{self.version:04d}_{self.name}.sql"

    @property
    def in_transaction(self) -> bool:
        return self.sql.partition("\n")[0].strip() != _NO_TRANSACTION


def read_migrations(folder: Path = MIGRATIONS) -> tuple[Migration, ...]:
    """The files of `folder`, in order. Raises `MigrationRefused` for a name or number that is out of order."""
    found: list[Migration] = []
    for path in sorted(folder.glob("*.sql")):
        named = _FILE.fullmatch(path.name)
        if named is None:
            raise MigrationRefused(path.name, 1, "is not named like 0001_lower_case.sql")
        version = int(named[1])
        if version != len(found) + 1:
            raise MigrationRefused(path.name, 1, f"number {len(found) + 1:04d} is expected here")
        sql = path.read_text(encoding="utf-8")
        found.append(Migration(version, named[2], sql, hashlib.sha256(sql.encode()).hexdigest()))
    return tuple(found)


async def migrate(target: str | Bridge, *, folder: Path = MIGRATIONS, deadline_s: float = DEADLINE_S) -> list[Migration]:
    """Applies what is pending and returns it. `target`: a dsn that leads to Postgres directly, or a bridge that does."""
    migrations = read_migrations(folder)

    async def work(connection: asyncpg.Connection) -> list[Migration]:
        return await apply_migrations(connection, migrations)

    return await _on_own_connection(target, work, deadline_s)


async def pending(target: str | Bridge, *, folder: Path = MIGRATIONS, deadline_s: float = 30.0) -> list[Migration]:
    """What `migrate` would apply. Changes nothing."""
    migrations = read_migrations(folder)

    async def work(connection: asyncpg.Connection) -> list[Migration]:
        return await find_missing(connection, migrations)

    return await _on_own_connection(target, work, deadline_s)


async def _on_own_connection(target: str | Bridge, work: Work[list[Migration]], deadline_s: float) -> list[Migration]:
    if isinstance(target, Bridge):
        assert not target.pooled, "migrations need a dsn that leads to Postgres directly, not to PgBouncer"
        return await target.dedicated("migrate").run(work, deadline_s=deadline_s, isolation="none")
    bridge = Bridge(BridgeOptions(target, session_settings=()))
    async with trio.open_nursery() as nursery:
        await nursery.start(bridge.serve)
        lane = bridge.dedicated("migrate")
        # Kept until the nursery has ended, which would wrap it in a group.
        answer = await outcome.acapture(partial(lane.run, deadline_s=deadline_s, isolation="none"), work)
        nursery.cancel_scope.cancel()
    return answer.unwrap()


# -- the asyncio side -------------------------------------------------------------------------------------------------


async def apply_migrations(connection: asyncpg.Connection, migrations: Sequence[Migration]) -> list[Migration]:
    """`migrate` on a connection that the caller has: the only user of its session, outside a transaction."""
    await connection.execute(f"SET statement_timeout = 0; SET lock_timeout = '{DDL_LOCK_TIMEOUT}'")
    # Tried again and again instead of waited for: a waiting statement holds a snapshot, for which CREATE INDEX CONCURRENTLY in the
    # lock's holder would wait in turn.
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY):  # noqa: ASYNC110
        await asyncio.sleep(LOCK_POLL_S)
    try:
        await connection.execute(_TABLE)
        missing = await find_missing(connection, migrations)
        for migration in missing:
            await _apply(connection, migration)
        return missing
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", LOCK_KEY)


async def find_missing(connection: asyncpg.Connection, migrations: Sequence[Migration]) -> list[Migration]:
    if await connection.fetchval("SELECT to_regclass('schema_migrations') IS NULL"):
        return list(migrations)
    rows = await connection.fetch("SELECT version, name, checksum FROM schema_migrations ORDER BY version")
    applied = {row["version"]: row for row in rows}
    missing = []
    for migration in migrations:
        record = applied.get(migration.version)
        if record is None:
            if any(version > migration.version for version in applied):
                raise MigrationRefused(migration.file, 1, f"is new, but {max(applied):04d} has been applied already: renumber it")
            missing.append(migration)
        elif record["name"] != migration.name or record["checksum"] != migration.checksum:
            raise MigrationRefused(
                migration.file,
                1,
                f"was changed after it had been applied as {migration.version:04d}_{record['name']}.sql:"
                " restore it, and write a new migration",
            )
    return missing


async def _apply(connection: asyncpg.Connection, migration: Migration) -> None:
    began = time.monotonic()
    statements = list(split(migration))
    if migration.in_transaction:
        async with connection.transaction():
            for line, statement in statements:
                await _execute(connection, migration, line, statement)
            await _record(connection, migration, began)
    else:
        if len(statements) != 1:
            raise MigrationRefused(migration.file, 1, f"holds {len(statements)} statements, but has no transaction to hold them together")
        await _execute(connection, migration, *statements[0])
        await _record(connection, migration, began)


async def _execute(connection: asyncpg.Connection, migration: Migration, line: int, statement: str) -> None:
    try:
        await connection.execute(statement)
    except asyncpg.PostgresError as error:
        # Postgres counts characters from 1; a failure at run time has no position, so its statement's first line has to do.
        position = int(error.position) - 1 if error.position else 0
        reason = f"{error} ({error.sqlstate})" + (f"; {error.detail}" if error.detail else "")
        raise MigrationRefused(migration.file, line + statement.count("\n", 0, position), reason) from error


async def _record(connection: asyncpg.Connection, migration: Migration, began: float) -> None:
    await connection.execute(
        "INSERT INTO schema_migrations (version, name, checksum, took_ms) VALUES ($1, $2, $3, $4)",
        migration.version,
        migration.name,
        migration.checksum,
        round((time.monotonic() - began) * 1000),
    )


# -- statements -------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""
      (?P<blank>     \s+ | --[^\n]* )
    | (?P<comment>   /\* )
    | (?P<string>    \b[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*" )
    | (?P<dollar>    (?<![\w$]) \$(?:[^\W\d]\w*)?\$ )
    | (?P<end>       ; )
    | (?P<rest>      \w+ | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")


def split(migration: Migration) -> Iterator[tuple[int, str]]:
    """(first line, text) of each statement. Knows strings, dollar quotes and nested comments; function bodies in the style of
    `BEGIN ATOMIC` are refused, since their semicolons end nothing: write them in dollar quotes.
    """
    sql = migration.sql
    begin: int | None = None  # where the current statement's first token is
    words: list[str] = []
    at = 0
    while at < len(sql):
        token = _TOKEN.match(sql, at)
        assert token is not None, "the last alternative matches every character"
        kind, end = token.lastgroup, token.end()
        if kind == "comment":
            end = _comment_end(migration, at)
        elif kind == "dollar":
            closing = sql.find(token[0], end)
            if closing < 0:
                raise MigrationRefused(migration.file, _line(sql, at), f"{token[0]} is never closed")
            end = closing + len(token[0])
        if kind not in ("blank", "comment", "end"):
            if begin is None:
                begin, words = at, []
            words.append(token[0].lower() if kind == "rest" else "")
            _refuse(migration, words, at)
        if kind == "end" and begin is not None:
            yield _line(sql, begin), sql[begin:at]
            begin = None
        at = end
    if begin is not None:
        yield _line(sql, begin), sql[begin:].rstrip()


def _refuse(migration: Migration, words: list[str], at: int) -> None:
    if len(words) == 1 and words[0] in _TRANSACTION_WORDS:
        raise MigrationRefused(
            migration.file, _line(migration.sql, at), f"{words[0].upper()}: the transaction is not the file's to control"
        )
    if words[-2:] == ["begin", "atomic"]:
        raise MigrationRefused(migration.file, _line(migration.sql, at), "BEGIN ATOMIC: write the body in dollar quotes")
    if words[-1] in ("'", '"'):
        raise MigrationRefused(migration.file, _line(migration.sql, at), "a quote is never closed")


def _comment_end(migration: Migration, at: int) -> int:
    depth, position = 1, at + 2
    while depth:
        edge = _COMMENT_EDGE.search(migration.sql, position)
        if edge is None:
            raise MigrationRefused(migration.file, _line(migration.sql, at), "a comment is never closed")
        depth += 1 if edge[0] == "/*" else -1
        position = edge.end()
    return position


def _line(sql: str, at: int) -> int:
    return sql.count("\n", 0, at) + 1
