"""The book of audits: the last report is found, its alarms are counted, and the oldest go."""

from __future__ import annotations

from functools import partial

from actors.model_book import Audited, AuditLine
from persistence.bridge import Bridge
from persistence.model_audits import KEPT, READ_S, count_alarms, keep, latest


def report(alarms: int, rows: int = 100) -> Audited:
    lines = (AuditLine("went well", "en", 60, 0.7), AuditLine("went well", "sw", 40, 0.5, 0.6))
    return Audited("matching", rows, lines, 0.71, tuple(f"alarm {n}" for n in range(alarms)))


async def test_the_last_report_is_told_and_counted_and_old_ones_go(bridge: Bridge) -> None:
    assert await bridge.run(partial(latest, model="matching"), deadline_s=READ_S) is None
    assert await count_alarms(bridge) == {}
    for rows in range(KEPT + 3):
        await bridge.run(partial(keep, report=report(rows % 3, rows)), deadline_s=READ_S)
    found = await bridge.run(partial(latest, model="matching"), deadline_s=READ_S)
    assert found is not None and found[1] == report((KEPT + 2) % 3, KEPT + 2)
    assert await count_alarms(bridge) == {"matching": (KEPT + 2) % 3}
    assert await bridge.run(lambda tx: tx.fetchval("select count(*) from model_audits"), deadline_s=READ_S) == KEPT
