"""How many may come in, how fast, and how many of them from one place: counting without a clock of its own.

A reconnect storm is the normal day of a system like this: a gateway restarts and its 20,000 devices come back at once. Whoever exceeds
the rate waits in a short queue, and whoever would wait too long is told to come back later, each at another moment.
"""

from __future__ import annotations

import msgspec

from gateway.client_address import network_key


class Gates(msgspec.Struct, frozen=True):
    """The bounds at the door."""

    head_bytes_max: int = 16 * 1024
    head_s: float = 10.0
    """From accepting to a complete request head, TLS and PROXY header included."""
    half_open_max: int = 2048
    """Sockets without a complete head. At the bound the oldest one goes: an honest client needs its place for one round trip only."""
    half_open_per_client_max: int = 128
    sockets_max: int = 19_000
    """Open WebSockets; below the common limit of 20,000 descriptors."""
    per_client_max: int = 2000
    """Connections from one address (IPv6: /64). Generous, because a whole school may share one behind a carrier's NAT."""
    handshakes_per_s: float = 500.0
    handshakes_burst: int = 1000
    waiting_max: int = 4000
    waiting_s: float = 8.0
    retry_after_s: int = 5
    """The least that a client is told to wait; the most is three times as long."""


class Bucket:
    """A token bucket: `rate_per_s` on average, `burst` at once. Starts full."""

    __slots__ = ("_burst", "_rate_per_s", "_then", "_tokens")

    def __init__(self, rate_per_s: float, burst: int, now: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = float(burst)
        self._tokens = self._burst
        self._then = now

    def take(self, now: float) -> bool:
        """Takes one token, if there is one at `now` (monotonic seconds)."""
        self._tokens = min(self._burst, self._tokens + (now - self._then) * self._rate_per_s)
        self._then = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class Census:
    """Who is here, by address, and never more than `per_client_max` of one."""

    __slots__ = ("_counts", "_per_client_max")

    def __init__(self, per_client_max: int) -> None:
        self._per_client_max = per_client_max
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def enter(self, address: str) -> bool:
        """Counts one more of `address`; False, and nothing counted, at the bound."""
        key = network_key(address)
        count = self._counts.get(key, 0)
        if count >= self._per_client_max:
            return False
        self._counts[key] = count + 1
        return True

    def leave(self, address: str) -> None:
        """Takes back one `enter` that was answered True."""
        key = network_key(address)
        count = self._counts.pop(key)
        if count > 1:
            self._counts[key] = count - 1
