"""N-grams of letters and words as numbers, for a whole batch at once.

    " ab c " ─▶ letters in windows of 3, 4, 5 that lie within a word and its edges, words, pairs of words ─▶ hash ─▶ bucket of 2^18

All windows of all texts are computed by a dozen array operations over their code points: a Python loop over the same n-grams takes
thirty times as long. A feature is a bucket; two n-grams that share one are one feature (about 1 in 4 of those that matter share with a
rarity).

Invariant: the buckets of a text do not depend on its neighbours in the batch, and never change: the arrays of a shipped model are indexed
by them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

BITS: Final = 18
BUCKETS: Final = 1 << BITS
WINDOWS: Final = (3, 4, 5)

_STEP: Final = np.uint64(0x100000001B3)
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_TURN: Final = np.uint64(0xC2B2AE3D27D4EB4F)
_SPACE: Final = 32
_END: Final = 10

Rows = NDArray[np.int64]
Buckets = NDArray[np.int64]
Values = NDArray[np.float64]


def _bucket(hashes: NDArray[np.uint64], kind: int) -> NDArray[np.int64]:
    mixed = (hashes + np.uint64(kind)) * _MIX
    mixed ^= mixed >> np.uint64(29)
    mixed *= _TURN
    return (mixed >> np.uint64(64 - BITS)).astype(np.int64)


def grams(texts: Sequence[str]) -> tuple[Rows, Buckets]:
    """The distinct features of each folded text: `rows` (which text) and `buckets`, sorted by both."""
    if not texts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    page = "".join(f" {text} \n" for text in texts)
    codes = np.frombuffer(page.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    blank = codes == _SPACE
    ends = codes == _END
    row_of = np.cumsum(ends) - ends
    blanks = np.cumsum(blank)
    keys: list[NDArray[np.int64]] = []

    hashes = codes.copy()
    for size in range(2, max(WINDOWS) + 1):
        hashes = hashes[:-1] * _STEP + codes[size - 1 :]
        if size not in WINDOWS or not len(hashes):
            continue
        count = len(hashes)
        # Within one text, and no space but at the window's edges.
        whole = (row_of[:count] == row_of[size - 1 :]) & ~ends[size - 1 :]
        inside = blanks[size - 2 : size - 2 + count] == blanks[:count]
        keep = np.flatnonzero(whole & inside & ~(blank[:count] & blank[size - 1 :]))
        keys.append((row_of[keep] << BITS) | _bucket(hashes[keep], size))

    letter = ~(blank | ends)
    begins = np.flatnonzero(letter & ~np.concatenate(([False], letter[:-1])))
    if len(begins):
        place = (
            np.arange(len(codes)) - np.repeat(begins, np.diff(np.append(begins, len(codes))), axis=0)[: len(codes)]
            if begins[0] == 0
            else None
        )
        if place is None:
            place = np.zeros(len(codes), np.int64)
            place[begins[0] :] = np.arange(begins[0], len(codes)) - np.repeat(begins, np.diff(np.append(begins, len(codes))))
        powers = _powers(int(place[letter].max()) + 1)
        parts = np.where(letter, codes * powers[np.minimum(place, len(powers) - 1)], np.uint64(0))
        words = np.add.reduceat(parts, begins)
        rows = row_of[begins]
        keys.append((rows << BITS) | _bucket(words, 101))
        pair = np.flatnonzero(rows[1:] == rows[:-1])
        keys.append((rows[pair] << BITS) | _bucket(words[pair] * _STEP + words[pair + 1], 102))
    found = np.unique(np.concatenate(keys))
    return found >> BITS, found & (BUCKETS - 1)


def _powers(count: int) -> NDArray[np.uint64]:
    return np.cumprod(np.full(count, _STEP, dtype=np.uint64), dtype=np.uint64)


def weighted(rows: Rows, buckets: Buckets, rarity: NDArray[np.float32], texts: int) -> Values:
    """Values of those features: their rarity, scaled so that each text's have length 1."""
    values = rarity[buckets].astype(np.float64)
    length = np.sqrt(np.bincount(rows, values * values, minlength=texts))
    return values / np.where(length > 0, length, 1.0)[rows]
