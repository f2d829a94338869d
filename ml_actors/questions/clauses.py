"""Clauses of an English sentence: who does what, to whom, where, when, why.

    As he was eating, the lad climbed the tree because …
    ╰── lead: when ─╯ ╰subject╯ verb  ╰object╯ ╰ reason …

A shallow reading by tags: one verb group after one noun phrase, and what follows in parts up to where the next clause begins. A sentence,
or the rest of one, whose shape is not among those known here yields nothing, which is the point: half-read clauses make bad questions.

Invariant: parts lie in the order of the text and never overlap.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from ml_actors.questions import lexicon, nouns
from ml_actors.questions.sentences import Sentence, Word, words_of
from ml_actors.questions.tagging import tag

QUOTE: Final = re.compile(r""""[^"]*"?|“[^”]*”?|«[^»]*»?|(?<![\w'’])['‘](?=[A-Z])(?:[^'’]|['’](?=\w))*[,.!?;:—-]['’](?!\w)""")
"""With single quotes only where a sign stands before the one that closes."""
FINITE: Final = frozenset({"VBD", "VBZ", "AUX", "MD"})
VERBAL: Final = frozenset({"VBD", "VBZ", "VB", "VBN", "VBG", "AUX", "MD"})
NOUNY: Final = frozenset({"NN", "NNS", "NNP"})
ASIDE_MAX: Final = 9
"""Tokens between two commas that are passed over between a subject and its verb."""
LEAD_MAX: Final = 60
"""Tokens before a clause, as in "When he came home," that are looked through for the comma after them."""
WHEN: Final = frozenset({"when", "whenever", "while", "as", "after", "before", "until", "till", "once"})
SOMEWHERE: Final = frozenset("into onto under behind beside inside near beneath towards toward across".split())
"""Words that open a phrase which says where, whatever stands in it."""
WHY: Final = frozenset({"because", "since", "for", "lest"})


class Token(NamedTuple):
    text: str
    tag: str
    begin: int
    end: int

    @property
    def low(self) -> str:
        return self.text.lower()


class Part(NamedTuple):
    """`kind`: object, complement, prep, infinitive, purpose, content, reason, when, if, adverb, ing, quote; of what stands before a clause
    also time ("one day"); rest is what could not be told apart, up to the clause's end. `word`: what opens it."""

    kind: str
    begin: int
    end: int
    word: str = ""


class Clause(NamedTuple):
    """Places are of the sentence's tokens."""

    subject: tuple[int, int] | None
    shared: bool
    """Whether the subject is that of the clause before."""
    group: tuple[int, int]
    """The verbs with the small words between them."""
    verb: int
    parts: tuple[Part, ...]
    lead: Part | None
    link: str
    """What joins it to the clause before: "and", "but", "so", ""."""
    begin: int
    end: int


def tokens_of(sentence: Sentence) -> list[Token]:
    """Words with their tags; each quotation is one token."""
    pieces: list[Word] = []
    at = 0
    for match in QUOTE.finditer(sentence.text):
        pieces += words_of(sentence.text[at : match.start()], sentence.begin + at)
        if len(match.group()) > 2:
            pieces.append(Word("«»", sentence.begin + match.start(), sentence.begin + match.end()))
        at = match.end()
    pieces += words_of(sentence.text[at:], sentence.begin + at)
    tags = tag([piece.text for piece in pieces])
    return [Token(piece.text, kind, piece.begin, piece.end) for piece, kind in zip(pieces, tags, strict=True)]


def noun_phrase(tokens: Sequence[Token], at: int) -> int:
    """Where a noun phrase that begins at `at` ends; `at` itself if there is none. With what "of" adds, without other phrases."""
    end = _bare_phrase(tokens, at)
    while end > at and end < len(tokens) and tokens[end].low == "of" and tokens[at].tag != "PRP":
        more = _bare_phrase(tokens, end + 1)
        if more == end + 1:
            break
        end = more
    return end


