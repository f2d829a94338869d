"""One's own account over HTTP: what it says, password, e-mail address, language, devices.

    GET    /api/v1/account                 Bearer                                200 Account
    POST   /api/v1/account/password        Bearer {old_password, new_password}   204; every other session ends
    PUT    /api/v1/account/email           Bearer {email}                        202 a link is mailed there      step-up
    DELETE /api/v1/account/email           Bearer                                204                             step-up
    PUT    /api/v1/account/language        Bearer {language}                     204
    GET    /api/v1/account/devices         Bearer                                200 {devices}
    PATCH  /api/v1/account/devices/<id>    Bearer {name}                         204

Sessions are ended at `/api/v1/auth/sessions` (`gateway/web_auth.py`).

Invariant: whose account it is says the access token and nothing else; a body has no field for it.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta
from quart import Blueprint, Response

from actors.accounts import DEVICE_NAME_LENGTH_MAX, Claims, Declined, NameRefused, normalise_label
from actors.identity import LANGUAGE_LENGTH_MAX, DeviceInfo, normalise_email, normalise_language
from gateway.hash_orders import Verdict
from gateway.openapi_answers import answers
from gateway.passwords import PasswordRefused
from gateway.problems import Problem
from gateway.web_auth import Password, Typed, secret_key, set_right
from gateway.web_input import Input, admit, caller, read_json, take
from gateway.web_needs import needs
from gateway.web_services import Services
from protocol.codes import Code
from protocol.permissions import OWN, own
from protocol.values import ID_MAX

T = TypeVar("T")

Address = Annotated[str, Meta(max_length=320)]
"""Judged by `normalise_email`."""


class ChangePassword(Input, frozen=True):
    """Asks for another password."""

    old_password: Password
    new_password: Password


class OfferAddress(Input, frozen=True):
    """Asks for a link to an address that is to become the account's."""

    email: Address


class SetLanguage(Input, frozen=True):
    """In which language mails are written: a tag such as `de` or `pt-BR`; empty: not said."""

    language: Annotated[str, Meta(max_length=LANGUAGE_LENGTH_MAX)]


class RenameDevice(Input, frozen=True):
    """The owner's own word for a device."""

    name: Typed


class Account(msgspec.Struct, frozen=True):
    """What the account says. `email` is proven, or empty; `email_pending`: a link is under way there."""

    user: int
    name: str
    display_name: str
    email: str
    email_pending: str
    language: str


class ListedDevice(msgspec.Struct, frozen=True):
    """One device. `session`: its living one, 0: none; `current`: the one that asks. Times are Unix seconds."""

    device: int
    name: str
    session: int
    software: str
    address: str
    last_used_at: int
    current: bool


class DeviceList(msgspec.Struct, frozen=True):
    """The account's devices, the one used last first."""

    devices: list[ListedDevice]


def create_account(services: Services) -> Blueprint:
    """The routes above."""
    routes = Blueprint("account", __name__, url_prefix="/api/v1/account")
    account = OwnAccount(services)
    routes.get("")(account.show)
    routes.post("/password")(account.change_password)
    routes.put("/email")(account.offer_address)
    routes.delete("/email")(account.withdraw_address)
    routes.put("/language")(account.set_language)
    routes.get("/devices")(account.list_devices)
    routes.patch(f"/devices/<int(min=1, max={ID_MAX}):device>")(account.rename_device)
    return routes


