"""What somebody does with their own account over HTTP: password, address, devices, sessions.

Invariant: nothing is kept here; every answer is the server's, as of now. Fields of newer servers are passed over.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import Struct

from client.account import Account, Credentials
from client.errors import AccountError

T = TypeVar("T")


class Profile(Struct, frozen=True):
    """What the account says. `email` is proven, or empty; to `email_pending` a link is under way."""

    user: int
    name: str
    display_name: str
    email: str
    email_pending: str
    language: str


class Device(Struct, frozen=True):
    """One device; `session` 0: none is open there. Times are Unix seconds."""

    device: int
    name: str
    session: int
    software: str
    address: str
    last_used_at: float
    current: bool


class OpenSession(Struct, frozen=True):
    """One living session. Times are Unix seconds."""

    session: int
    device: int
    device_name: str
    software: str
    address: str
    created_at: float
    last_seen_at: float
    expires_at: float
    current: bool


class _Devices(Struct, frozen=True):
    devices: tuple[Device, ...]


class _Sessions(Struct, frozen=True):
    sessions: tuple[OpenSession, ...]


class OwnAccount:
    """One's own account. Every method raises `AccountError` or `Unreachable`."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    async def show(self) -> Profile:
        return _read(await self._credentials.ask("GET", "account"), Profile)

    async def change_password(self, old: str, new: str) -> None:
        """Every other session ends."""
        await self._credentials.ask("POST", "account/password", {"old_password": old, "new_password": new})

    async def offer_address(self, email: str) -> None:
        """A link is mailed there; its code goes to `verify`."""
        await self._credentials.ask("PUT", "account/email", {"email": email})

    async def withdraw_address(self) -> None:
        await self._credentials.ask("DELETE", "account/email")

    async def set_language(self, language: str) -> None:
        await self._credentials.ask("PUT", "account/language", {"language": language})

    async def prove(self, shown: dict[str, object]) -> None:
        """Step-up: `password`, `code` or `recovery_code`."""
        await self._credentials.ask("POST", "auth/step-up", shown)

    async def devices(self) -> tuple[Device, ...]:
        return _read(await self._credentials.ask("GET", "account/devices"), _Devices).devices

    async def rename_device(self, device: int, name: str) -> None:
        await self._credentials.ask("PATCH", f"account/devices/{device}", {"name": name})

    async def sessions(self) -> tuple[OpenSession, ...]:
        return _read(await self._credentials.ask("GET", "auth/sessions"), _Sessions).sessions

    async def end_session(self, session: int) -> None:
        """Its socket ends within a second, on whatever gateway it is."""
        await self._credentials.ask("DELETE", f"auth/sessions/{session}")

    async def end_other_sessions(self) -> None:
        """All but this one's."""
        await self._credentials.ask("POST", "auth/logout-others")


async def forgot_password(account: Account, named: str) -> None:
    """Asks for a link, by name or address. Says nothing of whether there is such an account."""
    await account.ask("POST", "auth/password/forgot", {"account": named})


async def reset_password(account: Account, code: str, password: str) -> None:
    """Sets another password by a link's code; every session ends."""
    await account.ask("POST", "auth/password/reset", {"code": code, "password": password})


async def verify_address(account: Account, code: str) -> None:
    """Proves an address by a link's code."""
    await account.ask("POST", "auth/email/verify", {"code": code})


def _read(content: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.MsgspecError as error:
        raise AccountError(200, "", "The server's answer cannot be read", str(error)) from None
