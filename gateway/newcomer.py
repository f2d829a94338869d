"""A connection before it is a socket: whose it is, what it asks for, and where it goes.

    accepted ─▶ PROXY header ─▶ TLS ─▶ head ─┬─▶ admitted ─▶ multiplexer
                (trusted only)   (setting)   ├─▶ waits for admission ─▶ multiplexer, or 503
                                             ├─▶ plain HTTP server, with every byte read so far
                                             └─▶ refused: a status, a sentence, a bounded goodbye

A newcomer is an object in the poller, not a task: a flood of half-open connections costs some hundred bytes each, and at the bound the
oldest go first.

Invariant: a newcomer ends in exactly one of these ways, and by its deadline.
"""

from __future__ import annotations

import socket
import ssl
from enum import IntEnum
from typing import Final, Protocol

from actors.socket_port import Peer
from gateway import client_address
from gateway.client_address import Trust
from gateway.connection import half_close
from gateway.handshake import Elsewhere, Head, Policy, Refusal, Upgrade, decide, parse_head
from gateway.poller import HALF_CLOSED, READ, Poller

RECEIVE_BYTES: Final = 4096
LINGER_S: Final = 2.0
_END_OF_HEAD: Final = b"\r\n\r\n"


class Door(Protocol):
    """What a newcomer needs of its listener."""

    poller: Poller
    policy: Policy
    trust: Trust
    tls: ssl.SSLContext | None
    head_bytes_max: int

    def upgrade(self, newcomer: Newcomer, upgrade: Upgrade) -> None:
        """It completed a handshake."""
        ...

    def hand_over(self, newcomer: Newcomer) -> None:
        """It asked for plain HTTP."""
        ...

    def late(self, newcomer: Newcomer) -> None:
        """It waited as long as it may."""
        ...

    def refused(self, reason: str) -> None: ...

    def gone(self, newcomer: Newcomer) -> None:
        """It is no newcomer any more."""
        ...


class Stage(IntEnum):
    PROXY = 0
    HEAD = 1
    WAITING = 2
    LINGERING = 3
    ENDED = 4


