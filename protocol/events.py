"""Events: the facts that streams are made of. The bytes below are stored as they are sent, once for everybody who reads.

A reader of a stream folds its events in order of their numbers. A message's present text and reactions are that fold; when a
message is edited or deleted its own row is rewritten too, so that a reader who jumps into the middle sees the present text.
A client passes over kinds that it does not know.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Raw, Struct

from protocol.entities import NO_FIELDS
from protocol.operations import LEVELS_MAX, Checksum, DocumentUpdate, Generation, Level, Settings, Users
from protocol.values import (
    ATTACHMENTS_MAX,
    FILE_NAME_MAX,
    HASH_BYTES,
    ID_MAX,
    PLACEHOLDER_BYTES_MAX,
    After,
    AuthorId,
    ConflictId,
    ConflictState,
    DocumentVersionId,
    Emoji,
    EntityTag,
    Harm,
    HeldForm,
    HeldId,
    HeldState,
    Key,
    MaybeSpaceId,
    MaybeStreamId,
    MentorshipId,
    MentorshipState,
    MentorshipWords,
    Name,
    NoticeKind,
    PermissionMask,
    RecordVersion,
    ReportAbout,
    ReportId,
    ReportReason,
    ReportState,
    Role,
    RoleId,
    RoleMask,
    Seq,
    SpaceId,
    SpaceKind,
    StreamId,
    StreamKind,
    Text,
    UploadId,
    UserId,
)

NOTICE_WORDS_MAX = 200
SET_ASIDE_MAX = 256
NOTICES_READ_MAX = 100
TRUSTED_MAX = 512


class Body(Struct, frozen=True, array_like=True):
    """Root of all event bodies."""


class Said(Body, frozen=True, tag=1):
    """In a channel or conversation: a plain message. Its name is the event's sequence number."""

    text: Text


class Attachment(Struct, frozen=True, array_like=True):
    """A file that came with a message. Where its bytes are is asked for by the message: `POST /api/v1/media/links`."""

    id: UploadId
    hash: Annotated[bytes, Meta(max_length=HASH_BYTES, description="SHA-256 of what was uploaded")]
    media_type: Annotated[str, Meta(max_length=100, description="what the bytes are, found out by the server, such as image/jpeg")]
    size: Annotated[int, Meta(ge=0, le=ID_MAX, description="bytes")]
    width: Annotated[int, Meta(ge=0, le=65_535, description="of a picture, upright, in pixels; 0: it is none")] = 0
    height: Annotated[int, Meta(ge=0, le=65_535, description="likewise")] = 0
    placeholder: Annotated[
        bytes,
        Meta(
            max_length=PLACEHOLDER_BYTES_MAX,
            description="what a picture looks like from afar: columns times 16 plus rows, then red, green and blue of each cell, by rows",
        ),
    ] = b""
    name: Annotated[str, Meta(max_length=FILE_NAME_MAX, description="what its sender called it, cleaned")] = ""


class Posted(Body, frozen=True, tag=6):
    """In a channel or conversation: a message with more than text, or one that was edited since."""

    text: Text
    reply_to: Annotated[int, Meta(ge=0, description="the message this answers, or 0")] = 0
    mentions: Users = ()
    edited: bool = False
    attachments: Annotated[tuple[Attachment, ...], Meta(max_length=ATTACHMENTS_MAX)] = ()


class Edited(Body, frozen=True, tag=2):
    """The message `target` now reads `text`."""

    target: Seq
    text: Text


class Deleted(Body, frozen=True, tag=3):
    """The message `target` was taken back; its event is now `Redacted`."""

    target: Seq


class Reacted(Body, frozen=True, tag=4):
    """The author's reaction to `target` was added (`on`) or taken away."""

    target: Seq
    emoji: Emoji
    on: bool = True


class Redacted(Body, frozen=True, tag=5):
    """A tombstone: something stood here, and its content is gone."""


class CommunityFounded(Body, frozen=True, tag=10):
    """In a community's stream: its first event."""

    name: Name


