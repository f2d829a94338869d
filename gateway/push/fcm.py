"""FCM, Google's push: its HTTP v1 API, with a service account's signed assertion for an access token.

    account file ─▶ RS256 assertion ─▶ token endpoint ─▶ access token, kept until five minutes before its end
    Parcel ─▶ POST /v1/projects/<project>/messages:send ─▶ Pushed

Invariant: one access token is asked for at a time; a token that is refused is forgotten, and the push comes again as a job does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import httpx
import jwt
import msgspec
import trio
from msgspec import Struct

from actors.push import Parcel, Pushed, Subscription, Urgency

SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_S: Final = 3600
EARLY_S: Final = 300.0
ANSWER_BYTES_MAX: Final = 16 * 1024
RETRY_AFTER_MAX_S: Final = 24 * 3600
_TOKEN: Final = re.compile(r"[A-Za-z0-9:_-]{20,512}")
_PROJECT: Final = re.compile(r"[a-z0-9-]{4,40}")


class Account(Struct, frozen=True):
    """A service account's key file, as Google's console gives it."""

    client_email: str
    private_key: str
    project_id: str
    private_key_id: str = ""
    token_uri: str = "https://oauth2.googleapis.com/token"

    def __repr__(self) -> str:
        return f"Account(project_id={self.project_id!r})"


def read_account(raw: bytes) -> Account:
    """Raises `ValueError` for what is no key file; the text repeats nothing of it."""
    try:
        account = msgspec.json.decode(raw, type=Account)
    except msgspec.MsgspecError:
        raise ValueError("push.fcm_account_file: expected a service account's key file, in JSON") from None
    if not _PROJECT.fullmatch(account.project_id):
        raise ValueError("push.fcm_account_file: its project_id is none")
    return account


class _Granted(Struct, frozen=True):
    access_token: str
    expires_in: int = 3600


class TokenRefused(Exception):
    """The token endpoint gave none. The text is its status."""


class Fcm:
    """Fits `actors.push.PushSender`. `base_url`: of the API; a test's own otherwise."""

    def __init__(
        self, account: Account, client: httpx.AsyncClient, wall: Callable[[], float], *, base_url: str = "https://fcm.googleapis.com"
    ) -> None:
        self._account = account
        self._client = client
        self._wall = wall
        self._url = f"{base_url}/v1/projects/{account.project_id}/messages:send"
        self._token = ""
        self._good_until = 0.0
        self._asking = trio.Lock()

    async def send(self, to: Subscription, parcel: Parcel) -> Pushed:
        try:
            token = await self._access_token()
            response = await self._client.post(self._url, json=message(to.address, parcel), headers={"Authorization": f"Bearer {token}"})
        except TokenRefused as error:
            return Pushed(words=f"no access token: {error}")
        except httpx.HTTPError as error:
            return Pushed(words=type(error).__name__)
        if response.status_code == 401:
            self._token = ""
        return read_answer(response)

    async def _access_token(self) -> str:
        async with self._asking:
            now = self._wall()
            if self._token and now < self._good_until:
                return self._token
            account = self._account
            claims = {
                "iss": account.client_email,
                "scope": SCOPE,
                "aud": account.token_uri,
                "iat": int(now),
                "exp": int(now) + ASSERTION_S,
            }
            assertion = jwt.encode(claims, account.private_key, algorithm="RS256", headers={"kid": account.private_key_id})
            response = await self._client.post(account.token_uri, data={"grant_type": GRANT, "assertion": assertion})
            if response.status_code != 200:
                raise TokenRefused(str(response.status_code))
            try:
                granted = msgspec.json.decode(response.content[:ANSWER_BYTES_MAX], type=_Granted)
            except msgspec.MsgspecError:
                raise TokenRefused("its answer is no token") from None
            self._token = granted.access_token
            self._good_until = now + max(0.0, granted.expires_in - EARLY_S)
            return self._token


def check_token(token: str) -> bool:
    """Whether this can be a registration token."""
    return _TOKEN.fullmatch(token) is not None


def message(token: str, parcel: Parcel) -> dict[str, object]:
    """The body of `messages:send`. All of `data` are strings, as the API wants them."""
    return {
        "message": {
            "token": token,
            "notification": {"title": parcel.title, "body": parcel.body},
            "data": {
                "id": parcel.id,
                "notice": str(parcel.notice),
                "stream": str(parcel.stream),
                "seq": str(parcel.seq),
                "count": str(parcel.count),
            },
            "android": {
                "priority": "HIGH" if parcel.urgency is Urgency.HIGH else "NORMAL",
                "ttl": f"{parcel.ttl_s}s",
                **({"collapse_key": parcel.topic} if parcel.topic else {}),
            },
        }
    }


def read_answer(response: httpx.Response) -> Pushed:
    """What the API's answer means: by status, and by its own error code where there is one."""
    status = response.status_code
    error = "" if status == 200 else _error_code(response.content[:ANSWER_BYTES_MAX])
    return Pushed(
        taken=status == 200,
        gone=error in ("UNREGISTERED", "SENDER_ID_MISMATCH"),
        hopeless=status in (400, 403, 413) and error not in ("UNREGISTERED", "SENDER_ID_MISMATCH"),
        retry_after_s=retry_after(response),
        status=status,
        words=f"{status} {error}".strip(),
    )


class _Detail(Struct, frozen=True):
    errorCode: str = ""


class _Error(Struct, frozen=True):
    status: str = ""
    details: tuple[_Detail, ...] = ()


class _Failed(Struct, frozen=True):
    error: _Error = _Error()


def _error_code(raw: bytes) -> str:
    try:
        error = msgspec.json.decode(raw, type=_Failed).error
    except msgspec.MsgspecError:
        return ""
    code = next((detail.errorCode for detail in error.details if detail.errorCode), error.status)
    return code[:40] if code.replace("_", "").isalnum() else ""


def retry_after(response: httpx.Response) -> float:
    """Seconds of a Retry-After field, 0 without one; a date would need their clock."""
    value = response.headers.get("Retry-After", "")
    return float(min(int(value), RETRY_AFTER_MAX_S)) if value.isascii() and value.isdigit() and len(value) <= 6 else 0.0
