"""Drafts of questions on a device: taken and rejected without a network, and the same question however often."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from client import MemoryStore, connect
from client.draft_commands import draft_lines
from client.drafts import ACCEPTED, CONTENT, EDITED, OFFERED, QUALITY, QUESTION, REJECTED, STATE, Drafts, NoDraft
from protocol.codec import encode
from protocol.entities import Entity, Fields, write_fields
from protocol.grading import DIFFICULTY, EXAM, EXPLANATION, FORM, KEY, KEY_KEY, KEY_WORDS, LESSON, OPTIONS, ORDER, PROMPT, WORDS
from protocol.merge import Outcome
from protocol.operations import Change
from protocol.values import Role, SpaceKind, StreamKind
from tests.client.conftest import CALM, FakeGrant
from tests.client.fake_server import FakeServer

DRAFT: Fields = {
    LESSON: 3, FORM: 0, PROMPT: "Who was there?", OPTIONS: ("a fox", "a king", "a bee"), KEY: (1,), WORDS: (), DIFFICULTY: 30, CONTENT: 7,
    10: 0, 11: 20, QUALITY: 60, 13: "questions@1", STATE: OFFERED,
}  # fmt: skip
AGAIN: Fields = {**DRAFT, PROMPT: "Why?", FORM: 4, OPTIONS: (), KEY: (), WORDS: ("because it rained",), QUALITY: 80}


@pytest.fixture
def studio(server: FakeServer) -> int:
    """The studio of a community that person 1 owns, with two drafts in it."""
    space = server.new_space(SpaceKind.COMMUNITY, "garden")
    server.record_streams(space, 1)
    space.members[1] = Role.OWNER
    studio = server.new_id()
    space.streams.append((studio, StreamKind.STUDIO, "studio"))
    server.log[studio] = []
    for key, fields in ((21, DRAFT), (22, AGAIN)):
        known = server.devices[12]
        change = Change(studio, Entity.DRAFT_QUESTION, key, server.clock_s, write_fields(fields))
        server.decide(12, known.last_number + 1, encode(change))
    return studio


def library(server: FakeServer) -> int:
    return next(stream for space in server.spaces.values() for stream, kind, _ in space.streams if kind is StreamKind.LIBRARY)


async def test_drafts_are_taken_on_a_train_and_are_questions_when_there_is_a_network(
    server: FakeServer, studio: int, autojump_clock: MockClock
) -> None:
    store = MemoryStore()
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        await session.synced()
    server.away = True
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        drafts = Drafts(session)
        assert [view.key for view in drafts.listed()] == [22, 21], "the likeliest first"
        pendings = [*drafts.take(21, order=4), *drafts.take(22, {PROMPT: "Why was it wet?"})]
        assert drafts.listed() == [] and [view.key for view in drafts.listed(state=EDITED)] == [22], "seen at once"
        server.away = False
        assert [(await pending.outcome())[0] for pending in pendings] == [Outcome.APPLIED] * 4
    questions = library(server)
    asked = {number: DRAFT[number] for number in (LESSON, FORM, PROMPT, OPTIONS, KEY, WORDS, DIFFICULTY)}
    assert server.records.fields(questions, Entity.QUESTION, 21) == {**asked, ORDER: 4, EXAM: False}
    assert server.records.fields(questions, Entity.QUESTION, 22)[PROMPT] == "Why was it wet?"
    first, second = (server.records.fields(studio, Entity.DRAFT_QUESTION, key) for key in (21, 22))
    assert (first[STATE], first[QUESTION]) == (ACCEPTED, 21)
    assert (second[STATE], second[PROMPT]) == (EDITED, "Why?"), "what was offered stays, for what learns from it"


async def test_the_key_of_an_exam_is_written_where_learners_do_not_read(server: FakeServer, studio: int, autojump_clock: MockClock) -> None:
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        await session.synced()
        for pending in Drafts(session).take(21, exam=True):
            await pending.outcome()
    question = server.records.fields(library(server), Entity.QUESTION, 21)
    assert question[EXAM] is True and not any(question[number] for number in (KEY, WORDS, EXPLANATION))
    assert server.records.fields(studio, Entity.ANSWER_KEY, 21) == {KEY_KEY: (1,), KEY_WORDS: ()}


async def test_a_draft_is_decided_once_and_what_cannot_be_graded_is_not_taken(
    server: FakeServer, studio: int, autojump_clock: MockClock
) -> None:
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        await session.synced()
        drafts = Drafts(session)
        with pytest.raises(ValueError, match="key"):
            drafts.take(21, {KEY: (7,)})
        with pytest.raises(ValueError, match="no field 14"):
            drafts.take(21, {STATE: ACCEPTED})
        await drafts.reject(21).outcome()
        with pytest.raises(NoDraft, match="rejected already"):
            drafts.take(21)
        with pytest.raises(NoDraft, match="no draft 99"):
            drafts.reject(99)
        assert session.records.view(studio, Entity.DRAFT_QUESTION, 21).fields[STATE] == REJECTED
        assert draft_lines(session.records.view(studio, Entity.DRAFT_QUESTION, 21))[1:] == [
            "    Who was there?", "      a fox", "    * a king", "      a bee",
        ]  # fmt: skip
