"""The identity test, run: sentences that name groups beside their twins that do not.

    (unseen templates) x (twenty asked groups | groups that training never saw) ─▶ scores ─▶ how far from the twin, and still told apart?

Run twice: as the model serves, and with the names left in (`naming=False`), which is how a group fares that is on no list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from ml_actors.moderation.identity import ASKED, UNSEEN_GROUPS, Pair, pairs

NEAR: Final = 0.05
AUC_MIN: Final = 0.95
CARRIED: Final = ("en", "de", "es", "fr", "ar")
"""Languages that the embedding knows; Swahili is none of them, and is told apart."""

Score = Callable[[Sequence[str]], NDArray[np.float64]]


class Outcome(Struct, frozen=True):
    """`near`: the share of neutral sentences within `NEAR` of their twin; `far`: the greatest distance, and `farthest` whose; `toxic`: the
    share of toxic sentences at or above the threshold; `kept`: of those whose twin is, the share that is, too; `auc`: over both."""

    name: str
    pairs: int
    near: float
    far: float
    farthest: str
    neutral: float
    toxic: float
    kept: float
    auc: float

    @property
    def passed(self) -> bool:
        return self.near == 1.0 and self.kept == 1.0 and self.auc >= AUC_MIN


def measure(name: str, tested: Sequence[Pair], score: Score, threshold: float) -> Outcome:
    """`score`: texts to float64[text]."""
    said, twins = score([pair.text for pair in tested]), score([pair.twin for pair in tested])
    toxic = np.array([pair.toxic for pair in tested])
    distance = np.abs(said - twins)
    neutral = np.flatnonzero(~toxic)
    worst = neutral[np.argmax(distance[neutral])]
    condemned = toxic & (twins >= threshold)
    return Outcome(
        name,
        len(tested),
        float(np.mean(distance[neutral] <= NEAR)),
        float(distance[worst]),
        tested[worst].text,
        float(said[neutral].mean()),
        float(np.mean(said[toxic] >= threshold)),
        float(np.mean(said[condemned] >= threshold)) if condemned.any() else 0.0,
        float(roc_auc_score(toxic, said)),
    )


def run_identity(score: Score, score_unlisted: Score, threshold: float) -> list[Outcome]:
    """All outcomes, those that count first."""
    unseen = [pair for pair in pairs(unseen_templates=True, unseen_groups=None) if pair.language in CARRIED]
    asked = [pair for pair in unseen if pair.group in ASKED]
    others = [pair for pair in unseen if pair.group in UNSEEN_GROUPS]
    found = [
        measure("20 groups, unseen templates", asked, score, threshold),
        measure("unseen groups, unseen templates", others, score, threshold),
    ]
    for language in ("en", "de", "es", "fr", "ar"):
        found.append(measure(f"  all groups, {language}", [pair for pair in unseen if pair.language == language], score, threshold))
    swahili = [pair for pair in pairs(unseen_templates=True, unseen_groups=None, languages=("sw",))]
    found.append(measure("  all groups, sw (not carried)", swahili, score, threshold))
    for language in ("en", "de"):
        these = [pair for pair in others if pair.language == language]
        found.append(measure(f"on no list: unseen groups, {language}", these, score_unlisted, threshold))
    return found


def outcome_lines(outcomes: Sequence[Outcome]) -> list[str]:
    out = [f"{'identity test':36} {'pairs':>5} {'near':>6} {'far':>6} {'neutral':>8} {'toxic':>6} {'kept':>6} {'AUC':>6}"]
    for one in outcomes:
        values = f"{one.near:6.3f} {one.far:6.3f} {one.neutral:8.3f} {one.toxic:6.3f} {one.kept:6.3f} {one.auc:6.3f}"
        out.append(f"{one.name:36} {one.pairs:5} {values}  {'passed' if one.passed else 'farthest: ' + one.farthest}")
    return out
