"""A simulated socket: whole messages in order, each direction with its own delay, until it is cut.

A cut loses what is under way in both directions; each side learns of it in its own time. A line that stalls moves nothing for a while:
the server's heartbeat may find it dead, and the client hear of that when the line is well again. A client that stops reading fills the
server's queue, as a phone in a tunnel does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from actors.socket_port import Batch, Inlet, Peer
from proofs.simulation.faults import Faults
from proofs.simulation.telling import describe_message, is_draining, is_last_word
from proofs.simulation.world import World
from protocol.codes import Code

SOFT_BYTES = 2_000
HARD_BYTES = 20_000
NOTICE_MAX_S = 5.0
"""Within this a side learns that its line is cut: the heartbeat, in a live system."""
SILENCE_S = 12.0
"""After this without a sign of life the server gives a socket up, where it does: two short heartbeats."""


class SimulatedSocket:
    """The server's `Outlet`, and the client's end of the same line. `server` and `client` are the columns of its ends in the story."""

    def __init__(
        self,
        world: World,
        faults: Faults,
        pump: Callable[[], None],
        hear: Callable[[bytes], None],
        ended: Callable[[int], None],
        server: str = "",
        client: str = "",
    ) -> None:
        self._world = world
        self._faults = faults
        self._pump = pump
        self._hear = hear
        self._ended = ended
        self._server = server
        self._client = client
        self.inlet: Inlet | None = None
        self.heartbeat_s = 45.0
        self.queued_bytes = 0
        self.sums = None
        self._refused = False
        self._to_client: deque[tuple[float, bytes]] = deque()
        self._client_busy = False
        self._server_clear_at = 0.0
        self._stalled_until = 0.0
        self._cut = False
        self._server_told = False
        self._client_told = False
        self._closing = False

    # The server's side

    @property
    def peer(self) -> Peer:
        return Peer("127.0.0.1")

    @property
    def is_over(self) -> bool:
        """The server knows that there is nobody any more."""
        return self._server_told

    @property
    def is_closing(self) -> bool:
        """Nothing more is sent from the server's end, or nothing arrives."""
        return self._closing or self._cut

    def push(self, batch: Batch) -> bool:
        if self._closing or self.queued_bytes + len(batch.payload) > SOFT_BYTES:
            self._refused = True
            return False
        self._enqueue(batch.payload)
        return True

    def send(self, payload: bytes) -> None:
        if self._closing:
            return
        if self.queued_bytes + len(payload) > HARD_BYTES:
            self._world.tell(self._client, "has not read for too long", fault=True)
            self.close(Code.SLOW, "SLOW")
            return
        self._enqueue(payload)

    def close(self, code: int, reason: str) -> None:
        if self._closing:
            return
        self._closing = True
        delay_s = self._world.between(0.0, self._faults.socket_delay_s)
        self._world.after(delay_s, lambda: self._end(code))

    def pause_reading(self) -> None:
        """Not simulated: a simulated client sends no more than its window."""

    def resume_reading(self) -> None:
        """See `pause_reading`."""

    def _enqueue(self, payload: bytes) -> None:
        self.queued_bytes += len(payload)
        self._to_client.append((self._world.now, payload))
        if not self._client_busy:
            self._client_busy = True
            self._world.after(self._client_delay_s(), self._deliver)

    def _deliver(self) -> None:
        """One message reaches the client; the next one sets out."""
        if self._cut or not self._to_client:
            self._client_busy = False
            return
        if self._world.now < self._stalled_until:
            self._world.after(self._stalled_until - self._world.now, self._deliver)
            return
        sent_at, payload = self._to_client.popleft()
        self.queued_bytes -= len(payload)
        if self._to_client:
            self._world.after(self._client_delay_s(), self._deliver)
        else:
            self._client_busy = False
            if self._refused and self.inlet is not None and not self._server_told:
                self._refused = False
                self.inlet.drained()
                self._pump()
        if not self._client_told:
            if is_last_word(payload) and self._world.happens(self._faults.last_word_lost):
                self._draw_down(payload, sent_at, lost=True)
                return
            self._draw_down(payload, sent_at)
            self._hear(payload)
            if is_draining(payload) and self._world.happens(self._faults.says_twice):
                self._world.after(self._world.between(0.0, 3.0), lambda: self._say_again(payload))

    def _say_again(self, payload: bytes) -> None:
        """As a server of a later version may, whose delay has changed."""
        if not self._cut and not self._client_told:
            self._draw_down(payload, self._world.now)
            self._hear(payload)

    def _client_delay_s(self) -> float:
        delay_s = self._world.between(0.0, self._faults.socket_delay_s / 4)
        if self._world.happens(self._faults.slow_reader):
            self._world.tell(self._client, "stops reading for a while", fault=True)
            delay_s += self._world.between(0.0, 20.0)
        return delay_s

    # The client's side

    def send_to_server(self, payload: bytes) -> None:
        world = self._world
        least = max(self._server_clear_at, self._stalled_until)
        at = max(least, world.now + world.between(0.0, self._faults.socket_delay_s))
        self._server_clear_at = at
        sent_at = world.now

        def arrive() -> None:
            if world.now < self._stalled_until:
                world.after(self._stalled_until - world.now, arrive)
                return
            if not self._cut and not self._server_told and self.inlet is not None:
                self._draw_up(payload, sent_at)
                self.inlet.received(payload)
                self._pump()
            else:
                self._draw_up(payload, sent_at, lost=True)

        world.after(at - world.now, arrive)

    # The line

    def stall(self, seconds: float) -> None:
        """Nothing moves for a while. What is longer than a heartbeat's patience ends the socket at the server's end."""
        if self._cut:
            return
        world = self._world
        self._stalled_until = world.now + seconds
        world.tell(self._client, f"its line stalls for {seconds:.1f} s", fault=True)
        if seconds > SILENCE_S:
            world.after(SILENCE_S, self._give_up)

    def _give_up(self) -> None:
        if not self._cut and not self._server_told and not self._closing:
            self._world.tell(self._server, f"finds {self._client} dead")
            self._closing = True
            self._tell_server(Code.DEAD)
            self._world.after(max(0.0, self._stalled_until - self._world.now), lambda: self._end(Code.DEAD))

    def cut(self) -> None:
        """The network is gone; nothing that is under way arrives."""
        if self._cut:
            return
        self._cut = True
        self._lose_under_way()
        self._world.after(self._world.between(0.0, NOTICE_MAX_S), lambda: self._tell_server(1006))
        self._world.after(self._world.between(0.0, NOTICE_MAX_S), lambda: self._tell_client(1006))

    def gateway_died(self) -> None:
        """The process at the server's end was killed: its kernel resets the line."""
        self._cut = True
        self._server_told = True
        self._lose_under_way()
        self._world.after(self._world.between(0.0, NOTICE_MAX_S), lambda: self._tell_client(1006))

    def _lose_under_way(self) -> None:
        for sent_at, payload in self._to_client:
            self._draw_down(payload, sent_at, lost=True)

    def _end(self, code: int) -> None:
        """The server's close: what was queued before it still arrives, if the line is up."""
        if not self._cut and (self._to_client or self._world.now < self._stalled_until):
            self._world.after(max(0.05, self._stalled_until - self._world.now), lambda: self._end(code))
            return
        self._tell_client(1006 if self._cut else code)
        self._tell_server(code)
        self._cut = True

    def _tell_server(self, code: int) -> None:
        if not self._server_told and self.inlet is not None:
            self._server_told = True
            self._closing = True
            self.inlet.closed(code, "")
            self._pump()

    def _tell_client(self, code: int) -> None:
        if not self._client_told:
            self._client_told = True
            self._ended(code)

    # The story

    def _draw_up(self, payload: bytes, sent_at: float, *, lost: bool = False) -> None:
        if self._world.story is not None:
            what, streams = describe_message(payload, up=True)
            self._world.tell_sent(self._client, self._server, what, streams=streams, sent_s=sent_at, lost=lost)

    def _draw_down(self, payload: bytes, sent_at: float, *, lost: bool = False) -> None:
        if self._world.story is not None:
            what, streams = describe_message(payload, up=False)
            self._world.tell_sent(self._server, self._client, what, streams=streams, sent_s=sent_at, lost=lost)
