"""An account over HTTP: register, log in, renew the access token, log out.

    Account(url) ── register, login ──▶ Credentials ──▶ connect(url, credentials)
                 ── renew (before expiry, or when a socket ended for its token)
                 ── fork_device (this device's store was copied)   ── sync (frames over HTTP)

A refresh token is good once: each renewal brings the next one. A reply that was lost on the way is asked for again with the same
token, which the server allows for a short grace.

Invariant: one renewal is under way per credentials at a time, and whoever waited gets its result.
"""

from __future__ import annotations

import httpx
import msgspec
import trio
from msgspec import Struct

from client.errors import AccountError, SecondFactorNeeded, Unreachable
from protocol.codes import Code

FRAMES_TYPE = "application/msgpack"
TIMEOUT_S = 20.0
"""One HTTP exchange. A password hash takes the server some 50 ms, and a queue of them behind its limiter some seconds."""
SYNC_TIMEOUT_S = 60.0
"""Silence within one exchange of frames: the server works up to 27 s on an answer, and then it has to come."""


class Login(Struct, frozen=True):
    """What registration, login and renewal answer. Times are Unix seconds; fields of newer servers are passed over."""

    access_token: str
    expires_at: float
    refresh_token: str
    user: int = 0
    device: int = 0
    inbox: int = 0
    name: str = ""
    display_name: str = ""
    session: int = 0
    refresh_expires_at: float = 0


class _SecondStep(Struct, frozen=True):
    challenge: str
    methods: tuple[str, ...] = ()


class _HalfDone(Struct, frozen=True):
    mfa: _SecondStep


class _Problem(Struct, frozen=True):
    title: str = ""
    detail: str = ""
    code: str | int = ""


class Account:
    """The HTTP side of one server. `client` may be given to share connections, or to test."""

    def __init__(self, url: str, client: httpx.AsyncClient | None = None) -> None:
        self._url = (url if "://" in url else f"http://{url}").rstrip("/")
        # Like the socket, HTTP goes to the server directly: a proxy from the environment would serve the one and not the other.
        self._client = client or httpx.AsyncClient(timeout=TIMEOUT_S, headers={"user-agent": "educonnect-python"}, trust_env=False)

    async def __aenter__(self) -> Account:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes idle connections, within a second."""
        with trio.move_on_after(1, shield=True):
            await self._client.aclose()

    async def register(self, name: str, password: str, display_name: str = "", device_name: str = "") -> Credentials:
        """Opens an account and logs in. Raises `AccountError` (a name that is taken, a short password) or `Unreachable`."""
        body: dict[str, object] = {
            "name": name,
            "password": password,
            "display_name": display_name or name,
            "device_name": device_name or "python",
        }
        return Credentials(self, await self._post("register", body))

    async def login(self, name: str, password: str, device: int = 0, device_name: str = "") -> Credentials:
        """Logs in: as `device` where this installation has one already, else as a new device.

        Raises `SecondFactorNeeded` where the password is right and not enough, `AccountError` or `Unreachable`.
        """
        body: dict[str, object] = {"name": name, "password": password, "device_name": device_name or "python"}
        if device:
            body["device"] = device
        return Credentials(self, await self._post("login", body))

    async def prove(self, challenge: str, code: str) -> Credentials:
        """The second step of a log-in: a code of six digits from an authenticator, or a recovery code. Raises `AccountError` (the code is
        wrong, or the challenge is over) or `Unreachable`."""
        digits = code.replace(" ", "")
        shown = {"code": digits} if digits.isdecimal() and len(digits) == 6 else {"recovery_code": code}
        return Credentials(self, await self._post("mfa", {"challenge": challenge, **shown}))

    async def refresh(self, refresh_token: str) -> Login:
        """Exchanges a refresh token for the next pair."""
        return await self._post("refresh", {"refresh_token": refresh_token})

    async def logout(self, access_token: str, everywhere: bool = False) -> None:
        """Ends this session, or all of the account's; live sockets end within a second."""
        route = "auth/logout-everywhere" if everywhere else "auth/logout"
        await self._send(route, {}, _bearer(access_token))

    async def fork_device(self, access_token: str, device_name: str = "") -> Login:
        """Opens another device of the account that is logged in, without a password: for a store that was copied."""
        content = await self._send("devices", {"name": device_name}, _bearer(access_token))
        return _read_login(content)

    async def sync(self, access_token: str, body: bytes) -> bytes:
        """One exchange of frames where sockets are blocked: a message of commands for a message of answers.

        Raises `AccountError` or `Unreachable`; then the outcome of every mutation in `body` is unknown.
        """
        headers = {"content-type": FRAMES_TYPE, **_bearer(access_token)}
        return await self._exchange("sync", body, headers, SYNC_TIMEOUT_S)

    async def ask(self, method: str, route: str, body: dict[str, object] | None = None, access_token: str = "") -> bytes:
        """One question to a route under `/api/v1/`; its answer as JSON, empty where there is none.

        Raises `AccountError` or `Unreachable`.
        """
        headers = _bearer(access_token) if access_token else {}
        if body is None:
            return await self._exchange(route, b"", headers, method=method)
        return await self._exchange(route, msgspec.json.encode(body), {"content-type": "application/json", **headers}, method=method)

    async def _post(self, route: str, body: dict[str, object]) -> Login:
        content = await self._send(f"auth/{route}", body, {})
        return _read_login(content)

    async def _send(self, route: str, body: dict[str, object], headers: dict[str, str]) -> bytes:
        return await self._exchange(route, msgspec.json.encode(body), {"content-type": "application/json", **headers})

    async def _exchange(
        self, route: str, body: bytes, headers: dict[str, str], timeout_s: float = TIMEOUT_S, method: str = "POST"
    ) -> bytes:
        try:
            url = f"{self._url}/api/v1/{route}"
            response = await self._client.request(method, url, content=body or None, headers=headers, timeout=timeout_s)
        except httpx.HTTPError as error:
            raise Unreachable(f"{self._url}: {str(error) or type(error).__name__}") from None
        if response.is_success:
            return response.content
        try:
            problem = msgspec.json.decode(response.content, type=_Problem)
        except msgspec.MsgspecError:
            problem = _Problem(title=f"HTTP status {response.status_code}")
        wait = response.headers.get("retry-after", "")
        retry_after_s = float(wait) if wait.isdecimal() else 0.0
        raise AccountError(response.status_code, str(problem.code), problem.title, problem.detail, retry_after_s)


