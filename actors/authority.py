"""Authority: whether somebody may do something, asked of what is committed now.

Invariant: nobody's memory answers; a role that was taken away is gone for the next question.
"""

from __future__ import annotations

from typing import Protocol

from protocol.permissions import Permission


class Authority(Protocol):
    """Who may do what; `persistence.roles.PostgresAuthority`."""

    async def allowed(self, user: int, permission: Permission, space: int | None) -> bool:
        """In `space`; None: on the platform. False for strangers, for people who left, for accounts that are disabled. May raise
        `StorageError`."""
        ...
