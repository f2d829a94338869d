"""What the client's tests share: a world without chance, a grant without HTTP, and a server that runs beside the test."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio

from client.errors import AccountError, Unreachable
from client.session import World
from tests.client.fake_server import Device, FakeServer
from tests.client.fake_web import FakeWeb

CALM = World(wall=lambda: 1_800_000_000.0, spread=lambda: 0.5)
"""A wall clock that stands still and chance that always says one half."""


class FakeGrant:
    """The right to connect as one device. `renewals` says what each renewal does."""

    def __init__(self, server: FakeServer, device: int, expires_at: float = 1_800_000_900.0) -> None:
        self.server = server
        self.user = server.owners[device]
        self.device = device
        self.inbox = 1000 + self.user
        self.access_token = f"token-{device}"
        self.expires_at = expires_at
        self.renewals = 0
        self.on_renew: Callable[[], Awaitable[None]] | None = None

    async def renew(self) -> None:
        await trio.lowlevel.checkpoint()
        self.renewals += 1
        if self.on_renew is not None:
            await self.on_renew()
        self.access_token = f"token-{self.device}-{self.renewals}"
        self.server.tokens[self.access_token] = self.device
        self.expires_at += 900


class FakeCredentials(FakeGrant):
    """A grant that knows the way over HTTP, and becomes another device where its store was copied."""

    def __init__(self, server: FakeServer, device: int) -> None:
        super().__init__(server, device)
        self.lost_after: int | None = None
        self.revoked = False

    async def fork_device(self) -> None:
        await trio.lowlevel.checkpoint()
        self.device = self.server.new_id()
        self.access_token = f"token-{self.device}"
        self.server.devices[self.device] = Device()
        self.server.owners[self.device] = self.user
        self.server.tokens[self.access_token] = self.device

    async def sync(self, body: bytes) -> bytes:
        """The answer after `lost_after` others is lost on its way, and every one after it."""
        await trio.lowlevel.checkpoint()
        if self.revoked:
            raise AccountError(401, "4003", "Not logged in", "this session was ended")
        answer = self.server.visit(self.device, body)
        if self.lost_after is not None:
            if self.lost_after == 0:
                raise Unreachable("the answer was lost")
            self.lost_after -= 1
        return answer


@pytest.fixture
async def server(nursery: trio.Nursery) -> FakeServer:
    """A fake server with two people: user 1 on devices 11 and 12, user 2 on device 21, and a stream 50 that both may read."""
    server = FakeServer()
    server.user(1, 11, 12, name="ada")
    server.user(2, 21, name="ben")
    server.log[50] = []
    await nursery.start(server.run)
    return server


@pytest.fixture
async def web(server: FakeServer, nursery: trio.Nursery) -> FakeWeb:
    """The same server on a real port of this machine."""
    web = FakeWeb(server)
    await nursery.start(web.run)
    return web