class Joined(Body, frozen=True, tag=11):
    """Somebody is now a member."""

    user: UserId
    role: Role
    display_name: Name


class Left(Body, frozen=True, tag=12):
    """Somebody is no longer a member; `by` is who ended it (the person, or an owner or moderator)."""

    user: UserId
    by: AuthorId


class RoleSet(Body, frozen=True, tag=13):
    """A member has another role."""

    user: UserId
    role: Role


class ChannelOpened(Body, frozen=True, tag=14):
    """There is a new channel. Only those whose role is in `read_roles` can follow it."""

    stream: StreamId
    name: Name
    read_roles: RoleMask
    write_roles: RoleMask


class ChannelChanged(Body, frozen=True, tag=15):
    """A channel has another name or audience."""

    stream: StreamId
    name: Name
    read_roles: RoleMask
    write_roles: RoleMask


class SettingsChanged(Body, frozen=True, tag=16):
    """The community's name or settings changed."""

    name: Name
    open_to_all: bool
    settings: Settings


class Renamed(Body, frozen=True, tag=17):
    """A member goes by another name."""

    user: UserId
    display_name: Name


class StreamInfo(Struct, frozen=True, array_like=True):
    """One stream of a space."""

    stream: StreamId
    kind: StreamKind
    name: str


class SpaceEntered(Body, frozen=True, tag=20):
    """In an inbox: one is now a member of this space, whose readable streams are these."""

    space: SpaceId
    kind: SpaceKind
    name: str
    role: Role
    streams: tuple[StreamInfo, ...]


class SpaceLeft(Body, frozen=True, tag=21):
    """In an inbox: one is no longer a member of this space."""

    space: SpaceId


class Mentioned(Body, frozen=True, tag=22):
    """In an inbox: `author` mentioned one in message `seq` of `stream`."""

    stream: StreamId
    seq: Seq
    author: UserId


class ReadUpTo(Body, frozen=True, tag=23):
    """In an inbox: one has read `stream` up to `seq`, on some device."""

    stream: StreamId
    seq: Seq


class Invited(Body, frozen=True, tag=24):
    """In an inbox: one may join `space` in `role`."""

    space: SpaceId
    name: Name
    role: Role
    by: UserId


class ConflictNoted(Body, frozen=True, tag=25):
    """In an inbox: a conflict that concerns one now stands so. Ask for it with `Conflicts`."""

    conflict: ConflictId
    stream: StreamId
    entity: EntityTag
    key: Key
    state: ConflictState
    by: AuthorId = 0


class Noticed(Body, frozen=True, tag=26):
    """In an inbox: something happened that one is told of. Its name is the event's sequence number, and it is read with the inbox.

    `stream` and `seq` say where it can be seen, `space` where it belongs (0: nowhere); `subject` is what it is about, by kind: a report, a
    session, a record. `words` is a line for people, for who does not know the kind.
    """

    kind: NoticeKind
    actor: AuthorId = 0
    space: MaybeSpaceId = 0
    stream: MaybeStreamId = 0
    seq: After = 0
    subject: Annotated[int, Meta(ge=0, le=ID_MAX)] = 0
    words: Annotated[str, Meta(max_length=NOTICE_WORDS_MAX)] = ""


class NoticesRead(Body, frozen=True, tag=27):
    """In an inbox: one has read these notices, by the numbers of their events, on some device; those before them may be unread still."""

    notices: Annotated[tuple[Seq, ...], Meta(min_length=1, max_length=NOTICES_READ_MAX)]


class RecordItem(Struct, frozen=True, array_like=True):
    """A record, or what was written of it: `fields` holds only fields that changed in an event, all of them in a snapshot.

    `version` is the record's after it. `gone`: it was deleted. A reader who holds a higher version passes over it.
    """

    entity: EntityTag
    key: Key
    version: RecordVersion
    fields: Raw = NO_FIELDS
    gone: bool = False


