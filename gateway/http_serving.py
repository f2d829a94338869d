"""Plain HTTP on the public port: hypercorn's parser and any ASGI application, on sockets that the listener hands over.

    listener ─ socket + bytes already read ─▶ adopt ─▶ guard ─▶ H11 ─▶ application
                                                        │
                              a crash ends one connection, a stalled peer waits for nobody

Hypercorn 0.18 serves connections itself in a way that one client can turn against everybody, so its parts are used and its server is
not. Three faults, each with a test that reproduces it on the original:

* an upgrade request followed by any byte raises out of the connection and ends the process: every connection has a guard, and an
  upgrade is refused before hypercorn changes protocols for it;
* a client that stops reading blocks shutdown for ever (a shielded `send_all`): sends can be cancelled, and wait only so long;
* an application that answers before a long body is read meets its own full channel, when the end of the answer is put into it, and
  waits for itself for ever: here the end closes the channel instead.

Invariant: no connection outlives `run`, and none waits longer than `stall_s` for its peer.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Final

import h11
import structlog
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.task_group import TaskGroup, _handle
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ASGIFramework, ASGIReceiveEvent, ASGISendEvent, ConnectionState, LifespanState, Scope

from actors.socket_port import Peer
from gateway.connection import half_close
from gateway.options import HttpBounds
from gateway.turnstile import Turnstile

log = structlog.get_logger()

RECEIVE_BYTES: Final = 64 * 1024
APPLICATION_S: Final = 10
"""How long the application may take to start, and to stop."""


class HttpServing:
    """Serves an ASGI application. `await nursery.start(serving.run)`, then `adopt` sockets."""

    def __init__(self, app: ASGIFramework, bounds: HttpBounds | None = None) -> None:
        self._bounds = bounds or HttpBounds()
        self._turnstile = Turnstile()
        self._app = ASGIWrapper(self._turnstile.before(app))
        self._config = Config()
        self._config.include_server_header = False
        self._config.errorlog = logging.getLogger("educonnect.http")
        self._config.startup_timeout = self._config.shutdown_timeout = APPLICATION_S
        self._context = WorkerContext(None)
        self._state: LifespanState = {}
        self._nursery: trio.Nursery | None = None
        self._connections: set[_Connection] = set()
        self.crashes = 0
        """Connections that ended by an exception nobody expected."""

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Starts the application and serves until cancelled.

        Then idle connections end, requests in progress get `shutdown_s`, and the application is told last.
        """
        lifespan = Lifespan(self._app, self._config, self._state)
        stop = trio.Event()
        async with trio.open_nursery() as watch:
            watch.start_soon(_set_when_cancelled, stop)
            with trio.CancelScope(shield=True):
                async with trio.open_nursery() as application:
                    await application.start(lifespan.handle_lifespan)
                    await lifespan.wait_for_startup()
                    await self._serve(stop, task_status)
                    await lifespan.wait_for_shutdown()
                    application.cancel_scope.cancel()
            watch.cancel_scope.cancel()

    async def _serve(self, stop: trio.Event, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await stop.wait()
            self._nursery = None
            await self._context.terminated.set()
            for connection in self._connections:
                connection.stop_if_idle()
            nursery.cancel_scope.deadline = trio.current_time() + self._bounds.shutdown_s

    def adopt(self, sock: socket.socket, peer: Peer, data: bytes, ended: Callable[[], None]) -> bool:
        """Serves `sock`, of which `data` was already read, and calls `ended` when it is closed. False: no room, or no more time."""
        if self._nursery is None or len(self._connections) >= self._bounds.connections_max:
            return False
        connection = _Connection(self._app, self._config, self._context, self._state, self._bounds, sock, peer)
        self._connections.add(connection)
        self._nursery.start_soon(self._guard, connection, data, ended)
        return True

    async def _guard(self, connection: _Connection, data: bytes, ended: Callable[[], None]) -> None:
        """The supervisor of one connection: whatever happens in it ends it, and nothing else."""
        try:
            await self._turnstile.wait()
            await connection.run(data)
        except* (OSError, h11.ProtocolError):
            pass
        except* Exception:
            self.crashes += 1
            log.exception("http_connection_crashed")
        finally:
            self._connections.discard(connection)
            connection.sock.close()
            ended()


class _Connection:
    """One HTTP/1.1 connection: moves bytes between its socket and hypercorn's protocol object."""

    def __init__(
        self,
        app: ASGIWrapper,
        config: Config,
        context: WorkerContext,
        state: LifespanState,
        bounds: HttpBounds,
        sock: socket.socket,
        peer: Peer,
    ) -> None:
        self.sock = sock
        self._bounds = bounds
        self._send_lock = trio.Lock()
        self._reading = trio.CancelScope()
        self._idle_since: float | None = None
        self._waiting = trio.CancelScope()
        """For what the peer sends next."""
        self._group = _TaskGroup()
        name = sock.getsockname()
        self._protocol = _Protocol(
            app,
            config,
            context,
            self._group,
            ConnectionState(state.copy()),
            peer.secure,
            (peer.address, peer.port),
            name[:2] if isinstance(name, tuple) else None,
            self._on_event,
        )

    def stop_if_idle(self) -> None:
        if self._idle_since is not None:
            self._reading.cancel()

    async def run(self, data: bytes) -> None:
        async with self._group:
            with self._reading:
                while data:
                    await self._protocol.handle(RawData(data))
                    data = await self._receive()
            await self._protocol.handle(Closed())
        half_close(self.sock)
        with trio.move_on_after(self._bounds.linger_s):
            while await self._receive_some():
                pass

    async def _receive(self) -> bytes:
        """What the peer sends next; empty when it has ended, or stood still for too long."""
        deadline = trio.current_time() + self._bounds.stall_s if self._protocol.wants_body else float("inf")
        if self._idle_since is not None:
            # Counted from the last answer, not from the last byte: a head that drips in does not move it.
            deadline = self._idle_since + self._bounds.keep_alive_s
        with trio.CancelScope(deadline=deadline) as self._waiting:
            return await self._receive_some()
        return b""

    async def _receive_some(self) -> bytes:
        await trio.lowlevel.checkpoint()
        while True:
            try:
                return self.sock.recv(RECEIVE_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                await trio.lowlevel.wait_readable(self.sock)
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(self.sock)
            except OSError:
                return b""

    async def _on_event(self, event: Event) -> None:
        if isinstance(event, RawData):
            async with self._send_lock:
                await self._send(event.data)
        elif isinstance(event, Closed):
            self._reading.cancel()
        elif isinstance(event, Updated):
            self._idle_since = trio.current_time() if event.idle else None
            if event.idle:
                # The wait began while the application was at work, when nothing bounded it.
                self._waiting.deadline = min(self._waiting.deadline, trio.current_time() + self._bounds.keep_alive_s)

    async def _send(self, data: bytes) -> None:
        """Sends all of `data`, or gives the connection up: when it broke, or when the peer takes nothing for `stall_s`."""
        await trio.lowlevel.checkpoint()
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self.sock.send(rest) :]
                continue
            except (BlockingIOError, ssl.SSLWantWriteError):
                wait: Callable[[socket.socket], Awaitable[None]] = trio.lowlevel.wait_writable
            except ssl.SSLWantReadError:
                wait = trio.lowlevel.wait_readable
            except OSError:
                self._reading.cancel()
                return
            with trio.move_on_after(self._bounds.stall_s) as patience:
                await wait(self.sock)
            if patience.cancelled_caught:
                # Nothing after a gap makes sense to the peer, so the line goes too; what the application still says falls on the floor.
                self.sock.shutdown(socket.SHUT_RDWR)


class _Protocol(H11Protocol):
    """Hypercorn's HTTP/1.1 without any change of protocol: sockets have their own path, and HTTP/2 its place at a balancer."""

    @property
    def wants_body(self) -> bool:
        return self.connection.their_state is h11.SEND_BODY

    async def _check_protocol(self, event: h11.Request) -> None:
        """No h2c, no HTTP/2 by prior knowledge."""

    async def _create_stream(self, request: h11.Request) -> None:
        for name, value in request.headers:
            if name == b"upgrade" and value.strip().lower() == b"websocket":
                await self._refuse(400, b"A socket needs a connection of its own: the upgrade must be the first request on it.\n")
                await self.send(Closed())
                return
        if request.target.startswith(b"?"):
            # Quart looks at the first character of the path, and crashes where there is none.
            await self._refuse(400, b"The request's target is a path, and begins with /.\n")
            await self.send(Closed())
            return
        await super()._create_stream(request)

    async def _send_error_response(self, status_code: int) -> None:
        """What h11 cannot read. Hypercorn would answer the status without a word."""
        await self._refuse(status_code, _WORDS.get(status_code, _WORDS[400]))

    async def _refuse(self, status_code: int, body: bytes) -> None:
        fields = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
        answer = (h11.Response(status_code=status_code, headers=fields), h11.Data(data=body), h11.EndOfMessage())
        try:
            # In one piece: between two, an application that ends at this moment could end the connection.
            data = b"".join(self.connection.send(part) or b"" for part in answer)
        except h11.LocalProtocolError:
            return  # its answer is under way already
        await self.send(RawData(data))


_WORDS: Final = {
    400: b"This is not HTTP as RFC 9112 has it: the request line, a field, the length or a chunk is malformed.\n",
    413: b"The request is too large.\n",
    431: b"The request's head is too large.\n",
    501: b"The only transfer coding taken here is chunked, once.\n",
}


class _TaskGroup(TaskGroup):
    """Runs the application so that nobody, itself included, waits for it to read once the answer is complete."""

    async def spawn_app(
        self,
        app: AppWrapper,
        config: Config,
        scope: Scope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        outward, inward = trio.open_memory_channel[ASGIReceiveEvent](config.max_app_queue_size)

        async def receive() -> ASGIReceiveEvent:
            try:
                return await inward.receive()
            except trio.EndOfChannel:
                return {"type": "http.disconnect"}

        async def send_or_finish(message: ASGISendEvent | None) -> None:
            if message is None:
                inward.close()
            await send(message)

        async def put(event: ASGIReceiveEvent) -> None:
            if event["type"] == "http.disconnect":
                # Also said from inside the application's own last send, which must not wait until the application reads.
                outward.close()
                return
            try:
                await outward.send(event)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                # The answer is complete: nobody asks for the rest of the body.
                return

        self.spawn(_handle, app, config, scope, receive, send_or_finish, trio.to_thread.run_sync, trio.from_thread.run)
        return put


async def _set_when_cancelled(event: trio.Event) -> None:
    try:
        await trio.sleep_forever()
    finally:
        event.set()
