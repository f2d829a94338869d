"""How likely a mentor takes a question: logistic regression over what is known of a draft.

    Draft ─ features ─▶ float[feature] ─ (x - mean) / scale · weights + bias ─▶ quality, 0 to 1

Version 1's weights were set by hand from what the features mean; `training` fits them to what mentors accepted, edited and rejected. The same
features are kept with a draft that is offered, so that training needs no text.

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

RANKER: Final = "ranker.json"
KINDS: Final = (
    "why", "why so", "why feel", "do", "do when", "happened", "feel", "look", "definition", "object", "whom", "content", "infinitive", "where",
    "when", "with", "who", "what", "how", "how many", "speech", "speaker", "gap", "events", "several", "written",
)  # fmt: skip
FEATURES: Final = (
    "found", "near", "salience", "place", "rarity", "prompt_words", "prompt_long", "answer_words", "answer_long", "options",
    *(f"form_{form.name.lower()}" for form in Form), *(f"kind_{kind.replace(' ', '_')}" for kind in KINDS),
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


def features(draft: Draft) -> list[float]:
    """In the order of `FEATURES`, each about 0 to 1."""
    prompt, answer = len(draft.prompt.split()), len(draft.answer.split())
    return [
        draft.found, draft.near, draft.salience, draft.place, draft.rarity,
        min(prompt, 24) / 24, float(prompt > 16), min(answer, 24) / 24, float(answer > 12), len(draft.options) / 5,
        *(float(draft.form is form) for form in Form), *(float(draft.kind == kind) for kind in KINDS),
    ]  # fmt: skip


def by_hand() -> Ranker:
    """The ranker of version 1: questions that ask for a reason or for what somebody did first, for those are what understanding shows in; then
    what was found again surely, of sentences that say much; long ones last."""
    weights = dict.fromkeys(FEATURES, 0.0) | {
        "found": 1.0, "near": 0.8, "salience": 0.9, "rarity": 0.5, "prompt_long": -0.8, "answer_long": -0.6, "options": 0.2,
        "kind_why": 1.4, "kind_why_so": 1.0, "kind_why_feel": 1.0, "kind_do_when": 1.0, "kind_do": 0.3, "kind_happened": 0.8, "kind_feel": 1.3,
        "kind_look": 0.6, "kind_definition": 0.9, "kind_infinitive": 0.8, "kind_object": 0.4, "kind_whom": 0.1, "kind_where": 0.5, "kind_when": 0.2,
        "kind_how": 1.0, "kind_how_many": 0.5, "kind_content": 0.4, "kind_speech": 0.2, "kind_speaker": -0.3, "kind_what": -0.2, "kind_with": -0.2,
        "kind_gap": -0.4, "form_order": 0.3,
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
