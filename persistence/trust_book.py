"""One's own trust explained, and the seeds, in Postgres: implements `actors.trust_book.TrustBook`."""

from __future__ import annotations

from functools import partial
from typing import Final

import asyncpg

from actors.accounts import Caller, Claims
from actors.trust import HARM_HALF_DAYS, FactKind, TrustEvent, faded, parts
from actors.trust_book import SEEDS_LISTED_MAX, SEEDS_MAX, Seed, SeedPage
from actors.trust_gates import Thresholds
from actors.trust_words import Circumstances, Explained, explain
from persistence.audit import Deed, record
from persistence.bridge import Bridge
from persistence.trust import note, read_histories

DEADLINE_S: Final = 5.0
FELT: Final = 0.01
"""An upheld report of which less is left is not spoken of any more."""


class PostgresTrust:
    """See the port. `thresholds`: those that this process checks."""

    def __init__(self, bridge: Bridge, thresholds: Thresholds) -> None:
        self._bridge = bridge
        self._thresholds = thresholds

    async def explain(self, user: int) -> Explained | None:
        work = partial(_explain, user=user, thresholds=self._thresholds)
        return await self._bridge.run(work, deadline_s=DEADLINE_S, readonly=True, isolation="snapshot")

    async def list_seeds(self, after: int) -> SeedPage:
        return await self._bridge.run(partial(_list_seeds, after=after), deadline_s=DEADLINE_S, readonly=True)

    async def name_seed(self, claims: Claims, user: int, caller: Caller) -> bool:
        return await self._bridge.run(partial(name_seed, by=claims.user, user=user, address=caller.address), deadline_s=DEADLINE_S)

    async def unname_seed(self, claims: Claims, user: int, caller: Caller) -> bool:
        return await self._bridge.run(partial(unname_seed, by=claims.user, user=user, address=caller.address), deadline_s=DEADLINE_S)


async def name_seed(tx: asyncpg.Connection, *, by: int, user: int, address: str = "") -> bool:
    """In the caller's transaction; see the port."""
    named: str = await tx.execute(
        "insert into trust_seeds (user_id, named_by) select a.id, $2 from accounts a where a.id = $1 and a.disabled_at is null"
        " and ((select count(*) from trust_seeds) < $3 or exists (select from trust_seeds where user_id = $1)) on conflict do nothing",
        user,
        by,
        SEEDS_MAX,
    )
    if named.endswith(" 0"):
        stands: bool = await tx.fetchval("select exists (select from trust_seeds where user_id = $1)", user)
        return stands
    await note(tx, TrustEvent(user, FactKind.SEED_NAMED, by))
    await record(tx, Deed(by, "trust_seed_named", None, user, address or None))
    return True


async def unname_seed(tx: asyncpg.Connection, *, by: int, user: int, address: str = "") -> bool:
    """In the caller's transaction; see the port."""
    gone: str = await tx.execute("delete from trust_seeds where user_id = $1", user)
    if gone.endswith(" 0"):
        return False
    await note(tx, TrustEvent(user, FactKind.SEED_UNNAMED, by))
    await record(tx, Deed(by, "trust_seed_unnamed", None, user, address or None))
    return True


async def _list_seeds(tx: asyncpg.Connection, *, after: int) -> SeedPage:
    rows = await tx.fetch(
        "select s.user_id, a.display_name, s.named_by, extract(epoch from s.at)::bigint"
        " from trust_seeds s join accounts a on a.id = s.user_id"
        " where s.user_id > $1 order by s.user_id limit $2",
        after,
        SEEDS_LISTED_MAX + 1,
    )
    return SeedPage(tuple(Seed(*row) for row in rows[:SEEDS_LISTED_MAX]), len(rows) > SEEDS_LISTED_MAX)


async def _explain(tx: asyncpg.Connection, *, user: int, thresholds: Thresholds) -> Explained | None:
    history = (await read_histories(tx, [user])).get(user)
    if history is None:
        return None
    row = await tx.fetchrow(
        "select (select day from trust_clock) as day,"
        " (select count(distinct endorser) from trust_relationships where endorsed = $1) as endorsers,"
        " (select count(distinct space_id) from trust_relationships where endorsed = $1) as communities,"
        " exists (select from trust_seeds where user_id = $1) as seed",
        user,
    )
    assert row is not None
    day = row["day"]
    upheld = [fact for fact in history.facts if fact.kind == FactKind.REPORT_UPHELD and faded(fact, day, HARM_HALF_DAYS) >= FELT]
    circumstances = Circumstances(row["endorsers"], row["communities"], len(upheld), row["seed"])
    return explain(parts(history, day), circumstances, thresholds)
