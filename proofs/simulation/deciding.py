"""What people do about conflicts, and about changes that were kept without being applied.

    Claim, Resolve, Reopen ─▶ one conflict's row, and perhaps its record        Release, Discard ─▶ one kept change

Invariant: whatever is decided, both values of a conflict stay to be found, and a kept change is never thrown away.
"""

from __future__ import annotations

from proofs.simulation.records import apply_change, keep, must_change, seal_exam, tell, write
from proofs.simulation.rows import STAFF, ConflictRow, Refused, Tables, UnappliedRow
from protocol.codec import BadFrame, decode_operation
from protocol.codes import Code
from protocol.conflicts import OPEN, Illegal, step
from protocol.entities import TABLE, BadFields, Declaration, Fields, Rule, read_fields
from protocol.merge import GONE, Outcome, Record, Stamp, Written, outcome_value, prepare, write_over
from protocol.operations import Change, Claim, Discard, Release, Reopen, Resolve
from protocol.values import Choice, ConflictState, KeptAs, SpaceKind

UNAPPLIED_MAX = 1_000
"""Rows that are open, of one person; not counting those in quarantine, which are for staff to close."""


def has_a_say(tables: Tables, row: ConflictRow, user: int) -> bool:
    """Whoever wrote `mine`, and whoever may write there; as long as they may read there."""
    stream = tables.streams[row.place[0]]
    if not tables.may_read(stream.id, user):
        return False
    return user == row.user or bool(tables.role(stream.space.id, user) & TABLE[row.place[1]].writers)


def decide(tables: Tables, user: int, operation: Claim | Resolve | Reopen, stamp: Stamp, now: int) -> int:
    """A step in a conflict's life; the mutation's value. Raises `Refused`."""
    row = tables.conflicts.get(operation.conflict)
    if row is None or not has_a_say(tables, row, user):
        raise Refused(Code.NOT_FOUND)
    declaration = TABLE[row.place[1]]
    if isinstance(operation, Resolve) and not tables.role(tables.streams[row.place[0]].space.id, user) & declaration.writers:
        raise Refused(Code.FORBIDDEN)
    try:
        following = step(row.state, operation)
    except Illegal as illegal:
        raise Refused(Code.CONFLICT, str(illegal)) from None
    match operation:
        case Claim():
            by = user if operation.on else 0
            if (row.state, row.by) != (following, by):
                row.state, row.by = following, by
                tell(tables, row, user)
            return row.id
        case Reopen():
            if any((o.place, o.user) == (row.place, row.user) and o.state in OPEN for o in tables.conflicts.values()):
                raise Refused(Code.CONFLICT)
            row.state, row.by = following, 0
            tell(tables, row, user)
            return row.id
        case Resolve():
            return _resolve(tables, declaration, user, row, operation, stamp, now)


def _resolve(tables: Tables, declaration: Declaration, user: int, row: ConflictRow, operation: Resolve, stamp: Stamp, now: int) -> int:
    before = tables.record(row.place)
    try:
        chosen = _chosen(declaration, row, operation)
    except BadFields as bad:
        raise Refused(Code.INVALID, str(bad)) from None
    if _has_moved(declaration, before, row, operation, chosen, stamp):
        row.theirs = _what_stands(before, row)
        if operation.choice is Choice.MERGED and chosen is not None:
            keep(tables, row.place, KeptAs.LOST, 0, user, stamp, chosen.fields)
        return outcome_value(Outcome.REVIEW, row.id)
    if chosen is None and operation.choice is Choice.THEIRS and declaration.rule is Rule.MANUAL and not row.choice:
        row.theirs = _what_stands(before, row)
    row.state, row.by, row.choice = ConflictState.RESOLVED, user, operation.choice
    value = outcome_value(Outcome.DUPLICATE, before.version)
    if chosen is not None:
        verdict = seal_exam(tables, row.place, user, stamp, write_over(declaration, before, chosen, stamp))
        _complete(row, operation.choice, before, verdict.record)
        write(tables, row.place, user, verdict, now, verdict.theirs)
        value = outcome_value(verdict.outcome, verdict.record.version)
    tell(tables, row, user)
    return value


def _chosen(declaration: Declaration, row: ConflictRow, operation: Resolve) -> Written | None:
    """What is to be written; None: what stands there stands for it. Raises `BadFields`."""
    key = row.place[2]
    if operation.choice is Choice.MERGED:
        return prepare(declaration, key, 0, read_fields(operation.fields), False)
    if operation.choice is Choice.THEIRS and declaration.rule is Rule.MANUAL and not row.choice:
        return None
    side, gone = (row.mine, row.gone) if operation.choice is Choice.MINE else (row.theirs, False)
    if gone or side.get(GONE) is True:
        return prepare(declaration, key, 0, {}, True)
    fields = {number: value for number, value in side.items() if number != GONE}
    return prepare(declaration, key, 0, fields, False) if fields else None


