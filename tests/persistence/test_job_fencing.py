"""Who does not hold a job any more can neither end nor fail it: by its number, its worker and its attempt, each of which is needed."""

from __future__ import annotations

import asyncpg
import msgspec
import pytest
import trio
import trio.testing

from actors.jobs import LeaseLost, Order, pack
from actors.storage_port import OutcomeUnknown
from persistence.bridge import Bridge
from persistence.jobs.desk import PostgresDesk
from persistence.jobs.endings import RESUBMITS_MAX, Endings
from persistence.jobs.enqueue import enqueue
from persistence.jobs.queue import Held, JobQueue, Reason, Room
from tests.persistence.world import fetch

ROOM = {"do": Room(9, 9)}


class Nothing(msgspec.Struct):
    pass


async def write(tx: asyncpg.Connection) -> str:
    await tx.execute("insert into effects default values")
    return "written"


async def prepare(bridge: Bridge) -> tuple[JobQueue, Endings]:
    await fetch(bridge, "create table effects (at timestamptz not null default now())")
    await bridge.run(lambda tx: enqueue(tx, Order("do", pack(Nothing()))), deadline_s=9)
    return JobQueue(bridge), Endings(bridge)


async def ends(bridge: Bridge, endings: Endings, worker: int, held: Held) -> bool:
    """Whether this holder can end it."""
    async with trio.open_nursery() as nursery:
        await nursery.start(endings.serve)
        try:
            assert await endings.end(worker, held, write) == "written"
        except LeaseLost:
            ended = False
        else:
            ended = True
        nursery.cancel_scope.cancel()
    assert len(await fetch(bridge, "select 1 from effects")) == ended
    return ended


async def test_an_earlier_attempt_of_the_same_worker_cannot_end_a_later_one(bridge: Bridge) -> None:
    queue, endings = await prepare(bridge)
    worker = await queue.enlist("w", 60)
    [first] = await queue.claim(worker, ROOM, 9)
    assert await queue.fail(worker, first.id, first.attempt, "no") == "retried"
    [second] = await queue.claim(worker, ROOM, 9)
    assert (first.id, first.attempt, second.id, second.attempt) == (first.id, 1, first.id, 2)
    assert not await ends(bridge, endings, worker, first)
    assert await queue.fail(worker, first.id, first.attempt, "no") == "lost"
    assert await ends(bridge, endings, worker, second)


async def test_an_equal_attempt_of_another_worker_cannot_end_a_letter_that_was_dead(bridge: Bridge) -> None:
    queue, endings = await prepare(bridge)
    stood_still, living = await queue.enlist("first", 60), await queue.enlist("second", 60)
    [first] = await queue.claim(stood_still, ROOM, 9)
    await fetch(bridge, "update job_workers set leased_until = now() where id = $1", stood_still)
    await queue.tend()
    [second] = await queue.claim(living, ROOM, 9)
    await queue.fail(living, second.id, second.attempt, "no", reason=Reason.FAILED)
    assert await PostgresDesk(bridge).retry([first.id]) == 1
    [third] = await queue.claim(living, ROOM, 9)
    assert (third.id, third.attempt) == (first.id, first.attempt)
    assert not await ends(bridge, endings, stood_still, first)
    assert await queue.fail(stood_still, first.id, first.attempt, "no") == "lost"
    assert await ends(bridge, endings, living, third)


async def test_a_job_that_waits_again_cannot_be_ended_by_who_held_it(bridge: Bridge) -> None:
    queue, endings = await prepare(bridge)
    worker = await queue.enlist("w", 60)
    [held] = await queue.claim(worker, ROOM, 9)
    await queue.resign(worker)
    assert not await ends(bridge, endings, worker, held)


@pytest.mark.parametrize("took_effect", [True, False])
async def test_an_end_whose_answer_was_lost_is_asked_again_and_takes_effect_once(
    bridge: Bridge, took_effect: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, endings = await prepare(bridge)
    worker = await queue.enlist("w", 60)
    [held] = await queue.claim(worker, ROOM, 9)
    run, lost = bridge.run, 0

    async def lose(work: object, **how: object) -> object:
        nonlocal lost
        if lost == 0:
            lost += 1
            if took_effect:
                await run(work, **how)  # type: ignore[arg-type]
            raise OutcomeUnknown("lost: the answer")
        return await run(work, **how)  # type: ignore[arg-type]

    monkeypatch.setattr("persistence.jobs.endings.RESUBMIT_S", 0.0)
    async with trio.open_nursery() as nursery:
        await nursery.start(endings.serve)
        monkeypatch.setattr(bridge, "run", lose)
        if took_effect:
            with pytest.raises(LeaseLost):
                await endings.end(worker, held, write)
        else:
            assert await endings.end(worker, held, write) == "written"
        monkeypatch.setattr(bridge, "run", run)
        nursery.cancel_scope.cancel()
    assert lost == 1 < RESUBMITS_MAX
    assert len(await fetch(bridge, "select 1 from effects")) == 1
    assert await fetch(bridge, "select 1 from jobs") == []


async def test_an_end_that_nobody_waits_for_any_more_does_not_begin(bridge: Bridge) -> None:
    queue, endings = await prepare(bridge)
    worker = await queue.enlist("w", 60)
    [held] = await queue.claim(worker, ROOM, 9)
    with trio.move_on_after(0) as scope:
        await endings.end(worker, held, write)  # nobody serves yet: it waits
    assert scope.cancelled_caught
    async with trio.open_nursery() as nursery:
        await nursery.start(endings.serve)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert await fetch(bridge, "select 1 from effects") == []
    assert len(await fetch(bridge, "select 1 from jobs where state = 2")) == 1
