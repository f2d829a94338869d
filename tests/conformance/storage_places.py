"""The storage port as a test uses it, and the two that implement it.

    Place ─┬─ RealPlace    Journal + Store + Outbox on Postgres
           ╰─ ModelPlace   SimulatedJournal + SimulatedStore on a Database in memory, in a world without faults

What is not part of the port (making accounts, delivering the outbox, ending a session) each does in its own way. A model can be given
the identifiers that the real one chose, so that everything both say afterwards can be compared as it is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import asyncpg
import trio
from msgspec import Struct

from actors.storage import Answered, Decided, Entry, Fact, Query, Refusal, Result
from persistence import sessions
from persistence.bridge import Bridge
from persistence.journal import Journal
from persistence.outbox import Outbox
from persistence.store import Store
from proofs.simulation.database import NEVER, Database
from proofs.simulation.faults import Faults
from proofs.simulation.storage import SimulatedJournal, SimulatedStore
from proofs.simulation.world import World
from protocol.operations import AnyOperation, CreateCommunity
from protocol.values import Role, StreamKind
from tests.persistence.world import Herald, Mailbox, digest_of, fetch

CALM = Faults(link_delay_s=0.0, disk_delay_s=0.0, socket_delay_s=0.0)


class Person(Struct, frozen=True):
    """An account with its own space (`home`), one device and a session on it. Numbering its mutations is the test's."""

    user: int
    home: int
    inbox: int
    device: int
    session: int
    name: str

    def entry(self, generation: int, number: int, operation: AnyOperation | Refusal, digest: int | None = None) -> Entry:
        return Entry(self.user, self.device, generation, number, digest_of(operation) if digest is None else digest, operation)


class Community(Struct, frozen=True):
    """A community with its own stream and its first channel."""

    space: int
    own: int
    general: int


class Place(Protocol):
    """One implementation of the storage port, with somebody in it."""

    @property
    def facts(self) -> list[Fact]:
        """All that the herald heard."""
        ...

    async def decide(self, *entries: Entry) -> list[Decided]:
        """Submits them together and waits for what became of them."""
        ...

    async def answer(self, *queries: Query) -> list[Result]: ...

    async def person(self, name: str, like: Person | None = None, *, expires: int = NEVER) -> Person: ...

    async def community(self, founder: Person, like: Community | None = None, *, open_to_all: bool = True) -> Community: ...

    async def appoint(self, space: int, user: int, role: Role) -> None:
        """Makes somebody a member, without a word."""
        ...

    async def channel(self, space: int, name: str, read_roles: int, write_roles: int, like: int = 0) -> int: ...

    async def deliver(self) -> None:
        """Empties the outbox."""
        ...

    async def revoke(self, person: Person) -> None: ...


class RealPlace:
    """On Postgres."""

    def __init__(self, bridge: Bridge, journal: Journal, store: Store, outbox: Outbox, herald: Herald) -> None:
        self._bridge = bridge
        self._journal = journal
        self._store = store
        self._outbox = outbox
        self._herald = herald

    @property
    def facts(self) -> list[Fact]:
        return self._herald.facts

    async def decide(self, *entries: Entry) -> list[Decided]:
        mailboxes = [Mailbox[Decided]() for _ in entries]
        for entry, mailbox in zip(entries, mailboxes, strict=True):
            assert self._journal.submit(entry, mailbox)
        return [(await mailbox.wait(1))[0] for mailbox in mailboxes]

    async def answer(self, *queries: Query) -> list[Result]:
        mailbox: Mailbox[Answered] = Mailbox()
        for ticket, query in enumerate(queries):
            self._store.ask(query, ticket, mailbox)
        return [answer.result for answer in sorted(await mailbox.wait(len(queries)), key=lambda answer: answer.ticket)]

    async def person(self, name: str, like: Person | None = None, *, expires: int = NEVER) -> Person:
        [account] = await fetch(self._bridge, "select user_id, inbox from create_account($1, $2, 'x')", name, name)
        [home] = await fetch(self._bridge, "select personal_space from accounts where id = $1", account["user_id"])
        [device] = await fetch(self._bridge, "insert into devices (user_id) values ($1) returning id", account["user_id"])
        [session] = await fetch(
            self._bridge,
            "insert into sessions (user_id, device_id, expires_at) values ($1, $2, to_timestamp($3)) returning id",
            account["user_id"],
            device["id"],
            min(expires, 2**38),  # Postgres' calendar ends before the protocol's
        )
        return Person(account["user_id"], home["personal_space"], account["inbox"], device["id"], session["id"], name)

    async def community(self, founder: Person, like: Community | None = None, *, open_to_all: bool = True) -> Community:
        creating = CreateCommunity(f"{founder.name}'s", open_to_all)
        [decided] = await self.decide(Entry(founder.user, 0, 0, 0, 0, creating))
        streams = await fetch(self._bridge, "select id from streams where space_id = $1 order by id", decided.value)
        return Community(decided.value, streams[0]["id"], streams[1]["id"])

    async def appoint(self, space: int, user: int, role: Role) -> None:
        await fetch(
            self._bridge,
            "with counted as (update spaces set members = members + 1 where id = $1) insert into members (space_id, user_id, role)"
            " values ($1, $2, $3)",
            space,
            user,
            role,
        )

    async def channel(self, space: int, name: str, read_roles: int, write_roles: int, like: int = 0) -> int:
        [row] = await fetch(
            self._bridge,
            "insert into streams (space_id, kind, name, read_roles, write_roles, placement) values ($1, 3, $2, $3, $4, $1) returning id",
            space,
            name,
            read_roles,
            write_roles,
        )
        id: int = row["id"]
        return id

    async def deliver(self) -> None:
        await self._outbox.drain()

    async def revoke(self, person: Person) -> None:
        async def work(tx: asyncpg.Connection) -> list[Fact]:
            await sessions.lock_account(tx, person.user)
            return await sessions.announce(tx, person.user, await sessions.end(tx, person.user, [person.session]))

        self._herald.committed(await self._bridge.run(work, deadline_s=30))


