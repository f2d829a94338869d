"""Who syncs over the link: our system and what people would use instead, each a server at one end and a client at the other.

Invariant: all of them get the same day, the same certificate and the same link; each run begins with nothing at the server of its device.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import trio

from bench.link import SERVER_ADDRESS, Link
from bench.peer import PEERS, install, read_line, version
from bench.sync_link_day import Day, Deed
from bench.sync_link_ends import Task
from bench.sync_link_json import TOKEN, mutation_of
from bench.sync_link_ours import Served
from bench.sync_link_tls import TlsFiles

START_S: Final = 90.0
STOP_S: Final = 20.0
"""Of an installation: its gateways drain, its Postgres writes a checkpoint."""
LEAVE_S: Final = 4.0
"""Of the others, and of a client that has said how it went: ours says goodbye."""
POUCHDB: Final = PEERS / "pouchdb"


class Ground(msgspec.Struct, frozen=True):
    """What all systems share."""

    link: Link
    folder: Path
    tls: TlsFiles
    seed: int
    day: Day
    runs_max: int


class Client(msgspec.Struct, frozen=True):
    """A client's program: its arguments, its folder and environment, and what it is told first."""

    command: list[str]
    folder: Path | None = None
    environment: Mapping[str, str] = {}
    first_line: str = ""


class System(Protocol):
    """One of them, running."""

    @property
    def name(self) -> str: ...

    def client(self, run: int) -> Client:
        """The program of one run; each has its own device."""
        ...


class Ours:
    """EduConnect."""

    name = "EduConnect"

    def __init__(self, ground: Ground, served: Served) -> None:
        self._ground = ground
        self._served = served

    def client(self, run: int) -> Client:
        ground = self._ground
        seat = msgspec.json.encode(self._served.seats[run]).decode()
        task = Task(ground.seed, ground.tls, self._served.port, run, folder=str(ground.folder), seat=seat)
        return Client([sys.executable, "-m", "bench.sync_link_ours", "sync", msgspec.json.encode(task).decode()])


class JsonApi:
    """JSON over HTTPS."""

    def __init__(self, ground: Ground, port: int, compressed: bool) -> None:
        self._ground = ground
        self._port = port
        self._compressed = compressed
        self.name = "JSON over HTTPS" + (", gzip" if compressed else "")

    def client(self, run: int) -> Client:
        task = Task(self._ground.seed, self._ground.tls, self._port, run, self._compressed)
        return Client([sys.executable, "-m", "bench.sync_link_json", "sync", msgspec.json.encode(task).decode()])


class PouchDb:
    """PouchDB replicating with its server."""

    def __init__(self, ground: Ground, port: int) -> None:
        self._ground = ground
        self._port = port
        self.name = f"PouchDB {version('pouchdb-core', POUCHDB)} and express-pouchdb {version('express-pouchdb', POUCHDB)}"

    def client(self, run: int) -> Client:
        told = {
            "url": f"https://{SERVER_ADDRESS}:{self._port}",
            "run": run,
            "token": TOKEN,
            "documents": [document_of(deed) for deed in self._ground.day.deeds],
            "expected": self._ground.day.lines,
        }
        return Client(["node", "client.mjs"], POUCHDB, {"NODE_EXTRA_CA_CERTS": self._ground.tls.root}, json.dumps(told))


def document_of(deed: Deed) -> dict[str, Any]:
    """A deed as a document. Its id is the mutation's: each is one to replicate, as in the other systems."""
    mutation = mutation_of(deed)
    return {"_id": mutation.pop("id"), **mutation}


@asynccontextmanager
async def open_ours(ground: Ground) -> AsyncIterator[Ours]:
    """The installation at the link's server end."""
    task = Task(ground.seed, ground.tls, run=ground.runs_max, folder=str(ground.folder))
    async with _program(ground, ["-m", "bench.sync_link_ours", "serve", msgspec.json.encode(task).decode()], STOP_S) as process:
        with trio.fail_after(START_S):
            served = msgspec.json.decode(await read_line(process), type=Served)
        yield Ours(ground, served)


@asynccontextmanager
async def open_json(ground: Ground) -> AsyncIterator[tuple[JsonApi, JsonApi]]:
    """Both ways of the same server."""
    task = Task(ground.seed, ground.tls)
    async with _program(ground, ["-m", "bench.sync_link_json", "serve", msgspec.json.encode(task).decode()], LEAVE_S) as process:
        with trio.fail_after(START_S):
            port = int(await read_line(process))
        yield JsonApi(ground, port, False), JsonApi(ground, port, True)


@asynccontextmanager
async def open_pouchdb(ground: Ground) -> AsyncIterator[PouchDb]:
    """Raises `PeerMissing`."""
    await trio.to_thread.run_sync(install, POUCHDB)
    told = {
        "address": SERVER_ADDRESS,
        "chain": ground.tls.chain,
        "key": ground.tls.key,
        "runs": ground.runs_max,
        "documents": [
            {"_id": f"{n:08}", "type": "message", "author": 40_317, "at": f"2026-11-22T{n // 60 % 24:02}:{n % 60:02}:00Z", "text": line}
            for n, line in enumerate(ground.day.lines, 1)
        ],
    }
    process = await trio.lowlevel.open_process(
        ground.link.in_server(["node", "server.mjs"]), cwd=POUCHDB, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    async with _ended(process, LEAVE_S):
        assert process.stdin is not None
        with trio.fail_after(START_S):
            await process.stdin.send_all(json.dumps(told).encode() + b"\n")
            port = int(await read_line(process))
        yield PouchDb(ground, port)


@asynccontextmanager
async def open_client(ground: Ground, client: Client) -> AsyncIterator[trio.Process]:
    """A client at the device's end, that has said it is ready."""
    process = await trio.lowlevel.open_process(
        ground.link.in_client(client.command),
        cwd=client.folder,
        env={**os.environ, **client.environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    async with _ended(process, LEAVE_S):
        assert process.stdin is not None
        with trio.fail_after(START_S):
            if client.first_line:
                await process.stdin.send_all(client.first_line.encode() + b"\n")
            assert await read_line(process) == "ready"
        yield process


@asynccontextmanager
async def _program(ground: Ground, arguments: list[str], grace_s: float) -> AsyncIterator[trio.Process]:
    process = await trio.lowlevel.open_process(
        ground.link.in_server([sys.executable, *arguments]), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    async with _ended(process, grace_s):
        yield process


@asynccontextmanager
async def _ended(process: trio.Process, grace_s: float) -> AsyncIterator[None]:
    """The end of its input tells a program to stop; what does not stop within `grace_s` is killed."""
    try:
        yield
    finally:
        with trio.CancelScope(shield=True):
            if process.stdin is not None:
                await process.stdin.aclose()
            with trio.move_on_after(grace_s):
                await process.wait()
            process.kill()
            await process.wait()
