"""Without a session: a forgotten password, and what the links in mails do.

    POST /api/v1/auth/password/forgot   {account}          202, whoever was named
    POST /api/v1/auth/password/reset    {code, password}   204; every session ends, none is opened
    POST /api/v1/auth/email/verify      {code}             204
    GET  /account/link                                     a page of one form for a link's code, which is behind its #

`forgot` looks at nothing but limits, so it costs and says the same for everybody; a job looks later. A link opens a page of the web app
(earlier mails led to this one) and does nothing by being fetched: mail scanners fetch every link, and what they fetched would be used up,
or worse, agreed to.

Invariant: no answer here depends on whether an account exists; only the code of a link, which is 256 random bits, makes any difference.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta
from quart import Blueprint, Response

from actors.accounts import NameRefused, normalise_name
from actors.identity import SECRET_LENGTH_MAX, normalise_email
from gateway.openapi_answers import Media, answers
from gateway.passwords import PasswordRefused
from gateway.problems import Problem
from gateway.web_account import Address, done, given
from gateway.web_auth import Password, secret_key, set_right
from gateway.web_input import Input, caller, network, read_json, take
from gateway.web_needs import needs
from gateway.web_services import Services
from protocol.codes import Code
from protocol.permissions import ANYONE

PAGE: Final = Path(__file__).with_name("account_link.html").read_text("utf-8")
LINK_OVER: Final = "this link was used, or its time is over; ask for another one"


class Forgot(Input, frozen=True):
    """Asks for a link to set another password. `account`: its name, or its proven address."""

    account: Address


class Reset(Input, frozen=True):
    """Sets another password, by a link's code."""

    code: Annotated[str, Meta(min_length=1, max_length=SECRET_LENGTH_MAX)]
    password: Password


class Verify(Input, frozen=True):
    """Proves an address, by a link's code."""

    code: Annotated[str, Meta(min_length=1, max_length=SECRET_LENGTH_MAX)]


def create_recovery(services: Services) -> Blueprint:
    """The routes above."""
    routes = Blueprint("recovery", __name__)
    recovery = Recovery(services)
    routes.post("/api/v1/auth/password/forgot")(recovery.forgot)
    routes.post("/api/v1/auth/password/reset")(recovery.reset)
    routes.post("/api/v1/auth/email/verify")(recovery.verify)
    routes.get("/account/link")(recovery.page)
    return routes


class Recovery:
    """One method per route."""

    def __init__(self, services: Services) -> None:
        self._identity = services.identity
        self._passwords = services.passwords
        self._rates = services.rates
        self._limits = services.limits

    @needs(ANYONE)
    @answers("Mails a link to set another password, if there is such an account; the answer does not say.", {202: None}, takes=Forgot)
    async def forgot(self) -> Response:
        wanted = await read_json(Forgot)
        named = _named(wanted.account)
        await take(self._rates, "recover", network(), self._limits.recover_address)
        await take(self._rates, "recover-account", secret_key(named), self._limits.recover_account)
        await self._identity.ask_reset(named, caller())
        return done(202)

    @needs(ANYONE)
    @answers("Sets another password by a link's code; every session ends.", {204: None}, takes=Reset, refuses=(Code.GONE, Code.CONFLICT))
    async def reset(self) -> Response:
        wanted = await read_json(Reset)
        try:
            self._passwords.check(wanted.password)
        except PasswordRefused as error:
            raise Problem(Code.INVALID, str(error)) from None
        await take(self._rates, "link", network(), self._limits.link_address)
        # Judged before the link is used up: who chose a weak one chooses again.
        found = await self._identity.find_reset(wanted.code)
        if found is None:
            raise Problem(Code.GONE, LINK_OVER)
        await set_right(self._passwords.judge(wanted.password, found.words))
        new_hash = await set_right(self._passwords.hash(wanted.password))
        given(await self._identity.reset_password(wanted.code, new_hash, caller()))
        return done()

    @needs(ANYONE)
    @answers("Proves an address by a link's code.", {204: None}, takes=Verify, refuses=(Code.GONE, Code.CONFLICT))
    async def verify(self) -> Response:
        wanted = await read_json(Verify)
        await take(self._rates, "link", network(), self._limits.link_address)
        given(await self._identity.prove_address(wanted.code, caller()))
        return done()

    @needs(ANYONE)
    @answers("The page that links in mails open.", {200: Media("text/html", text=True)})
    async def page(self) -> Response:
        response = Response(PAGE, content_type="text/html; charset=utf-8")
        response.headers["Content-Security-Policy"] = page_policy(PAGE)
        return response


def page_policy(page: str) -> str:
    """What the page may do: its own script and style, named by their hashes, and asking this server."""
    script, style = (_hash(page.split(f"<{tag}>", 1)[1].split(f"</{tag}>", 1)[0]) for tag in ("script", "style"))
    return (
        f"default-src 'none'; script-src '{script}'; style-src '{style}'; connect-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )


def _named(typed: str) -> str:
    """A name or an address that an account may have; empty, nobody's, for what is neither."""
    try:
        return normalise_email(typed) if "@" in typed else normalise_name(typed)
    except NameRefused:
        return ""


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
