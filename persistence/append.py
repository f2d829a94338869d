"""Events on their way into streams, for every writer that is not the hot path: operations, the outbox, accounts.

    transaction ─▶ … reads, locks, changes … ─▶ append_events, the last call ─▶ commit ─▶ Facts to the herald

Streams are locked only in that last call, in sorted order, so that a process that stops between two round trips never holds
the counter that a whole community needs.

Invariant: facts exist once the transaction has committed and not before; whoever appends hands them on only then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg
from msgspec import Struct

from actors.storage import CONTROL_STREAM, Entry, Fact
from persistence.audit import Deed
from protocol import codec
from protocol.codes import Code
from protocol.events import AuthorityChanged, Body, SessionRevoked

AUTHORITY_MOVED: Final = "ED001"
"""SQLSTATE of an append whose guards found another audience than the decision was made for: decide again."""
DETAIL_CHARS_MAX: Final = 400
_ARGUMENTS: Final = ", ".join(f"${at}" for at in range(1, 20))
_APPEND: Final = f"select seq, at, audience_version from append_events({_ARGUMENTS})"
_APPEND_CHANGING: Final = f"select seq, at, audience_version from append_changing($20, $21, $22, {_ARGUMENTS})"


class NewEvent(Struct, frozen=True):
    """An event without its number. `target`: the message an Edited, Deleted or Reacted is about, else 0."""

    stream: int
    author: int
    kind: int
    body: bytes
    target: int = 0


class ChannelChange(Struct, frozen=True):
    """A channel's new name and audience, written under the same locks as the events that tell of it."""

    stream: int
    name: str
    read_roles: int
    write_roles: int


class StreamChange(Struct, frozen=True):
    """Who may write in a stream from now on, or how seldom; None: as it is. Written under the same locks, too."""

    stream: int
    write_roles: int | None = None
    slow_s: int | None = None


class Effect(Struct, frozen=True):
    """What an operation does in its last call.

    `bump`: streams whose audience shrinks. `guards`: streams with the audience version that the decision was made for. The outcome's
    value is `value`, or the number of the event at `value_at` (from 1). `deeds` go into the audit log.
    """

    events: tuple[NewEvent, ...] = ()
    bump: tuple[int, ...] = ()
    guards: tuple[tuple[int, int], ...] = ()
    channel: ChannelChange | None = None
    changes: tuple[StreamChange, ...] = ()
    value: int = 0
    value_at: int = 0
    fills_outbox: bool = False
    deeds: tuple[Deed, ...] = ()


class Refuse(Struct, frozen=True):
    """An operation that is decided to have no effect. Returned before anything was changed."""

    code: Code
    detail: str = ""


def kind_of(body: Body | type[Body]) -> int:
    """The tag of an event body, as it is stored in the log."""
    tag = body.__struct_config__.tag
    assert isinstance(tag, int)
    return tag


def event(stream: int, author: int, body: Body, target: int = 0) -> NewEvent:
    """An event ready to be appended."""
    return NewEvent(stream, author, kind_of(body), codec.encode(body), target)


def authority_changed(space: int, user: int) -> NewEvent:
    """Tells every gateway to look again at what `user` (0: anybody) may do in `space`."""
    return event(CONTROL_STREAM, 0, AuthorityChanged(space, user))


def session_revoked(user: int, session: int) -> NewEvent:
    """Tells every gateway to close the sockets of `session` (0: all of `user`)."""
    return event(CONTROL_STREAM, 0, SessionRevoked(user, session))


async def append_events(tx: asyncpg.Connection, events: Sequence[NewEvent], bump: Sequence[int] = ()) -> list[Fact]:
    """Appends `events` in order and raises the audience version of `bump`; the transaction's last call. The server's own: no number."""
    facts, _ = await finish(tx, None, Effect(tuple(events), tuple(bump)))
    return facts


async def finish(tx: asyncpg.Connection, entry: Entry | None, verdict: Effect | Refuse) -> tuple[list[Fact], int]:
    """Appends what `verdict` says and records the outcome of `entry`, in one round trip. Returns the facts and the outcome's value."""
    effect = verdict if isinstance(verdict, Effect) else Effect()
    refusal = verdict if isinstance(verdict, Refuse) else Refuse(Code.OK)
    channel = effect.channel
    numbered = entry if entry is not None and entry.device else None
    changes = effect.changes
    rows = await tx.fetch(
        _APPEND_CHANGING if changes else _APPEND,
        [event.stream for event in effect.events],
        [event.author for event in effect.events],
        [event.kind for event in effect.events],
        [event.target for event in effect.events],
        [event.body for event in effect.events],
        effect.bump,
        [stream for stream, _ in effect.guards],
        [version for _, version in effect.guards],
        channel and channel.stream,
        channel and channel.name,
        channel and channel.read_roles,
        channel and channel.write_roles,
        numbered.device if numbered else 0,
        numbered.number if numbered else 0,
        numbered.digest if numbered else 0,
        refusal.code,
        effect.value,
        effect.value_at,
        storable(refusal.detail) or None,
        *(([c.stream for c in changes], [c.write_roles for c in changes], [c.slow_s for c in changes]) if changes else ()),
    )
    facts = [
        Fact(event.stream, seq, event.author, at, event.body, audience_version)
        for event, (seq, at, audience_version) in zip(effect.events, rows, strict=True)
    ]
    return facts, facts[effect.value_at - 1].seq if effect.value_at else effect.value


def storable(detail: str) -> str:
    """A detail as the database takes it: Postgres' text knows no NUL."""
    return detail.replace("\0", "�")[:DETAIL_CHARS_MAX]


async def recall(connection: asyncpg.Connection, places: Sequence[tuple[int, int]]) -> list[Fact]:
    """The facts at these (stream, number), ascending: what was committed by a transaction whose answer was lost."""
    rows = await connection.fetch(
        "select l.stream_id, l.seq, l.author, l.at, l.body, s.audience_version"
        " from unnest($1::bigint[], $2::bigint[]) as p (stream, seq)"
        " join log l on l.stream_id = p.stream and l.seq = p.seq join streams s on s.id = l.stream_id order by l.stream_id, l.seq",
        [stream for stream, _ in places],
        [seq for _, seq in places],
    )
    return [Fact(*row) for row in rows]


async def recall_heads(connection: asyncpg.Connection, streams: Sequence[int]) -> list[Fact]:
    """The last fact of each stream: whoever hears of it fetches what they miss before it."""
    rows = await connection.fetch(
        "select l.stream_id, l.seq, l.author, l.at, l.body, s.audience_version"
        " from streams s join log l on l.stream_id = s.id and l.seq = s.head where s.id = any($1) order by s.id",
        streams,
    )
    return [Fact(*row) for row in rows]
