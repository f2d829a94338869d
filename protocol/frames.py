"""Frames: everything that crosses the socket, in both directions.

    message = frame | array of frames             one binary WebSocket message
    frame   = [tag, field, field, ...]            a msgpack array; trailing fields with a default may be left out

    client ──Hello──────────────▶ server          ◀── Welcome, then what was missed, a Followed per cursor
           ──Resume──────────────▶                ◀── Resumed, then only what was missed
           ──Mutate(number, op)─▶                 ◀── Done / DoneRun / Refused, by number: committed, or never
           ──request(id, …)─────▶                 ◀── an answer with the same id, or Failed
                                                  ◀── Event(stream, seq, …): facts, in order, without gaps

Commands are strict: an unknown field is refused. What the server sends may grow at the end of a frame and by new tags in a later
minor version; a client passes over what it does not know.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Raw, Struct

from protocol.codes import Code
from protocol.entities import NO_FIELDS, SCHEMA_MIN
from protocol.events import AnyBody, RecordItem
from protocol.operations import Generation, Held
from protocol.permissions import ANYONE, OWN, Needs, Permission, in_space
from protocol.values import (
    ID_MAX,
    After,
    AfterKey,
    AuthorId,
    ConflictId,
    ConflictState,
    Cursor,
    Detail,
    DeviceId,
    DocumentVersionId,
    EntityTag,
    Harm,
    HeldForm,
    HeldId,
    HeldState,
    KeptAs,
    Key,
    LinkQuality,
    MaybeSpaceId,
    MaybeStreamId,
    MentorshipId,
    MentorshipState,
    MentorshipSubject,
    MentorshipWords,
    Milliseconds,
    Number,
    RecordVersion,
    ReportAbout,
    ReportId,
    ReportReason,
    ReportState,
    ReportWords,
    RequestId,
    Role,
    Seconds,
    Seq,
    SpaceId,
    SpaceKind,
    StreamId,
    StreamKind,
    Token,
    UnappliedId,
    UserId,
)

VERSION = 1
"""The protocol's major version. A server speaks a range of them and agrees on one per session."""
VERSION_MIN = 1
CURSORS_MAX = 256
PAGE_EVENTS_MAX = 256
BATCH_FRAMES_MAX = 256
CHUNK_CHANGES_MAX = 256
CHUNK_BYTES_GOAL = 4 * 1024
"""A chunk is closed at this size: 0.65 s of a 50 kbit/s link. A change that alone is longer goes alone."""
DOWN_BYTES_GOAL = 8 * 1024
"""A message of catch-up is closed at this size, for the same reason: what was cut is sent again."""
SNAPSHOT_BYTES_MAX = 64 * 1024
PART_BYTES_MAX = 48 * 1024
"""Of a document's state in one answer."""
AWARE_BYTES_MAX = 512
VERSIONS_LISTED_MAX = 100
FIND_WORDS_MAX = 200
FOUND_MAX = 50
FOUND_PLACE_BYTES_MAX = 48
INHERIT_MAX = 256
MENTORS_MAX = 40
"""Shown at once; some more are looked at, for those who may not be shown any more."""

Cursors = Annotated[tuple[Cursor, ...], Meta(max_length=CURSORS_MAX)]
Version = Annotated[int, Meta(ge=1, le=255)]
FirstNumber = Annotated[int, Meta(ge=1, le=ID_MAX - CHUNK_CHANGES_MAX, description="the number of the first of several mutations")]
Schema = Annotated[int, Meta(ge=1, le=255, description="the schema of entities that a client was built for")]
Epoch = Annotated[int, Meta(ge=0, le=ID_MAX, description="names one history of the database; 0 is unknown")]
TicketBytes = Annotated[bytes, Meta(min_length=1, max_length=64, description="a ticket, as the server gave it")]
Delta = Annotated[int, Meta(ge=-ID_MAX, le=ID_MAX, description="a stream less the one before it, or a position: as `Resume` says")]
Heartbeat = Annotated[int, Meta(ge=0, le=3600, description="wished silence between pings; 0 leaves it to the server")]


