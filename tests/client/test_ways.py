"""Which way a client chooses: the socket, and HTTP while sockets are blocked and HTTP is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from client.errors import LinkClosed, Unreachable
from client.link import Link, MemoryTransport
from client.ways import RETRY_S, Ways


class Way:
    """A way whose links bring `brings` messages, or that is blocked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.blocked = False
        self.status = 0
        self.brings = 1
        self.opened = 0
        self.tried = 0
        self.asked_for = 0
        self._memory = MemoryTransport(self._answer)

    def _answer(self, link: object) -> None:
        self._server = link

    async def is_there(self) -> bool:
        await trio.lowlevel.checkpoint()
        self.asked_for += 1
        return not self.blocked

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Link]:
        self.tried += 1
        if self.blocked:
            raise Unreachable(f"{self.name} is blocked", self.status)
        self.opened += 1
        async with self._memory.open() as link:
            for _ in range(self.brings):
                await self._server.send(self.name.encode())  # type: ignore[attr-defined]
            if not self.brings:
                self._server.end()  # type: ignore[attr-defined]
            yield link


def ways() -> tuple[Way, Way, Ways]:
    socket, http = Way("socket"), Way("http")
    return socket, http, Ways(socket, http, lambda: 0.5)


async def heard(both: Ways) -> bytes:
    """What one link brings; nothing where it brings none, or there is none."""
    try:
        async with both.open() as link:
            try:
                await link.send(b"hello")
                return await link.receive()
            except LinkClosed:
                return b""
    except Unreachable:
        return b""


async def test_after_two_sockets_that_are_refused_it_goes_by_http(autojump_clock: MockClock) -> None:
    socket, http, both = ways()
    socket.blocked = True
    assert [await heard(both) for _ in range(3)] == [b"", b"http", b"http"]
    assert socket.tried == 2 and http.opened == 2 and both.by_http


async def test_after_two_sockets_that_open_and_bring_nothing_it_goes_by_http(autojump_clock: MockClock) -> None:
    socket, _, both = ways()
    socket.brings = 0
    assert [await heard(both) for _ in range(3)] == [b"", b"", b"http"]


async def test_one_socket_that_fails_between_good_ones_changes_nothing(autojump_clock: MockClock) -> None:
    socket, http, both = ways()
    for blocked in (True, False, True, False):
        socket.blocked = blocked
        assert await heard(both) == (b"" if blocked else b"socket")
    assert http.asked_for == 0


@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_is_too_busy_is_not_asked_over_http_as_well(status: int, autojump_clock: MockClock) -> None:
    socket, http, both = ways()
    socket.blocked, socket.status = True, status
    assert [await heard(both) for _ in range(4)] == [b""] * 4
    assert http.asked_for == http.tried == 0


async def test_where_nobody_answers_at_all_the_socket_is_tried_again_each_time(autojump_clock: MockClock) -> None:
    socket, http, both = ways()
    socket.blocked = http.blocked = True
    assert [await heard(both) for _ in range(4)] == [b""] * 4
    assert socket.tried == 4 and http.tried == 0
    socket.blocked = False
    assert await heard(both) == b"socket"


async def test_http_is_left_within_a_minute_of_the_socket_working_and_only_then(autojump_clock: MockClock) -> None:
    socket, _, both = ways()
    socket.blocked = True
    await heard(both)
    async with both.open() as link:
        assert await link.receive() == b"http"
        with trio.move_on_after(5.5 * RETRY_S) as patience:
            await link.receive()
        assert patience.cancelled_caught and socket.tried == 7
        socket.blocked = False
        began = trio.current_time()
        with pytest.raises(LinkClosed, match="works again"):
            await link.receive()
        assert trio.current_time() - began <= 1.1 * RETRY_S
    assert not both.by_http and await heard(both) == b"socket"


async def test_sockets_that_open_and_bring_nothing_are_tried_ever_more_rarely(autojump_clock: MockClock) -> None:
    socket, _, both = ways()
    socket.brings = 0
    waits = []
    for _ in range(12):
        began = trio.current_time()
        async with both.open() as link:
            try:
                await link.send(b"hello")
                if await link.receive() == b"http":
                    await link.receive()
            except LinkClosed:
                waits.append(trio.current_time() - began)
    long = [wait for wait in waits if wait > 1]
    assert len(long) >= 3 and long == sorted(long) and long[-1] >= 4 * long[0]


async def test_http_that_stops_answering_gives_way_to_the_socket(autojump_clock: MockClock) -> None:
    socket, http, both = ways()
    socket.blocked = True
    await heard(both)
    assert await heard(both) == b"http"
    http.blocked, socket.blocked = True, False
    assert [await heard(both) for _ in range(2)] == [b"", b"socket"]
