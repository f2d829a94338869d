"""Block and Unblock: nothing passes between two people any more, or again.

    Block ─▶ lock the pair, and the conversations of both ─▶ row ─▶ those of two: no writers ─▶ invitations between them go ─▶ own inbox
             a mentorship between them is broken off for good, a proposal taken back
    Unblock ─▶ the same locks ─▶ the last block between them? their conversation has writers again

The conversation of two carries the block itself, in the roles that may write there, which every append looks at under the stream's lock:
so the hot path pays nothing for it. What both read in communities and in conversations of more, they go on reading; a client hides the
blocked person's words by its own list.

Invariant: a conversation that two people are in has no writers if, and only if, one of them blocks the other.
"""

from __future__ import annotations

from typing import Final

import asyncpg

from actors.storage import Entry
from persistence.append import Effect, Refuse, StreamChange, authority_changed, event
from persistence.blocks import any_blocked, lock_pair
from persistence.mentoring.closing import part
from persistence.operations.space import SpaceSeen, display_name
from protocol.codes import Code
from protocol.events import PersonBlocked
from protocol.operations import Block, Unblock
from protocol.values import Roles, SpaceKind

BLOCKS_PER_USER_MAX: Final = 1_000
"""All of them go with each overview: 5 kB at most."""

# One's own spaces are walked through: at most 2,000 conversations, for what people do a few times in their life.
_LOCK: Final = """
select s.id from members m join spaces s on s.id = m.space_id and s.kind = 2
where m.user_id = $1 and exists (select from members n where n.space_id = m.space_id and n.user_id = $2)
order by s.id for no key update of s"""
_OF_TWO: Final = """
select t.id as stream, s.id as space from spaces s join streams t on t.space_id = s.id and t.kind = 4
where s.id = any($1) and s.members = 2
    and exists (select from members m where m.space_id = s.id and m.user_id = $2)
    and exists (select from members m where m.space_id = s.id and m.user_id = $3)
order by t.id"""


async def block(tx: asyncpg.Connection, entry: Entry, operation: Block) -> Effect | Refuse:
    """Blocks somebody. Blocking twice changes nothing."""
    user, other = entry.user, operation.user
    if other == user:
        return Refuse(Code.INVALID, "user: nobody blocks themselves")
    if await display_name(tx, other) is None:
        return Refuse(Code.NOT_FOUND, "no such account")
    await lock_pair(tx, user, other)
    blockers = await _blockers(tx, user, other)
    if user in blockers:
        return Effect()
    blocks: int = await tx.fetchval("select count(*) from blocks where user_id = $1", user)
    if blocks >= BLOCKS_PER_USER_MAX:
        return Refuse(Code.LIMIT, f"one blocks at most {BLOCKS_PER_USER_MAX} people")
    conversations = await _lock_conversations(tx, user, other)
    await tx.execute("insert into blocks (user_id, blocked) values ($1, $2)", user, other)
    await tx.execute("delete from invitations where (user_id = $1 and invited_by = $2) or (user_id = $2 and invited_by = $1)", user, other)
    closed = await part(tx, user, other)
    return closed.added_to(await _tell(tx, user, PersonBlocked(other, True), () if blockers else conversations, 0))


async def unblock(tx: asyncpg.Connection, entry: Entry, operation: Unblock) -> Effect | Refuse:
    """Takes a block back. Where there was none nothing changes."""
    user, other = entry.user, operation.user
    await lock_pair(tx, user, other)
    blockers = await _blockers(tx, user, other)
    if user not in blockers:
        return Effect()
    conversations = await _lock_conversations(tx, user, other)
    await tx.execute("delete from blocks where user_id = $1 and blocked = $2", user, other)
    return await _tell(tx, user, PersonBlocked(other, False), () if other in blockers else conversations, int(Roles.ALL))


async def left(tx: asyncpg.Connection, space: SpaceSeen, user: int) -> tuple[StreamChange, ...]:
    """Who writes in a conversation that `user` has left: where two are in it now, nobody while one of them blocks the other. Under the
    lock of the space, after the member's row is gone."""
    if space.kind is not SpaceKind.CONVERSATION:
        return ()
    rows = await tx.fetch("select user_id from members where space_id = $1 and user_id <> $2 limit 3", space.id, user)
    closed = len(rows) == 2 and await any_blocked(tx, [row["user_id"] for row in rows])
    return (StreamChange(space.main_stream, 0 if closed else int(Roles.ALL)),)


async def _blockers(tx: asyncpg.Connection, a: int, b: int) -> set[int]:
    """Which of the two block the other."""
    rows = await tx.fetch("select user_id from blocks where (user_id = $1 and blocked = $2) or (user_id = $2 and blocked = $1)", a, b)
    return {row["user_id"] for row in rows}


async def _lock_conversations(tx: asyncpg.Connection, a: int, b: int) -> tuple[asyncpg.Record, ...]:
    """Locks all conversations that both are in, so that nobody leaves them meanwhile; stream and space of those of the two alone."""
    spaces = [row["id"] for row in await tx.fetch(_LOCK, a, b)]
    if not spaces:
        return ()
    # In a statement of its own: only this one sees who left while the lock was waited for.
    return tuple(await tx.fetch(_OF_TWO, spaces, a, b))


async def _tell(
    tx: asyncpg.Connection, user: int, told: PersonBlocked, conversations: tuple[asyncpg.Record, ...], write_roles: int
) -> Effect:
    """One's own devices hear of it, and of other people's nothing. The streams' versions move, so that who decided before (an edit) decides
    again, and every gateway looks again: nobody types where nobody speaks."""
    inbox: int = await tx.fetchval("select inbox from accounts where id = $1", user)
    streams = tuple(row["stream"] for row in conversations)
    changed = tuple(authority_changed(row["space"], 0) for row in conversations)
    changes = tuple(StreamChange(stream, write_roles) for stream in streams)
    return Effect((event(inbox, user, told), *changed), bump=streams, changes=changes)
