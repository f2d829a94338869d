"""One version at work: its questions, its process, and what happens when that one fails.

    ask ─▶ Batcher ─ due ─▶ worker.answer ─▶ replies
    run:  begin ─▶ feed ─▶ warm ─▶ READY ─ work, watch, keep fed ─▶ gone ─▶ RESTING (backoff) ─▶ begin …
                                             a batch above its time, memory above its bound, a crash

Invariant: each question that was taken is replied to once, or was late; while it is not ready none is taken. A life that ends takes the
batch that it had with it (`BROKEN`), and nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Final

import msgspec
import structlog
import trio

from actors.child import Backoff
from actors.histogram import ITEMS, SECONDS, Histogram
from actors.inference import AnyResult, Why
from actors.model_book import Feeds, Mark
from actors.model_line import Asked
from actors.storage_port import StorageError
from ml_actors.batching import Batcher
from ml_actors.kinds import Kind, Unusable
from ml_actors.workers import Worker, WorkerGone

log = structlog.get_logger("models")
_RESULT: Final[msgspec.msgpack.Decoder[AnyResult]] = msgspec.msgpack.Decoder(AnyResult)

QUEUE_MAX: Final = 256
"""Questions that wait here for one version, where nobody else could take them."""
ROOM_BATCHES: Final = 2
"""What is taken from a queue that others read, too: the batch after the present one."""
FEED_EVERY_S: Final = 1.0
LATE_LOOP_S: Final = 0.25
"""A time-out that this process itself came too late for (it was stopped) is given once more: the worker may have answered long ago."""
WAYS: Final = Backoff(first_s=0.1, max_s=5.0, stable_s=30.0)
FEED_WAYS: Final = Backoff(first_s=1.0, max_s=60.0)
"""Of a feed that raises what no database that is away does: it would raise the same a second later."""
UNUSABLE_S: Final = 30.0
"""Before a version that cannot be loaded is tried again: its folder does not mend itself."""


class FeedBroken(Exception):
    """What a model must know cannot be read, though the database is there."""


class Phase(Enum):
    STARTING = "starting"
    READY = "ready"
    RESTING = "resting"
    """Between two lives."""
    UNUSABLE = "unusable"
    ENDED = "ended"


class RunnerCounts:
    """What a version did since it was made."""

    __slots__ = ("answered", "batch_items", "batch_s", "broken", "crashes", "fed", "feed_failed", "late", "shed", "start_s")

    def __init__(self) -> None:
        self.answered = 0
        self.broken = 0
        self.late = 0
        self.shed = 0
        self.crashes = 0
        self.fed = 0
        """Rows."""
        self.feed_failed = 0
        """Times that they could not be read, though the database was there."""
        self.start_s = 0.0
        """What the last start took, until it was ready."""
        self.batch_items = Histogram(ITEMS)
        self.batch_s = Histogram(SECONDS)


class Runner:
    """One version in this process. `run` it; the rest never waits."""

    def __init__(
        self,
        title: str,
        kind: Kind,
        make: Callable[[], Awaitable[Worker]],
        *,
        random: Callable[[], float],
        feeds: Feeds | None = None,
        on_change: Callable[[], None] = lambda: None,
        queue_max: int = QUEUE_MAX,
    ) -> None:
        """`make`: another life. Raises `Unusable`. `on_change`: told when it becomes ready or is so no more, or has room again."""
        self.title = title
        self.kind = kind
        self.phase = Phase.STARTING
        self.last_cause = ""
        self.counts = RunnerCounts()
        self.worker: Worker | None = None
        self._make = make
        self._random = random
        self._feeds = feeds
        self._on_change = on_change
        self._batcher: Batcher[Asked] = Batcher(batch_max=kind.batch_max, wait_s=kind.batch_wait_s, queue_max=queue_max)
        self._in_hand: list[Asked] = []
        self._bell = trio.Event()
        self._by = title
        self._crashes_in_a_row = 0
        self._mark: Mark = ()
        self._cause = ""
        self._closing = False

    @property
    def ready(self) -> bool:
        return self.phase is Phase.READY and not self._closing

    def is_closing(self) -> bool:
        """Whether it takes no more."""
        return self._closing

    @property
    def waiting(self) -> int:
        return len(self._batcher)

    @property
    def room(self) -> int:
        return max(0, ROOM_BATCHES * self.kind.batch_max - len(self._batcher)) if self.ready else 0

    def ask(self, asked: Asked) -> None:
        if not self.ready:
            asked.reply(Why.AWAY, "", f"{self.title} is {self.phase.value}", b"")
        elif not self._batcher.put(asked, asked.late_at, trio.current_time()):
            self.counts.shed += 1
            asked.reply(Why.SHED, "", f"{len(self._batcher)} wait for {self.title}", b"")
        else:
            self._bell.set()

    def close(self) -> None:
        """Takes no more; `run` returns when what it has is answered."""
        self._closing = True
        self._bell.set()

    async def run(self) -> None:
        """Life after life, until it is closed or cancelled."""
        try:
            while not self.is_closing():
                began = trio.current_time()
                self._enter(Phase.STARTING)
                rest_s = await self._one_life()
                if self.is_closing():
                    return
                self.counts.crashes += 1
                lasted = trio.current_time() - began
                self._crashes_in_a_row = 1 if lasted > WAYS.stable_s else self._crashes_in_a_row + 1
                await trio.sleep(rest_s or WAYS.delay_s(self._crashes_in_a_row, self._random()))
        finally:
            self._refuse_all(f"{self.title} is put away")
            self._enter(Phase.ENDED)

    async def _one_life(self) -> float:
        """From birth to death; how long to rest, 0: as the backoff says."""
        worker: Worker | None = None
        try:
            worker = self.worker = await self._make()
            began = trio.current_time()
            with trio.fail_after(self.kind.start_s):
                await self._start(worker)
            self.counts.start_s = trio.current_time() - began
            self._enter(Phase.READY)
            log.info("model_warmed", version=self.title, seconds=round(self.counts.start_s, 3))
            await self._share(worker)
            return 0.0
        except Unusable as error:
            self._cause = str(error)
            self._die(Phase.UNUSABLE)
            return UNUSABLE_S
        except trio.TooSlowError:
            self._cause = f"not ready within {self.kind.start_s} s"
        except (WorkerGone, StorageError, FeedBroken) as error:
            self._cause = str(error)
        finally:
            self.worker = None
            if worker is not None:
                await worker.end()
        self._die(Phase.RESTING)
        return 0.0

    async def _start(self, worker: Worker) -> None:
        self._by = await worker.begin()
        self._mark = ()
        if self.kind.fed and self._feeds is not None:
            while await self._feed_page(worker, self._feeds):
                pass
        await worker.warm()

    async def _share(self, worker: Worker) -> None:
        """Its parts side by side, until one of them finds it gone or all is answered and it was closed. Raises `WorkerGone`."""
        gone: list[WorkerGone] = []

        async with trio.open_nursery() as nursery:

            async def part(run: Callable[[Worker], Awaitable[None]]) -> None:
                try:
                    await run(worker)
                except WorkerGone as error:
                    gone.append(error)
                nursery.cancel_scope.cancel()

            nursery.start_soon(part, self._watch)
            nursery.start_soon(part, self._work)
            if self.kind.fed and self._feeds is not None:
                nursery.start_soon(part, self._keep_fed)
        if gone:
            raise gone[0]

    async def _watch(self, worker: Worker) -> None:
        await worker.watch()

    async def _work(self, worker: Worker) -> None:
        batcher = self._batcher
        while True:
            self._bell = trio.Event()
            due_s = batcher.due_s()
            if due_s > trio.current_time():
                if self._closing and not len(batcher):
                    return
                with trio.move_on_at(due_s):
                    await self._bell.wait()
                continue
            was_full = self.room == 0
            batch, late = batcher.take(trio.current_time())
            self.counts.late += len(late)
            if batch:
                await self._answer(worker, batch)
            if was_full:
                self._on_change()

    async def _answer(self, worker: Worker, batch: list[Asked]) -> None:
        self._in_hand = batch
        began = trio.current_time()
        results = await self._within(worker, [asked.request for asked in batch])
        for result in results:
            # Read here, where it costs this version its life, and never in a reply, where it would cost whoever routes all models theirs.
            if not isinstance(result, str):
                try:
                    _RESULT.decode(result)
                except msgspec.MsgspecError as error:
                    raise WorkerGone(f"it gave a result that nobody may read: {error}") from error
        seconds = trio.current_time() - began
        self._in_hand = []
        self._batcher.done(seconds)
        self.counts.batch_s.observe(seconds)
        self.counts.batch_items.observe(len(batch))
        for asked, result in zip(batch, results, strict=True):
            if isinstance(result, str):
                self.counts.broken += 1
                asked.reply(Why.BROKEN, self._by, result, b"")
            else:
                self.counts.answered += 1
                asked.reply(None, self._by, "", result)

    async def _within(self, worker: Worker, requests: list[bytes]) -> list[bytes | str]:
        """What it answers within the kind's time. Raises `WorkerGone`."""
        answers: list[bytes | str] = []
        over = trio.Event()
        gone: list[WorkerGone] = []

        async def ask() -> None:
            try:
                answers.extend(await worker.answer(requests))
            except WorkerGone as error:
                gone.append(error)
            over.set()

        timeout_s = self.kind.batch_timeout_s
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            with trio.move_on_after(timeout_s) as scope:
                await over.wait()
            if not over.is_set() and trio.current_time() > scope.deadline + LATE_LOOP_S:
                with trio.move_on_after(timeout_s):
                    await over.wait()
            nursery.cancel_scope.cancel()
        if gone:
            raise gone[0]
        if not over.is_set():
            raise WorkerGone(f"killed for its time: a batch of {len(requests)} took more than {timeout_s} s")
        return answers

    async def _keep_fed(self, worker: Worker) -> None:
        assert self._feeds is not None
        failed = 0
        while True:
            rest_s = FEED_EVERY_S
            try:
                more = await self._feed_page(worker, self._feeds)
                failed = 0
            except StorageError as error:
                log.warning("feed_awaited", version=self.title, error=str(error))
                more = False
            except FeedBroken:
                failed, more = failed + 1, False
                rest_s = FEED_WAYS.delay_s(failed, self._random())
            if not more:
                await trio.sleep(rest_s)

    async def _feed_page(self, worker: Worker, feeds: Feeds) -> bool:
        """Raises `StorageError`, `FeedBroken`, and `WorkerGone` also where what it knows is of another history."""
        try:
            page = await feeds.page(self.kind.name, self._mark)
        except StorageError:
            raise
        except Exception as error:
            # A supervisor: whatever one model's rows do to their query, the models beside it are none the worse.
            self.counts.feed_failed += 1
            log.exception("feed_failed", version=self.title)
            raise FeedBroken(f"{type(error).__name__}: {error}") from error
        if self._mark and not page.mark:
            raise WorkerGone("what it was fed is of another history: it begins again")
        if page.rows:
            await worker.feed(page.rows)
            self.counts.fed += len(page.rows)
        self._mark = page.mark
        return page.more

    def _die(self, phase: Phase) -> None:
        self.last_cause = self._cause
        log.warning("model_fell", version=self.title, cause=self._cause, phase=phase.value)
        self._enter(phase)
        in_hand, self._in_hand = self._in_hand, []
        self.counts.broken += len(in_hand)
        for asked in in_hand:
            asked.reply(Why.BROKEN, self._by, self._cause, b"")
        self._refuse_all(f"{self.title}: {self._cause}")

    def _refuse_all(self, words: str) -> None:
        for asked in (*self._in_hand, *self._batcher.clear()):
            asked.reply(Why.AWAY, "", words, b"")
        self._in_hand = []

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self._on_change()
