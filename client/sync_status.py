"""How far this device and the server agree: what waits to go up, what is still to come down, what failed and why. Known without a socket.

    mutations, snapshots, positions, conflicts, link ─▶ SyncStatus ─▶ async for status in session.sync_statuses()

Invariant: a status is a value; two that are equal are told once.
"""

from __future__ import annotations

from collections.abc import Callable

import trio
from msgspec import Struct

from client.store import Unapplied
from protocol.values import StreamKind


class Behind(Struct, frozen=True):
    """A stream that is not up to date. `events`: how many are missing, as far as is known. `snapshot`: its records come as a whole."""

    stream: int
    kind: StreamKind
    community: int
    events: int
    snapshot: bool


class SyncStatus(Struct, frozen=True):
    """`sent` of `total` changes are through since there was last nothing to send; `pending` of `pending_bytes` wait, `in_flight` of them
    on their way. `succeeded_at`: when all was last up and all was down, in Unix seconds; 0: never. `refused`: what the server will not
    take, with code and reason, until it is discarded. `conflicts`: how many wait for a decision. `link`: the session's state (`Status`).
    """

    pending: int
    pending_bytes: int
    in_flight: int
    sent: int
    total: int
    behind: tuple[Behind, ...]
    succeeded_at: int
    refused: tuple[Unapplied, ...]
    conflicts: int
    link: str

    @property
    def settled(self) -> bool:
        """Nothing waits and nothing is missing, as far as is known."""
        return not self.pending and not self.behind


class SyncStatuses:
    """An async iterator: the present status, then each change. A slow reader misses what was over before it looked."""

    def __init__(self, present: Callable[[], SyncStatus], changed: Callable[[], trio.Event], ended: Callable[[], bool]) -> None:
        self._present = present
        self._changed = changed
        self._ended = ended
        self._seen: SyncStatus | None = None

    def __aiter__(self) -> SyncStatuses:
        return self

    async def __anext__(self) -> SyncStatus:
        await trio.lowlevel.checkpoint()
        while (status := self._present()) == self._seen:
            if self._ended():
                raise StopAsyncIteration
            await self._changed().wait()
        self._seen = status
        return status
