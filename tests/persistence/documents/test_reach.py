"""What an update refers to, on a real Postgres: it is there, or the update is told what is wrong with it."""

from __future__ import annotations

import random
from typing import Any

import pytest

from actors.sovereignty import Kind
from persistence.bridge import Bridge
from persistence.documents.states import PENS_MAX
from persistence.migrate import MIGRATIONS
from proofs.document_search import PENS, Maker, number
from protocol.codes import Code
from protocol.documents import unpack_state, written_of
from protocol.events import SetAside
from protocol.operations import NameVersion, RestoreVersion
from protocol.yjs import stands
from sandbox.process import run_in_sandbox
from tests.persistence.documents.writing import Pen, compact, generation_of, load, open_document, run_jobs, update
from tests.persistence.sovereignty.test_erasure import erase
from tests.persistence.test_operations import bodies, code
from tests.persistence.world import Mailbox, Person, World, world

GOES_ON = "does not go on where its client ended"
REFERS = "refers to what is not there"


def beside(pen: int, clock: int, other: int, place: int) -> bytes:
    """One letter, by `pen` at `clock`, beside what `other` wrote at `place`."""
    return b"\1\1" + number(pen) + number(clock) + b"\x84" + number(other) + number(place) + b"\1x\0"


def within(pen: int, clock: int, other: int, place: int) -> bytes:
    """One letter, in what `other` made at `place`."""
    return b"\1\1" + number(pen) + number(clock) + b"\4\0" + number(other) + number(place) + b"\1x\0"


def deleting(other: int, place: int, count: int) -> bytes:
    return b"\0\1" + number(other) + b"\1" + number(place) + number(count)


async def reaches(w: World, document: int) -> dict[int, int]:
    return {row[0]: row[1] for row in await w.rows("select pen, reach from document_pens where stream_id = $1", document)}


async def opened(w: World, *people: Person) -> tuple[int, int, Pen]:
    """A document with ten letters by the first of them, by pen 7."""
    space, _, _ = await w.community(*people)
    document, generation = await open_document(w, people[0], space)
    pen = Pen(7)
    await w.ok(people[0], update(document, generation, pen.write("0123456789")))
    return document, generation, pen


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (beside(8, 0, 7, 10), REFERS),
        (beside(8, 0, 9, 0), REFERS),
        (within(8, 0, 7, 10), REFERS),
        (deleting(7, 9, 2), REFERS),
        (deleting(9, 0, 1), REFERS),
        (beside(8, 1, 7, 9), GOES_ON),
    ],
    ids=["beside more than a pen wrote", "beside nobody's", "in more than a pen wrote", "deletes ahead", "deletes nobody's", "a gap"],
)
async def test_what_refers_to_what_is_not_there_is_refused_in_words(bridge: Bridge, raw: bytes, words: str) -> None:
    async with world(bridge) as w:
        ann, eve = await w.person("ann"), await w.person("eve")
        document, generation, _ = await opened(w, ann, eve)
        refused = await w.ask(eve, update(document, generation, raw))
        assert (refused.code, refused.detail) == (Code.RELOAD, words)
        again = await w.ask(eve, update(document, generation, raw), number=eve.number)
        assert (again.code, again.detail, again.replayed) == (Code.RELOAD, words, True)
        assert len(await bodies(w, document)) == 2 and await reaches(w, document) == {7: 10}


