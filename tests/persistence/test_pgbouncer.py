"""The bridge through a real PgBouncer that pools transactions."""

from __future__ import annotations

import asyncio
import os
import pwd
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import trio
import trio.testing

from actors.storage import Answered, Events, Fact, ReadAfter
from actors.storage_port import StorageError
from persistence.bridge import Bridge, BridgeOptions
from persistence.control import ControlReader
from persistence.lanes import Lane, LaneOptions, Progress
from persistence.migrate import migrate
from persistence.outbox import Outbox
from persistence.store import Store
from protocol.codec import decode_body
from protocol.codes import Code
from protocol.events import Mentioned
from protocol.operations import Post, Remove, Say
from supervisors.embedded_postgres import Postgres, PostgresOptions, start
from tests.fixtures_postgres import TEST_SETTINGS, serving
from tests.needs import require
from tests.persistence.world import Mailbox, Person, World, world

DEADLINE_S = 30.0
SERVERS = 3  # fewer than clients, so that transactions of one client meet several servers


@pytest.fixture(scope="session")
def direct(tmp_path_factory: pytest.TempPathFactory, free_port: int) -> Iterator[Postgres]:
    server = start(PostgresOptions(tmp_path_factory.mktemp("behind"), port=free_port, settings=TEST_SETTINGS))
    yield server
    server.stop()


