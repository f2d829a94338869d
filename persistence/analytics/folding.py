"""What waits is made anew: a person's day from their attempts, a lesson's month from the days.

    days_waiting ─claim─▶ learning_days, learners ─▶ lessons_waiting, a job for each learner
    lessons_waiting ─claim─▶ lesson_sums: what is so, and what is told of it

Claims are deletions that pass over what others have claimed. A cell is read after its claim, so what comes meanwhile waits anew.

Invariant: once nothing waits, a day is what its attempts say, and a sum what its days say; of a community that wants no analytics there is
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import partial
from typing import Annotated, Final

import asyncpg
from msgspec import Meta, Struct

from actors.insights import STOPPED_DAYS, mark_active
from actors.jobs import Order, pack
from persistence.bridge import Bridge
from persistence.jobs.enqueue import enqueue
from protocol.curriculum import PASS_POINTS
from protocol.values import StreamId, StreamKind

LEARNER: Final = "analytics.learner"
"""The job for one learner; its key is their stream of answers."""
DAYS_MAX: Final = 500
LESSONS_MAX: Final = 50
"""Claimed in one transaction: some 100 ms."""
ROUNDS_MAX: Final = 400
FOLD_S: Final = 30.0
SETTLE_S: Final = 5.0
"""A job waits so long, so that a checkpoint's answers are one job."""
LEFT_MAX: Final = 500
GROUP: Final = 5
GroupMin = Annotated[int, Meta(ge=2, le=100)]

_CLAIM_DAYS: Final = """
delete from days_waiting w using (select id from days_waiting order by id limit $1 for update skip locked) q where w.id = q.id
returning w.space_id, w.user_id, w.day"""
# In this order, so that two who claimed the same person's day at once make it one after the other.
_PLACES: Final = """
select e.id as enrolment, a.id as answers, p.id as progress, q.space_id, q.user_id
from unnest($1::bigint[], $2::bigint[]) as q (space_id, user_id)
join spaces s on s.id = q.space_id and s.kind = 1 and not analytics_off(s.settings)
join spaces e on e.pair_key = 'enrolment:' || q.space_id || ':' || q.user_id
join streams a on a.space_id = e.id and a.kind = $3
join streams p on p.space_id = e.id and p.kind = $4
order by a.id"""
_BEGIN: Final = """
insert into learners (stream_id, progress_id, space_id, user_id)
select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) order by 1 on conflict do nothing"""
_LOCK: Final = "select * from learners where stream_id = any($1) order by stream_id for update"
_OLD: Final = """
delete from learning_days d using unnest($1::bigint[], $2::bigint[], $3::date[]) as q (space_id, user_id, day)
where d.day = q.day and d.space_id = q.space_id and d.user_id = q.user_id returning d.space_id, d.lesson, d.day"""
# Of a question that is told in a month, all of the month is counted in the lesson where it is told: else whoever moves it to another
# lesson has it told anew, of one learner more than before.
_NEW: Final = f"""
insert into learning_days (day, space_id, user_id, lesson, question, answers, rights, passed, seconds)
select q.day, q.space_id, q.user_id, coalesce(t.lesson, a.lesson), a.question, count(*), count(*) filter (where a.points = 100),
    count(*) filter (where a.points >= {PASS_POINTS}), sum(a.seconds)
from unnest($1::bigint[], $2::bigint[], $3::date[]) as q (space_id, user_id, day)
join attempts a on a.user_id = q.user_id and a.space_id = q.space_id and a.points is not null
    and a.at >= extract(epoch from q.day::timestamp at time zone 'UTC')::bigint
    and a.at < extract(epoch from (q.day + 1)::timestamp at time zone 'UTC')::bigint
left join lateral (
    select s.lesson from lesson_sums s where s.space_id = q.space_id and s.question = a.question and s.question > 0
        and s.month = date_trunc('month', q.day)::date and s.shown_of > 0
    order by s.lesson limit 1
) t on true
group by q.day, q.space_id, q.user_id, coalesce(t.lesson, a.lesson), a.question
returning space_id, user_id, day, lesson"""
_MOVE: Final = """
update learners l set active = q.active, active_day = q.active_day, last_lesson = q.last_lesson
from unnest($1::bigint[], $2::bigint[], $3::date[], $4::bigint[]) as q (stream_id, active, active_day, last_lesson)
where l.stream_id = q.stream_id"""
_WAIT: Final = "insert into lessons_waiting (space_id, lesson, month) select * from unnest($1::bigint[], $2::bigint[], $3::date[])"

