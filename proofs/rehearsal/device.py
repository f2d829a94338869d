"""One device: the client library's session over a wire that is cut, and the copy of every stream that it builds meanwhile.

    say ─▶ session ─▶ wire ─▶ gateway        Post: when sent, when acknowledged, as which number
    copies ◀─ events ◀─ wire ◀─ gateway      Copy: every event in the order in which it came, and when

The copy is what an application would hold; it is written down unjudged, so that the verdict sees what really came. Now and then the
application crashes: copy and store survive, as on a disk; what it had on its mind does not.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from random import Random

import trio
from msgspec import Struct, field

from client import (
    Account,
    CaughtUp,
    Credentials,
    MemoryStore,
    MutationRefused,
    Pending,
    Restarted,
    Session,
    SessionEnded,
    Unreadable,
    connect,
)
from client.account import Login
from client.settings import Settings
from client.subscription import Item
from proofs.rehearsal.verdict import Fact, Post
from proofs.rehearsal.wire import Cut, Wire
from protocol.codec import UnknownEvent
from protocol.frames import Event
from protocol.operations import Say

SETTINGS = Settings(heartbeat_s=20, software="rehearsal")
CRASHES = 0.15
"""The share of departures in which the application goes down as well, and comes back with its store alone."""


class Badge:
    """A device's right to connect, renewed through whichever gateway has an address now."""

    def __init__(self, credentials: Credentials, account: Callable[[], Account]) -> None:
        self._credentials = credentials
        self._account = account

    @property
    def user(self) -> int:
        return self._credentials.user

    @property
    def device(self) -> int:
        return self._credentials.device

    @property
    def inbox(self) -> int:
        return self._credentials.inbox

    @property
    def login(self) -> Login:
        """The newest."""
        return self._credentials.login

    @property
    def access_token(self) -> str:
        return self._credentials.access_token

    @property
    def expires_at(self) -> float:
        return self._credentials.expires_at

    async def renew(self) -> None:
        credentials = Credentials(self._account(), self._credentials.login)
        await credentials.renew()
        self._credentials = credentials


class Received(Struct):
    """One stream as this device got it. `at` and `open_since` are trio's clock: of each event, and of the socket that brought it."""

    facts: list[Fact] = field(default_factory=list)
    at: array[float] = field(default_factory=lambda: array("d"))
    open_since: array[float] = field(default_factory=lambda: array("d"))
    socket: float = 0.0
    """The socket that last said anything of this stream, by when it was opened."""
    going: int = 0
    """The go in which the last event came: what waited together is one."""
    again_upto: int = 0
    """How many events it had when the application crashed last."""
    caught_up: bool = False
    repair_from: int = 0
    """How many events it had when the present repair began: with a new socket, or else with this go."""


