"""One open WebSocket: what its session pushes goes out, what its peer sends comes in.

    push ─▶ no round is open ──▶ the kernel takes it at once
         ├▶ first of a round ──▶ kept as it is ─▶ one send when the round ends          (most of all fan-out)
         └▶ more in the round, or the kernel is full ─▶ queue ─▶ joined: one send when the round ends or the peer has room

      OPEN ── close() ──▶ CLOSING ── peer's close, or close_s ──▶ LINGERING ── end of file, or linger_s ──▶ ENDED
       └─ peer's close, violation, past the hard bound ─────────────▲

Nearly nine tenths of fan-out is the kernel's `send`, so what counts is the number of calls: pushes within one round (`cork`) leave as one.
A socket whose peer reads slowly queues up to the soft bound, then refuses, and costs its neighbours nothing at any time.

Invariants: a frame is never cut by another; `Inlet.closed` is told once, from the poller's task, never from inside a call of the session;
`queued_bytes` never passes the hard bound by more than one close frame.
"""

from __future__ import annotations

import socket
import ssl
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from typing import Final

import msgspec

from actors.socket_port import Batch, Inlet, Peer
from actors.tallies import LineSums
from gateway import rfc6455
from gateway.line_sums import line_sums
from gateway.poller import HUNG_UP, READ, WRITE, Poller
from gateway.rfc6455 import Close, Message, Ping, Pong, Violation
from protocol.codes import Code
from protocol.frames import DOWN_BYTES_GOAL

RECEIVE_BYTES: Final = 32 * 1024
"""One socket's turn to be read; a peer with more to say waits for the next round, after its neighbours."""
SEND_BYTES: Final = 64 * 1024
"""What is joined for one send: about what the kernel takes from a fast peer's queue at once."""
RECORD_BYTES: Final = DOWN_BYTES_GOAL + 512
"""The same where there is TLS: a record can be read only when all of it is there, so none holds more than one message of catch-up. In
records of 16 kB, as OpenSSL makes them, a 2G link showed nothing for 2.6 s at a time, and a cut cost as much again."""
PING_FRAME: Final = rfc6455.encode(rfc6455.PING, b"")


class Bounds(msgspec.Struct, frozen=True):
    """What one open socket may take: bytes of memory, and seconds of patience."""

    reader: rfc6455.Limits = rfc6455.Limits()
    queue_soft_bytes: int = 64 * 1024
    """Fan-out is refused from here on: some 1,000 chat events, more than a 2G link carries in ten seconds."""
    queue_hard_bytes: int = 512 * 1024
    """Answers may queue up to here; who asks on without reading is closed as slow."""
    held_bytes_max: int = 256 * 1024 * 1024
    """Of unfinished messages, over all sockets: whoever adds to them beyond this is closed as overload."""
    heartbeat_s: float = 30.0
    pong_s: float = 20.0
    """How long a ping may stay without any sign of life. A 2G link that changes cells goes silent for over ten seconds."""
    close_s: float = 5.0
    linger_s: float = 2.0
    """After the last byte the peer gets this long to read it, since closing earlier would reset the line under it."""
    controls_per_s_max: int = 20


class Counters:
    """What the transport has done since it began; plain numbers, read by the metrics."""

    __slots__ = (
        "accepted",
        "bytes_in",
        "bytes_out",
        "closes",
        "held_bytes",
        "messages_in",
        "messages_out",
        "pushes_refused",
        "queued_bytes",
        "refused",
        "sends",
    )

    def __init__(self) -> None:
        self.accepted = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.messages_in = 0
        self.messages_out = 0
        self.sends = 0
        self.pushes_refused = 0
        self.queued_bytes = 0
        """Outward, now, over all sockets; without what an open round put first, which nobody waits for."""
        self.held_bytes = 0
        """Inward, now, of unfinished messages over all sockets."""
        self.refused: dict[str, int] = {}
        """Connections that never became sockets, by reason."""
        self.closes: dict[int, int] = {}
        """Sockets that ended, by close code."""

    def refuse(self, reason: str) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + 1


