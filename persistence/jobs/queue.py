"""The queue as a worker sees it: a lease on all that it holds, and one transaction for each step.

    enlist ─▶ worker ─┬─ claim   ready rows ─▶ Held                     skips what others look at
                      ├─ renew   the lease, how far each is ─▶ what it holds by now, and what was cancelled
                      ├─ fail    again later, or a dead letter
                      ├─ tend    what is due, late, or was held by a worker whose lease is over
                      ╰─ resign  what it holds is ready again at once
    (ends well: see `persistence.jobs.endings`)

Invariant: a row is changed only by whoever holds it by (worker, attempt), or by `tend` after that worker's row was deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from functools import partial
from typing import Final, Literal

import asyncpg
from msgspec import Struct

from persistence.bridge import Bridge

TEND_MAX: Final = 2_000
"""Of each sort, in one transaction."""
ERROR_LENGTH_MAX: Final = 2_000
CALL_S: Final = 4.0
"""A step's deadline: some of them fit into a lease."""


class Reason(IntEnum):
    """Why a job became a dead letter."""

    FAILED = 1
    LATE = 2
    HOPELESS = 3
    LOST = 4
    """Those who ran it ended without a word, as often as its kind allows."""


class Held(Struct, frozen=True):
    """A job that this worker runs: one attempt at it."""

    id: int
    kind: str
    payload: bytes
    effect: str
    attempt: int
    priority: int = 0
    key: str = ""
    space: int = 0


class Room(Struct, frozen=True):
    """How many of a kind a worker can take now."""

    free: int
    attempts_max: int


class Report(Struct, frozen=True):
    """How far an attempt is."""

    id: int
    attempt: int
    done: int
    total: int
    words: str


class Standing(Struct, frozen=True):
    """What a worker holds, as the database has it: attempt by job; `cancelled` are those of them that nobody wants any more."""

    attempts: Mapping[int, int]
    cancelled: frozenset[int]


class Tended(Struct, frozen=True):
    """What `tend` found: delayed jobs that are due, jobs that came too late, jobs of lost workers, and of these those given up; and which
    of the asking worker's jobs nobody wants any more."""

    due: int = 0
    late: int = 0
    taken: int = 0
    buried: int = 0
    cancelled: frozenset[int] = frozenset()


Fate = Literal["retried", "dead", "cancelled", "lost"]
"""What became of a failed attempt; `lost`: it was not ours any more."""

_RENEW: Final = """
update job_workers set leased_until = clock_timestamp() + make_interval(secs => $2) where id = $1 and leased_until > clock_timestamp()
returning id"""

_REPORT: Final = """
update jobs j set done = r.done, total = r.total, words = left(r.words, 200)
from unnest($2::bigint[], $3::smallint[], $4::integer[], $5::integer[], $6::text[]) as r (id, attempt, done, total, words)
where j.id = r.id and j.id = any ($2) and j.worker = $1 and j.attempts = r.attempt and j.state = 2"""

_RESIGN: Final = """
with unwanted as materialized (delete from jobs where worker = $1 and state = 2 and cancelled),
freed as materialized (select id from jobs where worker = $1 and state = 2 and not cancelled for update)
select requeue_job(id, 0, 'the process that ran it was stopped') from freed"""