async def test_what_refers_to_what_is_there_is_taken(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, eve = await w.person("ann"), await w.person("eve")
        document, generation, pen = await opened(w, ann, eve)
        for raw in (beside(8, 0, 7, 9), deleting(7, 9, 1), deleting(8, 0, 1), beside(9, 0, 8, 0)):
            await w.ok(eve, update(document, generation, raw))
        await w.ok(ann, update(document, generation, pen.write("A", 0)))
        assert (await load(w, document, ann))[1] == "A012345678x"
        assert await reaches(w, document) == {7: 11, 8: 1, 9: 1}


async def test_nobody_deletes_what_somebody_has_yet_to_write(bridge: Bridge) -> None:
    """Every reader would keep it in mind, and each of the next words would be gone as it comes."""
    async with world(bridge) as w:
        ann, eve = await w.person("ann"), await w.person("eve")
        document, generation, pen = await opened(w, ann, eve)
        assert await code(w, eve, update(document, generation, deleting(7, 0, 1_000))) is Code.RELOAD
        await w.ok(ann, update(document, generation, pen.write(" and on")))
        assert (await load(w, document, eve))[1] == "0123456789 and on"


async def test_nothing_is_said_twice_and_differently(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        document, generation, _ = await opened(w, ann)
        for start in (0, 5, 9):
            refused = await w.ask(ann, update(document, generation, beside(7, start, 7, 0) if start else Pen(7).write("other")))
            assert (refused.code, refused.detail) == (Code.RELOAD, GOES_ON)
        assert (await load(w, document, ann))[1] == "0123456789"


async def submitted(w: World, *written: tuple[Person, int, int, bytes]) -> list[Code]:
    """What becomes of updates that come together."""
    told: list[Mailbox[Any]] = [Mailbox() for _ in written]
    for (person, document, generation, raw), reply in zip(written, told, strict=True):
        assert w.journal.submit(person.entry(update(document, generation, raw)), reply)
    return [(await reply.wait(1))[0].code for reply in told]


async def test_in_a_batch_each_is_judged_by_what_was_taken_before_it(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, eve = await w.person("ann"), await w.person("eve")
        document, generation, pen = await opened(w, ann, eve)
        other, _ = await open_document(w, ann, (await w.rows("select space_id from documents limit 1"))[0][0])
        at = document, generation
        assert await submitted(
            w,
            (eve, *at, beside(7, 10_000, 7, 9)),  # somebody else's pen, far ahead: what Ann writes next is not behind it
            (eve, *at, beside(8, 0, 9, 0)),
            (ann, *at, pen.write("!")),
            (eve, *at, beside(9, 0, 7, 10)),
            (eve, *at, beside(8, 0, 9, 0)),
            (ann, other, generation, beside(9, 0, 7, 0)),
            (eve, *at, beside(9, 1, 8, 1)),
        ) == [Code.FORBIDDEN, Code.RELOAD, Code.OK, Code.OK, Code.OK, Code.RELOAD, Code.RELOAD]
        assert await reaches(w, document) == {7: 11, 8: 1, 9: 1}


@pytest.mark.parametrize("seed", range(4))
async def test_the_append_judges_made_up_documents_as_the_model_does(bridge: Bridge, seed: int) -> None:
    """Whatever is written, by whichever pens, however it is batched."""
    luck = random.Random(seed)
    async with world(bridge) as w:
        ann = await w.person("ann")
        space, _, _ = await w.community(ann)
        for _ in range(5):
            document, generation = await open_document(w, ann, space)
            maker, reach = Maker(luck), dict[int, int]()
            tries, expected = [], []
            for _ in range(30):
                maker.reach = {pen: reach.get(pen, 0) + luck.choice((0, 0, 0, 0, 0, 3)) for pen in PENS}
                raw = maker.make_one()
                try:
                    written = written_of(raw)
                except ValueError:
                    continue
                pen, start, end = written.strokes
                fine = stands(written, reach) and start == (reach.get(pen, 0) if pen else 0)
                if fine and pen:
                    reach[pen] = end
                tries.append((ann, document, generation, raw))
                expected.append(Code.OK if fine else Code.RELOAD)
            assert await submitted(w, *tries) == expected
            assert await reaches(w, document) == reach
            assert {*expected} == {Code.RELOAD, Code.OK}


async def test_a_document_has_room_for_so_many_pens_and_those_write_on(bridge: Bridge) -> None:
    text = (MIGRATIONS / "0037_document_reach.sql").read_text("utf-8")
    assert f"v_pens_max constant integer := {PENS_MAX};" in text
    async with world(bridge) as w:
        ann = await w.person("ann")
        document, generation, pen = await opened(w, ann)
        await w.rows("update document_tails set pens = $2 where stream_id = $1", document, PENS_MAX - 1)
        assert await submitted(
            w, *((ann, document, generation, raw) for raw in (Pen(8).write("a"), Pen(9).write("b"), pen.write("c"), deleting(7, 0, 1)))
        ) == [Code.OK, Code.LIMIT, Code.OK, Code.OK]
        assert await w.value("select pens from document_tails where stream_id = $1", document) == PENS_MAX


async def test_after_a_restore_only_what_the_version_has_is_there(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        document, generation, pen = await opened(w, ann, ben)
        version = await w.ok(ann, NameVersion(document, 2, "ten"))
        await run_jobs(w)
        await w.ok(ann, update(document, generation, pen.write(" and more")))
        await w.ok(ben, update(document, generation, Pen(9).write("mine")))
        await w.ok(ann, RestoreVersion(document, version))
        assert await reaches(w, document) == {7: 10}
        other = await generation_of(w, document)
        for raw in (beside(8, 0, 7, 10), beside(8, 0, 9, 0), deleting(7, 8, 3)):
            assert await code(w, ben, update(document, other, raw)) is Code.RELOAD
        assert await code(w, ben, update(document, other, beside(7, 10, 7, 9))) is Code.FORBIDDEN, "a pen stays whose it was"
        await w.ok(ben, update(document, other, beside(8, 0, 7, 9)))
        assert (await load(w, document, ann))[1] == "0123456789x"


async def test_what_a_node_of_the_version_before_made_is_found_out_and_judged_from_then_on(bridge: Bridge) -> None:
    """It wrote neither how far the pens are in a state, nor the pens of whoever was erased: until a state is made, those are believed."""
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        document, generation, pen = await opened(w, ann, ben)
        version = await w.ok(ann, NameVersion(document, 2, "ten"))
        await run_jobs(w)
        await compact(w, document)
        await w.rows("update documents set vector = null, vector_upto = -1 where stream_id = $1", document)
        await w.rows("update document_versions set vector = null where stream_id = $1", document)
        await w.rows("delete from document_pens where stream_id = $1", document)
        await w.ok(ben, update(document, generation, beside(8, 0, 7, 9)))
        await w.ok(ben, update(document, generation, beside(8, 1, 7, 100)))
        await compact(w, document)
        assert (await bodies(w, document))[-1] == SetAside((5,))
        assert await reaches(w, document) == {7: 10, 8: 1}
        assert await code(w, ben, update(document, generation, beside(8, 1, 7, 10))) is Code.RELOAD
        assert await code(w, ann, update(document, generation, pen.write("?"))) is Code.FORBIDDEN, "nobody knows any more whose it was"
        await w.ok(ben, update(document, generation, beside(8, 1, 7, 9)))
        assert await code(w, ann, RestoreVersion(document, version)) is Code.CONFLICT
        assert await code(w, ann, RestoreVersion(document, version)) is Code.CONFLICT
        assert await run_jobs(w) == 1, "it is made once more"
        await w.ok(ann, RestoreVersion(document, version))
        assert await reaches(w, document) == {7: 10}


async def test_what_goes_on_from_what_was_set_aside_is_told_so_and_another_pen_writes_on(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        document, generation, pen = await opened(w, ann, ben)
        his = Pen(9)

        async def killed(task: str, payload: bytes, *, seconds: float, memory_mib: int, answer_max: int) -> bytes:
            """Over the word, and while it is looked for something more is written beside it."""
            if b"trouble" in payload and len(await bodies(w, document)) == 4:
                await w.ok(ben, update(document, generation, beside(9, 4, 7, 16)))
            task = "trials.crash" if b"trouble" in payload else task
            return await run_in_sandbox(task, payload, seconds=seconds, memory_mib=memory_mib, answer_max=answer_max)

        await w.ok(ann, update(document, generation, pen.write("trouble")))
        await w.ok(ben, update(document, generation, his.write("mine")))
        await compact(w, document, killed)
        assert {seq for body in await bodies(w, document) if isinstance(body, SetAside) for seq in body.events} == {3, 5}
        assert await reaches(w, document) == {7: 10, 9: 4}
        assert await code(w, ann, update(document, generation, pen.write("on"))) is Code.RELOAD
        assert await code(w, ben, update(document, generation, beside(9, 4, 7, 10))) is Code.RELOAD
        await w.ok(ben, update(document, generation, beside(9, 4, 9, 3)))
        part, _ = await load(w, document, ann)
        fresh = Pen(10)
        for raw in unpack_state(part.data):
            fresh.hear(raw)
        await w.ok(ann, update(document, generation, fresh.write("> ", 0)))
        text = (await load(w, document, ann))[1]
        assert text.startswith("> ") and "trouble" not in text and "minex" in text


async def test_what_is_beside_an_erased_persons_words_is_still_taken(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        document, generation, _ = await opened(w, ann, ben)
        his = Pen(9)
        await w.ok(ben, update(document, generation, his.write("his")))
        await erase(w, Kind.PERSON, ben.user)
        await w.ok(ann, update(document, generation, beside(8, 0, 9, 2)))
        assert "hisx" in (await load(w, document, ann))[1]
