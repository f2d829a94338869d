"""Reading what came with messages: links for who may read them now, and the bytes behind a link.

    POST /api/v1/media/links            Bearer {stream, messages}     200 {until, files}: each with its renditions and their links
    GET  /media/<hash>/<rendition>      ?of &until &sig               200, 206, 304, 416

Of a picture others get what was made of it (WebP and AVIF, 160 to 1280 wide), never the bytes that were uploaded; anything else is offered
as a download. Which width is fetched is the client's choice, by its screen and its link; in text mode none.

Invariant: a browser never takes a file for a page of ours: its type is the server's word, it is not sniffed, and it runs in a sandbox
without an origin.
"""

from __future__ import annotations

import re
from types import TracebackType
from typing import Annotated, Final
from urllib.parse import quote

import msgspec
from msgspec import Meta
from quart import Blueprint, Response, request
from quart.wrappers.response import ResponseBody

from actors.uploads import Readable, Rendition
from gateway.openapi_answers import Field, Media, answers
from gateway.problems import Problem
from gateway.rates import Limit
from gateway.web_input import Input, admit, network, read_json, take
from gateway.web_needs import needs
from gateway.web_services import Services
from gateway.web_uploads_links import Files
from protocol.codes import Code
from protocol.permissions import ANYONE, OWN
from protocol.values import ID_MAX

ASKED: Final = Limit(burst=120, per_s=2.0)
FETCHED: Final = Limit(burst=1200, per_s=40.0)
"""From one address: a school's whole class that opens a channel with pictures."""
MESSAGES_MAX: Final = 50
ANSWER_S: Final = 1800.0
"""The most that sending one file may take; a client that stands still is cut off long before."""
SANDBOX: Final = "default-src 'none'; sandbox; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_RANGE: Final = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_RENDITION: Final = re.compile(r"original|[0-9]{2,5}\.(?:webp|avif)")
_NO_LINK: Final = "this link is not good, its time is over, or what it led to is gone; ask for another one"


class WantedLinks(Input, frozen=True):
    """Messages of one stream whose files are to be read."""

    stream: Annotated[int, Meta(ge=1, le=ID_MAX)]
    messages: Annotated[tuple[Annotated[int, Meta(ge=1, le=ID_MAX)], ...], Meta(min_length=1, max_length=MESSAGES_MAX)]


class SignedLink(msgspec.Struct, frozen=True):
    """What makes a link good: the upload, until when (Unix seconds), and the signature over both and the path."""

    of: int
    until: int
    sig: str


class Linked(msgspec.Struct, frozen=True):
    """A rendition, and where it is until the answer's `until`."""

    name: str
    media_type: str
    bytes: int
    width: int
    height: int
    url: str


class LinkedFile(msgspec.Struct, frozen=True):
    """A file of a message. Without renditions: they are being made, or it cannot be shown."""

    message: int
    upload: int
    name: str
    renditions: tuple[Linked, ...]


class MediaAnswer(msgspec.Struct, frozen=True):
    """Files of the messages that were asked for, in their order; of what one may not read nothing is said. `until`: Unix seconds."""

    until: int
    files: tuple[LinkedFile, ...]


def create_media(services: Services, files: Files) -> Blueprint:
    """The routes above."""
    routes = Blueprint("media", __name__)
    media = _Media(services, files)
    routes.post("/api/v1/media/links")(media.links)
    routes.get("/media/<digits>/<rendition>")(media.read)
    return routes


