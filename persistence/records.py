"""Records that the server writes: grades, what might come next, what was noticed, drafts of questions.

    transaction ─▶ … ─▶ write_records: lock, compare, merge ─▶ records, events ─▶ commit ─▶ Facts to the herald

They lie in the same tables and are told by the same event as what people write; their author is 0. What the server writes knows the record
as it stands, so nothing is merged, and what is there already is not written again.

Invariant: locks are taken in the order of every transaction: devices, memberships, entities, what is ungraded, jobs, streams. So this is a
transaction's last call, once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import asyncpg
from msgspec import Struct

from actors.merging import FULL, Merging, Place
from actors.storage import Fact
from persistence.append import append_events
from persistence.operations.kept import Stood, events, read_room, write_down
from protocol.entities import TABLE, Fields, check
from protocol.merge import Record, Stamp, Written, unpack_record

WRITES_MAX: Final = 1_000
"""In one call: their rows are locked for some tens of milliseconds."""

_LOCK: Final = "select version, cells, is_tombstone from lock_records($1, $2, $3)"
_STREAMS: Final = "select array(select id from streams where id = any($1)) as streams, extract(epoch from clock_timestamp())::bigint as now"


class NoRoom(Exception):
    """A stream has as many records of this kind as it may have. Nothing was written. The text says which."""


class Write(Struct, frozen=True):
    """Fields of one record, of the present schema; or that it goes."""

    stream: int
    entity: int
    key: int
    fields: Fields
    gone: bool = False
    version: int = 0
    """Not 0: what was decided about the record's this version, and is left out where another stands, or none."""

    @property
    def place(self) -> Place:
        return Place(self.stream, self.entity, self.key)


async def write_record(tx: asyncpg.Connection, stream: int, entity: int, key: int, fields: Fields, *, gone: bool = False) -> list[Fact]:
    """`write_records` of one."""
    return await write_records(tx, [Write(stream, entity, key, fields, gone)])


async def write_records(tx: asyncpg.Connection, writes: Iterable[Write]) -> list[Fact]:
    """Writes these, each record once, in the caller's READ COMMITTED transaction, as its last call. Hand the facts to the herald once it
    has committed; without that, followers hear of it with the stream's next event.

    Of a stream that is gone nothing is written. Raises `BadFields` for fields beyond their bounds, `NoRoom`, and SQLSTATE ED001 or a unique
    violation where another transaction came first: run it again.
    """
    by_place = {write.place: write for write in writes}
    assert len(by_place) <= WRITES_MAX, f"at most {WRITES_MAX} records in one call"
    for write in by_place.values():
        check(TABLE[write.entity], write.fields)
    row = await tx.fetchrow(_STREAMS, sorted({place.stream for place in by_place}))
    assert row is not None
    there = set(row["streams"])
    places = sorted(place for place in by_place if place.stream in there)
    if not places:
        return []
    records, stood, room = await _lock(tx, places)
    merging = Merging(row["now"], {}, records, {}, room)
    stamp = Stamp(row["now"], 0, 0)
    for place in places:
        present = records.get(place, Record())
        if by_place[place].version and (present.is_gone or not present.cells or present.version != by_place[place].version):
            continue
        change = _change(by_place[place], present)
        if change is None:
            continue
        if not change.gone and not merging.has_room(place):
            raise NoRoom(f"stream {place.stream}, {TABLE[place.entity].entity.name}: {FULL}")
        merging.apply(place, change, 0, stamp)
    if not merging.written:
        return []
    await write_down(tx, merging, stood)
    return await append_events(tx, events(merging))


def _change(write: Write, record: Record) -> Written | None:
    """What of it is new; None: nothing."""
    if write.gone:
        return Written(record.version, {}, True) if record.cells and not record.is_gone else None
    fields = write.fields
    if not record.is_gone:
        present = record.fields
        fields = {number: value for number, value in fields.items() if present.get(number) != value}
    return Written(record.version, fields) if fields else None


async def _lock(tx: asyncpg.Connection, places: list[Place]) -> tuple[dict[Place, Record], dict[Place, Stood], dict[tuple[int, int], int]]:
    rows = await tx.fetch(_LOCK, [place.stream for place in places], [place.entity for place in places], [place.key for place in places])
    records: dict[Place, Record] = {}
    stood: dict[Place, Stood] = {}
    for place, row in zip(places, rows, strict=True):
        if row["version"] is not None:
            records[place] = unpack_record(row["cells"], place.entity)
            stood[place] = Stood(2 if row["is_tombstone"] else 1, row["version"])
    missing = [place for place in places if place not in records]
    room, forgotten = await read_room(tx, missing)
    records.update({place: Record(forgotten[place.stream]) for place in missing if place.stream in forgotten})
    return records, stood, room
