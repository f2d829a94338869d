"""Factors and constraints: what a column computes is what one pair, looked at alone, would have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.inference import FACTORS, Candidate, Seeker
from ml_actors.matching.factors import HOURS_ENOUGH, OPEN, OTHER_LEVEL, fit
from ml_actors.matching.roster import primary
from tests.ml_actors.matching.worlds import ANGLES, roster

DAYS = st.tuples(*[st.integers(0, 2**24 - 1)] * 7) | st.just(())
TAGS = st.lists(st.sampled_from(["en", "en-GB", "es", "fr_CA", "sw"]), max_size=3, unique=True).map(tuple)
WORDS = st.lists(st.sampled_from(sorted(ANGLES)), max_size=3, unique=True).map(tuple)
CANDIDATES = st.builds(
    Candidate,
    user=st.integers(1, 30),
    subjects=WORDS,
    levels=st.integers(0, 2**11 - 1),
    styles=st.integers(0, 255),
    languages=TAGS,
    hours=DAYS,
    utc_offset_min=st.integers(-840, 840),
    spaces=st.lists(st.integers(1, 3), max_size=2, unique=True).map(tuple),
    free=st.integers(0, 3),
    held=st.integers(0, 9),
    good=st.just(0.0),
)
SEEKERS = st.builds(
    Seeker,
    user=st.integers(1, 30),
    subjects=WORDS,
    level=st.integers(0, 10),
    styles=st.integers(0, 255),
    languages=TAGS,
    hours=DAYS,
    utc_offset_min=st.integers(-840, 840),
    space=st.integers(0, 3),
)


@given(st.lists(CANDIDATES, max_size=12), SEEKERS, st.lists(st.integers(1, 30), max_size=4))
def test_nobody_is_fitting_whom_a_constraint_keeps_out(candidates: list[Candidate], seeker: Seeker, without: list[int]) -> None:
    known = roster(*candidates)
    now = {candidate.user: candidate for candidate in candidates}
    fitting = fit(known, seeker, without)
    for row in fitting.rows:
        mentor = now[int(known.user[row])]
        assert mentor.free > 0
        assert mentor.user != seeker.user and mentor.user not in without
        assert not seeker.space or seeker.space in mentor.spaces
        assert not seeker.languages or {*map(primary, seeker.languages)} & {*map(primary, mentor.languages)}
    assert ((fitting.factors >= 0) & (fitting.factors <= 1)).all()


@given(st.lists(CANDIDATES, min_size=1, max_size=12, unique_by=lambda one: one.user), SEEKERS)
def test_a_mentor_has_the_same_factors_in_a_crowd_as_alone(candidates: list[Candidate], seeker: Seeker) -> None:
    crowd = roster(*candidates)
    fitting = fit(crowd, seeker)
    for place, row in enumerate(fitting.rows):
        mentor = next(one for one in candidates if one.user == int(crowd.user[row]))
        alone = fit(roster(mentor), seeker)
        np.testing.assert_allclose(alone.factors[:, 0], fitting.factors[:, place], rtol=1e-6)


@given(DAYS.filter(bool), DAYS.filter(bool))
def test_availability_counts_the_hours_that_both_have(mine: tuple[int, ...], theirs: tuple[int, ...]) -> None:
    common = sum((one & other).bit_count() for one, other in zip(mine, theirs, strict=True))
    enough = max(1, min(HOURS_ENOUGH, sum(day.bit_count() for day in mine)))
    fitting = fit(roster(Candidate(user=1, subjects=(), hours=theirs)), Seeker(user=2, subjects=(), hours=mine))
    assert fitting.factors[FACTORS.index("availability"), 0] == pytest.approx(min(1.0, common / enough))


@given(st.integers(-840, 840), st.integers(-840, 840))
def test_time_zones_are_compared_around_the_clock(mine: int, theirs: int) -> None:
    noon = datetime(2026, 1, 5, 12, tzinfo=UTC)
    clock_mine, clock_theirs = noon + timedelta(minutes=mine), noon + timedelta(minutes=theirs)
    apart = abs((clock_mine - clock_theirs).total_seconds()) / 60 % 1440
    apart = min(apart, 1440 - apart)
    fitting = fit(roster(Candidate(user=1, subjects=(), utc_offset_min=theirs)), Seeker(user=2, subjects=(), utc_offset_min=mine))
    assert fitting.factors[FACTORS.index("time_zone"), 0] == pytest.approx(1 - apart / 720, abs=1e-6)


def test_a_near_subject_counts_less_than_the_same_one_and_a_far_one_nothing() -> None:
    known = roster(*(Candidate(user=user, subjects=(word,)) for user, word in enumerate(("algebra", "mathematics", "physics"), 1)))
    fitting = fit(known, Seeker(user=9, subjects=("Mathematics",)))
    found = dict(zip(known.user[fitting.rows].tolist(), fitting.factors[0].tolist(), strict=True))
    assert found[2] == 1.0
    assert 0 < found[1] < 1.0
    assert 3 not in found


def test_a_language_is_near_to_itself_alone() -> None:
    fitting = fit(roster(Candidate(user=1, subjects=("spanish",)), Candidate(user=2, subjects=("English",))), Seeker(9, ("english",)))
    assert len(fitting.rows) == 1 and fitting.factors[0, 0] == 1.0


def test_who_teaches_another_level_counts_for_less() -> None:
    wanted = Seeker(user=9, subjects=("algebra",), level=3)
    known = roster(Candidate(1, ("algebra",), levels=1 << 3), Candidate(2, ("algebra",), levels=1 << 4), Candidate(3, ("algebra",)))
    assert fit(known, wanted).factors[0].tolist() == pytest.approx([1.0, OTHER_LEVEL, 1.0])


def test_where_nobody_teaches_what_is_wanted_others_are_still_found() -> None:
    fitting = fit(roster(Candidate(user=1, subjects=("physics",))), Seeker(user=9, subjects=("weaving of baskets",)))
    assert fitting.factors[0].tolist() == [0.0]


def test_what_the_seeker_leaves_open_is_the_same_for_everybody() -> None:
    fitting = fit(roster(Candidate(1, ("algebra",), styles=3, languages=("en",)), Candidate(2, ())), Seeker(user=9, subjects=()))
    assert (fitting.factors[:4] == OPEN).all()


@given(st.lists(CANDIDATES, max_size=20), st.lists(st.integers(1, 30), max_size=10))
def test_who_was_dropped_is_found_no_more_and_their_row_serves_another(candidates: list[Candidate], gone: list[int]) -> None:
    known = roster(*candidates)
    for user in gone:
        known.drop(user)
    for candidate in candidates:
        if candidate.user in gone:
            known.put(candidate)
    fresh = {candidate.user: candidate for candidate in candidates}
    assert {*known.rows} == {*fresh}
    asked = Seeker(user=99, subjects=("algebra",), languages=("en",))
    again = roster(*fresh.values())
    assert sorted(known.user[fit(known, asked).rows]) == sorted(again.user[fit(again, asked).rows])
