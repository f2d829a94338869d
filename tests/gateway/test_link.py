"""Claims about the link between gateways, with a real Valkey, and a proxy that goes deaf, silent or away."""

from __future__ import annotations

import os
import random
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import redis
import trio
import trio.testing

from actors.link_port import Link, LinkListener
from gateway.link import HEADER, LinkOptions, RedisLink
from gateway.redis_connection import RedisAddress, Way, parse_address
from gateway.resp import Commands
from supervisors.embedded_valkey import ValkeyOptions, start_valkey, stop_valkey
from tests.fixtures_valkey import TestValkey
from tests.gateway.faulty_redis import FaultyRedis

PATIENCE_S = 20.0


def impatient() -> float:
    """The jitter of tests: attempts follow each other after 1 to 40 ms instead of up to two seconds."""
    return 0.02


WATCHFUL = LinkOptions(heartbeat_s=0.02, deaf_beats=3)
STREAM = 42


class Ears:
    """A listener that writes down what it is told, for a test to wait for."""

    def __init__(self) -> None:
        self._told, self._telling = trio.open_memory_channel[tuple[object, ...]](100_000)

    def heard(self, stream: int, origin: int, seq: int, audience_version: int, frame: bytes) -> None:
        self._told.send_nowait(("heard", stream, origin, seq, audience_version, frame))

    def linked(self, stream: int) -> None:
        self._told.send_nowait(("linked", stream))

    def announced(self, topic: str, payload: bytes) -> None:
        self._told.send_nowait(("announced", topic, payload))

    def up(self) -> None:
        self._told.send_nowait(("up",))

    def down(self) -> None:
        self._told.send_nowait(("down",))

    async def next(self) -> tuple[object, ...]:
        return await self._telling.receive()

    def silent(self) -> bool:
        return self._telling.statistics().current_buffer_used == 0


class Gateway:
    """One link with its command connection, and what it heard."""

    def __init__(self, address: RedisAddress, origin: int, options: LinkOptions | None = None, pubsub: RedisAddress | None = None) -> None:
        self.commands = Commands(Way(address, f"commands-{origin}"), random=impatient)
        self.ears = Ears()
        self.link = RedisLink(
            self.commands,
            Way(pubsub or address, f"link-{origin}"),
            self.ears,
            origin=origin,
            topics=("takeover", "sessions"),
            random=impatient,
            options=options,
        )

    async def subscribe(self, stream: int) -> None:
        self.link.subscribe(stream)
        assert await self.ears.next() == ("linked", stream)


@asynccontextmanager
async def running(*gateways: Gateway, wait: bool = True) -> AsyncIterator[None]:
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            for gateway in gateways:
                await nursery.start(gateway.commands.serve)
                await nursery.start(gateway.link.serve)
            if wait:
                for gateway in gateways:
                    await gateway.commands.wait_up()
                    assert await gateway.ears.next() == ("up",)
            yield
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def behind_a_proxy(valkey: TestValkey, tmp_path: Path, options: LinkOptions = WATCHFUL) -> AsyncIterator[tuple[Gateway, FaultyRedis]]:
    """A gateway whose subscription, but not its command connection, runs through a faulty proxy."""
    proxy = FaultyRedis(valkey.server.address.socket_path, tmp_path)
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.serve)
        gateway = Gateway(parse_address(valkey.url), 1, options, pubsub=proxy.address)
        async with running(gateway):
            yield gateway, proxy
        nursery.cancel_scope.cancel()


@pytest.fixture
def pair(valkey: TestValkey) -> Callable[..., tuple[Gateway, Gateway]]:
    def build(options: LinkOptions | None = None) -> tuple[Gateway, Gateway]:
        address = parse_address(valkey.url)
        return Gateway(address, 1, options), Gateway(address, 2, options)

    return build


@pytest.mark.parametrize("sharded", [False, True])
async def test_two_links_hear_each_other_and_not_themselves(pair: Callable[..., tuple[Gateway, Gateway]], sharded: bool) -> None:
    one, two = pair(LinkOptions(sharded=sharded))
    async with running(one, two):
        await one.subscribe(STREAM)
        await two.subscribe(STREAM)
        one.link.publish(STREAM, 7, 3, b"from one")
        assert await two.ears.next() == ("heard", STREAM, 1, 7, 3, b"from one")
        two.link.publish(STREAM, 8, 3, b"from two")
        assert await one.ears.next() == ("heard", STREAM, 2, 8, 3, b"from two")
        assert one.ears.silent()
        assert one.link.counts.echoes == 1


async def test_an_announcement_reaches_every_other_gateway(pair: Callable[..., tuple[Gateway, Gateway]]) -> None:
    one, two = pair()
    async with running(one, two):
        one.link.announce("takeover", b"device 5")
        assert await two.ears.next() == ("announced", "takeover", b"device 5")
        two.link.announce("sessions", b"6")
        assert await one.ears.next() == ("announced", "sessions", b"6")