class Newcomer:
    """One connection that has not said yet, or was not told yet, where it belongs."""

    __slots__ = ("address", "buffer", "claimed", "door", "port", "rest", "sock", "socket_address", "stage", "upgrade", "wheel_tick")

    def __init__(self, door: Door, sock: socket.socket, address: str, port: int, deadline: float) -> None:
        self.sock = sock
        self.wheel_tick = -1
        self.door = door
        self.socket_address = address
        """The socket's own; what half-open connections are counted by."""
        self.address = address
        self.port = port
        self.buffer = bytearray()
        self.rest = b""
        self.upgrade: Upgrade | None = None
        self.claimed = False
        """Whether a place among its client's connections is held for it."""
        self.stage = Stage.HEAD
        if door.trust.proxy_protocol and door.trust.covers(address):
            self.stage = Stage.PROXY
        elif door.tls is not None:
            self._start_tls(door.tls)
        door.poller.watch(self, READ)
        door.poller.wheel.set(self, deadline)

    @property
    def peer(self) -> Peer:
        secure, upgrade = isinstance(self.sock, ssl.SSLSocket), self.upgrade
        if upgrade is None:
            return Peer(self.address, self.port, secure)
        return Peer(self.address, self.port, secure, upgrade.origin, upgrade.subprotocol)

    def ready(self, mask: int) -> None:
        if self.stage is Stage.WAITING:
            # Only its end is watched for while it waits.
            self.end()
            return
        while True:
            try:
                data = self._receive()
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except OSError:
                data = b""
            if not data:
                self.end()
                return
            self._read(data)
            if self.stage in (Stage.WAITING, Stage.ENDED) or not isinstance(self.sock, ssl.SSLSocket):
                return

    def expired(self) -> None:
        if self.stage in (Stage.PROXY, Stage.HEAD):
            self.refuse(Refusal(408, "The request did not arrive in time."), "head_late")
        elif self.stage is Stage.WAITING:
            self.door.late(self)
        else:
            self.end()

    def refuse(self, refusal: Refusal, reason: str) -> None:
        """Answers with a status, then gives the answer a bounded time to be read."""
        self.door.refused(reason)
        try:
            self.sock.send(refusal.response())
        except OSError:
            # Nobody there to be told, or no TLS yet to tell it in.
            self.end()
            return
        half_close(self.sock)
        self.stage = Stage.LINGERING
        self.buffer.clear()
        self.door.poller.watch(self, READ)
        self.door.poller.wheel.set(self, self.door.poller.now + LINGER_S)

    def wait(self, deadline: float) -> None:
        """Stops reading until admission or `deadline`."""
        self.stage = Stage.WAITING
        self.door.poller.change(self, HALF_CLOSED)
        self.door.poller.wheel.set(self, deadline)

    def end(self) -> None:
        self.stage = Stage.ENDED
        self.door.poller.retire(self)
        self.door.gone(self)

    def release(self) -> socket.socket:
        """Lets go of the socket, which stays open and watched, for whoever serves it from now on."""
        self.stage = Stage.ENDED
        self.door.poller.wheel.clear(self)
        self.door.gone(self)
        return self.sock

    def _read(self, data: bytes) -> None:
        if self.stage is Stage.HEAD:
            self._read_head(data)
        elif self.stage is Stage.PROXY:
            self._read_proxy(data)

    def _receive(self) -> bytes:
        if self.stage is not Stage.PROXY:
            return self.sock.recv(RECEIVE_BYTES)
        # Not a byte behind the PROXY header may be taken: it may belong to TLS.
        return self.sock.recv(client_address.proxy_bytes_wanted(bytes(self.buffer)))

    def _read_proxy(self, data: bytes) -> None:
        self.buffer += data
        header = bytes(self.buffer)
        try:
            if client_address.proxy_bytes_wanted(header):
                return
            told = client_address.parse_proxy(header)
        except client_address.Malformed:
            self.door.refused("proxy_header")
            self.end()
            return
        if told is not None:
            self.address, self.port = told
        self.buffer.clear()
        self.stage = Stage.HEAD
        if self.door.tls is not None:
            self._start_tls(self.door.tls)
            self.door.poller.watch(self, READ)

    def _start_tls(self, context: ssl.SSLContext) -> None:
        # The handshake happens inside the first `recv` calls, without blocking.
        self.sock = context.wrap_socket(self.sock, server_side=True, do_handshake_on_connect=False)

    def _read_head(self, data: bytes) -> None:
        buffer = self.buffer
        seen = len(buffer)
        buffer += data
        if not seen and not 0x41 <= buffer[0] <= 0x7A:
            # TLS on a plain port, a PROXY header from a stranger, noise: a method begins with a letter.
            self.refuse(Refusal(400, "This is not an HTTP request."), "head_malformed")
            return
        end = buffer.find(_END_OF_HEAD, max(0, seen - 3))
        if end < 0 and len(buffer) <= self.door.head_bytes_max:
            return
        if end < 0 or end > self.door.head_bytes_max:
            self.refuse(Refusal(431, f"A request head is at most {self.door.head_bytes_max} bytes."), "head_too_large")
            return
        head = parse_head(bytes(buffer[: end + 4]))
        if isinstance(head, Refusal):
            self.refuse(head, "head_malformed")
            return
        self._find_client(head)
        decision = decide(head, self.door.policy)
        if isinstance(decision, Upgrade):
            self.rest = bytes(buffer[end + 4 :])
            self.upgrade = decision
            self.door.upgrade(self, decision)
        elif isinstance(decision, Elsewhere):
            self.rest = bytes(buffer)
            self.door.hand_over(self)
        else:
            self.refuse(decision, f"handshake_{decision.status}")

    def _find_client(self, head: Head) -> None:
        trust = self.door.trust
        if trust.header:
            address = client_address.forwarded_address(trust, self.address, head.values(trust.header))
            if address != self.address:
                self.address, self.port = address, 0
