"""Questions that come again: which are due, and what becomes of one that was answered. All of it works without a network.

    due ─▶ cards whose time has come, the longest due first
    review ─▶ ANSWER with its rating, CARD as FSRS makes it (protocol/reviews.py) ─▶ kept, and sent when there is a network

Two devices that review a card without knowing of each other both write it: the later one stays, whole, and both answers are kept. The
server replays them and writes the card that one device would have made.

Invariant: a card is written with the answer it follows from, and counts it once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from msgspec import Struct

from client.pending import Pending
from client.replica import Replica
from client.sync_streams import NoStream, SyncStreams
from protocol import grading
from protocol.entities import Entity, Fields, Value
from protocol.grading import Graded, grade_answer, texts
from protocol.reviews import LESSON, RATING, Card, Rating, card_of, fields_of, rating_of, review

SECONDS_MAX: Final = 2**20


class Records(Protocol):
    """What of a session is needed."""

    @property
    def records(self) -> Replica: ...

    @property
    def sync_streams(self) -> SyncStreams: ...

    def put(self, stream: int, entity: int, key: int, fields: Mapping[int, Value], gone: bool = False) -> Pending: ...


class DueCard(Struct, frozen=True):
    """A question whose time has come."""

    question: int
    lesson: int
    card: Card


class Reviewed(Struct, frozen=True):
    """What became of a review. `graded`: what the answer is worth, where its key is here; `pending`: of the answer and of the card."""

    card: Card
    rating: Rating
    graded: Graded | None
    explanation: str
    pending: tuple[Pending, Pending]


class Reviews:
    """One community's cards, for one account; `community` 0: the only one there is. `wall`: Unix time in seconds."""

    def __init__(self, session: Records, wall: Callable[[], float], community: int = 0) -> None:
        self._session = session
        self._wall = wall
        self._community = community

    def due(self, now: int) -> list[DueCard]:
        """Cards that are due at `now`, in Unix seconds, the longest due first. A card whose question is gone is passed over."""
        try:
            cards, library = self._stream(Entity.CARD), self._stream(Entity.QUESTION)
        except NoStream:
            return []
        there = {view.key for view in self._session.records.list(library, Entity.QUESTION)}
        found = [
            DueCard(view.key, _whole(view.fields.get(LESSON)), card_of(view.fields))
            for view in self._session.records.list(cards, Entity.CARD)
            if view.key in there
        ]
        return sorted((one for one in found if one.card.is_due(now)), key=lambda one: (one.card.due, one.question))

    def review(
        self, question: int, rating: Rating | None = None, *, choices: tuple[int, ...] = (), text: str = "", seconds: int = 0
    ) -> Reviewed:
        """Answers a question again, or for the first time: then its card begins. `rating`: how well it was known, as the person says; None:
        as the grade says. What was graded wrong is wrong whoever says what, and what is right is not.

        Raises `ValueError` where there is no such question here, no answer, or nobody says how well it was known; `NoStream`.
        """
        records = self._session.records
        asked = records.view(self._stream(Entity.QUESTION), Entity.QUESTION, question)
        if not asked.exists:
            raise ValueError(f"there is no question {question} on this device")
        if not choices and not text.strip():
            raise ValueError("a review is an answer: say what you would answer")
        beyond = [choice for choice in choices if not 0 <= choice < len(texts(asked.fields.get(grading.OPTIONS)))]
        if beyond:
            raise ValueError(f"option {beyond[0] + 1} is none of the {len(texts(asked.fields.get(grading.OPTIONS)))}")
        fields: Fields = {grading.CHOICES: choices, grading.TEXT: text, grading.SECONDS: max(0, min(seconds, SECONDS_MAX))}
        graded = grade_answer(asked.fields, fields)
        known = _known(graded, rating)
        card = review(card_of(records.view(self._stream(Entity.CARD), Entity.CARD, question).fields), known, int(self._wall()))
        answered = self._session.put(self._stream(Entity.ANSWER), Entity.ANSWER, question, {**fields, RATING: int(known)})
        lesson = _whole(asked.fields.get(grading.LESSON))
        kept = self._session.put(self._stream(Entity.CARD), Entity.CARD, question, fields_of(card, lesson))
        return Reviewed(card, known, graded, str(asked.fields.get(grading.EXPLANATION, "")), (answered, kept))

    def forget(self, question: int) -> Pending:
        """Lets a question come no more."""
        return self._session.put(self._stream(Entity.CARD), Entity.CARD, question, {}, gone=True)

    def _stream(self, entity: Entity) -> int:
        return self._session.sync_streams.find(entity, self._community)


def _known(graded: Graded | None, said: Rating | None) -> Rating:
    if graded is None:
        if said is None:
            raise ValueError("no key is here to grade it by: say how well you knew it")
        return said
    by_grade = rating_of(graded.points)
    if said is None or by_grade is Rating.WRONG:
        return by_grade
    return max(said, Rating.HARD)


def _whole(value: Value | None) -> int:
    return value if isinstance(value, int) else 0
