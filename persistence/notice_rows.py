"""Which inbox events are notices, and the row that is kept for each: written in the transaction of the event.

    outbox row ─▶ wanted? (rules) ─▶ event ─▶ append ─▶ row in notices ─▶ job `notice.decide`: push, mail, digest
    a reply's row names nobody: whom it answers is read here, from the message as it stands

An invitation and a conflict also say how things stand, so their events are appended also for whoever wants no notice of them.

Invariant: one row for one event, in one transaction; a notice is decided by one job, which holds its row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import asyncpg
from msgspec import Struct

from actors.jobs import Order, pack
from actors.notices import Notice, NoticeKind, Way, ways_of
from actors.storage import Fact
from persistence.append import kind_of
from persistence.jobs.enqueue import enqueue
from persistence.notice_reach import read_rules
from persistence.notices import NOTICED, body_of
from protocol import codec
from protocol.events import ConflictNoted, Invited, Mentioned, Noticed, Posted
from protocol.values import ConflictState

DECIDE: Final = "notice.decide"
DECIDE_AFTER_S: Final = 3.0
"""What comes within this time is decided together: three mentions in a row are one push."""
NOBODY: Final = 0
"""Whom the outbox row of a reply is for: who posts knows the message's number, not its author."""
_MENTIONED: Final = kind_of(Mentioned)

BLOCKABLE: Final = frozenset({NoticeKind.MENTION, NoticeKind.REPLY, NoticeKind.MATCH})
"""What one person causes for another. A decision of staff is told whoever blocks whom."""

_ANSWERED: Final = """
select q.pos, l.body, s.space_id
from unnest($1::bigint[], $2::bigint[]) with ordinality as q (stream, seq, pos)
join log l on l.stream_id = q.stream and l.seq = q.seq join streams s on s.id = q.stream"""
_AUTHORS: Final = """
select q.pos, l.author from unnest($1::bigint[], $2::bigint[]) with ordinality as q (stream, seq, pos)
join log l on l.stream_id = q.stream and l.seq = q.seq"""
_KEEP: Final = """
insert into notices (due, user_id, seq, kind, actor, space_id, stream_id, at_seq, subject, words)
select n.user_id = any($10::bigint[]), n.* from unnest(
    $1::bigint[], $2::bigint[], $3::smallint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::text[]
) as n (user_id, seq, kind, actor, space_id, stream_id, at_seq, subject, words)"""
_ELSEWHERE: Final = """
select a.id from accounts a where a.id = any($1) and (
    a.email_verified_at is not null or exists (select from push_subscriptions p where p.user_id = a.id)
)"""
_SPACES: Final = "select id, space_id from streams where id = any($1)"

Row = Mapping[str, Any]


class Decide(Struct, frozen=True):
    """Asks to decide how else `user` hears of the notices that are due."""

    user: int


def decide_order(user: int) -> Order:
    """The job; while one waits for this person, it stands for this one too."""
    return Order(DECIDE, pack(Decide(user)), delay_s=DECIDE_AFTER_S, key=str(user))


def decide_later(user: int, at: float, now: float) -> Order:
    """The job for what is looked at again `at` (Unix seconds). It stands for no other moment: what comes behind it may not have to wait."""
    return Order(DECIDE, pack(Decide(user)), delay_s=max(0.0, at - now), key=f"{user}:{at:.0f}")


async def find_answered(tx: asyncpg.Connection, rows: Sequence[Row]) -> list[Row]:
    """The rows with replies addressed: to the author of the message that is answered, unless that is who wrote, or is mentioned there
    anyway, or either message is gone."""
    replies = [at for at, row in enumerate(rows) if row["user_id"] == NOBODY and row["kind"] == _MENTIONED]
    if not replies:
        return list(rows)
    posts: dict[int, tuple[Posted, int]] = {}
    for pos, body, space in await tx.fetch(_ANSWERED, [rows[at]["stream_id"] for at in replies], [rows[at]["seq"] for at in replies]):
        read = codec.decode_body(body)
        if isinstance(read, Posted) and read.reply_to:
            posts[replies[pos - 1]] = (read, space)
    places = list(posts)
    authors = {
        places[pos - 1]: author
        for pos, author in await tx.fetch(_AUTHORS, [rows[at]["stream_id"] for at in places], [posts[at][0].reply_to for at in places])
    }
    addressed: list[Row] = [row for at, row in enumerate(rows) if at not in set(replies)]
    for at, author in authors.items():
        row, (post, space) = rows[at], posts[at]
        if author and author != row["author"] and author not in post.mentions:
            notice = Notice(author, NoticeKind.REPLY, row["author"], space, row["stream_id"], row["seq"], post.reply_to)
            addressed.append({**row, "kind": NOTICED, "user_id": author, "payload": codec.encode(body_of(notice))})
    return addressed


