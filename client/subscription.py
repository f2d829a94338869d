"""Events on their way to the application: one queue per subscription, bounded, and what happens at the bound.

    socket ─▶ session ─▶ ▐ ▌▐ ▌▐ ▌ ─▶ async for item in events

The reader of the socket never waits for the application, or an application that awaits an acknowledgement while working
through an event would wait for ever. So at the bound a durable event is *not taken*: its stream is put to rest, the server told
to stop sending it, and when half of the queue is free the session asks for everything after the cursor. Typing and presence are forgotten.

Invariant: what a subscription yields of one stream is gapless and ascending; the stored cursor moves when every subscription that got
an event has come back for the next one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import TracebackType

import trio
from msgspec import Struct

from client.errors import SessionEnded
from protocol.codec import UnknownEvent
from protocol.frames import Event, IsAware, IsTyping, Presence

EVENTS_MAX = 1024
"""Events that wait for the application: four pages, so that a catch-up goes on while the last page is worked through; at some 300 B
each well below a megabyte."""
HINTS_MAX = 64
"""Typing, presence and whereabouts that wait. The next one says more than the last."""


class CaughtUp(Struct, frozen=True):
    """Everything in `stream` up to `upto` has been yielded; what follows happens now."""

    stream: int
    upto: int


class Unreadable(Struct, frozen=True):
    """`stream` is no longer followed, because of `code`: for example the account may not read it (any more)."""

    stream: int
    code: int
    detail: str = ""


class Restarted(Struct, frozen=True):
    """The database was restored: forget what was folded from `stream`; its events come again from the first."""

    stream: int


Fact = Event | UnknownEvent
Item = Event | UnknownEvent | IsTyping | Presence | IsAware | CaughtUp | Unreadable | Restarted


class Delivery:
    """A durable event and how many subscriptions have not worked it through yet."""

    __slots__ = ("epoch", "fact", "left")

    def __init__(self, fact: Fact, epoch: int, left: int) -> None:
        self.fact = fact
        self.epoch = epoch
        self.left = left


class Events:
    """An async iterator over what comes in some streams, or in all. Close it (or leave its block) to stop taking events."""

    def __init__(
        self,
        streams: frozenset[int] | None,
        worked: Callable[[Delivery], None],
        roomy: Callable[[Events], None],
        closed: Callable[[Events], None],
        events_max: int = EVENTS_MAX,
    ) -> None:
        self.streams = streams
        self._worked = worked
        self._roomy = roomy
        self._on_close = closed
        self._events_max = events_max
        self._queue: deque[Delivery | Item] = deque()
        self._facts = 0
        self._hints = 0
        self._current: Delivery | None = None
        self._filled = trio.Event()
        self._end: SessionEnded | None = None
        self._closed = False

    def covers(self, stream: int) -> bool:
        """Whether this subscription is for that stream."""
        return self.streams is None or stream in self.streams

    @property
    def has_room(self) -> bool:
        """Whether one more durable event can wait."""
        return self._facts < self._events_max

    @property
    def is_roomy(self) -> bool:
        """Whether a resting stream is worth waking up."""
        return self._facts <= self._events_max // 2

    def put(self, delivery: Delivery) -> None:
        """Queues a durable event; whoever calls has looked at `has_room`."""
        self._facts += 1
        self._queue.append(delivery)
        self._filled.set()

    def hint(self, hint: IsTyping | Presence | IsAware) -> None:
        """Queues an ephemeral frame, or forgets it."""
        if self._hints < HINTS_MAX:
            self._hints += 1
            self._queue.append(hint)
            self._filled.set()

    def mark(self, mark: CaughtUp | Unreadable | Restarted) -> None:
        """Queues a note about a stream. There are a few per stream and connection, so they need no bound of their own."""
        self._queue.append(mark)
        self._filled.set()

    def finish(self, end: SessionEnded) -> None:
        """Nothing more will come."""
        self._end = end
        self._filled.set()

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> Item:
        self._finish_current()
        while not self._queue:
            if self._closed:
                raise StopAsyncIteration
            if self._end is not None:
                if self._end.code == 0:
                    raise StopAsyncIteration
                raise self._end
            self._filled = trio.Event()
            await self._filled.wait()
        await trio.lowlevel.checkpoint_if_cancelled()
        return self._pop()

    def next_nowait(self) -> Item | None:
        """The next item if one is there."""
        self._finish_current()
        return self._pop() if self._queue else None

    def _pop(self) -> Item:
        waiting = self._queue.popleft()
        if isinstance(waiting, Delivery):
            self._facts -= 1
            self._current = waiting
            if self.is_roomy:
                self._roomy(self)
            return waiting.fact
        if isinstance(waiting, IsTyping | Presence | IsAware):
            self._hints -= 1
        return waiting

    def _finish_current(self) -> None:
        delivery, self._current = self._current, None
        if delivery is not None:
            delivery.left -= 1
            if delivery.left == 0:
                self._worked(delivery)

    def close(self) -> None:
        """Stops: what still waits is dropped."""
        if not self._closed:
            self._closed = True
            self._queue.clear()
            self._facts = self._hints = 0
            self._filled.set()
            self._on_close(self)

    def __enter__(self) -> Events:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self._finish_current()
        self.close()
