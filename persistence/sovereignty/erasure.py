"""Erasing a community or a person: everything goes, in steps that each are one transaction, and it stays gone.

    condemn ─▶ nobody may read or enter, everybody is told, the erasure is written down ─▶ ledger (a file outside the database)
    step    ─▶ the next few thousand rows of `HOLDINGS`, or the next stream to be cleared ─▶ … ─▶ done

Condemning is at once and final; the steps are a job's, and may be killed and begun again at any of them. What was condemned is found by
(kind, subject, born), so a list of erasures can be carried out again on a backup that was made before, and hits nobody else.

Invariant: after `condemn` no account but the gateway's own sees a row of it; after the last step no row of `HOLDINGS` has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import asyncpg
from msgspec import Struct
from msgspec.msgpack import encode as encode_plain

from actors.mail import MAIL_SEND
from actors.sovereignty import Kind
from actors.storage import Fact
from actors.webhooks import WebhookState
from persistence.append import append_events, authority_changed, kind_of, session_revoked
from persistence.audit import Deed, record
from persistence.identity.forgotten import RESET, reset_key
from persistence.operations.outgrown import lock_services_of
from persistence.sessions import end, lock_account
from persistence.sovereignty.clearing import ERASED_NAME, clear_inbox_of_next, clear_notices
from persistence.sovereignty.holdings import HOLDINGS, Holding
from protocol.codec import encode
from protocol.events import SpaceLeft

ROWS_MAX: Final = 5_000
"""Deleted in one transaction: some 50 ms, for which nobody waits but who writes to the same rows."""
DONE: Final = "done"
NO_PASSWORD: Final = "!"
"""No hash is this: nothing is its password."""
_LEFT: Final = kind_of(SpaceLeft)


class Subject(Struct, frozen=True):
    """Who or what, beyond doubt: `born` is when it was made."""

    kind: Kind
    id: int
    born: datetime


class Condemned(Struct, frozen=True):
    """What was condemned, and the facts that gateways have to hear of once it is committed."""

    subject: Subject
    facts: tuple[Fact, ...] = ()
    again: bool = False
    """It had been condemned before; nothing was changed."""


async def condemn_community(tx: asyncpg.Connection, space: int, by: int, born: datetime | None = None) -> Condemned | None:
    """Ends a community for everybody. None: there is none, or it is another one than was `born` then."""
    # Its services before itself, as whoever ends one of them or changes what it may takes them: each would wait for the other.
    await lock_services_of(tx, space)
    row = await tx.fetchrow("select kind, created_at from spaces where id = $1 for update", space)
    if row is None or row["kind"] != 1 or (born is not None and row["created_at"] != born):
        return None
    subject = Subject(Kind.COMMUNITY, space, row["created_at"])
    if not await write_down(tx, subject, by):
        return Condemned(subject, again=True)
    # Told by what they leave, not by its name. The outbox judges: whoever is no member any more has left.
    await tx.execute(
        "insert into outbox (kind, user_id, space_id, payload) select $2, m.user_id, m.space_id, $3 from members m where m.space_id = $1",
        space,
        _LEFT,
        encode(SpaceLeft(space)),
    )
    services = await tx.fetch("select id from accounts where kind = 1 and owner_space = $1 order by id", space)
    ended = [service["id"] for service in services if (closed := await close_account(tx, service["id"], by)) and not closed.again]
    spaces, streams = await reach(tx, space)
    # What was said and not sent yet is not sent.
    await tx.execute("update webhooks set state = $2, reason = '' where space_id = $1", space, WebhookState.PAUSED)
    await tx.execute("delete from invitations where space_id = $1", space)
    await tx.execute("delete from members where space_id = any($1)", spaces)
    await tx.execute(
        "update spaces set name = '', settings = '{}', open_to_all = false, members = 0, retention_days = null where id = $1", space
    )
    await record(tx, Deed(by, "community_erased", space))
    facts = await append_events(tx, [authority_changed(space, 0), *(session_revoked(service, 0) for service in ended)], streams)
    return Condemned(subject, tuple(facts))


async def close_account(tx: asyncpg.Connection, user: int, by: int, born: datetime | None = None) -> Condemned | None:
    """Makes an account nobody's, whose sessions have ended; telling that is the caller's. None: there is none, or it is another one than
    was `born` then."""
    await lock_account(tx, user)
    row = await tx.fetchrow("select created_at, name::text, email::text from accounts where id = $1", user)
    if row is None or (born is not None and row["created_at"] != born):
        return None
    subject = Subject(Kind.PERSON, user, row["created_at"])
    if not await write_down(tx, subject, by):
        return Condemned(subject, again=True)
    await end(tx, user, None)
    await _forget_mails(tx, user, row["name"], row["email"] or "")
    await tx.execute(
        "update accounts set name = 'erased-' || id, display_name = $2, password_hash = case when kind = 0 then $3 else '' end,"
        " email = null, email_verified_at = null, language = '', disabled_at = coalesce(disabled_at, now()) where id = $1",
        user,
        ERASED_NAME,
        NO_PASSWORD,
    )
    await record(tx, Deed(by, "person_erased", subject=user))
    return Condemned(subject)


async def _forget_mails(tx: asyncpg.Connection, user: int, *called: str) -> None:
    """Orders of mails name an address, and orders of links what somebody typed; those that failed wait for months."""
    offered = await tx.fetch("select email::text from identity_links where user_id = $1", user)
    keys = [reset_key(named) for named in (*called, *(row["email"] for row in offered)) if named]
    addressed = encode_plain("to_user") + encode_plain(user)
    for table in ("jobs", "dead_jobs"):
        await tx.execute(f"delete from {table} where kind = $1 and position($2::bytea in payload) > 0", MAIL_SEND, addressed)
        await tx.execute(f"delete from {table} where kind = $1 and key = any($2)", RESET, keys)


async def write_down(tx: asyncpg.Connection, subject: Subject, by: int) -> bool:
    """Whether this is new."""
    id: int | None = await tx.fetchval(
        "insert into erasures (kind, subject, born, asked_by) values ($1, $2, $3, $4) on conflict do nothing returning id",
        subject.kind,
        subject.id,
        subject.born,
        by,
    )
    return id is not None


async def reach(tx: asyncpg.Connection, *spaces: int) -> tuple[list[int], list[int]]:
    """These spaces with the enrolments of the communities among them, and the streams of all."""
    found = [row["id"] for row in await tx.fetch("select id from spaces where id = any($1) or parent = any($1) order by id", spaces)]
    streams = [row["id"] for row in await tx.fetch("select id from streams where space_id = any($1) order by id", found)]
    return found, streams


async def erase_some(tx: asyncpg.Connection, spaces: Sequence[int], streams: Sequence[int], rows_max: int = ROWS_MAX) -> int:
    """Deletes the next rows of these spaces; how many. 0: nothing is left, the spaces among it."""
    # A log of which some is gone is one whose floor was raised.
    await tx.execute("select from streams where id = any($1) order by id for update", streams)
    await tx.execute("update streams set floor = head where id = any($1) and floor < head", streams)
    for holding in HOLDINGS:
        if holding.of_spaces and (deleted := await _delete(tx, holding, holding.of_spaces, rows_max, list(spaces), list(streams))):
            return deleted
    return 0


async def erase_step_of_community(tx: asyncpg.Connection, space: int, step: str) -> tuple[str, int]:
    """One transaction of a community's erasure, from where `step` says it is ("": the beginning). The next step, and rows."""
    name, _, at = step.partition(":")
    if name in ("", "inboxes"):
        # What people were told is theirs; what the place was called there is not.
        user, rows = await clear_inbox_of_next(tx, space, int(at or 0))
        return ("rows" if user is None else f"inboxes:{user}"), rows
    spaces, streams = await reach(tx, space)
    rows = await clear_notices(tx, spaces, ROWS_MAX) or (await erase_some(tx, spaces, streams) if spaces else 0)
    return ("rows" if rows else DONE), rows


async def erase_some_of_person(tx: asyncpg.Connection, user: int, rows_max: int = ROWS_MAX) -> int:
    """Deletes the next rows about an account that stand by themselves; how many. 0: nothing is left."""
    for holding in HOLDINGS:
        if holding.of_person and (deleted := await _delete(tx, holding, holding.of_person, rows_max, user)):
            return deleted
    return 0


async def _delete(tx: asyncpg.Connection, holding: Holding, condition: str, rows_max: int, *values: object) -> int:
    # A placeholder that does not appear has no type.
    types = "bigint[]" if isinstance(values[0], list) else "bigint"
    given = " and ".join(f"${n}::{types} is not null" for n in range(1, len(values) + 1))
    found, key = (", ".join(f"{alias}.{name}" for name in holding.key) for alias in "td")
    rows = f"select {found} from {holding.table} t where ({condition}) and {given} limit {rows_max:d}"
    status: str = await tx.execute(
        f"delete from {holding.table} d where ({key}) in ({rows})",
        *values,
    )
    return int(status.rpartition(" ")[2])
