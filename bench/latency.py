"""How long a post takes to each member of its room: two gateways, 10,000 sockets in rooms of 50, five hundred posts a second.

    author ─ post, when it is due ─▶ gateway ─▶ journal ─▶ Postgres: committed ─▶ 25 members here
                                                                              └▶ Valkey ─▶ the other gateway ─▶ 25 members there

One process holds all the sockets and reads one clock, so the time is from when a post was due to when each delivery was read. Everybody
posts in turn. 25,000 deliveries a second come back through the same two cores: what the generator takes of them is said beside.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Final

import msgspec

from bench.crowd import seated
from bench.crowd_generator import CrowdReport
from bench.figures import Goal, Measured
from bench.stage import Options, open_stage, spent_s


class Size(msgspec.Struct, frozen=True):
    """How many rooms, of how many; posts a second over all of them, for how long."""

    rooms: int
    members: int
    per_s: float
    run_s: float


WHOLE: Final = Size(200, 50, 500.0, 10.0)
QUICK: Final = Size(10, 20, 50.0, 2.0)
GATEWAYS: Final = 2
GOALS: Final = {"p50": Goal(figure_max=10.0), "p99": Goal(figure_max=50.0)}


async def measure(options: Options, say: Callable[[str], None]) -> list[Measured]:
    """Medians of the rounds' p50 and p99. There is no peer: none of them stores what it delivers."""
    size = QUICK if options.quick else WHOLE
    sockets = size.rooms * size.members
    reports: list[CrowdReport] = []
    cores: list[float] = []
    async with open_stage(servers=GATEWAYS, people=sockets, peers=False) as stage:
        rooms = await stage.ours.rooms(size.rooms, size.members)
        async with seated(stage.ours, rooms, stage.folder, inbox=False) as crowd:
            await crowd.connect(sockets)
            await crowd.post_at(size.per_s, size.run_s / 2, sockets)  # the first one only warms up
            for _ in range(options.rounds):
                before_s = sum(spent_s(stage.ours).values())
                reports.append(await crowd.post_at(size.per_s, size.run_s, sockets))
                cores.append((sum(spent_s(stage.ours).values()) - before_s) / reports[-1].wall_s)
                one = reports[-1]
                say(
                    f"latency: {one.posts / one.wall_s:,.0f} posts/s, {one.deliveries:,} deliveries checked: p50 {one.p50_ms:.1f} ms, "
                    f"p99 {one.p99_ms:.1f} ms, most {one.max_ms:.0f} ms; "
                    f"answered p50 {one.answer_p50_ms:.1f} ms, p99 {one.answer_p99_ms:.1f} ms; "
                    f"{cores[-1]:.2f} cores of server CPU, the generator took {one.cpu_s / one.wall_s:.2f}"
                )
    at = f"{size.per_s:g} posts/s, {sockets:,} sockets at two gateways, rooms of {size.members}"
    goals = {} if options.quick else GOALS
    return [
        Measured(f"from post to delivery, {at}, p50", median(one.p50_ms for one in reports), "ms", goal=goals.get("p50")),
        Measured(f"from post to delivery, {at}, p99", median(one.p99_ms for one in reports), "ms", goal=goals.get("p99")),
        Measured(f"from post to acknowledgement, {at}, p99", median(one.answer_p99_ms for one in reports), "ms"),
        Measured(f"server CPU, {at}", median(cores), "cores"),
    ]
