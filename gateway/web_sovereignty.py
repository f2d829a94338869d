"""Whose data it is, over HTTP: take an archive away, set how long messages are kept, erase.

    POST   /api/v1/communities/<id>/archive      asks for one                                  202 Archive
    GET    /api/v1/communities/<id>/archive      how far it is                                 200 Archive, 404
    GET    /api/v1/communities/<id>/archive/<n>  a part of it, from 0                          200 bytes, 404 behind the last
    PUT    /api/v1/communities/<id>/retention    {days}                                        204
    POST   /api/v1/communities/<id>/erase        {name}: as it is called, against slips        202
           /api/v1/account/archive, …/archive/<n>                    the same of oneself
    POST   /api/v1/account/erase                 {name}: one's own log-in name                 202

Asking, setting and erasing want a fresh proof of who one is. An archive comes in parts of 256 KiB, so that a bad link loses one at most;
their SHA-256 together is that of the answer.

Invariant: an archive is read by the account that asked for it, whose permission is asked anew for every part.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta
from quart import Blueprint, Response

from actors.sovereignty import Archive, Kind, Sovereignty
from gateway.openapi_answers import Media, answers
from gateway.problems import Problem
from gateway.rates import Limit
from gateway.web_entry import enter
from gateway.web_input import Input, read_json, take
from gateway.web_needs import needs
from gateway.web_services import Services
from protocol.codes import Code
from protocol.permissions import Permission, in_space, own
from protocol.values import ID_MAX

EXPORT: Final = in_space(Permission.EXPORT_SPACE, step_up=True)
FETCH: Final = in_space(Permission.EXPORT_SPACE)
KEEP: Final = in_space(Permission.MANAGE_SPACE, step_up=True)
ERASE: Final = in_space(Permission.ERASE_SPACE, step_up=True)
OWN_PROVEN: Final = own(step_up=True)
OWN_FETCH: Final = own()
ORDERS: Final = Limit(burst=5, per_s=1 / 3600)
PARTS: Final = Limit(burst=200, per_s=20.0)
DAYS_MAX: Final = 36_500
COMMUNITY: Final = f"/communities/<int(min=1, max={ID_MAX}):space>"
PART: Final = "<int(min=0, max=1000000):part>"


class Retention(Input, frozen=True):
    """How many days messages are kept; null: for ever."""

    days: Annotated[int, Meta(ge=1, le=DAYS_MAX)] | None


class Erase(Input, frozen=True):
    """What is to be erased is named once more: there is no way back."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]


def create_sovereignty(services: Services, sovereignty: Sovereignty) -> Blueprint:
    """The routes above."""
    routes = Blueprint("sovereignty", __name__, url_prefix="/api/v1")
    owning = Owning(services, sovereignty)
    routes.post(f"{COMMUNITY}/archive")(owning.order)
    routes.get(f"{COMMUNITY}/archive")(owning.find)
    routes.get(f"{COMMUNITY}/archive/{PART}")(owning.fetch)
    routes.put(f"{COMMUNITY}/retention")(owning.keep)
    routes.post(f"{COMMUNITY}/erase")(owning.erase)
    routes.post("/account/archive")(owning.order_own)
    routes.get("/account/archive")(owning.find_own)
    routes.get(f"/account/archive/{PART}")(owning.fetch_own)
    routes.post("/account/erase")(owning.erase_own)
    return routes


