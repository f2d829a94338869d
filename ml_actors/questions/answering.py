"""The round trip: a small reader that is given the question and the text, and must come to the same answer.

    question ─ words, embeddings ─▶ the sentence that speaks of it ─ the word that asks ─▶ a piece of it ─▶ is it the answer?

It does not know how the question was made: it weighs all pieces of all sentences (phrases, what follows a verb or "because") by how well
their sentence speaks of the question, by whether they are of the kind that is asked for, and by how little of them the question already
says. It shares the tagger with what made the question, so an error of the tagger's can fool both; it is a filter, and no judge of sense.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from ml_actors.embeddings import Embeddings
from ml_actors.questions import nouns
from ml_actors.questions.clauses import QUOTE, noun_phrase
from ml_actors.questions.gaps import GAP
from ml_actors.questions.reading import Reading, stems_of
from ml_actors.questions.referents import sex_of
from ml_actors.questions.sentences import plain, words_of

FOUND: Final = 0.5
"""F1 of words between what was found and the answer, from which it counts as found."""
BEGINS: Final = 0.6
LOOKED_AT: Final = 3
"""Sentences whose pieces are weighed."""
NEAR_WEIGHT: Final = 0.6
DOER: Final = 0.8
"""For something done, if who is asked about stands just before it."""
DOER_BACK: Final = 5


class Piece(NamedTuple):
    words: str
    kind: str
    """person, thing, place, time, reason, doing, quality, definition, quote, clause, number"""
    before: frozenset[str] = frozenset()
    """Stems of the words just before it: of something done, who did it."""


class Answerer:
    def __init__(self, reading: Reading, vectors: Embeddings) -> None:
        """`vectors`: of the text's sentences."""
        self._reading = reading
        self._vectors = vectors
        self._pieces: dict[int, list[Piece]] = {}

    def sentences(self, stems: Sequence[str], vector: Embeddings) -> list[tuple[int, float]]:
        """The best sentences for a question, best first, each with its score."""
        asked = set(stems)
        total = sum(self._reading.rarity(stem) for stem in asked) or 1.0
        scores = np.array([sum(self._reading.rarity(stem) for stem in asked & set(found)) / total for found in self._reading.stems])
        scores = scores + NEAR_WEIGHT * (self._vectors @ vector)
        order = np.argsort(-scores)[:LOOKED_AT]
        return [(int(i), float(scores[i])) for i in order]

    def found(self, prompt: str, answer: str, sentence: int, vector: Embeddings) -> float:
        """How much of the answer was found again, 0 to 1."""
        tongue = self._reading.tongue
        stems = stems_of([word.text for word in words_of(prompt)], tongue)
        best = self.sentences(stems, vector)
        if not self._reading.english or GAP in prompt:
            return 1.0 if best and best[0][0] == sentence else 0.0
        wanted = asked_for(prompt)
        main, after, told = prompt.partition(" after ")
        asked = set(stems)
        if after and (first := self.sentences(stems_of([word.text for word in words_of(told)], tongue), vector)):
            best, asked = self._following(first[0][0], main)
        chosen, top = "", -1e9
        for number, score in best:
            for piece in self.pieces(number):
                said = set(stems_of([word.text for word in words_of(piece.words)], tongue))
                known = len(said & set(stems)) / max(len(said), 1)
                value = 2.0 * score + (1.2 if piece.kind in wanted else 0.0) - 1.6 * known + 0.02 * min(len(said), 8)
                if piece.kind == "doing" and piece.before & asked:
                    value += DOER
                if value > top:
                    chosen, top = piece.words, value
        return overlap(chosen, answer, self._reading)

    def _following(self, first: int, main: str) -> tuple[list[tuple[int, float]], set[str]]:
        """Where to look for what came after what a sentence tells: there and in the two after it, the next one first."""
        asked = set(stems_of([word.text for word in words_of(main)], self._reading.tongue))
        total = sum(self._reading.rarity(stem) for stem in asked) or 1.0
        found = []
        for number in range(first, min(first + LOOKED_AT, len(self._reading.sentences))):
            speaks = sum(self._reading.rarity(stem) for stem in asked & set(self._reading.stems[number])) / total
            found.append((number, 0.5 * speaks + (0.4 if number == first + 1 else 0.2 if number == first else 0.0)))
        return found, asked

    def pieces(self, number: int) -> list[Piece]:
        if number not in self._pieces:
            self._pieces[number] = list(self._cut(number))
        return self._pieces[number]

    def _cut(self, number: int) -> list[Piece]:
        tokens = self._reading.tokens[number]
        text = self._reading.text
        found = []

        def words(begin: int, end: int) -> str:
            return plain(text[tokens[begin].begin : tokens[end - 1].end])

        roots = [frozenset(stems_of([token.text], self._reading.tongue)) if token.tag != "QUOTE" else frozenset() for token in tokens]
        stops = [i for i, token in enumerate(tokens) if token.tag in (".", ",")] + [len(tokens)]
        for i, token in enumerate(tokens):
            stop = next(s for s in stops if s >= i)
            end = noun_phrase(tokens, i)
            if end > i:
                head = tokens[end - 1].low
                kind = (
                    "person" if sex_of(tokens, i, end) else "place" if head in nouns.PLACES else "time" if head in nouns.TIMES else "thing"
                )
                found.append(Piece(words(i, end), kind))
                if i and tokens[i - 1].low in ("is", "are", "was", "were", "called") and stop > end:
                    found.append(Piece(words(i, stop), "definition"))
            if token.tag in ("IN", "TO") and (end := noun_phrase(tokens, i + 1)) > i + 1:
                head = tokens[end - 1].low
                found.append(Piece(words(i, end), "place" if head in nouns.PLACES else "time" if head in nouns.TIMES else "how"))
            if token.tag in ("VBD", "VB", "VBZ", "VBN", "VBG", "JJ") and stop > i:
                before = frozenset().union(*roots[max(i - DOER_BACK, 0) : i])
                found.append(Piece(words(i, stop), "doing" if token.tag != "JJ" else "quality", before))
                if stop < len(tokens) and (later := next((s for s in stops if s > stop), None)):
                    found.append(Piece(words(i, later), "doing", before))
                if token.tag == "JJ":
                    found.append(Piece(token.text, "quality"))
            opens = token.tag in ("SUB", "TO", "WDT") or (token.tag == "IN" and token.low in ("for", "by", "as", "after", "before"))
            if opens and stop > i + 1:
                kind = "time" if token.low in ("when", "after", "before", "until", "till", "while") else "reason"
                found.append(Piece(words(i, stop), kind))
                later = next((s for s in stops if s > stop), None)
                if later is not None:
                    found.append(Piece(words(i, later), kind))
            if token.tag == "CD":
                found.append(Piece(token.text, "number"))
            if token.tag == "QUOTE":
                found.append(Piece(plain(text[token.begin + 1 : token.end - 1]), "quote"))
        whole = plain(QUOTE.sub(" ", self._reading.sentences[number].text))
        if whole:
            found.append(Piece(whole, "clause"))
        return found


