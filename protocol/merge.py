"""What becomes of a change: the rules of the table, as one pure function.

    record, change, stamp ─merge─▶ Verdict: outcome, the record after it, what was written, what lost

Base before clocks: a field that has not changed since the version that the writer knew is simply written, whatever the clocks say. Only
where two did not know of each other a rule decides, by *bounded* time: min(the device's clock + its measured skew, when the server received
it), so that a clock which runs ahead gains nothing over uploading now.

Whether a record is there is one more cell (`GONE`), written by deleting it and by writing it again. What is written of a deleted record is
merged under its tombstone all the same: so changes that did not know of each other lead to the same record whatever the order in which
they arrive.

Invariant: a value that loses is in `theirs` or `mine`, or its change is kept as an attempt; progress never falls within a generation; a
record's version grows by one with each verdict that writes, and one that does not write gives back the record that it was given.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

import msgspec
from msgspec import Struct

from protocol.entities import (
    CASTS,
    MADE_TOGETHER,
    TABLE,
    BadFields,
    Cast,
    Declaration,
    Entity,
    Fields,
    Rule,
    Value,
    bring_up,
    check,
    with_siblings,
)
from protocol.grading import ANSWERING, EXAM

GONE: Final = 0
"""Stands among a record's cells for its being deleted; no field has this number."""
PERCENT: Final = 1
GENERATION: Final = 2
"""The fields of progress that `Rule.ADVANCE` is about."""


class Outcome(IntEnum):
    """What became of a change. A mutation's value says it, together with a number: `n * 8 + outcome`."""

    APPLIED = 0
    """Written. n: the record's version now."""
    DUPLICATE = 1
    """The record held just this already. n: its version."""
    MERGED = 2
    """Written beside, or over, what the writer did not know of; what lost is kept. n: the record's version now."""
    SUPERSEDED = 3
    """Not written: what the writer did not know of stays by the rule. What lost is kept. n: the record's version."""
    REVIEW = 4
    """Not written: a person decides. n: the conflict."""


def outcome_value(outcome: Outcome, n: int) -> int:
    """A mutation's value."""
    return n * 8 + outcome


def read_outcome(value: int) -> tuple[Outcome, int]:
    """Outcome and n of a change's value. What a newer server says is read as `REVIEW`: look at it."""
    kind = value % 8
    return (Outcome(kind) if kind <= Outcome.REVIEW else Outcome.REVIEW), value // 8


class Stamp(Struct, frozen=True, array_like=True, order=True):
    """When a value was written, for comparing: bounded Unix seconds, then device and number, so that two are never equal."""

    at: int
    device: int
    number: int


class Cell(Struct, frozen=True, array_like=True):
    """One field of a record, as the server holds it. `version` is the record's when it was last written; `stamp` says by whom, and when."""

    value: Value
    version: int
    stamp: Stamp


class Record(Struct, frozen=True, array_like=True):
    """A record as the server holds it: its version (0: it never was) and its cells by field.

    A version without cells: whatever was here was deleted and forgotten, and went no further than that.
    """

    version: int = 0
    cells: dict[int, Cell] = {}

    @property
    def is_gone(self) -> bool:
        """Deleted, and not written since."""
        gone = self.cells.get(GONE)
        return gone is not None and gone.value is True

    @property
    def fields(self) -> Fields:
        """What a reader sees of it."""
        return {number: cell.value for number, cell in self.cells.items() if number != GONE}


NOTHING: Final = Record()


class Written(Struct, frozen=True):
    """A change on its way into a record: fields already upcast. `gone`: deletes it."""

    base: int
    fields: Fields
    gone: bool = False


class Verdict(Struct, frozen=True):
    """What becomes of a change.

    `record` is the one that was given unless something is written. `told` is what readers are told (None: nothing was written; empty
    where the record is gone). `theirs` and `mine`: values that lost on either side, to be kept.
    `conflict`: two did not know of each other, and a value or a deletion lost: it is listed. `attempt`: the whole change is kept as one.
    """

    outcome: Outcome
    record: Record
    told: Fields | None = None
    theirs: Fields = {}
    mine: Fields = {}
    conflict: bool = False
    attempt: bool = False


def prepare(declaration: Declaration, key: int, base: int, fields: Fields, gone: bool) -> Written:
    """A change as it may be merged: checked, and its fields brought to the present schema. Raises `BadFields`."""
    fields = bring_up(declaration, fields)
    check(declaration, fields)
    if gone and not declaration.deletable:
        raise BadFields(f"{declaration.entity.name.lower()} cannot be deleted")
    if gone and fields:
        raise BadFields("a deletion carries no fields")
    if not gone and not fields:
        raise BadFields("a change carries at least one field, or deletes")
    if declaration.single and key != 1:
        raise BadFields(f"{declaration.entity.name.lower()} has one record, with key 1")
    return Written(base, fields, gone)


