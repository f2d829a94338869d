"""The bridge: answers, bounds, cancellation and context, against a real server."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import outcome
import pytest
import trio

from actors.storage_port import Busy, OutcomeUnknown, Unavailable
from persistence.bridge import Bridge, BridgeOptions
from persistence.lanes import Isolation, Lane, LaneOptions, Progress, Work
from supervisors.embedded_postgres import Postgres

DEADLINE_S = 30.0


@pytest.fixture
async def empty(empty_database: str) -> AsyncIterator[Bridge]:
    """A bridge of four connections to an empty database."""
    bridge = Bridge(BridgeOptions(empty_database, connections_max=4, calls_max=300))
    async with trio.open_nursery() as nursery:
        await nursery.start(bridge.serve)
        yield bridge
        nursery.cancel_scope.cancel()


def value(sql: str, *args: Any) -> Work[Any]:
    async def work(connection: asyncpg.Connection) -> Any:
        return await connection.fetchval(sql, *args)

    return work


def script(*statements: str) -> Work[None]:
    async def work(connection: asyncpg.Connection) -> None:
        for statement in statements:
            await connection.execute(statement)

    return work


async def test_work_is_committed_and_its_value_returned(empty: Bridge) -> None:
    await empty.run(script("CREATE TABLE t (n int)", "INSERT INTO t VALUES (7)"), deadline_s=DEADLINE_S)
    assert await empty.run(value("SELECT n FROM t"), deadline_s=DEADLINE_S, readonly=True) == 7


async def test_an_error_in_the_work_passes_through_and_undoes_it(empty: Bridge) -> None:
    await empty.run(script("CREATE TABLE t (n int PRIMARY KEY)"), deadline_s=DEADLINE_S)
    with pytest.raises(asyncpg.UniqueViolationError):
        await empty.run(script("INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (1)"), deadline_s=DEADLINE_S)

    class Domain(Exception):
        pass

    async def refuse(connection: asyncpg.Connection) -> None:
        await connection.execute("INSERT INTO t VALUES (2)")
        raise Domain

    with pytest.raises(Domain):
        await empty.run(refuse, deadline_s=DEADLINE_S)
    assert await empty.run(value("SELECT count(*) FROM t"), deadline_s=DEADLINE_S) == 0


async def test_readonly_work_cannot_write_and_that_is_its_own_fault(empty: Bridge) -> None:
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await empty.run(script("CREATE TABLE t (n int)"), deadline_s=DEADLINE_S, readonly=True)


@pytest.mark.parametrize(("isolation", "seen"), [("snapshot", [0, 0]), ("read_committed", [0, 1])])
async def test_a_snapshot_sees_one_moment_and_read_committed_each_statements_own(
    empty: Bridge, isolation: Isolation, seen: list[int]
) -> None:
    await empty.run(script("CREATE TABLE t (n int)"), deadline_s=DEADLINE_S)
    gate = empty.dedicated("gate")
    await gate.run(script("SELECT pg_advisory_lock(1)"), deadline_s=DEADLINE_S, isolation="none")
    token, looked_once, counts = trio.lowlevel.current_trio_token(), trio.Event(), []

    async def look(connection: asyncpg.Connection) -> None:
        counts.append(await connection.fetchval("SELECT count(*) FROM t"))
        token.run_sync_soon(looked_once.set)
        await connection.execute("SELECT pg_advisory_xact_lock(1)")
        counts.append(await connection.fetchval("SELECT count(*) FROM t"))

    async def looker() -> None:
        await empty.run(look, deadline_s=DEADLINE_S, readonly=True, isolation=isolation)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(looker)
        await looked_once.wait()
        await empty.run(script("INSERT INTO t VALUES (1)"), deadline_s=DEADLINE_S)
        await gate.run(script("SELECT pg_advisory_unlock(1)"), deadline_s=DEADLINE_S, isolation="none")
    assert counts == seen


async def test_a_deadline_ends_the_query_on_the_server_and_says_that_nothing_happened(empty: Bridge) -> None:
    await empty.run(script("CREATE TABLE t (n int)"), deadline_s=DEADLINE_S)
    with pytest.raises(Unavailable, match="timeout"):
        await empty.run(script("INSERT INTO t VALUES (1)", "SELECT pg_sleep(60)"), deadline_s=0.05)
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)' AND state = 'active'"
    assert await empty.run(value(running), deadline_s=DEADLINE_S) == 0
    assert await empty.run(value("SELECT count(*) FROM t"), deadline_s=DEADLINE_S) == 0


async def test_a_deadline_without_a_transaction_leaves_the_outcome_unknown(empty: Bridge) -> None:
    with pytest.raises(OutcomeUnknown):
        await empty.run(script("SELECT pg_sleep(60)"), deadline_s=0.05, isolation="none")


async def test_waiting_for_a_connection_counts_against_the_deadline(empty: Bridge) -> None:
    lane = empty.dedicated("one")
    holder = lane.submit(script("SELECT pg_sleep(60)"), lambda _: None, deadline_s=DEADLINE_S)
    with pytest.raises(Unavailable, match="timeout"):
        await lane.run(value("SELECT 1"), deadline_s=0.05)
    holder.cancel()
    assert await lane.run(value("SELECT 2"), deadline_s=DEADLINE_S) == 2


async def test_at_the_bound_a_call_is_refused_as_busy_and_the_others_are_served(empty_database: str) -> None:
    bridge = Bridge(BridgeOptions(empty_database, connections_max=2, calls_max=5))
    answers: list[outcome.Outcome[Any]] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(bridge.serve)
        for number in range(5):
            bridge.submit(value("SELECT $1::int", number), answers.append, deadline_s=DEADLINE_S)
        with pytest.raises(Busy):
            bridge.submit(value("SELECT 6"), answers.append, deadline_s=DEADLINE_S)
        with pytest.raises(Busy):
            await bridge.run(value("SELECT 7"), deadline_s=DEADLINE_S)
        while len(answers) < 5:
            await trio.lowlevel.checkpoint()
        assert await bridge.run(value("SELECT 8"), deadline_s=DEADLINE_S) == 8
        nursery.cancel_scope.cancel()
    assert sorted(answer.unwrap() for answer in answers) == [0, 1, 2, 3, 4]


async def test_a_dedicated_lane_runs_its_calls_one_at_a_time_in_order_on_one_connection(empty: Bridge) -> None:
    lane = empty.dedicated("journal")
    await lane.run(script("CREATE TABLE t (id serial, n int, pid int)"), deadline_s=DEADLINE_S)
    done: list[int] = []
    for number in range(50):
        lane.submit(
            value("INSERT INTO t (n, pid) VALUES ($1, pg_backend_pid()) RETURNING n", number),
            lambda answer: done.append(answer.unwrap()),
            deadline_s=DEADLINE_S,
        )
    pids = await lane.run(value("SELECT count(DISTINCT pid) FROM t"), deadline_s=DEADLINE_S)
    assert done == list(range(50))
    assert pids == 1


async def test_context_variables_do_not_leak_between_callers(empty: Bridge) -> None:
    whose: contextvars.ContextVar[int] = contextvars.ContextVar("whose", default=-1)
    wrong: list[tuple[int, int]] = []

    async def ask(number: int) -> None:
        whose.set(number)

        async def work(connection: asyncpg.Connection) -> int:
            before = whose.get()
            await connection.fetchval("SELECT pg_sleep(0.001)")
            assert whose.get() == before
            whose.set(1000 + number)
            return before

        seen = await empty.run(work, deadline_s=DEADLINE_S)
        if seen != number or whose.get() != number:
            wrong.append((number, seen))

    async with trio.open_nursery() as nursery:
        for number in range(100):
            nursery.start_soon(ask, number)
    assert wrong == []


async def test_hundreds_of_randomly_cancelled_calls_mix_up_no_results_and_leak_no_connections(empty: Bridge) -> None:
    draw = random.Random(20261122)
    await empty.run(script("CREATE TABLE t (n int PRIMARY KEY)"), deadline_s=DEADLINE_S)
    finished: set[int] = set()
    wrong: list[tuple[int, int]] = []

    async def ask(number: int) -> None:
        async def work(connection: asyncpg.Connection) -> int:
            await connection.execute("INSERT INTO t VALUES ($1)", number)
            answer: int = await connection.fetchval("SELECT $1::int FROM pg_sleep($2)", number, draw.random() * 0.02)
            return answer

        # Some are never cancelled and some at once, so that on any machine there are both.
        patience_s = (DEADLINE_S, 0.0, *(draw.random() * 0.3 for _ in range(3)))[number % 5]
        with trio.move_on_after(patience_s):
            answer = await empty.run(work, deadline_s=DEADLINE_S)
            finished.add(number)
            if answer != number:
                wrong.append((number, answer))

    async with trio.open_nursery() as nursery:
        for number in range(250):
            nursery.start_soon(ask, number)
    assert wrong == []
    assert finished >= set(range(0, 250, 5)) and not finished & set(range(1, 250, 5))
    stored = await empty.run(value("SELECT array_agg(n) FROM t"), deadline_s=DEADLINE_S)
    assert finished <= set(stored)
    backends = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    assert await empty.run(value(backends), deadline_s=DEADLINE_S) <= 4
    idle = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"
    assert await empty.run(value(idle), deadline_s=DEADLINE_S) == 0


def test_a_begin_that_the_server_refuses_spoils_no_connection(empty_database: str) -> None:
    """A cancel request that comes late hits the next statement, and that may be a BEGIN: asyncpg then remembers a transaction that never
    began, and would begin every later one as a savepoint inside it.
    """

    async def under_cancel_requests() -> None:
        lane, killer = Lane(LaneOptions("test", empty_database, 1)), await asyncpg.connect(empty_database)
        ended = 0
        try:
            while ended < 20:
                pid = await lane.perform(value("SELECT pg_backend_pid()"), "read_committed", False, Progress())
                storm = asyncio.create_task(
                    killer.execute("SELECT pg_cancel_backend($1::int), pg_sleep(0.0001) FROM generate_series(1, 100)", pid)
                )
                while not storm.done():
                    try:
                        assert await lane.perform(value("SELECT 1"), "read_committed", False, Progress()) == 1
                    except asyncpg.QueryCanceledError:
                        ended += 1
                assert await lane.perform(value("SELECT 2"), "read_committed", False, Progress()) == 2
        finally:
            lane.close()
            await killer.close()

    asyncio.run(under_cancel_requests())


async def test_a_cancelled_scope_leaves_no_query_behind(empty: Bridge) -> None:
    token = trio.lowlevel.current_trio_token()
    sleeping = trio.Event()

    async def work(connection: asyncpg.Connection) -> None:
        token.run_sync_soon(sleeping.set)
        await connection.execute("SELECT pg_sleep(61)")

    async with trio.open_nursery() as nursery:

        async def body() -> None:
            await empty.run(work, deadline_s=DEADLINE_S)

        nursery.start_soon(body)
        await sleeping.wait()
        nursery.cancel_scope.cancel()
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(61)' AND state = 'active'"
    # Where the cancellation took longer than it may, the connection was cut, and its server notices a moment later.
    with trio.fail_after(10):
        while await empty.run(value(running), deadline_s=DEADLINE_S):  # noqa: ASYNC110 - it is another process that ends
            await trio.sleep(0.05)


async def test_stopping_answers_every_call_and_afterwards_calls_are_refused(empty_database: str) -> None:
    bridge = Bridge(BridgeOptions(empty_database, connections_max=2))
    answers: list[outcome.Outcome[Any]] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(bridge.serve)
        await bridge.wait_ready(DEADLINE_S)
        for _ in range(20):
            bridge.submit(value("SELECT pg_sleep(60)"), answers.append, deadline_s=DEADLINE_S)
        nursery.cancel_scope.cancel()
    assert len(answers) == 20
    for answer in answers:
        with pytest.raises(Unavailable, match="closed"):
            answer.unwrap()
    with pytest.raises(Unavailable, match="closed"):
        await bridge.run(value("SELECT 1"), deadline_s=DEADLINE_S)


async def test_a_bridge_serves_again_after_it_was_stopped(empty_database: str) -> None:
    bridge = Bridge(BridgeOptions(empty_database))
    for number in range(3):
        async with trio.open_nursery() as nursery:
            await nursery.start(bridge.serve)
            assert await bridge.run(value("SELECT $1::int", number), deadline_s=DEADLINE_S) == number
            nursery.cancel_scope.cancel()


async def test_an_on_done_that_raises_stops_the_bridge_for_its_supervisor_and_not_trio(empty_database: str) -> None:
    bridge = Bridge(BridgeOptions(empty_database))

    def fail(answer: outcome.Outcome[Any]) -> None:
        raise ZeroDivisionError

    with pytest.RaisesGroup(pytest.RaisesGroup(ZeroDivisionError)):
        async with trio.open_nursery() as nursery:
            await nursery.start(bridge.serve)
            bridge.submit(value("SELECT 1"), fail, deadline_s=DEADLINE_S)


async def test_reads_of_the_replica_pool_go_to_the_replica_and_to_the_primary_when_it_is_gone(
    postgres_server: Postgres, empty_database: str
) -> None:
    name = "SELECT current_setting('application_name')"
    reached = Bridge(BridgeOptions(empty_database, replica_dsn=postgres_server.dsn))
    gone = Bridge(BridgeOptions(empty_database, replica_dsn="postgresql://x@/x?host=%2Fnowhere"))
    none = Bridge(BridgeOptions(empty_database))
    seen = []
    for bridge in (reached, gone, none):
        async with trio.open_nursery() as nursery:
            await nursery.start(bridge.serve)
            seen.append(await bridge.run(value(name), deadline_s=DEADLINE_S, readonly=True, pool="replica"))
            nursery.cancel_scope.cancel()
    assert seen == ["educonnect replica", "educonnect primary", "educonnect primary"]


@pytest.mark.parametrize(
    ("dsn", "reason"),
    [
        ("postgresql://x@127.0.0.1:1/x?sslmode=disable", "refused"),
        ("postgresql://x@/x?host=%2Fnowhere", "no such file"),
        ("MISSING", "database missing"),
        ("NOBODY", "authentication"),
    ],
)
async def test_waiting_for_readiness_says_plainly_what_is_wrong(postgres_server: Postgres, dsn: str, reason: str) -> None:
    dsn = {
        "MISSING": postgres_server.dsn_for("not_there"),
        "NOBODY": postgres_server.dsn.replace("educonnect@", "nobody_of_that_name@", 1),
    }.get(dsn, dsn)
    bridge = Bridge(BridgeOptions(dsn))
    async with trio.open_nursery() as nursery:
        await nursery.start(bridge.serve)
        with pytest.raises(Unavailable) as caught:
            await bridge.wait_ready(0.3)
        nursery.cancel_scope.cancel()
    assert caught.value.reason == reason
