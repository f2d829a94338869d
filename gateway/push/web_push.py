"""Web push: encrypted for the browser alone (RFC 8291), signed for its push service (RFC 8292), carried by HTTP (RFC 8030).

    Parcel ─▶ JSON ─▶ aes128gcm, with the browser's keys ─▶ POST to the endpoint: TTL, Urgency, Topic, VAPID ─▶ Pushed
                                                              │ the endpoint is a browser's word: judged connections only
                                                              ╰─ 404, 410: forget it    429: later, as it says

An endpoint is a URL that a user gives us, so it is read and connected to as a webhook's is: https, a public address, judged once, no
redirects.

Invariant: the push service sees ciphertext, a length, an urgency and a topic that says nothing.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import http_ece
import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key

from actors.push import Parcel, Pushed, Subscription, Urgency
from gateway.webhooks.destination import Destination, DestinationRefused, parse
from gateway.webhooks.posting import Answer

RECORD_BYTES: Final = 4096
PLAIN_BYTES_MAX: Final = 3000
"""RFC 8030 promises 4096 bytes of body; the header, the tag and the padding byte take some hundred."""
AUTH_BYTES: Final = 16
POINT_BYTES: Final = 65
TOKEN_LIFE_S: Final = 12 * 3600
"""RFC 8292 allows a day; a token that leaks is good at one push service for this long."""
TOKEN_RENEW_S: Final = 3600
ORIGINS_MAX: Final = 64


class SubscriptionRefused(ValueError):
    """The subscription cannot be one. The text says why and repeats nothing of it."""


class Posts(Protocol):
    """Makes one POST over a judged connection; `gateway.webhooks.posting.Poster`."""

    async def post(self, destination: Destination, headers: dict[str, str], body: bytes) -> Answer: ...


def generate_key() -> bytes:
    """A new key for `push.vapid_key_file`, PEM."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def load_or_generate_key(path: Path) -> bytes:
    """The bytes of a key file, which is made (mode 0600) if it is not there. For development, one process at a time; blocks."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(generate_key())
    return path.read_bytes()


class Vapid:
    """Our name towards push services. `subject`: a mailto: or https: URL by which an operator of theirs finds ours.

    Browsers bind a subscription to the key: with another one all of them are void.
    """

    def __init__(self, pem: bytes, subject: str, wall: Callable[[], float]) -> None:
        key = load_pem_private_key(pem, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise ValueError("push.vapid_key_file: expected an EC key on P-256, in PEM")
        self._key = key
        self._subject = subject
        self._wall = wall
        self._tokens: OrderedDict[str, tuple[float, str]] = OrderedDict()
        point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.public = base64.urlsafe_b64encode(point).decode().rstrip("=")
        """What a browser wants as `applicationServerKey`."""

    def field(self, origin: str) -> str:
        """The Authorization field for this push service; signed once an hour."""
        now = self._wall()
        signed_at, token = self._tokens.get(origin, (0.0, ""))
        if not token or not 0 <= now - signed_at < TOKEN_RENEW_S:
            claims = {"aud": origin, "exp": int(now) + TOKEN_LIFE_S, "sub": self._subject}
            token = jwt.encode(claims, self._key, algorithm="ES256")
            self._tokens[origin] = now, token
            if len(self._tokens) > ORIGINS_MAX:
                self._tokens.popitem(last=False)
        return f"vapid t={token}, k={self.public}"


class WebPush:
    """Fits `actors.push.PushSender`. `loopback_allowed`: endpoints on this machine are taken, as development and tests have them."""

    def __init__(self, vapid: Vapid, posts: Posts, *, loopback_allowed: bool = False) -> None:
        self.vapid = vapid
        self._posts = posts
        self._loopback_allowed = loopback_allowed

    async def send(self, to: Subscription, parcel: Parcel) -> Pushed:
        try:
            destination = read_endpoint(to.address, loopback_allowed=self._loopback_allowed)
            body = encrypt(plaintext(parcel), to)
        except (DestinationRefused, SubscriptionRefused) as error:
            return Pushed(gone=True, words=str(error))
        scheme = "https" if destination.secure else "http"
        headers = {
            "Authorization": self.vapid.field(f"{scheme}://{destination.authority}"),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(parcel.ttl_s),
            "Urgency": _URGENCIES[parcel.urgency],
        }
        if parcel.topic:
            headers["Topic"] = topic(parcel.topic)
        answer = await self._posts.post(destination, headers, body)
        return Pushed(
            taken=answer.taken,
            gone=answer.status in (404, 410) or answer.forbidden,
            hopeless=answer.status in (400, 401, 403, 413),
            retry_after_s=float(answer.retry_after_s),
            status=answer.status,
            words=f"{answer.status or 'no answer'}" if answer.status else answer.text,
        )


def read_endpoint(address: str, *, loopback_allowed: bool = False) -> Destination:
    """Where an endpoint is. Raises `DestinationRefused`."""
    return parse(address, loopback_allowed=loopback_allowed)


def check_keys(p256dh: bytes, auth: bytes) -> None:
    """Raises `SubscriptionRefused` unless these are a point on P-256 and a secret of 16 bytes."""
    if len(auth) != AUTH_BYTES:
        raise SubscriptionRefused(f"auth: {AUTH_BYTES} bytes, in base64url")
    if len(p256dh) != POINT_BYTES:
        raise SubscriptionRefused(f"p256dh: an uncompressed point on P-256, {POINT_BYTES} bytes in base64url")
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), p256dh)
    except ValueError:
        raise SubscriptionRefused("p256dh: this is no point on P-256") from None


def plaintext(parcel: Parcel) -> bytes:
    """What the service worker gets, as JSON: short names, since every byte is encrypted, carried and decrypted on a phone."""
    return msgspec.json.encode(
        {
            "id": parcel.id,
            "title": parcel.title,
            "body": parcel.body,
            "notice": parcel.notice,
            "stream": parcel.stream,
            "seq": parcel.seq,
            "count": parcel.count,
        }
    )


def encrypt(plain: bytes, to: Subscription) -> bytes:
    """The body of the POST. Raises `SubscriptionRefused`."""
    check_keys(to.p256dh, to.auth)
    if len(plain) > PLAIN_BYTES_MAX:
        raise SubscriptionRefused(f"a push of {len(plain)} bytes; allowed: {PLAIN_BYTES_MAX}")
    sealed: bytes = http_ece.encrypt(
        plain,
        private_key=ec.generate_private_key(ec.SECP256R1()),
        dh=to.p256dh,
        auth_secret=to.auth,
        rs=RECORD_BYTES,
        version="aes128gcm",
    )
    return sealed


def topic(name: str) -> str:
    """A topic as RFC 8030 wants it: 32 characters that tell the push service nothing."""
    return base64.urlsafe_b64encode(hashlib.sha256(name.encode()).digest()[:24]).decode()


_URGENCIES: Final = {Urgency.LOW: "low", Urgency.NORMAL: "normal", Urgency.HIGH: "high"}
