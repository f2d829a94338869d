"""The local view of records: what the server confirmed, and over it what this device has asked for.

    Changed, RecordPage ─hear─▶ store (confirmed) ─┐
    appended, refrozen, settled ─▶ pending, echoes ┴─▶ view, list, changes

A change is seen at once, also offline, and stays seen while it is on its way: until its outcome, and, where the outcome says that it was
written as the record's version n, until version n has come as an event (an *echo*; otherwise what a person wrote would vanish for as long
as a link stays cut between the outcome and the event). No rule of merging is asked here: one's own change wins until the server has spoken.

Whoever holds the mutations says what becomes of them: `appended` once one is in the store, `refrozen` when its bytes were replaced,
`settled` with its outcome; `reload` when the store changed otherwise (`begin`, `bind`, `ask_again`). Only Changes count; all may be told.

Invariant: a view is `overlay` of the store's record and of the Changes in order of their keys; nothing else is remembered of a record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from client.errors import ServerFault
from client.store import Confirmed, Kept, SnapshotMark, Store, read_change, written_version
from client.watching import Name, Watch
from protocol.entities import TABLE, BadFields, Entity, Fields, Rule, Value, read_fields, upcast, write_fields
from protocol.events import Changed, RecordItem
from protocol.frames import RecordPage
from protocol.merge import GENERATION, PERCENT, prepare
from protocol.operations import Change


class RecordView(Struct, frozen=True):
    """A record as the application shows it. `version` is the confirmed one (0: the server never told of it).

    `fields` are of the present schema and empty when `gone`. `pending`: the keys, in the store, of its mutations without an outcome.
    """

    stream: int
    entity: int
    key: int
    version: int = 0
    fields: Fields = {}
    gone: bool = False
    pending: tuple[int, ...] = ()

    @property
    def exists(self) -> bool:
        """Whether there is anything to show."""
        return not self.gone and bool(self.version or self.fields)


class Ours(Struct, frozen=True):
    """A Change of this device in the view. `echo`: the version as which it was written; 0 while it has no outcome."""

    key: int
    change: Change
    echo: int = 0


class Replica:
    """The records that a device holds, with its own changes over them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ours: dict[Name, dict[int, Ours]] = {}
        self._names: dict[int, Name] = {}
        self._marks: dict[int, SnapshotMark] = {}
        self._watches: list[Watch] = []
        self.reload()

    # What the application asks

    def view(self, stream: int, entity: int, key: int) -> RecordView:
        """One record; an empty view of version 0 if nobody knows of it."""
        confirmed = self._store.record(stream, entity, key) or Confirmed(stream, entity, key, 0, {})
        return overlay(confirmed, self._of((stream, entity, key)))

    def list(self, stream: int, entity: int) -> list[RecordView]:
        """A stream's records of one entity, by key, without deleted ones."""
        confirmed = {one.key: one for one in self._store.records(stream, entity)}
        for at, kind, key in self._ours:
            if (at, kind) == (stream, entity) and key not in confirmed:
                confirmed[key] = self._store.record(stream, entity, key) or Confirmed(stream, entity, key, 0, {})
        views = (overlay(confirmed[key], self._of((stream, entity, key))) for key in sorted(confirmed))
        return [view for view in views if view.exists]

    def change(self, stream: int, entity: int, key: int, fields: Mapping[int, Value], *, gone: bool = False, at: int) -> Change:
        """A Change to be submitted, based on what is confirmed here. `at`: Unix seconds by this device's clock.

        Progress counts in the generation that this device knows unless `fields` says another. Raises `ValueError` that says what is wrong.
        """
        declaration = TABLE.get(entity)
        if declaration is None:
            known = ", ".join(f"{number} {one.entity.name.lower()}" for number, one in TABLE.items())
            raise ValueError(f"there is no entity {entity}; there are {known}")
        # Not the view: a draft that is kept at every pause has thousands of changes over it, and each would be read for each.
        confirmed = self._store.record(stream, entity, key)
        base = confirmed.version if confirmed is not None else 0
        try:
            written = prepare(declaration, key, base, dict(fields), gone)
        except BadFields as bad:
            raise ValueError(str(bad)) from None
        chosen = written.fields
        if declaration.rule is Rule.ADVANCE and PERCENT in chosen and GENERATION not in chosen:
            generation = self.view(stream, entity, key).fields.get(GENERATION, 0)
            if generation:
                chosen = {**chosen, GENERATION: generation}
        return Change(stream, entity, key, at, write_fields(chosen), base, gone)

    def changes(self) -> Watch:
        """Names of records as their views change, from now on: (stream, entity, key); (stream, 0, 0) when it may be any of a stream."""
        watch = Watch(self._watches.remove)
        self._watches.append(watch)
        return watch

    def pending_streams(self) -> frozenset[int]:
        """The streams that have changes without an outcome."""
        return frozenset(stream for (stream, _, _), ours in self._ours.items() if any(not one.echo for one in ours.values()))

    # What becomes of our mutations

    def appended(self, key: int, operation: bytes) -> None:
        """A mutation is in the store."""
        self._put(Kept(key, operation))

    def refrozen(self, changes: Sequence[tuple[int, bytes]]) -> None:
        """These mutations, by key, have other bytes now."""
        for key, operation in changes:
            self._drop(key)
            self._put(Kept(key, operation))

    def settled(self, key: int, code: int, value: int) -> None:
        """A mutation has its outcome. Written, it is seen until it comes as an event; otherwise what the server has is seen at once."""
        name = self._names.get(key)
        if name is None:
            return
        ours = self._ours[name][key]
        self._drop(key)
        version = written_version(code, value)
        confirmed = self._store.record(*name)
        if version > (confirmed.version if confirmed is not None else 0):
            self._ours.setdefault(name, {})[key] = Ours(key, ours.change, version)
            self._names[key] = name
        self._tell(name)

    def reload(self) -> None:
        """Reads mutations, echoes and snapshots from the store again; every stream may have changed."""
        saved = self._store.load()
        before = set(self._ours)
        self._ours.clear()
        self._names.clear()
        self._marks = {mark.stream: mark for mark in saved.snapshots}
        for kept in saved.settled:
            if kept.echo:
                self._put(kept)
        for kept in saved.mutations:
            self._put(kept)
        streams = {stream for stream, _, _ in before | set(self._ours)} | {size.stream for size in self._store.sizes()}
        for stream in sorted(streams):
            self._tell((stream, 0, 0))

    # What the server says

    def hear(self, stream: int, seq: int, changed: Changed) -> None:
        """An event of a record stream, in its order: written down together with the cursor. Raises `ServerFault` for what is no record."""
        records = [_confirmed(stream, item) for item in changed.records if item.entity in TABLE]
        self._store.apply(stream, seq, records)
        self._heard(records)

    def hear_page(self, page: RecordPage) -> SnapshotMark | None:
        """A page of a snapshot, in order; returns where it goes on, or None: it is complete, and the stream is followed from its head.

        Raises `ServerFault` for what is no record.
        """
        before = self._marks.get(page.stream)
        last = page.records[-1] if page.records else None
        mark = SnapshotMark(
            page.stream,
            before.head if before is not None else page.head,
            last.entity if last is not None else before.entity if before is not None else 0,
            last.key if last is not None else before.key if before is not None else 0,
        )
        records = [_confirmed(page.stream, item) for item in page.records if item.entity in TABLE]
        self._store.apply_page(mark, records, page.more)
        self._heard(records)
        if page.more:
            self._marks[page.stream] = mark
            return mark
        self._marks.pop(page.stream, None)
        self._void(page.stream)
        return None

    def mark(self, stream: int) -> SnapshotMark | None:
        """The snapshot of a stream that is under way."""
        return self._marks.get(stream)

    def forget(self, stream: int) -> None:
        """Drops a stream: cursor, records, snapshot. Changes without an outcome stay in the store, and in view."""
        self._store.forget(stream)
        self._marks.pop(stream, None)
        self._void(stream)

    def _heard(self, records: Iterable[Confirmed]) -> None:
        for record in records:
            name = (record.stream, record.entity, record.key)
            for ours in [one for one in self._ours.get(name, {}).values() if 0 < one.echo <= record.version]:
                self._drop(ours.key)
            self._tell(name)

    def _void(self, stream: int) -> None:
        """What a stream held is replaced: an echo that has not come by now never will."""
        for name in [name for name in self._ours if name[0] == stream]:
            for ours in [one for one in self._ours[name].values() if one.echo]:
                self._drop(ours.key)
        self._tell((stream, 0, 0))

    # Our changes, by record

    def _of(self, name: Name) -> Sequence[Ours]:
        ours = self._ours.get(name, {})
        return [ours[key] for key in sorted(ours)]

    def _put(self, kept: Kept) -> None:
        change = read_change(kept.operation)
        if change is None:
            return
        name = (change.stream, change.entity, change.key)
        if kept.echo:
            confirmed = self._store.record(*name)
            if confirmed is not None and confirmed.version >= kept.echo:
                return
        self._ours.setdefault(name, {})[kept.key] = Ours(kept.key, change, kept.echo)
        self._names[kept.key] = name
        self._tell(name)

    def _drop(self, key: int) -> None:
        name = self._names.pop(key, None)
        if name is None:
            return
        ours = self._ours[name]
        del ours[key]
        if not ours:
            del self._ours[name]
        self._tell(name)

    def _tell(self, name: Name) -> None:
        for watch in self._watches:
            watch.put(name)


