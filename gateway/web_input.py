"""Requests, read strictly: JSON into structs, addresses, bearer tokens. Whatever is wrong becomes a `Problem` that says what is allowed.

Invariant: nothing of a request is used before its size and type are checked, and no value of a request is repeated in a problem.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
from quart import request

from actors.accounts import SOFTWARE_LENGTH_MAX, Caller, Claims
from gateway.client_address import network_key
from gateway.problems import Problem
from gateway.rates import Limit
from gateway.web_services import RateLimits, Sessions, Signer
from protocol.codes import Code

S = TypeVar("S", bound=msgspec.Struct)


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Root of what a request's body may be."""


async def read_json(kind: type[S]) -> S:
    """The body as a `kind`. Raises `Problem`."""
    if request.mimetype != "application/json":
        raise Problem(Code.INVALID, "the body must be JSON: Content-Type application/json", status=415)
    body = await request.get_data(cache=False, as_text=False)
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.ValidationError, UnicodeDecodeError) as error:
        allowed = ", ".join(kind.__struct_fields__)
        raise Problem(Code.INVALID, f"{error}; allowed fields: {allowed}") from None
    except (msgspec.DecodeError, RecursionError):
        raise Problem(Code.INVALID, "the body is no JSON object") from None


def caller() -> Caller:
    """Who asks: the address that the listener found (the socket's, or what a trusted balancer said)."""
    client = request.scope.get("client")
    address = client[0] if client else ""
    software = request.headers.get("User-Agent", "")[:SOFTWARE_LENGTH_MAX]
    return Caller(str(address), "".join(c if c.isprintable() else "?" for c in software), network_key(str(address)))


def network() -> str:
    """What limits per client count by."""
    return caller().network


def bearer(tokens: Signer, now: float) -> Claims:
    """Whose access token came with the request. Raises `Problem`."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Problem(Code.UNAUTHENTICATED, "an access token is needed: Authorization: Bearer <token>")
    claims = tokens.verify(token.strip(), now)
    if isinstance(claims, Claims):
        return claims
    if claims is Code.TOKEN_EXPIRED:
        raise Problem(claims, "the access token's time is over; refresh it")
    raise Problem(claims, "the access token is not one of ours; log in, or refresh it")


async def admit(tokens: Signer, sessions: Sessions, now: float) -> Claims:
    """Whose session the access token names, if that goes on: a token outlives it by up to 15 minutes. Raises `Problem`, `StorageError`."""
    claims = bearer(tokens, now)
    if await sessions.admit(claims, now) is not Code.OK:
        raise Problem(Code.REVOKED, "this session has ended; log in again")
    return claims


async def take(rates: RateLimits, name: str, key: str | int, limit: Limit, cost: int = 1) -> None:
    """Counts this request, as `cost` of them (at most the burst). Raises `Problem` when there were too many."""
    decision = await rates.take(name, key, limit, min(cost, limit.burst))
    if not decision.allowed:
        wait_s = max(1, round(decision.retry_after_s))
        raise Problem(Code.RATE, f"too many requests of this kind; come back in {wait_s} s", retry_after_s=decision.retry_after_s)
