"""Operations: what a mutation asks for. Durable, numbered per device, frozen at the first sending.

An operation names what it touches by identifiers the client has seen. Whether it is allowed is decided inside the
transaction that carries it out, against membership rows; never against somebody's memory.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Raw, Struct

from protocol.entities import NO_FIELDS
from protocol.permissions import DANGEROUS, OWN, Needs, Permission, in_space, on_platform
from protocol.values import (
    ATTACHMENTS_MAX,
    ID_MAX,
    After,
    Choice,
    ConflictId,
    DocumentVersionId,
    Emoji,
    EntityTag,
    Harm,
    HeldId,
    Key,
    MaybeSpaceId,
    MentorshipId,
    MentorshipSubject,
    MentorshipWords,
    Name,
    PermissionMask,
    RecordVersion,
    ReportId,
    ReportReason,
    ReportWords,
    Role,
    RoleId,
    RoleMask,
    Roles,
    Seconds,
    Seq,
    SpaceId,
    StreamId,
    Text,
    UnappliedId,
    UploadId,
    UserId,
)

MENTIONS_MAX = 20
CONVERSATION_MEMBERS_MAX = 20
SETTINGS_BYTES_MAX = 4096
SLOW_MODE_S_MAX = 6 * 3600
LEVELS_MAX = 8
DRAFTS_MAX = 50
UPDATE_BYTES_MAX = 60 * 1024
"""With what goes around it, an update of a document is one message to the server."""

Users = Annotated[tuple[UserId, ...], Meta(max_length=MENTIONS_MAX)]
Settings = Annotated[str, Meta(max_length=SETTINGS_BYTES_MAX, description="a JSON object")]


class Operation(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Root of all operations."""

    needs: ClassVar[Needs]
    """What it needs, checked where it takes effect. Without a default: each says it for itself."""


class Say(Operation, frozen=True, tag=1):
    """Adds a plain message to a channel or conversation. The outcome's value is its sequence number, which is also its name."""

    needs: ClassVar[Needs] = in_space(Permission.POST)
    stream: StreamId
    text: Text


class Post(Operation, frozen=True, tag=17):
    """Adds a message that answers another, mentions people or has files with it; otherwise like `Say`, which is three bytes shorter.

    `attachments`: uploads of one's own that are ready; each goes with one message."""

    needs: ClassVar[Needs] = in_space(Permission.POST)
    stream: StreamId
    text: Text
    reply_to: After = 0
    mentions: Users = ()
    attachments: Annotated[tuple[UploadId, ...], Meta(max_length=ATTACHMENTS_MAX)] = ()


class Edit(Operation, frozen=True, tag=2):
    """Replaces the text of one's own message. The earlier text is kept for moderators."""

    needs: ClassVar[Needs] = in_space(Permission.POST)
    stream: StreamId
    target: Seq
    text: Text


class Delete(Operation, frozen=True, tag=3):
    """Takes back a message: one's own, or anybody's for who moderates. Its number stays, its text goes."""

    needs: ClassVar[Needs] = in_space(Permission.MODERATE, or_own=True)
    stream: StreamId
    target: Seq


class React(Operation, frozen=True, tag=4):
    """Adds (`on`) or takes away one's reaction to a message."""

    needs: ClassVar[Needs] = in_space(Permission.REACT)
    stream: StreamId
    target: Seq
    emoji: Emoji
    on: bool = True


class MarkRead(Operation, frozen=True, tag=5):
    """Moves one's read marker forward; it never goes back. The other devices hear of it through the inbox."""

    needs: ClassVar[Needs] = in_space(Permission.READ)
    stream: StreamId
    seq: Seq


class CreateCommunity(Operation, frozen=True, tag=6):
    """Founds a community, with oneself as owner and one channel that is open to all. The outcome's value is its space."""

    needs: ClassVar[Needs] = on_platform(Permission.CREATE_COMMUNITIES)
    name: Name
    open_to_all: bool = True
    settings: Settings = "{}"


class CreateChannel(Operation, frozen=True, tag=7):
    """Opens a channel for some or all roles. The outcome's value is its stream."""

    needs: ClassVar[Needs] = in_space(Permission.MANAGE_CHANNELS)
    space: SpaceId
    name: Name
    read_roles: RoleMask = int(Roles.ALL)
    write_roles: RoleMask = int(Roles.ALL)


