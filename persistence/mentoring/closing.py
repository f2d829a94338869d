"""How a mentorship ends: by both people's word, by time, or because something between them ended.

    EndMentorship by both, or two weeks after the first ─▶ ENDED       what was said is worked out, and may be a fact of trust
    Leave of its space, of its community, removal, a block, erasure ─▶ BROKEN_OFF
    a proposal: taken back, a block, leaving ─▶ WITHDRAWN              nobody answered in time ─▶ LAPSED

Closed, both stay members of its space and go on reading what they wrote, in a role that writes nothing there: one row each says it for the
conversation and for goals and meetings alike.

Invariant: every mentorship that is closed has been told to both, and nobody writes in its space.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import asyncpg
from msgspec import Struct

from actors.matchmaking import goodness
from actors.notices import Notice
from actors.storage import Fact
from actors.trust import FactKind, TrustEvent, says
from persistence.append import Effect, NewEvent, append_events, authority_changed, event, kind_of
from persistence.notices import notify
from persistence.trust import note, read_standing
from protocol.events import MentorshipClosed, MentorshipNoted
from protocol.values import MentorshipState, NoticeKind, Role

NOTED: Final = kind_of(MentorshipNoted)
SAY_WITHIN: Final = "14 days"
"""From one's saying that it is over, the other's time to say how it was."""
ANSWER_WITHIN: Final = "14 days"
GOOD_FROM: Final = 0.6
LASTED_MIN: Final = "7 days"
"""What was over sooner is no fact of trust: nobody was mentored, and two who know each other could make one a day."""
SAME_PAIR: Final = "365 days"
"""Of two people, at most one fact of trust within so long."""
KEPT_UNBEGUN: Final = "365 days"
SWEEP_MAX: Final = 100

_LOCK: Final = "select * from mentorships where id = any($1) and state in (1, 2) order by id for update"
_LOCK_SPACES: Final = (
    "select s.id from mentorships o join spaces s on s.id = o.space_id where o.id = any($1) and o.space_id > 0 order by s.id"
    " for no key update of s"
)
_CLOSE: Final = (
    "update mentorships set state = $2::smallint, by_user = $3, said = $4, closed_at = now(), good = $5,"
    " answered_at = coalesce(answered_at, case when $2::smallint in (3, 4, 5) then now() end) where id = $1"
)


class Closed(Struct, frozen=True):
    """What closing leaves for the transaction's last call."""

    events: tuple[NewEvent, ...] = ()
    bump: tuple[int, ...] = ()
    told: bool = False
    """Something waits in the outbox."""

    def then(self, other: Closed) -> Closed:
        return Closed((*self.events, *other.events), (*self.bump, *other.bump), self.told or other.told)

    def added_to(self, effect: Effect) -> Effect:
        """The effect, with this."""
        if not self.told:
            return effect
        return Effect(
            (*effect.events, *self.events),
            tuple(dict.fromkeys((*effect.bump, *self.bump))),
            effect.guards,
            effect.channel,
            effect.changes,
            effect.value,
            effect.value_at,
            True,
            effect.deeds,
        )


NOTHING: Final = Closed()


async def tell(tx: asyncpg.Connection, mentorship: int, *users: int) -> None:
    """Leaves word for their inboxes: how it stands is read when it is delivered."""
    await tx.execute("insert into outbox (kind, user_id, seq) select $1, u, $2 from unnest($3::bigint[]) u", NOTED, mentorship, list(users))


async def close(tx: asyncpg.Connection, row: Any, state: MentorshipState, by: int, said: str = "") -> Closed:
    """Closes one whose row is locked and open. Both are told; what they said of it is worked out where it has run its course."""
    good = None
    if state is MentorshipState.ENDED:
        good = goodness((row["mentor_reached"], row["learner_reached"]), (row["mentor_rating"], row["learner_rating"]))
        await _note_deed(tx, row, good)
    await tx.execute(_CLOSE, row["id"], int(state), by, said, good)
    await tell(tx, row["id"], row["mentor"], row["learner"])
    if not row["space_id"]:
        return Closed(told=True)
    space = row["space_id"]
    await tx.execute("update members set role = $2 where space_id = $1", space, int(Role.OWNER))
    await tx.execute("delete from reminders where stream_id = $1 and record_key > 0", row["records"])
    told = event(row["records"], by, MentorshipClosed(state, by))
    return Closed((told, authority_changed(space, 0)), (row["conversation"], row["records"]), told=True)


async def break_off(tx: asyncpg.Connection, rows: Sequence[Any], by: int) -> Closed:
    """Ends several at once, locked by `lock_open`: proposals as taken back, the others as broken off."""
    done = NOTHING
    for row in rows:
        state = MentorshipState.WITHDRAWN if row["state"] == MentorshipState.PROPOSED else MentorshipState.BROKEN_OFF
        done = done.then(await close(tx, row, state, by))
    return done


async def lock_open(tx: asyncpg.Connection, ids: Sequence[int]) -> list[Any]:
    """Those of them that are open, locked in their order; before them their spaces, as whoever leaves one has it locked first."""
    if not ids:
        return []
    await tx.execute(_LOCK_SPACES, list(ids))
    return list(await tx.fetch(_LOCK, list(ids)))


async def lock_one(tx: asyncpg.Connection, mentorship: int) -> Any:
    """One that exists, open or not, with its space."""
    await tx.execute(_LOCK_SPACES, [mentorship])
    return await tx.fetchrow("select * from mentorships where id = $1 for update", mentorship)


