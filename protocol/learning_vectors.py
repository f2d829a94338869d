"""Language-neutral vectors of learning: what every client and server must grade the same.

    cases below (by hand) ─▶ normalise · numbers · words · grade · next ─▶ tests/vectors/learning.json

What is expected of grades and of what comes next stands here as it was thought out; the functions under test make none of it. Cards are
reckoned: that they are right is what tests hold against the published package.

Invariant: the same cases give the same file, byte for byte.
"""

from __future__ import annotations

import json
from typing import Final

from protocol.reviews import NEW, Card, Rating, fields_of, review
from protocol.vectors import Json

_NORMALISE: Final = (
    ("  The   Well. ", "the well", "The Well"),
    ("¿Dónde?", "donde", "Dónde"),
    ("Straße", "strasse", "Straße"),
    ("Ὀδυσσεύς", "οδυσσευσ", "Ὀδυσσεύς"),
    ("ОН ЁЛКА", "он елка", "ОН ЁЛКА"),
    ("ﬁeld　ｗｏｒｋ", "field work", "field work"),
    ("كَتَبَ", "كتب", "كَتَبَ"),
    ("पानी।", "पानी", "पानी"),
    ("१२३", "123", "123"),
    ("“don’t”", "don't", "don't"),
    ("soft\u00adhyphen", "softhyphen", "softhyphen"),
    ("Æsop – Łódź", "aesop - lodz", "Æsop - Łódź"),
    ("...", "", ""),
)
"""Written; normalised; normalised where marks count."""
_NUMBERS: Final[tuple[tuple[str, list[list[int]]], ...]] = (
    ("12", [[12, 0]]),
    ("-3.50", [[-350, 2]]),
    ("3,14", [[314, 2]]),
    ("1.234.567", [[1234567, 0]]),
    ("1.234,5", [[12345, 1]]),
    ("1,234.5", [[12345, 1]]),
    ("1,000", [[1000, 3], [1000, 0]]),
    ("0.125", [[125, 3]]),
    ("12 500", [[12500, 0]]),
    (".5", [[5, 1]]),
    ("٣٫", []),
    ("−7", [[-7, 0]]),
    ("1.2.3,4,5", []),
    ("12 kg", []),
    ("", []),
)
"""Text; the numbers that it may mean, as [digits, decimal places]."""
_WORDS: Final = (
    ("photosynthesis", "Photosynthesis", True),
    ("photo synthesis", "Photosynthesis", False),
    ("Ano", "=año", False),
    ("AÑO", "=año", False),
    (" año. ", "=año", True),
    ("ano", "año", True),
    ("3.1416", "3.14±0.01", True),
    ("3,2", "3.14 ± 0.01", False),
    ("3,15", "3.14+-0.01", True),
    ("12.0", "12", True),
    ("1,000", "1000", True),
    ("twelve", "12", False),
    ("", "12", False),
    ("", "", False),
    ("?", "!", False),
    ("007", "=7", False),
    ("a" * 400, "a" * 400, True),
    ("a" * 401, "a" * 401, False),
)
"""Written; accepted; whether it is right."""
_GRADES: Final[tuple[tuple[str, dict[str, Json], dict[str, Json], list[Json] | None], ...]] = (
    ("the right choice", {"form": 0, "options": 3, "key": [1]}, {"choices": [1]}, [100, "right"]),
    ("another choice", {"form": 0, "options": 3, "key": [1]}, {"choices": [2]}, [0, "wrong"]),
    ("one of two that are right", {"form": 0, "options": 3, "key": [0, 2]}, {"choices": [2]}, [100, "right"]),
    ("two where one is asked", {"form": 0, "options": 3, "key": [0, 2]}, {"choices": [0, 2]}, [0, "wrong"]),
    ("no choice", {"form": 0, "options": 3, "key": [1]}, {"choices": []}, [0, "unanswered"]),
    ("all of several", {"form": 1, "options": 4, "key": [0, 3]}, {"choices": [3, 0]}, [100, "right"]),
    ("one of several", {"form": 1, "options": 4, "key": [0, 3]}, {"choices": [3]}, [50, "partly:1:2"]),
    ("one of three", {"form": 1, "options": 4, "key": [0, 1, 3]}, {"choices": [3]}, [33, "partly:1:3"]),
    ("a wrong one takes a right one away", {"form": 1, "options": 4, "key": [0, 3]}, {"choices": [0, 3, 1]}, [50, "partly:1:2"]),
    ("everything is not an answer", {"form": 1, "options": 4, "key": [0, 3]}, {"choices": [0, 1, 2, 3]}, [0, "wrong"]),
    ("the order", {"form": 3, "options": 3, "key": [2, 0, 1]}, {"choices": [2, 0, 1]}, [100, "right"]),
    ("one in the wrong place", {"form": 3, "options": 4, "key": [0, 1, 2, 3]}, {"choices": [3, 0, 1, 2]}, [66, "partly:2:3"]),
    ("backwards", {"form": 3, "options": 3, "key": [0, 1, 2]}, {"choices": [2, 1, 0]}, [0, "wrong"]),
    ("an order with one left out", {"form": 3, "options": 3, "key": [0, 1, 2]}, {"choices": [0, 1]}, [50, "partly:1:2"]),
    ("an order with one twice", {"form": 3, "options": 3, "key": [0, 1, 2]}, {"choices": [0, 1, 1, 2]}, [50, "partly:1:2"]),
    ("a gap", {"form": 2, "words": ["water", "H2O"]}, {"text": "h2o"}, [100, "right"]),
    ("alternatives in one entry", {"form": 2, "words": ["water|H2O"]}, {"text": "H₂O"}, [100, "right"]),
    ("two gaps, one right", {"form": 2, "words": ["water", "salt|NaCl"], "gaps": 2}, {"text": "water\nsugar"}, [50, "partly:1:2"]),
    ("two gaps", {"form": 2, "words": ["water", "salt|NaCl"], "gaps": 2}, {"text": "Water\nnacl"}, [100, "right"]),
    ("a gap with options", {"form": 2, "options": 3, "key": [2]}, {"choices": [2]}, [100, "right"]),
    ("two gaps with options", {"form": 2, "options": 3, "key": [2, 0], "gaps": 2}, {"choices": [2, 1]}, [50, "partly:1:2"]),
    ("a short answer", {"form": 4, "words": ["Lake Victoria", "Nyanza"]}, {"text": "lake  victoria!"}, [100, "right"]),
    ("a short answer in numbers", {"form": 4, "words": ["68870±500"]}, {"text": "69 000 "}, [100, "right"]),
    ("another answer", {"form": 4, "words": ["Lake Victoria"]}, {"text": "Lake Turkana"}, [0, "wrong"]),
    ("nothing", {"form": 4, "words": ["Lake Victoria"]}, {"text": " "}, [0, "unanswered"]),
    ("a key beyond the options", {"form": 0, "options": 2, "key": [2]}, {"choices": [1]}, None),
    ("no key", {"form": 1, "options": 4, "key": []}, {"choices": [1]}, None),
    ("an order that leaves one out", {"form": 3, "options": 3, "key": [0, 1]}, {"choices": [0, 1]}, None),
    ("no accepted answer", {"form": 4, "words": [" "]}, {"text": "x"}, None),
    ("fewer words than gaps", {"form": 2, "words": ["water"], "gaps": 2}, {"text": "water\nsalt"}, None),
    ("a form that nobody knows", {"form": 9, "options": 2, "key": [0]}, {"choices": [0]}, None),
)
"""Name; question; answer; points and feedback, or none where there is no usable key."""
_DAY: Final = 86_400
_REVIEWS: Final[tuple[tuple[str, tuple[tuple[int, int], ...]], ...]] = (
    ("good each time it is due", ((0, 3), (2 * _DAY, 3), (13 * _DAY, 3), (60 * _DAY, 3))),
    ("wrong at first, then good", ((0, 1), (600, 1), (1200, 2), (2100, 3), (2 * _DAY, 3))),
    ("easy, and much later forgotten", ((0, 4), (8 * _DAY, 4), (90 * _DAY, 1), (90 * _DAY + 600, 3), (93 * _DAY, 3))),
    ("twice on one day, on two devices", ((0, 3), (3 * _DAY, 3), (3 * _DAY + 7200, 2), (9 * _DAY, 3))),
    ("hard again and again", ((0, 2), (900, 2), (1800, 2), (_DAY, 2), (3 * _DAY, 2), (8 * _DAY, 1), (9 * _DAY, 2))),
    ("before its time, and long after it", ((0, 3), (_DAY, 3), (400 * _DAY, 3), (401 * _DAY, 1), (4000 * _DAY, 4))),
)
"""Name; reviews: seconds after the first, and the rating."""
_BEGIN: Final = 1_700_000_000
_CHAIN: Final = ([1, 1, 0, 0, [], 1], [2, 1, 1, 0, [1], 1], [3, 1, 2, 0, [2], 1], [4, 1, 3, 0, [3], 1])
_NEXT: Final[tuple[dict[str, Json], ...]] = (
    {"name": "nothing is there", "lessons": [], "order": [], "next": []},
    {
        "name": "what is half done, then what failed, then the path, then the course",
        "lessons": [*_CHAIN, [8, 2, 0, 0, [], 1], [9, 2, 1, 0, [], 1]],
        "progress": [[1, 100], [2, 100], [9, 30]],
        "checkpoints": [[2, 2, 2, 60]],
        "paths": [[5, [1, 2, 8]]],
        "courses": [1],
        "order": [1, 2, 3, 4, 8, 9],
        "next": [[9, "continue:30"], [2, "repeat:30"], [8, "path:5"]],
    },
    {
        "name": "a cycle begins with the lesson that comes first by its place",
        "lessons": [[1, 1, 5, 0, [2], 1], [2, 1, 3, 0, [1], 1], [3, 1, 0, 0, [1], 1], [4, 1, 9, 0, [], 1]],
        "progress": [[4, 100]],
        "order": [4, 2, 1, 3],
        "next": [[2, "new"]],
    },
    {
        "name": "a failed checkpoint leads back as far as what is open",
        "lessons": [[1, 0, 0, 0, [], 1], [2, 0, 0, 0, [1], 1], [8, 0, 0, 0, [2], 1]],
        "progress": [[8, 100]],
        "checkpoints": [[8, 3, 3, 30]],
        "order": [1, 2, 8],
        "next": [[1, "prepare:2"], [8, "repeat:10"]],
    },
    {
        "name": "a path leads first through what its steps require",
        "lessons": [*_CHAIN, [7, 9, 0, 0, [], 1]],
        "paths": [[5, [3]]],
        "order": [1, 2, 3, 4, 7],
        "next": [[1, "prepare:3"]],
    },
    {
        "name": "where nothing is followed, what is nearest to one's level",
        "lessons": [[1, 1, 0, 5, [], 1], [2, 1, 1, 1, [], 1], [3, 1, 2, 3, [], 1], [4, 1, 3, 2, [], 0]],
        "level": 3,
        "order": [1, 2, 3, 4],
        "next": [[3, "new"], [1, "new"], [2, "new"]],
    },
    {
        "name": "whoever began a retired lesson goes on with it, and nobody else is asked for it",
        "lessons": [[1, 1, 0, 0, [], 2], [2, 1, 1, 0, [1, 99], 1], [3, 1, 2, 0, [4], 1], [4, 2, 0, 0, [], 2]],
        "progress": [[4, 40]],
        "courses": [1],
        "order": [1, 2, 4, 3],
        "next": [[4, "continue:40"], [2, "course:1"]],
    },
    {
        "name": "questions that came later ask for nothing again",
        "lessons": [[1, 1, 0, 0, [], 1], [2, 1, 1, 0, [1], 1]],
        "progress": [[1, 100]],
        "checkpoints": [[1, 3, 1, 0]],
        "order": [1, 2],
        "next": [[2, "new"]],
    },
)
"""Lessons: [key, course, order, level, requires, state]; progress: [lesson, percent]; checkpoints: [lesson, asked, graded, points]."""