class ChangeChannel(Operation, frozen=True, tag=8):
    """Renames a channel or changes who may read and write it."""

    needs: ClassVar[Needs] = in_space(Permission.MANAGE_CHANNELS)
    stream: StreamId
    name: Name
    read_roles: RoleMask
    write_roles: RoleMask


class Join(Operation, frozen=True, tag=9):
    """Becomes a member: of a community that is open to all as a learner, of another by an invitation. The value is the space."""

    needs: ClassVar[Needs] = OWN
    space: SpaceId


class Leave(Operation, frozen=True, tag=10):
    """Ends one's own membership. A community's last owner cannot leave."""

    needs: ClassVar[Needs] = in_space(Permission.READ)
    space: SpaceId


class Invite(Operation, frozen=True, tag=11):
    """Lets somebody join in a role, in which nobody may do more than who invites. Only owners make owners, only who manages roles
    moderators. They hear of it in their inbox."""

    needs: ClassVar[Needs] = in_space(Permission.INVITE, step_up_for=DANGEROUS)
    space: SpaceId
    user: UserId
    role: Role = Role.LEARNER


class Remove(Operation, frozen=True, tag=12):
    """Ends somebody's membership, at once on every gateway. Nobody removes who may do more than they may themselves."""

    needs: ClassVar[Needs] = in_space(Permission.REMOVE_MEMBERS)
    space: SpaceId
    user: UserId


class SetRole(Operation, frozen=True, tag=13):
    """Gives a member another base role. Only owners make owners, or end their being one. A community keeps at least one owner."""

    needs: ClassVar[Needs] = in_space(Permission.MANAGE_ROLES, step_up_for=DANGEROUS)
    space: SpaceId
    user: UserId
    role: Role


class ChangeSettings(Operation, frozen=True, tag=14):
    """Replaces a community's name and settings."""

    needs: ClassVar[Needs] = in_space(Permission.MANAGE_SPACE)
    space: SpaceId
    name: Name
    open_to_all: bool
    settings: Settings


class OpenConversation(Operation, frozen=True, tag=15):
    """Opens a conversation with a few people, or finds the one that exists with exactly them. The value is its stream."""

    needs: ClassVar[Needs] = on_platform(Permission.CONVERSE)
    users: Annotated[tuple[UserId, ...], Meta(min_length=1, max_length=CONVERSATION_MEMBERS_MAX - 1)]


class Rename(Operation, frozen=True, tag=16):
    """Changes the name that others see of oneself."""

    needs: ClassVar[Needs] = OWN
    display_name: Name


class Change(Operation, frozen=True, tag=18):
    """Writes fields of a record, or deletes it (`gone`). The value is the outcome: n * 8 + what became of it (docs/sync.md).

    `base` is the record's version that the writer knew (0: none); `at` is when it was written, by the device's clock. Several at once go
    in a `Chunk`, which is shorter.
    """

    needs: ClassVar[Needs] = in_space(Permission.READ)
    stream: StreamId
    entity: EntityTag
    key: Key
    at: Seconds
    fields: Raw = NO_FIELDS
    base: RecordVersion = 0
    gone: bool = False


class Claim(Operation, frozen=True, tag=19):
    """Says that one is deciding a conflict (`on`), or no longer. Others see it; nobody is kept from deciding."""

    needs: ClassVar[Needs] = in_space(Permission.RESOLVE_CONFLICTS, or_own=True)
    conflict: ConflictId
    on: bool = True


class Resolve(Operation, frozen=True, tag=20):
    """Decides a conflict: what was chosen becomes the record's value. `version` is the record's that the person saw.

    If the record has changed since in what the conflict is about, nothing is written and the conflict stays: the value says `REVIEW`.
    The value is as for `Change`.
    """

    needs: ClassVar[Needs] = in_space(Permission.RESOLVE_CONFLICTS, or_own=True)
    conflict: ConflictId
    choice: Choice
    version: RecordVersion
    at: Seconds
    fields: Raw = NO_FIELDS


class Reopen(Operation, frozen=True, tag=21):
    """Opens a decided conflict again, whoever decided it; both values are still there. The value is the conflict."""

    needs: ClassVar[Needs] = in_space(Permission.RESOLVE_CONFLICTS, or_own=True)
    conflict: ConflictId


class SetBack(Operation, frozen=True, tag=22):
    """Sets a learner's progress in a lesson to a lower value, in a new generation. The value is as for `Change`."""

    needs: ClassVar[Needs] = in_space(Permission.SET_BACK_PROGRESS)
    space: SpaceId
    user: UserId
    lesson: Key
    percent: Annotated[int, Meta(ge=0, le=100)] = 0


