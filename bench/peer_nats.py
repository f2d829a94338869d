"""nats-server over WebSocket: publish and subscribe, from Debian's package, taken apart rather than installed.

    apt-get download ─▶ sha256 as bench/peers/nats.lock says ─▶ dpkg -x ─▶ nats-server -c …
    PUB room.7 4 ─▶ MSG room.7 1 4        a typing notice: its author's number

One process fans out for all its sockets, on as many threads as there are cores. It keeps one order for each author, not one for a room;
the generator checks the one that it promises.

Invariant: the server that runs is the one whose hash stands in the lock file; nothing is installed in the system, and no service starts.
"""

from __future__ import annotations

import fcntl
import hashlib
import platform
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
import trio

from bench.generator import BUILD, Plan, Seat
from bench.peer import INSTALL_S, PEERS, PING_MS, START_S, PeerMissing
from bench.population import Room

LOCK: Final = PEERS / "nats.lock"
NATS: Final = BUILD / "nats"
PORTS_FILE_S: Final = 0.02


class Pinned(msgspec.Struct, frozen=True):
    """The one line of the lock file."""

    package: str
    version: str
    architecture: str
    sha256: str


class NatsServer:
    """A running nats-server."""

    kind = "nats"

    def __init__(self, process: trio.Process, port: int) -> None:
        self._process = process
        self.ports = (port,)
        self.name = nats_name()

    @property
    def front_pid(self) -> int:
        return self._process.pid

    def parts(self) -> dict[str, list[int]]:
        return {"server": [self._process.pid]}

    async def plan(self, rooms: Sequence[Room], *, follows: bool = True) -> Plan:
        """Seats for these rooms' people, each with a subscription to its room's subject."""
        seats = [Seat(0, place, person.user, follows, _connect(room.stream)) for place, room in enumerate(rooms) for person in room.people]
        return Plan("nats", self.ports, tuple(room.stream for room in rooms), tuple(seats))

    async def settle(self) -> None:
        """It collects its garbage when it wants to."""


def _connect(room: int) -> bytes:
    return b'CONNECT {"verbose":false,"pedantic":false,"echo":true}\r\nSUB room.%d 1\r\nPING\r\n' % room


def pinned() -> Pinned:
    return Pinned(*LOCK.read_text().split())


def nats_name() -> str:
    """As the lock file names it."""
    return f"nats-server {pinned().version.partition('-')[0]}"


def install_nats(folder: Path = NATS) -> Path:
    """The server's program, downloaded unless it is there. Blocks. Raises `PeerMissing`."""
    wanted = pinned()
    program = folder / wanted.sha256[:16] / "usr" / "sbin" / "nats-server"
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None or platform.machine() != "x86_64":
        raise PeerMissing("nats-server comes from Debian's package for amd64, by apt-get and dpkg")
    folder.mkdir(parents=True, exist_ok=True)
    with LOCK.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not program.exists():
            with tempfile.TemporaryDirectory(dir=folder) as draft:
                package = _download(wanted, Path(draft))
                if hashlib.sha256(package.read_bytes()).hexdigest() != wanted.sha256:
                    raise PeerMissing(f"{package.name} is not the one whose hash stands in {LOCK.name}")
                _call("dpkg", "-x", str(package), str(Path(draft) / "whole"))
                (Path(draft) / "whole").rename(folder / wanted.sha256[:16])
    return program


def _download(wanted: Pinned, folder: Path) -> Path:
    name = f"{wanted.package}={wanted.version}"
    try:
        _call("apt-get", "download", "-qq", name, cwd=folder)
    except PeerMissing:  # lists of packages that are old, or none at all
        _call("apt-get", "update", "-qq")
        _call("apt-get", "download", "-qq", name, cwd=folder)
    return next(folder.glob("*.deb"))


def _call(*command: str, cwd: Path | None = None) -> None:
    try:
        subprocess.run(command, cwd=cwd, check=True, capture_output=True, timeout=INSTALL_S, text=True)
    except subprocess.CalledProcessError as error:
        raise PeerMissing(f"{' '.join(command)}: {error.stderr.strip()[-300:]}") from error
    except subprocess.TimeoutExpired as error:
        raise PeerMissing(f"{' '.join(command)}: nothing after {INSTALL_S:g} s") from error


@asynccontextmanager
async def open_nats(folder: Path) -> AsyncIterator[NatsServer]:
    """It, on free ports of 127.0.0.1, for the length of the block. Raises `PeerMissing`."""
    program = await trio.to_thread.run_sync(install_nats)
    ports_folder = folder / "nats"
    ports_folder.mkdir()
    config = ports_folder / "nats.conf"
    config.write_text(
        f'host: "127.0.0.1"\nport: -1\nports_file_dir: "{ports_folder}"\nping_interval: "{PING_MS // 1000}s"\n'
        f'logfile: "{ports_folder / "log"}"\n'
        'websocket {\n  host: "127.0.0.1"\n  port: -1\n  no_tls: true\n}\n'
    )
    process = await trio.lowlevel.open_process([str(program), "-c", str(config)], stdin=subprocess.DEVNULL)
    try:
        yield NatsServer(process, await _port(ports_folder, process))
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


async def _port(folder: Path, process: trio.Process) -> int:
    """Its WebSocket port, from the file that it writes when it listens."""
    with trio.move_on_after(START_S):
        while process.poll() is None:
            if port := _written_port(folder):
                return port
            await trio.sleep(PORTS_FILE_S)
    raise PeerMissing(f"nats-server did not listen within {START_S:g} s")


def _written_port(folder: Path) -> int:
    """0 while the file is not there, or not whole."""
    for path in folder.glob("*.ports"):
        try:
            return int(msgspec.json.decode(path.read_bytes(), type=dict[str, list[str]])["websocket"][0].rpartition(":")[2])
        except msgspec.DecodeError:
            return 0
    return 0
