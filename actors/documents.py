"""What jobs and channels know of documents: what is ordered, and who is where in one.

    a a' b ─▶ Awareness ─ at most every 0.1 s ─▶ a', b to the link and to good links       the last of each person; the others say nothing
                              ╰─ every second ─▶ to fair ones; poorer ones get none

Invariant: one word a person is kept, of at most `PEOPLE_MAX`; what is said is never stored.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

PEOPLE_MAX: Final = 64
"""Whose whereabouts are passed on at once: more cursors than that are a picture of nothing."""


class Compact(Struct, frozen=True, array_like=True):
    """Payload of the job `document.compact`: makes the document's state anew, or brings a version's (`version`) to where it was named.
    The database writes the first kind by itself (`compact_order`)."""

    stream: int
    version: int = 0


class Awareness:
    """What was said since it was last passed on, and when it may be passed on again. Times are the actor's, in seconds."""

    __slots__ = ("_later", "_mine", "_soon", "later_at", "soon_at")

    def __init__(self) -> None:
        self._soon: dict[int, bytes] = {}
        self._mine: set[int] = set()
        self._later: dict[int, bytes] = {}
        self.soon_at: float | None = None
        """When what waits is passed on; None: nothing waits, so that the next word goes at once."""
        self.later_at: float | None = None

    def say(self, user: int, frame: bytes, *, mine: bool) -> None:
        """Keeps the last of them, where there are not too many people. `mine`: it was said here, and other gateways are to hear of it."""
        if user in self._soon or len(self._soon) < PEOPLE_MAX:
            self._soon[user] = frame
            if mine:
                self._mine.add(user)

    def take(self, *, keeps: bool) -> tuple[list[bytes], list[bytes]]:
        """What is passed on now: all of it, and what the link is to hear. `keeps`: it is kept for slower links, too."""
        frames = list(self._soon.values())
        mine = [self._soon[user] for user in self._mine]
        if keeps:
            for user, frame in self._soon.items():
                if user in self._later or len(self._later) < PEOPLE_MAX:
                    self._later[user] = frame
        self._soon, self._mine = {}, set()
        return frames, mine

    def take_later(self) -> list[bytes]:
        """What slower links get now."""
        frames, self._later = list(self._later.values()), {}
        return frames
