"""Documents through whole gateways: two clients of the Python kind write, cut off and healed, and read the same."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import trio

from actors.documents import Compact
from actors.sandbox_port import SandboxFailed, Why
from bench.byte_relay import Relay, open_relay
from client import MemoryStore, MutationRefused, RequestFailed, connect
from client.documents import Document, open_document
from persistence.documents.compaction import Compactor
from proofs.document_search import number
from protocol.codes import Code
from protocol.documents import checksum_of
from protocol.operations import CreateDocument, NameVersion, RestoreVersion, Say, Update
from protocol.values import Role
from sandbox.process import run_in_sandbox
from tests.fixtures_postgres import database, postgres_server, postgres_template
from tests.fixtures_valkey import TestValkey, valkey, valkey_server
from tests.persistence.documents.writing import Tried
from tests.persistence.world import fetch
from tests.system.inside import gateways, settings_for
from tests.system.running import community, register

__all__ = ["database", "postgres_server", "postgres_template", "valkey", "valkey_server"]


async def alike(*documents: Document) -> str:
    """Waits until all read the same and have nothing left to send; what that is."""
    with trio.fail_after(20):
        for document in documents:
            await document.settled()
        while len({str(document.text) for document in documents}) > 1:
            with trio.move_on_after(0.02):  # any of them may be the one that changes
                await documents[0].changed()
    return str(documents[0].text)


async def test_two_write_on_two_gateways_and_read_the_same(database: str, valkey: TestValkey, tmp_path: Path) -> None:
    settings = settings_for(database, valkey.url, tmp_path)
    async with gateways(settings, tmp_path, 2) as (here, there):
        async with (
            connect(there.url, await register(there.url)) as ben,
            community(here.url, (ben, Role.LEARNER)) as (ann, space, _),
        ):
            stream = await ann.do(CreateDocument(space, "Notes"))
            with pytest.raises(MutationRefused) as wrong:
                await ann.do(Say(stream, "not here"))
            assert wrong.value.code == Code.FORBIDDEN
            draw = random.Random(7).random
            async with open_document(ann, stream, draw) as mine, open_document(ben, stream, draw) as his:
                mine.text.insert(0, "Hello ")
                with trio.fail_after(20):
                    await his.reads(lambda text: text == "Hello ")
                his.text.insert(6, "world")
                mine.text.insert(0, "> ")
                assert await alike(mine, his) == "> Hello world"
                mine.say_where(b"at 3")
                with trio.fail_after(20):
                    while his.people.get(ann.user) != b"at 3":
                        await his.changed()
                for word in ("a", "b", "c") * 20:
                    mine.text.insert(len(str(mine.text)), word)
                    his.text.insert(0, word.upper())
                text = await alike(mine, his)
                assert sorted(text) == sorted("> Hello world" + "abc" * 20 + "ABC" * 20)
            async with open_document(ben, stream, draw) as again:
                assert str(again.text) == text, "and whoever opens it anew reads the same"
            stranger = await register(here.url)
            async with connect(here.url, stranger) as eve:
                with pytest.raises(RequestFailed) as failed:
                    await eve.load_document(stream)
                assert failed.value.code == Code.NOT_FOUND


async def test_what_is_written_while_lines_are_cut_is_everybodys_and_once(database: str, valkey: TestValkey, tmp_path: Path) -> None:
    settings = settings_for(database, valkey.url, tmp_path)
    async with gateways(settings, tmp_path) as (house,), open_relay(int(house.url.rpartition(":")[2])) as relay:
        async with (
            connect(relay.url, await register(house.url)) as ben,
            community(house.url, (ben, Role.LEARNER)) as (ann, space, _),
        ):
            stream = await ann.do(CreateDocument(space, "Notes"))
            draw = random.Random(9).random
            async with open_document(ann, stream, draw) as mine, open_document(ben, stream, draw) as his:
                for turn in range(3):
                    relay.cut()
                    for place in range(10):
                        his.text.insert(0, f"<b{turn}{place}>")
                        mine.text.insert(len(str(mine.text)), f"<a{turn}{place}>")
                        await trio.lowlevel.checkpoint()
                text = await alike(mine, his)
                words = [f"<{who}{turn}{place}>" for who in "ab" for turn in range(3) for place in range(10)]
                assert sorted(text.replace("><", "> <").split()) == sorted(words)


async def test_what_is_set_aside_is_no_part_of_any_open_document(database: str, valkey: TestValkey, tmp_path: Path) -> None:
    settings = settings_for(database, valkey.url, tmp_path)

    async def troubled(task: str, payload: bytes, *, seconds: float, memory_mib: int, answer_max: int) -> bytes:
        """One update stops whoever applies it."""
        if b"trouble" in payload:
            raise SandboxFailed(Why.KILLED, "ended by signal 6")
        return await run_in_sandbox(task, payload, seconds=seconds, memory_mib=memory_mib, answer_max=answer_max)

    async with gateways(settings, tmp_path) as (house,):
        async with (
            connect(house.url, await register(house.url)) as ben,
            community(house.url, (ben, Role.LEARNER)) as (ann, space, _),
        ):
            stream = await ann.do(CreateDocument(space, "Notes"))
            draw = random.Random(11).random
            async with open_document(ann, stream, draw) as mine, open_document(ben, stream, draw) as his:
                mine.text.insert(0, "all is well")
                await alike(mine, his)
                his.text.insert(0, "trouble ")
                await alike(mine, his)
                compactor = Compactor(house.node.bridge, house.node.exchange, troubled)
                await compactor.run(Tried(Compact(stream)))  # type: ignore[arg-type]
                with trio.fail_after(20):
                    await his.reads(lambda text: text == "all is well")
                    await mine.reads(lambda text: text == "all is well")
                his.text.insert(0, "now ")
                assert await alike(mine, his) == "now all is well"
            async with open_document(ben, stream, draw) as again:
                assert str(again.text) == "now all is well"


async def relay_until_ended(port: int, task_status: trio.TaskStatus[tuple[Relay, trio.CancelScope]]) -> None:
    """A line to the server that can be ended for good."""
    with trio.CancelScope() as scope:
        async with open_relay(port) as relay:
            task_status.started((relay, scope))
            await trio.sleep_forever()


async def test_what_was_written_and_not_sent_is_there_when_the_document_is_opened_again(
    database: str, valkey: TestValkey, tmp_path: Path
) -> None:
    """The first life ends without a line; what it wrote then is in its store alone."""
    settings = settings_for(database, valkey.url, tmp_path)
    async with gateways(settings, tmp_path) as (house,), trio.open_nursery() as nursery:
        credentials, store, draw = await register(house.url), MemoryStore(), random.Random(10).random
        async with connect(house.url, credentials) as joining:
            async with community(house.url, (joining, Role.LEARNER)) as (ann, space, _):
                stream = await ann.do(CreateDocument(space, "Notes"))
        relay, line = await nursery.start(relay_until_ended, int(house.url.rpartition(":")[2]))
        async with connect(relay.url, credentials, store=store) as ben, open_document(ben, stream, draw) as his:
            his.text.insert(0, "sent ")
            with trio.fail_after(20):
                await his.settled()
            line.cancel()
            his.text.insert(5, "kept")
        async with connect(house.url, credentials, store=store) as ben, open_document(ben, stream, draw) as his:
            assert str(his.text) == "sent kept"
            with trio.fail_after(20):
                await his.settled()
            assert his.refused is None
        async with connect(house.url, credentials) as ben, open_document(ben, stream, draw) as his:
            assert str(his.text) == "sent kept", "and the server has it, once"


async def test_an_update_that_cannot_be_applied_is_passed_over_by_who_reads(database: str, valkey: TestValkey, tmp_path: Path) -> None:
    """It stands in what is no text: whoever has pycrdt is told so, and goes on."""
    settings = settings_for(database, valkey.url, tmp_path)
    async with gateways(settings, tmp_path) as (house,):
        async with (
            connect(house.url, await register(house.url)) as ben,
            community(house.url, (ben, Role.LEARNER)) as (ann, space, _),
        ):
            stream = await ann.do(CreateDocument(space, "Notes"))
            draw = random.Random(13).random
            async with open_document(ann, stream, draw) as mine:
                mine.text.insert(0, "fine")
                await alike(mine)
                place = number(mine.doc.client_id) + b"\2"
                raw = b"\1\1\7\0\4\0" + place + b"\1x\0"
                await ben.do(Update(stream, mine.generation, raw, checksum_of(raw)))
                async with open_document(ben, stream, draw) as his:
                    his.text.insert(4, " day")
                    assert await alike(mine, his) == "fine day"
                    mine.text.insert(0, "a ")
                    assert await alike(mine, his) == "a fine day"
                compactor = Compactor(house.node.bridge, house.node.exchange, run_in_sandbox)
                await compactor.run(Tried(Compact(stream)))  # type: ignore[arg-type]
                rows = await fetch(house.node.bridge, "select seq from document_set_aside where stream_id = $1", stream)
                assert len(rows) == 1
                mine.text.insert(0, "such ")
                async with open_document(ben, stream, draw) as his:
                    assert await alike(mine, his) == "such a fine day"


async def test_a_restored_version_is_everybodys_and_what_was_not_in_it_is_named(database: str, valkey: TestValkey, tmp_path: Path) -> None:
    settings = settings_for(database, valkey.url, tmp_path)
    async with gateways(settings, tmp_path) as (house,):
        async with (
            connect(house.url, await register(house.url)) as ben,
            community(house.url, (ben, Role.LEARNER)) as (ann, space, _),
        ):
            stream = await ann.do(CreateDocument(space, "Notes"))
            draw = random.Random(8).random
            async with open_document(ann, stream, draw) as mine, open_document(ben, stream, draw) as his:
                mine.text.insert(0, "draft")
                await alike(mine, his)
                version = await ben.do(NameVersion(stream, his.upto, "first"))
                compactor = Compactor(house.node.bridge, house.node.exchange, run_in_sandbox)
                await compactor.run(Tried(Compact(stream, version)))  # type: ignore[arg-type]
                [named] = (await ben.document_versions(stream)).versions
                assert (named.version, named.name, named.by) == (version, "first", ben.user)
                his.text.insert(5, " two")
                assert await alike(mine, his) == "draft two"
                await ann.do(RestoreVersion(stream, version))
                with trio.fail_after(20):
                    await his.reads(lambda text: text == "draft")
                    await mine.reads(lambda text: text == "draft")
                his.text.insert(5, " three")
                assert await alike(mine, his) == "draft three"
