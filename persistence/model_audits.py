"""The book of audits: each model's last reports on whether it treats groups of people alike.

A report holds groups and shares and nothing of anybody; the last `KEPT` of each model are kept.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from actors.model_book import Audited
from persistence.bridge import Bridge

KEPT: Final = 60
READ_S: Final = 10.0


async def keep(tx: asyncpg.Connection, report: Audited) -> None:
    """Writes a report down, and lets the oldest go."""
    await tx.execute(
        "insert into model_audits (model, report, alarms) values ($1, $2::jsonb, $3)",
        report.model,
        msgspec.json.encode(report).decode(),
        len(report.alarms),
    )
    await tx.execute(
        "delete from model_audits where model = $1"
        " and at < (select at from model_audits where model = $1 order by at desc offset $2 limit 1)",
        report.model,
        KEPT - 1,
    )


async def latest(tx: asyncpg.Connection, model: str) -> tuple[datetime, Audited] | None:
    """A model's last report, and when it was made."""
    row = await tx.fetchrow("select at, report::text as report from model_audits where model = $1 order by at desc limit 1", model)
    return None if row is None else (row["at"], msgspec.json.decode(row["report"], type=Audited))


async def count_alarms(bridge: Bridge) -> dict[str, int]:
    """The alarms of each model's last report."""

    async def read(tx: asyncpg.Connection) -> dict[str, int]:
        rows = await tx.fetch("select distinct on (model) model, alarms from model_audits order by model, at desc")
        return {row["model"]: row["alarms"] for row in rows}

    return await bridge.run(read, deadline_s=READ_S, readonly=True)
