"""A store in one SQLite file: what a device was asked to keep survives the process, and a killed one. In memory it is the same.

    mutations ─settle─▶ settled    (committed: 30 days, 4,096)        records(stream, entity, key) ◀── apply, apply_page ──▶ cursors
              ─settle─▶ unapplied  (refused: until discarded)         sizes (by triggers)   snapshots   bookmarks   notes   facts

Each call is one transaction of the write-ahead log, so a process that is killed anywhere leaves whole calls. What a power cut may take is
another matter: only calls with a promise to the outside wait for the disk (`synchronous=FULL`): `append`, whose caller may forget the text;
`number`, because a number that reached the server must never be given twice; `bind` and `inherit`, because numbers are a device's. Others
use `NORMAL`: a power cut may take the last of them, the log only ever loses its end, and whatever they held is asked for again from the
server, which still has it: an outcome by number, events by cursor, pages by mark. The reason: on a virtual machine's SSD a call that
waits took 2.4 ms and one that does not 0.16 ms (`python -m bench.store_probe`), and each wait is a write of a phone's flash.

One process at a time holds the file (an exclusive lock, taken at the opening): two sessions over one store would give one number twice.

Invariant: after any kill the file is the state after some call, not earlier than the last one that returned.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from client import store_schema
from client.errors import ClientError
from client.store import (
    Bookmark,
    Cause,
    Confirmed,
    Kept,
    Saved,
    Settled,
    Size,
    SnapshotMark,
    Unapplied,
    orphaned,
    read_change,
    written_version,
)
from protocol.entities import Fields, read_fields, upcast, write_fields

SETTLED_MAX = 4096
"""Committed mutations kept for the case that the database is restored to a time before them: weeks of a busy person."""
SETTLED_S = 30 * 86_400
"""And no longer than this: a database is not restored to an earlier time."""
SETTLED_LEAST = 256
"""As many stay whatever the clock says, which may be years ahead today and right tomorrow."""
UNAPPLIED_MAX = 10_000
"""Refused mutations kept for the person; beyond it the oldest go. Nobody reads so many, and a broken program makes them quickly."""


class StoreInUse(ClientError):
    """Another process has this store open."""


class StoreUnreadable(ClientError):
    """The file is no store, may not be written, or a newer version of this program has changed its layout."""


class StoreFailed(ClientError):
    """The disk is full or broken: the call that raises this has changed nothing."""


class SqliteStore:
    """A durable store at `path`. Used by the thread that opened it; calls block for a disk's write at most.

    Raises `StoreInUse`, `StoreUnreadable`; any call that writes, `StoreFailed`.
    """

    def __init__(self, path: str | Path) -> None:
        self._durable = str(path) != ":memory:"
        try:
            # What lives in memory alone is closed by the collector, which may run in any thread.
            self._database = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=self._durable)
        except sqlite3.OperationalError as error:
            raise StoreUnreadable(f"{path}: {error}") from None
        try:
            store_schema.open_database(self._database, durable=self._durable)
        except (sqlite3.DatabaseError, store_schema.NewerLayout) as error:
            self._database.close()
            if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_BUSY:
                raise StoreInUse(f"another program has {path} open") from None
            raise StoreUnreadable(f"{path}: {error}") from None

    def close(self) -> None:
        """Gives the file back."""
        self._database.close()

    def copy(self) -> MemoryStore:
        """A copy of its own in memory, as if the file had been copied."""
        copied = MemoryStore()
        self._database.backup(copied._database)
        return copied

    def __enter__(self) -> SqliteStore:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def load(self) -> Saved:
        rows = self._database.execute
        return Saved(
            self._fact("device"),
            self._fact("epoch"),
            dict(rows("SELECT stream, seq FROM cursors")),
            self._mutations(),
            tuple(Kept(*row) for row in rows("SELECT key, operation, number, echo FROM settled ORDER BY key")),
            self._fact("last_number"),
            self._fact("inherited_from"),
            tuple(SnapshotMark(*row) for row in rows("SELECT stream, head, entity, key FROM snapshots ORDER BY stream")),
        )

    # Mutations

    def bind(self, device: int) -> tuple[Kept, ...]:
        before = self._fact("device")
        if before == device:
            return ()
        orphans = orphaned(before, device, self._mutations())
        with self._transaction(synced=True) as database:
            database.executemany("DELETE FROM mutations WHERE key = ?", [(orphan.key,) for orphan in orphans])
            self._change_device(device)
            self._set_fact("inherited_from", 0)
        return orphans

    def append(self, operation: bytes, cause: Cause | None = None, bookmark: Bookmark | None = None) -> int:
        with self._transaction(synced=True) as database:
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
        with self._transaction(synced=True) as database:
            database.executemany("UPDATE mutations SET number = ? WHERE key = ?", [(number, key) for key, number in numbers])
            self._set_fact("last_number", max([self._fact("last_number"), *(number for _, number in numbers)]))

    def settle(self, settled: Sequence[Settled]) -> None:
        with self._transaction() as database:
            inherited = self._fact("inherited_from")
            for one in settled:
                row = database.execute("DELETE FROM mutations WHERE key = ? RETURNING number, operation", (one.key,)).fetchone()
                if row is None:
                    continue
                number, operation = row
                if one.code:
                    database.execute("INSERT INTO unapplied VALUES (?, ?, ?, ?, ?)", (one.key, operation, one.code, one.detail, one.at))
                    continue
                change = read_change(operation)
                stream, echo = (change.stream, written_version(one.code, one.value)) if change is not None else (0, 0)
                kept_number = 0 if inherited else number  # as in `_change_device`: it is the number of a device before
                database.execute("INSERT INTO settled VALUES (?, ?, ?, ?, ?, ?)", (one.key, kept_number, operation, one.at, stream, echo))
            if settled:
                self._prune(max(one.at for one in settled))

    def _prune(self, now_s: int) -> None:
        """Keys ascend in the order of asking, so the lowest are the oldest."""
        self._database.execute(
            "DELETE FROM settled WHERE key <= (SELECT key FROM settled ORDER BY key DESC LIMIT 1 OFFSET ?) "
            "OR (at < ? AND key <= (SELECT key FROM settled ORDER BY key DESC LIMIT 1 OFFSET ?))",
            (SETTLED_MAX, now_s - SETTLED_S, SETTLED_LEAST),
        )
        self._database.execute(
            "DELETE FROM unapplied WHERE key <= (SELECT key FROM unapplied ORDER BY key DESC LIMIT 1 OFFSET ?)", (UNAPPLIED_MAX,)
        )

    def unapplied(self) -> list[Unapplied]:
        rows = self._database.execute("SELECT key, operation, code, detail, at FROM unapplied ORDER BY key")
        return [Unapplied(*row) for row in rows]

    def discard(self, key: int) -> None:
        with self._transaction() as database:
            database.execute("DELETE FROM unapplied WHERE key = ?", (key,))

    def ask_again(self, keys: Sequence[int]) -> None:
        with self._transaction() as database:
            for key in keys:
                database.execute("INSERT INTO mutations (key, operation) SELECT key, operation FROM settled WHERE key = ?", (key,))
                database.execute("DELETE FROM settled WHERE key = ?", (key,))

    def freeze_again(self, changes: Sequence[tuple[int, bytes]]) -> None:
        with self._transaction() as database:
            database.executemany("UPDATE mutations SET operation = ?, number = 0 WHERE key = ?", [(frozen, key) for key, frozen in changes])

    def inherit(self, device: int) -> None:
        before = self._fact("device")
        if before == device:
            return
        with self._transaction(synced=True):
            # Inherited twice before the first was cleared up: nothing was numbered in between, so the numbers are still the first one's.
            inherited = self._fact("inherited_from")
            numbered = any(kept.number for kept in self._mutations())
            self._change_device(device)
            self._set_fact("inherited_from", (inherited or before) if numbered else 0)

    def inherited(self, free: Sequence[int]) -> None:
        with self._transaction(synced=True) as database:
            database.executemany("UPDATE mutations SET number = 0 WHERE key = ?", [(key,) for key in free])
            self._set_fact("inherited_from", 0)

    def _change_device(self, device: int) -> None:
        """Numbers are a device's: what was committed under the one before has none that means anything now."""
        self._set_fact("device", device)
        self._set_fact("last_number", 0)
        self._database.execute("UPDATE settled SET number = 0")

    def _mutations(self) -> tuple[Kept, ...]:
        return tuple(Kept(*row) for row in self._database.execute("SELECT key, operation, number FROM mutations ORDER BY key"))

    # Streams and records

    def advance(self, cursors: Mapping[int, int]) -> None:
        with self._transaction():
            for stream, seq in cursors.items():
                self._advance(stream, seq)

    def forget(self, stream: int) -> None:
        with self._transaction() as database:
            for table in ("cursors", "snapshots", "records", "sizes"):
                database.execute(f"DELETE FROM {table} WHERE stream = ?", (stream,))
            database.execute("UPDATE settled SET echo = 0 WHERE stream = ?", (stream,))

    def begin(self, epoch: int) -> None:
        before = self._fact("epoch")
        if before == epoch:
            return
        with self._transaction() as database:
            if before:
                database.execute("DELETE FROM cursors")
                database.execute("DELETE FROM snapshots")
                database.execute("UPDATE settled SET echo = 0")
            self._set_fact("epoch", epoch)

    def apply(self, stream: int, upto: int, records: Sequence[Confirmed]) -> None:
        with self._transaction():
            for record in records:
                held = self.record(stream, record.entity, record.key)
                if held is None:
                    self._write(record, record.fields, None)
                elif held.version < record.version:
                    self._write(record, {**held.fields, **record.fields}, None)
            self._advance(stream, upto)

    def apply_page(self, mark: SnapshotMark, records: Sequence[Confirmed], more: bool) -> None:
        with self._transaction() as database:
            row = database.execute("SELECT head, serial FROM snapshots WHERE stream = ?", (mark.stream,)).fetchone()
            if row is None:
                # Each snapshot has a serial, which its records carry: at its end those that carry another one are gone.
                self._set_fact("snapshot", self._fact("snapshot") + 1)
                row = (mark.head, self._fact("snapshot"))
            head, serial = row
            for record in records:
                self._write(record, record.fields, serial)
            if more:
                database.execute(
                    "INSERT INTO snapshots VALUES (?, ?, ?, ?, ?) "
                    "ON CONFLICT (stream) DO UPDATE SET entity = excluded.entity, key = excluded.key",
                    (mark.stream, head, mark.entity, mark.key, serial),
                )
                return
            database.execute("DELETE FROM snapshots WHERE stream = ?", (mark.stream,))
            database.execute("DELETE FROM records WHERE stream = ? AND serial <> ?", (mark.stream, serial))
            database.execute("UPDATE settled SET echo = 0 WHERE stream = ?", (mark.stream,))
            database.execute("INSERT INTO cursors VALUES (?, ?) ON CONFLICT (stream) DO UPDATE SET seq = excluded.seq", (mark.stream, head))

    def record(self, stream: int, entity: int, key: int) -> Confirmed | None:
        found = self._records("stream = ? AND entity = ? AND key = ?", (stream, entity, key))
        return found[0] if found else None

    def records(self, stream: int, entity: int) -> list[Confirmed]:
        return self._records("stream = ? AND entity = ? AND NOT gone ORDER BY key", (stream, entity))

    def _records(self, where: str, values: tuple[int, ...]) -> list[Confirmed]:
        rows = self._database.execute(f"SELECT stream, entity, key, version, fields, gone FROM records WHERE {where}", values)
        return [
            Confirmed(stream, entity, key, version, upcast(entity, read_fields(fields)), bool(gone))
            for stream, entity, key, version, fields, gone in rows
        ]

    def _write(self, record: Confirmed, fields: Fields, serial: int | None) -> None:
        """`serial` None, for an event: a record that a snapshot has not brought stays so, and what came here comes again after its head."""
        packed = bytes(write_fields({} if record.gone else upcast(record.entity, fields)))
        self._database.execute(
            "INSERT INTO records VALUES (:stream, :entity, :key, :version, :fields, :gone, coalesce(:serial, 0)) "
            "ON CONFLICT (stream, entity, key) DO UPDATE SET version = excluded.version, fields = excluded.fields, gone = excluded.gone, "
            "serial = coalesce(:serial, serial)",
            {
                "stream": record.stream,
                "entity": record.entity,
                "key": record.key,
                "version": record.version,
                "fields": packed,
                "gone": record.gone,
                "serial": serial,
            },
        )

    def sizes(self) -> list[Size]:
        return [Size(*row) for row in self._database.execute("SELECT stream, size_bytes, records FROM sizes ORDER BY stream")]

    # Small things

    def note(self, name: str, value: bytes) -> None:
        with self._transaction() as database:
            if value:
                database.execute("INSERT INTO notes VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value))
            else:
                database.execute("DELETE FROM notes WHERE name = ?", (name,))

    def noted(self, name: str) -> bytes:
        row = self._database.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return bytes(row[0]) if row is not None else b""

    def bookmark(self, name: str) -> int:
        row = self._database.execute("SELECT position FROM bookmarks WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row is not None else 0

    @contextmanager
    def _transaction(self, synced: bool = False) -> Iterator[sqlite3.Connection]:
        if self._durable:
            self._database.execute(f"PRAGMA synchronous={'FULL' if synced else 'NORMAL'}")
        try:
            self._database.execute("BEGIN IMMEDIATE")
            yield self._database
            self._database.execute("COMMIT")
        except BaseException as error:
            # SQLite has rolled back by itself where the disk was full.
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError):
                raise StoreFailed(f"this device's store cannot be written: {error}") from None
            raise

    def _advance(self, stream: int, seq: int) -> None:
        self._database.execute(
            "INSERT INTO cursors VALUES (?, ?) ON CONFLICT (stream) DO UPDATE SET seq = max(seq, excluded.seq)", (stream, seq)
        )

    def _fact(self, name: str) -> int:
        row = self._database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row is not None else 0

    def _set_fact(self, name: str, value: int) -> None:
        self._database.execute("INSERT INTO facts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value))


class MemoryStore(SqliteStore):
    """A store that lives as long as its process. It can be handed to the next session of the same process."""

    def __init__(self) -> None:
        super().__init__(":memory:")

    def __del__(self) -> None:
        # Nobody closes what needs no closing; newer Pythons warn of a connection that is not closed.
        self._database.close()
