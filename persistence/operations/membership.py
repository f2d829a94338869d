"""Join, Leave, Invite, Remove, SetRole: who belongs to a space, and as what.

Each decides under the lock of the space's row. What takes something away raises the audience version of the space's streams and tells
every gateway through the control stream, in the same transaction; the person hears of it in their inbox, through the outbox.
"""

from __future__ import annotations

from typing import Final

import asyncpg

from actors.storage import Entry
from persistence.append import Effect, NewEvent, Refuse, authority_changed, event, kind_of
from persistence.audit import Deed
from persistence.blocks import BLOCKED, blocked, lock_pair
from persistence.mentoring.closing import NOTHING, left_community, left_space
from persistence.operations import blocks, rules
from persistence.operations.proving import unproven
from persistence.operations.space import SpaceSeen, count_owners, display_name, enqueue, find_enrolment, lock_space
from protocol import codec
from protocol.codes import Code
from protocol.events import Invited, Joined, Left, RoleSet, SpaceEntered, SpaceLeft
from protocol.operations import Invite, Join, Leave, Remove, SetRole
from protocol.permissions import BASE, Permission, mask
from protocol.values import Role, SpaceKind

SPACE_ENTERED: Final = kind_of(SpaceEntered)
SPACE_LEFT: Final = kind_of(SpaceLeft)
INVITED: Final = kind_of(Invited)


async def join(tx: asyncpg.Connection, entry: Entry, operation: Join) -> Effect | Refuse:
    """Lets the person in, as a learner or as invited. Joining twice changes nothing and succeeds."""
    space = await lock_space(tx, operation.space, entry.user)
    if space is None:
        return rules.NOT_FOUND
    if space.role(entry.user) is not None and space.kind is SpaceKind.COMMUNITY:
        return Effect(value=space.id)
    invited = await _invited(tx, space.id, entry.user)
    role = rules.join(space.kind, space.open_to_all, invited)
    if isinstance(role, Refuse):
        return role
    if space.members >= rules.MEMBERS_PER_SPACE_MAX:
        return Refuse(Code.LIMIT, f"a space has at most {rules.MEMBERS_PER_SPACE_MAX} members")
    if await count_communities(tx, entry.user) >= rules.COMMUNITIES_PER_USER_MAX:
        return Refuse(Code.LIMIT, f"one is a member of at most {rules.COMMUNITIES_PER_USER_MAX} communities")
    name = await display_name(tx, entry.user)
    if name is None:
        return rules.NOT_FOUND
    await tx.execute(
        "with counted as (update spaces set members = members + 1 where id = $1),"
        " used as (delete from invitations where space_id = $1 and user_id = $2)"
        " insert into members (space_id, user_id, role) values ($1, $2, $3)",
        space.id,
        entry.user,
        role,
    )
    await enqueue(tx, SPACE_ENTERED, entry.user, space.id)
    joined = event(space.main_stream, entry.user, Joined(entry.user, role, name))
    # Nothing is taken away, so no audience version moves; but whoever remembers a refusal must ask again.
    changed = [authority_changed(space.id, entry.user)]
    enrolment = await find_enrolment(tx, space.id, entry.user)
    if enrolment is not None:
        changed.append(authority_changed(enrolment[0], entry.user))
    return Effect((joined, *changed), value=space.id, fills_outbox=True)


async def leave(tx: asyncpg.Connection, entry: Entry, operation: Leave) -> Effect | Refuse:
    """Ends one's own membership."""
    space = await lock_space(tx, operation.space, entry.user)
    if space is None:
        return rules.NOT_FOUND
    refusal = rules.leave(space.kind, space.role(entry.user), await count_owners(tx, space.id, entry.user))
    if refusal is not None:
        return refusal
    return await end_membership(tx, space, entry.user, entry.user)


async def remove(tx: asyncpg.Connection, entry: Entry, operation: Remove) -> Effect | Refuse:
    """Ends somebody's membership; of somebody who is only invited, the invitation."""
    space = await lock_space(tx, operation.space, entry.user, operation.user)
    if space is None:
        return rules.NOT_FOUND
    subject = space.standing(operation.user)
    invited = None if subject.role is not None else await _invited(tx, space.id, operation.user)
    # An invitation to be an owner does not count as one who must stay.
    owners = await count_owners(tx, space.id, operation.user) + (invited is not None)
    ended = subject if invited is None else rules.Standing(invited)
    refusal = rules.remove(space.kind, space.standing(entry.user), ended, owners, operation.needs)
    if refusal is not None:
        return refusal
    if invited is not None:
        await tx.execute("delete from invitations where space_id = $1 and user_id = $2", space.id, operation.user)
        return Effect()
    return await end_membership(tx, space, operation.user, entry.user)


