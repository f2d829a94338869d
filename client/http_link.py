"""A transport where sockets cannot go: the same messages by requests, of which one always waits for what comes.

    send ───▶ POST /api/v1/link            the first message opens; the answer brings name and key, and what there is to say
              POST /api/v1/link/{name}?n=2 the others, numbered: one that was lost on the way is sent again and not taken twice
    receive ◀ GET  /api/v1/link/{name}     as it comes, where the way lets it through; else each answer ends with what it brings

A request that broke does not break the link: the gateway keeps what was not acknowledged, and the next request brings it. Only a gateway
that does not know the link (any more), or nobody at all for `GIVE_UP_S`, ends it.

Invariant: messages come out in the order of their numbers, each once; leaving the block ends the link within `CLOSE_S`.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import httpx
import trio

from client.errors import LinkClosed, Unreachable
from client.link import Link
from protocol.codes import Code
from protocol.link_body import BadPart, Opened, Over, Parts, read_word

LINK_ROUTE: Final = "/api/v1/link"
MESSAGE_TYPE: Final = "application/msgpack"
STREAM_TYPE: Final = "application/vnd.educonnect.stream"
CLOSE_S: Final = 2.0
ASK_S: Final = 25.0
"""One message on its way, or the answer to the first one: the gateway takes 8 s for that at most."""
THERE_S: Final = 10.0
"""For the question whether anybody is there."""
POLL_S: Final = 40.0
"""Silence on a poll: a gateway answers within 25 s, and shows a stream's life each 15 s."""
FIRST_BYTE_S: Final = 6.0
"""A stream shows its life at once. One that does not is held back by something in between, and polls take its place."""
GIVE_UP_S: Final = 20.0
"""So long nobody is there, counted from when a request first failed: then the link is over."""
PAUSE_S: Final = 0.5
"""Between two tries."""
MESSAGE_BYTES_MAX: Final = 1 << 20
"""As of a socket."""
QUEUED_MESSAGES_MAX: Final = 16
ACKNOWLEDGE_BYTES: Final = 16 * 1024
"""After so much of a stream the gateway is told what came, so that it need not keep it: a quarter of what it keeps before it is silent."""


