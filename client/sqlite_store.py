"""A store in one SQLite file: mutations, cursors and bookmarks survive the process, and a killed one.

    mutations(key, number, operation)   cursors(stream, seq)   bookmarks(name, position)   facts(device, epoch, version)

Write-ahead log with `synchronous=FULL`: what `append` returned is on the disk, not only in the page cache. One process at a time
holds the file (an exclusive lock, taken at the opening), because two sessions over one store would give one number twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from client.errors import ClientError
from client.store import Bookmark, Cause, Kept, Saved, orphaned

_SCHEMA = """
CREATE TABLE IF NOT EXISTS mutations (key INTEGER PRIMARY KEY AUTOINCREMENT, number INTEGER NOT NULL DEFAULT 0, operation BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS cursors (stream INTEGER PRIMARY KEY, seq INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS bookmarks (name TEXT PRIMARY KEY, position INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""


class StoreInUse(ClientError):
    """Another process has this store open."""


class SqliteStore:
    """A durable store at `path` (":memory:" for tests of the statements alone)."""

    def __init__(self, path: str | Path) -> None:
        self._database = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=True)
        try:
            self._database.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(_SCHEMA)
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._database.close()
            raise StoreInUse(f"{path}: {error}") from None

    def close(self) -> None:
        """Gives the file back."""
        self._database.close()

    def __enter__(self) -> SqliteStore:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def load(self) -> Saved:
        rows = self._database.execute("SELECT key, operation, number FROM mutations ORDER BY key")
        mutations = tuple(Kept(key, operation, number) for key, operation, number in rows)
        cursors = dict(self._database.execute("SELECT stream, seq FROM cursors"))
        return Saved(self._fact("device"), self._fact("epoch"), cursors, mutations)

    def bind(self, device: int) -> tuple[Kept, ...]:
        saved = self.load()
        orphans = orphaned(saved.device, device, saved.mutations)
        with self._transaction() as database:
            database.executemany("DELETE FROM mutations WHERE key = ?", [(orphan.key,) for orphan in orphans])
            self._set_fact("device", device)
        return orphans

    def append(self, operation: bytes, cause: Cause | None = None, bookmark: Bookmark | None = None) -> int:
        with self._transaction() as database:
            key = database.execute("INSERT INTO mutations (operation) VALUES (?) RETURNING key", (operation,)).fetchone()[0]
            if cause is not None:
                self._advance(cause.stream, cause.seq)
            if bookmark is not None:
                database.execute(
                    "INSERT INTO bookmarks VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET position = excluded.position",
                    (bookmark.name, bookmark.position),
                )
        return int(key)

    def number(self, numbers: Sequence[tuple[int, int]]) -> None:
        with self._transaction() as database:
            database.executemany("UPDATE mutations SET number = ? WHERE key = ?", [(number, key) for key, number in numbers])

    def settle(self, keys: Sequence[int]) -> None:
        with self._transaction() as database:
            database.executemany("DELETE FROM mutations WHERE key = ?", [(key,) for key in keys])

    def advance(self, cursors: Mapping[int, int]) -> None:
        with self._transaction():
            for stream, seq in cursors.items():
                self._advance(stream, seq)

    def forget(self, stream: int) -> None:
        self._database.execute("DELETE FROM cursors WHERE stream = ?", (stream,))

    def begin(self, epoch: int) -> None:
        with self._transaction() as database:
            if self._fact("epoch") not in (0, epoch):
                database.execute("DELETE FROM cursors")
            self._set_fact("epoch", epoch)

    def bookmark(self, name: str) -> int:
        row = self._database.execute("SELECT position FROM bookmarks WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row is not None else 0

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield self._database
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def _advance(self, stream: int, seq: int) -> None:
        self._database.execute(
            "INSERT INTO cursors VALUES (?, ?) ON CONFLICT (stream) DO UPDATE SET seq = max(seq, excluded.seq)", (stream, seq)
        )

    def _fact(self, name: str) -> int:
        row = self._database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row is not None else 0

    def _set_fact(self, name: str, value: int) -> None:
        self._database.execute("INSERT INTO facts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value))
