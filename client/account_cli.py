"""`educonnect account`: one's own account from a terminal: password, address, devices, sessions, second factors.

    typed ─▶ arguments ─▶ log in (the store's tokens, or the password) ─▶ OwnAccount ─▶ lines
                     └─▶ forgot, reset, verify: nobody is logged in

With `--store` it is the device of `educonnect sync` and `chat`; without one it logs in for the command and out again.
"""

from __future__ import annotations

import argparse
import datetime
import getpass
import os
import re
import sys
from collections.abc import Awaitable, Callable, Sequence

import trio

from client import account_mfa
from client.account import Account, Credentials
from client.errors import AccountError, ClientError
from client.own_account import OwnAccount, forgot_password, reset_password, verify_address
from client.owner import Owner, enter, keep_owner, log_in, owner_of
from client.sqlite_store import SqliteStore
from client.words import failure
from protocol.codes import Code

URL = "http://127.0.0.1:8000"
DONE, FAILED, BAD_USAGE = 0, 1, 2
_CODE = re.compile(r"(?:.*[#&?/](?:address|password)=)?([A-Za-z0-9_-]{43})")

Command = Callable[["Desk", argparse.Namespace], Awaitable[None]]


class Desk:
    """What a command has: the server, the account where somebody is logged in, and a way to say something."""

    def __init__(self, account: Account, say: Callable[[str], None], credentials: Credentials | None = None) -> None:
        self.account = account
        self.say = say
        self._credentials = credentials

    @property
    def credentials(self) -> Credentials:
        assert self._credentials is not None
        return self._credentials

    @property
    def own(self) -> OwnAccount:
        return OwnAccount(self.credentials)


def run_account(argv: Sequence[str]) -> int:
    """`educonnect account`: returns the exit status. 0: done; 1: refused, or no server; 2: typed wrongly."""
    os.umask(0o077)  # a store holds tokens: it is nobody else's to read
    try:
        return trio.run(account, argv, _say)
    except KeyboardInterrupt:
        return FAILED
    except BaseExceptionGroup as group:
        if group.split(KeyboardInterrupt)[1] is None:
            return FAILED
        raise


async def account(argv: Sequence[str], say: Callable[[str], None]) -> int:
    """Carries out what was typed; returns the exit status. Raises `SystemExit` where it cannot be read as a command."""
    options = _parser().parse_args(argv)
    try:
        if not options.store:
            return await _without_store(options, say)
        with SqliteStore(options.store) as store:
            return await _with_store(store, options, say)
    except ClientError as error:
        say(failure(error, options.url or URL))
        return FAILED


async def _without_store(options: argparse.Namespace, say: Callable[[str], None]) -> int:
    async with Account(options.url or URL) as server:
        if options.stranger:
            await options.command(Desk(server, say), options)
            return DONE
        if not options.name:
            say("Say who you are: --name, or the --store of your device.")
            return BAD_USAGE
        options.password = _secret(options.password, "EDUCONNECT_PASSWORD", f"Password of {options.name}: ")
        credentials = await log_in(server, options.name, options.password, 0, "terminal")
        try:
            await options.command(Desk(server, say, credentials), options)
        finally:
            with trio.move_on_after(2):
                try:
                    await credentials.logout()
                except AccountError as error:
                    if not error.final:  # otherwise it had ended already: that is what was asked for
                        raise
        return DONE


async def _with_store(store: SqliteStore, options: argparse.Namespace, say: Callable[[str], None]) -> int:
    before = owner_of(store)
    url = options.url or before.url or URL
    owner = Owner(options.name or before.name, url, before.login if url == before.url else None)
    if before.name and owner.name != before.name:
        say(f"This store is {before.name}'s. Another person needs another --store.")
        return BAD_USAGE
    async with Account(url) as server:
        if options.stranger:
            await options.command(Desk(server, say), options)
            return DONE
        if not owner.name:
            say("Nobody has logged in with this store yet: give --name.")
            return BAD_USAGE
        device = store.load().device
        credentials = await enter(server, owner, device, options.password or "", device_name="terminal")
        if not device:
            store.bind(credentials.device)
        keep_owner(store, owner, credentials.login)
        try:
            await options.command(Desk(server, say, credentials), options)
        finally:
            keep_owner(store, owner, credentials.login)
    return DONE


