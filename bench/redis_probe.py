"""What one small command costs from trio, by the auto-pipelining client and by redis-py behind a bridge to asyncio; and one link message.

    python -m bench.redis_probe [--commands 40000] [--tasks 50]

Both run in this process against the same embedded Valkey, 50 tasks at a time. Printed is CPU time of this process, user and
system, per command. The bridge is the best that redis-py offers under trio: its asyncio client on a loop in a thread of its own,
one crossing a command. The last row is a frame of 60 bytes through two links in this process: published by one, heard by the other,
1,000 streams, both sides together.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import tempfile
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import redis.asyncio
import trio

from gateway.link import RedisLink
from gateway.redis_connection import Way, parse_address
from gateway.resp import Commands
from supervisors.embedded_valkey import ValkeyOptions, start_valkey, stop_valkey

STREAMS = 1_000
FRAMES_A_TICK = 200
FRAME = bytes(60)


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def measure(get: Callable[[], Awaitable[object]], commands: int, tasks: int) -> float:
    """CPU seconds per command."""

    async def some() -> None:
        for _ in range(commands // tasks):
            assert await get() == b"13 characters"

    before = cpu_s()
    async with trio.open_nursery() as nursery:
        for _ in range(tasks):
            nursery.start_soon(some)
    return (cpu_s() - before) / commands


async def probe_own(url: str, commands: int, tasks: int) -> float:
    own = Commands(Way(parse_address(url), "probe"), random=random.random)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(own.serve)
        await own.wait_up()
        await own.call("SET", "probe", "13 characters")
        cost_s = await measure(lambda: own.call("GET", "probe"), commands, tasks)
        nursery.cancel_scope.cancel()
    return cost_s


async def probe_bridge(url: str, commands: int, tasks: int) -> float:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    client = redis.asyncio.Redis.from_url(url)
    token = trio.lowlevel.current_trio_token()

    async def get() -> object:
        done = trio.Event()
        answer: list[object] = []

        async def cross() -> None:
            answer.append(await client.get("probe"))
            token.run_sync_soon(done.set)

        asyncio.run_coroutine_threadsafe(cross(), loop)
        await done.wait()
        return answer[0]

    cost_s = await measure(get, commands, tasks)
    asyncio.run_coroutine_threadsafe(client.aclose(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    return cost_s


class Counting:
    """A listener that only counts."""

    def __init__(self) -> None:
        self.frames = 0
        self.streams = 0
        self._awaited = 0
        self._reached = trio.Event()

    async def wait_frames(self, frames: int) -> None:
        """Waits until so many were heard."""
        if self.frames < frames:
            self._awaited, self._reached = frames, trio.Event()
            await self._reached.wait()

    def heard(self, stream: int, origin: int, seq: int, audience_version: int, frame: bytes) -> None:
        self.frames += 1
        if self.frames == self._awaited:
            self._reached.set()

    def linked(self, stream: int) -> None:
        self.streams += 1

    def announced(self, topic: str, payload: bytes) -> None: ...

    def up(self) -> None: ...

    def down(self) -> None: ...


async def probe_link(url: str, frames: int) -> float:
    """CPU seconds per frame, sender and receiver."""
    way = Way(parse_address(url), "probe")
    both = [Commands(way, random=random.random) for _ in range(2)]
    hearing = Counting()
    sender = RedisLink(both[0], way, Counting(), origin=1, topics=(), random=random.random)
    receiver = RedisLink(both[1], way, hearing, origin=2, topics=(), random=random.random)
    async with trio.open_nursery() as nursery:
        for serving in (both[0].serve, both[1].serve, sender.serve, receiver.serve):
            nursery.start_soon(serving)
        await both[0].wait_up()
        for stream in range(STREAMS):
            receiver.subscribe(stream)
        while hearing.streams < STREAMS:
            await trio.lowlevel.checkpoint()
        before = cpu_s()
        for seq in range(0, frames, FRAMES_A_TICK):
            for number in range(seq, seq + FRAMES_A_TICK):
                sender.publish(number % STREAMS, number, 1, FRAME)
            await hearing.wait_frames(seq - 10 * FRAMES_A_TICK)
            await trio.lowlevel.checkpoint()
        await hearing.wait_frames(frames)
        cost_s = (cpu_s() - before) / frames
        nursery.cancel_scope.cancel()
    return cost_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", type=int, default=40_000)
    parser.add_argument("--tasks", type=int, default=50)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        valkey = start_valkey(ValkeyOptions(Path(folder)))
        try:
            url = valkey.address.url
            own_s = trio.run(probe_own, url, asked.commands, asked.tasks)
            link_s = trio.run(probe_link, url, asked.commands - asked.commands % FRAMES_A_TICK)
            bridge_s = trio.run(probe_bridge, url, asked.commands, asked.tasks)
        finally:
            stop_valkey(valkey)
    print(f"GET, gateway.resp             {own_s * 1e6:7.1f} µs")
    print(f"GET, redis-py over a bridge   {bridge_s * 1e6:7.1f} µs   ({bridge_s / own_s:.1f} times)")
    print(f"frame, link to link           {link_s * 1e6:7.1f} µs")


if __name__ == "__main__":
    main()
