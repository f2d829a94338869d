"""What an answer to a question is worth: decided on a device when the key is there, and by the server always, by the same function.

    question (form, options) ─╮
    key (places, words) ──────┼─ grade ─▶ points 0 to 100, whether it is right, a sentence's key
    answer (choices, text) ───╯

    choice    the one place, or one of several that are right      order   the longest run in the right order, less one
    several   right places chosen, less wrong ones                  short   one of the accepted answers
    cloze     gaps that are filled rightly, each by its own words

Only whole numbers are reckoned with, so every language comes to the same points.

Invariant: all points if and only if it is right; a question without a usable key, or with words that are hidden, grades nothing.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Final

from msgspec import Struct

from protocol.answers import ALTERNATIVES, is_any_right
from protocol.declaring import COVER, Value

GAP: Final = re.compile("_{3,}")
"""Where something is missing in a cloze's prompt."""

ALTERNATIVES_MAX: Final = 20

# Fields, as protocol/learning.py declares them.
LESSON, FORM, PROMPT, OPTIONS, KEY, WORDS, EXPLANATION, DIFFICULTY, ORDER, EXAM = range(1, 11)
KEY_KEY, KEY_WORDS = 1, 2
CHOICES, TEXT, SECONDS = 2, 3, 4
POINTS, RIGHT, ATTEMPTS, FEEDBACK, ATTEMPT, AT = range(1, 7)


ANSWERING: Final = (KEY, WORDS, EXPLANATION)
"""Fields of a question that say its answer. Of an exam they are empty in the library, which learners read."""


class Form(IntEnum):
    """How a question is asked."""

    CHOICE = 0
    SEVERAL = 1
    CLOZE = 2
    ORDER = 3
    SHORT = 4


class Asked(Struct, frozen=True):
    """A question, as far as grading goes. `key`: places of right options; of an order, all of them in their order; of a cloze one a gap.
    `words`: accepted answers; of a cloze with several gaps one entry a gap, its alternatives with `|` between them."""

    form: int
    options: tuple[str, ...] = ()
    key: tuple[int, ...] = ()
    words: tuple[str, ...] = ()
    gaps: int = 1


class Graded(Struct, frozen=True):
    """`words`: "right", "partly:2:3" (of three, two), "wrong", "unanswered"."""

    points: int
    right: bool
    words: str


UNANSWERED: Final = Graded(0, False, "unanswered")
NO_KEY: Final = "ungraded"
"""In place of `Graded.words` where there is no key that can be used."""


def grade(asked: Asked, choices: Sequence[int], text: str) -> Graded | None:
    """What the answer is worth; None: there is no key that can be used (`problems` says why)."""
    if key_problem(asked):
        return None
    match asked.form:
        case Form.CHOICE:
            return _one_of(asked.key, choices)
        case Form.SEVERAL:
            return _several(asked.key, choices)
        case Form.ORDER:
            return _in_order(asked.key, choices)
        case Form.CLOZE if asked.options:
            return _one_of(asked.key, choices) if asked.gaps <= 1 else _chosen_gaps(asked.key, choices)
        case Form.CLOZE if asked.gaps > 1:
            return _written_gaps(asked.words, text)
        case _:
            return _written(asked.words, text)


def key_problem(asked: Asked) -> str:
    """Why nothing can be graded by it, in words for who writes it; empty: it can."""
    size = len(asked.options)
    written = asked.form == Form.SHORT or (asked.form == Form.CLOZE and not size)
    if asked.form not in tuple(Form):
        return f"form: {asked.form} is none of {', '.join(f'{form.value} {form.name.lower()}' for form in Form)}"
    if written:
        accepted = [word for word in asked.words if word.strip()]
        if not accepted:
            return "words: no accepted answer"
        if asked.gaps > 1 and len(accepted) != asked.gaps:
            return f"words: the prompt has {asked.gaps} gaps, and {len(accepted)} have accepted answers"
        return ""
    if size < 2:
        return f"options: at least 2 to choose from, not {size}"
    if not asked.key:
        return "key: no right option"
    beyond = [place for place in asked.key if place >= size]
    if beyond:
        return f"key: place {beyond[0]} is beyond the {size} options"
    if asked.form == Form.ORDER and sorted(asked.key) != list(range(size)):
        return f"key: an order names each of the {size} options once"
    if asked.form == Form.CLOZE and asked.gaps > 1 and len(asked.key) != asked.gaps:
        return f"key: the prompt has {asked.gaps} gaps, and the key {len(asked.key)}"
    if asked.form == Form.SEVERAL and len(set(asked.key)) != len(asked.key):
        return "key: an option is named twice"
    return ""


