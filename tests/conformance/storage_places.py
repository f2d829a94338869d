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
import msgspec
import trio
from msgspec import Struct

from actors.storage import Answered, Decided, Entry, Fact, Query, Refusal, Result
from persistence import horizon, sessions
from persistence.bridge import Bridge
from persistence.horizon import HORIZON_S
from persistence.journal import Journal
from persistence.outbox import Outbox
from persistence.store import Store
from proofs.simulation.database import Database
from proofs.simulation.faults import Faults
from proofs.simulation.rows import NEVER
from proofs.simulation.storage import SimulatedJournal, SimulatedStore
from proofs.simulation.world import World
from protocol.operations import AnyOperation, CreateCommunity
from protocol.values import Role, StreamKind
from tests.persistence.world import Herald, Mailbox, digest_of, fetch

COMMUNITY_STREAMS = (StreamKind.COMMUNITY, StreamKind.CHANNEL, StreamKind.BOARD, StreamKind.LIBRARY, StreamKind.STUDIO)
_NAMES = {
    "conflict": "select id, stream_id, entity, key, user_id from sync_conflicts where id > $1 order by id",
    "version": "select place, stream_id, entity, key from entity_versions where place > $1 order by place",
    "unapplied": "select id, user_id, device_id, number from sync_queue where id > $1 order by id",
}
CALM = Faults(link_delay_s=0.0, disk_delay_s=0.0, socket_delay_s=0.0)


class Person(Struct, frozen=True):
    """An account with its own space (`home`), one device and a session on it. Numbering its mutations is the test's."""

    user: int
    home: int
    inbox: int
    own: int
    """The stream of what is theirs alone."""
    device: int
    session: int
    name: str

    def entry(self, generation: int, number: int, operation: AnyOperation | Refusal, digest: int | None = None, skew_s: int = 0) -> Entry:
        digest = digest_of(operation) if digest is None else digest
        return Entry(self.user, self.device, generation, number, digest, operation, skew_s)


class Community(Struct, frozen=True):
    """A community with its own stream, its first channel, its board, its library and its studio."""

    space: int
    own: int
    general: int
    board: int
    library: int
    studio: int


