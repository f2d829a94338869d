"""The whole of it: real servers, storms from other processes, healthy neighbours, and the gateway's memory before and after.

    servers up ─▶ neighbours chat ─▶ memory before ─▶ storm ∥ knocking ─▶ neighbours stop ─▶ passivation ─▶ memory after
                                                       (2 processes)

The attackers are real accounts with real tokens, in communities of their own; what belongs to the neighbours is known to them.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, cast
from urllib.parse import urlsplit

import httpx
import psutil
import trio
from msgspec import Struct

from client import Account, Credentials, Session, connect
from proofs.fuzzing.grammar import Terrain
from proofs.fuzzing.knocking import knock
from proofs.fuzzing.neighbours import Figures, Neighbours
from proofs.fuzzing.storm import Identity, Plan, storm
from proofs.fuzzing.verdict import Report
from protocol.operations import CreateCommunity, Invite, Join
from protocol.values import Role
from supervisors.dev import Installation
from supervisors.tree import running

MIB: Final = 1024 * 1024
GROWTH_MAX_MIB: Final = 20
PASSIVATION_S: Final = 180.0
"""Idle actors leave after 60 s, in slices; what is left after three times that stays."""
ATTACKERS: Final = 16
NEIGHBOURS: Final = 4
BEFORE_S: Final = 3.0
PASSWORD: Final = "a-heron-in-the-reeds"


class Outcome(Struct, frozen=True):
    """What a siege found. Memory in MiB of the gateway process."""

    frames: Report
    heads: Report
    figures: Figures
    rss_before_mib: float
    rss_peak_mib: float
    rss_after_mib: float
    gateway_restarts: int
    crashes: dict[str, float]
    waited_s: float

    @property
    def grown_mib(self) -> float:
        return self.rss_after_mib - self.rss_before_mib

    @property
    def troubles(self) -> list[str]:
        """Every promise that was broken, in words; empty if none."""
        figures = self.figures
        checks = (
            (self.frames.findings or self.heads.findings, "the server did not take every input as it must"),
            (self.gateway_restarts, f"the gateway process ended {self.gateway_restarts} times"),
            (any(self.crashes.values()), f"parts of the gateway crashed: {self.crashes}"),
            (figures.said != figures.acknowledged, f"{figures.said - figures.acknowledged} words of neighbours were not acknowledged"),
            (
                figures.lost or figures.doubled or figures.reordered,
                f"lost {figures.lost}, doubled {figures.doubled}, reordered {figures.reordered}",
            ),
            (figures.sockets_lost, f"neighbours lost their sockets {figures.sockets_lost} times"),
            (
                self.rss_after_mib - self.rss_before_mib > GROWTH_MAX_MIB,
                f"memory grew by {self.rss_after_mib - self.rss_before_mib:.0f} MiB",
            ),
        )
        return [words for broken, words in checks if broken]


async def besiege(seed: int, frames: int, heads: int, say: Callable[[str], None], *, attackers: int = ATTACKERS) -> Outcome:
    """Starts servers of its own, attacks, and ends them."""
    with TemporaryDirectory() as folder:
        installation = Installation(
            Path(folder), port=0, environment={"EDUCONNECT_LOG_LEVEL": "warning", "EDUCONNECT_MODERATION_FLOODING": "false"}
        )
        async with running(installation.spec()):
            say(f"servers are up: {installation.urls[0]}")
            return await _Siege(installation, seed, say, attackers).run(frames, heads)


class _Siege:
    def __init__(self, installation: Installation, seed: int, say: Callable[[str], None], attackers: int) -> None:
        self._installation = installation
        self._url = installation.urls[0]
        self._seed = seed
        self._say = say
        self._attackers = attackers
        self._process = psutil.Process(installation.gateways[0].pid)
        self._peak_mib = 0.0

    def _rss_mib(self) -> float:
        return cast(float, self._process.memory_info().rss / MIB)

    async def run(self, frames: int, heads: int) -> Outcome:
        async with AsyncExitStack() as stack:
            account = await stack.enter_async_context(Account(self._url))
            people = [await account.register(f"neighbour{n}", PASSWORD) for n in range(NEIGHBOURS)]
            rogues = [await account.register(f"rogue{n}", PASSWORD) for n in range(self._attackers + 1)]
            sessions = [await stack.enter_async_context(connect(self._url, person)) for person in people]
            stream, terrain = await self._settle(sessions, rogues)
            neighbours = Neighbours(sessions, stream)
            async with trio.open_nursery() as nursery:
                await nursery.start(neighbours.run)
                await trio.sleep(BEFORE_S)
                before_mib, pid = self._rss_mib(), self._process.pid
                self._say(f"memory before: {before_mib:.1f} MiB")
                watching = trio.CancelScope()
                nursery.start_soon(self._watch_memory, watching)
                began = trio.current_time()
                storms = await self._attack(frames, heads, rogues, terrain)
                self._say(f"attacked for {trio.current_time() - began:.0f} s; memory at its peak {self._peak_mib:.1f} MiB")
                watching.cancel()
                neighbours.stop()
            crashes = await self._crashes()
        same = self._installation.gateways[0].pid == pid
        ended = trio.current_time()
        after_mib = await self._wait_small(before_mib) if same else 0.0
        return Outcome(
            *storms,
            neighbours.figures,
            before_mib,
            self._peak_mib,
            after_mib,
            0 if same else 1,
            crashes,
            trio.current_time() - ended,
        )

    async def _settle(self, sessions: list[Session], rogues: list[Credentials]) -> tuple[int, Terrain]:
        """The neighbours' community, closed to others; the rogues' own, open; and all that rogues know of both."""
        first, *others = sessions
        space = await first.do(CreateCommunity("The reeds", open_to_all=False))
        for other in others:
            await other.online()
            await first.do(Invite(space, other.user, Role.LEARNER))
            await other.do(Join(space))
        overview = await first.overview()
        theirs = [s.stream for here in overview.spaces if here.space == space for s in here.streams]
        stream = next(s.stream for here in overview.spaces if here.space == space for s in here.streams if s.name == "general")
        streams, spaces = [*theirs, *(session.inbox for session in sessions)], [space]
        for rogue in rogues[:4]:
            async with connect(self._url, rogue) as session:
                await session.do(CreateCommunity(f"Den of {rogue.user}", open_to_all=True))
                seen = await session.overview()
                spaces += [here.space for here in seen.spaces]
                streams += [s.stream for here in seen.spaces for s in here.streams] * 3
        streams += [rogue.inbox for rogue in rogues[:4]]
        users = (*(session.user for session in sessions), *(rogue.user for rogue in rogues))
        return stream, Terrain((*streams, 1, 10**12), (*spaces, 1, 10**12), users)

    async def _attack(self, frames: int, heads: int, rogues: list[Credentials], terrain: Terrain) -> tuple[Report, Report]:
        port = urlsplit(self._url).port
        assert port is not None
        identities = tuple(Identity(rogue.user, rogue.device, rogue.login.session) for rogue in rogues)
        plan = partial(Plan, self._seed, port=port, key_file=str(self._installation.key_file), terrain=terrain)
        with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
            async with trio.open_nursery() as nursery:
                reports: dict[str, Report] = {}

                async def wait(name: str, work: Callable[[Plan], Report], plan: Plan) -> None:
                    future = pool.submit(work, plan)
                    reports[name] = await trio.to_thread.run_sync(future.result)

                nursery.start_soon(wait, "frames", storm, plan(worker=1, inputs=frames, identities=identities[:-1]))
                nursery.start_soon(wait, "heads", knock, plan(worker=2, inputs=heads, identities=identities[-1:]))
        return reports["frames"], reports["heads"]

    async def _watch_memory(self, scope: trio.CancelScope) -> None:
        with scope:
            while True:
                self._peak_mib = max(self._peak_mib, self._rss_mib())
                await trio.sleep(0.25)

    async def _wait_small(self, before_mib: float) -> float:
        """The memory once it is within bounds, or when idle actors have long left."""
        with trio.move_on_after(PASSIVATION_S):
            while self._rss_mib() - before_mib > GROWTH_MAX_MIB:  # noqa: ASYNC110 - another process's memory tells nobody
                await trio.sleep(1.0)
        return self._rss_mib()

    async def _crashes(self) -> dict[str, float]:
        """What the gateway says of its own crashes."""
        async with httpx.AsyncClient(trust_env=False) as client:
            text = (await client.get(f"{self._url}/metrics")).text
        wanted = ("educonnect_actor_restarts", "educonnect_actor_give_ups")
        figures = {}
        for line in text.splitlines():
            if line.startswith(wanted):
                name, _, figure = line.rpartition(" ")
                if "_created" not in name and float(figure):
                    figures[name] = float(figure)
        return figures
