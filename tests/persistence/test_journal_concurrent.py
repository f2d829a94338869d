"""Several journals on one database, with connections that die under them: no gap, no double, one order, nothing acknowledged lost."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import pytest
import trio

from actors.storage import Decided, Entry
from actors.storage_port import OutcomeUnknown
from persistence.append import AUTHORITY_MOVED, Effect, finish
from persistence.bridge import Bridge, BridgeOptions, LanePort
from persistence.journal import JournalOptions
from persistence.operations import messages
from persistence.operations.slow import carry_out
from persistence.outbox import Outbox
from protocol import codec
from protocol.codes import Code
from protocol.events import Said
from protocol.operations import (
    AnyOperation,
    CreateChannel,
    Edit,
    Join,
    Leave,
    MarkRead,
    OpenConversation,
    Post,
    React,
    Remove,
    Rename,
    Say,
    SetRole,
)
from protocol.values import Role
from tests.fixtures_postgres import serving
from tests.persistence.world import Mailbox, Person, World, ask, world

RETRIED = (Code.UNAVAILABLE, Code.GAP, Code.BUSY)
WINDOW = 16
KILLS = 20


@asynccontextmanager
async def worlds(dsn: str, count: int, options: JournalOptions | None = None) -> AsyncIterator[list[World]]:
    """As many gateways: a bridge and a journal each, on one database."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(count):
            bridge = await stack.enter_async_context(serving(Bridge(BridgeOptions(dsn))))
            made.append(await stack.enter_async_context(world(bridge, options)))
        yield made


async def send_all(person: Person, operations: list[AnyOperation], gateways: list[World], rng: random.Random) -> dict[int, Decided]:
    """What a client does: a window of mutations in order, and after a failure or at random the whole window again, through any gateway."""
    entries = [person.entry(operation) for operation in operations]
    outcomes: dict[int, Decided] = {}
    with trio.fail_after(120):
        while len(outcomes) < len(entries):
            window = [entry for entry in entries if entry.number not in outcomes][:WINDOW]
            gateway = rng.choice(gateways)
            replies: Mailbox[Decided] = Mailbox()
            taken = [entry for entry in window if gateway.journal.submit(entry, replies)]
            if rng.random() < 0.1:
                await trio.sleep(0.002)
                continue  # lost its socket: whatever was decided is not heard
            for decided in await replies.wait(len(taken)):
                if decided.code not in RETRIED:
                    outcomes[decided.number] = decided
            await trio.lowlevel.checkpoint()
    return outcomes


async def check_streams(w: World) -> None:
    """Every stream's numbers are 1 to its head."""
    broken = await w.rows(
        "select s.id, s.head, count(l.seq), min(l.seq), max(l.seq) from streams s left join log l on l.stream_id = s.id"
        " group by s.id having count(l.seq) <> s.head or coalesce(max(l.seq), 0) <> s.head or coalesce(min(l.seq), 1) <> 1"
    )
    assert broken == []


