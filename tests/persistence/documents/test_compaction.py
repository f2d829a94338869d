"""States, versions and what is set aside, on a real Postgres and in real sandboxes."""

from __future__ import annotations

from functools import partial

import trio

from actors.storage import Denied, ListDocumentVersions, LoadState
from persistence.bridge import Bridge
from persistence.documents import reading
from persistence.documents.states import WORDS
from protocol.codes import Code
from protocol.documents import unpack_state
from protocol.events import Noticed, Restarted, SetAside, VersionNamed
from protocol.operations import NameVersion, RestoreVersion
from sandbox.process import run_in_sandbox
from tests.persistence.documents.writing import Pen, compact, generation_of, load, open_document, run_jobs, update
from tests.persistence.test_operations import bodies, code, inbox
from tests.persistence.world import Person, World, world


async def written(w: World, *people: Person) -> tuple[int, int, Pen]:
    """A document in which the first of them wrote three words."""
    space, _, _ = await w.community(*people)
    document, generation = await open_document(w, people[0], space)
    pen = Pen(11)
    for word in ("one", " two", " three"):
        await w.ok(people[0], update(document, generation, pen.write(word)))
    return document, generation, pen


async def test_a_newcomer_gets_the_state_and_what_came_after_it(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        document, generation, pen = await written(w, ann, ben)
        assert (await load(w, document, ben))[0].size == 0, "nothing is compacted yet"
        await compact(w, document)
        part, text = await load(w, document, ben)
        assert (part.upto, text) == (4, "one two three")
        await w.ok(ann, update(document, generation, pen.write("!")))
        part, text = await load(w, document, ben)
        assert (part.upto, text) == (4, "one two three!")
        [tail] = await w.rows("select updates - cleared_updates as n from document_tails where stream_id = $1", document)
        assert tail["n"] == 1


async def test_what_comes_while_a_state_is_made_is_not_lost(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        document, generation, pen = await written(w, ann)

        async def slow(task: str, payload: bytes, *, seconds: float, memory_mib: int, answer_max: int) -> bytes:
            await w.ok(ann, update(document, generation, pen.write(" four")))
            return await run_in_sandbox(task, payload, seconds=seconds, memory_mib=memory_mib, answer_max=answer_max)

        await compact(w, document, slow)
        part, text = await load(w, document, ann)
        assert (part.upto, text) == (4, "one two three four")


async def test_of_two_that_make_a_state_at_once_the_slower_changes_nothing(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        document, generation, pen = await written(w, ann)
        ran = 0

        async def overtaken(task: str, payload: bytes, *, seconds: float, memory_mib: int, answer_max: int) -> bytes:
            nonlocal ran
            ran += 1
            if ran == 1:
                await w.ok(ann, update(document, generation, pen.write(" four")))
                await compact(w, document)
            return await run_in_sandbox(task, payload, seconds=seconds, memory_mib=memory_mib, answer_max=answer_max)

        await compact(w, document, overtaken)
        part, text = await load(w, document, ann)
        assert (part.upto, text) == (5, "one two three four") and ran == 1, "and there was nothing left to do"


async def test_an_update_that_nobody_can_apply_is_set_aside_and_the_others_go_on(bridge: Bridge) -> None:
    """It is well-formed as far as the server looks, and whoever applies it does not come to an end."""
    async with world(bridge) as w:
        ann = await w.person("ann")
        document, _, _ = await written(w, ann)

        async def looping(task: str, payload: bytes, *, seconds: float, memory_mib: int, answer_max: int) -> bytes:
            """A real process that loops, as pycrdt would, over the second update."""
            if b" two" in payload:
                task, seconds = "trials.loop", 0.2
            return await run_in_sandbox(task, payload, seconds=seconds, memory_mib=memory_mib, answer_max=answer_max)

        await compact(w, document, looping)
        assert (await bodies(w, document))[-1] == SetAside((3, 4)), "what goes on from it is not there, either"
        rows = await w.rows("select seq, words from document_set_aside where stream_id = $1 order by seq", document)
        assert [row["seq"] for row in rows] == [3, 4]
        assert "no answer" in rows[0]["words"] and "refers to what is not there" in rows[1]["words"]
        assert [body.words for body in await inbox(w, ann) if isinstance(body, Noticed)] == [WORDS]
        assert (await load(w, document, ann))[0].upto == 4
        await compact(w, document)
        assert len([body for body in await bodies(w, document) if isinstance(body, SetAside)]) == 1, "it is told once"


async def test_a_named_version_is_what_the_document_was_and_restoring_it_begins_another_generation(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        document, generation, pen = await written(w, ann, ben)
        version = await w.ok(ben, NameVersion(document, 3, "two words"))
        assert (await bodies(w, document))[-1] == VersionNamed(version, 3, "two words")
        assert await code(w, ann, RestoreVersion(document, version)) is Code.CONFLICT, "it is not there yet"
        await run_jobs(w)
        assert (await load(w, document, ben, version))[1] == "one two"
        assert await code(w, ben, RestoreVersion(document, version)) is Code.FORBIDDEN
        await w.ok(ann, RestoreVersion(document, version))
        other = await generation_of(w, document)
        assert other != generation and (await bodies(w, document))[-1] == Restarted(other, version)
        assert await code(w, ann, update(document, generation, pen.write("late"))) is Code.RELOAD
        part, text = await load(w, document, ben)
        assert (part.generation, part.upto, text) == (other, 6, "one two")
        again = Pen(12)
        for raw in unpack_state(part.data):
            again.hear(raw)
        await w.ok(ben, update(document, other, again.write(" again")))
        assert (await load(w, document, ann))[1] == "one two again"


async def test_what_a_document_was_when_another_version_was_restored_is_kept(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        document, _, _ = await written(w, ann)
        version = await w.ok(ann, NameVersion(document, 2, "first"))
        await run_jobs(w)
        await w.ok(ann, RestoreVersion(document, version))
        [tail] = await w.rows("select bytes - cleared_bytes as n from document_tails where stream_id = $1", document)
        assert tail["n"] == 0, "the new generation begins with nothing to be compacted"
        await run_jobs(w)
        [kept] = await w.rows("select id, until, upto from document_versions where stream_id = $1 and by = 0", document)
        assert kept["until"] == kept["upto"] == 5
        assert (await load(w, document, ann, kept["id"]))[1] == "one two three"
        await w.ok(ann, RestoreVersion(document, kept["id"]))
        assert (await load(w, document, ann))[1] == "one two three"


async def test_updates_that_meet_a_restore_are_in_one_of_the_two_generations(bridge: Bridge) -> None:
    """Each is acknowledged in the old one, and then kept with it, or told to load again."""
    async with world(bridge) as w, world(bridge) as elsewhere:
        ann, ben = await w.person("ann"), await w.person("ben")
        document, generation, _ = await written(w, ann, ben)
        version = await w.ok(ann, NameVersion(document, 2, "first"))
        await run_jobs(w)
        pen, taken = Pen(99), []

        async def write() -> None:
            for count in range(40):
                raw = pen.write(f"<{count}>")
                if (await elsewhere.ask(ben, update(document, generation, raw))).code is Code.OK:
                    taken.append(count)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            for _ in range(20):
                await trio.lowlevel.checkpoint()
            nursery.start_soon(w.ok, ann, RestoreVersion(document, version))
        await run_jobs(w)
        [kept] = await w.rows("select id from document_versions where stream_id = $1 and by = 0", document)
        text = (await load(w, document, ann, kept["id"]))[1]
        assert all(f"<{count}>" in text for count in taken), (taken, text)
        assert text.count("<") == len(taken)


async def test_who_does_not_read_a_document_is_given_nothing_of_it(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben, eve = await w.person("ann"), await w.person("ben"), await w.person("eve")
        space, _, _ = await w.community(ann, ben)
        document, generation = await open_document(w, ann, space, read_roles=1, write_roles=1)
        await w.ok(ann, update(document, generation, Pen(1).write("secret")))
        await compact(w, document)
        for person, refused in ((ben, Code.FORBIDDEN), (eve, Code.NOT_FOUND)):
            for operation in (NameVersion(document, 1, "mine"), RestoreVersion(document, 1)):
                assert await code(w, person, operation) is refused, operation
            asked = LoadState(document, person.user, 0, 0, 0, 0, 1000), ListDocumentVersions(document, person.user, 0, 10)
            loaded = await w.bridge.run(partial(reading.load_state, queries=asked[:1]), deadline_s=30)
            listed = await w.bridge.run(partial(reading.list_versions, queries=asked[1:]), deadline_s=30)
            assert [*loaded, *listed] == [Denied(refused), Denied(refused)]
