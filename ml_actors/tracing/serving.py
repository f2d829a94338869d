"""The tracing model, as its process runs it: a learner's answers in, a chance for each skill out. It keeps nothing between questions.

version folder: skills.npz ─▶ table of skills        forest.npz ─▶ trees; without: the rule, a fading average of the learner and the skill
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actors.inference import Foresee, Foreseen, Step
from ml_actors.kinds import Options, Unusable
from ml_actors.tracing.forest import FILE, Forest
from ml_actors.tracing.skills import SkillTable
from ml_actors.tracing.steps import FEATURES, History

SKILLS_FILE: Final = "skills.npz"
_OF_SKILL: Final = 9
"""The feature that is a slowly fading average of the learner at the skill."""
_OF_LEARNER: Final = 18
"""The same at everything, over some thirty answers."""


class Tracing:
    """Fits `ml_actors.kinds.Model`."""

    def __init__(self, table: SkillTable, forest: Forest | None) -> None:
        self.table = table
        self._forest = forest

    def warm(self) -> None:
        self.answer([Foresee((Step(1, True),), (1,))])

    def answer(self, batch: Sequence[Foresee]) -> list[Foreseen]:
        return [Foreseen(tuple(self._foresee(asked).tolist())) for asked in batch]

    def _foresee(self, asked: Foresee) -> NDArray[np.float64]:
        if not asked.skills:
            return np.zeros(0)
        history = History(self.table)
        for step in asked.steps:
            history.add(step.skill, int(step.right))
        return self.chances(np.array([history.features(skill) for skill in asked.skills], np.float64))

    def chances(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[row, FEATURES] to float64[row]."""
        return rule(rows) if self._forest is None else self._forest.chances(rows)


def rule(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is foretold before anything was learned, and the baseline of what was: the mean, on the scale of logits, of how the learner does
    at this skill, how they do at all, and how others do at it."""
    learner = np.clip(rows[:, [_OF_SKILL, _OF_LEARNER]], 0.02, 0.98)
    logit = (np.log(learner / (1 - learner)).sum(axis=1) + rows[:, 0]) / 3
    return np.asarray(1.0 / (1.0 + np.exp(-logit)))


def save_table(table: SkillTable, folder: Path) -> None:
    np.savez_compressed(folder / SKILLS_FILE, skills=np.array(table.skills, np.int64), rates=table.rates)


def load(folder: Path, options: Options) -> Tracing:
    """Raises `Unusable`."""
    if options.runtime != "embedded" or options.device != "cpu":
        raise Unusable(f"tracing runs embedded on the cpu, not as {options.runtime} on {options.device}")
    try:
        with np.load(folder / SKILLS_FILE, allow_pickle=False) as file:
            table = SkillTable(file["skills"].tolist(), file["rates"])
    except FileNotFoundError:
        table = SkillTable.plain()
    except (OSError, ValueError, KeyError, AssertionError) as error:
        raise Unusable(f"{folder / SKILLS_FILE}: {error}") from error
    return Tracing(table, Forest.load(folder, FEATURES) if (folder / FILE).exists() else None)
