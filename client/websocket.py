"""The transport over a real network: WebSocket by trio-websocket, over TCP or TLS.

    url ─▶ TCP ─▶ TLS? ─▶ HeardStream (notes when bytes came) ─▶ WebSocket at /socket

trio-websocket answers pings by itself and tells nobody; the stream below it is wrapped, so that the server's pings count as life
and the client's own are sent only into a real silence.

Invariant: opening takes at most `OPEN_S`, closing at most `CLOSE_S`. Neither is bounded in trio-websocket 0.12: opening waits for
ever when the server hangs up before its answer, and `aclose` after a cancelled send to a peer that does not read never finishes.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import urlsplit

import trio
import trio_websocket
from wsproto.utilities import ProtocolError

from client.errors import LinkClosed, Unreachable
from client.link import Link

SOCKET_PATH = "/socket"
OPEN_S = 20.0
"""Name, TCP, TLS and handshake: five round trips, which take a bad 2G link (800 ms, 2 % loss) six to ten seconds."""
CLOSE_S = 2.0
"""A polite close takes one round trip; after this the socket is dropped without one."""
MESSAGE_BYTES_MAX = 1 << 20
"""The largest message taken from a server. A page of 256 events of 4,000 characters is the longest thing it has to say."""
QUEUED_MESSAGES_MAX = 16
"""Messages read ahead of the session: enough to keep it busy, few enough for TCP to slow a server that sends faster."""


class WebSocketTransport:
    """Opens sockets to the server at `url` (http or https, as people know it; ws and wss are taken too)."""

    def __init__(self, url: str, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https", "ws", "wss") or not parts.hostname:
            raise ValueError(f"{url!r} is no address of a server; expected something like http://127.0.0.1:8000")
        self._secure = parts.scheme in ("https", "wss")
        self._host = parts.hostname
        self._port = parts.port or (443 if self._secure else 80)
        self._tls = tls
        self._authority = parts.netloc.rpartition("@")[2]
        self._resource = parts.path.rstrip("/") + SOCKET_PATH

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Link]:
        """Opens a socket for the length of the block. Raises `Unreachable`."""
        try:
            with trio.fail_after(OPEN_S):
                stream = await self._connect()
        except (OSError, trio.BrokenResourceError) as error:
            raise Unreachable(f"{self._authority}: {error.__cause__ or error}") from None
        except trio.TooSlowError:
            raise Unreachable(f"{self._authority}: no answer within {OPEN_S:.0f} s") from None
        heard = HeardStream(stream)
        reader = Reader()
        try:
            async with trio.open_nursery() as nursery:
                reader.nursery = nursery
                socket = await self._shake_hands(heard, reader)
                if socket is not None:
                    try:
                        yield WebSocketLink(socket, heard)
                    finally:
                        with trio.move_on_after(CLOSE_S, shield=True):
                            await socket.aclose()
                nursery.cancel_scope.cancel()
        finally:
            await trio.aclose_forcefully(stream)
        if socket is None:
            failure = reader.failure or "the connection was closed during the handshake"
            raise Unreachable(f"{self._authority}: {failure}", reader.status)

    async def _connect(self) -> trio.abc.Stream:
        if not self._secure:
            return await trio.open_tcp_stream(self._host, self._port)
        context = self._tls or ssl.create_default_context()
        stream = await trio.open_ssl_over_tcp_stream(self._host, self._port, ssl_context=context, https_compatible=True)
        try:
            await stream.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return stream

    async def _shake_hands(self, stream: HeardStream, reader: Reader) -> trio_websocket.WebSocketConnection | None:
        """The open WebSocket; None when the server refused, hung up or took too long (`reader.failure` says)."""
        socket = None
        with trio.move_on_after(OPEN_S) as opening:
            reader.on_end = opening.cancel
            # Duck-typed on purpose: the library only calls `start_soon`, and reads and writes a stream.
            socket = await trio_websocket.wrap_client_stream(
                cast(trio.Nursery, reader),
                cast(trio.SocketStream, stream),
                self._authority,
                self._resource,
                message_queue_size=QUEUED_MESSAGES_MAX,
                max_message_size=MESSAGE_BYTES_MAX,
            )
        reader.on_end = None
        return socket


class Reader:
    """Runs the library's reading task, turns its faults into a line of text, and tells when it ends, which the library does not."""

    def __init__(self) -> None:
        self.nursery: trio.Nursery | None = None
        self.failure = ""
        self.status = 0
        """HTTP's, where the handshake was refused."""
        self.on_end: Callable[[], None] | None = None

    def start_soon(self, read: Callable[[], Awaitable[None]]) -> None:
        assert self.nursery is not None
        self.nursery.start_soon(self._guard, read)

    async def _guard(self, read: Callable[[], Awaitable[None]]) -> None:
        try:
            await read()
        except trio_websocket.ConnectionRejected as error:
            self.status = error.status_code
            self.failure = f"the server refused the socket with HTTP status {error.status_code}"
        except (trio_websocket.HandshakeError, trio_websocket.ConnectionClosed, ProtocolError) as error:
            self.failure = f"{type(error).__name__}: {error}"
        if self.on_end is not None:
            self.on_end()


class HeardStream(trio.abc.Stream):
    """A stream that remembers when bytes last came."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.heard_at = trio.current_time()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        self.heard_at = trio.current_time()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


class WebSocketLink:
    """One open WebSocket as a link."""

    def __init__(self, socket: trio_websocket.WebSocketConnection, stream: HeardStream) -> None:
        self._socket = socket
        self._stream = stream

    async def send(self, message: bytes) -> None:
        try:
            await self._socket.send_message(message)
        except trio_websocket.ConnectionClosed as closed:
            raise _link_closed(closed) from None

    async def receive(self) -> bytes:
        try:
            message = await self._socket.get_message()
        except trio_websocket.ConnectionClosed as closed:
            raise _link_closed(closed) from None
        return message.encode() if isinstance(message, str) else message

    def heard_at(self) -> float:
        return self._stream.heard_at


def _link_closed(closed: trio_websocket.ConnectionClosed) -> LinkClosed:
    if closed.reason is None:
        return LinkClosed()
    return LinkClosed(closed.reason.code, closed.reason.reason or "")
