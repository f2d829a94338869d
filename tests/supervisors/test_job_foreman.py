"""The foreman against real Postgres: jobs are done once, tried again, given up, cancelled, and taken over from who lost their lease."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import asyncpg
import msgspec
import pytest
import trio

from actors.jobs import Cron, Hopeless, JobKind, LeaseLost, Order, Way, Work, pack
from persistence.bridge import Bridge, BridgeOptions
from persistence.jobs.desk import PostgresDesk
from persistence.jobs.enqueue import enqueue
from supervisors.job_foreman import Foreman, ForemanOptions
from supervisors.job_timetable import Timetable
from tests.fixtures_postgres import serving
from tests.persistence.world import fetch

OPTIONS = ForemanOptions(poll_s=0.02, pace_s=0.0, tally_s=0.05, lease_s=30.0)
AT_ONCE = Way(first_s=0.0, at_once_max=8)


class Number(msgspec.Struct):
    n: int


class Bench:
    """A table of effects, kinds that a test makes up, and foremen over them."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self.kinds: list[JobKind] = []
        self.names: Iterator[int] = count(1)
        self.foremen: list[Foreman] = []

    def kind(self, run: Callable[[Work[Number]], Awaitable[None]], name: str = "do", **how: Any) -> None:
        self.kinds.append(JobKind(name, Number, run, **({"way": AT_ONCE} | how)))

    async def order(self, *numbers: int, kind: str = "do", **how: Any) -> None:
        orders = [Order(kind, pack(Number(n)), **how) for n in numbers]
        await self.bridge.run(lambda tx: enqueue(tx, *orders), deadline_s=30)

    @asynccontextmanager
    async def working(self, options: ForemanOptions = OPTIONS, bridge: Bridge | None = None) -> AsyncIterator[Foreman]:
        foreman = Foreman(bridge or self.bridge, self.kinds, name=f"w{next(self.names)}", random=lambda: 0.5, options=options)
        self.foremen.append(foreman)
        async with trio.open_nursery() as nursery:
            await nursery.start(foreman.serve)
            yield foreman
            nursery.cancel_scope.cancel()

    async def value(self, sql: str, *arguments: object) -> Any:
        return (await fetch(self.bridge, sql, *arguments))[0][0]

    async def until(self, sql: str, wanted: object) -> None:
        """Waits until a query answers this: what a worker does has no event here."""
        with trio.fail_after(60):
            while (found := await self.value(sql)) != wanted:
                assert found is not None
                await trio.sleep(0.01)

    async def effects(self) -> list[int]:
        return [row["n"] for row in await fetch(self.bridge, "select n from effects order by n")]


def write(n: int) -> Callable[[asyncpg.Connection], Awaitable[Any]]:
    return lambda tx: tx.execute("insert into effects (n) values ($1)", n)


@pytest.fixture
async def bench(bridge: Bridge) -> Bench:
    await fetch(bridge, "create table effects (n bigint not null)")
    return Bench(bridge)


LEFT = "select count(*) from jobs"
DEAD = "select count(*) from dead_jobs"


async def test_a_job_is_done_and_its_row_goes_with_its_effect(bench: Bench) -> None:
    async def run(work: Work[Number]) -> None:
        await work.finish(write(work.payload.n))

    bench.kind(run)
    await bench.order(*range(500))
    async with bench.working() as foreman:
        await bench.until(LEFT, 0)
        assert await bench.effects() == list(range(500))
        assert foreman.endings.groups < 500, "endings share transactions"
        await bench.until("select coalesce(sum(done), 0)::int from job_tallies", 500)


async def test_a_run_that_only_returns_ends_its_job(bench: Bench) -> None:
    seen: list[tuple[int, int, int, str]] = []

    async def run(work: Work[Number]) -> None:
        seen.append((work.payload.n, work.attempt, work.space, work.effect_key))

    bench.kind(run)
    await bench.order(7, space=3)
    key = await bench.value("select effect::text from jobs")
    async with bench.working():
        await bench.until(LEFT, 0)
    assert seen == [(7, 1, 3, key)]


