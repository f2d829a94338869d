"""Reminders of meetings: made, moved and taken back as the MEETING record says, told by the machinery that tells every reminder.

    trigger on a MEETING ─▶ meetings_unsettled ─claim─▶ the mentorships locked ─▶ agreed, to come, and it goes on? ─▶ a reminder for each of
                                                                                  else: none                      the two, in their own zone

What a meeting says is what two people's devices wrote, any number that the field takes: settled in transactions of its own, each meeting
behind a savepoint, so that one of which nothing can be made costs itself alone.

Invariant: a meeting has at most one reminder a person, and none where it is not agreed, over, or the mentorship is: whoever makes
reminders holds the mentorship's row, as whoever ends it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import asyncpg
import structlog

from actors.quiet import zone_of
from persistence.bridge import Bridge
from persistence.mentoring.people import read_told, told_of, zone_name_of
from protocol.entities import Entity, Value
from protocol.values import MentorshipState

log = structlog.get_logger("mentoring")

CLAIM_MAX: Final = 200
SETTLE_S: Final = 30.0
BEFORE_S: Final = 1800
"""A reminder comes so long before the meeting; of one that is nearer than that, at once."""
AHEAD_MAX_S: Final = 2 * 365 * 86_400
"""Of a meeting further away nobody is reminded: its field takes years that no calendar has."""
MEETINGS_MAX: Final = 30
"""Reminders of one mentorship's meetings that one person has; their own count by themselves, and those of other mentorships."""
AGREED: Final = 1
_AT, _MINUTES, _WHERE, _NOTES, _STATE = range(1, 6)

_CLAIM: Final = """
delete from meetings_unsettled where id = any (
    array(select id from meetings_unsettled order by id limit $1 for update skip locked)
) returning stream_id, key"""
# In the order of every lock on several of them; `records > 0` is the index's.
_LOCK: Final = "select id from mentorships where records = any($1::bigint[]) and records > 0 order by id for update"
_PLACE: Final = """
select o.mentor, o.learner, o.state, r.cells, extract(epoch from now())::bigint as now
from mentorships o left join records r on r.stream_id = $1 and r.entity = $3 and r.key = $2
where o.records = $1 and o.records > 0"""
_REMIND: Final = """
insert into reminders (user_id, at, stream_id, words, record_key)
select a.id, to_timestamp($2), $3::bigint, $4, $5 from accounts a
where a.id = $1 and a.disabled_at is null
    and (select count(*) from reminders n where n.stream_id = $3::bigint and n.record_key > 0 and n.user_id = a.id) < $6"""


async def settle_meetings(bridge: Bridge, rounds_max: int = 100) -> int:
    """Makes reminders anew until no meeting is left, some at a time; how many meetings. Raises `StorageError`."""
    total = 0
    for _ in range(rounds_max):
        settled = await bridge.run(settle_some_meetings, deadline_s=SETTLE_S)
        total += settled
        if not settled:
            break
    return total


async def settle_some_meetings(tx: asyncpg.Connection, limit: int = CLAIM_MAX) -> int:
    """One transaction of it; 0: nothing is left that nobody else has claimed."""
    claimed = {(row[0], row[1]) for row in await tx.fetch(_CLAIM, limit)}
    # Before anything is read: two changes of one meeting may be claimed by two, and it may end at this moment.
    await tx.execute(_LOCK, sorted({stream for stream, _ in claimed}))
    for stream, key in sorted(claimed):
        try:
            async with tx.transaction():
                await _settle(tx, stream, key)
        except (ValueError, ArithmeticError, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
            log.error("meeting_failed", stream=stream, key=key, error=f"{type(error).__name__}: {error}")
    return len(claimed)


async def _settle(tx: asyncpg.Connection, stream: int, key: int) -> None:
    await tx.execute("delete from reminders where stream_id = $1 and record_key = $2 and record_key > 0", stream, key)
    row = await tx.fetchrow(_PLACE, stream, key, int(Entity.MEETING))
    if row is None or row["cells"] is None or row["state"] != MentorshipState.ACTIVE:
        return
    meeting = told_of(row["cells"], Entity.MEETING)
    at = time_of(meeting, row["now"])
    if not at:
        return
    people = (row["mentor"], row["learner"])
    told = await read_told(tx, people, (Entity.PROFILE,))
    for user in people:
        zone = zone_name_of(told.get(user, {}).get(Entity.PROFILE, {}))
        words = words_of(at, meeting.get(_WHERE), zone)
        await tx.execute(_REMIND, user, float(max(row["now"], at - BEFORE_S)), stream, words, key, MEETINGS_MAX)


def time_of(meeting: Mapping[int, Value], now: int) -> int:
    """When it is, in Unix seconds; 0 where nobody is reminded: it is not agreed, over, or further away than `AHEAD_MAX_S`."""
    at = meeting.get(_AT)
    agreed = meeting.get(_STATE) == AGREED
    return at if agreed and isinstance(at, int) and now < at <= now + AHEAD_MAX_S else 0


def words_of(at: int, where: Value | None, zone_name: str) -> str:
    """What is said of a meeting at that moment (Unix seconds), by the clock of whoever reads it. The zone is named where it is known."""
    zone = zone_of(zone_name)
    clock = datetime.fromtimestamp(at, UTC).astimezone(zone)
    place = f", {where}" if isinstance(where, str) and where else ""
    return f"You meet at {clock:%H:%M} on {clock:%Y-%m-%d} ({zone_name if zone is not UTC else 'UTC'}){place}"[:200]
