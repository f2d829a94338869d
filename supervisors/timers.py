"""Timers: messages that are told later, in one heap for all actors.

    after ─▶ heap by due time ─▶ due? still wanted? ─▶ tell_control
                                       no: thrown away when its time comes, or when half of the heap is such waste

Cancelling only marks, so it costs the same for the millionth timer. Invariant: a timer fires at most once, never before it is
due, and never for an actor other than the one that set it: a rebuilt actor is a new generation of its cell.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any, Protocol

COMPACTION_LEAST = 64
"""Below so many cancelled timers the heap is not worth rebuilding."""


class Sleeper(Protocol):
    """Whom a timer wakes."""

    generation: int
    """Raised whenever the actor in the cell is gone: what it asked for is forgotten."""

    timers: int
    """How many timers of this generation are set."""

    def tell_control(self, message: Any) -> None: ...


class Alarm:
    """One timer. `cancel` after it fired, or twice, does nothing."""

    __slots__ = ("_clock", "_generation", "_message", "_sleeper")

    def __init__(self, clock: AlarmClock, sleeper: Sleeper, message: object) -> None:
        self._clock = clock
        self._sleeper: Sleeper | None = sleeper
        self._generation = sleeper.generation
        self._message: object = message

    def cancel(self) -> None:
        sleeper, self._sleeper = self._sleeper, None
        self._message = None
        if sleeper is not None and sleeper.generation == self._generation:
            sleeper.timers -= 1
            self._clock.waste(1)

    def wanted(self) -> bool:
        return self._sleeper is not None and self._sleeper.generation == self._generation

    def fire(self) -> None:
        sleeper, self._sleeper = self._sleeper, None
        message, self._message = self._message, None
        if sleeper is not None:
            sleeper.timers -= 1
            sleeper.tell_control(message)


class AlarmClock:
    """All timers of one dispatcher. Holds no clock: the time comes in as an argument."""

    __slots__ = ("_count", "_heap", "_wasted")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Alarm]] = []
        self._count: Callable[[], int] = count().__next__  # timers due at the same instant fire in the order they were set
        self._wasted = 0

    def __len__(self) -> int:
        """How many timers are set."""
        return len(self._heap) - self._wasted

    def size(self) -> int:
        """How many entries the heap has, those included that will not fire."""
        return len(self._heap)

    def set(self, due_s: float, sleeper: Sleeper, message: object) -> Alarm:
        alarm = Alarm(self, sleeper, message)
        sleeper.timers += 1
        heappush(self._heap, (due_s, self._count(), alarm))
        return alarm

    def forget(self, sleeper: Sleeper) -> None:
        """Forgets every timer of `sleeper`'s present generation, and begins the next one."""
        sleeper.generation += 1
        timers, sleeper.timers = sleeper.timers, 0
        if timers:
            self.waste(timers)

    def waste(self, timers: int) -> None:
        """Notes that so many timers in the heap will not fire, and throws them out once they are most of it."""
        self._wasted += timers
        if self._wasted > COMPACTION_LEAST and self._wasted * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].wanted()]
            heapify(self._heap)
            self._wasted = 0

    def next_due_s(self) -> float:
        """When the next timer is due; infinity if none is set."""
        heap = self._heap
        while heap and not heap[0][2].wanted():
            heappop(heap)
            self._wasted -= 1
        return heap[0][0] if heap else float("inf")

    def fire_due(self, now_s: float) -> None:
        """Fires what is due, earliest first. No actor runs in here: a timer ends in an inbox."""
        while self.next_due_s() <= now_s:
            heappop(self._heap)[2].fire()
