"""Recovery codes: eighty random bits, written so that somebody can type them from paper.

    random_bytes(10) ─write─▶ "k3vd-7q2x-mfea-5ozn" ─read─▶ the same bytes ─hash─▶ what is stored

Invariant: what is stored says nothing of the code: of 2^80 nobody tries all, so no slow hash is needed, and the account is hashed along.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Final

from actors.mfa import RECOVERY_BITS

RAW_BYTES: Final = RECOVERY_BITS // 8
_GROUP: Final = 4
_MISREAD: Final = str.maketrans({"0": "O", "1": "I", "8": "B"})
"""Digits that the alphabet (RFC 4648) has not, for the letters that they look like."""
TYPED_LENGTH_MAX: Final = 64


def write(raw: bytes) -> str:
    """The code for people: four groups of four letters and digits."""
    text = base64.b32encode(raw).decode().lower()
    return "-".join(text[place : place + _GROUP] for place in range(0, len(text), _GROUP))


def read(typed: str) -> bytes | None:
    """What was typed, whatever its case, spaces and hyphens; None if it can be no code."""
    if len(typed) > TYPED_LENGTH_MAX:
        return None
    text = "".join(typed.replace("-", "").split()).upper().translate(_MISREAD)
    try:
        raw = base64.b32decode(text)
    except (binascii.Error, ValueError):
        return None
    return raw if len(raw) == RAW_BYTES else None


def hash_of(user: int, raw: bytes) -> bytes:
    """What is stored of an account's code."""
    return hashlib.sha256(b"educonnect recovery 1" + user.to_bytes(8, "big") + raw).digest()
