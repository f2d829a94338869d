"""The audit log: who did what to whom. Written in the transaction of the deed, so that neither exists without the other.

    record(tx, Deed(…)) ─▶ audit_log, by month ─▶ PostgresAudit: pages by (time, number), for staff
                              │
                              ╰─ a trigger refuses changes and deletions; `forget` lets go of whole months when their time is over

Kept by month; months ahead are prepared by a daily job. A month that nobody prepared fills the default partition, whose rows move when the
month is made, so nothing is ever lost for want of a partition.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
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


_COLUMNS: Final = (
    "select id, (extract(epoch from at) * 1000000)::bigint as at_us,"
    " to_char(at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') as at_text,"
    " actor, action, space_id, subject, address, detail::text as detail from audit_log"
)


def statement(wanted: Wanted, after: Cursor | None, limit: int, *, newest_first: bool) -> tuple[str, list[object]]:
    """The question and its arguments. Only what is asked for stands in it: for a condition that may be left out ("is null or …") the plan
    that Postgres keeps uses no index."""
    arguments: list[object] = []

    def given(value: object) -> str:
        arguments.append(value)
        return f"${len(arguments)}"

    conditions = [
        f"{column} = {given(value)}"
        for column, value in (
            ("space_id", wanted.space),
            ("actor", wanted.actor),
            ("subject", wanted.subject),
            ("action", wanted.action),
        )
        if value is not None
    ]
    if wanted.since is not None:
        conditions.append(f"at >= to_timestamp({given(wanted.since)}::float8)")
    if wanted.until is not None:
        conditions.append(f"at < to_timestamp({given(wanted.until)}::float8)")
    if after is not None:
        # Times are compared as they are stored, to the microsecond.
        at = f"'epoch'::timestamptz + {given(after.at_us)}::bigint * interval '1 microsecond'"
        conditions.append(f"(at, id) {'<' if newest_first else '>'} ({at}, {given(after.id)})")
    where = f" where {' and '.join(conditions)}" if conditions else ""
    order = "at desc, id desc" if newest_first else "at, id"
    return f"{_COLUMNS}{where} order by {order} limit {given(limit)}", arguments


class PostgresAudit:
    """Implements `actors.audit.AuditLog`."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    async def find(self, wanted: Wanted, after: Cursor | None, limit: int) -> AuditPage:
        limit = min(limit, PAGE_MAX)
        rows = await self._read(statement(wanted, after, limit + 1, newest_first=True))
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
        while rows := await self._read(statement(bounded, after, EXPORT_PAGE, newest_first=False)):
            yield tuple(_line(row) for row in rows)
            after = Cursor(rows[-1]["at_us"], rows[-1]["id"])

    async def _read(self, asked: tuple[str, list[object]]) -> list[asyncpg.Record]:
        sql, arguments = asked

        async def work(tx: asyncpg.Connection) -> list[asyncpg.Record]:
            return list(await tx.fetch(sql, *arguments))

        return await self._bridge.run(work, deadline_s=FIND_S, readonly=True)


def _line(row: asyncpg.Record) -> Line:
    detail = msgspec.json.decode(row["detail"])
    return Line(row["id"], row["at_text"], row["actor"], row["action"], row["space_id"], row["subject"], row["address"], detail)