_CLAIM_LESSONS: Final = """
delete from lessons_waiting w using (select id from lessons_waiting order by id limit $1 for update skip locked) q where w.id = q.id
returning w.space_id, w.lesson, w.month"""
_LOCK_SUMS: Final = "select pg_advisory_xact_lock(hashtext('lesson_sums'), hashtext($1))"
# By person first, so that nobody counts twice. A lesson's own line is made of those questions alone that enough people answered: else what
# is hidden were what is missing between the two.
_SUMS: Final = """
with people as (
    select d.question, d.user_id, sum(d.answers) as answers, sum(d.passed) as passed, sum(d.seconds) as seconds
    from learning_days d
    where d.space_id = $1 and d.lesson = $2 and d.day >= $3::date and d.day < ($3::date + interval '1 month')::date
    group by d.question, d.user_id
), questions as (
    select question, count(*) as learners, sum(answers) as answers, sum(passed) as passed, count(*) filter (where passed = 0) as failing,
        sum(seconds) as seconds
    from people group by question
), of_lesson as (
    select p.user_id, sum(p.answers) as answers, sum(p.passed) as passed, sum(p.seconds) as seconds
    from people p join questions q on q.question = p.question and q.learners >= $4 group by p.user_id
)
select question, learners, answers, passed, failing, seconds, 0::bigint as stopped from questions
union all
select 0, count(*), coalesce(sum(o.answers), 0), coalesce(sum(o.passed), 0), count(*) filter (where 2 * o.passed < o.answers),
    coalesce(sum(o.seconds), 0),
    count(*) filter (where l.last_lesson = $2 and l.active_day <= current_date - $5::integer)
from of_lesson o left join learners l on l.user_id = o.user_id and l.space_id = $1"""
_KEEP_SUMS: Final = """
insert into lesson_sums as s (month, space_id, lesson, question, learners, answers, passed, failing, seconds, stopped)
select $1, $2, $3, q.*
from unnest($4::bigint[], $5::integer[], $6::bigint[], $7::bigint[], $8::integer[], $9::bigint[], $10::integer[]) as q
on conflict (month, space_id, lesson, question) do update set learners = excluded.learners, answers = excluded.answers,
    passed = excluded.passed, failing = excluded.failing, seconds = excluded.seconds, stopped = excluded.stopped, made_at = now()"""
_DROP_SUMS: Final = "delete from lesson_sums where month = $1 and space_id = $2 and lesson = $3 and question <> all ($4::bigint[])"
# Percents in steps of five, seconds of ten. Nothing is told of fewer than a group; what is told stays until a group more, or fewer, are in
# it.
_SHOW: Final = """
update lesson_sums set
    shown_of = case when learners >= $4 then learners else 0 end,
    shown_passed = round(20.0 * passed / greatest(answers, 1)) * 5,
    shown_failing = round(20.0 * failing / greatest(learners, 1)) * 5,
    shown_stopped = round(20.0 * stopped / greatest(learners, 1)) * 5,
    shown_seconds = round(seconds / (10.0 * greatest(answers, 1))) * 10
where month = $1 and space_id = $2 and lesson = $3
    and (learners < $4 and shown_of > 0 or learners >= $4 and abs(learners - shown_of) >= $4)"""

_STILL: Final = """
select count(*) as days, (select count(*) from lessons_waiting) as lessons,
    coalesce(extract(epoch from now() - least(min(at), (select min(at) from lessons_waiting))), 0)::float8 as oldest_s from days_waiting"""


class LearnerOf(Struct, frozen=True):
    """Payload of the job for one learner."""

    stream: StreamId


class Waiting(Struct, frozen=True):
    """What waits to be folded: people's days, lessons' months, and for how long the oldest has."""

    days: int
    lessons: int
    oldest_s: float


async def fold(bridge: Bridge, *, group: int = GROUP) -> int:
    """Folds until nothing waits, or much was done; how much was claimed. Raises `StorageError`."""
    total = 0
    for _ in range(ROUNDS_MAX):
        days = await bridge.run(fold_days, deadline_s=FOLD_S)
        lessons = await bridge.run(partial(fold_lessons, group=group), deadline_s=FOLD_S)
        total += days + lessons
        if days < DAYS_MAX and lessons < LESSONS_MAX:
            break
    return total


