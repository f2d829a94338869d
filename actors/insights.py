"""What is noticed about learning: decided here, from numbers, by rules that anybody can reckon again.

    Activity, results ─▶ risk ─▶ reasons with their points, and their sum        strengths, stuck ─▶ Noticed
    steps that are open, chances ─▶ choose_next: what is begun or has to be prepared, then where practice helps most

A risk is a reason to ask somebody how they are, and nothing else: it is reckoned of one person against their own habits, never against
others, and there is no list of people by it. Sentences stand in docs/analytics.md, by the keys that are made here.

Invariant: pure; whoever sees a figure can name the numbers it came from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from enum import IntEnum
from typing import Final

from msgspec import Struct

from protocol.curriculum import Step
from protocol.learning import NEXT_MAX
from protocol.values import ID_MAX

ACTIVE_BITS: Final = 63
"""Days that are remembered of somebody's activity."""
WINDOW_DAYS: Final = 14
STOPPED_DAYS: Final = 14
"""Without anything for so long, somebody has stopped where they were."""
LATELY: Final = 20
"""Answers that say how it goes now."""
RISK_TOLD: Final = 40
"""From here on it is told, to whom it may be told."""
STRONG_ANSWERS: Final = 8
STRONG_PERCENT: Final = 85
STUCK_WRONG: Final = 3
STRENGTHS_MAX: Final = 3
STUCK_MAX: Final = 5
RULE_MARK: Final = ";rule"
"""Behind a reason whose chance was reckoned by the rule below, because no model answered."""


class Kind(IntEnum):
    """Of an INSIGHT."""

    STRENGTH = 1
    """`value`: percent of the answers in that lesson."""
    STUCK = 2
    """`value`: wrong answers there since the last right one."""
    RISK = 3
    """One reason of a risk; `value`: its points. Together they are the risk, 0 to 100."""


