"""What is done to sessions inside one transaction: opened, continued, ended. Runs on the asyncio side.

    open ────▶ device (its own, or a new one) ─▶ session ─▶ refresh token
    refresh ─▶ lock session ─▶ judge ─▶ rotate │ repeat │ Reused
    end ─────▶ lock devices by id ─▶ revoked_at, generation + 1          announce ─▶ SessionRevoked, the last call

Locks are taken in one order: account, devices by id, sessions, the control stream last. Time is the database's, since gateways' clocks
differ and every rule here compares times that different gateways wrote.

Invariant: no token is stored, and none is told twice but by `refresh` within the grace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import asyncpg
import msgspec

from actors.accounts import SOFTWARE_LENGTH_MAX, Caller, Claims, Declined, Opened
from actors.storage import Fact
from persistence.append import append_events, session_revoked
from persistence.audit import Deed, record
from persistence.refresh_rotation import (
    SALT_BYTES,
    TOKEN_BYTES,
    Presented,
    Verdict,
    digest,
    judge,
    successor,
    write_token,
)
from protocol.codes import Code

SESSIONS_LIVING_MAX: Final = 32
"""Per account. One more log-in ends the session that was used longest ago."""


class SessionRules(msgspec.Struct, frozen=True):
    """How long things last."""

    refresh_s: int = 7 * 24 * 3600
    """A refresh token, and with it a session that is not used."""
    session_s: int = 90 * 24 * 3600
    """A session, however much it is used, from its log-in on; 0: for as long as it is used."""
    grace_s: float = 45.0
    """How long after its first use a token still answers with the same successor. More than two of a client's time-outs (20 s), so that
    one whose answer was lost twice is not logged out; far less than the 15 minutes after which two holders of a stolen token meet."""

    @property
    def unused_s(self) -> int:
        """From a log-in on, if nothing refreshes it."""
        return min(self.refresh_s, self.session_s) if self.session_s else self.refresh_s

    @property
    def whole_s(self) -> float:
        """The most that a session may last."""
        return float(self.session_s) if self.session_s else float("inf")


CHANGED_AT: Final = "coalesce(extract(epoch FROM password_changed_at) * 1000000, 0)::bigint"
"""When an account's password was set: `actors.accounts.Credentials.changed_at_us`."""
ASKER_ENDED: Final = Declined(Code.REVOKED, "this session has ended; log in again")


class Reused(msgspec.Struct, frozen=True):
    """A refresh token was used a second time: the session must end."""

    user: int
    session: int


class Sessions:
    """What is done to sessions inside a transaction. Runs on the asyncio side."""

    def __init__(self, rules: SessionRules, random_bytes: Callable[[int], bytes]) -> None:
        self._rules = rules
        self._random_bytes = random_bytes

    async def make_room(self, tx: asyncpg.Connection, user: int, device: int, kept: int = 0) -> list[int]:
        """Ends what a new log-in replaces, but for the session `kept`; the account is locked. Returns the sessions."""
        living = await tx.fetch(
            "SELECT id, device_id FROM sessions WHERE user_id = $1 AND revoked_at IS NULL "
            "ORDER BY id = $2 DESC, last_seen_at DESC, id DESC",
            user,
            kept,
        )
        replaced = [row["id"] for row in living if row["device_id"] == device]
        others = [row["id"] for row in living if row["device_id"] != device]
        victims = replaced + others[SESSIONS_LIVING_MAX - 1 :]
        # The device that comes next is locked together with the others, so that they are locked in order.
        devices = {row["device_id"] for row in living if row["id"] in victims} | {device}
        await tx.execute("SELECT FROM devices WHERE user_id = $1 AND id = ANY($2) ORDER BY id FOR UPDATE", user, list(devices))
        return await end(tx, user, victims) if victims else []

    async def open(
        self, tx: asyncpg.Connection, user: int, device: int, device_name: str, caller: Caller, opened_by: int | None = None
    ) -> Opened:
        """A new session on a device of the account's: that one, or a new one. `opened_by`: the session that vouches for it; without one the
        person has just proven who they are."""
        secret = self._random_bytes(TOKEN_BYTES)
        row = await tx.fetchrow(
            _OPEN,
            user,
            device,
            device_name,
            self._rules.unused_s,
            caller.software[:SOFTWARE_LENGTH_MAX],
            caller.address,
            digest(secret),
            opened_by,
        )
        await audit(tx, user, "session.opened", caller, subject=row["session"], detail={"device": row["device"]})
        return _opened(row, secret)

    async def refresh(self, tx: asyncpg.Connection, secret: bytes, caller: Caller) -> Opened | Declined | Reused:
        """Judges a token and rotates it. One refresh at a time for a session: its row is locked."""
        hashed = digest(secret)
        if await tx.fetchval(_LOCK_SESSION, hashed) is None:
            return Declined(Code.UNAUTHENTICATED, "this refresh token is not known here")
        # A new statement, hence a new snapshot: whoever held the lock before may have used the token.
        row = await tx.fetchrow(_PRESENTED, hashed, self._rules.whole_s)
        presented = Presented(row["now"], row["expires_at"], row["session_ended"], row["used_at"], row["successor_used"])
        match judge(presented, self._rules.grace_s):
            case Verdict.ENDED:
                return ASKER_ENDED
            case Verdict.EXPIRED:
                return Declined(Code.TOKEN_EXPIRED, "this refresh token's time is over; log in again")
            case Verdict.REUSED:
                return Reused(row["user"], row["session"])
            case Verdict.REPEAT:
                return _opened(row, successor(secret, row["successor_salt"]))
            case Verdict.ROTATE:
                salt = self._random_bytes(SALT_BYTES)
                following = successor(secret, salt)
                refresh_expires_at = await tx.fetchval(
                    _ROTATE,
                    hashed,
                    digest(following),
                    salt,
                    row["session"],
                    row["now"],
                    self._rules.refresh_s,
                    caller.software[:SOFTWARE_LENGTH_MAX],
                    caller.address,
                    self._rules.whole_s,
                )
                return _opened(row, following, refresh_expires_at)