class OwnAccount:
    """One method per route."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._identity = services.identity
        self._passwords = services.passwords

    @needs(OWN)
    @answers("What the account says.", {200: Account})
    async def show(self) -> Response:
        claims = await self._admit()
        found = given(await self._identity.find_profile(claims))
        return _json(Account(claims.user, found.name, found.display_name, found.email, found.email_pending, found.language))

    @needs(OWN)
    @answers("Sets another password and ends every other session.", {204: None}, takes=ChangePassword, refuses=(Code.FORBIDDEN, 409))
    async def change_password(self) -> Response:
        claims = await self._admit()
        wanted = await read_json(ChangePassword)
        try:
            self._passwords.check(wanted.new_password)
        except PasswordRefused as error:
            raise Problem(Code.INVALID, str(error)) from None
        # Whoever holds a stolen token guesses here no faster than at the door.
        services = self._services
        await take(services.rates, "password-user", claims.user, services.limits.login_account_address)
        profile = given(await self._identity.find_profile(claims))
        stored = given(await self._identity.find_own_credentials(claims))
        if await set_right(self._passwords.verify(stored.password_hash, wanted.old_password)) is Verdict.WRONG:
            await services.accounts.note_failed_login(claims.user, caller())
            raise Problem(Code.FORBIDDEN, "the old password is wrong")
        # Judged only now: what it says of a password is for its owner.
        await set_right(self._passwords.judge(wanted.new_password, profile.words()))
        new_hash = await set_right(self._passwords.hash(wanted.new_password))
        given(await self._identity.change_password(claims, stored.password_hash, new_hash, caller()))
        return done()

    @needs(own(step_up=True))
    @answers("Mails a link to an address that is to become the account's.", {202: None}, takes=OfferAddress, refuses=(Code.CONFLICT,))
    async def offer_address(self) -> Response:
        claims = await self._admit()
        wanted = await read_json(OfferAddress)
        try:
            email = normalise_email(wanted.email)
        except NameRefused as error:
            raise Problem(Code.INVALID, str(error)) from None
        services = self._services
        await take(services.rates, "mail", secret_key(email), services.limits.mail_address)
        await take(services.rates, "mail-user", claims.user, services.limits.recover_account)
        given(await self._identity.offer_address(claims, email, caller()))
        return done(202)

    @needs(own(step_up=True))
    @answers("Takes the account's address away.", {204: None})
    async def withdraw_address(self) -> Response:
        claims = await self._admit()
        given(await self._identity.withdraw_address(claims, caller()))
        return done()

    @needs(OWN)
    @answers("Says in which language mails are written.", {204: None}, takes=SetLanguage)
    async def set_language(self) -> Response:
        claims = await self._admit()
        wanted = await read_json(SetLanguage)
        try:
            language = normalise_language(wanted.language)
        except NameRefused as error:
            raise Problem(Code.INVALID, str(error)) from None
        given(await self._identity.set_language(claims, language))
        return done()

    @needs(OWN)
    @answers("The account's devices.", {200: DeviceList})
    async def list_devices(self) -> Response:
        claims = await self._admit()
        found = given(await self._identity.list_devices(claims))
        return _json(DeviceList([_listed(info, claims.device) for info in found]))

    @needs(OWN)
    @answers("Gives a device another name.", {204: None}, takes=RenameDevice)
    async def rename_device(self, device: int) -> Response:
        claims = await self._admit()
        wanted = await read_json(RenameDevice)
        try:
            name = normalise_label(wanted.name, "device name", DEVICE_NAME_LENGTH_MAX)
        except NameRefused as error:
            raise Problem(Code.INVALID, str(error)) from None
        given(await self._identity.rename_device(claims, device, name))
        return done()

    async def _admit(self) -> Claims:
        services = self._services
        claims = await admit(services.tokens, services.sessions, services.wall())
        await take(services.rates, "session", claims.user, services.limits.session_user)
        return claims


def given(answer: T | Declined) -> T:
    """What storage answered. Raises `Problem` where it declined."""
    if isinstance(answer, Declined):
        raise Problem(answer.code, answer.detail)
    return answer


def done(status: int = 204) -> Response:
    # Empty bytes, not nothing: Quart iterates over nothing with asyncio.
    return Response(b"", status=status)


def _listed(info: DeviceInfo, current: int) -> ListedDevice:
    return ListedDevice(info.device, info.name, info.session, info.software, info.address, info.last_used_at, info.device == current)


def _json(answer: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(answer), content_type="application/json")
