"""What one device knows: what it said and what became of that, and its copy of every stream. Pure.

    Post   said at a time ─▶ acknowledged at a time, as number `seq`
    Copy   one digest an event, in the order in which they came, and when, over which gateway, since when that socket was open

Times are of the machine's monotonic clock, which all processes share. A digest is of who said what when: two copies are the same exactly
if their digests are.

Invariant: a copy only grows, by one event at a time, and never forgets in what order they came.
"""

from __future__ import annotations

import time
from array import array
from collections import deque
from hashlib import blake2b

from msgspec import Struct

from protocol.codec import decode_body, encode
from protocol.events import AnyBody

DIARY_MAX = 24


class Post(Struct):
    """Something said. `seq` is 0 and `refusal` empty while there is no outcome."""

    number: int
    device: int
    user: int
    stream: int
    text: str
    sent_at: float
    gateway: int
    acknowledged_at: float = 0.0
    seq: int = 0
    refusal: str = ""


class Arrival(Struct, frozen=True, array_like=True):
    """How one event came: when, over which gateway's socket, and since when that socket was open."""

    seq: int
    at: float
    gateway: int
    open_since: float


class Diary:
    """What happened to a device lately, for the story of a violation. Times are the machine's."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines: deque[tuple[float, str]] = deque(maxlen=DIARY_MAX)

    def note(self, what: str) -> None:
        self._lines.append((time.monotonic(), what))

    def since(self, at: float) -> list[str]:
        """The lines, with their seconds after `at`."""
        return [f"{when - at:+.1f} s {what}" for when, what in self._lines]


class Copy:
    """One device's copy of one stream. `arrivals` are those since they were last taken."""

    __slots__ = ("arrivals", "digests")

    def __init__(self) -> None:
        self.digests = array("Q")
        self.arrivals: list[Arrival] = []

    def add(self, seq: int, digest_of_it: int, at: float, gateway: int, open_since: float) -> None:
        self.digests.append(digest_of_it)
        self.arrivals.append(Arrival(seq, at, gateway, open_since))

    def take(self) -> list[Arrival]:
        arrivals, self.arrivals = self.arrivals, []
        return arrivals


def digest(author: int, at: int, body: AnyBody) -> int:
    """Who said what when, in 64 bits."""
    return int.from_bytes(blake2b(b"%d %d " % (author, at) + encode(body), digest_size=8).digest(), "little")


def digest_raw(author: int, at: int, body: bytes) -> int:
    """The same, from the log's bytes: read and written anew, as a client does."""
    decoded = decode_body(body)
    return digest(author, at, decoded)  # type: ignore[arg-type]  # nothing unknown is ever written by these servers
