"""Names, judged in each place where they show: whether one still does, who has it before them already, and how it is taken away.

    a community's levels ─▶ held there: its staff decide, for them alone     hidden, or turned down by anybody: gone everywhere

Invariant: who has taken another name since keeps it, whatever is decided about the earlier one.
"""

from __future__ import annotations

import asyncpg

from persistence.append import ChannelChange, NewEvent, event
from persistence.moderation.spoken import Spoken
from persistence.operations.people import RENAMED
from protocol import codec
from protocol.events import ChannelChanged, Renamed, SettingsChanged
from protocol.values import HeldForm, HeldState, Roles, StreamKind


async def is_shown(tx: asyncpg.Connection, spoken: Spoken) -> bool:
    """Whether a name is still the one that others see: who has taken another one since keeps it."""
    if spoken.form is not HeldForm.NAME or (spoken.held and not spoken.target):
        return True
    name = spoken.body.decode("utf-8", "replace")
    shown: bool = await tx.fetchval(
        "select exists (select from accounts where id = $1 and display_name = $3) or $1 = 0 and ("
        "exists (select from spaces where id = $2 and name = $3) or exists (select from streams where space_id = $2 and name = $3))",
        spoken.target,
        spoken.space,
        name,
    )
    return shown


async def is_known(tx: asyncpg.Connection, spoken: Spoken, review: int) -> bool:
    """Whether those who decide have this name of this person's before them, or have let it stand: then it is not judged for them again."""
    known: bool = await tx.fetchval(
        "select exists (select from held where author = $1 and form = $2 and target = $3 and body = $4 and review_id = $5"
        " and state in (2, 4) and ($3 > 0 or space_id = $6))",
        spoken.author,
        HeldForm.NAME,
        spoken.target,
        spoken.body,
        review,
        spoken.space,
    )
    return known


async def waits_elsewhere(tx: asyncpg.Connection, spoken: Spoken, held: int) -> bool:
    """Whether somebody else has this name before them: its author was told."""
    waits: bool = await tx.fetchval(
        "select exists (select from held where author = $1 and form = $2 and target = $3 and body = $4 and state = 2 and id <> $5)",
        spoken.author,
        HeldForm.NAME,
        spoken.target,
        spoken.body,
        held,
    )
    return waits and spoken.target > 0


async def take_name(tx: asyncpg.Connection, held: int, user: int, body: bytes) -> None:
    """Gives a person another name, everywhere, if they still go by this one; what else is held of it has nothing left to decide."""
    name = f"member {user}"
    lapsed = "update held set state = $5, decided_at = now() where author = $1 and form = $2 and body = $3 and state = $4 and id <> $6"
    await tx.execute(lapsed, user, HeldForm.NAME, body, HeldState.WAITING, HeldState.LAPSED, held)
    renamed = "update accounts set display_name = $2 where id = $1 and display_name = $3 returning id"
    if await tx.fetchval(renamed, user, name, body.decode("utf-8", "replace")) is None:
        return
    await tx.execute(
        "insert into outbox (kind, user_id, space_id, author, payload)"
        " select $2, $1, m.space_id, 0, $3 from members m join spaces s on s.id = m.space_id where m.user_id = $1 and s.kind in (1, 2, 5)",
        user,
        RENAMED,
        codec.encode(Renamed(user, name)),
    )


async def take_place_name(
    tx: asyncpg.Connection, space: int, stream: int, body: bytes
) -> tuple[tuple[NewEvent, ...], ChannelChange | None]:
    """What takes a community's name away, or a channel's, if it is still called so: an event of `stream`, its own, and the channel's."""
    name = body.decode("utf-8", "replace")
    renamed = f"community {space}"
    row = await tx.fetchrow(
        "update spaces set name = $3 where id = $1 and name = $2 returning open_to_all, settings::text as settings", space, name, renamed
    )
    if row is not None:
        return (event(stream, 0, SettingsChanged(renamed, row["open_to_all"], row["settings"])),), None
    row = await tx.fetchrow(
        "select id, read_roles, write_roles from streams where space_id = $1 and kind = $2 and name = $3", space, StreamKind.CHANNEL, name
    )
    if row is None:
        return (), None
    change = ChannelChange(row["id"], f"channel {row['id']}", row["read_roles"], row["write_roles"])
    told = ChannelChanged(change.stream, change.name, Roles(change.read_roles), Roles(change.write_roles))
    return (event(stream, 0, told),), change
