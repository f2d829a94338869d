"""The small values that messages are made of, with their ranges and units.

Identifiers are positive integers below 2^53, so that every language's numbers hold them and small ones cost a byte or three.
Sequence numbers start at 1 and have no gaps; 0 stands for "before everything".
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Annotated

from msgspec import Meta, Struct

ID_MAX = 2**53 - 1
ATTACHMENTS_MAX = 8
HASH_BYTES = 32
PLACEHOLDER_BYTES_MAX = 40
FILE_NAME_MAX = 120

StreamId = Annotated[int, Meta(ge=1, le=ID_MAX, description="identifies a stream")]
SpaceId = Annotated[int, Meta(ge=1, le=ID_MAX, description="identifies a space: a community, a conversation, or a user's own")]
MaybeStreamId = Annotated[int, Meta(ge=0, le=ID_MAX, description="identifies a stream; 0 is none")]
MaybeSpaceId = Annotated[int, Meta(ge=0, le=ID_MAX, description="identifies a space; 0 is none")]
UserId = Annotated[int, Meta(ge=1, le=ID_MAX, description="identifies an account")]
AuthorId = Annotated[int, Meta(ge=0, le=ID_MAX, description="the account that caused an event; 0 is the system")]
DeviceId = Annotated[int, Meta(ge=1, le=ID_MAX, description="identifies one account on one device")]
Seq = Annotated[int, Meta(ge=1, le=ID_MAX, description="position in a stream, gapless from 1")]
After = Annotated[int, Meta(ge=0, le=ID_MAX, description="position in a stream; 0 is before the first event")]
Number = Annotated[int, Meta(ge=1, le=ID_MAX, description="counts a device's mutations, gapless from 1")]
RequestId = Annotated[int, Meta(ge=1, le=2**32 - 1, description="chosen by the client, answered by the server")]
Seconds = Annotated[int, Meta(ge=0, le=2**40, description="Unix time in seconds")]
Milliseconds = Annotated[int, Meta(ge=0, le=2**53 - 1, description="Unix time in milliseconds")]
EntityTag = Annotated[int, Meta(ge=1, le=255, description="what a record is: a line of the table of entities")]
Key = Annotated[int, Meta(ge=1, le=ID_MAX, description="names a record within its stream and entity")]
AfterKey = Annotated[int, Meta(ge=0, le=ID_MAX, description="a record's key; 0 is before the first")]
RecordVersion = Annotated[int, Meta(ge=0, le=ID_MAX, description="counts a record's writes; 0 is before the first")]
ConflictId = Annotated[int, Meta(ge=1, le=ID_MAX, description="identifies a conflict")]
ReportId = Annotated[int, Meta(ge=1, le=ID_MAX, description="identifies a report")]
UnappliedId = Annotated[int, Meta(ge=1, le=ID_MAX, description="identifies a change that was kept without being applied")]
HeldId = Annotated[int, Meta(ge=1, le=ID_MAX, description="identifies something that moderation holds")]
MentorshipId = Annotated[int, Meta(ge=1, le=ID_MAX, description="identifies a mentorship, from its proposal on")]
DocumentVersionId = Annotated[int, Meta(ge=1, le=ID_MAX, description="identifies a named version of a document")]
RoleId = Annotated[int, Meta(ge=1, le=ID_MAX, description="identifies a custom role")]
UploadId = Annotated[int, Meta(ge=1, le=ID_MAX, description="identifies an upload")]
Text = Annotated[str, Meta(min_length=1, max_length=4000, description="what a person wrote")]
Name = Annotated[str, Meta(min_length=1, max_length=80, description="a short name that people read")]
ReportWords = Annotated[str, Meta(max_length=500, description="what somebody adds to a report; only those who decide it read it")]
MentorshipSubject = Annotated[str, Meta(min_length=1, max_length=60, description="what somebody wants to learn, in a few words")]
MentorshipWords = Annotated[str, Meta(max_length=500, description="what somebody says to the other when they propose, answer or end")]
Emoji = Annotated[str, Meta(min_length=1, max_length=16, description="one emoji or short code")]
Detail = Annotated[str, Meta(max_length=400, description="plain words for the developer or the person")]
Token = Annotated[str, Meta(min_length=1, max_length=2048, description="an access token")]


class Role(IntEnum):
    """What a member is in a space."""

    OWNER = 1
    MODERATOR = 2
    MENTOR = 4
    LEARNER = 8


class Roles(IntFlag):
    """A set of roles, as the sum of their values."""

    OWNER = 1
    MODERATOR = 2
    MENTOR = 4
    LEARNER = 8
    STAFF = 3
    ALL = 15


class SpaceKind(IntEnum):
    """Whose a space is. A client shows a kind that it does not know as `OTHER`, or not at all."""

    OTHER = 0
    COMMUNITY = 1
    CONVERSATION = 2
    PERSONAL = 3
    ENROLMENT = 4
    """What one member has of their own in a community: progress and answers. Entered and left together with it."""
    MENTORSHIP = 5
    """A mentor and a learner: their conversation, their goals and meetings."""

    @classmethod
    def _missing_(cls, value: object) -> SpaceKind | None:
        return cls.OTHER if isinstance(value, int) else None


class StreamKind(IntEnum):
    """What a stream carries. A client passes over a kind that it does not know."""

    OTHER = 0
    INBOX = 1
    COMMUNITY = 2
    CHANNEL = 3
    CONVERSATION = 4
    DOCUMENT = 5
    REVIEW = 6
    CONTROL = 7
    OWN = 8
    """Of a person: profile, preferences, bookmarks, drafts."""
    PROGRESS = 9
    """Of a member: learning progress."""
    ANSWERS = 10
    """Of a member: answers to checkpoints."""
    BOARD = 11
    """Of a community: its actions."""
    LIBRARY = 12
    """Of a community: its content."""
    STUDIO = 13
    """Of a community: what learners must not see, drafts and answer keys."""
    MENTORSHIP = 14
    """Of a mentorship: its goals and meetings."""

    @classmethod
    def _missing_(cls, value: object) -> StreamKind | None:
        return cls.OTHER if isinstance(value, int) else None


class ConflictState(IntEnum):
    """Where a conflict stands. None of these ever expires; the table of what leads where is in `protocol/conflicts.py`."""

    OTHER = 0
    PENDING = 1
    """A person has to decide; until then the server's value stays."""
    CLAIMED = 2
    """Somebody is deciding."""
    RESOLVED = 3
    """Somebody has decided; it may be opened again."""
    AUTOMATIC = 4
    """The entity's rule decided; it may be opened again, and what lost brought back."""

    @classmethod
    def _missing_(cls, value: object) -> ConflictState | None:
        return cls.OTHER if isinstance(value, int) else None


