"""What is known of each skill from all learners: how often it is answered rightly, at first and later, after right and after wrong answers.

Everything is drawn towards the mean of all skills as if `PRIOR` answers had been like it, so a skill that nobody or hardly anybody has
answered yet is an ordinary one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

PRIOR: Final = 20.0
ATTEMPTS: Final = 4
"""First, second, third, later."""
STREAKS: Final = 6
"""Two or more wrong in a row, one, none yet, one right, two, three or more."""
CONTEXTS: Final = ATTEMPTS + STREAKS
Row = list[float]


def attempt_context(before: int) -> int:
    return min(before, ATTEMPTS - 1)


def streak_context(streak: int) -> int:
    return ATTEMPTS + max(-2, min(streak, 3)) + 2


class SkillTable:
    """One row a skill: its rate, then the rate in each context. `rates`: float32[skill + 1, 1 + CONTEXTS], the last row is for others."""

    def __init__(self, skills: Sequence[int], rates: NDArray[np.float32]) -> None:
        assert rates.shape == (len(skills) + 1, 1 + CONTEXTS), rates.shape
        self.skills = tuple(skills)
        self.rates = rates
        rows: list[Row] = rates.tolist()
        self._rows = dict(zip(skills, rows, strict=False))
        self._other = rows[-1]
        self.mean = self._other[0]

    def row(self, skill: int) -> Row:
        return self._rows.get(skill, self._other)

    def logit(self, skill: int) -> float:
        rate = min(max(self.row(skill)[0], 1e-3), 1 - 1e-3)
        return math.log(rate / (1 - rate))

    @classmethod
    def plain(cls, mean: float = 0.7) -> SkillTable:
        """Before anything is known."""
        return cls((), np.full((1, 1 + CONTEXTS), mean, np.float32))

    @classmethod
    def counted(cls, histories: Iterable[tuple[Sequence[int], Sequence[int]]]) -> SkillTable:
        """From learners' (skills, right or wrong) in their order."""
        counts: dict[int, NDArray[np.float64]] = {}
        for skills, rights in histories:
            seen: dict[int, tuple[int, int]] = {}
            for skill, right in zip(skills, rights, strict=True):
                before, streak = seen.get(skill, (0, 0))
                table = counts.get(skill)
                if table is None:
                    table = counts[skill] = np.zeros((2, CONTEXTS))
                for context in (attempt_context(before), streak_context(streak)):
                    table[0, context] += 1
                    table[1, context] += right
                seen[skill] = (before + 1, follow(streak, right))
        if not counts:
            return cls.plain()
        known = sorted(counts)
        whole = np.array([counts[skill] for skill in known])  # [skill, (asked, right), context]
        asked, right = whole[:, 0, :ATTEMPTS].sum(axis=1), whole[:, 1, :ATTEMPTS].sum(axis=1)
        mean = right.sum() / asked.sum()
        rate = (right + PRIOR * mean) / (asked + PRIOR)
        usual = (whole[:, 1].sum(axis=0) + PRIOR * mean) / (whole[:, 0].sum(axis=0) + PRIOR)
        expected = (usual[None, :] + rate[:, None]) / 2
        within = (whole[:, 1] + PRIOR * expected) / (whole[:, 0] + PRIOR)
        rates = np.vstack([np.column_stack([rate, within]), np.concatenate([[mean], usual])[None, :]])
        return cls(known, rates.astype(np.float32))


def follow(streak: int, right: int) -> int:
    """How many answers in a row were right (positive) or wrong (negative), after one more."""
    if right:
        return streak + 1 if streak > 0 else 1
    return streak - 1 if streak < 0 else -1