async def test_frames_of_one_gateway_keep_their_order_and_share_writes(pair: Callable[..., tuple[Gateway, Gateway]]) -> None:
    one, two = pair()
    async with running(one, two):
        await two.subscribe(STREAM)
        writes = one.commands.counts.writes
        for seq in range(1, 2001):
            one.link.publish(STREAM, seq, 0, b"%d" % seq)
        for seq in range(1, 2001):
            assert await two.ears.next() == ("heard", STREAM, 1, seq, 0, b"%d" % seq)
        assert one.commands.counts.writes - writes < 10


async def test_nothing_is_told_of_a_stream_after_unsubscribe(pair: Callable[..., tuple[Gateway, Gateway]]) -> None:
    one, two = pair()
    async with running(one, two):
        await two.subscribe(STREAM)
        one.link.publish(STREAM, 1, 0, b"under way")
        two.link.unsubscribe(STREAM)
        await two.subscribe(STREAM + 1)  # confirmed after the unsubscription took effect
        one.link.publish(STREAM, 2, 0, b"too late")
        one.link.publish(STREAM + 1, 1, 0, b"wanted")
        assert await two.ears.next() == ("heard", STREAM + 1, 1, 1, 0, b"wanted")


async def test_who_subscribes_leaves_and_subscribes_again_is_linked_and_hears(pair: Callable[..., tuple[Gateway, Gateway]]) -> None:
    one, two = pair()
    async with running(one, two):
        await two.subscribe(STREAM)
        two.link.unsubscribe(STREAM)
        await two.subscribe(STREAM)
        await two.subscribe(STREAM + 1)
        one.link.publish(STREAM, 1, 0, b"frame")
        assert await two.ears.next() == ("heard", STREAM, 1, 1, 0, b"frame")


async def test_ten_thousand_streams_are_linked_again_after_the_connection_was_killed(valkey: TestValkey) -> None:
    gateway = Gateway(parse_address(valkey.url), 1)
    async with running(gateway):
        for _ in range(2):
            for stream in range(10_000):
                gateway.link.subscribe(stream)
            assert {await gateway.ears.next() for _ in range(10_000)} == {("linked", stream) for stream in range(10_000)}
            with valkey.client() as client:
                client.client_kill_filter(_type="pubsub")
            assert await gateway.ears.next() == ("down",)
            assert await gateway.ears.next() == ("up",)


async def test_a_subscription_that_the_server_takes_away_is_taken_again(valkey: TestValkey, tmp_path: Path) -> None:
    async with behind_a_proxy(valkey, tmp_path) as (gateway, proxy):
        await gateway.subscribe(STREAM)
        await proxy.say(b"UNSUBSCRIBE stream:v1:%d\r\n" % STREAM)  # as if the client had
        assert await gateway.ears.next() == ("linked", STREAM)


async def test_a_deaf_subscription_is_found_and_replaced(valkey: TestValkey, tmp_path: Path) -> None:
    async with behind_a_proxy(valkey, tmp_path) as (gateway, proxy):
        await gateway.subscribe(STREAM)
        proxy.fault = "deaf"
        assert await gateway.ears.next() == ("down",)
        assert (gateway.link.counts.deaf, gateway.link.counts.silent) == (1, 0)
        proxy.cut()
        while await gateway.ears.next() != ("linked", STREAM):
            pass
        with valkey.client() as client:
            client.publish(f"stream:v1:{STREAM}", HEADER.pack(9, 1, 0) + b"again")
        assert await gateway.ears.next() == ("heard", STREAM, 9, 1, 0, b"again")


async def test_a_heart_that_the_server_forgot_is_a_deaf_subscription(valkey: TestValkey, tmp_path: Path) -> None:
    async with behind_a_proxy(valkey, tmp_path) as (gateway, proxy):
        await proxy.say(b"UNSUBSCRIBE\r\n")
        assert await gateway.ears.next() == ("down",)
        assert gateway.link.counts.deaf == 1
        assert await gateway.ears.next() == ("up",)


async def test_a_silent_connection_is_found_and_replaced(valkey: TestValkey, tmp_path: Path) -> None:
    async with behind_a_proxy(valkey, tmp_path) as (gateway, proxy):
        proxy.fault = "swallow"
        assert await gateway.ears.next() == ("down",)
        assert (gateway.link.counts.deaf, gateway.link.counts.silent) == (0, 1)


async def test_a_link_that_hears_itself_is_left_alone(valkey: TestValkey, tmp_path: Path) -> None:
    async with behind_a_proxy(valkey, tmp_path) as (gateway, _):
        for _ in range(20):
            await gateway.link.wait_beat()
        assert (gateway.link.counts.connects, gateway.link.counts.losses) == (1, 0)


