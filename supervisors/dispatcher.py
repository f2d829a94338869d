"""The dispatcher: all actors of a process, run by one task.

                    ┌──────────────── serve ────────────────┐
    tell ─▶ ready ─▶│ advance ─▶ run_ready ─▶ ready? ─ yes ─▶ checkpoint, again
                    │                           └ no ─▶ park until a tell or a deadline
    other threads ─▶│ tell_from_thread (trio token)
                    └───────────────────────────────────────┘
    hold ─ tell tell … ─ release: a round of turns at once, in the task that told them

A trio task and its memory channel cost 4.7 KiB per actor and a wake-up of ~11 µs per message; here an idle actor costs one small object,
and a thousand tells cost one wake-up, or none where the teller says that it has told them all (`hold`, `release`). `Turns` holds all
decisions; this module adds the task, the asks and the log.

Invariant: no tell and no deadline is slept through. `enlist` and `arm` wake the task if it is parked, and it parks only after seeing
nothing ready, with no checkpoint in between.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import structlog
import trio

from actors.cell import Ref, Timer
from supervisors.pool import Cell, PoolFailed
from supervisors.turns import CrashReport, DeadLetterReport, Turns

__all__ = ["AskRefused", "AskTimeout", "Dispatcher", "PoolFailed"]

M = TypeVar("M")
R = TypeVar("R")

ROUND_MAX = 1024
"""Messages handled between two checkpoints: some milliseconds of actors at most, for the sockets' and timers' sake."""

log = structlog.get_logger("dispatcher")


class AskRefused(Exception):
    """The question was not taken: the inbox was full, or the actor has stopped. Nothing happened."""


class AskTimeout(Exception):
    """No answer came in time. The outcome is *unknown*: ask again only with the same operation's number."""


