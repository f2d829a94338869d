"""CreateCommunity, CreateChannel, ChangeChannel, ChangeSettings: the places themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import asyncpg
import msgspec

from actors.storage import Entry
from persistence.append import ChannelChange, Effect, Refuse, authority_changed, event
from persistence.audit import Deed
from persistence.operations import rules
from persistence.operations.membership import SPACE_ENTERED, count_communities
from persistence.operations.space import display_name, enqueue, lock_space
from protocol.codes import Code
from protocol.events import ChannelChanged, ChannelOpened, CommunityFounded, Joined, SettingsChanged
from protocol.operations import ChangeChannel, ChangeSettings, CreateChannel, CreateCommunity
from protocol.values import Role, Roles, StreamKind

FIRST_CHANNEL = "general"
RECORD_STREAMS: Final[Mapping[StreamKind, Roles]] = {
    StreamKind.BOARD: Roles.ALL,
    StreamKind.LIBRARY: Roles.ALL,
    StreamKind.STUDIO: Roles.STAFF | Roles.MENTOR,
}
"""A community's streams of records, with those who read them; `complete_spaces` of the database knows the same."""


def is_json_object(text: str) -> bool:
    """What the settings column takes. Postgres' jsonb knows no NUL, escaped or not."""
    try:
        msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        return False
    return "\\u0000" not in text


def audience(read_roles: int, write_roles: int) -> tuple[int, int] | Refuse:
    """A channel's roles as they are stored: whoever writes can read, and somebody can."""
    if read_roles == 0:
        return Refuse(Code.INVALID, "read_roles: at least one role must be able to read")
    return read_roles, write_roles & read_roles


async def create_community(tx: asyncpg.Connection, entry: Entry, operation: CreateCommunity) -> Effect | Refuse:
    """Makes the space, its own stream (everybody reads, nobody writes), those of its records, and a first channel."""
    if not is_json_object(operation.settings):
        return Refuse(Code.INVALID, "settings: not a JSON object")
    if await count_communities(tx, entry.user) >= rules.COMMUNITIES_PER_USER_MAX:
        return Refuse(Code.LIMIT, f"one is a member of at most {rules.COMMUNITIES_PER_USER_MAX} communities")
    founder = await display_name(tx, entry.user)
    if founder is None:
        return rules.NOT_FOUND
    space: int = await tx.fetchval(
        "insert into spaces (kind, name, open_to_all, settings, members, created_by)"
        " values (1, $1, $2, $3::text::jsonb, 1, $4) returning id",
        operation.name,
        operation.open_to_all,
        operation.settings,
        entry.user,
    )
    await tx.execute("insert into members (space_id, user_id, role) values ($1, $2, $3)", space, entry.user, Role.OWNER)
    own = await _open_stream(tx, space, StreamKind.COMMUNITY, operation.name, Roles.ALL, 0)
    channel = await _open_stream(tx, space, StreamKind.CHANNEL, FIRST_CHANNEL, Roles.ALL, Roles.ALL)
    for kind, readers in RECORD_STREAMS.items():
        await _open_stream(tx, space, kind, "", readers, 0)
    await enqueue(tx, SPACE_ENTERED, entry.user, space)
    events = (
        event(own, entry.user, CommunityFounded(operation.name)),
        event(own, entry.user, Joined(entry.user, Role.OWNER, founder)),
        event(own, entry.user, ChannelOpened(channel, FIRST_CHANNEL, Roles.ALL, Roles.ALL)),
    )
    return Effect(events, value=space, fills_outbox=True, deeds=(Deed(entry.user, "community_founded", space),))


