"""Service accounts and API keys over HTTP: how other systems come in.

    GET    /api/v1/communities/<id>/services                      Bearer                            200 {services}
    POST   /api/v1/communities/<id>/services                      {name, display_name?, role?}      201 Service
    DELETE /api/v1/communities/<id>/services/<user>                                                 204
    POST   /api/v1/communities/<id>/services/<user>/keys          {name, scopes, days?}             201 Key, with `key`: shown once
    DELETE /api/v1/communities/<id>/keys/<key>                                                      204
           /api/v1/platform/services…, /api/v1/platform/keys/…    the platform's own, the same
    POST   /api/v1/keys/token                                     Bearer edk_…, {device?, …}        200 a session with an access token

Changing anything wants a fresh proof of who one is, so that a stolen session makes no key that outlives it.

Invariant: a key is in one answer, the one that made it; it is taken from the Authorization field and nowhere else.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from quart import Blueprint, Response

from actors.accounts import DEVICE_NAME_LENGTH_MAX, DISPLAY_NAME_LENGTH_MAX, Declined, NameRefused, normalise_label, normalise_name
from actors.integrations import KEY_DAYS, KEY_DAYS_MAX, KEY_NAME_LENGTH_MAX, KeyInfo, Keys, KeySession, ServiceInfo
from gateway.openapi_answers import answers
from gateway.problems import Problem
from gateway.rates import Limit
from gateway.web_entry import KEY_LENGTH_MAX, enter, presented_key, use_key
from gateway.web_input import Input, caller, read_json, take
from gateway.web_needs import needs
from gateway.web_services import Services
from protocol.codes import Code
from protocol.permissions import ANYONE, Needs, Permission, in_space, mask, on_platform, unmask
from protocol.values import ID_MAX, Role

SEE: Final = in_space(Permission.MANAGE_INTEGRATIONS)
CHANGE: Final = in_space(Permission.MANAGE_INTEGRATIONS, step_up=True)
SEE_PLATFORM: Final = on_platform(Permission.MANAGE_ACCOUNTS)
CHANGE_PLATFORM: Final = on_platform(Permission.MANAGE_ACCOUNTS, step_up=True)
CHANGES: Final = Limit(burst=20, per_s=1 / 10)
EXCHANGES: Final = Limit(burst=10, per_s=1 / 10)
COMMUNITY: Final = f"/communities/<int(min=1, max={ID_MAX}):space>"
ONE: Final = f"<int(min=1, max={ID_MAX}):number>"

Typed = Annotated[str, Meta(max_length=200)]


class NewService(Input, frozen=True):
    """Asks for a service account. `role`: what it is in the community; the platform's have none."""

    name: Typed
    display_name: Typed = ""
    role: str = Role.LEARNER.name.lower()


class WantedKey(Input, frozen=True):
    """Asks for a key. `scopes`: names of permissions; `days`: until it ends."""

    name: Typed
    scopes: Annotated[tuple[str, ...], Meta(min_length=1, max_length=len(Permission))]
    days: Annotated[int, Meta(ge=1, le=KEY_DAYS_MAX)] = KEY_DAYS


class Exchange(Input, frozen=True):
    """Asks for a session. `device`: the one of an answer before, to go on with its session; 0: a new one."""

    device: Annotated[int, Meta(ge=0, le=ID_MAX)] = 0
    device_name: Typed = ""


class Key(msgspec.Struct, frozen=True, omit_defaults=True):
    """A key. Times are Unix seconds, 0 for never; `key` is the whole of it, in the answer that made it only."""

    id: int
    name: str
    prefix: str
    scopes: list[str]
    created_by: int
    created_at: int
    expires_at: int
    last_used_at: int = 0
    revoked_at: int = 0
    key: str = ""


class Service(msgspec.Struct, frozen=True):
    """A service account and its keys."""

    user: int
    name: str
    display_name: str
    created_at: int
    ended: bool
    keys: list[Key]


class ServiceList(msgspec.Struct, frozen=True):
    """The services of a place."""

    services: list[Service]


class Token(msgspec.Struct, frozen=True):
    """A session that a key opened. The access token is good until `expires_at`, and is had anew by asking again with `device`."""

    user: int
    name: str
    display_name: str
    device: int
    session: int
    inbox: int
    access_token: str
    expires_at: int


