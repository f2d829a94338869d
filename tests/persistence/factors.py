"""What tests of second factors share: somebody with factors set up, phones and passkeys that answer, time moved by ageing rows."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pyotp

from actors.accounts import Caller, Claims, Declined, Opened
from actors.mfa import Challenge, Enrolled, PasskeyProof, Refusal, Refused, TotpOffer, TotpProof
from gateway.options import RelyingParty
from gateway.passkeys import PasskeyReader
from gateway.seals import DERIVED_BYTES, Seals
from gateway.totp import STEP_S, TotpReader
from persistence.accounts import PostgresAccounts
from persistence.bridge import Bridge
from persistence.multi_factor import PostgresMultiFactor
from tests.gateway.authenticator import Passkey
from tests.persistence.identity import CALLER, Listening, claims, credentials, query, register

RP, ORIGIN = "learn.example", "https://learn.example"
READER = PasskeyReader(RelyingParty(RP, "Learn", (ORIGIN,)))
SEALS = Seals([b"k" * DERIVED_BYTES])
ELSEWHERE = Caller("198.51.100.9", "test/1", "198.51.100.9")


class Person:
    """Somebody with a session, and what they hold."""

    def __init__(self, bridge: Bridge, factors: PostgresMultiFactor, opened: Opened) -> None:
        self.bridge, self.factors, self.opened = bridge, factors, opened
        self.claims: Claims = claims(opened)
        self.user = opened.user
        self.secret = b""
        self.codes: list[str] = []
        self.passkeys: list[Passkey] = []

    async def add_totp(self) -> Enrolled:
        offer = await self.factors.offer_totp(self.claims, CALLER)
        assert isinstance(offer, TotpOffer), offer
        self.secret = base64.b32decode(offer.secret)
        enrolled = await self.factors.confirm_totp(self.claims, (await self.code()).code, CALLER)
        assert isinstance(enrolled, Enrolled), enrolled
        self.codes = list(enrolled.recovery_codes) or self.codes
        return enrolled

    async def add_passkey(self, **traits: Any) -> Enrolled:
        passkey = Passkey(RP, ORIGIN, **traits)
        enrolled = await self.make(passkey)
        assert isinstance(enrolled, Enrolled), enrolled
        self.passkeys.append(passkey)
        self.codes = list(enrolled.recovery_codes) or self.codes
        return enrolled

    async def make(self, passkey: Passkey) -> Enrolled | Refused | Declined:
        offer = await self.factors.offer_passkey(self.claims, CALLER)
        if isinstance(offer, Declined):
            return offer
        credential = msgspec.json.encode(passkey.make(READER.creation_options(offer)))
        return await self.factors.add_passkey(self.claims, offer.challenge.token, credential, "key", CALLER)

    async def code(self, off: int = 0) -> TotpProof:
        """What the phone shows now, by the database's clock; `off` steps later."""
        (row,) = await query(self.bridge, "SELECT extract(epoch FROM clock_timestamp())::float8 AS now")
        return TotpProof(self.code_at(int(row["now"] // STEP_S) + off))

    def code_at(self, step: int) -> str:
        return pyotp.TOTP(base64.b32encode(self.secret).decode()).generate_otp(step)

    async def wrong_code(self) -> TotpProof:
        """A code that is of no time step near now."""
        (row,) = await query(self.bridge, "SELECT extract(epoch FROM clock_timestamp())::float8 AS now")
        near = {self.code_at(int(row["now"] // STEP_S) + off) for off in range(-3, 4)}
        return TotpProof(next(code for code in (f"{number:06}" for number in range(8)) if code not in near))

    def sign(self, challenge: Challenge, passkey: Passkey | None = None, *, alone: bool = False) -> PasskeyProof:
        chosen = passkey or self.passkeys[0]
        return PasskeyProof(msgspec.json.encode(chosen.get(READER.request_options(challenge, alone=alone))))

    async def forget_step(self) -> None:
        """As if the last code had been taken long ago: what waiting for the next one would do."""
        await query(self.bridge, "UPDATE mfa_totp SET last_step = last_step - 10 WHERE user_id = $1", self.user)


async def somebody(bridge: Bridge, factors: PostgresMultiFactor, name: str = "ada") -> Person:
    return Person(bridge, factors, await register(PostgresAccounts(bridge, Listening()), name))


def multi_factor(bridge: Bridge, **options: Any) -> PostgresMultiFactor:
    return PostgresMultiFactor(bridge, TotpReader(SEALS), READER, **options)


async def begin(person: Person, caller: Caller = CALLER) -> Challenge:
    """The challenge of a log-in whose password was right."""
    accounts = PostgresAccounts(person.bridge, Listening())
    answer = await accounts.begin_log_in(await credentials(accounts, person.user), 0, "laptop", None, caller)
    assert isinstance(answer, Challenge), answer
    return answer


async def let_wait(bridge: Bridge, seconds: float) -> None:
    """Makes waits and challenges older, which is what waiting would do."""
    await query(bridge, "UPDATE mfa_accounts SET blocked_until = blocked_until - make_interval(secs => $1)", seconds)
    await query(bridge, "UPDATE mfa_challenges SET expires_at = expires_at - make_interval(secs => $1)", seconds)
    await query(bridge, "UPDATE mfa_totp SET created_at = created_at - make_interval(secs => $1)", seconds)
    await query(bridge, "UPDATE sessions SET proven_at = proven_at - make_interval(secs => $1)", seconds)


def refusal(answer: object) -> Refusal:
    assert isinstance(answer, Refused), answer
    return answer.refusal
