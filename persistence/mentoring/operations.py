"""ProposeMentorship, AnswerMentorship, EndMentorship, WithdrawProposal: from one person's question to what both say of it in the end.

    Propose ─▶ pair, mentor, community locked ─▶ mentors here? trusted? not blocked? room? not asked already? ─▶ row ─▶ both inboxes, notice
    Answer  ─▶ the same locks ─▶ asked again ─▶ a space of two: conversation, goals and meetings ─▶ both enter
    End     ─▶ the row locked ─▶ one's own word ─▶ both said it: closed

Whatever a proposal needs is asked again when it is accepted: between the two lie days. Locks in one order: the pair, the mentor, the
community's space, the mentorship's row.

Invariant: a mentor has at most as many active mentorships as they said, at most `WAITING_MAX` proposals wait for them, and of two people at
most one proposal or mentorship is open in each direction. Taking a proposal back makes no room for another one that day.
"""

from __future__ import annotations

from typing import Any, Final

import asyncpg

from actors.notices import Notice
from actors.storage import Entry
from actors.trust_gates import Gate, Thresholds, describe
from persistence.append import Effect, Refuse, event
from persistence.blocks import BLOCKED, lock_pair
from persistence.mentoring.closing import close, lock_one, tell
from persistence.mentoring.people import Mentor, mentor_of, told_of
from persistence.moderation.aside import ask_mentorship
from persistence.notices import notify
from persistence.operations import rules
from persistence.operations.membership import SPACE_ENTERED
from persistence.operations.space import SpaceSeen, display_name, lock_space
from protocol.codes import Code
from protocol.entities import Entity
from protocol.events import Joined, MentorshipBegan, MentorshipSaidOver
from protocol.operations import AnswerMentorship, EndMentorship, ProposeMentorship, WithdrawProposal
from protocol.permissions import Permission
from protocol.values import MentorshipState, NoticeKind, Role, Roles, SpaceKind, StreamKind

WAITING_MAX: Final = 20
"""Proposals that wait for one mentor."""
ASKED_MAX: Final = 10
"""Proposals of one learner that wait."""
ACTIVE_MAX: Final = 20
"""Mentorships of one learner that go on."""
ASK_AGAIN: Final = "30 days"
"""After somebody said no, or did not answer, they are not asked again by the same person for so long."""
TAKEN_BACK: Final = "1 day"
"""A proposal that was taken back counts for so long as if it waited: each is a notice for somebody."""
TAKEN_BACK_MAX: Final = 3
"""Of one person to one other, within `ASK_AGAIN`."""
WRITERS: Final = int(Roles.MENTOR | Roles.LEARNER)
"""Who writes in the conversation of a mentorship: when it is over, both are something else."""

NO_SUCH_MENTOR: Final = Refuse(Code.NOT_FOUND, "nobody of this number mentors here")
FULL: Final = Refuse(Code.LIMIT, "this mentor takes no more learners at the moment; others may")
_LOCK_MENTOR: Final = "select pg_advisory_xact_lock(hashtextextended('mentor:' || $1::bigint, 0))"
_STANDING: Final = "select s.*, (select trust_min from mentor_clock) as trust_min from mentor_standing($1, array[$2::bigint], $3) s"
_LEARNER: Final = """
select count(*) filter (where state = 1 or (state = 4 and closed_at > now() - interval '{back}')) as asked,
    count(*) filter (where state = 2) as active,
    bool_or(mentor = $2 and state in (3, 5) and closed_at > now() - interval '{again}') as lately,
    bool_or(mentor = $2 and state = 4 and closed_at > now() - interval '{back}') as just_taken_back,
    count(*) filter (where mentor = $2 and state = 4 and closed_at > now() - interval '{again}') as taken_back
from mentorships where learner = $1 and (state in (1, 2) or closed_at > now() - interval '{again}')"""


