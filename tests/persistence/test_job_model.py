"""The queue in real Postgres does, step by step, what a dictionary would.

The model has one clock; in the database the same is done by moving every moment that is written there into the past. Steps are tens of
seconds, spans are odd multiples of five, so what passes while a step runs decides nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import asyncpg
import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from actors.jobs import LeaseLost, Order, pack
from persistence.jobs.desk import PostgresDesk
from persistence.jobs.endings import _end, _Ending
from persistence.jobs.enqueue import enqueue
from persistence.jobs.queue import Held, JobQueue, Reason, Room

T = TypeVar("T")

STEP_S = 10
LEASE_S = 15
KINDS = ("a", "b")
PICKS = st.integers(0, 11)
ATTEMPTS_MAX = 3
TABLES = "jobs, job_workers, dead_jobs, job_tallies, effects"


class Number(msgspec.Struct):
    n: int


class OneConnection:
    """A bridge's `run` over one connection, in the caller's loop: as much of it as the queue asks for."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def run(self, work: Callable[[asyncpg.Connection], Awaitable[T]], **_: object) -> T:
        async with self._connection.transaction():
            return await work(self._connection)


class Job:
    """One row, as the model has it. `due` and `expires` by the model's clock."""

    def __init__(self, n: int, kind: str, key: str, priority: int, due: float, expires: float | None, delayed: bool) -> None:
        self.n, self.kind, self.key, self.priority = n, kind, key, priority
        self.due, self.expires = due, expires
        self.state = "delayed" if delayed else "ready"
        self.attempts = 0
        self.worker = 0
        self.cancelled = False
        self.place = 0

    @property
    def waits(self) -> bool:
        return self.state in ("ready", "delayed")


class Undo(Exception):
    pass


