"""Learning from outcomes: the truth is found, few cases change little, and a spoiled past does not become a rule."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from actors.inference import FACTORS, WEIGHTS
from actors.model_book import Met
from ml_actors.kinds import TooFewRows
from ml_actors.matching.audit import audit
from ml_actors.matching.serving import read_weights
from ml_actors.matching.synthetic import Truth, factor_sample, outcomes
from ml_actors.matching.training import learn, learn_weights, train
from ml_actors.registry import open_version
from ml_actors.training import write_rows


def test_weights_are_recovered_from_outcomes() -> None:
    truth = Truth()
    factors = factor_sample(20_000)
    learned = learn(factors, outcomes(factors, truth))
    assert np.abs(np.asarray(learned.weights) - truth.weights).mean() < 0.02
    assert learned.better


def test_weights_are_never_negative_and_sum_to_one() -> None:
    harmful = Truth(weights=(0.5, -0.4, 0.3, 0.3, 0.2, 0.1))
    factors = factor_sample(4_000)
    weights = learn_weights(factors, outcomes(factors, harmful))
    assert min(weights) >= 0 and sum(weights) == pytest.approx(1.0)
    assert weights[1] < WEIGHTS[1] / 5


def test_outcomes_that_say_nothing_leave_the_rule_as_it_is() -> None:
    factors = factor_sample(400)
    coin = np.random.default_rng(5).integers(0, 2, 400).astype(np.int8)
    assert not learn(factors, coin).better


def test_few_outcomes_are_refused_by_their_number() -> None:
    with pytest.raises(TooFewRows, match="40 outcomes"):
        learn(factor_sample(40), np.array([0, 1] * 20, np.int8))


def test_the_constraint_removes_a_bias_that_the_audit_finds() -> None:
    random = np.random.default_rng(7)
    factors = factor_sample(8_000)
    good = outcomes(factors, Truth())
    marked = random.random(len(good)) < 0.3
    factors[marked, FACTORS.index("history")] = np.clip(factors[marked, FACTORS.index("history")] - 0.3, 0, 1)
    told = np.where(marked & (random.random(len(good)) < 0.35), 0, good).astype(np.int8)
    names = np.where(marked, "north", "south")

    def report(weights: tuple[float, ...]) -> tuple[float, int]:
        scores = factors @ np.asarray(weights)
        found = audit(names, (scores > np.quantile(scores, 0.9)).astype(np.int8), scores, good)
        return found.ratio, len(found.alarms)

    spoiled = report(learn_weights(factors, told))
    fair = report(learn_weights(factors, told, groups=marked.astype(np.int64)))
    assert spoiled[0] < 0.5 and spoiled[1] == 1
    assert fair[0] > 0.8 and fair[1] == 0


def test_an_audit_says_nothing_of_groups_that_are_too_small() -> None:
    names = np.array(["north"] * 200 + ["south"] * 5)
    selected = np.array([1] * 100 + [0] * 105, np.int8)
    found = audit(names, selected, np.linspace(0, 1, 205), selected)
    assert [line.cases for line in found.lines] == [200, 5]
    assert found.alarms == () and found.ratio == 1.0


def test_a_training_leaves_a_version_that_serves(tmp_path: Path) -> None:
    factors = factor_sample(12_000)
    good = outcomes(factors, Truth())
    rows, out = tmp_path / "rows", tmp_path / "out"
    out.mkdir()
    with rows.open("wb") as file:
        write_rows(
            file,
            (
                msgspec.msgpack.encode(Met(tuple(one), end > 0, group="en"))
                for one, end in zip(factors.tolist(), good.tolist(), strict=True)
            ),
        )
    trained = train(rows, out, None)
    assert trained.rows == 12_000 and trained.improves
    assert open_version(out).metrics["auc"] == trained.better
    assert sum(read_weights(out).weights) == pytest.approx(1.0)
