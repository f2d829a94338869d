"""A community with lessons and questions, learners who answer, and the jobs that follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec
from msgspec import Struct

from actors.inference import Answer, AnyRequest, Foresee, Foreseen, Unanswered, Why
from actors.jobs import Work
from persistence.analytics.folding import LEARNER, LearnerOf, fold
from persistence.analytics.learner import Analyst
from persistence.learning.grading import Grader
from persistence.operations.ungraded import GRADE, GradeStream
from protocol.entities import Entity, Fields
from protocol.values import StreamKind
from tests.persistence.records import NOW, change, enrolled, fields_of, of_space
from tests.persistence.world import Person, World

DAY_S = 86_400
QUESTION: Fields = {2: 0, 3: "Which?", 4: ("this", "that"), 5: (0,)}


class FakeModels:
    """Foretells the same chance for every skill, or is away."""

    def __init__(self, chance: float | None = None) -> None:
        self.chance = chance
        self.asked: list[Foresee] = []

    async def ask(self, request: AnyRequest, within_s: float, *, key: int = 0) -> Answer:
        assert isinstance(request, Foresee)
        self.asked.append(request)
        if self.chance is None:
            raise Unanswered(Why.AWAY)
        return Answer(Foreseen((self.chance,) * len(request.skills)), "tracing@test")

    def ask_nowait(self, request: AnyRequest, within_s: float, then: Callable[[Answer | Unanswered], None], *, key: int = 0) -> None:
        raise AssertionError("jobs wait")


class Attempted:
    """What a run sees of a job."""

    def __init__(self, payload: Struct) -> None:
        self.payload = payload

    def report(self, done: int, total: int = 0, words: str = "") -> None:
        """Nobody looks."""


class School:
    """One community. Lessons are numbered from 1; lesson n has the questions 100n + 1, 100n + 2 and so on."""

    def __init__(self, w: World, space: int, library: int, teacher: Person) -> None:
        self.w, self.space, self.library, self.teacher = w, space, library, teacher

    async def lesson(self, key: int, questions: int = 1, **fields: Any) -> None:
        await self.w.ok(
            self.teacher, change(self.library, Entity.LESSON, key, {1: f"lesson {key}", 4: key, 8: 1, 7: fields.get("requires", ())})
        )
        for number in range(1, questions + 1):
            await self.w.ok(self.teacher, change(self.library, Entity.QUESTION, 100 * key + number, {1: key, **QUESTION}))

    async def stream(self, person: Person, kind: StreamKind = StreamKind.ANSWERS) -> int:
        return await enrolled(self.w, self.space, person, kind)

    async def answer(self, person: Person, question: int, right: bool, *, at: int = NOW, rating: int = 0) -> None:
        """Answers now or earlier; a later answer is on what is known of the one before."""
        stream = await self.stream(person)
        versions = await self.w.column("select version from records where stream_id = $1 and entity = 2 and key = $2", stream, question)
        fields: Fields = {2: (0 if right else 1,), 4: 10, 5: rating}
        await self.w.ok(person, change(stream, Entity.ANSWER, question, fields, at=at, base=versions[0] if versions else 0))

    async def settle(self, models: FakeModels | None = None, *, group: int = 5) -> FakeModels:
        """Runs what was ordered: grades, what is folded, learners; until there is none."""
        w, models = self.w, models or FakeModels()
        grader, analyst = Grader(w.bridge, w.herald), Analyst(w.bridge, w.herald, models)
        for payload in await self._claim(GRADE, GradeStream):
            await grader.run(cast(Work[GradeStream], Attempted(payload)))
        await fold(w.bridge, group=group)
        for one in await self._claim(LEARNER, LearnerOf):
            await analyst.run(cast(Work[LearnerOf], Attempted(one)))
        return models

    async def _claim(self, kind: str, payload: type[Any]) -> Sequence[Any]:
        rows = await self.w.rows("delete from jobs where kind = $1 returning payload", kind)
        return [msgspec.msgpack.decode(row["payload"], type=payload) for row in rows]

    async def next_of(self, person: Person) -> Fields:
        return await fields_of(self.w, await self.stream(person, StreamKind.PROGRESS), Entity.NEXT, 1) or {}

    async def insights_of(self, person: Person) -> list[tuple[object, ...]]:
        """Kind, lesson, value, words; sorted."""
        stream = await self.stream(person, StreamKind.PROGRESS)
        keys = await self.w.column("select key from records where stream_id = $1 and entity = $2", stream, Entity.INSIGHT)
        found = [await fields_of(self.w, stream, Entity.INSIGHT, key) or {} for key in keys]
        return sorted((fields[1], fields[3], fields[4], fields[5]) for fields in found)

    async def subjects_of(self, person: Person) -> dict[object, object]:
        """By lesson: the subject that an insight names."""
        stream = await self.stream(person, StreamKind.PROGRESS)
        keys = await self.w.column("select key from records where stream_id = $1 and entity = $2", stream, Entity.INSIGHT)
        found = [await fields_of(self.w, stream, Entity.INSIGHT, key) or {} for key in keys]
        return {fields[3]: fields[2] for fields in found}


async def found(w: World, *learners: Person, lessons: int = 3) -> School:
    teacher = await w.person("teacher")
    space, _, _ = await w.community(teacher, *learners)
    school = School(w, space, await of_space(w, space, StreamKind.LIBRARY), teacher)
    for key in range(1, lessons + 1):
        await school.lesson(key, 2)
    return school
