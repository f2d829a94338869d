"""Endorse and WithdrawEndorsement: a person's word for another.

    Endorse ─▶ both members? may vouch? not blocked? not too many? ─▶ the word, a fact, a notice ─▶ unsettled: the job works out who moves
    WithdrawEndorsement ─▶ the word goes, a fact ─▶ unsettled

Nobody is told who does not vouch for them, or what a word counted.

Invariant: one has at most `STANDING_MAX` words standing, and gives at most `PER_WEEK_MAX` within a week, said again or anew.
"""

from __future__ import annotations

from typing import Final

import asyncpg

from actors.notices import Notice
from actors.storage import Entry
from actors.trust import FactKind
from persistence.append import Effect, Refuse
from persistence.blocks import blocked
from persistence.notices import notify
from persistence.operations import rules
from persistence.operations.space import display_name
from persistence.roles import allowed
from persistence.trust import order_settling
from protocol.codes import Code
from protocol.operations import Endorse, WithdrawEndorsement
from protocol.permissions import Permission
from protocol.values import NoticeKind, SpaceKind

PER_WEEK_MAX: Final = 10
"""Nobody gets to know more people than that well enough to stand for them; a class is endorsed in three weeks."""
STANDING_MAX: Final = 200
"""Whom one vouches for is walked through whenever one's own standing moves; what one gives is shared among all of them anyway."""

_LOCK: Final = "select pg_advisory_xact_lock(hashtextextended('vouching:' || $1::bigint, 0))"
_PLACE: Final = (
    "select s.kind, exists (select from members m where m.space_id = s.id and m.user_id = $2) as here,"
    " exists (select from members m join accounts a on a.id = m.user_id and a.kind = 0"
    " where m.space_id = s.id and m.user_id = $3) as there from spaces s where s.id = $1 and s.kind > 0"
)
_GIVEN: Final = (
    "select (select count(*) from trust_events e where e.actor = $1 and e.kind = 1 and e.at > now() - interval '7 days') as lately,"
    " (select count(*) from trust_relationships r where r.endorser = $1) as standing,"
    " exists (select from trust_relationships r where r.endorser = $1 and r.endorsed = $2 and r.space_id = $3) as stands"
)
_TODAY: Final = "floor(extract(epoch from now()) / 86400)::integer"


async def endorse(tx: asyncpg.Connection, entry: Entry, operation: Endorse) -> Effect | Refuse:
    """Says, or says again, that one vouches for a fellow member."""
    user, other, space = entry.user, operation.user, operation.space
    # One at a time for a person: their bounds are counted, not kept.
    await tx.execute(_LOCK, user)
    place = await tx.fetchrow(_PLACE, space, user, other)
    if place is None or not place["here"]:
        return rules.NOT_FOUND
    if place["kind"] != SpaceKind.COMMUNITY:
        return Refuse(Code.FORBIDDEN, "one vouches for people in a community")
    if user == other:
        return Refuse(Code.INVALID, "user: nobody vouches for themselves")
    if not await allowed(tx, user, Permission.VOUCH, space):
        return rules.lacking(Permission.VOUCH)
    if not place["there"] or await display_name(tx, other) is None:
        return Refuse(Code.NOT_FOUND, "no such member")
    if await blocked(tx, user, other):
        return Refuse(Code.BLOCKED)
    given = await tx.fetchrow(_GIVEN, user, other, space)
    assert given is not None
    if given["lately"] >= PER_WEEK_MAX:
        return Refuse(Code.LIMIT, f"one vouches for at most {PER_WEEK_MAX} people in seven days; take your time, words keep")
    if given["standing"] >= STANDING_MAX and not given["stands"]:
        return Refuse(Code.LIMIT, f"one vouches for at most {STANDING_MAX} people at a time; withdraw a word that you would not give again")
    await tx.execute(
        "insert into trust_relationships (endorser, endorsed, space_id, day)"
        f" values ($1, $2, $3, {_TODAY}) on conflict (endorser, endorsed, space_id) do update set day = excluded.day, at = now()",
        user,
        other,
        space,
    )
    await _note(tx, FactKind.ENDORSED, user, other, space)
    if given["stands"]:
        return Effect()
    await notify(tx, Notice(other, NoticeKind.TRUST, actor=user, space=space, words="vouches for you"))
    return Effect(fills_outbox=True)


async def withdraw(tx: asyncpg.Connection, entry: Entry, operation: WithdrawEndorsement) -> Effect | Refuse:
    """Takes one's word back. Nobody is told."""
    await tx.execute(_LOCK, entry.user)
    gone: str = await tx.execute(
        "delete from trust_relationships where endorser = $1 and endorsed = $2 and space_id = $3",
        entry.user,
        operation.user,
        operation.space,
    )
    if not gone.endswith(" 0"):
        await _note(tx, FactKind.WITHDRAWN, entry.user, operation.user, operation.space)
    return Effect()


async def _note(tx: asyncpg.Connection, kind: FactKind, user: int, other: int, space: int) -> None:
    await tx.execute(
        "insert into trust_events (user_id, kind, actor, space_id) values ($1, $2, $3, $4)",
        other,
        kind,
        user,
        space,
    )
    await order_settling(tx)
