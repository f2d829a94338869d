"""The job `ml.audit`: does a model treat groups of people alike, by what became of what it said here?

    rows of its training ─▶ `python -m ml_actors.auditing` in a process of its own ─▶ a report ─▶ kept; its alarms are counted and told

An alarm decides nothing: people read it (`educonnect ml audit NAME`), and the next training is made under a constraint where there is one.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import asyncpg
import msgspec
import structlog
from msgspec import Struct

from actors.jobs import Cron, Hopeless, JobKind, Way, Work
from actors.model_book import Audited
from ml_actors.auditing import AUDITS
from ml_actors.training import TOO_FEW
from persistence.bridge import Bridge
from persistence.model_audits import keep
from persistence.models import ReadPage
from supervisors.ml_apart import gather, run_apart

log = structlog.get_logger("models")

KIND: Final = "ml.audit"
AUDIT_S: Final = 1800.0


class Look(Struct, frozen=True):
    """Asks for an audit of a model."""

    model: str


class Audits:
    """Runs audits in a jobs process."""

    def __init__(self, bridge: Bridge, rows: Mapping[str, ReadPage]) -> None:
        self._bridge = bridge
        self._rows = rows

    def kinds(self) -> tuple[JobKind, ...]:
        return (JobKind(KIND, Look, self.run, attempts_max=3, timeout_s=AUDIT_S, way=Way(first_s=600.0, at_once_max=1)),)

    async def run(self, work: Work[Look]) -> None:
        """One audit. Raises `Hopeless` for a model that has none, `ApartFailed`."""
        name = work.payload.model
        read = self._rows.get(name)
        if read is None or name not in AUDITS:
            raise Hopeless(f"{name!r} has no audit; audited are {', '.join(audited(self._rows))}")
        with tempfile.TemporaryDirectory(prefix="educonnect-audit-") as place:
            folder = Path(place)
            count = await gather(self._bridge, read, folder / "rows", lambda done: work.report(done, 0, "rows"))
            out = folder / "report"
            if await run_apart([sys.executable, "-m", "ml_actors.auditing", name, str(folder / "rows"), str(out)], folder) == TOO_FEW:
                work.report(count, 0, "rows: too few to compare")
                return
            report = msgspec.json.decode(out.read_bytes(), type=Audited)
        for alarm in report.alarms:
            log.warning("model_audit_alarmed", model=name, alarm=alarm)

        async def effect(tx: asyncpg.Connection) -> None:
            await keep(tx, report)

        work.report(count, count, f"{len(report.alarms)} alarms")
        await work.finish(effect)


def audited(rows: Mapping[str, ReadPage]) -> list[str]:
    """The models that can be audited here: those whose rows are there."""
    return sorted(rows.keys() & AUDITS.keys())


def audit_crons(rows: Mapping[str, ReadPage]) -> tuple[Cron, ...]:
    """Each model once a week, after its training."""
    return tuple(Cron(f"audit-{name}", KIND, Look(name), at=f"11 {7 + place % 5} * * 0") for place, name in enumerate(audited(rows)))
