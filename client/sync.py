"""`educonnect sync`: what a device keeps and changes offline, from a terminal.

    typed ─▶ arguments ─▶ store ─┬─ offline ─▶ command over the store alone
                                 └─ log in, connect ─▶ command, then everything up and down

Who logged in with a store, where, and with which tokens is kept in it, so that later commands need only `--store`; the file is its
owner's alone. A command that writes never fails for want of a network or a login: what it wrote is kept, and the exit status says so.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Awaitable, Callable, Sequence

import trio

from client import sync_commands as commands
from client.account import Account
from client.connecting import REAL_WORLD, connect
from client.errors import AccountError, ClientError, RequestFailed, SessionEnded, Unreachable
from client.exchange import Exchange
from client.owner import Owner, enter, keep_owner, owner_of
from client.session import Session
from client.sqlite_store import SqliteStore
from client.sync_commands import FAILED, WAITS, Desk
from client.sync_fields import Mistake
from client.words import failure, refusal

URL = "http://127.0.0.1:8000"
BAD_USAGE = 2
WAIT_S = 30.0

LOCAL, KEPT, REMOTE = "local", "kept", "remote"
Command = Callable[[Desk, argparse.Namespace], Awaitable[int]]


def run_sync(argv: Sequence[str]) -> int:
    """`educonnect sync`: returns the exit status. 0: done; 1: refused, or no server where one is needed; 2: typed wrongly; 3: kept, and
    not decided yet."""
    return run_typed(sync, argv)


def run_typed(command: Callable[[Sequence[str], Callable[[str], None]], Awaitable[int]], argv: Sequence[str]) -> int:
    """Runs a program that works with a store; its exit status."""
    # The file holds tokens: it is nobody else's to read.
    os.umask(0o077)
    try:
        return trio.run(command, argv, _say)
    except KeyboardInterrupt:
        return WAITS
    except BaseExceptionGroup as group:
        if group.split(KeyboardInterrupt)[1] is None:
            return WAITS
        raise


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def sync(argv: Sequence[str], say: Callable[[str], None]) -> int:
    """Carries out what was typed; returns the exit status. Raises `SystemExit` where it cannot be read as a command."""
    return await serve_typed(_parser().parse_args(argv), say)


async def serve_typed(options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Carries out a command of `options` (`command`, `needs`, and what `add_options` adds); returns the exit status."""
    if not options.store:
        say("Say where this device keeps its records: --store FILE, or EDUCONNECT_STORE.")
        return BAD_USAGE
    try:
        with SqliteStore(options.store) as store:
            return await _with_store(store, options, say)
    except ClientError as error:
        say(failure(error, options.url or URL))
        return FAILED


async def _with_store(store: SqliteStore, options: argparse.Namespace, say: Callable[[str], None]) -> int:
    before = owner_of(store)
    url = options.url or before.url or URL
    owner = Owner(options.name or before.name, url, before.login if url == before.url else None)
    needs = options.needs
    if options.fresh or any(getattr(options, name, False) for name in ("all", "server", "space")):
        needs = REMOTE
    if before.name and owner.name != before.name:
        say(f"This store is {before.name}'s. Another person needs another --store.")
        return BAD_USAGE
    if needs == LOCAL or options.offline:
        return await carry_out(options, offline_desk(store, say)) if needs != REMOTE else _needs_server(say)
    if not owner.name:
        if needs == REMOTE:
            say("This needs a connection to the server, and nobody has logged in with this store yet: give --name.")
            return BAD_USAGE
        return await carry_out(options, offline_desk(store, say))
    async with Account(owner.url) as account:
        try:
            credentials = await enter(
                account, owner, store.load().device, options.password or "", register=options.register, device_name="sync"
            )
        except (AccountError, Unreachable) as error:
            say(failure(error, owner.url))
            return await carry_out(options, offline_desk(store, say)) if needs != REMOTE else _needs_server(say)
        keep_owner(store, owner, credentials.login)
        try:
            async with connect(owner.url, credentials, store=store, door="http" if options.http else "socket") as session:
                return await with_session(session, store, options, needs, say)
        except SessionEnded:
            # Whatever it was, it is not waited for any longer; the next command begins with the password.
            keep_owner(store, owner, None)
            raise
        finally:
            if credentials.login.refresh_token != (owner_of(store).login or credentials.login).refresh_token:
                keep_owner(store, owner, credentials.login)


