"""Postgres, as a simulation has it: the rules of the append and of reading, over dictionaries, one transaction at a time.

It is the simplest thing that obeys `actors.storage`, and so the model that the real journal and store are compared with.

Invariant: a stream's log is numbered from 1 without gaps, and every decided number of a device has one outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from actors.storage import (
    CONTROL_STREAM,
    Attach,
    Attached,
    Audience,
    CheckAudience,
    Decided,
    Denied,
    Entry,
    Events,
    Fact,
    FindPerson,
    Generations,
    Head,
    Heads,
    ListMembers,
    ListSpaces,
    MemberList,
    PersonFound,
    Query,
    ReadAfter,
    ReadBefore,
    ReadGenerations,
    ReadHeads,
    Refusal,
    Result,
    Row,
    SpaceList,
)
from protocol.codec import TOMBSTONE, decode_body, encode
from protocol.codes import Code
from protocol.events import (
    AuthorityChanged,
    Body,
    ChannelOpened,
    CommunityFounded,
    Deleted,
    Edited,
    Joined,
    Left,
    Mentioned,
    Posted,
    Reacted,
    ReadUpTo,
    Redacted,
    Said,
    SessionRevoked,
    SpaceEntered,
    SpaceLeft,
    StreamInfo,
)
from protocol.frames import Member, SpaceState, StreamState
from protocol.operations import AnyOperation, Delete, Edit, Join, Leave, MarkRead, Post, React, Remove, Say
from protocol.values import Role, Roles, SpaceKind, StreamKind

OUTCOMES_KEPT = 256
EPOCH = 7
NEVER = 2**40
"""Unix time in seconds at which a session ends that is to outlast the simulation."""
STAFF = (Role.OWNER, Role.MODERATOR)


@dataclass
class Space:
    """A community, or a user's own space."""

    id: int
    kind: SpaceKind
    name: str
    open_to_all: bool = True
    members: dict[int, Role] = field(default_factory=dict)
    streams: list[int] = field(default_factory=list)


@dataclass
class Stream:
    """A stream's row, and its log."""

    id: int
    space: Space
    kind: StreamKind
    name: str
    read_roles: int = Roles.ALL
    write_roles: int = Roles.ALL
    audience_version: int = 1
    log: list[Row] = field(default_factory=list)


@dataclass
class Outcome:
    """What became of a number."""

    digest: int
    code: Code
    value: int
    detail: str


@dataclass
class DeviceRow:
    """A device's row, and the outcomes that are kept."""

    id: int
    user: int
    session: int
    expires: int = NEVER
    generation: int = 0
    last_number: int = 0
    gateway: int = 0
    revoked: bool = False
    outcomes: dict[int, Outcome] = field(default_factory=dict)


@dataclass(frozen=True)
class Entered:
    """Somebody is a member of a space now."""

    space: int


@dataclass(frozen=True)
class PutOut:
    """Somebody is not a member of a space any more."""

    space: int
    by: int


Telling = Mentioned | Entered | PutOut