class Held(Struct, frozen=True, array_like=True):
    """A stream that a device keeps. Lower `rank` comes first and goes last, within its class of streams."""

    stream: StreamId
    rank: Annotated[int, Meta(ge=0, le=255)] = 0


class Hold(Operation, frozen=True, tag=23):
    """Replaces the choice of streams that this device keeps for being offline, and how many bytes it has for them (0: as many as fit)."""

    needs: ClassVar[Needs] = OWN
    streams: Annotated[tuple[Held, ...], Meta(max_length=500)]
    quota_bytes: Annotated[int, Meta(ge=0, le=ID_MAX)] = 0


class Release(Operation, frozen=True, tag=24):
    """Applies a change that is kept unapplied, as if its writer sent it now. The value is as for `Change`."""

    needs: ClassVar[Needs] = in_space(Permission.MODERATE, or_own=True)
    item: UnappliedId


class Discard(Operation, frozen=True, tag=25):
    """Marks a change that is kept unapplied as looked at; it is listed no longer."""

    needs: ClassVar[Needs] = in_space(Permission.MODERATE, or_own=True)
    item: UnappliedId


class ReportMessage(Operation, frozen=True, tag=45):
    """Reports somebody else's message to those who decide for its community, or of a conversation to those of the platform. The value is
    the report.

    Nobody who is reported ever learns by whom. Reporting the same again adds up in the same report while it is open.
    """

    needs: ClassVar[Needs] = in_space(Permission.READ)
    stream: StreamId
    target: Seq
    reason: ReportReason
    words: ReportWords = ""


class ReportPerson(Operation, frozen=True, tag=46):
    """Reports a person, or (`profile`) what they show of themselves. The value is the report.

    `space`: the community of both where it happened, whose staff decide; 0: those of the platform. Otherwise as `ReportMessage`.
    """

    needs: ClassVar[Needs] = OWN
    user: UserId
    reason: ReportReason
    words: ReportWords = ""
    space: MaybeSpaceId = 0
    profile: bool = False


class DecideReport(Operation, frozen=True, tag=47):
    """Decides a report, and with it all that are open about the same (who may moderate the community; of the platform: its reviewers).

    `uphold`: the message is taken back, and its author told why; otherwise everything stays. Who reported is told in either case. Nobody
    decides about themselves. The value is how many reports are decided by it.
    """

    needs: ClassVar[Needs] = in_space(Permission.MODERATE)
    report: ReportId
    uphold: bool


class Block(Operation, frozen=True, tag=48):
    """Ends all that is between oneself and somebody, in both directions: conversations of two, mentions, invitations. One's other devices
    hear of it; the other person does not, but is refused with `BLOCKED`.
    """

    needs: ClassVar[Needs] = OWN
    user: UserId


class Unblock(Operation, frozen=True, tag=49):
    """Takes back one's own `Block`. What the other person blocks stays blocked."""

    needs: ClassVar[Needs] = OWN
    user: UserId


class SetSlowMode(Operation, frozen=True, tag=50):
    """Sets how many seconds lie at least between two messages of one learner in a channel; 0: any. Staff and mentors are exempt."""

    needs: ClassVar[Needs] = in_space(Permission.MANAGE_CHANNELS)
    stream: StreamId
    seconds: Annotated[int, Meta(ge=0, le=SLOW_MODE_S_MAX)]


class MakeRole(Operation, frozen=True, tag=30):
    """Makes a custom role, whose permissions are added to those of its holders' base roles. Nobody puts in what they may not do
    themselves. The value is the role."""

    needs: ClassVar[Needs] = in_space(Permission.MANAGE_ROLES, step_up_for=DANGEROUS)
    space: SpaceId
    name: Name
    permissions: PermissionMask


class ChangeRole(Operation, frozen=True, tag=31):
    """Renames a custom role or changes what it gives, to all who have it at once. What it gave and gives must be one's own too."""

    needs: ClassVar[Needs] = in_space(Permission.MANAGE_ROLES, step_up_for=DANGEROUS)
    space: SpaceId
    role: RoleId
    name: Name
    permissions: PermissionMask


class DropRole(Operation, frozen=True, tag=32):
    """Ends a custom role, and what it gave to those who had it."""

    needs: ClassVar[Needs] = in_space(Permission.MANAGE_ROLES)
    space: SpaceId
    role: RoleId


