"""What somebody said: questions from the words around a quotation.

    "You must come," said the king. ─▶ What did the king say?  Who said “You must come”?

Of a long quotation its first sentence is the answer: whoever answers need not recite.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ml_actors.questions import lexicon
from ml_actors.questions.asking import SAYING, Asked, Reader, Unclear, after_told, join
from ml_actors.questions.clauses import NOUNY, Clause

SAID_WORDS_MAX: Final = 24
PHRASE: Final = frozenset({"DT", "PRP$", "JJ", "POS", "PRP", *NOUNY})
STOP: Final = re.compile(r"[.!?]+[\"'”’]*\s")
LOOKED_BACK: Final = 8
"""Tokens before a quotation among which the verb of saying is looked for: `The king said to her: "…"`."""


def said(reader: Reader) -> Iterator[Asked | None]:
    """None for each that would be unclear."""
    tokens = reader.tokens
    for i, token in enumerate(tokens):
        if token.tag != "QUOTE":
            continue
        place = _speaker(reader, i)
        if place is None:
            continue
        begin, end = _first_sentence(reader.text, token.begin + 1, token.end - 1)
        speaker, verb = place
        try:
            name, sex = reader.subject(Clause(speaker, False, (0, 0), 0, (), None, "", 0, 0))
        except Unclear:
            yield None
            continue
        base = lexicon.base(verb)
        asks = join("what did", name, base if base in ("ask", "answer", "reply", "shout", "think") else "say")
        yield Asked("speech", asks, begin, end)
        if reader.earlier:
            yield Asked("speech", join(asks.rstrip("?"), after_told(name, sex, reader.earlier)), begin, end)
        quoted = " ".join(reader.text[begin:end].split())
        if 3 <= len(quoted.split()) <= 12 and tokens[speaker[0]].tag != "PRP":
            yield Asked("speaker", f"Who said “{quoted}”?", *reader.span(*speaker))


def _speaker(reader: Reader, at: int) -> tuple[tuple[int, int], str] | None:
    """Who says a quotation, as tokens, and the verb: after it, `"…," said the youth`, or before it, `The king said to her: "…"`."""
    tokens = reader.tokens
    if at + 2 < len(tokens) and lexicon.base(tokens[at + 1].low) in SAYING and tokens[at + 1].tag in ("VBD", "VBZ", "NN"):
        stop = at + 2
        while stop < len(tokens) and tokens[stop].tag in PHRASE:
            stop += 1
        return ((at + 2, stop), tokens[at + 1].low) if stop > at + 2 else None
    if at + 2 < len(tokens) and tokens[at + 1].tag in ("PRP", "NNP", "DT"):  # "…," she said
        stop = at + 1
        while stop < len(tokens) and tokens[stop].tag in PHRASE:
            stop += 1
        if stop < len(tokens) and tokens[stop].tag == "VBD" and lexicon.base(tokens[stop].low) in SAYING:
            return (at + 1, stop), tokens[stop].low
    back = at - 1
    while back > 0 and tokens[back].tag != "VBD" and at - back < LOOKED_BACK:
        back -= 1
    if back <= 0 or tokens[back].tag != "VBD" or lexicon.base(tokens[back].low) not in SAYING:
        return None
    start = back
    while start > 0 and tokens[start - 1].tag in PHRASE:
        start -= 1
    return ((start, back), tokens[back].low) if start < back else None


def _first_sentence(text: str, begin: int, end: int) -> tuple[int, int]:
    """The place of as many of a quotation's sentences as are not too long, without the signs at their end."""
    stop = end
    if len(text[begin:end].split()) > SAID_WORDS_MAX:
        for match in STOP.finditer(text, begin, end):
            if len(text[begin : match.end()].split()) >= 3:
                stop = match.end()
                break
    while stop > begin and text[stop - 1] in ",.;:!?\"”»' \n":
        stop -= 1
    return begin, stop
