"""Files of lessons: who writes content puts uploads of their own into the library, who reads it reads them by links.

    PUT    /api/v1/communities/<id>/library/<upload>    who writes content             204: again is the same
    DELETE /api/v1/communities/<id>/library/<upload>    who writes content             204
    POST   /api/v1/communities/<id>/library/links       members {uploads}              200 {until, files}

A section of a lesson names its files (`CONTENT.files`, docs/entities.md). What is behind a link is as with a message's.

Invariant: nobody is told of a file that is in no library which they may read.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta
from quart import Blueprint, Response

from actors.uploads import Refused, ShelfFile
from gateway.openapi_answers import answers
from gateway.problems import Problem
from gateway.rates import Limit
from gateway.web_entry import enter
from gateway.web_input import Input, read_json, take
from gateway.web_needs import needs
from gateway.web_services import Services
from gateway.web_uploads import problem
from gateway.web_uploads_links import Files
from gateway.web_uploads_media import Linked
from protocol.codes import Code
from protocol.permissions import Permission, in_space
from protocol.values import ID_MAX

WRITING: Final = in_space(Permission.WRITE_CONTENT)
READING: Final = in_space(Permission.READ)
CHANGED: Final = Limit(burst=120, per_s=1.0)
ASKED: Final = Limit(burst=120, per_s=2.0)
FILES_MAX: Final = 100
LIBRARY: Final = f"/api/v1/communities/<int(min=1, max={ID_MAX}):space>/library"
ONE: Final = f"{LIBRARY}/<int(min=1, max={ID_MAX}):upload>"


class WantedFiles(Input, frozen=True):
    """Files of a library that are to be read."""

    uploads: Annotated[tuple[Annotated[int, Meta(ge=1, le=ID_MAX)], ...], Meta(min_length=1, max_length=FILES_MAX)]


class LibraryFile(msgspec.Struct, frozen=True):
    """A file of a lesson. Without renditions: they are being made, or it cannot be shown. `placeholder` as in docs/uploads.md, in
    hexadecimal; `width` and `height` of a picture in pixels, otherwise 0."""

    upload: int
    name: str
    media_type: str
    width: int
    height: int
    placeholder: str
    renditions: tuple[Linked, ...]


class LibraryFiles(msgspec.Struct, frozen=True):
    """By ascending upload; of what is not there, or one may not read, nothing is said. `until`: Unix seconds."""

    until: int
    files: tuple[LibraryFile, ...]


def create_library(services: Services, files: Files) -> Blueprint:
    """The routes above."""
    routes = Blueprint("library", __name__)
    library = _Library(services, files)
    routes.put(ONE)(library.put)
    routes.delete(ONE)(library.take_out)
    routes.post(f"{LIBRARY}/links")(library.links)
    return routes


class _Library:
    """One method per route."""

    def __init__(self, services: Services, files: Files) -> None:
        self._services = services
        self._files = files

    @needs(WRITING)
    @answers("Puts an upload of one's own into a community's library.", {204: None}, refuses=(Code.CONFLICT, Code.LIMIT))
    async def put(self, space: int, upload: int) -> Response:
        claims = await enter(self._services, WRITING, space)
        await take(self._services.rates, "library", claims.user, CHANGED)
        try:
            await self._files.uploads.shelve(claims.user, upload, space)
        except Refused as refused:
            raise problem(refused) from None
        return Response(b"", status=204)

    @needs(WRITING)
    @answers("Takes a file out of a community's library; its bytes go.", {204: None})
    async def take_out(self, space: int, upload: int) -> Response:
        claims = await enter(self._services, WRITING, space)
        await take(self._services.rates, "library", claims.user, CHANGED)
        if not await self._files.uploads.unshelve(claims.user, upload, space):
            raise Problem(Code.NOT_FOUND, "there is no such file in this library")
        return Response(b"", status=204)

    @needs(READING)
    @answers("Links to files of a library, good for some minutes.", {200: LibraryFiles}, takes=WantedFiles)
    async def links(self, space: int) -> Response:
        claims = await enter(self._services, READING, space)
        await take(self._services.rates, "media-links", claims.user, ASKED)
        wanted = await read_json(WantedFiles)
        found = await self._files.uploads.shelf(claims.user, space, wanted.uploads)
        until = self._files.links.until(self._services.wall())
        answer = LibraryFiles(until, tuple(self._linked(one, until) for one in found))
        return Response(msgspec.json.encode(answer), content_type="application/json")

    def _linked(self, file: ShelfFile, until: int) -> LibraryFile:
        sign = self._files.links.sign
        linked = tuple(
            Linked(one.name, one.media_type, one.bytes, one.width, one.height, sign(file.sha256, one.name, file.upload, until))
            for one in file.renditions
        )
        return LibraryFile(file.upload, file.name, file.media_type, file.width, file.height, file.placeholder, linked)