class RoleMade(Body, frozen=True, tag=50):
    """There is a new custom role."""

    role: RoleId
    name: Name
    permissions: PermissionMask


class RoleChanged(Body, frozen=True, tag=51):
    """A custom role has another name, or gives something else."""

    role: RoleId
    name: Name
    permissions: PermissionMask


class RoleDropped(Body, frozen=True, tag=52):
    """A custom role is no more; nobody has it."""

    role: RoleId


class RoleGiven(Body, frozen=True, tag=53):
    """A member has a custom role."""

    role: RoleId
    user: UserId


class RoleTaken(Body, frozen=True, tag=54):
    """A member has a custom role no longer. Whoever leaves has none; that is not told."""

    role: RoleId
    user: UserId


class Changed(Body, frozen=True, tag=30):
    """In a stream of records: these were written, in this order, in one transaction. May be empty for an older client."""

    records: tuple[RecordItem, ...]


class Reported(Body, frozen=True, tag=57):
    """In a review stream: a report is open, of message `seq` in `stream` (0: of none), or of `user`. It never says who reported; what they
    wrote is asked for with `Reports`.
    """

    report: ReportId
    about: ReportAbout
    user: UserId
    reason: ReportReason
    stream: MaybeStreamId = 0
    seq: After = 0


class ReportDecided(Body, frozen=True, tag=58):
    """In a review stream: this report was decided, by `by`."""

    report: ReportId
    state: ReportState
    by: AuthorId


class PersonBlocked(Body, frozen=True, tag=59):
    """In an inbox: one blocks `user` (`on`), or no longer. A client hides what blocked people say."""

    user: UserId
    on: bool = True


class SlowModeSet(Body, frozen=True, tag=60):
    """In a community's stream: so many seconds lie at least between two messages of one learner in `stream` (0: any)."""

    stream: StreamId
    seconds: Annotated[int, Meta(ge=0)]


class Cleared(Body, frozen=True, tag=69):
    """In a channel or conversation: what `author` (0: everybody) wrote up to `upto` is gone, because the person was erased or it is older
    than the community keeps. Those events are `Redacted` now, and whoever holds their texts drops them."""

    author: AuthorId
    upto: Seq


class TakenBack(Body, frozen=True, tag=76):
    """In a channel or conversation: moderation took the message `target` back, for this. A `Deleted` of the system's goes before it."""

    target: Seq
    why: Harm


class HeldForReview(Body, frozen=True, tag=77):
    """In a review stream: moderation holds something of `user`, of message `seq` in `stream` (0: of none). What it says, and why it is
    held, is asked for with `HeldItems`."""

    held: HeldId
    form: HeldForm
    state: HeldState
    user: UserId
    why: Harm
    stream: MaybeStreamId = 0
    seq: After = 0


class HeldDecided(Body, frozen=True, tag=78):
    """In a review stream: where something that is held stands now; `by`: who decided, 0 the system. `appealed`: its author asks for another
    look."""

    held: HeldId
    state: HeldState
    by: AuthorId
    appealed: bool = False


class ModerationSet(Body, frozen=True, tag=79):
    """In a community's stream: how it is moderated from now on. As `SetModeration`."""

    check_first: bool
    levels: Annotated[tuple[Level, ...], Meta(max_length=LEVELS_MAX)] = ()
    mask: bool = True


class MentorshipNoted(Body, frozen=True, tag=70):
    """In an inbox: a mentorship of one's own now stands so, by what `by` did (0: by time). `words` are what they said.

    `space`: its own, once it has begun. `community`: in which it was asked for (0: none). What it is about stands in `Mentorships`.
    """

    mentorship: MentorshipId
    mentor: UserId
    learner: UserId
    state: MentorshipState
    community: MaybeSpaceId = 0
    space: MaybeSpaceId = 0
    by: AuthorId = 0
    words: MentorshipWords = ""


