"""Who may do what to whom in a space: pure decisions, on values that were read under lock.

    owner > moderator > mentor, learner          staff: owners and moderators

    invite, remove, open or change a channel     staff; only an owner invites owners and moderators, or removes an owner
    set a role, change settings                  owners
    leave                                        everybody but a community's last owner

Every function answers None (go on) or the refusal. Whoever is not a member learns nothing: to them the space does not exist.
"""

from __future__ import annotations

from typing import Final

from persistence.append import Refuse
from protocol.codes import Code
from protocol.values import Role, Roles, SpaceKind

COMMUNITIES_PER_USER_MAX: Final = 200
"""Spaces of kind community that one is a member of. An overview of all of them, with ten channels each, is some 60 kB."""
CHANNELS_PER_SPACE_MAX: Final = 200
MEMBERS_PER_SPACE_MAX: Final = 100_000
INVITATIONS_PER_SPACE_MAX: Final = 1_000
CONVERSATIONS_PER_USER_MAX: Final = 2_000
"""Checked for whoever opens one."""
EDITS_PER_MESSAGE_MAX: Final = 200
"""Each one is kept for a while (`messages.VERSIONS_KEPT_S`); those that are count."""

NOT_FOUND: Final = Refuse(Code.NOT_FOUND)
LAST_OWNER: Final = Refuse(Code.CONFLICT, "a community keeps at least one owner: make somebody else an owner first")


def is_staff(role: Role) -> bool:
    return bool(role & Roles.STAFF)


def act_as_staff(kind: SpaceKind, actor: Role | None) -> Refuse | None:
    """Whether `actor` may do what staff of a community may."""
    if actor is None:
        return NOT_FOUND
    if kind is not SpaceKind.COMMUNITY:
        return Refuse(Code.FORBIDDEN, "only a community has staff")
    return None if is_staff(actor) else Refuse(Code.FORBIDDEN, "owners and moderators only")


def act_as_owner(kind: SpaceKind, actor: Role | None) -> Refuse | None:
    """Whether `actor` may do what owners of a community may."""
    if actor is None:
        return NOT_FOUND
    if kind is not SpaceKind.COMMUNITY:
        return Refuse(Code.FORBIDDEN, "only a community has owners")
    return None if actor is Role.OWNER else Refuse(Code.FORBIDDEN, "owners only")


def invite(kind: SpaceKind, actor: Role | None, subject: Role | None, role: Role, invited: Role | None) -> Refuse | None:
    """`subject`: the invited person's role if they are a member; `invited`: the role they are already invited in."""
    refusal = act_as_staff(kind, actor)
    if refusal is not None:
        return refusal
    if actor is not Role.OWNER and is_staff(role):
        return Refuse(Code.FORBIDDEN, "only owners make owners and moderators")
    if subject is not None:
        return Refuse(Code.CONFLICT, "already a member")
    if actor is not Role.OWNER and invited is not None and is_staff(invited):
        return Refuse(Code.CONFLICT, "an owner has invited them in a higher role")
    return None


def join(kind: SpaceKind | None, open_to_all: bool, invited: Role | None) -> Role | Refuse:
    """The role in which somebody who is not a member comes in."""
    if kind is not SpaceKind.COMMUNITY:
        return NOT_FOUND
    if invited is not None:
        return invited
    return Role.LEARNER if open_to_all else NOT_FOUND


def leave(kind: SpaceKind, actor: Role | None, owners: int) -> Refuse | None:
    """`owners`: how many the space has."""
    if actor is None:
        return NOT_FOUND
    if kind is SpaceKind.PERSONAL:
        return Refuse(Code.FORBIDDEN, "one's own space stays with the account")
    if kind is SpaceKind.ENROLMENT:
        return Refuse(Code.FORBIDDEN, "what is one's own in a community is left together with it")
    if kind is SpaceKind.COMMUNITY and actor is Role.OWNER and owners <= 1:
        return LAST_OWNER
    return None


def remove(kind: SpaceKind, actor: Role | None, subject: Role | None, owners: int) -> Refuse | None:
    """Whether `actor` may end the membership, or withdraw the invitation, of somebody in the role `subject`."""
    refusal = act_as_staff(kind, actor)
    if refusal is not None:
        return refusal
    if subject is None:
        return NOT_FOUND
    if subject is Role.OWNER and actor is not Role.OWNER:
        return Refuse(Code.FORBIDDEN, "nobody removes an owner but an owner")
    if subject is Role.OWNER and owners <= 1:
        return LAST_OWNER
    return None


def set_role(kind: SpaceKind, actor: Role | None, subject: Role | None, role: Role, owners: int) -> Refuse | None:
    """Whether `actor` may give a member who is `subject` the role `role`."""
    refusal = act_as_owner(kind, actor)
    if refusal is not None:
        return refusal
    if subject is None:
        return NOT_FOUND
    if subject is Role.OWNER and role is not Role.OWNER and owners <= 1:
        return LAST_OWNER
    return None


def edit(role: Role | None, write_roles: int, author: int | None, user: int, redacted: bool) -> Refuse | None:
    """`author`: who wrote the message; None if there is none."""
    if role is None:
        return NOT_FOUND
    if not role & write_roles:
        return Refuse(Code.FORBIDDEN, "this role does not write here")
    if author is None:
        return NOT_FOUND
    if author != user:
        return Refuse(Code.FORBIDDEN, "only its author edits a message")
    return Refuse(Code.GONE) if redacted else None


def delete(kind: SpaceKind, role: Role | None, read_roles: int, author: int | None, user: int, redacted: bool) -> Refuse | None:
    """As `edit`; in a community, staff may delete what others wrote, wherever they may read."""
    if role is None:
        return NOT_FOUND
    if not role & read_roles:
        return Refuse(Code.FORBIDDEN, "this role does not read here")
    if author is None:
        return NOT_FOUND
    if author != user and not (kind is SpaceKind.COMMUNITY and is_staff(role)):
        return Refuse(Code.FORBIDDEN, "only its author, an owner or a moderator deletes a message")
    return Refuse(Code.GONE) if redacted else None
