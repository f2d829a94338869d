"""How else a person hears of their notices: decided once, in the transaction that ends the job which asked.

    job `notice.decide` ─▶ which devices? ─▶ are they online? (asked of the gateways) ─▶ decide (pure) ─▶ jobs push.send, notice.mail
                                                                                             ╰─▶ later: again, when quiet is over
    cron `notice.digests` ─▶ whose digest is due ─▶ notice.mail          cron `notice.remind` ─▶ what is due ─▶ notify

Invariant: a notice leaves `due` in the transaction that orders its push and its mail, so neither is ordered twice, whatever is killed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import asyncpg
from msgspec import Meta, Struct

from actors.jobs import Order, pack
from actors.notices import ALWAYS, UNMAILED_ALL, UNMAILED_DIGEST, Notice, NoticeKind, Reach, Verdict, Waiting, decide
from actors.push import PUSH_SEND, SEQS_MAX, Push
from actors.quiet import next_digest
from persistence.jobs.enqueue import enqueue
from persistence.notice_reach import Reachable, read_reachable
from persistence.notice_rows import decide_later, decide_order
from persistence.notices import notify

NOTICE_MAIL: Final = "notice.mail"
LOOK_AGAIN_S: Final = 90.0
"""From a notice to the second look at whose devices seemed to be online: 45 s of silence, 20 s for the answer to a ping, and some."""
WAITING_MAX: Final = 200
PUSH_S: Final = 24 * 3600
DIGEST_MAX: Final = 100
PEOPLE_A_CALL: Final = 100
STALE_S: Final = 7 * 24 * 3600
"""A push or a mail of something older says nothing any more: it is left to the inbox."""

_DEVICES: Final = """
select distinct p.device_id from push_subscriptions p where p.user_id = $1 and exists (
    select from sessions s where s.device_id = p.device_id and s.revoked_at is null and s.expires_at > now()
)"""
READ: Final = """n.read_at is not null or n.seq <= coalesce((
        select r.seq from read_markers r where r.user_id = n.user_id and r.stream_id = a.inbox limit 1), 0)
    or (n.stream_id <> 0 and n.at_seq <> 0 and n.at_seq <= coalesce((
        select r.seq from read_markers r where r.user_id = n.user_id and r.stream_id = n.stream_id limit 1), 0))"""
_WAITING: Final = f"""
select n.seq, n.kind, n.space_id, n.stream_id, extract(epoch from n.at)::float8 as at, {READ} as read
from notices n join accounts a on a.id = n.user_id
where n.user_id = $1 and n.due order by n.kind <> all($2), n.seq limit {WAITING_MAX} for update of n"""
_SETTLE: Final = "update notices set due = false, digest = seq = any($3) where user_id = $1 and seq = any($2)"
_DIGESTS: Final = f"""
select user_id from notice_settings where digest_due <= to_timestamp($1) order by digest_due limit {PEOPLE_A_CALL} for update skip locked"""
_GATHERED: Final = f"""
select n.user_id, n.seq, {READ} as read from notices n join accounts a on a.id = n.user_id
where n.user_id = any($1) and n.digest order by n.user_id, n.seq for update of n"""
_REMIND: Final = f"""
delete from reminders where id in (
    select id from reminders where at <= to_timestamp($1) order by at, id limit {PEOPLE_A_CALL} for update skip locked
) returning user_id, stream_id, seq, words"""


class NoticeMail(Struct, frozen=True):
    """Asks for one mail about these notices of `user`, ascending; what they have read by then is left out. `digest`: they asked for one."""

    user: Annotated[int, Meta(ge=1)]
    seqs: Annotated[tuple[int, ...], Meta(min_length=1, max_length=DIGEST_MAX)]
    digest: bool = False


async def devices_of(tx: asyncpg.Connection, user: int) -> list[int]:
    """The devices of a person that are pushed to, those with a living session."""
    return [row["device_id"] for row in await tx.fetch(_DEVICES, user)]


async def decide_for(tx: asyncpg.Connection, user: int, online: frozenset[int], now: float) -> Verdict | None:
    """Decides about everything that is due for `user` and orders what follows; None where there was nothing. `online`: devices that have a
    socket somewhere."""
    # What waits for nothing is looked at before what may wait, however much of that there is.
    rows = sorted(await tx.fetch(_WAITING, user, [int(kind) for kind in ALWAYS]))
    if not rows:
        return None
    person = (await read_reachable(tx, [user])).get(user)
    if person is None:
        await tx.execute(_SETTLE, user, [row["seq"] for row in rows], [])
        return None
    waiting = [Waiting(seq, NoticeKind(kind), space, stream, at, read or at < now - STALE_S) for seq, kind, space, stream, at, read in rows]
    verdict = decide(waiting, reach_of(person, online, now), now, LOOK_AGAIN_S)
    if verdict.settled:
        await tx.execute(_SETTLE, user, list(verdict.settled), list(verdict.digest))
    orders = [
        Order(PUSH_SEND, pack(Push(subscription, user, tuple(seqs[-SEQS_MAX:]), int(now) + PUSH_S)), deadline_s=PUSH_S)
        for subscription, seqs in verdict.push.items()
    ]
    # What concerns somebody's security has a mail of its own, whose subject says so.
    urgent = [notice.seq for notice in waiting if notice.kind in ALWAYS]
    for seqs in ([seq for seq in verdict.mail if seq in urgent], [seq for seq in verdict.mail if seq not in urgent]):
        if seqs:
            orders.append(Order(NOTICE_MAIL, pack(NoticeMail(user, tuple(seqs[-DIGEST_MAX:])))))
    if verdict.again_at:
        orders.append(decide_later(user, verdict.again_at, now))
    elif len(rows) == WAITING_MAX:
        orders.append(decide_order(user))
    if orders:
        await enqueue(tx, *orders)
    return verdict


def reach_of(person: Reachable, online: frozenset[int], now: float) -> Reach:
    """How they can be reached now."""
    return Reach(
        person.rules,
        bool(person.address),
        person.digest != 0,
        [subscription for subscription, device in person.devices if device not in online],
        [subscription for subscription, device in person.devices if device in online],
        person.quiet_until(now),
        person.unmailed,
    )


async def gather_digests(tx: asyncpg.Connection, now: float) -> int:
    """Orders the digests that are due, of some people at a time; how many people there were. Each gets one mail, and none where nothing is
    left unread."""
    users = [row["user_id"] for row in await tx.fetch(_DIGESTS, now)]
    if not users:
        return 0
    people = await read_reachable(tx, users)
    gathered: dict[int, list[int]] = {}
    for user, seq, read in await tx.fetch(_GATHERED, users):
        if not read:
            gathered.setdefault(user, []).append(seq)
    await tx.execute("update notices set digest = false where user_id = any($1) and digest", users)
    orders = []
    for user in users:
        person = people.get(user)
        due = 0.0 if person is None else next_digest(now, person.zone, person.digest, person.digest_at, person.digest_day)
        await tx.execute("update notice_settings set digest_due = to_timestamp($2) where user_id = $1", user, due or None)
        if person is not None and person.address and user in gathered and not person.unmailed & {UNMAILED_ALL, UNMAILED_DIGEST}:
            orders.append(Order(NOTICE_MAIL, pack(NoticeMail(user, tuple(gathered[user][-DIGEST_MAX:]), True))))
    if orders:
        await enqueue(tx, *orders)
    return len(users)


async def tell_reminders(tx: asyncpg.Connection, now: float) -> int:
    """Tells what people wanted to be reminded of by now, some at a time; how many there were."""
    rows: Sequence[asyncpg.Record] = await tx.fetch(_REMIND, now)
    await notify(tx, *(Notice(user, NoticeKind.REMINDER, stream=stream, seq=seq, words=words) for user, stream, seq, words in rows))
    return len(rows)
