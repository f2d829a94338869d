"""Kinds of the words of an English sentence, by what each can be and what stands beside what.

    The/DT king/NN had/VBD a/DT daughter/NN ─ Viterbi over at most a few tags a word; scores below are ours, set by hand

Tags are Penn's, fewer: IN is a preposition, SUB begins a clause, PRP is a pronoun that can be a subject, PRPO one that cannot, PRP$ one
that says whose, AUX any form of be, have, do, MD the modals, QUOTE a whole quotation.

Invariant: as many tags as words, each from what its word can be.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from ml_actors.questions import lexicon

CLOSED: Final[dict[str, tuple[str, ...]]] = {}
"""Small words with what each can be, likeliest first."""


def _close(tags: str, words: str) -> None:
    for word in words.split():
        CLOSED[word] = tuple(tags.split())


_close("DT", "the a an every each no another")
_close("DT PRO", "this these those some any all both many few several much either neither such")
_close("SUB DT PRO WDT", "that")
_close("PRP", "i he she they we it you thou ye who")
_close("PRP", "everyone everybody someone somebody nobody anyone anybody nothing something everything anything none one")
_close("PRPO", "me him them us thee himself herself itself themselves myself yourself ourselves whom hers theirs mine yours ours")
_close("PRP$ PRPO", "her")
_close("PRP$", "my his its our your their thy whose")
_close("IN", "of in on at from by with into onto upon about between among through during without within against toward towards beside"
       " besides behind beneath below above beyond across along around near amid inside outside throughout despite via"
       " per except opposite round")  # fmt: skip
_close("IN SUB", "for until till since after before as like than")
_close("IN RB", "over under down up off out past")
_close("SUB", "because although though while when whenever if unless whereas lest whether where wherever why how what")
_close("WDT", "which")
_close("CC", "and or but nor yet")
_close("CC RB", "so")
_close("TO", "to")
_close("MD", "will would shall should can could may might must cannot ought")
_close("AUX", "am is are was were be been being has have had having does do did done 's")
_close("RB", "not n't never ever very too also just only even then now again still quite rather almost always often sometimes usually"
       " soon already here away back together once perhaps however therefore thus instead indeed apart forth well else somewhere nowhere"
       " everywhere everyday twice suddenly meanwhile moreover home ago first")  # fmt: skip
_close("EX RB", "there")
_close("CD", "one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty hundred thousand million dozen")
_close("PRP CD", "one")
_close(
    "JJ", "own same other whole certain more most less least last next only old young new great little big good bad poor rich long short"
)
_close("RB JJ", "more most less enough far")
_close("UH", "oh yes o alas ah ha hello")
CLOSED["only"] = ("RB", "JJ")
CLOSED["her"] = ("PRP$", "PRPO")
CLOSED["first"] = ("JJ", "RB")
CLOSED["once"] = ("RB", "SUB")

GOOD: Final[dict[str, str]] = {
    "^": "DT PRP IN SUB RB NNP CC EX NN NNS PRP$ JJ CD UH QUOTE TO VBG PRO AUX MD",
    "DT": "NN JJ NNS NNP CD RB VBN VBG",
    "PRO": "IN VBD AUX MD VBZ VB NN NNS JJ PRP",
    "PRP$": "NN JJ NNS CD NNP VBG VBN",
    "PRP": "VBD AUX MD VBZ VB RB CC , .",
    "PRPO": "IN TO . , CC RB DT VB VBG JJ SUB PRP$ NN AUX",
    "WDT": "AUX VBD VBZ MD PRP DT NNP VB RB PRP$ NN NNS",
    "EX": "AUX MD VBD VBZ",
    "NN": "VBD AUX . , IN CC MD VBZ NN SUB TO WDT PRP POS RB VBN VBG QUOTE NNS",
    "NNS": "VBD AUX . , IN CC MD VB SUB TO WDT PRP POS RB VBN VBG",
    "NNP": "VBD AUX NNP . , IN CC MD VBZ POS RB SUB TO NN NNS WDT",
    "POS": "NN NNS JJ NNP CD VBN",
    "JJ": "NN NNS . , CC JJ IN TO SUB NNP CD VBN VBG",
    "CD": "NN NNS JJ . , IN CC CD",
    "IN": "DT PRP$ NN NNS NNP PRPO JJ CD VBG PRP PRO WDT RB",
    "TO": "VB DT PRP$ NNP PRPO NN NNS JJ CD PRO AUX PRP",
    "SUB": "PRP DT NNP NN NNS PRP$ EX JJ VBG PRO TO AUX",
    "CC": "DT PRP VBD NN VB JJ NNS PRP$ NNP IN RB AUX SUB VBZ TO VBG VBN MD CD EX PRO CC",
    "RB": "VBD VBN JJ RB IN . , VB DT VBZ PRP CC VBG AUX TO SUB MD PRP$",
    "MD": "VB RB AUX PRP",
    "AUX": "VBN VBG JJ DT RB IN PRP$ NN NNS AUX VB TO PRP CD NNP . , PRO SUB",
    "VB": "DT PRP$ PRPO IN . , TO NN NNS JJ RB CC NNP SUB VBN PRO CD WDT PRP VB QUOTE",
    "VBZ": "DT PRP$ PRPO IN . , TO NN NNS JJ RB CC NNP SUB PRO CD VBN",
    "VBD": "DT PRP$ PRPO IN . , TO NN NNS JJ RB CC NNP SUB PRO CD VBN VBG PRP QUOTE",
    "VBN": "IN . , TO RB CC DT SUB NN NNS PRP$ JJ NNP",
    "VBG": "DT PRP$ PRPO IN . , TO NN NNS JJ RB CC NNP SUB PRO CD",
    ",": "CC PRP DT SUB RB NNP IN NN PRP$ JJ VBG VBN WDT VBD NNS TO QUOTE EX AUX MD CD , VB VBZ PRO UH",
    ".": "^ DT PRP IN SUB RB NNP CC NN QUOTE",
    "QUOTE": "VBD VBZ PRP DT NNP . , CC NN AUX SUB PRP$ IN RB JJ",
    "UH": ", . PRP",
}
"""What may stand after what without wonder, commonest first."""
WONDER: Final = -3.0
BAD: Final = {
    ("DT", "VBD"): -8.0, ("DT", "VB"): -8.0, ("DT", "VBZ"): -8.0, ("PRP$", "VBD"): -8.0, ("PRP$", "VB"): -8.0, ("PRP$", "VBZ"): -8.0,
    ("IN", "VBD"): -7.0, ("IN", "VB"): -7.0, ("IN", "VBZ"): -7.0, ("MD", "NN"): -7.0, ("PRP", "NN"): -7.0, ("PRP", "NNS"): -7.0,
    ("JJ", "VBD"): -6.0, ("JJ", "VBZ"): -6.0, ("JJ", "VB"): -6.0, ("TO", "VBD"): -8.0, ("DT", "DT"): -6.0, ("DT", "."): -6.0,
    ("DT", ","): -6.0, ("PRP$", "."): -8.0, ("PRP$", ","): -8.0, ("PRP$", "IN"): -8.0, ("PRP$", "DT"): -8.0, ("AUX", "VBD"): -6.0,
    ("AUX", "VBZ"): -6.0, ("MD", "VBD"): -6.0, ("VBD", "VBD"): -6.0, ("POS", "VBD"): -6.0, ("DT", "IN"): -7.0, ("DT", "AUX"): -4.0,
    ("NN", "VB"): -4.0, ("NNS", "NN"): -2.0, ("NNS", "VBZ"): -5.0, ("PRP", "VBG"): -5.0, ("PRP", "JJ"): -4.0, ("PRP$", "TO"): -8.0,
    ("VBD", "VBZ"): -6.0,
}  # fmt: skip


def _step(before: str, after: str) -> float:
    if (before, after) in BAD:
        return BAD[before, after]
    good = GOOD.get(before, "").split()
    return -0.12 * good.index(after) if after in good else WONDER


LINKING: Final = frozenset("look feel seem become remain".split())
STEPS: Final = {(before, after): _step(before, after) for before in GOOD for after in [*GOOD, "."]}


@lru_cache(maxsize=20_000)
def choices(word: str, first: bool) -> tuple[tuple[str, float], ...]:
    """What a word can be, each with how it is held against that. `first`: whether it begins its sentence, where a capital says nothing."""
    low = word.lower()
    if low in ("'s", "’s"):
        return (("POS", 0.0), ("AUX", -3.0))
    if low in CLOSED and (word == low or first or low == "i"):
        return tuple((tag, -0.8 * place) for place, tag in enumerate(CLOSED[low]))
    if not word[0].isalnum():
        return ((("." if word in ".!?…;:" else ","), 0.0),)
    if word[0].isdigit():
        return (("CD", 0.0),)
    found: dict[str, float] = {}
    kinds = lexicon.kinds(low)
    if "NOUN" in kinds or "PROPN" in kinds:
        found["NNS" if lexicon.plural(low) else "NN"] = 0.0
    if "ADJ" in kinds:
        found["JJ"] = -0.3 if "NOUN" in kinds else 0.0
    if "ADV" in kinds:
        found["RB"] = 0.0 if low.endswith("ly") else -0.9
    for tag in lexicon.verb_tags(low):
        common = lexicon.base(low) in lexicon.VERBS or (tag == "VB" and low in LINKING)
        found[tag] = 0.0 if common else (-1.0 if "NOUN" not in kinds or tag in ("VBD", "VBN") else -2.2)
        if tag == "VB" and "NOUN" in kinds:
            found[tag] -= 0.0 if common else 0.7
    if not kinds:
        found = _by_ending(low)
    if word[0].isupper():
        if not first:
            found = {tag: score - 2.5 for tag, score in found.items()}
            found["NNP"] = 0.0
        elif not kinds:
            found["NNP"] = 0.5
    return tuple(found.items()) or (("NN", 0.0),)


def _by_ending(low: str) -> dict[str, float]:
    """For a word that is in no table."""
    if low.endswith("ing"):
        return {"VBG": 0.0, "NN": -1.0}
    if low.endswith("ed"):
        return {"VBD": 0.0, "VBN": 0.0, "JJ": -1.0}
    if low.endswith("ly"):
        return {"RB": 0.0}
    if low.endswith(("ous", "ful", "ish", "less", "able", "ible", "ical", "ive")):
        return {"JJ": 0.0}
    if low.endswith("s") and not low.endswith("ss"):
        return {"NNS": 0.0, "VBZ": -2.5, "NN": -1.0}
    return {"NN": 0.0, "JJ": -2.5}


def tag(words: Sequence[str]) -> list[str]:
    """One tag for each word of a sentence; "«»" stands for a whole quotation."""
    best: dict[str, float] = {"^": 0.0}
    back: list[dict[str, str]] = []
    for place, word in enumerate(words):
        first = place == 0 or words[place - 1] in ("«»", ":", ";")
        options: Sequence[tuple[str, float]] = (("QUOTE", 0.0),) if word == "«»" else choices(word, first)
        now: dict[str, float] = {}
        came: dict[str, str] = {}
        for option, score in options:
            from_where = max(best, key=lambda before: best[before] + STEPS.get((before, option), WONDER))
            now[option] = best[from_where] + STEPS.get((from_where, option), WONDER) + score
            came[option] = from_where
        best = now
        back.append(came)
    if not back:
        return []
    last = max(best, key=lambda option: best[option])
    tags = [last]
    for came in reversed(back[1:]):
        tags.append(came[tags[-1]])
    return _mended(words, tags[::-1])


CLAUSE_ENDS: Final = frozenset({".", "SUB", "WDT", "QUOTE"})
BOUND: Final = frozenset({"VBD", "VBZ", "AUX", "MD"})


def _mended(words: Sequence[str], tags: list[str]) -> list[str]:
    """What two tags beside each other cannot tell: a clause has one verb that is bound to its subject, and "could only" is followed by an
    infinitive."""
    bound = False
    for i, kind in enumerate(tags):
        before, after = tags[i - 1] if i else "^", tags[i + 1] if i + 1 < len(tags) else "."
        low = words[i].lower()
        if kind in CLAUSE_ENDS:
            bound = False
        elif kind in ("VBN", "JJ") and _can_be(words[i], "VBD") and not (kind == "JJ" and after in ("NN", "NNS", "NNP", "JJ", "POS")):
            alone = kind == "VBN" and not bound and before in (*SUBJECTS, "RB", ",") and any(t in SUBJECTS for t in tags[:i])
            joined = bound and before == "CC" and "VBD" in tags[:i] and after in ("IN", "TO", "DT", "PRP$", "PRPO", "RB")
            if alone or (joined and not any(t in ("AUX", "JJ") for t in tags[max(i - 4, 0) : i])):
                tags[i] = "VBD"
        elif kind in ("VBN", "VBD", "NN") and _after_modal(tags, i) and _can_be(words[i], "VB"):
            tags[i] = "VB"
        elif kind == "NN" and before == "TO" and after in ("DT", "PRP$", "PRPO", "NN", "NNS") and _can_be(words[i], "VB"):
            tags[i] = "VB"
        elif kind == "RB" and before in ("PRP$", "DT") and after not in ("JJ", "NN", "NNS", "NNP", "VBN", "RB") and low in ("back", "home"):
            tags[i] = "NN"
        bound = bound or tags[i] in BOUND
    return tags


SUBJECTS: Final = frozenset({"NN", "NNS", "NNP", "PRP"})


def _after_modal(tags: Sequence[str], at: int) -> bool:
    at -= 1
    while at >= 0 and tags[at] == "RB":
        at -= 1
    return at >= 0 and tags[at] == "MD"


def _can_be(word: str, tag: str) -> bool:
    low = word.lower()
    return tag in lexicon.verb_tags(low) or (tag == "VBD" and not lexicon.kinds(low) and low.endswith("ed"))
