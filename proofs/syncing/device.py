"""A device: the client's own exchange over its own store, on a line that moves one frame at a time and may be cut between any two.

    write ─▶ Exchange.submit ─▶ store            connect ─▶ step, step, … ─▶ cut    crash: only the store is left
                                                              ╰ DeviceCopied ─▶ goes on as another device

Invariant: nothing outlives a crash but what the store had been told, call by call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from client.errors import DeviceCopied, ServerFault
from client.exchange import Exchange
from client.pending import Pending
from client.sqlite_store import MemoryStore
from client.store import Confirmed, Settled
from proofs.simulation.world import Violation
from proofs.syncing.gateway import Gateway, Socket
from protocol.codec import decode_frame, encode
from protocol.codes import Code
from protocol.entities import SCHEMA, Entity, Fields
from protocol.frames import VERSION, Frame, Goodbye, Hello, Welcome
from protocol.merge import GENERATION, PERCENT
from protocol.operations import AnyOperation

WRITING = frozenset(
    (
        "append",
        "number",
        "settle",
        "discard",
        "ask_again",
        "freeze_again",
        "inherit",
        "inherited",
        "bind",
        "advance",
        "forget",
        "apply",
        "apply_page",
        "note",
        "begin",
    )
)
"""The store's calls that change it: between any two of them a process may be killed."""


class Crash(Exception):
    """The process is gone."""


class FrailStore:
    """A store whose process dies after so many more calls that write (0: it does not). Counts what is settled."""

    def __init__(self, inner: MemoryStore) -> None:
        self.inner = inner
        self.calls_left = 0
        self.settlings: dict[int, int] = {}
        """How often each mutation got an outcome, by key."""
        self._progress: dict[tuple[int, int], tuple[int, int]] = {}
        """Generation and percent that were confirmed in the present history, by stream and lesson."""

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.inner, name)
        if name not in WRITING:
            return call

        def write(*arguments: Any) -> Any:
            if self.calls_left == 1:
                self.calls_left = 0
                raise Crash
            self.calls_left = max(0, self.calls_left - 1)
            if name == "settle":
                self._settle(arguments[0])
            if name == "ask_again":
                for key in arguments[0]:
                    self.settlings.pop(key, None)
            self._watch(name, *arguments)
            result = call(*arguments)
            if name in ("apply", "apply_page"):
                self._look_at_progress(arguments[1 if name == "apply_page" else 2])
            return result

        return write

    def _watch(self, name: str, *arguments: Any) -> None:
        if name == "begin" and arguments[0] != self.inner.load().epoch:
            self._progress.clear()
        if name == "forget":
            self._progress = {place: seen for place, seen in self._progress.items() if place[0] != arguments[0]}

    def _look_at_progress(self, records: Sequence[Confirmed]) -> None:
        for one in records:
            if one.entity != Entity.PROGRESS:
                continue
            held = self.inner.record(one.stream, one.entity, one.key)
            assert held is not None
            before, now = self._progress.get((one.stream, one.key), (0, 0)), standing(held.fields)
            if now < before:
                raise Violation(f"progress of lesson {one.key} in stream {one.stream} falls on a device from {before} to {now}")
            self._progress[one.stream, one.key] = now

    def _settle(self, settled: Sequence[Settled]) -> None:
        for one in settled:
            self.settlings[one.key] = self.settlings.get(one.key, 0) + 1
            if self.settlings[one.key] > 1:
                raise Violation(f"mutation {one.key} of a store had its outcome before, and now {one}")


