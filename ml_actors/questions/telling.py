"""What happened: questions about how what a text tells hangs together, of which the answer is a clause as it stands.

    When the king came, | the miller opened the door      ─▶ What happened when the king came?
    The king searched the house. | They found the key.    ─▶ What happened after the king searched the house?
    The lamp was so bright | that the bird woke           ─▶ What happened because the lamp was so bright?
    It had rained. | So the king stayed at home.          ─▶ Why did the king stay at home?
    There lived | a miller | near the forest              ─▶ Who lived near the forest?

The answer is not turned into other words, so it may say "he": nobody has to be told for it but those whom the question names.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ml_actors.questions import nouns
from ml_actors.questions.asking import Asked, Reader, Unclear, invert, join, rest_of, told_of
from ml_actors.questions.clauses import Clause, Part, after_adverbs, noun_phrase
from ml_actors.questions.referents import head_of, sex_of

WORDS_MIN, WORDS_MAX = 3, 24
"""Of an answer that is a clause or a sentence."""
WHEN: Final = frozenset({"when", "after", "as", "while", "before", "once", "as soon as"})
BECAUSE: Final = frozenset({"because", "since", "for"})


def tellings(reader: Reader) -> Iterator[Asked | None]:
    """All of a sentence; None for each that would be unclear."""
    for rule in (_before, _leads, _follows, _there, _felt):
        try:
            yield from rule(reader)
        except Unclear:
            yield None


def _before(reader: Reader) -> Iterator[Asked]:
    """What happened after what the sentence before tells; and why, where this one begins with "so"."""
    first = reader.clauses[0] if reader.clauses else None
    if reader.earlier:
        begin, end = 0, len(reader.tokens)
        if first is not None and end > WORDS_MAX:
            begin, end = first.begin, reader.run_end(first)
        if WORDS_MIN <= end - begin <= WORDS_MAX and not any(token.tag == "QUOTE" for token in reader.tokens[begin:end]):
            if first is None or first.subject is not None:
                yield Asked("after", join("what happened after", reader.earlier), *reader.span(begin, end))
    if first is not None and first.link == "so" and reader.before is not None:
        name, sex = reader.subject(first)
        aux, verbs = invert(reader, first)
        yield Asked("why so", join("why", aux, name, verbs, rest_of(reader, first, sex, ())), *reader.before)


def _leads(reader: Reader) -> Iterator[Asked | None]:
    """What happened when, or because of, what a clause opens with or ends with."""
    for clause in reader.clauses:
        lead = clause.lead
        try:
            if lead is not None and ((lead.kind == "when" and lead.word in WHEN) or (lead.kind == "reason" and lead.word in BECAUSE)):
                asked = reader.words(lead.begin, lead.end, "")
                if lead.kind == "reason":
                    asked = f"because {reader.words(lead.begin + 1, lead.end, '')}"
                yield Asked("happened", join("what happened", asked), *reader.span(clause.begin, reader.run_end(clause)))
            for part in clause.parts:
                whole = part.kind in ("reason", "when") and part.word in WHEN | BECAUSE and part.begin - clause.begin >= WORDS_MIN
                if whole and not clause.shared:
                    word = "because" if part.kind == "reason" else part.word
                    asked = f"{word} {reader.words(part.begin + 1, part.end, '')}"
                    yield Asked("happened", join("what happened", asked), *reader.span(clause.begin, part.begin))
        except Unclear:
            yield None


def _follows(reader: Reader) -> Iterator[Asked]:
    """ "so bright that …": what happened because of it; and how somebody felt who was so."""
    for clause in reader.clauses:
        for part in clause.parts:
            if part.word != "that" or part.kind not in ("if", "content"):
                continue
            at = next((i for i in range(part.begin - 1, clause.verb, -1) if reader.tokens[i].low in ("so", "such")), None)
            if at is None:
                continue
            name, sex = reader.subject(clause)
            said = " ".join(token.text for token in reader.tokens[slice(*clause.group)])
            asked = f"because {name} {said} {reader.words(clause.verb + 1, part.begin, sex)}"
            yield Asked("happened", join("what happened", asked), *reader.span(part.begin + 1, part.end))


def _there(reader: Reader) -> Iterator[Asked]:
    """ "There lived a miller near the forest"."""
    tokens = reader.tokens
    for i, token in enumerate(tokens[:-3]):
        verb_at = after_adverbs(tokens, i + 1 + (tokens[i + 1].low == "once"))
        if token.tag != "EX" or verb_at >= len(tokens) or tokens[verb_at].tag not in ("AUX", "VBD"):
            continue
        at = verb_at + 1
        while at < len(tokens) and tokens[at].tag == "RB":
            at += 1
        end = noun_phrase(tokens, at)
        if end == at or end >= len(tokens) or tokens[end].tag != "IN":
            continue
        last = noun_phrase(tokens, end + 1)
        head = head_of(tokens, end + 1, last)
        if last == end + 1 or head is None or head.low in nouns.TIMES:
            continue
        who = "who" if sex_of(tokens, at, end) else "what"
        verb = {"were": "was", "are": "is"}.get(tokens[verb_at].low, tokens[verb_at].text)
        yield Asked("there", join(who, verb, reader.words(end, last, "")), *reader.span(at, end))


def _felt_in(reader: Reader, clause: Clause) -> Iterator[Asked]:
    """How somebody felt who did something "with joy", "in a rage", or was "full of wonder"."""
    for place, part in enumerate(clause.parts):
        head = head_of(reader.tokens, part.begin, part.end)
        if part.kind != "prep" or head is None or head.low not in nouns.EMOTIONS or part.word not in ("with", "in", "into", "of"):
            continue
        name, sex = reader.subject(clause)
        if not sex:
            continue
        told = told_of(reader, Clause(*clause[:4], _without(clause.parts, place), *clause[5:]))
        if told:
            said = {"m": "he", "f": "she", "s": "they"}.get(sex, name)
            asked = told.removeprefix(name).strip()
            yield Asked("feel", join("how did", name, "feel when", said, asked), *reader.span(part.begin, part.end))


def _without(parts: tuple[Part, ...], place: int) -> tuple[Part, ...]:
    return parts[:place] + parts[place + 1 :]


def _felt(reader: Reader) -> Iterator[Asked | None]:
    for clause in reader.clauses:
        try:
            yield from _felt_in(reader, clause)
        except Unclear:
            yield None
