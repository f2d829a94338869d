"""ReportMessage, ReportPerson and DecideReport: from what somebody saw to what is done about it.

    report ─▶ where to? ─▶ the community's staff, or the platform's ─▶ one open row of a reporter about a thing ─▶ review stream: Reported
                           (who is staff themselves: the platform's)    again: it counts up, and nobody is told twice
    decide ─▶ all open rows about the same ─▶ upheld: the message is redacted ─▶ ReportDecided, notices, facts of trust, an audit line

Who reported stands in the row and nowhere else: not in the review stream, which the reported may read, not in the audit log, not in what
those who decide are shown. What a message said when it was reported is kept until the decision, whatever its author does meanwhile.

Invariant: a reporter has at most one open report about the same thing for the same staff to decide, and makes at most
`REPORTS_PER_DAY_MAX` new ones in 24 hours.
"""

from __future__ import annotations

from typing import Final

import asyncpg
from msgspec import Struct

from actors.notices import Notice
from actors.storage import Entry
from actors.trust import FactKind, TrustEvent
from persistence.append import Effect, NewEvent, Refuse, event
from persistence.audit import Deed
from persistence.notices import notify
from persistence.operations import rules
from persistence.operations.messages import message_text, redact
from persistence.operations.space import SpaceSeen, display_name, lock_space
from persistence.review import find_review
from persistence.roles import allowed
from persistence.trust import note
from protocol.codes import Code
from protocol.events import Deleted, ReportDecided, Reported
from protocol.operations import DecideReport, ReportMessage, ReportPerson
from protocol.permissions import Permission
from protocol.values import NoticeKind, ReportAbout, ReportReason, ReportState, SpaceKind

REPORTS_PER_DAY_MAX: Final = 20
"""New ones of one person; whoever sees more than that in a day has something else to tell the staff."""
TIMES_MAX: Final = 1_000
DAY_S: Final = 24 * 3600

_LOCK: Final = "select pg_advisory_xact_lock(hashtextextended('reports:' || $1::bigint, 0))"
_SAME: Final = (
    "select id, reporter, reason, times from reports"
    " where subject = $1 and about = $2 and stream_id = $3 and seq = $4 and space_id = $5 and state = 1 order by id for update"
)


class _Target(Struct, frozen=True):
    """What is reported. `space`: the community that it happened in, locked; None: none. `evidence`: the message's body."""

    about: ReportAbout
    subject: int
    space: SpaceSeen | None
    stream: int = 0
    seq: int = 0
    evidence: bytes | None = None


async def report_message(tx: asyncpg.Connection, entry: Entry, operation: ReportMessage) -> Effect | Refuse:
    """Reports a message that one can read and did not write."""
    await tx.execute(_LOCK, entry.user)
    place = await tx.fetchrow("select space_id, read_roles from streams where id = $1", operation.stream)
    message = await tx.fetchrow("select author, body from log where stream_id = $1 and seq = $2", operation.stream, operation.target)
    author = 0 if message is None else message["author"]
    space = None if place is None else await lock_space(tx, place["space_id"], entry.user, author)
    if space is None or place is None or space.role(entry.user) is None:
        return rules.NOT_FOUND
    if not (space.role(entry.user) or 0) & place["read_roles"]:
        return Refuse(Code.FORBIDDEN, "this role does not read here")
    text = None if message is None else message_text(message["body"])
    if message is None or text is None or not author:
        return Refuse(Code.NOT_FOUND, "no such message, or its text is gone")
    if author == entry.user:
        return Refuse(Code.INVALID, "target: one's own message")
    community = space if space.kind is SpaceKind.COMMUNITY else None
    target = _Target(ReportAbout.MESSAGE, author, community, operation.stream, operation.target, message["body"])
    return await _report(tx, entry, target, operation.reason, operation.words)