@pytest.mark.parametrize("seed", range(5))
async def test_what_is_subscribed_converges_to_what_is_wanted_whatever_happens_meanwhile(
    valkey: TestValkey, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    wanted: set[int] = set()
    async with behind_a_proxy(valkey, tmp_path) as (gateway, proxy):
        for _ in range(400):
            stream = chance.randrange(30)
            match chance.choices(["subscribe", "unsubscribe", "yield", "cut", "deafen"], [30, 25, 30, 2, 1])[0]:
                case "subscribe":
                    wanted.add(stream)
                    gateway.link.subscribe(stream)
                case "unsubscribe":
                    wanted.discard(stream)
                    gateway.link.unsubscribe(stream)
                case "yield":
                    await gateway.commands.call("PING")
                case "cut":
                    proxy.cut()
                    await gateway.link.wait_up()
                case "deafen":
                    await proxy.say(b"UNSUBSCRIBE stream:v1:%d\r\n" % stream)
        assert wanted  # else there is nothing to converge to
        channels = sorted(b"stream:v1:%d" % stream for stream in wanted)
        while sorted(await gateway.commands.call("PUBSUB", "CHANNELS", "stream:v1:*")) != channels:
            pass


async def test_a_cluster_accepts_the_subscriptions_of_many_slots(tmp_path: Path) -> None:
    options = ValkeyOptions(tmp_path, port=free_port(), arguments=("--cluster-enabled", "yes", "--cluster-port", str(free_port())))
    server = start_valkey(options)
    try:
        with redis.Redis.from_url(server.address.url) as client:
            client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)  # takes no writes for two seconds, but pub/sub at once
        one, two = (Gateway(parse_address(server.address.url), origin, LinkOptions(sharded=True)) for origin in (1, 2))
        async with running(one, two):
            for stream in range(50):
                two.link.subscribe(stream)
            assert {await two.ears.next() for _ in range(50)} == {("linked", stream) for stream in range(50)}
            one.link.publish(STREAM, 1, 0, b"sharded")
            assert await two.ears.next() == ("heard", STREAM, 1, 1, 0, b"sharded")
    finally:
        stop_valkey(server)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_killed_server_is_found_again_and_every_stream_is_linked(tmp_path: Path) -> None:
    options = ValkeyOptions(tmp_path)
    first = start_valkey(options)
    gateway = Gateway(RedisAddress(socket_path=str(first.address.socket_path)), 1)
    async with running(gateway):
        await gateway.subscribe(STREAM)
        os.kill(first.address.pid, signal.SIGKILL)
        first.process.wait()
        assert await gateway.ears.next() == ("down",)
        second = start_valkey(options)
        try:
            assert await gateway.ears.next() == ("up",)
            assert await gateway.ears.next() == ("linked", STREAM)
        finally:
            stop_valkey(second)


async def test_a_listener_that_raises_ends_the_link_and_it_can_be_served_again(valkey: TestValkey) -> None:
    gateway = Gateway(parse_address(valkey.url), 1)
    whole = gateway.ears.announced

    def broken(topic: str, payload: bytes) -> None:
        raise LookupError(topic)

    gateway.ears.announced = broken  # type: ignore[method-assign]
    with pytest.RaisesGroup(LookupError, flatten_subgroups=True):
        async with running(gateway):
            await gateway.subscribe(STREAM)
            with valkey.client() as client:
                client.publish("announce:v1:takeover", b"\x09\0\0\0device")
            await trio.sleep_forever()
    assert await gateway.ears.next() == ("down",)
    gateway.ears.announced = whole  # type: ignore[method-assign]
    async with running(gateway):
        assert await gateway.ears.next() == ("linked", STREAM)


async def test_a_process_that_was_stopped_does_not_blame_the_link(valkey: TestValkey, tmp_path: Path) -> None:
    async with behind_a_proxy(valkey, tmp_path) as (gateway, _):
        with valkey.client() as client:
            for _ in range(3):
                client.blpop(["never"], timeout=0.1)  # blocks this whole process for five beats
                await gateway.link.wait_beat()
        assert (gateway.link.counts.connects, gateway.link.counts.losses) == (1, 0)


async def test_publish_never_waits_and_drops_beyond_its_bound(valkey: TestValkey, tmp_path: Path) -> None:
    proxy = FaultyRedis(valkey.server.address.socket_path, tmp_path)
    options = LinkOptions(publish_bytes_max=500_000)
    gateway = Gateway(proxy.address, 1, options, pubsub=parse_address(valkey.url))
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.serve)
        async with running(gateway):
            proxy.fault = "stuck"
            frame = bytes(10_000)
            while gateway.link.counts.dropped < 100:
                gateway.link.publish(STREAM, 1, 0, frame)
                assert gateway.commands.unsent_bytes <= 500_000
                await trio.lowlevel.checkpoint()
            assert gateway.link.counts.dropped_bytes > 100 * len(frame)
        nursery.cancel_scope.cancel()


