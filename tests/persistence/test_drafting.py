"""Drafts of questions on a real Postgres: who may ask, what is offered and where, and that nothing is offered twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import msgspec
import pytest

from actors.inference import Answer, AnyRequest, Compose, Composed, Form, Questions, Unanswered, Why
from actors.jobs import Work
from actors.model_book import Drafted
from persistence import drafting
from persistence.bridge import Bridge
from persistence.drafting import ACCEPTED, DRAFT, EDITED, REJECTED, Drafter, DraftQuestions
from protocol.codes import Code
from protocol.entities import Entity, Fields
from protocol.events import Noticed
from protocol.operations import AskQuestions
from protocol.values import Role, StreamKind
from tests.persistence.records import change, fields_of, gone, of_space
from tests.persistence.test_operations import code, inbox
from tests.persistence.world import Person, World, world

TEXT = "Water rises because the sun warms the sea. Then clouds form over the land."
WHY = Composed(Form.SHORT, "Why does water rise?", "because the sun warms the sea", (), (), 0.6, 0.8, 0, 42, "en")
GAP = Composed(Form.CHOICE, "Complete the sentence: Then ___ form.", "clouds", ("seas", "clouds"), (1,), 0.3, 0.5, 43, 75, "en")
LONG = Composed(Form.SHORT, "What is said?", "very " * 60, (), (), 0.6, 0.9, 0, 42, "en")
SECTION, LESSON = 7, 3


class Models:
    """Answers as it is told, or raises; counts what it was asked."""

    def __init__(self, *questions: Composed, why: Why | None = None) -> None:
        self.questions, self.why = questions, why
        self.asked: list[Compose] = []

    async def ask(self, request: AnyRequest, within_s: float, *, key: int = 0) -> Answer:
        assert isinstance(request, Compose) and within_s > 0
        self.asked.append(request)
        if self.why is not None:
            raise Unanswered(self.why)
        return Answer(Questions(self.questions, {"unclear": 2}), "questions@1")

    def ask_nowait(self, request: AnyRequest, within_s: float, then: Callable[[Answer | Unanswered], None], *, key: int = 0) -> None:
        raise AssertionError("nobody asks in this way")


class Tried:
    """What a run sees of a job; `finish` is its last transaction."""

    def __init__(self, w: World, payload: DraftQuestions, attempt: int) -> None:
        self._bridge, self.payload, self.attempt = w.bridge, payload, attempt

    def report(self, done: int, total: int = 0, words: str = "") -> None:
        """Nobody looks."""

    async def finish(self, effect: Callable[[Any], Awaitable[object]]) -> object:
        return await self._bridge.run(effect, deadline_s=30)


async def run_jobs(w: World, models: Models, attempt: int = 1) -> int:
    """Runs what was ordered; how many."""
    rows = await w.rows("delete from jobs where kind = $1 returning payload", DRAFT)
    for row in rows:
        payload = msgspec.msgpack.decode(row["payload"], type=DraftQuestions)
        await Drafter(w.bridge, w.herald, models).run(cast(Work[DraftQuestions], Tried(w, payload, attempt)))
    return len(rows)


async def school(w: World, *people: Person) -> tuple[int, int, int]:
    """A community with a lesson of one section: its space, library and studio. The first is its owner."""
    space, _, _ = await w.community(*people)
    library, studio = await of_space(w, space, StreamKind.LIBRARY), await of_space(w, space, StreamKind.STUDIO)
    await w.ok(people[0], change(library, Entity.LESSON, LESSON, {1: "Rain", 9: "en"}))
    await w.ok(people[0], change(library, Entity.CONTENT, SECTION, {1: "Clouds", 2: TEXT, 3: LESSON}))
    return space, library, studio


async def drafts(w: World, studio: int) -> list[tuple[int, Fields]]:
    keys = await w.column("select key from records where stream_id = $1 and entity = $2 order by key", studio, Entity.DRAFT_QUESTION)
    found = [(key, await fields_of(w, studio, Entity.DRAFT_QUESTION, key)) for key in keys]
    return [(key, fields) for key, fields in found if fields is not None]


async def words_to(w: World, person: Person) -> list[str]:
    return [body.words for body in await inbox(w, person) if isinstance(body, Noticed) and body.words.startswith("questions")]


async def test_a_lesson_is_asked_about_and_its_drafts_come_into_the_studio_with_a_notice(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        _, library, studio = await school(w, ann)
        assert await w.ok(ann, AskQuestions(library, lesson=LESSON)) == studio
        models = Models(WHY, GAP, LONG)
        assert await run_jobs(w, models) == 1
        [asked] = models.asked
        assert (asked.text, asked.language, asked.limit) == (TEXT, "en", 10)
        made = sorted((fields for _, fields in await drafts(w, studio)), key=lambda fields: str(fields[3]))
        assert [fields[3] for fields in made] == [GAP.prompt, WHY.prompt], "an answer that does not fit in a record is left out"
        assert made[0] == {
            1: LESSON, 2: 0, 3: GAP.prompt, 4: GAP.options, 5: (1,), 6: (), 8: 30,
            9: SECTION, 10: 43, 11: 75, 12: 50, 13: "questions@1", 14: 0,
        }  # fmt: skip
        assert made[1][6] == (WHY.answer,)
        assert w.herald.facts[-1].author == 0 and w.herald.facts[-1].stream == studio, "told to whoever follows the studio"
        assert await words_to(w, ann) == ["questions: 2 drafts from 1 section wait for you"]


async def test_what_was_offered_once_is_not_offered_again_nor_what_was_rejected(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        _, library, studio = await school(w, ann)
        await w.ok(ann, AskQuestions(library, content=SECTION))
        await run_jobs(w, Models(WHY))
        [(key, _)] = await drafts(w, studio)
        await w.ok(ann, change(studio, Entity.DRAFT_QUESTION, key, {14: REJECTED}, base=1))
        await w.ok(ann, AskQuestions(library, content=SECTION))
        await run_jobs(w, Models(WHY))
        [(again, fields)] = await drafts(w, studio)
        assert again == key and fields[14] == REJECTED
        assert (await words_to(w, ann))[-1] == "questions: nothing new could be asked about this text"


async def test_a_draft_that_a_mentor_deleted_is_not_offered_again_beside_one_that_is_new(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        _, library, studio = await school(w, ann)
        await w.ok(ann, AskQuestions(library, content=SECTION))
        await run_jobs(w, Models(WHY))
        [(key, _)] = await drafts(w, studio)
        await w.ok(ann, gone(studio, Entity.DRAFT_QUESTION, key, base=1))
        assert await drafts(w, studio) == []
        for _ in range(2):
            await w.ok(ann, AskQuestions(library, content=SECTION))
            await run_jobs(w, Models(WHY, GAP))
            assert [fields[3] for _, fields in await drafts(w, studio)] == [GAP.prompt]
        assert (await words_to(w, ann))[-1] == "questions: nothing new could be asked about this text"


async def test_learners_and_strangers_ask_for_nothing_and_a_section_that_is_not_there_is_not_found(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob, eve = await w.person("ann"), await w.person("bob"), await w.person("eve")
        _, library, studio = await school(w, ann, bob)
        assert await code(w, bob, AskQuestions(library, lesson=LESSON)) is Code.FORBIDDEN
        assert await code(w, eve, AskQuestions(library, lesson=LESSON)) is Code.NOT_FOUND
        assert await code(w, ann, AskQuestions(studio, lesson=LESSON)) is Code.NOT_FOUND, "not a library"
        assert await code(w, ann, AskQuestions(library, lesson=99)) is Code.NOT_FOUND
        assert await code(w, ann, AskQuestions(library)) is Code.INVALID
        assert await code(w, ann, AskQuestions(library, lesson=LESSON, content=SECTION)) is Code.INVALID
        assert await w.rows("select from jobs where kind = $1", DRAFT) == []


async def test_a_mentor_asks_and_one_question_of_the_same_stands_for_both(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        space, library, _ = await school(w, ann, ben)
        await w.rows("update members set role = $3 where space_id = $1 and user_id = $2", space, ben.user, Role.MENTOR)
        for _ in range(2):
            await w.ok(ben, AskQuestions(library, content=SECTION))
        assert await run_jobs(w, Models(WHY)) == 1


async def test_where_no_model_answers_it_is_tried_again_and_said_at_last(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        _, library, studio = await school(w, ann)
        await w.ok(ann, AskQuestions(library, content=SECTION))
        with pytest.raises(Unanswered):
            await run_jobs(w, Models(why=Why.AWAY))
        assert await words_to(w, ann) == []
        await w.ok(ann, AskQuestions(library, content=SECTION))
        await run_jobs(w, Models(why=Why.AWAY), attempt=drafting.GIVEN_UP)
        assert await words_to(w, ann) == ["questions: no model answers at present; ask again later"]
        assert await drafts(w, studio) == []


async def test_what_mentors_decided_is_what_the_ranker_learns_from(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        _, library, studio = await school(w, ann)
        await w.ok(ann, AskQuestions(library, content=SECTION))
        other = msgspec.structs.replace(WHY, prompt="Why do clouds form?")
        await run_jobs(w, Models(WHY, GAP, other))
        made = {fields[3]: key for key, fields in await drafts(w, studio)}
        await w.ok(ann, change(studio, Entity.DRAFT_QUESTION, made[WHY.prompt], {14: REJECTED}, base=1))
        await w.ok(ann, change(studio, Entity.DRAFT_QUESTION, made[GAP.prompt], {14: EDITED, 3: "Then ___ form."}, base=1))
        page = await w.bridge.run(lambda tx: drafting.page(tx, ()), deadline_s=30)
        rows = {row.prompt: row for row in (msgspec.msgpack.decode(one, type=Drafted) for one in page.rows)}
        assert set(rows) == {WHY.prompt, "Then ___ form."}, "what waits still teaches nothing"
        assert not rows[WHY.prompt].taken and rows[WHY.prompt].text == TEXT and rows[WHY.prompt].answer == WHY.answer
        assert rows["Then ___ form."].taken and rows["Then ___ form."].edited and rows["Then ___ form."].answer == "clouds"
        assert not page.more and (await w.bridge.run(lambda tx: drafting.page(tx, page.mark), deadline_s=30)).rows == []
        assert ACCEPTED == 1
