"""Communities over HTTP, for what stands beside the apps: which there are, who is in them, which channels they have.

    GET    /api/v1/communities                     Bearer                              200 {communities}: one's own
    POST   /api/v1/communities                     {name, open_to_all?}                201 {community}
    GET    /api/v1/communities/<id>                members, API keys that may read     200 Community
    GET    /api/v1/communities/<id>/members        ?after &limit                       200 {members, more}
    POST   /api/v1/communities/<id>/channels       {name, read_roles?, write_roles?}   201 {channel}

What is read again and again has an ETag. Whatever else can be done there is done by the socket, or `POST /api/v1/sync`.

Invariant: each goes the way of its command or operation; what is not found here is not found there.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct
from quart import Blueprint, Response, request

from actors.accounts import Claims
from actors.http_writing import Writing
from actors.limits import Quota
from actors.storage import Denied, ListMembers, ListSpaces, MemberList, Query, SpaceList
from gateway.mailbox import ask
from gateway.openapi_answers import Field, answers, read_query
from gateway.problems import RETRY_S, STATUS, Problem
from gateway.rates import Limit
from gateway.web_api_writing import KEY, carry_out
from gateway.web_entry import enter
from gateway.web_input import Input, network, read_json, take
from gateway.web_keys import role_of
from gateway.web_needs import needs
from gateway.web_queries import Id
from gateway.web_services import Services
from protocol.codes import Code
from protocol.frames import SpaceState
from protocol.operations import CreateChannel, CreateCommunity
from protocol.permissions import OWN, Needs, Permission, in_space, on_platform
from protocol.values import ID_MAX, Name, Role, SpaceKind, StreamKind

R = TypeVar("R")

READING: Final = in_space(Permission.READ)
FOUNDING: Final = on_platform(Permission.CREATE_COMMUNITIES)
OPENING: Final = in_space(Permission.MANAGE_CHANNELS)
ASKED: Final = Limit(burst=60, per_s=2.0)
WRITTEN: Final = Limit(burst=30, per_s=0.5)
MEMBERS_MAX: Final = 200
COMMUNITY: Final = f"/communities/<int(min=1, max={ID_MAX}):space>"
NO_COMMUNITY: Final = "there is no such community, or you are not a member of it"
KEPT: Final = Field("If-None-Match", "The `ETag` of what is kept already.")
TAGGED: Final = {"ETag": "Of this answer."}
_EVERYBODY: Final = tuple(role.name.lower() for role in Role)

RoleNames = Annotated[tuple[str, ...], Meta(min_length=1, max_length=len(Role))]


class NewCommunity(Input, frozen=True):
    """Asks for a community, of which one is the owner."""

    name: Name
    open_to_all: bool = True


class NewChannel(Input, frozen=True):
    """Asks for a channel. Roles: owner, moderator, mentor, learner."""

    name: Name
    read_roles: RoleNames = _EVERYBODY
    write_roles: RoleNames = _EVERYBODY


class Channel(Struct, frozen=True):
    """A channel as whoever asks sees it. `head`: the number of its latest event; `read_upto`: how far one has read."""

    channel: int
    name: str
    head: int
    read_upto: int
    may_write: bool


class Community(Struct, frozen=True):
    """A community as whoever asks sees it; `role`: one's own."""

    community: int
    name: str
    role: str
    channels: tuple[Channel, ...]


class Communities(Struct, frozen=True):
    """One's own."""

    communities: tuple[Community, ...]


class Someone(Struct, frozen=True):
    """A member."""

    user: int
    name: str
    display_name: str
    role: str


class MembersAnswer(Struct, frozen=True):
    """Members, by ascending account. `more`: there are others behind the last one."""

    members: tuple[Someone, ...]
    more: bool


class MemberQuery(Struct, frozen=True):
    """So many members behind an account."""

    after: Id = 0
    limit: Annotated[int, Meta(ge=1, le=MEMBERS_MAX)] = 50


class MadeCommunity(Struct, frozen=True):
    """The number of a community that was founded."""

    community: int


class MadeChannel(Struct, frozen=True):
    """The number of a channel that was opened."""

    channel: int


def create_api(services: Services, writing: Writing) -> Blueprint:
    """The routes above."""
    routes = Blueprint("api", __name__, url_prefix="/api/v1")
    communities = _Communities(services, writing)
    routes.get("/communities")(communities.own)
    routes.post("/communities")(communities.found)
    routes.get(COMMUNITY)(communities.show)
    routes.get(f"{COMMUNITY}/members")(communities.members)
    routes.post(f"{COMMUNITY}/channels")(communities.open)
    return routes


