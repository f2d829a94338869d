"""One epoll and one task for every socket of the process.

    trio ─ readable? ─▶ epoll ─▶ watched.ready(mask) … ─▶ end of round: send what was corked, close what was retired
    clock ─ tick ─▶ wheel ─▶ watched.expired()

A task per socket costs 3 KiB and a wake-up of ~11 µs; an entry in an epoll set costs neither. Everything that is watched is called
from here, one at a time, and never waits, so the transport has no interleavings to think about.

Invariants: a retired descriptor is closed only at the end of a round, so an event of this round can never meet a new socket that got an
old number; every round that began ends, also one in which somebody failed; `now` is the time at which the round began.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Final, Protocol

import trio

from gateway.wheel import Wheel

READ: Final = select.EPOLLIN
WRITE: Final = select.EPOLLOUT
HUNG_UP: Final = select.EPOLLHUP | select.EPOLLERR
HALF_CLOSED: Final = select.EPOLLRDHUP

EVENTS_PER_ROUND_MAX: Final = 256
ROUNDS_S: Final = 0.001
"""After so many events, or so long, other tasks get a turn: one event takes some µs, but the actors' turns at the end of a round may take
a millisecond."""


class Watched(Protocol):
    """A socket in the poller's care."""

    sock: socket.socket
    wheel_tick: int

    def ready(self, mask: int) -> None:
        """The kernel reports `mask`; spurious calls are possible, so nothing may be taken for granted."""
        ...

    def expired(self) -> None:
        """The deadline that was set has passed."""
        ...


class Poller:
    """Watches sockets and deadlines. Made and used inside one trio run."""

    def __init__(self, tick_s: float = 0.1) -> None:
        self.now = trio.current_time()
        self.wheel: Wheel[Watched] = Wheel(self.now, tick_s)
        self._epoll = select.epoll()
        self._watched: dict[int, Watched] = {}
        self._retired: list[socket.socket] = []
        self._at_round_start: list[Callable[[], None]] = []
        self._at_round_end: list[Callable[[], None]] = []
        self._at_tick: list[Callable[[], None]] = []

    def __len__(self) -> int:
        return len(self._watched)

    def each_round(self, start: Callable[[], None], end: Callable[[], None]) -> None:
        """Has `start` and `end` called around the events of every round; of several pairs, the later ones inside the earlier ones."""
        self._at_round_start.append(start)
        self._at_round_end.insert(0, end)

    def each_tick(self, call: Callable[[], None]) -> None:
        self._at_tick.append(call)

    def watch(self, watched: Watched, mask: int) -> None:
        """Takes a non-blocking socket into care, or hands it from one watcher to the next."""
        number = watched.sock.fileno()
        if number in self._watched:
            self._epoll.modify(number, mask)
        else:
            self._epoll.register(number, mask)
        self._watched[number] = watched

    def change(self, watched: Watched, mask: int) -> None:
        self._epoll.modify(watched.sock.fileno(), mask)

    def release(self, watched: Watched) -> None:
        """Forgets the socket without closing it."""
        self.wheel.clear(watched)
        number = watched.sock.fileno()
        if self._watched.pop(number, None) is not None:
            self._epoll.unregister(number)

    def retire(self, watched: Watched) -> None:
        """Forgets the socket and closes it when the round is over."""
        self.release(watched)
        self._retired.append(watched.sock)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serves until cancelled. Whoever made the poller closes it, once nobody holds one of its sockets any more."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_time)
            task_status.started()
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                self.now = trio.current_time()
                self.serve_ready()

    def close(self) -> None:
        """Closes every socket in its care, and itself. Closing twice does nothing."""
        self._close_retired()
        for watched in self._watched.values():
            watched.sock.close()
        self._watched.clear()
        self._epoll.close()

    def serve_ready(self) -> None:
        """Calls everybody for whom the kernel has something, without waiting for more."""
        left = EVENTS_PER_ROUND_MAX
        until = self.now + ROUNDS_S
        # What becomes ready while we work is served too: looking again costs 1 µs, coming back through trio 11.
        while left > 0 and (events := self._epoll.poll(0, left)):
            left -= len(events)
            for call in self._at_round_start:
                call()
            watched = self._watched
            try:
                for number, mask in events:
                    found = watched.get(number)
                    if found is not None:
                        found.ready(mask)
            finally:
                self._end_round()
            if trio.current_time() > until:
                break

    def _end_round(self) -> None:
        for call in self._at_round_end:
            call()
        if self._retired:
            self._close_retired()

    def _close_retired(self) -> None:
        for sock in self._retired:
            sock.close()
        self._retired.clear()

    async def _keep_time(self) -> None:
        while True:
            await trio.sleep(self.wheel.tick_s)
            self.now = trio.current_time()
            self.turn()

    def turn(self) -> None:
        """Calls everybody whose deadline is before `now`."""
        for call in self._at_round_start:
            call()
        try:
            for call in self._at_tick:
                call()
            for watched in self.wheel.turn(self.now):
                watched.expired()
        finally:
            self._end_round()
