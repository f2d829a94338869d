"""What is typed into a chat: a command or a message a line, carried out through the session and told on the view.

    line ─▶ word, rest ─▶ method ─▶ session ─▶ view

Invariant: whatever is wrong with a line is said in one line, and the chat goes on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from client.chat_lookup import Lookup
from client.chat_view import TALKED_IN, View
from client.errors import MutationRefused, RequestFailed, SessionEnded
from client.fold import Room, fact_of
from client.pending import Pending
from client.session import Session
from client.words import because, people, quoted, refusal, stands
from protocol.codes import Code
from protocol.frames import Member, Person, SpaceState, StreamState
from protocol.operations import (
    MENTIONS_MAX,
    AnyOperation,
    Appeal,
    Block,
    CreateChannel,
    CreateCommunity,
    Delete,
    Edit,
    Endorse,
    Invite,
    Join,
    OpenConversation,
    Post,
    React,
    ReportMessage,
    Say,
    Unblock,
    WithdrawEndorsement,
)
from protocol.values import ReportReason, Role, SpaceKind, StreamKind

REPLY_S = 15.0
"""A command that needs the server's answer waits this long, then says that it is still offline."""
BACKLOG = 20
"""Messages shown when a channel is opened."""
TITLES_LISTED = 10
"""Channels named in one line; /spaces lists them all."""

ALONE = "You are in no community yet. /create community NAME founds one, /join NUMBER joins one."
HELP = """\
/spaces                     where you are a member, and what is new there
/open NAME                  open a channel or conversation (general, Physics/general, or a number from /spaces)
/create community NAME      found a community            /create channel NAME   open a channel in this community
/join NUMBER                join a community             /invite PERSON         invite somebody to this community
/dm PERSON [PERSON …]       write to somebody in private
/vouch PERSON               stand for somebody in this community        /unvouch PERSON     take that back
/block PERSON               neither of you hears from the other any more          /unblock PERSON     take that back
/report N [WORDS]           have message N looked at; its author does not learn by whom
/held                       what is held of yours, and why                     /appeal H WORDS      have another look at it
/reply N TEXT   /edit N TEXT   /delete N   /react N EMOJI      N is the number before a message
/find WORDS                 messages with these words, wherever you are a member
/who   /history [COUNT]   /status   /quit                      anything else is said to the open channel; @name mentions"""


class Mistake(Exception):
    """A command that cannot be done as it was typed; the text says what to type."""