async def create_channel(tx: asyncpg.Connection, entry: Entry, operation: CreateChannel) -> Effect | Refuse:
    """Opens a channel."""
    space = await lock_space(tx, operation.space, entry.user)
    if space is None:
        return rules.NOT_FOUND
    refusal = rules.need(space.kind, space.standing(entry.user), operation.needs)
    if refusal is not None:
        return refusal
    roles = audience(operation.read_roles, operation.write_roles)
    if isinstance(roles, Refuse):
        return roles
    names = [stream.name.casefold() for stream in space.streams if stream.kind is StreamKind.CHANNEL]
    if operation.name.casefold() in names:
        return Refuse(Code.CONFLICT, "a channel of this name exists")
    if len(names) >= rules.CHANNELS_PER_SPACE_MAX:
        return Refuse(Code.LIMIT, f"a community has at most {rules.CHANNELS_PER_SPACE_MAX} channels")
    channel = await _open_stream(tx, space.id, StreamKind.CHANNEL, operation.name, *roles)
    return Effect((event(space.main_stream, entry.user, ChannelOpened(channel, operation.name, *roles)),), value=channel)


async def change_channel(tx: asyncpg.Connection, entry: Entry, operation: ChangeChannel) -> Effect | Refuse:
    """Renames a channel or changes its audience; only the latter makes gateways look again."""
    found: int | None = await tx.fetchval("select space_id from streams where id = $1", operation.stream)
    space = None if found is None else await lock_space(tx, found, entry.user)
    if space is None:
        return rules.NOT_FOUND
    refusal = rules.need(space.kind, space.standing(entry.user), operation.needs)
    if refusal is not None:
        return refusal
    channels = {stream.stream: stream.name.casefold() for stream in space.streams if stream.kind is StreamKind.CHANNEL}
    if operation.stream not in channels:
        return Refuse(Code.FORBIDDEN, "only channels are changed")
    roles = audience(operation.read_roles, operation.write_roles)
    if isinstance(roles, Refuse):
        return roles
    if any(name == operation.name.casefold() for stream, name in channels.items() if stream != operation.stream):
        return Refuse(Code.CONFLICT, "a channel of this name exists")
    # Stable: only this operation changes roles of a stream, and it holds the space's lock.
    before = await tx.fetchrow("select read_roles, write_roles from streams where id = $1", operation.stream)
    assert before is not None
    change = ChannelChange(operation.stream, operation.name, *roles)
    told = event(space.main_stream, entry.user, ChannelChanged(operation.stream, operation.name, *roles))
    if tuple(before) == roles:
        return Effect((told,), channel=change)
    detail = {"stream": operation.stream, "from": list(before), "to": list(roles)}
    deed = Deed(entry.user, "channel_audience_changed", space.id, detail=detail)
    return Effect((told, authority_changed(space.id, 0)), bump=(operation.stream,), channel=change, deeds=(deed,))


async def change_settings(tx: asyncpg.Connection, entry: Entry, operation: ChangeSettings) -> Effect | Refuse:
    """Replaces a community's name and settings."""
    space = await lock_space(tx, operation.space, entry.user)
    if space is None:
        return rules.NOT_FOUND
    refusal = rules.need(space.kind, space.standing(entry.user), operation.needs)
    if refusal is not None:
        return refusal
    if not is_json_object(operation.settings):
        return Refuse(Code.INVALID, "settings: not a JSON object")
    await tx.execute(
        "update spaces set name = $2, open_to_all = $3, settings = $4::text::jsonb where id = $1",
        space.id,
        operation.name,
        operation.open_to_all,
        operation.settings,
    )
    told = SettingsChanged(operation.name, operation.open_to_all, operation.settings)
    return Effect((event(space.main_stream, entry.user, told),), deeds=(Deed(entry.user, "settings_changed", space.id),))


async def _open_stream(tx: asyncpg.Connection, space: int, kind: StreamKind, name: str, read_roles: int, write_roles: int) -> int:
    stream: int = await tx.fetchval(
        "insert into streams (space_id, kind, name, read_roles, write_roles, placement) values ($1, $2, $3, $4, $5, $1) returning id",
        space,
        kind,
        name,
        read_roles,
        write_roles,
    )
    return stream
