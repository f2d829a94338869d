"""When a question is to come again: FSRS-6, the same on every device and on the server.

    Card, rating, now ─▶ review ─▶ the next Card: due, stability, difficulty, state
    attempts with ratings, in their order ─▶ replay ─▶ the Card that one device would have made of them

    NEW ─▶ LEARNING ─ good, easy ─▶ REVIEW ─ wrong ─▶ AGAIN ─ good, easy ─▶ REVIEW         wrong, hard: the same day again

Stability is the days after which a question is still known with 90 %; difficulty runs from 1 to 10. Both are kept in thousandths, rounded
at each review, so that what is reckoned from a record does not hang on digits that a record does not keep. Formulas and parameters: the
published description of FSRS-6 (github.com/open-spaced-repetition, "The Algorithm") with its default weights, 90 % to be remembered, no
fuzz, one step of ten minutes for what is new and for what was forgotten.

Two devices that review a card without knowing of each other each write the whole card: the later one stays, whole. Each also wrote its
answer with its rating, and all attempts are kept; where they are more than the card knows of, the server replays them.

Invariant: pure; a card follows from the ratings and times of its reviews and from nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Final

from msgspec import Struct

from protocol.declaring import Fields, Value

WEIGHTS: Final[tuple[float, ...]] = (
    *(0.212, 1.2931, 2.3065, 8.2956, 6.4133, 0.8334, 3.0194, 0.001, 1.8722, 0.1666, 0.796),
    *(1.4835, 0.0614, 0.2629, 1.6483, 0.6014, 1.8729, 0.5425, 0.0912, 0.0658, 0.1542),
)
RETENTION: Final = 0.9
"""With which a question is still known when it comes again."""
DAYS_MAX: Final = 36_500
STABILITY_MAX: Final = 2**31 - 1
"""In thousandths of a day; the field's bound."""
STEP_S: Final = 600
HARD_STEP_S: Final = 900
DAY_S: Final = 86_400
PASS_POINTS: Final = 60
COUNT_MAX: Final = 2**20
_DECAY: Final = -WEIGHTS[20]
_FACTOR: Final = math.pow(RETENTION, 1 / _DECAY) - 1

# Fields of a CARD, as protocol/learning.py declares them.
LESSON, DUE, STABILITY, DIFFICULTY, REPS, LAPSES, STATE, LAST = range(1, 9)
RATING: Final = 5
"""The field of an ANSWER that says how well it was known; 0: it was no review."""


class Rating(IntEnum):
    """How well an answer was known."""

    WRONG = 1
    HARD = 2
    GOOD = 3
    EASY = 4


class State(IntEnum):
    """Where a card stands."""

    NEW = 0
    LEARNING = 1
    REVIEW = 2
    AGAIN = 3
    """Forgotten, and being learned again."""


class Card(Struct, frozen=True):
    """A card's fields. `due` and `last` in Unix seconds, `stability` in thousandths of a day, `difficulty` in thousandths."""

    due: int = 0
    stability: int = 0
    difficulty: int = 0
    reps: int = 0
    lapses: int = 0
    state: int = State.NEW
    last: int = 0

    def is_due(self, now: int) -> bool:
        return self.due <= now


NEW: Final = Card()


def rating_of(points: int, *, quickly: bool = False) -> Rating:
    """What a practice grade says of how well it was known: all of it is good, and easy where it came quickly and without a doubt (who
    answers says so); what passes is hard; the rest is wrong."""
    if points >= 100:
        return Rating.EASY if quickly else Rating.GOOD
    return Rating.HARD if points >= PASS_POINTS else Rating.WRONG


