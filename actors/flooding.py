"""Flooding: the same, or nearly the same, again and again, by one person or by many.

    text ─sketch─▶ four numbers, most the same for nearly the same text ─▶ of its author's last ones, how many are near?
                                                                    ╰▶ by how many authors was it said lately?

What counts is when something was said, not when it is looked at: a backlog of an hour is no flood. What is looked at again, because a
gateway was killed or its claim was over, is known by its place, and counts once.

Bounded: the latest authors, the last sketches of each, the latest texts. Each gateway remembers what it judged itself, so what is spread
over n gateways is found after up to n times as much. What is forgotten first was said longest ago.

Invariant: memory holds at most `AUTHORS_MAX` authors with `KEPT_MAX` sketches each, `TEXTS_MAX` texts with `SPEAKERS_MAX` speakers each.
"""

from __future__ import annotations

import re
import unicodedata
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Final
from zlib import crc32

AUTHORS_MAX: Final = 10_000
KEPT_MAX: Final = 16
TEXTS_MAX: Final = 10_000
SPEAKERS_MAX: Final = 16
WINDOW_S: Final = 120.0
"""What one person said longer ago does not count."""
CAMPAIGN_S: Final = 600.0
SAME_MIN: Final = 3
"""Of the four of a sketch. With one word of fifteen changed it is so nine times of ten."""
TALKATIVE: Final = 2
TEXT_MAX: Final = 1_000
"""Code points that are looked at."""
SHORT: Final = 12
"""Letters below which a text is what everybody says all the time: "yes", "thank you"."""
LONG: Final = 40
"""Letters from which on two people do not write the same by chance."""
HOLD_TIMES: Final = 4
HIDE_TIMES: Final = 8
SHORT_TIMES: Final = 15
SPEAKERS: Final = 5
"""People who say the same long text within ten minutes: a class that answers one question does not do so word for word."""
HOLD_SCORE: Final = 0.80
HIDE_SCORE: Final = 0.97

_WORD: Final = re.compile(r"[^\W\d_]+")
_ORDERS: Final = (0, 0x9E3779B9, 0x5BD1E995, 0xC2B2AE35)


Sketch = tuple[int, ...]
Place = tuple[int, int]
"""Where something was said: the stream, and its number there; of what has none yet, less than nought and its number among those."""


def sketch(words: Sequence[str]) -> Sketch:
    """Of all pairs of neighbouring words the smallest under four orders: of nearly the same texts most of the four are the same."""
    pairs = [crc32(f"{before} {word}".encode()) for before, word in zip(("", *words), words, strict=False)] or [0]
    return tuple(min(pair ^ order for pair in pairs) for order in _ORDERS)


def near(one: Sketch, other: Sketch) -> bool:
    """Whether two texts are nearly the same; of one that was not sketched that is not known."""
    return len(one) == len(other) and sum(a == b for a, b in zip(one, other, strict=True)) >= SAME_MIN


class Flooding:
    """What was said lately. `seen` counts a text and says how likely it is part of a flood."""

    def __init__(self) -> None:
        self._authors: OrderedDict[int, deque[tuple[float, Place, int, Sketch]]] = OrderedDict()
        self._texts: OrderedDict[int, dict[int, float]] = OrderedDict()

    def seen(self, author: int, text: str, at_s: float, place: Place) -> float:
        """A score of SPAM for this text: 0 where it is no repetition. `at_s`: when it was said, in seconds; in any order."""
        words = _WORD.findall(unicodedata.normalize("NFKC", text[:TEXT_MAX]).casefold())
        letters = sum(map(len, words))
        plain = crc32(" ".join(words).encode())
        times = self._by_author(author, plain, words, at_s, place)
        speakers = self._by_text(author, plain, at_s) if letters >= LONG else 1
        if letters < SHORT:
            return HOLD_SCORE if times >= SHORT_TIMES else 0.0
        if times >= HIDE_TIMES:
            return HIDE_SCORE
        return HOLD_SCORE if times >= HOLD_TIMES or speakers >= SPEAKERS else 0.0

    def _by_author(self, author: int, plain: int, words: list[str], at_s: float, place: Place) -> int:
        said = self._authors.pop(author, None) or deque(maxlen=KEPT_MAX)
        self._authors[author] = said
        if len(self._authors) > AUTHORS_MAX:
            self._authors.popitem(last=False)
        # Only what was said before it: looked at again, it is what it was.
        lately = [one for one in said if one[:2] < (at_s, place) and at_s - one[0] < WINDOW_S]
        # Most people say one or two things in two minutes: what is nearly the same is only asked of who says more.
        known = sketch(words) if len(lately) >= TALKATIVE else ()
        times = sum(1 for _, _, other, drawn in lately if other == plain or near(known, drawn))
        if all(one[1] != place for one in said):
            said.append((at_s, place, plain, known))
        return times + 1

    def _by_text(self, author: int, plain: int, at_s: float) -> int:
        speakers = self._texts.pop(plain, None) or {}
        self._texts[plain] = speakers
        if len(self._texts) > TEXTS_MAX:
            self._texts.popitem(last=False)
        if author in speakers or len(speakers) < SPEAKERS_MAX:
            speakers[author] = max(at_s, speakers.get(author, at_s))
        else:
            # Who said it longest ago makes room: a campaign of months must not be forgotten for its first day.
            del speakers[min(speakers, key=speakers.__getitem__)]
            speakers[author] = at_s
        return 1 + sum(1 for one, at in speakers.items() if one != author and 0 <= at_s - at < CAMPAIGN_S)
