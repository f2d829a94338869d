"""Chooses the way by itself: the socket, and HTTP while sockets are blocked.

    SOCKET ── two sockets in a row brought nothing, and HTTP answers ──▶ HTTP
    HTTP ──── each minute a socket is tried beside it: it opens ──▶ SOCKET

A school's proxy that drops upgrades, answers them with a page, or lets them open and nothing through, is the same here: a socket that
brought no message. A server that says that it is too busy is none of them: HTTP would only be more to do for it.

Invariant: what is tried beside a link that works never touches it before it has worked itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Protocol

import trio

from client.errors import LinkClosed, Unreachable
from client.link import Link, Transport
from protocol.codes import Code

FAILURES_MAX: Final = 2
RETRY_S: Final = 60.0
RETRY_MAX_S: Final = 960.0
"""Sockets that open and bring nothing are tried ever more rarely."""
BUSY: Final = frozenset({429, 503})


class HttpWay(Transport, Protocol):
    """`client.http_link.HttpTransport`."""

    async def is_there(self) -> bool: ...


class Ways:
    """A transport over two. `spread` is uniform in [0, 1)."""

    def __init__(self, socket: Transport, http: HttpWay, spread: Callable[[], float]) -> None:
        self._socket = socket
        self._http = http
        self._spread = spread
        self._failures = 0
        self._retry_s = RETRY_S
        self.by_http = False
        """Whether the way is HTTP now."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Link]:
        """Raises `Unreachable` where neither way leads there."""
        await trio.lowlevel.checkpoint()
        if self.by_http:
            try:
                async with self._over_http() as link:
                    yield link
                return
            except Unreachable:
                # Not the way is blocked: nobody is there. The socket is asked first when somebody is again.
                self.by_http = False
                raise
        async with self._over_socket() as link:
            yield link

    @asynccontextmanager
    async def _over_socket(self) -> AsyncIterator[Link]:
        try:
            async with self._socket.open() as link:
                counted = Counted(link)
                try:
                    yield counted
                finally:
                    self._judge(counted)
        except Unreachable as error:
            if error.status in BUSY:
                raise
            self._failures += 1
            if not await self._is_blocked():
                raise
        else:
            self.by_http = await self._is_blocked()  # from the next link on
            return
        self.by_http = True
        async with self._over_http() as link:
            yield link

    async def _is_blocked(self) -> bool:
        return self._failures >= FAILURES_MAX and await self._http.is_there()

    def _judge(self, link: Counted) -> None:
        if link.messages:
            self._failures, self._retry_s = 0, RETRY_S
        elif link.asked:
            self._failures += 1
            self._retry_s = min(RETRY_MAX_S, self._retry_s * 2)

    @asynccontextmanager
    async def _over_http(self) -> AsyncIterator[Link]:
        async with self._http.open() as link, trio.open_nursery() as nursery:
            watched = Watched(link)
            nursery.start_soon(self._try_socket, watched)
            try:
                yield watched
            finally:
                nursery.cancel_scope.cancel()

    async def _try_socket(self, watched: Watched) -> None:
        while True:
            await trio.sleep(self._retry_s * (0.9 + 0.2 * self._spread()))
            try:
                async with self._socket.open():
                    pass
            except Unreachable:
                continue
            self.by_http = False
            # One socket that brings nothing is enough to come back here.
            self._failures = FAILURES_MAX - 1
            watched.leave()
            return


class Counted:
    """A link that knows whether it brought anything."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.messages = 0
        self.asked = False

    async def send(self, message: bytes) -> None:
        self.asked = True
        await self._link.send(message)

    async def receive(self) -> bytes:
        message = await self._link.receive()
        self.messages += 1
        return message

    def heard_at(self) -> float:
        return self._link.heard_at()


class Watched:
    """A link that can be left for a better one: whoever receives then hears that it is closed, and comes back at once."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._left = False
        self._receiving: trio.CancelScope | None = None

    def leave(self) -> None:
        self._left = True
        if self._receiving is not None:
            self._receiving.cancel()

    async def send(self, message: bytes) -> None:
        await self._link.send(message)

    async def receive(self) -> bytes:
        with trio.CancelScope() as self._receiving:
            if not self._left:
                return await self._link.receive()
        raise LinkClosed(int(Code.DEAD), "the socket works again")

    def heard_at(self) -> float:
        return self._link.heard_at()