async def test_without_redis_nothing_waits_or_raises_and_all_is_linked_when_it_comes(valkey: TestValkey, tmp_path: Path) -> None:
    proxy = FaultyRedis(valkey.server.address.socket_path, tmp_path)
    gateway = Gateway(proxy.address, 1)
    async with running(gateway, wait=False), AsyncExitStack() as stack:
        gateway.link.subscribe(STREAM)
        gateway.link.publish(STREAM, 1, 0, b"lost")
        gateway.link.announce("takeover", b"lost")
        gateway.link.subscribe(STREAM + 1)
        gateway.link.unsubscribe(STREAM + 1)
        assert gateway.link.counts.dropped == 2
        nursery = await stack.enter_async_context(trio.open_nursery())
        await nursery.start(proxy.serve)
        assert await gateway.ears.next() == ("up",)
        assert await gateway.ears.next() == ("linked", STREAM)
        assert gateway.ears.silent()
        nursery.cancel_scope.cancel()


async def test_other_tasks_get_their_turn_between_batches(valkey: TestValkey) -> None:
    gateway = Gateway(parse_address(valkey.url), 1, LinkOptions(batch_max=10))
    async with running(gateway):
        await gateway.subscribe(STREAM)
        heard_at_each_turn: list[int] = []
        with valkey.client() as client, client.pipeline(transaction=False) as pipeline:
            for seq in range(500):
                pipeline.publish(f"stream:v1:{STREAM}", HEADER.pack(9, seq, 0))
            pipeline.execute()
        while gateway.link.counts.heard < 500:
            heard_at_each_turn.append(gateway.link.counts.heard)
            await trio.lowlevel.checkpoint()
        heard_at_each_turn.append(gateway.link.counts.heard)
        steps = [after - before for before, after in pairwise(heard_at_each_turn)]
        assert max(steps) <= 20  # a turn may fall between two batches of the reader, never beyond


async def test_what_no_gateway_wrote_is_counted_and_ignored(valkey: TestValkey) -> None:
    gateway = Gateway(parse_address(valkey.url), 1)
    async with running(gateway):
        await gateway.subscribe(STREAM)
        with valkey.client() as client:
            client.publish(f"stream:v1:{STREAM}", b"short")
            client.publish("announce:v1:takeover", b"")
            client.publish("heart:v1:1", b"no number")
            client.publish("announce:v1:takeover", b"\x09\0\0\0whole")
        assert await gateway.ears.next() == ("announced", "takeover", b"whole")
        assert gateway.link.counts.stray == 3


async def test_a_refused_subscription_does_not_end_the_link(valkey: TestValkey) -> None:
    with valkey.client() as client:
        client.acl_setuser("mute", enabled=True, nopass=True, categories=["+@all"], keys=["*"], channels=["other:*"])
    try:
        gateway = Gateway(parse_address(valkey.url.replace("unix://", "unix://mute:x@")), 1)
        async with running(gateway, wait=False):
            while gateway.link.counts.refused < 2:
                await trio.testing.wait_all_tasks_blocked(0.005)
            assert not gateway.link.up
    finally:
        with valkey.client() as client:
            client.acl_deluser("mute")


def test_the_link_is_what_actors_ask_for(valkey: TestValkey) -> None:
    gateway = Gateway(parse_address(valkey.url), 1)
    link: Link = gateway.link
    listener: LinkListener = gateway.ears
    assert (link, listener) == (gateway.link, gateway.ears)  # the claim is the two annotations: mypy checks them


async def test_a_published_frame_is_what_an_independent_client_reads(valkey: TestValkey) -> None:
    gateway = Gateway(parse_address(valkey.url), 0xFFFFFFFF)
    async with running(gateway):
        with valkey.client() as client, client.pubsub(ignore_subscribe_messages=True) as pubsub:
            pubsub.subscribe("stream:v1:5")
            await trio.to_thread.run_sync(lambda: pubsub.get_message(timeout=5))
            gateway.link.publish(5, 2**40, 77, b"\x93\x01\x02\x03")
            message = await trio.to_thread.run_sync(lambda: _next(pubsub))
    assert message["data"] == HEADER.pack(0xFFFFFFFF, 2**40, 77) + b"\x93\x01\x02\x03"


def _next(pubsub: redis.client.PubSub) -> dict[str, bytes]:
    while (message := pubsub.get_message(timeout=5)) is None:
        pass
    return dict(message)
