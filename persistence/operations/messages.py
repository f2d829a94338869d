"""Edit and Delete: a message's own row is rewritten, and an event tells of it.

The message's row is locked, so edits and deletions of one message come one after the other; the stream itself only in the last call,
guarded by the audience version that the decision was made for.
"""

from __future__ import annotations

from typing import Final

import asyncpg
import msgspec
from msgspec import Struct

from actors.storage import Entry
from persistence.append import Effect, Refuse, event, kind_of
from persistence.audit import Deed
from persistence.operations import rules
from persistence.operations.rules import NOBODY, Standing
from protocol import codec
from protocol.codes import Code
from protocol.events import Deleted, Edited, Posted, Redacted, Said
from protocol.operations import Delete, Edit
from protocol.values import HeldForm, HeldState, Role, SpaceKind

VERSIONS_KEPT_S: Final = 90 * 24 * 3600
"""How long an earlier text is kept for moderators. Who is going to complain about what somebody took back does so within weeks; kept for
longer, it is a store of what people wanted gone."""

_MESSAGE: Final = msgspec.msgpack.Decoder(Said | Posted)
_MESSAGE_KINDS: Final = (kind_of(Said), kind_of(Posted))
_POSTED: Final = kind_of(Posted)
_EDITED: Final = kind_of(Edited)
_REDACTED: Final = kind_of(Redacted)
_TOMBSTONE: Final = codec.encode(Redacted())


class _Found(Struct, frozen=True):
    """A message as seen under the lock of its row. `author` None: there is no such message."""

    space: int
    space_kind: SpaceKind
    standing: Standing
    read_roles: int
    write_roles: int
    audience_version: int
    author: int | None
    redacted: bool
    body: bytes
    check_first: bool


async def edit(tx: asyncpg.Connection, entry: Entry, operation: Edit) -> Effect | Refuse:
    """Rewrites the message to the new text, keeps the old one, and tells."""
    found = await _find(tx, entry.user, operation.stream, operation.target)
    if found is None:
        return rules.NOT_FOUND
    refusal = rules.edit(found.space_kind, found.standing.role, found.write_roles, found.author, entry.user, found.redacted)
    if refusal is not None:
        return refusal
    versions = await _versions(tx, operation.stream, operation.target)
    if versions + await _never_came(tx, operation.stream, operation.target) >= rules.EDITS_PER_MESSAGE_MAX:
        return Refuse(Code.LIMIT, f"a message is edited at most {rules.EDITS_PER_MESSAGE_MAX} times")
    # Or an older edit, released later, would undo this one.
    await lapse(tx, operation.stream, operation.target, edits=True)
    if found.check_first:
        # Kept until it was judged; until then the message reads as it did. The outcome is 0, which is no event's number.
        await tx.execute(
            "insert into held (space_id, stream_id, target, author, form, state, body) values ($1, $2, $3, $4, $5, $6, $7)",
            found.space,
            operation.stream,
            operation.target,
            entry.user,
            HeldForm.EDIT,
            HeldState.CHECKING,
            codec.encode(Said(operation.text)),
        )
        return Effect(guards=((operation.stream, found.audience_version),))
    await rewrite(tx, operation.stream, operation.target, operation.text, entry.user)
    edited = event(operation.stream, entry.user, Edited(operation.target, operation.text), operation.target)
    return Effect((edited,), guards=((operation.stream, found.audience_version),), value_at=1)


async def rewrite(tx: asyncpg.Connection, stream: int, target: int, text: str, by: int, *, forget: bool = False) -> bool:
    """Makes a message, whose row is locked, read otherwise. Keeps the earlier text, or (`forget`) none of all. False: it is no message."""
    row = await tx.fetchrow("select kind, body from log where stream_id = $1 and seq = $2", stream, target)
    if row is None or row["kind"] not in _MESSAGE_KINDS:
        return False
    original = _MESSAGE.decode(row["body"])
    rewritten = msgspec.structs.replace(original, text=text, edited=True) if isinstance(original, Posted) else Posted(text, edited=True)
    if forget:
        await tx.execute(
            "with forgotten as (delete from message_versions where stream_id = $1 and seq = $2)"
            " update log set body = $3, kind = $4 where stream_id = $1 and target = $2 and kind = 2",
            stream,
            target,
            _TOMBSTONE,
            _REDACTED,
        )
    else:
        await tx.execute(
            "insert into message_versions (stream_id, seq, version, body, replaced_by) values ($1, $2, $3, $4, $5)",
            stream,
            target,
            await _versions(tx, stream, target) + 1,
            row["body"],
            by,
        )
    await tx.execute(
        "update log set body = $3, kind = $4 where stream_id = $1 and seq = $2", stream, target, codec.encode(rewritten), _POSTED
    )
    return True


async def lapse(tx: asyncpg.Connection, stream: int, target: int, *, kept: int = 0, edits: bool = False) -> None:
    """Ends what is held of a message, whose row is locked: nothing of it comes back. `kept`: the row of `held` that goes on; `edits`: only
    edits that were never seen."""
    await tx.execute(
        "update held set state = case when state = $5 then state else $6::smallint end, body = null,"
        " decided_at = coalesce(decided_at, now()) where stream_id = $1 and target = $2 and target > 0 and form = any($3)"
        " and state = any($4) and id <> $7 and (event_seq = 0 or not $8)",
        stream,
        target,
        (HeldForm.EDIT,) if edits else (HeldForm.MESSAGE, HeldForm.EDIT),
        (HeldState.CHECKING, HeldState.WAITING, HeldState.HIDDEN, HeldState.UPHELD),
        HeldState.UPHELD,
        HeldState.LAPSED,
        kept,
        edits,
    )


