"""Searches for a mentor, between a database and a model that are slow, away or wrong: every one is answered, and says what it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from actors.inference import Answer, AnyRequest, Match, Matched, Matches, Seeker, Unanswered, Why
from actors.matchmaking import Prepared, Showing
from actors.storage import Answered, Denied, FindMatches, ListSpaces, MatchLater, MatchList, Query
from actors.storage_port import Unavailable
from gateway.mailbox import Mailbox
from gateway.matchmaker import Matchmaker, MatchOptions
from protocol.codes import Code
from protocol.frames import MentorFound

FACTORS = (1.0, 0.5, 0.5, 0.5, 1.0, 0.5)
ASKS = FindMatches(1, ("algebra",), 0, 0, (), (), 0, 3)


class Book:
    """Shows whoever may be shown, which is everybody but `unshown`."""

    def __init__(self) -> None:
        self.unshown: set[int] = set()
        self.exposed: list[Showing] = []
        self.kept: dict[int, MatchList] = {}
        self.promised: list[int] = []
        self.fails = 0

    def _fail(self) -> None:
        if self.fails:
            self.fails -= 1
            raise Unavailable("refused", "away")

    async def prepare(self, asked: FindMatches) -> Prepared | Denied:
        self._fail()
        if asked.space == 99:
            return Denied(Code.NOT_FOUND)
        return Prepared(Seeker(asked.user, asked.subjects), (asked.user,))

    async def show(self, seeker: Seeker, matched: Sequence[Matched], limit: int) -> MatchList:
        self._fail()
        found = [one for one in matched if one.user not in self.unshown][:limit]
        return MatchList(tuple(MentorFound(one.user, "", "", 80, (50,) * 6, one.why) for one in found), 0, 0, "")

    async def by_rules(self, prepared: Prepared, limit: int) -> MatchList:
        self._fail()
        return MatchList((), 5, 0, "rules", "by rules")

    async def expose(self, showings: Sequence[Showing]) -> None:
        self._fail()
        self.exposed += showings

    async def promise(self, ticket: int, user: int) -> None:
        self._fail()
        self.promised.append(ticket)

    async def keep(self, ticket: int, user: int, found: MatchList) -> None:
        self._fail()
        self.kept[ticket] = found

    async def find(self, ticket: int, user: int) -> MatchList | bool:
        return self.kept.get(ticket, False)


class Model:
    """Mentors 10, 11, 12 …, as many as there are, after `takes_s`."""

    def __init__(self, mentors: int = 100, takes_s: float = 0.0, why: Why | None = None) -> None:
        self.mentors, self.takes_s, self.why = mentors, takes_s, why
        self.asked: list[Match] = []

    async def ask(self, request: AnyRequest, within_s: float, *, key: int = 0) -> Answer:
        assert isinstance(request, Match) and key == 1
        self.asked.append(request)
        if self.why is not None:
            raise Unanswered(self.why)
        if self.takes_s >= within_s:
            await trio.sleep(within_s)
            raise Unanswered(Why.LATE)
        await trio.sleep(self.takes_s)
        fit = [user for user in range(10, 10 + self.mentors) if user not in request.without][: request.limit]
        return Answer(Matches(tuple(Matched(user, 0.8, FACTORS, "open") for user in fit), self.mentors, self.mentors), "matching@1")

    def ask_nowait(self, request: AnyRequest, within_s: float, then: Callable[[Answer | Unanswered], None], *, key: int = 0) -> None:
        raise AssertionError("not asked like this")


class Elsewhere:
    """A store that answers everything with the same."""

    def ask(self, query: Query, ticket: int, reply_to: Any) -> None:
        reply_to.tell_control(Answered(ticket, Denied(Code.GONE)))


@asynccontextmanager
async def matchmaker(book: Book, model: Model, **options: Any) -> Any:
    tickets = iter(range(700, 800))
    made = Matchmaker(Elsewhere(), book, model, MatchOptions(**options), new_ticket=lambda: next(tickets))
    async with trio.open_nursery() as nursery:
        await nursery.start(made.serve)
        yield made
        nursery.cancel_scope.cancel()


async def ask(made: Matchmaker, query: Query = ASKS) -> tuple[Any, Mailbox[Any]]:
    mailbox: Mailbox[Any] = Mailbox()
    made.ask(query, 5, mailbox)
    answered = await mailbox.take()
    assert answered.ticket == 5
    return answered.result, mailbox


async def test_a_search_goes_to_the_model_and_everything_else_to_the_store(autojump_clock: MockClock) -> None:
    book, model = Book(), Model()
    async with matchmaker(book, model) as made:
        found, _ = await ask(made)
        assert [one.user for one in found.mentors] == [10, 11, 12]
        assert (found.by, found.considered, found.degraded) == ("matching@1", 100, "")
        assert (await ask(made, ListSpaces(1)))[0] == Denied(Code.GONE)
        assert (await ask(made, FindMatches(1, (), 0, 0, (), (), 99, 3)))[0] == Denied(Code.NOT_FOUND)
    assert model.asked[0].without == (1,)


async def test_whoever_may_not_be_shown_makes_room_for_the_next_best(autojump_clock: MockClock) -> None:
    book, model = Book(), Model()
    book.unshown = set(range(10, 24))
    async with matchmaker(book, model) as made:
        found, _ = await ask(made)
        assert [one.user for one in found.mentors] == [24, 25, 26]
        assert len(model.asked) == 2
        book.unshown = set(range(10, 1000))
        found, _ = await ask(made)
        assert found.mentors == () and len(model.asked) == 2 + 3, "asked a bounded number of times"


@pytest.mark.parametrize("why", list(Why))
async def test_where_the_model_does_not_answer_fixed_weights_do_and_say_so(autojump_clock: MockClock, why: Why) -> None:
    async with matchmaker(Book(), Model(why=why)) as made:
        found, _ = await ask(made)
        assert (found.by, found.degraded) == ("rules", "by rules")
        assert made.counts.degraded == 1


async def test_what_takes_long_is_promised_in_time_and_told_later(autojump_clock: MockClock) -> None:
    book, model = Book(), Model(takes_s=5.0)
    async with matchmaker(book, model, answer_s=2.0) as made:
        began_s = trio.current_time()
        found, mailbox = await ask(made)
        assert found == MatchLater(700) and trio.current_time() - began_s == pytest.approx(2.0)
        assert book.promised == [700] and await made.result(700, 1) is False
        later = await mailbox.take()
        assert later.ticket == 0 and later.result.ticket == 700 and len(later.result.mentors) == 3
        assert book.kept[700] == later.result == await made.result(700, 1)


async def test_a_model_that_never_answers_is_given_up_and_the_promise_kept_by_fixed_weights(autojump_clock: MockClock) -> None:
    async with matchmaker(Book(), Model(takes_s=1e6), answer_s=2.0, give_up_s=20.0) as made:
        found, mailbox = await ask(made)
        assert found == MatchLater(700)
        later = await mailbox.take()
        assert later.result.by == "rules" and trio.current_time() < 30


async def test_a_promise_that_cannot_be_kept_is_not_made(autojump_clock: MockClock) -> None:
    book, model = Book(), Model(takes_s=5.0)
    async with matchmaker(book, model) as made:
        mailbox: Mailbox[Any] = Mailbox()
        made.ask(ASKS, 5, mailbox)
        await trio.sleep(1.0)
        book.fails = 1
        answered = await mailbox.take()
        assert answered.ticket == 5 and len(answered.result.mentors) == 3, "late, but whole"


async def test_a_database_that_is_away_is_said_and_beyond_the_bound_a_search_is_refused_at_once(autojump_clock: MockClock) -> None:
    book = Book()
    async with matchmaker(book, Model(takes_s=1.0), waiting_max=2, at_once_max=1) as made:
        book.fails = 1
        found, _ = await ask(made)
        assert found.code is Code.UNAVAILABLE
        mailbox: Mailbox[Any] = Mailbox()
        for _ in range(2):
            made.ask(ASKS, 1, mailbox)
        made.ask(ASKS, 2, mailbox)
        first = await mailbox.take()
        assert (first.ticket, first.result) == (2, Denied(Code.BUSY))


async def test_a_matchmaker_that_stops_answers_what_waits(autojump_clock: MockClock) -> None:
    made = Matchmaker(Elsewhere(), Book(), Model(takes_s=1e6), MatchOptions(at_once_max=1))
    mailbox: Mailbox[Any] = Mailbox()
    async with trio.open_nursery() as nursery:
        await nursery.start(made.serve)
        for ticket in (1, 2):
            made.ask(ASKS, ticket, mailbox)
        await trio.sleep(0.5)
        nursery.cancel_scope.cancel()
    told = [await mailbox.take() for _ in range(2)]
    assert {(answered.ticket, answered.result.code) for answered in told} == {(1, Code.UNAVAILABLE), (2, Code.UNAVAILABLE)}
    made.ask(ASKS, 3, mailbox)
    assert (await mailbox.take()).result.code is Code.UNAVAILABLE


async def test_who_was_shown_is_written_later_all_at_once_and_after_an_absence_still(autojump_clock: MockClock) -> None:
    book = Book()
    async with matchmaker(book, Model(), write_every_s=10.0) as made:
        await ask(made)
        await ask(made)
        assert book.exposed == []
        book.fails = 1
        await trio.sleep(11)
        assert book.exposed == []
        await trio.sleep(10)
        assert [(one.seeker, one.mentor, one.place) for one in book.exposed] == [(1, 10, 1), (1, 11, 2), (1, 12, 3)] * 2
