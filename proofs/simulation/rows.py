"""What a simulated database holds: its rows, as a schema has them, and the few look-ups that everything else is made of.

    Space ─▶ Stream ─▶ log: Row …            DeviceRow ─▶ Outcome by number
                  ╰──▶ records by (entity, key) ─▶ versions kept, conflicts, and what was refused beside them

Nothing here decides. A copy of it (`copy.deepcopy`) is a backup.

Invariant: a stream's log is numbered from 1 without gaps; what lies at or below its floor is no longer readable.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from actors.storage import Fact, Row
from protocol.codec import encode
from protocol.codes import Code
from protocol.entities import Fields
from protocol.events import Body, Mentioned, RecordItem
from protocol.merge import NOTHING, Record, Stamp
from protocol.operations import Held
from protocol.values import Choice, ConflictState, KeptAs, Role, Roles, SpaceKind, StreamKind

NEVER = 2**40
"""Unix time in seconds at which a session ends that is to outlast the simulation."""
EPOCH = 7
"""Of a database that was never restored."""
STAFF = (Role.OWNER, Role.MODERATOR)
Place = tuple[int, int, int]
"""Names a record: its stream, entity and key."""


@dataclass
class Space:
    """A community, a user's own space, or what a member has of their own in a community (`parent`)."""

    id: int
    kind: SpaceKind
    name: str
    open_to_all: bool = True
    members: dict[int, Role] = field(default_factory=dict)
    streams: list[int] = field(default_factory=list)
    parent: int = 0
    of: int = 0
    """Whose an enrolment is, or a personal space."""
    whole: bool = False
    """A conversation that nobody has left: who opens one with the same people finds it."""


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
    slow_s: int = 0
    """Seconds between two messages of one learner."""
    floor: int = 0
    forgotten: int = 0
    """The highest version of a record that was deleted and is forgotten."""
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
    """A device's row, the outcomes that are kept, and what it said it keeps offline."""

    id: int
    user: int
    session: int
    expires: int = NEVER
    generation: int = 0
    last_number: int = 0
    gateway: int = 0
    revoked: bool = False
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    held: tuple[Held, ...] = ()
    quota_bytes: int = 0


@dataclass
class Version:
    """A value that is kept beside the record's present one."""

    place: int
    version: int
    kept: KeptAs
    author: int
    stamp: Stamp
    fields: Fields


@dataclass
class ConflictRow:
    """Two who did not know of each other."""

    id: int
    place: Place
    user: int
    stamp: Stamp
    """Of `mine`: who wrote it, and when."""
    at: int
    base: int
    mine: Fields
    theirs: Fields
    common: Fields
    gone: bool
    state: ConflictState
    by: int = 0
    choice: Choice | int = 0


@dataclass
class UnappliedRow:
    """A change that was refused, or whose writer had left."""

    id: int
    space: int
    user: int
    stamp: Stamp
    at: int
    code: Code
    detail: str
    operation: bytes
    quarantined: bool
    closed: bool = False


@dataclass
class Told:
    """An event that a transaction will end with: what one author wrote in one stream."""

    stream: int
    author: int
    items: dict[Place, RecordItem] = field(default_factory=dict)


@dataclass(frozen=True)
class Entered:
    """Somebody is a member of a space now."""

    space: int


@dataclass(frozen=True)
class PutOut:
    """Somebody is not a member of a space any more."""

    space: int
    by: int


@dataclass(frozen=True)
class Noted:
    """Somebody, or the rule (0), has brought a conflict where it stands."""

    conflict: int
    by: int


@dataclass(frozen=True)
class Answered:
    """A message answers another. Whose that is, and whether both still stand, is seen when it is told."""

    stream: int
    seq: int
    by: int


Telling = Mentioned | Entered | PutOut | Noted


class Refused(Exception):
    """An operation that has no effect."""

    def __init__(self, code: Code, detail: str = "", value: int = 0) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.value = value
        """Of what came too soon: until when, in Unix milliseconds."""


