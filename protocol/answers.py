"""Answers in words: when what somebody wrote is what was asked for.

    written ─normalise─▶ "die antwort" ─┬─ equal ─▶ right            accepted: "Antwort", "=año" (marks count), "3.14±0.01" (a number)
    accepted ───────────────────────────╯  number within tolerance ─▶ right

The same in every language that has Unicode's normal forms and lower case; what is dropped and mapped stands in the tables here, and in
tests/vectors/learning.json.

Invariant: `normalise` of what it gave is the same again.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cached_property, lru_cache
from typing import Final, NamedTuple

DIGITS_MAX: Final = 18
"""Of a number, without its sign and separators; what is longer is compared as text."""
WRITTEN_MAX: Final = 400
"""Code points: what is longer is no short answer, and never right. It bounds what comparing costs, too."""
READY_MAX: Final = 256
"""Accepted answers that are kept ready: all of one question, whose attempts are compared one after the other."""
EXACT: Final = "="
"""Before an accepted answer: upper and lower case and marks over letters count."""
TOLERANCE: Final = re.compile(r"\s*(?:±|\+/-|\+-)\s*")
ALTERNATIVES: Final = "|"
"""Between the accepted words of one gap."""

SPACES: Final = "\t\n\x0b\x0c\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
UNSEEN: Final = "\u00ad\u0640\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff"
"""Dropped: soft hyphens, the Arabic tatweel, joiners and marks of direction."""
MARKS: Final = "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670"
"""Dropped unless they count: accents of Latin, Greek and Cyrillic, and the vowel points of Hebrew and Arabic. Vowel signs of other
scripts are letters there, and stay."""
ZEROES: Final = "\u0660\u06f0\u0966\u09e6\u0a66\u0ae6\u0b66\u0be6\u0c66\u0ce6\u0d66\u0e50\u0ed0\u0f20\u1040\u17e0"
"""The zero of each script whose ten digits follow it: they are read as 0 to 9."""
LETTERS: Final = {"ß": "ss", "ς": "σ", "ı": "i", "ø": "o", "đ": "d", "ł": "l", "æ": "ae", "œ": "oe"}
"""After lower case, unless marks count: letters that have no mark to drop."""
SIGNS: Final = {"’": "'", "‘": "'", "ʼ": "'", "`": "'", "´": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"'} | {
    dash: "-" for dash in "‐‑‒–—―−"
}
ENDS: Final = " .,;:!?…\"'¿¡。、，；：！？؟،।"
"""Taken from both ends of what is compared as words."""

_SPACES: Final = re.compile(f"[{SPACES}]+")
_UNSEEN: Final = re.compile(f"[{UNSEEN}]")
_MARKS: Final = re.compile(f"[{MARKS}]")
_DIGITS: Final = {ord(zero) + n: str(n) for zero in ZEROES for n in range(10)}
_LETTERS: Final = str.maketrans(LETTERS)
_SIGNS: Final = str.maketrans(SIGNS)
_NUMBER: Final = re.compile(r"([+-]?)([0-9][0-9.,' ]*|[.,][0-9]+)")


class Number(NamedTuple):
    """`digits` times ten to the power of minus `places`."""

    digits: int
    places: int


def normalise(text: str, *, marks_count: bool = False) -> str:
    """How two texts are compared. `marks_count`: upper and lower case and marks over letters stay."""
    text = unicodedata.normalize("NFKC", _tidy(text))
    if not marks_count:
        text = unicodedata.normalize("NFC", _MARKS.sub("", unicodedata.normalize("NFD", text.lower())))
        text = text.translate(_LETTERS)
    # What was taken apart or dropped may have left signs that were not there before.
    return _tidy(text).strip(ENDS)


def _tidy(text: str) -> str:
    return _SPACES.sub(" ", _UNSEEN.sub("", text)).translate(_SIGNS).translate(_DIGITS)


def is_right(written: str, accepted: str) -> bool:
    """Whether what was written is this accepted answer, by the words or as a number."""
    return _Answer(written).is_right(accepted)


def is_any_right(written: str, accepted: tuple[str, ...]) -> bool:
    """Whether it is one of them."""
    answer = _Answer(written)
    return any(answer.is_right(one) for one in accepted)


class _Wanted(NamedTuple):
    """An accepted answer, made ready: `numbers` it may mean, none: `words`."""

    words: str
    exact: bool = False
    numbers: tuple[Number, ...] = ()
    tolerance: Number = Number(0, 0)


@lru_cache(maxsize=READY_MAX)
def _wanted(accepted: str) -> _Wanted:
    if accepted.startswith(EXACT):
        return _Wanted(normalise(accepted[len(EXACT) :], marks_count=True), True)
    number, *more = TOLERANCE.split(accepted, maxsplit=1)
    wanted = readings(number)
    tolerance = readings(more[0]) if more else (Number(0, 0),)
    if wanted and tolerance:
        return _Wanted("", False, wanted, tolerance[0])
    return _Wanted(normalise(accepted))


class _Answer:
    """What somebody wrote, made ready once, however much it is compared with."""

    def __init__(self, written: str) -> None:
        self._written = written if len(written) <= WRITTEN_MAX else ""

    @cached_property
    def _plain(self) -> str:
        return normalise(self._written)

    @cached_property
    def _exact(self) -> str:
        return normalise(self._written, marks_count=True)

    @cached_property
    def _numbers(self) -> tuple[Number, ...]:
        return readings(self._written)

    def is_right(self, accepted: str) -> bool:
        """See the function."""
        wanted = _wanted(accepted)
        if wanted.numbers:
            return any(_within(one, number, wanted.tolerance) for one in self._numbers for number in wanted.numbers)
        return bool(wanted.words) and wanted.words == (self._exact if wanted.exact else self._plain)


def readings(text: str) -> tuple[Number, ...]:
    """The numbers that a text may mean; none: it is no number. A point or a comma is the decimal one; of both the last; one that comes more
    than once stands between thousands, and so may a single one with three digits behind it."""
    text = unicodedata.normalize("NFKC", _tidy(text)).strip()
    found = _NUMBER.fullmatch(text)
    if found is None:
        return ()
    sign, body = found.groups()
    body = body.replace(" ", "").replace("'", "")
    points, commas = body.count("."), body.count(",")
    decimal = ""
    if points and commas:
        decimal = "." if body.rindex(".") > body.rindex(",") else ","
        if body.count(decimal) > 1:
            return ()
    elif points + commas == 1:
        decimal = "." if points else ","
    made = [_number(sign, body, decimal)]
    if decimal and not (points and commas) and re.fullmatch(r"[1-9][0-9]{0,2}[.,][0-9]{3}", body):
        made.append(_number(sign, body, ""))
    return tuple(number for number in made if number is not None)


def _number(sign: str, body: str, decimal: str) -> Number | None:
    whole, _, part = body.partition(decimal) if decimal else (body, "", "")
    digits = (whole + part).replace(".", "").replace(",", "")
    places = len(part.replace(".", "").replace(",", ""))
    if not digits or len(digits) > DIGITS_MAX:
        return None
    return Number(-int(digits) if sign == "-" else int(digits), places)


def _within(one: Number, other: Number, tolerance: Number) -> bool:
    places = max(one.places, other.places, tolerance.places)
    first, second, apart = (number.digits * int(10 ** (places - number.places)) for number in (one, other, tolerance))
    return abs(first - second) <= abs(apart)
