"""Servers that fan out and do nothing else, one process each: node `ws`, the uWebSockets core, and the floor, a loop of `send` in C.

    J room user ─▶ R              a socket says who it is, and is believed
    T           ─▶ T room user    a typing notice, to every member of the room, its author included
    I id clock  ─▶ I id clock     a question, answered to its author alone

This plain dialect, text messages of one letter and numbers, is theirs alone: they have none of their own, and shorter ones than ours
make them cheaper, not dearer. What they are is what their documentation shows for a broadcast.

Invariant: each is installed from a lock file of this checkout with hashes, or compiled from it; nothing of it is in our environment.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio

from bench.generator import BUILD, Plan, Seat, compile_generator
from bench.peer import INSTALL_S, PEERS, START_S, PeerMissing, install, read_line, version
from bench.population import Room

FLOOR_NAME: Final = "C, one send each"
FLOOR: Final = Path(__file__).with_name("floor.c")
UWS_LOCK: Final = PEERS / "requirements.lock"
UWS: Final = BUILD / "uws"


class PlainServer:
    """One running process that speaks the plain dialect."""

    def __init__(self, kind: str, name: str, process: trio.Process, port: int, *, collects: bool) -> None:
        self.kind = kind
        self.name = name
        self._process = process
        self._collects = collects
        self.ports = (port,)

    @property
    def front_pid(self) -> int:
        return self._process.pid

    def parts(self) -> dict[str, list[int]]:
        return {"server": [self._process.pid]}

    async def plan(self, rooms: Sequence[Room], *, follows: bool = True) -> Plan:
        """Seats for these rooms' people, all at the one server."""
        seats = [
            Seat(0, place, person.user, follows, f"J{room.stream} {person.user}".encode())
            for place, room in enumerate(rooms)
            for person in room.people
        ]
        return Plan("plain", self.ports, tuple(room.stream for room in rooms), tuple(seats))

    async def settle(self) -> None:
        """Collects garbage where there is any to collect."""
        if self._collects:
            assert self._process.stdin is not None
            await self._process.stdin.send_all(b"collect\n")
            assert await read_line(self._process) == "collected"


@asynccontextmanager
async def open_ws(_folder: Path) -> AsyncIterator[PlainServer]:
    """node `ws` for the length of the block. Raises `PeerMissing`."""
    await trio.to_thread.run_sync(install)
    async with _open("ws", f"node ws {version('ws')}", ["node", "--expose-gc", "ws.mjs"], collects=True) as server:
        yield server


@asynccontextmanager
async def open_uws(_folder: Path) -> AsyncIterator[PlainServer]:
    """The uWebSockets core, by socketify, for the length of the block. Raises `PeerMissing`."""
    await trio.to_thread.run_sync(install_uws)
    environment = {**os.environ, "PYTHONPATH": str(UWS)}
    async with _open("uws", uws_name(), [sys.executable, "uws.py"], environment) as server:
        yield server


@asynccontextmanager
async def open_floor(_folder: Path) -> AsyncIterator[PlainServer]:
    """The loop of `send` for the length of the block. Raises `CompilerMissing`."""
    program = await trio.to_thread.run_sync(compile_generator, FLOOR)
    async with _open("floor", FLOOR_NAME, [str(program)]) as server:
        yield server


def uws_name() -> str:
    """With the version of what brings it to Python."""
    return f"uWebSockets (socketify {uws_version()})"


def uws_version() -> str:
    """As the lock file names it."""
    found = re.search(r"^socketify==(\S+)", UWS_LOCK.read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def install_uws(folder: Path = UWS) -> None:
    """Installs what the lock file names into a folder of its own, unless it is there. Blocks. Raises `PeerMissing`."""
    wanted = hashlib.sha256(UWS_LOCK.read_bytes()).hexdigest()
    stamp = folder / ".installed"
    folder.mkdir(parents=True, exist_ok=True)
    with UWS_LOCK.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == wanted:
            return
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        # It comes as source: built with the setuptools that we have, since a build environment of pip's own has no hashes.
        asked = ["--require-hashes", "--no-build-isolation", "--upgrade", "--target", str(folder), "-r", str(UWS_LOCK)]
        try:
            subprocess.run([*pip, *asked], check=True, capture_output=True, timeout=INSTALL_S)
        except subprocess.SubprocessError as error:
            raise PeerMissing(f"pip could not install what {UWS_LOCK.name} names: {error}") from error
        stamp.write_text(wanted)


@asynccontextmanager
async def _open(
    kind: str, name: str, command: list[str], environment: Mapping[str, str] | None = None, *, collects: bool = False
) -> AsyncIterator[PlainServer]:
    process = await trio.lowlevel.open_process(command, cwd=PEERS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    try:
        port = 0
        with trio.move_on_after(START_S):
            port = int(await read_line(process))
        if not port:
            raise PeerMissing(f"{name} did not listen within {START_S:g} s")
        yield PlainServer(kind, name, process, port, collects=collects)
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
