"""Searches for a mentor, carried out: between the database, which knows people, and the model, which knows who fits.

    session ─FindMatches─▶ Matchmaker ─queue─▶ one of a few tasks ─ prepare ─ ask the model ─ show ─▶ Answered(MatchList)
       │                      ╰ every other query ─▶ store          ╰ beyond `answer_s`: Answered(MatchLater), the list when it is there
       ╰ the same port as the store's: whoever asks need not know which of the two answers

Who was shown is counted in memory and written some times a minute, so that a search writes nothing.

Invariant: every search is answered once within `answer_s` and the time of one look at the database, and one that was promised later is
answered once more; the queue, the tasks and what waits to be written are bounded.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from typing import Annotated, Final

import msgspec
import structlog
import trio
from msgspec import Meta, Struct

from actors.cell import Ref
from actors.histogram import SECONDS, Histogram
from actors.inference import Match, Matches, Models, Unanswered
from actors.matchmaking import ROUNDS_MAX, RULES, SLACK, WITHOUT_MAX, MatchBook, Showing
from actors.storage import Answered, Denied, FindMatches, MatchLater, MatchList, Query, Result, Store
from actors.storage_port import StorageError
from protocol.codes import Code
from protocol.values import ID_MAX

log = structlog.get_logger("matchmaker")

MODEL_LIMIT_MAX: Final = 50
"""As `actors.inference.Match` has it."""
SHOWINGS_MAX: Final = 20_000
"""That wait to be written; beyond it the oldest are forgotten: fairness is a matter of many."""
WRITE_MAX: Final = 2_000


class MatchOptions(Struct, frozen=True):
    """Times and bounds of searches."""

    answer_s: Annotated[float, Meta(gt=0, le=10)] = 2.0
    """After this a search is answered by a ticket, and its result comes later."""
    give_up_s: Annotated[float, Meta(gt=0, le=60)] = 20.0
    """How long the model may take at all; then fixed weights answer."""
    waiting_max: Annotated[int, Meta(ge=1, le=10_000)] = 256
    at_once_max: Annotated[int, Meta(ge=1, le=256)] = 32
    write_every_s: Annotated[float, Meta(gt=0, le=600)] = 10.0


class MatchCounts:
    """What became of searches; read by the metrics."""

    __slots__ = ("asked", "degraded", "later", "refused", "seconds", "unshown")

    def __init__(self) -> None:
        self.asked = 0
        self.degraded = 0
        """Answered by fixed weights."""
        self.later = 0
        self.refused = 0
        self.unshown = 0
        """Whom the model found and the database did not let be shown."""
        self.seconds = Histogram(SECONDS)
        """From the question to the list."""


class _Asked(Struct, frozen=True, eq=False):
    query: FindMatches
    ticket: int
    reply_to: Ref[Answered]
    at_s: float


class Matchmaker:
    """Implements `actors.storage.Store` in front of one. `serve` runs it; while it does not run, searches are `UNAVAILABLE`."""

    def __init__(
        self,
        store: Store,
        book: MatchBook,
        models: Models,
        options: MatchOptions = MatchOptions(),  # noqa: B008 (frozen)
        *,
        new_ticket: Callable[[], int] = lambda: secrets.randbelow(ID_MAX) + 1,
    ) -> None:
        self._store = store
        self._book = book
        self.models = models
        self._options = options
        self._new_ticket = new_ticket
        self._waiting: deque[_Asked] = deque()
        self._unanswered: dict[_Asked, None] = {}
        self._news = trio.Event()
        self._serving = False
        self._showings: deque[Showing] = deque(maxlen=SHOWINGS_MAX)
        self.counts = MatchCounts()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def ask(self, query: Query, ticket: int, reply_to: Ref[Answered]) -> None:
        """A search is queued here, anything else at the store. Never waits."""
        if not isinstance(query, FindMatches):
            self._store.ask(query, ticket, reply_to)
        elif not self._serving:
            reply_to.tell_control(Answered(ticket, Denied(Code.UNAVAILABLE, "nobody looks for mentors here at the moment")))
        elif len(self._waiting) >= self._options.waiting_max:
            self.counts.refused += 1
            reply_to.tell_control(Answered(ticket, Denied(Code.BUSY)))
        else:
            self.counts.asked += 1
            asked = _Asked(query, ticket, reply_to, trio.current_time())
            self._unanswered[asked] = None
            self._waiting.append(asked)
            self._news.set()

    async def result(self, ticket: int, user: int) -> MatchList | bool:
        """What a ticket stands for; True: not yet; False: there is none of this user's. May raise `StorageError`."""
        return await self._book.find(ticket, user)

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until cancelled; then what is unanswered is refused as `UNAVAILABLE`. A ticket that was promised stays without."""
        self._serving = True
        try:
            async with trio.open_nursery() as nursery:
                for _ in range(self._options.at_once_max):
                    nursery.start_soon(self._work)
                nursery.start_soon(self._write)
                task_status.started()
        finally:
            self._serving = False
            self._waiting.clear()
            for asked in list(self._unanswered):
                self._tell(asked, Denied(Code.UNAVAILABLE, "the search was stopped"))

    async def _work(self) -> None:
        while True:
            while not self._waiting:
                if self._news.is_set():
                    self._news = trio.Event()
                await self._news.wait()
            await self._answer(self._waiting.popleft())

    async def _answer(self, asked: _Asked) -> None:
        """Answers within the time, or promises and answers then."""
        found: list[MatchList | Denied] = []
        done = trio.Event()

        async def look() -> None:
            found.append(await self._look(asked.query))
            done.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            with trio.move_on_at(asked.at_s + self._options.answer_s):
                await done.wait()
            ticket = 0 if found else await self._promise(asked)
            await done.wait()
        [result] = found
        self.counts.seconds.observe(trio.current_time() - asked.at_s)
        if not ticket:
            self._tell(asked, result)
            return
        if isinstance(result, Denied):
            result = MatchList((), 0, 0, RULES, "this search could not be carried out; ask again")
        result = msgspec.structs.replace(result, ticket=ticket)
        try:
            await self._book.keep(ticket, asked.query.user, result)
        except StorageError as error:
            log.warning("match_not_kept", error=str(error))
        asked.reply_to.tell_control(Answered(0, result))

    async def _promise(self, asked: _Asked) -> int:
        """The ticket that was promised; 0: none could be kept, so the list itself is waited for."""
        ticket = self._new_ticket()
        try:
            await self._book.promise(ticket, asked.query.user)
        except StorageError as error:
            log.warning("match_not_promised", error=str(error))
            return 0
        self.counts.later += 1
        self._tell(asked, MatchLater(ticket))
        return ticket

    def _tell(self, asked: _Asked, result: Result) -> None:
        del self._unanswered[asked]
        asked.reply_to.tell_control(Answered(asked.ticket, result))

    async def _look(self, query: FindMatches) -> MatchList | Denied:
        try:
            return await self._find(query)
        except StorageError as error:
            log.info("match_delayed", error=str(error))
            return Denied(Code.UNAVAILABLE, error.for_peers)

    async def _find(self, query: FindMatches) -> MatchList | Denied:
        book = self._book
        prepared = await book.prepare(query)
        if isinstance(prepared, Denied):
            return prepared
        until_s = trio.current_time() + self._options.give_up_s
        without = list(prepared.without)
        shown: MatchList | None = None
        for _ in range(ROUNDS_MAX):
            missing = query.limit - (len(shown.mentors) if shown else 0)
            wanted = min(MODEL_LIMIT_MAX, missing + SLACK)
            request = Match(prepared.seeker, wanted, tuple(without[:WITHOUT_MAX]))
            try:
                answer = await self.models.ask(request, until_s - trio.current_time(), key=query.user)
            except Unanswered as unanswered:
                if shown is not None:
                    break
                log.info("match_degraded", why=unanswered.why.value)
                self.counts.degraded += 1
                shown = await book.by_rules(prepared, query.limit)
                break
            assert isinstance(answer.result, Matches), answer
            matched = answer.result.matches
            more = await book.show(prepared.seeker, matched, missing)
            self.counts.unshown += max(0, min(len(matched), missing) - len(more.mentors))
            shown = MatchList(
                (*(shown.mentors if shown else ()), *more.mentors),
                answer.result.considered,
                answer.result.fitting,
                answer.by,
                answer.degraded,
            )
            # Enough, or there are no more: otherwise some were taken out, and the next best are asked for.
            if len(shown.mentors) >= query.limit or len(matched) < wanted or len(without) >= WITHOUT_MAX:
                break
            without = [*(one.user for one in matched), *without]
        assert shown is not None, "the first round answers, or the rules do"
        self._note(query.user, shown)
        return shown

    # Who was shown

    def _note(self, seeker: int, shown: MatchList) -> None:
        self._showings.extend(
            Showing(seeker, one.user, place, shown.by, one.percent / 100, tuple(factor / 100 for factor in one.factors))
            for place, one in enumerate(shown.mentors, 1)
        )

    async def _write(self) -> None:
        while True:
            await trio.sleep(self._options.write_every_s)
            await self.write_showings()

    async def write_showings(self) -> None:
        """Writes who was shown since the last time. What cannot be written now waits for the next."""
        while self._showings:
            some = [self._showings.popleft() for _ in range(min(WRITE_MAX, len(self._showings)))]
            try:
                await self._book.expose(some)
            except StorageError as error:
                self._showings.extendleft(reversed(some[: SHOWINGS_MAX - len(self._showings)]))
                log.info("showings_delayed", error=str(error))
                return
