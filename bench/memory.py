"""KiB of memory for one idle socket: authenticated, with its session, device and user actor, following one channel of fifty.

    one gateway, 1,000 sockets ─ settle ─ read ─▶ 19,000 sockets ─ settle ─ read ─▶ the difference, over 18,000

Resident memory of the one process that holds the sockets (RSS; PSS is printed beside). What the kernel holds for a connection is in
neither and the same for everybody. The peer's garbage is collected before each reading, ours is what it is.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

import trio

from bench.figures import Measured
from bench.generator import open_generator
from bench.stage import Options, System, open_stage, spent_s
from bench.usage import resident_kib

MEMBERS: Final = 50
SETTLE_S: Final = 3.0
FIRST, LAST = 1_000, 19_000
QUICK_FIRST, QUICK_LAST = 200, 1_000


async def measure(options: Options, say: Callable[[str], None]) -> list[Measured]:
    """The difference between few and many sockets."""
    first, last = (QUICK_FIRST, QUICK_LAST) if options.quick else (FIRST, LAST)
    async with open_stage(servers=1, people=last, peers=options.peers) as stage:
        rooms = await stage.ours.rooms(last // MEMBERS, MEMBERS)
        each: list[float] = []
        for system in stage.systems:
            async with AsyncExitStack() as stack:
                generator = await stack.enter_async_context(open_generator(await system.plan(rooms), stage.folder))
                await generator.connect(first)
                rss_before, pss_before = await _read(system)
                cpu_before_s = sum(spent_s(system).values())
                await generator.connect(last)
                handshake_us = (sum(spent_s(system).values()) - cpu_before_s) / (last - first) * 1e6
                rss, pss = await _read(system)
            each.append((rss - rss_before) / (last - first))
            say(
                f"memory: {system.name}: {each[-1]:.2f} KiB RSS a socket, {(pss - pss_before) / (last - first):.2f} PSS; "
                f"{rss / 1024:.0f} MiB with {last:,}; {handshake_us:.0f} µs server CPU to connect, authenticate and follow one"
            )
    theirs = each[1] if stage.peer is not None else None
    return [
        Measured(
            name=f"idle authenticated socket with its actors, {first:,} to {last:,} in one process",
            figure=each[0],
            unit="KiB RSS",
            peer=stage.peer.name if stage.peer is not None else None,
            peer_figure=theirs,
            ratio=each[0] / theirs if theirs else None,
            note="without the kernel's part; the goal, ≤ 5 KiB and ≤ 0.4 of the peer, is for 19,000 a process",
        )
    ]


async def _read(system: System) -> tuple[float, float]:
    await trio.sleep(SETTLE_S)
    await system.settle()
    return resident_kib(system.front_pid)
