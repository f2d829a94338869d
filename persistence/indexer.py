"""The indexer: has what was said found, seconds after it was committed.

    journal's commits ─told─▶ streams with news ─gather─▶ index_messages, a part of each ─▶ a rest three times as long, and again
    a sweep finds what nobody heard of          ─────────╯

One in every gateway; one of them at a time writes, in the whole installation. Posting never waits for it and writes nothing for it, like
moderation: what this process committed is told in memory, and what is forgotten here stands behind its stream's cursor.

Invariant: a cursor moves in the transaction that wrote what it passed, so a stream is indexed once, whoever is killed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg
import structlog
import trio
from msgspec import Struct

from actors.storage import Fact
from actors.storage_port import StorageError
from persistence.append import kind_of
from persistence.bridge import Bridge
from persistence.journal import POISON, raise_if_ours
from protocol.events import Cleared, Deleted, Edited, Posted, Said

log = structlog.get_logger("search")

STREAMS_MAX: Final = 10_000
"""Streams with news that are remembered; beyond them the sweep finds what is left."""
ASIDE_MAX: Final = 1_000
TAGS: Final = frozenset(kind_of(body) for body in (Said, Posted, Edited, Deleted, Cleared))
"""What changes what is found. The tag is the second byte of every body."""
_INDEX: Final = "select stream, indexed, more from index_messages($1, $2)"
_BEHIND: Final = (
    "select q.id, q.kind in (3, 4) and q.head > coalesce(c.upto, 0) as behind"
    " from (select s.id, s.head, s.kind from streams s where s.id > $1 order by s.id limit $2) q"
    " left join search_cursors c on c.stream_id = q.id order by q.id"
)


class IndexerOptions(Struct, frozen=True):
    """Bounds. `gather_s`: what is said in the meantime is indexed together; `rest`: how long it rests after a turn, in such turns."""

    gather_s: float = 0.5
    batch_streams: int = 64
    batch_events: int = 2_000
    """In a turn, of all its streams together, each with its share: a third of a second of Postgres, for which erasures wait."""
    events_min: int = 20
    rest: float = 3.0
    """A message takes Postgres some 0.17 ms, more than its post. So the index has a quarter of a core at the most, which is 1,500 messages
    a second; where more are said for long they are found later."""
    busy_s: float = 0.5
    """When it asks again where another gateway was at it."""
    away_s: float = 1.0
    sweep_s: float = 5.0
    sweep_streams: int = 5_000
    call_s: float = 20.0


class Indexer:
    """See the module. `serve` runs it; `told` may be called at any time and never waits."""

    def __init__(self, bridge: Bridge, options: IndexerOptions = IndexerOptions()) -> None:  # noqa: B008 (frozen)
        self._bridge = bridge
        self._options = options
        self._news: dict[int, None] = {}
        self._said = trio.Event()
        self._aside: set[int] = set()
        """Streams that cannot be indexed: asked for again by the next process."""
        self._away = False
        self.indexed = 0
        """Events passed since it was made."""

    @property
    def streams_waiting(self) -> int:
        return len(self._news)

    def told(self, facts: Sequence[Fact]) -> None:
        """The journal of this process has committed these."""
        for fact in facts:
            body = fact.body
            if len(body) > 1 and body[1] in TAGS:
                self._hear(fact.stream)

    def _hear(self, stream: int) -> None:
        if len(self._news) < STREAMS_MAX and stream not in self._aside:
            self._news[stream] = None
            self._said.set()

    def _hear_all(self, streams: Sequence[int]) -> None:
        for stream in streams:
            self._hear(stream)

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow)
            nursery.start_soon(self._sweep)
            task_status.started()

    async def _follow(self) -> None:
        options = self._options
        while True:
            if not self._news:
                self._said = trio.Event()
                await self._said.wait()
                await trio.sleep(options.gather_s)
            begun_s = trio.current_time()
            try:
                is_busy = await self._turn()
            except StorageError as error:
                self._note(str(error))
                await trio.sleep(options.away_s)
                continue
            self._note("")
            await trio.sleep(options.busy_s if is_busy else options.rest * (trio.current_time() - begun_s))

    async def _turn(self) -> bool:
        """Indexes a part of what waits longest. Whether somebody else was at it. May raise `StorageError`."""
        streams = list(self._news)[: self._options.batch_streams]
        for stream in streams:
            # Before it is asked for: what is heard meanwhile may be news that the call did not see.
            del self._news[stream]
        try:
            rows = await self.index(streams)
        except StorageError:
            self._hear_all(streams)
            raise
        except POISON as error:
            raise_if_ours(error)
            rows = await self._each(streams)
        if any(row["indexed"] < 0 for row in rows):
            self._hear_all(streams)
            return True
        for row in rows:
            self.indexed += row["indexed"]
            if row["more"]:
                self._hear(row["stream"])
        return False

    async def _each(self, streams: Sequence[int]) -> list[asyncpg.Record]:
        """One by one, so that what is wrong with one is only in its own way."""
        rows: list[asyncpg.Record] = []
        for stream in streams:
            try:
                rows += await self.index([stream])
            except POISON as error:
                raise_if_ours(error)
                if len(self._aside) < ASIDE_MAX:
                    self._aside.add(stream)
                log.error("indexing_failed", stream=stream, error=repr(error))
        return rows

    async def index(self, streams: Sequence[int]) -> list[asyncpg.Record]:
        """One call of `index_messages`: (stream, indexed, more); `indexed` -1: another process was at it. May raise `StorageError`."""

        options = self._options
        each = max(options.events_min, options.batch_events // len(streams))

        async def work(tx: asyncpg.Connection) -> list[asyncpg.Record]:
            rows: list[asyncpg.Record] = await tx.fetch(_INDEX, list(streams), each)
            return rows

        return await self._bridge.run(work, deadline_s=self._options.call_s)

    async def _sweep(self) -> None:
        """Finds streams that are behind and that nobody here was told of: those of another process, and what was forgotten."""
        options = self._options
        after = 0
        while True:
            try:
                after = await self.sweep(after)
            except StorageError as error:
                self._note(str(error))
            await trio.sleep(options.sweep_s)

    async def sweep(self, after: int) -> int:
        """Looks at the next streams by number; where to go on (0: from the beginning). May raise `StorageError`."""

        async def work(connection: asyncpg.Connection) -> list[asyncpg.Record]:
            rows: list[asyncpg.Record] = await connection.fetch(_BEHIND, after, self._options.sweep_streams)
            return rows

        rows = await self._bridge.run(work, deadline_s=self._options.call_s, readonly=True, isolation="none")
        for row in rows:
            if row["behind"]:
                self._hear(row["id"])
        return rows[-1]["id"] if len(rows) == self._options.sweep_streams else 0

    def _note(self, trouble: str) -> None:
        """Logs the beginning and the end of an absence."""
        if bool(trouble) is not self._away:
            self._away = bool(trouble)
            if trouble:
                log.warning("indexing_lost", error=trouble)
            else:
                log.info("indexing_recovered")
