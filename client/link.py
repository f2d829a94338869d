"""The transport port: one socket, as the session sees it; and one made of memory, for tests and the simulator.

    Transport.open ─▶ Link: send · receive · heard_at

A link carries whole messages, or it is gone: `LinkClosed` with the code, from both directions, for good. Leaving the block of
`open` closes it within a bounded time, whatever the other side does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import trio

from client.errors import LinkClosed

MEMORY_MESSAGES_MAX = 64
"""Messages on their way in one direction of a link made of memory: beyond it `send` waits, as TCP's buffers make it."""


class Link(Protocol):
    """One open socket."""

    async def send(self, message: bytes) -> None:
        """Sends one message. Raises `LinkClosed`. Cancelling it in the middle spoils the link."""
        ...

    async def receive(self) -> bytes:
        """Waits for the next message. Raises `LinkClosed`."""
        ...

    def heard_at(self) -> float:
        """When anything was last heard (trio's clock): pings of the WebSocket count too."""
        ...


class Transport(Protocol):
    """Opens sockets to one server."""

    def open(self) -> AbstractAsyncContextManager[Link]:
        """Opens one, and closes it at the end of the block. Raises `Unreachable`."""
        ...


class MemoryLink:
    """One side of a link made of memory. `cut` ends it for both sides at once, as a lost network does; what was under way is lost."""

    def __init__(self, out: trio.MemorySendChannel[bytes], incoming: trio.MemoryReceiveChannel[bytes]) -> None:
        self._out = out
        self._incoming = incoming
        self._heard_at = trio.current_time()
        self._code = 0
        self._peer: MemoryLink | None = None

    async def send(self, message: bytes) -> None:
        try:
            await self._out.send(message)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise LinkClosed(self._code) from None

    async def receive(self) -> bytes:
        try:
            message = await self._incoming.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            raise LinkClosed(self._code) from None
        self._heard_at = trio.current_time()
        return message

    def heard_at(self) -> float:
        return self._heard_at

    def end(self, code: int = 0) -> None:
        """Ends this side in order: the other side reads what is under way, then learns the code."""
        self._out.close()
        self._incoming.close()
        if self._peer is not None:
            self._peer._code = self._peer._code or code

    def cut(self) -> None:
        """Ends both sides at once."""
        self.end()
        if self._peer is not None:
            self._peer.end()


def memory_link_pair() -> tuple[MemoryLink, MemoryLink]:
    """Two ends of one link."""
    to_left, from_right = trio.open_memory_channel[bytes](MEMORY_MESSAGES_MAX)
    to_right, from_left = trio.open_memory_channel[bytes](MEMORY_MESSAGES_MAX)
    left, right = MemoryLink(to_right, from_right), MemoryLink(to_left, from_left)
    left._peer, right._peer = right, left
    return left, right


class MemoryTransport:
    """Opens links made of memory: `accept` gets the server's end, or raises `Unreachable` to refuse."""

    def __init__(self, accept: Callable[[MemoryLink], None]) -> None:
        self._accept = accept

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Link]:
        await trio.lowlevel.checkpoint()
        client, server = memory_link_pair()
        self._accept(server)
        try:
            yield client
        finally:
            client.end()
