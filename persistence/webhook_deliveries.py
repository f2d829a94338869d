"""The deliveries of webhooks, from the log to the receiver and back: implements `actors.webhooks.Deliveries`.

    order_due ─▶ jobs for the subscriptions that have something after their cursors
    take ──────▶ lease the subscription, and the oldest of its streams' next events       webhook_take, one call
    settle ────▶ log the attempt ─▶ taken: cursor on │ not: later │ for too long: given up, the owners are told, the audit has it

A worker that is killed leaves a lease that ends by itself; the next one sends the same event under the same id.

Invariant: only the holder of the last lease moves a cursor, and never one that was set back since it took the event.
"""

from __future__ import annotations

from typing import Final

import asyncpg
from msgspec import Struct

from actors.jobs import Order, pack
from actors.notices import Notice, NoticeKind
from actors.webhooks import Due, SealedSecret, Settled, Tally
from persistence.audit import Deed, record
from persistence.bridge import Bridge
from persistence.jobs.enqueue import enqueue
from persistence.notices import notify

DEADLINE_S: Final = 5.0
WINDOW: Final = 1_000
"""Events of a stream that are looked through in one go for one that is wanted."""
ORDERED_MAX: Final = 200
"""Subscriptions ordered in one look; the rest are a second later."""
OWNERS_TOLD_MAX: Final = 20
JOB: Final = "webhooks.deliver"

_TALLY: Final = """
select count(*) filter (where state = 1) as active, count(*) filter (where state = 1 and attempts > 0) as failing,
    count(*) filter (where state = 2) as paused, count(*) filter (where state = 3) as given_up,
    coalesce(max(extract(epoch from now())::bigint - (
        select min(l.at) from streams s left join webhook_cursors c on c.webhook_id = w.id and c.stream_id = s.id
        join log l on l.stream_id = s.id and l.seq = coalesce(c.after, 0) + 1
        where s.space_id = w.space_id and s.read_roles & w.role <> 0 and s.head > coalesce(c.after, 0)
    )) filter (where state = 1), 0) as lag_s
from webhooks w
"""
_SETTLE: Final = """
update webhooks set leased_until = '-infinity',
    attempts = case when $3 then 0 else attempts + 1 end,
    failing_since = case when $3 then null else coalesce(failing_since, now()) end,
    due_at = now() + make_interval(secs => $4),
    state = case when $5 <> '' and state = 1 then 3 else state end,
    reason = case when $5 <> '' and state = 1 then $5 else reason end,
    delivered = delivered + case when $3 then 1 else 0 end, delivered_at = case when $3 then now() else delivered_at end
where id = $1 and lease = $2 returning created_by, name, $5 <> '' and state = 3 as given_up
"""


class Delivery(Struct, frozen=True):
    """The payload of a job: which subscription to deliver to. What is due is read from the streams then."""

    webhook: int


class PostgresDeliveries:
    """See `actors.webhooks.Deliveries` for what each method means."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    async def take(self, webhook: int, lease_s: float) -> Due | bool:
        async def work(tx: asyncpg.Connection) -> Due | bool:
            row = await tx.fetchrow("select * from webhook_take($1, $2, $3)", webhook, lease_s, WINDOW)
            if row is None:
                return False
            if not row["found"]:
                return bool(row["behind"])
            return Due(webhook, *(row[field] for field in Due.__struct_fields__[1:]))

        return await self._bridge.run(work, deadline_s=DEADLINE_S)

    async def settle(self, due: Due, settled: Settled) -> bool:
        async def work(tx: asyncpg.Connection) -> bool:
            return await _settle(tx, due, settled)

        return await self._bridge.run(work, deadline_s=DEADLINE_S)

    async def replace_seal(self, webhook: int, before: bytes, after: bytes) -> None:
        async def work(tx: asyncpg.Connection) -> None:
            await tx.execute("update webhooks set secret = $3 where id = $1 and secret = $2", webhook, before, after)

        await self._bridge.run(work, deadline_s=DEADLINE_S)

    async def sealed_by_others(self, key: bytes, limit: int) -> tuple[SealedSecret, ...]:
        async def work(tx: asyncpg.Connection) -> tuple[SealedSecret, ...]:
            rows = await tx.fetch(
                "select id, space_id, secret from webhooks where substring(secret from 1 for $2) <> $1 order by id limit $3",
                key,
                len(key),
                limit,
            )
            return tuple(SealedSecret(*row) for row in rows)

        return await self._bridge.run(work, deadline_s=DEADLINE_S, readonly=True)

    async def order_due(self) -> int:
        """Orders a job for each subscription that has something to send and nobody at work; how many. May raise `StorageError`."""

        async def work(tx: asyncpg.Connection) -> int:
            due = {row[0] for row in await tx.fetch("select * from webhooks_due($1)", ORDERED_MAX)}
            rows = await tx.fetch("select id, space_id from webhooks where id = any($1) order by id", list(due)) if due else []
            orders = (Order(JOB, pack(Delivery(id)), key=str(id), space=space) for id, space in rows)
            return await enqueue(tx, *orders) if rows else 0

        return await self._bridge.run(work, deadline_s=DEADLINE_S)

    async def tally(self) -> Tally:
        """All subscriptions in figures. May raise `StorageError`."""

        async def work(tx: asyncpg.Connection) -> Tally:
            return Tally(**dict(await tx.fetchrow(_TALLY)))

        return await self._bridge.run(work, deadline_s=DEADLINE_S, readonly=True)


async def _settle(tx: asyncpg.Connection, due: Due, settled: Settled) -> bool:
    taken = settled.retry_s is None and not settled.give_up
    row = await tx.fetchrow(_SETTLE, due.webhook, due.lease, taken, settled.retry_s or 0.0, settled.give_up)
    exists = row is not None or await tx.fetchval("select id from webhooks where id = $1 for key share", due.webhook) is not None
    if not exists:
        return False  # deleted while it was sent
    await tx.execute(
        "insert into webhook_deliveries (webhook_id, stream_id, seq, attempt, status, took_ms, answer) values ($1, $2, $3, $4, $5, $6, $7)",
        due.webhook,
        due.stream,
        due.seq,
        due.attempts + 1,
        settled.status,
        settled.took_ms,
        settled.answer.replace("\0", " "),
    )
    if row is None:
        return False
    if taken:
        await tx.execute(
            "insert into webhook_cursors as c (webhook_id, stream_id, after) values ($1, $2, $3)"
            " on conflict (webhook_id, stream_id) do update set after = greatest(c.after, excluded.after) where c.replays = $4",
            due.webhook,
            due.stream,
            due.seq,
            due.replays,
        )
    if row["given_up"]:
        deed = Deed(0, "webhook_paused", due.space, due.webhook, detail={"stream": due.stream, "seq": due.seq, "status": settled.status})
        await record(tx, deed)
        owners = await tx.fetch(
            "select user_id from members where space_id = $1 and (role = 1 or user_id = $2) order by user_id limit $3",
            due.space,
            row["created_by"],
            OWNERS_TOLD_MAX,
        )
        words = f"The webhook {row['name']!r} was paused: {settled.give_up}"
        notices = (Notice(one["user_id"], NoticeKind.OTHER, space=due.space, subject=due.webhook, words=words) for one in owners)
        await notify(tx, *notices)
    return True
