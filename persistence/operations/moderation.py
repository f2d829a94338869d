"""DecideHeld, Appeal, DecideAppeal, SetModeration: what people do about what moderation holds.

    CHECKING, WAITING ─DecideHeld─▶ RELEASED │ UPHELD ─Appeal─▶ (again open) ─DecideAppeal─▶ RELEASED │ UPHELD, for good
    HIDDEN ─────────────────────────────────────────────╯         by another person than who decided first

Whoever decides is of the community's staff, or, for what is nobody's or staff's own, a reviewer of the platform. To all others there is no
such thing. What people decide is kept for training, and what they uphold counts as an upheld report does.

Invariant: nobody decides about themselves; an appeal is made once, and decided by somebody who has not decided before.
"""

from __future__ import annotations

from typing import Final

import asyncpg
from msgspec import Struct

from actors.inference import TEXT_MAX, About
from actors.moderation import check_levels, read_reasons, write_levels
from actors.notices import Notice
from actors.storage import Entry
from actors.trust import FactKind, TrustEvent
from persistence.append import ChannelChange, Effect, NewEvent, Refuse, authority_changed, event
from persistence.audit import Deed
from persistence.mentoring.covering import cover
from persistence.moderation import records
from persistence.moderation.aside import read_said
from persistence.moderation.names import take_name, take_place_name
from persistence.moderation.rulings import WHY, decided, lock_message, release
from persistence.moderation.words import text_to_judge
from persistence.notices import notify
from persistence.operations import rules
from persistence.operations.space import SpaceSeen, lock_space
from persistence.review import find_review
from persistence.roles import allowed
from persistence.trust import note, order_settling
from protocol.codes import Code
from protocol.events import HeldForReview, ModerationSet
from protocol.operations import Appeal, DecideAppeal, DecideHeld, SetModeration
from protocol.permissions import Permission
from protocol.values import Harm, HeldForm, HeldState, NoticeKind, Roles

OPEN: Final = (HeldState.CHECKING, HeldState.WAITING)
APPEALABLE: Final = (HeldState.HIDDEN, HeldState.UPHELD)
APPEAL_DAYS: Final = 30
"""After that what was said is kept no longer."""
_BLAMELESS: Final = frozenset({Harm.OTHER, Harm.SELF_HARM, Harm.PERSONAL})
"""What is never held against anybody: it was need, or a mistake, or nothing at all."""
_ABOUT: Final = {HeldForm.RECORD: About.CONTENT, HeldForm.NAME: About.NAME}
_FIND: Final = (
    "select id, space_id, review_id, stream_id, event_seq, target, key, author, form, state, body, reasons, language, decided_by,"
    " appealed_at, appeal_by, decided_at < now() - make_interval(days => 30) as late from held where id = $1"
)
_OTHERS: Final = (
    "select exists (select from members m join accounts a on a.id = m.user_id and a.disabled_at is null and a.kind = 0"
    " where m.space_id = $1 and m.user_id <> all($2) and (m.role & $3 <> 0 or exists (select from user_roles u where u.user_id = m.user_id"
    " and u.space_id = $1 and custom_permissions(m.user_id, $1) & $4 <> 0)))"
)
"""Whether there is another person there who may decide."""


class _Case(Struct, frozen=True):
    """A held row, and whose staff decide. `space`: the community, locked; None: the platform's reviewers."""

    id: int
    space_id: int
    stream: int
    seq: int
    target: int
    key: int
    author: int
    form: HeldForm
    state: HeldState
    body: bytes | None
    why: Harm
    language: str
    decided_by: int
    appealed: bool
    appeal_by: int
    late: bool
    space: SpaceSeen | None


async def decide_held(tx: asyncpg.Connection, entry: Entry, operation: DecideHeld) -> Effect | Refuse:
    """Decides what waits for a person, or what was hidden without one."""
    case = await _find(tx, operation.held, entry.user)
    if isinstance(case, Refuse):
        return case
    if case.state not in OPEN and not (case.state is HeldState.HIDDEN and not case.appealed):
        return Refuse(Code.CONFLICT, "it is decided already, or its author asks for another look: decide the appeal")
    return await _decide(tx, entry, case, release_it=operation.release)


async def decide_appeal(tx: asyncpg.Connection, entry: Entry, operation: DecideAppeal) -> Effect | Refuse:
    """Decides an appeal: another person than who decided first."""
    case = await _find(tx, operation.held, entry.user)
    if isinstance(case, Refuse):
        return case
    if not case.appealed or case.appeal_by or case.state not in APPEALABLE:
        return Refuse(Code.CONFLICT, "nobody asks for another look at it, or that was decided")
    if case.decided_by == entry.user:
        return Refuse(Code.FORBIDDEN, "another person than who decided first looks at an appeal")
    await tx.execute("update held set appeal_by = $2, appeal_at = now() where id = $1", case.id, entry.user)
    return await _decide(tx, entry, case, release_it=operation.uphold, appeal=True)


