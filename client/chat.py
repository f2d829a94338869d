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
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import trio

from client.account import Account, Credentials
from client.connecting import connect
from client.errors import AccountError, ClientError, MutationRefused, RequestFailed, SessionEnded, Unreachable
from client.fold import Desk, Message, Room, fact_of
from client.pending import Pending
from client.session import Session
from client.sqlite_store import SqliteStore
from client.store import MemoryStore
from client.subscription import CaughtUp, Events, Item, Restarted, Unreadable
from client.terminal import Terminal
from protocol.codec import UnknownEvent
from protocol.events import Invited, Mentioned, SpaceEntered
from protocol.frames import Event, IsTyping, MemberPage, SpaceState, StreamState
from protocol.operations import (
    MENTIONS_MAX,
    AnyOperation,
    CreateChannel,
    CreateCommunity,
    Delete,
    Edit,
    Invite,
    Join,
    MarkRead,
    OpenConversation,
    Post,
    React,
    Say,
)
from protocol.values import Role, SpaceKind, StreamKind

REPLY_S = 15.0
"""A command that needs the server's answer waits this long, then says that it is still offline."""
FAREWELL_S = 30.0
"""At the end of a pipe, what was said gets this long to be committed."""
BACKLOG = 20
"""Messages shown when a channel is opened."""
MESSAGES_KEPT = 2000
"""Messages of one channel kept in memory; older ones come with /history."""

CONVERSATIONS_NAMED = 20
"""Conversations whose people are asked for at once: a request each, so not for hundreds."""

HELP = """\
/spaces                     where you are a member, and what is new there
/open NAME                  open a channel or conversation (general, Physics/general, or a number from /spaces)
/create community NAME      found a community            /create channel NAME   open a channel in this community
/join NUMBER                join a community             /invite PERSON         invite somebody to this community
/dm PERSON [PERSON …]       write to somebody in private
/reply N TEXT   /edit N TEXT   /delete N   /react N EMOJI      N is the number before a message
/who   /history [COUNT]   /status   /quit                      anything else is said to the open channel; @name mentions"""


class Screen(Protocol):
    """Where lines come from and go to; `client.terminal.Terminal` is one."""

    async def read(self) -> str | None: ...

    def write(self, text: str) -> None: ...

    def paint_name(self, name: str, user: int) -> str: ...

    def dim(self, text: str) -> str: ...


class Mistake(Exception):
    """A command that cannot be done as it was typed; the text says what to type."""


