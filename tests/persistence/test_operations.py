"""Each operation against a real Postgres: what it writes, whom it tells, what it leaves alone."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from actors.storage import CONTROL_STREAM
from persistence.bridge import Bridge
from persistence.operations.messages import sweep_versions
from persistence.outbox import Outbox
from protocol import codec
from protocol.codes import Code
from protocol.events import (
    AnyBody,
    AuthorityChanged,
    ChannelChanged,
    ChannelOpened,
    CommunityFounded,
    Deleted,
    Edited,
    Invited,
    Joined,
    Left,
    Posted,
    Redacted,
    Renamed,
    RoleSet,
    SettingsChanged,
    SpaceEntered,
    SpaceLeft,
    StreamInfo,
)
from protocol.operations import (
    ChangeChannel,
    ChangeSettings,
    CreateChannel,
    CreateCommunity,
    Delete,
    Edit,
    Invite,
    Join,
    Leave,
    OpenConversation,
    Post,
    Remove,
    Rename,
    Say,
    SetRole,
)
from protocol.values import Role, Roles, SpaceKind, StreamKind
from tests.persistence.world import Person, World, world

_BODY = msgspec.msgpack.Decoder(AnyBody)


async def bodies(w: World, stream: int) -> list[Any]:
    return [_BODY.decode(body) for body in await w.column("select body from log where stream_id = $1 order by seq", stream)]  # type: ignore[arg-type]


async def versions(w: World, space: int) -> list[int]:
    return await w.column("select audience_version from streams where space_id = $1 order by id", space)


async def inbox(w: World, person: Person) -> list[Any]:
    """What stands in somebody's inbox once the outbox is empty."""
    await Outbox(w.bridge, w.herald).drain()
    return await bodies(w, person.inbox)


async def code(w: World, person: Person, operation: Any) -> Code:
    return (await w.ask(person, operation)).code


