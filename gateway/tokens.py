"""Access tokens: who somebody is, for fifteen minutes, without asking a database.

    key file ─▶ KeySet ─ issue ─▶ header {alg: EdDSA, kid}, claims {iss, aud, sub, did, sid, iat, exp}, Ed25519 signature
    (PEM)           │
                    ├─── verify ─▶ Claims | UNAUTHENTICATED | TOKEN_EXPIRED
                    ├─── seal, unseal ▶ tickets (`gateway/tickets.py`)
                    └─── jwks ───▶ /.well-known/jwks.json

The first private key signs; all keys verify. So a key is rotated in three deployments: append the new one (everybody verifies it), move
it to the front (it signs), remove the old one once its last token has expired. A key's `kid` is its own fingerprint (RFC 7638), so no
two gateways can disagree about what a `kid` means.

Invariant: what the token says about itself chooses among our keys and nothing else. The algorithm is pinned here, never read from the
header; time is passed in.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from actors.accounts import Claims, Ticketed
from gateway.options import AUDIENCE, ISSUER, LIFETIME_S
from gateway.tickets import TicketKeys
from protocol.codes import Code
from protocol.values import ID_MAX

ALGORITHM: Final = "EdDSA"
CLOCK_SKEW_S: Final = 60
"""How far in the future a token may have been issued: gateways' clocks differ. No leeway is given at the other end, where the client
refreshes ahead of time."""
TOKEN_LENGTH_MAX: Final = 2048
"""As `protocol.values.Token`. Ours have about 300 characters."""
VERIFIED_MAX: Final = 16_384
"""Verified tokens remembered: about 0.8 KiB each. A signature takes 160 µs to check (PyJWT and all), a remembered one 0.2 µs; a device that
reconnects on a poor link, or calls HTTP, comes back with the same token many times within its fifteen minutes."""
KEYS_MAX: Final = 8
PEM_BYTES_MAX: Final = 16 * 1024

_OPTIONS: Final[jwt.types.Options] = {
    "require": ["iss", "aud", "sub", "iat", "exp"],
    # Time is judged below, by the time passed in.
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
    "strict_aud": True,
}


class KeysRefused(ValueError):
    """The text or file given for the keys cannot be used. The text says why and what is expected; never what it held."""


class _Payload(msgspec.Struct, frozen=True):
    """The claims as they stand in the token, after the signature was found good."""

    sub: str
    did: int
    sid: int
    iat: int
    exp: int


class KeySet:
    """Signs and verifies access tokens. Not for use across threads."""

    def __init__(
        self,
        pem: str,
        *,
        issuer: str = ISSUER,
        audience: str = AUDIENCE,
        lifetime_s: int = LIFETIME_S,
        verified_max: int = VERIFIED_MAX,
        epoch: Callable[[], int] = lambda: 0,
    ) -> None:
        """`pem`: one or more Ed25519 keys, PKCS 8 private or SPKI public; at least one is private. `epoch`: the database's, of which
        tickets are good; 0 while it is not known, and then none is. Raises `KeysRefused`."""
        self._public: dict[str, Ed25519PublicKey] = {}
        self._signing: tuple[str, Ed25519PrivateKey] | None = None
        secrets: list[bytes] = []
        for private, public in _parse(pem):
            kid = fingerprint(public)
            self._public[kid] = public
            if private is not None:
                secrets.append(private.private_bytes_raw())
                self._signing = self._signing or (kid, private)
        if self._signing is None:
            raise KeysRefused("there is no private key to sign with; expected: at least one block BEGIN PRIVATE KEY")
        self._issuer, self._audience, self._lifetime_s = issuer, audience, lifetime_s
        self._tickets = TicketKeys(secrets, f"{issuer} {audience}")
        self._secrets = tuple(secrets)
        self._epoch = epoch
        self._verified: dict[str, Claims] = {}
        self._verified_max = verified_max
        self.checked = 0
        """Signatures checked; read by the metrics."""
        self.remembered = 0
        """Tokens that were known to be good."""
        self.refused = 0
        self.tickets = 0
        """Tickets that were good, and (`tickets_refused`) that were not."""
        self.tickets_refused = 0

    @property
    def signing_kid(self) -> str:
        assert self._signing is not None
        return self._signing[0]

    def derive(self, purpose: bytes, length: int) -> tuple[bytes, ...]:
        """A key for another purpose from each private key (HKDF), the signing one's first. What is kept for years under one must be sealed
        anew before its key leaves the file. Not bound to issuer and audience: those are renamed, and what was sealed stays readable."""
        return tuple(HKDF(SHA256(), length, None, purpose).derive(secret) for secret in self._secrets)

    def issue(self, user: int, device: int, session: int, now: float, until: float = math.inf) -> tuple[str, int]:
        """A token and when it expires, in Unix seconds: after its lifetime, or at `until`, when its session ends."""
        assert self._signing is not None
        kid, key = self._signing
        issued_at = int(now)
        expires_at = int(min(issued_at + self._lifetime_s, until))
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": str(user),
            "did": device,
            "sid": session,
            "iat": issued_at,
            "exp": expires_at,
        }
        return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"kid": kid}), expires_at

    def verify(self, token: str, now: float) -> Claims | Code:
        """Implements `actors.accounts.Tokens`."""
        claims = self._verified.get(token)
        if claims is None:
            claims = self._check(token)
            if claims is None:
                self.refused += 1
                return Code.UNAUTHENTICATED
        else:
            self.remembered += 1
        if now >= claims.expires_at:
            self._verified.pop(token, None)
            return Code.TOKEN_EXPIRED
        if claims.issued_at > now + CLOCK_SKEW_S:
            return Code.UNAUTHENTICATED
        return claims

    def seal(self, claims: Claims, epoch: int, terms: bytes) -> bytes:
        """Implements `actors.accounts.Tokens`."""
        return self._tickets.seal(claims, epoch, terms)

    def unseal(self, ticket: bytes, terms: bytes, now: float) -> Ticketed | None:
        """Implements `actors.accounts.Tokens`."""
        epoch = self._epoch()
        claims = self._tickets.unseal(ticket, epoch, terms, now) if epoch else None
        if claims is None:
            self.tickets_refused += 1
            return None
        self.tickets += 1
        return Ticketed(claims, epoch)

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The public keys as a JSON Web Key Set (RFC 7517, RFC 8037)."""
        return {
            "keys": [
                {"kty": "OKP", "crv": "Ed25519", "x": _base64url(_raw(key)), "kid": kid, "use": "sig", "alg": ALGORITHM}
                for kid, key in self._public.items()
            ]
        }

    def _check(self, token: str) -> Claims | None:
        if len(token) > TOKEN_LENGTH_MAX:
            return None
        try:
            key = self._public.get(str(jwt.get_unverified_header(token).get("kid")))
            if key is None:
                return None
            self.checked += 1
            decoded = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                issuer=self._issuer,
                audience=self._audience,
                options=_OPTIONS,
            )
            payload = msgspec.convert(decoded, _Payload)
            user = int(payload.sub)
        except (jwt.PyJWTError, msgspec.ValidationError, ValueError):
            return None
        if not (0 < user <= ID_MAX and 0 < payload.did <= ID_MAX and 0 < payload.sid <= ID_MAX):
            return None
        claims = Claims(user, payload.did, payload.sid, payload.iat, payload.exp)
        # Only our own signature gets this far, so the table holds what we issued, and the oldest goes first.
        if len(self._verified) >= self._verified_max:
            del self._verified[next(iter(self._verified))]
        self._verified[token] = claims
        return claims


