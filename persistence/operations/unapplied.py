"""Release, Discard: what becomes of a change that was refused, or that came after its writer had left.

    queue ─Release─▶ judged and merged as its writer's change, at its own time ─▶ closed       refused again: it stays
          ─Discard─▶ closed

Whoever releases only asks: the writer's own place in the stream decides, so nobody lends their rights to somebody else's change.

Invariant: an item is closed in the transaction that applies it, and applied once.
"""

from __future__ import annotations

from typing import Final

import asyncpg
from msgspec import Struct

from actors.merging import FULL, Merging, Place, judge
from actors.storage import Entry
from persistence.append import Effect, Refuse
from persistence.audit import Deed
from persistence.operations import rules
from persistence.operations.kept import events, load_conflicts, lock_record, read_room, write_down
from persistence.operations.seats import Seated, read_seat
from protocol import codec
from protocol.codes import Code
from protocol.entities import BadFields, read_fields
from protocol.merge import Record, Stamp, prepare
from protocol.operations import Change, Discard, Release
from protocol.permissions import Permission, base_roles, mask
from protocol.values import SpaceKind

# One's own by the index of open ones by user, and those of communities that one moderates by the index of open ones by space.
_FIND: Final = """
select q.space_id, q.id, q.user_id, q.device_id, q.number, extract(epoch from q.at)::bigint as at, q.operation,
       coalesce(y.skew_s, 0) as skew_s
from (
    select o.* from sync_queue o where o.user_id = $1 and o.id = $2 and o.closed_at is null
    union
    select o.* from members m join spaces s on s.id = m.space_id and s.kind = $3 join sync_queue o on o.space_id = s.id
    where m.user_id = $1 and (m.role & $4 <> 0 or custom_permissions(m.user_id, m.space_id) & $5 <> 0) and o.id = $2 and o.closed_at is null
) q left join device_sync_state y on y.device_id = q.device_id"""
_LOCK: Final = "select from sync_queue where space_id = $1 and id = $2 and closed_at is null for update"
_CLOSE: Final = "update sync_queue set closed_at = now() where space_id = $1 and id = $2"


class _Kept(Struct, frozen=True):
    """An open item. `at`: when it came, Unix seconds; `skew_s`: of its device, as last measured."""

    space: int
    id: int
    user: int
    device: int
    number: int
    at: int
    operation: bytes
    skew_s: int


async def release(tx: asyncpg.Connection, entry: Entry, operation: Release) -> Effect | Refuse:
    """Applies it. Refused as it would be if its writer sent it now; then it stays where it is."""
    kept = await _find(tx, entry.user, operation.item)
    if kept is None:
        return rules.NOT_FOUND
    change = _read(kept)
    if change is None:
        return Refuse(Code.INVALID, "what was sent is no change that this server can read")
    place = Place(change.stream, change.entity, change.key)
    record, stood = await lock_record(tx, place)
    # The item after the record, as everybody locks who touches both.
    if await tx.fetchrow(_LOCK, kept.space, kept.id) is None:
        return rules.NOT_FOUND
    seated = await read_seat(tx, change.stream, kept.user)
    if seated is None:
        return rules.NOT_FOUND
    declaration, (code, detail) = judge(seated.seat, change)
    if declaration is None:
        return Refuse(code, detail)
    try:
        written = prepare(declaration, change.key, change.base, read_fields(change.fields), change.gone)
        merging = await _begin(tx, place, record, kept, seated)
        if not change.gone and not merging.has_room(place):
            return Refuse(Code.LIMIT, FULL)
        stamp = Stamp(max(0, min(change.at + kept.skew_s, kept.at)), kept.device, kept.number)
        decision = merging.apply(place, written, kept.user, stamp)
    except BadFields as error:
        return Refuse(Code.INVALID, str(error))
    await write_down(tx, merging, {place: stood})
    await tx.execute(_CLOSE, kept.space, kept.id)
    return Effect(
        events(merging),
        guards=(seated.guard,),
        value=decision.value,
        fills_outbox=bool(merging.notes),
        deeds=_deeds(entry, kept, "change_released"),
    )


async def discard(tx: asyncpg.Connection, entry: Entry, operation: Discard) -> Effect | Refuse:
    """Marks it as looked at. The row stays until the horizon, for whoever asks what became of it."""
    kept = await _find(tx, entry.user, operation.item)
    if kept is None or await tx.fetchrow(_LOCK, kept.space, kept.id) is None:
        return rules.NOT_FOUND
    await tx.execute(_CLOSE, kept.space, kept.id)
    return Effect(value=kept.id, deeds=_deeds(entry, kept, "change_discarded"))


async def _find(tx: asyncpg.Connection, user: int, item: int) -> _Kept | None:
    """Reads an open item of the user's own, or of a community that they moderate."""
    moderate = Permission.MODERATE
    row = await tx.fetchrow(_FIND, user, item, SpaceKind.COMMUNITY, base_roles(moderate), mask((moderate,)))
    return None if row is None else _Kept(*row)


def _read(kept: _Kept) -> Change | None:
    try:
        operation = codec.decode_operation(kept.operation)
    except codec.BadFrame:
        return None
    return operation if isinstance(operation, Change) else None


async def _begin(tx: asyncpg.Connection, place: Place, record: Record, kept: _Kept, seated: Seated) -> Merging:
    """With the conflict that is open between the writer and the record, if there is one: it grows."""
    ids = await tx.fetch(
        "select id from sync_conflicts where stream_id = $1 and entity = $2 and key = $3 and user_id = $4 and state in (1, 2)",
        *place,
        kept.user,
    )
    conflicts = {(draft.place, draft.user): draft for draft in await load_conflicts(tx, [row["id"] for row in ids])} if ids else {}
    room, _ = await read_room(tx, [] if record.cells else [place])
    return Merging(seated.now, {}, {place: record}, conflicts, room)


def _deeds(entry: Entry, kept: _Kept, action: str) -> tuple[Deed, ...]:
    """What one does about one's own changes is nobody else's business."""
    if entry.user == kept.user:
        return ()
    return (Deed(entry.user, action, kept.space, kept.user, detail={"item": kept.id}),)
