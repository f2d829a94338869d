"""The journal: the one way by which mutations become durable.

    submit ─▶ queue ─▶ batch ─▶ hot: one call of journal_append ─▶ facts to the herald, Decided to each
              bounded    │         its own connection
                         ├────▶ merge: changes of records, a transaction of two calls ─▶ likewise
                         │         batches too, beside the hot ones, on a connection of their own
                         └────▶ slow: a transaction each, a few at once ─▶ likewise

    What the same device asks in another way after a change or an operation waits until that is done.

What queues while the last batch is in flight is the next batch; how long it gathers follows the load (`pace`). A batch that fails is
bisected, so an entry that the database cannot take is refused alone. A connection that is lost while committing leaves an unknown
outcome: the same batch is sent again, and the numbers tell which of it had happened.

The herald hears of each transaction once, in the order in which they were answered here. Batches of a kind are one after the other; an
operation has its own connection, so its fact may come a moment after a later number of the same stream, as it may from another gateway.

Invariant: every entry that `submit` took is answered once: `OK` only after the commit, `UNAVAILABLE` where nothing is known to have
happened (asking again with the same number is safe in any case). Order per device is kept.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import asyncpg
import msgspec
import structlog
import trio
from msgspec import Struct

from actors.cell import Ref
from actors.histogram import ITEMS, SECONDS, Histogram
from actors.storage import Decided, Entry, Fact, Herald, Refusal
from actors.storage_port import Busy, OutcomeUnknown, StorageError, Unavailable
from persistence.append import AUTHORITY_MOVED, recall, recall_heads
from persistence.bridge import Bridge, LanePort
from persistence.followed import Followed
from persistence.lanes import Isolation
from persistence.operations.hot import Columns, Numbers, goes_hot
from persistence.operations.merging import Merges, goes_the_merge_way, payload_of
from persistence.operations.proving import STEP_UP_S, Prover, proven_within
from persistence.operations.slow import Outcome, carry_out
from persistence.pace import Pace
from persistence.uploads.rules import UploadRules
from protocol.codes import Code
from protocol.merge import read_outcome
from protocol.operations import Change, ChangeSettings, CreateCommunity, Delete, Edit, Post, React, Say, Update

T = TypeVar("T")

log = structlog.get_logger()

POISON: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    msgspec.MsgspecError,
    ArithmeticError,
    AssertionError,
    LookupError,
    TypeError,
    ValueError,
)
"""What a single entry can make its transaction raise. Everything else is a fault of ours and ends the journal, for its supervisor."""
OURS: Final = frozenset({"25", "28", "3D", "3F", "42"})
"""SQLSTATE classes that no entry causes: a missing function or right, a wrong state. Refusing entries one by one would hide it."""
CONTENDED: Final = (AUTHORITY_MOVED, asyncpg.UniqueViolationError.sqlstate)
"""What another transaction that came first makes this one raise: its second look sees what the other did."""


class JournalOptions(Struct, frozen=True):
    """Bounds. `items_max` and `bytes_max` hold everything taken and not yet answered; beyond them `submit` says no."""

    items_max: int = 20_000
    bytes_max: int = 32 << 20
    batch_items_max: int = 1_000
    batch_bytes_max: int = 2 << 20
    merge_items_max: int = 500
    """Changes in one transaction: deciding them takes some 20 ms, for which their records are locked."""
    slow_at_once: int = 4
    call_s: float = 10.0
    resubmit_s: float = 20.0
    """How long an unknown outcome is pursued: a fail-over takes some ten seconds."""
    resubmit_interval_s: float = 0.1
    conflicts_max: int = 4
    """How often one transaction is repeated at once because of another (a deadlock, an audience that changed, a record made meanwhile)."""
    contended_s: float = 5.0
    """How long an entry that is alone in its transaction is tried while others come first each time: it is not to blame for them."""


class _Item(Struct, frozen=True, eq=False):
    entry: Entry
    reply_to: Ref[Decided]
    size_bytes: int


class _Batch(Protocol):
    """Entries on their way: `append` runs on the asyncio side, as often as it must; `read` takes what it returned at last."""

    async def append(self, connection: asyncpg.Connection) -> Any: ...

    def read(self, appended: Any) -> tuple[list[Decided], list[Fact]]: ...

    def fills_outbox(self, appended: Any) -> bool: ...

    def holds_back(self, appended: Any) -> bool: ...


class _Way(Struct, frozen=True, eq=False):
    """How batches of a kind become durable."""

    lane: LanePort
    isolation: Isolation
    batch: Callable[[Sequence[Entry]], _Batch]


class JournalStats(Struct):
    """What the journal did since it was made; only ever grows, but for `queued`."""

    queued: int = 0
    queued_bytes: int = 0
    entries: int = 0
    batches: int = 0
    merges: int = 0
    """Batches of changes."""
    operations: int = 0
    conflicts: int = 0
    """Deadlocks and the like; the order of locks is to keep it at 0."""
    collisions: int = 0
    """Something unique made twice at the same moment; only where an operation says how it copes."""
    resubmitted: int = 0
    bisected: int = 0
    poisoned: int = 0
    unavailable: int = 0
    batch_entries: Histogram = msgspec.field(default_factory=lambda: Histogram(ITEMS))
    """Of batches that were answered, changes included."""
    commit_s: Histogram = msgspec.field(default_factory=lambda: Histogram(SECONDS))
    """One batch, from handing it to the bridge to its answer, repeats included."""
    answer_s: Histogram = msgspec.field(default_factory=lambda: Histogram(SECONDS))
    """The entry of a hot batch that waited longest: from `submit` to its answer."""
    outcomes: dict[tuple[str, int, bool], int] = msgspec.field(default_factory=dict)
    """Answers by operation, code, and whether the outcome was known already."""
    changes: dict[int, int] = msgspec.field(default_factory=dict)
    """Changes of records that were taken, by `protocol.merge.Outcome`."""


class Journal:
    """Implements `actors.storage.Journal`. `serve` runs it; `submit` refuses while nobody does.

    `outbox_filled` is called when a transaction left something in the outbox. `prove` says whether who asks for something dangerous has
    proven lately who they are.
    """

    def __init__(
        self,
        bridge: Bridge,
        herald: Herald,
        outbox_filled: Callable[[], None],
        options: JournalOptions = JournalOptions(),  # noqa: B008 (frozen)
        *,
        prove: Prover = proven_within(STEP_UP_S),  # noqa: B008 (asks; keeps nothing)
    ) -> None:
        self._prove = prove
        self._bridge = bridge
        self._lane = bridge.dedicated("journal")
        self._hot_way = _Way(self._lane, "none", Columns)
        self._merge_way = _Way(bridge.dedicated("merge"), "read_committed", Merges)
        self._herald = herald
        self._outbox_filled = outbox_filled
        self._options = options
        self._serving = False
        self._queue: deque[_Item] = deque()
        self._unanswered: dict[_Item, None] = {}
        self._slow: deque[_Item] = deque()
        self._merging: deque[_Item] = deque()
        self._under_way: dict[int, int] = {}  # by device: how many of its changes are being merged, or wait for that
        self._behind: dict[int, deque[_Item]] = {}  # by device: what waits for its operation, or its changes, under way
        self._queued = trio.Event()
        self._full = trio.Event()
        self._slow_queued = trio.Event()
        self._merge_queued = trio.Event()
        self._merge_full = trio.Event()
        self._pace = Pace()
        self._merge_pace = Pace()
        self.troubled = False
        """Postgres could not be asked the last time."""
        self.held_back: Callable[[], None] = _nothing
        """Called when something was said where it is judged first: it waits for that."""
        self.space_bytes_max = UploadRules().space_bytes_max
        """Of the files in one place."""
        self.followed: Followed | None = None
        """Tells of sampled entries; None: nobody asks."""
        self._waits_since_s = 0.0
        """When the first of the queue came."""
        self.stats = JournalStats()

    @property
    def interval_s(self) -> float:
        """How long after the last batch the next one begins at the earliest."""
        return self._pace.interval_s

    def waited_s(self, now_s: float) -> float:
        """How long the first of the queue waits by now."""
        return now_s - self._waits_since_s if self._queue else 0.0

    def submit(self, entry: Entry, reply_to: Ref[Decided]) -> bool:
        """Queues an entry; False at the bound, or while the journal is not being served."""
        stats, options = self.stats, self._options
        size_bytes = sys.getsizeof(entry.operation) + _text_bytes(entry)
        if not self._serving or stats.queued >= options.items_max or stats.queued_bytes + size_bytes > options.bytes_max:
            return False
        item = _Item(entry, reply_to, size_bytes)
        stats.queued += 1
        stats.queued_bytes += size_bytes
        self._unanswered[item] = None
        if not self._queue:
            self._waits_since_s = trio.current_time()
        self._queue.append(item)
        self._queued.set()
        if len(self._queue) >= options.batch_items_max:
            self._full.set()
        if entry.trace is not None and self.followed is not None:
            self.followed.queued(entry.trace)
        return True

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until cancelled. However it ends, what is unanswered then is answered with `UNAVAILABLE`."""
        assert not self._serving
        self._serving = True
        try:
            async with trio.open_nursery() as nursery:
                for _ in range(self._options.slow_at_once):
                    nursery.start_soon(self._operate)
                nursery.start_soon(self._merge)
                task_status.started()
                await self._append()
        finally:
            self._serving = False
            self._queue.clear()
            self._slow.clear()
            self._merging.clear()
            self._under_way.clear()
            self._behind.clear()
            for item in list(self._unanswered):
                self._give_up(item, "the journal stopped; whether this was committed is unknown")

    # -- hot: batches -------------------------------------------------------------------------------------------------

    async def _append(self) -> None:
        while True:
            self._queued = trio.Event()
            if not self._queue:
                await self._queued.wait()
            if len(self._queue) < self._options.batch_items_max:
                self._full = trio.Event()
                with trio.move_on_at(self._pace.next_start_s()):
                    await self._full.wait()
            since_s = self._waits_since_s
            hot, merging, slow = self._take()
            self._waits_since_s = trio.current_time()
            self._pace.started(trio.current_time(), len(hot))
            if hot:
                self.stats.batches += 1
                await self._commit(hot, self._hot_way)
                self.stats.answer_s.observe(trio.current_time() - since_s)
            # Only now: neither may overtake what its device asked for before.
            self._slow.extend(slow)
            if slow:
                self._slow_queued.set()
            self._merging.extend(merging)
            if merging:
                self._merge_queued.set()
            if len(self._merging) >= self._options.merge_items_max:
                self._merge_full.set()

    def _take(self) -> tuple[list[_Item], list[_Item], list[_Item]]:
        """The next batch, and the changes and operations to begin after it."""
        hot: list[_Item] = []
        merging: list[_Item] = []
        slow: list[_Item] = []
        numbers = Numbers()
        left_bytes = self._options.batch_bytes_max
        while self._queue and len(hot) < self._options.batch_items_max and left_bytes > 0:
            item = self._queue[0]
            entry = item.entry
            if entry.device in self._behind:
                self._behind[entry.device].append(item)
            elif goes_the_merge_way(entry.operation):
                merging.append(item)
                if entry.device:
                    self._under_way[entry.device] = self._under_way.get(entry.device, 0) + 1
            elif entry.device in self._under_way:
                self._behind[entry.device] = deque((item,))
            elif not goes_hot(entry.operation):
                slow.append(item)
                if entry.device:
                    self._behind[entry.device] = deque()
            elif numbers.fits(entry):
                hot.append(item)
                left_bytes -= item.size_bytes
            else:
                break
            self._queue.popleft()
        return hot, merging, slow

    def _let_on(self, device: int) -> None:
        """Nothing of the device is under way any more: what waited behind it goes on."""
        waiting = self._behind.pop(device, None)
        if waiting:
            # In front of everything: whatever else this device asked for came later.
            self._queue.extendleft(reversed(waiting))
            self._queued.set()

    async def _commit(self, items: Sequence[_Item], way: _Way) -> None:
        """Makes a batch durable; where it cannot be, its halves."""
        began_s = trio.current_time()
        followed = self.followed.begin([item.entry for item in items]) if self.followed is not None else None
        try:
            batch = way.batch([item.entry for item in items])
            appended, lost = await self._send(batch, way, is_alone=len(items) == 1)
        except (Unavailable, Busy) as error:
            self._note(str(error))
            for item in items:
                self._give_up(item, error.for_peers)
            return
        except POISON as error:
            raise_if_ours(error)
            if len(items) > 1:
                self.stats.bisected += 1
                half = len(items) // 2
                await self._commit(items[:half], way)
                await self._commit(items[half:], way)
            else:
                await self._refuse(items[0], error)
            return
        self._note("")
        self.stats.batch_entries.observe(len(items))
        self.stats.commit_s.observe(trio.current_time() - began_s)
        decided, facts = batch.read(appended)
        if batch.holds_back(appended):
            self.held_back()
        if lost:
            facts = await self._recall(items, decided) + facts
        if followed is not None and self.followed is not None:
            facts = self.followed.committed(followed, [item.entry for item in items], decided, facts)
        if facts:
            self._herald.committed(facts)
        if batch.fills_outbox(appended):
            self._outbox_filled()
        for item, answer in zip(items, decided, strict=True):
            self._answer(item, answer)

    async def _send(self, batch: _Batch, way: _Way, *, is_alone: bool) -> tuple[Any, bool]:
        run = partial(way.lane.run, batch.append, deadline_s=self._options.call_s, isolation=way.isolation)
        return await self._until_known(run, is_alone=is_alone)

    async def _refuse(self, item: _Item, error: BaseException) -> None:
        """Consumes the number of an entry that the database cannot take, so that what comes after it is no gap."""
        entry = item.entry
        self.stats.poisoned += 1
        log.warning("entry_poisoned", user=entry.user, device=entry.device, number=entry.number, error=repr(error))
        refusal = Refusal(Code.INVALID, f"cannot be stored: {type(error).__name__}", payload_of(entry.operation))
        try:
            try:
                await self._refuse_by(item, refusal)
            except POISON as again:
                if not refusal.payload:
                    raise
                # It cannot be kept either.
                log.warning("entry_not_kept", user=entry.user, device=entry.device, number=entry.number, error=repr(again))
                await self._refuse_by(item, msgspec.structs.replace(refusal, payload=b""))
        except (Unavailable, Busy, *POISON) as again:
            log.warning("entry_undecided", user=entry.user, device=entry.device, number=entry.number, error=repr(again))
            self._give_up(item, "neither stored nor refused; ask again with the same number")

    async def _refuse_by(self, item: _Item, refusal: Refusal) -> None:
        way = self._merge_way if goes_the_merge_way(refusal) else self._hot_way
        batch = way.batch([msgspec.structs.replace(item.entry, operation=refusal)])
        appended, _ = await self._send(batch, way, is_alone=True)
        self._answer(item, batch.read(appended)[0][0])

    # -- merge: changes of records --------------------------------------------------------------------------------------

    async def _merge(self) -> None:
        while True:
            while not self._merging:
                self._merge_queued = trio.Event()
                await self._merge_queued.wait()
            if len(self._merging) < self._options.merge_items_max:
                self._merge_full = trio.Event()
                with trio.move_on_at(self._merge_pace.next_start_s()):
                    await self._merge_full.wait()
            items = self._take_merging()
            self._merge_pace.started(trio.current_time(), len(items))
            self.stats.merges += 1
            await self._commit(items, self._merge_way)
            for item in items:
                device = item.entry.device
                if device:
                    self._under_way[device] -= 1
                    if not self._under_way[device]:
                        del self._under_way[device]
                        self._let_on(device)

    def _take_merging(self) -> list[_Item]:
        items: list[_Item] = []
        numbers = Numbers()
        left_bytes = self._options.batch_bytes_max
        merging = self._merging
        while merging and len(items) < self._options.merge_items_max and left_bytes > 0 and numbers.fits(merging[0].entry):
            left_bytes -= merging[0].size_bytes
            items.append(merging.popleft())
        return items

    # -- slow: operations ---------------------------------------------------------------------------------------------

    async def _operate(self) -> None:
        while True:
            while not self._slow:
                if self._slow_queued.is_set():
                    self._slow_queued = trio.Event()
                await self._slow_queued.wait()
            item = self._slow.popleft()
            await self._carry_out(item)
            self._let_on(item.entry.device)

    async def _carry_out(self, item: _Item) -> None:
        entry = item.entry

        def work(tx: asyncpg.Connection) -> Awaitable[Outcome]:
            return carry_out(tx, entry, self._prove, self.space_bytes_max)

        self.stats.operations += 1
        followed = self.followed.begin([entry]) if self.followed is not None else None
        try:
            outcome, lost = await self._until_known(partial(self._bridge.run, work, deadline_s=self._options.call_s), is_alone=True)
        except (Unavailable, Busy) as error:
            self._note(str(error))
            self._give_up(item, error.for_peers)
            return
        except POISON as error:
            raise_if_ours(error)
            await self._refuse(item, error)
            return
        self._note("")
        decided = Decided(entry.number, outcome.code, outcome.value, outcome.detail, outcome.replayed, entry.generation)
        facts = await self._recall([item], [decided]) if lost and outcome.replayed else list(outcome.facts)
        if followed is not None and self.followed is not None:
            facts = self.followed.committed(followed, [entry], [decided], facts)
        if facts:
            self._herald.committed(facts)
        if outcome.fills_outbox:
            self._outbox_filled()
        if isinstance(entry.operation, (Edit, Post)) and outcome.code is Code.OK and not outcome.value:
            self.held_back()
        self._answer(item, decided)

    # -- both ---------------------------------------------------------------------------------------------------------

    async def _recall(self, items: Sequence[_Item], decided: Sequence[Decided]) -> list[Fact]:
        """Facts of a transaction that had committed although its answer was lost; of changes, the last of each stream, since no outcome
        says where they stand. What is not found here (what a new space began with) reaches the gateways by their comparison of heads, a
        little later.
        """
        places: list[tuple[int, int]] = []
        streams: set[int] = set()
        for item, answer in zip(items, decided, strict=True):
            operation = item.entry.operation
            if answer.replayed and answer.code is Code.OK and isinstance(operation, (Say, Post, React, Edit, Delete)):
                places.append((operation.stream, answer.value))
            elif answer.replayed and answer.code is Code.OK and isinstance(operation, Update):
                places.append((operation.document, answer.value))
            elif answer.replayed and answer.code is Code.OK and isinstance(operation, Change):
                streams.add(operation.stream)
        find = partial(recall_heads, streams=sorted(streams)) if streams else partial(recall, places=places)
        try:
            return await self._lane.run(find, deadline_s=self._options.call_s, readonly=True, isolation="none")
        except StorageError:
            return []

    async def _until_known(self, attempt: Callable[[], Awaitable[T]], *, is_alone: bool) -> tuple[T, bool]:
        """Makes an attempt, and again as long as its outcome is unknown, or as another transaction stood in its way. Returns the answer
        and whether an earlier one was lost.

        Raises `Unavailable` when it certainly did not happen, or when the time for finding out is over. Of several entries that others
        stand in the way of again and again it raises what the database did: halves have fewer in their way. An entry that `is_alone`
        would be refused for that, and is tried for longer.
        """
        until = trio.current_time() + self._options.resubmit_s
        contended_until = trio.current_time() + self._options.contended_s
        unknown: OutcomeUnknown | None = None
        conflicts = 0
        while True:
            try:
                return await attempt(), unknown is not None
            except OutcomeUnknown as error:
                unknown = error
            except Unavailable as error:
                if error.reason == "conflict" and conflicts < self._options.conflicts_max:
                    conflicts += 1
                    self.stats.conflicts += 1
                    continue
                if unknown is None or error.reason == "closed":
                    raise
            except asyncpg.PostgresError as error:
                if error.sqlstate not in CONTENDED or (conflicts >= self._options.conflicts_max and not is_alone):
                    raise
                conflicts += 1
                self.stats.collisions += error.sqlstate != AUTHORITY_MOVED
                if conflicts > self._options.conflicts_max:
                    if trio.current_time() >= contended_until:
                        if error.sqlstate != AUTHORITY_MOVED:
                            raise
                        raise Unavailable("conflict", f"others came first {conflicts} times: {error}") from None
                    await trio.sleep(self._options.resubmit_interval_s)
                continue
            if trio.current_time() >= until:
                raise Unavailable("lost", f"unknown whether committed: {unknown}")
            self.stats.resubmitted += 1
            await trio.sleep(self._options.resubmit_interval_s)

    def _note(self, trouble: str) -> None:
        """Logs the beginning and the end of an absence, not each of the thousands of entries in between."""
        if bool(trouble) is not self.troubled:
            self.troubled = bool(trouble)
            if trouble:
                log.warning("journal_lost", error=trouble)
            else:
                log.info("journal_recovered")

    def _give_up(self, item: _Item, why: str) -> None:
        self.stats.unavailable += 1
        self._answer(item, Decided(item.entry.number, Code.UNAVAILABLE, detail=why[:200], generation=item.entry.generation))

    def _answer(self, item: _Item, decided: Decided) -> None:
        if item in self._unanswered:
            del self._unanswered[item]
            self.stats.queued -= 1
            self.stats.queued_bytes -= item.size_bytes
            self.stats.entries += 1
            self._count(item.entry.operation, decided)
            if item.entry.trace is not None and self.followed is not None:
                self.followed.answered(item.entry, decided)
            item.reply_to.tell_control(decided)

    def _count(self, operation: object, decided: Decided) -> None:
        outcomes, changes = self.stats.outcomes, self.stats.changes
        kind = (type(operation).__name__, int(decided.code), decided.replayed)
        outcomes[kind] = outcomes.get(kind, 0) + 1
        if kind[0] == "Change" and decided.code is Code.OK and not decided.replayed:
            outcome = int(read_outcome(decided.value)[0])
            changes[outcome] = changes.get(outcome, 0) + 1


def _nothing() -> None:
    """Nobody asks."""


def _text_bytes(entry: Entry) -> int:
    """What an entry holds in memory beyond its own small objects."""
    operation = entry.operation
    if isinstance(operation, (Say, Post, Edit)):
        return sys.getsizeof(operation.text)
    if isinstance(operation, (CreateCommunity, ChangeSettings)):
        return sys.getsizeof(operation.settings)
    if isinstance(operation, Change):
        return len(bytes(operation.fields))
    if isinstance(operation, Update):
        return sys.getsizeof(operation.update)
    if isinstance(operation, Refusal):
        return len(operation.payload)
    return 0


def raise_if_ours(error: BaseException) -> None:
    """Ends whoever caught `error` where no entry or query can be its cause."""
    if isinstance(error, asyncpg.PostgresError) and (error.sqlstate or "")[:2] in OURS:
        raise error