def _needs_server(say: Callable[[str], None]) -> int:
    say("This needs a connection to the server.")
    return FAILED


async def with_session(session: Session, store: SqliteStore, options: argparse.Namespace, needs: str, say: Callable[[str], None]) -> int:
    """Over a connection: the command on what the person has seen, then everything up and down."""
    desk = Desk(session, store, say, True, options.wait)
    if options.fresh or not session.sync_streams.told:
        with trio.move_on_after(options.wait) as patience:
            await session.synced()
        if patience.cancelled_caught:
            say("The server does not answer just now.")
            if needs == REMOTE:
                return _needs_server(say)
            desk = Desk(session, store, say, False, 0.0)
    with trio.move_on_after(2 * options.wait) as patience:
        status = await carry_out(options, desk)
    if patience.cancelled_caught:
        say("The server does not answer just now.")
        return FAILED if needs == REMOTE else WAITS
    if desk.online and status != BAD_USAGE and session.status.state != "waiting":
        with trio.move_on_after(options.wait):
            await session.synced()
    return status


def offline_desk(store: SqliteStore, say: Callable[[str], None]) -> Desk:
    """A desk without a server: what is written there is kept."""
    exchange = Exchange(store, store.load().device, REAL_WORLD.wall, REAL_WORLD.spread)
    return Desk(Session(exchange, REAL_WORLD, 0, 0), store, say, False, 0.0)


async def carry_out(options: argparse.Namespace, desk: Desk) -> int:
    """Runs the command that was typed; what is wrong with it is said."""
    command: Command = options.command
    try:
        return await command(desk, options)
    except Mistake as mistake:
        desk.say(str(mistake))
        return BAD_USAGE
    except ValueError as wrong:
        desk.say(f"This cannot be kept: {wrong}.")
        return BAD_USAGE
    except RequestFailed as failed:
        desk.say(refusal("It", failed))
        return FAILED


