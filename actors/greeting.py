"""The one answer to a `Resume`: that the session goes on, and which of its cursors are live, said once and before anything else.

    channel ── met(stream) ──▶ ┌──────────┐   all of them met, or somebody has to say something ──▶ Resumed(…, rest: those not met)
    channel ── say() ────────▶ │ Greeting │
    session ── say() ────────▶ └──────────┘   after a moment at the latest; drop() where it ends before that

What was missed by nobody needs no answer of its own: five cursors cost one message, and a byte. Shared by a session and its channels
like their outlet, and called by them in turn, never at once: a frame for the session's client is sent after `say`.

Channels keep it until they have something to send, which may be never. So it lets go of session and socket as soon as it is said.

Invariant: it is said at most once, and exactly once to a session that lives; a stream is either met before that, or answered by its
channel after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from actors.socket_port import Outlet
from protocol.codec import encode
from protocol.frames import Frame


class Greeting:
    """See the module. `make` is given the places, from 0, of the streams that were not met."""

    __slots__ = ("_outlet", "_places", "_unsaid")

    def __init__(self, outlet: Outlet, streams: Iterable[int], make: Callable[[tuple[int, ...]], Frame]) -> None:
        self._outlet: Outlet | None = outlet
        self._places = {stream: place for place, stream in enumerate(streams)}
        self._unsaid: Callable[[tuple[int, ...]], Frame] | None = make

    @property
    def said(self) -> bool:
        """Or it never will be."""
        return self._unsaid is None

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
        make, outlet, rest = self._unsaid, self._outlet, tuple(self._places.values())
        self.drop()
        if make is not None and outlet is not None:
            outlet.send(encode(make(rest)))

    def drop(self) -> None:
        """There is nobody left to hear it."""
        self._unsaid = self._outlet = None
        self._places = {}
