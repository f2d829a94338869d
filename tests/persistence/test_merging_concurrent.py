"""Changes under stress: gateways over the same records, removals meanwhile, poison, lost answers; and a batch equals its entries."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import asyncpg
import pytest
import trio

from actors.merging import Merging, Place
from actors.storage import Decided
from persistence.append import AUTHORITY_MOVED
from persistence.bridge import Bridge, BridgeOptions
from persistence.journal import JournalOptions
from persistence.operations.kept import Stood, write_down
from persistence.operations.merging import Merges
from protocol import codec
from protocol.codes import Code
from protocol.entities import Entity, read_fields
from protocol.merge import Outcome, Record, Stamp, Written, read_outcome, unpack_record
from protocol.operations import AnyOperation, Change, Remove, Rename, Say
from protocol.values import StreamKind
from tests.fixtures_postgres import serving
from tests.persistence.folding import folds_to_its_records
from tests.persistence.records import NOW, another_device, ask_all, change, enrolled, fields_of, gone, of_space, outcome, own
from tests.persistence.test_journal_concurrent import Forgetful, check_streams, kill_connections, send_all, worlds
from tests.persistence.world import Person, World, world


@pytest.mark.parametrize("seed", range(2))
async def test_gateways_over_the_same_records_neither_deadlock_nor_lose(database: str, seed: int) -> None:
    rng = random.Random(seed)
    async with worlds(database, 3, JournalOptions(merge_items_max=20)) as gateways:
        w = gateways[0]
        people = [await w.person(f"p{n}") for n in range(6)]
        space, _, channel = await w.community(people[0], *people[1:])
        await w.rows("update members set role = 4 where space_id = $1 and role = 8", space)
        board, library = await of_space(w, space, StreamKind.BOARD), await of_space(w, space, StreamKind.LIBRARY)
        sent: dict[Person, list[Change]] = {person: [] for person in people}

        def one(person: Person, n: int) -> Change:
            mark = f"{person.name} {n}"
            if rng.random() < 0.5:
                return change(board, Entity.ACTION, rng.randint(1, 6), {1: mark}, base=rng.randint(0, n + 1))
            if rng.random() < 0.1:
                return gone(library, Entity.CONTENT, rng.randint(1, 6), base=n * 6)
            return change(library, Entity.CONTENT, rng.randint(1, 6), {2: mark}, base=rng.randint(0, n + 1))

        async def act(person: Person, gateway: World) -> None:
            for n in range(10):
                changes = [one(person, n * 8 + m) for m in range(8)]
                sent[person] += changes
                entries = [person.entry(asked) for asked in changes]
                entries.append(person.entry(Say(channel, f"{person.name} {n}")))
                decided = await ask_all(gateway.journal, entries)
                assert {answer.code for answer in decided} == {Code.OK}, decided

        async with trio.open_nursery() as nursery:
            for n, person in enumerate(people):
                nursery.start_soon(act, person, gateways[n % 3])
        assert [gateway.journal.stats.conflicts for gateway in gateways] == [0, 0, 0], "nobody waited in a circle"
        await check_streams(w)
        for stream in (board, library):
            await folds_to_its_records(w, stream)
        reachable: set[object] = set()
        for row in await w.rows("select entity, cells from records union all select entity, cells from tombstones"):
            reachable |= set(unpack_record(row["cells"], row["entity"]).fields.values())
        for row in await w.rows("select fields from entity_versions"):
            reachable |= set(read_fields(row["fields"]).values())
        for row in await w.rows("select mine from sync_conflicts"):
            reachable |= set(read_fields(row["mine"]).values())
        content = [asked for changes in sent.values() for asked in changes if asked.stream == library and not asked.gone]
        assert [asked for asked in content if read_fields(asked.fields)[2] not in reachable] == []


async def test_two_gateways_make_one_record_once(database: str) -> None:
    async with worlds(database, 2) as [here, there]:
        ann = await here.person("ann")
        phone, stream = await another_device(here, ann), await own(here, ann)
        decided: list[list[Decided]] = []

        async def send(w: World, device: Person, field: int) -> None:
            entries = [device.entry(change(stream, Entity.BOOKMARK, key, {field: key})) for key in range(1, 101)]
            decided.append(await ask_all(w.journal, entries))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, here, ann, 1)
            nursery.start_soon(send, there, phone, 2)
        assert {one.code for answers in decided for one in answers} == {Code.OK}
        assert await here.value("select count(*) from records where stream_id = $1 and version = 2", stream) == 100
        await folds_to_its_records(here, stream)
        await check_streams(here)


async def test_however_often_others_come_first_no_change_is_refused_for_it(database: str) -> None:
    async with worlds(database, 4, JournalOptions(conflicts_max=0, merge_items_max=1, resubmit_interval_s=0.005)) as gateways:
        w = gateways[0]
        ann = await w.person("ann")
        stream = await own(w, ann)
        devices = [await another_device(w, ann) for _ in gateways]
        codes: list[Code] = []

        async def send(gateway: World, device: Person, first: int) -> None:
            entries = [device.entry(change(stream, Entity.DRAFT, first + n, {3: f"{device.device}" * 400})) for n in range(32)]
            codes.extend(one.code for one in await ask_all(gateway.journal, entries))

        for turn in range(10):
            async with trio.open_nursery() as nursery:
                for gateway, device in zip(gateways, devices, strict=True):
                    nursery.start_soon(send, gateway, device, 1 + turn * 32)
        assert sum(gateway.journal.stats.collisions for gateway in gateways) > 0, "they met"
        assert codes == [Code.OK] * 1280
        assert sum(gateway.journal.stats.poisoned for gateway in gateways) == 0
        await folds_to_its_records(w, stream)


_COMES_FIRST = """
create sequence tries;
create function come_first() returns trigger language plpgsql as $$
begin
    if new.key = 666 and nextval('tries') <= {times} then raise exception 'somebody came first' using errcode = 'ED001'; end if;
    return new;
