"""One link over HTTP: what its session pushes waits for the next poll, what its peer posts comes in.

    push · send ─▶ unread: 17 │ 18 │ 19 ─▶ GET ?after=16 ─▶ 17 18 19     taken when the peer says so: ?after=19
    POST ?n=5 ──▶ 5 is next ─▶ Inlet.received                           5 once more: heard already, nothing happens

It is an `Outlet` like a socket, with the socket's bounds; the peer's acknowledgement stands where the kernel's room does. A poll that ends
is its ping and the next request its pong: whoever stays away longer than a socket may stay silent is DEAD.

Invariants: a message is kept until it is acknowledged, so an answer that was lost on the way is given again; `Inlet.closed` is told once,
never from inside a call of the session.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import IntEnum
from typing import Final

import trio
from msgspec import Struct

from actors.socket_port import Batch, Inlet, Peer
from actors.tallies import LineSums
from gateway.admission import Bucket
from gateway.rates import Limit
from protocol.codes import Code
from protocol.link_body import encode_over, encode_part

ABNORMAL: Final = 1006


class LinkBounds(Struct, frozen=True):
    """What one link, and all of them, may take."""

    links_max: int = 300
    """Each may hold two connections, one that waits and one that brings; `http.connections_max` is 1,000, and people must get in."""
    per_client_max: int = 100
    """From one address (IPv6: /64): a classroom behind a proxy that blocks sockets, and not the whole house."""
    opened: Limit = Limit(burst=120, per_s=2.0)
    """From one address: a class comes back at once after an outage, and nobody opens two a second for long."""
    message_bytes_max: int = 64 * 1024
    queue_soft_bytes: int = 64 * 1024
    queue_hard_bytes: int = 512 * 1024
    answer_bytes: int = 64 * 1024
    """One answer ends behind the message that reaches this: a cut costs no more than that."""
    heartbeat_s: float = 45.0
    pong_s: float = 20.0
    linger_s: float = 10.0
    """How long the last words wait to be asked for."""
    poll_s: float = 25.0
    """A poll that nobody had anything to say to. Proxies give up after 30 s and more."""
    alive_s: float = 15.0
    """So often an answer that goes on shows that it does."""
    asks_per_s: float = 20.0
    asks_burst: int = 100
    """Requests on one link: a client sends what waits in one message, and asks again when it was answered."""
    first_s: float = 8.0
    """How long the answer that opens a link waits for the session's first word."""


class LinkCounters:
    """What links have done since the process began."""

    __slots__ = ("bytes_in", "bytes_out", "closes", "messages_in", "messages_out", "opened", "pushes_refused", "refused")

    def __init__(self) -> None:
        self.opened = 0
        self.refused: dict[str, int] = {}
        """Never opened, by reason."""
        self.closes: dict[int, int] = {}
        """Links that ended, by close code."""
        self.messages_in = 0
        self.messages_out = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.pushes_refused = 0

    def refuse(self, reason: str) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + 1


class _State(IntEnum):
    OPEN = 0
    CLOSING = 1
    """No more comes in; what is unread, and the last word, may be fetched."""
    ENDED = 2


class Taken(IntEnum):
    """What became of a message that was posted."""

    TAKEN = 0
    AGAIN = 1
    """It had come before."""
    GAP = 2
    """One before it is missing."""
    PAUSED = 3
    """Nothing is read now; ask again."""
    OVER = 4
    """The link is over."""


