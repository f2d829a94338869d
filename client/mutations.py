"""A device's mutations: kept, numbered, sent in a window, sent again, decided.

    submit ─▶ store, replica, ledger ─take─▶ Chunk, Mutate ·· Done, DoneRun, Refused ─▶ the outcome of each `Pending`

What is under way is bounded twice: in bytes by two chunks, so that a cut costs a bad link no more than that, and in mutations by what
the server keeps outcomes of. The window in mutations opens by one with every window answered and narrows when the server is too busy:
additive increase, multiplicative decrease. Not one waits here; `after` calls back once a wait that the server asked for is over.

Invariant: what `submit` returned is in the store until the server has decided it, and is asked for again on every new socket.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio
from msgspec import Struct
from msgspec.structs import replace

from client import parcels
from client.errors import DeviceCopied, MutationRefused, ServerFault, SessionEnded
from client.heirs import Heirs
from client.ledger import Entry, Ledger
from client.pending import Pending
from client.replica import Replica
from client.store import Bookmark, Cause, Kept, Saved, Settled, Store, Unapplied, read_change
from protocol.client_session import backoff_ms
from protocol.codec import BadFrame, decode_operation, encode
from protocol.codes import TABLE, Code, Retry
from protocol.frames import CHUNK_BYTES_GOAL, Event, Refused, Settlement
from protocol.operations import AnyOperation, Claim, Discard, Release, Reopen, Resolve

IN_FLIGHT_BYTES_MAX = 2 * CHUNK_BYTES_GOAL
"""What is sent and not answered: while one chunk is on its way the answer to the other comes back. It is also what a cut may cost."""
WINDOW_DECREASE = 4
"""What came back for load or rate divides the window by this, and every answered window widens it by one. By two it took so many refused
commands to come down from 128 that a server with a bound on those (200) ended the socket; by four it takes at most 166."""
RESTORED = "restored"
"""Noted in the store from a restore on until all is up."""
NAMELESS = "the database was restored, and what this decided may have another number now: look at the list and decide again"
FUTILE_MAX = 5
"""Times in a row that mutations came back unconsumed for want of an earlier number. Then this socket and the server do not agree on
where they are, and the next `Welcome` says it anew."""
_NAMING = frozenset(int(kind.__struct_config__.tag) for kind in (Claim, Resolve, Reopen, Release, Discard))  # type: ignore[arg-type]


class Upload(Struct, frozen=True):
    """What waits for its outcome. `sent` of `total` are through since there was last nothing to send."""

    pending: int
    pending_bytes: int
    in_flight: int
    sent: int
    total: int


class Mutations:
    """Every mutation of one device without an outcome, those that the store kept (`saved`) first.

    `wake` says that there may be something to send; `after` runs something in so many seconds, unless the socket is gone by then; `wall`
    is Unix time in seconds. `decided` is told each operation with its outcome: code and value.
    """

    def __init__(
        self,
        store: Store,
        saved: Saved,
        replica: Replica,
        wall: Callable[[], float],
        spread: Callable[[], float],
        wake: Callable[[], None],
        after: Callable[[float, Callable[[], None]], None],
    ) -> None:
        self._store = store
        self._replica = replica
        self._wall = wall
        self._spread = spread
        self._wake = wake
        self._after = after
        self._pendings = {one.key: Pending(one.key, one.operation) for one in saved.mutations}
        self._bytes = sum(len(one.operation) for one in saved.mutations)
        self._unapplied: list[Unapplied] | None = None
        self._through = 0
        self._decided_upto = 0
        self._futile = 0
        self._hold_wait = 0
        self._window = 1.0
        self._window_max = 1.0
        self._end: SessionEnded | None = None
        self._quiet = trio.Event()
        self.answers = 0
        self.decided: Callable[[bytes, int, int], None] = lambda operation, code, value: None
        self._begin(saved)

    def _begin(self, saved: Saved) -> None:
        """Takes up what the store has."""
        entries = [Entry(one.key, one.operation, one.number) for one in saved.mutations]
        self._ledger = Ledger(entries)
        self._given = saved.last_number
        self.heirs = Heirs(saved.inherited_from, entries)

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
        self._replica.appended(key, frozen)
        if not self._pendings:
            self._through = 0
        pending = self._pendings[key] = Pending(key, frozen)
        self._bytes += len(frozen)
        self._wake()
        return pending

    @property
    def upload(self) -> Upload:
        """How far the sending has come."""
        count = len(self._pendings)
        return Upload(count, self._bytes, self.in_flight, self._through, self._through + count)

    def unapplied(self) -> list[Unapplied]:
        """What was refused for good, until the person has done something about it."""
        if self._unapplied is None:
            self._unapplied = self._store.unapplied()
        return self._unapplied

    def discard(self, key: int) -> None:
        """The person has seen to a refused mutation."""
        self._store.discard(key)
        self._unapplied = None

    async def wait_quiet(self) -> None:
        """Waits until no mutation is without an outcome. Raises `SessionEnded`."""
        while self._pendings:
            if self._end is not None:
                raise self._end
            self._quiet = trio.Event()
            await self._quiet.wait()

    # The socket's side

    @property
    def given(self) -> int:
        """The highest number that this store ever gave under its device; 0 for a store that never gave one."""
        return self._given

    def newest_settled(self, last_number: int, count: int) -> list[Kept]:
        """The newest kept mutations that a database that knows `last_number` of this device's should have, in order of their numbers."""
        known = [kept for kept in self._store.load().settled if 0 < kept.number <= last_number]
        return sorted(known, key=lambda kept: kept.number)[-count:]

    def restore(self, last_number: int) -> None:
        """The database is back at an earlier time, when `last_number` was the last one decided. To be called before the store is told of
        the new epoch: whoever is killed in between comes here again.

        What was settled since is asked for again, in the order of asking. What is undecided is frozen anew, changes with base 0: their
        bases are versions of another history. Of a change that was settled under a device before this one nobody can say when that was:
        it is asked for again, too, and is a value that stands there already, or one that has lost and is kept. What names a conflict or a
        refused change by its number is refused here: that number may be another one's now, and a text would go to another record.
        """
        self._ledger.cut()
        forgotten = [kept for kept in self._store.load().settled if kept.number > last_number or _is_in_doubt(kept)]
        self._store.ask_again([kept.key for kept in forgotten])
        for kept in forgotten:
            self._pendings[kept.key] = Pending(kept.key, kept.operation)
            self._bytes += len(kept.operation)
        entries = [Entry(kept.key, kept.operation) for kept in forgotten]
        self._ledger.put_back(entries)
        refrozen: list[tuple[int, bytes]] = []
        nameless: list[Entry] = []
        for entry in self._ledger.entries():
            if entry.number and (self.heirs.waiting or entry.number <= last_number):
                continue
            if _names_what_was(entry.operation):
                nameless.append(entry)
                continue
            self._freeze(entry, without_base(entry.operation))
            entry.number, entry.noted = 0, False
            refrozen.append((entry.key, entry.operation))
        self._store.freeze_again(refrozen)
        self._ledger.drop(nameless)
        self._decide([(entry, Code.CONFLICT, 0, NAMELESS) for entry in nameless])
        self._given = last_number

    def _freeze(self, entry: Entry, operation: bytes) -> None:
        self._bytes += len(operation) - len(entry.operation)
        entry.operation = self._pendings[entry.key].operation = operation

    @property
    def is_learning(self) -> bool:
        """Whether there are mutations that were decided on an earlier socket, and their outcomes are still to be heard."""
        return self.heirs.waiting or 0 < self._ledger.lowest <= self._decided_upto

    def welcome(self, last_number: int, in_flight_max: int) -> None:
        """A session is open: everything without an outcome is asked for again."""
        self._decided_upto = last_number
        self._window = self._window_max = float(max(1, in_flight_max))
        if not self.heirs.waiting:  # their numbers are another device's, and must stay what they are until the question is answered
            self._ledger.welcomed(last_number)

    def inherit(self, device: int) -> None:
        """The store goes on as another device, `device`: what was numbered waits until it is known what became of it."""
        self._ledger.cut()
        self._store.inherit(device)
        self._begin(self._store.load())

    def inherited(self, settlements: Sequence[Settlement], last_number: int) -> None:
        """What became of the mutations of the device before. Those that are not among them never had an effect: they are numbered anew."""
        by_number = {entry.number: entry for entry in self.heirs.entries}
        settled = [(by_number[one.number], one.code, one.value, one.detail) for one in settlements if one.number in by_number]
        if self._store.noted(RESTORED):
            told = {entry.key for entry, _, _, _ in settled}
            nameless = [entry for entry in self.heirs.entries if entry.key not in told and _names_what_was(entry.operation)]
            settled += [(entry, Code.CONFLICT, 0, NAMELESS) for entry in nameless]
        self._decide(settled)
        told = {entry.key for entry, _, _, _ in settled}
        free = [entry for entry in self.heirs.entries if entry.key not in told]
        if self._store.noted(RESTORED):
            # What has a number keeps its bytes until it is known that no server has them; then bases of a history that is lost go.
            for entry in free:
                self._freeze(entry, without_base(entry.operation))
            self._store.freeze_again([(entry.key, entry.operation) for entry in free])
        self._store.inherited([entry.key for entry in free])
        self._replica.reload()
        self._begin(self._store.load())
        self._ledger.welcomed(last_number)
        self._answered()

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
        if self.heirs.waiting:
            return []
        room_bytes = min(room_bytes, CHUNK_BYTES_GOAL)
        taken = self._ledger.take(int(self._window), room_bytes, room_frames, IN_FLIGHT_BYTES_MAX, parcels.weigh)
        fresh = [(entry.key, entry.number) for entry in taken if not entry.noted]
        if fresh:
            self._store.number(fresh)
            self._given = max(self._given, fresh[-1][1])
        for entry in taken:
            entry.noted = True
        return parcels.wrap(taken)

    def commit(self, first: int, values: tuple[int, ...]) -> None:
        """The server committed these numbers, from `first` on."""
        settled = [(self._ledger.settle(number), value) for number, value in enumerate(values, first)]
        self._settled([(entry, Code.OK, value, "") for entry, value in settled if entry is not None])

    def refuse(self, refused: Refused) -> None:
        """The server refused one, for good or for now. Raises `DeviceCopied`, `ServerFault`."""
        retry = TABLE[refused.code].retry
        if retry is Retry.NO:
            if refused.code is Code.NUMBER_REUSED:
                raise DeviceCopied(refused.detail)
            entry = self._ledger.settle(refused.number)
            if entry is not None:
                self._settled([(entry, refused.code, 0, refused.detail)])
            return
        # Not consumed. A code that ends sockets (`TAKEN_OVER`) says that the end is near; then the cut puts everything back.
        self._ledger.bounce(refused.number)
        if retry is Retry.LATER:
            if not self._hold_wait:
                self._window = max(1.0, self._window / WINDOW_DECREASE)
            wait_ms = max(refused.wait_ms, backoff_ms(self._futile, self._spread()), 1)
            self._hold_wait = max(self._hold_wait, wait_ms)
        self._answered()

    def _settled(self, settled: Sequence[tuple[Entry, Code, int, str]]) -> None:
        if settled:
            self._decide(settled)
            self._window = min(self._window_max, self._window + len(settled) / self._window)
        self._futile = 0
        self._answered()

    def _decide(self, settled: Sequence[tuple[Entry, Code, int, str]]) -> None:
        """These have their outcomes: the store, the replica and whoever waits are told."""
        at = max(0, int(self._wall()))
        self._store.settle([Settled(entry.key, code, value, detail, at) for entry, code, value, detail in settled])
        for entry, code, value, detail in settled:
            self._replica.settled(entry.key, code, value)
            pending = self._pendings.pop(entry.key, None)
            self._through += 1
            self._bytes -= len(entry.operation)
            if code is not Code.OK:
                self._unapplied = None
            if pending is not None and code is Code.OK:
                pending.commit(value)
            elif pending is not None:
                pending.fail(MutationRefused(code, detail))
            self.decided(entry.operation, code, value)

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


def without_base(operation: bytes) -> bytes:
    """The same, by somebody who knows no version."""
    change = read_change(operation)
    return encode(replace(change, base=0)) if change is not None and change.base else operation


def _names_what_was(operation: bytes) -> bool:
    """Whether it names something by a number that the server gave when it came about."""
    return len(operation) > 1 and operation[1] in _NAMING


def _is_in_doubt(kept: Kept) -> bool:
    """A settled change without a number that means anything: this store was another device's then. What is no change has effect twice."""
    return not kept.number and read_change(kept.operation) is not None
