"""What was said and is to be judged: claimed, so that one gateway looks at it, and read out of events.

    claim(streams) ─▶ Claimed(stream, from, to, what was said in between)     a lease: who is too slow, or killed, has lost it
    claim_held() ───▶ what waits to be judged before anybody reads it

Invariant: of one stream, one claim is valid at a time; a cursor moves only by whoever holds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import asyncpg
import msgspec
from msgspec import Struct

from actors.inference import TEXT_MAX, About
from actors.moderation import Context, Policy, read_policy
from actors.trust_gates import has_link
from protocol import codec
from protocol.entities import TABLE, BadFields, Entity, read_fields
from protocol.events import (
    Changed,
    ChannelChanged,
    ChannelOpened,
    CommunityFounded,
    Edited,
    Posted,
    RecordItem,
    Renamed,
    Said,
    SettingsChanged,
)
from protocol.values import HeldForm, SpaceKind, StreamKind

LEASE_S: Final = 10.0
EVENTS_MAX: Final = 16
"""Of one stream, in one claim: reading them takes a millisecond of everybody's time."""
OWN_JUDGED: Final = frozenset({Entity.PROFILE})
"""Of what is in one's own stream, what others are shown. The rest is nobody's business."""

_CLAIM: Final = "select * from claim_moderation($1, $2, $3)"
_CLAIM_HELD: Final = "select * from claim_held($1, $2)"
_ADVANCE: Final = (
    "update moderation_cursors c set upto = greatest(c.upto, q.upto), claimed_until = '-infinity'"
    " from unnest($1::bigint[], $2::bigint[]) as q (stream, upto)"
    " where c.stream_id = q.stream and c.stream_id = any($1) and c.claimed_by = $3 returning c.stream_id"
)
_BEHIND: Final = (
    "select q.id, q.kind in (2, 3, 4, 8, 11, 12) and q.head > coalesce(c.upto, 0) and coalesce(c.claimed_until, '-infinity') < now()"
    " as behind from (select s.id, s.head, s.kind from streams s where s.id > $1 order by s.id limit $2) q"
    " left join moderation_cursors c on c.stream_id = q.id order by q.id"
)


class Spoken(Struct, frozen=True):
    """One thing to be judged. `seq`: the event it came with, 0 if it is held back; `target`: the message it is about; `body`: what brings
    it back: an event's body, a record's fields, a name. `held`: the row that holds it, 0: none yet."""

    stream: int
    seq: int
    author: int
    form: HeldForm
    text: str
    body: bytes
    space: int
    space_kind: SpaceKind
    context: Context
    policy: Policy
    target: int = 0
    entity: int = 0
    key: int = 0
    held: int = 0
    attempts: int = 0


class Claimed(Struct, frozen=True):
    """A stream's part: `claim` is the right to it, `upto` how far it reaches; `more`: there is more behind it."""

    claim: int
    stream: int
    upto: int
    more: bool
    spoken: tuple[Spoken, ...]


async def claim(connection: asyncpg.Connection, streams: Sequence[int], lease_s: float = LEASE_S) -> list[Claimed]:
    """Claims of these streams those that nobody else is at. One statement, outside any transaction."""
    rows = await connection.fetch(_CLAIM, list(streams), lease_s, EVENTS_MAX)
    claimed: dict[int, list[asyncpg.Record]] = {}
    for row in rows:
        claimed.setdefault(row["stream"], []).append(row)
    return [_part(stream, found) for stream, found in claimed.items()]


async def claim_held(connection: asyncpg.Connection, limit: int, lease_s: float = LEASE_S) -> list[Spoken]:
    """Claims what waits to be judged before it is delivered, oldest first."""
    rows = await connection.fetch(_CLAIM_HELD, limit, lease_s)
    return [_waiting(row) for row in rows]


async def advance(connection: asyncpg.Connection, claim: int, parts: Sequence[tuple[int, int]]) -> set[int]:
    """Moves the cursors of these (stream, up to) and gives them back. Those whose claim is still valid; of the others nothing is moved."""
    rows = await connection.fetch(_ADVANCE, [stream for stream, _ in parts], [upto for _, upto in parts], claim)
    return {row["stream_id"] for row in rows}


