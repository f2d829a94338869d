"""Sentences and words of a text, by their places in it.

    "Once there was\\na lad. He …" ─▶ Sentence(0, 21) Sentence(22, …) ─▶ Word("Once", 0, 4) …

Places are code points of the text as it was given, line breaks and all, so that a question can always point at what it was made from.

Invariant: `text[begin:end]` of a sentence or word is exactly it; sentences follow each other and never overlap.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ml_actors.questions.tongues import Tongue

WORD: Final = re.compile(r"[^\W_]{1,60}(?:['’\-‑][^\W_]{1,60}){0,4}|['’]s\b|[^\w\s]", re.UNICODE)
"""A word with its inner apostrophes and hyphens, or one sign. What is longer than any word is cut, for what is known of words is kept by
them."""
END: Final = re.compile(r"[.!?…؟۔。！？]+[\"'”’»)\]]*(?=\s|$)|\n\s*\n")
"""Where a sentence may end: signs with the quotes that close after them, or an empty line."""
SENTENCE_MAX: Final = 600
"""Code points of a sentence that is looked at; what is longer is a list or a table, and nothing is asked about it."""

OPENING: Final = "“«„"
CLOSING: Final = "”»“"


class Word(NamedTuple):
    text: str
    begin: int
    end: int

    @property
    def low(self) -> str:
        return self.text.lower()

    @property
    def wordy(self) -> bool:
        return self.text[0].isalnum()


class Sentence(NamedTuple):
    begin: int
    end: int
    text: str
    """As it stands, line breaks and all."""
    words: tuple[Word, ...]
    """With the places of the whole text."""

    @property
    def plain(self) -> str:
        return plain(self.text)

    @property
    def length(self) -> int:
        """In words, signs apart."""
        return sum(word.wordy for word in self.words)


def plain(text: str) -> str:
    """With each run of white space as one space."""
    return " ".join(text.split())


def words_of(text: str, begin: int = 0) -> tuple[Word, ...]:
    found = []
    for match in WORD.finditer(text):
        word = match.group()
        if len(word) > 2 and word[-2:].lower() in ("'s", "’s"):  # "king's" is the king and what says that something is his
            found.append(Word(word[:-2], begin + match.start(), begin + match.end() - 2))
            found.append(Word(word[-2:], begin + match.end() - 2, begin + match.end()))
        else:
            found.append(Word(word, begin + match.start(), begin + match.end()))
    return tuple(found)


def sentences(text: str, tongue: Tongue) -> list[Sentence]:
    """In their order. A full stop after an abbreviation or a single letter ends none, nor does any sign inside a quotation that goes on in
    lower case ("Stop!" said he)."""
    found: list[Sentence] = []
    begin = 0
    for match in END.finditer(text):
        if not _ends(text, begin, match, tongue):
            continue
        _take(text, begin, match.end(), found)
        begin = match.end()
    _take(text, begin, len(text), found)
    return found


def _ends(text: str, begin: int, match: re.Match[str], tongue: Tongue) -> bool:
    sign = match.group()
    if "\n" in sign:
        return True
    after = text[match.end() :].lstrip()
    if after and after[0].islower():
        return False
    if _open_quote(text[begin : match.end()]):
        return False
    if sign == ".":
        before = text[begin : match.start()].rsplit(None, 1)
        last = before[-1].lower() if before else ""
        if last.strip("(“\"'") in tongue.abbreviations or (len(last) == 1 and last.isalpha()) or (last.isdigit() and tongue.ordinals):
            return False
    return True


def _open_quote(text: str) -> bool:
    """Whether a quotation was opened and not closed: straight quotes by their number, others by their pairs."""
    if text.count('"') % 2:
        return True
    return text.count("“") > text.count("”") or text.count("«") > text.count("»")


def _take(text: str, begin: int, end: int, found: list[Sentence]) -> None:
    while begin < end and text[begin].isspace():
        begin += 1
    while end > begin and text[end - 1].isspace():
        end -= 1
    if begin == end:
        return
    words = words_of(text[begin:end], begin)
    if any(word.wordy for word in words):
        found.append(Sentence(begin, end, text[begin:end], words))