async def appeal(tx: asyncpg.Connection, entry: Entry, operation: Appeal) -> Effect | Refuse:
    """Asks for another look at something of one's own."""
    row = await tx.fetchrow(_FIND, operation.held)
    if row is None or row["author"] != entry.user:
        return rules.NOT_FOUND
    space = await lock_space(tx, row["review_id"], entry.user) if row["review_id"] else None
    row = await tx.fetchrow(f"{_FIND} for update", operation.held)
    if row is None:
        return rules.NOT_FOUND
    if row["appealed_at"] is not None:
        return Refuse(Code.CONFLICT, "one appeals once")
    if row["state"] not in APPEALABLE:
        return Refuse(Code.CONFLICT, "nothing is decided against it: it waits for a person, or was let through")
    if row["late"] or row["body"] is None:
        return Refuse(Code.GONE, f"one appeals within {APPEAL_DAYS} days: what was said is kept no longer")
    await tx.execute("update held set appeal = $2, appealed_at = now() where id = $1", operation.held, operation.words.replace("\0", "�"))
    state = HeldState(row["state"])
    handed_on: tuple[NewEvent, ...] = ()
    if space is not None and not await tx.fetchval(
        _OTHERS, space.id, [entry.user, row["decided_by"]], Roles.STAFF, 1 << Permission.MODERATE
    ):
        # Nobody there could ever decide it: the platform's reviewers do.
        await tx.execute("update held set review_id = 0 where id = $1", operation.held)
        space = None
        reasons = read_reasons(row["reasons"])
        why = reasons[0].harm if reasons else Harm.OTHER
        review, _ = await find_review(tx, None)
        seq = row["target"] if row["form"] in (HeldForm.MESSAGE, HeldForm.EDIT) else 0
        told_of = HeldForReview(operation.held, HeldForm(row["form"]), state, entry.user, why, row["stream_id"], seq)
        handed_on = (event(review, 0, told_of),)
    review, told = await find_review(tx, space)
    opened = decided(review, operation.held, state, 0, appealed=True)
    return Effect((*handed_on, opened), value=operation.held, fills_outbox=told)


async def set_moderation(tx: asyncpg.Connection, entry: Entry, operation: SetModeration) -> Effect | Refuse:
    """Sets how a community is moderated. What is checked first from now on is so for whoever writes after this."""
    space = await lock_space(tx, operation.space, entry.user)
    if space is None:
        return rules.NOT_FOUND
    refusal = rules.need(space.kind, space.standing(entry.user), operation.needs)
    if refusal is not None:
        return refusal
    wrong = check_levels(operation.levels)
    if wrong:
        return Refuse(Code.INVALID, wrong)
    await tx.execute(
        "insert into moderation_policies (space_id, check_first, levels, mask) values ($1, $2, $3, $4) on conflict (space_id)"
        " do update set check_first = excluded.check_first, levels = excluded.levels, mask = excluded.mask",
        space.id,
        operation.check_first,
        write_levels(operation.levels),
        operation.mask,
    )
    # The streams' locks, in the order of everybody. An edit that was decided for how it was before is decided again (the bump).
    changed = await tx.fetch(
        "update streams s set check_first = $2 from (select id from streams where space_id = $1 and kind = 3 and check_first <> $2"
        " order by id for update) q where s.id = q.id returning s.id",
        space.id,
        operation.check_first,
    )
    streams = tuple(sorted(row["id"] for row in changed))
    told = event(space.main_stream, entry.user, ModerationSet(operation.check_first, operation.levels, operation.mask))
    detail = {"check_first": operation.check_first, "levels": write_levels(operation.levels), "mask": operation.mask}
    deed = Deed(entry.user, "moderation_set", space.id, detail=detail)
    moved = (authority_changed(space.id, 0),) if streams else ()
    return Effect((told, *moved), bump=streams, deeds=(deed,))


async def _find(tx: asyncpg.Connection, held: int, user: int) -> _Case | Refuse:
    """The row, locked, if it is for this person to decide. Whoever may not is told what they would be told if there were none."""
    row = await tx.fetchrow(_FIND, held)
    if row is None:
        return rules.NOT_FOUND
    space = await lock_space(tx, row["review_id"], user, row["author"]) if row["review_id"] else None
    await lock_message(tx, row["stream_id"], HeldForm(row["form"]), row["target"])
    row = await tx.fetchrow(f"{_FIND} for update", held)
    if row is None or row["author"] == user or (row["review_id"] and space is None):
        return rules.NOT_FOUND
    if space is not None:
        may = space.standing(user).may(Permission.MODERATE)
    else:
        may = await allowed(tx, user, Permission.REVIEW_PLATFORM, None)
    if not may:
        return rules.NOT_FOUND
    reasons = read_reasons(row["reasons"])
    return _Case(
        row["id"],
        row["space_id"],
        row["stream_id"],
        row["event_seq"],
        row["target"],
        row["key"],
        row["author"],
        HeldForm(row["form"]),
        HeldState(row["state"]),
        None if row["body"] is None else bytes(row["body"]),
        reasons[0].harm if reasons else Harm.OTHER,
        row["language"],
        row["decided_by"],
        row["appealed_at"] is not None,
        row["appeal_by"],
        bool(row["late"]),
        space,
    )


