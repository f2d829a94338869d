"""What a mail or a push says, read when it is sent: the notices that are still unread, with names in place of numbers.

    (user, numbers) ─▶ News: address, language, lines        Push ─▶ PushNews: the subscription, the newest line, how many

What was read meanwhile, on whatever device, is left out, and so is what the person may not see any more; nobody who was suspended or
logged out there gets anything.

Invariant: a text of a message is read only where its reader allows previews and may read the stream now.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg
from msgspec import Struct

from actors.notices import NoticeKind
from actors.push import Push, Subscription, SubscriptionSeals
from persistence.notice_delivery import READ
from persistence.notice_reach import read_reachable
from persistence.push_subscriptions import read_subscription
from protocol import codec
from protocol.events import Posted, Said

PREVIEW_CHARS_MAX: Final = 120
REFUSAL_STATUS_MAX: Final = 40

_LINES: Final = f"""
select n.seq, n.kind, coalesce(b.display_name, '') as actor, coalesce(p.name, '') as place, n.words, n.stream_id, n.at_seq
from notices n join accounts a on a.id = n.user_id
left join accounts b on b.id = n.actor and n.actor <> 0
left join streams s on s.id = n.stream_id and n.stream_id <> 0
left join spaces p on p.id = coalesce(nullif(n.space_id, 0), s.space_id)
left join lateral (select m.role from members m where m.space_id = s.space_id and m.user_id = n.user_id limit 1) m on true
where n.user_id = $1 and n.seq = any($2) and not ({READ}) and (s.id is null or m.role & s.read_roles <> 0)
order by n.seq"""
_SUBSCRIPTION: Final = """
select p.service, p.address, p.p256dh, p.auth, p.sealed, p.sealed_by from push_subscriptions p
where p.id = $1 and p.user_id = $2 and exists (
    select from sessions s where s.device_id = p.device_id and s.revoked_at is null and s.expires_at > now())"""
_REFUSE: Final = """
insert into mail_refusals (address, status) values ($1, $2) on conflict (address) do update set at = now(), status = excluded.status"""


class NewsLine(Struct, frozen=True):
    """One notice, as people read it."""

    notice: int
    kind: NoticeKind
    actor: str
    place: str
    words: str
    stream: int
    seq: int


class Recipient(Struct, frozen=True):
    """To whom a mail goes. `address`: "" where none may be sent."""

    user: int
    name: str
    address: str
    language: str

    def __repr__(self) -> str:
        return f"Recipient(user={self.user})"


class News(Struct, frozen=True):
    """What one mail says."""

    to: Recipient
    lines: Sequence[NewsLine]


class PushNews(Struct, frozen=True):
    """What one push says: of `lines` the last is shown. `preview`: the beginning of its message, where that is allowed."""

    to: Subscription | None
    language: str
    lines: Sequence[NewsLine]
    preview: str = ""


async def read_recipient(tx: asyncpg.Connection, user: int, address: str = "") -> Recipient | None:
    """Whom a mail is for; `address`: where it goes instead of the person's own. None: nobody, or an address that refuses mail."""
    if not user:
        return Recipient(0, "", "" if await _refuses(tx, address) else address, "")
    person = (await read_reachable(tx, [user])).get(user)
    if person is None:
        return None
    name: str = await tx.fetchval("select display_name from accounts where id = $1", user)
    if address and await _refuses(tx, address):
        return None
    return Recipient(user, name, address or person.address, person.language)


async def read_news(tx: asyncpg.Connection, user: int, seqs: Sequence[int]) -> News | None:
    """What of these notices is news; None where nothing is, or nobody can be written to."""
    to = await read_recipient(tx, user)
    if to is None or not to.address:
        return None
    lines = await _lines(tx, user, seqs)
    return News(to, lines) if lines else None


async def read_push(tx: asyncpg.Connection, push: Push, seals: SubscriptionSeals) -> PushNews | None:
    """What is to be pushed; None where nothing is unread, the subscription is over, or the session on its device. `PushNews.to` is None
    where the key that sealed it has left the key file."""
    row = await tx.fetchrow(_SUBSCRIPTION, push.subscription, push.user)
    person = (await read_reachable(tx, [push.user])).get(push.user)
    if row is None or person is None:
        return None
    lines = await _lines(tx, push.user, push.seqs)
    if not lines:
        return None
    last = lines[-1]
    preview = ""
    if person.previews and last.kind in (NoticeKind.MENTION, NoticeKind.REPLY):
        preview = await _preview(tx, last.stream, last.seq)
    return PushNews(read_subscription(row, push.user, seals), person.language, lines, preview)


async def refuse_address(tx: asyncpg.Connection, address: str, status: str) -> None:
    """No more mail to this address, until it is forgotten that it refused."""
    await tx.execute(_REFUSE, address, status[:REFUSAL_STATUS_MAX])


async def _refuses(tx: asyncpg.Connection, address: str) -> bool:
    found: bool = await tx.fetchval("select exists (select from mail_refusals where address = $1::citext)", address)
    return found


async def _lines(tx: asyncpg.Connection, user: int, seqs: Sequence[int]) -> list[NewsLine]:
    rows = await tx.fetch(_LINES, user, list(seqs))
    return [NewsLine(seq, NoticeKind(kind), actor, place, words, stream, at) for seq, kind, actor, place, words, stream, at in rows]


async def _preview(tx: asyncpg.Connection, stream: int, seq: int) -> str:
    body = await tx.fetchval("select body from log where stream_id = $1 and seq = $2", stream, seq)
    read = codec.decode_body(body) if body is not None else None
    return read.text[:PREVIEW_CHARS_MAX] if isinstance(read, Said | Posted) else ""


async def sweep_notices(tx: asyncpg.Connection, rows_max: int = 5000) -> int:
    """Deletes rows of notices after 90 days (the inbox keeps its events), and refusals of addresses after 180; how many, at most twice
    `rows_max`. Of people who are told of a community and not in it, it stays noted that they were: their inboxes say what it is called, and
    nothing else leads from it to them."""
    gone: int = await tx.fetchval(
        "with old as (delete from notices where (user_id, seq) in ("
        "select user_id, seq from notices where at < now() - interval '90 days' order by at limit $1) returning user_id, space_id),"
        " outside as (insert into told_outside (space_id, user_id) select distinct o.space_id, o.user_id from old o"
        " join spaces s on s.id = o.space_id where not exists ("
        "select from members m where m.space_id = o.space_id and m.user_id = o.user_id) on conflict do nothing),"
        " forgotten as (delete from mail_refusals where address in ("
        "select address from mail_refusals where at < now() - interval '180 days' order by at limit $1) returning 1)"
        " select (select count(*) from old) + (select count(*) from forgotten)",
        rows_max,
    )
    return gone
