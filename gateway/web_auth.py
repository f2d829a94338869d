"""Identity over HTTP: register, log in, refresh, log out, and see one's sessions.

    POST   /api/v1/auth/register           {name, password, display_name?, device_name?, email?}    201 Session
    POST   /api/v1/auth/login              {name, password, device?, device_name?}                  200 Session, or {mfa}: half done
    POST   /api/v1/auth/refresh            {refresh_token}                                          200 Session
    POST   /api/v1/auth/logout             Bearer                                                   204
    POST   /api/v1/auth/logout-others      Bearer                                                   204; the asking one goes on
    POST   /api/v1/auth/logout-everywhere  Bearer                                                   204
    GET    /api/v1/auth/me                 Bearer                                                   200 Me
    GET    /api/v1/auth/sessions           Bearer                                                   200 {sessions}
    DELETE /api/v1/auth/sessions/<id>      Bearer                                                   204

Rates are taken before anything costs: an address first, then the account. A wrong password and an unknown name take the same work
and get the same answer.

Invariant: secrets come in bodies and the Authorization field only, never in a path or query, which get logged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable
from typing import Annotated, NoReturn, TypeVar

import msgspec
from msgspec import Meta
from quart import Blueprint, Response

from actors.accounts import (
    DEVICE_NAME_LENGTH_MAX,
    DISPLAY_NAME_LENGTH_MAX,
    Claims,
    Declined,
    NameRefused,
    Opened,
    Registration,
    SessionInfo,
    normalise_label,
    normalise_name,
)
from actors.identity import LANGUAGE_LENGTH_MAX, normalise_email, normalise_language
from actors.mfa import Challenge
from gateway.hash_orders import Verdict
from gateway.openapi_answers import answers
from gateway.passwords import HashingBusy, PasswordRefused
from gateway.problems import Problem
from gateway.web_challenge import SecondStepNeeded, tell_challenge
from gateway.web_input import Input, admit, bearer, caller, network, read_json, take
from gateway.web_needs import needs
from gateway.web_services import Services, Signer
from protocol.codes import Code
from protocol.permissions import ANYONE, OWN
from protocol.values import ID_MAX

T = TypeVar("T")

Typed = Annotated[str, Meta(max_length=200)]
"""A name as somebody typed it: bounded here, judged by `normalise_name`."""
Password = Annotated[str, Meta(max_length=512)]
"""Judged by `Passwords.check` and `judge`; this bound only keeps work small before that."""


class Register(Input, frozen=True):
    """Asks for an account. A link that proves `email` is mailed there, in `language`."""

    name: Typed
    password: Password
    display_name: Typed = ""
    device_name: Typed = ""
    email: Annotated[str, Meta(max_length=320)] = ""
    language: Annotated[str, Meta(max_length=LANGUAGE_LENGTH_MAX)] = ""


class LogIn(Input, frozen=True):
    """Asks for a session. `device`: the one this client was given before, so that its pending mutations stay its own; 0: a new one."""

    name: Typed
    password: Password
    device: Annotated[int, Meta(ge=0, le=ID_MAX)] = 0
    device_name: Typed = ""


class Refresh(Input, frozen=True):
    """Asks for the next pair of tokens."""

    refresh_token: Annotated[str, Meta(min_length=1, max_length=200)]


class Session(msgspec.Struct, frozen=True):
    """A session and its tokens. Times are Unix seconds; `inbox` is the stream to follow first."""

    user: int
    name: str
    display_name: str
    device: int
    session: int
    inbox: int
    access_token: str
    expires_at: int
    refresh_token: str
    refresh_expires_at: int


class Me(msgspec.Struct, frozen=True):
    """Who asks, by the access token that came along."""

    user: int
    name: str
    display_name: str
    device: int
    session: int


class ListedSession(msgspec.Struct, frozen=True):
    """One living session; `current` is the one that asks."""

    session: int
    device: int
    device_name: str
    software: str
    address: str
    created_at: int
    last_seen_at: int
    expires_at: int
    current: bool


class SessionList(msgspec.Struct, frozen=True):
    """The account's living sessions, the one used last first."""

    sessions: list[ListedSession]


def create_auth(services: Services) -> Blueprint:
    """The routes above."""
    routes = Blueprint("auth", __name__, url_prefix="/api/v1/auth")
    identity = Identity(services)
    routes.post("/register")(identity.register)
    routes.post("/login")(identity.log_in)
    routes.post("/refresh")(identity.refresh)
    routes.post("/logout")(identity.log_out)
    routes.post("/logout-others")(identity.log_out_others)
    routes.post("/logout-everywhere")(identity.log_out_everywhere)
    routes.get("/me")(identity.tell_who_asks)
    routes.get("/sessions")(identity.list_sessions)
    # Werkzeug's converter keeps out what is no number; the bound keeps out what is no bigint.
    routes.delete(f"/sessions/<int(min=1, max={ID_MAX}):session>")(identity.end_session)
    return routes


