"""The indexer of a gateway: what it is told is found, what nobody told it is found by the sweep, and nobody stands in another's way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import trio

from actors.sovereignty import Kind
from actors.storage import Fact
from persistence.bridge import Bridge
from persistence.indexer import Indexer, IndexerOptions
from persistence.sovereignty.erasures import Erasures
from protocol.operations import CreateChannel, Delete, Say
from tests.persistence.searching import Library, library
from tests.persistence.sovereignty.places import found_school, tables_with
from tests.persistence.sovereignty.test_erasure import erase

TOLD = IndexerOptions(gather_s=0.01, rest=0.0, busy_s=0.01, away_s=0.05, sweep_s=3600.0)
SWEEPS = IndexerOptions(gather_s=0.01, rest=0.0, busy_s=0.01, away_s=0.05, sweep_s=0.05, sweep_streams=3)


@asynccontextmanager
async def indexed(lib: Library, *options: IndexerOptions, told: bool = True) -> AsyncIterator[list[Indexer]]:
    """Gateways' indexers beside a journal; `told`: they hear of what it commits."""
    indexers = [Indexer(lib.w.bridge, one) for one in options]
    committed = lib.w.herald.committed

    def tell(facts: Sequence[Fact]) -> None:
        committed(facts)
        for indexer in indexers:
            if told:
                indexer.told(facts)

    lib.w.herald.committed = tell  # type: ignore[method-assign]
    async with trio.open_nursery() as nursery:
        for indexer in indexers:
            await nursery.start(indexer.serve)
        yield indexers
        nursery.cancel_scope.cancel()


async def come(lib: Library, sql: str, wanted: object, *arguments: object) -> None:
    """Waits until it is so."""
    with trio.fail_after(60):
        while await lib.w.value(sql, *arguments) != wanted:  # noqa: ASYNC110 (it has no event)
            await trio.sleep(0.02)


async def test_what_this_gateway_committed_is_indexed_without_a_sweep(bridge: Bridge) -> None:
    async with library(bridge) as lib, indexed(lib, TOLD) as [indexer]:
        # The sweep that every indexer begins with is over.
        ann = await lib.w.person("ann")
        _, _, channel = await lib.w.community(ann)
        seq = await lib.w.ok(ann, Say(channel, "tide"))
        await come(lib, "select count(*) from search_messages", 1)
        assert await lib.texts(ann, "tide") == ["tide"]
        await lib.w.ok(ann, Delete(channel, seq))
        await come(lib, "select count(*) from search_messages", 0)
        assert indexer.streams_waiting == 0


async def test_what_nobody_here_was_told_of_is_found_by_the_sweep(bridge: Bridge) -> None:
    async with library(bridge) as lib:
        ann = await lib.w.person("ann")
        space, _, first = await lib.w.community(ann)
        channels = [first] + [await lib.w.ok(ann, CreateChannel(space, f"channel {n}", 15, 15)) for n in range(5)]
        for channel in channels:
            await lib.w.ok(ann, Say(channel, "tide"))
        async with indexed(lib, SWEEPS, told=False):
            await come(lib, "select count(*) from search_messages", len(channels))
            await lib.w.ok(ann, Say(first, "tide again"))
            await come(lib, "select count(*) from search_messages", len(channels) + 1)


async def test_several_gateways_index_everything_once(bridge: Bridge) -> None:
    async with library(bridge) as lib, indexed(lib, SWEEPS, SWEEPS, TOLD):
        ann = await lib.w.person("ann")
        space, _, first = await lib.w.community(ann)
        second = await lib.w.ok(ann, CreateChannel(space, "more", 15, 15))
        for n in range(60):
            await lib.w.ok(ann, Say((first, second)[n % 2], f"tide {n}"))
        await come(lib, "select count(*) from search_messages", 60)
        await come(lib, "select coalesce(sum(upto), 0)::int from search_cursors where stream_id = any($1)", 60, [first, second])
        assert await lib.index_is_true()


async def test_a_stream_that_cannot_be_indexed_is_in_nobodys_way(bridge: Bridge) -> None:
    async with library(bridge) as lib:
        ann = await lib.w.person("ann")
        space, _, broken = await lib.w.community(ann)
        whole = await lib.w.ok(ann, CreateChannel(space, "whole", 15, 15))
        await lib.w.ok(ann, Say(broken, "tide"))
        # Bytes that are no text: nothing writes such.
        await lib.w.rows("update log set body = '\\x9201a2c328' where stream_id = $1", broken)
        await lib.w.ok(ann, Say(whole, "tide"))
        async with indexed(lib, SWEEPS, told=False):
            await come(lib, "select count(*) from search_messages where stream_id = $1", 1, whole)
        assert await lib.texts(ann, "tide") == ["tide"]


async def test_while_somebody_else_writes_the_index_nothing_is_done(bridge: Bridge, database: str) -> None:
    async with library(bridge) as lib:
        ann = await lib.w.person("ann")
        _, _, channel = await lib.w.community(ann)
        await lib.w.ok(ann, Say(channel, "tide"))

        async def beside(tx: asyncpg.Connection) -> list[tuple[int, int, bool]]:
            await tx.execute("select pg_advisory_xact_lock(search_lock())")
            other = await asyncpg.connect(database)
            try:
                return [tuple(row) for row in await other.fetch("select * from index_messages($1, 10)", [channel])]
            finally:
                await other.close()

        assert await bridge.run(beside, deadline_s=60) == [(channel, -1, True)]
        assert not await lib.w.rows("select 1 from search_messages")
        await lib.index()
        assert await lib.texts(ann, "tide") == ["tide"]


async def test_an_erased_person_leaves_no_word_in_the_index(bridge: Bridge) -> None:
    async with library(bridge) as lib:
        school = await found_school(lib.w)
        await lib.index()
        assert await lib.texts(school.ben, "sunflower")
        await erase(lib.w, Kind.PERSON, school.ada.user)
        assert await lib.texts(school.ben, "sunflower") == [] and await lib.texts(school.ben, "buttercup")
        await lib.index()
        assert await lib.index_is_true()
        found = await tables_with(lib.w, "sunflower")
        assert not [table for table in found if table.startswith("search_")], found


async def test_an_erased_community_leaves_no_word_in_the_index(bridge: Bridge) -> None:
    async with library(bridge) as lib:
        school = await found_school(lib.w)
        other = await found_school(lib.w, "2")
        await lib.index()
        await erase(lib.w, Kind.COMMUNITY, school.space)
        await lib.index()
        assert await lib.index_is_true()
        assert not await lib.w.rows("select 1 from search_words where space_id = $1", school.space)
        assert await lib.texts(school.ben, "buttercup") == []
        assert await lib.texts(other.ben, "buttercup")


async def test_an_index_under_way_writes_nothing_of_what_is_erased_meanwhile(bridge: Bridge) -> None:
    """Whoever erases takes the cursors first: they wait for an index that is under way, and find what it wrote."""
    async with library(bridge) as lib:
        school = await found_school(lib.w)
        await lib.index()
        erasures = Erasures(lib.w.bridge, lib.w.herald, None)
        condemned = await erasures.ask(Kind.COMMUNITY, school.space, 0)
        assert condemned is not None
        [erasure] = await lib.w.column("select id from erasures where done_at is null and kind = $1", Kind.COMMUNITY)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(erasures.carry_out, erasure)
            nursery.start_soon(lib.index)
        await lib.index()
        for table in ("search_cursors", "search_messages"):
            assert not await lib.w.rows(f"select 1 from {table} where stream_id = $1", school.channel)
        assert await lib.index_is_true()
