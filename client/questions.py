"""Questions under way: what the application waits for, and what the session itself wants to know.

    open ─▶ unsent ─commands─▶ sent ─hear─▶ answered
              ▲                  │ cut
              └── the caller's ──┘ those bound to the socket are let go

A question of the session's own (`wonder`) is bound to its socket: whoever asked it asks anew after the next `Welcome`, if it still matters.
What the server cannot answer now is asked again after the wait it names.

Invariant: an answer reaches whoever asked for it once; nobody waits for a socket that is gone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import trio

from client.errors import SessionEnded
from client.pending import Asked
from protocol.client_session import backoff_ms
from protocol.codec import encode
from protocol.codes import TABLE, Retry
from protocol.frames import AnyFrame, AnyRequest, Failed, MentorsFound, MentorsLater, Watch

Hear = Callable[[AnyFrame], None]


class Questions:
    """See the module. `after` runs something in so many seconds, unless the socket is gone by then."""

    def __init__(self, wake: Callable[[], None], after: Callable[[float, Callable[[], None]], None], spread: Callable[[], float]) -> None:
        self._wake = wake
        self._after = after
        self._spread = spread
        self._asked: dict[int, Asked] = {}
        self._wondered: dict[int, tuple[Callable[[int], AnyRequest], Hear]] = {}
        self._unsent: deque[int] = deque()
        self._promised: dict[int, Asked] = {}
        self._watched: set[int] = set()
        self._last_id = 0
        self._end: SessionEnded | None = None

    @property
    def asking(self) -> int:
        """Questions that were sent on this socket and have no answer."""
        return len(self._asked) - sum(id in self._asked for id in self._unsent)

    @property
    def waiting(self) -> bool:
        """Whether there are questions that have not been sent."""
        return any(id in self._asked for id in self._unsent)

    def new_id(self) -> int:
        self._last_id = self._last_id % (2**32 - 1) + 1
        return self._last_id

    def open(self, asked: Asked) -> None:
        """Queues a request; its answer is put into `asked`."""
        if self._end is not None:
            raise self._end
        self._asked[asked.request.id] = asked
        self._unsent.append(asked.request.id)
        self._wake()

    def drop(self, asked: Asked) -> None:
        """Nobody waits for it any more."""
        self._asked.pop(asked.request.id, None)
        if isinstance(asked.answer, MentorsLater):
            self._promised.pop(asked.answer.ticket, None)

    def promise(self, asked: Asked, ticket: int) -> None:
        """Waits for what was promised by this ticket, on this socket: what was answered so far is not the answer."""
        asked.answered = trio.Event()
        self._promised[ticket] = asked

    def wonder(self, make: Callable[[int], AnyRequest], hear: Hear) -> None:
        """Asks for the session itself, on this socket. `hear` gets the answer: a `Failed` only where asking again is of no use."""
        id = self.new_id()
        self._wondered[id] = (make, hear)
        self._asked[id] = Asked(make(id), socket_bound=True)
        self._unsent.append(id)
        self._wake()

    def watch(self, space: int, on: bool) -> None:
        """Remembers that presence of a space is on, so that the next socket asks for it again."""
        if on:
            self._watched.add(space)
        else:
            self._watched.discard(space)

    def welcome(self) -> None:
        """A socket is open."""
        for space in self._watched:
            id = self.new_id()
            self._asked[id] = Asked(Watch(id, space, True), socket_bound=True)
            self._unsent.append(id)

    def cut(self) -> None:
        """The socket is gone."""
        self._wondered.clear()
        for asked in self._promised.values():
            asked.answered.set()
        self._promised.clear()
        for id in [id for id, asked in self._asked.items() if asked.socket_bound]:
            self._asked.pop(id).answered.set()
        self._unsent = deque(self._asked)

    def finish(self, end: SessionEnded) -> None:
        """The session is over: everybody who waits is told."""
        self._end = end
        for asked in (*self._asked.values(), *self._promised.values()):
            asked.error = end
            asked.answered.set()

    def commands(self) -> Iterator[bytes]:
        """What has not been sent on this socket; what it yields counts as sent."""
        while self._unsent:
            asked = self._asked.get(self._unsent.popleft())
            if asked is not None:
                asked.sent_at = trio.current_time()
                yield encode(asked.request)

    def hear(self, frame: AnyFrame) -> None:
        """Takes an answer; one that nobody waits for is passed over."""
        id = getattr(frame, "id", 0)
        if isinstance(frame, MentorsFound) and not id:
            asked = self._promised.pop(frame.ticket, None)
        else:
            asked = self._asked.pop(id, None)
        if asked is None:
            return
        asked.answer = frame
        asked.answered.set()
        wondered = self._wondered.pop(id, None)
        if wondered is None:
            return
        make, hear = wondered
        if isinstance(frame, Failed) and TABLE[frame.code].retry in (Retry.LATER, Retry.SAME):
            wait_s = max(frame.wait_ms, backoff_ms(1, self._spread())) / 1000
            self._after(wait_s, lambda: self.wonder(make, hear))
        else:
            hear(frame)
