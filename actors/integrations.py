"""Other systems: accounts that are nobody's, and the keys they come with.

    service account ── API key: edk_PREFIX_SECRET ─┬─▶ HTTP, as bearer, where a route needs a permission that the key has
                                                   ╰─▶ exchanged for a session: a socket like anybody's, for as long as the key is good

A service belongs to a community, or to the platform, and has no password. A key may do what its scopes name *and* its account may do, in
the one place that it is for. Whoever makes it gives no more than they have. It is shown once; kept is a hash.

Invariant: nothing here holds a key's secret, except `NewKey.secret`, which is left out of `repr`.
"""

from __future__ import annotations

from typing import Final, Protocol

from msgspec import Struct

from actors.accounts import Caller, Claims, Declined
from protocol.values import Role

KEY_PREFIX: Final = "edk_"
SERVICES_PER_PLACE_MAX: Final = 20
KEYS_PER_SERVICE_MAX: Final = 20
SESSIONS_PER_KEY_MAX: Final = 8
KEY_NAME_LENGTH_MAX: Final = 80
KEY_DAYS_MAX: Final = 366
KEY_DAYS: Final = 90


class ActiveKey(Struct, frozen=True):
    """A key that is good now, by what it may do: `scopes` is the sum of 2^permission, `space` None: on the platform."""

    id: int
    user: int
    space: int | None
    scopes: int
    expires_at: int


class KeyInfo(Struct, frozen=True):
    """A key as its owners see it. Times are Unix seconds; 0: never."""

    id: int
    name: str
    prefix: str
    scopes: int
    created_by: int
    created_at: int
    expires_at: int
    last_used_at: int = 0
    revoked_at: int = 0


class ServiceInfo(Struct, frozen=True):
    """A service account and its keys, the living ones and those that ended lately."""

    user: int
    name: str
    display_name: str
    created_at: int
    ended: bool
    keys: tuple[KeyInfo, ...] = ()


class NewKey(Struct, frozen=True):
    """A key that was made. `secret` is the whole key as it is used, shown to its maker, once."""

    info: KeyInfo
    secret: str

    def __repr__(self) -> str:
        return f"NewKey(id={self.info.id})"


class KeySession(Struct, frozen=True):
    """A session that was opened, or continued, with a key."""

    user: int
    name: str
    display_name: str
    device: int
    session: int
    inbox: int
    expires_at: int


class Keys(Protocol):
    """Service accounts and API keys in storage. `space` None means the platform's. Every method may raise `StorageError`.

    Whoever asks was found to hold the permission before; what they give away is compared with what they hold in the same transaction.
    Declined is `NOT_FOUND` for what is another place's, exactly as for what there is not.
    """

    async def find(self, secret: str) -> ActiveKey | None:
        """The key, if it is one and good now: asked anew each time, so that a revoked one is refused at once. Notes that it was used."""
        ...

    async def list_services(self, space: int | None) -> tuple[ServiceInfo, ...]:
        """The services of a place: those that go on, and then those that ended, oldest first."""
        ...

    async def make_service(
        self, claims: Claims, space: int | None, name: str, display_name: str, role: Role, caller: Caller
    ) -> ServiceInfo | Declined:
        """Makes a service account; in a community a member in `role`, which may be no more than the maker is. Declined: `CONFLICT` (the
        name is taken), `LIMIT`, `FORBIDDEN`."""
        ...

    async def end_service(self, claims: Claims, space: int | None, service: int, caller: Caller) -> Declined | None:
        """Disables the account, revokes its keys and ends its sessions, and its membership where the asker may."""
        ...

    async def make_key(
        self, claims: Claims, space: int | None, service: int, name: str, scopes: int, days: int, caller: Caller
    ) -> NewKey | Declined:
        """Makes a key. Declined: `FORBIDDEN` (scopes beyond the maker's own permissions, or of another kind of place), `LIMIT`."""
        ...

    async def revoke_key(self, claims: Claims, space: int | None, key: int, caller: Caller) -> Declined | None:
        """Revokes a key and ends the sessions opened with it, for their sockets within a second. Revoking twice is no error."""
        ...

    async def exchange(self, secret: str, device: int, device_name: str, caller: Caller) -> KeySession | Declined:
        """Opens a session with a key, or continues the one that it has on `device`. Declined: `UNAUTHENTICATED` (no such key, or not good
        any more), `FORBIDDEN` (a socket may all that the account may, and the key may less), `LIMIT`."""
        ...
