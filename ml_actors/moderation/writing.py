"""What a text says, freed from how it happens to be written.

    "RT @who: F.U.C.K   youuuuu!!! http://…" ─▶ "fuck you!"
    "Du Id10t" ─▶ "du idiot"          "#StopBullying" ─▶ "stop bullying"

Addresses, user names and marks of forwarding say nothing about harm but much about which collection a text came from: a model that sees
them learns the collection. Letters that were repeated, spaced out or replaced by digits are how people get past a list of words.

Invariant: what is judged of a text is all of it. It is cut once, to what a question holds, before anything makes it longer; what may grow
is bounded by how much a code point grows, never by a second cut.
"""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Final

from actors.inference import TEXT_MAX

LENGTH_MAX: Final = TEXT_MAX
GROWTH_MAX: Final = 4
"""Code points that one may become: "ﬃ" is three letters, "ﷲ" four. The few that become more ("ﷺ": eighteen) are taken as a space: no insult
is spelled with them, but twenty thousand of them would cost as much as half a million letters, and hide what comes after them."""
PLAIN_MAX: Final = 2 * GROWTH_MAX * LENGTH_MAX
"""Of a plain text: joined words that are parted ("#aBcD") grow by less than the half again."""
WHOLE_MAX: Final = 320
"""Code points of a text that is judged as one: what models here have learned from is no longer."""
PIECE_MAX: Final = 160
"""Of a piece of a longer one: a vile sentence in a long lesson must not drown in the rest."""
PIECES_MAX: Final = 2 * PLAIN_MAX // PIECE_MAX
"""Of one text: two pieces in a row have more than `PIECE_MAX` together, or they would be one."""

_ADDRESS = re.compile(r"(?:https?://|www\.)\S+|\b[\w.+-]{1,64}@[\w-]{1,64}\.[\w.-]+")
_NAMED = re.compile(r"(?<!\w)@\w+:?")
_FORWARDED = re.compile(r"(?<!\w)rt(?!\w)\s*:?")
_HUMP = re.compile(r"(?<=[a-zà-öø-ÿ])(?=[A-ZÀ-ÖØ-Þ])")
_TAG = re.compile(r"#(\w+)")
_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_THRICE = re.compile(r"([^\W\d_])\1{2,}")
_MARKS = re.compile(r"([^\w\s])(?:\s?\1)+")
_SPACED = re.compile(r"(?<![^\W_])(?:[^\W\d_](?P<gap>[ .\-_*])(?:[^\W\d_](?P=gap)){1,14}[^\W\d_])(?![^\W_])")
_MIXED = re.compile(
    r"(?<![\w$@!])(?=[\w$@!]*[^\W\d_])(?=[\w$@!]*[013457$@!][^\W\d_])[^\W\d_][\w$@!]*[^\W_]|(?<![\w$@])[$@3](?=[^\W\d_]{2,})[^\W_]+"
)
_LETTER_OF: Final = str.maketrans({"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "$": "s", "@": "a", "!": "i"})
_WHITE = re.compile(r"\s+")
_NOT_WORD = re.compile(r"[^\w'*!?]+")
_STOP = re.compile(r"(?<=[.!?…。؟])\s+|\n+")
_MARK: Final = "Mn"


def _hump(found: re.Match[str]) -> str:
    return " " + _HUMP.sub(" ", found[1]).replace("_", " ") + " "


def _joined(found: re.Match[str]) -> str:
    return found[0].replace(found["gap"], "")


def _unmasked(found: re.Match[str]) -> str:
    word = found[0]
    digits = sum(map(str.isdigit, word))
    # "2nd", "b2b", "covid19", "4you": digits at an end, or more digits than letters, are digits.
    if word[-1].isdigit() or digits * 2 > len(word):
        return word
    return word.translate(_LETTER_OF)


def _composed(text: str) -> str:
    """One way of writing for each letter, at most `GROWTH_MAX` times as long."""
    if not text.isascii():
        overlong = {ord(one): " " for one in set(text) if len(unicodedata.normalize("NFKC", one)) > GROWTH_MAX}
        text = unicodedata.normalize("NFKC", text.translate(overlong) if overlong else text)
    return text


def plain(text: str) -> str:
    """`text` as it is judged: lower case, without addresses, user names and disguise. At most `PLAIN_MAX` code points, of the first
    `LENGTH_MAX` of `text`: more a question does not hold."""
    # Halves of characters that a broken client sends alone are none.
    text = text[:LENGTH_MAX].encode("utf-8", "ignore").decode("utf-8")
    text = _composed(html.unescape(html.unescape(text)))
    text = _INVISIBLE.sub("", text)
    text = _ADDRESS.sub(" ", text)
    text = _NAMED.sub(" ", text)
    text = _TAG.sub(_hump, text).lower()
    text = _FORWARDED.sub(" ", text)
    text = _THRICE.sub(r"\1", text)
    text = _SPACED.sub(_joined, text)
    text = _MIXED.sub(_unmasked, text)
    text = _MARKS.sub(r"\1", text)
    return _WHITE.sub(" ", text).strip()


def folded(text: str) -> str:
    """A plain text for n-grams: only words, without diacritics ("für" and "fur" are one)."""
    if not text.isascii():
        text = "".join(mark for mark in unicodedata.normalize("NFD", text) if unicodedata.category(mark) != _MARK).replace("ß", "ss")
    return _NOT_WORD.sub(" ", text).strip()


def pieces(text: str) -> list[str]:
    """A plain text as it is up to `WHOLE_MAX` code points; a longer one in pieces of at most `PIECE_MAX`, cut between sentences or words
    where it can be. At least one."""
    if len(text) <= WHOLE_MAX:
        return [text]
    found: list[str] = []
    piece = ""
    for sentence in _STOP.split(text):
        while len(sentence) > PIECE_MAX:
            cut = sentence.rfind(" ", PIECE_MAX // 2, PIECE_MAX)
            cut = PIECE_MAX if cut < 0 else cut
            if piece:
                found.append(piece)
                piece = ""
            found.append(sentence[:cut])
            sentence = sentence[cut:].lstrip()
        if len(piece) + 1 + len(sentence) > PIECE_MAX:
            found.append(piece)
            piece = sentence
        else:
            piece = f"{piece} {sentence}" if piece else sentence
    if piece:
        found.append(piece)
    return found
