"""Sync over HTTP with the real journal, store and accounts behind it: what a socket of the same device has to do with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from actors.cell import Ref
from actors.storage import Attach, Attached, Decided, Entry
from gateway.mailbox import Mailbox, ask
from persistence.accounts import PostgresAccounts
from persistence.bridge import Bridge
from persistence.journal import Journal
from persistence.store import Store
from protocol.chunks import pack
from protocol.codec import ANSWER_FRAMES_MAX, decode_frame, encode, join, split
from protocol.codes import Code
from protocol.entities import SCHEMA, Entity, write_fields
from protocol.frames import (
    Command,
    Done,
    DoneRun,
    Event,
    Failed,
    Follow,
    Frame,
    Goodbye,
    Inherit,
    Inherited,
    Overview,
    RecordPage,
    Refused,
    Sent,
    Settlement,
    Snapshot,
    Spaces,
    Sync,
    Welcome,
)
from protocol.merge import Outcome, read_outcome
from protocol.operations import Change
from protocol.values import StreamKind
from tests.fixtures_postgres import bridge, database, postgres_server, postgres_template
from tests.gateway.web_world import World
from tests.persistence.identity import Listening, query

__all__ = ["bridge", "database", "postgres_server", "postgres_template"]


class Gate:
    """A journal whose entries wait while the gate is shut."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._held: list[tuple[Entry, Ref[Decided]]] = []
        self.came = trio.Event()
        self.shut = False

    def submit(self, entry: Entry, reply_to: Ref[Decided]) -> bool:
        if not self.shut:
            return self._journal.submit(entry, reply_to)
        self._held.append((entry, reply_to))
        self.came.set()
        return True

    def open(self) -> None:
        held, self._held, self.shut = self._held, [], False
        for entry, reply_to in held:
            assert self._journal.submit(entry, reply_to)


class Whole:
    """One person's device, over HTTP."""

    def __init__(self, bridge: Bridge) -> None:
        self.journal = Journal(bridge, Listening(), lambda: None)
        self.gate = Gate(self.journal)
        self.store = Store(bridge)
        self.world = World(PostgresAccounts(bridge, Listening()), store=self.store, journal=self.gate)
        self.session: dict[str, Any] = {}

    async def sync(self, *commands: Command, session: dict[str, Any] | None = None) -> list[Frame]:
        body = join([encode(Sync(schema=SCHEMA)), *(encode(command) for command in commands)])
        token = (session or self.session)["access_token"]
        answer = await self.world.ask("POST", "/api/v1/sync", raw=body, token=token, headers={"Content-Type": "application/msgpack"})
        assert answer.status == 200, answer.body
        return [frame for frame in map(decode_frame, split(answer.body, ANSWER_FRAMES_MAX)) if isinstance(frame, Frame)]

    async def own(self) -> int:
        """The stream of the person's own records."""
        spaces = (await self.sync(Overview(1)))[1]
        assert isinstance(spaces, Spaces)
        (stream,) = (stream.stream for space in spaces.spaces for stream in space.streams if stream.kind is StreamKind.OWN)
        return stream

    async def take_over(self) -> Attached:
        """As a socket of the device does when it attaches."""
        session = self.session
        attached = await ask(self.store, Attach(session["session"], session["user"], session["device"], 1))
        assert isinstance(attached, Attached)
        return attached


@asynccontextmanager
async def whole(bridge: Bridge) -> AsyncIterator[Whole]:
    made = Whole(bridge)
    async with trio.open_nursery() as nursery:
        await nursery.start(made.journal.serve)
        await nursery.start(made.store.serve)
        made.session = await made.world.register()
        yield made
        nursery.cancel_scope.cancel()


def drafts(stream: int, count: int) -> list[bytes]:
    return [encode(Change(stream, Entity.DRAFT, key, 1_800_000_000, write_fields({3: f"draft {key}"}))) for key in range(1, count + 1)]


def outcomes(frames: list[Frame]) -> dict[int, int]:
    """Values of what was done, by number."""
    found: dict[int, int] = {}
    for frame in frames:
        match frame:
            case Done(number, value):
                found[number] = value
            case DoneRun(first, values):
                found.update(enumerate(values, first))
            case _:
                pass
    return found