def review(card: Card, rating: Rating, now: int) -> Card:
    """The card after a review at `now`, in Unix seconds. A time before the last review counts as that review's."""
    now = max(now, card.last)
    days = (now - card.last) // DAY_S
    if card.state == State.NEW or not card.stability:
        stability, difficulty = WEIGHTS[rating - 1], _clamped(_first_difficulty(rating))
    else:
        before, hard = card.stability / 1000, max(1.0, card.difficulty / 1000)
        stability = _soon(before, rating) if days < 1 else _later(before, hard, recall(card, now), rating)
        difficulty = _next_difficulty(hard, rating)
    thousandths = min(STABILITY_MAX, max(1, round(stability * 1000)))
    learned = card.state == State.REVIEW
    if rating is Rating.WRONG or (rating is Rating.HARD and not learned):
        state = State.AGAIN if learned or card.state == State.AGAIN else State.LEARNING
        due = now + (STEP_S if rating is Rating.WRONG else HARD_STEP_S)
    else:
        state, due = State.REVIEW, now + DAY_S * interval_days(thousandths)
    return Card(
        due,
        thousandths,
        round(difficulty * 1000),
        min(COUNT_MAX, card.reps + 1),
        min(COUNT_MAX, card.lapses + (learned and rating is Rating.WRONG)),
        state,
        now,
    )


def replay(reviews: Iterable[tuple[int, Rating]]) -> Card:
    """The card that these reviews make, each a time in Unix seconds and a rating, in any order."""
    card = NEW
    for now, rating in sorted(reviews):
        card = review(card, rating, now)
    return card


def recall(card: Card, now: int) -> float:
    """How likely it is known at `now`, from 0 to 1; of a new card 0. Counted in whole days, as the algorithm's other programs do."""
    if not card.stability:
        return 0.0
    days = max(0, now - card.last) // DAY_S
    return math.pow(1 + _FACTOR * days / (card.stability / 1000), _DECAY)


def interval_days(stability: int) -> int:
    """Whole days until it is known with `RETENTION` only; `stability` in thousandths of a day."""
    return min(DAYS_MAX, max(1, round(stability / 1000 / _FACTOR * (math.pow(RETENTION, 1 / _DECAY) - 1))))


def _first_difficulty(rating: int) -> float:
    return WEIGHTS[4] - math.exp(WEIGHTS[5] * (rating - 1)) + 1


def _clamped(difficulty: float) -> float:
    return min(10.0, max(1.0, difficulty))


def _next_difficulty(difficulty: float, rating: int) -> float:
    moved = difficulty - WEIGHTS[6] * (rating - 3) * (10 - difficulty) / 9
    return _clamped(WEIGHTS[7] * _first_difficulty(Rating.EASY) + (1 - WEIGHTS[7]) * moved)


def _soon(stability: float, rating: Rating) -> float:
    """On the same day."""
    grows = math.exp(WEIGHTS[17] * (rating - 3 + WEIGHTS[18])) * math.pow(stability, -WEIGHTS[19])
    return stability * (grows if rating is Rating.WRONG else max(1.0, grows))


def _later(stability: float, difficulty: float, recalled: float, rating: Rating) -> float:
    """After a day or more; `recalled`: how likely it was still known."""
    if rating is Rating.WRONG:
        forgotten = WEIGHTS[11] * math.pow(difficulty, -WEIGHTS[12]) * (math.pow(stability + 1, WEIGHTS[13]) - 1)
        forgotten *= math.exp((1 - recalled) * WEIGHTS[14])
        return min(forgotten, stability / math.exp(WEIGHTS[17] * WEIGHTS[18]))
    weight = {Rating.HARD: WEIGHTS[15], Rating.EASY: WEIGHTS[16]}.get(rating, 1.0)
    grows = math.exp(WEIGHTS[8]) * (11 - difficulty) * math.pow(stability, -WEIGHTS[9]) * (math.exp((1 - recalled) * WEIGHTS[10]) - 1)
    return stability * (1 + grows * weight)


# From records, and to them


def card_of(fields: Mapping[int, Value]) -> Card:
    """A record of a card."""
    return Card(*(_whole(fields.get(number)) for number in (DUE, STABILITY, DIFFICULTY, REPS, LAPSES, STATE, LAST)))


def fields_of(card: Card, lesson: int) -> Fields:
    """All fields of its record: a card is written whole, so that of two devices' cards one stays and not half of each."""
    return {
        LESSON: lesson,
        DUE: card.due,
        STABILITY: card.stability,
        DIFFICULTY: card.difficulty,
        REPS: card.reps,
        LAPSES: card.lapses,
        STATE: int(card.state),
        LAST: card.last,
    }


def _whole(value: Value | None) -> int:
    return value if isinstance(value, int) else 0
