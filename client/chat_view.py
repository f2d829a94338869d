"""What a chat knows and shows: the folds of open channels and of the inbox, names, and one line of text for everything that happens.

    events ─hear─▶ Desk, Rooms ─▶ lines on the screen          overview, members ─▶ learn ─▶ titles and names

Invariant: nothing here waits for the server; what is not known yet is shown by its number.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from client.fold import Desk, Fact, Message, Room
from client.session import Session
from client.subscription import Item, Restarted, Unreadable
from protocol.codec import UnknownEvent
from protocol.events import Invited, Mentioned, SpaceEntered
from protocol.frames import Event, IsTyping, Member, Spaces, SpaceState, StreamState
from protocol.operations import MarkRead
from protocol.values import SpaceKind

MESSAGES_KEPT = 2000
"""Messages of one channel kept in memory; older ones come with /history."""


class Screen(Protocol):
    """Where lines come from and go to; `client.terminal.Terminal` is one."""

    async def read(self) -> str | None: ...

    def write(self, text: str) -> None: ...

    def paint_name(self, name: str, user: int) -> str: ...

    def dim(self, text: str) -> str: ...


class View:
    """One person's view. `open` is the channel that is typed into; `desk` is None until an overview was learned."""

    def __init__(self, session: Session, screen: Screen) -> None:
        self._session = session
        self._companions: dict[int, str] = {}
        self.screen = screen
        self.desk: Desk | None = None
        self.rooms: dict[int, Room] = {}
        self.spaces: tuple[SpaceState, ...] = ()
        self.names: dict[int, str] = {}
        self.logins: dict[int, str] = {}
        self.open: tuple[SpaceState, StreamState] | None = None

    # What is learned

    def set_desk(self, overview: Spaces, newest: Iterable[Fact]) -> None:
        """Takes the inbox as it stands, and tells what came to it while one was away and is still open."""
        desk = self.desk = Desk.from_overview(overview, newest)
        for space, invitation in desk.invitations.items():
            by = invitation.by_name or self.name(invitation.by)
            self.note(f"{by} invites you to {invitation.name} as {invitation.role.name.lower()}: /join {space}")
        for stream, seq in desk.mentions:
            if seq > desk.read.get(stream, 0):
                self.note(f"You were mentioned in {self.label(stream)} (message {seq}).")

    def meet(self, people: Iterable[Member], conversation: int = 0) -> None:
        """Remembers people by name; `conversation` is the space of those who talk in private, which goes by their names."""
        people = list(people)
        self.names.update({member.user: member.display_name for member in people})
        self.logins.update({member.user: member.name for member in people if member.name})
        if conversation:
            self._companions[conversation] = ", ".join(member.display_name for member in people if member.user != self._session.user)

    @property
    def unnamed(self) -> list[SpaceState]:
        """Conversations whose people are not known yet."""
        return [space for space in self.spaces if space.kind is SpaceKind.CONVERSATION and space.space not in self._companions]

    def read_upto(self, state: StreamState) -> int:
        """How far this stream has been read, on whichever device."""
        return max(state.read_upto, self.desk.read.get(state.stream, 0) if self.desk is not None else 0)

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
            case Restarted(stream):
                if stream == self._session.inbox:
                    self.desk = None
                elif stream in self.rooms:
                    self.rooms[stream] = Room.beginning_after(stream, 0)
            case Unreadable(stream, _, _) if stream in self.rooms:
                del self.rooms[stream]
                self.note(f"You can no longer read {self.label(stream)}.")
            case IsTyping(stream, user) if self.open is not None and stream == self.open[1].stream:
                self.note(f"{self.name(user)} is typing …")
            case _:
                pass

    def _hear_inbox(self, event: Event) -> None:
        match event.body:
            case SpaceEntered(space, kind, name, _, _) if all(space != known.space for known in self.spaces):
                self.note("Somebody wrote to you: /spaces" if kind is SpaceKind.CONVERSATION else f"You are now a member of {name}.")
            case Invited(space, name, role, by):
                self.note(f"{self.name(by)} invites you to {name} as {role.name.lower()}: /join {space}")
            case Mentioned(stream, seq, author) if stream not in self.rooms:
                self.note(f"{self.name(author)} mentioned you in {self.label(stream)} (message {seq}).")
            case _:
                pass

    def _show_event(self, room: Room, event: Event) -> None:
        message = room.messages.get(event.seq)
        if message is not None:
            self.show(message, room.stream)
            if self.open is not None and room.stream == self.open[1].stream and event.author != self._session.user:
                self._session.submit(MarkRead(room.stream, event.seq))
            return
        target = getattr(event.body, "target", 0)
        changed = room.messages.get(target)
        if changed is None:
            if target in room.deleted:
                self.note(f"[{target}] was taken back.")
            return
        reactions = " ".join(f"{emoji}{len(users)}" for emoji, users in sorted(room.reactions_to(target).items()))
        self.screen.write(self._line(changed) + (f"  {reactions}" if reactions else ""))

    # How it is shown

    def show(self, message: Message, stream: int) -> None:
        """Shows a message, with where it stands unless that is the open channel."""
        elsewhere = self.open is None or self.open[1].stream != stream
        self.screen.write((self.screen.dim(f"({self.label(stream)}) ") if elsewhere else "") + self._line(message))

    def _line(self, message: Message) -> str:
        answered = f" ↩{message.reply_to}" if message.reply_to else ""
        edited = self.screen.dim(" (edited)") if message.edited else ""
        name = self.screen.paint_name(self.name(message.author), message.author)
        return f"{self.screen.dim(f'[{message.seq}]')} {name}{answered}: {message.text}{edited}"

    def note(self, text: str) -> None:
        """Says something that is no message."""
        self.screen.write(self.screen.dim(f"* {text}"))

    def name(self, user: int) -> str:
        """Somebody's display name."""
        return self.names.get(user, f"user {user}")

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
