"""The one answer to a `Resume`: that the session goes on, and which of its cursors are live, said once and before anything else.

    channel ── met(stream) ──▶ ┌──────────┐   all of them met, or somebody has to say something ──▶ Resumed(…, rest: those not met)
    channel ── say() ────────▶ │ Greeting │
    session ── say() ────────▶ └──────────┘   after a moment at the latest

What was missed by nobody needs no answer of its own: five cursors cost one message, and a byte. Shared by a session and its channels
like their outlet, and called by them in turn, never at once: a frame for the session's client is sent after `say`.

Invariant: it is said exactly once; a stream is either met before that, or answered by its channel after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from actors.socket_port import Outlet
from protocol.codec import encode
from protocol.frames import Frame


class Greeting:
    """See the module. `make` is given the places, from 0, of the streams that were not met."""

    __slots__ = ("_make", "_outlet", "_places", "said")

    def __init__(self, outlet: Outlet, streams: Iterable[int], make: Callable[[tuple[int, ...]], Frame]) -> None:
        self._outlet = outlet
        self._places = {stream: place for place, stream in enumerate(streams)}
        self._make = make
        self.said = False

    def met(self, stream: int) -> bool:
        """The stream is live from its cursor on, and nothing of it was missed. False: too late, its channel says so itself."""
        if self.said:
            return False
        self._places.pop(stream, None)
        if not self._places:
            self.say()
        return True

    def say(self) -> None:
        """Now, unless it was said already."""
        if not self.said:
            self.said = True
            self._outlet.send(encode(self._make(tuple(self._places.values()))))
