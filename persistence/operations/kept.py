"""What a `Merging` decided, on its way into the tables, and what it needs to be told first.

    lock_record, load_conflicts ─▶ Merging ─▶ settle: ids, common ─▶ writes ─▶ merge_write
                                  (decides)                       ╰▶ events, for the last call

Used by batches (`merging.py`) and by operations that change one record (resolve, release, set back).

Invariant: `settle` comes after the last decision and before `writes`: an outcome that names a conflict needs its id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import asyncpg
from msgspec import Struct

from actors.merging import RECORDS_MAX, Draft, Kept, Merging, Place
from persistence.append import NewEvent, event, kind_of, storable
from persistence.operations.ungraded import find_ungraded, order_arguments
from protocol import codec
from protocol.entities import Fields, read_fields, write_fields
from protocol.events import ConflictNoted
from protocol.merge import Record, Stamp, pack_record, unpack_record
from protocol.values import ConflictState, KeptAs

CONFLICT_NOTED: Final = kind_of(ConflictNoted)
VERSIONS_SEARCHED_MAX: Final = 200
"""Kept values of one record that are looked through for what two sides had in common: the newest."""

WRITES: Final = 48
WRITE: Final = f"merge_write({', '.join(f'${n}' for n in range(1, WRITES + 1))})"
"""The call that takes `writes` as its arguments."""


class Stood(Struct, frozen=True):
    """What a transaction found in a record's place, and wants to find there when it writes. `was`: 0 nothing, 1 a record, 2 a tombstone."""

    was: int = 0
    version: int = 0


NOTHING_STOOD: Final = Stood()
IS_THERE: Final = 1


async def lock_record(tx: asyncpg.Connection, place: Place) -> tuple[Record, Stood]:
    """Locks one record, or what is left of it, and reads it. After devices and spaces, before streams."""
    row = await tx.fetchrow("select version, cells, is_tombstone from lock_record($1, $2, $3)", *place)
    assert row is not None
    if row["version"] is None:
        forgotten: int | None = await tx.fetchval("select forgotten from streams where id = $1", place.stream)
        return Record(forgotten or 0), NOTHING_STOOD
    return unpack_record(row["cells"], place.entity), Stood(2 if row["is_tombstone"] else 1, row["version"])


async def load_conflicts(tx: asyncpg.Connection, ids: Iterable[int]) -> list[Draft]:
    """Locks and reads conflicts, ascending. Their records are locked already."""
    rows = await tx.fetch("select * from sync_conflicts where id = any($1) order by id for update", sorted(ids))
    return [draft_of(row) for row in rows]


def draft_of(row: asyncpg.Record) -> Draft:
    """A row of sync_conflicts."""
    return Draft(
        Place(row["stream_id"], row["entity"], row["key"]),
        row["user_id"],
        row["device_id"],
        row["number"],
        ConflictState(row["state"]),
        row["written_at"],
        row["base"],
        row["version"],
        read_fields(row["mine"]),
        read_fields(row["theirs"]),
        read_fields(row["common"]),
        row["gone"],
        row["id"],
    )


async def read_room(tx: asyncpg.Connection, missing: Iterable[Place]) -> tuple[dict[tuple[int, int], int], dict[int, int]]:
    """How many more records of a stream and entity may be made, where some of `missing` are to be, and above which version by stream.

    Two gateways at once may make a few more than there is room for. No round trip without any."""
    kinds = sorted({(place.stream, place.entity) for place in missing})
    if not kinds:
        return {}, {}
    rows = await tx.fetch(
        "select stream, entity, made, forgotten from count_records($1, $2, $3)",
        [stream for stream, _ in kinds],
        [entity for _, entity in kinds],
        RECORDS_MAX,
    )
    room = {(row["stream"], row["entity"]): RECORDS_MAX - row["made"] for row in rows}
    return room, {row["stream"]: row["forgotten"] for row in rows if row["forgotten"]}


async def settle(tx: asyncpg.Connection, merging: Merging) -> list[Draft]:
    """Gives new conflicts their ids, and every conflict what both sides began from. Returns the new ones. No round trip without any."""
    new = merging.new_drafts
    if new:
        ids = await tx.fetch("select conflict_ids($1)", len(new))
        for draft, (id,) in zip(new, ids, strict=True):
            draft.id = id
    based = merging.based
    if based:
        merging.fill_common(await _versions(tx, based))
    return new


