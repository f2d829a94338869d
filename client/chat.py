"""`educonnect chat`: a line-based chat for a terminal or a pipe.

    typed line ─▶ command or message ─▶ session          events ─▶ folds ─▶ printed above the line

What is said offline is sent when the network is back; what the server refuses is told in its own words. On a pipe the end of the
input ends the chat, after everything that was said is committed, so that scripts can use it.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Sequence

import trio

from client.account import Account, Credentials
from client.chat_commands import Commands
from client.chat_lookup import Lookup
from client.chat_view import Screen, View
from client.connecting import connect
from client.errors import AccountError, ClientError, SessionEnded, Unreachable
from client.owner import log_in
from client.session import Session
from client.sqlite_store import MemoryStore, SqliteStore
from client.subscription import Events, Restarted
from client.terminal import Terminal
from client.words import failure

FAREWELL_S = 30.0
"""At the end of a pipe, what was said gets this long to be committed."""


class Chat:
    """One person at one terminal."""

    def __init__(self, session: Session, screen: Screen) -> None:
        self._session = session
        self._screen = screen
        self._view = View(session, screen)
        self._lookup = Lookup(session, self._view)
        self._end: SessionEnded | None = None
        self._began_offline = False

    async def run(self, first: str = "") -> None:
        """Chats until /quit or the end of the input. `first` names a channel to open. Raises `SessionEnded`."""
        with self._session.events() as events:
            async with trio.open_nursery() as nursery:
                commands = Commands(self._session, self._view, self._lookup, nursery)
                nursery.start_soon(self._watch_status, commands)
                nursery.start_soon(self._listen, events, commands, nursery)
                await commands.carry_out("/spaces")
                self._began_offline = self._view.desk is None
                if first:
                    await commands.carry_out(f"/open {first}")
                elif len(channels := self._view.channels) == 1:
                    # There is nothing to choose.
                    await commands.carry_out(f"/open {channels[0][1].stream}")
                while (line := await self._screen.read()) is not None and line.strip() not in ("/quit", "/exit"):
                    await commands.carry_out(line.strip())
                with trio.move_on_after(FAREWELL_S):
                    await self._session.settled()
                    # One exchange more, behind which the events of what was just said have come.
                    await self._session.ping()
                    self._view.mark_read()
                    await self._session.settled()
                if self._session.unanswered:
                    self._view.note(f"{len(self._session.unanswered)} of your changes could not be sent.")
                nursery.cancel_scope.cancel()
        if self._end is not None:
            raise self._end

    async def _watch_status(self, commands: Commands) -> None:
        offline = False
        async for status in self._session.statuses():
            if status.state == "waiting" and not offline:
                offline = True
                self._view.note("You are offline: the server cannot be reached. I keep trying; press Enter to try now.")
            elif status.state == "online" and offline:
                offline = False
                self._view.note("You are online again.")
                if self._began_offline:
                    self._began_offline = False
                    await commands.carry_out("/spaces")

    async def _listen(self, events: Events, commands: Commands, nursery: trio.Nursery) -> None:
        try:
            async for item in events:
                await self._lookup.meet_whoever(item)
                self._view.hear(item)
                if isinstance(item, Restarted) and self._view.desk is None:
                    # The database was restored: what one has may be another.
                    nursery.start_soon(commands.carry_out, "/spaces")
        except SessionEnded as end:
            self._end = end
            nursery.cancel_scope.cancel()


def run_chat(argv: Sequence[str]) -> int:
    """`educonnect chat`: returns the exit status. 2: wrong arguments; 1: not logged in, unreachable, or the session was ended."""
    parser = argparse.ArgumentParser(prog="educonnect chat", description="Chat in a community from a terminal.")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="address of the server (default: %(default)s)")
    parser.add_argument("--name", required=True, help="the name to log in with")
    parser.add_argument("--password", help="default: EDUCONNECT_PASSWORD, or asked for")
    parser.add_argument("--register", action="store_true", help="sign up first")
    parser.add_argument("--open", default="", metavar="CHANNEL", help="open this channel at once")
    parser.add_argument("--store", metavar="FILE", help="keep the device and what could not be sent in this file")
    options = parser.parse_args(argv)
    password = options.password or os.environ.get("EDUCONNECT_PASSWORD") or getpass.getpass(f"Password of {options.name}: ")
    with Terminal() as terminal:
        try:
            return trio.run(_chat, terminal, options, password)
        except KeyboardInterrupt:
            return 0
        except BaseExceptionGroup as group:
            if group.split(KeyboardInterrupt)[1] is None:
                return 0
            raise


async def _chat(terminal: Terminal, options: argparse.Namespace, password: str) -> int:
    store = SqliteStore(options.store) if options.store else MemoryStore()
    try:
        async with Account(options.url) as account:
            credentials = await _log_in(account, options, password, store.load().device)
            async with connect(options.url, credentials, store=store) as session:
                await Chat(session, terminal).run(options.open)
            with trio.move_on_after(2):
                await _log_out(credentials)
    except (AccountError, Unreachable, SessionEnded, ClientError) as error:
        terminal.write(f"* {failure(error, options.url)}")
        return 1
    finally:
        if isinstance(store, SqliteStore):
            store.close()
    return 0


async def _log_in(account: Account, options: argparse.Namespace, password: str, device: int) -> Credentials:
    if options.register:
        return await account.register(options.name, password, device_name="terminal")
    return await log_in(account, options.name, password, device, "terminal")


async def _log_out(credentials: Credentials) -> None:
    try:
        await credentials.logout()
    except (AccountError, Unreachable):
        return


if __name__ == "__main__":
    sys.exit(run_chat(sys.argv[1:]))
