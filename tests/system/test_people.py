"""Two people, two gateways, real servers: what they may rely on."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio

from client import Account, MutationRefused, RequestFailed, connect
from protocol.codec import UnknownBody, decode_body
from protocol.codes import Code
from protocol.events import AnyBody, Deleted, Edited, Mentioned, Reacted, Redacted, Said, SpaceEntered, SpaceLeft
from protocol.frames import Event, Page, Presence
from protocol.operations import (
    ChangeSettings,
    CreateChannel,
    Delete,
    Edit,
    Join,
    MarkRead,
    OpenConversation,
    Post,
    React,
    Remove,
    Say,
)
from protocol.values import Role, Roles
from tests.system.running import PASSWORD, Dev, community, ended, register, texts

pytestmark = pytest.mark.xdist_group("system")


async def test_what_one_says_here_another_hears_there(dev: Dev) -> None:
    here, there = dev.urls
    async with connect(there, await register(there)) as learner, community(here, (learner, Role.LEARNER)) as (owner, _, general):
        assert await owner.say(general, "hello") == 1
        assert await learner.say(general, "good morning") == 2
        assert await texts(learner, general, "good morning") == ["hello", "good morning"]
        assert await texts(owner, general, "good morning") == ["hello", "good morning"]


async def test_a_thousand_words_from_both_sides_have_one_order(dev: Dev) -> None:
    here, there = dev.urls
    async with connect(there, await register(there)) as learner, community(here, (learner, Role.LEARNER)) as (owner, _, general):
        owner.follow(general)
        learner.follow(general)
        for n in range(250):
            owner.submit(Say(general, f"o{n}"))
            learner.submit(Say(general, f"l{n}"))
        await owner.settled()
        await learner.settled()
        await owner.say(general, "the end")
        one, other = await texts(owner, general, "the end"), await texts(learner, general, "the end")
        assert one == other
        assert len(one) == len(set(one)) == 501
        for side in "ol":
            numbers = [int(text[1:]) for text in one if text[0] == side and text != "the end" and text[1:].isdigit()]
            assert all(a < b for a, b in pairwise(numbers)), "one device's words keep their order"


async def test_a_removal_holds_at_once_on_every_gateway(dev: Dev) -> None:
    here, there = dev.urls
    async with connect(there, await register(there)) as learner, community(here, (learner, Role.LEARNER)) as (owner, space, general):
        await owner.say(general, "before")
        await texts(learner, general, "before")
        await owner.do(Remove(space, learner.user))
        await owner.say(general, "after")
        with pytest.raises(MutationRefused) as refused:
            await learner.say(general, "may I?")
        assert refused.value.code is Code.NOT_FOUND
        with pytest.raises(RequestFailed):
            await learner.history(general, after=0)
        with trio.fail_after(10):
            async for event in learner.events():
                if isinstance(event, Event):
                    assert not (isinstance(event.body, Said) and event.body.text == "after")
                    if isinstance(event.body, SpaceLeft):
                        break


async def test_an_inbox_tells_of_spaces_and_mentions(dev: Dev) -> None:
    here, there = dev.urls
    async with connect(there, await register(there)) as learner, community(here, (learner, Role.LEARNER)) as (owner, space, general):
        await owner.do(Post(general, "@you: look", mentions=(learner.user,)))
        seen: list[object] = []
        # What comes out of two streams may be told by two gateways: in either order.
        with trio.fail_after(30):
            async for event in learner.events():
                if isinstance(event, Event) and isinstance(event.body, SpaceEntered | Mentioned):
                    seen.append(event.body)
                    if len(seen) == 2:
                        break
        assert [body.space for body in seen if isinstance(body, SpaceEntered)] == [space]
        assert [body for body in seen if isinstance(body, Mentioned)] == [Mentioned(general, 1, owner.user)]


async def test_words_are_edited_taken_back_and_reacted_to(dev: Dev) -> None:
    here, there = dev.urls
    async with connect(there, await register(there)) as learner, community(here, (learner, Role.LEARNER)) as (owner, _, general):
        first = await learner.say(general, "fisrt")
        await learner.do(Edit(general, first, "first"))
        await owner.do(React(general, first, "👍"))
        second = await learner.say(general, "oops")
        await owner.do(Delete(general, second))
        with pytest.raises(MutationRefused) as gone:
            await learner.do(Edit(general, second, "again"))
        assert gone.value.code is Code.GONE
        with pytest.raises(MutationRefused) as foreign:
            await owner.do(Edit(general, first, "mine"))
        assert foreign.value.code is Code.FORBIDDEN
        page = await owner.history(general, after=0)
        kinds = [type(body) for body in _bodies(page)]
        assert kinds[3] is Redacted and kinds[4] is Deleted and {Edited, Reacted} <= set(kinds)
        assert next(body.text for body in _bodies(page) if hasattr(body, "text")) == "first"


def _bodies(page: Page) -> list[AnyBody | UnknownBody]:
    return [decode_body(event.body) for event in page.events]


async def test_a_channel_for_some_roles_is_closed_to_the_others(dev: Dev) -> None:
    here, there = dev.urls
    async with connect(there, await register(there)) as learner, community(here, (learner, Role.LEARNER)) as (owner, space, _):
        staff = await owner.do(CreateChannel(space, "staff", int(Roles.STAFF), int(Roles.STAFF)))
        await owner.say(staff, "between us")
        with pytest.raises(RequestFailed) as failed:
            await learner.history(staff, after=0)
        assert failed.value.code is Code.FORBIDDEN
        with pytest.raises(MutationRefused):
            await learner.say(staff, "let me in")
        overview = await learner.overview()
        assert staff not in [s.stream for here in overview.spaces for s in here.streams]


async def test_two_people_have_one_conversation_whoever_opens_it(dev: Dev) -> None:
    here, there = dev.urls
    async with connect(here, await register(here)) as one, connect(there, await register(there)) as other:
        stream = await one.do(OpenConversation((other.user,)))
        assert await other.do(OpenConversation((one.user,))) == stream
        await one.say(stream, "just us")
        assert await texts(other, stream, "just us") == ["just us"]
        async with connect(here, await register(here)) as third:
            with pytest.raises(RequestFailed):
                await third.history(stream, after=0)
            with pytest.raises(MutationRefused):
                await third.say(stream, "hello?")


async def test_a_read_marker_moves_forward_on_all_devices(dev: Dev) -> None:
    here, there = dev.urls
    phone_login = await register(here)
    async with connect(here, phone_login) as phone, community(there, (phone, Role.LEARNER)) as (owner, _, general):
        for n in range(3):
            await owner.say(general, f"{n}")
        assert await phone.do(MarkRead(general, 3)) == 3
        assert await phone.do(MarkRead(general, 1)) == 3
        overview = await phone.overview()
        (state,) = [s for here in overview.spaces for s in here.streams if s.stream == general]
        assert (state.head, state.read_upto) == (3, 3)


async def test_presence_counts_people_on_both_gateways(dev: Dev) -> None:
    here, there = dev.urls
    async with connect(there, await register(there)) as learner, community(here, (learner, Role.LEARNER)) as (owner, space, general):
        owner.follow(general)
        learner.follow(general)
        await owner.watch(space)
        with trio.fail_after(15):
            async for event in owner.events():
                if isinstance(event, Presence) and event.online == 2:
                    assert set(event.users) == {owner.user, learner.user}
                    break


async def test_one_who_is_not_invited_stays_outside(dev: Dev) -> None:
    here, there = dev.urls
    async with community(here) as (owner, space, general), connect(there, await register(there)) as stranger:
        await owner.do(ChangeSettings(space, "A school", False, "{}"))
        with pytest.raises(MutationRefused):
            await stranger.do(Join(space))
        with pytest.raises(RequestFailed) as failed:
            await stranger.history(general, after=0)
        assert failed.value.code is Code.NOT_FOUND


async def test_the_same_device_elsewhere_takes_over_and_the_older_socket_ends(dev: Dev) -> None:
    here, there = dev.urls
    login = await register(here)
    async with connect(here, login) as older:
        with trio.fail_after(10):
            await older.online()
        async with connect(there, login) as newer:
            with trio.fail_after(10):
                await newer.online()
            assert await ended(older) == Code.TAKEN_OVER


async def test_logging_out_everywhere_ends_live_sockets_on_every_gateway(dev: Dev) -> None:
    here, there = dev.urls
    first = await register(here)
    async with Account(here) as account:
        second = await account.login(first.login.name, PASSWORD)
        async with connect(here, first) as one, connect(there, second) as other:
            with trio.fail_after(10):
                await one.online()
                await other.online()
            await account.logout(first.access_token, everywhere=True)
            assert await ended(one) == Code.REVOKED
            assert await ended(other) == Code.REVOKED
