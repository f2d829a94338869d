"""Who may do what to whom in a space: pure decisions, on values that were read under lock.

    Standing = base role + permissions of custom roles ─▶ need(permission) ─▶ the rules of who may do it to whom

    what one may do    the permission that the operation declares (`needs`), in a community
    to whom            nobody gives, takes or ends what goes beyond their own: whoever removes, appoints or invites somebody may do
                       whatever that person may (or will); only owners make and unmake owners, only who manages roles moderators
    leave              everybody but a community's last owner

Every function answers None (go on) or the refusal. Whoever is not a member learns nothing: to them the space does not exist.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from persistence.append import Refuse
from persistence.blocks import BLOCKED
from protocol.codes import Code
from protocol.permissions import BASE, Needs, Permission, mask
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
_BASE: Final = {role: mask(permissions) for role, permissions in BASE.items()}


class Standing(Struct, frozen=True):
    """What somebody is in a space. `role` None: no member. `custom`: what their custom roles there add, as the sum of 2^permission."""

    role: Role | None = None
    custom: int = 0

    @property
    def held(self) -> int:
        """All that they may do in a community, as the sum of 2^permission."""
        return 0 if self.role is None else _BASE[self.role] | self.custom

    def may(self, permission: Permission) -> bool:
        """Whether they have the permission, in a community."""
        return bool(self.held >> permission & 1)

    def covers(self, permissions: int) -> bool:
        """Whether they may do all of these themselves."""
        return not permissions & ~self.held


NOBODY: Final = Standing()


def need(kind: SpaceKind, actor: Standing, needs: Needs) -> Refuse | None:
    """Whether `actor` may do, in a space of this kind, what needs this in a community."""
    if actor.role is None:
        return NOT_FOUND
    if kind is not SpaceKind.COMMUNITY:
        return Refuse(Code.FORBIDDEN, "only a community has staff")
    assert needs.permission is not None
    return None if actor.may(needs.permission) else lacking(needs.permission)


def lacking(permission: Permission) -> Refuse:
    """The refusal of a member who has not been given this."""
    return Refuse(Code.FORBIDDEN, f"this needs the permission {permission.name}")


def appoints(actor: Standing, role: Role) -> bool:
    """Whether `actor` may make somebody `role`, or end their being it."""
    if role is Role.OWNER:
        return actor.role is Role.OWNER
    if role & Roles.STAFF and not actor.may(Permission.MANAGE_ROLES):
        return False
    return actor.covers(_BASE[role])


def invite(kind: SpaceKind, actor: Standing, subject: Role | None, role: Role, invited: Role | None, needs: Needs) -> Refuse | None:
    """`subject`: the invited person's role if they are a member; `invited`: the role they are already invited in."""
    refusal = need(kind, actor, needs)
    if refusal is not None:
        return refusal
    if not appoints(actor, role):
        return Refuse(Code.FORBIDDEN, "only owners make owners, only who manages roles moderators, and nobody gives more than they have")
    if subject is not None:
        return Refuse(Code.CONFLICT, "already a member")
    if invited is not None and not appoints(actor, invited):
        return Refuse(Code.CONFLICT, "somebody has invited them in a higher role")
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


def remove(kind: SpaceKind, actor: Standing, subject: Standing, owners: int, needs: Needs) -> Refuse | None:
    """Whether `actor` may end the membership, or withdraw the invitation, of somebody who is `subject`."""
    refusal = need(kind, actor, needs)
    if refusal is not None:
        return refusal
    if subject.role is None:
        return NOT_FOUND
    if (subject.role is Role.OWNER and actor.role is not Role.OWNER) or not actor.covers(subject.held):
        return Refuse(Code.FORBIDDEN, "nobody removes an owner but an owner, or somebody who may do more than they")
    if subject.role is Role.OWNER and owners <= 1:
        return LAST_OWNER
    return None


def set_role(kind: SpaceKind, actor: Standing, subject: Role | None, role: Role, owners: int, needs: Needs) -> Refuse | None:
    """Whether `actor` may give a member who is `subject` the role `role`."""
    refusal = need(kind, actor, needs)
    if refusal is not None:
        return refusal
    if subject is None:
        return NOT_FOUND
    if not (appoints(actor, subject) and appoints(actor, role)):
        return Refuse(Code.FORBIDDEN, "only owners make and unmake owners, and nobody gives or takes more than they have")
    if subject is Role.OWNER and role is not Role.OWNER and owners <= 1:
        return LAST_OWNER
    return None


def edit(kind: SpaceKind, role: Role | None, write_roles: int, author: int | None, user: int, redacted: bool) -> Refuse | None:
    """`author`: who wrote the message; None if there is none."""
    if role is None:
        return NOT_FOUND
    if not role & write_roles:
        # A conversation has no writers while one of two in it blocks the other.
        return BLOCKED if kind is SpaceKind.CONVERSATION else Refuse(Code.FORBIDDEN, "this role does not write here")
    if author is None:
        return NOT_FOUND
    if author != user:
        return Refuse(Code.FORBIDDEN, "only its author edits a message")
    return Refuse(Code.GONE) if redacted else None


def delete(kind: SpaceKind, actor: Standing, read_roles: int, author: int | None, user: int, redacted: bool) -> Refuse | None:
    """As `edit`; in a community, who moderates may delete what others wrote, wherever they may read."""
    if actor.role is None:
        return NOT_FOUND
    if not actor.role & read_roles:
        return Refuse(Code.FORBIDDEN, "this role does not read here")
    if author is None:
        return NOT_FOUND
    if author != user and not (kind is SpaceKind.COMMUNITY and actor.may(Permission.MODERATE)):
        return Refuse(Code.FORBIDDEN, "only its author deletes a message, or who moderates")
    return Refuse(Code.GONE) if redacted else None
