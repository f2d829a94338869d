"""Which devices of a person are pushed to, sealed at rest: implements `actors.push.Subscriptions`.

    subscribe ─▶ one row an address, sealed │ plain, while a worker of the version before is there to read it
    sweep     ─▶ those of devices on which nobody is logged in any more go                                              the hourly job
    reseal    ─▶ the next rows that are plain, or sealed by an older key, are sealed by the present one        the hourly job

Invariant: a row holds an address in one way: sealed, beside a hash that tells nothing of it, or plain, as the version before wrote it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from typing import Final

import asyncpg

from actors.push import SUBSCRIPTIONS_MAX, Service, Subscribed, Subscription, SubscriptionSeals
from persistence.bridge import Bridge

CALL_S: Final = 5.0
RESEALED_MAX: Final = 200
"""In one transaction."""
SWEPT_MAX: Final = 2_000
"""Looked at in one transaction."""
SEALED_ADDRESS: Final = "-"
"""Stands where an address stood."""

# A worker that does not say that it opens seals would take one for an address that is none, and forget the subscription.
_ALL_OPEN: Final = "select not exists (select from job_workers where leased_until > now() and not opens_seals)"
_KNOWN: Final = "select id from push_subscriptions where service = $1 and hash = any($2) order by id for update"
_WRITE: Final = """
insert into push_subscriptions (user_id, device_id, service, address, hash, p256dh, auth, sealed, sealed_by)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (service, hash) do update set user_id = excluded.user_id, device_id = excluded.device_id, address = excluded.address,
    p256dh = excluded.p256dh, auth = excluded.auth, sealed = excluded.sealed, sealed_by = excluded.sealed_by, created_at = now()
returning id"""
_REWRITE: Final = """
update push_subscriptions set user_id = $1, device_id = $2, service = $3, address = $4, hash = $5, p256dh = $6, auth = $7, sealed = $8,
    sealed_by = $9, created_at = now()