def _bare_phrase(tokens: Sequence[Token], at: int) -> int:
    size = len(tokens)
    i = at
    if i < size and tokens[i].tag in ("PRP", "PRPO", "EX"):
        return i + 1
    while i < size and tokens[i].tag in ("DT", "PRP$", "PRO", "CD"):
        i += 1
    last = i
    opened = i > at
    found = False
    while i < size:
        kind = tokens[i].tag
        if kind in NOUNY:
            found, last = True, i + 1
        elif kind == "POS" and found:
            found = False
        elif (
            kind in ("JJ", "CD")
            or (kind in ("VBN", "VBG") and opened and not found)
            or (kind == "RB" and i + 1 < size and tokens[i + 1].tag == "JJ")
        ):
            if found and kind != "CD":
                break
        elif kind == "," and not found and i + 1 < size and tokens[i + 1].tag == "JJ" and i > at and tokens[i - 1].tag == "JJ":
            pass  # "a fine, large house"
        else:
            break
        i += 1
    if not found and at < size and tokens[at].tag == "PRO" and last == at + 1:
        return at + 1
    return last if found or (last > at and last < size and tokens[last - 1].tag in NOUNY) else at


def with_others(tokens: Sequence[Token], at: int, subject: bool) -> int:
    """A noun phrase with those that "and" joins to it. As a subject only where a verb follows; else only where none does."""
    end = noun_phrase(tokens, at)
    while end > at and end < len(tokens) and tokens[end].low == "and":
        more = noun_phrase(tokens, end + 1)
        if more == end + 1 or tokens[end + 1].tag == "PRP":
            break
        then = after_adverbs(tokens, more)
        verbal = then < len(tokens) and tokens[then].tag in (*FINITE, "VB")
        if verbal != subject:
            break
        end = more
    return end


def after_adverbs(tokens: Sequence[Token], at: int) -> int:
    while at < len(tokens) and tokens[at].tag == "RB":
        at += 1
    return at


def _starts_clause(tokens: Sequence[Token], at: int) -> bool:
    """Whether a noun phrase and then a verb that is bound to it begin at `at`."""
    at = after_adverbs(tokens, at)
    end = with_others(tokens, at, subject=True)
    if end == at:
        return False
    then = after_adverbs(tokens, end)
    return then < len(tokens) and (tokens[then].tag in FINITE or (tokens[then].tag == "VB" and _many(tokens, at, end)))


def _many(tokens: Sequence[Token], begin: int, end: int) -> bool:
    return tokens[end - 1].tag == "NNS" or tokens[begin].low in ("they", "we", "you", "i") or any(t.low == "and" for t in tokens[begin:end])


def _boundary(tokens: Sequence[Token], at: int, finite: str) -> bool:
    """Whether the clause before ends at `at`. `finite`: the tag of its own first verb."""
    token = tokens[at]
    if token.tag == ".":
        return True
    if token.tag == ",":
        nxt = at + 1
        if nxt < len(tokens) and tokens[nxt].tag == "CC":
            nxt += 1
            then = after_adverbs(tokens, nxt)
            return then < len(tokens) and (tokens[then].tag in FINITE or _starts_clause(tokens, nxt) or tokens[then].tag == "SUB")
        return nxt < len(tokens) and (
            _starts_clause(tokens, nxt) or tokens[nxt].tag in ("WDT",) or tokens[nxt].low in ("who", "whose", "whom")
        )
    if token.tag == "CC":
        then = after_adverbs(tokens, at + 1)
        if then < len(tokens) and (tokens[then].tag == finite or tokens[then].tag in ("VBD", "VBZ")) and tokens[then].tag in FINITE:
            return True
        return _starts_clause(tokens, at + 1) or (then < len(tokens) and tokens[then].tag == "SUB")
    return False