def asked_for(prompt: str) -> frozenset[str]:
    """Which kinds of piece a question wants, by the words that ask."""
    low = prompt.lower()
    if low.startswith(("who", "whom")):
        return frozenset({"person"})
    if low.startswith("where"):
        return frozenset({"place"})
    if low.startswith(("when", "until when")):
        return frozenset({"time"})
    if low.startswith("why"):
        return frozenset({"reason"})
    if low.startswith("how many"):
        return frozenset({"number"})
    if low.startswith("how"):
        return frozenset({"quality", "how", "reason"})
    if low.startswith("what happened"):
        return frozenset({"clause", "doing"})
    if " look like" in low:
        return frozenset({"quality"})
    if " do " in low[5:] or low.endswith((" do?", " doing?")):
        return frozenset({"reason" if low.endswith("to do?") else "doing"})
    if low.endswith((" say?", " ask?", " answer?", " reply?", " shout?", " think?")):
        return frozenset({"quote"})
    if (
        low.startswith(("what is ", "what are ", "what was ", "what were ", "what does ", "what do ", "what did "))
        and len(low.split()) <= 4
    ):
        return frozenset({"definition", "thing"})
    return frozenset({"thing", "place", "person"})


def overlap(found: str, answer: str, reading: Reading) -> float:
    """F1 over the words of both; `BEGINS` at least where one begins with all of the other: then both are the same place of the text,
    cut off sooner or later."""
    first = [word.low for word in words_of(found) if word.wordy]
    second = [word.low for word in words_of(answer) if word.wordy]
    both = sum(min(first.count(word), second.count(word)) for word in set(first))
    if not both:
        return 0.0
    shorter = min(len(first), len(second))
    same = first[:shorter] == second[:shorter] and shorter > 1
    return max(2 * both / (len(first) + len(second)), BEGINS if same else 0.0)
