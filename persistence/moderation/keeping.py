"""What moderation keeps, and for how long; and what of it models are trained on.

    held: what was said  30 days after it ended          moderation_labels  a year, and the newest 50,000
    held: the row       180 days after it ended          what nobody decides ends after 180 days, undelivered

Invariant: after its time, of what was said and taken back no word is left, in no table.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import asyncpg
from msgspec import Struct

from actors.inference import About
from persistence.bridge import Bridge
from protocol.values import Harm, HeldState

TEXT_DAYS: Final = 30
"""As long as one may appeal."""
ROW_DAYS: Final = 180
LABEL_DAYS: Final = 365
LABELS_MAX: Final = 50_000
"""Some 5 MB of short texts; the newest say best how people here decide."""
READ_S: Final = 30.0

_SWEEP: Final = """
with waiting as (
    update held set state = $4, decided_at = now() where id in (
        select id from held where state in (1, 2) and at < now() - make_interval(days => $2) order by id limit $3 for update skip locked)
    returning 1),
old as (
    select id from held where decided_at < now() - make_interval(days => $2) and (appealed_at is null or appeal_by <> 0)
    order by decided_at limit $3 for update skip locked),
gone as (delete from held h using old where h.id = old.id returning 1),
ended as (
    select id from held where decided_at < now() - make_interval(days => $1) and body is not null
        and (appealed_at is null or appeal_by <> 0) and decided_at >= now() - make_interval(days => $2)
    order by decided_at limit $3 for update skip locked),
emptied as (update held h set body = null, appeal = '' from ended e where h.id = e.id returning 1)
select (select count(*) from waiting)::int + (select count(*) from gone)::int + (select count(*) from emptied)::int"""
_SWEEP_LABELS: Final = """
with old as (
    select id from moderation_labels where at < now() - make_interval(days => $1)
        or id <= (select id from moderation_labels order by id desc offset $2 limit 1) order by id limit $3 for update skip locked),
gone as (delete from moderation_labels l using old where l.id = old.id returning 1) select count(*)::int from gone"""


class Label(Struct, frozen=True):
    """What a person decided about a text: whether it was harmful, where the model had said `harm`."""

    text: str
    about: About
    language: str
    harm: Harm
    harmful: bool


async def sweep(tx: asyncpg.Connection, limit: int = 1000) -> int:
    """Forgets what is over, up to `limit` of each; how many. For a job."""
    swept: int = await tx.fetchval(_SWEEP, TEXT_DAYS, ROW_DAYS, limit, HeldState.LAPSED)
    labels: int = await tx.fetchval(_SWEEP_LABELS, LABEL_DAYS, LABELS_MAX, limit)
    return swept + labels


async def read_labels(bridge: Bridge, page: int = 1000) -> AsyncIterator[list[Label]]:
    """All decisions, oldest first, for training: without names, numbers or places. Raises `StorageError`."""
    after = 0
    while True:

        async def read(connection: asyncpg.Connection, after: int = after) -> list[asyncpg.Record]:
            rows: list[asyncpg.Record] = await connection.fetch(
                "select id, text, about, language, harm, harmful from moderation_labels where id > $1 order by id limit $2", after, page
            )
            return rows

        rows = await bridge.run(read, deadline_s=READ_S, readonly=True, isolation="none")
        if not rows:
            return
        after = rows[-1]["id"]
        yield [Label(row["text"], About(row["about"]), row["language"], Harm(row["harm"]), row["harmful"]) for row in rows]
