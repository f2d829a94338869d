"""A random story, told to Postgres and to the model of it, and compared at each step.

    seed ─▶ a scene (people, roles, channels) in Postgres, and in the model with the same identifiers
         ─▶ steps: entries · takeovers · revocations · deliveries ─▶ equal outcomes
         ─▶ at the end every query about everything ─▶ equal answers; everything the heralds heard ─▶ equal facts

What Postgres numbers by itself (conflicts, what is kept, enrolments) is read from it after each step, and the model is let know before it
takes the same step: so that its answers can be compared as they are.
"""

from __future__ import annotations

import os
import random
from collections import deque
from collections.abc import Collection, Sequence

import msgspec

from actors.storage import (
    CONTROL_STREAM,
    Attach,
    Attached,
    CheckAudience,
    ConflictList,
    Decided,
    Denied,
    Entry,
    Events,
    Fact,
    FindPerson,
    InheritedOutcomes,
    ListMembers,
    ListSpaces,
    Query,
    ReadAfter,
    ReadBefore,
    ReadGenerations,
    ReadHeads,
    Refusal,
    Result,
    UnappliedList,
    VersionList,
)
from protocol.codec import decode_body
from protocol.codes import Code
from protocol.operations import AnyOperation, Block, Delete, Edit, Join, Leave, MarkRead, Post, React, Remove, Say, Unblock
from protocol.values import Role, Roles
from tests.conformance.storage_places import Community, ModelPlace, Person, RealPlace

SEEDS = int(os.environ.get("CONFORMANCE_SEEDS", "150"))
SHARES = 3
"""The seeds are spread over as many tests, so that workers can share them."""
STEPS_MAX = 25
NOBODY = 2**50
NOW = 1_760_000_000
"""Unix seconds before the clocks of both places: what devices write is older, what servers write is later."""


class Device(msgspec.Struct):
    """What a story knows of somebody's device: what it may resend, and which generations it has had."""

    person: Person
    generation: int = 0
    number: int = 0
    sent: list[Entry] = []


