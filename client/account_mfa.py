"""Second factors from a terminal: what is set, an authenticator app, recovery codes. Passkeys are made by browsers.

    list ─▶ what is set        totp ─▶ secret ─▶ first code ─▶ set        codes ─▶ ten new ones        remove ─▶ one fewer

Invariant: what is shown once is printed, and kept nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct

from client.account import Credentials
from client.errors import AccountError

T = TypeVar("T")


class Method(Struct, frozen=True):
    """One method that is set. `id`: a passkey's own. Times are Unix seconds; 0: never."""

    method: str
    id: int = 0
    name: str = ""
    created_at: float = 0
    last_used_at: float = 0


class Methods(Struct, frozen=True):
    """Every method, and how many recovery codes are left."""

    methods: tuple[Method, ...]
    recovery_codes_left: int


class _Offer(Struct, frozen=True):
    secret: str
    uri: str


class _Codes(Struct, frozen=True):
    recovery_codes: tuple[str, ...]


async def methods(credentials: Credentials) -> Methods:
    """What is set. Raises `AccountError` or `Unreachable`, as all here do."""
    return _read(await credentials.ask("GET", "auth/methods"), Methods)


async def add_totp(credentials: Credentials, say: Callable[[str], None], read_code: Callable[[], str]) -> None:
    """Sets up an authenticator app: says its secret, reads the first code, says the recovery codes where there are new ones."""
    offer = _read(await credentials.ask("POST", "auth/totp"), _Offer)
    say("Type this secret into your authenticator app, or make a QR code of the line below it.")
    say(f"  {' '.join(offer.secret[place : place + 4] for place in range(0, len(offer.secret), 4))}")
    say(f"  {offer.uri}")
    added = await credentials.ask("POST", "auth/totp/confirm", {"code": read_code()})
    say("The authenticator is set up: from now on a log-in asks for its code.")
    _say_codes(_read(added, _Codes).recovery_codes, say)


async def renew_codes(credentials: Credentials, say: Callable[[str], None]) -> None:
    """Ten new recovery codes; the earlier ones are worth nothing then."""
    _say_codes(_read(await credentials.ask("POST", "auth/recovery-codes"), _Codes).recovery_codes, say)


async def remove(credentials: Credentials, what: str) -> None:
    """Removes `totp`, or the passkey of this number."""
    await credentials.ask("DELETE", "auth/totp" if what == "totp" else f"auth/passkeys/{int(what)}")


def _say_codes(codes: Sequence[str], say: Callable[[str], None]) -> None:
    if codes:
        say("Recovery codes: each opens the account once when the authenticator is lost. They are not shown again.")
        for code in codes:
            say(f"  {code}")


def _read(content: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.MsgspecError as error:
        raise AccountError(200, "", "The server's answer cannot be read", str(error)) from None
