"""The crowd's other side: compiles it, writes the plans, starts as many processes as its sockets need, and gives them their orders.

    CrowdSeats ─▶ plans, whole rooms each ─▶ processes (C, at most 19,000 sockets) ◀─ the same order to all ─▶ one CrowdReport

Invariant: a `CrowdReport` exists only for a run in which every delivery to every member was checked and nothing was missing; everything
else raises `GeneratorFailed`.
"""

from __future__ import annotations

import subprocess
from bisect import bisect_left
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import accumulate
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import trio

from bench.generator import ANSWER_S, GeneratorFailed, compile_generator

T = TypeVar("T", bound="_Answer")

CROWD: Final = Path(__file__).with_name("crowd.c")
HEADER: Final = Path(__file__).with_name("speech.h")
SOCKETS_MAX: Final = 19_000
"""Of one process, which may open 20,000 files."""
FIRST_ADDRESS: Final = 11
"""The first process comes from 127.0.0.11, the next from 127.0.0.12."""


class CrowdSeat(msgspec.Struct, frozen=True):
    """One socket: at which server, who, and what it says first. `inbox` is 0 where it is not followed."""

    server: int
    user: int
    inbox: int
    opening: bytes


class CrowdRoom(msgspec.Struct, frozen=True):
    """A stream and those who follow it; all of them sit in one process."""

    stream: int
    seats: tuple[CrowdSeat, ...]


class _Answer(msgspec.Struct, frozen=True):
    ok: bool
    why: str = ""


class _Run(_Answer, frozen=True):
    posts: int = 0
    deliveries: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0
    answer_p50_ms: float = 0.0
    answer_p99_ms: float = 0.0
    max_ms: float = 0.0
    quantiles_ms: list[float] = []


class _Beats(_Answer, frozen=True):
    beats: int = 0
    least: int = 0
    most: int = 0
    cpu_s: float = 0.0


class CrowdReport(msgspec.Struct, frozen=True):
    """One run of all processes. Times are from when a post was due: `p50_ms` and `p99_ms` over all deliveries, `answer_…` to its author.

    `cpu_s` is the generators' own.
    """

    posts: int
    deliveries: int
    wall_s: float
    cpu_s: float
    bytes_in: int
    bytes_out: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    answer_p50_ms: float
    answer_p99_ms: float


class Beats(msgspec.Struct, frozen=True):
    """Pings answered since the last question: in all, and by the member that got the fewest, and the most."""

    total: int
    least: int
    most: int


class _Process:
    """One running generator. One order at a time."""

    def __init__(self, process: trio.Process, rooms: Sequence[CrowdRoom]) -> None:
        self._process = process
        self._unread = b""
        self._ends = list(accumulate(len(room.seats) for room in rooms))
        self.seats = self._ends[-1]

    def whole_rooms(self, seats: int) -> int:
        """The first so many seats, and the rest of the last one's room."""
        return self._ends[bisect_left(self._ends, seats)] if seats else 0

    async def order(self, order: str, answer: type[T], patience_s: float) -> T:
        assert self._process.stdin is not None
        try:
            await self._process.stdin.send_all(order.encode() + b"\n")
        except trio.BrokenResourceError:
            pass  # it has ended; its last line says why
        with trio.move_on_after(patience_s):
            line = await self._read_line()
            said = msgspec.json.decode(line, type=answer)
            if not said.ok:
                raise GeneratorFailed(f"{order}: {said.why}")
            return said
        raise GeneratorFailed(f"{order}: no end after {patience_s:g} s")

    async def _read_line(self) -> bytes:
        assert self._process.stdout is not None
        while b"\n" not in self._unread:
            some = await self._process.stdout.receive_some(1 << 20)
            if not some:
                raise GeneratorFailed("the crowd ended without a word")
            self._unread += some
        line, _, self._unread = self._unread.partition(b"\n")
        return line


