"""What a batch of changes does: decided on values that a transaction has read, written by whoever read them.

    seats, records, open conflicts, the time ─▶ Merging ◀─ change, release, resolve … one after the other
                                                  │           each sees what those before it wrote
                                                  ▼
         Decision to each · records · kept values · conflicts · unapplied · notes · items for readers

Pure: the server's transaction and the model of it in the simulation hand in what they hold and write down what comes out.

Invariant: every value that a change brought or replaced unseen is afterwards in a record, kept, in a conflict, or unapplied; a change that
is refused has no other effect than that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from actors.storage import Entry, Refusal
from actors.told import Told
from protocol.codes import Code
from protocol.entities import RECORD_KINDS, BadFields, Declaration, Fields, Rule, Value, read_fields
from protocol.merge import (
    GONE,
    NOTHING,
    Outcome,
    Record,
    Stamp,
    Verdict,
    Written,
    declared,
    merge,
    outcome_value,
    prepare,
    seal,
    set_back,
    write_over,
)
from protocol.operations import Change
from protocol.permissions import Permission
from protocol.values import ConflictState, KeptAs, StreamKind


class Place(NamedTuple):
    """Where a record is. In this order they are locked."""

    stream: int
    entity: int
    key: int


class Seat(Struct, frozen=True):
    """What one user is to one stream. `role` 0: no member of its space.

    `community`: the one the stream belongs to, itself or as an enrolment, if the user is or was in it; else 0. `left`: was, and is not.
    """

    kind: StreamKind = StreamKind.OTHER
    read_roles: int = 0
    role: int = 0
    community: int = 0
    left: bool = False
    custom: int = 0
    """What custom roles add in the community whose own stream this is, as the sum of 2^permission."""

    def writes(self, declaration: Declaration) -> bool:
        """Whether they may write such records here, once they may read."""
        by_custom_role = declaration.permission is not None and self.may(declaration.permission)
        return bool(self.role & declaration.writers) or by_custom_role

    def may(self, permission: Permission) -> bool:
        """Whether a custom role here gives it."""
        return bool(self.custom >> permission & 1)


NO_SEAT: Final = Seat()
RECORDS_MAX: Final = 10_000
"""Records of one entity in a stream, counting those that are deleted and not yet forgotten. A device takes them all."""
FULL: Final = f"this stream has {RECORDS_MAX} records of this kind, with those that were deleted lately: no more are made"
PAYLOAD_BYTES_MAX: Final = 32 * 1024
"""Of a refused change that is kept. The longest that this server could apply is some 17 kB; what is longer stays with whoever sent it."""


class Draft(Struct):
    """A conflict that is new or that grows. `id` is given when it is written; the others are as in the database."""

    place: Place
    user: int
    device: int
    number: int
    state: ConflictState
    written_at: int
    base: int
    version: int
    mine: Fields
    theirs: Fields
    common: Fields = {}
    gone: bool = False
    id: int = 0


class Decision(Struct, frozen=True):
    """What becomes of one change. Its value is known once conflicts have their ids."""

    code: Code = Code.OK
    detail: str = ""
    outcome: Outcome = Outcome.APPLIED
    version: int = 0
    draft: Draft | None = None

    @property
    def value(self) -> int:
        """As a mutation's value says it."""
        if self.code is not Code.OK:
            return 0
        if self.outcome is Outcome.REVIEW:
            assert self.draft is not None and self.draft.id, "conflicts get their ids first"
            return outcome_value(self.outcome, self.draft.id)
        return outcome_value(self.outcome, self.version)


class Kept(Struct, frozen=True):
    """Values beside the present ones. `version`: the record's when they were written (0: they never were). `author` 0: of the stamp's
    device."""

    place: Place
    kept: KeptAs
    version: int
    author: int
    stamp: Stamp
    fields: Fields


class Unapplied(Struct, frozen=True):
    """What was refused and is kept. `community` 0: in the person's own space."""

    entry: Entry
    code: Code
    detail: str
    operation: bytes
    community: int
    left: bool


class Note(Struct, frozen=True):
    """Somebody is to hear in their inbox where a conflict stands. `by`: who brought it there (0: the rule)."""

    user: int
    draft: Draft
    by: int = 0


