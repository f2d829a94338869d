"""The audit log: who did what to whom. Written in the transaction of the deed, so that neither exists without the other.

    record(tx, Deed(…)) ─▶ audit_log, by month ─▶ PostgresAudit: pages by (time, number), for staff
                              │
                              ╰─ a trigger refuses changes and deletions; `forget` lets go of whole months when their time is over

Kept by month; months ahead are prepared by a daily job. A month that nobody prepared fills the default partition, whose rows move when the
month is made, so nothing is ever lost for want of a partition.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Final

import asyncpg
import msgspec
from msgspec import Struct

from actors.accounts import Caller, Claims
from actors.audit import ACTIONS, EXPORT_BEHIND_S, EXPORT_PAGE, PAGE_MAX, AuditPage, Cursor, Line, Wanted
from persistence.bridge import Bridge

MONTHS_AHEAD: Final = 3
KEEP_DAYS: Final = 730
KEEP_DAYS_MIN: Final = 30
"""As prune_audit has it."""
FIND_S: Final = 10.0


class Deed(Struct, frozen=True):
    """One line. `action` is one of `actors.audit.ACTIONS`; `actor` 0 is the system. `detail`: numbers, states and names of settings."""

    actor: int
    action: str
    space: int | None = None
    subject: int | None = None
    address: str | None = None
    detail: dict[str, Any] = {}


async def record(tx: asyncpg.Connection, *deeds: Deed, device: int = 0) -> None:
    """Writes deeds down, inside the caller's transaction. `device`: the one that did them, where a deed has no address of its own: that of
    its session is taken."""
    for deed in deeds:
        assert deed.action in ACTIONS, f"{deed.action!r} is declared nowhere; actors.audit.ACTIONS is the place"
    await tx.execute(
        "insert into audit_log (actor, action, space_id, subject, address, detail)"
        " select a, b, c, d, coalesce(e, (select s.address from sessions s where s.device_id = $7 and s.revoked_at is null"
        "  order by s.last_seen_at desc limit 1)), f::jsonb"
        " from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[]) as x (a, b, c, d, e, f)",
        [deed.actor for deed in deeds],
        [deed.action for deed in deeds],
        [deed.space for deed in deeds],
        [deed.subject for deed in deeds],
        [deed.address for deed in deeds],
        [msgspec.json.encode(deed.detail).decode() for deed in deeds],
        device,
    )


async def prepare(tx: asyncpg.Connection, months_ahead: int = MONTHS_AHEAD) -> int:
    """Makes the partitions of this month and the next ones; returns how many were missing."""
    made: int = await tx.fetchval("select prepare_audit_partitions($1)", months_ahead)
    return made


async def forget(tx: asyncpg.Connection, *, keep_days: int = KEEP_DAYS) -> int:
    """Lets go of the months that ended more than `keep_days` ago (at least `KEEP_DAYS_MIN`); how many."""
    dropped: int = await tx.fetchval("select prune_audit(now() - make_interval(days => $1))", keep_days)
    return dropped


# Times are compared as they are stored, to the microsecond; `at` alone decides which months are looked at.
_WHERE: Final = """
where ($1::bigint is null or space_id = $1) and ($2::bigint is null or actor = $2) and ($3::bigint is null or subject = $3)
  and ($4::text is null or action = $4)
  and at >= coalesce(to_timestamp($5::float8), '-infinity') and at < coalesce(to_timestamp($6::float8), 'infinity')
"""
_COLUMNS: Final = (
    "select id, (extract(epoch from at) * 1000000)::bigint as at_us,"
    " to_char(at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') as at_text,"
    " actor, action, space_id, subject, address, detail::text as detail from audit_log"
)
_NEWEST: Final = (
    f"{_COLUMNS} {_WHERE}"
    " and ($7::bigint is null or (at, id) < ('epoch'::timestamptz + $7 * interval '1 microsecond', $8))"
    " order by at desc, id desc limit $9"
)
_OLDEST: Final = (
    f"{_COLUMNS} {_WHERE}"
    " and ($7::bigint is null or (at, id) > ('epoch'::timestamptz + $7 * interval '1 microsecond', $8))"
    " order by at, id limit $9"
)


class PostgresAudit:
    """Implements `actors.audit.AuditLog`."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    async def find(self, wanted: Wanted, after: Cursor | None, limit: int) -> AuditPage:
        limit = min(limit, PAGE_MAX)
        rows = await self._read(_NEWEST, wanted, after, limit + 1)
        # One more was asked for, so that a page is never followed by an empty one.
        shown = rows[:limit]
        more = Cursor(shown[-1]["at_us"], shown[-1]["id"]) if len(rows) > limit else None
        return AuditPage(tuple(_line(row) for row in shown), more)

    async def begin_export(self, wanted: Wanted, claims: Claims, caller: Caller) -> int:
        async def work(tx: asyncpg.Connection) -> int:
            deed = Deed(claims.user, "audit_exported", wanted.space, wanted.subject, caller.address, {"actor": wanted.actor})
            await record(tx, deed)
            now: int = await tx.fetchval("select extract(epoch from now())::bigint")
            return now

        until = await self._bridge.run(work, deadline_s=FIND_S) - EXPORT_BEHIND_S
        return until if wanted.until is None else min(until, wanted.until)

    async def export(self, wanted: Wanted, until: int) -> AsyncIterator[tuple[Line, ...]]:
        bounded = msgspec.structs.replace(wanted, until=until)
        after: Cursor | None = None
        while rows := await self._read(_OLDEST, bounded, after, EXPORT_PAGE):
            yield tuple(_line(row) for row in rows)
            after = Cursor(rows[-1]["at_us"], rows[-1]["id"])

    async def _read(self, sql: str, wanted: Wanted, after: Cursor | None, limit: int) -> list[asyncpg.Record]:
        work = partial(_fetch, sql=sql, wanted=wanted, after=after, limit=limit)
        return await self._bridge.run(work, deadline_s=FIND_S, readonly=True)


async def _fetch(tx: asyncpg.Connection, *, sql: str, wanted: Wanted, after: Cursor | None, limit: int) -> list[asyncpg.Record]:
    place = (None, None) if after is None else (after.at_us, after.id)
    bounds = (wanted.space, wanted.actor, wanted.subject, wanted.action, wanted.since, wanted.until)
    return list(await tx.fetch(sql, *bounds, *place, limit))


def _line(row: asyncpg.Record) -> Line:
    detail = msgspec.json.decode(row["detail"])
    return Line(row["id"], row["at_text"], row["actor"], row["action"], row["space_id"], row["subject"], row["address"], detail)
