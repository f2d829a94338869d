"""A WebSocket client that costs little: enough of RFC 6455 to talk with a gateway, and the means to be a bad one.

    open ─▶ TCP, upgrade ─▶ LightLink: send · receive · heard_at       stall(): nothing is read until further notice

It is a `client.link.Link`. Masks are zero, which is as legal as any other.

Invariant: after any fault of the stream the link is gone for good, with `LinkClosed`.
"""

from __future__ import annotations

import socket
import time
from typing import Final

import trio

from client import Unreachable
from client.errors import LinkClosed

UPGRADE: Final = (
    b"GET /socket HTTP/1.1\r\nHost: faults\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
OPEN_S: Final = 20.0
"""As the library's own transport waits."""
RECEIVE_BYTES: Final = 64 * 1024
SEGMENT_BYTES: Final = 1400
"""As on any network but a loopback, where kernels hold more."""
BINARY, CLOSE, PING, PONG = 2, 8, 9, 10


class LightLink:
    """One open socket."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self._heard_at = time.monotonic()
        self._reading = trio.Event()
        self._reading.set()
        self._sending = trio.Lock()

    def heard_at(self) -> float:
        """When anything last came (monotonic clock)."""
        return self._heard_at

    def stall(self) -> None:
        """Stops reading."""
        self._reading = trio.Event()

    def go_on(self) -> None:
        self._reading.set()

    async def send(self, message: bytes) -> None:
        """Sends one message. Raises `LinkClosed`."""
        await self._send(BINARY, message)

    async def receive(self) -> bytes:
        """Waits for the next message. Raises `LinkClosed`."""
        while True:
            opcode, payload = await self._frame()
            if opcode == BINARY:
                return payload
            if opcode == PING:
                await self._send(PONG, payload)
            elif opcode == CLOSE:
                code = int.from_bytes(payload[:2], "big")
                raise LinkClosed(code, payload[2:].decode(errors="replace"))

    async def shake_hands(self) -> None:
        """Raises `Unreachable` when the server refuses."""
        await self._stream.send_all(UPGRADE)
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            await self._more()
        if not self._buffer.startswith(b"HTTP/1.1 101"):
            raise Unreachable(f"no upgrade: {bytes(self._buffer[:60])!r}")
        del self._buffer[: end + 4]

    def drop(self) -> None:
        """Closes without a word."""
        self._stream.socket.close()

    async def _send(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        head = bytes((0x80 | opcode, 0x80 | size)) if size < 126 else bytes((0x80 | opcode, 0xFE)) + size.to_bytes(2, "big")
        try:
            async with self._sending:
                await self._stream.send_all(head + bytes(4) + payload)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise LinkClosed from None

    async def _frame(self) -> tuple[int, bytes]:
        buffer = self._buffer
        while len(buffer) < 2:
            await self._more()
        size, at = buffer[1] & 0x7F, 2
        if size >= 126:
            at = 4 if size == 126 else 10
            while len(buffer) < at:
                await self._more()
            size = int.from_bytes(buffer[2:at], "big")
        while len(buffer) < at + size:
            await self._more()
        opcode, payload = buffer[0] & 0x0F, bytes(buffer[at : at + size])
        del buffer[: at + size]
        return opcode, payload

    async def _more(self) -> None:
        await self._reading.wait()
        try:
            data = await self._stream.receive_some(RECEIVE_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise LinkClosed from None
        if not data:
            raise LinkClosed
        self._heard_at = time.monotonic()
        self._buffer += data


async def open_light(host: str, port: int) -> LightLink:
    """An open socket at a gateway. Raises `Unreachable`."""
    here = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)  # what is not read is soon felt by who sends it
    here.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
    try:
        with trio.fail_after(OPEN_S):
            await here.connect((host, port))
            link = LightLink(trio.SocketStream(here))
            await link.shake_hands()
            return link
    except (OSError, trio.TooSlowError, trio.BrokenResourceError, LinkClosed) as error:
        here.close()
        raise Unreachable(f"{host}:{port}: {error!r}") from None
    except BaseException:
        here.close()
        raise
