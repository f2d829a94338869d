"""OpenConversation and Rename."""

from __future__ import annotations

from typing import Final

import asyncpg

from actors.storage import Entry
from persistence.append import Effect, Refuse, event, kind_of
from persistence.blocks import BLOCKED, any_blocked, lock_pair
from persistence.operations import rules
from persistence.operations.membership import SPACE_ENTERED
from persistence.operations.space import display_name
from protocol import codec
from protocol.codes import Code
from protocol.events import Joined, Renamed
from protocol.operations import OpenConversation, Rename
from protocol.values import Role

RENAMED: Final = kind_of(Renamed)


def pair_key(people: frozenset[int]) -> str:
    """Names a set of people."""
    return ",".join(map(str, sorted(people)))


async def open_conversation(tx: asyncpg.Connection, entry: Entry, operation: OpenConversation) -> Effect | Refuse:
    """Finds or makes the conversation of exactly these people and oneself. All are learners in it: nobody can remove anybody."""
    people = frozenset((entry.user, *operation.users))
    if len(people) < 2:
        return Refuse(Code.INVALID, "users: at least one other person")
    rows = await tx.fetch("select id, display_name from accounts where id = any($1) and disabled_at is null order by id", list(people))
    if len(rows) < len(people):
        return Refuse(Code.NOT_FOUND, "no such account")
    if len(people) == 2:
        await lock_pair(tx, *people)
    # Also where it is not oneself: nobody is brought together with whom they block by a third.
    if await any_blocked(tx, people):
        return BLOCKED
    existing: int | None = await _existing(tx, people)
    if existing is not None:
        return Effect(value=existing)
    conversations: int = await tx.fetchval(
        "select count(*) from members m join spaces s on s.id = m.space_id where m.user_id = $1 and s.kind = 2", entry.user
    )
    if conversations >= rules.CONVERSATIONS_PER_USER_MAX:
        return Refuse(Code.LIMIT, f"one has at most {rules.CONVERSATIONS_PER_USER_MAX} conversations")
    # Whoever opens the same one at this moment waits here until we commit, and then finds ours.
    space: int | None = await tx.fetchval(
        "insert into spaces (kind, name, pair_key, members, created_by) values (2, '', $1, $2, $3)"
        " on conflict (pair_key) do nothing returning id",
        pair_key(people),
        len(people),
        entry.user,
    )
    if space is None:
        existing = await _existing(tx, people)
        # None: somebody left it between the two statements; the client may ask again.
        return Refuse(Code.CONFLICT, "somebody has just left it") if existing is None else Effect(value=existing)
    stream: int = await tx.fetchval(
        "with entered as (insert into members (space_id, user_id, role) select $1, p, $3 from unnest($2::bigint[]) p),"
        " told as (insert into outbox (kind, user_id, space_id, author) select $4, p, $1, $5 from unnest($2::bigint[]) p)"
        " insert into streams (space_id, kind, placement) values ($1, 4, $1) returning id",
        space,
        [row["id"] for row in rows],
        Role.LEARNER,
        SPACE_ENTERED,
        entry.user,
    )
    joined = tuple(event(stream, entry.user, Joined(row["id"], Role.LEARNER, row["display_name"])) for row in rows)
    return Effect(joined, value=stream, fills_outbox=True)


async def rename(tx: asyncpg.Connection, entry: Entry, operation: Rename) -> Effect | Refuse:
    """Changes one's name; every space one is in hears of it through the outbox, so that no transaction spans them all."""
    if operation.display_name == await display_name(tx, entry.user):
        return Effect()
    await tx.execute("update accounts set display_name = $2 where id = $1", entry.user, operation.display_name)
    told: str = await tx.execute(
        "insert into outbox (kind, user_id, space_id, author, payload)"
        " select $2, $1, m.space_id, $1, $3 from members m join spaces s on s.id = m.space_id where m.user_id = $1 and s.kind in (1, 2, 5)",
        entry.user,
        RENAMED,
        codec.encode(Renamed(entry.user, operation.display_name)),
    )
    return Effect(fills_outbox=not told.endswith(" 0"))


async def _existing(tx: asyncpg.Connection, people: frozenset[int]) -> int | None:
    stream: int | None = await tx.fetchval(
        "select t.id from spaces s join streams t on t.space_id = s.id where s.pair_key = $1", pair_key(people)
    )
    return stream
