"""Tickets: an access token in thirty bytes, for whoever comes back. Checked in six microseconds, where a signature takes 190.

    claims ─seal─▶ hint · expires · user · device · session · MAC ─unseal─▶ claims, or None
            1       4         1 to 8 bytes each              12

The MAC is HMAC-SHA-256, cut to 96 bits, over what the ticket says and over two things that it does not carry: the epoch of the database
and the terms that were offered. Where either is another one, the ticket is no good, and costs no byte.

Each private key of the gateway's has a ticket key derived from it (HKDF), so tickets rotate with the keys: the first seals, all unseal,
and a ticket of a key that is gone is refused, whose owner then shows the token. A guess at a MAC costs a socket, and nobody has 2^95.

Invariant: a ticket expires when the token expires that it was made for, so whoever holds one can do nothing that the token did not allow,
nor for longer. What is decided in Postgres for a token (session, generation) is decided there for a ticket, in the same statement.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from actors.accounts import Claims
from protocol.values import ID_MAX

MAC_BYTES: Final = 12
ID_BYTES_MAX: Final = 8
"""Of 7 bits each: an identifier has 53."""
EXPIRES_MAX: Final = 2**32 - 1
"""In the year 2106 a ticket needs a fifth byte for its time."""
_HEAD: Final = struct.Struct("!BI")
_BOUND: Final = struct.Struct("!QB")
LENGTH_MIN: Final = _HEAD.size + 3 + MAC_BYTES
LENGTH_MAX: Final = _HEAD.size + 3 * ID_BYTES_MAX + MAC_BYTES


class TicketKeys:
    """Seals and unseals. `secrets`: of each private key its raw bytes, the one that seals first; `label` names the installation."""

    def __init__(self, secrets: Sequence[bytes], label: str) -> None:
        derived = [HKDF(SHA256(), 33, None, b"educonnect ticket 1 " + label.encode()).derive(secret) for secret in secrets]
        self._keys = [(material[0], material[1:]) for material in derived]

    def seal(self, claims: Claims, epoch: int, terms: bytes) -> bytes:
        """A ticket: `LENGTH_MIN` to `LENGTH_MAX` bytes, 32 or fewer while identifiers are below 2^35."""
        hint, key = self._keys[0]
        body = _HEAD.pack(hint, min(claims.expires_at, EXPIRES_MAX))
        body += _write(claims.user) + _write(claims.device) + _write(claims.session)
        return body + _mac(key, body, epoch, terms)

    def unseal(self, ticket: bytes, epoch: int, terms: bytes, now: float) -> Claims | None:
        """The claims of a ticket that is good now; `issued_at` is not in it, and 0. Raises nothing, whatever the bytes."""
        if not LENGTH_MIN <= len(ticket) <= LENGTH_MAX:
            return None
        body, mac = ticket[:-MAC_BYTES], ticket[-MAC_BYTES:]
        good = False
        for hint, key in self._keys:
            if hint == body[0]:
                good |= hmac.compare_digest(mac, _mac(key, body, epoch, terms))
        if not good:
            return None
        _, expires_at = _HEAD.unpack_from(body)
        if expires_at <= now:
            return None
        return Claims(*_read(body[_HEAD.size :]), 0, expires_at)


def _mac(key: bytes, body: bytes, epoch: int, terms: bytes) -> bytes:
    """Every part has its length in front of it or a fixed one, so that no two say the same bytes."""
    return hmac.digest(key, _BOUND.pack(epoch, len(body)) + body + terms, "sha256")[:MAC_BYTES]


def _write(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the last byte is below 128."""
    assert 0 < number <= ID_MAX
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def _read(body: bytes) -> tuple[int, int, int]:
    """Three identifiers that `_write` wrote: only what was sealed comes here."""
    numbers = [0]
    shift = 0
    for byte in body:
        numbers[-1] |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(0)
            shift = 0
    user, device, session, _ = numbers
    return user, device, session