async def test_a_failed_attempt_is_made_again_under_the_same_effect_key_until_it_is_a_dead_letter(bench: Bench) -> None:
    seen: list[tuple[int, str]] = []

    async def run(work: Work[Number]) -> None:
        seen.append((work.attempt, work.effect_key))
        raise RuntimeError(f"no {work.payload.n}")

    bench.kind(run, attempts_max=3)
    await bench.order(7)
    async with bench.working():
        await bench.until(DEAD, 1)
    assert [attempt for attempt, _ in seen] == [1, 2, 3]
    assert len({key for _, key in seen}) == 1
    [dead] = await fetch(bench.bridge, "select attempts, reason, error, effect::text from dead_jobs")
    assert tuple(dead) == (3, 1, "RuntimeError: no 7", seen[0][1])
    assert await bench.value(LEFT) == 0


async def test_what_was_to_be_written_by_a_failed_effect_is_not_written_and_others_of_its_group_are(bench: Bench) -> None:
    async def run(work: Work[Number]) -> None:
        async def effect(tx: asyncpg.Connection) -> None:
            await write(work.payload.n)(tx)
            if work.payload.n % 10 == 3:
                await tx.execute("select 1/0")

        await work.finish(effect)

    bench.kind(run, attempts_max=2)
    await bench.order(*range(40))
    async with bench.working() as foreman:
        await bench.until(DEAD, 4)
        await bench.until(LEFT, 0)
        assert foreman.endings.apart > 0
    assert await bench.effects() == [n for n in range(40) if n % 10 != 3]


async def test_a_hopeless_job_is_a_dead_letter_at_once_and_so_is_one_that_cannot_be_read(bench: Bench) -> None:
    async def run(work: Work[Number]) -> None:
        raise Hopeless("nobody lives there")

    class Words(msgspec.Struct):
        words: str

    bench.kind(run)
    bench.kinds.append(JobKind("say", Words, run, way=AT_ONCE))
    await bench.order(1)
    await fetch(bench.bridge, "select enqueue_job('do', '\\xc1')")
    await fetch(bench.bridge, "select enqueue_job('say', $1)", b"\x81\xa5words\xa1\xff")
    async with bench.working():
        await bench.until(DEAD, 3)
    rows = await fetch(bench.bridge, "select attempts, reason, error from dead_jobs order by id")
    assert [(row["attempts"], row["reason"]) for row in rows] == [(1, 3)] * 3
    assert "nobody lives there" in rows[0]["error"] and all("payload" in row["error"] for row in rows[1:])


async def test_a_run_that_takes_too_long_is_cancelled_and_has_failed(bench: Bench) -> None:
    ended: list[int] = []

    async def run(work: Work[Number]) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(work.attempt)

    bench.kind(run, attempts_max=2, timeout_s=0.05)
    await bench.order(1)
    async with bench.working():
        await bench.until(DEAD, 1)
    assert ended == [1, 2]
    assert await bench.value("select error from dead_jobs") == "not finished within 0.05 s"


async def test_lower_priorities_go_first_and_equals_in_their_order(bench: Bench) -> None:
    seen: list[int] = []

    async def run(work: Work[Number]) -> None:
        seen.append(work.payload.n)

    bench.kind(run, way=Way(at_once_max=1))
    await bench.order(3, 4)
    await bench.order(5, priority=7)
    await bench.order(1, 2, priority=-7)
    async with bench.working():
        await bench.until(LEFT, 0)
    assert seen == [1, 2, 3, 4, 5]


async def test_no_more_of_a_kind_run_at_once_than_it_allows_and_none_keeps_other_kinds_away(bench: Bench) -> None:
    running = most = 0
    go = trio.Event()

    async def slow(work: Work[Number]) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go.wait()
        running -= 1

    async def quick(work: Work[Number]) -> None: ...

    bench.kind(slow, "slow", way=Way(at_once_max=3))
    bench.kind(quick, "quick")
    await bench.order(*range(20), kind="slow", priority=-9)
    await bench.order(*range(20), kind="quick")
    async with bench.working():
        await bench.until("select count(*) from jobs where kind = 'quick'", 0)
        go.set()
        await bench.until(LEFT, 0)
    assert most == 3


