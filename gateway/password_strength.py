"""How hard a password is to guess: zxcvbn's score, from 0 (at once) to 4 (not at all), at a bounded cost.

    password ─▶ first 32 characters ─▶ few kinds of disguise ─▶ zxcvbn, with the person's own words ─▶ score, and what is wrong

No rule about kinds of characters: such rules make passwords worse (NIST SP 800-63B, 5.1.1.2). What counts is how many guesses it takes,
given dictionaries, keyboards, dates, repetitions, the person's name and address, and the name of this site.

Invariant: whatever the input, at most `SUBSTITUTIONS_MAX` readings of it are looked up. Unbounded, zxcvbn took 2 s for 72 characters of
disguises, and holds the interpreter meanwhile; bounded so, the worst that was found takes 12 ms, a usual password 1 to 5 ms.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from zxcvbn import zxcvbn
from zxcvbn.matching import L33T_TABLE

JUDGED_MAX: Final = 32
"""Characters. Who needs more than these to be hard to guess is told so; time grows with their square."""
DISGUISES_MAX: Final = 4
"""Kinds of characters that may stand for letters (4 for a, $ for s). Those that come later stand for themselves."""
SUBSTITUTIONS_MAX: Final = 16
WORDS_MAX: Final = 32
WORD_LENGTH_MIN: Final = 2
WORD_LENGTH_MAX: Final = 40
SCORE_MAX: Final = 4

_DISGUISES: Final = frozenset(character for characters in L33T_TABLE.values() for character in characters)
_BETWEEN: Final = re.compile(r"[\W_]+")
_ELSEWHERE: Final = 0xE000
"""Private use: moved there a character keeps its distance to its neighbours, and is in no dictionary."""


class Strength(Struct, frozen=True):
    """What was found. `warning`: what is wrong with it, in a sentence of zxcvbn's, which holds nothing of the password; may be empty."""

    score: int
    warning: str


def measure(password: str, words: Iterable[str]) -> Strength:
    """How hard it is to guess for who knows these words. Takes milliseconds of Python: not for the event loop."""
    if not password:
        return Strength(0, "")
    found = zxcvbn(bounded(password), user_inputs=parts(words), max_length=JUDGED_MAX)
    return Strength(int(found["score"]), str(found["feedback"]["warning"] or ""))


def bounded(password: str) -> str:
    """What is looked at: short enough, with few enough ways to read it."""
    kinds: dict[str, None] = {}
    shown = []
    for character in password[:JUDGED_MAX]:
        if character in _DISGUISES:
            if character not in kinds and len(kinds) >= DISGUISES_MAX:
                character = chr(_ELSEWHERE + ord(character))
            else:
                kinds[character] = None
        shown.append(character)
    return "".join(shown)


def parts(words: Iterable[str]) -> list[str]:
    """The words, and what they are put together of: of an address the name, the host, and all between dots."""
    found: dict[str, None] = {}
    for word in words:
        for part in (word, *_BETWEEN.split(word), *word.split("@")):
            if WORD_LENGTH_MIN <= len(part) <= WORD_LENGTH_MAX:
                found[part.lower()] = None
    return list(found)[:WORDS_MAX]
