"""The score: its bounds, what moves it and how it heals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.trust import (
    ADDRESS,
    COMMUNITY_HARM_MAX,
    DEEDS_MOST,
    HARM_HALF_DAYS,
    START,
    TIME_MOST,
    UNFOUNDED_FREE,
    VOUCHED_HALF,
    VOUCHED_MOST,
    Fact,
    FactKind,
    History,
    harm,
    kept_share,
    parts,
    says,
    score,
)
from actors.trust_flow import UNIT
from actors.trust_gates import Gate, Thresholds
from actors.trust_words import Circumstances, explain

DAY = 20_000
FACTS = st.lists(
    st.builds(Fact, st.sampled_from(list(FactKind)).map(int), st.integers(DAY - 3000, DAY + 10), st.floats(0, 1), st.integers(0, 3)),
    max_size=30,
)
HISTORIES = st.builds(History, st.integers(DAY - 4000, DAY + 3), st.booleans(), st.integers(0, 50 * UNIT), FACTS)


@given(HISTORIES, st.integers(DAY - 100, DAY + 5000))
def test_the_score_lies_between_0_and_1_whatever_happened(history: History, day: int) -> None:
    found = parts(history, day)
    assert 0.0 <= found.score <= 1.0
    assert 0.0 <= found.kept <= 1.0
    told = explain(found, Circumstances(), Thresholds())
    assert round(sum(part.points for part in told.parts) * told.kept, 2) == pytest.approx(told.trust, abs=0.02)
    assert all(0.0 <= part.points <= part.most for part in told.parts)


def test_the_parts_make_one_and_no_more() -> None:
    assert START + ADDRESS + TIME_MOST + VOUCHED_MOST + DEEDS_MOST == pytest.approx(1.0)


@given(HISTORIES, st.randoms())
def test_the_order_of_facts_is_of_no_concern(history: History, chance: object) -> None:
    facts = list(history.facts)
    chance.shuffle(facts)  # type: ignore[attr-defined]
    assert score(History(history.joined, history.verified, history.standing, facts), DAY) == score(history, DAY)


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_whoever_does_nothing_is_never_trusted_less_for_it(earlier: int, later: int) -> None:
    first, then = sorted((earlier, later))
    assert score(History(DAY), DAY + first) <= score(History(DAY), DAY + then) <= START + TIME_MOST


@given(HISTORIES, st.integers(0, 10 * UNIT))
def test_more_standing_is_never_less_trust(history: History, more: int) -> None:
    higher = History(history.joined, history.verified, history.standing + more, history.facts)
    assert score(higher, DAY) >= score(history, DAY)


def test_an_upheld_report_halves_the_score_and_half_a_year_heals_half_of_that() -> None:
    fact = Fact(FactKind.REPORT_UPHELD, DAY)
    assert kept_share([fact], DAY) == 0.5
    assert harm([fact], DAY + HARM_HALF_DAYS) == pytest.approx(0.5, abs=0.02)
    assert kept_share([fact], DAY + 4 * HARM_HALF_DAYS) > 0.95


def test_what_the_staff_of_one_community_finds_is_bounded_and_what_the_platform_finds_is_not() -> None:
    there = [Fact(FactKind.REPORT_UPHELD, DAY, 1.0, space=5)] * 30
    here = [Fact(FactKind.REPORT_UPHELD, DAY)] * 3
    assert harm(there, DAY) == COMMUNITY_HARM_MAX
    assert harm([*there, *here], DAY) == COMMUNITY_HARM_MAX + 3


def test_a_report_about_one_that_was_rejected_costs_nothing() -> None:
    assert kept_share([Fact(FactKind.REPORT_REJECTED, DAY)] * 50, DAY) == 1.0


def test_to_be_wrong_now_and_then_costs_a_reporter_nothing_and_to_be_so_always_does() -> None:
    wrong = Fact(FactKind.REPORT_UNFOUNDED, DAY)
    assert kept_share([wrong] * int(UNFOUNDED_FREE), DAY) == 1.0
    assert 0.5 < kept_share([wrong] * 10, DAY) < 0.6


def test_a_word_shared_among_many_is_worth_less_than_for_one() -> None:
    def gain(standing: int) -> float:
        return score(History(DAY, standing=standing), DAY) - START

    assert gain(VOUCHED_HALF) == pytest.approx(VOUCHED_MOST / 2)
    assert 10 * gain(VOUCHED_HALF // 10) < gain(VOUCHED_HALF) / 5


def test_saying_so_counts_by_standing() -> None:
    assert (says(0), says(UNIT // 4), says(9 * UNIT)) == (0.0, 0.5, 1.0)


def test_two_teachers_words_make_a_mentor_and_one_does_not() -> None:
    threshold = Thresholds().of(Gate.MENTORING)
    one = score(History(DAY, verified=True, standing=UNIT // 4), DAY)
    two = score(History(DAY, verified=True, standing=UNIT // 2), DAY)
    assert one < threshold <= two


def test_waiting_alone_never_opens_what_needs_others() -> None:
    patient = score(History(DAY - 9000, verified=True), DAY)
    assert Thresholds().mentions <= patient < Thresholds().mentoring
