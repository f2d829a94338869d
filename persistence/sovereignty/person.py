"""Erasing a person: at once they are nobody who could log in or be found; then they leave every space, and what they wrote is emptied.

    condemn ─▶ sessions end · name, address and password go ─▶ leave each space (an heir is made where they were the only owner)
            ─▶ own spaces and enrolments, whole ─▶ texts and names in others' streams ─▶ rows of their own

A community that they owned goes on: the oldest moderator becomes its owner, else mentor, else learner. Where nobody else is left the
community is condemned with them.

Invariant: the row of the account stays, without a name, so that its number in others' streams never means anybody else.
"""

from __future__ import annotations

from datetime import datetime

import asyncpg

from actors.sovereignty import Kind
from actors.storage import Fact
from persistence.append import Effect, NewEvent, authority_changed, event, finish
from persistence.audit import Deed, record
from persistence.mentoring.closing import forget_person
from persistence.mentoring.listing import write_down_untold
from persistence.operations.membership import end_membership
from persistence.operations.outgrown import lock_services_of
from persistence.operations.space import SpaceSeen, lock_space
from persistence.sessions import announce
from persistence.sovereignty.clearing import ERASED_NAME, WINDOW, clear, next_stream_of
from persistence.sovereignty.erasure import DONE, Condemned, close_account, condemn_community, erase_some, erase_some_of_person
from persistence.sovereignty.together import forget_together
from protocol.events import Renamed, RoleSet
from protocol.values import Role, SpaceKind


async def condemn_person(tx: asyncpg.Connection, user: int, by: int, born: datetime | None = None) -> Condemned | None:
    """Ends an account. None: there is none, or it is another one than was `born` then."""
    condemned = await close_account(tx, user, by, born)
    if condemned is None or condemned.again:
        return condemned
    return Condemned(condemned.subject, tuple(await announce(tx, user, [0])))


async def leave_next(tx: asyncpg.Connection, user: int) -> tuple[bool, list[Fact]]:
    """Leaves one more space. Whether there was one, and the facts to be told."""
    space: int | None = await tx.fetchval(
        "select m.space_id from members m join spaces s on s.id = m.space_id and s.kind = any($2) where m.user_id = $1 limit 1",
        user,
        [SpaceKind.COMMUNITY, SpaceKind.CONVERSATION, SpaceKind.MENTORSHIP],
    )
    if space is None:
        ended, closed = await forget_person(tx, user)
        facts, _ = await finish(tx, None, closed.added_to(Effect()))
        return bool(ended), facts
    # Where nobody else is left the community goes with them, and its services before it.
    await lock_services_of(tx, space)
    seen = await lock_space(tx, space, user)
    if seen is None or seen.role(user) is None:
        return True, []
    await forget_archives(tx, space)
    heir = await _find_heir(tx, space, user) if seen.kind is SpaceKind.COMMUNITY else None
    if seen.kind is SpaceKind.COMMUNITY and heir is None:
        condemned = await condemn_community(tx, space, 0)
        return True, list(condemned.facts) if condemned is not None else []
    before = await _bequeath(tx, seen, user, heir)
    left = await end_membership(tx, seen, user, 0)
    renamed = event(seen.main_stream, 0, Renamed(user, ERASED_NAME))
    # Values of an outcome count from here on, and there is none.
    effect = Effect((*before, renamed, *left.events), bump=left.bump, changes=left.changes, fills_outbox=True)
    await record(tx, *left.deeds)
    facts, _ = await finish(tx, None, effect)
    return True, facts


async def forget_archives(tx: asyncpg.Connection, space: int) -> None:
    """An archive of a community that waits to be fetched says what the person said: whoever wants one asks again."""
    await tx.execute("delete from archives where kind = $1 and subject = $2", Kind.COMMUNITY, space)


async def _find_heir(tx: asyncpg.Connection, space: int, user: int) -> asyncpg.Record | None:
    """Who is next: a person, and if there is any, one who can log in; None where there are services alone."""
    return await tx.fetchrow(
        "select m.user_id, m.role from members m join accounts a on a.id = m.user_id and a.kind = 0"
        " where m.space_id = $1 and m.user_id <> $2 order by a.disabled_at is not null, m.role, m.joined_at, m.user_id limit 1",
        space,
        user,
    )


async def _bequeath(tx: asyncpg.Connection, space: SpaceSeen, user: int, heir: asyncpg.Record | None) -> tuple[NewEvent, ...]:
    """Makes the heir an owner, where nobody else owns a community."""
    if heir is None or space.role(user) is not Role.OWNER:
        return ()
    if heir["role"] == Role.OWNER:
        return ()
    await tx.execute("update members set role = $3 where space_id = $1 and user_id = $2", space.id, heir["user_id"], Role.OWNER)
    await record(tx, Deed(0, "role_set", space.id, heir["user_id"], detail={"from": heir["role"], "to": int(Role.OWNER)}))
    told = event(space.main_stream, 0, RoleSet(heir["user_id"], Role.OWNER))
    return (told, authority_changed(space.id, heir["user_id"]))


async def own_spaces(tx: asyncpg.Connection, user: int) -> tuple[list[int], list[int]]:
    """The spaces that are nobody else's, enrolments in communities that were left long ago too, and their streams."""
    rows = await tx.fetch(
        "select id from spaces where (kind = $2 and created_by = $1)"
        " or id = (select personal_space from accounts where id = $1) order by id",
        user,
        SpaceKind.ENROLMENT,
    )
    spaces = [row["id"] for row in rows]
    streams = [row["id"] for row in await tx.fetch("select id from streams where space_id = any($1) order by id", spaces)]
    return spaces, streams


async def erase_step(tx: asyncpg.Connection, user: int, step: str) -> tuple[str, int, list[Fact]]:
    """One transaction of a person's erasure, from where `step` says it is ("": the beginning). The next step, rows, facts to be told."""
    match step.split(":"):
        case ["" | "leaving"]:
            more, facts = await leave_next(tx, user)
            return ("leaving" if more else "together"), int(more), facts
        case ["together"]:
            rows, facts = await forget_together(tx, user)
            rows = rows or await write_down_untold(tx, user)
            return ("together" if rows else "own"), rows, facts
        case ["own"]:
            spaces, streams = await own_spaces(tx, user)
            deleted = await erase_some(tx, spaces, streams) if spaces else 0
            return ("own" if deleted else "texts:0:0"), deleted, []
        case ["texts", at, after]:
            return await _clear_next(tx, user, int(at), int(after))
        case _:
            deleted = await erase_some_of_person(tx, user)
            return ("rows" if deleted else DONE), deleted, []


async def _clear_next(tx: asyncpg.Connection, user: int, stream: int, after: int) -> tuple[str, int, list[Fact]]:
    """The next window of the stream, or the first of the next stream."""
    if after == 0:
        found = await next_stream_of(tx, user, stream)
        if found is None:
            return "rows", 0, []
        stream = found
    row = await tx.fetchrow("select head, space_id from streams where id = $1", stream)
    head: int | None = None if row is None else row["head"]
    if row is not None:
        await forget_archives(tx, row["space_id"])
    upto = min(after + WINDOW, head or 0)
    rows, facts = await clear(tx, stream, user, after, upto) if head else (0, [])
    return f"texts:{stream}:{upto if head and upto < head else 0}", rows, facts
