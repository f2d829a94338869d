"""Bytes on the wire for the same chat: messages of forty characters, from one member to another at the other gateway.

    author ─ post ─▶ gateway 1 ═▶ gateway 2 ─ event ─▶ reader        counted at the client's socket: payload and WebSocket framing
           ◀─ done ─                                                 (TCP/IP's own 40 bytes a packet are not in it)

One message outstanding, so that nothing is joined that a person would not see joined.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bench.figures import Goal, Measured
from bench.stage import Options, open_loads, open_stage

TEXT_BYTES: Final = 40
MESSAGES: Final = 1_000
QUICK_MESSAGES: Final = 100


async def measure(options: Options, say: Callable[[str], None]) -> list[Measured]:
    """Three figures a message: to the reader, beyond the text, and between the author and the server."""
    messages = QUICK_MESSAGES if options.quick else MESSAGES
    downs: list[float] = []
    ups: list[float] = []
    async with open_stage(servers=2, people=2, peers=options.peers) as stage:
        rooms = await stage.ours.rooms(1, 2)
        async with open_loads(stage, rooms) as loads:
            for load in loads:
                before = await load.generator.bytes_by_member()
                await load.generator.say(messages, 1, 1)
                (_, sent_from), (got_from, _) = before
                (_, sent), (got, _) = await load.generator.bytes_by_member()
                downs.append((got - got_from) / messages)
                ups.append((sent - sent_from) / messages)
                say(
                    f"wire: {load.system.name}: {messages:,} messages of {TEXT_BYTES} characters: "
                    f"{downs[-1]:.1f} B down, {ups[-1]:.1f} B up each"
                )
    peer = stage.peer.name if stage.peer is not None else None
    beyond = [down - TEXT_BYTES for down in downs]

    def measured(name: str, values: list[float], goal: Goal | None = None) -> Measured:
        theirs = values[1] if peer is not None else None
        return Measured(name, values[0], "B", peer, theirs, values[0] / theirs if theirs else None, goal, "payload and WebSocket framing")

    return [
        measured(f"bytes to a reader, a message of {TEXT_BYTES} characters", downs),
        measured("bytes beyond the text, a chat event", beyond, Goal(figure_max=24)),
        measured(f"bytes from its author, a message of {TEXT_BYTES} characters", ups),
    ]
