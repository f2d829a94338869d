"""An account's devices: which there are, what they are called, which of them are in use.

Invariant: nobody is shown, or renames, a device of another account.
"""

from __future__ import annotations

from typing import Final

import asyncpg

from actors.accounts import Claims, Declined
from actors.identity import DEVICES_LISTED_MAX, DeviceInfo
from persistence.sessions import ASKER_ENDED, is_living


async def find_all(tx: asyncpg.Connection, claims: Claims) -> tuple[DeviceInfo, ...] | Declined:
    """The account's devices, the one used last first."""
    if not await is_living(tx, claims):
        return ASKER_ENDED
    return tuple(DeviceInfo(*row) for row in await tx.fetch(_FIND, claims.user, DEVICES_LISTED_MAX))


async def rename(tx: asyncpg.Connection, user: int, device: int, name: str) -> bool:
    """Gives one of the account's devices a name; false if it is not the account's."""
    return bool(await tx.fetchval(_RENAME, user, device, name))


_RENAME: Final = "UPDATE devices SET name = $3 WHERE id = $2 AND user_id = $1 AND idempotency IS NULL RETURNING true"
_FIND: Final = """
SELECT d.id, d.name, CASE WHEN s.living THEN s.id ELSE 0 END, coalesce(s.user_agent, ''), coalesce(s.address, ''),
       extract(epoch FROM greatest(d.seen_at, s.last_seen_at))::bigint
FROM devices d LEFT JOIN LATERAL (
    SELECT s.id, s.user_agent, s.address, s.last_seen_at, s.revoked_at IS NULL AND s.expires_at > now() AS living
    FROM sessions s WHERE s.device_id = d.id AND s.user_id = $1 ORDER BY s.id DESC LIMIT 1
) s ON true
WHERE d.user_id = $1 AND d.idempotency IS NULL ORDER BY 6 DESC, d.id DESC LIMIT $2
"""
