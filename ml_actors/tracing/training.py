"""Growing the trees: histories of learners in, a version's folder out.

    learners, split ─▶ a table of skills from the others ─▶ features of each answer but the first ─▶ gradient boosting ─▶ forest.npz
                       a table of skills from all ───────────────────────────────────────────────────────────────────▶ skills.npz

A skill's rates never come from the learner whose answers are looked at: where few learners answered a skill, the table would tell the
answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss, roc_auc_score

from actors.model_book import Answered, Card
from actors.model_book import Training as Data
from ml_actors.kinds import Options, TooFewRows, Trained
from ml_actors.registry import read_card, seal
from ml_actors.tracing.forest import Forest
from ml_actors.tracing.serving import load, rule, save_table
from ml_actors.tracing.skills import SkillTable
from ml_actors.tracing.steps import FEATURES, History
from ml_actors.training import read_rows

ANSWERS_MIN: Final = 2_000
LEARNERS_MIN: Final = 20
PARTS: Final = 5
MARGIN: Final = 0.003
SEED: Final = 20
Skills = Sequence[int]
Learner = tuple[Skills, Skills]
"""Skills, and right (1) or wrong (0), in the order of one learner's answers."""


class Rows(Struct, frozen=True):
    """`features`: float32[answer, FEATURES], `right`: int8[answer]; each learner's first answer is left out: nothing is known before it."""

    features: NDArray[np.float32]
    right: NDArray[np.int8]


def rows_of(learners: Sequence[Learner], table: SkillTable) -> Rows:
    """Every answer as it looked before it was given."""
    features, rights = [], []
    for skills, right in learners:
        history = History(table)
        for place, (skill, one) in enumerate(zip(skills, right, strict=True)):
            if place:
                features.append(history.features(skill))
                rights.append(one)
            history.add(skill, one)
    return Rows(np.array(features, np.float32).reshape(-1, FEATURES), np.array(rights, np.int8))


def _crossed(learners: Sequence[Learner]) -> Rows:
    parts = [learners[part::PARTS] for part in range(PARTS)]
    made = []
    for part, mine in enumerate(parts):
        others = [one for place, other in enumerate(parts) if place != part for one in other]
        made.append(rows_of(mine, SkillTable.counted(others)))
    return Rows(np.concatenate([one.features for one in made]), np.concatenate([one.right for one in made]))


class Grown(Struct, frozen=True):
    table: SkillTable
    forest: Forest


def grow(learners: Sequence[Learner], *, trees: int = 200, leaves: int = 24) -> Grown:
    """The model from some learners. Some ten seconds for half a million answers."""
    rows = _crossed(learners)
    few = len(rows.right) < 50_000
    fitted = HistGradientBoostingClassifier(
        max_iter=trees // 2 if few else trees,
        learning_rate=0.08,
        max_leaf_nodes=leaves // 2 if few else leaves,
        min_samples_leaf=100 if not few else 40,
        l2_regularization=5.0,
        early_stopping=False,
        random_state=SEED,
    ).fit(rows.features, rows.right)
    return Grown(SkillTable.counted(learners), Forest.grown(fitted, FEATURES))


def train(rows: Path, out: Path, active: Path | None) -> Trained:
    """From rows of `actors.model_book.Answered`, in any order. A fifth of the learners is held out for the comparison, and learned from in
    the end. Raises `TooFewRows`."""
    learners = _learners([msgspec.msgpack.decode(row, type=Answered) for row in read_rows(rows)])
    answers = sum(len(skills) for skills, _ in learners)
    if answers < ANSWERS_MIN or len(learners) < LEARNERS_MIN:
        raise TooFewRows(f"{answers} answers of {len(learners)} learners; it takes {ANSWERS_MIN} of {LEARNERS_MIN}")
    held, taught = learners[::PARTS], [one for place, one in enumerate(learners) if place % PARTS]
    grown = grow(taught)
    asked = rows_of(held, grown.table)
    new = grown.forest.chances(asked.features.astype(np.float64))
    auc, loss = float(roc_auc_score(asked.right, new)), float(log_loss(asked.right, new))
    before = float(roc_auc_score(asked.right, _active_chances(active, held)))
    whole = grow(learners)
    whole.forest.save(out)
    save_table(whole.table, out)
    now = datetime.now(UTC)
    seal(
        out,
        Card(
            name="tracing",
            version=f"{now:%Y%m%d-%H%M%S}",
            kind="tracing",
            runtime="embedded",
            files=(),
            training=(Data("answers to checkpoints of this installation", "its own", answers, f"{len(learners)} learners"),),
            metrics={"auc": auc, "auc_before": before, "log_loss": loss},
            made_at=f"{now:%Y-%m-%d}",
            intended="choosing what a learner does next, and seeing where many are stuck",
            limits="knows answers and nothing else about a person; never for marks, certificates or a ranking of people",
            parent=read_card(active).title if active else "",
            deciding="auc",
            margin=MARGIN,
        ),
    )
    return Trained("auc", auc, before, MARGIN, answers, f"{len(learners)} learners")


def _learners(answered: Sequence[Answered]) -> list[Learner]:
    """Histories by learner, each in the order of time; learners by a hash of their number, so that who is held out is nobody's choice."""
    by_learner: dict[int, list[Answered]] = {}
    for one in answered:
        by_learner.setdefault(one.learner, []).append(one)
    histories = [
        sorted(by_learner[learner], key=lambda one: one.at) for learner in sorted(by_learner, key=lambda user: user * 0x9E3779B1 % 2**32)
    ]
    return [([one.skill for one in history], [int(one.right) for one in history]) for history in histories]


def _active_chances(active: Path | None, held: Sequence[Learner]) -> NDArray[np.float64]:
    """What the version in use would have said, or the rule."""
    if active is None:
        return rule(rows_of(held, SkillTable.plain()).features.astype(np.float64))
    model = load(active, Options())
    return model.chances(rows_of(held, model.table).features.astype(np.float64))
