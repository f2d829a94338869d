"""Authority: whether somebody may do something, asked of what is committed now; and the roles by which they may.

Invariant: nobody's memory answers; a role that was taken away is gone for the next question.
"""

from __future__ import annotations

from typing import Final, Protocol

from msgspec import Struct

from actors.accounts import Caller, Claims
from protocol.codes import Code
from protocol.permissions import Permission


class Authority(Protocol):
    """Who may do what; `persistence.roles.PostgresAuthority`."""

    async def allowed(self, user: int, permission: Permission, space: int | None) -> bool:
        """In `space`; None: on the platform. False for strangers, for people who left, for accounts that are disabled. May raise
        `StorageError`."""
        ...


HOLDERS_LISTED_MAX: Final = 200
"""Of each role; in a community whoever is interested in more follows its stream."""


class RoleView(Struct, frozen=True):
    """A custom role. `permissions`: as the sum of 2^permission; `holders`: the first `HOLDERS_LISTED_MAX` of the `held_by` accounts."""

    role: int
    name: str
    permissions: int
    held_by: int
    holders: tuple[int, ...]


class RoleList(Struct, frozen=True):
    """The custom roles of a community, or the platform's; `mine`: all that whoever asked may do there, as the sum of 2^permission."""

    mine: int
    roles: tuple[RoleView, ...]


class RoleBook(Protocol):
    """Custom roles to be looked at, and the platform's to be given; `persistence.role_book.PostgresRoleBook`. May raise `StorageError`."""

    async def list_roles(self, user: int, space: int | None) -> RoleList:
        """Those of `space`, or (None) of the platform, by name."""
        ...

    async def give(self, claims: Claims, role: int, user: int, caller: Caller) -> Code:
        """Gives a role of the platform: `OK`, also to who has it; `NOT_FOUND` for no such role or account, `FORBIDDEN` where it gives more
        than the giver has, `LIMIT`."""
        ...

    async def take(self, claims: Claims, role: int, user: int, caller: Caller) -> Code:
        """Takes one, also from who has it not. As `give`."""
        ...
