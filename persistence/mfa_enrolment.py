"""Setting up second factors and taking them away, inside a transaction whose account's factors are locked.

    offer_totp ─▶ a sealed secret, unconfirmed ─ first code ─▶ set          offer_passkey ─▶ challenge ─ what the browser made ─▶ set
    the first method ─▶ ten recovery codes, shown once                       the last one removed ─▶ the codes go, too

Each change is in the audit log and is told to the owner on every device: whoever sets up a factor with a stolen session is seen.

Invariant: an account with a second factor was shown recovery codes, and one without has none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import asyncpg

from actors.accounts import Caller, Claims, Declined
from actors.mfa import (
    PASSKEYS_MAX,
    Authenticators,
    Enrolled,
    Listed,
    Method,
    MfaRules,
    PasskeyOffer,
    Passkeys,
    Purpose,
    Refusal,
    Refused,
    TotpOffer,
    wait_of,
)
from actors.sentences import say
from persistence import mfa_factors as factors
from persistence.mfa import methods_of, put_challenge
from persistence.mfa_challenges import miss, spend, take_up
from persistence.sessions import ASKER_ENDED, is_living
from protocol.codes import Code

FULL: Final = Declined(Code.LIMIT, f"an account has up to {PASSKEYS_MAX} passkeys; remove one first")


class Enrolment:
    """One method per deed of `actors.mfa.MultiFactor`; each runs in a transaction of its own."""

    def __init__(self, authenticators: Authenticators, passkeys: Passkeys, rules: MfaRules, random_bytes: Callable[[int], bytes]) -> None:
        self._authenticators = authenticators
        self._passkeys = passkeys
        self._rules = rules
        self._random_bytes = random_bytes

    async def offer_totp(self, tx: asyncpg.Connection, claims: Claims, caller: Caller) -> TotpOffer | Declined:
        await factors.lock(tx, claims.user, self._random_bytes)
        if not await is_living(tx, claims):
            return ASKER_ENDED
        secret, sealed = self._authenticators.make(claims.user)
        row = await tx.fetchrow(_OFFER_TOTP, claims.user, sealed, self._authenticators.key_name, float(self._rules.enrol_s))
        if row is None:
            return Declined(Code.CONFLICT, "an authenticator app is set up for this account; remove it first")
        await factors.tell(tx, claims.user, "mfa.totp_offered", caller)
        return TotpOffer(secret, row["name"], row["until"])

    async def confirm_totp(self, tx: asyncpg.Connection, claims: Claims, code: str, caller: Caller) -> Enrolled | Refused | Declined:
        locked = await factors.lock(tx, claims.user, self._random_bytes)
        if not await is_living(tx, claims):
            return ASKER_ENDED
        if wait_s := wait_of(locked.standing, locked.now, self._rules):
            return Refused(Refusal.WAIT, wait_s=wait_s)
        sealed = await tx.fetchval(_OFFERED_TOTP, claims.user, float(self._rules.enrol_s))
        if sealed is None:
            return Refused(Refusal.NOT_SET)
        matched = self._authenticators.match(claims.user, sealed, code, locked.now, 0)
        if matched is None:
            await factors.note_wrong(tx, claims.user, locked, Method.TOTP, self._rules, caller)
            return Refused(Refusal.WRONG)
        first = not await methods_of(tx, claims.user)
        await factors.note_right(tx, claims.user)
        made = await tx.fetchval(_CONFIRM_TOTP, claims.user, matched.step)
        return await self._enrolled(tx, claims, Listed(Method.TOTP, created_at=made), first, caller)

    async def offer_passkey(self, tx: asyncpg.Connection, claims: Claims, caller: Caller) -> PasskeyOffer | Declined:
        locked = await factors.lock(tx, claims.user, self._random_bytes)
        if not await is_living(tx, claims):
            return ASKER_ENDED
        if await self._is_full(tx, claims.user):
            return FULL
        challenge = await put_challenge(
            tx, Purpose.ADD_PASSKEY, claims.user, caller, self._rules, self._random_bytes, session=claims.session
        )
        row = await tx.fetchrow("SELECT name::text, display_name FROM accounts WHERE id = $1", claims.user)
        return PasskeyOffer(challenge, locked.handle, row["name"], row["display_name"])

    async def add_passkey(
        self, tx: asyncpg.Connection, claims: Claims, token: bytes, credential: bytes, name: str, caller: Caller
    ) -> Enrolled | Refused | Declined:
        question = await take_up(tx, token, (Purpose.ADD_PASSKEY,), caller, self._rules, claims)
        if question is None:
            return Refused(Refusal.OVER)
        await factors.lock(tx, claims.user, self._random_bytes)
        if not await is_living(tx, claims):
            return ASKER_ENDED
        made = self._passkeys.read_new(credential, token)
        if made is None:
            return Refused(Refusal.WRONG, tries_left=await miss(tx, question, self._rules))
        await spend(tx, question)
        if await self._is_full(tx, claims.user):
            return FULL
        first = not await methods_of(tx, claims.user)
        row = await tx.fetchrow(
            _ADD_PASSKEY,
            claims.user,
            made.credential_id,
            made.public_key,
            made.sign_count,
            list(made.transports),
            made.backup_eligible,
            made.backed_up,
            name,
        )
        if row is None:
            return Declined(Code.CONFLICT, "this passkey is known already")
        listed = Listed(Method.PASSKEY, row["id"], name, row["made"], 0, made.backed_up)
        return await self._enrolled(tx, claims, listed, first, caller)

    async def remove(self, tx: asyncpg.Connection, claims: Claims, method: Method, number: int, caller: Caller) -> Declined | None:
        await factors.lock(tx, claims.user, self._random_bytes)
        if not await is_living(tx, claims):
            return ASKER_ENDED
        if method is Method.TOTP:
            gone = await tx.fetchval("DELETE FROM mfa_totp WHERE user_id = $1 AND confirmed_at IS NOT NULL RETURNING true", claims.user)
        else:
            gone = await tx.fetchval("DELETE FROM passkeys WHERE user_id = $1 AND id = $2 RETURNING true", claims.user, number)
        if not gone:
            return Declined(Code.NOT_FOUND, "this account has no such method")
        left = await methods_of(tx, claims.user)
        if not left:
            await tx.execute("DELETE FROM mfa_recovery_codes WHERE user_id = $1", claims.user)
        await factors.tell(tx, claims.user, "mfa.removed", caller, subject=number or None, detail={"method": method.value})
        what = "totp_removed" if method is Method.TOTP else "passkey_removed"
        await factors.warn(tx, claims.user, say(what if left else f"last_{what}"))
        return None

    async def rename_passkey(self, tx: asyncpg.Connection, claims: Claims, number: int, name: str) -> Declined | None:
        await factors.lock(tx, claims.user, self._random_bytes)
        if not await is_living(tx, claims):
            return ASKER_ENDED
        if await tx.fetchval("UPDATE passkeys SET name = $3 WHERE user_id = $1 AND id = $2 RETURNING true", claims.user, number, name):
            return None
        return Declined(Code.NOT_FOUND, "this account has no such passkey")

    async def renew_codes(self, tx: asyncpg.Connection, claims: Claims, caller: Caller) -> tuple[str, ...] | Declined:
        await factors.lock(tx, claims.user, self._random_bytes)
        if not await is_living(tx, claims):
            return ASKER_ENDED
        if not await methods_of(tx, claims.user):
            return Declined(Code.NOT_FOUND, "recovery codes stand in for a second factor, and this account has none")
        codes = await factors.renew_codes(tx, claims.user, self._random_bytes)
        await factors.tell(tx, claims.user, "mfa.recovery_renewed", caller)
        await factors.warn(tx, claims.user, say("codes_renewed"))
        return codes

    async def _enrolled(self, tx: asyncpg.Connection, claims: Claims, listed: Listed, first: bool, caller: Caller) -> Enrolled:
        await factors.tell(tx, claims.user, "mfa.added", caller, subject=listed.number or None, detail={"method": listed.method.value})
        what = "totp_added" if listed.method is Method.TOTP else "passkey_added"
        await factors.warn(tx, claims.user, say(what), listed.number)
        return Enrolled(listed, await factors.renew_codes(tx, claims.user, self._random_bytes) if first else ())

    async def _is_full(self, tx: asyncpg.Connection, user: int) -> bool:
        held: int = await tx.fetchval("SELECT count(*) FROM passkeys WHERE user_id = $1", user)
        return held >= PASSKEYS_MAX


_OFFER_TOTP: Final = """
INSERT INTO mfa_totp AS t (user_id, sealed, sealed_by, created_at) VALUES ($1, $2, $3, clock_timestamp())
ON CONFLICT (user_id) DO UPDATE
SET sealed = excluded.sealed, sealed_by = excluded.sealed_by, created_at = excluded.created_at, last_step = 0
WHERE t.confirmed_at IS NULL
RETURNING (SELECT name::text FROM accounts WHERE id = $1) AS name,
          extract(epoch FROM t.created_at + make_interval(secs => $4))::bigint AS until
"""

_OFFERED_TOTP: Final = """
SELECT sealed FROM mfa_totp
WHERE user_id = $1 AND confirmed_at IS NULL AND created_at > clock_timestamp() - make_interval(secs => $2) FOR UPDATE
"""

_CONFIRM_TOTP: Final = """
UPDATE mfa_totp SET confirmed_at = now(), last_step = $2, last_used_at = now() WHERE user_id = $1
RETURNING extract(epoch FROM confirmed_at)::bigint
"""

_ADD_PASSKEY: Final = """
INSERT INTO passkeys (user_id, credential_id, public_key, sign_count, transports, backup_eligible, backed_up, name)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (credential_id) DO NOTHING RETURNING id, extract(epoch FROM created_at)::bigint AS made
"""
