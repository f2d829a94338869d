"""Exams: whoever wrote which half of a question, its answer is not read by learners; and nobody tries until it is right."""

from __future__ import annotations

from actors.storage import ReadVersions, VersionList
from persistence.bridge import Bridge
from persistence.record_queries import read_versions
from protocol.entities import Entity, Fields, read_fields
from tests.persistence.learning.school import ASKED, grade_all, school
from tests.persistence.records import NOW, another_device, change, fields_of
from tests.persistence.world import Person, World, world


async def grade_of(w: World, answers: int, question: int) -> Fields:
    fields = await fields_of(w, answers, Entity.GRADE, question) or {}
    return {number: value for number, value in fields.items() if number != 6}


async def test_of_an_exam_the_first_answer_that_came_counts_however_many_follow(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        place = await school(w, ann, bob)
        await w.ok(ann, change(place.studio, Entity.ANSWER_KEY, 71, {1: (3,)}))
        await w.ok(ann, change(place.library, Entity.QUESTION, 71, {1: 3, 2: 0, 3: "Which?", 4: ("a", "b", "c", "d"), 10: True}))
        for turn in range(4):
            await w.ok(bob, change(place.answers, Entity.ANSWER, 71, {2: (turn,)}, at=NOW - 10 * turn, base=turn))
            await grade_all(w)
            assert await grade_of(w, place.answers, 71) == {1: 0, 2: False, 3: turn + 1, 4: "wrong", 5: 1}
        await w.ok(ann, change(place.studio, Entity.ANSWER_KEY, 71, {1: (0,)}, base=1))
        await grade_all(w)
        assert await grade_of(w, place.answers, 71) == {1: 100, 2: True, 3: 4, 4: "changed:0:right", 5: 1}


async def test_of_a_question_that_becomes_an_exams_nobody_but_who_writes_reads_the_answer(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        tablet = await another_device(w, ann)
        place = await school(w, ann, bob)
        key: Fields = {5: (1, 3), 6: ("two",), 7: "Two divides them."}
        # One takes it for practice, the other, who does not know of it, as an exam's; in either order.
        await w.ok(ann, change(place.library, Entity.QUESTION, 81, {**ASKED, **key, 10: False}, at=NOW - 50))
        await w.ok(tablet, change(place.library, Entity.QUESTION, 81, {1: 3, 2: 1, 10: True}, at=NOW - 40))
        await w.ok(ann, change(place.library, Entity.QUESTION, 82, {1: 3, 2: 1, 10: True}, at=NOW - 40))
        await w.ok(tablet, change(place.library, Entity.QUESTION, 82, {**ASKED, **key, 10: False}, at=NOW - 50))
        # One clears the key, another mends it later; and one writes it where the exam stands already.
        await w.ok(ann, change(place.library, Entity.QUESTION, 83, {**ASKED, **key}, at=NOW - 50))
        await w.ok(ann, change(place.library, Entity.QUESTION, 83, {10: True, 5: (), 6: (), 7: ""}, at=NOW - 40, base=1))
        await w.ok(tablet, change(place.library, Entity.QUESTION, 83, key, at=NOW - 30, base=1))
        for question in (81, 82, 83):
            fields = await fields_of(w, place.library, Entity.QUESTION, question)
            assert fields is not None and (fields[10], fields[5], fields[6], fields[7]) == (True, (), (), "")

            async def versions(reader: Person, question: int = question) -> list[Fields]:
                asked = [ReadVersions(place.library, reader.user, Entity.QUESTION, question, 0, 20)]
                [page] = await w.bridge.run(lambda tx: read_versions(tx, asked), deadline_s=30)
                assert isinstance(page, VersionList)
                return [read_fields(one.fields) for one in page.versions]

            assert not any({5, 6, 7} & set(fields) for fields in await versions(bob))
            assert any(fields.get(5) == (1, 3) for fields in await versions(ann)), "who writes finds what was taken out"
        last = [row["body"] for row in await w.rows("select body from log where stream_id = $1 order by seq desc limit 1", place.library)]
        assert b"divides" not in last[0], "nor is it told"
