"""Emptying messages in place: their numbers stay, their texts go, and whoever holds a copy is told.

    a window of a stream ─▶ messages and edits become tombstones, earlier texts are deleted ─▶ Cleared(author, upto), the last call

What clients fold and what a fresh reader folds is the same afterwards (tests/client/test_fold.py). What an author is called where they came
in is emptied with it.

Invariant: after `clear` no row up to `upto` holds a text of the author's, in the log or among earlier versions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg
from msgspec.structs import replace

from actors.storage import Fact
from persistence.append import append_events, event, kind_of
from protocol.codec import TOMBSTONE, decode_body, encode
from protocol.events import (
    Cleared,
    Edited,
    Invited,
    Joined,
    MentorshipNoted,
    MentorshipSaidOver,
    Noticed,
    Posted,
    Redacted,
    Renamed,
    Said,
    SpaceEntered,
)

WINDOW: Final = 5_000
"""Numbers looked at in one transaction: some 30 ms for which the stream's rows, not its counter, are locked."""
ERASED_NAME: Final = "erased"
"""What somebody is called whose name is gone."""
_TEXTS: Final = [kind_of(body) for body in (Said, Posted, Edited)]
_NAMES: Final = [kind_of(body) for body in (Joined, Renamed)]
_WORDED: Final = [kind_of(body) for body in (MentorshipNoted, MentorshipSaidOver)]
"""What somebody said of a mentorship, in the other's inbox too: it keeps what it tells, without their words."""

_NOTICED: Final = """
with gone as (
    delete from notices where (user_id, seq) in (select n.user_id, n.seq from notices n where n.space_id = any($1) limit $2)
    returning user_id, seq
)
select a.inbox, g.seq, l.body from gone g join accounts a on a.id = g.user_id
left join log l on l.stream_id = a.inbox and l.seq = g.seq"""

_NEXT_GUEST: Final = """
select min(u) from (
    select min(l.author) as u from streams s join log l on l.stream_id = s.id and l.kind = $3 and l.author > $2
    where s.space_id = $1 and s.kind = 2
    union all select created_by from spaces where id = $1 and created_by > $2
    union all select min(user_id) from told_outside where space_id = $1 and user_id > $2
) g"""
_TOLD: Final = """
select a.inbox, l.seq, l.body from accounts a join log l on l.stream_id = a.inbox and l.kind = any($2) where a.id = $1"""

_CLEAR: Final = """
with gone as (
    update log l set body = $5, kind = $6
    where l.stream_id = $1 and l.seq > $2 and l.seq <= $3 and l.kind = any($7) and ($4::bigint = 0 or l.author = $4) returning l.seq
),
forgotten as (
    delete from message_versions v using gone g where v.stream_id = $1 and v.seq = g.seq
)
select count(*)::int from gone"""


async def clear(tx: asyncpg.Connection, stream: int, author: int, after: int, upto: int) -> tuple[int, list[Fact]]:
    """Empties what `author` (0: everybody) wrote in (after, upto]; how many rows, and the facts to be told once this is committed."""
    cleared: int = await tx.fetchval(_CLEAR, stream, after, upto, author, TOMBSTONE, kind_of(Redacted), _TEXTS)
    named = await _clear_names(tx, stream, author, after, upto) if author else 0
    facts = await append_events(tx, [event(stream, 0, Cleared(author, upto))]) if cleared else []
    return cleared + named, facts


async def _clear_names(tx: asyncpg.Connection, stream: int, user: int, after: int, upto: int) -> int:
    rows = await tx.fetch(
        "select seq, body, author from log where stream_id = $1 and seq > $2 and seq <= $3 and kind = any($4)",
        stream,
        after,
        upto,
        [*_NAMES, *_WORDED],
    )
    emptied: list[tuple[int, bytes]] = []
    for seq, raw, author in rows:
        body = decode_body(raw)
        if isinstance(body, Joined | Renamed) and body.user == user and body.display_name != ERASED_NAME:
            emptied.append((seq, encode(replace(body, display_name=ERASED_NAME))))
        elif isinstance(body, MentorshipNoted | MentorshipSaidOver) and author == user and body.words:
            emptied.append((seq, encode(replace(body, words=""))))
    if emptied:
        await tx.execute(
            "update log l set body = e.body from unnest($2::bigint[], $3::bytea[]) as e (seq, body)"
            " where l.stream_id = $1 and l.seq = e.seq",
            stream,
            [seq for seq, _ in emptied],
            [body for _, body in emptied],
        )
    return len(emptied)


async def clear_notices(tx: asyncpg.Connection, spaces: Sequence[int], rows_max: int) -> int:
    """Empties what the inboxes of people who never came in call these spaces, by the notices of it; how many of these there were."""
    rows = await tx.fetch(_NOTICED, list(spaces), rows_max)
    await _rename_places(tx, rows, frozenset(spaces))
    return len(rows)


async def clear_inbox_of_next(tx: asyncpg.Connection, space: int, after: int) -> tuple[int | None, int]:
    """Empties what the inbox of the next person who ever was in a community, or was told of it long ago, calls it and what is in it: who
    that is (None: nobody beyond `after`), and how many events. Its streams are still there."""
    user: int | None = await tx.fetchval(_NEXT_GUEST, space, after, kind_of(Joined))
    if user is None:
        return None, 0
    rows = await tx.fetch(_TOLD, user, [kind_of(body) for body in (Invited, Noticed, SpaceEntered)])
    return user, await _rename_places(tx, rows, frozenset({space}))


async def _rename_places(tx: asyncpg.Connection, rows: Sequence[asyncpg.Record], spaces: frozenset[int]) -> int:
    emptied = []
    for row in rows:
        body = None if row["body"] is None else decode_body(row["body"])
        if not isinstance(body, Invited | Noticed | SpaceEntered) or body.space not in spaces:
            continue
        emptied.append((row["inbox"], row["seq"], encode(_without_words(body))))
    if emptied:
        await tx.execute(
            "update log l set body = e.body from unnest($1::bigint[], $2::bigint[], $3::bytea[]) as e (stream_id, seq, body)"
            " where l.stream_id = e.stream_id and l.seq = e.seq",
            *(list(column) for column in zip(*emptied, strict=True)),
        )
    return len(emptied)


def _without_words(body: Invited | Noticed | SpaceEntered) -> Invited | Noticed | SpaceEntered:
    match body:
        case Invited():
            return replace(body, name=ERASED_NAME)
        case Noticed():
            return replace(body, words="")
        case SpaceEntered():
            return replace(body, name=ERASED_NAME, streams=tuple(replace(stream, name="") for stream in body.streams))


async def next_stream_of(tx: asyncpg.Connection, author: int, after: int) -> int | None:
    """The next stream, by number, in which an account wrote or joined; None: there is none beyond `after`. One pass over the log in all."""
    stream: int | None = await tx.fetchval(
        "select l.stream_id from log l where l.stream_id > $2 and l.author = $1 and l.kind = any($3) order by l.stream_id limit 1",
        author,
        after,
        [*_TEXTS, *_NAMES, *_WORDED],
    )
    return stream
