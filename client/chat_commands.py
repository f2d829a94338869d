"""What is typed into a chat: a command or a message a line, carried out through the session and told on the view.

    line ─▶ word, rest ─▶ method ─▶ session ─▶ view

Invariant: whatever is wrong with a line is said in one line, and the chat goes on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from client.chat_view import View
from client.errors import MutationRefused, RequestFailed, SessionEnded
from client.fold import Room, fact_of
from client.mentions import find_mentions
from client.pending import Pending
from client.session import Session
from protocol.frames import Member, MemberPage, Spaces, SpaceState, StreamState
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
BACKLOG = 20
"""Messages shown when a channel is opened."""
CONVERSATIONS_NAMED = 20
"""Conversations whose people are asked for at once: a request each, so not for hundreds."""
INBOX_LOOKED_BACK = 256
"""The inbox's newest events, looked through for mentions at the start: one page. Invitations stand in the overview, however old."""

HELP = """\
/spaces                     where you are a member, and what is new there
/open NAME                  open a channel or conversation (general, Physics/general, or a number from /spaces)
/create community NAME      found a community            /create channel NAME   open a channel in this community
/join NUMBER                join a community             /invite PERSON         invite somebody to this community
/dm PERSON [PERSON …]       write to somebody in private
/reply N TEXT   /edit N TEXT   /delete N   /react N EMOJI      N is the number before a message
/who   /history [COUNT]   /status   /quit                      anything else is said to the open channel; @name mentions"""


class Mistake(Exception):
    """A command that cannot be done as it was typed; the text says what to type."""


