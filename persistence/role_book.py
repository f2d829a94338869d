"""Custom roles as a list, and the platform's own: who has them, by whom they were given.

    the first administrator ◀─ educonnect roles grant      the others ◀─ whoever has MANAGE_PLATFORM_ROLES, within what they have

The platform's roles are few and made by migrations; what they give is asked for at each question (`persistence.roles`), so nothing has to
be told to anybody when one is taken: the next question is refused.

Invariant: through HTTP nobody gives or takes more than they have; the command line, which has the database anyway, may do both.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import asyncpg

from actors.accounts import Caller, Claims
from actors.authority import HOLDERS_LISTED_MAX, RoleList, RoleView
from persistence.audit import Deed, record
from persistence.bridge import Bridge
from persistence.operations.outgrown import end_outgrown
from persistence.operations.roles import ROLES_PER_MEMBER_MAX, ROLES_PER_SPACE_MAX
from persistence.roles import DEADLINE_S, held
from persistence.sessions import announce
from protocol.codes import Code
from protocol.permissions import Permission

COMMAND_LINE: Final = 0
"""Who gives and takes at the command line: the system."""

_ROLES: Final = (
    "select r.id, r.name, r.permissions, (select count(*)::integer from user_roles u where u.role_id = r.id) as held_by,"
    " array(select u.user_id from user_roles u where u.role_id = r.id order by u.user_id limit $2) as holders"
    " from roles r where r.space_id is not distinct from $1 order by r.name, r.id limit $3"
)
# The account's row serializes what is given to one person; an account that is being disabled waits or is seen to be.
_ACCOUNT: Final = "select from accounts where id = $1 and disabled_at is null for no key update"
_ROLE: Final = "select permissions from roles where id = $1 and space_id is null for key share"


class PostgresRoleBook:
    """Implements `actors.authority.RoleBook`."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    async def list_roles(self, user: int, space: int | None) -> RoleList:
        return await self._bridge.run(partial(list_roles, user=user, space=space), deadline_s=DEADLINE_S, readonly=True)

    async def give(self, claims: Claims, role: int, user: int, caller: Caller) -> Code:
        work = partial(give_platform_role, actor=claims.user, role=role, user=user, address=caller.address)
        return await self._bridge.run(work, deadline_s=DEADLINE_S)

    async def take(self, claims: Claims, role: int, user: int, caller: Caller) -> Code:
        work = partial(take_platform_role, actor=claims.user, role=role, user=user, address=caller.address)
        return await self._bridge.run(work, deadline_s=DEADLINE_S)


async def list_roles(tx: asyncpg.Connection, *, user: int, space: int | None) -> RoleList:
    """The roles of one place, and what `user` may do there."""
    rows = await tx.fetch(_ROLES, space, HOLDERS_LISTED_MAX, ROLES_PER_SPACE_MAX)
    roles = tuple(RoleView(row["id"], row["name"], row["permissions"], row["held_by"], tuple(row["holders"])) for row in rows)
    return RoleList(await held(tx, user, space), roles)


async def give_platform_role(tx: asyncpg.Connection, *, actor: int, role: int, user: int, address: str | None = None) -> Code:
    """Gives one. `actor`: within what they have; `COMMAND_LINE`: anything."""
    refusal = await _judge(tx, actor, role)
    if refusal is not Code.OK:
        return refusal
    if await tx.fetchrow(_ACCOUNT, user) is None:
        return Code.NOT_FOUND
    has = {row["role_id"] for row in await tx.fetch("select role_id from user_roles where user_id = $1 and space_id is null", user)}
    if role in has:
        return Code.OK
    if len(has) >= ROLES_PER_MEMBER_MAX:
        return Code.LIMIT
    await tx.execute("insert into user_roles (user_id, role_id, given_by) values ($1, $2, $3)", user, role, actor)
    deeds = [Deed(actor, "platform_role_given", None, user, address, {"role": role})]
    service = await tx.fetchrow("select owner_space from accounts where id = $1 and kind = 1", user)
    ended = await end_outgrown(tx, user, service["owner_space"]) if service is not None else []
    if ended:
        deeds.append(Deed(actor, "key_outgrown", service["owner_space"], user, address, {"sessions": len(ended)}))
    await record(tx, *deeds)
    await announce(tx, user, ended)
    return Code.OK


async def take_platform_role(tx: asyncpg.Connection, *, actor: int, role: int, user: int, address: str | None = None) -> Code:
    """Takes one, also from an account that is disabled. As `give_platform_role`."""
    refusal = await _judge(tx, actor, role)
    if refusal is not Code.OK:
        return refusal
    gone = await tx.fetchval("delete from user_roles where user_id = $1 and role_id = $2 returning true", user, role)
    if gone:
        await record(tx, Deed(actor, "platform_role_taken", None, user, address, {"role": role}))
    return Code.OK


async def find_platform_role(tx: asyncpg.Connection, *, name: str) -> int | None:
    """The role of this name, whatever its case."""
    found: int | None = await tx.fetchval("select id from roles where space_id is null and lower(name) = lower($1)", name)
    return found


async def find_account(tx: asyncpg.Connection, *, name: str, disabled: bool = False) -> int | None:
    """The account that logs in by this name; `disabled`: also one that cannot any more."""
    found: int | None = await tx.fetchval("select id from accounts where name = $1::citext and ($2 or disabled_at is null)", name, disabled)
    return found


async def _judge(tx: asyncpg.Connection, actor: int, role: int) -> Code:
    gives: int | None = await tx.fetchval(_ROLE, role)
    if gives is None:
        return Code.NOT_FOUND
    if actor == COMMAND_LINE:
        return Code.OK
    # Asked again here: a permission that was taken a moment ago gives nothing away.
    has = await held(tx, actor, None)
    return Code.OK if has >> Permission.MANAGE_PLATFORM_ROLES & 1 and not gives & ~has else Code.FORBIDDEN
