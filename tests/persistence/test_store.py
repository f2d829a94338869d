"""The store against a real Postgres: every query × who asks, bounds, and the taking over of devices."""

from __future__ import annotations

import asyncpg
import pytest
import trio

from actors.storage import (
    Answered,
    Attach,
    Attached,
    Audience,
    CheckAudience,
    Denied,
    Events,
    FindPerson,
    Head,
    Heads,
    ListMembers,
    ListSpaces,
    MemberList,
    PersonFound,
    Query,
    ReadAfter,
    ReadBefore,
    ReadHeads,
    Result,
    SpaceList,
)
from persistence.bridge import Bridge
from persistence.store import Store, StoreOptions
from protocol.codes import Code
from protocol.entities import RECORD_KINDS
from protocol.frames import Invitation, Member, SpaceState, StreamState
from protocol.operations import ChangeChannel, CreateChannel, Invite, Join, MarkRead, OpenConversation, Remove, Say
from protocol.values import Role, Roles, SpaceKind, StreamKind
from tests.persistence.world import Mailbox, Person, World, world


class Asker:
    """A store that serves, and its answers."""

    def __init__(self, bridge: Bridge, options: StoreOptions | None = None) -> None:
        self.store = Store(bridge, options or StoreOptions())

    async def all(self, *queries: Query) -> list[Result]:
        """Asks together, while the store is not yet looking: they are answered in batches."""
        mailbox: Mailbox[Answered] = Mailbox()
        for ticket, query in enumerate(queries):
            self.store.ask(query, ticket, mailbox)
        answers = await mailbox.wait(len(queries))
        assert sorted(answer.ticket for answer in answers) == list(range(len(queries)))
        return [answer.result for answer in sorted(answers, key=lambda answer: answer.ticket)]

    async def __call__(self, query: Query) -> Result:
        return (await self.all(query))[0]


async def session(w: World, person: Person, expires: str = "1 day") -> int:
    [id] = await w.column(
        f"insert into sessions (user_id, device_id, expires_at) values ($1, $2, now() + interval '{expires}') returning id",
        person.user,
        person.device,
    )
    return id


@pytest.fixture
async def asker(bridge: Bridge, nursery: trio.Nursery) -> Asker:
    asker = Asker(bridge)
    await nursery.start(asker.store.serve)
    return asker


async def test_reading_both_ways_from_any_position(bridge: Bridge, asker: Asker) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        space, _, channel = await w.community(ann)
        for n in range(1, 8):
            await w.ok(ann, Say(channel, f"{n}"))
        whole = range(1, 8)
        queries: list[Query] = []
        expected: list[tuple[list[int], bool]] = []
        for position in range(0, 10):
            for limit in (1, 3, 100):
                queries.append(ReadAfter(channel, ann.user, position, limit, 10_000))
                found = [seq for seq in whole if seq > position][:limit]
                expected.append((found, bool(found) and found[-1] < 7))
                queries.append(ReadBefore(channel, ann.user, position, limit, 10_000))
                found = [seq for seq in whole if seq < position][-limit:]
                expected.append((found, bool(found) and found[0] > 1))
        for result, (seqs, more) in zip(await asker.all(*queries), expected, strict=True):
            assert isinstance(result, Events)
            assert ([row.seq for row in result.rows], result.more, result.head, result.space) == (seqs, more, 7, space)
            assert all(f"{row.seq}".encode() in row.body and row.author == ann.user for row in result.rows)


async def test_a_page_ends_at_its_bound_in_bytes_but_never_empty(bridge: Bridge, asker: Asker) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        _, _, channel = await w.community(ann)
        for _ in range(5):
            await w.ok(ann, Say(channel, "x" * 1000))
        for bytes_max, count in ((1, 1), (1500, 1), (2500, 2), (100_000, 5)):
            after, before = await asker.all(
                ReadAfter(channel, ann.user, 0, 100, bytes_max), ReadBefore(channel, ann.user, 6, 100, bytes_max)
            )
            assert isinstance(after, Events) and isinstance(before, Events)
            assert [row.seq for row in after.rows] == list(range(1, count + 1))
            assert [row.seq for row in before.rows] == list(range(6 - count, 6))
            assert after.more is before.more is (count < 5)


