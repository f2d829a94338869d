"""Messages of a channel over HTTP.

    GET    /api/v1/communities/<id>/channels/<n>/messages         ?after | ?before, &limit       200 MessagePage
    POST   /api/v1/communities/<id>/channels/<n>/messages         Message, Idempotency-Key       201 {message}
    PUT    /api/v1/communities/<id>/channels/<n>/messages/<seq>   {text}                         204
    DELETE /api/v1/communities/<id>/channels/<n>/messages/<seq>                                  204

A channel's events are numbered without gaps, and messages are some of them: a page says how far it has looked, and the next one goes on
there. A message reads as it was edited last; what was taken back keeps its number.

Invariant: a channel is named together with its community, so that a key of one community reaches into no other.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct
from quart import Blueprint, Response

from actors.accounts import Claims
from actors.http_writing import Writing
from actors.limits import Quota
from actors.storage import Events, ReadAfter, ReadBefore, Row
from gateway.openapi_answers import answers, read_query
from gateway.problems import Problem
from gateway.rates import Limit
from gateway.web_api import ASKED, COMMUNITY, KEPT, TAGGED, answer, asked, entered, tagged
from gateway.web_api_writing import KEY, carry_out
from gateway.web_entry import presented_key
from gateway.web_input import Input, network, read_json
from gateway.web_needs import needs
from gateway.web_queries import Id
from gateway.web_services import Services
from protocol.codec import decode_body
from protocol.codes import Code
from protocol.events import Attachment, Posted, Redacted, Said
from protocol.operations import Delete, Edit, Post, Users
from protocol.permissions import Needs, Permission, in_space
from protocol.values import ATTACHMENTS_MAX, ID_MAX, Seq, Text, UploadId

READING: Final = in_space(Permission.READ)
WRITING: Final = in_space(Permission.POST)
TAKING_BACK: Final = in_space(Permission.MODERATE, or_own=True)
SAID: Final = Limit(burst=60, per_s=1.0)
PAGE_MAX: Final = 100
PAGE_BYTES_MAX: Final = 256 * 1024
CHANNEL: Final = f"{COMMUNITY}/channels/<int(min=1, max={ID_MAX}):stream>/messages"
ONE: Final = f"{CHANNEL}/<int(min=1, max={ID_MAX}):seq>"
NO_CHANNEL: Final = "there is no such channel in this community, or you may not read it"


class Message(Input, frozen=True):
    """Says something. `attachments`: uploads of one's own that are ready."""

    text: Text
    reply_to: Id = 0
    mentions: Users = ()
    attachments: Annotated[tuple[UploadId, ...], Meta(max_length=ATTACHMENTS_MAX)] = ()


class NewText(Input, frozen=True):
    """What a message reads from now on."""

    text: Text


class PageQuery(Struct, frozen=True):
    """Events behind `after`, or (if that is 0) the latest ones before `before`, or the latest of all."""

    after: Id = 0
    before: Seq | None = None
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = 50


class AttachedFile(Struct, frozen=True):
    """A file that came with a message; its bytes: `POST /api/v1/media/links`. `sha256`: hexadecimal."""

    upload: int
    name: str
    media_type: str
    bytes: int
    sha256: str
    width: int
    height: int


class ListedMessage(Struct, frozen=True):
    """A message. `at`: Unix seconds; `deleted`: its text is gone."""

    message: int
    author: int
    at: int
    text: str
    reply_to: int
    mentions: tuple[int, ...]
    edited: bool
    deleted: bool
    attachments: tuple[AttachedFile, ...]


class MessagePage(Struct, frozen=True):
    """Messages by ascending number. All events from `since` to `upto` were looked at; `more`: there are others behind them, or in front of
    them where the latest ones were asked for. `head`: the number of the channel's latest event."""

    messages: tuple[ListedMessage, ...]
    since: int
    upto: int
    head: int
    more: bool


class SaidMessage(Struct, frozen=True):
    """The number of what was said."""

    message: int


def create_messages(services: Services, writing: Writing) -> Blueprint:
    """The routes above."""
    routes = Blueprint("messages", __name__, url_prefix="/api/v1")
    messages = _Messages(services, writing)
    routes.get(CHANNEL)(messages.page)
    routes.post(CHANNEL)(messages.say)
    routes.put(ONE)(messages.edit)
    routes.delete(ONE)(messages.take_back)
    return routes