@dataclass
class Tables:
    """All rows."""

    epoch: int = EPOCH
    spaces: dict[int, Space] = field(default_factory=dict)
    streams: dict[int, Stream] = field(default_factory=dict)
    devices: dict[int, DeviceRow] = field(default_factory=dict)
    inboxes: dict[int, int] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    markers: dict[tuple[int, int], int] = field(default_factory=dict)
    records: dict[Place, Record] = field(default_factory=dict)
    """Deleted ones are among them until the horizon."""
    deleted: dict[Place, int] = field(default_factory=dict)
    """When each tombstone was made."""
    versions: dict[Place, list[Version]] = field(default_factory=dict)
    conflicts: dict[int, ConflictRow] = field(default_factory=dict)
    unapplied: dict[int, UnappliedRow] = field(default_factory=dict)
    blocks: set[tuple[int, int]] = field(default_factory=set)
    """Who blocks whom."""
    spoken: dict[tuple[int, int], int] = field(default_factory=dict)
    """When somebody spoke last in a stream in slow mode."""
    outbox: list[tuple[int, Telling | Answered]] = field(default_factory=list)
    """What waits to be told to somebody's inbox, and to whom (0: to whom is seen then)."""
    told: list[Told] = field(default_factory=list)
    """What the present transaction wrote, for readers."""
    put_out: dict[tuple[int, int], int] = field(default_factory=dict)
    """Where a stream ended when somebody was last put out of its audience, by stream and user: for the checker."""
    chosen: dict[tuple[object, ...], deque[int]] = field(default_factory=dict)
    """Identifiers that another database has chosen for what is made next, by what it is; see `number`."""
    numbers: dict[str, int] = field(default_factory=dict)

    def number(self, kind: str, *what: object) -> int:
        """An identifier for something new: the one that was chosen for it, else the next."""
        chosen = self.chosen.get((kind, *what))
        self.numbers[kind] = id = chosen.popleft() if chosen else self.numbers.get(kind, 0) + 1
        return id

    def create_space(self, kind: SpaceKind, name: str, id: int = 0) -> Space:
        id = id or max(self.spaces, default=0) + 1
        space = self.spaces[id] = Space(id, kind, name)
        return space

    def create_stream(
        self, space: Space, kind: StreamKind, name: str = "", read_roles: int = Roles.ALL, write_roles: int = Roles.ALL, id: int = 0
    ) -> Stream:
        id = id or max(self.streams, default=0) + 1
        stream = self.streams[id] = Stream(id, space, kind, name, int(read_roles), int(write_roles))
        space.streams.append(id)
        return stream

    def append(self, stream: int, author: int, now: int, body: Body) -> Fact:
        """An event at the end of a stream."""
        row = self.streams[stream]
        encoded = encode(body)
        row.log.append(Row(len(row.log) + 1, author, now, encoded))
        return Fact(stream, len(row.log), author, now, encoded, row.audience_version)

    def record(self, place: Place) -> Record:
        """What a write meets there. Versions go on counting above those of records that are deleted and forgotten."""
        found = self.records.get(place)
        if found is None and self.streams[place[0]].forgotten:
            return Record(self.streams[place[0]].forgotten)
        return found or NOTHING

    def role(self, space: int, user: int) -> int:
        """Somebody's role in a space; 0: not a member."""
        row = self.spaces.get(space)
        return 0 if row is None else int(row.members.get(user, 0))

    def are_parted(self, one: int, other: int) -> bool:
        """Whether one of the two blocks the other."""
        return (one, other) in self.blocks or (other, one) in self.blocks

    def may_read(self, stream: int, user: int) -> bool:
        row = self.streams[stream]
        return bool(row.space.members.get(user, 0) & row.read_roles)

    def must_read(self, stream: int, user: int) -> Stream:
        row = self.streams.get(stream)
        if row is None or user not in row.space.members:
            raise Refused(Code.NOT_FOUND)
        if not self.may_read(stream, user):
            raise Refused(Code.FORBIDDEN)
        return row

    def must_write(self, stream: int, user: int) -> Stream:
        row = self.streams.get(stream)
        if row is None or user not in row.space.members:
            raise Refused(Code.NOT_FOUND)
        if not row.space.members[user] & row.write_roles:
            raise Refused(Code.BLOCKED if row.kind is StreamKind.CONVERSATION else Code.FORBIDDEN)
        return row

    def enrolment(self, community: int, user: int) -> Space | None:
        """What somebody has, or had, of their own in a community."""
        return next((s for s in self.spaces.values() if s.kind is SpaceKind.ENROLMENT and (s.parent, s.of) == (community, user)), None)

    def stream_of(self, space: Space, kind: StreamKind) -> int:
        return next(id for id in space.streams if self.streams[id].kind is kind)
