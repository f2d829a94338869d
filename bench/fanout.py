"""µs of server CPU for one delivery: a message to one member.

    room:  1 room × 1,000 over two gateways, four messages outstanding
    rooms: 200 rooms × 50, 10,000 sockets, one message outstanding in each room

Durable: a post, committed in Postgres and acknowledged to its author, beside the same message through Socket.IO, which acknowledges and
stores nothing. Ephemeral: a typing notice beside the same event there, stored by neither.

A typing notice is passed on once in two seconds for each user, and for at most 32 users of a channel in that time: so it comes in bursts
of 32 messages from 32 members, for both systems alike, and 2.2 s lie between two bursts of one system. Their CPU time is not counted.

Each message comes from another of 32 members in turn, half of them at each gateway or node. It counts as delivered when every member has
it, and (durable) its author has been answered; then the next one is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Final

import msgspec
import trio

from bench.figures import Goal, Measured
from bench.generator import Generator, Report
from bench.stage import Load, Options, Spent, Stage, in_turn, open_loads, open_stage, shares

POSTERS: Final = 32
BURST: Final = 32
BURST_EVERY_S: Final = 2.2


class Shape(msgspec.Struct, frozen=True):
    """One load. `messages` and `bursts` are a round's, for each room."""

    name: str
    rooms: int
    members: int
    outstanding: int
    messages: int
    bursts: int
    durable: Goal | None
    ephemeral: Goal | None


SHAPES: Final = (
    Shape("1 room × 1,000", 1, 1000, 4, 400, 4, Goal(ratio_max=0.5), Goal(ratio_max=0.25)),
    Shape("200 rooms × 50", 200, 50, 1, 20, 1, None, Goal(ratio_max=0.45)),
)
QUICK: Final = (
    Shape("1 room × 200", 1, 200, 4, 100, 1, None, None),
    Shape("20 rooms × 50", 20, 50, 1, 10, 1, None, None),
)


async def measure(options: Options, say: Callable[[str], None]) -> list[Measured]:
    """Both shapes, both kinds."""
    shapes = QUICK if options.quick else SHAPES
    people = max(shape.rooms * shape.members for shape in shapes)
    measured = []
    async with open_stage(servers=2, people=people, peers=options.peers) as stage:
        for shape in shapes:
            rooms = await stage.ours.rooms(shape.rooms, shape.members)
            async with open_loads(stage, rooms) as loads:
                say(f"fanout: {shape.name}: {shape.rooms * shape.members:,} sockets at each of {', '.join(s.name for s in stage.systems)}")
                measured.append(await _durable(shape, loads, options, stage, say))
                measured.append(await _ephemeral(shape, loads, options, stage, say))
    return measured


async def _durable(shape: Shape, loads: Sequence[Load], options: Options, stage: Stage, say: Callable[[str], None]) -> Measured:
    async def run(generator: Generator) -> Report:
        return await generator.say(shape.messages, shape.outstanding, POSTERS)

    rounds: list[list[Spent]] = []
    for number in range(-1, options.rounds):
        turns = {load.system.name: await load.spend(run) for load in in_turn(loads, number)}
        if number >= 0:  # the first one only warms up
            rounds.append([turns[load.system.name] for load in loads])
    name = f"fan-out, {shape.name}, {shape.outstanding} outstanding, durable and acknowledged"
    return _summarise(name, rounds, stage, shape.durable, say)


async def _ephemeral(shape: Shape, loads: Sequence[Load], options: Options, stage: Stage, say: Callable[[str], None]) -> Measured:
    async def run(generator: Generator) -> Report:
        return await generator.type(min(BURST, shape.members), shape.outstanding)

    ready_at = dict.fromkeys((load.system.name for load in loads), trio.current_time() + BURST_EVERY_S)
    rounds: list[list[Spent]] = []
    for number in range(-1, options.rounds):
        bursts: dict[str, list[Spent]] = {load.system.name: [] for load in loads}
        for burst in range(shape.bursts):
            for load in in_turn(loads, number + burst):
                await trio.sleep_until(ready_at[load.system.name])
                bursts[load.system.name].append(await load.spend(run))
                ready_at[load.system.name] = trio.current_time() + BURST_EVERY_S
        if number >= 0:
            rounds.append([_add(bursts[load.system.name]) for load in loads])
    return _summarise(f"fan-out, {shape.name}, {shape.outstanding} outstanding, ephemeral", rounds, stage, shape.ephemeral, say)


def _add(spent: Sequence[Spent]) -> Spent:
    whole = Report(
        messages=sum(one.report.messages for one in spent),
        deliveries=sum(one.report.deliveries for one in spent),
        wall_s=sum(one.report.wall_s for one in spent),
        cpu_s=sum(one.report.cpu_s for one in spent),
        bytes_in=sum(one.report.bytes_in for one in spent),
        bytes_out=sum(one.report.bytes_out for one in spent),
        receives=sum(one.report.receives for one in spent),
    )
    return Spent(whole, {part: sum(one.parts_s[part] for one in spent) for part in spent[0].parts_s})


def cost_us(spent: Spent) -> float:
    """Server CPU a delivery."""
    return spent.server_s / spent.report.deliveries * 1e6


def _summarise(name: str, rounds: Sequence[Sequence[Spent]], stage: Stage, goal: Goal | None, say: Callable[[str], None]) -> Measured:
    ours = [cost_us(turns[0]) for turns in rounds]
    theirs = [cost_us(turns[1]) for turns in rounds] if stage.peer is not None else []
    for place, system in enumerate(stage.systems):
        turns = [one[place] for one in rounds]
        own = median(one.report.cpu_s / one.report.deliveries * 1e6 for one in turns)
        joined = median(one.report.deliveries / one.report.receives for one in turns)
        costs = " ".join(f"{cost_us(one):.2f}" for one in turns)
        wall = sum(one.report.wall_s for one in turns)
        checked = sum(one.report.deliveries for one in turns)
        say(
            f"  {name.removeprefix('fan-out, ')}: {system.name}: {costs} µs; {checked:,} deliveries checked in {wall:.1f} s; "
            f"{joined:.2f} a receive; {shares(turns)}; the generator took {own:.2f} µs"
        )
    return Measured(
        name=name,
        figure=median(ours),
        unit="µs server CPU a delivery",
        peer=stage.peer.name if stage.peer is not None else None,
        peer_figure=median(theirs) if theirs else None,
        ratio=median(mine / its for mine, its in zip(ours, theirs, strict=True)) if theirs else None,
        goal=goal,
        note="ours stores it, the peer does not" if "durable" in name else "typing notices, in bursts of 32",
    )
