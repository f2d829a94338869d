"""Tickets on the client's side: shown by itself, kept over restarts, and the token wherever a ticket does not do."""

from __future__ import annotations

import msgspec
import pytest
import trio
from trio.testing import MockClock

from client import MemoryStore, connect
from client.session import World
from client.store import Store
from client.subscription import CaughtUp
from client.tickets import LEFT_S_MIN, TICKET, Kept, Tickets
from protocol.codes import Code
from protocol.events import Said
from protocol.frames import Event, Goodbye, Hello, Limits, Refresh, Resume, TakeTicket, Welcome
from tests.client.conftest import CALM, FakeGrant
from tests.client.fake_server import FakeServer

WELCOME = Welcome(1, 1, 1, 1001, 5, 7, 0, 60, 1_800_000_900, Limits(65_536, 16, 64))


async def begin(server: FakeServer, store: Store, device: int = 11, world: World = CALM) -> None:
    """One life of a program: it comes, says what it has, and goes."""
    async with connect(server.transport(), FakeGrant(server, device), store=store, world=world) as session:
        await session.online()
        await session.settled()
        await trio.sleep(1)


def openings(server: FakeServer) -> list[str]:
    return [type(command).__name__ for command in server.commands if isinstance(command, Hello | Resume)]


async def test_a_device_that_was_cut_comes_back_with_its_ticket_and_goes_on_where_it_was(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        with session.events(50) as events:
            await session.say(50, "before")
            server.cut_all()
            assert await session.say(50, "after") == 2
            heard = []
            while len(heard) < 2:
                item = await anext(events)
                heard += [item.body.text] if isinstance(item, Event) and isinstance(item.body, Said) else []
    assert openings(server) == ["Hello", "Resume"]
    assert heard == ["before", "after"] == server.texts(50)
    assert server.resumes[0].left_ms == 900_000, "the clock is told by how long the ticket is good"


async def test_a_program_that_is_started_again_shows_the_ticket_that_its_store_kept(server: FakeServer, autojump_clock: MockClock) -> None:
    store = MemoryStore()
    await begin(server, store)
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        await session.online()
        assert (session.user, session.inbox) == (1, 1001)
        assert await session.say(50, "hello again") == 1
    assert openings(server) == ["Hello", "Resume"]


async def test_what_nobody_missed_is_live_by_the_one_answer_and_the_rest_is_brought(server: FakeServer, autojump_clock: MockClock) -> None:
    store = MemoryStore()
    server.log[51] = []
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        with session.events(50, 51) as events:
            await session.settled()
            await trio.sleep(1)
            assert {item.stream for item in [await anext(events), await anext(events)] if isinstance(item, CaughtUp)} == {50, 51}
            server.cut_all()
            server.append(51, 2, Said("missed"))
            live = [await anext(events) for _ in range(3)]
            server.append(50, 2, Said("live"))
            assert getattr(await anext(events), "seq", 0) == 1
    assert CaughtUp(50, 0) in live and CaughtUp(51, 1) in live and openings(server) == ["Hello", "Resume"]


async def test_a_ticket_that_is_refused_is_followed_by_hello_on_the_same_socket_and_never_shown_again(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    store = MemoryStore()
    await begin(server, store)
    assert server.tickets is not None
    server.tickets.clear()
    sockets = 0
    accept = server._accept

    def count(link: object) -> None:
        nonlocal sockets
        sockets += 1
        accept(link)  # type: ignore[arg-type]

    server._accept = count  # type: ignore[method-assign, assignment]
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        assert await session.say(50, "all the same") == 1
    assert (sockets, openings(server)) == (1, ["Hello", "Resume", "Hello"])
    await begin(server, store)
    assert openings(server)[3:] == ["Resume"] and server.resumes[1].ticket != server.resumes[0].ticket


async def test_a_server_that_knows_no_tickets_is_greeted_as_ever(server: FakeServer, autojump_clock: MockClock) -> None:
    server.tickets = None
    store = MemoryStore()
    for _ in range(3):
        await begin(server, store)
    assert openings(server) == ["Hello"] * 3


async def test_a_server_that_forgot_what_tickets_are_ends_the_socket_and_is_greeted_on_the_next(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    store = MemoryStore()
    await begin(server, store)
    server.tickets = None
    await begin(server, store)
    assert openings(server) == ["Hello", "Resume", "Hello"]


async def test_after_a_restore_the_cursors_are_void_and_no_ticket_says_otherwise(server: FakeServer, autojump_clock: MockClock) -> None:
    store = MemoryStore()
    await begin(server, store)
    server.epoch = 8
    await begin(server, store)
    assert openings(server) == ["Hello", "Resume", "Hello"] and store.load().epoch == 8
    await begin(server, store)
    assert openings(server)[3:] == ["Resume"]


async def test_a_ticket_of_a_token_that_was_renewed_meanwhile_is_good_and_the_new_token_is_put_on_the_socket(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    store = MemoryStore()
    await begin(server, store)
    grant = FakeGrant(server, 11)
    await grant.renew()
    async with connect(server.transport(), grant, store=store, world=CALM) as session:
        await session.online()
        await trio.sleep(1)
    assert openings(server) == ["Hello", "Resume"]
    assert [command.token for command in server.commands if isinstance(command, Refresh)] == [grant.access_token]
    assert sum(isinstance(command, TakeTicket) for command in server.commands) == 2


@pytest.mark.parametrize("code", [Code.REVOKED, Code.UNAUTHENTICATED, Code.TOKEN_EXPIRED])
async def test_a_session_that_was_ended_leaves_no_ticket(server: FakeServer, autojump_clock: MockClock, code: Code) -> None:
    store = MemoryStore()
    await begin(server, store)
    assert store.noted(TICKET)
    server.goodbyes.append(Goodbye(code))
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        await trio.sleep(0.1)
        assert session.status.state != "connecting"
    assert openings(server)[:2] == ["Hello", "Resume"] and "Resume" not in openings(server)[2:]


def test_a_ticket_is_found_for_its_device_and_epoch_while_it_has_time_left() -> None:
    store = MemoryStore()
    Tickets(store).keep(Kept(b"t", 1000, 11, WELCOME))
    tickets = Tickets(store)
    assert tickets.find(11, 7, 1000 - LEFT_S_MIN) == Kept(b"t", 1000, 11, WELCOME)
    assert tickets.find(11, 7, 1000 - LEFT_S_MIN + 0.1) is None
    assert tickets.find(12, 7, 0) is None
    assert tickets.find(11, 8, 0) is None
    tickets.drop()
    assert (tickets.find(11, 7, 0), Tickets(store).find(11, 7, 0), store.noted(TICKET)) == (None, None, b"")


@pytest.mark.parametrize("noted", [b"\xc1", b"\x90", msgspec.msgpack.encode(["of another version"])])
def test_what_another_version_of_the_program_kept_is_no_ticket(noted: bytes) -> None:
    store = MemoryStore()
    store.note(TICKET, noted)
    assert Tickets(store).find(11, 7, 0) is None
