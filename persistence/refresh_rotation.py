"""Refresh tokens: used once, replaced by a successor, and what a second use means. Pure: no database, no clock, no randomness.

                    ┌─ unused ───────────────────────────▶ ROTATE   mint the successor, mark this one used
    token, found ───┼─ used, within the grace, and its
                    │  successor is still unused ────────▶ REPEAT   the same successor once more
                    └─ used, otherwise ──────────────────▶ REUSED   two parties hold this family: end it

On a poor link the answer to a refresh is lost as often as the request, so the client must be able to ask again. The successor is
therefore not random but derived: `HMAC-SHA256(token, salt)`, the salt random and kept with the used token until the successor is
used. Whoever asks again gets the *same* successor, although the database holds no token, only hashes. Minting another one instead,
and revoking the first, breaks on a delayed duplicate: the client holds the answer to its retry, the duplicate arrives afterwards
and revokes exactly that. `docs/decisions/tokens.md` has the interleavings.

Invariant: of one family at most one token is unused, and only that one, or its direct predecessor for a few seconds, opens anything.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from enum import Enum
from typing import Final

from msgspec import Struct

TOKEN_BYTES: Final = 32
SALT_BYTES: Final = 16
TOKEN_LENGTH: Final = 43
"""Of 32 bytes in base64url without padding."""
_PURPOSE: Final = b"educonnect refresh successor v1\0"


class Verdict(Enum):
    """What a presented token is good for."""

    ROTATE = "rotate"
    REPEAT = "repeat"
    REUSED = "reused"
    EXPIRED = "expired"
    ENDED = "ended"


class Presented(Struct, frozen=True):
    """A token that was found, as it stands while its session is locked. Times are Unix seconds of the database's clock."""

    now: float
    expires_at: float
    session_ended: bool
    used_at: float | None = None
    successor_used: bool = False


def judge(token: Presented, grace_s: float) -> Verdict:
    """What to do. An expired token says nothing of theft: by then its row may be gone, and it opens nothing either way."""
    if token.session_ended:
        return Verdict.ENDED
    if token.now >= token.expires_at:
        return Verdict.EXPIRED
    if token.used_at is None:
        return Verdict.ROTATE
    if not token.successor_used and token.now - token.used_at <= grace_s:
        return Verdict.REPEAT
    return Verdict.REUSED


def write_token(secret: bytes) -> str:
    """The token as its owner sees it."""
    assert len(secret) == TOKEN_BYTES
    return base64.urlsafe_b64encode(secret).rstrip(b"=").decode()


def read_token(text: str) -> bytes | None:
    """The secret in a token; None if it is no token, whatever the text."""
    if len(text) != TOKEN_LENGTH:
        return None
    try:
        secret = base64.b64decode(text + "=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    # The last character carries four spare bits: one token has one spelling.
    return secret if write_token(secret) == text else None


def digest(secret: bytes) -> bytes:
    """What is stored. A plain hash is enough for 256 random bits: there is nothing to guess."""
    return hashlib.sha256(secret).digest()


def successor(secret: bytes, salt: bytes) -> bytes:
    """The token that follows. Needs both: the token, which only its owner has, and the salt, which only the database has."""
    return hmac.digest(secret, _PURPOSE + salt, "sha256")
