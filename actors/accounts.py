"""Accounts and sessions: the ports that the gateway needs for identity, and the values that cross them.

    name + password ─▶ Accounts.log_in ─▶ Opened: a session on a device, with a refresh token
    access token    ─▶ Tokens.verify   ─▶ Claims, or the code that ends the socket
    refresh token   ─▶ Accounts.refresh─▶ Opened again: the same session, the next token

An *account* is a person's; a *device* is one account on one machine and numbers its mutations; a *session* is one log-in on one
device, and a device has one living session at most. The access token is believed without asking anybody, for minutes; everything
that must hold at once (a session that was ended) is decided in Postgres, by the session's row and the device's generation.

Invariant: no value here holds a secret except where its field says so, and those fields are left out of `repr`.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from protocol.codes import Code

if TYPE_CHECKING:
    from actors.mfa import Challenge

NAME_LENGTH_MIN = 2
NAME_LENGTH_MAX = 40
DISPLAY_NAME_LENGTH_MAX = 80
DEVICE_NAME_LENGTH_MAX = 80
SOFTWARE_LENGTH_MAX = 200
"""Of a user agent, this much is kept: enough to recognise one's own device in a list."""

_NAME_PUNCTUATION = "_.-"
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0") | {chr(c) for c in range(0xFE00, 0xFE10)}
"""Letters and marks by category that show nothing (Unicode's Default_Ignorable_Code_Point): two names would look the same."""


class Claims(Struct, frozen=True):
    """What a good access token says. Times are Unix seconds."""

    user: int
    device: int
    session: int
    issued_at: int
    expires_at: int


class Ticketed(Struct, frozen=True):
    """What a good ticket says: whose it is, until when, and in which epoch it was given and is good."""

    claims: Claims
    epoch: int


class Tokens(Protocol):
    """Whom an access token names, or a ticket. Synchronous and cheap: it is asked on every Hello and every Resume."""

    def verify(self, token: str, now: float) -> Claims | Code:
        """The claims; or `UNAUTHENTICATED` (not one of ours), or `TOKEN_EXPIRED`. `now` is Unix time in seconds."""
        ...

    def seal(self, claims: Claims, epoch: int, terms: bytes) -> bytes:
        """A ticket for these claims, good until they expire, in this epoch and where the same terms are offered."""
        ...

    def unseal(self, ticket: bytes, terms: bytes, now: float) -> Ticketed | None:
        """What a ticket says; None if it is not one of ours, or not good here and now: its time, the epoch or the terms are others."""
        ...


class Caller(Struct, frozen=True):
    """Who asks, as far as a server can see: kept with the session and in the audit log."""

    address: str
    software: str = ""
    network: str = ""
    """What stands for the client where it may change its address: of IPv6 the /64. Empty: the address."""


class Registration(Struct, frozen=True):
    """A new account, with its name and password already checked. `password_hash` is secret enough not to be logged.

    `email` is one that is still to be proven: a link is mailed to it. `language`: in which language.
    """

    name: str
    display_name: str
    password_hash: str
    device_name: str = ""
    email: str = ""
    language: str = ""

    def __repr__(self) -> str:
        return f"Registration(name={self.name!r})"


class Credentials(Struct, frozen=True):
    """Whose password is to be compared with which hash."""

    user: int
    password_hash: str
    changed_at_us: int = 0
    """When this password was set, Unix microseconds; 0: with the account. The same password hashed again does not change it."""

    def __repr__(self) -> str:
        return f"Credentials(user={self.user})"


class Opened(Struct, frozen=True):
    """A session that is open, and the token that continues it. `refresh_token` is a secret: it is shown to its owner, once."""

    user: int
    name: str
    display_name: str
    device: int
    session: int
    inbox: int
    refresh_token: str
    refresh_expires_at: int

    def __repr__(self) -> str:
        return f"Opened(user={self.user}, device={self.device}, session={self.session})"


class Declined(Struct, frozen=True):
    """The request was understood and refused; `detail` is for people."""

    code: Code
    detail: str


class SessionInfo(Struct, frozen=True):
    """One living session, as its owner sees it. Times are Unix seconds; `device_name` is the owner's own word for it."""

    session: int
    device: int
    device_name: str
    software: str
    address: str
    created_at: int
    last_seen_at: int
    expires_at: int


class SessionState(Struct, frozen=True, array_like=True):
    """Whether a session goes on; what gateways keep close at hand. `ended`: revoked, expired, or its account is disabled: for good."""

    session: int
    user: int
    device: int
    expires_at: int
    """Unix seconds. A refresh moves it on."""
    ended: bool = False


class Names(Struct, frozen=True):
    """What an account is called: the name it logs in with, and the one that others see."""

    name: str
    display_name: str


