"""Wrong options: of the right one's kind and length, from the same text, near enough to be believed and not so near as to be right.

    right "the king" ─▶ other people of the text, with an article as it has; by embeddings neither a stranger nor a twin

Invariant: no option is in the question, says what the right one says, or shares its noun with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from actors.inference import Form
from ml_actors.embeddings import Embeddings
from ml_actors.questions import nouns
from ml_actors.questions.clauses import noun_phrase
from ml_actors.questions.drafts import Draft
from ml_actors.questions.mixing import mixed
from ml_actors.questions.reading import Reading, stem, stems_of
from ml_actors.questions.referents import UNCLEAR, definite, sex_of
from ml_actors.questions.sentences import words_of

WRONG = 3
WRONG_MIN = 2
ANSWER_WORDS_MAX = 8
TWIN = 0.86
"""Cosine from which two options are taken to say the same."""

Embed = Callable[[Sequence[str]], Embeddings]


class Pool:
    """What a text offers as options, by kind."""

    def __init__(self, reading: Reading, embed: Embed) -> None:
        self._reading = reading
        self._embed = embed
        self.people: list[str] = []
        self.things: list[str] = []
        self.places: list[str] = []
        self.words: dict[str, list[str]] = {}
        """By the tag of a word (English) or by "name" and "word"."""
        if reading.english:
            self._gather_phrases()
        self._gather_words()

    def _gather_phrases(self) -> None:
        for tokens in self._reading.tokens:
            at = 0
            while at < len(tokens):
                end = noun_phrase(tokens, at)
                if end == at:
                    at += 1
                    continue
                phrase = tokens[at:end]
                if not any(token.tag in ("PRP", "PRPO", "PRP$", "QUOTE") or token.low in UNCLEAR for token in phrase) and len(phrase) <= 6:
                    said = definite(tokens, at, end)
                    head = phrase[-1].low
                    place = self.people if sex_of(tokens, at, end) else (self.places if head in nouns.PLACES else self.things)
                    if said not in place and head not in nouns.VAGUE and head not in nouns.TIMES:
                        place.append(said)
                at = end

    def _gather_words(self) -> None:
        for number, sentence in enumerate(self._reading.sentences):
            tags = {token.begin: token.tag for token in self._reading.tokens[number]} if self._reading.english else {}
            for place, word in enumerate(sentence.words):
                if not word.wordy or word.low in self._reading.tongue.stop or len(word.text) < 3:
                    continue
                kind = tags.get(word.begin, "")
                if not self._reading.english:
                    kind = word_kind(word.text, first=place == 0, capitals=self._reading.tongue.capitals)
                    if kind == "word" and self._reading.count(stem(word.text, self._reading.tongue)) < 1:
                        continue
                if word.text not in self.words.setdefault(kind, []):
                    self.words[kind].append(word.text)

    def options(self, draft: Draft) -> Draft | None:
        """The draft as a choice, or None where too little that is believable is in the text."""
        if draft.kind == "gap":
            offered = self._for_gap(draft)
        elif draft.kind in ("who", "whom", "speaker", "with") and len(draft.answer.split()) <= ANSWER_WORDS_MAX:
            offered = self.people
        elif draft.kind == "where":
            first, _, rest = draft.answer.partition(" ")
            offered = [f"{first} {place}" for place in self.places] if rest else self.places
        elif draft.kind in ("object", "what"):
            offered = self.things
        elif draft.kind in ("why", "do", "do when", "infinitive"):
            offered = self._alike(draft)
        else:
            return None
        wrong = self._choose(draft, offered)
        if len(wrong) < WRONG_MIN:
            return None
        opens = draft.answer.split()[0].lower() in ("the", "a", "an") or (draft.kind == "gap" and self._common(draft.answer))
        answer = _lower(draft.answer) if opens else draft.answer  # as the others are written: a capital would tell it
        options = mixed([answer, *wrong])
        return Draft(
            Form.CHOICE, draft.kind, draft.prompt, answer, draft.begin, draft.end, draft.sentence, tuple(options), (options.index(answer),),
            draft.found, draft.near, draft.salience, draft.place, draft.difficulty, draft.quality,
        )  # fmt: skip

    def _common(self, word: str) -> bool:
        """Whether a word with a capital stands in the text in small letters, too, or is of no name."""
        if not self._reading.english:
            return False
        return any(token.text == word and token.tag in ("NN", "NNS") for tokens in self._reading.tokens for token in tokens[:1])

    def _for_gap(self, draft: Draft) -> list[str]:
        if self._reading.english:
            for words in self.words.values():
                if draft.answer in words:
                    return words
            return []
        sentence = self._reading.sentences[draft.sentence]
        first = sentence.words[0].text == draft.answer
        return self.words.get(word_kind(draft.answer, first=first, capitals=self._reading.tongue.capitals), [])

    def _alike(self, draft: Draft) -> list[str]:
        """Parts of other sentences that begin as the answer does: "because …", "to …", a verb in the past."""
        opening = draft.answer.split()[0].lower()
        found = []
        for tokens, clauses in zip(self._reading.tokens, self._reading.clauses, strict=True):
            for clause in clauses:
                spans = [(part.begin, part.end) for part in clause.parts]
                if draft.kind in ("do", "do when"):
                    spans = [(clause.verb, max([part.end for part in clause.parts], default=clause.verb + 1))]
                for begin, end in spans:
                    alike = tokens[begin].tag == "VBD" if draft.kind in ("do", "do when") else tokens[begin].low == opening
                    if alike and end - begin <= len(draft.answer.split()) + 5 and not any(t.tag == "QUOTE" for t in tokens[begin:end]):
                        found.append(" ".join(self._reading.text[tokens[begin].begin : tokens[end - 1].end].split()).rstrip(",.;:!?"))
        return found

    def _choose(self, draft: Draft, offered: Sequence[str]) -> list[str]:
        tongue = self._reading.tongue
        own = set(stems_of([word.text for word in words_of(draft.answer)], tongue))
        asked = set(stems_of([word.text for word in words_of(draft.prompt)], tongue))
        length = len(draft.answer)
        fit = []
        for option in {option.casefold(): option for option in reversed(offered)}.values():
            roots = set(stems_of([word.text for word in words_of(option)], tongue))
            if not roots or roots & own or (roots & asked and draft.kind not in ("do", "do when", "why")) or roots <= asked:
                continue
            if not length / 3 <= len(option) <= length * 3:
                continue
            fit.append(option)
        if not fit:
            return []
        fit = fit[:60]
        vectors = self._embed([draft.answer, *fit])
        near = vectors[1:] @ vectors[0]
        believable = [i for i in np.argsort(-near) if near[i] < TWIN]
        chosen: list[int] = []
        for i in believable:
            if all(float(vectors[1 + i] @ vectors[1 + j]) < TWIN for j in chosen):
                chosen.append(int(i))
            if len(chosen) == WRONG:
                break
        return [fit[i] for i in chosen]


def word_kind(word: str, first: bool, capitals: bool) -> str:
    """Of a language whose words are not told apart: a number, a name, or any word."""
    if any(letter.isdigit() for letter in word):
        return "number"
    return "name" if capitals and word[0].isupper() and not first else "word"


def _lower(words: str) -> str:
    return words[0].lower() + words[1:]
