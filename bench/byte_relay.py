"""A relay between a client and a server that counts: every byte in both directions, and the segments that they travelled in.

    client ── TCP ──▶ relay ── TCP ──▶ server          counted on the client's side, as the kernel tells it (TCP_INFO)

What a segment costs beside its bytes is reckoned with: 20 bytes of IPv4, 20 of TCP and 12 of its timestamps, which Linux and Android send;
8 more in each SYN. Acknowledgements without data are segments too: over loopback there are as many as Linux sends there.

Invariant: a byte is counted once, whether or not its connection still lives.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import msgspec
import trio

SEGMENT_BYTES: Final = 20 + 20 + 12
SYN_BYTES: Final = 8
_SEGMENTS: Final = struct.Struct("=II")
_SEGMENTS_AT: Final = 136
"""Of `tcpi_segs_out` and `tcpi_segs_in` in Linux' `struct tcp_info`."""


class Counted(msgspec.Struct, frozen=True):
    """What crossed the relay: bytes above TCP from and to the client, segments in both directions, connections."""

    up_bytes: int = 0
    down_bytes: int = 0
    segments: int = 0
    connections: int = 0

    @property
    def both_bytes(self) -> int:
        return self.up_bytes + self.down_bytes

    @property
    def ip_bytes(self) -> int:
        """With the headers of TCP and IP."""
        return self.both_bytes + self.segments * SEGMENT_BYTES + 2 * self.connections * SYN_BYTES

    def since(self, before: Counted) -> Counted:
        return Counted(*(getattr(self, name) - getattr(before, name) for name in self.__struct_fields__))


class Relay:
    """See the module. One server behind it."""

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._up_bytes = 0
        self._down_bytes = 0
        self._connections = 0
        self._ended_segments = 0
        self._crossed = trio.Event()
        self._open: dict[trio.SocketStream, trio.CancelScope] = {}
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def read(self) -> Counted:
        """Everything until now."""
        segments = self._ended_segments + sum(_segments(stream.socket) for stream in self._open)
        return Counted(self._up_bytes, self._down_bytes, segments, self._connections)

    async def wait_crossing(self) -> None:
        """Waits until something crosses."""
        await self._crossed.wait()

    def _count(self, up_bytes: int, down_bytes: int) -> None:
        self._up_bytes += up_bytes
        self._down_bytes += down_bytes
        crossed, self._crossed = self._crossed, trio.Event()
        crossed.set()

    def cut(self) -> None:
        """Ends every connection, as a network does that goes away."""
        for scope in self._open.values():
            scope.cancel()

    async def quiet(self, seconds: float) -> Counted:
        """Waits until nothing has crossed for so long; everything until then."""
        before = self.read()
        while True:
            await trio.sleep(seconds)
            now = self.read()
            if now == before:
                return now
            before = now

    async def serve(self, client: trio.SocketStream) -> None:
        """One connection."""
        server = await trio.open_tcp_stream("127.0.0.1", self._server_port)
        self._connections += 1
        async with server, trio.open_nursery() as nursery:
            self._open[client] = nursery.cancel_scope
            try:
                nursery.start_soon(self._pass_down, client, server, nursery)
                await self._pass_up(client, server)
                nursery.cancel_scope.cancel()
            finally:
                self._ended_segments += _segments(client.socket)
                del self._open[client]

    async def _pass_up(self, client: trio.SocketStream, server: trio.SocketStream) -> None:
        try:
            while data := await client.receive_some():
                self._count(len(data), 0)
                await server.send_all(data)
        except trio.BrokenResourceError:
            return

    async def _pass_down(self, client: trio.SocketStream, server: trio.SocketStream, nursery: trio.Nursery) -> None:
        try:
            while data := await server.receive_some():
                self._count(0, len(data))
                await client.send_all(data)
        except trio.BrokenResourceError:
            pass  # whoever is left learns of it by the end of the connection
        nursery.cancel_scope.cancel()


def _segments(sock: trio.socket.SocketType) -> int:
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SEGMENTS_AT + _SEGMENTS.size)
    assert isinstance(info, bytes)
    return sum(_SEGMENTS.unpack_from(info, _SEGMENTS_AT))


@asynccontextmanager
async def open_relay(port: int) -> AsyncIterator[Relay]:
    """A relay before the server on this machine's `port`, for the length of the block."""
    relay = Relay(port)
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, relay.serve, 0, host="127.0.0.1"))
        relay.port = listener.socket.getsockname()[1]
        yield relay
        nursery.cancel_scope.cancel()