async def read_waiting(tx: asyncpg.Connection) -> Waiting:
    row = await tx.fetchrow(_STILL)
    assert row is not None
    return Waiting(row["days"], row["lessons"], row["oldest_s"])


async def fold_days(tx: asyncpg.Connection, limit: int = DAYS_MAX) -> int:
    """Makes people's days anew that wait, and orders a job for each of them; how many rows were claimed."""
    claimed = await tx.fetch(_CLAIM_DAYS, limit)
    if not claimed:
        return 0
    cells = sorted({tuple(row) for row in claimed})
    people = sorted({(space, user) for space, user, _ in cells})
    places = await tx.fetch(_PLACES, [space for space, _ in people], [user for _, user in people], StreamKind.ANSWERS, StreamKind.PROGRESS)
    await tx.execute(_BEGIN, *([row[name] for row in places] for name in ("answers", "progress", "space_id", "user_id")))
    learners = await tx.fetch(_LOCK, [row["answers"] for row in places])
    here = {(row["space_id"], row["user_id"]) for row in learners}
    cells = [cell for cell in cells if cell[:2] in here]
    columns = [[cell[place] for cell in cells] for place in range(3)]
    lessons = {(row["space_id"], row["lesson"], row["day"].replace(day=1)) for row in await tx.fetch(_OLD, *columns)}
    made = await tx.fetch(_NEW, *columns)
    lessons |= {(row["space_id"], row["lesson"], row["day"].replace(day=1)) for row in made}
    if lessons:
        await tx.execute(_WAIT, *(list(column) for column in zip(*sorted(lessons), strict=True)))
    await _move(tx, learners, made)
    await order_learners(tx, [row["stream_id"] for row in learners])
    return len(claimed)


async def _move(tx: asyncpg.Connection, learners: Sequence[asyncpg.Record], made: Sequence[asyncpg.Record]) -> None:
    """Who answered on a day was active on it; the newest day's lesson is where they are."""
    days: dict[tuple[int, int], list[tuple[date, int]]] = {}
    for row in made:
        days.setdefault((row["space_id"], row["user_id"]), []).append((row["day"], row["lesson"]))
    moved = []
    for row in learners:
        bits, on, last = row["active"], row["active_day"], row["last_lesson"]
        for day, lesson in sorted(days.get((row["space_id"], row["user_id"]), ())):
            last = lesson if day >= on else last
            bits, on = mark_active(bits, on, day) if bits else (1, day)
        moved.append((row["stream_id"], bits, on, last))
    if moved:
        await tx.execute(_MOVE, *(list(column) for column in zip(*moved, strict=True)))


async def order_learners(tx: asyncpg.Connection, streams: Sequence[int]) -> int:
    """Orders the job for each of these learners; how many were not ordered yet."""
    orders = [Order(LEARNER, pack(LearnerOf(stream)), key=str(stream), delay_s=SETTLE_S) for stream in sorted(streams)]
    return await enqueue(tx, *orders) if orders else 0


async def fold_lessons(tx: asyncpg.Connection, group: int = GROUP, limit: int = LESSONS_MAX) -> int:
    """Makes lessons' months anew that wait; how many rows were claimed."""
    claimed = await tx.fetch(_CLAIM_LESSONS, limit)
    for space, lesson, month in sorted({tuple(row) for row in claimed}):
        await _sum(tx, space, lesson, month, group)
    return len(claimed)


async def _sum(tx: asyncpg.Connection, space: int, lesson: int, month: date, group: int) -> None:
    # One at a time, or two would each miss what the other's days brought.
    await tx.execute(_LOCK_SUMS, f"{space}:{lesson}:{month}")
    rows = await tx.fetch(_SUMS, space, lesson, month, group, STOPPED_DAYS)
    found = [row for row in rows if row["learners"]]
    await tx.execute(_DROP_SUMS, month, space, lesson, [row["question"] for row in found])
    if not found:
        return
    names = ("question", "learners", "answers", "passed", "failing", "seconds", "stopped")
    await tx.execute(_KEEP_SUMS, month, space, lesson, *([int(row[name]) for row in found] for name in names))
    await tx.execute(_SHOW, month, space, lesson, group)
