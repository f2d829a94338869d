"""The lexicon: what can be said of a text without a model. Small, honest, and only asked while the models are away.

    text ─fold (case, look-alikes, repeats)─▶ words ─▶ hard words · mild words said to somebody · phrases ─▶ Verdict (degraded)
                                                    ╰▶ clears: every word is known to be harmless

It knows a few dozen words of two languages. It finds plain insults and threats and misses whatever is put more finely; whatever shows what
it said says that it was the lexicon.

Invariant: `clears` is never true of a text with a word that the lexicon does not know.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from actors.inference import Span, Verdict
from protocol.values import Harm

NAME: Final = "lexicon"
"""Said as the version that judged."""
CLEARS_WORDS_MAX: Final = 12
HARD_SCORE: Final = 0.96
SAID_TO_SCORE: Final = 0.93
MILD_SCORE: Final = 0.5
"""Of a mild word that is said to nobody: "what a stupid bug"."""

_LOOK_ALIKE: Final = str.maketrans({"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i"})
_UNSEEN: Final = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")
_WORD: Final = re.compile(r"[^\W\d_]+")
_ROUGH_WORD: Final = re.compile(r"[^\W_]+(?:[!@$][^\W_]+)*")
_REPEATED: Final = re.compile(r"(.)\1{2,}")

_INSULTS: Final = frozenset(
    "asshole arsehole bastard bitch bitches cunt dickhead dumbass fuckface fucker motherfucker shithead wanker whore slut"
    " arschloch arschlöcher hurensohn hurensöhne wichser fotze missgeburt schlampe drecksau bastarde".split()
)
_MILD: Final = frozenset(
    "idiot idiots idiotic moron morons stupid dumb loser losers pathetic worthless ugly disgusting scum trash imbecile"
    " idioten dumm dumme dummer dumkopf dummkopf blöd blöde blöder hässlich wertlos abschaum trottel depp versager".split()
)
_HATE: Final = frozenset("nigger niggers faggot faggots kike kikes spic tranny untermensch untermenschen kanake kanaken neger".split())
_TO_SOMEBODY: Final = frozenset(
    "you your youre yours ur u yourself he she they du dich dir dein deine deiner ihr euch eure sie er bist seid".split()
)
_THREATS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"\b(?:kill|hang|hurt) your ?sel(?:f|ves)\b",
        r"\bkys\b",
        r"\b(?:i|we)(?: a?m| are| wi ?ll|ll|m|re)?(?: gonna| going to)? (?:kill|stab|shoot|beat|hurt) (?:you|him|her|them)\b",
        r"\b(?:ich|wir) (?:bring|bringe|bringen|stech|steche|schlag|schlage) (?:dich|euch|ihn|sie) (?:um|ab|tot)\b",
        r"\bbring dich um\b",
    )
)
_SELF_HARM: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"\bi (?:want to|wanna|am going to|will) (?:die|kill myself|end my life|hurt myself)\b",
        r"\bkill(?:ing)? myself\b",
        r"\bich (?:will|möchte) (?:nicht mehr leben|sterben)\b",
        r"\b(?:mich|mir) (?:umbringen|etwas antun|das leben nehmen)\b",
    )
)
_MAIL: Final = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}")
_PHONE: Final = re.compile(r"(?<![\w.,])[+0](?:[ ()/-]{0,2}\d){7,14}(?!\w)")
_HARMLESS: Final = frozenset(
    "yes no ok okay yeah yep nope thanks thank you hello hi hey bye good morning evening afternoon night day great nice well done"
    " welcome please sorry right correct agreed cool super perfect thx haha lol see soon tomorrow today congratulations"
    " ja nein danke bitte hallo tschüss guten gute morgen abend tag nacht prima toll super richtig genau stimmt klar gut bis bald".split()
)


def judge(text: str) -> Verdict:
    """What the lexicon finds. The language is left open: it knows none well enough to say."""
    folded = _fold(text)
    words = _words(folded)
    among = set(words)
    scores: dict[Harm, float] = {Harm.TOXIC: 0.0}
    if among & _HATE:
        scores[Harm.HATE] = HARD_SCORE
    if among & _INSULTS:
        scores[Harm.INSULT] = HARD_SCORE
    elif among & _MILD:
        scores[Harm.INSULT] = SAID_TO_SCORE if _said_to(words) else MILD_SCORE
    plain = " ".join(_WORD.findall(folded))
    if any(pattern.search(plain) for pattern in _THREATS):
        scores[Harm.THREAT] = HARD_SCORE
    if any(pattern.search(plain) for pattern in _SELF_HARM):
        scores[Harm.SELF_HARM] = SAID_TO_SCORE
    spans = tuple(
        Span(Harm.PERSONAL, found.start(), found.end(), what)
        for what, pattern in (("e-mail", _MAIL), ("phone", _PHONE))
        for found in pattern.finditer(text)
    )
    if spans:
        scores[Harm.PERSONAL] = SAID_TO_SCORE
    scores[Harm.TOXIC] = max(scores.get(harm, 0.0) for harm in (Harm.HATE, Harm.INSULT, Harm.THREAT))
    return Verdict(scores, spans=spans)


def clears(text: str) -> bool:
    """Whether nothing in it is unknown: a few words of courtesy. Of everything else the lexicon cannot say that it is harmless."""
    words = _WORD.findall(text.casefold())
    rest = _WORD.sub("", text)
    return 0 < len(words) <= CLEARS_WORDS_MAX and all(word in _HARMLESS for word in words) and not rest.strip(" .,!?:;()-'\n")


def _fold(text: str) -> str:
    """As people read it: without what nobody sees, letters that look alike as one, a letter said five times said once."""
    plain = _UNSEEN.sub("", unicodedata.normalize("NFKC", text)).casefold()
    return _REPEATED.sub(r"\1", plain)


def _words(folded: str) -> list[str]:
    """Its words, and those that have figures or signs for letters once more as letters."""
    words = _WORD.findall(folded)
    words += [word.translate(_LOOK_ALIKE) for word in _ROUGH_WORD.findall(folded) if not word.isalpha()]
    return words


def _said_to(words: list[str]) -> bool:
    """Whether a mild word stands within four words of somebody it may be said to."""
    for at, word in enumerate(words):
        if word in _MILD and any(other in _TO_SOMEBODY for other in words[max(0, at - 4) : at + 5]):
            return True
    return False
