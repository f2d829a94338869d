"""What `educonnect sync` says: pure lines of text about status, queue, conflicts, versions and scope.

Invariant: whatever is listed with a number can be named by that number in the command that the line ends with.
"""

from __future__ import annotations

import datetime
import sys
from collections.abc import Sequence

from client.keeping import Choice
from client.replica import RecordView
from client.scope import Plan, Step
from client.store import Kept, Size, Unapplied
from client.sync_fields import entity_name, indented, show_fields, show_value
from client.sync_status import SyncStatus
from client.sync_streams import SyncStream, SyncStreams
from client.three_way import Clash, FieldView, marked, merge_view
from client.words import quoted
from protocol.codec import BadFrame, decode_operation
from protocol.codes import TABLE as CODES
from protocol.codes import Code
from protocol.entities import BadFields, Fields, Value, read_fields, upcast
from protocol.frames import Conflict, KeptVersion, UnappliedItem
from protocol.merge import Outcome
from protocol.operations import Change, Post, Resolve, Say
from protocol.values import Choice as Chosen
from protocol.values import ConflictState, KeptAs

CHOICES = {Chosen.MINE: "mine", Chosen.THEIRS: "theirs", Chosen.MERGED: "merged"}
KEPT = {
    KeptAs.OVERWRITTEN: "was written over",
    KeptAs.LOST: "was not written",
    KeptAs.ATTEMPT: "an attempt",
    KeptAs.EDITED: "an earlier text",
    KeptAs.SET_BACK: "before it was set back",
}
STATES = {
    ConflictState.PENDING: "waits for a decision",
    ConflictState.CLAIMED: "somebody is deciding",
    ConflictState.RESOLVED: "decided",
    ConflictState.AUTOMATIC: "decided by the rule",
}


def moment(at: int) -> str:
    """A time, to the minute."""
    try:
        return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return "some time"


