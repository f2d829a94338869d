"""Messages in channels and conversations: said, changed, taken back, reacted to, read. What a simulated database makes of each.

Invariant: a message that was taken back is nowhere in a log any more, but for the number that it had.
"""

from __future__ import annotations

from actors.storage import Fact, Row
from proofs.simulation.people import slow_until
from proofs.simulation.rows import STAFF, Answered, Refused, Stream, Tables
from protocol.codec import TOMBSTONE, decode_body, encode
from protocol.codes import Code
from protocol.events import Body, Deleted, Edited, Mentioned, Posted, Reacted, ReadUpTo, Redacted, Said
from protocol.operations import Delete, Edit, MarkRead, Post, React, Say
from protocol.values import SpaceKind

Talk = Say | Post | Edit | Delete | React | MarkRead


def talk(tables: Tables, user: int, operation: Talk, now: int) -> tuple[int, list[Fact]]:
    """Carries one out; the value and what happened. Raises `Refused`."""
    if isinstance(operation, MarkRead):
        return _mark_read(tables, user, operation, now)
    fact = tables.append(operation.stream, user, now, _say(tables, user, operation, now))
    return fact.seq, [fact]


def _say(tables: Tables, user: int, operation: Say | Post | Edit | Delete | React, now: int) -> Body:
    match operation:
        case Say():
            _in_time(tables, tables.must_write(operation.stream, user), user, now)
            return Said(operation.text)
        case Post():
            stream = tables.must_write(operation.stream, user)
            if operation.reply_to > len(stream.log):
                raise Refused(Code.NOT_FOUND)
            _in_time(tables, stream, user, now)
            for mentioned in dict.fromkeys(operation.mentions):
                if mentioned in tables.inboxes and mentioned != user:
                    tables.outbox.append((mentioned, Mentioned(operation.stream, len(stream.log) + 1, user)))
            if operation.reply_to:
                tables.outbox.append((0, Answered(operation.stream, len(stream.log) + 1, user)))
            return Posted(operation.text, operation.reply_to, operation.mentions)
        case Edit():
            return _edit(tables.must_write(operation.stream, user), user, operation)
        case Delete():
            return _delete(tables.must_read(operation.stream, user), user, operation)
        case React():
            _living(_message(tables.must_write(operation.stream, user), operation.target))
            return Reacted(operation.target, operation.emoji, operation.on)


def _in_time(tables: Tables, stream: Stream, user: int, now: int) -> None:
    until = slow_until(tables, stream, user, now)
    if until:
        raise Refused(Code.SLOWED, value=until)


def _edit(stream: Stream, user: int, operation: Edit) -> Edited:
    row = _message(stream, operation.target)
    if row.author != user:
        raise Refused(Code.FORBIDDEN)
    match _living(row):
        case Posted(_, reply_to, mentions):
            edited = Posted(operation.text, reply_to, mentions, edited=True)
        case _:
            edited = Posted(operation.text, edited=True)
    _rewrite(stream, operation.target, encode(edited))
    return Edited(operation.target, operation.text)


def _delete(stream: Stream, user: int, operation: Delete) -> Deleted:
    row = _message(stream, operation.target)
    if row.author != user and not (stream.space.kind is SpaceKind.COMMUNITY and stream.space.members[user] in STAFF):
        raise Refused(Code.FORBIDDEN)
    _living(row)
    for other in stream.log:
        body = decode_body(other.body)
        if isinstance(body, Edited) and body.target == operation.target:
            _rewrite(stream, other.seq, TOMBSTONE)
    _rewrite(stream, operation.target, TOMBSTONE)
    return Deleted(operation.target)


def _mark_read(tables: Tables, user: int, operation: MarkRead, now: int) -> tuple[int, list[Fact]]:
    stream = tables.must_read(operation.stream, user)
    if operation.seq > len(stream.log):
        raise Refused(Code.INVALID)
    before = tables.markers.get((user, operation.stream), 0)
    if operation.seq <= before:
        return before, []
    tables.markers[user, operation.stream] = operation.seq
    return operation.seq, [tables.append(tables.inboxes[user], user, now, ReadUpTo(operation.stream, operation.seq))]


def _message(stream: Stream, target: int) -> Row:
    if not 0 < target <= len(stream.log):
        raise Refused(Code.NOT_FOUND)
    row = stream.log[target - 1]
    if not isinstance(decode_body(row.body), Said | Posted | Redacted):
        raise Refused(Code.NOT_FOUND)
    return row


def _living(row: Row) -> Said | Posted:
    body = decode_body(row.body)
    if not isinstance(body, Said | Posted):
        raise Refused(Code.GONE)
    return body


def _rewrite(stream: Stream, seq: int, body: bytes) -> None:
    row = stream.log[seq - 1]
    stream.log[seq - 1] = Row(row.seq, row.author, row.at, body)
