"""Reports on a real Postgres: where they go, who sees what of them, what a decision does, and that nobody learns who reported."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio

from actors.storage import Denied, ListReports, Query, ReportList, Result
from persistence.bridge import Bridge
from persistence.operations import reports
from persistence.review import sweep
from persistence.store import Store
from protocol.codes import Code
from protocol.events import Deleted, Noticed, Redacted, ReportDecided, Reported, SpaceEntered
from protocol.operations import (
    CreateChannel,
    DecideReport,
    Delete,
    Edit,
    Leave,
    OpenConversation,
    ReportMessage,
    ReportPerson,
    Say,
    SetRole,
)
from protocol.values import NoticeKind, ReportAbout, ReportReason, ReportState, Role, Roles, StreamKind
from tests.persistence.test_operations import bodies, code, inbox
from tests.persistence.world import Mailbox, Person, World, world

HATE = ReportReason.HATE
Ask = Callable[[Query], Awaitable[Result]]


@asynccontextmanager
async def reading(bridge: Bridge) -> AsyncIterator[Ask]:
    """A store that answers one at a time."""
    store = Store(bridge)

    async def ask(query: Query) -> Result:
        mailbox: Mailbox[Any] = Mailbox()
        store.ask(query, 1, mailbox)
        result: Result = (await mailbox.wait(1))[0].result
        return result

    async with trio.open_nursery() as nursery:
        await nursery.start(store.serve)
        yield ask
        nursery.cancel_scope.cancel()


async def listed(ask: Ask, person: Person, space: int = 0, *, platform: bool = False, open_only: bool = True) -> Any:
    result = await ask(ListReports(person.user, space, platform, 0, open_only, 100))
    return result.reports if isinstance(result, ReportList) else result


async def review_of(w: World, space: int) -> int:
    [stream] = await w.column("select id from streams where space_id = $1 and kind = 6", space)
    return stream


async def platform_review(w: World) -> int:
    [stream] = await w.column("select t.id from spaces s join streams t on t.space_id = s.id where s.pair_key = 'system:review'")
    return stream


async def make_reviewer(w: World, person: Person) -> None:
    await w.rows(
        "insert into user_roles (user_id, role_id, given_by) select $1, id, 0 from roles where space_id is null and name = 'reviewer'",
        person.user,
    )


async def notices(w: World, person: Person) -> list[Noticed]:
    return [body for body in await inbox(w, person) if isinstance(body, Noticed)]


async def test_a_reported_message_stands_in_a_review_stream_that_staff_read_and_nobody_else(bridge: Bridge) -> None:
    async with world(bridge) as w, reading(bridge) as ask:
        ann, ben, cid, moe = [await w.person(name) for name in ("ann", "ben", "cid", "moe")]
        space, _, channel = await w.community(ann, ben, cid, moe)
        await w.ok(ann, SetRole(space, moe.user, Role.MODERATOR))
        said = await w.ok(ben, Say(channel, "you all are worth nothing"))
        report = await w.ok(cid, ReportMessage(channel, said, HATE, "it hurts"))
        review = await review_of(w, space)
        assert await bodies(w, review) == [Reported(report, ReportAbout.MESSAGE, ben.user, HATE, channel, said)]
        [row] = await w.rows(
            "select read_roles, write_roles, (select author from log where stream_id = s.id) as author from streams s where id = $1", review
        )
        assert tuple(row) == (int(Roles.STAFF), 0, 0)
        for staff in (ann, moe):
            entered = [body for body in await inbox(w, staff) if isinstance(body, SpaceEntered)][-1]
            assert StreamKind.REVIEW in {stream.kind for stream in entered.streams}
            [item] = await listed(ask, staff, space)
            assert (item.report, item.user, item.reason, item.words, item.text) == (
                report,
                ben.user,
                HATE,
                "it hurts",
                "you all are worth nothing",
            )
        assert await listed(ask, ben, space) == Denied(Code.FORBIDDEN)
        assert await listed(ask, await w.person("eve"), space) == Denied(Code.NOT_FOUND)
        [own] = await listed(ask, cid)
        assert (own.report, own.state, own.words, own.text) == (report, ReportState.OPEN, "it hurts", "")
        assert await listed(ask, ben) == ()
        assert await listed(ask, ann, platform=True) == Denied(Code.FORBIDDEN)


async def test_an_upheld_report_hides_the_message_and_tells_author_and_reporter_kindly(bridge: Bridge) -> None:
    async with world(bridge) as w, reading(bridge) as ask:
        ann, ben, cid, dan = [await w.person(name) for name in ("ann", "ben", "cid", "dan")]
        space, _, channel = await w.community(ann, ben, cid, dan)
        said = await w.ok(ben, Say(channel, "you all are worth nothing"))
        await w.ok(ben, Edit(channel, said, "you are worth nothing"))
        first = await w.ok(cid, ReportMessage(channel, said, HATE))
        second = await w.ok(dan, ReportMessage(channel, said, ReportReason.HARASSMENT))
        assert await w.ok(ann, DecideReport(first, True)) == 2
        assert (await bodies(w, channel))[said - 1] == Redacted()
        assert (await bodies(w, channel))[-1] == Deleted(said)
        assert b"worth nothing" not in b"".join(await w.column("select body from log"))  # type: ignore[arg-type]
        assert await w.column("select count(*) from message_versions") == [0]
        assert (await bodies(w, await review_of(w, space)))[-2:] == [
            ReportDecided(first, ReportState.UPHELD, ann.user),
            ReportDecided(second, ReportState.UPHELD, ann.user),
        ]
        [told] = await notices(w, ben)
        assert (told.kind, told.actor) == (NoticeKind.MODERATION, 0)
        assert "hidden" in told.words
        for reporter, report in ((cid, first), (dan, second)):
            [thanks] = await notices(w, reporter)
            assert (thanks.kind, thanks.actor, thanks.subject) == (NoticeKind.MODERATION, 0, report)
        assert await code(w, ann, DecideReport(first, False)) is Code.CONFLICT
        assert await w.column("select count(*) from reports where evidence is not null") == [0]
        [own] = await listed(ask, cid, open_only=False)
        assert own.state is ReportState.UPHELD
        [deed] = await w.rows("select actor, action, subject, detail::text as detail from audit_log where action like 'report_%'")
        assert (deed["actor"], deed["action"], deed["subject"]) == (ann.user, "report_upheld", ben.user)
        assert sorted(await w.column("select user_id from trust_events")) == sorted([ben.user, cid.user, dan.user])


async def test_a_rejected_report_leaves_everything_and_the_reported_never_hears_of_it(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben, cid = [await w.person(name) for name in ("ann", "ben", "cid")]
        _, _, channel = await w.community(ann, ben, cid)
        said = await w.ok(ben, Say(channel, "good morning"))
        report = await w.ok(cid, ReportMessage(channel, said, HATE))
        heard = len(await inbox(w, ben))
        assert await w.ok(ann, DecideReport(report, False)) == 1
        assert len(await inbox(w, ben)) == heard
        assert (await bodies(w, channel))[said - 1] != Redacted()
        assert len(await notices(w, cid)) == 1


async def test_who_reported_is_written_nowhere_that_the_reported_may_ever_read(bridge: Bridge) -> None:
    async with world(bridge) as w, reading(bridge) as ask:
        ann, ben = await w.person("ann"), await w.person("ben")
        await w.rows("select setval(pg_get_serial_sequence('accounts', 'id'), 777777)")  # a number that nothing else has
        cid = await w.person("cid")
        space, _, channel = await w.community(ann, ben, cid)
        said = await w.ok(ben, Say(channel, "boo"))
        report = await w.ok(cid, ReportMessage(channel, said, HATE, "signed: cid"))
        await w.ok(ann, SetRole(space, ben.user, Role.MODERATOR))
        assert await listed(ask, ben, space) == (), "staff by now, but it is about him"
        assert await code(w, ben, DecideReport(report, False)) is Code.NOT_FOUND
        await w.ok(ann, DecideReport(report, True))
        await inbox(w, ben)
        marks = (str(cid.user), "cid")
        own = await w.rows("select body from log where stream_id = any($1)", [ben.inbox, await review_of(w, space)])
        for row in own:
            told = msgspec.msgpack.decode(row["body"])
            assert cid.user not in told, told
            assert "signed" not in str(told)
        for row in await w.rows("select actor, subject, detail::text as detail from audit_log where action like 'report_%'"):
            assert cid.user not in (row["actor"], row["subject"])
            assert all(f'"{mark}"' not in row["detail"] for mark in marks)


async def test_what_is_reported_of_staff_or_outside_communities_goes_to_the_platforms_reviewers(bridge: Bridge) -> None:
    async with world(bridge) as w, reading(bridge) as ask:
        ann, ben, cid, rex = [await w.person(name) for name in ("ann", "ben", "cid", "rex")]
        space, _, channel = await w.community(ann, ben)
        await make_reviewer(w, rex)
        pair = await w.ok(ben, OpenConversation((cid.user,)))
        secret = await w.ok(cid, Say(pair, "pay me"))
        by_staff = await w.ok(ann, Say(channel, "because I say so"))
        made = [
            await w.ok(ben, ReportMessage(pair, secret, ReportReason.DECEIT)),
            await w.ok(ben, ReportMessage(channel, by_staff, ReportReason.OTHER)),
            await w.ok(ben, ReportPerson(cid.user, ReportReason.DECEIT)),
            await w.ok(ben, ReportPerson(ann.user, ReportReason.OTHER, "", space, True)),
        ]
        assert [item.report for item in await listed(ask, rex, platform=True)] == made
        assert await listed(ask, ann, space) == ()
        assert len(await bodies(w, await platform_review(w))) == 4
        assert await code(w, ann, DecideReport(made[1], False)) is Code.NOT_FOUND
        await w.ok(rex, DecideReport(made[0], True))
        assert (await bodies(w, pair))[secret - 1] == Redacted()
        [author] = await w.column("select author from log where stream_id = $1 order by seq desc limit 1", pair)
        assert author == 0, "nobody there hears who the reviewer is"
        await w.ok(rex, DecideReport(made[2], True))
        assert await w.column("select count(*) from members where user_id = $1", rex.user) == [1], (
            "and he is a member of nothing but his own"
        )


async def test_the_same_reported_again_adds_up_and_tells_nobody_twice(bridge: Bridge) -> None:
    async with world(bridge) as w, reading(bridge) as ask:
        ann, ben, cid = [await w.person(name) for name in ("ann", "ben", "cid")]
        space, _, channel = await w.community(ann, ben, cid)
        said = await w.ok(ben, Say(channel, "boo"))
        report = await w.ok(cid, ReportMessage(channel, said, HATE, "first words"))
        for words in ("", "second words"):
            assert await w.ok(cid, ReportMessage(channel, said, ReportReason.SPAM, words)) == report
        [item] = await listed(ask, ann, space)
        assert (item.times, item.reason, item.words) == (3, ReportReason.SPAM, "second words")
        assert len(await bodies(w, await review_of(w, space))) == 1
        await w.ok(ann, DecideReport(report, False))
        assert await w.ok(cid, ReportMessage(channel, said, HATE)) != report, "a new one after the decision"


async def test_a_flood_of_reports_ends_at_the_days_bound_over_all_devices(bridge: Bridge) -> None:
    async with world(bridge) as w, world(bridge) as other:
        cid = await w.person("cid")
        numbers = await w.column("insert into devices (user_id, generation) select $1, 1 from generate_series(1, 8) returning id", cid.user)
        devices = [Person(cid.user, cid.inbox, number, cid.name) for number in numbers]
        found = "select c.user_id from generate_series(1, $1::int) n cross join lateral create_account(('p' || n)::citext, 'P', 'x') c"
        people = await w.column(found, 4 * len(devices))
        answers: list[Code] = []

        async def flood(gateway: World, device: Person, targets: list[int]) -> None:
            for target in targets:
                answers.append((await gateway.ask(device, ReportPerson(target, HATE))).code)

        async with trio.open_nursery() as nursery:
            for at, device in enumerate(devices):
                nursery.start_soon(flood, (w, other)[at % 2], device, people[at :: len(devices)])
        assert answers.count(Code.OK) == reports.REPORTS_PER_DAY_MAX
        assert answers.count(Code.LIMIT) == len(people) - reports.REPORTS_PER_DAY_MAX
        await w.rows("update reports set at = at - make_interval(secs => 86401)")
        assert await code(w, cid, ReportPerson((await w.person("late")).user, HATE)) is Code.OK


async def test_the_message_as_it_was_reported_is_shown_although_its_author_took_it_back(bridge: Bridge) -> None:
    async with world(bridge) as w, reading(bridge) as ask:
        ann, ben, cid = [await w.person(name) for name in ("ann", "ben", "cid")]
        space, _, channel = await w.community(ann, ben, cid)
        said = await w.ok(ben, Say(channel, "boo"))
        report = await w.ok(cid, ReportMessage(channel, said, HATE))
        await w.ok(ben, Delete(channel, said))
        [item] = await listed(ask, ann, space)
        assert item.text == "boo"
        head = await w.column("select head from streams where id = $1", channel)
        await w.ok(ann, DecideReport(report, True))
        assert await w.column("select head from streams where id = $1", channel) == head, "there was nothing left to take back"


async def test_nobody_reports_themselves_what_they_cannot_read_or_what_says_nothing(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben, eve = [await w.person(name) for name in ("ann", "ben", "eve")]
        space, own, channel = await w.community(ann, ben)
        staff = await w.ok(ann, CreateChannel(space, "staff", int(Roles.STAFF), int(Roles.STAFF)))
        said = await w.ok(ben, Say(channel, "boo"))
        hidden = await w.ok(ann, Say(staff, "among us"))
        assert await code(w, ben, ReportMessage(channel, said, HATE)) is Code.INVALID
        assert await code(w, ben, ReportMessage(staff, hidden, HATE)) is Code.FORBIDDEN
        assert await code(w, eve, ReportMessage(channel, said, HATE)) is Code.NOT_FOUND
        assert await code(w, ben, ReportMessage(channel, 999, HATE)) is Code.NOT_FOUND
        assert await code(w, ben, ReportMessage(own, 1, HATE)) is Code.NOT_FOUND, "no message"
        assert await code(w, ben, ReportMessage(1, 1, HATE)) is Code.NOT_FOUND, "the system's own"
        assert await code(w, ben, ReportPerson(ben.user, HATE)) is Code.INVALID
        assert await code(w, ben, ReportPerson(10**9, HATE)) is Code.NOT_FOUND
        assert await code(w, ben, ReportPerson(eve.user, HATE, "", space)) is Code.NOT_FOUND
        assert await code(w, eve, ReportPerson(ben.user, HATE, "", space)) is Code.NOT_FOUND
        await w.ok(ben, Delete(channel, said))
        assert await code(w, ann, ReportMessage(channel, said, HATE)) is Code.NOT_FOUND
        assert await code(w, ben, DecideReport(1, True)) is Code.NOT_FOUND


async def test_an_author_who_has_left_is_told_all_the_same(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben, cid = [await w.person(name) for name in ("ann", "ben", "cid")]
        space, _, channel = await w.community(ann, ben, cid)
        said = await w.ok(ben, Say(channel, "boo"))
        report = await w.ok(cid, ReportMessage(channel, said, HATE))
        await w.ok(ben, Leave(space))
        await w.ok(cid, Leave(space))
        await w.ok(ann, DecideReport(report, True))
        assert len(await notices(w, ben)) == len(await notices(w, cid)) == 1


async def test_a_report_that_its_own_maker_decides_becomes_no_fact_about_anybody(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        _, _, channel = await w.community(ann, ben)
        said = await w.ok(ben, Say(channel, "boo"))
        report = await w.ok(ann, ReportMessage(channel, said, HATE))
        await w.ok(ann, DecideReport(report, True))
        assert await w.column("select count(*) from trust_events") == [0]


async def test_decided_reports_are_forgotten_after_half_a_year_and_open_ones_never(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben, cid = [await w.person(name) for name in ("ann", "ben", "cid")]
        _, _, channel = await w.community(ann, ben, cid)
        one, two = [await w.ok(ben, Say(channel, word)) for word in ("boo", "baa")]
        report = await w.ok(cid, ReportMessage(channel, one, HATE))
        await w.ok(cid, ReportMessage(channel, two, HATE))
        await w.ok(ann, DecideReport(report, False))
        assert await w.bridge.run(sweep, deadline_s=30) == 0
        await w.rows("update reports set decided_at = decided_at - make_interval(days => 181), at = at - make_interval(days => 181)")
        assert await w.bridge.run(sweep, deadline_s=30) == 1
        assert await w.column("select seq from reports") == [two]


async def test_each_place_that_a_person_is_reported_to_hears_of_it_and_reads_what_was_written_for_it_alone(bridge: Bridge) -> None:
    async with world(bridge) as w, reading(bridge) as ask:
        ann, ben, cid, zoe = [await w.person(name) for name in ("ann", "ben", "cid", "zoe")]
        await make_reviewer(w, zoe)
        first, *_ = await w.community(ann, ben, cid)
        second, *_ = await w.community(ann, ben, cid)
        places = ((first, "for the first"), (second, "for the second"), (0, "the staff are his friends"))
        made = [await w.ok(cid, ReportPerson(ben.user, HATE, words, space)) for space, words in places]
        assert len(set(made)) == 3
        for (space, words), report in zip(places, made, strict=True):
            found = await listed(ask, ann if space else zoe, space, platform=not space)
            assert [(one.report, one.words) for one in found] == [(report, words)]
        # Each again: where it was.
        assert [await w.ok(cid, ReportPerson(ben.user, HATE, words, space)) for space, words in places] == made
