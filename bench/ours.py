"""The whole product as one measured system: gateways, jobs, Postgres and Valkey, each a process, run as `educonnect dev` runs them.

    Installation ─▶ processes ─▶ roots of the CPU time
                 ─▶ people and rooms in its Postgres ─▶ seats for the generator

Invariant: what is changed from the defaults is in `ENVIRONMENT`, and every printed run begins with it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import asyncpg
import trio

from bench.generator import Plan, Seat
from bench.population import TOKEN_LIFETIME_S, Person, Room, heads, make_people, make_rooms
from persistence.bridge import Bridge, BridgeOptions
from persistence.lanes import Isolation
from protocol.codec import encode
from protocol.frames import VERSION, Hello
from protocol.values import Cursor
from supervisors.dev import Installation
from supervisors.tree import running

R = TypeVar("R")

ENVIRONMENT: Final[Mapping[str, str]] = {
    # Everybody comes from 127.0.0.1, at once.
    "EDUCONNECT_GATES_PER_CLIENT_MAX": "100000",
    "EDUCONNECT_GATES_HALF_OPEN_MAX": "100000",
    "EDUCONNECT_GATES_HALF_OPEN_PER_CLIENT_MAX": "100000",
    "EDUCONNECT_GATES_HANDSHAKES_PER_S": "100000",
    "EDUCONNECT_GATES_HANDSHAKES_BURST": "100000",
    # A ping in one system's turn and not in the other's would be noise; the peer's interval is the same.
    "EDUCONNECT_HEARTBEAT_HEARTBEAT_S": "300",
    "EDUCONNECT_TOKENS_LIFETIME_S": str(TOKEN_LIFETIME_S),
    # A poster here stands for hundreds of people.
    "EDUCONNECT_LIMITS_COMMANDS_PER_S": "100000",
    "EDUCONNECT_LIMITS_COMMANDS_BURST": "1000000",
    # A user's typing is passed on once in two seconds, by default, which no peer counts.
    "EDUCONNECT_LIMITS_TYPING_EVERY_S": "0",
    "EDUCONNECT_DRAIN_GRACE_S": "0",
    "EDUCONNECT_DRAIN_SPREAD_S": "0",
    # And says the same again and again.
    "EDUCONNECT_MODERATION_FLOODING": "false",
    "EDUCONNECT_LOG_LEVEL": "error",
}
PREPARE_S: Final = 60.0
FILL_STEP: Final = 10_000
"""Accounts made in one transaction, which takes some seconds."""


class Ours:
    """A running installation, with its people."""

    kind = "ours"
    name = "EduConnect"

    def __init__(self, installation: Installation, bridge: Bridge) -> None:
        self._installation = installation
        self._bridge = bridge
        self.people: list[Person] = []

    @property
    def ports(self) -> tuple[int, ...]:
        return tuple(int(url.rpartition(":")[2]) for url in self._installation.urls)

    @property
    def installation(self) -> Installation:
        """What runs it."""
        return self._installation

    @property
    def front_pid(self) -> int:
        """The first gateway."""
        return self._installation.gateways[0].pid

    def parts(self) -> dict[str, list[int]]:
        """The system's processes, or ancestors of them, by what they are."""
        installation = self._installation
        assert installation.redis is not None
        postmaster = (installation.folder / "postgres" / "cluster" / "postmaster.pid").read_text().split()[0]
        return {
            "gateways": [gateway.pid for gateway in installation.gateways],
            "Postgres": [int(postmaster)],
            "Valkey": [installation.redis.pid],
            "jobs": [installation.jobs.pid],
            **({"models": [installation.ml.pid]} if installation.ml is not None else {}),
        }

    @property
    def key_file(self) -> Path:
        return self._installation.key_file

    async def fill(self, people: int) -> None:
        for done in range(0, people, FILL_STEP):
            count = min(FILL_STEP, people - done)
            self.people += await self.ask(partial(make_people, keys=self.key_file, count=count, first=done + 1))

    async def rooms(self, rooms: int, members: int) -> list[Room]:
        """Communities with a channel each, filled from the front."""
        made: list[Room] = []
        while len(made) < rooms:
            some = min(rooms - len(made), max(1, FILL_STEP // max(1, members)))
            # Where nobody is to be in them, somebody makes them all the same.
            people = self.people[len(made) * members : (len(made) + some) * members] or self.people[:1]
            made += await self.ask(partial(make_rooms, people=people, rooms=some, members=members))
        return made

    async def plan(self, rooms: Sequence[Room], *, follows: bool = True) -> Plan:
        """Seats for these rooms' people, taking turns at the gateways, each with a cursor at its stream's end."""
        ends = await self.ask(partial(heads, rooms=list(rooms)))
        seats = [
            Seat(n % len(self.ports), place, person.user, follows, _hello(person, room.stream, ends[room.stream], follows))
            for place, room in enumerate(rooms)
            for n, person in enumerate(room.people)
        ]
        return Plan("educonnect", self.ports, tuple(room.stream for room in rooms), tuple(seats))

    async def settle(self) -> None:
        """Nothing to ask of it before its memory is read."""

    async def ask(self, work: Callable[[asyncpg.Connection], Awaitable[R]], *, isolation: Isolation = "read_committed") -> R:
        """Does something in the system's own database, beside the system."""
        return await self._bridge.run(work, deadline_s=PREPARE_S, isolation=isolation)


def _hello(person: Person, stream: int, head: int, follows: bool) -> bytes:
    cursors = (Cursor(stream, head),) if follows else ()
    return encode(Hello(VERSION, person.token, person.device, cursors))


@asynccontextmanager
async def open_ours(
    folder: Path, *, gateways: int, people: int, environment: Mapping[str, str] = ENVIRONMENT, ml: bool = False
) -> AsyncIterator[Ours]:
    """The whole system on free ports, with `people` in its database, for the length of the block."""
    installation = Installation(folder, port=0, gateways=gateways, environment=dict(environment), ml=ml)
    async with running(installation.spec()):
        bridge = Bridge(BridgeOptions(installation.dsn))
        async with trio.open_nursery() as nursery:
            await nursery.start(bridge.serve)
            ours = Ours(installation, bridge)
            await ours.fill(people)
            yield ours
            nursery.cancel_scope.cancel()
