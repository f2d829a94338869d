"""Each tick of a schedule is one job, however many nodes look; none piles up on one that is not done; what is old is forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import msgspec
import pytest
import trio

from actors.jobs import Cron
from persistence.bridge import Bridge, BridgeOptions
from persistence.jobs.queue import JobQueue, Room
from persistence.jobs.schedules import forget_jobs, key_of, name_of, note_ended, register, tick
from tests.fixtures_postgres import serving
from tests.persistence.world import fetch


class Nothing(msgspec.Struct):
    pass


SWEEP = Cron("sweep", "housekeeping", Nothing(), every_s=3600.0)
NIGHTLY = Cron("nightly", "report", Nothing(), at="17 3 * * *")


def named(*crons: Cron) -> Mapping[str, Cron]:
    return {cron.name: cron for cron in crons}


async def registered(bridge: Bridge, *crons: Cron) -> None:
    await bridge.run(partial(register, crons=crons), deadline_s=9)


async def ticked(bridge: Bridge, *crons: Cron) -> int:
    return await bridge.run(partial(tick, crons=named(*crons)), deadline_s=9)


async def test_of_many_nodes_that_look_at_one_moment_one_orders_the_job(bridge: Bridge, database: str) -> None:
    async with serving(Bridge(BridgeOptions(database))) as other:
        await registered(bridge, SWEEP)
        await registered(other, SWEEP)
        fired: list[int] = []

        async def look(by: Bridge) -> None:
            fired.append(await ticked(by, SWEEP))

        for round in (1, 2, 3):
            async with trio.open_nursery() as nursery:
                for by in (bridge, other) * 4:
                    nursery.start_soon(look, by)
            assert sum(fired) == round
            [row] = await fetch(bridge, "select fired, skipped, next_at > now() as ahead from job_schedules")
            assert tuple(row) == (round, 0, True)
            await fetch(bridge, "delete from jobs")
            await fetch(bridge, "update job_schedules set next_at = now() - interval '1 second'")


async def test_a_new_interval_is_due_at_once_and_a_new_expression_at_its_moment(bridge: Bridge) -> None:
    await registered(bridge, SWEEP, NIGHTLY)
    assert await ticked(bridge, SWEEP, NIGHTLY) == 1
    rows = await fetch(bridge, "select kind, key from jobs")
    assert [tuple(row) for row in rows] == [("housekeeping", key_of("sweep"))]
    [row] = await fetch(
        bridge, "select extract(hour from next_at at time zone 'UTC')::int as hour from job_schedules where name = 'nightly'"
    )
    assert row["hour"] == 3


async def test_what_is_registered_again_goes_on_where_it_was_unless_its_timing_changed(bridge: Bridge) -> None:
    await registered(bridge, SWEEP)
    await ticked(bridge, SWEEP)
    before = await fetch(bridge, "select * from job_schedules")
    await registered(bridge, SWEEP)
    assert await fetch(bridge, "select * from job_schedules") == before
    await registered(bridge, msgspec.structs.replace(SWEEP, every_s=60.0))
    [row] = await fetch(bridge, "select timing, next_at <= now() as due, fired from job_schedules")
    assert tuple(row) == ("every 60 s", True, 1)


async def test_a_tick_that_finds_an_earlier_ones_job_waiting_or_running_is_skipped(bridge: Bridge) -> None:
    overdue = "update job_schedules set next_at = now() - interval '5 hours'"
    await registered(bridge, SWEEP)
    assert await ticked(bridge, SWEEP) == 1
    await fetch(bridge, overdue)
    assert await ticked(bridge, SWEEP) == 0, "it waits"
    queue = JobQueue(bridge)
    worker = await queue.enlist("w", 60)
    [held] = await queue.claim(worker, {"housekeeping": Room(1, 3)}, 1)
    assert name_of(held.key) == "sweep"
    await fetch(bridge, overdue)
    assert await ticked(bridge, SWEEP) == 0, "it runs"
    await fetch(bridge, "delete from jobs")
    await fetch(bridge, overdue)
    assert await ticked(bridge, SWEEP) == 1, "five hours that nobody was up are made up for by one"
    assert await ticked(bridge, SWEEP) == 0
    assert [tuple(row) for row in await fetch(bridge, "select fired, skipped from job_schedules")] == [(2, 2)]


async def test_a_node_leaves_alone_what_only_another_version_knows(bridge: Bridge) -> None:
    await registered(bridge, SWEEP)
    assert await ticked(bridge, NIGHTLY) == 0
    assert await fetch(bridge, "select 1 from jobs") == []


async def test_how_a_schedules_last_job_ended_is_written_beside_it(bridge: Bridge) -> None:
    await registered(bridge, SWEEP)
    await bridge.run(lambda tx: note_ended(tx, ["sweep"], "OSError: no disk"), deadline_s=9)
    state = "select error, ended_at is null from job_schedules"
    assert tuple((await fetch(bridge, state))[0]) == ("OSError: no disk", True)
    await bridge.run(lambda tx: note_ended(tx, ["sweep"]), deadline_s=9)
    assert tuple((await fetch(bridge, state))[0]) == ("", False)


@pytest.mark.parametrize("table", ["dead_jobs", "job_tallies", "job_schedules"])
async def test_what_is_kept_of_jobs_is_kept_for_a_bounded_time(bridge: Bridge, table: str) -> None:
    await fetch(
        bridge,
        {
            "dead_jobs": "insert into dead_jobs (id, kind, priority, payload, effect, created_at, attempts, died_at, reason, error)"
            " select n, 'k', 0, '', gen_random_uuid(), now(), 1, now() - make_interval(days => n), 1, '' from generate_series(1, 200) n",
            "job_tallies": "insert into job_tallies (hour, kind)"
            " select now() - make_interval(days => n), 'k' from generate_series(1, 200) n",
            "job_schedules": "insert into job_schedules (name, kind, timing, next_at)"
            " select n::text, 'k', '', now() - make_interval(days => n) from generate_series(1, 200) n",
        }[table],
    )
    gone = await bridge.run(forget_jobs, deadline_s=9)
    [(left,)] = await fetch(bridge, f"select count(*) from {table}")
    assert 0 < left == 200 - gone < 200
    assert await bridge.run(forget_jobs, deadline_s=9) == 0