def clauses(tokens: Sequence[Token]) -> list[Clause]:
    """The main clauses of a sentence that could be read, in their order."""
    found: list[Clause] = []
    at = 0
    link = ""
    lead: Part | None = None
    before: tuple[int, int] | None = None
    while at < len(tokens):
        token = tokens[at]
        if token.tag in (".", ",", "UH"):
            if token.tag == ".":
                lead, link = None, ""
            at += 1
        elif token.tag == "CC" or (token.low in ("so", "then", "therefore", "thus") and token.tag in ("CC", "RB")):
            link = "so" if token.low in ("so", "therefore", "thus") else (link or token.low)
            at += 1
        elif token.tag == "RB":
            at += 1
        elif token.low == "as" and [one.low for one in tokens[at + 1 : at + 3]] == ["soon", "as"] and (end := _lead_end(tokens, at + 2)):
            lead = Part("when", at, end, "as soon as")
            at = end + 1
        elif token.tag == "VBG" and lead is None and (end := _lead_end(tokens, at)):
            lead = Part("ing", at, end, token.low)
            at = end + 1
        elif (end := _time(tokens, at)) > at:
            lead = lead or Part("time", at, end, token.low)
            at = end
        elif token.tag == "SUB" or (token.tag == "IN" and token.low in WHEN and _starts_clause(tokens, at + 1)):
            end = _lead_end(tokens, at)
            if end is None and token.low == "once":
                at += 1
                continue
            if end is None:
                at, lead, before = _skip(tokens, at), None, None
                continue
            lead = Part("when" if token.low in WHEN else ("reason" if token.low in WHY else "if"), at, end, token.low)
            at = end + 1
        elif token.tag in ("IN", "TO"):
            end = noun_phrase(tokens, at + 1)
            if end == at + 1 or not (end < len(tokens) and (tokens[end].tag == "," or _starts_clause(tokens, end))):
                at, lead, before = _skip(tokens, at), None, None
                continue
            lead = lead or Part("prep", at, end, token.low)
            at = end
        else:
            clause = _clause(tokens, at, link, lead, before)
            lead, link = None, ""
            if clause is None:
                at, before = _skip(tokens, at), None
            else:
                found.append(clause)
                before = clause.subject
                at = clause.end
    return found


def _time(tokens: Sequence[Token], at: int) -> int:
    """Where "one day" or "the next morning," before a clause ends; `at` where none is."""
    end = noun_phrase(tokens, at)
    if end <= at or end >= len(tokens) or tokens[end - 1].low not in nouns.TIMES or tokens[at].tag in ("PRP", "NNP"):
        return at
    return end if _starts_clause(tokens, end + (tokens[end].text == ",")) else at


def _skip(tokens: Sequence[Token], at: int) -> int:
    """Past what cannot be read: to the next sign, at which a new clause may begin."""
    at += 1
    while at < len(tokens) and not (tokens[at].tag == "." or (tokens[at].tag in (",", "CC") and _starts_clause(tokens, at + 1))):
        at += 1
    return at


def _lead_end(tokens: Sequence[Token], at: int) -> int | None:
    """Of "When he came home," the comma's place, if what follows is a clause."""
    for i in range(at + 1, min(len(tokens), at + LEAD_MAX)):
        if tokens[i].tag == ".":
            return None
        if tokens[i].tag == "," and _starts_clause(tokens, i + 1):
            return i
    return None


def _clause(tokens: Sequence[Token], at: int, link: str, lead: Part | None, before: tuple[int, int] | None) -> Clause | None:
    shared = tokens[at].tag in FINITE
    if shared:
        if before is None or not link:
            return None
        subject, i = before, at
    else:
        end = with_others(tokens, at, subject=True)
        if end == at:
            return None
        subject, i = (at, end), _past_aside(tokens, end)
    begin = at
    group = i
    verb = -1
    while i < len(tokens) and (tokens[i].tag in VERBAL or tokens[i].tag == "RB" or tokens[i].low in ("not", "n't")):
        if tokens[i].tag in VERBAL:
            if verb >= 0 and tokens[verb].tag not in ("AUX", "MD"):
                break
            if verb >= 0 and tokens[verb].tag == "AUX" and tokens[i].tag in ("VBD", "VBZ"):
                return None
            verb = i
        i += 1
    if verb < 0 or tokens[after_adverbs(tokens, group)].tag in ("VBN", "VBG"):
        return None
    if lexicon.base(tokens[verb].low) == "do" and any(tokens[i].low in ("not", "n't") for i in range(group, verb + 2) if i < len(tokens)):
        return None  # "did not" and then a verb that was not seen as one
    first = tokens[after_adverbs(tokens, group)].tag
    if first == "VB" and not _many(tokens, *subject):
        return None
    i = verb + 1
    parts: list[Part] = []
    while i < len(tokens) and not _boundary(tokens, i, first):
        part = _part(tokens, i, first, lexicon.base(tokens[verb].text), parts)
        if part is None:
            if tokens[i].tag in (",",):
                i += 1
                continue
            part = Part("rest", i, _until(tokens, i + 1, first), tokens[i].low)
        parts.append(part)
        i = part.end
    if i < len(tokens) and (
        tokens[i].tag == "WDT" or (tokens[i].tag == "," and i + 1 < len(tokens) and tokens[i + 1].low in ("who", "which", "whose", "whom"))
    ):
        i = _skip(tokens, i + 1)
    return Clause(subject, shared, (group, verb + 1), verb, tuple(parts), lead, link, begin, max(i, verb + 1))


