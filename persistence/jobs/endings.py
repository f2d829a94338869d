"""How jobs end well: in groups, each group one transaction that deletes the rows and writes what the jobs were for.

    end(held, effect) ─▶ waiting, by kind ─▶ delete the rows that are still held ─▶ effect(tx), one after the other ─▶ commit ─▶ answers
                                                        │ not held: LeaseLost            │ one fails: all undone, then each by itself
                                                        ╰────────────── one transaction ─╯

A transaction costs more than a small effect, so what waits while one is under way shares the next. Kinds are apart: one with slow effects
makes only its own wait.
Invariant: an effect is committed if and only if its row is deleted with it, by the attempt that holds it and was not cancelled.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import asyncpg
import outcome
import trio

from actors.jobs import LeaseLost
from actors.storage_port import OutcomeUnknown, StorageError
from persistence.bridge import Bridge
from persistence.jobs.queue import Held

Effect = Callable[[Any], Awaitable[Any]]

GROUP_MAX: Final = 256
AT_ONCE_MAX: Final = 2
"""Groups of one kind under way: one commits while the other works."""
CALL_S: Final = 25.0
"""A group's deadline; below the server's own for one statement, so that ours names the culprit."""
RESUBMIT_S: Final = 0.5
RESUBMITS_MAX: Final = 20

_DELETE: Final = """
delete from jobs j using unnest($2::bigint[], $3::smallint[]) as m (id, attempt)
where j.id = m.id and j.id = any ($2) and j.worker = $1 and j.attempts = m.attempt and j.state = 2 and not j.cancelled
returning j.id"""


class _Ending:
    __slots__ = ("answer", "effect", "ended", "held", "worker")

    def __init__(self, worker: int, held: Held, effect: Effect | None) -> None:
        self.worker, self.held, self.effect = worker, held, effect
        self.ended = trio.Event()
        self.answer: outcome.Outcome[Any] | None = None


class Endings:
    """`serve` runs it. `end` may be called before it does, and waits."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._waiting: dict[str, deque[_Ending]] = {}
        self._under_way: dict[str, int] = {}
        self._nursery: trio.Nursery | None = None
        self.groups = 0
        self.apart = 0
        """Groups taken apart because one of their effects failed."""

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._under_way.clear()
            task_status.started()
            for kind in list(self._waiting):
                self._go_on(kind)
            try:
                await trio.sleep_forever()
            finally:
                self._nursery = None

    async def end(self, worker: int, held: Held, effect: Effect | None = None) -> Any:
        """Ends a job and returns what its effect returned. Raises `LeaseLost` (also where it did end, but the answer was lost on the way),
        `StorageError`, or what the effect raised."""
        ending = _Ending(worker, held, effect)
        self._waiting.setdefault(held.kind, deque()).append(ending)
        self._go_on(held.kind)
        try:
            await ending.ended.wait()
        except trio.Cancelled:
            # Nobody waits for it: if it has not begun it does not.
            queue = self._waiting.get(held.kind)
            if queue is not None and ending in queue:
                queue.remove(ending)
            raise
        assert ending.answer is not None
        return ending.answer.unwrap()

    def _go_on(self, kind: str) -> None:
        if self._nursery is not None and self._waiting.get(kind) and self._under_way.get(kind, 0) < AT_ONCE_MAX:
            self._under_way[kind] = self._under_way.get(kind, 0) + 1
            self._nursery.start_soon(self._work, kind)

    async def _work(self, kind: str) -> None:
        queue = self._waiting[kind]
        try:
            while queue:
                group = [queue.popleft() for _ in range(min(GROUP_MAX, len(queue)))]
                # Those of one worker: it changes only when a lease was lost.
                for worker in sorted({one.worker for one in group}):
                    await self._end_group(worker, [one for one in group if one.worker == worker])
        finally:
            self._under_way[kind] -= 1
            if not queue and not self._under_way[kind]:
                self._waiting.pop(kind, None)
                self._under_way.pop(kind, None)

    async def _end_group(self, worker: int, group: Sequence[_Ending]) -> None:
        self.groups += 1
        for again in range(RESUBMITS_MAX, -1, -1):
            answers: list[outcome.Outcome[Any]]
            try:
                answers = await self._bridge.run(partial(_end, worker=worker, group=group), deadline_s=CALL_S)
            except OutcomeUnknown as error:
                # Asked again: a row that is still there was not ended.
                if again:
                    await trio.sleep(RESUBMIT_S)
                    continue
                answers = [outcome.Error(error)] * len(group)
            except StorageError as error:
                if len(group) > 1 and _may_be_one_of_them(error):
                    return await self._end_apart(worker, group)
                answers = [outcome.Error(error)] * len(group)
            except Exception as error:  # noqa: BLE001 - an effect's own, handed to whoever asked for it
                if len(group) > 1:
                    return await self._end_apart(worker, group)
                answers = [outcome.Error(error)]
            for ending, answer in zip(group, answers, strict=True):
                ending.answer = answer
                ending.ended.set()
            return None
        raise AssertionError("the last round answers")

    async def _end_apart(self, worker: int, group: Sequence[_Ending]) -> None:
        self.apart += 1
        for ending in group:
            await self._end_group(worker, [ending])


def _may_be_one_of_them(error: StorageError) -> bool:
    """Whether the server undid the group for what one of its effects did, or how long that took."""
    return getattr(error, "reason", "") in ("conflict", "timeout", "exhausted")


async def _end(tx: asyncpg.Connection, worker: int, group: Sequence[_Ending]) -> list[outcome.Outcome[Any]]:
    ids, attempts = [one.held.id for one in group], [one.held.attempt for one in group]
    ended = {row["id"] for row in await tx.fetch(_DELETE, worker, ids, attempts)}
    answers: list[outcome.Outcome[Any]] = []
    for one in group:
        if one.held.id not in ended:
            answers.append(outcome.Error(LeaseLost(f"job {one.held.id} ({one.held.kind}) is not held any more, or was cancelled")))
        else:
            answers.append(outcome.Value(await one.effect(tx) if one.effect is not None else None))
    return answers
