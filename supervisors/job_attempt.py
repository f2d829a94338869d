"""One attempt at a job: what its kind's `run` is given, and what became of it.

    decode the payload ─▶ run(work), at most `timeout_s` ─▶ finish(effect)   or   the row ends with no effect
                              │ raised, too slow, cancelled
                              ╰─▶ fail: again later, a dead letter, or gone

Invariant: an attempt tells the queue what became of it until the queue has heard it, or its lease is lost.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec
import structlog
import trio

from actors.jobs import Hopeless, JobKind, LeaseLost
from actors.storage_port import StorageError
from persistence.jobs.endings import Endings
from persistence.jobs.queue import Fate, Held, JobQueue, Reason, Report

T = TypeVar("T")

log = structlog.get_logger("jobs")

RETRY_S: Final = 1.0
"""Between two attempts to tell a queue that is away."""


class Attempt:
    """Fits `actors.jobs.Work`. `run` carries it out; `cancel` ends it from outside."""

    def __init__(self, worker: int, held: Held, kind: JobKind, endings: Endings, queue: JobQueue, random: Callable[[], float]) -> None:
        self.held = held
        self.kind = kind
        self.payload: Any = None
        self._worker = worker
        self._endings = endings
        self._queue = queue
        self._random = random
        self._scope = trio.CancelScope()
        self._cancelled = False
        self._finished = False
        self._progress: tuple[int, int, str] | None = None

    # -- for the kind's run -------------------------------------------------------------------------------------------

    @property
    def effect_key(self) -> str:
        return self.held.effect

    @property
    def attempt(self) -> int:
        return self.held.attempt

    @property
    def space(self) -> int:
        return self.held.space

    async def finish(self, effect: Callable[[Any], Awaitable[T]]) -> T:
        assert not self._finished, f"{self.kind.name}: a run finishes once"
        value: T = await self._endings.end(self._worker, self.held, effect)
        self._finished = True
        return value

    def report(self, done: int, total: int = 0, words: str = "") -> None:
        self._progress = (done, total, words)

    # -- for the foreman ----------------------------------------------------------------------------------------------

    def cancel(self) -> None:
        """Ends the run: nobody wants it any more."""
        self._cancelled = True
        self._scope.cancel()

    def take_report(self) -> Report | None:
        """How far it is, where that was not asked for since."""
        progress, self._progress = self._progress, None
        return None if progress is None else Report(self.held.id, self.held.attempt, *progress)

    async def run(self) -> tuple[Fate | None, str]:
        """Carries it out; what became of it (None: done), and the error. Never raises what the run raised."""
        try:
            self.payload = msgspec.msgpack.decode(self.held.payload, type=self.kind.payload)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            # What words it has is nobody's to read, not even the ones that are none.
            words = error.reason if isinstance(error, UnicodeDecodeError) else str(error)
            return await self._fail(f"its payload cannot be read: {words}", Reason.HOPELESS)
        self._scope.deadline = trio.current_time() + self.kind.timeout_s
        with self._scope:
            try:
                await self.kind.run(self)
            except LeaseLost as error:
                # Where it was cancelled the row is still there, for us to remove.
                return await self._fail(str(error))
            except Hopeless as error:
                return await self._fail(f"{type(error).__name__}: {error}", Reason.HOPELESS)
            except Exception as error:  # noqa: BLE001 - a supervisor
                if self._finished:
                    log.error("job_failed_after_its_end", kind=self.kind.name, id=self.held.id, error=repr(error))
                    return None, ""
                return await self._fail(f"{type(error).__name__}: {error}")
        if self._finished:
            return None, ""
        if self._scope.cancelled_caught:
            return await self._fail("cancelled" if self._cancelled else f"not finished within {self.kind.timeout_s:g} s")
        return await self._persist(self._end)

    async def _end(self) -> tuple[Fate | None, str]:
        try:
            await self._endings.end(self._worker, self.held)
        except LeaseLost as error:
            return await self._fail(str(error))
        return None, ""

    async def _fail(self, error: str, reason: Reason | None = None) -> tuple[Fate, str]:
        held = self.held
        if reason is None and held.attempt >= self.kind.attempts_max:
            reason = Reason.FAILED
        delay_s = self.kind.way.delay_s(held.attempt, self._random())

        async def tell() -> tuple[Fate, str]:
            return await self._queue.fail(self._worker, held.id, held.attempt, error, delay_s=delay_s, reason=reason), error

        # The scope's own end must not keep the queue from hearing of it; a lost lease still does.
        self._scope.deadline = float("inf")
        return await self._persist(tell)

    async def _persist(self, tell: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await tell()
            except StorageError:
                await trio.sleep(RETRY_S)
