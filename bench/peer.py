"""Socket.IO 4 with its Redis adapter on two nodes: what people would pick instead, installed by the measurement itself.

    npm ci (from the committed lock file) ─▶ Valkey, the same as ours ─▶ node × n ─▶ seats for the same people and rooms

It stores nothing: what is delivered is gone, what a node loses is lost. It checks the same tokens as our gateways, since sockets that
nobody knows would be cheaper.

Invariant: the peer is what its own documentation describes, with its advice for memory followed; nothing is switched on that would slow it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import trio

from bench.generator import Plan, Seat
from bench.population import Room
from gateway.tokens import load_pem, public_pem
from supervisors.embedded_valkey import ValkeyAddress, ValkeyOptions, start_valkey, stop_valkey

PEERS: Final = Path(__file__).parent / "peers"
PING_MS: Final = 300_000
"""As long as our heartbeat in the same run."""
INSTALL_S: Final = 300.0
START_S: Final = 20.0


class PeerMissing(Exception):
    """The peer cannot be had here; the text says what to install."""


class Node:
    """One node process."""

    def __init__(self, process: trio.Process, port: int) -> None:
        self._process = process
        self.port = port

    @property
    def pid(self) -> int:
        return self._process.pid

    async def collect_garbage(self) -> None:
        assert self._process.stdin is not None
        await self._process.stdin.send_all(b"collect\n")
        assert await read_line(self._process) == "collected"


class SocketIo:
    """Running nodes and their Redis."""

    kind = "socketio"

    def __init__(self, nodes: list[Node], redis: ValkeyAddress) -> None:
        self._nodes = nodes
        self._redis = redis
        count = f"{len(nodes)} nodes" if len(nodes) > 1 else "1 node"
        self.name = f"Socket.IO {version('socket.io')} + Redis adapter, {count}"

    @property
    def ports(self) -> tuple[int, ...]:
        return tuple(node.port for node in self._nodes)

    @property
    def front_pid(self) -> int:
        return self._nodes[0].pid

    def parts(self) -> dict[str, list[int]]:
        return {"nodes": [node.pid for node in self._nodes], "Valkey": [self._redis.pid]}

    async def plan(self, rooms: Sequence[Room], *, follows: bool = True) -> Plan:
        """Seats for these rooms' people, taking turns at the nodes."""
        seats = [
            Seat(n % len(self.ports), place, person.user, follows, _connect(person.token, room.stream))
            for place, room in enumerate(rooms)
            for n, person in enumerate(room.people)
        ]
        return Plan("socketio", self.ports, tuple(room.stream for room in rooms), tuple(seats))

    async def settle(self) -> None:
        """Collects garbage, so that only what is needed is counted."""
        for node in self._nodes:
            await node.collect_garbage()


def _connect(token: str, room: int) -> bytes:
    return b"40" + json.dumps({"token": token, "room": room}, separators=(",", ":")).encode()


def version(package: str, folder: Path = PEERS) -> str:
    """Which version of a package the lock file brings."""
    packages = json.loads((folder / "package-lock.json").read_text())["packages"]
    found: str = packages[f"node_modules/{package}"]["version"]
    return found


def install(folder: Path = PEERS) -> None:
    """Installs what a folder's lock file names, unless it is there. Blocks. Raises `PeerMissing`."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        raise PeerMissing("the benchmarks' peers need node and npm")
    lock = (folder / "package-lock.json").read_bytes()
    stamp = folder / "node_modules" / ".installed"
    wanted = hashlib.sha256(lock).hexdigest()
    with (folder / "package-lock.json").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # one run installs, another that began meanwhile waits for it
        if stamp.exists() and stamp.read_text() == wanted:
            return
        try:
            subprocess.run(
                [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True, capture_output=True, timeout=INSTALL_S
            )
        except subprocess.SubprocessError as error:
            raise PeerMissing(f"npm could not install what {folder.name}/package-lock.json names: {error}") from error
        stamp.write_text(wanted)


@asynccontextmanager
async def open_socketio(folder: Path, *, nodes: int, keys: Path, ping_ms: int = PING_MS) -> AsyncIterator[SocketIo]:
    """The peer on free ports, with a Valkey of its own, for the length of the block. `keys` are ours. Raises `PeerMissing`."""
    await trio.to_thread.run_sync(install)
    public = folder / "public.pem"
    public.write_text(public_pem(load_pem(keys)))
    valkey = start_valkey(ValkeyOptions(folder / "peer-valkey"))
    try:
        options = json.dumps({"redis": str(valkey.address.socket_path), "keys": str(public), "pingMs": ping_ms})
        async with AsyncExitStack() as stack:
            running = [await stack.enter_async_context(_open_node(options)) for _ in range(nodes)]
            yield SocketIo(running, valkey.address)
    finally:
        stop_valkey(valkey)


@asynccontextmanager
async def _open_node(options: str) -> AsyncIterator[Node]:
    process = await trio.lowlevel.open_process(
        ["node", "--expose-gc", "socketio.mjs", options],
        cwd=PEERS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=None,
    )
    try:
        with trio.fail_after(START_S):
            port = int(await read_line(process))
        yield Node(process, port)
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


async def read_line(process: trio.Process) -> str:
    """The next line of a process that says one at a time."""
    assert process.stdout is not None
    said = b""
    while not said.endswith(b"\n"):
        some = await process.stdout.receive_some(4096)
        if not some:
            raise PeerMissing("the process ended")
        said += some
    return said.decode().strip()