class _Media:
    """One method per route."""

    def __init__(self, services: Services, files: Files) -> None:
        self._services = services
        self._files = files

    @needs(OWN)
    @answers("Links to the files of messages, good for some minutes.", {200: MediaAnswer}, takes=WantedLinks)
    async def links(self) -> Response:
        services = self._services
        claims = await admit(services.tokens, services.sessions, services.wall())
        await take(services.rates, "media-links", claims.user, ASKED)
        wanted = await read_json(WantedLinks)
        found = await self._files.uploads.readable(claims.user, wanted.stream, wanted.messages)
        until = self._files.links.until(services.wall())
        answer = MediaAnswer(until, tuple(self._linked(file, until) for file in found))
        return Response(msgspec.json.encode(answer), content_type="application/json")

    def _linked(self, file: Readable, until: int) -> LinkedFile:
        links = self._files.links
        return LinkedFile(
            file.seq,
            file.upload,
            file.name,
            tuple(
                Linked(one.name, one.media_type, one.bytes, one.width, one.height, links.sign(file.sha256, one.name, file.upload, until))
                for one in file.renditions
            ),
        )

    @needs(ANYONE)
    @answers(
        "The bytes behind a link.",
        {200: Media("application/octet-stream"), 206: Media("application/octet-stream"), 304: None},
        query=SignedLink,
        fields=(
            Field("Range", "Which bytes: one range."),
            Field("If-None-Match", "What is kept already."),
            Field("If-Range", "As in HTTP."),
        ),
        sends={"ETag": "Of these bytes.", "Content-Disposition": "What it is called."},
        refuses=(416, 429),
    )
    async def read(self, digits: str, rendition: str) -> Response:
        """The link is the right to it."""
        services, files = self._services, self._files
        await take(services.rates, "media-address", network(), FETCHED)
        upload, until = _number("of"), _number("until")
        if not (_HASH.fullmatch(digits) and _RENDITION.fullmatch(rendition)):
            raise Problem(Code.NOT_FOUND, _NO_LINK)
        sha256 = bytes.fromhex(digits)
        if not files.links.verify(sha256, rendition, upload, until, request.args.get("sig", ""), services.wall()):
            raise Problem(Code.NOT_FOUND, _NO_LINK)
        found = await files.uploads.find_object(sha256, rendition, upload)
        if found is None:
            raise Problem(Code.NOT_FOUND, _NO_LINK)
        kept, name = found
        fields = _fields(kept, name, f'"{digits}-{rendition}"')
        if fields["ETag"] in (part.strip() for part in request.headers.get("If-None-Match", "").split(",")):
            return Response(b"", status=304, headers=fields)
        start, end, status = 0, kept.bytes, 200
        asked = _RANGE.fullmatch(request.headers.get("Range", "").strip())
        if asked is not None and request.headers.get("If-Range", fields["ETag"]) == fields["ETag"]:
            start, end, status = _part(asked, kept.bytes), _end(asked, kept.bytes), 206
            if start >= end:
                raise Problem(
                    Code.INVALID, "no byte of it is in this range", status=416, headers={"Content-Range": f"bytes */{kept.bytes}"}
                )
            fields["Content-Range"] = f"bytes {start}-{end - 1}/{kept.bytes}"
        body = b"" if request.method == "HEAD" else _Sent(files, sha256, rendition, start, end)
        response = Response(body, status=status, headers=fields)
        response.headers["Content-Length"] = str(end - start)
        response.timeout = ANSWER_S
        return response


class _Sent(ResponseBody):
    """A file's bytes as the client takes them: the next part is read when the last one has gone."""

    def __init__(self, files: Files, sha256: bytes, rendition: str, start: int, end: int) -> None:
        self._uploads = files.uploads
        self._what = (sha256, rendition)
        self._at, self._end = start, end

    async def __aenter__(self) -> _Sent:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Nothing is open between two parts."""

    def __aiter__(self) -> _Sent:
        return self

    async def __anext__(self) -> bytes:
        if self._at >= self._end:
            raise StopAsyncIteration
        part = await self._uploads.read(*self._what, self._at, self._end)
        self._at += len(part)
        return part


def _fields(kept: Rendition, name: str, etag: str) -> dict[str, str]:
    shown = kept.name != "original"
    stem = name.rpartition(".")[0] or name or "file"
    called = f"{stem}.{kept.name.rpartition('.')[2]}" if shown else name or "file"
    plain = re.sub(r'[^ -~]|["\\%]', "_", called)
    return {
        "Content-Type": kept.media_type + ("; charset=utf-8" if kept.media_type == "text/plain" else ""),
        "Content-Disposition": f"{'inline' if shown else 'attachment'}; filename=\"{plain}\"; filename*=UTF-8''{quote(called, safe='')}",
        # What a hash names never changes; `private`: the link was made for one person.
        "Cache-Control": "private, max-age=31536000, immutable",
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Content-Security-Policy": SANDBOX,
    }


def _part(asked: re.Match[str], size: int) -> int:
    first, last = asked.groups()
    if first:
        return int(first)
    return max(0, size - int(last)) if last else size


def _end(asked: re.Match[str], size: int) -> int:
    first, last = asked.groups()
    return min(size, int(last) + 1) if first and last else size


def _number(name: str) -> int:
    text = request.args.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 16 else 0