class Choice(IntEnum):
    """How a person resolves a conflict."""

    MINE = 1
    """The value that was not written."""
    THEIRS = 2
    """The value that was there."""
    MERGED = 3
    """Fields that the person made of both."""


class KeptAs(IntEnum):
    """Why an earlier or other value of a record is kept."""

    OTHER = 0
    OVERWRITTEN = 1
    """Something that its writer did not know replaced it."""
    LOST = 2
    """It was not written, by the rule."""
    ATTEMPT = 3
    """An attempt at a question."""
    EDITED = 4
    """An earlier version of content."""
    SET_BACK = 5
    """Progress before staff set it back."""

    @classmethod
    def _missing_(cls, value: object) -> KeptAs | None:
        return cls.OTHER if isinstance(value, int) else None


class NoticeKind(IntEnum):
    """What somebody is told of. A client shows a kind that it does not know by its text."""

    OTHER = 0
    MENTION = 1
    REPLY = 2
    INVITATION = 3
    CONFLICT = 4
    MATCH = 5
    MODERATION = 6
    """Something of one's own was held, hidden or released; or a report of one's own was decided."""
    REMINDER = 7
    ROLE = 8
    TRUST = 9
    SECURITY = 10
    """A log-in from a new device, a changed password, a new way to log in. Always told, whatever is preferred."""

    @classmethod
    def _missing_(cls, value: object) -> NoticeKind | None:
        return cls.OTHER if isinstance(value, int) else None


class ReportReason(IntEnum):
    """Why something or somebody is reported. A reason that a server does not know counts as `OTHER`."""

    OTHER = 0
    SPAM = 1
    HARASSMENT = 2
    HATE = 3
    VIOLENCE = 4
    SEXUAL = 5
    SELF_HARM = 6
    DECEIT = 7
    """Somebody pretends to be another, or wants money or secrets."""
    PRIVACY = 8
    """It shows what somebody has not agreed to have shown."""

    @classmethod
    def _missing_(cls, value: object) -> ReportReason | None:
        return cls.OTHER if isinstance(value, int) else None


