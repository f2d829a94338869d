"""From labelled texts to the arrays of `heads`.

    rows ─ see ─▶ Material ─┬▶ rarity, logistic regression over n-grams ─┐
                            ├▶ small networks over embeddings ───────────┼─ out of fold ─▶ slope and shift (calibration) ─▶ arrays
                            └▶ of what is toxic: how much is hate, insult ╯

Each language's rows weigh as if a third of them were toxic (`PRIOR`): the collections hold 83 and 34 in a hundred, by how they were
gathered, and a school far less; a chance means something only beside the share that it assumes. Sentences that name groups, and everyday
ones, are added in both labels (`identity`, `everyday`), so that neither a name nor a school subject is what tells.

The two logits are added, not stacked by fit: a stack fitted on these collections trusts their n-grams twice as much as other collections
bear out.

Invariant: the same rows give the same arrays on the same machine, whatever ran before.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from ml_actors.embeddings import Embeddings
from ml_actors.moderation.data import Labelled, near_duplicates
from ml_actors.moderation.everyday import FINE, FOUL
from ml_actors.moderation.grams import BUCKETS, weighted
from ml_actors.moderation.heads import SCALE, Array, Embed, Heads, Seen, see
from ml_actors.moderation.identity import pairs

PRIOR: Final = 1 / 3
LANGUAGE_WEIGHT: Final = {"en": 12_000.0, "de": 7_000.0}
"""What all rows of a language weigh together: five thousand German posts count for more than a fifth of the English ones, and less than
all."""
IDENTITY_WEIGHT: Final = 3.0
EVERYDAY_WEIGHT: Final = 4.0
GRAM_C: Final = 3.0
HIDDEN: Final = 64
DECAY: Final = 0.1
EPOCHS: Final = 8
KINDS_C: Final = 0.01
MIX: Final = (1.0, 1.0)
"""What the embedding's and the n-grams' logits count before calibration."""

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Material(Struct, frozen=True):
    """Rows as models see them. `grams`: csr[row, bucket] of ones; `hate` and `insult`: -1 where nobody was asked."""

    embeddings: Embeddings
    grams: csr_matrix
    toxic: Bools
    language: NDArray[np.str_]
    hate: NDArray[np.int8]
    insult: NDArray[np.int8]
    groups: NDArray[np.int64]
    added: Floats
    """0 for a row of a collection, else what it weighs."""

    def at(self, rows: NDArray[np.int64] | Bools) -> Material:
        return Material(
            self.embeddings[rows],
            self.grams[rows],
            self.toxic[rows],
            self.language[rows],
            self.hate[rows],
            self.insult[rows],
            self.groups[rows],
            self.added[rows],
        )


def join(first: Material, second: Material) -> Material:
    return Material(
        np.vstack([first.embeddings, second.embeddings]),
        vstack([first.grams, second.grams]).tocsr(),
        *(
            np.concatenate([getattr(first, name), getattr(second, name)])
            for name in ("toxic", "language", "hate", "insult", "groups", "added")
        ),
    )


def grams_of(seen: Seen) -> csr_matrix:
    """csr[piece, bucket] of ones."""
    return csr_matrix((np.ones(len(seen.rows), np.float32), (seen.rows, seen.buckets)), shape=(len(seen.of), BUCKETS))


def material(rows: Sequence[Labelled], embed: Embed) -> Material:
    """Rows of collections: the first piece of each."""
    seen = see([row.text for row in rows], embed)
    first = np.searchsorted(seen.of, np.arange(len(rows)))
    return Material(
        seen.embeddings[first],
        grams_of(seen)[first],
        np.array([row.toxic for row in rows]),
        np.array([row.language for row in rows]),
        np.array([-1 if row.hate is None else row.hate for row in rows], np.int8),
        np.array([-1 if row.insult is None else row.insult for row in rows], np.int8),
        near_duplicates([row.text for row in rows]),
        np.zeros(len(rows)),
    )


def additions(embed: Embed) -> Material:
    """The sentences that training adds: names of groups with and without their twins, taken out and left in, and everyday ones."""
    taught = list(pairs(unseen_templates=False, unseen_groups=False))
    twins = sorted({(pair.twin, pair.toxic, pair.language) for pair in taught})
    named = [(pair.text, pair.toxic, pair.language, IDENTITY_WEIGHT) for pair in taught]
    named += [(text, toxic, language, 4 * IDENTITY_WEIGHT) for text, toxic, language in twins]
    daily = [
        (text, toxic, lang, EVERYDAY_WEIGHT) for table, toxic in ((FINE, False), (FOUL, True)) for lang in table for text in table[lang]
    ]
    every = named + daily
    seen = see([text for text, _, _, _ in every], embed, naming=False)
    none = np.full(len(every), -1, np.int8)
    return Material(
        seen.embeddings,
        grams_of(seen),
        np.array([toxic for _, toxic, _, _ in every]),
        np.array([language for _, _, language, _ in every]),
        none,
        none,
        np.full(len(every), -1, np.int64),
        np.array([weight for _, _, _, weight in every]),
    )


def weights(rows: Material) -> Floats:
    """What each row counts: a third of each language's weight is toxic; additions count what they say."""
    found = rows.added.copy()
    for language in np.unique(rows.language):
        for toxic, share in ((True, PRIOR), (False, 1 - PRIOR)):
            these = (rows.added == 0) & (rows.language == language) & (rows.toxic == toxic)
            if these.any():
                found[these] = LANGUAGE_WEIGHT.get(str(language), 5000.0) * share / these.sum()
    return found