end $$;
create trigger comes_first before insert on records for each row execute function come_first();
"""


async def stand_in_the_way(w: World, times: int) -> None:
    async def work(tx: asyncpg.Connection) -> None:
        await tx.execute(_COMES_FIRST.format(times=times))

    await w.bridge.run(work, deadline_s=30)


async def test_a_change_that_others_came_before_many_times_is_applied(bridge: Bridge) -> None:
    async with world(bridge, JournalOptions(resubmit_interval_s=0.001)) as w:
        ann = await w.person("ann")
        stream = await own(w, ann)
        await stand_in_the_way(w, 40)
        entries = [ann.entry(change(stream, Entity.BOOKMARK, key, {3: "x"})) for key in (1, 666, 2)]
        assert [one.code for one in await ask_all(w.journal, entries)] == [Code.OK] * 3
        assert await w.column("select key from records order by key") == [1, 2, 666]


async def test_a_change_that_others_come_before_for_ever_is_unavailable_and_its_number_free(bridge: Bridge) -> None:
    async with world(bridge, JournalOptions(resubmit_interval_s=0.001, contended_s=0.05)) as w:
        ann = await w.person("ann")
        stream = await own(w, ann)
        await stand_in_the_way(w, 10**6)
        entry = ann.entry(change(stream, Entity.BOOKMARK, 666, {3: "x"}))
        [given_up] = await ask_all(w.journal, [entry])
        assert given_up.code is Code.UNAVAILABLE
        await w.rows("drop trigger comes_first on records")
        [again] = await ask_all(w.journal, [entry])
        assert (again.code, again.replayed) == (Code.OK, False)


@pytest.mark.parametrize("seed", range(2))
async def test_retries_and_killed_connections_leave_every_change_with_one_outcome(database: str, seed: int) -> None:
    rng = random.Random(seed)
    async with worlds(database, 2) as gateways:
        w = gateways[0]
        people = [await w.person(f"p{n}") for n in range(4)]
        space, _, channel = await w.community(people[0], *people[1:])
        streams = {person: await enrolled(w, space, person, StreamKind.ANSWERS) for person in people}
        outcomes: dict[Person, dict[int, Decided]] = {}

        async def send(person: Person) -> None:
            own_rng = random.Random(f"{seed}{person.name}")

            def one(n: int) -> AnyOperation:
                mark = f"{person.name} {n}"
                if own_rng.random() < 0.6:
                    return change(streams[person], Entity.ANSWER, own_rng.randint(1, 9), {3: mark})
                return Say(channel, mark) if own_rng.random() < 0.5 else Rename(mark)

            plan = [one(n) for n in range(120)]
            outcomes[person] = await send_all(person, plan, gateways, own_rng)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(kill_connections, database, rng)
            async with trio.open_nursery() as senders:
                for person in people:
                    senders.start_soon(send, person)
            nursery.cancel_scope.cancel()
        await check_streams(w)
        for person in people:
            assert {decided.code for decided in outcomes[person].values()} == {Code.OK}
            attempts = await w.rows("select number, fields from entity_versions where device_id = $1 order by number", person.device)
            assert len({row["number"] for row in attempts}) == len(attempts), "each once"
            await folds_to_its_records(w, streams[person])


async def test_a_removal_takes_effect_between_two_changes_and_loses_none(database: str) -> None:
    async with worlds(database, 2) as [here, there]:
        ann = await here.person("ann")
        others = [await here.person(f"p{n}") for n in range(4)]
        space, _, _ = await here.community(ann, *others)
        board = await of_space(here, space, StreamKind.BOARD)
        codes: dict[Person, list[Code]] = {person: [] for person in others}

        async def write(person: Person) -> None:
            for turn in range(12):
                entries = [person.entry(change(board, Entity.ACTION, person.user * 1000 + turn * 5 + n, {1: "x"})) for n in range(5)]
                codes[person] += [one.code for one in await ask_all(there.journal, entries)]

        async def remove() -> None:
            for person in others:
                await trio.sleep(0.01)
                await here.ok(ann, Remove(space, person.user))

        async with trio.open_nursery() as nursery:
            for person in others:
                nursery.start_soon(write, person)
            nursery.start_soon(remove)
        removed = {row["seq"] for row in await here.rows("select seq from log where kind = 12")}
        assert len(removed) == 4
        for person in others:
            applied = codes[person].count(Code.OK)
            assert codes[person] == [Code.OK] * applied + [Code.NOT_FOUND] * (60 - applied)
            queue = "select count(*) from sync_queue where user_id = $1 and quarantined and space_id = $2"
            assert await here.value(queue, person.user, space) == 60 - applied
        count = sum(found.count(Code.OK) for found in codes.values())
        assert await here.value("select count(*) from records where stream_id = $1", board) == count
        await folds_to_its_records(here, board)


class Waiting:
    """A connection that waits before a batch's last call until something is so."""

    def __init__(self, tx: asyncpg.Connection, begun: Callable[[], None], until: Callable[[asyncpg.Connection], Awaitable[bool]]) -> None:
        self._tx, self._begun, self._until = tx, begun, until

    async def fetch(self, sql: str, *arguments: object) -> object:
        if "merge_finish" in sql:
            self._begun()
            while not await self._until(self._tx):
                pass
        return await self._tx.fetch(sql, *arguments)


