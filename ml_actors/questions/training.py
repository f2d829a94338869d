"""Training the ranker: what mentors accepted, edited and rejected, as logistic regression over the features of a draft.

    rows (actors.model_book.Drafted) ─▶ each text read again ─▶ features ─▶ split by text ─▶ LogisticRegression ─▶ ranker.json, sealed
                                                                               ╰─ held out: AUC of the new one and of the active one

An edited draft counts as taken: it was worth mending. Texts are held out whole, by their hash, so that a question about a text that was
learned from is never what the figure is made of.

Invariant: both figures are of the same held-out rows, and nothing of who decided is in a row.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from actors.inference import Form
from actors.model_book import Card, Drafted
from actors.model_book import Training as Body
from ml_actors.embeddings import Embedder
from ml_actors.kinds import TooFewRows, Trained
from ml_actors.questions import ranking
from ml_actors.questions.answering import Answerer
from ml_actors.questions.distractors import Embed
from ml_actors.questions.drafts import Draft
from ml_actors.questions.ranking import FEATURES, Ranker
from ml_actors.questions.reading import Reading
from ml_actors.questions.shipping import INTENDED, LIMITS
from ml_actors.questions.tongues import tongue_of
from ml_actors.registry import read_card, seal
from ml_actors.training import read_rows

ROWS_MIN: Final = 200
OF_EACH_MIN: Final = 30
"""Taken, and rejected: below it there is nothing to tell apart."""
HELD_OUT: Final = 0.25
HELD_OUT_MIN: Final = 10
"""Of each, among the held out."""
MARGIN: Final = 0.01
STRENGTH: Final = 0.5
"""Inverse of the regularisation: few rows pull the weights little."""

Matrix = NDArray[np.float64]


class Rows(Struct):
    features: Matrix
    taken: NDArray[np.bool_]
    held_out: NDArray[np.bool_]


def train(rows: Path, out: Path, active: Path | None) -> Trained:
    """See `ml_actors.training.Training`. Raises `TooFewRows`."""
    decoder = msgspec.msgpack.Decoder(Drafted)
    read = gather([decoder.decode(row) for row in read_rows(rows)], Embedder())
    ranker = fit(read)
    better = auc(ranker, read)
    before = None if active is None else auc(ranking.load(active), read)
    ranking.save(ranker, out)
    parent = "" if active is None else read_card(active).title
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    version = "t" + hashlib.sha256((out / ranking.RANKER).read_bytes()).hexdigest()[:12]
    body = Body("this installation's own mentors: drafts that they accepted, edited or rejected", "not to be passed on", len(read.taken))
    metrics = {"auc": round(better, 4), "taken_share": round(float(read.taken.mean()), 4)}
    seal(
        out,
        Card(
            "questions",
            version,
            "questions",
            "embedded",
            (),
            (body,),
            metrics,
            today,
            INTENDED,
            LIMITS,
            parent,
            deciding="auc",
            margin=MARGIN,
        ),
    )
    return Trained("auc", better, before, MARGIN, len(read.taken))


def gather(rows: Sequence[Drafted], embed: Embed) -> Rows:
    """The features of each. Raises `TooFewRows`."""
    taken = np.array([row.taken for row in rows], dtype=np.bool_)
    if len(rows) < ROWS_MIN or min(taken.sum(), (~taken).sum()) < OF_EACH_MIN:
        raise TooFewRows(
            f"{len(rows)} decided drafts, {int(taken.sum())} of them taken; it takes {ROWS_MIN}, and {OF_EACH_MIN} of each kind"
        )
    features = np.zeros((len(rows), len(FEATURES)))
    held_out = np.zeros(len(rows), dtype=np.bool_)
    by_text: dict[tuple[str, str], list[int]] = {}
    for at, row in enumerate(rows):
        by_text.setdefault((row.text, row.language), []).append(at)
    for (text, language), places in by_text.items():
        held_out[places] = hashlib.sha256(text.encode()).digest()[0] < 256 * HELD_OUT
        features[places] = _features(text, language, [rows[at] for at in places], embed)
    for some, what in ((held_out, "held out"), (~held_out, "to learn from")):
        if min((taken & some).sum(), (~taken & some).sum()) < HELD_OUT_MIN:
            raise TooFewRows(
                f"of the drafts {what}, {int((taken & some).sum())} of {int(some.sum())} were taken; it takes {HELD_OUT_MIN} of each"
            )
    return Rows(features, taken, held_out)


def _features(text: str, language: str, rows: Sequence[Drafted], embed: Embed) -> Matrix:
    from py3langid import classify

    reading = Reading(text, tongue_of(language or str(classify(text)[0])))
    if not reading.sentences:
        return np.zeros((len(rows), len(FEATURES)))
    lines = embed([sentence.plain for sentence in reading.sentences])
    prompts = embed([row.prompt for row in rows])
    answerer = Answerer(reading, lines)
    drafts = []
    for row, vector in zip(rows, prompts, strict=True):
        sentence = reading.at(row.begin)
        draft = Draft(Form(row.form), "", row.prompt, row.answer, row.begin, row.end, sentence, row.options)
        draft.salience, draft.place = reading.salience[sentence], sentence / len(reading.sentences)
        draft.near = float(np.clip(vector @ lines[sentence], 0.0, 1.0))
        whole = draft.form in (Form.ORDER, Form.SEVERAL)
        draft.found = 1.0 if whole else answerer.found(row.prompt, row.answer, sentence, vector)
        drafts.append(draft)
    return np.array([ranking.features(draft) for draft in drafts])


def fit(rows: Rows) -> Ranker:
    """On the rows that are not held out; its arrays, without what made them."""
    from sklearn.linear_model import LogisticRegression

    learned = rows.features[~rows.held_out]
    mean, scale = learned.mean(axis=0), learned.std(axis=0)
    scale[scale == 0.0] = 1.0
    model = LogisticRegression(C=STRENGTH, max_iter=1000)
    model.fit((learned - mean) / scale, rows.taken[~rows.held_out])
    weights, bias = model.coef_[0], float(model.intercept_[0])
    return Ranker(FEATURES, _floats(weights), _floats(mean), _floats(scale), bias)


def auc(ranker: Ranker, rows: Rows) -> float:
    """Over the held-out rows: how likely a taken draft is put before a rejected one."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(rows.taken[rows.held_out], ranker.judge(rows.features[rows.held_out])))


def _floats(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
