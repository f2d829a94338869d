"""Operations: what a mutation asks for. Durable, numbered per device, frozen at the first sending.

An operation names what it touches by identifiers the client has seen. Whether it is allowed is decided inside the
transaction that carries it out, against membership rows; never against somebody's memory.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Raw, Struct

from protocol.entities import NO_FIELDS
from protocol.permissions import OWN, Needs, Permission, in_space, on_platform
from protocol.values import (
    ID_MAX,
    After,
    Choice,
    ConflictId,
    Emoji,
    EntityTag,
    Key,
    Name,
    RecordVersion,
    Role,
    RoleMask,
    Roles,
    Seconds,
    Seq,
    SpaceId,
    StreamId,
    Text,
    UnappliedId,
    UserId,
)

MENTIONS_MAX = 20
CONVERSATION_MEMBERS_MAX = 20
SETTINGS_BYTES_MAX = 4096

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
    """Adds a message that answers another or mentions people; otherwise like `Say`, which is three bytes shorter."""

    needs: ClassVar[Needs] = in_space(Permission.POST)
    stream: StreamId
    text: Text
    reply_to: After = 0
    mentions: Users = ()


class Edit(Operation, frozen=True, tag=2):
    """Replaces the text of one's own message. The earlier text is kept for moderators."""

    needs: ClassVar[Needs] = in_space(Permission.POST)
    stream: StreamId
    target: Seq
    text: Text


class Delete(Operation, frozen=True, tag=3):
    """Takes back a message: one's own, or anybody's for an owner or moderator. Its number stays, its text goes."""

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
    """Opens a channel for some or all roles (owners and moderators). The outcome's value is its stream."""

    needs: ClassVar[Needs] = in_space(Permission.MANAGE_CHANNELS)
    space: SpaceId
    name: Name
    read_roles: RoleMask = int(Roles.ALL)
    write_roles: RoleMask = int(Roles.ALL)


class ChangeChannel(Operation, frozen=True, tag=8):
    """Renames a channel or changes who may read and write it (owners and moderators)."""

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
    """Lets somebody join in a role (owners and moderators; only owners make owners and moderators). They hear of it in their inbox."""

    needs: ClassVar[Needs] = in_space(Permission.INVITE)
    space: SpaceId
    user: UserId
    role: Role = Role.LEARNER


class Remove(Operation, frozen=True, tag=12):
    """Ends somebody's membership, at once on every gateway (owners and moderators; nobody removes an owner but an owner)."""

    needs: ClassVar[Needs] = in_space(Permission.REMOVE_MEMBERS)
    space: SpaceId
    user: UserId


class SetRole(Operation, frozen=True, tag=13):
    """Gives a member another role (owners). A community keeps at least one owner."""

    needs: ClassVar[Needs] = in_space(Permission.MANAGE_ROLES)
    space: SpaceId
    user: UserId
    role: Role


class ChangeSettings(Operation, frozen=True, tag=14):
    """Replaces a community's name and settings (owners)."""

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
    """Sets a learner's progress in a lesson to a lower value, in a new generation (owners, moderators and mentors). The value is as for
    `Change`."""

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
    """Applies a change that is kept unapplied, as if its writer sent it now (the writer, or staff of the space it is for). The value is as
    for `Change`."""

    needs: ClassVar[Needs] = in_space(Permission.MODERATE, or_own=True)
    item: UnappliedId


class Discard(Operation, frozen=True, tag=25):
    """Marks a change that is kept unapplied as looked at; it is listed no longer."""

    needs: ClassVar[Needs] = in_space(Permission.MODERATE, or_own=True)
    item: UnappliedId


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
)