async def test_a_record_is_locked_from_the_decision_to_the_write(database: str) -> None:
    async with worlds(database, 2) as [here, there]:
        ann = await here.person("ann")
        phone, stream = await another_device(here, ann), await own(here, ann)
        await here.ok(ann, change(stream, Entity.PROFILE, 1, {1: "first"}))
        entry = ann.entry(change(stream, Entity.PROFILE, 1, {1: "second"}, base=1))
        begun = trio.Event()
        token = trio.lowlevel.current_trio_token()

        async def somebody_waits(tx: asyncpg.Connection) -> bool:
            assert await tx.fetchval("select version from records where stream_id = $1", stream) == 1, "nobody came in between"
            return bool(await tx.fetchval("select count(*) from pg_locks where not granted"))

        async def merge(tx: asyncpg.Connection) -> None:
            await Merges([entry]).append(Waiting(tx, lambda: token.run_sync_soon(begun.set), somebody_waits))

        async with trio.open_nursery() as nursery:

            async def write() -> None:
                await begun.wait()
                decided = await there.ask(phone, change(stream, Entity.PROFILE, 1, {4: "UTC"}))
                assert read_outcome(decided.value) == (Outcome.MERGED, 3), "it saw what came before it"

            nursery.start_soon(write)
            await here.bridge.run(merge, deadline_s=30)
        assert await fields_of(here, stream, Entity.PROFILE, 1) == {1: "second", 4: "UTC"}


@pytest.mark.parametrize("is_gone", [False, True], ids=["record", "tombstone"])
@pytest.mark.parametrize("deletes", [False, True], ids=["writes", "deletes"])
async def test_nothing_is_written_over_what_was_not_seen(bridge: Bridge, is_gone: bool, deletes: bool) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        stream = await own(w, ann)
        place = Place(stream, Entity.BOOKMARK, 1)
        await w.ok(ann, change(*place, {3: "here"}))
        if is_gone:
            await w.ok(ann, gone(*place))
        true = Stood(2, 2) if is_gone else Stood(1, 1)
        row = "select version, cells from records union all select version, cells from tombstones"
        before = await w.rows(row)
        for stood in (Stood(0, 0), Stood(1, 1), Stood(1, 2), Stood(2, 1), Stood(2, 2)):
            if stood != true:

                async def write(tx: asyncpg.Connection, stood: Stood = stood) -> None:
                    merging = Merging(NOW, {}, {place: Record(stood.version)} if stood.was else {}, {})
                    merging.apply(place, Written(stood.version, {3: "mine"}), ann.user, Stamp(NOW, 10**6, 1))
                    if deletes:
                        merging.apply(place, Written(stood.version + 1, {}, True), ann.user, Stamp(NOW, 10**6, 2))
                    await write_down(tx, merging, {place: stood})

                with pytest.raises(asyncpg.PostgresError) as refused:
                    await w.bridge.run(write, deadline_s=30)
                assert refused.value.sqlstate in (AUTHORITY_MOVED, asyncpg.UniqueViolationError.sqlstate), stood
        assert await w.rows(row) == before


