"""The embedded server: starts as anybody, survives any end, and never outlives its owner."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import asyncpg
import pytest
import trio

from persistence.bridge import Bridge, BridgeOptions
from supervisors import embedded_postgres
from supervisors.embedded_postgres import FolderInUse, Postgres, PostgresFailed, PostgresOptions, serve_postgres, start
from tests.fixtures_postgres import TEST_SETTINGS, execute, free_port, serving

__all__ = ["free_port"]

SYSTEM_PYTHON = Path("/usr/bin/python3")


def options(folder: Path, **changes: str) -> PostgresOptions:
    return PostgresOptions(folder / "data", settings={**TEST_SETTINGS, **changes})


def test_what_was_committed_survives_a_kill_and_the_dsn_stays(tmp_path: Path) -> None:
    server = start(options(tmp_path, fsync="on"))
    try:
        dsn = server.dsn
        execute(dsn, "CREATE TABLE t (n int)", "INSERT INTO t VALUES (1)")
        server.kill()
        server.restart()
        assert server.dsn == dsn
        execute(dsn, "INSERT INTO t VALUES (2)")
        server.stop()
        assert not server.running()
        server = start(options(tmp_path))
        execute(dsn, "DO $$ BEGIN ASSERT (SELECT sum(n) FROM t) = 3; END $$")
    finally:
        server.stop()


def test_a_folder_has_one_owner(tmp_path: Path) -> None:
    server = start(options(tmp_path))
    try:
        with pytest.raises(FolderInUse, match=f"process {os.getpid()}"):
            start(options(tmp_path))
        execute(server.dsn, "SELECT 1")
    finally:
        server.stop()


def test_lock_files_of_an_unclean_stop_do_not_matter_even_if_their_number_lives_on(tmp_path: Path) -> None:
    server = start(options(tmp_path))
    server.kill()
    server.stop()
    # After a reboot or in a container, the old number is some other living process of the same user: ours will do.
    mine = server.socket_dir / ".s.PGSQL.5432.lock"
    for left in (tmp_path / "data" / "cluster" / "postmaster.pid", mine):
        left.write_text(left.read_text().replace(str(server.pid), str(os.getppid()), 1))
    server = start(options(tmp_path))
    server.stop()


def test_the_server_stops_when_its_owner_is_killed_and_the_next_owner_takes_over(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from supervisors.embedded_postgres import *;"
        f"server = start(PostgresOptions(Path({str(tmp_path / 'data')!r}), settings={TEST_SETTINGS!r}));"
        "print(server.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        orphan = int(owner.stdout.readline())
        owner.kill()
    server = start(options(tmp_path))
    try:
        assert not alive(orphan)
        execute(server.dsn, "SELECT 1")
    finally:
        server.stop()


def test_a_server_outlives_the_thread_that_asked_for_it(tmp_path: Path) -> None:
    started: list[Postgres] = []
    thread = threading.Thread(target=lambda: started.append(start(options(tmp_path))))
    thread.start()
    thread.join()
    try:
        # What the parent's death sets off, the thread's must not: a fast shutdown would end this session.
        execute(started[0].dsn, "SELECT pg_sleep(0.1)")
        assert started[0].running()
    finally:
        started[0].stop()


def test_a_data_folder_too_deep_for_a_socket_gets_a_short_one(tmp_path: Path) -> None:
    server = start(options(tmp_path / ("d" * 120)))
    try:
        assert len(str(server.socket_dir)) < 60
        assert stat.S_IMODE(server.socket_dir.stat().st_mode) == 0o700
        execute(server.dsn, "SELECT 1")
    finally:
        server.stop()
        server.socket_dir.rmdir()


def test_the_loopback_port_asks_for_the_password(tmp_path: Path, free_port: int) -> None:
    server = start(PostgresOptions(tmp_path / "data", port=free_port, settings=TEST_SETTINGS))
    try:
        execute(server.loopback_dsn_for("postgres"), "SELECT 1")
        with pytest.raises(asyncpg.InvalidPasswordError):
            execute(f"postgresql://educonnect:guess@127.0.0.1:{free_port}/postgres", "SELECT 1")
    finally:
        server.stop()


def test_durability_is_on_unless_somebody_turns_it_off(tmp_path: Path) -> None:
    server = start(PostgresOptions(tmp_path / "data"))
    try:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            execute(server.dsn, f"DO $$ BEGIN ASSERT current_setting('{name}') = 'on'; END $$")
    finally:
        server.stop()


def test_a_wrong_setting_is_told_with_the_servers_own_words(tmp_path: Path) -> None:
    with pytest.raises(PostgresFailed, match="shared_buffers"):
        start(options(tmp_path, shared_buffers="none"))
    # The folder is free again.
    start(options(tmp_path)).stop()


@pytest.mark.skipif(os.geteuid() != 0 or not SYSTEM_PYTHON.exists(), reason="only root can become somebody else")
def test_as_root_the_server_runs_as_somebody_else_where_that_one_can_reach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001 and folder.stat().st_uid == 0:
            folder.chmod(0o711)
    # The tether is the one thing that needs an interpreter, and a version manager's may be in root's own home.
    monkeypatch.setattr(sys, "executable", str(SYSTEM_PYTHON))
    before = stat.S_IMODE(tmp_path.stat().st_mode)
    server = start(options(tmp_path))
    try:
        assert Path(f"/proc/{server.pid}").stat().st_uid == server.account[0] != 0
        execute(server.dsn, "SELECT 1")
        assert stat.S_IMODE(tmp_path.stat().st_mode) == before
    finally:
        server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs a user namespace")
def test_as_root_the_server_runs_in_a_user_namespace_where_nobody_else_may_enter(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = start(options(closed))
    try:
        assert server.account[0] == 0
        execute(server.dsn, "SELECT 1")
    finally:
        server.stop()


async def test_a_supervised_server_accepts_when_started_and_is_gone_when_cancelled(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        dsn: str = await nursery.start(serve_postgres, options(tmp_path))
        async with serving(Bridge(BridgeOptions(dsn))) as bridge:
            await bridge.run(ask, deadline_s=30.0)
        pid = postmaster(tmp_path)
        nursery.cancel_scope.cancel()
    assert not alive(pid)


async def test_a_server_that_ends_by_itself_tells_its_supervisor_and_comes_back_at_the_same_dsn(tmp_path: Path) -> None:
    dsns = []
    for _ in range(2):
        with pytest.RaisesGroup(pytest.RaisesExc(PostgresFailed, match="status -9")):
            async with trio.open_nursery() as nursery:
                dsns.append(await nursery.start(serve_postgres, options(tmp_path)))
                os.kill(postmaster(tmp_path), signal.SIGKILL)
    assert dsns[0] == dsns[1]


async def test_a_cancelled_start_leaves_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pids: list[int] = []

    def never(process: subprocess.Popen[bytes], place: object) -> bool:
        pids.append(process.pid)
        return False

    start(options(tmp_path)).stop()
    monkeypatch.setattr(embedded_postgres, "_accepting", never)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_postgres, options(tmp_path))
        while not pids:
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert not alive(pids[0])


async def ask(connection: asyncpg.Connection) -> None:
    await connection.execute("SELECT 1")


def postmaster(folder: Path) -> int:
    return int((folder / "data" / "cluster" / "postmaster.pid").read_text().split("\n", 1)[0])


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and only waits to be collected does not."""
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
