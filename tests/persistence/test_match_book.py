"""What a search reads on a real Postgres: who may be shown now, what the model is fed and in which order, and what it learns from."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
import trio

from actors.inference import Candidate, Matched
from actors.matchmaking import RULES, Prepared, Showing
from actors.model_book import FeedRow, Gone, Here, Mark, Met
from actors.storage import Denied, FindMatches, MatchList
from persistence.bridge import Bridge
from persistence.mentoring import feed
from persistence.mentoring.book import PostgresMatchBook
from persistence.mentoring.settling import settle_some
from protocol.codes import Code
from protocol.entities import Entity
from protocol.operations import AnswerMentorship, Block, EndMentorship, Leave, ProposeMentorship, SetRole
from protocol.values import Role
from tests.persistence.mentoring import CAPACITY, COMMUNITIES, HOURS, OPEN, SUBJECTS, matched, mentor, says, settled, trusted
from tests.persistence.world import Person, World, world

FACTORS = (1.0, 0.5, 0.5, 0.5, 1.0, 0.5)


def asks(person: Person, subjects: tuple[str, ...] = ("algebra",), space: int = 0) -> FindMatches:
    return FindMatches(person.user, subjects, 0, 0, (), (), space, 10)


async def prepared(book: PostgresMatchBook, person: Person, space: int = 0) -> Prepared:
    found = await book.prepare(asks(person, space=space))
    assert isinstance(found, Prepared), found
    return found


async def shown(book: PostgresMatchBook, person: Person, people: Sequence[Person], space: int = 0) -> list[int]:
    seeker = (await prepared(book, person, space)).seeker
    found = await book.show(seeker, [Matched(one.user, 0.8, FACTORS, "open") for one in people], 10)
    return [one.user for one in found.mentors]


async def fed(w: World, after: Mark = (), limit: int = 2000) -> tuple[dict[int, Candidate | None], Mark]:
    """Everything after the mark: by user, None where they are gone."""
    known: dict[int, Candidate | None] = {}
    while True:
        page = await w.bridge.run(partial(feed.page, after=after, limit=limit), deadline_s=30, readonly=True)
        for raw in page.rows:
            match msgspec.msgpack.decode(raw, type=FeedRow):
                case Here(candidate):
                    known[candidate.user] = candidate
                case Gone(user):
                    known[user] = None
        after = page.mark
        if not page.more:
            return known, after


async def test_nobody_is_shown_who_may_not_be_asked_at_this_moment(bridge: Bridge) -> None:
    async with world(bridge) as w:
        book = PostgresMatchBook(bridge)
        ben, owner = await w.person("ben"), await w.person("owner")
        good = await mentor(w, "good")
        space, _, _ = await w.community(owner, ben, good)
        low, closed, full, blocks, is_blocked, asked, gone, here, plain = [
            await mentor(w, "low", trust=0.44),
            await mentor(w, "closed", {OPEN: False}),
            await mentor(w, "full", {CAPACITY: 1}),
            await mentor(w, "blocks"),
            await mentor(w, "isblocked"),
            await mentor(w, "asked"),
            await mentor(w, "gone"),
            await mentor(w, "here", {COMMUNITIES: (space,)}),
            await w.person("plain"),
        ]
        await matched(w, full, await w.person("other"))
        await w.ok(blocks, Block(ben.user))
        await w.ok(ben, Block(is_blocked.user))
        await w.ok(ben, ProposeMentorship(asked.user, 0, "algebra"))
        await w.rows("update accounts set disabled_at = now() where id = $1", gone.user)
        everybody = [low, good, closed, full, blocks, is_blocked, asked, gone, here, plain, ben]
        assert await shown(book, ben, everybody) == [good.user]
        assert await shown(book, ben, everybody, space) == [], "a learner in a community does not mentor in it"
        await w.ok(owner, SetRole(space, good.user, Role.MENTOR))
        assert await shown(book, ben, everybody, space) == [good.user]
        without = (await prepared(book, ben)).without
        assert {blocks.user, is_blocked.user, asked.user, ben.user} == set(without)
        assert await book.prepare(asks(await w.person("eve"), space=space)) == Denied(Code.NOT_FOUND)


async def test_a_search_is_filled_in_from_ones_own_records_in_utc(bridge: Bridge) -> None:
    async with world(bridge) as w:
        book, ben = PostgresMatchBook(bridge), await w.person("ben")
        await says(w, ben, Entity.PROFILE, {3: ("sw", "en"), 4: "Asia/Kolkata"})
        await says(w, ben, Entity.LEARNING, {1: ("physics",), 2: 3, 3: 5, 4: (1 << 10,)})
        found = await book.prepare(FindMatches(ben.user, (), 0, 0, (), (), 0, 10))
        assert isinstance(found, Prepared)
        who = found.seeker
        assert (who.subjects, who.level, who.styles, who.languages, who.utc_offset_min) == (("physics",), 3, 5, ("sw", "en"), 330)
        assert who.hours == (1 << 4, 0, 0, 0, 0, 0, 0), "ten in Kolkata is at half past four"
        asked = await book.prepare(FindMatches(ben.user, ("algebra",), 7, 2, ("en",), (1,), 0, 10))
        assert isinstance(asked, Prepared) and asked.seeker.subjects == ("algebra",) and asked.seeker.level == 7


async def test_the_model_is_fed_whatever_changes_a_mentor_and_nothing_else(bridge: Bridge) -> None:
    async with world(bridge) as w:
        owner, ben = await w.person("owner"), await w.person("ben")
        ann = await mentor(w, "ann", {HOURS: (1 << 9,)})
        await settled(w)
        known, mark = await fed(w)
        assert set(known) == {ann.user}
        one = known[ann.user]
        assert one is not None and (one.subjects, one.free, one.spaces, one.hours[0]) == (("Algebra", "Physics"), 3, (), 1 << 9)

        async def changed() -> Candidate | None:
            nonlocal mark
            await settled(w)
            rows, mark = await fed(w, mark)
            assert set(rows) == {ann.user}
            return rows[ann.user]

        async def has(**expected: Any) -> None:
            found = await changed()
            assert found is not None and {name: getattr(found, name) for name in expected} == expected

        space, _, _ = await w.community(owner, ben, ann)
        await w.ok(owner, SetRole(space, ann.user, Role.MENTOR))
        await has(spaces=(space,))
        await says(w, ann, Entity.PROFILE, {3: ("sw",), 4: "Africa/Nairobi"})
        await has(languages=("sw",), utc_offset_min=180)
        mentorship, _ = await matched(w, ann, ben)
        await has(free=2)
        await w.ok(ann, EndMentorship(mentorship, True, 5))
        await w.ok(ben, EndMentorship(mentorship, True, 5))
        await has(free=3, held=1, good=1.0)
        await trusted(w, ann, 0.2)
        assert await changed() is None
        await trusted(w, ann, 0.7)
        assert await changed() is not None
        await w.ok(ann, Leave(space))
        await has(spaces=())
        await says(w, ann, Entity.MENTORING, {OPEN: False})
        assert await changed() is None
        await says(w, ben, Entity.PROFILE, {3: ("en",)})
        assert await settled(w) == 0, "whoever mentors nobody is nobody's concern"


async def test_who_reads_up_to_a_number_has_missed_none_below_it_however_many_settle(bridge: Bridge) -> None:
    """A reader that goes on from its mark while several settle sees each mentor's last state."""
    async with world(bridge) as w:
        people = [await mentor(w, f"mentor{n}") for n in range(12)]
        known: dict[int, Candidate | None] = {}
        done = trio.Event()

        async def read() -> None:
            mark: Mark = ()
            while True:
                last = done.is_set()
                rows, mark = await fed(w, mark, limit=3)
                known.update(rows)
                if last:
                    return

        async def change(mine: list[Person]) -> None:
            for turn in range(1, 4):
                for person in mine:
                    await says(w, person, Entity.MENTORING, {SUBJECTS: (f"turn {turn}",)})
                    await settled(w)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            async with trio.open_nursery() as writers:
                for at in range(4):
                    writers.start_soon(change, people[at::4])
            await settled(w)
            done.set()
        assert {user: one and one.subjects for user, one in known.items()} == {person.user: ("turn 3",) for person in people}
        numbers = await w.column("select changed from mentors order by changed")
        assert len(set(numbers)) == len(people) and numbers[-1] == await w.value("select head from mentor_clock")


