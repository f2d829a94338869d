"""A notice reaches the inbox once, if what caused it was committed and whom it is for may still see it."""

from __future__ import annotations

import asyncpg
import msgspec
import pytest

from actors.notices import Notice, NoticeKind
from persistence.bridge import Bridge
from persistence.notices import notify
from persistence.outbox import Outbox
from protocol.events import AnyBody, Noticed
from protocol.operations import CreateChannel, Remove
from protocol.values import Roles
from tests.persistence.world import World, world

_BODY = msgspec.msgpack.Decoder(AnyBody)


async def notices(w: World, inbox: int) -> list[Noticed]:
    bodies = [_BODY.decode(body) for body in await w.column("select body from log where stream_id = $1 order by seq", inbox)]
    return [body for body in bodies if isinstance(body, Noticed)]


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