class Bouncer:
    """A running pgbouncer, as an unprivileged user, on a unix socket in a folder of its own."""

    def __init__(self, program: str, server: Postgres) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="educonnect-bouncer-"))
        self.dsn = f"postgresql://educonnect@/postgres?host={self.folder}&port=6432"
        target = server.loopback_dsn_for("postgres").removeprefix("postgresql://educonnect:")
        password, _, rest = target.partition("@")
        host, port = rest.partition("/")[0].split(":")
        (self.folder / "pgbouncer.ini").write_text(
            f"""[databases]
postgres = host={host} port={port} user=educonnect password={password}
[pgbouncer]
listen_addr =
unix_socket_dir = {self.folder}
listen_port = 6432
auth_type = any
pool_mode = transaction
default_pool_size = {SERVERS}
max_client_conn = 200
"""
        )
        user = None
        if os.geteuid() == 0:  # pgbouncer refuses to be root
            user = pwd.getpwnam("nobody")
            for path in (self.folder, self.folder / "pgbouncer.ini"):
                os.chown(path, user.pw_uid, user.pw_gid)
        self.process = subprocess.Popen(
            [program, "-q", str(self.folder / "pgbouncer.ini")],
            user=user and user.pw_uid,
            group=user and user.pw_gid,
            extra_groups=user and [],
            cwd="/",
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + DEADLINE_S
        while not (self.folder / ".s.PGSQL.6432").exists() and time.monotonic() < deadline:
            time.sleep(0.01)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(10)
        shutil.rmtree(self.folder)


@pytest.fixture
def pooled_dsn(direct: Postgres) -> Iterator[str]:
    bouncer = Bouncer(require("pgbouncer", "Postgres behind a pooler of transactions"), direct)
    yield bouncer.dsn
    bouncer.stop()


async def test_hundreds_of_calls_of_many_clients_share_few_servers_without_mixing_up_results(pooled_dsn: str) -> None:
    wrong: list[tuple[int, int, str]] = []
    servers: set[int] = set()

    async with (
        serving(Bridge(BridgeOptions(pooled_dsn, pooler=True, connections_max=10))) as one,
        serving(Bridge(BridgeOptions(pooled_dsn, pooler=True, connections_max=10))) as two,
    ):
        await one.wait_ready(DEADLINE_S)

        async def ask(number: int) -> None:
            bridge = one if number % 2 else two

            async def work(connection: asyncpg.Connection) -> tuple[int, str, int]:
                # Differently shaped statements: a prepared one of another client would show at once.
                first = await connection.fetchval("SELECT $1::int + 1", number)
                second = await connection.fetchval("SELECT repeat($1::text, $2::int)", "x", number % 5)
                return first, second, await connection.fetchval("SELECT pg_backend_pid()")

            isolation = "none" if number % 3 else "read_committed"
            first, second, server = await bridge.run(work, deadline_s=DEADLINE_S, isolation=isolation)  # type: ignore[arg-type]
            servers.add(server)
            if (first, second) != (number + 1, "x" * (number % 5)):
                wrong.append((number, first, second))

        async with trio.open_nursery() as nursery:
            for number in range(600):
                nursery.start_soon(ask, number)
    assert wrong == []
    assert 1 < len(servers) <= SERVERS


async def test_cancelled_calls_through_the_pooler_hurt_nobody_else(pooled_dsn: str) -> None:
    draw = random.Random(7)
    finished: list[int] = []
    hurt: list[StorageError] = []

    async with serving(Bridge(BridgeOptions(pooled_dsn, pooler=True, connections_max=10))) as bridge:
        await bridge.wait_ready(DEADLINE_S)

        async def ask(number: int, patience_s: float) -> None:
            async def work(connection: asyncpg.Connection) -> int:
                answer: int = await connection.fetchval("SELECT $1::int FROM pg_sleep(0.002)", number)
                return answer

            with trio.move_on_after(patience_s):
                try:
                    assert await bridge.run(work, deadline_s=DEADLINE_S) == number
                    finished.append(number)
                except StorageError as error:
                    hurt.append(error)

        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(ask, number, draw.random() * 0.1)
                nursery.start_soon(ask, 1000 + number, DEADLINE_S)
    assert hurt == []
    assert sum(number >= 1000 for number in finished) == 100


async def test_journals_store_outbox_and_control_work_behind_the_pooler(pooled_dsn: str, direct: Postgres) -> None:
    """The whole of persistence, twice, over three servers: one order, nothing lost, mentions delivered, revocations heard."""
    await migrate(direct.dsn)
    options = BridgeOptions(pooled_dsn, pooler=True, connections_max=4)
    heard: list[Fact] = []
    async with serving(Bridge(options)) as here, serving(Bridge(options)) as there, world(here) as one, world(there) as two:
        await here.wait_ready(DEADLINE_S)
        ada, ben = await one.person("ada"), await two.person("ben")
        _, _, channel = await one.community(ada, ben)
        async with trio.open_nursery() as nursery:
            store, control, outbox = Store(there), ControlReader(there, heard.extend), Outbox(there, two.herald)
            await nursery.start(store.serve)
            await nursery.start(control.serve)

            async def talk(place: World, person: Person) -> None:
                for n in range(60):
                    await place.ok(person, Say(channel, f"{person.name} {n}"))

            async with trio.open_nursery() as talking:
                talking.start_soon(talk, one, ada)
                talking.start_soon(talk, two, ben)
            await one.ok(ada, Post(channel, "@ben", mentions=(ben.user,)))
            await outbox.drain()

            reply: Mailbox[Answered] = Mailbox()
            store.ask(ReadAfter(channel, ben.user, 0, 500, 1 << 20), 1, reply)
            store.ask(ReadAfter(ben.inbox, ben.user, 0, 500, 1 << 20), 2, reply)
            answers = {answer.ticket: answer.result for answer in await reply.wait(2)}
            posts, inbox = answers[1], answers[2]
            assert isinstance(posts, Events) and isinstance(inbox, Events)
            assert [row.seq for row in posts.rows] == list(range(1, 122))
            assert decode_body(inbox.rows[-1].body) == Mentioned(channel, 121, ada.user)

            await one.ok(ada, Remove((await one.column("select space_id from streams where id = $1", channel))[0], ben.user))
            with trio.fail_after(DEADLINE_S):
                while not heard:
                    await trio.testing.wait_all_tasks_blocked(0.05)
            assert (await two.ask(ben, Say(channel, "may I?"))).code is Code.NOT_FOUND
            nursery.cancel_scope.cancel()


async def ask_server(connection: asyncpg.Connection) -> int:
    """The process of the server that works for this connection now."""
    answer: int = await connection.fetchval("SELECT pg_backend_pid()")
    return answer


def test_without_the_setting_prepared_statements_do_fail_behind_the_pooler(pooled_dsn: str) -> None:
    """The control: what the setting `pooler` protects from is real here: what we prepared is on a server that another has now."""

    async def come_back_to_another_server() -> None:
        lane = Lane(LaneOptions("test", pooled_dsn, 1, session_settings=()))
        others = [await asyncpg.connect(pooled_dsn, statement_cache_size=0) for _ in range(SERVERS)]
        try:
            ours = await lane.perform(ask_server, "read_committed", False, Progress())
            for other in others:
                await other.execute("BEGIN")
                if await other.fetchval("SELECT pg_backend_pid()") == ours:
                    break
            else:
                pytest.fail("none of the others met the server")
            for idle in others[: others.index(other)]:
                await idle.execute("ROLLBACK")
            with pytest.raises(asyncpg.InvalidSQLStatementNameError):
                await lane.perform(ask_server, "read_committed", False, Progress())
            await other.execute("ROLLBACK")
        finally:
            for other in others:
                await other.close()
            lane.close()

    asyncio.run(come_back_to_another_server())
