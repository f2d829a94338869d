"""What a service account may not, whatever its role: go elsewhere, or own. It belongs to one place, and is asked by people rather than asks
them.

The database holds the same for memberships (`members_services`), against ways that are not thought of here.
"""

from __future__ import annotations

import asyncpg

from actors.storage import Entry
from persistence.append import Refuse
from protocol.codes import Code
from protocol.operations import CreateCommunity, Join, OpenConversation, SetRole
from protocol.values import Role


async def keep_home(tx: asyncpg.Connection, entry: Entry) -> Refuse | None:
    """The refusal of an operation by which a service would leave its own community, or own it. One look for those operations, none for
    others."""
    operation = entry.operation
    if isinstance(operation, SetRole) and operation.role is Role.OWNER:
        is_service = await tx.fetchval("select id from accounts where id = $1 and kind = 1", operation.user) is not None
        return Refuse(Code.FORBIDDEN, "a service owns nothing: people answer for a community") if is_service else None
    if not isinstance(operation, CreateCommunity | Join | OpenConversation):
        return None
    row = await tx.fetchrow("select owner_space from accounts where id = $1 and kind = 1", entry.user)
    if row is None or (isinstance(operation, Join) and operation.space == row["owner_space"]):
        return None
    return Refuse(Code.FORBIDDEN, "a service stays in its own community")
