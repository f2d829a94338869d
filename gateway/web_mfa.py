"""The second step of a log-in, step-up, and the methods of an account, over HTTP.

    POST   /api/v1/auth/mfa                  {challenge, code | recovery_code | passkey}              200 Session
    POST   /api/v1/auth/step-up              Bearer  {password | code | recovery_code | challenge, passkey}   200 {method, seconds}
    POST   /api/v1/auth/step-up/challenge    Bearer                                                   200 SecondStep
    GET    /api/v1/auth/methods              Bearer                                                   200 Methods
    POST   /api/v1/auth/totp                 Bearer, step-up                                          201 {secret, uri, expires_at}
    POST   /api/v1/auth/totp/confirm         Bearer, step-up  {code}                                  200 Added
    DELETE /api/v1/auth/totp                 Bearer, step-up                                          204
    POST   /api/v1/auth/recovery-codes       Bearer, step-up                                          200 {recovery_codes}

Passkeys have their own routes (`web_passkeys`); they answer challenges here. A wrong code, one that was used before, and a passkey of
somebody else are answered alike; so are a challenge that is over, one of another network, and one that never was.

Invariant: no session is opened here but for a challenge that was answered in this very request.
"""

from __future__ import annotations

import math
from typing import Annotated, NoReturn, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from quart import Blueprint, Response

from actors.accounts import Claims, Declined
from actors.mfa import Enrolled, Listed, Method, PasskeyProof, Proof, RecoveryProof, Refusal, Refused, TotpProof
from actors.recovery_codes import TYPED_LENGTH_MAX
from gateway.hash_orders import Verdict
from gateway.openapi_answers import answers
from gateway.problems import Problem
from gateway.totp import enrolment_uri
from gateway.web_auth import Password, Session, set_right, tell_session
from gateway.web_challenge import SecondStep, Token, describe, read_token
from gateway.web_input import Input, admit, caller, network, read_json, take
from gateway.web_needs import needs
from gateway.web_services import Services
from gateway.web_step_up import require_step_up
from protocol.codes import Code
from protocol.permissions import ANYONE, OWN, own

__all__ = ["create_mfa", "require_step_up"]

T = TypeVar("T")

OWN_FRESH = own(step_up=True)
Digits = Annotated[str, Meta(min_length=1, max_length=16)]
Recovery = Annotated[str, Meta(min_length=1, max_length=TYPED_LENGTH_MAX)]


class Answer(Input, frozen=True):
    """Answers a challenge by one of these. `passkey`: what `PublicKeyCredential.toJSON()` gave."""

    challenge: Token
    code: Digits | UnsetType = UNSET
    recovery_code: Recovery | UnsetType = UNSET
    passkey: msgspec.Raw | UnsetType = UNSET


class StepUp(Input, frozen=True):
    """Proves oneself anew, by one of these; a passkey with the challenge that it answers."""

    password: Password | UnsetType = UNSET
    code: Digits | UnsetType = UNSET
    recovery_code: Recovery | UnsetType = UNSET
    challenge: Token | UnsetType = UNSET
    passkey: msgspec.Raw | UnsetType = UNSET


class Confirm(Input, frozen=True):
    """The first code of a new authenticator."""

    code: Digits


class SteppedUp(Struct, frozen=True):
    """It is proven; dangerous things may be asked for within `seconds`."""

    method: str
    seconds: int


class ListedMethod(Struct, frozen=True):
    """One method that is set. `id`: a passkey's own. Times are Unix seconds; 0: never."""

    method: str
    id: int
    name: str
    created_at: int
    last_used_at: int
    backed_up: bool


class Methods(Struct, frozen=True):
    """What an account has set; without any, its password alone opens it."""

    methods: list[ListedMethod]
    recovery_codes_left: int


class NewTotp(Struct, frozen=True):
    """A secret for an authenticator app, shown once; it counts when a first code confirmed it, until `expires_at` (Unix seconds)."""

    secret: str
    uri: str
    expires_at: int


class Added(Struct, frozen=True):
    """A method was added. `recovery_codes` come with the first one, and are shown once."""

    method: ListedMethod
    recovery_codes: list[str]


class RecoveryCodes(Struct, frozen=True):
    """Ten new ones, shown once; all earlier ones are worth nothing."""

    recovery_codes: list[str]


