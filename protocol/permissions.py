"""What somebody may do, and what each command needs: the vocabulary of roles, for server, reference and clients alike.

    role ─▶ permissions (a set, kept as the sum of 2^value)        command ─▶ Needs(scope, permission)
    allowed = the needed permission is in the union of what the person's roles give, in the scope that the command names

A person's *base role* in a space (owner, moderator, mentor, learner) also decides which streams they read and write, by the streams' masks.
A *custom role* adds permissions to it, in one community or on the whole platform; it never takes away.

Invariant: every operation, every command of the socket and every route declares what it needs; what declares nothing is a failing test.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum, IntEnum
from typing import Final

from msgspec import Struct

from protocol.values import Role


class Permission(IntEnum):
    """One thing that somebody may be allowed to do. The value is its bit; values are never used again."""

    READ = 0
    """Read the streams of a space that one's base role may read."""
    POST = 1
    """Write messages there, and change or take back one's own."""
    REACT = 2
    MODERATE = 3
    """Take back anybody's message, decide reports and what is held for review."""
    MANAGE_CHANNELS = 4
    INVITE = 5
    REMOVE_MEMBERS = 6
    MANAGE_ROLES = 7
    """Give and take roles, and make custom ones; never more than one has oneself."""
    MANAGE_SPACE = 8
    """Name, settings, limits and retention of a community."""
    WRITE_CONTENT = 9
    RESOLVE_CONFLICTS = 10
    SET_BACK_PROGRESS = 11
    VOUCH = 12
    """Endorse other members."""
    MENTOR = 13
    READ_AUDIT = 14
    MANAGE_INTEGRATIONS = 15
    """Service accounts, API keys and webhooks."""
    EXPORT_SPACE = 16
    ERASE_SPACE = 17

    CREATE_COMMUNITIES = 32
    """On the platform: found a community."""
    CONVERSE = 33
    """On the platform: open conversations with people."""
    OPERATE = 34
    """On the platform: see jobs, queues and failures, and retry them."""
    AUDIT_PLATFORM = 35
    REVIEW_PLATFORM = 36
    """On the platform: decide reports about people and profiles."""
    MANAGE_ACCOUNTS = 37
    """On the platform: suspend accounts, end their sessions, erase what a court or the person demands."""
    MANAGE_PLATFORM_ROLES = 38


class Scope(Enum):
    """Where a permission has to be held."""

    ANYONE = "anyone"
    """Without an account: to log in, to see that the server lives."""
    SELF = "self"
    """A living session is enough: it concerns one's own account, devices and settings."""
    SPACE = "space"
    """In the space that the command, or the stream that it names, belongs to."""
    PLATFORM = "platform"


class Needs(Struct, frozen=True):
    """What a command needs. `step_up`: the person must have proven who they are within the last minutes, whatever the session's age.

    `or_own`: where it is about what one wrote oneself, to be a member of the space is enough. `step_up_for`: what it asks that proof for
    where it gives any of these to somebody, as the sum of 2^permission.
    """

    scope: Scope
    permission: Permission | None = None
    step_up: bool = False
    or_own: bool = False
    step_up_for: int = 0


ANYONE: Final = Needs(Scope.ANYONE)
OWN: Final = Needs(Scope.SELF)


def in_space(permission: Permission, *, step_up: bool = False, or_own: bool = False, step_up_for: int = 0) -> Needs:
    """A permission in the space concerned."""
    return Needs(Scope.SPACE, permission, step_up, or_own, step_up_for)


def on_platform(permission: Permission, *, step_up: bool = False) -> Needs:
    """A permission on the whole platform."""
    return Needs(Scope.PLATFORM, permission, step_up)


def own(*, step_up: bool = False) -> Needs:
    """One's own things."""
    return Needs(Scope.SELF, None, step_up)


def mask(permissions: Iterable[Permission]) -> int:
    """The set as one number, below 2^53."""
    return sum(1 << permission for permission in set(permissions))


_LEARNER: Final = frozenset({Permission.READ, Permission.POST, Permission.REACT, Permission.VOUCH})
_MENTOR: Final = _LEARNER | {Permission.WRITE_CONTENT, Permission.RESOLVE_CONFLICTS, Permission.SET_BACK_PROGRESS, Permission.MENTOR}
_MODERATOR: Final = _MENTOR | {
    Permission.MODERATE,
    Permission.MANAGE_CHANNELS,
    Permission.INVITE,
    Permission.REMOVE_MEMBERS,
    Permission.READ_AUDIT,
}
_OWNER: Final = _MODERATOR | {
    Permission.MANAGE_ROLES,
    Permission.MANAGE_SPACE,
    Permission.MANAGE_INTEGRATIONS,
    Permission.EXPORT_SPACE,
    Permission.ERASE_SPACE,
}
BASE: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.LEARNER: _LEARNER,
    Role.MENTOR: _MENTOR,
    Role.MODERATOR: _MODERATOR,
    Role.OWNER: _OWNER,
}
"""What a member of a space may do by their base role."""
DANGEROUS: Final = mask(_OWNER - _MODERATOR)
"""What makes its holder the master of a community. Whoever gives any of it to somebody has proven lately who they are: an open laptop, or
a stolen token, is not enough to take a community over for good."""
EVERYBODY: Final = frozenset({Permission.CREATE_COMMUNITIES, Permission.CONVERSE})
"""What every account may do on the platform, unless its trust is too low."""
ELSEWHERE: Final = frozenset({Permission.READ, Permission.POST, Permission.REACT})
"""What there is to be allowed in a space that is no community: conversations and one's own space have no staff."""
PLATFORM_MIN: Final = 32
"""From this value on permissions are the platform's; below it, those of a space."""


def of_platform(permission: Permission) -> bool:
    """Whether it is held on the platform, rather than in a space."""
    return permission >= PLATFORM_MIN


def base_roles(permission: Permission) -> int:
    """The base roles that have it, as the sum of their values."""
    return sum(role for role, permissions in BASE.items() if permission in permissions)


def unmask(bits: int) -> frozenset[Permission]:
    """The permissions in a sum; bits that this version does not know are passed over."""
    return frozenset(permission for permission in Permission if bits >> permission & 1)