async def test_an_erased_mentor_is_emptied_and_gone_a_day_later(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await mentor(w, "ann")
        await settled(w)
        await w.rows("update accounts set disabled_at = now() where id = $1", ann.user)
        await w.rows("delete from records where entity = 21")
        await settled(w)
        [row] = await w.rows("select gone, candidate, keys, languages from mentors")
        assert tuple(row) == (True, b"", [], [])
        await w.rows("update mentors set gone_at = now() - interval '2 days'")
        await w.rows("update mentor_clock set day = day - 1")
        await settled(w)
        assert await w.rows("select from mentors") == []


async def test_who_was_away_for_long_is_back_when_what_kept_them_from_mentoring_is_over(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await mentor(w, "ann", trust=0.2)
        await settled(w)
        await w.rows("update mentors set gone_at = now() - interval '9 days'")
        await w.rows("update mentor_clock set day = day - 1")
        await settled(w)
        _, mark = await fed(w)
        await trusted(w, ann, 0.5)
        await settled(w)
        known, mark = await fed(w, mark)
        assert known[ann.user] is not None
        await w.bridge.run(partial(settle_some, trust_min=0.6), deadline_s=30)
        await settled(w, None)
        known, mark = await fed(w, mark)
        assert known == {ann.user: None}, "the gate is another one now"
        await w.bridge.run(partial(settle_some), deadline_s=30)
        assert await w.value("select trust_min from mentor_clock") == 0.6, "who sets no gate finds the one that holds"


async def test_a_mark_of_another_history_is_none(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await mentor(w, "ann")
        await settled(w)
        _, mark = await fed(w)

        async def after(mark: Mark) -> Mark:
            return (await w.bridge.run(partial(feed.page, after=mark), deadline_s=30, readonly=True)).mark

        assert await after(mark) == mark, "nothing is new"
        assert await after((mark[0], mark[1] ^ 1)) == (), "another epoch"
        await w.rows("update mentor_clock set head = head - 1")
        assert await after(mark) == (), "a head that fell"
        assert set((await fed(w))[0]) == {ann.user}


async def test_fixed_weights_compare_few_mentors_and_say_that_they_do(bridge: Bridge) -> None:
    async with world(bridge) as w:
        book, ben = PostgresMatchBook(bridge), await w.person("ben")
        algebra, other = await mentor(w, "ann", {SUBJECTS: ("ALGEBRA",)}), await mentor(w, "cid", {SUBJECTS: ("Painting",)})
        await says(w, other, Entity.PROFILE, {3: ("sw",)})
        await says(w, ben, Entity.PROFILE, {3: ("sw",)})
        await settled(w)
        found = await book.by_rules(await prepared(book, ben), 10)
        assert [one.user for one in found.mentors] == [algebra.user, other.user]
        assert (found.by, found.considered, found.fitting) == (RULES, 2, 2) and "by fixed weights" in found.degraded
        assert found.mentors[0].why == "subject:algebra" and found.mentors[1].why == "language:sw"
        await w.ok(ben, Block(algebra.user))
        found = await book.by_rules(await prepared(book, ben), 10)
        assert [one.user for one in found.mentors] == [other.user]


async def test_who_is_shown_is_counted_fades_and_is_fed_when_it_has_doubled(bridge: Bridge) -> None:
    async with world(bridge) as w:
        book, ben, ann = PostgresMatchBook(bridge), await w.person("ben"), await mentor(w, "ann")
        await settled(w)
        _, mark = await fed(w)
        showing = Showing(ben.user, ann.user, 2, "matching@1", 0.8, FACTORS)
        await book.expose([showing, msgspec.structs.replace(showing, place=1)])
        assert await w.value("select shown from mentor_exposure where user_id = $1", ann.user) == 2.0
        [row] = await w.rows("select place, times, factors from match_shown")
        assert (row["place"], row["times"], tuple(row["factors"])) == (1, 1, FACTORS)
        await settled(w)
        rows, mark = await fed(w, mark)
        assert rows[ann.user] is not None and 1.9 < rows[ann.user].shown <= 2.0  # type: ignore[union-attr]
        await book.expose([showing, showing])
        assert await settled(w) == 1, "four is twice as often as two"
        await book.expose([showing])
        assert await settled(w) == 0
        await w.rows("update mentor_exposure set at = at - interval '7 days'")
        await book.expose([showing])
        assert 3.4 < float(str(await w.value("select shown from mentor_exposure"))) < 3.6, "half of five, and one"


async def test_what_became_of_a_showing_is_a_row_to_learn_from(bridge: Bridge) -> None:
    async with world(bridge) as w:
        book, ann = PostgresMatchBook(bridge), await mentor(w, "ann", {CAPACITY: 9})
        await says(w, ann, Entity.PROFILE, {3: ("sw",)})
        await settled(w)
        people = [await w.person(f"learner{n}") for n in range(4)]
        await book.expose([Showing(one.user, ann.user, 1, "matching@1", 0.75, FACTORS) for one in people[:3]])
        good, declined, open_, unshown = people
        for learner, accept in ((good, True), (declined, False), (unshown, True)):
            mentorship = await w.ok(learner, ProposeMentorship(ann.user, 0, "algebra"))
            await w.ok(ann, AnswerMentorship(mentorship, accept))
            if accept:
                await w.ok(ann, EndMentorship(mentorship, True, 4))
                await w.ok(learner, EndMentorship(mentorship, True, 5))
        await w.ok(open_, ProposeMentorship(ann.user, 0, "algebra"))
        page = await w.bridge.run(partial(feed.outcomes, after=()), deadline_s=30, readonly=True)
        met = [msgspec.msgpack.decode(raw, type=Met) for raw in page.rows]
        assert met == [Met(FACTORS, True, 0.75, "sw"), Met(FACTORS, False, 0.75, "sw")], "what is undecided teaches nothing"


async def test_a_ticket_is_its_owners_alone_and_ends_after_ten_minutes(bridge: Bridge) -> None:
    async with world(bridge) as w:
        book, ben, eve = PostgresMatchBook(bridge), await w.person("ben"), await w.person("eve")
        assert await book.find(7, ben.user) is False
        await book.promise(7, ben.user)
        assert await book.find(7, ben.user) is True
        found = MatchList((), 3, 2, "matching@1", "", 7)
        await book.keep(7, eve.user, found)
        assert await book.find(7, ben.user) is True, "nobody answers another's"
        await book.keep(7, ben.user, found)
        assert await book.find(7, ben.user) == found
        assert await book.find(7, eve.user) is False
        await w.rows("update match_tickets set at = at - interval '11 minutes'")
        assert await book.find(7, ben.user) is False