class _Messages:
    """One method per route."""

    def __init__(self, services: Services, writing: Writing) -> None:
        self._services = services
        self._writing = writing

    @needs(READING)
    @answers("Messages of a channel.", {200: MessagePage, 304: None}, query=PageQuery, fields=(KEPT,), sends=TAGGED, compress=True)
    async def page(self, space: int, stream: int) -> Response:
        services = self._services
        claims = await entered(services, READING, space, ASKED)
        wanted = read_query(PageQuery)
        if wanted.after and wanted.before is not None:
            raise Problem(Code.INVALID, "after or before, not both")
        wait_s = 0.0 if wanted.after else services.quotas.take(Quota.HISTORY, claims.user, network())
        if wait_s > 0.0:
            raise Problem(Code.RATE, "too many pages of earlier messages in a while", retry_after_s=wait_s)
        query: ReadAfter | ReadBefore
        if wanted.after:
            query = ReadAfter(stream, claims.user, wanted.after, wanted.limit, PAGE_BYTES_MAX)
        else:
            query = ReadBefore(stream, claims.user, wanted.before or ID_MAX, wanted.limit, PAGE_BYTES_MAX)
        found = await asked(services, query, Events)
        if found.space != space:
            raise Problem(Code.NOT_FOUND, NO_CHANNEL)
        messages = tuple(message for row in found.rows if (message := _message(row)) is not None)
        since, upto = (found.rows[0].seq, found.rows[-1].seq) if found.rows else (wanted.after, wanted.after)
        return tagged(MessagePage(messages, since, upto, found.head, found.more))

    @needs(WRITING)
    @answers("Says something in a channel.", {201: SaidMessage}, takes=Message, fields=(KEY,), refuses=(409, 410, 422))
    async def say(self, space: int, stream: int) -> Response:
        claims = await self._enter(WRITING, space, stream)
        wanted = await read_json(Message)
        operation = Post(stream, wanted.text, wanted.reply_to, wanted.mentions, wanted.attachments)
        return answer(SaidMessage(await carry_out(self._services, self._writing, claims.user, operation)), 201)

    @needs(WRITING)
    @answers("Changes the text of one's own message.", {204: None}, takes=NewText, fields=(KEY,), refuses=(409, 410, 422))
    async def edit(self, space: int, stream: int, seq: int) -> Response:
        claims = await self._enter(WRITING, space, stream)
        wanted = await read_json(NewText)
        await carry_out(self._services, self._writing, claims.user, Edit(stream, seq, wanted.text))
        return Response(b"", status=204)

    @needs(TAKING_BACK)
    @answers("Takes back a message: one's own, or as a moderator.", {204: None}, fields=(KEY,), refuses=(409, 410, 422))
    async def take_back(self, space: int, stream: int, seq: int) -> Response:
        # Whose message it is knows the journal alone; a key does nothing that its scopes do not say.
        claims = await self._enter(TAKING_BACK if presented_key() is not None else READING, space, stream)
        await carry_out(self._services, self._writing, claims.user, Delete(stream, seq))
        return Response(b"", status=204)

    async def _enter(self, wanted: Needs, space: int, stream: int) -> Claims:
        """Who writes in this channel of this community."""
        claims = await entered(self._services, wanted, space, SAID)
        found = await asked(self._services, ReadAfter(stream, claims.user, 0, 0, 0), Events)
        if found.space != space:
            raise Problem(Code.NOT_FOUND, NO_CHANNEL)
        return claims


def _message(row: Row) -> ListedMessage | None:
    body = decode_body(row.body)
    match body:
        case Said():
            return ListedMessage(row.seq, row.author, row.at, body.text, 0, (), False, False, ())
        case Posted():
            files = tuple(map(_file, body.attachments))
            return ListedMessage(row.seq, row.author, row.at, body.text, body.reply_to, body.mentions, body.edited, False, files)
        case Redacted():
            return ListedMessage(row.seq, row.author, row.at, "", 0, (), False, True, ())
        case _:
            return None


def _file(one: Attachment) -> AttachedFile:
    return AttachedFile(one.id, one.name, one.media_type, one.size, one.hash.hex(), one.width, one.height)
