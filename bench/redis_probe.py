"""What one small command costs from trio, by the auto-pipelining client and by redis-py behind a bridge to asyncio.

    python -m bench.redis_probe [--commands 40000] [--tasks 50]

Both run in this process against the same embedded Valkey, 50 tasks at a time. Printed is CPU time of this process, user and
system, per command. The bridge is the best that redis-py offers under trio: its asyncio client on a loop in a thread of its own,
one crossing a command.
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

from gateway.redis_connection import Way, parse_address
from gateway.resp import Commands
from supervisors.embedded_valkey import ValkeyOptions, start_valkey, stop_valkey


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
            bridge_s = trio.run(probe_bridge, url, asked.commands, asked.tasks)
        finally:
            stop_valkey(valkey)
    print(f"GET, gateway.resp             {own_s * 1e6:7.1f} µs")
    print(f"GET, redis-py over a bridge   {bridge_s * 1e6:7.1f} µs   ({bridge_s / own_s:.1f} times)")


if __name__ == "__main__":
    main()