async def find_behind(connection: asyncpg.Connection, after: int, limit: int) -> tuple[list[int], int]:
    """Streams, of the next `limit` by their numbers, in which something was said that nobody looked at; and the last that was looked
    through, 0 at the end."""
    rows = await connection.fetch(_BEHIND, after, limit)
    last = rows[-1]["id"] if len(rows) >= limit else 0
    return [row["id"] for row in rows if row["behind"]], last


def _part(stream: int, rows: Sequence[asyncpg.Record]) -> Claimed:
    more = len(rows) >= EVENTS_MAX
    upto = rows[-1]["seq"] if more else rows[0]["head"]
    spoken = tuple(one for row in rows if row["seq"] is not None and row["author"] for one in _read(row))
    return Claimed(rows[0]["claim"], stream, upto, more, spoken)


def _read(row: asyncpg.Record) -> Iterator[Spoken]:
    body = codec.decode_body(row["body"])
    match body:
        case Said(text=text) | Posted(text=text):
            yield _spoken(row, HeldForm.MESSAGE, About.MESSAGE, text, bytes(row["body"]), target=row["seq"])
        case Edited(target=target, text=text):
            yield _spoken(row, HeldForm.EDIT, About.MESSAGE, text, codec.encode(Said(text)), target=target)
        case Changed(records=records):
            for item in records:
                if not item.gone and (row["stream_kind"] != StreamKind.OWN or item.entity in OWN_JUDGED):
                    yield from _read_record(row, item)
        case CommunityFounded(name=name) | ChannelOpened(name=name) | ChannelChanged(name=name) | SettingsChanged(name=name):
            yield _spoken(row, HeldForm.NAME, About.NAME, name, name.encode())
        case Renamed(display_name=name):
            yield _spoken(row, HeldForm.NAME, About.NAME, name, name.encode(), target=body.user)
        case _:
            pass


def _read_record(row: asyncpg.Record, item: RecordItem) -> Iterator[Spoken]:
    try:
        fields = read_fields(item.fields)
    except BadFields:
        return
    words = [value for value in fields.values() if isinstance(value, str)]
    words += [word for value in fields.values() if isinstance(value, (tuple, list)) for word in value if isinstance(word, str)]
    text = "\n".join(filter(None, words))
    if text and item.entity in TABLE:
        about = About.PROFILE if row["stream_kind"] == StreamKind.OWN else About.CONTENT
        yield _spoken(row, HeldForm.RECORD, about, text, bytes(item.fields), entity=item.entity, key=item.key)


def _spoken(
    row: asyncpg.Record, form: HeldForm, about: About, text: str, body: bytes, *, target: int = 0, entity: int = 0, key: int = 0
) -> Spoken:
    return Spoken(
        row["stream"],
        row["seq"],
        row["author"],
        form,
        text[:TEXT_MAX],
        body,
        row["space"],
        SpaceKind(row["space_kind"]),
        _context(row, about, text),
        read_policy(row["levels"], row["mask"]),
        target,
        entity,
        key,
    )


def _waiting(row: asyncpg.Record) -> Spoken:
    body = bytes(row["body"] or b"")
    try:
        said = codec.decode_body(body)
    except (codec.BadFrame, msgspec.MsgspecError):
        said = None
    text = said.text if isinstance(said, (Said, Posted)) else ""
    return Spoken(
        row["stream"],
        0,
        row["author"],
        HeldForm(row["form"]),
        text[:TEXT_MAX],
        body,
        row["space"],
        SpaceKind(row["space_kind"]),
        _context(row, About.MESSAGE, text),
        read_policy(row["levels"], row["mask"]),
        row["target"],
        held=row["id"],
        attempts=row["attempts"],
    )


def _context(row: asyncpg.Record, about: About, text: str) -> Context:
    return Context(
        about,
        # A service is trusted as far as whoever made it; nobody is new by it.
        row["trust"] if row["trust"] is not None and row["standing"] else 0.3,
        row["role"] or 0,
        row["joined_s"] if row["joined_s"] is not None else 10**9,
        private=row["space_kind"] == SpaceKind.CONVERSATION,
        link=about is About.MESSAGE and has_link(text),
    )
