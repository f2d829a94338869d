"""The checker of max-write-wins: it believes what a maximum can do, and finds each kind of thing that it cannot."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import msgspec
import pytest

from proofs.maxwrite.history import Final, History, Told, Write
from proofs.maxwrite.verdict import judge
from protocol.merge import Outcome

DEVICES = (1, 2, 3)
LESSONS = (10, 11)


def made(seed: int, writes: int = 40) -> History:
    """What a register that keeps the maximum does, one write after the other; devices see it with a lag."""
    chance = Random(seed)
    percent: dict[int, int] = {}
    version: dict[int, int] = {}
    told: list[Told] = []
    done: list[Write] = []
    for mark in range(1, writes + 1):
        lesson, value = chance.choice(LESSONS), chance.randint(1, 100)
        write = Write(mark, chance.choice(DEVICES), lesson, value, max(0, len(told) - chance.randint(0, 3)))
        if value > percent.get(lesson, 0):
            percent[lesson] = value
            version[lesson] = version.get(lesson, 0) + 1
            told.append(Told(len(told) + 1, lesson, version[lesson], value, mark))
            write.outcome = Outcome.APPLIED
        else:
            write.outcome = Outcome.SUPERSEDED
        write.version = version[lesson]
        done.append(write)
    finals = [Final(f"device {d}", lesson, version[lesson], percent[lesson]) for d in DEVICES for lesson in percent]
    return History(1, done, {device: list(told) for device in DEVICES}, finals)


def test_writes_of_one_batch_may_be_told_together() -> None:
    history = made(3)
    lesson = next(lesson for lesson in LESSONS if sum(one.lesson == lesson for one in history.told[1]) > 1)
    first = next(n for n, one in enumerate(history.told[1]) if one.lesson == lesson)
    for told in history.told.values():
        del told[first]
    for write in history.writes:
        write.seen = 0
    assert judge(history) == []


@pytest.mark.parametrize("seed", range(30))
def test_what_a_maximum_does_is_believed(seed: int) -> None:
    assert judge(made(seed)) == []


def _lose_a_write(history: History) -> None:
    history.writes[3].outcome = None


def _stick(history: History) -> None:
    history.open = 1


def _diverge(history: History) -> None:
    final = history.finals[0]
    history.finals[0] = Final(final.holder, final.lesson, final.version, final.percent - 1)


def _other_version(history: History) -> None:
    final = history.finals[0]
    history.finals[0] = Final(final.holder, final.lesson, final.version + 1, final.percent)


def _know_nothing(history: History) -> None:
    del history.finals[0]


def _swap_two(history: History) -> None:
    told = history.told[DEVICES[1]]
    told[0], told[1] = told[1], told[0]


def _fall(history: History) -> None:
    for told in history.told.values():
        last = next(n for n in reversed(range(len(told))) if told[n].version > 1)
        told[last] = msgspec.structs.replace(told[last], percent=0, mark=None)


def _write_lower(history: History) -> None:
    next(one for one in reversed(history.writes) if one.outcome is Outcome.APPLIED and one.version > 1).percent = 0


def _say_one_version_twice(history: History) -> None:
    last = next(one for one in reversed(history.writes) if one.outcome is Outcome.APPLIED and one.version > 1)
    last.version -= 1


def _make_up_a_mark(history: History) -> None:
    for told in history.told.values():
        told[0] = msgspec.structs.replace(told[0], mark=999)


def _tear(history: History) -> None:
    for told in history.told.values():
        told[0] = msgspec.structs.replace(told[0], percent=(told[0].percent or 0) + 1)


def _double(history: History) -> None:
    for told in history.told.values():
        told.append(msgspec.structs.replace(told[-1], seq=told[-1].seq + 1, version=told[-1].version + 1))


def _vanish(history: History) -> None:
    for told in history.told.values():
        del told[-1]


def _answer_before_the_question(history: History) -> None:
    write = next(one for one in reversed(history.writes) if one.outcome is Outcome.APPLIED)
    write.seen = len(history.told[1])


def _refuse(history: History) -> None:
    history.writes[0].refusal = "16"


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (_lose_a_write, "lost"),
        (_stick, "stuck"),
        (_diverge, "diverged"),
        (_other_version, "diverged"),
        (_know_nothing, "diverged"),
        (_swap_two, "diverged"),
        (_fall, "fell"),
        (_write_lower, "fell"),
        (_say_one_version_twice, "doubled"),
        (_make_up_a_mark, "unheard of"),
        (_tear, "torn"),
        (_double, "doubled"),
        (_vanish, "vanished"),
        (_answer_before_the_question, "before its cause"),
        (_refuse, "refused"),
    ],
)
def test_what_a_maximum_cannot_do_is_found(spoil: Callable[[History], None], word: str) -> None:
    history = made(7)
    spoil(history)
    assert any(line.startswith(word) for line in judge(history)), judge(history)
