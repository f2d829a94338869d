"""What a search for a mentor asks of Postgres: implements `actors.matchmaking.MatchBook`.

    prepare   one's own LEARNING and PROFILE, whom one may not be shown (blocked either way, asked already)        one crossing, read only
    show      how those found stand now: name, trust, blocks, room, where they mentor                              one crossing, read only
    by_rules  up to 200 mentors of the same community, subject or language, weighed in SQL                         one crossing
    expose    counts who was shown, and keeps how well they fitted                                                 later, many at once

Invariant: who is in a `MatchList` was, in the snapshot that it was read in, open, trusted, not full, not blocked, not asked and a mentor
there.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import asyncpg
import msgspec

from actors.inference import Candidate, Matched, Seeker
from actors.match_rules import primary, rank
from actors.matchmaking import DEGRADED, RULES, SLACK, WITHOUT_MAX, Prepared, Showing
from actors.storage import Denied, FindMatches, MatchList
from persistence.bridge import Bridge
from persistence.mentoring.people import key_of, mentor_of, read_told, seeker, told_of
from persistence.mentoring.settling import FADE_DAYS
from protocol.codes import Code
from protocol.entities import Entity
from protocol.frames import MentorFound

CALL_S: Final = 3.0
WRITE_S: Final = 10.0
COMPARED_MAX: Final = 200
TICKETS_MAX: Final = 20
"""That one person has at a time; the oldest goes."""
KEPT_S: Final = 600.0

# Whoever has blocked or was asked lately comes first: what is cut off is looked at again in `show`.
_WITHOUT: Final = """
select user_id from (
    select blocked as user_id, at from blocks where user_id = $1
    union all select user_id, at from blocks where blocked = $1
    union all select mentor, proposed_at from mentorships where learner = $1
        and (state in (1, 2) or (state in (3, 5) and closed_at > now() - interval '30 days'))
    union all select $1, 'infinity'
) w order by at desc limit $2"""
_STANDING: Final = "select s.*, (select trust_min from mentor_clock) as trust_min from mentor_standing($1, $2, $3) s"
_HERE: Final = "select exists (select from members m join spaces s on s.id = m.space_id and s.kind = 1 where s.id = $2 and m.user_id = $1)"

_NEAR: Final = "select * from mentors_near($1, $2, $3, $4, $5)"

# Both in one statement: what was shown fades, then these are added. Who is shown about twice as often as the model knows is fed anew.
_EXPOSE: Final = f"""
with counted as (
    select mentor, count(*)::float8 as times from unnest($2::bigint[]) as q (mentor) group by mentor order by mentor
), added as (
    insert into mentor_exposure as x (user_id, shown) select mentor, times from counted
    on conflict (user_id) do update
        set shown = x.shown * power(2, -extract(epoch from now() - x.at) / 86400 / {FADE_DAYS}) + excluded.shown, at = now()
    returning user_id, shown
), fed as (
    insert into mentor_unsettled (user_id) select m.user_id from added a join mentors m on m.user_id = a.user_id
    where not m.gone and floor(log(2, (1 + a.shown)::numeric)) <> m.bucket
)
insert into match_shown as t (seeker, mentor, place, by, score, factors)
select distinct on (s, m) s, m, p, b, r, array(select jsonb_array_elements_text(f)::real)
from unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::text[], $5::real[], $6::jsonb[]) with ordinality as q (s, m, p, b, r, f, n)
order by s, m, n desc
on conflict (seeker, mentor) do update
    set at = now(), place = excluded.place, times = t.times + 1, by = excluded.by, score = excluded.score, factors = excluded.factors"""


class PostgresMatchBook:
    """See the port. Everything but `promise`, `keep` and `expose` only reads."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    async def prepare(self, asked: FindMatches) -> Prepared | Denied:
        return await self._bridge.run(partial(_prepare, asked=asked), deadline_s=CALL_S, readonly=True)

    async def show(self, seeker: Seeker, matched: Sequence[Matched], limit: int) -> MatchList:
        work = partial(_show, seeker=seeker, matched=matched, limit=limit)
        # One statement, and so one snapshot: it needs no transaction around it.
        return await self._bridge.run(work, deadline_s=CALL_S, readonly=True, isolation="none")

    async def by_rules(self, prepared: Prepared, limit: int) -> MatchList:
        return await self._bridge.run(partial(_by_rules, prepared=prepared, limit=limit), deadline_s=CALL_S, readonly=True)

    async def expose(self, showings: Sequence[Showing]) -> None:
        await self._bridge.run(partial(_expose, showings=showings), deadline_s=WRITE_S)

    async def promise(self, ticket: int, user: int) -> None:
        await self._bridge.run(partial(_promise, ticket=ticket, user=user), deadline_s=CALL_S)

    async def keep(self, ticket: int, user: int, found: MatchList) -> None:
        await self._bridge.run(partial(_keep, ticket=ticket, user=user, found=found), deadline_s=CALL_S)

    async def find(self, ticket: int, user: int) -> MatchList | bool:
        return await self._bridge.run(partial(_find, ticket=ticket, user=user), deadline_s=CALL_S, readonly=True)


