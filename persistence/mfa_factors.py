"""Second factors' rows, inside a transaction: what is set, what was guessed, and whether what somebody shows is right.

    lock ─▶ Standing ─▶ show: TOTP │ recovery code │ passkey ─▶ right: used up, guesses forgotten     wrong: counted, sooner or later closed

Locks are taken in one order: the challenge, the account's row here, its factors. Time is the database's, read once the locks are held.

Invariant: what was shown and taken is marked in the transaction that takes it, under the account's lock, so that of two who show it at once
one is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import asyncpg
from msgspec import Struct

from actors import recovery_codes
from actors.accounts import Caller
from actors.mfa import (
    HANDLE_BYTES,
    RECOVERY_CODES,
    Authenticators,
    Factors,
    Listed,
    Method,
    MfaRules,
    PasskeyHeld,
    PasskeyProof,
    Passkeys,
    Proof,
    RecoveryProof,
    Standing,
    TotpProof,
    after_wrong,
)
from actors.notices import Notice, NoticeKind
from actors.sentences import say
from persistence.audit import Deed, record
from persistence.notices import notify


class Locked(Struct, frozen=True):
    """An account's row, locked until the transaction ends."""

    handle: bytes
    standing: Standing
    now: float
    """Unix seconds, by the database's clock."""


async def lock(tx: asyncpg.Connection, user: int, random_bytes: Callable[[int], bytes]) -> Locked:
    """Locks the account's second factors, and reads the time then."""
    await tx.execute(
        "INSERT INTO mfa_accounts (user_id, handle) VALUES ($1, $2) ON CONFLICT (user_id) DO NOTHING", user, random_bytes(HANDLE_BYTES)
    )
    row = await tx.fetchrow(
        "SELECT handle, failures, coalesce(extract(epoch FROM blocked_until), 0)::float8 AS blocked FROM mfa_accounts"
        " WHERE user_id = $1 FOR UPDATE",
        user,
    )
    now = await tx.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
    return Locked(row["handle"], Standing(row["failures"], row["blocked"]), now)


async def note_wrong(tx: asyncpg.Connection, user: int, locked: Locked, method: Method, rules: MfaRules, caller: Caller) -> None:
    """Counts something wrong that was shown; the account is locked. Only what can be guessed closes anything."""
    # By nobody: who shows something wrong is not known to be the account's owner.
    await record(tx, Deed(0, "mfa.wrong", subject=user, address=caller.address, detail={"method": method.value}))
    if method not in (Method.TOTP, Method.PASSWORD):
        return
    after = after_wrong(locked.standing, locked.now, rules)
    await tx.execute(
        "UPDATE mfa_accounts SET failures = $2, blocked_until = to_timestamp(nullif($3::float8, 0)) WHERE user_id = $1",
        user,
        after.failures,
        after.blocked_until,
    )
    if after.failures in (rules.guesses_free, rules.guesses_max) and after.failures > locked.standing.failures:
        await warn(tx, user, say("wrong_codes"))


async def note_right(tx: asyncpg.Connection, user: int) -> None:
    """Whoever guessed before is forgotten; the account is locked."""
    await tx.execute("UPDATE mfa_accounts SET failures = 0, blocked_until = NULL WHERE user_id = $1 AND failures > 0", user)


