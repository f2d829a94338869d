"""Changes through the journal, on a real Postgres: every outcome of every rule, and where what lost is kept."""

from __future__ import annotations

import time

import pytest

from actors.storage import Decided, Refusal
from persistence.bridge import Bridge
from protocol import codec
from protocol.codes import Code
from protocol.entities import Entity, Fields, read_fields, write_fields
from protocol.events import Changed, RecordItem
from protocol.merge import Outcome, read_outcome, unpack_record
from protocol.operations import Change, Rename, Say
from protocol.values import KeptAs, StreamKind
from tests.persistence.world import Mailbox, Person, World, world

NOW = int(time.time())


def change(stream: int, entity: Entity, key: int, fields: Fields, *, at: int = NOW, base: int = 0) -> Change:
    return Change(stream, entity, key, at, write_fields(fields), base)


def gone(stream: int, entity: Entity, key: int, *, at: int = NOW, base: int = 0) -> Change:
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


async def test_a_first_change_is_applied_and_told(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        stream = await own(w, ann)
        decided = await w.ask(ann, change(stream, Entity.PROFILE, 1, {1: "I teach"}))
        assert decided == Decided(1, Code.OK, 1 * 8 + Outcome.APPLIED, generation=1)
        [row] = await w.rows("select version, cells from records where stream_id = $1 and entity = 3 and key = 1", stream)
        assert row["version"] == 1 and unpack_record(row["cells"]).fields == {1: "I teach"}
        [fact] = w.herald.facts
        assert fact.body == codec.encode(Changed((RecordItem(Entity.PROFILE, 1, 1, write_fields({1: "I teach"})),)))
        assert (fact.stream, fact.seq, fact.author) == (stream, 1, ann.user)
        assert await w.value("select body from log where stream_id = $1", stream) == fact.body
