"""TOTP: six digits that a phone shows for thirty seconds (RFC 6238), from a secret that it and we keep. Ours is sealed.

    make ─▶ 160 random bits ─▶ Base32 for the phone · sealed for the database
    match(sealed, code, now, after) ─▶ the time step whose code it is, one early or late at most, and later than the last one taken

Invariant: of one secret every time step is taken at most once, and none that is not later than the last.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Callable
from typing import Final
from urllib.parse import quote, urlencode

from pyotp import TOTP

from actors.mfa import Matched
from gateway.seals import Seals

PURPOSE: Final = b"educonnect totp 1"
"""What the sealing key is derived for."""
SECRET_BYTES: Final = 20
"""RFC 4226, 4: 160 bits are recommended."""
STEP_S: Final = 30
DIGITS: Final = 6
WINDOW: Final = (-1, 0, 1)
"""Phones' clocks are off by seconds and people type for some; RFC 6238, 5.2 allows one step."""


class TotpReader:
    """Implements `actors.mfa.Authenticators`."""

    def __init__(self, seals: Seals, *, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._seals = seals
        self._random_bytes = random_bytes

    @property
    def key_name(self) -> str:
        return self._seals.name

    @property
    def older_keys(self) -> tuple[str, ...]:
        return tuple(name for name in self._seals.names if name != self._seals.name)

    def make(self, user: int) -> tuple[str, bytes]:
        raw = self._random_bytes(SECRET_BYTES)
        return base64.b32encode(raw).decode(), self._seals.seal(raw, _about(user))

    def match(self, user: int, sealed: bytes, code: str, now: float, after: int) -> Matched | None:
        opened = self._seals.open(sealed, _about(user))
        if opened is None:
            return None
        step = match_step(opened.data, code, now, after)
        if step is None:
            return None
        return Matched(step, self._seals.seal(opened.data, _about(user)) if opened.stale else None)

    def reseal(self, user: int, sealed: bytes) -> bytes | None:
        opened = self._seals.open(sealed, _about(user))
        return None if opened is None else self._seals.seal(opened.data, _about(user))


def match_step(raw: bytes, code: str, now: float, after: int) -> int | None:
    """The time step of which `code` is, at `now` (Unix seconds): the present one or a neighbour, and later than `after`; else None.
    Every candidate is compared, and in constant time, so that how long it takes says nothing."""
    typed = code.replace(" ", "")
    if len(typed) != DIGITS or not (typed.isascii() and typed.isdigit()):
        return None
    otp = TOTP(base64.b32encode(raw).decode(), digits=DIGITS, interval=STEP_S)
    present = int(now // STEP_S)
    found = None
    for offset in WINDOW:
        step = present + offset
        if step >= 0 and hmac.compare_digest(otp.generate_otp(step), typed) and step > after:
            found = step
    return found


def enrolment_uri(secret: str, issuer: str, name: str) -> str:
    """What an authenticator app reads from a QR code (Google's Key URI format). Holds the secret: shown once, logged never."""
    label = f"{quote(issuer, safe='')}:{quote(name, safe='')}"
    return f"otpauth://totp/{label}?{urlencode({'secret': secret, 'issuer': issuer}, quote_via=quote)}"


def _about(user: int) -> bytes:
    return b"totp of account %d" % user
