"""Webhooks over HTTP: who is told what of a community, how that goes, and how it is set right.

    GET    /api/v1/communities/<id>/webhooks                                                     200 {webhooks}
    POST   /api/v1/communities/<id>/webhooks                {name, url, events, role?}           201 Webhook, with `secret`: shown once
    PUT    /api/v1/communities/<id>/webhooks/<n>            {name, url, events, role?}           200 Webhook
    DELETE /api/v1/communities/<id>/webhooks/<n>                                                 204
    POST   /api/v1/communities/<id>/webhooks/<n>/secret     {former_hours?}                      200 {secret}: a new one, shown once
    POST   /api/v1/communities/<id>/webhooks/<n>/pause, /resume                                  204
    POST   /api/v1/communities/<id>/webhooks/<n>/replay     {stream, after}                      204
    GET    /api/v1/communities/<id>/webhooks/<n>/deliveries ?before &limit                       200 {deliveries}, the latest first

What a destination resolves to is judged at each delivery; here only its form is.

Invariant: a secret is in one answer, the one that made it, and is kept sealed.
"""

from __future__ import annotations

import secrets as random_source
from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from quart import Blueprint, Response, request

from actors.accounts import Declined, NameRefused, normalise_label
from actors.webhooks import DELIVERIES_PAGE_MAX, KINDS, NAMES, DeliveryInfo, Position, Subscription, WebhookInfo, tag_of
from gateway.integrations import Integrations
from gateway.openapi_answers import answers
from gateway.problems import Problem
from gateway.rates import Limit
from gateway.web_entry import enter
from gateway.web_input import Input, caller, read_json, take
from gateway.web_keys import role_of
from gateway.web_needs import needs
from gateway.web_services import Services
from gateway.webhooks.delivering import about
from gateway.webhooks.destination import URL_LENGTH_MAX, DestinationRefused, parse
from gateway.webhooks.signing import make_secret
from protocol.codes import Code
from protocol.permissions import Permission, in_space
from protocol.values import ID_MAX, Role

SEE: Final = in_space(Permission.MANAGE_INTEGRATIONS)
CHANGE: Final = in_space(Permission.MANAGE_INTEGRATIONS, step_up=True)
CHANGES: Final = Limit(burst=20, per_s=1 / 10)
NAME_LENGTH_MAX: Final = 80
FORMER_HOURS_MAX: Final = 7 * 24
COMMUNITY: Final = f"/communities/<int(min=1, max={ID_MAX}):space>/webhooks"
ONE: Final = f"/<int(min=1, max={ID_MAX}):number>"

Id = Annotated[int, Meta(ge=0, le=ID_MAX)]


class WantedWebhook(Input, frozen=True):
    """Asks for a subscription. `events`: names of `docs/webhooks.md`; `role`: it is told what a member of this role may read."""

    name: Annotated[str, Meta(max_length=200)]
    url: Annotated[str, Meta(max_length=URL_LENGTH_MAX)]
    events: Annotated[tuple[str, ...], Meta(min_length=1, max_length=len(KINDS))]
    role: str = Role.LEARNER.name.lower()


class NewSecret(Input, frozen=True):
    """Asks for another secret. The one before signs beside it for `former_hours`."""

    former_hours: Annotated[int, Meta(ge=0, le=FORMER_HOURS_MAX)] = 24


class Replay(Input, frozen=True):
    """Asks to begin again behind the event `after` of `stream`."""

    stream: Annotated[int, Meta(ge=1, le=ID_MAX)]
    after: Id


class Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which deliveries."""

    before: Id = 0
    limit: Annotated[int, Meta(ge=1, le=DELIVERIES_PAGE_MAX)] = 50


class Webhook(msgspec.Struct, frozen=True, omit_defaults=True):
    """A subscription. Times are Unix seconds, 0 for never. `attempts`: failed ones of the event that is next, which is tried again at
    `due_at`."""

    id: int
    name: str
    url: str
    events: list[str]
    role: str
    state: str
    created_by: int
    created_at: int
    delivered: int = 0
    delivered_at: int = 0
    reason: str = ""
    attempts: int = 0
    due_at: int = 0
    positions: tuple[Position, ...] = ()
    secret: str = ""


class WebhookList(msgspec.Struct, frozen=True):
    """A community's subscriptions."""

    webhooks: list[Webhook]


class Secret(msgspec.Struct, frozen=True):
    """A secret that was made just now."""

    secret: str


class DeliveryList(msgspec.Struct, frozen=True):
    """Attempts, the latest first."""

    deliveries: tuple[DeliveryInfo, ...]


def create_webhooks(services: Services, given: Integrations) -> Blueprint:
    """The routes above."""
    routes = Blueprint("webhooks", __name__, url_prefix="/api/v1")
    webhooks = Subscriptions(services, given)
    routes.get(COMMUNITY)(webhooks.list)
    routes.post(COMMUNITY)(webhooks.make)
    routes.put(f"{COMMUNITY}{ONE}")(webhooks.change)
    routes.delete(f"{COMMUNITY}{ONE}")(webhooks.delete)
    routes.post(f"{COMMUNITY}{ONE}/secret")(webhooks.set_secret)
    routes.post(f"{COMMUNITY}{ONE}/pause")(webhooks.pause)
    routes.post(f"{COMMUNITY}{ONE}/resume")(webhooks.resume)
    routes.post(f"{COMMUNITY}{ONE}/replay")(webhooks.replay)
    routes.get(f"{COMMUNITY}{ONE}/deliveries")(webhooks.deliveries)
    return routes


