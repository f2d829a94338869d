"""Pools and cells: the actors of one kind, what each is lent, and what happens when one crashes, idles or ends.

                 get ─▶ ┌─────────┐ crash (bounded by intensity): stopped(), new actor, same inbox
                        │  LIVE   │◀──┘
       idle, and nothing└─┬──┬──┬─┘ one crash too many
       would be lost      │  │  └──────────▶ GIVEN_UP: dead letters until the quarantine of the key is over
                 PASSIVE ◀┘  └─ stop() ────▶ STOPPED: dead letters; `get` builds a new cell
                    └─ tell ─▶ LIVE again, or forwards to the cell that took its place

A cell is an actor's place: its address (`Ref`), its surroundings (`Context`) and its inbox, in one slotted object, because an idle
device costs two of them. A reference whose cell is passive is only another way to write its key: telling it something activates
the key, whatever became of other cells of that key meanwhile.

Measured (CPython 3.11, 2 cores): an idle cell takes 190 B with its key and its place in the table, 250 B with a small actor; a tell
and its turn 1.0 µs one by one, 0.65 µs in batches; a full collection with 20,000 of them 14–20 ms.

Invariants: one live cell per key; at most one actor in a cell, and its turns never overlap; a message that was accepted is
handled, fails with its actor, or is counted as dropped or dead (`Counts.told` is the sum of these).

This and `tree.py` are where `Exception` is caught. What is not an `Exception` (cancellation, KeyboardInterrupt) passes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from enum import Enum
from typing import Any, Final, Generic, Protocol, TypeVar

from msgspec import Struct

from actors.cell import Actor, Factory, Ref, Timer
from actors.inbox import Drops, Inbox, InboxSpec
from supervisors.counts import Counts, PoolState
from supervisors.intensity import CrashWindow
from supervisors.timers import AlarmClock

K = TypeVar("K", bound=Hashable)
M = TypeVar("M")

SPARE_INBOXES_MAX = 256
"""Emptied inboxes kept per pool for the next cell that is told something. Building one costs 0.4 µs and 1.6 KB with both lanes."""

SWEEP_SLICE_MAX = 1024
"""Cells looked at in one slice of the sweep: some tenths of a millisecond, so that the sweep is never what a message waits for. Smaller
ones wake an idle gateway with four pools of 17,000 cells seventeen times a second, and a wake-up costs more than the look."""

SWEEPS_PER_IDLE_TIME = 4
"""Every cell is looked at about so many times per `passivate_after_s`: idle actors go at most a quarter of it late."""


class State(Enum):
    LIVE = "live"
    PASSIVE = "passive"
    STOPPED = "stopped"
    GIVEN_UP = "given up"


LIVE: Final = State.LIVE  # an attribute of an Enum costs more to look up than the rest of the check


class ControlFlood(Exception):
    """The control lane of an actor reached its bound: something sends without end, or the actor's turns are far too slow."""


class PoolFailed(ExceptionGroup[Exception]):
    """So many crashes in one pool that it is not some keys that are broken, but what they all depend on."""


class Policy(Struct, frozen=True):
    """How the actors of one kind are supervised."""

    intensity: int
    """Crashes of one cell that are answered by a new actor within `period_s`; one more, and the cell is given up."""
    period_s: float
    quarantine_s: float
    """How long the key of a given-up cell stays dead, so that traffic for a poisoned key does not crash it in circles."""
    pool_intensity: int
    """Crashes of all cells together within `pool_period_s`; one more fails the dispatcher."""
    pool_period_s: float
    passivate_after_s: float | None
    """Idle time after which an actor is asked to leave memory; None: never."""
    turn_max: int
    """Messages that one actor handles before others get their turn."""


class Floor(Protocol):
    """What a pool needs from whoever gives its cells their turns (`supervisors.turns`)."""

    clock: Callable[[], float]
    wall: Callable[[], float]
    random: Callable[[], float]
    tickets: Iterator[int]
    alarms: AlarmClock
    closed: bool
    """While everything is being stopped, every message is a dead letter."""

    def enlist(self, cell: Cell[Any, Any]) -> None:
        """Gives `cell` a turn, after those that wait already."""
        ...

    def arm(self, delay_s: float, cell: Cell[Any, Any], message: object) -> Timer:
        """Sets a timer for `cell`."""
        ...

    def report_crash(self, pool: str, key: Hashable, cause: Exception) -> None: ...

    def report_dead_letter(self, pool: str, key: Hashable, message: object, count: int) -> None: ...

    def guard(self, call: Callable[..., object], *args: object) -> None:
        """Calls what must not take anything else down with it: a crash in it is counted and goes no further."""
        ...