async def test_who_may_read_what(bridge: Bridge, asker: Asker) -> None:
    async with world(bridge) as w:
        ann, bob, eve = await w.person("ann"), await w.person("bob"), await w.person("eve")
        space, own, channel = await w.community(ann, bob)
        staff = await w.ok(ann, CreateChannel(space, "staff", Roles.STAFF))
        readers = {own: {ann, bob}, channel: {ann, bob}, staff: {ann}, ann.inbox: {ann}, 1: set(), 10**6: set()}
        for stream, allowed in readers.items():
            for person in (ann, bob, eve):
                code = Code.OK if person in allowed else Code.FORBIDDEN if (stream, person) == (staff, bob) else Code.NOT_FOUND
                for query in (ReadAfter(stream, person.user, 0, 9, 999), ReadBefore(stream, person.user, 9, 9, 999)):
                    result = await asker(query)
                    assert (result.code if isinstance(result, Denied) else Code.OK) is code, (stream, person.name)
            everybody = await asker(CheckAudience(stream, (ann.user, bob.user, eve.user, 10**6)))
            if stream == 10**6:
                assert everybody == Denied(Code.NOT_FOUND)
            else:
                assert isinstance(everybody, Audience)
                assert everybody.users == {person.user for person in allowed}
        gateway = await asker(ReadAfter(staff, 0, 0, 9, 999))
        assert isinstance(gateway, Events), "the gateway itself is not checked"


async def test_a_removed_member_reads_nothing_more(bridge: Bridge, asker: Asker) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        space, _, channel = await w.community(ann, bob)
        before = await asker(CheckAudience(channel, (bob.user,)))
        await w.ok(ann, Remove(space, bob.user))
        after = await asker(CheckAudience(channel, (bob.user,)))
        assert isinstance(before, Audience) and isinstance(after, Audience)
        assert (before.users, after.users) == ({bob.user}, frozenset())
        assert after.audience_version > before.audience_version
        assert await asker(ReadAfter(channel, bob.user, 0, 9, 999)) == Denied(Code.NOT_FOUND)


async def test_heads_of_many_streams_are_told_to_each_asker(bridge: Bridge, asker: Asker) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        _, own, channel = await w.community(ann)
        await w.ok(ann, Say(channel, "x"))
        both, one, none = await asker.all(ReadHeads((channel, own, 10**6)), ReadHeads((own,)), ReadHeads(()))
        assert both == Heads((Head(channel, 1, 1), Head(own, 3, 1)))
        assert one == Heads((Head(own, 3, 1),))
        assert none == Heads(())


async def test_the_overview_shows_what_one_may_read(bridge: Bridge, asker: Asker) -> None:
    async with world(bridge) as w:
        ann, bob, eve = await w.person("ann"), await w.person("bob"), await w.person("eve")
        space, own, channel = await w.community(ann, bob)
        staff = await w.ok(ann, CreateChannel(space, "staff", Roles.STAFF))
        await w.ok(ann, ChangeChannel(channel, "general", Roles.ALL, Roles.STAFF))
        talk = await w.ok(bob, OpenConversation((ann.user,)))
        await w.ok(ann, Say(channel, "x"))
        await w.ok(bob, MarkRead(channel, 1))
        community = StreamState(own, StreamKind.COMMUNITY, "ann's", 6, 0, False)
        [of_bob, of_ann, of_eve, of_nobody] = await asker.all(
            ListSpaces(bob.user), ListSpaces(ann.user), ListSpaces(eve.user), ListSpaces(10**6)
        )
        assert isinstance(of_bob, SpaceList) and isinstance(of_ann, SpaceList)
        general = StreamState(channel, StreamKind.CHANNEL, "general", 1, 1, False)
        own_of_bob, community_of_bob, enrolment, conversation = of_bob.spaces
        assert [stream.kind for stream in own_of_bob.streams] == [StreamKind.OWN], "the inbox is left out"
        assert (own_of_bob.kind, own_of_bob.role) == (SpaceKind.PERSONAL, Role.OWNER)
        assert (enrolment.kind, enrolment.name, enrolment.role) == (SpaceKind.ENROLMENT, str(space), Role.OWNER)
        assert [(stream.kind, stream.may_write) for stream in enrolment.streams] == [
            (StreamKind.PROGRESS, True),
            (StreamKind.ANSWERS, True),
        ]
        told = [stream for stream in community_of_bob.streams if stream.kind not in RECORD_KINDS]
        assert community_of_bob == SpaceState(space, SpaceKind.COMMUNITY, "ann's", Role.LEARNER, community_of_bob.streams)
        assert told == [community, general]
        assert (conversation.kind, conversation.streams[0].stream, conversation.streams[0].may_write) == (
            SpaceKind.CONVERSATION,
            talk,
            True,
        )
        assert of_bob.inbox_upto == 1, "the read marker"
        at_ann = next(space for space in of_ann.spaces if space.kind is SpaceKind.COMMUNITY)
        assert [stream.stream for stream in at_ann.streams if stream.kind not in RECORD_KINDS] == [own, channel, staff]
        assert at_ann.streams[1].may_write and at_ann.streams[1].read_upto == 0
        assert isinstance(of_eve, SpaceList)
        assert [space.kind for space in of_eve.spaces] == [SpaceKind.PERSONAL]
        assert of_nobody == Denied(Code.NOT_FOUND)