async def test_what_is_written_over_http_is_committed_once_and_read_back(bridge: Bridge) -> None:
    async with whole(bridge) as it:
        stream = await it.own()
        chunk = pack(1, drafts(stream, 20))
        frames = await it.sync(chunk, Follow(1, stream, 0), Snapshot(2, stream))
        done = outcomes(frames)
        assert sorted(done) == list(range(1, 21))
        assert {read_outcome(value)[0] for value in done.values()} == {Outcome.APPLIED}
        (page,) = (frame for frame in frames if isinstance(frame, RecordPage))
        assert [record.key for record in page.records] == list(range(1, 21))
        assert [frame.seq for frame in frames if isinstance(frame, Event)] == list(range(1, page.head + 1))
        again = await it.sync(pack(1, drafts(stream, 20)[:7]), pack(8, drafts(stream, 20)[7:]), Snapshot(2, stream))
        assert isinstance(again[0], Welcome) and again[0].last_number == 20
        assert outcomes(again) == done
        assert again[-1] == page


async def test_a_visit_leaves_the_devices_socket_its_right_to_write(bridge: Bridge) -> None:
    async with whole(bridge) as it:
        stream = await it.own()
        attached = await it.take_over()
        assert sorted(outcomes(await it.sync(pack(1, drafts(stream, 2))))) == [1, 2]
        mailbox: Mailbox[Decided] = Mailbox()
        change = Change(stream, Entity.DRAFT, 9, 1_800_000_000, write_fields({3: "from the socket"}))
        entry = Entry(it.session["user"], it.session["device"], attached.generation, 3, 5, change)
        assert it.journal.submit(entry, mailbox)
        assert (await mailbox.take()).code is Code.OK


async def test_a_socket_that_takes_over_during_a_visit_ends_it_and_nothing_is_lost(bridge: Bridge) -> None:
    async with whole(bridge) as it:
        stream = await it.own()
        answers: list[Frame] = []

        async def visit() -> None:
            answers.extend(await it.sync(pack(1, drafts(stream, 10)), Snapshot(1, stream)))

        it.gate.shut = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(visit)
            await it.gate.came.wait()
            attached = await it.take_over()
            it.gate.open()
        assert attached.last_number == 0
        assert isinstance(answers[0], Welcome)
        assert isinstance(answers[1], Goodbye) and answers[1].code is Code.TAKEN_OVER
        assert len(answers) == 2
        again = await it.sync(pack(1, drafts(stream, 10)), Snapshot(1, stream))
        assert {read_outcome(value)[0] for value in outcomes(again).values()} == {Outcome.APPLIED}
        page = again[-1]
        assert isinstance(page, RecordPage) and len(page.records) == 10


async def test_a_copied_store_goes_on_under_another_device_and_hears_what_became_of_what_it_sent(bridge: Bridge) -> None:
    async with whole(bridge) as it:
        stream = await it.own()
        await it.sync(pack(1, drafts(stream, 2)))
        digests = {entry["number"]: entry["digest"] for entry in await query(bridge, "SELECT number, digest FROM outcomes")}
        token = it.session["access_token"]
        added = (await it.world.ask("POST", "/api/v1/devices", {"name": "a copy"}, token=token)).json
        ask_for = Inherit(1, it.session["device"], (Sent(1, digests[1]), Sent(2, 77), Sent(3, 78)))
        _, inherited = await it.sync(ask_for, session=added)
        assert isinstance(inherited, Inherited)
        assert [(one.number, one.code) for one in inherited.settled] == [(1, Code.OK)]
        assert isinstance(inherited.settled[0], Settlement) and read_outcome(inherited.settled[0].value)[0] is Outcome.APPLIED
        ((device, generation),) = it.world.overtaken
        (row,) = await query(bridge, "SELECT generation FROM devices WHERE id = $1", it.session["device"])
        assert (device, generation) == (it.session["device"], row["generation"])
        (audited,) = await query(bridge, "SELECT actor, subject FROM audit_log WHERE action = 'device.added'")
        assert tuple(audited) == (it.session["user"], added["device"])


async def test_somebody_elses_device_is_not_inherited(bridge: Bridge) -> None:
    async with whole(bridge) as it:
        other = await it.world.register("grace")
        _, failed = await it.sync(Inherit(1, other["device"], ()))
        assert isinstance(failed, Failed) and failed.code in (Code.NOT_FOUND, Code.FORBIDDEN)
        assert it.world.overtaken == []


async def test_a_foreign_stream_and_a_wrong_field_are_refused_and_the_rest_is_done(bridge: Bridge) -> None:
    async with whole(bridge) as it:
        stream = await it.own()
        foreign = encode(Change(stream + 1_000_000, Entity.DRAFT, 1, 0, write_fields({3: "x"})))
        wrong = encode(Change(stream, Entity.DRAFT, 2, 0, write_fields({99: "x"})))
        frames = await it.sync(pack(1, [*drafts(stream, 1), foreign, wrong, drafts(stream, 3)[2]]))
        assert sorted(outcomes(frames)) == [1, 4]
        assert [(frame.number, frame.code) for frame in frames if isinstance(frame, Refused)] == [(2, Code.NOT_FOUND), (3, Code.INVALID)]