def _bearer(access_token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {access_token}"}


def _read_login(content: bytes) -> Login:
    try:
        if content.startswith(b'{"mfa":'):
            step = msgspec.json.decode(content, type=_HalfDone).mfa
            raise SecondFactorNeeded(step.challenge, step.methods)
        return msgspec.json.decode(content, type=Login)
    except msgspec.MsgspecError as error:
        raise AccountError(200, "", "The server's answer cannot be read", str(error)) from None


class Credentials:
    """A logged-in device's tokens, renewed in place. What `connect` needs."""

    def __init__(self, account: Account, login: Login) -> None:
        self._account = account
        self._login = login
        self._renewing = trio.Lock()

    @property
    def login(self) -> Login:
        """The newest login; a program that keeps it can go on later with `Credentials(account, login)`."""
        return self._login

    @property
    def user(self) -> int:
        return self._login.user

    @property
    def device(self) -> int:
        return self._login.device

    @property
    def inbox(self) -> int:
        return self._login.inbox

    @property
    def access_token(self) -> str:
        return self._login.access_token

    @property
    def expires_at(self) -> float:
        """Unix seconds."""
        return self._login.expires_at

    async def renew(self) -> None:
        """Puts newer tokens in place. Raises `AccountError` (status 401: log in again) or `Unreachable`."""
        before = self._login
        async with self._renewing:
            if self._login is not before:
                return
            self._replace(await self._account.refresh(before.refresh_token))

    async def fork_device(self) -> None:
        """Goes on as another device of the same account: this one's store was copied. Whoever keeps `login` keeps it anew.

        Raises `AccountError` or `Unreachable`.
        """
        async with self._renewing:
            self._replace(await self._account.fork_device(self.access_token))

    async def ask(self, method: str, route: str, body: dict[str, object] | None = None) -> bytes:
        """One question about one's own account, under `/api/v1/`, with tokens that are good: renewed first where they are not any more.

        Raises `AccountError` or `Unreachable`.
        """
        try:
            return await self._account.ask(method, route, body, self.access_token)
        except AccountError as error:
            if error.code != str(int(Code.TOKEN_EXPIRED)):
                raise
        await self.renew()
        return await self._account.ask(method, route, body, self.access_token)

    async def sync(self, body: bytes) -> bytes:
        """One exchange of frames over HTTP. Raises `AccountError` or `Unreachable`."""
        return await self._account.sync(self.access_token, body)

    def _replace(self, newer: Login) -> None:
        """What the newer one does not say stays."""
        kept = {name: getattr(newer, name) or getattr(self._login, name) for name in Login.__struct_fields__}
        self._login = Login(**kept)

    async def logout(self, everywhere: bool = False) -> None:
        """Ends this session, or all of the account's."""
        await self._account.logout(self.access_token, everywhere)