class Commands:
    """One person's commands. Reports of refusals run in `nursery`."""

    def __init__(self, session: Session, view: View, nursery: trio.Nursery) -> None:
        self._session = session
        self._view = view
        self._nursery = nursery
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

    async def carry_out(self, line: str) -> None:
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
                self._view.note("No answer yet: you are offline. What you asked to change is kept and will be sent.")
        except (Mistake, ValueError) as mistake:
            self._view.note(str(mistake))
        except (MutationRefused, RequestFailed) as refused:
            self._view.note(f"The server said no: {refused}")
        except SessionEnded:
            # The listener hears it too, and ends the chat with the reason.
            return

    def _here(self) -> tuple[SpaceState, StreamState]:
        if self._view.open is None:
            raise Mistake("No channel is open. /spaces lists yours, /open NAME opens one, /create community NAME founds one.")
        return self._view.open

    def _community(self) -> SpaceState:
        space, _ = self._here()
        if space.kind is not SpaceKind.COMMUNITY:
            raise Mistake("This is a private conversation; open a channel of a community first.")
        return space

    def _submit(self, operation: AnyOperation) -> None:
        """Sends without waiting; a refusal is told when it comes."""
        self._nursery.start_soon(self._report, self._session.submit(operation))
        if self._session.status.state != "online":
            self._view.note("You are offline: this will be sent when the network is back.")

    async def _report(self, pending: Pending) -> None:
        try:
            await pending.wait()
        except MutationRefused as refused:
            self._view.note(f"The server said no: {refused}")
        except SessionEnded:
            return

    def _say(self, text: str, reply_to: int = 0) -> None:
        _, state = self._here()
        mentions = find_mentions(text, self._view.names, self._view.logins)[:MENTIONS_MAX]
        self._submit(Post(state.stream, text, reply_to, mentions) if reply_to or mentions else Say(state.stream, text))

    def _numbered(self, rest: str, usage: str) -> tuple[int, int, str]:
        number, _, text = rest.partition(" ")
        if not number.isdecimal() or not int(number):
            raise Mistake(f"{usage}; the number stands before the message.")
        return self._here()[1].stream, int(number), text.strip()

    async def _help(self, rest: str) -> None:
        self._view.screen.write(HELP)

    async def _list_spaces(self, rest: str) -> None:
        await self._learn_spaces()
        if not self._view.spaces:
            self._view.note("You are in no community yet. /create community NAME founds one, /join NUMBER joins one.")
        for space in self._view.spaces:
            if space.kind is SpaceKind.PERSONAL:
                continue
            role = f" ({space.role.name.lower()}, number {space.space})" if space.kind is SpaceKind.COMMUNITY else ""
            if space.kind is SpaceKind.COMMUNITY:
                self._view.screen.write(f"{space.name}{role}")
            for state in space.streams:
                if state.kind in (StreamKind.CHANNEL, StreamKind.CONVERSATION):
                    name = state.name if space.kind is SpaceKind.COMMUNITY else self._view.title(space, state)
                    unread = state.head - self._view.read_upto(state)
                    self._view.screen.write(f"  {state.stream}  {name}" + (f"  · {unread} new" if unread > 0 else ""))

    async def _learn_spaces(self) -> None:
        overview = await self._session.overview()
        self._view.spaces = overview.spaces
        for space in self._view.unnamed[:CONVERSATIONS_NAMED]:
            await self._learn_people(space)
        if self._view.desk is None:
            await self._learn_desk(overview)

    async def _learn_desk(self, overview: Spaces) -> None:
        """The inbox as the overview has it, and from there on its events."""
        inbox, upto = self._session.inbox, overview.inbox_upto
        newest = (await self._session.history(inbox, before=upto + 1, limit=INBOX_LOOKED_BACK)).events if upto else ()
        self._session.unfollow(inbox, forget=True)
        self._view.set_desk(overview, [fact_of(inbox, event) for event in newest])
        self._session.follow(inbox, upto)

    async def _learn_people(self, space: SpaceState) -> MemberPage:
        page = await self._session.members(space.space, limit=200)
        self._view.meet(page.members, space.space if space.kind is SpaceKind.CONVERSATION else 0)
        return page

    async def _open_named(self, rest: str) -> None:
        if not rest:
            raise Mistake("/open NAME, for example /open general; /spaces lists what there is.")
        await self._learn_spaces()
        wanted = rest.lstrip("#").casefold()
        found = [
            (space, state)
            for space in self._view.spaces
            for state in space.streams
            if state.kind in (StreamKind.CHANNEL, StreamKind.CONVERSATION)
            and wanted in (str(state.stream), state.name.casefold(), self._view.title(space, state).casefold(), space.name.casefold())
            and wanted
        ]
        exact = [one for one in found if wanted in (str(one[1].stream), self._view.title(*one).casefold())]
        if not found:
            raise Mistake(f"There is no channel {rest!r} here. /spaces lists yours.")
        if len(found) > 1 and len(exact) != 1:
            titles = ", ".join(f"{self._view.title(*one)} ({one[1].stream})" for one in found)
            raise Mistake(f"Which one: {titles}?")
        await self._enter(*(exact or found)[0])

    async def _enter(self, space: SpaceState, state: StreamState) -> None:
        members = await self._learn_people(space)
        stream = state.stream
        if stream not in self._view.rooms:
            page = await self._session.history(stream, limit=BACKLOG)
            first = page.events[0].seq - 1 if page.events else 0
            room = self._view.rooms[stream] = Room.beginning_after(stream, first)
            for event in page.events:
                room.apply(fact_of(stream, event))
            self._session.unfollow(stream, forget=True)
            self._session.follow(stream, room.upto)
        self._view.open = (space, state)
        self._view.note(
            f"{self._view.title(space, state)}: {len(members.members)}{'+' if members.more else ''} people. Type to talk, /help for more."
        )
        room = self._view.rooms[stream]
        for seq in sorted(room.messages)[-BACKLOG:]:
            self._view.show(room.messages[seq], stream)
        if room.upto > state.read_upto:
            self._session.submit(MarkRead(stream, room.upto))

    async def _create(self, rest: str) -> None:
        kind, _, name = rest.partition(" ")
        name = name.strip()
        if kind == "community" and name:
            space = await self._session.do(CreateCommunity(name))
            self._view.note(f"{name} is founded. Others join with /join {space}.")
            await self._learn_spaces()
            for state in self._view.spaces:
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
        for state in self._view.spaces:
            if state.space == space:
                self._view.note(f"Welcome to {state.name}. /spaces lists its channels.")

    async def _invite(self, rest: str) -> None:
        if not rest:
            raise Mistake("/invite PERSON, by the name they log in with.")
        person = await self._session.search(rest)
        await self._session.do(Invite(self._community().space, person.user, Role.LEARNER))
        self._view.note(f"{person.display_name} is invited.")

    async def _write_to(self, rest: str) -> None:
        if not rest:
            raise Mistake("/dm PERSON, by the name they log in with.")
        people = [await self._session.search(name) for name in rest.split()]
        stream = await self._session.do(OpenConversation(tuple(person.user for person in people)))
        self._view.meet(Member(person.user, Role.LEARNER, person.display_name, person.name) for person in people)
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
        mine = self._session.user in self._view.rooms[stream].reactions_to(number).get(emoji, set())
        self._submit(React(stream, number, emoji, not mine))

    async def _who(self, rest: str) -> None:
        space, _ = self._here()
        after = 0
        while True:
            page = await self._session.members(space.space, after=after)
            for member in page.members:
                self._view.screen.write(f"  {self._view.screen.paint_name(member.display_name, member.user)}  {member.role.name.lower()}")
            if not page.more or not page.members:
                return
            after = page.members[-1].user

    async def _history(self, rest: str) -> None:
        _, state = self._here()
        count = int(rest) if rest.isdecimal() else BACKLOG
        room = self._view.rooms[state.stream]
        if room.start:
            room.put_in_front(await self._session.history(state.stream, before=room.start + 1, limit=max(1, min(count, 256))))
        for seq in sorted(room.messages)[:count]:
            self._view.show(room.messages[seq], state.stream)
        if not room.start:
            self._view.note("This is the beginning.")

    async def _status(self, rest: str) -> None:
        status, link = self._session.status, self._session.link
        waiting = len(self._session.unanswered)
        self._view.note(f"{status.state}; round trip {link.round_trip_s * 1000:.0f} ms; {waiting} of your changes not yet confirmed.")
