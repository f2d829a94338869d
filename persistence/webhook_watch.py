"""The eye on all subscriptions: which have something to send, and how they are.

    once a second:  order_due ─▶ a job for each that is behind      every few seconds:  tally ─▶ figures for the metrics

Several nodes may look at once: a job that waits stands for all orders of it, and the lease lets one worker at it.
"""

from __future__ import annotations

from typing import Final

import structlog
import trio

from actors.storage_port import StorageError
from actors.webhooks import Tally
from persistence.webhook_deliveries import PostgresDeliveries

log = structlog.get_logger("webhooks")

LOOK_EVERY_S: Final = 1.0
TALLY_EVERY_S: Final = 15.0


class WebhookWatch:
    """`serve` runs it. `tally` is what it saw last."""

    def __init__(self, deliveries: PostgresDeliveries, *, look_every_s: float = LOOK_EVERY_S) -> None:
        self._deliveries = deliveries
        self._look_every_s = look_every_s
        self.tally = Tally()
        self.ordered = 0

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Looks until cancelled; goes on when the database is back."""
        task_status.started()
        tally_due_s = trio.current_time()
        away = False
        while True:
            try:
                self.ordered += await self._deliveries.order_due()
                if trio.current_time() >= tally_due_s:
                    self.tally = await self._deliveries.tally()
                    tally_due_s = trio.current_time() + TALLY_EVERY_S
                away = False
            except StorageError as error:
                if not away:
                    log.warning("webhooks_not_looked_at", error=str(error))
                away = True
            await trio.sleep(self._look_every_s)
