"""Rows of mentors made anew: what the matching model is fed, in the order in which it became visible.

    a trigger wherever something of a mentor changes ─▶ mentor_unsettled ─claim─▶ read all of them ─▶ mentors.changed = the next numbers
                                                                                                      under the lock of mentor_clock
    every second, by whoever feeds a model; every half minute by a job; before an answer by fixed weights

`mentor_clock` is locked before the first number is taken and until the commit, so numbers become visible in ascending order: whoever has
read all up to n never finds one below n later. Claims are deletions that pass over what others have claimed, so several settle at once, and
wait for each other only at the clock.

Invariant: a mentor's row is what their records, memberships, trust and mentorships make of it, or their number is in `mentor_unsettled`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from math import log2
from typing import Any, Final

import asyncpg
import msgspec

from actors.quiet import zone_of
from actors.trust_gates import Thresholds
from actors.weeks import signature
from persistence.bridge import Bridge
from persistence.mentoring.people import candidate, key_of, languages_of, mentor_of, read_told, zone_name_of
from protocol.entities import Entity
from protocol.permissions import Permission, base_roles

CLAIM_MAX: Final = 500
"""Mentors in one transaction: some 100 ms, for which others who settle wait at the clock."""
SETTLE_S: Final = 30.0
FADE_DAYS: Final = 7.0
"""Half of what somebody was shown counts no more after so long."""
HISTORY: Final = timedelta(days=730)
"""Mentorships that ended longer ago say nothing about somebody any more."""
GONE_KEPT: Final = "1 day"
"""Every model has heard of it by then; one that was away for longer begins from the start."""
FADED: Final = 0.05

# As an array, which is worked out once: as a table to join with it was looked for again for each row of 100,000.
_CLAIM: Final = """
delete from mentor_unsettled where id = any (
    array(select id from mentor_unsettled order by id limit $1 for update skip locked)
) returning user_id"""
_PEOPLE: Final = "select * from mentor_people($1, $2, $3, $4)"
_WRITE: Final = """
insert into mentors as m (user_id, changed, gone, dormant, candidate, keys, languages, spaces, everywhere, free, zone, week, bucket,
    gone_at)
select u, $13 + n, g, d, c, array(select jsonb_array_elements_text(k)), array(select jsonb_array_elements_text(l)),
    array(select jsonb_array_elements_text(s)::bigint), e, f, z, w, b, case when g then now() end
from unnest($1::bigint[], $2::boolean[], $3::bytea[], $4::jsonb[], $5::jsonb[], $6::jsonb[], $7::boolean[], $8::integer[], $9::text[],
    $10::text[], $11::smallint[], $12::boolean[]) with ordinality as x (u, g, c, k, l, s, e, f, z, w, b, d, n)
on conflict (user_id) do update set changed = excluded.changed, gone = excluded.gone, dormant = excluded.dormant,
    candidate = excluded.candidate, keys = excluded.keys,
    languages = excluded.languages, spaces = excluded.spaces, everywhere = excluded.everywhere, free = excluded.free, zone = excluded.zone,
    week = excluded.week, bucket = excluded.bucket,
    gone_at = case when excluded.gone then coalesce(m.gone_at, excluded.gone_at) end"""
_ROLES: Final = base_roles(Permission.MENTOR)


class _Row(msgspec.Struct, frozen=True):
    """What is written of one mentor; `candidate` empty: gone."""

    user: int
    candidate: bytes = b""
    keys: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    spaces: tuple[int, ...] = ()
    everywhere: bool = False
    free: int = 0
    zone: str = ""
    week: str = ""
    bucket: int = 0
    dormant: bool = False


async def settle_mentors(bridge: Bridge, thresholds: Thresholds, *, sets_gate: bool = False, rounds_max: int = 1_000) -> int:
    """Makes anew what is unsettled, some at a time; how many were claimed. Raises `StorageError`.

    `sets_gate`: these thresholds hold from now on, for everybody. Only the job says so: two processes of other settings, while one is
    being replaced, would else make all mentors anew in turns.
    """
    total = 0
    for _ in range(rounds_max):
        work = partial(settle_some, trust_min=thresholds.mentoring if sets_gate else None)
        claimed = await bridge.run(work, deadline_s=SETTLE_S)
        total += claimed
        if claimed < CLAIM_MAX:
            break
    return total


async def settle_some(tx: asyncpg.Connection, trust_min: float | None = None, limit: int = CLAIM_MAX) -> int:
    """One transaction of it; below `limit`: nothing is left. `trust_min`: what mentoring asks for from now on; None: what it asked for
    before."""
    claimed = await tx.fetch(_CLAIM, limit)
    gate = await _read_clock(tx, trust_min)
    users = sorted({row["user_id"] for row in claimed})
    if users:
        await _settle(tx, users, gate)
    return len(claimed)


async def _read_clock(tx: asyncpg.Connection, trust_min: float | None) -> float:
    """The trust that mentoring asks for; where that is another one now all mentors are made anew. Once a day, those whose week is."""
    row = await tx.fetchrow("select trust_min, day, (now() at time zone 'UTC')::date as today from mentor_clock")
    assert row is not None
    if row["day"] != row["today"]:
        await _begin_day(tx, row["today"])
    if trust_min is None or row["trust_min"] == trust_min:
        gate: float = row["trust_min"]
        return gate
    await tx.execute("update mentor_clock set trust_min = $1", trust_min)
    await tx.execute("insert into mentor_unsettled (user_id) select user_id from mentors")
    return trust_min


async def _begin_day(tx: asyncpg.Connection, today: date) -> None:
    """Whoever's clock does in the coming week what it did not do in the week that their hours were made for."""
    begun: str = await tx.execute("update mentor_clock set day = $1 where day <> $1", today)
    if begun.endswith(" 0"):
        return
    weeks = await tx.fetch("select distinct zone, week from mentors where not gone")
    other = [(zone, week) for zone, week in weeks if signature(zone_of(zone), today) != week]
    await tx.execute(
        "insert into mentor_unsettled (user_id) select m.user_id from mentors m"
        " join unnest($1::text[], $2::text[]) as q (zone, week) on q.zone = m.zone and q.week = m.week where not m.gone",
        [zone for zone, _ in other],
        [week for _, week in other],
    )
    await tx.execute("delete from mentors where gone and not dormant and gone_at < now() - interval '" + GONE_KEPT + "'")
    faded = f"shown * power(2, -extract(epoch from now() - at) / 86400 / {FADE_DAYS})"
    await tx.execute(f"delete from mentor_exposure where {faded} < {FADED}")
    await tx.execute(
        "insert into mentor_unsettled (user_id) select m.user_id from mentors m left join mentor_exposure x on x.user_id = m.user_id"
        f" where not m.gone and m.bucket > 0 and m.bucket <> coalesce(floor(log(2, (1 + {faded})::numeric)), 0)"
    )