class Device:
    """One of the 300. `interned` shares equal facts among all devices, or a long run would not fit in memory."""

    def __init__(self, badge: Badge, wire: Wire, interned: dict[tuple[int, Fact], Fact]) -> None:
        self.badge = badge
        self.wire = wire
        self._interned = interned
        self._session: Session | None = None
        self.received: dict[int, Received] = {}
        self.channels: list[int] = []
        self.streams: list[int] = []
        self._store = MemoryStore()
        self._open: dict[int, Post] = {}
        self._application = trio.CancelScope()
        self.crashes = 0
        self.longest_repair = 0
        self._going = 0
        self.faults: list[str] = []

    @property
    def posts_open(self) -> int:
        """Said, and without an outcome."""
        return len(self._open)

    @property
    def session(self) -> Session:
        assert self._session is not None, "asked for before `live` has started"
        return self._session

    async def live(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until cancelled, or until the server ends the session for good, which is a fault. After a crash it begins again."""
        async with trio.open_nursery() as outcomes:
            try:
                while True:
                    with trio.CancelScope() as self._application:
                        await self._run_application(outcomes, task_status.started if self._session is None else lambda: None)
                    if not self._application.cancelled_caught:
                        return
                    self.crashes += 1
            except SessionEnded as ended:
                self.faults.append(f"device {self.badge.device}: its session ended: {ended}")

    async def _run_application(self, outcomes: trio.Nursery, started: Callable[[], None]) -> None:
        async with connect(self.wire, self.badge, store=self._store, settings=SETTINGS) as session:
            self._session = session
            for pending in session.unanswered:
                outcomes.start_soon(self.wait_outcome, self._open[pending.key], pending)
            for stream in self.streams:
                session.follow(stream)
            with session.events() as events:
                started()
                async for first in events:
                    item: Item | None = first
                    self._going += 1
                    while item is not None:
                        self._take(item)
                        item = events.next_nowait()

    async def enter(self) -> None:
        """Learns which streams this account may read, and follows them all."""
        overview = await self.session.overview()
        for space in overview.spaces:
            for stream in space.streams:
                self.streams.append(stream.stream)
                self.session.follow(stream.stream)
                if stream.may_write and stream.name:
                    self.channels.append(stream.stream)
        if self.badge.inbox not in self.streams:
            self.streams.append(self.badge.inbox)

    def say(self, post: Post) -> Pending:
        """Says it. Does not wait: two things said one after the other are in that order from here on."""
        pending = self.session.submit(Say(post.stream, post.text))
        self._open[pending.key] = post
        return pending

    async def wait_outcome(self, post: Post, pending: Pending) -> None:
        """Writes down what became of it. When the session ends it stays open, and the next one is asked."""
        try:
            post.seq = await pending.wait()
            post.acknowledged_at = trio.current_time()
            post.unbroken = self.wire.open_since <= post.sent_at
            del self._open[pending.key]
        except MutationRefused as refused:
            post.refusal = str(refused)
            del self._open[pending.key]
        except SessionEnded:
            pass

    async def roam(self, chance: Random, online_s: float, away_s: float) -> None:
        """Loses its connection and finds one again, each after a random time of this mean, until cancelled."""
        try:
            if chance.random() < away_s / (online_s + away_s):
                self._leave(chance)
                await trio.sleep(chance.expovariate(1 / away_s))
                self.wire.restore()
            while True:
                await trio.sleep(chance.expovariate(1 / online_s))
                self._leave(chance)
                await trio.sleep(chance.expovariate(1 / away_s))
                self.wire.restore()
        finally:
            self.wire.restore()

    def _leave(self, chance: Random) -> None:
        self.wire.cut(chance.choice((Cut.RESET, Cut.VANISH)))
        if chance.random() < CRASHES:
            self._crash()

    def _crash(self) -> None:
        """The application ends without a word; what its store holds is all that the next one knows."""
        for received in self.received.values():
            received.again_upto = len(received.facts)
        self._application.cancel()

    def _take(self, item: Item) -> None:
        match item:
            case Event(stream, seq, author, at, body):
                self._write_down(stream, Fact(seq, author, at, body))
            case UnknownEvent(stream, seq, author, at):
                self._write_down(stream, Fact(seq, author, at, None))
            case CaughtUp(stream):
                self._repaired(stream)
            case Unreadable(stream, code, detail):
                self.faults.append(f"device {self.badge.device}: stream {stream} became unreadable: {code} {detail}")
            case Restarted(stream):
                self.faults.append(f"device {self.badge.device}: stream {stream} began anew, although nothing was restored")
                self.received.pop(stream, None)
            case _:
                pass

    def _write_down(self, stream: int, fact: Fact) -> None:
        received = self.received.get(stream)
        if received is None:
            received = self.received[stream] = Received()
        if fact.seq <= received.again_upto and received.facts[fact.seq - 1] == fact:
            return  # an application that crashed may be shown again what it had, and knows it by its number
        received.again_upto = 0
        socket = self.wire.open_since
        if received.socket != socket:
            received.socket, received.caught_up, received.repair_from = socket, False, len(received.facts)
        elif received.caught_up and received.going != self._going:
            received.repair_from = len(received.facts)
        received.going = self._going
        received.facts.append(self._interned.setdefault((stream, fact), fact))
        received.at.append(trio.current_time())
        received.open_since.append(socket)

    def _repaired(self, stream: int) -> None:
        received = self.received.get(stream)
        if received is None:
            return
        if received.socket == self.wire.open_since:
            self.longest_repair = max(self.longest_repair, len(received.facts) - received.repair_from)
        received.socket, received.caught_up, received.repair_from = self.wire.open_since, True, len(received.facts)
