"""The link between gateways: Redis pub/sub, one channel a stream, over a connection of its own.

    publish ──▶ header + frame ──▶ the command connection ──▶ PUBLISH stream:v1:42
    subscribe ─▶ wanted (a set) ─▶ the pub/sub connection ──▶ SUBSCRIBE … ─▶ linked(42)
                                        │
                      a batch a wake-up └─▶ heard(42, origin, seq, audience_version, frame)

Redis forgets whatever a subscriber did not take, and a subscription can go deaf without a sign: a proxy that swallows, a
server that forgot. So this gateway speaks to itself once a second on a channel of its own. If that is not heard for three
seconds although the command connection delivers it, the subscription is replaced.

Invariant: what is subscribed on the connection converges to `wanted`, and every (re)subscription is told by `linked` once it
holds; between two `linked` of a stream there is no loss that its sequence numbers, or `down` and `up`, do not show.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from itertools import islice

import msgspec
import trio

from actors.link_port import LinkListener
from gateway.redis_connection import (
    NOT_YET,
    Connection,
    ConnectionLost,
    RedisError,
    RedisRefused,
    Reply,
    Way,
    keep_connected,
    pack,
)
from gateway.resp import Commands

HEADER = struct.Struct("<IQI")
"""Origin (the gateway's number), seq, audience version: 16 bytes before the frame."""
ORIGIN = struct.Struct("<I")
CHANNELS_A_COMMAND_MAX = 1000
"""One SUBSCRIBE of 1,000 channels is ~25 kB; a gateway that comes back with 10,000 streams sends ten of them."""
PING = pack(("PING",))


class LinkOptions(msgspec.Struct, frozen=True):
    """How a link behaves."""

    sharded: bool = False
    """SSUBSCRIBE and SPUBLISH: for a cluster, where plain pub/sub goes to every node."""
    publish_bytes_max: int = 4 * 1024 * 1024
    """Unsent bytes beyond which frames are dropped: half of what the command connection takes, so calls still fit."""
    batch_max: int = 256
    """Messages told in one go before other tasks get their turn: below 1 ms at 2–3 µs a message."""
    heartbeat_s: float = 1.0
    deaf_beats: int = 3
    """Heartbeats that must be missed before the subscription is replaced. Counted rather than timed, so that a process which was
    itself stopped for a while does not blame the connection."""


class LinkCounts(msgspec.Struct):
    """What happened since the start; read by the metrics."""

    published: int = 0
    dropped: int = 0
    dropped_bytes: int = 0
    heard: int = 0
    echoes: int = 0
    """Own publications that came back, and were told to nobody."""
    stray: int = 0
    """For a channel no longer wanted, or not of a shape that this version knows."""
    connects: int = 0
    losses: int = 0
    deaf: int = 0
    """Connections replaced because they answered but delivered no heartbeat (part of `losses`)."""
    refused: int = 0
    """Connections replaced because Redis refused a subscription (part of `losses`)."""
    silent: int = 0
    """Connections replaced because nothing at all came for `deaf_beats` (part of `losses`)."""


class RedisLink:
    """`actors.link_port.Link` over Redis. Run `serve` under a supervisor; the rest never waits and may be called before it runs."""

    def __init__(
        self,
        commands: Commands,
        way: Way,
        listener: LinkListener,
        *,
        origin: int,
        topics: Iterable[str],
        random: Callable[[], float],
        options: LinkOptions | None = None,
        before_batch: Callable[[], None] = lambda: None,
        after_batch: Callable[[], None] = lambda: None,
    ) -> None:
        """`origin` is this gateway's number (32 bits, another one in every process); `topics` are the announcements it listens to.
        `before_batch` and `after_batch` enclose what the listener is told in one go."""
        self.counts = LinkCounts()
        self.options = options or LinkOptions()
        self._commands = commands
        self._way = way
        self._listener = listener
        self._origin = ORIGIN.pack(origin)
        self._origin_number = origin
        self._random = random
        self._before_batch, self._after_batch = before_batch, after_batch
        prefix = "S" if self.options.sharded else ""
        self._publish, self._subscribe, self._unsubscribe = prefix + "PUBLISH", prefix + "SUBSCRIBE", prefix + "UNSUBSCRIBE"
        self._message = (prefix + "message").lower().encode()
        # A cluster refuses one command for channels of different slots.
        self._channels_a_command = 1 if self.options.sharded else CHANNELS_A_COMMAND_MAX
        self._topics = {b"announce:v1:" + topic.encode(): topic for topic in topics}
        self._heart = b"heart:v1:%d" % origin
        self._wanted: dict[bytes, int] = {}
        # What the connection has not been told: True to subscribe, False to unsubscribe, one entry a channel. Empty without a
        # connection, and a connection that takes nothing is given up after `deaf_beats`.
        self._changes: dict[bytes, bool] = {}
        self._connected = False
        self._ping_due = False
        self._writer = trio.lowlevel.ParkingLot()
        self._up = False
        self._changed = trio.Event()
        self._beat = 0
        self._beat_heard = 0
        self._beaten = trio.Event()
        self._unheard = 0
        self._unanswered = 0

    @property
    def up(self) -> bool:
        """Whether the subscription holds now."""
        return self._up

    async def wait_up(self) -> None:
        """Waits until the subscription holds."""
        while not self._up:
            await self._changed.wait()

    async def wait_beat(self) -> None:
        """Waits until this link has heard itself once more."""
        await self._beaten.wait()

    def publish(self, stream: int, seq: int, audience_version: int, frame: bytes) -> None:
        payload = HEADER.pack(self._origin_number, seq, audience_version) + frame
        self._post(pack((self._publish, b"stream:v1:%d" % stream, payload)))

    def announce(self, topic: str, payload: bytes) -> None:
        self._post(pack(("PUBLISH", b"announce:v1:" + topic.encode(), self._origin + payload)))

    def subscribe(self, stream: int) -> None:
        channel = b"stream:v1:%d" % stream
        if channel not in self._wanted:
            self._wanted[channel] = stream
            self._change(channel, True)

    def unsubscribe(self, stream: int) -> None:
        channel = b"stream:v1:%d" % stream
        if self._wanted.pop(channel, None) is not None:
            self._change(channel, False)

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keeps the subscription, for ever. Starts without Redis, and never raises for want of it."""
        task_status.started()
        await keep_connected(self._way, self._random, self._serve_connection)

    async def _serve_connection(self, connection: Connection) -> None:
        """Returns when the connection is lost, silent or deaf."""
        self.counts.connects += 1
        self._unheard = self._unanswered = 0
        self._connected = True
        self._changes = dict.fromkeys(self._wanted, True)
        try:
            await connection.share(self._read, self._write, self._listen_to_itself)
        finally:
            self.counts.losses += 1
            self._connected = False
            self._changes = {}
            if self._up:
                self._set_up(False)

    async def _read(self, connection: Connection) -> None:
        """Tells the listener what is heard, a batch at a time."""
        while True:
            await connection.feed()
            self._unanswered = 0
            while self._tell_batch(connection.gets):
                await trio.lowlevel.checkpoint()

    def _tell_batch(self, gets: Callable[[], Reply]) -> bool:
        """Tells what was fed; true if more may be left for the next batch. Raises ConnectionLost where Redis refused."""
        message, wanted, own = self._message, self._wanted, self._origin
        counts, heard = self.counts, self._listener.heard
        unpack, header_bytes = HEADER.unpack_from, HEADER.size
        self._before_batch()
        try:
            for _ in range(self.options.batch_max):
                reply = gets()
                if reply is NOT_YET:
                    return False
                if type(reply) is not list:
                    if isinstance(reply, RedisRefused):  # may not subscribe, or the wrong node of a cluster
                        counts.refused += 1
                        raise ConnectionLost(str(reply))
                elif reply[0] == message and (stream := wanted.get(reply[1])) is not None:
                    payload = reply[2]
                    if payload.startswith(own):
                        counts.echoes += 1
                    elif len(payload) < header_bytes:
                        counts.stray += 1
                    else:
                        counts.heard += 1
                        origin, seq, audience_version = unpack(payload)
                        heard(stream, origin, seq, audience_version, payload[header_bytes:])
                else:
                    self._read_aside(reply)
            return True
        finally:
            self._after_batch()

    def _read_aside(self, reply: list[Reply]) -> None:
        """Everything but a stream's frames: confirmations, heartbeats, announcements."""
        kind, channel = reply[0], reply[1]
        if kind.endswith(b"message"):
            payload = reply[2]
            if channel == self._heart and payload.isdigit():
                self._beat_heard = int(payload)
                self._unheard = 0
                self._beaten.set()
                self._beaten = trio.Event()
            elif (topic := self._topics.get(channel)) is None or len(payload) < ORIGIN.size:
                self.counts.stray += 1
            elif payload.startswith(self._origin):
                self.counts.echoes += 1
            else:
                self._listener.announced(topic, payload[ORIGIN.size :])
        elif kind.endswith(b"unsubscribe"):
            if channel in self._wanted:  # taken away by the server (a slot that moved), or wanted again meanwhile
                self._change(channel, True)
        elif kind == b"pong":
            pass
        elif channel == self._heart:
            self._set_up(True)  # the last of what `_write` opens with
        elif (stream := self._wanted.get(channel)) is not None:
            self._listener.linked(stream)

    async def _write(self, connection: Connection) -> None:
        topics = pack(("SUBSCRIBE", *self._topics)) if self._topics else b""
        await connection.write(topics + pack((self._subscribe, self._heart)))
        while True:
            if not self._changes and not self._ping_due:
                await self._writer.park()
            await connection.write(self._take_changes())

    def _take_changes(self) -> bytes:
        """The next at most CHANNELS_A_COMMAND_MAX changes, as commands; with a PING if one is due."""
        taken = list(islice(self._changes.items(), CHANNELS_A_COMMAND_MAX))
        out = [PING] if self._ping_due else []
        self._ping_due = False
        for channel, _ in taken:
            del self._changes[channel]
        for command, on in ((self._subscribe, True), (self._unsubscribe, False)):
            channels = [channel for channel, to in taken if to is on]
            for start in range(0, len(channels), self._channels_a_command):
                out.append(pack((command, *channels[start : start + self._channels_a_command])))
        return b"".join(out)

    async def _listen_to_itself(self, _: Connection) -> None:
        """Returns when the connection is silent (not even a PING is answered) or deaf (beats that Redis took are not heard)."""
        options = self.options
        while True:
            await trio.sleep(options.heartbeat_s)
            if self._unanswered >= options.deaf_beats:
                self.counts.silent += 1
                return
            if self._unheard >= options.deaf_beats:
                self.counts.deaf += 1
                return
            self._unanswered += 1
            self._ping_due = True
            self._writer.unpark()
            if not self._up:
                continue
            self._beat += 1
            try:
                await self._commands.call(self._publish, self._heart, self._beat)
            except RedisError:
                continue  # without the command connection nothing can be concluded
            if self._beat_heard < self._beat:
                self._unheard += 1

    def _post(self, packed: bytes) -> None:
        if self._commands.unsent_bytes + len(packed) <= self.options.publish_bytes_max:
            try:
                self._commands.post(packed)
            except RedisError:
                pass
            else:
                self.counts.published += 1
                return
        self.counts.dropped += 1
        self.counts.dropped_bytes += len(packed)

    def _change(self, channel: bytes, on: bool) -> None:
        if self._connected:
            self._changes[channel] = on
            self._writer.unpark()

    def _set_up(self, up: bool) -> None:
        self._up = up
        self._changed.set()
        self._changed = trio.Event()
        (self._listener.up if up else self._listener.down)()