def overlay(confirmed: Confirmed, ours: Sequence[Ours]) -> RecordView:
    """What is seen of a record. Pure. Later changes lie over earlier ones; progress shows the most of its generation."""
    fields, gone = dict(confirmed.fields), confirmed.gone
    for one in ours:
        if one.change.gone:
            gone = True
            continue
        written = upcast(confirmed.entity, read_fields(one.change.fields))
        if confirmed.entity == Entity.PROGRESS:
            written = _advanced(fields, written)
        if written:
            fields, gone = {**fields, **written}, False
    pending = tuple(one.key for one in ours if not one.echo)
    return RecordView(confirmed.stream, confirmed.entity, confirmed.key, confirmed.version, {} if gone else fields, gone, pending)


def _advanced(present: Fields, written: Fields) -> Fields:
    """What of a change to progress can be true: never lower within a generation, nothing of an earlier one."""
    generation, mine = present.get(GENERATION, 0), written.get(GENERATION, 0)
    percent, before = written.get(PERCENT), present.get(PERCENT, -1)
    assert isinstance(generation, int) and isinstance(mine, int) and isinstance(before, int)
    rest = {number: value for number, value in written.items() if number not in (PERCENT, GENERATION)}
    if not isinstance(percent, int) or mine < generation or (mine == generation and percent <= before):
        return rest
    return {**rest, PERCENT: percent, **({GENERATION: mine} if mine else {})}


def _confirmed(stream: int, item: RecordItem) -> Confirmed:
    try:
        fields = upcast(item.entity, read_fields(item.fields))
    except BadFields as bad:
        raise ServerFault(f"record {item.key} of entity {item.entity} in stream {stream}: {bad}") from None
    return Confirmed(stream, item.entity, item.key, item.version, {} if item.gone else fields, item.gone)
