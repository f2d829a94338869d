"""How a delivery proves where it comes from, in the shape of Standard Webhooks (standardwebhooks.com, specification 1.0).

    webhook-id: evt_7_40321_12          the same whenever this event is sent to this subscription
    webhook-timestamp: 1800000000       of this attempt, Unix seconds
    webhook-signature: v1,BASE64 …      HMAC-SHA256 over "id.timestamp.body", one for each secret that is good now

While a secret is changed there are two signatures, so that a receiver that knows either of them takes the delivery.

Invariant: the bytes that are signed are the bytes that are sent.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Final

SECRET_BYTES: Final = 32
SECRET_PREFIX: Final = "whsec_"
VERSION: Final = "v1"


def make_secret(random_bytes: Callable[[int], bytes]) -> str:
    """A new secret as its owner is shown it, once."""
    return SECRET_PREFIX + base64.b64encode(random_bytes(SECRET_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """The key within a secret. Raises `ValueError` for what is none; the text does not repeat it."""
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("this is no webhook secret") from None


def sign(message_id: str, timestamp: int, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """The three header fields of a delivery."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    signatures = (hmac.new(key_of(secret), signed, hashlib.sha256).digest() for secret in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"{VERSION},{base64.b64encode(signature).decode()}" for signature in signatures),
    }
