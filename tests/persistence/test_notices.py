"""A notice reaches the inbox once, if what caused it was committed and whom it is for may still see it."""

from __future__ import annotations

import asyncpg
import msgspec
import pytest
import trio

from actors.notices import Notice, NoticeKind, Preferences, Rule, Way
from persistence.bridge import Bridge
from persistence.notice_desk import PostgresNotices
from persistence.notice_rows import DECIDE
from persistence.notices import notify
from persistence.outbox import Outbox, OutboxOptions
from protocol.events import AnyBody, Invited, Mentioned, Noticed, NoticesRead
from protocol.operations import CreateChannel, Delete, Invite, MarkRead, Post, Remove, Say
from protocol.values import Roles
from tests.persistence.world import World, world

_BODY = msgspec.msgpack.Decoder(AnyBody)


async def bodies(w: World, inbox: int) -> list[AnyBody]:
    return [_BODY.decode(row["body"]) for row in await w.rows("select body from log where stream_id = $1 order by seq", inbox)]


async def notices(w: World, inbox: int) -> list[Noticed]:
    return [body for body in await bodies(w, inbox) if isinstance(body, Noticed)]


class Undone(Exception):
    """The caller's transaction fails."""


async def tell(bridge: Bridge, *told: Notice, fail: bool = False) -> None:
    async def work(tx: asyncpg.Connection) -> None:
        await notify(tx, *told)
        if fail:
            raise Undone

    await bridge.run(work, deadline_s=10)