class HttpLink:
    """One link; it is the `Outlet` that its session holds."""

    __slots__ = (
        "_asks",
        "_close_code",
        "_close_reason",
        "_counters",
        "_deadline",
        "_fetched_end",
        "_forget",
        "_heard_at",
        "_inlet",
        "_news",
        "_paused",
        "_refused",
        "_said",
        "_state",
        "_taken",
        "_turn",
        "_unread",
        "_unread_bytes",
        "bounds",
        "digest",
        "heartbeat_s",
        "name",
        "peer",
    )

    def __init__(
        self, name: str, digest: bytes, peer: Peer, bounds: LinkBounds, counters: LinkCounters, forget: Callable[[HttpLink], None]
    ) -> None:
        """`digest`: SHA-256 of its key; `forget` is called once, when nothing of it is wanted any more."""
        self.name = name
        self.digest = digest
        self.peer = peer
        self.bounds = bounds
        self.heartbeat_s = bounds.heartbeat_s
        self._counters = counters
        self._forget = forget
        self._asks = Bucket(bounds.asks_per_s, bounds.asks_burst, trio.current_time())
        self._inlet: Inlet | None = None
        self._state = _State.OPEN
        self._unread: deque[tuple[int, bytes]] = deque()
        self._unread_bytes = 0
        self._said = 0
        """The last number that was given to a message outward."""
        self._taken = 0
        """The last number that came inward."""
        self._refused = False
        self._paused = False
        self._heard_at = trio.current_time()
        self._deadline = 0.0
        self._turn = 0
        """Which poll is the latest: an older one that still waits gives way to it."""
        self._news = trio.Event()
        self._close_code = ABNORMAL
        self._close_reason = "the link broke"
        self._fetched_end = False

    # The session's side

    @property
    def sums(self) -> LineSums | None:
        """Nobody counts what went over the connections of a link."""
        return None

    @property
    def queued_bytes(self) -> int:
        return self._unread_bytes

    def push(self, batch: Batch) -> bool:
        if self._state is not _State.OPEN:
            return False
        size = len(batch.payload)
        # A batch larger than the bound still goes where nothing waits: refused there, it could never be sent.
        if self._unread and self._unread_bytes + size > self.bounds.queue_soft_bytes:
            self._refused = True
            self._counters.pushes_refused += 1
            return False
        self._put(batch.payload)
        return True

    def send(self, payload: bytes) -> None:
        if self._state is not _State.OPEN:
            return
        if self._unread and self._unread_bytes + len(payload) > self.bounds.queue_hard_bytes:
            self._unread.clear()
            self._unread_bytes = 0
            self.close(int(Code.SLOW), "answers were not read")
            return
        self._put(payload)

    def close(self, code: int, reason: str) -> None:
        if self._state is not _State.OPEN:
            return
        self._state = _State.CLOSING
        self._close_code, self._close_reason = code, reason
        self._deadline = trio.current_time() + self.bounds.linger_s
        self._wake()

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self._heard_at = trio.current_time()

    # The peer's side, from the tasks of its requests

    @property
    def is_open(self) -> bool:
        """Messages come and go."""
        return self._state is _State.OPEN

    @property
    def is_told(self) -> bool:
        """It is over, and the word of it was fetched."""
        return self._fetched_end

    def attach(self, inlet: Inlet) -> None:
        self._inlet = inlet

    def may_ask(self) -> bool:
        """Counts a request; False where there were too many."""
        return self._asks.take(trio.current_time())

    def take(self, number: int, payload: bytes) -> Taken:
        """Message `number` of the peer (1 is the first). A repeat of one that came is not taken twice."""
        self.heard()
        if self._state is not _State.OPEN or self._inlet is None:
            return Taken.OVER
        if number <= self._taken:
            return Taken.AGAIN
        if number > self._taken + 1:
            return Taken.GAP
        if self._paused:
            return Taken.PAUSED
        self._taken = number
        self._counters.messages_in += 1
        self._counters.bytes_in += len(payload)
        self._inlet.received(payload)
        return Taken.TAKEN

    def heard(self) -> None:
        """A request of the peer came: it lives."""
        self._heard_at = trio.current_time()

    def acknowledge(self, after: int) -> None:
        """The peer has everything up to `after`. What it never was sent cannot be acknowledged."""
        self.heard()
        while self._unread and self._unread[0][0] <= after:
            self._unread_bytes -= len(self._unread.popleft()[1])
        if not self._unread and self._refused and self._state is _State.OPEN:
            self._refused = False
            if self._inlet is not None:
                self._inlet.drained()

    def claim(self) -> int:
        """Begins to fetch: whoever fetched before gets nothing more. The turn is for `wait` and `fetch`."""
        self._turn += 1
        self._wake()
        return self._turn

    async def wait(self, turn: int, after: int, wait_s: float) -> bool:
        """Until there is something behind `after`, or the link is over, or `wait_s` has passed. False: somebody else fetches now."""
        with trio.move_on_after(wait_s):
            while turn == self._turn and self._said <= after and self._state is _State.OPEN:
                await self._news.wait()
        return turn == self._turn

    def fetch(self, after: int, bytes_max: int) -> tuple[bytes, int]:
        """What comes behind `after`, at least one message and about `bytes_max` bytes, as it is put into an answer; and the number up to
        which that goes. Behind the last message of a link that is over comes that word."""
        parts: list[bytes] = []
        size = 0
        for number, payload in self._unread:
            if number <= after:
                continue
            if parts and size + len(payload) > bytes_max:
                break
            parts.append(encode_part(number, payload))
            size += len(payload)
            after = number
        if self._state is not _State.OPEN and (not self._unread or self._unread[-1][0] <= after):
            parts.append(encode_over(self._close_code, self._close_reason))
            self._fetched_end = True
        body = b"".join(parts)
        self._counters.bytes_out += len(body)
        return body, after

    def leave(self) -> None:
        """The peer is done with it."""
        self.close(int(Code.BYE), "")
        self.end()

    # The clock's side

    def tick(self, now: float) -> None:
        """Ends what was over, or has been silent for too long. Called about once a second, from no session's call."""
        if self._state is _State.OPEN:
            if not self._paused and now > self._heard_at + self.heartbeat_s + self.bounds.pong_s:
                self.close(int(Code.DEAD), "no sign of life")
                self._over()
        elif self._state is _State.CLOSING:
            self._over()
            if self._fetched_end or now > self._deadline:
                self.end()

    def announce_drain(self, grace_s: float) -> None:
        if self._inlet is not None and self._state is _State.OPEN:
            self._inlet.draining(grace_s)

    def end(self) -> None:
        """Ends at once; nothing more can be fetched."""
        if self._state is _State.ENDED:
            return
        self._over()
        self._state = _State.ENDED
        self._unread.clear()
        self._unread_bytes = 0
        self._wake()
        self._forget(self)

    def _over(self) -> None:
        """The session hears the end, once."""
        inlet, self._inlet = self._inlet, None
        if inlet is not None:
            closes = self._counters.closes
            closes[self._close_code] = closes.get(self._close_code, 0) + 1
            inlet.closed(self._close_code, self._close_reason)

    def _put(self, payload: bytes) -> None:
        self._said += 1
        self._unread.append((self._said, payload))
        self._unread_bytes += len(payload)
        self._counters.messages_out += 1
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, trio.Event()
        news.set()
