"""Who may do what, read inside the transaction that does it.

    allowed(tx, user, permission, space)   base role's permissions, and those of the custom roles that one has in that space
    allowed(tx, user, permission, None)    everybody's, and those of one's roles on the platform

One statement over primary keys and the index of one's own roles. The answer holds until the transaction ends where the space's row is
locked (`operations.space.lock_space`), and otherwise for whoever guards the audience version: each change of roles raises it.

Invariant: whoever is not a member, has left, or whose account is disabled, has no permission at all.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import asyncpg

from persistence.bridge import Bridge
from persistence.operations.rules import Standing
from protocol.permissions import ELSEWHERE, EVERYBODY, Permission, mask
from protocol.values import Role, SpaceKind

DEADLINE_S: Final = 5.0
_ELSEWHERE: Final = mask(ELSEWHERE)
_EVERYBODY: Final = mask(EVERYBODY)

_IN_SPACE: Final = (
    "select m.role, s.kind, custom_permissions(m.user_id, m.space_id) from members m join spaces s on s.id = m.space_id"
    " join accounts a on a.id = m.user_id and a.disabled_at is null where m.space_id = $1 and m.user_id = $2"
)
_ON_PLATFORM: Final = "select custom_permissions(a.id, null), a.kind from accounts a where a.id = $1 and a.disabled_at is null"


async def allowed(tx: asyncpg.Connection, user: int, permission: Permission, space: int | None) -> bool:
    """Whether `user` has `permission` in `space`; None: on the platform."""
    return bool(await held(tx, user, space) >> permission & 1)


async def held(tx: asyncpg.Connection, user: int, space: int | None) -> int:
    """All that `user` may do in `space` (None: on the platform), as the sum of 2^permission. 0: nothing."""
    if space is None:
        given = await tx.fetchrow(_ON_PLATFORM, user)
        if given is None:
            return 0
        # A service has what it was given, and not what everybody has.
        return int(given[0]) | (0 if given[1] else _EVERYBODY)
    row = await tx.fetchrow(_IN_SPACE, space, user)
    return 0 if row is None else add_up(Role(row[0]), SpaceKind(row[1]), row[2])


def add_up(role: Role, kind: SpaceKind, custom: int) -> int:
    """What a base role in a space of this kind and custom roles make together, as the sum of 2^permission."""
    return Standing(role, custom).held if kind is SpaceKind.COMMUNITY else Standing(role).held & _ELSEWHERE


class PostgresAuthority:
    """Implements `actors.authority.Authority` over the bridge."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    async def allowed(self, user: int, permission: Permission, space: int | None) -> bool:
        work = partial(_read, user=user, permission=permission, space=space)
        return await self._bridge.run(work, deadline_s=DEADLINE_S, readonly=True)


async def _read(tx: asyncpg.Connection, *, user: int, permission: Permission, space: int | None) -> bool:
    return await allowed(tx, user, permission, space)
