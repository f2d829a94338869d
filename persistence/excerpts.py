"""Excerpts: the part of a message that shows why it was found, in pieces that alternate between what surrounds and what is marked.

    text ─plain─▶ letters without marks, each with where it came from ─▶ the words it was found by ─▶ a window around the first of them

Invariant: the pieces put together are a part of the text as it reads, but for line ends, which are spaces, and for "…" where it was cut.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

CHARS_MAX: Final = 180
"""Of an excerpt: three lines of a phone."""
BEFORE_MAX: Final = 50
"""In front of the first word that is marked."""
_FOLDED: Final = str.maketrans({"\u0671": "\u0627", "\u0649": "\u064a", "\u0629": "\u0647", "\u0640": None})
"""As `search_plain` in the database."""


def plain(text: str) -> tuple[str, list[int]]:
    """The text as the index reads it, and for each of its letters the place of the one that it came from."""
    letters: list[str] = []
    places: list[int] = []
    for place, letter in enumerate(text):
        if letter.isascii():
            letters.append(letter.lower())
            places.append(place)
            continue
        for one in unicodedata.normalize("NFKD", letter).lower().translate(_FOLDED):
            if not unicodedata.combining(one):
                letters.append(one)
                places.append(place)
    return "".join(letters), places


def find_marks(text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Where these words, as the index has them, stand in a text: from and to, in order, none within another."""
    if not words:
        return []
    read, places = plain(text)
    places.append(len(text))
    either = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    found = re.finditer(rf"(?<!\w)(?:{either})(?!\w)", read)
    # Up to the next letter: what is written above and below the last one belongs to it.
    return [(places[one.start()], max(places[one.end()], places[one.end() - 1] + 1)) for one in found]


def excerpt(text: str, words: Sequence[str]) -> tuple[str, ...]:
    """The pieces: every second one, from the second on, is one of `words`. Without any in the text: its beginning."""
    text = re.sub(r"\s", " ", text)
    marks = find_marks(text, words)
    begin, end = _window(text, marks[0][0] if marks else 0)
    pieces = ["…" if begin else ""]
    at = begin
    for low, high in marks:
        if low < at or high > end:
            continue
        pieces[-1] += text[at:low]
        pieces += [text[low:high], ""]
        at = high
    pieces[-1] += text[at:end] + ("…" if end < len(text) else "")
    return tuple(pieces)


def _window(text: str, mark: int) -> tuple[int, int]:
    """What is shown, cut between words where there are any near."""
    begin = max(0, min(mark - BEFORE_MAX, len(text) - CHARS_MAX))
    if begin:
        space = text.find(" ", begin, mark)
        begin = begin if space < 0 else space + 1
    end = min(len(text), begin + CHARS_MAX)
    if end < len(text):
        space = text.rfind(" ", mark + 1, end)
        end = end if space < end - BEFORE_MAX else space
    return begin, end
