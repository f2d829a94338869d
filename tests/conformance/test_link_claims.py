"""What every implementation of the link port promises, claimed of each: Redis, and the link of the simulator in a calm world."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import pytest
import trio

from actors.link_port import Link
from gateway.link import LinkOptions, RedisLink
from gateway.redis_connection import Way, parse_address
from gateway.resp import Commands
from proofs.simulation.faults import Faults
from proofs.simulation.link import Hub, SimulatedLink
from proofs.simulation.world import World
from tests.fixtures_valkey import TestValkey

STREAM = 42
OTHER = 43
TOPIC = "takeover"


class Ears:
    """A listener that writes down what it is told; `news` is called after each."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []
        self._news = trio.Event()

    def _note(self, *what: object) -> None:
        self.told.append(what)
        self._news.set()
        self._news = trio.Event()

    def heard(self, stream: int, origin: int, seq: int, audience_version: int, frame: bytes) -> None:
        self._note("heard", stream, origin, seq, audience_version, frame)

    def linked(self, stream: int) -> None:
        self._note("linked", stream)

    def announced(self, topic: str, payload: bytes) -> None:
        self._note("announced", topic, payload)

    def up(self) -> None:
        self._note("up")

    def down(self) -> None:
        self._note("down")

    def frames(self, stream: int = STREAM) -> list[object]:
        return [told[5] for told in self.told if told[:2] == ("heard", stream)]

    async def wait(self, what: tuple[object, ...]) -> None:
        with trio.fail_after(20):
            while what not in self.told:
                await self._news.wait()


class Gateways(Protocol):
    """Some gateways on one link. `settle` lets everything arrive that was sent so far."""

    links: list[Link]
    ears: list[Ears]

    async def settle(self) -> None: ...


class RedisGateways:
    """Each with its own connections to one Valkey."""

    def __init__(self, valkey: TestValkey, size: int) -> None:
        self.ears = [Ears() for _ in range(size)]
        self.commands = [Commands(Way(parse_address(valkey.url), f"commands-{n}"), random=random.random) for n in range(size)]
        self.served = [
            RedisLink(
                self.commands[n],
                Way(parse_address(valkey.url), f"link-{n}"),
                self.ears[n],
                origin=n + 1,
                topics=(TOPIC, "barrier"),
                random=random.random,
                options=LinkOptions(heartbeat_s=0.05, deaf_beats=400),
            )
            for n in range(size)
        ]
        self.links: list[Link] = list(self.served)
        self._barriers = 0

    async def settle(self) -> None:
        """What one connection sends arrives in order, and a subscription is answered in order: a later word shows that all is there."""
        for number, link in enumerate(self.links):
            self._barriers += 1
            word = b"%d" % self._barriers
            link.announce("barrier", word)
            for other, ears in enumerate(self.ears):
                if other != number:
                    await ears.wait(("announced", "barrier", word))
        for link in self.served:
            with trio.fail_after(20):
                await link.wait_beat()


class SimulatedGateways:
    """Over a hub in a world without faults."""

    def __init__(self, size: int) -> None:
        self._world = World(1)
        hub = Hub(self._world, Faults(link_delay_s=0.0))
        self.ears = [Ears() for _ in range(size)]
        self.links: list[Link] = [SimulatedLink(hub, n + 1, self.ears[n], lambda: None) for n in range(size)]

    async def settle(self) -> None:
        self._world.run_until(self._world.now + 1.0)


@asynccontextmanager
async def redis_gateways(valkey: TestValkey, size: int) -> AsyncIterator[Gateways]:
    gateways = RedisGateways(valkey, size)
    async with trio.open_nursery() as nursery:
        for commands, link in zip(gateways.commands, gateways.served, strict=True):
            await nursery.start(commands.serve)
            await nursery.start(link.serve)
        for ears in gateways.ears:
            await ears.wait(("up",))
        yield gateways
        nursery.cancel_scope.cancel()


@pytest.fixture(params=["redis", "simulated"])
async def gateways(request: pytest.FixtureRequest, valkey: TestValkey) -> AsyncIterator[Gateways]:
    if request.param == "simulated":
        yield SimulatedGateways(3)
        return
    async with redis_gateways(valkey, 3) as real:
        yield real


async def follow(gateways: Gateways, *numbers: int, stream: int = STREAM) -> None:
    for number in numbers:
        gateways.links[number].subscribe(stream)
    await gateways.settle()
    for number in numbers:
        await gateways.ears[number].wait(("linked", stream))


async def test_whoever_follows_a_stream_hears_it_and_nobody_hears_oneself(gateways: Gateways) -> None:
    await follow(gateways, 0, 1)
    gateways.links[0].publish(STREAM, 7, 3, b"frame")
    await gateways.settle()
    assert gateways.ears[1].told[-10:].count(("heard", STREAM, 1, 7, 3, b"frame")) == 1
    assert not gateways.ears[0].frames() and not gateways.ears[2].frames()


async def test_what_one_gateway_publishes_in_a_stream_is_heard_in_its_order(gateways: Gateways) -> None:
    await follow(gateways, 1, 2)
    frames = [b"%d" % n for n in range(200)]
    for n, frame in enumerate(frames):
        gateways.links[0].publish(STREAM, n + 1, 1, frame)
    await gateways.settle()
    assert gateways.ears[1].frames() == gateways.ears[2].frames() == frames


async def test_nothing_of_a_stream_is_told_after_it_was_left(gateways: Gateways) -> None:
    await follow(gateways, 1, 2)
    gateways.links[0].publish(STREAM, 1, 1, b"under way")
    gateways.links[1].unsubscribe(STREAM)
    told = len(gateways.ears[1].told)
    gateways.links[0].publish(STREAM, 2, 1, b"after")
    await gateways.settle()
    assert not [what for what in gateways.ears[1].told[told:] if what[0] == "heard"]
    assert gateways.ears[2].frames() == [b"under way", b"after"]


async def test_a_subscription_says_when_it_holds_and_twice_is_once(gateways: Gateways) -> None:
    await follow(gateways, 1)
    gateways.links[1].subscribe(STREAM)
    await follow(gateways, 1, stream=OTHER)
    gateways.links[0].publish(STREAM, 1, 1, b"one")
    gateways.links[0].publish(OTHER, 1, 1, b"two")
    await gateways.settle()
    assert (gateways.ears[1].frames(STREAM), gateways.ears[1].frames(OTHER)) == ([b"one"], [b"two"])


async def test_left_and_followed_again_it_says_again_when_it_holds(gateways: Gateways) -> None:
    await follow(gateways, 1)
    gateways.links[1].unsubscribe(STREAM)
    await gateways.settle()
    before = gateways.ears[1].told.count(("linked", STREAM))
    gateways.links[1].subscribe(STREAM)
    await gateways.settle()
    assert gateways.ears[1].told.count(("linked", STREAM)) > before
    gateways.links[0].publish(STREAM, 1, 1, b"back")
    await gateways.settle()
    assert gateways.ears[1].frames() == [b"back"]


async def test_an_announcement_reaches_every_other_gateway(gateways: Gateways) -> None:
    gateways.links[0].announce(TOPIC, b"device 5")
    await gateways.settle()
    heard = [ears.told.count(("announced", TOPIC, b"device 5")) for ears in gateways.ears]
    assert heard == [0, 1, 1]