class Chat:
    """One person at one terminal."""

    def __init__(self, session: Session, screen: Screen) -> None:
        self._session = session
        self._screen = screen
        self._desk = Desk()
        self._desk_is_live = False
        self._rooms: dict[int, Room] = {}
        self._spaces: tuple[SpaceState, ...] = ()
        self._names: dict[int, str] = {}
        self._companions: dict[int, str] = {}
        self._open: tuple[SpaceState, StreamState] | None = None
        self._nursery: trio.Nursery | None = None
        self._end: SessionEnded | None = None
        self._commands: dict[str, Callable[[str], Awaitable[None]]] = {
            "help": self._help,
            "spaces": self._list_spaces,
            "open": self._open_named,
            "create": self._create,
            "join": self._join,
            "invite": self._invite,
            "dm": self._write_to,
            "reply": self._reply,
            "edit": self._edit,
            "delete": self._delete,
            "react": self._react,
            "who": self._who,
            "history": self._history,
            "status": self._status,
        }

    async def run(self, first: str = "") -> None:
        """Chats until /quit or the end of the input. `first` names a channel to open. Raises `SessionEnded`."""
        with self._session.events() as events:
            async with trio.open_nursery() as self._nursery:
                self._nursery.start_soon(self._watch_status)
                # The desk is folded from the inbox's first event on: standing invitations are nowhere else.
                self._session.unfollow(self._session.inbox, forget=True)
                self._session.follow(self._session.inbox)
                await self._carry_out("/spaces")
                self._nursery.start_soon(self._listen, events)
                if first:
                    await self._carry_out(f"/open {first}")
                while (line := await self._screen.read()) is not None and line.strip() not in ("/quit", "/exit"):
                    await self._carry_out(line.strip())
                with trio.move_on_after(FAREWELL_S):
                    await self._session.settled()
                    # One exchange more, behind which the events of what was just said have come.
                    await self._session.ping()
                if self._session.unanswered:
                    self._note(f"{len(self._session.unanswered)} of your changes could not be sent.")
                self._nursery.cancel_scope.cancel()
        if self._end is not None:
            raise self._end

    async def _carry_out(self, line: str) -> None:
        """One line. Whatever is wrong with it is said, and the chat goes on."""
        if not line:
            if self._session.status.state == "waiting":
                self._session.hurry()
            return
        try:
            if not line.startswith("/"):
                self._say(line)
                return
            word, _, rest = line[1:].partition(" ")
            command = self._commands.get(word)
            if command is None:
                near = [name for name in self._commands if name.startswith(word[:1])]
                raise Mistake(
                    f"There is no /{word}. {'Did you mean /' + ' or /'.join(near) + '? ' if near else ''}/help lists what there is."
                )
            with trio.move_on_after(REPLY_S) as patience:
                await command(rest.strip())
            if patience.cancelled_caught:
                self._note("No answer yet: you are offline. What you asked to change is kept and will be sent.")
        except (Mistake, ValueError) as mistake:
            self._note(str(mistake))
        except (MutationRefused, RequestFailed) as refused:
            self._note(f"The server said no: {refused}")
        except SessionEnded:
            # The listener hears it too, and ends the chat with the reason.
            return

    # What happens

    async def _watch_status(self) -> None:
        was = "online"
        async for status in self._session.statuses():
            if status.state == "waiting":
                self._note(
                    f"Offline ({status.detail or 'the connection was lost'}); trying again in {status.wait_s:.0f} s, or press Enter."
                )
            elif status.state == "online" and was != "online":
                self._note("Online.")
            was = status.state if status.state != "connecting" else was

    async def _listen(self, events: Events) -> None:
        assert self._nursery is not None
        try:
            async for item in events:
                self._hear(item)
        except SessionEnded as end:
            self._end = end
            self._nursery.cancel_scope.cancel()

    def _hear(self, item: Item) -> None:
        match item:
            case Event() | UnknownEvent() if item.stream == self._session.inbox:
                if item.seq == self._desk.upto + 1:
                    self._desk.apply(item)
                    if isinstance(item, Event) and self._desk_is_live:
                        self._hear_inbox(item)
            case CaughtUp(stream, _) if stream == self._session.inbox and not self._desk_is_live:
                self._desk_is_live = True
                self._tell_what_waits()
            case Event() | UnknownEvent():
                room = self._rooms.get(item.stream)
                if room is not None and item.seq == room.upto + 1:
                    room.apply(item)
                    room.keep_newest(MESSAGES_KEPT)
                    if isinstance(item, Event):
                        self._show_event(room, item)
            case Restarted(stream):
                if stream == self._session.inbox:
                    self._desk = Desk()
                elif stream in self._rooms:
                    self._rooms[stream] = Room.beginning_after(stream, 0)
            case Unreadable(stream, _, _) if stream in self._rooms:
                del self._rooms[stream]
                self._note(f"You can no longer read {self._label(stream)}.")
            case IsTyping(stream, user) if self._open is not None and stream == self._open[1].stream:
                self._note(f"{self._name(user)} is typing …")
            case _:
                pass

    def _tell_what_waits(self) -> None:
        """Once, at the start: what came to the inbox while one was away and is still open."""
        for space, invitation in self._desk.invitations.items():
            if space not in self._desk.places:
                self._note(f"{self._name(invitation.by)} invites you to {invitation.name} as {invitation.role.name.lower()}: /join {space}")
        for stream, seq in self._desk.mentions:
            if seq > self._desk.read.get(stream, 0):
                self._note(f"You were mentioned in {self._label(stream)} (message {seq}).")

    def _hear_inbox(self, event: Event) -> None:
        match event.body:
            case SpaceEntered(space, kind, name, _, _) if all(space != known.space for known in self._spaces):
                self._note("Somebody wrote to you: /spaces" if kind is SpaceKind.CONVERSATION else f"You are now a member of {name}.")
            case Invited(space, name, role, by):
                self._note(f"{self._name(by)} invites you to {name} as {role.name.lower()}: /join {space}")
            case Mentioned(stream, seq, author) if stream not in self._rooms:
                self._note(f"{self._name(author)} mentioned you in {self._label(stream)} (message {seq}).")
            case _:
                pass

    def _show_event(self, room: Room, event: Event) -> None:
        message = room.messages.get(event.seq)
        if message is not None:
            self._show(message, room.stream)
            if self._open is not None and room.stream == self._open[1].stream and event.author != self._session.user:
                self._session.submit(MarkRead(room.stream, event.seq))
            return
        target = getattr(event.body, "target", 0)
        changed = room.messages.get(target)
        if changed is None:
            if target in room.deleted:
                self._note(f"[{target}] was taken back.")
            return
        reactions = " ".join(f"{emoji}{len(users)}" for emoji, users in sorted(room.reactions_to(target).items()))
        self._screen.write(self._line(changed) + (f"  {reactions}" if reactions else ""))

    def _show(self, message: Message, stream: int) -> None:
        elsewhere = self._open is None or self._open[1].stream != stream
        self._screen.write((self._screen.dim(f"({self._label(stream)}) ") if elsewhere else "") + self._line(message))

    def _line(self, message: Message) -> str:
        answered = f" ↩{message.reply_to}" if message.reply_to else ""
        edited = self._screen.dim(" (edited)") if message.edited else ""
        name = self._screen.paint_name(self._name(message.author), message.author)
        return f"{self._screen.dim(f'[{message.seq}]')} {name}{answered}: {message.text}{edited}"

    def _note(self, text: str) -> None:
        self._screen.write(self._screen.dim(f"* {text}"))

    def _name(self, user: int) -> str:
        return self._names.get(user, f"user {user}")

    def _label(self, stream: int) -> str:
        for space in self._spaces:
            for state in space.streams:
                if state.stream == stream:
                    return self._title(space, state)
        return f"stream {stream}"

    def _title(self, space: SpaceState, state: StreamState) -> str:
        if space.kind is SpaceKind.COMMUNITY:
            return f"{space.name}/{state.name}"
        return self._companions.get(space.space, f"conversation {state.stream}")

    # What is typed

    def _here(self) -> tuple[SpaceState, StreamState]:
        if self._open is None:
            raise Mistake("No channel is open. /spaces lists yours, /open NAME opens one, /create community NAME founds one.")
        return self._open

    def _community(self) -> SpaceState:
        space, _ = self._here()
        if space.kind is not SpaceKind.COMMUNITY:
            raise Mistake("This is a private conversation; open a channel of a community first.")
        return space

    def _submit(self, operation: AnyOperation) -> None:
        """Sends without waiting; a refusal is told when it comes."""
        assert self._nursery is not None
        self._nursery.start_soon(self._report, self._session.submit(operation))
        if self._session.status.state != "online":
            self._note("You are offline: this will be sent when the network is back.")

    async def _report(self, pending: Pending) -> None:
        try:
            await pending.wait()
        except MutationRefused as refused:
            self._note(f"The server said no: {refused}")
        except SessionEnded:
            return

    def _say(self, text: str, reply_to: int = 0) -> None:
        _, state = self._here()
        mentions = tuple(user for user, name in self._names.items() if f"@{name.casefold()}" in text.casefold())[:MENTIONS_MAX]
        self._submit(Post(state.stream, text, reply_to, mentions) if reply_to or mentions else Say(state.stream, text))

    def _numbered(self, rest: str, usage: str) -> tuple[int, int, str]:
        number, _, text = rest.partition(" ")
        if not number.isdecimal() or not int(number):
            raise Mistake(f"{usage}; the number stands before the message.")
        return self._here()[1].stream, int(number), text.strip()

    async def _help(self, rest: str) -> None:
        self._screen.write(HELP)

    async def _list_spaces(self, rest: str) -> None:
        await self._learn_spaces()
        if not self._spaces:
            self._note("You are in no community yet. /create community NAME founds one, /join NUMBER joins one.")
        for space in self._spaces:
            if space.kind is SpaceKind.PERSONAL:
                continue
            role = f" ({space.role.name.lower()}, number {space.space})" if space.kind is SpaceKind.COMMUNITY else ""
            if space.kind is SpaceKind.COMMUNITY:
                self._screen.write(f"{space.name}{role}")
            for state in space.streams:
                if state.kind in (StreamKind.CHANNEL, StreamKind.CONVERSATION):
                    name = state.name if space.kind is SpaceKind.COMMUNITY else self._title(space, state)
                    unread = state.head - max(state.read_upto, self._desk.read.get(state.stream, 0))
                    self._screen.write(f"  {state.stream}  {name}" + (f"  · {unread} new" if unread > 0 else ""))

    async def _learn_spaces(self) -> None:
        overview = await self._session.overview()
        self._spaces = overview.spaces
        unnamed = [space for space in self._spaces if space.kind is SpaceKind.CONVERSATION and space.space not in self._companions]
        for space in unnamed[:CONVERSATIONS_NAMED]:
            await self._learn_people(space)

    async def _learn_people(self, space: SpaceState) -> MemberPage:
        page = await self._session.members(space.space, limit=200)
        self._names.update({member.user: member.display_name for member in page.members})
        if space.kind is SpaceKind.CONVERSATION:
            self._companions[space.space] = ", ".join(member.display_name for member in page.members if member.user != self._session.user)
        return page

    async def _open_named(self, rest: str) -> None:
        if not rest:
            raise Mistake("/open NAME, for example /open general; /spaces lists what there is.")
        await self._learn_spaces()
        wanted = rest.lstrip("#").casefold()
        found = [
            (space, state)
            for space in self._spaces
            for state in space.streams
            if state.kind in (StreamKind.CHANNEL, StreamKind.CONVERSATION)
            and wanted in (str(state.stream), state.name.casefold(), self._title(space, state).casefold(), space.name.casefold())
            and wanted
        ]
        exact = [one for one in found if wanted in (str(one[1].stream), self._title(*one).casefold())]
        if not found:
            raise Mistake(f"There is no channel {rest!r} here. /spaces lists yours.")
        if len(found) > 1 and len(exact) != 1:
            titles = ", ".join(f"{self._title(*one)} ({one[1].stream})" for one in found)
            raise Mistake(f"Which one: {titles}?")
        await self._enter(*(exact or found)[0])

    async def _enter(self, space: SpaceState, state: StreamState) -> None:
        members = await self._learn_people(space)
        stream = state.stream
        if stream not in self._rooms:
            page = await self._session.history(stream, limit=BACKLOG)
            first = page.events[0].seq - 1 if page.events else 0
            room = self._rooms[stream] = Room.beginning_after(stream, first)
            for event in page.events:
                room.apply(fact_of(stream, event))
            self._session.unfollow(stream, forget=True)
            self._session.follow(stream, room.upto)
        self._open = (space, state)
        self._note(
            f"{self._title(space, state)}: {len(members.members)}{'+' if members.more else ''} people. Type to talk, /help for more."
        )
        room = self._rooms[stream]
        for seq in sorted(room.messages)[-BACKLOG:]:
            self._show(room.messages[seq], stream)
        if room.upto > state.read_upto:
            self._session.submit(MarkRead(stream, room.upto))

    async def _create(self, rest: str) -> None:
        kind, _, name = rest.partition(" ")
        name = name.strip()
        if kind == "community" and name:
            space = await self._session.do(CreateCommunity(name))
            self._note(f"{name} is founded. Others join with /join {space}.")
            await self._learn_spaces()
            for state in self._spaces:
                for stream in state.streams:
                    if state.space == space and stream.kind is StreamKind.CHANNEL:
                        await self._enter(state, stream)
                        return
        elif kind == "channel" and name:
            stream_id = await self._session.do(CreateChannel(self._community().space, name))
            await self._open_named(str(stream_id))
        else:
            raise Mistake("/create community NAME, or /create channel NAME.")

    async def _join(self, rest: str) -> None:
        if not rest.isdecimal():
            raise Mistake("/join NUMBER; whoever invited you knows the community's number.")
        space = await self._session.do(Join(int(rest)))
        await self._learn_spaces()
        for state in self._spaces:
            if state.space == space:
                self._note(f"Welcome to {state.name}. /spaces lists its channels.")

    async def _invite(self, rest: str) -> None:
        if not rest:
            raise Mistake("/invite PERSON, by the name they log in with.")
        person = await self._session.search(rest)
        await self._session.do(Invite(self._community().space, person.user, Role.LEARNER))
        self._note(f"{person.display_name} is invited.")

    async def _write_to(self, rest: str) -> None:
        if not rest:
            raise Mistake("/dm PERSON, by the name they log in with.")
        people = [await self._session.search(name) for name in rest.split()]
        stream = await self._session.do(OpenConversation(tuple(person.user for person in people)))
        self._names.update({person.user: person.display_name for person in people})
        await self._open_named(str(stream))

    async def _reply(self, rest: str) -> None:
        _, number, text = self._numbered(rest, "/reply N TEXT")
        self._say(text, number)

    async def _edit(self, rest: str) -> None:
        stream, number, text = self._numbered(rest, "/edit N TEXT")
        self._submit(Edit(stream, number, text))

    async def _delete(self, rest: str) -> None:
        stream, number, _ = self._numbered(rest, "/delete N")
        self._submit(Delete(stream, number))

    async def _react(self, rest: str) -> None:
        stream, number, emoji = self._numbered(rest, "/react N EMOJI")
        mine = self._session.user in self._rooms[stream].reactions_to(number).get(emoji, set())
        self._submit(React(stream, number, emoji, not mine))

    async def _who(self, rest: str) -> None:
        space, _ = self._here()
        after = 0
        while True:
            page = await self._session.members(space.space, after=after)
            for member in page.members:
                self._screen.write(f"  {self._screen.paint_name(member.display_name, member.user)}  {member.role.name.lower()}")
            if not page.more or not page.members:
                return
            after = page.members[-1].user

    async def _history(self, rest: str) -> None:
        _, state = self._here()
        count = int(rest) if rest.isdecimal() else BACKLOG
        room = self._rooms[state.stream]
        if room.start:
            room.put_in_front(await self._session.history(state.stream, before=room.start + 1, limit=max(1, min(count, 256))))
        for seq in sorted(room.messages)[:count]:
            self._show(room.messages[seq], state.stream)
        if not room.start:
            self._note("This is the beginning.")

    async def _status(self, rest: str) -> None:
        status, link = self._session.status, self._session.link
        waiting = len(self._session.unanswered)
        self._note(f"{status.state}; round trip {link.round_trip_s * 1000:.0f} ms; {waiting} of your changes not yet confirmed.")


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
        terminal.write(f"* {error}")
        return 1
    finally:
        if isinstance(store, SqliteStore):
            store.close()
    return 0


async def _log_in(account: Account, options: argparse.Namespace, password: str, device: int) -> Credentials:
    if options.register:
        return await account.register(options.name, password, device_name="terminal")
    return await account.login(options.name, password, device, device_name="terminal")


async def _log_out(credentials: Credentials) -> None:
    try:
        await credentials.logout()
    except (AccountError, Unreachable):
        return


if __name__ == "__main__":
    sys.exit(run_chat(sys.argv[1:]))
