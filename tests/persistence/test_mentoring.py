"""Mentorships on a real Postgres: who may ask whom, what an answer begins, how they end, and what is told to whom."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from actors.notices import Reminder
from actors.sovereignty import Kind
from actors.storage import ListMentorships, MentorshipList
from persistence.bridge import Bridge
from persistence.mentoring import closing, meetings, operations, people
from persistence.notice_desk import PostgresNotices
from protocol.codes import Code
from protocol.entities import Entity
from protocol.events import (
    Joined,
    MentorshipBegan,
    MentorshipClosed,
    MentorshipNoted,
    MentorshipSaidOver,
    Noticed,
    SpaceEntered,
)
from protocol.operations import (
    AnswerMentorship,
    Block,
    EndMentorship,
    Leave,
    ProposeMentorship,
    Remove,
    Say,
    SetRole,
    Unblock,
    WithdrawProposal,
)
from protocol.values import MentorshipState, NoticeKind, Role, SpaceKind, StreamKind
from tests.persistence.mentoring import CAPACITY, COMMUNITIES, OPEN, matched, mentor, says, settled, trusted
from tests.persistence.records import NOW, another_device, change, fields_of
from tests.persistence.sovereignty.places import tables_with
from tests.persistence.sovereignty.test_erasure import erase
from tests.persistence.test_operations import bodies, code, inbox
from tests.persistence.test_reports import reading
from tests.persistence.world import Person, World, world


async def noted(w: World, person: Person) -> list[MentorshipState]:
    return [body.state for body in await inbox(w, person) if isinstance(body, MentorshipNoted)]


async def streams_of(w: World, mentorship: int) -> tuple[int, int, int]:
    [row] = await w.rows("select space_id, conversation, records from mentorships where id = $1", mentorship)
    return row["space_id"], row["conversation"], row["records"]


async def sweep(w: World) -> int:
    async def work(tx: Any) -> int:
        return (await closing.sweep(tx))[0]

    return await w.bridge.run(work, deadline_s=30)


async def test_a_proposal_and_its_answer_make_a_space_of_two_with_a_conversation_and_records(bridge: Bridge) -> None:
    async with world(bridge) as w, reading(bridge) as ask:
        ann, ben = await mentor(w, "ann"), await w.person("ben")
        mentorship = await w.ok(ben, ProposeMentorship(ann.user, 0, "algebra", "please"))
        assert await noted(w, ann) == await noted(w, ben) == [MentorshipState.PROPOSED]
        [notice] = [body for body in await inbox(w, ann) if isinstance(body, Noticed)]
        assert (notice.kind, notice.actor, notice.subject) == (NoticeKind.MATCH, ben.user, mentorship)
        space = await w.ok(ann, AnswerMentorship(mentorship, True, "gladly"))
        assert (await noted(w, ben))[-1] is MentorshipState.ACTIVE
        for person, role in ((ann, Role.MENTOR), (ben, Role.LEARNER)):
            [entered] = [body for body in await inbox(w, person) if isinstance(body, SpaceEntered) and body.space == space]
            assert (entered.kind, entered.role) == (SpaceKind.MENTORSHIP, role)
            assert {one.kind for one in entered.streams} == {StreamKind.CONVERSATION, StreamKind.MENTORSHIP}
        _, conversation, records = await streams_of(w, mentorship)
        assert await bodies(w, records) == [MentorshipBegan(mentorship, ann.user, ben.user)]
        assert await bodies(w, conversation) == [Joined(ann.user, Role.MENTOR, "Ann"), Joined(ben.user, Role.LEARNER, "Ben")]
        for person in (ann, ben):
            await w.ok(person, Say(conversation, "hello"))
            await w.ok(person, change(records, Entity.GOAL, person.user, {1: "fractions"}))
        eve = await w.person("eve")
        assert await code(w, eve, Say(conversation, "me too")) is Code.NOT_FOUND
        listed = await ask(ListMentorships(ben.user, 0, True, 10))
        assert isinstance(listed, MentorshipList)
        [item] = listed.mentorships
        assert (item.mentorship, item.other_name, item.state, item.conversation) == (
            mentorship,
            "Ann",
            MentorshipState.ACTIVE,
            conversation,
        )
        assert await ask(ListMentorships(eve.user, 0, False, 10)) == MentorshipList((), False)


async def test_whoever_is_not_asked_cannot_tell_a_mentorship_from_none(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben, eve = await mentor(w, "ann"), await w.person("ben"), await w.person("eve")
        proposal = await w.ok(ben, ProposeMentorship(ann.user, 0, "algebra"))
        for person, operation in (
            (eve, AnswerMentorship(proposal, True)),
            (ben, AnswerMentorship(proposal, True)),
            (eve, WithdrawProposal(proposal)),
            (ann, WithdrawProposal(proposal)),
            (eve, EndMentorship(proposal, True, 5)),
        ):
            refused, none = await w.ask(person, operation), await w.ask(person, type(operation)(proposal + 99, *_rest(operation)))
            assert (refused.code, refused.detail) == (none.code, none.detail) == (Code.NOT_FOUND, "")


def _rest(operation: Any) -> tuple[Any, ...]:
    return tuple(getattr(operation, name) for name in operation.__struct_fields__[1:])


async def test_only_who_mentors_here_and_is_trusted_and_not_blocked_can_be_asked(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ben = await w.person("ben")
        owner = await w.person("owner")
        plain, low, closed, far = (
            await w.person("plain"),
            await mentor(w, "low", trust=0.449),
            await mentor(w, "closed", {OPEN: False}),
            await mentor(w, "far"),
        )
        space, _, _ = await w.community(owner, ben, far)
        only_here = await mentor(w, "here", {COMMUNITIES: (space,)})

        async def asked(one: Person, where: int = 0) -> Code:
            return await code(w, ben, ProposeMentorship(one.user, where, "algebra"))

        assert await asked(plain) is await asked(closed) is await asked(only_here) is Code.NOT_FOUND
        assert await asked(low) is Code.TRUST
        assert await asked(ben) is Code.INVALID
        assert await asked(far, space) is Code.NOT_FOUND, "a learner in it does not mentor in it"
        await w.ok(owner, SetRole(space, far.user, Role.MENTOR))
        await w.ok(far, Block(ben.user))
        assert await asked(far) is await asked(far, space) is Code.BLOCKED
        await w.ok(far, Unblock(ben.user))
        assert await asked(far, space) is Code.OK
        eve = await w.person("eve")
        assert await code(w, eve, ProposeMentorship(far.user, space, "algebra")) is Code.NOT_FOUND, "of a community that one is not in"


async def test_of_many_who_are_asked_and_accept_at_once_a_mentor_gets_no_more_than_they_take(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await mentor(w, "ann", {CAPACITY: 2})
        learners = [await w.person(f"learner{n}") for n in range(5)]
        proposals: list[int] = []
        async with trio.open_nursery() as nursery:
            for learner in learners:
                nursery.start_soon(_propose, w, learner, ann, proposals)
        assert len(proposals) == 5
        answers: list[Code] = []
        async with trio.open_nursery() as nursery:
            for proposal in proposals:
                nursery.start_soon(_accept, w, await another_device(w, ann), proposal, answers)
        assert sorted(answers) == [Code.OK, Code.OK, Code.LIMIT, Code.LIMIT, Code.LIMIT]
        late = await w.person("late")
        assert await code(w, late, ProposeMentorship(ann.user, 0, "algebra")) is Code.LIMIT


async def _propose(w: World, learner: Person, ann: Person, proposals: list[int]) -> None:
    proposals.append(await w.ok(learner, ProposeMentorship(ann.user, 0, "algebra")))


async def _accept(w: World, device: Person, proposal: int, answers: list[Code]) -> None:
    answers.append(await code(w, device, AnswerMentorship(proposal, True)))


async def test_nobody_is_asked_twice_nor_again_soon_after_a_no(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await mentor(w, "ann"), await w.person("ben")
        proposal = ProposeMentorship(ann.user, 0, "algebra")
        first = await w.ok(ben, proposal)
        assert await code(w, ben, proposal) is Code.CONFLICT
        await w.ok(ben, WithdrawProposal(first))
        assert await code(w, ann, AnswerMentorship(first, True)) is Code.CONFLICT, "it was taken back"
        await w.rows("update mentorships set closed_at = now() - interval '25 hours' where id = $1", first)
        second = await w.ok(ben, proposal)
        await w.ok(ann, AnswerMentorship(second, False, "no time"))
        assert (await noted(w, ben))[-1] is MentorshipState.DECLINED
        assert await code(w, ben, proposal) is Code.CONFLICT
        await w.rows("update mentorships set closed_at = now() - interval '31 days' where id = $1", second)
        await w.ok(ben, proposal)


async def test_asking_and_taking_it_back_is_no_way_to_send_notice_after_notice(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await mentor(w, "ann"), await w.person("ben")
        proposal = ProposeMentorship(ann.user, 0, "algebra")
        for turn in range(operations.TAKEN_BACK_MAX):
            await w.ok(ben, WithdrawProposal(await w.ok(ben, proposal)))
            assert await code(w, ben, proposal) is Code.CONFLICT, "not again within a day"
            await w.rows("update mentorships set closed_at = closed_at - interval '25 hours'")
            assert len([body for body in await inbox(w, ann) if isinstance(body, Noticed)]) == turn + 1
        assert await code(w, ben, proposal) is Code.LIMIT, "nor on every day"
        await w.rows("update mentorships set closed_at = closed_at - interval '31 days'")
        await w.ok(ben, WithdrawProposal(await w.ok(ben, proposal)))
        await w.rows(
            "insert into mentorships (mentor, learner, subject, state, closed_at) select 1000000 + n, $1, 'x', 4, now()"
            " from generate_series(2, $2) n",
            ben.user,
            operations.ASKED_MAX,
        )
        other = await mentor(w, "other")
        assert await code(w, ben, ProposeMentorship(other.user, 0, "algebra")) is Code.LIMIT, "nor from one to the next"


async def test_what_was_true_when_it_was_asked_is_asked_again_when_it_is_accepted(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben, owner = await mentor(w, "ann"), await w.person("ben"), await w.person("owner")
        proposal = await w.ok(ben, ProposeMentorship(ann.user, 0, "algebra"))
        await trusted(w, ann, 0.2)
        refused = await w.ask(ann, AnswerMentorship(proposal, True))
        assert refused.code is Code.TRUST and "yours is 0.20" in refused.detail
        await trusted(w, ann, 0.6)
        space, _, _ = await w.community(owner, ann, ben)
        await w.ok(owner, SetRole(space, ann.user, Role.MENTOR))
        cid = await w.person("cid")
        assert await code(w, cid, ProposeMentorship(ann.user, space, "algebra")) is Code.NOT_FOUND
        await w.ok(ann, AnswerMentorship(proposal, True))


async def test_it_closes_when_both_have_said_so_and_then_nobody_writes_there(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await mentor(w, "ann"), await w.person("ben")
        mentorship, space = await matched(w, ann, ben)
        _, conversation, records = await streams_of(w, mentorship)
        said = await w.ok(ben, Say(conversation, "hello"))
        await w.ok(ben, EndMentorship(mentorship, True, 5, "thank you"))
        assert await code(w, ben, EndMentorship(mentorship, True, 4)) is Code.CONFLICT
        await w.ok(ann, Say(conversation, "it goes on until both have said so"))
        await w.ok(ann, EndMentorship(mentorship, True, 4))
        assert (await bodies(w, records))[1:] == [
            MentorshipSaidOver(True, "thank you"),
            MentorshipSaidOver(True),
            MentorshipClosed(MentorshipState.ENDED, ann.user),
        ]
        for person in (ann, ben):
            assert await code(w, person, Say(conversation, "still there?")) is Code.FORBIDDEN
            assert await code(w, person, change(records, Entity.GOAL, 7, {1: "late"})) is Code.FORBIDDEN
            assert (await noted(w, person))[-1] is MentorshipState.ENDED
        [row] = await w.rows("select good, state from mentorships where id = $1", mentorship)
        assert (row["good"], row["state"]) == (0.9375, MentorshipState.ENDED)
        assert said and await w.column("select count(*) from members where space_id = $1", space) == [2], "both go on reading"


async def test_a_good_end_is_a_fact_of_trust_once_a_year_and_only_of_what_lasted(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await mentor(w, "ann"), await w.person("ben")

        async def facts() -> list[int]:
            return await w.column("select subject from trust_events where user_id = $1 and kind = 3 order by id", ann.user)

        async def through(days: int, rating: int = 5) -> int:
            mentorship, _ = await matched(w, ann, ben)
            await w.rows("update mentorships set answered_at = now() - make_interval(days => $2) where id = $1", mentorship, days)
            await w.ok(ann, EndMentorship(mentorship, True, 5))
            await w.ok(ben, EndMentorship(mentorship, True, rating))
            return mentorship

        await through(1)
        assert await facts() == [], "nobody was mentored in a day"
        await through(30, rating=2)
        assert await facts() == []
        good = await through(30)
        assert await facts() == [good]
        await through(30)
        assert await facts() == [good]
        assert await w.value("select weight from trust_events where subject = $1 and kind = 3", good) == 0.0, (
            "for whom nobody vouches their word counts nothing, also where no community is named"
        )


async def test_time_ends_what_nobody_answers_and_what_only_one_has_ended(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben, cid = await mentor(w, "ann"), await w.person("ben"), await w.person("cid")
        unanswered = await w.ok(cid, ProposeMentorship(ann.user, 0, "algebra"))
        mentorship, _ = await matched(w, ann, ben)
        await w.ok(ben, EndMentorship(mentorship, False, 2))
        assert await sweep(w) == 0
        await w.rows(
            "update mentorships set proposed_at = now() - interval '15 days', learner_over_at = learner_over_at - interval '15 days'"
        )
        assert await sweep(w) == 2
        states = dict(await w.rows("select id, state from mentorships"))
        assert states == {unanswered: MentorshipState.LAPSED, mentorship: MentorshipState.ENDED}
        assert (await noted(w, cid))[-1] is MentorshipState.LAPSED
        assert await w.value("select good from mentorships where id = $1", mentorship) == 0.125


async def test_a_proposal_that_is_accepted_while_the_sweep_waits_for_it_goes_on(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(bridge) as w:
        ann, ben = await mentor(w, "ann"), await w.person("ben")
        mentorship = await w.ok(ben, ProposeMentorship(ann.user, 0, "algebra"))
        await w.rows("update mentorships set proposed_at = now() - interval '15 days'")
        lock = closing.lock_open

        async def accepted_meanwhile(tx: Any, ids: Any) -> list[Any]:
            """As a lock that was waited for hands the row over: as whoever held it left it."""
            await tx.execute("update mentorships set state = 2, answered_at = now() where id = any($1)", ids)
            return await lock(tx, ids)

        monkeypatch.setattr(closing, "lock_open", accepted_meanwhile)
        assert await sweep(w) == 1
        monkeypatch.undo()
        assert await w.value("select state from mentorships where id = $1", mentorship) == MentorshipState.ACTIVE
        assert await sweep(w) == 0


async def test_leaving_removal_and_blocks_break_it_off(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, owner = await mentor(w, "ann", {CAPACITY: 9}), await w.person("owner")
        learners = [await w.person(f"learner{n}") for n in range(5)]
        space, _, _ = await w.community(owner, ann, *learners)
        await w.ok(owner, SetRole(space, ann.user, Role.MENTOR))
        begun = [await matched(w, ann, learner, space) for learner in learners[:4]]
        asked = await w.ok(learners[4], ProposeMentorship(ann.user, space, "algebra"))
        left, removed, blocked, went = learners[:4]
        await w.ok(left, Leave(space))
        await w.ok(owner, Remove(space, removed.user))
        await w.ok(blocked, Block(ann.user))
        await w.ok(went, Leave(begun[3][1]))
        await w.ok(ann, Block(learners[4].user))
        states = await w.column("select state from mentorships order by id")
        assert states == [MentorshipState.BROKEN_OFF] * 4 + [MentorshipState.WITHDRAWN]
        assert asked and await w.value("select by_user from mentorships where learner = $1", blocked.user) == 0, "nobody hears who blocks"
        for (mentorship, _), learner in zip(begun, learners, strict=False):
            _, conversation, records = await streams_of(w, mentorship)
            for person in (ann, learner):
                assert await code(w, person, Say(conversation, "x")) in (Code.FORBIDDEN, Code.NOT_FOUND)
                assert await code(w, person, change(records, Entity.GOAL, 3, {1: "x"})) in (Code.FORBIDDEN, Code.NOT_FOUND)
            assert (await noted(w, learner))[-1] is MentorshipState.BROKEN_OFF


async def test_a_meeting_that_is_agreed_is_remembered_to_both_by_their_own_clocks(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await mentor(w, "ann"), await w.person("ben")
        await says(w, ann, Entity.PROFILE, {4: "Asia/Kolkata"})
        mentorship, _ = await matched(w, ann, ben)
        _, _, records = await streams_of(w, mentorship)
        at = (NOW // 86400 + 30) * 86400 + 10 * 3600
        await w.ok(ben, change(records, Entity.MEETING, 5, {1: at, 2: 60, 3: "by phone", 5: 0}))
        await settled(w)
        reminders = "select user_id, extract(epoch from at)::bigint as at, words from reminders order by user_id"
        assert await w.rows(reminders) == [], "it is not agreed"
        await w.ok(ann, change(records, Entity.MEETING, 5, {5: 1}, base=1))
        await settled(w)
        found = {row["user_id"]: row for row in await w.rows(reminders)}
        assert {row["at"] for row in found.values()} == {at - 1800}
        assert "15:30" in found[ann.user]["words"] and "Asia/Kolkata" in found[ann.user]["words"]
        assert "10:00" in found[ben.user]["words"] and "UTC" in found[ben.user]["words"] and "by phone" in found[ben.user]["words"]
        await w.ok(ben, change(records, Entity.MEETING, 5, {1: at + 86400}, base=2))
        await settled(w)
        assert {row["at"] for row in await w.rows(reminders)} == {at + 86400 - 1800}, "moved, and not twice"
        await w.ok(ann, EndMentorship(mentorship, True, 5))
        await w.ok(ben, EndMentorship(mentorship, True, 5))
        assert await w.rows(reminders) == []
        assert await fields_of(w, records, Entity.MEETING, 5) is not None


async def test_a_meeting_of_which_nothing_can_be_made_costs_no_other_meeting_and_no_mentor(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await mentor(w, "ann"), await w.person("ben")
        await says(w, ann, Entity.PROFILE, {4: "Pacific/Kiritimati"})
        mentorship, _ = await matched(w, ann, ben)
        _, _, records = await streams_of(w, mentorship)
        for key, at in ((1, 2**40), (2, 253_402_300_799), (3, NOW + 3 * 365 * 86_400), (4, 0), (5, NOW - 1)):
            await w.ok(ben, change(records, Entity.MEETING, key, {1: at, 5: 1}))
        await w.ok(ben, change(records, Entity.MEETING, 6, {1: NOW + 86_400, 3: "x" * 200, 5: 1}))
        assert await settled(w) == 1
        assert set(await w.column("select record_key from reminders")) == {6}
        await w.rows("update records set cells = '\\x00' where stream_id = $1 and key = 1", records)
        await w.ok(ben, change(records, Entity.MEETING, 6, {1: NOW + 90_000}, base=1))
        await settled(w)
        assert set(await w.column("select extract(epoch from at)::bigint from reminders")) == {NOW + 90_000 - 1800}
        assert await w.rows("select from meetings_unsettled") == []


async def test_who_settles_a_meeting_that_moves_or_ends_meanwhile_leaves_no_stale_reminder(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first has read the meeting, and waits until the other has got as far, or waits for the first."""
    async with world(bridge) as w:
        ann, ben = await mentor(w, "ann"), await w.person("ben")
        mentorship, _ = await matched(w, ann, ben)
        _, _, records = await streams_of(w, mentorship)
        read, waits = (
            people.read_told,
            "select exists (select from pg_locks where not granted and transactionid = pg_current_xact_id()::xid)",
        )
        arrived, over = 0, False

        async def slowly(tx: Any, *rest: Any) -> Any:
            nonlocal arrived
            arrived += 1
            if arrived == 1:
                while arrived == 1 and not over and not await tx.fetchval(waits):
                    pass
            else:
                while not over:
                    await tx.fetchval("select 1")
            return await read(tx, *rest)

        async def first() -> None:
            nonlocal over
            await w.bridge.run(meetings.settle_some_meetings, deadline_s=30)
            over = True

        async def second(last: Any) -> None:
            nonlocal arrived, over
            arrived, over = 0, False
            async with trio.open_nursery() as nursery:
                nursery.start_soon(first)
                while not arrived:
                    await w.value("select 1")
                await last()

        async def move() -> None:
            await w.ok(ben, change(records, Entity.MEETING, 1, {1: NOW + 90_000}, base=1))
            await w.bridge.run(meetings.settle_some_meetings, deadline_s=30)

        async def block() -> None:
            await w.ok(ann, Block(ben.user))

        monkeypatch.setattr(meetings, "read_told", slowly)
        await w.ok(ben, change(records, Entity.MEETING, 1, {1: NOW + 86_400, 5: 1}))
        await second(move)
        found = await w.rows("select user_id, extract(epoch from at)::bigint from reminders order by user_id")
        assert [tuple(row) for row in found] == sorted((person.user, NOW + 90_000 - 1800) for person in (ann, ben))
        await w.ok(ben, change(records, Entity.MEETING, 1, {1: NOW + 95_000}, base=2))
        await second(block)
        assert await w.rows("select from reminders") == []


