"""Everything that touches records at the same time, through two gateways: nobody waits in a circle, nothing that was entered is lost.

devices: changes in batches, messages, decisions, releases, leaving and coming back      two journals,
staff:   removals, roles, progress set back                                              one database
chores:  the horizon over rows that are made old, spaces completed
"""

from __future__ import annotations

import random
import re

import pytest
import trio

from persistence.horizon import complete, forget
from protocol.codes import Code
from protocol.entities import Entity
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
    Say,
    SetBack,
    SetRole,
)
from protocol.values import Choice, Role, StreamKind
from tests.persistence.folding import folds_to_its_records
from tests.persistence.records import NOW, another_device, ask_all, change, enrolled, gone, of_space, own
from tests.persistence.test_journal_concurrent import check_streams, worlds
from tests.persistence.world import Person, World

ROUNDS = 12
CHANGES = 8
KEYS = 5
STORED = (
    "select fields from entity_versions union all select mine from sync_conflicts union all select theirs from sync_conflicts"
    " union all select cells from records union all select cells from tombstones union all select operation from sync_queue"
)


class Soak:
    """One community, and what its people wrote."""

    def __init__(self, seed: int, gateways: list[World], people: list[Person], space: int, channel: int) -> None:
        self.dice = random.Random(seed)
        self.gateways, self.people, self.space, self.channel = gateways, people, space, channel
        self.streams: dict[tuple[Person | None, Entity], int] = {}
        self.texts: set[str] = set()
        self.codes: set[tuple[str, Code]] = set()

    async def learn_streams(self) -> None:
        w = self.gateways[0]
        self.streams[None, Entity.ACTION] = await of_space(w, self.space, StreamKind.BOARD)
        self.streams[None, Entity.CONTENT] = await of_space(w, self.space, StreamKind.LIBRARY)
        for person in self.people:
            self.streams[person, Entity.DRAFT] = await own(w, person)
            self.streams[person, Entity.PROGRESS] = await enrolled(w, self.space, person, StreamKind.PROGRESS)
            self.streams[person, Entity.ANSWER] = await enrolled(w, self.space, person, StreamKind.ANSWERS)

    def text(self) -> str:
        text = f"text-{self.dice.randrange(10**12):012}"
        self.texts.add(text)
        return text

    def change(self, person: Person) -> Change:
        dice = self.dice
        (_, entity), stream = dice.choice([place for place in self.streams.items() if place[0][0] in (None, person)])
        key, base, at = dice.randint(1, KEYS), dice.choice((0, 0, 1, 3, 10**6)), NOW + dice.randint(-(10**6), 10**6)
        if entity is Entity.PROGRESS:
            return change(stream, entity, key, {1: dice.randint(0, 100)}, at=at, base=base)
        if entity is Entity.ANSWER:
            return change(stream, entity, key, {3: self.text()}, at=at, base=base)
        if dice.random() < 0.2:
            return gone(stream, entity, key, at=at, base=base)
        if entity is Entity.CONTENT:
            return change(stream, entity, key, {2: self.text()}, at=at, base=base)
        return change(stream, entity, key, {3 if entity is Entity.DRAFT else 1: f"{dice.random()}"}, at=at, base=base)

    async def one_of(self, table: str) -> int:
        found = await self.gateways[0].column(f"select id from {table} order by random() limit 1")
        return found[0] if found else 1

    async def operation(self, person: Person, owner: Person) -> tuple[Person, AnyOperation]:
        dice, other = self.dice, self.dice.choice(self.people)
        match dice.randrange(9):
            case 0:
                return person, Claim(await self.one_of("sync_conflicts"), dice.random() < 0.7)
            case 1 | 2:
                choice = dice.choice((Choice.MINE, Choice.THEIRS))
                return person, Resolve(await self.one_of("sync_conflicts"), choice, dice.choice((1, 5, 10**6)), NOW)
            case 3:
                return person, Reopen(await self.one_of("sync_conflicts"))
            case 4:
                return person, Release(await self.one_of("sync_queue"))
            case 5:
                return person, Discard(await self.one_of("sync_queue")) if dice.random() < 0.3 else Hold((Held(self.channel),))
            case 6:
                return owner, SetBack(self.space, other.user, dice.randint(1, KEYS))
            case 7:
                return owner, Remove(self.space, other.user) if dice.random() < 0.5 else SetRole(
                    self.space, other.user, dice.choice(list(Role))
                )
            case _:
                return person, Leave(self.space) if dice.random() < 0.3 else Join(self.space)

    async def act(self, person: Person, owner: Person, lent: trio.Lock) -> None:
        for _ in range(ROUNDS):
            gateway = self.dice.choice(self.gateways)
            changes = [self.change(person) for _ in range(CHANGES)]
            asked: list[AnyOperation] = [*changes, Say(self.channel, "hot")]
            entries = [person.entry(one) for one in asked]
            for entry, decided in zip(entries, await ask_all(gateway.journal, entries), strict=True):
                self.codes.add((type(entry.operation).__name__, decided.code))
            actor, operation = await self.operation(person, owner)
            async with lent:
                self.codes.add((type(operation).__name__, (await gateway.ask(actor, operation)).code))

    async def chores(self) -> None:
        for gateway in self.gateways * 10**6:
            await gateway.rows("update tombstones set deleted_at = deleted_at - interval '1 year' where key % 2 = 0")
            await gateway.bridge.run(forget, deadline_s=30)
            await gateway.bridge.run(complete, deadline_s=30)


@pytest.mark.parametrize("seed", range(2))
async def test_all_at_once_wait_in_no_circle_and_lose_nothing_that_was_entered(database: str, seed: int) -> None:
    async with worlds(database, 2) as gateways:
        w = gateways[0]
        owner, *people = [await w.person(f"p{n}") for n in range(5)]
        space, _, channel = await w.community(owner, *people)
        await w.rows("update members set role = 4 where space_id = $1 and role = 8", space)
        soak = Soak(seed, gateways, people, space, channel)
        await soak.learn_streams()
        devices = [(person, device) for person in people for device in (person, await another_device(w, person))]
        lent = trio.Lock()
        async with trio.open_nursery() as chores:
            chores.start_soon(soak.chores)
            async with trio.open_nursery() as nursery:
                for person, device in devices:
                    for place in [place for place in soak.streams if place[0] is person]:
                        soak.streams[device, place[1]] = soak.streams[place]
                    nursery.start_soon(soak.act, device, owner, lent)
            chores.cancel_scope.cancel()
        for gateway in gateways:
            stats = gateway.journal.stats
            assert (stats.conflicts, stats.poisoned, stats.unavailable) == (0, 0, 0)
        assert {code for name, code in soak.codes if name == "Change"} <= {Code.OK, Code.NOT_FOUND, Code.FORBIDDEN}, soak.codes
        assert soak.codes.isdisjoint({(name, code) for name, _ in soak.codes for code in (Code.UNAVAILABLE, Code.GAP, Code.TAKEN_OVER)})
        found = {text.decode() for row in await w.rows(STORED) for text in re.findall(rb"text-[0-9]{12}", row[0])}
        assert soak.texts - found == set()
        await check_streams(w)
        for stream in set(soak.streams.values()):
            await folds_to_its_records(w, stream)
