"""What a stream's events amount to: pure folds, one per kind of stream, that agree with what the server would answer afresh.

    channel, conversation ─▶ Room     messages with edits, reactions, deletions
    community             ─▶ Hall     members, roles, channels, name
    inbox                 ─▶ Desk     spaces, read markers, mentions, invitations

The law: a snapshot plus the events after it equals a later snapshot. Where the server rewrites its log (the present text of an edited
message, a tombstone for a deleted one), folding the rewritten events gives the same as folding them as they came.

Invariant: `apply` takes the next event and no other, so a fold is never ahead of, or has holes against, the stream.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, field
from msgspec.structs import replace

from protocol.codec import UnknownBody, UnknownEvent, decode_body
from protocol.events import (
    Attachment,
    ChannelChanged,
    ChannelOpened,
    Cleared,
    CommunityFounded,
    Deleted,
    Edited,
    Invited,
    Joined,
    Left,
    Mentioned,
    PersonBlocked,
    Posted,
    Reacted,
    ReadUpTo,
    Renamed,
    RoleSet,
    Said,
    SettingsChanged,
    SlowModeSet,
    SpaceEntered,
    SpaceLeft,
)
from protocol.frames import Event, Page, PageEvent, Spaces
from protocol.values import Role, SpaceKind, StreamKind

Fact = Event | UnknownEvent


class OutOfOrder(Exception):
    """An event that is not the next one."""


def _advance(upto: int, fact: Fact) -> int:
    if fact.seq != upto + 1:
        raise OutOfOrder(f"event {fact.seq} of stream {fact.stream} after {upto}")
    return fact.seq


def fact_of(stream: int, event: PageEvent) -> Fact:
    """An event of a page as it would have come on the socket."""
    body = decode_body(event.body)
    if isinstance(body, UnknownBody):
        return UnknownEvent(stream, event.seq, event.author, event.at)
    return Event(stream, event.seq, event.author, event.at, body)


class Message(Struct, frozen=True):
    """A message as it stands now. A deleted one keeps its place and loses its text."""

    seq: int
    author: int
    at: int
    text: str
    reply_to: int = 0
    mentions: tuple[int, ...] = ()
    edited: bool = False
    attachments: tuple[Attachment, ...] = ()


class Room(Struct):
    """A channel or conversation from `start` on. Changes to messages from before it are kept for when an older page is put in front."""

    stream: int
    start: int = 0
    upto: int = 0
    messages: dict[int, Message] = field(default_factory=dict)
    deleted: set[int] = field(default_factory=set)
    reactions: dict[int, dict[str, set[int]]] = field(default_factory=dict)
    early_edits: dict[int, str] = field(default_factory=dict)

    @classmethod
    def beginning_after(cls, stream: int, after: int) -> Room:
        """An empty room that takes the events after `after`."""
        return cls(stream, after, after)

    def apply(self, fact: Fact) -> None:
        """Folds the next event in. Raises `OutOfOrder` for any other."""
        self.upto = _advance(self.upto, fact)
        if isinstance(fact, Event):
            self._fold(fact.seq, fact.author, fact.at, fact.body)

    def put_in_front(self, page: Page) -> None:
        """Adds an older page, as the server's log stands now: it ends where this room starts."""
        if not page.events:
            return
        if page.events[-1].seq != self.start:
            raise OutOfOrder(f"a page up to {page.events[-1].seq} before a room that starts after {self.start}")
        older = Room.beginning_after(self.stream, page.events[0].seq - 1)
        for event in page.events:
            older._fold(event.seq, event.author, event.at, decode_body(event.body))
        for seq, text in self.early_edits.items():
            older._edit(seq, text)
        for seq in self.deleted:
            older._delete(seq)
        for seq, reactions in self.reactions.items():
            for emoji, users in reactions.items():
                older.reactions.setdefault(seq, {}).setdefault(emoji, set()).update(users)
        self.start = older.start
        self.messages = older.messages | self.messages
        self.deleted, self.reactions, self.early_edits = older.deleted, older.reactions, older.early_edits

    def keep_newest(self, count: int) -> None:
        """Forgets all but the newest messages; they can be put in front again."""
        if len(self.messages) > count:
            kept = sorted(self.messages)[-count:] if count else []
            self.start = kept[0] - 1 if kept else self.upto
            self.messages = {seq: self.messages[seq] for seq in kept}
            self.deleted = {seq for seq in self.deleted if seq > self.start}
            self.reactions = {seq: reactions for seq, reactions in self.reactions.items() if seq > self.start}
            self.early_edits = {}

    def reactions_to(self, seq: int) -> dict[str, set[int]]:
        """Who reacted how to a message."""
        return self.reactions.get(seq, {})

    def _fold(self, seq: int, author: int, at: int, body: object) -> None:
        match body:
            case Said(text):
                self.messages[seq] = Message(seq, author, at, text)
            case Posted(text, reply_to, mentions, edited, attachments):
                self.messages[seq] = Message(seq, author, at, text, reply_to, mentions, edited, attachments)
            case Edited(target, text):
                self._edit(target, text)
            case Deleted(target):
                self._delete(target)
            case Cleared(author=of, upto=upto):
                self._clear(of, upto)
            case Reacted(target, emoji, on):
                self._react(target, emoji, author, on)
            case _:
                pass

    def _edit(self, target: int, text: str) -> None:
        message = self.messages.get(target)
        if message is not None:
            self.messages[target] = replace(message, text=text, edited=True)
        elif target <= self.start:
            self.early_edits[target] = text

    def _delete(self, target: int) -> None:
        self.messages.pop(target, None)
        self.early_edits.pop(target, None)
        self.reactions.pop(target, None)
        self.deleted.add(target)

    def _clear(self, author: int, upto: int) -> None:
        """What `author` (0: everybody) wrote up to `upto` is gone, and with it whatever was about messages that stand here no more."""
        for seq in [seq for seq, message in self.messages.items() if seq <= upto and author in (0, message.author)]:
            del self.messages[seq]
        for seq in [seq for seq in self.reactions if self.start < seq <= upto and seq not in self.messages]:
            del self.reactions[seq]
        if author == 0:
            self.early_edits = {seq: text for seq, text in self.early_edits.items() if seq > upto}

    def _react(self, target: int, emoji: str, user: int, on: bool) -> None:
        if target in self.deleted:
            return
        reactions = self.reactions.setdefault(target, {})
        users = reactions.setdefault(emoji, set())
        if on:
            users.add(user)
        else:
            users.discard(user)
        if not users:
            del reactions[emoji]
        if not reactions:
            del self.reactions[target]


