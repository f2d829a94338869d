"""What was said and is to be judged: claimed, so that one gateway looks at it, and read out of events.

    claim(streams) ─▶ Claimed(stream, from, to, what was said in between)     a lease: who is too slow, or killed, has lost it
    claim_held() ───▶ what waits to be judged before anybody reads it

Invariant: of one stream, one claim is valid at a time; a cursor moves only by whoever holds it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Final

import asyncpg
import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from actors.inference import TEXT_MAX, About
from actors.moderation import Context, Policy, read_policy
from actors.trust_gates import has_link
from persistence.moderation.words import text_to_judge
from protocol import codec
from protocol.entities import TABLE, BadFields, Entity, read_fields
from protocol.events import (
    Changed,
    ChannelChanged,
    ChannelOpened,
    CommunityFounded,
    Edited,
    Joined,
    Posted,
    RecordItem,
    Renamed,
    Said,
    SettingsChanged,
)
from protocol.values import HeldForm, HeldState, SpaceKind, StreamKind

log = structlog.get_logger("moderation")

LEASE_S: Final = 10.0
"""At the least; whoever claims derives theirs from how long a turn may take."""
EVENTS_MAX: Final = 16
"""Of one stream, in one claim: reading them takes a millisecond of everybody's time."""
JUDGED_KINDS: Final = (
    StreamKind.COMMUNITY,
    StreamKind.CHANNEL,
    StreamKind.CONVERSATION,
    StreamKind.OWN,
    StreamKind.BOARD,
    StreamKind.LIBRARY,
    StreamKind.MENTORSHIP,
)
"""Streams in which people write for others. Answers, progress and what is only drafted are looked at by no model."""
OWN_JUDGED: Final = frozenset({Entity.PROFILE, Entity.MENTORING})
"""Of what is in one's own stream, what others are shown. The rest is nobody's business."""

