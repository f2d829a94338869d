"""Multi-factor in Postgres: implements `actors.mfa.MultiFactor`.

    answer  ─▶ take up the challenge ─▶ lock the account's factors ─▶ show ─▶ Proven, the challenge is gone  │ Refused, one try fewer
    step_up ─▶ (a passkey's challenge) ─▶ lock ─▶ show ─▶ sessions.proven_at = now
    offer, confirm, add, remove, renew ─▶ lock ─▶ change, audit, warn the owner                    each one transaction

What is refused is committed too: a try that was counted stays counted. Enrolment is `persistence.mfa_enrolment`.

Invariant: nobody is proven by a transaction that did not use up what proved them.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import asyncpg

from actors.accounts import Caller, Claims, Declined
from actors.mfa import (
    Authenticators,
    Challenge,
    Enrolled,
    Factors,
    Method,
    MfaRules,
    PasskeyOffer,
    PasskeyProof,
    Passkeys,
    Proof,
    Proven,
    Purpose,
    RecoveryProof,
    Refusal,
    Refused,
    TotpOffer,
    TotpProof,
    wait_of,
)
from persistence import mfa_factors as factors
from persistence import retries
from persistence.bridge import Bridge
from persistence.lanes import Work
from persistence.mfa import descriptors, methods_of, put_challenge
from persistence.mfa_challenges import miss, spend, take_up
from persistence.mfa_enrolment import Enrolment
from persistence.sessions import ASKER_ENDED, CHANGED_AT, is_living
from protocol.codes import Code

T = TypeVar("T")

LOG_IN: Final = (Purpose.LOG_IN, Purpose.PASSWORDLESS)
OVER: Final = Refused(Refusal.OVER)


class PostgresMultiFactor:
    """See `actors.mfa.MultiFactor` for what each method means."""

    def __init__(
        self,
        bridge: Bridge,
        authenticators: Authenticators,
        passkeys: Passkeys,
        rules: MfaRules = MfaRules(),  # noqa: B008 (frozen)
        *,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._bridge = bridge
        self._authenticators = authenticators
        self._passkeys = passkeys
        self._showing = factors.Showing(authenticators, passkeys)
        self._enrolment = Enrolment(authenticators, passkeys, rules, random_bytes)
        self._rules = rules
        self._random_bytes = random_bytes
        self.wrong = 0
        """Proofs that were wrong; read by the metrics, with `right`."""
        self.right = 0

    async def begin_passwordless(self, device: int, device_name: str, caller: Caller) -> Challenge:
        async def work(tx: asyncpg.Connection) -> Challenge:
            return await put_challenge(
                tx, Purpose.PASSWORDLESS, None, caller, self._rules, self._random_bytes, device=device, device_name=device_name
            )

        return await self._run(work)

    async def answer(self, token: bytes, proof: Proof, caller: Caller) -> Proven | Refused:
        return self._count(await self._run(lambda tx: self.answer_in(tx, token, proof, caller)))

    async def answer_in(self, tx: asyncpg.Connection, token: bytes, proof: Proof, caller: Caller) -> Proven | Refused:
        """As `answer`, in the caller's transaction."""
        question = await take_up(tx, token, LOG_IN, caller, self._rules)
        if question is None:
            return OVER
        alone = question.purpose is Purpose.PASSWORDLESS
        user = await self._owner(tx, proof) if alone else question.user
        if user is None:
            return Refused(Refusal.WRONG, tries_left=await miss(tx, question, self._rules))
        method = _method(proof)
        locked = await factors.lock(tx, user, self._random_bytes)
        if method is Method.TOTP and (wait_s := wait_of(locked.standing, locked.now, self._rules)):
            return Refused(Refusal.WAIT, wait_s=wait_s)
        if not await self._showing.show(tx, user, locked, proof, token, caller, alone=alone):
            await factors.note_wrong(tx, user, locked, method, self._rules, caller)
            return Refused(Refusal.WRONG, tries_left=await miss(tx, question, self._rules))
        await spend(tx, question)
        await factors.note_right(tx, user)
        await factors.tell(tx, user, "mfa.proven", caller, detail={"method": method.value})
        changed_at_us = await tx.fetchval(f"SELECT {CHANGED_AT} FROM accounts WHERE id = $1", user)
        return Proven(user, method, question.purpose, question.device, question.device_name, changed_at_us)

    async def begin_step_up(self, claims: Claims, caller: Caller) -> Challenge | Declined:
        async def work(tx: asyncpg.Connection) -> Challenge | Declined:
            if not await is_living(tx, claims):
                return ASKER_ENDED
            if not await descriptors(tx, claims.user):
                return Declined(Code.MFA, "this account has no passkey")
            return await put_challenge(tx, Purpose.STEP_UP, claims.user, caller, self._rules, self._random_bytes, session=claims.session)

        return await self._run(work)

    async def step_up(self, claims: Claims, proof: Proof, token: bytes | None, caller: Caller) -> Method | Refused | Declined:
        async def work(tx: asyncpg.Connection) -> Method | Refused | Declined:
            method = _method(proof)
            question = None
            if method is Method.PASSKEY:
                question = await take_up(tx, token or b"", (Purpose.STEP_UP,), caller, self._rules, claims)
                if question is None:
                    return OVER
            locked = await factors.lock(tx, claims.user, self._random_bytes)
            if not await is_living(tx, claims):
                return ASKER_ENDED
            if method not in await methods_of(tx, claims.user):
                return Refused(Refusal.NOT_SET)
            if method is Method.TOTP and (wait_s := wait_of(locked.standing, locked.now, self._rules)):
                return Refused(Refusal.WAIT, wait_s=wait_s)
            if not await self._showing.show(tx, claims.user, locked, proof, token or b"", caller):
                await factors.note_wrong(tx, claims.user, locked, method, self._rules, caller)
                return Refused(Refusal.WRONG, tries_left=0 if question is None else await miss(tx, question, self._rules))
            if question is not None:
                await spend(tx, question)
            await factors.note_right(tx, claims.user)
            await _prove(tx, claims, method, caller)
            return method

        return self._count(await self._run(work))

    async def may_step_up_by_password(self, claims: Claims) -> Refused | Declined | None:
        async def work(tx: asyncpg.Connection) -> Refused | Declined | None:
            return await self._by_password(tx, claims, await factors.lock(tx, claims.user, self._random_bytes))

        return await self._run(work)

    async def step_up_by_password(self, claims: Claims, right: bool, caller: Caller) -> Refused | Declined | None:
        async def work(tx: asyncpg.Connection) -> Refused | Declined | None:
            locked = await factors.lock(tx, claims.user, self._random_bytes)
            # Asked again: a factor may have been set, and guesses counted, while the password was hashed.
            if (refused := await self._by_password(tx, claims, locked)) is not None:
                return refused
            if not right:
                await factors.note_wrong(tx, claims.user, locked, Method.PASSWORD, self._rules, caller)
                return Refused(Refusal.WRONG)
            await factors.note_right(tx, claims.user)
            await _prove(tx, claims, Method.PASSWORD, caller)
            return None

        return await self._run(work)

    async def proven_s(self, claims: Claims) -> float | None:
        async def work(tx: asyncpg.Connection) -> float | None:
            passed: float | None = await tx.fetchval(_PROVEN_S, claims.session, claims.user)
            return passed

        return await self._run(work)

    async def list_factors(self, claims: Claims) -> Factors:
        async def work(tx: asyncpg.Connection) -> Factors:
            return await factors.factors_of(tx, claims.user)

        return await self._run(work)

    async def offer_totp(self, claims: Claims, caller: Caller) -> TotpOffer | Declined:
        return await self._run(lambda tx: self._enrolment.offer_totp(tx, claims, caller))

    async def confirm_totp(self, claims: Claims, code: str, caller: Caller) -> Enrolled | Refused | Declined:
        return await self._run(lambda tx: self._enrolment.confirm_totp(tx, claims, code, caller))

    async def offer_passkey(self, claims: Claims, caller: Caller) -> PasskeyOffer | Declined:
        return await self._run(lambda tx: self._enrolment.offer_passkey(tx, claims, caller))

    async def add_passkey(
        self, claims: Claims, token: bytes, credential: bytes, name: str, caller: Caller
    ) -> Enrolled | Refused | Declined:
        return await self._run(lambda tx: self._enrolment.add_passkey(tx, claims, token, credential, name, caller))

    async def remove(self, claims: Claims, method: Method, number: int, caller: Caller) -> Declined | None:
        return await self._run(lambda tx: self._enrolment.remove(tx, claims, method, number, caller))

    async def rename_passkey(self, claims: Claims, number: int, name: str) -> Declined | None:
        return await self._run(lambda tx: self._enrolment.rename_passkey(tx, claims, number, name))

    async def renew_recovery_codes(self, claims: Claims, caller: Caller) -> Sequence[str] | Declined:
        return await self._run(lambda tx: self._enrolment.renew_codes(tx, claims, caller))

    async def reseal(self, limit: int = 100) -> int:
        """Seals up to `limit` secrets anew that an older key sealed, so that it may leave the key file; how many. For a job."""

        async def work(tx: asyncpg.Connection) -> int:
            rows = await tx.fetch(_OLD_SEALS, list(self._authenticators.older_keys), limit)
            done = 0
            for row in rows:
                sealed = self._authenticators.reseal(row["user_id"], row["sealed"])
                if sealed is not None:
                    await tx.execute(_RESEAL, row["user_id"], sealed, self._authenticators.key_name)
                    done += 1
            return done

        return await self._run(work)

    async def _owner(self, tx: asyncpg.Connection, proof: Proof) -> int | None:
        """Whose passkey this claims to be."""
        if not isinstance(proof, PasskeyProof) or (credential_id := self._passkeys.credential_id(proof.credential)) is None:
            return None
        user: int | None = await tx.fetchval("SELECT user_id FROM passkeys WHERE credential_id = $1", credential_id)
        return user

    async def _by_password(self, tx: asyncpg.Connection, claims: Claims, locked: factors.Locked) -> Refused | Declined | None:
        if not await is_living(tx, claims):
            return ASKER_ENDED
        if await methods_of(tx, claims.user):
            return Refused(Refusal.NOT_SET)
        wait_s = wait_of(locked.standing, locked.now, self._rules)
        return Refused(Refusal.WAIT, wait_s=wait_s) if wait_s else None

    def _count(self, answer: T) -> T:
        if isinstance(answer, Refused):
            self.wrong += 1
        else:
            self.right += 1
        return answer

    async def _run(self, work: Work[T]) -> T:
        return await retries.run(self._bridge, work)


def _method(proof: Proof) -> Method:
    match proof:
        case TotpProof():
            return Method.TOTP
        case RecoveryProof():
            return Method.RECOVERY
        case PasskeyProof():
            return Method.PASSKEY


async def _prove(tx: asyncpg.Connection, claims: Claims, method: Method, caller: Caller) -> None:
    await tx.execute("UPDATE sessions SET proven_at = clock_timestamp() WHERE id = $1 AND user_id = $2", claims.session, claims.user)
    await factors.tell(tx, claims.user, "session.proven", caller, subject=claims.session, detail={"method": method.value})


_PROVEN_S: Final = """
SELECT extract(epoch FROM clock_timestamp() - proven_at)::float8 FROM sessions WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL
"""

_OLD_SEALS: Final = """
SELECT user_id, sealed FROM mfa_totp WHERE sealed_by = ANY ($1) LIMIT $2 FOR UPDATE SKIP LOCKED
"""

_RESEAL: Final = "UPDATE mfa_totp SET sealed = $2, sealed_by = $3 WHERE user_id = $1"
