"""What a chat knows and shows: the folds of open channels and of the inbox, names, and one line of text for everything that happens.

    events ─hear─▶ Desk, Rooms ─▶ lines on the screen          overview, members ─▶ learn ─▶ titles and names

Invariant: nothing here waits for the server; what is not known yet is shown by its number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from client.fold import Desk, Fact, Message, Room
from client.names import Names
from client.session import Session
from client.subscription import Item, Restarted, Unreadable
from client.words import because
from protocol.codec import UnknownEvent
from protocol.events import ChannelOpened, Invited, Joined, Left, Mentioned, Noticed, Renamed, SpaceEntered, TakenBack
from protocol.frames import Event, IsTyping, Member, Spaces, SpaceState, StreamState
from protocol.operations import MarkRead
from protocol.values import NoticeKind, Role, SpaceKind, StreamKind

MESSAGES_KEPT = 2000
"""Messages of one channel kept in memory; older ones come with /history."""


TALKED_IN = (StreamKind.CHANNEL, StreamKind.CONVERSATION)
"""Streams that hold messages."""


class Screen(Protocol):
    """Where lines come from and go to; `client.terminal.Terminal` is one."""

    async def read(self) -> str | None: ...

    def write(self, text: str) -> None: ...

    def paint_name(self, name: str, user: int) -> str: ...

    def dim(self, text: str) -> str: ...


class View:
    """One person's view. `open` is the channel that is typed into; `desk` is None until an overview was learned; `halls` are the
    communities whose own stream is followed, by that stream."""

    def __init__(self, session: Session, screen: Screen) -> None:
        self._session = session
        self._companions: dict[int, str] = {}
        self.screen = screen
        self.desk: Desk | None = None
        self.rooms: dict[int, Room] = {}
        self.spaces: tuple[SpaceState, ...] = ()
        self.halls: dict[int, SpaceState] = {}
        self.names = Names()
        self.open: tuple[SpaceState, StreamState] | None = None
        self._marked: dict[int, int] = {}
        self._entered: set[int] = set()
        self._entering = 0
        self._put_off: list[Event] = []

    # What is learned

    def set_desk(self, overview: Spaces, newest: Iterable[Fact]) -> None:
        """Takes the inbox as it stands, and tells what came to it while one was away and is still open."""
        desk = self.desk = Desk.from_overview(overview, newest)
        self._entered = set(desk.places)
        for space, invitation in desk.invitations.items():
            self._invited(space, invitation.name, invitation.role, invitation.by)
        for stream, seq in desk.mentions:
            if seq > desk.read.get(stream, 0):
                self.note(f"You were mentioned in {self.label(stream)} (message {seq}).")

    def meet(self, people: Iterable[Member], conversation: int = 0) -> None:
        """Remembers people by name; `conversation` is the space of those who talk in private, which goes by their names."""
        people = list(people)
        for member in people:
            self.names.learn(member.user, member.display_name, member.name)
        if conversation:
            self._companions[conversation] = ", ".join(member.display_name for member in people if member.user != self._session.user)

    @property
    def unnamed(self) -> list[SpaceState]:
        """Conversations whose people are not known yet."""
        return [space for space in self.spaces if space.kind is SpaceKind.CONVERSATION and space.space not in self._companions]

    @property
    def channels(self) -> list[tuple[SpaceState, StreamState]]:
        """Everything that one can talk in."""
        return [(space, state) for space in self.spaces for state in space.streams if state.kind in TALKED_IN]

    def hides(self, user: int) -> bool:
        """Whether what somebody says is not shown, because one blocks them."""
        return self.desk is not None and user in self.desk.blocked

    def hide(self, user: int, on: bool) -> None:
        """One has just blocked somebody (`on`), or no longer: the inbox may tell of it a moment later."""
        if self.desk is not None:
            (self.desk.blocked.add if on else self.desk.blocked.discard)(user)

    def space_of(self, stream: int) -> SpaceState | None:
        """The space that a stream belongs to."""
        return next((space for space in self.spaces if any(state.stream == stream for state in space.streams)), None)

    def news(self, state: StreamState) -> str:
        """What came since one looked, in a word or two. A number only where the messages are at hand, because the stream's own numbers
        count reactions and edits too, and what one said oneself."""
        read = self._read_upto(state)
        room = self.rooms.get(state.stream)
        if room is None or room.start > read:
            return "new" if state.head > read else ""
        unread = sum(message.seq > read and message.author != self._session.user for message in room.messages.values())
        return f"{unread} new" if unread else ""

    def mark_read(self) -> None:
        """Tells the server how far the open channel has been read, one's own words included; once for each position."""
        if self.open is not None:
            state = self.open[1]
            upto = self.rooms[state.stream].upto
            if upto > self._read_upto(state):
                self._marked[state.stream] = upto
                self._session.submit(MarkRead(state.stream, upto))

    def _read_upto(self, state: StreamState) -> int:
        """How far a stream has been read, on whichever device."""
        told = self.desk.read.get(state.stream, 0) if self.desk is not None else 0
        return max(state.read_upto, told, self._marked.get(state.stream, 0))

    # What one enters

    @contextmanager
    def entering(self) -> Iterator[None]:
        """While one enters a space, the inbox may tell of it before the answer does. What is still news afterwards is told then."""
        self._entering += 1
        try:
            yield
        finally:
            self._entering -= 1
            put_off, self._put_off = self._put_off, []
            for event in put_off:
                self._hear_inbox(event)

    def entered(self, space: int) -> None:
        """One entered a space by a command of one's own, so it is no news."""
        self._entered.add(space)

    def is_news(self, space: int) -> bool:
        """Whether one has come to be in a space by somebody else's doing, or on another device, and does not know yet."""
        return not self._entering and space not in self._entered

    # What happens

    def hear(self, item: Item) -> None:
        """Takes what a subscription gave, and shows what there is to show."""
        match item:
            case Event() | UnknownEvent() if item.stream == self._session.inbox:
                if self.desk is not None and item.seq == self.desk.upto + 1:
                    self.desk.apply(item)
                    if isinstance(item, Event):
                        self._hear_inbox(item)
            case Event() | UnknownEvent():
                room = self.rooms.get(item.stream)
                if room is not None and item.seq == room.upto + 1:
                    room.apply(item)
                    room.keep_newest(MESSAGES_KEPT)
                    if isinstance(item, Event):
                        self._show_event(room, item)
                elif isinstance(item, Event) and item.stream in self.halls:
                    self._hear_hall(self.halls[item.stream], item)
            case Restarted(stream):
                if stream == self._session.inbox:
                    self.desk = None
                elif stream in self.rooms:
                    self.rooms[stream] = Room.beginning_after(stream, 0)
                    self._marked.pop(stream, None)
            case Unreadable(stream, _, _) if stream in self.rooms:
                del self.rooms[stream]
                self.note(f"You can no longer read {self.label(stream)}.")
                if self.open is not None and self.open[1].stream == stream:
                    self.open = None
            case Unreadable(stream, _, _):
                self.halls.pop(stream, None)
            case IsTyping(stream, user) if self.open is not None and stream == self.open[1].stream and not self.hides(user):
                self.note(f"{self.name(user)} is typing …")
            case _:
                pass

    def _hear_inbox(self, event: Event) -> None:
        match event.body:
            case SpaceEntered() if self._entering:
                self._put_off.append(event)
            case SpaceEntered(space, kind, name, _, streams) if self.is_news(space):
                self._entered.add(space)
                stream = next((info.stream for info in streams if info.kind in TALKED_IN), 0)
                who = self._companions.get(space, "Somebody")
                what = f"{who} wants to talk to you" if kind is SpaceKind.CONVERSATION else f"You are now a member of {name}"
                self.note(f"{what}: /open {stream}" if stream else f"{what}.")
            case Invited(space, name, role, by):
                self._invited(space, name, role, by)
            case Mentioned(stream, seq, author) if stream not in self.rooms:
                self.note(f"{self.name(author)} mentioned you in {self.label(stream)} (message {seq}).")
            case Noticed(NoticeKind.MODERATION, words=words, subject=held) if words:
                self.note(f"{words} (/held{f' has it as {held}' if held else ''})")
            case _:
                pass

    def _invited(self, space: int, name: str, role: Role, by: int) -> None:
        # Who invites need not be anybody one has met, and a number would say nothing.
        inviting = f"{self.name(by)} invites you" if self.names.knows(by) else "You are invited"
        self.note(f"{inviting} to {name} as {role.name.lower()}: /join {space}")

    def _hear_hall(self, space: SpaceState, event: Event) -> None:
        """Who comes, goes and is called something else, and what opens; one's own doings are known."""
        mine = self._session.user
        match event.body:
            case Joined(user, _, name):
                self.names.learn(user, name)
                if user != mine:
                    self.note(f"{name} joined {space.name}.")
            case Renamed(user, name):
                before = self.name(user)
                self.names.learn(user, name)
                if user != mine:
                    self.note(f"{before} is now called {name}.")
            case Left(user, by) if user != mine:
                self.note(f"{self.name(user)} {'left' if by == user else 'was removed from'} {space.name}.")
            case ChannelOpened(stream, name) if event.author != mine:
                self.note(f"{self.name(event.author)} opened a channel, {name}: /open {stream}")
            case _:
                pass

    def _show_event(self, room: Room, event: Event) -> None:
        message = room.messages.get(event.seq)
        if message is not None:
            self.show(message, room.stream)
            if event.author != self._session.user:
                self.mark_read()
            return
        if isinstance(event.body, TakenBack):
            self.note(f"[{event.body.target}] is gone because {because(event.body.why)}.")
            return
        target = getattr(event.body, "target", 0)
        changed = room.messages.get(target)
        if changed is None:
            if target in room.deleted:
                self.note(f"[{target}] was taken back.")
            return
        if not self.hides(changed.author):
            self.screen.write(self._line(room, changed))

    # How it is shown

    def show(self, message: Message, stream: int) -> None:
        """Shows a message, with where it stands unless that is the open channel."""
        if self.hides(message.author):
            self.note(f"[{message.seq}] is by somebody whom you block.")
            return
        elsewhere = self.open is None or self.open[1].stream != stream
        self.screen.write((self.screen.dim(f"({self.label(stream)}) ") if elsewhere else "") + self._line(self.rooms.get(stream), message))

    def _line(self, room: Room | None, message: Message) -> str:
        answered = f" ↩{message.reply_to}" if message.reply_to else ""
        edited = self.screen.dim(" (edited)") if message.edited else ""
        name = self.screen.paint_name(self.name(message.author), message.author)
        felt = room.reactions_to(message.seq) if room is not None else {}
        reactions = "".join(f" {emoji}{len(users)}" for emoji, users in sorted(felt.items()))
        return f"{self.screen.dim(f'[{message.seq}]')} {name}{answered}: {message.text}{edited}{' ' if reactions else ''}{reactions}"

    def note(self, text: str) -> None:
        """Says something that is no message."""
        self.screen.write(self.screen.dim(f"* {text}"))

    def name(self, user: int) -> str:
        """Somebody's display name."""
        return self.names.of(user)

    def label(self, stream: int) -> str:
        """What a stream is called."""
        for space in self.spaces:
            for state in space.streams:
                if state.stream == stream:
                    return self.title(space, state)
        return f"stream {stream}"

    def title(self, space: SpaceState, state: StreamState) -> str:
        """What a stream of a known space is called: conversations go by their people."""
        if space.kind is SpaceKind.COMMUNITY:
            return f"{space.name}/{state.name}"
        return self._companions.get(space.space, f"conversation {state.stream}")
