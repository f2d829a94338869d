"""`connect`: puts store, transport, session and runner together for the length of a block.

async with connect("https://learn.example", credentials) as session:
    await session.say(stream, "hello")
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from client.exchange import Exchange
from client.link import Transport
from client.runner import LEAVE_S, Runner
from client.session import Session, World
from client.settings import Grant, Settings
from client.sqlite_store import MemoryStore
from client.store import Store
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
) -> AsyncIterator[Session]:
    """Opens a session with `server` (its URL, or a transport) and keeps it until the block ends. Does not wait for the socket.

    Leaving the block says `Bye`, within `LEAVE_S`; mutations without an outcome stay in `store` (`await session.settled()` waits for them).
    Exceptions of the block come out as they are, not in a group.
    """
    settings = settings or Settings()
    transport = WebSocketTransport(server) if isinstance(server, str) else server
    store = store if store is not None else MemoryStore()
    exchange = Exchange(store, grant.device, world.wall, world.spread, settings.events_max, settings.records)
    if grant.inbox:
        exchange.follow_inbox(grant.inbox)
    session = Session(exchange, world, grant.user, grant.inbox)
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
