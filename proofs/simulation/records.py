"""Records: what becomes of a change, of setting progress back, and of what a person decided. The rules themselves are `protocol.merge`.

    Change ─▶ may they? ─▶ merge ─▶ write ─▶ the record, what is kept beside it, a conflict, what readers are told
    SetBack ─────────────▶ set_back ──╯
    Resolve ─────────────▶ write_over ╯

Invariant: what a write takes out of a record without its writer having known it is kept, under whoever had written it.
"""

from __future__ import annotations

from proofs.simulation.rows import ConflictRow, Noted, Place, Refused, Tables, Told, Version
from protocol.codes import Code
from protocol.conflicts import OPEN
from protocol.entities import TABLE, BadFields, Declaration, Entity, Fields, Rule, read_fields, write_fields
from protocol.events import RecordItem
from protocol.merge import GONE, PERCENT, Outcome, Record, Stamp, Verdict, Written, merge, outcome_value, prepare, seal, set_back
from protocol.operations import Change, SetBack
from protocol.values import ConflictState, KeptAs, Role, SpaceKind, StreamKind

TEACHERS = (Role.OWNER, Role.MODERATOR, Role.MENTOR)
ITEMS_MAX = 256


def bounded(at: int, skew_s: int, now: int) -> int:
    """When something was written, as far as anybody believes it."""
    return max(0, min(at + skew_s, now))


def must_change(tables: Tables, user: int, change: Change) -> Declaration:
    """The entity's declaration, if `user` may write it there. Raises `Refused`."""
    row = tables.must_read(change.stream, user)
    declaration = TABLE.get(change.entity)
    if declaration is None:
        raise Refused(Code.UNKNOWN)
    if row.kind is not declaration.stream:
        raise Refused(Code.INVALID)
    if not tables.role(row.space.id, user) & declaration.writers:
        raise Refused(Code.FORBIDDEN)
    return declaration


def apply_change(tables: Tables, declaration: Declaration, author: int, change: Change, stamp: Stamp, now: int) -> int:
    """Merges a change; whether its author may is decided before. The mutation's value. Raises `Refused`."""
    place = (change.stream, change.entity, change.key)
    try:
        written = prepare(declaration, change.key, change.base, read_fields(change.fields), change.gone)
        verdict = merge(declaration, tables.record(place), written, stamp)
    except BadFields as bad:
        raise Refused(Code.INVALID, str(bad)) from None
    n = verdict.record.version
    if verdict.conflict:
        row = _note(tables, place, author, stamp, written, verdict, now)
        n = row.id if verdict.outcome is Outcome.REVIEW else n
    if verdict.attempt:
        keep(tables, place, KeptAs.ATTEMPT, 0 if verdict.outcome is Outcome.SUPERSEDED else n, author, stamp, written.fields)
    verdict = seal_exam(tables, place, author, stamp, verdict)
    write(tables, place, author, verdict, now, {} if declaration.rule in (Rule.SERVER, Rule.ATTEMPTS) else verdict.theirs)
    if verdict.mine and declaration.rule is not Rule.MANUAL and not verdict.attempt:
        keep(tables, place, KeptAs.LOST, 0, author, stamp, verdict.mine)
    return outcome_value(verdict.outcome, n)


def set_progress_back(tables: Tables, user: int, operation: SetBack, device: int, number: int, now: int) -> int:
    """What staff do; the mutation's value. Raises `Refused`."""
    role = tables.role(operation.space, user)
    space = tables.spaces.get(operation.space)
    if space is None or not role:
        raise Refused(Code.NOT_FOUND)
    if space.kind is not SpaceKind.COMMUNITY or role not in TEACHERS:
        raise Refused(Code.FORBIDDEN)
    enrolment = tables.enrolment(operation.space, operation.user)
    if enrolment is None or operation.user not in space.members:
        raise Refused(Code.NOT_FOUND)
    place = (tables.stream_of(enrolment, StreamKind.PROGRESS), int(Entity.PROGRESS), operation.lesson)
    present = tables.record(place).fields.get(PERCENT, 0)
    if not isinstance(present, int) or operation.percent > present:
        raise Refused(Code.INVALID)
    verdict = set_back(tables.record(place), operation.percent, Stamp(now, device, number))
    write(tables, place, user, verdict, now, verdict.theirs, KeptAs.SET_BACK)
    return outcome_value(verdict.outcome, verdict.record.version)


def seal_exam(tables: Tables, place: Place, author: int, stamp: Stamp, verdict: Verdict) -> Verdict:
    """An exam's question without its answer, which is kept for who writes the library."""
    before = tables.record(place)
    sealed, taken = seal(place[1], verdict)
    stood = {number: value for number, value in taken.items() if number in before.cells and before.cells[number].value == value}
    _keep_cells(tables, place, before, stood, KeptAs.OVERWRITTEN)
    if brought := {number: value for number, value in taken.items() if number not in stood}:
        keep(tables, place, KeptAs.LOST, 0, author, stamp, brought)
    return sealed


