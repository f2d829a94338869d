"""What waits for somebody, on every node: jobs, reports that nobody has decided, alarms of audits; for its metrics, and a word in the log
for a pile.

    every 15 s: PostgresDesk.overview ─▶ figures ──▶ readings           reads a bounded number of rows, of each
                PostgresDesk.unserved ─▶ unserved ─┤
                open_reports          ─▶ reports ──┤
                count_alarms          ─▶ alarms ───╯

Every process shows the same figures, so an alert takes the largest. Invariant: figures that are old say so (`age_s`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import structlog
import trio

from actors.job_desk import Desk, KindFigures, RegionFigures
from actors.storage_port import StorageError
from persistence.report_queue import OpenReports

log = structlog.get_logger("jobs")

LOOK_EVERY_S: Final = 15.0


class JobWatch:
    """`serve` runs it. `waiting_warn`: ready jobs of a kind from which that is said, once until there are half as many."""

    def __init__(
        self,
        desk: Desk,
        review: Callable[[], Awaitable[OpenReports]] | None = None,
        audits: Callable[[], Awaitable[Mapping[str, int]]] | None = None,
        *,
        waiting_warn: int,
        every_s: float = LOOK_EVERY_S,
    ) -> None:
        self.figures: Sequence[KindFigures] = ()
        self.unserved: Sequence[RegionFigures] = ()
        self.reports = OpenReports()
        self.alarms: Mapping[str, int] = {}
        self._review = review
        self._audits = audits
        self._desk = desk
        self._waiting_warn = waiting_warn
        self._every_s = every_s
        self._looked_s: float | None = None
        self._told: set[str] = set()

    @property
    def age_s(self) -> float | None:
        """How old the figures are; None before the first."""
        return None if self._looked_s is None else trio.current_time() - self._looked_s

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Looks until cancelled. A database that is away leaves the figures as they were."""
        task_status.started()
        while True:
            began_s = trio.current_time()
            try:
                self.figures = await self._desk.overview()
                self.unserved = await self._desk.unserved()
                if self._review is not None:
                    self.reports = await self._review()
                if self._audits is not None:
                    self.alarms = await self._audits()
            except StorageError as error:
                log.info("jobs_not_looked_at", error=str(error))
            else:
                self._looked_s = began_s
                self._judge()
            await trio.sleep_until(began_s + self._every_s)

    def _judge(self) -> None:
        for one in self.figures:
            if one.ready >= self._waiting_warn and one.kind not in self._told:
                self._told.add(one.kind)
                log.warning("jobs_piled_up", kind=one.kind, ready=one.ready, oldest_s=round(one.oldest_s))
        piled = {one.kind for one in self.figures if one.ready * 2 > self._waiting_warn}
        self._told &= piled
