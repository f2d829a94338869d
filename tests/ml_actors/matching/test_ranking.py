"""Ranking: the best come first, nobody is shown to everybody, and each is told with a reason that is true."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from actors.inference import WEIGHTS, Candidate, Match, Seeker
from ml_actors.matching.factors import fit
from ml_actors.matching.ranking import EVENING, HAIR, rank, score
from ml_actors.matching.serving import Matching, Weights
from tests.ml_actors.matching.test_factors import CANDIDATES, SEEKERS
from tests.ml_actors.matching.worlds import embed, roster


@given(st.lists(CANDIDATES, max_size=15, unique_by=lambda one: one.user), SEEKERS, st.integers(1, 10))
def test_without_exposure_the_best_scores_come_first(candidates: list[Candidate], seeker: Seeker, limit: int) -> None:
    known = roster(*candidates)
    fitting = fit(known, seeker)
    ranked = rank(known, fitting, seeker, WEIGHTS, limit)
    best = np.sort(score(fitting, WEIGHTS))[::-1][:limit]
    np.testing.assert_allclose(ranked.scores, best, atol=2 * HAIR)
    assert len(set(ranked.places)) == len(ranked.places)


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=10), SEEKERS)
def test_exposure_never_puts_somebody_in_front_of_who_is_clearly_better(shown: list[float], seeker: Seeker) -> None:
    mentors = [
        Candidate(user=100 + place, subjects=("algebra",), languages=("en",), held=place * 10, good=place * 10.0, shown=seen)
        for place, seen in enumerate(shown)
    ]
    known = roster(*mentors)
    fitting = fit(known, Seeker(user=seeker.user, subjects=("algebra",), languages=("en",)))
    ranked = rank(known, fitting, seeker, WEIGHTS, len(mentors))
    for place, worth in enumerate(ranked.scores):
        for later in ranked.scores[place + 1 :]:
            assert worth >= later * (1 - EVENING) - HAIR


def test_mentors_of_the_same_worth_take_turns() -> None:
    model = Matching(Weights(), embed)
    for user in range(1, 41):
        model.roster.put(Candidate(user=user, subjects=("algebra",), languages=("en",)))
    seen = np.zeros(41)
    for learner in range(100, 180):
        (found,) = model.answer([Match(Seeker(learner, ("algebra",), languages=("en",)), limit=5)])
        seen[[one.user for one in found.matches]] += 1
    assert seen[1:].min() >= 5 and seen.max() <= 20  # 10 each, if it were perfectly even


def test_asking_is_answered_for_each_and_in_order() -> None:
    model = Matching(Weights(), embed)
    model.roster.put(Candidate(user=1, subjects=("algebra",), languages=("en",)))
    model.roster.put(Candidate(user=2, subjects=("physics",), languages=("es",)))
    found = model.answer([Match(Seeker(8, ("algebra",))), Match(Seeker(9, ("physics",))), Match(Seeker(9, ("algebra",)), without=(1, 2))])
    assert [[one.user for one in each.matches] for each in found] == [[1], [2], []]
    assert found[0].matches[0].why == "subject:algebra"
    assert [each.considered for each in found] == [2, 2, 2]


@given(st.lists(CANDIDATES, max_size=8, unique_by=lambda one: one.user), SEEKERS)
def test_a_reason_is_about_something_that_is_there(candidates: list[Candidate], seeker: Seeker) -> None:
    model = Matching(Weights(), embed)
    for candidate in candidates:
        model.roster.put(candidate)
    mentors = {candidate.user: candidate for candidate in candidates}
    (found,) = model.answer([Match(seeker)])
    for one in found.matches:
        key, _, filling = one.why.partition(":")
        mentor = mentors[one.user]
        match key:
            case "subject":
                assert filling in mentor.subjects and filling in seeker.subjects
            case "subject-near":
                assert filling in mentor.subjects
            case "language":
                assert any(tag.startswith(filling) for tag in mentor.languages)
            case "hours":
                assert int(filling) > 0
            case "style":
                assert int(filling) and int(filling) & ~mentor.styles == 0
            case "history":
                assert int(filling) == mentor.held
            case _:
                assert key in {"near", "open"}
