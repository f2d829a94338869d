"""Post with files: the uploads become part of one message, in the transaction that appends it.

    the uploads, locked ─ one's own? READY? room in the space? ─▶ Posted with what they are ─▶ journal_append ─▶ they name their message
                              ╰─ no ─▶ a refusal, under the same number

Everything else about the message (membership, role, slow mode, what is checked first) is decided where all messages are.

Invariant: an upload goes with at most one message; which bytes a message names is what the server found, never what a client said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg
from msgspec import Struct
from msgspec.structs import replace

from actors.storage import Decided, Entry, Fact, Refusal
from actors.uploads import State
from persistence.operations.hot import Columns
from persistence.uploads.rules import UploadRules
from protocol.codes import Code
from protocol.events import Attachment
from protocol.operations import Post

_TAKE: Final = (
    "select id, sha256, media_type, bytes, width, height, placeholder, name from uploads"
    " where id = any($1) and user_id = $2 and state = $3 and stream_id = 0 and expires_at > now() order by id for update"
)
_SPACE: Final = "select space_id from streams where id = $1"
_TAKEN: Final = "select coalesce(sum(bytes), 0)::bigint from uploads where space_id = $1"


class Attached(Struct, frozen=True):
    """What became of a message with files."""

    decided: Decided
    facts: tuple[Fact, ...]
    fills_outbox: bool


async def post(tx: asyncpg.Connection, entry: Entry, operation: Post, space_bytes_max: int = UploadRules().space_bytes_max) -> Attached:
    """Carries out a `Post` with files, its number included."""
    found = await _take(tx, entry.user, operation, space_bytes_max)
    files = () if isinstance(found, Refusal) else found
    columns = Columns([entry if not isinstance(found, Refusal) else replace(entry, operation=found)], files)
    rows = await columns.append(tx)
    (decided,), facts = columns.read(rows)
    if files and decided.code is Code.OK and not decided.replayed:
        await tx.execute(
            "update uploads u set state = $3, stream_id = s.id, space_id = s.space_id, seq = $4 from streams s"
            " where u.id = any($1) and s.id = $2",
            [file.id for file in files],
            operation.stream,
            State.ATTACHED,
            facts[0].seq if facts else 0,
        )
    return Attached(decided, tuple(facts), columns.fills_outbox(rows))


async def attach_again(tx: asyncpg.Connection, stream: int, seq: int, author: int, files: Sequence[Attachment]) -> None:
    """The message that these came with is now called `seq`: it was held, and is let through."""
    await tx.execute(
        "update uploads set seq = $2 where id = any($1) and stream_id = $3 and user_id = $4",
        [file.id for file in files],
        seq,
        stream,
        author,
    )


async def _take(tx: asyncpg.Connection, user: int, operation: Post, space_bytes_max: int) -> tuple[Attachment, ...] | Refusal:
    wanted = tuple(dict.fromkeys(operation.attachments))
    space = await tx.fetchval(_SPACE, operation.stream)
    if space is not None:
        # Before anything is counted: what two send at once counts for both. And before the uploads, as a library takes them.
        await tx.execute("select pg_advisory_xact_lock(hashtextextended('space uploads', $1))", space)
    rows = {row["id"]: row for row in await tx.fetch(_TAKE, list(wanted), user, State.READY)}
    if len(rows) < len(wanted):
        return Refusal(Code.NOT_FOUND, "a file is no upload of yours that is ready, or went with another message")
    # A stream that is not there is refused by who decides about the message.
    if space is not None and await tx.fetchval(_TAKEN, space) + sum(row["bytes"] for row in rows.values()) > space_bytes_max:
        return Refusal(Code.LIMIT, f"the files in this place may have {space_bytes_max} bytes together")
    return tuple(
        Attachment(
            id,
            bytes(row["sha256"]),
            row["media_type"],
            row["bytes"],
            row["width"],
            row["height"],
            bytes(row["placeholder"]),
            row["name"],
        )
        for id in wanted
        for row in (rows[id],)
    )