class HttpTransport:
    """Opens links to the server at `url` (http or https)."""

    def __init__(self, url: str, tls: ssl.SSLContext | None = None) -> None:
        self._url = (url if "://" in url else f"http://{url}").rstrip("/")
        # Reading the system's certificates takes tens of milliseconds, and nothing of them is asked without TLS.
        self._verify: ssl.SSLContext | bool = tls if tls is not None else self._url.startswith("https://")
        self.streams = True
        """Whether answers go on here; False once something in between held one back."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Link]:
        """A link for the length of the block; its first message opens it. Raises `Unreachable` where nobody answers at all."""
        fields = {"user-agent": "educonnect-python"}
        async with httpx.AsyncClient(base_url=self._url, verify=self._verify, trust_env=False, timeout=ASK_S, headers=fields) as client:
            if not await answers(client):
                raise Unreachable(f"{self._url}: no server answers over HTTP")
            async with trio.open_nursery() as nursery:
                link = HttpLink(self, client, nursery)
                try:
                    yield link
                finally:
                    with trio.move_on_after(CLOSE_S, shield=True):
                        await link.leave()
                    nursery.cancel_scope.cancel()

    async def is_there(self) -> bool:
        """Whether a server answers over HTTP."""
        async with httpx.AsyncClient(base_url=self._url, verify=self._verify, trust_env=False, timeout=ASK_S) as client:
            return await answers(client)


async def answers(client: httpx.AsyncClient) -> bool:
    """Whether it is one of ours that answers, and not the page of whoever is in between."""
    try:
        answer = await client.get("/health", timeout=THERE_S)
    except httpx.HTTPError:
        return False
    return answer.status_code == 200 and b'"alive"' in answer.content


class HttpLink:
    """One link."""

    def __init__(self, transport: HttpTransport, client: httpx.AsyncClient, nursery: trio.Nursery) -> None:
        self._transport = transport
        self._client = client
        self._nursery = nursery
        self._out, self._in = trio.open_memory_channel[bytes](QUEUED_MESSAGES_MAX)
        self._sending = trio.Lock()
        self._heard_at = trio.current_time()
        self._path = ""
        self._key = ""
        self._sent = 0
        """Messages outward that were taken."""
        self._heard = 0
        """The last number that came."""
        self._unsaid_bytes = 0
        """What came and the gateway was not told of yet."""
        self._broken: LinkClosed | None = None

    # As a link

    async def send(self, message: bytes) -> None:
        async with self._sending:
            self._check()
            if not self._path:
                await self._open(message)
            else:
                await self._post(self._sent + 1, message)
            self._sent += 1

    async def receive(self) -> bytes:
        try:
            return await self._in.receive()
        except trio.EndOfChannel:
            raise self._broken or LinkClosed() from None

    def heard_at(self) -> float:
        return self._heard_at

    async def leave(self) -> None:
        """Tells the gateway that this is all, if it is there."""
        if self._path and self._broken is None:
            self._end(LinkClosed())
            try:
                await self._client.send(self._request("DELETE", self._path))
            except httpx.HTTPError:
                return  # its heartbeat tells it too

    def end(self, closed: LinkClosed) -> None:
        """Ends it on this side: whoever receives is told."""
        self._end(closed)

    # Outward

    async def _open(self, message: bytes) -> None:
        try:
            answer = await self._client.send(self._request("POST", LINK_ROUTE, message))
        except httpx.HTTPError as error:
            raise self._end(LinkClosed(0, f"the link could not be opened: {_words(error)}")) from None
        self._heard_at = trio.current_time()
        if answer.status_code != 200:
            raise self._end(_refused(answer))
        word = _first_word(answer.content)
        if word is None:
            raise self._end(LinkClosed(0, "the gateway opened no link"))
        self._path, self._key = f"{LINK_ROUTE}/{word.name}", word.key
        # In a task of its own: whoever sends may be the one who then receives.
        self._nursery.start_soon(self._fetch, answer.content)

    async def _post(self, number: int, message: bytes) -> None:
        """Until it was taken, or the link is over."""
        failing_since = None
        while True:
            # What came up to here counts as told once this was answered.
            told, told_bytes = self._heard, self._unsaid_bytes
            try:
                answer = await self._client.send(self._request("POST", f"{self._path}?n={number}&after={told}", message))
            except httpx.HTTPError as error:
                failing_since = self._count_failure(failing_since, error)
            else:
                self._heard_at = trio.current_time()
                if answer.status_code == 204:
                    self._unsaid_bytes -= min(told_bytes, self._unsaid_bytes)
                    return
                if answer.status_code not in (429, 502, 503, 504):
                    raise self._end(_refused(answer))
                failing_since = self._count_failure(failing_since, _refused(answer))
            await trio.sleep(PAUSE_S)
            self._check()

    # Inward

    async def _fetch(self, first: bytes) -> None:
        failing_since = None
        try:
            await self._take(Parts(MESSAGE_BYTES_MAX), first)
            while self._broken is None:
                before = self._heard
                try:
                    if self._transport.streams:
                        await self._fetch_stream()
                    else:
                        await self._fetch_once()
                    failing_since = None
                except (httpx.HTTPError, LinkBusy) as error:
                    failing_since = None if self._heard > before else failing_since
                    failing_since = self._count_failure(failing_since, error)
                    await trio.sleep(PAUSE_S)
        except LinkClosed as closed:
            self._end(closed)
        except BadPart as bad:
            self._end(LinkClosed(0, f"the gateway does not keep to the protocol: {bad}"))

    async def _fetch_once(self) -> None:
        answer = await self._client.send(self._request("GET", f"{self._path}?after={self._heard}", timeout_s=POLL_S))
        self._heard_at = trio.current_time()
        _check_answer(answer)
        await self._take(Parts(MESSAGE_BYTES_MAX), answer.content)

    async def _fetch_stream(self) -> None:
        parts = Parts(MESSAGE_BYTES_MAX)
        request = self._request("GET", f"{self._path}?after={self._heard}", timeout_s=POLL_S, accept=STREAM_TYPE)
        began = False
        with trio.move_on_after(FIRST_BYTE_S) as patience:
            answer = await self._client.send(request, stream=True)
            try:
                if answer.status_code != 200:
                    await answer.aread()
                    _check_answer(answer)
                async for data in answer.aiter_raw():
                    began = True
                    patience.deadline = float("inf")
                    self._heard_at = trio.current_time()
                    await self._take(parts, data)
                    if self._unsaid_bytes >= ACKNOWLEDGE_BYTES and not self._sending.locked():
                        self._nursery.start_soon(self._acknowledge)
            finally:
                await answer.aclose()
        if not began and patience.cancelled_caught:
            self._transport.streams = False

    async def _acknowledge(self) -> None:
        """Tells what came, without a message."""
        if self._sending.locked():
            return
        async with self._sending:
            if self._broken is None and self._unsaid_bytes >= ACKNOWLEDGE_BYTES:
                try:
                    await self._post(0, b"")
                except LinkClosed as closed:
                    self._end(closed)

    async def _take(self, parts: Parts, data: bytes) -> None:
        for part in parts.feed(data):
            if part.number == 0:
                word = read_word(part.payload)
                if isinstance(word, Over):
                    self._end(LinkClosed(word.code, word.reason))
                continue
            if part.number <= self._heard:
                continue  # an answer that was given again
            if part.number != self._heard + 1:
                raise LinkClosed(0, "a message is missing in what the gateway sent")
            try:
                # Without waiting where there is room: an answer that is left in the middle is not closed in good order by httpcore.
                self._out.send_nowait(part.payload)
            except trio.WouldBlock:
                await self._out.send(part.payload)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            self._heard = part.number
            self._unsaid_bytes += len(part.payload)

    # The end

    def _request(self, method: str, target: str, message: bytes = b"", *, timeout_s: float = ASK_S, accept: str = "*/*") -> httpx.Request:
        fields = {"accept": accept}
        if self._key:
            fields["authorization"] = f"Link {self._key}"
        if message:
            fields["content-type"] = MESSAGE_TYPE
        request = self._client.build_request(method, target, content=message, headers=fields, timeout=timeout_s)
        request.stream = Body(message)
        return request

    def _count_failure(self, since: float | None, error: Exception) -> float:
        now = trio.current_time()
        if since is not None and now - since >= GIVE_UP_S:
            raise self._end(LinkClosed(0, f"nobody answers: {_words(error)}"))
        return now if since is None else since

    def _check(self) -> None:
        if self._broken is not None:
            raise self._broken

    def _end(self, closed: LinkClosed) -> LinkClosed:
        """The first reason counts."""
        if self._broken is None:
            self._broken = closed
            self._out.close()
        return self._broken


class Body(httpx.AsyncByteStream):
    """A request's body. Httpx' own is an async generator, which is left lying where a request breaks while it is sent."""

    def __init__(self, data: bytes) -> None:
        self._left = [data] if data else []

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        await trio.lowlevel.checkpoint()
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


class LinkBusy(Exception):
    """The gateway, or what is before it, asks to come back."""


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _first_word(body: bytes) -> Opened | None:
    """What the first part of the first answer says."""
    try:
        part = next(iter(Parts(MESSAGE_BYTES_MAX).feed(body)), None)
        word = None if part is None or part.number else read_word(part.payload)
    except BadPart:
        return None
    return word if isinstance(word, Opened) else None


def _check_answer(answer: httpx.Response) -> None:
    if answer.status_code in (429, 502, 503, 504):
        raise LinkBusy(f"HTTP status {answer.status_code}")
    if answer.status_code != 200:
        raise _refused(answer)


def _refused(answer: httpx.Response) -> LinkClosed:
    busy = answer.status_code in (429, 503)
    return LinkClosed(int(Code.OVERLOAD) if busy else 0, f"the link was refused with HTTP status {answer.status_code}")
