"""Grading: the same answer is worth the same everywhere, and whatever is written, points stay within their bounds."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.answers import Number, is_right, normalise, readings
from protocol.declaring import Entity, Fields
from protocol.entities import TABLE, check
from protocol.grading import Asked, Form, Graded, asked_of, grade, grade_answer, key_problem

VECTORS: dict[str, list[Any]] = json.loads((Path(__file__).parents[1] / "vectors/learning.json").read_text("utf-8"))
SIZE = 5
places = st.integers(0, SIZE - 1)
options = tuple("abcde")


def asked_in(case: dict[str, Any]) -> Asked:
    return Asked(
        case["form"],
        tuple(f"option {n}" for n in range(case.get("options", 0))),
        tuple(case.get("key", ())),
        tuple(case.get("words", ())),
        case.get("gaps", 1),
    )


# The vectors


@pytest.mark.parametrize("case", VECTORS["grade"], ids=lambda case: case["name"])
def test_an_answer_is_worth_what_the_vectors_say(case: dict[str, Any]) -> None:
    graded = grade(asked_in(case["question"]), case["answer"].get("choices", ()), case["answer"].get("text", ""))
    assert (None if graded is None else [graded.points, graded.words]) == case["graded"]


def test_words_are_compared_as_the_vectors_say() -> None:
    for written, plain, marked in VECTORS["normalise"]:
        assert (normalise(written), normalise(written, marks_count=True)) == (plain, marked), written
    for text, numbers in VECTORS["numbers"]:
        assert readings(text) == tuple(Number(*number) for number in numbers), text
    for written, accepted, right in VECTORS["words"]:
        assert is_right(written, accepted) is right, (written, accepted)


# Whatever is written


@given(st.text())
def test_what_was_normalised_is_normal(text: str) -> None:
    for marks_count in (False, True):
        once = normalise(text, marks_count=marks_count)
        assert normalise(once, marks_count=marks_count) == once


@given(st.integers(-(10**9), 10**9), st.integers(0, 6))
def test_a_number_is_found_however_it_is_written(digits: int, at: int) -> None:
    sign, body = ("-" if digits < 0 else ""), str(abs(digits)).zfill(at + 1)
    whole, part = body[: len(body) - at], body[len(body) - at :]
    for point in ".,":
        text = f" {sign}{whole}{point}{part} " if part else f"{sign}{whole}"
        assert Number(digits, at) in readings(text)
        assert is_right(text, f"{sign}{whole}.{part}" if part else text)


@given(st.integers(-1000, 1000), st.integers(-1000, 1000), st.integers(0, 50))
def test_a_number_is_right_within_its_tolerance_and_no_further(wanted: int, written: int, tolerance: int) -> None:
    assert is_right(f"{written / 10:.1f}", f"{wanted / 10:.1f}±{tolerance / 10:.1f}") is (abs(wanted - written) <= tolerance)


@given(
    st.sampled_from(Form),
    st.lists(places, max_size=6).map(tuple),
    st.lists(st.sampled_from(["", "a", "b|c", "3±1"]), max_size=4).map(tuple),
    st.integers(1, 3),
    st.lists(st.integers(0, 99), max_size=8),
    st.sampled_from(["", "a", "b\nc", "c", "4"]),
    st.booleans(),
)
def test_points_are_whole_if_and_only_if_it_is_right(
    form: Form, key: tuple[int, ...], words: tuple[str, ...], gaps: int, choices: list[int], text: str, chooses: bool
) -> None:
    asked = Asked(form, options if chooses else (), key, words, gaps)
    graded = grade(asked, choices, text)
    assert (graded is None) == bool(key_problem(asked))
    if graded is not None:
        assert 0 <= graded.points <= 100
        assert graded.right == (graded.points == 100) == (graded.words == "right")


@given(st.sets(places, min_size=1), st.sets(places, min_size=1))
def test_of_several_choices_a_further_right_one_never_costs_and_a_further_wrong_one_never_helps(key: set[int], chosen: set[int]) -> None:
    asked = Asked(Form.SEVERAL, options, tuple(sorted(key)))

    def points(choices: set[int]) -> int:
        graded = grade(asked, sorted(choices), "")
        assert graded is not None
        return graded.points

    for place in range(SIZE):
        if place not in chosen:
            grows = points(chosen | {place}) - points(chosen)
            assert grows >= 0 if place in key else grows <= 0
    assert (points(chosen) == 100) == (chosen == key)


def test_of_an_order_only_the_right_one_has_all_points_and_moving_one_thing_costs_one() -> None:
    key = (3, 1, 0, 2)
    asked = Asked(Form.ORDER, options[:4], key)
    for given_order in permutations(range(4)):
        graded = grade(asked, given_order, "")
        assert graded is not None and graded.right == (given_order == key)
        moved = any(tuple(one for one in given_order if one != thing) == tuple(one for one in key if one != thing) for thing in range(4))
        assert (graded.points >= 66) == moved


# Records


def test_the_key_of_an_exam_is_only_the_one_that_stands_apart() -> None:
    question: Fields = {2: 0, 3: "Which?", 4: ("a", "b"), 5: (0,), 10: True}
    check(TABLE[Entity.QUESTION], question)
    assert grade_answer(question, {2: (0,)}) is None
    assert grade_answer(question, {2: (0,)}, {1: (1,)}) == Graded(0, False, "wrong")
    assert grade_answer({**question, 10: False}, {2: (0,)}, {1: (1,)}) == Graded(100, True, "right")


def test_a_clozes_gaps_are_counted_in_its_prompt() -> None:
    assert asked_of({2: 2, 3: "Water is ___ and ______.", 6: ("H", "O")}).gaps == 2
    assert asked_of({2: 2, 3: "Water is __."}).gaps == 1
    assert asked_of({}).gaps == 1


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        (Asked(0, ("a",), (0,)), "options: at least 2 to choose from, not 1"),
        (Asked(1, ("a", "b"), (0, 0)), "key: an option is named twice"),
        (Asked(0, ("a", "b"), (4,)), "key: place 4 is beyond the 2 options"),
        (Asked(2, ("a", "b"), (1,), gaps=2), "key: the prompt has 2 gaps, and the key 1"),
        (Asked(7), "form: 7 is none of 0 choice, 1 several, 2 cloze, 3 order, 4 short"),
    ],
)
def test_a_key_that_cannot_be_used_says_why(asked: Asked, problem: str) -> None:
    assert key_problem(asked) == problem


def test_alternatives_beyond_their_bound_are_none() -> None:
    entry = "|".join(f"w{n}" for n in range(30))
    for n, right in ((19, True), (20, False)):
        graded = grade(Asked(Form.SHORT, words=(entry,)), (), f"w{n}")
        assert graded is not None and graded.right is right
