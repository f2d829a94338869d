"""N-grams by arrays are the n-grams that one would count by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ml_actors.moderation.grams import BUCKETS, WINDOWS, grams, weighted

TEXTS = st.lists(st.text(alphabet="abc é", max_size=24), max_size=6)


def _by_hand(text: str) -> int:
    """How many distinct features a text has."""
    words = text.split()
    found: set[tuple[object, ...]] = set()
    for word in words:
        padded = f" {word} "
        for size in WINDOWS:
            # A window that is a whole word with both its edges says no more than the word.
            found |= {(size, padded[at : at + size]) for at in range(len(padded) - size + 1) if len(padded) != size}
        found.add(("word", word))
    found |= {("pair", *pair) for pair in pairwise(words)}
    return len(found)


@given(TEXTS)
def test_a_text_has_the_features_that_are_counted_by_hand(texts: list[str]) -> None:
    said = [" ".join(text.split()) for text in texts]
    rows, buckets = grams(said)
    assert ((0 <= buckets) & (buckets < BUCKETS)).all()
    counted = np.bincount(rows, minlength=len(said))
    # Two features may share a bucket: one in three thousand pairs here.
    assert all(_by_hand(text) - 2 <= count <= _by_hand(text) for text, count in zip(said, counted, strict=True))


@given(TEXTS)
def test_a_text_has_the_same_features_in_any_batch(texts: list[str]) -> None:
    rows, buckets = grams(texts)
    for place, text in enumerate(texts):
        assert np.array_equal(buckets[rows == place], grams([text])[1])


def test_values_of_a_text_have_length_one() -> None:
    rows, buckets = grams(["some words", "", "others"])
    values = weighted(rows, buckets, np.linspace(0.5, 2.0, BUCKETS, dtype=np.float32), 3)
    lengths = np.bincount(rows, values**2, minlength=3)
    assert np.allclose(lengths, [1, 0, 1])


def test_buckets_of_words_stay_what_shipped_models_know() -> None:
    assert grams(["ab c"])[1].tolist() == sorted(grams(["ab c"])[1].tolist())
    assert int(grams(["you idiot"])[1].sum()) == 2_516_111
