"""The horizon: how long the server remembers what was deleted, and the single writes of records. What stands is kept for ever.

    tombstones older than it ─▶ deleted; their streams remember the highest version among them
    unapplied changes that were closed longer ago ─▶ deleted
    streams of records ─▶ log rows older than it ─▶ deleted, the stream's floor raised in the same statement

Whoever was away for longer takes a snapshot instead of following: a position before the floor is answered with `RESET`. Messages have no
horizon; their log is what they are.

Invariant: floor < seq ≤ head is in the log, of every stream, in every snapshot of the database. A record's versions ascend for ever, also
where it is made again after its deletion was forgotten.
"""

from __future__ import annotations

from typing import Final

import asyncpg

from protocol.entities import RECORD_KINDS

HORIZON_S: Final = 90 * 24 * 3600.0
"""A term, and what a phone that was put away for one may have missed."""
TOMBSTONES_MAX: Final = 1_000
CLOSED_MAX: Final = 1_000
STREAMS_MAX: Final = 100
ROWS_MAX: Final = 1_000
"""In one transaction; of each stream, so that no writer waits long for it."""
COMPLETING: Final = 0x65_64_75_73
"""An advisory lock's key: two that complete at once would both find the same things missing."""

# Streams sorted and last, as everybody locks them.
_TOMBSTONES: Final = """
with old as materialized (
    select t.stream_id, t.entity, t.key, t.version from tombstones t where t.deleted_at < now() - make_interval(secs => $1)
    order by t.stream_id, t.entity, t.key limit $2 for update skip locked
),
locked as materialized (
    select s.id from streams s where s.id in (select o.stream_id from old o) order by s.id for update
),
raised as (
    update streams s set forgotten = greatest(s.forgotten, w.version)
    from locked l join (select o.stream_id, max(o.version) as version from old o group by o.stream_id) w on w.stream_id = l.id
    where s.id = l.id
)
delete from tombstones t using old o where t.stream_id = o.stream_id and t.entity = o.entity and t.key = o.key"""

# The oldest row of a stream says whether there is anything to do: positions are given in the order of time.
_LOG: Final = """
with due as materialized (
    select s.id, s.floor from streams s
    cross join lateral (select l.at from log l where l.stream_id = s.id and l.seq = s.floor + 1) f
    where s.kind = any($1::smallint[]) and s.floor < s.head and f.at < extract(epoch from now())::bigint - $2::bigint
    order by s.id limit $3 for update of s skip locked
),
cut as materialized (
    select d.id, d.floor, max(w.seq) as upto
    from due d cross join lateral (
        select l.seq, bool_and(l.at < extract(epoch from now())::bigint - $2::bigint) over (order by l.seq) as is_old
        from (select o.seq, o.at from log o where o.stream_id = d.id and o.seq > d.floor order by o.seq limit $4) l
    ) w
    where w.is_old group by d.id, d.floor
),
forgotten as (
    delete from log l using cut c where l.stream_id = c.id and l.seq > c.floor and l.seq <= c.upto returning 1
),
raised as (
    update streams s set floor = c.upto from cut c where s.id = c.id
)
select count(*)::int from forgotten"""


_CLOSED: Final = """
with old as materialized (
    select q.space_id, q.id from sync_queue q where q.closed_at < now() - make_interval(secs => $1)
    order by q.closed_at limit $2 for update skip locked
)
delete from sync_queue q using old o where q.space_id = o.space_id and q.id = o.id"""


async def forget(tx: asyncpg.Connection, horizon_s: float = HORIZON_S) -> int:
    """Deletes what is older than `horizon_s`, up to the bounds above; how many rows. 0: there is nothing more."""
    deleted: str = await tx.execute(_TOMBSTONES, horizon_s, TOMBSTONES_MAX)
    closed: str = await tx.execute(_CLOSED, horizon_s, CLOSED_MAX)
    forgotten: int = await tx.fetchval(_LOG, sorted(RECORD_KINDS), int(horizon_s), STREAMS_MAX, ROWS_MAX)
    return int(deleted.rpartition(" ")[2]) + int(closed.rpartition(" ")[2]) + forgotten


async def complete(tx: asyncpg.Connection) -> None:
    """Gives spaces the streams, and members the enrolments, that a node of the previous version made them without."""
    await tx.execute("select pg_advisory_xact_lock($1)", COMPLETING)
    await tx.execute("select complete_spaces()")
