"""A batch of changes through the journal leaves what its entries leave one at a time, decided by the pure rules alone."""

from __future__ import annotations

import itertools
import random

import pytest

from actors.merging import Decision, Draft, Kept, Merging, Place, Seat, Unapplied
from actors.storage import Entry
from persistence.bridge import Bridge
from persistence.journal import JournalOptions
from protocol.codes import Code
from protocol.entities import TABLE, Entity, Fields, read_fields
from protocol.merge import Outcome, Record, read_outcome, unpack_record
from protocol.operations import Change
from protocol.values import ConflictState, KeptAs, Role, StreamKind
from tests.persistence.folding import folds_to_its_records
from tests.persistence.records import NOW, another_device, ask_all, change, enrolled, gone, of_space, own
from tests.persistence.test_journal_concurrent import check_streams
from tests.persistence.world import Person, World, world

OFTEN = tuple(range(Entity.PROGRESS, Entity.SUBJECT))
"""Entities that between them have every rule: on few records they meet."""


class OneAtATime:
    """The pure decisions, each in a batch of its own, and what they leave."""

    def __init__(self, seats: dict[tuple[int, int], Seat]) -> None:
        self.seats = seats
        self.records: dict[Place, Record] = {}
        self.drafts: list[Draft] = []
        self.kept: list[Kept] = []
        self.unapplied: list[Unapplied] = []
        self._ids = itertools.count(1)

    def decide(self, entry: Entry) -> Decision:
        waiting = {(draft.place, draft.user): draft for draft in self.drafts if draft.state is ConflictState.PENDING}
        merging = Merging(NOW, self.seats, self.records, waiting)
        decision = merging.decide(entry)
        for draft in merging.new_drafts:
            draft.id = next(self._ids)
            self.drafts.append(draft)
        merging.fill_common([one for one in self.kept if one.kept in (KeptAs.EDITED, KeptAs.OVERWRITTEN)])
        self.records.update(merging.written)
        self.kept += merging.kept
        self.unapplied += merging.unapplied
        return decision


@pytest.mark.parametrize("seed", range(6))
async def test_batches_equal_the_pure_decisions_one_at_a_time(bridge: Bridge, seed: int) -> None:
    rng = random.Random(seed)
    async with world(bridge, JournalOptions(merge_items_max=rng.choice([3, 40, 500]))) as w:
        ann, bob, eve = await w.person("ann"), await w.person("bob"), await w.person("eve")
        space, _, _ = await w.community(ann, bob, eve)
        await w.rows("update members set role = 4 where space_id = $1 and user_id = $2", space, bob.user)
        devices = [ann, await another_device(w, ann), bob, await another_device(w, bob), eve]
        people = {ann: Role.OWNER, bob: Role.MENTOR, eve: Role.LEARNER}
        seats: dict[tuple[int, int], Seat] = {}
        streams: dict[tuple[int, StreamKind], int] = {}
        for kind, readers in ((StreamKind.BOARD, 15), (StreamKind.LIBRARY, 15), (StreamKind.STUDIO, 7)):
            stream = await of_space(w, space, kind)
            for person, role in people.items():
                streams[person.user, kind] = stream
                seats[stream, person.user] = Seat(kind, readers, role, space)
        for person in people:
            for kind in (StreamKind.OWN, StreamKind.PROGRESS, StreamKind.ANSWERS):
                stream = await own(w, person) if kind is StreamKind.OWN else await enrolled(w, space, person, kind)
                streams[person.user, kind] = stream
                seats[stream, person.user] = Seat(kind, 1, Role.OWNER, 0 if kind is StreamKind.OWN else space)
        plan = [device.entry(some_change(rng, streams, device)) for device in rng.choices(devices, k=250)]
        decided = await ask_all(w.journal, plan)
        model = OneAtATime(seats)
        expected = [model.decide(entry) for entry in plan]
        ids = await w.column("select id from sync_conflicts order by id")
        assert len(ids) == len(model.drafts) and len(model.drafts) > 3
        named = dict(zip(range(1, len(ids) + 1), ids, strict=True))
        for entry, real, pure in zip(plan, decided, expected, strict=True):
            assert (real.code, real.detail) == (pure.code, pure.detail), entry
            if pure.code is Code.OK:
                what, n = read_outcome(pure.value)
                assert read_outcome(real.value) == (what, named[n] if what is Outcome.REVIEW else n), entry
        columns = "select stream_id, entity, key, cells from"
        stored = await w.rows(f"{columns} records union all {columns} tombstones")
        assert {Place(r["stream_id"], r["entity"], r["key"]): unpack_record(r["cells"], r["entity"]) for r in stored} == model.records
        buried = {Place(*row) for row in await w.rows("select stream_id, entity, key from tombstones")}
        assert buried == {place for place, found in model.records.items() if found.is_gone}
        await same_kept(w, model, {device.device: device.user for device in devices})
        rows = await w.rows("select * from sync_conflicts order by id")
        assert [
            (r["state"], r["user_id"], r["base"], r["version"], read_fields(r["mine"]), read_fields(r["theirs"]), read_fields(r["common"]))
            for r in rows
        ] == [(d.state, d.user, d.base, d.version, d.mine, d.theirs, d.common) for d in model.drafts]
        queue = await w.rows("select user_id, number, code, operation from sync_queue order by id")
        assert [tuple(row) for row in queue] == [(u.entry.user, u.entry.number, u.code, u.operation) for u in model.unapplied]
        for stream in set(streams.values()):
            await folds_to_its_records(w, stream)
        await check_streams(w)


async def same_kept(w: World, model: OneAtATime, users: dict[int, int]) -> None:
    rows = await w.rows("select * from entity_versions order by place")
    columns = ("stream_id", "entity", "key", "kept", "version", "author", "at", "device_id", "number")
    assert [(*(row[column] for column in columns), read_fields(row["fields"])) for row in rows] == [
        (*one.place, one.kept, one.version, users[stamp.device], stamp.at, stamp.device, stamp.number, one.fields)
        for one in model.kept
        for stamp in (one.stamp,)
    ]


def some_change(rng: random.Random, streams: dict[tuple[int, StreamKind], int], device: Person) -> Change:
    """Of any entity, on few records, with any base, at any time in the past; sometimes wrong."""
    declaration = TABLE[rng.choice([*OFTEN, *OFTEN, *(entity for entity in TABLE if TABLE[entity].stream is not StreamKind.MENTORSHIP)])]
    stream = streams[device.user, declaration.stream]
    key = 1 if declaration.single else rng.randint(1, 2)
    base, at = rng.choice([0, 0, rng.randint(1, 8)]), NOW - rng.randint(10, 10_000)
    if declaration.deletable and rng.random() < 0.2:
        return gone(stream, declaration.entity, key, base=base, at=at)
    if rng.random() < 0.03:
        return change(stream, declaration.entity, key, {200: 1}, base=base, at=at)
    fields: Fields = {}
    for field in rng.sample(declaration.fields, rng.randint(1, len(declaration.fields))):
        if not field.until and not (declaration.entity is Entity.PROGRESS and field.number == 2):
            match type(field.kind).__name__:
                case "Whole":
                    fields[field.number] = rng.randint(0, 5)
                case "Words":
                    fields[field.number] = f"{rng.randint(0, 5)}"
                case "YesNo":
                    fields[field.number] = rng.random() < 0.5
                case _:
                    fields[field.number] = ("en",) if declaration.entity is Entity.PROFILE else (rng.randint(0, 3),)
    return change(stream, declaration.entity, key, fields, base=base, at=at)