class Cell(Generic[K, M]):
    """One actor's place. Senders see it as `Ref`, the actor sees it as `Context`."""

    __slots__ = (
        "_actor",
        "_crashes_s",
        "_fault",
        "_inbox",
        "_state",
        "_touched_s",
        "enlisted",
        "generation",
        "key",
        "pool",
        "timers",
    )

    def __init__(self, pool: CellPool[K, M], key: K) -> None:
        self.pool = pool
        self.key = key
        self._actor: Actor[M] | None = None
        self._inbox: Inbox[M] | None = None  # lent while something waits; a cell without actor or place has none
        self._state = State.PASSIVE
        self._touched_s = 0.0
        self._crashes_s: tuple[float, ...] = ()
        self._fault: Exception | None = None  # a crash that is due at the next turn, because its finder is not the actor
        self.enlisted = False
        self.generation = 0
        self.timers = 0

    def __repr__(self) -> str:
        return f"<{self.pool.name} {self.key!r} {self._state.value}>"

    # As a reference.

    def tell(self, message: M, size_bytes: int = 0) -> bool:
        pool, inbox = self.pool, self._inbox
        if inbox is None:
            cell = self if self._state is LIVE else pool.recipient(self)
            if cell is None:
                pool.bury(self.key, message)
                return False
            if cell is not self:
                return cell.tell(message, size_bytes)
            inbox = self._inbox = pool.lend()
        pool.counts.told += 1
        if not self.enlisted:
            self.enlisted = True
            pool.floor.enlist(self)
        return inbox.put(message, size_bytes)

    def tell_control(self, message: M) -> None:
        pool, inbox = self.pool, self._inbox
        if inbox is None:
            cell = self if self._state is LIVE else pool.recipient(self)
            if cell is None:
                pool.bury(self.key, message)
                return
            if cell is not self:
                cell.tell_control(message)
                return
            inbox = self._inbox = pool.lend()
        pool.counts.told += 1
        if not self.enlisted:
            self.enlisted = True
            pool.floor.enlist(self)
        if not inbox.put_control(message):
            self._fault = ControlFlood(f"{self!r} lost its control lane, which was full")

    # As something that gets turns.

    def leave(self) -> None:
        """Gives up its place in the line, and the actor in it: everything is being stopped."""
        self.enlisted = False
        self.pool.settle(self)

    # As a context.

    @property
    def self(self) -> Ref[M]:
        return self

    def now(self) -> float:
        return self.pool.floor.clock()

    def wall(self) -> float:
        return self.pool.floor.wall()

    def random(self) -> float:
        return self.pool.floor.random()

    def ticket(self) -> int:
        return next(self.pool.floor.tickets)

    def after(self, delay_s: float, message: M) -> Timer:
        timer = self.pool.floor.arm(delay_s, self, message)
        if self._state is not LIVE:
            timer.cancel()
        return timer

    def stop(self) -> None:
        if self._state is LIVE:
            self.pool.end(self, State.STOPPED)