class Shared:
    """What the sockets of one process have in common."""

    __slots__ = ("bounds", "corked", "corks", "counters", "forget", "poller")

    def __init__(self, poller: Poller, bounds: Bounds, counters: Counters, forget: Callable[[Connection], None]) -> None:
        self.poller = poller
        self.bounds = bounds
        self.counters = counters
        self.forget = forget
        self.corks = 0
        """Above 0, what is put waits in its socket's queue."""
        self.corked: list[Connection] = []

    def flush_corked(self) -> None:
        """The round is over: what was put in it leaves, unless the kernel was full already. This loop is most of what fan-out costs
        outside the kernel, so it sends what stands alone without another call."""
        corked, self.corked = self.corked, []
        sends = sent_bytes = 0
        for connection in corked:
            wire = connection._round
            if wire is None or connection._state is not _OPEN:
                connection.flush_corked()
                continue
            connection._round = None
            try:
                sent = connection.sock.send(wire)
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                sent = 0
            except OSError:
                continue  # the poller hears of the broken line too, and ends the socket from its own task
            sends += 1
            sent_bytes += sent
            if sent != len(wire):
                connection._keep_rest(wire, sent)
        self.counters.sends += sends
        self.counters.bytes_out += sent_bytes


class _State(IntEnum):
    OPEN = 0
    CLOSING = 1
    LINGERING = 2
    ENDED = 3


_OPEN: Final = _State.OPEN


