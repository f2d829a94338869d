"""One rehearsal from the empty folder to the verdict.

servers ─▶ people ─▶ storm: posts, churn, kills ─▶ heal, at most HEAL_S ─▶ compare with Postgres ─▶ figures

Servers are the real ones of `educonnect dev`, in a folder of their own. Choices follow the seed; what they meet is the real world's.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from random import Random

import asyncpg
import trio
from msgspec import Struct

from actors.storage_port import StorageError
from client import SessionEnded
from persistence.bridge import Bridge, BridgeOptions
from proofs.rehearsal.device import Device
from proofs.rehearsal.figures import Figures, Spread
from proofs.rehearsal.killing import Killer
from proofs.rehearsal.population import ENVIRONMENT, Door, Plan, make_communities, make_devices
from proofs.rehearsal.verdict import Copy, Fact, Post, Verdict, judge
from proofs.rehearsal.wire import Traffic
from protocol.codec import decode_body
from supervisors.dev import Installation
from supervisors.tree import Report, running

SETTING_S = 120.0
"""The most that accounts and communities may take."""
HEAL_S = 60.0
"""Twice the longest backoff of a client: what is still apart then stays apart."""
AWAY_S = 4.0
"""How long a device is away, on average."""
LOOK_S = 0.25
READ_S = 30.0


def unreported(event: str, path: str, cause: Exception | None) -> None:
    """With servers being killed on purpose, what their supervisors have to say is no news."""


class Options(Struct, frozen=True):
    """What is asked for. `churn`: the share of devices that is away at any moment. `rate_per_s`: posts of all devices together."""

    sentences: tuple[str, ...]
    seconds: float = 60.0
    gateways: int = 2
    users: int = 100
    devices: int = 300
    communities: int = 20
    churn: float = 0.3
    kill: tuple[str, ...] = ()
    rate_per_s: float = 30.0
    seed: int = 1


def silent(line: str) -> None:
    """Says nothing."""


async def rehearse(options: Options, folder: Path, say: Callable[[str], None] = silent, report: Report | None = unreported) -> Figures:
    """Runs it with its servers' data in `folder`, which is to be empty.

    `say` hears how far it is, `report` of every start and end in the tree of servers (None: they are logged).
    """
    installation = Installation(folder, port=0, gateways=options.gateways, environment=ENVIRONMENT)
    chance = Random(options.seed)
    async with running(installation.spec(), report=report):
        say("servers are up")
        async with Door(lambda: installation.urls, chance) as door:
            return await Rehearsal(options, installation, door, chance, say).run()


class Storm(Struct, frozen=True):
    """What the storm took: `sockets` and `cuts` are counted, bytes are of all devices."""

    seconds: float
    cpu_s: float
    traffic: Traffic


class Rehearsal:
    """What one run knows."""

    def __init__(self, options: Options, installation: Installation, door: Door, chance: Random, say: Callable[[str], None]) -> None:
        self._options = options
        self._installation = installation
        self._door = door
        self._chance = chance
        self._say = say
        self._plan = Plan(options.users, options.devices, options.communities)
        self._devices: list[Device] = []
        self._posts: list[Post] = []

    async def run(self) -> Figures:
        began = trio.current_time()
        bridge = Bridge(BridgeOptions(self._installation.dsn, connections_max=1))
        async with trio.open_nursery() as everything:
            await everything.start(bridge.serve)
            with trio.fail_after(SETTING_S):
                self._devices = await make_devices(self._plan, self._door, lambda: self._installation.urls, self._chance)
                for device in self._devices:
                    await everything.start(device.live)
                await make_communities(self._plan, self._devices, self._chance)
            self._say(f"{len(self._devices)} devices are in, after {trio.current_time() - began:.0f} s")
            killer = Killer(self._installation, self._chance, self._say)
            with _vanished_closed(self._devices):
                storm = await self._storm(killer, everything)
                healed_s = await self._heal(bridge)
            verdict = judge(self._posts, await read_log(bridge, self._streams()), self._copies())
            for device in self._devices:
                for fault in device.faults:
                    verdict.note(fault)
            figures = self._figures(verdict, healed_s, killer, storm)
            everything.cancel_scope.cancel()
        return figures

    async def _storm(self, killer: Killer, everything: trio.Nursery) -> Storm:
        """Everything at once, for the time asked for. What was said is waited for in `everything`, longer than the storm lasts."""
        traffic, cpu_s = self._traffic(), time.process_time()
        began = trio.current_time()
        async with trio.open_nursery() as storm:
            if self._options.churn > 0:
                online_s = AWAY_S * (1 - self._options.churn) / self._options.churn
                for device in self._devices:
                    storm.start_soon(device.roam, Random(self._chance.random()), online_s, AWAY_S)
            async with trio.open_nursery() as acts:  # a starved machine may kill late, but not less
                acts.start_soon(killer.storm, self._options.kill, self._options.seconds)
                with trio.move_on_after(self._options.seconds):
                    await self._talk(everything)
            storm.cancel_scope.cancel()
        return Storm(trio.current_time() - began, time.process_time() - cpu_s, self._traffic().since(traffic))

    async def _talk(self, everything: trio.Nursery) -> None:
        """Random devices say sentence after sentence in random channels, whether they have a connection or not."""
        chance, moment = self._chance, trio.current_time()
        for number, sentence in enumerate(cycle(self._options.sentences), 1):
            # By the clock, and without giving way while late: on a busy machine one turn of the loop takes longer than the pause.
            moment += chance.expovariate(self._options.rate_per_s)
            if moment > trio.current_time():
                await trio.sleep_until(moment)
            device = chance.choice(self._devices)
            stream = chance.choice(device.channels)
            post = Post(number, device.badge.device, device.badge.user, stream, f"{number}: {sentence}", trio.current_time())
            try:
                pending = device.say(post)
            except SessionEnded:
                continue  # its `live` has said so
            self._posts.append(post)
            everything.start_soon(device.wait_outcome, post, pending)

    async def _heal(self, bridge: Bridge) -> float:
        """Waits until nothing is open and every copy is as long as its stream. Returns how long that took; -1 after `HEAL_S`."""
        began = trio.current_time()
        with trio.move_on_after(HEAL_S):
            while not await self._whole(bridge):  # noqa: ASYNC110 (Postgres tells nobody)
                await trio.sleep(LOOK_S)
            return trio.current_time() - began
        return -1.0

    async def _whole(self, bridge: Bridge) -> bool:
        if any(device.posts_open for device in self._devices):
            return False
        try:
            heads = await read_heads(bridge, self._streams())
        except StorageError:
            return False  # killed in the last moment of the storm
        return heads is not None and all(
            len(device.received[stream].facts if stream in device.received else ()) == heads[stream]
            for device in self._devices
            for stream in device.streams
        )

    def _streams(self) -> list[int]:
        return sorted({stream for device in self._devices for stream in device.streams})

    def _copies(self) -> Iterator[Copy]:
        for device in self._devices:
            for stream in device.streams:
                received = device.received.get(stream)
                yield Copy(device.badge.device, stream, received.facts if received is not None else ())

    def _traffic(self) -> Traffic:
        return Traffic.total(device.wire.count_so_far() for device in self._devices)

    def _figures(self, verdict: Verdict, healed_s: float, killer: Killer, storm: Storm) -> Figures:
        options = self._options
        acknowledged = [post for post in self._posts if post.seq]
        sent = {(post.stream, post.seq): post for post in acknowledged}
        unbroken, every = self._deliveries(sent)
        device_minutes = len(self._devices) * storm.seconds / 60
        return Figures(
            seed=options.seed,
            seconds=options.seconds,
            gateways=options.gateways,
            users=options.users,
            devices=len(self._devices),
            communities=options.communities,
            churn=options.churn,
            verdict=verdict,
            healed_s=round(healed_s, 2),
            acknowledged_unbroken=Spread.of([post.acknowledged_at - post.sent_at for post in acknowledged if post.unbroken]),
            acknowledged_all=Spread.of([post.acknowledged_at - post.sent_at for post in acknowledged]),
            delivered_unbroken=Spread.of(unbroken),
            delivered_all=Spread.of(every),
            longest_repair=max((device.longest_repair for device in self._devices), default=0),
            sockets=storm.traffic.sockets,
            cuts=storm.traffic.cuts,
            crashes=sum(device.crashes for device in self._devices),
            connected=round(storm.traffic.open_s / (len(self._devices) * storm.seconds), 3),
            up_bytes=round(storm.traffic.sent_bytes / device_minutes, 1),
            down_bytes=round(storm.traffic.received_bytes / device_minutes, 1),
            kills=dict(killer.kills),
            client_cpu=round(storm.cpu_s / storm.seconds, 3),
        )

    def _deliveries(self, sent: dict[tuple[int, int], Post]) -> tuple[list[float], list[float]]:
        """Seconds from sending to each other device's copy: where both sides' sockets were open all the time, and of all."""
        unbroken: list[float] = []
        every: list[float] = []
        for device in self._devices:
            for stream, received in device.received.items():
                for fact, at, open_since in zip(received.facts, received.at, received.open_since, strict=True):
                    post = sent.get((stream, fact.seq))
                    if post is not None and post.device != device.badge.device:
                        every.append(at - post.sent_at)
                        if post.unbroken and open_since <= post.sent_at:
                            unbroken.append(at - post.sent_at)
        return unbroken, every


@contextmanager
def _vanished_closed(devices: Iterable[Device]) -> Iterator[None]:
    try:
        yield
    finally:
        for device in devices:
            device.wire.forget_vanished()


async def read_heads(bridge: Bridge, streams: list[int]) -> dict[int, int] | None:
    """The last number of each stream; None while something is still on its way from one stream into another."""

    async def work(connection: asyncpg.Connection) -> dict[int, int] | None:
        if await connection.fetchval("select exists (select 1 from outbox where not_before < 'infinity')"):
            return None
        return dict(await connection.fetch("select id, head from streams where id = any ($1)", streams))

    return await bridge.run(work, deadline_s=READ_S, readonly=True)


async def read_log(bridge: Bridge, streams: list[int]) -> dict[int, list[Fact]]:
    """Every event of these streams, as Postgres has it."""

    async def work(connection: asyncpg.Connection) -> list[asyncpg.Record]:
        sql = "select stream_id, seq, author, at, body from log where stream_id = any ($1) order by stream_id, seq"
        rows: list[asyncpg.Record] = await connection.fetch(sql, streams)
        return rows

    log: defaultdict[int, list[Fact]] = defaultdict(list)
    for row in await bridge.run(work, deadline_s=READ_S, readonly=True):
        log[row["stream_id"]].append(Fact(row["seq"], row["author"], row["at"], decode_body(row["body"])))
    return dict(log)
