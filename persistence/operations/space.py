"""A space as an operation finds it, read under the lock that every change of membership, roles and channels takes.

Invariant: who is allowed what is read after the lock is held, in the same statement as what it is about.
"""

from __future__ import annotations

import asyncpg
from msgspec import Struct

from persistence.operations.rules import NOBODY, Standing
from protocol.events import StreamInfo
from protocol.values import Role, SpaceKind, StreamKind


class SpaceSeen(Struct, frozen=True):
    """A space, its streams, and what those asked about are in it. Stays true until the transaction ends."""

    id: int
    kind: SpaceKind
    name: str
    open_to_all: bool
    members: int
    streams: tuple[StreamInfo, ...]
    standings: dict[int, Standing]

    def standing(self, user: int) -> Standing:
        """What somebody who was asked about is here."""
        return self.standings.get(user, NOBODY)

    def role(self, user: int) -> Role | None:
        """The base role of somebody who was asked about; None: no member."""
        return self.standing(user).role

    @property
    def main_stream(self) -> int:
        """Where joining and leaving is told: a community's own stream, or the conversation."""
        return next(s.stream for s in self.streams if s.kind in (StreamKind.COMMUNITY, StreamKind.CONVERSATION))

    @property
    def stream_ids(self) -> tuple[int, ...]:
        return tuple(s.stream for s in self.streams)


async def lock_space(tx: asyncpg.Connection, space: int, *users: int) -> SpaceSeen | None:
    """Locks a space's row and reads what decisions need. None: there is none (or it is the system's own)."""
    # The lock in a statement of its own: only the next one sees what was committed while this one waited.
    row = await tx.fetchrow("select kind from spaces where id = $1 and kind > 0 for no key update", space)
    if row is None:
        return None
    row = await tx.fetchrow(
        "select s.kind, s.name, s.open_to_all, s.members,"
        " array(select row(t.id, t.kind, t.name) from streams t where t.space_id = s.id order by t.id) as streams,"
        " array(select row(m.user_id, m.role, custom_permissions(m.user_id, s.id)) from members m"
        " where m.space_id = s.id and m.user_id = any($2)) as standings"
        " from spaces s where s.id = $1",
        space,
        users,
    )
    assert row is not None
    return SpaceSeen(
        space,
        SpaceKind(row["kind"]),
        row["name"],
        row["open_to_all"],
        row["members"],
        tuple(StreamInfo(stream, StreamKind(kind), name) for stream, kind, name in row["streams"]),
        {user: Standing(Role(role), custom) for user, role, custom in row["standings"]},
    )


async def find_enrolment(tx: asyncpg.Connection, community: int, user: int) -> tuple[int, tuple[int, ...]] | None:
    """What a member has of their own in a community: the space and its streams, also after they left; None where they never were."""
    row = await tx.fetchrow(
        "select s.id, array(select t.id from streams t where t.space_id = s.id order by t.id) as streams"
        " from spaces s where s.pair_key = 'enrolment:' || $1::bigint || ':' || $2::bigint",
        community,
        user,
    )
    return None if row is None else (row["id"], tuple(row["streams"]))


async def count_owners(tx: asyncpg.Connection, space: int, subject: int) -> int:
    """How many owners there are for the question whether `subject` may cease to be one: 1 for them, and 1 more if there is another who can
    log in. Who is suspended, or came by an archive and is nobody here, looks after nothing."""
    count: int = await tx.fetchval(
        "select 1 + count(*) from (select from members m join accounts a on a.id = m.user_id and a.disabled_at is null"
        " where m.space_id = $1 and m.role = 1 and m.user_id <> $2 limit 1) o",
        space,
        subject,
    )
    return count


async def display_name(tx: asyncpg.Connection, user: int) -> str | None:
    """What others see of an account; None if there is none that is enabled."""
    name: str | None = await tx.fetchval("select display_name from accounts where id = $1 and disabled_at is null", user)
    return name


async def enqueue(tx: asyncpg.Connection, kind: int, user: int, space: int, author: int = 0, payload: bytes | None = None) -> None:
    """Puts something for `user`'s inbox into the outbox."""
    await tx.execute(
        "insert into outbox (kind, user_id, space_id, author, payload) values ($1, $2, $3, $4, $5)", kind, user, space, author, payload
    )
