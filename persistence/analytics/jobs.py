"""Analytics as jobs: what is done by the clock, and for whom.

    analytics.fold      every 20 s   what waits is made anew, and a job ordered for each learner concerned
    analytics.learner   as ordered   NEXT, INSIGHT, CARD of one learner
    analytics.pass      every hour   whoever was not looked at today; what communities without analytics still have

Invariant: each may be done twice or at once by several processes, and comes to the same.
"""

from __future__ import annotations

import time
from typing import Any, Final

from msgspec import Struct

from actors.inference import Models
from actors.jobs import Cron, JobKind, Way, Work
from actors.storage import Herald
from persistence.analytics.folding import GROUP, LEARNER, LearnerOf, Waiting, fold, read_waiting
from persistence.analytics.learner import Analyst
from persistence.analytics.passing import forget_what_is_off, pass_day
from persistence.bridge import Bridge

FOLD: Final = "analytics.fold"
PASS: Final = "analytics.pass"
FOLD_EVERY_S: Final = 20.0
HOUR_S: Final = 3600.0
STALE_S: Final = 300.0
READ_S: Final = 10.0
ONE: Final = Way(first_s=20.0, most_s=HOUR_S, at_once_max=1)
SEVERAL: Final = Way(first_s=5.0, most_s=600.0, at_once_max=4)


class Clock(Struct, frozen=True):
    """The payload of what is done by the clock alone."""


class AnalyticsJobs:
    """The jobs, and what they count. `group`: of fewer learners nothing is told."""

    def __init__(self, bridge: Bridge, herald: Herald, models: Models, *, group: int = GROUP) -> None:
        self._bridge = bridge
        self._herald = herald
        self._group = group
        self.analyst = Analyst(bridge, herald, models)
        self.folded = 0
        self.looked = 0
        self._waiting = Waiting(0, 0, 0.0)
        self._read_at = float("-inf")

    @property
    def waiting(self) -> Waiting:
        """What was left after this process' last fold; nothing where another process folds now."""
        return self._waiting if time.monotonic() - self._read_at < STALE_S else Waiting(0, 0, 0.0)

    async def fold(self, work: Work[Any]) -> None:
        """May raise `StorageError`."""
        done = await fold(self._bridge, group=self._group)
        self.folded += done
        self._waiting = await self._bridge.run(read_waiting, deadline_s=READ_S, readonly=True)
        self._read_at = time.monotonic()
        work.report(done, 0, "days and lessons")

    async def look(self, work: Work[Any]) -> None:
        """May raise `StorageError`."""
        gone = await forget_what_is_off(self._bridge, self._herald)
        looked = await pass_day(self._bridge, lambda count: work.report(count, 0, "learners"))
        self.looked += looked
        work.report(looked, looked, f"{gone} learners forgotten" if gone else "learners")

    def kinds(self) -> tuple[JobKind, ...]:
        return (
            JobKind(FOLD, Clock, self.fold, timeout_s=600.0, way=ONE),
            JobKind(PASS, Clock, self.look, timeout_s=HOUR_S, way=ONE),
            JobKind(LEARNER, LearnerOf, self.analyst.run, timeout_s=120.0, way=SEVERAL),
        )


CRONS: Final = (
    Cron("analytics-fold", FOLD, Clock(), every_s=FOLD_EVERY_S),
    Cron("analytics-pass", PASS, Clock(), every_s=HOUR_S),
)