class _Communities:
    """One method per route."""

    def __init__(self, services: Services, writing: Writing) -> None:
        self._services = services
        self._writing = writing

    @needs(OWN)
    @answers(
        "One's communities, with their channels.",
        {200: Communities, 304: None},
        fields=(KEPT,),
        sends=TAGGED,
        refuses=(Code.FORBIDDEN,),  # an API key is nobody's
        compress=True,
    )
    async def own(self) -> Response:
        claims = await entered(self._services, OWN, 0, ASKED)
        return tagged(Communities(tuple(map(_community, await self._spaces(claims.user)))))

    @needs(FOUNDING)
    @answers("Founds a community.", {201: MadeCommunity}, takes=NewCommunity, fields=(KEY,), refuses=(409, 422))
    async def found(self) -> Response:
        claims = await entered(self._services, FOUNDING, 0, WRITTEN)
        wanted = await read_json(NewCommunity)
        operation = CreateCommunity(wanted.name, wanted.open_to_all)
        made = await carry_out(self._services, self._writing, claims.user, operation)
        return answer(MadeCommunity(made), 201)

    @needs(READING)
    @answers("A community, with its channels.", {200: Community, 304: None}, fields=(KEPT,), sends=TAGGED, compress=True)
    async def show(self, space: int) -> Response:
        claims = await entered(self._services, READING, space, ASKED)
        for state in await self._spaces(claims.user):
            if state.space == space:
                return tagged(_community(state))
        raise Problem(Code.NOT_FOUND, NO_COMMUNITY)

    @needs(READING)
    @answers("Who is in a community.", {200: MembersAnswer, 304: None}, query=MemberQuery, fields=(KEPT,), sends=TAGGED, compress=True)
    async def members(self, space: int) -> Response:
        services = self._services
        claims = await entered(services, READING, space, ASKED)
        wanted = read_query(MemberQuery)
        wait_s = services.quotas.take(Quota.MEMBERS, claims.user, network())
        if wait_s > 0.0:
            raise Problem(Code.RATE, "too many pages of members in a while", retry_after_s=wait_s)
        found = await asked(services, ListMembers(space, claims.user, wanted.after, wanted.limit), MemberList)
        people = tuple(Someone(one.user, one.name, one.display_name, one.role.name.lower()) for one in found.members)
        return tagged(MembersAnswer(people, found.more))

    @needs(OPENING)
    @answers("Opens a channel.", {201: MadeChannel}, takes=NewChannel, fields=(KEY,), refuses=(409, 422))
    async def open(self, space: int) -> Response:
        claims = await entered(self._services, OPENING, space, WRITTEN)
        wanted = await read_json(NewChannel)
        operation = CreateChannel(space, wanted.name, _mask(wanted.read_roles), _mask(wanted.write_roles))
        return answer(MadeChannel(await carry_out(self._services, self._writing, claims.user, operation)), 201)

    async def _spaces(self, user: int) -> list[SpaceState]:
        found = await asked(self._services, ListSpaces(user), SpaceList)
        return [state for state in found.spaces if state.kind is SpaceKind.COMMUNITY]


async def entered(services: Services, wanted: Needs, space: int, limit: Limit) -> Claims:
    """Who asks, if they may, counted. Raises `Problem`, `StorageError`."""
    claims = await enter(services, wanted, space)
    await take(services.rates, "api-written" if limit is WRITTEN else "api", claims.user, limit)
    return claims


async def asked(services: Services, query: Query, kind: type[R]) -> R:
    """The store's answer to a question. Raises `Problem`."""
    result = await ask(services.store, query)
    if isinstance(result, kind):
        return result
    assert isinstance(result, Denied), result
    if result.code in (Code.BUSY, Code.UNAVAILABLE) or result.code not in STATUS:
        raise Problem(Code.UNAVAILABLE, "storage is away for the moment; nothing was done", retry_after_s=RETRY_S)
    raise Problem(result.code, result.detail or "there is no such thing here, or you may not read it")


def answer(told: Struct, status: int = 200) -> Response:
    """JSON."""
    return Response(msgspec.json.encode(told), status=status, content_type="application/json")


def tagged(told: Struct) -> Response:
    """JSON that whoever keeps it need not fetch again while it is the same."""
    body = msgspec.json.encode(told)
    # Weak: compressed or not, it says the same.
    etag = f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'
    fields = {"ETag": etag, "Cache-Control": "private, no-cache", "Vary": "Authorization"}
    if etag in (part.strip() for part in request.headers.get("If-None-Match", "").split(",")):
        return Response(b"", status=304, headers=fields)
    return Response(body, headers=fields, content_type="application/json")


def _community(state: SpaceState) -> Community:
    channels = tuple(
        Channel(one.stream, one.name, one.head, one.read_upto, one.may_write) for one in state.streams if one.kind is StreamKind.CHANNEL
    )
    return Community(state.space, state.name, state.role.name.lower(), channels)


def _mask(names: tuple[str, ...]) -> int:
    return sum({int(role_of(name)) for name in names})
