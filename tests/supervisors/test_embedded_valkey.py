"""Claims about the embedded Valkey: every test starts real processes and ends them by pid."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import redis
import trio

from supervisors import embedded_valkey
from supervisors.embedded_valkey import (
    SOCKET_PATH_BYTES_MAX,
    ValkeyExited,
    ValkeyOptions,
    ValkeyRunning,
    serve_valkey,
    start_valkey,
    stop_valkey,
)

PATIENCE_S = 20.0


def ping(url: str) -> bool:
    with redis.Redis.from_url(url) as client:
        return bool(client.ping())


async def serve_until_it_ends(options: ValkeyOptions, *, task_status: trio.TaskStatus[embedded_valkey.ValkeyAddress]) -> None:
    with suppress(ValkeyExited):
        await serve_valkey(options, task_status=task_status)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_it_has_started_when_it_answers(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        address = await nursery.start(serve_valkey, ValkeyOptions(tmp_path))
        assert ping(address.url)
        nursery.cancel_scope.cancel()


async def test_cancelling_stops_the_process_and_leaves_no_socket(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        address = await nursery.start(serve_valkey, ValkeyOptions(tmp_path))
        nursery.cancel_scope.cancel()
    assert not is_alive(address.pid)
    assert not address.socket_path.exists()


async def test_a_server_that_ends_by_itself_is_reported_with_its_cause(tmp_path: Path) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(ValkeyExited, match="SIGKILL")):
        async with trio.open_nursery() as nursery:
            address = await nursery.start(serve_valkey, ValkeyOptions(tmp_path))
            os.kill(address.pid, signal.SIGKILL)


async def test_an_option_that_valkey_refuses_is_reported_with_its_log(tmp_path: Path) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(ValkeyExited, match="ACL")):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_valkey, ValkeyOptions(tmp_path, arguments=("--user", "no such syntax")))


async def test_after_an_unclean_stop_the_next_start_replaces_the_stale_socket(tmp_path: Path) -> None:
    options = ValkeyOptions(tmp_path)
    async with trio.open_nursery() as nursery:
        first = await nursery.start(serve_until_it_ends, options)
        os.kill(first.pid, signal.SIGKILL)
        assert first.socket_path.exists()
        second = await nursery.start(serve_valkey, options)
        assert second.pid != first.pid
        assert ping(second.url)
        nursery.cancel_scope.cancel()


async def test_a_folder_has_one_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_valkey, "LOCK_S", 0.02)
    async with trio.open_nursery() as nursery:
        address = await nursery.start(serve_valkey, ValkeyOptions(tmp_path))
        with pytest.raises(ValkeyRunning):
            start_valkey(ValkeyOptions(tmp_path))
        with pytest.raises(ValkeyRunning):
            await serve_valkey(ValkeyOptions(tmp_path))
        assert ping(address.url)
        nursery.cancel_scope.cancel()


async def test_a_server_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            address = await nursery.start(serve_valkey, ValkeyOptions(tmp_path, stop_s=0.05))
            os.kill(address.pid, signal.SIGSTOP)
            nursery.cancel_scope.cancel()
    assert not is_alive(address.pid)


def may_become_somebody_else() -> bool:
    return shutil.which("unshare") is not None and subprocess.run([*AS_1000, "true"], capture_output=True).returncode == 0


AS_1000 = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
STAY = (
    "import pathlib, sys\n"
    "from supervisors.embedded_valkey import ValkeyOptions, start_valkey\n"
    "print(start_valkey(ValkeyOptions(pathlib.Path(sys.argv[1]))).address.pid, flush=True)\n"
    "sys.stdin.read()\n"
)
"""A program that starts a server, says its pid, and stays until its standard input ends."""


@pytest.mark.skipif(not may_become_somebody_else(), reason="this machine has no user namespaces")
def test_it_runs_as_a_normal_user(tmp_path: Path) -> None:
    done = subprocess.run(
        [*AS_1000, sys.executable, "-c", STAY, str(tmp_path)], input=b"", capture_output=True, cwd=Path(__file__).parents[2], check=True
    )
    assert int(done.stdout) > 0


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux'")
def test_it_dies_with_its_parent_even_when_stopped(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STAY, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        pidfd = os.pidfd_open(pid)
        os.kill(pid, signal.SIGSTOP)
        parent.kill()
    ended, _, _ = select.select([pidfd], [], [], PATIENCE_S)
    os.close(pidfd)
    assert ended
    again = start_valkey(ValkeyOptions(tmp_path))  # the lock went with it
    stop_valkey(again)


def test_a_folder_with_a_long_name_has_a_socket_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / ("a" * 60) / ("b" * 60)
    valkey = start_valkey(ValkeyOptions(folder))
    try:
        assert len(str(valkey.address.socket_path)) <= SOCKET_PATH_BYTES_MAX
        assert ping(valkey.address.url)
    finally:
        stop_valkey(valkey)
    assert not valkey.address.socket_path.parent.exists()


def test_a_loopback_port_is_served_beside_the_socket(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    valkey = start_valkey(ValkeyOptions(tmp_path, port=port))
    try:
        assert ping(f"redis://127.0.0.1:{port}")
        assert ping(valkey.address.url)
    finally:
        stop_valkey(valkey)


def test_stopping_twice_does_nothing(tmp_path: Path) -> None:
    valkey = start_valkey(ValkeyOptions(tmp_path))
    stop_valkey(valkey)
    stop_valkey(valkey)
    assert not is_alive(valkey.address.pid)
