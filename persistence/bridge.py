"""The way from trio to Postgres: asyncpg on an asyncio loop in a thread of its own, crossed once per transaction.

      trio thread                                         asyncio thread (uvloop)
    run / submit ─▶ admit ─▶ inbound ══ call_soon_threadsafe ══▶ drain ─▶ task per call ─▶ lane ─▶ Postgres
                    or Busy   deque        one at a time                  own context
    answer ◀─ drain ◀══════════ run_sync_soon, one at a time ══ outbound ◀─ outcome, in the port's words

Crossing costs more than a small query (a pipe, two wake-ups, two loops), so whole units of work cross, never statements, and
what queues while a wake-up is under way crosses with it. A flag says that a wake-up is scheduled; it is cleared *before* the
deque is drained, else what is appended in between would wait for the next call.

Cancelling a call asks asyncio to cancel and waits until asyncpg has cleaned up, so that a scope that has ended leaves
no query behind; the wait is bounded by closing the connection.

Invariant: every admitted call is answered exactly once, in the trio thread, also when the bridge stops or its thread dies.
"""

from __future__ import annotations

import contextlib
import contextvars
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

import asyncpg
import outcome
import trio

from actors.histogram import SECONDS, Histogram
from actors.jobs import ORDERED
from actors.storage_port import Busy, StorageError, Unavailable
from actors.tracing import BATCH, Tracer
from persistence.far_side import Call, FarSide
from persistence.lanes import Isolation, LaneOptions, Work

T = TypeVar("T")

PRIMARY: Final = "primary"
REPLICA: Final = "replica"
Pool = Literal["primary", "replica"]

CONNECTIONS_MAX: Final = 8
"""Per pool. Two cores of Postgres are busy with four; the rest wait for disk or locks."""
CALLS_MAX: Final = 1024
"""Under way or waiting for a connection, per lane: at 0.3 ms each on eight connections, the last one waits 40 ms."""
CLEAN_UP_S: Final = 2.0
"""How long a cancelled query may take to end on the server before its connection is closed."""
READY_POLL_S: Final = 0.1
READY_ATTEMPT_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class BridgeOptions:
    """Where the database is and how much of it may be used.

    `pooler`: the dsns lead to a transaction-pooling PgBouncer. `replica_dsn`: where reads that may lag go; the primary without one.
    `session_settings` are sent at connection (never through a pooler).
    """

    dsn: str
    replica_dsn: str | None = None
    pooler: bool = False
    connections_max: int = CONNECTIONS_MAX
    calls_max: int = CALLS_MAX
    clean_up_s: float = CLEAN_UP_S
    replica_retry_s: float = 5.0
    session_settings: tuple[tuple[str, str], ...] = (
        ("jit", "off"),
        ("statement_timeout", "30s"),
        ("idle_in_transaction_session_timeout", "10s"),
    )


class LaneCounts:
    """What a lane did since it was made; read by the metrics."""

    __slots__ = ("busy", "call_s", "failed", "wait_s")

    def __init__(self) -> None:
        self.call_s = Histogram(SECONDS)
        """A unit of work: from `submit` to its answer."""
        self.wait_s = Histogram(SECONDS)
        """The part of that before it had a connection."""
        self.failed: dict[str, int] = {}
        """The world's faults, by the name of the error."""
        self.busy = 0
        """Refused at the bound."""

    def note(self, call: Call, answer: outcome.Outcome[Any]) -> None:
        now_s, begun_s = time.monotonic(), call.progress.begun_s
        self.call_s.observe(now_s - call.asked_s)
        self.wait_s.observe((begun_s or now_s) - call.asked_s)
        if isinstance(answer, outcome.Error) and isinstance(answer.error, StorageError):
            name = type(answer.error).__name__
            self.failed[name] = self.failed.get(name, 0) + 1


