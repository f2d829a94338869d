"""Where a round plays: the house (parent and servers), the seams, the disk and the clocks. Everything here was made by this program.

    open_stage ─▶ folder, small disk, seams ─▶ house ─▶ Stage: pids, ways, clocks, disk

Invariant: no process is touched but the house and its descendants, no file but those in the stage's own folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import msgspec
import psutil
import trio

from persistence.bridge import Bridge, BridgeOptions
from proofs.faulting import house, seams
from proofs.faulting.seams import Conditions, Seam
from proofs.faulting.steering import Steered, steered
from proofs.rehearsal.population import ENVIRONMENT
from supervisors.embedded_postgres import DATABASE, TETHER, USER

HEARTBEAT_S = 5
UP_S = 60.0
LOOK_S = 0.05
AGAIN_S = 0.5
"""After which whoever minds the parent (an init system) starts it again."""
DISK_BYTES = 512 * 1024 * 1024
CLOCK_HOME = Path(__file__).with_name("clock")
OPEN = Conditions()


class HouseFailed(Exception):
    """The installation did not come up."""


class Stage:
    """See the module."""

    def __init__(self, folder: Path, gateways: int, has_disk: bool, proxies: Steered[seams.Order, seams.Answer], verbose: bool) -> None:
        self.folder = folder
        self.gateways = gateways
        self.has_disk = has_disk
        self._seams = proxies
        self._verbose = verbose
        ports = _free_ports(gateways)
        self.ports = ports
        self.places = tuple(("127.0.0.1", port) for port in _free_ports(gateways, avoid=ports))
        self.names = tuple(f"gateway-{number + 1}" for number in range(gateways))
        self._process: subprocess.Popen[bytes] | None = None
        self._clocks = [folder / f"{name}.clock" for name in self.names]
        self.house_starts = 0

    # The house

    @property
    def _data(self) -> Path:
        return self.folder / "house"

    @property
    def disk(self) -> Path:
        """Where Postgres' data lies."""
        return self._data / "postgres"

    @property
    def dsn(self) -> str:
        """The direct way, past the seams."""
        return f"postgresql://{USER}@/{DATABASE}?host={quote(str(self.disk / 'socket'), safe='')}"

    @property
    def redis_path(self) -> str:
        return str(self._data / "valkey" / "valkey.sock")

    def _plan(self) -> house.Plan:
        own = {
            name: {
                "EDUCONNECT_DATABASE_DSN": f"postgresql://{USER}@/{DATABASE}?host={quote(str(self._door(name)), safe='')}",
                "EDUCONNECT_REDIS_URL": f"unix://{self._door(name) / 'redis'}",
                "PROOF_CLOCK": str(clock),
                "PYTHONPATH": str(CLOCK_HOME),
            }
            for name, clock in zip(self.names, self._clocks, strict=True)
        }
        environment = {
            **ENVIRONMENT,
            "EDUCONNECT_HEARTBEAT_HEARTBEAT_S": str(HEARTBEAT_S),
            "EDUCONNECT_HEARTBEAT_HEARTBEAT_MIN_S": str(HEARTBEAT_S),
            "EDUCONNECT_TOKENS_LIFETIME_S": "3600",
            "EDUCONNECT_LOG_LEVEL": "info" if self._verbose else "error",
        }
        small = {"max_wal_size": "96MB", "min_wal_size": "32MB", "shared_buffers": "64MB"} if self.has_disk else {}
        return house.Plan(str(self._data), self.ports[0], self.gateways, environment, own, small)

    def _door(self, name: str) -> Path:
        return self.folder / "seams" / name

    @property
    def poor_doors(self) -> list[Path]:
        """Unix sockets that lead to the gateways, for who has no way to this machine's loopback."""
        return [self._door(name) / "client" for name in self.names]

    async def open(self) -> None:
        """Makes seams and clocks, and starts the house."""
        for clock in self._clocks:
            set_offset(clock, 0.0)
        made = []
        for number, name in enumerate(self.names):
            self._door(name).mkdir(parents=True)
            host, port = self.places[number]
            made.append(Seam(f"{name}:client", f"{host}:{port}", f"127.0.0.1:{self.ports[number]}"))
            made.append(Seam(f"{name}:client/poor", str(self._door(name) / "client"), f"127.0.0.1:{self.ports[number]}"))
            made.append(Seam(f"{name}:redis", str(self._door(name) / "redis"), self.redis_path))
            made.append(Seam(f"{name}:postgres", str(self._door(name) / ".s.PGSQL.5432"), str(self.disk / "socket" / ".s.PGSQL.5432")))
        await self._seams.ask(seams.Order(open=tuple(made)))
        await self.start_house()

    async def start_house(self) -> None:
        """Starts the parent, again and again until it stands, as an init system would. Raises `HouseFailed`."""
        with trio.move_on_after(UP_S):
            while True:
                if await self._start_once():
                    return
                await trio.sleep(AGAIN_S)
        raise HouseFailed(f"the installation is not up after {UP_S:.0f} s; see {self.folder / 'house.log'}")

    async def _start_once(self) -> bool:
        self.house_starts += 1
        process = self._process = self._spawn()
        assert process.stdout is not None
        async with trio.lowlevel.FdStream(os.dup(process.stdout.fileno())) as said:
            up = await said.receive_some(65536)
        process.stdout.close()
        if not up:
            await self._wait_gone()
        return bool(up)

    def _spawn(self) -> subprocess.Popen[bytes]:
        tether = [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), str(int(signal.SIGTERM))]
        command = [*tether, sys.executable, "-m", "proofs.faulting.house", msgspec.json.encode(self._plan()).decode()]
        with open(self.folder / "house.log", "ab") as log:
            return subprocess.Popen(command + ["--verbose"] * self._verbose, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)

    @property
    def parent(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill_parent(self) -> list[int]:
        """SIGKILL. Returns its descendants of that moment."""
        left = [child.pid for child in psutil.Process(self.parent).children(recursive=True)]
        os.kill(self.parent, signal.SIGKILL)
        return left

    async def _wait_gone(self) -> None:
        assert self._process is not None
        while self._process.poll() is None:  # noqa: ASYNC110 (another process tells nobody)
            await trio.sleep(LOOK_S)

    async def wait_parent_gone(self) -> None:
        await self._wait_gone()

    async def close(self) -> None:
        """Stops the house; harmless when repeated."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.terminate()
        with trio.move_on_after(30):
            await self._wait_gone()
        if process.poll() is None:
            left = self.kill_parent()
            process.wait()
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    # Processes

    def _children(self) -> Iterator[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            yield from psutil.Process(self.parent).children(recursive=True)

    def gateway_pid(self, number: int) -> int:
        """0 while there is none."""
        name = self.names[number]
        for child in self._children():
            with suppress(psutil.NoSuchProcess):
                words = child.cmdline()
                if child.status() != psutil.STATUS_ZOMBIE and "supervisors.cli" in words and name in words:
                    return int(child.pid)
        return 0

    def valkey_pid(self) -> int:
        for child in self._children():
            with suppress(psutil.NoSuchProcess):
                if child.name() == "valkey-server" and child.status() != psutil.STATUS_ZOMBIE:
                    return int(child.pid)
        return 0

    def postmaster_pid(self) -> int:
        with suppress(FileNotFoundError, IndexError, ValueError):
            pid = int((self.disk / "cluster" / "postmaster.pid").read_text().splitlines()[0])
            if any(child.pid == pid for child in self._children()):
                return pid
        return 0

    def postgres_pids(self) -> list[int]:
        """The postmaster first."""
        postmaster = self.postmaster_pid()
        if not postmaster:
            return []
        with suppress(psutil.NoSuchProcess):
            return [postmaster, *(child.pid for child in psutil.Process(postmaster).children())]
        return []

    def backend_pids(self) -> list[int]:
        """Postgres processes that serve connections of ours."""
        found = []
        for pid in self.postgres_pids()[1:]:
            with suppress(psutil.NoSuchProcess):
                if any(word.startswith(f"postgres: {USER}") for word in psutil.Process(pid).cmdline()):
                    found.append(pid)
        return found

    async def wait_gateway(self, number: int, not_pid: int = 0) -> None:
        """Waits until that gateway listens, as another process than `not_pid`."""
        while True:
            pid = self.gateway_pid(number)
            if pid and pid != not_pid and await self._listens(self.ports[number]):
                return
            await trio.sleep(LOOK_S)

    async def _listens(self, port: int) -> bool:
        try:
            with trio.fail_after(1):
                stream = await trio.open_tcp_stream("127.0.0.1", port)
        except (OSError, trio.TooSlowError):
            return False
        await trio.aclose_forcefully(stream)
        return True

    async def wait_postgres(self) -> None:
        """Waits until it accepts."""
        while True:
            with suppress(FileNotFoundError):
                lines = (self.disk / "cluster" / "postmaster.pid").read_text().splitlines()
                if len(lines) >= 8 and lines[7].strip() == "ready" and self.postmaster_pid():
                    return
            await trio.sleep(LOOK_S)

    # Ways, clocks, disk

    async def set_way(
        self, seam: str, up: Conditions | None = None, down: Conditions | None = None, *, refused: bool | None = None, cut: bool = False
    ) -> int:
        """Sets all seams that begin so. Returns how many connections were cut."""
        answer = await self._seams.ask(seams.Order(seam=seam, up=up, down=down, refused=refused, cut=cut))
        return answer.cut

    def set_clock(self, number: int, offset_s: float) -> None:
        """Moves the wall clock of one gateway."""
        set_offset(self._clocks[number], offset_s)

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """Fills the last byte of Postgres' disk; frees it at the end."""
        filler = self.disk / "filler"
        try:
            with filler.open("wb", buffering=0) as file:
                chunk = bytes(1 << 20)
                with suppress(OSError):
                    while True:
                        if file.write(chunk) < len(chunk):
                            chunk = bytes(4096)
            yield
        finally:
            filler.unlink(missing_ok=True)


@asynccontextmanager
async def open_stage(folder: Path, gateways: int, *, verbose: bool = False) -> AsyncIterator[Stage]:
    """A running stage in `folder`, which is to be empty."""
    (folder / "house").mkdir()
    has_disk = _mount(folder / "house" / "postgres")
    try:
        async with steered("seams", "proofs.faulting.seams", seams.Answer, folder) as proxies:
            stage = Stage(folder, gateways, has_disk, proxies, verbose)
            try:
                await stage.open()
                yield stage
            finally:
                with trio.CancelScope(shield=True):
                    await stage.close()
    finally:
        if has_disk:
            await trio.to_thread.run_sync(_unmount, folder / "house" / "postgres")
        if not verbose:
            shutil.rmtree(folder / "house", ignore_errors=True)


def set_offset(clock: Path, offset_s: float) -> None:
    """Moves the wall clock of the processes that were told of this file."""
    with clock.open("r+b" if clock.exists() else "wb") as file:
        file.write(struct.pack("<d", offset_s))


def _mount(place: Path) -> bool:
    """A small disk of its own for Postgres; without the right to mount one, disks do not fill here."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0755", "educonnect-proof", str(place)]
    return shutil.which("mount") is not None and subprocess.run(command, capture_output=True, check=False).returncode == 0


def _unmount(place: Path) -> None:
    """Waits for the last process of a server that was killed."""
    for _ in range(100):
        if subprocess.run(["umount", str(place)], capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.1)
    subprocess.run(["umount", "-l", str(place)], capture_output=True, check=False)


def _free_ports(count: int, avoid: tuple[int, ...] = ()) -> tuple[int, ...]:
    """Consecutive ports that nobody listens on now."""
    for first in range(21_000 + os.getpid() % 500 * 16, 60_000, 16):
        ports = tuple(range(first, first + count))
        if not set(ports) & set(avoid) and all(map(_is_free, ports)):
            return ports
    raise HouseFailed("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@asynccontextmanager
async def open_bridge(dsn: str) -> AsyncIterator[Bridge]:
    """A connection of the checker's own, past every seam."""
    bridge = Bridge(BridgeOptions(dsn, connections_max=1))
    async with trio.open_nursery() as nursery:
        await nursery.start(bridge.serve)
        try:
            yield bridge
        finally:
            nursery.cancel_scope.cancel()
