"""What comes next: always something that may be begun, until there is nothing left to learn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.curriculum import (
    DRAFT,
    PUBLISHED,
    RETIRED,
    Checkpoint,
    Lesson,
    Standing,
    Step,
    checkpoints_of,
    find_cycle,
    in_order,
    lesson_of,
    next_lessons,
)

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "vectors/learning.json").read_text("utf-8"))["next"]
KEYS = st.integers(1, 8)
CHECKPOINTS = st.dictionaries(
    KEYS, st.builds(lambda asked, points: Checkpoint(asked, asked, asked * points), st.integers(1, 3), st.sampled_from([0, 59, 60, 100]))
)
PROGRESS = st.dictionaries(KEYS, st.sampled_from([0, 1, 40, 99, 100]))


@st.composite
def lessons_of(draw: st.DrawFn, *, acyclic: bool = False) -> dict[int, Lesson]:
    made = {}
    for key in draw(st.sets(KEYS)):
        requires = draw(st.sets(st.integers(1, 9), max_size=3))
        if acyclic:
            requires = {one for one in requires if one < key}
        state = draw(st.sampled_from([PUBLISHED, PUBLISHED, PUBLISHED, DRAFT, RETIRED]))
        made[key] = Lesson(key, draw(st.integers(0, 2)), draw(st.integers(0, 3)), draw(st.integers(0, 2)), tuple(sorted(requires)), state)
    return made


def chain(*keys: int) -> dict[int, Lesson]:
    """Each requires the one before."""
    return {key: Lesson(key, 1, at, requires=keys[at - 1 : at] if at else ()) for at, key in enumerate(keys)}


@given(lessons_of(), st.randoms())
def test_every_lesson_has_one_place_whatever_the_order_in_which_they_come(lessons: dict[int, Lesson], random: object) -> None:
    shuffled = list(lessons.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert in_order(dict(shuffled)) == in_order(lessons)
    assert sorted(in_order(lessons)) == sorted(lessons)


@given(lessons_of(acyclic=True))
def test_a_lesson_comes_after_all_that_it_requires(lessons: dict[int, Lesson]) -> None:
    ordered = in_order(lessons)
    for key, lesson in lessons.items():
        assert all(ordered.index(one) < ordered.index(key) for one in lesson.requires if one in lessons)
        assert find_cycle(lessons, lesson) == ()


@given(lessons_of())
def test_a_lesson_that_would_close_a_cycle_is_named_with_the_way_round(lessons: dict[int, Lesson]) -> None:
    for lesson in lessons.values():
        way = find_cycle(lessons, lesson)
        if way:
            round_trip = (lesson.key, *way) if way != (lesson.key,) else (lesson.key,)
            for one, following in zip(round_trip, (*round_trip[1:], lesson.key), strict=True):
                assert following in lessons[one].requires


def test_a_cycle_begins_with_the_lesson_that_comes_first_by_its_place() -> None:
    lessons = {1: Lesson(1, 1, 5, requires=(2,)), 2: Lesson(2, 1, 3, requires=(1,)), 3: Lesson(3, 1, 0, requires=(1,)), 4: Lesson(4, 1, 9)}
    assert in_order(lessons) == [4, 2, 1, 3]
    assert find_cycle(lessons, lessons[1]) == (2,) and find_cycle(lessons, lessons[3]) == ()
    assert find_cycle({}, Lesson(1, requires=(1,))) == (1,)
    assert next_lessons(lessons, progress={4: 100}, limit=1) == (Step(2, "new"),)


def test_a_failed_checkpoint_leads_back_as_far_as_what_is_open() -> None:
    lessons = {1: Lesson(1), 2: Lesson(2, requires=(1,)), 8: Lesson(8, requires=(2,))}
    steps = next_lessons(lessons, progress={8: 100}, checkpoints={8: Checkpoint(3, 3, 30)})
    assert [step.lesson for step in steps] == [1, 8]


@settings(max_examples=60)
@given(lessons_of(), PROGRESS, CHECKPOINTS, st.lists(KEYS, max_size=4), st.booleans(), st.randoms())
def test_whoever_always_does_what_comes_next_has_done_everything_in_the_end(
    lessons: dict[int, Lesson],
    progress: dict[int, int],
    checkpoints: dict[int, Checkpoint],
    path: list[int],
    enrolled: bool,
    random: object,
) -> None:
    paths, courses = ({5: path} if path else {}), ({1} if enrolled else set())
    for _ in range(40):
        steps = next_lessons(lessons, progress=progress, checkpoints=checkpoints, paths=paths, courses=courses)
        if not steps:
            break
        assert len({step.lesson for step in steps}) == len(steps) <= 8
        stand = Standing(lessons, progress, checkpoints)
        assert all(stand.is_open(step.lesson) or stand.failed(step.lesson) for step in steps)
        assert all(lessons[step.lesson].state != DRAFT for step in steps)
        chosen = random.choice(steps).lesson  # type: ignore[attr-defined]
        progress = {**progress, chosen: 100}
        checkpoints = {**checkpoints, chosen: Checkpoint(1, 1, 100)}
    else:
        raise AssertionError("there was always something more")
    stand = Standing(lessons, progress, checkpoints)
    assert not [key for key in lessons if stand.is_open(key) and stand.percent(key) == 0], "what may be begun is offered"


def test_what_is_half_done_comes_first_then_what_failed_then_the_path_and_then_the_course() -> None:
    lessons = {**chain(1, 2, 3, 4), 8: Lesson(8, 2, 0), 9: Lesson(9, 2, 1)}
    steps = next_lessons(
        lessons,
        progress={1: 100, 2: 100, 9: 30},
        checkpoints={2: Checkpoint(2, 2, 60)},
        paths={5: [1, 2, 8]},
        courses={1},
    )
    assert [(step.lesson, step.why) for step in steps] == [(9, "continue:30"), (2, "repeat:30"), (8, "path:5")]


def test_a_failed_checkpoint_leads_back_to_what_the_lesson_requires_and_that_is_not_known_either() -> None:
    failed = Checkpoint(1, 1, 0)
    steps = next_lessons(chain(1, 2, 3), progress={1: 100, 2: 100, 3: 100}, checkpoints={1: failed, 3: failed}, courses={1})
    assert [step.why for step in steps] == ["repeat:0", "repeat:0"] and [step.lesson for step in steps] == [1, 3]
    steps = next_lessons(chain(1, 2), progress={2: 100}, checkpoints={2: failed})
    assert [(step.lesson, step.why) for step in steps] == [(1, "prepare:2"), (2, "repeat:0")]


def test_a_path_leads_first_through_what_its_steps_require_and_a_finished_one_leads_nowhere() -> None:
    lessons = {**chain(1, 2, 3), 7: Lesson(7, 9)}
    assert next_lessons(lessons, progress={}, paths={5: [3]}) == (Step(1, "prepare:3"),)
    assert next_lessons(lessons, progress={1: 100, 2: 100, 3: 100}, paths={5: [3]}) == (Step(7, "new"),)


def test_a_lesson_that_is_a_draft_again_is_offered_by_no_path_to_whoever_began_it() -> None:
    assert next_lessons({2: Lesson(2, state=DRAFT), 3: Lesson(3)}, progress={2: 1}, paths={5: [2]}) == (Step(3, "new"),)


class Counted(dict[int, Lesson]):
    """Lessons; how often one was looked at."""

    looks = 0

    def __getitem__(self, key: int) -> Lesson:
        self.looks += 1
        return super().__getitem__(key)


def test_a_course_of_twice_as_many_lessons_costs_twice_as_much_and_not_four_times() -> None:
    looks = []
    for size in (100, 200):
        lessons = Counted(chain(*range(1, size + 1)))
        assert next_lessons(lessons, progress={}, paths={5: range(size, 0, -1)}, courses={1}) == (Step(1, f"prepare:{size}"),)
        looks.append(lessons.looks)
    assert looks[1] < 2.2 * looks[0]


def test_what_is_beyond_the_limit_is_not_looked_for() -> None:
    lessons = Counted({key: Lesson(key, 1, key) for key in range(1, 101)})
    steps = next_lessons(lessons, progress=dict.fromkeys(range(1, 9), 50), courses={1})
    assert [step.why for step in steps] == ["continue:50"] * 8
    assert next_lessons(lessons, progress={1: 50}, courses={1}, limit=3) == (
        Step(1, "continue:50"),
        Step(2, "course:1"),
        Step(3, "course:1"),
    )


def test_a_lesson_that_was_begun_stays_open_whatever_is_required_of_it_later() -> None:
    revised = {1: Lesson(1, 1, 0), 2: Lesson(2, 1, 1, requires=(1,), state=RETIRED)}
    assert next_lessons(revised, progress={2: 40})[0] == Step(2, "continue:40")
    assert all(step.lesson != 2 for step in next_lessons(revised, progress={1: 100})), "retired, and never begun"
    assert Standing(revised, {2: 100}, {2: Checkpoint(3, 1, 0)}).done(2), "questions that came later ask for nothing again"


def test_what_is_required_and_not_there_or_asked_of_nobody_is_passed_over() -> None:
    lessons = {
        1: Lesson(1, 1, 0, state=RETIRED),
        2: Lesson(2, 1, 1, requires=(1, 99)),
        3: Lesson(3, 1, 2, requires=(4,)),
        4: Lesson(4, state=DRAFT),
    }
    assert [step.lesson for step in next_lessons(lessons, progress={})] == [2, 3]


def test_records_are_read_as_they_are_written() -> None:
    assert lesson_of(7, {1: "Water", 3: 2, 4: 5, 6: 3, 7: (8, 9), 8: 1}) == Lesson(7, 2, 5, 3, (8, 9), PUBLISHED)
    assert lesson_of(7, {}) == Lesson(7, state=DRAFT)
    assert checkpoints_of({1: 7, 2: 7, 3: 8}, {1: 100, 2: 0}) == {7: Checkpoint(2, 2, 100), 8: Checkpoint(1, 0, 0)}


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["name"])
def test_lessons_stand_and_follow_as_the_vectors_say(case: dict[str, Any]) -> None:
    lessons = {
        key: Lesson(key, course, order, level, tuple(requires), state) for key, course, order, level, requires, state in case["lessons"]
    }
    steps = next_lessons(
        lessons,
        progress=dict(case.get("progress", ())),
        checkpoints={lesson: Checkpoint(*stands) for lesson, *stands in case.get("checkpoints", ())},
        paths=dict(case.get("paths", ())),
        courses=set(case.get("courses", ())),
        level=case.get("level", 0),
    )
    assert in_order(lessons) == case["order"]
    assert [[step.lesson, step.why] for step in steps] == case["next"]
