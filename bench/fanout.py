"""µs of server CPU for one delivery: a message to one member.

    room:  1 room × 1,000, four messages outstanding
    rooms: 200 rooms × 50, 10,000 sockets, one message outstanding in each room

Ours and Socket.IO run on two gateways or nodes; the others, which have no second process that they would know of, on one.

Durable: a post, committed in Postgres and acknowledged to its author before it counts, beside the same message through Socket.IO, which
acknowledges and stores nothing. Ephemeral: a typing notice, which ours checks (authority, form, rate) and nobody stores; each is an event
of its own to every member. A setting of ours lets one user's typing pass each time (`bench.ours.ENVIRONMENT`); everything else of its way
is as it is in production.

Each message comes from another of 32 members in turn, half of them at each gateway or node. It counts as delivered when every member has
it, and (durable) its author has been answered; then the next one is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from bench.beside import compare
from bench.figures import Goal, Measured
from bench.generator import Generator, Report
from bench.stage import OTHERS, Load, Options, Stage, drive, open_loads, open_stage

POSTERS: Final = 32
UNIT: Final = "µs server CPU a delivery"
STORED: Final = "ours stores it, the peer does not"
ONE_PROCESS: Final = "the peer: one process, no authority checked"
NOTES: Final[Mapping[str, str]] = {"socketio": "neither stores it", **dict.fromkeys(OTHERS, ONE_PROCESS)}
"""Of the ephemeral rows."""


class Shape(msgspec.Struct, frozen=True):
    """One load. `messages` and `notices` are a round's, for each room; goals are by the peer's kind."""

    name: str
    rooms: int
    members: int
    outstanding: int
    messages: int
    notices: int
    durable: Mapping[str, Goal] = {}
    ephemeral: Mapping[str, Goal] = {}


SHAPES: Final = (
    Shape(
        *("1 room × 1,000", 1, 1000, 4, 400, 400),
        durable={"socketio": Goal(ratio_max=0.5)},
        ephemeral={"socketio": Goal(ratio_max=0.25), "uws": Goal(ratio_max=1.5)},
    ),
    Shape(*("200 rooms × 50", 200, 50, 1, 20, 40), ephemeral={"socketio": Goal(ratio_max=0.45), "nats": Goal(ratio_max=1.0)}),
)
QUICK: Final = (
    Shape("1 room × 200", 1, 200, 4, 100, 100),
    Shape("20 rooms × 50", 20, 50, 1, 10, 10),
)


async def measure(options: Options, say: Callable[[str], None]) -> list[Measured]:
    """Both shapes, both kinds."""
    shapes = QUICK if options.quick else SHAPES
    people = max(shape.rooms * shape.members for shape in shapes)
    measured = []
    async with open_stage(servers=2, people=people, peers=options.peers, others=tuple(OTHERS)) as stage:
        for shape in shapes:
            rooms = await stage.ours.rooms(shape.rooms, shape.members)
            async with open_loads(stage, rooms) as loads:
                say(f"fanout: {shape.name}: {shape.rooms * shape.members:,} sockets at each of {', '.join(s.name for s in stage.systems)}")
                measured += await _durable(shape, loads, options, stage, say)
                measured += await _ephemeral(shape, loads, options, stage, say)
    return measured


async def _durable(shape: Shape, loads: Sequence[Load], options: Options, stage: Stage, say: Callable[[str], None]) -> list[Measured]:
    async def run(generator: Generator) -> Report:
        return await generator.say(shape.messages, shape.outstanding, POSTERS)

    rounds = await drive([load for load in loads if load.system.kind in ("ours", "socketio")], options.rounds, run)
    name = f"fan-out, {shape.name}, {shape.outstanding} outstanding, durable and acknowledged"
    return compare(name, UNIT, rounds, deliveries, stage, shape.durable, {"socketio": STORED}, say)


async def _ephemeral(shape: Shape, loads: Sequence[Load], options: Options, stage: Stage, say: Callable[[str], None]) -> list[Measured]:
    async def run(generator: Generator) -> Report:
        return await generator.type(shape.notices, shape.outstanding, POSTERS)

    rounds = await drive(loads, options.rounds, run)
    name = f"fan-out, {shape.name}, {shape.outstanding} outstanding, ephemeral"
    return compare(name, UNIT, rounds, deliveries, stage, shape.ephemeral, NOTES, say)


def deliveries(report: Report) -> int:
    return report.deliveries