def kind_told(row: Row) -> NoticeKind | None:
    """Of which kind a row is that only tells, and so may be left out; None for what says how things stand."""
    if row["kind"] == _MENTIONED:
        return NoticeKind.MENTION
    if row["kind"] == NOTICED:
        body = codec.decode_body(row["payload"])
        assert isinstance(body, Noticed), body
        return body.kind
    return None


async def find_unwanted(tx: asyncpg.Connection, rows: Sequence[Row]) -> set[int]:
    """The rows, by their id, of which whom they are for does not want to hear at all."""
    told = {row["id"]: (row, kind) for row in rows if (kind := kind_told(row)) is not None}
    if not told:
        return set()
    rules = await read_rules(tx, (row["user_id"] for row, _ in told.values()))
    if not rules:
        return set()
    streams = [row["stream_id"] for row, _ in told.values() if row["stream_id"]]
    spaces: dict[int, int] = dict(await tx.fetch(_SPACES, streams))
    return {
        id
        for id, (row, kind) in told.items()
        if not ways_of(kind, row["space_id"] or spaces.get(row["stream_id"], 0), row["stream_id"] or 0, rules.get(row["user_id"], ()))
    }


async def keep(tx: asyncpg.Connection, facts: Sequence[Fact], owners: Mapping[int, int]) -> None:
    """Keeps a row for each fact that is a notice, and has it decided how else it comes, if there is another way. `owners`: by inbox, whose
    it is."""
    kept = [(fact.seq, notice) for fact in facts if (notice := _read(fact, owners.get(fact.stream, 0))) is not None]
    if not kept:
        return
    streams = [notice.stream for _, notice in kept if notice.stream and not notice.space]
    spaces: dict[int, int] = dict(await tx.fetch(_SPACES, streams))
    rules = await read_rules(tx, (notice.user for _, notice in kept))
    rows = []
    for seq, notice in kept:
        space = notice.space or spaces.get(notice.stream, 0)
        if ways_of(notice.kind, space, notice.stream, rules.get(notice.user, ())) is not Way.OFF:
            rows.append((notice.user, seq, notice.kind, notice.actor, space, notice.stream, notice.seq, notice.subject, notice.words))
    if not rows:
        return
    # Who can be told by the socket alone has nothing to be decided.
    elsewhere = [row["id"] for row in await tx.fetch(_ELSEWHERE, [row[0] for row in rows])]
    await tx.execute(_KEEP, *(list(column) for column in zip(*rows, strict=True)), elsewhere)
    if elsewhere:
        await enqueue(tx, *(decide_order(user) for user in elsewhere))


def _read(fact: Fact, user: int) -> Notice | None:
    if not user:
        return None
    match codec.decode_body(fact.body):
        case Mentioned(stream, seq, author):
            return Notice(user, NoticeKind.MENTION, author, 0, stream, seq)
        case Invited(space, name, _, by):
            return Notice(user, NoticeKind.INVITATION, by, space, words=name)
        case ConflictNoted(conflict, stream, _, _, state, by):
            # One's own conflict that is claimed or decided changes what is shown; news is that there is one.
            return Notice(user, NoticeKind.CONFLICT, by, 0, stream, 0, conflict) if state is ConflictState.PENDING else None
        case Noticed(kind, actor, space, stream, seq, subject, words):
            return Notice(user, kind, actor, space, stream, seq, subject, words)
        case _:
            return None
