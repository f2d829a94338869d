"""The streams that come: where each stands, who is shown what, and what the replica takes in.

    follow ─▶ positions ─Follow─▶ ·· Event ─▶ judge ─▶ replica (records)  ─▶ store, with the cursor
                                                  └──▶ subscriptions      ─▶ application ─worked─▶ store

An event of a stream of records is written down together with its cursor whether or not anybody reads it; one of another stream is
taken only if a subscription has room for it, and its cursor is written down when the application has worked it through.

Invariant: an event moves the cursor in the same step in which the replica and every subscription that covers it take it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from client.errors import ServerFault, SessionEnded
from client.positions import Heard, Phase, Positions, Verdict
from client.replica import Replica
from client.store import Store
from client.subscription import CaughtUp, Delivery, Events, Fact, Restarted, Unreadable
from protocol.client_session import backoff_ms
from protocol.codec import encode
from protocol.codes import TABLE, Retry
from protocol.events import Changed
from protocol.frames import Event, Failed, Follow, IsAware, IsTyping, Presence, Unfollow
from protocol.values import Cursor

WORKED_MAX = 64
"""Events worked through before their cursors are written down, so that a durable store is not synced for each."""
NO_RECORDS = Changed(())


class Streams:
    """See the module. `news` is told each event as it is taken, and, of a stream without a reader, once that there is something;
    `refused` each stream that may not be followed, with the code; true means that it goes on from a snapshot."""

    def __init__(
        self,
        store: Store,
        replica: Replica,
        cursors: dict[int, int],
        new_id: Callable[[], int],
        wake: Callable[[], None],
        after: Callable[[float, Callable[[], None]], None],
        spread: Callable[[], float],
        events_max: int,
    ) -> None:
        self._store = store
        self._replica = replica
        self._new_id = new_id
        self._wake = wake
        self._after = after
        self._spread = spread
        self._events_max = events_max
        self.positions = Positions(cursors)
        self._subscriptions: list[Events] = []
        self._paused: set[int] = set()
        self._worked: dict[int, int] = {}
        self._unfollows: deque[int] = deque()
        self._follows: dict[int, int] = {}
        self._retrying: set[int] = set()
        self._epoch = 0
        self._open = False
        self._end: SessionEnded | None = None
        self.records: Callable[[int], bool] = lambda stream: False
        self.news: Callable[[Fact, bool], None] = lambda fact, taken: None
        self.refused: Callable[[int, int], bool] = lambda stream, code: False

    # What the application asks for

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

    def follow(self, stream: int, after: int | None = None) -> None:
        """Wants a stream from its cursor on (`after` counts for one that has none)."""
        self._paused.discard(stream)
        if self.positions.want(stream, after):
            self._wake()

    def unfollow(self, stream: int, forget: bool = False) -> None:
        """Stops wanting it."""
        self._paused.discard(stream)
        self._retrying.discard(stream)
        self._rest(stream)
        if forget:
            self._worked.pop(stream, None)
            self.positions.forget(stream)
            self._replica.forget(stream)

    def start_at(self, stream: int, head: int) -> None:
        """A snapshot of a stream is complete: what was before its head is in it, and what comes after it follows."""
        self._worked.pop(stream, None)
        self.positions.forget(stream)
        self.follow(stream, head)

    def flush(self) -> None:
        """Writes down how far the application has come."""
        if self._worked:
            self._store.advance(self._worked)
            self._worked = {}

    # The socket's side

    def welcome(self, epoch: int, reset: bool) -> None:
        """A socket is open. In another epoch what was worked through means nothing any more."""
        if self._epoch != epoch:
            self._worked.clear()
            self._epoch = epoch
        if reset:
            for stream in self.positions.reset():
                for events in self._covering(stream):
                    events.mark(Restarted(stream))
        self._open = True

    def cut(self) -> None:
        """The socket is gone."""
        self._open = False
        self._follows.clear()
        self._unfollows.clear()
        for stream in self._retrying:
            self.positions.want(stream)
        self._retrying.clear()
        self.flush()

    def finish(self, end: SessionEnded) -> None:
        """The session is over."""
        self._end = end
        for events in self._subscriptions:
            events.finish(end)
        self.flush()

    def hello(self) -> tuple[Cursor, ...]:
        """The cursors for `Hello`; from now on what they bring is taken."""
        return self.positions.hello()

    def unfollows(self) -> Iterator[bytes]:
        """The streams that are no longer wanted, as commands; what it yields counts as sent."""
        while self._unfollows:
            yield encode(Unfollow(self._new_id(), self._unfollows.popleft()))

    def ask(self, stream: int) -> bytes:
        """The command that asks for a stream from its cursor on; it counts as sent."""
        id = self._new_id()
        self._follows[id] = stream
        return encode(Follow(id, stream, self.positions.asked(stream, id)))

    @property
    def asking(self) -> int:
        """Questions for streams that are open."""
        return len(self._follows)

    def hear_event(self, fact: Fact) -> None:
        match self.positions.judge(fact.stream, fact.seq):
            case Verdict.APPLY:
                self._take(fact)
            case Verdict.ASK:
                self._wake()
            case Verdict.DROP:
                pass

    def _take(self, fact: Fact) -> None:
        covering = self._covering(fact.stream)
        changed = fact.body if isinstance(fact, Event) and isinstance(fact.body, Changed) else None
        kept = changed is not None or self.records(fact.stream)
        if not (covering or kept) or not all(events.has_room for events in covering):
            self._paused.add(fact.stream)
            self._rest(fact.stream)
            self.news(fact, False)
            return
        if kept:
            self._replica.hear(fact.stream, fact.seq, changed or NO_RECORDS)
        self.positions.apply(fact.stream, fact.seq)
        if covering:
            delivery = Delivery(fact, self._epoch, len(covering))
            for events in covering:
                events.put(delivery)
        self.news(fact, True)

    def hear_followed(self, stream: int, id: int, upto: int, live: bool) -> None:
        self._follows.pop(id, None)
        self._wake()
        match self.positions.followed(stream, id, upto, live):
            case Heard.LIVE:
                self._mark(CaughtUp(stream, upto))
            case Heard.STALLED:
                raise ServerFault(f"stream {stream} is said to have more after {self.positions.cursor(stream)}, and nothing comes")
            case Heard.ASK | Heard.NOTHING:
                pass

    def hear_lagged(self, stream: int) -> None:
        if self.positions.lagged(stream):
            self._wake()

    def hear_unfollowed(self, stream: int, code: int) -> None:
        if self.positions.rest(stream):
            self._mark(Unreadable(stream, code))
            self.refused(stream, code)

    def hear_hint(self, hint: IsTyping | Presence | IsAware) -> None:
        stream_or_none = hint.stream if isinstance(hint, IsTyping) else hint.document if isinstance(hint, IsAware) else None
        for events in self._subscriptions:
            if stream_or_none is None or events.covers(stream_or_none):
                events.hint(hint)

    def hear_failed(self, failed: Failed) -> bool:
        """Takes the refusal of a `Follow`. False if it was another question's."""
        if failed.id != 0 and failed.id not in self._follows:
            return False
        stream = self._follows.pop(failed.id, failed.stream)
        self._wake()
        if not self.positions.failed(stream, failed.id):
            return True
        if TABLE[failed.code].retry in (Retry.LATER, Retry.SAME) and self._open:
            self._retrying.add(stream)
            self._after(max(failed.wait_ms, backoff_ms(1, self._spread())) / 1000, lambda: self._follow_again(stream))
        else:
            goes_on = self.refused(stream, failed.code)
            self._mark(Restarted(stream) if goes_on else Unreadable(stream, failed.code, failed.detail))
        return True

    def _follow_again(self, stream: int) -> None:
        if stream in self._retrying:
            self._retrying.discard(stream)
            self.follow(stream)

    def _rest(self, stream: int) -> None:
        if self.positions.rest(stream) and self._open and not self.positions.polled:
            self._unfollows.append(stream)
            self._wake()

    # Subscriptions

    def _covering(self, stream: int) -> list[Events]:
        return [events for events in self._subscriptions if events.covers(stream)]

    def _mark(self, mark: CaughtUp | Unreadable | Restarted) -> None:
        for events in self._covering(mark.stream):
            events.mark(mark)

    def _rouse(self, roomy: Events) -> None:
        """A subscription has room: the streams that rest for want of it are followed again."""
        for stream in [stream for stream in self._paused if roomy.covers(stream)]:
            if all(events.is_roomy for events in self._covering(stream)):
                self.follow(stream)

    def _close(self, events: Events) -> None:
        self._subscriptions.remove(events)
        for stream in list(self._paused):
            covering = self._covering(stream)
            if (covering or self.records(stream)) and all(other.is_roomy for other in covering):
                self.follow(stream)

    def _work(self, delivery: Delivery) -> None:
        """The application is done with an event; cursors are written down by the dozen."""
        if delivery.epoch == self._epoch:
            self._worked[delivery.fact.stream] = delivery.fact.seq
            if len(self._worked) >= WORKED_MAX or delivery.fact.seq % WORKED_MAX == 0:
                self.flush()

    def is_live(self, stream: int) -> bool:
        """Whether its events come as they happen."""
        return self.positions.phase(stream) is Phase.LIVE
