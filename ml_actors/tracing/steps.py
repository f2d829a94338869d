"""A learner as their answers show them: a small state, moved by each answer, and its features for a skill that comes next.

    state = History(table); state.add(skill, right) …; state.features(skill) ─▶ float[FEATURES], of nothing that lies ahead

Averages that fade (`FADES`) say how it goes lately; runs say that practice usually stays with one skill until it is mastered, so that being
asked again after three right answers means something else than after one.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from ml_actors.tracing.skills import CONTEXTS, SkillTable, attempt_context, follow, streak_context

FADES: Final = (0.7, 0.9, 0.97, 0.99)
FADES_OF_SKILL: Final = (0.6, 0.9)
COUNT_MAX: Final = 60
GAP_MAX: Final = 500
_NAMED: Final = 28
FEATURES: Final = _NAMED + CONTEXTS


class _Skill(NamedTuple):
    """One skill of one learner."""

    right: int = 0
    total: int = 0
    streak: int = 0
    last: int = 0
    """The last answers as bits, the newest lowest."""
    at: int = 0
    quick: float = 0.0
    quick_weight: float = 0.0
    slow: float = 0.0
    slow_weight: float = 0.0


class _Run(NamedTuple):
    """Answers of one skill without another in between."""

    length: int = 0
    right: int = 0
    surprise: float = 0.0
    """Right answers above what the skill's rate lets expect."""


NEW: Final = _Skill()


class History:
    """The state. Adding an answer and asking for features take some microseconds each."""

    def __init__(self, table: SkillTable) -> None:
        self._table = table
        self._skills: dict[int, _Skill] = {}
        self._count = 0
        self._last_skill: int | None = None
        self._run = _Run()
        self._run_before = _Run()
        self._streak = 0
        self._bits = 0
        self._lately = [0.0] * len(FADES)
        self._weights = [0.0] * len(FADES)
        self._surprise = 0.0
        self._surprise_weight = 0.0
        self._firsts_right = 0

    def features(self, skill: int) -> list[float]:
        """What is known before `skill` is asked."""
        mean = self._table.mean
        mine = self._skills.get(skill, NEW)
        new_run = skill != self._last_skill
        run, before = (_Run(), self._run) if new_run else (self._run, self._run_before)
        rates = self._table.row(skill)
        turned = self._table.logit(self._last_skill) if new_run and self._last_skill is not None else 0.0
        return [
            self._table.logit(skill),
            self._count,
            run.length,
            run.right,
            mine.streak,
            min(mine.total, COUNT_MAX),
            mine.right,
            (mine.right + 2 * mean) / (mine.total + 2),
            (mine.quick + mean) / (mine.quick_weight + 1),
            (mine.slow + mean) / (mine.slow_weight + 1),
            mine.last & 0x1F,
            min(self._count - mine.at, GAP_MAX) if mine.total else -1,
            self._bits & 0x1F,
            (self._bits & 0x3FF).bit_count(),
            self._streak,
            len(self._skills),
            *((lately + mean) / (weight + 1) for lately, weight in zip(self._lately, self._weights, strict=True)),
            self._surprise / (self._surprise_weight + 3),
            (self._firsts_right + 2 * mean) / (len(self._skills) + 2),
            before.length,
            before.right,
            before.surprise,
            turned,
            rates[1 + attempt_context(mine.total)],
            rates[1 + streak_context(mine.streak)],
            *rates[1:],
        ]

    def add(self, skill: int, right: int) -> None:
        """An answer: 1 right, 0 wrong."""
        expected = 1 / (1 + math.exp(-self._table.logit(skill)))
        if skill != self._last_skill:
            self._run_before, self._run, self._last_skill = self._run, _Run(), skill
        run = self._run
        self._run = _Run(run.length + 1, run.right + right, run.surprise + right - expected)
        mine = self._skills.get(skill)
        if mine is None:
            mine = NEW
            self._firsts_right += right
        quick, slow = FADES_OF_SKILL
        self._skills[skill] = _Skill(
            mine.right + right,
            mine.total + 1,
            follow(mine.streak, right),
            (mine.last << 1 | right) & 0xFF,
            self._count,
            mine.quick * quick + right,
            mine.quick_weight * quick + 1,
            mine.slow * slow + right,
            mine.slow_weight * slow + 1,
        )
        self._count += 1
        for place, fade in enumerate(FADES):
            self._lately[place] = self._lately[place] * fade + right
            self._weights[place] = self._weights[place] * fade + 1
        self._surprise = self._surprise * 0.98 + right - expected
        self._surprise_weight = self._surprise_weight * 0.98 + 1
        self._streak = follow(self._streak, right)
        self._bits = (self._bits << 1 | right) & 0xFFFFFF
