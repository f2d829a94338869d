"""Once a day: what time alone changes. Whoever did nothing since is looked at again, and what is over is let go.

    learners, some hundred at a time ─▶ events of their progress since ─▶ activity ─▶ risk ─▶ if it is another: a job for them
    who stopped two weeks ago ─▶ the lesson where they did waits
    communities without analytics ─▶ everything of them goes: days, sums, learners, NEXT and INSIGHT in the learners' own records

Invariant: a learner is read once a day at most, and of their stream only what came since.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import partial
from typing import Final

import asyncpg

from actors.insights import STOPPED_DAYS, Activity, mark_active, risk
from actors.storage import Fact, Herald
from persistence.analytics.folding import order_learners
from persistence.bridge import Bridge
from persistence.records import WRITES_MAX, Write, write_records
from protocol.entities import Entity

PASS_MAX: Final = 500
EVENTS_MAX: Final = 1_000
"""Of one learner's progress, in a day."""
CALL_S: Final = 30.0
KEEP_DAYS: Final = 730
MONTHS_AHEAD: Final = 3
GONE_MAX: Final = 50
"""Learners of communities without analytics, in one transaction."""
ROWS_MAX: Final = 5_000

_PAGE: Final = """
select l.*, array(
    select distinct e.at / 86400 from (
        select g.at from log g where g.stream_id = l.progress_id and g.seq > l.progress_at and g.author = l.user_id
        order by g.seq desc limit $3
    ) e order by 1) as days, (select s.head from streams s where s.id = l.progress_id) as head
from learners l
where l.looked_day < current_date and l.stream_id > $1
    and exists (select from members m where m.space_id = l.space_id and m.user_id = l.user_id)
order by l.stream_id limit $2 for update of l"""
_LOOKED: Final = """
update learners l set active = q.active, active_day = q.active_day, progress_at = greatest(l.progress_at, q.head), looked_day = $5
from unnest($1::bigint[], $2::bigint[], $3::date[], $4::bigint[]) as q (stream_id, active, active_day, head)
where l.stream_id = q.stream_id"""
_STOPPED: Final = """
insert into lessons_waiting (space_id, lesson, month)
select distinct l.space_id, l.last_lesson, date_trunc('month', l.active_day)::date from unnest($1::bigint[]) q (stream_id)
join learners l on l.stream_id = q.stream_id where l.last_lesson > 0"""
_OFF: Final = """
select l.stream_id, l.progress_id from spaces s join learners l on l.space_id = s.id
where s.kind = 1 and analytics_off(s.settings) order by l.stream_id limit $1 for update of l"""
_WRITTEN: Final = (
    "select stream_id, entity, key from records where stream_id = any($1) and entity = any($2) order by stream_id, entity, key limit $3"
)
_OFF_ROWS: Final = (
    "delete from {table} where ctid = any(array(select t.ctid from {table} t join spaces s on s.id = t.space_id"
    " where s.kind = 1 and analytics_off(s.settings) limit $1))"
)
_TABLES: Final = ("days_waiting", "lessons_waiting")


async def pass_day(bridge: Bridge, report: Callable[[int], None] = lambda looked: None) -> int:
    """Looks at everybody who was not looked at today; how many. Raises `StorageError`."""
    total, after = 0, 0
    while True:
        looked, after = await bridge.run(partial(look_at_some, after=after), deadline_s=CALL_S)
        total += looked
        report(total)
        if looked < PASS_MAX:
            return total


async def look_at_some(tx: asyncpg.Connection, after: int, limit: int = PASS_MAX) -> tuple[int, int]:
    """One page of it: how many, and where the next begins."""
    rows = await tx.fetch(_PAGE, after, limit, EVENTS_MAX)
    if not rows:
        return 0, after
    today: date = await tx.fetchval("select current_date")
    looked, other, stopped = [], [], []
    for row in rows:
        bits, on = row["active"], row["active_day"]
        for number in row["days"]:
            day = datetime.fromtimestamp(number * 86_400, UTC).date()
            bits, on = mark_active(bits, on, day) if bits else (1, day)
        looked.append((row["stream_id"], bits, on, row["head"] or 0))
        # Answers and enrolments are the job's to look at; here only whether time says something else than it did.
        activity = Activity(bits, on, row["since"])
        if _by_time(activity, today) != _by_time(activity, row["looked_day"]) or bits != row["active"]:
            other.append(row["stream_id"])
        if bits and (today - on).days >= STOPPED_DAYS > (row["looked_day"] - on).days:
            stopped.append(row["stream_id"])
    await tx.execute(_LOOKED, *(list(column) for column in zip(*looked, strict=True)), today)
    if stopped:
        await tx.execute(_STOPPED, stopped)
    await order_learners(tx, other)
    return len(rows), rows[-1]["stream_id"]


def _by_time(activity: Activity, today: date) -> list[tuple[str, int]]:
    """What of a risk follows from activity alone."""
    return [(reason.words, reason.points) for reason in risk(activity, (), 0, today)]


async def forget_what_is_off(bridge: Bridge, herald: Herald) -> int:
    """Lets go of everything of communities that want no analytics; how many learners. Raises `StorageError`."""
    total = 0
    while True:
        gone, facts = await bridge.run(_forget_learners, deadline_s=CALL_S)
        if facts:
            herald.committed(facts)
        total += gone
        if not gone:
            break
    for table in _TABLES:
        while await bridge.run(partial(_forget_rows, table=table), deadline_s=CALL_S) == ROWS_MAX:
            pass
    return total


async def _forget_learners(tx: asyncpg.Connection) -> tuple[int, list[Fact]]:
    rows = await tx.fetch(_OFF, GONE_MAX)
    if not rows:
        await _forget_sums(tx)
        return 0, []
    written = await tx.fetch(_WRITTEN, [row["progress_id"] for row in rows], [int(Entity.NEXT), int(Entity.INSIGHT)], WRITES_MAX)
    empty = {1: (), 2: (), 3: ()}
    writes = [
        Write(stream, entity, key, {}, gone=True) if entity == Entity.INSIGHT else Write(stream, entity, key, dict(empty))
        for stream, entity, key in written
    ]
    if len(written) < WRITES_MAX:
        await tx.execute(
            "delete from learning_days d using learners l where l.stream_id = any($1) and d.user_id = l.user_id"
            " and d.space_id = l.space_id",
            [row["stream_id"] for row in rows],
        )
        await tx.execute("delete from learners where stream_id = any($1)", [row["stream_id"] for row in rows])
    return len(rows), await write_records(tx, writes) if writes else []


async def _forget_sums(tx: asyncpg.Connection) -> None:
    await tx.execute("delete from lesson_sums t using spaces s where s.id = t.space_id and s.kind = 1 and analytics_off(s.settings)")


async def _forget_rows(tx: asyncpg.Connection, *, table: str) -> int:
    status: str = await tx.execute(_OFF_ROWS.format(table=table), ROWS_MAX)
    return int(status.split()[-1])


async def prepare_months(tx: asyncpg.Connection, months_ahead: int = MONTHS_AHEAD) -> int:
    """Makes the partitions of this month and the next ones; how many were missing."""
    made: int = await tx.fetchval("select prepare_learning_partitions($1)", months_ahead)
    return made


async def forget_months(tx: asyncpg.Connection, *, keep_days: int = KEEP_DAYS) -> int:
    """Lets go of the months that ended more than `keep_days` ago; how many partitions."""
    dropped: int = await tx.fetchval("select prune_learning(current_date - $1::integer)", keep_days)
    return dropped
