"""Claim, Resolve, Reopen: what people do about a conflict. The table of what leads where is in `protocol/conflicts.py`.

    conflict ─▶ lock its record ─▶ lock the conflict ─▶ may they? is it a step? ─▶ Resolve: has it changed since they looked?
                                                                                     │ yes: show them again (REVIEW)
                                                                                     ╰ no: write their choice over
    Whoever decides writes one side over; what that replaces becomes the other side, so that opening it again and choosing the
    other way brings back exactly what there was.

Invariant: no step loses a side. What a decision replaces stands in the conflict and among the record's kept values.
"""

from __future__ import annotations

from typing import Final

import asyncpg
from msgspec import Struct

from actors.merging import Decision, Draft, Merging, Place, Seat, stamp_of
from actors.storage import Entry
from persistence.append import Effect, Refuse
from persistence.operations import rules
from persistence.operations.kept import CONFLICT_NOTED, Stood, draft_of, events, lock_record, noted, write_down
from persistence.operations.seats import Seated, read_seat
from protocol import codec
from protocol.codes import Code
from protocol.conflicts import Illegal, step
from protocol.entities import BadFields, Declaration, Fields, Rule, read_fields, write_fields
from protocol.merge import GONE, Cell, Outcome, Record, Written, declared, outcome_value, prepare
from protocol.operations import Claim, Reopen, Resolve
from protocol.permissions import Permission
from protocol.values import Choice, ConflictState

_UPDATE: Final = (
    "update sync_conflicts set state = $2, decided_by = $3::bigint, choice = $4, mine = $5, theirs = $6, gone = $7, version = $8,"
    " decided_at = case when $3::bigint > 0 then now() end where id = $1"
)


class _Case(Struct):
    """A conflict that somebody may do something about. `mine` and `theirs` may hold `GONE`: that side was a deletion."""

    draft: Draft
    declaration: Declaration
    record: Record
    stood: Stood
    seated: Seated
    decided_by: int
    choice: int

    @property
    def id(self) -> int:
        return self.draft.id

    @property
    def place(self) -> Place:
        return self.draft.place


async def claim(tx: asyncpg.Connection, entry: Entry, operation: Claim) -> Effect | Refuse:
    """Says, or takes back, that one is deciding. Saying so again changes nothing."""
    case = await _open_case(tx, entry, operation.conflict)
    if isinstance(case, Refuse):
        return case
    try:
        state = step(case.draft.state, operation)
    except Illegal as error:
        return Refuse(Code.CONFLICT, str(error))
    by = entry.user if operation.on else 0
    if (state, by) == (case.draft.state, case.decided_by):
        return Effect(value=case.id)
    case.draft.state, case.decided_by = state, by
    await _save(tx, case)
    return Effect(guards=(case.seated.guard,), value=case.id, fills_outbox=await _note(tx, entry, case))


async def reopen(tx: asyncpg.Connection, entry: Entry, operation: Reopen) -> Effect | Refuse:
    """Opens a decided conflict again. The last choice stays readable."""
    case = await _open_case(tx, entry, operation.conflict)
    if isinstance(case, Refuse):
        return case
    try:
        state = step(case.draft.state, operation)
    except Illegal as error:
        return Refuse(Code.CONFLICT, str(error))
    other: int | None = await tx.fetchval(
        "select id from sync_conflicts where stream_id = $1 and entity = $2 and key = $3 and user_id = $4 and state in (1, 2)",
        *case.place,
        case.draft.user,
    )
    if other is not None:
        return Refuse(Code.CONFLICT, f"decide conflict {other} first: it is about the same record, and newer")
    case.draft.state, case.decided_by = state, 0
    await _save(tx, case)
    return Effect(guards=(case.seated.guard,), value=case.id, fills_outbox=await _note(tx, entry, case))


async def resolve(tx: asyncpg.Connection, entry: Entry, operation: Resolve) -> Effect | Refuse:
    """Decides. Whoever writes must be allowed to write now, also where the conflict is about their own value."""
    case = await _open_case(tx, entry, operation.conflict)
    if isinstance(case, Refuse):
        return case
    seat = case.seated.seat
    if not (_decides(seat, case.declaration) or (case.draft.user == entry.user and seat.writes(case.declaration))):
        return Refuse(Code.FORBIDDEN, f"this role does not write {case.declaration.entity.name.lower()}")
    try:
        state = step(case.draft.state, operation)
        written = None if _leaves(case, operation) else _chosen(case, operation)
    except Illegal as error:
        return Refuse(Code.CONFLICT, str(error))
    except BadFields as error:
        return Refuse(Code.INVALID, str(error))
    guard = case.seated.guard
    stamp = stamp_of(entry, operation.at, case.seated.now)
    merging = Merging(case.seated.now, {}, {case.place: case.record}, {})
    if _has_changed(case, entry, operation, written):
        if operation.choice is Choice.MERGED and written is not None:
            # Either side stays in the conflict; what was made of both stands nowhere else.
            merging.keep_lost(case.place, entry.user, stamp, written.fields)
            await write_down(tx, merging, {case.place: case.stood})
        _look_again(case)
        await _save(tx, case)
        return Effect(guards=(guard,), value=outcome_value(Outcome.REVIEW, case.id))
    decision = Decision(outcome=Outcome.DUPLICATE, version=case.record.version)
    if written is not None:
        decision = merging.write_over(case.place, written, entry.user, stamp)
        _complete_sides(case, operation.choice, merging.record(case.place))
    elif _leaves(case, operation):
        _look_again(case)
    if merging.written:
        await write_down(tx, merging, {case.place: case.stood})
    case.draft.state, case.decided_by, case.choice = state, entry.user, operation.choice
    await _save(tx, case)
    return Effect(events(merging), guards=(guard,), value=decision.value, fills_outbox=await _note(tx, entry, case))