def create_keys(services: Services, keys: Keys) -> Blueprint:
    """The routes above."""
    routes = Blueprint("keys", __name__, url_prefix="/api/v1")
    of_community, of_platform = OfCommunity(services, keys), OfPlatform(services, keys)
    for prefix, place in ((COMMUNITY, of_community), ("/platform", of_platform)):
        routes.get(f"{prefix}/services", endpoint=f"{place.name}-list")(place.list_services)
        routes.post(f"{prefix}/services", endpoint=f"{place.name}-make")(place.make_service)
        routes.delete(f"{prefix}/services/{ONE}", endpoint=f"{place.name}-end")(place.end_service)
        routes.post(f"{prefix}/services/{ONE}/keys", endpoint=f"{place.name}-key")(place.make_key)
        routes.delete(f"{prefix}/keys/{ONE}", endpoint=f"{place.name}-revoke")(place.revoke_key)
    routes.post("/keys/token")(Exchanging(services, keys).exchange)
    return routes


class OfCommunity:
    """A community's services: one method per route."""

    name = "community"

    def __init__(self, services: Services, keys: Keys) -> None:
        self._place = Place(services, keys, SEE, CHANGE)

    @needs(SEE)
    @answers("The community's service accounts and their keys.", {200: ServiceList})
    async def list_services(self, space: int) -> Response:
        return await self._place.list_services(space)

    @needs(CHANGE)
    @answers("Makes a service account.", {201: Service}, takes=NewService, refuses=(Code.CONFLICT, Code.LIMIT))
    async def make_service(self, space: int) -> Response:
        return await self._place.make_service(space)

    @needs(CHANGE)
    @answers("Ends a service account, with its keys and sessions.", {204: None})
    async def end_service(self, space: int, number: int) -> Response:
        return await self._place.end_service(space, number)

    @needs(CHANGE)
    @answers("Makes a key; the answer has it, once.", {201: Key}, takes=WantedKey, refuses=(Code.LIMIT,))
    async def make_key(self, space: int, number: int) -> Response:
        return await self._place.make_key(space, number)

    @needs(CHANGE)
    @answers("Revokes a key.", {204: None})
    async def revoke_key(self, space: int, number: int) -> Response:
        return await self._place.revoke_key(space, number)


class OfPlatform:
    """The platform's own services: one method per route."""

    name = "platform"

    def __init__(self, services: Services, keys: Keys) -> None:
        self._place = Place(services, keys, SEE_PLATFORM, CHANGE_PLATFORM)

    @needs(SEE_PLATFORM)
    @answers("The platform's service accounts and their keys.", {200: ServiceList})
    async def list_services(self) -> Response:
        return await self._place.list_services(None)

    @needs(CHANGE_PLATFORM)
    @answers("Makes a service account.", {201: Service}, takes=NewService, refuses=(Code.CONFLICT, Code.LIMIT))
    async def make_service(self) -> Response:
        return await self._place.make_service(None)

    @needs(CHANGE_PLATFORM)
    @answers("Ends a service account, with its keys and sessions.", {204: None})
    async def end_service(self, number: int) -> Response:
        return await self._place.end_service(None, number)

    @needs(CHANGE_PLATFORM)
    @answers("Makes a key; the answer has it, once.", {201: Key}, takes=WantedKey, refuses=(Code.LIMIT,))
    async def make_key(self, number: int) -> Response:
        return await self._place.make_key(None, number)

    @needs(CHANGE_PLATFORM)
    @answers("Revokes a key.", {204: None})
    async def revoke_key(self, number: int) -> Response:
        return await self._place.revoke_key(None, number)


