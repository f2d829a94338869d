"""Challenges taken up: which one it is, whether it may still be answered by whoever answers, and its end.

    token ─take_up─▶ its row, locked ─▶ Question, or None: over
                                           ├ spend: answered; it is gone
                                           └ miss: one try fewer; at the last one it is gone

A challenge that was never put, was answered, is late, was put to another network or session, or for another purpose, is None alike, so that
nobody learns which.

Invariant: of two who answer one challenge at once, one waits for its row, and finds it gone if the other was right.
"""

from __future__ import annotations

from collections.abc import Collection

import asyncpg
from msgspec import Struct

from actors.accounts import Caller, Claims
from actors.mfa import MfaRules, Purpose
from persistence.mfa import digest, network_of


class Question(Struct, frozen=True):
    """A challenge that may be answered now. `user` None: whoever's passkey answers."""

    hash: bytes
    token: bytes
    purpose: Purpose
    user: int | None
    device: int
    device_name: str
    tries: int

    def __repr__(self) -> str:
        return f"Question(purpose={self.purpose!r}, user={self.user}, tries={self.tries})"


async def take_up(
    tx: asyncpg.Connection, token: bytes, purposes: Collection[Purpose], caller: Caller, rules: MfaRules, claims: Claims | None = None
) -> Question | None:
    """The challenge, locked, if it is one of these and may be answered by this caller; with `claims`: by this session."""
    row = await tx.fetchrow("SELECT * FROM mfa_challenges WHERE hash = $1 FOR UPDATE", digest(token))
    if row is None or row["purpose"] not in purposes or row["tries"] >= rules.challenge_tries:
        return None
    # Read after the lock was waited for: a challenge whose time ended meanwhile is over.
    if not await tx.fetchval("SELECT $1::timestamptz > clock_timestamp()", row["expires_at"]):
        return None
    if claims is None:
        # A session's challenge is bound to its session; whoever answers a log-in's has nothing yet but where they are.
        if row["session_id"] is not None or row["network"] != network_of(caller):
            return None
    elif row["session_id"] != claims.session or row["user_id"] != claims.user:
        return None
    return Question(row["hash"], token, Purpose(row["purpose"]), row["user_id"], row["device_id"], row["device_name"], row["tries"])


async def spend(tx: asyncpg.Connection, question: Question) -> None:
    """It was answered."""
    await tx.execute("DELETE FROM mfa_challenges WHERE hash = $1", question.hash)


async def miss(tx: asyncpg.Connection, question: Question, rules: MfaRules) -> int:
    """It was answered wrongly; how many tries are left."""
    left = max(0, rules.challenge_tries - question.tries - 1)
    if left:
        await tx.execute("UPDATE mfa_challenges SET tries = tries + 1 WHERE hash = $1", question.hash)
    else:
        await spend(tx, question)
    return left
