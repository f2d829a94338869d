"""What one link over HTTP costs a gateway, beside a socket: memory, opening, standing still, and each message that is delivered.

    500 people in rooms of fifty ─ sockets │ answers that go on │ polls ─▶ one gateway, new processes each time

    RSS, from few links to all ─▶ KiB a link          CPU to open them ─▶ ms a link
    nobody says anything       ─▶ ms a link a minute  twenty messages in each room ─▶ µs a delivery

The gateway's own CPU time and memory; the clients are the Python client's transports, in this process. Of memory the kernel's part is in
none; a link has a connection or two of plain HTTP, with hypercorn's and Quart's objects, and that is what it costs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import trio

from bench.figures import Measured
from bench.generator import Seat
from bench.ours import ENVIRONMENT, Ours, open_ours
from bench.stage import Options
from bench.usage import cpu_s, resident_kib
from client.http_link import HttpTransport
from client.link import Link, Transport
from client.websocket import WebSocketTransport
from protocol.codec import encode, split
from protocol.frames import Event, Mutate
from protocol.operations import Say

MEMBERS: Final = 50
LINKS: Final = 500
QUICK_LINKS: Final = 100
FIRST: Final = 50
"""They are there before memory is read first: what comes with the first link is nobody's."""
OPENING_AT_ONCE: Final = 20
SETTLE_S: Final = 3.0
IDLE_S: Final = 60.0
QUICK_IDLE_S: Final = 5.0
SAID: Final = 20
GIVE_UP_S: Final = 180.0
EVENT: Final = Event.__struct_config__.tag
WAYS: Final = ("socket", "stream", "poll")
NAMES: Final = {"stream": "an answer that goes on", "poll": "polls"}
ROOMY: Final = {
    **ENVIRONMENT,
    "EDUCONNECT_HTTP_CONNECTIONS_MAX": "4000",
    "EDUCONNECT_HTTP_LINKS_MAX": "1000",
    "EDUCONNECT_HTTP_LINKS_ADDRESS_MAX": "1000",
    "EDUCONNECT_HTTP_LINKS_ADDRESS_BURST": "100000",
    # As it is unless somebody sets it: a poll ends with the heartbeat at the latest, and so does an answer that goes on.
    "EDUCONNECT_HEARTBEAT_HEARTBEAT_S": "45",
}
"""Everybody comes from one address."""


class Cost(msgspec.Struct, frozen=True):
    """Of one link of a kind."""

    kib: float
    open_ms: float
    idle_ms: float
    """CPU in a minute in which nobody says anything."""
    delivery_us: float


async def measure(options: Options, say: Callable[[str], None]) -> list[Measured]:
    """One round: each way has servers of its own, and each figure is a mean over hundreds of links."""
    costs = {way: await measure_way(way, options, say) for way in WAYS}
    socket = costs["socket"]
    rows: list[Measured] = []
    for way, name in NAMES.items():
        cost = costs[way]
        for what, unit, figure, beside in (
            ("memory", "KiB RSS", cost.kib, socket.kib),
            ("a message delivered", "µs of the gateway", cost.delivery_us, socket.delivery_us),
            ("a minute in which nobody speaks", "ms of the gateway", cost.idle_ms, socket.idle_ms),
            ("opened", "ms of the gateway", cost.open_ms, socket.open_ms),
        ):
            ratio = figure / beside if beside > 0 else None
            rows.append(
                Measured(
                    name=f"a link over HTTP, {name}: {what}", figure=figure, unit=unit, peer="our socket", peer_figure=beside, ratio=ratio
                )
            )
    return rows