def merge(declaration: Declaration, record: Record, change: Written, stamp: Stamp) -> Verdict:
    """Decides. Raises `BadFields` for what only the record shows to be wrong."""
    if change.base > record.version:
        # From a history that was lost when the database was restored, or of a record that was deleted and forgotten. What it knew is not
        # what stands here.
        change = Written(0, change.fields, change.gone)
    match declaration.rule:
        case Rule.ADVANCE:
            return _advance(declaration, record, change, stamp)
        case Rule.LATEST | Rule.ATTEMPTS if change.gone:
            return _delete_latest(declaration, record, change, stamp)
        case Rule.LATEST | Rule.ATTEMPTS:
            return _write_latest(declaration, record, change, stamp)
        case Rule.SERVER | Rule.MANUAL:
            return _write_first(declaration, record, change, stamp)


def _write_latest(declaration: Declaration, record: Record, change: Written, stamp: Stamp) -> Verdict:
    """Field by field: what the writer knew gives way; of the rest, the later one stays."""
    attempt = declaration.rule is Rule.ATTEMPTS
    written: dict[int, Value] = {}
    theirs: Fields = {}
    mine: Fields = {}
    for number, value in change.fields.items():
        cell = record.cells.get(number)
        if cell is None:
            written[number] = value
        elif cell.value == value:
            if cell.stamp < stamp:
                written[number] = value  # said again later: nothing earlier may replace it now
        elif _knows(change.base, cell, stamp):
            written[number] = value
        elif cell.stamp < stamp:
            written[number] = value
            if not _is_housekeeping(declaration, number):
                theirs[number] = cell.value
        elif not _is_housekeeping(declaration, number):
            mine[number] = value
    plain = {number: value for number, value in change.fields.items() if not _is_housekeeping(declaration, number)}
    if record.is_gone and plain:
        gone = record.cells[GONE]
        if _knows(change.base, gone, stamp) or gone.stamp < stamp:
            written[GONE] = False
        else:
            mine = plain
    if not written and not mine:
        return Verdict(Outcome.DUPLICATE, record, attempt=attempt)
    stays_gone = record.is_gone and GONE not in written
    if stays_gone or (mine and not any(number in written for number in (*plain, GONE))):
        outcome = Outcome.SUPERSEDED
    elif theirs or mine or _is_elsewhere(declaration, record, change, stamp):
        outcome = Outcome.MERGED
    else:
        outcome = Outcome.APPLIED
    verdict = _write(declaration, record, stamp, written, outcome)
    return msgspec.structs.replace(verdict, theirs=theirs, mine=mine, conflict=not attempt and bool(theirs or mine), attempt=attempt)


def _delete_latest(declaration: Declaration, record: Record, change: Written, stamp: Stamp) -> Verdict:
    """A record goes if the deletion is later than all that was written of it unseen."""
    gone = record.cells.get(GONE)
    if not record.cells or (record.is_gone and gone is not None and not gone.stamp < stamp):
        return Verdict(Outcome.DUPLICATE, record)
    if record.is_gone:
        return _write(declaration, record, stamp, {GONE: True}, Outcome.APPLIED)
    unseen = _unseen(declaration, record, change, stamp)
    if any(not cell.stamp < stamp for cell in unseen.values()):
        return Verdict(Outcome.SUPERSEDED, record, conflict=True)
    theirs = {number: cell.value for number, cell in unseen.items() if number != GONE}
    verdict = _write(declaration, record, stamp, {GONE: True}, Outcome.MERGED if unseen else Outcome.APPLIED)
    return msgspec.structs.replace(verdict, theirs=theirs, conflict=bool(theirs))


