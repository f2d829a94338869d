"""Subscriptions in Postgres, as a community's staff manage them: implements `actors.webhooks.Webhooks`.

    make ─▶ webhooks + a cursor at the head of every stream      pause, resume ─▶ state      replay ─▶ a cursor set back

Each is one transaction with its line in the audit. A subscription is told what a member of its role may read, and its role is never more
than that of who makes or changes it.

Invariant: nothing of another community's is found, changed or told apart from what there is not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import asyncpg

from actors.accounts import Caller, Claims, Declined
from actors.webhooks import (
    DELIVERIES_PAGE_MAX,
    WEBHOOKS_PER_COMMUNITY_MAX,
    DeliveryInfo,
    Position,
    Subscription,
    WebhookInfo,
    WebhookState,
)
from persistence.audit import Deed, record
from persistence.bridge import Bridge
from persistence.lanes import Work
from persistence.roles import held
from protocol.codes import Code
from protocol.permissions import BASE, mask
from protocol.values import Role

T = TypeVar("T")

DEADLINE_S: Final = 5.0
LOG_DAYS: Final = 30
SWEPT_MAX: Final = 10_000

NO_WEBHOOK: Final = Declined(Code.NOT_FOUND, "there is no such webhook here")
BEYOND: Final = Declined(Code.FORBIDDEN, "a webhook is told no more than who makes it may read: choose a lower role")

_INFO: Final = """
select w.id, w.name, w.url, w.kinds, w.role, w.state, w.reason, w.attempts, extract(epoch from w.due_at)::bigint as due_at, w.delivered,
    coalesce(extract(epoch from w.delivered_at), 0)::bigint as delivered_at, w.created_by,
    extract(epoch from w.created_at)::bigint as created_at,
    array(select row(s.id, least(coalesce(c.after, 0), s.head), s.head) from streams s
        left join webhook_cursors c on c.webhook_id = w.id and c.stream_id = s.id
        where s.space_id = w.space_id and s.read_roles & w.role <> 0 order by s.id) as positions
from webhooks w
"""
_MAKE: Final = """
insert into webhooks (space_id, name, url, kinds, role, secret, created_by) values ($1, $2, $3, $4, $5, $6, $7) returning id
"""
# Also streams that its role may not read: should it ever be allowed to, what lies before the subscription is not told.
_BEGIN: Final = "insert into webhook_cursors (webhook_id, stream_id, after) select $1, s.id, s.head from streams s where s.space_id = $2"


class PostgresWebhooks:
    """See `actors.webhooks.Webhooks` for what each method means."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    async def list(self, space: int) -> tuple[WebhookInfo, ...]:
        async def work(tx: asyncpg.Connection) -> tuple[WebhookInfo, ...]:
            rows = await tx.fetch(f"{_INFO} where w.space_id = $1 order by w.id", space)
            return tuple(_info(row) for row in rows)

        return await self._bridge.run(work, deadline_s=DEADLINE_S, readonly=True)

    async def make(self, claims: Claims, space: int, wanted: Subscription, sealed: bytes, caller: Caller) -> WebhookInfo | Declined:
        async def work(tx: asyncpg.Connection) -> WebhookInfo | Declined:
            if not await _sees(tx, claims.user, space, wanted.role):
                return BEYOND
            # Of two who count at once one waits here.
            await tx.execute("select from spaces where id = $1 for no key update", space)
            if await tx.fetchval("select count(*) from webhooks where space_id = $1", space) >= WEBHOOKS_PER_COMMUNITY_MAX:
                return Declined(Code.LIMIT, f"a community has at most {WEBHOOKS_PER_COMMUNITY_MAX} webhooks")
            made: int = await tx.fetchval(_MAKE, space, wanted.name, wanted.url, wanted.kinds, wanted.role, sealed, claims.user)
            await tx.execute(_BEGIN, made, space)
            await record(tx, Deed(claims.user, "webhook_made", space, made, caller.address, _detail(wanted)))
            return await _read(tx, made)

        return await self._run(work)

    async def set_secret(self, claims: Claims, space: int, webhook: int, sealed: bytes, former_s: int, caller: Caller) -> Declined | None:
        async def change(tx: asyncpg.Connection) -> None:
            await tx.execute(
                "update webhooks set former_secret = secret, former_until = now() + make_interval(secs => $3), secret = $2 where id = $1",
                webhook,
                sealed,
                former_s,
            )

        return await self._touch(claims, space, webhook, "webhook_secret_changed", caller, change)

    async def change(self, claims: Claims, space: int, webhook: int, wanted: Subscription, caller: Caller) -> WebhookInfo | Declined:
        async def work(tx: asyncpg.Connection) -> WebhookInfo | Declined:
            if not await _lock(tx, space, webhook):
                return NO_WEBHOOK
            if not await _sees(tx, claims.user, space, wanted.role):
                return BEYOND
            await tx.execute(
                "update webhooks set name = $2, url = $3, kinds = $4, role = $5, attempts = 0, failing_since = null, due_at = now()"
                " where id = $1",
                webhook,
                wanted.name,
                wanted.url,
                wanted.kinds,
                wanted.role,
            )
            await record(tx, Deed(claims.user, "webhook_changed", space, webhook, caller.address, _detail(wanted)))
            return await _read(tx, webhook)

        return await self._run(work)

    async def pause(self, claims: Claims, space: int, webhook: int, caller: Caller) -> Declined | None:
        async def change(tx: asyncpg.Connection) -> None:
            await tx.execute("update webhooks set state = $2, reason = '' where id = $1", webhook, WebhookState.PAUSED)

        return await self._touch(claims, space, webhook, "webhook_paused", caller, change)

    async def resume(self, claims: Claims, space: int, webhook: int, caller: Caller) -> Declined | None:
        async def change(tx: asyncpg.Connection) -> None:
            await tx.execute(_RESUME, webhook)

        return await self._touch(claims, space, webhook, "webhook_resumed", caller, change)

    async def replay(self, claims: Claims, space: int, webhook: int, stream: int, after: int, caller: Caller) -> Declined | None:
        async def work(tx: asyncpg.Connection) -> Declined | None:
            if not await _lock(tx, space, webhook):
                return NO_WEBHOOK
            head = await tx.fetchval(
                "select s.head from streams s join webhooks w on w.space_id = s.space_id and s.read_roles & w.role <> 0"
                " where s.id = $2 and w.id = $1",
                webhook,
                stream,
            )
            if head is None:
                return Declined(Code.NOT_FOUND, "this webhook is told of no such stream")
            if after > head:
                return Declined(Code.INVALID, f"the stream's last event is number {head}")
            await tx.execute(
                "insert into webhook_cursors as c (webhook_id, stream_id, after) values ($1, $2, $3)"
                " on conflict (webhook_id, stream_id) do update set after = excluded.after, replays = c.replays + 1",
                webhook,
                stream,
                after,
            )
            await tx.execute(_RESUME, webhook)
            deed = Deed(claims.user, "webhook_replayed", space, webhook, caller.address, {"stream": stream, "after": after})
            await record(tx, deed)
            return None

        return await self._run(work)

    async def delete(self, claims: Claims, space: int, webhook: int, caller: Caller) -> Declined | None:
        async def change(tx: asyncpg.Connection) -> None:
            await tx.execute("delete from webhooks where id = $1", webhook)

        return await self._touch(claims, space, webhook, "webhook_deleted", caller, change)

    async def deliveries(self, space: int, webhook: int, before: int, limit: int) -> tuple[DeliveryInfo, ...] | Declined:
        async def work(tx: asyncpg.Connection) -> tuple[DeliveryInfo, ...] | Declined:
            if await tx.fetchval("select id from webhooks where id = $1 and space_id = $2", webhook, space) is None:
                return NO_WEBHOOK
            rows = await tx.fetch(
                "select id, stream_id, seq, attempt, extract(epoch from at)::bigint as at, status, took_ms, answer from webhook_deliveries"
                " where webhook_id = $1 and ($2 = 0 or id < $2) order by id desc limit $3",
                webhook,
                before,
                min(limit, DELIVERIES_PAGE_MAX),
            )
            return tuple(DeliveryInfo(*row) for row in rows)

        return await self._bridge.run(work, deadline_s=DEADLINE_S, readonly=True)

    async def _touch(
        self, claims: Claims, space: int, webhook: int, action: str, caller: Caller, change: Callable[[asyncpg.Connection], Awaitable[None]]
    ) -> Declined | None:
        """A change that is one statement, and its line in the audit."""

        async def work(tx: asyncpg.Connection) -> Declined | None:
            if not await _lock(tx, space, webhook):
                return NO_WEBHOOK
            await change(tx)
            await record(tx, Deed(claims.user, action, space, webhook, caller.address))
            return None

        return await self._run(work)

    async def _run(self, work: Work[T]) -> T:
        return await self._bridge.run(work, deadline_s=DEADLINE_S)


