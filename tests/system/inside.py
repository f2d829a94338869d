"""Gateways inside the test's own process: the same nodes and trees that `serve` runs, on real servers, where a test can reach in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import trio

from gateway.tokens import load_or_generate_pem
from supervisors.live import see
from supervisors.looking import look_at_node
from supervisors.node import Node
from supervisors.porthole import serve_view
from supervisors.settings import Database, Drain, Listen, Passwords, Redis, Secret, Settings, Tokens
from supervisors.told import Told
from supervisors.tree import Tree
from supervisors.view import NodeView

WINDOW_S = 0.3


class Inside:
    """One gateway."""

    def __init__(self, settings: Settings) -> None:
        self.addresses: list[str] = []
        self.over = trio.Event()
        self.node = Node(settings, on_listening=self.addresses.extend)
        self.tree = self.node.tree = Tree(self.node.spec("gateway"), report=self.node.troubles.in_tree)

    @property
    def url(self) -> str:
        return f"http://{self.addresses[-1]}"

    async def run(self, up: trio.Event) -> None:
        await self.tree.run(task_status=Told(lambda _: up.set()))
        self.over.set()

    async def view(self) -> bytes:
        return msgspec.json.encode(await look_at_node(self.node, self.tree, "gateway", WINDOW_S))


def settings_for(dsn: str, redis_url: str, folder: Path, **sections: msgspec.Struct) -> Settings:
    """What a gateway in a test is told."""
    key_file = folder / "keys.pem"
    load_or_generate_pem(key_file)
    given = {
        "listen": Listen(port=0),
        "database": Database(dsn=Secret(dsn)),
        "redis": Redis(url=Secret(redis_url)),
        "tokens": Tokens(key_file=str(key_file)),
        "passwords": Passwords(memory_kib=8192, rounds=1),
        "drain": Drain(grace_s=0.0, spread_s=0.0),
    }
    return Settings(**{**given, **sections})  # type: ignore[arg-type]


@asynccontextmanager
async def gateways(settings: Settings, folder: Path, count: int = 1) -> AsyncIterator[list[Inside]]:
    """So many of them, each with its porthole in `folder`, up and linked."""
    houses = [Inside(settings) for _ in range(count)]
    async with trio.open_nursery() as nursery:
        for number, house in enumerate(houses, 1):
            await nursery.start(house.node.pulse.run)
            if house.node.tracer is not None:
                await nursery.start(house.node.tracer.serve)
            await nursery.start(serve_view, folder, f"gateway-{number}", house.view)
            up = trio.Event()
            nursery.start_soon(house.run, up)
            with trio.fail_after(30):
                await up.wait()
                await house.node.link.wait_up()
        yield houses
        for house in reversed(houses):
            house.tree.stop()
        with trio.fail_after(20):
            for house in houses:
                await house.over.wait()
        nursery.cancel_scope.cancel()


async def views(folder: Path) -> dict[str, NodeView]:
    """What `tree --live` sees, by the name of the process."""
    seen = {name.partition(",")[0]: view for name, view in await see([folder])}
    assert not any(isinstance(view, str) for view in seen.values()), seen
    return {name: view for name, view in seen.items() if isinstance(view, NodeView)}
