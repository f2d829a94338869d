"""The port of insights: one's own, a learner's to who mentors them, and a community's lessons in sums that name nobody.

Invariant: what is said about a person is said to that person and to their own mentors; there is no list of people by any of it.
"""

from __future__ import annotations

from typing import Final, Protocol

from msgspec import Struct

LESSONS_PAGE: Final = 100
COMMUNITIES_MAX: Final = 50
EDGE_PERCENT: Final = 10


class Told(Struct, frozen=True):
    """One thing that was noticed. `kind`: "strength", "stuck" or "risk"; `words`: a sentence's key and what fills it
    (docs/analytics.md)."""

    kind: str
    lesson: int
    value: int
    words: str


class Said(Struct, frozen=True):
    """One reason of a risk, and its points of 100."""

    words: str
    points: int


class LearnerInsights(Struct, frozen=True):
    """How somebody stands in a community. `risk`: 0 to 100, the sum of its reasons' points; of it nothing follows by itself.
    `active_days`: of the last four weeks; `looked`: the day it was reckoned, as in 2026-11-23."""

    space: int
    user: int
    insights: tuple[Told, ...]
    risk: int
    reasons: tuple[Said, ...]
    active_days: int
    looked: str


class OwnInsights(Struct, frozen=True):
    """One's own, community by community."""

    communities: tuple[LearnerInsights, ...]


def edge_percent(learners: int) -> int:
    """The share, in steps of five, beyond which nothing is told but that it lies beyond: at least ten, and at least one learner's of
    `learners`. So all of them are never told apart from all but one, nor none from one."""
    return max(EDGE_PERCENT, -(-20 // learners) * 5)


def inside(percent: int, edge: int) -> int:
    """A share, or the edge that it lies beyond."""
    return min(max(percent, edge), 100 - edge)


class QuestionSum(Struct, frozen=True):
    """A question, or (0) the lesson as a whole. `learners`: at least so many; percents in steps of five; `seconds`: for an answer, in steps
    of ten. A percent that is `edge_percent` says: so much or less; one that is 100 - `edge_percent`: so much or more."""

    question: int
    learners: int
    passed_percent: int
    failing_percent: int
    stopped_percent: int
    seconds: int
    edge_percent: int


class LessonSum(Struct, frozen=True):
    """A lesson in a month. `questions`: those that enough people answered, most failed first."""

    lesson: int
    whole: QuestionSum
    questions: tuple[QuestionSum, ...]


class LessonPage(Struct, frozen=True):
    """Lessons by ascending key. `group`: of fewer learners nothing is told; `after`: where the next page begins, 0: there is none."""

    month: str
    group: int
    lessons: tuple[LessonSum, ...]
    after: int


class InsightBook(Protocol):
    """May raise `StorageError`. Whether somebody may ask in a community is decided before; whether they mentor somebody, here."""

    async def own(self, user: int) -> OwnInsights: ...

    async def learner(self, space: int, user: int, mentor: int) -> LearnerInsights | None:
        """None: nobody of whom `mentor` is an active mentor in this community, or nothing is reckoned there."""
        ...

    async def lessons(self, space: int, month: str, after: int) -> LessonPage | None:
        """Of a month, as in 2026-11; None: this community has no analytics."""
        ...