async def propose(tx: asyncpg.Connection, entry: Entry, operation: ProposeMentorship) -> Effect | Refuse:
    """Asks somebody to be one's mentor."""
    user, mentor = entry.user, operation.user
    if user == mentor:
        return Refuse(Code.INVALID, "user: nobody mentors themselves")
    if "\0" in operation.subject + operation.words:
        return Refuse(Code.INVALID, "text without U+0000")
    if await tx.fetchval("select kind from accounts where id = $1", user) != 0:
        return Refuse(Code.FORBIDDEN, "a service learns nothing")
    space = await _lock(tx, user, mentor, operation.space)
    standing, said = await _read_mentor(tx, user, mentor, operation.space)
    refusal = _judge(standing, said, space, user, operation.space)
    if refusal is not None:
        return refusal
    own = await tx.fetchrow(_LEARNER.format(again=ASK_AGAIN, back=TAKEN_BACK), user, mentor)
    assert own is not None and standing is not None and said is not None
    if standing["is_open"]:
        return Refuse(Code.CONFLICT, "you have asked them already")
    if own["lately"]:
        return Refuse(Code.CONFLICT, "they have answered you, or let it pass, within the last month")
    if own["just_taken_back"]:
        return Refuse(Code.CONFLICT, "you took it back within the last day; ask them again tomorrow")
    if own["taken_back"] >= TAKEN_BACK_MAX:
        return Refuse(Code.LIMIT, f"you asked them and took it back {TAKEN_BACK_MAX} times within the last month")
    if standing["active"] >= said.capacity or standing["waiting"] >= WAITING_MAX:
        return FULL
    if own["asked"] >= ASKED_MAX or own["active"] >= ACTIVE_MAX:
        return Refuse(Code.LIMIT, f"one asks at most {ASKED_MAX} mentors at a time, those of today included, and has at most {ACTIVE_MAX}")
    mentorship: int = await tx.fetchval(
        "insert into mentorships (mentor, learner, community, subject, words, by_user, said, factors, score, fitted_by, place)"
        " select $1::bigint, $2::bigint, $3::bigint, $4::text, $5::text, $2, $5, coalesce(s.factors, '{}'), coalesce(s.score, 0),"
        " coalesce(s.by, ''), coalesce(s.place, 0)::smallint"
        " from (select 1) one left join match_shown s on s.seeker = $2 and s.mentor = $1 returning id",
        mentor,
        user,
        operation.space,
        operation.subject,
        operation.words,
    )
    await ask_mentorship(tx, mentorship, user, words=operation.words, subject=operation.subject)
    await tell(tx, mentorship, mentor, user)
    words = "asks you to be their mentor"
    await notify(tx, Notice(mentor, NoticeKind.MATCH, actor=user, space=operation.space, subject=mentorship, words=words))
    return Effect(value=mentorship, fills_outbox=True)


async def answer(tx: asyncpg.Connection, entry: Entry, operation: AnswerMentorship) -> Effect | Refuse:
    """The mentor's answer. Whoever is not asked learns nothing."""
    if "\0" in operation.words:
        return Refuse(Code.INVALID, "text without U+0000")
    found = await tx.fetchrow(
        "select mentor, learner, community from mentorships where id = $1 and mentor = $2", operation.mentorship, entry.user
    )
    if found is None:
        return rules.NOT_FOUND
    space = await _lock(tx, found["learner"], entry.user, found["community"])
    row = await lock_one(tx, operation.mentorship)
    if row["state"] != MentorshipState.PROPOSED:
        return _not_open(row)
    learner = row["learner"]
    if not operation.accept:
        await ask_mentorship(tx, row["id"], entry.user, words=operation.words)
        await close(tx, row, MentorshipState.DECLINED, entry.user, operation.words)
        words = "cannot be your mentor"
        await notify(tx, Notice(learner, NoticeKind.MATCH, actor=entry.user, space=row["community"], subject=row["id"], words=words))
        return Effect(fills_outbox=True)
    standing, said = await _read_mentor(tx, learner, entry.user, row["community"])
    refusal = _judge(standing, said, space, learner, row["community"], by_mentor=True)
    if refusal is not None:
        return refusal
    assert standing is not None and said is not None
    if standing["active"] >= said.capacity:
        return Refuse(Code.LIMIT, f"you said that you take {said.capacity} at a time; say more, or end one")
    active: int = await tx.fetchval("select count(*) from mentorships where learner = $1 and state = 2", learner)
    if active >= ACTIVE_MAX:
        return Refuse(Code.LIMIT, "they have as many mentors as one may have")
    name = await display_name(tx, learner)
    if name is None:
        return Refuse(Code.NOT_FOUND, "no such account")
    await ask_mentorship(tx, row["id"], entry.user, words=operation.words)
    return await _begin(tx, row, operation.words, {entry.user: standing["display_name"], learner: name})


