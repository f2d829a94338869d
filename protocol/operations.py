"""Operations: what a mutation asks for. Durable, numbered per device, frozen at the first sending.

An operation names what it touches by identifiers the client has seen. Whether it is allowed is decided inside the
transaction that carries it out, against membership rows; never against somebody's memory.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from protocol.values import After, Emoji, Name, Role, RoleMask, Roles, Seq, SpaceId, StreamId, Text, UserId

MENTIONS_MAX = 20
CONVERSATION_MEMBERS_MAX = 20
SETTINGS_BYTES_MAX = 4096

Users = Annotated[tuple[UserId, ...], Meta(max_length=MENTIONS_MAX)]
Settings = Annotated[str, Meta(max_length=SETTINGS_BYTES_MAX, description="a JSON object")]


class Operation(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Root of all operations."""


class Say(Operation, frozen=True, tag=1):
    """Adds a plain message to a channel or conversation. The outcome's value is its sequence number, which is also its name."""

    stream: StreamId
    text: Text


class Post(Operation, frozen=True, tag=17):
    """Adds a message that answers another or mentions people; otherwise like `Say`, which is three bytes shorter."""

    stream: StreamId
    text: Text
    reply_to: After = 0
    mentions: Users = ()


class Edit(Operation, frozen=True, tag=2):
    """Replaces the text of one's own message. The earlier text is kept for moderators."""

    stream: StreamId
    target: Seq
    text: Text


class Delete(Operation, frozen=True, tag=3):
    """Takes back a message: one's own, or anybody's for an owner or moderator. Its number stays, its text goes."""

    stream: StreamId
    target: Seq


class React(Operation, frozen=True, tag=4):
    """Adds (`on`) or takes away one's reaction to a message."""

    stream: StreamId
    target: Seq
    emoji: Emoji
    on: bool = True


class MarkRead(Operation, frozen=True, tag=5):
    """Moves one's read marker forward; it never goes back. The other devices hear of it through the inbox."""

    stream: StreamId
    seq: Seq


class CreateCommunity(Operation, frozen=True, tag=6):
    """Founds a community, with oneself as owner and one channel that is open to all. The outcome's value is its space."""

    name: Name
    open_to_all: bool = True
    settings: Settings = "{}"


class CreateChannel(Operation, frozen=True, tag=7):
    """Opens a channel for some or all roles (owners and moderators). The outcome's value is its stream."""

    space: SpaceId
    name: Name
    read_roles: RoleMask = int(Roles.ALL)
    write_roles: RoleMask = int(Roles.ALL)


class ChangeChannel(Operation, frozen=True, tag=8):
    """Renames a channel or changes who may read and write it (owners and moderators)."""

    stream: StreamId
    name: Name
    read_roles: RoleMask
    write_roles: RoleMask


class Join(Operation, frozen=True, tag=9):
    """Becomes a member: of a community that is open to all as a learner, of another by an invitation. The value is the space."""

    space: SpaceId


class Leave(Operation, frozen=True, tag=10):
    """Ends one's own membership. A community's last owner cannot leave."""

    space: SpaceId


class Invite(Operation, frozen=True, tag=11):
    """Lets somebody join in a role (owners and moderators; only owners make owners and moderators). They hear of it in their inbox."""

    space: SpaceId
    user: UserId
    role: Role = Role.LEARNER


class Remove(Operation, frozen=True, tag=12):
    """Ends somebody's membership, at once on every gateway (owners and moderators; nobody removes an owner but an owner)."""

    space: SpaceId
    user: UserId


class SetRole(Operation, frozen=True, tag=13):
    """Gives a member another role (owners). A community keeps at least one owner."""

    space: SpaceId
    user: UserId
    role: Role


class ChangeSettings(Operation, frozen=True, tag=14):
    """Replaces a community's name and settings (owners)."""

    space: SpaceId
    name: Name
    open_to_all: bool
    settings: Settings


class OpenConversation(Operation, frozen=True, tag=15):
    """Opens a conversation with a few people, or finds the one that exists with exactly them. The value is its stream."""

    users: Annotated[tuple[UserId, ...], Meta(min_length=1, max_length=CONVERSATION_MEMBERS_MAX - 1)]


class Rename(Operation, frozen=True, tag=16):
    """Changes the name that others see of oneself."""

    display_name: Name


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
)
