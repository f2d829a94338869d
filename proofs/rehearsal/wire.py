"""A device's way to the servers: real sockets, that can be cut at any moment and are counted in bytes.

    open ─▶ signal? ─▶ any gateway ─▶ TCP ─▶ CountedStream ─▶ WebSocket
             │ no: waits             cut(RESET)  the server hears of it at once
             ╰─ restore              cut(VANISH) the server hears nothing: the connection stays, and nobody reads it

A phone that leaves its cell says nothing to anybody, and comes back elsewhere while the old socket still looks alive: that is `VANISH`.

Invariant: nothing is ever closed politely by a cut, and at most one vanished connection is kept per wire.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from enum import Enum
from random import Random

import trio
from msgspec import Struct

from client import Unreachable
from client.link import Link
from client.websocket import WebSocketTransport

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
NEVER = float("inf")


class Cut(Enum):
    """How a connection is lost."""

    RESET = "reset"
    VANISH = "vanish"


class Traffic(Struct):
    """What went over a wire: TCP's payload, handshakes of HTTP and WebSocket included."""

    sent_bytes: int = 0
    received_bytes: int = 0
    sockets: int = 0
    cuts: int = 0
    open_s: float = 0.0

    @classmethod
    def total(cls, parts: Iterable[Traffic]) -> Traffic:
        whole = cls()
        for part in parts:
            for name in cls.__struct_fields__:
                setattr(whole, name, getattr(whole, name) + getattr(part, name))
        return whole

    def since(self, earlier: Traffic) -> Traffic:
        return Traffic(*(getattr(self, name) - getattr(earlier, name) for name in self.__struct_fields__))


class Wire:
    """`client.link.Transport` for one device. `urls` tells the gateways as they are now."""

    def __init__(self, urls: Callable[[], Sequence[str]], chance: Random) -> None:
        self._urls = urls
        self._chance = chance
        self._signal = trio.Event()
        self._signal.set()
        self._stream: CountedStream | None = None
        self._vanished: int | None = None
        self.traffic = Traffic()
        self._counted_at = 0.0
        self.open_since = NEVER
        """When the present socket was opened (trio's clock)."""

    @property
    def has_signal(self) -> bool:
        return self._signal.is_set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Link]:
        """Opens a socket to any gateway, once there is signal. Raises `Unreachable`."""
        await self._signal.wait()
        urls = self._urls()
        if not urls:
            raise Unreachable("no gateway has an address")
        try:
            async with _Dialled(self._chance.choice(urls), self).open() as link:
                self.traffic.sockets += 1
                self.open_since = trio.current_time()
                yield link
        finally:
            self._count_time()
            self.open_since = NEVER
            self._stream = None

    def count_so_far(self) -> Traffic:
        """The traffic until now."""
        self._count_time()
        return self.traffic

    def _count_time(self) -> None:
        now = trio.current_time()
        if self.open_since < now:
            self.traffic.open_s += now - max(self.open_since, self._counted_at)
        self._counted_at = now

    def dialled(self, stream: trio.abc.Stream) -> trio.abc.Stream:
        """Takes a new TCP connection. Raises `OSError` if the signal went while it was made."""
        assert isinstance(stream, trio.SocketStream)
        if not self.has_signal:
            stream.socket.close()
            raise OSError("no signal")
        self._stream = CountedStream(stream, self.traffic)
        return self._stream

    def cut(self, how: Cut) -> None:
        """Takes the signal away, and with it the present socket, if there is one. Never waits."""
        self._signal = trio.Event()
        self.forget_vanished()
        if self._stream is not None:
            self.traffic.cuts += 1
            self._vanished = self._stream.cut(how)

    def restore(self) -> None:
        """There is signal again."""
        self._signal.set()

    def forget_vanished(self) -> None:
        """Closes the connection that vanished last, if it is still kept."""
        if self._vanished is not None:
            os.close(self._vanished)
            self._vanished = None


class _Dialled(WebSocketTransport):
    """The client's own transport, whose TCP connection passes through a wire."""

    def __init__(self, url: str, wire: Wire) -> None:
        super().__init__(url)
        self._wire = wire

    async def _connect(self) -> trio.abc.Stream:
        return self._wire.dialled(await super()._connect())


class CountedStream(trio.abc.Stream):
    """A TCP connection that counts, and that can be lost."""

    def __init__(self, stream: trio.SocketStream, traffic: Traffic) -> None:
        self._stream = stream
        self._traffic = traffic

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        self._traffic.received_bytes += len(data)
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)
        self._traffic.sent_bytes += len(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def cut(self, how: Cut) -> int | None:
        """Loses the connection: whoever waits in it is told. For `VANISH` the descriptor that keeps it alive unread."""
        here = self._stream.socket
        if here.fileno() < 0:
            return None
        kept = os.dup(here.fileno()) if how is Cut.VANISH else None
        if kept is None:
            here.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        here.close()
        return kept
