"""One's own account in Postgres: implements `actors.identity.Identity`.

    Identity's method ─▶ one transaction: `passwords`, `addresses`, `forgotten`, `devices` ─▶ what it announces, to the herald

Invariant: what a session asks for is decided in the transaction that finds the session living.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from functools import partial

import asyncpg

from actors.accounts import Caller, Claims, Credentials, Declined
from actors.identity import DeviceInfo, Profile, Resetting
from actors.mail import MailSeal
from actors.storage import Fact, Herald
from persistence import retries
from persistence.bridge import Bridge
from persistence.identity import addresses, devices, forgotten, passwords
from persistence.identity.links import Purpose, look
from persistence.identity.rules import IdentityRules
from persistence.sessions import ASKER_ENDED
from protocol.codes import Code

LIVING = """
FROM sessions s JOIN accounts a ON a.id = s.user_id
WHERE s.id = $1 AND s.user_id = $2 AND s.revoked_at IS NULL AND s.expires_at > clock_timestamp() AND a.disabled_at IS NULL
"""

_PROFILE = f"""
SELECT a.name::text, a.display_name, coalesce(a.email::text, '') AS email, coalesce((
    SELECT l.email::text FROM identity_links l
    WHERE l.user_id = a.id AND l.purpose = {Purpose.ADDRESS:d} AND l.expires_at > clock_timestamp() ORDER BY l.created_at DESC LIMIT 1
), '') AS email_pending, a.language {LIVING}
"""
_CREDENTIALS = f"SELECT a.id, a.password_hash {LIVING}"
_SET_LANGUAGE = f"UPDATE accounts SET language = $3 WHERE id = (SELECT a.id {LIVING}) RETURNING id"


class PostgresIdentity:
    """See `actors.identity.Identity` for what each method means."""

    def __init__(
        self,
        bridge: Bridge,
        herald: Herald,
        rules: IdentityRules = IdentityRules(),  # noqa: B008 (frozen)
        *,
        seal: MailSeal | None = None,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """`seal`: for links in mails; without it none can be made."""
        self._bridge = bridge
        self._herald = herald
        self._rules = rules
        self._seal = seal
        self._random_bytes = random_bytes
        self.resets = forgotten.Resets(rules, random_bytes, seal)

    async def find_profile(self, claims: Claims) -> Profile | Declined:
        async def work(tx: asyncpg.Connection) -> Profile | Declined:
            row = await tx.fetchrow(_PROFILE, claims.session, claims.user)
            return ASKER_ENDED if row is None else Profile(*row)

        return await retries.run(self._bridge, work, readonly=True, isolation="none")

    async def find_own_credentials(self, claims: Claims) -> Credentials | Declined:
        async def work(tx: asyncpg.Connection) -> Credentials | Declined:
            row = await tx.fetchrow(_CREDENTIALS, claims.session, claims.user)
            return ASKER_ENDED if row is None else Credentials(*row)

        return await retries.run(self._bridge, work, readonly=True, isolation="none")

    async def change_password(self, claims: Claims, old_hash: str, new_hash: str, caller: Caller) -> Declined | None:
        asked = partial(passwords.change, claims=claims, old_hash=old_hash, new_hash=new_hash, caller=caller, rules=self._rules)
        return await self._end_sessions(asked)

    async def offer_address(self, claims: Claims, email: str, caller: Caller) -> Declined | None:
        async def work(tx: asyncpg.Connection) -> Declined | None:
            return await addresses.offer(tx, claims, email, caller, self._rules, self._random_bytes, self._seal)

        return await retries.run(self._bridge, work)

    async def withdraw_address(self, claims: Claims, caller: Caller) -> Declined | None:
        async def work(tx: asyncpg.Connection) -> Declined | None:
            return await addresses.withdraw(tx, claims, caller, self._rules)

        return await retries.run(self._bridge, work)

    async def set_language(self, claims: Claims, language: str) -> Declined | None:
        async def work(tx: asyncpg.Connection) -> Declined | None:
            return None if await tx.fetchval(_SET_LANGUAGE, claims.session, claims.user, language) else ASKER_ENDED

        return await retries.run(self._bridge, work)

    async def prove_address(self, secret: str, caller: Caller) -> Declined | None:
        async def work(tx: asyncpg.Connection) -> Declined | None:
            return await addresses.prove(tx, secret, caller)

        try:
            return await retries.run(self._bridge, work)
        except asyncpg.UniqueViolationError:
            return addresses.ADDRESS_HELD

    async def ask_reset(self, named: str, caller: Caller) -> None:
        async def work(tx: asyncpg.Connection) -> None:
            await forgotten.ask(tx, named, caller, self._rules)

        await retries.run(self._bridge, work)

    async def find_reset(self, secret: str) -> Resetting | None:
        async def work(tx: asyncpg.Connection) -> Resetting | None:
            link = await look(tx, secret, Purpose.PASSWORD)
            if link is None:
                return None
            row = await tx.fetchrow("SELECT name::text, display_name FROM accounts WHERE id = $1", link.user)
            return None if row is None else Resetting(link.user, (row["name"], row["display_name"], link.email))

        return await retries.run(self._bridge, work, readonly=True)

    async def reset_password(self, secret: str, new_hash: str, caller: Caller) -> Declined | None:
        return await self._end_sessions(partial(passwords.reset, secret=secret, new_hash=new_hash, caller=caller))

    async def list_devices(self, claims: Claims) -> tuple[DeviceInfo, ...] | Declined:
        return await retries.run(self._bridge, partial(devices.find_all, claims=claims), readonly=True)

    async def rename_device(self, claims: Claims, device: int, name: str) -> Declined | None:
        async def work(tx: asyncpg.Connection) -> Declined | None:
            if not await tx.fetchval(f"SELECT true {LIVING}", claims.session, claims.user):
                return ASKER_ENDED
            if not await devices.rename(tx, claims.user, device, name):
                return Declined(Code.NOT_FOUND, "this account has no such device")
            return None

        return await retries.run(self._bridge, work)

    async def _end_sessions(self, work: Callable[[asyncpg.Connection], passwords.Coming]) -> Declined | None:
        declined, facts = await retries.run(self._bridge, work)
        self._tell(facts)
        return declined

    def _tell(self, facts: Sequence[Fact]) -> None:
        # If this process dies before it tells, the control stream's poll finds it within half a second.
        if facts:
            self._herald.committed(facts)
