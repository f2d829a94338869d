"""KiB of memory for one idle socket: authenticated, with its session, device and user actor, following one channel of fifty.

    one gateway, 1,000 sockets ─ settle ─ read ─▶ 19,000 sockets ─ settle ─ read ─▶ the difference, over 18,000

Resident memory of the one process that holds the sockets (RSS; PSS is printed beside). What the kernel holds for a connection is in
neither and the same for everybody. The peer's garbage is collected before each reading, ours is what it is. Each round has new processes,
since memory that was used once is used again; 19,000 is what a process holds that may open 20,000 files.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from statistics import median
from typing import Final

import trio

from bench.figures import Goal, Measured
from bench.generator import open_generator
from bench.population import Room
from bench.stage import Options, Stage, System, open_stage, spent_s
from bench.usage import resident_kib

MEMBERS: Final = 50
SETTLE_S: Final = 3.0
FIRST, LAST = 1_000, 19_000
QUICK_FIRST, QUICK_LAST = 200, 1_000
ROUNDS_MAX: Final = 3
"""A round starts everything anew, and its figure is a mean over 18,000 sockets: it is much the same each time, as the lines show."""
GOAL: Final = Goal(figure_max=5.0, ratio_max=0.4)


async def measure(options: Options, say: Callable[[str], None]) -> list[Measured]:
    """The difference between few and many sockets; the median of the rounds."""
    first, last = (QUICK_FIRST, QUICK_LAST) if options.quick else (FIRST, LAST)
    rounds: list[list[float]] = []
    peer = ""
    for _ in range(min(options.rounds, ROUNDS_MAX)):
        async with open_stage(servers=1, people=last, peers=options.peers) as stage:
            rooms = await stage.ours.rooms(last // MEMBERS, MEMBERS)
            rounds.append([await _kib_each(system, rooms, stage, first, last, say) for system in stage.systems])
            peer = stage.peer.name if stage.peer is not None else ""
    ours = median(each[0] for each in rounds)
    return [
        Measured(
            name=f"idle authenticated socket with its actors, {first:,} to {last:,} in one process",
            figure=ours,
            unit="KiB RSS",
            peer=peer or None,
            peer_figure=median(each[1] for each in rounds) if peer else None,
            ratio=median(each[0] / each[1] for each in rounds) if peer else None,
            goal=None if options.quick else GOAL,
            note="without the kernel's part",
        )
    ]


async def _kib_each(system: System, rooms: list[Room], stage: Stage, first: int, last: int, say: Callable[[str], None]) -> float:
    async with AsyncExitStack() as stack:
        generator = await stack.enter_async_context(open_generator(await system.plan(rooms), stage.folder))
        await generator.connect(first)
        rss_before, pss_before = await _read(system)
        cpu_before_s = sum(spent_s(system).values())
        await generator.connect(last)
        handshake_us = (sum(spent_s(system).values()) - cpu_before_s) / (last - first) * 1e6
        rss, pss = await _read(system)
    each = (rss - rss_before) / (last - first)
    say(
        f"memory: {system.name}: {each:.2f} KiB RSS a socket, {(pss - pss_before) / (last - first):.2f} PSS; "
        f"{rss / 1024:.0f} MiB with {last:,}; {handshake_us:.0f} µs server CPU to connect, authenticate and follow one"
    )
    return each


async def _read(system: System) -> tuple[float, float]:
    await trio.sleep(SETTLE_S)
    await system.settle()
    return resident_kib(system.front_pid)