async def test_a_notice_is_in_the_inbox_once_if_its_transaction_committed_and_never_if_not(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        outbox = Outbox(bridge, w.herald)
        matched = Notice(bob.user, NoticeKind.MATCH, actor=ann.user, subject=7, words="Ann can help you with fractions")
        with pytest.raises(Undone):
            await tell(bridge, matched, fail=True)
        await outbox.drain()
        assert await notices(w, bob.inbox) == []
        await tell(bridge, matched)
        await outbox.drain()
        await outbox.drain()
        assert await notices(w, bob.inbox) == [Noticed(NoticeKind.MATCH, ann.user, 0, 0, 0, 7, matched.words)]
        assert [fact.stream for fact in w.herald.facts] == [bob.inbox]


async def test_a_notice_of_a_message_is_delivered_to_readers_alone(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob, cid = [await w.person(name) for name in ("ann", "bob", "cid")]
        space, _, channel = await w.community(ann, bob, cid)
        staff = await w.ok(ann, CreateChannel(space, "staff", Roles.STAFF))
        await w.ok(ann, Remove(space, cid.user))
        for person in (bob, cid):
            for stream in (channel, staff):
                await tell(bridge, Notice(person.user, NoticeKind.REMINDER, space=space, stream=stream, seq=1))
        await Outbox(bridge, w.herald).drain()
        assert [body.stream for body in await notices(w, bob.inbox)] == [channel]
        assert await notices(w, cid.inbox) == []


async def test_nobody_is_told_of_what_they_did_themselves_except_about_their_security(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        await tell(bridge, *(Notice(ann.user, kind, actor=ann.user) for kind in (NoticeKind.ROLE, NoticeKind.SECURITY)))
        await Outbox(bridge, w.herald).drain()
        assert [body.kind for body in await notices(w, ann.inbox)] == [NoticeKind.SECURITY]


async def test_who_is_answered_hears_of_it_once_and_only_if_they_may_read_it_and_are_not_mentioned_anyway(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob, cid = [await w.person(name) for name in ("ann", "bob", "cid")]
        space, _, channel = await w.community(ann, bob, cid)
        outbox = Outbox(bridge, w.herald)
        first = await w.ok(bob, Say(channel, "who knows?"))
        answer = await w.ok(ann, Post(channel, "I do", first))
        await w.ok(bob, Post(channel, "to myself", first))
        await w.ok(ann, Post(channel, "and you, bob", first, (bob.user,)))
        taken_back = await w.ok(ann, Post(channel, "no", first))
        await w.ok(ann, Delete(channel, taken_back))
        await outbox.drain()
        assert await notices(w, bob.inbox) == [Noticed(NoticeKind.REPLY, ann.user, space, channel, answer, first)]
        assert await w.value("select count(*) from log where stream_id = $1 and kind = 22", bob.inbox) == 1
        lost = await w.ok(cid, Say(channel, "me too"))
        await w.ok(ann, Post(channel, "sorry", lost))
        await w.ok(ann, Remove(space, cid.user))
        await outbox.drain()
        assert await notices(w, cid.inbox) == []
        assert await w.value("select count(*) from outbox") == 0


async def test_every_notice_is_kept_once_beside_its_event_and_asked_to_be_decided_once_a_person(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        space, _, channel = await w.community(ann, bob)
        outbox = Outbox(bridge, w.herald)
        await outbox.drain()
        seq = await w.ok(ann, Post(channel, "hello", mentions=(bob.user,)))
        await w.rows("update accounts set email = 'bob@example.org', email_verified_at = now() where id = $1", bob.user)
        await tell(bridge, Notice(bob.user, NoticeKind.MATCH, ann.user, space, subject=7, words="fractions"))
        await tell(bridge, Notice(ann.user, NoticeKind.ROLE, words="mentor"))
        await outbox.drain()
        kept = await w.rows(
            "select kind, actor, space_id, stream_id, at_seq, subject, words, due from notices where user_id = $1 order by seq", bob.user
        )
        assert [tuple(row) for row in kept] == [
            (NoticeKind.MENTION, ann.user, space, channel, seq, 0, "", True),
            (NoticeKind.MATCH, ann.user, space, 0, 0, 7, "fractions", True),
        ]
        told = await w.column("select seq from log where stream_id = $1 and kind in (22, 26) order by seq", bob.inbox)
        assert await w.column("select seq from notices where user_id = $1 order by seq", bob.user) == told
        assert await w.value("select count(*) from jobs where kind = $1 and key = $2", DECIDE, str(bob.user)) == 1
        assert await w.column("select due from notices where user_id = $1", ann.user) == [False], "there is no way but the socket"
        assert await w.value("select count(*) from jobs") == 1


async def test_what_somebody_does_not_want_to_hear_of_does_not_come_and_what_says_how_things_stand_does(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        space, _, channel = await w.community(ann, bob)
        loud = await w.ok(ann, CreateChannel(space, "loud"))
        other, _, _ = await w.community(ann)
        outbox = Outbox(bridge, w.herald)
        await outbox.drain()
        rules = (
            Rule(Way.OFF, NoticeKind.MENTION, space),
            Rule(Way.INBOX, NoticeKind.MENTION, stream=loud),
            Rule(Way.OFF, NoticeKind.INVITATION),
        )
        await PostgresNotices(bridge, w.herald, lambda: 0.0).prefer(bob.user, Preferences(rules))
        await w.ok(ann, Post(channel, "hello", mentions=(bob.user,)))
        seq = await w.ok(ann, Post(loud, "hello!", mentions=(bob.user,)))
        await w.ok(ann, Invite(other, bob.user))
        await tell(bridge, Notice(bob.user, NoticeKind.SECURITY, words="somebody logged in"))
        await outbox.drain()
        told = await bodies(w, bob.inbox)
        assert [body.seq for body in told if isinstance(body, Mentioned)] == [seq]
        assert [body.space for body in told if isinstance(body, Invited)] == [other]
        kinds = await w.column("select kind from notices where user_id = $1 order by seq", bob.user)
        assert kinds == [NoticeKind.MENTION, NoticeKind.SECURITY], "an invitation that is not wanted stands, and is no notice"


async def test_between_people_of_whom_one_blocks_the_other_nothing_is_told_but_what_staff_decided(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        _, _, channel = await w.community(ann, bob)
        outbox = Outbox(bridge, w.herald)
        await outbox.drain()
        first = await w.ok(bob, Say(channel, "hello"))
        await w.rows("insert into blocks (user_id, blocked) values ($1, $2)", bob.user, ann.user)
        await w.ok(ann, Post(channel, "answer", first))
        await w.ok(ann, Post(channel, "you", mentions=(bob.user,)))
        await tell(bridge, Notice(bob.user, NoticeKind.MATCH, ann.user), Notice(bob.user, NoticeKind.MODERATION, ann.user))
        await outbox.drain()
        assert [body.kind for body in await notices(w, bob.inbox)] == [NoticeKind.MODERATION]
        assert await w.column("select kind from notices where user_id = $1", bob.user) == [NoticeKind.MODERATION]


async def test_what_was_read_on_one_device_is_read_on_all_and_told_once(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        desk = PostgresNotices(bridge, w.herald, lambda: 0.0)
        for subject in (1, 2, 3):
            await tell(bridge, Notice(bob.user, NoticeKind.MATCH, ann.user, subject=subject))
        await Outbox(bridge, w.herald).drain()
        first, second, third = await w.column("select seq from notices where user_id = $1 order by seq", bob.user)
        await desk.read(ann.user, [second])
        for _ in range(2):
            await desk.read(bob.user, [second, 10**6])
        assert (await bodies(w, bob.inbox))[-1] == NoticesRead((second,)) and len(await bodies(w, bob.inbox)) == 4
        assert w.herald.transactions[-1][0].stream == bob.inbox
        assert {told.notice: told.read for told in await desk.list_notices(bob.user, 0, 10)} == {third: False, second: True, first: False}
        await w.ok(bob, MarkRead(bob.inbox, third))
        await desk.read(bob.user, [first, third])
        assert all(told.read for told in await desk.list_notices(bob.user, 0, 10))
        assert [told.notice for told in await desk.list_notices(bob.user, third, 1)] == [second]
        assert await desk.list_notices(ann.user, 0, 10) == ()


async def test_a_notice_is_in_the_inbox_exactly_once_whatever_is_cut_off_and_however_many_deliver(bridge: Bridge) -> None:
    async with world(bridge) as w:
        people = [await w.person(name) for name in ("ann", "bob", "cid")]
        told = [Notice(person.user, NoticeKind.MATCH, subject=subject) for person in people for subject in range(1, 41)]
        await tell(bridge, *told)
        outboxes = [Outbox(bridge, w.herald, OutboxOptions(batch_max=7)) for _ in range(2)]
        for attempt in range(30):
            # Cut off at another place each time: before the claim, between append and delete, while it commits.
            async with trio.open_nursery() as nursery:
                for outbox in outboxes:
                    nursery.start_soon(outbox.drain)
                await trio.sleep(attempt * 0.0004)
                nursery.cancel_scope.cancel()
        for outbox in outboxes:
            await outbox.drain()
        for person in people:
            assert sorted(body.subject for body in await notices(w, person.inbox)) == list(range(1, 41))
            seqs = await w.column("select seq from notices where user_id = $1 order by seq", person.user)
            assert seqs == await w.column("select seq from log where stream_id = $1 and kind = 26 order by seq", person.inbox)
        assert await w.value("select count(*) from outbox") == 0
