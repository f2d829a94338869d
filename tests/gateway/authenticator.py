"""An authenticator in software: makes and uses passkeys as a browser and a phone together would, honestly or as a test wants it.

Written from the standard (WebAuthn Level 3, 5.8.1, 6.1, 6.5), with its own small CBOR writer, so that it shares no code with what reads it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

UP, UV, BE, BS, AT = 0x01, 0x04, 0x08, 0x10, 0x40


def text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def cbor(value: Any) -> bytes:
    """Maps, byte strings, texts and small integers: what an attestation is made of."""
    match value:
        case int():
            return _head(0, value) if value >= 0 else _head(1, -1 - value)
        case bytes():
            return _head(2, len(value)) + value
        case str():
            return _head(3, len(value.encode())) + value.encode()
        case dict():
            return _head(5, len(value)) + b"".join(cbor(key) + cbor(one) for key, one in value.items())
    raise TypeError(value)


def _head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes([major << 5 | number])
    if number < 256:
        return bytes([major << 5 | 24, number])
    return bytes([major << 5 | 25]) + struct.pack("!H", number)


class Passkey:
    """One passkey on one authenticator. Its attributes may be changed between uses, to lie."""

    def __init__(self, rp_id: str, origin: str, *, counts: bool = True, backed_up: bool = False) -> None:
        self.rp_id, self.origin = rp_id, origin
        self.credential_id = os.urandom(32)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.handle = b""
        self.count = 0
        self.counts = counts
        self.verifies = True
        self.present = True
        self.tells_handle = True
        self.eligible = self.backed_up = backed_up
        self.client_data: dict[str, object] = {"crossOrigin": False}

    def make(self, options: dict[str, Any]) -> dict[str, Any]:
        """What `navigator.credentials.create({publicKey: options})` gives."""
        self.handle = raw(options["user"]["id"])
        numbers = self.key.public_key().public_numbers()
        cose = cbor({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")})
        attested = bytes(16) + struct.pack("!H", len(self.credential_id)) + self.credential_id + cose
        attestation = cbor({"fmt": "none", "attStmt": {}, "authData": self._data(AT) + attested})
        said = self._client_data("webauthn.create", options["challenge"])
        return self._credential({"clientDataJSON": text(said), "attestationObject": text(attestation), "transports": ["internal", "usb"]})

    def get(self, options: dict[str, Any]) -> dict[str, Any]:
        """What `navigator.credentials.get({publicKey: options})` gives."""
        self.count += self.counts
        said = self._client_data("webauthn.get", options["challenge"])
        data = self._data(0)
        signature = self.key.sign(data + hashlib.sha256(said).digest(), ec.ECDSA(SHA256()))
        response: dict[str, Any] = {"clientDataJSON": text(said), "authenticatorData": text(data), "signature": text(signature)}
        if self.tells_handle:
            response["userHandle"] = text(self.handle)
        return self._credential(response)

    def _data(self, flags: int) -> bytes:
        flags |= UP * self.present | UV * self.verifies | BE * self.eligible | BS * self.backed_up
        return hashlib.sha256(self.rp_id.encode()).digest() + struct.pack("!BI", flags, self.count)

    def _client_data(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin, **self.client_data}).encode()

    def _credential(self, response: dict[str, Any]) -> dict[str, Any]:
        name = text(self.credential_id)
        return {"id": name, "rawId": name, "type": "public-key", "response": response, "clientExtensionResults": {}}
