"""What a log-in asks about second factors, inside its own transaction: whether there are any, and the challenge that is put instead.

    log_in ─second_step─▶ None: open the session     Challenge: it is opened by who answers (`persistence.multi_factor`)

Because the question is put in the transaction that would open the session, no way into an account forgets it.

Invariant: a challenge is stored as its hash alone, lasts minutes, and an account has few.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import Final

import asyncpg

from actors.accounts import Caller
from actors.mfa import CHALLENGE_BYTES, CHALLENGES_MAX, Challenge, Descriptor, Method, MfaRules, Purpose

RULES: Final = MfaRules()
SWEPT: Final = 4
"""Challenges that are over, taken along by each new one: more than come, so that they never gather."""


async def methods_of(tx: asyncpg.Connection, user: int) -> tuple[Method, ...]:
    """The second factors of an account, the safest first; none: the password alone is enough. Recovery codes stand in for others only."""
    passkey, totp, recovery = await tx.fetchrow(_METHODS, user)
    found = ((passkey, Method.PASSKEY), (totp, Method.TOTP), (recovery and (passkey or totp), Method.RECOVERY))
    return tuple(method for is_set, method in found if is_set)


async def second_step(
    tx: asyncpg.Connection,
    user: int,
    device: int,
    device_name: str,
    caller: Caller,
    rules: MfaRules = RULES,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> Challenge | None:
    """The challenge of somebody whose password was right; None where the password is enough."""
    if not await methods_of(tx, user):
        return None
    return await put_challenge(tx, Purpose.LOG_IN, user, caller, rules, random_bytes, device=device, device_name=device_name)


async def put_challenge(
    tx: asyncpg.Connection,
    purpose: Purpose,
    user: int | None,
    caller: Caller,
    rules: MfaRules,
    random_bytes: Callable[[int], bytes],
    *,
    session: int | None = None,
    device: int = 0,
    device_name: str = "",
) -> Challenge:
    """Puts a challenge; `user` None: to whoever has a passkey. Locks no row that others wait for."""
    token = random_bytes(CHALLENGE_BYTES)
    await tx.execute(_SWEEP, SWEPT)
    if user is not None:
        await tx.execute(_MAKE_ROOM, user, CHALLENGES_MAX - 1)
    expires_at = await tx.fetchval(
        _PUT, digest(token), purpose, user, session, network_of(caller), device, device_name, float(rules.challenge_s)
    )
    if user is None:
        return Challenge(token, (Method.PASSKEY,), (), expires_at)
    return Challenge(token, await methods_of(tx, user), await descriptors(tx, user), expires_at)


async def descriptors(tx: asyncpg.Connection, user: int) -> tuple[Descriptor, ...]:
    """The account's passkeys, the newest first."""
    rows = await tx.fetch("SELECT credential_id, transports FROM passkeys WHERE user_id = $1 ORDER BY id DESC", user)
    return tuple(Descriptor(row["credential_id"], tuple(row["transports"])) for row in rows)


async def forget_challenges(tx: asyncpg.Connection, user: int) -> None:
    """Ends every question put to this account: its password was changed, so whoever knew the old one begins anew."""
    await tx.execute("DELETE FROM mfa_challenges WHERE user_id = $1", user)


async def proven_within(tx: asyncpg.Connection, user: int, session: int, within_s: float) -> bool:
    """Whether the owner of a living session has proven themselves within this time."""
    proven: bool | None = await tx.fetchval(
        "SELECT proven_at > clock_timestamp() - make_interval(secs => $3) FROM sessions"
        " WHERE id = $2 AND user_id = $1 AND revoked_at IS NULL",
        user,
        session,
        within_s,
    )
    return bool(proven)


def digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


def network_of(caller: Caller) -> str:
    return caller.network or caller.address


_METHODS: Final = """
SELECT EXISTS (SELECT FROM passkeys WHERE user_id = $1),
       EXISTS (SELECT FROM mfa_totp WHERE user_id = $1 AND confirmed_at IS NOT NULL),
       EXISTS (SELECT FROM mfa_recovery_codes WHERE user_id = $1 AND used_at IS NULL)
"""

_SWEEP: Final = """
DELETE FROM mfa_challenges WHERE hash IN (
    SELECT hash FROM mfa_challenges WHERE expires_at < now() ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
"""

_MAKE_ROOM: Final = """
DELETE FROM mfa_challenges WHERE hash IN (
    SELECT hash FROM mfa_challenges WHERE user_id = $1 ORDER BY expires_at DESC, hash OFFSET $2 FOR UPDATE SKIP LOCKED
)
"""

_PUT: Final = """
INSERT INTO mfa_challenges (hash, purpose, user_id, session_id, network, device_id, device_name, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, clock_timestamp() + make_interval(secs => $8)) RETURNING extract(epoch FROM expires_at)::bigint
"""
