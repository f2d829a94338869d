"""A public port on a free loopback port, with sessions that note what they are told: what the tests of this room talk to."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
from hypercorn.typing import ASGIFramework

from actors.socket_port import Outlet, Peer
from gateway.admission import Gates
from gateway.client_address import Trust
from gateway.connection import Bounds
from gateway.handshake import Policy
from gateway.http_serving import HttpServing
from gateway.listener import Listener
from gateway.options import HttpBounds

PATIENCE_S = 20.0
"""Nothing here takes long; a test that waits for what never comes fails after this."""


TURNS_MAX = 50_000


class Session:
    """Hears one socket. Answers every message with itself, if it is to echo."""

    def __init__(self, outlet: Outlet, peer: Peer, *, echo: bool) -> None:
        self.outlet = outlet
        self.peer = peer
        self.echo = echo
        self.messages: list[bytes] = []
        self.drains = 0
        self.drain_grace_s: float | None = None
        self.ends: list[tuple[int, str]] = []
        self.changed = trio.Event()

    def received(self, payload: bytes) -> None:
        self.messages.append(payload)
        if self.echo:
            self.outlet.send(payload)
        self._changed()

    def drained(self) -> None:
        self.drains += 1
        self._changed()

    def draining(self, grace_s: float) -> None:
        self.drain_grace_s = grace_s
        self._changed()

    def closed(self, code: int, reason: str) -> None:
        self.ends.append((code, reason))
        self._changed()

    def _changed(self) -> None:
        self.changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        with trio.fail_after(PATIENCE_S):
            while not condition():
                self.changed = trio.Event()
                await self.changed.wait()


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application that says which path it was asked for and who asked, and reads the body where the path says so."""
    if scope["type"] == "lifespan":
        for stage in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{stage}"
            await send({"type": f"lifespan.{stage}.complete"})
        return
    assert scope["type"] == "http"
    body = b""
    while scope["path"] == "/read":
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"):
            break
    answer = f"{scope['path']} {scope['client'][0]} {len(body)}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(answer))]})
    await send({"type": "http.response.body", "body": answer})


class Port:
    """The port under test, and whoever came through it."""

    def __init__(self, *, echo: bool) -> None:
        self.sessions: list[Session] = []
        self.listener: Listener
        self.http: HttpServing
        self.binds: tuple[str, ...] = ()
        self._echo = echo
        self._arrived = trio.Event()

    @property
    def number(self) -> int:
        return int(self.binds[0].rpartition(":")[2])

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.number}/socket"

    def accept(self, outlet: Outlet, peer: Peer) -> Session:
        session = Session(outlet, peer, echo=self._echo)
        self.sessions.append(session)
        self._arrived.set()
        return session

    async def session(self, index: int = 0) -> Session:
        with trio.fail_after(PATIENCE_S):
            while len(self.sessions) <= index:
                self._arrived = trio.Event()
                await self._arrived.wait()
        return self.sessions[index]

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.number)

    def connect_raw(self, *, receive_bytes: int | None = None) -> socket.socket:
        """A blocking socket of the operating system, for peers that must not read."""
        sock = socket.socket()
        if receive_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        sock.connect(("127.0.0.1", self.number))
        return sock


@asynccontextmanager
async def open_port(
    *,
    echo: bool = True,
    app: ASGIFramework = hello,
    bounds: Bounds | None = None,
    gates: Gates | None = None,
    policy: Policy | None = None,
    trust: Trust | None = None,
    tls: ssl.SSLContext | None = None,
    http_bounds: HttpBounds | None = None,
    binds: tuple[str, ...] = ("127.0.0.1:0",),
    reuse_port: bool = False,
) -> AsyncIterator[Port]:
    port = Port(echo=echo)
    async with trio.open_nursery() as nursery:
        port.http = HttpServing(app, http_bounds)
        await nursery.start(port.http.run)
        port.listener = Listener(
            binds=binds,
            accept=port.accept,
            http=port.http,
            random=lambda: 0.5,
            policy=policy,
            gates=gates,
            bounds=bounds,
            trust=trust,
            tls=tls,
            reuse_port=reuse_port,
        )
        port.binds = await nursery.start(port.listener.run)
        yield port
        nursery.cancel_scope.cancel()


REQUEST = (
    b"GET /socket HTTP/1.1\r\nHost: here\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def eventually(condition: Callable[[], object]) -> None:
    """Lets the port's task and the kernel work until `condition()`. Counts turns, so it is bounded under a clock that stands still."""
    for _ in range(TURNS_MAX):
        if condition():
            return
        await trio.lowlevel.checkpoint()
    raise AssertionError("it did not happen")


async def read_until(stream: trio.abc.ReceiveStream, end: bytes) -> bytes:
    """Everything up to and including `end`, and whatever came with it."""
    data = b""
    with trio.fail_after(PATIENCE_S):
        while end not in data:
            more = await stream.receive_some()
            if not more:
                break
            data += more
    return data


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    """Everything until the end of the stream; a reset counts as an end."""
    data = b""
    with trio.fail_after(PATIENCE_S):
        try:
            while more := await stream.receive_some():
                data += more
        except trio.BrokenResourceError:
            pass
    return data


async def read_exactly(stream: trio.abc.ReceiveStream, size: int) -> bytes:
    data = b""
    with trio.fail_after(PATIENCE_S):
        while len(data) < size:
            more = await stream.receive_some(size - len(data))
            assert more, f"the stream ended after {data!r}"
            data += more
    return data


async def open_socket(port: Port, request: bytes = REQUEST) -> trio.SocketStream:
    """A raw stream whose handshake is done."""
    stream = await port.connect()
    await stream.send_all(request)
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += await read_exactly(stream, 1)
    assert answer.startswith(b"HTTP/1.1 101 "), answer
    return stream
