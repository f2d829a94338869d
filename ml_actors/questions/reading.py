"""A text, read once: sentences, what each is about, how much each says, and what its people are called.

    text ─▶ Reading(sentences, weights, …) ─▶ asked about by `asking` (English), `gaps` and `events` (any language)

Salience is of the text alone: a sentence says much if its words recur in the text (its subject) yet are not in every sentence, if it names
somebody, and if it is neither very short nor very long.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import cached_property

from ml_actors.questions.clauses import Clause, Token, clauses, tokens_of
from ml_actors.questions.sentences import SENTENCE_MAX, Sentence, sentences
from ml_actors.questions.tongues import ENGLISH, Tongue

SENTENCES_MAX = 400
"""Of one text; what comes after is not looked at."""


class Reading:
    def __init__(self, text: str, tongue: Tongue) -> None:
        self.text = text
        self.tongue = tongue
        self.sentences: list[Sentence] = sentences(text, tongue)[:SENTENCES_MAX]
        self.stems: list[list[str]] = [stems(sentence, tongue) for sentence in self.sentences]
        """Of each sentence, the stems of the words that say something, in their order."""
        self.said: list[frozenset[str]] = [frozenset(found) for found in self.stems]
        self._counts = Counter(stem for found in self.stems for stem in found)
        self._spread = Counter(stem for found in self.said for stem in found)

    @cached_property
    def tokens(self) -> list[list[Token]]:
        """English only: the tagged words of each sentence."""
        common = {word.text for sentence in self.sentences for word in sentence.words if word.text.islower()}
        return [
            [_plainer(token, common) for token in tokens_of(sentence)] if len(sentence.text) <= SENTENCE_MAX else []
            for sentence in self.sentences
        ]

    @cached_property
    def clauses(self) -> list[list[Clause]]:
        return [clauses(tokens) for tokens in self.tokens]

    @property
    def english(self) -> bool:
        return self.tongue is ENGLISH

    def rarity(self, stem: str) -> float:
        """How much a word tells sentences of this text apart: its inverse frequency over sentences, from 0 (in all) up."""
        return math.log((1 + len(self.sentences)) / (1 + self._spread[stem])) + 0.1

    def count(self, stem: str) -> int:
        return self._counts[stem]

    @cached_property
    def salience(self) -> list[float]:
        """Of each sentence, 0 to 1, the greatest being 1."""
        raw = []
        for sentence, found in zip(self.sentences, self.stems, strict=True):
            weight = sum(math.log1p(self._counts[stem]) for stem in set(found))
            length = sentence.length
            fit = min(1.0, length / 8) * min(1.0, 30 / max(length, 1))
            raw.append(weight / math.sqrt(len(set(found)) + 1) * fit if found else 0.0)
        top = max(raw, default=0.0)
        return [value / top if top else 0.0 for value in raw]

    def at(self, begin: int) -> int:
        """The sentence that holds a place."""
        for number, sentence in enumerate(self.sentences):
            if begin < sentence.end:
                return number
        return len(self.sentences) - 1


def _plainer(token: Token, common: set[str]) -> Token:
    """What looks like a name at the head of a sentence and stands elsewhere in small letters is none."""
    return token._replace(tag="NN") if token.tag == "NNP" and token.low in common else token


def stem(word: str, tongue: Tongue) -> str:
    """A word without the endings that matter least for saying that two are the same. Crude on purpose: it only compares."""
    low = word.lower().replace("’", "'").removesuffix("'s")
    if tongue.tag == "en":
        from ml_actors.questions import lexicon

        kinds = lexicon.kinds(low)
        if "VERB" in kinds:
            return lexicon.base(low)
        return kinds["NOUN"][0] if "NOUN" in kinds else low
    if tongue.tag in ("es", "fr", "de", "pt", "it") and len(low) > 5:
        for ending in ("es", "en", "er", "e", "s", "n"):
            if low.endswith(ending):
                return low[: -len(ending)]
    if tongue.tag == "ar" and low.startswith("ال") and len(low) > 4:
        return low[2:]
    return low


def stems(sentence: Sentence, tongue: Tongue) -> list[str]:
    return [stem(word.text, tongue) for word in sentence.words if word.wordy and word.low not in tongue.stop]


def stems_of(words: Sequence[str], tongue: Tongue) -> list[str]:
    return [stem(word, tongue) for word in words if word[0].isalnum() and word.lower() not in tongue.stop]