class Command(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Root of what a client sends."""

    needs: ClassVar[Needs]
    """What it needs; of what carries others (`Mutate`, `Chunk`), that it may be sent at all. Without a default: each says it for itself."""


class Frame(Struct, frozen=True, array_like=True):
    """Root of what a server sends."""


# Client to server: the session itself


class Hello(Command, frozen=True, forbid_unknown_fields=False, tag=1):
    """Opens the session; the first frame on a socket. Answered by `Welcome`, or the socket ends with a code.

    The one command that may be longer than the server knows it: a newer client meets an older server here, which passes over what it
    does not know and answers with the version that both speak.

    Each cursor is followed as if by `Follow` with id 0. The inbox needs no cursor at first: `Welcome` names it.
    """

    needs: ClassVar[Needs] = OWN
    version: Version
    token: Token
    device: DeviceId
    cursors: Cursors = ()
    epoch: Epoch = 0
    clock_ms: Milliseconds = 0
    heartbeat_s: Heartbeat = 0
    link: LinkQuality = LinkQuality.UNKNOWN
    software: Annotated[str, Meta(max_length=64)] = ""
    schema: Schema = SCHEMA_MIN


class Resume(Command, frozen=True, forbid_unknown_fields=False, tag=2):
    """Goes on with a session by its ticket; the first frame on a socket, in place of `Hello`. Answered by `Resumed`; or by `Failed` with
    id 0 and `TICKET`: then `Hello` follows on the same socket, and what was sent in between is sent again after its `Welcome`.

    What the `Welcome` said that the ticket came after holds on, but for what `Resumed` says. The cursors are those of that epoch, as pairs
    in one array: the stream, less the stream before it (0 before the first), then the position.

    `left_ms`: how long it is to the ticket's `expires`, by the device's clock, in milliseconds; below 0 it is behind.
    """

    needs: ClassVar[Needs] = OWN
    ticket: TicketBytes
    left_ms: Annotated[int, Meta(ge=-ID_MAX, le=ID_MAX)]
    cursors: Annotated[tuple[Delta, ...], Meta(max_length=2 * CURSORS_MAX)] = ()
    link: LinkQuality = LinkQuality.UNKNOWN
    heartbeat_s: Heartbeat = 0
    schema: Schema = SCHEMA_MIN


class Bye(Command, frozen=True, tag=3):
    """Ends the session in good order. What is in flight is still committed, but no longer answered."""

    needs: ClassVar[Needs] = ANYONE


class Ping(Command, frozen=True, tag=4):
    """Asks for a `Pong`: finds a dead link, measures the round trip and the clock."""

    needs: ClassVar[Needs] = OWN
    id: RequestId
    clock_ms: Milliseconds = 0


class Refresh(Command, frozen=True, tag=5):
    """Puts a newer token on the live socket. Answered by `Granted`; a bad token is `Failed` and changes nothing."""

    needs: ClassVar[Needs] = OWN
    id: RequestId
    token: Token


class Mutate(Command, frozen=True, tag=6):
    """Asks for a durable effect, once. Answered by `Done`, `DoneRun` or `Refused` with the same number.

    The operation's bytes are frozen at the first sending: a retry sends the same number with the same bytes.
    """

    needs: ClassVar[Needs] = OWN
    number: Number
    operation: Raw


# Client to server: requests


class Follow(Command, frozen=True, tag=7):
    """Asks for everything in `stream` after `after`, and what comes. Answered by events, then `Followed`; or `Failed`.

    At most a page comes at once: `Followed` with `live` false means: ask again from the last event on.
    """

    needs: ClassVar[Needs] = in_space(Permission.READ)
    id: RequestId
    stream: StreamId
    after: After


class Unfollow(Command, frozen=True, tag=8):
    """Ends following. Answered by `Granted`; events already under way may still arrive."""

    needs: ClassVar[Needs] = OWN
    id: RequestId
    stream: StreamId


class Overview(Command, frozen=True, tag=9):
    """Asks for the spaces, streams, heads and read markers of this account, in one snapshot. Answered by `Spaces`."""

    needs: ClassVar[Needs] = OWN
    id: RequestId


class History(Command, frozen=True, tag=10):
    """Asks for up to `limit` events next to a position: those before `before`, newest first cut, or those after `after`.

    Exactly one of the two is above 0. Answered by `Page` (events ascending) or `Failed`.
    """

    needs: ClassVar[Needs] = in_space(Permission.READ)
    id: RequestId
    stream: StreamId
    before: After = 0
    after: After = 0
    limit: Annotated[int, Meta(ge=1, le=PAGE_EVENTS_MAX)] = 50


class Typing(Command, frozen=True, tag=11):
    """Tells the others who follow `stream` that one is typing. Not answered, not stored, dropped under load."""

    needs: ClassVar[Needs] = in_space(Permission.READ)
    stream: StreamId


class Watch(Command, frozen=True, tag=12):
    """Turns presence of a space on or off for this socket. Answered by `Granted`, then `Presence` when it changes."""

    needs: ClassVar[Needs] = in_space(Permission.READ)
    id: RequestId
    space: SpaceId
    on: bool


class Members(Command, frozen=True, tag=13):
    """Asks for the members of a space, by ascending user, after user `after`. Answered by `MemberPage`."""

    needs: ClassVar[Needs] = in_space(Permission.READ)
    id: RequestId
    space: SpaceId
    after: Annotated[int, Meta(ge=0, le=ID_MAX)] = 0
    limit: Annotated[int, Meta(ge=1, le=200)] = 100


class Search(Command, frozen=True, tag=14):
    """Finds an account by its exact name, to invite it or to write to it. Answered by `Person`, or `Failed` with `NOT_FOUND`."""

    needs: ClassVar[Needs] = OWN
    id: RequestId
    name: Annotated[str, Meta(min_length=1, max_length=40)]


# Client to server: sync


class Run(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Consecutive changes to one entity of one stream. Each is an array as `ChangeItem` says."""

    stream: StreamId
    entity: EntityTag
    changes: Annotated[tuple[Raw, ...], Meta(min_length=1, max_length=CHUNK_CHANGES_MAX)]


class ChangeItem(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A change inside a run. `later` is its `at`, in seconds after the one before it in the chunk (the chunk's, for the first)."""

    key: Key
    later: Annotated[int, Meta(ge=-(2**40), le=2**40)]
    fields: Raw = NO_FIELDS
    base: RecordVersion = 0
    gone: bool = False


class Chunk(Command, frozen=True, tag=15):
    """Several changes at once: as many `Mutate` frames with a `Change` each, numbered from `number` on, but shorter. Answered by
    `Done`, `DoneRun` or `Refused`, like those.

    At most 256 changes; a client closes a chunk at 4 kB and keeps few unanswered, so that a cut costs little.
    """

    needs: ClassVar[Needs] = OWN
    number: FirstNumber
    at: Seconds
    runs: Annotated[tuple[Run, ...], Meta(min_length=1, max_length=CHUNK_CHANGES_MAX)]


class Snapshot(Command, frozen=True, tag=16):
    """Asks for a stream's records after one of them, by entity and key. Answered by `RecordPage` or `Failed`.

    Remember the head of the first page: when the last one is there, follow from that head. What was written meanwhile comes twice at
    most, and versions tell. A snapshot that was cut goes on after the last record that arrived.
    """

    needs: ClassVar[Needs] = in_space(Permission.READ)
    id: RequestId
    stream: StreamId
    entity: Annotated[int, Meta(ge=0, le=255)] = 0
    key: AfterKey = 0
    bytes_max: Annotated[int, Meta(ge=256, le=SNAPSHOT_BYTES_MAX)] = DOWN_BYTES_GOAL


class Conflicts(Command, frozen=True, tag=17):
    """Asks for conflicts that concern this account, by ascending id after `after`: one's own, and those of what one may decide as staff.

    `id` 0 of `conflict` lists; otherwise that one alone. Answered by `ConflictPage` or `Failed`.
    """

    needs: ClassVar[Needs] = in_space(Permission.RESOLVE_CONFLICTS, or_own=True)
    id: RequestId
    after: After = 0
    open_only: bool = True
    conflict: Annotated[int, Meta(ge=0, le=ID_MAX)] = 0
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


class Unapplied(Command, frozen=True, tag=18):
    """Asks for changes that the server keeps without having applied them: one's own, or those for a space (its staff).

    Answered by `UnappliedPage` or `Failed`.
    """

    needs: ClassVar[Needs] = in_space(Permission.MODERATE, or_own=True)
    id: RequestId
    after: After = 0
    space: Annotated[int, Meta(ge=0, le=ID_MAX)] = 0
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


class Versions(Command, frozen=True, tag=19):
    """Asks for values of a record that are kept beside the present one, newest first, before number `before` (0: the newest).

    Answered by `VersionPage` or `Failed`.
    """

    needs: ClassVar[Needs] = in_space(Permission.READ)
    id: RequestId
    stream: StreamId
    entity: EntityTag
    key: Key
    before: After = 0
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


class Sent(Struct, frozen=True, array_like=True):
    """A mutation that was sent under another device: its number and the digest of its operation's bytes (BLAKE2b, 64 bits, signed)."""

    number: Number
    digest: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class Inherit(Command, frozen=True, tag=20):
    """Ends another device of this account, so that nothing of it can still arrive, and asks what became of these mutations of it.

    For a store that was copied or moved to a new device. Answered by `Inherited` or `Failed`.
    """

    needs: ClassVar[Needs] = OWN
    id: RequestId
    device: DeviceId
    sent: Annotated[tuple[Sent, ...], Meta(max_length=INHERIT_MAX)]


class Holding(Command, frozen=True, tag=21):
    """Asks for what this device keeps offline, as `Hold` said. Answered by `Holdings`."""

    needs: ClassVar[Needs] = OWN
    id: RequestId


class Sync(Command, frozen=True, forbid_unknown_fields=False, tag=22):
    """Begins the body of a `POST /api/v1/sync`, where sockets are blocked; the bearer token says whose and which device it is.

    Other commands follow it. Answered by `Welcome`; the answers to the others come after it, in the same response. The device's socket,
    if there is one, stays as it is.
    """

    needs: ClassVar[Needs] = OWN
    epoch: Epoch = 0
    clock_ms: Milliseconds = 0
    schema: Schema = SCHEMA_MIN
    bytes_max: Annotated[int, Meta(ge=0, le=ID_MAX, description="about how long the answer may be; 0 leaves it to the server")] = 0


class TakeTicket(Command, frozen=True, tag=23):
    """Asks for a ticket, with which the next socket is opened by `Resume`; may go with `Hello`. Answered by `Ticket`.

    An older server does not know it (`Failed` with `UNKNOWN`), and then it knows no `Resume` either.
    """

    needs: ClassVar[Needs] = OWN
    id: RequestId


class Reports(Command, frozen=True, tag=26):
    """Asks for reports, by ascending id after `after`: one's own, or those that are decided in a `space` (its staff), or by the platform's
    reviewers (`platform`). Nobody is shown what is reported about themselves. Answered by `ReportPage` or `Failed`.
    """

    needs: ClassVar[Needs] = in_space(Permission.MODERATE, or_own=True)
    id: RequestId
    after: After = 0
    space: Annotated[int, Meta(ge=0, le=ID_MAX)] = 0
    platform: bool = False
    open_only: bool = True
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


class Mentorships(Command, frozen=True, tag=27):
    """Asks for one's own mentorships and proposals, by ascending id after `after`. Answered by `MentorshipPage`.

    `open_only`: those that are proposed or active.
    """

    needs: ClassVar[Needs] = OWN
    id: RequestId
    after: After = 0
    open_only: bool = True
    limit: Annotated[int, Meta(ge=1, le=100)] = 50


class FindMentors(Command, frozen=True, tag=28):
    """Asks for mentors who fit. Answered by `MentorsFound`, by `MentorsLater` where it takes long, or by `Failed`.

    What is left empty is taken from one's LEARNING and PROFILE records. `hours` are 24 bits for each day from Monday on, in one's own
    time zone; `space` 0 looks among all who mentor for anybody.
    """

    needs: ClassVar[Needs] = OWN
    id: RequestId
    subjects: Annotated[tuple[MentorshipSubject, ...], Meta(max_length=20)] = ()
    level: Annotated[int, Meta(ge=0, le=10)] = 0
    styles: Annotated[int, Meta(ge=0, le=255)] = 0
    languages: Annotated[tuple[Annotated[str, Meta(min_length=2, max_length=35)], ...], Meta(max_length=10)] = ()
    hours: Annotated[tuple[Annotated[int, Meta(ge=0, le=2**24 - 1)], ...], Meta(max_length=7)] = ()
    space: MaybeSpaceId = 0
    limit: Annotated[int, Meta(ge=1, le=MENTORS_MAX)] = 10


class HeldItems(Command, frozen=True, tag=29):
    """Asks for what moderation holds, by ascending id after `after`: of one's own, or what is decided in a `space` (its staff), or by the
    platform's reviewers (`platform`). Nobody decides about themselves, or is shown it among the others. Answered by `HeldPage` or `Failed`.
    """

    needs: ClassVar[Needs] = in_space(Permission.MODERATE, or_own=True)
    id: RequestId
    after: After = 0
    space: Annotated[int, Meta(ge=0, le=ID_MAX)] = 0
    platform: bool = False
    open_only: bool = True
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


# Server to client: the session itself


class Limits(Struct, frozen=True, array_like=True):
    """What this server takes."""

    message_bytes_max: int
    in_flight_max: Annotated[int, Meta(description="mutations sent and not yet answered")]
    follows_max: Annotated[int, Meta(description="streams followed at once")]


class Welcome(Frame, frozen=True, tag=32):
    """The session is open. `last_number` is the highest mutation number that has been decided for this device.

    An `epoch` other than the client's means that the database was restored: cursors are void, and acknowledged mutations that were
    not yet reported as backed up are sent again.
    """

    version: Version
    session: int
    user: UserId
    inbox: StreamId
    last_number: Annotated[int, Meta(ge=0)]
    epoch: Epoch
    server_ms: Milliseconds
    heartbeat_s: int
    expires: Seconds
    limits: Limits


class Done(Frame, frozen=True, tag=33):
    """Mutation `number` is committed. `value` is what its operation says: a sequence number, a space, a stream, or 0."""

    number: Number
    value: int


class DoneRun(Frame, frozen=True, tag=34):
    """The mutations from `first` on, one for each value, are committed."""

    first: Number
    values: tuple[int, ...]


class Refused(Frame, frozen=True, tag=35):
    """Mutation `number` has no effect, because of `code`. Whether the number is consumed stands in the table of codes."""

    number: Number
    code: Code
    detail: Detail = ""
    wait_ms: int = 0


class Granted(Frame, frozen=True, tag=36):
    """The request `id` is carried out."""

    id: RequestId


class Failed(Frame, frozen=True, tag=37):
    """The request `id` is not carried out, because of `code`. Follows that came with Hello have id 0; `stream` names them."""

    id: Annotated[int, Meta(ge=0)]
    code: Code
    detail: Detail = ""
    wait_ms: int = 0
    stream: Annotated[int, Meta(ge=0)] = 0


class Pong(Frame, frozen=True, tag=38):
    """Answers `Ping`."""

    id: RequestId
    server_ms: Milliseconds


class Draining(Frame, frozen=True, tag=39):
    """This server goes away soon: come back (to another) after `delay_ms`, which is this client's own."""

    delay_ms: int


class Goodbye(Frame, frozen=True, tag=40):
    """The socket ends now with `code`; come back no sooner than after `wait_ms`."""

    code: Code
    detail: Detail = ""
    wait_ms: int = 0


class Resumed(Frame, frozen=True, tag=41):
    """The session goes on. `last_number` is as in `Welcome`; `ahead_ms` is how far the server's clock is ahead of the device's, as `Resume`
    told it: its time on the way is in it.

    Every cursor of `Resume` is live, and nothing was missed, but for those in `rest`: their places in `Resume`, from 0. Each of these is
    answered as if by `Follow` with id 0.
    """

    last_number: Annotated[int, Meta(ge=0)]
    ahead_ms: int
    heartbeat_s: int
    rest: Annotated[tuple[Annotated[int, Meta(ge=0)], ...], Meta(max_length=CURSORS_MAX)] = ()


class Ticket(Frame, frozen=True, tag=42):
    """Answers `TakeTicket`. Good for `Resume` until `expires`, as often as need be. That is when the session's token expires: a resumed
    socket ends when the token's would have ended, and a ticket prolongs nothing. Take another one after `Refresh`.

    It is as secret as a token. It names account, device and session, and is worth nothing in another epoch, or when the session has ended.
    """

    id: RequestId
    ticket: bytes
    expires: Seconds


# Server to client: streams


class Event(Frame, frozen=True, tag=48):
    """A fact. Durable, numbered in its stream without gaps; the same bytes for everybody who follows it."""

    stream: StreamId
    seq: Seq
    author: AuthorId
    at: Seconds
    body: AnyBody


class Followed(Frame, frozen=True, tag=49):
    """Everything up to `upto` has been sent. `live`: what comes will follow by itself; otherwise ask for the next page.

    On a bad link an answer that is not `live` comes before its page's last message: ask for what comes after `upto` at once, so that the
    next page begins where this one ends.
    """

    id: Annotated[int, Meta(ge=0)]
    stream: StreamId
    upto: After
    live: bool


class Lagged(Frame, frozen=True, tag=50):
    """This socket was too slow for `stream`: events were dropped and it is no longer followed. Follow it again from the cursor."""

    stream: StreamId


class Unfollowed(Frame, frozen=True, tag=51):
    """`stream` is no longer followed, for example because the account may no longer read it."""

    stream: StreamId
    code: Code


class PageEvent(Struct, frozen=True, array_like=True):
    """An event inside a page. `body` is one of the event bodies, as in `Event`."""

    seq: Seq
    author: AuthorId
    at: Seconds
    body: Raw


class Page(Frame, frozen=True, tag=52):
    """Answers `History`: events in ascending order. `more` says whether there are others beyond, in the direction asked for."""

    id: RequestId
    stream: StreamId
    events: tuple[PageEvent, ...]
    more: bool


# Server to client: answers and ephemeral frames


class StreamState(Struct, frozen=True, array_like=True):
    """A stream as one account sees it."""

    stream: StreamId
    kind: StreamKind
    name: str
    head: After
    read_upto: After
    may_write: bool


class SpaceState(Struct, frozen=True, array_like=True):
    """A space as one account sees it."""

    space: SpaceId
    kind: SpaceKind
    name: str
    role: Role
    streams: tuple[StreamState, ...]


class Invitation(Struct, frozen=True, array_like=True):
    """A standing invitation: one may join `space` in `role`. `by_name` is the display name of who invited, whom one may not know yet."""

    space: SpaceId
    name: str
    role: Role
    by: UserId
    by_name: str = ""


class Slow(Struct, frozen=True, array_like=True):
    """A channel in slow mode: so many seconds lie at least between two messages of one learner."""

    stream: StreamId
    seconds: Annotated[int, Meta(ge=1)]


class Spaces(Frame, frozen=True, tag=53):
    """Answers `Overview`. `inbox_upto` is the inbox's head in the same snapshot: apply the inbox's later events to this.

    `invitations` are the newest, at most 100, latest first. `blocked` are the people whom one blocks,
    `slow` the channels in slow mode.
    """

    id: RequestId
    inbox_upto: After
    spaces: tuple[SpaceState, ...]
    invitations: tuple[Invitation, ...] = ()
    blocked: tuple[UserId, ...] = ()
    slow: tuple[Slow, ...] = ()


class Member(Struct, frozen=True, array_like=True):
    """Somebody in a space. `name` is the unique one, by which `Search` finds them; an older server leaves it out."""

    user: UserId
    role: Role
    display_name: str
    name: str = ""


class MemberPage(Frame, frozen=True, tag=54):
    """Answers `Members`."""

    id: RequestId
    space: SpaceId
    members: tuple[Member, ...]
    more: bool


class Person(Frame, frozen=True, tag=55):
    """Answers `Search`."""

    id: RequestId
    user: UserId
    name: str
    display_name: str


class IsTyping(Frame, frozen=True, tag=56):
    """`user` is typing in `stream`; forget it after six seconds."""

    stream: StreamId
    user: UserId


class Presence(Frame, frozen=True, tag=57):
    """How many members of a space are online, and who they are unless there are too many or the link is poor."""

    space: SpaceId
    online: int
    users: tuple[UserId, ...] = ()


# Server to client: sync


class RecordPage(Frame, frozen=True, tag=58):
    """Answers `Snapshot`: records by ascending entity and key. `head` is the stream's in the same snapshot of the database."""

    id: RequestId
    stream: StreamId
    head: After
    records: tuple[RecordItem, ...]
    more: bool


class Conflict(Struct, frozen=True, array_like=True):
    """A conflict: `mine` is what was not written, `theirs` what stood there, `common` what both began from, as far as it is kept.

    `user` wrote `mine`; `version` is the record's now and `present` its fields now; `by` claimed or decided it; `gone`: mine deletes.
    """

    conflict: ConflictId
    stream: StreamId
    entity: EntityTag
    key: Key
    user: UserId
    state: ConflictState
    at: Seconds
    version: RecordVersion
    mine: Raw
    theirs: Raw
    common: Raw
    present: Raw
    gone: bool = False
    by: AuthorId = 0
    choice: Annotated[int, Meta(ge=0, le=255, description="the last decision, as in `Choice`; 0: none by a person")] = 0


class ConflictPage(Frame, frozen=True, tag=59):
    """Answers `Conflicts`."""

    id: RequestId
    conflicts: tuple[Conflict, ...]
    more: bool


class UnappliedItem(Struct, frozen=True, array_like=True):
    """A change that was kept and not applied. `quarantined`: its writer had left the space when it came."""

    item: UnappliedId
    user: UserId
    space: Annotated[int, Meta(ge=0)]
    at: Seconds
    code: Code
    detail: Detail
    operation: bytes
    quarantined: bool = False


class UnappliedPage(Frame, frozen=True, tag=60):
    """Answers `Unapplied`."""

    id: RequestId
    items: tuple[UnappliedItem, ...]
    more: bool


class KeptVersion(Struct, frozen=True, array_like=True):
    """A value of a record that is kept. `place` orders them; `version` is the record's when it was current (0: it never was)."""

    place: Seq
    version: RecordVersion
    kept: KeptAs
    author: AuthorId
    at: Seconds
    fields: Raw


class VersionPage(Frame, frozen=True, tag=61):
    """Answers `Versions`."""

    id: RequestId
    versions: tuple[KeptVersion, ...]
    more: bool


class Settlement(Struct, frozen=True, array_like=True):
    """What became of a mutation of the other device. Those not listed have had no effect and never will."""

    number: Number
    code: Code
    value: int
    detail: Detail = ""


class Inherited(Frame, frozen=True, tag=62):
    """Answers `Inherit`."""

    id: RequestId
    settled: tuple[Settlement, ...]


class Holdings(Frame, frozen=True, tag=63):
    """Answers `Holding`."""

    id: RequestId
    streams: tuple[Held, ...]
    quota_bytes: int


class ReportItem(Struct, frozen=True, array_like=True):
    """A report, as whoever made it or those who decide it see it; never by whom it is.

    `times`: how often it was made; `at`: when first. `text`: what the message said when it was reported, for those who decide while it is
    open.
    """

    report: ReportId
    about: ReportAbout
    user: UserId
    reason: ReportReason
    state: ReportState
    at: Seconds
    times: int
    words: ReportWords
    space: Annotated[int, Meta(ge=0)] = 0
    stream: Annotated[int, Meta(ge=0)] = 0
    seq: Annotated[int, Meta(ge=0)] = 0
    text: str = ""


class ReportPage(Frame, frozen=True, tag=67):
    """Answers `Reports`."""

    id: RequestId
    reports: tuple[ReportItem, ...]
    more: bool


class MentorFound(Struct, frozen=True, array_like=True):
    """A mentor who fits. `factors`: how far, in percent, by subject, style, language, availability, time zone and history.

    `why` is the key of one sentence with what fills it, such as `subject:algebra` (docs/mentoring.md). `space`: in which community they can
    be asked (0: without one).
    """

    user: UserId
    name: str
    display_name: str
    percent: Annotated[int, Meta(ge=0, le=100)]
    factors: tuple[Annotated[int, Meta(ge=0, le=100)], ...]
    why: str
    about: str = ""
    free: Annotated[int, Meta(ge=0)] = 1
    space: MaybeSpaceId = 0


class MentorsFound(Frame, frozen=True, tag=71):
    """Answers `FindMentors`, best first; with `id` 0 one that was answered by `MentorsLater` before, with its `ticket`.

    `degraded` says in plain words what is less than it should be ("": nothing); `by` who judged: a model's version, or `rules`.
    `considered`: how many mentors were looked at, `fitting`: how many of them may be shown.
    """

    id: Annotated[int, Meta(ge=0)]
    mentors: tuple[MentorFound, ...]
    considered: int
    fitting: int
    by: str
    degraded: str = ""
    ticket: Annotated[int, Meta(ge=0, le=ID_MAX)] = 0


class MentorsLater(Frame, frozen=True, tag=72):
    """Answers `FindMentors` where it takes long: what is found comes as `MentorsFound` with id 0 and this ticket, while the socket lives.
    `GET /api/v1/match/{ticket}` gives it, too, for ten minutes."""

    id: RequestId
    ticket: Annotated[int, Meta(ge=1, le=ID_MAX)]


class MentorshipItem(Struct, frozen=True, array_like=True):
    """A mentorship of one's own. `said`: one has said that it is over; `other_said`: the other has. `streams`: its conversation, and that
    of its goals and meetings, once it has begun (0: not yet)."""

    mentorship: MentorshipId
    mentor: UserId
    learner: UserId
    other_name: str
    state: MentorshipState
    subject: MentorshipSubject
    words: MentorshipWords
    at: Seconds
    community: MaybeSpaceId = 0
    space: MaybeSpaceId = 0
    conversation: Annotated[int, Meta(ge=0, le=ID_MAX)] = 0
    records: Annotated[int, Meta(ge=0, le=ID_MAX)] = 0
    said: bool = False
    other_said: bool = False


class MentorshipPage(Frame, frozen=True, tag=73):
    """Answers `Mentorships`."""

    id: RequestId
    mentorships: tuple[MentorshipItem, ...]
    more: bool


class HeldReason(Struct, frozen=True, array_like=True):
    """Why something is held: a kind of harm, and how likely people would call it so. 100 % of `OTHER`: nobody could look at it."""

    harm: Harm
    percent: Annotated[int, Meta(ge=0, le=100)]


class HeldItem(Struct, frozen=True, array_like=True):
    """Something that moderation holds, as its author or those who decide it see it.

    `by`: which version of a model judged it, or "lexicon"; `degraded`: in what this judgement was less than it should be. `text`: what was
    said, while it is kept. `appeal`: what its author had to say; `appealed`: when, 0: never. `seq`: the message that was taken back.
    """

    held: HeldId
    form: HeldForm
    state: HeldState
    user: UserId
    at: Seconds
    reasons: tuple[HeldReason, ...]
    text: str = ""
    by: str = ""
    degraded: str = ""
    space: MaybeSpaceId = 0
    stream: MaybeStreamId = 0
    seq: Annotated[int, Meta(ge=0)] = 0
    appeal: str = ""
    appealed: Seconds = 0


class HeldPage(Frame, frozen=True, tag=74):
    """Answers `HeldItems`."""

    id: RequestId
    items: tuple[HeldItem, ...]
    more: bool


class Aware(Command, frozen=True, tag=30):
    """Tells the others who follow a document where one is in it: cursor, selection, as the clients agree. Not answered, not stored; of what
    follows closely only the last is passed on. Empty: one is there no longer."""

    needs: ClassVar[Needs] = in_space(Permission.READ)
    document: StreamId
    data: Annotated[bytes, Meta(max_length=AWARE_BYTES_MAX)]


class LoadDocument(Command, frozen=True, tag=100):
    """Asks for a document's state, or (`version`) that of one of its versions, in parts. Answered by `DocumentPart` or `Failed`.

    The first part is asked for with `generation`, `upto` and `offset` 0, the next ones with those of the first. When the last is there,
    follow the document from `upto`.
    """

    needs: ClassVar[Needs] = in_space(Permission.READ)
    id: RequestId
    document: StreamId
    version: Annotated[int, Meta(ge=0, le=ID_MAX)] = 0
    generation: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    upto: After = 0
    offset: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    bytes_max: Annotated[int, Meta(ge=256, le=PART_BYTES_MAX)] = DOWN_BYTES_GOAL


class DocumentVersions(Command, frozen=True, tag=101):
    """Asks for a document's named versions, newest first, before one of them (0: from the newest). Answered by `DocumentVersionPage`."""

    needs: ClassVar[Needs] = in_space(Permission.READ)
    id: RequestId
    document: StreamId
    before: Annotated[int, Meta(ge=0, le=ID_MAX)] = 0
    limit: Annotated[int, Meta(ge=1, le=VERSIONS_LISTED_MAX)] = 50


class IsAware(Frame, frozen=True, tag=75):
    """Where `user` is in a document, as their client says; empty: there no longer. Forget it after thirty seconds without another."""

    document: StreamId
    user: UserId
    data: bytes


class DocumentPart(Frame, frozen=True, tag=76):
    """Answers `LoadDocument`: `data` of a state of `size` bytes, from `offset` on. The whole is an array of Yjs updates, in msgpack, to be
    applied one after the other to an empty document.

    It is the state after event `upto` of `generation`. Where those are others than were asked for, the document was compacted or begun
    anew meanwhile, and this is the first part of that.
    """

    id: RequestId
    document: StreamId
    generation: Generation
    upto: After
    size: Annotated[int, Meta(ge=0)]
    offset: Annotated[int, Meta(ge=0)]
    data: bytes


class DocumentVersion(Struct, frozen=True, array_like=True):
    """A version of a document, named by `by`, at Unix second `at`; `by` 0: kept by the system when another one was restored."""

    version: DocumentVersionId
    generation: Generation
    upto: After
    name: str
    by: AuthorId
    at: Seconds
    size: Annotated[int, Meta(ge=0, description="its state, in bytes")]


class DocumentVersionPage(Frame, frozen=True, tag=77):
    """Answers `DocumentVersions`."""

    id: RequestId
    versions: tuple[DocumentVersion, ...]
    more: bool


class Find(Command, frozen=True, tag=31):
    """Asks for messages with these words, of channels and conversations that one may read now. Those with all words whole come first,
    newest first, then those with words like them (a part, another form, a slip). What is said is found within seconds. Answered by `Found`
    or `Failed`.

    `space`, `stream`: only there (0: everywhere). `place`: `Found.next` of the page before, empty for the first.
    """

    needs: ClassVar[Needs] = in_space(Permission.READ)
    id: RequestId
    words: Annotated[str, Meta(min_length=1, max_length=FIND_WORDS_MAX, description="as a person types them")]
    space: MaybeSpaceId = 0
    stream: MaybeStreamId = 0
    place: Annotated[bytes, Meta(max_length=FOUND_PLACE_BYTES_MAX)] = b""
    limit: Annotated[int, Meta(ge=1, le=FOUND_MAX)] = 20


class FoundMessage(Struct, frozen=True, array_like=True):
    """A message as it reads now. `name`: what its author is called; `whole`: it has all the words as they were typed.

    `excerpt`: pieces of its text around what was found, in order; every second one, from the second on, is what was found, and is to be
    marked. What was left out stands as "…".
    """

    space: SpaceId
    stream: StreamId
    seq: Seq
    author: AuthorId
    name: str
    at: Seconds
    whole: bool
    excerpt: tuple[str, ...]


class Found(Frame, frozen=True, tag=80):
    """Answers `Find`. `next`: where the next page begins; empty: this was the last."""

    id: RequestId
    messages: tuple[FoundMessage, ...]
    next: bytes = b""


AnyCommand = (
    Hello
    | Resume
    | Bye
    | Ping
    | Refresh
    | Mutate
    | Follow
    | Unfollow
    | Overview
    | History
    | Typing
    | Watch
    | Members
    | Search
    | Chunk
    | Snapshot
    | Conflicts
    | Unapplied
    | Versions
    | Inherit
    | Holding
    | Sync
    | TakeTicket
    | Reports
    | Mentorships
    | FindMentors
    | HeldItems
    | Aware
    | LoadDocument
    | DocumentVersions
    | Find
)
AnyRequest = (
    Ping
    | Refresh
    | Follow
    | Unfollow
    | Overview
    | History
    | Watch
    | Members
    | Search
    | Snapshot
    | Conflicts
    | Unapplied
    | Versions
    | Inherit
    | Holding
    | TakeTicket
    | Reports
    | Mentorships
    | FindMentors
    | HeldItems
    | LoadDocument
    | DocumentVersions
    | Find
)
AnyFrame = (
    Welcome
    | Done
    | DoneRun
    | Refused
    | Granted
    | Failed
    | Pong
    | Draining
    | Goodbye
    | Resumed
    | Ticket
    | Event
    | Followed
    | Lagged
    | Unfollowed
    | Page
    | Spaces
    | MemberPage
    | Person
    | IsTyping
    | Presence
    | RecordPage
    | ConflictPage
    | UnappliedPage
    | VersionPage
    | Inherited
    | Holdings
    | ReportPage
    | HeldPage
    | MentorsFound
    | MentorsLater
    | MentorshipPage
    | IsAware
    | DocumentPart
    | DocumentVersionPage
    | Found
)
