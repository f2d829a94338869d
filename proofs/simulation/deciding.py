"""What people do about conflicts, and about changes that were kept without being applied.

    Claim, Resolve, Reopen ─▶ one conflict's row, and perhaps its record        Release, Discard ─▶ one kept change

Invariant: whatever is decided, both values of a conflict stay to be found, and a kept change is never thrown away.
"""

from __future__ import annotations

from proofs.simulation.records import apply_change, must_change, tell, write
from proofs.simulation.rows import STAFF, ConflictRow, Refused, Tables, UnappliedRow
from protocol.codec import BadFrame, decode_operation
from protocol.codes import Code
from protocol.conflicts import OPEN, Illegal, step
from protocol.entities import TABLE, BadFields, read_fields, upcast
from protocol.merge import GONE, Outcome, Stamp, Written, outcome_value, prepare, write_over
from protocol.operations import Change, Claim, Discard, Release, Reopen, Resolve
from protocol.values import Choice, ConflictState, SpaceKind

UNAPPLIED_MAX = 1_000
"""Rows that are open, of one person; not counting those in quarantine, which are for staff to close."""


def may_decide(tables: Tables, row: ConflictRow, user: int) -> bool:
    """Whoever wrote `mine`, and whoever may write there."""
    stream = tables.streams[row.place[0]]
    if not tables.may_read(stream.id, user):
        return False
    return user == row.user or bool(tables.role(stream.space.id, user) & TABLE[row.place[1]].writers)


def decide(tables: Tables, user: int, operation: Claim | Resolve | Reopen, stamp: Stamp, now: int) -> int:
    """A step in a conflict's life; the mutation's value. Raises `Refused`."""
    row = tables.conflicts.get(operation.conflict)
    if row is None or not tables.may_read(row.place[0], user):
        raise Refused(Code.NOT_FOUND)
    if not may_decide(tables, row, user):
        raise Refused(Code.FORBIDDEN)
    try:
        following = step(row.state, operation)
    except Illegal as illegal:
        raise Refused(Code.CONFLICT, str(illegal)) from None
    match operation:
        case Claim():
            row.state, row.by = following, user if operation.on else 0
            tell(tables, row, user)
            return 0
        case Reopen():
            if any((o.place, o.user) == (row.place, row.user) and o.state in OPEN for o in tables.conflicts.values()):
                raise Refused(Code.CONFLICT)
            row.state, row.by = following, user
            tell(tables, row, user)
            return row.id
        case Resolve():
            return _resolve(tables, user, row, operation, stamp, now)


def _resolve(tables: Tables, user: int, row: ConflictRow, operation: Resolve, stamp: Stamp, now: int) -> int:
    declaration, record = TABLE[row.place[1]], tables.record(row.place)
    chosen = _chosen(row, operation)
    if chosen is not None:
        try:
            prepare(declaration, row.place[2], 0, chosen.fields, chosen.gone)
        except BadFields as bad:
            raise Refused(Code.INVALID, str(bad)) from None
    about = {*row.mine, *row.theirs} | ({*record.cells} if row.gone else {GONE})
    moved = {
        number: cell
        for number, cell in record.cells.items()
        if number in about and cell.version > operation.version and tables.devices[cell.stamp.device].user != user
    }
    if moved:
        row.theirs = {**row.theirs, **{number: cell.value for number, cell in moved.items() if number != GONE}}
        return outcome_value(Outcome.REVIEW, row.id)
    row.state, row.by, row.choice = ConflictState.RESOLVED, user, operation.choice
    tell(tables, row, user)
    if chosen is None:
        return outcome_value(Outcome.DUPLICATE, record.version)
    verdict = write_over(declaration, record, chosen, stamp)
    write(tables, row.place, user, verdict, now, verdict.theirs)
    return outcome_value(verdict.outcome, verdict.record.version)


def _chosen(row: ConflictRow, operation: Resolve) -> Written | None:
    """What is to be written; None: what stands there stands for it."""
    match operation.choice:
        case Choice.MINE:
            return Written(0, {} if row.gone else row.mine, row.gone)
        case Choice.THEIRS:
            return Written(0, row.theirs) if row.theirs else None
        case Choice.MERGED:
            try:
                return Written(0, upcast(row.place[1], read_fields(operation.fields)))
            except BadFields as bad:
                raise Refused(Code.INVALID, str(bad)) from None


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
    if isinstance(operation, Discard):
        row.closed = True
        return 0
    value = _release(tables, user, row, now)
    row.closed = True
    return value


def _release(tables: Tables, user: int, row: UnappliedRow, now: int) -> int:
    """Its writer must be allowed to write it now; staff may also let in what somebody wrote who has left."""
    try:
        change = decode_operation(row.operation)
    except BadFrame as bad:
        raise Refused(Code.INVALID, bad.detail) from None
    if not isinstance(change, Change):
        raise Refused(Code.INVALID)
    if user == row.user:
        declaration = must_change(tables, user, change)
    else:
        known, stream = TABLE.get(change.entity), tables.streams.get(change.stream)
        if known is None or stream is None or stream.kind is not known.stream:
            raise Refused(Code.INVALID)
        declaration = known
    return apply_change(tables, declaration, row.user, change, row.stamp, now)