class Identity:
    """One method per route."""

    def __init__(self, services: Services) -> None:
        self._accounts = services.accounts
        self._tokens = services.tokens
        self._sessions = services.sessions
        self._passwords = services.passwords
        self._passkeys = services.passkeys
        self._rates = services.rates
        self._limits = services.limits
        self._wall = services.wall
        self._registration_open = services.registration_open

    @needs(ANYONE)
    @answers("Makes an account and opens a session.", {201: Session}, takes=Register, refuses=(Code.FORBIDDEN, Code.CONFLICT))
    async def register(self) -> Response:
        if not self._registration_open:
            raise Problem(Code.FORBIDDEN, "accounts are made by the operator here")
        wanted = await read_json(Register)
        try:
            name = normalise_name(wanted.name)
            display_name = normalise_label(wanted.display_name, "display name", DISPLAY_NAME_LENGTH_MAX) or name
            device_name = normalise_label(wanted.device_name, "device name", DEVICE_NAME_LENGTH_MAX)
            email = normalise_email(wanted.email) if wanted.email else ""
            language = normalise_language(wanted.language)
            self._passwords.check(wanted.password)
        except (NameRefused, PasswordRefused) as error:
            raise Problem(Code.INVALID, str(error)) from None
        await take(self._rates, "password", network(), self._limits.password_address)
        await set_right(self._passwords.judge(wanted.password, (name, display_name, email)))
        # Counted after the checks: a mistyped form should not use up a classroom's registrations.
        await take(self._rates, "register", network(), self._limits.register_address)
        if email:
            await take(self._rates, "mail", secret_key(email), self._limits.mail_address)
        password_hash = await set_right(self._passwords.hash(wanted.password))
        registration = Registration(name, display_name, password_hash, device_name, email, language)
        return self._session(await self._accounts.register(registration, caller()), status=201)

    @needs(ANYONE)
    @answers(
        "Opens a session by name and password, or asks for a second step.",
        {200: (Session, SecondStepNeeded)},
        takes=LogIn,
        refuses=(Code.UNAUTHENTICATED, Code.FORBIDDEN, Code.NOT_FOUND),
    )
    async def log_in(self) -> Response:
        wanted = await read_json(LogIn)
        try:
            device_name = normalise_label(wanted.device_name, "device name", DEVICE_NAME_LENGTH_MAX)
        except NameRefused as error:
            raise Problem(Code.INVALID, str(error)) from None
        try:
            name = normalise_name(wanted.name)
        except NameRefused:
            name = ""  # nobody's: it fails as any other wrong name does
        try:
            # First of all: who is told to come back has not used up a try, and costs next to nothing.
            self._passwords.refuse_if_full()
        except HashingBusy as error:
            refuse_busy(error)
        account = secret_key(name)
        await take(self._rates, "login", network(), self._limits.login_address)
        await take(self._rates, "login-account-address", f"{account}:{network()}", self._limits.login_account_address)
        await take(self._rates, "login-account", account, self._limits.login_account)
        found = await self._accounts.find_credentials(name)
        verdict = await set_right(self._passwords.verify(found.password_hash if found else None, wanted.password))
        if found is None or verdict is Verdict.WRONG:
            await self._accounts.note_failed_login(found.user if found else 0, caller())
            raise Problem(Code.UNAUTHENTICATED, "the name or the password is wrong")
        new_hash = await self._hash_again(wanted.password) if verdict is Verdict.RIGHT_BUT_OLD else None
        answer = await self._accounts.begin_log_in(found, wanted.device, device_name, new_hash, caller())
        return tell_challenge(answer, self._passkeys) if isinstance(answer, Challenge) else self._session(answer)

    @needs(ANYONE)
    @answers(
        "Gives the next tokens for a refresh token, good once.",
        {200: Session},
        takes=Refresh,
        refuses=(Code.UNAUTHENTICATED,),
    )
    async def refresh(self) -> Response:
        wanted = await read_json(Refresh)
        await take(self._rates, "refresh", network(), self._limits.refresh_address)
        return self._session(await self._accounts.refresh(wanted.refresh_token, caller()))

    @needs(OWN)
    @answers("Ends the session that asks.", {204: None}, refuses=(Code.NOT_FOUND,))
    async def log_out(self) -> Response:
        # Of a session that is over too: whoever did not hear the answer asks again, and that is no error.
        claims = bearer(self._tokens, self._wall())
        await take(self._rates, "session", claims.user, self._limits.session_user)
        _check(await self._accounts.end_session(claims, claims.session, caller()))
        return _done()

    @needs(OWN)
    @answers("Ends every session of the account but the one that asks.", {204: None})
    async def log_out_others(self) -> Response:
        claims = await self._admit()
        await take(self._rates, "session", claims.user, self._limits.session_user)
        _check(await self._accounts.end_other_sessions(claims, caller()))
        return _done()

    @needs(OWN)
    @answers("Ends every session of the account.", {204: None})
    async def log_out_everywhere(self) -> Response:
        claims = await self._admit()
        await take(self._rates, "session", claims.user, self._limits.session_user)
        _check(await self._accounts.end_every_session(claims, caller()))
        return _done()

    @needs(OWN)
    @answers("Who asks.", {200: Me})
    async def tell_who_asks(self) -> Response:
        claims = await self._admit()
        await take(self._rates, "session", claims.user, self._limits.session_user)
        names = await self._accounts.find_names(claims.user)
        if names is None:
            raise Problem(Code.REVOKED, "this account is gone")
        return _json(Me(claims.user, names.name, names.display_name, claims.device, claims.session))

    @needs(OWN)
    @answers("The account's living sessions.", {200: SessionList})
    async def list_sessions(self) -> Response:
        claims = await self._admit()
        await take(self._rates, "session", claims.user, self._limits.session_user)
        found = await self._accounts.list_sessions(claims)
        if isinstance(found, Declined):
            raise Problem(found.code, found.detail)
        return _json(SessionList([_listed(info, claims.session) for info in found]))

    @needs(OWN)
    @answers("Ends one of the account's sessions.", {204: None})
    async def end_session(self, session: int) -> Response:
        claims = await self._admit()
        await take(self._rates, "session", claims.user, self._limits.session_user)
        _check(await self._accounts.end_session(claims, session, caller()))
        return _done()

    async def _admit(self) -> Claims:
        return await admit(self._tokens, self._sessions, self._wall())

    async def _hash_again(self, password: str) -> str | None:
        """At today's cost. A password of before today's rules keeps its old hash: it is right, and that is no time to argue."""
        try:
            return await self._passwords.hash(password)
        except PasswordRefused:
            return None
        except HashingBusy as error:
            refuse_busy(error)

    def _session(self, opened: Opened | Declined, status: int = 200) -> Response:
        return tell_session(self._tokens, opened, self._wall(), status)


