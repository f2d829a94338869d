"""Following one command through actors, bridge and gateways: what is carried, and who is told. Off unless somebody asks.

    session ─ sample ─▶ Trace ─ in Submit, Entry, Fact, Heard ─▶ record(name, parent) where something was done for it
                                    │
                  between gateways ─┴─ 40 bytes announced beside the frame, never in it

A context variable does not cross an inbox, so what is traced is carried by the messages themselves, and only a sampled command carries
anything: for all others each place costs one look at `None`.

Invariant: nothing is decided by a trace, and none holds a text, a name or a token.
"""

from __future__ import annotations

import struct
from contextvars import ContextVar
from typing import Final, Protocol

from msgspec import Struct

TRACE_TOPIC: Final = "trace"
_PAYLOAD: Final = struct.Struct("!QQ16sQ")


class Trace(Struct, frozen=True, gc=False):
    """The span that comes next is a part of this one. `trace_id`: 128 bits, `span_id`: 64 bits."""

    trace_id: int
    span_id: int
    began_ns: int
    """When the span began, in Unix nanoseconds."""


class Tracer(Protocol):
    """Who is told what was done. Called by tasks of the trio thread; never waits and never raises."""

    def sample(self) -> Trace | None:
        """Shall this command be followed? Its root, begun now, or None."""
        ...

    def begin(self, parent: Trace | None) -> Trace:
        """A span begun now, a part of `parent`; None: the root of a trace of its own."""
        ...

    def end(
        self, name: str, span: Trace, parent: Trace | None = None, *, links: tuple[Trace, ...] = (), **facts: int | float | str
    ) -> None:
        """The span ends now. `links`: others that it was done for, or with."""
        ...

    def ended(self, name: str, parent: Trace, began_ago_s: float, **facts: int | float | str) -> None:
        """A span without parts: it began so long ago and ends now."""
        ...


BATCH: ContextVar[Trace | None] = ContextVar("batch", default=None)
"""What a unit of work is done for, for the bridge, which copies its caller's context for each call."""


def pack_trace(stream: int, seq: int, trace: Trace) -> bytes:
    """What is announced of an event that other gateways are about to hear."""
    return _PAYLOAD.pack(stream, seq, trace.trace_id.to_bytes(16, "big"), trace.span_id)


def unpack_trace(payload: bytes) -> tuple[int, int, Trace] | None:
    """Stream, number and trace; None if it is no such announcement. Its beginning is not told: clocks differ."""
    if len(payload) != _PAYLOAD.size:
        return None
    stream, seq, trace_id, span_id = _PAYLOAD.unpack(payload)
    return stream, seq, Trace(int.from_bytes(trace_id, "big"), span_id, 0)