class JobQueue:
    """All of these may raise `StorageError`. After `OutcomeUnknown` of a claim, `renew` tells what was claimed."""

    def __init__(self, bridge: Bridge, *, call_s: float = CALL_S) -> None:
        self._bridge = bridge
        self._call_s = call_s

    async def enlist(self, name: str, lease_s: float, regions: Sequence[str] | None = None) -> int:
        """A new worker with a lease that begins now. `regions`: it takes jobs of these alone, and those of none; None: every job."""

        async def work(tx: asyncpg.Connection) -> int:
            worker: int = await tx.fetchval(
                "insert into job_workers (name, leased_until, regions, opens_seals)"
                " values ($1, clock_timestamp() + make_interval(secs => $2), $3, true) returning id",
                name,
                lease_s,
                None if regions is None else list(regions),
            )
            return worker

        return await self._bridge.run(work, deadline_s=self._call_s)

    async def claim(self, worker: int, room: Mapping[str, Room], limit: int) -> list[Held]:
        """Up to `limit` ready jobs of the kinds with room and of this worker's regions, those of lower priority first, then the oldest.
        None without a lease."""
        kinds = [kind for kind, one in room.items() if one.free > 0]
        if not kinds or limit <= 0:
            return []
        return await self._bridge.run(partial(_claim, worker=worker, kinds=kinds, room=room, limit=limit), deadline_s=self._call_s)

    async def renew(self, worker: int, lease_s: float, reports: Sequence[Report] = ()) -> Standing | None:
        """Renews the lease from now on and writes down how far attempts are. None: the lease was over, and what this worker held is
        others' by now."""

        async def work(tx: asyncpg.Connection) -> Standing | None:
            if await tx.fetchval(_RENEW, worker, lease_s) is None:
                return None
            if reports:
                columns = zip(*((one.id, one.attempt, one.done, one.total, one.words) for one in reports), strict=True)
                await tx.execute(_REPORT, worker, *(list(column) for column in columns))
            rows = await tx.fetch("select id, attempts, cancelled from jobs where worker = $1 and state = 2", worker)
            return Standing(
                {row["id"]: row["attempts"] for row in rows},
                frozenset(row["id"] for row in rows if row["cancelled"]),
            )

        return await self._bridge.run(work, deadline_s=self._call_s)

    async def fail(self, worker: int, id: int, attempt: int, error: str, *, delay_s: float = 0.0, reason: Reason | None = None) -> Fate:
        """An attempt failed: again after `delay_s`; with a reason it is a dead letter; where it was cancelled it is gone."""

        async def work(tx: asyncpg.Connection) -> Fate:
            fate: Fate | None = await tx.fetchval(
                "select fail_job($1, $2, $3, $4, $5, $6)", id, worker, attempt, delay_s, reason or 0, error[:ERROR_LENGTH_MAX]
            )
            return fate or "lost"

        return await self._bridge.run(work, deadline_s=self._call_s)

    async def tend(self, worker: int = 0) -> Tended:
        """What time has brought about. Any worker may call it at any time; it does nothing where another one is at it."""

        async def work(tx: asyncpg.Connection) -> Tended:
            row = await tx.fetchrow("select due, late, taken, buried from tend_jobs($1)", TEND_MAX)
            cancelled = await tx.fetch("select id from jobs where worker = $1 and state = 2 and cancelled", worker)
            return Tended(row["due"], row["late"], row["taken"], row["buried"], frozenset(id for (id,) in cancelled))

        return await self._bridge.run(work, deadline_s=self._call_s)

    async def resign(self, worker: int) -> None:
        """Gives back what this worker holds, and its lease: others need not wait until that is over."""

        async def work(tx: asyncpg.Connection) -> None:
            await tx.execute(_RESIGN, worker)
            await tx.execute("delete from job_workers where id = $1", worker)

        await self._bridge.run(work, deadline_s=self._call_s)

    async def tally(self, sums: Mapping[str, Tally]) -> None:
        """Adds what became of jobs, by kind, to this hour's sums."""

        await self._bridge.run(partial(add_tallies, sums=sums), deadline_s=self._call_s)


class Tally(Struct):
    """What became of the jobs of one kind: how many were done, attempts that failed, dead letters, cancelled; and how long runs took."""

    done: int = 0
    failed: int = 0
    dead: int = 0
    cancelled: int = 0
    run_ms: float = 0.0


async def add_tallies(tx: asyncpg.Connection, sums: Mapping[str, Tally]) -> None:
    """Adds to this hour's sums, in the caller's transaction."""
    await tx.executemany(
        "insert into job_tallies as t (hour, kind, done, failed, dead, cancelled, run_ms)"
        " values (date_trunc('hour', now()), $1, $2, $3, $4, $5, $6) on conflict (hour, kind) do update set"
        " done = t.done + excluded.done, failed = t.failed + excluded.failed, dead = t.dead + excluded.dead,"
        " cancelled = t.cancelled + excluded.cancelled, run_ms = t.run_ms + excluded.run_ms",
        [(kind, one.done, one.failed, one.dead, one.cancelled, round(one.run_ms)) for kind, one in sorted(sums.items())],
    )


async def _claim(tx: asyncpg.Connection, worker: int, kinds: Sequence[str], room: Mapping[str, Room], limit: int) -> list[Held]:
    rows = await tx.fetch(
        "select id, kind, payload, effect::text, attempts, priority, key, space_id from claim_jobs($1, $2, $3, $4, $5)",
        worker,
        kinds,
        [room[kind].free for kind in kinds],
        [room[kind].attempts_max for kind in kinds],
        limit,
    )
    held = [
        Held(id, kind, payload, effect, attempts, priority, key or "", space or 0)
        for id, kind, payload, effect, attempts, priority, key, space in rows
    ]
    held.sort(key=lambda one: (one.priority, one.id))
    return held
