"""APNs, Apple's push: HTTP/2, with a provider token that is signed anew every forty minutes.

    Parcel ─▶ POST /3/device/<token> over one HTTP/2 connection: apns-id, -topic, -priority, -expiration, -collapse-id ─▶ Pushed

Apple refuses a provider token older than an hour, and one that changes more often than every twenty minutes.

Invariant: apns-id is made from the parcel's own, so a push that is sent twice is one for whoever looks.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Final

import httpx
import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from msgspec import Struct

from actors.push import Parcel, Pushed, Subscription, Urgency
from gateway.push.fcm import ANSWER_BYTES_MAX, retry_after
from gateway.push.web_push import topic

PROVIDER_TOKEN_S: Final = 40 * 60
_TOKEN: Final = re.compile(r"([0-9a-f]{2}){32,100}")
_NAMESPACE: Final = uuid.UUID("0f4f5d0e-6b62-4c53-9d0e-1f7a6a1f7c55")
_GONE: Final = frozenset({"BadDeviceToken", "DeviceTokenNotForTopic", "Unregistered", "ExpiredToken"})
_RENEW: Final = frozenset({"ExpiredProviderToken", "InvalidProviderToken"})


class ApnsKey(Struct, frozen=True):
    """A key of a developer team. `topic`: the app's bundle id."""

    pem: bytes
    key_id: str
    team_id: str
    topic: str

    def __repr__(self) -> str:
        return f"ApnsKey(key_id={self.key_id!r})"


class Apns:
    """Fits `actors.push.PushSender`. `client` speaks HTTP/2 and keeps its connection: Apple takes many new ones for an attack."""

    def __init__(
        self, key: ApnsKey, client: httpx.AsyncClient, wall: Callable[[], float], *, base_url: str = "https://api.push.apple.com"
    ) -> None:
        loaded = load_pem_private_key(key.pem, None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise ValueError("push.apns_key_file: expected an EC key, in PEM (a .p8 file)")
        self._private = loaded
        self._key = key
        self._client = client
        self._wall = wall
        self._base_url = base_url
        self._token = ""
        self._signed_at = 0.0

    async def send(self, to: Subscription, parcel: Parcel) -> Pushed:
        headers = {
            "authorization": f"bearer {self._provider_token()}",
            "apns-id": str(uuid.uuid5(_NAMESPACE, parcel.id)),
            "apns-topic": self._key.topic,
            "apns-push-type": "alert",
            "apns-priority": "10" if parcel.urgency is Urgency.HIGH else "5",
            "apns-expiration": str(int(self._wall()) + parcel.ttl_s),
        }
        if parcel.topic:
            headers["apns-collapse-id"] = topic(parcel.topic)
        try:
            response = await self._client.post(f"{self._base_url}/3/device/{to.address}", json=payload(parcel), headers=headers)
        except httpx.HTTPError as error:
            return Pushed(words=type(error).__name__)
        return self._read(response)

    def _provider_token(self) -> str:
        now = self._wall()
        if not self._token or not 0 <= now - self._signed_at < PROVIDER_TOKEN_S:
            claims = {"iss": self._key.team_id, "iat": int(now)}
            self._token = jwt.encode(claims, self._private, algorithm="ES256", headers={"kid": self._key.key_id})
            self._signed_at = now
        return self._token

    def _read(self, response: httpx.Response) -> Pushed:
        status = response.status_code
        reason = "" if status == 200 else _reason(response.content[:ANSWER_BYTES_MAX])
        renewed = reason in _RENEW
        if renewed:
            self._token = ""
        gone = status == 410 or reason in _GONE
        return Pushed(
            taken=status == 200,
            gone=gone,
            hopeless=status in (400, 403, 405, 413) and not gone and not renewed,
            retry_after_s=retry_after(response),
            status=status,
            words=f"{status} {reason}".strip(),
        )


def check_token(token: str) -> bool:
    """Whether this can be a device token: 32 to 100 bytes in lower-case hexadecimal, so nothing of it ends a path."""
    return _TOKEN.fullmatch(token) is not None


def payload(parcel: Parcel) -> dict[str, object]:
    """The body, below Apple's 4 KiB."""
    return {
        "aps": {"alert": {"title": parcel.title, "body": parcel.body}, "sound": "default", "thread-id": str(parcel.stream)},
        "id": parcel.id,
        "notice": parcel.notice,
        "stream": parcel.stream,
        "seq": parcel.seq,
        "count": parcel.count,
    }


class _Failed(Struct, frozen=True):
    reason: str = ""


def _reason(raw: bytes) -> str:
    try:
        reason = msgspec.json.decode(raw, type=_Failed).reason
    except msgspec.MsgspecError:
        return ""
    return reason[:40] if reason.isalnum() else ""
