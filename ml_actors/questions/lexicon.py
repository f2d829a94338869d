"""Forms of English words: which kinds of word a form can be, what it is a form of, and the form that a question needs.

    "went" ─ kinds ─▶ {VERB}   ─ base ─▶ "go"      past("go") ─▶ "went"

The tables are lemminflect's, made from a public-domain lexicon; this is the only file that knows it. They are read by its own codecs, line
by line (`tables.py`). Its models for words that are in no table are never loaded (they are pickles): such a word is judged by its ending.

Invariant: what is said of a word is what the library says of it.
"""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from lemminflect import config
from lemminflect.codecs.InflectionLUCodec import InflectionLUCodec
from lemminflect.codecs.LemmaLUCodec import LemmaLUCodec
from lemminflect.codecs.OverridesCodec import OverridesCodec
from lemminflect.core.LexicalUtils import categoryToUPos, pennTagAlts

from ml_actors.questions.tables import Table

Forms = dict[str, tuple[str, ...]]

VERBS: Final = frozenset(
    """
    accept achieve act add admit agree allow answer appear apply argue arrive ask attack avoid awake be bear beat become beg begin believe
    belong bend bind bite bleed blow boil borrow break breathe bring build burn burst bury buy call carry catch cause change chase choose
    claim climb cling close collect combine come comfort compare complain complete consider consist contain continue convert cook cover
    crawl create creep cross cry cut dance dare decide declare decrease defeat defend deliver depend describe destroy determine develop
    die dig dine disappear discover divide do draw dream dress drink drive drop dry dwell earn eat enable end enjoy enter escape evaporate
    examine exchange exist expand expect explain express face fall fasten fear feed feel fetch fight fill find finish flee float flow fly
    fold follow forbid force forget forgive form free freeze gain gather give gnaw go grant grasp grind grow guard guess guide hang happen
    harm hasten hate have heal hear help hide hit hold hope hurry hurt imagine improve include increase inform insist intend invent invite
    join jump keep kill kiss knock know lack laugh lay lead lean leap learn leave lend let lie lift light listen live lose love make
    manage marry measure meet melt mix move need notice obey observe obtain occur offer open order owe pass pay perceive perform perish
    permit pick pity place plant play please pour pray prefer prepare pretend prevent produce promise protect prove provide pull punish
    push put quarrel raise reach react read receive recognize recover reduce refer reflect refuse regret release remain remember remove
    repeat reply represent require rescue resolve rest return reveal ride ring rise roar roll rule run rush save say scream seek seem
    seize sell send separate serve set settle shake share shine shoot shout show shut sing sink sit sleep slip smell smile speak spend
    spin split spread spring stand start stay steal step stick stop store strike study succeed suffer suggest support suppose surround
    swallow swear swim swing take talk taste teach tear tell thank think threaten throw tie touch transfer transform travel treat tremble
    trust try turn understand use vanish visit wait wake walk wander want warn wash watch wear weave weep win wish wonder work worship
    write yield absorb attach emit orbit rotate erupt erode dissolve react transport pump filter trap attract repel vote elect invade
    conquer rule sign trade export import compute encode hunt graze hatch migrate breed feed""".split()
)
"""Verbs that are mostly verbs where they could be nouns, too: the tables say what a word can be, never how often."""

IRREGULAR_AUX: Final = {"am": "be", "is": "be", "are": "be", "was": "be", "were": "be", "been": "be", "being": "be", "be": "be",
    "has": "have", "have": "have", "had": "have", "having": "have", "does": "do", "do": "do", "did": "do", "done": "do"}  # fmt: skip


@cache
def _lemmas() -> tuple[Table, dict[str, Forms]]:
    return Table(Path(config.lemma_lu_fn)), OverridesCodec.load(config.lemma_overrides_fn)


@cache
def _inflections() -> tuple[Table, dict[str, Forms], dict[str, Forms]]:
    return Table(Path(config.inflection_lu_fn)), InflectionLUCodec.updateForAuxMod({}), OverridesCodec.load(config.infl_overrides_fn)


@lru_cache(maxsize=20_000)
def kinds(word: str) -> dict[str, tuple[str, ...]]:
    """For each kind that a form can be (NOUN, VERB, ADJ, ADV, PROPN, AUX) what it is a form of. {}: in no table."""
    table, overrides = _lemmas()
    low = word.lower()
    found: Forms = {}
    for line in table.lines(low):
        _, category, lemmas = LemmaLUCodec.fromString(line)
        found[categoryToUPos(category)] = lemmas
    found |= overrides.get(low, {})
    return {kind: tuple(lemma.lower() for lemma in lemmas) for kind, lemmas in found.items()}


@lru_cache(maxsize=20_000)
def base(verb: str) -> str:
    """The infinitive of any form of a verb: the commoner where there are two ("found" is of find)."""
    low = verb.lower()
    if low in IRREGULAR_AUX:
        return IRREGULAR_AUX[low]
    found = kinds(low).get("VERB", ())
    common = [lemma for lemma in found if lemma in VERBS]
    if common:
        return common[0]
    if found:
        return found[0]
    for ending, instead in (("ied", "y"), ("ies", "y"), ("ed", ""), ("ing", ""), ("es", "e"), ("s", "")):
        if low.endswith(ending) and len(low) > len(ending) + 2:
            return low[: -len(ending)] + instead
    return low


@lru_cache(maxsize=20_000)
def forms(verb: str, tag: str) -> frozenset[str]:
    """Of an infinitive, its forms for a tag: VBD, VBN, VBZ, VBG, VB."""
    table, auxiliaries, overrides = _inflections()
    low = verb.lower()
    found: Forms = {}
    for line in table.lines(low):
        _, _, of_line = InflectionLUCodec.fromString(line)
        found |= of_line
    # What the library knows of auxiliaries stands in the place of what is in the table, and what it corrects beside it.
    found = auxiliaries.get(low, found) | overrides.get(low, {})
    spelled = next((found[each] for each in (tag, *pennTagAlts(tag)) if found.get(each)), ())
    return frozenset(form.lower() for form in spelled)


@lru_cache(maxsize=20_000)
def verb_tags(word: str) -> frozenset[str]:
    """Which forms of a verb a word can be; empty where it is none."""
    low = word.lower()
    found = set()
    for lemma in kinds(low).get("VERB", ()):
        found |= {tag for tag in ("VB", "VBD", "VBN", "VBG", "VBZ") if low in forms(lemma, tag)}
        if low == lemma:
            found.add("VB")
    return frozenset(found)


@lru_cache(maxsize=20_000)
def plural(noun: str) -> bool:
    """Whether a form can only be a plural."""
    found = kinds(noun.lower()).get("NOUN", ())
    return bool(found) and noun.lower() not in found
