"""Every test runs once, modules stay whole, and one worker is always left to compute while there is something to compute."""

from __future__ import annotations

from pathlib import Path

from tests.side_by_side import next_unit, unit_of, waits

LIFE = ("@life", ["tests/system/test_life.py::test_one", "tests/system/test_epoch.py::test_two"])
CROWD = ("tests/bench/test_crowd.py", [f"tests/bench/test_crowd.py::test_{n}" for n in range(9)])
SMALL = ("tests/actors/test_inbox.py", ["tests/actors/test_inbox.py::test_one"])
LARGE = ("tests/protocol/test_vectors.py", [f"tests/protocol/test_vectors.py::test_it[{n}]" for n in range(40)])
UNITS = [SMALL, CROWD, LARGE, LIFE]


def taken(at_work: list[bool], units: list[tuple[str, list[str]]] = UNITS) -> str:
    return units[next_unit(units, at_work)][0]


def test_a_module_is_one_unit_and_so_are_those_of_one_group(tmp_path: Path) -> None:
    for name, mark in (
        ("one", 'pytest.mark.xdist_group("life")'),
        ("two", 'pytest.mark.xdist_group("life")'),
        ("three", "pytest.mark.trio"),
    ):
        (tmp_path / f"{name}.py").write_text(f"import pytest\n\npytestmark = {mark}\n")
    assert [unit_of(tmp_path, f"{name}.py") for name in ("one", "two", "three")] == ["@life", "@life", "three.py"]


def test_groups_come_before_modules_and_large_ones_before_small_ones() -> None:
    assert taken([]) == "@life"
    assert taken([], [CROWD, SMALL]) == "tests/bench/test_crowd.py"
    assert taken([True]) == "tests/protocol/test_vectors.py"


def test_of_three_workers_two_wait_at_most_while_there_is_something_to_compute() -> None:
    assert waits(LIFE[1]) and waits(CROWD[1]) and not waits(SMALL[1])
    assert taken([True, False]) == "@life"
    assert taken([True, True]) == "tests/protocol/test_vectors.py"
    assert taken([True, True], [CROWD, LIFE]) == "@life"
    assert taken([False, False], [SMALL, LARGE]) == "tests/protocol/test_vectors.py"
