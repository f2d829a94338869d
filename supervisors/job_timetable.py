"""The timetable: looks once a second whether a schedule is due, and orders its job. On every node of the `jobs` role; a tick is one job."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Final

import structlog
import trio

from actors.jobs import Cron
from actors.storage_port import StorageError
from persistence.bridge import Bridge
from persistence.jobs.schedules import register, tick

log = structlog.get_logger("jobs")

LOOK_EVERY_S: Final = 1.0
CALL_S: Final = 10.0


class Timetable:
    """`serve` runs it."""

    def __init__(self, bridge: Bridge, crons: Iterable[Cron], *, every_s: float = LOOK_EVERY_S) -> None:
        self._bridge = bridge
        self._crons = {cron.name: cron for cron in crons}
        self._every_s = every_s
        self.fired = 0

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Writes down what there is to do by the clock, then looks until cancelled."""
        task_status.started()
        registered = awaited = False
        while True:
            try:
                if not registered:
                    await self._bridge.run(partial(register, crons=tuple(self._crons.values())), deadline_s=CALL_S)
                    registered = True
                self.fired += await self._bridge.run(partial(tick, crons=self._crons), deadline_s=CALL_S)
                awaited = False
            except StorageError as error:
                if not awaited:
                    awaited = True
                    log.warning("schedules_delayed", error=str(error))
            await trio.sleep(self._every_s)
