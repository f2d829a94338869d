"""Letting go: uploads whose time is over or whose message is gone, and bytes that nobody refers to any more.

    uploads ─ not attached in time, or their message is no more ─▶ deleted ─ a trigger ─▶ upload_leavings
    upload_leavings ─▶ pieces forgotten; an object nobody refers to: state 2, then its bytes, then its row

Whoever deletes rows of `uploads` (erasures do) needs to do nothing more: the trigger orders this job.

Invariant: an object's bytes are deleted only between two transactions of which the first has seen, under its lock, that nobody refers to
it, and after which nobody can.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import asyncpg

from actors.jobs import Work
from persistence.bridge import Bridge
from persistence.objects import Objects
from persistence.uploads.rules import Collect

CALL_S: Final = 30.0
ROWS_MAX: Final = 500
_EXPIRED: Final = (
    "delete from uploads where id in (select id from uploads where stream_id = 0 and expires_at < now() order by expires_at limit $1)"
)
# A message that was taken back by moderation is in `held` as long as it may come back, with its files' hashes in it.
_ORPHANED: Final = """
with looked as materialized (
    select u.id, u.user_id, u.stream_id, u.seq, u.sha256 from uploads u
    where u.stream_id > 0 and not u.shelved and u.id > $1 order by u.id limit $2
),
gone as (
    select s.id from looked s
    where not exists (select from log l where l.stream_id = s.stream_id and l.seq = s.seq and l.kind = 6)
        and not exists (
            select from held h where h.author = s.user_id and h.stream_id = s.stream_id and h.body is not null
                and position(s.sha256 in h.body) > 0)
),
deleted as (delete from uploads u using gone g where u.id = g.id returning u.id)
select (select max(id) from looked) as upto, (select count(*) from looked)::int as seen, (select count(*) from deleted)::int as deleted
"""
_LEAVINGS: Final = "select upload_id, sha256 from upload_leavings order by upload_id limit $1"


class Collector:
    """Runs jobs of this kind."""

    def __init__(self, bridge: Bridge, objects: Objects) -> None:
        self._bridge = bridge
        self._objects = objects

    async def sweep(self, work: Work[Any]) -> None:
        """By the clock: what is over, and then what that leaves."""
        total, deleted = 0, ROWS_MAX
        while deleted == ROWS_MAX:
            deleted = await self._bridge.run(_expire, deadline_s=CALL_S)
            work.report(total := total + deleted, 0, "uploads")
        after: int | None = 0
        while after is not None:
            after, deleted = await self._bridge.run(partial(_collect_orphans, after=after), deadline_s=CALL_S)
            work.report(total := total + deleted, 0, "uploads")
        await self._let_go()

    async def collect(self, work: Work[Collect]) -> None:
        """The job that the trigger orders."""
        await self._let_go()

    async def _let_go(self) -> None:
        while leavings := await self._bridge.run(_read_leavings, deadline_s=CALL_S, readonly=True):
            for upload, sha256 in leavings:
                await self._objects.forget_pieces(upload)
                if sha256 is not None and await self._bridge.run(partial(_condemn, sha256=sha256), deadline_s=CALL_S):
                    await self._objects.forget(sha256)
                await self._bridge.run(partial(_forget, upload=upload, sha256=sha256), deadline_s=CALL_S)


async def _expire(tx: asyncpg.Connection) -> int:
    status: str = await tx.execute(_EXPIRED, ROWS_MAX)
    return int(status.rpartition(" ")[2])


async def _collect_orphans(tx: asyncpg.Connection, after: int) -> tuple[int | None, int]:
    row = await tx.fetchrow(_ORPHANED, after, ROWS_MAX)
    assert row is not None
    return (row["upto"] if row["seen"] == ROWS_MAX else None), row["deleted"]


async def _read_leavings(tx: asyncpg.Connection) -> list[tuple[int, bytes | None]]:
    rows = await tx.fetch(_LEAVINGS, ROWS_MAX)
    return [(row["upload_id"], None if row["sha256"] is None else bytes(row["sha256"])) for row in rows]


async def _condemn(tx: asyncpg.Connection, sha256: bytes) -> bool:
    """Whether the object is nobody's; then nobody can refer to it any more."""
    state: int | None = await tx.fetchval("select state from objects where sha256 = $1 for update", sha256)
    if state is None or await tx.fetchval("select exists (select from uploads where sha256 = $1)", sha256):
        return False
    await tx.execute("update objects set state = 2 where sha256 = $1", sha256)
    return True


async def _forget(tx: asyncpg.Connection, upload: int, sha256: bytes | None) -> None:
    await tx.execute("delete from objects where sha256 = $1 and state = 2", sha256)
    await tx.execute("delete from upload_leavings where upload_id = $1", upload)
