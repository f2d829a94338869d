"""The devices that stand for keys of requests; see `actors.http_writing`.

Invariant: such a device is never listed, attached or borrowed: it has no session.
"""

from __future__ import annotations

from typing import Final

import asyncpg

from actors.http_writing import KEPT_S, Stamp
from persistence.bridge import Bridge

DEADLINE_S: Final = 5.0
_NONE: Final = "select 0::bigint, 0, coalesce(account_trust($1), 0)"
# The update changes nothing: it is there to find the row of whoever came first.
_KEYED: Final = """
with found as (
    insert into devices (user_id, name, idempotency) values ($1, '', $2)
    on conflict (user_id, idempotency) where idempotency is not null do update set idempotency = excluded.idempotency
    returning id, generation
)
select id, generation, coalesce(account_trust($1), 0) from found"""
_SWEEP: Final = """
with old as (
    select id from devices where idempotency is not null and seen_at < now() - make_interval(secs => $1)
    order by seen_at limit $2 for update skip locked
),
said as (delete from outcomes where device_id in (select id from old))
delete from devices where id in (select id from old) returning id"""


class PostgresWriting:
    """Implements `actors.http_writing.Writing`."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    async def stamp(self, user: int, key: bytes) -> Stamp:
        async def work(connection: asyncpg.Connection) -> Stamp:
            row = await (connection.fetchrow(_KEYED, user, key) if key else connection.fetchrow(_NONE, user))
            assert row is not None
            device, generation, trust = row
            return Stamp(device, generation, 1 if device else 0, trust)

        return await self._bridge.run(work, deadline_s=DEADLINE_S)


async def sweep_keys(tx: asyncpg.Connection, limit: int = 1000) -> int:
    """Forgets up to `limit` keys whose day is over; how many."""
    return len(await tx.fetch(_SWEEP, KEPT_S, limit))