async def _versions(tx: asyncpg.Connection, places: Sequence[Place]) -> list[Kept]:
    rows = await tx.fetch(
        "select v.* from unnest($1::bigint[], $2::smallint[], $3::bigint[]) as p (stream, entity, key)"
        " cross join lateral (select * from entity_versions v where v.stream_id = p.stream and v.entity = p.entity and v.key = p.key"
        " and v.kept = any($4::smallint[]) order by v.place desc limit $5) v",
        *_places(places),
        [KeptAs.EDITED, KeptAs.OVERWRITTEN],
        VERSIONS_SEARCHED_MAX,
    )
    return [
        Kept(
            Place(row["stream_id"], row["entity"], row["key"]),
            KeptAs(row["kept"]),
            row["version"],
            row["author"],
            Stamp(row["at"], row["device_id"], row["number"]),
            read_fields(row["fields"]),
        )
        for row in rows
    ]


def writes(merging: Merging, stood: Mapping[Place, Stood], new: Iterable[Draft]) -> list[Any]:
    """The arguments of merge_write, each group sorted as its rows are locked."""
    added = {id(draft) for draft in new}
    records = sorted(merging.written.items())
    before = [stood.get(place, NOTHING_STOOD) for place, _ in records]
    kept, queue = merging.kept, merging.unapplied
    drafts = sorted(merging.drafts.values(), key=lambda draft: draft.id)
    return [
        *_places([place for place, _ in records]),
        [one.was for one in before],
        [one.version for one in before],
        [record.version for _, record in records],
        [pack_record(record) for _, record in records],
        [record.is_gone for _, record in records],
        [merging.writers[place] for place, _ in records],
        *_places([one.place for one in kept]),
        [one.version for one in kept],
        [one.kept for one in kept],
        [one.author for one in kept],
        [one.stamp.device for one in kept],
        [one.stamp.number for one in kept],
        [one.stamp.at for one in kept],
        [_bytes(one.fields) for one in kept],
        [draft.id for draft in drafts],
        [id(draft) in added for draft in drafts],
        *_places([draft.place for draft in drafts]),
        [draft.user for draft in drafts],
        [draft.device for draft in drafts],
        [draft.number for draft in drafts],
        [draft.state for draft in drafts],
        [draft.written_at for draft in drafts],
        [draft.base for draft in drafts],
        [draft.version for draft in drafts],
        [_bytes(draft.mine) for draft in drafts],
        [_bytes(draft.theirs) for draft in drafts],
        [_bytes(draft.common) for draft in drafts],
        [draft.gone for draft in drafts],
        [one.community for one in queue],
        [one.entry.user for one in queue],
        [one.entry.device for one in queue],
        [one.entry.number for one in queue],
        [one.code for one in queue],
        [storable(one.detail) for one in queue],
        [one.operation for one in queue],
        [one.left for one in queue],
        CONFLICT_NOTED,
        [note.user for note in merging.notes],
        [note.draft.place.stream for note in merging.notes],
        [note.by for note in merging.notes],
        [codec.encode(noted(note.draft, note.by)) for note in merging.notes],
    ]


def noted(draft: Draft, by: int) -> ConflictNoted:
    """What an inbox is told of a conflict."""
    return ConflictNoted(draft.id, *draft.place, draft.state, by)


async def write_down(tx: asyncpg.Connection, merging: Merging, stood: Mapping[Place, Stood]) -> None:
    """Writes what was decided, but for events and outcomes: those come with the transaction's last call. Raises SQLSTATE ED001 where a
    record is not as it was found: run the transaction again."""
    new = await settle(tx, merging)
    await tx.execute(f"select {WRITE}", *writes(merging, stood, new))
    ungraded = find_ungraded(merging)
    if ungraded:
        ordered = order_arguments(ungraded)
        await tx.execute("select order_grading(true, $1, $2, $3, $4)", *ordered)


def events(merging: Merging) -> tuple[NewEvent, ...]:
    """What readers are told, in order."""
    return tuple(event(one.stream, one.author, one.body) for one in merging.told.events)


def _places(places: Sequence[Place]) -> tuple[list[int], list[int], list[int]]:
    return [place.stream for place in places], [place.entity for place in places], [place.key for place in places]


def _bytes(fields: Fields) -> bytes:
    return bytes(write_fields(fields))
