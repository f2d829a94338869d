"""The store: reads, and the taking over of devices, batched over everybody who asks at the same time.

    ask ─▶ queue per kind ─▶ a worker takes the kind that waited longest, as many as there are ─▶ one statement ─▶ Answered to each
           bounded           a few workers, a connection each

Twenty events for one device cost 150 + 150 µs of server and client CPU when asked one by one, 20 + 25 µs in batches of 500; under load the
batches form by themselves while the workers are busy.

A device that attaches in another history than the one that this process serves is turned away until everything that remembers the old
one has been built anew: it would trust the new epoch with cursors that a channel here still counts in the old one.

Invariant: every query is answered once, within its deadline: with `Denied(BUSY)` at the bound, `Denied(UNAVAILABLE)` when the
database is away or the time is over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import asyncpg
import structlog
import trio
from msgspec import Struct

from actors.cell import Ref
from actors.storage import (
    Answered,
    Attach,
    Attached,
    Borrow,
    CheckAudience,
    Denied,
    FindMessages,
    FindPerson,
    InheritDevice,
    ListConflicts,
    ListDocumentVersions,
    ListHeld,
    ListMembers,
    ListMentorships,
    ListReports,
    ListSpaces,
    ListUnapplied,
    LoadState,
    Query,
    ReadAfter,
    ReadBefore,
    ReadGenerations,
    ReadHeads,
    ReadHolding,
    ReadRecords,
    ReadVersions,
    Result,
)
from actors.storage_port import StorageError
from persistence import device_queries as d
from persistence import queries as q
from persistence import record_queries as r
from persistence import report_queries, search
from persistence.bridge import Bridge
from persistence.documents import reading as documents
from persistence.journal import POISON, raise_if_ours
from persistence.mentoring import listing
from persistence.moderation import held_queries
from protocol.codes import Code

log = structlog.get_logger()

Answer = Callable[[asyncpg.Connection, Sequence[Any]], Awaitable[list[Result]]]


class StoreOptions(Struct, frozen=True):
    """Bounds. `workers` is also how many connections of the bridge's pool reads may occupy."""

    queries_max: int = 50_000
    """A storm of 5,000 devices asks four things each."""
    batch_max: int = 500
    batch_wide_max: int = 50
    """Of queries whose answers are large (overviews, pages of events)."""
    batch_bytes_max: int = 8 << 20
    """What the pages of one batch may hold together, as they are asked for (or one page that is larger): an answer stands in memory as a
    whole, in Postgres and here, once for each worker. 256 whole pages of catch-up; in a storm most are short."""
    workers: int = 3
    deadline_s: float = 5.0


class _Asked(Struct, frozen=True, eq=False):
    query: Query
    ticket: int
    reply_to: Ref[Answered]
    until_s: float


class _Kind:
    """One kind of query: what waits, and how a batch of it is answered."""

    __slots__ = ("answer", "batch_max", "busy", "readonly", "replica", "served", "waiting", "workers_max")

    def __init__(
        self, answer: Answer, batch_max: int, *, readonly: bool = True, replica: bool = False, workers_max: int | None = None
    ) -> None:
        self.answer = answer
        self.batch_max = batch_max
        self.readonly = readonly
        self.replica = replica
        self.workers_max = workers_max
        """At once at the most; None: all there are. What may take long leaves the others to the rest."""
        self.busy = 0
        self.waiting: deque[_Asked] = deque()
        self.served: dict[int, None] = {}
        """Of the accounts that wait where workers are few, those that had an answer meanwhile; the one that had it last comes last."""

    @property
    def is_free(self) -> bool:
        """Whether another worker may take of it."""
        return self.workers_max is None or self.busy < self.workers_max

    def take_in_turn(self) -> _Asked:
        """Takes the oldest query of the account whose turn it is, so that who asks for much at once waits for it alone."""
        first: dict[int, int] = {}
        for place, asked in enumerate(self.waiting):
            assert isinstance(asked.query, FindMessages)
            first.setdefault(asked.query.user, place)
        self.served = {user: None for user in self.served if user in first}
        user = next((user for user in first if user not in self.served), next(iter(self.served), 0))
        self.served.pop(user, None)
        self.served[user] = None
        asked = self.waiting[first[user]]
        del self.waiting[first[user]]
        return asked


