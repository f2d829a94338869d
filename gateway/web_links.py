"""The link over HTTP, for where sockets cannot go: the frames, cursors and sessions of the socket, by requests that wait.

    POST   /api/v1/link                     a message                    200 [its name and key, what there is to say]
    POST   /api/v1/link/{name}?n=2&after=7  Link KEY, a message          204 taken, now or before; 409 one before it is missing
    GET    /api/v1/link/{name}?after=7      Link KEY                     200 [what comes behind 7], or as it comes
    DELETE /api/v1/link/{name}              Link KEY                     204

Messages outward and inward are numbered from 1, each way; the first one inward opens. Who `after` names has everything up to there, and the
gateway forgets it. A name of another gateway is 421, one that is over 404: the client opens anew and goes on by its cursors.

Invariant: no secret stands in a path or a query; an answer ends with the heartbeat at the latest, and waits for nobody who does not read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Final

import trio
from msgspec import Meta, Struct
from quart import Blueprint, Response, request

from actors.socket_port import Peer
from gateway.http_link import HttpLink, Taken
from gateway.http_links import HttpLinks, LinkRefused
from gateway.openapi_answers import Field, Media, answers, read_query
from gateway.problems import Problem
from gateway.web_bounds import LINK_PATH
from gateway.web_input import network, take
from gateway.web_needs import needs
from gateway.web_services import Services
from protocol.codes import Code
from protocol.link_body import ALIVE, NUMBER_MAX, encode_opened
from protocol.permissions import ANYONE

MESSAGE_TYPE: Final = "application/msgpack"
PARTS_TYPE: Final = "application/vnd.educonnect.link"
STREAM_TYPE: Final = "application/vnd.educonnect.stream"
SEND_S: Final = 35.0
"""For an answer to leave; `http.stall_s` ends one that stands still."""

Number = Annotated[int, Meta(ge=0, le=NUMBER_MAX)]


class Sent(Struct, frozen=True):
    """Which message this is, 0 for none; and up to where everything came."""

    n: Number
    after: Number = 0


class Wanted(Struct, frozen=True):
    """Up to where everything came."""

    after: Number = 0


_KEY: Final = Field("Authorization", "`Link KEY`, as the first answer gave it.", required=True)


def create_links(services: Services, links: HttpLinks) -> Blueprint:
    """The routes above."""
    routes = Blueprint("links", __name__)
    desk = Linking(services, links)
    routes.post(LINK_PATH)(desk.open)
    routes.post(f"{LINK_PATH}/<name>")(desk.send)
    routes.get(f"{LINK_PATH}/<name>")(desk.receive)
    routes.delete(f"{LINK_PATH}/<name>")(desk.leave)
    return routes


class Linking:
    """One method per route. Whom a link is of, its first message says, as on a socket; from then on the key does."""

    def __init__(self, services: Services, links: HttpLinks) -> None:
        self._services = services
        self._links = links

    @needs(ANYONE)
    @answers(
        "Opens a link by its first message, a Hello or Resume.",
        {200: Media(PARTS_TYPE)},
        takes=Media(MESSAGE_TYPE),
        refuses=(415, 429, 503),
    )
    async def open(self) -> Response:
        await take(self._services.rates, "link-address", network(), self._links.bounds.opened)
        message = await self._message()
        try:
            link, key = self._links.open(_peer())
        except LinkRefused as refused:
            code = Code.BUSY if refused.busy else Code.RATE
            raise Problem(code, str(refused), retry_after_s=5.0 if refused.busy else 30.0) from None
        told = False
        try:
            link.take(1, message)
            turn = link.claim()
            await link.wait(turn, 0, link.bounds.first_s)
            body, _ = link.fetch(0, link.bounds.answer_bytes)
            told = True
        finally:
            if not told:
                link.leave()  # whoever asked is gone, and nobody else knows the key
        return _answer(encode_opened(link.name, key) + body)

    @needs(ANYONE)
    @answers(
        "Says a message on a link.",
        {204: None},
        takes=Media(MESSAGE_TYPE),
        body_optional=True,
        query=Sent,
        fields=(_KEY,),
        refuses=(404, 409, 415, 421, 429, 503),
    )
    async def send(self, name: str) -> Response:
        """A repeat of what came is 204 and nothing else. `n` 0, without a body, only says up to where everything came."""
        asked = read_query(Sent)
        link = self._find(name)
        message = await self._message() if asked.n else b""
        link.acknowledge(asked.after)
        match link.take(asked.n, message) if asked.n else Taken.AGAIN:
            case Taken.GAP:
                raise Problem(Code.NOT_NOW, "a message before this one is missing")
            case Taken.PAUSED:
                raise Problem(Code.BUSY, "nothing is read now; send it again", retry_after_s=1.0)
            case Taken.OVER:
                raise _no_link()
            case _:
                return Response(b"", status=204)

    @needs(ANYONE)
    @answers(
        "Waits for what comes on a link.",
        {200: Media(PARTS_TYPE)},
        query=Wanted,
        fields=(_KEY, Field("Accept", f"`{STREAM_TYPE}`: the answer goes on for a heartbeat.")),
        refuses=(404, 421, 429),
    )
    async def receive(self, name: str) -> Response:
        """Whoever asks while another request of the same link waits takes its place: that one ends, empty."""
        asked = read_query(Wanted)
        link = self._find(name)
        link.acknowledge(asked.after)
        turn = link.claim()
        if STREAM_TYPE in request.headers.get("Accept", ""):
            response = Response(_go_on(link, turn, asked.after), content_type=STREAM_TYPE)
            response.headers["X-Accel-Buffering"] = "no"
            response.timeout = link.heartbeat_s + SEND_S
            return response
        body = b""
        if await link.wait(turn, asked.after, min(link.bounds.poll_s, link.heartbeat_s)):
            body, _ = link.fetch(asked.after, link.bounds.answer_bytes)
        return _answer(body)

    @needs(ANYONE)
    @answers("Ends a link.", {204: None}, fields=(_KEY,), refuses=(404, 421, 429))
    async def leave(self, name: str) -> Response:
        self._find(name).leave()
        return Response(b"", status=204)

    def _find(self, name: str) -> HttpLink:
        """The link, if the key is right. Raises `Problem`, the same for what is not there and for what is somebody else's."""
        if not self._links.is_ours(name):
            raise Problem(Code.NOT_FOUND, "this link is not of this gateway; open another", status=421)
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        link = self._links.find(name, key.strip() if scheme.lower() == "link" else "")
        if link is None:
            raise _no_link()
        if not link.may_ask():
            raise Problem(Code.RATE, "too many requests on one link", retry_after_s=1.0)
        return link

    async def _message(self) -> bytes:
        """The body. Raises `Problem`."""
        if request.mimetype != MESSAGE_TYPE:
            raise Problem(Code.INVALID, f"the body must be a message of frames: Content-Type {MESSAGE_TYPE}", status=415)
        message = await request.get_data(cache=False, as_text=False, parse_form_data=False)
        if not message:
            raise Problem(Code.INVALID, "the body must be a message of frames, and is empty")
        if len(message) > self._links.bounds.message_bytes_max:
            raise Problem(Code.TOO_LARGE, f"a message is at most {self._links.bounds.message_bytes_max} bytes")
        return message


def _no_link() -> Problem:
    return Problem(Code.NOT_FOUND, "there is no such link; open another")


def _peer() -> Peer:
    address, port = request.scope.get("client") or ("", 0)
    return Peer(str(address), int(port or 0), request.scheme == "https", request.headers.get("Origin", ""))


def _answer(body: bytes) -> Response:
    response = Response(body, content_type=PARTS_TYPE)
    response.timeout = SEND_S
    return response


async def _go_on(link: HttpLink, turn: int, after: int) -> AsyncIterator[bytes]:
    """Parts as they come, until the heartbeat wants a sign of life from the other side: its next request."""
    until = trio.current_time() + link.heartbeat_s
    yield ALIVE
    while (left_s := until - trio.current_time()) > 0:
        if not await link.wait(turn, after, min(link.bounds.alive_s, left_s)):
            return
        body, after = link.fetch(after, link.bounds.answer_bytes)
        yield body or ALIVE
        if link.is_told:
            return