async def test_a_change_that_was_decided_before_a_removal_does_not_take_effect_after_it(database: str) -> None:
    async with worlds(database, 2) as [here, there]:
        ann, bob = await here.person("ann"), await here.person("bob")
        space, _, _ = await here.community(ann, bob)
        board = await of_space(here, space, StreamKind.BOARD)
        entry = bob.entry(change(board, Entity.ACTION, 1, {1: "x"}))
        begun = trio.Event()
        token = trio.lowlevel.current_trio_token()
        version = "select audience_version from streams where id = $1"
        before = await here.value(version, board)

        async def moved(tx: asyncpg.Connection) -> bool:
            return bool(await tx.fetchval(version, board) != before)

        async def merge(tx: asyncpg.Connection) -> None:
            await Merges([entry]).append(Waiting(tx, lambda: token.run_sync_soon(begun.set), moved))

        async with trio.open_nursery() as nursery:

            async def remove() -> None:
                await begun.wait()
                await there.ok(ann, Remove(space, bob.user))

            nursery.start_soon(remove)
            with pytest.raises(asyncpg.PostgresError) as refused:
                await here.bridge.run(merge, deadline_s=30)
            assert refused.value.sqlstate == AUTHORITY_MOVED
        assert (await ask_all(here.journal, [entry]))[0].code is Code.NOT_FOUND


@pytest.mark.parametrize("at", [0, 1, 7])
async def test_a_poisoned_change_is_refused_alone_kept_and_blocks_nothing(bridge: Bridge, at: int) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        stream = await own(w, ann)
        # The test's own poison: the schema is made to refuse one key.
        await w.rows("alter table records add constraint antidote check (key <> 666)")
        entries = [ann.entry(change(stream, Entity.BOOKMARK, 666 if n == at else n + 1, {3: f"{n}"})) for n in range(8)]
        decided = await ask_all(w.journal, entries)
        assert [one.code for one in decided] == [Code.INVALID if n == at else Code.OK for n in range(8)]
        assert (w.journal.stats.poisoned, w.journal.stats.bisected) == (1, 3)
        [row] = await w.rows("select number, operation from sync_queue")
        assert (row["number"], codec.decode_operation(row["operation"])) == (entries[at].number, entries[at].operation)
        [again] = await ask_all(w.journal, [entries[at]])
        assert (again.code, again.replayed) == (Code.INVALID, True)


async def test_a_change_that_can_be_neither_stored_nor_kept_still_consumes_its_number(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        stream = await own(w, ann)
        await w.rows("alter table records add constraint antidote check (key <> 666)")
        await w.rows("alter table sync_queue add constraint no_room check (code <> 1)")
        poison, fine = await ask_all(w.journal, [ann.entry(change(stream, Entity.BOOKMARK, key, {3: "x"})) for key in (666, 1)])
        assert (poison.code, fine.code) == (Code.INVALID, Code.OK)


async def test_what_was_committed_when_the_connection_died_is_acknowledged_told_and_not_doubled(database: str) -> None:
    async with serving(forgetful := Forgetful(database)) as bridge, world(bridge, JournalOptions(resubmit_interval_s=0.001)) as w:
        ann = await w.person("ann")
        stream = await own(w, ann)
        forgetful.losses = 2
        decided = await w.ask(ann, change(stream, Entity.PROFILE, 1, {1: "once"}))
        assert (decided.code, decided.value, decided.replayed) == (Code.OK, 8, True)
        assert await w.column("select seq from log where stream_id = $1", stream) == [1]
        assert [fact.seq for fact in w.herald.facts if fact.stream == stream] == [1], "told all the same"


async def test_changes_are_merged_without_prepared_statements(database: str) -> None:
    async with serving(Bridge(BridgeOptions(database, pooler=True))) as bridge, world(bridge) as w:
        ann, bob = await w.person("ann"), await w.person("bob")
        space, _, _ = await w.community(ann, bob)
        board = await of_space(w, space, StreamKind.BOARD)
        for person, expected in ((ann, Outcome.APPLIED), (bob, Outcome.SUPERSEDED)):
            assert outcome(await w.ask(person, change(board, Entity.ACTION, 1, {1: person.name}))) is expected
        assert await fields_of(w, board, Entity.ACTION, 1) == {1: "ann"}
