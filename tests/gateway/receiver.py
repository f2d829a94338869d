"""A receiver of webhooks on loopback, as another system would write one: it verifies signatures by itself and answers as it is told to."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
FAULT = b"HTTP/1.1 500 Fault\r\nContent-Length: 4\r\n\r\noops"
GONE = b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"


class Delivery(msgspec.Struct, frozen=True):
    """What arrived, before it was answered."""

    fields: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.fields["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(self.body)
        return found

    def verified(self, secret: str) -> bool:
        """As the specification of Standard Webhooks tells a receiver to do it, written without our code."""
        key = base64.b64decode(secret.split("_", 1)[1])
        signed = b".".join((self.fields["webhook-id"].encode(), self.fields["webhook-timestamp"].encode(), self.body))
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return any(hmac.compare_digest(f"v1,{expected}", one) for one in self.fields["webhook-signature"].split(" "))


class Receiver:
    """Keeps what came. `answers` are given in order, then `OK` for ever; None: it never answers. `before` runs before each answer."""

    def __init__(self) -> None:
        self.came: list[Delivery] = []
        self.answers: list[bytes | None] = []
        self.before: Callable[[], Awaitable[None]] | None = None
        self.port = 0
        self._news = trio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/in"

    @property
    def texts(self) -> list[str]:
        return [delivery.event["data"].get("text", delivery.event["type"]) for delivery in self.came]

    async def wait(self, count: int) -> None:
        with trio.fail_after(60):
            while len(self.came) < count:
                await self._news.wait()

    async def serve(self, stream: trio.SocketStream) -> None:
        data = b""
        try:
            while b"\r\n\r\n" not in data:
                more = await stream.receive_some()
                if not more:
                    return
                data += more
            head, _, body = data.partition(b"\r\n\r\n")
            _, *lines = head.decode().split("\r\n")
            fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            while len(body) < int(fields["content-length"]):
                body += await stream.receive_some()
            self.came.append(Delivery(fields, body))
            self._news.set()
            self._news = trio.Event()
            if self.before is not None:
                await self.before()
            answer = self.answers.pop(0) if self.answers else OK
            if answer is None:
                await trio.sleep_forever()
            else:
                await stream.send_all(answer)
        except trio.BrokenResourceError:
            pass  # whoever delivered has left
        finally:
            await stream.aclose()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver that serves while the block lasts."""
    receiver = Receiver()
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        receiver.port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, receiver.serve, listeners)
        yield receiver
        nursery.cancel_scope.cancel()
