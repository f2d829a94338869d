"""Single-use links in mails: who holds one reads the address that it was sent to.

    mint ─▶ secret ─▶ the mail          look ─▶ whose it is            take ─▶ whose it was; the row is gone
              └─ sha256 ─▶ identity_links (expires_at)

Invariant: a link is taken at most once, in the transaction of what it allows; of an account and purpose at most `LIVING_MAX` are good.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from enum import IntEnum
from typing import Final

import asyncpg
from msgspec import Struct

from actors.identity import SECRET_LENGTH_MAX
from persistence.refresh_rotation import TOKEN_BYTES, digest, read_token

LIVING_MAX: Final = 3
"""Of one account and purpose. More than one, since whoever asks twice may open the first mail; few, since each one is a key."""


class Purpose(IntEnum):
    """What a link is good for."""

    ADDRESS = 1
    PASSWORD = 2


class Link(Struct, frozen=True):
    """A good link: whose, and the address that it was sent to."""

    user: int
    email: str


async def mint(tx: asyncpg.Connection, user: int, purpose: Purpose, email: str, life_s: float, random_bytes: Callable[[int], bytes]) -> str:
    """A new link's secret. The account is locked; links beyond `LIVING_MAX` go, the oldest first."""
    secret = random_bytes(TOKEN_BYTES)
    await tx.execute(_MINT, digest(secret), user, purpose, email, life_s)
    await tx.execute(_TRIM, user, purpose, LIVING_MAX)
    return base64.urlsafe_b64encode(secret).rstrip(b"=").decode()


async def look(tx: asyncpg.Connection, secret: str, purpose: Purpose) -> Link | None:
    """What a link is good for now; it stays."""
    return await _find(tx, _LOOK, secret, purpose)


async def take(tx: asyncpg.Connection, secret: str, purpose: Purpose) -> Link | None:
    """What a link was good for until now. Whoever else takes it at this moment waits for this transaction, and then finds nothing."""
    return await _find(tx, _TAKE, secret, purpose)


async def drop(tx: asyncpg.Connection, user: int, purpose: Purpose) -> None:
    """Makes every link of an account for this purpose worthless."""
    await tx.execute("DELETE FROM identity_links WHERE user_id = $1 AND purpose = $2", user, purpose)


async def sweep_links(tx: asyncpg.Connection, limit: int = 1000) -> int:
    """Deletes up to `limit` links whose time is over; how many."""
    return len(await tx.fetch(_SWEEP, limit))


async def _find(tx: asyncpg.Connection, sql: str, secret: str, purpose: Purpose) -> Link | None:
    # A link has the form of a refresh token, and one spelling as that has.
    known = read_token(secret) if len(secret) <= SECRET_LENGTH_MAX else None
    if known is None:
        return None
    row = await tx.fetchrow(sql, digest(known), purpose)
    return None if row is None else Link(row["user_id"], row["email"])


_MINT: Final = """
INSERT INTO identity_links (hash, user_id, purpose, email, created_at, expires_at)
VALUES ($1, $2, $3, $4, clock_timestamp(), clock_timestamp() + make_interval(secs => $5))
"""

_TRIM: Final = """
DELETE FROM identity_links WHERE hash IN (
    SELECT hash FROM identity_links WHERE user_id = $1 AND purpose = $2 ORDER BY created_at DESC OFFSET $3
)
"""

_LOOK: Final = """
SELECT l.user_id, l.email::text FROM identity_links l JOIN accounts a ON a.id = l.user_id
WHERE l.hash = $1 AND l.purpose = $2 AND l.expires_at > clock_timestamp() AND a.disabled_at IS NULL
"""

_TAKE: Final = """
DELETE FROM identity_links l USING accounts a
WHERE l.hash = $1 AND l.purpose = $2 AND l.expires_at > clock_timestamp() AND a.id = l.user_id AND a.disabled_at IS NULL
RETURNING l.user_id, l.email::text
"""

_SWEEP: Final = """
DELETE FROM identity_links WHERE hash IN (
    SELECT hash FROM identity_links WHERE expires_at < now() ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
) RETURNING hash
"""
