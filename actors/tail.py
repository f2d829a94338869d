"""The live end of one stream on one gateway: which event comes next, which came too early, and the last ones in memory.

    heard(seq) ── head + 1 ──▶ ready, and with it whatever waited behind it
               ── higher ────▶ early: kept (bounded), and a gap is known
               ── lower ─────▶ known already: dropped

Pure: no clock, no ports. Events may be heard twice, late, in any order, from the journal, the link or a read of Postgres.

Invariant: the numbers handed out as ready are consecutive; `recent` holds the last of them, ending at `head`.
"""

from __future__ import annotations

from collections import deque

RECENT_EVENTS_MAX = 64
RECENT_BYTES_MAX = 32 * 1024
"""What a channel remembers for those who join between a read and now; beyond it they read Postgres again."""
EARLY_EVENTS_MAX = 256
"""Events kept while one before them is missing; beyond it they are dropped, and read from Postgres with the missing one."""


class Tail:
    """See the module. `head` is None until somebody has read where the stream ends."""

    __slots__ = ("_early", "_recent", "_recent_bytes", "head")

    def __init__(self) -> None:
        self.head: int | None = None
        self._early: dict[int, bytes] = {}
        self._recent: deque[bytes] = deque()
        self._recent_bytes = 0

    @property
    def gap(self) -> bool:
        """Is something known to be missing?"""
        return bool(self._early)

    def start(self, head: int) -> list[bytes]:
        """Learns, once, where the stream ends; what was heard beyond it may be ready now."""
        assert self.head is None
        self.head = head
        self._early = {seq: frame for seq, frame in self._early.items() if seq > head}
        return self._follow_on()

    def hear(self, seq: int, frame: bytes) -> list[bytes]:
        """Takes in one event; the frames that are ready now, in order."""
        head = self.head
        if head is not None:
            if seq <= head:
                return []
            if seq == head + 1:
                self.head = seq
                self._remember(frame)
                if not self._early:
                    return [frame]
                return [frame, *self._follow_on()]
        if len(self._early) < EARLY_EVENTS_MAX:
            self._early.setdefault(seq, frame)
        return []

    def after(self, seq: int) -> list[bytes] | None:
        """The frames after `seq` up to the head; None if they are no longer all in memory. `seq` is at most the head."""
        assert self.head is not None and seq <= self.head
        missing = self.head - seq
        if missing > len(self._recent):
            return None
        return list(self._recent)[len(self._recent) - missing :] if missing else []

    def _follow_on(self) -> list[bytes]:
        assert self.head is not None
        ready: list[bytes] = []
        while (frame := self._early.pop(self.head + 1, None)) is not None:
            self.head += 1
            self._remember(frame)
            ready.append(frame)
        return ready

    def _remember(self, frame: bytes) -> None:
        self._recent.append(frame)
        self._recent_bytes += len(frame)
        while len(self._recent) > RECENT_EVENTS_MAX or self._recent_bytes > RECENT_BYTES_MAX:
            self._recent_bytes -= len(self._recent.popleft())
