"""Durable posts through one gateway, committed and acknowledged: how many a second, and how long one waits.

    500 devices, 50 streams ─ 16 outstanding each ─▶ posts/s
                            ─ 1,000 and 3,000 a second ─▶ p50 and p99 from when a post was due to its acknowledgement

Nobody follows the streams, so this is the way in: socket, decoding, actors, journal, Postgres, answer. fsync is on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from statistics import median
from typing import Final

import msgspec

from bench.figures import Goal, Measured
from bench.generator import Generator, Report, open_generator
from bench.stage import Load, Options, open_stage, shares

ROOMS: Final = 50
MEMBERS: Final = 10
OUTSTANDING: Final = 16
POSTS: Final = 30_000
RATES_PER_S: Final = (1_000, 3_000)
RATE_S: Final = 5.0
GOALS: Final = {3_000: Goal(figure_max=25.0)}


async def measure(options: Options, say: Callable[[str], None]) -> list[Measured]:
    """Throughput and latencies. There is no peer: none of them stores anything."""
    posts = POSTS // 10 if options.quick else POSTS
    rounds = options.rounds
    measured: list[Measured] = []
    async with open_stage(servers=1, people=ROOMS * MEMBERS, peers=False) as stage:
        rooms = await stage.ours.rooms(ROOMS, MEMBERS)
        plan = await stage.ours.plan(rooms, follows=False)
        async with open_generator(plan, stage.folder) as generator:
            await generator.connect(len(plan.seats))
            load = Load(stage.ours, generator)
            await generator.post(posts // 3, OUTSTANDING)
            spent = [await load.spend(lambda generator: generator.post(posts, OUTSTANDING)) for _ in range(rounds)]
            cost_us = median(one.server_s / one.report.messages * 1e6 for one in spent)
            own_us = median(one.report.cpu_s / one.report.messages * 1e6 for one in spent)
            speeds = [one.report.messages / one.report.wall_s for one in spent]
            say(
                f"posts: {' '.join(f'{speed:,.0f}' for speed in speeds)} a second, {cost_us:.0f} µs server CPU each ({shares(spent)}), "
                f"the generator took {own_us:.1f} µs; p50 {spent[-1].report.p50_ms:.0f} ms, p99 {spent[-1].report.p99_ms:.0f} ms"
            )
            measured.append(Measured("durable posts acknowledged, one gateway", median(speeds), "/s", goal=Goal(figure_min=10_000)))
            measured.append(Measured("server CPU a durable post, one gateway, at full speed", cost_us, "µs"))
            for per_s in RATES_PER_S:
                runs = [await load.spend(_at(per_s)) for _ in range(rounds)]
                p50, p99 = (median(getattr(one.report, key) for one in runs) for key in ("p50_ms", "p99_ms"))
                cpu = median(one.server_s / one.report.wall_s for one in runs)
                say(
                    f"posts: at {per_s:,} a second: p50 {p50:.1f} ms, p99 {' '.join(f'{one.report.p99_ms:.1f}' for one in runs)} ms, "
                    f"{cpu:.2f} cores of server CPU ({shares(runs)})"
                )
                measured.append(Measured(f"from post to acknowledgement at {per_s:,}/s, p50", p50, "ms"))
                measured.append(Measured(f"from post to acknowledgement at {per_s:,}/s, p99", p99, "ms", goal=GOALS.get(per_s)))
    return [msgspec.structs.replace(one, note="fsync on; no followers") for one in measured]


def _at(per_s: float) -> Callable[[Generator], Awaitable[Report]]:
    return lambda generator: generator.post_at(per_s, RATE_S)
