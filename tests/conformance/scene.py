"""The scene that claims are made about: an owner and a learner in a community, in one place or the other."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from actors.storage import Attach, Attached, Decided, Entry, Events, Query, ReadAfter, Refusal, Result
from persistence.bridge import Bridge
from protocol.codec import decode_body
from protocol.codes import Code
from protocol.operations import AnyOperation, Join
from tests.conformance.storage_places import Community, ModelPlace, Person, Place, real_place


class Scene:
    """A place with an owner and a learner in a community; `ask` numbers for them."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.numbers: dict[int, int] = {}
        self.generations: dict[int, int] = {}

    async def prepare(self) -> None:
        self.ann = await self.arrive("ann")
        self.bob = await self.arrive("bob")
        self.here: Community = await self.place.community(self.ann)
        assert (await self.ask(self.bob, Join(self.here.space))).code is Code.OK
        await self.place.deliver()
        self.before = len(self.place.facts)

    async def arrive(self, name: str) -> Person:
        return await self.attach(await self.place.person(name))

    async def attach(self, person: Person) -> Person:
        """Somebody's device comes online."""
        [attached] = await self.place.answer(Attach(person.session, person.user, person.device, 1))
        assert isinstance(attached, Attached)
        self.generations[person.device] = attached.generation
        return person

    async def ask(self, person: Person, operation: AnyOperation | Refusal, number: int = 0, skew_s: int = 0) -> Decided:
        return (await self.place.decide(self.entry(person, operation, number, skew_s)))[0]

    def entry(self, person: Person, operation: AnyOperation | Refusal, number: int = 0, skew_s: int = 0) -> Entry:
        """The next of a device's mutations."""
        self.numbers[person.device] = number or self.numbers.get(person.device, 0) + 1
        return person.entry(self.generations[person.device], self.numbers[person.device], operation, skew_s=skew_s)

    async def ok(self, person: Person, operation: AnyOperation) -> int:
        """Asks, and expects no refusal; the value."""
        decided = await self.ask(person, operation)
        assert decided.code is Code.OK, decided
        return decided.value

    async def query(self, query: Query) -> Result:
        return (await self.place.answer(query))[0]

    async def read(self, stream: int) -> Events:
        [events] = await self.place.answer(ReadAfter(stream, 0, 0, 1000, 1 << 20))
        assert isinstance(events, Events)
        return events

    async def bodies(self, stream: int) -> list[object]:
        return [decode_body(row.body) for row in (await self.read(stream)).rows]

    def heard(self, stream: int) -> list[object]:
        """What the herald heard of `stream` since the scene was set."""
        return [decode_body(fact.body) for fact in self.place.facts[self.before :] if fact.stream == stream]


@pytest.fixture(params=["postgres", "model"])
async def scene(request: pytest.FixtureRequest, bridge: Bridge) -> AsyncIterator[Scene]:
    if request.param == "model":
        made = Scene(ModelPlace())
        await made.prepare()
        yield made
        return
    async with real_place(bridge) as real:
        made = Scene(real)
        await made.prepare()
        yield made
