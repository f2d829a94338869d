"""What is noticed about learning: by one's own habits, for reasons that add up, and what comes next."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.insights import (
    ACTIVE_BITS,
    Activity,
    Kind,
    Noticed,
    Tried,
    choose_next,
    mark_active,
    notice,
    points_of,
    risk,
    rule_chance,
    stuck_in,
)
from protocol.curriculum import Step
from protocol.entities import TABLE, Entity, check

TODAY = date(2026, 11, 23)
days = st.integers(0, 200).map(lambda ago: TODAY - timedelta(days=ago))
answers = st.lists(st.builds(Tried, st.integers(0, 5), st.booleans(), st.integers(0, 2**31)), max_size=40)


def active(*ago: int, since: int = 100) -> Activity:
    """Somebody who did something so many days ago."""
    bits, on = 0, TODAY - timedelta(days=since)
    for one in sorted(ago, reverse=True):
        day = TODAY - timedelta(days=one)
        bits, on = mark_active(bits, on, day) if bits else (1, day)
    return Activity(bits, on, TODAY - timedelta(days=since))


def tries(*right: bool, lesson: int = 1) -> list[Tried]:
    return [Tried(lesson, one, at) for at, one in enumerate(right)]


@given(st.lists(days, min_size=1, max_size=20))
def test_activity_is_the_set_of_days_that_are_remembered_in_whatever_order_they_come(found: list[date]) -> None:
    bits, on = 1, found[0]
    for day in found[1:]:
        bits, on = mark_active(bits, on, day)
    newest = max(found)
    wanted = {day for day in found if (newest - day).days < ACTIVE_BITS}
    assert on == newest and {newest - timedelta(days=ago) for ago in range(ACTIVE_BITS) if bits >> ago & 1} == wanted
    activity = Activity(bits, on, newest)
    assert activity.days_between(0, ACTIVE_BITS - 1, newest) == len(wanted)


@given(st.lists(st.integers(0, 60), max_size=20, unique=True), answers, st.integers(0, 9))
def test_a_risk_is_the_sum_of_its_reasons_within_its_bounds(ago: list[int], tried: list[Tried], stuck: int) -> None:
    reasons = risk(active(*ago), tried, stuck, TODAY)
    assert all(0 < reason.points <= 50 for reason in reasons) and 0 <= points_of(reasons) <= 100
    assert sum(reason.points for reason in reasons) == points_of(reasons)
    assert list(reasons) == sorted(reasons, key=lambda one: -one.points)
    assert len(",".join(f"{one.words}={one.points}" for one in reasons)) <= 200
    assert risk(active(*ago), tried, stuck, TODAY, over=True) == ()


@given(st.lists(st.integers(0, 20), min_size=3, max_size=15, unique=True), st.integers(0, 40))
def test_longer_silence_never_lowers_what_silence_says(ago: list[int], more: int) -> None:
    def silent(later: int) -> int:
        return sum(one.points for one in risk(active(*ago), (), 0, TODAY + timedelta(days=later)) if one.words.startswith("silent"))

    assert silent(more) <= silent(more + 1)


@pytest.mark.parametrize(
    ("activity", "tried", "stuck", "words"),
    [
        (active(0, 1, 2, 3), [], 0, []),
        (active(4, 5, 6, 7), [], 0, []),
        (active(6, 7, 8, 9), [], 0, [("silent:6", 24)]),
        (active(0, 7, 14, 21), [], 0, []),
        (active(12, 19, 26), [], 0, []),
        (active(5, 15, 17, 19, 21), [], 0, [("fewer:1:4", 15)]),
        (active(0, 1), tries(*([True] * 4 + [False] * 4)), 0, [("wrong:4:8", 10)]),
        (active(0, 1), tries(*([False] * 7)), 3, [("stuck:3", 10)]),
        (active(since=8), [], 0, [("never:8", 30)]),
        (active(since=6), [], 0, []),
    ],
)
def test_a_risk_has_the_reasons_that_the_table_in_the_documentation_has(
    activity: Activity, tried: list[Tried], stuck: int, words: list[tuple[str, int]]
) -> None:
    assert [(one.words, one.points) for one in risk(activity, tried, stuck, TODAY)] == words


def test_one_who_comes_every_week_is_not_called_silent_after_a_week() -> None:
    weekly, daily = active(9, 16, 23, 30), active(9, 10, 11, 12)
    assert not any(one.words.startswith("silent") for one in risk(weekly, (), 0, TODAY))
    assert any(one.words.startswith("silent") for one in risk(daily, (), 0, TODAY))


@given(answers, st.lists(st.integers(0, 60), max_size=5, unique=True))
def test_whatever_is_noticed_fits_in_a_record_and_has_a_key_of_its_own(tried: list[Tried], ago: list[int]) -> None:
    stuck = stuck_in(tried)
    noticed = notice(tried, risk(active(*ago), tried, len(stuck), TODAY))
    assert len({one.key for one in noticed}) == len(noticed) <= 12
    assert not {one.lesson for one in noticed if one.kind is Kind.STRENGTH} & set(stuck), "nobody is strong where they are stuck"
    for one in noticed:
        check(TABLE[Entity.INSIGHT], {1: int(one.kind), 3: one.lesson, 4: one.value, 5: one.words, 6: 0})


def test_a_right_answer_ends_being_stuck() -> None:
    assert stuck_in(tries(False, False, False)) == {1: 3}
    assert stuck_in(tries(False, False, False, True)) == {} and stuck_in(tries(True, False, False)) == {}


def test_the_key_of_what_was_noticed_stays_as_the_figures_change() -> None:
    assert Noticed(Kind.STUCK, 1, 3, "stuck:3").key == Noticed(Kind.STUCK, 1, 4, "stuck:4").key
    assert Noticed(Kind.STUCK, 1, 3, "stuck:3").key != Noticed(Kind.STUCK, 2, 3, "stuck:3").key
    assert Noticed(Kind.RISK, 0, 3, "silent:3").key != Noticed(Kind.RISK, 0, 3, "stuck:3").key


def test_where_practice_helps_most_comes_first_and_what_must_come_before_stays_in_front() -> None:
    steps = [Step(1, "prepare:9"), Step(2, "path:5"), Step(3, "path:5"), Step(4, "course:6")]
    chosen = choose_next(steps, {1: 0.99, 2: 0.98, 3: 0.5, 4: 0.05}, by_rule=False)
    assert [(one.lesson, one.chance, one.why) for one in chosen] == [
        (1, 99, "prepare:9"),
        (3, 50, "path:5"),
        (4, 5, "course:6"),
        (2, 98, "path:5"),
    ]
    assert all(one.why.endswith(";rule") for one in choose_next(steps, {}, by_rule=True))


@given(
    st.lists(st.tuples(st.integers(1, 30), st.sampled_from(("new", "path:5", "continue:10"))), max_size=20, unique_by=lambda one: one[0])
)
def test_small_differences_leave_the_order_in_which_lessons_were_written(steps: list[tuple[int, str]]) -> None:
    made = [Step(*one) for one in steps]
    ordered = sorted(made, key=lambda step: not step.why.startswith("continue"))
    chances = {step.lesson: 0.5 + 0.01 * (place % 3) for place, step in enumerate(made)}
    assert [one.lesson for one in choose_next(made, chances, by_rule=False)] == [step.lesson for step in ordered][:8]


@given(answers, st.integers(0, 5))
def test_the_rule_is_a_chance_and_a_right_answer_never_lowers_it(tried: list[Tried], lesson: int) -> None:
    chance = rule_chance(tried, lesson)
    assert 0 < chance < 1 and rule_chance([*tried[-19:], Tried(lesson, True, 0)], lesson) >= rule_chance(tried[-19:], lesson)
