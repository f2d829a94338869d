"""A community with a question, and the job that grades, run by hand."""

from __future__ import annotations

from typing import cast

import msgspec

from actors.jobs import Work
from persistence.learning.grading import Grader
from persistence.operations.ungraded import GRADE, GradeStream
from protocol.entities import Entity, Fields
from protocol.values import StreamKind
from tests.persistence.records import change, enrolled, of_space
from tests.persistence.world import Person, World

ASKED: Fields = {1: 3, 2: 1, 3: "Which are even?", 4: ("1", "2", "3", "4"), 5: (1, 3)}
Q = 70


class Attempted:
    """What a run sees of a job."""

    def __init__(self, stream: int) -> None:
        self.payload = GradeStream(stream)

    def report(self, done: int, total: int = 0, words: str = "") -> None:
        """Nobody looks."""


async def grade_all(w: World) -> int:
    """Runs the jobs that were ordered, until there is none; how many."""
    grader, count = Grader(w.bridge, w.herald), 0
    while rows := await w.rows("delete from jobs where kind = $1 returning payload", GRADE):
        for row in rows:
            payload = msgspec.msgpack.decode(row["payload"], type=GradeStream)
            await grader.run(cast(Work[GradeStream], Attempted(payload.stream)))
            count += 1
    return count


class Place:
    """A community with a question, and what one learner has there."""

    def __init__(self, space: int, library: int, studio: int, answers: int) -> None:
        self.space, self.library, self.studio, self.answers = space, library, studio, answers


async def school(w: World, ann: Person, *learners: Person) -> Place:
    space, _, _ = await w.community(ann, *learners)
    library, studio = await of_space(w, space, StreamKind.LIBRARY), await of_space(w, space, StreamKind.STUDIO)
    await w.ok(ann, change(library, Entity.QUESTION, Q, ASKED))
    assert await grade_all(w) == 1, "somebody may have answered it before it came"
    return Place(space, library, studio, await enrolled(w, space, learners[0] if learners else ann, StreamKind.ANSWERS))