async def _show(desk: Desk, options: argparse.Namespace) -> None:
    found = await desk.own.show()
    desk.say(f"{found.name} ({found.display_name}), number {found.user}")
    desk.say(f"  address   {found.email or 'none'}" + (f"; a link is under way to {found.email_pending}" if found.email_pending else ""))
    desk.say(f"  language  {found.language or 'not said'}")


async def _password(desk: Desk, options: argparse.Namespace) -> None:
    old, new = _secret(options.password, "EDUCONNECT_PASSWORD", "The password of now: "), _new_password()
    await _stepping_up(desk, options, lambda: desk.own.change_password(old, new))
    desk.say("The password is changed. Every other session has ended.")


async def _email(desk: Desk, options: argparse.Namespace) -> None:
    if options.remove == bool(options.address):
        raise SystemExit("say an address, or --remove")

    async def ask() -> None:
        await (desk.own.withdraw_address() if options.remove else desk.own.offer_address(options.address))

    await _stepping_up(desk, options, ask)
    desk.say(
        "The address is withdrawn." if options.remove else f"A link is on its way to {options.address}. Open it, or: account verify CODE"
    )


async def _language(desk: Desk, options: argparse.Namespace) -> None:
    await desk.own.set_language(options.tag)
    desk.say(f"Mails are written in {options.tag or 'the language of the server'}.")


async def _devices(desk: Desk, options: argparse.Namespace) -> None:
    for one in await desk.own.devices():
        state = "this one" if one.current else f"session {one.session}" if one.session else "no session"
        desk.say(f"{one.device:>8}  {one.name or 'without a name':24}  {_when(one.last_used_at)}  {one.address:15}  {state}")


async def _rename(desk: Desk, options: argparse.Namespace) -> None:
    await desk.own.rename_device(options.device, options.new_name)
    desk.say(f"Device {options.device} is called {options.new_name!r}.")


async def _sessions(desk: Desk, options: argparse.Namespace) -> None:
    for one in await desk.own.sessions():
        mark = "  this one" if one.current else ""
        called = one.device_name or "without a name"
        desk.say(f"{one.session:>8}  {called:24}  used {_when(one.last_seen_at)}  ends {_when(one.expires_at)}  {one.address}{mark}")


async def _end(desk: Desk, options: argparse.Namespace) -> None:
    if options.others == bool(options.sessions):
        raise SystemExit("say the numbers of sessions, or --others")
    chosen = options.sessions
    if options.others:
        chosen = [one.session for one in await desk.own.sessions() if not one.current]
    for session in chosen:
        await desk.own.end_session(session)
        desk.say(f"Session {session} has ended.")
    if not chosen:
        desk.say("There is no other session.")


async def _forgot(desk: Desk, options: argparse.Namespace) -> None:
    await forgot_password(desk.account, options.account)
    desk.say("If there is such an account and it has an address, a link is on its way. Open it, or: account reset CODE")


async def _reset(desk: Desk, options: argparse.Namespace) -> None:
    await reset_password(desk.account, options.code, _new_password())
    desk.say("The password is set. Every session has ended; log in with the new one.")


async def _verify(desk: Desk, options: argparse.Namespace) -> None:
    await verify_address(desk.account, options.code)
    desk.say("The address is yours.")


async def _mfa(desk: Desk, options: argparse.Namespace) -> None:
    me = desk.credentials
    match options.deed:
        case "totp":
            await _stepping_up(
                desk, options, lambda: account_mfa.add_totp(me, desk.say, lambda: _secret("", "EDUCONNECT_CODE", "Its code: "))
            )
        case "codes":
            await _stepping_up(desk, options, lambda: account_mfa.renew_codes(me, desk.say))
        case "remove":
            await _stepping_up(desk, options, lambda: account_mfa.remove(me, options.what))
            desk.say("It is removed.")
        case _:
            found = await account_mfa.methods(me)
            for one in found.methods:
                used = f"used {_when(one.last_used_at)}" if one.last_used_at else "not used yet"
                desk.say(f"{one.id or 'totp':>8}  {one.method:8}  {one.name:24}  since {_when(one.created_at)}  {used}")
            desk.say(f"{found.recovery_codes_left} recovery codes are left." if found.methods else "The password alone opens this account.")