async def _decide(tx: asyncpg.Connection, entry: Entry, case: _Case, *, release_it: bool, appeal: bool = False) -> Effect | Refuse:
    events: tuple[NewEvent, ...] = ()
    renamed: tuple[NewEvent, ...] = ()
    channel: ChannelChange | None = None
    state = HeldState.RELEASED if release_it else HeldState.UPHELD
    spoken = case.form in (HeldForm.MESSAGE, HeldForm.EDIT)
    if release_it and spoken:
        if case.body is None:
            return Refuse(Code.GONE, "what was said is kept no longer")
        events = await release(tx, case.id, case.stream, case.author, case.form, case.target, case.body, unseen=not case.seq)
        state = HeldState.RELEASED if events else HeldState.LAPSED
    elif case.form is HeldForm.NAME:
        if not release_it and case.target and case.body is not None:
            await take_name(tx, case.id, case.target, case.body)
        elif not release_it and case.space_id and case.body is not None:
            renamed, channel = await take_place_name(tx, case.space_id, case.stream, case.body)
    elif case.form is HeldForm.RECORD and case.seq:
        await records.order(tx, case.id)
    elif case.form is HeldForm.RECORD and case.body is not None:
        await cover(tx, case.key, case.author, read_said(case.body), back=release_it)
    first = "" if appeal else ", decided_by = $3"
    await tx.execute(
        f"update held set state = $2, decided_at = now(){first} where id = $1", case.id, state, *(() if appeal else (entry.user,))
    )
    await _learn(tx, case, harmful=not release_it)
    await _trust(tx, entry.user, case, harmful=not release_it)
    await notify(tx, _notice(case, state, appeal))
    review, _ = await find_review(tx, case.space)
    told = decided(review, case.id, state, entry.user)
    action = "appeal_decided" if appeal else "held_decided"
    detail = {"held": case.id, "released": state is HeldState.RELEASED, "why": case.why.name.lower(), "stream": case.stream}
    deed = Deed(entry.user, action, case.space_id or None, case.author, detail=detail)
    return Effect((*events, told, *renamed), channel=channel, value_at=1 if events else 0, fills_outbox=True, deeds=(deed,))


async def _learn(tx: asyncpg.Connection, case: _Case, *, harmful: bool) -> None:
    """Keeps the decision for training, with what it was about."""
    # As it was judged.
    text, _ = text_to_judge(case.form, case.body) if case.body is not None else ("", 0)
    if text:
        await tx.execute(
            "insert into moderation_labels (held_id, space_id, author, text, about, language, harm, harmful)"
            " values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (held_id) do update set harmful = excluded.harmful, at = now()",
            case.id,
            case.space_id,
            case.author,
            text[:TEXT_MAX],
            _ABOUT.get(case.form, About.MESSAGE),
            case.language,
            case.why,
            harmful,
        )


async def _trust(tx: asyncpg.Connection, decider: int, case: _Case, *, harmful: bool) -> None:
    """What a person upheld counts as an upheld report; what an appeal puts right counts no more."""
    if not harmful:
        gone: str = await tx.execute(
            "delete from trust_events where user_id = $1 and kind = $2 and subject = $3", case.author, FactKind.REPORT_UPHELD, -case.id
        )
        if not gone.endswith(" 0"):
            await order_settling(tx)
    elif case.why not in _BLAMELESS and case.form in (HeldForm.MESSAGE, HeldForm.EDIT):
        space = 0 if case.space is None else case.space.id
        # Below nought: reports have the numbers above.
        await note(tx, TrustEvent(case.author, FactKind.REPORT_UPHELD, decider, space, -case.id))


def _notice(case: _Case, state: HeldState, appeal: bool) -> Notice:
    """What the author is told, and never by whom it was decided."""
    if state is HeldState.RELEASED:
        words = "A person looked at what we held of yours, and it is there for everybody now. Thank you for your patience."
    elif state is HeldState.LAPSED:
        words = "What we held of yours cannot be delivered any more: it was changed since, or you may not write in that place now."
    elif appeal:
        words = f"Another person looked at it again, and it stays away: {WHY[case.why]}. Thank you for telling us how you see it."
    else:
        words = f"A person looked at what we held of yours: {WHY[case.why]}. If you think we are wrong, appeal, and another person looks."
    return Notice(case.author, NoticeKind.MODERATION, space=case.space_id, subject=case.id, words=words)
