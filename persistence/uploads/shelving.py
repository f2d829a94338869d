"""Files of lessons: an upload of one's own becomes part of a community's library, and the sections of its lessons name it.

    upload READY ─ put ─▶ shelved in the library ◀─ CONTENT.files names it          take out ─▶ its bytes go, as with a message

Whoever may write content puts in and takes out; whoever may read the library reads. A record that names a file which is not in its own
library shows nothing.

Invariant: only its owner puts an upload anywhere, and into one place; a library's files have the bound that a community's have; whether
somebody may is asked in the transaction that does it.
"""

from __future__ import annotations

from typing import Final

import asyncpg

from actors.uploads import Refused, ShelfFile, State
from persistence.moderation.aside import ask_name
from persistence.moderation.words import words_of_names
from persistence.roles import allowed
from persistence.uploads.renditions import KEPT_OF, renditions
from persistence.uploads.rules import UploadRules
from protocol.permissions import Permission
from protocol.values import StreamKind

_NO_PLACE: Final = "there is no such community, or you may not write its content"
_LIBRARY: Final = "select id from streams where space_id = $1 and kind = $2 limit 1"
_TAKEN: Final = "select coalesce(sum(bytes), 0)::bigint from uploads where space_id = $1"
_MINE: Final = (
    "select id, bytes, name, stream_id, shelved from uploads where id = $1 and user_id = $2 and state = any($3::smallint[])"
    " and (stream_id > 0 or expires_at > now()) for update"
)
_PUT: Final = "update uploads set state = $2, stream_id = $3, space_id = $4, seq = 0, shelved = true where id = $1"
_TAKE_OUT: Final = "delete from uploads where id = $1 and space_id = $2 and shelved"
_READABLE: Final = (
    "select u.id, u.name, u.media_type, u.sha256, u.width, u.height, u.placeholder from uploads u"
    " join streams s on s.id = u.stream_id and s.kind = $4"
    " join members m on m.space_id = s.space_id and m.user_id = $1 and m.role & s.read_roles <> 0"
    " where u.id = any($3) and u.space_id = $2 and u.shelved order by u.id"
)


async def put(tx: asyncpg.Connection, user: int, upload: int, space: int, rules: UploadRules) -> None:
    """Puts it there; again: nothing. Raises `Refused`: NOT_FOUND (also for who may not write there), OVER (it is elsewhere), QUOTA."""
    if not await allowed(tx, user, Permission.WRITE_CONTENT, space):
        raise Refused(Refused.Why.NOT_FOUND, _NO_PLACE)
    library = await tx.fetchval(_LIBRARY, space, StreamKind.LIBRARY)
    # One at a time for a community: what two put at once counts for both.
    await tx.execute("select pg_advisory_xact_lock(hashtextextended('space uploads', $1))", space)
    row = await tx.fetchrow(_MINE, upload, user, [State.READY, State.ATTACHED])
    if row is None or library is None:
        raise Refused(Refused.Why.NOT_FOUND, "there is no such upload that is ready, or it is not yours")
    if row["stream_id"] == library and row["shelved"]:
        return
    if row["stream_id"]:
        raise Refused(Refused.Why.OVER, "it went with a message, or is in another library")
    if await tx.fetchval(_TAKEN, space) + row["bytes"] > rules.space_bytes_max:
        raise Refused(Refused.Why.QUOTA, f"the files in this place may have {rules.space_bytes_max} bytes together")
    await tx.execute(_PUT, upload, State.ATTACHED, library, space)
    if words := words_of_names([row["name"]]):
        # It stands meanwhile: who may write content here is trusted so far. Where it does harm a person decides.
        await ask_name(tx, user, words, shown=False)


async def take_out(tx: asyncpg.Connection, user: int, upload: int, space: int) -> bool:
    """Whether it was there, and they may."""
    if not await allowed(tx, user, Permission.WRITE_CONTENT, space):
        return False
    status: str = await tx.execute(_TAKE_OUT, upload, space)
    return status != "DELETE 0"


async def read(tx: asyncpg.Connection, user: int, space: int, uploads: tuple[int, ...]) -> tuple[ShelfFile, ...]:
    """Those that are in this library, if this account may read it now."""
    rows = await tx.fetch(_READABLE, user, space, list(uploads), StreamKind.LIBRARY)
    kept: dict[int, list[asyncpg.Record]] = {}
    for row in await tx.fetch(KEPT_OF, [row["id"] for row in rows]):
        kept.setdefault(row["id"], []).append(row)
    return tuple(
        ShelfFile(
            row["id"],
            row["name"],
            row["media_type"],
            bytes(row["sha256"]),
            row["width"],
            row["height"],
            bytes(row["placeholder"]).hex(),
            renditions(row["media_type"], kept[row["id"]]),
        )
        for row in rows
        if row["id"] in kept
    )