class Crowd:
    """Running generators, ordered together."""

    def __init__(self, processes: Sequence[_Process]) -> None:
        self._processes = processes

    @property
    def seats(self) -> int:
        return sum(process.seats for process in self._processes)

    async def connect(self, count: int, patience_s: float = ANSWER_S) -> int:
        """Opens sockets until there are `count`, each process its share, and waits until all are welcomed and live.

        Returns how many there are: a room is filled at once, since who came later would be sent what was posted meanwhile.
        """
        counts = [process.whole_rooms(-(-count * process.seats // self.seats)) for process in self._processes]
        await self._all([f"connect {some}" for some in counts], _Answer, patience_s)
        return sum(counts)

    async def beats(self) -> Beats:
        """Pings answered since this was last asked."""
        said = await self._all(["beats"] * len(self._processes), _Beats, ANSWER_S)
        return Beats(sum(one.beats for one in said), min(one.least for one in said), max(one.most for one in said))

    async def post_at(self, per_s: float, seconds: float, posters: int) -> CrowdReport:
        """Posts at a rate over all, whatever is unanswered; `posters` members, evenly spread, take turns."""
        return await self._run([f"rate {per_s * share} {seconds} {max(1, round(posters * share))}" for share in self._shares()])

    async def say(self, posts: int, outstanding: int) -> CrowdReport:
        """`posts` over all rooms in turn, at most `outstanding` of them not yet with every member and answered."""
        count = len(self._processes)
        return await self._run([f"say {posts // count} {max(1, outstanding // count)}"] * count)

    def _shares(self) -> list[float]:
        return [process.seats / self.seats for process in self._processes]

    async def _run(self, orders: Sequence[str]) -> CrowdReport:
        said = await self._all(orders, _Run, ANSWER_S)
        # Samples of each process's sorted times stand for its deliveries.
        weighed = sorted((ms, one.deliveries / len(one.quantiles_ms)) for one in said for ms in one.quantiles_ms)
        return CrowdReport(
            posts=sum(one.posts for one in said),
            deliveries=sum(one.deliveries for one in said),
            wall_s=max(one.wall_s for one in said),
            cpu_s=sum(one.cpu_s for one in said),
            bytes_in=sum(one.bytes_in for one in said),
            bytes_out=sum(one.bytes_out for one in said),
            p50_ms=quantile(weighed, 0.50),
            p99_ms=quantile(weighed, 0.99),
            max_ms=max(one.max_ms for one in said),
            answer_p50_ms=max(one.answer_p50_ms for one in said),
            answer_p99_ms=max(one.answer_p99_ms for one in said),
        )

    async def _all(self, orders: Sequence[str], answer: type[T], patience_s: float) -> list[T]:
        said: dict[int, T] = {}

        async def ask(number: int) -> None:
            said[number] = await self._processes[number].order(orders[number], answer, patience_s)

        async with trio.open_nursery() as nursery:
            for number in range(len(orders)):
                nursery.start_soon(ask, number)
        return [said[number] for number in range(len(orders))]


def quantile(weighed: Sequence[tuple[float, float]], share: float) -> float:
    """The value below which `share` of the weight lies, of (value, weight) pairs in ascending order."""
    left = share * sum(weight for _, weight in weighed)
    for value, weight in weighed:
        left -= weight
        if left <= 0.0:
            return value
    return weighed[-1][0]


def split_rooms(rooms: Sequence[CrowdRoom], sockets_max: int = SOCKETS_MAX) -> list[list[CrowdRoom]]:
    """Whole rooms for each process, about as many sockets in one as in another, and no more than `sockets_max`."""
    total = sum(len(room.seats) for room in rooms)
    processes = -(-total // sockets_max)
    while True:
        parts: list[list[CrowdRoom]] = [[] for _ in range(processes)]
        placed = 0
        for room in rooms:
            parts[min(placed * processes // total, processes - 1)].append(room)
            placed += len(room.seats)
        if all(sum(len(room.seats) for room in part) <= sockets_max for part in parts):
            return [part for part in parts if part]
        processes += 1


def write_plan(rooms: Sequence[CrowdRoom], ports: Sequence[int], address: str, stall_s: float, path: Path) -> None:
    with path.open("w") as file:
        file.write(f"A {address}\nT {stall_s}\n")
        file.writelines(f"S {port}\n" for port in ports)
        file.writelines(f"R {room.stream}\n" for room in rooms)
        file.writelines(_lines(rooms))


def _lines(rooms: Iterable[CrowdRoom]) -> Iterable[str]:
    for place, room in enumerate(rooms):
        for seat in room.seats:
            yield f"M {seat.server} {place} {seat.user} {seat.inbox} {seat.opening.hex()}\n"


@asynccontextmanager
async def open_crowd(
    rooms: Sequence[CrowdRoom], ports: Sequence[int], folder: Path, *, sockets_max: int = SOCKETS_MAX, stall_s: float = 20.0
) -> AsyncIterator[Crowd]:
    """As many processes as the rooms need, for the length of the block; their sockets end with it. Raises `CompilerMissing`."""
    program = await trio.to_thread.run_sync(compile_generator, CROWD, HEADER)
    async with AsyncExitStack() as stack:
        processes = []
        for number, part in enumerate(split_rooms(rooms, sockets_max)):
            path = folder / f"crowd-{number}"
            write_plan(part, ports, f"127.0.0.{FIRST_ADDRESS + number}", stall_s, path)
            process = await stack.enter_async_context(_opened(program, path))
            processes.append(_Process(process, part))
        yield Crowd(processes)


@asynccontextmanager
async def _opened(program: Path, plan: Path) -> AsyncIterator[trio.Process]:
    process = await trio.lowlevel.open_process([str(program), str(plan)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