def _cards(reviews: tuple[tuple[int, int], ...]) -> list[Json]:
    card: Card = NEW
    made: list[Json] = []
    for after, rating in reviews:
        card = review(card, Rating(rating), _BEGIN + after)
        fields = fields_of(card, 0)
        made.append([int(str(fields[number])) for number in sorted(fields)[1:]])
    return made


def vectors() -> dict[str, Json]:
    """All of them, as what JSON can say."""
    return {
        "about": (
            "Generated by `make generate`. `normalise`: a text, as it is compared, and where marks and case count. `numbers`: a text and "
            "the numbers that it may mean, as [digits, decimal places]. `words`: what was written, an accepted answer, if it is right. "
            "`grade`: a question (form; how many options; key; words; gaps), an answer, and [points, feedback]; null: no usable key. "
            "`reviews`: reviews of one card as [Unix seconds, rating], and after each the card's fields from `due` to `last`. "
            "`next`: lessons as [key, course, order, level, requires, state], progress as [lesson, percent], checkpoints as [lesson, "
            "asked, graded, points], paths as [key, steps], courses that are followed, one's level; the lessons in order, and what comes "
            "next, why."
        ),
        "normalise": [list(case) for case in _NORMALISE],
        "numbers": [list(case) for case in _NUMBERS],
        "words": [list(case) for case in _WORDS],
        "grade": [{"name": name, "question": question, "answer": answer, "graded": graded} for name, question, answer, graded in _GRADES],
        "reviews": [
            {"name": name, "reviews": [[_BEGIN + after, rating] for after, rating in reviews], "cards": _cards(reviews)}
            for name, reviews in _REVIEWS
        ],
        "next": list(_NEXT),
    }


def encode_vectors() -> str:
    """The file: one vector a line, so that a change shows as the lines it changes."""
    parts = []
    for key, value in vectors().items():
        if isinstance(value, list):
            lines = ",\n  ".join(json.dumps(entry, ensure_ascii=False) for entry in value)
            parts.append(f'"{key}": [\n  {lines}\n ]')
        else:
            parts.append(f'"{key}": {json.dumps(value, ensure_ascii=False)}')
    return "{\n " + ",\n ".join(parts) + "\n}\n"
