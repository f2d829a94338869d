"""Export: a community as one moment of the database sees it, written into an archive.

    snapshot ─▶ spaces, streams, members, roles ─▶ each table of `tables`, row by row ─▶ whoever was named ─▶ manifest

Only what the community owns leaves: its members' names, never their addresses, passwords or devices.

Invariant: one snapshot, so heads, logs and records agree; importing the archive elsewhere and exporting it again gives the same rows, by
other names.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
import msgspec
from msgspec import Raw, Struct

from persistence.sovereignty.archive import Manifest, Writer
from persistence.sovereignty.erasure import reach
from persistence.sovereignty.packed import rename_packed
from persistence.sovereignty.tables import MEMBERS, ROWS, SPACES, STREAMS, Kept
from protocol.codec import decode_body
from protocol.entities import read_fields
from protocol.events import RecordItem
from protocol.identifiers import Identifies, Names

GROUP: Final = 500


class NoSuchCommunity(Exception):
    """There is none of this number."""


async def export_space(tx: asyncpg.Connection, space: int, writer: Writer) -> Manifest:
    """Writes everything of a community; `tx` sees one snapshot. Raises `NoSuchCommunity`."""
    row = await tx.fetchrow("select name, region from spaces where id = $1 and kind = 1", space)
    if row is None:
        raise NoSuchCommunity(f"there is no community {space}")
    spaces, streams = await reach(tx, space)
    people: set[int] = set()
    for kept in (SPACES, STREAMS, MEMBERS, *ROWS):
        with writer.file(kept.file) as add:
            async for group in _rows(tx, kept, spaces, streams):
                people.update(who for one in group for who in _named(kept, one))
                if kept.table == "log":
                    for one in group:
                        one["says"] = says(bytes.fromhex(one["body"][2:]))
                add(group)
    with writer.file("roles.ndjson") as add:
        roles = await _read_roles(tx, space)
        people.update(who for role in roles for who in (role["created_by"], *role["holders"]))
        add(roles)
    with writer.file("people.ndjson") as add:
        found = await tx.fetch("select id, name::text, display_name from accounts where id = any($1) order by id", sorted(people - {0}))
        add([dict(person) for person in found])
    return writer.close(space, row["name"], row["region"], datetime.now(UTC))


async def _rows(tx: asyncpg.Connection, kept: Kept, spaces: list[int], streams: list[int]) -> Any:
    """A table's rows as they go into the archive, in groups."""
    given = "$1::bigint[] is not null and $2::bigint[] is not null"  # a placeholder that does not appear has no type
    query = f"select to_jsonb(t)::text from {kept.table} t where {kept.where} and {given} order by {kept.order}"
    group: list[dict[str, Any]] = []
    async for (text,) in tx.cursor(query, spaces, streams, prefetch=GROUP):
        one = msgspec.json.decode(text, type=dict[str, Any])
        for column in kept.own:
            del one[column]
        one.update(dict.fromkeys(kept.zero, 0))
        group.append(one)
        if len(group) == GROUP:
            yield group
            group = []
    if group:
        yield group


def _named(kept: Kept, row: Mapping[str, Any]) -> set[int]:
    """The accounts that a row names, also within its bytes."""
    found = {row[column] or 0 for column, what in kept.names.items() if what is Identifies.USER}

    def note(user: int) -> int:
        found.add(user)
        return user

    rename_packed(kept, row, Names(user=note, stream=int, space=int))
    return found


def says(raw: bytes) -> dict[str, Any]:
    """An event's body for people to read."""
    body = decode_body(raw)
    return {"kind": type(body).__name__, **_plain(body)}


def _plain(value: Any) -> Any:
    match value:
        case RecordItem():
            return {**msgspec.structs.asdict(value), "fields": {str(n): one for n, one in read_fields(value.fields).items()}}
        case Struct():
            return {name: _plain(one) for name, one in msgspec.structs.asdict(value).items()}
        case tuple() | list():
            return [_plain(one) for one in value]
        case Raw():
            return bytes(value).hex()
        case _:
            return value


async def _read_roles(tx: asyncpg.Connection, space: int) -> list[dict[str, Any]]:
    rows = await tx.fetch(
        "select r.name, r.permissions, r.created_by, array(select u.user_id from user_roles u where u.role_id = r.id order by 1) as holders"
        " from roles r where r.space_id = $1 order by r.id",
        space,
    )
    return [dict(row) for row in rows]
