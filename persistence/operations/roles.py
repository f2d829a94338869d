"""MakeRole, ChangeRole, DropRole, GiveRole, TakeRole: what a community lets people do beyond their base roles.

    MakeRole ─▶ roles ◀─ ChangeRole, DropRole        what it gives changes for all who have it, at once
                  ▲
    GiveRole ─▶ user_roles ◀─ TakeRole               ended also by leaving

Each decides under the lock of the space's row. What takes something away raises the audience version of the space's streams, by which
decisions that were made before are made again, and tells every gateway through the control stream, all in one transaction.

Invariant: nobody puts into a role, gives, changes, takes or drops what they may not do themselves.
"""

from __future__ import annotations

from typing import Final

import asyncpg
from msgspec import Struct

from actors.notices import Notice, NoticeKind
from actors.storage import Entry
from persistence.append import Effect, Refuse, authority_changed, event
from persistence.audit import Deed
from persistence.notices import notify
from persistence.operations import rules
from persistence.operations.proving import unproven
from persistence.operations.rules import Standing
from persistence.operations.space import SpaceSeen, lock_space
from protocol.codes import Code
from protocol.events import RoleChanged, RoleDropped, RoleGiven, RoleMade, RoleTaken
from protocol.operations import ChangeRole, DropRole, GiveRole, MakeRole, TakeRole
from protocol.permissions import Permission, base_roles, mask, of_platform

ROLES_PER_SPACE_MAX: Final = 100
ROLES_PER_MEMBER_MAX: Final = 20
"""In one community. What somebody may do is added up whenever it is asked for."""

AnyRoleOperation = MakeRole | ChangeRole | DropRole | GiveRole | TakeRole

_GIVABLE: Final = mask(permission for permission in Permission if not of_platform(permission))
_NO_ROLE: Final = Refuse(Code.NOT_FOUND, "no such role")
_TOO_MUCH: Final = Refuse(Code.FORBIDDEN, "nobody gives or takes more than they have")
_NAME_TAKEN: Final = Refuse(Code.CONFLICT, "a role of this name exists")
# Of those who have the role: whoever may invite by nothing else leaves no open doors behind.
_WITHDRAW: Final = (
    "delete from invitations i using user_roles u join members m on m.space_id = u.space_id and m.user_id = u.user_id"
    " where u.role_id = $2 and i.space_id = $1 and i.invited_by = u.user_id and m.space_id = $1 and m.role & $3 = 0"
    " and custom_permissions(u.user_id, $1) & $4 = 0"
)


class _Role(Struct, frozen=True):
    name: str
    permissions: int


async def make_role(tx: asyncpg.Connection, entry: Entry, operation: MakeRole) -> Effect | Refuse:
    """Makes one that nobody has yet."""
    space = await _enter(tx, entry, operation)
    if isinstance(space, Refuse):
        return space
    refusal = _judge(space.standing(entry.user), operation.permissions) or unproven(entry, operation.needs, operation.permissions)
    if refusal is not None:
        return refusal
    if await _is_taken(tx, space.id, operation.name, 0):
        return _NAME_TAKEN
    count: int = await tx.fetchval("select count(*) from roles where space_id = $1", space.id)
    if count >= ROLES_PER_SPACE_MAX:
        return Refuse(Code.LIMIT, f"a community has at most {ROLES_PER_SPACE_MAX} roles of its own")
    role: int = await tx.fetchval(
        "insert into roles (space_id, name, permissions, created_by) values ($1, $2, $3, $4) returning id",
        space.id,
        operation.name,
        operation.permissions,
        entry.user,
    )
    told = event(space.main_stream, entry.user, RoleMade(role, operation.name, operation.permissions))
    detail = {"role": role, "permissions": operation.permissions}  # the audit has no words of anybody, and outlives the community
    return Effect((told,), value=role, deeds=(Deed(entry.user, "custom_role_made", space.id, detail=detail),))


async def change_role(tx: asyncpg.Connection, entry: Entry, operation: ChangeRole) -> Effect | Refuse:
    """Renames it, or changes what it gives."""
    space = await _enter(tx, entry, operation)
    if isinstance(space, Refuse):
        return space
    before = await _find(tx, space.id, operation.role)
    if before is None:
        return _NO_ROLE
    actor = space.standing(entry.user)
    refusal = _judge(actor, operation.permissions) or _judge(actor, before.permissions)
    refusal = refusal or unproven(entry, operation.needs, operation.permissions & ~before.permissions)
    if refusal is not None:
        return refusal
    if await _is_taken(tx, space.id, operation.name, operation.role):
        return _NAME_TAKEN
    if before == _Role(operation.name, operation.permissions):
        return Effect()
    await tx.execute("update roles set name = $2, permissions = $3 where id = $1", operation.role, operation.name, operation.permissions)
    told = event(space.main_stream, entry.user, RoleChanged(operation.role, operation.name, operation.permissions))
    if before.permissions == operation.permissions:
        return Effect((told,))
    detail = {"role": operation.role, "from": before.permissions, "to": operation.permissions}
    deed = Deed(entry.user, "custom_role_changed", space.id, detail=detail)
    lost = before.permissions & ~operation.permissions
    await _withdraw(tx, space.id, operation.role, lost)
    return Effect((told, authority_changed(space.id, 0)), bump=space.stream_ids if lost else (), deeds=(deed,))


