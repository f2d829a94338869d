"""How likely a mentor takes a question: logistic regression over what is known of a draft.

    Draft ─ features ─▶ float[feature] ─ (x - mean) / scale · weights + bias ─▶ quality, 0 to 1

Version 1's weights were set by hand from what the features mean; `training` fits them to what mentors accepted, edited and rejected. The
features follow from the draft's record and the text that it was made from, so that nothing else has to be kept of it.

Invariant: a ranker read from a file has exactly the features of this code, by name, or it is not loaded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from msgspec import Struct

from actors.inference import Form
from ml_actors.kinds import Unusable
from ml_actors.questions.drafts import Draft
from ml_actors.questions.gaps import GAP

RANKER: Final = "ranker.json"
OPENINGS: Final = (
    ("gap", GAP), ("speaker", "who said"), ("happened", "what happened"), ("feel", "feel"), ("look", "look like"), ("many", "how many"),
    ("why", "why"), ("how", "how"), ("where", "where"), ("when", "when"), ("who", "who"), ("do", " do"), ("say", " say"), ("what", "what"),
)  # fmt: skip
"""How a question opens, or ends: the first that fits. From its words alone, so that it is known of any draft, whoever made it."""
FEATURES: Final = (
    "found", "near", "salience", "place", "prompt_words", "prompt_long", "answer_words", "answer_long", "options", "conditioned",
    *(f"form_{form.name.lower()}" for form in Form), *(f"opens_{name}" for name, _ in OPENINGS),
)  # fmt: skip
BYTES_MAX: Final = 64 * 1024


class Ranker(Struct, frozen=True):
    features: tuple[str, ...]
    weights: tuple[float, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    bias: float

    def quality(self, drafts: Sequence[Draft]) -> list[float]:
        if not drafts:
            return []
        rows = np.array([features(draft) for draft in drafts])
        return [float(value) for value in self.judge(rows)]

    def judge(self, rows: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        """`rows`: float64[draft, feature] -> float64[draft]."""
        scores = (rows - np.array(self.mean)) / np.array(self.scale) @ np.array(self.weights) + self.bias
        judged: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = 1.0 / (1.0 + np.exp(-scores))
        return judged


def opening(prompt: str) -> str:
    low = prompt.lower()
    if GAP in low:
        return "gap"
    for name, words in OPENINGS:
        if (low.rstrip("?").endswith(words) or f"{words} " in low[4:]) if name in ("feel", "look", "do", "say") else low.startswith(words):
            return name
    return ""


def features(draft: Draft) -> list[float]:
    """In the order of `FEATURES`, each about 0 to 1."""
    prompt, answer, opens = len(draft.prompt.split()), len(draft.answer.split()), opening(draft.prompt)
    conditioned = any(f" {word} " in draft.prompt for word in ("after", "when", "before", "while", "as", "because"))
    return [
        draft.found, draft.near, draft.salience, draft.place,
        min(prompt, 24) / 24, float(prompt > 16), min(answer, 24) / 24, float(answer > 12), len(draft.options) / 5, float(conditioned),
        *(float(draft.form is form) for form in Form), *(float(opens == name) for name, _ in OPENINGS),
    ]  # fmt: skip


def by_hand() -> Ranker:
    """The ranker of version 1: questions that ask for a reason or for what somebody did first, for those are what understanding shows
    in; then what was found again surely, of sentences that say much, and of these what says most: a question of three words, with an answer
    of one, asks for little."""
    weights = dict.fromkeys(FEATURES, 0.0) | {
        "found": 1.0, "near": 0.8, "salience": 0.9, "prompt_words": 0.9, "answer_words": 0.9, "answer_long": -0.1, "options": 0.2,
        "conditioned": 0.7,
        "opens_why": 1.4, "opens_feel": 1.3, "opens_happened": 0.6, "opens_how": 1.0, "opens_many": 0.6, "opens_do": 0.5, "opens_look": 0.6,
        "opens_where": 0.5, "opens_what": 0.4, "opens_who": 0.1, "opens_when": 0.2, "opens_say": 0.2,
        "opens_speaker": -0.4, "form_order": 0.3,
    }  # fmt: skip
    count = len(FEATURES)
    return Ranker(FEATURES, tuple(weights[name] for name in FEATURES), (0.0,) * count, (1.0,) * count, -2.2)


def save(ranker: Ranker, folder: Path) -> None:
    (folder / RANKER).write_bytes(msgspec.json.format(msgspec.json.encode(ranker), indent=1) + b"\n")


def load(folder: Path) -> Ranker:
    """Raises `Unusable`."""
    try:
        text = (folder / RANKER).read_bytes()
        if len(text) > BYTES_MAX:
            raise Unusable(f"{RANKER}: {len(text)} bytes; allowed: {BYTES_MAX}")
        ranker = msgspec.json.decode(text, type=Ranker)
    except OSError as error:
        raise Unusable(f"{RANKER}: {error.strerror or error}") from error
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise Unusable(f"{RANKER}: {error}") from error
    if ranker.features != FEATURES:
        raise Unusable(f"{RANKER} is of other features: {sorted(set(ranker.features) ^ set(FEATURES))}")
    if not {len(ranker.weights), len(ranker.mean), len(ranker.scale)} == {len(FEATURES)} or 0.0 in ranker.scale:
        raise Unusable(f"{RANKER}: its arrays do not fit its features")
    if not all(math.isfinite(value) for value in (*ranker.weights, *ranker.mean, *ranker.scale, ranker.bias)):
        raise Unusable(f"{RANKER}: not all of its figures are numbers")
    return ranker
