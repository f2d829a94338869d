"""Turns: who runs next, and for how long. The part of the dispatcher that needs no event loop.

    tell ─▶ cell is enlisted ─▶ ready ─▶ run_ready(budget) ─▶ pool.turn(cell) ─▶ still something waiting? back of the line
                                  ▲
    advance(): timers that are due, idle actors that may go      next_deadline_s(): when to call it again

Time and randomness come in as functions, so a simulator drives the same code from a seed and a fake clock. One thread only.
Invariant: a cell is in `ready` at most once, and no actor runs except inside `run_ready` and `advance`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from itertools import count
from typing import Any, TypeVar

from actors.cell import Factory, Timer
from actors.inbox import InboxSpec
from supervisors.counts import PoolState
from supervisors.pool import Cell, CellPool, Policy
from supervisors.timers import AlarmClock

K = TypeVar("K", bound=Hashable)
M = TypeVar("M")

TURN_MAX = 32
"""Messages one actor handles in a row. Longer turns are cheaper (a turn costs about as much as two messages), shorter ones fairer."""

CrashReport = Callable[[str, Hashable, Exception], None]
"""Told of every crash: pool, key, cause."""

DeadLetterReport = Callable[[str, Hashable, object, int], None]
"""Told of a sample of dead letters (the 1st, 2nd, 4th, 8th …): pool, key, message, how many there were in this pool."""


class Turns:
    """Actors of any number of kinds, and whose turn it is."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
        random: Callable[[], float],
        on_crash: CrashReport | None = None,
        on_dead_letter: DeadLetterReport | None = None,
    ) -> None:
        """`clock`: monotonic seconds. `wall`: Unix seconds. `random`: uniform in [0, 1)."""
        self.clock = clock
        self.wall = wall
        self.random = random
        self.tickets: Iterator[int] = count(1)
        self.alarms = AlarmClock()
        self.closed = False
        self.pools: dict[str, CellPool[Any, Any]] = {}
        self.hook_failures = 0
        """Crashes in `stopped()` and in the reports: they go no further than this number."""
        self._on_crash = on_crash
        self._on_dead_letter = on_dead_letter
        self._ready: deque[Cell[Any, Any]] = deque()
        self._running = False

    def pool(
        self,
        name: str,
        factory: Factory[K, M],
        *,
        inbox: InboxSpec | None = None,
        intensity: int = 3,
        period_s: float = 10.0,
        quarantine_s: float | None = None,
        pool_intensity: int = 100,
        pool_period_s: float = 10.0,
        passivate_after_s: float | None = None,
        turn_max: int = TURN_MAX,
        on_give_up: Callable[[K, Exception], None] | None = None,
        on_lost: Callable[[K, M], None] | None = None,
    ) -> CellPool[K, M]:
        """Makes the pool of one kind of actor. See `supervisors.pool.Policy` for the meaning of the numbers.

        `quarantine_s` is `period_s` unless given. `on_give_up(key, cause)` is told when a cell was stopped for good, and
        `on_lost(key, message)` of each message that waited for it: who sent it was told that it was taken.
        """
        if name in self.pools:
            raise ValueError(f"there is a pool named {name!r} already")
        policy = Policy(
            intensity=intensity,
            period_s=period_s,
            quarantine_s=period_s if quarantine_s is None else quarantine_s,
            pool_intensity=pool_intensity,
            pool_period_s=pool_period_s,
            passivate_after_s=passivate_after_s,
            turn_max=turn_max,
        )
        pool: CellPool[K, M] = CellPool(self, name, factory, InboxSpec() if inbox is None else inbox, policy, on_give_up, on_lost)
        self.pools[name] = pool
        return pool

    @property
    def ready(self) -> int:
        """How many actors wait for a turn."""
        return len(self._ready)

    def enlist(self, cell: Cell[Any, Any]) -> None:
        self._ready.append(cell)

    def arm(self, delay_s: float, cell: Cell[Any, Any], message: object) -> Timer:
        return self.alarms.set(self.clock() + delay_s, cell, message)

    def run_ready(self, budget: int) -> int:
        """Gives turns until `budget` is used up or nothing is ready; returns what is left of it.

        A message costs one, and so does a turn without any. The last turn may overdraw by less than its pool's `turn_max`.
        Raises `PoolFailed`; after that, only `reset` makes sense.
        """
        assert not self._running, "an actor must not give turns to others: tell them, and return"
        ready = self._ready
        self._running = True
        try:
            now_s = self.clock()
            while ready and budget > 0:
                cell = ready.popleft()
                budget -= cell.pool.turn(cell, now_s) or 1
        finally:
            self._running = False
        return budget

    def advance(self) -> None:
        """Fires the timers that are due and looks at the next slice of idle actors. Raises `PoolFailed`."""
        assert not self._running, "an actor must not advance time"
        now_s = self.clock()
        self.alarms.fire_due(now_s)
        for pool in self.pools.values():
            if pool.sweep_due_s <= now_s:
                pool.sweep(now_s)

    def next_deadline_s(self) -> float:
        """When `advance` has something to do next, on `clock`; infinity if never."""
        deadline_s = self.alarms.next_due_s()
        for pool in self.pools.values():
            deadline_s = min(deadline_s, pool.sweep_due_s)
        return deadline_s

    def reset(self) -> None:
        """Empties every pool, the youngest kind first; what is told meanwhile is a dead letter. Afterwards all may begin again."""
        assert not self._running, "an actor must not stop everything: its supervisor does"
        self.closed = True
        try:
            for pool in reversed(self.pools.values()):
                pool.reset()
            for cell in self._ready:
                cell.leave()
            self._ready.clear()
        finally:
            self.closed = False

    def states(self) -> list[PoolState]:
        """A snapshot of every pool, in the order they were made. Costs a look at each cell that waits for a turn."""
        return [pool.state(self._ready) for pool in self.pools.values()]

    def report_crash(self, pool: str, key: Hashable, cause: Exception) -> None:
        if self._on_crash is not None:
            self.guard(self._on_crash, pool, key, cause)

    def report_dead_letter(self, pool: str, key: Hashable, message: object, count: int) -> None:
        if self._on_dead_letter is not None and not self.closed:  # when everything is stopped, every letter is a dead one
            self.guard(self._on_dead_letter, pool, key, message, count)

    def guard(self, call: Callable[..., object], *args: object) -> None:
        try:
            call(*args)
        except Exception as cause:  # noqa: BLE001 - a supervisor
            self.hook_failures += 1
            self.hook_failed(cause)

    def hook_failed(self, cause: Exception) -> None:
        """Told of every crash in a hook or in an actor's `stopped()`."""