def _has_moved(
    declaration: Declaration, record: Record, row: ConflictRow, operation: Resolve, chosen: Written | None, stamp: Stamp
) -> bool:
    """Whether anything that matters here was written after what the person saw, by another device than theirs."""
    matters = {GONE, *row.mine, *row.theirs, *(chosen.fields if chosen is not None else ())}
    if row.gone or row.theirs.get(GONE) is True or (chosen is not None and chosen.gone):
        matters |= record.cells.keys()
    plain = {GONE} | {field.number for field in declaration.fields if not field.housekeeping}
    unseen = [record.cells[n] for n in matters & plain & record.cells.keys() if record.cells[n].version > operation.version]
    return any(cell.stamp.device != stamp.device or cell.stamp.number >= stamp.number for cell in unseen)


def _what_stands(record: Record, row: ConflictRow) -> Fields:
    if record.is_gone:
        return {GONE: True}
    about = {**row.mine, **row.theirs, **(record.fields if row.gone else {})}
    present = record.fields
    return {n: present.get(n, v) for n, v in about.items() if n != GONE and (n in present or n in row.theirs)}


def _complete(row: ConflictRow, choice: Choice, before: Record, after: Record) -> None:
    """What a decision replaced becomes part of the other side, so that it can be undone."""
    if before.is_gone and not after.is_gone:
        replaced: Fields = {GONE: True}
    elif after.is_gone and not before.is_gone:
        replaced = before.fields
    else:
        replaced = {n: v for n, v in before.fields.items() if after.cells[n].value != v}
    if not replaced:
        return
    deletion = replaced.get(GONE) is True
    if choice is not Choice.THEIRS:
        row.theirs = replaced if deletion or GONE in row.theirs else {**row.theirs, **replaced}
    elif not row.gone and not (deletion and row.mine):
        row.mine = {**replaced, **row.mine}


def keep_unapplied(tables: Tables, user: int, stream: int, operation: bytes, stamp: Stamp, code: Code, detail: str, now: int) -> None:
    """Keeps a change that was refused, for its writer, and for staff of the community that it was for."""
    row = tables.streams.get(stream)
    community = 0 if row is None else _community_of(tables, row.space.id)
    was_in = bool(community) and tables.enrolment(community, user) is not None
    quarantined = was_in and not tables.role(community, user)
    space = community if was_in else tables.streams[tables.inboxes[user]].space.id
    id = tables.number("unapplied", user, stamp.device, stamp.number)
    tables.unapplied[id] = UnappliedRow(id, space, user, stamp, now, code, detail, operation, quarantined)
    mine = [one for one in tables.unapplied.values() if one.user == user and not one.closed]
    if len(mine) > UNAPPLIED_MAX:
        oldest = next((one for one in mine if not one.quarantined), None)
        if oldest is not None:
            oldest.closed = True


def _community_of(tables: Tables, space: int) -> int:
    """The community that a space is, or belongs to; 0: neither."""
    row = tables.spaces[space]
    if row.kind is SpaceKind.ENROLMENT:
        return row.parent
    return row.id if row.kind is SpaceKind.COMMUNITY else 0


def see_to(tables: Tables, user: int, operation: Release | Discard, now: int) -> int:
    """Applies a kept change, or closes it; the mutation's value. Raises `Refused`."""
    row = tables.unapplied.get(operation.item)
    if row is None or row.closed:
        raise Refused(Code.NOT_FOUND)
    is_staff = tables.spaces[row.space].kind is SpaceKind.COMMUNITY and tables.role(row.space, user) in STAFF
    if user != row.user and not is_staff:
        raise Refused(Code.NOT_FOUND)
    value = row.id if isinstance(operation, Discard) else _release(tables, row, now)
    row.closed = True
    return value


def _release(tables: Tables, row: UnappliedRow, now: int) -> int:
    """As if its writer sent it now: it is they who must be allowed to, whoever asks."""
    try:
        change = decode_operation(row.operation)
    except BadFrame as bad:
        raise Refused(Code.INVALID, bad.detail) from None
    if not isinstance(change, Change):
        raise Refused(Code.INVALID)
    return apply_change(tables, must_change(tables, row.user, change), row.user, change, row.stamp, now)
