"""Server CPU for a device that comes back, when five thousand do at once: three streams each out of a thousand, with what was missed.

    writers post 20 into each stream ─▶ 5,000 devices connect at the same moment, half to each gateway, each with three cursors
                                     ─▶ all live, every missed event checked ─▶ one more post into each stream reaches all who follow it

By ticket: as a client does that was here before (`Resume`). By token: as one does whose ticket is no longer good, with an access token
whose signature this gateway has not checked yet; it asks for a ticket with its `Hello`. Each device missed 20 events, 7 + 7 + 6 of its
streams, or 20 of each. Its last socket, at the other gateway, broke a moment ago.

The CPU time is that of every process, from the first connection until the last device is live in all its streams; the sockets' ends and
the writers' posts come before it. What the gateways and Postgres do besides in that time is in it.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final, Literal

import asyncpg
import msgspec
import trio

from bench.figures import Goal, Measured
from bench.generator import Generator, Report, compile_generator
from bench.ours import Ours
from bench.population import TOKEN_LIFETIME_S, Person, Room, heads
from bench.stage import Options, Spent, open_stage, shares, spent_s
from gateway.tokens import KeySet, load_pem
from protocol.codes import Code
from protocol.entities import SCHEMA
from protocol.frames import Hello, Resume
from protocol.values import Role

SOURCE: Final = Path(__file__).with_name("storm.c")
WRITERS: Final = 10
STREAMS_EACH: Final = 3
STALL_S: Final = 30.0
GOAL: Final = Goal(figure_max=1.2)


class Size(msgspec.Struct, frozen=True):
    """How many come back, and to how many streams."""

    devices: int
    streams: int


class Load(msgspec.Struct, frozen=True):
    """How everybody comes back. `missed`: events, by the streams of each."""

    kind: Literal["ticket", "token"]
    missed: tuple[int, ...]
    goal: Goal | None = None

    def __str__(self) -> str:
        return f"{sum(self.missed)} missed events, by {self.kind}"


FULL: Final = Size(5_000, 1_000)
QUICK: Final = Size(60, 12)
TOKEN: Final = Load("token", (7, 7, 6))
"""Comes first in each round: it is how a device gets its ticket."""
TICKET: Final = Load("ticket", (7, 7, 6), GOAL)
LONGER: Final = Load("ticket", (20, 20, 20))
LOADS: Final = (TOKEN, TICKET, LONGER)


class Returned(Report, frozen=True):
    """A storm: `messages` are devices, `deliveries` their events, latencies from connecting to being live everywhere."""

    again: int = 0
    """Pages that were asked for beyond each stream's first."""


class Storm(Generator):
    """A running storm generator. One order at a time."""

    async def write(self, each: int) -> Report:
        """Posts `each` into every room, acknowledged."""
        return await self._run(f"write {each}")

    async def storm(self, at_once: int, load: Load) -> Returned:
        """All devices, at most `at_once` of them unfinished at a time."""
        missed = " ".join(map(str, load.missed))
        return msgspec.json.decode(await self._order(f"storm {at_once} {load.kind} {missed}"), type=Returned)

    async def leave(self) -> None:
        """Cuts every device's line."""
        await self._order("leave")

    async def probe(self) -> Report:
        """One more post into every room, which each device must get."""
        return await self._run("probe")


async def measure(options: Options, say: Callable[[str], None]) -> list[Measured]:
    """Cost, and how long it takes until everybody is back. There is no peer: none of them resumes from a cursor."""
    size = QUICK if options.quick else FULL
    rounds: list[list[Spent]] = []
    async with open_stage(servers=2, people=size.devices + WRITERS, peers=False) as stage:
        camp = await pitch(stage.ours, size)
        await camp.round(stage.folder)  # warms up
        for _ in range(options.rounds):
            rounds.append(await camp.round(stage.folder))
    measured: list[Measured] = []
    for place, load in enumerate(LOADS):
        measured += summarise(load, size, [spent[place] for spent in rounds], say)
    return measured if size is FULL else [msgspec.structs.replace(one, goal=None) for one in measured]


