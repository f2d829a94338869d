"""What serves says what was fitted, and refuses what it cannot say anything by."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from ml_actors.embeddings import embed
from ml_actors.kinds import Unusable
from ml_actors.moderation.data import folds, near_duplicates
from ml_actors.moderation.fitting import additions, calibrate, calibrated, fit, gram_values, join, logits_of, network_of, weights
from ml_actors.moderation.heads import EMBEDDED_MAX, FILE, SCALE, Heads, read_arrays, see, see_plain, sigmoid, worst
from ml_actors.moderation.train import save
from ml_actors.moderation.writing import plain
from tests.ml_actors.moderation import small


def test_scores_are_those_of_the_fitted_models() -> None:
    rows, arrays = small.seen(), small.arrays()
    weight = weights(rows)
    values = gram_values(rows.grams, arrays["rarity"])
    regression = LogisticRegression(C=3.0, max_iter=400, tol=1e-6).fit(values, rows.toxic, sample_weight=weight)
    scaled = rows.embeddings * np.float32(SCALE)
    networks_ = [network_of(seed, 30, len(scaled)) for seed in (0, 1)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        chances = [network.fit(scaled, rows.toxic, sample_weight=weight).predict_proba(scaled)[:, 1] for network in networks_]
    said = [np.clip(chance.astype(np.float64), 1e-12, 1 - 1e-12) for chance in chances]
    networks = np.mean([np.log(chance / (1 - chance)) for chance in said], axis=0)
    assert np.abs(logits_of(arrays, rows) - regression.decision_function(values) - networks).max() < 2e-3


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    save(small.arrays(), tmp_path / "one")
    save(fit(small.seen(), networks=2, epochs=30), tmp_path / "two")
    assert (tmp_path / "one" / FILE).read_bytes() == (tmp_path / "two" / FILE).read_bytes()


def test_a_saved_model_scores_as_before(tmp_path: Path) -> None:
    save(small.arrays(), tmp_path)
    seen = see([row.text for row in small.rows()][:40], embed)
    loaded = sigmoid(Heads.load(tmp_path / FILE).logits(seen))
    assert np.abs(loaded - sigmoid(Heads(small.arrays()).logits(seen))).max() < 2e-3


def test_a_small_model_tells_foul_from_fine_where_it_has_not_seen_them() -> None:
    rows = small.seen()
    fold = folds(rows.groups, 2, seed=3)
    arrays = fit(rows.at(fold == 0), networks=1, epochs=30)
    held = rows.at(fold == 1)
    assert roc_auc_score(held.toxic, logits_of(arrays, held)) > 0.8


def test_a_text_is_scored_alike_in_any_batch() -> None:
    texts = ["you idiot", "thank you, see you tomorrow", "x" * 900, ""]
    heads = Heads(small.arrays())
    seen = see(texts, embed)
    together = heads.logits(seen)
    for place, text in enumerate(texts):
        assert np.allclose(together[seen.of == place], heads.logits(see([text], embed)), atol=1e-4)


def test_a_long_text_is_as_harmful_as_its_worst_piece() -> None:
    heads = Heads(small.arrays())
    harmless = "We read the book about the garden and the birds in it. " * 20
    texts = [plain(harmless), plain(f"{harmless}Shut up, you disgusting filthy animal, nobody likes you, go and cry. {harmless * 9}")]
    everything, chosen = see_plain(texts, embed), see_plain(texts, embed, rank=heads.gram_logits)
    assert np.bincount(chosen.of).tolist() == [10, EMBEDDED_MAX] and np.bincount(everything.of)[1] > 2 * EMBEDDED_MAX
    for seen in (everything, chosen):
        logits = heads.logits(seen)
        clean, foul = logits[worst(logits, seen.of, 2)]
        assert foul > clean + 2


def test_calibration_finds_slope_and_shift() -> None:
    random = np.random.default_rng(3)
    logits = random.normal(size=20_000) * 2
    toxic = random.random(20_000) < sigmoid(0.5 * logits - 1.0)
    slope, shift = calibrate(logits, toxic, np.ones(20_000))
    assert slope == pytest.approx(0.5, abs=0.05) and shift == pytest.approx(-1.0, abs=0.05)
    arrays = calibrated(small.arrays(), slope, shift)
    assert np.allclose(logits_of(arrays, small.seen()), slope * logits_of(small.arrays(), small.seen()) + shift, atol=1e-3)


@pytest.mark.parametrize("broken", ["missing", "shape", "nan", "integers", "layers"])
def test_arrays_that_do_not_fit_are_refused_by_name(broken: str) -> None:
    arrays = dict(small.arrays())
    match broken:
        case "missing":
            del arrays["rarity"]
        case "shape":
            arrays["rarity"] = arrays["rarity"][:-1]
        case "nan":
            arrays["rarity"] = arrays["rarity"] * np.float32("nan")
        case "integers":
            arrays["rarity"] = arrays["rarity"].astype(np.int32)
        case _:
            arrays["hidden_bias"] = arrays["hidden_bias"][:, :-1]
    with pytest.raises(Unusable, match=r"rarity|layers"):
        Heads(arrays)


def test_a_file_that_is_no_archive_or_holds_objects_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_bytes(b"no archive")
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 cut")
    np.savez(tmp_path / "object.npz", rarity=np.array([{"a": 1}], dtype=object))
    for name in ("text.npz", "cut.npz", "object.npz", "none.npz"):
        with pytest.raises(Unusable):
            read_arrays(tmp_path / name)


def test_near_duplicates_share_a_fold() -> None:
    words = "you should never complain about cleaning up your house again"
    texts = [words, f"RT @who: {words}", f"{words} http://x.example", "something else entirely, about a garden and its birds"]
    groups = near_duplicates(texts)
    assert len(set(groups[:3].tolist())) == 1 and groups[3] != groups[0]
    for seed in range(5):
        assert len(set(folds(groups, 3, seed)[:3].tolist())) == 1


def test_near_duplicates_are_numbered_alike_in_every_process() -> None:
    program = (
        "from ml_actors.moderation.data import near_duplicates\n"
        "words = 'one two three four five six seven eight nine ten eleven twelve'.split()\n"
        "print(near_duplicates([' '.join(words[at % 5 : at % 5 + 6 + at % 3]) + ' again' * (at % 2) for at in range(40)]).tolist())"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(said) == 1 and "[" in next(iter(said))


def test_added_rows_weigh_what_they_say() -> None:
    both = join(small.seen(), additions(embed))
    weight = weights(both)
    own = both.added == 0
    assert weight[own & both.toxic].sum() / weight[own].sum() == pytest.approx(1 / 3, abs=1e-6)
    assert np.array_equal(weight[~own], both.added[~own])
