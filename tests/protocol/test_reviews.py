"""Review scheduling: as the published algorithm's own package has it, for whatever history; and one card from many devices' reviews."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.entities import TABLE, Entity, check
from protocol.reviews import COUNT_MAX, DAY_S, DAYS_MAX, NEW, Card, Rating, State, card_of, fields_of, rating_of, recall, replay, review

VECTORS: list[Any] = json.loads((Path(__file__).parents[1] / "vectors/learning.json").read_text("utf-8"))["reviews"]
STEP = (timedelta(minutes=10),)
SCHEDULER = fsrs.Scheduler(learning_steps=STEP, relearning_steps=STEP, enable_fuzzing=False)
BEGIN = 1_700_000_000
gaps = st.one_of(st.integers(0, DAY_S * 3), st.integers(0, DAY_S * 400), st.sampled_from((0, DAY_S - 1, DAY_S, DAY_S * 30_000)))
histories = st.lists(st.tuples(gaps, st.sampled_from(Rating)), min_size=1, max_size=15)


def when(at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def theirs(card: Card) -> fsrs.Card:
    """The same card, as the package has it."""
    if card.state == State.NEW:
        return fsrs.Card(card_id=1)
    state = fsrs.State(int(card.state))
    step = None if state is fsrs.State.Review else 0
    return fsrs.Card(1, state, step, card.stability / 1000, card.difficulty / 1000, when(card.due), when(card.last))


@settings(max_examples=150, deadline=None)
@given(histories)
def test_each_review_of_any_history_is_what_the_published_package_makes_of_it(history: list[tuple[int, Rating]]) -> None:
    card, now = NEW, BEGIN
    for gap, rating in history:
        if now + gap > 7 * 10**10:
            break
        now += gap
        expected, _ = SCHEDULER.review_card(theirs(card), fsrs.Rating(int(rating)), when(now))
        assert recall(card, now) == pytest.approx(SCHEDULER.get_card_retrievability(theirs(card), when(now)))
        card = review(card, rating, now)
        assert expected.stability is not None and expected.difficulty is not None
        assert card.state == expected.state and abs(card.stability - expected.stability * 1000) <= 1.0
        assert abs(card.difficulty - expected.difficulty * 1000) <= 1.0
        # A day's rounding may fall to the other side where stability is half a day's multiple to the last thousandth.
        assert abs(card.due - int(expected.due.timestamp())) <= (DAY_S if abs(card.stability % 1000 - 500) <= 1 else 0)
        check(TABLE[Entity.CARD], fields_of(card, 7))


@given(histories)
def test_the_order_in_which_devices_tell_of_reviews_does_not_matter(history: list[tuple[int, Rating]]) -> None:
    now, reviews = BEGIN, []
    for gap, rating in history:
        reviews.append((now := now + gap, rating))
    assert replay(reviews) == replay(reversed(reviews))
    assert replay(reviews).reps == len(reviews)


def test_a_card_stays_within_what_its_record_can_hold_however_long_it_goes_on() -> None:
    card = Card(BEGIN, 2**31 - 1, 1000, COUNT_MAX, COUNT_MAX, State.REVIEW, BEGIN)
    for rating in (Rating.EASY, Rating.WRONG):
        card = review(card, rating, BEGIN + DAYS_MAX * DAY_S)
        check(TABLE[Entity.CARD], fields_of(card, 7))


def test_a_clock_that_was_set_back_does_not_make_a_card_come_earlier_than_its_last_review() -> None:
    card = review(NEW, Rating.GOOD, BEGIN)
    again = review(card, Rating.GOOD, BEGIN - DAY_S * 30)
    assert again.last == BEGIN and again.due > BEGIN


def test_a_record_of_a_card_and_a_card_are_the_same_thing() -> None:
    card = review(review(NEW, Rating.GOOD, BEGIN), Rating.WRONG, BEGIN + 5 * DAY_S)
    assert card_of(fields_of(card, 7)) == card and (card.lapses, card.state) == (1, State.AGAIN)


@pytest.mark.parametrize(
    ("points", "rating"), [(100, Rating.GOOD), (99, Rating.HARD), (60, Rating.HARD), (59, Rating.WRONG), (0, Rating.WRONG)]
)
def test_a_practice_grade_says_how_well_something_was_known(points: int, rating: Rating) -> None:
    assert rating_of(points) is rating and (rating_of(points, quickly=True) is Rating.EASY) == (points == 100)


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["name"])
def test_a_history_makes_the_card_that_the_vectors_say(case: dict[str, Any]) -> None:
    card = NEW
    for (at, rating), expected in zip(case["reviews"], case["cards"], strict=True):
        card = review(card, Rating(rating), at)
        assert list(fields_of(card, 0).values())[1:] == expected
