"""Blocks on a real Postgres: what passes between two people, and what does not, whichever of them blocks."""

from __future__ import annotations

import trio

from actors.storage import FindPerson, PersonFound
from persistence.blocks import blocked, blocked_among
from persistence.bridge import Bridge
from persistence.operations import blocks
from protocol.codes import Code
from protocol.events import Invited, Mentioned, PersonBlocked
from protocol.operations import (
    Block,
    CreateCommunity,
    Delete,
    Edit,
    Invite,
    Leave,
    MarkRead,
    OpenConversation,
    Post,
    React,
    Say,
    Unblock,
)
from tests.persistence.test_operations import code, inbox, versions
from tests.persistence.world import world


async def test_a_conversation_of_two_takes_nothing_from_either_while_one_blocks_the_other(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        pair = await w.ok(ann, OpenConversation((ben.user,)))
        said = await w.ok(ben, Say(pair, "before"))
        await w.ok(ann, Block(ben.user))
        for person, other in ((ann, ben), (ben, ann)):
            for operation in (Say(pair, "x"), Post(pair, "x"), React(pair, said, "x"), OpenConversation((other.user,))):
                refused = await w.ask(person, operation)
                assert refused.code is Code.BLOCKED, (person.name, operation)
        assert await code(w, ben, Edit(pair, said, "after")) is Code.BLOCKED
        assert (await w.ask(ben, OpenConversation((ann.user,)))).detail == "the other person does not accept this"
        await w.ok(ann, MarkRead(pair, said))
        await w.ok(ben, Delete(pair, said))
        await w.ok(ann, Unblock(ben.user))
        await w.ok(ben, Say(pair, "again"))
        assert await w.ok(ben, OpenConversation((ann.user,))) == pair


async def test_only_the_last_block_between_two_opens_their_conversation(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        pair = await w.ok(ann, OpenConversation((ben.user,)))
        await w.ok(ann, Block(ben.user))
        await w.ok(ben, Block(ann.user))
        await w.ok(ann, Unblock(ben.user))
        assert await code(w, ann, Say(pair, "x")) is Code.BLOCKED
        await w.ok(ann, Unblock(ben.user))
        assert await code(w, ann, Say(pair, "x")) is Code.BLOCKED, "nobody takes back another's block"
        await w.ok(ben, Unblock(ann.user))
        await w.ok(ann, Say(pair, "x"))


async def test_ones_own_devices_hear_of_a_block_once_and_nobody_else_does(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        await w.ok(ann, OpenConversation((ben.user,)))
        heard = len(await inbox(w, ben))
        for operation in (Block(ben.user), Block(ben.user), Unblock(ben.user), Unblock(ben.user)):
            await w.ok(ann, operation)
        assert [body for body in await inbox(w, ann) if isinstance(body, PersonBlocked)] == [
            PersonBlocked(ben.user, True),
            PersonBlocked(ben.user, False),
        ]
        assert len(await inbox(w, ben)) == heard
        assert await w.column("select count(*) from audit_log where subject = $1", ben.user) == [0]


async def test_between_the_blocked_no_mention_and_no_invitation_arrives(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben, cid = [await w.person(name) for name in ("ann", "ben", "cid")]
        _, _, channel = await w.community(ann, ben, cid)
        other = await w.ok(ben, CreateCommunity("ben's", False))
        third = await w.ok(ben, CreateCommunity("ben's other", False))
        await w.ok(ben, Invite(other, ann.user))
        await w.ok(ann, Block(ben.user))
        assert await w.column("select count(*) from invitations") == [0], "a standing one goes"
        assert await code(w, ben, Invite(third, ann.user)) is Code.BLOCKED
        assert await code(w, ann, Invite(1 + third, ben.user)) is Code.NOT_FOUND, "of a space that is not one's own nothing is learnt"
        for author, mentioned in ((ben, ann), (ann, ben)):
            await w.ok(author, Post(channel, "look", 0, (mentioned.user, cid.user)))
        for person in (ann, ben):
            assert not [body for body in await inbox(w, person) if isinstance(body, Mentioned | Invited)]
        assert len([body for body in await inbox(w, cid) if isinstance(body, Mentioned)]) == 2


async def test_who_is_blocked_does_not_find_the_other_and_who_blocks_does(bridge: Bridge) -> None:
    from persistence.store import Store
    from tests.persistence.world import Mailbox

    async with world(bridge) as w, trio.open_nursery() as nursery:
        ann, ben = await w.person("ann"), await w.person("ben")
        store = Store(bridge)
        await nursery.start(store.serve)
        await w.ok(ann, Block(ben.user))
        mailbox: Mailbox = Mailbox()  # type: ignore[type-arg]
        for ticket, query in enumerate((FindPerson("ann", ben.user), FindPerson("ben", ann.user), FindPerson("ann"))):
            store.ask(query, ticket, mailbox)
        found = {answer.ticket: isinstance(answer.result, PersonFound) for answer in await mailbox.wait(3)}
        assert found == {0: False, 1: True, 2: True}
        nursery.cancel_scope.cancel()


async def test_a_group_is_no_way_around_a_block(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben, cid = [await w.person(name) for name in ("ann", "ben", "cid")]
        await w.ok(ann, Block(ben.user))
        assert await code(w, ben, OpenConversation((ann.user, cid.user))) is Code.BLOCKED
        assert await code(w, cid, OpenConversation((ann.user, ben.user))) is Code.BLOCKED, "nor with a third's help"
        await w.ok(cid, OpenConversation((ben.user,)))


async def test_a_conversation_that_becomes_one_of_two_is_closed_if_they_block_and_open_if_not(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben, cid = [await w.person(name) for name in ("ann", "ben", "cid")]
        group = await w.ok(ann, OpenConversation((ben.user, cid.user)))
        [space] = await w.column("select space_id from streams where id = $1", group)
        await w.ok(ann, Block(ben.user))
        await w.ok(ben, Say(group, "what three read goes on"))
        await w.ok(cid, Leave(space))
        assert await code(w, ben, Say(group, "x")) is Code.BLOCKED
        await w.ok(ann, Unblock(ben.user))
        await w.ok(ben, Say(group, "x"))
        await w.ok(ben, Block(ann.user))
        assert await code(w, ann, Say(group, "x")) is Code.BLOCKED, "although it is not the one of exactly these people any more"
        await w.ok(ben, Leave(space))
        await w.ok(ann, Say(group, "to oneself one may speak"))


async def test_a_block_moves_the_audiences_version_so_that_older_decisions_are_made_anew(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        pair = await w.ok(ann, OpenConversation((ben.user,)))
        [space] = await w.column("select space_id from streams where id = $1", pair)
        before = await versions(w, space)
        await w.ok(ann, Block(ben.user))
        assert await versions(w, space) == [before[0] + 1]


async def test_nobody_blocks_themselves_a_stranger_to_the_database_or_more_than_a_thousand(bridge: Bridge, monkeypatch: object) -> None:
    import pytest

    patch = pytest.MonkeyPatch()
    patch.setattr(blocks, "BLOCKS_PER_USER_MAX", 1)
    async with world(bridge) as w:
        ann, ben, cid = [await w.person(name) for name in ("ann", "ben", "cid")]
        assert await code(w, ann, Block(ann.user)) is Code.INVALID
        assert await code(w, ann, Block(10**9)) is Code.NOT_FOUND
        await w.ok(ann, Block(ben.user))
        assert await code(w, ann, Block(cid.user)) is Code.LIMIT
        await w.ok(ann, Block(ben.user))
        await w.ok(ann, Unblock(10**9))
        assert await w.bridge.run(lambda tx: blocked(tx, ben.user, ann.user), deadline_s=30)
        assert await w.bridge.run(lambda tx: blocked_among(tx, ann.user, (ben.user, cid.user)), deadline_s=30) == {ben.user}
        assert await w.bridge.run(lambda tx: blocked_among(tx, ben.user, (ann.user, cid.user)), deadline_s=30) == {ann.user}
    patch.undo()


async def test_whoever_blocks_while_the_other_opens_a_conversation_has_a_closed_one_or_none(bridge: Bridge) -> None:
    async with world(bridge) as w, world(bridge) as other:
        for turn in range(12):
            ann, ben = await w.person(f"ann{turn}"), await w.person(f"ben{turn}")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(w.ask, ann, Block(ben.user))
                nursery.start_soon(other.ask, ben, OpenConversation((ann.user,)))
            writers = await w.column(
                "select s.write_roles from streams s join spaces p on p.id = s.space_id where p.pair_key = $1", f"{ann.user},{ben.user}"
            )
            assert writers in ([], [0])