def create_mfa(services: Services) -> Blueprint:
    """The routes above."""
    routes = Blueprint("mfa", __name__, url_prefix="/api/v1/auth")
    mfa = MultiFactorRoutes(services)
    routes.post("/mfa")(mfa.answer)
    routes.post("/step-up")(mfa.step_up)
    routes.post("/step-up/challenge")(mfa.begin_step_up)
    routes.get("/methods")(mfa.list_methods)
    routes.post("/totp")(mfa.offer_totp)
    routes.post("/totp/confirm")(mfa.confirm_totp)
    routes.delete("/totp")(mfa.remove_totp)
    routes.post("/recovery-codes")(mfa.renew_recovery_codes)
    return routes


class MultiFactorRoutes:
    """One method per route."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._factors = services.multi_factor

    @needs(ANYONE)
    @answers(
        "Opens a session by the second step of a log-in.",
        {200: Session},
        takes=Answer,
        refuses=(Code.MFA, Code.FORBIDDEN, Code.NOT_FOUND),
    )
    async def answer(self) -> Response:
        services = self._services
        wanted = await read_json(Answer)
        await take(services.rates, "mfa", network(), services.limits.login_address)
        proof = _proof(wanted.code, wanted.recovery_code, wanted.passkey)
        token = read_token(wanted.challenge)
        if proof is None:
            raise Problem(Code.INVALID, "a challenge is answered by one of: code, recovery_code, passkey")
        proven = await self._factors.answer(token or b"", proof, caller())
        if isinstance(proven, Refused):
            refuse(proven)
        opened = await services.accounts.log_in(proven.user, proven.device, proven.device_name, proven.changed_at_us, caller())
        return tell_session(services.tokens, opened, services.wall())

    @needs(OWN)
    @answers("Proves anew who one is, for what is dangerous.", {200: SteppedUp}, takes=StepUp, refuses=(Code.FORBIDDEN,))
    async def step_up(self) -> Response:
        claims = await self._admit()
        wanted = await read_json(StepUp)
        proof = _proof(wanted.code, wanted.recovery_code, wanted.passkey)
        if wanted.password is not UNSET and proof is None:
            return self._stepped_up(await self._step_up_by_password(claims, wanted.password))
        if proof is None or wanted.password is not UNSET:
            raise Problem(Code.INVALID, "one proves oneself by one of: password, code, recovery_code, or challenge and passkey")
        token = None if wanted.challenge is UNSET else read_token(wanted.challenge)
        answer = await self._factors.step_up(claims, proof, token, caller())
        if isinstance(answer, Refused):
            refuse(answer)
        return self._stepped_up(_done(answer))

    async def _step_up_by_password(self, claims: Claims, password: str) -> Method:
        services = self._services
        # Asked first, so that nothing is hashed for whom the password is not enough, or who must wait.
        _pass(await self._factors.may_step_up_by_password(claims))
        names = await services.accounts.find_names(claims.user)
        found = None if names is None else await services.accounts.find_credentials(names.name)
        verdict = await set_right(services.passwords.verify(found.password_hash if found else None, password))
        _pass(await self._factors.step_up_by_password(claims, found is not None and verdict is not Verdict.WRONG, caller()))
        return Method.PASSWORD

    @needs(OWN)
    @answers("Asks for a challenge that a passkey answers.", {200: SecondStep})
    async def begin_step_up(self) -> Response:
        claims = await self._admit()
        challenge = _done(await self._factors.begin_step_up(claims, caller()))
        return _json(describe(challenge, self._services.passkeys, alone=False))

    @needs(OWN)
    @answers("The account's second factors.", {200: Methods})
    async def list_methods(self) -> Response:
        claims = await self._admit()
        found = await self._factors.list_factors(claims)
        return _json(Methods([listed(one) for one in found.methods], found.recovery_left))

    @needs(OWN_FRESH)
    @answers("Makes a secret for an authenticator.", {201: NewTotp}, refuses=(Code.CONFLICT, Code.LIMIT))
    async def offer_totp(self) -> Response:
        claims = await self._admit(fresh=True)
        offer = _done(await self._factors.offer_totp(claims, caller()))
        uri = enrolment_uri(offer.secret, self._services.passkeys.party.name, offer.name)
        return _json(NewTotp(offer.secret, uri, offer.expires_at), 201)

    @needs(OWN_FRESH)
    @answers("Makes a new authenticator count, by its first code.", {200: Added}, takes=Confirm, refuses=(Code.CONFLICT, Code.NOT_FOUND))
    async def confirm_totp(self) -> Response:
        claims = await self._admit(fresh=True)
        wanted = await read_json(Confirm)
        return tell_added(await self._factors.confirm_totp(claims, wanted.code, caller()))

    @needs(OWN_FRESH)
    @answers("Takes the authenticator away.", {204: None}, refuses=(Code.NOT_FOUND, Code.CONFLICT))
    async def remove_totp(self) -> Response:
        claims = await self._admit(fresh=True)
        _pass(await self._factors.remove(claims, Method.TOTP, 0, caller()))
        return Response(b"", status=204)

    @needs(OWN_FRESH)
    @answers("Makes ten new recovery codes.", {200: RecoveryCodes}, refuses=(Code.NOT_FOUND, Code.CONFLICT))
    async def renew_recovery_codes(self) -> Response:
        claims = await self._admit(fresh=True)
        return _json(RecoveryCodes(list(_done(await self._factors.renew_recovery_codes(claims, caller())))))

    async def _admit(self, *, fresh: bool = False) -> Claims:
        return await admit_own(self._services, fresh=fresh)

    def _stepped_up(self, method: Method) -> Response:
        return _json(SteppedUp(method.value, int(self._services.step_up_s)))


async def admit_own(services: Services, *, fresh: bool) -> Claims:
    """Who asks about their own methods; `fresh`: only who has proven themselves lately. Raises `Problem`, `StorageError`."""
    claims = await admit(services.tokens, services.sessions, services.wall())
    await take(services.rates, "session", claims.user, services.limits.session_user)
    if fresh:
        await require_step_up(services, claims)
    return claims


def refuse(refused: Refused) -> NoReturn:
    """Raises `Problem` for a proof that was not taken."""
    match refused.refusal:
        case Refusal.OVER:
            raise Problem(Code.MFA, "this challenge is over, or was never put to you; begin anew")
        case Refusal.WRONG if refused.tries_left:
            raise Problem(Code.MFA, f"this is not right, or was used before; tries left: {refused.tries_left}")
        case Refusal.WRONG:
            raise Problem(Code.MFA, "this is not right, or was used before")
        case Refusal.WAIT if math.isinf(refused.wait_s):
            raise Problem(Code.MFA, "too many wrong codes; use a passkey or a recovery code")
        case Refusal.WAIT:
            wait_s = math.ceil(refused.wait_s)
            raise Problem(
                Code.RATE, f"too many wrong codes; come back in {wait_s} s, or use a passkey or a recovery code", retry_after_s=wait_s
            )
        case Refusal.NOT_SET:
            raise Problem(Code.MFA, "this is not what proves this account: GET /api/v1/auth/methods tells what does")


def tell_added(answer: Enrolled | Refused | Declined, status: int = 200) -> Response:
    """The answer with a method that was added. Raises `Problem` if none was."""
    if isinstance(answer, Refused):
        refuse(answer)
    enrolled = _done(answer)
    return _json(Added(listed(enrolled.listed), list(enrolled.recovery_codes)), status)


def listed(one: Listed) -> ListedMethod:
    return ListedMethod(one.method.value, one.number, one.name, one.created_at, one.last_used_at, one.backed_up)


def _proof(code: str | UnsetType, recovery: str | UnsetType, passkey: msgspec.Raw | UnsetType) -> Proof | None:
    """The one proof that was given; None if there is none, or more than one."""
    given: list[Proof] = []
    if code is not UNSET:
        given.append(TotpProof(code))
    if recovery is not UNSET:
        given.append(RecoveryProof(recovery))
    if passkey is not UNSET:
        given.append(PasskeyProof(bytes(passkey)))
    return given[0] if len(given) == 1 else None


def _done(answer: T | Declined) -> T:
    if isinstance(answer, Declined):
        raise Problem(answer.code, answer.detail)
    return answer


def _pass(answer: Refused | Declined | None) -> None:
    if isinstance(answer, Refused):
        refuse(answer)
    _done(answer)


def _json(answer: Struct, status: int = 200) -> Response:
    return Response(msgspec.json.encode(answer), status=status, content_type="application/json")