class Connection:
    """One open socket; it is the `Outlet` that its session holds."""

    __slots__ = (
        "_close_code",
        "_close_reason",
        "_controls",
        "_controls_from",
        "_deadline",
        "_head_sent",
        "_heard_at",
        "_heartbeat_s",
        "_held_bytes",
        "_inlet",
        "_mask",
        "_pinged_at",
        "_queue",
        "_queued_bytes",
        "_reader",
        "_refused",
        "_round",
        "_shared",
        "_state",
        "full_since",
        "peer",
        "sock",
        "sums",
        "wheel_tick",
    )

    def __init__(self, shared: Shared, sock: socket.socket, peer: Peer) -> None:
        self.sock = sock
        self.peer = peer
        self.wheel_tick = -1
        self.sums: LineSums | None = None
        self.full_since = 0.0
        """When the kernel took no more the last time; it still does not where the poller waits for it (`backed_up`)."""
        self._shared = shared
        self._inlet: Inlet | None = None
        self._reader = rfc6455.Reader(shared.bounds.reader)
        self._state = _State.OPEN
        self._mask = READ
        self._round: bytes | None = None
        """What was put first in the round that is open; then `_queue` is None. Building a queue for it cost an eighth of a fan-out."""
        self._queue: deque[bytes] | None = None
        self._queued_bytes = 0
        self._held_bytes = 0
        self._head_sent = False
        self._refused = False
        self._heartbeat_s = shared.bounds.heartbeat_s
        self._heard_at = shared.poller.now
        self._pinged_at = 0.0
        self._deadline = 0.0
        self._controls = 0
        self._controls_from = 0.0
        self._close_code = rfc6455.ABNORMAL
        self._close_reason = ""

    # ── the session's side ──

    @property
    def queued_bytes(self) -> int:
        return self._queued_bytes if self._round is None else len(self._round)

    @property
    def heartbeat_s(self) -> float:
        return self._heartbeat_s

    @heartbeat_s.setter
    def heartbeat_s(self, value: float) -> None:
        self._heartbeat_s = value
        if self._state is _State.OPEN:
            self._shared.poller.wheel.set(self, self._heard_at + value)

    @property
    def backed_up(self) -> bool:
        """The kernel takes no more of it: its peer does not read, or the way is slow."""
        return bool(self._mask & WRITE)

    def push(self, batch: Batch) -> bool:
        if self._state is not _OPEN:
            return False
        wire = batch.wire
        if wire is None:
            wire = batch.wire = rfc6455.encode(rfc6455.BINARY, batch.payload)
        shared = self._shared
        if self._queue is None and self._round is None:
            shared.counters.messages_out += 1
            if shared.corks:
                self._round = wire
                shared.corked.append(self)
            else:
                self._send_now(wire)
            return True
        # A batch larger than the bound still goes to an empty queue: refused there, it could never be sent.
        if not self._has_room(len(wire), shared.bounds.queue_soft_bytes) and self._queue is not None:
            self._refused = True
            shared.counters.pushes_refused += 1
            return False
        shared.counters.messages_out += 1
        self._put(wire)
        return True

    def send(self, payload: bytes) -> None:
        if self._state is not _State.OPEN:
            return
        self._shared.counters.messages_out += 1
        self._put_bounded(rfc6455.encode(rfc6455.BINARY, payload))

    def close(self, code: int, reason: str) -> None:
        if self._state is not _State.OPEN:
            return
        self._say_close(code, reason)
        self._state = _State.CLOSING
        self.resume_reading()
        self._wait_until(self._shared.poller.now + self._shared.bounds.close_s)

    def pause_reading(self) -> None:
        if self._state is _State.OPEN and self._mask & READ:
            self._listen_for(self._mask & ~READ)

    def resume_reading(self) -> None:
        if self._state is not _State.ENDED and not self._mask & READ:
            self._heard_at = self._shared.poller.now
            self._listen_for(self._mask | READ)

    # ── the poller's side ──

    def open(self, head: bytes) -> None:
        """Answers the handshake and begins to listen."""
        self._shared.poller.watch(self, self._mask)
        self._shared.poller.wheel.set(self, self._heard_at + self._heartbeat_s)
        self._put(head)

    def attach(self, inlet: Inlet) -> None:
        self._inlet = inlet

    def ready(self, mask: int) -> None:
        if mask & WRITE:
            self._flush(progress=True)
        if mask & READ:
            self._receive()
        elif mask & HUNG_UP:
            # The line broke while reading was paused, or with nothing left to read.
            self._over(rfc6455.ABNORMAL, "the connection broke")
            self._end()

    def expired(self) -> None:
        now = self._shared.poller.now
        if self._state is not _State.OPEN:
            if now < self._deadline:
                self._wait_until(self._deadline)
            else:
                self._over(self._close_code, self._close_reason)
                self._end()
            return
        bounds = self._shared.bounds
        if not self._mask & READ:
            # We are not listening, so silence proves nothing.
            self._shared.poller.wheel.set(self, now + self._heartbeat_s)
        elif now < self._heard_at + self._heartbeat_s:
            self._shared.poller.wheel.set(self, self._heard_at + self._heartbeat_s)
        elif self._pinged_at <= self._heard_at:
            self._pinged_at = now
            self._put_first(PING_FRAME)
            self._shared.poller.wheel.set(self, now + min(self._heartbeat_s, bounds.pong_s))
        elif now < self._pinged_at + bounds.pong_s:
            self._shared.poller.wheel.set(self, self._pinged_at + bounds.pong_s)
        else:
            self._condemn(Code.DEAD, "no sign of life")

    def flush_corked(self) -> None:
        """The round is over: what was put in it leaves, unless the kernel was full already."""
        if not self._mask & WRITE:
            self._flush(progress=False)

    def abandon(self, code: int, reason: str) -> None:
        """Ends at once, in the poller's task: the process stops."""
        self._over(code, reason)
        self._end()

    def announce_drain(self, grace_s: float) -> None:
        if self._inlet is not None and self._state is _State.OPEN:
            self._inlet.draining(grace_s)

    def feed(self, data: bytes) -> None:
        """Takes bytes that the peer sent; those behind its handshake come this way too."""
        shared = self._shared
        shared.counters.bytes_in += len(data)
        self._heard_at = shared.poller.now
        for event in self._reader.feed(data):
            if type(event) is Message:
                if self._state is _State.OPEN:
                    self._message(event)
            elif type(event) is Ping:
                self._count_control()
                if self._state is _State.OPEN:
                    self._put_bounded(rfc6455.encode(rfc6455.PONG, event.payload))
            elif type(event) is Pong:
                self._count_control()
            elif type(event) is Close:
                self._peer_closed(event)
            elif type(event) is Violation:
                self._condemn(event.code, event.reason)
        self._count_held()

    def _receive(self) -> None:
        sock = self.sock
        while True:
            try:
                data = sock.recv(RECEIVE_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except OSError:
                data = b""
            if not data:
                self._over(rfc6455.ABNORMAL, "the connection ended without a close frame")
                self._end()
                return
            if self._state is not _State.LINGERING:
                self.feed(data)
            # What OpenSSL has decrypted already, epoll cannot see.
            if self._state is _State.ENDED or not isinstance(sock, ssl.SSLSocket) or not sock.pending():
                return

    def _message(self, message: Message) -> None:
        if message.opcode == rfc6455.TEXT:
            self._condemn(rfc6455.UNSUPPORTED, "messages are binary here")
            return
        self._shared.counters.messages_in += 1
        if self._inlet is not None:
            self._inlet.received(message.payload)

    def _count_control(self) -> None:
        now = self._shared.poller.now
        if now - self._controls_from >= 1.0:
            self._controls_from = now
            self._controls = 0
        self._controls += 1
        if self._controls > self._shared.bounds.controls_per_s_max:
            self._condemn(Code.FLOOD, "too many control frames")

    def _count_held(self) -> None:
        held = self._reader.buffered_bytes
        if held == self._held_bytes:
            return
        shared = self._shared
        shared.counters.held_bytes += held - self._held_bytes
        grown, self._held_bytes = held > self._held_bytes, held
        if grown and shared.counters.held_bytes > shared.bounds.held_bytes_max:
            self._condemn(Code.OVERLOAD, "too many unfinished messages here")

    # ── the way out ──

    def _put(self, wire: bytes) -> None:
        shared = self._shared
        if self._round is not None:
            self._enqueue_round()
        queue = self._queue
        if queue is None:
            if shared.corks:
                self._round = wire
                shared.corked.append(self)
            else:
                self._send_now(wire)
            return
        queue.append(wire)
        self._queued_bytes += len(wire)
        shared.counters.queued_bytes += len(wire)

    def _enqueue_round(self) -> None:
        """Something joins what was first in the round, or must know of it: from here on it waits in the queue."""
        wire, self._round = self._round, None
        if wire is not None:
            self._queue = deque((wire,))
            self._queued_bytes = len(wire)
            self._shared.counters.queued_bytes += len(wire)

    def _put_bounded(self, wire: bytes) -> None:
        if self._has_room(len(wire), self._shared.bounds.queue_hard_bytes):
            self._put(wire)
        else:
            self._break_off(Code.SLOW, "answers were not read")

    def _has_room(self, more_bytes: int, bound_bytes: int) -> bool:
        if self.queued_bytes + more_bytes <= bound_bytes:
            return True
        if self._mask & WRITE:
            return False
        # Only the round made it queue, not the peer.
        self._flush(progress=False)
        return self._queue is None or self._queued_bytes + more_bytes <= bound_bytes

    def _put_first(self, wire: bytes) -> None:
        """Control frames may pass what is queued, but not cut into the frame whose beginning has left."""
        self._enqueue_round()
        queue = self._queue
        if queue is None:
            self._put(wire)
            return
        queue.insert(1 if self._head_sent else 0, wire)
        self._queued_bytes += len(wire)
        self._shared.counters.queued_bytes += len(wire)

    def _send_now(self, wire: bytes) -> None:
        counters = self._shared.counters
        try:
            sent = self.sock.send(wire)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            sent = 0
        except OSError:
            # The poller hears of the broken line too, and ends the socket from its own task.
            return
        counters.sends += 1
        counters.bytes_out += sent
        if sent != len(wire):
            self._keep_rest(wire, sent)

    def _keep_rest(self, wire: bytes, sent: int) -> None:
        rest = wire[sent:]
        self._queue = deque((rest,))
        self._head_sent = sent > 0 or self.peer.secure
        self._queued_bytes = len(rest)
        self._shared.counters.queued_bytes += len(rest)
        self._listen_for(self._mask | WRITE)

    def _flush(self, *, progress: bool) -> None:
        self._enqueue_round()
        queue = self._queue
        if queue is None:
            return
        counters = self._shared.counters
        while queue:
            wire = queue[0] if len(queue) == 1 else self._join(queue, RECORD_BYTES if self.peer.secure else SEND_BYTES)
            try:
                sent = self.sock.send(wire)
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                sent = 0
            except OSError:
                return
            counters.sends += 1
            counters.bytes_out += sent
            counters.queued_bytes -= sent
            self._queued_bytes -= sent
            if progress and sent:
                # Room in the kernel means that the peer took bytes: it reads, so it lives, even if its pong is far behind.
                self._heard_at = self._shared.poller.now
            self._take(queue, sent)
            if sent < len(wire):
                if self.peer.secure:
                    # OpenSSL has begun on these bytes: it must be offered the same ones again, in one piece, before any others.
                    rest = wire[sent:]
                    self._take(queue, len(rest))
                    queue.appendleft(rest)
                    self._head_sent = True
                self._listen_for(self._mask | WRITE)
                return
        self._queue = None
        if self._mask & WRITE:
            self._listen_for(self._mask & ~WRITE)
        if self._state is _State.LINGERING:
            half_close(self.sock)
        elif self._refused:
            self._refused = False
            if self._inlet is not None and self._state is _State.OPEN:
                self._inlet.drained()

    @staticmethod
    def _join(queue: deque[bytes], bytes_max: int) -> bytes:
        """The first of them, as many as fit; at least one."""
        parts: list[bytes] = []
        size = 0
        for wire in queue:
            size += len(wire)
            if parts and size > bytes_max:
                break
            parts.append(wire)
        return b"".join(parts)

    def _take(self, queue: deque[bytes], sent: int) -> None:
        while sent:
            head = queue.popleft()
            if sent < len(head):
                queue.appendleft(head[sent:])
                self._head_sent = True
                return
            sent -= len(head)
            self._head_sent = False

    # ── the end ──

    def _say_close(self, code: int, reason: str) -> None:
        self._close_code, self._close_reason = code, reason
        self._put(rfc6455.encode_close(code, reason))

    def _peer_closed(self, event: Close) -> None:
        if self._state is _State.OPEN:
            self._say_close(event.code, event.reason)
        self._over(self._close_code, self._close_reason)
        self._linger()

    def _condemn(self, code: int, reason: str) -> None:
        """Breaks off from the poller's task, where the session may be told at once."""
        self._break_off(code, reason)
        self._over(code, reason)

    def _break_off(self, code: int, reason: str) -> None:
        """Ends a conversation that makes no sense any more: unsent messages go, the close frame stays.

        The session is told when the wait is over, because it may be the one that called.
        """
        if self._state is not _State.OPEN:
            return
        if not self._mask & WRITE:
            # Only the round holds these back; the peer has earned them.
            self._flush(progress=False)
        queue = self._queue
        if queue is not None:
            kept = deque((queue[0],)) if self._head_sent else deque()
            dropped = self._queued_bytes - sum(map(len, kept))
            self._queue = kept
            self._queued_bytes -= dropped
            self._shared.counters.queued_bytes -= dropped
        self._say_close(code, reason)
        self._linger()

    def _linger(self) -> None:
        if self._state is _State.ENDED:
            return
        self._state = _State.LINGERING
        if not self._mask & READ:
            self._listen_for(self._mask | READ)
        if self._queue is None and self._round is None:
            half_close(self.sock)
        self._wait_until(self._shared.poller.now + self._shared.bounds.linger_s)

    def _over(self, code: int, reason: str) -> None:
        """The session hears the end, once: what was said first counts, so a close frame comes before the line that broke after it."""
        inlet = self._inlet
        if inlet is None:
            return
        self._inlet = None
        if self._state is not _State.OPEN:
            code, reason = self._close_code, self._close_reason
        closes = self._shared.counters.closes
        closes[code] = closes.get(code, 0) + 1
        self.sums = line_sums(self.sock)
        inlet.closed(code, reason)

    def _end(self) -> None:
        if self._state is _State.ENDED:
            return
        self._state = _State.ENDED
        counters = self._shared.counters
        counters.queued_bytes -= self._queued_bytes
        counters.held_bytes -= self._held_bytes
        self._queued_bytes = self._held_bytes = 0
        self._queue = self._round = None
        self._shared.forget(self)

    def _wait_until(self, deadline: float) -> None:
        self._deadline = deadline
        self._shared.poller.wheel.set(self, deadline)

    def _listen_for(self, mask: int) -> None:
        if mask != self._mask:
            if mask & ~self._mask & WRITE:
                self.full_since = self._shared.poller.now
            self._mask = mask
            self._shared.poller.change(self, mask)


def half_close(sock: socket.socket) -> None:
    """Says that nothing more will come, while the peer may still read what came."""
    try:
        if isinstance(sock, ssl.SSLSocket):
            sock.unwrap()
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        # Gone already, or (TLS) waiting for the peer's goodbye: the wait for the end of file is bounded either way.
        return
