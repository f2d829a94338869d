"""A small world for tests of the journal and the store: people with devices, and a journal that answers into lists."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

import asyncpg
import msgspec
import trio

from actors.storage import Decided, Entry, Fact, Refusal
from persistence.bridge import Bridge
from persistence.journal import Journal, JournalOptions
from persistence.operations.proving import Prover
from protocol.codes import Code
from protocol.operations import AnyOperation, CreateCommunity, Join

M = TypeVar("M")


class Mailbox(Generic[M]):
    """A reference that keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[M] = []
        self._news = trio.Event()

    def tell(self, message: M, size_bytes: int = 0) -> bool:
        self.told.append(message)
        self._news.set()
        self._news = trio.Event()
        return True

    def tell_control(self, message: M) -> None:
        self.tell(message)

    async def wait(self, count: int) -> list[M]:
        with trio.fail_after(60):
            while len(self.told) < count:
                await self._news.wait()
        return self.told


class Herald:
    """Keeps what it heard, a list for each transaction."""

    def __init__(self) -> None:
        self.transactions: list[list[Fact]] = []

    def committed(self, facts: Sequence[Fact]) -> None:
        self.transactions.append(list(facts))

    @property
    def facts(self) -> list[Fact]:
        return [fact for facts in self.transactions for fact in facts]


def digest_of(operation: AnyOperation | Refusal) -> int:
    return zlib.crc32(msgspec.msgpack.encode(operation))


class Person:
    """An account with one device, which numbers what it asks for."""

    def __init__(self, user: int, inbox: int, device: int, name: str) -> None:
        self.user, self.inbox, self.device, self.name = user, inbox, device, name
        self.generation = 1
        self.number = 0

    def entry(self, operation: AnyOperation | Refusal, number: int | None = None) -> Entry:
        if number is None:
            self.number += 1
            number = self.number
        return Entry(self.user, self.device, self.generation, number, digest_of(operation), operation)


class World:
    """People, and a journal that serves."""

    def __init__(self, bridge: Bridge, journal: Journal, herald: Herald) -> None:
        self.bridge, self.journal, self.herald = bridge, journal, herald
        self.outbox_fillings = 0
        self.on_outbox_filled: Callable[[], None] = lambda: None

    async def person(self, name: str) -> Person:
        return await make_person(self.bridge, name)

    async def ask(self, person: Person, operation: AnyOperation | Refusal, number: int | None = None) -> Decided:
        return await ask(self.journal, person.entry(operation, number))

    async def ok(self, person: Person, operation: AnyOperation) -> int:
        decided = await self.ask(person, operation)
        assert decided.code is Code.OK, decided
        return decided.value

    async def community(self, owner: Person, *members: Person) -> tuple[int, int, int]:
        """Founds a community that all `members` join: its space, its own stream and its first channel."""
        space = await self.ok(owner, CreateCommunity(f"{owner.name}'s"))
        for member in members:
            await self.ok(member, Join(space))
        own, channel = await self.column("select id from streams where space_id = $1 and kind in (2, 3) order by id", space)
        return space, own, channel

    async def rows(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        return await fetch(self.bridge, sql, *arguments)

    async def column(self, sql: str, *arguments: object) -> list[int]:
        return [row[0] for row in await self.rows(sql, *arguments)]

    async def value(self, sql: str, *arguments: object) -> object:
        return (await self.rows(sql, *arguments))[0][0]


async def ask(journal: Journal, entry: Entry) -> Decided:
    reply: Mailbox[Decided] = Mailbox()
    assert journal.submit(entry, reply)
    return (await reply.wait(1))[0]


async def fetch(bridge: Bridge, sql: str, *arguments: object) -> list[asyncpg.Record]:
    async def work(connection: asyncpg.Connection) -> list[asyncpg.Record]:
        rows: list[asyncpg.Record] = await connection.fetch(sql, *arguments)
        return rows

    return await bridge.run(work, deadline_s=30)


async def make_person(bridge: Bridge, name: str) -> Person:
    [row] = await fetch(bridge, "select * from create_account($1, $2, 'x')", name, name.title())
    [device] = await fetch(bridge, "insert into devices (user_id, generation) values ($1, 1) returning id", row["user_id"])
    return Person(row["user_id"], row["inbox"], device["id"], name)


async def everybody(tx: asyncpg.Connection, entry: Entry) -> bool:
    """Has proven lately who they are."""
    return True


@asynccontextmanager
async def world(bridge: Bridge, options: JournalOptions | None = None, prove: Prover = everybody) -> AsyncIterator[World]:
    """A journal on a bridge that serves already. Its people have no sessions; `prove`: whether they have shown who they are."""
    herald = Herald()

    def filled() -> None:
        made.outbox_fillings += 1
        made.on_outbox_filled()

    journal = Journal(bridge, herald, filled, options or JournalOptions(), prove=prove)
    made = World(bridge, journal, herald)
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.serve)
        yield made
        nursery.cancel_scope.cancel()
