"""Roles over HTTP: what one may do in a community, its custom roles and who has them; the platform's, to be looked at and given.

    GET    /api/v1/communities/<id>/roles             members                                     200 Roles
    GET    /api/v1/platform/roles                     who manages them                            200 Roles
    PUT    /api/v1/platform/roles/<role>/users/<id>   the same, with a fresh proof of who one is  204
    DELETE /api/v1/platform/roles/<role>/users/<id>   the same                                    204

Communities' roles are made and given by operations (`MakeRole`, `GiveRole` …), which work offline and are told in their streams.

Invariant: nobody gives or takes more than they have.
"""

from __future__ import annotations

from typing import Final

import msgspec
from quart import Blueprint, Response

from actors.accounts import Claims
from actors.authority import RoleBook, RoleList
from gateway.openapi_answers import answers
from gateway.problems import Problem
from gateway.rates import Limit
from gateway.web_entry import enter
from gateway.web_input import caller, take
from gateway.web_needs import needs
from gateway.web_services import Services
from protocol.codes import Code
from protocol.permissions import Needs, Permission, in_space, on_platform, unmask
from protocol.values import ID_MAX

SEE: Final = in_space(Permission.READ)
SEE_PLATFORM: Final = on_platform(Permission.MANAGE_PLATFORM_ROLES)
CHANGE_PLATFORM: Final = on_platform(Permission.MANAGE_PLATFORM_ROLES, step_up=True)
ASKED: Final = Limit(burst=30, per_s=0.5)
SPACE: Final = f"<int(min=1, max={ID_MAX}):space>"
HOLDING: Final = f"<int(min=1, max={ID_MAX}):role>/users/<int(min=1, max={ID_MAX}):user>"


class CustomRole(msgspec.Struct, frozen=True):
    """A role and who has it: `held_by` accounts, of which `holders` are the first."""

    role: int
    name: str
    permissions: list[str]
    held_by: int
    holders: list[int]


class Roles(msgspec.Struct, frozen=True):
    """The custom roles of a place. `mine`: all that whoever asks may do there, by base role and custom ones."""

    mine: list[str]
    roles: list[CustomRole]


def create_roles(services: Services, book: RoleBook) -> Blueprint:
    """The routes above."""
    routes = Blueprint("roles", __name__, url_prefix="/api/v1")
    roles = Appointing(services, book)
    routes.get(f"/communities/{SPACE}/roles")(roles.of_community)
    routes.get("/platform/roles")(roles.of_platform)
    routes.put(f"/platform/roles/{HOLDING}")(roles.give)
    routes.delete(f"/platform/roles/{HOLDING}")(roles.take)
    return routes


class Appointing:
    """One method per route."""

    def __init__(self, services: Services, book: RoleBook) -> None:
        self._services = services
        self._book = book

    @needs(SEE)
    @answers("What one may do in a community, and its custom roles.", {200: Roles})
    async def of_community(self, space: int) -> Response:
        claims = await self._admit(SEE, space)
        return _tell(await self._book.list_roles(claims.user, space))

    @needs(SEE_PLATFORM)
    @answers("The platform's roles, and who has them.", {200: Roles})
    async def of_platform(self) -> Response:
        claims = await self._admit(SEE_PLATFORM)
        return _tell(await self._book.list_roles(claims.user, None))

    @needs(CHANGE_PLATFORM)
    @answers("Gives an account a role of the platform.", {204: None}, refuses=(Code.LIMIT,))
    async def give(self, role: int, user: int) -> Response:
        claims = await self._admit(CHANGE_PLATFORM)
        return _done(await self._book.give(claims, role, user, caller()))

    @needs(CHANGE_PLATFORM)
    @answers("Takes a role of the platform from an account.", {204: None})
    async def take(self, role: int, user: int) -> Response:
        claims = await self._admit(CHANGE_PLATFORM)
        return _done(await self._book.take(claims, role, user, caller()))

    async def _admit(self, wanted: Needs, space: int = 0) -> Claims:
        services = self._services
        claims = await enter(services, wanted, space)
        await take(services.rates, "roles", claims.user, ASKED)
        return claims


def _tell(found: RoleList) -> Response:
    roles = [CustomRole(one.role, one.name, _names(one.permissions), one.held_by, list(one.holders)) for one in found.roles]
    return Response(msgspec.json.encode(Roles(_names(found.mine), roles)), content_type="application/json")


def _names(permissions: int) -> list[str]:
    return [permission.name for permission in sorted(unmask(permissions))]


def _done(code: Code) -> Response:
    match code:
        case Code.OK:
            return Response(b"", status=204)
        case Code.NOT_FOUND:
            raise Problem(code, "there is no such role, or no such account")
        case Code.LIMIT:
            raise Problem(code, "one has at most 20 roles on the platform")
        case _:
            raise Problem(code, "nobody gives or takes more than they have")
