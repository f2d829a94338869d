"""The account's e-mail address: offered by its owner, proven by a link, withdrawn. What is done inside one transaction.

    offer ─▶ link to the new address (what was proven before stands)
    prove ─▶ whose link? ─▶ lock account ─▶ take the link ─▶ email, email_verified_at ─▶ the former address is told

Invariant: `accounts.email` is an address that the person proved to read; a link for another password is only ever sent there, and none
outlives the address that it was sent to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import asyncpg

from actors.accounts import Caller, Claims, Declined
from actors.mail import MailSeal, Outgoing, order_mail
from actors.notices import Notice, NoticeKind
from actors.sentences import say
from persistence.identity.links import Purpose, drop, look, mint, take
from persistence.identity.passwords import LINK_OVER
from persistence.identity.rules import STALE, IdentityRules
from persistence.jobs.enqueue import enqueue
from persistence.notices import notify
from persistence.sessions import ASKER_ENDED, audit, lock_account
from protocol.codes import Code

ADDRESS_HELD: Final = Declined(Code.CONFLICT, "another account holds this address; withdraw it there first")


async def offer(
    tx: asyncpg.Connection,
    claims: Claims,
    email: str,
    caller: Caller,
    rules: IdentityRules,
    random_bytes: Callable[[int], bytes],
    seal: MailSeal | None,
) -> Declined | None:
    """See `actors.identity.Identity.offer_address`. Whether another account holds the address is not looked at: it would tell."""
    if (declined := await _must_be_fresh(tx, claims, rules)) is not None:
        return declined
    await begin(tx, claims.user, email, caller, rules, random_bytes, seal)
    return None


async def begin(
    tx: asyncpg.Connection,
    user: int,
    email: str,
    caller: Caller,
    rules: IdentityRules,
    random_bytes: Callable[[int], bytes],
    seal: MailSeal | None,
) -> None:
    """Mails a link to an address; the account is locked, or new."""
    secret = await mint(tx, user, Purpose.ADDRESS, email, rules.life_s(Purpose.ADDRESS), random_bytes)
    await audit(tx, user, "address.offered", caller, subject=user)
    mail = rules.mail(Purpose.ADDRESS, user, email, secret, seal)
    await enqueue(tx, order_mail(mail, deadline_s=rules.life_s(Purpose.ADDRESS)))


async def withdraw(tx: asyncpg.Connection, claims: Claims, caller: Caller, rules: IdentityRules) -> Declined | None:
    """See `actors.identity.Identity.withdraw_address`."""
    if (declined := await _must_be_fresh(tx, claims, rules)) is not None:
        return declined
    await _tell_former(tx, claims.user)
    await _forget_links(tx, claims.user)
    await tx.execute("UPDATE accounts SET email = NULL, email_verified_at = NULL WHERE id = $1", claims.user)
    await audit(tx, claims.user, "address.withdrawn", caller, subject=claims.user, detail={"by": claims.session})
    return None


async def prove(tx: asyncpg.Connection, secret: str, caller: Caller) -> Declined | None:
    """See `actors.identity.Identity.prove_address`. Raises `UniqueViolationError` where two accounts prove one address at once."""
    found = await look(tx, secret, Purpose.ADDRESS)
    if found is None:
        return LINK_OVER
    await lock_account(tx, found.user)
    link = await take(tx, secret, Purpose.ADDRESS)
    if link is None:
        return LINK_OVER
    # Whoever has the link reads the address, so they may know who else does.
    if await tx.fetchval(
        "SELECT EXISTS (SELECT FROM accounts WHERE email = $1 AND email_verified_at IS NOT NULL AND id <> $2)", link.email, link.user
    ):
        return ADDRESS_HELD
    await _tell_former(tx, link.user, but=link.email)
    await _forget_links(tx, link.user)
    await tx.execute("UPDATE accounts SET email = $2, email_verified_at = clock_timestamp() WHERE id = $1", link.user, link.email)
    await audit(tx, link.user, "address.proven", caller, subject=link.user)
    await notify(tx, Notice(link.user, NoticeKind.SECURITY, words=say("address_proven")))
    return None


async def _must_be_fresh(tx: asyncpg.Connection, claims: Claims, rules: IdentityRules) -> Declined | None:
    """Locks the account. Who sets the address sets, an hour later, the password: so it takes who they are, not only their session."""
    await lock_account(tx, claims.user)
    row = await tx.fetchrow(_FRESH, claims.session, claims.user, rules.step_up_s)
    if row is None or not row["living"]:
        return ASKER_ENDED
    return None if row["fresh"] else STALE


async def _forget_links(tx: asyncpg.Connection, user: int) -> None:
    await drop(tx, user, Purpose.ADDRESS)
    await drop(tx, user, Purpose.PASSWORD)


async def _tell_former(tx: asyncpg.Connection, user: int, but: str = "") -> None:
    former = await tx.fetchval(
        "SELECT email::text FROM accounts WHERE id = $1 AND email_verified_at IS NOT NULL AND email <> $2::citext", user, but
    )
    if former:
        await enqueue(tx, order_mail(Outgoing("address_changed", user, former)))


_FRESH: Final = """
SELECT revoked_at IS NULL AND expires_at > clock_timestamp() AS living,
       proven_at > clock_timestamp() - make_interval(secs => $3) AS fresh
FROM sessions WHERE id = $1 AND user_id = $2
"""