async def end(tx: asyncpg.Connection, entry: Entry, operation: EndMentorship) -> Effect | Refuse:
    """One's own word that it is over. The second closes it."""
    if "\0" in operation.words:
        return Refuse(Code.INVALID, "text without U+0000")
    found = await tx.fetchrow(
        "select id from mentorships where id = $1 and (mentor = $2 or learner = $2)", operation.mentorship, entry.user
    )
    if found is None:
        return rules.NOT_FOUND
    row = await lock_one(tx, operation.mentorship)
    if row["state"] != MentorshipState.ACTIVE:
        return _not_open(row)
    side = "mentor" if row["mentor"] == entry.user else "learner"
    other = "learner" if side == "mentor" else "mentor"
    if row[f"{side}_over_at"] is not None:
        return Refuse(Code.CONFLICT, "you have said so already")
    await tx.execute(
        f"update mentorships set {side}_over_at = now(), {side}_reached = $2, {side}_rating = $3 where id = $1",
        row["id"],
        operation.reached,
        operation.rating,
    )
    await ask_mentorship(tx, row["id"], entry.user, words=operation.words)
    over = event(row["records"], entry.user, MentorshipSaidOver(operation.reached, operation.words))
    if row[f"{other}_over_at"] is not None:
        row = await lock_one(tx, operation.mentorship)
        closed = await close(tx, row, MentorshipState.ENDED, entry.user, operation.words)
        return closed.added_to(Effect((over,), fills_outbox=True))
    await tx.execute("update mentorships set by_user = $2, said = $3 where id = $1", row["id"], entry.user, operation.words)
    await tell(tx, row["id"], row["mentor"], row["learner"])
    words = "says that your mentorship is over. How was it for you?"
    await notify(tx, Notice(row[other], NoticeKind.MATCH, actor=entry.user, subject=row["id"], words=words))
    return Effect((over,), fills_outbox=True)


async def withdraw(tx: asyncpg.Connection, entry: Entry, operation: WithdrawProposal) -> Effect | Refuse:
    """Takes one's own proposal back. The mentor's inbox says so, without a notice."""
    found = await tx.fetchrow("select id from mentorships where id = $1 and learner = $2", operation.mentorship, entry.user)
    if found is None:
        return rules.NOT_FOUND
    row = await lock_one(tx, operation.mentorship)
    if row["state"] == MentorshipState.WITHDRAWN:
        return Effect()
    if row["state"] != MentorshipState.PROPOSED:
        return _not_open(row)
    await close(tx, row, MentorshipState.WITHDRAWN, entry.user)
    return Effect(fills_outbox=True)


async def _lock(tx: asyncpg.Connection, learner: int, mentor: int, community: int) -> SpaceSeen | None:
    """What stands between the two, how many the mentor has, and who is a member, stays as it is until the transaction ends."""
    await lock_pair(tx, learner, mentor)
    await tx.execute(_LOCK_MENTOR, mentor)
    return await lock_space(tx, community, learner, mentor) if community else None


async def _read_mentor(tx: asyncpg.Connection, learner: int, mentor: int, community: int) -> tuple[Any, Mentor | None]:
    row = await tx.fetchrow(_STANDING, learner, mentor, community)
    return row, None if row is None else mentor_of(told_of(row["cells"], Entity.MENTORING))


