"""What the actors of a gateway count for whoever watches it, beside what their pools count.

    channel ── flushes, gaps, lags ──┐
    session ── who is here, ends ────┴─▶ Tallies (one a gateway) ─▶ metrics, the live view, one line in the log

Plain numbers that are read when somebody asks; nothing here decides anything.

Invariant: nobody counts a stream, a user or a device by name here, so what is kept has a bound.
"""

from __future__ import annotations

from msgspec import Struct

from actors.histogram import ITEMS, SECONDS, Histogram
from protocol.values import LinkQuality


class LineSums(Struct, frozen=True):
    """What the kernel says of a line at its end, both ways, TLS and framing included."""

    bytes_in: int
    bytes_out: int
    """Acknowledged by the peer."""
    resent: int
    """Segments sent again."""
    rtt_s: float


class Farewell(Struct, frozen=True):
    """A session that is over, in sums: one line in the log."""

    session_key: int
    user: int
    """0: it never said who it is."""
    device: int
    code: int
    """With which the socket closed."""
    seconds: float
    frames_in: int
    lags: int
    """How often it was dropped from a stream because it did not read."""
    quality: LinkQuality
    schema: int
    line: LineSums | None
    """None where the line was no TCP connection."""


class Tallies:
    """See the module."""

    __slots__ = (
        "audience_held",
        "behind_s",
        "deliveries",
        "events",
        "flush_events",
        "flush_wait_s",
        "gaps",
        "lagged",
        "page_events",
        "repairs",
        "sessions",
        "tails_lost",
        "whispers",
        "whispers_over",
    )

    def __init__(self) -> None:
        self.events = 0
        """Durable events that left in flushes, each counted once however many followed."""
        self.deliveries = 0
        """Messages of flushed events, one for each follower that took it."""
        self.flush_events = Histogram(ITEMS)
        """Events in one flush: what coalescing does."""
        self.flush_wait_s = Histogram(SECONDS)
        """From the news of an event to the flush that carries it."""
        self.page_events = 0
        """Events sent in pages of catch-up."""
        self.whispers = 0
        """Ephemeral frames taken for a flush."""
        self.whispers_over = 0
        """Dropped because too many waited already."""
        self.lagged = 0
        """Followers dropped because they did not read."""
        self.audience_held = 0
        """Followers dropped because it took too long to learn who may read."""
        self.gaps = 0
        """Events that came before one that should have been earlier."""
        self.repairs = 0
        """Gaps that the link did not close in time, so that they were read from Postgres."""
        self.tails_lost = 0
        """Ends of streams that nothing was heard of until heads were compared."""
        self.behind_s = Histogram(SECONDS)
        """How long streams were behind, told when they no longer are."""
        self.sessions: dict[tuple[int, LinkQuality], int] = {}
        """Welcomed sessions now, by schema and link quality."""

    def welcomed(self, schema: int, quality: LinkQuality) -> None:
        kind = (schema, quality)
        self.sessions[kind] = self.sessions.get(kind, 0) + 1

    def left(self, schema: int, quality: LinkQuality) -> None:
        kind = (schema, quality)
        self.sessions[kind] = self.sessions.get(kind, 0) - 1


def ignore(farewell: Farewell) -> None:
    """Where nobody wants to hear of ends."""
