"""A learner's day without a network, as every system is given it: 200 things done, and 500 messages that others wrote meanwhile.

    make_day(seed) ─▶ Day: deeds (progress, answers, two profile fields, three drafts) and lines of 60 characters

Deeds are what a person does, not how a system says it: entity and fields by the names of `protocol/entities.py`, a key, a time.

Invariant: a day is a function of its seed.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Final

import msgspec

from protocol.entities import TABLE, Entity, Value

DEEDS: Final = 200
ANSWERS: Final = 80
LESSONS: Final = 8
LINES: Final = 500
LINE_CHARS: Final = 60
MORNING: Final = 1_795_000_000
"""In Unix seconds."""
TEXT: Final = Path(__file__).parent.parent / "proofs" / "text.txt"


class Deed(msgspec.Struct, frozen=True):
    """One thing done. `fields` by name; `at` in Unix seconds; `base` is the record's version that the device knew (0: none)."""

    entity: str
    key: int
    at: int
    fields: dict[str, int | str | tuple[int | str, ...]]
    base: int = 0

    @property
    def kind(self) -> Entity:
        return Entity[self.entity.upper()]

    def numbered(self) -> dict[int, Value]:
        """The fields by their numbers."""
        numbers = {field.name: field.number for field in TABLE[self.kind].fields}
        return {numbers[name]: value for name, value in self.fields.items()}


class Day(msgspec.Struct, frozen=True):
    """What is to go up, and what is to come down."""

    deeds: tuple[Deed, ...]
    lines: tuple[str, ...]


def make_day(seed: int) -> Day:
    """The mixed day."""
    rng = Random(seed)
    text = " ".join(TEXT.read_text(encoding="utf-8").split())
    deeds = [*_progress(rng, DEEDS - ANSWERS - 5), *_answers(rng, ANSWERS, text)]
    rng.shuffle(deeds)
    deeds += [
        Deed("profile", 1, 0, {"about": _cut(rng, text, 90)}, 3),
        Deed("profile", 1, 0, {"interests": ("goats", "bicycles", "English")}, 3),
        *(Deed("draft", rng.getrandbits(40), 0, {"stream": 40_321, "text": _cut(rng, text, 140)}) for _ in range(3)),
    ]
    return Day(_in_time(rng, deeds), tuple(_cut(rng, text, LINE_CHARS) for _ in range(LINES)))


def make_progress(count: int, seed: int = 1) -> tuple[Deed, ...]:
    """A day of nothing but progress: the percent alone, of lessons that the device has not heard of since."""
    rng = Random(seed)
    return _in_time(rng, [msgspec.structs.replace(deed, fields={"percent": deed.fields["percent"]}) for deed in _progress(rng, count)])


def _progress(rng: Random, count: int) -> list[Deed]:
    """Steps through a few lessons, each further than the one before."""
    lessons = [rng.randint(1_000, 60_000) for _ in range(LESSONS)]
    steps = sorted((rng.randrange(LESSONS), rng.randint(1, 100)) for _ in range(count))
    return [Deed("progress", lessons[lesson], 0, {"percent": percent, "place": percent // 4}) for lesson, percent in steps]


def _answers(rng: Random, count: int, text: str) -> list[Deed]:
    """Mostly choices; every fifth in words."""
    answers = []
    for n in range(count):
        fields: dict[str, int | str | tuple[int | str, ...]] = {"seconds": rng.randint(4, 180)}
        if n % 5 == 0:
            fields["text"] = _cut(rng, text, rng.randint(30, 120))
        else:
            fields["choices"] = tuple(sorted(rng.sample(range(5), rng.choice((1, 1, 1, 2)))))
        answers.append(Deed("answer", rng.randint(1_000, 60_000), 0, fields))
    return answers


def _in_time(rng: Random, deeds: list[Deed]) -> tuple[Deed, ...]:
    """One after the other, over a day."""
    at = MORNING
    timed = []
    for deed in deeds:
        at += rng.randint(20, 300)
        timed.append(msgspec.structs.replace(deed, at=at))
    return tuple(timed)


def _cut(rng: Random, text: str, chars: int) -> str:
    """A piece of that many characters."""
    begin = rng.randrange(len(text) - chars)
    return text[begin : begin + chars]
