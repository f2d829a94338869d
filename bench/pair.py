"""µs of server CPU for a message between two gateways, with one receiver at each.

    author at gateway 1 ─▶ gateway 1 ═ Valkey ═▶ gateway 2 ─▶ reader
                               ╰─▶ author

A typing notice in a room of two, whose author hears it too, as everywhere. The next one is sent when both have it.

    one pair:    nothing can be joined, and every process wakes for every message; the goal is for this one
    100 pairs:   each with one message outstanding: what a busy server pays, where neither side wakes for each

nats-server, node ws, the uWebSockets core and the floor are one process each, here as in their documentation: what they would take
between two, they do not say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from bench.beside import compare
from bench.figures import Goal, Measured
from bench.generator import Generator, Report
from bench.stage import Options, drive, open_loads, open_stage

UNIT: Final = "µs server CPU a message"
NOTES: Final[Mapping[str, str]] = {"socketio": "typing notices; neither stores them"}


class Shape(msgspec.Struct, frozen=True):
    """One load; `notices` are a round's, for each pair. Goals are by the peer's kind."""

    name: str
    pairs: int
    notices: int
    goals: Mapping[str, Goal] = {}


SHAPES: Final = (Shape("one pair", 1, 4_000, {"socketio": Goal(ratio_max=0.2)}), Shape("100 pairs", 100, 200))
QUICK: Final = (Shape("one pair", 1, 200), Shape("20 pairs", 20, 20))


async def measure(options: Options, say: Callable[[str], None]) -> list[Measured]:
    """Both shapes, beside Socket.IO."""
    measured = []
    shapes = QUICK if options.quick else SHAPES
    async with open_stage(servers=2, people=2 * max(shape.pairs for shape in shapes), peers=options.peers) as stage:
        for shape in shapes:

            async def run(generator: Generator, notices: int = shape.notices) -> Report:
                return await generator.type(notices, 1, 1)

            async with open_loads(stage, await stage.ours.rooms(shape.pairs, 2)) as loads:
                say(f"pair: {shape.name} at each of {', '.join(system.name for system in stage.systems)}")
                rounds = await drive(loads, options.rounds, run)
            name = f"a message between two gateways, one receiver each, {shape.name}"
            measured += compare(name, UNIT, rounds, messages, stage, shape.goals, NOTES, say)
    return measured


def messages(report: Report) -> int:
    return report.messages
