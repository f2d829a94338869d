"""Grading on the server: every answer that came is graded, once nothing waits; and again when the key changes."""

from __future__ import annotations

from functools import partial
from typing import cast

import pytest
import trio

from actors.jobs import Work
from persistence.bridge import Bridge
from persistence.learning.grading import Grader, grade_fields, order_what_waits, sweep_attempts
from persistence.moderation.records import changes
from persistence.operations.ungraded import GRADE, GradeStream
from persistence.records import write_record
from protocol.entities import COVER, TABLE, Entity, Fields
from protocol.grading import Graded
from protocol.operations import Leave, Release
from protocol.values import Role, StreamKind
from tests.persistence.learning.school import ASKED, Attempted, Place, Q, grade_all, school
from tests.persistence.records import NOW, another_device, change, enrolled, fields_of, gone
from tests.persistence.world import World, world


async def grade_of(w: World, place: Place, question: int = Q) -> Fields | None:
    fields = await fields_of(w, place.answers, Entity.GRADE, question)
    if fields is not None:
        assert abs(cast(int, fields.pop(6)) - NOW) < 3600
    return fields


async def test_an_answer_is_graded_and_an_attempt_is_a_row(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        place = await school(w, ann, bob)
        await w.ok(bob, change(place.answers, Entity.ANSWER, Q, {2: (1,), 4: 12}))
        assert await grade_all(w) == 1
        assert await grade_of(w, place) == {1: 50, 2: False, 3: 1, 4: "partly:1:2", 5: 1}
        [row] = await w.rows("select * from attempts")
        assert (row["space_id"], row["user_id"], row["lesson"], row["points"], row["seconds"]) == (place.space, bob.user, 3, 50, 12)
        head = await w.value("select head from streams where id = $1", place.answers)
        assert head == 2 and w.herald.facts[-1].author == 0, "told to whoever follows"
        assert await w.rows("select from ungraded") == []


async def test_a_week_of_answers_of_two_devices_is_one_job_and_each_has_its_grade(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        place = await school(w, ann, bob)
        tablet = await another_device(w, bob)
        for question in range(1, 8):
            await w.ok(ann, change(place.library, Entity.QUESTION, question, {**ASKED, 5: (question % 4,)}))
        await grade_all(w)
        for question in range(1, 8):
            for device, choice in ((bob, 0), (tablet, 1)):
                await w.ok(device, change(place.answers, Entity.ANSWER, question, {2: (choice,)}, at=NOW - 10 * choice))
        assert await grade_all(w) == 1
        for question in range(1, 8):
            grade = await grade_of(w, place, question)
            assert grade is not None and (grade[1], grade[3]) == (100 if question % 4 == 0 else 0, 2), (
                "the later one counts, both are attempts"
            )
        rows = await w.rows("select question, points from attempts order by question, place")
        assert [row["points"] for row in rows] == [100 * (q % 4 == c) for q in range(1, 8) for c in (0, 1)]
        assert await grade_all(w) == 0


async def test_a_key_that_changes_later_regrades_everybody_and_says_so(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob, cid = [await w.person(name) for name in ("ann", "bob", "cid")]
        place = await school(w, ann, bob, cid)
        others = await enrolled(w, place.space, cid, StreamKind.ANSWERS)
        await w.ok(bob, change(place.answers, Entity.ANSWER, Q, {2: (1,)}))
        await w.ok(cid, change(others, Entity.ANSWER, Q, {2: (1, 3)}))
        await grade_all(w)
        await w.ok(ann, change(place.library, Entity.QUESTION, Q, {5: (1,)}, base=1))
        assert await grade_all(w) == 3, "one for the library, one for each learner"
        assert await grade_of(w, place) == {1: 100, 2: True, 3: 1, 4: "changed:50:right", 5: 1}
        fields = await fields_of(w, others, Entity.GRADE, Q)
        assert fields is not None and (fields[1], fields[4]) == (0, "changed:100:wrong")
        assert await w.column("select points from attempts order by user_id") == [100, 0]
        await w.ok(ann, change(place.library, Entity.QUESTION, Q, {1: 4}, base=2))
        assert await grade_all(w) == 3
        assert (await grade_of(w, place) or {})[4] == "changed:50:right", "what did not change the points is not told again"
        await w.ok(ann, change(place.library, Entity.QUESTION, Q, {3: "Which one?", 7: "because", 8: 3, 9: 4}, base=3))
        assert await grade_all(w) == 0, "what changes no grade is nobody's work"
        await w.ok(bob, change(place.answers, Entity.ANSWER, Q, {2: (0,)}, base=1))
        await grade_all(w)
        assert await grade_of(w, place) == {1: 0, 2: False, 3: 2, 4: "wrong", 5: 2}


async def test_an_exam_is_graded_by_the_key_that_learners_do_not_see(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        place = await school(w, ann, bob)
        await w.ok(ann, change(place.library, Entity.QUESTION, 71, {1: 3, 2: 4, 3: "Where?", 10: True}))
        await w.ok(bob, change(place.answers, Entity.ANSWER, 71, {3: "lake victoria"}))
        await grade_all(w)
        assert await grade_of(w, place, 71) == {1: 0, 2: False, 3: 1, 4: "ungraded", 5: 1}
        assert await w.column("select points from attempts") == [None]
        await w.ok(ann, change(place.studio, Entity.ANSWER_KEY, 71, {2: ("Lake Victoria",)}))
        await grade_all(w)
        assert await grade_of(w, place, 71) == {1: 100, 2: True, 3: 1, 4: "right", 5: 1}
        assert await w.column("select points from attempts") == [100]


async def test_a_question_that_is_gone_leaves_the_grade_that_there_is(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        place = await school(w, ann, bob)
        await w.ok(bob, change(place.answers, Entity.ANSWER, Q, {2: (1, 3)}))
        await grade_all(w)
        await w.ok(ann, gone(place.library, Entity.QUESTION, Q, base=1))
        await w.ok(bob, change(place.answers, Entity.ANSWER, Q, {2: (0,)}, base=1))
        await w.ok(bob, change(place.answers, Entity.ANSWER, 999, {2: (0,)}))
        await grade_all(w)
        assert (await grade_of(w, place) or {})[1] == 100
        assert await grade_of(w, place, 999) is None and await w.rows("select from ungraded") == []


async def test_an_answer_that_comes_before_its_question_is_graded_once_that_comes(bridge: Bridge) -> None:
    """As after a restore, when the learner's device is the first to bring again what it knows."""
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        place = await school(w, ann, bob)
        await w.ok(bob, change(place.answers, Entity.ANSWER, 71, {2: (1, 3)}))
        await grade_all(w)
        assert await grade_of(w, place, 71) is None
        await w.ok(ann, change(place.library, Entity.QUESTION, 71, ASKED))
        await grade_all(w)
        assert await grade_of(w, place, 71) == {1: 100, 2: True, 3: 1, 4: "right", 5: 1}
        await w.ok(ann, gone(place.library, Entity.QUESTION, Q, base=1))
        await w.ok(bob, change(place.answers, Entity.ANSWER, Q, {2: (1, 3)}))
        await grade_all(w)
        await w.ok(ann, change(place.library, Entity.QUESTION, Q, ASKED, base=2))
        await grade_all(w)
        assert (await grade_of(w, place) or {})[1] == 100, "deleted when it was answered, and restored"


async def test_a_key_that_changes_while_somebody_is_graded_for_the_first_time_grades_them_too(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        place = await school(w, ann, bob)
        await w.ok(bob, change(place.answers, Entity.ANSWER, Q, {2: (1,)}))
        await grade_all(w)
        # As the other transaction sees it whose grader has read the key before it changed, and has not committed yet.
        await w.rows("delete from attempts")
        await w.ok(ann, change(place.library, Entity.QUESTION, Q, {5: (1,)}, base=1))
        await grade_all(w)
        assert (await grade_of(w, place) or {})[1] == 100


async def test_a_question_that_is_hidden_changes_no_grade_and_is_graded_once_it_is_shown(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob, cid = [await w.person(name) for name in ("ann", "bob", "cid")]
        place = await school(w, ann, bob, cid)
        others = await enrolled(w, place.space, cid, StreamKind.ANSWERS)
        asked: Fields = {1: 3, 2: 4, 3: "Where, you fool?", 6: ("here",)}
        await w.ok(ann, change(place.library, Entity.QUESTION, 71, asked))
        await w.ok(bob, change(place.answers, Entity.ANSWER, 71, {3: "here"}))
        await grade_all(w)
        right = {1: 100, 2: True, 3: 1, 4: "right", 5: 1}
        assert await grade_of(w, place, 71) == right

        async def cover(covered: bool) -> None:
            present = await fields_of(w, place.library, Entity.QUESTION, 71) or {}
            fields = changes(TABLE[Entity.QUESTION], asked, present, cover=covered)
            write = partial(write_record, stream=place.library, entity=Entity.QUESTION, key=71, fields=fields)
            await w.bridge.run(write, deadline_s=30)

        await cover(True)
        await w.ok(cid, change(others, Entity.ANSWER, 71, {3: COVER}))
        await grade_all(w)
        assert await grade_of(w, place, 71) == right
        fields = await fields_of(w, others, Entity.GRADE, 71) or {}
        assert (fields[1], fields[4]) == (0, "ungraded")
        await cover(False)
        await grade_all(w)
        assert await grade_of(w, place, 71) == right
        assert (await fields_of(w, others, Entity.GRADE, 71) or {})[4] == "wrong"


async def test_a_duplicate_is_an_attempt_that_waits_and_what_is_refused_is_not(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        place = await school(w, ann, bob)
        await w.rows("delete from jobs")
        refused = await w.ask(ann, change(place.answers, Entity.ANSWER, Q, {2: (1,)}))
        assert refused.code and await w.rows("select from ungraded") == []
        for _ in range(2):
            await w.ok(bob, change(place.answers, Entity.ANSWER, Q, {2: (1,)}, at=NOW - 5))
        await w.ok(bob, change(place.answers, Entity.ANSWER, Q, {2: (1,)}, at=NOW - 50))
        assert [tuple(row) for row in await w.rows("select stream_id, question, times from ungraded")] == [(place.answers, Q, 3)]
        assert len(await w.rows("select from jobs where kind = $1 and key = $2", GRADE, str(place.answers))) == 1
        await grade_all(w)
        assert (await grade_of(w, place) or {})[3] == 3


async def test_answers_that_come_while_grades_are_written_are_never_forgotten(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        place = await school(w, ann, bob)
        grader = Grader(w.bridge, w.herald)

        async def answer() -> None:
            for turn in range(16):
                await w.ok(bob, change(place.answers, Entity.ANSWER, Q, {2: (turn % 4,)}, base=turn))

        async def grade() -> None:
            for _ in range(8):
                await grader.run(cast(Work[GradeStream], Attempted(place.answers)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            nursery.start_soon(grade)
            nursery.start_soon(grade)
        await grade_all(w)
        grade_now = await grade_of(w, place)
        assert grade_now is not None and grade_now[3] == 16
        assert await w.rows("select from ungraded") == []
        assert len(await w.rows("select from attempts")) == 16
        answer_now = await w.rows("select version from records where stream_id = $1 and entity = 2", place.answers)
        assert grade_now[5] == answer_now[0]["version"]


async def test_what_a_job_that_was_given_up_left_behind_is_ordered_again_and_old_attempts_go(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        place = await school(w, ann)
        await w.ok(ann, change(place.answers, Entity.ANSWER, Q, {2: (1, 3)}))
        await w.rows("delete from jobs")
        assert await w.bridge.run(order_what_waits, deadline_s=30) == 1
        assert await grade_all(w) == 1
        assert await w.bridge.run(sweep_attempts, deadline_s=30) == 0
        await w.rows("update attempts set at = at - 731 * 86400")
        assert await w.bridge.run(sweep_attempts, deadline_s=30) == 1


async def test_a_restored_answer_is_graded_too(bridge: Bridge) -> None:
    """What comes by another way than a batch, such as staff applying what was kept of somebody who had left."""
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        place = await school(w, ann, bob)
        await w.ok(bob, Leave(place.space))
        await w.ask(bob, change(place.answers, Entity.ANSWER, Q, {2: (1, 3)}))
        [kept] = await w.column("select id from sync_queue")
        await w.rows("insert into members (space_id, user_id, role) values ($1, $2, $3)", place.space, bob.user, Role.LEARNER)
        await w.ok(ann, Release(kept))
        await grade_all(w)
        assert (await grade_of(w, place) or {})[1] == 100


@pytest.mark.parametrize(
    ("graded", "version", "present", "words"),
    [
        (Graded(50, False, "partly:1:2"), 2, {1: 100, 4: "right", 5: 1}, "partly:1:2"),
        (Graded(50, False, "partly:1:2"), 1, {1: 100, 4: "right", 5: 1}, "changed:100:partly:1:2"),
        (Graded(50, False, "partly:1:2"), 1, {1: 0, 4: "ungraded", 5: 1}, "partly:1:2"),
        (None, 1, {1: 100, 4: "right", 5: 1}, "ungraded"),
    ],
)
def test_a_grade_says_whether_the_answer_or_the_key_changed(graded: Graded | None, version: int, present: Fields, words: str) -> None:
    assert grade_fields(graded, version, 1, present)[4] == words


def test_a_grade_that_says_so_already_says_nothing() -> None:
    fields = grade_fields(Graded(50, False, "partly:1:2"), 1, 3, {1: 100, 4: "right", 5: 1})
    assert grade_fields(Graded(50, False, "partly:1:2"), 1, 3, fields) == {}
