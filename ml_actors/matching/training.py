"""Weights from outcomes: what counted, by what became of the pairs that met.

    (factors, went well?, group) of past proposals ─▶ logistic regression ─▶ not negative, sum 1 ─▶ shrunk towards the rule's weights
                                                        held out: better than what is active?

A proposal that was turned down and a mentorship that ended badly count alike: it was not a match. Few cases barely move the weights
(`PRIOR_CASES`), so that a small installation starts from the rule and drifts as it learns.

Fairness: with `groups`, the weights are learned under the constraint that no group's mentors score lower on average than the rest by what
the factors say of them alone (a bound on the difference of means, after Zafar et al. 2017, "Fairness Constraints"). The groups are needed
to learn and to audit, and never to serve.
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
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold

from actors.inference import FACTORS, WEIGHTS
from actors.model_book import Card, Met
from actors.model_book import Training as Data
from ml_actors.kinds import TooFewRows, Trained
from ml_actors.matching.serving import WEIGHTS_FILE, Weights, read_weights
from ml_actors.registry import read_card, seal
from ml_actors.training import read_rows

Cases = NDArray[np.float64]
"""float64[case, 6]: factors as they were when the pair was shown."""

PRIOR_CASES: Final = 300.0
"""As many cases as the rule's weights stand for."""
CASES_MIN: Final = 100
"""Below this nothing is learned: a held-out part of it would say nothing."""
MARGIN: Final = 0.005
"""By how much held-out AUC must be better before weights are promoted."""
GROUP_MIN: Final = 30
"""Cases of a group, below which a difference of means is chance."""
RESAMPLES: Final = 100
FOLDS: Final = 5
STRENGTH: Final = 1.0
"""Inverse of the ridge penalty, as scikit-learn's `C`."""


class Learned(Struct, frozen=True):
    """`auc`, `log_loss`: of the new weights, on cases held out; `active_auc`: of those in use, on the same cases. `chance`: one standard
    error of the difference, by resampling the cases."""

    weights: tuple[float, ...]
    cases: int
    auc: float
    log_loss: float
    active_auc: float
    chance: float
    fair: bool

    @property
    def margin(self) -> float:
        """By how much the new ones have to be better: with few cases, by more than chance makes of nothing."""
        return MARGIN + self.chance

    @property
    def better(self) -> bool:
        return self.auc >= self.active_auc + self.margin


def _simplex(coefficients: NDArray[np.float64], fallback: Sequence[float]) -> NDArray[np.float64]:
    positive = np.maximum(coefficients, 0.0)
    total = positive.sum()
    return positive / total if total > 0 else np.asarray(fallback, np.float64)


def _plain_weights(factors: Cases, good: NDArray[np.int8]) -> NDArray[np.float64]:
    """Logistic regression in which no factor counts against anybody: one that would is left out, and the rest is fitted again."""
    kept = list(range(factors.shape[1]))
    while kept:
        fitted = LogisticRegression(C=STRENGTH, max_iter=500).fit(factors[:, kept], good)
        found: NDArray[np.float64] = fitted.coef_[0]
        if (found >= 0).all():
            whole = np.zeros(factors.shape[1])
            whole[kept] = found
            return _simplex(whole, WEIGHTS)
        kept = [factor for factor, value in zip(kept, found, strict=True) if value >= 0]
    return np.asarray(WEIGHTS, np.float64)