class Owning:
    """One method per route."""

    def __init__(self, services: Services, sovereignty: Sovereignty) -> None:
        self._services = services
        self._sovereignty = sovereignty

    @needs(EXPORT)
    @answers("Asks for an archive of a community.", {202: Archive})
    async def order(self, space: int) -> Response:
        claims = await enter(self._services, EXPORT, space)
        return await self._order(Kind.COMMUNITY, space, claims.user)

    @needs(FETCH)
    @answers("How far an archive is.", {200: Archive})
    async def find(self, space: int) -> Response:
        claims = await enter(self._services, FETCH, space)
        return _tell(await self._found(Kind.COMMUNITY, space, claims.user))

    @needs(FETCH)
    @answers("A part of an archive, from 0.", {200: Media("application/octet-stream")})
    async def fetch(self, space: int, part: int) -> Response:
        claims = await enter(self._services, FETCH, space)
        return await self._fetch(Kind.COMMUNITY, space, claims.user, part)

    @needs(KEEP)
    @answers("Sets how long a community's messages are kept.", {204: None}, takes=Retention)
    async def keep(self, space: int) -> Response:
        claims = await enter(self._services, KEEP, space)
        wanted = await read_json(Retention)
        await take(self._services.rates, "retention", claims.user, ORDERS)
        if not await self._sovereignty.keep_for(space, wanted.days, claims.user):
            raise Problem(Code.NOT_FOUND, "there is no such community, or you are not a member of it")
        return Response(b"", status=204)

    @needs(ERASE)
    @answers("Erases a community. There is no way back.", {202: None}, takes=Erase)
    async def erase(self, space: int) -> Response:
        claims = await enter(self._services, ERASE, space)
        wanted = await read_json(Erase)
        if wanted.name != await self._sovereignty.name_of(Kind.COMMUNITY, space):
            raise Problem(Code.INVALID, "name: that is not what this community is called; nothing was erased")
        if not await self._sovereignty.erase(Kind.COMMUNITY, space, claims.user):
            raise Problem(Code.NOT_FOUND, "there is no such community, or you are not a member of it")
        return Response(b"", status=202)

    @needs(OWN_PROVEN)
    @answers("Asks for an archive of oneself.", {202: Archive})
    async def order_own(self) -> Response:
        claims = await enter(self._services, OWN_PROVEN)
        return await self._order(Kind.PERSON, claims.user, claims.user)

    @needs(OWN_FETCH)
    @answers("How far one's own archive is.", {200: Archive}, refuses=(Code.FORBIDDEN, Code.NOT_FOUND))
    async def find_own(self) -> Response:
        claims = await enter(self._services, OWN_FETCH)
        return _tell(await self._found(Kind.PERSON, claims.user, claims.user))

    @needs(OWN_FETCH)
    @answers("A part of one's own archive, from 0.", {200: Media("application/octet-stream")}, refuses=(Code.FORBIDDEN,))
    async def fetch_own(self, part: int) -> Response:
        claims = await enter(self._services, OWN_FETCH)
        return await self._fetch(Kind.PERSON, claims.user, claims.user, part)

    @needs(OWN_PROVEN)
    @answers("Erases the account that asks. There is no way back.", {202: None}, takes=Erase)
    async def erase_own(self) -> Response:
        claims = await enter(self._services, OWN_PROVEN)
        wanted = await read_json(Erase)
        name = await self._sovereignty.name_of(Kind.PERSON, claims.user)
        if name is None or wanted.name.casefold() != name.casefold():
            raise Problem(Code.INVALID, "name: that is not the name that you log in with; nothing was erased")
        await self._sovereignty.erase(Kind.PERSON, claims.user, claims.user)
        return Response(b"", status=202)

    async def _order(self, kind: Kind, subject: int, user: int) -> Response:
        await take(self._services.rates, "archive", user, ORDERS)
        return _tell(await self._sovereignty.order(kind, subject, user), 202)

    async def _found(self, kind: Kind, subject: int, user: int) -> Archive:
        await take(self._services.rates, "archive-part", user, PARTS)
        archive = await self._sovereignty.find(kind, subject, user)
        if archive is None:
            raise Problem(Code.NOT_FOUND, "you have asked for no archive of this, or its week is over; ask for one by POST")
        return archive

    async def _fetch(self, kind: Kind, subject: int, user: int, part: int) -> Response:
        archive = await self._found(kind, subject, user)
        if not archive.ready:
            raise Problem(Code.UNAVAILABLE, archive.error or "the archive is being made", retry_after_s=10)
        raw = await self._sovereignty.read(archive.id, part)
        if raw is None:
            raise Problem(Code.NOT_FOUND, f"there is no part {part}: the archive has {archive.bytes} bytes")
        return Response(raw, content_type="application/octet-stream")


def _tell(archive: Archive, status: int = 200) -> Response:
    return Response(msgspec.json.encode(archive), status=status, content_type="application/json")