async def test_the_overview_shows_the_newest_standing_invitations_and_who_invites(bridge: Bridge, asker: Asker) -> None:
    async with world(bridge) as w:
        ann, bob, eve = await w.person("ann"), await w.person("bob"), await w.person("eve")
        chess, _, _ = await w.community(ann, bob)
        await w.ok(ann, CreateChannel(chess, "openings"))
        maths, _, _ = await w.community(bob)
        go, _, _ = await w.community(ann)
        for host, space, role in ((ann, chess, Role.LEARNER), (ann, go, Role.LEARNER), (bob, maths, Role.MENTOR)):
            await w.ok(host, Invite(space, eve.user, role))
        in_chess, in_go = Invitation(chess, "ann's", Role.LEARNER, ann.user, "Ann"), Invitation(go, "ann's", Role.LEARNER, ann.user, "Ann")
        in_maths = Invitation(maths, "bob's", Role.MENTOR, bob.user, "Bob")
        [of_eve, of_ann] = await asker.all(ListSpaces(eve.user), ListSpaces(ann.user))
        assert isinstance(of_eve, SpaceList) and of_eve.invitations == (in_maths, in_go, in_chess)
        assert isinstance(of_ann, SpaceList) and of_ann.invitations == ()
        await w.ok(eve, Join(chess))
        await w.ok(ann, Remove(go, eve.user))
        [of_eve, of_bob] = await asker.all(ListSpaces(eve.user), ListSpaces(bob.user))
        assert isinstance(of_eve, SpaceList) and of_eve.invitations == (in_maths,), "used or withdrawn"
        assert [space.space for space in of_eve.spaces if space.kind is SpaceKind.COMMUNITY] == [chess], "once, with several streams"
        assert isinstance(of_bob, SpaceList) and of_bob.invitations == ()


async def test_members_come_in_pages_for_members(bridge: Bridge, asker: Asker) -> None:
    async with world(bridge) as w:
        people = [await w.person(name) for name in ("ann", "bob", "cid")]
        eve = await w.person("eve")
        space, _, _ = await w.community(*people)
        ann, bob, cid = people
        [first, second, foreign] = await asker.all(
            ListMembers(space, bob.user, 0, 2), ListMembers(space, bob.user, bob.user, 2), ListMembers(space, eve.user, 0, 2)
        )
        assert first == MemberList((Member(ann.user, Role.OWNER, "Ann", ann.name), Member(bob.user, Role.LEARNER, "Bob", bob.name)), True)
        assert second == MemberList((Member(cid.user, Role.LEARNER, "Cid", cid.name),), False)
        assert foreign == Denied(Code.NOT_FOUND)


async def test_a_person_is_found_by_exact_name_whatever_the_case(bridge: Bridge, asker: Asker) -> None:
    async with world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        await w.rows("update accounts set disabled_at = now() where id = $1", bob.user)
        found = await asker.all(FindPerson("ANN"), FindPerson("an"), FindPerson("bob"), FindPerson("a\0nn"))
        assert found[0] == PersonFound(ann.user, "ann", "Ann")
        assert found[1:3] == [Denied(Code.NOT_FOUND)] * 2
        assert isinstance(found[3], Denied) and found[3].code is Code.INVALID, "refused alone"


