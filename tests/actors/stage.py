"""A stage for actors: a gateway's real pools on a clock that stands still, with ports that write down what they are asked.

Nothing is answered unless a test says so: `stage.answer(query_type, result)`, `stage.decide(...)`. Sockets are `Line`s.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeVar

from msgspec import Raw

from actors.accounts import Claims, Ticketed
from actors.cell import Ref
from actors.exchange import Exchange, SessionInlet
from actors.neighbourhood import Neighbourhood
from actors.socket_port import Batch, Peer
from actors.storage import Answered, Attach, Attached, Decided, Entry, Events, Query, ReadAfter, Result, Row
from actors.tallies import LineSums
from protocol.codec import UnknownEvent, UnknownFrame, decode_frame, encode, join, split
from protocol.codes import Code
from protocol.events import Said
from protocol.frames import Command, Frame, Hello, Mutate
from protocol.operations import Operation
from supervisors.cast import CastLimits, Ports, assemble
from supervisors.turns import Turns

FrameT = TypeVar("FrameT", bound=Frame)
QueryT = TypeVar("QueryT", bound=Query)

GATEWAY = 17
SPACE = 40
EPOCH = 5


class RecordingStore:
    def __init__(self) -> None:
        self.asked: list[tuple[Query, int, Ref[Answered]]] = []

    def ask(self, query: Query, ticket: int, reply_to: Ref[Answered]) -> None:
        self.asked.append((query, ticket, reply_to))


class RecordingJournal:
    def __init__(self) -> None:
        self.entries: list[tuple[Entry, Ref[Decided]]] = []
        self.full = False

    def submit(self, entry: Entry, reply_to: Ref[Decided]) -> bool:
        if self.full:
            return False
        self.entries.append((entry, reply_to))
        return True


class RecordingLink:
    def __init__(self) -> None:
        self.published: list[tuple[int, int, bytes]] = []
        self.announced: list[tuple[str, bytes]] = []
        self.subscribed: set[int] = set()

    def publish(self, stream: int, seq: int, audience_version: int, frame: bytes) -> None:
        self.published.append((stream, seq, frame))

    def subscribe(self, stream: int) -> None:
        self.subscribed.add(stream)

    def unsubscribe(self, stream: int) -> None:
        self.subscribed.discard(stream)

    def announce(self, topic: str, payload: bytes) -> None:
        self.announced.append((topic, payload))


class PlainTokens:
    """Tokens that say `user:device:session:expires_at`."""

    epoch = EPOCH

    def verify(self, token: str, now: float) -> Claims | Code:
        try:
            user, device, session, expires_at = (int(part) for part in token.split(":"))
        except ValueError:
            return Code.UNAUTHENTICATED
        if expires_at <= now:
            return Code.TOKEN_EXPIRED
        return Claims(user, device, session, int(now), expires_at)

    def seal(self, claims: Claims, epoch: int, terms: bytes) -> bytes:
        """A ticket says the same, and the epoch and terms with it."""
        return f"{claims.user}:{claims.device}:{claims.session}:{claims.expires_at}|{epoch}|{terms.hex()}".encode()

    def unseal(self, ticket: bytes, terms: bytes, now: float) -> Ticketed | None:
        token, _, rest = ticket.decode().partition("|")
        claims = self.verify(token, now)
        good = rest == f"{self.epoch}|{terms.hex()}"
        return Ticketed(claims, self.epoch) if good and isinstance(claims, Claims) else None


class Line:
    """One client's socket: what it was sent, and what it sends."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.heartbeat_s = 0.0
        self.queued_bytes = 0
        self.refuses = False
        self.frames: list[Frame] = []
        self.messages = 0
        self.closed: tuple[int, str] | None = None
        self.sums: LineSums | None = None
        self.inlet: SessionInlet = stage.cast.entrance.accept(self, self.peer)
        stage.run()

    @property
    def peer(self) -> Peer:
        return Peer("192.0.2.1")

    def push(self, batch: Batch) -> bool:
        if self.refuses or self.closed:
            return False
        self._take(batch.payload)
        return True

    def send(self, payload: bytes) -> None:
        if self.closed is None:
            self._take(payload)

    def close(self, code: int, reason: str) -> None:
        if self.closed is None:
            self.closed = (code, reason)

    def pause_reading(self) -> None:
        """A test's client is never too fast."""

    def resume_reading(self) -> None:
        """See above."""

    def _take(self, payload: bytes) -> None:
        self.messages += 1
        for raw in split(payload):
            frame = decode_frame(raw)
            assert not isinstance(frame, UnknownFrame | UnknownEvent)
            self.frames.append(frame)

    def say(self, *commands: Command) -> None:
        self.inlet.received(join([encode(command) for command in commands]))
        self._stage.run()

    def hear(self) -> list[Frame]:
        """What came since the last time."""
        frames, self.frames = self.frames, []
        return frames

    def mutate(self, number: int, operation: Operation) -> None:
        self.say(Mutate(number, Raw(encode(operation))))

    def drop(self, code: int = 1006) -> None:
        self.inlet.closed(code, "")
        self._stage.run()


