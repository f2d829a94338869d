"""Questions with a gap, in any language: a sentence of the text with one of its words left out.

    Los volcanes expulsan lava. ─▶ Completa la frase: Los volcanes expulsan ___.  (lava)

The word left out says something (it is no small word), is in its sentence once, and is one that the text comes back to, a name or a
number; in English it is a noun. A sentence that begins with a word standing for something said before is not used.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from actors.inference import Form
from ml_actors.questions.clauses import QUOTE
from ml_actors.questions.drafts import Draft
from ml_actors.questions.reading import Reading, stem
from ml_actors.questions.sentences import Sentence, Word, plain

GAP = "___"
"""As a cloze's gap is written in the record of a question."""
WORDS_MIN, WORDS_MAX = 5, 28
PART_WORDS_MIN = 8
"""Of what is left of a longer sentence, which is cut at a sign."""
A_SENTENCE = 2
"""Gaps made of one sentence at most, the best first."""
LETTERS_MIN = 3
BACKWARD = frozenset(
    "he she it they this that these those his her its their him them él ella ellos ellas esto eso este esta estos estas il elle ils elles"
    " cela ceci ce cette ces celui celle er sie es dies diese dieser dieses jener jene hii hiyo huyu hawa هو هي هم هذا هذه ذلك تلك".split()
)


JOINING = frozenset("and but so then yet y pero luego et mais puis und aber dann na lakini kisha ثم لكن".split())


def gaps(reading: Reading) -> Iterator[Draft]:
    for number, sentence in enumerate(reading.sentences):
        begin, end = _part(sentence)
        words = [word for word in sentence.words if word.wordy and begin <= word.begin < end]
        if not WORDS_MIN <= len(words) <= WORDS_MAX or _points_back(words) or QUOTE.search(reading.text, begin, end):
            continue
        found = sorted(((worth, -word.begin, word) for word in words if (worth := _worth(reading, number, word, words)) > 0), reverse=True)
        for _, _, word in found[:A_SENTENCE]:
            before, after = reading.text[begin : word.begin], reading.text[word.end : end]
            closed = plain(before + GAP + after) + ("." if end < sentence.end else "")
            prompt = f"{reading.tongue.gap} {closed}"
            yield Draft(Form.CLOZE, "gap", prompt, word.text, sentence.begin, sentence.end, number)


def _part(sentence: Sentence) -> tuple[int, int]:
    """The place of a sentence; of a long one, of what stands before its first semicolon, or before the last comma that leaves enough."""
    words = [word for word in sentence.words if word.wordy]
    if len(words) <= WORDS_MAX:
        return sentence.begin, sentence.end
    last = words[WORDS_MAX - 1].end
    signs = [word for word in sentence.words if word.text in (";", ",", "،") and words[PART_WORDS_MIN].begin < word.begin < last]
    stop = next((sign for sign in signs if sign.text == ";"), signs[-1] if signs else None)
    return sentence.begin, sentence.end if stop is None else stop.begin


def _points_back(words: list[Word]) -> bool:
    """Whether a sentence is about somebody whom only the one before names, "And he …"."""
    return any(word.low in BACKWARD for word in words[: 1 + (words[0].low in JOINING)])


def _worth(reading: Reading, number: int, word: Word, words: list[Word]) -> float:
    """How much is learned by knowing this word; 0: nothing."""
    root = stem(word.text, reading.tongue)
    digits = any(letter.isdigit() for letter in word.text)
    if word.low in reading.tongue.stop or (len(word.text) < LETTERS_MIN and not digits):
        return 0.0
    if sum(stem(other.text, reading.tongue) == root for other in words) != 1:
        return 0.0
    first = word is words[0]
    worth = math.log1p(reading.count(root)) * reading.rarity(root)
    if digits:
        worth += 1.0
    elif reading.tongue.capitals and word.text[0].isupper() and not first:
        worth += 0.8
    if reading.english:
        tokens = reading.tokens[number]
        here = next((i for i, token in enumerate(tokens) if token.begin == word.begin), None)
        if here is None or tokens[here].tag not in ("NN", "NNS", "NNP", "CD"):
            return 0.0
        beside = [tokens[i].tag for i in (here - 1, here + 1) if 0 <= i < len(tokens)]
        if (tokens[here].tag == "NNP" and "NNP" in beside) or (beside and beside[-1] in ("NN", "NNS", "NNP")):
            return 0.0  # half a name, or what only says more of the noun after it
    elif not reading.tongue.stop and reading.count(root) > max(3, len(reading.sentences) // 2):
        return 0.0  # a language without a list: what is everywhere is a small word
    elif first and reading.count(root) < 2:
        return 0.0  # "then", "thereafter"
    elif reading.tongue.nouns and not (digits or (word.text[0].isupper() and not first)):
        return 0.0
    else:
        before = words[words.index(word) - 1].low if not first else ""
        worth += min(len(word.text), 10) / 20 + (0.6 if before in reading.tongue.determiners else 0.0)
    return worth
