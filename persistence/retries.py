"""Work that is done again where the server undid it: a deadlock, or a serialization failure.

Invariant: only what certainly had no effect is done again.
"""

from __future__ import annotations

from typing import Final, TypeVar

from actors.storage_port import Unavailable
from persistence.bridge import Bridge
from persistence.lanes import Isolation, Work

T = TypeVar("T")

DEADLINE_S: Final = 5.0
CONFLICT_TRIES: Final = 3


async def run(bridge: Bridge, work: Work[T], *, readonly: bool = False, isolation: Isolation = "read_committed") -> T:
    """Runs `work` in a transaction of its own, up to three times. Raises `StorageError`, or what `work` raised."""
    for _ in range(CONFLICT_TRIES - 1):
        try:
            return await bridge.run(work, deadline_s=DEADLINE_S, readonly=readonly, isolation=isolation)
        except Unavailable as error:
            if error.reason != "conflict":
                raise
    return await bridge.run(work, deadline_s=DEADLINE_S, readonly=readonly, isolation=isolation)
