"""What becomes of a change: the rules of the table, as one pure function.

    record, change, stamp ─merge─▶ Verdict: outcome, the record after it, what was written, what lost

Base before clocks: a field that has not changed since the version that the writer knew is simply written, whatever the clocks say. Only
where two did not know of each other a rule decides, by *bounded* time: min(the device's clock + its measured skew, when the server received
it), so that a clock which runs ahead gains nothing over uploading now.

Invariant: whatever the order in which changes arrive, a value that loses is in `lost` or the change as a whole is kept by its outcome;
progress never falls within a generation; a record's version grows by one with each verdict that writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

import msgspec
from msgspec import Struct

from protocol.entities import TABLE, BadFields, Declaration, Fields, Rule, Value, check, upcast, with_siblings

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
    """One field of a record, as the server holds it. `version` is the record's when it was last written."""

    value: Value
    version: int
    stamp: Stamp


class Record(Struct, frozen=True, array_like=True):
    """A record as the server holds it: its version (0: it never was) and its cells by field."""

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

    `record` is the one that was given unless something is written. `told` is what readers are told (None: nothing was written).
    `theirs` and `mine`: values that lost on either side, to be kept; `base` cells are not known to the server and so not here.
    `conflict`: two did not know of each other, and a value lost: it is listed. `attempt`: keep the whole change as an attempt.
    """

    outcome: Outcome
    record: Record
    told: Fields | None = None
    theirs: Fields = {}
    mine: Fields = {}
    conflict: bool = False
    attempt: bool = False


def prepare(declaration: Declaration, key: int, base: int, fields: Fields, gone: bool) -> Written:
    """A change as it may be merged: upcast and checked. Raises `BadFields`."""
    fields = upcast(declaration.entity, fields)
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
    if declaration.rule is Rule.ADVANCE:
        return _advance(declaration, record, change, stamp)
    # A base beyond the record is from a history that was lost when the database was restored: the writer knew more than we do.
    cells = {GONE: True} if change.gone else change.fields
    kept: dict[int, Value] = {}
    unseen: dict[int, Cell] = {}
    for number, value in cells.items():
        cell = record.cells.get(number)
        if cell is not None and cell.value == value and not (record.is_gone and number != GONE):
            continue
        field = declaration.field(number)
        if field is not None and field.housekeeping:
            if cell is None or cell.stamp < stamp:
                kept[number] = value
        elif cell is None or _knows(change.base, cell, stamp):
            kept[number] = value
        else:
            unseen[number] = cell
    if change.gone:
        unseen.update(
            {
                n: c
                for n, c in record.cells.items()
                if n != GONE and not _is_housekeeping(declaration, n) and not _knows(change.base, c, stamp)
            }
        )
        if record.is_gone or not record.version:
            return Verdict(Outcome.DUPLICATE, record)
    elif record.is_gone and not _knows(change.base, record.cells[GONE], stamp):
        unseen[GONE] = record.cells[GONE]
    attempt = declaration.rule is Rule.ATTEMPTS
    if not kept and not unseen:
        return Verdict(Outcome.DUPLICATE, record, attempt=attempt)
    if unseen:
        return _settle(declaration, record, change, stamp, kept, unseen)
    elsewhere = record.version > change.base and any(
        number not in cells and not _is_housekeeping(declaration, number) and not _knows(change.base, cell, stamp)
        for number, cell in record.cells.items()
    )
    return _write(declaration, record, stamp, kept, Outcome.MERGED if elsewhere else Outcome.APPLIED, change, attempt=attempt)


def _settle(
    declaration: Declaration, record: Record, change: Written, stamp: Stamp, kept: dict[int, Value], unseen: Mapping[int, Cell]
) -> Verdict:
    """Two did not know of each other: the rule decides."""
    mine = {number: change.fields[number] for number in unseen if number in change.fields} or dict(change.fields)
    theirs = {number: cell.value for number, cell in unseen.items() if number != GONE}
    match declaration.rule:
        case Rule.MANUAL:
            return Verdict(Outcome.REVIEW, record, mine=dict(change.fields), theirs=theirs, conflict=True)
        case Rule.SERVER:
            housekeeping = {n: v for n, v in kept.items() if _is_housekeeping(declaration, n)}
            verdict = _write(declaration, record, stamp, housekeeping, Outcome.SUPERSEDED, change)
            return msgspec.structs.replace(verdict, mine=dict(change.fields), theirs=theirs, conflict=True)
        case Rule.LATEST | Rule.ATTEMPTS:
            attempt = declaration.rule is Rule.ATTEMPTS
            whole = change.gone or GONE in unseen or attempt
            if whole:
                # Deleting and an attempt are about the record as a whole: it is written as a whole or not at all.
                won = stamp > max(cell.stamp for cell in unseen.values())
                later = dict.fromkeys(unseen) if won else {}
            else:
                won = False
                later = {number: None for number, cell in unseen.items() if stamp > cell.stamp}
            losers = {number: value for number, value in theirs.items() if number in later}
            lost_mine = {} if won else {number: value for number, value in mine.items() if number not in later}
            if whole and not won:
                kept = {n: v for n, v in kept.items() if _is_housekeeping(declaration, n)}
                lost_mine = dict(change.fields)
            elif whole:
                kept = {GONE: True} if change.gone else dict(change.fields)
            else:
                kept = {**kept, **{number: change.fields[number] for number in later}}
            plain = {n for n in kept if not _is_housekeeping(declaration, n)}
            outcome = Outcome.MERGED if plain else Outcome.SUPERSEDED
            verdict = _write(declaration, record, stamp, kept, outcome, change, attempt=attempt)
            conflict = not attempt and bool(losers or lost_mine or change.gone)
            return msgspec.structs.replace(verdict, mine=lost_mine, theirs=losers, conflict=conflict)
        case _:
            raise AssertionError(declaration.rule)


def _advance(declaration: Declaration, record: Record, change: Written, stamp: Stamp) -> Verdict:
    generation = _number(record, GENERATION)
    mine = change.fields.get(GENERATION, 0)
    assert isinstance(mine, int)
    if mine > generation:
        raise BadFields(f"field {GENERATION} (generation): this progress is in generation {generation}; only staff begin a new one")
    kept: dict[int, Value] = {
        number: value
        for number, value in change.fields.items()
        if _is_housekeeping(declaration, number)
        and ((cell := record.cells.get(number)) is None or (cell.stamp < stamp and cell.value != value))
    }
    percent = change.fields.get(PERCENT)
    if percent is None:
        return _write(declaration, record, stamp, kept, Outcome.APPLIED, change) if kept else Verdict(Outcome.DUPLICATE, record)
    assert isinstance(percent, int)
    present = record.cells.get(PERCENT)
    if mine < generation:
        verdict = _write(declaration, record, stamp, {}, Outcome.SUPERSEDED, change)
        return msgspec.structs.replace(verdict, mine={PERCENT: percent, GENERATION: mine})
    if present is None or percent > _number(record, PERCENT):
        kept[PERCENT] = percent
        unseen = present is not None and not _knows(change.base, present, stamp)
        return _write(declaration, record, stamp, kept, Outcome.MERGED if unseen else Outcome.APPLIED, change)
    outcome = Outcome.DUPLICATE if percent == _number(record, PERCENT) else Outcome.SUPERSEDED
    return _write(declaration, record, stamp, kept, outcome, change)


def set_back(record: Record, percent: int, stamp: Stamp) -> Verdict:
    """Begins a new generation of a learner's progress: what staff do. The value before is in `theirs`."""
    written: dict[int, Value] = {PERCENT: percent, GENERATION: _number(record, GENERATION) + 1}
    before: Fields = {number: record.cells[number].value for number in (PERCENT, GENERATION) if number in record.cells}
    version = record.version + 1
    cells = {**record.cells, **{number: Cell(value, version, stamp) for number, value in written.items()}}
    return Verdict(Outcome.APPLIED, Record(version, cells), told=dict(written), theirs=before)


