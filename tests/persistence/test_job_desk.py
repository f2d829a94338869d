"""The desk: what an operator sees is how things stand, and what they do happens once, with its line in the audit."""

from __future__ import annotations

import msgspec

from actors.job_desk import JobsWanted
from actors.jobs import Order, pack
from persistence.bridge import Bridge
from persistence.jobs.desk import PostgresDesk
from persistence.jobs.enqueue import enqueue
from persistence.jobs.queue import Held, JobQueue, Reason, Report, Room
from tests.persistence.world import fetch


class Nothing(msgspec.Struct):
    pass


async def ordered(bridge: Bridge, *orders: Order) -> None:
    await bridge.run(lambda tx: enqueue(tx, *orders), deadline_s=9)


def order(kind: str = "mail", **how: object) -> Order:
    return Order(kind, pack(Nothing()), **how)  # type: ignore[arg-type]


async def claimed(queue: JobQueue, worker: int, kind: str = "mail") -> Held:
    [held] = await queue.claim(worker, {kind: Room(1, 3)}, 1)
    return held


async def buried(bridge: Bridge, key: str = "") -> int:
    """One dead letter; its number."""
    queue = JobQueue(bridge)
    await ordered(bridge, order(key=key, priority=-100))
    worker = await queue.enlist("undertaker", 60)
    held = await claimed(queue, worker)
    assert await queue.fail(worker, held.id, held.attempt, "OSError: away", reason=Reason.FAILED) == "dead"
    return held.id


async def test_an_overview_counts_each_kind_by_what_it_does(bridge: Bridge) -> None:
    queue, desk = JobQueue(bridge), PostgresDesk(bridge)
    assert await desk.overview() == []
    await buried(bridge)
    await ordered(bridge, order(), order(), order(), order(delay_s=60), order("push"))
    worker = await queue.enlist("w", 60)
    await claimed(queue, worker)
    failed = await claimed(queue, worker)
    await queue.fail(worker, failed.id, failed.attempt, "no", delay_s=60)
    await fetch(bridge, "update jobs set due_at = now() - interval '90 seconds' where state = 0")
    mail, push = await desk.overview()
    assert (mail.kind, mail.ready, mail.delayed, mail.running, mail.dead, mail.failing) == ("mail", 1, 2, 1, 1, 1)
    assert (push.kind, push.ready, push.dead) == ("push", 1, 0)
    assert 90 <= mail.oldest_s < 3600


async def test_jobs_are_found_newest_first_a_page_at_a_time_by_kind_and_state(bridge: Bridge) -> None:
    desk = PostgresDesk(bridge)
    dead = await buried(bridge)
    await ordered(bridge, order(), order("push"), order(delay_s=60))
    everything = await desk.find(JobsWanted())
    assert [view.state for view in everything] == ["delayed", "ready", "ready", "dead"]
    assert [view.id for view in await desk.find(JobsWanted(limit=2))] == [view.id for view in everything[:2]]
    assert [view.id for view in await desk.find(JobsWanted(before=everything[1].id))] == [view.id for view in everything[2:]]
    assert [view.kind for view in await desk.find(JobsWanted("push"))] == ["push"]
    assert [view.id for view in await desk.find(JobsWanted(state="dead"))] == [dead]
    assert [view.state for view in await desk.find(JobsWanted("mail", "delayed"))] == ["delayed"]


async def test_one_job_is_shown_with_who_runs_it_and_how_far_it_is(bridge: Bridge) -> None:
    queue, desk = JobQueue(bridge), PostgresDesk(bridge)
    await ordered(bridge, order(key="k", space=7))
    worker = await queue.enlist("node-1", 60)
    held = await claimed(queue, worker)
    await queue.renew(worker, 60, [Report(held.id, held.attempt, 3, 9, "pages")])
    view = await desk.show(held.id)
    assert view is not None
    assert (view.state, view.worker, view.done, view.total, view.words) == ("running", "node-1", 3, 9, "pages")
    assert (view.key, view.space, view.effect_key, view.payload_bytes) == ("k", 7, held.effect, 1)
    assert await desk.show(held.id + 1) is None


