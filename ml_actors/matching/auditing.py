"""The audit of matching over what became of an installation's own matches, by groups of mentors.

went well?  by group: four fifths of the best, or an alarm
undervalued? by group: how often it went well beside what the scores promised; a group that does better than its scores is held back
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from actors.model_book import Audited, AuditLine, Met
from ml_actors.kinds import TooFewRows
from ml_actors.matching.audit import CASES_MIN
from ml_actors.matching.audit import audit as compare
from ml_actors.training import read_rows

UNDERVALUED: Final = 0.05
"""How much more often a group's matches go well than their scores promise, before it is said."""
SURE: Final = 2.6
"""Standard errors: one in two hundred by chance."""
UNKNOWN: Final = "not said"


def audit(rows: Path) -> Audited:
    """The report over rows of `Met`. Raises `TooFewRows`."""
    met = [msgspec.msgpack.decode(row, type=Met) for row in read_rows(rows)]
    good = np.array([one.good for one in met], np.int8)
    if len(met) < 2 * CASES_MIN or len(set(good.tolist())) < 2:
        raise TooFewRows(f"{len(met)} outcomes, {int(good.sum())} of them good; it takes {2 * CASES_MIN}, and some of each")
    groups = np.array([one.group or UNKNOWN for one in met])
    scores = np.array([one.score for one in met])
    report = compare(groups, good, scores, good, what="matched well")
    lines = [AuditLine("went well", line.group, line.cases, line.selected) for line in report.lines]
    valued, alarms = _undervalued(groups, good, scores)
    return Audited("matching", len(met), (*lines, *valued), report.ratio, (*report.alarms, *alarms))


def _undervalued(groups: NDArray[np.str_], good: NDArray[np.int8], scores: NDArray[np.float64]) -> tuple[list[AuditLine], list[str]]:
    lines, alarms = [], []
    for group in np.unique(groups):
        mine = groups == group
        others = ~mine
        # What scores promise is read from the others, so that a large group is not its own measure.
        if mine.sum() < CASES_MIN or others.sum() < CASES_MIN or len(set(good[others].tolist())) < 2:
            continue
        promise = LogisticRegression().fit(scores[others, None], good[others]).predict_proba(scores[mine, None])[:, 1]
        share, expected = float(good[mine].mean()), float(promise.mean())
        error = float(np.sqrt((promise * (1 - promise)).sum()) / mine.sum())
        lines.append(AuditLine("beside its scores", str(group), int(mine.sum()), share, expected))
        if share - expected > max(UNDERVALUED, SURE * error):
            alarms.append(f"{group}: {share:.1%} went well where the scores of others would promise {expected:.1%}: it is undervalued")
    return lines, alarms
