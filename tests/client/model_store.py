"""A store as simple as can be said, in dictionaries: what the real one is compared with. And lives: seeded scripts of calls.

life(seed) ─▶ calls, each with what a store looks like after it
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from client.sqlite_store import SETTLED_LEAST, SETTLED_MAX, SETTLED_S, UNAPPLIED_MAX
from client.store import (
    Bookmark,
    Cause,
    Confirmed,
    Kept,
    Saved,
    Settled,
    Size,
    SnapshotMark,
    Store,
    Unapplied,
    orphaned,
    read_change,
    written_version,
)
from client.store_schema import RECORD_BYTES
from protocol.codec import encode
from protocol.entities import Entity, Fields, write_fields
from protocol.merge import Outcome, outcome_value
from protocol.operations import Change, Say

STREAMS = (50, 51, 52)
KEYS = (1, 2, 3)


class ModelStore:
    """The port's rules, without a database."""

    def __init__(self) -> None:
        self.device = self.epoch = self.last_number = self.inherited_from = self.last_key = 0
        self.mutations: dict[int, Kept] = {}
        self.committed: dict[int, tuple[Kept, int, int]] = {}
        self.refused: dict[int, Unapplied] = {}
        self.cursors: dict[int, int] = {}
        self.marks: dict[int, SnapshotMark] = {}
        self.brought: dict[int, set[tuple[int, int]]] = {}
        self.held: dict[tuple[int, int, int], Confirmed] = {}
        self.notes: dict[str, bytes] = {}
        self.bookmarks: dict[str, int] = {}

    def load(self) -> Saved:
        return Saved(
            self.device,
            self.epoch,
            dict(self.cursors),
            tuple(self.mutations[key] for key in sorted(self.mutations)),
            tuple(self.committed[key][0] for key in sorted(self.committed)),
            self.last_number,
            self.inherited_from,
            tuple(self.marks[stream] for stream in sorted(self.marks)),
        )

    def _another(self, device: int) -> None:
        self.device, self.last_number = device, 0
        self.committed = {key: (Kept(key, kept.operation, 0, kept.echo), at, stream) for key, (kept, at, stream) in self.committed.items()}

    def bind(self, device: int) -> tuple[Kept, ...]:
        if device == self.device:
            return ()
        orphans = orphaned(self.device, device, self.load().mutations)
        for orphan in orphans:
            del self.mutations[orphan.key]
        self._another(device)
        self.inherited_from = 0
        return orphans

    def inherit(self, device: int) -> None:
        if device == self.device:
            return
        if any(kept.number for kept in self.mutations.values()):
            self.inherited_from = self.inherited_from or self.device
        else:
            self.inherited_from = 0
        self._another(device)

    def inherited(self, free: Sequence[int]) -> None:
        self.freeze_again([(key, self.mutations[key].operation) for key in free if key in self.mutations])
        self.inherited_from = 0

    def append(self, operation: bytes, cause: Cause | None = None, bookmark: Bookmark | None = None) -> int:
        self.last_key += 1
        self.mutations[self.last_key] = Kept(self.last_key, operation)
        if cause is not None:
            self.advance({cause.stream: cause.seq})
        if bookmark is not None:
            self.bookmarks[bookmark.name] = bookmark.position
        return self.last_key

    def number(self, numbers: Sequence[tuple[int, int]]) -> None:
        for key, number in numbers:
            self.mutations[key] = Kept(key, self.mutations[key].operation, number)
            self.last_number = max(self.last_number, number)

    def settle(self, settled: Sequence[Settled]) -> None:
        for one in settled:
            kept = self.mutations.pop(one.key, None)
            if kept is None:
                continue
            if one.code:
                self.refused[one.key] = Unapplied(one.key, kept.operation, one.code, one.detail, one.at)
            else:
                change = read_change(kept.operation)
                stream, echo = (change.stream, written_version(0, one.value)) if change is not None else (0, 0)
                number = 0 if self.inherited_from else kept.number
                self.committed[one.key] = (Kept(one.key, kept.operation, number, echo), one.at, stream)
        if settled:
            now_s = max(one.at for one in settled)
            keys = sorted(self.committed)
            newest, least = keys[-SETTLED_MAX:], keys[-SETTLED_LEAST:]
            stay = [key for key in newest if key in least or self.committed[key][1] >= now_s - SETTLED_S]
            self.committed = {key: self.committed[key] for key in stay}
            self.refused = {key: self.refused[key] for key in sorted(self.refused)[-UNAPPLIED_MAX:]}

    def unapplied(self) -> list[Unapplied]:
        return [self.refused[key] for key in sorted(self.refused)]

    def discard(self, key: int) -> None:
        self.refused.pop(key, None)

    def ask_again(self, keys: Sequence[int]) -> None:
        for key in keys:
            if key in self.committed:
                self.mutations[key] = Kept(key, self.committed.pop(key)[0].operation)

    def freeze_again(self, changes: Sequence[tuple[int, bytes]]) -> None:
        for key, operation in changes:
            self.mutations[key] = Kept(key, operation)

    def advance(self, cursors: Mapping[int, int]) -> None:
        for stream, seq in cursors.items():
            self.cursors[stream] = max(seq, self.cursors.get(stream, 0))

    def _silence(self, stream: int | None) -> None:
        for key, (kept, at, its) in self.committed.items():
            if stream is None or its == stream:
                self.committed[key] = (Kept(key, kept.operation, kept.number), at, its)

    def forget(self, stream: int) -> None:
        self.cursors.pop(stream, None)
        self.marks.pop(stream, None)
        self.held = {name: record for name, record in self.held.items() if name[0] != stream}
        self._silence(stream)

    def begin(self, epoch: int) -> None:
        if self.epoch not in (0, epoch):
            self.cursors.clear()
            self.marks.clear()
            self._silence(None)
        self.epoch = epoch

    def apply(self, stream: int, upto: int, records: Sequence[Confirmed]) -> None:
        for record in records:
            name = (stream, record.entity, record.key)
            before = self.held.get(name)
            if before is None or before.version < record.version:
                fields = {**(before.fields if before is not None else {}), **record.fields}
                self.held[name] = Confirmed(*name, record.version, {} if record.gone else fields, record.gone)
        self.advance({stream: upto})

    def apply_page(self, mark: SnapshotMark, records: Sequence[Confirmed], more: bool) -> None:
        if mark.stream not in self.marks:
            self.marks[mark.stream] = mark
            self.brought[mark.stream] = set()
        self.marks[mark.stream] = SnapshotMark(mark.stream, self.marks[mark.stream].head, mark.entity, mark.key)
        for record in records:
            self.held[(mark.stream, record.entity, record.key)] = record
            self.brought[mark.stream].add((record.entity, record.key))
        if not more:
            self.cursors[mark.stream] = self.marks.pop(mark.stream).head
            brought = self.brought[mark.stream]
            self.held = {name: one for name, one in self.held.items() if name[0] != mark.stream or name[1:] in brought}
            self._silence(mark.stream)

    def record(self, stream: int, entity: int, key: int) -> Confirmed | None:
        return self.held.get((stream, entity, key))

    def records(self, stream: int, entity: int) -> list[Confirmed]:
        return [one for name, one in sorted(self.held.items()) if name[:2] == (stream, entity) and not one.gone]

    def sizes(self) -> list[Size]:
        sizes = []
        for stream in sorted({name[0] for name in self.held}):
            own = [one for name, one in self.held.items() if name[0] == stream]
            size_bytes = sum(RECORD_BYTES + len(bytes(write_fields(one.fields))) for one in own)
            sizes.append(Size(stream, size_bytes, sum(not one.gone for one in own)))
        return sizes

    def note(self, name: str, value: bytes) -> None:
        self.notes.pop(name, None)
        if value:
            self.notes[name] = value

    def noted(self, name: str) -> bytes:
        return self.notes.get(name, b"")

    def bookmark(self, name: str) -> int:
        return self.bookmarks.get(name, 0)


