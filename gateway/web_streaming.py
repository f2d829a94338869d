"""Bodies that are longer than memory should be: read as they come, with a bound on what waits.

    socket ─▶ hypercorn ─▶ PacedConnection ─ waits while more than 256 KiB wait ─▶ PacedBody ─▶ a route that reads part by part

Quart takes a body off the socket as fast as it comes, whether or not anybody reads it. Here whoever is slow to keep bytes slows down who
sends them, by TCP's own means.

Invariant: of one body at most `WAITING_BYTES_MAX` and one part are in memory, where its path streams; elsewhere its path's bound.
"""

from __future__ import annotations

from typing import Final, cast

import trio
from hypercorn.typing import ASGIReceiveCallable
from quart import Request
from quart_trio.asgi import TrioASGIHTTPConnection
from quart_trio.wrappers.request import TrioBody

WAITING_BYTES_MAX: Final = 256 * 1024


class PacedBody(TrioBody):
    """A body that its reader paces. Satisfies `actors.uploads.Body`."""

    def __init__(self, expected_content_length: int | None, max_content_length: int | None) -> None:
        super().__init__(expected_content_length, max_content_length)
        self._taken = trio.Event()

    async def __anext__(self) -> bytes:
        data = await super().__anext__()
        self._taken.set()
        return data

    def rest(self) -> bytes:
        """What has come and nobody asked for yet."""
        data = bytes(self._data)
        self._data.clear()
        return data

    async def wait_room(self) -> None:
        """Returns when no more than `WAITING_BYTES_MAX` wait to be read."""
        while len(self._data) > WAITING_BYTES_MAX and not self._complete.is_set():
            self._taken = trio.Event()
            await self._taken.wait()


class PacedConnection(TrioASGIHTTPConnection):
    """Takes a body off the socket no faster than it is read, where its path streams."""

    async def handle_messages(  # type: ignore[override]
        self, nursery: trio.Nursery, request: Request, receive: ASGIReceiveCallable
    ) -> None:
        body = request.body
        streams = request.streams  # type: ignore[attr-defined]
        while (message := await receive())["type"] == "http.request":
            body.append(message.get("body", b""))
            if not message.get("more_body", False):
                body.set_complete()
            elif streams:
                await cast(PacedBody, body).wait_room()
        nursery.cancel_scope.cancel()
