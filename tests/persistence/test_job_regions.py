"""Where jobs are done: of a community with a region by workers of that region, and an operator sees those that nobody takes."""

from __future__ import annotations

import msgspec

from actors.jobs import Order, pack
from persistence.bridge import Bridge
from persistence.jobs.desk import PostgresDesk
from persistence.jobs.enqueue import enqueue
from persistence.jobs.queue import JobQueue, Reason, Room
from tests.persistence.world import fetch


class Nothing(msgspec.Struct):
    pass


class Places:
    """Communities in regions, and workers of them."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self.queue = JobQueue(bridge)
        self.desk = PostgresDesk(bridge)

    async def community(self, region: str) -> int:
        rows = await fetch(self.bridge, "insert into spaces (kind, name, created_by, region) values (1, 'c', 0, $1) returning id", region)
        space: int = rows[0][0]
        return space

    async def order(self, *spaces: int, **how: object) -> None:
        orders = [Order("mail", pack(Nothing()), space=space, **how) for space in spaces]  # type: ignore[arg-type]
        await self.bridge.run(lambda tx: enqueue(tx, *orders), deadline_s=9)

    async def taken(self, regions: tuple[str, ...] | None, free: int = 9, limit: int = 99) -> list[int]:
        """The spaces whose jobs a new worker is given, in that order."""
        worker = await self.queue.enlist("w", 60, regions)
        return [held.space for held in await self.queue.claim(worker, {"mail": Room(free, 3)}, limit)]


async def test_a_communitys_jobs_are_taken_by_workers_of_its_region_alone(bridge: Bridge) -> None:
    places = Places(bridge)
    here, there = await places.community("ke"), await places.community("eu")
    await places.order(here, there, 0)
    assert await places.taken(("ke",)) == [here, 0]
    assert await places.taken(("ke",)) == []
    assert await places.taken(("eu",)) == [there]


async def test_a_worker_of_no_region_takes_everything_and_a_strict_one_what_may_be_anywhere(bridge: Bridge) -> None:
    places = Places(bridge)
    here = await places.community("ke")
    await places.order(here, 0)
    assert await places.taken(()) == [0]
    await places.order(0)
    assert await places.taken(None) == [here, 0]


async def test_jobs_of_a_region_and_of_none_share_a_kinds_room_by_priority_and_age(bridge: Bridge) -> None:
    places = Places(bridge)
    here = await places.community("ke")
    for space in (here, 0, here, 0):
        await places.order(space)
    await places.order(here, priority=-1)
    for regions in (("ke",), None):
        # Three have room; of these two are wanted: the urgent one, and the oldest. The next claim goes on from there.
        assert await places.taken(regions, free=3, limit=2) == [here, here]
        assert await places.taken(regions) == [0, here, 0]
        for space in (here, 0, here, 0):
            await places.order(space)
        await places.order(here, priority=-1)


async def test_a_job_keeps_its_region_when_it_waits_again_and_when_it_comes_back_from_the_dead_letters(bridge: Bridge) -> None:
    places = Places(bridge)
    here = await places.community("ke")
    await places.order(here)
    worker = await places.queue.enlist("w", 60, ("ke",))
    [held] = await places.queue.claim(worker, {"mail": Room(1, 3)}, 1)
    assert await places.queue.fail(worker, held.id, held.attempt, "no") == "retried"
    assert await places.taken(("eu",)) == []
    [held] = await places.queue.claim(worker, {"mail": Room(1, 3)}, 1)
    assert await places.queue.fail(worker, held.id, held.attempt, "no", reason=Reason.FAILED) == "dead"
    assert await places.desk.retry([held.id]) == 1
    assert await places.taken(("eu",)) == []
    assert await places.taken(("ke",)) == [here]


async def test_another_label_takes_along_what_waits(bridge: Bridge) -> None:
    places = Places(bridge)
    here = await places.community("ke")
    await places.order(here)
    await places.order(here, key="k")
    assert [tuple(row) for row in await fetch(bridge, "select place_space($1, 'eu')", here)] == [("eu",)]
    assert await places.taken(("ke",)) == []
    assert await places.taken(("eu",)) == [here, here]
    assert [tuple(row) for row in await fetch(bridge, "select place_space($1, 'eu')", here + 99)] == [(None,)]


async def test_regions_that_no_living_worker_serves_are_seen(bridge: Bridge) -> None:
    places = Places(bridge)
    here, there = await places.community("ke"), await places.community("eu")
    await places.order(here, here, there, 0)
    kenya, anywhere = await places.queue.enlist("w", 60, ("ke",)), await places.queue.enlist("strict", 60, ())
    assert [(one.region, one.waiting) for one in await places.desk.unserved()] == [("eu", 1)]
    await places.queue.resign(kenya)
    assert [(one.region, one.waiting) for one in await places.desk.unserved()] == [("eu", 1), ("ke", 2)]
    await places.queue.resign(anywhere)
    await places.queue.enlist("all", 60)
    assert await places.desk.unserved() == []


async def test_a_worker_of_the_version_before_takes_everything_as_it_always_did(bridge: Bridge) -> None:
    places = Places(bridge)
    here = await places.community("ke")
    await places.order(here, 0)
    rows = await fetch(bridge, "insert into job_workers (name, leased_until) values ('old', now() + interval '1 minute') returning id")
    assert [held.space for held in await places.queue.claim(rows[0][0], {"mail": Room(9, 3)}, 9)] == [here, 0]