class Accounts(Protocol):
    """Accounts, devices and sessions in storage.

    Every method may raise `StorageError`: `Busy` and `Unavailable` (nothing happened), or `OutcomeUnknown`; asking again is safe then.
    """

    async def register(self, registration: Registration, caller: Caller) -> Opened | Declined:
        """Makes an account with a personal space and inbox, and its first session. Declined: `CONFLICT`, the name is taken."""
        ...

    async def find_credentials(self, name: str) -> Credentials | None:
        """The hash to compare a password with."""
        ...

    async def find_session(self, session: int) -> SessionState | None:
        """How a session is, as of now; None if there never was one, or it ended long ago."""
        ...

    async def find_sessions_of(self, user: int) -> tuple[int, ...]:
        """Every session of an account that is still written down, living or not."""
        ...

    async def find_names(self, user: int) -> Names | None:
        """What an account is called."""
        ...

    async def note_failed_login(self, user: int, caller: Caller) -> None:
        """Writes a log-in that failed into the audit log; `user` is 0 where there is no such account. The name is not
        asked for: people type their password into the wrong field."""
        ...

    async def begin_log_in(
        self, found: Credentials, device: int, device_name: str, new_hash: str | None, caller: Caller
    ) -> Opened | Challenge | Declined:
        """For somebody whose password was right: the session as `log_in` opens it, or, where the account has a second factor, the challenge
        that is answered first. `found`: what the password was compared with; `new_hash` replaces it. Declined: `FORBIDDEN`, the account is
        disabled; `UNAUTHENTICATED`, it has another password by now."""
        ...

    async def log_in(self, user: int, device: int, device_name: str, changed_at_us: int | None, caller: Caller) -> Opened | Declined:
        """Opens a session for somebody who has proven who they are, by everything that the account asks for, at this moment. `device` is
        taken again if it is the account's own, else (0 too) there is a new one, and the owner is told; what session that device had ends.
        `changed_at_us`: of the password that the account had when that was proven; None: whatever it is. Declined: `FORBIDDEN`, the account
        is disabled; `UNAUTHENTICATED`, it has another password by now."""
        ...

    async def add_device(self, claims: Claims, device_name: str, caller: Caller) -> Opened | Declined:
        """Opens a session on a new device, for somebody who has one. Declined: `REVOKED`, the asking session has ended; `FORBIDDEN`, the
        account is disabled."""
        ...

    async def refresh(self, token: str, caller: Caller) -> Opened | Declined:
        """Continues a session. Declined: `UNAUTHENTICATED` (no such token), `TOKEN_EXPIRED`, `REVOKED` (ended, by this very request if the
        token had been used before)."""
        ...

    async def list_sessions(self, claims: Claims) -> tuple[SessionInfo, ...] | Declined:
        """The account's living sessions, the one used last first. Declined: `REVOKED`, the asking session has ended."""
        ...

    async def end_session(self, claims: Claims, session: int, caller: Caller) -> Declined | None:
        """Ends one of the account's sessions, for its sockets within a second on every gateway. Ending one's own twice is no error.
        Declined: `NOT_FOUND`, or `REVOKED` if the asking session has ended."""
        ...

    async def end_other_sessions(self, claims: Claims, caller: Caller) -> Declined | None:
        """Ends all of the account's sessions but the asking one. Declined: `REVOKED`."""
        ...

    async def end_every_session(self, claims: Claims, caller: Caller) -> Declined | None:
        """Ends all of the account's sessions, the asking one too. Declined: `REVOKED`."""
        ...


class NameRefused(ValueError):
    """A name that cannot be an account's. The text says what is wrong with it and what is allowed."""


def normalise_name(text: str) -> str:
    """The account name that `text` means (Unicode NFKC). Raises `NameRefused`.

    Letters, digits and the marks that belong to them, of any script, and `_ . -` between them. Case is kept, but does not tell names apart.
    """
    name = unicodedata.normalize("NFKC", text)
    if not NAME_LENGTH_MIN <= len(name) <= NAME_LENGTH_MAX:
        raise NameRefused(f"the name has {len(name)} characters; allowed: {NAME_LENGTH_MIN} to {NAME_LENGTH_MAX}")
    for place, character in enumerate(name):
        kind = unicodedata.category(character)
        if character in _INVISIBLE or not (kind[0] in "LM" or kind == "Nd" or character in _NAME_PUNCTUATION):
            raise NameRefused(f"the name has {_describe(character)} at position {place + 1}; allowed: letters, digits, and _ . - between")
    if not name[0].isalnum():
        raise NameRefused(f"the name begins with {_describe(name[0])}; allowed: a letter or digit")
    if name[-1] in _NAME_PUNCTUATION:
        raise NameRefused(f"the name ends with {_describe(name[-1])}; allowed: a letter or digit")
    return name


def normalise_label(text: str, what: str, length_max: int) -> str:
    """A name that people read (of a person, of a device), free of what shows nothing or changes direction. Raises `NameRefused`."""
    label = " ".join(unicodedata.normalize("NFC", text).split())
    if len(label) > length_max:
        raise NameRefused(f"the {what} has {len(label)} characters; allowed: up to {length_max}")
    for character in label:
        # Joiners (ZWNJ, ZWJ) are kept: Persian, Indic scripts and emoji are written with them.
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") and character not in "\u200c\u200d":
            raise NameRefused(f"the {what} has {_describe(character)}; allowed: any character that shows, and spaces")
    return label


def _describe(character: str) -> str:
    shown = f"{character!r} " if character.isprintable() else ""
    return f"{shown}(U+{ord(character):04X} {unicodedata.name(character, 'without a name')})"