class GiveRole(Operation, frozen=True, tag=33):
    """Gives a custom role to a member, until it is taken or they leave. Nobody gives more than they have."""

    needs: ClassVar[Needs] = in_space(Permission.MANAGE_ROLES, step_up_for=DANGEROUS)
    space: SpaceId
    role: RoleId
    user: UserId


class TakeRole(Operation, frozen=True, tag=34):
    """Takes a custom role from a member. Nobody takes more than they have."""

    needs: ClassVar[Needs] = in_space(Permission.MANAGE_ROLES)
    space: SpaceId
    role: RoleId
    user: UserId


class Endorse(Operation, frozen=True, tag=40):
    """Vouches for another member of a community, or says so again: words fade with time. Both must be members; a person gives a bounded
    number within a week. It counts by how far the one who says it is trusted themselves (docs/trust.md)."""

    needs: ClassVar[Needs] = in_space(Permission.VOUCH)
    space: SpaceId
    user: UserId


class WithdrawEndorsement(Operation, frozen=True, tag=41):
    """Takes one's word for somebody back, also after one of the two has left. Of a word that was never given, nothing changes."""

    needs: ClassVar[Needs] = OWN
    space: SpaceId
    user: UserId


class DecideHeld(Operation, frozen=True, tag=75):
    """Decides something that moderation holds (who may moderate the community; of the platform: its reviewers). `release`: it is let
    through, as its author's; otherwise it stays away. Its author is told in either case, and may appeal. Nobody decides about themselves.
    The value is the number of the message that it became, or 0.
    """

    needs: ClassVar[Needs] = in_space(Permission.MODERATE)
    held: HeldId
    release: bool


class Appeal(Operation, frozen=True, tag=76):
    """Asks for another look at something of one's own that was hidden, once, with what one has to say. The value is what is held."""

    needs: ClassVar[Needs] = OWN
    held: HeldId
    words: ReportWords = ""


class DecideAppeal(Operation, frozen=True, tag=77):
    """Decides an appeal, by another person than who decided first. `uphold`: the appeal is right, and it is let through. The value is as
    for `DecideHeld`.
    """

    needs: ClassVar[Needs] = in_space(Permission.MODERATE)
    held: HeldId
    uphold: bool


class Level(Struct, frozen=True, array_like=True):
    """From how many percent on a kind of harm is held for review, and from how many it is hidden at once; 101: never."""

    harm: Harm
    hold: Annotated[int, Meta(ge=0, le=101)]
    hide: Annotated[int, Meta(ge=0, le=101)]


class SetModeration(Operation, frozen=True, tag=78):
    """Sets how a community is moderated: whether what is said is judged before anybody reads it (`check_first`), from which levels on it is
    held or hidden, within the bounds of docs/moderation.md (kinds that are not named: as usual), and whether personal data is masked or
    held.
    """

    needs: ClassVar[Needs] = in_space(Permission.MANAGE_SPACE)
    space: SpaceId
    check_first: bool = False
    levels: Annotated[tuple[Level, ...], Meta(max_length=LEVELS_MAX)] = ()
    mask: bool = True


class ProposeMentorship(Operation, frozen=True, tag=65):
    """Asks somebody to be one's mentor. The value is the mentorship.

    `space`: the community in which both are and they mentor; 0: none, then they mentor for anybody. Refused with `TRUST` where they may
    not mentor yet, `BLOCKED`, `LIMIT` (they are full, or are asked by as many as may wait) or `CONFLICT` (it is asked already).
    """

    needs: ClassVar[Needs] = OWN
    user: UserId
    space: MaybeSpaceId
    subject: MentorshipSubject
    words: MentorshipWords = ""


class AnswerMentorship(Operation, frozen=True, tag=66):
    """The mentor's answer to a proposal. Accepted, it begins: the value is its space, which both enter; else 0."""

    needs: ClassVar[Needs] = OWN
    mentorship: MentorshipId
    accept: bool
    words: MentorshipWords = ""


class EndMentorship(Operation, frozen=True, tag=67):
    """Says that it is over for oneself, whether its goal was `reached`, and how it was (1 to 5). Said once by each of the two.

    It closes when both have said so, or two weeks after the first. The other reads `words` and never the rating.
    """

    needs: ClassVar[Needs] = OWN
    mentorship: MentorshipId
    reached: bool
    rating: Annotated[int, Meta(ge=1, le=5)]
    words: MentorshipWords = ""


