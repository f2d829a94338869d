"""Records in tests of persistence: changes, streams by what they are for, and what stands in the tables."""

from __future__ import annotations

import time
from collections.abc import Sequence

from actors.storage import Decided, Entry
from persistence.journal import Journal
from protocol.codes import Code
from protocol.entities import Entity, Fields, read_fields, write_fields
from protocol.merge import Outcome, Record, read_outcome, unpack_record
from protocol.operations import Change
from protocol.values import KeptAs, StreamKind
from tests.persistence.world import Mailbox, Person, World, fetch

NOW = int(time.time())


def change(stream: int, entity: int, key: int, fields: Fields, *, at: int = NOW, base: int = 0) -> Change:
    return Change(stream, entity, key, at, write_fields(fields), base)


def gone(stream: int, entity: int, key: int, *, at: int = NOW, base: int = 0) -> Change:
    return Change(stream, entity, key, at, base=base, gone=True)


async def own(w: World, person: Person) -> int:
    [stream] = await w.column(
        "select t.id from streams t join accounts a on a.personal_space = t.space_id where a.id = $1 and t.kind = $2",
        person.user,
        StreamKind.OWN,
    )
    return stream


async def enrolled(w: World, space: int, person: Person, kind: StreamKind) -> int:
    [stream] = await w.column(
        "select t.id from streams t join spaces s on s.id = t.space_id where s.pair_key = $1 and t.kind = $2",
        f"enrolment:{space}:{person.user}",
        kind,
    )
    return stream


async def of_space(w: World, space: int, kind: StreamKind) -> int:
    [stream] = await w.column("select id from streams where space_id = $1 and kind = $2", space, kind)
    return stream


async def another_device(w: World, person: Person) -> Person:
    [row] = await fetch(w.bridge, "insert into devices (user_id, generation) values ($1, 1) returning id", person.user)
    return Person(person.user, person.inbox, row["id"], person.name)


async def record(w: World, stream: int, entity: Entity, key: int, table: str = "records") -> Record | None:
    rows = await w.rows(f"select cells from {table} where stream_id = $1 and entity = $2 and key = $3", stream, entity, key)
    return unpack_record(rows[0]["cells"], entity) if rows else None


async def fields_of(w: World, stream: int, entity: Entity, key: int) -> Fields | None:
    found = await record(w, stream, entity, key)
    return None if found is None else found.fields


async def kept(w: World, stream: int, entity: Entity, key: int) -> list[tuple[KeptAs, int, int, Fields]]:
    """Kept values in order: why, the record's version, the author, the fields."""
    rows = await w.rows(
        "select kept, version, author, fields from entity_versions where stream_id = $1 and entity = $2 and key = $3 order by place",
        stream,
        entity,
        key,
    )
    return [(KeptAs(row["kept"]), row["version"], row["author"], read_fields(row["fields"])) for row in rows]


def outcome(decided: Decided) -> Outcome:
    assert decided.code is Code.OK, decided
    return read_outcome(decided.value)[0]


async def ask_all(journal: Journal, entries: Sequence[Entry]) -> list[Decided]:
    """Submits all at once; the answers in the order of the entries. One entry per device and number."""
    replies = [Mailbox[Decided]() for _ in entries]
    for entry, reply in zip(entries, replies, strict=True):
        assert journal.submit(entry, reply)
    return [(await reply.wait(1))[0] for reply in replies]
