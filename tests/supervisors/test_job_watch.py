"""The watch over queues: a pile is said once, and again after it had gone; a database that is away leaves old figures that say how old."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from actors.job_desk import KindFigures, RegionFigures
from actors.storage_port import Unavailable
from persistence.report_queue import OpenReports
from supervisors.job_watch import JobWatch


class Desk:
    """Says one overview after the other; an error where there is None."""

    def __init__(self, *ready: int | None) -> None:
        self._ready = list(ready)

    async def overview(self) -> list[KindFigures]:
        ready = self._ready.pop(0) if self._ready else 0
        if ready is None:
            raise Unavailable("refused", "nobody there")
        return [KindFigures("mail", ready=ready)]

    async def unserved(self) -> list[RegionFigures]:
        return [RegionFigures("ke", 2, 9.0)]


async def watched(desk: Desk, looks: int) -> tuple[JobWatch, list[int]]:
    """After so many looks; and at which of them it warned."""
    port: Any = desk
    watch = JobWatch(port, waiting_warn=100, every_s=10.0)
    warned: list[int] = []
    async with trio.open_nursery() as nursery:
        for look in range(looks):
            with capture_logs() as lines:
                if look == 0:
                    await nursery.start(watch.serve)
                await trio.sleep(1 if look == 0 else 10)
            warned += [look for line in lines if line["event"] == "jobs_piled_up"]
        nursery.cancel_scope.cancel()
    return watch, warned


async def test_a_pile_is_said_once_until_it_is_half_gone(autojump_clock: trio.testing.MockClock) -> None:
    _, warned = await watched(Desk(0, 100, 200, 60, 120, 40, 100), 7)
    assert warned == [1, 6]


async def test_figures_that_could_not_be_read_again_are_old(autojump_clock: trio.testing.MockClock) -> None:
    watch, _ = await watched(Desk(5, None, None), 3)
    assert [one.ready for one in watch.figures] == [5]
    assert watch.age_s == pytest.approx(21.0)


def test_before_the_first_look_there_is_no_age() -> None:
    port: Any = Desk()
    assert JobWatch(port, waiting_warn=1).age_s is None


async def test_reports_that_wait_are_looked_at_beside_jobs(autojump_clock: trio.testing.MockClock) -> None:
    port: Any = Desk(1, 1)

    async def review() -> OpenReports:
        return OpenReports(3, trio.current_time())

    watch = JobWatch(port, review, waiting_warn=100, every_s=10.0)
    async with trio.open_nursery() as nursery:
        await nursery.start(watch.serve)
        await trio.sleep(11)
        nursery.cancel_scope.cancel()
    assert watch.reports.count == 3 and watch.reports.oldest_s >= 10
