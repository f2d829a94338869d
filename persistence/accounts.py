"""Accounts, devices and sessions in Postgres: implements `actors.accounts.Accounts`.

    register ─▶ account ─▶ device ─▶ session ─▶ refresh token       one transaction
    log_in ──────────────▶ (the device's former session ends)
    refresh ─▶ lock session ─▶ judge ─▶ rotate │ repeat │ end it
    end ─────▶ lock account, devices ─▶ revoked_at, generation + 1, SessionRevoked in the control stream

Ending a session is one transaction: its row says so (nobody attaches or refreshes any more), its device's generation is raised (nothing
queued in its name is appended any more), and the control stream tells every gateway, which closes the socket. None of the three can
be true without the others.

Invariant: no token or password is stored or logged; sha256 of a refresh token and argon2id of a password are.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Final

import asyncpg

from actors.accounts import (
    DEVICE_NAME_LENGTH_MAX,
    Caller,
    Claims,
    Credentials,
    Declined,
    Names,
    Opened,
    Registration,
    SessionInfo,
    SessionState,
)
from actors.mail import MailSeal
from actors.mfa import Challenge
from actors.notices import Notice, NoticeKind
from actors.sentences import say
from actors.storage import Fact, Herald
from persistence import retries
from persistence.bridge import Bridge
from persistence.http_writing import sweep_keys
from persistence.identity import addresses
from persistence.identity.links import sweep_links
from persistence.identity.rules import IdentityRules
from persistence.mfa import second_step
from persistence.moderation.aside import ask_name
from persistence.notices import notify
from persistence.refresh_rotation import read_token
from persistence.sessions import (
    ASKER_ENDED,
    CHANGED_AT,
    Reused,
    SessionRules,
    Sessions,
    announce,
    audit,
    descent,
    end,
    is_living,
    lock_account,
)
from protocol.codes import Code

CHANGED: Final = Declined(Code.UNAUTHENTICATED, "the password was changed meanwhile; log in with the new one")
# An ended session never lives again, so what is read here stays true once it says so.
_STATE: Final = """
SELECT s.id, s.user_id, s.device_id, extract(epoch FROM s.expires_at)::bigint,
       s.revoked_at IS NOT NULL OR a.disabled_at IS NOT NULL OR s.expires_at <= clock_timestamp()
