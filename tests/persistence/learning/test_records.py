"""Records that the server writes: told like everybody's, never twice, in one transaction with whatever they follow from."""

from __future__ import annotations

import asyncpg
import pytest
import trio

from actors.storage import Fact
from persistence.bridge import Bridge
from persistence.records import NoRoom, Write, write_record, write_records
from protocol import codec
from protocol.codes import Code
from protocol.entities import BadFields, Entity, read_fields
from protocol.events import Changed
from protocol.values import Role, StreamKind
from tests.persistence.records import change, enrolled, fields_of, of_space, record
from tests.persistence.world import World, world


async def write(w: World, *writes: Write) -> list[Fact]:
    async def work(tx: asyncpg.Connection) -> list[Fact]:
        return await write_records(tx, writes)

    return await w.bridge.run(work, deadline_s=30)


async def test_what_the_server_writes_is_an_event_without_an_author_and_the_same_again_is_none(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        space, _, _ = await w.community(ann)
        answers, progress = [await enrolled(w, space, ann, kind) for kind in (StreamKind.ANSWERS, StreamKind.PROGRESS)]
        grade, following = Write(answers, Entity.GRADE, 7, {1: 50, 2: False}), Write(progress, Entity.NEXT, 1, {1: (3, 4)})
        facts = await write(w, following, grade)
        assert [(fact.stream, fact.seq, fact.author) for fact in facts] == [(progress, 1, 0), (answers, 1, 0)]
        body = codec.decode_body(facts[1].body)
        assert isinstance(body, Changed) and [(i.entity, i.key, i.version, i.gone) for i in body.records] == [(Entity.GRADE, 7, 1, False)]
        assert await write(w, following, grade) == []
        [fact] = await write(w, Write(answers, Entity.GRADE, 7, {1: 100, 2: False}))
        body = codec.decode_body(fact.body)
        assert isinstance(body, Changed) and read_fields(body.records[0].fields) == {1: 100}, "only what is new is told"
        assert await fields_of(w, answers, Entity.GRADE, 7) == {1: 100, 2: False}
        assert await w.rows("select from entity_versions") == [], "nothing that a person entered was replaced"


async def test_what_the_server_took_back_it_writes_again_above_its_tombstone(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        space, _, _ = await w.community(ann)
        progress = await enrolled(w, space, ann, StreamKind.PROGRESS)
        await write(w, Write(progress, Entity.INSIGHT, 9, {1: 3, 5: "stuck"}))
        await write(w, Write(progress, Entity.INSIGHT, 9, {}, gone=True))
        assert await record(w, progress, Entity.INSIGHT, 9) is None
        assert await write(w, Write(progress, Entity.INSIGHT, 9, {}, gone=True)) == []
        await write(w, Write(progress, Entity.INSIGHT, 9, {1: 4}))
        stood = await record(w, progress, Entity.INSIGHT, 9)
        assert stood is not None and (stood.version, stood.fields) == (3, {1: 4, 5: "stuck"})


@pytest.mark.parametrize("entity", [Entity.GRADE, Entity.NEXT, Entity.INSIGHT])
async def test_nobody_writes_what_the_server_writes(bridge: Bridge, entity: Entity) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        space, _, _ = await w.community(ann)
        stream = await enrolled(w, space, ann, StreamKind.ANSWERS if entity is Entity.GRADE else StreamKind.PROGRESS)
        refused = await w.ask(ann, change(stream, entity, 1, {1: (1,) if entity is Entity.NEXT else 1}))
        assert (refused.code, refused.detail) == (Code.FORBIDDEN, f"this role does not write {entity.name.lower()}")
        assert await record(w, stream, entity, 1) is None


async def test_learners_neither_read_nor_write_the_studio_and_mentors_do(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        space, _, _ = await w.community(ann, bob)
        studio = await of_space(w, space, StreamKind.STUDIO)
        refused = await w.ask(bob, change(studio, Entity.ANSWER_KEY, 5, {1: (0,)}))
        assert (refused.code, refused.detail) == (Code.FORBIDDEN, "this role does not read here")
        await w.rows("update members set role = $1 where space_id = $2 and user_id = $3", Role.MENTOR, space, bob.user)
        await w.ok(bob, change(studio, Entity.ANSWER_KEY, 5, {1: (0,)}))


async def test_fields_beyond_their_bounds_and_streams_that_are_gone_are_not_written(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        space, _, _ = await w.community(ann)
        answers = await enrolled(w, space, ann, StreamKind.ANSWERS)
        with pytest.raises(BadFields, match="points"):
            await write(w, Write(answers, Entity.GRADE, 7, {1: 101}))
        assert await write(w, Write(2**40, Entity.GRADE, 7, {1: 1})) == []
        assert await record(w, answers, Entity.GRADE, 7) is None


async def test_a_stream_that_is_full_takes_nothing_of_the_call(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("persistence.operations.kept.RECORDS_MAX", 2)
    async with world(bridge) as w:
        ann = await w.person("ann")
        space, _, _ = await w.community(ann)
        progress = await enrolled(w, space, ann, StreamKind.PROGRESS)
        await write(w, *(Write(progress, Entity.INSIGHT, key, {1: 1}) for key in (1, 2)))
        with pytest.raises(NoRoom, match="INSIGHT"):
            await write(w, Write(progress, Entity.INSIGHT, 2, {1: 5}), Write(progress, Entity.INSIGHT, 3, {1: 1}))
        assert await fields_of(w, progress, Entity.INSIGHT, 2) == {1: 1}


async def test_what_follows_from_a_transaction_is_written_with_it_or_not_at_all(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        space, _, _ = await w.community(ann)
        answers = await enrolled(w, space, ann, StreamKind.ANSWERS)

        async def work(tx: asyncpg.Connection) -> None:
            await write_record(tx, answers, Entity.GRADE, 7, {1: 50})
            raise RuntimeError("afterwards")

        with pytest.raises(RuntimeError, match="afterwards"):
            await w.bridge.run(work, deadline_s=30)
        assert await record(w, answers, Entity.GRADE, 7) is None
        assert await w.column("select head from streams where id = $1", answers) == [0]


async def test_two_that_write_the_same_records_at_once_both_come_through(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        space, _, _ = await w.community(ann)
        answers = await enrolled(w, space, ann, StreamKind.ANSWERS)
        await write(w, *(Write(answers, Entity.GRADE, key, {1: 0}) for key in range(1, 9)))

        async def often(points: int) -> None:
            for turn in range(5):
                await write(
                    w, *(Write(answers, Entity.GRADE, key, {1: points + turn}) for key in (range(1, 9) if points else range(8, 0, -1)))
                )

        async with trio.open_nursery() as nursery:
            nursery.start_soon(often, 0)
            nursery.start_soon(often, 50)
        log = await w.column("select seq from log where stream_id = $1 order by seq", answers)
        assert log == list(range(1, len(log) + 1))
        assert await fields_of(w, answers, Entity.GRADE, 1) in ({1: 4}, {1: 54})
