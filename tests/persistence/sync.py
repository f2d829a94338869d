"""What tests of records share: changes in few words, streams by kind, and what stands in the database."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.storage import Answered, Query, Result
from persistence.bridge import Bridge
from persistence.store import Store
from protocol.codec import decode_body
from protocol.codes import Code
from protocol.entities import Entity, Fields, read_fields, write_fields
from protocol.events import Changed
from protocol.merge import Outcome, Record, read_outcome, unpack_record
from protocol.operations import AnyOperation, Change
from protocol.values import Role, StreamKind
from tests.persistence.world import Mailbox, Person, World

T0 = 1_700_000_000
"""Unix seconds long before any test runs: what is written `at` it is written when its writer says."""


class Asking:
    """A store that serves, asked one query at a time."""

    def __init__(self, bridge: Bridge) -> None:
        self.store = Store(bridge)

    async def __call__(self, query: Query) -> Result:
        mailbox: Mailbox[Answered] = Mailbox()
        self.store.ask(query, 0, mailbox)
        return (await mailbox.wait(1))[0].result


def change(stream: int, entity: Entity, key: int, fields: Fields | None = None, *, base: int = 0, at: int = T0) -> Change:
    """Writes fields; none: deletes."""
    return Change(stream, entity, key, at, write_fields(fields or {}), base, gone=fields is None)


async def stream_of(w: World, space: int, kind: StreamKind) -> int:
    [stream] = await w.column("select id from streams where space_id = $1 and kind = $2", space, kind)
    return stream


async def own_stream(w: World, person: Person, kind: StreamKind, space: int = 0) -> int:
    """Of a person, or of their enrolment in `space`."""
    [stream] = await w.column(
        "select t.id from streams t join spaces s on s.id = t.space_id where t.kind = $3"
        " and (s.pair_key = 'enrolment:' || $2::bigint || ':' || $1::bigint"
        " or $2 = 0 and s.id = (select personal_space from accounts where id = $1))",
        person.user,
        space,
        kind,
    )
    return stream


async def outcome(w: World, person: Person, operation: AnyOperation) -> tuple[Outcome, int]:
    return read_outcome(await w.ok(person, operation))


async def code(w: World, person: Person, operation: AnyOperation) -> Code:
    return (await w.ask(person, operation)).code


async def set_role(w: World, space: int, person: Person, role: Role) -> None:
    await w.rows("update members set role = $3 where space_id = $1 and user_id = $2", space, person.user, role)


async def record(w: World, stream: int, entity: Entity, key: int) -> Record | None:
    """As it stands; None: deleted, or never was."""
    rows = await w.rows("select cells from records where stream_id = $1 and entity = $2 and key = $3", stream, entity, key)
    return unpack_record(rows[0]["cells"], entity) if rows else None


async def fields(w: World, stream: int, entity: Entity, key: int) -> Fields | None:
    found = await record(w, stream, entity, key)
    return None if found is None else found.fields


async def kept(w: World, stream: int, key: int) -> list[tuple[int, Fields]]:
    """(why, fields) of each kept value, oldest first."""
    rows = await w.rows("select kept, fields from entity_versions where stream_id = $1 and key = $2 order by place", stream, key)
    return [(row["kept"], read_fields(row["fields"])) for row in rows]


async def told(w: World, stream: int) -> list[Any]:
    """(author, items) of each event of a stream of records."""
    found = []
    for row in await w.rows("select author, body from log where stream_id = $1 order by seq", stream):
        body = decode_body(row["body"])
        assert isinstance(body, Changed)
        found.append((row["author"], body.records))
    return found


async def another_device(w: World, person: Person) -> Person:
    """The same person, on another device."""
    [device] = await w.column("insert into devices (user_id, generation) values ($1, 1) returning id", person.user)
    return Person(person.user, person.inbox, device, person.name)


def fold(items: Any, upon: dict[tuple[int, int], tuple[int, Fields]]) -> None:
    """What a client does with items of a snapshot or an event."""
    for item in items:
        version, held = upon.get((item.entity, item.key), (0, {}))
        if item.version < version:
            continue
        if item.gone:
            upon[item.entity, item.key] = (item.version, {})
        else:
            upon[item.entity, item.key] = (item.version, {**held, **read_fields(item.fields)})


def encoded(operation: AnyOperation) -> bytes:
    return msgspec.msgpack.encode(operation)