class ReportAbout(IntEnum):
    """What a report is about."""

    OTHER = 0
    MESSAGE = 1
    PROFILE = 2
    PERSON = 3

    @classmethod
    def _missing_(cls, value: object) -> ReportAbout | None:
        return cls.OTHER if isinstance(value, int) else None


class ReportState(IntEnum):
    """Where a report stands."""

    OTHER = 0
    OPEN = 1
    UPHELD = 2
    REJECTED = 3

    @classmethod
    def _missing_(cls, value: object) -> ReportState | None:
        return cls.OTHER if isinstance(value, int) else None


class Harm(IntEnum):
    """A way in which a text may do harm. A reader takes one that it does not know as `OTHER`."""

    OTHER = 0
    """None of the others; or nobody could look at it yet."""
    TOXIC = 1
    """Hateful or offensive at all: what the learned model says."""
    HATE = 2
    """Against people for what they are."""
    INSULT = 3
    THREAT = 4
    SEXUAL = 5
    SELF_HARM = 6
    """Somebody may be in need: staff hear of it, and nothing is held against who wrote it."""
    SPAM = 7
    """Advertising, or the same again and again."""
    PERSONAL = 8
    """Personal data, above all of minors: numbers, addresses, accounts."""

    @classmethod
    def _missing_(cls, value: object) -> Harm | None:
        return cls.OTHER if isinstance(value, int) else None


class HeldState(IntEnum):
    """Where something that moderation holds stands."""

    OTHER = 0
    CHECKING = 1
    """Not delivered yet, for it was not looked at: its community checks first."""
    WAITING = 2
    """Nobody sees it until a person has decided."""
    HIDDEN = 3
    """Taken back at once; its author may appeal."""
    RELEASED = 4
    """Let through, by a model or a person."""
    UPHELD = 5
    """A person decided that it stays away."""
    LAPSED = 6
    """There is nothing left to be decided: its author took it back, or may not write there any more."""
    NOTED = 7
    """It stands where it was written, and staff were told of it: somebody may be in need."""

    @classmethod
    def _missing_(cls, value: object) -> HeldState | None:
        return cls.OTHER if isinstance(value, int) else None


class HeldForm(IntEnum):
    """What it is that moderation holds."""

    OTHER = 0
    MESSAGE = 1
    EDIT = 2
    RECORD = 3
    """A profile, an action, content."""
    NAME = 4
    """Of a person, a community or a channel."""

    @classmethod
    def _missing_(cls, value: object) -> HeldForm | None:
        return cls.OTHER if isinstance(value, int) else None


class MentorshipState(IntEnum):
    """Where a mentorship stands. What leads where stands in docs/mentoring.md."""

    OTHER = 0
    PROPOSED = 1
    """A learner has asked, and the mentor has not answered."""
    ACTIVE = 2
    DECLINED = 3
    WITHDRAWN = 4
    """The learner took it back, or nothing passes between the two any more."""
    LAPSED = 5
    """Nobody answered in time."""
    ENDED = 6
    """Both said how it was, or one did and the other had their time."""
    BROKEN_OFF = 7
    """One of the two left, was removed, blocked the other, or is no more."""

    @classmethod
    def _missing_(cls, value: object) -> MentorshipState | None:
        return cls.OTHER if isinstance(value, int) else None


class LinkQuality(IntEnum):
    """How good a device's link is: as measured, or as the client says at first."""

    UNKNOWN = 0
    EXCELLENT = 1
    GOOD = 2
    FAIR = 3
    POOR = 4
    TWO_G = 5


PermissionMask = Annotated[int, Meta(ge=0, le=ID_MAX, description="a set of permissions, as the sum of 2^value of each")]
RoleMask = Annotated[int, Meta(ge=0, le=15, description="sum of roles: owner 1, moderator 2, mentor 4, learner 8")]


class Cursor(Struct, frozen=True, array_like=True):
    """A client's position: it has everything in `stream` up to and including `seq`."""

    stream: StreamId
    seq: After