async def end(tx: asyncpg.Connection, user: int, sessions: Sequence[int] | None) -> list[int]:
    """Ends these sessions of an account that is locked, or all (None): rows and generations. Returns those that were living."""
    chosen = list(sessions) if sessions is not None else None
    await tx.execute(_LOCK_DEVICES, user, chosen)
    ended = await tx.fetch(_END, user, chosen)
    if ended:
        await tx.execute("UPDATE devices SET generation = generation + 1 WHERE id = ANY($1)", [row["device_id"] for row in ended])
    return [row["id"] for row in ended]


async def descent(tx: asyncpg.Connection, user: int, session: int) -> list[int]:
    """A session and all that were opened on its word, of an account that is locked: what is stolen with it."""
    return [row["id"] for row in await tx.fetch(_DESCENT, user, session)]


async def announce(tx: asyncpg.Connection, user: int, sessions: Sequence[int]) -> list[Fact]:
    """Appends `SessionRevoked` to the control stream for each (0: all of the user's). The transaction's last call: it locks the stream."""
    if not sessions:
        return []
    return await append_events(tx, [session_revoked(user, session) for session in sessions])


async def audit(
    tx: asyncpg.Connection,
    actor: int,
    action: str,
    caller: Caller,
    *,
    subject: int | None = None,
    detail: dict[str, object] | None = None,
) -> None:
    """Writes down who did what, in the transaction that does it. Never pass a secret, or anything a person may have mistyped."""
    await record(tx, Deed(actor, action, subject=subject, address=caller.address, detail=detail or {}))


async def lock_account(tx: asyncpg.Connection, user: int) -> None:
    # NO KEY: rows that refer to the account may still be inserted meanwhile.
    await tx.execute("SELECT FROM accounts WHERE id = $1 FOR NO KEY UPDATE", user)


async def is_living(tx: asyncpg.Connection, claims: Claims) -> bool:
    living: bool | None = await tx.fetchval(
        "SELECT revoked_at IS NULL AND expires_at > clock_timestamp() FROM sessions WHERE id = $1 AND user_id = $2",
        claims.session,
        claims.user,
    )
    return bool(living)


def _opened(row: asyncpg.Record, secret: bytes, refresh_expires_at: int | None = None) -> Opened:
    return Opened(
        user=row["user"],
        name=row["name"],
        display_name=row["display_name"],
        device=row["device"],
        session=row["session"],
        inbox=row["inbox"],
        refresh_token=write_token(secret),
        refresh_expires_at=row["refresh_expires_at"] if refresh_expires_at is None else refresh_expires_at,
    )