async def _never_came(tx: asyncpg.Connection, stream: int, target: int) -> int:
    """Edits that were checked first and are no version of the message: those that wait, and those that nobody ever saw."""
    count: int = await tx.fetchval(
        "select count(*) from held where stream_id = $1 and target = $2 and target > 0 and form = $3 and event_seq = 0 and became = 0",
        stream,
        target,
        HeldForm.EDIT,
    )
    return count


async def _versions(tx: asyncpg.Connection, stream: int, target: int) -> int:
    versions: int = await tx.fetchval(
        "select coalesce(max(version), 0) from message_versions where stream_id = $1 and seq = $2", stream, target
    )
    return versions


async def sweep_versions(tx: asyncpg.Connection, kept_s: int = VERSIONS_KEPT_S, limit: int = 1000) -> int:
    """Forgets up to `limit` earlier texts that were replaced more than `kept_s` ago; how many. For a job."""
    swept: int = await tx.fetchval(
        "with old as (select stream_id, seq, version from message_versions where replaced_at < now() - make_interval(secs => $1)"
        " limit $2 for update skip locked),"
        " gone as (delete from message_versions v using old where (v.stream_id, v.seq, v.version) = (old.stream_id, old.seq, old.version)"
        " returning 1) select count(*)::int from gone",
        float(kept_s),
        limit,
    )
    return swept


async def delete(tx: asyncpg.Connection, entry: Entry, operation: Delete) -> Effect | Refuse:
    """Redacts the message, its edits and its kept versions, and tells. The numbers stay."""
    found = await _find(tx, entry.user, operation.stream, operation.target)
    if found is None:
        return rules.NOT_FOUND
    refusal = rules.delete(found.space_kind, found.standing, found.read_roles, found.author, entry.user, found.redacted)
    if refusal is not None:
        return refusal
    await redact(tx, operation.stream, operation.target)
    deleted = event(operation.stream, entry.user, Deleted(operation.target), operation.target)
    guard = (operation.stream, found.audience_version)
    if found.author == entry.user:
        return Effect((deleted,), guards=(guard,), value_at=1)
    detail = {"stream": operation.stream, "seq": operation.target}
    deed = Deed(entry.user, "message_deleted", found.space, found.author, detail=detail)
    return Effect((deleted,), guards=(guard,), value_at=1, deeds=(deed,))


async def redact(tx: asyncpg.Connection, stream: int, seq: int, held: int = 0) -> bool:
    """Makes a message, its edits, its kept versions and what is held of it say nothing any more. `held`: the row that keeps what it said,
    where that may come back. False: it is none, or says nothing already."""
    kind: int | None = await tx.fetchval("select kind from log where stream_id = $1 and seq = $2 for update", stream, seq)
    if kind not in _MESSAGE_KINDS:
        return False
    await tx.execute(
        "with forgotten as (delete from message_versions where stream_id = $1 and seq = $2),"
        " edits as (update log set body = $3, kind = $4 where stream_id = $1 and target = $2 and kind = 2)"
        " update log set body = $3, kind = $4 where stream_id = $1 and seq = $2",
        stream,
        seq,
        _TOMBSTONE,
        _REDACTED,
    )
    await lapse(tx, stream, seq, kept=held)
    # Nor do the rows say it by which it was let through once.
    await tx.execute(
        "update held set body = null where stream_id = $1 and (target = $2 and target > 0 or became = $2 and became > 0) and form = any($3)"
        " and state = any($4) and id <> $5",
        stream,
        seq,
        (HeldForm.MESSAGE, HeldForm.EDIT),
        (HeldState.RELEASED, HeldState.NOTED),
        held,
    )
    return True


def message_text(body: bytes) -> str | None:
    """What a stored body says, if it is a message that says something."""
    try:
        message: Said | Posted = _MESSAGE.decode(body)
    except msgspec.MsgspecError:
        return None
    return message.text


async def _find(tx: asyncpg.Connection, user: int, stream: int, target: int) -> _Found | None:
    """Locks the message's row, then reads who may do what. None: no such stream."""
    message = await tx.fetchrow("select author, kind, body from log where stream_id = $1 and seq = $2 for update", stream, target)
    row = await tx.fetchrow(
        "select p.id as space, p.kind as space_kind, m.role, s.read_roles, s.write_roles, s.audience_version, s.check_first,"
        " case when m.role is not null then custom_permissions(m.user_id, p.id) end as custom"
        " from streams s join spaces p on p.id = s.space_id"
        " left join members m on m.space_id = s.space_id and m.user_id = $2 where s.id = $1 and p.kind > 0",
        stream,
        user,
    )
    if row is None:
        return None
    # A tombstone counts as a message: deleting twice is GONE, not NOT_FOUND. So does a redacted edit's, to nobody's harm.
    is_message = message is not None and message["kind"] in (*_MESSAGE_KINDS, _REDACTED)
    return _Found(
        row["space"],
        SpaceKind(row["space_kind"]),
        NOBODY if row["role"] is None else Standing(Role(row["role"]), row["custom"]),
        row["read_roles"],
        row["write_roles"],
        row["audience_version"],
        message["author"] if message is not None and is_message else None,
        message is not None and message["kind"] == _REDACTED,
        message["body"] if message is not None else b"",
        row["check_first"],
    )
