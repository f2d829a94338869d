"""Two ways to number events so that a reader can say "what came after n?". One of them loses events.

    Numbered   the product's: a counter row per stream, locked until the commit; positions are in the order of commits
    Serial     what is usually built: one table with a bigserial; positions are in the order of nextval(), commits in another

A writer that is slow to commit holds an early serial while later ones are committed and read: the reader's cursor has passed it for good.

Invariant: both are asked the same questions by the same writers and readers; only what lies between differs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Protocol

import asyncpg

from actors.storage import Events, ReadAfter
from persistence import queries
from persistence.operations.hot import Columns
from persistence.operations.merging import Merges
from persistence.operations.slow import carry_out
from proofs.gapping.verdict import Delivered
from proofs.gapping.world import Writer
from protocol.codes import Code
from protocol.entities import Entity, write_fields
from protocol.operations import Change, Edit, Say

PAGE_EVENTS: Final = 100
PAGE_BYTES: Final = 64 << 10

Written = tuple[int, int, bytes]
"""Stream, position and body of an event."""


class Cursors(Protocol):
    """A way to number events."""

    async def prepare(self, connection: asyncpg.Connection) -> None:
        """Makes what it needs in the database."""
        ...

    async def write(self, tx: asyncpg.Connection, writer: Writer, streams: Sequence[int], label: str) -> tuple[list[Written], int]:
        """Writes an event into each stream, inside a transaction that somebody else commits later, or never.

        Returns what was written and how many numbers of the writer's device that takes.
        """
        ...

    def committed(self, writer: Writer, written: Sequence[Written]) -> None:
        """Hears that a write's transaction has committed."""
        ...

    async def read(self, connection: asyncpg.Connection, after: Mapping[int, int]) -> dict[int, list[Delivered]]:
        """A page of what comes after each stream's position, ascending."""
        ...


class Numbered:
    """The product's own: all three ways to append, and the read that serves clients."""

    def __init__(self, reader: int, boards: Collection[int]) -> None:
        self._reader = reader
        self._boards = frozenset(boards)
        self._mine: dict[int, tuple[int, int]] = {}

    async def prepare(self, connection: asyncpg.Connection) -> None:
        """Nothing: the schema is there."""

    async def write(self, tx: asyncpg.Connection, writer: Writer, streams: Sequence[int], label: str) -> tuple[list[Written], int]:
        """Into boards, a batch of changes to records. Into channels a batch of messages; or, with one stream, an operation of the slow
        path, once there is something to edit."""
        if streams[0] in self._boards:
            return await self._change(tx, writer, streams, label)
        mine = self._mine.get(writer.user)
        if mine is not None and len(streams) == 1:
            stream, seq = mine
            outcome = await carry_out(tx, writer.entry(Edit(stream, seq, label)))
            assert outcome.code is Code.OK, outcome
            return [(fact.stream, fact.seq, fact.body) for fact in outcome.facts if fact.stream == stream], 1
        entries = [writer.entry(Say(stream, f"{label}.{n}"), n) for n, stream in enumerate(streams, 1)]
        columns = Columns(entries)
        decided, facts = columns.read(await columns.append(tx))
        assert all(one.code is Code.OK for one in decided), decided
        return [(fact.stream, fact.seq, fact.body) for fact in facts], len(entries)

    async def _change(self, tx: asyncpg.Connection, writer: Writer, streams: Sequence[int], label: str) -> tuple[list[Written], int]:
        fields = write_fields({1: label})
        entries = []
        for n, stream in enumerate(streams, 1):
            key = writer.user << 24 | writer.number + n  # nobody else's: whoever makes a record twice at once has to begin again
            entries.append(writer.entry(Change(stream, Entity.ACTION, key, 1, fields), n))
        merged = await Merges(entries).append(tx)
        assert all(one.code is Code.OK for one in merged.decided), merged.decided
        return [(fact.stream, fact.seq, fact.body) for fact in merged.facts if fact.stream in self._boards], len(entries)

    def committed(self, writer: Writer, written: Sequence[Written]) -> None:
        """Remembers a message that the writer may edit."""
        if written[0][0] not in self._boards:
            self._mine.setdefault(writer.user, written[0][:2])

    async def read(self, connection: asyncpg.Connection, after: Mapping[int, int]) -> dict[int, list[Delivered]]:
        pages = await queries.read_after(
            connection, [ReadAfter(stream, self._reader, seq, PAGE_EVENTS, PAGE_BYTES) for stream, seq in after.items()]
        )
        found = {}
        for stream, page in zip(after, pages, strict=True):
            assert isinstance(page, Events), page
            found[stream] = [(row.seq, row.body) for row in page.rows]
        return found


class Serial:
    """A table with a serial number, read after the highest one seen of each stream."""

    async def prepare(self, connection: asyncpg.Connection) -> None:
        await connection.execute(
            "create table serial_events (id bigserial primary key, stream_id bigint not null, body bytea not null);"
            "create index serial_events_by_stream on serial_events (stream_id, id)"
        )

    async def write(self, tx: asyncpg.Connection, writer: Writer, streams: Sequence[int], label: str) -> tuple[list[Written], int]:
        bodies = [f"{label}.{n}".encode() for n, _ in enumerate(streams, 1)]
        rows = await tx.fetch(
            "insert into serial_events (stream_id, body) select * from unnest($1::bigint[], $2::bytea[]) returning stream_id, id, body",
            list(streams),
            bodies,
        )
        return [(row["stream_id"], row["id"], row["body"]) for row in rows], 0

    def committed(self, writer: Writer, written: Sequence[Written]) -> None:
        """Nothing to remember."""

    async def read(self, connection: asyncpg.Connection, after: Mapping[int, int]) -> dict[int, list[Delivered]]:
        rows = await connection.fetch(
            "select q.stream, e.id, e.body from unnest($1::bigint[], $2::bigint[]) q (stream, after) cross join lateral"
            " (select id, body from serial_events where stream_id = q.stream and id > q.after order by id limit $3) e",
            list(after),
            list(after.values()),
            PAGE_EVENTS,
        )
        found: dict[int, list[Delivered]] = {stream: [] for stream in after}
        for stream, position, body in rows:
            found[stream].append((position, body))
        return found