def add_options(parser: argparse.ArgumentParser) -> None:
    """What every command with a store takes."""
    parser.add_argument("--store", default=os.environ.get("EDUCONNECT_STORE", ""), metavar="FILE", help="where this device keeps it")
    parser.add_argument("--url", default="", help=f"address of the server (default: the store's last, or {URL})")
    parser.add_argument("--name", default="", help="the name to log in with (default: the store's)")
    parser.add_argument("--password", help="default: EDUCONNECT_PASSWORD, or asked for")
    parser.add_argument("--register", action="store_true", help="sign up first")
    parser.add_argument("--offline", action="store_true", help="do not connect: what is written is kept and sent later")
    parser.add_argument("--fresh", action="store_true", help="connect and bring everything up to date first")
    parser.add_argument("--http", action="store_true", help="over HTTP, where sockets are blocked")
    parser.add_argument("--wait", type=float, default=WAIT_S, metavar="SECONDS", help="how long to wait (default: %(default).0f)")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="educonnect sync", description="What this device keeps and changes offline.")
    add_options(parser)
    groups = parser.add_subparsers(required=True, metavar="command")

    def add(
        to: argparse._SubParsersAction[argparse.ArgumentParser], name: str, needs: str, command: Command, help: str
    ) -> argparse.ArgumentParser:
        made = to.add_parser(name, help=help, description=help)
        made.set_defaults(command=command, needs=needs)
        return made

    def add_community(to: argparse.ArgumentParser) -> None:
        to.add_argument("--in", dest="community", type=int, default=0, metavar="COMMUNITY", help="the community's number")

    def add_record(to: argparse.ArgumentParser) -> None:
        to.add_argument("entity", help="such as progress, profile, content")
        to.add_argument("key", nargs="?", help="the record's number; none for what there is once")
        add_community(to)

    add(groups, "now", REMOTE, commands.now, "send and fetch everything, and say how far it is")
    add(groups, "status", LOCAL, commands.status, "what waits, what is missing, when all was last in step")
    add(groups, "queue", LOCAL, commands.queue, "what waits to be sent, what was sent and not answered, what was refused")

    record = add(groups, "put", KEPT, commands.put, "write fields of a record, or begin one")
    record.add_argument("entity", help="such as progress, profile, content")
    record.add_argument("words", nargs="+", metavar="[KEY|new] name=value", help="name=@FILE takes what is in a file")
    add_community(record)
    add_record(add(groups, "delete", KEPT, commands.delete, "delete a record"))
    add_record(add(groups, "get", LOCAL, commands.get, "show a record, with what is on its way"))
    listing = add(groups, "list", LOCAL, commands.list_records, "show this device's records of a kind")
    listing.add_argument("entity", help="such as progress, profile, content")
    add_community(listing)

    earlier = add(groups, "versions", REMOTE, commands.versions, "list other values of a record that the server keeps")
    add_record(earlier)
    earlier.add_argument("--before", type=int, default=0, metavar="NUMBER", help="older than this one")
    bring_back = add(groups, "restore", REMOTE, commands.restore, "write one of those values again")
    add_record(bring_back)
    bring_back.add_argument("--place", type=int, required=True, metavar="NUMBER", help="its number in versions")
    back = add(groups, "set-back", REMOTE, commands.set_back, "set a learner's progress back (staff)")
    back.add_argument("community", type=int)
    back.add_argument("user", type=int)
    back.add_argument("lesson", type=int)
    back.add_argument("--percent", type=int, default=0, help="to how much (default: 0)")

    conflicts = groups.add_parser("conflicts", help="what a person has to decide").add_subparsers(required=True, metavar="what")
    shown = add(conflicts, "list", LOCAL, commands.list_conflicts, "those that wait, as last told")
    shown.add_argument("--all", action="store_true", help="decided ones too, from the server")
    shown = add(conflicts, "show", LOCAL, commands.show_conflict, "one, field by field")
    shown.add_argument("conflict", type=int)
    shown.add_argument("--write", metavar="FILE", help="put the merged text there, with marks where you have to choose")
    claimed = add(conflicts, "claim", KEPT, commands.claim, "say that you are deciding it")
    claimed.add_argument("conflict", type=int)
    claimed.add_argument("--back", action="store_true", help="no longer")
    decided = add(conflicts, "resolve", KEPT, commands.resolve, "decide it")
    decided.add_argument("conflict", type=int)
    choice = decided.add_mutually_exclusive_group(required=True)
    choice.add_argument("--mine", action="store_true", help="what was not written")
    choice.add_argument("--theirs", action="store_true", help="what stands there")
    choice.add_argument("--merged", nargs="*", metavar="name=value|FILE", help="of both: what is not said is put together where it can be")
    for name in ("reopen", "undo"):
        add(conflicts, name, KEPT, commands.reopen, "open a decided one again").add_argument("conflict", type=int)

    unapplied = groups.add_parser("unapplied", help="what was refused, and kept").add_subparsers(required=True, metavar="what")
    refused = add(unapplied, "list", LOCAL, commands.list_unapplied, "what the server would not take from this device")
    refused.add_argument("--server", action="store_true", help="what the server keeps of yours")
    refused.add_argument("--in", dest="space", type=int, default=0, metavar="COMMUNITY", help="what it keeps for a community (staff)")
    refused.add_argument("--after", type=int, default=0, metavar="NUMBER", help="of the server's: after this one")
    for name, command, help in (
        ("retry", commands.retry, "ask for it again, on what is there now"),
        ("discard", commands.discard, "list it no longer"),
    ):
        item = add(unapplied, name, KEPT, command, help)
        item.add_argument("item", type=int)
        item.add_argument("--server", action="store_true", help="a number of the server's list")

    scope = groups.add_parser("scope", help="what this device keeps").add_subparsers(required=True, metavar="what")
    add(scope, "show", LOCAL, commands.show_scope, "what is kept, and why")
    chosen = add(scope, "set", KEPT, commands.set_scope, "keep these streams, the most wanted first")
    chosen.add_argument("streams", type=int, nargs="+", metavar="STREAM")
    add(scope, "quota", KEPT, commands.set_quota, "keep at most so many bytes (0: no bound)").add_argument("bytes", type=int)
    return parser


if __name__ == "__main__":
    sys.exit(run_sync(sys.argv[1:]))
