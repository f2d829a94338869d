"""What the store asks Postgres of what is held: one's own, those of a community, and the platform's, a page at a time.

Nobody is shown what is held of themselves among what they decide; who decided is shown to nobody here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg

from actors.moderation import read_reasons
from actors.storage import Denied, HeldList, ListHeld, Result
from persistence.moderation.words import text_of
from persistence.roles import held
from protocol.codes import Code
from protocol.frames import HeldItem, HeldReason
from protocol.permissions import Permission
from protocol.values import HeldForm, HeldState

_ITEM: Final = (
    "select h.id, h.form, h.state, h.author, extract(epoch from h.at)::bigint, h.reasons, h.body, h.judged_by, h.degraded, h.space_id,"
    " h.stream_id, case when h.form in (1, 2) then h.target else 0 end, h.appeal, coalesce(extract(epoch from h.appealed_at)::bigint, 0)"
    " from held h where h.id > $2 and {whose}"
    " and (not $3 or h.state in (1, 2, 7) or h.state = 3 or h.state = 5 and h.appealed_at is not null and h.appeal_by = 0)"
    " order by h.id limit $4"
)
_OWN: Final = _ITEM.format(whose="h.author = $1 and (h.form in (1, 2) or h.state <> 1)")
"""Of what stands while it is looked at, nothing before it was judged."""
_FOR_STAFF: Final = _ITEM.format(whose="h.review_id = $1 and h.told and h.author <> $5")


async def list_held(connection: asyncpg.Connection, queries: Sequence[ListHeld]) -> list[Result]:
    """One after the other: few people ever ask."""
    return [await _list(connection, query) for query in queries]


async def _list(connection: asyncpg.Connection, query: ListHeld) -> Result:
    if query.space or query.platform:
        may = await held(connection, query.user, None if query.platform else query.space)
        needed = Permission.REVIEW_PLATFORM if query.platform else Permission.MODERATE
        if not may >> needed & 1:
            return Denied(Code.FORBIDDEN if may else Code.NOT_FOUND)
        rows = await connection.fetch(_FOR_STAFF, query.space, query.after, query.open_only, query.limit + 1, query.user)
    else:
        rows = await connection.fetch(_OWN, query.user, query.after, query.open_only, query.limit + 1)
    return HeldList(tuple(_item(row) for row in rows[: query.limit]), len(rows) > query.limit)


def _item(row: asyncpg.Record) -> HeldItem:
    id, form, state, author, at, reasons, body, by, degraded, space, stream, seq, appeal, appealed = row
    shown = tuple(HeldReason(reason.harm, reason.percent) for reason in read_reasons(reasons))
    text = text_of(HeldForm(form), body)
    return HeldItem(id, HeldForm(form), HeldState(state), author, at, shown, text, by, degraded, space, stream, seq, appeal, appealed)
