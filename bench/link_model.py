"""What a bad radio link does with packets: pure arithmetic on times that come in as arguments.

    packet ─▶ room in the modem's queue? ─▶ sent at the link's rate ─▶ lost? ─▶ delay ─▶ arrives
              no: dropped                    one after the other       seeded    half the round trip
                                       cut: whatever is queued or under way vanishes, and all that comes until it is over

A way is one direction; both have the same conditions and a luck of their own. Rates count whole IP packets.

Invariant: packets arrive in the order in which they were sent, and never more of them in a second than the rate allows.
"""

from __future__ import annotations

from collections import deque
from random import Random

import msgspec


class Conditions(msgspec.Struct, frozen=True):
    """A link as it is to be. The defaults are the 2G of the requirements.

    `cut_every_s`: connected for so long, then gone for `cut_s`, again and again from the beginning; 0: never. `resets`: the device's own
    side hears of a cut, as phones do whose modem lost its context (the server hears nothing); otherwise packets vanish in silence.
    """

    rate_bit_s: float = 50_000
    round_trip_ms: float = 800
    loss: float = 0.02
    queue_bytes: int = 24_000
    seed: int = 1
    cut_every_s: float = 0
    cut_s: float = 2
    resets: bool = True

    def __str__(self) -> str:
        cuts = ""
        if self.cut_every_s:
            heard = "the device hears of it" if self.resets else "in silence"
            cuts = f", cut every {self.cut_every_s:g} s for {self.cut_s:g} s ({heard})"
        return (
            f"{self.rate_bit_s / 1000:g} kbit/s each way, {self.round_trip_ms:g} ms round trip, {self.loss:.0%} loss,"
            f" a queue of {self.queue_bytes / 1000:g} kB{cuts}"
        )

    def is_cut(self, since_s: float) -> bool:
        """Whether the link is gone, so long after its beginning."""
        return self.cut_every_s > 0 and since_s % (self.cut_every_s + self.cut_s) >= self.cut_every_s

    def next_turn_s(self, since_s: float) -> float:
        """How long until the link is cut or comes back; infinite without cuts."""
        if not self.cut_every_s:
            return float("inf")
        period_s = self.cut_every_s + self.cut_s
        within_s = since_s % period_s
        return (self.cut_every_s if within_s < self.cut_every_s else period_s) - within_s


class Counts(msgspec.Struct):
    """What became of the packets of one direction. Bytes are those of IP packets."""

    packets: int = 0
    bytes: int = 0
    arrived: int = 0
    arrived_bytes: int = 0
    lost: int = 0
    dropped: int = 0
    """No room in the queue."""
    vanished: int = 0
    """Sent into a cut, or under way when it began."""


class Way:
    """One direction."""

    def __init__(self, conditions: Conditions, name: str) -> None:
        self._conditions = conditions
        self._bytes_s = conditions.rate_bit_s / 8
        self._luck = Random(f"{conditions.seed} {name}")
        self._free_at = 0.0
        self._under_way: deque[tuple[float, bytes]] = deque()
        self.counts = Counts()

    def send(self, packet: bytes, now: float) -> None:
        """Takes a packet at the queue's end."""
        counts = self.counts
        counts.packets += 1
        counts.bytes += len(packet)
        waiting_bytes = max(0.0, self._free_at - now) * self._bytes_s
        if waiting_bytes + len(packet) > self._conditions.queue_bytes:
            counts.dropped += 1
            return
        self._free_at = max(self._free_at, now) + len(packet) / self._bytes_s
        if self._luck.random() < self._conditions.loss:
            counts.lost += 1  # on the air: it has taken its time on the link
            return
        self._under_way.append((self._free_at + self._conditions.round_trip_ms / 2000, packet))

    def vanish(self, packet: bytes) -> None:
        """A packet sent into a cut."""
        self.counts.packets += 1
        self.counts.bytes += len(packet)
        self.counts.vanished += 1

    def cut(self) -> None:
        """Everything queued or under way is gone."""
        self.counts.vanished += len(self._under_way)
        self._under_way.clear()
        self._free_at = 0.0

    def arrived(self, now: float) -> list[bytes]:
        """What has arrived by now, in order."""
        packets = []
        while self._under_way and self._under_way[0][0] <= now:
            packets.append(self._under_way.popleft()[1])
        self.counts.arrived += len(packets)
        self.counts.arrived_bytes += sum(map(len, packets))
        return packets

    @property
    def next_at(self) -> float:
        """When the next packet arrives; infinite if none is under way."""
        return self._under_way[0][0] if self._under_way else float("inf")
