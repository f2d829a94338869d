"""The same sync through requests, where sockets are blocked."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from client import MemoryStore, MutationRefused, SessionEnded, Unreachable, connect
from client.http_door import sync_once
from protocol.codec import encode, join, split
from protocol.codes import Code
from protocol.entities import Entity, write_fields
from protocol.events import Said
from protocol.frames import AnyCommand, AnyFrame, Chunk, Conflicts, Event, Failed, Follow, Goodbye, Snapshot, Sync
from protocol.operations import Change, Say
from tests.client.conftest import CALM, FakeCredentials, FakeGrant
from tests.client.fake_server import FakeServer

NOTE = 3


@pytest.fixture
def own(server: FakeServer) -> int:
    """The stream of person 1's own records."""
    return server.own_stream(1)


def bookmark(own: int, key: int, text: str) -> bytes:
    return encode(Change(own, Entity.BOOKMARK, key, server_now(), write_fields({NOTE: text})))


def server_now() -> int:
    return int(CALM.wall())


async def test_one_visit_brings_everything_up_and_everything_down(server: FakeServer, own: int, autojump_clock: MockClock) -> None:
    for number in range(1, 41):
        server.decide(12, number, bookmark(own, number, f"theirs {number}"))
    store = MemoryStore()
    for key in range(101, 131):
        store.append(bookmark(own, key, f"ours {key}"))
    status = await sync_once(FakeCredentials(server, 11), store, CALM)
    assert (status.pending, status.behind, status.succeeded_at) == (0, (), server_now())
    assert {record.key for record in store.records(own, Entity.BOOKMARK)} == {*range(1, 41), *range(101, 131)}
    assert not server.greetings
    server.decide(12, 41, bookmark(own, 41, "later"))
    server.commands.clear()
    await sync_once(FakeCredentials(server, 11), store, CALM)
    assert len(store.records(own, Entity.BOOKMARK)) == 71
    assert not [command for command in server.commands if isinstance(command, Snapshot | Chunk)]
    # Nothing new: one question a stream, and one that says who one is.
    server.commands.clear()
    await sync_once(FakeCredentials(server, 11), store, CALM)
    assert sorted(type(command).__name__ for command in server.commands) == ["Follow", "Follow", "Sync", "Sync"]
    # Written where all is known already: its own event comes in the same visit.
    store.append(bookmark(own, 200, "ours again"))
    await sync_once(FakeCredentials(server, 11), store, CALM)
    assert len(store.records(own, Entity.BOOKMARK)) == 72


@pytest.mark.parametrize("lost", range(1, 4))
async def test_an_answer_that_is_lost_is_asked_for_again_under_the_same_numbers(
    server: FakeServer, own: int, autojump_clock: MockClock, lost: int
) -> None:
    store = MemoryStore()
    for number in range(30):
        store.append(encode(Say(50, str(number))))
    credentials = FakeCredentials(server, 11)
    for attempt in range(lost):
        credentials.lost_after = attempt
        with pytest.raises(Unreachable):
            await sync_once(credentials, store, CALM)
    credentials.lost_after = None
    await sync_once(credentials, store, CALM)
    assert server.texts(50) == [str(number) for number in range(30)]
    assert store.load().mutations == ()


async def test_a_session_over_http_says_hears_and_refuses_like_one_over_a_socket(
    server: FakeServer, own: int, autojump_clock: MockClock
) -> None:
    async with connect(server.transport(), FakeCredentials(server, 11), world=CALM, door="http") as session:
        assert await session.say(50, "over HTTP") == 1
        with pytest.raises(MutationRefused):
            await session.say(99_999, "nowhere")
        assert (await session.search("ben")).user == 2
        with session.events(50) as events:
            assert [item.body for item in [await anext(events)] if isinstance(item, Event)] == [Said("over HTTP")]
            server.append(50, 2, Said("an answer"))
            async for item in events:
                if isinstance(item, Event):
                    assert item.body == Said("an answer")
                    break
    assert not server.greetings


async def test_a_visit_costs_nothing_while_there_is_nothing_to_say(server: FakeServer, own: int, autojump_clock: MockClock) -> None:
    async with connect(server.transport(), FakeCredentials(server, 11), world=CALM, door="http") as session:
        await session.synced()
        visits = len([command for command in server.commands if isinstance(command, Sync)])
        await trio.sleep(60)
        later = len([command for command in server.commands if isinstance(command, Sync)])
        assert later - visits <= 4


