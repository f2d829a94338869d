"""Implements `actors.insight_book.InsightBook`: what was reckoned before is read; nothing is reckoned when somebody asks.

Invariant: of sums only what was let out (`shown_*`) is read here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import Final

import asyncpg

from actors.insight_book import (
    COMMUNITIES_MAX,
    LESSONS_PAGE,
    LearnerInsights,
    LessonPage,
    LessonSum,
    OwnInsights,
    QuestionSum,
    Said,
    Told,
    edge_percent,
    inside,
)
from actors.insights import Activity, Kind
from persistence.analytics.folding import GROUP
from persistence.bridge import Bridge
from protocol.entities import Entity
from protocol.merge import unpack_record

READ_S: Final = 10.0
INSIGHTS_MAX: Final = 50

_OWN: Final = """
select l.* from learners l join members m on m.space_id = l.space_id and m.user_id = l.user_id
join spaces s on s.id = l.space_id and not analytics_off(s.settings)
where l.user_id = $1 order by l.space_id limit $2"""
# Of whom one is a mentor in this community, now; who has said that it is over, or blocked the mentor, has left it in all but name.
_MENTORED: Final = """
select l.* from learners l join members m on m.space_id = l.space_id and m.user_id = l.user_id
join spaces s on s.id = l.space_id and not analytics_off(s.settings)
where l.space_id = $1 and l.user_id = $2
    and exists (select from mentorships o where o.mentor = $3 and o.learner = $2 and o.state = 2 and o.community = $1
        and o.learner_over_at is null)
    and not exists (select from blocks b where b.user_id = $2 and b.blocked = $3)"""
_INSIGHTS: Final = "select cells from records where stream_id = $1 and entity = $2 order by key limit $3"
_LESSONS: Final = """
select distinct t.lesson from lesson_sums t where t.month = $1 and t.space_id = $2 and t.lesson > $3 and t.question = 0 and t.shown_of > 0
order by t.lesson limit $4"""
_SUMS: Final = """
select lesson, question, shown_of, shown_passed, shown_failing, shown_stopped, shown_seconds from lesson_sums
where month = $1 and space_id = $2 and lesson = any($3::bigint[]) and shown_of > 0
order by lesson, question"""
_ON: Final = "select not analytics_off(settings) from spaces where id = $1 and kind = 1"


class PostgresInsights:
    """See the port. `group`: of fewer learners nothing is told."""

    def __init__(self, bridge: Bridge, *, group: int = GROUP) -> None:
        self._bridge = bridge
        self._group = group

    async def own(self, user: int) -> OwnInsights:
        return await self._bridge.run(partial(_own, user=user), deadline_s=READ_S, readonly=True)

    async def learner(self, space: int, user: int, mentor: int) -> LearnerInsights | None:
        return await self._bridge.run(partial(_learner, space=space, user=user, mentor=mentor), deadline_s=READ_S, readonly=True)

    async def lessons(self, space: int, month: str, after: int) -> LessonPage | None:
        work = partial(_lessons, space=space, month=month, after=after, group=self._group)
        return await self._bridge.run(work, deadline_s=READ_S, readonly=True, isolation="snapshot")


async def _own(tx: asyncpg.Connection, *, user: int) -> OwnInsights:
    return OwnInsights(tuple([await _told(tx, row) for row in await tx.fetch(_OWN, user, COMMUNITIES_MAX)]))


async def _learner(tx: asyncpg.Connection, *, space: int, user: int, mentor: int) -> LearnerInsights | None:
    row = await tx.fetchrow(_MENTORED, space, user, mentor)
    return None if row is None else await _told(tx, row)


async def _told(tx: asyncpg.Connection, row: asyncpg.Record) -> LearnerInsights:
    told = []
    for one in await tx.fetch(_INSIGHTS, row["progress_id"], Entity.INSIGHT, INSIGHTS_MAX):
        fields = unpack_record(one["cells"], Entity.INSIGHT).fields
        kind = next((kind for kind in Kind if kind == fields.get(1)), None)
        if kind is not None and kind is not Kind.RISK:
            told.append(Told(kind.name.lower(), int(str(fields.get(3, 0))), int(str(fields.get(4, 0))), str(fields.get(5, ""))))
    told.sort(key=lambda one: (one.kind, -one.value, one.lesson))
    activity = Activity(row["active"], row["active_day"], row["since"])
    active = activity.days_between(0, 27, datetime.now(UTC).date())
    looked = row["looked_day"].isoformat() if row["looked_day"] > date(1970, 1, 1) else ""
    return LearnerInsights(row["space_id"], row["user_id"], tuple(told), row["risk"], _reasons(row["reasons"]), active, looked)


def _reasons(words: str) -> tuple[Said, ...]:
    """As the learner's job wrote them: `words=points`, by comma."""
    pairs = [one.partition("=") for one in words.split(",") if one]
    return tuple(Said(key, int(points)) for key, _, points in pairs)


async def _lessons(tx: asyncpg.Connection, *, space: int, month: str, after: int, group: int) -> LessonPage | None:
    if not await tx.fetchval(_ON, space):
        return None
    first = date.fromisoformat(f"{month}-01")
    lessons = [row[0] for row in await tx.fetch(_LESSONS, first, space, after, LESSONS_PAGE + 1)]
    shown = lessons[:LESSONS_PAGE]
    lines: dict[int, list[asyncpg.Record]] = {}
    for row in await tx.fetch(_SUMS, first, space, shown):
        lines.setdefault(row["lesson"], []).append(row)
    sums = tuple(_lesson(lesson, lines[lesson], group) for lesson in shown)
    return LessonPage(month, group, sums, shown[-1] if len(lessons) > LESSONS_PAGE else 0)


def _lesson(lesson: int, rows: Sequence[asyncpg.Record], group: int) -> LessonSum:
    sums = [_question(row, group) for row in rows]
    # By what is told of them: by what is so, the order would say what lies beyond the edge.
    return LessonSum(lesson, sums[0], tuple(sorted(sums[1:], key=lambda one: (-one.failing_percent, one.question))))


def _question(row: asyncpg.Record, group: int) -> QuestionSum:
    _, question, of, passed, failing, stopped, seconds = row
    # How many there are is rounded down: a group's worth is what two counts can differ by.
    learners = max(1, of - of % group)
    edge = edge_percent(learners)
    return QuestionSum(question, learners, inside(passed, edge), inside(failing, edge), inside(stopped, edge), seconds, edge)
