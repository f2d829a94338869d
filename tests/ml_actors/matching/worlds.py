"""Small rosters, and an embedding of which a test knows everything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from actors.inference import Candidate
from ml_actors.matching.roster import Roster
from ml_actors.matching.vocabulary import Floats, Vocabulary

ANGLES = {"mathematics": 0.0, "algebra": 45.0, "physics": 110.0, "english": 200.0, "spanish": 240.0}
"""Degrees: what is near in this plane is near in meaning; a word that is not here lies far from all."""


def embed(texts: Sequence[str]) -> Floats:
    angles = np.radians([ANGLES.get(text, 290.0) for text in texts])
    return np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)


def roster(*candidates: Candidate) -> Roster:
    made = Roster(Vocabulary(embed))
    for candidate in candidates:
        made.put(candidate)
    return made