class Dispatcher(Turns):
    """`Turns`, served by a trio task. `tell` and all else belong to the trio thread, except `tell_from_thread`."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
        random: Callable[[], float],
        on_crash: CrashReport | None = None,
        on_dead_letter: DeadLetterReport | None = None,
        before_round: Callable[[], None] = lambda: None,
        after_round: Callable[[], None] = lambda: None,
    ) -> None:
        """`before_round` and `after_round` enclose each round of turns, however it ends: the transport gathers what is sent in between."""
        super().__init__(
            clock=clock,
            wall=wall,
            random=random,
            on_crash=log_crash if on_crash is None else on_crash,
            on_dead_letter=_log_dead_letter if on_dead_letter is None else on_dead_letter,
        )
        self.late_answers = 0
        """Answers that came after their asker had stopped waiting."""
        self._before_round = before_round
        self._after_round = after_round
        self._parked: trio.Event | None = None
        self._nap_until_s = float("inf")
        self._held = False
        self._failed: PoolFailed | None = None
        """What ended a round that another task gave; the serving task raises it."""
        self._token: trio.lowlevel.TrioToken | None = None

    def enlist(self, cell: Cell[Any, Any]) -> None:
        self._ready.append(cell)
        if self._parked is not None and not self._held:
            self._unpark(self._parked)

    def arm(self, delay_s: float, cell: Cell[Any, Any], message: object) -> Timer:
        """Wakes the task too, if it sleeps for longer than that."""
        timer = super().arm(delay_s, cell, message)
        if self._parked is not None and self.clock() + delay_s < self._nap_until_s:
            self._unpark(self._parked)
        return timer

    def hold(self) -> None:
        """Until `release`, which must come before the next checkpoint, nobody is woken for what is told."""
        self._held = True

    def release(self) -> None:
        """A round of turns for those who were told something since `hold`, here and now: waking the serving task for them would cost
        11 µs, as much as handling five messages. What one round leaves is the serving task's, and so is a failure.
        """
        parked = self._parked
        if parked is not None and self._ready:
            self._before_round()
            try:
                self.run_ready(ROUND_MAX)
            except PoolFailed as failed:
                self._failed = failed
            finally:
                self._after_round()
                self._held = False
            if self._parked is not None and (self._ready or self._failed is not None):
                self._unpark(parked)
        self._held = False

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs actors until cancelled, then stops them all. Raises `PoolFailed`. May be called again after it ended."""
        assert self._token is None, "one task serves a dispatcher"
        self._token = trio.lowlevel.current_trio_token()
        try:
            task_status.started()
            while True:
                await self._serve_until_deadline()
        finally:
            self._token = self._parked = self._failed = None
            self.reset()

    async def ask(self, ref: Ref[M], question: Callable[[Ref[R]], M], *, deadline_s: float, size_bytes: int = 0) -> R:
        """Tells `question(reply_to)` and waits for what is told to `reply_to`, for at most `deadline_s`.

        For trio tasks (an HTTP request, say), never inside an actor. Raises `AskRefused` or `AskTimeout`.
        """
        answer: _Answer[R] = _Answer(self)
        try:
            if not ref.tell(question(answer), size_bytes):
                raise AskRefused(f"{ref!r} did not take the question")
            with trio.move_on_after(deadline_s):
                await answer.arrived.wait()
            if not answer.values:
                raise AskTimeout(f"{ref!r} did not answer within {deadline_s:g} s; the outcome is unknown")
            return answer.values[0]
        finally:
            answer.closed = True

    def tell_from_thread(self, ref: Ref[M], message: M, size_bytes: int = 0) -> bool:
        """`ref.tell`, for other threads: the message is told in the trio thread, soon. False if no task serves this dispatcher.

        Each call wakes the trio thread (~11 µs there): threads that have much to say should say it in one message.
        """
        token = self._token
        if token is None:
            return False
        try:
            token.run_sync_soon(ref.tell, message, size_bytes)
        except trio.RunFinishedError:
            return False
        return True

    def hook_failed(self, cause: Exception) -> None:
        log.error("hook_failed", exc_info=cause)

    async def _serve_until_deadline(self) -> None:
        """Serves until a deadline passes while the task is parked.

        One cancel scope for many wake-ups, its deadline moved when an earlier one turns up: a scope of its own for each parking costs
        8 µs beside the 11 µs of a wake-up. A timer that was cancelled since wakes the task for nothing, which harms nobody.
        """
        self._nap_until_s = float("inf")
        with trio.CancelScope() as nap:
            while True:
                self._parked = None
                if self._failed is not None:
                    raise self._failed
                self._before_round()
                try:
                    self.advance()
                    self.run_ready(ROUND_MAX)
                finally:
                    self._after_round()
                if self._ready:
                    await trio.lowlevel.checkpoint()
                    continue
                due_s = self.next_deadline_s()
                if due_s < self._nap_until_s:
                    self._nap_until_s = due_s
                    nap.deadline = trio.current_time() + max(0.0, due_s - self.clock())
                parked = self._parked = trio.Event()
                await parked.wait()

    def _unpark(self, parked: trio.Event) -> None:
        parked.set()
        self._parked = None


class _Answer(Generic[R]):
    """A `Ref` for one answer."""

    __slots__ = ("_dispatcher", "arrived", "closed", "values")

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self.arrived = trio.Event()
        self.closed = False
        self.values: list[R] = []

    def tell(self, message: R, size_bytes: int = 0) -> bool:
        if self.closed or self.values:
            self._dispatcher.late_answers += 1
            return False
        self.values.append(message)
        self.arrived.set()
        return True

    def tell_control(self, message: R) -> None:
        self.tell(message)


def log_crash(pool: str, key: Hashable, cause: Exception) -> None:
    log.error("actor_crashed", pool=pool, key=str(key), exc_info=cause)


def _log_dead_letter(pool: str, key: Hashable, message: object, count: int) -> None:
    # Nothing to be alarmed about: an answer to a session that has gone. The metrics count them.
    log.info("message_undelivered", pool=pool, key=str(key), message=type(message).__name__, count=count)
