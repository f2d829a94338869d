"""The horizon against a real Postgres (time is moved by ageing rows), and what the jobs node gives spaces that an older version made."""

from __future__ import annotations

from functools import partial

import pytest
import trio

from actors.storage import Denied, Events, ReadAfter, ReadRecords, RecordsRead
from persistence.accounts import PostgresAccounts
from persistence.bridge import Bridge
from persistence.horizon import complete, forget
from protocol.codes import Code
from protocol.entities import Entity, Fields
from protocol.merge import Outcome
from protocol.operations import Reopen, Resolve, Say
from protocol.values import Choice, StreamKind
from supervisors.housekeeping import Housekeeping
from tests.persistence.identity import overlap
from tests.persistence.sync import T0, Asking, change, fields, fold, outcome, own_stream, stream_of
from tests.persistence.world import Herald, World, world

DAY_S = 24 * 3600.0


async def age(w: World, days: int) -> None:
    """Makes what has a time so much older: what waiting would do."""
    await w.rows("update log set at = at - $1::bigint * 86400", days)
    await w.rows("update tombstones set deleted_at = deleted_at - make_interval(days => $1)", days)


async def sweep(bridge: Bridge, horizon_s: float = 90 * DAY_S) -> int:
    total = 0
    while forgotten := await bridge.run(partial(forget, horizon_s=horizon_s), deadline_s=30):
        total += forgotten
    return total


