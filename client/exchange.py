"""What a device asks for, what it hears, and what is still open: everything of a session that is neither socket nor clock.

    submit ─▶ mutations ─┐                            ┌─▶ mutations   (Done, Refused)
    ask ────▶ asked ─────┼─collect─▶ bytes ·· frames ─hear─▶ asked    (answers)
    follow ─▶ positions ─┘                            └─▶ positions ─▶ subscriptions   (events)

Every change of state is synchronous and stands between two awaits, so a socket that is cut anywhere, or a caller that is
cancelled anywhere, leaves positions, ledger and store agreeing with one another.

Invariant: an event moves the cursor in the same step in which every subscription that covers it takes it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import trio

from client.errors import ServerFault, SessionEnded
from client.mutations import Mutations
from client.pending import Asked, Pending
from client.positions import Heard, Positions, Verdict
from client.store import Bookmark, Kept, Store
from client.subscription import EVENTS_MAX, CaughtUp, Delivery, Events, Fact, Restarted, Unreadable
from protocol.client_session import backoff_ms
from protocol.codec import UnknownEvent, UnknownFrame, encode
from protocol.codes import TABLE, Retry
from protocol.frames import (
    BATCH_FRAMES_MAX,
    AnyFrame,
    Done,
    DoneRun,
    Event,
    Failed,
    Follow,
    Followed,
    IsTyping,
    Lagged,
    Limits,
    Presence,
    Refused,
    Typing,
    Unfollow,
    Unfollowed,
    Watch,
    Welcome,
)
from protocol.operations import AnyOperation
from protocol.values import Cursor

MESSAGE_BYTES_GOAL = 8 * 1024
"""A message to the server is closed at this size: at 50 kbit/s it takes 1.3 s, and a ping does not wait longer than that behind it."""
WORKED_MAX = 64
"""Events worked through before their cursors are written down, so that a durable store is not synced for each."""
HINTS_MAX = 8
"""Typing notices that wait for the socket; more are forgotten."""
FOLLOWS_OPEN_MAX = 32
"""Questions for streams that are open at once: each may bring a page, and pages of many streams at once bring no stream forward sooner."""


class Exchange:
    """One device's side of all conversations with the server."""

    def __init__(self, store: Store, device: int, spread: Callable[[], float], events_max: int = EVENTS_MAX) -> None:
        orphans = store.bind(device)
        saved = store.load()
        self._store = store
        self._spread = spread
        self._events_max = events_max
        self._epoch = saved.epoch
        self._positions = Positions(saved.cursors)
        self._mutations = Mutations(store, saved.mutations, spread, self.wake, self._after)
        self._orphans = orphans
        self._subscriptions: list[Events] = []
        self._paused: set[int] = set()
        self._worked: dict[int, int] = {}
        self._asked: dict[int, Asked] = {}
        self._unsent: deque[int] = deque()
        self._unfollows: deque[int] = deque()
        self._typing: deque[int] = deque(maxlen=HINTS_MAX)
        self._watched: set[int] = set()
        self._follows: dict[int, int] = {}
        self._retrying: set[int] = set()
        self._last_id = 0
        self._limits: Limits | None = None
        self._end: SessionEnded | None = None
        self._wake_writer = trio.Event()
        self.later: Callable[[float, Callable[[], None]], None] | None = None

    # What the application asks for

    @property
    def epoch(self) -> int:
        return self._epoch

    @property
    def in_flight(self) -> int:
        """Mutations sent on this socket and not answered."""
        return self._mutations.in_flight

    @property
    def answers(self) -> int:
        """Mutations that were answered, on all sockets."""
        return self._mutations.answers

    @property
    def orphans(self) -> tuple[Kept, ...]:
        """Mutations that another device left behind in this store, with an unknown outcome."""
        return self._orphans

    @property
    def unanswered(self) -> list[Pending]:
        """Every mutation without an outcome, oldest first."""
        return self._mutations.unanswered

    def cursor(self, stream: int) -> int:
        return self._positions.cursor(stream)

    def bookmark(self, name: str) -> int:
        return self._store.bookmark(name)

    def submit(self, operation: AnyOperation, cause: Event | None, bookmark: Bookmark | None) -> Pending:
        """Keeps a mutation and queues it. Raises `ValueError` for one that no server would take, `QueueFull`, `SessionEnded`."""
        return self._mutations.submit(operation, cause, bookmark)

    async def wait_quiet(self) -> None:
        """Waits until no mutation is without an outcome. Raises `SessionEnded`."""
        await self._mutations.wait_quiet()

    def events(self, streams: frozenset[int] | None) -> Events:
        """Opens a subscription, and wakes up the streams that rested for want of one."""
        events = Events(streams, self._work, self._rouse, self._close, self._events_max)
        if self._end is not None:
            events.finish(self._end)
        self._subscriptions.append(events)
        for stream in streams or ():
            self.follow(stream, None)
        self._rouse(events)
        return events

    def follow(self, stream: int, after: int | None) -> None:
        """Wants a stream from its cursor on (`after` counts for one that has none)."""
        self._paused.discard(stream)
        if self._positions.want(stream, after):
            self.wake()

    def unfollow(self, stream: int, forget: bool) -> None:
        """Stops wanting it."""
        self._paused.discard(stream)
        self._retrying.discard(stream)
        self._rest(stream)
        if forget:
            self._worked.pop(stream, None)
            self._positions.forget(stream)
            self._store.forget(stream)

    def type(self, stream: int) -> None:
        """Says that one is typing, if a socket is open."""
        if self._limits is not None and stream not in self._typing:
            self._typing.append(stream)
            self.wake()

    def new_id(self) -> int:
        self._last_id = self._last_id % (2**32 - 1) + 1
        return self._last_id

    def open_request(self, asked: Asked) -> None:
        """Queues a request; its answer is put into `asked`."""
        if self._end is not None:
            raise self._end
        self._asked[asked.request.id] = asked
        self._unsent.append(asked.request.id)
        self.wake()

    def drop_request(self, asked: Asked) -> None:
        """Nobody waits for it any more."""
        self._asked.pop(asked.request.id, None)

    def watched(self, space: int, on: bool) -> None:
        """Remembers that presence of a space is on, so that the next socket asks for it again."""
        if on:
            self._watched.add(space)
        else:
            self._watched.discard(space)

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
        return self._positions.hello()

    def welcome(self, welcome: Welcome, reset: bool) -> None:
        """The session is open: everything unanswered is asked for again, what did not fit into `Hello` is followed."""
        if self._epoch != welcome.epoch:
            self._worked.clear()
            self._store.begin(welcome.epoch)
            self._epoch = welcome.epoch
        if reset:
            for stream in self._positions.reset():
                for events in self._covering(stream):
                    events.mark(Restarted(stream))
        self._limits = welcome.limits
        self._mutations.welcome(welcome.last_number, welcome.limits.in_flight_max, restored=reset)
        if welcome.inbox not in self._positions:
            self.follow(welcome.inbox, None)
        for space in self._watched:
            id = self.new_id()
            self._asked[id] = Asked(Watch(id, space, True), socket_bound=True)
            self._unsent.append(id)
        self.wake()

    def cut(self) -> None:
        """The socket is gone."""
        self.later = None
        self._limits = None
        self._mutations.cut()
        self._follows.clear()
        self._unfollows.clear()
        self._typing.clear()
        for id in [id for id, asked in self._asked.items() if asked.socket_bound]:
            self._asked.pop(id).answered.set()
        self._unsent = deque(self._asked)
        for stream in self._retrying:
            self._positions.want(stream)
        self._retrying.clear()
        self.flush()

    def finish(self, end: SessionEnded) -> None:
        """The session is over: everybody who waits is told. The store keeps what has no outcome."""
        self._end = end
        self._mutations.finish(end)
        for asked in self._asked.values():
            asked.error = end
            asked.answered.set()
        for events in self._subscriptions:
            events.finish(end)
        self.flush()

    def collect(self) -> list[bytes]:
        """The frames of the next message, requests first; empty if there is nothing to say. What it returns counts as sent."""
        self._wake_writer = trio.Event()
        limits = self._limits
        if limits is None:
            return []
        frames: list[bytes] = []
        room = min(MESSAGE_BYTES_GOAL, limits.message_bytes_max)
        for frame in self._commands():
            frames.append(frame)
            room -= len(frame)
            if room < 0 or len(frames) >= BATCH_FRAMES_MAX // 2:
                break
        return frames + self._mutations.take(room, BATCH_FRAMES_MAX - len(frames))

    def _commands(self) -> Iterator[bytes]:
        while self._unsent:
            asked = self._asked.get(self._unsent.popleft())
            if asked is not None:
                asked.sent_at = trio.current_time()
                yield encode(asked.request)
        while self._unfollows:
            yield encode(Unfollow(self.new_id(), self._unfollows.popleft()))
        for stream in self._positions.unasked():
            if len(self._follows) >= FOLLOWS_OPEN_MAX:
                break
            id = self.new_id()
            self._follows[id] = stream
            yield encode(Follow(id, stream, self._positions.asked(stream, id)))
        while self._typing:
            yield encode(Typing(self._typing.popleft()))

    def hear(self, frame: AnyFrame | UnknownFrame | UnknownEvent) -> None:
        """Takes one frame that is not about the session itself. Raises `ServerFault`, and `DeviceCopied` when the store was copied."""
        match frame:
            case Event() | UnknownEvent():
                self._hear_event(frame)
            case Done(number, value):
                self._mutations.commit(number, (value,))
            case DoneRun(first, values):
                self._mutations.commit(first, values)
            case Refused():
                self._mutations.refuse(frame)
            case Followed(id, stream, upto, live):
                self._follows.pop(id, None)
                self.wake()
                self._hear_followed(stream, id, upto, live)
            case Lagged(stream):
                if self._positions.lagged(stream):
                    self.wake()
            case Unfollowed(stream, code):
                if self._positions.rest(stream):
                    self._mark(Unreadable(stream, code))
            case IsTyping() | Presence():
                stream_or_none = frame.stream if isinstance(frame, IsTyping) else None
                for events in self._subscriptions:
                    if stream_or_none is None or events.covers(stream_or_none):
                        events.hint(frame)
            case Failed() if frame.id == 0 or frame.id in self._follows:
                self._hear_follow_failed(frame, self._follows.pop(frame.id, frame.stream))
            case UnknownFrame():
                pass
            case _:
                self._hear_answer(frame)

    # Requests

    def _hear_answer(self, frame: AnyFrame) -> None:
        id = getattr(frame, "id", 0)
        asked = self._asked.pop(id, None)
        if asked is not None:
            asked.answer = frame
            asked.answered.set()

    # Streams

    def _covering(self, stream: int) -> list[Events]:
        return [events for events in self._subscriptions if events.covers(stream)]

    def _mark(self, mark: CaughtUp | Unreadable) -> None:
        for events in self._covering(mark.stream):
            events.mark(mark)

    def _hear_event(self, fact: Fact) -> None:
        match self._positions.judge(fact.stream, fact.seq):
            case Verdict.APPLY:
                covering = self._covering(fact.stream)
                if covering and all(events.has_room for events in covering):
                    self._positions.apply(fact.stream, fact.seq)
                    delivery = Delivery(fact, self._epoch, len(covering))
                    for events in covering:
                        events.put(delivery)
                else:
                    self._paused.add(fact.stream)
                    self._rest(fact.stream)
            case Verdict.ASK:
                self.wake()
            case Verdict.DROP:
                pass

    def _hear_followed(self, stream: int, id: int, upto: int, live: bool) -> None:
        match self._positions.followed(stream, id, upto, live):
            case Heard.LIVE:
                self._mark(CaughtUp(stream, upto))
            case Heard.STALLED:
                raise ServerFault(f"stream {stream} is said to have more after {self._positions.cursor(stream)}, and nothing comes")
            case Heard.ASK | Heard.NOTHING:
                pass

    def _hear_follow_failed(self, failed: Failed, stream: int) -> None:
        self.wake()
        if not self._positions.failed(stream, failed.id):
            return
        if TABLE[failed.code].retry in (Retry.LATER, Retry.SAME) and self.later is not None:
            self._retrying.add(stream)
            self.later(max(failed.wait_ms, backoff_ms(1, self._spread())) / 1000, lambda: self._follow_again(stream))
        else:
            self._mark(Unreadable(stream, failed.code, failed.detail))

    def _follow_again(self, stream: int) -> None:
        if stream in self._retrying:
            self._retrying.discard(stream)
            self.follow(stream, None)

    def _rest(self, stream: int) -> None:
        if self._positions.rest(stream) and self._limits is not None:
            self._unfollows.append(stream)
            self.wake()

    def _rouse(self, roomy: Events) -> None:
        """A subscription has room: the streams that rest for want of it are followed again."""
        for stream in [stream for stream in self._paused if roomy.covers(stream)]:
            if all(events.is_roomy for events in self._covering(stream)):
                self.follow(stream, None)

    def _close(self, events: Events) -> None:
        self._subscriptions.remove(events)
        for stream in list(self._paused):
            covering = self._covering(stream)
            if covering and all(other.is_roomy for other in covering):
                self.follow(stream, None)

    def _work(self, delivery: Delivery) -> None:
        """The application is done with an event; cursors are written down by the dozen."""
        if delivery.epoch == self._epoch:
            self._worked[delivery.fact.stream] = delivery.fact.seq
            if len(self._worked) >= WORKED_MAX or delivery.fact.seq % WORKED_MAX == 0:
                self.flush()

    def flush(self) -> None:
        """Writes down how far the application has come."""
        if self._worked:
            self._store.advance(self._worked)
            self._worked = {}
