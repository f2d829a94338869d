"""One attempt of one delivery: a POST, and the little of its answer that is worth keeping.

    Posting(destination, headers, body) ─▶ judged connection ─▶ POST ─▶ Answer(status, first bytes, milliseconds)
                                                │
                                                ╰─▶ Answer(0, why): no answer, and nothing of ours in the words

No redirects, no proxies of the environment, no kept-alive connections, no decompression: httpcore does none of these by itself. The whole
attempt has one deadline, resolving and TLS included; of the body at most `answer_bytes_max` are read before the connection is closed.

Invariant: an attempt ends within its deadline, whatever the other side does, and holds a bounded amount of memory.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Final

import httpcore
import trio
from msgspec import Struct

from gateway.options import PostBounds, Reach
from gateway.webhooks.connecting import DestinationForbidden, JudgingBackend, Resolve, resolve
from gateway.webhooks.destination import Destination

RETRY_AFTER_MAX_S: Final = 24 * 3600


class Answer(Struct, frozen=True):
    """What came back. `status` 0: nothing did, and `text` says why."""

    status: int
    text: str
    took_ms: int
    retry_after_s: int = 0
    """What the receiver asked for, 0 if nothing."""
    forbidden: bool = False
    """The host has an address that nothing is sent to."""

    @property
    def taken(self) -> bool:
        return 200 <= self.status < 300


class Poster:
    """Makes attempts. `certificates`: whom TLS trusts; the system's own by default."""

    def __init__(
        self,
        reach: Reach,
        bounds: PostBounds = PostBounds(),  # noqa: B008 (frozen)
        *,
        certificates: ssl.SSLContext | None = None,
        resolve: Resolve = resolve,
    ) -> None:
        self.reach = reach
        self._bounds = bounds
        self._certificates = certificates or ssl.create_default_context()
        self._resolve = resolve

    async def post(self, destination: Destination, headers: Mapping[str, str], body: bytes) -> Answer:
        """Sends `body`. Raises nothing for what the world does."""
        began_s = trio.current_time()
        status, text, retry_after_s, forbidden = 0, f"no answer within {self._bounds.total_s:g} s", 0, False
        with trio.move_on_after(self._bounds.total_s):
            try:
                status, text, retry_after_s = await self._send(destination, headers, body)
            except DestinationForbidden as error:
                text, forbidden = str(error), True
            except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
                text = _words(error)
        return Answer(status, text, round((trio.current_time() - began_s) * 1000), retry_after_s, forbidden)

    async def _send(self, to: Destination, headers: Mapping[str, str], body: bytes) -> tuple[int, str, int]:
        bounds = self._bounds
        sent = [(b"Host", to.authority.encode()), (b"Content-Length", str(len(body)).encode()), (b"Connection", b"close")]
        sent += [(name.encode(), value.encode()) for name, value in headers.items()]
        url = httpcore.URL(scheme=b"https" if to.secure else b"http", host=to.host.encode(), port=to.port, target=to.target.encode())
        timeouts = {"connect": bounds.connect_s, "read": bounds.total_s, "write": bounds.total_s, "pool": bounds.connect_s}
        pool = httpcore.AsyncConnectionPool(
            ssl_context=self._certificates,
            max_connections=1,
            max_keepalive_connections=0,
            http1=True,
            http2=False,
            network_backend=JudgingBackend(self.reach, self._resolve),
        )
        async with pool, pool.stream("POST", url, headers=sent, content=body, extensions={"timeout": timeouts}) as response:
            kept, enough = bytearray(), False
            try:
                async for chunk in response.aiter_stream():
                    kept += chunk[: bounds.answer_bytes_max - len(kept)]
                    if len(kept) >= bounds.answer_bytes_max and not enough:
                        # The iteration ends by the connection's end. Broken off, it would leave generators for the collector to clean up.
                        enough = True
                        await response.extensions["network_stream"].aclose()
            except httpcore.NetworkError:
                if not enough:
                    raise
            return response.status, readable(bytes(kept[: bounds.kept_bytes])), _retry_after(response.headers)


def readable(answer: bytes) -> str:
    """Foreign bytes as one line of text that can be shown and stored."""
    return "".join(c if c.isprintable() else " " for c in answer.decode("utf-8", "replace"))


def _retry_after(headers: list[tuple[bytes, bytes]]) -> int:
    for name, value in headers:
        # Only seconds: a date would need their clock. At most five digits are looked at, whatever they sent.
        if name.lower() == b"retry-after" and value.isdigit() and len(value) <= 5:
            return min(int(value), RETRY_AFTER_MAX_S)
    return 0


def _words(error: Exception) -> str:
    """What failed, in words of ours: the error's own may name addresses."""
    match error:
        case httpcore.ConnectTimeout():
            return "no connection in time"
        case httpcore.ConnectError():
            return "TLS failed: the certificate is not good for this host" if _is_tls(error) else "no connection"
        case httpcore.TimeoutException():
            return "no answer in time"
        case httpcore.ProtocolError():
            return "the answer was no HTTP"
        case httpcore.NetworkError():
            return "the connection broke"
        case _:
            return "the host's name could not be resolved"


def _is_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
