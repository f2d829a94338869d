"""Batches: questions wait for each other for a moment, and for the model while it is busy; none waits in vain.

    put ─▶ queue (bounded) ─▶ due: as many as a batch holds, or the first has waited `wait_s` ─▶ take ─▶ batch
      ╰─▶ shed: full, or what waits before it takes longer than it has                            ╰─▶ late: dropped unread

Time comes in as an argument; nothing here waits.

Invariant: what was put comes out once, as part of a batch or as late, in the order in which it was put, and no batch holds what is late.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_SMOOTH: Final = 0.2
"""Weight of the latest batch in what an item is expected to take."""


class Batcher(Generic[T]):
    """The questions that wait for one version."""

    def __init__(self, *, batch_max: int, wait_s: float, queue_max: int) -> None:
        self.batch_max = batch_max
        self.wait_s = wait_s
        self.queue_max = queue_max
        self.item_s = 0.0
        """What one is expected to take, in a batch."""
        self._queue: deque[tuple[T, float, float]] = deque()
        """(item, when it came, when it is late)"""
        self._busy = 0
        """In the batch that was taken last, until `done`."""

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, item: T, late_s: float, now_s: float) -> bool:
        """False: it is shed, and was not taken."""
        if len(self._queue) >= self.queue_max:
            return False
        if now_s + (len(self._queue) + self._busy + 1) * self.item_s > late_s:
            return False
        self._queue.append((item, now_s, late_s))
        return True

    def due_s(self) -> float:
        """When a batch should be taken, if the model is free; infinity: nothing waits."""
        if not self._queue:
            return float("inf")
        return float("-inf") if len(self._queue) >= self.batch_max else self._queue[0][1] + self.wait_s

    def take(self, now_s: float) -> tuple[list[T], list[T]]:
        """(a batch, what was late). The batch is empty where nothing else waited."""
        batch: list[T] = []
        late: list[T] = []
        while self._queue and len(batch) < self.batch_max:
            item, _, late_s = self._queue.popleft()
            (late if late_s <= now_s else batch).append(item)
        self._busy = len(batch)
        return batch, late

    def done(self, seconds: float) -> None:
        """The batch was answered, in so many seconds."""
        if self._busy:
            item_s = seconds / self._busy
            self.item_s = item_s if not self.item_s else (1 - _SMOOTH) * self.item_s + _SMOOTH * item_s
        self._busy = 0

    def clear(self) -> list[T]:
        """Everything that waits; and what was learned about the model's speed is forgotten: another process begins."""
        items = [item for item, _, _ in self._queue]
        self._queue.clear()
        self._busy = 0
        self.item_s = 0.0
        return items