class CellPool(Generic[K, M]):
    """The supervised actors of one kind, by key. Made by `Turns.pool`."""

    def __init__(
        self,
        floor: Floor,
        name: str,
        factory: Factory[K, M],
        inbox: InboxSpec,
        policy: Policy,
        on_give_up: Callable[[K, Exception], None] | None,
        on_lost: Callable[[K, M], None] | None,
    ) -> None:
        self.floor = floor
        self.name = name
        self.counts = Counts()
        self.drops = Drops()
        self._factory = factory
        self._inbox_spec = inbox
        self._policy = policy
        self._turn_max = policy.turn_max
        self._on_give_up = on_give_up
        self._on_lost = on_lost
        self._cells: dict[K, Cell[K, M]] = {}
        self._spares: list[Inbox[M]] = []
        self._window = CrashWindow(policy.pool_intensity, policy.pool_period_s)
        self._rotation: deque[Cell[K, M]] = deque()  # every live cell once, in the order of the sweep
        self.sweep_due_s = float("inf")

    def __len__(self) -> int:
        return len(self._cells)

    def __iter__(self) -> Iterator[K]:
        """The keys that have a place now. Not to be held across turns: the pool changes under it."""
        return iter(self._cells)

    def get(self, key: K) -> Cell[K, M]:
        cell = self._holder(key)
        if cell is None:
            cell = Cell(self, key)
            self._activate(cell)
        return cell

    def find(self, key: K) -> Cell[K, M] | None:
        cell = self._cells.get(key)
        return cell if cell is not None and cell._state is LIVE else None

    def depth(self, key: K) -> int:
        """Messages waiting for the actor of `key`."""
        cell = self._cells.get(key)
        return cell._inbox.waiting if cell is not None and cell._inbox is not None else 0

    def actors(self) -> Iterator[tuple[K, Actor[M]]]:
        """Every actor that is built now, with its key: for those who only look. Not to be held across turns."""
        return ((key, cell._actor) for key, cell in self._cells.items() if cell._actor is not None)

    # What cells ask of their pool.

    def recipient(self, cell: Cell[K, M]) -> Cell[K, M] | None:
        """Who takes the messages sent to a cell that is not live: itself, made live again, the cell that took its place, or nobody."""
        if cell._state is not State.PASSIVE or self.floor.closed:
            return None
        holder = self._holder(cell.key)
        if holder is None:
            self._activate(cell)
            return cell
        return holder

    def lend(self) -> Inbox[M]:
        return self._spares.pop() if self._spares else Inbox(self._inbox_spec, self.drops)

    def bury(self, key: K, message: M) -> None:
        """Counts a message that was sent to nobody."""
        self.counts.told += 1
        self._bury(key, message)

    def end(self, cell: Cell[K, M], state: State) -> None:
        """Takes its place from `cell`. The actor in it is told in the cell's next turn, which may be the present one."""
        cell._state = state
        if state is not State.GIVEN_UP and self._cells.get(cell.key) is cell:
            del self._cells[cell.key]
        inbox, cell._inbox = cell._inbox, None
        while inbox is not None and inbox.waiting:
            message = inbox.take()
            self._bury(cell.key, message)
            if state is State.GIVEN_UP and self._on_lost is not None:
                self.floor.guard(self._on_lost, cell.key, message)
        if not cell.enlisted:
            cell.enlisted = True
            self.floor.enlist(cell)

    # Turns.

    def turn(self, cell: Cell[K, M], now_s: float) -> int:
        """Runs `cell` for at most `turn_max` messages; returns how many it handled. Raises `PoolFailed`."""
        handled = 0
        in_hand = False
        cell._touched_s = now_s
        try:
            actor = cell._actor
            if actor is None:
                if cell._state is not LIVE:
                    return 0
                actor = cell._actor = self._factory(cell.key, cell)
            if cell._fault is not None:
                raise cell._fault
            receive = actor.receive
            while handled < self._turn_max:
                inbox = cell._inbox
                if inbox is None or not inbox.waiting:
                    break
                message = inbox.take()
                in_hand = True
                receive(message)
                in_hand = False
                handled += 1
        except Exception as cause:  # noqa: BLE001 - a supervisor
            self._crashed(cell, cause, now_s)
        finally:
            self.counts.handled += handled
            self.counts.failed += in_hand
            self.settle(cell)
        return handled

    def settle(self, cell: Cell[K, M]) -> None:
        """Leaves `cell` consistent after a turn, however that ended: enlisted exactly if there is something to do."""
        if cell._state is not LIVE:
            cell.enlisted = False
            if cell._actor is not None:
                self._retire(cell)
            return
        inbox = cell._inbox
        if cell._actor is None or cell._fault is not None or (inbox is not None and inbox.waiting):
            cell.enlisted = True
            self.floor.enlist(cell)
            return
        cell.enlisted = False
        if inbox is not None:
            cell._inbox = None
            if len(self._spares) < SPARE_INBOXES_MAX:
                self._spares.append(inbox)

    def sweep(self, now_s: float) -> None:
        """Looks at the next slice of cells and passivates those that have been idle, if they agree."""
        idle_s = self._policy.passivate_after_s
        assert idle_s is not None
        rotation = self._rotation
        for _ in range(min(len(rotation), SWEEP_SLICE_MAX)):
            cell = rotation.popleft()
            if self._holder(cell.key) is cell and not self._passivated(cell, now_s, idle_s):
                rotation.append(cell)
        slices = -(-len(rotation) // SWEEP_SLICE_MAX)
        self.sweep_due_s = now_s + idle_s / (SWEEPS_PER_IDLE_TIME * slices) if slices else float("inf")

    def reset(self) -> None:
        """Empties the pool: actors are told, waiting messages are dead letters. References that are still held activate new ones."""
        self._rotation.clear()
        self._window.clear()
        self.sweep_due_s = float("inf")
        for cell in list(self._cells.values()):
            if cell._state is LIVE:
                self.end(cell, State.PASSIVE)
                self._retire(cell)
                cell.enlisted = False
        self._cells.clear()

    def state(self, waiting: Iterable[Cell[Any, Any]]) -> PoolState:
        """A snapshot. `waiting`: the cells that wait for a turn, since only they have anything in their inbox."""
        total, deepest, deepest_key = 0, 0, ""
        for cell in waiting:
            if cell.pool is self and cell._inbox is not None:
                total += cell._inbox.waiting
                if cell._inbox.waiting > deepest:
                    deepest, deepest_key = cell._inbox.waiting, str(cell.key)
        counts = self.counts
        return PoolState(
            name=self.name,
            cells=len(self._cells),
            waiting=total,
            deepest=deepest,
            deepest_key=deepest_key,
            handled=counts.handled,
            restarts=counts.restarts,
            give_ups=counts.give_ups,
            dead_letters=counts.dead_letters,
            drops=self.drops.total(),
            drops_by_reason=self.drops.by_reason(),
        )

    # Inside.

    def _holder(self, key: K) -> Cell[K, M] | None:
        """The cell that has the place of `key`, unless its quarantine is over."""
        cell = self._cells.get(key)
        if cell is None or cell._state is LIVE:
            return cell
        if self.floor.clock() < cell._touched_s + self._policy.quarantine_s:
            return cell
        del self._cells[key]
        return None

    def _activate(self, cell: Cell[K, M]) -> None:
        if self.floor.closed:
            return
        now_s = self.floor.clock()
        cell._state = LIVE
        cell._touched_s = now_s
        self._cells[cell.key] = cell
        self.counts.activations += 1
        idle_s = self._policy.passivate_after_s
        if idle_s is not None:
            self._rotation.append(cell)
            self.sweep_due_s = min(self.sweep_due_s, now_s + idle_s / SWEEPS_PER_IDLE_TIME)
        if not cell.enlisted:
            cell.enlisted = True
            self.floor.enlist(cell)

    def _passivated(self, cell: Cell[K, M], now_s: float, idle_s: float) -> bool:
        actor = cell._actor
        if actor is None or cell.enlisted or now_s - cell._touched_s < idle_s:
            return False
        cell._touched_s = now_s  # an actor that says no is asked again after another idle time, not in the next round
        try:
            agreed = actor.passivate()
        except Exception as cause:  # noqa: BLE001 - a supervisor
            cell.enlisted = True
            self._crashed(cell, cause, now_s)
            self.settle(cell)
            return False
        if not agreed or cell.enlisted:  # enlisted: it was told something while it was asked
            return False
        cell._state = State.PASSIVE
        del self._cells[cell.key]
        self._retire(cell)
        self.counts.passivations += 1
        return True

    def _crashed(self, cell: Cell[K, M], cause: Exception, now_s: float) -> None:
        policy, counts = self._policy, self.counts
        counts.crashes += 1
        cell._fault = None
        self._retire(cell)
        self.floor.report_crash(self.name, cell.key, cause)
        crashes_s = (*(at_s for at_s in cell._crashes_s if at_s > now_s - policy.period_s), now_s)
        if cell._state is not LIVE:
            pass  # it had stopped itself before it crashed
        elif len(crashes_s) > policy.intensity:
            counts.give_ups += 1
            self.end(cell, State.GIVEN_UP)
            if self._on_give_up is not None:
                self.floor.guard(self._on_give_up, cell.key, cause)
        else:
            cell._crashes_s = crashes_s
            counts.restarts += 1
        if self._window.note(now_s, cause):
            raise PoolFailed(
                f"pool {self.name}: more than {policy.pool_intensity} crashes in {policy.pool_period_s:g} s",
                self._window.causes(),
            )

    def _retire(self, cell: Cell[K, M]) -> None:
        """Takes the actor out of `cell` and tells it so."""
        self.floor.alarms.forget(cell)
        actor, cell._actor = cell._actor, None
        if actor is not None:
            self.floor.guard(actor.stopped)

    def _bury(self, key: K, message: M) -> None:
        self.counts.dead_letters += 1
        count = self.counts.dead_letters
        if count & (count - 1) == 0:  # the 1st, 2nd, 4th, 8th …: a flood of them must not become a flood in the log
            self.floor.report_dead_letter(self.name, key, message, count)
