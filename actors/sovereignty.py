"""Whose data it is, as the gateway asks for it: archives to take away, and erasure.

    order ─▶ a job writes the archive ─▶ find: ready ─▶ read, part by part          erase ─▶ at once for everybody, then a job

Invariant: an archive is given to nobody but the account that asked for it, and no longer than a week.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

from msgspec import Struct

PART_BYTES: int = 256 * 1024
"""An archive is kept and read in parts of this size."""


class Kind(IntEnum):
    """Whose."""

    COMMUNITY = 1
    PERSON = 2


class Archive(Struct, frozen=True):
    """An archive that was asked for. Times are Unix seconds; `bytes` and `sha256` (hexadecimal) once it is ready."""

    id: int
    asked_at: int
    expires_at: int
    ready: bool
    bytes: int = 0
    sha256: str = ""
    error: str = ""


class Sovereignty(Protocol):
    """Archives and erasure in storage. Every method may raise `StorageError`."""

    async def order(self, kind: Kind, subject: int, user: int) -> Archive:
        """Asks for an archive; the one that `user` asked for within the last hour, if there is one."""
        ...

    async def find(self, kind: Kind, subject: int, user: int) -> Archive | None:
        """The archive of this subject that `user` asked for last."""
        ...

    async def read(self, archive: int, part: int) -> bytes | None:
        """One part of a ready archive, from 0; None behind the last."""
        ...

    async def name_of(self, kind: Kind, id: int) -> str | None:
        """What a community is called, or a person logs in with; None: there is no such thing."""
        ...

    async def erase(self, kind: Kind, id: int, by: int) -> bool:
        """Condemns it, finally. False: there is no such thing."""
        ...

    async def keep_for(self, space: int, days: int | None, by: int) -> bool:
        """How many days a community keeps messages; None: for ever. False: there is none."""
        ...