def _fair_weights(factors: Cases, good: NDArray[np.int8], groups: NDArray[np.int64], bound: float) -> NDArray[np.float64]:
    """The same by constrained maximum likelihood: gain and middle are free, and each group's mean score is at most `bound` from all."""
    gaps = np.array([factors[groups == group].mean(axis=0) - factors.mean(axis=0) for group in np.unique(groups)])
    signs = np.where(good > 0, 1.0, -1.0)

    def loss(at: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margins = signs * (factors @ at[:-1] + at[-1])
        pull = -signs / (1.0 + np.exp(np.clip(margins, -500, 500)))
        slope = np.append(factors.T @ pull / len(good) + at[:-1] / (STRENGTH * len(good)), pull.mean())
        return float(np.logaddexp(0.0, -margins).mean() + 0.5 * (at[:-1] @ at[:-1]) / (STRENGTH * len(good))), slope

    # The bound is on scores, whose weights sum to 1; here they sum to whatever the likelihood makes of them.
    constraints = [
        {"type": "ineq", "fun": lambda at, gap=gap, side=side: bound * at[:-1].sum() + side * (gap @ at[:-1])}
        for gap in gaps
        for side in (1.0, -1.0)
    ]
    begin = np.append(np.full(factors.shape[1], 1.0), -0.5 * factors.shape[1])
    bounds = [(0.0, None)] * factors.shape[1] + [(None, None)]
    found = minimize(loss, begin, jac=True, bounds=bounds, constraints=constraints, method="SLSQP", options={"maxiter": 500})
    return _simplex(found.x[:-1], WEIGHTS)


def learn_weights(
    factors: Cases,
    good: NDArray[np.int8],
    *,
    groups: NDArray[np.int64] | None = None,
    bound: float = 0.005,
    prior: Sequence[float] = WEIGHTS,
) -> tuple[float, ...]:
    """Weights from all of the cases, shrunk towards the rule's; each group's mean score is within `bound` of all."""
    found = _plain_weights(factors, good) if groups is None else _fair_weights(factors, good, groups, bound)
    share = len(good) / (len(good) + PRIOR_CASES)
    mixed = share * found + (1.0 - share) * np.asarray(WEIGHTS, np.float64)
    return tuple(float(weight) for weight in mixed / mixed.sum())


def _chance(good: NDArray[np.int8], new: NDArray[np.float64], old: NDArray[np.float64], seed: int) -> float:
    random = np.random.default_rng(seed)
    differences = []
    for _ in range(RESAMPLES):
        drawn = random.integers(0, len(good), len(good))
        if 0 < good[drawn].sum() < len(good):
            differences.append(roc_auc_score(good[drawn], new[drawn]) - roc_auc_score(good[drawn], old[drawn]))
    return float(np.std(differences))


def learn(
    factors: Cases, good: NDArray[np.int8], *, active: Sequence[float] = WEIGHTS, groups: NDArray[np.int64] | None = None, seed: int = 0
) -> Learned:
    """Weights from outcomes, and what they are worth on cases that they were not learned from. Raises `TooFewRows`."""
    rarer = int(min(good.sum(), len(good) - good.sum()))
    if len(good) < CASES_MIN or rarer < 2 * FOLDS:
        raise TooFewRows(f"{len(good)} outcomes, {rarer} of the rarer kind; it takes {CASES_MIN}, and {2 * FOLDS} of each")
    assert factors.shape == (len(good), len(FACTORS)), factors.shape
    held = np.empty(len(good))
    for taught, asked in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(factors, good):
        fold_groups = None if groups is None else groups[taught]
        held[asked] = factors[asked] @ np.asarray(learn_weights(factors[taught], good[taught], groups=fold_groups))
    chances = LogisticRegression().fit(held[:, None], good).predict_proba(held[:, None])[:, 1]
    return Learned(
        weights=learn_weights(factors, good, groups=groups),
        cases=len(good),
        auc=float(roc_auc_score(good, held)),
        log_loss=float(log_loss(good, chances)),
        active_auc=float(roc_auc_score(good, factors @ np.asarray(active))),
        chance=_chance(good, held, factors @ np.asarray(active), seed),
        fair=groups is not None,
    )


def train(rows: Path, out: Path, active: Path | None) -> Trained:
    """Weights from what became of the pairs in `rows` (`actors.model_book.Met`), under the constraint of fairness where groups are known.
    Leaves a sealed version in `out`. Raises `TooFewRows`."""
    met = [msgspec.msgpack.decode(row, type=Met) for row in read_rows(rows)]
    factors = np.array([one.factors for one in met], np.float64).reshape(len(met), len(FACTORS))
    good = np.array([one.good for one in met], np.int8)
    before = read_weights(active) if active else Weights()
    learned = learn(factors, good, active=before.weights, groups=_groups(met))
    (out / WEIGHTS_FILE).write_bytes(msgspec.json.encode(msgspec.structs.replace(before, weights=learned.weights)))
    now = datetime.now(UTC)
    seal(
        out,
        Card(
            name="matching",
            version=f"{now:%Y%m%d-%H%M%S}",
            kind="matching",
            runtime="embedded",
            files=(),
            training=(Data("outcomes of proposals and mentorships of this installation", "its own", len(met)),),
            metrics={"auc": learned.auc, "auc_before": learned.active_auc, "log_loss": learned.log_loss},
            made_at=f"{now:%Y-%m-%d}",
            intended="ordering mentors who fit a learner; people choose",
            limits="learned from pairs that were shown: who was never shown has taught it nothing",
            parent=read_card(active).title if active else "",
            deciding="auc",
            margin=MARGIN,
        ),
    )
    return Trained("auc", learned.auc, learned.active_auc, learned.margin, len(met), f"{learned.cases} outcomes{', fair' * learned.fair}")


def _groups(met: Sequence[Met]) -> NDArray[np.int64] | None:
    """A number for each group that is large enough to be compared; smaller ones count as one. None where there is nothing to compare."""
    names = [one.group for one in met]
    large = [name for name in sorted(set(names)) if name and names.count(name) >= GROUP_MIN]
    if len(large) < 2:
        return None
    return np.array([large.index(name) + 1 if name in large else 0 for name in names], np.int64)
