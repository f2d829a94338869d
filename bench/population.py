"""People and rooms for a measurement, put into the database in bulk, with tokens that the gateways take for what they are.

    create_account × n ─▶ devices, sessions ─▶ one community and channel per room ─▶ tokens, signed with the installation's key

Ten thousand registrations through the front door would take eight minutes of argon2; nothing measured here depends on how an account
came to be. From the Hello on, everything is real: the signature is checked, the device attached, membership read.

Invariant: everybody is in one room of each layout asked for, at most; nobody has a password that opens anything.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from gateway.tokens import KeySet, load_pem
from protocol.codec import encode
from protocol.events import Said
from protocol.values import Role, SpaceKind, StreamKind

TOKEN_LIFETIME_S: Final = 3600
"""The longest that settings allow: a run must not end in thousands of refreshes."""
SESSION_S: Final = 86_400


class Person(msgspec.Struct, frozen=True):
    """Somebody with one device, logged in."""

    user: int
    device: int
    token: str


class Room(msgspec.Struct, frozen=True):
    """A community's channel and those who follow it."""

    stream: int
    people: tuple[Person, ...]


async def make_people(connection: asyncpg.Connection, keys: Path, count: int, first: int = 1) -> list[Person]:
    """Makes `count` accounts, each with a device and a session; `first` is the number in the first one's name."""
    async with connection.transaction():
        rows = await connection.fetch(_PEOPLE, first, first + count - 1, SESSION_S)
    key_set = KeySet(load_pem(keys), lifetime_s=TOKEN_LIFETIME_S)
    now = time.time()
    return [Person(row["user_id"], row["device"], key_set.issue(row["user_id"], row["device"], row["session"], now)[0]) for row in rows]


async def make_rooms(connection: asyncpg.Connection, people: list[Person], rooms: int, members: int) -> list[Room]:
    """Makes `rooms` communities with one channel each, and fills them with `members` each, from the front."""
    assert rooms * members <= len(people)
    streams = [
        row["stream"]
        for row in await connection.fetch(_ROOMS, rooms, people[0].user, members, int(SpaceKind.COMMUNITY), int(StreamKind.CHANNEL))
    ]
    made = [Room(stream, tuple(people[n * members : (n + 1) * members])) for n, stream in enumerate(streams)]
    await connection.execute(
        _MEMBERS,
        [room.stream for room in made for _ in room.people],
        [person.user for room in made for person in room.people],
        int(Role.LEARNER),
    )
    # As autovacuum would have found soon after: plans for thousands of members, not for none.
    for table in ("accounts", "spaces", "members", "streams", "devices", "sessions", "log", "outcomes"):
        await connection.execute(f"analyze {table}")
    return made


async def heads(connection: asyncpg.Connection, rooms: list[Room]) -> dict[int, int]:
    """Where each room's stream ends now."""
    rows = await connection.fetch("select id, head from streams where id = any($1::bigint[])", [room.stream for room in rooms])
    return {row["id"]: row["head"] for row in rows}


async def inboxes(connection: asyncpg.Connection, people: list[Person]) -> dict[int, int]:
    """Each one's personal stream, by account."""
    rows = await connection.fetch("select id, inbox from accounts where id = any($1::bigint[])", [person.user for person in people])
    return {row["id"]: row["inbox"] for row in rows}


async def count_log(connection: asyncpg.Connection) -> int:
    """How many events are stored, in all streams."""
    counted: int = await connection.fetchval("select count(*) from log")
    return counted


async def fill_log(connection: asyncpg.Connection, rooms: list[Room], events: int) -> None:
    """Appends `events` in all to these rooms' streams, the same number to each, as the journal would have stored them."""
    streams, authors = [room.stream for room in rooms], [room.people[0].user for room in rooms]
    body = encode(Said("something that somebody said a while ago"))
    await connection.execute(_EVENTS, streams, authors, -(-events // len(rooms)), body, int(time.time()))


async def tidy_log(connection: asyncpg.Connection) -> None:
    """What autovacuum and the checkpointer would soon have done."""
    await connection.execute("vacuum (analyze) log")
    await connection.execute("vacuum (analyze) streams")
    await connection.execute("checkpoint")


_PEOPLE: Final = """
with made as materialized (
    select a.user_id from generate_series($1::integer, $2::integer) n
    cross join lateral create_account(('bench-' || n)::citext, 'Bench ' || n, 'none: nobody logs in with it') a
),
device as (insert into devices (user_id, name) select user_id, 'bench' from made returning id, user_id),
opened as (
    insert into sessions (user_id, device_id, expires_at)
    select user_id, id, now() + make_interval(secs => $3) from device returning id, user_id, device_id
)
select user_id, device_id as device, id as session from opened order by user_id"""

_ROOMS: Final = """
with space as (
    insert into spaces (kind, name, members, created_by) select $4, 'Room ' || n, $3, $2 from generate_series(1, $1::integer) n returning id
)
insert into streams (space_id, kind, name, placement) select id, $5, 'general', id from space returning id as stream"""

_MEMBERS: Final = """
insert into members (space_id, user_id, role)
select s.space_id, q.user_id, $3 from unnest($1::bigint[], $2::bigint[]) q (stream, user_id) join streams s on s.id = q.stream"""

_EVENTS: Final = """
with stream as (
    select s.id, s.head, q.author from unnest($1::bigint[], $2::bigint[]) q (id, author) join streams s on s.id = q.id
),
stored as (
    insert into log (stream_id, seq, kind, author, at, body)
    select id, head + n, 1, author, $5, $4 from stream cross join generate_series(1, $3::integer) n order by n, id
)
update streams s set head = stream.head + $3 from stream where s.id = stream.id"""