async def drop_role(tx: asyncpg.Connection, entry: Entry, operation: DropRole) -> Effect | Refuse:
    """Ends it, for all who have it."""
    space = await _enter(tx, entry, operation)
    if isinstance(space, Refuse):
        return space
    before = await _find(tx, space.id, operation.role)
    if before is None:
        return _NO_ROLE
    if not space.standing(entry.user).covers(before.permissions):
        return _TOO_MUCH
    await tx.execute("update roles set permissions = 0 where id = $1", operation.role)
    await _withdraw(tx, space.id, operation.role, before.permissions)
    await tx.execute("delete from roles where id = $1", operation.role)
    told = event(space.main_stream, entry.user, RoleDropped(operation.role))
    detail = {"role": operation.role, "permissions": before.permissions}
    deed = Deed(entry.user, "custom_role_dropped", space.id, detail=detail)
    return Effect((told, authority_changed(space.id, 0)), bump=space.stream_ids, deeds=(deed,))


async def give_role(tx: asyncpg.Connection, entry: Entry, operation: GiveRole) -> Effect | Refuse:
    """Gives it to a member. To who has it already it changes nothing."""
    given = await _hand(tx, entry, operation)
    if isinstance(given, Refuse):
        return given
    space, role = given
    if space.role(operation.user) is None:
        return Refuse(Code.NOT_FOUND, "no such member")
    refusal = unproven(entry, operation.needs, role.permissions)
    if refusal is not None:
        return refusal
    held = {row["role_id"] for row in await tx.fetch(_HELD, operation.user, space.id)}
    if operation.role in held:
        return Effect()
    if len(held) >= ROLES_PER_MEMBER_MAX:
        return Refuse(Code.LIMIT, f"one has at most {ROLES_PER_MEMBER_MAX} roles in a community")
    await tx.execute(
        "insert into user_roles (user_id, role_id, space_id, given_by) values ($1, $2, $3, $4)",
        operation.user,
        operation.role,
        space.id,
        entry.user,
    )
    await notify(tx, Notice(operation.user, NoticeKind.ROLE, entry.user, space.id, subject=operation.role, words=role.name))
    told = event(space.main_stream, entry.user, RoleGiven(operation.role, operation.user))
    deed = Deed(entry.user, "custom_role_given", space.id, operation.user, detail={"role": operation.role})
    return Effect((told, authority_changed(space.id, operation.user)), fills_outbox=True, deeds=(deed,))


async def take_role(tx: asyncpg.Connection, entry: Entry, operation: TakeRole) -> Effect | Refuse:
    """Takes it from a member. From who does not have it, it takes nothing."""
    taken = await _hand(tx, entry, operation)
    if isinstance(taken, Refuse):
        return taken
    space, role = taken
    gone = await tx.fetchval("delete from user_roles where user_id = $1 and role_id = $2 returning true", operation.user, operation.role)
    if gone is None:
        return Effect()
    invite = 1 << Permission.INVITE
    if role.permissions & invite and not await tx.fetchval(_MAY, space.id, operation.user, base_roles(Permission.INVITE), invite):
        await tx.execute("delete from invitations where space_id = $1 and invited_by = $2", space.id, operation.user)
    told = event(space.main_stream, entry.user, RoleTaken(operation.role, operation.user))
    deed = Deed(entry.user, "custom_role_taken", space.id, operation.user, detail={"role": operation.role})
    return Effect((told, authority_changed(space.id, operation.user)), bump=space.stream_ids, deeds=(deed,))


_HELD: Final = "select role_id from user_roles where user_id = $1 and space_id = $2"
_MAY: Final = (
    "select m.role & $3 <> 0 or custom_permissions(m.user_id, m.space_id) & $4 <> 0 from members m where m.space_id = $1 and m.user_id = $2"
)


async def _enter(tx: asyncpg.Connection, entry: Entry, operation: AnyRoleOperation) -> SpaceSeen | Refuse:
    """The space under its lock, if whoever asks may manage roles there."""
    about = (operation.user,) if isinstance(operation, GiveRole | TakeRole) else ()
    space = await lock_space(tx, operation.space, entry.user, *about)
    if space is None:
        return rules.NOT_FOUND
    return rules.need(space.kind, space.standing(entry.user), operation.needs) or space


async def _hand(tx: asyncpg.Connection, entry: Entry, operation: GiveRole | TakeRole) -> tuple[SpaceSeen, _Role] | Refuse:
    space = await _enter(tx, entry, operation)
    if isinstance(space, Refuse):
        return space
    role = await _find(tx, space.id, operation.role)
    if role is None:
        return _NO_ROLE
    return (space, role) if space.standing(entry.user).covers(role.permissions) else _TOO_MUCH


def _judge(actor: Standing, permissions: int) -> Refuse | None:
    """Whether `actor` may have to do with a role that gives these."""
    if permissions & ~_GIVABLE:
        return Refuse(Code.INVALID, f"permissions: those of a community add up to {_GIVABLE}")
    return None if actor.covers(permissions) else _TOO_MUCH


async def _find(tx: asyncpg.Connection, space: int, role: int) -> _Role | None:
    row = await tx.fetchrow("select name, permissions from roles where id = $1 and space_id = $2", role, space)
    return None if row is None else _Role(*row)


async def _is_taken(tx: asyncpg.Connection, space: int, name: str, by_other_than: int) -> bool:
    taken: bool = await tx.fetchval(
        "select exists (select from roles where space_id = $1 and lower(name) = lower($2) and id <> $3)", space, name, by_other_than
    )
    return taken


async def _withdraw(tx: asyncpg.Connection, space: int, role: int, lost: int) -> None:
    invite = 1 << Permission.INVITE
    if lost & invite:
        await tx.execute(_WITHDRAW, space, role, base_roles(Permission.INVITE), invite)
