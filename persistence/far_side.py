"""The bridge's other shore: the asyncio loop, and the life of one call on it.

    begin ─▶ task in the caller's context ─▶ lane.perform ─▶ finished ─▶ deliver
               │ deadline, cancel, stop: cut once            translated
               └─ still not over after clean_up_s: its connection is closed

Invariant: every call that arrived is delivered exactly once, and none holds its connection longer than its deadline plus `clean_up_s`.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import outcome
import uvloop

from actors.storage_port import OutcomeUnknown, Reason, StorageError, Unavailable
from persistence.faults import Phase, translate
from persistence.lanes import Isolation, Lane, LaneOptions, Progress, Work


@dataclass(slots=True, eq=False)
class Call:
    """One unit of work on its way through. The asyncio thread owns `progress` and the last three."""

    lane: LaneOptions
    work: Work[Any]
    isolation: Isolation
    readonly: bool
    deadline_s: float
    context: contextvars.Context
    progress: Progress = field(default_factory=Progress)
    asked_s: float = field(default_factory=time.monotonic)
    task: asyncio.Task[Any] | None = None
    cut: tuple[Reason, str] | None = None
    timer: asyncio.TimerHandle | None = None

    def judge(self, reason: Reason, detail: str) -> StorageError:
        """What a caller is told about a call that was ended from outside."""
        if self.progress.phase is Phase.COMMITTING and not self.readonly:
            return OutcomeUnknown(f"{reason}: {detail}")
        return Unavailable(reason, detail)


class FarSide:
    """`main` runs in a thread of its own; `begin`, `cancel` and `stop` are called from the trio thread alone."""

    def __init__(self, deliver: Callable[[Call, outcome.Outcome[Any]], None], clean_up_s: float) -> None:
        self._deliver = deliver
        self._clean_up_s = clean_up_s
        self._inbound: deque[Callable[[], None]] = deque()
        self._scheduled = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._lanes: dict[LaneOptions, Lane] = {}
        self._tasks: dict[asyncio.Task[Any], Call] = {}

    # -- called from the trio thread ----------------------------------------------------------------------------------

    def begin(self, call: Call) -> None:
        self._send(partial(self._begin, call))

    def cancel(self, call: Call) -> None:
        self._send(partial(self._cut, call, "cancelled", "cancelled by its caller"))

    def stop(self) -> None:
        assert self._stopping is not None
        self._send(self._stopping.set)

    def _send(self, step: Callable[[], None]) -> None:
        self._inbound.append(step)
        if not self._scheduled:
            self._scheduled = True
            assert self._loop is not None
            # A closed loop means that the thread has died; the bridge then answers what is left.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._drain)

    # -- the asyncio thread -------------------------------------------------------------------------------------------

    def main(self, started: Callable[[], None]) -> None:
        """Runs the loop until `stop`. Blocks."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._live(started))

    async def _live(self, started: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        started()
        await self._stopping.wait()
        for lane in self._lanes.values():
            lane.close()
        for call in list(self._tasks.values()):
            self._cut(call, "closed", "the bridge is stopping")
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=self._clean_up_s)
        for lane in self._lanes.values():
            lane.abort()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=self._clean_up_s)

    def _drain(self) -> None:
        self._scheduled = False  # first: what is appended from here on schedules anew
        while self._inbound:
            self._inbound.popleft()()

    def _begin(self, call: Call) -> None:
        assert self._loop is not None
        lane = self._lanes.get(call.lane)
        if lane is None:
            lane = self._lanes[call.lane] = Lane(call.lane)
        work = lane.perform(call.work, call.isolation, call.readonly, call.progress)
        # A copied context per call: without it, 99 of 100 concurrent callers saw another's context variables.
        call.task = self._loop.create_task(work, context=call.context)
        self._tasks[call.task] = call
        call.task.add_done_callback(self._finished)
        call.timer = self._loop.call_later(call.deadline_s, self._cut, call, "timeout", f"not finished within {call.deadline_s:g} s")

    def _cut(self, call: Call, reason: Reason, detail: str) -> None:
        """Ends a call from outside, once: asyncpg cancels the query on the server; later its connection is closed."""
        assert self._loop is not None
        if call.cut is not None or call.task is None or call.task.done():
            return
        call.cut = (reason, detail)
        call.task.cancel()
        assert call.timer is not None
        call.timer.cancel()
        call.timer = self._loop.call_later(self._clean_up_s, self._close_connection, call)

    def _close_connection(self, call: Call) -> None:
        if call.progress.connection is not None:
            call.progress.connection.terminate()

    def _finished(self, task: asyncio.Task[Any]) -> None:
        call = self._tasks.pop(task)
        if call.timer is not None:
            call.timer.cancel()
        error = None if task.cancelled() else task.exception()
        answer: outcome.Outcome[Any]
        if task.cancelled():
            answer = outcome.Error(call.judge(*(call.cut or ("closed", "the loop has ended"))))
        elif error is None:
            answer = outcome.Value(task.result())
        else:
            named = translate(
                error,
                call.progress.phase,
                readonly=call.readonly,
                connection_closed=call.progress.connection_closed,
            )
            # A cut may surface as the closed connection that ended it: say the cause, not the means.
            if call.cut is not None and isinstance(named, StorageError):
                named = call.judge(*call.cut)
            if named is not error:
                named.__cause__ = error
            answer = outcome.Error(named)
        call.task = None  # the task holds the call's context, the call the task: break the ring
        self._deliver(call, answer)
