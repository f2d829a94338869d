"""Sealing what must be read again, so that a copy of the database alone is worth nothing: a TOTP secret, which hashing would make useless.

    key file ─HKDF─▶ a key for each private key ─▶ seal: AES-256-GCM(nonce, data, about) ─▶ database
                                                   open: by the key's name, newest first

`about` says whose it is and what for; what was sealed for one account is no good in another's row.

Invariant: the first key seals, all open. A key that leaves the file takes along what only it sealed: `Opened.stale` says what to seal anew.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

NAME_BYTES: Final = 6
KEY_BYTES: Final = 32
DERIVED_BYTES: Final = NAME_BYTES + KEY_BYTES
"""What `Seals` takes of each key."""
NONCE_BYTES: Final = 12
"""Random: below 2^32 seals by one key (NIST SP 800-38D), which is more than accounts."""


class Opened(Struct, frozen=True):
    """What was sealed. `stale`: by a key that is not the first any more."""

    data: bytes
    stale: bool

    def __repr__(self) -> str:
        return f"Opened(stale={self.stale})"


class Seals:
    """Seals and opens. `derived`: `DERIVED_BYTES` of each private key for this one purpose, the one that seals first."""

    def __init__(self, derived: Sequence[bytes], *, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> None:
        assert derived and all(len(material) == DERIVED_BYTES for material in derived)
        self._keys = {material[:NAME_BYTES].hex(): AESGCM(material[NAME_BYTES:]) for material in derived}
        self.name = derived[0][:NAME_BYTES].hex()
        """Of the key that seals: not secret, and no help towards the key."""
        self._random_bytes = random_bytes

    @property
    def names(self) -> tuple[str, ...]:
        """Of every key that opens."""
        return tuple(self._keys)

    def seal(self, data: bytes, about: bytes) -> bytes:
        """The sealed bytes: the key's name, the nonce, and 16 more than `data`."""
        nonce = self._random_bytes(NONCE_BYTES)
        return bytes.fromhex(self.name) + nonce + self._keys[self.name].encrypt(nonce, data, about)

    def open(self, sealed: bytes, about: bytes) -> Opened | None:
        """What was sealed about this; None where it is not ours, was changed, is about something else, or its key has gone."""
        name = sealed[:NAME_BYTES].hex()
        key = self._keys.get(name)
        if key is None:
            return None
        body = sealed[NAME_BYTES:]
        try:
            return Opened(key.decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], about), name != self.name)
        except (InvalidTag, ValueError):
            return None
