"""Figures of scores beside labels.

    chances, labels ─▶ ROC-AUC, average precision; precision, recall, F1 at a threshold; Brier, expected calibration error, reliability

Calibration is told twice: for the rows as they are, and weighed so that a third is toxic, which is what the chances assume.

Invariant: figures depend on rows and their weights alone, not on their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

BINS: Final = 10

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Bin(Struct, frozen=True):
    """Chances from `begin` up to the next: how many rows (weighed), the mean chance, and the share that is toxic."""

    begin: float
    rows: float
    chance: float
    toxic: float


class Figures(Struct, frozen=True):
    rows: int
    toxic: float
    """The share of the rows, 0 to 1."""
    auc: float
    average_precision: float
    threshold: float
    precision: float
    recall: float
    f1: float
    brier: float
    ece: float
    reliability: tuple[Bin, ...]


def figures(chances: Floats, toxic: Bools, threshold: float, weight: Floats | None = None) -> Figures:
    """float64[row], bool[row]. Both labels must occur. `weight`: 1 each where None."""
    weighed = np.ones(len(chances)) if weight is None else weight
    said = chances >= threshold
    true = float(weighed[said & toxic].sum())
    precision = true / max(float(weighed[said].sum()), 1e-12)
    recall = true / max(float(weighed[toxic].sum()), 1e-12)
    bins = reliability(chances, toxic, weighed)
    total = float(weighed.sum())
    return Figures(
        rows=len(chances),
        toxic=float(toxic.mean()),
        auc=float(roc_auc_score(toxic, chances)),
        average_precision=float(average_precision_score(toxic, chances, sample_weight=weighed)),
        threshold=threshold,
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / max(precision + recall, 1e-12),
        brier=float((weighed * (chances - toxic) ** 2).sum() / total),
        ece=float(sum(one.rows * abs(one.chance - one.toxic) for one in bins) / total),
        reliability=bins,
    )


def reliability(chances: Floats, toxic: Bools, weight: Floats) -> tuple[Bin, ...]:
    """Bins of equal width; empty ones are left out."""
    place = np.minimum((chances * BINS).astype(int), BINS - 1)
    found = []
    for number in range(BINS):
        here = place == number
        rows = float(weight[here].sum())
        if rows > 0:
            found.append(Bin(number / BINS, rows, float((weight * chances)[here].sum() / rows), float((weight * toxic)[here].sum() / rows)))
    return tuple(found)


def to_prior(toxic: Bools, prior: float) -> Floats:
    """Weights with which `prior` of the rows is toxic; 1 on average."""
    share = float(toxic.mean())
    return np.where(toxic, prior / share, (1 - prior) / (1 - share))


def spread(values: Sequence[float]) -> str:
    """ "0.912 ±0.004": the mean and the standard deviation over folds."""
    return f"{np.mean(values):.3f} ±{np.std(values):.3f}"


def lines(rows: Sequence[tuple[str, Figures]]) -> list[str]:
    """A table."""
    out = [f"{'':34} {'rows':>6} {'toxic':>6} {'AUC':>6} {'AP':>6} {'P':>6} {'R':>6} {'F1':>6} {'Brier':>6} {'ECE':>6}"]
    for name, of in rows:
        values = (of.toxic, of.auc, of.average_precision, of.precision, of.recall, of.f1, of.brier, of.ece)
        out.append(f"{name:34} {of.rows:6} " + " ".join(f"{value:6.3f}" for value in values))
    return out
