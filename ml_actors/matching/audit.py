"""The audit: are mentors of some group shown, chosen or rated less than others, where nothing but the group tells them apart?

    cases (group, shown?, chosen?, score) ─▶ fairlearn's MetricFrame ─▶ a line a group, the ratio of the lowest to the highest, alarms

A group is whatever an installation may lawfully know and wants to look at: language, region, time zone. The model never sees it. An alarm
is the four-fifths rule (the lowest rate under 0.8 of the highest: US Uniform Guidelines on Employee Selection Procedures, 1978) where both
groups have `CASES_MIN` cases and chance alone explains it once in a hundred times or less.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from fairlearn.metrics import MetricFrame, count, mean_prediction, selection_rate
from msgspec import Struct
from numpy.typing import NDArray
from scipy.stats import fisher_exact
from sklearn.metrics import roc_auc_score

FOUR_FIFTHS: Final = 0.8
CASES_MIN: Final = 30
CHANCE: Final = 0.01


class Line(Struct, frozen=True):
    """One group: how many cases, what share was selected, the mean score, and how well scores tell good ends from others among them (nan:
    cannot be said)."""

    group: str
    cases: int
    selected: float
    score: float
    auc: float


class Report(Struct, frozen=True):
    """`ratio`: the lowest share that was selected over the highest, among groups that are large enough; 1 where there is one such group."""

    lines: tuple[Line, ...]
    ratio: float
    alarms: tuple[str, ...]


def _auc(good: NDArray[np.int8], scores: NDArray[np.float64]) -> float:
    return float(roc_auc_score(good, scores)) if 0 < good.sum() < len(good) else float("nan")


def audit(
    groups: NDArray[np.str_], selected: NDArray[np.int8], scores: NDArray[np.float64], good: NDArray[np.int8], *, what: str = "shown"
) -> Report:
    """The report over cases (arrays of one length): `selected` is what is compared between groups, `good` how it ended."""
    metrics: Mapping[str, object] = {"cases": count, "selected": selection_rate}
    frame = MetricFrame(metrics=metrics, y_true=good, y_pred=selected, sensitive_features=groups)
    means = MetricFrame(metrics=mean_prediction, y_true=good, y_pred=scores, sensitive_features=groups)
    lines = tuple(
        Line(
            str(group),
            int(row["cases"]),
            float(row["selected"]),
            float(means.by_group[group]),
            _auc(good[groups == group], scores[groups == group]),
        )
        for group, row in frame.by_group.iterrows()
    )
    large = [line for line in lines if line.cases >= CASES_MIN]
    if len(large) < 2:
        return Report(lines, 1.0, ())
    high = max(large, key=lambda line: line.selected)
    ratio = min(line.selected for line in large) / high.selected if high.selected else 1.0
    alarms = []
    for line in large:
        if line is high or not high.selected or line.selected / high.selected >= FOUR_FIFTHS:
            continue
        table = [[round(one.selected * one.cases), one.cases - round(one.selected * one.cases)] for one in (line, high)]
        chance = float(fisher_exact(table).pvalue)
        if chance <= CHANCE:
            alarms.append(
                f"{line.group} is {what} {line.selected:.1%} of the time, {high.group} {high.selected:.1%}:"
                f" {line.selected / high.selected:.2f} of it, and chance alone says so {chance:.1e} of the time"
            )
    return Report(lines, ratio, tuple(alarms))
