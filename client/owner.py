"""Whose store it is: who logged in with it, where, and the newest tokens. Kept in the store, so later commands need only its file.

    owner_of(store) ─▶ Owner ─▶ enter: the tokens of the last time, or the password, and a second factor where one is set ─▶ Credentials

Invariant: a store's tokens are the newest that its device was given; without tokens a password is needed.
"""

from __future__ import annotations

import getpass
import os

import msgspec
from msgspec import Struct

from client.account import Account, Credentials, Login
from client.connecting import REAL_WORLD
from client.errors import AccountError, SecondFactorNeeded
from client.sqlite_store import SqliteStore

NOTE = "account"
TOKEN_LEFT_S = 30.0
"""A token with less time than this left is renewed first."""


class Owner(Struct, frozen=True, array_like=True):
    """Who uses a store, where, and the newest tokens; without them a password is needed."""

    name: str = ""
    url: str = ""
    login: Login | None = None


def owner_of(store: SqliteStore) -> Owner:
    """Whose it is; nobody's, if nobody logged in with it yet."""
    noted = store.noted(NOTE)
    return msgspec.msgpack.decode(noted, type=Owner) if noted else Owner()


def keep_owner(store: SqliteStore, owner: Owner, login: Login | None) -> None:
    """Writes down who uses the store, with these tokens."""
    store.note(NOTE, msgspec.msgpack.encode(Owner(owner.name, owner.url, login)))


async def enter(
    account: Account, owner: Owner, device: int, password: str = "", *, register: bool = False, device_name: str = ""
) -> Credentials:
    """With the tokens of the last time, or with the password: given, in EDUCONNECT_PASSWORD, or asked for.

    Raises `AccountError` or `Unreachable`.
    """
    if owner.login is not None and owner.login.device == device and not register:
        credentials = Credentials(account, owner.login)
        if owner.login.expires_at - REAL_WORLD.wall() > TOKEN_LEFT_S:
            return credentials
        try:
            await credentials.renew()
        except AccountError as error:
            if not error.final:
                raise
        else:
            return credentials
    password = password or os.environ.get("EDUCONNECT_PASSWORD") or getpass.getpass(f"Password of {owner.name}: ")
    if register:
        return await account.register(owner.name, password, device_name=device_name)
    return await log_in(account, owner.name, password, device, device_name)


async def log_in(account: Account, name: str, password: str, device: int, device_name: str) -> Credentials:
    """Logs in, with a code where the account asks for one: from EDUCONNECT_CODE, or asked for. Raises `AccountError` or `Unreachable`."""
    try:
        return await account.login(name, password, device, device_name=device_name)
    except SecondFactorNeeded as needed:
        challenge = needed.challenge
    code = os.environ.get("EDUCONNECT_CODE") or getpass.getpass("Code of your authenticator, or a recovery code: ")
    return await account.prove(challenge, code)
