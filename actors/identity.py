"""One's own account beyond logging in: password, e-mail address, devices. The port that the gateway needs, and what crosses it.

    old password ─▶ change_password ─▶ every other session ends          a link in a mail ─▶ prove_address │ reset_password
    "I forgot"   ─▶ ask_reset ─▶ a job, whoever was named; only it looks whether there is somebody

Invariant: nothing that is answered without a session depends on whether an account exists, neither in words nor in work.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, Protocol

from msgspec import Struct

from actors.accounts import Caller, Claims, Credentials, Declined, NameRefused

EMAIL_LENGTH_MAX: Final = 254
"""RFC 5321: 256 of a path, without its angle brackets."""
_LOCAL_MAX: Final = 64
LANGUAGE_LENGTH_MAX: Final = 35
SECRET_LENGTH_MAX: Final = 64
"""Of what a link carries: 43 characters."""
DEVICES_LISTED_MAX: Final = 200

_LOCAL: Final = re.compile(r"[^\s@\"(),:;<>\[\\\]\x00-\x1f\x7f]+")
_DOMAIN: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))+")
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")


class Profile(Struct, frozen=True):
    """What an account says of itself to its owner. `email`: proven; empty: none. `email_pending`: a link is under way to it."""

    name: str
    display_name: str
    email: str
    email_pending: str
    language: str

    def words(self) -> tuple[str, ...]:
        """What a password of theirs must not be made of."""
        return (self.name, self.display_name, self.email, self.email_pending)


class Resetting(Struct, frozen=True):
    """Whose password a link would set: what the new one is compared with."""

    user: int
    words: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Resetting(user={self.user})"


class DeviceInfo(Struct, frozen=True):
    """One of the account's devices. Times are Unix seconds; `session` is its living one, 0: none. `name` is the owner's own word."""

    device: int
    name: str
    session: int
    software: str
    address: str
    last_used_at: int


class Identity(Protocol):
    """Passwords, addresses and devices in storage.

    Every method may raise `StorageError`: `Busy` and `Unavailable` (nothing happened), or `OutcomeUnknown`; asking again is safe then.
    Methods that take claims decline with `REVOKED` where the asking session has ended.
    """

    async def find_profile(self, claims: Claims) -> Profile | Declined:
        """What the account says of itself."""
        ...

    async def find_own_credentials(self, claims: Claims) -> Credentials | Declined:
        """The hash to compare the old password with."""
        ...

    async def change_password(self, claims: Claims, old_hash: str, new_hash: str, caller: Caller) -> Declined | None:
        """Sets a password whose old one was right, ends every other session and every link for another password. It proves who asks, if
        the account asks for no more than a password; otherwise it takes such a proof. Declined: `STEP_UP`; `CONFLICT`, it was changed
        meanwhile (what is stored is no longer `old_hash`)."""
        ...

    async def offer_address(self, claims: Claims, email: str, caller: Caller) -> Declined | None:
        """Mails a link that proves this address to be the account's. What was proven before stands until then."""
        ...

    async def withdraw_address(self, claims: Claims, caller: Caller) -> Declined | None:
        """Forgets the account's address and whatever link is under way."""
        ...

    async def set_language(self, claims: Claims, language: str) -> Declined | None:
        """The language that mails are written in."""
        ...

    async def prove_address(self, secret: str, caller: Caller) -> Declined | None:
        """Takes a link's word that its address is read by who was sent it. Declined: `GONE` (not a link of ours, used, or too late),
        `CONFLICT` (another account holds that address)."""
        ...

    async def ask_reset(self, named: str, caller: Caller) -> None:
        """Leaves a job that looks who was meant, by name or by proven address, and mails a link if there is somebody. Costs the same
        whoever was named."""
        ...

    async def find_reset(self, secret: str) -> Resetting | None:
        """Whose password this link would set; None: nobody's, used, or too late. Uses nothing up."""
        ...

    async def reset_password(self, secret: str, new_hash: str, caller: Caller) -> Declined | None:
        """Sets another password and ends every session. Opens none: what else a log-in asks for is still asked. Declined: `GONE`."""
        ...

    async def list_devices(self, claims: Claims) -> tuple[DeviceInfo, ...] | Declined:
        """The account's devices, the one used last first; at most `DEVICES_LISTED_MAX`."""
        ...

    async def rename_device(self, claims: Claims, device: int, name: str) -> Declined | None:
        """Gives a device its owner's word. Declined: `NOT_FOUND`, it is not the account's."""
        ...


def normalise_email(text: str) -> str:
    """The address that `text` means: NFC, its domain in lower case and in letters of DNS. Raises `NameRefused`.

    What is before the @ is kept as typed: some servers tell case apart. Whether anybody reads it only a mail can show.
    """
    address = unicodedata.normalize("NFC", text.strip())
    local, _, domain = address.rpartition("@")
    try:
        host = domain.encode("idna").decode("ascii").lower()
    except UnicodeError:
        host = ""
    whole = f"{local}@{host}"
    if not _LOCAL.fullmatch(local) or len(local.encode()) > _LOCAL_MAX or not _DOMAIN.fullmatch(host) or len(whole) > EMAIL_LENGTH_MAX:
        raise NameRefused(f"this is no e-mail address; allowed: name@domain, up to {EMAIL_LENGTH_MAX} characters")
    if any(unicodedata.category(character)[0] == "C" for character in local):
        raise NameRefused("the e-mail address has a character that does not show; allowed: those that do")
    return whole


def normalise_language(text: str) -> str:
    """A language tag (BCP 47), such as `de` or `pt-BR`; empty: not said. Raises `NameRefused`."""
    if text and not _LANGUAGE.fullmatch(text):
        raise NameRefused("this is no language tag; allowed: such as de, en or pt-BR, or nothing")
    return text
