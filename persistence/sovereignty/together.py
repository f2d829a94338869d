"""What a mentor and a learner wrote together goes with either of them: goals and meetings say of both what they want, and when and where.

    records ─▶ deleted as the server deletes, so that the other's devices drop them ─▶ the log up to there, earlier values, tombstones

A device that was away for it is behind the stream's floor, and takes a snapshot, in which nothing is.

Invariant: after the last step no row of these streams has a word of either.
"""

from __future__ import annotations

from typing import Final

import asyncpg

from actors.storage import Fact
from persistence.records import Write, write_records

RECORDS_MAX: Final = 200
ROWS_MAX: Final = 5_000

STREAMS: Final = "select o.records from mentorships o where (o.mentor = $1 or o.learner = $1) and o.records > 0"
"""Of $1, the streams of goals and meetings."""
_NEXT: Final = f"""
select s.id, exists (select from records r where r.stream_id = s.id) as is_written from streams s
where s.id in ({STREAMS}) and (
    s.floor < s.head or exists (select from log l where l.stream_id = s.id)
    or exists (select from records r where r.stream_id = s.id) or exists (select from tombstones t where t.stream_id = s.id)
    or exists (select from entity_versions v where v.stream_id = s.id) or exists (select from sync_conflicts c where c.stream_id = s.id))
order by s.id limit 1"""
_KEYS: Final = "select entity, key from records where stream_id = $1 order by entity, key limit $2"
_RAISE: Final = """
update streams s set floor = s.head,
    forgotten = greatest(s.forgotten, (select max(t.version) from tombstones t where t.stream_id = s.id))
where s.id = $1"""
_TABLES: Final = ("log", "entity_versions", "sync_conflicts", "tombstones")


async def forget_together(tx: asyncpg.Connection, user: int) -> tuple[int, list[Fact]]:
    """The next of it: how many rows, and the facts to be told once this is committed. 0: nothing is left."""
    row = await tx.fetchrow(_NEXT, user)
    if row is None:
        return 0, []
    stream = row["id"]
    if row["is_written"]:
        keys = await tx.fetch(_KEYS, stream, RECORDS_MAX)
        return len(keys), await write_records(tx, [Write(stream, entity, key, {}, gone=True) for entity, key in keys])
    # The floor before what is below it: whoever reads meanwhile is told to begin anew, and never that there is nothing.
    await tx.execute("select from streams where id = $1 for update", stream)
    await tx.execute(_RAISE, stream)
    deleted = 1
    for table in _TABLES:
        found = f"select ctid from {table} where stream_id = $1 limit {ROWS_MAX:d}"
        status: str = await tx.execute(f"delete from {table} where stream_id = $1 and ctid = any(array({found}))", stream)
        deleted += int(status.rpartition(" ")[2])
    return deleted, []
