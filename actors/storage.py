"""The storage port: what actors ask of Postgres, and what comes back. Nothing here waits; answers arrive as messages.

    device ──Entry──▶ journal ──one batch, one transaction──▶ Decided to the device, Facts to the herald
    others ──Query──▶ store   ──one batch, one snapshot─────▶ Answered to whoever asked

Invariant: an entry whose `Decided` carries `OK` is committed. One that was never answered has an unknown outcome, and its number
makes asking again safe. Authority is decided in the same transaction or snapshot as the effect or the answer, nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Protocol

from msgspec import Meta, Struct

from actors.cell import Ref
from actors.tracing import Trace
from actors.trust import START
from protocol.codes import Code
from protocol.events import RecordItem
from protocol.frames import (
    Conflict,
    DocumentVersion,
    FoundMessage,
    HeldItem,
    Invitation,
    KeptVersion,
    Member,
    MentorFound,
    MentorshipItem,
    ReportItem,
    Settlement,
    Slow,
    SpaceState,
    UnappliedItem,
)
from protocol.operations import AnyOperation, Held
from protocol.values import ID_MAX


class Refusal(Struct, frozen=True):
    """Stands in for an operation that could not even be read: it consumes its number and has no effect."""

    code: Code
    detail: str
    payload: bytes = b""
    """The bytes that were sent, where they are to be kept: what belonged to a chunk."""
    until_ms: int = 0
    """Of what came too soon (`SLOWED`): when it may be asked for again, in Unix milliseconds; the outcome's value."""


class Entry(Struct, frozen=True):
    """One mutation on its way into the journal. `digest` is 64 bits over the operation's bytes, as a signed integer.

    `skew_s` is how far the device's clock is behind the server's, as measured: what the device says about time is that much later.
    """

    user: int
    device: int
    generation: int
    number: int
    digest: int
    operation: AnyOperation | Refusal
    skew_s: int = 0
    trace: Trace | None = None
    """What is followed on its way (`actors.tracing`); of no concern to its outcome."""
    proven: bool = False
    """Whether whoever asks has proven lately who they are: read in the transaction, where what is asked for may need it."""


class Decided(Struct, frozen=True):
    """What became of an entry. `replayed`: the number was known, and this is its stored outcome.

    Codes beside those of the operation: `GAP`, `TOO_OLD`, `NUMBER_REUSED`; `TAKEN_OVER` when the device's generation has moved on or its
    session has ended; `UNAVAILABLE` when the database was away and nothing was decided.
    """

    number: int
    code: Code
    value: int = 0
    detail: str = ""
    replayed: bool = False
    generation: int = 0
    """The entry's own, so that a device knows an answer to a socket that has been taken over since."""


class Fact(Struct, frozen=True):
    """A committed event. `body` is the msgpack bytes of one of `protocol.events`; `at` is Unix seconds.

    `audience_version` is the stream's at the time: a gateway that knows a lower one refreshes who may read before it delivers.
    """

    stream: int
    seq: int
    author: int
    at: int
    body: bytes
    audience_version: int
    trace: Trace | None = None


class Journal(Protocol):
    """The one write path."""

    def submit(self, entry: Entry, reply_to: Ref[Decided]) -> bool:
        """Queues an entry; False when the queue is at its bound in items or bytes (answer `BUSY`). Order per device is kept."""
        ...


class Herald(Protocol):
    """Who hears of what the journal committed: publishes it and tells the local channels."""

    def committed(self, facts: Sequence[Fact]) -> None:
        """Called once per transaction, in the order of the numbers of each stream."""
        ...


# Queries


class Attach(Struct, frozen=True):
    """Takes over a device for a new socket: raises its generation, if the session and account are still good."""

    session: int
    user: int
    device: int
    gateway: int


class ReadAfter(Struct, frozen=True):
    """Reads events after a position, in order, up to a bound in events and bytes. `user` 0 is the gateway itself, unchecked."""

    stream: int
    user: int
    after: int
    events_max: int
    bytes_max: int


class ReadBefore(Struct, frozen=True):
    """Reads the newest events before a position."""

    stream: int
    user: int
    before: int
    events_max: int
    bytes_max: int


class CheckAudience(Struct, frozen=True):
    """Which of these users may read a stream now?"""

    stream: int
    users: tuple[int, ...]


class ReadHeads(Struct, frozen=True):
    """Where these streams end now, unchecked: for comparing with what a gateway has delivered."""

    streams: tuple[int, ...]


class ReadGenerations(Struct, frozen=True):
    """The generations of these devices now, unchecked: for comparing with those that a gateway holds."""

    devices: tuple[int, ...]


class ListSpaces(Struct, frozen=True):
    """A user's spaces with streams, heads and read markers, and the inbox's head, in one snapshot."""

    user: int


class ListMembers(Struct, frozen=True):
    """A page of a space's members, for one of them."""

    space: int
    user: int
    after: int
    limit: int


class FindPerson(Struct, frozen=True):
    """An account by its exact name, as `user` finds it: whom somebody blocks does not find them. 0: anybody's."""

    name: str
    user: int = 0


