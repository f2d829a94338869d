"""Somebody at the door who is no device of ours, or one that does not keep to the protocol. What they are told is noted; all end.

    open ─▶ a script of bytes ─▶ Goodbye or a close code ─▶ over

Invariant: whatever a stranger sends, their socket ends, and nobody else notices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from actors.accounts import Claims
from proofs.simulation.coverage import Coverage
from proofs.simulation.database import Database
from proofs.simulation.gateway import SimulatedGateway, SimulatedTokens, write_token
from proofs.simulation.network import SimulatedSocket
from proofs.simulation.rows import DeviceRow
from proofs.simulation.world import START_WALL_S, World
from protocol.codec import decode_frame, encode, join, split
from protocol.frames import VERSION, Bye, Failed, Goodbye, Hello, Overview, Ping, Refused, Resume

COLUMN = "??"
HANGS_UP_S = 30.0
UNKNOWN_TAG = 29
Script = Sequence[tuple[float, bytes]]
"""Messages, and how many seconds after the one before (the first: after the opening) each is sent."""


class Stranger:
    """One socket of such a person's."""

    def __init__(self, world: World, gateway: SimulatedGateway, coverage: Coverage, script: Script) -> None:
        self._world = world
        self._coverage = coverage
        self.over = False
        self._socket: SimulatedSocket | None = gateway.connect(self._heard, self._ended, COLUMN)
        if self._socket is None:
            self.over = True
            return
        at_s = 0.0
        for wait_s, message in script:
            at_s += wait_s
            world.after(at_s, lambda message=message: self._say(message))  # type: ignore[misc]
        world.after(at_s + HANGS_UP_S, self._hang_up)

    def _say(self, message: bytes) -> None:
        if self._socket is not None:
            self._socket.send_to_server(message)

    def _hang_up(self) -> None:
        """Whoever was let in and behaved goes by themselves."""
        if self._socket is not None:
            self._socket.cut()

    def _heard(self, payload: bytes) -> None:
        for raw in split(payload):
            frame = decode_frame(raw)
            if isinstance(frame, Goodbye | Failed | Refused):
                self._coverage.heard(frame.code)

    def _ended(self, code: int) -> None:
        self.over = True
        self._socket = None
        if code >= 4000:
            self._coverage.heard(code)


def scripts(database: Database, rude: DeviceRow, terms: bytes) -> list[Callable[[], Script]]:
    """What strangers do. `rude` is a device that exists, of somebody who sends what they like; `terms` are those of its tickets."""
    good = write_token(rude.user, rude.id, rude.session, START_WALL_S + 10_000)
    hello = encode(Hello(VERSION, good, rude.id))
    wrong_device = encode(Hello(VERSION, good, rude.id + 1))
    no_such_session = encode(Hello(VERSION, write_token(rude.user, rude.id, 1, START_WALL_S + 10_000), rude.id))
    other = next(row for row in database.devices.values() if row.user != rude.user)
    not_theirs = encode(Hello(VERSION, write_token(other.user, rude.id, other.session, START_WALL_S + 10_000), rude.id))
    unknown = msgspec.msgpack.encode([UNKNOWN_TAG, 7])
    unreadable = msgspec.msgpack.encode([6, 1, [999, "no operation"]])
    too_many = join([encode(Ping(id)) for id in range(1, 201)])
    claims = Claims(rude.user, rude.id, rude.session, START_WALL_S, START_WALL_S + 10_000)
    ticket = SimulatedTokens(lambda: database.tables.epoch).seal(claims, database.tables.epoch, terms)
    resume, spoiled = (encode(Resume(one, 1_000_000)) for one in (ticket, b"spoiled"))
    return [
        lambda: [],
        lambda: [(0.1, resume), (0.0, encode(Bye()))],
        lambda: [(0.1, resume), (3.0, encode(Overview(1)))],
        lambda: [(0.1, spoiled)],
        lambda: [(0.1, spoiled), (1.0, encode(Bye()))],
        lambda: [(0.1, spoiled), (0.0, too_many)],
        lambda: [(0.1, spoiled), (1.0, hello), (1.0, encode(Bye()))],
        lambda: [(0.1, encode(Bye()))],
        lambda: [(0.1, encode(Overview(1)))],
        lambda: [(0.1, b"\xc1\xc1")],
        lambda: [(0.1, unknown)],
        lambda: [(0.1, wrong_device)],
        lambda: [(0.1, no_such_session)],
        lambda: [(0.1, not_theirs)],
        lambda: [(0.1, hello), (0.0, encode(Bye()))],
        lambda: [(0.1, hello), (2.0, encode(Bye()))],
        lambda: [(0.1, hello), (3.0, hello)],
        lambda: [(0.1, hello), (3.0, b"\xc1")],
        lambda: [(0.1, hello), (0.0, too_many)],
        lambda: [(0.1, hello), (2.0, unreadable), (0.1, unknown)],
        lambda: [(0.1, hello), (2.0, join([unknown] * 250))],
    ]