async def test_what_runs_when_the_process_stops_is_ready_again_at_once(bench: Bench) -> None:
    begun = trio.Event()

    async def run(work: Work[Number]) -> None:
        begun.set()
        await trio.sleep_forever()

    bench.kind(run)
    await bench.order(1)
    async with bench.working():
        await begun.wait()
    assert tuple((await fetch(bench.bridge, "select state, worker, attempts from jobs"))[0]) == (0, None, 1)
    assert await bench.value("select count(*) from job_workers") == 0


async def test_a_poke_is_enough_where_the_poll_would_be_late(bench: Bench) -> None:
    async def run(work: Work[Number]) -> None: ...

    bench.kind(run)
    async with bench.working(ForemanOptions(poll_s=3600)) as foreman:
        bench.bridge.on_ordered = foreman.poke
        with trio.fail_after(30):
            await bench.order(1)
            await bench.until(LEFT, 0)


async def test_a_job_of_a_worker_whose_lease_is_over_is_done_by_another_and_the_first_cannot_end_it(bench: Bench, database: str) -> None:
    first, other_done = trio.Event(), trio.Event()
    lost: list[str] = []

    async def run(work: Work[Number]) -> None:
        if work.attempt == 1:
            first.set()
            await other_done.wait()
            try:
                await work.finish(write(100 + work.payload.n))
            except LeaseLost as error:
                lost.append(str(error))
                raise
        await work.finish(write(work.payload.n))

    bench.kind(run)
    await bench.order(5)
    async with serving(Bridge(BridgeOptions(database))) as elsewhere, bench.working():
        await first.wait()
        # As if the first process stood still: its lease runs out although it lives.
        await fetch(bench.bridge, "update job_workers set leased_until = now() - interval '1 second'")
        async with bench.working(bridge=elsewhere):
            await bench.until(LEFT, 0)
            other_done.set()
            with trio.fail_after(30):
                while not lost:  # noqa: ASYNC110 (a list has no event)
                    await trio.sleep(0.01)
    assert await bench.effects() == [5]


async def test_a_worker_that_finds_its_lease_over_cancels_what_it_runs_and_goes_on_as_another(bench: Bench) -> None:
    began: list[int] = []
    cancelled: list[int] = []
    first = trio.Event()

    async def run(work: Work[Number]) -> None:
        began.append(work.attempt)
        if work.attempt == 1:
            first.set()
            try:
                await trio.sleep_forever()
            finally:
                cancelled.append(work.attempt)

    bench.kind(run)
    await bench.order(5)
    async with bench.working(ForemanOptions(poll_s=0.02, pace_s=0, lease_s=0.3)) as foreman:
        await first.wait()
        await fetch(bench.bridge, "delete from job_workers")
        await bench.until(LEFT, 0)
        assert foreman.leases_lost >= 1
    assert (began[:2], cancelled) == ([1, 2], [1])


async def test_a_job_that_kills_whoever_runs_it_is_a_dead_letter_in_the_end(bench: Bench) -> None:
    async def run(work: Work[Number]) -> None:
        await trio.sleep_forever()

    bench.kind(run, attempts_max=2)
    await bench.order(1)
    for attempt in (1, 2):
        async with bench.working() as foreman:
            foreman._options = ForemanOptions(resign_s=0.0)  # killed: it gives nothing back
            await bench.until("select coalesce(max(attempts), 0)::int from jobs where state = 2", attempt)
        await fetch(bench.bridge, "update job_workers set leased_until = now()")
        await fetch(bench.bridge, "select * from tend_jobs(10)")
        await fetch(bench.bridge, "update jobs set state = 0")
    assert await bench.value("select reason::int from dead_jobs") == 4


async def test_a_claim_whose_answer_was_lost_is_given_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from actors.storage_port import OutcomeUnknown
    from persistence.jobs.queue import JobQueue

    claim = JobQueue.claim
    lost = 0

    async def lose(self: JobQueue, *arguments: Any) -> Any:
        nonlocal lost
        held = await claim(self, *arguments)
        if held and not lost:
            lost += 1
            raise OutcomeUnknown("the answer was lost on the way")
        return held

    async def run(work: Work[Number]) -> None:
        await work.finish(write(work.payload.n))

    monkeypatch.setattr(JobQueue, "claim", lose)
    bench.kind(run)
    await bench.order(1, 2, 3)
    async with bench.working(ForemanOptions(poll_s=0.02, pace_s=0, retry_s=0.01)):
        await bench.until(LEFT, 0)
    assert (lost, await bench.effects()) == (1, [1, 2, 3])


