"""Review: the streams in which staff hear what is to be decided, and what of it is forgotten.

    a community ─▶ its review stream, made with the first report; its owners and moderators read it
    the platform ─▶ one for all: people and conversations outside any community, and whoever is staff themselves

Staff read all of a review stream, and may be those whom a report is about: so it never says who reported, nor in what words.
"""

from __future__ import annotations

from typing import Final

import asyncpg

from persistence.operations.membership import SPACE_ENTERED
from persistence.operations.space import SpaceSeen
from protocol.operations import SLOW_MODE_S_MAX
from protocol.values import Roles, StreamKind

DECIDED_KEPT_S: Final = 180 * 24 * 3600
"""How long a decided report is kept: who is reported again within half a year is not seen for the first time."""


async def find_review(tx: asyncpg.Connection, space: SpaceSeen | None) -> tuple[int, bool]:
    """The review stream of a community that is locked (None: the platform's), made where there is none; and whether something waits in the
    outbox for that: its staff are told of a stream that they had not."""
    if space is None:
        platform: int = await tx.fetchval(
            "select t.id from spaces s join streams t on t.space_id = s.id where s.pair_key = 'system:review'"
        )
        return platform, False
    for stream in space.streams:
        if stream.kind is StreamKind.REVIEW:
            return stream.stream, False
    made: int = await tx.fetchval(
        "with told as (insert into outbox (kind, user_id, space_id)"
        " select $3, m.user_id, m.space_id from members m where m.space_id = $1 and m.role & $2 <> 0)"
        " insert into streams (space_id, kind, name, read_roles, write_roles, placement) values ($1, $4, 'review', $2, 0, $1) returning id",
        space.id,
        int(Roles.STAFF),
        SPACE_ENTERED,
        StreamKind.REVIEW,
    )
    return made, True


async def sweep(tx: asyncpg.Connection, kept_s: int = DECIDED_KEPT_S, limit: int = 1000) -> int:
    """Forgets up to `limit` reports that were decided more than `kept_s` ago, and as many times at which somebody spoke in slow mode that
    hold nobody up any more; how many. For a job."""
    swept: int = await tx.fetchval(
        "with old as (select id from reports where state > 1 and decided_at < now() - make_interval(secs => $1)"
        " order by decided_at limit $2 for update skip locked),"
        " gone as (delete from reports r using old where r.id = old.id returning 1),"
        " past as (select stream_id, user_id from slow_posts where at_ms < extract(epoch from now()) * 1000 - $3 limit $2"
        " for update skip locked),"
        " spoken as (delete from slow_posts t using past p where (t.stream_id, t.user_id) = (p.stream_id, p.user_id) returning 1)"
        " select (select count(*) from gone)::int + (select count(*) from spoken)::int",
        float(kept_s),
        limit,
        1000 * SLOW_MODE_S_MAX,
    )
    return swept