PAGES: Final = (ReadAfter, ReadBefore, ReadRecords, LoadState)
"""Queries that say how large their answer may be."""
EXPIRE_EVERY_S: Final = 0.25
WAITING_SHARE: Final = 0.6
"""Of a query's time may go by while it waits for a worker; the rest belongs to the database. A batch has the time that its oldest query
has left: where waiting may take all of it, an overloaded store cancels every batch for want of the last milliseconds and answers nobody
at all, so that everybody asks again (141 answers instead of 800 in the test).
"""


class Store:
    """Implements `actors.storage.Store`. `serve` runs it. `is_current` is told the epoch of each batch of attachments."""

    def __init__(
        self,
        bridge: Bridge,
        options: StoreOptions = StoreOptions(),  # noqa: B008 (frozen)
        *,
        is_current: Callable[[int], bool] = lambda epoch: True,
    ) -> None:
        self._bridge = bridge
        self._options = options
        self._is_current = is_current
        many, few = options.batch_max, options.batch_wide_max
        self._kinds: dict[type, _Kind] = {
            Attach: _Kind(d.attach, many, readonly=False),
            Borrow: _Kind(d.borrow, many),
            InheritDevice: _Kind(d.inherit_device, few, readonly=False),
            ReadAfter: _Kind(q.read_after, many),
            ReadBefore: _Kind(q.read_before, few),
            CheckAudience: _Kind(q.check_audience, few),
            ReadHeads: _Kind(q.read_heads, few),
            ReadGenerations: _Kind(d.read_generations, few),
            ListSpaces: _Kind(q.list_spaces, few),
            ListMembers: _Kind(q.list_members, few),
            FindPerson: _Kind(q.find_person, many, replica=True),  # an account that a lagging replica lacks is found a moment later
            ReadRecords: _Kind(r.read_records, few),
            ListConflicts: _Kind(r.list_conflicts, few),
            ListUnapplied: _Kind(r.list_unapplied, few),
            ReadVersions: _Kind(r.read_versions, few),
            ReadHolding: _Kind(r.read_holding, many),
            ListReports: _Kind(report_queries.list_reports, few),
            ListMentorships: _Kind(listing.list_mentorships, few),
            ListHeld: _Kind(held_queries.list_held, few),
            LoadState: _Kind(documents.load_state, few),
            ListDocumentVersions: _Kind(documents.list_versions, few),
            FindMessages: _Kind(search.find_messages, 1, workers_max=1),
        }
        self._query_s = options.deadline_s * (1.0 - WAITING_SHARE)
        self._waiting = 0
        self._unanswered: dict[_Asked, None] = {}
        self._news = trio.Event()
        self._serving = False
        self.troubled = False
        """Postgres could not be asked the last time."""

    @property
    def queries_waiting(self) -> int:
        return self._waiting

    def ask(self, query: Query, ticket: int, reply_to: Ref[Answered]) -> None:
        """Queues a query without waiting; answered within the deadline, at the bound at once."""
        if not self._serving:
            reply_to.tell_control(Answered(ticket, Denied(Code.UNAVAILABLE, "the store is not running")))
            return
        if len(self._unanswered) >= self._options.queries_max:
            reply_to.tell_control(Answered(ticket, Denied(Code.BUSY)))
            return
        asked = _Asked(query, ticket, reply_to, trio.current_time() + self._options.deadline_s)
        self._unanswered[asked] = None
        self._kinds[type(query)].waiting.append(asked)
        self._waiting += 1
        self._news.set()

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until cancelled; then every open query is answered with `UNAVAILABLE`."""
        assert not self._serving
        self._serving = True
        try:
            async with trio.open_nursery() as nursery:
                for _ in range(self._options.workers):
                    nursery.start_soon(self._work)
                nursery.start_soon(self._expire)
                task_status.started()
        finally:
            self._serving = False
            for kind in self._kinds.values():
                kind.waiting.clear()
            self._waiting = 0
            for asked in list(self._unanswered):
                self._answer(asked, Denied(Code.UNAVAILABLE, "the store stopped"))

    async def _work(self) -> None:
        while True:
            # Whoever ends with a kind that has its workers looks for itself what is next.
            while not (ready := [kind for kind in self._kinds.values() if kind.waiting and kind.is_free]):
                if self._news.is_set():
                    self._news = trio.Event()
                await self._news.wait()
            kind = min(ready, key=lambda kind: kind.waiting[0].until_s)
            kind.busy += 1
            try:
                await self._answer_batch(kind, self._take(kind))
            finally:
                kind.busy -= 1

    def _take(self, kind: _Kind) -> list[_Asked]:
        if kind.workers_max is not None:
            self._waiting -= 1
            return [kind.take_in_turn()]
        batch: list[_Asked] = []
        devices: set[int] = set()
        left_bytes = self._options.batch_bytes_max
        while kind.waiting and len(batch) < kind.batch_max:
            query = kind.waiting[0].query
            if isinstance(query, PAGES):
                left_bytes -= query.bytes_max
                if left_bytes < 0 and batch:
                    break
            if isinstance(query, Attach):
                # Two sockets of one device in one batch: the second takes over from the first, in the next batch.
                if query.device in devices:
                    break
                devices.add(query.device)
            batch.append(kind.waiting.popleft())
        self._waiting -= len(batch)
        return batch

    async def _answer_batch(self, kind: _Kind, batch: list[_Asked]) -> None:
        async def work(connection: asyncpg.Connection) -> list[Result]:
            return await kind.answer(connection, [asked.query for asked in batch])

        left_s = max(min(asked.until_s for asked in batch) - trio.current_time(), 0.01)
        try:
            results = await self._bridge.run(
                work, deadline_s=left_s, readonly=kind.readonly, isolation="none", pool="replica" if kind.replica else "primary"
            )
        except StorageError as error:
            self._note(str(error))
            for asked in batch:
                self._answer(asked, Denied(Code.UNAVAILABLE, error.for_peers))
            return
        except POISON as error:
            raise_if_ours(error)
            if len(batch) == 1:
                log.warning("query_poisoned", query=type(batch[0].query).__name__, error=repr(error))
                self._answer(batch[0], Denied(Code.INVALID, "cannot be asked of the database"))
                return
            half = len(batch) // 2
            await self._answer_batch(kind, batch[:half])
            await self._answer_batch(kind, batch[half:])
            return
        self._note("")
        for asked, result in zip(batch, results, strict=True):
            if isinstance(result, Attached) and not self._is_current(result.epoch):
                self._answer(asked, Denied(Code.UNAVAILABLE, "the database was restored; come back in a moment"))
            else:
                self._answer(asked, result)

    def _note(self, trouble: str) -> None:
        """Logs the beginning and the end of an absence, not each of the thousands of queries in between."""
        if bool(trouble) is not self.troubled:
            self.troubled = bool(trouble)
            if trouble:
                log.warning("store_lost", error=trouble)
            else:
                log.info("store_recovered")

    async def _expire(self) -> None:
        """Answers what waited too long for a worker; all the queues are in order of their deadlines."""
        while True:
            await trio.sleep(EXPIRE_EVERY_S)
            too_late_s = trio.current_time() + self._query_s
            for kind in self._kinds.values():
                while kind.waiting and kind.waiting[0].until_s <= too_late_s:
                    self._waiting -= 1
                    self._answer(kind.waiting.popleft(), Denied(Code.UNAVAILABLE, "waited too long for the database"))

    def _answer(self, asked: _Asked, result: Result) -> None:
        if asked in self._unanswered:
            del self._unanswered[asked]
            asked.reply_to.tell_control(Answered(asked.ticket, result))