async def test_a_running_job_that_is_cancelled_ends_and_has_no_effect(bench: Bench) -> None:
    begun, ended = trio.Event(), trio.Event()

    async def run(work: Work[Number]) -> None:
        begun.set()
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    bench.kind(run, timeout_s=3600)
    await bench.order(1)
    async with bench.working(ForemanOptions(poll_s=0.02, pace_s=0, lease_s=3600)):
        await begun.wait()
        [row] = await fetch(bench.bridge, "select id from jobs")
        assert await PostgresDesk(bench.bridge).cancel(row["id"]) == "told"
        with trio.fail_after(30):
            await ended.wait()
        await bench.until(LEFT, 0)
    assert (await bench.effects(), await bench.value(DEAD)) == ([], 0)


async def test_an_effect_that_comes_after_the_cancellation_was_answered_does_not_happen(bench: Bench) -> None:
    begun, cancelled = trio.Event(), trio.Event()

    async def run(work: Work[Number]) -> None:
        begun.set()
        with trio.CancelScope(shield=True):
            await cancelled.wait()
            await work.finish(write(work.payload.n))

    bench.kind(run)
    await bench.order(1)
    async with bench.working(ForemanOptions(poll_s=3600, pace_s=0)):
        await begun.wait()
        [row] = await fetch(bench.bridge, "select id from jobs")
        assert await PostgresDesk(bench.bridge).cancel(row["id"]) == "told"
        cancelled.set()
        await bench.until(LEFT, 0)
    assert await bench.effects() == []


async def test_how_far_a_run_is_can_be_seen_while_it_runs(bench: Bench) -> None:
    go = trio.Event()

    async def run(work: Work[Number]) -> None:
        work.report(3, 9, "pages")
        await go.wait()

    bench.kind(run)
    await bench.order(1)
    async with bench.working(ForemanOptions(poll_s=0.02, pace_s=0, lease_s=0.6)):
        await bench.until("select coalesce(max(done * 100 + total), 0)::int from jobs where words = 'pages'", 309)
        go.set()
        await bench.until(LEFT, 0)


async def test_a_schedules_job_leaves_word_of_how_it_ended(bench: Bench) -> None:
    async def run(work: Work[Number]) -> None:
        if work.attempt == 1:
            raise RuntimeError("no disk")

    bench.kind(run)
    timetable = Timetable(bench.bridge, [Cron("nightly", "do", Number(1), every_s=3600.0)], every_s=0.02)
    async with bench.working(), trio.open_nursery() as nursery:
        await nursery.start(timetable.serve)
        await bench.until("select count(ended_at) from job_schedules where error = ''", 1)
        nursery.cancel_scope.cancel()
    assert await bench.value("select count(*) from jobs") == 0
    assert timetable.fired == 1


async def test_two_nodes_with_the_same_timetable_tick_once(bench: Bench, database: str) -> None:
    async def run(work: Work[Number]) -> None:
        await work.finish(write(work.payload.n))

    bench.kind(run)
    cron = Cron("every", "do", Number(1), every_s=3600.0)
    async with serving(Bridge(BridgeOptions(database))) as elsewhere, trio.open_nursery() as nursery:
        timetables = [Timetable(bridge, [cron], every_s=0.005) for bridge in (bench.bridge, elsewhere)]
        async with bench.working(), bench.working(bridge=elsewhere):
            for timetable in timetables:
                await nursery.start(timetable.serve)
            for tick in range(1, 6):
                await bench.until("select count(*) from effects", tick)
                await bench.until(LEFT, 0)
                assert await bench.value("select fired from job_schedules") == tick
                await fetch(bench.bridge, "update job_schedules set next_at = now() - interval '1 second'")
            await bench.until("select count(*) from effects", 6)
        nursery.cancel_scope.cancel()
    assert sum(timetable.fired for timetable in timetables) == 6
