"""What works on rows apart: an audit from a query to a report that is kept, and a process that fails is told with its own words."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from actors.jobs import Hopeless
from actors.model_book import Mark, Met, Page
from ml_actors.training import TOO_FEW
from persistence.bridge import Bridge
from persistence.model_audits import READ_S, latest
from supervisors.ml_apart import ApartFailed, run_apart
from supervisors.ml_audit import Audits, Look

ROWS = 600
PAGE = 250


class Attempt:
    """Fits `actors.jobs.Work`: what a run tells of itself."""

    def __init__(self, bridge: Bridge, payload: Look) -> None:
        self.payload = payload
        self.effect_key = "audit-1"
        self.attempt = 1
        self.space = 0
        self.told: list[tuple[int, int, str]] = []
        self._bridge = bridge

    async def finish(self, effect: Callable[[Any], Awaitable[Any]]) -> Any:
        return await self._bridge.run(effect, deadline_s=READ_S)

    def report(self, done: int, total: int = 0, words: str = "") -> None:
        self.told.append((done, total, words))


async def held_back(connection: asyncpg.Connection, after: Mark, limit: int) -> Page:
    """Matches in which one of two groups does as well as the other, by lower scores."""
    begin = after[0] if after else 0
    rows = [
        msgspec.msgpack.encode(Met((0.5,) * 6, n // 2 % 10 < 6, (0.2 if n % 2 else 0.7) + n % 10 * 0.02, "sw" if n % 2 else "en"))
        for n in range(begin, min(ROWS, begin + PAGE))
    ]
    return Page(rows, (begin + len(rows),), begin + len(rows) < ROWS)


async def test_an_audit_reads_every_page_and_its_report_is_kept(bridge: Bridge) -> None:
    audits = Audits(bridge, {"matching": held_back})
    work = Attempt(bridge, Look("matching"))
    await audits.run(work)
    found = await bridge.run(partial(latest, model="matching"), deadline_s=READ_S)
    assert found is not None
    assert found[1].rows == ROWS
    assert work.told[-1] == (ROWS, ROWS, f"{len(found[1].alarms)} alarms")


async def test_a_model_without_rows_or_audit_is_hopeless(bridge: Bridge) -> None:
    with pytest.raises(Hopeless, match="audited are matching"):
        await Audits(bridge, {"matching": held_back}).run(Attempt(bridge, Look("questions")))


async def test_a_process_that_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(ApartFailed, match=r"exit status 7: .*what went wrong"):
        await run_apart([sys.executable, "-c", "import sys; print('what went wrong', file=sys.stderr); sys.exit(7)"], tmp_path)
    assert await run_apart([sys.executable, "-c", f"raise SystemExit({TOO_FEW})"], tmp_path) == TOO_FEW