class Commands:
    """One person's commands. Reports of refusals run in `nursery`."""

    def __init__(self, session: Session, view: View, lookup: Lookup, nursery: trio.Nursery) -> None:
        self._session = session
        self._view = view
        self._lookup = lookup
        self._nursery = nursery
        self._commands: dict[str, Callable[[str], Awaitable[None]]] = {
            "help": self._help,
            "spaces": self._list_spaces,
            "open": self._open_named,
            "create": self._create,
            "join": self._join,
            "invite": self._invite,
            "vouch": self._vouch,
            "unvouch": self._unvouch,
            "dm": self._write_to,
            "block": self._block,
            "unblock": self._unblock,
            "report": self._report_message,
            "held": self._held,
            "appeal": self._appeal,
            "reply": self._reply,
            "edit": self._edit,
            "delete": self._delete,
            "react": self._react,
            "who": self._who,
            "history": self._history,
            "find": self._find_words,
            "status": self._status,
        }

    async def carry_out(self, line: str) -> None:
        """One line. Whatever is wrong with it is said, and the chat goes on."""
        if not line:
            if self._session.status.state == "waiting":
                self._session.hurry()
            return
        word, _, rest = line[1:].partition(" ")
        try:
            if not line.startswith("/"):
                self._say(line)
                return
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
            self._view.note(refusal(f"/{word}", refused))
        except SessionEnded:
            # The listener hears it too, and ends the chat with the reason.
            return

    def _here(self) -> tuple[SpaceState, StreamState]:
        if self._view.open is not None:
            return self._view.open
        if titles := [self._view.title(*channel) for channel in self._view.channels]:
            raise Mistake(f"No channel is open. /open NAME opens one of yours: {', '.join(titles[:TITLES_LISTED])}.")
        desk = self._view.desk
        if desk is not None and desk.invitations:
            takes = "; ".join(f"/join {space} takes you to {invited.name}" for space, invited in desk.invitations.items())
            raise Mistake(f"You are in no community yet: {takes}.")
        raise Mistake(ALONE)

    def _community(self) -> SpaceState:
        space, _ = self._here()
        if space.kind is not SpaceKind.COMMUNITY:
            raise Mistake("This is a private conversation; open a channel of a community first.")
        return space

    def _submit(self, operation: AnyOperation, what: str) -> None:
        """Sends without waiting; a refusal of `what` is told when it comes."""
        self._nursery.start_soon(self._report, self._session.submit(operation), what)
        if self._session.status.state != "online":
            self._view.note("It is kept, and sent when you are online again.")

    async def _report(self, pending: Pending, what: str) -> None:
        try:
            # No message has the number 0: here it is judged before anybody reads it.
            if not await pending.wait():
                self._view.note(f"{what} is looked at before others see it; /held has it.")
        except MutationRefused as refused:
            self._view.note(refusal(what, refused))
        except SessionEnded:
            return

    def _say(self, text: str, reply_to: int = 0) -> None:
        _, state = self._here()
        mentions = self._view.names.mentioned(text)[:MENTIONS_MAX]
        self._submit(Post(state.stream, text, reply_to, mentions) if reply_to or mentions else Say(state.stream, text), quoted(text))

    def _numbered(self, rest: str, usage: str) -> tuple[int, int, str]:
        """The open channel, the number, and what is said about it; `usage` has as many words as are needed."""
        number, _, text = rest.partition(" ")
        if not number.isdecimal() or not int(number) or (not text.strip() and len(usage.split()) > 2):
            raise Mistake(f"{usage}; the number stands before the message.")
        return self._here()[1].stream, int(number), text.strip()

    async def _help(self, rest: str) -> None:
        self._view.screen.write(HELP)

    async def _list_spaces(self, rest: str) -> None:
        await self._lookup.spaces()
        if not self._view.channels:
            self._view.note(ALONE)
        for space in self._view.spaces:
            if space.kind is SpaceKind.PERSONAL:
                continue
            role = f" ({space.role.name.lower()}, number {space.space})" if space.kind is SpaceKind.COMMUNITY else ""
            if space.kind is SpaceKind.COMMUNITY:
                self._view.screen.write(f"{space.name}{role}")
            for state in space.streams:
                if state.kind in TALKED_IN:
                    name = state.name if space.kind is SpaceKind.COMMUNITY else self._view.title(space, state)
                    news = self._view.news(state)
                    self._view.screen.write(f"  {state.stream}  {name}" + (f"  · {news}" if news else ""))

    async def _open_named(self, rest: str) -> None:
        if not rest:
            raise Mistake("/open NAME, for example /open general; /spaces lists what there is.")
        await self._lookup.spaces()
        wanted = rest.lstrip("#").casefold()
        found = [
            (space, state)
            for space, state in self._view.channels
            if wanted in (str(state.stream), state.name.casefold(), self._view.title(space, state).casefold(), space.name.casefold())
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
        members = await self._lookup.people(space)
        self._follow_hall(space)
        stream = state.stream
        if stream not in self._view.rooms:
            page = await self._session.history(stream, limit=BACKLOG)
            first = page.events[0].seq - 1 if page.events else 0
            room = self._view.rooms[stream] = Room.beginning_after(stream, first)
            for event in page.events:
                room.apply(fact_of(stream, event))
            await self._lookup.authors(stream, room.messages.values())
            self._session.unfollow(stream, forget=True)
            self._session.follow(stream, room.upto)
        self._view.mark_read()
        self._view.open = (space, state)
        who = f": {people(len(members.members), members.more)}" if space.kind is SpaceKind.COMMUNITY else " and you, in private"
        self._view.note(f"{self._view.title(space, state)}{who}. Type to talk, /help for more.")
        room = self._view.rooms[stream]
        for seq in sorted(room.messages)[-BACKLOG:]:
            self._view.show(room.messages[seq], stream)
        self._view.mark_read()

    def _follow_hall(self, space: SpaceState) -> None:
        """Follows a community's own stream, to hear who comes and how they are called."""
        for state in space.streams:
            if state.kind is StreamKind.COMMUNITY and state.stream not in self._view.halls:
                # From the head of the overview, which is older than the page of members: nobody who came in between is missed.
                self._view.halls[state.stream] = space
                self._session.unfollow(state.stream, forget=True)
                self._session.follow(state.stream, state.head)

    async def _enter_first(self, space: int) -> None:
        """Opens a community's first channel, if there is one that one may read."""
        channel = next((channel for channel in self._view.channels if channel[0].space == space), None)
        if channel is not None:
            await self._enter(*channel)

    async def _create(self, rest: str) -> None:
        kind, _, name = rest.partition(" ")
        name = name.strip()
        if kind == "community" and name:
            with self._view.entering():
                space = await self._session.do(CreateCommunity(name))
                self._view.entered(space)
            self._view.note(f"{name} is founded. Others join with /join {space}.")
            await self._lookup.spaces()
            await self._enter_first(space)
        elif kind == "channel" and name:
            stream_id = await self._session.do(CreateChannel(self._community().space, name))
            await self._open_named(str(stream_id))
        else:
            raise Mistake("/create community NAME, or /create channel NAME.")

    async def _join(self, rest: str) -> None:
        if not rest.isdecimal():
            raise Mistake("/join NUMBER; whoever invited you knows the community's number.")
        with self._view.entering():
            space = await self._session.do(Join(int(rest)))
            self._view.entered(space)
        await self._lookup.spaces()
        for joined in self._view.spaces:
            if joined.space == space:
                self._view.note(f"Welcome to {joined.name}.")
        await self._enter_first(space)

    async def _invite(self, rest: str) -> None:
        if not rest:
            raise Mistake("/invite PERSON, by the name they log in with.")
        community = self._community()
        person = await self._find(rest)
        await self._session.do(Invite(community.space, person.user, Role.LEARNER))
        self._view.note(f"{person.display_name} is invited.")

    async def _vouch(self, rest: str) -> None:
        if not rest:
            raise Mistake("/vouch PERSON, by the name they log in with: somebody whom you know and would stand for.")
        community = self._community()
        person = await self._find(rest)
        await self._session.do(Endorse(community.space, person.user))
        self._view.note(f"You vouch for {person.display_name} in {community.name}. Words fade in a year or so; say it again then.")

    async def _unvouch(self, rest: str) -> None:
        if not rest:
            raise Mistake("/unvouch PERSON, by the name they log in with.")
        community = self._community()
        person = await self._find(rest)
        await self._session.do(WithdrawEndorsement(community.space, person.user))
        self._view.note(f"You do not vouch for {person.display_name} in {community.name}. Nobody is told.")

    async def _find(self, name: str) -> Person:
        try:
            return await self._session.search(name.removeprefix("@"))
        except RequestFailed as refused:
            if refused.code == Code.NOT_FOUND:
                raise Mistake(f"Nobody logs in as {name} here.") from None
            raise

    async def _write_to(self, rest: str) -> None:
        if not rest:
            raise Mistake("/dm PERSON, by the name they log in with.")
        found = [await self._find(name) for name in rest.split()]
        self._view.meet(Member(person.user, Role.LEARNER, person.display_name, person.name) for person in found)
        with self._view.entering():
            stream = await self._session.do(OpenConversation(tuple(person.user for person in found)))
            await self._open_named(str(stream))
            self._view.entered(self._here()[0].space)

    async def _block(self, rest: str) -> None:
        if not rest:
            raise Mistake("/block PERSON, by the name they log in with.")
        person = await self._find(rest)
        await self._session.do(Block(person.user))
        self._view.hide(person.user, True)
        self._view.note(f"You block {person.display_name}: neither of you hears from the other. They are not told.")

    async def _unblock(self, rest: str) -> None:
        if not rest:
            raise Mistake("/unblock PERSON, by the name they log in with.")
        person = await self._find(rest)
        await self._session.do(Unblock(person.user))
        self._view.hide(person.user, False)
        self._view.note(f"You do not block {person.display_name} any more.")

    async def _report_message(self, rest: str) -> None:
        stream, number, words = self._numbered(rest, "/report N")
        await self._session.do(ReportMessage(stream, number, ReportReason.OTHER, words))
        self._view.note(f"Message {number} is reported. Somebody will look at it, and you will hear what became of it.")

    async def _held(self, rest: str) -> None:
        page = await self._session.held(open_only=False)
        if not page.items:
            self._view.note("Nothing of yours is held.")
        for item in page.items:
            why = f" ({because(item.reasons[0].harm)})" if item.reasons else ""
            said = quoted(item.text) if item.text else "What you wrote"
            self._view.note(f"{item.held}: {said} {stands(item.held, item.state, bool(item.appealed))}{why}.")

    async def _appeal(self, rest: str) -> None:
        number, _, words = rest.partition(" ")
        if not number.isdecimal() or not int(number):
            raise Mistake("/appeal H WORDS; /held shows the number.")
        await self._session.do(Appeal(int(number), words.strip()))
        self._view.note("A person who has not decided about it before will look at it, and you will hear what became of it.")

    async def _reply(self, rest: str) -> None:
        _, number, text = self._numbered(rest, "/reply N TEXT")
        self._say(text, number)

    async def _edit(self, rest: str) -> None:
        stream, number, text = self._numbered(rest, "/edit N TEXT")
        self._submit(Edit(stream, number, text), f"/edit {number}")

    async def _delete(self, rest: str) -> None:
        stream, number, _ = self._numbered(rest, "/delete N")
        self._submit(Delete(stream, number), f"/delete {number}")

    async def _react(self, rest: str) -> None:
        stream, number, emoji = self._numbered(rest, "/react N EMOJI")
        mine = self._session.user in self._view.rooms[stream].reactions_to(number).get(emoji, set())
        self._submit(React(stream, number, emoji, not mine), f"/react {number}")

    async def _who(self, rest: str) -> None:
        space, _ = self._here()
        after = 0
        while True:
            page = await self._session.members(space.space, after=after)
            self._view.meet(page.members)
            for member in page.members:
                login = f" (logs in as {member.name})" if member.name not in ("", member.display_name) else ""
                painted = self._view.screen.paint_name(member.display_name, member.user)
                self._view.screen.write(f"  {painted}{login}  {member.role.name.lower()}")
            if not page.more or not page.members:
                return
            after = page.members[-1].user

    async def _history(self, rest: str) -> None:
        _, state = self._here()
        count = int(rest) if rest.isdecimal() else BACKLOG
        room = self._view.rooms[state.stream]
        if room.start:
            room.put_in_front(await self._session.history(state.stream, before=room.start + 1, limit=max(1, min(count, 256))))
            await self._lookup.authors(state.stream, room.messages.values())
        for seq in sorted(room.messages)[:count]:
            self._view.show(room.messages[seq], state.stream)
        if not room.start:
            self._view.note("This is the beginning.")

    async def _find_words(self, rest: str) -> None:
        if not rest:
            raise Mistake("/find WORDS; parts of words do, too.")
        page = await self._session.find(rest)
        for found in page.messages:
            where = self._view.screen.dim(f"({self._view.label(found.stream)}) [{found.seq}]")
            # What was found is in capitals: a terminal without colours shows it, too.
            text = "".join(piece.upper() if place % 2 else piece for place, piece in enumerate(found.excerpt))
            self._view.screen.write(f"{where} {self._view.screen.paint_name(found.name, found.author)}: {text}")
        if not page.messages:
            self._view.note("Nothing found. What was said a moment ago is found in a few seconds.")
        elif page.next:
            self._view.note("There are more; add a word.")

    async def _status(self, rest: str) -> None:
        status, link = self._session.status, self._session.link
        waiting = len(self._session.unanswered)
        standing = f"online; round trip {link.round_trip_s * 1000:.0f} ms" if status.state == "online" else "offline"
        confirmed = f"{waiting} of your changes not yet confirmed" if waiting else "everything you did is confirmed"
        self._view.note(f"You are {standing}; {confirmed}.")
