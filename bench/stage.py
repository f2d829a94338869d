"""Where a measurement happens: our system and its peers side by side, for as long as it takes.

    open_stage ─▶ Stage: ours, peer (or none), others ─▶ open_loads: a generator at each, connected
                                                      ─▶ spent: CPU of one system, and of its generator, over one run

All stay connected for all rounds and only one is driven at a time, so that what makes the machine slow for a while falls on all.
Socket.IO, which people would pick, must be had (`PeerMissing` otherwise); another peer that cannot be had here is named with the reason.

Invariant: a system is charged for everything that its processes did during its own turns, its idle beats included.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

import msgspec

from bench.generator import Generator, Plan, Report, open_generator
from bench.ours import Ours, open_ours
from bench.peer import PeerMissing, SocketIo, open_socketio, version
from bench.peer_nats import nats_name, open_nats
from bench.peer_plain import FLOOR_NAME, open_floor, open_uws, open_ws, uws_name
from bench.population import Room
from bench.usage import cpu_s


class System(Protocol):
    """What is measured, ours or another."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str:
        """As goals name it: `ours`, `socketio`, or a key of `OTHERS`."""
        ...

    @property
    def front_pid(self) -> int:
        """The first process that holds sockets."""
        ...

    def parts(self) -> dict[str, list[int]]:
        """Processes that have, with their descendants, all its CPU time; by what they are."""
        ...

    async def plan(self, rooms: Sequence[Room], *, follows: bool = True) -> Plan: ...

    async def settle(self) -> None:
        """Lets it tidy up before its memory is read."""
        ...


Opener = Callable[[Path], AbstractAsyncContextManager[System]]
OTHERS: Final[dict[str, tuple[Callable[[], str], Opener]]] = {
    "uws": (uws_name, open_uws),
    "nats": (nats_name, open_nats),
    "ws": (lambda: f"node ws {version('ws')}", open_ws),
    "floor": (lambda: FLOOR_NAME, open_floor),
}
"""Peers beside Socket.IO: how each is called, and what starts it in a folder."""


class Options(msgspec.Struct, frozen=True):
    """How much of it."""

    rounds: int = 5
    quick: bool = False
    peers: bool = True
    traces: str = ""
    """The folder of the editing traces, for `documents`."""
    only: str = ""
    """The one part of a measure that is asked for; empty: all."""
    site: str = ""
    """The folder of another build of the app, for `page`."""

    @property
    def whole(self) -> bool:
        """Whether what is measured is worth writing down."""
        return self.peers and not (self.quick or self.only or self.site)


class Stage(msgspec.Struct, frozen=True):
    """Running systems. `peer` is None where none was asked for. `missing` are those that cannot be had here, by kind: name, reason."""

    ours: Ours
    peer: SocketIo | None
    folder: Path
    others: tuple[System, ...] = ()
    missing: dict[str, tuple[str, str]] = {}

    @property
    def systems(self) -> list[System]:
        """Ours first."""
        return [self.ours, *([] if self.peer is None else [self.peer]), *self.others]


class Spent(msgspec.Struct, frozen=True):
    """One system's turn."""

    report: Report
    parts_s: dict[str, float]
    """CPU seconds of its processes, by what they are."""

    @property
    def server_s(self) -> float:
        return sum(self.parts_s.values())


class Load:
    """A system with a connected generator."""

    def __init__(self, system: System, generator: Generator) -> None:
        self.system = system
        self.generator = generator

    async def spend(self, run: Callable[[Generator], Awaitable[Report]]) -> Spent:
        """One run, and what it cost the servers."""
        before = spent_s(self.system)
        report = await run(self.generator)
        return Spent(report, {part: after_s - before[part] for part, after_s in spent_s(self.system).items()})


def spent_s(system: System) -> dict[str, float]:
    """CPU seconds of a system until now, by part."""
    return {part: cpu_s(pids) for part, pids in system.parts().items()}


def shares(spent: Sequence[Spent]) -> str:
    """Where the CPU time went, as a line says it."""
    whole_s = sum(one.server_s for one in spent)
    return ", ".join(f"{part} {sum(one.parts_s[part] for one in spent) / whole_s:.0%}" for part in spent[0].parts_s)


@asynccontextmanager
async def open_stage(*, servers: int, people: int, peers: bool, others: Sequence[str] = ()) -> AsyncIterator[Stage]:
    """Ours and Socket.IO with `servers` gateways or nodes each, the `others` with one process each, and people in ours. `peers` false
    leaves all but ours away. Raises `PeerMissing`."""
    with tempfile.TemporaryDirectory(prefix="educonnect-bench-") as name:
        folder = Path(name)
        async with AsyncExitStack() as stack:
            ours = await stack.enter_async_context(open_ours(folder, gateways=servers, people=people))
            peer = None
            if peers:
                peer = await stack.enter_async_context(open_socketio(folder, nodes=servers, keys=ours.key_file))
            running: list[System] = []
            missing: dict[str, tuple[str, str]] = {}
            for kind in others if peers else ():
                name_of, opened = OTHERS[kind]
                try:
                    running.append(await stack.enter_async_context(opened(folder)))
                except PeerMissing as reason:
                    missing[kind] = name_of(), str(reason)
            yield Stage(ours, peer, folder, tuple(running), missing)


@asynccontextmanager
async def open_loads(
    stage: Stage, rooms: Sequence[Room], *, connect: int | None = None, systems: Sequence[System] | None = None
) -> AsyncIterator[list[Load]]:
    """A generator for each of the `systems` (all, by default), with the first `connect` of its seats (all, by default) taken."""
    async with AsyncExitStack() as stack:
        loads = []
        for system in stage.systems if systems is None else systems:
            plan = await system.plan(rooms)
            generator = await stack.enter_async_context(open_generator(plan, stage.folder))
            await generator.connect(len(plan.seats) if connect is None else connect)
            loads.append(Load(system, generator))
        yield loads


def in_turn(loads: Sequence[Load], number: int) -> list[Load]:
    """Who goes first changes from round to round."""
    return list(loads) if number % 2 == 0 else list(reversed(loads))


async def drive(loads: Sequence[Load], rounds: int, run: Callable[[Generator], Awaitable[Report]]) -> dict[str, list[Spent]]:
    """What each system spent in each round, by its kind; one round more, the first, only warms up."""
    spent: dict[str, list[Spent]] = {load.system.kind: [] for load in loads}
    for number in range(-1, rounds):
        for load in in_turn(loads, number):
            turn = await load.spend(run)
            if number >= 0:
                spent[load.system.kind].append(turn)
    return spent
