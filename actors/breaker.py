"""A circuit breaker: whoever failed again and again is left alone for a while, then tried by one question, then trusted again.

         ╭── PASSED, FAILED ──╮                                        ╭── PASSED ──╮
         ▼                    │                                        ▼            │
       CLOSED ─────────────── TRIPPED ─────▶ OPEN ───── RESTED ─────▶ HALF_OPEN ────╯
         ▲                                    ▲                        │  │
         ╰─────────────── PROVEN ─────────────┼────────────────────────╯  │
                                              ╰───────── FAILED ──────────╯

Time comes in as an argument, so that it decides the same in a test, in a simulator and in a gateway. What was asked before the state last
changed says nothing about the present one, and is not counted.

Invariant: every pair of state and event is in `TABLE`, or it raises and leaves the state as it was; while it is open nothing is admitted,
and while it is half-open one question at a time.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Final

from msgspec import Struct


class State(Enum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Event(Enum):
    PASSED = "passed"
    """One was answered."""
    FAILED = "failed"
    """One was not."""
    TRIPPED = "tripped"
    """That was one too many."""
    RESTED = "rested"
    """It was left alone for long enough."""
    PROVEN = "proven"
    """Enough of what was tried was answered."""


TABLE: Final[dict[tuple[State, Event], State]] = {
    (State.CLOSED, Event.PASSED): State.CLOSED,
    (State.CLOSED, Event.FAILED): State.CLOSED,
    (State.CLOSED, Event.TRIPPED): State.OPEN,
    (State.OPEN, Event.RESTED): State.HALF_OPEN,
    (State.HALF_OPEN, Event.PASSED): State.HALF_OPEN,
    (State.HALF_OPEN, Event.FAILED): State.OPEN,
    (State.HALF_OPEN, Event.PROVEN): State.CLOSED,
}


class IllegalEvent(Exception):
    """An event that cannot happen in this state. The state is unchanged."""


class BreakerLimits(Struct, frozen=True):
    """When it opens, for how long, and when it closes."""

    window: int = 20
    """The latest outcomes that are looked at."""
    failures_min: int = 5
    """Fewer failures in the window never open it."""
    share: float = 0.5
    """Of the window that must have failed."""
    open_s: float = 0.5
    """The first rest; each one after a probe that failed is twice as long."""
    open_max_s: float = 15.0
    probes: int = 2
    """Questions in a row that must be answered, one after the other, before it closes."""

    def __post_init__(self) -> None:
        if not (0 < self.failures_min <= self.window and 0 < self.share <= 1 and 0 < self.open_s <= self.open_max_s and self.probes > 0):
            raise ValueError(f"{self}: allowed are 0 < failures_min <= window, 0 < share <= 1, 0 < open_s <= open_max_s and probes > 0")


class Leave(Struct, frozen=True):
    """The right to ask once. Given back by exactly one of `passed`, `failed` and `unasked`. `probe`: on it depends what is next."""

    life: int
    probe: bool = False


class Breaker:
    """One breaker. Seconds of any clock that does not run backwards."""

    def __init__(self, limits: BreakerLimits | None = None) -> None:
        self.limits = limits or BreakerLimits()
        self.state = State.CLOSED
        self.opened = 0
        """How often so far."""
        self._outcomes: deque[bool] = deque(maxlen=self.limits.window)
        self._life = 0
        """Counts changes of state: a leave of an earlier life says nothing about this one."""
        self._rest_s = self.limits.open_s
        self._rests_until = 0.0
        self._probing = False
        self._proofs = 0

    def admit(self, now_s: float) -> Leave | None:
        """Leave to ask now; None: it is open."""
        if self.state is State.OPEN and now_s >= self._rests_until:
            self._go(Event.RESTED)
        if self.state is State.CLOSED:
            return Leave(self._life)
        if self.state is State.OPEN or self._probing:
            return None
        self._probing = True
        return Leave(self._life, probe=True)

    def passed(self, leave: Leave) -> None:
        """What was asked was answered."""
        if leave.life != self._life:
            return
        if not leave.probe:
            self._go(Event.PASSED)
            self._outcomes.append(True)
            return
        self._probing = False
        self._proofs += 1
        if self._proofs < self.limits.probes:
            self._go(Event.PASSED)
            return
        self._go(Event.PROVEN)
        self._rest_s = self.limits.open_s

    def failed(self, leave: Leave, now_s: float) -> None:
        """What was asked was not answered, and that was the model's fault."""
        if leave.life != self._life:
            return
        if leave.probe:
            self._rest_s = min(self.limits.open_max_s, 2 * self._rest_s)
            self._open(Event.FAILED, now_s)
            return
        self._go(Event.FAILED)
        self._outcomes.append(False)
        failures = self._outcomes.count(False)
        if failures >= self.limits.failures_min and failures >= self.limits.share * len(self._outcomes):
            self._open(Event.TRIPPED, now_s)

    def unasked(self, leave: Leave) -> None:
        """It came to no asking, or to an outcome that says nothing about the model."""
        if leave.life == self._life and leave.probe:
            self._probing = False

    def rests_s(self, now_s: float) -> float:
        """How long it is still left alone; 0: it is not, or may be tried."""
        return max(0.0, self._rests_until - now_s) if self.state is State.OPEN else 0.0

    def _open(self, event: Event, now_s: float) -> None:
        self._go(event)
        self.opened += 1
        self._rests_until = now_s + self._rest_s

    def _go(self, event: Event) -> None:
        after = step(self.state, event)
        if after is not self.state:
            self.state = after
            self._life += 1
            self._probing = False
            self._proofs = 0
            self._outcomes.clear()


def step(state: State, event: Event) -> State:
    """The state after. Raises `IllegalEvent`, naming what is legal."""
    after = TABLE.get((state, event))
    if after is None:
        legal = ", ".join(event.name for was, event in TABLE if was is state)
        raise IllegalEvent(f"{event.name} in {state.name}; legal here: {legal}")
    return after