def _write_first(declaration: Declaration, record: Record, change: Written, stamp: Stamp) -> Verdict:
    """What was there first stays: a change that did not know of it is not written, as a whole."""
    housekeeping: dict[int, Value] = {}
    written: dict[int, Value] = {}
    theirs: Fields = {}
    conflict = False
    if change.gone:
        if record.is_gone or not record.cells:
            return Verdict(Outcome.DUPLICATE, record)
        unseen = _unseen(declaration, record, change, stamp)
        theirs = {number: cell.value for number, cell in unseen.items() if number != GONE}
        conflict = bool(unseen)
        written[GONE] = True
    for number, value in change.fields.items():
        cell = record.cells.get(number)
        if _is_housekeeping(declaration, number):
            if cell is None or (cell.value != value and (_knows(change.base, cell, stamp) or cell.stamp < stamp)):
                housekeeping[number] = value
        elif cell is None:
            written[number] = value
        elif cell.value != value or record.is_gone:
            written[number] = value
            if cell.value != value and not _knows(change.base, cell, stamp):
                theirs[number] = cell.value
                conflict = True
    if record.is_gone:
        if not written:
            return Verdict(Outcome.SUPERSEDED, record)
        conflict = conflict or not _knows(change.base, record.cells[GONE], stamp)
        written[GONE] = False
    if conflict and declaration.rule is Rule.MANUAL:
        return Verdict(Outcome.REVIEW, record, mine=dict(change.fields), theirs=theirs, conflict=True)
    if conflict:
        verdict = _write(declaration, record, stamp, {} if record.is_gone else housekeeping, Outcome.SUPERSEDED)
        return msgspec.structs.replace(verdict, mine=dict(change.fields), theirs=theirs, conflict=True)
    written.update(housekeeping)
    if not written:
        return Verdict(Outcome.DUPLICATE, record)
    elsewhere = not change.gone and _is_elsewhere(declaration, record, change, stamp)
    return _write(declaration, record, stamp, written, Outcome.MERGED if elsewhere else Outcome.APPLIED)


def _advance(declaration: Declaration, record: Record, change: Written, stamp: Stamp) -> Verdict:
    generation = _number(record, GENERATION)
    begun = record.cells.get(GENERATION)
    mine = change.fields.get(GENERATION)
    if mine is None:
        mine = generation if begun is None or _knows(change.base, begun, stamp) else 0
    assert isinstance(mine, int)
    if mine > generation:
        raise BadFields(f"field {GENERATION} (generation): this progress is in generation {generation}; only staff begin a new one")
    percent = change.fields.get(PERCENT)
    if mine < generation and percent is not None:
        return Verdict(Outcome.SUPERSEDED, record, mine={PERCENT: percent, GENERATION: mine})
    written: dict[int, Value] = {}
    for number, value in change.fields.items():
        if _is_housekeeping(declaration, number):
            cell = record.cells.get(number)
            if cell is None or (cell.value != value and (_knows(change.base, cell, stamp) or cell.stamp < stamp)):
                written[number] = value
    outcome = Outcome.APPLIED if written else Outcome.DUPLICATE
    present = record.cells.get(PERCENT)
    if percent is not None and (present is None or percent > _number(record, PERCENT)):  # type: ignore[operator]
        written[PERCENT] = percent
        outcome = Outcome.MERGED if present is not None and not _knows(change.base, present, stamp) else Outcome.APPLIED
    elif percent is not None and percent != _number(record, PERCENT):
        outcome = Outcome.SUPERSEDED
    return _write(declaration, record, stamp, written, outcome)


def set_back(record: Record, percent: int, stamp: Stamp) -> Verdict:
    """Begins a new generation of a learner's progress: what staff do. The value before is in `theirs`."""
    written: dict[int, Value] = {PERCENT: percent, GENERATION: _number(record, GENERATION) + 1}
    before: Fields = {number: record.cells[number].value for number in (PERCENT, GENERATION) if number in record.cells}
    version = record.version + 1
    cells = {**record.cells, **{number: Cell(value, version, stamp) for number, value in written.items()}}
    return Verdict(Outcome.APPLIED, Record(version, cells), told=dict(written), theirs=before)


def write_over(declaration: Declaration, record: Record, change: Written, stamp: Stamp) -> Verdict:
    """Writes as a person decided who has seen both sides: no rule is asked, but progress only advances. `theirs`: what was there."""
    if declaration.rule is Rule.ADVANCE:
        return _advance(declaration, record, Written(record.version, change.fields), stamp)
    if change.gone:
        if record.is_gone or not record.cells:
            return Verdict(Outcome.DUPLICATE, record)
        values: dict[int, Value] = {GONE: True}
        theirs = {number: value for number, value in record.fields.items() if not _is_housekeeping(declaration, number)}
    else:
        values = {n: v for n, v in change.fields.items() if n not in record.cells or record.cells[n].value != v}
        theirs = {n: record.cells[n].value for n in values if n in record.cells and not _is_housekeeping(declaration, n)}
        if record.is_gone and change.fields:
            values[GONE] = False
    if not values:
        return Verdict(Outcome.DUPLICATE, record)
    return msgspec.structs.replace(_write(declaration, record, stamp, values, Outcome.APPLIED), theirs=theirs)


