"""The way into routes that need a permission: for people with an access token, and for other systems with an API key.

    Authorization: Bearer eyJ…   token ─▶ session goes on? ─▶ may the account? ─▶ proven lately, where the route wants it
    Authorization: Bearer edk_…  key ─▶ good now? ─▶ right place? in its scopes? ─▶ may the account?   never where proof is wanted

A key is asked of Postgres at each request, so a revoked one is refused by the very next, everywhere.

Invariant: whoever comes back from `enter` holds what the route needs, in the place it is about; nobody learns by it what exists elsewhere.
"""

from __future__ import annotations

from typing import Final

from quart import request

from actors.accounts import Claims
from actors.integrations import KEY_PREFIX, ActiveKey, Keys
from gateway.problems import Problem
from gateway.rates import Limit
from gateway.web_input import admit, network, take
from gateway.web_needs import require
from gateway.web_services import Services
from protocol.codes import Code
from protocol.permissions import Needs, Scope

KEY_USES: Final = Limit(burst=120, per_s=5.0)
KEY_ADDRESS: Final = Limit(burst=600, per_s=20.0)
"""Keys from one address, good or not: each is a question to Postgres."""
KEY_GUESSES: Final = Limit(burst=20, per_s=1 / 10)
"""Wrong keys from one address. Nobody guesses 32 bytes; it keeps questions to Postgres few."""
KEY_LENGTH_MAX: Final = 100


async def enter(services: Services, wanted: Needs, space: int = 0) -> Claims:
    """Whoever asks, if they may; `space` where the route is about one. Of a key's claims the session is 0. Raises `Problem`,
    `StorageError`."""
    text = presented_key()
    if text is None:
        claims = await admit(services.tokens, services.sessions, services.wall())
        await require(services, claims, wanted, space)
        return claims
    key = await use_key(services, text)
    if wanted.step_up:
        raise Problem(Code.FORBIDDEN, "this is for people, who can prove themselves; an API key cannot")
    where = space if wanted.scope is Scope.SPACE else None
    if wanted.permission is None or wanted.scope not in (Scope.SPACE, Scope.PLATFORM):
        raise Problem(Code.FORBIDDEN, "this is about somebody's own account, and takes an access token")
    if key.space != where:
        if where is None:
            raise Problem(Code.FORBIDDEN, "this API key is for one community")
        raise Problem(Code.NOT_FOUND, "there is no such community, or you are not a member of it")
    if not key.scopes >> wanted.permission & 1:
        raise Problem(Code.FORBIDDEN, f"this API key has not the scope {wanted.permission.name.lower()}")
    claims = Claims(key.user, 0, 0, 0, key.expires_at)
    await require(services, claims, wanted, space)
    return claims


def presented_key() -> str | None:
    """The API key that came with the request, if it is one by its form."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    text = text.strip()
    return text if scheme.lower() == "bearer" and text.startswith(KEY_PREFIX) else None


async def use_key(services: Services, text: str) -> ActiveKey:
    """The key, counted against its rate. Raises `Problem` for one that is not good, which is the same whatever is wrong with it."""
    await take(services.rates, "key-address", network(), KEY_ADDRESS)
    well_formed = len(text) <= KEY_LENGTH_MAX and text.isascii() and text.isprintable()
    key = await keys_of(services).find(text) if well_formed else None
    if key is None:
        await take(services.rates, "key-wrong", network(), KEY_GUESSES)
        raise Problem(Code.UNAUTHENTICATED, "this API key is not good: unknown, revoked, or its time is over")
    await take(services.rates, "key", key.id, KEY_USES)
    return key


def keys_of(services: Services) -> Keys:
    """The port of keys."""
    assert services.integrations is not None, "routes that are entered here are made where there are integrations"
    return services.integrations.keys
