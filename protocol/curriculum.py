"""What somebody might learn next, and in which order lessons stand: the same on a device without a network and on the server.

    lessons, their requirements ─▶ in_order (cycles broken) ─╮
    progress, checkpoints, paths, courses ───────────────────┴─ next_lessons ─▶ begun · to repeat · next of a path · of a course · others

    a lesson is        done     at 100 %, and its checkpoint, if all of it is answered, not failed
                       open     published, with all that it requires done; what is required and not there is passed over
                       begun    never closes again: not by a new requirement, not by being retired

Who finished a lesson has finished it: questions and requirements that come later ask for nothing again. Only a failed checkpoint leads
back, to what the lesson requires first.

Invariant: a pure function of what is handed in, whatever its order; no lesson stands before another one that it requires, but in a cycle,
and a cycle begins where the lesson comes first by its place.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import Final

from msgspec import Struct

from protocol.declaring import Value

PASS_POINTS: Final = 60
"""Of a checkpoint, on average over its questions: below it is failed."""
LIMIT: Final = 8

TITLE, COURSE, LESSON_ORDER, MINUTES, LEVEL, REQUIRES, STATE = 1, 3, 4, 5, 6, 7, 8
"""Fields of a lesson."""
DRAFT, PUBLISHED, RETIRED = range(3)


class Lesson(Struct, frozen=True):
    """A lesson, as far as its place goes."""

    key: int
    course: int = 0
    order: int = 0
    level: int = 0
    requires: tuple[int, ...] = ()
    state: int = PUBLISHED


class Checkpoint(Struct, frozen=True):
    """How somebody stands at a lesson's questions. `points`: the sum over those that are graded, each 0 to 100."""

    asked: int = 0
    graded: int = 0
    points: int = 0

    @property
    def failed(self) -> bool:
        """All of it is graded, and below what passes."""
        return 0 < self.asked <= self.graded and self.points < PASS_POINTS * self.graded


class Step(Struct, frozen=True):
    """A lesson, and why: "continue:40" (percent), "repeat:50" (points), "prepare:7" (for lesson 7), "path:5", "course:3", "new"."""

    lesson: int
    why: str


NONE: Final = Checkpoint()


def in_order(lessons: Mapping[int, Lesson]) -> list[int]:
    """Every lesson once: by course, place and key, but none before what it requires. In a cycle the first by place begins."""
    ranks = {key: (lesson.course, lesson.order, key) for key, lesson in lessons.items()}
    missing = {key: {one for one in lesson.requires if one in lessons and one != key} for key, lesson in lessons.items()}
    followers: dict[int, list[int]] = {}
    for key, required in missing.items():
        for one in required:
            followers.setdefault(one, []).append(key)
    ready = [ranks[key] for key, required in missing.items() if not required]
    heapify(ready)
    waiting = sorted((rank for key, rank in ranks.items() if missing[key]), reverse=True)
    ordered: list[int] = []
    placed: set[int] = set()
    while len(ordered) < len(lessons):
        if not ready:
            # Everything left is in a cycle, or behind one.
            while waiting[-1][2] in placed:
                waiting.pop()
            ready.append(_begin_cycle(missing, placed, ranks, waiting[-1][2]))
        key = heappop(ready)[2]
        if key in placed:
            continue
        placed.add(key)
        ordered.append(key)
        for follower in followers.get(key, ()):
            missing[follower].discard(key)
            if not missing[follower] and follower not in placed:
                heappush(ready, ranks[follower])
    return ordered


def _begin_cycle(
    missing: Mapping[int, set[int]], placed: set[int], ranks: Mapping[int, tuple[int, int, int]], start: int
) -> tuple[int, int, int]:
    """Follows requirements from `start` into a cycle; its first lesson by place."""
    seen: dict[int, int] = {}
    path: list[int] = []
    key = start
    while key not in seen:
        seen[key] = len(path)
        path.append(key)
        key = min(missing[key] - placed, key=lambda one: ranks[one])
    return min(ranks[one] for one in path[seen[key] :])


def find_cycle(lessons: Mapping[int, Lesson], lesson: Lesson) -> tuple[int, ...]:
    """The lessons on a way from `lesson` back to it by what they require, if it were as it is given here; (): there is none."""
    ways: dict[int, int] = {}
    waiting = [one for one in lesson.requires if one in lessons or one == lesson.key]
    ways.update((one, lesson.key) for one in waiting)
    while waiting:
        key = waiting.pop()
        if key == lesson.key:
            way = [key]
            while (before := ways[way[-1]]) != lesson.key:
                way.append(before)
            return tuple(reversed(way[1:])) or (lesson.key,)
        for one in lessons[key].requires:
            if one not in ways and (one in lessons or one == lesson.key):
                ways[one] = key
                waiting.append(one)
    return ()