async def measure_way(way: str, options: Options, say: Callable[[str], None]) -> Cost:
    """What a link of this kind, one of `WAYS`, costs a gateway of its own."""
    count, idle_s = (QUICK_LINKS, QUICK_IDLE_S) if options.quick else (LINKS, IDLE_S)
    with tempfile.TemporaryDirectory(prefix="educonnect-bench-") as name:
        async with open_ours(Path(name), gateways=1, people=count, environment=ROOMY) as ours, trio.open_nursery() as nursery:
            plan = await ours.plan(await ours.rooms(count // MEMBERS, MEMBERS))
            crowd = Crowd(_transport(way, ours.ports[0]), plan.seats, plan.rooms)
            await crowd.connect(nursery, FIRST)
            before = await _kib(ours)
            spent_s = _cpu_s(ours)
            await crowd.connect(nursery, count)
            open_ms = (_cpu_s(ours) - spent_s) / (count - FIRST) * 1e3
            kib = (await _kib(ours) - before) / (count - FIRST)
            spent_s = _cpu_s(ours)
            await trio.sleep(idle_s)
            idle_ms = (_cpu_s(ours) - spent_s) / count * 1e3 * 60 / idle_s
            spent_s = _cpu_s(ours)
            delivered = await crowd.talk()
            delivery_us = (_cpu_s(ours) - spent_s) / delivered * 1e6
            nursery.cancel_scope.cancel()
    cost = Cost(kib, open_ms, idle_ms, delivery_us)
    say(
        f"links: {way}: {cost.kib:.1f} KiB a link ({count}), opened {cost.open_ms:.2f} ms, idle {cost.idle_ms:.2f} ms a minute,"
        f" {cost.delivery_us:.0f} µs a delivery ({delivered:,})"
    )
    return cost


def _transport(way: str, port: int) -> Transport:
    url = f"http://127.0.0.1:{port}"
    if way == "socket":
        return WebSocketTransport(url)
    transport = HttpTransport(url)
    transport.streams = way == "stream"
    return transport


def _cpu_s(ours: Ours) -> float:
    return cpu_s([ours.front_pid])


async def _kib(ours: Ours) -> float:
    await trio.sleep(SETTLE_S)
    return resident_kib(ours.front_pid)[0]


class Crowd:
    """People on links of one kind, who count what they hear."""

    def __init__(self, transport: Transport, seats: tuple[Seat, ...], streams: tuple[int, ...]) -> None:
        self._transport = transport
        self._seats = seats
        self._streams = streams
        self._links: dict[int, Link] = {}
        self._heard = 0
        self._news = trio.Event()

    async def connect(self, nursery: trio.Nursery, upto: int) -> None:
        """Until so many are welcomed."""
        gate = trio.CapacityLimiter(OPENING_AT_ONCE)
        with trio.fail_after(GIVE_UP_S):
            async with trio.open_nursery() as opening:
                for place in range(len(self._links), upto):
                    opening.start_soon(self._seat, nursery, gate, place)

    async def _seat(self, nursery: trio.Nursery, gate: trio.CapacityLimiter, place: int) -> None:
        async with gate:
            await nursery.start(self._sit, place)

    async def _sit(self, place: int, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with self._transport.open() as link:
            await link.send(self._seats[place].opening)
            self._count(await link.receive())
            self._links[place] = link
            task_status.started()
            while True:
                self._count(await link.receive())

    def _count(self, message: bytes) -> None:
        self._heard += sum(raw[1] == EVENT for raw in split(message))
        self._news.set()
        self._news = trio.Event()

    async def talk(self) -> int:
        """The first in each room says so many things; how many deliveries that came to, when all were heard."""
        wanted = self._heard + SAID * len(self._seats)
        with trio.fail_after(GIVE_UP_S):
            for number in range(1, SAID + 1):
                for room, stream in enumerate(self._streams):
                    text = encode(Say(stream, f"message {number} in room {room}"))
                    await self._links[room * MEMBERS].send(encode(Mutate(number, msgspec.Raw(text))))
                goal = wanted - (SAID - number) * len(self._seats)
                while self._heard < goal:
                    await self._news.wait()
        return SAID * len(self._seats)
