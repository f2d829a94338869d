"""The floor as a measured system: `bench/crowd_floor.c`, as many processes as ours has gateways.

    rooms ─▶ each wholly at one floor ─▶ the same crowd of generators, the same checks

Invariant: a floor's process serves one crowd, and ends with it.
"""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import trio

from bench.crowd_generator import HEADER, Crowd, CrowdRoom, CrowdSeat, open_crowd
from bench.generator import compile_generator
from bench.peer import read_line
from bench.population import Room
from protocol.codec import encode
from protocol.frames import VERSION, Hello
from protocol.values import Cursor

FLOOR: Final = Path(__file__).with_name("crowd_floor.c")
FLOOR_NAME: Final = "a loop of send in C, a process a gateway"


class Floors:
    """Running floors."""

    def __init__(self, processes: Sequence[trio.Process], ports: Sequence[int]) -> None:
        self._processes = processes
        self._ports = ports

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    @asynccontextmanager
    async def seated(self, rooms: Sequence[Room], folder: Path) -> AsyncIterator[Crowd]:
        """A crowd with a seat for everybody in these rooms, at the floors in turn, nobody connected yet."""
        seats = [
            CrowdRoom(room.stream, tuple(self._seat(place, room.stream, person.device) for person in room.people))
            for place, room in enumerate(rooms)
        ]
        below = folder / "floor"
        below.mkdir()
        async with open_crowd(seats, self._ports, below) as crowd:
            yield crowd

    def _seat(self, place: int, stream: int, device: int) -> CrowdSeat:
        return CrowdSeat(place % len(self._ports), device, 0, encode(Hello(VERSION, "nobody looks", device, (Cursor(stream, 0),))))


@asynccontextmanager
async def open_floors(count: int) -> AsyncIterator[Floors]:
    """So many floors on free ports, for the length of the block. Raises `CompilerMissing`."""
    program = await trio.to_thread.run_sync(compile_generator, FLOOR, HEADER)
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(_opened(program)) for _ in range(count)]
        yield Floors(processes, [int(await read_line(process)) for process in processes])


@asynccontextmanager
async def _opened(program: Path) -> AsyncIterator[trio.Process]:
    process = await trio.lowlevel.open_process([str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
