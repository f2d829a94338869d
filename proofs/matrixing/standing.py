"""Who asks, where, and what the declaration says to that.

    Standing (base role, custom role, platform role, how they stand) × Where (own, foreign) ─expected(needs)─▶ codes, any of which is right

This is the specification: it knows the declarations (`Needs`), the table of base roles (`BASE`) and nothing of the server's code.

Invariant: every base role, every permission of a community and of the platform, and every way not to belong is among `STANDINGS`.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Final

from msgspec import Struct

from protocol.codes import Code
from protocol.permissions import BASE, EVERYBODY, Needs, Permission, Scope, of_platform
from protocol.values import Role


class Manner(Enum):
    """How somebody stands to the community that is asked about."""

    MEMBER = "member"
    STRANGER = "stranger"
    """With an account, and never a member."""
    REMOVED = "removed"
    """A moderator until a moment ago; the socket has been open all the time."""
    REVOKED = "revoked"
    """An owner whose session has been ended."""
    NOBODY = "nobody"
    """Without an account: a token that this server never signed."""
    STALE = "stale"
    """An owner with every permission, who has not proven who they are for a long time."""


class Where(Enum):
    """Which community a command names. Of commands about oneself: one's own thing, or somebody else's."""

    OWN = "own"
    FOREIGN = "foreign"


class Standing(Struct, frozen=True):
    """One row of the matrix."""

    name: str
    manner: Manner = Manner.MEMBER
    role: Role = Role.LEARNER
    custom: frozenset[Permission] = frozenset()
    platform: frozenset[Permission] = frozenset()

    @property
    def is_member(self) -> bool:
        """Of the community that is their own."""
        return self.manner in (Manner.MEMBER, Manner.STALE)

    @property
    def has_session(self) -> bool:
        return self.manner not in (Manner.REVOKED, Manner.NOBODY)


def _standings() -> Iterator[Standing]:
    for role in Role:
        yield Standing(role.name.lower(), role=role)
    for permission in Permission:
        if of_platform(permission):
            yield Standing(f"platform {permission.name}", platform=frozenset((permission,)))
        else:
            yield Standing(f"custom {permission.name}", custom=frozenset((permission,)))
    yield Standing("stranger", Manner.STRANGER)
    yield Standing("removed member", Manner.REMOVED, Role.MODERATOR)
    yield Standing("revoked session", Manner.REVOKED, Role.OWNER)
    yield Standing("no account", Manner.NOBODY)
    everything = frozenset(permission for permission in Permission if of_platform(permission))
    yield Standing("stale proof", Manner.STALE, Role.OWNER, platform=everything)


STANDINGS: Final = tuple(_standings())
_UNSEEN: Final = frozenset({Code.NOT_FOUND})
_ANOTHERS: Final = frozenset({Code.NOT_FOUND, Code.FORBIDDEN, Code.UNAUTHENTICATED})
"""Of another's session, device or token: it is not there, not theirs, or proves nothing."""
_ALLOWED: Final = frozenset({Code.OK})


def expected(needs: Needs, standing: Standing, where: Where, *, own: bool = False) -> frozenset[Code]:
    """What may come back: `OK` alone, or the refusals that say no more than they should. `own`: it is about what they wrote themselves."""
    if needs.scope is Scope.ANYONE:
        return _ALLOWED
    if standing.manner is Manner.NOBODY:
        return frozenset({Code.UNAUTHENTICATED})
    another = needs.scope is Scope.SELF and where is Where.FOREIGN
    if standing.manner is Manner.REVOKED:
        return frozenset({Code.REVOKED, Code.UNAUTHENTICATED}) if another else frozenset({Code.REVOKED})
    allowed = _judge(needs, standing, where, own)
    if not needs.step_up or standing.manner is not Manner.STALE:
        return allowed
    # Of one's own, that is asked first.
    return frozenset({Code.STEP_UP}) if allowed is _ALLOWED else allowed | {Code.STEP_UP} if another else allowed


def _judge(needs: Needs, standing: Standing, where: Where, own: bool) -> frozenset[Code]:
    if needs.scope is Scope.SELF:
        return _ALLOWED if where is Where.OWN else _ANOTHERS
    assert needs.permission is not None
    if needs.scope is Scope.PLATFORM:
        return _ALLOWED if needs.permission in EVERYBODY | standing.platform else frozenset({Code.FORBIDDEN, Code.NOT_FOUND})
    if where is Where.FOREIGN or not standing.is_member:
        return _UNSEEN
    if needs.permission in BASE[standing.role] | standing.custom or (needs.or_own and own):
        return _ALLOWED
    # That there is such a thing may be kept from a member who has no say in it; that there is the community, from everybody else.
    return frozenset({Code.FORBIDDEN, Code.NOT_FOUND})