class WithdrawProposal(Operation, frozen=True, tag=68):
    """Takes one's own proposal back while it is unanswered."""

    needs: ClassVar[Needs] = OWN
    mentorship: MentorshipId


class AskQuestions(Operation, frozen=True, tag=85):
    """Asks for drafts of questions about a lesson's text: of one section (`content`), or of all of a lesson's (`lesson`), one of the two.

    A model makes them after this has been carried out, and they come as records into the community's studio, followed by a notice; or by a
    notice that says why there are none. `stream`: the library. `language`: a tag; "": the lesson's. The value is the studio.
    """

    needs: ClassVar[Needs] = in_space(Permission.WRITE_CONTENT)
    stream: StreamId
    lesson: Annotated[int, Meta(ge=0, le=ID_MAX, description="the lesson, or 0")] = 0
    content: Annotated[int, Meta(ge=0, le=ID_MAX, description="the section, or 0")] = 0
    language: Annotated[str, Meta(max_length=35, description="a language tag, or empty")] = ""
    limit: Annotated[int, Meta(ge=1, le=DRAFTS_MAX)] = 10


Generation = Annotated[int, Meta(ge=1, le=2**31 - 1, description="names one beginning of a document; a restored version is another")]
Checksum = Annotated[int, Meta(ge=0, le=2**32 - 1, description="CRC-32 of an update, as zlib computes it")]
DocumentUpdate = Annotated[bytes, Meta(min_length=2, max_length=UPDATE_BYTES_MAX, description="a Yjs update, encoding V1")]


class CreateDocument(Operation, frozen=True, tag=86):
    """Opens a document that the members in these roles read and write together. The value is its stream."""

    needs: ClassVar[Needs] = in_space(Permission.POST)
    space: SpaceId
    title: Name
    read_roles: RoleMask = int(Roles.ALL)
    write_roles: RoleMask = int(Roles.ALL)


class ChangeDocument(Operation, frozen=True, tag=87):
    """Gives a document another title or other roles, or puts it away (`archived`: it is read and no longer written). Whoever opened it may
    do so, too."""

    needs: ClassVar[Needs] = in_space(Permission.MANAGE_CHANNELS, or_own=True)
    document: StreamId
    title: Name
    read_roles: RoleMask
    write_roles: RoleMask
    archived: bool = False


class Update(Operation, frozen=True, tag=88):
    """Adds to a document what its author wrote: a Yjs update, which may be several merged into one. The value is the event's number.

    The server never opens it. All that it adds is of one Yjs client, which is its author's alone (docs/documents.md). One of another
    `generation` is refused with `RELOAD`: load the document, and write it there anew.
    """

    needs: ClassVar[Needs] = in_space(Permission.POST)
    document: StreamId
    generation: Generation
    update: DocumentUpdate
    checksum: Checksum


class NameVersion(Operation, frozen=True, tag=89):
    """Keeps what a document is after its event `upto` under a name, for as long as it exists. The value is the version."""

    needs: ClassVar[Needs] = in_space(Permission.POST)
    document: StreamId
    upto: Seq
    name: Name


class RestoreVersion(Operation, frozen=True, tag=90):
    """Makes a document what one of its versions is, as a new generation; what it is now is kept as a version first. Whoever opened it may
    do so, too."""

    needs: ClassVar[Needs] = in_space(Permission.MANAGE_CHANNELS, or_own=True)
    document: StreamId
    version: DocumentVersionId


AnyOperation = (
    Say
    | Post
    | Edit
    | Delete
    | React
    | MarkRead
    | CreateCommunity
    | CreateChannel
    | ChangeChannel
    | Join
    | Leave
    | Invite
    | Remove
    | SetRole
    | ChangeSettings
    | OpenConversation
    | Rename
    | Change
    | Claim
    | Resolve
    | Reopen
    | SetBack
    | Hold
    | Release
    | Discard
    | MakeRole
    | ChangeRole
    | DropRole
    | GiveRole
    | TakeRole
    | ReportMessage
    | ReportPerson
    | DecideReport
    | Block
    | Unblock
    | SetSlowMode
    | Endorse
    | WithdrawEndorsement
    | ProposeMentorship
    | AnswerMentorship
    | EndMentorship
    | WithdrawProposal
    | AskQuestions
    | DecideHeld
    | Appeal
    | DecideAppeal
    | SetModeration
    | CreateDocument
    | ChangeDocument
    | Update
    | NameVersion
    | RestoreVersion
)
