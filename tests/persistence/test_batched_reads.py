"""Many people's questions in one statement are answered as if each had been asked alone, and a batch is bounded in items and bytes.

Random questions about one world that has what makes answers differ: positions before, within and beyond the streams, roles that may not
read, members who were removed or never were, messages that were edited or taken back, a stream whose beginning is no longer kept.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from random import Random
from typing import Any, cast, get_args

import asyncpg
import msgspec
import pytest
import trio

from actors.storage import (
    Answered,
    Borrow,
    CheckAudience,
    Denied,
    Events,
    FindPerson,
    ListMembers,
    ListSpaces,
    Query,
    ReadAfter,
    ReadBefore,
    ReadGenerations,
    ReadHeads,
    Result,
)
from persistence import device_queries as d
from persistence import queries as q
from persistence.bridge import Bridge
from persistence.store import PAGES, Store, StoreOptions
from protocol import codec
from protocol.codes import Code
from protocol.events import Said
from protocol.operations import CreateChannel, Delete, Edit, Invite, Post, Remove, Say, SetRole
from protocol.values import Role, Roles
from tests.persistence.test_store import session
from tests.persistence.world import Mailbox, World, world

Ask = Callable[[asyncpg.Connection, Sequence[Any]], Awaitable[list[Result]]]
BATCH = 60
FLOOR = 4


class Scene(msgspec.Struct):
    """What questions may be about; some of it does not exist."""

    bridge: Bridge
    users: list[int]
    devices: list[int]
    sessions: list[tuple[int, int, int]]
    streams: list[int]
    spaces: list[int]

    def query(self, kind: type[Query], chance: Random) -> Query:
        user, stream = chance.choice(self.users), chance.choice(self.streams)
        position, events_max, bytes_max = chance.randint(0, 16), chance.choice((0, 1, 5, 100)), chance.choice((0, 1, 60, 10_000))
        asked: dict[type[Query], Callable[[], Query]] = {
            ReadAfter: lambda: ReadAfter(stream, chance.choice((user, user, user, 0)), position, events_max, bytes_max),
            ReadBefore: lambda: ReadBefore(stream, user, position, events_max, bytes_max),
            CheckAudience: lambda: CheckAudience(stream, tuple(chance.sample(self.users, chance.randint(0, len(self.users))))),
            ReadHeads: lambda: ReadHeads(tuple(chance.choices(self.streams, k=chance.randint(0, 5)))),
            ListSpaces: lambda: ListSpaces(user),
            ListMembers: lambda: ListMembers(chance.choice(self.spaces), user, chance.choice((0, user)), chance.randint(1, 3)),
            FindPerson: lambda: FindPerson(chance.choice(("ann", "BOB", "nobody"))),
            Borrow: lambda: Borrow(*chance.choice(self.sessions)),
            ReadGenerations: lambda: ReadGenerations(tuple(chance.choices(self.devices, k=chance.randint(0, 5)))),
        }
        return asked[kind]()

    async def ask(self, ask: Ask, *batches: Sequence[Query]) -> list[Result]:
        """All answers, to all batches in one snapshot."""

        async def work(connection: asyncpg.Connection) -> list[Result]:
            return [result for batch in batches for result in await ask(connection, batch)]

        return await self.bridge.run(work, deadline_s=60, readonly=True, isolation="snapshot")


ASKED: dict[type[Query], Ask] = {
    ReadAfter: q.read_after,
    ReadBefore: q.read_before,
    CheckAudience: q.check_audience,
    ReadHeads: q.read_heads,
    ListSpaces: q.list_spaces,
    ListMembers: q.list_members,
    FindPerson: q.find_person,
    Borrow: d.borrow,
    ReadGenerations: d.read_generations,
}


@pytest.fixture
async def scene(bridge: Bridge) -> AsyncIterator[Scene]:
    async with world(bridge) as w:
        yield await furnish(w)


async def furnish(w: World) -> Scene:
    ann, bob, cid, dee, eve = people = [await w.person(name) for name in ("ann", "bob", "cid", "dee", "eve")]
    space, own, channel = await w.community(ann, bob, cid, dee)
    await w.ok(ann, SetRole(space, cid.user, Role.MENTOR))
    staff = await w.ok(ann, CreateChannel(space, "staff", Roles.STAFF))
    mentors = await w.ok(ann, CreateChannel(space, "mentors", Roles.STAFF | Roles.MENTOR))
    other, _, elsewhere = await w.community(eve, bob)
    for number in range(9):
        await w.ok(bob, Say(channel, "x" * (1 + number * 7)))
    await w.ok(bob, Edit(channel, 2, "put better"))
    await w.ok(ann, Delete(channel, 3))
    await w.ok(bob, Post(channel, "see above", 4, (cid.user, dee.user)))
    for stream in (staff, mentors):
        for text in ("among us", "still"):
            await w.ok(ann, Say(stream, text))
    await w.ok(eve, Say(elsewhere, "anybody?"))
    await w.ok(ann, Remove(space, dee.user))
    await w.ok(eve, Invite(other, dee.user, Role.MENTOR))
    await w.rows("delete from log where stream_id = $1 and seq <= $2", elsewhere, FLOOR)
    await w.rows("update streams set head = head + 10, floor = $2 where id = $1", elsewhere, FLOOR)
    await w.rows(
        "insert into log (stream_id, seq, kind, author, at, body) select $1, n, 1, $2, n, $3 from generate_series($4::integer, 30) n"
        " where n > $4 and n <= (select head from streams where id = $1) and not exists (select from log where stream_id = $1 and seq = n)",
        elsewhere,
        eve.user,
        codec.encode(Said("later")),
        FLOOR,
    )
    sessions = [(await session(w, person), person.user, person.device) for person in people]
    sessions += [(sessions[0][0], bob.user, bob.device), (sessions[1][0], bob.user, cid.device), (10**6, ann.user, ann.device)]
    sessions.append((await session(w, cid, "-1 second"), cid.user, cid.device))
    return Scene(
        w.bridge,
        [*(person.user for person in people), 10**6],
        [*(person.device for person in people), 10**6],
        sessions,
        [own, channel, staff, mentors, elsewhere, bob.inbox, dee.inbox, 1, 10**6],
        [space, other, 10**6],
    )


@pytest.mark.parametrize("kind", ASKED)
async def test_a_batch_is_answered_as_if_each_had_been_asked_alone(scene: Scene, kind: type[Query]) -> None:
    ask = ASKED[kind]
    for seed in range(8):
        chance = Random(seed)
        queries = [scene.query(kind, chance) for _ in range(BATCH)]
        alone = await scene.ask(ask, *([query] for query in queries))
        assert await scene.ask(ask, queries) == alone
        order = chance.sample(range(BATCH), BATCH)
        assert await scene.ask(ask, [queries[n] for n in order]) == [alone[n] for n in order], "whatever stands beside it"


async def test_the_questions_about_pages_meet_every_answer(scene: Scene) -> None:
    """Else the claim above would say little."""
    chance = Random(0)
    results = await scene.ask(q.read_after, [scene.query(ReadAfter, chance) for _ in range(600)])
    assert {result.code for result in results if isinstance(result, Denied)} == {Code.NOT_FOUND, Code.FORBIDDEN, Code.RESET}
    pages = [result for result in results if isinstance(result, Events)]
    assert {(bool(page.rows), page.more) for page in pages} == {(True, True), (True, False), (False, False)}


async def test_who_was_removed_is_told_nothing_beside_those_who_may_read(scene: Scene) -> None:
    channel, dee = scene.streams[1], scene.users[3]
    results = await scene.ask(q.read_after, [ReadAfter(channel, user, 0, 100, 10_000) for user in scene.users])
    told = dict(zip(scene.users, results, strict=True))
    assert told[dee] == Denied(Code.NOT_FOUND)
    assert isinstance(told[scene.users[0]], Events)


class Counting:
    """A bridge that notes how large each batch was, and answers nothing."""

    def __init__(self) -> None:
        self.batches: list[list[ReadAfter]] = []

    async def run(self, work: Callable[[Any], Awaitable[Any]], **_: object) -> Any:
        return await work(self)

    async def fetch(self, sql: str, streams: list[int], *columns: list[int]) -> list[tuple[object, ...]]:
        self.batches.append([ReadAfter(*row) for row in zip(streams, *columns, strict=True)])
        return [(1, 0, 0, 1, False, 0, None, None, None, None)] * len(streams)


@pytest.mark.parametrize("bytes_max", [1, 1_000, 40_000, 200_000])
async def test_a_batch_holds_no_more_than_its_bounds_and_at_least_one(bytes_max: int, nursery: trio.Nursery) -> None:
    options = StoreOptions(workers=1, batch_max=20, batch_bytes_max=100_000)
    counting = Counting()
    store = Store(cast("Bridge", counting), options)
    await nursery.start(store.serve)
    answers: Mailbox[Answered] = Mailbox()
    for ticket in range(100):
        store.ask(ReadAfter(1, 1, ticket, 10, bytes_max), ticket, answers)
    await answers.wait(100)
    assert [query.after for batch in counting.batches for query in batch] == list(range(100)), "in order, each once"
    for batch in counting.batches:
        assert len(batch) == 1 or (len(batch) <= options.batch_max and len(batch) * bytes_max <= options.batch_bytes_max)
    full = min(options.batch_max, max(1, options.batch_bytes_max // bytes_max))
    assert len(counting.batches) == -(-100 // full), "and no fewer than may be"


async def test_what_was_taken_back_is_read_as_a_tombstone_by_everybody_alike(scene: Scene) -> None:
    channel = scene.streams[1]
    readers = scene.users[:3]
    pages = await scene.ask(q.read_after, [ReadAfter(channel, user, 2, 1, 10_000) for user in readers])
    bodies = {page.rows[0].body for page in pages if isinstance(page, Events)}
    assert len(bodies) == 1 and b"xxx" not in bodies.pop()


def test_every_kind_of_page_is_counted_in_bytes() -> None:
    asked = get_args(Query)
    assert {kind for kind in asked if any(field.name == "bytes_max" for field in msgspec.structs.fields(kind))} == set(PAGES)