async def test_founding_a_community(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        space = await w.ok(ann, CreateCommunity("Physics", False, '{"colour": "blue"}'))
        rows = await w.rows("select id, kind from streams where space_id = $1 order by id", space)
        kinds = [StreamKind.COMMUNITY, StreamKind.CHANNEL, StreamKind.BOARD, StreamKind.LIBRARY, StreamKind.STUDIO]
        assert [row["kind"] for row in rows] == kinds
        own, channel, board, library, studio = (row["id"] for row in rows)
        progress, answers = await w.column(
            "select t.id from streams t join spaces s on s.id = t.space_id where s.parent = $1 order by t.kind", space
        )
        assert await bodies(w, own) == [
            CommunityFounded("Physics"),
            Joined(ann.user, Role.OWNER, "Ann"),
            ChannelOpened(channel, "general", Roles.ALL, Roles.ALL),
        ]
        streams = (
            StreamInfo(own, StreamKind.COMMUNITY, "Physics"),
            StreamInfo(channel, StreamKind.CHANNEL, "general"),
            StreamInfo(board, StreamKind.BOARD, ""),
            StreamInfo(library, StreamKind.LIBRARY, ""),
            StreamInfo(studio, StreamKind.STUDIO, ""),
            StreamInfo(progress, StreamKind.PROGRESS, ""),
            StreamInfo(answers, StreamKind.ANSWERS, ""),
        )
        assert await inbox(w, ann) == [SpaceEntered(space, SpaceKind.COMMUNITY, "Physics", Role.OWNER, streams)]
        assert await code(w, ann, CreateCommunity("Bad", True, "[]")) is Code.INVALID


async def test_joining_an_open_community_twice_changes_it_once(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        space, own, _ = await w.community(ann)
        assert await w.ok(bob, Join(space)) == space
        assert await w.ok(bob, Join(space)) == space
        assert (await bodies(w, own))[3:] == [Joined(bob.user, Role.LEARNER, "Bob")]
        assert await w.value("select members from spaces where id = $1", space) == 2
        assert [type(body) for body in await inbox(w, bob)] == [SpaceEntered]
        assert await code(w, bob, Join(99)) is Code.NOT_FOUND
        personal = await w.value("select personal_space from accounts where id = $1", ann.user)
        for closed in (1, personal):
            assert await code(w, bob, Join(closed)) is Code.NOT_FOUND


async def test_a_closed_community_lets_in_whoever_is_invited_in_that_role(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob, eve = await w.person("ann"), await w.person("bob"), await w.person("eve")
        space = await w.ok(ann, CreateCommunity("Closed", False))
        assert await code(w, bob, Join(space)) is Code.NOT_FOUND
        await w.ok(ann, Invite(space, bob.user, Role.MENTOR))
        await w.ok(ann, Invite(space, bob.user, Role.MENTOR))
        assert await inbox(w, bob) == [Invited(space, "Closed", Role.MENTOR, ann.user)]
        assert await code(w, eve, Join(space)) is Code.NOT_FOUND
        await w.ok(bob, Join(space))
        assert await w.value("select role from members where space_id = $1 and user_id = $2", space, bob.user) == Role.MENTOR
        assert await code(w, ann, Invite(space, bob.user)) is Code.CONFLICT
        assert await code(w, ann, Invite(space, 10**9)) is Code.NOT_FOUND
        assert await code(w, bob, Invite(space, eve.user)) is Code.FORBIDDEN
        assert await code(w, eve, Invite(space, eve.user)) is Code.NOT_FOUND


async def test_a_removal_takes_effect_at_once_is_told_and_moves_the_audience(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        space, own, channel = await w.community(ann, bob)
        before = await versions(w, space)
        await w.ok(ann, Remove(space, bob.user))
        assert await code(w, bob, Say(channel, "still here?")) is Code.NOT_FOUND
        assert await versions(w, space) == [version + 1 for version in before]
        assert (await bodies(w, own))[-1] == Left(bob.user, ann.user)
        [enrolment] = await w.column("select id from spaces where pair_key = $1", f"enrolment:{space}:{bob.user}")
        assert (await bodies(w, CONTROL_STREAM))[-2:] == [AuthorityChanged(space, bob.user), AuthorityChanged(enrolment, bob.user)]
        assert await versions(w, enrolment) == [2, 2]
        assert (await inbox(w, bob))[-1] == SpaceLeft(space)
        assert await code(w, ann, Remove(space, bob.user)) is Code.NOT_FOUND
        assert await w.value("select members from spaces where id = $1", space) == 1
        last = w.herald.transactions[-1]
        assert bob.inbox in {fact.stream for fact in last}, "what the outbox delivered is told too"
        [removal] = [facts for facts in w.herald.transactions if any(fact.body == codec.encode(Left(bob.user, ann.user)) for fact in facts)]
        assert {fact.stream: fact.audience_version for fact in removal}[own] == before[0] + 1


async def test_what_staff_does_to_others_is_written_down_and_what_one_does_to_oneself_is_not(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob, cid = await w.person("ann"), await w.person("bob"), await w.person("cid")
        space, _, channel = await w.community(ann, bob, cid)
        seq = await w.ok(bob, Say(channel, "spam"))
        own = await w.ok(bob, Say(channel, "oops"))
        await w.ok(bob, Delete(channel, own))
        await w.ok(ann, Delete(channel, seq))
        await w.ok(ann, SetRole(space, cid.user, Role.MODERATOR))
        await w.ok(cid, Remove(space, bob.user))
        await w.ok(cid, Leave(space))
        await w.ask(bob, Remove(space, ann.user))
        deeds = [tuple(row) for row in await w.rows("select actor, action, space_id, subject from audit_log order by id")]
        assert deeds == [
            (ann.user, "community_founded", space, None),
            (ann.user, "message_deleted", space, bob.user),
            (ann.user, "role_set", space, cid.user),
            (cid.user, "member_removed", space, bob.user),
        ]


async def test_leaving(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        space, own, _ = await w.community(ann, bob)
        assert await code(w, ann, Leave(space)) is Code.CONFLICT
        await w.ok(bob, Leave(space))
        assert (await bodies(w, own))[-1] == Left(bob.user, bob.user)
        assert await code(w, bob, Leave(space)) is Code.NOT_FOUND
        personal = await w.value("select personal_space from accounts where id = $1", ann.user)
        assert isinstance(personal, int)
        assert await code(w, ann, Leave(personal)) is Code.FORBIDDEN


async def test_a_role_changes_what_one_may_at_once(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob, cid = await w.person("ann"), await w.person("bob"), await w.person("cid")
        space, own, _ = await w.community(ann, bob)
        staff = await w.ok(ann, CreateChannel(space, "staff", Roles.STAFF))
        assert await code(w, bob, Say(staff, "?")) is Code.FORBIDDEN
        before = await versions(w, space)
        await w.ok(ann, SetRole(space, bob.user, Role.MODERATOR))
        assert await versions(w, space) == [version + 1 for version in before]
        assert (await bodies(w, own))[-1] == RoleSet(bob.user, Role.MODERATOR)
        assert await code(w, bob, Say(staff, "!")) is Code.OK
        assert await code(w, bob, SetRole(space, ann.user, Role.LEARNER)) is Code.FORBIDDEN
        await w.ok(bob, Invite(space, cid.user))
        await w.ok(ann, SetRole(space, bob.user, Role.LEARNER))
        assert await w.column("select user_id from invitations where space_id = $1", space) == [], "his invitations end with his office"
        assert await code(w, ann, SetRole(space, ann.user, Role.LEARNER)) is Code.CONFLICT
        assert await code(w, ann, SetRole(space, cid.user, Role.LEARNER)) is Code.NOT_FOUND


async def test_an_invitation_is_withdrawn_by_removing(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        space = await w.ok(ann, CreateCommunity("Closed", False))
        await w.ok(ann, Invite(space, bob.user, Role.OWNER))
        await w.ok(ann, Remove(space, bob.user))
        assert await code(w, bob, Join(space)) is Code.NOT_FOUND
        assert await inbox(w, bob) == [], "an invitation that no longer stands is not delivered"


async def test_channels(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        space, own, general = await w.community(ann, bob)
        news = await w.ok(ann, CreateChannel(space, "news", Roles.ALL, Roles.STAFF))
        assert (await bodies(w, own))[-1] == ChannelOpened(news, "news", Roles.ALL, Roles.STAFF)
        assert await code(w, bob, Say(news, "x")) is Code.FORBIDDEN
        assert await code(w, bob, CreateChannel(space, "mine")) is Code.FORBIDDEN
        assert await code(w, ann, CreateChannel(space, "NEWS")) is Code.CONFLICT
        assert await code(w, ann, CreateChannel(space, "nobody's", 0)) is Code.INVALID
        before = await versions(w, space)
        await w.ok(ann, ChangeChannel(news, "News!", Roles.ALL, Roles.STAFF))
        assert await versions(w, space) == before, "a new name changes no audience"
        await w.ok(ann, ChangeChannel(news, "News!", Roles.STAFF, Roles.ALL))
        assert await versions(w, space) == [*before[:-1], before[-1] + 1]
        assert (await bodies(w, own))[-1] == ChannelChanged(news, "News!", Roles.STAFF, Roles.STAFF)
        assert (await bodies(w, CONTROL_STREAM))[-1] == AuthorityChanged(space, 0)
        assert await code(w, bob, Say(news, "x")) is Code.FORBIDDEN
        assert await code(w, ann, ChangeChannel(news, "general", 15, 15)) is Code.CONFLICT
        assert await code(w, ann, ChangeChannel(own, "mine", 15, 15)) is Code.FORBIDDEN
        assert await code(w, bob, ChangeChannel(general, "mine", 15, 15)) is Code.FORBIDDEN
        assert await code(w, ann, ChangeChannel(CONTROL_STREAM, "mine", 15, 15)) is Code.NOT_FOUND


async def test_settings(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob, eve = await w.person("ann"), await w.person("bob"), await w.person("eve")
        space, own, _ = await w.community(ann, bob)
        assert await code(w, bob, ChangeSettings(space, "Bob's", True, "{}")) is Code.FORBIDDEN
        await w.ok(ann, ChangeSettings(space, "Closed", False, '{"a":1}'))
        assert (await bodies(w, own))[-1] == SettingsChanged("Closed", False, '{"a":1}')
        assert await code(w, eve, Join(space)) is Code.NOT_FOUND
        assert await code(w, ann, ChangeSettings(space, "Closed", False, "nonsense")) is Code.INVALID


async def test_an_edit_rewrites_the_message_keeps_its_frame_and_the_old_text(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        _, _, channel = await w.community(ann, bob)
        first = await w.ok(bob, Say(channel, "furst"))
        answer = await w.ok(bob, Post(channel, "secnod", first, (ann.user,)))
        assert await w.ok(bob, Edit(channel, first, "first")) == 3
        await w.ok(bob, Edit(channel, answer, "second"))
        assert await bodies(w, channel) == [
            Posted("first", edited=True),
            Posted("second", first, (ann.user,), edited=True),
            Edited(first, "first"),
            Edited(answer, "second"),
        ]
        await w.ok(bob, Edit(channel, first, "First."))
        kept = await w.rows("select version, body from message_versions where seq = $1 order by version", first)
        assert [row["version"] for row in kept] == [1, 2]
        assert b"furst" in kept[0]["body"]
        assert await code(w, ann, Edit(channel, first, "mine")) is Code.FORBIDDEN
        assert await code(w, bob, Edit(channel, 3, "an event is no message")) is Code.NOT_FOUND
        assert await code(w, bob, Edit(10**6, 1, "nowhere")) is Code.NOT_FOUND


async def test_an_earlier_text_is_forgotten_when_its_time_is_over_and_the_message_edited_on(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        _, _, channel = await w.community(ann)
        target = await w.ok(ann, Say(channel, "one"))
        for text in ("two", "three", "four"):
            await w.ok(ann, Edit(channel, target, text))
        await w.rows("update message_versions set replaced_at = replaced_at - interval '91 days' where version < 3")
        sweep = partial(sweep_versions, limit=1)
        assert [await bridge.run(sweep, deadline_s=30) for _ in range(3)] == [1, 1, 0]
        assert await w.column("select version from message_versions") == [3]
        await w.ok(ann, Edit(channel, target, "five"))
        assert await w.column("select version from message_versions order by version") == [3, 4]
        assert (await bodies(w, channel))[0] == Posted("five", edited=True)


async def test_a_deletion_leaves_the_number_and_nothing_of_the_text(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob, cid = await w.person("ann"), await w.person("bob"), await w.person("cid")
        _, _, channel = await w.community(ann, bob, cid)
        target = await w.ok(bob, Say(channel, "SECRET one"))
        await w.ok(bob, Edit(channel, target, "SECRET two"))
        assert await code(w, cid, Delete(channel, target)) is Code.FORBIDDEN
        assert await w.ok(ann, Delete(channel, target)) == 3
        assert await bodies(w, channel) == [Redacted(), Redacted(), Deleted(target)]
        assert await code(w, bob, Delete(channel, target)) is Code.GONE
        assert await code(w, bob, Edit(channel, target, "again")) is Code.GONE
        assert await w.value("select count(*) from message_versions") == 0


async def test_a_conversation_is_one_for_exactly_its_people(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob, cid = await w.person("ann"), await w.person("bob"), await w.person("cid")
        stream = await w.ok(ann, OpenConversation((bob.user,)))
        assert await w.ok(bob, OpenConversation((ann.user, ann.user, bob.user))) == stream
        assert await w.ok(ann, OpenConversation((bob.user, cid.user))) != stream
        assert await bodies(w, stream) == [Joined(p.user, Role.LEARNER, p.name.title()) for p in (ann, bob)]
        space = await w.value("select space_id from streams where id = $1", stream)
        assert isinstance(space, int)
        entered = SpaceEntered(space, SpaceKind.CONVERSATION, "", Role.LEARNER, (StreamInfo(stream, StreamKind.CONVERSATION, ""),))
        assert (await inbox(w, ann))[0] == (await inbox(w, bob))[0] == entered
        assert await code(w, cid, Say(stream, "?")) is Code.NOT_FOUND
        assert await code(w, ann, Remove(space, bob.user)) is Code.FORBIDDEN
        assert await code(w, ann, OpenConversation((ann.user,))) is Code.INVALID
        assert await code(w, ann, OpenConversation((10**9,))) is Code.NOT_FOUND
        await w.ok(bob, Leave(space))
        assert await w.ok(ann, OpenConversation((bob.user,))) != stream, "it is no longer the one of these two"


async def test_a_new_name_is_told_in_every_space_one_is_in(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        _, own, _ = await w.community(ann, bob)
        conversation = await w.ok(ann, OpenConversation((bob.user,)))
        await inbox(w, bob)
        await w.ok(bob, Rename("Robert"))
        await w.ok(bob, Rename("Robert"))
        await inbox(w, bob)
        for stream in (own, conversation):
            assert (await bodies(w, stream))[-1] == Renamed(bob.user, "Robert")
        assert (await bodies(w, own)).count(Renamed(bob.user, "Robert")) == 1