class Enrolment(Struct, frozen=True):
    """What a member has of their own in a community: a space with two streams."""

    space: int
    progress: int
    answers: int


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

    async def enrolment(self, space: int, user: int) -> Enrolment:
        """What a member has, or had, of their own in a community."""
        ...

    async def second_device(self, person: Person, like: Person | None = None) -> Person:
        """The same person on another device, with a session of its own."""
        ...

    async def pass_horizon(self, streams: Sequence[int]) -> None:
        """Makes what there is in these streams, which are all that hold records, older than what is remembered, and forgets it."""
        ...

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
        user = account["user_id"]
        [home] = await fetch(
            self._bridge,
            "select p.id, s.id as own from accounts a join spaces p on p.id = a.personal_space"
            " join streams s on s.space_id = p.id and s.kind = 8 where a.id = $1",
            user,
        )
        device, session = await self._device(user, expires)
        return Person(user, home["id"], account["inbox"], home["own"], device, session, name)

    async def _device(self, user: int, expires: int) -> tuple[int, int]:
        [device] = await fetch(self._bridge, "insert into devices (user_id) values ($1) returning id", user)
        [session] = await fetch(
            self._bridge,
            "insert into sessions (user_id, device_id, expires_at, proven_at) values ($1, $2, to_timestamp($3), now()) returning id",
            user,
            device["id"],
            min(expires, 2**38),  # Postgres' calendar ends before the protocol's
        )
        return device["id"], session["id"]

    async def second_device(self, person: Person, like: Person | None = None) -> Person:
        device, session = await self._device(person.user, NEVER)
        return msgspec.structs.replace(person, device=device, session=session)

    async def enrolment(self, space: int, user: int) -> Enrolment:
        rows = await fetch(
            self._bridge,
            "select s.space_id, s.id from spaces p join streams s on s.space_id = p.id where p.pair_key = $1 order by s.kind",
            f"enrolment:{space}:{user}",
        )
        return Enrolment(rows[0]["space_id"], *(row["id"] for row in rows))

    async def community(self, founder: Person, like: Community | None = None, *, open_to_all: bool = True) -> Community:
        creating = CreateCommunity(f"{founder.name}'s", open_to_all)
        [decided] = await self.decide(Entry(founder.user, 0, 0, 0, 0, creating))
        rows = await fetch(self._bridge, "select kind, id from streams where space_id = $1", decided.value)
        streams = {StreamKind(row["kind"]): row["id"] for row in rows}
        return Community(decided.value, *(streams[kind] for kind in COMMUNITY_STREAMS))

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

    async def pass_horizon(self, streams: Sequence[int]) -> None:
        await fetch(self._bridge, "update log set at = at - $2 where stream_id = any($1)", streams, int(HORIZON_S) + 1)
        await fetch(
            self._bridge,
            "update tombstones set deleted_at = deleted_at - make_interval(secs => $2) where stream_id = any($1)",
            streams,
            HORIZON_S + 1,
        )
        while await self._bridge.run(horizon.forget, deadline_s=30):
            pass

    async def deliver(self) -> None:
        await self._outbox.drain()

    async def revoke(self, person: Person) -> None:
        async def work(tx: asyncpg.Connection) -> list[Fact]:
            await sessions.lock_account(tx, person.user)
            return await sessions.announce(tx, person.user, await sessions.end(tx, person.user, [person.session]))

        self._herald.committed(await self._bridge.run(work, deadline_s=30))

    async def names(self, known: dict[str, int]) -> list[tuple[tuple[object, ...], int]]:
        """What was given an identifier since the ones in `known`, which this moves on: kind and what it is, in order."""
        found: list[tuple[tuple[object, ...], int]] = []
        for kind, sql in _NAMES.items():
            for id, *what in await fetch(self._bridge, sql, known.get(kind, 0)):
                found.append(((kind, *what), id))
                known[kind] = id
        return found

    async def enrolments(self, community: int, known: set[tuple[int, int]]) -> list[tuple[tuple[object, ...], list[int]]]:
        """Enrolments in a community that are not in `known`, which this adds them to: their space and streams."""
        rows = await fetch(
            self._bridge,
            "select e.id, split_part(e.pair_key, ':', 3)::bigint, array(select s.id from streams s where s.space_id = e.id order by s.kind)"
            " from spaces e where e.parent = $1",
            community,
        )
        found: list[tuple[tuple[object, ...], list[int]]] = []
        for id, user, streams in rows:
            if (community, user) not in known:
                known.add((community, user))
                found.append((("enrolment", community, user), [id, *streams]))
        return found


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
        chosen = like or Person(0, 0, 0, 0, 0, 0, name)
        user = self.database.create_user(name, chosen.user, chosen.home, chosen.inbox, chosen.own)
        device = self.database.create_device(user, chosen.device, chosen.session, min(expires, 2**38))
        inbox = self.database.inboxes[user]
        home = self.database.streams[inbox].space
        return Person(user, home.id, inbox, home.streams[1], device.id, device.session, name)

    async def second_device(self, person: Person, like: Person | None = None) -> Person:
        chosen = like or Person(0, 0, 0, 0, 0, 0, person.name)
        device = self.database.create_device(person.user, chosen.device, chosen.session, 2**38)
        return msgspec.structs.replace(person, device=device.id, session=device.session)

    async def enrolment(self, space: int, user: int) -> Enrolment:
        found = self.database.tables.enrolment(space, user)
        assert found is not None
        return Enrolment(found.id, *found.streams)

    async def community(self, founder: Person, like: Community | None = None, *, open_to_all: bool = True) -> Community:
        chosen = like or Community(0, 0, 0, 0, 0, 0)
        streams = (chosen.own, chosen.general, chosen.board, chosen.library, chosen.studio)
        space = self.database.create_community(f"{founder.name}'s", founder.user, chosen.space, streams, open_to_all=open_to_all)
        return Community(space.id, *space.streams)

    async def appoint(self, space: int, user: int, role: Role) -> None:
        self.database.appoint(space, user, role)

    async def channel(self, space: int, name: str, read_roles: int, write_roles: int, like: int = 0) -> int:
        row = self.database.create_stream(self.database.spaces[space], StreamKind.CHANNEL, name, read_roles, write_roles, like)
        return row.id

    async def pass_horizon(self, streams: Sequence[int]) -> None:
        self.database.pass_horizon(int(self._world.wall() + HORIZON_S) + 1)

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
