"""The jobs' desk in Postgres: reads that are bounded, and what an operator does, written into the audit with it.

Invariant: nothing here holds up a claim for longer than one statement on the rows that it names.
"""

from __future__ import annotations

from typing import Final

import asyncpg
from msgspec import Struct

from actors.job_desk import (
    COUNT_MAX,
    PAGE_MAX,
    REASONS,
    REGIONS_MAX,
    STATES,
    Cancelled,
    JobsWanted,
    JobView,
    KindFigures,
    RegionFigures,
    ScheduleView,
)
from actors.jobs import ORDERED
from persistence.audit import Deed, record
from persistence.bridge import Bridge
from persistence.jobs.queue import Tally, add_tallies

CALL_S: Final = 10.0

_COUNTS: Final = """
select kind, state, count(*) as n, count(*) filter (where attempts > 0 and state < 2) as failing,
    coalesce(extract(epoch from clock_timestamp() - min(due_at)), 0)::float8 as oldest_s
from (select kind, state, attempts, due_at from jobs limit $1) j group by kind, state"""

_DEAD: Final = "select kind, count(*) as n from (select kind from dead_jobs limit $1) d group by kind"

_TALLIES: Final = """
select kind, sum(done)::bigint as done, sum(failed)::bigint as failed, sum(cancelled)::bigint as cancelled,
    (sum(run_ms) / greatest(sum(done + failed), 1))::float8 as run_ms
from job_tallies where hour >= date_trunc('hour', now()) - interval '1 hour' group by kind"""

_EPOCH: Final = "coalesce(extract(epoch from {0}), 0)::float8"
_JOB: Final = f"""
select j.id, j.kind, j.state, j.priority, coalesce(j.key, ''), coalesce(j.space_id, 0), j.attempts, {_EPOCH.format("j.created_at")},
    {_EPOCH.format("j.due_at")}, {_EPOCH.format("j.begun_at")}, coalesce(w.name, ''), j.done, j.total, j.words, 0, j.error,
    octet_length(j.payload), j.effect::text
from jobs j left join job_workers w on w.id = j.worker"""
_LETTER: Final = f"""
select d.id, d.kind, 3, d.priority, coalesce(d.key, ''), coalesce(d.space_id, 0), d.attempts, {_EPOCH.format("d.created_at")},
    {_EPOCH.format("d.died_at")}, 0::float8, '', 0, 0, '', d.reason, d.error, octet_length(d.payload), d.effect::text
from dead_jobs d"""

# A region that no living worker takes jobs of: they wait for ever.
_UNSERVED: Final = """
select j.region, count(*) as n, coalesce(extract(epoch from clock_timestamp() - min(j.due_at)), 0)::float8 as oldest_s
from (select region, due_at from jobs where region <> '' and state < 2 limit $1) j
where not exists (select from job_workers w where w.leased_until > now() and (w.regions is null or j.region = any (w.regions)))
group by j.region order by j.region limit $2"""

_SCHEDULES: Final = f"""
select name, kind, timing, {_EPOCH.format("next_at")}, {_EPOCH.format("fired_at")}, fired, skipped, {_EPOCH.format("ended_at")}, error
from job_schedules order by name"""

# One with the key of a job that waits by now is stood for by that one.
_RETRY: Final = """
with gone as (delete from dead_jobs where id = any ($1) returning *),
again as (
    insert into jobs (id, kind, priority, key, space_id, region, payload, effect, created_at) overriding system value
    select g.id, g.kind, g.priority, g.key, g.space_id, region_of(g.space_id), g.payload, g.effect, g.created_at
    from gone g order by g.kind, g.key, g.id
    on conflict do nothing
)
select id, kind from gone order by id"""


class Health(Struct, frozen=True):
    """What a doctor asks. `oldest_s`: how long the first ready job has been ready; `workers`: processes with a lease."""

    workers: int
    ready: bool
    oldest_s: float
    dead: int


HEALTH: Final = """
select (select count(*) from job_workers where leased_until > now())::int as workers, j.due_at is not null as ready,
    coalesce(extract(epoch from now() - j.due_at), 0)::float8 as oldest_s, (select count(*) from dead_jobs)::int as dead
from (select min(due_at) as due_at from (
    (select due_at from jobs where state = 0 and region = '' order by kind, priority, id limit 10000)
    union all (select due_at from jobs where state = 0 and region <> '' order by kind, priority, id limit 10000)
) r) j"""


