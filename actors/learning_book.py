"""Learning as other systems and mentors read it: courses, one's own grades, how learners come along. What people do is done by sync.

    GET …/courses ─╮
    GET …/grades  ─┼─▶ LearningBook ─▶ records of the library, of enrolments; attempts
    GET …/learners╯

Invariant: learners come by their numbers, never by how good they are: nobody is ranked.
"""

from __future__ import annotations

from typing import Final, Protocol

from msgspec import Struct

COURSES_PAGE: Final = 50
LESSONS_MAX: Final = 2_000
"""Of a library: more are not looked at here; devices take them all by sync."""
GRADES_PAGE: Final = 100
LEARNERS_PAGE: Final = 20
BAND_POINTS: Final = 10
ANSWERS_MIN: Final = 8
"""Of fewer graded answers no mean is told: of one it were the grade."""


class LessonInfo(Struct, frozen=True):
    """A published lesson, or one that is no longer taught (`retired`)."""

    lesson: int
    title: str
    minutes: int
    level: int
    language: str
    requires: tuple[int, ...]
    retired: bool


class CourseInfo(Struct, frozen=True):
    """A course that is open or closed; drafts are not told. Lessons stand in their order."""

    course: int
    title: str
    summary: str
    subject: int
    language: str
    level: int
    open: bool
    lessons: tuple[LessonInfo, ...]


class CoursePage(Struct, frozen=True):
    """Courses by ascending key. `after`: where the next page begins; 0: there is none."""

    courses: tuple[CourseInfo, ...]
    after: int


class GradeInfo(Struct, frozen=True):
    """What one's latest answer to a question is worth. `at`: when it was graded, Unix time in seconds."""

    question: int
    points: int
    right: bool
    attempts: int
    words: str
    at: int


class GradePage(Struct, frozen=True):
    """Grades by ascending question. `after`: as of courses."""

    grades: tuple[GradeInfo, ...]
    after: int


class LearnerInfo(Struct, frozen=True):
    """How somebody comes along. `points`: about the mean over their graded attempts of the last 90 days, in steps of `BAND_POINTS`; none of
    fewer than `ANSWERS_MIN`. `last_at`: their last answer, 0: never."""

    user: int
    name: str
    begun: int
    done: int
    answered: int
    points: int | None
    last_at: int


class LearnerPage(Struct, frozen=True):
    """Learners by ascending account. `after`: as of courses."""

    learners: tuple[LearnerInfo, ...]
    after: int


class LearningBook(Protocol):
    """May raise `StorageError`. Whether somebody may ask is decided before."""

    async def courses(self, space: int, after: int) -> CoursePage: ...

    async def grades(self, space: int, user: int, after: int) -> GradePage: ...

    async def learners(self, space: int, mentor: int, after: int) -> LearnerPage:
        """Without those who blocked `mentor`."""
        ...