class Place:
    """What can be done about services wherever they belong. `space` None: the platform."""

    def __init__(self, services: Services, keys: Keys, see: Needs, change: Needs) -> None:
        self._services = services
        self._keys = keys
        self._see = see
        self._change = change

    async def list_services(self, space: int | None) -> Response:
        await enter(self._services, self._see, space or 0)
        found = await self._keys.list_services(space)
        return _json(ServiceList([_service(one) for one in found]))

    async def make_service(self, space: int | None) -> Response:
        claims = await enter(self._services, self._change, space or 0)
        await take(self._services.rates, "integrations", claims.user, CHANGES)
        wanted = await read_json(NewService)
        try:
            name = normalise_name(wanted.name)
            display_name = normalise_label(wanted.display_name, "display name", DISPLAY_NAME_LENGTH_MAX) or name
        except NameRefused as error:
            raise Problem(Code.INVALID, str(error)) from None
        role = role_of(wanted.role)
        return _json(_service(_must(await self._keys.make_service(claims, space, name, display_name, role, caller()))), 201)

    async def end_service(self, space: int | None, service: int) -> Response:
        claims = await enter(self._services, self._change, space or 0)
        return _done(await self._keys.end_service(claims, space, service, caller()))

    async def make_key(self, space: int | None, service: int) -> Response:
        claims = await enter(self._services, self._change, space or 0)
        await take(self._services.rates, "integrations", claims.user, CHANGES)
        wanted = await read_json(WantedKey)
        try:
            name = normalise_label(wanted.name, "name", KEY_NAME_LENGTH_MAX)
        except NameRefused as error:
            raise Problem(Code.INVALID, str(error)) from None
        if not name:
            raise Problem(Code.INVALID, "the name is empty; it is how people tell keys apart")
        made = _must(await self._keys.make_key(claims, space, service, name, scopes_of(wanted.scopes), wanted.days, caller()))
        return _json(_key(made.info, made.secret), 201)

    async def revoke_key(self, space: int | None, key: int) -> Response:
        claims = await enter(self._services, self._change, space or 0)
        return _done(await self._keys.revoke_key(claims, space, key, caller()))


class Exchanging:
    """The way to a socket."""

    def __init__(self, services: Services, keys: Keys) -> None:
        self._services = services
        self._keys = keys

    @needs(ANYONE)
    @answers(
        "Opens a session for an API key, for the socket.",
        {200: Token},
        takes=Exchange,
        refuses=(Code.UNAUTHENTICATED, Code.FORBIDDEN, Code.NOT_FOUND, Code.LIMIT),
    )
    async def exchange(self) -> Response:
        services = self._services
        text = presented_key()
        if text is None or len(text) > KEY_LENGTH_MAX:
            raise Problem(Code.UNAUTHENTICATED, "an API key is needed: Authorization: Bearer edk_…")
        key = await use_key(services, text)
        await take(services.rates, "key-exchange", key.id, EXCHANGES)
        wanted = await read_json(Exchange)
        try:
            device_name = normalise_label(wanted.device_name, "device name", DEVICE_NAME_LENGTH_MAX)
        except NameRefused as error:
            raise Problem(Code.INVALID, str(error)) from None
        opened: KeySession = _must(await self._keys.exchange(text, wanted.device, device_name, caller()))
        token, expires_at = services.tokens.issue(opened.user, opened.device, opened.session, services.wall(), opened.expires_at)
        return _json(Token(opened.user, opened.name, opened.display_name, opened.device, opened.session, opened.inbox, token, expires_at))


def role_of(name: str) -> Role:
    """The base role of this name. Raises `Problem`."""
    for role in Role:
        if role.name.lower() == name:
            return role
    raise Problem(Code.INVALID, f"role: there is none of this name; allowed: {', '.join(role.name.lower() for role in Role)}")


def scopes_of(names: tuple[str, ...]) -> int:
    """The sum of the named permissions. Raises `Problem`."""
    known = {permission.name.lower(): permission for permission in Permission}
    if not set(names) <= set(known):
        raise Problem(Code.INVALID, f"scopes: not all of these are permissions; there are: {', '.join(known)}")
    return mask(known[name] for name in names)


def _must(answer: Any) -> Any:
    if isinstance(answer, Declined):
        raise Problem(answer.code, answer.detail)
    return answer


def _done(declined: Declined | None) -> Response:
    _must(declined)
    return Response(b"", status=204)


def _json(answer: msgspec.Struct, status: int = 200) -> Response:
    return Response(msgspec.json.encode(answer), status=status, content_type="application/json")


def _service(info: ServiceInfo) -> Service:
    return Service(info.user, info.name, info.display_name, info.created_at, info.ended, [_key(key) for key in info.keys])


def _key(info: KeyInfo, secret: str = "") -> Key:
    scopes = sorted(permission.name.lower() for permission in unmask(info.scopes))
    return Key(
        info.id,
        info.name,
        info.prefix,
        scopes,
        info.created_by,
        info.created_at,
        info.expires_at,
        info.last_used_at,
        info.revoked_at,
        secret,
    )
