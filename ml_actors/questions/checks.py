"""What is wrong with a question, before anybody sees it.

    form ─▶ span ─▶ trivial ─▶ (round trip, in `composing`) ─▶ twice

Invariant: a question that comes out of here ends with a sign that asks or has a gap, and its answer stands in its span as it is.
"""

from __future__ import annotations

import re
from typing import Final

from actors.inference import Form
from ml_actors.questions import drafts
from ml_actors.questions.drafts import Draft
from ml_actors.questions.gaps import GAP
from ml_actors.questions.reading import Reading, stems_of
from ml_actors.questions.sentences import plain, words_of
from ml_actors.questions.tagging import tag

PROMPT_LETTERS_MAX: Final = 500
"""The same bound that the record of a question has."""
PROMPT_WORDS_MIN, PROMPT_WORDS_MAX = 3, 24
ANSWER_WORDS_MAX: Final = 26
OPTION_LETTERS_MAX: Final = 200
ASKS: Final = re.compile(r"^(Who|What|Where|When|Until when|Why|How|How many|Which)\b.*\?$")
AUXILIARY: Final = frozenset(
    "did do does was were is are am had has have will would shall should can could may might must happened said".split()
)
TWO_VERBS: Final = re.compile(r"\b(did|do|does) (?:\S+ ){1,6}?(was|were|had been|is|are)\b", re.IGNORECASE)
LEFT_OVER: Final = re.compile(
    r"\b(and|or|but|the|a|an|of|his|her|so|very|as|too)\?$|[,;:]\?|\s{2,}|[\"“«(](?![^\"”»)]*[\"”»)])", re.IGNORECASE
)
CANNOT_BE_ASKED: Final = re.compile(
    r"\b(neither|nobody|any rate)\b|^(where|when|until when)\b.*\b(not|never)\b"
    r"|\b(after|when|because)\b.*\b(through|of|to|at|from|with|for|into|upon)\?$|, so \w+\?$",
    re.IGNORECASE,
)
"""Of what is not so, nobody can say where or when it is; and circumstances do not end with a word that opens a phrase."""
DOUBLED: Final = re.compile(r"\b(\w+) \1\b", re.IGNORECASE)


SHORT_KINDS: Final = frozenset({"definition", "do", "speech", "feel", "like"})
"""Rules whose questions may have three words."""
NO_AUXILIARY: Final = frozenset({"who", "what", "there"})
"""Rules whose questions need no auxiliary, as in "Who opened the door?" """


def wrong_form(draft: Draft, english: bool) -> bool:
    """Whether the prompt cannot be asked as it is."""
    prompt = draft.prompt
    if len(prompt) > PROMPT_LETTERS_MAX or any(len(option) > OPTION_LETTERS_MAX for option in draft.options):
        return True
    if draft.form is Form.ORDER or draft.kind == "several":
        return False
    if GAP in prompt:
        return prompt.count(GAP) != 1
    if not english or draft.kind == "speaker":
        return not prompt.rstrip().endswith(("?", "؟"))
    words = prompt[:-1].split()
    if not PROMPT_WORDS_MIN <= len(words) <= PROMPT_WORDS_MAX or not ASKS.match(prompt):
        return True
    if (
        LEFT_OVER.search(prompt)
        or CANNOT_BE_ASKED.search(prompt)
        or (DOUBLED.search(prompt) and " had had " not in prompt)
        or TWO_VERBS.search(prompt)
    ):
        return True
    if words[1].lower() in ("did", "does", "do") and _two_pasts(words):
        return True
    if draft.kind not in NO_AUXILIARY and not any(word.lower() in AUXILIARY for word in words[1 : 4 if draft.kind != "how many" else 9]):
        return True
    return len(words) == 3 and draft.kind not in SHORT_KINDS


def _two_pasts(words: list[str]) -> bool:
    """Whether a verb in the past stands beside "did", before what tells when: two clauses ran into one."""
    tags = tag([word.strip(",") for word in words if word.strip(",")])
    for word, kind in list(zip(words, tags, strict=False))[2:]:
        if word.lower() in (
            "after",
            "when",
            "before",
            "while",
            "until",
            "that",
            "who",
            "which",
            "as",
            "because",
            "where",
            "what",
            "how",
            "if",
        ):
            return False
        if kind == "VBD":
            return True
    return False


def spans(draft: Draft, reading: Reading) -> bool:
    """Whether the answer stands in its span (each event of an order does, or is a sentence put so that it stands alone)."""
    if draft.form is Form.ORDER or draft.kind == "several":
        return True
    return plain(draft.answer).casefold() in plain(reading.text[draft.begin : draft.end]).casefold()


def trivial(draft: Draft, reading: Reading) -> bool:
    """Whether the question says its answer, or the answer says nothing."""
    if draft.form is Form.ORDER or draft.kind == "several":
        return False
    words = [word.text for word in words_of(draft.answer)]
    if not words or len(words) > ANSWER_WORDS_MAX:
        return True
    said = set(stems_of(words, reading.tongue))
    asked = set(stems_of([word.text for word in words_of(draft.prompt.replace(GAP, " "))], reading.tongue))
    if GAP in draft.prompt:
        return bool(said & asked)
    if not said and not (draft.kind in ("feel", "look", "how many", "when") and words):
        return True
    if draft.kind in ("who", "whom", "object", "what", "where", "with", "speaker", "definition"):
        return bool(said) and (said <= asked or draft.answer.casefold() in draft.prompt.casefold())
    return bool(said) and len(said & asked) >= 0.7 * len(said)


def same(one: Draft, other: Draft, reading: Reading) -> bool:
    """Whether two ask the same: the same words in the question, or the same of the same sentence."""
    if one.prompt == other.prompt and one.form is not Form.ORDER:
        return True
    if one.sentence != other.sentence:
        return False
    if one.form is Form.ORDER or other.form is Form.ORDER:
        return one.form is other.form
    first, second = (set(stems_of([word.text for word in words_of(draft.prompt)], reading.tongue)) for draft in (one, other))
    alike = len(first & second) / max(len(first | second), 1)
    return alike > 0.6 and one.answer.casefold() == other.answer.casefold()


def why_not(draft: Draft, reading: Reading) -> str:
    """The first check that a draft fails; "": none of those here."""
    if wrong_form(draft, reading.english):
        return drafts.FORM
    if not spans(draft, reading):
        return drafts.UNANSWERABLE
    return drafts.TRIVIAL if trivial(draft, reading) else ""
