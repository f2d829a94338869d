"""Step-up: whoever does something dangerous has proven who they are within the last minutes, however old the session is.

    @needs(own(step_up=True)) ─▶ require_step_up ─▶ goes on, or STEP_UP ─▶ POST /api/v1/auth/step-up ─▶ asked anew

A stolen session or access token alone changes no password, address or second factor.

Invariant: how long ago is asked of the database at each request; no token and no cache says so.
"""

from __future__ import annotations

from actors.accounts import Claims
from gateway.problems import Problem
from gateway.web_services import Services
from protocol.codes import Code


async def require_step_up(services: Services, claims: Claims) -> None:
    """Goes on if the session's owner has proven themselves within `services.step_up_s`. Raises `Problem` (`STEP_UP`), `StorageError`."""
    passed_s = await services.multi_factor.proven_s(claims)
    if passed_s is None or passed_s > services.step_up_s:
        raise Problem(Code.STEP_UP, "this needs a fresh proof of who you are: POST /api/v1/auth/step-up, then ask for it anew")