async def test_a_record_that_was_forgotten_is_made_again_above_every_version_that_anybody_may_know(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben, cid = [await w.person(name) for name in ("ann", "ben", "cid")]
        space, _, _ = await w.community(ann, ben, cid)
        board = await stream_of(w, space, StreamKind.BOARD)
        for version in range(5):
            await w.ok(ann, change(board, Entity.ACTION, 1, {1: f"title {version}"}, base=version))
        await w.ok(ann, change(board, Entity.ACTION, 1, base=5))
        await age(w, 91)
        assert await sweep(bridge) == 7
        # Two had been away since before it was deleted, and neither knew of the other.
        assert await outcome(w, ann, change(board, Entity.ACTION, 1, base=6)) == (Outcome.DUPLICATE, 6)
        assert await outcome(w, ben, change(board, Entity.ACTION, 1, {1: "ben's"}, base=4)) == (Outcome.APPLIED, 7)
        assert await outcome(w, cid, change(board, Entity.ACTION, 1, {1: "cid's"}, base=4)) == (Outcome.SUPERSEDED, 7)
        assert await fields(w, board, Entity.ACTION, 1) == {1: "ben's"}
        assert await w.column("select user_id from sync_conflicts where stream_id = $1", board) == [cid.user]
        # A reader who holds the deletion takes what came after it for newer.
        assert await w.column("select version from records where stream_id = $1", board) == [7]


async def test_what_is_decided_about_a_record_that_was_forgotten_goes_on_above_its_versions(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann, ben = await w.person("ann"), await w.person("ben")
        space, _, _ = await w.community(ann, ben)
        board = await stream_of(w, space, StreamKind.BOARD)
        await w.ok(ann, change(board, Entity.ACTION, 1, {1: "hers"}))
        assert await outcome(w, ben, change(board, Entity.ACTION, 1, {1: "his"})) == (Outcome.SUPERSEDED, 1)
        await w.ok(ann, change(board, Entity.ACTION, 1, base=1))
        await age(w, 91)
        await sweep(bridge)
        [conflict] = await w.column("select id from sync_conflicts")
        await w.ok(ben, Reopen(conflict))
        assert await outcome(w, ben, Resolve(conflict, Choice.MINE, 0, T0)) == (Outcome.APPLIED, 3)
        assert await fields(w, board, Entity.ACTION, 1) == {1: "his"}


async def test_unapplied_changes_go_when_they_were_closed_long_ago_and_not_while_they_are_open(bridge: Bridge) -> None:
    async with world(bridge) as w:
        await w.rows(
            "insert into sync_queue (space_id, user_id, device_id, number, at, code, operation, closed_at)"
            " select n, 1, 1, n, now() - interval '1 year', 1, '', now() - make_interval(days => d)"
            " from (values (1, null), (2, 89), (3, 91)) as v (n, d)"
        )
        assert await sweep(bridge) == 1
        assert await w.column("select number from sync_queue order by number") == [1, 2]


async def test_what_lies_beyond_the_horizon_is_forgotten_and_nothing_that_stands(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        _, _, channel = await w.community(ann)
        own = await own_stream(w, ann, StreamKind.OWN)
        await w.ok(ann, Say(channel, "kept for ever"))
        for key in (1, 2, 3):
            await w.ok(ann, change(own, Entity.BOOKMARK, key, {3: f"{key}"}))
        await w.ok(ann, change(own, Entity.BOOKMARK, 1, base=1))
        await age(w, 91)
        await w.ok(ann, change(own, Entity.BOOKMARK, 2, base=1))
        messages = await w.value("select count(*) from log where stream_id <> $1", own)
        assert await sweep(bridge, 92 * DAY_S) == 0
        assert await sweep(bridge) == 4 + 1
        assert await w.column("select seq from log where stream_id = $1", own) == [5]
        assert await w.column("select floor from streams where id = $1", own) == [4]
        assert await w.column("select key from tombstones") == [2]
        assert await fields(w, own, Entity.BOOKMARK, 3) == {3: "3"}
        assert await w.value("select count(*) from log where stream_id <> $1", own) == messages, "messages have no horizon"
        # Numbers go on from the head.
        await w.ok(ann, change(own, Entity.BOOKMARK, 9, {3: "9"}))
        assert await w.column("select seq from log where stream_id = $1 order by seq", own) == [5, 6]


async def test_a_device_that_was_away_for_longer_takes_a_snapshot_and_has_the_state(bridge: Bridge, nursery: trio.Nursery) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        own = await own_stream(w, ann, StreamKind.OWN)
        ask = Asking(bridge)
        await nursery.start(ask.store.serve)
        for key in (1, 2):
            await w.ok(ann, change(own, Entity.BOOKMARK, key, {3: f"{key}"}))
        await w.ok(ann, change(own, Entity.BOOKMARK, 1, base=1))
        await age(w, 91)
        assert isinstance(await ask(ReadAfter(own, ann.user, 2, 9, 999)), Events)
        await sweep(bridge)
        assert await ask(ReadAfter(own, ann.user, 2, 9, 999)) == Denied(Code.RESET)
        page = await ask(ReadRecords(own, ann.user, 0, 0, 999))
        assert isinstance(page, RecordsRead) and page.head == 3
        held: dict[tuple[int, int], tuple[int, Fields]] = {}
        fold(page.records, held)
        assert held == {(Entity.BOOKMARK, 2): (1, {3: "2"})}
        after = await ask(ReadAfter(own, ann.user, page.head, 9, 999))
        assert isinstance(after, Events) and after.rows == ()


async def test_a_change_of_what_was_deleted_and_forgotten_is_merged_as_if_it_had_never_been(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        own = await own_stream(w, ann, StreamKind.OWN)
        await w.ok(ann, change(own, Entity.BOOKMARK, 1, {3: "a"}))
        await w.ok(ann, change(own, Entity.BOOKMARK, 1, base=1))
        await age(w, 91)
        await sweep(bridge)
        assert (await outcome(w, ann, change(own, Entity.BOOKMARK, 1, {3: "b"}, base=1)))[0] is Outcome.APPLIED
        assert await fields(w, own, Entity.BOOKMARK, 1) == {3: "b"}


async def test_a_sweep_is_bounded_and_two_at_once_forget_each_thing_once(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("persistence.horizon.ROWS_MAX", 3)
    monkeypatch.setattr("persistence.horizon.TOMBSTONES_MAX", 2)
    async with world(bridge) as w:
        ann = await w.person("ann")
        own = await own_stream(w, ann, StreamKind.OWN)
        for key in range(1, 6):
            await w.ok(ann, change(own, Entity.BOOKMARK, key, {3: "x"}))
            await w.ok(ann, change(own, Entity.BOOKMARK, key, base=1))
        await age(w, 91)
        assert await bridge.run(forget, deadline_s=30) == 5, "three rows and two tombstones"
        totals: list[int] = []

        async def one() -> None:
            totals.append(await sweep(bridge))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(one)
        assert sum(totals) == 10 + 5 - 5
        assert await w.column("select floor from streams where id = $1", own) == [10]


async def test_what_an_older_version_made_is_completed_once(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        space, _, _ = await w.community(ann)
        whole = "select kind, count(*) from streams group by kind order by kind"
        before = [tuple(row) for row in await w.rows(whole)]
        # As the previous version made them: without streams of records, and without enrolments.
        await w.rows("delete from streams where kind between 8 and 12")
        await w.rows("delete from members where space_id in (select id from spaces where kind = 4)")
        await w.rows("delete from spaces where kind = 4")
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(partial(bridge.run, complete, deadline_s=30))
        assert [tuple(row) for row in await w.rows(whole)] == before
        assert await w.column("select user_id from members m join spaces s on s.id = m.space_id where s.parent = $1", space) == [ann.user]


async def test_two_nodes_that_complete_at_the_same_moment_make_nothing_twice(bridge: Bridge, database: str) -> None:
    async with world(bridge) as w:
        await w.community(await w.person("ann"))
        whole = "select kind, count(*) from streams group by kind order by kind"
        before = [tuple(row) for row in await w.rows(whole)]
        await w.rows("delete from streams where kind in (8, 11, 12)")
        await trio.to_thread.run_sync(overlap, database, complete, complete)
        assert [tuple(row) for row in await w.rows(whole)] == before


async def test_the_jobs_node_sweeps_by_its_own_horizon(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        own = await own_stream(w, ann, StreamKind.OWN)
        await w.ok(ann, change(own, Entity.BOOKMARK, 1, {3: "a"}))
        await age(w, 2)
        accounts = PostgresAccounts(bridge, Herald())
        assert await Housekeeping(bridge, accounts, horizon_s=3 * DAY_S).sweep() == 0
        housekeeping = Housekeeping(bridge, accounts, horizon_s=DAY_S)
        await housekeeping.complete()
        assert await housekeeping.sweep() == 1