def _share(got: int, of: int) -> Graded:
    if got >= of:
        return Graded(100, True, "right")
    return Graded(100 * got // of, False, f"partly:{got}:{of}" if got > 0 else "wrong")


def _one_of(key: Sequence[int], choices: Sequence[int]) -> Graded:
    if not choices:
        return UNANSWERED
    return _share(int(len(choices) == 1 and choices[0] in key), 1)


def _several(key: Sequence[int], choices: Sequence[int]) -> Graded:
    chosen = set(choices)
    if not chosen:
        return UNANSWERED
    hits = len(chosen & set(key))
    return _share(max(0, hits - len(chosen - set(key))), len(key))


def _in_order(key: Sequence[int], choices: Sequence[int]) -> Graded:
    """By the longest run that stands in the right order: one thing in the wrong place costs one, not all behind it."""
    places = {option: place for place, option in enumerate(key)}
    given = [places[option] for option in dict.fromkeys(choices) if option in places]
    if not given:
        return UNANSWERED
    run: list[int] = []
    for place in given:
        at = bisect_left(run, place)
        run[at : at + 1] = [place]
    whole = len(given) == len(key) == len(choices)
    if whole and len(run) == len(key):
        return _share(1, 1)
    return _share(min(len(run) - 1, len(key) - 2), len(key) - 1)


def _chosen_gaps(key: Sequence[int], choices: Sequence[int]) -> Graded:
    if not choices:
        return UNANSWERED
    got = sum(chosen == right for chosen, right in zip(choices, key, strict=False))
    return _share(got if len(choices) <= len(key) else min(got, len(key) - 1), len(key))


def _written_gaps(words: Sequence[str], text: str) -> Graded:
    if not text.strip():
        return UNANSWERED
    lines = text.split("\n")
    got = sum(is_any_right(line, alternatives(word)) for line, word in zip(lines, words, strict=False))
    return _share(got, len(words))


def _written(words: Sequence[str], text: str) -> Graded:
    if not text.strip():
        return UNANSWERED
    return _share(int(is_any_right(text, tuple(one for word in words for one in alternatives(word)))), 1)


def alternatives(word: str) -> tuple[str, ...]:
    """The accepted answers that one entry names; those beyond `ALTERNATIVES_MAX` are none."""
    return tuple(word.split(ALTERNATIVES)[:ALTERNATIVES_MAX])


# From records


def asked_of(question: Mapping[int, Value], key: Mapping[int, Value] | None = None) -> Asked:
    """What a record of a question says, with the record of its key where that stands apart: of an exam only that one counts."""
    source, at_key, at_words = (key or {}, KEY_KEY, KEY_WORDS) if question.get(EXAM) is True else (question, KEY, WORDS)
    form = question.get(FORM, 0)
    prompt = question.get(PROMPT, "")
    return Asked(
        form if isinstance(form, int) else 0,
        texts(question.get(OPTIONS)),
        numbers(source.get(at_key)),
        texts(source.get(at_words)),
        max(1, len(GAP.findall(prompt))) if isinstance(prompt, str) else 1,
    )


def grade_answer(question: Mapping[int, Value], answer: Mapping[int, Value], key: Mapping[int, Value] | None = None) -> Graded | None:
    """`grade`, of records' fields. None also while what is asked is hidden."""
    if is_covered(question):
        return None
    text = answer.get(TEXT, "")
    return grade(asked_of(question, key), numbers(answer.get(CHOICES)), text if isinstance(text, str) else "")


def is_covered(question: Mapping[int, Value]) -> bool:
    """Whether what is asked, or what is to choose from, was hidden: nobody can answer it until it comes back."""
    return question.get(PROMPT) == COVER or COVER in texts(question.get(OPTIONS))


def grades_alike(before: Mapping[int, Value], after: Mapping[int, Value]) -> bool:
    """Whether a question that changed gives every answer the grade that it has, in the same lesson."""
    return (asked_of(before), before.get(LESSON, 0), before.get(EXAM) is True, is_covered(before)) == (
        asked_of(after),
        after.get(LESSON, 0),
        after.get(EXAM) is True,
        is_covered(after),
    )


def numbers(value: Value | None) -> tuple[int, ...]:
    """A list of numbers in a field; () where there is none."""
    return tuple(one for one in value if isinstance(one, int)) if isinstance(value, tuple) else ()


def texts(value: Value | None) -> tuple[str, ...]:
    """A list of texts in a field; () where there is none."""
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, tuple) else ()