class Refused(Exception):
    """An operation that has no effect."""

    def __init__(self, code: Code, detail: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class Database:
    """See the module. `now` is Unix time in seconds."""

    def __init__(self) -> None:
        self.spaces: dict[int, Space] = {}
        self.streams: dict[int, Stream] = {}
        self.devices: dict[int, DeviceRow] = {}
        self.inboxes: dict[int, int] = {}
        self.names: dict[int, str] = {}
        self.markers: dict[tuple[int, int], int] = {}
        self.outbox: list[tuple[int, Telling]] = []
        """What waits to be told to somebody's inbox, and to whom."""
        self.put_out: dict[tuple[int, int], int] = {}
        """Where a stream ended when somebody was last put out of its audience, by stream and user: for the checker."""
        control = self._space(SpaceKind.PERSONAL, "control")
        self.create_stream(control, StreamKind.CONTROL, "control", 0, 0)
        assert control.streams == [CONTROL_STREAM]

    # Setting the scene. Identifiers are given out in turn, or chosen by whoever compares with another database.

    def create_user(self, name: str, id: int = 0, home: int = 0, inbox: int = 0) -> int:
        user = id or len(self.inboxes) + 1
        space = self._space(SpaceKind.PERSONAL, name, home)
        space.members[user] = Role.OWNER
        self.inboxes[user] = self.create_stream(space, StreamKind.INBOX, "", Roles.OWNER, 0, inbox).id
        self.names[user] = name
        return user

    def create_device(self, user: int, id: int = 0, session: int = 0, expires: int = NEVER) -> DeviceRow:
        id = id or len(self.devices) + 1
        row = self.devices[id] = DeviceRow(id, user, session or id + 1000, expires)
        return row

    def create_community(
        self, name: str, owner: int, id: int = 0, streams: tuple[int, int] = (0, 0), *, open_to_all: bool = True, now: int = 0
    ) -> Space:
        """A community with its own stream and a first channel, which have these numbers (0: the next)."""
        space = self._space(SpaceKind.COMMUNITY, name, id)
        space.open_to_all = open_to_all
        space.members[owner] = Role.OWNER
        own = self.create_stream(space, StreamKind.COMMUNITY, name, Roles.ALL, 0, streams[0]).id
        general = self.create_stream(space, StreamKind.CHANNEL, "general", id=streams[1]).id
        self._append(own, owner, now, CommunityFounded(name))
        self._append(own, owner, now, Joined(owner, Role.OWNER, self.names[owner]))
        self._append(own, owner, now, ChannelOpened(general, "general", Roles.ALL, Roles.ALL))
        self.outbox.append((owner, Entered(space.id)))
        return space

    def create_stream(
        self, space: Space, kind: StreamKind, name: str, read_roles: int = Roles.ALL, write_roles: int = Roles.ALL, id: int = 0
    ) -> Stream:
        id = id or max(self.streams, default=0) + 1
        stream = self.streams[id] = Stream(id, space, kind, name, int(read_roles), int(write_roles))
        space.streams.append(id)
        return stream

    def revoke(self, device: DeviceRow, now: int) -> list[Fact]:
        """Ends a device's session."""
        if device.revoked:
            return []
        device.revoked = True
        device.generation += 1
        return [self._append(CONTROL_STREAM, 0, now, SessionRevoked(device.user, device.session))]

    # The journal

    def append(self, entries: Sequence[Entry], now: int) -> tuple[list[Decided], list[Fact]]:
        """One transaction."""
        decided: list[Decided] = []
        facts: list[Fact] = []
        for entry in entries:
            decided.append(self._decide(entry, now, facts))
        return decided, facts

    def deliver_outbox(self, now: int) -> list[Fact]:
        """What the outbox's reader does, in one transaction."""
        waiting, self.outbox = self.outbox, []
        facts = []
        for user, telling in waiting:
            told = self._judge(user, telling)
            if told is not None:
                facts.append(self._append(self.inboxes[user], told[0], now, told[1]))
        return facts

    def _judge(self, user: int, telling: Telling) -> tuple[int, Body] | None:
        """What an inbox is told, as things are now: any order of delivery ends in the truth."""
        match telling:
            case Mentioned():
                return (telling.author, telling) if self.may_read(telling.stream, user) else None
            case Entered():
                space = self.spaces[telling.space]
                if user not in space.members:
                    return None
                streams = tuple(StreamInfo(s, self.streams[s].kind, self.streams[s].name) for s in space.streams if self.may_read(s, user))
                return 0, SpaceEntered(space.id, space.kind, space.name, space.members[user], streams)
            case PutOut():
                return None if user in self.spaces[telling.space].members else (telling.by, SpaceLeft(telling.space))

    def _decide(self, entry: Entry, now: int, facts: list[Fact]) -> Decided:
        device = self.devices.get(entry.device)
        number = entry.number

        def answer(code: Code, value: int = 0, detail: str = "", replayed: bool = False) -> Decided:
            return Decided(number, code, value, detail, replayed, entry.generation)

        if device is None or device.user != entry.user or device.generation != entry.generation or device.revoked:
            return answer(Code.TAKEN_OVER)
        if number <= device.last_number:
            kept = device.outcomes.get(number)
            if kept is None:
                return answer(Code.TOO_OLD)
            if kept.digest != entry.digest:
                return answer(Code.NUMBER_REUSED)
            return answer(kept.code, kept.value, kept.detail, replayed=True)
        if number > device.last_number + 1:
            return answer(Code.GAP)
        try:
            value = self._carry_out(entry.user, entry.operation, now, facts)
            outcome = Outcome(entry.digest, Code.OK, value, "")
        except Refused as refused:
            outcome = Outcome(entry.digest, refused.code, 0, refused.detail)
        device.last_number = number
        device.outcomes[number] = outcome
        device.outcomes.pop(number - OUTCOMES_KEPT, None)
        return answer(outcome.code, outcome.value, outcome.detail)

    def _carry_out(self, user: int, operation: AnyOperation | Refusal, now: int, facts: list[Fact]) -> int:
        match operation:
            case Refusal():
                raise Refused(operation.code, operation.detail)
            case Say():
                self._must_write(operation.stream, user)
                facts.append(self._append(operation.stream, user, now, Said(operation.text)))
                return facts[-1].seq
            case Post():
                stream = self._must_write(operation.stream, user)
                if operation.reply_to > len(stream.log):
                    raise Refused(Code.NOT_FOUND)
                facts.append(self._append(operation.stream, user, now, Posted(operation.text, operation.reply_to, operation.mentions)))
                for mentioned in dict.fromkeys(operation.mentions):
                    if mentioned in self.inboxes and mentioned != user:
                        self.outbox.append((mentioned, Mentioned(operation.stream, facts[-1].seq, user)))
                return facts[-1].seq
            case Edit():
                row = self._message(self._must_write(operation.stream, user), operation.target)
                if row.author != user:
                    raise Refused(Code.FORBIDDEN)
                match self._living(row):
                    case Posted(_, reply_to, mentions):
                        edited = Posted(operation.text, reply_to, mentions, edited=True)
                    case _:
                        edited = Posted(operation.text, edited=True)
                self._rewrite(operation.stream, operation.target, encode(edited))
                facts.append(self._append(operation.stream, user, now, Edited(operation.target, operation.text)))
                return facts[-1].seq
            case Delete():
                stream = self._must_read(operation.stream, user)
                row = self._message(stream, operation.target)
                if row.author != user and stream.space.members[user] not in STAFF:
                    raise Refused(Code.FORBIDDEN)
                self._living(row)
                for other in stream.log:
                    body = decode_body(other.body)
                    if isinstance(body, Edited) and body.target == operation.target:
                        self._rewrite(operation.stream, other.seq, TOMBSTONE)
                self._rewrite(operation.stream, operation.target, TOMBSTONE)
                facts.append(self._append(operation.stream, user, now, Deleted(operation.target)))
                return facts[-1].seq
            case React():
                self._living(self._message(self._must_write(operation.stream, user), operation.target))
                facts.append(self._append(operation.stream, user, now, Reacted(operation.target, operation.emoji, operation.on)))
                return facts[-1].seq
            case MarkRead():
                stream = self._must_read(operation.stream, user)
                if operation.seq > len(stream.log):
                    raise Refused(Code.INVALID)
                before = self.markers.get((user, operation.stream), 0)
                if operation.seq > before:
                    self.markers[user, operation.stream] = operation.seq
                    facts.append(self._append(self.inboxes[user], user, now, ReadUpTo(operation.stream, operation.seq)))
                return max(before, operation.seq)
            case Join():
                return self._join(user, operation.space, now, facts)
            case Leave():
                return self._remove(user, operation.space, user, now, facts)
            case Remove():
                space = self.spaces.get(operation.space)
                if space is None or user not in space.members:
                    raise Refused(Code.NOT_FOUND)
                if space.kind is not SpaceKind.COMMUNITY or space.members[user] not in STAFF:
                    raise Refused(Code.FORBIDDEN)
                if space.members.get(operation.user) is Role.OWNER and space.members[user] is not Role.OWNER:
                    raise Refused(Code.FORBIDDEN)
                return self._remove(operation.user, operation.space, user, now, facts)
            case _:
                raise Refused(Code.UNKNOWN, f"{type(operation).__name__} is not simulated")

    def _join(self, user: int, space_id: int, now: int, facts: list[Fact]) -> int:
        space = self.spaces.get(space_id)
        if space is None or space.kind is not SpaceKind.COMMUNITY:
            raise Refused(Code.NOT_FOUND)
        if user not in space.members:
            if not space.open_to_all:
                raise Refused(Code.NOT_FOUND)
            space.members[user] = Role.LEARNER
            facts.append(self._append(space.streams[0], user, now, Joined(user, Role.LEARNER, self.names[user])))
            facts.append(self._append(CONTROL_STREAM, 0, now, AuthorityChanged(space.id, user)))
            self.outbox.append((user, Entered(space.id)))
        return space.id

    def _remove(self, user: int, space_id: int, by: int, now: int, facts: list[Fact]) -> int:
        space = self.spaces.get(space_id)
        if space is None or user not in space.members:
            raise Refused(Code.NOT_FOUND)
        if space.kind is SpaceKind.PERSONAL:
            raise Refused(Code.FORBIDDEN)
        if space.members[user] is Role.OWNER and list(space.members.values()).count(Role.OWNER) == 1:
            raise Refused(Code.CONFLICT)
        del space.members[user]
        for stream in space.streams:
            self.put_out[stream, user] = len(self.streams[stream].log)
            self.streams[stream].audience_version += 1
        facts.append(self._append(space.streams[0], by, now, Left(user, by)))
        facts.append(self._append(CONTROL_STREAM, 0, now, AuthorityChanged(space.id, user)))
        self.outbox.append((user, PutOut(space.id, by)))
        return 0

    # The store

    def query(self, query: Query, now: float) -> Result:
        """One snapshot (and for `Attach`, one transaction)."""
        match query:
            case Attach():
                device = next((row for row in self.devices.values() if row.session == query.session), None)
                if device is None or device.user != query.user or device.revoked:
                    return Denied(Code.REVOKED)
                if device.id != query.device:
                    return Denied(Code.FORBIDDEN)
                if device.expires <= now:
                    return Denied(Code.TOKEN_EXPIRED)
                previous, device.gateway = device.gateway, query.gateway
                device.generation += 1
                name = self.names[query.user]
                return Attached(device.generation, device.last_number, self.inboxes[query.user], EPOCH, device.expires, name, previous)
            case ReadAfter() | ReadBefore():
                return self._read(query)
            case CheckAudience():
                if query.stream not in self.streams:
                    return Denied(Code.NOT_FOUND)
                stream = self.streams[query.stream]
                readers = frozenset(user for user in query.users if self.may_read(query.stream, user))
                return Audience(stream.audience_version, readers)
            case ReadHeads():
                known = [self.streams[s] for s in query.streams if s in self.streams]
                return Heads(tuple(Head(s.id, len(s.log), s.audience_version) for s in known))
            case ReadGenerations():
                return Generations(tuple((d, self.devices[d].generation) for d in query.devices if d in self.devices))
            case ListSpaces():
                if query.user not in self.inboxes:
                    return Denied(Code.NOT_FOUND)
                mine = [s for s in self.spaces.values() if query.user in s.members and s.kind is not SpaceKind.PERSONAL]
                states = (self._state(s, query.user) for s in sorted(mine, key=lambda s: s.id))
                return SpaceList(len(self.streams[self.inboxes[query.user]].log), tuple(state for state in states if state.streams))
            case ListMembers():
                space = self.spaces.get(query.space)
                if space is None or query.user not in space.members:
                    return Denied(Code.NOT_FOUND)
                members = sorted(user for user in space.members if user > query.after)
                page = members[: query.limit]
                return MemberList(tuple(Member(u, space.members[u], self.names[u], self.names[u]) for u in page), len(members) > len(page))
            case FindPerson():
                for user, name in self.names.items():
                    if name.casefold() == query.name.casefold():
                        return PersonFound(user, name, name)
                return Denied(Code.NOT_FOUND)

    def may_read(self, stream: int, user: int) -> bool:
        row = self.streams[stream]
        return bool(row.space.members.get(user, 0) & row.read_roles)

    def rows(self, stream: int) -> list[Row]:
        """The whole log of a stream: what every copy must equal in the end."""
        return self.streams[stream].log

    def _read(self, query: ReadAfter | ReadBefore) -> Result:
        stream = self.streams.get(query.stream)
        if stream is None or (query.user and query.user not in stream.space.members):
            return Denied(Code.NOT_FOUND)
        if query.user and not self.may_read(query.stream, query.user):
            return Denied(Code.FORBIDDEN)
        forward = isinstance(query, ReadAfter)
        rows = stream.log[query.after :] if isinstance(query, ReadAfter) else stream.log[: max(0, query.before - 1)][::-1]
        page: list[Row] = []
        size_bytes = 0
        for row in rows:
            size_bytes += len(row.body)
            if len(page) >= query.events_max or (size_bytes > query.bytes_max and page):
                break
            page.append(row)
        more = len(page) < len(rows)
        ordered = page if forward else page[::-1]
        return Events(stream.space.id, len(stream.log), stream.audience_version, tuple(ordered), more)

    # Rows

    def _space(self, kind: SpaceKind, name: str, id: int = 0) -> Space:
        id = id or max(self.spaces, default=0) + 1
        space = self.spaces[id] = Space(id, kind, name)
        return space

    def _state(self, space: Space, user: int) -> SpaceState:
        states = []
        for id in space.streams:
            stream = self.streams[id]
            if self.may_read(id, user):
                may_write = bool(space.members[user] & stream.write_roles)
                states.append(StreamState(id, stream.kind, stream.name, len(stream.log), self.markers.get((user, id), 0), may_write))
        return SpaceState(space.id, space.kind, space.name, space.members[user], tuple(states))

    def _must_read(self, stream: int, user: int) -> Stream:
        row = self.streams.get(stream)
        if row is None or user not in row.space.members:
            raise Refused(Code.NOT_FOUND)
        if not self.may_read(stream, user):
            raise Refused(Code.FORBIDDEN)
        return row

    def _must_write(self, stream: int, user: int) -> Stream:
        row = self.streams.get(stream)
        if row is None or user not in row.space.members:
            raise Refused(Code.NOT_FOUND)
        if not row.space.members[user] & row.write_roles:
            raise Refused(Code.FORBIDDEN)
        return row

    def _message(self, stream: Stream, target: int) -> Row:
        if not 0 < target <= len(stream.log):
            raise Refused(Code.NOT_FOUND)
        row = stream.log[target - 1]
        if not isinstance(decode_body(row.body), Said | Posted | Redacted):
            raise Refused(Code.NOT_FOUND)
        return row

    def _living(self, row: Row) -> Said | Posted:
        body = decode_body(row.body)
        if not isinstance(body, Said | Posted):
            raise Refused(Code.GONE)
        return body

    def _rewrite(self, stream: int, seq: int, body: bytes) -> None:
        log = self.streams[stream].log
        row = log[seq - 1]
        log[seq - 1] = Row(row.seq, row.author, row.at, body)

    def _append(self, stream: int, author: int, now: int, body: Body) -> Fact:
        row = self.streams[stream]
        encoded = encode(body)
        row.log.append(Row(len(row.log) + 1, author, now, encoded))
        return Fact(stream, len(row.log), author, now, encoded, row.audience_version)
