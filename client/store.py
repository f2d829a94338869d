"""What a device remembers between sockets, and, with a durable store, between processes: the port (`client/sqlite_store.py` keeps it).

    submit ──append(mutation, and what caused it)──▶ ┌───────┐ ◀── number, settle: what the server decided
    events ──advance(cursors): worked through──▶ └───────┘ ◀── begin(epoch): a restored database voids the cursors

Calls are synchronous and each is one transaction, so that no cancellation falls between two halves of a change. A cursor
in the store moves when the application has worked an event through, so that after a crash it is shown again rather than lost; where
an event causes a mutation, `append` moves the cursor in the same transaction, and then it has its effect exactly once.

Invariant: a mutation that was appended is in `load` until it is settled, under the same key, bytes and (once given) number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from protocol.codec import BadFrame, decode_operation
from protocol.entities import Fields
from protocol.merge import Outcome, read_outcome
from protocol.operations import Change


class Kept(Struct, frozen=True):
    """A mutation in the store. Ascending `key` is the order of asking; `number` is 0 while it was never sent.

    `echo`, of a settled Change: the record's version that holds what it wrote, while that may not have come as an event; otherwise 0.
    """

    key: int
    operation: bytes
    number: int = 0
    echo: int = 0


class Saved(Struct, frozen=True):
    """All that a store holds at the start, but for records.

    `settled`: mutations that were committed, kept for a while in case the database is restored to a time before them. `last_number`: the
    highest number that was ever given under this device; 0 for a store that never gave one. `inherited_from`: the device whose numbers the
    numbered mutations still carry, until it is known what became of them there; 0: none.
    """

    device: int
    epoch: int
    cursors: dict[int, int]
    mutations: tuple[Kept, ...]
    settled: tuple[Kept, ...] = ()
    last_number: int = 0
    inherited_from: int = 0
    snapshots: tuple[SnapshotMark, ...] = ()


class SnapshotMark(Struct, frozen=True):
    """A snapshot of a stream that is under way: the head it began with, and the last record that arrived."""

    stream: int
    head: int
    entity: int = 0
    key: int = 0


class Settled(Struct, frozen=True):
    """A mutation has its outcome. `at` is Unix time in seconds."""

    key: int
    code: int
    value: int
    detail: str
    at: int


class Unapplied(Struct, frozen=True):
    """A mutation that was refused for good, with its payload, until the person has done something about it."""

    key: int
    operation: bytes
    code: int
    detail: str
    at: int


class Confirmed(Struct, frozen=True):
    """A record as the server last told it. `fields` are of the present schema."""

    stream: int
    entity: int
    key: int
    version: int
    fields: Fields
    gone: bool = False


class Size(Struct, frozen=True):
    """What a stream takes in the store, in bytes and records."""

    stream: int
    size_bytes: int
    records: int


class Cause(Struct, frozen=True):
    """The event that a mutation follows from: it is worked through when the mutation is in the store."""

    stream: int
    seq: int


class Bookmark(Struct, frozen=True):
    """A position in something outside (a line of a file), moved together with the mutation that it led to."""

    name: str
    position: int


class Store(Protocol):
    """A device's memory. One session uses it at a time."""

    def load(self) -> Saved:
        """Everything; a new store is empty, with device 0."""
        ...

    def bind(self, device: int) -> tuple[Kept, ...]:
        """Makes the store this device's. Another device's mutations stay if they were never sent; returns the others, which it drops.

        Their outcome is unknown, and asking again under another device's numbers could give them effect twice.
        """
        ...

    def append(self, operation: bytes, cause: Cause | None = None, bookmark: Bookmark | None = None) -> int:
        """Keeps a mutation, durably where the store is durable, and returns its key."""
        ...

    def number(self, numbers: Sequence[tuple[int, int]]) -> None:
        """Writes down (key, number) pairs before they are sent."""
        ...

    def settle(self, settled: Sequence[Settled]) -> None:
        """These mutations have their outcome: committed ones are kept for a while (`Saved.settled`), refused ones in `unapplied`.

        What is learned while the store inherits is kept without its number, which was the device's before.
        """
        ...

    def unapplied(self) -> list[Unapplied]:
        """What was refused for good and not discarded, oldest first."""
        ...

    def discard(self, key: int) -> None:
        """The person has seen to a refused mutation."""
        ...

    def ask_again(self, keys: Sequence[int]) -> None:
        """Settled mutations that a restored database has forgotten are open again: under their keys, so in order, without numbers."""
        ...

    def freeze_again(self, changes: Sequence[tuple[int, bytes]]) -> None:
        """Gives mutations that no server has decided, by key, other bytes and no number: after a restore their bases mean nothing."""
        ...

    def inherit(self, device: int) -> None:
        """Makes the store another device's, for a copy: numbered mutations stay, marked as numbered under the device before."""
        ...

    def inherited(self, free: Sequence[int]) -> None:
        """What became of them is known: these (by key) never had an effect and lose their numbers; `inherited_from` is 0 again."""
        ...

    def advance(self, cursors: Mapping[int, int]) -> None:
        """Of each of these streams everything up to the number is worked through. Never moves back."""
        ...

    def forget(self, stream: int) -> None:
        """Drops a stream's cursor, its records, and its snapshot if one is under way."""
        ...

    def apply(self, stream: int, upto: int, records: Sequence[Confirmed]) -> None:
        """An event of a record stream: writes what is newer than what is held, fields over fields, and moves the cursor, in one."""
        ...

    def apply_page(self, mark: SnapshotMark, records: Sequence[Confirmed], more: bool) -> None:
        """A page of a snapshot: whole records. With the first page (no mark was kept) what the stream held is void unless the page, or one
        after it, brings it again. After the last one (`more` false) the mark is gone and the cursor is its head."""
        ...

    def record(self, stream: int, entity: int, key: int) -> Confirmed | None:
        """One record; deleted ones are held as `gone` until the next snapshot."""
        ...

    def records(self, stream: int, entity: int) -> list[Confirmed]:
        """A stream's records of one entity, by key, without deleted ones."""
        ...

    def sizes(self) -> list[Size]:
        """What each stream takes."""
        ...

    def note(self, name: str, value: bytes) -> None:
        """Keeps a small named value (the scope, the conflicts last seen, the time of the last success); empty: forgets it."""
        ...

    def noted(self, name: str) -> bytes:
        """A named value; empty if there is none."""
        ...

    def begin(self, epoch: int) -> None:
        """The database lives in this epoch; if the store knew another one, all cursors are void."""
        ...

    def bookmark(self, name: str) -> int:
        """The position last kept under `name`; 0 before the first."""
        ...


def orphaned(before: int, after: int, mutations: Iterable[Kept]) -> tuple[Kept, ...]:
    """Which mutations cannot follow a store from one device to another: those that were sent under the older one's numbers."""
    if before in (0, after):
        return ()
    return tuple(kept for kept in mutations if kept.number)


def written_version(code: int, value: int) -> int:
    """The record's version that holds what a Change wrote, by its outcome; 0 if none does."""
    if code:
        return 0
    outcome, n = read_outcome(value)
    return n if outcome in (Outcome.APPLIED, Outcome.DUPLICATE, Outcome.MERGED) else 0


def read_change(operation: bytes) -> Change | None:
    """The Change that these frozen bytes are; None for another operation."""
    try:
        decoded = decode_operation(operation)
    except BadFrame:
        return None
    return decoded if isinstance(decoded, Change) else None
