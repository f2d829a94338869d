"""What crosses audiences is delivered once, to those whom it still concerns; what gateways must know reaches each of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import asyncpg
import msgspec
import pytest
import trio

from actors.storage import CONTROL_STREAM, Fact
from persistence.append import append_events, session_revoked
from persistence.audit import Deed, prepare, record
from persistence.bridge import Bridge
from persistence.control import ControlOptions, ControlReader
from persistence.outbox import GIVEN_UP, Outbox, OutboxOptions
from protocol import codec
from protocol.entities import Entity
from protocol.events import AnyBody, ConflictNoted, Mentioned, SpaceEntered, SpaceLeft
from protocol.operations import CreateChannel, Join, Leave, Post, Remove
from protocol.values import ConflictState, Roles, StreamKind
from tests.persistence.sync import change, stream_of
from tests.persistence.world import Herald, World, world

_BODY = msgspec.msgpack.Decoder(AnyBody)


async def inbox_kinds(w: World, stream: int) -> list[type]:
    return [type(_BODY.decode(row["body"])) for row in await w.rows("select body from log where stream_id = $1 order by seq", stream)]


async def test_a_mention_reaches_whoever_may_read_it_and_nobody_else(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob, eve = await w.person("ann"), await w.person("bob"), await w.person("eve")
        space, _, channel = await w.community(ann, bob)
        staff = await w.ok(ann, CreateChannel(space, "staff", Roles.STAFF))
        outbox = Outbox(bridge, w.herald)
        await outbox.drain()
        seq = await w.ok(ann, Post(channel, "hello", mentions=(bob.user, eve.user, 10**6)))
        await w.ok(ann, Post(staff, "about him", mentions=(bob.user,)))
        await outbox.drain()
        assert await w.value("select body from log where stream_id = $1 order by seq desc limit 1", bob.inbox) == codec.encode(
            Mentioned(channel, seq, ann.user)
        )
        assert await inbox_kinds(w, bob.inbox) == [SpaceEntered, Mentioned]
        assert await inbox_kinds(w, eve.inbox) == []
        assert await w.value("select count(*) from outbox") == 0
        assert [fact.stream for fact in w.herald.transactions[-1]] == [bob.inbox]


async def test_a_mention_from_before_a_removal_is_not_delivered_after_it(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        space, _, channel = await w.community(ann, bob)
        outbox = Outbox(bridge, w.herald)
        await outbox.drain()
        await w.ok(ann, Post(channel, "hello", mentions=(bob.user,)))
        await w.ok(ann, Remove(space, bob.user))
        await outbox.drain()
        assert await inbox_kinds(w, bob.inbox) == [SpaceEntered, SpaceLeft]


async def test_who_enters_a_community_is_told_of_its_streams_and_of_their_own_there(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        space, _, _ = await w.community(ann, bob)
        staff = await w.ok(ann, CreateChannel(space, "staff", Roles.STAFF))
        outbox = Outbox(bridge, w.herald)
        await outbox.drain()
        [told] = [_BODY.decode(row["body"]) for row in await w.rows("select body from log where stream_id = $1", bob.inbox)]
        assert isinstance(told, SpaceEntered)
        readable = await w.column(
            "select t.id from streams t join members m on m.space_id = t.space_id join spaces s on s.id = t.space_id"
            " where m.user_id = $1 and s.kind in (1, 4) and t.read_roles & m.role <> 0",
            bob.user,
        )
        assert {info.stream for info in told.streams} == set(readable)
        assert staff not in readable
        kinds = [StreamKind.PROGRESS, StreamKind.ANSWERS, StreamKind.BOARD, StreamKind.LIBRARY]
        assert sorted(info.kind for info in told.streams)[-4:] == kinds
        assert (outbox.delivered, outbox.dropped) == (2, 0)


async def test_a_conflict_is_told_as_it_stands_when_it_is_told_and_to_readers_alone(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob, cid = [await w.person(name) for name in ("ann", "bob", "cid")]
        space, _, _ = await w.community(ann, bob, cid)
        board = await stream_of(w, space, StreamKind.BOARD)
        outbox = Outbox(bridge, w.herald)
        await outbox.drain()
        await w.ok(ann, change(board, Entity.ACTION, 5, {1: "a"}))
        for person in (bob, cid):
            await w.ok(person, change(board, Entity.ACTION, 5, {1: "b"}))
        await w.rows("update sync_conflicts set state = 3, decided_by = $1", ann.user)
        await w.ok(ann, Remove(space, cid.user))
        await outbox.drain()
        assert await inbox_kinds(w, bob.inbox) == [SpaceEntered, ConflictNoted]
        assert await inbox_kinds(w, cid.inbox) == [SpaceEntered, SpaceLeft]
        [body] = await w.rows("select body from log where stream_id = $1 and kind = 25", bob.inbox)
        [conflict] = await w.column("select id from sync_conflicts where user_id = $1", bob.user)
        assert _BODY.decode(body[0]) == ConflictNoted(conflict, board, Entity.ACTION, 5, ConflictState.RESOLVED, ann.user)
        await w.ok(bob, change(board, Entity.ACTION, 5, {1: "c"}))
        await w.rows("update streams set read_roles = 1 where id = $1", board)
        await outbox.drain()
        assert await inbox_kinds(w, bob.inbox) == [SpaceEntered, ConflictNoted], "a member who may not read it any more"


@pytest.mark.parametrize("last", [20, 21])
async def test_any_order_of_delivery_ends_in_the_truth(bridge: Bridge, last: int) -> None:
    async with world(bridge) as w:
        ann, bob, cid = await w.person("ann"), await w.person("bob"), await w.person("cid")
        space, _, _ = await w.community(ann, bob, cid)
        await w.ok(bob, Leave(space))
        await w.ok(cid, Leave(space))
        await w.ok(cid, Join(space))
        await w.rows("update outbox set not_before = now() - interval '1 minute' where kind <> $1", last)
        await Outbox(bridge, w.herald).drain()
        assert (await inbox_kinds(w, bob.inbox))[-1] is SpaceLeft
        assert (await inbox_kinds(w, cid.inbox))[-1] is SpaceEntered


async def test_several_gateways_deliver_each_row_once(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        _, _, channel = await w.community(ann, bob)
        for n in range(30):
            await w.ok(ann, Post(channel, f"{n}", mentions=(bob.user,)))
        heralds = [Herald() for _ in range(4)]
        async with trio.open_nursery() as nursery:
            for herald in heralds:
                nursery.start_soon(Outbox(bridge, herald, OutboxOptions(batch_max=4)).drain)
        told = [fact.seq for herald in heralds for fact in herald.facts if fact.stream == bob.inbox]
        assert sorted(told) == list(range(1, 32))
        assert (await inbox_kinds(w, bob.inbox)).count(Mentioned) == 30


async def test_a_row_that_cannot_be_delivered_is_set_aside_and_stops_nobody(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        _, _, channel = await w.community(ann, bob)
        outbox = Outbox(bridge, w.herald, OutboxOptions(attempts_max=2))
        await outbox.drain()
        await w.rows("insert into outbox (kind, user_id, stream_id, seq, author) values (22, $1, $2, -5, 0)", bob.user, channel)
        await w.rows("alter table log add constraint antidote check (body <> $$\\x9416$$::bytea and position('\\xfb'::bytea in body) = 0)")
        await w.ok(ann, Post(channel, "fine", mentions=(bob.user,)))
        await outbox.drain()
        assert await inbox_kinds(w, bob.inbox) == [SpaceEntered, Mentioned]
        assert await w.column("select attempts from outbox") == [1]
        assert (outbox.given_up, await w.value(GIVEN_UP)) == (0, 0)
        await w.rows("update outbox set not_before = now()")
        await outbox.drain()
        assert await w.value("select not_before = 'infinity' from outbox") is True
        assert (outbox.given_up, await w.value(GIVEN_UP)) == (1, 1)


async def test_filling_wakes_the_delivery(bridge: Bridge) -> None:
    async with world(bridge) as w, trio.open_nursery() as nursery:
        outbox = Outbox(bridge, w.herald, OutboxOptions(poll_s=3600))
        w.on_outbox_filled = outbox.filled
        await nursery.start(outbox.serve)
        ann = await w.person("ann")
        await w.community(ann)
        with trio.fail_after(30):
            while ann.inbox not in {fact.stream for fact in w.herald.facts}:  # noqa: ASYNC110 (the herald has no event)
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()


async def test_every_gateway_hears_every_control_event_from_its_start_on_once_and_in_order(bridge: Bridge) -> None:
    async def revoke(session: int) -> None:
        await bridge.run(partial(append_events, events=[session_revoked(7, session)]), deadline_s=9)

    await revoke(1)
    heard: list[Fact] = []
    enough = trio.Event()

    def listen(facts: Sequence[Fact]) -> None:
        heard.extend(facts)
        if len(heard) >= 5:
            enough.set()

    reader = ControlReader(bridge, listen, ControlOptions(poll_s=0.01, page_max=2))
    async with trio.open_nursery() as nursery:
        await nursery.start(reader.serve)
        for session in range(2, 7):
            await revoke(session)
        with trio.fail_after(30):
            await enough.wait()
        nursery.cancel_scope.cancel()
    assert [fact.seq for fact in heard] == [2, 3, 4, 5, 6], "what came before its start does not concern it"
    assert [fact.body for fact in heard] == [session_revoked(7, session).body for session in range(2, 7)]
    assert {fact.stream for fact in heard} == {CONTROL_STREAM}
    assert reader.fresh_s is not None


async def test_a_restored_database_does_not_leave_a_gateway_deaf(bridge: Bridge) -> None:
    async def revoke(session: int) -> None:
        await bridge.run(partial(append_events, events=[session_revoked(7, session)]), deadline_s=9)

    async def forget(tx: asyncpg.Connection) -> None:
        await tx.execute("delete from log where stream_id = 1")
        await tx.execute("update streams set head = 0 where id = 1")

    for session in (1, 2, 3):
        await revoke(session)
    heard: list[Fact] = []
    reader = ControlReader(bridge, heard.extend, ControlOptions(poll_s=0.01))
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            await nursery.start(reader.serve)
            await bridge.run(forget, deadline_s=9)
            while reader.after != 0:  # noqa: ASYNC110 (a cursor has no event)
                await trio.sleep(0.01)
            await revoke(4)
            while not heard:  # noqa: ASYNC110
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
    assert [(fact.seq, fact.body) for fact in heard] == [(1, session_revoked(7, 4).body)]


async def test_deeds_are_kept_by_month_and_by_default_where_no_month_was_prepared(bridge: Bridge) -> None:
    await bridge.run(lambda tx: record(tx, Deed(1, "member_removed", space=2, subject=3, detail={"why": "spam"})), deadline_s=9)
    in_default = "select count(*) from audit_log_default"

    async def far(tx: object, sql: str) -> object:
        return await tx.fetchval(sql)  # type: ignore[attr-defined]

    assert await bridge.run(partial(far, sql=in_default), deadline_s=9) == 0
    await bridge.run(
        partial(far, sql="insert into audit_log (at, actor, action) values (now() + interval '5 months', 1, 'foretold') returning id"),
        deadline_s=9,
    )
    assert await bridge.run(partial(far, sql=in_default), deadline_s=9) == 1
    assert await bridge.run(partial(prepare, months_ahead=6), deadline_s=9) == 3
    assert await bridge.run(partial(far, sql=in_default), deadline_s=9) == 0, "its row moved to its month"
    assert await bridge.run(partial(far, sql="select count(*) from audit_log"), deadline_s=9) == 2
    assert await bridge.run(partial(prepare, months_ahead=6), deadline_s=9) == 0
