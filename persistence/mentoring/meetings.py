"""Reminders of meetings: made, moved and taken back as the MEETING record says, told by the machinery that tells every reminder.

    trigger on a MEETING ─▶ meetings_unsettled ─claim─▶ agreed, to come, and the mentorship goes on? ─▶ a reminder for each of the two
                                                        else: none                                      in their own time zone

Invariant: a meeting has at most one reminder a person, and none where it is not agreed, over, or the mentorship is.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import asyncpg

from actors.notices import REMINDERS_MAX
from actors.quiet import zone_of
from persistence.mentoring.people import read_told, told_of, zone_name_of
from protocol.entities import Entity, Value
from protocol.values import MentorshipState

CLAIM_MAX: Final = 200
BEFORE_S: Final = 1800
"""A reminder comes so long before the meeting; of one that is nearer than that, at once."""
AGREED: Final = 1
_AT, _MINUTES, _WHERE, _NOTES, _STATE = range(1, 6)

_CLAIM: Final = """
delete from meetings_unsettled where id = any (
    array(select id from meetings_unsettled order by id limit $1 for update skip locked)
) returning stream_id, key"""
_PLACE: Final = """
select o.mentor, o.learner, o.state, r.cells, extract(epoch from now())::bigint as now
from mentorships o left join records r on r.stream_id = $1 and r.entity = $3 and r.key = $2
where o.records = $1"""
_REMIND: Final = """
insert into reminders (user_id, at, stream_id, words, record_key)
select a.id, to_timestamp($2), $3, $4, $5 from accounts a
where a.id = $1 and a.disabled_at is null and (select count(*) from reminders n where n.user_id = a.id) < $6"""


async def settle_meetings(tx: asyncpg.Connection, limit: int = CLAIM_MAX) -> int:
    """Makes the reminders of some meetings anew; how many."""
    claimed = {(row[0], row[1]) for row in await tx.fetch(_CLAIM, limit)}
    for stream, key in sorted(claimed):
        await _settle(tx, stream, key)
    return len(claimed)


async def _settle(tx: asyncpg.Connection, stream: int, key: int) -> None:
    await tx.execute("delete from reminders where stream_id = $1 and record_key = $2", stream, key)
    row = await tx.fetchrow(_PLACE, stream, key, int(Entity.MEETING))
    if row is None or row["cells"] is None or row["state"] != MentorshipState.ACTIVE:
        return
    meeting = told_of(row["cells"], Entity.MEETING)
    at = meeting.get(_AT)
    if not isinstance(at, int) or at <= row["now"] or meeting.get(_STATE) != AGREED:
        return
    people = (row["mentor"], row["learner"])
    told = await read_told(tx, people, (Entity.PROFILE,))
    for user in people:
        zone = zone_name_of(told.get(user, {}).get(Entity.PROFILE, {}))
        words = words_of(at, meeting.get(_WHERE), zone)
        await tx.execute(_REMIND, user, float(max(row["now"], at - BEFORE_S)), stream, words, key, REMINDERS_MAX)


def words_of(at: int, where: Value | None, zone_name: str) -> str:
    """What is said of a meeting at that moment (Unix seconds), by the clock of whoever reads it. The zone is named where it is known."""
    zone = zone_of(zone_name)
    clock = datetime.fromtimestamp(at, UTC).astimezone(zone)
    place = f", {where}" if isinstance(where, str) and where else ""
    return f"You meet at {clock:%H:%M} on {clock:%Y-%m-%d} ({zone_name if zone is not UTC else 'UTC'}){place}"[:200]