async def part(tx: asyncpg.Connection, a: int, b: int) -> Closed:
    """A block came between two: all that is open between them ends, and nobody is told by whom. Under `lock_pair`, as proposals are
    made."""
    ids = await tx.fetch(
        "select id from mentorships where state in (1, 2) and ((mentor = $1 and learner = $2) or (mentor = $2 and learner = $1))", a, b
    )
    return await break_off(tx, await lock_open(tx, [row["id"] for row in ids]), 0)


async def left_community(tx: asyncpg.Connection, community: int, user: int, by: int) -> Closed:
    """Somebody is no member of a community any more: what they have with others there ends."""
    ids = await tx.fetch(
        "select id from mentorships where community = $1 and state in (1, 2) and mentor = $2 union all"
        " select id from mentorships where community = $1 and state in (1, 2) and learner = $2",
        community,
        user,
    )
    return await break_off(tx, await lock_open(tx, [row["id"] for row in ids]), by)


async def left_space(tx: asyncpg.Connection, space: int, by: int) -> Closed:
    """One of the two left its space."""
    ids = await tx.fetch("select id from mentorships where space_id = $1 and state = 2", space)
    return await break_off(tx, await lock_open(tx, [row["id"] for row in ids]), by)


async def forget_person(tx: asyncpg.Connection, user: int) -> tuple[int, Closed]:
    """Ends whatever is still open of somebody who is being erased: proposals, above all. How many."""
    ids = await tx.fetch(
        "select id from mentorships where mentor = $1 and state in (1, 2) union all"
        " select id from mentorships where learner = $1 and state in (1, 2) limit $2",
        user,
        SWEEP_MAX,
    )
    rows = await lock_open(tx, [row["id"] for row in ids])
    return len(rows), await break_off(tx, rows, 0)


_DUE: Final = f"""
select o.id, 1 as why from mentorships o where o.state = 1 and o.proposed_at < now() - interval '{ANSWER_WITHIN}'%s
union all
select o.id, 2 from mentorships o where o.state = 2 and least(o.mentor_over_at, o.learner_over_at) < now() - interval '{SAY_WITHIN}'%s
union all
select o.id, 3 from mentorships o where o.state in (1, 2) and o.community > 0 and (
    not exists (select from members m where m.space_id = o.community and m.user_id = o.mentor)
    or not exists (select from members m where m.space_id = o.community and m.user_id = o.learner))%s
union all
select o.id, 3 from mentorships o where o.state in (1, 2) and exists (
    select from accounts a where a.id in (o.mentor, o.learner) and a.disabled_at is not null)%s
limit $1"""
_FIND_DUE: Final = _DUE % (("",) * 4)
_STILL_DUE: Final = _DUE % ((" and o.id = any($2)",) * 4)


async def sweep(tx: asyncpg.Connection) -> tuple[int, list[Fact]]:
    """Closes some whose time is over, or whose community or one of whose people is gone; how many were found, and the facts to be told. 0:
    none is left, and what was never begun and is a year old is deleted."""
    found = sorted({row["id"] for row in await tx.fetch(_FIND_DUE, SWEEP_MAX)})
    rows = await lock_open(tx, found)
    # Whoever held a row until we had it may have accepted it, or said the second word: why it was found is asked again of what we hold.
    due = {row["id"]: row["why"] for row in await tx.fetch(_STILL_DUE, 4 * SWEEP_MAX, found)} if found else {}
    done = NOTHING
    for row in rows:
        why = due.get(row["id"])
        if why == 3:
            done = done.then(await break_off(tx, [row], 0))
        elif why is not None:
            state = MentorshipState.LAPSED if why == 1 else MentorshipState.ENDED
            done = done.then(await close(tx, row, state, 0))
    if not found:
        await tx.execute(f"delete from mentorships where state in (3, 4, 5) and closed_at < now() - interval '{KEPT_UNBEGUN}'")
        await tx.execute("delete from match_shown where at < now() - interval '90 days'")
        await tx.execute("delete from match_tickets where at < now() - interval '10 minutes'")
    return len(found), await append_events(tx, done.events, done.bump) if done.events else []


async def _note_deed(tx: asyncpg.Connection, row: Any, good: float | None) -> None:
    """What went well, by what the learner said of it, and lasted, is a fact about the mentor: it counts by how far others vouch for the
    learner, also where no community is named, since two who make accounts would vouch for each other."""
    if good is None or good < GOOD_FROM or not row["learner_reached"] or (row["learner_rating"] or 0) < 4:
        return
    counts: bool = await tx.fetchval(
        f"select $2 < now() - interval '{LASTED_MIN}' and not exists ("
        " select from trust_events e where e.user_id = $3 and e.kind = $5 and e.actor = $4 and e.subject <> $1"
        f" and e.at > now() - interval '{SAME_PAIR}')",
        row["id"],
        row["answered_at"],
        row["mentor"],
        row["learner"],
        int(FactKind.MENTORED),
    )
    if not counts:
        return
    weight = 1.0
    if not row["community"]:
        standing = await read_standing(tx, (row["learner"],))
        weight = says(standing.get(row["learner"], 0))
    await note(tx, TrustEvent(row["mentor"], FactKind.MENTORED, row["learner"], row["community"], row["id"], weight))
    words = "said that a mentorship with you was worth it"
    await notify(tx, Notice(row["mentor"], NoticeKind.TRUST, actor=row["learner"], subject=row["id"], words=words))
