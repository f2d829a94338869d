"""What has to be done now and then, by one node of the `jobs` role: partitions ahead of time, what nobody needs any more, and what an
older version left out."""

from __future__ import annotations

from functools import partial
from typing import Final

import structlog
import trio

from actors.storage_port import StorageError
from persistence.accounts import PostgresAccounts
from persistence.audit import serve_partitions
from persistence.bridge import Bridge
from persistence.horizon import HORIZON_S, complete, forget
from persistence.operations.messages import sweep_versions

log = structlog.get_logger("housekeeping")

SWEEP_EVERY_S: Final = 3600.0
RETRY_S: Final = 60.0
SWEEP_S: Final = 30.0


class Housekeeping:
    """`serve` runs it. Its steps may run on several nodes at once: each is idempotent."""

    def __init__(self, bridge: Bridge, accounts: PostgresAccounts, *, horizon_s: float = HORIZON_S) -> None:
        self._bridge = bridge
        self._accounts = accounts
        self._horizon_s = horizon_s
        self.swept = 0

    async def sweep(self) -> int:
        """Deletes sessions and refresh tokens that ended long ago, texts that were replaced long ago, and of records what lies beyond the
        horizon; how many, some thousand of each at most. May raise `StorageError`."""
        ended = await self._accounts.sweep() + await self._bridge.run(sweep_versions, deadline_s=SWEEP_S)
        return ended + await self._bridge.run(partial(forget, horizon_s=self._horizon_s), deadline_s=SWEEP_S)

    async def complete(self) -> None:
        """Gives spaces and members what a node of the previous version made them without. May raise `StorageError`."""
        await self._bridge.run(complete, deadline_s=SWEEP_S)

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(self._prepare_partitions)
            task_status.started()
            await self._sweep()

    async def _prepare_partitions(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await serve_partitions(self._bridge, task_status=task_status)

    async def _sweep(self) -> None:
        """What was kept for a time that is over; again at once while there is more of it than one transaction should take."""
        again = False
        while True:
            try:
                if not again:
                    await self.complete()
                swept = await self.sweep()
            except StorageError as error:
                log.warning("sweep_failed", error=str(error))
                await trio.sleep(RETRY_S)
                continue
            self.swept += swept
            again = swept > 0
            if not again:
                await trio.sleep(SWEEP_EVERY_S)