@pytest.mark.parametrize("seed", range(3))
async def test_retries_and_killed_connections_neither_lose_nor_double_nor_reorder(database: str, seed: int) -> None:
    rng = random.Random(seed)
    async with worlds(database, 2) as gateways:
        w = gateways[0]
        people = [await w.person(f"p{n}") for n in range(6)]
        space, _, first = await w.community(people[0], *people[1:])
        channels = [first, *[await w.ok(people[0], CreateChannel(space, f"c{n}")) for n in range(3)]]
        plans = {
            person: [
                Say(rng.choice(channels), f"{person.name} {n}") if rng.random() < 0.95 else Rename(f"{person.name} {n}") for n in range(150)
            ]
            for person in people
        }
        outcomes: dict[Person, dict[int, Decided]] = {}
        bases = {person: person.number for person in people}

        async def send(person: Person) -> None:
            outcomes[person] = await send_all(person, list(plans[person]), gateways, random.Random(f"{seed}{person.name}"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(kill_connections, database, rng)
            async with trio.open_nursery() as senders:
                for person in people:
                    senders.start_soon(send, person)
            nursery.cancel_scope.cancel()
        await check_streams(w)
        for person in people:
            positions: dict[int, list[int]] = {channel: [] for channel in channels}
            for at, operation in enumerate(plans[person]):
                decided = outcomes[person][bases[person] + at + 1]
                assert decided.code is Code.OK
                if isinstance(operation, Say):
                    rows = await w.rows("select stream_id, seq from log where body = $1", codec.encode(Said(operation.text)))
                    assert [tuple(row) for row in rows] == [(operation.stream, decided.value)], (
                        "acknowledged: there, once, under its number"
                    )
                    positions[operation.stream].append(decided.value)
            assert all(found == sorted(found) for found in positions.values()), "in the order in which its device sent it"


async def kill_connections(dsn: str, rng: random.Random) -> None:
    """Ends a random connection of the gateways, again and again; bounded, or a slow machine would do nothing but connect."""

    async def kill(connection: asyncpg.Connection) -> None:
        await connection.fetch(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
            " and application_name in ('educonnect journal', 'educonnect primary') order by random() limit 1"
        )

    async with serving(Bridge(BridgeOptions(dsn))) as bridge:
        lane = bridge.dedicated("killer")
        for _ in range(KILLS):
            await trio.sleep(rng.uniform(0.01, 0.08))
            await lane.run(kill, deadline_s=9)


async def test_a_removal_through_one_gateway_makes_every_other_refuse_at_once(database: str) -> None:
    async with worlds(database, 2) as [here, there]:
        ann, bob = await here.person("ann"), await here.person("bob")
        space, _, channel = await here.community(ann, bob)
        assert (await there.ask(bob, Say(channel, "hello"))).code is Code.OK
        await here.ok(ann, Remove(space, bob.user))
        assert (await there.ask(bob, Say(channel, "still here?"))).code is Code.NOT_FOUND


@pytest.mark.parametrize("seed", range(2))
async def test_no_post_stands_after_the_removal_of_its_author(database: str, seed: int) -> None:
    """Posts and removals race through two gateways: by the stream's own numbers, nothing of a removed person follows the removal."""
    rng = random.Random(seed)
    async with worlds(database, 2) as [here, there]:
        ann = await here.person("ann")
        others = [await here.person(f"p{n}") for n in range(5)]
        space, _, channel = await here.community(ann, *others)
        replies: Mailbox[Decided] = Mailbox()
        count = 0
        for turn in range(40):
            for person in others:
                count += there.journal.submit(person.entry(Say(channel, f"{person.name} {turn}")), replies)
            if turn % 8 == 4:
                person = others[turn // 8]
                before = await here.value("select audience_version from streams where id = $1", channel)
                await here.ok(ann, Remove(space, person.user))
                # What the other gateway appends from now on says that the audience has moved.
                later = await ask(there.journal, ann.entry(Say(channel, f"after {person.name}")))
                assert later.code is Code.OK
                told = there.herald.facts[-1]
                assert isinstance(before, int) and told.audience_version > before
                assert not [
                    row
                    for row in await here.rows(
                        "select from log where stream_id = $1 and author = $2 and seq > $3", channel, person.user, later.value
                    )
                ]
            if rng.random() < 0.5:
                await trio.lowlevel.checkpoint()
        decided = await replies.wait(count)
        assert {d.code for d in decided} == {Code.OK, Code.NOT_FOUND}
        gone = await here.rows(
            "select 1 from log l where stream_id = $1 and seq > (select min(a.seq) from log a where a.stream_id = $1 and a.author = $2)"
            " and l.author = $3 limit 1",
            channel,
            ann.user,
            others[0].user,
        )
        assert gone == [], "the first one removed wrote nothing after ann's first word"
        await check_streams(here)


async def test_a_post_that_meets_a_removal_under_way_waits_for_it_and_is_refused(database: str) -> None:
    async with worlds(database, 2) as [here, there]:
        ann, bob = await here.person("ann"), await here.person("bob")
        space, _, channel = await here.community(ann, bob)
        replies: Mailbox[Decided] = Mailbox()
        waiting = "select count(*) from pg_locks where not granted"
        removal = ann.entry(Remove(space, bob.user))
        locked = trio.Event()
        token = trio.lowlevel.current_trio_token()

        async def remove(tx: asyncpg.Connection) -> Code:
            outcome = await carry_out(tx, removal)
            token.run_sync_soon(locked.set)
            while not await tx.fetchval(waiting):
                pass
            return outcome.code

        async with trio.open_nursery() as nursery:

            async def post() -> None:
                await locked.wait()
                there.journal.submit(bob.entry(Say(channel, "too late")), replies)

            nursery.start_soon(post)
            assert await here.bridge.run(remove, deadline_s=30) is Code.OK
        assert (await replies.wait(1))[0].code is Code.NOT_FOUND
        assert await here.value("select head from streams where id = $1", channel) == 0


async def test_an_edit_that_was_decided_before_a_removal_does_not_take_effect_after_it(database: str) -> None:
    async with worlds(database, 2) as [here, there]:
        ann, bob = await here.person("ann"), await here.person("bob")
        space, _, channel = await here.community(ann, bob)
        await here.ok(bob, Say(channel, "hello"))
        operation = Edit(channel, 1, "goodbye")
        entry = bob.entry(operation)
        version = "select audience_version from streams where id = $1"
        before = await here.value(version, channel)
        decided = trio.Event()
        token = trio.lowlevel.current_trio_token()

        async def edit(tx: asyncpg.Connection) -> None:
            effect = await messages.edit(tx, entry, operation)
            assert isinstance(effect, Effect)
            token.run_sync_soon(decided.set)
            while await tx.fetchval(version, channel) == before:
                pass
            await finish(tx, entry, effect)

        async with trio.open_nursery() as nursery:

            async def remove() -> None:
                await decided.wait()
                await there.ok(ann, Remove(space, bob.user))

            nursery.start_soon(remove)
            with pytest.raises(asyncpg.PostgresError) as refused:
                await here.bridge.run(edit, deadline_s=30)
            assert refused.value.sqlstate == AUTHORITY_MOVED
        assert (await ask(here.journal, entry)).code is Code.NOT_FOUND, "decided again, as the journal does by itself"


async def test_four_gateways_on_overlapping_streams_never_deadlock(database: str) -> None:
    async with worlds(database, 4) as gateways:
        w = gateways[0]
        people = [await w.person(f"p{n}") for n in range(8)]
        spaces = [await w.community(people[n], *people[:n], *people[n + 1 :]) for n in range(2)]
        channels = [channel for _, _, channel in spaces]
        # Several in each space: what changes its members locks all of them, and posts lock some.
        channels += [await w.ok(people[n], CreateChannel(spaces[n][0], f"c{m}")) for n in range(2) for m in range(3)]
        outboxes = [Outbox(gateway.bridge, gateway.herald) for gateway in gateways]

        async def act(person: Person, gateway: World, rng: random.Random) -> None:
            for n in range(12):
                replies: Mailbox[Decided] = Mailbox()
                operations: list[AnyOperation] = [Say(channel, f"{person.name} {n}") for channel in rng.sample(channels, 5)]
                operations.append(
                    Post(rng.choice(channels), f"{person.name} says {n}", mentions=tuple(p.user for p in rng.sample(people, 3)))
                )
                operations.append(MarkRead(rng.choice(channels), 1))
                operations.append(React(rng.choice(channels), 1, "👍"))
                operations.append(
                    rng.choice(
                        [
                            Edit(rng.choice(channels), rng.randint(1, 20), f"edited {n}"),
                            Leave(rng.choice(spaces)[0]),
                            Join(rng.choice(spaces)[0]),
                            SetRole(rng.choice(spaces)[0], rng.choice(people).user, rng.choice([Role.MODERATOR, Role.LEARNER])),
                            Rename(f"{person.name} {n}"),
                        ]
                    )
                )
                for operation in operations:
                    assert gateway.journal.submit(person.entry(operation), replies)
                codes = {decided.code for decided in await replies.wait(len(operations))}
                assert not codes & {Code.UNAVAILABLE, Code.GAP, Code.TAKEN_OVER}, codes
                await outboxes[gateways.index(gateway)].drain()

        async with trio.open_nursery() as nursery:
            for n, person in enumerate(people):
                nursery.start_soon(act, person, gateways[n % 4], random.Random(n))
        assert [gateway.journal.stats.conflicts for gateway in gateways] == [0, 0, 0, 0]
        assert [gateway.journal.stats.collisions for gateway in gateways] == [0, 0, 0, 0]
        await check_streams(w)


async def test_two_gateways_open_the_same_conversation_once(database: str) -> None:
    async with worlds(database, 2) as [here, there]:
        for n in range(5):
            ann, bob = await here.person(f"ann{n}"), await here.person(f"bob{n}")
            values: list[int] = []

            async def open_one(w: World, me: Person, other: Person, values: list[int] = values) -> None:
                values.append(await w.ok(me, OpenConversation((other.user,))))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(open_one, here, ann, bob)
                nursery.start_soon(open_one, there, bob, ann)
            assert len(set(values)) == 1


class Forgetful(Bridge):
    """Loses some answers of what was committed: the connection died after the commit."""

    def __init__(self, dsn: str) -> None:
        super().__init__(BridgeOptions(dsn))
        self.losses = 0

    async def run(self, work: Any, **options: Any) -> Any:
        return self._forget(await super().run(work, **options))

    def dedicated(self, name: str) -> LanePort:
        lane = super().dedicated(name)
        run = lane.run

        async def forgetful(work: Any, **options: Any) -> Any:
            return self._forget(await run(work, **options))

        lane.run = forgetful  # type: ignore[method-assign]
        return lane

    def _forget(self, answer: Any) -> Any:
        if self.losses > 0:
            self.losses -= 1
            raise OutcomeUnknown("lost: for the test")
        return answer


async def test_what_was_committed_when_the_connection_died_is_acknowledged_told_and_not_doubled(database: str) -> None:
    async with serving(forgetful := Forgetful(database)) as bridge, world(bridge, JournalOptions(resubmit_interval_s=0.001)) as w:
        ann = await w.person("ann")
        _, _, channel = await w.community(ann)
        for operation in (Say(channel, "once"), Edit(channel, 1, "once more"), Post(channel, "twice", 1), React(channel, 1, "👍")):
            forgetful.losses = 2
            decided = await w.ask(ann, operation)
            assert (decided.code, decided.replayed) == (Code.OK, True)
            assert forgetful.losses == 0
        assert await w.column("select seq from log where stream_id = $1 order by seq", channel) == [1, 2, 3, 4]
        assert [fact.seq for fact in w.herald.facts if fact.stream == channel] == [1, 2, 3, 4], "told all the same"


async def test_a_connection_that_dies_while_committing_is_pursued_until_the_outcome_is_known(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        _, _, channel = await w.community(ann)
        # The server ends its own connection at the commit, as long as the fuse is in: a deferred trigger runs there.
        await w.rows("create table fuse as select true as inside")
        await w.rows(
            "create function blow() returns trigger language plpgsql as $$ begin"
            " if (select inside from fuse) then perform pg_terminate_backend(pg_backend_pid()); end if; return null; end $$"
        )
        await w.rows(
            "create constraint trigger blow after insert on log deferrable initially deferred for each row execute function blow()"
        )
        replies: Mailbox[Decided] = Mailbox()
        w.journal.submit(ann.entry(Say(channel, "once")), replies)
        with trio.fail_after(30):
            while not w.journal.stats.resubmitted:  # noqa: ASYNC110 (a counter)
                await trio.sleep(0.01)
        await w.rows("update fuse set inside = false")
        assert (await replies.wait(1))[0].code is Code.OK
        assert await w.value("select count(*) from log where stream_id = $1", channel) == 1


async def test_a_database_that_is_away_is_said_so_and_the_same_number_works_later(database: str, postgres_server: object) -> None:
    async with serving(Bridge(BridgeOptions(database))) as bridge, world(bridge) as w:
        ann = await w.person("ann")
        _, _, channel = await w.community(ann)
        async with serving(Bridge(BridgeOptions(database.replace("test_", "nowhere_")))) as gone, world(gone) as away:
            entry: Entry = ann.entry(Say(channel, "hello"))
            first = await ask(away.journal, entry)
        assert first.code is Code.UNAVAILABLE
        assert "nowhere_" not in first.detail, "a client is not told what our databases are called"
        assert (await ask(w.journal, entry)).code is Code.OK


async def test_everything_works_without_prepared_statements(database: str) -> None:
    async with serving(Bridge(BridgeOptions(database, pooler=True))) as bridge, world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        _, _, channel = await w.community(ann, bob)
        for n in range(3):
            await w.ok(bob, Post(channel, f"{n}", mentions=(ann.user,)))
        await w.ok(ann, MarkRead(channel, 3))
        await Outbox(bridge, w.herald).drain()
        await check_streams(w)
