"""A device's mutations: kept, numbered, sent in a window, sent again, decided.

    submit ─▶ store, ledger ─take─▶ Mutate frames ·· Done, DoneRun, Refused ─▶ the outcome of each `Pending`

The window opens by one with every window answered and narrows when the server is too busy: additive increase, multiplicative decrease.
Not one waits here; `after` calls back once a wait that the server asked for is over.

Invariant: what `submit` returned is in the store until the server has decided it, and is asked for again on every new socket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import trio
from msgspec import Raw

from client.errors import DeviceCopied, MutationRefused, ServerFault, SessionEnded
from client.ledger import Entry, Ledger
from client.pending import Pending
from client.store import Bookmark, Cause, Kept, Store
from protocol.client_session import backoff_ms
from protocol.codec import BadFrame, decode_operation, encode
from protocol.codes import TABLE, Code, Retry
from protocol.frames import Event, Mutate, Refused
from protocol.operations import AnyOperation

WINDOW_DECREASE = 4
"""What came back for load or rate divides the window by this, and every answered window widens it by one. By two it took so many refused
commands to come down from 128 that a server with a bound on those (200) ended the socket; by four it takes at most 166."""
FUTILE_MAX = 5
"""Times in a row that mutations came back unconsumed for want of an earlier number. Then this socket and the server do not agree on
where they are, and the next `Welcome` says it anew."""


class Mutations:
    """Every mutation of one device without an outcome, those that the store `kept` first.

    `wake` says that there may be something to send; `after` runs something in so many seconds, unless the socket is gone by then.
    """

    def __init__(
        self,
        store: Store,
        kept: Iterable[Kept],
        spread: Callable[[], float],
        wake: Callable[[], None],
        after: Callable[[float, Callable[[], None]], None],
    ) -> None:
        kept = tuple(kept)
        self._store = store
        self._spread = spread
        self._wake = wake
        self._after = after
        self._ledger = Ledger(Entry(one.key, one.operation, one.number) for one in kept)
        self._pendings = {one.key: Pending(one.key, one.operation) for one in kept}
        self._futile = 0
        self._hold_wait = 0
        self._window = 1.0
        self._window_max = 1.0
        self._end: SessionEnded | None = None
        self._quiet = trio.Event()
        self.answers = 0

    # The application's side

    @property
    def in_flight(self) -> int:
        """Mutations sent on this socket and not answered."""
        return self._ledger.in_flight

    @property
    def unanswered(self) -> list[Pending]:
        """Every mutation without an outcome, oldest first."""
        return list(self._pendings.values())

    def submit(self, operation: AnyOperation, cause: Event | None, bookmark: Bookmark | None) -> Pending:
        """Keeps a mutation and queues it. Raises `ValueError` for one that no server would take, `QueueFull`, `SessionEnded`."""
        if self._end is not None:
            raise self._end
        frozen = encode(operation)
        try:
            decode_operation(frozen)
        except BadFrame as bad:
            raise ValueError(f"{type(operation).__name__}: {bad.detail}") from None
        self._ledger.check_room()
        key = self._store.append(frozen, Cause(cause.stream, cause.seq) if cause is not None else None, bookmark)
        self._ledger.append(Entry(key, frozen))
        pending = self._pendings[key] = Pending(key, frozen)
        self._wake()
        return pending

    async def wait_quiet(self) -> None:
        """Waits until no mutation is without an outcome. Raises `SessionEnded`."""
        while self._pendings:
            if self._end is not None:
                raise self._end
            self._quiet = trio.Event()
            await self._quiet.wait()

    # The socket's side

    def welcome(self, last_number: int, in_flight_max: int, restored: bool) -> None:
        """A session is open: everything without an outcome is asked for again. After a restore that is also what was forgotten."""
        self._window = self._window_max = float(max(1, in_flight_max))
        for entry in self._ledger.welcomed(last_number, restored=restored):
            entry.key = self._store.append(entry.operation)
            self._pendings[entry.key] = Pending(entry.key, entry.operation)

    def cut(self) -> None:
        """The socket is gone."""
        self._ledger.cut()
        self._hold_wait = 0

    def finish(self, end: SessionEnded) -> None:
        """The session is over: everybody who waits is told. The store keeps what has no outcome."""
        self._end = end
        for pending in self._pendings.values():
            pending.fail(end)
        self._quiet.set()

    def take(self, room_bytes: int, room_frames: int) -> list[bytes]:
        """The frames of those that are sent next; what it returns counts as sent."""
        taken = self._ledger.take(int(self._window), room_bytes, room_frames)
        fresh = [(entry.key, entry.number) for entry in taken if not entry.noted]
        if fresh:
            self._store.number(fresh)
        frames = []
        for entry in taken:
            entry.noted = True
            frames.append(encode(Mutate(entry.number, Raw(entry.operation))))
        return frames

    def commit(self, first: int, values: tuple[int, ...]) -> None:
        """The server committed these numbers, from `first` on."""
        settled = []
        for number, value in enumerate(values, first):
            entry = self._ledger.settle(number)
            if entry is not None:
                settled.append(entry.key)
                pending = self._pendings.pop(entry.key, None)
                if pending is not None:
                    pending.commit(value)
        self._settled(settled)

    def refuse(self, refused: Refused) -> None:
        """The server refused one, for good or for now. Raises `DeviceCopied`, `ServerFault`."""
        retry = TABLE[refused.code].retry
        if retry is Retry.NO:
            if refused.code is Code.NUMBER_REUSED:
                raise DeviceCopied(refused.detail)
            entry = self._ledger.settle(refused.number)
            if entry is not None:
                pending = self._pendings.pop(entry.key, None)
                if pending is not None:
                    pending.fail(MutationRefused(refused.code, refused.detail))
                self._settled([entry.key])
            return
        # Not consumed. A code that ends sockets (`TAKEN_OVER`) says that the end is near; then the cut puts everything back.
        self._ledger.bounce(refused.number)
        if retry is Retry.LATER:
            if not self._hold_wait:
                self._window = max(1.0, self._window / WINDOW_DECREASE)
            wait_ms = max(refused.wait_ms, backoff_ms(self._futile, self._spread()), 1)
            self._hold_wait = max(self._hold_wait, wait_ms)
        self._answered()

    def _settled(self, keys: list[int]) -> None:
        if keys:
            self._store.settle(keys)
            self._window = min(self._window_max, self._window + len(keys) / self._window)
        self._futile = 0
        self._answered()

    def _answered(self) -> None:
        """Once everything that was sent has an answer, and something of it came back, it is sent again after a while."""
        self.answers += 1
        if self._ledger.may_rewind:
            self._futile += 1
            if self._futile > FUTILE_MAX and not self._hold_wait:
                raise ServerFault("the server asks again and again for an earlier number than there is")
            again_ms = backoff_ms(self._futile, self._spread()) if self._futile > 1 else 0
            wait_ms, self._hold_wait = self._hold_wait or again_ms, 0
            self._after(wait_ms / 1000, self._rewind)
        if not self._pendings:
            self._quiet.set()
        self._wake()

    def _rewind(self) -> None:
        if self._ledger.may_rewind:
            self._ledger.rewind()
            self._wake()