class Story:
    """One seed's random choices. It looks at the model where it must know what there is."""

    def __init__(self, seed: int, real: RealPlace, model: ModelPlace) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.real = real
        self.model = model
        self.devices: list[Device] = []
        self.spaces: list[Community] = []
        self.streams: list[int] = []
        self.told: list[str] = []
        self.met: set[tuple[type, object]] = set()
        self.texts = 0
        self.heard_before = len(real.facts)
        self.named: dict[str, int] = {}
        self.enrolled: set[tuple[int, int]] = set()

    async def set_the_scene(self) -> None:
        """An owner, a moderator, a mentor, a learner and a stranger; an open community, perhaps a closed one; channels of all sorts."""
        chance = self.chance
        for n in range(5):
            name = f"Seed{self.seed}N{n}"
            expires = 1 if n and chance.random() < 0.05 else 2**37
            person = await self.real.person(name, expires=expires)
            assert await self.model.person(name, person, expires=expires) == person
            self.devices.append(Device(person, sent=[]))
        users = [device.person for device in self.devices]
        for open_to_all in (True, False)[: chance.choice((1, 2))]:
            place = await self.real.community(users[0], open_to_all=open_to_all)
            self.spaces.append(place)
            await self.agree_on_names()
            assert await self.model.community(users[0], place, open_to_all=open_to_all) == place
            self.streams += [place.own, place.general]
            for person, role in zip(users[1:4], (chance.choice((Role.OWNER, Role.MODERATOR)), Role.MENTOR, Role.LEARNER), strict=True):
                if chance.random() < 0.8:
                    await self.real.appoint(place.space, person.user, role)
                    await self.agree_on_names()
                    await self.model.appoint(place.space, person.user, role)
            for name, read, write in (("staff", Roles.STAFF, Roles.STAFF), ("news", Roles.ALL, Roles.STAFF)):
                stream = await self.real.channel(place.space, name, int(read), int(write))
                assert await self.model.channel(place.space, name, int(read), int(write), stream) == stream
                self.streams.append(stream)
        self.streams += [users[0].inbox, users[3].inbox]
        self.control_before = await self.control_head() - len(self.model.database.rows(CONTROL_STREAM))

    async def control_head(self) -> int:
        [found] = await self.real.answer(ReadAfter(CONTROL_STREAM, 0, 2**40, 1, 1))
        assert isinstance(found, Events)
        return found.head

    async def unfold(self) -> None:
        """Everybody comes online, and then this and that happens."""
        for device in self.devices:
            if self.chance.random() < 0.9:
                await self.attach(device)
        steps = (self.talk, self.rule, self.rewrite, self.retry, self.come, self.deliver, self.look, self.hoard, self.end)
        weights = (3, 2, 1.5, 1, 0.5, 0.7, 0.5, 0.05, 0.1)
        for _ in range(self.chance.randint(5, STEPS_MAX)):
            await self.chance.choices(steps, weights)[0]()
        await self.deliver()
        await self.look_at_everything()
        self.compare_what_was_heard()

    # Steps

    async def talk(self) -> None:
        """Several things at once, from several devices: one batch. Nobody names a message of the same batch, which nobody has seen."""
        mentioned = False
        entries = []
        for _ in range(self.chance.choice((1, 1, 2, 3, 8))):
            operation = self.something_said(may_mention=not mentioned)
            mentioned = mentioned or (isinstance(operation, Post) and bool(operation.mentions))
            entries.append(self.next(self.chance.choice(self.devices), operation))
        await self.submit(entries)

    async def rule(self) -> None:
        """One thing of those that are decided in a transaction of their own."""
        chance = self.chance
        space = chance.choice([place.space for place in self.spaces] + [NOBODY])
        stream = self.stream()
        target = self.message(stream)
        someone = self.author(stream, target) if chance.random() < 0.7 else chance.choice(self.devices)
        operation: AnyOperation = chance.choice(
            (
                Edit(stream, target, self.text()),
                Edit(stream, target, self.text()),
                Delete(stream, target),
                Delete(stream, target),
                Join(chance.choice((space, someone.person.home))),
                Join(space),
                Leave(chance.choice((space, someone.person.home))),
                Remove(space, chance.choice([*(d.person.user for d in self.devices), NOBODY])),
                Block(chance.choice([*(d.person.user for d in self.devices), NOBODY])),
                Unblock(chance.choice([*(d.person.user for d in self.devices), NOBODY])),
            )
        )
        await self.submit([self.next(someone, operation)])

    async def rewrite(self) -> None:
        """One message of the channel where everybody talks is changed again and again, by its author and by others."""
        stream = self.spaces[0].general
        target = self.message(stream)
        for _ in range(self.chance.randint(1, 4)):
            someone = self.author(stream, target) if self.chance.random() < 0.7 else self.chance.choice(self.devices)
            edit, react = Edit(stream, target, self.text()), React(stream, target, "+1")
            await self.submit([self.next(someone, self.chance.choice((edit, edit, Delete(stream, target), react)))])

    async def retry(self) -> None:
        """Numbers that were sent before, as they were or with another payload; numbers that skip some; generations that are over."""
        chance = self.chance
        device = chance.choice(self.devices)
        if not device.sent or chance.random() < 0.3:
            ahead = self.entry(device, device.number + chance.randint(2, 5), Say(chance.choice(self.streams), self.text()))
            stale = msgspec.structs.replace(ahead, number=device.number + 1, generation=max(0, device.generation - 1))
            strange = msgspec.structs.replace(ahead, user=chance.choice(self.devices).person.user)
            unknown = msgspec.structs.replace(ahead, device=NOBODY)
            await self.submit([chance.choice((ahead, stale, strange, unknown))])
            return
        known = chance.choice(device.sent[-chance.choice((3, 400)) :])
        known = msgspec.structs.replace(known, generation=device.generation)
        if chance.random() < 0.3:
            known = msgspec.structs.replace(known, digest=known.digest + 1)
        await self.submit([known])

    async def come(self) -> None:
        """A new socket, or one that claims what is not its own."""
        chance = self.chance
        device = chance.choice(self.devices)
        if chance.random() < 0.6:
            await self.attach(device)
            return
        own, other = device.person, chance.choice(self.devices).person
        await self.ask(
            [
                chance.choice(
                    (
                        Attach(own.session, other.user, own.device, 9),
                        Attach(NOBODY, own.user, own.device, 9),
                        Attach(own.session, own.user, NOBODY, 9),
                    )
                )
            ]
        )

    async def attach(self, device: Device) -> None:
        own = device.person
        self.told.append(f"attach {own.name}")
        [result] = await self.ask([Attach(own.session, own.user, own.device, self.chance.randint(1, 9))])
        if isinstance(result, Attached):
            device.generation = result.generation

    async def deliver(self) -> None:
        self.told.append("deliver")
        await self.real.deliver()
        await self.model.deliver()

    async def look(self) -> None:
        await self.ask([self.question() for _ in range(20)])

    async def hoard(self) -> None:
        """More than is kept: outcomes that are forgotten."""
        device = self.chance.choice(self.devices)
        await self.submit([self.next(device, Refusal(Code.INVALID, f"no {n}")) for n in range(300)])
        await self.submit([msgspec.structs.replace(entry, generation=device.generation) for entry in device.sent[-300:]])

    async def end(self) -> None:
        person = self.chance.choice(self.devices).person
        self.told.append(f"revoke {person}")
        await self.real.revoke(person)
        await self.model.revoke(person)

    # Choices

    def something_said(self, *, may_mention: bool) -> AnyOperation | Refusal:
        chance = self.chance
        stream = self.stream()
        target = self.message(stream)
        users = [*(device.person.user for device in self.devices), NOBODY]
        return chance.choice(
            (
                Say(stream, self.text()),
                Say(stream, self.text()),
                Post(
                    stream,
                    self.text(),
                    chance.choice((0, target)),
                    tuple(chance.choices(users, k=chance.randint(0, 4))) if may_mention else (),
                ),
                React(stream, target, "+1", chance.random() < 0.7),
                MarkRead(stream, target),
                Refusal(Code.INVALID, "text: too long"),
            )
        )

    def stream(self) -> int:
        """Most often the one channel where everybody talks, so that things meet; or any other, or one that is nobody's business."""
        if self.chance.random() < 0.6:
            return self.spaces[0].general
        return self.chance.choice([*self.streams, CONTROL_STREAM, NOBODY])

    def author(self, stream: int, target: int) -> Device:
        """The device of whoever wrote a message, so that some edits are allowed; anybody's if there is none."""
        row = self.model.database.streams.get(stream)
        author = row.log[target - 1].author if row is not None and target <= len(row.log) else 0
        return next((device for device in self.devices if device.person.user == author), self.devices[0])

    def message(self, stream: int) -> int:
        """The number of something that is there, often of something recent; or one that will not be there for long."""
        row = self.model.database.streams.get(stream)
        head = len(row.log) if row is not None else 0
        far = head + 1000
        return self.chance.choice((self.chance.randint(1, head), self.chance.randint(max(1, head - 3), head), far)) if head else far

    def text(self) -> str:
        self.texts += 1
        return f"text {self.texts} " + "x" * self.chance.choice((0, 0, 300))

    def next(self, device: Device, operation: AnyOperation | Refusal) -> Entry:
        device.number += 1
        return self.entry(device, device.number, operation)

    def entry(self, device: Device, number: int, operation: AnyOperation | Refusal) -> Entry:
        return device.person.entry(device.generation, number, operation)

    def question(self) -> Query:
        chance = self.chance
        stream, user = chance.choice([*self.streams, NOBODY]), chance.choice([*(d.person.user for d in self.devices), 0, NOBODY])
        place, device = chance.choice(self.spaces), chance.choice(self.devices)
        head = len(self.model.database.streams[stream].log) if stream in self.model.database.streams else 0
        position, events_max = chance.randint(0, head + 3), chance.choice((1, 2, 5, 100))
        rows = self.model.database.rows(stream)[position : position + 3] if head else []
        exact = sum(len(row.body) for row in rows)
        bytes_max = chance.choice((0, 1, exact, exact, 350, 1000, 100_000))
        users = tuple({chance.choice([*(d.person.user for d in self.devices), NOBODY]) for _ in range(4)})
        return chance.choice(
            (
                ReadAfter(stream, user, position, events_max, bytes_max),
                ReadBefore(stream, user, position, events_max, bytes_max),
                CheckAudience(stream, users),
                ReadHeads(tuple(chance.choices([*self.streams, NOBODY], k=4))),
                ReadGenerations(tuple(chance.choices([*(d.person.device for d in self.devices), NOBODY], k=3))),
                ListSpaces(chance.choice([*(d.person.user for d in self.devices), NOBODY])),
                ListMembers(
                    chance.choice((place.space, NOBODY)), user, chance.choice((0, 0, device.person.user)), chance.choice((1, 3, 100))
                ),
                FindPerson(chance.choice((device.person.name, device.person.name.upper(), "nobody at all")), user),
            )
        )

    # Both, compared

    async def submit(self, entries: Sequence[Entry]) -> None:
        self.told += map(shown, entries)
        theirs = await self.real.decide(*entries)
        await self.agree_on_names()
        ours = await self.model.decide(*entries)
        for entry, real, model in zip(entries, theirs, ours, strict=True):
            assert plain(real, entry) == plain(model, entry), self.tell(entry, real, model)
            self.met.add((type(entry.operation), "replayed" if real.replayed else real.code))
            if real.code in (Code.TAKEN_OVER, Code.GAP):
                continue
            device = next(d for d in self.devices if d.person.device == entry.device)
            if not real.replayed and real.code not in (Code.TOO_OLD, Code.NUMBER_REUSED):
                device.sent.append(entry)
        for device in self.devices:
            device.number = self.model.database.devices[device.person.device].last_number

    async def agree_on_names(self) -> None:
        """Lets the model give what it makes next the identifiers that Postgres gave."""
        chosen = self.model.database.tables.chosen
        for what, id in await self.real.names(self.named):
            chosen.setdefault(what, deque()).append(id)
        for place in self.spaces:
            for enrolment in await self.real.enrolments(place.space, self.enrolled):
                chosen[enrolment[0]] = deque(enrolment[1])

    async def ask(self, queries: Sequence[Query]) -> list[Result]:
        theirs, ours = await self.real.answer(*queries), await self.model.answer(*queries)
        for query, real, model in zip(queries, theirs, ours, strict=True):
            assert without_time(real) == without_time(model), self.tell(query, real, model)
            self.met.add((type(query), real.code if isinstance(real, Denied) else Code.OK))
        return theirs

    async def look_at_everything(self) -> None:
        users = [device.person.user for device in self.devices]
        queries: list[Query] = []
        for stream in sorted(self.model.database.streams)[1:]:
            queries += [ReadAfter(stream, 0, 0, 10_000, 1 << 24), CheckAudience(stream, tuple(users))]
            queries += [ReadAfter(stream, user, 0, 3, 1 << 20) for user in users]
        queries += [ListSpaces(user) for user in users]
        queries += [ListMembers(place.space, user, 0, 100) for place in self.spaces for user in users]
        queries += self.more_to_look_at(users)
        queries.append(ReadHeads(tuple(sorted(self.model.database.streams)[1:])))
        await self.ask(queries)

    def more_to_look_at(self, users: Sequence[int]) -> list[Query]:
        return []

    def compare_what_was_heard(self) -> None:
        """Each stream's facts, in order. The order between streams is nobody's promise."""
        ours, theirs = by_stream(self.model.facts, 0), by_stream(self.real.facts[self.heard_before :], self.control_before)
        founded = {place.own for place in self.spaces}
        for stream in founded & theirs.keys():
            del theirs[stream][:3]  # the model's communities are founded before anybody listens
        for stream in ours.keys() | theirs.keys():
            told, modelled = theirs.get(stream, []), ours.get(stream, [])
            assert told == modelled, self.tell(f"what the heralds heard of stream {stream}", told, modelled)

    def tell(self, of: object, real: object = None, model: object = None) -> str:
        """The story so far, ending with what both said to `of`."""
        said = [f"seed {self.seed}, {shown(of)}", f"Postgres: {shown(real)}", f"model:    {shown(model)}"]
        return "\n".join([*self.told[-40:], *said])


