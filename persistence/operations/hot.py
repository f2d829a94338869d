"""Operations that come by the thousand: Say, Post, React, MarkRead, Update, and what was refused before it came here (nothing to keep).

    entries ─▶ columns ─▶ journal_append, one round trip ─▶ rows ─▶ outcomes and facts
               arrays     locks, counts, checks, numbers     one per entry, in order

Everything is decided on the server, set-based; here entries only become columns and rows become answers.

Invariant: within one call, a device's numbers strictly ascend and span less than the ring of outcomes (`fits`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg

from actors.storage import Decided, Entry, Fact, Refusal
from persistence.append import kind_of, storable
from persistence.notice_rows import NOBODY
from protocol import codec
from protocol.codes import Code
from protocol.documents import written_of
from protocol.events import Attachment, Posted, Reacted, ReadUpTo, Said, Updated
from protocol.operations import MarkRead, Post, React, Say, Update

HOT: Final = (Say, Post, React, MarkRead, Update, Refusal)
OUTCOMES_KEPT: Final = 256
"""Per device; the ring in the database has as many places. A device has fewer mutations unacknowledged."""

_SAID: Final = kind_of(Said)
_POSTED: Final = kind_of(Posted)
_REACTED: Final = kind_of(Reacted)
_READ_UP_TO: Final = kind_of(ReadUpTo)
_UPDATED: Final = kind_of(Updated)

_SPEAKING: Final = (_SAID, _POSTED)

_SQL: Final = (
    "select code, value, detail, replayed, stream, seq, at, audience_version"
    " from journal_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)"
)


def goes_hot(operation: object) -> bool:
    """Whether it is one of `HOT`, and needs nothing looked up first: a message with files does."""
    return isinstance(operation, HOT) and not (isinstance(operation, Post) and operation.attachments)


class Columns:
    """A batch as the arrays that the server takes. Built once, so that a batch can be sent again unchanged. `files`: what the `Post` of a
    batch of one has with it."""

    __slots__ = (
        "_files",
        "_held_back",
        "bodies",
        "ends",
        "entries",
        "kinds",
        "mention_at",
        "mention_user",
        "need_pens",
        "need_upto",
        "needs",
        "refusals",
        "starts",
        "streams",
        "targets",
    )

    def __init__(self, entries: Sequence[Entry], files: tuple[Attachment, ...] = ()) -> None:
        self.entries = entries
        self._files = files
        self._held_back = False
        self.kinds: list[int] = []
        self.streams: list[int] = []
        self.targets: list[int] = []
        self.bodies: list[bytes] = []
        self.refusals: list[int] = []
        self.mention_at: list[int] = []
        self.mention_user: list[int] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.needs: list[int] = []
        self.need_pens: list[int] = []
        self.need_upto: list[int] = []
        for at, entry in enumerate(entries, 1):
            self._add(at, entry)

    def _add(self, at: int, entry: Entry) -> None:
        operation = entry.operation
        refusal = start = end = needs = 0
        target = 0
        if isinstance(operation, Say):
            kind, stream, body = _SAID, operation.stream, codec.encode(Said(operation.text))
        elif isinstance(operation, Post):
            kind, stream, target = _POSTED, operation.stream, operation.reply_to
            body = codec.encode(Posted(operation.text, operation.reply_to, operation.mentions, attachments=self._files))
            mentioned = dict.fromkeys(operation.mentions)
            self.mention_at += [at] * len(mentioned)
            self.mention_user += mentioned
            if operation.reply_to:
                # Whom it answers is found out when it is delivered.
                self.mention_at.append(at)
                self.mention_user.append(NOBODY)
        elif isinstance(operation, React):
            kind, stream, target = _REACTED, operation.stream, operation.target
            body = codec.encode(Reacted(operation.target, operation.emoji, operation.on))
        elif isinstance(operation, MarkRead):
            kind, stream, target = _READ_UP_TO, operation.stream, operation.seq
            body = codec.encode(ReadUpTo(operation.stream, operation.seq))
        elif isinstance(operation, Update):
            kind, stream, body = _UPDATED, operation.document, codec.encode(Updated(operation.update, operation.checksum))
            written = written_of(operation.update)  # which the device has passed; what raises is refused by itself
            pen, start, end = written.strokes
            target = operation.generation << 32 | pen
            needs = len(written.needs)
            self.need_pens += written.needs.keys()
            self.need_upto += written.needs.values()
        else:
            assert isinstance(operation, Refusal), operation
            kind, stream, target, body, refusal = 0, 0, operation.until_ms, b"", int(operation.code)
        self.kinds.append(kind)
        self.streams.append(stream)
        self.targets.append(target)
        self.bodies.append(body)
        self.refusals.append(refusal)
        self.starts.append(start)
        self.ends.append(end)
        self.needs.append(needs)

    async def append(self, connection: asyncpg.Connection) -> list[asyncpg.Record]:
        """One statement, which is one transaction. Runs on the asyncio side."""
        entries = self.entries
        rows: list[asyncpg.Record] = await connection.fetch(
            _SQL,
            [entry.user for entry in entries],
            [entry.device for entry in entries],
            [entry.generation for entry in entries],
            [entry.number for entry in entries],
            [entry.digest for entry in entries],
            self.kinds,
            self.streams,
            self.targets,
            self.bodies,
            self.refusals,
            [storable(entry.operation.detail) if isinstance(entry.operation, Refusal) else None for entry in entries],
            self.mention_at,
            self.mention_user,
            self.starts,
            self.ends,
            self.needs,
            self.need_pens,
            self.need_upto,
        )
        return rows

    def read(self, rows: Sequence[asyncpg.Record]) -> tuple[list[Decided], list[Fact]]:
        """What became of each entry, and the events in order."""
        decided: list[Decided] = []
        facts: list[Fact] = []
        for at, (entry, body, row) in enumerate(zip(self.entries, self.bodies, rows, strict=True)):
            code, value, detail, replayed, stream, seq, at_s, audience_version = row
            decided.append(Decided(entry.number, Code(code), value, detail or "", replayed, entry.generation))
            if seq is not None:
                facts.append(Fact(stream, seq, entry.user, at_s, body, audience_version))
            elif not code and not replayed and self.kinds[at] in _SPEAKING:
                self._held_back = True
        return decided, facts

    def fills_outbox(self, rows: Sequence[asyncpg.Record]) -> bool:
        """Whether somebody may have been mentioned."""
        return bool(self.mention_at)

    def holds_back(self, rows: Sequence[asyncpg.Record]) -> bool:
        """Whether something was said where it is judged first, as `read` found."""
        return self._held_back


class Numbers:
    """Which numbers one call may carry, by device."""

    __slots__ = ("_first", "_last")

    def __init__(self) -> None:
        self._first: dict[int, int] = {}
        self._last: dict[int, int] = {}

    def fits(self, entry: Entry) -> bool:
        """Takes the entry's number into the call, if it may be in it."""
        if entry.device == 0:
            return True
        first = self._first.setdefault(entry.device, entry.number)
        last = self._last.get(entry.device)
        if (last is not None and entry.number <= last) or entry.number - first >= OUTCOMES_KEPT:
            return False
        self._last[entry.device] = entry.number
        return True
