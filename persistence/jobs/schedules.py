"""What is done by the clock: each tick becomes one job, on whichever node looks first.

    Cron ─register─▶ job_schedules ─due─▶ lock the row (SKIP LOCKED) ─▶ enqueue a job, next_at ─▶ commit
                                           └──────────────── one transaction ───────────────┘

Invariant: a moment of a schedule is turned into at most one job, whatever the number of nodes and their clocks: the database's counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import asyncpg

from actors.cron import describe, next_after
from actors.jobs import Cron, Order, pack
from persistence.jobs.enqueue import enqueue

DEAD_DAYS: Final = 90
"""How long a dead letter waits for somebody."""
DEAD_MAX: Final = 100_000
"""More than a person can look at: the oldest go."""
TALLY_DAYS: Final = 30
UNKNOWN_DAYS: Final = 30
"""After this, a schedule that no running version knows is forgotten."""
FORGOTTEN_MAX: Final = 5_000

_REGISTER: Final = """
insert into job_schedules (name, kind, timing, next_at) values ($1, $2, $3, $4)
on conflict (name) do update set kind = excluded.kind, timing = excluded.timing,
    next_at = case when job_schedules.timing = excluded.timing then job_schedules.next_at else excluded.next_at end
where (job_schedules.kind, job_schedules.timing) is distinct from (excluded.kind, excluded.timing)"""

_DUE: Final = """
select name, kind, timing, next_at, clock_timestamp() as now from job_schedules
where name = any($1) and next_at <= clock_timestamp() order by name for update skip locked"""

_BUSY: Final = "select exists (select from jobs where state = 2 and kind = $1 and key = $2)"

_FIRED: Final = """
update job_schedules set next_at = $2, fired_at = case when $3 then next_at else fired_at end,
    fired = fired + $3::integer, skipped = skipped + 1 - $3::integer
where name = $1"""


def key_of(name: str) -> str:
    """The key of a schedule's jobs, and by it the name is known again."""
    return f"schedule:{name}"


def name_of(key: str | None) -> str:
    """Whose job it is; nothing where it is no schedule's."""
    return key.removeprefix("schedule:") if key is not None and key.startswith("schedule:") else ""


async def register(tx: asyncpg.Connection, crons: Sequence[Cron]) -> None:
    """Writes down what there is. One by intervals is due at once when it is new; one whose timing changed, at its next moment."""
    now: datetime = await tx.fetchval("select clock_timestamp()")
    for cron in sorted(crons, key=lambda one: one.name):
        timing = describe(cron.at, cron.every_s)
        await tx.execute(_REGISTER, cron.name, cron.kind, timing, now if cron.every_s else next_after(timing, now))


async def tick(tx: asyncpg.Connection, crons: Mapping[str, Cron]) -> int:
    """Turns what is due, of the schedules that this version knows, into jobs; how many."""
    fired = 0
    for row in await tx.fetch(_DUE, list(crons)):
        cron = crons[row["name"]]
        key = key_of(cron.name)
        is_free = not await tx.fetchval(_BUSY, cron.kind, key)
        fires = is_free and await enqueue(tx, Order(cron.kind, pack(cron.payload), key=key)) == 1
        await tx.execute(_FIRED, cron.name, next_after(row["timing"], row["now"]), fires)
        fired += fires
    return fired


async def note_ended(tx: asyncpg.Connection, names: Sequence[str], error: str = "") -> None:
    """What became of a schedule's last job: done, or why an attempt failed."""
    await tx.execute(
        "update job_schedules set error = left($2, 2000), ended_at = case when $2 = '' then clock_timestamp() else ended_at end"
        " where name = any($1)",
        sorted(names),
        error,
    )


async def forget_jobs(tx: asyncpg.Connection) -> int:
    """Deletes dead letters, sums and schedules that are kept no longer; how many, some thousand at most."""
    gone = 0
    for statement, argument in (
        ("select id from dead_jobs where died_at < now() - make_interval(days => $1) order by died_at limit $2", DEAD_DAYS),
        ("select id from dead_jobs order by died_at desc offset $1 limit $2", DEAD_MAX),
    ):
        deleted: str = await tx.execute(f"delete from dead_jobs where id = any (array({statement}))", argument, FORGOTTEN_MAX)
        gone += int(deleted.rpartition(" ")[2])
    deleted = await tx.execute("delete from job_tallies where hour < now() - make_interval(days => $1)", TALLY_DAYS)
    gone += int(deleted.rpartition(" ")[2])
    deleted = await tx.execute("delete from job_schedules where next_at < now() - make_interval(days => $1)", UNKNOWN_DAYS)
    return gone + int(deleted.rpartition(" ")[2])
