"""What a simulated database answers: streams, spaces, people, records, and what is kept beside them.

Nothing here changes anything. Whoever is not a member is told `NOT_FOUND`, a member whose role may not read `FORBIDDEN`.
"""

from __future__ import annotations

from functools import reduce
from operator import or_

import msgspec

from actors.storage import (
    Audience,
    CheckAudience,
    ConflictList,
    Denied,
    Events,
    FindMatches,
    FindMessages,
    FindPerson,
    Generations,
    Head,
    Heads,
    HeldList,
    HoldingRead,
    ListConflicts,
    ListDocumentVersions,
    ListHeld,
    ListMembers,
    ListMentorships,
    ListReports,
    ListSpaces,
    ListUnapplied,
    LoadState,
    MemberList,
    MentorshipList,
    MessagesFound,
    PersonFound,
    ReadAfter,
    ReadBefore,
    ReadGenerations,
    ReadHeads,
    ReadHolding,
    ReadRecords,
    ReadVersions,
    RecordsRead,
    ReportList,
    Result,
    Row,
    SpaceList,
    UnappliedList,
    VersionList,
)
from proofs.simulation.deciding import has_a_say
from proofs.simulation.people import is_silent
from proofs.simulation.rows import STAFF, ConflictRow, Refused, Space, Tables
from protocol.codes import Code
from protocol.conflicts import OPEN
from protocol.entities import RECORD_KINDS, SHARED_KINDS, TABLE, Entity, write_fields
from protocol.events import RecordItem
from protocol.frames import Conflict, KeptVersion, Member, Slow, SpaceState, StreamState, UnappliedItem
from protocol.grading import ANSWERING
from protocol.merge import NOTHING
from protocol.values import SpaceKind, StreamKind

Reading = (
    ReadAfter
    | ReadBefore
    | CheckAudience
    | ReadHeads
    | ReadGenerations
    | ListSpaces
    | ListMembers
    | FindPerson
    | ReadRecords
    | ListConflicts
    | ListUnapplied
    | ReadVersions
    | ReadHolding
    | ListReports
    | ListHeld
    | ListMentorships
    | FindMatches
    | LoadState
    | ListDocumentVersions
    | FindMessages
)
WRITERS = {kind: reduce(or_, (one.writers for one in TABLE.values() if one.stream is kind)) for kind in RECORD_KINDS}


def read(tables: Tables, query: Reading) -> Result:
    """One query's answer."""
    match query:
        case ReadAfter() | ReadBefore():
            return _read_log(tables, query)
        case CheckAudience():
            if query.stream not in tables.streams:
                return Denied(Code.NOT_FOUND)
            readers = frozenset(user for user in query.users if tables.may_read(query.stream, user))
            stream = tables.streams[query.stream]
            return Audience(stream.audience_version, readers, is_silent(stream))
        case ReadHeads():
            known = [tables.streams[s] for s in query.streams if s in tables.streams]
            return Heads(tuple(Head(s.id, len(s.log), s.audience_version) for s in known))
        case ReadGenerations():
            devices = [tables.devices[d] for d in query.devices if d in tables.devices]
            return Generations(tuple((row.id, row.generation) for row in devices), tuple(row.id for row in devices if row.revoked))
        case ListSpaces():
            if query.user not in tables.inboxes:
                return Denied(Code.NOT_FOUND)
            mine = [s for s in tables.spaces.values() if query.user in s.members]
            states = (_state(tables, s, query.user) for s in sorted(mine, key=lambda s: s.id))
            blocked = tuple(sorted(other for user, other in tables.blocks if user == query.user))
            upto = len(tables.streams[tables.inboxes[query.user]].log)
            shown = [tables.streams[id] for s in sorted(mine, key=lambda s: s.id) for id in sorted(s.streams)]
            slow = tuple(Slow(one.id, one.slow_s) for one in shown if one.slow_s and tables.may_read(one.id, query.user))
            return SpaceList(upto, tuple(state for state in states if state.streams), (), blocked, slow)
        case ListMembers():
            space = tables.spaces.get(query.space)
            if space is None or query.user not in space.members:
                return Denied(Code.NOT_FOUND)
            members = sorted(user for user in space.members if user > query.after)
            page = members[: query.limit]
            return MemberList(tuple(Member(u, space.members[u], tables.names[u], tables.names[u]) for u in page), len(members) > len(page))
        case FindPerson():
            for user, name in tables.names.items():
                if name.casefold() == query.name.casefold() and (user, query.user) not in tables.blocks:
                    return PersonFound(user, name, name)
            return Denied(Code.NOT_FOUND)
        case ReadRecords() | ReadVersions():
            try:
                if tables.must_read(query.stream, query.user).kind not in RECORD_KINDS:
                    return Denied(Code.INVALID)
            except Refused as refused:
                return Denied(refused.code)
            return _read_records(tables, query) if isinstance(query, ReadRecords) else _read_versions(tables, query)
        case ListConflicts():
            return _list_conflicts(tables, query)
        case ListUnapplied():
            return _list_unapplied(tables, query)
        case ListReports() | ListHeld():
            # None can be made here: what is not simulated refuses the operations that make them, and nobody moderates.
            if query.space or query.platform:
                is_known = query.platform or tables.role(query.space, query.user)
                return Denied(Code.FORBIDDEN if is_known else Code.NOT_FOUND)
            return ReportList((), False) if isinstance(query, ListReports) else HeldList((), False)
        case ListMentorships():
            return MentorshipList((), False)
        case FindMatches():
            # As where no matchmaker runs: nobody mentors here.
            return Denied(Code.UNAVAILABLE)
        case FindMessages():
            # As where nothing was indexed yet.
            scope = [s.id for s in tables.streams.values() if query.stream in (0, s.id) and tables.may_read(s.id, query.user)]
            return MessagesFound((), None) if scope or not (query.space or query.stream) else Denied(Code.NOT_FOUND)
        case LoadState() | ListDocumentVersions():
            # No document can be made here.
            return Denied(Code.NOT_FOUND)
        case ReadHolding():
            device = tables.devices.get(query.device)
            if device is None or device.user != query.user:
                return Denied(Code.NOT_FOUND)
            return HoldingRead(tuple(sorted(device.held, key=lambda held: (held.rank, held.stream))), device.quota_bytes)