def fingerprint(key: Ed25519PublicKey) -> str:
    """A key's `kid`: its JWK thumbprint (RFC 7638), the first 16 of 43 characters, which are 96 bits."""
    canonical = f'{{"crv":"Ed25519","kty":"OKP","x":"{_base64url(_raw(key))}"}}'
    return _base64url(hashlib.sha256(canonical.encode()).digest())[:16]


def generate_pem() -> str:
    """A new private key."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(pem: str) -> str:
    """The public halves of the keys in `pem`, in their order: for those who only verify. Raises `KeysRefused`."""
    return "".join(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode() for _, public in _parse(pem))


def load_pem(path: Path) -> str:
    """The text of a key file. Blocks; raises `KeysRefused` where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(PEM_BYTES_MAX + 1).decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise KeysRefused(f"{path}: {type(error).__name__}; expected: a readable file of Ed25519 keys in PEM") from error


def load_or_generate_pem(path: Path) -> str:
    """The text of a key file, which is made (mode 0600) if it is not there. For development; blocks.

    Gateways that start together agree: the file appears whole, under its name, once (a link to a finished file fails if there is one).
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(prefix=path.name, dir=path.parent)
        try:
            with os.fdopen(handle, "w") as file:
                file.write(generate_pem())
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
        finally:
            os.unlink(draft)
    return load_pem(path)


def _parse(pem: str) -> list[tuple[Ed25519PrivateKey | None, Ed25519PublicKey]]:
    if len(pem) > PEM_BYTES_MAX:
        raise KeysRefused(f"the keys take more than {PEM_BYTES_MAX} bytes; expected: up to {KEYS_MAX} Ed25519 keys in PEM")
    blocks = ["-----BEGIN" + block for block in pem.split("-----BEGIN")[1:]]
    if not 1 <= len(blocks) <= KEYS_MAX:
        raise KeysRefused(f"there are {len(blocks)} keys; expected: 1 to {KEYS_MAX} Ed25519 keys in PEM")
    return [_parse_one(number, block.encode()) for number, block in enumerate(blocks, 1)]


def _parse_one(number: int, block: bytes) -> tuple[Ed25519PrivateKey | None, Ed25519PublicKey]:
    # The library's own errors are not repeated: some quote their input.
    with contextlib.suppress(ValueError, TypeError, jwt.exceptions.InvalidKeyError):
        if block.startswith(b"-----BEGIN PRIVATE KEY"):
            private = load_pem_private_key(block, None)
            if isinstance(private, Ed25519PrivateKey):
                return private, private.public_key()
        else:
            public = load_pem_public_key(block)
            if isinstance(public, Ed25519PublicKey):
                return None, public
    raise KeysRefused(f"key {number} cannot be read; expected: an Ed25519 key, as BEGIN PRIVATE KEY (PKCS 8) or BEGIN PUBLIC KEY")


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