class Subscriptions:
    """One method per route."""

    def __init__(
        self, services: Services, given: Integrations, *, random_bytes: Callable[[int], bytes] = random_source.token_bytes
    ) -> None:
        self._services = services
        self._given = given
        self._random_bytes = random_bytes

    @needs(SEE)
    @answers("A community's webhooks.", {200: WebhookList})
    async def list(self, space: int) -> Response:
        await enter(self._services, SEE, space)
        return _json(WebhookList([_webhook(info) for info in await self._given.webhooks.list(space)]))

    @needs(CHANGE)
    @answers("Makes a webhook; the answer has its secret, once.", {201: Webhook}, takes=WantedWebhook, refuses=(Code.LIMIT,))
    async def make(self, space: int) -> Response:
        claims = await enter(self._services, CHANGE, space)
        await take(self._services.rates, "integrations", claims.user, CHANGES)
        wanted = self._subscription(await read_json(WantedWebhook))
        secret = make_secret(self._random_bytes)
        made = _must(await self._given.webhooks.make(claims, space, wanted, self._seal(secret, space), caller()))
        return _json(_webhook(made, secret), 201)

    @needs(CHANGE)
    @answers("Changes a webhook.", {200: Webhook}, takes=WantedWebhook)
    async def change(self, space: int, number: int) -> Response:
        claims = await enter(self._services, CHANGE, space)
        await take(self._services.rates, "integrations", claims.user, CHANGES)
        wanted = self._subscription(await read_json(WantedWebhook))
        return _json(_webhook(_must(await self._given.webhooks.change(claims, space, number, wanted, caller()))))

    @needs(CHANGE)
    @answers("Ends a webhook.", {204: None})
    async def delete(self, space: int, number: int) -> Response:
        claims = await enter(self._services, CHANGE, space)
        return _done(await self._given.webhooks.delete(claims, space, number, caller()))

    @needs(CHANGE)
    @answers("Makes another secret for a webhook; the answer has it, once.", {200: Secret}, takes=NewSecret)
    async def set_secret(self, space: int, number: int) -> Response:
        claims = await enter(self._services, CHANGE, space)
        await take(self._services.rates, "integrations", claims.user, CHANGES)
        wanted = await read_json(NewSecret)
        secret = make_secret(self._random_bytes)
        sealed, former_s = self._seal(secret, space), wanted.former_hours * 3600
        _must(await self._given.webhooks.set_secret(claims, space, number, sealed, former_s, caller()))
        return _json(Secret(secret))

    @needs(SEE)
    @answers("Tells a webhook nothing until it is resumed.", {204: None}, refuses=(Code.CONFLICT,))
    async def pause(self, space: int, number: int) -> Response:
        claims = await enter(self._services, SEE, space)
        return _done(await self._given.webhooks.pause(claims, space, number, caller()))

    @needs(SEE)
    @answers("Tells a webhook again, from where it was.", {204: None}, refuses=(Code.CONFLICT,))
    async def resume(self, space: int, number: int) -> Response:
        claims = await enter(self._services, SEE, space)
        return _done(await self._given.webhooks.resume(claims, space, number, caller()))

    @needs(SEE)
    @answers("Tells a webhook again what came after an event.", {204: None}, takes=Replay, refuses=(Code.CONFLICT,))
    async def replay(self, space: int, number: int) -> Response:
        claims = await enter(self._services, SEE, space)
        await take(self._services.rates, "integrations", claims.user, CHANGES)
        wanted = await read_json(Replay)
        return _done(await self._given.webhooks.replay(claims, space, number, wanted.stream, wanted.after, caller()))

    @needs(SEE)
    @answers("What a webhook was told, the latest first.", {200: DeliveryList}, query=Page)
    async def deliveries(self, space: int, number: int) -> Response:
        await enter(self._services, SEE, space)
        try:
            page = msgspec.convert(request.args.to_dict(), Page, strict=False)
        except msgspec.ValidationError as error:
            raise Problem(Code.INVALID, f"{error}; allowed: before, limit") from None
        return _json(DeliveryList(_must(await self._given.webhooks.deliveries(space, number, page.before, page.limit))))

    def _seal(self, secret: str, space: int) -> bytes:
        return self._given.seals.seal(secret.encode(), about(space))

    def _subscription(self, wanted: WantedWebhook) -> Subscription:
        reach = self._given.reach
        try:
            name = normalise_label(wanted.name, "name", NAME_LENGTH_MAX)
            parse(wanted.url, ports=reach.ports, loopback_allowed=reach.loopback_allowed)
        except (NameRefused, DestinationRefused) as error:
            raise Problem(Code.INVALID, str(error)) from None
        if not name:
            raise Problem(Code.INVALID, "the name is empty; it is how people tell webhooks apart")
        if not set(wanted.events) <= set(KINDS):
            raise Problem(Code.INVALID, f"events: not all of these can be subscribed to; there are: {', '.join(KINDS)}")
        kinds = tuple(sorted({tag_of(body) for event in wanted.events for body in KINDS[event]}))
        return Subscription(name, wanted.url, kinds, role_of(wanted.role))


def _webhook(info: WebhookInfo, secret: str = "") -> Webhook:
    return Webhook(
        id=info.id,
        name=info.name,
        url=info.url,
        events=sorted({NAMES[kind] for kind in info.kinds if kind in NAMES}),
        role=Role(info.role).name.lower(),
        state=info.state.name.lower(),
        created_by=info.created_by,
        created_at=info.created_at,
        delivered=info.delivered,
        delivered_at=info.delivered_at,
        reason=info.reason,
        attempts=info.attempts,
        due_at=info.due_at,
        positions=info.positions,
        secret=secret,
    )


def _must(answer: Any) -> Any:
    if isinstance(answer, Declined):
        raise Problem(answer.code, answer.detail)
    return answer


def _done(declined: Declined | None) -> Response:
    _must(declined)
    return Response(b"", status=204)


def _json(answer: msgspec.Struct, status: int = 200) -> Response:
    return Response(msgspec.json.encode(answer), status=status, content_type="application/json")