class Showing:
    """Whether what is shown is right. The account is locked; what is right is used up."""

    def __init__(self, authenticators: Authenticators, passkeys: Passkeys) -> None:
        self._authenticators = authenticators
        self._passkeys = passkeys

    async def show(
        self, tx: asyncpg.Connection, user: int, locked: Locked, proof: Proof, challenge: bytes, caller: Caller, *, alone: bool = False
    ) -> bool:
        """Judges a proof. `challenge`: what a passkey must have signed. `alone`: it is all that proves the person."""
        match proof:
            case TotpProof(code):
                return await self._totp(tx, user, locked, code)
            case RecoveryProof(code):
                return await self._recovery(tx, user, code)
            case PasskeyProof(credential):
                return await self._passkey(tx, user, locked, credential, challenge, caller, alone)

    async def _totp(self, tx: asyncpg.Connection, user: int, locked: Locked, code: str) -> bool:
        row = await tx.fetchrow("SELECT sealed, last_step FROM mfa_totp WHERE user_id = $1 AND confirmed_at IS NOT NULL FOR UPDATE", user)
        if row is None:
            return False
        matched = self._authenticators.match(user, row["sealed"], code, locked.now, row["last_step"])
        if matched is None:
            return False
        await tx.execute("UPDATE mfa_totp SET last_step = $2, last_used_at = now() WHERE user_id = $1", user, matched.step)
        if matched.resealed is not None:
            name = self._authenticators.key_name
            await tx.execute("UPDATE mfa_totp SET sealed = $2, sealed_by = $3 WHERE user_id = $1", user, matched.resealed, name)
        return True

    async def _recovery(self, tx: asyncpg.Connection, user: int, code: str) -> bool:
        raw = recovery_codes.read(code)
        if raw is None:
            return False
        used = await tx.fetchval(
            "UPDATE mfa_recovery_codes SET used_at = now() WHERE user_id = $1 AND hash = $2 AND used_at IS NULL RETURNING true",
            user,
            recovery_codes.hash_of(user, raw),
        )
        if used:
            left = await tx.fetchval("SELECT count(*) FROM mfa_recovery_codes WHERE user_id = $1 AND used_at IS NULL", user)
            await warn(tx, user, say("code_used", left=str(left)))
        return bool(used)

    async def _passkey(
        self, tx: asyncpg.Connection, user: int, locked: Locked, credential: bytes, challenge: bytes, caller: Caller, alone: bool
    ) -> bool:
        credential_id = self._passkeys.credential_id(credential)
        if credential_id is None:
            return False
        row = await tx.fetchrow(
            "SELECT id, public_key, sign_count, backup_eligible FROM passkeys WHERE credential_id = $1 AND user_id = $2 FOR UPDATE",
            credential_id,
            user,
        )
        if row is None:
            return False
        held = PasskeyHeld(row["public_key"], row["sign_count"], locked.handle, row["backup_eligible"])
        use = self._passkeys.check(credential, challenge, held, alone=alone)
        if use is None:
            return False
        if use.copied:
            await tell(tx, user, "mfa.passkey_copied", caller, subject=row["id"])
            await warn(tx, user, say("passkey_copied"), row["id"])
            return False
        await tx.execute(
            "UPDATE passkeys SET sign_count = $2, backed_up = $3, last_used_at = now() WHERE id = $1",
            row["id"],
            use.sign_count,
            use.backed_up,
        )
        return True


async def renew_codes(tx: asyncpg.Connection, user: int, random_bytes: Callable[[int], bytes]) -> tuple[str, ...]:
    """Ten new recovery codes instead of all earlier ones; the account is locked."""
    raws = [random_bytes(recovery_codes.RAW_BYTES) for _ in range(RECOVERY_CODES)]
    await tx.execute("DELETE FROM mfa_recovery_codes WHERE user_id = $1", user)
    hashes = [recovery_codes.hash_of(user, raw) for raw in raws]
    await tx.execute("INSERT INTO mfa_recovery_codes (user_id, hash) SELECT $1, h FROM unnest($2::bytea[]) AS h", user, hashes)
    return tuple(recovery_codes.write(raw) for raw in raws)


async def factors_of(tx: asyncpg.Connection, user: int) -> Factors:
    """What an account has set, in the order in which it came to be."""
    rows = await tx.fetch(_LISTED, user)
    left = await tx.fetchval("SELECT count(*) FROM mfa_recovery_codes WHERE user_id = $1 AND used_at IS NULL", user)
    return Factors(tuple(Listed(Method(method), *rest) for method, *rest in rows), left)


async def tell(
    tx: asyncpg.Connection, user: int, action: str, caller: Caller, *, subject: int | None = None, detail: dict[str, object] | None = None
) -> None:
    """One line of the audit log."""
    await record(tx, Deed(user, action, subject=subject, address=caller.address, detail=detail or {}))


async def warn(tx: asyncpg.Connection, user: int, words: str, subject: int = 0) -> None:
    """Tells somebody what happened to the safety of their account, on every device."""
    await notify(tx, Notice(user, NoticeKind.SECURITY, actor=user, subject=subject, words=words))


SEALED: Final = "SELECT sealed_by, count(*) FROM mfa_totp GROUP BY sealed_by"
"""How many secrets each key sealed: what an operator asks before a key leaves the file."""

_LISTED: Final = """
SELECT 'totp' AS method, 0::bigint AS number, '' AS name, extract(epoch FROM confirmed_at)::bigint AS made,
       coalesce(extract(epoch FROM last_used_at), 0)::bigint, false
FROM mfa_totp WHERE user_id = $1 AND confirmed_at IS NOT NULL
UNION ALL
SELECT 'passkey', id, name, extract(epoch FROM created_at)::bigint, coalesce(extract(epoch FROM last_used_at), 0)::bigint, backed_up
FROM passkeys WHERE user_id = $1
ORDER BY made, number
"""
