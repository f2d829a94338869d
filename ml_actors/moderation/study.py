"""What the shipped version's recipe is worth on texts that it has not seen, beside simpler ones.

    rows ─ folds by near duplicates ─▶ recipe, TF-IDF + LR, embeddings + LR, n-grams alone, networks alone ─▶ figures a language

Chances are calibrated out of fold, too: slope and shift of each fold come from the other folds' held-out logits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from ml_actors.moderation.data import Labelled, folds
from ml_actors.moderation.fitting import Material, additions, calibrate, fair, fit, join, logits_of, material, weights
from ml_actors.moderation.heads import Array, Embed, Heads, kinds_of
from ml_actors.moderation.measuring import Figures, figures, spread
from ml_actors.moderation.naming import unnamed
from ml_actors.moderation.train import THRESHOLD
from ml_actors.moderation.writing import plain

Floats = NDArray[np.float64]
Recipe = Callable[[NDArray[np.bool_], NDArray[np.bool_]], Floats]
"""Which rows to learn from, which to score: float64[scored row], logits."""


class Table(Struct, frozen=True):
    figures: dict[str, dict[str, Figures]]
    """By recipe and language."""
    lines: list[str]


def cross_validated(collections: Mapping[str, list[Labelled]], embed: Embed, count: int) -> Table:
    """Blocks for minutes."""
    rows = [row for collection in collections.values() for row in collection]
    seen = material(rows, embed)
    extra = additions(embed)
    raw = np.asarray(embed([row.text for row in rows]))
    named = np.array([unnamed(plain(row.text))[1] > 0 for row in rows])
    shares = np.zeros((len(rows), 2))
    fold = folds(seen.groups, count, seed=1)
    weight = fair(seen)
    held = {
        name: np.zeros(len(rows))
        for name in ("the shipped recipe", "  its n-grams alone", "  its networks alone", "  without what was added", *BASELINES)
    }
    for number in range(count):
        learn, test = fold != number, fold == number
        arrays = fit(join(seen.at(learn), extra))
        of = seen.at(test)
        held["the shipped recipe"][test] = logits_of(arrays, of)
        shares[test] = kinds_of(Heads(arrays), of.embeddings, named[test])
        held["  its n-grams alone"][test] = logits_of({**arrays, "stack": _only(1)}, of)
        held["  its networks alone"][test] = logits_of({**arrays, "stack": _only(0)}, of)
        held["  without what was added"][test] = logits_of(fit(seen.at(learn)), of)
        for name, baseline in BASELINES.items():
            held[name][test] = baseline(rows, raw, seen, learn, test)
    found: dict[str, dict[str, Figures]] = {}
    lines = [f"{'':30} {'AUC':>14} {'AP':>6} {'P':>6} {'R':>6} {'F1':>6} {'Brier':>6} {'ECE':>6} {'Brier as is':>12} {'ECE as is':>10}"]
    for name, logits in held.items():
        chances = _chances(logits, seen, fold, weight)
        found[name] = {}
        for language in np.unique(seen.language):
            here = seen.language == language
            of_all = figures(chances[here], seen.toxic[here], THRESHOLD, weight[here])
            as_is = figures(chances[here], seen.toxic[here], THRESHOLD)
            found[name][str(language)] = of_all
            aucs = [
                figures(chances[here & (fold == number)], seen.toxic[here & (fold == number)], THRESHOLD).auc for number in range(count)
            ]
            values = (of_all.average_precision, of_all.precision, of_all.recall, of_all.f1, of_all.brier, of_all.ece)
            lines.append(
                f"{name + ', ' + str(language):30} {spread(aucs):>14} "
                + " ".join(f"{value:6.3f}" for value in values)
                + f" {as_is.brier:12.3f} {as_is.ece:10.3f}"
            )
    for language, of_recipe in found["the shipped recipe"].items():
        lines.append(
            f"chance said -> share toxic, {language}: " + "  ".join(f"{one.chance:.2f}->{one.toxic:.2f}" for one in of_recipe.reliability)
        )
    chances = _chances(held["the shipped recipe"], seen, fold, weight)
    for place, (kind, asked) in enumerate((("HATE", seen.hate), ("INSULT", seen.insult))):
        for language in np.unique(seen.language):
            labelled = (seen.language == language) & (asked >= 0)
            for among, here in (("all", labelled), ("toxic", labelled & seen.toxic)):
                if 0 < (asked[here] == 1).sum() < here.sum():
                    one = figures((chances * shares[:, place])[here], asked[here] == 1, THRESHOLD)
                    lines.append(
                        f"{kind}, {language}, among {among} texts: AUC {one.auc:.3f}, AP {one.average_precision:.3f} ({one.toxic:.1%} are),"
                        f" precision {one.precision:.2f} and recall {one.recall:.2f} at {THRESHOLD}"
                    )
    return Table(found, lines)


def across(collections: Mapping[str, list[Labelled]], embed: Embed) -> dict[str, Figures]:
    """Trained on the other collection and what was added, or on the other collection alone."""
    seen = {name: material(rows, embed) for name, rows in collections.items()}
    extra = additions(embed)
    found = {}
    for name, test in seen.items():
        for other, learn in seen.items():
            if other == name:
                continue
            for added, rows in (("", learn), (" + added sentences", join(learn, extra))):
                arrays = fit(rows)
                slope, shift = calibrate(logits_of(arrays, learn), learn.toxic, fair(learn))
                for part, only in (("", arrays), (" (networks)", {**arrays, "stack": _only(0)})):
                    chances = 1 / (1 + np.exp(-(slope * logits_of(only, test) + shift)))
                    found[f"{other}{added}{part} -> {name}"] = figures(chances, test.toxic, THRESHOLD, fair(test))
    return found


def _only(part: int) -> Array:
    return np.array([float(part == 0), float(part == 1), 0.0], dtype=np.float32)


def _chances(logits: Floats, seen: Material, fold: NDArray[np.int64], weight: Floats) -> Floats:
    found = np.zeros(len(logits))
    for number in np.unique(fold):
        others, these = fold != number, fold == number
        slope, shift = calibrate(logits[others], seen.toxic[others], weight[others])
        found[these] = 1 / (1 + np.exp(-(slope * logits[these] + shift)))
    return found


def _words(rows: list[Labelled], raw: Array, seen: Material, learn: NDArray[np.bool_], test: NDArray[np.bool_]) -> Floats:
    """TF-IDF over words and pairs, logistic regression: the usual baseline."""
    vectors = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    known = vectors.fit_transform([row.text for row, chosen in zip(rows, learn, strict=True) if chosen])
    regression = LogisticRegression(C=3.0, max_iter=400).fit(known, seen.toxic[learn], sample_weight=weights(seen.at(learn)))
    return np.asarray(regression.decision_function(vectors.transform([row.text for row, chosen in zip(rows, test, strict=True) if chosen])))


def _embedded(rows: list[Labelled], raw: Array, seen: Material, learn: NDArray[np.bool_], test: NDArray[np.bool_]) -> Floats:
    """Embeddings of the text as it is, logistic regression."""
    regression = LogisticRegression(C=10.0, max_iter=400).fit(raw[learn], seen.toxic[learn], sample_weight=weights(seen.at(learn)))
    return np.asarray(regression.decision_function(raw[test]))


BASELINES: dict[str, Callable[[list[Labelled], Array, Material, NDArray[np.bool_], NDArray[np.bool_]], Floats]] = {
    "baseline: TF-IDF + LR": _words,
    "baseline: embeddings + LR": _embedded,
}
