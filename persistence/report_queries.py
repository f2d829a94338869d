"""What the store asks Postgres of reports: one's own, those of a community, and the platform's, a page at a time.

Whoever reported is in no answer, and what is reported about the one who asks is in none but that of other people. Those who decide see what
the reporter wrote and, while a report is open, what the message said; the reporter sees what they wrote themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg

from actors.storage import Denied, ListReports, ReportList, Result
from persistence.operations.messages import message_text
from persistence.roles import held
from protocol.codes import Code
from protocol.frames import ReportItem
from protocol.permissions import Permission
from protocol.values import ReportAbout, ReportReason, ReportState

_ITEM: Final = (
    "select r.id, r.about, r.subject, r.reason, r.state, extract(epoch from r.at)::bigint, r.times, r.words, r.space_id,"
    " r.stream_id, r.seq, {text} from reports r where r.id > $2 and (r.state = 1 or not $3) and {whose} order by r.id limit $4"
)
_OWN: Final = _ITEM.format(text="null::bytea", whose="r.reporter = $1")
_FOR_STAFF: Final = _ITEM.format(text="r.evidence", whose="r.space_id = $1 and r.subject <> $5")


async def list_reports(connection: asyncpg.Connection, queries: Sequence[ListReports]) -> list[Result]:
    """One after the other: few people ever ask."""
    return [await _list(connection, query) for query in queries]


async def _list(connection: asyncpg.Connection, query: ListReports) -> Result:
    if query.space or query.platform:
        may = await held(connection, query.user, None if query.platform else query.space)
        needed = Permission.REVIEW_PLATFORM if query.platform else Permission.MODERATE
        if not may >> needed & 1:
            return Denied(Code.FORBIDDEN if may else Code.NOT_FOUND)
        rows = await connection.fetch(_FOR_STAFF, query.space, query.after, query.open_only, query.limit + 1, query.user)
    else:
        rows = await connection.fetch(_OWN, query.user, query.after, query.open_only, query.limit + 1)
    return ReportList(tuple(_item(row) for row in rows[: query.limit]), len(rows) > query.limit)


def _item(row: asyncpg.Record) -> ReportItem:
    id, about, subject, reason, state, at, times, words, space, stream, seq, evidence = row
    text = "" if evidence is None else message_text(evidence) or ""
    return ReportItem(id, ReportAbout(about), subject, ReportReason(reason), ReportState(state), at, times, words, space, stream, seq, text)
