"""The link over HTTP: numbers, acknowledgements, bounds and ends, as a session and its peer meet them; on a clock of its own.

The clock stands still where something is refused: Quart renders a refusal in a thread, and a clock that jumps does not wait for threads.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from actors.socket_port import Batch, Outlet, Peer
from gateway.http_link import LinkBounds
from gateway.http_links import HttpLinks
from gateway.rates import Limit
from gateway.web import create_app
from protocol.codes import Code
from protocol.link_body import Opened, Over, Part, Parts, read_word
from tests.gateway.public_port import Session
from tests.gateway.web_world import Answer, World

LINK = "/api/v1/link"
NUMBER = 0x2A
FRAMES = {"Content-Type": "application/msgpack"}


class Linked:
    """One application with links, and the sessions behind them."""

    def __init__(self, bounds: LinkBounds, *, greet: bool = True) -> None:
        self.links = HttpLinks(NUMBER, bounds)
        self.world = World()
        self.world.app = create_app(msgspec.structs.replace(self.world.services, links=self.links))
        self.sessions: list[Session] = []
        self.greet = greet

    def accept(self, outlet: Outlet, peer: Peer) -> Session:
        session = Session(outlet, peer, echo=False)
        self.sessions.append(session)
        if self.greet:
            outlet.send(b"welcome")
        return session

    async def open(self, **named: Any) -> tuple[Talk, list[Part]]:
        answer = await self.world.ask("POST", LINK, raw=b"hello", headers=FRAMES, **named)
        assert answer.status == 200, answer.body
        word, *parts = read(answer.body)
        opened = read_word(word.payload)
        assert isinstance(opened, Opened)
        return Talk(self.world, opened), parts


class Talk:
    """The peer of one link."""

    def __init__(self, world: World, opened: Opened) -> None:
        self.world = world
        self.name, self.key = opened.name, opened.key

    async def say(self, number: int, message: bytes = b"more", after: int = 0) -> Answer:
        return await self.ask("POST", f"?n={number}&after={after}", raw=message)

    async def hear(self, after: int = 0) -> list[Part]:
        answer = await self.ask("GET", f"?after={after}")
        assert answer.status == 200, answer.body
        return read(answer.body)

    async def ask(self, method: str, query: str = "", raw: bytes | None = None, key: str = "", accept: str = "*/*") -> Answer:
        headers = {"Authorization": f"Link {key or self.key}", "Accept": accept, **FRAMES}
        return await self.world.ask(method, f"{LINK}/{self.name}{query}", raw=raw, headers=headers)


def read(body: bytes) -> list[Part]:
    return list(Parts(1 << 20).feed(body))


@asynccontextmanager
async def linked(bounds: LinkBounds | None = None, *, greet: bool = True) -> AsyncIterator[Linked]:
    place = Linked(bounds or LinkBounds(), greet=greet)
    async with trio.open_nursery() as nursery:
        await nursery.start(place.links.serve, place.accept)
        yield place
        nursery.cancel_scope.cancel()


async def test_what_was_not_acknowledged_is_given_again_and_what_was_never(autojump_clock: MockClock) -> None:
    async with linked() as place:
        talk, parts = await place.open()
        assert parts == [Part(1, b"welcome")] and place.sessions[0].messages == [b"hello"]
        place.sessions[0].outlet.send(b"second")
        assert await talk.hear() == [Part(1, b"welcome"), Part(2, b"second")]
        assert await talk.hear(1) == [Part(2, b"second")]
        assert (await talk.say(2, after=2)).status == 204
        assert place.sessions[0].outlet.queued_bytes == 0
        assert await talk.hear() == []


async def test_a_message_that_comes_again_is_not_taken_twice_and_one_before_a_gap_not_at_all(mock_clock: MockClock) -> None:
    async with linked() as place:
        talk, _ = await place.open()
        assert [(await talk.say(number, b"m%d" % number)).status for number in (2, 2, 4, 3, 1)] == [204, 204, 409, 204, 204]
        assert place.sessions[0].messages == [b"hello", b"m2", b"m3"]


async def test_a_poll_waits_for_what_comes_and_a_later_one_takes_its_place(autojump_clock: MockClock) -> None:
    async with linked() as place:
        talk, _ = await place.open()
        heard: list[list[Part]] = []

        async def hear() -> None:
            heard.append(await talk.hear(1))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(hear)
            await trio.sleep(1)
            nursery.start_soon(hear)
            await trio.sleep(1)
            assert heard == [[]]
            place.sessions[0].outlet.send(b"news")
        assert heard == [[], [Part(2, b"news")]]
        began = trio.current_time()
        assert await talk.hear(2) == [] and trio.current_time() - began == pytest.approx(LinkBounds().poll_s)


async def test_an_answer_that_goes_on_shows_life_and_ends_with_the_heartbeat(autojump_clock: MockClock) -> None:
    async with linked(LinkBounds(heartbeat_s=40)) as place:
        talk, _ = await place.open()
        answer = await talk.ask("GET", "?after=1", accept="application/vnd.educonnect.stream")
        assert read(answer.body) == [Part(0, b"")] * 4  # at once, after 15 s, 30 s, and with the heartbeat


@pytest.mark.parametrize("name", ["0000002a-7", "0000002b-1", "x", "0000002a-1"], ids=["unknown", "elsewhere", "strange", "another's"])
async def test_a_link_is_found_by_its_name_and_key_alone_and_nobody_learns_which_was_wrong(name: str, mock_clock: MockClock) -> None:
    async with linked() as place:
        talk, _ = await place.open()
        stranger, _ = await place.open()
        talk.name, talk.key = name, stranger.key
        ours = name.startswith("0000002a-")
        for method, query in (("GET", "?after=0"), ("POST", "?n=2"), ("DELETE", "")):
            answer = await talk.ask(method, query, raw=b"stolen" if method == "POST" else None)
            problem = answer.problem(404 if ours else 421, Code.NOT_FOUND)
            assert not ours or problem["detail"] == "there is no such link; open another"
        assert place.sessions[0].messages == [b"hello"] and not place.sessions[0].ends


async def test_fan_out_is_refused_at_the_soft_bound_and_told_when_there_is_room(autojump_clock: MockClock) -> None:
    async with linked(LinkBounds(queue_soft_bytes=100, queue_hard_bytes=200)) as place:
        talk, _ = await place.open()
        session = place.sessions[0]
        assert session.outlet.push(Batch(bytes(80))) and not session.outlet.push(Batch(bytes(80)))
        await talk.hear(1)
        assert session.drains == 0
        await talk.ask("POST", "?n=0&after=2")
        assert session.drains == 1 and session.outlet.push(Batch(bytes(80)))


async def test_who_asks_on_without_reading_is_closed_as_slow_and_nothing_of_it_is_kept(mock_clock: MockClock) -> None:
    async with linked(LinkBounds(queue_soft_bytes=100, queue_hard_bytes=200)) as place:
        talk, _ = await place.open()
        session = place.sessions[0]
        for _ in range(3):
            session.outlet.send(bytes(90))
        assert session.outlet.queued_bytes == 0 and session.ends == []
        (word,) = await talk.hear(0)
        assert read_word(word.payload) == Over(Code.SLOW, "answers were not read")
        mock_clock.autojump_threshold = 0
        await session.until(lambda: session.ends)
        assert session.ends == [(Code.SLOW, "answers were not read")]
        (await talk.say(2)).problem(404, Code.NOT_FOUND)


async def test_who_polls_too_rarely_is_dead_as_a_silent_socket_is_and_who_polls_is_not(autojump_clock: MockClock) -> None:
    async with linked(LinkBounds(heartbeat_s=30, pong_s=10)) as place:
        alive, _ = await place.open()
        await place.open()
        for _ in range(5):
            await alive.hear(1)
        assert [session.ends for session in place.sessions] == [[], [(Code.DEAD, "no sign of life")]]
        await trio.sleep(20)
        assert len(place.links) == 1


async def test_what_a_session_says_last_is_fetched_before_the_word_that_it_is_over(autojump_clock: MockClock) -> None:
    async with linked() as place:
        talk, _ = await place.open()
        session = place.sessions[0]
        session.outlet.send(b"goodbye")
        session.outlet.close(Code.REVOKED, "logged out")
        session.outlet.send(b"never")
        last, word = await talk.hear(1)
        assert last == Part(2, b"goodbye") and read_word(word.payload) == Over(Code.REVOKED, "logged out")
        await session.until(lambda: session.ends)
        await trio.sleep(3)
        assert len(place.links) == 0 and session.ends == [(Code.REVOKED, "logged out")]


async def test_a_link_that_is_left_ends_at_once_and_gives_its_place_back(mock_clock: MockClock) -> None:
    async with linked(LinkBounds(per_client_max=1)) as place:
        talk, _ = await place.open()
        refused = await place.world.ask("POST", LINK, raw=b"hello", headers=FRAMES)
        refused.problem(429, Code.RATE)
        assert (await talk.ask("DELETE")).status == 204
        assert place.sessions[0].ends == [(Code.BYE, "")] and len(place.links) == 0
        await place.open()


async def test_so_many_links_are_opened_from_one_address_in_a_while_as_is_said(mock_clock: MockClock) -> None:
    async with linked(LinkBounds(opened=Limit(burst=2, per_s=0.5))) as place:
        for _ in range(2):
            talk, _parts = await place.open()
            assert (await talk.ask("DELETE")).status == 204
        (await place.world.ask("POST", LINK, raw=b"hello", headers=FRAMES)).problem(429, Code.RATE)
        await place.open(address="192.0.2.9")


async def test_links_are_bounded_and_elsewhere_is_said_to_whoever_comes_while_this_gateway_goes(mock_clock: MockClock) -> None:
    async with linked(LinkBounds(links_max=1)) as place:
        talk, _ = await place.open()
        (await place.world.ask("POST", LINK, raw=b"hello", headers=FRAMES)).problem(503, Code.BUSY)
        mock_clock.autojump_threshold = 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(place.links.drain, 5.0)
            await trio.sleep(1)
            assert place.sessions[0].drain_grace_s == 5.0
            (word,) = await talk.hear(1)
            assert read_word(word.payload) == Over(Code.DRAIN, "this server is going away")
        assert place.sessions[0].ends == [(Code.DRAIN, "this server is going away")]


async def test_too_many_requests_on_one_link_are_refused_and_do_not_end_it(mock_clock: MockClock) -> None:
    async with linked(LinkBounds(asks_per_s=1, asks_burst=3)) as place:
        talk, _ = await place.open()
        assert [(await talk.say(number)).status for number in (2, 3, 4, 5)] == [204, 204, 204, 429]
        mock_clock.autojump_threshold = 0
        await trio.sleep(2)
        assert (await talk.say(5)).status == 204


@pytest.mark.parametrize(
    ("query", "raw", "kind", "status"),
    [
        ("?n=2", b"", "application/msgpack", 400),
        ("?n=2", b"x", "text/plain", 415),
        ("?n=2", bytes(101), "application/msgpack", 413),
        ("?n=-1", b"x", "application/msgpack", 400),
        ("?n=2&after=9007199254740992", b"x", "application/msgpack", 400),
        ("", b"x", "application/msgpack", 400),
    ],
)
async def test_what_is_no_message_is_refused_by_name(query: str, raw: bytes, kind: str, status: int, mock_clock: MockClock) -> None:
    async with linked(LinkBounds(message_bytes_max=100)) as place:
        talk, _ = await place.open()
        headers = {"Authorization": f"Link {talk.key}", "Content-Type": kind}
        answer = await place.world.ask("POST", f"{LINK}/{talk.name}{query}", raw=raw, headers=headers)
        assert answer.status == status, answer.body
        assert place.sessions[0].messages == [b"hello"]


async def test_who_goes_away_before_the_first_answer_leaves_no_link_behind(autojump_clock: MockClock) -> None:
    async with linked(greet=False) as place:
        with trio.move_on_after(1):
            await place.open()
        assert len(place.links) == 0 and place.sessions[0].ends == [(Code.BYE, "")]
