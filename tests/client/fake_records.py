"""Records, conflicts and kept values of the fake server: the real rules of merging over dictionaries.

    Change ─merge─▶ record, Changed event, conflict, kept version      Snapshot, Conflicts, Versions, Inherit ─▶ answers

Honest in what a client can see: outcomes, one event a change, versions, heads; there are no roles here and no bounds.
"""

from __future__ import annotations

from collections.abc import Callable

from protocol import events as e
from protocol import operations as op
from protocol.codes import Code
from protocol.conflicts import OPEN, Illegal, step
from protocol.entities import NO_FIELDS, TABLE, BadFields, Fields, read_fields, write_fields
from protocol.frames import (
    AnyCommand,
    AnyFrame,
    Conflict,
    ConflictPage,
    Conflicts,
    Done,
    Failed,
    Holding,
    Holdings,
    KeptVersion,
    RecordPage,
    Refused,
    Snapshot,
    VersionPage,
    Versions,
)
from protocol.merge import NOTHING, Outcome, Record, Stamp, Verdict, Written, merge, outcome_value, prepare, write_over
from protocol.values import Choice, ConflictState, KeptAs

Name = tuple[int, int, int]
PAGE = 3
"""Records of one page of a snapshot: so few that every test of one crosses several."""


class FakeRecords:
    """`append(stream, author, body)` puts an event into a stream's log and returns it; `head` says how long that is."""

    def __init__(self, append: Callable[[int, int, e.AnyBody], e.AnyBody | object], head: Callable[[int], int]) -> None:
        self._append = append
        self._head = head
        self.records: dict[Name, Record] = {}
        self.conflicts: dict[int, Conflict] = {}
        self.versions: dict[Name, list[KeptVersion]] = {}
        self.holdings: dict[int, op.Hold] = {}
        self.clock_s = 1_800_000_000

    def fields(self, stream: int, entity: int, key: int) -> Fields:
        """A record's fields as they stand; empty if it is gone or never was."""
        record = self.records.get((stream, entity, key), NOTHING)
        return {} if record.is_gone else record.fields

    def carry_out(self, user: int, device: int, number: int, operation: op.AnyOperation) -> AnyFrame | None:
        """What becomes of an operation about records; None for any other."""
        match operation:
            case op.Change():
                try:
                    return Done(number, self._change(user, device, number, operation))
                except BadFields as bad:
                    return Refused(number, Code.INVALID, str(bad))
            case op.Claim(conflict) | op.Reopen(conflict):
                return self._step(user, number, conflict, operation)
            case op.Resolve():
                return self._resolve(user, device, number, operation)
            case op.Hold():
                self.holdings[device] = operation
                return Done(number, 0)
            case _:
                return None

    def _change(self, user: int, device: int, number: int, change: op.Change) -> int:
        declaration = TABLE[change.entity]
        written = prepare(declaration, change.key, change.base, read_fields(change.fields), change.gone)
        name = (change.stream, change.entity, change.key)
        record = self.records.get(name, NOTHING)
        verdict = merge(declaration, record, written, Stamp(min(change.at, self.clock_s), device, number))
        self._write(user, name, record, verdict, KeptAs.OVERWRITTEN)
        if verdict.conflict:
            review = verdict.outcome is Outcome.REVIEW
            state = ConflictState.PENDING if review else ConflictState.AUTOMATIC
            id = len(self.conflicts) + 1
            mine, theirs = write_fields(verdict.mine), write_fields(verdict.theirs)
            at, now = self.clock_s, verdict.record
            self.conflicts[id] = Conflict(
                id, *name, user, state, at, now.version, mine, theirs, NO_FIELDS, write_fields(now.fields), change.gone
            )
            self._append(1000 + user, 0, e.ConflictNoted(id, *name, state))
            if review:
                return outcome_value(Outcome.REVIEW, id)
        return outcome_value(verdict.outcome, verdict.record.version)

    def _write(self, user: int, name: Name, before: Record, verdict: Verdict, kept: KeptAs) -> None:
        self.records[name] = verdict.record
        versions = self.versions.setdefault(name, [])
        for fields, why in ((verdict.theirs, kept), (verdict.mine, KeptAs.LOST)):
            if fields:
                versions.append(KeptVersion(len(versions) + 1, before.version, why, user, self.clock_s, write_fields(fields)))
        if verdict.told is not None:
            stream, entity, key = name
            item = e.RecordItem(entity, key, verdict.record.version, write_fields(verdict.told), verdict.record.is_gone)
            self._append(stream, user, e.Changed((item,)))

    def _step(self, user: int, number: int, id: int, operation: op.Claim | op.Reopen) -> AnyFrame:
        conflict = self.conflicts.get(id)
        if conflict is None:
            return Refused(number, Code.NOT_FOUND)
        try:
            state = step(conflict.state, operation)
        except Illegal as illegal:
            return Refused(number, Code.CONFLICT, str(illegal))
        self._stand(conflict, state, user)
        return Done(number, id)

    def _stand(self, conflict: Conflict, state: ConflictState, by: int, choice: int = 0) -> None:
        name = (conflict.stream, conflict.entity, conflict.key)
        record = self.records.get(name, NOTHING)
        self.conflicts[conflict.conflict] = Conflict(
            conflict.conflict,
            *name,
            conflict.user,
            state,
            self.clock_s,
            record.version,
            conflict.mine,
            conflict.theirs,
            conflict.common,
            write_fields(record.fields),
            conflict.gone,
            by,
            choice,
        )
        self._append(1000 + conflict.user, 0, e.ConflictNoted(conflict.conflict, *name, state, by))

    def _resolve(self, user: int, device: int, number: int, resolve: op.Resolve) -> AnyFrame:
        conflict = self.conflicts.get(resolve.conflict)
        if conflict is None:
            return Refused(number, Code.NOT_FOUND)
        try:
            state = step(conflict.state, resolve)
        except Illegal as illegal:
            return Refused(number, Code.CONFLICT, str(illegal))
        name = (conflict.stream, conflict.entity, conflict.key)
        record = self.records.get(name, NOTHING)
        if record.version != resolve.version:
            return Done(number, outcome_value(Outcome.REVIEW, resolve.conflict))
        chosen = {Choice.MINE: conflict.mine, Choice.THEIRS: conflict.theirs, Choice.MERGED: resolve.fields}[resolve.choice]
        verdict = write_over(
            TABLE[conflict.entity], record, Written(record.version, read_fields(chosen)), Stamp(self.clock_s, device, number)
        )
        self._write(user, name, record, verdict, KeptAs.OVERWRITTEN)
        self._stand(conflict, state, user, resolve.choice)
        return Done(number, outcome_value(verdict.outcome, verdict.record.version))

    def answer(self, device: int, command: AnyCommand) -> AnyFrame | None:
        """Answers a question about records; None for any other."""
        match command:
            case Snapshot(id, stream, entity, key):
                if self._head(stream) < 0:
                    return Failed(id, Code.NOT_FOUND)
                names = sorted(name for name in self.records if name[0] == stream and name[1:] > (entity, key))
                live = [name for name in names if not self.records[name].is_gone]
                items = tuple(
                    e.RecordItem(name[1], name[2], self.records[name].version, write_fields(self.records[name].fields))
                    for name in live[:PAGE]
                )
                return RecordPage(id, stream, self._head(stream), items, len(live) > PAGE)
            case Conflicts(id, after, open_only, one):
                found = [
                    conflict
                    for conflict in self.conflicts.values()
                    if (conflict.conflict == one if one else conflict.conflict > after and (not open_only or conflict.state in OPEN))
                ]
                return ConflictPage(id, tuple(found), False)
            case Versions(id, stream, entity, key):
                return VersionPage(id, tuple(reversed(self.versions.get((stream, entity, key), []))), False)
            case Holding(id):
                hold = self.holdings.get(device, op.Hold(()))
                return Holdings(id, hold.streams, hold.quota_bytes)
            case _:
                return None
