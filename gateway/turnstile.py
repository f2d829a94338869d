"""Lets one through at a time, with a turn of the event loop between two.

    two hundred requests at once ─▶ wait ─▶ one begins, everything else that is ready has its turn ─▶ the next begins ─▶ …

A request takes some milliseconds of Python before it waits for anything. Two hundred that come together would be begun in one turn of the
loop, and a chat message would wait behind all of them; so it waits behind one.

Invariant: first come, first served; whoever waits is let through after at most as many turns as there are before them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio
from hypercorn.typing import ASGIFramework


class Turnstile:
    """See the module."""

    def __init__(self) -> None:
        self._lock = trio.Lock()

    async def wait(self) -> None:
        """Returns when it is the caller's turn to do something."""
        async with self._lock:
            await trio.lowlevel.checkpoint()

    def before(self, app: ASGIFramework) -> ASGIFramework:
        """An application whose requests begin one at a time."""

        async def begin(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
            await self.wait()
            await app(scope, receive, send)

        return begin