class Camp:
    """The people of a storm and their streams. Everybody follows the same streams in every round."""

    def __init__(self, ours: Ours, rooms: Sequence[Room], writers: Sequence[Person], devices: Sequence[Person]) -> None:
        self._ours = ours
        self._rooms = list(rooms)
        self._writers = writers
        self._devices = devices
        self._keys = KeySet(load_pem(ours.key_file), lifetime_s=TOKEN_LIFETIME_S)
        self._began = time.time()
        self._rounds = 0

    async def round(self, folder: Path) -> list[Spent]:
        """One storm of each kind, and what it cost. Raises `GeneratorFailed` for anything that is not as it must be."""
        self._rounds += 1
        ends = await self._ours.ask(partial(heads, rooms=self._rooms))
        spent = []
        async with open_storm(await trio.to_thread.run_sync(self._plan, ends), folder) as storm:
            for load in LOADS:
                await storm.write(max(load.missed))
                before = spent_s(self._ours)
                report = await storm.storm(len(self._devices), load)
                spent.append(Spent(report, {part: after_s - before[part] for part, after_s in spent_s(self._ours).items()}))
                await storm.probe()
                await storm.leave()
        return spent

    def _plan(self, ends: dict[int, int]) -> str:
        ports = self._ours.ports
        lines = [
            f"T {STALL_S}",
            *(f"S {port}" for port in ports),
            *(f"R {room.stream} {ends[room.stream]}" for room in self._rooms),
            f"H {fields_after(Hello, 'cursors', schema=SCHEMA)}",
            f"E {fields_after(Resume, 'cursors', schema=SCHEMA)}",
        ]
        lines += [f"W {n % len(ports)} {self._identify(writer)}" for n, writer in enumerate(self._writers)]
        for n, device in enumerate(self._devices):
            rooms = " ".join(map(str, rooms_of(n, len(self._rooms))))
            # Half of them begin at each, and those who met at one in this round were apart in the last.
            lines.append(f"D {n // (1 + self._rounds % 2) % len(ports)} {self._identify(device)} {rooms}")
        return "\n".join(lines) + "\n"

    def _identify(self, person: Person) -> str:
        # Issued at another second each round, so that no gateway has seen it.
        claims = self._keys.verify(person.token, self._began)
        assert not isinstance(claims, Code)
        token, _ = self._keys.issue(person.user, person.device, claims.session, self._began - self._rounds)
        return f"{person.user} {person.device} {token}"


def fields_after(kind: type[Hello | Resume], field: str, **given: object) -> str:
    """How many fields of a command come behind `field`, and their bytes: as they are given, or their defaults."""
    fields = msgspec.structs.fields(kind)
    behind = fields[[one.name for one in fields].index(field) + 1 :]
    packed = b"".join(msgspec.msgpack.encode(given.get(one.name, one.default)) for one in behind)
    return f"{len(behind)} {packed.hex()}"


async def pitch(ours: Ours, size: Size) -> Camp:
    """The streams, and the memberships of those who follow them or post into them."""
    rooms = await ours.rooms(size.streams, 0)
    writers, devices = ours.people[:WRITERS], ours.people[WRITERS : WRITERS + size.devices]
    members = [(rooms[room].stream, person.user) for n, person in enumerate(devices) for room in rooms_of(n, len(rooms))]
    members += [(room.stream, writer.user) for n, room in enumerate(rooms) for writer in (writers[n % len(writers)],)]

    async def join(connection: asyncpg.Connection) -> None:
        await connection.execute(_JOIN, [stream for stream, _ in members], [user for _, user in members], int(Role.LEARNER))
        await connection.execute("analyze members")

    await ours.ask(join)
    return Camp(ours, rooms, writers, devices)


def rooms_of(device: int, rooms: int) -> list[int]:
    """The rooms of one device, each another one: neighbours share some, and no two devices share all."""
    turn = device // rooms
    return [device % rooms, (device + 1 + turn) % rooms, (device + rooms // 2 + turn) % rooms]


def summarise(load: Load, size: Size, spent: Sequence[Spent], say: Callable[[str], None]) -> list[Measured]:
    costs_ms = [one.server_s / size.devices * 1e3 for one in spent]
    waits_s = [one.report.max_ms / 1e3 for one in spent]
    again = sum(one.report.again for one in spent if isinstance(one.report, Returned))
    own_us = median(one.report.cpu_s / size.devices * 1e6 for one in spent)
    say(
        f"storm: {size.devices:,} devices, {load}: {' '.join(f'{cost:.2f}' for cost in costs_ms)} ms server CPU each "
        f"({shares(spent)}); "
        f"all back after {' '.join(f'{wait:.1f}' for wait in waits_s)} s; {sum(one.report.deliveries for one in spent):,} events checked, "
        f"{again} pages asked for again; the generator took {own_us:.0f} µs each"
    )
    name = f"reconnect storm, {size.devices:,} devices × {STREAMS_EACH} of {size.streams:,} streams, {load}"
    note = "all resumed, no gap" + ("; signatures never seen before" if load.kind == "token" else "")
    return [
        Measured(f"{name}, each", median(costs_ms), "ms server CPU", goal=load.goal, note=note),
        Measured(f"{name}, until the last is back", median(waits_s), "s", note=note),
    ]


@asynccontextmanager
async def open_storm(plan: str, folder: Path) -> AsyncIterator[Storm]:
    """A generator for the length of the block; its sockets end with it."""
    program = await trio.to_thread.run_sync(compile_generator, SOURCE)
    path = folder / "plan-storm"
    path.write_text(plan)
    process = await trio.lowlevel.open_process([str(program), str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield Storm(process)
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


_JOIN: Final = """
insert into members (space_id, user_id, role)
select s.space_id, q.user_id, $3 from unnest($1::bigint[], $2::bigint[]) q (stream, user_id) join streams s on s.id = q.stream"""