async def test_meetings_fill_nobodys_own_reminders(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await mentor(w, "ann"), await w.person("ben")
        mentorship, _ = await matched(w, ann, ben)
        _, _, records = await streams_of(w, mentorship)
        for key in range(1, meetings.MEETINGS_MAX + 3):
            await w.ok(ben, change(records, Entity.MEETING, key, {1: NOW + 86_400 + key, 5: 1}))
        await settled(w)
        counts = "select count(*) from reminders where record_key > 0 group by user_id"
        assert await w.column(counts) == [meetings.MEETINGS_MAX] * 2
        desk = PostgresNotices(w.bridge, w.herald, lambda: float(NOW))
        assert await desk.remind(ann.user, Reminder(0, NOW, 0, 0, "own")) > 0
        assert "own" in {one.words for one in await desk.reminders(ann.user)}
        await w.rows("insert into reminders (user_id, at, words) select $1, now(), 'own' from generate_series(1, 100)", ben.user)
        await w.ok(ben, change(records, Entity.MEETING, 1, {1: NOW + 99_999}, base=1))
        await settled(w)
        assert await w.column(counts) == [meetings.MEETINGS_MAX] * 2


async def test_of_somebody_who_is_erased_no_word_is_left_and_the_other_is_told(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben, cid = await mentor(w, "ann", {CAPACITY: 9}), await w.person("ben"), await w.person("cid")
        mentorship = await w.ok(ben, ProposeMentorship(ann.user, 0, "sunflower", "sunflower"))
        await w.ok(ann, AnswerMentorship(mentorship, True))
        _, conversation, records = await streams_of(w, mentorship)
        await w.ok(ben, Say(conversation, "sunflower"))
        await w.ok(ben, EndMentorship(mentorship, True, 5, "sunflower"))
        await w.ok(ben, ProposeMentorship((await mentor(w, "dan")).user, 0, "sunflower", "sunflower"))
        other = await w.ok(cid, ProposeMentorship(ann.user, 0, "algebra"))
        await inbox(w, ann)
        assert len(await tables_with(w, "sunflower")) >= 2
        await erase(w, Kind.PERSON, ben.user)
        assert await tables_with(w, "sunflower") == {}
        told = [body for body in await inbox(w, ann) if isinstance(body, MentorshipNoted) and body.mentorship == mentorship]
        assert told[-1].state is MentorshipState.BROKEN_OFF and told[-1].words == ""
        assert await bodies(w, records) == [], "what the two wrote together is gone with its stream's log"
        assert await code(w, ann, Say(conversation, "hello?")) is Code.FORBIDDEN
        assert await w.column("select id from mentorships") == [other]