class MentorshipBegan(Body, frozen=True, tag=71):
    """In a mentorship's stream: its first event."""

    mentorship: MentorshipId
    mentor: UserId
    learner: UserId
    community: MaybeSpaceId = 0


class MentorshipSaidOver(Body, frozen=True, tag=72):
    """In a mentorship's stream: for its author it is over; the other has two weeks to say how it was."""

    reached: bool
    words: MentorshipWords = ""


class MentorshipClosed(Body, frozen=True, tag=73):
    """In a mentorship's stream: its last event. Both go on reading it, and nobody writes here any more."""

    state: MentorshipState
    by: AuthorId = 0


class Updated(Body, frozen=True, tag=80):
    """In a document: what its author wrote. Of a checksum that does not fit it, a reader loads the document instead."""

    update: DocumentUpdate
    checksum: Checksum


class DocumentOpened(Body, frozen=True, tag=81):
    """In a community's stream: there is a new document. Only those whose role is in `read_roles` can follow it."""

    document: StreamId
    title: Name
    read_roles: RoleMask
    write_roles: RoleMask


class DocumentChanged(Body, frozen=True, tag=82):
    """In a community's stream: a document has another title or audience, or is put away."""

    document: StreamId
    title: Name
    read_roles: RoleMask
    write_roles: RoleMask
    archived: bool = False


class VersionNamed(Body, frozen=True, tag=83):
    """In a document: what it was after its event `upto` is kept under this name."""

    version: DocumentVersionId
    upto: After
    name: Name


class Restarted(Body, frozen=True, tag=84):
    """In a document: it begins in this generation: empty as its first event, else as `version` was. Whoever has another one loads it anew;
    updates before this say nothing of it."""

    generation: Generation
    version: Annotated[int, Meta(ge=0, le=ID_MAX, description="the version that was restored; 0: it begins empty")] = 0


class SetAside(Body, frozen=True, tag=85):
    """In a document: these of its events hold what no reader can apply. They are no part of it: pass over them."""

    events: Annotated[tuple[Seq, ...], Meta(min_length=1, max_length=SET_ASIDE_MAX)]


class SessionRevoked(Body, frozen=True, tag=40):
    """In the control stream, which only gateways read: this session of `user` is over (0: all of them)."""

    user: UserId
    session: Annotated[int, Meta(ge=0)]


class AuthorityChanged(Body, frozen=True, tag=41):
    """In the control stream: what `user` may do in `space` changed (0: everybody's)."""

    space: SpaceId
    user: AuthorId


class Trusted(Struct, frozen=True, array_like=True):
    """How far `user` is trusted now, in thousandths."""

    user: UserId
    trust: Annotated[int, Meta(ge=0, le=1000)]


class TrustChanged(Body, frozen=True, tag=43):
    """In the control stream: these people's trust changed by so much that a door may have opened or closed."""

    people: Annotated[tuple[Trusted, ...], Meta(max_length=TRUSTED_MAX)]


AnyBody = (
    Said
    | Posted
    | Edited
    | Deleted
    | Reacted
    | Redacted
    | CommunityFounded
    | Joined
    | Left
    | RoleSet
    | ChannelOpened
    | ChannelChanged
    | SettingsChanged
    | Renamed
    | SpaceEntered
    | SpaceLeft
    | Mentioned
    | ReadUpTo
    | Invited
    | ConflictNoted
    | Noticed
    | NoticesRead
    | Changed
    | Reported
    | ReportDecided
    | PersonBlocked
    | SlowModeSet
    | Cleared
    | TakenBack
    | HeldForReview
    | HeldDecided
    | ModerationSet
    | SessionRevoked
    | AuthorityChanged
    | TrustChanged
    | RoleMade
    | RoleChanged
    | RoleDropped
    | RoleGiven
    | RoleTaken
    | MentorshipNoted
    | MentorshipBegan
    | MentorshipSaidOver
    | MentorshipClosed
    | Updated
    | DocumentOpened
    | DocumentChanged
    | VersionNamed
    | Restarted
    | SetAside
)
