"""Passkeys over HTTP: logging in with one alone, making one, renaming one, removing one.

    POST   /api/v1/auth/passkeys/challenge   {device?, device_name?}                  200 {mfa}: answered at POST /api/v1/auth/mfa
    POST   /api/v1/auth/passkeys/offer       Bearer, step-up                          200 {challenge, expires_at, options}
    POST   /api/v1/auth/passkeys             Bearer, step-up  {challenge, passkey, name?}   201 Added
    PATCH  /api/v1/auth/passkeys/<id>        Bearer, step-up  {name}                  204
    DELETE /api/v1/auth/passkeys/<id>        Bearer, step-up                          204

`options` and `passkey` are JSON as browsers read and write it: `PublicKeyCredential.parseCreationOptionsFromJSON`, `toJSON`.

Invariant: the question of a log-in names nobody and lists nothing, so it tells nothing of who has an account.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from quart import Blueprint, Response

from actors.accounts import DEVICE_NAME_LENGTH_MAX, Declined, NameRefused, normalise_label
from actors.mfa import PASSKEY_NAME_LENGTH_MAX, Method
from gateway.openapi_answers import answers
from gateway.problems import Problem
from gateway.web_auth import Typed
from gateway.web_challenge import SecondStepNeeded, Token, read_token, tell_challenge, write_token
from gateway.web_input import Input, caller, network, read_json, take
from gateway.web_mfa import OWN_FRESH, Added, admit_own, tell_added
from gateway.web_needs import needs
from gateway.web_services import Services
from protocol.codes import Code
from protocol.permissions import ANYONE
from protocol.values import ID_MAX


class Begin(Input, frozen=True):
    """Asks for a log-in by passkey. `device` and `device_name` as in a log-in by password."""

    device: Annotated[int, Meta(ge=0, le=ID_MAX)] = 0
    device_name: Typed = ""


class NewPasskey(Input, frozen=True):
    """What `navigator.credentials.create` gave for an offer. `name`: the owner's own word for it."""

    challenge: Token
    passkey: msgspec.Raw
    name: Typed = ""


class RenamePasskey(Input, frozen=True):
    """The owner's own word for a passkey."""

    name: Typed


class Offer(Struct, frozen=True):
    """Asks a browser to make a passkey, until `expires_at` (Unix seconds)."""

    challenge: str
    expires_at: int
    options: dict[str, Any]


def create_passkeys(services: Services) -> Blueprint:
    """The routes above."""
    routes = Blueprint("passkeys", __name__, url_prefix="/api/v1/auth/passkeys")
    passkeys = PasskeyRoutes(services)
    routes.post("/challenge")(passkeys.begin_log_in)
    routes.post("/offer")(passkeys.offer)
    routes.post("")(passkeys.add)
    routes.patch(f"/<int(min=1, max={ID_MAX}):number>")(passkeys.rename)
    routes.delete(f"/<int(min=1, max={ID_MAX}):number>")(passkeys.remove)
    return routes


class PasskeyRoutes:
    """One method per route."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._factors = services.multi_factor
        self._passkeys = services.passkeys

    @needs(ANYONE)
    @answers("Asks for a challenge to log in with a passkey alone.", {200: SecondStepNeeded}, takes=Begin, refuses=(Code.NOT_FOUND,))
    async def begin_log_in(self) -> Response:
        services = self._services
        wanted = await read_json(Begin)
        self._check_offered()
        device_name = _label(wanted.device_name, "device name", DEVICE_NAME_LENGTH_MAX)
        await take(services.rates, "passkey", network(), services.limits.login_address)
        challenge = await self._factors.begin_passwordless(wanted.device, device_name, caller())
        return tell_challenge(challenge, self._passkeys, alone=True)

    @needs(OWN_FRESH)
    @answers("Asks a browser to make a passkey.", {200: Offer}, refuses=(Code.NOT_FOUND, Code.LIMIT))
    async def offer(self) -> Response:
        self._check_offered()
        claims = await admit_own(self._services, fresh=True)
        offer = await self._factors.offer_passkey(claims, caller())
        if isinstance(offer, Declined):
            raise Problem(offer.code, offer.detail)
        answer = Offer(write_token(offer.challenge.token), offer.challenge.expires_at, self._passkeys.creation_options(offer))
        return Response(msgspec.json.encode(answer), content_type="application/json")

    @needs(OWN_FRESH)
    @answers("Keeps a passkey that a browser made.", {201: Added}, takes=NewPasskey, refuses=(Code.NOT_FOUND, Code.CONFLICT))
    async def add(self) -> Response:
        claims = await admit_own(self._services, fresh=True)
        wanted = await read_json(NewPasskey)
        name = _passkey_name(wanted.name)
        token = read_token(wanted.challenge) or b""
        return tell_added(await self._factors.add_passkey(claims, token, bytes(wanted.passkey), name, caller()), 201)

    @needs(OWN_FRESH)
    @answers("Gives a passkey another name.", {204: None}, takes=RenamePasskey)
    async def rename(self, number: int) -> Response:
        claims = await admit_own(self._services, fresh=True)
        wanted = await read_json(RenamePasskey)
        declined = await self._factors.rename_passkey(claims, number, _passkey_name(wanted.name))
        if declined is not None:
            raise Problem(declined.code, declined.detail)
        return Response(b"", status=204)

    @needs(OWN_FRESH)
    @answers("Takes a passkey away.", {204: None}, refuses=(Code.CONFLICT,))
    async def remove(self, number: int) -> Response:
        claims = await admit_own(self._services, fresh=True)
        declined = await self._factors.remove(claims, Method.PASSKEY, number, caller())
        if declined is not None:
            raise Problem(declined.code, declined.detail)
        return Response(b"", status=204)

    def _check_offered(self) -> None:
        if not self._passkeys.offered:
            raise Problem(Code.NOT_FOUND, "there are no passkeys here: the operator has not said for which domain (mfa.rp_id)")


def _passkey_name(text: str) -> str:
    return _label(text, "passkey's name", PASSKEY_NAME_LENGTH_MAX) or "passkey"


def _label(text: str, what: str, length_max: int) -> str:
    try:
        return normalise_label(text, what, length_max)
    except NameRefused as error:
        raise Problem(Code.INVALID, str(error)) from None
