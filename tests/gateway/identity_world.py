"""One's own account in memory: as `PostgresIdentity` behaves where routes can tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.accounts import Caller, Claims, Credentials, Declined
from actors.identity import DeviceInfo, Profile, Resetting
from protocol.codes import Code

if TYPE_CHECKING:
    from tests.gateway.web_world import InMemoryAccounts

ENDED = Declined(Code.REVOKED, "ended")
OVER = Declined(Code.GONE, "over")


class InMemoryIdentity:
    """Over the accounts in memory. `links` are good codes by whose they are; `asked` is what a job would look at."""

    def __init__(self, accounts: InMemoryAccounts) -> None:
        self._accounts = accounts
        self.links: dict[str, int] = {}
        self.asked: list[str] = []
        self.offered: list[tuple[int, str]] = []
        self.emails: dict[int, str] = {}
        self.languages: dict[int, str] = {}
        self.names: dict[int, str] = {}
        self.fresh = True

    def _begin(self, claims: Claims | None = None) -> Declined | None:
        if self._accounts.failing is not None:
            raise self._accounts.failing
        return ENDED if claims is not None and claims.session not in self._accounts.sessions else None

    async def find_profile(self, claims: Claims) -> Profile | Declined:
        if (declined := self._begin(claims)) is not None:
            return declined
        registration = self._accounts.people[claims.user].registration
        email, language = self.emails.get(claims.user, ""), self.languages.get(claims.user, "")
        return Profile(registration.name, registration.display_name, email, "", language)

    async def find_own_credentials(self, claims: Claims) -> Credentials | Declined:
        return self._begin(claims) or Credentials(claims.user, self._accounts.people[claims.user].password_hash)

    async def change_password(self, claims: Claims, old_hash: str, new_hash: str, caller: Caller) -> Declined | None:
        if (declined := self._begin(claims)) is not None:
            return declined
        self._set(claims.user, new_hash, but=claims.session)
        return None

    async def offer_address(self, claims: Claims, email: str, caller: Caller) -> Declined | None:
        if (declined := self._begin(claims)) is not None:
            return declined
        if not self.fresh:
            return Declined(Code.STEP_UP, "prove who you are")
        self.offered.append((claims.user, email))
        return None

    async def withdraw_address(self, claims: Claims, caller: Caller) -> Declined | None:
        if (declined := self._begin(claims)) is not None:
            return declined
        if not self.fresh:
            return Declined(Code.STEP_UP, "prove who you are")
        self.emails.pop(claims.user, None)
        return None

    async def set_language(self, claims: Claims, language: str) -> Declined | None:
        if (declined := self._begin(claims)) is not None:
            return declined
        self.languages[claims.user] = language
        return None

    async def prove_address(self, secret: str, caller: Caller) -> Declined | None:
        self._begin()
        return None if self.links.pop(secret, None) else OVER

    async def ask_reset(self, named: str, caller: Caller) -> None:
        self._begin()
        self.asked.append(named)

    async def find_reset(self, secret: str) -> Resetting | None:
        self._begin()
        user = self.links.get(secret)
        if user is None:
            return None
        registration = self._accounts.people[user].registration
        return Resetting(user, (registration.name, registration.display_name))

    async def reset_password(self, secret: str, new_hash: str, caller: Caller) -> Declined | None:
        self._begin()
        user = self.links.pop(secret, None)
        if user is None:
            return OVER
        self._set(user, new_hash)
        return None

    async def list_devices(self, claims: Claims) -> tuple[DeviceInfo, ...] | Declined:
        if (declined := self._begin(claims)) is not None:
            return declined
        own = [info for session, info in self._accounts.sessions.items() if self._accounts.owners[session] == claims.user]
        return tuple(
            DeviceInfo(info.device, self.names.get(info.device, info.device_name), info.session, info.software, info.address, 2)
            for info in own
        )

    async def rename_device(self, claims: Claims, device: int, name: str) -> Declined | None:
        found = await self.list_devices(claims)
        if isinstance(found, Declined):
            return found
        if device not in {info.device for info in found}:
            return Declined(Code.NOT_FOUND, "this account has no such device")
        self.names[device] = name
        return None

    def _set(self, user: int, new_hash: str, but: int = 0) -> None:
        accounts = self._accounts
        accounts.people[user].password_hash = new_hash
        accounts.sessions = {n: info for n, info in accounts.sessions.items() if n == but or accounts.owners[n] != user}