_OPEN: Final = """
WITH own AS (
    UPDATE devices SET seen_at = now(), name = CASE WHEN $3 = '' THEN name ELSE $3 END
    WHERE id = $2 AND user_id = $1 RETURNING id
), new AS (
    INSERT INTO devices (user_id, name) SELECT $1, $3 WHERE NOT EXISTS (SELECT FROM own) RETURNING id
), opened AS (
    INSERT INTO sessions (user_id, device_id, expires_at, user_agent, address, opened_by, proven_at)
    SELECT $1, d.id, now() + make_interval(secs => $4), $5, $6, $8::bigint,
           CASE WHEN $8::bigint IS NULL THEN clock_timestamp() ELSE 'epoch' END
    FROM (SELECT id FROM own UNION ALL SELECT id FROM new) d
    RETURNING id, device_id, expires_at
), token AS (
    INSERT INTO refresh_tokens (hash, session_id, family, expires_at) SELECT $7, o.id, o.id, o.expires_at FROM opened o
)
SELECT a.id AS "user", a.name::text AS name, a.display_name, a.inbox, o.device_id AS device, o.id AS session,
       extract(epoch FROM o.expires_at)::bigint AS refresh_expires_at
FROM accounts a, opened o WHERE a.id = $1
"""

_DESCENT: Final = """
WITH RECURSIVE descent (id) AS (
    SELECT $2::bigint UNION SELECT s.id FROM descent d JOIN sessions s ON s.opened_by = d.id AND s.user_id = $1
) SELECT id FROM descent
"""

_LOCK_SESSION: Final = """
SELECT s.id FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id WHERE t.hash = $1 FOR NO KEY UPDATE OF s
"""

_PRESENTED: Final = """
SELECT a.id AS "user", a.name::text AS name, a.display_name, a.inbox, s.device_id AS device, s.id AS session,
       extract(epoch FROM clock_timestamp())::float8 AS now,
       s.revoked_at IS NOT NULL OR a.disabled_at IS NOT NULL AS session_ended,
       least(extract(epoch FROM t.expires_at)::float8, extract(epoch FROM s.created_at)::float8 + $2::float8) AS expires_at,
       extract(epoch FROM t.used_at)::float8 AS used_at,
       n.hash IS NULL OR n.used_at IS NOT NULL AS successor_used,
       extract(epoch FROM n.expires_at)::bigint AS refresh_expires_at,
       t.successor_salt
FROM refresh_tokens t
JOIN sessions s ON s.id = t.session_id
JOIN accounts a ON a.id = s.user_id
LEFT JOIN refresh_tokens n ON n.hash = t.replaced_by
WHERE t.hash = $1
"""

_ROTATE: Final = """
WITH used AS (
    UPDATE refresh_tokens SET used_at = to_timestamp($5::float8), replaced_by = $2, successor_salt = $3 WHERE hash = $1 RETURNING family
), successor AS (
    INSERT INTO refresh_tokens (hash, session_id, family, issued_at, expires_at)
    SELECT $2, $4, u.family, to_timestamp($5::float8),
           to_timestamp(least($5::float8 + $6::float8, extract(epoch FROM s.created_at)::float8 + $9::float8))
    FROM used u, sessions s WHERE s.id = $4 RETURNING expires_at
), predecessor AS (
    UPDATE refresh_tokens SET successor_salt = NULL WHERE session_id = $4 AND replaced_by = $1
), forgotten AS (
    DELETE FROM refresh_tokens WHERE session_id = $4 AND expires_at <= to_timestamp($5::float8) AND replaced_by IS DISTINCT FROM $1
)
UPDATE sessions s SET last_seen_at = to_timestamp($5::float8), expires_at = n.expires_at, user_agent = $7, address = $8
FROM successor n WHERE s.id = $4 RETURNING extract(epoch FROM n.expires_at)::bigint
"""
# A session's used tokens are kept until they expire, so that every reuse is known for one; they go with the next rotation.


_LOCK_DEVICES: Final = """
SELECT FROM devices WHERE id IN (
    SELECT device_id FROM sessions WHERE user_id = $1 AND revoked_at IS NULL AND ($2::bigint[] IS NULL OR id = ANY ($2))
) ORDER BY id FOR UPDATE
"""

_END: Final = """
UPDATE sessions SET revoked_at = clock_timestamp()
WHERE user_id = $1 AND revoked_at IS NULL AND ($2::bigint[] IS NULL OR id = ANY ($2)) RETURNING id, device_id
"""