class Queue(RuleBasedStateMachine):
    """Both queues, side by side."""

    dsn = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.connection: asyncpg.Connection = self.runner.run(asyncpg.connect(self.dsn))
        bridge: Any = OneConnection(self.connection)
        self.queue, self.desk, self.bridge = JobQueue(bridge), PostgresDesk(bridge), bridge
        self.sql(f"truncate {TABLES} restart identity")
        self.now = 0.0
        self.jobs: dict[int, Job] = {}
        """By number of the row: what waits, runs, or is dead."""
        self.leases: dict[int, float] = {}
        self.workers: list[int] = []
        """All that ever were."""
        self.attempts: list[tuple[int, Held]] = []
        """All that were ever claimed, with who claimed them."""
        self.done: list[int] = []
        self.numbers = 0

    def teardown(self) -> None:
        self.runner.run(self.connection.close())
        self.runner.close()

    def do(self, work: Awaitable[T]) -> T:
        async def body() -> T:
            return await work

        return self.runner.run(body())

    def sql(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        async def body() -> list[asyncpg.Record]:
            if arguments or statement.startswith("select"):
                rows: list[asyncpg.Record] = await self.connection.fetch(statement, *arguments)
                return rows
            await self.connection.execute(statement)
            return []

        return self.do(body())

    # -- what both know ------------------------------------------------------------------------------------------------

    def twin(self, job: Job) -> bool:
        return bool(job.key) and any(
            one is not job and one.waits and (one.kind, one.key) == (job.kind, job.key) for one in self.jobs.values()
        )

    def requeue(self, id: int, delay_s: float) -> None:
        job = self.jobs[id]
        if self.twin(job):
            del self.jobs[id]
            return
        job.state, job.due, job.worker = ("delayed" if delay_s > 0 else "ready"), self.now + delay_s, 0

    def held_by(self, worker: int, held: Held) -> bool:
        job = self.jobs.get(held.id)
        return job is not None and job.state == "running" and job.worker == worker and job.attempts == held.attempt

    @property
    def living(self) -> list[int]:
        return sorted(worker for worker, until in self.leases.items() if until > self.now)

    def pick_worker(self, pick: int) -> int:
        """One of the living, or in one case of four any that there ever was."""
        among = self.workers if pick % 4 == 1 or not self.living else self.living
        return among[pick % len(among)] if among else 0

    def pick_attempt(self, pick: int) -> tuple[int, Held] | None:
        """One that is held, or in one case of four any that there ever was."""
        held = [one for one in self.attempts if self.held_by(*one)]
        among = self.attempts if pick % 4 == 1 or not held else held
        return among[pick % len(among)] if among else None

    # -- steps ---------------------------------------------------------------------------------------------------------

    @rule(
        asked=st.lists(
            st.tuples(
                st.sampled_from(KINDS),
                st.sampled_from(("", "", "k", "l")),
                st.sampled_from((0, 0, 25)),
                st.integers(-1, 1),
                st.sampled_from((0, 0, 35)),
            ),
            min_size=1,
            max_size=4,
        ),
        commits=st.sampled_from((True, True, True, False)),
    )
    def order(self, asked: list[tuple[str, str, int, int, int]], commits: bool) -> None:
        """Those without a key are written first, in their order; then the others, by kind and key."""
        wanted = []
        for kind, key, delay_s, priority, deadline_s in asked:
            self.numbers += 1
            wanted.append((self.numbers, kind, key, delay_s, priority, deadline_s))
        orders = [
            Order(kind, pack(Number(n)), delay_s=delay_s, priority=priority, key=key, deadline_s=deadline_s)
            for n, kind, key, delay_s, priority, deadline_s in wanted
        ]

        async def work(tx: asyncpg.Connection) -> int:
            added = await enqueue(tx, *orders)
            if not commits:
                raise Undo
            return added

        try:
            added = self.do(self.bridge.run(work))
        except Undo:
            return
        expected = 0
        for n, kind, key, delay_s, priority, deadline_s in sorted(
            wanted, key=lambda one: (one[2] != "", one[1] if one[2] else "", one[2], one[0])
        ):
            job = Job(n, kind, key, priority, self.now + delay_s, self.now + deadline_s if deadline_s else None, delay_s > 0)
            if self.twin(job):
                continue
            expected += 1
            [row] = self.sql("select id from jobs where payload = $1", msgspec.msgpack.encode(Number(n)))
            self.jobs[row["id"]] = job
        assert added == expected

    @initialize()
    def begin(self) -> None:
        self.enlist()
        self.enlist()

    @precondition(lambda self: len(self.living) < 2)
    @rule()
    def enlist(self) -> None:
        worker = self.do(self.queue.enlist("w", LEASE_S))
        self.leases[worker] = self.now + LEASE_S
        self.workers.append(worker)

    @precondition(lambda self: any(job.state == "ready" for job in self.jobs.values()))
    @rule(pick=PICKS, free=st.fixed_dictionaries(dict.fromkeys(KINDS, st.sampled_from((3, 2, 1, 0)))), limit=st.sampled_from((6, 3, 1)))
    def claim(self, pick: int, free: dict[str, int], limit: int) -> None:
        worker = self.pick_worker(pick)
        taken = self.do(self.queue.claim(worker, {kind: Room(n, ATTEMPTS_MAX) for kind, n in free.items()}, limit))
        expected: list[tuple[int, int]] = []
        if self.leases.get(worker, -1) > self.now:
            for kind, n in free.items():
                ready = sorted(
                    (job.priority, id)
                    for id, job in self.jobs.items()
                    if job.kind == kind and job.state == "ready" and (job.expires is None or job.expires > self.now)
                )
                expected += ready[:n]
        assert [(held.priority, held.id) for held in taken] == sorted(expected)[:limit]
        for held in taken:
            job = self.jobs[held.id]
            job.state, job.worker, job.attempts = "running", worker, job.attempts + 1
            assert (held.attempt, held.kind, held.key) == (job.attempts, job.kind, job.key)
            assert msgspec.msgpack.decode(held.payload, type=Number).n == job.n
            self.attempts.append((worker, held))

    @precondition(lambda self: bool(self.attempts))
    @rule(pick=PICKS)
    def end(self, pick: int) -> None:
        """Perhaps long after it was lost."""
        attempt = self.pick_attempt(pick)
        if attempt is None:
            return
        self.end_one(*attempt)

    def end_one(self, worker: int, held: Held) -> None:
        n = msgspec.msgpack.decode(held.payload, type=Number).n

        async def effect(tx: asyncpg.Connection) -> None:
            await tx.execute("insert into effects (n) values ($1)", n)

        [answer] = self.do(self.bridge.run(lambda tx: _end(tx, worker, [_Ending(worker, held, effect)])))
        if self.held_by(worker, held) and not self.jobs[held.id].cancelled:
            answer.unwrap()
            del self.jobs[held.id]
            self.done.append(n)
        else:
            with pytest.raises(LeaseLost):
                answer.unwrap()

    @precondition(lambda self: bool(self.attempts))
    @rule(pick=PICKS, delay_s=st.sampled_from((0, 25)), gives_up=st.booleans())
    def fail(self, pick: int, delay_s: int, gives_up: bool) -> None:
        attempt = self.pick_attempt(pick)
        if attempt is None:
            return
        self.fail_one(*attempt, delay_s, gives_up)

    def fail_one(self, worker: int, held: Held, delay_s: int, gives_up: bool) -> None:
        reason = Reason.FAILED if gives_up else None
        fate = self.do(self.queue.fail(worker, held.id, held.attempt, "no", delay_s=delay_s, reason=reason))
        if not self.held_by(worker, held):
            assert fate == "lost"
            return
        job = self.jobs[held.id]
        if job.cancelled:
            assert fate == "cancelled"
            del self.jobs[held.id]
        elif gives_up or (job.expires is not None and job.expires <= self.now + delay_s):
            assert fate == "dead"
            job.state, job.worker = "dead", 0
        else:
            assert fate == "retried"
            self.requeue(held.id, delay_s)

    @rule(pick=PICKS)
    def renew(self, pick: int) -> None:
        worker = self.pick_worker(pick)
        standing = self.do(self.queue.renew(worker, LEASE_S))
        if self.leases.get(worker, -1) <= self.now:
            assert standing is None
            return
        self.leases[worker] = self.now + LEASE_S
        mine = {id: job for id, job in self.jobs.items() if job.state == "running" and job.worker == worker}
        assert standing is not None
        assert standing.attempts == {id: job.attempts for id, job in mine.items()}
        assert standing.cancelled == {id for id, job in mine.items() if job.cancelled}

    @rule(pick=PICKS)
    def resign(self, pick: int) -> None:
        worker = self.pick_worker(pick)
        self.do(self.queue.resign(worker))
        self.leases.pop(worker, None)
        for id in sorted(id for id, job in self.jobs.items() if job.state == "running" and job.worker == worker):
            if self.jobs[id].cancelled:
                del self.jobs[id]
            else:
                self.requeue(id, 0)

    @rule(steps=st.integers(1, 5), lives=st.sampled_from((2, 1, 0)))
    def pass_time(self, steps: int, lives: int) -> None:
        """`lives`: so many of the living workers renew their leases all the while."""
        for worker in sorted(self.leases)[:lives]:
            if self.leases[worker] > self.now:
                self.leases[worker] = self.now + steps * STEP_S + LEASE_S
                self.sql(
                    f"update job_workers set leased_until = now() + interval '{steps * STEP_S + LEASE_S} seconds' where id = $1", worker
                )
        seconds = steps * STEP_S
        self.now += seconds
        back = f"interval '{seconds} seconds'"
        self.sql(f"update jobs set due_at = due_at - {back}, expires_at = expires_at - {back}")
        self.sql(f"update job_workers set leased_until = leased_until - {back}")

    @rule()
    def tend(self) -> None:
        tended = self.do(self.queue.tend())
        due = [job for job in self.jobs.values() if job.state == "delayed" and job.due <= self.now]
        for job in due:
            job.state = "ready"
        late = [job for job in self.jobs.values() if job.waits and job.expires is not None and job.expires <= self.now]
        for job in late:
            job.state = "dead"
        self.leases = {worker: until for worker, until in self.leases.items() if until > self.now}
        lost = sorted(id for id, job in self.jobs.items() if job.state == "running" and job.worker not in self.leases)
        buried = 0
        for id in lost:
            job = self.jobs[id]
            if job.cancelled:
                del self.jobs[id]
            elif job.attempts >= ATTEMPTS_MAX:
                job.state, job.worker = "dead", 0
                buried += 1
            else:
                self.requeue(id, 0)
                if job.attempts >= 2 and id in self.jobs:
                    # How long is drawn by lot: what was drawn is taken over, within its bound.
                    [row] = self.sql("select state, extract(epoch from due_at - now())::float8 as delay from jobs where id = $1", id)
                    assert -1 <= row["delay"] <= 2**job.attempts
                    self.sql("update jobs set due_at = now() + interval '5 seconds', state = 1 where id = $1", id)
                    job.state, job.due = "delayed", self.now + 5
        assert (tended.due, tended.late, tended.taken, tended.buried) == (len(due), len(late), len(lost), buried)

    @rule(
        pick=PICKS,
        limit=st.integers(1, 6),
        fates=st.lists(st.sampled_from(("end", "fail", "late", "keep")), min_size=6, max_size=6),
        twice=st.booleans(),
    )
    def work(self, pick: int, limit: int, fates: list[str], twice: bool) -> None:
        """As a foreman does it: claims, and what it claimed ends, fails, ends after it failed, or goes on."""
        before = len(self.attempts)
        self.claim(pick, dict.fromkeys(KINDS, 3), limit)
        for (worker, held), fate in zip(self.attempts[before:], fates, strict=False):
            if fate in ("fail", "late"):
                self.fail_one(worker, held, 0, False)
                if twice:
                    self.claim(pick, dict.fromkeys(KINDS, 3), limit)
            if fate in ("end", "late"):
                self.end_one(worker, held)

    @precondition(lambda self: any(job.state == "running" for job in self.jobs.values()))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if not self.jobs:
            return
        id = data.draw(st.sampled_from(sorted(self.jobs)))
        job = self.jobs[id]
        answer = self.do(self.desk.cancel(id))
        if job.state == "running":
            assert answer == "told"
            job.cancelled = True
        else:
            assert answer == ("forgotten" if job.state == "dead" else "gone")
            del self.jobs[id]

    @precondition(lambda self: any(job.state == "dead" for job in self.jobs.values()))
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        dead = sorted(id for id, job in self.jobs.items() if job.state == "dead")
        if not dead:
            return
        id = data.draw(st.sampled_from(dead))
        assert self.do(self.desk.retry([id])) == 1
        job = self.jobs[id]
        job.attempts, job.expires = 0, None
        self.requeue(id, 0)

    # -- what holds after each -----------------------------------------------------------------------------------------

    @invariant()
    def the_rows_are_those_of_the_model(self) -> None:
        states = ("ready", "delayed", "running")
        rows = {
            row["id"]: (states[row["state"]], row["attempts"], row["worker"] or 0, row["cancelled"])
            for row in self.sql("select id, state, attempts, worker, cancelled from jobs")
        }
        rows |= {row["id"]: ("dead", row["attempts"], 0, False) for row in self.sql("select id, attempts from dead_jobs")}
        assert rows == {
            id: (job.state, job.attempts, job.worker if job.state == "running" else 0, job.cancelled and job.state == "running")
            for id, job in self.jobs.items()
        }

    @invariant()
    def every_effect_happened_once(self) -> None:
        effects = sorted(row["n"] for row in self.sql("select n from effects"))
        assert effects == sorted(self.done) and len(set(effects)) == len(effects)

    @invariant()
    def no_two_that_wait_have_one_key(self) -> None:
        waiting = [(job.kind, job.key) for job in self.jobs.values() if job.waits and job.key]
        assert len(waiting) == len(set(waiting))


@pytest.fixture
def model(database: str) -> Iterator[type[Queue]]:
    async def prepare() -> None:
        connection = await asyncpg.connect(database)
        await connection.execute("create table effects (n bigint not null)")
        await connection.close()

    asyncio.run(prepare())
    Queue.dsn = database
    yield Queue
    Queue.dsn = ""


def test_the_queue_does_what_a_dictionary_would(model: type[Queue]) -> None:
    run_state_machine_as_test(model, settings=settings(max_examples=100, stateful_step_count=50))
