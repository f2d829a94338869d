"""What a session is given besides its transport and store: a right to connect, and a few wishes."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from msgspec import Struct

from client.subscription import EVENTS_MAX
from protocol.values import LinkQuality


class Grant(Protocol):
    """The right to open sockets as one device; `client.account.Credentials` is one."""

    @property
    def user(self) -> int:
        """The account; 0 if it is not known yet."""
        ...

    @property
    def device(self) -> int: ...

    @property
    def inbox(self) -> int:
        """The account's inbox stream; 0 if it is not known yet."""
        ...

    @property
    def access_token(self) -> str: ...

    @property
    def expires_at(self) -> float:
        """When the access token expires, in Unix seconds."""
        ...

    async def renew(self) -> None:
        """Gets newer tokens. Raises `AccountError` or `Unreachable`."""
        ...


@runtime_checkable
class Forking(Protocol):
    """A right that can become another device's, for a store that was copied. `Credentials` can; a bare token cannot."""

    async def fork_device(self) -> None:
        """Goes on as another device of the same account. Raises `AccountError` or `Unreachable`."""
        ...


@runtime_checkable
class Syncing(Protocol):
    """A right that also opens the way over HTTP. `Credentials` does."""

    async def sync(self, body: bytes) -> bytes:
        """One message of commands for one of answers. Raises `AccountError` or `Unreachable`."""
        ...


class Settings(Struct, frozen=True):
    """Wishes. `heartbeat_s` 0 leaves it to the server; on a metered or battery-powered device longer is kinder. `records`: whether the
    records of the account's streams are kept in the store; a program that only talks does without.
    """

    heartbeat_s: int = 0
    link: LinkQuality = LinkQuality.UNKNOWN
    software: str = "educonnect-python"
    events_max: int = EVENTS_MAX
    records: bool = True