class Device:
    """See the module. `fork` gives a new device of the same person: its number and session."""

    def __init__(
        self, user: int, device: int, session: int, gateway: Gateway, clock: Callable[[], float], fork: Callable[[int], tuple[int, int]]
    ) -> None:
        self.user = user
        self.device = device
        self.session = session
        self._gateway = gateway
        self._clock = clock
        self._fork = fork
        self.wrong_s = 0
        """How far its clock is ahead."""
        self.lies_s = 0
        """How much it adds to that when it says what its clock shows."""
        self.socket: Socket | None = None
        self._up: deque[bytes] = deque()
        self._later: list[Callable[[], None]] = []
        self.store = FrailStore(MemoryStore())
        self.begin()

    def begin(self) -> None:
        """A process starts on the store."""
        self.socket = None
        self._later.clear()
        self._up.clear()
        self.exchange = Exchange(self.store, self.device, self.wall, lambda: 0.5)

    def copy(self) -> Device:
        """Somebody copies the store's file; the copy believes to be the same device."""
        copied = Device(self.user, self.device, self.session, self._gateway, self._clock, self._fork)
        copied.store = FrailStore(self.store.inner.copy())
        copied.store.settlings = dict(self.store.settlings)
        copied.begin()
        return copied

    def wall(self) -> float:
        """What its clock shows."""
        return max(0.0, self._clock() + self.wrong_s)

    # What the person does

    def submit(self, operation: AnyOperation) -> Pending:
        return self.exchange.submit(operation, None, None)

    def crash(self) -> None:
        """The process is killed; the server finds out some time."""
        self._hang_up()
        self.begin()

    # The line

    def connect(self) -> None:
        """Opens a socket and greets."""
        self.cut()
        self.socket = self._gateway.open()
        self.exchange.later = lambda delay_s, act: self._later.append(act)
        cursors = self.exchange.hello_cursors()
        clock_ms = max(0, int((self.wall() + self.lies_s) * 1000))
        token = f"{self.user}:{self.session}"
        self._up.append(encode(Hello(VERSION, token, self.device, cursors, self.exchange.epoch, clock_ms, schema=SCHEMA)))

    def cut(self) -> None:
        """The line is gone, with what is on it in either direction."""
        if self._hang_up():
            self.exchange.cut()

    def _hang_up(self) -> bool:
        socket, self.socket = self.socket, None
        self._up.clear()
        self._later.clear()
        if socket is not None:
            self._gateway.close(socket)
        return socket is not None

    def step(self) -> bool:
        """Moves one frame, or lets waiting end; False when there is nothing more to do."""
        try:
            return self._step()
        except Crash:
            self.crash()
            return False
        except ServerFault as fault:
            raise Violation(f"device {self.device} finds fault with the server: {fault}") from fault
        except DeviceCopied:
            self.cut()
            self.device, self.session = self._fork(self.user)
            try:
                self.exchange.become(self.device)
            except Crash:
                self.crash()
            return False

    def _step(self) -> bool:
        socket = self.socket
        if socket is None:
            return False
        if socket.down:
            self._hear(decode_frame(socket.down.popleft()))
            return True
        if not socket.is_open:
            self.cut()
            return False
        if not self._up:
            self._up.extend(self.exchange.collect())
        if self._up:
            self._gateway.receive(socket, self._up.popleft())
            return True
        if self._later:
            waiting, self._later = self._later, []
            for act in waiting:
                act()
            return True
        return False

    def _hear(self, frame: object) -> None:
        if isinstance(frame, Goodbye):
            if frame.code not in (Code.TAKEN_OVER, Code.BYE):
                raise Violation(f"device {self.device} was turned away: {frame}")
            self.cut()
        elif isinstance(frame, Welcome):
            reset = self.exchange.epoch not in (0, frame.epoch)
            self.exchange.welcome(frame, reset)
        else:
            assert isinstance(frame, Frame), frame
            self.exchange.hear(frame)  # type: ignore[arg-type]


def standing(fields: Fields) -> tuple[int, int]:
    """Generation and percent of a record of progress."""
    generation, percent = fields.get(GENERATION, 0), fields.get(PERCENT, 0)
    assert isinstance(generation, int) and isinstance(percent, int)
    return generation, percent