def fair(rows: Material) -> Floats:
    """The same for measuring: each language's rows weigh 1 on average, a third of them toxic."""
    found = np.zeros(len(rows.toxic))
    for language in np.unique(rows.language):
        here = rows.language == language
        for toxic, share in ((True, PRIOR), (False, 1 - PRIOR)):
            these = here & (rows.toxic == toxic)
            if these.any():
                found[these] = here.sum() * share / these.sum()
    return found


def fit(rows: Material, *, networks: int = 3, seed: int = 0, epochs: int = EPOCHS) -> dict[str, Array]:
    """All arrays, not calibrated (`stack` adds the logits). Blocks: half a minute for 30,000 rows."""
    weight = weights(rows)
    document = np.asarray((rows.grams > 0).sum(axis=0)).ravel()
    rarity = np.where(document >= 2, np.log((1 + len(weight)) / (1 + document)) + 1, 0).astype(np.float16).astype(np.float32)
    regression = LogisticRegression(C=GRAM_C, max_iter=400, tol=1e-6).fit(gram_values(rows.grams, rarity), rows.toxic, sample_weight=weight)
    hidden_weights, hidden_bias, out_weights, out_bias = [], [], [], []
    scaled = rows.embeddings * np.float32(SCALE)
    for number in range(networks):
        network = network_of(seed + number, epochs, len(scaled))
        with warnings.catch_warnings():
            # Few epochs are meant: they keep a network from learning its collection by heart.
            warnings.simplefilter("ignore", ConvergenceWarning)
            network.fit(scaled, rows.toxic, sample_weight=weight)
        hidden_weights.append(network.coefs_[0])
        out_weights.append(network.coefs_[1][:, 0])
        hidden_bias.append(network.intercepts_[0])
        out_bias.append(network.intercepts_[1][0])
    kinds = [_share(rows, rows.hate), _share(rows, rows.insult)]
    arrays: dict[str, object] = {
        "rarity": rarity,
        "gram_weights": np.where(rarity > 0, regression.coef_[0], 0),
        "gram_bias": regression.intercept_[0],
        "hidden_weights": hidden_weights,
        "hidden_bias": hidden_bias,
        "out_weights": out_weights,
        "out_bias": out_bias,
        "stack": [*MIX, 0.0],
        "kinds_weights": [one[0] for one in kinds],
        "kinds_bias": [one[1] for one in kinds],
    }
    return {name: np.asarray(value, dtype=np.float32) for name, value in arrays.items()}


def network_of(seed: int, epochs: int, rows: int) -> MLPClassifier:
    size = min(128, rows)
    return MLPClassifier((HIDDEN,), alpha=DECAY, max_iter=epochs, n_iter_no_change=epochs, batch_size=size, random_state=seed)


def gram_values(grams: csr_matrix, rarity: Array) -> csr_matrix:
    """csr[row, bucket]: what `grams.weighted` gives."""
    rows = np.repeat(np.arange(grams.shape[0]), np.diff(grams.indptr))
    values = weighted(rows, grams.indices, rarity, grams.shape[0])
    return csr_matrix((values.astype(np.float32), grams.indices, grams.indptr), shape=grams.shape)


def _share(rows: Material, asked: NDArray[np.int8]) -> tuple[Floats, float]:
    """Of what is toxic, which share is of this kind: weights and bias; each language counts alike, a third of it of this kind."""
    these = rows.toxic & (asked >= 0) & (rows.added == 0)
    if len(np.unique(asked[these])) < 2:
        return np.zeros(rows.embeddings.shape[1]), float(np.log(PRIOR / (1 - PRIOR)))
    chosen = rows.at(these)
    kind = asked[these] == 1
    weight = np.zeros(len(kind))
    for language in np.unique(chosen.language):
        for is_kind, share in ((True, PRIOR), (False, 1 - PRIOR)):
            here = (chosen.language == language) & (kind == is_kind)
            weight[here] = 1000 * share / max(1, here.sum())
    regression = LogisticRegression(C=KINDS_C, max_iter=400, tol=1e-6).fit(
        chosen.embeddings * np.float32(SCALE), kind, sample_weight=weight
    )
    return regression.coef_[0], float(regression.intercept_[0])


def logits_of(arrays: dict[str, Array], rows: Material) -> Floats:
    """float64[row]: by the very arithmetic that serves."""
    heads = Heads(arrays)
    coordinates = rows.grams.tocoo()
    seen = Seen(
        [],
        np.arange(len(rows.toxic)),
        np.zeros(len(rows.toxic), np.bool_),
        rows.embeddings,
        coordinates.row.astype(np.int64),
        coordinates.col.astype(np.int64),
    )
    return heads.logits(seen)


def calibrate(logits: Floats, toxic: Bools, weight: Floats) -> tuple[float, float]:
    """Slope and shift that make out-of-fold logits chances (Platt 1999)."""
    regression = LogisticRegression(C=1e6, max_iter=200, tol=1e-8).fit(logits[:, None], toxic, sample_weight=weight)
    return float(regression.coef_[0, 0]), float(regression.intercept_[0])


def calibrated(arrays: dict[str, Array], slope: float, shift: float) -> dict[str, Array]:
    return {**arrays, "stack": np.array([MIX[0] * slope, MIX[1] * slope, shift], dtype=np.float32)}


def out_of_fold(rows: Material, extra: Material | None, fold: NDArray[np.int64], *, networks: int = 3, epochs: int = EPOCHS) -> Floats:
    """float64[row]: each row's logit by arrays that were fitted on the other folds."""
    found = np.zeros(len(rows.toxic))
    for number in np.unique(fold):
        inside = rows.at(fold != number)
        arrays = fit(inside if extra is None else join(inside, extra), networks=networks, epochs=epochs)
        found[fold == number] = logits_of(arrays, rows.at(fold == number))
    return found