async def _open_case(tx: asyncpg.Connection, entry: Entry, conflict: int) -> _Case | Refuse:
    """Locks the record, then the conflict, and reads what `entry`'s user is to them. Whoever has no say learns nothing of it."""
    found = await tx.fetchrow("select stream_id, entity, key from sync_conflicts where id = $1", conflict)
    if found is None:
        return rules.NOT_FOUND
    place = Place(*found)
    record, stood = await lock_record(tx, place)
    row = await tx.fetchrow("select * from sync_conflicts where id = $1 for update", conflict)
    seated = await read_seat(tx, place.stream, entry.user)
    declaration = declared(place.entity)
    if row is None or seated is None or declaration is None:
        return rules.NOT_FOUND
    draft, seat = draft_of(row), seated.seat
    if not seat.role & seat.read_roles or not (draft.user == entry.user or _decides(seat, declaration)):
        return rules.NOT_FOUND
    return _Case(draft, declaration, record, stood, seated, row["decided_by"], row["choice"])


def _decides(seat: Seat, declaration: Declaration) -> bool:
    """Whether they decide about others' values: by their base role whoever writes such records, by a custom one who was given just that."""
    return bool(seat.role & declaration.writers) or seat.may(Permission.RESOLVE_CONFLICTS)


def _leaves(case: _Case, operation: Resolve) -> bool:
    """Whether the choice is what stands there now: of what no rule and nobody has decided yet, "theirs" is the server's value as the
    person sees it, also where somebody who knew it has gone on from it since the conflict was found."""
    return operation.choice is Choice.THEIRS and case.declaration.rule is Rule.MANUAL and not case.choice


def _chosen(case: _Case, operation: Resolve) -> Written | None:
    """What the choice writes; None: what stands there stays. Raises `BadFields`."""
    draft = case.draft
    match operation.choice:
        case Choice.MINE:
            return _side(case, draft.mine, draft.gone)
        case Choice.THEIRS:
            return _side(case, draft.theirs, False)
        case Choice.MERGED:
            return prepare(case.declaration, case.place.key, operation.version, read_fields(operation.fields), False)


def _side(case: _Case, side: Fields, gone: bool) -> Written | None:
    fields = {number: value for number, value in side.items() if number != GONE}
    if gone or side.get(GONE) is True:
        return prepare(case.declaration, case.place.key, 0, {}, True)
    return prepare(case.declaration, case.place.key, 0, fields, False) if fields else None


def _has_changed(case: _Case, entry: Entry, operation: Resolve, written: Written | None) -> bool:
    """Whether somebody wrote, after the version that the person saw, what the conflict is about or what the decision would write."""
    deletes = case.draft.gone or case.draft.theirs.get(GONE) is True or (written is not None and written.gone)
    about = {GONE, *case.draft.mine, *case.draft.theirs, *(written.fields if written is not None else ())}
    for number, cell in case.record.cells.items():
        field = case.declaration.field(number)
        if field is not None and field.housekeeping:
            continue
        if (deletes or number in about) and cell.version > operation.version and not _is_own(cell, entry):
            return True
    return False


def _is_own(cell: Cell, entry: Entry) -> bool:
    """Whether this device wrote it, before it asked for the decision: it cannot have been told the version yet."""
    return cell.stamp.device == entry.device and cell.stamp.number < entry.number


def _look_again(case: _Case) -> None:
    """Shows what stands there now. What stood there before was replaced by somebody who knew it, or was kept then."""
    cells = case.record.cells
    if case.record.is_gone:
        case.draft.theirs = {GONE: True}
    else:
        about = {**case.draft.mine, **case.draft.theirs}
        if case.draft.gone:
            about.update(case.record.fields)
        case.draft.theirs = {n: cells[n].value if n in cells else v for n, v in about.items() if n in cells or n in case.draft.theirs}
        case.draft.theirs.pop(GONE, None)
    case.draft.version = case.record.version


def _complete_sides(case: _Case, choice: Choice, after: Record) -> None:
    """Makes what the decision replaced part of the other side, so that it can be undone."""
    before, draft = case.record, case.draft
    if before.is_gone and not after.is_gone:
        replaced: Fields = {GONE: True}
    elif after.is_gone and not before.is_gone:
        replaced = before.fields
    else:
        replaced = {n: cell.value for n, cell in before.cells.items() if n != GONE and after.cells[n].value != cell.value}
    if not replaced:
        return
    if choice is not Choice.THEIRS:
        draft.theirs = replaced if GONE in replaced or GONE in draft.theirs else {**draft.theirs, **replaced}
    elif not draft.gone:
        # What its writer wrote is theirs for good; only what the side did not say yet is added.
        draft.mine = draft.mine if GONE in replaced and draft.mine else {**replaced, **draft.mine}
    draft.version = after.version


async def _save(tx: asyncpg.Connection, case: _Case) -> None:
    draft = case.draft
    mine, theirs = bytes(write_fields(draft.mine)), bytes(write_fields(draft.theirs))
    await tx.execute(_UPDATE, draft.id, draft.state, case.decided_by, case.choice, mine, theirs, draft.gone, draft.version)


async def _note(tx: asyncpg.Connection, entry: Entry, case: _Case) -> bool:
    """Tells whose value it is, if somebody else did something about it."""
    draft = case.draft
    if draft.user == entry.user or draft.state is ConflictState.OTHER:
        return False
    await tx.execute(
        "insert into outbox (kind, user_id, stream_id, author, payload) values ($1, $2, $3, $4, $5)",
        CONFLICT_NOTED,
        draft.user,
        case.place.stream,
        entry.user,
        codec.encode(noted(draft, case.decided_by)),
    )
    return True
