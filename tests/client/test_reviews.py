"""Questions that come again: due, answered and scheduled without a network; and what the server is told of it."""

from __future__ import annotations

import msgspec
import pytest
from trio.testing import MockClock

from client import MemoryStore, Session, connect
from protocol.codec import encode
from protocol.entities import Entity, Fields, write_fields
from protocol.operations import Change
from protocol.reviews import DAY_S, RATING, Rating, State, card_of
from protocol.values import Role, SpaceKind
from tests.client.conftest import CALM, FakeGrant
from tests.client.fake_server import FakeServer, Space

ASKED: Fields = {1: 7, 2: 0, 3: "Which?", 4: ("this", "that"), 5: (0,), 7: "because"}


@pytest.fixture
def space(server: FakeServer) -> Space:
    """A community in which person 1 learns, with a question."""
    space = server.new_space(SpaceKind.COMMUNITY, "garden")
    server.record_streams(space, 1)
    space.members[1] = Role.OWNER
    return space


async def ask(session: Session) -> None:
    """Writes a question, and one of an exam."""
    library = session.sync_streams.find(Entity.QUESTION)
    session.put(library, Entity.QUESTION, 70, ASKED)
    session.put(library, Entity.QUESTION, 71, {1: 7, 2: 4, 3: "Where?", 10: True})


async def test_a_review_without_a_network_writes_the_answer_and_the_card_and_it_comes_when_it_is_due(
    server: FakeServer, space: Space, autojump_clock: MockClock
) -> None:
    store = MemoryStore()
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        await session.synced()
        await ask(session)
        await session.settled()
    server.away = True
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        done = session.review(70, choices=(0,), seconds=4)
        now = done.card.last
        assert (done.rating, done.explanation, done.card.state) == (Rating.GOOD, "because", State.REVIEW)
        assert session.due_cards(now) == []
        [due] = session.due_cards(now + 2 * DAY_S)
        assert (due.question, due.lesson, due.card) == (70, 7, done.card)
        again = session.review(70, Rating.EASY, choices=(1,))
        assert again.rating is Rating.WRONG and again.card.lapses == 1, "what was wrong was not easy"
        server.away = False
        await session.settled()
        progress, answers = session.sync_streams.find(Entity.CARD), session.sync_streams.find(Entity.ANSWER)
    assert card_of(server.records.fields(progress, Entity.CARD, 70)).reps == 2
    assert server.records.fields(answers, Entity.ANSWER, 70)[RATING] == Rating.WRONG


async def test_of_two_devices_cards_the_later_one_stays_whole(server: FakeServer, space: Space, autojump_clock: MockClock) -> None:
    store = MemoryStore()
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        await session.synced()
        await ask(session)
        await session.settled()
        progress = session.sync_streams.find(Entity.CARD)
        other: Fields = {1: 7, 2: 99, 3: 9_000, 4: 5_000, 5: 40, 6: 2, 7: 2, 8: 50}
        known = server.devices[12]
        server.decide(12, known.last_number + 1, encode(Change(progress, Entity.CARD, 70, server.clock_s - 900, write_fields(other))))
        mine = session.review(70, choices=(0,))
        await session.settled()
    assert card_of(server.records.fields(progress, Entity.CARD, 70)) == mine.card


@pytest.mark.parametrize(
    ("question", "rating", "choices", "text", "why"),
    [
        (99, None, (0,), "", "no question 99"),
        (70, Rating.GOOD, (), " ", "say what you would answer"),
        (70, None, (2,), "", "option 3 is none of the 2"),
        (71, None, (), "here", "say how well you knew it"),
    ],
)
async def test_a_review_that_makes_no_sense_writes_nothing(
    server: FakeServer,
    space: Space,
    autojump_clock: MockClock,
    question: int,
    rating: Rating | None,
    choices: tuple[int, ...],
    text: str,
    why: str,
) -> None:
    async with connect(server.transport(), FakeGrant(server, 11), store=MemoryStore(), world=CALM) as session:
        await session.synced()
        await ask(session)
        with pytest.raises(ValueError, match=why):
            session.review(question, rating, choices=choices, text=text)
        assert session.records.list(session.sync_streams.find(Entity.CARD), Entity.CARD) == []
        exam = session.review(71, Rating.HARD, text="here")
        assert (exam.graded, exam.rating) == (None, Rating.HARD)


async def test_a_card_that_is_forgotten_or_whose_question_is_gone_comes_no_more(
    server: FakeServer, space: Space, autojump_clock: MockClock
) -> None:
    async with connect(server.transport(), FakeGrant(server, 11), store=MemoryStore(), world=CALM) as session:
        await session.synced()
        await ask(session)
        late = session.review(70, choices=(0,)).card.due
        session.review(71, Rating.GOOD, text="here")
        assert [one.question for one in session.due_cards(late + DAY_S)] == [70, 71]
        library, progress = (session.sync_streams.find(entity) for entity in (Entity.QUESTION, Entity.CARD))
        session.put(library, Entity.QUESTION, 70, {}, gone=True)
        session.put(progress, Entity.CARD, 71, {}, gone=True)
        assert session.due_cards(late + DAY_S) == []


async def test_a_clock_that_is_a_year_ahead_writes_cards_of_the_servers_time(
    server: FakeServer, space: Space, autojump_clock: MockClock
) -> None:
    ahead = msgspec.structs.replace(CALM, wall=lambda: CALM.wall() + 365 * DAY_S)
    async with connect(server.transport(), FakeGrant(server, 11), world=ahead) as session:
        await session.synced()
        await ask(session)
        done = session.review(70, choices=(0,))
        assert abs(done.card.last - server.clock_s) < DAY_S
        assert session.due_cards() == [] and [due.question for due in session.due_cards(server.clock_s + 10 * DAY_S)] == [70]
