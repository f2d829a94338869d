"""What each route needs, declared where it is written, checked where it is asked.

    @needs(in_space(READ_AUDIT))              the declaration, kept by endpoint in app.extensions["needs"]
    async def list(self): ...
        claims = await admit(…)               who asks
        await require(services, claims, …)    whether they may; FORBIDDEN, or NOT_FOUND for who is no member

Invariant: a route without a declaration is a failing test; whoever is not a member of a space cannot tell it from one that does not exist.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from quart_trio import QuartTrio

from actors.accounts import Claims
from gateway.problems import Problem
from gateway.web_services import Services
from gateway.web_step_up import require_step_up
from protocol.codes import Code
from protocol.permissions import Needs, Permission, Scope

View = TypeVar("View", bound=Callable[..., Any])

EXTENSION: Final = "needs"
_ATTRIBUTE: Final = "__needs__"


def needs(wanted: Needs) -> Callable[[View], View]:
    """Declares what a route needs, on the function or method that answers it."""

    def declare(view: View) -> View:
        setattr(view, _ATTRIBUTE, wanted)
        return view

    return declare


def collect(app: QuartTrio) -> None:
    """Keeps the declarations by endpoint; called once, when every route is there."""
    app.extensions[EXTENSION] = {
        endpoint: declared for endpoint, view in app.view_functions.items() if (declared := getattr(view, _ATTRIBUTE, None)) is not None
    }


def declared(app: QuartTrio) -> dict[str, Needs]:
    """What each endpoint needs."""
    found: dict[str, Needs] = app.extensions[EXTENSION]
    return found


async def require(services: Services, claims: Claims, wanted: Needs, space: int = 0) -> None:
    """Goes on if whoever asks may, and has proven who they are where that is needed; `space` where it is about one. Raises `Problem`
    (`FORBIDDEN`; `NOT_FOUND` for who is no member; `STEP_UP`), `StorageError`."""
    if wanted.scope in (Scope.SPACE, Scope.PLATFORM):
        await _require_permission(services, claims, wanted, space)
    if wanted.step_up:
        await require_step_up(services, claims)


async def _require_permission(services: Services, claims: Claims, wanted: Needs, space: int) -> None:
    assert wanted.permission is not None and (wanted.scope is Scope.PLATFORM or space), wanted
    where = space if wanted.scope is Scope.SPACE else None
    authority = services.authority
    if await authority.allowed(claims.user, wanted.permission, where):
        return
    if where is not None and not await authority.allowed(claims.user, Permission.READ, where):
        raise Problem(Code.NOT_FOUND, "there is no such community, or you are not a member of it")
    raise Problem(Code.FORBIDDEN, f"this needs the permission {wanted.permission.name}")
