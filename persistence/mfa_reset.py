"""Taking somebody's second factors away because they lost them all: an operator's act, at the command line, for somebody whom they know.

    account ─lock─▶ factors, recovery codes, challenges gone ─▶ every session ended ─▶ audit, with the reason ─▶ notice, and mail

Whoever talks an operator into this has, with the password, the account: so it is the system's deed in the audit, says why, ends what was
open, and the person hears of it at the address that they proved.

Invariant: all of it is one transaction, or nothing of it.
"""

from __future__ import annotations

from typing import Final

import asyncpg
from msgspec import Struct

from actors.notices import Notice, NoticeKind
from actors.sentences import say
from persistence.audit import Deed, record
from persistence.mfa import forget_challenges
from persistence.notices import notify
from persistence.sessions import announce, end, lock_account

WHY_LENGTH_MAX: Final = 200
_FACTORS: Final = ("mfa_totp", "passkeys", "mfa_recovery_codes")
_FORGIVE: Final = "update mfa_accounts set failures = 0, blocked_until = null where user_id = $1"


class Cleared(Struct, frozen=True):
    """How many authenticator apps and passkeys, unused recovery codes and sessions there were, and whether a mail tells the person."""

    factors: int
    codes: int
    sessions: int
    mailed: bool


async def reset_factors(tx: asyncpg.Connection, *, user: int, why: str) -> Cleared:
    """Takes them all, of an account that is there. `why`: 1 to `WHY_LENGTH_MAX` characters, kept in the audit."""
    assert 1 <= len(why) <= WHY_LENGTH_MAX
    await lock_account(tx, user)
    gone: dict[str, int] = {}
    for table in _FACTORS:
        unused = " and used_at is null" if table == "mfa_recovery_codes" else ""
        gone[table] = await tx.fetchval(f"select count(*) from {table} where user_id = $1{unused}", user)
        await tx.execute(f"delete from {table} where user_id = $1", user)
    await forget_challenges(tx, user)
    await tx.execute(_FORGIVE, user)
    ended = await end(tx, user, None)
    cleared = Cleared(
        gone["mfa_totp"] + gone["passkeys"],
        gone["mfa_recovery_codes"],
        len(ended),
        await tx.fetchval("select email_verified_at is not null from accounts where id = $1", user),
    )
    detail = {"factors": cleared.factors, "sessions": cleared.sessions, "why": why}
    await record(tx, Deed(0, "mfa.reset", subject=user, detail=detail))
    await notify(tx, Notice(user, NoticeKind.SECURITY, words=say("factors_reset")))
    await announce(tx, user, [0])
    return cleared
