"""The proof of jobs: killed workers lose nothing and do nothing twice, and a queue without fencing does, which the verdict finds."""

from __future__ import annotations

import re

import msgspec
import pytest

from proofs import jobs
from proofs.jobbing.verdict import Found, Ordered, judge

WRONG = ("lost", "twice", "of no order", "repeats under another key", "keys left behind", "ticks wrong", "dead letters wrong", "left over")


def counts(text: str) -> dict[str, int]:
    return {name: int(count) for name in WRONG for count in re.findall(rf"{name} (\d+)", text)}


def test_killed_workers_lose_nothing_and_do_nothing_twice(capsys: pytest.CaptureFixture[str]) -> None:
    assert jobs.main(["--seconds", "4", "--seed", "7"]) == 0
    printed = capsys.readouterr().out
    assert counts(printed) == dict.fromkeys(WRONG, 0)
    found = re.search(r"killed (\d+) times; (\d+) orders, (\d+) effects, (\d+) ticks", printed)
    assert found is not None
    kills, orders, effects, ticks = map(int, found.groups())
    assert kills > 0 and orders >= effects > 50 and ticks > 0


# The verdict

ORDERED = Ordered(effects={1, 2, 3, 4}, told={10, 11}, doomed={20}, undone={30}, cancelled={4}, levels={"k": 40}, orders=8)
FOUND = Found(
    effects=[1, 2, 3],
    told=[(10, "a"), (11, "b"), (11, "b")],
    levels={"k": 40},
    ticks=5,
    fired=5,
    dead=[("doomed", 20)],
    left=0,
    ticks_due_max=6,
)


def test_what_is_whole_is_good_and_nothing_at_all_is_not() -> None:
    verdict = judge(ORDERED, FOUND)
    assert verdict.good
    assert (verdict.orders, verdict.done, verdict.repeats) == (8, 5, 1)
    assert not judge(Ordered(), Found([], [], {}, 0, 0, [], 0, 6)).good


@pytest.mark.parametrize(
    ("found", "count"),
    [
        ({"effects": [1, 2]}, "lost"),
        ({"told": [(10, "a")]}, "lost"),
        ({"effects": [1, 2, 3, 3]}, "twice"),
        ({"effects": [1, 2, 3, 4]}, "foreign"),
        ({"effects": [1, 2, 3, 30]}, "foreign"),
        ({"told": [(10, "a"), (11, "b"), (11, "c")]}, "unlike"),
        ({"levels": {"k": 39}}, "behind"),
        ({"levels": {}}, "behind"),
        ({"ticks": 6}, "ticks_wrong"),
        ({"ticks": 7, "fired": 7}, "ticks_wrong"),
        ({"dead": []}, "undead"),
        ({"dead": [("doomed", 20), ("effect", 1)]}, "undead"),
        ({"left": 1}, "left"),
    ],
)
def test_the_verdict_finds(found: dict[str, object], count: str) -> None:
    verdict = judge(ORDERED, msgspec.structs.replace(FOUND, **found))
    assert getattr(verdict, count) == 1
    assert not verdict.good
