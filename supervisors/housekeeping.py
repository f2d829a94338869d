"""What has to be done now and then, by one node of the `jobs` role: partitions ahead of time, and what nobody needs any more."""

from __future__ import annotations

from typing import Final

import structlog
import trio

from actors.storage_port import StorageError
from persistence.accounts import PostgresAccounts
from persistence.audit import serve_partitions
from persistence.bridge import Bridge
from persistence.operations.messages import sweep_versions

log = structlog.get_logger("housekeeping")

SWEEP_EVERY_S: Final = 3600.0
RETRY_S: Final = 60.0
SWEEP_S: Final = 30.0


class Housekeeping:
    """`serve` runs it. Its steps may run on several nodes at once: each is idempotent."""

    def __init__(self, bridge: Bridge, accounts: PostgresAccounts) -> None:
        self._bridge = bridge
        self._accounts = accounts
        self.swept = 0

    async def sweep(self) -> int:
        """Deletes sessions and refresh tokens that ended long ago, and texts that were replaced long ago; how many, a thousand of each at
        most. May raise `StorageError`."""
        return await self._accounts.sweep() + await self._bridge.run(sweep_versions, deadline_s=SWEEP_S)

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(self._prepare_partitions)
            task_status.started()
            await self._sweep()

    async def _prepare_partitions(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await serve_partitions(self._bridge, task_status=task_status)

    async def _sweep(self) -> None:
        """What was kept for a time that is over; again at once while there is more of it than one transaction should take."""
        while True:
            try:
                swept = await self.sweep()
            except StorageError as error:
                log.warning("sweep_failed", error=str(error))
                await trio.sleep(RETRY_S)
                continue
            self.swept += swept
            if not swept:
                await trio.sleep(SWEEP_EVERY_S)