async def sweep_deliveries(tx: asyncpg.Connection, *, log_days: int = LOG_DAYS) -> int:
    """Forgets attempts that were made long ago; how many, some thousand at most."""
    gone: int = await tx.fetchval(
        "with old as (select id from webhook_deliveries where at < now() - make_interval(days => $1) order by at limit $2),"
        " gone as (delete from webhook_deliveries d using old where d.id = old.id returning 1) select count(*) from gone",
        log_days,
        SWEPT_MAX,
    )
    return gone


_RESUME: Final = "update webhooks set state = 1, reason = '', attempts = 0, failing_since = null, due_at = now() where id = $1"


async def _lock(tx: asyncpg.Connection, space: int, webhook: int) -> bool:
    return await tx.fetchval("select id from webhooks where id = $1 and space_id = $2 for update", webhook, space) is not None


async def _sees(tx: asyncpg.Connection, user: int, space: int, role: Role) -> bool:
    """Whether somebody may read all that a member of `role` may."""
    return not mask(BASE[role]) & ~await held(tx, user, space) and await _base_covers(tx, user, space, role)


async def _base_covers(tx: asyncpg.Connection, user: int, space: int, role: Role) -> bool:
    # Streams are read by base roles alone. A lower value is a higher role.
    own: int | None = await tx.fetchval("select role from members where space_id = $1 and user_id = $2", space, user)
    return own is not None and own <= role


async def _read(tx: asyncpg.Connection, webhook: int) -> WebhookInfo:
    return _info(await tx.fetchrow(f"{_INFO} where w.id = $1", webhook))


def _info(row: asyncpg.Record) -> WebhookInfo:
    fields = dict(row)
    fields["kinds"] = tuple(fields["kinds"])
    fields["state"] = WebhookState(fields["state"])
    fields["positions"] = tuple(Position(*position) for position in fields["positions"])
    return WebhookInfo(**fields)


def _detail(wanted: Subscription) -> dict[str, object]:
    # Not the URL: its path may hold the receiver's own secret.
    return {"kinds": list(wanted.kinds), "role": int(wanted.role)}
