"""The bridge while its server dies, hangs and comes back."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import asyncpg
import pytest
import trio

from actors.storage_port import OutcomeUnknown, StorageError, Unavailable
from persistence.bridge import Bridge, BridgeOptions
from persistence.faults import Phase, translate
from supervisors.embedded_postgres import Postgres, PostgresOptions, start
from tests.fixtures_postgres import TEST_SETTINGS, execute, serving

DEADLINE_S = 30.0


@pytest.fixture(scope="module")
def mortal_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server of this module's own, to be killed."""
    server = start(PostgresOptions(tmp_path_factory.mktemp("mortal") / "postgres", settings=TEST_SETTINGS))
    yield server
    server.stop()


@pytest.fixture
def mortal(mortal_server: Postgres) -> Postgres:
    """The server, running, with a table `t` and nothing else."""
    if not mortal_server.running():
        mortal_server.restart()
    execute(mortal_server.dsn, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public", "CREATE TABLE t (n int)")
    return mortal_server


async def insert(connection: asyncpg.Connection, number: int) -> None:
    await connection.execute("INSERT INTO t VALUES ($1)", number)


async def stored(connection: asyncpg.Connection) -> list[int]:
    return [row["n"] for row in await connection.fetch("SELECT n FROM t")]


async def test_a_server_killed_under_load_heals_and_no_answer_was_a_lie(mortal: Postgres) -> None:
    said: dict[int, str] = {}
    enough, healed = trio.Event(), trio.Event()

    async with serving(Bridge(BridgeOptions(mortal.dsn, connections_max=4))) as bridge:

        async def post(first: int) -> None:
            number = first
            while not healed.is_set():

                async def work(connection: asyncpg.Connection, number: int = number) -> None:
                    await insert(connection, number)

                try:
                    await bridge.run(work, deadline_s=DEADLINE_S)
                    said[number] = "done"
                    if sum(answer == "done" for answer in said.values()) > 200:
                        enough.set()
                except StorageError as error:
                    said[number] = type(error).__name__
                    await trio.sleep(0.01)
                number += 8

        async with trio.open_nursery() as nursery:
            for first in range(8):
                nursery.start_soon(post, first)
            for _ in range(3):
                await enough.wait()
                await trio.to_thread.run_sync(mortal.kill)
                await trio.to_thread.run_sync(mortal.restart)
                await bridge.wait_ready(DEADLINE_S)
            healed.set()
        there = await bridge.run(stored, deadline_s=DEADLINE_S)

    assert len(there) == len(set(there))
    assert {number for number, answer in said.items() if answer == "done"} <= set(there)
    assert not {number for number, answer in said.items() if answer == "Unavailable"} & set(there)
    assert "Unavailable" in said.values()


async def test_a_server_that_hangs_costs_a_call_its_deadline_and_clean_up_and_not_more(mortal: Postgres) -> None:
    options = BridgeOptions(mortal.dsn, connections_max=2, clean_up_s=0.2)
    async with serving(Bridge(options)) as bridge:
        backend = await bridge.run(pid, deadline_s=DEADLINE_S)
        os.kill(backend, signal.SIGSTOP)
        try:
            # The stopped backend serves the newest idle connection: this call gets it, hangs, and is ended without its help.
            with pytest.raises(Unavailable, match="timeout"):
                await bridge.run(stored, deadline_s=0.1, readonly=True)
            assert await bridge.run(stored, deadline_s=DEADLINE_S, readonly=True) == []
        finally:
            os.kill(backend, signal.SIGCONT)


async def pid(connection: asyncpg.Connection) -> int:
    answer: int = await connection.fetchval("SELECT pg_backend_pid()")
    return answer


async def test_a_connection_cut_while_working_says_that_nothing_happened(mortal: Postgres) -> None:
    async def cut_own_throat(connection: asyncpg.Connection) -> None:
        await connection.execute("INSERT INTO t VALUES (1)")
        await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    async with serving(Bridge(BridgeOptions(mortal.dsn))) as bridge:
        with pytest.raises(Unavailable, match="lost"):
            await bridge.run(cut_own_throat, deadline_s=DEADLINE_S)
        with pytest.raises(OutcomeUnknown):
            await bridge.run(cut_own_throat, deadline_s=DEADLINE_S, isolation="none")
        # The second one's insert had committed by itself: "unknown" was the honest word.
        assert await bridge.run(stored, deadline_s=DEADLINE_S) == [1]


async def test_a_connection_cut_while_committing_leaves_the_outcome_unknown(mortal: Postgres) -> None:
    async def arm(connection: asyncpg.Connection) -> None:
        await connection.execute(
            """CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(10); RETURN NULL; END $$"""
        )
        await connection.execute(
            "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON t INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()"
        )

    async def doomed(connection: asyncpg.Connection) -> None:
        await insert(connection, 1)

    async with serving(Bridge(BridgeOptions(mortal.dsn))) as bridge:
        await bridge.run(arm, deadline_s=DEADLINE_S)
        with pytest.raises(OutcomeUnknown, match="lost"):
            await bridge.run(doomed, deadline_s=DEADLINE_S)


async def test_a_deadlock_is_a_conflict_that_changed_nothing(mortal: Postgres) -> None:
    async def fill(connection: asyncpg.Connection) -> None:
        await connection.execute("CREATE TABLE pair (k int PRIMARY KEY, n int DEFAULT 0)")
        await connection.execute("INSERT INTO pair VALUES (1), (2)")

    both_hold_one = asyncio.Barrier(2)
    told: list[str] = []

    async with serving(Bridge(BridgeOptions(mortal.dsn))) as bridge:
        await bridge.run(fill, deadline_s=DEADLINE_S)

        async def crosswise(mine: int) -> None:
            async def work(connection: asyncpg.Connection) -> None:
                await connection.execute("UPDATE pair SET n = n + 1 WHERE k = $1", mine)
                await both_hold_one.wait()
                await connection.execute("UPDATE pair SET n = n + 1 WHERE k = $1", 3 - mine)

            try:
                await bridge.run(work, deadline_s=DEADLINE_S)
            except Unavailable as error:
                told.append(error.reason)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(crosswise, 1)
            nursery.start_soon(crosswise, 2)
    assert told == ["conflict"]


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("readonly", [True, False])
def test_only_a_loss_while_committing_a_change_is_unknown(phase: Phase, readonly: bool) -> None:
    lost = asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
    told = translate(lost, phase, readonly=readonly, connection_closed=True)
    assert isinstance(told, OutcomeUnknown) == (phase is Phase.COMMITTING and not readonly)
    assert isinstance(told, StorageError)


@pytest.mark.parametrize(
    "error", [ValueError("no"), FileNotFoundError("mine"), TimeoutError("mine"), asyncpg.UniqueViolationError("twice")]
)
def test_what_the_work_itself_raised_is_left_alone(error: Exception) -> None:
    assert translate(error, Phase.WORKING, readonly=False, connection_closed=False) is error


@pytest.mark.parametrize("phase", [Phase.WORKING, Phase.COMMITTING])
@pytest.mark.parametrize("error", [asyncpg.DiskFullError("no space left"), asyncpg.PostgresIOError("could not read block 7")])
def test_a_full_or_broken_disk_is_the_worlds_fault_and_not_the_entrys(error: Exception, phase: Phase) -> None:
    """Taken for the entry's own, it would be refused for good, and its author told that it cannot be stored."""
    told = translate(error, phase, readonly=False, connection_closed=False)
    assert isinstance(told, Unavailable)
    assert told.reason == "exhausted"