async def test_a_device_is_taken_over_by_its_newest_socket(bridge: Bridge, asker: Asker) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        _, _, channel = await w.community(ann)
        id = await session(w, ann)
        # Together: two sockets of one device at once, the second of which wins.
        first, second = await asker.all(Attach(id, ann.user, ann.device, 5), Attach(id, ann.user, ann.device, 6))
        assert isinstance(first, Attached) and isinstance(second, Attached)
        assert (first.generation, first.previous_gateway) == (2, 0)
        assert (second.generation, second.previous_gateway) == (3, 5)
        assert (second.last_number, second.inbox, second.display_name) == (ann.number, ann.inbox, "Ann")
        assert second.session_expires == await w.value("select extract(epoch from expires_at)::bigint from sessions")
        ann.generation = 2
        assert (await w.ask(ann, Say(channel, "older socket"), number=ann.number + 1)).code is Code.TAKEN_OVER
        ann.generation = 3
        assert (await w.ask(ann, Say(channel, "newer socket"))).code is Code.OK


async def test_who_may_not_attach(bridge: Bridge, asker: Asker) -> None:
    async with world(bridge) as w:
        ann, bob, cid, dan = [await w.person(name) for name in ("ann", "bob", "cid", "dan")]
        good, revoked, expired, disabled = (
            await session(w, ann),
            await session(w, bob),
            await session(w, cid, "-1 second"),
            await session(w, dan),
        )
        await w.rows("update sessions set revoked_at = now() where id = $1", revoked)
        await w.rows("update accounts set disabled_at = now() where id = $1", dan.user)
        [other_device] = await w.column("insert into devices (user_id) values ($1) returning id", ann.user)
        cases: list[tuple[Query, Code]] = [
            (Attach(good, ann.user, bob.device, 1), Code.FORBIDDEN),
            (Attach(good, ann.user, other_device, 1), Code.FORBIDDEN),
            (Attach(good, ann.user, 10**6, 1), Code.FORBIDDEN),
            (Attach(good, bob.user, bob.device, 1), Code.REVOKED),
            (Attach(10**6, ann.user, ann.device, 1), Code.REVOKED),
            (Attach(revoked, bob.user, bob.device, 1), Code.REVOKED),
            (Attach(disabled, dan.user, dan.device, 1), Code.REVOKED),
            (Attach(expired, cid.user, cid.device, 1), Code.TOKEN_EXPIRED),
        ]
        results = await asker.all(*(query for query, _ in cases))
        assert [result.code if isinstance(result, Denied) else Code.OK for result in results] == [code for _, code in cases]
        assert set(await w.column("select generation from devices where id <> $1", other_device)) == {1}, "nobody lost a socket by it"


async def test_beyond_the_bound_queries_are_denied_at_once_and_none_stays_unanswered(bridge: Bridge) -> None:
    asker = Asker(bridge, StoreOptions(queries_max=2))
    mailbox: Mailbox[Answered] = Mailbox()
    async with trio.open_nursery() as nursery:
        await nursery.start(asker.store.serve)
        for ticket in range(3):
            asker.store.ask(ReadHeads((1,)), ticket, mailbox)
        assert mailbox.told == [Answered(2, Denied(Code.BUSY))]
        nursery.cancel_scope.cancel()
    asker.store.ask(ReadHeads((1,)), 3, mailbox)
    assert [answer.result.code for answer in mailbox.told if isinstance(answer.result, Denied)] == [Code.BUSY] + [Code.UNAVAILABLE] * 3


async def test_a_query_that_waits_for_a_lock_is_answered_by_its_deadline(bridge: Bridge) -> None:
    asker = Asker(bridge, StoreOptions(deadline_s=0.3))
    async with world(bridge) as w, trio.open_nursery() as nursery:
        ann = await w.person("ann")
        id = await session(w, ann)
        await nursery.start(asker.store.serve)
        nursery.start_soon(hold_devices, bridge)
        with trio.fail_after(30):
            while not await w.value("select count(*) from pg_stat_activity where query = 'select pg_sleep(60)'"):  # noqa: ASYNC110 (the server has no event)
                await trio.sleep(0.01)
        result = await asker(Attach(id, ann.user, ann.device, 1))
        assert isinstance(result, Denied) and result.code is Code.UNAVAILABLE
        nursery.cancel_scope.cancel()


async def hold_devices(bridge: Bridge) -> None:
    """Holds the lock of every device until cancelled."""

    async def work(tx: asyncpg.Connection) -> None:
        await tx.execute("select from devices for update")
        await tx.execute("select pg_sleep(60)")

    await bridge.run(work, deadline_s=60)
