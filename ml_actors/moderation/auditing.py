"""The audit that runs as a job: are decisions about texts, and the model that learns from them, harder on some languages or on texts that
name a group?

    Ruled rows ─▶ by language; by whether a group is named ─▶ fairlearn ─▶ what share stayed away, how often the model and people part

It looks at what moderators decided of texts that were held or appealed. How the model errs on texts that nobody held is what
`educonnect ml evaluate moderation --audit` looks for, on written sentences and public collections.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from fairlearn.metrics import MetricFrame, count, selection_rate
from numpy.typing import NDArray
from scipy.stats import fisher_exact
from sklearn.linear_model import LogisticRegression

from actors.model_book import Audited, AuditLine, Ruled
from ml_actors.kinds import Options, TooFewRows
from ml_actors.moderation import serving
from ml_actors.moderation.evaluation import VERSION, scores
from ml_actors.moderation.naming import unnamed
from ml_actors.moderation.writing import plain
from ml_actors.training import read_rows

ROWS_MIN: Final = 60
GROUP_MIN: Final = 30
CHANCE: Final = 0.01
LOW: Final = 0.8
"""Below this ratio of shares an alarm is given: the four-fifths rule, of the texts that were released."""


def audit(rows: Path) -> Audited:
    """Raises `TooFewRows`."""
    return report([msgspec.msgpack.decode(row, type=Ruled) for row in read_rows(rows)])


def report(ruled: Sequence[Ruled]) -> Audited:
    """The same of rows at hand."""
    if len(ruled) < ROWS_MIN:
        raise TooFewRows(f"{len(ruled)} decisions; it takes {ROWS_MIN}")
    released = np.array([not one.harm for one in ruled])
    said = scores(serving.load(VERSION, Options()), [one.text for one in ruled])
    expected = _expected(said, released)
    lines: list[AuditLine] = []
    alarms: list[str] = []
    ratio = 1.0
    for what, groups in (
        ("released, by language", [one.language or "unknown" for one in ruled]),
        ("released, by whom it names", ["a group" if unnamed(plain(one.text))[1] else "nobody" for one in ruled]),
    ):
        names = np.array(groups)
        frame = MetricFrame(metrics={"rows": count, "released": selection_rate}, y_true=released, y_pred=released, sensitive_features=names)
        here = [
            AuditLine(what, str(group), int(row["rows"]), float(row["released"]), float(expected[names == group].mean()))
            for group, row in frame.by_group.iterrows()
        ]
        lines += here
        large = [line for line in here if line.cases >= GROUP_MIN]
        high = max(large, key=lambda line: line.share, default=None)
        if high is None or len(large) < 2 or not high.share:
            continue
        for line in large:
            low = line.share / high.share
            ratio = min(ratio, low)
            table = [[round(one.share * one.cases), one.cases - round(one.share * one.cases)] for one in (line, high)]
            if low < LOW and fisher_exact(table).pvalue <= CHANCE:
                alarms.append(
                    f"of texts that were held, {line.share:.0%} are released where {line.group} is it ({what}), and {high.share:.0%} where"
                    f" {high.group} is; by the model's score it would be {line.expected:.0%} and {high.expected:.0%}"
                )
    return Audited("moderation", len(ruled), tuple(lines), ratio, tuple(alarms))


def _expected(said: NDArray[np.float64], released: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How likely each would be released, by the model's score alone."""
    if released.all() or not released.any():
        return released.astype(np.float64)
    logits = np.log(np.clip(said, 1e-6, 1 - 1e-6) / np.clip(1 - said, 1e-6, 1 - 1e-6))[:, None]
    return np.asarray(LogisticRegression().fit(logits, released).predict_proba(logits)[:, 1], dtype=np.float64)
