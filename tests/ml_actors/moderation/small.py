"""A small model for tests, trained once a session on sentences that were written for it: no collection is needed."""

from __future__ import annotations

import functools

from ml_actors.embeddings import embed
from ml_actors.moderation.data import Labelled
from ml_actors.moderation.everyday import FINE, FOUL
from ml_actors.moderation.fitting import Material, fit, material
from ml_actors.moderation.heads import Array


def rows() -> list[Labelled]:
    """Everyday sentences as if they were a collection."""
    fine = [Labelled(text, False, language) for language, texts in FINE.items() for text in texts]
    foul = [
        Labelled(text, True, language, place % 3 == 0, place % 2 == 0)
        for language, texts in FOUL.items()
        for place, text in enumerate(texts)
    ]
    return fine + foul


@functools.cache
def seen() -> Material:
    return material(rows(), embed)


@functools.cache
def arrays() -> dict[str, Array]:
    return fit(seen(), networks=2, epochs=30)
