"""What a state has is let go of in the log, once it is old enough: documents that are written in for years stay as small as they are.

    state ▸ upto ─▶ updates up to it, older than the horizon ─▶ deleted, the stream's floor raised in the same statement
    version that is not ready yet ▸ upto ─▶ what comes after it stays

Whoever comes back from before the floor is answered `RESET` and loads the state, as of any stream. States and versions are whole: none
needs what is gone. Who wrote when is told as far back as the log goes.

Invariant: floor < seq ≤ head is in the log; floor is at most where the state is, and where each version is that is still to be made.
"""

from __future__ import annotations

from typing import Final

import asyncpg

HORIZON_S: Final = 90 * 24 * 3600.0
"""A term: who was away for less follows from where they were, and an older state than the present one can still be named."""
DOCUMENTS_MAX: Final = 100
ROWS_MAX: Final = 1_000
"""In one transaction; of each document, so that no writer waits long for it."""

# The document's row, then its stream, as operations lock them: a version that is named meanwhile finds its base. Who is busy is passed
# over. Positions are given in the order of time, so the oldest row says whether there is anything to do.
_PRUNE: Final = """
with due as materialized (
    select s.id, s.floor, least(d.upto, v.upto) as covered
    from documents d join streams s on s.id = d.stream_id
    left join lateral (select min(w.upto) as upto from document_versions w where w.stream_id = d.stream_id and w.upto < w.until) v on true
    cross join lateral (select l.at from log l where l.stream_id = s.id and l.seq = s.floor + 1) f
    where s.floor < least(d.upto, v.upto) and f.at < extract(epoch from now())::bigint - $1::bigint
    order by s.id limit $2 for update of d, s skip locked
),
cut as materialized (
    select d.id, d.floor, max(w.seq) as upto
    from due d cross join lateral (
        select l.seq, bool_and(l.at < extract(epoch from now())::bigint - $1::bigint) over (order by l.seq) as is_old
        from (select o.seq, o.at from log o where o.stream_id = d.id and o.seq > d.floor and o.seq <= d.covered order by o.seq limit $3) l
    ) w
    where w.is_old group by d.id, d.floor
),
pruned as (
    delete from log l using cut c where l.stream_id = c.id and l.seq > c.floor and l.seq <= c.upto returning 1
),
settled as (
    delete from document_set_aside a using cut c where a.stream_id = c.id and a.seq <= c.upto
),
raised as (
    update streams s set floor = c.upto from cut c where s.id = c.id
)
select count(*)::int from pruned"""


async def prune(tx: asyncpg.Connection, horizon_s: float = HORIZON_S) -> int:
    """Deletes events older than `horizon_s` that a document's state has, up to the bounds above; how many. 0: there is nothing more."""
    pruned: int = await tx.fetchval(_PRUNE, int(horizon_s), DOCUMENTS_MAX, ROWS_MAX)
    return pruned