def _judge(
    standing: Any, said: Mentor | None, space: SpaceSeen | None, learner: int, community: int, *, by_mentor: bool = False
) -> Refuse | None:
    """Whether this mentor may mentor this learner here. `by_mentor`: it is the mentor who asks, and is told how they stand themselves."""
    if community and (space is None or space.role(learner) is None):
        return rules.NOT_FOUND
    if community and space is not None and space.kind is not SpaceKind.COMMUNITY:
        return Refuse(Code.INVALID, "space: a community, or 0")
    if standing is None or said is None or standing["is_service"]:
        return NO_SUCH_MENTOR
    if standing["is_blocked"]:
        return BLOCKED
    if not said.open and not by_mentor:
        return NO_SUCH_MENTOR
    if community:
        assert space is not None
        if not space.standing(standing["user_id"]).may(Permission.MENTOR) or not (said.everywhere or community in said.communities):
            return NO_SUCH_MENTOR
    elif not said.everywhere:
        return NO_SUCH_MENTOR
    if standing["trust"] < standing["trust_min"]:
        if by_mentor:
            return Refuse(Code.TRUST, describe(Gate.MENTORING, standing["trust"], Thresholds(mentoring=standing["trust_min"])))
        return Refuse(Code.TRUST, "they may not mentor yet: too few people here vouch for them")
    return None


async def _begin(tx: asyncpg.Connection, row: Any, words: str, names: dict[int, str]) -> Effect:
    """Makes the space of the two. The mentor is the mentor in it and the other the learner, so that nobody can remove anybody."""
    mentor, learner = row["mentor"], row["learner"]
    space: int = await tx.fetchval(
        # Without a name: what it is about are the learner's words, which go with them.
        "insert into spaces (kind, name, members, created_by) values ($1, '', 2, $2) returning id",
        int(SpaceKind.MENTORSHIP),
        mentor,
    )
    streams = await tx.fetch(
        "with entered as (insert into members (space_id, user_id, role) values ($1, $2, $4), ($1, $3, $5)),"
        " told as (insert into outbox (kind, user_id, space_id, author) values ($6, $2, $1, $2), ($6, $3, $1, $2))"
        " insert into streams (space_id, kind, write_roles, placement) values ($1, $7, $9, $1), ($1, $8, 0, $1) returning id, kind",
        space,
        mentor,
        learner,
        int(Role.MENTOR),
        int(Role.LEARNER),
        SPACE_ENTERED,
        int(StreamKind.CONVERSATION),
        int(StreamKind.MENTORSHIP),
        WRITERS,
    )
    by_kind = {stream["kind"]: stream["id"] for stream in streams}
    conversation, records = by_kind[StreamKind.CONVERSATION], by_kind[StreamKind.MENTORSHIP]
    await tx.execute(
        "update mentorships set state = $2, by_user = mentor, said = $3, space_id = $4, conversation = $5, records = $6,"
        " answered_at = now() where id = $1",
        row["id"],
        int(MentorshipState.ACTIVE),
        words,
        space,
        conversation,
        records,
    )
    await tell(tx, row["id"], mentor, learner)
    said = "is your mentor now"
    await notify(tx, Notice(learner, NoticeKind.MATCH, actor=mentor, space=space, stream=conversation, subject=row["id"], words=said))
    began = event(records, mentor, MentorshipBegan(row["id"], mentor, learner, row["community"]))
    joined = (
        event(conversation, mentor, Joined(mentor, Role.MENTOR, names[mentor])),
        event(conversation, learner, Joined(learner, Role.LEARNER, names[learner])),
    )
    return Effect((began, *joined), value=space, fills_outbox=True)


def _not_open(row: Any) -> Refuse:
    state = MentorshipState(row["state"])
    return Refuse(Code.CONFLICT, f"it is {state.name.lower().replace('_', ' ')}")
