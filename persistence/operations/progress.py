"""SetBack: staff begin a learner's progress in a lesson anew. What devices still report of the time before changes nothing any more."""

from __future__ import annotations

from typing import Final

import asyncpg

from actors.merging import Merging, Place
from actors.storage import Entry
from persistence.append import Effect, Refuse
from persistence.audit import Deed
from persistence.operations import rules
from persistence.operations.kept import events, lock_record, write_down
from persistence.operations.seats import read_seat
from protocol.codes import Code
from protocol.entities import Entity
from protocol.merge import PERCENT, Stamp
from protocol.operations import SetBack
from protocol.values import Role, SpaceKind, StreamKind

# The community's own stream stands guard for the actor's role, the learner's for their being a member.
_FIND: Final = """
select o.id as own, (
    select t.id from spaces e
    cross join lateral (select from members n where n.space_id = e.id and n.user_id = $2 limit 1) n
    join streams t on t.space_id = e.id and t.kind = $4
    where e.pair_key = 'enrolment:' || $1::bigint || ':' || $2::bigint) as progress
from streams o where o.space_id = $1 and o.kind = $3 order by o.id limit 1"""


async def set_back(tx: asyncpg.Connection, entry: Entry, operation: SetBack) -> Effect | Refuse:
    """Writes a new generation, at a value that is no higher than the present one."""
    found = await tx.fetchrow(_FIND, operation.space, operation.user, StreamKind.COMMUNITY, StreamKind.PROGRESS)
    acting = None if found is None else await read_seat(tx, found["own"], entry.user)
    if found is None or acting is None or not acting.seat.role:
        return rules.NOT_FOUND
    refusal = rules.need(SpaceKind.COMMUNITY, rules.Standing(Role(acting.seat.role), acting.seat.custom), operation.needs)
    if refusal is not None:
        return refusal
    if found["progress"] is None:
        return Refuse(Code.NOT_FOUND, "no such member")
    place = Place(found["progress"], Entity.PROGRESS, operation.lesson)
    record, stood = await lock_record(tx, place)
    learning = await read_seat(tx, place.stream, operation.user)
    if learning is None or not learning.seat.role:
        return Refuse(Code.NOT_FOUND, "no such member")
    before = record.cells[PERCENT].value if PERCENT in record.cells else 0
    assert isinstance(before, int)
    if operation.percent > before:
        return Refuse(Code.INVALID, f"percent: progress stands at {before}, and is only ever set back")
    merging = Merging(learning.now, {}, {place: record}, {})
    decision = merging.set_back(place, operation.percent, entry.user, Stamp(learning.now, entry.device, entry.number))
    await write_down(tx, merging, {place: stood})
    detail = {"lesson": operation.lesson, "from": before, "to": operation.percent}
    deed = Deed(entry.user, "progress_set_back", operation.space, operation.user, detail=detail)
    return Effect(events(merging), guards=(acting.guard, learning.guard), value=decision.value, deeds=(deed,))