class Standing:
    """Where somebody stands: `progress` in percent and `checkpoints`, by lesson."""

    def __init__(self, lessons: Mapping[int, Lesson], progress: Mapping[int, int], checkpoints: Mapping[int, Checkpoint]) -> None:
        self._lessons = lessons
        self._progress = progress
        self._checkpoints = checkpoints
        self._place = {key: place for place, key in enumerate(in_order(lessons))}

    def percent(self, key: int) -> int:
        return self._progress.get(key, 0)

    def failed(self, key: int) -> bool:
        """Its checkpoint was."""
        return self._checkpoints.get(key, NONE).failed

    def done(self, key: int) -> bool:
        return self.percent(key) >= 100 and not self.failed(key)

    def begun(self, key: int) -> bool:
        """Not done, and not untouched."""
        return 0 < self.percent(key) < 100

    def lacks(self, key: int) -> list[int]:
        """What it requires that is not done, in order. In a cycle a lesson does not wait for what stands behind it."""
        required = {one for one in self._lessons[key].requires if one in self._place and self._place[one] < self._place[key]}
        return [one for one in self.sorted(required) if self._lessons[one].state != DRAFT and not self.done(one) and self._offered(one)]

    def is_open(self, key: int) -> bool:
        """Whether it may be begun, or is."""
        lesson = self._lessons.get(key)
        if lesson is None:
            return False
        return self.begun(key) or self.percent(key) >= 100 or (lesson.state == PUBLISHED and not self.lacks(key))

    def sorted(self, keys: Iterable[int]) -> list[int]:
        """Those that there are, in order."""
        return sorted((key for key in keys if key in self._place), key=lambda key: self._place[key])

    def _offered(self, key: int) -> bool:
        """A retired lesson that nobody began is asked of nobody."""
        return self._lessons[key].state == PUBLISHED or self.percent(key) > 0


def next_lessons(
    lessons: Mapping[int, Lesson],
    *,
    progress: Mapping[int, int],
    checkpoints: Mapping[int, Checkpoint] | None = None,
    paths: Mapping[int, Sequence[int]] | None = None,
    courses: Collection[int] = (),
    level: int = 0,
    limit: int = LIMIT,
) -> tuple[Step, ...]:
    """What might come next, best first: at most `limit` lessons, each once.

    `paths`: those that somebody follows, with their steps; `courses`: those that they are enrolled in; `level`: their own. Paths and
    courses that are finished give nothing. Where something is followed, nothing else is offered as long as it leads on.
    """
    stand = Standing(lessons, progress, checkpoints or {})
    steps: dict[int, Step] = {}

    def add(key: int, why: str) -> None:
        if key not in steps:
            steps[key] = Step(key, why)

    for key in sorted((key for key in lessons if stand.begun(key)), key=lambda key: (-stand.percent(key), key)):
        if lessons[key].state != DRAFT:
            add(key, f"continue:{stand.percent(key)}")
    back: set[int] = set()
    for key in stand.sorted(key for key in lessons if stand.percent(key) >= 100 and stand.failed(key) and lessons[key].state != DRAFT):
        for required in stand.lacks(key):
            _offer(stand, required, f"prepare:{key}", back, add)
        failed = (checkpoints or {})[key]
        add(key, f"repeat:{failed.points // failed.graded}")
    followed = False
    seen: set[int] = set()
    for key, why in _followed(lessons, paths or {}, courses, stand):
        if len(steps) >= limit:
            break
        if stand.percent(key) < 100:
            followed |= _offer(stand, key, why, seen, add)
    if not followed and len(steps) < limit:
        rest = [key for key in stand.sorted(lessons) if stand.percent(key) == 0 and stand.is_open(key)]
        for key in sorted(rest, key=lambda key: abs(lessons[key].level - level)):
            add(key, "new")
    return tuple(steps.values())[:limit]


def _followed(
    lessons: Mapping[int, Lesson], paths: Mapping[int, Sequence[int]], courses: Collection[int], stand: Standing
) -> Iterator[tuple[int, str]]:
    """The lessons of paths, then of courses, with why: each as often as it comes."""
    for path, keys in sorted(paths.items()):
        yield from ((key, f"path:{path}") for key in keys if key in lessons and lessons[key].state != DRAFT)
    taught: dict[int, list[int]] = {course: [] for course in courses}
    for key in stand.sorted(lessons) if courses else ():
        if lessons[key].course in taught and lessons[key].state == PUBLISHED:
            taught[lessons[key].course].append(key)
    for course, keys in sorted(taught.items()):
        yield from ((key, f"course:{course}") for key in keys)


def _offer(stand: Standing, key: int, why: str, seen: set[int], add: Callable[[int, str], None]) -> bool:
    """The lesson if it is open; else what it lacks and what that lacks, as far as that is open. Whether there was anything.

    `seen`: what was looked through already. It gave what it had, so however long a course is, each lesson is looked through once.
    """
    if stand.is_open(key):
        add(key, why)
        return True
    found = False
    if key in seen:
        return found
    seen.add(key)
    # The last one is the next: what comes first stands behind the others.
    waiting = stand.lacks(key)[::-1]
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        if not stand.is_open(one):
            waiting += stand.lacks(one)[::-1]
        elif stand.percent(one) < 100:
            add(one, f"prepare:{key}")
            found = True
    return found


# From records


def lesson_of(key: int, fields: Mapping[int, Value]) -> Lesson:
    """A record of a lesson."""
    requires = fields.get(REQUIRES, ())
    return Lesson(
        key,
        _whole(fields.get(COURSE)),
        _whole(fields.get(LESSON_ORDER)),
        _whole(fields.get(LEVEL)),
        tuple(one for one in requires if isinstance(one, int)) if isinstance(requires, tuple) else (),
        _whole(fields.get(STATE)),
    )


def checkpoints_of(questions: Mapping[int, int], points: Mapping[int, int]) -> dict[int, Checkpoint]:
    """How somebody stands at each lesson's questions. `questions`: the lesson of each; `points`: of those that are graded."""
    found: dict[int, Checkpoint] = {}
    for question, lesson in questions.items():
        before = found.get(lesson, NONE)
        graded = question in points
        found[lesson] = Checkpoint(before.asked + 1, before.graded + graded, before.points + points.get(question, 0))
    return found


def _whole(value: Value | None) -> int:
    return value if isinstance(value, int) else 0