def write(tables: Tables, place: Place, author: int, verdict: Verdict, now: int, unseen: Fields, kept: KeptAs = KeptAs.OVERWRITTEN) -> None:
    """Puts the record that a verdict leads to in its place, and keeps what that takes away: what its writer had not seen, and of content
    everything."""
    if verdict.told is None:
        return
    before, after = tables.record(place), verdict.record
    if TABLE[place[1]].rule is Rule.MANUAL:
        _keep_cells(tables, place, before, _replaced(TABLE[place[1]], before, after), KeptAs.EDITED)
    else:
        _keep_cells(tables, place, before, unseen, kept)
    tables.records[place] = after
    if not after.is_gone:
        tables.deleted.pop(place, None)
    elif not before.is_gone:
        tables.deleted[place] = now
    _tell_readers(tables, place, author, RecordItem(place[1], place[2], after.version, write_fields(verdict.told), after.is_gone))


def _replaced(declaration: Declaration, before: Record, after: Record) -> Fields:
    deleted = after.is_gone and not before.is_gone
    plain = {field.number for field in declaration.fields if not field.housekeeping}
    return {n: c.value for n, c in before.cells.items() if n in plain and (deleted or after.cells[n].value != c.value)}


def _keep_cells(tables: Tables, place: Place, before: Record, fields: Fields, kept: KeptAs) -> None:
    """Values of the record as it was, apart by who had written them when."""
    groups: dict[tuple[int, Stamp], Fields] = {}
    for number, value in fields.items():
        cell = before.cells[number]
        groups.setdefault((cell.version, cell.stamp), {})[number] = value
    for (version, stamp), values in groups.items():
        keep(tables, place, kept, version, tables.devices[stamp.device].user, stamp, values)


def keep(tables: Tables, place: Place, kept: KeptAs, version: int, author: int, stamp: Stamp, fields: Fields) -> None:
    """Beside the present value, for whoever looks for it."""
    id = tables.number("version", *place)
    tables.versions.setdefault(place, []).append(Version(id, version, kept, author, stamp, dict(fields)))


def _tell_readers(tables: Tables, place: Place, author: int, item: RecordItem) -> None:
    """One event a stream and author, unless somebody else's later one tells of this record: it is told of in the order of its versions,
    and that it was gone in between is told."""
    places = range(len(tables.told))
    mine = max((n for n in places if (tables.told[n].stream, tables.told[n].author) == (place[0], author)), default=-1)
    holding = max((n for n in places if place in tables.told[n].items), default=-1)
    earlier = tables.told[mine].items.get(place) if mine >= 0 else None
    came_back = earlier is not None and earlier.gone and not item.gone
    if mine < 0 or holding > mine or len(tables.told[mine].items) >= ITEMS_MAX or came_back:
        tables.told.append(Told(place[0], author, {place: item}))
        return
    if earlier is not None and not item.gone:
        fields = write_fields({**read_fields(earlier.fields), **read_fields(item.fields)})
        item = RecordItem(item.entity, item.key, item.version, fields)
    tables.told[mine].items[place] = item


def fields_at(tables: Tables, place: Place, version: int) -> Fields:
    """A record's fields when it was at `version`, as far as that is certain."""
    if not version:
        return {}
    found = {n: (cell.version, cell.value) for n, cell in tables.record(place).cells.items() if n != GONE and cell.version <= version}
    complete = TABLE[place[1]].rule is Rule.MANUAL
    for old in tables.versions.get(place, ()):
        certain = old.version <= version if complete else old.version == version
        if old.kept in (KeptAs.EDITED, KeptAs.OVERWRITTEN) and old.version and certain:
            for number, value in old.fields.items():
                if found.get(number, (0, 0))[0] < old.version:
                    found[number] = (old.version, value)
    return {number: value for number, (_, value) in sorted(found.items())}


def _note(tables: Tables, place: Place, user: int, stamp: Stamp, written: Written, verdict: Verdict, now: int) -> ConflictRow:
    """Lists a conflict. What waits for a decision about this record and person already grows by what they wrote now."""
    review = verdict.outcome is Outcome.REVIEW
    before = tables.record(place).version
    # What lies beyond the record is the base of a history that is lost.
    common = fields_at(tables, place, written.base) if written.base <= before else {}
    waiting = [row for row in tables.conflicts.values() if (row.place, row.user) == (place, user) and row.state in OPEN]
    if review and waiting:
        [row] = waiting
        replaced = {n: v for n, v in row.mine.items() if written.gone or verdict.mine.get(n, v) != v}
        if replaced:
            keep(tables, place, KeptAs.LOST, 0, user, row.stamp, replaced)
        present = verdict.record.cells
        row.mine = {} if written.gone else {**row.mine, **verdict.mine}
        row.theirs = {n: present[n].value if n in present else v for n, v in {**row.theirs, **verdict.theirs}.items()}
        row.gone, row.stamp = written.gone, stamp
        row.common = {**common, **row.common}
        return row
    state = ConflictState.PENDING if review else ConflictState.AUTOMATIC
    id = tables.number("conflict", *place, user)
    sides = (dict(verdict.mine), dict(verdict.theirs))
    row = tables.conflicts[id] = ConflictRow(id, place, user, stamp, now, written.base, *sides, common, written.gone, state)
    if TABLE[place[1]].rule in (Rule.SERVER, Rule.MANUAL):
        tell(tables, row, 0)
    return row


def tell(tables: Tables, row: ConflictRow, by: int) -> None:
    """Lets the writer of a conflict's `mine` know how it stands, unless it was they who did it."""
    if by != row.user:
        tables.outbox.append((row.user, Noted(row.id, by)))
