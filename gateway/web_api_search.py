"""Search in messages over HTTP.

    GET /api/v1/search                     ?words, channel, after, limit   Bearer                            200 FoundPage
    GET /api/v1/communities/<id>/search    ?words, channel, after, limit   members, API keys that may read   200 FoundPage

The same as the socket's `Find`: messages with all the words whole come first, newest first, then those with words like them.

Invariant: where somebody does not read is answered like what does not exist.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct
from quart import Blueprint, Response

from actors.limits import Quota
from actors.storage import FindMessages, FoundPlace, MessagesFound
from gateway.openapi_answers import answers, read_query
from gateway.problems import Problem
from gateway.web_api import ASKED, COMMUNITY, READING, answer, asked, entered
from gateway.web_input import network
from gateway.web_needs import needs
from gateway.web_queries import Id
from gateway.web_services import Services
from protocol.codes import Code
from protocol.frames import FIND_WORDS_MAX, FOUND_MAX, FOUND_PLACE_BYTES_MAX, FoundMessage
from protocol.permissions import OWN

_PLACE: Final = msgspec.msgpack.Decoder(FoundPlace)


class FindQuery(Struct, frozen=True):
    """Messages with `words`; in one `channel`, unless that is 0. `after`: `next` of the page before."""

    words: Annotated[str, Meta(min_length=1, max_length=FIND_WORDS_MAX)]
    channel: Id = 0
    after: Annotated[str, Meta(max_length=2 * FOUND_PLACE_BYTES_MAX)] = ""
    limit: Annotated[int, Meta(ge=1, le=FOUND_MAX)] = 20


class Piece(Struct, frozen=True):
    """A part of an excerpt; `marked`: it is what was looked for."""

    text: str
    marked: bool


class Finding(Struct, frozen=True):
    """A message as it reads now. `at`: Unix seconds; `whole`: it has all the words as they were given."""

    community: int
    channel: int
    message: int
    author: int
    author_name: str
    at: int
    whole: bool
    excerpt: tuple[Piece, ...]


class FoundPage(Struct, frozen=True):
    """What was found. `next`: names the page behind it; empty: this was the last."""

    messages: tuple[Finding, ...]
    next: str


def create_search(services: Services) -> Blueprint:
    """The routes above."""
    routes = Blueprint("search", __name__, url_prefix="/api/v1")
    search = _Search(services)
    routes.get("/search")(search.everywhere)
    routes.get(f"{COMMUNITY}/search")(search.community)
    return routes


class _Search:
    """One method per route."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @needs(OWN)
    @answers(
        "Messages with certain words, wherever one may read.",
        {200: FoundPage},
        query=FindQuery,
        refuses=(Code.FORBIDDEN, Code.NOT_FOUND, Code.LIMIT),
        compress=True,
    )
    async def everywhere(self) -> Response:
        claims = await entered(self._services, OWN, 0, ASKED)
        return await self._find(claims.user, 0)

    @needs(READING)
    @answers("Messages of a community with certain words.", {200: FoundPage}, query=FindQuery, refuses=(Code.LIMIT,), compress=True)
    async def community(self, space: int) -> Response:
        claims = await entered(self._services, READING, space, ASKED)
        return await self._find(claims.user, space)

    async def _find(self, user: int, space: int) -> Response:
        services = self._services
        wanted = read_query(FindQuery)
        if "\0" in wanted.words:
            raise Problem(Code.INVALID, "no message contains U+0000")
        place = _read_place(wanted.after)
        wait_s = services.quotas.take(Quota.FINDS, user, network())
        if wait_s > 0.0:
            raise Problem(Code.RATE, "too many searches in a while", retry_after_s=wait_s)
        found = await asked(services, FindMessages(user, wanted.words, space, wanted.channel, place, wanted.limit), MessagesFound)
        ended = "" if found.place is None else base64.urlsafe_b64encode(msgspec.msgpack.encode(found.place)).decode().rstrip("=")
        return answer(FoundPage(tuple(map(_finding, found.messages)), ended))


def _read_place(text: str) -> FoundPlace | None:
    if not text:
        return None
    try:
        return _PLACE.decode(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise Problem(Code.INVALID, "`after` is none that a page named as its `next`") from None


def _finding(one: FoundMessage) -> Finding:
    pieces = tuple(Piece(text, bool(place % 2)) for place, text in enumerate(one.excerpt) if text)
    return Finding(one.space, one.stream, one.seq, one.author, one.name, one.at, one.whole, pieces)
