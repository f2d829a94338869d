"""What a community's decisions teach: a small correction beside the shipped heads.

    Ruled(text, harm) ─▶ shipped logits + embeddings ─▶ correction (prior: none) ─▶ held out ─▶ harmless to names of groups? ─▶ a version

The public collections cannot be shipped, so nothing is fitted again from the start. What is learned is a shift of the logit along
the embedding, pulled to zero so strongly that few decisions move little. Its version holds the heads of the one that it corrects.

Decisions are of texts that were held or appealed: they say where people drew the line among doubtful texts, and nothing of the rest.
What stayed away as an advertisement, for personal data or as a threat says nothing of how toxic its words are, and teaches nothing here.

Invariant: a correction under which a neutral sentence and its twin that names nobody part by more than `NEAR` is shrunk until none does.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.metrics import log_loss, roc_auc_score

from actors.inference import Harm
from actors.model_book import Card, Ruled
from actors.model_book import Training as Data
from ml_actors.embeddings import Embedder, Embeddings
from ml_actors.kinds import TooFewRows, Trained
from ml_actors.moderation.data import folds, near_duplicates
from ml_actors.moderation.heads import CORRECTION_FILE, FILE, Array, Correction, Heads, Seen, read_arrays, see, sigmoid, worst
from ml_actors.moderation.identity import ASKED, pairs
from ml_actors.moderation.identity_test import NEAR
from ml_actors.registry import SHIPPED, read_card, seal
from ml_actors.training import read_rows

TAUGHT: Final = frozenset({Harm.TOXIC, Harm.HATE, Harm.INSULT})
"""For what a text has to have stayed away to teach the head of TOXIC."""
ROWS_MIN: Final = 200
RARER_MIN: Final = 40
FOLDS: Final = 5
MARGIN: Final = 0.01
PULL: Final = 0.25
"""How strongly each entry is pulled to zero, in squared logits: as if by nature a correction were within two logits."""
HALVINGS_MAX: Final = 6
SHIFT_MAX: Final = 0.8
"""Logits by which a correction alone may part a neutral sentence from its twin where the name is left in: a fifth of a score at most."""

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Decisions(Struct, frozen=True):
    """Rows as the correction sees them: each by its worst piece. `logits`: of the heads alone; `active`: of the version in use."""

    logits: Floats
    active: Floats
    embeddings: Embeddings
    harm: Bools
    groups: NDArray[np.int64]


class Pairs(Struct, frozen=True):
    """Texts, and which are twins: int64[pair, 2]."""

    seen: Seen
    twins: NDArray[np.int64]

    def farthest(self, of: Floats) -> float:
        """The greatest distance between twins, of a figure a text."""
        return float(np.abs(of[self.twins[:, 0]] - of[self.twins[:, 1]]).max())


def train(rows: Path, out: Path, active: Path | None) -> Trained:
    """A version with a correction learned from the decisions in `rows` (`actors.model_book.Ruled`). Raises `TooFewRows`, `Unusable`."""
    ruled = [msgspec.msgpack.decode(row, type=Ruled) for row in read_rows(rows)]
    return learn(ruled, out, active or SHIPPED / "moderation" / "1", Embedder(), datetime.now(UTC))


def learn(ruled: Sequence[Ruled], out: Path, base: Path, embed: Embedder, now: datetime) -> Trained:
    """The same of rows at hand. The last decision on a text is the one that counts."""
    latest = {text: one for text, one in {one.text: one for one in ruled}.items() if not one.harm or TAUGHT.intersection(one.kinds)}
    harm = np.array([one.harm for one in latest.values()], dtype=np.bool_)
    rarer = int(min(harm.sum(), len(harm) - harm.sum()))
    if len(harm) < ROWS_MIN or rarer < RARER_MIN:
        raise TooFewRows(f"{len(harm)} decisions, {rarer} of the rarer kind; it takes {ROWS_MIN}, and {RARER_MIN} of each")
    heads = Heads.load(base / FILE)
    before = Correction(read_arrays(base / CORRECTION_FILE)) if (base / CORRECTION_FILE).exists() else None
    decisions = _decisions(list(latest), harm, heads, before, embed)
    held = _held_out(decisions)
    weights, shift = fit_correction(decisions.logits, decisions.embeddings, harm)
    arrays, shrunk = _harmless(heads, weights, shift, embed)
    metric, was = float(roc_auc_score(harm, held)), float(roc_auc_score(harm, decisions.active))
    shutil.copyfile(base / FILE, out / FILE)
    np.savez_compressed(out / CORRECTION_FILE, **arrays)  # type: ignore[arg-type]
    parent = read_card(base)
    metrics = {
        "auc_community": metric,
        "auc_community_before": was,
        "log_loss_community": float(log_loss(harm, sigmoid(held))),
        "log_loss_community_before": float(log_loss(harm, sigmoid(decisions.active))),
    }
    seal(
        out,
        Card(
            name="moderation",
            version=f"{now:%Y%m%d-%H%M%S}",
            kind="moderation",
            runtime="embedded",
            files=(),
            training=(*parent.training, Data("decisions of this installation's moderators", "its own", len(harm))),
            metrics=metrics,
            made_at=f"{now:%Y-%m-%d}",
            intended=parent.intended,
            limits=f"{parent.limits} Corrected by decisions on texts that were held or appealed alone.",
            parent=parent.title,
            deciding="auc_community",
            margin=MARGIN,
        ),
    )
    return Trained("auc_community", metric, was, MARGIN, len(harm), f"{rarer} of the rarer kind, halved {shrunk} times for names of groups")


def fit_correction(logits: Floats, embeddings: Embeddings, harm: Bools) -> tuple[Floats, float]:
    """Weights over the embedding and a shift, beside logits that stay: logistic regression with an offset, pulled to zero."""
    signs = np.where(harm, 1.0, -1.0)
    columns = np.hstack([embeddings.astype(np.float64), np.ones((len(embeddings), 1))])

    def loss(at: Floats) -> tuple[float, Floats]:
        margins = signs * (logits + columns @ at)
        pull = -signs * sigmoid(-margins)
        return float(np.logaddexp(0.0, -margins).sum() + 0.5 * PULL * (at @ at)), columns.T @ pull + PULL * at

    found = minimize(loss, np.zeros(columns.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 300})
    return found.x[:-1], float(found.x[-1])


def _decisions(texts: Sequence[str], harm: Bools, heads: Heads, before: Correction | None, embed: Embedder) -> Decisions:
    seen = see(texts, embed)
    logits = heads.logits(seen)
    active = logits if before is None else before(logits, seen.embeddings)
    at = worst(logits, seen.of, len(texts))
    return Decisions(logits[at], active[worst(active, seen.of, len(texts))], seen.embeddings[at], harm, near_duplicates(texts))


def _held_out(decisions: Decisions) -> Floats:
    found = np.zeros(len(decisions.harm))
    fold = folds(decisions.groups, FOLDS, seed=1)
    for number in np.unique(fold):
        learn_from, test = fold != number, fold == number
        weights, shift = fit_correction(decisions.logits[learn_from], decisions.embeddings[learn_from], decisions.harm[learn_from])
        found[test] = decisions.logits[test] + decisions.embeddings[test] @ weights + shift
    return found


def _harmless(heads: Heads, weights: Floats, shift: float, embed: Embedder) -> tuple[dict[str, Array], int]:
    """The correction, halved until naming a group makes no difference; at the last it is none."""
    neutral = [
        pair for pair in pairs(unseen_templates=True, unseen_groups=None, languages=("en", "de")) if not pair.toxic and pair.group in ASKED
    ]
    served = _unlike([pair.text for pair in neutral], [pair.twin for pair in neutral], embed, naming=True)
    named = _unlike([pair.text for pair in neutral], [pair.twin for pair in neutral], embed, naming=False)
    for halvings in range(HALVINGS_MAX + 1):
        scale = 0.5**halvings if halvings < HALVINGS_MAX else 0.0
        arrays = {"weights": (weights * scale).astype(np.float32), "line": np.array([1.0, shift * scale], dtype=np.float32)}
        correction = Correction(arrays)
        scores = sigmoid(correction(heads.logits(served.seen), served.seen.embeddings))
        shifts = correction(np.zeros(len(named.seen.of)), named.seen.embeddings)
        apart, shifted = served.farthest(scores), named.farthest(shifts)
        if scale == 0.0 or (apart <= NEAR and shifted <= SHIFT_MAX):
            return arrays, halvings
    raise AssertionError("no correction is always harmless")


def _unlike(texts: Sequence[str], twins: Sequence[str], embed: Embedder, *, naming: bool) -> Pairs:
    """Each text and twin once: hundreds of pairs share a few twins, and read alike where names are taken out."""
    distinct = sorted({*texts, *twins})
    place = {text: at for at, text in enumerate(distinct)}
    return Pairs(
        see(distinct, embed, naming=naming), np.array([[place[text], place[twin]] for text, twin in zip(texts, twins, strict=True)])
    )
