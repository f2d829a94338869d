"""Trust over HTTP: one's own, in parts with words; and for the platform's staff, whose word others build on.

    GET    /api/v1/trust                Bearer            200 Explained
    GET    /api/v1/trust/seeds          Bearer ?after     200 SeedPage        who may manage the platform's roles
    PUT    /api/v1/trust/seeds/<id>     Bearer            204                 the same, step-up
    DELETE /api/v1/trust/seeds/<id>     Bearer            204                 the same, step-up

Vouching for somebody is an operation (`Endorse`), which works offline.

Invariant: a score is told to its owner alone.
"""

from __future__ import annotations

from typing import Final

import msgspec
from quart import Blueprint, Response

from actors.accounts import Claims
from actors.trust_book import SeedPage, TrustBook
from actors.trust_words import Explained
from gateway.openapi_answers import answers, read_query
from gateway.problems import Problem
from gateway.rates import Limit
from gateway.web_entry import enter
from gateway.web_input import admit, caller, take
from gateway.web_needs import needs
from gateway.web_queries import After
from gateway.web_services import Services
from protocol.codes import Code
from protocol.permissions import OWN, Needs, Permission, on_platform
from protocol.values import ID_MAX

READ_SEEDS: Final = on_platform(Permission.MANAGE_PLATFORM_ROLES)
NAME_SEEDS: Final = on_platform(Permission.MANAGE_PLATFORM_ROLES, step_up=True)
ASKED: Final = Limit(burst=30, per_s=0.5)
PERSON: Final = f"<int(min=1, max={ID_MAX}):user>"


def create_trust(services: Services, book: TrustBook) -> Blueprint:
    """The routes above."""
    routes = Blueprint("trust", __name__, url_prefix="/api/v1/trust")
    trusting = Trusting(services, book)
    routes.get("")(trusting.own)
    routes.get("/seeds")(trusting.seeds)
    routes.put(f"/seeds/{PERSON}")(trusting.name_seed)
    routes.delete(f"/seeds/{PERSON}")(trusting.unname_seed)
    return routes


class Trusting:
    """One method per route."""

    def __init__(self, services: Services, book: TrustBook) -> None:
        self._services = services
        self._book = book

    @needs(OWN)
    @answers("How far one is trusted here, and why.", {200: Explained})
    async def own(self) -> Response:
        services = self._services
        claims = await admit(services.tokens, services.sessions, services.wall())
        await take(services.rates, "trust", claims.user, ASKED)
        explained = await self._book.explain(claims.user)
        if explained is None:
            raise Problem(Code.REVOKED, "this session has ended; log in again")
        return Response(msgspec.json.encode(explained), content_type="application/json")

    @needs(READ_SEEDS)
    @answers("Accounts whose word others build on.", {200: SeedPage}, query=After)
    async def seeds(self) -> Response:
        await self._enter(READ_SEEDS)
        after = read_query(After).after
        return Response(msgspec.json.encode(await self._book.list_seeds(after)), content_type="application/json")

    @needs(NAME_SEEDS)
    @answers("Makes an account one whose word others build on.", {204: None})
    async def name_seed(self, user: int) -> Response:
        claims = await self._enter(NAME_SEEDS)
        if not await self._book.name_seed(claims, user, caller()):
            raise Problem(Code.NOT_FOUND, "there is no such account, or as many are named as there may be")
        return Response("", status=204)

    @needs(NAME_SEEDS)
    @answers("Takes that away.", {204: None})
    async def unname_seed(self, user: int) -> Response:
        claims = await self._enter(NAME_SEEDS)
        if not await self._book.unname_seed(claims, user, caller()):
            raise Problem(Code.NOT_FOUND, "they are not named")
        return Response("", status=204)

    async def _enter(self, wanted: Needs) -> Claims:
        """Staff; and another system's key, where it only reads."""
        claims = await enter(self._services, wanted)
        await take(self._services.rates, "trust", claims.user, ASKED)
        return claims