async def report_person(tx: asyncpg.Connection, entry: Entry, operation: ReportPerson) -> Effect | Refuse:
    """Reports a person or their profile: to a community that both are in, or to the platform."""
    if operation.user == entry.user:
        return Refuse(Code.INVALID, "user: nobody reports themselves")
    await tx.execute(_LOCK, entry.user)
    if await display_name(tx, operation.user) is None:
        return Refuse(Code.NOT_FOUND, "no such account")
    space = None
    if operation.space:
        space = await lock_space(tx, operation.space, entry.user, operation.user)
        if space is None or space.role(entry.user) is None:
            return rules.NOT_FOUND
        if space.kind is not SpaceKind.COMMUNITY:
            return Refuse(Code.INVALID, "space: only a community has staff; without one it goes to the platform's reviewers")
        if space.role(operation.user) is None:
            return Refuse(Code.NOT_FOUND, "no such member")
    about = ReportAbout.PROFILE if operation.profile else ReportAbout.PERSON
    return await _report(tx, entry, _Target(about, operation.user, space), operation.reason, operation.words)


async def _report(tx: asyncpg.Connection, entry: Entry, target: _Target, reason: ReportReason, words: str) -> Effect | Refuse:
    space = target.space
    if space is not None and space.standing(target.subject).may(Permission.MODERATE):
        space = None  # nobody decides about themselves, nor their friends about them
    space_id = 0 if space is None else space.id
    again: int | None = await tx.fetchval(
        "update reports set times = least(times + 1, $6), reason = $7, words = case when $8 = '' then words else $8 end, last_at = now()"
        " where reporter = $1 and about = $2 and subject = $3 and stream_id = $4 and seq = $5 and space_id = $9"
        " and state = 1 returning id",
        entry.user,
        target.about,
        target.subject,
        target.stream,
        target.seq,
        TIMES_MAX,
        reason,
        words,
        space_id,
    )
    if again is not None:
        return Effect(value=again)
    made: int = await tx.fetchval(
        "select count(*) from (select at from reports where reporter = $1 order by id desc limit $2) r"
        " where r.at > now() - make_interval(secs => $3)",
        entry.user,
        REPORTS_PER_DAY_MAX,
        float(DAY_S),
    )
    if made >= REPORTS_PER_DAY_MAX:
        return Refuse(Code.LIMIT, f"at most {REPORTS_PER_DAY_MAX} new reports in 24 hours")
    review, told = await find_review(tx, space)
    report: int = await tx.fetchval(
        "insert into reports (reporter, about, subject, space_id, stream_id, seq, reason, words, evidence)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning id",
        entry.user,
        target.about,
        target.subject,
        space_id,
        target.stream,
        target.seq,
        reason,
        words,
        target.evidence,
    )
    body = Reported(report, target.about, target.subject, reason, target.stream, target.seq)
    return Effect((event(review, 0, body),), value=report, fills_outbox=told)


class _Case(Struct, frozen=True):
    """A report to be decided, and where it happened. `space`: whose staff decide, locked; None: the platform's reviewers."""

    about: ReportAbout
    subject: int
    stream: int
    seq: int
    space: SpaceSeen | None


async def decide_report(tx: asyncpg.Connection, entry: Entry, operation: DecideReport) -> Effect | Refuse:
    """Decides all open reports about the same thing. A report that is not for this person to decide is none."""
    row = await tx.fetchrow("select about, subject, space_id, stream_id, seq from reports where id = $1", operation.report)
    if row is None:
        return rules.NOT_FOUND
    space = await lock_space(tx, row["space_id"], entry.user, row["subject"]) if row["space_id"] else None
    case = _Case(ReportAbout(row["about"]), row["subject"], row["stream_id"], row["seq"], space)
    refusal = await _may_decide(tx, entry.user, case)
    if refusal is not None:
        return refusal
    space_id = 0 if space is None else space.id
    same = await tx.fetch(_SAME, case.subject, case.about, case.stream, case.seq, space_id)
    if operation.report not in {one["id"] for one in same}:
        return Refuse(Code.CONFLICT, "it is decided already")
    state = ReportState.UPHELD if operation.uphold else ReportState.REJECTED
    await tx.execute(
        "update reports set state = $2, decided_by = $3, decided_at = now(), evidence = null where id = any($1)",
        [one["id"] for one in same],
        state,
        entry.user,
    )
    hidden = await _hide(tx, entry, case) if operation.uphold and case.stream else ()
    review, _ = await find_review(tx, space)
    decided = tuple(event(review, 0, ReportDecided(one["id"], state, entry.user)) for one in same)
    reports = [(one["id"], one["reporter"]) for one in same]
    await note(tx, *_facts(case, state, reports, entry.user))
    await notify(tx, *_notices(case, state, reports, ReportReason(same[0]["reason"])))
    detail = {"report": operation.report, "about": case.about.name.lower(), "stream": case.stream, "seq": case.seq, "reports": len(same)}
    deed = Deed(entry.user, f"report_{state.name.lower()}", space_id or None, case.subject, detail=detail)
    return Effect((*hidden, *decided), value=len(same), fills_outbox=True, deeds=(deed,))