async def _prepare(tx: asyncpg.Connection, *, asked: FindMatches) -> Prepared | Denied:
    if asked.space and not await tx.fetchval(_HERE, asked.user, asked.space):
        return Denied(Code.NOT_FOUND)
    told = (await read_told(tx, (asked.user,), (Entity.PROFILE, Entity.LEARNING))).get(asked.user, {})
    today = await tx.fetchval("select (now() at time zone 'UTC')::date")
    without = await tx.fetch(_WITHOUT, asked.user, WITHOUT_MAX)
    who = seeker(asked, told.get(Entity.PROFILE, {}), told.get(Entity.LEARNING, {}), today)
    return Prepared(who, tuple(dict.fromkeys(row["user_id"] for row in without)))


async def _show(tx: asyncpg.Connection, *, seeker: Seeker, matched: Sequence[Matched], limit: int) -> MatchList:
    rows = await tx.fetch(_STANDING, seeker.user, [one.user for one in matched], seeker.space)
    standing = {row["user_id"]: row for row in rows}
    found: list[MentorFound] = []
    for one in matched:
        row = standing.get(one.user)
        if row is not None and len(found) < limit and (shown := _shown(one, row, seeker)) is not None:
            found.append(shown)
    return MatchList(tuple(found), 0, 0, "")


def _shown(one: Matched, row: Any, seeker: Seeker) -> MentorFound | None:
    """How a mentor is shown, if they may be."""
    mentor = mentor_of(told_of(row["cells"], Entity.MENTORING))
    if not mentor.open or row["is_service"] or row["is_blocked"] or row["is_open"] or one.user == seeker.user:
        return None
    if row["trust"] < row["trust_min"] or row["active"] >= mentor.capacity:
        return None
    where = [space for space in row["shares"] if mentor.everywhere or space in mentor.communities]
    if seeker.space:
        if seeker.space not in where:
            return None
        space = seeker.space
    elif mentor.everywhere:
        space = 0
    elif where:
        space = where[0]
    else:
        return None
    if seeker.languages and row["languages"] and not {*map(primary, seeker.languages)} & {*map(primary, row["languages"])}:
        return None
    return MentorFound(
        one.user,
        row["name"],
        row["display_name"],
        round(100 * one.score),
        tuple(round(100 * factor) for factor in one.factors),
        one.why,
        mentor.about,
        mentor.capacity - row["active"],
        space,
    )


async def _by_rules(tx: asyncpg.Connection, *, prepared: Prepared, limit: int) -> MatchList:
    who = prepared.seeker
    keys = list(dict.fromkeys(key_of(subject) for subject in who.subjects))
    rows = await tx.fetch(_NEAR, keys, who.space, list(who.languages), list(prepared.without), COMPARED_MAX)
    candidates = [_CANDIDATE.decode(row[0]) for row in rows]
    fitting = rank(who, candidates, COMPARED_MAX)
    shown = await _show(tx, seeker=who, matched=fitting[: limit + SLACK], limit=limit)
    return msgspec.structs.replace(shown, considered=len(candidates), fitting=len(fitting), by=RULES, degraded=DEGRADED)


async def _expose(tx: asyncpg.Connection, *, showings: Sequence[Showing]) -> None:
    await tx.execute(
        _EXPOSE,
        [one.seeker for one in showings],
        [one.mentor for one in showings],
        [one.place for one in showings],
        [one.by for one in showings],
        [one.score for one in showings],
        [msgspec.json.encode(one.factors).decode() for one in showings],
    )


async def _promise(tx: asyncpg.Connection, *, ticket: int, user: int) -> None:
    await tx.execute(
        "delete from match_tickets where user_id = $1 and ticket not in"
        " (select ticket from match_tickets where user_id = $1 order by at desc limit $2)",
        user,
        TICKETS_MAX - 1,
    )
    await tx.execute("insert into match_tickets (ticket, user_id) values ($1, $2)", ticket, user)


async def _keep(tx: asyncpg.Connection, *, ticket: int, user: int, found: MatchList) -> None:
    await tx.execute("update match_tickets set answer = $3 where ticket = $1 and user_id = $2", ticket, user, msgspec.msgpack.encode(found))


async def _find(tx: asyncpg.Connection, *, ticket: int, user: int) -> MatchList | bool:
    row = await tx.fetchrow(
        "select answer from match_tickets where ticket = $1 and user_id = $2 and at > now() - make_interval(secs => $3)",
        ticket,
        user,
        KEPT_S,
    )
    if row is None:
        return False
    return True if row["answer"] is None else _FOUND.decode(row["answer"])


_FOUND: Final = msgspec.msgpack.Decoder(MatchList)
_CANDIDATE: Final = msgspec.msgpack.Decoder(Candidate)
