"""A raw connection to a server under attack, and a WebSocket on it that keeps no rules.

    Line            bytes out, bytes in, half-close; from any address of the loopback
    Conversation    a handshake, then whatever one likes; what comes back is read strictly

Attackers come from loopback addresses of their own, so that what the server counts by address is not counted against the neighbours.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from typing import Final

import trio

from gateway import rfc6455
from proofs.fuzzing.heads import encode_lines, handshake
from proofs.fuzzing.verdict import Impossible, read_frames
from protocol.frames import AnyFrame

ANSWER_S: Final = 30.0
"""How long an answer may take: the machine is busy with two storms, and nothing here is about speed."""
CONNECT_TRIES: Final = 50
_READER: Final = rfc6455.Limits(message_bytes_max=4 * 1024 * 1024)
_IP_BIND_ADDRESS_NO_PORT: Final = 24


class Silent(Exception):
    """No answer within `ANSWER_S`."""


class Line:
    """One TCP connection."""

    def __init__(self, sock: trio.socket.SocketType) -> None:
        self._sock = sock

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, port: int, source: str) -> AsyncIterator[Line]:
        """Connects from `source` for the length of the block."""
        sock = trio.socket.socket()
        try:
            if sys.platform == "linux":
                # The port is chosen at connecting, and so may be one that another destination uses: there are enough of them then.
                sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
                await sock.bind((source, 0))
            with trio.fail_after(ANSWER_S):
                await sock.connect(("127.0.0.1", port))
            yield cls(sock)
        finally:
            sock.close()

    async def send(self, data: bytes) -> bool:
        """Sends all of it; False when the peer has had enough."""
        rest = memoryview(data)
        with trio.move_on_after(ANSWER_S):
            while rest:
                try:
                    rest = rest[await self._sock.send(rest) :]
                except OSError:
                    return False
        return not rest

    def finish(self) -> None:
        """Nothing more will be sent."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    async def receive(self) -> bytes:
        """What comes next; empty at the end, however it came. Raises `Silent`."""
        with trio.move_on_after(ANSWER_S):
            try:
                return await self._sock.recv(65_536)
            except OSError:
                return b""
        raise Silent(f"nothing within {ANSWER_S:g} s")


class Conversation:
    """A WebSocket over a line. `closed` is the code of the server's close frame, 0 before; `over` when the line has ended."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._reader = rfc6455.Reader(_READER, masked=False)
        self._heard: list[AnyFrame] = []
        self.closed = 0
        self.over = False
        self.answered = ""
        """The status line of the handshake's answer."""

    async def shake_hands(self) -> bool:
        """A good handshake. False when it was refused."""
        await self._line.send(encode_lines(handshake()))
        head = b""
        while b"\r\n\r\n" not in head:
            more = await self._line.receive()
            if not more:
                self.over = True
                break
            head += more
        first, _, rest = head.partition(b"\r\n\r\n")
        self.answered = first.split(b"\r\n")[0].decode("latin-1")
        if not head.startswith(b"HTTP/1.1 101 "):
            return False
        self._take(rest)
        return True

    async def send(self, payload: bytes, key: bytes = b"\x01\x02\x03\x04") -> None:
        """One well-framed binary message."""
        await self._line.send(rfc6455.encode(rfc6455.BINARY, payload, key=key))

    async def send_wire(self, data: bytes) -> None:
        """Bytes as they are."""
        await self._line.send(data)

    async def frame(self) -> AnyFrame | None:
        """The next frame; None once the server closed, or the line ended. Raises `Silent` and `Impossible`."""
        while not self._heard:
            if self.closed or self.over:
                return None
            await self._hear()
        return self._heard.pop(0)

    async def finish(self) -> None:
        """Half-closes, and reads until the line ends."""
        self._line.finish()
        while not self.over:
            await self._hear()

    async def _hear(self) -> None:
        data = await self._line.receive()
        if not data:
            self.over = True
        self._take(data)

    def _take(self, data: bytes) -> None:
        for event in self._reader.feed(data):
            match event:
                case rfc6455.Message():
                    self._heard += read_frames(event.payload)
                case rfc6455.Close():
                    self.closed = event.code
                case rfc6455.Violation():
                    raise Impossible(f"the server broke the rules of framing: {event.reason}")
                case _:
                    pass