async def _settle(tx: asyncpg.Connection, users: Sequence[int], trust_min: float) -> None:
    # Before anything is read: whoever settles the same mentor after us must see what we saw, and more.
    head: int = await tx.fetchval("select head from mentor_clock for update")
    today: date = await tx.fetchval("select (now() at time zone 'UTC')::date")
    told = await read_told(tx, users, (Entity.PROFILE, Entity.MENTORING))
    people: dict[int, Mapping[str, Any]] = {row["id"]: row for row in await tx.fetch(_PEOPLE, users, _ROLES, FADE_DAYS, HISTORY)}
    rows: list[_Row] = []
    for user in users:
        person, own = people[user], told.get(user, {})
        if Entity.MENTORING in own or person["known"]:
            rows.append(_row(user, person, own.get(Entity.MENTORING, {}), own.get(Entity.PROFILE, {}), trust_min, today))
    if not rows:
        return
    await tx.execute("update mentor_clock set head = head + $1", len(rows))
    await tx.execute(
        _WRITE,
        [row.user for row in rows],
        [not row.candidate for row in rows],
        [row.candidate for row in rows],
        [_json(row.keys) for row in rows],
        [_json(row.languages) for row in rows],
        [_json(row.spaces) for row in rows],
        [row.everywhere for row in rows],
        [row.free for row in rows],
        [row.zone for row in rows],
        [row.week for row in rows],
        [row.bucket for row in rows],
        [row.dormant for row in rows],
        head,
    )


def _row(user: int, person: Mapping[str, Any], mentoring: Any, profile: Any, trust_min: float, today: date) -> _Row:
    mentor = mentor_of(mentoring)
    if not mentor.open or not mentor.capacity or person["kind"] != 0 or person["trust"] < trust_min:
        # Whoever would mentor is remembered by their number: what keeps them from it may change without their doing anything.
        return _Row(user, dormant=mentor.open)
    spaces = tuple(space for space in person["spaces"] if mentor.everywhere or space in mentor.communities)
    if not (mentor.everywhere or spaces):
        return _Row(user, dormant=True)
    free = max(0, mentor.capacity - person["active"])
    made, week = candidate(
        user,
        mentor,
        profile,
        spaces=spaces,
        free=free,
        held=person["held"],
        good=person["good"],
        shown=round(person["shown"], 2),
        today=today,
    )
    return _Row(
        user,
        msgspec.msgpack.encode(made),
        tuple(dict.fromkeys(key_of(subject) for subject in mentor.subjects)),
        languages_of(profile),
        spaces,
        mentor.everywhere,
        free,
        zone_name_of(profile),
        week,
        bucket_of(person["shown"]),
    )


def bucket_of(shown: float) -> int:
    """By doublings: a mentor is fed anew when they were shown about twice as often, or half as often, as when they were fed last."""
    return int(log2(1.0 + shown))


def _json(values: Sequence[str] | Sequence[int]) -> str:
    return msgspec.json.encode(values).decode()
