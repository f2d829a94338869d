"""The round trip: a small reader that is given the question and the text, and must come to the same answer.

    question ─ words, embeddings ─▶ the sentence that speaks of it ─ the word that asks ─▶ a piece of it ─▶ is it the answer?

It does not know how the question was made: it weighs all pieces of all sentences (phrases, what follows a verb or "because") by how well
their sentence speaks of the question, by whether they are of the kind that is asked for, and by how little of them the question already
says. It shares the tagger with what made the question, so an error of the tagger's can fool both; it is a filter, and no judge of sense.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple

import numpy as np

from ml_actors.embeddings import Embeddings
from ml_actors.questions import lexicon, nouns
from ml_actors.questions.clauses import QUOTE, SOMEWHERE, noun_phrase, with_others
from ml_actors.questions.gaps import GAP
from ml_actors.questions.reading import Reading, stem, stems_of
from ml_actors.questions.referents import sex_of
from ml_actors.questions.sentences import plain, words_of

FOUND: Final = 0.5
"""F1 of words between what was found and the answer, from which it counts as found."""
BEGINS: Final = 0.6
LOOSE: Final = frozenset({"PRP", "PRPO", "PRO", "EX"})
"""Pronouns: no answer by themselves, though a clause may begin with one."""
KNOWING: Final = frozenset("say think know believe hope tell feel see find discover wish answer declare suppose hear learn promise".split())
TELLING: Final = 3
"""Words that say something in a question which can be about one place of the text alone: of these, the reader may be wrong
by a piece, and its answer may be among its best `TRIES`. Of the others, "What did the king do?", only the best counts: what it cannot tell
there, a learner cannot, either."""
TRIES: Final = 3
LOOKED_AT: Final = 3
"""Sentences whose pieces are weighed."""
NEAR_WEIGHT: Final = 0.6
BESIDE: Final = 0.8
"""For a piece that stands just after words of the question: what was done after who did it, a thing after what was done with it."""
NEXT: Final = 0.4
"""More, if it is the word next before it."""
FOLLOWS: Final = 0.5
"""For a piece just before words of the question: who did it before what was done."""
CONDITION: Final = re.compile(r" (?:after|when|because|before|while|until|as soon as) ")
"""Opens what a question says of the circumstances: the word that asks, and what is asked for, stand before it."""
OPENS: Final = frozenset({"for", "by", "as", "after", "before", "since"})
BACK: Final = 5
ON: Final = 3
PIECES_MAX: Final = 240
"""Of one sentence. A sentence of 40 words has about 60; the time of an answer grows with them, and a text may be
written to have thousands."""


class Piece(NamedTuple):
    words: str
    kind: str
    """person, thing, place, time, reason, doing, quality, definition, quote, clause, number"""
    at: int
    """Its first token."""
    said: frozenset[str]
    """Stems of its words."""
    before: frozenset[str] = frozenset()
    """Stems of the words just before it: of something done, who did it."""
    after: frozenset[str] = frozenset()
    last: str = ""
    """The last of `before`."""


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
        scores = np.array([sum(self._reading.rarity(stem) for stem in asked & found) / total for found in self._reading.said])
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
        asked, all_asked = set(stems), set(stems)
        first, place = -1, -1
        if after and (where := self.sentences(stems_of([word.text for word in words_of(told)], tongue), vector)):
            first = where[0][0]
            place = self._last(first, set(stems_of([word.text for word in words_of(told)], tongue)))
            best, asked = self._following(first, main)
        weighed: dict[tuple[int, int], tuple[float, str]] = {}
        for number, score in best:
            later = 0
            for piece in self.pieces(number):
                if number == first and piece.at <= place:
                    continue
                known = len(piece.said & all_asked) / max(len(piece.said), 1)
                value = 2.0 * score + (1.2 if piece.kind in wanted else 0.0) - 1.6 * known + 0.02 * min(len(piece.said), 8)
                if piece.before & asked:
                    value += BESIDE + (NEXT if piece.last in asked else 0.0)
                elif piece.after & asked and piece.kind in ("person", "thing", "place"):
                    value += FOLLOWS
                if number == first and piece.kind in wanted:  # the next thing that the sentence itself tells
                    value += 0.5 if not later or later == piece.at else 0.0
                    later = later or piece.at
                if (number, piece.at) not in weighed or value > weighed[number, piece.at][0]:
                    weighed[number, piece.at] = value, piece.words
        tries = TRIES if len(all_asked) >= TELLING else 1
        best_pieces = sorted(weighed.values(), reverse=True)[:tries]
        return max((overlap(words, answer) for _, words in best_pieces), default=0.0)

    def _last(self, number: int, told: set[str]) -> int:
        """The token of a sentence by which it has said all of the words that it says; -1: it says none."""
        place, left = -1, set(told)
        for i, token in enumerate(self._reading.tokens[number]):
            root = stem(token.text, self._reading.tongue)
            if root in left:
                left.discard(root)
                place = i
        return place

    def _following(self, first: int, main: str) -> tuple[list[tuple[int, float]], set[str]]:
        """Where to look for what came after what a sentence tells: there and in the two after it, the next one first."""
        asked = set(stems_of([word.text for word in words_of(main)], self._reading.tongue))
        total = sum(self._reading.rarity(stem) for stem in asked) or 1.0
        found = []
        for number in range(first, min(first + LOOKED_AT, len(self._reading.sentences))):
            speaks = sum(self._reading.rarity(stem) for stem in asked & self._reading.said[number]) / total
            found.append((number, 0.5 * speaks + (0.4 if number == first + 1 else 0.2 if number == first else 0.0)))
        return found, asked

    def pieces(self, number: int) -> list[Piece]:
        if number not in self._pieces:
            self._pieces[number] = list(islice(self._cut(number), PIECES_MAX))
        return self._pieces[number]

    def _cut(self, number: int) -> Iterator[Piece]:
        tokens = self._reading.tokens[number]
        if not tokens:
            return
        text, tongue = self._reading.text, self._reading.tongue
        roots = [stem(t.text, tongue) if t.tag != "QUOTE" and t.text[0].isalnum() and t.low not in tongue.stop else "" for t in tokens]

        def piece(begin: int, end: int, kind: str) -> Piece:
            words = plain(text[tokens[begin].begin : tokens[end - 1].end])
            said, before, after = (
                frozenset(filter(None, some)) for some in (roots[begin:end], roots[max(begin - BACK, 0) : begin], roots[end : end + ON])
            )
            last = next((root for root in reversed(roots[max(begin - BACK, 0) : begin]) if root), "")
            return Piece(words, kind, begin, said, before, after, last)

        marks = [i for i, token in enumerate(tokens) if token.tag in (".", ",")]
        full = [i for i in marks if tokens[i].tag == "."] + [len(tokens)]
        stops = [*marks, len(tokens)]
        yield from self._reasons(number, roots, piece)
        whole = plain(QUOTE.sub(" ", self._reading.sentences[number].text))
        if whole:
            yield Piece(whole, "clause", 0, frozenset(filter(None, roots)))
        at = 0
        for i, token in enumerate(tokens):
            while stops[at] < i:
                at += 1
            stop = stops[at]
            later = stops[at + 1] if at + 1 < len(stops) else 0
            last = next(s for s in full if s >= i)
            end = noun_phrase(tokens, i)
            if end > i and tokens[end - 1].tag in LOOSE:
                if stop > i + 1 and token.low not in ("who", "whom") and (i == 0 or tokens[i - 1].tag in (".", ",", "CC", "RB")):
                    yield piece(i, stop, "clause")
                    if last > stop:
                        yield piece(i, last, "clause")
            elif end > i:
                head = tokens[end - 1].low
                kind = (
                    "person" if sex_of(tokens, i, end) else "place" if head in nouns.PLACES else "time" if head in nouns.TIMES else "thing"
                )
                yield piece(i, end, kind)
                both = with_others(tokens, i, subject=False)
                if both > end:
                    yield piece(i, both, kind)
                if i and tokens[i - 1].low in ("is", "are", "was", "were", "called", "been", "became") and stop > end:
                    yield piece(i, stop, "definition")
                if stop > i + 1 and (i == 0 or tokens[i - 1].tag in (".", ",", "CC", "RB")):
                    yield piece(i, stop, "clause")
                    if last > stop:
                        yield piece(i, last, "clause")
            if token.tag in ("IN", "TO") and (end := noun_phrase(tokens, i + 1)) > i + 1:
                head = tokens[end - 1].low
                near = head in nouns.PLACES or (token.low in SOMEWHERE and head not in nouns.ABSTRACT)
                felt = head in nouns.EMOTIONS
                yield piece(i, end, "feeling" if felt else "place" if near else "time" if head in nouns.TIMES else "how")
            if token.low in nouns.FEELINGS:
                yield piece(i, i + 1, "feeling")
            if token.low in ("that", "how", "what", "whether", "if", "where") and token.tag in ("SUB", "WDT") and stop > i + 1:
                for begin in (i, i + 1):
                    yield piece(begin, stop, "said")
                    yield piece(begin, last, "said")
            elif i and lexicon.base(tokens[i - 1].low) in KNOWING and token.tag in ("PRP", "DT", "NNP", "PRP$") and stop > i + 2:
                yield piece(i, stop, "said")
            if token.tag in ("VBD", "VB", "VBZ", "VBN", "VBG", "JJ", "AUX") and stop > i:
                kind = "quality" if token.tag == "JJ" else "doing"
                yield piece(i, stop, kind)
                for further in {later, last} - {0, stop}:
                    yield piece(i, further, "doing")
                if token.tag == "JJ":
                    yield piece(i, i + 1, "quality")
            opens = token.tag in ("SUB", "TO", "WDT") or (token.tag == "IN" and token.low in OPENS)
            if opens and stop > i + 1:
                kind = "time" if token.low in ("when", "after", "before", "until", "till", "while") else "reason"
                yield piece(i, stop, kind)
                if later:
                    yield piece(i, later, kind)
            if token.tag == "CD":
                yield piece(i, i + 1, "number")
            if token.tag == "QUOTE":
                said = plain(text[token.begin + 1 : token.end - 1])
                yield Piece(said, "quote", i, frozenset(), frozenset(filter(None, roots[i + 1 : i + 1 + BACK])) | _near(roots, i))

    def _reasons(self, number: int, roots: Sequence[str], piece: Callable[[int, int, str], Piece]) -> Iterator[Piece]:
        """What stands before "so": in the sentence, or the sentence before it."""
        tokens = self._reading.tokens[number]
        at = next((i for i, token in enumerate(tokens) if token.low in SO and (i == 0 or tokens[i - 1].tag in (",", ".", "CC"))), -1)
        if at < 0:
            return
        then = frozenset(filter(None, roots[at : at + 2 * BACK]))
        if any(roots[:at]):
            for begin in {0, *(i + 1 for i in range(at - 2) if tokens[i].tag in (",", "."))}:
                yield piece(begin, at, "reason")._replace(before=then)
        elif number:
            sentence = self._reading.sentences[number - 1]
            ends = [token.end for token in self._reading.tokens[number - 1] if token.tag in (",", ".")]
            for begin in [sentence.begin, *ends]:
                words = plain(self._reading.text[begin : sentence.end]).strip(" .,")
                if words:
                    yield Piece(words, "reason", -1, self._reading.said[number - 1], then)


SO: Final = frozenset({"so", "therefore", "thus", "hence"})


def _near(roots: Sequence[str], at: int) -> frozenset[str]:
    """Who says something stands before it or after it."""
    return frozenset(filter(None, roots[max(at - BACK, 0) : at]))


def asked_for(prompt: str) -> frozenset[str]:
    """Which kinds of piece a question wants, by the words that ask."""
    low = CONDITION.split(prompt.lower().rstrip("?"))[0] + "?"
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
        return frozenset({"feeling"} if " feel" in low else {"quality", "how", "reason"})
    if low.startswith("what happened"):
        return frozenset({"doing"} if low.startswith("what happened to ") else {"clause"})
    if " look like" in low or low.endswith(" like?"):
        return frozenset({"quality"})
    if " do " in low[5:] or low.endswith((" do?", " doing?")):
        return frozenset({"reason" if low.endswith("to do?") else "doing"})
    if low.endswith((" say?", " ask?", " answer?", " reply?", " shout?", " think?")):
        return frozenset({"quote", "said"})
    if (
        low.startswith(("what is ", "what are ", "what was ", "what were ", "what does ", "what do ", "what did "))
        and len(low.split()) <= 4
    ):
        return frozenset({"definition", "thing"})
    return frozenset({"thing", "place", "person", "said"})


def overlap(found: str, answer: str) -> float:
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
