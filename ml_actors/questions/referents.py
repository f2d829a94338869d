"""Who "he", "she" and "they" are, where that can be told.

    The king had a daughter. He … ─▶ "the king"      The king saw the miller. He … ─▶ not told: passed over

By sex and number of the nouns before, the subject of the sentence before first. Two who fit equally well are no answer: a question that
asks about the wrong one is worse than none.

Invariant: only names and noun phrases of the text come out, never a pronoun.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from ml_actors.questions import lexicon, nouns
from ml_actors.questions.clauses import FINITE, NOUNY, Token, after_adverbs, noun_phrase

BACK: Final = 3
"""Sentences that are looked back."""
SEXES: Final = {"he": "m", "him": "m", "his": "m", "himself": "m", "she": "f", "her": "f", "hers": "f", "herself": "f",
    "they": "s", "them": "s", "their": "s", "theirs": "s", "themselves": "s"}  # fmt: skip
UNCLEAR: Final = frozenset(
    "i me my mine myself we us our ours ourselves you your yours yourself thou thee thy this these those that one another"
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


THINGS: Final = {"it": "t", "its": "t", "itself": "t", "they": "ts", "them": "ts", "their": "ts"}
"""Of what is neither he nor she: one thing, several."""
THING_BACK: Final = 1
"""Sentences that are looked back for a thing: it is named again sooner than somebody."""


class Referents:
    """Those whom a text named so far, and of whom it has only one."""

    def __init__(self, sentences: Sequence[Sequence[Token]] = ()) -> None:
        """`sentences`: the whole text, so that it is known whether it names one man alone."""
        self._mentions: dict[int, list[Mention]] = {}
        """By sentence."""
        self._people: dict[str, dict[str, str]] = {}
        """For each sex, the people of the whole text by what they are: "king" -> "the old king", as first named."""
        for tokens in sentences:
            for at, end in _phrases(tokens):
                sex = sex_of(tokens, at, end)
                if sex and _nameable(tokens, at, end):
                    name = definite(tokens, at, end)
                    self._people.setdefault(sex, {}).setdefault(_head(name), name)

    def note(self, tokens: Sequence[Token], sentence: int) -> None:
        """Takes a sentence's people, each with whether a verb follows. Pronouns count as whom they stand for."""
        for at, end in _phrases(tokens):
            then = after_adverbs(tokens, end)
            subject = then < len(tokens) and tokens[then].tag in FINITE
            first = tokens[at]
            if first.tag in ("PRP", "PRPO"):
                name = self.who(first.low, sentence, at) if subject else None
                if name is not None and first.low in SEXES:
                    self._mentions.setdefault(sentence, []).append(Mention(name, SEXES[first.low], sentence, at, True))
            elif _nameable(tokens, at, end):
                sex = sex_of(tokens, at, end) or _thing(tokens, at, end)
                if sex:
                    spoken = at > 0 and tokens[at - 1].tag in ("VBD", "VBZ") and at > 1 and tokens[at - 2].tag == "QUOTE"
                    self._mentions.setdefault(sentence, []).append(Mention(definite(tokens, at, end), sex, sentence, at, subject or spoken))

    def who(self, pronoun: str, sentence: int, at: int, apart: str = "") -> str | None:
        """Of a pronoun at a token of a sentence; None: cannot be told. `apart`: who it is not, because they do something to it."""
        found = self._nearest(SEXES.get(pronoun), sentence, at, apart, BACK)
        if found is None and pronoun in SEXES:
            found = self._only(SEXES[pronoun], apart)
        if found is None and pronoun in THINGS:
            found = self._nearest(THINGS[pronoun], sentence, at, apart, THING_BACK)
        return found

    def _nearest(self, wanted: str | None, sentence: int, at: int, apart: str, back: int) -> str | None:
        if wanted is None:
            return None
        for number in range(sentence, max(sentence - back, 0) - 1, -1):
            near = [
                one
                for one in self._mentions.get(number, ())
                if (number < sentence or one.at < at) and _fits(one.sex, wanted) and not (apart and _head(one.name) == _head(apart))
            ]
            if not near:
                continue
            for some in ([one for one in near if one.subject], near):
                names = {_head(one.name): one.name for one in reversed(some)}
                exact = {_head(one.name): one.name for one in reversed(some) if one.sex == wanted}
                if len(names) == 1 or len(exact) == 1:
                    return next(iter((exact if len(exact) == 1 else names).values()))
                if names:
                    return None
        return None

    def _only(self, sex: str, apart: str) -> str | None:
        """The only one of a sex whom the text names at all; of names and animals the only one, where it names nobody of that sex."""
        exact = {head: name for head, name in self._people.get(sex, {}).items() if not apart or head != _head(apart)}
        if exact or sex == "s":
            return next(iter(exact.values())) if len(exact) == 1 else None
        other = self._people.get("n", {}) | self._people.get("p", {})
        fits = [name for head, name in other.items() if not apart or head != _head(apart)]
        return fits[0] if len(fits) == 1 else None


def _phrases(tokens: Sequence[Token]) -> Iterator[tuple[int, int]]:
    """Noun phrases, one after the other; "the king and the queen went" as one."""
    at = 0
    while at < len(tokens):
        end = noun_phrase(tokens, at)
        if end == at:
            at += 1
            continue
        if end < len(tokens) and tokens[end].low == "and" and (more := noun_phrase(tokens, end + 1)) > end + 1:
            then = after_adverbs(tokens, more)
            if then < len(tokens) and tokens[then].tag in FINITE and sex_of(tokens, at, end) and tokens[at].tag not in ("PRP", "PRPO"):
                end = more
        yield at, end
        at = end


def _nameable(tokens: Sequence[Token], begin: int, end: int) -> bool:
    return not any(token.low in UNCLEAR or token.tag in ("PRP", "PRP$", "PRPO", "PRO", "EX", "QUOTE") for token in tokens[begin:end])


def _thing(tokens: Sequence[Token], begin: int, end: int) -> str:
    """ "t": one thing that has an article, "ts": several, "": what no pronoun stands for."""
    head = head_of(tokens, begin, end)
    if head is None or head.low in nouns.TIMES | nouns.VAGUE | nouns.ABSTRACT or head.tag == "NNP" or tokens[begin].tag != "DT":
        return ""
    return "ts" if head.tag == "NNS" else "t"


def _head(name: str) -> str:
    """What somebody is: the noun that a name is about."""
    words = name.lower().split(" of ")[0].split()
    return words[-1] if words else ""


def _fits(sex: str, wanted: str) -> bool:
    if wanted in ("s", "t", "ts"):
        return sex == wanted
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
        singular = lexicon.kinds(head.low).get("NOUN", (head.low[:-1],))[0]
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