_ABOUT: Final = {HeldForm.RECORD: About.CONTENT, HeldForm.NAME: About.NAME}
_CLAIM: Final = "select * from claim_moderation($1, $2, $3, $4)"
_CLAIM_HELD: Final = "select * from claim_held($1, $2)"
_SET_ASIDE: Final = "update held set state = $2, degraded = $3, told = true where id = $1 and state = $4"
_ADVANCE: Final = (
    "update moderation_cursors c set upto = greatest(c.upto, q.upto), claimed_until = '-infinity'"
    " from unnest($1::bigint[], $2::bigint[]) as q (stream, upto)"
    " where c.stream_id = q.stream and c.stream_id = any($1) and c.claimed_by = $3 returning c.stream_id"
)
_BEHIND: Final = (
    "select q.id, q.kind = any($3) and q.head > coalesce(c.upto, 0) and coalesce(c.claimed_until, '-infinity') < now()"
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
    at_s: float = 0.0
    """When it was said, in Unix seconds."""
    names_from: int = TEXT_MAX
    """Where in `text` words of the names of its files begin: they are judged with it, and cannot be covered."""
    fault: str = ""
    """Why nobody but a person can judge it: it cannot be read, or judging it raised."""


class Claimed(Struct, frozen=True):
    """A stream's part: `claim` is the right to it, 0 where nothing is judged in such a stream; `upto` how far it reaches; `more`: there is
    more behind it."""

    claim: int
    stream: int
    upto: int
    more: bool
    spoken: tuple[Spoken, ...]


async def claim(connection: asyncpg.Connection, streams: Sequence[int], lease_s: float = LEASE_S) -> list[Claimed]:
    """Claims of these streams those that nobody else is at. One statement, outside any transaction."""
    rows = await connection.fetch(_CLAIM, list(streams), JUDGED_KINDS, lease_s, EVENTS_MAX)
    claimed: dict[int, list[asyncpg.Record]] = {}
    for row in rows:
        claimed.setdefault(row["stream"], []).append(row)
    return [_part(stream, found) for stream, found in claimed.items()]


async def claim_held(connection: asyncpg.Connection, limit: int, lease_s: float = LEASE_S) -> list[Spoken]:
    """Claims what waits to be judged before it is delivered, oldest first."""
    rows = await connection.fetch(_CLAIM_HELD, limit, lease_s)
    return [_waiting(row) for row in rows]


async def set_aside(tx: asyncpg.Connection, held: int, why: str) -> None:
    """What is checked first and can neither be released nor kept in the usual way waits for a person, undelivered, and stands in nobody's
    way."""
    await tx.execute(_SET_ASIDE, held, HeldState.WAITING, why[:200], HeldState.CHECKING)


async def advance(connection: asyncpg.Connection, claim: int, parts: Sequence[tuple[int, int]]) -> set[int]:
    """Moves the cursors of these (stream, up to) and gives them back. Those whose claim is still valid; of the others nothing is moved."""
    rows = await connection.fetch(_ADVANCE, [stream for stream, _ in parts], [upto for _, upto in parts], claim)
    return {row["stream_id"] for row in rows}


async def find_behind(connection: asyncpg.Connection, after: int, limit: int) -> tuple[list[int], int]:
    """Streams, of the next `limit` by their numbers, in which something was said that nobody looked at; and the last that was looked
    through, 0 at the end."""
    rows = await connection.fetch(_BEHIND, after, limit, JUDGED_KINDS)
    last = rows[-1]["id"] if len(rows) >= limit else 0
    return [row["id"] for row in rows if row["behind"]], last


def _part(stream: int, rows: Sequence[asyncpg.Record]) -> Claimed:
    more = len(rows) >= EVENTS_MAX
    upto = rows[-1]["seq"] if more else rows[0]["head"]
    spoken = tuple(one for row in rows if row["seq"] is not None and row["author"] for one in _legible(row))
    return Claimed(rows[0]["claim"], stream, upto, more, spoken)


def _legible(row: asyncpg.Record) -> tuple[Spoken, ...]:
    """What an event says; nothing where it cannot be read: then no client shows it either, and what was said beside it is judged."""
    try:
        return tuple(_read(row))
    except (codec.BadFrame, msgspec.MsgspecError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        log.error("spoken_unread", stream=row["stream"], seq=row["seq"], error=type(error).__name__)
        return ()


def _policy(row: asyncpg.Record) -> Policy:
    """A community's; one that cannot be read is as usual: it costs nobody else their turn."""
    try:
        return read_policy(row["levels"], row["mask"])
    except ValueError:
        _say_unread_policy(row["space"])
        return Policy(mask=row["mask"])


@functools.lru_cache(maxsize=1024)
def _say_unread_policy(space: int) -> None:
    """Once each: it is read with everything that is said there."""
    log.error("policy_unread", space=space)


def _read(row: asyncpg.Record) -> Iterator[Spoken]:
    body = codec.decode_body(row["body"])
    match body:
        case Said() | Posted():
            said = bytes(row["body"])
            text, own = text_to_judge(HeldForm.MESSAGE, said)
            yield replace(_spoken(row, HeldForm.MESSAGE, About.MESSAGE, text, said, target=row["seq"]), names_from=own)
        case Edited(target=target, text=text):
            yield _spoken(row, HeldForm.EDIT, About.MESSAGE, text, codec.encode(Said(text)), target=target)
        case Changed(records=records):
            for item in records:
                if not item.gone and (row["stream_kind"] != StreamKind.OWN or item.entity in OWN_JUDGED):
                    yield from _read_record(row, item)
        case CommunityFounded(name=name) | ChannelOpened(name=name) | ChannelChanged(name=name) | SettingsChanged(name=name):
            yield _spoken(row, HeldForm.NAME, About.NAME, name, name.encode())
        case Renamed(user=user, display_name=name) | Joined(user=user, display_name=name):
            named = _spoken(row, HeldForm.NAME, About.NAME, name, name.encode(), target=user)
            # Who opens a conversation brings others into it: their names are theirs.
            yield named if user == row["author"] else replace(named, author=user, context=Context(About.NAME))
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
        _policy(row),
        target,
        entity,
        key,
        at_s=float(row["at"]),
    )


def _waiting(row: asyncpg.Record) -> Spoken:
    body, form = bytes(row["body"] or b""), HeldForm(row["form"])
    text, own = text_to_judge(form, body)
    return Spoken(
        row["stream"],
        0,
        row["author"],
        form,
        text[:TEXT_MAX],
        body,
        row["space"],
        SpaceKind(row["space_kind"]),
        _context(row, _ABOUT.get(form, About.MESSAGE), text),
        _policy(row),
        row["target"],
        row["entity"],
        row["key"],
        held=row["id"],
        attempts=row["attempts"],
        at_s=float(row["at"]),
        names_from=own,
        # Never judged as if nothing had been said.
        fault="" if text else "what was said cannot be read",
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
