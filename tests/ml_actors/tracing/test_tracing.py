"""Tracing: a chance never knows what lies ahead, trees walked by numpy say what scikit-learn says, and learning finds what is there."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier

from actors.inference import Foresee, Step
from actors.model_book import Answered
from ml_actors.kinds import Options, TooFewRows, Unusable
from ml_actors.tracing import evaluation
from ml_actors.tracing.forest import FILE, Forest
from ml_actors.tracing.serving import Tracing, load
from ml_actors.tracing.skills import SkillTable
from ml_actors.tracing.steps import FEATURES, History
from ml_actors.tracing.training import Learner, rows_of, train
from ml_actors.training import write_rows

ROWS = np.column_stack([np.tile([0.0, 1.0], 100), np.arange(200.0)])
"""Of which the second column says everything."""
ANSWERS = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 1)), max_size=30)


def made_up(learners: int, seed: int = 3) -> list[Learner]:
    """Able and less able learners, easy and hard skills, and practice that helps."""
    random = np.random.default_rng(seed)
    made: list[Learner] = []
    for _ in range(learners):
        able = random.normal(0, 1.2)
        skills: list[int] = []
        rights: list[int] = []
        for skill in random.choice(np.arange(1, 9), size=4, replace=False).tolist():
            for turn in range(int(random.integers(2, 8))):
                chance = 1 / (1 + np.exp(-(able + 1.5 - 0.4 * skill + 0.5 * turn)))
                skills.append(skill)
                rights.append(int(random.random() < chance))
        made.append((skills, rights))
    return made


@given(ANSWERS, ANSWERS, st.integers(1, 5))
def test_features_depend_on_what_came_before_alone(before: list[tuple[int, int]], after: list[tuple[int, int]], skill: int) -> None:
    table = SkillTable.counted([([one for one, _ in before], [right for _, right in before])])
    history = History(table)
    for one, right in before:
        history.add(one, right)
    seen = history.features(skill)
    assert len(seen) == FEATURES and np.isfinite(seen).all()
    whole = [*before, (skill, 1), *after]
    rows = rows_of([([one for one, _ in whole], [right for _, right in whole])], table).features
    if before:
        np.testing.assert_allclose(rows[len(before) - 1], np.array(seen, np.float32), rtol=1e-6)


@given(st.integers(0, 1000))
@settings(max_examples=5)
def test_trees_as_arrays_say_what_scikit_learn_says(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = random.normal(size=(600, 5))
    right = (rows[:, 0] + rows[:, 1] * rows[:, 2] + random.normal(size=600) > 0).astype(int)
    fitted = HistGradientBoostingClassifier(max_iter=12, max_leaf_nodes=7, early_stopping=False).fit(rows, right)
    asked = random.normal(size=(200, 5))
    np.testing.assert_allclose(Forest.grown(fitted, 5).chances(asked), fitted.predict_proba(asked)[:, 1], rtol=1e-6)


@given(ANSWERS, st.lists(st.integers(1, 6), max_size=6))
def test_the_rule_answers_for_every_skill_with_a_chance(before: list[tuple[int, int]], skills: list[int]) -> None:
    steps = tuple(Step(skill, right > 0) for skill, right in before)
    (foreseen,) = Tracing(SkillTable.plain(), None).answer([Foresee(steps, tuple(skills))])
    assert len(foreseen.chances) == len(skills)
    assert all(0 < chance < 1 for chance in foreseen.chances)


def test_by_the_rule_who_answers_rightly_is_foretold_more() -> None:
    model = Tracing(SkillTable.plain(), None)
    good, bad = (Foresee(tuple(Step(1, right) for _ in range(6)), (1, 2)) for right in (True, False))
    (well, badly) = model.answer([good, bad])
    assert all(one > other for one, other in zip(well.chances, badly.chances, strict=True))


def test_training_finds_what_is_there_and_leaves_a_version_that_serves(tmp_path: Path) -> None:
    rows, out = tmp_path / "rows", tmp_path / "out"
    out.mkdir()
    learners = made_up(250)
    told = [
        Answered(user, skill, right > 0, at)
        for user, both in enumerate(learners)
        for at, (skill, right) in enumerate(zip(*both, strict=True))
    ]
    with rows.open("wb") as file:
        write_rows(file, map(msgspec.msgpack.encode, reversed(told)))
    trained = train(rows, out, None)
    assert trained.rows == len(told) and trained.improves and trained.better > 0.7
    (foreseen,) = load(out, Options()).answer([Foresee((Step(8, True), Step(8, True)), (1, 8))])
    assert foreseen.chances[0] > foreseen.chances[1] - 0.1
    again = tmp_path / "again"
    again.mkdir()
    assert not train(rows, again, out).improves


def test_too_few_answers_are_refused_by_their_number(tmp_path: Path) -> None:
    with (tmp_path / "rows").open("wb") as file:
        write_rows(file, [msgspec.msgpack.encode(Answered(1, 1, True, 1))])
    with pytest.raises(TooFewRows, match="1 answers of 1 learners"):
        train(tmp_path / "rows", tmp_path, None)


def test_a_forest_that_leads_out_of_itself_is_not_loaded(tmp_path: Path) -> None:
    fitted = HistGradientBoostingClassifier(max_iter=2, early_stopping=False).fit(ROWS, ROWS[:, 1] > 100)
    Forest.grown(fitted, 2).save(tmp_path)
    Forest.load(tmp_path, 2)
    with pytest.raises(Unusable, match="features"):
        Forest.load(tmp_path, 1)
    (tmp_path / FILE).write_bytes(b"PK")
    with pytest.raises(Unusable):
        Forest.load(tmp_path, 2)


def test_an_evaluation_names_what_is_missing_in_its_file(tmp_path: Path) -> None:
    file = tmp_path / "answers.csv"
    file.write_text("fold,uid,concepts\n0,1,3\n")
    with pytest.raises(ValueError, match="no column responses; it has fold, uid, concepts"):
        evaluation.read(file)
    file.write_text('fold,concepts,responses\n0,"1,2","1,x"\n')
    with pytest.raises(ValueError, match="line 2"):
        evaluation.read(file)
