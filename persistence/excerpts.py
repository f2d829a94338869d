"""Excerpts: the part of a message that shows why it was found, in pieces that alternate between what surrounds and what is marked.

    text ─plain─▶ letters without marks, each with where it came from ─▶ the words it was found by ─▶ a window around the first of them

Invariant: the pieces put together are a part of the text as it reads, but for line ends, which are spaces, and for "…" where it was cut.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

CHARS_MAX: Final = 180
"""Of an excerpt: three lines of a phone."""
BEFORE_MAX: Final = 50
"""In front of the first word that is marked."""
READ_MAX: Final = 8_000
"""Letters in which words are looked for, twice those of the longest message: a letter may stand for eighteen (U+FDFA), and a page of
messages of such took as long as all other reading of a second."""
_TOKEN: Final = re.compile(r"\w+")
_FOLDED: Final = str.maketrans({"\u0671": "\u0627", "\u0649": "\u064a", "\u0629": "\u0647", "\u0640": None})
"""As `search_plain` in the database."""


@lru_cache(maxsize=4096)
def _fold(letter: str) -> str:
    """As the index reads it: some without what is written above it, a ligature as its letters, of what is above others nothing."""
    folded = unicodedata.normalize("NFKD", letter).lower().translate(_FOLDED)
    return "".join(one for one in folded if not unicodedata.combining(one))


def plain(text: str) -> tuple[str, list[int]]:
    """The text as the index reads it, as far as `READ_MAX`; for each of its letters the place of the one that it came from, and where the
    text that was read ends."""
    letters: list[str] = []
    places: list[int] = []
    for place, letter in enumerate(text):
        if len(places) >= READ_MAX:
            places.append(place)
            break
        if letter.isascii():
            letters.append(letter.lower())
            places.append(place)
        else:
            folded = _fold(letter)
            letters.append(folded)
            places += [place] * len(folded)
    else:
        places.append(len(text))
    return "".join(letters), places


def find_marks(text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Where these words, as the index has them, stand in a text: from and to, in order, none within another."""
    if not words:
        return []
    read, places = plain(text)
    wanted = frozenset(words)
    spans = [one.span() for one in _TOKEN.finditer(read) if one[0] in wanted]
    # Such as example.com. The others are looked up: a hundred alternatives, tried at each letter, took ten times as long.
    if joined := [word for word in wanted if not _TOKEN.fullmatch(word)]:
        either = "|".join(re.escape(word) for word in sorted(joined, key=len, reverse=True))
        spans += [one.span() for one in re.finditer(rf"(?<!\w)(?:{either})(?!\w)", read)]
    marks: list[tuple[int, int]] = []
    over = 0
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        if start >= over and end > start:
            # Up to the next letter: what is written above and below the last one belongs to it.
            marks.append((places[start], max(places[end], places[end - 1] + 1)))
            over = end
    return marks


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