class Stage:
    """See the module."""

    def __init__(self, limits: CastLimits | None = None) -> None:
        self.now = 1000.0
        self.store = RecordingStore()
        self.journal = RecordingJournal()
        self.link = RecordingLink()
        self.crashes: list[tuple[str, Hashable, Exception]] = []
        self.turns = Turns(
            clock=lambda: self.now,
            wall=lambda: self.now + 1_000_000,
            random=lambda: 0.5,
            on_crash=lambda pool, key, cause: self.crashes.append((pool, key, cause)),
        )
        near = Neighbourhood()
        self.exchange = Exchange(near)
        self.near = near
        self.tokens = PlainTokens()
        ports = Ports(GATEWAY, self.store, self.journal, self.link, self.tokens)
        self.cast = assemble(self.turns, near, self.exchange, ports, limits or CastLimits())
        self.pokes = 0
        self.exchange.settle(self.link, self._poke)

    def _poke(self) -> None:
        self.pokes += 1

    def run(self) -> None:
        """Until nobody has anything to do."""
        self.turns.advance()
        while self.turns.ready:
            self.turns.run_ready(1000)

    def wait(self, seconds: float) -> None:
        """Time passes, timers ring."""
        end = self.now + seconds
        while self.turns.next_deadline_s() <= end:
            self.now = max(self.now, self.turns.next_deadline_s())
            self.run()
        self.now = end
        self.run()

    # Answers

    def asked(self, kind: type[QueryT]) -> list[QueryT]:
        return [query for query, _, _ in self.store.asked if isinstance(query, kind)]

    def answer(self, kind: type[Query], result: Result) -> None:
        """Answers the oldest open question of this kind."""
        at = next(n for n, (query, _, _) in enumerate(self.store.asked) if isinstance(query, kind))
        _, ticket, reply_to = self.store.asked.pop(at)
        reply_to.tell(Answered(ticket, result))
        self.run()

    def decide(self, code: Code = Code.OK, value: int = 0) -> None:
        """Decides the oldest entry."""
        entry, reply_to = self.journal.entries.pop(0)
        reply_to.tell(Decided(entry.number, code, value, generation=entry.generation))
        self.run()

    # Scenes

    def token(self, user: int, device: int, seconds: float = 900) -> str:
        return f"{user}:{device}:{device + 500}:{int(self.now + 1_000_000 + seconds)}"

    def connect(self, user: int = 1, device: int = 11, generation: int = 1, cursors: Sequence[object] = (), **hello: object) -> Line:
        """A client that is welcomed."""
        line = Line(self)
        line.say(Hello(1, self.token(user, device), device, tuple(cursors), **hello))  # type: ignore[arg-type]
        self.answer(Attach, attached(generation))
        return line

    def follow(self, line: Line, stream: int, head: int = 0, version: int = 0) -> None:
        """Answers the follow that is open: nothing was missed."""
        self.answer(ReadAfter, Events(SPACE, head, version, (), False))


def attached(generation: int = 1, last_number: int = 0, previous_gateway: int = 0) -> Attached:
    return Attached(generation, last_number, 2, EPOCH, 2_000_000, "Amina", previous_gateway)


def rows(first: int, last: int) -> tuple[Row, ...]:
    return tuple(Row(seq, 9, 1_800_000_000, encode(Said(f"text {seq}"))) for seq in range(first, last + 1))
