"""The port of writing over HTTP: which device and number an operation has that comes without a socket.

    no Idempotency-Key ─▶ Stamp(0, 0, 0): numberless; asked twice, it is done twice
    Idempotency-Key    ─▶ Stamp(a device of its own, …, 1): asked twice, the journal answers what it has decided

A key stands for a hidden device that says one thing. So what keeps a socket's retries from being done twice keeps those of a request, too:
there is no second book that could disagree with the first.

Invariant: one account's keys are nothing to another's.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

KEPT_S = 24 * 3600
"""How long a key is known."""


class Stamp(Struct, frozen=True):
    """Goes into `actors.storage.Entry`. `trust`: how far the account is trusted, in [0, 1]."""

    device: int
    generation: int
    number: int
    trust: float


class Writing(Protocol):
    """`persistence.http_writing.PostgresWriting`."""

    async def stamp(self, user: int, key: bytes) -> Stamp:
        """For an operation of the account; `key`: the hash of its key, 32 bytes, or nothing. May raise `StorageError`."""
        ...