def shown(value: object) -> str:
    """As a person reads it: bytes of fields taken apart."""
    try:
        return f"{type(value).__name__} {msgspec.msgpack.decode(msgspec.msgpack.encode(value))}"
    except TypeError:
        return str(value)


def plain(decided: Decided, entry: Entry) -> Decided:
    """Without the words for people, but for those that the entry itself brought."""
    own = isinstance(entry.operation, Refusal) and decided.code is entry.operation.code
    return decided if own else msgspec.structs.replace(decided, detail="")


def without_time(result: Result) -> Result:
    """Without the moments, the epoch and the words for people, which are each place's own; bodies are compared as they read."""
    match result:
        case Events():
            assert all(result.rows[n].at <= result.rows[n + 1].at for n in range(len(result.rows) - 1))
            return msgspec.structs.replace(
                result, rows=tuple(msgspec.structs.replace(row, at=0, body=decode_body(row.body)) for row in result.rows)
            )
        case Attached():
            return msgspec.structs.replace(result, epoch=0)
        case Denied():
            return msgspec.structs.replace(result, detail="")
        case ConflictList():
            return msgspec.structs.replace(result, conflicts=tuple(msgspec.structs.replace(one, at=0) for one in result.conflicts))
        case UnappliedList():
            return msgspec.structs.replace(result, items=tuple(msgspec.structs.replace(one, at=0, detail="") for one in result.items))
        case InheritedOutcomes():
            return msgspec.structs.replace(result, settled=tuple(msgspec.structs.replace(one, detail="") for one in result.settled))
        case VersionList():
            set_back = (msgspec.structs.replace(one, at=0 if one.at > NOW else one.at) for one in result.versions)
            return msgspec.structs.replace(result, versions=tuple(set_back))
        case _:
            return result


def by_stream(facts: Sequence[Fact], control_before: int) -> dict[int, list[tuple[object, ...]]]:
    found: dict[int, list[tuple[object, ...]]] = {}
    for fact in facts:
        control = fact.stream == CONTROL_STREAM
        seq, version = (fact.seq - control_before, 0) if control else (fact.seq, fact.audience_version)
        found.setdefault(fact.stream, []).append((seq, fact.author, decode_body(fact.body), version))
    return found


def chosen(share: int) -> list[int]:
    """The seeds of one share."""
    only = os.environ.get("CONFORMANCE_SEED")
    return [int(only)] if only else list(range(share, SEEDS, SHARES))


def is_tame(met: Collection[tuple[type, object]], reachable: Collection[object]) -> set[object]:
    """What many stories should have met, and did not."""
    if SEEDS < 150 or os.environ.get("CONFORMANCE_SEED"):
        return set()
    return {code for code in reachable if code not in met and not any(code == found for _, found in met)}
