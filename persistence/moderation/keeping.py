"""What moderation keeps, and for how long; and what of it models are trained on.

    held: what was said  30 days after it ended          moderation_labels  a year, and the newest 50,000
    held: the row       180 days after it ended          what nobody decides ends after 180 days, undelivered

Invariant: after its time, of what was said and taken back no word is left, in no table.
"""

from __future__ import annotations

from typing import Final

import asyncpg
import msgspec

from actors.model_book import PAGE_ROWS_MAX, Mark, Page, Ruled
from protocol.values import Harm, HeldState

TEXT_DAYS: Final = 30
"""As long as one may appeal."""
ROW_DAYS: Final = 180
APPEAL_DAYS: Final = 14
"""That a community has for an appeal; then the platform's reviewers may decide it: who could have may be gone."""
LABEL_DAYS: Final = 365
LABELS_MAX: Final = 50_000
"""Some 5 MB of short texts; the newest say best how people here decide."""

COMMUNITY_SHARE: Final = 0.25
"""Of all decisions that teach, how many may be of one community: its newest. A model is everybody's, and a busy staff, or one that wants
to, would teach it their own line."""
COMMUNITY_ROWS_MIN: Final = 1_000
"""That each may bring in any case: where there are few communities, there is nobody else to learn from."""
_PACK: Final = msgspec.msgpack.Encoder()
_SWEEP: Final = """
with waiting as (
    update held set state = $4, decided_at = now() where id in (
        select id from held where state in (1, 2) and at < now() - make_interval(days => $2) order by id limit $3 for update skip locked)
    returning 1),
old as (
    select id from held where decided_at < now() - make_interval(days => $2) and (appealed_at is null or appeal_by <> 0)
    order by decided_at limit $3 for update skip locked),
gone as (delete from held h using old where h.id = old.id returning 1),
left_alone as (
    select id from held where appealed_at < now() - make_interval(days => $5) and appealed_at is not null and appeal_by = 0
        and review_id > 0 and state in (3, 5) order by appealed_at limit $3 for update skip locked),
handed_on as (update held h set review_id = 0 from left_alone l where h.id = l.id returning 1),
ended as (
    select id from held where decided_at < now() - make_interval(days => $1) and body is not null
        and (appealed_at is null or appeal_by <> 0) and decided_at >= now() - make_interval(days => $2)
    order by decided_at limit $3 for update skip locked),
emptied as (update held h set body = null, appeal = '' from ended e where h.id = e.id returning 1)
select (select count(*) from waiting)::int + (select count(*) from gone)::int + (select count(*) from emptied)::int
    + (select count(*) from handed_on)::int"""
_SWEEP_LABELS: Final = """
with old as (
    select id from moderation_labels where at < now() - make_interval(days => $1)
        or id <= (select id from moderation_labels order by id desc offset $2 limit 1) order by id limit $3 for update skip locked),
gone as (delete from moderation_labels l using old where l.id = old.id returning 1) select count(*)::int from gone"""

_PAGE: Final = """
select l.id, l.text, l.harmful, l.harm, l.language from moderation_labels l
join (select id, row_number() over (partition by space_id order by id desc) as nth, count(*) over () as all_rows from moderation_labels) c
    on c.id = l.id
where l.id > $1 and (l.space_id = 0 or c.nth <= greatest($3::int, c.all_rows * $4::float8)) order by l.id limit $2"""


async def sweep(tx: asyncpg.Connection, limit: int = 1000) -> int:
    """Forgets what is over, up to `limit` of each; how many. For a job."""
    swept: int = await tx.fetchval(_SWEEP, TEXT_DAYS, ROW_DAYS, limit, HeldState.LAPSED, APPEAL_DAYS)
    labels: int = await tx.fetchval(_SWEEP_LABELS, LABEL_DAYS, LABELS_MAX, limit)
    return swept + labels


async def page(connection: asyncpg.Connection, after: Mark, limit: int = PAGE_ROWS_MAX) -> Page:
    """Decisions, oldest first: rows of the model's training, without names, numbers or places. Of one community its newest, up to
    `COMMUNITY_SHARE` of all or `COMMUNITY_ROWS_MIN`."""
    rows = await connection.fetch(
        _PAGE,
        after[0] if after else 0,
        limit,
        COMMUNITY_ROWS_MIN,
        COMMUNITY_SHARE,
    )
    kinds = [(Harm(row["harm"]),) if row["harmful"] else () for row in rows]
    found = [_PACK.encode(Ruled(row["text"], row["harmful"], some, row["language"])) for row, some in zip(rows, kinds, strict=True)]
    return Page(found, (rows[-1]["id"],) if rows else after, len(rows) == limit)