class Noticed(Struct, frozen=True):
    """One INSIGHT, before it is a record."""

    kind: Kind
    lesson: int
    value: int
    words: str

    @property
    def key(self) -> int:
        """The same for the same thing about the same lesson."""
        what = self.words.partition(":")[0]
        digest = hashlib.sha256(f"{int(self.kind)}\n{self.lesson}\n{what}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % ID_MAX + 1


class Tried(Struct, frozen=True):
    """One graded answer. `at`: Unix seconds."""

    lesson: int
    right: bool
    at: int


# Activity


def mark_active(bits: int, on: date, day: date) -> tuple[int, date]:
    """Activity with one more day in it: bits and the day of the lowest. A day before all that is remembered changes nothing."""
    ahead = (day - on).days
    if ahead > 0:
        return ((bits << ahead) | 1) & (2**ACTIVE_BITS - 1) if ahead < ACTIVE_BITS else 1, day
    return (bits | 1 << -ahead, on) if -ahead < ACTIVE_BITS else (bits, on)


class Activity(Struct, frozen=True):
    """When somebody did anything in a community: bits up to `on`, as `mark_active` has them; `since`: when they came."""

    bits: int
    on: date
    since: date

    def days_between(self, first: int, last: int, today: date) -> int:
        """Active days from `first` to `last` days before today, both counted."""
        late = (today - self.on).days
        return sum(1 for ago in range(first, last + 1) if 0 <= ago - late < ACTIVE_BITS and self.bits >> (ago - late) & 1)

    def silent_days(self, today: date) -> int:
        """Since the last active day; if there was none, since they came."""
        return max(0, (today - (self.on if self.bits else self.since)).days)

    @property
    def usual_gap(self) -> float:
        """Days from one active day to the next, on average over what is remembered; 7 where there are too few to say."""
        count = self.bits.bit_count()
        return (self.bits.bit_length() - 1) / (count - 1) if count >= 3 else 7.0


# Drop-out risk


class Reason(Struct, frozen=True):
    """Why somebody might not come again. `words`: a sentence's key and what fills it; `points` of 100."""

    words: str
    points: int


def risk(activity: Activity, tried: Sequence[Tried], stuck: int, today: date, *, over: bool = False) -> tuple[Reason, ...]:
    """The reasons, heaviest first; their points are the risk. `tried`: their latest answers, oldest first; `stuck`: lessons in which they
    are; `over`: they have finished or left, or paused: then there is none.

    silent   up to 50: days without anything, beyond twice their usual gap and at least four days; all points at five times that
    fewer    up to 20: active days of the last two weeks against the two before, if those were three or more
    wrong    up to 20: wrong answers among the last twenty, from half of them on, if there are eight or more
    stuck    up to 10: five for each lesson in which nothing has been right for three answers
    never    30: came a week ago or more, and has not begun
    """
    if over:
        return ()
    if not activity.bits:
        waited = activity.silent_days(today)
        return (Reason(f"never:{waited}", 30),) if waited >= 7 else ()
    reasons = []
    silent, bearable = activity.silent_days(today), max(4.0, 2 * activity.usual_gap)
    if silent > bearable:
        reasons.append(Reason(f"silent:{silent}", min(50, round(20 + 30 * (silent - bearable) / (4 * bearable)))))
    before, lately = activity.days_between(WINDOW_DAYS, 2 * WINDOW_DAYS - 1, today), activity.days_between(0, WINDOW_DAYS - 1, today)
    if before >= 3 and lately < before:
        reasons.append(Reason(f"fewer:{lately}:{before}", round(20 * (before - lately) / before)))
    last = tried[-LATELY:]
    wrong = sum(not one.right for one in last)
    if len(last) >= 8 and 2 * wrong >= len(last):
        reasons.append(Reason(f"wrong:{wrong}:{len(last)}", round(20 * wrong / len(last))))
    if stuck:
        reasons.append(Reason(f"stuck:{stuck}", min(10, 5 * stuck)))
    return tuple(sorted((one for one in reasons if one.points > 0), key=lambda one: -one.points))


def points_of(reasons: Sequence[Reason]) -> int:
    """The risk, 0 to 100."""
    return min(100, sum(reason.points for reason in reasons))


# Strengths, and where somebody is stuck


def stuck_in(tried: Sequence[Tried]) -> dict[int, int]:
    """Lessons with `STUCK_WRONG` or more wrong answers since the last right one, and how many; `tried` oldest first."""
    wrong: dict[int, int] = {}
    for one in tried:
        wrong[one.lesson] = 0 if one.right else wrong.get(one.lesson, 0) + 1
    return {lesson: count for lesson, count in wrong.items() if count >= STUCK_WRONG and lesson}


def notice(tried: Sequence[Tried], reasons: Sequence[Reason]) -> list[Noticed]:
    """What a learner is told: what goes well first. `tried`: oldest first."""
    answers: dict[int, int] = {}
    rights: dict[int, int] = {}
    for one in tried:
        answers[one.lesson] = answers.get(one.lesson, 0) + 1
        rights[one.lesson] = rights.get(one.lesson, 0) + one.right
    stuck = stuck_in(tried)
    strong = {
        lesson: 100 * rights[lesson] // count
        for lesson, count in answers.items()
        if lesson and lesson not in stuck and count >= STRONG_ANSWERS and 100 * rights[lesson] >= STRONG_PERCENT * count
    }
    found = [
        Noticed(Kind.STRENGTH, lesson, percent, f"strength:{percent}")
        for lesson, percent in sorted(strong.items(), key=lambda one: (-one[1], one[0]))[:STRENGTHS_MAX]
    ]
    found += [
        Noticed(Kind.STUCK, lesson, count, f"stuck:{count}")
        for lesson, count in sorted(stuck.items(), key=lambda one: (-one[1], one[0]))[:STUCK_MAX]
    ]
    if points_of(reasons) >= RISK_TOLD:
        found += [Noticed(Kind.RISK, 0, reason.points, reason.words) for reason in reasons]
    return found


# What comes next


class Chosen(Struct, frozen=True):
    """A lesson that might come next. `chance`: in percent, how likely its questions are answered rightly now."""

    lesson: int
    chance: int
    why: str


def rule_chance(tried: Sequence[Tried], lesson: int) -> float:
    """How likely an answer in a lesson is right where no model says so: halfway between how it goes there and how it goes at all, each
    drawn towards a half as if two answers had been like it."""
    lately = tried[-LATELY:]
    there = [one for one in tried if one.lesson == lesson][-LATELY:]
    return sum((sum(one.right for one in some) + 1) / (len(some) + 2) for some in (lately, there)) / 2


def choose_next(steps: Sequence[Step], chances: Mapping[int, float], *, by_rule: bool) -> tuple[Chosen, ...]:
    """At most `NEXT_MAX` of `protocol.curriculum.next_lessons`, best first. What is begun, failed or comes before something stays in front,
    as it stands. Of the others those where practice helps most: the chance far from 0 and from 1 (p·(1−p), in tenths of its most, so that
    small differences leave the order in which they were written)."""

    def gain(step: Step) -> int:
        chance = chances.get(step.lesson, 0.5)
        return round(40 * chance * (1 - chance))

    urgent = [step for step in steps if step.why.startswith(("continue", "repeat", "prepare"))]
    rest = sorted((step for step in steps if step not in urgent), key=gain, reverse=True)
    mark = RULE_MARK if by_rule else ""
    return tuple(Chosen(step.lesson, round(100 * chances.get(step.lesson, 0.5)), step.why + mark) for step in (*urgent, *rest)[:NEXT_MAX])
