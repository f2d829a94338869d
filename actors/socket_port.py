"""The socket as its session actor sees it: two ports, one in each direction, and no transport in between.

    actors ── push · send · close ──▶ Outlet ──▶ the wire
    actors ◀── received · drained · closed ── Inlet ◀── the wire

Nothing here waits. Outward there are two bounds in bytes: at the *soft* one `push` refuses, and the actor decides what to drop;
past the *hard* one the socket is closed as slow. Inward the transport tells and never listens for an answer.

Invariants: `closed` is told exactly once and nothing after it; no method of an `Outlet` calls back into its `Inlet`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from actors.tallies import LineSums


class Peer(msgspec.Struct, frozen=True, gc=False):
    """Who is at the other end: the client's own address, even behind a trusted proxy. `port` is 0 where a proxy does not tell it."""

    address: str
    port: int = 0
    secure: bool = False
    origin: str = ""
    subprotocol: str = ""


class Batch:
    """Some encoded frames that leave together as one message, shared by every socket that gets them.

    `wire` is `payload` with the transport's framing. The first socket fills it in, so a thousand members cost one header.
    """

    __slots__ = ("payload", "wire")

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.wire: bytes | None = None


class Outlet(Protocol):
    """One live socket, outward."""

    heartbeat_s: float
    """After this long without a frame from the peer it is pinged. Negotiated, so it may be set at any time."""

    @property
    def peer(self) -> Peer: ...

    @property
    def sums(self) -> LineSums | None:
        """What went over the line, once `Inlet.closed` was told; None before, and where nobody knows."""
        ...

    @property
    def queued_bytes(self) -> int:
        """Bytes that the kernel has not taken yet."""
        ...

    def push(self, batch: Batch) -> bool:
        """Fan-out: False when the soft bound was reached or the socket is closing, and then nothing was queued.

        After a False, `Inlet.drained` tells when it is worth trying again.
        """
        ...

    def send(self, payload: bytes) -> None:
        """One message to this socket alone. Passing the hard bound closes the socket as slow; after a close it does nothing."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Sends a close frame after what is queued, waits a bounded while for the peer's, then ends. Closing twice does nothing."""
        ...

    def pause_reading(self) -> None:
        """Stops reading from the peer, who then feels it. What was already read (a few tens of KiB) is still told."""
        ...

    def resume_reading(self) -> None: ...


class Inlet(Protocol):
    """One live socket, inward. Called from the transport's task: note what came and return; raising ends the transport."""

    def received(self, payload: bytes) -> None:
        """One whole binary message."""
        ...

    def drained(self) -> None:
        """The queue is empty again after a push was refused."""
        ...

    def draining(self, grace_s: float) -> None:
        """This process is going away and will close the socket after `grace_s` seconds; the session may send its client elsewhere first."""
        ...

    def closed(self, code: int, reason: str) -> None:
        """The conversation is over: by the peer's close frame, ours, a violation, or the line itself (1006)."""
        ...


Accept = Callable[[Outlet, Peer], Inlet]
"""Called for every socket that completed its handshake; its answer hears everything that follows."""
