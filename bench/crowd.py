"""A hundred thousand sockets on one machine: what they cost while nothing is said, and how fast a post is with all of them there.

    6 gateways ◀─ connect ─ 6 generators, each with whole rooms of 50 and a loopback address of its own
       │  beats alone: one ping a minute to every socket and its pong   ─▶ CPU of gateways, jobs, Postgres, Valkey
       │  then 1 % of the members post once a minute                    ─▶ p50 and p99 from post to delivery
       ╰  memory: of each process; of the kernel (what the machine has less since before the first socket)

Every socket is somebody's: an account with its device, a token whose signature is checked, `Hello`, two followed streams (the room, whose
members sit at all gateways, and the personal inbox, which is nobody else's). The silence before a ping is asked for by the client, 60 s.

The generators are on the same two cores; their CPU time is not counted, but a delivery waits for them like for everything else.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import trio

from bench.crowd_generator import Beats, Crowd, CrowdRoom, CrowdSeat, open_crowd
from bench.figures import Goal, Measured
from bench.generator import GeneratorFailed
from bench.ours import Ours
from bench.population import Person, Room, heads, inboxes
from bench.stage import Options, open_stage, spent_s
from bench.usage import resident_tree_kib
from protocol.codec import encode
from protocol.frames import VERSION, Hello
from protocol.values import Cursor

BEAT_S: Final = 60
POSTING_SHARE: Final = 0.01
POSTS_PER_S_MIN: Final = 5.0
"""With few sockets a once-a-minute poster would leave nothing to measure."""
CONNECT_S: Final = 600.0
SETTLE_S: Final = 5.0
GOALS: Final = (Goal(figure_min=100_000), Goal(figure_max=25.0), Goal(figure_max=100.0))
_MEMINFO: Final = Path("/proc/meminfo")


class Size(msgspec.Struct, frozen=True):
    """How many, over how many gateways; how long it is only watched, and how long some of them post, in seconds."""

    gateways: int
    sockets: int
    members: int = 50
    idle_s: float = 120.0
    posting_s: float = 60.0
    beat_s: int = BEAT_S


WHOLE: Final = Size(6, 100_000)
QUICK: Final = Size(2, 400, members=20, idle_s=6.0, posting_s=2.0, beat_s=5)


async def measure(options: Options, say: Callable[[str], None]) -> list[Measured]:
    """Once, whatever `rounds` says: it takes minutes, and its idle time is a mean of thousands of beats."""
    return await hold(QUICK if options.quick else WHOLE, say)


async def hold(size: Size, say: Callable[[str], None]) -> list[Measured]:
    """One crowd of that size, from its first socket to its last post."""
    began = time.monotonic()
    async with open_stage(servers=size.gateways, people=size.sockets, peers=False) as stage:
        ours = stage.ours
        rooms = await ours.rooms(size.sockets // size.members, size.members)
        say(f"crowd: {size.sockets:,} people in {len(rooms):,} rooms after {time.monotonic() - began:.0f} s")
        async with seated(ours, rooms, stage.folder, beat_s=size.beat_s) as crowd:
            free_kib = _available_kib()
            before = _parts_kib(ours)
            before_s, at = sum(spent_s(ours).values()), time.monotonic()
            await crowd.connect(size.sockets, CONNECT_S)
            wall_s, took_s = time.monotonic() - at, sum(spent_s(ours).values()) - before_s
            await trio.sleep(size.beat_s + SETTLE_S)  # from here on everybody gets one beat in each of these times
            resident = {part: kib - before[part] for part, kib in _parts_kib(ours).items()}
            less_kib = free_kib - _available_kib()
            each_us = took_s / size.sockets * 1e6
            say(
                f"crowd: {size.sockets:,} sockets at {size.gateways} gateways in {wall_s:.0f} s, {each_us:.0f} µs server CPU each; "
                f"resident {_each(resident, size)}; the machine has {less_kib / 2**20:.2f} GiB less, generators included"
            )
            await crowd.beats()
            idle, beats = await _watch(ours, crowd, size.idle_s)
            due = size.sockets * (size.idle_s // size.beat_s)
            if beats.total < 0.9 * due:
                raise GeneratorFailed(f"{beats.total:,} beats in {size.idle_s:g} s, where {due:,.0f} were due")
            percent = sum(idle.values()) / size.idle_s * 100
            by_part = ", ".join(f"{part} {spent / size.idle_s * 100:.1f} %" for part, spent in idle.items())
            say(
                f"crowd: beats alone: {beats.total:,} in {size.idle_s:g} s ({beats.least} to {beats.most} each): "
                f"{percent:.1f} % of a core; {by_part}"
            )
            posters = max(1, round(size.sockets * POSTING_SHARE))
            report = await crowd.post_at(max(posters / 60.0, POSTS_PER_S_MIN), size.posting_s, posters)
            say(
                f"crowd: {posters:,} of them post, {report.posts:,} posts and {report.deliveries:,} deliveries checked "
                f"in {report.wall_s:.0f} s: p50 {report.p50_ms:.1f} ms, p99 {report.p99_ms:.1f} ms, most {report.max_ms:.0f} ms; "
                f"answered p50 {report.answer_p50_ms:.1f} ms, p99 {report.answer_p99_ms:.1f} ms"
            )
    name = f"{size.sockets:,} sockets at {size.gateways} gateways"
    held, cpu, p99 = (None, None, None) if size is not WHOLE else GOALS
    return [
        Measured(
            "authenticated sockets held at once on this machine", size.sockets, "sockets", goal=held, note=f"{size.gateways} gateways"
        ),
        Measured(
            f"{name}: resident in the gateways", resident["gateways"] / size.sockets, "KiB a socket", note="a room and an inbox followed"
        ),
        Measured(f"{name}: CPU with one beat a minute each", percent, "% of a core", goal=cpu, note="gateways, jobs, Postgres and Valkey"),
        Measured(f"{name}: from post to delivery, p50", report.p50_ms, "ms", note="1 % of them post once a minute, rooms of 50"),
        Measured(f"{name}: from post to delivery, p99", report.p99_ms, "ms", goal=p99, note="1 % of them post once a minute, rooms of 50"),
    ]


@asynccontextmanager
async def seated(
    ours: Ours, rooms: Sequence[Room], folder: Path, *, beat_s: int = BEAT_S, inbox: bool = True, stall_s: float = 30.0
) -> AsyncIterator[Crowd]:
    """A crowd with a seat for everybody in these rooms, nobody connected yet. A room's members take turns at the gateways."""
    ends = await ours.ask(partial(heads, rooms=list(rooms)))
    people = [person for room in rooms for person in room.people]
    inbox_of = await ours.ask(partial(inboxes, people=people)) if inbox else {}
    count = len(ours.ports)
    seats = [
        CrowdRoom(
            room.stream,
            tuple(
                CrowdSeat(
                    n % count, person.user, inbox_of.get(person.user, 0), _hello(person, (room.stream, ends[room.stream]), inbox_of, beat_s)
                )
                for n, person in enumerate(room.people)
            ),
        )
        for room in rooms
    ]
    async with open_crowd(seats, ours.ports, folder, stall_s=stall_s) as crowd:
        yield crowd


def _hello(person: Person, room: tuple[int, int], inbox_of: dict[int, int], beat_s: int) -> bytes:
    inbox = inbox_of.get(person.user)
    cursors = (Cursor(*room),) if inbox is None else (Cursor(*room), Cursor(inbox, 0))
    return encode(Hello(VERSION, person.token, person.device, cursors, heartbeat_s=beat_s))


async def _watch(ours: Ours, crowd: Crowd, seconds: float) -> tuple[dict[str, float], Beats]:
    before = spent_s(ours)
    await trio.sleep(seconds)
    after = spent_s(ours)
    return {part: after[part] - before[part] for part in after}, await crowd.beats()


def _available_kib() -> float:
    for line in _MEMINFO.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return float(line.split()[1])
    raise AssertionError("/proc/meminfo names no MemAvailable")


def _parts_kib(ours: Ours) -> dict[str, float]:
    """PSS of a system's parts, so that what processes share is counted once."""
    return {part: resident_tree_kib(pids) for part, pids in ours.parts().items()}


def _each(resident_kib: dict[str, float], size: Size) -> str:
    return ", ".join(f"{part} {kib / size.sockets:.2f} KiB a socket" for part, kib in resident_kib.items())