class LanePort:
    """One lane seen from trio: `bridge.dedicated("journal")`, or a pool. Cheap to keep; alive as long as the bridge serves."""

    def __init__(self, bridge: Bridge, options: LaneOptions, calls_max: int) -> None:
        self._bridge = bridge
        self.options = options
        self._calls_max = calls_max
        self.calls = 0
        """Under way, or waiting for a connection."""
        self.counts = LaneCounts()

    def submit(
        self,
        work: Work[T],
        on_done: Callable[[outcome.Outcome[T]], None],
        *,
        deadline_s: float,
        readonly: bool = False,
        isolation: Isolation = "read_committed",
    ) -> Submitted:
        """Starts `work`; `on_done` runs later in the trio thread, with `outcome.Value` or `outcome.Error`. Never waits, never raises
        `Unavailable`. Raises `Busy` at the bound. `on_done` must not raise: that stops the bridge.
        """
        if self.calls >= self._calls_max:
            self.counts.busy += 1
            raise Busy(f"{self.options.name}: {self.calls} calls are under way")
        call = Call(self.options, work, isolation, readonly, deadline_s, contextvars.copy_context())
        self.calls += 1
        self._bridge._start(call, self, on_done)
        return Submitted(self._bridge, call)

    async def run(
        self,
        work: Work[T],
        *,
        deadline_s: float,
        readonly: bool = False,
        isolation: Isolation = "read_committed",
    ) -> T:
        """Runs `work` and returns what it returned. Raises `Busy`, `Unavailable`, `OutcomeUnknown`, or what the work raised."""
        await trio.lowlevel.checkpoint_if_cancelled()
        task = trio.lowlevel.current_task()
        cancelled: trio.lowlevel.RaiseCancelT | None = None

        def done(answer: outcome.Outcome[T]) -> None:
            if cancelled is not None and isinstance(answer, outcome.Error) and isinstance(answer.error, StorageError):
                trio.lowlevel.reschedule(task, outcome.capture(cancelled))
            else:
                trio.lowlevel.reschedule(task, answer)

        call = self.submit(work, done, deadline_s=deadline_s, readonly=readonly, isolation=isolation)

        def abort(raise_cancel: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
            nonlocal cancelled
            cancelled = raise_cancel
            call.cancel()
            return trio.lowlevel.Abort.FAILED

        answer: T = await trio.lowlevel.wait_task_rescheduled(abort)
        return answer


class Submitted:
    """A submitted unit of work, for whoever may want to cancel it."""

    def __init__(self, bridge: Bridge, call: Call) -> None:
        self._bridge = bridge
        self._call = call

    def cancel(self) -> None:
        """Asks for its end; `on_done` still comes: with the value if it was too late, else with an error."""
        self._bridge._cancel(self._call)


class Bridge:
    """Trio's door to Postgres. `serve` runs it; everything else may be called from the trio thread while it does."""

    def __init__(self, options: BridgeOptions) -> None:
        self._options = options
        self._lanes: dict[str, LanePort] = {}
        self._primary = self._add(PRIMARY, options.dsn, options.connections_max)
        self._replica: LanePort | None = None
        if options.replica_dsn is not None:
            self._replica = self._add(REPLICA, options.replica_dsn, options.connections_max)
        self.replica_down_until = -math.inf
        """Until then, in trio's time, reads that a replica could answer go to the primary."""
        self._calls: dict[Call, tuple[LanePort, Callable[[outcome.Outcome[Any]], None]]] = {}
        self._far: FarSide | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._outbound: deque[tuple[Call, outcome.Outcome[Any]]] = deque()
        self._outbound_scheduled = False
        self._broken: outcome.Error | None = None
        self._wake = trio.Event()
        self.tracer: Tracer | None = None
        """Told of calls whose context has a `BATCH`."""
        self.on_ordered: Callable[[], None] | None = None
        """Called after the commit of a call that ordered jobs. Must not raise."""

    @property
    def pooled(self) -> bool:
        """Whether a transaction-pooling PgBouncer stands between: no session outlives a transaction."""
        return self._options.pooler

    # -- what callers use ---------------------------------------------------------------------------------------------

    async def run(
        self,
        work: Work[T],
        *,
        deadline_s: float,
        readonly: bool = False,
        isolation: Isolation = "read_committed",
        pool: Pool = "primary",
    ) -> T:
        """Runs `work` in one transaction on a connection of `pool` and returns what it returned; waits for at most `deadline_s`, and
        `clean_up_s` more if a query must be cancelled. Raises `Busy`, `Unavailable`, `OutcomeUnknown`, or what the work raised.

        A replica that cannot be reached is left alone for `replica_retry_s`, its reads done on the primary.
        """
        if pool == "replica" and self._replica is not None:
            assert readonly, "a replica can only be read"
            until = trio.current_time() + deadline_s
            if trio.current_time() >= self.replica_down_until:
                try:
                    return await self._replica.run(work, deadline_s=deadline_s, readonly=True, isolation=isolation)
                except Unavailable as error:
                    # A conflict or an expired statement says nothing about the replica's health, but the primary may still answer in time.
                    if error.reason not in ("conflict", "timeout"):
                        self.replica_down_until = trio.current_time() + self._options.replica_retry_s
                    if error.reason == "closed" or trio.current_time() >= until:
                        raise
                except Busy:
                    pass
            deadline_s = until - trio.current_time()
        return await self._primary.run(work, deadline_s=deadline_s, readonly=readonly, isolation=isolation)

    @property
    def lanes(self) -> Mapping[str, LanePort]:
        """All there are, by name: for those who count."""
        return self._lanes

    def submit(
        self,
        work: Work[T],
        on_done: Callable[[outcome.Outcome[T]], None],
        *,
        deadline_s: float,
        readonly: bool = False,
        isolation: Isolation = "read_committed",
    ) -> Submitted:
        """`run` for synchronous callers: see `LanePort.submit`. On the primary."""
        return self._primary.submit(work, on_done, deadline_s=deadline_s, readonly=readonly, isolation=isolation)

    def dedicated(self, name: str) -> LanePort:
        """The lane of one connection called `name`, made when first asked for: its calls run one at a time, in order, and reads
        elsewhere never make them wait.
        """
        return self._lanes.get(name) or self._add(name, self._options.dsn, 1)

    async def wait_ready(self, deadline_s: float) -> None:
        """Returns when the primary answers a query. Raises `Unavailable` with what is wrong at the deadline, and at once where waiting
        does not heal it (a wrong password, a missing database).
        """
        until = trio.current_time() + deadline_s
        wrong: Unavailable | None = None
        while (left_s := until - trio.current_time()) > 0:
            try:
                return await self.run(_ask_anything, deadline_s=min(left_s, READY_ATTEMPT_S), readonly=True)
            except Unavailable as error:
                # The last attempt has little time left: what an earlier one found out says more than that.
                wrong = error if wrong is None or error.reason != "timeout" else wrong
                if not error.heals:
                    raise
            await trio.sleep(READY_POLL_S)
        raise wrong or Unavailable("timeout", f"not ready within {deadline_s:g} s")

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs the bridge until cancelled: `started()` says that calls are accepted, not that the database is up. When it ends, every
        call is answered: those under way are cancelled on the server, for at most `clean_up_s`.
        """
        assert self._far is None, "this bridge is serving already"
        self._token = trio.lowlevel.current_trio_token()
        self._wake, self._broken = trio.Event(), None
        far = FarSide(self._deliver, self._options.clean_up_s)
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(_run_thread, far)
                self._far = far
                task_status.started()
                try:
                    await self._wake.wait()
                    assert self._broken is not None
                    raise self._broken.error
                finally:
                    self._far = None
                    far.stop()
        finally:
            # Only a thread that died by itself leaves something unanswered.
            self._far = None
            self._drain_outbound()
            for call in list(self._calls):
                self._answer(call, outcome.Error(call.judge("closed", "the bridge has stopped")))

    # -- the trio thread ----------------------------------------------------------------------------------------------

    def _add(self, name: str, dsn: str, connections_max: int) -> LanePort:
        options = self._options
        lane = LaneOptions(name, dsn, connections_max, pooler=options.pooler, session_settings=options.session_settings)
        port: LanePort = LanePort(self, lane, options.calls_max)
        self._lanes[name] = port
        return port

    def _start(self, call: Call, lane: LanePort, on_done: Callable[[outcome.Outcome[Any]], None]) -> None:
        self._calls[call] = (lane, on_done)
        if self._far is not None:
            self._far.begin(call)
        else:
            # Answered later, as every other call is: `on_done` never runs inside `submit`.
            closed = outcome.Error(Unavailable("closed", "the bridge is not serving"))
            trio.lowlevel.current_trio_token().run_sync_soon(self._answer, call, closed)

    def _cancel(self, call: Call) -> None:
        if call in self._calls and self._far is not None:
            self._far.cancel(call)

    def _drain_outbound(self) -> None:
        self._outbound_scheduled = False
        while self._outbound:
            self._answer(*self._outbound.popleft())

    def _answer(self, call: Call, answer: outcome.Outcome[Any]) -> None:
        entry = self._calls.pop(call, None)
        if entry is None:
            return
        lane, on_done = entry
        lane.calls -= 1
        lane.counts.note(call, answer)
        if self.tracer is not None and (batch := call.context.get(BATCH)) is not None:
            waited_s = (call.progress.begun_s or call.asked_s) - call.asked_s
            fault = type(answer.error).__name__ if isinstance(answer, outcome.Error) else ""
            asked_ago_s = time.monotonic() - call.asked_s
            self.tracer.ended("postgres.call", batch, asked_ago_s, lane=lane.options.name, waited_ms=round(waited_s * 1000, 3), fault=fault)
        if self.on_ordered is not None and call.context.get(ORDERED, False) and isinstance(answer, outcome.Value):
            self.on_ordered()
        told = outcome.capture(on_done, answer)
        if isinstance(told, outcome.Error):
            # Raised here it would end trio itself; `serve` raises it instead, to its supervisor.
            self._broken = told
            self._wake.set()

    # -- the asyncio thread -------------------------------------------------------------------------------------------

    def _deliver(self, call: Call, answer: outcome.Outcome[Any]) -> None:
        self._outbound.append((call, answer))
        if not self._outbound_scheduled:
            self._outbound_scheduled = True
            assert self._token is not None
            # Trio has ended: nobody is left who could hear it.
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._drain_outbound)


async def _run_thread(far: FarSide, *, task_status: trio.TaskStatus[None]) -> None:
    token = trio.lowlevel.current_trio_token()

    def started() -> None:
        token.run_sync_soon(task_status.started)

    # Not cut short: its end is the end of every connection, and bounded. Its own limiter, since it occupies its thread for good.
    with trio.CancelScope(shield=True):
        await trio.to_thread.run_sync(far.main, started, limiter=trio.CapacityLimiter(1))


async def _ask_anything(connection: asyncpg.Connection) -> None:
    await connection.execute("SELECT 1")