class ReadRecords(Struct, frozen=True):
    """A stream's records after one of them, by entity and key, up to a bound in bytes, with the stream's head, in one snapshot."""

    stream: int
    user: int
    after_entity: int
    after_key: int
    bytes_max: int


class ListConflicts(Struct, frozen=True):
    """Conflicts that concern a user, by ascending id: their own, and where they are staff with a say. `conflict`: only that one."""

    user: int
    after: int
    open_only: bool
    conflict: int
    limit: int


class ListUnapplied(Struct, frozen=True):
    """What is kept unapplied: of a user (`space` 0), or for a space, for its staff."""

    user: int
    space: int
    after: int
    limit: int


class ReadVersions(Struct, frozen=True):
    """Kept values of a record, newest first, before a place (0: from the newest)."""

    stream: int
    user: int
    entity: int
    key: int
    before: int
    limit: int


class Borrow(Struct, frozen=True):
    """As `Attach`, but takes nothing over: for a request beside the device's socket. Answered by `Attached` (`previous_gateway` 0)."""

    session: int
    user: int
    device: int


class InheritDevice(Struct, frozen=True):
    """Raises the generation of another device of the user's, so that nothing of it can still commit, and reads outcomes of it.

    `sent` are pairs of number and digest. `device` asks; it must be another one.
    """

    user: int
    device: int
    inherited: int
    sent: tuple[tuple[int, int], ...]


class ListReports(Struct, frozen=True):
    """Reports: of a user (`space` 0), of a community, for those who moderate it, or those of the platform, for its reviewers."""

    user: int
    space: int
    platform: bool
    after: int
    open_only: bool
    limit: int


class ListHeld(Struct, frozen=True):
    """What moderation holds: of a user (`space` 0), of a community, for those who moderate it, or of the platform, for its reviewers."""

    user: int
    space: int
    platform: bool
    after: int
    open_only: bool
    limit: int


class LoadState(Struct, frozen=True):
    """A part of a document's state, or of a version's (0: the present); from 0 on where `generation` and `upto` are not its own."""

    stream: int
    user: int
    version: int
    generation: int
    upto: int
    offset: int
    bytes_max: int


class ListDocumentVersions(Struct, frozen=True):
    """A document's versions before one of them (0: from the newest), newest first."""

    stream: int
    user: int
    before: int
    limit: int


class FindMessages(Struct, frozen=True):
    """Messages with these words, where this account may read them now; as `protocol.frames.Find`. `place`: where the page before ended."""

    user: int
    words: str
    space: int
    stream: int
    place: FoundPlace | None
    limit: int


class ReadHolding(Struct, frozen=True):
    """What a device keeps offline, as it said last."""

    user: int
    device: int


class ListMentorships(Struct, frozen=True):
    """A user's own mentorships and proposals, by ascending id."""

    user: int
    after: int
    open_only: bool
    limit: int


class FindMatches(Struct, frozen=True):
    """Mentors who fit a user. Empty fields are taken from their records; `hours` are in their own time zone, a bit an hour, by day.

    Not the store's to answer, but the matchmaker's (`actors.matchmaking`), which stands before it.
    """

    user: int
    subjects: tuple[str, ...]
    level: int
    styles: int
    languages: tuple[str, ...]
    hours: tuple[int, ...]
    space: int
    limit: int


Query = (
    Attach
    | ReadAfter
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
    | Borrow
    | InheritDevice
    | ReadHolding
    | ListReports
    | ListHeld
    | ListMentorships
    | FindMatches
    | LoadState
    | ListDocumentVersions
    | FindMessages
)


# Answers


class Attached(Struct, frozen=True):
    """The device is this socket's. `previous_gateway` may still hold an older socket (0: none)."""

    generation: int
    last_number: int
    inbox: int
    epoch: int
    session_expires: int
    display_name: str
    previous_gateway: int
    trust: float = START
    """How far the account is trusted, in [0, 1] (`actors.trust`)."""


class Row(Struct, frozen=True):
    """One event of the log; `body` as in `Fact`."""

    seq: int
    author: int
    at: int
    body: bytes


class Events(Struct, frozen=True):
    """Consecutive events, ascending. `head` is the stream's in the same snapshot; `more`: a bound cut the page short."""

    space: int
    head: int
    audience_version: int
    rows: tuple[Row, ...]
    more: bool
    silent: bool = False
    """It is a conversation of two, of whom one blocks the other."""


class Audience(Struct, frozen=True):
    """Those of the users asked about who may read, as of `audience_version`."""

    audience_version: int
    users: frozenset[int]
    silent: bool = False
    """As in `Events`."""


class Head(Struct, frozen=True):
    """Where a stream ends."""

    stream: int
    head: int
    audience_version: int


class Heads(Struct, frozen=True):
    """Streams that do not exist are left out."""

    heads: tuple[Head, ...]


INVITATIONS_LISTED_MAX = 100
"""A space bounds how many it has open, but nothing bounds how many spaces invite one person. Nobody reads more than these."""


class Generations(Struct, frozen=True):
    """Pairs of device and generation. Devices that do not exist are left out. `ended`: those of them whose last session was ended: by that
    their generation was raised, and not by another socket."""

    generations: tuple[tuple[int, int], ...]
    ended: tuple[int, ...] = ()


