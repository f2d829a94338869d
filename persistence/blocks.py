"""Blocks: whether something may pass between two people, asked inside the transaction in which it would.

    blocks (user_id, blocked) ─▶ blocked(a, b)           one of the two blocks the other, whichever
                              ├▶ blocked_among(a, many)  those of many between whom and a it is so
                              └▶ parted(pairs)           the same for pairs

A block is asked about in both directions and answered without saying in which: nobody is told who blocks them, or that they are.

Invariant: what a transaction decided under `lock_pair` stays true until it ends: every change of a block between the two takes that lock.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import asyncpg

from persistence.append import Refuse
from protocol.codes import Code

BLOCKED: Final = Refuse(Code.BLOCKED, "the other person does not accept this")
"""The same words for both, and for a set of people among whom it is any two."""

_LOCK: Final = "select pg_advisory_xact_lock(hashtextextended('pair:' || $1::bigint || ',' || $2::bigint, 0))"
_PARTED: Final = (
    "select q.pos::int from unnest($1::bigint[], $2::bigint[]) with ordinality as q (a, b, pos)"
    " where exists (select from blocks o where o.user_id = q.a and o.blocked = q.b)"
    " or exists (select from blocks o where o.user_id = q.b and o.blocked = q.a) order by q.pos"
)


async def lock_pair(tx: asyncpg.Connection, a: int, b: int) -> None:
    """Keeps others from changing what stands between two, until the transaction ends. After devices, before spaces; one pair only."""
    await tx.execute(_LOCK, min(a, b), max(a, b))


async def blocked(tx: asyncpg.Connection, a: int, b: int) -> bool:
    """Whether one of the two blocks the other."""
    return bool(await blocked_among(tx, a, (b,)))


async def blocked_among(tx: asyncpg.Connection, user: int, others: Collection[int]) -> set[int]:
    """Those of `others` who block `user`, or whom `user` blocks."""
    if not others:
        return set()
    rows = await tx.fetch(
        "select o.blocked as other from blocks o where o.user_id = $1 and o.blocked = any($2)"
        " union select o.user_id from blocks o where o.blocked = $1 and o.user_id = any($2)",
        user,
        list(others),
    )
    return {row["other"] for row in rows}


async def any_blocked(tx: asyncpg.Connection, people: Collection[int]) -> bool:
    """Whether there are two of them of whom one blocks the other."""
    found: bool = await tx.fetchval("select exists (select from blocks o where o.user_id = any($1) and o.blocked = any($1))", list(people))
    return found


async def parted(tx: asyncpg.Connection, pairs: Sequence[tuple[int, int]]) -> set[int]:
    """The places (from 0) of pairs of whom one blocks the other."""
    if not pairs:
        return set()
    rows = await tx.fetch(_PARTED, [a for a, _ in pairs], [b for _, b in pairs])
    return {row["pos"] - 1 for row in rows}
