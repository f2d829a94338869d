"""Does it cost the same when there is more of everything? Sockets, communities, stored events.

    sockets      1,000 ─▶ 10,000 ─▶ 50,000 over three gateways: µs a delivery ÷ µs a delivery of a loop of `send` in C, as many sockets
    communities  10 ─▶ 100 ─▶ 1,000 ─▶ 10,000 that 10,000 devices post into: µs a durable post
    events       10³ ─▶ 10⁵ ─▶ 10⁶ ─▶ 10⁷ in the log: µs a durable post

The kernel's own `send` becomes dearer with the number of sockets, so what counts is the ratio to a program that does nothing else
(`bench/crowd_floor.c`: three processes, a room's members all in one of them, where ours sit at all three gateways). Eighteen posts are
under way at any time, in rooms of 50 that take turns: the same load, however many rooms there are.

What is stored is put into the log as the journal would have put it, by `insert … select`; then the tables are vacuumed, as autovacuum
would soon have done. Posts come at a fixed rate, so that a batch is as large at one size as at the other; nobody follows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import Final

import msgspec

from bench.crowd import CONNECT_S, seated
from bench.crowd_floor import FLOOR_NAME, open_floors
from bench.crowd_generator import Crowd
from bench.figures import Goal, Measured
from bench.generator import open_generator
from bench.population import Room, count_log, fill_log, tidy_log
from bench.stage import Load, Options, Stage, open_stage, spent_s
from bench.usage import cpu_s

GATEWAYS: Final = 3
MEMBERS: Final = 50
OUTSTANDING: Final = 18
WRITERS: Final = 10
FILL_STEP: Final = 250_000
"""Events put into the log by one statement."""
FLAT: Final = Goal(figure_max=1.2)


class Size(msgspec.Struct, frozen=True):
    """What grows, and the load at each step."""

    sockets: tuple[int, ...]
    posts: int
    communities: tuple[int, ...]
    devices: int
    events: tuple[int, ...]
    streams: int
    per_s: float
    run_s: float


WHOLE: Final = Size(
    sockets=(1_000, 10_000, 50_000),
    posts=1_800,
    communities=(10, 100, 1_000, 10_000),
    devices=10_000,
    events=(1_000, 100_000, 1_000_000, 10_000_000),
    streams=100,
    per_s=1_000.0,
    run_s=4.0,
)
QUICK: Final = Size((200, 600), 90, (2, 20), 100, (100, 10_000), 10, 200.0, 1.0)

Say = Callable[[str], None]


async def measure(options: Options, say: Say) -> list[Measured]:
    """All three, one after the other, each with servers of its own."""
    size = QUICK if options.quick else WHOLE
    return [
        *await _sockets(size, options, say),
        *await _communities(size, options, say),
        *await _events(size, options, say),
    ]


async def _sockets(size: Size, options: Options, say: Say) -> list[Measured]:
    most = max(size.sockets)
    ratios: list[float] = []
    measured: list[Measured] = []
    async with open_stage(servers=GATEWAYS, people=most, peers=False) as stage, open_floors(GATEWAYS) as floors:
        rooms = await stage.ours.rooms(most // MEMBERS, MEMBERS)
        async with seated(stage.ours, rooms, stage.folder, inbox=False) as crowd, floors.seated(rooms, stage.folder) as beneath:
            for sockets in size.sockets:
                here = await crowd.connect(sockets, CONNECT_S)
                below = await beneath.connect(sockets, CONNECT_S)
                assert here == below, "the same rooms are at both"
                rounds = [await _round(stage, crowd, floors.pids, beneath, size.posts) for _ in range(-1, options.rounds)][1:]
                ours_us, floor_us = (median(pair[n] for pair in rounds) for n in (0, 1))
                ratios.append(median(mine / its for mine, its in rounds))
                say(
                    f"growth: {here:,} sockets: {' '.join(f'{mine:.2f}' for mine, _ in rounds)} µs a delivery, "
                    f"{' '.join(f'{its:.2f}' for _, its in rounds)} of the floor: {ratios[-1]:.2f} times"
                )
                name = f"durable fan-out at {sockets:,} sockets, rooms of {MEMBERS}"
                measured.append(Measured(name, ours_us, "µs server CPU a delivery", FLOOR_NAME, floor_us, ratios[-1]))
    name = f"fan-out's ratio to the floor, {most:,} sockets over {size.sockets[0]:,}"
    note = "below 1: the floor's sends become dearer, and a part of ours is no send"
    return [*measured, Measured(name, ratios[-1] / ratios[0], "times", goal=None if options.quick else FLAT, note=note)]


async def _round(stage: Stage, crowd: Crowd, floor_pids: Sequence[int], beneath: Crowd, posts: int) -> tuple[float, float]:
    """µs a delivery, of ours and of the floor, one after the other."""
    before_s = sum(spent_s(stage.ours).values())
    report = await crowd.say(posts, OUTSTANDING)
    ours_us = (sum(spent_s(stage.ours).values()) - before_s) / report.deliveries * 1e6
    before_s = cpu_s(floor_pids)
    report = await beneath.say(posts, OUTSTANDING)
    return ours_us, (cpu_s(floor_pids) - before_s) / report.deliveries * 1e6


async def _communities(size: Size, options: Options, say: Say) -> list[Measured]:
    costs: list[float] = []
    measured: list[Measured] = []
    async with open_stage(servers=1, people=size.devices, peers=False) as stage:
        for communities in size.communities:
            rooms = await stage.ours.rooms(communities, size.devices // communities)
            costs.append(await _cost_of_posting(stage, rooms, size, options.rounds))
            say(f"growth: {communities:,} communities, {size.devices:,} devices: {costs[-1]:.1f} µs server CPU a post")
            measured.append(Measured(f"a durable post at {size.per_s:g}/s, {communities:,} communities", costs[-1], "µs server CPU"))
    name = f"cost of a post, {size.communities[-1]:,} communities over {size.communities[0]:,}"
    return [*measured, Measured(name, costs[-1] / costs[0], "times", goal=None if options.quick else FLAT)]


async def _events(size: Size, options: Options, say: Say) -> list[Measured]:
    costs: list[float] = []
    measured: list[Measured] = []
    async with open_stage(servers=1, people=size.streams * WRITERS, peers=False) as stage:
        rooms = await stage.ours.rooms(size.streams, WRITERS)
        for events in size.events:
            stored = await stage.ours.ask(count_log)
            for more in range(stored, events, FILL_STEP):
                await stage.ours.ask(partial(fill_log, rooms=rooms, events=min(FILL_STEP, events - more)))
            await stage.ours.ask(tidy_log, isolation="none")
            costs.append(await _cost_of_posting(stage, rooms, size, options.rounds))
            say(f"growth: {events:,} stored events in {size.streams} streams: {costs[-1]:.1f} µs server CPU a post")
            measured.append(Measured(f"a durable post at {size.per_s:g}/s, {events:,} stored events", costs[-1], "µs server CPU"))
    name = f"cost of a post, {size.events[-1]:,} stored events over {size.events[0]:,}"
    return [*measured, Measured(name, costs[-1] / costs[0], "times", goal=None if options.quick else FLAT)]


async def _cost_of_posting(stage: Stage, rooms: Sequence[Room], size: Size, rounds: int) -> float:
    """µs of server CPU a post, median of the rounds; the rooms' people post in turn and nobody follows."""
    plan = await stage.ours.plan(rooms, follows=False)
    async with open_generator(plan, stage.folder) as generator:
        await generator.connect(len(plan.seats))
        load = Load(stage.ours, generator)
        runs = [await load.spend(lambda generator: generator.post_at(size.per_s, size.run_s)) for _ in range(-1, rounds)][1:]
    return median(run.server_s / run.report.messages * 1e6 for run in runs)