def tell_session(tokens: Signer, opened: Opened | Declined, now: float, status: int = 200) -> Response:
    """The answer with a session that was opened, and its tokens. Raises `Problem` if it was not."""
    if isinstance(opened, Declined):
        raise Problem(opened.code, opened.detail)
    # No token outlives its session: whoever believes it by its signature alone is never wrong for longer than a revocation takes.
    token, expires_at = tokens.issue(opened.user, opened.device, opened.session, now, opened.refresh_expires_at)
    answer = Session(
        user=opened.user,
        name=opened.name,
        display_name=opened.display_name,
        device=opened.device,
        session=opened.session,
        inbox=opened.inbox,
        access_token=token,
        expires_at=expires_at,
        refresh_token=opened.refresh_token,
        refresh_expires_at=opened.refresh_expires_at,
    )
    return _json(answer, status)


def _listed(info: SessionInfo, current: int) -> ListedSession:
    return ListedSession(
        session=info.session,
        device=info.device,
        device_name=info.device_name,
        software=info.software,
        address=info.address,
        created_at=info.created_at,
        last_seen_at=info.last_seen_at,
        expires_at=info.expires_at,
        current=info.session == current,
    )


def _json(answer: msgspec.Struct, status: int = 200) -> Response:
    return Response(msgspec.json.encode(answer), status=status, content_type="application/json")


def _done() -> Response:
    # Empty bytes, not nothing: Quart iterates over nothing with asyncio.
    return Response(b"", status=204)


def _check(declined: Declined | None) -> None:
    if declined is not None:
        raise Problem(declined.code, declined.detail)


async def set_right(work: Awaitable[T]) -> T:
    """What `Passwords` answers, with its refusals as problems. Raises `Problem`."""
    try:
        return await work
    except HashingBusy as error:
        refuse_busy(error)
    except PasswordRefused as error:
        raise Problem(Code.INVALID, str(error)) from None


def refuse_busy(error: HashingBusy) -> NoReturn:
    raise Problem(Code.BUSY, "too many people log in at this moment; nothing was done", retry_after_s=error.retry_after_s) from None


def secret_key(typed: str) -> str:
    """What limits count a name or an address by. Hashed, because it becomes part of a key in Redis and is anything that somebody typed."""
    return hashlib.blake2s(typed.casefold().encode(), digest_size=12).hexdigest()
