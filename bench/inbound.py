"""µs of server CPU for an ephemeral command: read from its socket, unmasked, decoded, checked, answered.

    100 sockets at one gateway ─ Ping(id, clock), one outstanding each ─▶ session: form, state, rate ─▶ Pong(id, clock)

Ours decodes a frame of the protocol strictly, takes the step of the session's table, counts the command against the account's rate, and
answers with its own clock. node ws and the uWebSockets core send back the bytes that came; Socket.IO parses its packet and acknowledges
the event. Nothing here waits for a database.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from bench.beside import compare
from bench.figures import Goal, Measured
from bench.generator import Generator, Report
from bench.pair import messages
from bench.stage import Options, drive, open_loads, open_stage

SOCKETS: Final = 100
QUESTIONS: Final = 40_000
QUICK_QUESTIONS: Final = 2_000
UNIT: Final = "µs server CPU a command"
GOALS: Final[Mapping[str, Goal]] = {"ws": Goal(figure_max=30.0, ratio_max=4.0), "ours": Goal(figure_max=30.0)}
ECHO: Final = "the peer checks nothing and echoes"
NOTES: Final[Mapping[str, str]] = {"ws": ECHO, "uws": ECHO, "socketio": "the peer acknowledges an event"}


async def measure(options: Options, say: Callable[[str], None]) -> list[Measured]:
    """One row for each peer that answers anything."""
    questions = QUICK_QUESTIONS if options.quick else QUESTIONS

    async def run(generator: Generator) -> Report:
        return await generator.ask(questions, 1)

    async with open_stage(servers=1, people=SOCKETS, peers=options.peers, others=("ws", "uws")) as stage:
        async with open_loads(stage, await stage.ours.rooms(1, SOCKETS)) as loads:
            say(f"inbound: {SOCKETS} sockets at each of {', '.join(system.name for system in stage.systems)}")
            rounds = await drive(loads, options.rounds, run)
        return compare("an ephemeral command, decoded, checked, answered", UNIT, rounds, messages, stage, GOALS, NOTES, say)
