"""Fixed weights: who fits nobody is not among them, what is better is not worse for it, and the reason given is true."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.inference import FACTORS, WEIGHTS, Candidate, Seeker
from actors.match_rules import common_hours, factors, may_teach, rank, why
from actors.matchmaking import goodness

words = st.lists(st.sampled_from(["algebra", "Linear  Algebra", "physics", "écriture", ""]), max_size=4).map(tuple)
hours = st.one_of(st.just(()), st.lists(st.integers(0, 2**24 - 1), min_size=7, max_size=7).map(tuple))
tongues = st.lists(st.sampled_from(["en", "en-GB", "pt-BR", "sw"]), max_size=3, unique=True).map(tuple)
seekers = st.builds(
    Seeker, st.just(1), words, st.integers(0, 10), st.integers(0, 255), tongues, hours, st.integers(-840, 840), st.integers(0, 2)
)
candidates = st.builds(
    Candidate,
    st.integers(1, 9),
    words,
    st.integers(0, 2047),
    st.integers(0, 255),
    tongues,
    hours,
    st.integers(-840, 840),
    st.lists(st.integers(1, 2), max_size=2).map(tuple),
    st.integers(0, 3),
    st.integers(0, 4),
    st.just(0.0),
)


@given(seekers, st.lists(candidates, max_size=9), st.integers(1, 5))
def test_the_best_come_first_and_nobody_who_may_not_teach(seeker: Seeker, many: list[Candidate], limit: int) -> None:
    found = rank(seeker, many, limit)
    assert len(found) == min(limit, sum(may_teach(seeker, one) for one in many))
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    for one in found:
        assert one.user != seeker.user and len(one.factors) == len(FACTORS)
        assert all(0.0 <= factor <= 1.0 for factor in one.factors) and 0.0 <= one.score <= 1.0
        assert abs(one.score - min(1.0, sum(w * f for w, f in zip(WEIGHTS, one.factors, strict=True)))) < 1e-9


@given(seekers, candidates, st.integers(0, 6))
def test_more_hours_in_common_or_a_better_history_never_make_a_match_worse(seeker: Seeker, one: Candidate, day: int) -> None:
    if one.hours:
        free = list(one.hours)
        free[day] = 2**24 - 1
        assert factors(seeker, replace(one, hours=tuple(free)))[3] >= factors(seeker, one)[3]
    assert factors(seeker, replace(one, good=float(one.held)))[5] >= factors(seeker, one)[5]


@given(seekers, candidates)
def test_the_reason_that_is_given_is_true(seeker: Seeker, one: Candidate) -> None:
    key, _, what = why(seeker, one, factors(seeker, one)).partition(":")
    match key:
        case "subject":
            assert what in seeker.subjects and " ".join(what.casefold().split()) in {" ".join(s.casefold().split()) for s in one.subjects}
        case "hours":
            assert int(what) == common_hours(seeker.hours, one.hours) > 0
        case "history":
            assert int(what) == one.held > 0
        case "style":
            assert int(what) & seeker.styles & one.styles == int(what) > 0
        case "language":
            assert any(tag.startswith(what) for tag in seeker.languages) and any(tag.startswith(what) for tag in one.languages)
        case _:
            assert (key, what) == ("open", "")


def test_how_it_went_is_the_mean_of_what_was_said() -> None:
    assert goodness((True, True), (5, 5)) == 1.0
    assert goodness((False, None), (1, None)) == 0.0
    assert goodness((True, False), (5, 1)) == 0.5
    assert goodness((None, None), (None, None)) is None