class Seen(Struct, frozen=True):
    """Everything that a store shows."""

    saved: Saved
    unapplied: list[Unapplied]
    records: list[Confirmed | None]
    sizes: list[Size]
    small: tuple[bytes, int]


def look(store: Store) -> Seen:
    """Reads all of a store that a life touches."""
    records = [store.record(stream, entity, key) for stream in STREAMS for entity in Entity for key in KEYS]
    return Seen(store.load(), store.unapplied(), records, store.sizes(), (store.noted("scope"), store.bookmark("file")))


Call = Callable[[Store], object]


class Lived(Struct, frozen=True):
    """A call of a life, what it returned, and what a store is like after it."""

    call: Call
    returned: object
    seen: Seen


def life(seed: int, length: int) -> list[Lived]:
    """A device's days: writing, numbering, hearing outcomes and events, snapshots, other epochs and devices."""
    chance = random.Random(seed)
    model = ModelStore()
    lived = []
    for _ in range(length):
        call = _call(chance, model)
        lived.append(Lived(call, call(model), look(model)))
    return lived


def _call(chance: random.Random, model: ModelStore) -> Call:
    stream = chance.choice(STREAMS)
    open_keys = sorted(model.mutations)
    some = open_keys[: chance.randint(1, 4)]
    match chance.choices(range(14), (8, 6, 6, 2, 1, 1, 6, 6, 1, 1, 1, 1, 1, 1))[0]:
        case 0:
            cause = Cause(stream, chance.randint(1, 30)) if chance.random() < 0.3 else None
            bookmark = Bookmark("file", chance.randint(0, 99)) if chance.random() < 0.3 else None
            operation = _operation(chance, stream)
            return lambda store: store.append(operation, cause, bookmark)
        case 1:
            numbers = [(key, model.last_number + 1 + place) for place, key in enumerate(some)]
            return lambda store: store.number(numbers)
        case 2:
            settled = [_outcome(chance, key) for key in some]
            return lambda store: store.settle(settled)
        case 3:
            key = chance.choice(sorted(model.refused) or [99])
            return lambda store: store.discard(key)
        case 4:
            again = sorted(model.committed)[-chance.randint(1, 3) :]
            return lambda store: store.ask_again(again)
        case 5:
            frozen = [(key, _operation(chance, stream)) for key in some]
            return lambda store: store.freeze_again(frozen)
        case 6:
            upto = model.cursors.get(stream, 0) + 1
            records = [_record(chance, stream) for _ in range(chance.randint(0, 3))]
            return lambda store: store.apply(stream, upto, records)
        case 7:
            mark = SnapshotMark(stream, chance.randint(0, 30), chance.randint(0, 8), chance.randint(0, 3))
            page = [_record(chance, stream) for _ in range(chance.randint(0, 3))]
            more = chance.random() < 0.6
            return lambda store: store.apply_page(mark, page, more)
        case 8:
            return lambda store: store.forget(stream)
        case 9:
            epoch = chance.randint(1, 2)
            return lambda store: store.begin(epoch)
        case 10:
            device = chance.randint(11, 12)
            return lambda store: store.bind(device)
        case 11:
            device = chance.randint(11, 13)
            return lambda store: store.inherit(device)
        case 12:
            return lambda store: store.inherited(some)
        case _:
            value = chance.randbytes(chance.randint(0, 3))
            return lambda store: store.note("scope", value)


def _operation(chance: random.Random, stream: int) -> bytes:
    if chance.random() < 0.3:
        return encode(Say(stream, "x" * chance.randint(1, 2000)))
    return encode(Change(stream, Entity.PROFILE, chance.choice(KEYS), 1_800_000_000, write_fields({1: "y" * chance.randint(0, 99)})))


def _outcome(chance: random.Random, key: int) -> Settled:
    at = 1_800_000_000 + chance.randint(0, 2 * SETTLED_S)
    if chance.random() < 0.3:
        return Settled(key, 20, 0, "no", at)
    return Settled(key, 0, outcome_value(chance.choice(list(Outcome)), chance.randint(1, 9)), "", at)


def _record(chance: random.Random, stream: int) -> Confirmed:
    gone = chance.random() < 0.2
    fields: Fields = {} if gone else {chance.choice((1, 4)): "z" * chance.randint(0, 9) for _ in range(2)}
    return Confirmed(stream, Entity.PROFILE, chance.choice(KEYS), chance.randint(1, 9), fields, gone)
