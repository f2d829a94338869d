"""Documents on a real Postgres: who may write what, by which pen, in which generation, and what is counted."""

from __future__ import annotations

import msgspec
import pytest

from persistence.bridge import Bridge
from persistence.documents.operations import DOCUMENTS_PER_PERSON_MAX, DOCUMENTS_PER_SPACE_MAX
from protocol.codes import Code
from protocol.documents import checksum_of
from protocol.events import DocumentChanged, DocumentOpened, Restarted, Updated
from protocol.operations import ChangeDocument, CreateDocument, MarkRead, Post, React, Say, SetRole, Update
from protocol.values import Role, Roles
from tests.persistence.documents.writing import Pen, generation_of, load, open_document, update
from tests.persistence.test_operations import bodies, code
from tests.persistence.world import Mailbox, World, world


async def test_what_members_write_is_in_the_document_with_who_wrote_it(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        space, own, _ = await w.community(ann, ben)
        document, generation = await open_document(w, ben, space)
        assert (await bodies(w, own))[-1] == DocumentOpened(document, "Notes", 15, 15)
        a, b = Pen(1), Pen(2)
        first = a.write("hello")
        assert await w.ok(ann, update(document, generation, first)) == 2
        b.hear(first)
        second = b.write(" there")
        assert await w.ok(ben, update(document, generation, second)) == 3
        assert await bodies(w, document) == [
            Restarted(generation),
            Updated(first, checksum_of(first)),
            Updated(second, checksum_of(second)),
        ]
        assert await w.column("select author from log where stream_id = $1 order by seq", document) == [ben.user, ann.user, ben.user]
        assert (await load(w, document, ann))[1] == "hello there"


async def test_only_those_write_whose_roles_the_document_names_and_nobody_while_it_is_put_away(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben, eve = await w.person("ann"), await w.person("ben"), await w.person("eve")
        space, own, _ = await w.community(ann, ben)
        document, generation = await open_document(w, ann, space, write_roles=int(Roles.STAFF))
        raw = Pen(1).write("hi")
        assert await code(w, ben, update(document, generation, raw)) is Code.FORBIDDEN
        assert await code(w, eve, update(document, generation, raw)) is Code.NOT_FOUND
        assert await code(w, eve, CreateDocument(space, "Mine")) is Code.NOT_FOUND
        change = ChangeDocument(document, "Minutes", 15, 15)
        assert await code(w, ben, change) is Code.FORBIDDEN
        assert await code(w, eve, change) is Code.NOT_FOUND
        await w.ok(ann, change)
        await w.ok(ben, update(document, generation, raw))
        await w.ok(ann, msgspec.structs.replace(change, archived=True))
        assert (await bodies(w, own))[-1] == DocumentChanged(document, "Minutes", 15, 15, True)
        assert await code(w, ben, update(document, generation, Pen(2).write("late"))) is Code.FORBIDDEN
        assert (await load(w, document, ben))[1] == "hi", "it is still read"
        await w.ok(ann, change)
        await w.ok(ben, update(document, generation, Pen(2).write("again")))


async def test_whoever_opened_a_document_may_change_it_while_they_read_it(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, _ = await w.community(ann, ben)
        document, _ = await open_document(w, ben, space)
        await w.ok(ben, ChangeDocument(document, "Ours", int(Roles.STAFF), int(Roles.STAFF)))
        assert await code(w, ben, ChangeDocument(document, "Mine", 15, 15)) is Code.FORBIDDEN
        await w.ok(ann, SetRole(space, ben.user, Role.MODERATOR))
        await w.ok(ben, ChangeDocument(document, "Mine", 15, 15))
        assert await code(w, ben, ChangeDocument(document, "Nobody's", 0, 0)) is Code.INVALID


async def test_one_member_leaves_room_for_the_others_documents(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, _ = await w.community(ann, ben)
        await open_document(w, ben, space)
        made = (
            "with s as (insert into streams (space_id, kind, placement) select $1, 5, $1 from generate_series(1, $3) returning id)"
            " insert into documents (stream_id, space_id, created_by, write_roles, generation) select id, $1, $2, 15, 1 from s"
        )
        await w.rows(made, space, ben.user, DOCUMENTS_PER_PERSON_MAX - 1)
        assert await code(w, ben, CreateDocument(space, "one more")) is Code.LIMIT
        await w.ok(ann, CreateDocument(space, "Ann's"))
        await w.rows(made, space, ben.user, DOCUMENTS_PER_SPACE_MAX - DOCUMENTS_PER_PERSON_MAX - 1)
        assert await code(w, ann, CreateDocument(space, "one too many")) is Code.LIMIT


async def test_nothing_but_updates_is_said_in_a_document_and_updates_nowhere_else(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        space, _, channel = await w.community(ann)
        document, generation = await open_document(w, ann, space)
        for operation in (Say(document, "hi"), Post(document, "hi"), React(document, 1, "x")):
            assert await code(w, ann, operation) is Code.FORBIDDEN, operation
        assert await code(w, ann, update(channel, generation, Pen(1).write("hi"))) is Code.FORBIDDEN
        await w.ok(ann, MarkRead(document, 1))


async def test_an_update_of_another_generation_is_told_to_load_again(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        space, _, _ = await w.community(ann)
        document, generation = await open_document(w, ann, space)
        assert await code(w, ann, update(document, generation % 1000 + 1, Pen(1).write("hi"))) is Code.RELOAD
        assert len(await bodies(w, document)) == 1


async def test_nobody_writes_with_somebody_elses_pen(bridge: Bridge) -> None:
    """A forged author: what is added by Ann's pen, with the clock that her next word would have, would make that word disappear."""
    async with world(bridge) as w:
        ann, eve = await w.person("ann"), await w.person("eve")
        space, _, _ = await w.community(ann, eve)
        document, generation = await open_document(w, ann, space)
        hers, forged = Pen(7), Pen(7)
        first = hers.write("I said ")
        await w.ok(ann, update(document, generation, first))
        forged.hear(first)
        assert await code(w, eve, update(document, generation, forged.write("nothing"))) is Code.FORBIDDEN
        await w.ok(ann, update(document, generation, hers.write("this")))
        assert (await load(w, document, eve))[1] == "I said this"
        assert await w.column("select distinct author from log where stream_id = $1", document) == [ann.user]


async def test_of_two_who_begin_with_one_pen_in_one_batch_the_first_has_it(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, eve = await w.person("ann"), await w.person("eve")
        space, _, _ = await w.community(ann, eve)
        document, generation = await open_document(w, ann, space)
        told = [Mailbox() for _ in range(3)]  # type: ignore[var-annotated]
        pen = Pen(7)
        for person, raw, reply in ((ann, pen.write("a"), told[0]), (eve, Pen(7).write("e"), told[1]), (ann, pen.write("b"), told[2])):
            assert w.journal.submit(person.entry(update(document, generation, raw)), reply)
        assert [(await reply.wait(1))[0].code for reply in told] == [Code.OK, Code.FORBIDDEN, Code.OK]
        assert (await load(w, document, ann))[1] == "ab"


async def test_what_would_wait_for_what_never_came_is_not_taken(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        space, _, _ = await w.community(ann)
        document, generation = await open_document(w, ann, space)
        pen = Pen(3)
        lost, second, third = pen.write("one "), pen.write("two "), pen.write("three")
        told = [Mailbox() for _ in range(2)]  # type: ignore[var-annotated]
        for raw, reply in zip((second, third), told, strict=True):
            assert w.journal.submit(ann.entry(update(document, generation, raw)), reply)
        assert [(await reply.wait(1))[0].code for reply in told] == [Code.RELOAD, Code.RELOAD]
        for raw in (lost, second, third):
            await w.ok(ann, update(document, generation, raw))
        assert (await load(w, document, ann))[1] == "one two three"


async def test_what_is_full_is_still_deleted_from(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        space, _, _ = await w.community(ann)
        document, generation = await open_document(w, ann, space)
        pen = Pen(3)
        await w.ok(ann, update(document, generation, pen.write("words")))
        await w.rows("update documents set state = state || decode(repeat('00', 4194305), 'hex') where stream_id = $1", document)
        assert await code(w, ann, update(document, generation, pen.write("more"))) is Code.LIMIT
        del pen.text[0:2]
        await w.ok(ann, update(document, generation, pen.taken()))


async def test_while_too_much_waits_for_a_state_writers_are_told_when_to_come_again(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        space, _, _ = await w.community(ann)
        document, generation = await open_document(w, ann, space)
        pen = Pen(3)
        await w.ok(ann, update(document, generation, pen.write("words")))
        await w.rows("update document_tails set bytes = 21000000 where stream_id = $1", document)
        refused = await w.ask(ann, update(document, generation, pen.write("more")))
        assert refused.code is Code.SLOWED and refused.value > 1_700_000_000_000
        assert len(await w.rows("select 1 from jobs where kind = 'document.compact'")) == 1, "and the state is asked for"
        again = await w.ask(ann, update(document, generation, pen.write("!")), number=ann.number)
        assert again.code is Code.NUMBER_REUSED


async def test_every_so_often_a_job_is_ordered_once(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        space, _, _ = await w.community(ann)
        document, generation = await open_document(w, ann, space)
        pen = Pen(3)
        await w.ok(ann, update(document, generation, pen.write("a")))
        for count, ordered in ((499, 1), (500, 1), (999, 1)):
            await w.rows("update document_tails set updates = $2 where stream_id = $1", document, count)
            await w.ok(ann, update(document, generation, pen.write("b")))
            rows = await w.rows("select key, payload from jobs where kind = 'document.compact'")
            assert len(rows) == ordered
            assert msgspec.msgpack.decode(rows[0]["payload"]) == [document]


@pytest.mark.parametrize("body", [Update(1, 1, b"\0\0", 0), Update(1, 1, b"\2\1\1\0", checksum_of(b"\2\1\1\0"))])
async def test_an_update_that_is_none_costs_its_author_alone(bridge: Bridge, body: Update) -> None:
    """The device refuses it; what got past it is refused by the journal, by itself."""
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, _ = await w.community(ann, ben)
        document, generation = await open_document(w, ann, space)
        bad = msgspec.structs.replace(body, document=document, generation=generation)
        told: list[Mailbox] = [Mailbox(), Mailbox()]  # type: ignore[type-arg]
        assert w.journal.submit(ann.entry(bad), told[0])
        assert w.journal.submit(ben.entry(update(document, generation, Pen(4).write("fine"))), told[1])
        assert (await told[1].wait(1))[0].code is Code.OK
        assert (await told[0].wait(1))[0].code in (Code.OK, Code.INVALID)
        assert await generation_of(w, document) == generation
        assert isinstance(w, World)