class Merging:
    """One transaction's changes. Hand in what was read; call in order; then take what is to be written.

    `records` are also the tombstones; a place that is missing never was. `conflicts` are those open, by place and user.
    """

    def __init__(
        self,
        now: int,
        seats: Mapping[tuple[int, int], Seat],
        records: Mapping[Place, Record],
        conflicts: Mapping[tuple[Place, int], Draft],
        room: Mapping[tuple[int, int], int] = MappingProxyType({}),
    ) -> None:
        """`room`: how many more records of a stream and entity may be made; where it is unsaid, any number."""
        self.now = now
        self._seats = seats
        self._records = records
        self._open = dict(conflicts)
        self._room = dict(room)
        self.written: dict[Place, Record] = {}
        self.writers: dict[Place, int] = {}
        """Who wrote last, of those written."""
        self.kept: list[Kept] = []
        self.drafts: dict[int, Draft] = {}
        """New or grown, by identity, in order."""
        self.unapplied: list[Unapplied] = []
        self.notes: list[Note] = []
        self.told = Told()
        self._met: list[tuple[Draft, int, Record]] = []

    # -- entries ------------------------------------------------------------------------------------------------------

    def decide(self, entry: Entry) -> Decision:
        """A fresh entry's: a `Change`, or a `Refusal`, whose payload is kept."""
        operation = entry.operation
        if isinstance(operation, Refusal):
            return self._refuse(entry, operation.code, operation.detail, operation.payload, NO_SEAT)
        assert isinstance(operation, Change), operation
        seat = self._seats.get((operation.stream, entry.user), NO_SEAT)
        declaration, refusal = judge(seat, operation)
        if declaration is None:
            return self._refuse(entry, *refusal, msgspec.msgpack.encode(operation), seat)
        try:
            written = prepare(declaration, operation.key, operation.base, read_fields(operation.fields), operation.gone)
            place = Place(operation.stream, operation.entity, operation.key)
            if not operation.gone and not self.has_room(place):
                return self._refuse(entry, Code.LIMIT, FULL, msgspec.msgpack.encode(operation), seat)
            return self.apply(place, written, entry.user, stamp_of(entry, operation.at, self.now))
        except BadFields as error:
            return self._refuse(entry, Code.INVALID, str(error), msgspec.msgpack.encode(operation), seat)

    def _refuse(self, entry: Entry, code: Code, detail: str, operation: bytes, seat: Seat) -> Decision:
        if 0 < len(operation) <= PAYLOAD_BYTES_MAX:
            self.unapplied.append(Unapplied(entry, code, detail, operation, seat.community, seat.left))
        return Decision(code, detail)

    def has_room(self, place: Place) -> bool:
        """Whether a record may be made here, if there is none."""
        return bool(self.record(place).cells) or self._room.get((place.stream, place.entity), 1) > 0

    # -- what is written, for entries and for whoever decides otherwise -------------------------------------------------

    def record(self, place: Place) -> Record:
        """As it stands now, in the middle of the batch."""
        return self.written.get(place) or self._records.get(place, NOTHING)

    def found(self, place: Place) -> Record:
        """As it stood before the batch."""
        return self._records.get(place, NOTHING)

    def apply(self, place: Place, change: Written, author: int, stamp: Stamp) -> Decision:
        """Merges by the entity's rule; whether `author` may is not asked here. Raises `BadFields`, having done nothing."""
        declaration = _declaration(place)
        before = self.record(place)
        verdict = merge(declaration, before, change, stamp)
        draft = self._conflict(place, before, change, author, stamp, verdict, declaration) if verdict.conflict else None
        if verdict.attempt:
            # An attempt is kept as a whole, so whatever it replaces was kept when it came.
            version = 0 if verdict.outcome is Outcome.SUPERSEDED else verdict.record.version
            self.kept.append(Kept(place, KeptAs.ATTEMPT, version, author, stamp, change.fields))
        elif declaration.rule is Rule.MANUAL:
            self._keep_edited(place, declaration, before, verdict.record)
        else:
            if declaration.rule is not Rule.SERVER:
                self._keep(place, KeptAs.OVERWRITTEN, before, verdict.theirs)
            if verdict.mine:
                self.kept.append(Kept(place, KeptAs.LOST, 0, author, stamp, verdict.mine))
        self._write(place, self._sealed(place, before, verdict, author, stamp), author)
        return Decision(outcome=verdict.outcome, version=verdict.record.version, draft=draft)

    def write_over(self, place: Place, change: Written, author: int, stamp: Stamp) -> Decision:
        """Writes what a person decided who has seen both sides. What it replaces is kept."""
        declaration = _declaration(place)
        before = self.record(place)
        verdict = write_over(declaration, before, change, stamp)
        if declaration.rule is Rule.MANUAL:
            self._keep_edited(place, declaration, before, verdict.record)
        else:
            self._keep(place, KeptAs.OVERWRITTEN, before, verdict.theirs)
        if declaration.rule is Rule.ATTEMPTS and verdict.told is not None:
            self.kept.append(Kept(place, KeptAs.ATTEMPT, verdict.record.version, author, stamp, change.fields))
        self._write(place, self._sealed(place, before, verdict, author, stamp), author)
        return Decision(outcome=verdict.outcome, version=verdict.record.version)

    def set_back(self, place: Place, percent: int, author: int, stamp: Stamp) -> Decision:
        """Begins a new generation of progress. The value before is kept."""
        before = self.record(place)
        verdict = set_back(before, percent, stamp)
        self._keep(place, KeptAs.SET_BACK, before, verdict.theirs)
        self._write(place, verdict, author)
        return Decision(outcome=verdict.outcome, version=verdict.record.version)

    def _write(self, place: Place, verdict: Verdict, author: int) -> None:
        if verdict.told is None:
            return
        kind = (place.stream, place.entity)
        if kind in self._room and not self.record(place).cells:
            self._room[kind] -= 1
        self.written[place] = verdict.record
        self.writers[place] = author
        self.told.add(place, author, verdict.record.version, verdict.told, verdict.record.is_gone)

    # -- what is kept -------------------------------------------------------------------------------------------------

    def keep_lost(self, place: Place, author: int, stamp: Stamp, fields: Fields) -> None:
        """A value that somebody entered and that is not written, whatever the reason."""
        self.kept.append(Kept(place, KeptAs.LOST, 0, author, stamp, fields))

    def _keep(self, place: Place, kept: KeptAs, before: Record, fields: Fields) -> None:
        """Values of the record as it was, with who wrote them when."""
        written: dict[tuple[int, Stamp], Fields] = {}
        for number, value in fields.items():
            cell = before.cells[number]
            written.setdefault((cell.version, cell.stamp), {})[number] = value
        for (version, stamp), values in written.items():
            self.kept.append(Kept(place, kept, version, 0, stamp, values))

    def _sealed(self, place: Place, before: Record, verdict: Verdict, author: int, stamp: Stamp) -> Verdict:
        """An exam's question without its answer. What is taken out is kept, where those who write the library find it."""
        sealed, taken = seal(place.entity, verdict)
        stood = {number: value for number, value in taken.items() if number in before.cells and before.cells[number].value == value}
        self._keep(place, KeptAs.OVERWRITTEN, before, stood)
        if brought := {number: value for number, value in taken.items() if number not in stood}:
            self.kept.append(Kept(place, KeptAs.LOST, 0, author, stamp, brought))
        return sealed

    def _keep_edited(self, place: Place, declaration: Declaration, before: Record, after: Record) -> None:
        """Of content every earlier value is kept, seen or not; of what is deleted all of it, beyond the tombstone's horizon."""
        if after is before:
            return
        deleted = after.is_gone and not before.is_gone
        replaced: Fields = {}
        for number, cell in before.cells.items():
            field = declaration.field(number)
            if field is not None and not field.housekeeping and (deleted or after.cells[number].value != cell.value):
                replaced[number] = cell.value
        self._keep(place, KeptAs.EDITED, before, replaced)

    def _conflict(
        self, place: Place, before: Record, change: Written, author: int, stamp: Stamp, verdict: Verdict, declaration: Declaration
    ) -> Draft:
        review = verdict.outcome is Outcome.REVIEW
        draft = Draft(
            place,
            author,
            stamp.device,
            stamp.number,
            ConflictState.PENDING if review else ConflictState.AUTOMATIC,
            stamp.at,
            change.base,
            before.version,
            verdict.mine,
            verdict.theirs,
            gone=change.gone,
        )
        present = self._open.get((place, author)) if review else None
        if 0 < change.base <= before.version:
            self._met.append((present or draft, change.base, before))
        if review:
            if present is not None:
                self._grow(present, draft, before)
                return present
            self._open[(place, author)] = draft
        self.drafts[id(draft)] = draft
        if declaration.rule in (Rule.SERVER, Rule.MANUAL):
            self.notes.append(Note(author, draft))
        return draft

    def _grow(self, draft: Draft, newer: Draft, present: Record) -> None:
        """One who goes on writing before they decided adds to what waits; what they replaced of it is kept."""
        replaced = draft.mine if newer.gone else {n: v for n, v in draft.mine.items() if n in newer.mine and newer.mine[n] != v}
        if replaced:
            stamp = Stamp(draft.written_at, draft.device, draft.number)
            self.kept.append(Kept(draft.place, KeptAs.LOST, 0, draft.user, stamp, replaced))
        draft.mine = {} if newer.gone else {**draft.mine, **newer.mine}
        draft.gone = newer.gone
        draft.device, draft.number, draft.written_at = newer.device, newer.number, newer.written_at
        about = {**draft.theirs, **newer.theirs}
        draft.theirs = {n: present.cells[n].value if n in present.cells else v for n, v in about.items()}
        draft.version = newer.version
        self.drafts[id(draft)] = draft

    # -- what conflicts need beside -----------------------------------------------------------------------------------

    @property
    def new_drafts(self) -> list[Draft]:
        """Conflicts that have no id yet, in order."""
        return [draft for draft in self.drafts.values() if not draft.id]

    @property
    def based(self) -> list[Place]:
        """Of which records kept values say what both sides of a conflict began from; sorted."""
        return sorted({draft.place for draft, _, _ in self._met})

    def fill_common(self, versions: Iterable[Kept]) -> None:
        """Tells conflicts what both sides began from. `versions`: those kept of the records `based` before this batch."""
        kept: dict[Place, list[Kept]] = {draft.place: [] for draft, _, _ in self._met}
        for one in (*versions, *self.kept):
            if one.place in kept:
                kept[one.place].append(one)
        for draft, base, record in self._met:
            draft.common = {**common(_declaration(draft.place), base, record, kept[draft.place]), **draft.common}