async def test_a_bare_token_does_not_open_the_way_over_http(server: FakeServer) -> None:
    with pytest.raises(TypeError, match="Credentials"):
        async with connect(server.transport(), FakeGrant(server, 11), world=CALM, door="http"):
            pass


async def test_a_restored_database_is_met_over_http_as_over_a_socket(server: FakeServer, own: int, autojump_clock: MockClock) -> None:
    store = MemoryStore()
    for key in range(1, 4):
        store.append(bookmark(own, key, f"note {key}"))
    await sync_once(FakeCredentials(server, 11), store, CALM)
    server.epoch += 1
    server.devices[11].last_number = 1
    server.devices[11].outcomes = {1: server.devices[11].outcomes[1]}
    del server.log[own][1:]
    server.records.records = {name: record for name, record in server.records.records.items() if name[2] == 1}
    await sync_once(FakeCredentials(server, 11), store, CALM)
    assert [server.records.fields(own, Entity.BOOKMARK, key) for key in (1, 2, 3)] == [{NOTE: f"note {key}"} for key in (1, 2, 3)]
    assert len(store.records(own, Entity.BOOKMARK)) == 3


async def test_a_copied_store_becomes_another_device_over_http_too(server: FakeServer, own: int, autojump_clock: MockClock) -> None:
    store = MemoryStore()
    store.append(encode(Say(50, "before")))
    await sync_once(FakeCredentials(server, 11), store, CALM)
    copy = store.copy()
    store.append(encode(Say(50, "original")))
    await sync_once(FakeCredentials(server, 11), store, CALM)
    copy.append(encode(Say(50, "copy")))
    credentials = FakeCredentials(server, 11)
    await sync_once(credentials, copy, CALM)
    assert server.texts(50) == ["before", "original", "copy"]
    assert credentials.device == copy.load().device != 11


async def test_streams_of_which_an_answer_had_no_room_are_asked_again(server: FakeServer, own: int, autojump_clock: MockClock) -> None:
    """An empty answer to a question for a stream means that it is complete, unless the whole answer was full."""
    server.log[51] = []
    for stream in (50, 51):
        for number in range(200):
            server.append(stream, 2, Said(f"{number} " + "x" * 1000))
    store = MemoryStore()
    async with connect(server.transport(), FakeCredentials(server, 11), store=store, world=CALM, door="http") as session:
        with session.events(50, 51) as events:
            got: dict[int, int] = {50: 0, 51: 0}
            async for item in events:
                if isinstance(item, Event):
                    got[item.stream] += 1
                if got == {50: 200, 51: 200}:
                    break
    assert [command for command in server.commands if isinstance(command, Follow)]


async def test_what_was_put_off_before_a_cut_is_not_asked_twice_after_it(
    server: FakeServer, own: int, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two answers to one question would be two halves of one list."""
    visit, answer = server.visit, server.records.answer
    asked: list[Conflicts] = []

    def busy(device: int, command: AnyCommand) -> AnyFrame | None:
        if not isinstance(command, Conflicts):
            return answer(device, command)
        asked.append(command)
        return Failed(command.id, Code.BUSY, "", 0, 500) if len(asked) == 1 else answer(device, command)

    def break_off(device: int, body: bytes) -> bytes:
        before = len(asked)
        answers = [bytes(raw) for raw in split(visit(device, body))]
        return join([*answers, encode(Goodbye(Code.BUSY))] if not before and asked else answers)

    monkeypatch.setattr(server.records, "answer", busy)
    monkeypatch.setattr(server, "visit", break_off)
    await sync_once(FakeCredentials(server, 11), MemoryStore(), CALM)
    assert len(asked) == 2


async def test_a_session_over_http_ends_when_its_login_does(server: FakeServer, own: int, autojump_clock: MockClock) -> None:
    credentials = FakeCredentials(server, 11)
    credentials.revoked = True
    async with connect(server.transport(), credentials, world=CALM, door="http") as session:
        with pytest.raises(SessionEnded):
            await session.say(50, "anyone?")
