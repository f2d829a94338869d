"""The one public port: accepts, hands every connection to where it belongs, and goes away politely.

    bind ─▶ accept ─▶ Newcomer ─▶ gates (per client, in total, per second) ─▶ Multiplexer
                                                                          └─▶ HTTP server
    drain: no more newcomers ─▶ sessions are told ─▶ grace ─▶ the rest is closed

Everything happens in the poller's task, so no bound here is ever exceeded by a race.

Invariant: for each admitted connection `Census.enter` was answered True once, and `leave` follows once, when it ends.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
import stat
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import trio

from actors.socket_port import Accept, Peer
from gateway.admission import Bucket, Census, Gates
from gateway.client_address import Trust, plain_address
from gateway.connection import Bounds, Counters
from gateway.handshake import Policy, Refusal, Upgrade, encode_response
from gateway.multiplexer import Multiplexer
from gateway.newcomer import Newcomer, Stage
from gateway.poller import READ, Poller
from protocol.codes import Code

ACCEPTS_PER_ROUND_MAX: Final = 64
BACKLOG: Final = 4096
UNIX: Final = "unix:"
UNSENT_BYTES: Final = 32 * 1024
"""What the kernel holds of one socket beyond what is on its way. More would only hide from us how slow a peer is."""
_OUT_OF_ROOM: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class HttpServer(Protocol):
    """Who serves plain HTTP."""

    def adopt(self, sock: socket.socket, peer: Peer, data: bytes, ended: Callable[[], None]) -> bool:
        """Serves a non-blocking socket of which `data` was already read; calls `ended` when it is closed. False when there is no room."""
        ...


class _Ear:
    """One listening socket."""

    __slots__ = ("_listener", "name", "sock", "wheel_tick")

    def __init__(self, listener: Listener, sock: socket.socket) -> None:
        self._listener = listener
        self.sock = sock
        self.name = _name(sock)
        self.wheel_tick = -1

    def ready(self, mask: int) -> None:
        for _ in range(ACCEPTS_PER_ROUND_MAX):
            try:
                sock, address = self.sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OUT_OF_ROOM:
                    self._listener.rest()
                    return
                # The peer left between connecting and here.
                continue
            self._listener.welcome(sock, address)

    def expired(self) -> None:
        """Listening has no deadline."""

    def close(self) -> None:
        if self.name.startswith(UNIX) and os.path.exists(path := self.name.removeprefix(UNIX)):
            os.unlink(path)
        self.sock.close()


class Listener:
    """The public port, with the multiplexer behind it.

    `binds` are `host:port` (port 0 takes a free one) or `unix:/path`. Made inside the trio run; then `await nursery.start(listener.run)`.
    """

    def __init__(
        self,
        *,
        binds: tuple[str, ...],
        accept: Accept,
        http: HttpServer,
        random: Callable[[], float],
        policy: Policy | None = None,
        gates: Gates | None = None,
        bounds: Bounds | None = None,
        trust: Trust | None = None,
        tls: ssl.SSLContext | None = None,
        reuse_port: bool = False,
    ) -> None:
        self.poller = Poller()
        self.counters = Counters()
        self.policy = policy or Policy()
        self.trust = trust or Trust()
        self.tls = tls
        self.gates = gates or Gates()
        self.head_bytes_max = self.gates.head_bytes_max
        self.multiplexer = Multiplexer(self.poller, accept, bounds or Bounds(), self.counters, self._socket_ended)
        self._binds = binds
        self._http = http
        self._random = random
        self._reuse_port = reuse_port
        self._ears: list[_Ear] = []
        self._resting = False
        self._draining = False
        self._bucket = Bucket(self.gates.handshakes_per_s, self.gates.handshakes_burst, self.poller.now)
        self._clients = Census(self.gates.per_client_max)
        self._half_open_clients = Census(self.gates.half_open_per_client_max)
        self._half_open: dict[Newcomer, None] = {}
        self._waiting: deque[Newcomer] = deque()
        self.poller.each_tick(self._tick)

    # ── its life ──

    async def run(self, *, task_status: trio.TaskStatus[tuple[str, ...]] = trio.TASK_STATUS_IGNORED) -> None:
        """Serves until cancelled. Starts with the addresses that were really bound; raises `OSError` where that is impossible."""
        try:
            for bind in self._binds:
                self._ears.append(_Ear(self, _bind(bind, reuse_port=self._reuse_port)))
            async with trio.open_nursery() as nursery:
                await nursery.start(self.poller.run)
                for ear in self._ears:
                    self.poller.watch(ear, READ)
                task_status.started(tuple(ear.name for ear in self._ears))
        finally:
            # In this order: until it hears of its end, a session may still call its socket, and so the poller.
            self.multiplexer.abandon()
            self.poller.close()
            for ear in self._ears:
                ear.close()

    async def drain(self, grace_s: float, code: int = Code.DRAIN, reason: str = "this server is going away") -> None:
        """Takes no more connections, tells the sessions, and after `grace_s` closes what is left with `code`. Bounded; `run` goes on."""
        self._draining = True
        for ear in self._ears:
            self.poller.release(ear)
            ear.close()
        self._ears.clear()
        for newcomer in self._waiting:
            if newcomer.stage is Stage.WAITING:
                self._refuse_later(newcomer, "draining")
        self._waiting.clear()
        self.multiplexer.announce_drain(grace_s)
        with trio.move_on_after(grace_s):
            await self.multiplexer.wait_empty()
        self.multiplexer.close_all(code, reason)
        await self.multiplexer.wait_empty()

    @property
    def draining(self) -> bool:
        """It takes nobody any more."""
        return self._draining

    @property
    def resting(self) -> bool:
        """It was out of descriptors, and tries again at the next tick."""
        return self._resting

    @property
    def half_open(self) -> int:
        return len(self._half_open)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    # ── the poller's side ──

    def welcome(self, sock: socket.socket, address: object) -> None:
        """A connection was accepted."""
        sock.setblocking(False)
        host, port = (plain_address(str(address[0])), int(address[1])) if isinstance(address, tuple) else ("", 0)
        trusted = self.trust.covers(host)
        if not trusted and not self._half_open_clients.enter(host):
            self._turn_away(sock, "half_open_per_client")
            return
        if len(self._half_open) >= self.gates.half_open_max:
            self.refused("half_open")
            next(iter(self._half_open)).end()
        newcomer = Newcomer(self, sock, host, port, self.poller.now + self.gates.head_s)
        self._half_open[newcomer] = None

    def rest(self) -> None:
        """No descriptors left: accepting again at once would spin, so the queue in the kernel waits for the next tick."""
        self.refused("descriptors")
        self._resting = True
        for ear in self._ears:
            self.poller.release(ear)

    def upgrade(self, newcomer: Newcomer, upgrade: Upgrade) -> None:
        if self._draining:
            self._refuse_later(newcomer, "draining")
        elif not self._claim(newcomer):
            return
        elif len(self._waiting) >= self.gates.waiting_max:
            self._refuse_later(newcomer, "waiting")
        elif self._waiting or not self._bucket.take(self.poller.now):
            self._leave_half_open(newcomer)
            newcomer.wait(self.poller.now + self.gates.waiting_s)
            self._waiting.append(newcomer)
        else:
            self._admit(newcomer, upgrade)

    def hand_over(self, newcomer: Newcomer) -> None:
        if not self._claim(newcomer):
            return
        address = newcomer.address
        if self._http.adopt(newcomer.sock, newcomer.peer, newcomer.rest, lambda: self._clients.leave(address)):
            newcomer.claimed = False
            newcomer.release()
            self.poller.release(newcomer)
        else:
            self._refuse_later(newcomer, "http_full")

    def late(self, newcomer: Newcomer) -> None:
        self._refuse_later(newcomer, "admission_late")

    def refused(self, reason: str) -> None:
        self.counters.refuse(reason)

    def gone(self, newcomer: Newcomer) -> None:
        self._leave_half_open(newcomer)
        self._unclaim(newcomer)

    def _tick(self) -> None:
        if self._resting:
            self._resting = False
            for ear in self._ears:
                self.poller.watch(ear, READ)
        waiting = self._waiting
        while waiting:
            newcomer = waiting[0]
            if newcomer.stage is Stage.WAITING:
                assert newcomer.upgrade is not None
                if not self._bucket.take(self.poller.now):
                    return
                self._admit(newcomer, newcomer.upgrade)
            waiting.popleft()

    def _admit(self, newcomer: Newcomer, upgrade: Upgrade) -> None:
        if len(self.multiplexer) >= self.gates.sockets_max:
            self._refuse_later(newcomer, "sockets")
            return
        # From here on the place belongs to the socket, and `_socket_ended` gives it back.
        newcomer.claimed = False
        self.multiplexer.adopt(newcomer.release(), newcomer.peer, upgrade.response, newcomer.rest)

    def _socket_ended(self, peer: Peer) -> None:
        self._clients.leave(peer.address)

    def _claim(self, newcomer: Newcomer) -> bool:
        newcomer.claimed = self._clients.enter(newcomer.address)
        if not newcomer.claimed:
            text = f"At most {self.gates.per_client_max} connections from one address."
            newcomer.refuse(Refusal(429, text, (self._retry_after(),)), "per_client")
        return newcomer.claimed

    def _unclaim(self, newcomer: Newcomer) -> None:
        if newcomer.claimed:
            newcomer.claimed = False
            self._clients.leave(newcomer.address)

    def _leave_half_open(self, newcomer: Newcomer) -> None:
        if newcomer in self._half_open:
            del self._half_open[newcomer]
            if not self.trust.covers(newcomer.socket_address):
                self._half_open_clients.leave(newcomer.socket_address)

    def _refuse_later(self, newcomer: Newcomer, reason: str) -> None:
        self._unclaim(newcomer)
        newcomer.refuse(Refusal(503, "Too busy now, come back later.", (self._retry_after(),)), reason)

    def _turn_away(self, sock: socket.socket, reason: str) -> None:
        """Refuses at the door, before anything was read."""
        self.refused(reason)
        text = "Too many unfinished connections from one address."
        try:
            if self.tls is None:
                sock.send(encode_response(429, text, (self._retry_after(),)))
        except OSError:
            pass
        finally:
            sock.close()

    def _retry_after(self) -> tuple[str, str]:
        # Spread, or those refused together would come back together.
        return ("Retry-After", str(round(self.gates.retry_after_s * (1 + 2 * self._random()))))


def _bind(bind: str, *, reuse_port: bool) -> socket.socket:
    if bind.startswith(UNIX):
        path = bind.removeprefix(UNIX)
        sock = socket.socket(socket.AF_UNIX)
        # A file left behind by a process that was killed; anything that is not a socket stays, and binding fails.
        if os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode):
            os.unlink(path)
        address: str | tuple[str, int] = path
    else:
        host, _, port = bind.rpartition(":")
        host = host.strip("[]")
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted sockets inherit these, which saves two calls for each.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        address = (host, int(port))
    try:
        sock.setblocking(False)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _name(sock: socket.socket) -> str:
    name = sock.getsockname()
    if isinstance(name, str):
        return UNIX + name
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