def _read_log(tables: Tables, query: ReadAfter | ReadBefore) -> Result:
    stream = tables.streams.get(query.stream)
    if stream is None or (query.user and query.user not in stream.space.members):
        return Denied(Code.NOT_FOUND)
    if query.user and not tables.may_read(query.stream, query.user):
        return Denied(Code.FORBIDDEN)
    log = [row for row in stream.log if row.seq > stream.floor]
    if isinstance(query, ReadAfter):
        if query.user and query.after < stream.floor:
            return Denied(Code.RESET)
        rows = [row for row in log if row.seq > query.after]
    else:
        rows = [row for row in log if row.seq < query.before][::-1]
    page: list[Row] = []
    size_bytes = 0
    for row in rows:
        size_bytes += len(row.body)
        if len(page) >= query.events_max or (size_bytes > query.bytes_max and page):
            break
        page.append(row)
    more = len(page) < len(rows)
    ordered = page if isinstance(query, ReadAfter) else page[::-1]
    return Events(stream.space.id, len(stream.log), stream.audience_version, tuple(ordered), more, is_silent(stream))


def _state(tables: Tables, space: Space, user: int) -> SpaceState:
    role = space.members[user]
    states = []
    for id in sorted(space.streams):
        stream = tables.streams[id]
        if tables.may_read(id, user) and stream.kind is not StreamKind.INBOX:
            may_write = bool(role & (stream.write_roles | WRITERS.get(stream.kind, 0)))
            marker = tables.markers.get((user, id), 0)
            states.append(StreamState(id, stream.kind, stream.name, len(stream.log), marker, may_write))
    name = str(space.parent) if space.kind is SpaceKind.ENROLMENT else space.name
    return SpaceState(space.id, space.kind, name, role, tuple(states))


def _read_records(tables: Tables, query: ReadRecords) -> Result:
    after = (query.stream, query.after_entity, query.after_key)
    found = sorted(place for place, record in tables.records.items() if place[0] == query.stream and place > after and not record.is_gone)
    items: list[RecordItem] = []
    left_bytes = query.bytes_max
    for _, entity, key in found:
        record = tables.records[query.stream, entity, key]
        item = RecordItem(entity, key, record.version, write_fields(record.fields))
        left_bytes -= len(msgspec.msgpack.encode(item))
        if items and left_bytes < 0:
            break
        items.append(item)
    return RecordsRead(len(tables.streams[query.stream].log), tuple(items), len(items) < len(found))


def _read_versions(tables: Tables, query: ReadVersions) -> Result:
    kept = tables.versions.get((query.stream, query.entity, query.key), [])
    found = [one for one in reversed(kept) if not query.before or one.place < query.before]
    hidden: frozenset[int] = frozenset()
    if query.entity == Entity.QUESTION and not tables.role(tables.streams[query.stream].space.id, query.user) & TABLE[query.entity].writers:
        hidden = frozenset(ANSWERING)
    told = [(v, {number: value for number, value in v.fields.items() if number not in hidden}) for v in found[: query.limit]]
    versions = (KeptVersion(v.place, v.version, v.kept, v.author, v.stamp.at, write_fields(fields)) for v, fields in told)
    return VersionList(tuple(versions), len(found) > query.limit)


def _list_conflicts(tables: Tables, query: ListConflicts) -> Result:
    """One's own, and those about what a community shares and one may write; alone, whichever one may decide."""
    found = []
    for _, row in sorted(tables.conflicts.items()):
        if not has_a_say(tables, row, query.user):
            continue
        shared = tables.streams[row.place[0]].kind in SHARED_KINDS
        if query.conflict:
            wanted = row.id == query.conflict
        else:
            wanted = row.id > query.after and (row.state in OPEN or not query.open_only) and (shared or row.user == query.user)
        if wanted:
            found.append(_conflict(tables, row))
    return ConflictList(tuple(found[: query.limit]), len(found) > query.limit)


def _conflict(tables: Tables, row: ConflictRow) -> Conflict:
    record = tables.records.get(row.place, NOTHING)
    present = {} if record.is_gone else record.fields
    mine, theirs, common, now = map(write_fields, (row.mine, row.theirs, row.common, present))
    version, choice = record.version, int(row.choice)
    return Conflict(row.id, *row.place, row.user, row.state, row.at, version, mine, theirs, common, now, row.gone, row.by, choice)


def _list_unapplied(tables: Tables, query: ListUnapplied) -> Result:
    if query.space:
        role = tables.role(query.space, query.user)
        if not role:
            return Denied(Code.NOT_FOUND)
        if role not in STAFF or tables.spaces[query.space].kind is not SpaceKind.COMMUNITY:
            return Denied(Code.FORBIDDEN)
    found = [
        UnappliedItem(row.id, row.user, row.space, row.at, row.code, row.detail, row.operation, row.quarantined)
        for _, row in sorted(tables.unapplied.items())
        if not row.closed and row.id > query.after and (row.space == query.space if query.space else row.user == query.user)
    ]
    return UnappliedList(tuple(found[: query.limit]), len(found) > query.limit)