class PostgresDesk:
    """Fits `actors.job_desk.Desk`."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    async def overview(self) -> list[KindFigures]:
        async def work(tx: asyncpg.Connection) -> list[KindFigures]:
            found: dict[str, dict[str, float]] = {}
            for row in await tx.fetch(_COUNTS, COUNT_MAX):
                of = found.setdefault(row["kind"], {})
                of[STATES[row["state"]]] = row["n"]
                of["failing"] = of.get("failing", 0) + row["failing"]
                if row["state"] == 0:
                    of["oldest_s"] = max(row["oldest_s"], 0.0)
            for row in await tx.fetch(_DEAD, COUNT_MAX):
                found.setdefault(row["kind"], {})["dead"] = row["n"]
            for row in await tx.fetch(_TALLIES):
                found.setdefault(row["kind"], {}).update({name: row[name] for name in ("done", "failed", "cancelled", "run_ms")})
            return [KindFigures(kind, **of) for kind, of in sorted(found.items())]  # type: ignore[arg-type]

        return await self._bridge.run(work, deadline_s=CALL_S, readonly=True)

    async def unserved(self) -> list[RegionFigures]:
        async def work(tx: asyncpg.Connection) -> list[RegionFigures]:
            return [RegionFigures(*row) for row in await tx.fetch(_UNSERVED, COUNT_MAX, REGIONS_MAX)]

        return await self._bridge.run(work, deadline_s=CALL_S, readonly=True)

    async def find(self, wanted: JobsWanted) -> list[JobView]:
        before = wanted.before or 2**63 - 1

        async def work(tx: asyncpg.Connection) -> list[JobView]:
            views: list[JobView] = []
            limit = min(wanted.limit, PAGE_MAX)
            if wanted.state != "dead":
                state = None if wanted.state is None else STATES.index(wanted.state)
                rows = await tx.fetch(
                    f"{_JOB} where j.id < $1 and ($2 = '' or j.kind = $2) and ($3::smallint is null or j.state = $3)"
                    " order by j.id desc limit $4",
                    before,
                    wanted.kind,
                    state,
                    limit,
                )
                views += [_view(row) for row in rows]
            if wanted.state in (None, "dead"):
                rows = await tx.fetch(
                    f"{_LETTER} where d.id < $1 and ($2 = '' or d.kind = $2) order by d.id desc limit $3", before, wanted.kind, limit
                )
                views += [_view(row) for row in rows]
            views.sort(key=lambda view: -view.id)
            return views[:limit]

        return await self._bridge.run(work, deadline_s=CALL_S, readonly=True)

    async def show(self, id: int) -> JobView | None:
        async def work(tx: asyncpg.Connection) -> JobView | None:
            row = await tx.fetchrow(f"{_JOB} where j.id = $1", id) or await tx.fetchrow(f"{_LETTER} where d.id = $1", id)
            return None if row is None else _view(row)

        return await self._bridge.run(work, deadline_s=CALL_S, readonly=True)

    async def schedules(self) -> list[ScheduleView]:
        async def work(tx: asyncpg.Connection) -> list[ScheduleView]:
            return [ScheduleView(*row) for row in await tx.fetch(_SCHEDULES)]

        return await self._bridge.run(work, deadline_s=CALL_S, readonly=True)

    async def retry(self, ids: list[int], *, actor: int = 0, address: str = "") -> int:
        return await self._bridge.run(lambda tx: _retry(tx, ids, actor, address), deadline_s=CALL_S)

    async def retry_kind(self, kind: str, *, actor: int = 0, address: str = "") -> int:
        async def work(tx: asyncpg.Connection) -> int:
            rows = await tx.fetch("select id from dead_jobs where kind = $1 order by id limit $2", kind, PAGE_MAX)
            return await _retry(tx, [id for (id,) in rows], actor, address)

        return await self._bridge.run(work, deadline_s=CALL_S)

    async def cancel(self, id: int, *, actor: int = 0, address: str = "") -> Cancelled:
        async def work(tx: asyncpg.Connection) -> Cancelled:
            answer: Cancelled
            row = await tx.fetchrow("select kind, state from jobs where id = $1 for update", id)
            if row is None:
                kind = await tx.fetchval("delete from dead_jobs where id = $1 returning kind", id)
                answer = "unknown" if kind is None else "forgotten"
            elif row["state"] == STATES.index("running"):
                kind, answer = row["kind"], "told"
                await tx.execute("update jobs set cancelled = true where id = $1", id)
                ORDERED.set(True)
            else:
                kind, answer = row["kind"], "gone"
                await tx.execute("delete from jobs where id = $1", id)
                await add_tallies(tx, {kind: Tally(cancelled=1)})
            if answer != "unknown":
                await record(tx, Deed(actor, "job_cancelled", subject=id, address=address or None, detail={"kind": kind, "was": answer}))
            return answer

        return await self._bridge.run(work, deadline_s=CALL_S)


async def _retry(tx: asyncpg.Connection, ids: list[int], actor: int, address: str) -> int:
    rows = await tx.fetch(_RETRY, ids)
    if rows:
        ORDERED.set(True)
        deeds = (Deed(actor, "job_retried", subject=row["id"], address=address or None, detail={"kind": row["kind"]}) for row in rows)
        await record(tx, *deeds)
    return len(rows)


def _view(row: asyncpg.Record) -> JobView:
    (
        id,
        kind,
        state,
        priority,
        key,
        space,
        attempts,
        created_at,
        due_at,
        begun_at,
        worker,
        done,
        total,
        words,
        reason,
        error,
        size,
        effect,
    ) = row
    return JobView(
        id=id,
        kind=kind,
        state="dead" if state == len(STATES) else STATES[state],
        priority=priority,
        key=key,
        space=space,
        attempts=attempts,
        created_at=created_at,
        due_at=due_at,
        begun_at=begun_at,
        worker=worker,
        done=done,
        total=total,
        words=words,
        reason=REASONS.get(reason, ""),
        error=error,
        payload_bytes=size,
        effect_key=effect,
    )