async def _may_decide(tx: asyncpg.Connection, user: int, case: _Case) -> Refuse | None:
    """Whoever may not is told what they would be told if there were none."""
    if case.subject == user:
        return rules.NOT_FOUND
    if case.space is not None:
        return None if case.space.standing(user).may(Permission.MODERATE) else rules.NOT_FOUND
    return None if await allowed(tx, user, Permission.REVIEW_PLATFORM, None) else rules.NOT_FOUND


async def _hide(tx: asyncpg.Connection, entry: Entry, case: _Case) -> tuple[NewEvent, ...]:
    """Redacts the reported message, if it still says something. Of a reviewer who is no member nobody there hears the name."""
    if not await redact(tx, case.stream, case.seq):
        return ()
    return (event(case.stream, entry.user if case.space is not None else 0, Deleted(case.seq), case.seq),)


def _facts(case: _Case, state: ReportState, reports: list[tuple[int, int]], decider: int) -> list[TrustEvent]:
    """What becomes a fact about whom. One about the reported, however many have reported; a report that its maker decides is none."""
    made = [(report, reporter) for report, reporter in reports if reporter != decider]
    if not made:
        return []
    upheld = state is ReportState.UPHELD
    space = 0 if case.space is None else case.space.id
    about, of = (FactKind.REPORT_UPHELD, FactKind.REPORT_CONFIRMED) if upheld else (FactKind.REPORT_REJECTED, FactKind.REPORT_UNFOUNDED)
    return [
        TrustEvent(case.subject, about, decider, space, made[0][0]),
        *(TrustEvent(reporter, of, decider, space, report) for report, reporter in made),
    ]


def _notices(case: _Case, state: ReportState, reports: list[tuple[int, int]], reason: ReportReason) -> list[Notice]:
    """What those concerned are told. The author is told kindly, and nobody who it was; who reported is told what became of it."""
    space = 0 if case.space is None else case.space.id
    upheld = state is ReportState.UPHELD
    thanks = "Thank you for your report. We looked at it, and " + (
        ("the message is hidden now." if case.stream else "you were right to tell us; we have spoken to the person.")
        if upheld
        else "found that it is within the rules. It was still right to ask."
    )
    told = [Notice(reporter, NoticeKind.MODERATION, space=space, subject=report, words=thanks) for report, reporter in reports]
    if upheld:
        why = _WHY.get(reason, "it is against the rules here")
        what = "A message of yours was hidden" if case.stream else "Something about how you appear here was looked at"
        words = f"{what}: {why}. Nothing else changes for you; if you think we are wrong, please tell us."
        told.append(Notice(case.subject, NoticeKind.MODERATION, space=space, words=words))
    return told


_WHY: Final = {
    ReportReason.SPAM: "it reads like advertising",
    ReportReason.HARASSMENT: "it can hurt somebody",
    ReportReason.HATE: "it puts people down for what they are",
    ReportReason.VIOLENCE: "it threatens or shows violence",
    ReportReason.SEXUAL: "it is not fit for everybody here",
    ReportReason.SELF_HARM: "it can lead others to harm themselves; if you are not well, please talk to somebody you trust",
    ReportReason.DECEIT: "it can mislead others",
    ReportReason.PRIVACY: "it shows what somebody may not want to have shown",
}
assert set(_WHY) == set(ReportReason) - {ReportReason.OTHER}