@asynccontextmanager
async def real_place(bridge: Bridge) -> AsyncIterator[RealPlace]:
    """On a bridge that serves already."""
    herald = Herald()
    outbox = Outbox(bridge, herald)
    journal, store = Journal(bridge, herald, lambda: None), Store(bridge)
    async with serving_all(journal, store):
        yield RealPlace(bridge, journal, store, outbox, herald)


class ModelPlace:
    """In memory. Nothing here waits: time is simulated, and passes when something is asked."""

    def __init__(self) -> None:
        self._world = World(0)
        self._herald = Herald()
        self.database = Database()
        self._journal = SimulatedJournal(self._world, CALM, self.database, self._herald, lambda: None)
        self._store = SimulatedStore(self._world, CALM, self.database, lambda: None)

    @property
    def facts(self) -> list[Fact]:
        return self._herald.facts

    async def decide(self, *entries: Entry) -> list[Decided]:
        mailboxes = [Mailbox[Decided]() for _ in entries]
        for entry, mailbox in zip(entries, mailboxes, strict=True):
            assert self._journal.submit(entry, mailbox)
        self._world.run_until(self._world.now + 1.0)
        return [mailbox.told[0] for mailbox in mailboxes]

    async def answer(self, *queries: Query) -> list[Result]:
        mailbox: Mailbox[Answered] = Mailbox()
        for ticket, query in enumerate(queries):
            self._store.ask(query, ticket, mailbox)
            self._world.run_until(self._world.now + 1.0)
        return [answer.result for answer in mailbox.told]

    async def person(self, name: str, like: Person | None = None, *, expires: int = NEVER) -> Person:
        chosen = like or Person(0, 0, 0, 0, 0, name)
        user = self.database.create_user(name, chosen.user, chosen.home, chosen.inbox)
        device = self.database.create_device(user, chosen.device, chosen.session, min(expires, 2**38))
        inbox = self.database.inboxes[user]
        return Person(user, self.database.streams[inbox].space.id, inbox, device.id, device.session, name)

    async def community(self, founder: Person, like: Community | None = None, *, open_to_all: bool = True) -> Community:
        chosen = like or Community(0, 0, 0)
        space = self.database.create_community(
            f"{founder.name}'s", founder.user, chosen.space, (chosen.own, chosen.general), open_to_all=open_to_all
        )
        return Community(space.id, *space.streams)

    async def appoint(self, space: int, user: int, role: Role) -> None:
        self.database.spaces[space].members[user] = role

    async def channel(self, space: int, name: str, read_roles: int, write_roles: int, like: int = 0) -> int:
        row = self.database.create_stream(self.database.spaces[space], StreamKind.CHANNEL, name, read_roles, write_roles, like)
        return row.id

    async def deliver(self) -> None:
        self._tell(self.database.deliver_outbox(int(self._world.wall())))

    async def revoke(self, person: Person) -> None:
        self._tell(self.database.revoke(self.database.devices[person.device], int(self._world.wall())))

    def _tell(self, facts: Sequence[Fact]) -> None:
        if facts:
            self._herald.committed(facts)


@asynccontextmanager
async def serving_all(journal: Journal, store: Store) -> AsyncIterator[None]:
    """Runs both while the block lasts."""
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.serve)
        await nursery.start(store.serve)
        yield
        nursery.cancel_scope.cancel()