async def test_a_report_of_an_attempt_that_is_not_held_is_not_written_down(bridge: Bridge) -> None:
    queue, desk = JobQueue(bridge), PostgresDesk(bridge)
    await ordered(bridge, order())
    first, second = await queue.enlist("first", 60), await queue.enlist("second", 60)
    held = await claimed(queue, first)
    await queue.renew(second, 60, [Report(held.id, held.attempt, 5, 5, "not mine")])
    await queue.renew(first, 60, [Report(held.id, held.attempt + 1, 5, 5, "not now")])
    view = await desk.show(held.id)
    assert view is not None and (view.done, view.words) == (0, "")


async def test_a_dead_letter_that_is_retried_is_a_job_with_all_its_attempts_and_its_effect_key(bridge: Bridge) -> None:
    desk = PostgresDesk(bridge)
    id = await buried(bridge)
    before = await desk.show(id)
    assert await desk.retry([id, id + 10**6], actor=5, address="203.0.113.9") == 1
    assert await desk.retry([id]) == 0
    after = await desk.show(id)
    assert before is not None and after is not None
    assert (after.state, after.attempts, after.error) == ("ready", 0, "")
    assert after.effect_key == before.effect_key
    deeds = await fetch(bridge, "select actor, action, subject, address, detail from audit_log")
    assert [tuple(row)[:4] for row in deeds] == [(5, "job_retried", id, "203.0.113.9")]


async def test_all_of_a_kind_are_retried_and_one_whose_key_waits_again_is_stood_for(bridge: Bridge) -> None:
    desk = PostgresDesk(bridge)
    for key in ("", "k", "l"):
        await buried(bridge, key)
    await ordered(bridge, order(key="k"))
    assert await desk.retry_kind("push") == 0
    assert await desk.retry_kind("mail") == 3
    rows = await fetch(bridge, "select coalesce(key, '') as key from jobs order by 1")
    assert [row["key"] for row in rows] == ["", "k", "l"]
    assert await fetch(bridge, "select 1 from dead_jobs") == []


async def test_cancelling_removes_what_waits_marks_what_runs_and_forgets_what_is_dead(bridge: Bridge) -> None:
    queue, desk = JobQueue(bridge), PostgresDesk(bridge)
    dead = await buried(bridge)
    await ordered(bridge, order(), order(delay_s=60))
    running, delayed = [view.id for view in reversed(await desk.find(JobsWanted())) if view.state != "dead"]
    worker = await queue.enlist("w", 60)
    assert (await claimed(queue, worker)).id == running
    assert await desk.cancel(delayed, actor=5) == "gone"
    assert await desk.cancel(running, actor=5) == "told"
    assert await desk.cancel(dead, actor=5) == "forgotten"
    assert await desk.cancel(delayed, actor=5) == await desk.cancel(dead) == "unknown"
    assert [view.id for view in await desk.find(JobsWanted())] == [running]
    standing = await queue.renew(worker, 60)
    assert standing is not None and standing.cancelled == {running}
    assert (await queue.tend(worker)).cancelled == {running}
    deeds = await fetch(bridge, "select subject from audit_log where action = 'job_cancelled' order by id")
    assert [row["subject"] for row in deeds] == [delayed, running, dead]


async def test_what_was_cancelled_while_its_worker_died_does_not_come_back(bridge: Bridge) -> None:
    queue, desk = JobQueue(bridge), PostgresDesk(bridge)
    await ordered(bridge, order())
    worker = await queue.enlist("w", 60)
    held = await claimed(queue, worker)
    assert await desk.cancel(held.id) == "told"
    await fetch(bridge, "update job_workers set leased_until = now()")
    assert (await queue.tend()).taken == 1
    assert await desk.show(held.id) is None


async def test_no_view_holds_a_payload(bridge: Bridge) -> None:
    secret = "https://example.org/reset/very-secret"

    class Link(msgspec.Struct):
        link: str

    await ordered(bridge, Order("mail", pack(Link(secret))))
    await buried(bridge)
    await fetch(bridge, "update dead_jobs set payload = $1", msgspec.msgpack.encode(Link(secret)))
    shown = msgspec.json.encode(await PostgresDesk(bridge).find(JobsWanted()))
    assert b"very-secret" not in shown and b"payload_bytes" in shown
