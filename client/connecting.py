"""`connect`: puts store, transport, session and runner together for the length of a block.

async with connect("https://learn.example", credentials) as session:
    await session.say(stream, "hello")
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal, cast

import trio

from client.exchange import Exchange
from client.http_door import HttpDoor, SyncGrant
from client.http_link import HttpTransport
from client.link import Transport
from client.runner import LEAVE_S, Runner
from client.session import Session, World
from client.settings import Grant, Settings, Syncing
from client.sqlite_store import MemoryStore
from client.store import Store
from client.ways import Ways
from client.websocket import WebSocketTransport

REAL_WORLD = World(time.time, random.random)


@asynccontextmanager
async def connect(
    server: str | Transport,
    grant: Grant,
    *,
    store: Store | None = None,
    settings: Settings | None = None,
    world: World = REAL_WORLD,
    door: Literal["socket", "http"] = "socket",
) -> AsyncIterator[Session]:
    """Opens a session with `server` (its URL, or a transport) and keeps it until the block ends. Does not wait for the socket.

    Where sockets are blocked and HTTP is not, the same goes over HTTP until a socket works again (`client.ways`). Leaving the block says
    `Bye`, within `LEAVE_S`; mutations without an outcome stay in `store` (`await session.settled()` waits for them).
    `door` "http" is for where sockets are blocked: everything goes by requests, at once where there is something to send, else every half
    minute; `grant` is then one that knows the way (`Credentials`).
    Exceptions of the block come out as they are, not in a group.
    """
    settings = settings or Settings()
    store = store if store is not None else MemoryStore()
    exchange = Exchange(store, grant.device, world.wall, world.spread, settings.events_max, settings.records)
    if grant.inbox:
        exchange.follow_inbox(grant.inbox)
    session = Session(exchange, world, grant.user, grant.inbox)
    if door == "http":
        if not isinstance(grant, Syncing):
            raise TypeError("a bare token does not open the way over HTTP; Credentials do")
        runner: Runner | HttpDoor = HttpDoor(session, exchange, cast(SyncGrant, grant), settings, world)
    else:
        transport = Ways(WebSocketTransport(server), HttpTransport(server), world.spread) if isinstance(server, str) else server
        runner = Runner(session, exchange, transport, grant, settings, world)
    try:
        async with trio.open_nursery() as nursery:
            ended = trio.Event()

            async def run() -> None:
                await runner.run()
                ended.set()

            nursery.start_soon(run)
            try:
                yield session
            finally:
                runner.stop()
                with trio.move_on_after(LEAVE_S, shield=True):
                    await ended.wait()
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise _single(group) from None


def _single(error: BaseException) -> BaseException:
    """The exception inside groups of one; the group itself where there are several."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
