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
    KEY = "key"
    """Another system, which comes to the routes with its API key."""
    KEY_SESSION = "key session"
    """Another system on a socket, by a session that it was given for its key: a member, within the key's scopes."""


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
    scopes: frozenset[Permission] = frozenset()
    """Of a key."""

    @property
    def is_member(self) -> bool:
        """Of the community that is their own."""
        return self.manner in (Manner.MEMBER, Manner.STALE, Manner.KEY, Manner.KEY_SESSION)

    @property
    def has_session(self) -> bool:
        return self.manner not in (Manner.REVOKED, Manner.NOBODY, Manner.KEY)


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
    of_spaces = frozenset(permission for permission in Permission if not of_platform(permission))
    yield Standing("api key with everything", Manner.KEY, Role.MODERATOR, custom=of_spaces, scopes=of_spaces)
    yield Standing("api key that only reads", Manner.KEY, Role.MODERATOR, custom=of_spaces, scopes=frozenset((Permission.READ,)))
    yield Standing("api key of a service that may less", Manner.KEY, Role.LEARNER, scopes=of_spaces)
    for role in (Role.LEARNER, Role.MENTOR, Role.MODERATOR):
        yield Standing(f"socket of a {role.name.lower()}'s api key", Manner.KEY_SESSION, role, scopes=BASE[role])
    most = BASE[Role.LEARNER] | frozenset((Permission.MODERATE, Permission.MANAGE_ROLES))
    yield Standing("socket of an api key with a custom role", Manner.KEY_SESSION, custom=most - BASE[Role.LEARNER], scopes=most)
    yield Standing("stale proof", Manner.STALE, Role.OWNER, platform=everything)


NO_SERVICES: Final = frozenset({"Join", "ProposeMentorship"})
"""What no service does, though everybody may do it about themselves: it stays in its own community, and learns nothing."""
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
    if standing.manner is Manner.KEY:
        return _judge_key(needs, standing, where)
    if standing.manner is Manner.KEY_SESSION:
        return _judge_key_session(needs, standing, where, own)
    another = needs.scope is Scope.SELF and where is Where.FOREIGN
    if standing.manner is Manner.REVOKED:
        return frozenset({Code.REVOKED, Code.UNAUTHENTICATED}) if another else frozenset({Code.REVOKED})
    allowed = _judge(needs, standing, where, own)
    if not needs.step_up or standing.manner is not Manner.STALE:
        return allowed
    # Of one's own, that is asked first.
    return frozenset({Code.STEP_UP}) if allowed is _ALLOWED else allowed | {Code.STEP_UP} if another else allowed


def _judge_key(needs: Needs, standing: Standing, where: Where) -> frozenset[Code]:
    """A community's key: in its own place, within its scopes and what its service may; never where one has to prove who one is."""
    if needs.scope is not Scope.SPACE:
        return frozenset({Code.UNAUTHENTICATED, Code.FORBIDDEN})
    if needs.step_up:
        return frozenset({Code.FORBIDDEN})
    if where is Where.FOREIGN:
        return _UNSEEN
    assert needs.permission is not None
    allowed = needs.permission in standing.scopes & (BASE[standing.role] | standing.custom)
    return _ALLOWED if allowed else frozenset({Code.FORBIDDEN})


def _judge_key_session(needs: Needs, standing: Standing, where: Where, own: bool) -> frozenset[Code]:
    """A key's session: in its own community within its scopes, about itself, and nothing on the platform; it never proves who it is."""
    if needs.scope is Scope.PLATFORM:
        return frozenset({Code.FORBIDDEN, Code.NOT_FOUND})
    if needs.scope is Scope.SELF:
        return _ALLOWED if where is Where.OWN else _ANOTHERS
    if where is Where.FOREIGN:
        return _UNSEEN
    allowed = needs.permission in standing.scopes & (BASE[standing.role] | standing.custom) or (needs.or_own and own)
    if not allowed:
        return frozenset({Code.FORBIDDEN, Code.NOT_FOUND})
    return frozenset({Code.STEP_UP}) if needs.step_up else _ALLOWED


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
