"""What a device asks for, what it hears, and what is still open: everything of a session that is neither socket nor clock.

    submit ─▶ mutations ─┐                            ┌─▶ mutations   (Done, Refused)        ─▶ replica, store
    ask ────▶ questions ─┼─collect─▶ bytes ·· frames ─hear─▶ questions (answers)
    follow ─▶ streams ───┤                            ├─▶ streams     (events)  ─▶ replica, subscriptions
    records: snapshots ──┘                            └─▶ snapshots, conflicts, overview

Every change of state is synchronous and stands between two awaits, so a socket that is cut anywhere, or a caller that is
cancelled anywhere, leaves streams, ledger and store agreeing with one another.

Invariant: what is asked next is what is most urgent: mutations beside requests, then streams by the table's priorities, few at once where
the link is bad.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import trio

from client.errors import DeviceCopied, SessionEnded
from client.mutations import Mutations
from client.pending import Pending
from client.questions import Questions
from client.replica import Replica
from client.restored import ASKED, Doubt
from client.store import Bookmark, Saved, Store
from client.streams import Streams
from client.subscription import EVENTS_MAX
from client.tickets import Tickets
from client.upkeep import Upkeep
from protocol.codec import UnknownEvent, UnknownFrame, encode
from protocol.entities import Priority
from protocol.frames import (
    BATCH_FRAMES_MAX,
    AnyFrame,
    Aware,
    Done,
    DoneRun,
    Event,
    Failed,
    Followed,
    IsAware,
    IsTyping,
    Lagged,
    Limits,
    Presence,
    Refused,
    Typing,
    Unfollowed,
    Welcome,
)
from protocol.operations import AnyOperation
from protocol.values import Cursor, LinkQuality

MESSAGE_BYTES_GOAL = 8 * 1024
"""A message to the server is closed at this size: at 50 kbit/s it takes 1.3 s, and a ping does not wait longer than that behind it."""
HINTS_MAX = 8
"""Typing notices that wait for the socket; more are forgotten."""
STREAMS_OPEN_MAX = 32
"""Questions for streams that are open at once: each may bring a page, and pages of many streams at once bring no stream forward sooner."""
STREAMS_OPEN_POOR_MAX = 2
"""The same on a bad link: what is most urgent comes first, and while one page is read the next is on its way."""
BAD_LINKS = frozenset({LinkQuality.FAIR, LinkQuality.POOR, LinkQuality.TWO_G})
SUCCEEDED = "succeeded"


class Exchange:
    """One device's side of all conversations with the server. `records`: it keeps those of its account's streams."""

    def __init__(
        self,
        store: Store,
        device: int,
        wall: Callable[[], float],
        spread: Callable[[], float],
        events_max: int = EVENTS_MAX,
        records: bool = True,
    ) -> None:
        saved = _take_over(store, device)
        self.device = device
        self._store = store
        self._wall = wall
        self._spread = spread
        self._epoch = saved.epoch
        self.replica = Replica(store)
        self.tickets = Tickets(store)
        self.questions = Questions(self.wake, self._after, spread)
        self.mutations = Mutations(store, saved, self.replica, wall, spread, self.wake, self._after)
        self.streams = Streams(store, self.replica, saved.cursors, self.questions.new_id, self.wake, self._after, spread, events_max)
        self.upkeep = Upkeep(store, self.replica, self.mutations, self.streams, self.questions, self.wake, self._change, records)
        self.sync_streams = self.upkeep.sync_streams
        self.conflicts = self.upkeep.conflicts
        self.keeping = self.upkeep.keeping
        self._in_step = False
        self._typing: list[int] = []
        self._aware: dict[int, bytes] = {}
        self._limits: Limits | None = None
        self._welcome: Welcome | None = None
        self._open_max = STREAMS_OPEN_MAX
        self._last_number = 0
        self._doubt: Doubt | None = None
        self._wake_writer = trio.Event()
        self._changed = trio.Event()
        self.succeeded_at = int.from_bytes(store.noted(SUCCEEDED), "big")
        self.later: Callable[[float, Callable[[], None]], None] | None = None

    # What the application asks for

    @property
    def epoch(self) -> int:
        """In which this device speaks: the store's, or, while it asks what a restored database knows, that one's."""
        return self._epoch if self._doubt is None else self._doubt.welcome.epoch

    @property
    def in_flight(self) -> int:
        """Mutations sent on this socket and not answered."""
        return self.mutations.in_flight + (self._doubt is not None and self._doubt.is_waiting)

    @property
    def answers(self) -> int:
        """Mutations that were answered, on all sockets."""
        return self.mutations.answers

    def submit(self, operation: AnyOperation, cause: Event | None, bookmark: Bookmark | None) -> Pending:
        """Keeps a mutation and queues it. Raises `ValueError` for one that no server would take, `QueueFull`, `SessionEnded`."""
        pending = self.mutations.submit(operation, cause, bookmark)
        self._change()
        return pending

    def bookmark(self, name: str) -> int:
        return self._store.bookmark(name)

    def follow_inbox(self, inbox: int) -> None:
        """Wants what concerns the account itself, before anything else."""
        self.streams.positions.priorities[inbox] = Priority.INBOX
        self.streams.follow(inbox)

    def type(self, stream: int) -> None:
        """Says that one is typing, if a socket is open."""
        heard = self._limits is not None and not self.streams.positions.polled
        if heard and stream not in self._typing and len(self._typing) < HINTS_MAX:
            self._typing.append(stream)
            self.wake()

    def be_aware(self, document: int, data: bytes) -> None:
        """Says where one is in a document, if a socket is open: the last word is what goes."""
        if self._limits is not None and not self.streams.positions.polled:
            self._aware[document] = data
            self.wake()

    @property
    def changed(self) -> trio.Event:
        """Set when anything of the status may have changed, and then another one."""
        return self._changed

    @property
    def is_complete(self) -> bool:
        """Everything is up and everything that is wanted is here, as far as this socket knows."""
        return (
            self._limits is not None
            and not self.mutations.upload.pending
            and self.upkeep.is_complete
            and not self.streams.positions.missing()
        )

    @property
    def is_in_step(self) -> bool:
        """The same, where nothing is open: when there was last nothing to say everything was up and down, and nothing was added since."""
        return self._in_step and not self.mutations.upload.pending and not self.upkeep.has_something

    # The socket's side

    def wake(self) -> None:
        """There may be something to send."""
        self._wake_writer.set()

    def _after(self, delay_s: float, act: Callable[[], None]) -> None:
        """Does it later, if the socket is still there; the next one begins anew anyway."""
        if self.later is not None:
            self.later(delay_s, act)

    async def wait_something(self) -> None:
        """Waits until there may be something to send."""
        await self._wake_writer.wait()

    def hello_cursors(self) -> tuple[Cursor, ...]:
        """The cursors for `Hello`; from now on what they bring is taken."""
        self.upkeep.carry_out_plan()
        return self.streams.hello()

    def welcome(self, welcome: Welcome, reset: bool, link: LinkQuality = LinkQuality.UNKNOWN) -> None:
        """The session is open: everything unanswered is asked for again, what did not fit into `Hello` is followed.

        Raises `DeviceCopied` when the server knows of numbers that this store never gave.
        """
        self._welcome = welcome
        last_number = welcome.last_number
        if 0 < self.mutations.given < last_number:
            raise DeviceCopied(f"the server has decided {last_number} mutations, and this store has numbered {self.mutations.given}")
        # A socket that ended while it was still in doubt has left the store in the epoch before.
        reset = reset or self._epoch not in (0, welcome.epoch)
        newest = self.mutations.newest_settled(last_number, ASKED) if reset else []
        if newest:
            self._in_step = False
            self._doubt = Doubt(newest, welcome, link, self.wake, self._after, self._spread)
            self.wake()
            return
        self._begin(welcome, reset, link)

    def _begin(self, welcome: Welcome, reset: bool, link: LinkQuality) -> None:
        last_number = welcome.last_number
        if reset:
            self.mutations.restore(last_number)
            self.upkeep.restore()
        if self._epoch != welcome.epoch:
            self._store.begin(welcome.epoch)
            self._epoch = welcome.epoch
            self.replica.reload()
        self.streams.welcome(welcome.epoch, reset)
        self._limits = welcome.limits
        self._last_number = last_number
        self._open_max = STREAMS_OPEN_POOR_MAX if link in BAD_LINKS else STREAMS_OPEN_MAX
        self.mutations.welcome(last_number, welcome.limits.in_flight_max)
        if self.mutations.heirs.waiting:
            self.mutations.heirs.begin()
            self._ask_heirs()
        # Also where nobody reads it and it rests since its last news: what it would say now has to be asked for.
        self.follow_inbox(welcome.inbox)
        self.streams.positions.priorities[welcome.inbox] = Priority.INBOX
        self.questions.welcome()
        self.upkeep.welcome()
        self.wake()
        self._change()

    def take_ticket(self) -> None:
        """Asks for a ticket to come back with, if a socket is open."""
        if self._welcome is not None:
            self.tickets.ask(self.questions, self.device, self._welcome)

    def cut(self) -> None:
        """The socket is gone."""
        self.succeed()
        if not self.streams.positions.polled:
            self._in_step = False
        self.later = None
        self._doubt = None
        self._limits = self._welcome = None
        self.mutations.cut()
        self.streams.cut()
        self.questions.cut()
        self.upkeep.cut()
        self._typing.clear()
        self._aware.clear()
        self._change()

    def finish(self, end: SessionEnded) -> None:
        """The session is over: everybody who waits is told. The store keeps what has no outcome."""
        self.mutations.finish(end)
        self.questions.finish(end)
        self.streams.finish(end)
        self._change()

    def become(self, device: int) -> None:
        """The store was copied and goes on as another device."""
        self.device = device
        self.mutations.inherit(device)
        self._change()

    @property
    def has_something(self) -> bool:
        """Whether there is reason to open a door: something to send, to ask, or to fetch."""
        return bool(self.mutations.upload.pending or self.questions.waiting or self.upkeep.has_something)

    @property
    def is_waiting(self) -> bool:
        """Whether something that was sent has no answer yet."""
        return bool(self.in_flight or self.streams.asking or self.questions.asking)

    def collect(self, frames_max: int = BATCH_FRAMES_MAX) -> list[bytes]:
        """The frames of the next message, requests first; empty if there is nothing to say. What it returns counts as sent."""
        self._wake_writer = trio.Event()
        if self._doubt is not None:
            return self._doubt.take()
        limits = self._limits
        if limits is None:
            return []
        frames: list[bytes] = []
        room = min(MESSAGE_BYTES_GOAL, limits.message_bytes_max)
        for frame in self._commands():
            frames.append(frame)
            room -= len(frame)
            if room < 0 or len(frames) >= frames_max // 2:
                break
        frames += self.mutations.take(room, frames_max - len(frames))
        if frames:
            self._in_step = False
        elif not self._in_step and self.is_complete:
            self._in_step = True
            self.succeed()
            self._change()
        return frames

    def _commands(self) -> Iterator[bytes]:
        self.upkeep.ask_what_is_due()
        yield from self.questions.commands()
        yield from self.streams.unfollows()
        snapshots = self.upkeep.snapshots
        for stream in self.upkeep.unasked():
            if self.streams.asking + snapshots.asking >= self._open_max:
                break
            if stream in snapshots:
                snapshots.ask(stream, self.questions)
                yield from self.questions.commands()
            else:
                yield self.streams.ask(stream)
        while self._typing:
            yield encode(Typing(self._typing.pop(0)))
        aware, self._aware = self._aware, {}
        for document, data in aware.items():
            yield encode(Aware(document, data))

    def hear(self, frame: AnyFrame | UnknownFrame | UnknownEvent) -> None:
        """Takes one frame that is not about the session itself. Raises `ServerFault`, and `DeviceCopied` when the store was copied."""
        doubt = self._doubt
        if doubt is not None:
            if doubt.hear(frame):
                self._doubt = None
                self._begin(doubt.welcome, True, doubt.link)
            return
        match frame:
            case Event() | UnknownEvent():
                self.streams.hear_event(frame)
            case Done(number, value):
                self.mutations.commit(number, (value,))
            case DoneRun(first, values):
                self.mutations.commit(first, values)
            case Refused():
                self.mutations.refuse(frame)
            case Followed(id, stream, upto, live):
                self.upkeep.heads[stream] = upto
                self.streams.hear_followed(stream, id, upto, live)
            case Lagged(stream):
                self.streams.hear_lagged(stream)
            case Unfollowed(stream, code):
                self.streams.hear_unfollowed(stream, code)
            case IsTyping() | Presence() | IsAware():
                self.streams.hear_hint(frame)
            case Failed() if self.streams.hear_failed(frame):
                pass
            case UnknownFrame():
                pass
            case _:
                self.questions.hear(frame)
        if not isinstance(frame, IsTyping | Presence | IsAware):
            if self.conflicts.stale or (not self._in_step and self.is_complete):
                # Something happened to a conflict while the answer about it was on its way; or this was the last that was missing.
                self.wake()
            self._change()

    def _ask_heirs(self) -> None:
        heirs = self.mutations.heirs

        def hear(answer: AnyFrame) -> None:
            heirs.hear(answer)
            if heirs.complete:
                self.mutations.inherited(heirs.settlements, self._last_number)
            else:
                self.questions.wonder(heirs.question, hear)

        self.questions.wonder(heirs.question, hear)

    # Status

    def tell_changed(self) -> None:
        """Whoever looks at the status looks again."""
        self._change()

    def _change(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()

    def succeed(self) -> None:
        """Notes the time if all is up and all is down."""
        if self.is_complete:
            self.succeeded_at = int(self._wall())
            self._store.note(SUCCEEDED, self.succeeded_at.to_bytes(8, "big"))


def _take_over(store: Store, device: int) -> Saved:
    """Makes the store this device's. What it numbered under another one is inherited: it will be learned what became of it."""
    before = store.load().device
    if before not in (0, device):
        store.inherit(device)
    else:
        store.bind(device)
    return store.load()