def write_over(declaration: Declaration, record: Record, change: Written, stamp: Stamp) -> Verdict:
    """Writes as a person decided who has seen both sides: no rule is asked. What was there is in `theirs`."""
    values: dict[int, Value] = {GONE: True} if change.gone else dict(change.fields)
    theirs = {
        number: cell.value
        for number, cell in record.cells.items()
        if number != GONE and (change.gone or (number in values and values[number] != cell.value))
    }
    if all(number in record.cells and record.cells[number].value == value for number, value in values.items()) and not (
        record.is_gone and not change.gone
    ):
        return Verdict(Outcome.DUPLICATE, record)
    verdict = _write(declaration, record, stamp, values, Outcome.APPLIED, change)
    return msgspec.structs.replace(verdict, theirs=theirs)


def _write(
    declaration: Declaration,
    record: Record,
    stamp: Stamp,
    values: Mapping[int, Value],
    outcome: Outcome,
    change: Written,
    *,
    attempt: bool = False,
) -> Verdict:
    if not values:
        return Verdict(outcome, record, attempt=attempt)
    version = record.version + 1
    cells = dict(record.cells)
    for number, value in values.items():
        before = cells.get(number)
        # A stamp never moves back: a later comparison must not be decided by a clock that this writer did not need.
        cells[number] = Cell(value, version, stamp if before is None or before.stamp < stamp else before.stamp)
    if GONE in cells and GONE not in values and record.is_gone and any(not _is_housekeeping(declaration, n) for n in values):
        cells[GONE] = Cell(False, version, stamp)
    after = Record(version, cells)
    told: Fields = {} if after.is_gone else with_siblings(declaration.entity, {n: v for n, v in values.items() if n != GONE}, after.fields)
    if record.is_gone and not after.is_gone:
        told = after.fields
    return Verdict(outcome, after, told=told, attempt=attempt)


def _knows(base: int, cell: Cell, stamp: Stamp) -> bool:
    """Whether the writer knew this cell: by version, or because it was this device that wrote it before."""
    return cell.version <= base or (cell.stamp.device == stamp.device and cell.stamp.number < stamp.number)


def _is_housekeeping(declaration: Declaration, number: int) -> bool:
    field = declaration.field(number)
    return field is not None and field.housekeeping


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


def unpack_record(stored: bytes) -> Record:
    """A stored record, its fields of whatever schema brought to the present one."""
    record = _RECORD.decode(stored)
    return record
