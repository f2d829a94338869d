"""Courses, grades and learners out of Postgres: implements `actors.learning_book.LearningBook`."""

from __future__ import annotations

from functools import partial
from typing import Final

import asyncpg

from actors.learning_book import (
    ANSWERS_MIN,
    BAND_POINTS,
    COURSES_PAGE,
    GRADES_PAGE,
    LEARNERS_PAGE,
    LESSONS_MAX,
    CourseInfo,
    CoursePage,
    GradeInfo,
    GradePage,
    LearnerInfo,
    LearnerPage,
    LessonInfo,
)
from persistence.bridge import Bridge
from protocol.curriculum import DRAFT, RETIRED, in_order, lesson_of
from protocol.entities import Entity, Fields, Value
from protocol.merge import PERCENT, unpack_record
from protocol.values import Role, StreamKind

DEADLINE_S: Final = 5.0
RECENT_DAYS: Final = 90
PROGRESS_MAX: Final = 500
"""Lessons of one learner that are counted."""

_LIBRARY: Final = """
select r.key, r.cells from streams t join records r on r.stream_id = t.id and r.entity = $3 and r.key > $4
where t.space_id = $1 and t.kind = $2 order by r.key limit $5"""
_GRADES: Final = """
select r.key, r.cells from spaces e join streams t on t.space_id = e.id and t.kind = $3
join records r on r.stream_id = t.id and r.entity = $4 and r.key > $5
where e.pair_key = 'enrolment:' || $1::bigint || ':' || $2::bigint order by r.key limit $6"""
_LEARNERS: Final = """
select m.user_id, a.display_name, p.cells, w.answered, w.points, w.last_at
from (
    select n.user_id from members n where n.space_id = $1 and n.role = $2 and n.user_id > $3
        and not exists (select from blocks b where b.user_id = n.user_id and b.blocked = $9)
    order by n.user_id limit $4
) m
join accounts a on a.id = m.user_id
cross join lateral (
    select array_agg(l.cells) as cells from (
        select r.cells from spaces e join streams t on t.space_id = e.id and t.kind = $5
        join records r on r.stream_id = t.id and r.entity = $6
        where e.pair_key = 'enrolment:' || $1::bigint || ':' || m.user_id limit $7
    ) l
) p
cross join lateral (
    select count(distinct q.question) as answered, max(q.at) as last_at,
        case when count(*) filter (where r.is_recent) >= $10::integer
            then (round(avg(q.points) filter (where r.is_recent) / $11::integer) * $11::integer)::integer end as points
    from attempts q
    cross join lateral (select q.points is not null and q.at > extract(epoch from now())::bigint - $8 * 86400::bigint as is_recent) r
    where q.user_id = m.user_id and q.space_id = $1
) w
order by m.user_id"""


class PostgresLearning:
    """See the port."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    async def courses(self, space: int, after: int) -> CoursePage:
        work = partial(_courses, space=space, after=after)
        return await self._bridge.run(work, deadline_s=DEADLINE_S, readonly=True, isolation="snapshot")

    async def grades(self, space: int, user: int, after: int) -> GradePage:
        return await self._bridge.run(partial(_grades, space=space, user=user, after=after), deadline_s=DEADLINE_S, readonly=True)

    async def learners(self, space: int, mentor: int, after: int) -> LearnerPage:
        work = partial(_learners, space=space, mentor=mentor, after=after)
        return await self._bridge.run(work, deadline_s=DEADLINE_S, readonly=True)


async def _courses(tx: asyncpg.Connection, space: int, after: int) -> CoursePage:
    rows = await tx.fetch(_LIBRARY, space, StreamKind.LIBRARY, Entity.COURSE, after, COURSES_PAGE + 1)
    page = [(row["key"], unpack_record(row["cells"], Entity.COURSE).fields) for row in rows[:COURSES_PAGE]]
    lessons: dict[int, Fields] = {}
    if page:
        found = await tx.fetch(_LIBRARY, space, StreamKind.LIBRARY, Entity.LESSON, 0, LESSONS_MAX)
        lessons = {row["key"]: unpack_record(row["cells"], Entity.LESSON).fields for row in found}
    ordered = in_order({key: lesson_of(key, fields) for key, fields in lessons.items()})
    infos = [
        CourseInfo(
            key,
            _text(fields.get(1)),
            _text(fields.get(2)),
            _whole(fields.get(3)),
            _text(fields.get(4)),
            _whole(fields.get(5)),
            _whole(fields.get(7)) == 1,
            tuple(_lesson(one, lessons[one]) for one in ordered if _belongs(lessons[one], key)),
        )
        for key, fields in page
        if _whole(fields.get(7)) != DRAFT
    ]
    return CoursePage(tuple(infos), page[-1][0] if len(rows) > COURSES_PAGE else 0)


def _belongs(fields: Fields, course: int) -> bool:
    return _whole(fields.get(3)) == course and _whole(fields.get(8)) != DRAFT


def _lesson(key: int, fields: Fields) -> LessonInfo:
    retired = _whole(fields.get(8)) == RETIRED
    requires = lesson_of(key, fields).requires
    return LessonInfo(key, _text(fields.get(1)), _whole(fields.get(5)), _whole(fields.get(6)), _text(fields.get(9)), requires, retired)


async def _grades(tx: asyncpg.Connection, space: int, user: int, after: int) -> GradePage:
    rows = await tx.fetch(_GRADES, space, user, StreamKind.ANSWERS, Entity.GRADE, after, GRADES_PAGE + 1)
    grades = []
    for row in rows[:GRADES_PAGE]:
        fields = unpack_record(row["cells"], Entity.GRADE).fields
        points, attempts, at = (_whole(fields.get(number)) for number in (1, 3, 6))
        grades.append(GradeInfo(row["key"], points, fields.get(2) is True, attempts, _text(fields.get(4)), at))
    return GradePage(tuple(grades), grades[-1].question if len(rows) > GRADES_PAGE else 0)


async def _learners(tx: asyncpg.Connection, space: int, mentor: int, after: int) -> LearnerPage:
    rows = await tx.fetch(
        _LEARNERS,
        space,
        Role.LEARNER,
        after,
        LEARNERS_PAGE + 1,
        StreamKind.PROGRESS,
        Entity.PROGRESS,
        PROGRESS_MAX,
        RECENT_DAYS,
        mentor,
        ANSWERS_MIN,
        BAND_POINTS,
    )
    learners = []
    for user, name, cells, answered, points, last_at in rows[:LEARNERS_PAGE]:
        percents = [_whole(unpack_record(one, Entity.PROGRESS).fields.get(PERCENT)) for one in cells or ()]
        begun, done = sum(0 < percent < 100 for percent in percents), sum(percent == 100 for percent in percents)
        learners.append(LearnerInfo(user, name, begun, done, answered, points, last_at or 0))
    return LearnerPage(tuple(learners), learners[-1].user if len(rows) > LEARNERS_PAGE else 0)


def _whole(value: Value | None) -> int:
    return value if isinstance(value, int) else 0


def _text(value: Value | None) -> str:
    return value if isinstance(value, str) else ""