def seal(entity: int, verdict: Verdict) -> tuple[Verdict, Fields]:
    """An exam's question without what says its answer, whoever wrote which half of it; and what was taken out of it.

    Fields are merged one by one: the key of who made it practice and the `exam` of who made it one would stand beside each other, where
    learners read. A cell that is emptied keeps its stamp, so that a later `exam` finds the same record in whatever order both came.
    """
    cells = verdict.record.cells
    if entity != Entity.QUESTION or verdict.told is None or EXAM not in cells or cells[EXAM].value is not True:
        return verdict, {}
    taken: Fields = {number: cells[number].value for number in ANSWERING if number in cells and cells[number].value}
    if not taken:
        return verdict, {}
    version = verdict.record.version
    empty: Fields = {number: "" if isinstance(value, str) else () for number, value in taken.items()}
    sealed = {**cells, **{number: Cell(value, version, cells[number].stamp) for number, value in empty.items()}}
    told = verdict.told if verdict.record.is_gone else {**verdict.told, **empty}
    return msgspec.structs.replace(verdict, record=Record(version, sealed), told=told), taken


def _write(declaration: Declaration, record: Record, stamp: Stamp, values: Mapping[int, Value], outcome: Outcome) -> Verdict:
    """The record with these values, `GONE` among them."""
    if not values:
        return Verdict(outcome, record)
    version = record.version + 1
    cells = {**record.cells, **{number: Cell(value, version, stamp) for number, value in values.items()}}
    after = Record(version, cells)
    if after.is_gone:
        told: Fields = {}
    elif record.is_gone:
        told = after.fields
    else:
        told = with_siblings(declaration.entity, dict(values), after.fields) if declaration.entity in MADE_TOGETHER else dict(values)
    return Verdict(outcome, after, told=told)


def _unseen(declaration: Declaration, record: Record, change: Written, stamp: Stamp) -> dict[int, Cell]:
    """What a deletion's writer did not know: all but housekeeping."""
    return {
        number: cell
        for number, cell in record.cells.items()
        if not _is_housekeeping(declaration, number) and not _knows(change.base, cell, stamp)
    }


def _is_elsewhere(declaration: Declaration, record: Record, change: Written, stamp: Stamp) -> bool:
    """Whether other fields were written that the writer did not know of."""
    return record.version > change.base and any(
        number != GONE
        and number not in change.fields
        and not _is_housekeeping(declaration, number)
        and not _knows(change.base, cell, stamp)
        for number, cell in record.cells.items()
    )


def _knows(base: int, cell: Cell, stamp: Stamp) -> bool:
    """Whether the writer knew this cell: by version, or because it was this device that wrote it before."""
    return cell.version <= base or (cell.stamp.device == stamp.device and cell.stamp.number < stamp.number)


def _is_housekeeping(declaration: Declaration, number: int) -> bool:
    return number in _HOUSEKEEPING[declaration.entity]


_HOUSEKEEPING: Final = {
    declaration.entity: frozenset(field.number for field in declaration.fields if field.housekeeping) for declaration in TABLE.values()
}


def _number(record: Record, field: int) -> int:
    cell = record.cells.get(field)
    return cell.value if cell is not None and isinstance(cell.value, int) else 0


def declared(entity: int) -> Declaration | None:
    """The entity's declaration; None for one that nobody knows."""
    return TABLE.get(entity)


_RECORD: Final = msgspec.msgpack.Decoder(Record)
_PACK: Final = msgspec.msgpack.Encoder()


def pack_record(record: Record) -> bytes:
    """A record's bytes, as they are stored."""
    return _PACK.encode(record)


def unpack_record(stored: bytes, entity: int) -> Record:
    """A stored record of an entity, its cells of whatever schema brought to the present one."""
    record = _RECORD.decode(stored)
    for cast in CASTS:
        if cast.entity == entity and any(number in record.cells for number in cast.old):
            record = Record(record.version, _cast(cast, record.cells))
    return record


def _cast(cast: Cast, cells: Mapping[int, Cell]) -> dict[int, Cell]:
    """Cells whose fields a newer schema replaced: what they become was written when they were."""
    latest = max((cells[number] for number in cast.old if number in cells), key=lambda cell: cell.version)
    made = cast.up({number: cell.value for number, cell in cells.items() if number != GONE})
    new = {number: Cell(value, latest.version, latest.stamp) for number, value in made.items()}
    return {**new, **{number: cell for number, cell in cells.items() if number not in cast.old}}