FROM sessions s JOIN accounts a ON a.id = s.user_id WHERE s.id = $1
"""


class PostgresAccounts:
    """See `actors.accounts.Accounts` for what each method means."""

    def __init__(
        self,
        bridge: Bridge,
        herald: Herald,
        rules: SessionRules = SessionRules(),  # noqa: B008 (frozen)
        identity: IdentityRules = IdentityRules(),  # noqa: B008 (frozen)
        *,
        seal: MailSeal | None = None,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """`seal`: for links in mails; without it nobody registers with an address."""
        self._seal = seal
        self._bridge = bridge
        self._herald = herald
        self._identity = identity
        self._random_bytes = random_bytes
        self._sessions = Sessions(rules, random_bytes)
        self.reuses = 0
        """Refresh tokens that were used twice; read by the metrics."""

    async def register(self, registration: Registration, caller: Caller) -> Opened | Declined:
        async def work(tx: asyncpg.Connection) -> Opened:
            account = await tx.fetchrow(
                "SELECT user_id, inbox FROM create_account($1, $2, $3)",
                registration.name,
                registration.display_name,
                registration.password_hash,
            )
            await audit(tx, account["user_id"], "account.registered", caller)
            await ask_name(tx, account["user_id"], registration.display_name)
            if registration.name.casefold() != registration.display_name.casefold():
                await ask_name(tx, account["user_id"], registration.name, shown=False)
            if registration.language:
                await tx.execute("UPDATE accounts SET language = $2 WHERE id = $1", account["user_id"], registration.language)
            if registration.email:
                email = registration.email
                await addresses.begin(tx, account["user_id"], email, caller, self._identity, self._random_bytes, self._seal)
            return await self._sessions.open(tx, account["user_id"], 0, registration.device_name, caller)

        try:
            return await retries.run(self._bridge, work)
        except asyncpg.UniqueViolationError:
            return Declined(Code.CONFLICT, f"the name {registration.name!r} is taken")

    async def find_credentials(self, name: str) -> Credentials | None:
        async def work(tx: asyncpg.Connection) -> Credentials | None:
            row = await tx.fetchrow(f"SELECT id, password_hash, {CHANGED_AT} FROM accounts WHERE name = $1", name)
            return None if row is None else Credentials(*row)

        return await retries.run(self._bridge, work, readonly=True, isolation="none")

    async def find_session(self, session: int) -> SessionState | None:
        async def work(tx: asyncpg.Connection) -> SessionState | None:
            row = await tx.fetchrow(_STATE, session)
            return None if row is None else SessionState(*row)

        return await retries.run(self._bridge, work, readonly=True, isolation="none")

    async def find_sessions_of(self, user: int) -> tuple[int, ...]:
        async def work(tx: asyncpg.Connection) -> tuple[int, ...]:
            return tuple(row[0] for row in await tx.fetch("SELECT id FROM sessions WHERE user_id = $1", user))

        return await retries.run(self._bridge, work, readonly=True, isolation="none")

    async def find_names(self, user: int) -> Names | None:
        async def work(tx: asyncpg.Connection) -> Names | None:
            row = await tx.fetchrow("SELECT name::text, display_name FROM accounts WHERE id = $1", user)
            return None if row is None else Names(*row)

        return await retries.run(self._bridge, work, readonly=True, isolation="none")

    async def note_failed_login(self, user: int, caller: Caller) -> None:
        async def work(tx: asyncpg.Connection) -> None:
            await audit(tx, 0, "login.failed", caller, subject=user or None)

        await retries.run(self._bridge, work)

    async def begin_log_in(
        self, found: Credentials, device: int, device_name: str, new_hash: str | None, caller: Caller
    ) -> Opened | Challenge | Declined:
        user = found.user

        async def work(tx: asyncpg.Connection) -> tuple[Opened | Challenge | Declined, Sequence[Fact]]:
            if (declined := await _lock_enabled(tx, user, caller)) is not None:
                return declined, ()
            # Comparing takes seconds when many log in: whoever knew the password until just now knows it no more.
            if await _changed_since(tx, user, found.changed_at_us, caller):
                return CHANGED, ()
            if new_hash is not None:
                await tx.execute("UPDATE accounts SET password_hash = $2 WHERE id = $1", user, new_hash)
            challenge = await second_step(tx, user, device, device_name, caller)
            if challenge is not None:
                await audit(tx, user, "login.challenged", caller, detail={"methods": [method.value for method in challenge.methods]})
                return challenge, ()
            return await self._open(tx, user, device, device_name, caller)

        answer, facts = await retries.run(self._bridge, work)
        self._tell(facts)
        return answer

    async def log_in(self, user: int, device: int, device_name: str, changed_at_us: int | None, caller: Caller) -> Opened | Declined:
        async def work(tx: asyncpg.Connection) -> tuple[Opened | Declined, Sequence[Fact]]:
            if (declined := await _lock_enabled(tx, user, caller)) is not None:
                return declined, ()
            if changed_at_us is not None and await _changed_since(tx, user, changed_at_us, caller):
                return CHANGED, ()
            return await self._open(tx, user, device, device_name, caller)

        opened, facts = await retries.run(self._bridge, work)
        self._tell(facts)
        return opened

    async def _open(
        self, tx: asyncpg.Connection, user: int, device: int, device_name: str, caller: Caller
    ) -> tuple[Opened, Sequence[Fact]]:
        ended = await self._sessions.make_room(tx, user, device)
        opened = await self._sessions.open(tx, user, device, device_name, caller)
        if opened.device != device:
            await notify(tx, _new_device(opened, device_name, caller))
        return opened, await announce(tx, user, ended)

    async def add_device(self, claims: Claims, device_name: str, caller: Caller) -> Opened | Declined:
        async def work(tx: asyncpg.Connection) -> tuple[Opened | Declined, Sequence[Fact]]:
            account = await tx.fetchrow("SELECT disabled_at, kind FROM accounts WHERE id = $1 FOR NO KEY UPDATE", claims.user)
            if account is None or account["disabled_at"] is not None:
                return Declined(Code.FORBIDDEN, "this account is disabled"), ()
            if account["kind"]:
                # Its key would no longer end what was opened with it.
                return Declined(Code.FORBIDDEN, "a service's sessions are opened with its API key"), ()
            if not await is_living(tx, claims):
                return ASKER_ENDED, ()
            ended = await self._sessions.make_room(tx, claims.user, 0, kept=claims.session)
            opened = await self._sessions.open(tx, claims.user, 0, device_name, caller, claims.session)
            await audit(tx, claims.user, "device.added", caller, subject=opened.device, detail={"by": claims.session})
            await notify(tx, _new_device(opened, device_name, caller))
            return opened, await announce(tx, claims.user, ended)

        opened, facts = await retries.run(self._bridge, work)
        self._tell(facts)
        return opened

    async def refresh(self, token: str, caller: Caller) -> Opened | Declined:
        secret = read_token(token)
        if secret is None:
            return Declined(Code.UNAUTHENTICATED, "this is no refresh token")
        found = secret

        async def work(tx: asyncpg.Connection) -> Opened | Declined | Reused:
            return await self._sessions.refresh(tx, found, caller)

        answer = await retries.run(self._bridge, work)
        if isinstance(answer, Reused):
            # In a transaction of its own, because the order of locks puts the device before the session. Should this process die in
            # between, the next use of the token finds the same and ends it then.
            await self._end_reused(answer, caller)
            return Declined(Code.REVOKED, "this refresh token had been used before, so the session was ended; log in again")
        return answer

    async def list_sessions(self, claims: Claims) -> tuple[SessionInfo, ...] | Declined:
        async def work(tx: asyncpg.Connection) -> tuple[SessionInfo, ...]:
            return tuple(SessionInfo(*row) for row in await tx.fetch(_LIST, claims.user))

        living = await retries.run(self._bridge, work, readonly=True, isolation="none")
        return living if any(info.session == claims.session for info in living) else ASKER_ENDED

    async def end_session(self, claims: Claims, session: int, caller: Caller) -> Declined | None:
        async def work(tx: asyncpg.Connection) -> tuple[Declined | None, Sequence[Fact]]:
            await lock_account(tx, claims.user)
            if session != claims.session:
                if not await is_living(tx, claims):
                    return ASKER_ENDED, ()
                if not await tx.fetchval("SELECT true FROM sessions WHERE id = $1 AND user_id = $2", session, claims.user):
                    return Declined(Code.NOT_FOUND, "this account has no such session"), ()
            # Logging out is one's own business. Whoever ends another session does not trust it, nor what it let in.
            ended = await end(tx, claims.user, [session] if session == claims.session else await descent(tx, claims.user, session))
            for one in ended:
                await audit(tx, claims.user, "session.ended", caller, subject=one, detail={"by": claims.session})
            return None, await announce(tx, claims.user, ended)

        answer, facts = await retries.run(self._bridge, work)
        self._tell(facts)
        return answer

    async def end_other_sessions(self, claims: Claims, caller: Caller) -> Declined | None:
        async def work(tx: asyncpg.Connection) -> tuple[Declined | None, Sequence[Fact]]:
            await lock_account(tx, claims.user)
            if not await is_living(tx, claims):
                return ASKER_ENDED, ()
            others = await tx.fetch(_OTHERS, claims.user, claims.session)
            ended = await end(tx, claims.user, [row["id"] for row in others])
            if ended:
                await audit(tx, claims.user, "sessions.ended", caller, detail={"by": claims.session, "sessions": ended})
            return None, await announce(tx, claims.user, ended)

        answer, facts = await retries.run(self._bridge, work)
        self._tell(facts)
        return answer

    async def end_every_session(self, claims: Claims, caller: Caller) -> Declined | None:
        async def work(tx: asyncpg.Connection) -> tuple[Declined | None, Sequence[Fact]]:
            await lock_account(tx, claims.user)
            if not await is_living(tx, claims):
                return ASKER_ENDED, ()
            ended = await end(tx, claims.user, None)
            await audit(tx, claims.user, "sessions.ended", caller, detail={"by": claims.session, "sessions": ended})
            return None, await announce(tx, claims.user, [0])

        answer, facts = await retries.run(self._bridge, work)
        self._tell(facts)
        return answer

    async def sweep(self, kept_s: int = 30 * 24 * 3600, limit: int = 1000) -> int:
        """Deletes up to `limit` sessions that ended or expired more than `kept_s` ago, with their tokens, and as many links and keys of
        requests whose time is over; how many. For a job."""

        async def work(tx: asyncpg.Connection) -> int:
            return len(await tx.fetch(_SWEEP, kept_s, limit)) + await sweep_links(tx, limit) + await sweep_keys(tx, limit)

        return await retries.run(self._bridge, work)

    async def _end_reused(self, reused: Reused, caller: Caller) -> None:
        async def work(tx: asyncpg.Connection) -> Sequence[Fact]:
            await lock_account(tx, reused.user)
            ended = await end(tx, reused.user, await descent(tx, reused.user, reused.session))
            await audit(tx, reused.user, "refresh.reused", caller, subject=reused.session)
            return await announce(tx, reused.user, ended)

        self.reuses += 1
        self._tell(await retries.run(self._bridge, work))

    def _tell(self, facts: Sequence[Fact]) -> None:
        # If this process is cancelled or dies before it tells, the control stream's poll finds it within half a second.
        if facts:
            self._herald.committed(facts)


async def _lock_enabled(tx: asyncpg.Connection, user: int, caller: Caller) -> Declined | None:
    account = await tx.fetchrow("SELECT disabled_at FROM accounts WHERE id = $1 FOR NO KEY UPDATE", user)
    if account is None or account["disabled_at"] is not None:
        await audit(tx, user, "login.disabled", caller)
        return Declined(Code.FORBIDDEN, "this account is disabled")
    return None


async def _changed_since(tx: asyncpg.Connection, user: int, changed_at_us: int, caller: Caller) -> bool:
    """Whether the account, which is locked, has another password than the one that was compared."""
    if await tx.fetchval(f"SELECT {CHANGED_AT} FROM accounts WHERE id = $1", user) == changed_at_us:
        return False
    await audit(tx, 0, "login.failed", caller, subject=user)
    return True


def _new_device(opened: Opened, device_name: str, caller: Caller) -> Notice:
    called = device_name or caller.software[:DEVICE_NAME_LENGTH_MAX] or "without a name"
    return Notice(opened.user, NoticeKind.SECURITY, subject=opened.session, words=say("new_device", what=called))


_LIST: Final = """
SELECT s.id, s.device_id, d.name, s.user_agent, s.address, extract(epoch FROM s.created_at)::bigint,
       extract(epoch FROM greatest(s.last_seen_at, d.seen_at))::bigint, extract(epoch FROM s.expires_at)::bigint
FROM sessions s JOIN devices d ON d.id = s.device_id
WHERE s.user_id = $1 AND s.revoked_at IS NULL AND s.expires_at > now()
ORDER BY 7 DESC, 1 DESC
"""

_OTHERS: Final = "SELECT id FROM sessions WHERE user_id = $1 AND id <> $2 AND revoked_at IS NULL"
_SWEEP: Final = """
DELETE FROM sessions WHERE id IN (
    SELECT id FROM sessions WHERE expires_at < now() - make_interval(secs => $1)
       OR (revoked_at IS NOT NULL AND revoked_at < now() - make_interval(secs => $1))
    ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
) RETURNING id
"""
