"""`educonnect learn due · review · insights` on a device without a network: what is typed, what is said, what is kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from client.learn import learn
from client.review_commands import insight_lines
from client.sqlite_store import SqliteStore
from client.sync import offline_desk
from protocol.entities import Entity
from protocol.reviews import DAY_S, Card, Rating, State, card_of, fields_of
from tests.client.test_learning import PROGRESS, Place, fill

Typed = Callable[..., Awaitable[str]]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A device that has been online once, with a question of practice (71), and one of an exam (72)."""
    path = tmp_path / "me.db"
    with SqliteStore(path) as store:
        fill(Place(offline_desk(store, lambda line: None).session, teaches=False))
    return path


@pytest.fixture
def typed(store: Path) -> Typed:
    async def type_in(*words: str, status: int = 0) -> str:
        said: list[str] = []
        ended = await learn(["--store", str(store), "--offline", *words], said.append)
        assert ended == status, said
        return "\n".join(said)

    return type_in


async def test_a_question_that_was_reviewed_comes_again_and_is_told_of_before_what_is_new(store: Path, typed: Typed) -> None:
    assert "No question comes again yet" in await typed("due")
    assert "2. Which?  (one letter; question 71)" in await typed("ask", "11"), "take counts places, review takes the number"
    said = await typed("review", "71", "b", status=3)
    assert "Right. 100 points. It comes again at " in said and "Because." in said
    assert said.count("It is kept on this device") == 1, "one sentence for the answer and its card"
    assert "1 question comes later, the next at " in await typed("due")
    assert "come again" not in await typed("next")
    with SqliteStore(store) as kept:
        session = offline_desk(kept, lambda line: None).session
        card = card_of(session.records.view(PROGRESS, Entity.CARD, 71).fields)
        assert card.state is not State.NEW and card.reps == 1
        session.put(PROGRESS, Entity.CARD, 71, fields_of(Card(1, 1000, 5000, 1, 0, State.REVIEW, 1), 11))
    listed = await typed("due")
    assert listed.splitlines()[:2] == ["71. Which?  (one letter)", "   a) a"] and "later" not in listed
    assert "1 question is to come again now: educonnect learn due." in await typed("next")


async def test_what_the_grade_calls_right_may_have_been_hard_and_an_exams_question_needs_a_word(store: Path, typed: Typed) -> None:
    assert "say how well you knew it" in await typed("review", "72", "there", status=2)
    assert "There is no question 99" in await typed("review", "99", "a", status=2)
    assert "options a to b" in await typed("review", "71", "c", status=2)
    assert "Only the server can grade it." in await typed("review", "72", "there", "--known", "good", status=3)
    await typed("review", "71", "b", "--known", "hard", status=3)
    with SqliteStore(store) as kept:
        view = offline_desk(kept, lambda line: None).session.records.view
        hard, good = (card_of(view(PROGRESS, Entity.CARD, key).fields) for key in (71, 72))
    assert hard.due - hard.last < DAY_S <= good.due - good.last, (hard, good, Rating.HARD)


async def test_what_was_noticed_is_said_in_words_with_the_lessons_name(store: Path, typed: Typed) -> None:
    assert "Nothing was noticed" in await typed("insights")
    with SqliteStore(store) as kept:
        place = Place(offline_desk(kept, lambda line: None).session, teaches=False)
        place.hear(Entity.INSIGHT, 1, {1: 2, 3: 12, 4: 3, 5: "stuck:3"})
        place.hear(Entity.INSIGHT, 2, {1: 1, 3: 11, 4: 87, 5: "strength:87"})
        place.hear(Entity.INSIGHT, 3, {1: 3, 4: 10, 5: "stuck:2"})
    first, second, third = (await typed("insights")).splitlines()
    assert first == "11  L11 – You are good at this: 87 % of your answers in this lesson were right."
    assert second.startswith("12  L12 – Your last 3 answers in this lesson were wrong.")
    assert third == "There are 2 lessons in which nothing is going right."
    assert insight_lines([{1: 9, 5: "newer:than:this:program"}], {}) == ["Nothing was noticed about your learning here yet."]
