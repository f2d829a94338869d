"""Emptying messages in place: their numbers stay, their texts go, and whoever holds a copy is told.

    a window of a stream ─▶ messages and edits become tombstones, earlier texts are deleted ─▶ Cleared(author, upto), the last call

What clients fold and what a fresh reader folds is the same afterwards (tests/client/test_fold.py). What an author is called where they came
in is emptied with it.

Invariant: after `clear` no row up to `upto` holds a text of the author's, in the log or among earlier versions.
"""

from __future__ import annotations

from typing import Final

import asyncpg
from msgspec.structs import replace

from actors.storage import Fact
from persistence.append import append_events, event, kind_of
from protocol.codec import TOMBSTONE, decode_body, encode
from protocol.events import Cleared, Edited, Joined, Posted, Redacted, Renamed, Said

WINDOW: Final = 5_000
"""Numbers looked at in one transaction: some 30 ms for which the stream's rows, not its counter, are locked."""
ERASED_NAME: Final = "erased"
"""What somebody is called whose name is gone."""
_TEXTS: Final = [kind_of(body) for body in (Said, Posted, Edited)]
_NAMES: Final = [kind_of(body) for body in (Joined, Renamed)]

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
        "select seq, body from log where stream_id = $1 and seq > $2 and seq <= $3 and kind = any($4)", stream, after, upto, _NAMES
    )
    emptied: list[tuple[int, bytes]] = []
    for seq, raw in rows:
        body = decode_body(raw)
        if isinstance(body, Joined | Renamed) and body.user == user and body.display_name != ERASED_NAME:
            emptied.append((seq, encode(replace(body, display_name=ERASED_NAME))))
    if emptied:
        await tx.execute(
            "update log l set body = e.body from unnest($2::bigint[], $3::bytea[]) as e (seq, body)"
            " where l.stream_id = $1 and l.seq = e.seq",
            stream,
            [seq for seq, _ in emptied],
            [body for _, body in emptied],
        )
    return len(emptied)


async def next_stream_of(tx: asyncpg.Connection, author: int, after: int) -> int | None:
    """The next stream, by number, in which an account wrote or joined; None: there is none beyond `after`. One pass over the log in all."""
    stream: int | None = await tx.fetchval(
        "select l.stream_id from log l where l.stream_id > $2 and l.author = $1 and l.kind = any($3) order by l.stream_id limit 1",
        author,
        after,
        [*_TEXTS, *_NAMES],
    )
    return stream
