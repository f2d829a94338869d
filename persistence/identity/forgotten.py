"""A forgotten password: the job that looks who was meant, and mails a link if there is somebody.

    request ─▶ job `identity.reset`, whoever was named ─▶ by name, or by proven address ─▶ link ─▶ job `mail.send`
                                                                └─ nobody: the job ends

The request does the same for everybody, to the last statement, because it looks at nothing. What differs happens later, elsewhere, and
is seen by who reads the mailbox.

Invariant: a link is mailed only to an address that the account proved; nothing is ever mailed to an address that a stranger typed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Annotated, Final

import asyncpg
from msgspec import Meta, Struct

from actors.accounts import Caller
from actors.identity import EMAIL_LENGTH_MAX
from actors.jobs import Order, Work, pack
from actors.mail import MailSeal, order_mail
from persistence.identity.links import Purpose, mint
from persistence.identity.rules import IdentityRules
from persistence.jobs.enqueue import enqueue
from persistence.sessions import audit

RESET: Final = "identity.reset"
PRIORITY: Final = -10
"""Somebody waits in front of a screen."""


class Forgotten(Struct, frozen=True):
    """Somebody says that they forgot the password of this account: `named` by name or address, as checked; empty: by neither."""

    named: Annotated[str, Meta(max_length=EMAIL_LENGTH_MAX)]
    address: Annotated[str, Meta(max_length=64)] = ""
    """Where they asked from, for the audit."""

    def __repr__(self) -> str:
        return "Forgotten()"


async def ask(tx: asyncpg.Connection, named: str, caller: Caller, rules: IdentityRules) -> None:
    """Leaves the job. While one for the same name waits, another changes nothing."""
    order = Order(RESET, pack(Forgotten(named, caller.address)), priority=PRIORITY, key=reset_key(named), deadline_s=rules.reset_link_s)
    await enqueue(tx, order)


def reset_key(named: str) -> str:
    """The key of the job for who is named so, by name or address."""
    return hashlib.blake2s(named.casefold().encode(), digest_size=16).hexdigest()


class Resets:
    """Runs the job. One value a process."""

    def __init__(self, rules: IdentityRules, random_bytes: Callable[[int], bytes], seal: MailSeal | None) -> None:
        self._rules = rules
        self._seal = seal
        self._random_bytes = random_bytes

    async def run(self, work: Work[Forgotten]) -> None:
        """One attempt. Raises what `finish` raises."""
        await work.finish(partial(self.mail_link, forgotten=work.payload))

    async def mail_link(self, tx: asyncpg.Connection, forgotten: Forgotten) -> bool:
        """A link for who was meant, on its way in this transaction; false if there is nobody, or no proven address."""
        row = await tx.fetchrow(_BY_ADDRESS if "@" in forgotten.named else _BY_NAME, forgotten.named)
        if row is None:
            return False
        user, email = row["id"], row["email"]
        secret = await mint(tx, user, Purpose.PASSWORD, email, self._rules.life_s(Purpose.PASSWORD), self._random_bytes)
        await audit(tx, 0, "password.reset_asked", Caller(forgotten.address), subject=user)
        mail = self._rules.mail(Purpose.PASSWORD, user, email, secret, self._seal)
        await enqueue(tx, order_mail(mail, priority=PRIORITY, deadline_s=self._rules.reset_link_s))
        return True


_BY_NAME: Final = """
SELECT id, email::text FROM accounts WHERE name = $1::citext AND email_verified_at IS NOT NULL AND disabled_at IS NULL FOR NO KEY UPDATE
"""
_BY_ADDRESS: Final = """
SELECT id, email::text FROM accounts WHERE email = $1::citext AND email_verified_at IS NOT NULL AND disabled_at IS NULL FOR NO KEY UPDATE
"""
