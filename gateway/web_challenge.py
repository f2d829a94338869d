"""What is answered instead of a session where a second factor is set: the challenge, and how it may be answered.

    {"mfa": {"challenge", "methods": ["passkey", "totp", "recovery"], "expires_at", "passkey": {options for navigator.credentials.get}}}

Invariant: nothing in it opens anything by itself; `POST /api/v1/auth/mfa` does, with a proof.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from quart import Response

from actors.mfa import CHALLENGE_BYTES, Challenge, Method
from gateway.passkeys import PasskeyReader

Token = Annotated[str, Meta(min_length=1, max_length=64)]
"""A challenge, in Base64url, as it comes back."""


class SecondStep(Struct, frozen=True, omit_defaults=True):
    """The question. `expires_at`: Unix seconds. `passkey`: options for `navigator.credentials.get`, where that is a method."""

    challenge: str
    methods: list[str]
    expires_at: int
    passkey: dict[str, Any] | None = None


class SecondStepNeeded(Struct, frozen=True):
    """A log-in that is half done."""

    mfa: SecondStep


def tell_challenge(challenge: Challenge, passkeys: PasskeyReader, *, alone: bool = False) -> Response:
    """The answer to a log-in whose password was right (or, `alone`, that goes without one)."""
    return Response(msgspec.json.encode(SecondStepNeeded(describe(challenge, passkeys, alone=alone))), content_type="application/json")


def describe(challenge: Challenge, passkeys: PasskeyReader, *, alone: bool) -> SecondStep:
    methods = [method for method in challenge.methods if method is not Method.PASSKEY or passkeys.offered]
    options = passkeys.request_options(challenge, alone=alone) if Method.PASSKEY in methods else None
    return SecondStep(write_token(challenge.token), [method.value for method in methods], challenge.expires_at, options)


def write_token(token: bytes) -> str:
    return base64.urlsafe_b64encode(token).rstrip(b"=").decode()


def read_token(text: str) -> bytes | None:
    """The challenge that came back; None for what can be none."""
    try:
        token = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return token if len(token) == CHALLENGE_BYTES else None
