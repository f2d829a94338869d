"""Notices over HTTP: the list, how they come, reminders, and the devices that are pushed to.

    GET    /api/v1/notices                 Bearer ?before &limit     200 {notices}, the newest first
    POST   /api/v1/notices/read            Bearer {notices}          204; the other devices hear of it through the inbox
    GET    /api/v1/notices/preferences     Bearer                    200 Preferred: with what holds by default
    PUT    /api/v1/notices/preferences     Bearer Preferences        204
    GET    /api/v1/notices/reminders       Bearer                    200 {reminders}
    POST   /api/v1/notices/reminders       Bearer {at, stream?, seq?, words?}   201 {id}
    DELETE /api/v1/notices/reminders/<id>  Bearer                    204
    GET    /api/v1/push                    Bearer                    200 {services, vapid_key, subscriptions}
    POST   /api/v1/push                    Bearer {service, address, p256dh?, auth?}   201 {id}
    DELETE /api/v1/push/<id>               Bearer                    204

The notices themselves come over the socket, as events of the inbox, and `MarkRead` of it says that all up to one are read; here single ones
are. The rest is for whoever has no socket, and for settings.

Invariant: every answer is about the person whose token it is; an address is never given out again.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct
from quart import Blueprint, Response

from actors.accounts import Claims
from actors.notices import REMINDERS_MAX, Listed, Preferences, Preferred, Reminder, with_defaults
from actors.push import ADDRESS_LENGTH_MAX, SUBSCRIPTIONS_MAX, Service, Subscribed, Subscription
from gateway.openapi_answers import answers, read_query
from gateway.problems import Problem
from gateway.push import apns, fcm
from gateway.push.web_push import SubscriptionRefused, check_keys, read_endpoint
from gateway.rates import Limit
from gateway.telling import Telling
from gateway.web_input import Input, admit, read_json, take
from gateway.web_needs import needs
from gateway.web_services import Services
from gateway.webhooks.destination import DestinationRefused
from protocol.codes import Code
from protocol.events import NOTICES_READ_MAX
from protocol.permissions import OWN
from protocol.values import ID_MAX, Seq

LIST_MAX: Final = 100
AHEAD_MAX_S: Final = 2 * 365 * 24 * 3600
ASKED: Final = Limit(burst=60, per_s=1.0)
CHANGED: Final = Limit(burst=20, per_s=0.2)
ID: Final = f"<int(min=1, max={ID_MAX}):id>"

Id = Annotated[int, Meta(ge=0, le=ID_MAX)]
_NAMES: Final = {"web": Service.WEB, "fcm": Service.FCM, "apns": Service.APNS}


class Seen(Input, frozen=True):
    """Says which notices were read, by their numbers."""

    notices: Annotated[tuple[Seq, ...], Meta(min_length=1, max_length=NOTICES_READ_MAX)]


class Wish(Input, frozen=True):
    """Asks to be reminded. `at`: Unix seconds."""

    at: Annotated[int, Meta(ge=1, le=2**40)]
    stream: Id = 0
    seq: Id = 0
    words: Annotated[str, Meta(max_length=200)] = ""


class Here(Input, frozen=True):
    """Where this device is pushed to. `address`: an endpoint (`web`) or a token; the keys of web push in base64url."""

    service: str
    address: Annotated[str, Meta(min_length=1, max_length=ADDRESS_LENGTH_MAX)]
    p256dh: Annotated[str, Meta(max_length=120)] = ""
    auth: Annotated[str, Meta(max_length=40)] = ""


class Before(Struct, frozen=True):
    """Which notices: so many before one of them, or from the newest."""

    before: Seq | None = None
    limit: Annotated[int, Meta(ge=1, le=LIST_MAX)] = 50


class ListAnswer(Struct, frozen=True):
    """Notices, the newest first."""

    notices: tuple[Listed, ...]


class ReminderAnswer(Struct, frozen=True):
    """What one is to be reminded of."""

    reminders: tuple[Reminder, ...]


class PushAnswer(Struct, frozen=True):
    """`services`: those that are set up; `vapid_key`: what a browser subscribes with."""

    services: tuple[str, ...]
    vapid_key: str
    subscriptions: tuple[Subscribed, ...]


class Made(Struct, frozen=True):
    """The number of what was made."""

    id: int


def create_notices(services: Services, telling: Telling) -> Blueprint:
    """The routes above."""
    routes = Blueprint("notices", __name__, url_prefix="/api/v1")
    notices = Notices(services, telling)
    routes.get("/notices")(notices.list_notices)
    routes.post("/notices/read")(notices.read)
    routes.get("/notices/preferences")(notices.preferences)
    routes.put("/notices/preferences")(notices.prefer)
    routes.get("/notices/reminders")(notices.reminders)
    routes.post("/notices/reminders")(notices.remind)
    routes.delete(f"/notices/reminders/{ID}")(notices.forget_reminder)
    routes.get("/push")(notices.subscriptions)
    routes.post("/push")(notices.subscribe)
    routes.delete(f"/push/{ID}")(notices.unsubscribe)
    return routes


class Notices:
    """One method per route."""

    def __init__(self, services: Services, telling: Telling) -> None:
        self._services = services
        self._telling = telling

    @needs(OWN)
    @answers("One's notices, the newest first.", {200: ListAnswer}, query=Before, compress=True)
    async def list_notices(self) -> Response:
        claims = await self._admit(ASKED)
        wanted = read_query(Before)
        return _json(ListAnswer(await self._telling.notices.list_notices(claims.user, wanted.before or 0, wanted.limit)))

    @needs(OWN)
    @answers("Says which notices were read.", {204: None}, takes=Seen)
    async def read(self) -> Response:
        claims = await self._admit(CHANGED)
        seen = await read_json(Seen)
        await self._telling.notices.read(claims.user, seen.notices)
        return Response(status=204)

    @needs(OWN)
    @answers("How one wants to be told.", {200: Preferred})
    async def preferences(self) -> Response:
        claims = await self._admit(ASKED)
        return _json(with_defaults(await self._telling.notices.preferences(claims.user)))

    @needs(OWN)
    @answers("Says how one wants to be told.", {204: None}, takes=Preferences)
    async def prefer(self) -> Response:
        claims = await self._admit(CHANGED)
        await self._telling.notices.prefer(claims.user, await read_json(Preferences))
        return Response(status=204)

    @needs(OWN)
    @answers("One's reminders.", {200: ReminderAnswer})
    async def reminders(self) -> Response:
        claims = await self._admit(ASKED)
        return _json(ReminderAnswer(await self._telling.notices.reminders(claims.user)))

    @needs(OWN)
    @answers("Makes a reminder.", {201: Made}, takes=Wish, refuses=(Code.LIMIT,))
    async def remind(self) -> Response:
        claims = await self._admit(CHANGED)
        wish = await read_json(Wish)
        if not 0 < wish.at - self._services.wall() <= AHEAD_MAX_S:
            raise Problem(Code.INVALID, f"at: a time to come, within {AHEAD_MAX_S} s")
        if not wish.stream and not wish.words.strip():
            raise Problem(Code.INVALID, "words, or a stream: a reminder of nothing says nothing")
        if "\0" in wish.words:
            raise Problem(Code.INVALID, "words: text without U+0000")
        id = await self._telling.notices.remind(claims.user, Reminder(0, wish.at, wish.stream, wish.seq, wish.words))
        if not id:
            raise Problem(Code.LIMIT, f"one has at most {REMINDERS_MAX} reminders, and of streams that one may read")
        return _json(Made(id), 201)

    @needs(OWN)
    @answers("Takes a reminder back.", {204: None})
    async def forget_reminder(self, id: int) -> Response:
        claims = await self._admit(CHANGED)
        if not await self._telling.notices.forget_reminder(claims.user, id):
            raise Problem(Code.NOT_FOUND, "there is no such reminder")
        return Response(status=204)

    @needs(OWN)
    @answers("Where one's devices are pushed to.", {200: PushAnswer})
    async def subscriptions(self) -> Response:
        claims = await self._admit(ASKED)
        telling = self._telling
        names = tuple(name for name, service in _NAMES.items() if service in telling.services)
        return _json(PushAnswer(names, telling.vapid_public, await telling.subscriptions.subscriptions(claims.user)))

    @needs(OWN)
    @answers("Says where this device is pushed to.", {201: Made}, takes=Here, refuses=(Code.LIMIT,))
    async def subscribe(self) -> Response:
        claims = await self._admit(CHANGED)
        subscription = self._read(await read_json(Here))
        return _json(Made(await self._telling.subscriptions.subscribe(claims.user, claims.device, subscription)), 201)

    @needs(OWN)
    @answers("Pushes to a device no more.", {204: None})
    async def unsubscribe(self, id: int) -> Response:
        claims = await self._admit(CHANGED)
        if not await self._telling.subscriptions.unsubscribe(claims.user, id):
            raise Problem(Code.NOT_FOUND, f"there is no such subscription; one has at most {SUBSCRIPTIONS_MAX}")
        return Response(status=204)

    def _read(self, here: Here) -> Subscription:
        service = _NAMES.get(here.service)
        if service is None or service not in self._telling.services:
            offered = ", ".join(name for name, known in _NAMES.items() if known in self._telling.services) or "none"
            raise Problem(Code.INVALID, f"service: one of those that are set up here: {offered}")
        if service is Service.WEB:
            try:
                read_endpoint(here.address, loopback_allowed=self._telling.loopback_allowed)
                subscription = Subscription(service, here.address, _bytes(here.p256dh), _bytes(here.auth))
                check_keys(subscription.p256dh, subscription.auth)
            except (DestinationRefused, SubscriptionRefused) as error:
                raise Problem(Code.INVALID, f"this is no subscription: {error}") from None
            return subscription
        good = fcm.check_token(here.address) if service is Service.FCM else apns.check_token(here.address)
        if not good or here.p256dh or here.auth:
            raise Problem(Code.INVALID, "address: a token as the service gives it to the app, and no keys")
        return Subscription(service, here.address)

    async def _admit(self, limit: Limit) -> Claims:
        services = self._services
        claims = await admit(services.tokens, services.sessions, services.wall())
        await take(services.rates, "notices" if limit is ASKED else "notices-change", claims.user, limit)
        return claims


def _bytes(text: str) -> bytes:
    """base64url, with or without its padding. Raises `SubscriptionRefused`."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise SubscriptionRefused("p256dh, auth: base64url") from None


def _json(answer: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(answer), status=status, content_type="application/json")
