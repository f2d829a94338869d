"""Another password: by the old one, or by a link. What is done inside one transaction.

    change ─▶ lock account ─▶ proven lately, where there is a second factor ─▶ is the stored hash still the one that was compared?
           ─▶ set ─▶ end every other session
    reset  ─▶ whose link? ─▶ lock account ─▶ take the link ─▶ set ─▶ end every session; none is opened

Invariant: with a password everything that it opened ends, but for the session that knew the old one; and every link to set another.
Knowing a password proves nobody whose account asks for more.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, Final

import asyncpg

from actors.accounts import Caller, Claims, Declined
from actors.notices import Notice, NoticeKind
from actors.sentences import say
from actors.storage import Fact
from persistence.identity.links import Purpose, drop, look, take
from persistence.identity.rules import STALE, IdentityRules
from persistence.mfa import forget_challenges, methods_of, proven_within
from persistence.notices import notify
from persistence.sessions import ASKER_ENDED, announce, audit, end, is_living, lock_account
from protocol.codes import Code

LINK_OVER: Final = Declined(Code.GONE, "this link was used, or its time is over; ask for another one")
CHANGED_MEANWHILE: Final = Declined(Code.CONFLICT, "the password was changed meanwhile; log in with the new one")

Answer = tuple[Declined | None, Sequence[Fact]]
Coming = Coroutine[Any, Any, Answer]


async def change(tx: asyncpg.Connection, claims: Claims, old_hash: str, new_hash: str, caller: Caller, rules: IdentityRules) -> Answer:
    """See `actors.identity.Identity.change_password`. The transaction's last call."""
    await lock_account(tx, claims.user)
    if not await is_living(tx, claims):
        return ASKER_ENDED, ()
    asks_for_more = bool(await methods_of(tx, claims.user))
    if asks_for_more and not await proven_within(tx, claims.user, claims.session, rules.step_up_s):
        return STALE, ()
    if await tx.fetchval("SELECT password_hash FROM accounts WHERE id = $1", claims.user) != old_hash:
        return CHANGED_MEANWHILE, ()
    others = await tx.fetch("SELECT id FROM sessions WHERE user_id = $1 AND revoked_at IS NULL AND id <> $2", claims.user, claims.session)
    ended = await end(tx, claims.user, [row["id"] for row in others])
    if not asks_for_more:
        await tx.execute("UPDATE sessions SET proven_at = clock_timestamp() WHERE id = $1", claims.session)
    await _set(tx, claims.user, new_hash, caller, "password.changed", {"by": claims.session, "sessions": ended})
    return None, await announce(tx, claims.user, ended)


async def reset(tx: asyncpg.Connection, secret: str, new_hash: str, caller: Caller) -> Answer:
    """See `actors.identity.Identity.reset_password`. The transaction's last call."""
    found = await look(tx, secret, Purpose.PASSWORD)
    if found is None:
        return LINK_OVER, ()
    # The account before its links, as everywhere.
    await lock_account(tx, found.user)
    if await take(tx, secret, Purpose.PASSWORD) is None:
        return LINK_OVER, ()
    ended = await end(tx, found.user, None)
    await _set(tx, found.user, new_hash, caller, "password.reset", {"sessions": ended})
    return None, await announce(tx, found.user, [0])


async def _set(tx: asyncpg.Connection, user: int, new_hash: str, caller: Caller, action: str, detail: dict[str, object]) -> None:
    await drop(tx, user, Purpose.PASSWORD)
    await forget_challenges(tx, user)
    await tx.execute("UPDATE accounts SET password_hash = $2, password_changed_at = clock_timestamp() WHERE id = $1", user, new_hash)
    await audit(tx, user, action, caller, subject=user, detail=detail)
    # This alone: it is mailed too, whatever is preferred (`actors.notices.ALWAYS`).
    await notify(tx, Notice(user, NoticeKind.SECURITY, words=say("password_changed")))
