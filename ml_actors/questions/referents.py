"""Who "he", "she" and "they" are, where that can be told.

    The king had a daughter. He … ─▶ "the king"      The king saw the miller. He … ─▶ not told: passed over

By sex and number of the nouns before, the subject of the sentence before first. Two who fit equally well are no answer: a question that
asks about the wrong one is worse than none.

Invariant: only names and noun phrases of the text come out, never a pronoun.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from ml_actors.questions import nouns
from ml_actors.questions.clauses import FINITE, NOUNY, Token, after_adverbs, noun_phrase

BACK: Final = 3
"""Sentences that are looked back."""
SEXES: Final = {"he": "m", "him": "m", "his": "m", "himself": "m", "she": "f", "her": "f", "hers": "f", "herself": "f",
    "they": "s", "them": "s", "their": "s", "theirs": "s", "themselves": "s"}  # fmt: skip
UNCLEAR: Final = frozenset(
    "i me my mine myself we us our ours ourselves you your yours yourself thou thee thy it its itself this these those that one another"
    " others latter former everything something nothing none there who whom whose which".split()
)
"""Words that stand for something which the question does not name."""


class Mention(NamedTuple):
    name: str
    """As it is said in a question, "the king"."""
    sex: str
    sentence: int
    at: int
    """Its token."""
    subject: bool


class Referents:
    """Those whom a text named so far."""

    def __init__(self) -> None:
        self._mentions: list[Mention] = []

    def note(self, tokens: Sequence[Token], sentence: int) -> None:
        """Takes a sentence's people, each with whether a verb follows. Pronouns count as whom they stand for."""
        at = 0
        while at < len(tokens):
            end = noun_phrase(tokens, at)
            if end == at:
                at += 1
                continue
            if end < len(tokens) and tokens[end].low == "and" and (more := noun_phrase(tokens, end + 1)) > end + 1:
                then = after_adverbs(tokens, more)
                if then < len(tokens) and tokens[then].tag in FINITE and sex_of(tokens, at, end) and tokens[at].tag not in ("PRP", "PRPO"):
                    end = more  # "the king and the queen went"
            then = after_adverbs(tokens, end)
            subject = then < len(tokens) and tokens[then].tag in FINITE
            first = tokens[at]
            if first.tag in ("PRP", "PRPO"):
                name = self.who(first.low, sentence, at) if subject else None
                if name is not None:
                    self._mentions.append(Mention(name, SEXES[first.low], sentence, at, True))
            elif sex := sex_of(tokens, at, end):
                if not any(token.low in UNCLEAR or token.tag in ("PRP$", "PRPO", "QUOTE") for token in tokens[at:end]):
                    spoken = at > 0 and tokens[at - 1].tag in ("VBD", "VBZ") and at > 1 and tokens[at - 2].tag == "QUOTE"
                    self._mentions.append(Mention(definite(tokens, at, end), sex, sentence, at, subject or spoken))
            at = end

    def who(self, pronoun: str, sentence: int, at: int) -> str | None:
        """Of a pronoun at a token of a sentence; None: cannot be told."""
        wanted = SEXES.get(pronoun)
        if wanted is None:
            return None
        for number in range(sentence, max(sentence - BACK, 0) - 1, -1):
            near = [
                one for one in self._mentions if one.sentence == number and (number < sentence or one.at < at) and _fits(one.sex, wanted)
            ]
            if not near:
                continue
            for some in ([one for one in near if one.subject], near):
                names = {one.name for one in some}
                exact = {one.name for one in some if one.sex == wanted}
                if len(names) == 1 or len(exact) == 1:
                    return (exact if len(exact) == 1 else names).pop()
                if names:
                    return None
        return None


def _fits(sex: str, wanted: str) -> bool:
    if wanted == "s":
        return sex == "s"
    return sex in (wanted, "p", "n")


def sex_of(tokens: Sequence[Token], begin: int, end: int) -> str:
    """Of a noun phrase: "m", "f", "p", "s" (many), "n" (a name), "": a thing."""
    phrase = tokens[begin:end]
    if any(token.low == "and" for token in phrase):
        return "s" if any(nouns.gender(token.low) or token.tag == "NNP" for token in phrase) else ""
    head = head_of(tokens, begin, end)
    if head is None:
        return ""
    known = nouns.gender(head.low) or nouns.gender(head.low.rsplit("-", 1)[-1])
    if head.tag == "NNS":
        singular = head.low[:-1]
        return "s" if known or nouns.gender(singular) or head.low.endswith("men") else ""
    if known:
        return known
    return "n" if head.tag == "NNP" and not (head.low in nouns.PLACES or head.low in nouns.TIMES) else ""


def head_of(tokens: Sequence[Token], begin: int, end: int) -> Token | None:
    """The noun that a phrase is about: the last before "of" or "and"."""
    head = None
    for token in tokens[begin:end]:
        if token.low in ("of", "and") and head is not None:
            break
        if token.tag in NOUNY:
            head = token
    return head


def definite(tokens: Sequence[Token], begin: int, end: int) -> str:
    """A phrase as it is named again: "a lad" is "the lad" from then on."""
    words = " ".join(token.text for token in tokens[begin:end]).replace(" 's", "'s").replace(" ’s", "’s")
    first = tokens[begin]
    if first.low in ("a", "an", "one", "another"):
        return "the " + words[len(first.text) + 1 :]
    if first.tag == "NNP" or (first.text[0].isupper() and end > begin + 1 and tokens[begin + 1].tag == "NNP" and first.tag != "DT"):
        return words  # "Old Dschang"
    return words[0].lower() + words[1:]
