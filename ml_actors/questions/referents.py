"""Who "he", "she" and "they" are, where that can be told.

    The king had a daughter. He … ─▶ "the king"      The king saw the miller. He … ─▶ not told: passed over

By sex and number of the nouns before, the subject of the sentence before first. Two who fit equally well are no answer: a question that asks
about the wrong one is worse than none.

Invariant: only names and noun phrases of the text come out, never a pronoun.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from ml_actors.questions import nouns
from ml_actors.questions.clauses import NOUNY, Clause, Token

BACK: Final = 3
"""Sentences that are looked back."""
SEXES: Final = {"he": "m", "him": "m", "his": "m", "himself": "m", "she": "f", "her": "f", "hers": "f", "herself": "f",
    "they": "s", "them": "s", "their": "s", "theirs": "s", "themselves": "s"}  # fmt: skip
UNCLEAR: Final = frozenset(
    "i me my mine myself we us our ours ourselves you your yours yourself thou thee thy it its itself this these those that one another others"
    " latter former everything something nothing none there who whom whose which".split()
)
"""Words that stand for something which the question does not name."""


class Mention(NamedTuple):
    name: str
    """As it is said in a question, "the king"."""
    sex: str
    sentence: int
    subject: bool


class Referents:
    """Those whom a text named so far."""

    def __init__(self) -> None:
        self._mentions: list[Mention] = []

    def note(self, tokens: Sequence[Token], found: Sequence[Clause], sentence: int) -> None:
        """Takes a sentence's people, after its own questions were made."""
        subjects = {clause.subject for clause in found if clause.subject is not None}
        spans: list[tuple[int, int, bool]] = [(*span, True) for span in subjects]
        for clause in found:
            for part in clause.parts:
                if part.kind in ("object", "prep"):
                    spans.append((part.begin + (part.kind == "prep"), part.end, False))
        for begin, end, subject in sorted(spans):
            if tokens[begin].tag in ("PRP", "PRPO"):
                name = self.who(tokens[begin].low, sentence)
                if name is not None and subject:
                    self._mentions.append(Mention(name, SEXES.get(tokens[begin].low, ""), sentence, subject))
                continue
            sex = sex_of(tokens, begin, end)
            if sex and not any(token.low in UNCLEAR or token.tag in ("PRP$", "PRPO") for token in tokens[begin:end]):
                self._mentions.append(Mention(definite(tokens, begin, end), sex, sentence, subject))

    def who(self, pronoun: str, sentence: int) -> str | None:
        """Of a pronoun in that sentence; None: cannot be told."""
        sex = SEXES.get(pronoun)
        if sex is None:
            return None
        near = [mention for mention in self._mentions if sentence - mention.sentence <= BACK and _fits(mention.sex, sex)]
        if not near:
            return None
        names = {mention.name for mention in near}
        if len(names) == 1:
            return near[-1].name
        latest = near[-1].sentence
        subjects = {mention.name for mention in near if mention.subject and mention.sentence == latest}
        if len(subjects) == 1:
            return subjects.pop()
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
    known = nouns.gender(head.low)
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
    if first.tag in ("NNP",):
        return words
    return words[0].lower() + words[1:]
