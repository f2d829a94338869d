"""A random story about records: changes in batches, conflicts and what people do about them, people who come and go.

Everything happens to a few keys of a few streams, so that changes meet. What devices say about time lies before the clocks of both places.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from actors.storage import (
    Borrow,
    Entry,
    InheritDevice,
    ListConflicts,
    ListUnapplied,
    Query,
    ReadAfter,
    ReadHolding,
    ReadRecords,
    ReadVersions,
    Refusal,
)
from protocol.codec import decode_operation
from protocol.codes import Code
from protocol.entities import TABLE, Entity, FieldKind, Fields, Several, Value, Whole, Words, write_fields
from protocol.operations import (
    AnyOperation,
    Change,
    Claim,
    Discard,
    Held,
    Hold,
    Join,
    Leave,
    Release,
    Remove,
    Reopen,
    Resolve,
    SetBack,
    SetRole,
)
from protocol.values import Choice, Role, StreamKind
from tests.conformance.story import NOBODY, NOW, Device, Story

KEYS = 3
OWN_RULES = tuple(entity for entity in Entity if entity < Entity.SUBJECT)
SPAN_S = 6
"""What devices say about time lies this close together, so that it is often the same."""
WRONG = (
    Change(NOBODY, int(Entity.PROFILE), 1, NOW, write_fields({1: "x"})),
    Refusal(Code.INVALID, "change 1 of the chunk", b"\x93\x01\x02\x80"),
)


class RecordStory(Story):
    """See the module."""

    async def unfold(self) -> None:
        chance = self.chance
        for device in list(self.devices):
            if chance.random() < 0.6:
                person = await self.real.second_device(device.person)
                assert await self.model.second_device(device.person, person) == person
                self.devices.append(Device(person, sent=[]))
        for device in self.devices:
            await self.attach(device)
        steps = (self.sync, self.see_to_it, self.release, self.move, self.retry, self.deliver, self.look, self.inherit, self.forget)
        weights = (4, 4, 1.5, 1.5, 0.5, 0.4, 0.7, 0.2, 0.15)
        for _ in range(chance.randint(10, 40)):
            await chance.choices(steps, weights)[0]()
        await self.deliver()
        await self.look_at_everything()
        self.compare_what_was_heard()

    # Steps

    async def sync(self) -> None:
        """One batch: changes of several devices."""
        chance = self.chance
        entries = []
        for _ in range(chance.choice((1, 2, 4, 10))):
            device = chance.choice(self.devices[:1] + self.devices)
            operation = chance.choice(WRONG) if chance.random() < 0.05 else self.change(device)
            entries.append(self.next(device, operation))
        await self.submit(entries)

    async def see_to_it(self) -> None:
        """Somebody does something about a conflict, about what was kept, about a learner; mostly about what there is."""
        chance = self.chance
        tables = self.model.database.tables
        conflict = chance.choice([*tables.conflicts, *tables.conflicts, NOBODY])
        item = chance.choice([*tables.unapplied, *tables.unapplied, NOBODY])
        device = chance.choice(self.devices)
        row = tables.conflicts.get(conflict)
        if row is not None and chance.random() < 0.6:
            device = chance.choice([one for one in self.devices if one.person.user == row.user])
        version = tables.record(row.place).version if row is not None else 0
        version = max(0, version - chance.choice((0, 0, 0, 1)))
        merged = write_fields(self.fields(Entity(row.place[1]))) if row is not None else write_fields({1: "x"})
        choice = chance.choice(tuple(Choice))
        at = self.at()
        place, learner = chance.choice(self.spaces), chance.choice(self.devices).person.user
        streams = tuple(Held(stream, chance.randint(0, 3)) for stream in chance.sample(sorted(tables.streams), 4))
        operations: tuple[tuple[AnyOperation, float], ...] = (
            (Claim(conflict, chance.random() < 0.7), 1),
            (Resolve(conflict, choice, version, at, merged if choice is Choice.MERGED else write_fields({})), 3),
            (Reopen(conflict), 2),
            (Release(item), 1.5),
            (Discard(item), 0.3),
            (SetBack(chance.choice((place.space, NOBODY)), learner, chance.randint(1, KEYS), chance.choice((0, 5, 50))), 1),
            (Hold(streams, chance.choice((0, 1000))), 0.3),
        )
        operation = chance.choices([one for one, _ in operations], [weight for _, weight in operations])[0]
        await self.submit([self.next(device, operation)])

    async def release(self) -> None:
        """Something is released that was refused for who its writer was then, and is none of those things now."""
        tables = self.model.database.tables
        for row in tables.unapplied.values():
            change = decode_operation(row.operation) if row.code in (Code.NOT_FOUND, Code.FORBIDDEN) and not row.closed else None
            if isinstance(change, Change) and change.stream in tables.streams:
                role = tables.role(tables.streams[change.stream].space.id, row.user)
                if role & TABLE[change.entity].writers:
                    device = next(one for one in self.devices if one.person.user == row.user)
                    await self.submit([self.next(device, Release(row.id))])
                    return

    async def move(self) -> None:
        """Somebody comes, goes, or becomes something else."""
        chance = self.chance
        place, someone, other = chance.choice(self.spaces), chance.choice(self.devices), chance.choice(self.devices).person.user
        operation: AnyOperation = chance.choice(
            (
                Join(place.space),
                Join(place.space),
                Leave(place.space),
                Remove(place.space, other),
                SetRole(place.space, other, chance.choice(tuple(Role))),
                SetRole(place.space, other, chance.choice(tuple(Role))),
            )
        )
        if isinstance(operation, SetRole | Remove):
            someone = self.devices[0]
        await self.submit([self.next(someone, operation)])

    async def inherit(self) -> None:
        """A device is fenced by another one, which asks what became of what was sent."""
        chance = self.chance
        device, other = chance.choice(self.devices), chance.choice(self.devices)
        sent = [(entry.number, entry.digest) for entry in other.sent[-5:]]
        sent = [(number, digest + chance.choice((0, 0, 1))) for number, digest in sent] + [(other.number + 1, 5)]
        asking = (device.person.user, device.person.device, other.person.device, tuple(sent))
        await self.ask([InheritDevice(*asking)])
        await self.attach(other)

    async def forget(self) -> None:
        self.told.append("forget")
        streams = self.record_streams()
        await self.real.pass_horizon(streams)
        await self.model.pass_horizon(streams)

    # Choices

    def record_streams(self) -> list[int]:
        streams = self.model.database.tables.streams
        return [id for id, stream in streams.items() if any(one.stream is stream.kind for one in TABLE.values())]

    def change(self, device: Device) -> Change:
        """Of an entity somewhere, most often of one's own or of a community that one is in, and right."""
        chance = self.chance
        tables = self.model.database.tables
        # Those with a rule of their own most often: on few records they meet. Nobody has a mentorship here.
        entities = (*OWN_RULES, *OWN_RULES, Entity.CONTENT, *(one for one in Entity if TABLE[one].stream is not StreamKind.MENTORSHIP))
        entity = chance.choice(entities)
        declaration = TABLE[entity]
        found = [stream for stream in tables.streams.values() if stream.kind is declaration.stream]
        user = device.person.user
        mine = [one for one in found if user in one.space.members or one.space.of == user or tables.enrolment(one.space.id, user)]
        stream = chance.choice(mine or found) if chance.random() < 0.95 else chance.choice(list(tables.streams.values()))
        key = 1 if declaration.single and chance.random() < 0.95 else chance.randint(1, KEYS)
        version = tables.record((stream.id, entity, key)).version
        base = chance.choice((version, version, 0, max(0, version - 1), version + 1))
        if chance.random() < (0.25 if declaration.deletable else 0.02):
            return Change(stream.id, entity, key, self.at(), base=base, gone=True)
        fields = self.fields(entity)
        if chance.random() < 0.03:
            fields = {**fields, chance.choice((0, 1, 2, 99)): chance.choice((True, "x" * 5000, -1))}
        if entity is Entity.PROGRESS and chance.random() < 0.5:
            generation = tables.record((stream.id, entity, key)).fields.get(2, 0)
            fields = {**fields, 2: generation}
        return Change(stream.id, entity, key, self.at(), write_fields(fields), base)

    def fields(self, entity: Entity) -> Fields:
        """Some fields, of few values, now and then as an older schema had them."""
        chance = self.chance
        word = chance.choice(("red", "green", "blue"))
        number = chance.randint(0, 4)
        whole: Fields
        match entity:
            case Entity.PROGRESS:
                whole = {1: number * 25, 3: number}
            case Entity.ANSWER:
                whole = {chance.choice((1, 2)): 0, 3: word, 4: number}
                whole = {n: (number if n == 1 else (number,) if n == 2 else value) for n, value in whole.items()}
            case Entity.PROFILE:
                whole = {1: word, 4: word, 5: (word,), **chance.choice(({3: (word,)}, {2: f"{word}, x"}))}
            case Entity.PREFERENCES:
                whole = {1: number > 2, 2: word, 7: number, **chance.choice(({4: number}, {5: number}, {3: f"2{number}-07"}))}
            case Entity.BOOKMARK:
                whole = {1: number, 3: word, 4: number}
            case Entity.DRAFT:
                whole = {1: number, 3: word}
            case Entity.ACTION:
                whole = {1: word, 2: word, 4: number > 2}
            case Entity.CONTENT:
                whole = {1: word, 2: word, 4: number}
            case _:
                whole = {field.number: _value(field.kind, number, word) for field in TABLE[entity].fields}
        return dict(chance.sample(sorted(whole.items()), chance.randint(1, len(whole))))

    def at(self) -> int:
        return NOW + self.chance.randint(0, SPAN_S)

    def entry(self, device: Device, number: int, operation: AnyOperation | Refusal) -> Entry:
        # One skew for each device, as it is measured once: what it says is up to two seconds late.
        return msgspec.structs.replace(super().entry(device, number, operation), skew_s=device.person.device % 3)

    def question(self) -> Query:
        chance = self.chance
        tables = self.model.database.tables
        device = chance.choice(self.devices)
        user = device.person.user
        stream, entity, key = chance.choice([*tables.records, (NOBODY, 1, 1), (device.person.inbox, 1, 1)])
        kept = [one.place for one in tables.versions.get((stream, entity, key), ())]
        page = chance.choice((1, 2, 100))
        return chance.choice(
            (
                ReadRecords(stream, user, chance.choice((0, entity)), chance.randint(0, KEYS), chance.choice((1, 30, 60, 10_000))),
                ReadVersions(stream, user, entity, key, chance.choice([0, *kept]), page),
                ListConflicts(user, chance.choice([0, *tables.conflicts]), chance.random() < 0.5, 0, page),
                ListConflicts(user, 0, True, chance.choice([*tables.conflicts, NOBODY]), page),
                ListUnapplied(user, chance.choice([0, *(place.space for place in self.spaces), device.person.home, NOBODY]), 0, page),
                ListUnapplied(user, 0, chance.choice([0, *tables.unapplied]), page),
                ReadHolding(user, chance.choice((device.person.device, chance.choice(self.devices).person.device, NOBODY))),
                Borrow(device.person.session, user, chance.choice((device.person.device, NOBODY))),
                ReadAfter(stream, user, chance.randint(0, 10), 3, 10_000),
            )
        )

    def more_to_look_at(self, users: Sequence[int]) -> list[Query]:
        tables = self.model.database.tables
        queries: list[Query] = []
        for stream in self.record_streams():
            queries += [ReadRecords(stream, user, 0, 0, 1 << 20) for user in users]
        for stream, entity, key in sorted(tables.versions.keys() | tables.records.keys()):
            queries += [ReadVersions(stream, user, entity, key, 0, 1000) for user in users]
        for user in users:
            queries += [ListConflicts(user, 0, open_only, 0, 1000) for open_only in (False, True)]
            queries += [ListUnapplied(user, space, 0, 1000) for space in (0, *(place.space for place in self.spaces))]
        queries += [ReadHolding(device.person.user, device.person.device) for device in self.devices]
        return queries


def _value(kind: FieldKind, number: int, word: str) -> Value:
    """Of a field of any kind, one of few values."""
    match kind:
        case Whole(minimum, _):
            return max(minimum, number)
        case Words():
            return word
        case Several(of):
            return (word,) if isinstance(of, Words) else (1,)
        case _:
            return number > 2