def _past_aside(tokens: Sequence[Token], at: int) -> int:
    """Past what stands between a subject and its verb between commas: "the man, full of wonder, dropped"."""
    if at >= len(tokens) or tokens[at].text != ",":
        return at
    for i in range(at + 1, min(at + ASIDE_MAX, len(tokens))):
        if tokens[i].tag in ("VBD", "VBZ", "MD", "AUX", "CC", "QUOTE", "."):
            return at
        if tokens[i].text == ",":
            then = after_adverbs(tokens, i + 1)
            return i + 1 if then < len(tokens) and tokens[then].tag in FINITE else at
    return at


def _part(tokens: Sequence[Token], at: int, finite: str, verb: str, parts: Sequence[Part]) -> Part | None:
    token = tokens[at]
    if token.low == "in" and [t.low for t in tokens[at : at + 3]] == ["in", "order", "to"]:
        return Part("purpose", at, _until(tokens, at + 1, finite), "in order to")
    if token.low == "so" and at + 1 < len(tokens) and tokens[at + 1].low == "that":
        return Part("purpose", at, _until(tokens, at + 2, finite), "so that")
    if token.tag == "TO" and at + 1 < len(tokens) and tokens[at + 1].tag in ("VB", "AUX"):
        return Part("infinitive", at, _until(tokens, at + 1, finite), "to")
    clause_follows = _starts_clause(tokens, at + 1)
    if token.tag in ("SUB", "IN") and token.low in WHY and clause_follows:
        return Part("reason", at, _until(tokens, at + 1, finite), token.low)
    if token.tag in ("SUB", "IN") and token.low in WHEN and clause_follows:
        return Part("when", at, _until(tokens, at + 1, finite), token.low)
    if token.tag in ("SUB", "WDT") or token.low in ("who", "whom", "whose"):
        kind = "content" if not parts and token.low in ("that", "what", "how", "where", "why", "who", "whether", "if") else "if"
        return Part(kind, at, _until(tokens, at + 1, finite), token.low)
    if (
        not parts
        and clause_follows is False
        and _starts_clause(tokens, at)
        and verb in ("say", "think", "know", "believe", "hope", "wish", "find", "see")
    ):
        return Part("content", at, _until(tokens, at + 1, finite), "")
    if token.tag in ("IN", "TO"):
        if at + 1 < len(tokens) and tokens[at + 1].tag == "VBG":
            return Part("ing", at, _until(tokens, at + 2, finite), token.low)
        end = with_others(tokens, at + 1, subject=False)
        if end == at + 1:
            return Part("adverb", at, at + 1, token.low) if token.tag == "IN" else None
        return Part("prep", at, end, token.low)
    if token.tag == "QUOTE":
        return Part("quote", at, at + 1)
    if token.tag in ("RB",):
        return Part("adverb", at, at + 1, token.low)
    end = with_others(tokens, at, subject=False)
    if end > at and token.tag not in ("JJ",):
        return Part("object", at, end, token.low)
    if end > at and end > at + 1 and tokens[end - 1].tag in NOUNY:
        return Part("object", at, end, token.low)
    if token.tag in ("JJ", "VBN"):
        end = at + 1
        while end < len(tokens) and (
            tokens[end].tag in ("JJ", "VBN")
            or (tokens[end].low == "and" and end + 1 < len(tokens) and tokens[end + 1].tag in ("JJ", "VBN"))
        ):
            end += 1
        return Part("complement", at, end, token.low)
    if token.tag == "VBG":
        return Part("ing", at, _until(tokens, at + 1, finite), token.low)
    if token.tag == "CC":
        return Part("adverb", at, at + 1, token.low) if at + 1 < len(tokens) and tokens[at + 1].tag not in VERBAL else None
    return None


def _until(tokens: Sequence[Token], at: int, finite: str) -> int:
    """To where the clause ends. Inside a part that is itself a clause, "and" with a verb is taken as its own."""
    while at < len(tokens) and tokens[at].tag != "." and not (tokens[at].tag == "," and _boundary(tokens, at, finite)):
        at += 1
    return at
