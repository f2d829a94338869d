"""Rows of the tracing model's training: graded attempts, of learners who are numbers that mean nothing elsewhere.

Invariant: a row names nobody: its number is made with a salt of this database, and leads nowhere without it.
"""

from __future__ import annotations

from typing import Final

import asyncpg
import msgspec

from actors.model_book import PAGE_ROWS_MAX, Answered, Mark, Page

# Attempts in the order of their key. Of a community without analytics nothing is learned.
_ATTEMPTS: Final = """
select a.stream_id, a.question, a.place, a.lesson, a.points, a.at, hashint8extended(a.stream_id, c.salt) & 9007199254740991 as learner,
    analytics_off(s.settings) as is_off
from attempts a cross join analytics_clock c left join spaces s on s.id = a.space_id
where (a.stream_id, a.question, a.place) > ($1::bigint, $2::bigint, $3::bigint)
order by a.stream_id, a.question, a.place limit $4"""
_PACK: Final = msgspec.msgpack.Encoder()


async def page(connection: asyncpg.Connection, after: Mark, limit: int = PAGE_ROWS_MAX) -> Page:
    """Graded attempts after the mark; what has no key, or no lesson, teaches nothing."""
    stream, question, place = after if after else (0, 0, 0)
    rows = await connection.fetch(_ATTEMPTS, stream, question, place, limit)
    found = [
        _PACK.encode(Answered(row["learner"], row["lesson"], row["points"] == 100, row["at"]))
        for row in rows
        if row["points"] is not None and row["lesson"] and not row["is_off"]
    ]
    mark = (rows[-1]["stream_id"], rows[-1]["question"], rows[-1]["place"]) if rows else after
    return Page(found, mark, len(rows) == limit)