def judge(seat: Seat, change: Change) -> tuple[Declaration | None, tuple[Code, str]]:
    """Whether the seat allows the change: the entity's declaration, or None and the refusal."""
    if not seat.role:
        return None, (Code.NOT_FOUND, "")
    if not seat.role & seat.read_roles:
        return None, (Code.FORBIDDEN, "this role does not read here")
    declaration = declared(change.entity)
    if declaration is None:
        return None, (Code.UNKNOWN, f"entity {change.entity}: this server does not know it")
    name = declaration.entity.name.lower()
    if seat.kind not in RECORD_KINDS or seat.kind is not declaration.stream:
        return None, (Code.INVALID, f"{name} is kept in streams of kind {declaration.stream.name}, not {seat.kind.name}")
    if not seat.writes(declaration):
        return None, (Code.FORBIDDEN, f"this role does not write {name}")
    return declaration, (Code.OK, "")


def stamp_of(entry: Entry, at: int, now: int) -> Stamp:
    """When something was written, in bounded time: a clock that runs ahead gains nothing over writing now."""
    return Stamp(max(0, min(at + entry.skew_s, now)), entry.device, entry.number)


def common(declaration: Declaration, base: int, record: Record, kept: Sequence[Kept]) -> Fields:
    """What a record held at version `base`, as far as it can be told: present cells that are as old, and kept values.

    Where not every earlier value is kept (any rule but `MANUAL`) only those of just that version are certain.
    """
    fields: dict[int, tuple[int, Value]] = {}
    for number, cell in record.cells.items():
        if number != GONE and cell.version <= base:
            fields[number] = (cell.version, cell.value)
    for one in kept:
        certain = one.version <= base if declaration.rule is Rule.MANUAL else one.version == base
        if one.kept in (KeptAs.EDITED, KeptAs.OVERWRITTEN) and one.version and certain:
            for number, value in one.fields.items():
                if number not in fields or fields[number][0] < one.version:
                    fields[number] = (one.version, value)
    return {number: value for number, (_, value) in sorted(fields.items())}


def _declaration(place: Place) -> Declaration:
    declaration = declared(place.entity)
    assert declaration is not None, place
    return declaration
