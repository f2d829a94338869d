"""A port of few words: `/metrics`, `/health` and `/ready`, for a process that serves nobody else over HTTP.

    GET /metrics ─▶ Prometheus' text      GET /health ─▶ 200 while the loop turns      GET /ready ─▶ 200, or 503 with what is not

One request a connection, read within seconds and bytes; nothing of it reaches the process. It has no authentication: bind it where only
your own watchers are.

Invariant: whoever connects costs a task and 8 kB, for `REQUEST_S` at most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import h11
import trio

from gateway.metrics import CONTENT_TYPE

REQUEST_BYTES_MAX: Final = 8192
REQUEST_S: Final = 5.0
CONNECTIONS_MAX: Final = 16
PLAIN: Final = "text/plain; charset=utf-8"
WORLD: Final = (OSError, trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError)

Answer = tuple[int, str, bytes]
"""Status, content type, body."""


class PlainPort:
    """Run `serve` under a supervisor."""

    def __init__(self, host: str, port: int, *, metrics: Callable[[], bytes], missing: Callable[[], Sequence[str]]) -> None:
        """`missing`: what is not ready, in words; nothing: it is."""
        self._host = host
        self._port = port
        self._metrics = metrics
        self._missing = missing
        self._room = trio.CapacityLimiter(CONNECTIONS_MAX)
        self.address = ""

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """For ever; port 0 takes a free one, and anything else that is taken raises OSError."""
        listeners = await trio.open_tcp_listeners(self._port, host=self._host)
        host, port, *_ = listeners[0].socket.getsockname()
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        task_status.started()
        await trio.serve_listeners(self._answer, listeners)

    async def _answer(self, stream: trio.SocketStream) -> None:
        with trio.move_on_after(REQUEST_S):
            async with stream, self._room:
                try:
                    await self._converse(stream)
                except WORLD:
                    return  # whoever asked has gone, or spoke no HTTP

    async def _converse(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=REQUEST_BYTES_MAX)
        while (event := connection.next_event()) is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some(REQUEST_BYTES_MAX))
        if not isinstance(event, h11.Request):
            return
        status, content_type, body = self._find(event.method, event.target.partition(b"?")[0])
        head = [("content-type", content_type), ("content-length", str(len(body))), ("connection", "close"), ("cache-control", "no-store")]
        sent = b"".join(
            connection.send(part) or b""
            for part in (h11.Response(status_code=status, headers=head), h11.Data(data=body), h11.EndOfMessage())
        )
        await stream.send_all(sent)

    def _find(self, method: bytes, path: bytes) -> Answer:
        if method != b"GET":
            return 405, PLAIN, b"GET alone\n"
        match path:
            case b"/metrics":
                return 200, CONTENT_TYPE, self._metrics()
            case b"/health":
                return 200, PLAIN, b"alive\n"
            case b"/ready":
                missing = self._missing()
                return (503, PLAIN, "\n".join(missing).encode() + b"\n") if missing else (200, PLAIN, b"ready\n")
            case _:
                return 404, PLAIN, b"/metrics, /health or /ready\n"