async def invite(tx: asyncpg.Connection, entry: Entry, operation: Invite) -> Effect | Refuse:
    """Lets somebody join in a role. Inviting again in the same role changes nothing."""
    await lock_pair(tx, entry.user, operation.user)
    space = await lock_space(tx, operation.space, entry.user, operation.user)
    if space is None:
        return rules.NOT_FOUND
    invited = await _invited(tx, space.id, operation.user)
    actor, subject = space.standing(entry.user), space.role(operation.user)
    refusal = rules.invite(space.kind, actor, subject, operation.role, invited, operation.needs)
    refusal = refusal or unproven(entry, operation.needs, mask(BASE[operation.role]))
    if refusal is not None:
        return refusal
    if await blocked(tx, entry.user, operation.user):
        return BLOCKED
    if await display_name(tx, operation.user) is None:
        return Refuse(Code.NOT_FOUND, "no such account")
    if invited is operation.role:
        return Effect()
    if invited is None and await _count_invitations(tx, space.id) >= rules.INVITATIONS_PER_SPACE_MAX:
        return Refuse(Code.LIMIT, f"at most {rules.INVITATIONS_PER_SPACE_MAX} invitations are open at once")
    await tx.execute(
        "insert into invitations (space_id, user_id, role, invited_by) values ($1, $2, $3, $4)"
        " on conflict (space_id, user_id) do update set role = excluded.role, invited_by = excluded.invited_by, at = now()",
        space.id,
        operation.user,
        operation.role,
        entry.user,
    )
    told = Invited(space.id, space.name, operation.role, entry.user)
    await enqueue(tx, INVITED, operation.user, space.id, entry.user, codec.encode(told))
    deed = Deed(entry.user, "member_invited", space.id, operation.user, detail={"role": operation.role})
    return Effect(fills_outbox=True, deeds=(deed,))


async def set_role(tx: asyncpg.Connection, entry: Entry, operation: SetRole) -> Effect | Refuse:
    """Gives a member another role."""
    space = await lock_space(tx, operation.space, entry.user, operation.user)
    if space is None:
        return rules.NOT_FOUND
    subject, actor = space.role(operation.user), space.standing(entry.user)
    owners = await count_owners(tx, space.id, operation.user)
    refusal = rules.set_role(space.kind, actor, subject, operation.role, owners, operation.needs)
    refusal = refusal or unproven(entry, operation.needs, mask(BASE[operation.role]))
    if refusal is not None:
        return refusal
    if subject is operation.role:
        return Effect()
    await tx.execute("update members set role = $3 where space_id = $1 and user_id = $2", space.id, operation.user, operation.role)
    if not rules.Standing(operation.role, space.standing(operation.user).custom).may(Permission.INVITE):
        await _withdraw_invitations_by(tx, space.id, operation.user)
    told = event(space.main_stream, entry.user, RoleSet(operation.user, operation.role))
    deed = Deed(entry.user, "role_set", space.id, operation.user, detail={"from": subject, "to": operation.role})
    return Effect((told, authority_changed(space.id, operation.user)), bump=space.stream_ids, deeds=(deed,))


async def count_communities(tx: asyncpg.Connection, user: int) -> int:
    """How many communities somebody is in. Two joins at the same time, to different ones, may both pass a bound that one reaches."""
    count: int = await tx.fetchval(
        "select count(*) from members m join spaces s on s.id = m.space_id where m.user_id = $1 and s.kind = 1", user
    )
    return count


async def end_membership(tx: asyncpg.Connection, space: SpaceSeen, user: int, by: int) -> Effect:
    """What ends a membership, decided: the space is locked."""
    await tx.execute(
        # A conversation that somebody left is no longer the one of exactly these people: the next one opens anew.
        "with counted as (update spaces set members = members - 1, pair_key = null where id = $1)"
        " delete from members where space_id = $1 and user_id = $2",
        space.id,
        user,
    )
    await _withdraw_invitations_by(tx, space.id, user)
    await enqueue(tx, SPACE_LEFT, user, space.id, by, codec.encode(SpaceLeft(space.id)))
    events: tuple[NewEvent, ...] = (event(space.main_stream, by, Left(user, by)), authority_changed(space.id, user))
    bump = space.stream_ids
    enrolment = await find_enrolment(tx, space.id, user)
    if enrolment is not None:
        # The trigger has ended that membership too.
        events = (*events, authority_changed(enrolment[0], user))
        bump += enrolment[1]
    # Leaving is one's own business; being removed is somebody else's deed.
    deeds = () if by == user else (Deed(by, "member_removed", space.id, user),)
    closed = NOTHING
    if space.kind is SpaceKind.COMMUNITY:
        closed = await left_community(tx, space.id, user, by)
    elif space.kind is SpaceKind.MENTORSHIP:
        closed = await left_space(tx, space.id, by)
    return closed.added_to(Effect(events, bump=bump, changes=await blocks.left(tx, space, user), fills_outbox=True, deeds=deeds))


async def _withdraw_invitations_by(tx: asyncpg.Connection, space: int, user: int) -> None:
    """Who may no longer invite leaves no open doors behind."""
    await tx.execute("delete from invitations where space_id = $1 and invited_by = $2", space, user)


async def _invited(tx: asyncpg.Connection, space: int, user: int) -> Role | None:
    role: int | None = await tx.fetchval("select role from invitations where space_id = $1 and user_id = $2", space, user)
    return None if role is None else Role(role)


async def _count_invitations(tx: asyncpg.Connection, space: int) -> int:
    count: int = await tx.fetchval("select count(*) from invitations where space_id = $1", space)
    return count