def count(number: int, what: str) -> str:
    """1 change, 2 changes."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


class Progress:
    """What was said of how far it is, so that nothing is said twice."""

    def __init__(self) -> None:
        self._pending = self._behind = sys.maxsize

    def line(self, pending: int, behind: int) -> str:
        """What is news in this: fewer changes to send, or fewer streams to come, than were said last; empty: nothing."""
        words = []
        if 0 < pending < self._pending:
            self._pending = pending
            words.append(f"{count(pending, 'change')} still to be sent")
        if 0 < behind < self._behind:
            self._behind = behind
            words.append(f"{count(behind, 'stream')} still to come")
        return ", ".join(words)


def place(streams: SyncStreams, stream: int) -> str:
    """Where a stream is, for people."""
    known = streams.get(stream)
    return place_of(known) if known is not None else f"stream {stream}"


def place_of(stream: SyncStream) -> str:
    return f"{stream.kind.name.lower()} of community {stream.community}" if stream.community else "your own"


def status_lines(status: SyncStatus, sizes: Sequence[Size], choice: Choice) -> list[str]:
    """How far this device and the server agree."""
    since = f"Last in step with the server: {moment(status.succeeded_at)}." if status.succeeded_at else "Never yet in step with the server."
    lines = [since]
    if status.pending:
        lines.append(f"{count(status.pending, 'change')} of {count(status.pending_bytes, 'byte')} to be sent (educonnect sync queue).")
    else:
        lines.append("Nothing waits to be sent.")
    for behind in status.behind:
        missing = "all of it" if behind.snapshot else count(behind.events, "event") if behind.events else "what is new"
        where = f" of community {behind.community}" if behind.community else ""
        lines.append(f"Still to come: {missing} of {behind.kind.name.lower()}{where}.")
    if status.refused:
        lines.append(f"{count(len(status.refused), 'change')} refused (educonnect sync unapplied list).")
    if status.conflicts:
        lines.append(f"{count(status.conflicts, 'conflict')} to be decided (educonnect sync conflicts list).")
    kept = sum(size.size_bytes for size in sizes)
    bound = f" of {count(choice.quota_bytes, 'byte')}" if choice.quota_bytes else ""
    lines.append(f"On this device: {count(sum(size.records for size in sizes), 'record')}, {count(kept, 'byte')}{bound}.")
    return lines


def describe(operation: bytes, streams: SyncStreams) -> str:
    """What a mutation asks for, in a line."""
    try:
        decoded = decode_operation(operation)
    except BadFrame as bad:
        return f"something unreadable ({bad.detail})"
    match decoded:
        case Change(stream, entity, key, at, raw, _, gone):
            fields = _fields(entity, raw)
            told = "deleted" if gone else "; ".join(" ".join(line.split()) for line in show_fields(entity, fields))
            return f"{entity_name(entity)} {key} ({place(streams, stream)}): {_short(told)} · {moment(at)}"
        case Say(stream, text) | Post(stream, text):
            return f"message to stream {stream}: {quoted(text)}"
        case Resolve(conflict, choice):
            return f"decision of conflict {conflict}: {CHOICES[choice]}"
        case _:
            values = ", ".join(f"{name} {getattr(decoded, name)}" for name in decoded.__struct_fields__)
            return _short(f"{type(decoded).__name__.lower()}: {values}")


def _short(text: str) -> str:
    return text if len(text) <= 100 else text[:99] + "…"


def queue_lines(mutations: Sequence[Kept], refused: Sequence[Unapplied], streams: SyncStreams) -> list[str]:
    """What waits, what was sent and not answered, what was refused."""
    lines = []
    for kept in mutations:
        state = "sent, not answered" if kept.number else "waits"
        lines.append(f"{kept.key}  {describe(kept.operation, streams)}  [{state}]")
    lines += unapplied_lines(refused, streams)
    return lines or ["Nothing waits to be sent, and nothing was refused."]


def unapplied_lines(refused: Sequence[Unapplied], streams: SyncStreams) -> list[str]:
    """What the server would not take from this device."""
    return [f"{one.key}  {describe(one.operation, streams)}  [refused: {reason(one.code, one.detail)}]" for one in refused]


def kept_lines(items: Sequence[UnappliedItem], streams: SyncStreams) -> list[str]:
    """What the server keeps without having applied it."""
    lines = []
    for item in items:
        why = "its writer had left" if item.quarantined else reason(item.code, item.detail)
        lines.append(f"{item.item}  by user {item.user}, {moment(item.at)}: {describe(item.operation, streams)}  [{why}]")
    return lines


def reason(code: int, detail: str) -> str:
    """Why something was refused, in the server's words or the table's."""
    known = code in CODES
    return (detail or (CODES[Code(code)].meaning if known else f"code {code}")).rstrip(".")


def outcome_line(outcome: Outcome, n: int) -> str:
    """What became of a change."""
    match outcome:
        case Outcome.APPLIED:
            return "It is written."
        case Outcome.DUPLICATE:
            return "It was so already."
        case Outcome.MERGED:
            return "It is written, beside or over what somebody wrote meanwhile; what was replaced is kept (educonnect sync versions)."
        case Outcome.SUPERSEDED:
            return "What stands there stays, by the rule for this kind. Yours is kept (educonnect sync versions), but for lower progress."
        case Outcome.REVIEW:
            return f"Somebody else changed it too, and a person has to decide: conflict {n} (educonnect sync conflicts show {n})."


def record_lines(view: RecordView, streams: SyncStreams) -> list[str]:
    """One record, with what is on its way."""
    head = f"{entity_name(view.entity)} {view.key} ({place(streams, view.stream)})"
    if not view.exists:
        return [f"{head}: {'deleted' if view.gone else 'nothing here'}{_waiting(view)}"]
    return [f"{head}{_waiting(view)}", *(f"  {indented(line)}" for line in show_fields(view.entity, view.fields))]


def _waiting(view: RecordView) -> str:
    return f"  [{count(len(view.pending), 'change')} to be sent]" if view.pending else ""


def conflict_line(conflict: Conflict, streams: SyncStreams) -> str:
    """A conflict among others."""
    what = f"{entity_name(conflict.entity)} {conflict.key} ({place(streams, conflict.stream)})"
    by = f" (user {conflict.by})" if conflict.by else ""
    return f"{conflict.conflict}  {what}: {STATES.get(conflict.state, 'in a state from the future')}{by}, since {moment(conflict.at)}"


def merge_of(conflict: Conflict) -> list[FieldView]:
    """A conflict, field by field: what was not written, against the record as it stands; against theirs where mine was written already."""
    entity = conflict.entity
    mine, theirs, present = (_fields(entity, side) for side in (conflict.mine, conflict.theirs, conflict.present))
    again = {number: value for number, value in theirs.items() if number in mine and present.get(number) == mine[number]}
    return merge_view(entity, _fields(entity, conflict.common), mine, {**present, **again})


def conflict_lines(conflict: Conflict, streams: SyncStreams) -> list[str]:
    """A conflict with its merge view, and how to decide it."""
    lines = [conflict_line(conflict, streams), f"mine was written by user {conflict.user}; theirs is what it met."]
    if conflict.choice:
        lines.append(f"The last decision: {CHOICES.get(Chosen(conflict.choice), 'another')}.")
    if conflict.gone:
        lines.append("Mine deletes the record. Theirs is:")
        lines += [f"  {indented(line)}" for line in show_fields(conflict.entity, _fields(conflict.entity, conflict.present))]
    theirs, present = _fields(conflict.entity, conflict.theirs), _fields(conflict.entity, conflict.present)
    for view in merge_of(conflict):
        lines += _field_lines(view, theirs.get(view.number, view.theirs), present.get(view.number))
    number = conflict.conflict
    if conflict.state in (ConflictState.RESOLVED, ConflictState.AUTOMATIC):
        return [*lines, f"To decide it anew: educonnect sync conflicts reopen {number}"]
    return [*lines, f"To decide: educonnect sync conflicts resolve {number} --mine | --theirs | --merged [name=value or FILE …]"]


def _field_lines(view: FieldView, theirs: Value | None, present: Value | None) -> list[str]:
    """`theirs` is what the decision for theirs writes: where the record was written since, that is not what stands there now."""
    name = view.name or f"field {view.number}"
    if view.same and theirs == present:
        return [f"{name}: {indented(show_value(view.theirs))}  [the same]"]
    lines = [f"{name}:"]
    sides = [("before", view.common), ("mine", view.mine), ("theirs", theirs), ("now", present if present != theirs else None)]
    for side, value in sides:
        if side in ("mine", "theirs") or value is not None:
            lines.append(f"  {side}: {_deeper(show_value(value))}")
    if view.proposal is not None:
        lines.append(f"  together: {_deeper(show_value(view.proposal))}")
    elif any(isinstance(piece, str) for piece in view.pieces):
        lines.append(f"  together, with what you have to choose between marks:\n    {_deeper(marked(view.pieces))}")
    elif any(isinstance(piece, Clash) for piece in view.pieces) or view.common is not None:
        lines.append("  these cannot be put together: choose one")
    return lines


def _deeper(text: str) -> str:
    return text.rstrip("\n").replace("\n", "\n    ")


def version_lines(entity: int, versions: Sequence[KeptVersion]) -> list[str]:
    """Earlier and other values of a record, newest first."""
    lines = []
    for one in versions:
        fields = "; ".join(" ".join(line.split()) for line in show_fields(entity, _fields(entity, one.fields)))
        lines.append(f"{one.place}  {KEPT.get(one.kept, 'kept')}, by user {one.author}, {moment(one.at)}: {_short(fields)}")
    return lines


def scope_lines(plan: Plan, choice: Choice, sizes: Sequence[Size], streams: SyncStreams) -> list[str]:
    """What this device keeps, and why."""
    bound = f"at most {count(choice.quota_bytes, 'byte')}" if choice.quota_bytes else "as many bytes as it takes"
    chosen = "everything" if choice.chosen is None else count(len(choice.chosen), "stream") + " that you chose"
    by_stream = {size.stream: size for size in sizes}

    def line(step: Step, state: str) -> str:
        size = by_stream.get(step.stream)
        room = f", {count(size.size_bytes, 'byte')}" if size is not None else ""
        return f"{step.stream}  {place(streams, step.stream)}: {state}{room} ({step.reason})"

    lines = [f"To be kept on this device: {chosen}, {bound}."]
    for steps, state in (
        (plan.keep, "kept"),
        (plan.fetch, "to be fetched"),
        (plan.give_up, "to be given up"),
        (plan.leave_out, "left out"),
    ):
        lines += [line(step, state) for step in steps]
    return lines


def _fields(entity: int, raw: bytes) -> Fields:
    """Fields for showing: what cannot be read is shown as nothing."""
    try:
        return upcast(entity, read_fields(raw))
    except BadFields:
        return {}