class SpaceList(Struct, frozen=True):
    """Answers `ListSpaces`. `invitations`: the newest, at most `INVITATIONS_LISTED_MAX`, latest first. `blocked`: whom one blocks.
    `slow`: channels in slow mode, by space and stream."""

    inbox_upto: int
    spaces: tuple[SpaceState, ...]
    invitations: tuple[Invitation, ...] = ()
    blocked: tuple[int, ...] = ()
    slow: tuple[Slow, ...] = ()


class MemberList(Struct, frozen=True):
    """Answers `ListMembers`."""

    members: tuple[Member, ...]
    more: bool


class PersonFound(Struct, frozen=True):
    """Answers `FindPerson`."""

    user: int
    name: str
    display_name: str


class Denied(Struct, frozen=True):
    """The query was refused (`FORBIDDEN`, `NOT_FOUND`, `REVOKED`, `TOKEN_EXPIRED`, `RESET`), or the database is away (`UNAVAILABLE`)."""

    code: Code
    detail: str = ""


class RecordsRead(Struct, frozen=True):
    """Answers `ReadRecords`: ascending by entity and key; deleted ones are left out."""

    head: int
    records: tuple[RecordItem, ...]
    more: bool


class ConflictList(Struct, frozen=True):
    """Answers `ListConflicts`."""

    conflicts: tuple[Conflict, ...]
    more: bool


class UnappliedList(Struct, frozen=True):
    """Answers `ListUnapplied`."""

    items: tuple[UnappliedItem, ...]
    more: bool


class VersionList(Struct, frozen=True):
    """Answers `ReadVersions`."""

    versions: tuple[KeptVersion, ...]
    more: bool


class InheritedOutcomes(Struct, frozen=True):
    """Answers `InheritDevice`: those of the asked that were decided, with the payload asked about. `generation` is the device's now."""

    generation: int
    settled: tuple[Settlement, ...]


class ReportList(Struct, frozen=True):
    """Answers `ListReports`."""

    reports: tuple[ReportItem, ...]
    more: bool


class HeldList(Struct, frozen=True):
    """Answers `ListHeld`."""

    items: tuple[HeldItem, ...]
    more: bool


class StatePart(Struct, frozen=True):
    """Answers `LoadState`; as `protocol.frames.DocumentPart`."""

    generation: int
    upto: int
    size: int
    offset: int
    data: bytes


class VersionsListed(Struct, frozen=True):
    """Answers `ListDocumentVersions`."""

    versions: tuple[DocumentVersion, ...]
    more: bool


class FoundPlace(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where a page of what was found ended. `whole`: among what has all words whole; `at`: Unix seconds."""

    whole: bool
    at: Annotated[int, Meta(ge=0, le=ID_MAX)]
    stream: Annotated[int, Meta(ge=0, le=ID_MAX)]
    seq: Annotated[int, Meta(ge=0, le=ID_MAX)]


class MessagesFound(Struct, frozen=True):
    """Answers `FindMessages`. `place`: where the next page begins; None: this was the last."""

    messages: tuple[FoundMessage, ...]
    place: FoundPlace | None


class HoldingRead(Struct, frozen=True):
    """Answers `ReadHolding`."""

    streams: tuple[Held, ...]
    quota_bytes: int


class MentorshipList(Struct, frozen=True):
    """Answers `ListMentorships`."""

    mentorships: tuple[MentorshipItem, ...]
    more: bool


class MatchList(Struct, frozen=True):
    """Answers `FindMatches`, best first. `degraded`: what is less than it should be, in plain words; `by`: who judged. `ticket`: of
    one that was answered by `MatchLater` before; else 0."""

    mentors: tuple[MentorFound, ...]
    considered: int
    fitting: int
    by: str
    degraded: str = ""
    ticket: int = 0


class MatchLater(Struct, frozen=True):
    """Answers `FindMatches` where it takes long: the `MatchList` is told later, with this ticket (and the ticket of `Answered` 0)."""

    ticket: int


Result = (
    Attached
    | Events
    | Audience
    | Heads
    | Generations
    | SpaceList
    | MemberList
    | PersonFound
    | RecordsRead
    | ConflictList
    | UnappliedList
    | VersionList
    | InheritedOutcomes
    | HoldingRead
    | ReportList
    | HeldList
    | MentorshipList
    | MatchList
    | MatchLater
    | StatePart
    | VersionsListed
    | MessagesFound
    | Denied
)


class Answered(Struct, frozen=True):
    """A query's answer. `ticket` is whatever the asker gave."""

    ticket: int
    result: Result


class Store(Protocol):
    """Reads, and the taking over of devices, batched over everybody who asks at the same time."""

    def ask(self, query: Query, ticket: int, reply_to: Ref[Answered]) -> None:
        """Queues a query without waiting. Always answered within its deadline, with `Denied(BUSY)` beyond the bound of the queue."""
        ...


CONTROL_STREAM = 1
"""The stream that tells gateways of revoked sessions and changed authority; its head is polled twice a second, always."""