class Person(Struct, frozen=True):
    """A member of a community."""

    role: Role
    display_name: str


class Channel(Struct, frozen=True):
    """A channel as its community announces it."""

    name: str
    read_roles: int
    write_roles: int
    slow_s: int = 0
    """Seconds between two messages of one learner."""


class Hall(Struct):
    """A community, from its own stream."""

    stream: int
    upto: int = 0
    name: str = ""
    settings: str = "{}"
    open_to_all: bool = True
    members: dict[int, Person] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)

    def apply(self, fact: Fact) -> None:
        """Folds the next event in. Raises `OutOfOrder` for any other."""
        self.upto = _advance(self.upto, fact)
        match fact.body if isinstance(fact, Event) else None:
            case CommunityFounded(name):
                self.name = name
            case Joined(user, role, display_name):
                self.members[user] = Person(role, display_name)
            case Left(user, _):
                self.members.pop(user, None)
            case RoleSet(user, role) if user in self.members:
                self.members[user] = replace(self.members[user], role=role)
            case Renamed(user, display_name) if user in self.members:
                self.members[user] = replace(self.members[user], display_name=display_name)
            case ChannelOpened(stream, name, read_roles, write_roles) | ChannelChanged(stream, name, read_roles, write_roles):
                slow_s = self.channels[stream].slow_s if stream in self.channels else 0
                self.channels[stream] = Channel(name, read_roles, write_roles, slow_s)
            case SlowModeSet(stream, seconds) if stream in self.channels:
                self.channels[stream] = replace(self.channels[stream], slow_s=seconds)
            case SettingsChanged(name, open_to_all, settings):
                self.name, self.open_to_all, self.settings = name, open_to_all, settings
            case _:
                pass


class Place(Struct, frozen=True):
    """A space that one is a member of, with the streams that one was told of."""

    kind: SpaceKind
    name: str
    role: Role
    streams: dict[int, tuple[StreamKind, str]]


class Invitation(Struct, frozen=True):
    """A standing invitation."""

    name: str
    role: Role
    by: int
    by_name: str = ""


class Desk(Struct):
    """What one person's inbox amounts to."""

    upto: int = 0
    places: dict[int, Place] = field(default_factory=dict)
    read: dict[int, int] = field(default_factory=dict)
    mentions: list[tuple[int, int]] = field(default_factory=list)
    invitations: dict[int, Invitation] = field(default_factory=dict)
    blocked: set[int] = field(default_factory=set)
    """Whom one blocks: what they say is not shown."""

    @classmethod
    def from_overview(cls, spaces: Spaces, newest: Iterable[Fact] = ()) -> Desk:
        """The desk as of the overview's snapshot; it takes the inbox's later events. Mentions are those among `newest`, events of the
        inbox up to then: the overview has none."""
        desk = cls(spaces.inbox_upto)
        mentions = [(fact.body.stream, fact.body.seq) for fact in newest if isinstance(fact, Event) and isinstance(fact.body, Mentioned)]
        desk.mentions = mentions[-MENTIONS_KEPT:]
        desk.blocked = set(spaces.blocked)
        for invited in spaces.invitations:
            desk.invitations[invited.space] = Invitation(invited.name, invited.role, invited.by, invited.by_name)
        for space in spaces.spaces:
            streams = {state.stream: (state.kind, state.name) for state in space.streams}
            desk.places[space.space] = Place(space.kind, space.name, space.role, streams)
            for state in space.streams:
                if state.read_upto:
                    desk.read[state.stream] = state.read_upto
        return desk

    def apply(self, fact: Fact) -> None:
        """Folds the next event of the inbox in. Raises `OutOfOrder` for any other."""
        self.upto = _advance(self.upto, fact)
        match fact.body if isinstance(fact, Event) else None:
            case SpaceEntered(space, kind, name, role, streams):
                self.places[space] = Place(kind, name, role, {info.stream: (info.kind, info.name) for info in streams})
                self.invitations.pop(space, None)
            case SpaceLeft(space):
                place = self.places.pop(space, None)
                for stream in place.streams if place is not None else ():
                    self.read.pop(stream, None)
            case ReadUpTo(stream, seq):
                self.read[stream] = max(seq, self.read.get(stream, 0))
            case Mentioned(stream, seq, _):
                self.mentions = [*self.mentions[1 - MENTIONS_KEPT :], (stream, seq)]
            case Invited(space, name, role, by):
                self.invitations[space] = Invitation(name, role, by)
            case PersonBlocked(user, True):
                self.blocked.add(user)
                self.invitations = {space: invited for space, invited in self.invitations.items() if invited.by != user}
            case PersonBlocked(user, False):
                self.blocked.discard(user)
            case _:
                pass


MENTIONS_KEPT = 100
"""The newest mentions; older ones are in the inbox's history."""