async def _stepping_up(desk: Desk, options: argparse.Namespace, ask: Callable[[], Awaitable[None]]) -> None:
    """Asks, and once more after the person has proven who they are, where the server wants that."""
    try:
        await ask()
    except AccountError as error:
        if error.code != str(int(Code.STEP_UP)):
            raise
    else:
        return
    shown = _secret(options.password, "EDUCONNECT_PASSWORD", "To be sure that it is you, your password: ")
    try:
        await desk.own.prove({"password": shown})
    except AccountError as error:
        if error.code != str(int(Code.MFA)):
            raise
        code = _secret("", "EDUCONNECT_CODE", "Code of your authenticator: ")
        await desk.own.prove({"code": code})
    await ask()


def _new_password() -> str:
    given = os.environ.get("EDUCONNECT_NEW_PASSWORD")
    if given:
        return given
    first = getpass.getpass("The new password: ")
    if getpass.getpass("Once more: ") != first:
        raise SystemExit("these are two; nothing was changed")
    return first


def _secret(given: str | None, variable: str, question: str) -> str:
    return given or os.environ.get(variable) or getpass.getpass(question)


def _code(text: str) -> str:
    found = _CODE.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError("this is no code: 43 letters, digits, - and _, or the whole link")
    return found[1]


def _method(text: str) -> str:
    if text != "totp" and not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError("this is neither totp nor the number of a passkey")
    return text


def _when(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%d %H:%M")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="educonnect account", description="One's own account: password, address, devices, sessions, second factors."
    )
    parser.add_argument(
        "--store", default=os.environ.get("EDUCONNECT_STORE", ""), metavar="FILE", help="the device's store; none: log in anew"
    )
    parser.add_argument("--url", default="", help=f"address of the server (default: the store's last, or {URL})")
    parser.add_argument("--name", default="", help="the name to log in with (default: the store's)")
    parser.add_argument("--password", help="default: EDUCONNECT_PASSWORD, or asked for")
    commands = parser.add_subparsers(required=True, metavar="command")

    def add(name: str, command: Command, help: str, *, stranger: bool = False) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=help, description=help)
        made.set_defaults(command=command, stranger=stranger)
        return made

    add("show", _show, "what the account says of you")
    add("password", _password, "another password (EDUCONNECT_NEW_PASSWORD, or asked for); every other session ends")
    email = add("email", _email, "the address that a forgotten password is reset by")
    email.add_argument("address", nargs="?", default="")
    email.add_argument("--remove", action="store_true", help="have none")
    add("verify", _verify, "prove an address by the code of its mail", stranger=True).add_argument("code", type=_code)
    add("language", _language, "in which language mails are written").add_argument("tag", help="such as de or pt-BR")
    add("forgot", _forgot, "ask for a link to set another password", stranger=True).add_argument("account", help="a name, or an address")
    add("reset", _reset, "set another password by the code of a mail", stranger=True).add_argument("code", type=_code)
    add("devices", _devices, "the account's devices, the one used last first")
    rename = add("rename", _rename, "call a device something")
    rename.add_argument("device", type=int)
    rename.add_argument("new_name", metavar="NAME")
    add("sessions", _sessions, "where you are logged in")
    end = add("end", _end, "log out elsewhere: sockets end within a second")
    end.add_argument("sessions", nargs="*", type=int, metavar="SESSION")
    end.add_argument("--others", action="store_true", help="every session but this one")
    mfa = add("mfa", _mfa, "second factors: what is set")
    deeds = mfa.add_subparsers(dest="deed", metavar="deed")
    deeds.add_parser("totp", help="set up an authenticator app")
    deeds.add_parser("codes", help="ten new recovery codes instead of all earlier ones")
    deeds.add_parser("remove", help="remove one").add_argument("what", type=_method, help="totp, or the number of a passkey")
    return parser


if __name__ == "__main__":
    sys.exit(run_account(sys.argv[1:]))