where id = $10"""
_CROWD: Final = """
delete from push_subscriptions where user_id = $1 and id in (
    select id from push_subscriptions where user_id = $1 order by created_at desc, id desc offset $2
)"""
_NEXT: Final = """
select id, user_id, service, address, p256dh, auth, sealed, sealed_by from push_subscriptions
where sealed_by = any($1) and id > $2 order by id limit $3 for update skip locked"""
_SEAL: Final = """
update push_subscriptions set address = $2, hash = $3, p256dh = '', auth = '', sealed = $4, sealed_by = $5 where id = $1"""
# By their numbers rather than all at once: how many are looked at does not depend on how many are to go.
_NEXT_ENDED: Final = """
with looked as materialized (select id, device_id from push_subscriptions where id > $1 order by id limit $2),
gone as (
    delete from push_subscriptions p using looked l where p.id = l.id and not exists (
        select from sessions s where s.device_id = l.device_id and s.revoked_at is null and s.expires_at > now()
    ) returning 1
)
select coalesce((select max(id) from looked), 0), (select count(*) from gone)"""
_FORGET_ENDED: Final = """
delete from push_subscriptions p where p.id = $1 and p.user_id = $2 and not exists (
    select from sessions s where s.device_id = p.device_id and s.revoked_at is null and s.expires_at > now()
)"""
SEALED: Final = """
select sealed_by, count(*) from (select sealed_by from push_subscriptions limit 200000) p group by sealed_by"""
"""How many by each key; '' for those that are not sealed yet."""


class PostgresSubscriptions:
    """See `actors.push.Subscriptions` for what each method means."""

    def __init__(self, bridge: Bridge, seals: SubscriptionSeals) -> None:
        self._bridge = bridge
        self._seals = seals

    async def subscribe(self, user: int, device: int, subscription: Subscription) -> int:
        return await self._bridge.run(
            partial(_subscribe, seals=self._seals, user=user, device=device, subscription=subscription), deadline_s=CALL_S
        )

    async def subscriptions(self, user: int) -> tuple[Subscribed, ...]:
        async def work(tx: asyncpg.Connection) -> tuple[Subscribed, ...]:
            rows = await tx.fetch(
                "select id, service, device_id, extract(epoch from created_at)::bigint from push_subscriptions"
                " where user_id = $1 order by id limit $2",
                user,
                SUBSCRIPTIONS_MAX,
            )
            return tuple(Subscribed(*row) for row in rows)

        return await self._bridge.run(work, deadline_s=CALL_S, readonly=True)

    async def unsubscribe(self, user: int, id: int) -> bool:
        async def work(tx: asyncpg.Connection) -> bool:
            done: str = await tx.execute("delete from push_subscriptions where user_id = $1 and id = $2", user, id)
            return done.endswith(" 1")

        return await self._bridge.run(work, deadline_s=CALL_S)

    async def reseal(self, after: int = 0) -> tuple[int, int]:
        """Seals the next rows beyond `after` that are plain or sealed by an older key: the last one looked at (0: there was none), and how
        many were sealed. What no key opens any more is left as it is. For a job; raises `StorageError`."""
        return await self._bridge.run(partial(_reseal, seals=self._seals, after=after), deadline_s=CALL_S)

    async def sweep(self, after: int = 0) -> tuple[int, int]:
        """Looks at the next subscriptions beyond `after` and deletes those whose device has no living session: the last one looked at (0:
        there was none), and how many went. For a job; raises `StorageError`."""

        async def work(tx: asyncpg.Connection) -> tuple[int, int]:
            last, gone = await tx.fetchrow(_NEXT_ENDED, after, SWEPT_MAX)
            return last, gone

        return await self._bridge.run(work, deadline_s=CALL_S)


async def forget_ended(tx: asyncpg.Connection, id: int, user: int) -> None:
    """Deletes a subscription if nobody is logged in on its device any more."""
    await tx.execute(_FORGET_ENDED, id, user)


def read_subscription(row: asyncpg.Record, user: int, seals: SubscriptionSeals) -> Subscription | None:
    """What a row says; None where the key that sealed it has left the key file."""
    if row["sealed_by"]:
        return seals.open(user, row["sealed"])
    return Subscription(Service(row["service"]), row["address"], row["p256dh"], row["auth"])


async def _subscribe(tx: asyncpg.Connection, seals: SubscriptionSeals, user: int, device: int, subscription: Subscription) -> int:
    address, service = subscription.address, int(subscription.service)
    if await tx.fetchval(_ALL_OPEN):
        sealed = seals.seal(user, subscription)
        values = (user, device, service, SEALED_ADDRESS, _hash(address), b"", b"", sealed, seals.key_name)
    else:
        values = (user, device, service, address, _plain_hash(address), subscription.p256dh, subscription.auth, b"", "")
    # The same address again is the same subscription, whichever way it was written.
    known: list[int] = [row["id"] for row in await tx.fetch(_KNOWN, service, [_hash(address), _plain_hash(address)])]
    if known:
        await tx.execute("delete from push_subscriptions where id = any($1)", known[1:])
        await tx.execute(_REWRITE, *values, known[0])
        id = known[0]
    else:
        id = await tx.fetchval(_WRITE, *values)
    await tx.execute(_CROWD, user, SUBSCRIPTIONS_MAX)
    return id


async def _reseal(tx: asyncpg.Connection, seals: SubscriptionSeals, after: int) -> tuple[int, int]:
    if not await tx.fetchval(_ALL_OPEN):
        return 0, 0
    rows: Sequence[asyncpg.Record] = await tx.fetch(_NEXT, ["", *seals.older_keys], after, RESEALED_MAX)
    done = 0
    for row in rows:
        subscription = read_subscription(row, row["user_id"], seals)
        if subscription is None:
            continue
        hash = _hash(subscription.address)
        # A gateway of the version before wrote this one beside it, and later.
        await tx.execute("delete from push_subscriptions where service = $1 and hash = $2 and id <> $3", row["service"], hash, row["id"])
        sealed = seals.seal(row["user_id"], subscription)
        await tx.execute(_SEAL, row["id"], SEALED_ADDRESS, hash, sealed, seals.key_name)
        done += 1
    return (rows[-1]["id"] if rows else 0), done


def _plain_hash(address: str) -> bytes:
    return hashlib.sha256(address.encode()).digest()


def _hash(address: str) -> bytes:
    return hashlib.sha256(b"sealed\0" + address.encode()).digest()
