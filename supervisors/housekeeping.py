"""What has to be done now and then: partitions ahead of time, what nobody needs any more, and what an older version left out.

Each chore is a job by the clock (`supervisors.job_kinds`): done by one node, tried again when it fails, seen by `educonnect jobs`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from persistence.accounts import PostgresAccounts
from persistence.analytics.passing import KEEP_DAYS as ANALYTICS_DAYS
from persistence.analytics.passing import forget_months as forget_learning
from persistence.analytics.passing import prepare_months as prepare_learning
from persistence.audit import KEEP_DAYS, prepare
from persistence.audit import forget as forget_months
from persistence.bridge import Bridge
from persistence.documents.pruning import HORIZON_S as DOCUMENTS_S
from persistence.documents.pruning import prune
from persistence.horizon import HORIZON_S, complete, forget
from persistence.jobs.schedules import forget_jobs
from persistence.keys import sweep_keys
from persistence.learning.grading import order_what_waits, sweep_attempts
from persistence.moderation.keeping import sweep as sweep_moderation
from persistence.operations.messages import sweep_versions
from persistence.review import sweep as sweep_reports
from persistence.webhooks import LOG_DAYS, sweep_deliveries

SWEEP_S: Final = 30.0
"""One transaction of a chore."""


class Housekeeping:
    """The chores. Each is idempotent, and harmless where two nodes do it at once."""

    def __init__(
        self,
        bridge: Bridge,
        accounts: PostgresAccounts,
        *,
        horizon_s: float = HORIZON_S,
        documents_s: float = DOCUMENTS_S,
        delivery_days: int = LOG_DAYS,
        audit_days: int = KEEP_DAYS,
        analytics_days: int = ANALYTICS_DAYS,
    ) -> None:
        self._bridge = bridge
        self._accounts = accounts
        self._horizon_s = horizon_s
        self._documents_s = documents_s
        self._delivery_days = delivery_days
        self._audit_days = audit_days
        self._analytics_days = analytics_days
        self.swept = 0

    async def sweep(self) -> int:
        """Deletes sessions and refresh tokens that ended long ago, texts that were replaced long ago, what is written of jobs that nobody
        looked at, what is over of reports, moderation and slow mode, ended API keys,
        attempts of webhooks, attempts at questions, and what lies beyond the horizon of records and of documents that have a state; how
        many, some thousand of each at most.
        May raise `StorageError`."""
        ended = await self._accounts.sweep() + await self._bridge.run(sweep_versions, deadline_s=SWEEP_S)
        ended += await self._bridge.run(forget_jobs, deadline_s=SWEEP_S) + await self._bridge.run(sweep_reports, deadline_s=SWEEP_S)
        ended += await self._bridge.run(sweep_keys, deadline_s=SWEEP_S) + await self._bridge.run(sweep_moderation, deadline_s=SWEEP_S)
        ended += await self._bridge.run(partial(sweep_deliveries, log_days=self._delivery_days), deadline_s=SWEEP_S)
        ended += await self._bridge.run(sweep_attempts, deadline_s=SWEEP_S)
        ended += await self._bridge.run(partial(prune, horizon_s=self._documents_s), deadline_s=SWEEP_S)
        return ended + await self._bridge.run(partial(forget, horizon_s=self._horizon_s), deadline_s=SWEEP_S)

    async def sweep_all(self, report: Callable[[int], None] = lambda swept: None) -> int:
        """Sweeps until there is no more, or it is cancelled: a transaction takes only so much. May raise `StorageError`."""
        total = 0
        while swept := await self.sweep():
            self.swept += swept
            total += swept
            report(total)
        return total

    async def complete(self) -> None:
        """Gives spaces and members what a node of the previous version made them without, and answers that wait without a job theirs. May
        raise `StorageError`."""
        await self._bridge.run(complete, deadline_s=SWEEP_S)
        await self._bridge.run(order_what_waits, deadline_s=SWEEP_S)

    async def prepare_partitions(self) -> int:
        """Makes the partitions of the audit and of analytics for the next months, and lets go of those whose time is over; how many were
        missing. May raise `StorageError`."""
        made = await self._bridge.run(prepare, deadline_s=SWEEP_S)
        await self._bridge.run(partial(forget_months, keep_days=self._audit_days), deadline_s=SWEEP_S)
        made += await self._bridge.run(prepare_learning, deadline_s=SWEEP_S)
        await self._bridge.run(partial(forget_learning, keep_days=self._analytics_days), deadline_s=SWEEP_S)
        return made
