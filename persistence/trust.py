"""What happened to people's trust: facts noted by whoever causes them, and the rows that the score is made of.

    report decided, mentoring completed ─note─▶ trust_events ─╮
    endorsed, withdrawn (operations.trust) ─▶ trust_relationships ─▶ triggers ─▶ trust_unsettled ─▶ job trust.settle
    address proven (identity) ─▶ accounts, seed named ─▶ trust_seeds ─╯

Everybody notes in their own transaction; nobody works anything out there (`persistence.trust_settling`).

Invariant: whatever can move anybody's trust leaves a row in `trust_unsettled`, in the transaction that causes it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import asyncpg
from msgspec import Struct

from actors.jobs import Order, pack
from actors.trust import FACTS_MAX, Fact, FactKind, History, TrustEvent, says
from actors.trust_flow import LEVELS, UNIT
from persistence.jobs.enqueue import enqueue

SETTLE: Final = "trust.settle"
SETTLE_AFTER_S: Final = 1.0
"""What happens together is worked out together; nobody waits for it."""

_SAID: Final = (FactKind.REPORT_UPHELD, FactKind.REPORT_UNFOUNDED, FactKind.REPORT_CONFIRMED, FactKind.MENTORED)
"""Facts that count by the standing of whoever says so, where that is not the platform's staff."""


class Settle(Struct, frozen=True):
    """The job's payload: what is unsettled stands in a table."""


async def note(tx: asyncpg.Connection, *events: TrustEvent) -> None:
    """Notes facts in the caller's transaction. A subject that was noted for this person and kind before changes nothing."""
    if not events:
        return
    weights = await _weights(tx, events)
    await tx.execute(
        "insert into trust_events (user_id, kind, actor, space_id, subject, weight)"
        " select * from unnest($1::bigint[], $2::smallint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::float8[])"
        " on conflict (user_id, kind, subject) where subject <> 0 do nothing",
        [event.user for event in events],
        [event.kind for event in events],
        [event.actor for event in events],
        [event.space for event in events],
        [event.subject for event in events],
        weights,
    )
    await order_settling(tx)


async def order_settling(tx: asyncpg.Connection) -> None:
    """Orders the job, unless one waits already."""
    await enqueue(tx, Order(SETTLE, pack(Settle()), delay_s=SETTLE_AFTER_S, key="all"))


async def _weights(tx: asyncpg.Connection, events: Sequence[TrustEvent]) -> list[float]:
    """What each counts: by the standing of who says so, if it is a community's staff or a learner."""
    judged = {event.actor for event in events if event.kind in _SAID and event.space and event.actor}
    standing = await read_standing(tx, judged) if judged else {}
    return [
        event.weight * says(standing.get(event.actor, 0)) if event.kind in _SAID and event.space and event.actor else event.weight
        for event in events
    ]


async def read_standing(tx: asyncpg.Connection, users: Collection[int]) -> dict[int, int]:
    """What reached these people by others' words, in `trust_flow.UNIT`s; a seed's own word is whole. Who has none is left out."""
    rows = await tx.fetch(
        "select u, case when s.user_id is not null then $3 else t.levels[$2] end from unnest($1::bigint[]) u"
        " left join trust_standings t on t.user_id = u left join trust_seeds s on s.user_id = u"
        " where t.user_id is not null or s.user_id is not null",
        list(users),
        LEVELS,
        _SEED_STANDING,
    )
    return {user: standing for user, standing in rows if standing}


async def read_histories(tx: asyncpg.Connection, users: Collection[int]) -> dict[int, History]:
    """All that these people's scores are made of. Left out is who is no person: whose account is gone, and services, which are trusted as
    far as whoever made them."""
    asked = list(users)
    facts = await read_facts(tx, asked)
    rows = await tx.fetch(
        "select a.id, floor(extract(epoch from a.created_at) / 86400)::integer, a.email_verified_at is not null,"
        " coalesce(t.levels[$2], 0) from accounts a left join trust_standings t on t.user_id = a.id where a.id = any($1) and a.kind = 0",
        asked,
        LEVELS,
    )
    return {user: History(joined, verified, standing, tuple(facts.get(user, ()))) for user, joined, verified, standing in rows}


async def read_facts(tx: asyncpg.Connection, users: Collection[int]) -> dict[int, list[Fact]]:
    """Each person's latest facts that a score is made of."""
    rows = await tx.fetch(
        "select f.user_id, f.kind, f.day, f.weight, f.space_id from unnest($1::bigint[]) u cross join lateral ("
        " select e.* from trust_events e where e.user_id = u and e.kind = any($2) order by e.id desc limit $3) f",
        list(users),
        COUNTED,
        FACTS_MAX,
    )
    found: dict[int, list[Fact]] = {}
    for user, kind, day, weight, space in rows:
        found.setdefault(user, []).append(Fact(kind, day, weight, space))
    return found


COUNTED: Final = [int(kind) for kind in (FactKind.MENTORED, FactKind.REPORT_UPHELD, FactKind.REPORT_CONFIRMED, FactKind.REPORT_UNFOUNDED)]
"""Kinds of facts that a score is made of; what the others tell stands in rows of its own."""
_SEED_STANDING: Final = UNIT
