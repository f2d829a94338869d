"""Statements that every post and every reconnect runs find rows by key, also where they were planned before there were any.

A connection keeps the plan of its first call. The tables are vacuumed while they are empty here, which is the worst that statistics can
say, and then every plan is read as Postgres' own `auto_explain` shows it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import asyncpg
import msgspec
import pytest

from actors.storage import (
    Attach,
    Borrow,
    CheckAudience,
    Entry,
    ReadAfter,
    ReadBefore,
    ReadGenerations,
    ReadHeads,
)
from persistence import device_queries, queries
from persistence.append import Effect, StreamChange, append_events, event, finish, recall
from persistence.operations.hot import Columns
from protocol.events import Said
from protocol.operations import AnyOperation, MarkRead, Post, React, Say
from protocol.values import Role, SpaceKind, StreamKind

PEOPLE = 20
GROWING = frozenset({"log", "outcomes", "read_markers", "devices", "streams", "members", "accounts", "sessions", "outbox", "slow_posts"})


class Place(msgspec.Struct):
    """One channel with people in it, seen through one connection that shows its plans."""

    connection: asyncpg.Connection
    stream: int
    people: Sequence[tuple[int, int, int]]
    """User, device, session."""
    last_number: int = 0

    def entries(self, operation: AnyOperation, number: int = 0) -> Columns:
        """The same from everybody: the next number of each, or one again."""
        if not number:
            self.last_number += 1
        return Columns([Entry(user, device, 0, number or self.last_number, 1, operation) for user, device, _ in self.people])


Work = Callable[[Place], Awaitable[object]]


async def post(place: Place) -> None:
    await place.entries(Say(place.stream, "hello")).append(place.connection)


async def post_again(place: Place) -> None:
    rows = await place.entries(Say(place.stream, "hello"), number=1).append(place.connection)
    assert all(row["replayed"] for row in rows)


async def react(place: Place) -> None:
    await place.entries(React(place.stream, 1, "+", True)).append(place.connection)


async def mark_read(place: Place) -> None:
    await place.entries(MarkRead(place.stream, 1)).append(place.connection)


async def mention(place: Place) -> None:
    await place.entries(Post(place.stream, "hello", 0, (place.people[0][0],))).append(place.connection)


async def post_slowly(place: Place) -> None:
    await place.connection.execute("update streams set slow_s = 3600 where id = $1", place.stream)
    for _ in range(2):
        await post(place)


async def append(place: Place) -> None:
    await append_events(place.connection, [event(place.stream, 0, Said("from the server"))], [place.stream])


async def change(place: Place) -> None:
    said = event(place.stream, 0, Said("from the server"))
    await finish(place.connection, None, Effect((said,), changes=(StreamChange(place.stream, slow_s=5),)))


async def attach(place: Place) -> None:
    await device_queries.attach(place.connection, [Attach(session, user, device, 1) for user, device, session in place.people])


async def borrow(place: Place) -> None:
    await device_queries.borrow(place.connection, [Borrow(session, user, device) for user, device, session in place.people])


async def read_generations(place: Place) -> None:
    await device_queries.read_generations(place.connection, [ReadGenerations(tuple(device for _, device, _ in place.people))])


async def read_after(place: Place) -> None:
    await queries.read_after(place.connection, [ReadAfter(place.stream, user, 0, 20, 9_999) for user, _, _ in place.people])


async def read_before(place: Place) -> None:
    await queries.read_before(place.connection, [ReadBefore(place.stream, user, 9, 20, 9_999) for user, _, _ in place.people])


async def check_audience(place: Place) -> None:
    await queries.check_audience(place.connection, [CheckAudience(place.stream, tuple(user for user, _, _ in place.people))])


async def read_heads(place: Place) -> None:
    await queries.read_heads(place.connection, [ReadHeads((place.stream,))])


async def recall_facts(place: Place) -> None:
    await recall(place.connection, [(place.stream, 1)])


APPENDS: tuple[Work, ...] = (post, react, mark_read, mention, post_slowly, append, change, attach)
"""What writes: functions, whose plans are kept for the life of a connection."""
READS: tuple[Work, ...] = (borrow, read_generations, read_after, read_before, check_audience, read_heads, recall_facts)


async def prepare(connection: asyncpg.Connection) -> Place:
    people = [
        tuple(row)
        for row in await connection.fetch(
            "with a as materialized (select c.user_id from generate_series(1, $1::integer) n"
            " cross join lateral create_account(('p' || n)::citext, 'P', 'x') c),"
            " d as (insert into devices (user_id) select user_id from a returning id, user_id)"
            " insert into sessions (user_id, device_id, expires_at) select user_id, id, now() + interval '1 day' from d"
            " returning user_id, device_id, id",
            PEOPLE,
        )
    ]
    space = await connection.fetchval(
        "insert into spaces (kind, name, created_by) values ($1, 'room', $2) returning id", SpaceKind.COMMUNITY, people[0][0]
    )
    await connection.execute(
        "insert into members (space_id, user_id, role) select $1, u, $3 from unnest($2::bigint[]) u",
        space,
        [user for user, _, _ in people],
        Role.LEARNER,
    )
    stream = await connection.fetchval(
        "insert into streams (space_id, kind, placement) values ($1, $2, $1) returning id", space, StreamKind.CHANNEL
    )
    return Place(connection, stream, people)


def walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from walk(child)


def walks_through(plan: dict[str, Any]) -> Iterator[str]:
    """What in a plan costs more the larger a table is."""
    for node in walk(plan["Plan"]):
        kind = node["Node Type"]
        if node.get("Relation Name") in GROWING and (
            kind == "Seq Scan" or (kind in ("Index Scan", "Index Only Scan") and "Index Cond" not in node)
        ):
            yield f"{kind} of {node['Relation Name']} in: {' '.join(plan['Query Text'].split())[:200]}"
        if kind == "Bitmap Index Scan" and "Index Cond" not in node and not node["Index Name"].startswith("pg_"):
            yield f"{kind} by {node['Index Name']}"


async def plans_of(dsn: str, works: Sequence[Work], *, before: Sequence[Work] = (), full: bool = False) -> list[dict[str, Any]]:
    """The plans of `works`, on a connection that does them first of all (`before` is done by another one), in tables that were vacuumed
    while they were empty, or (`full`) analysed with what is in them."""
    first, connection = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    try:
        await first.execute("vacuum analyze")
        place = await prepare(first)
        for work in before:
            await work(place)
        if full:
            await first.execute("analyze")
        told: list[str] = []
        connection.add_log_listener(lambda _, message: told.append(message.message))
        place.connection = connection
        for setting in ("log_min_duration = 0", "log_nested_statements = on", "log_format = json"):
            await connection.execute(f"load 'auto_explain'; set auto_explain.{setting}")
        await connection.execute("set client_min_messages = log")
        told.clear()
        for work in works:
            await work(place)
        await asyncio.sleep(0)
        return [msgspec.json.decode(message.partition("plan:")[2]) for message in told if "plan:" in message]
    finally:
        await connection.close()
        await first.close()


@pytest.mark.parametrize("work", APPENDS)
def test_an_append_planned_before_there_were_rows_walks_through_no_table(database: str, work: Work) -> None:
    plans = asyncio.run(plans_of(database, [work]))
    assert any(node.get("Relation Name") in GROWING for plan in plans for node in walk(plan["Plan"]))
    assert [bad for plan in plans for bad in walks_through(plan)] == []


def test_a_retry_planned_before_there_were_outcomes_walks_through_no_table(database: str) -> None:
    async def forget(place: Place) -> None:
        await post(place)
        await place.connection.execute("create table kept as select * from outcomes; truncate outcomes")
        await place.connection.execute("vacuum analyze outcomes")

    async def retry(place: Place) -> None:
        rows = await place.entries(Say(place.stream, "hello"), number=1).append(place.connection)
        assert not any(row["replayed"] for row in rows), "this database has kept no outcome"

    plans = asyncio.run(plans_of(database, [retry], before=[forget]))
    assert any(node.get("Relation Name") == "outcomes" for plan in plans for node in walk(plan["Plan"]))
    assert [bad for plan in plans for bad in walks_through(plan)] == []


def test_a_retry_is_answered_by_what_was_kept(database: str) -> None:
    asyncio.run(plans_of(database, [post_again], before=[post]))


@pytest.mark.parametrize("work", READS)
def test_a_read_walks_through_no_log(database: str, work: Work) -> None:
    async def fill(place: Place) -> None:
        for _ in range(50):
            await post(place)

    plans = asyncio.run(plans_of(database, [work], before=[fill], full=True))
    assert plans
    walked = [bad for plan in plans for bad in walks_through(plan)]
    assert [bad for bad in walked if " log " in bad or " outcomes " in bad] == []
