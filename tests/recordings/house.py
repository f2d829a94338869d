"""A server for recordings: the real actors over the model of the database, in a world where every number and every second is known.

    bytes of a socket ─▶ session · device · channel ─▶ journal, store ─▶ proofs.simulation.Database
                                          ◀─ frames, events, outcomes ──╯

Everything happens at once, in the order in which it was asked for; time passes only when `pass_time` says so.

Invariant: the same bytes in the same order are answered by the same bytes.
"""

from __future__ import annotations

from actors.accounts import Claims
from actors.cell import Ref
from actors.exchange import Exchange
from actors.neighbourhood import Neighbourhood
from actors.socket_port import Batch, Inlet, Peer
from actors.storage import Answered, Decided, Entry, Query
from proofs.simulation.database import Database
from protocol.codes import Code
from protocol.values import Role, StreamKind
from supervisors.cast import CastLimits, Ports, assemble
from supervisors.turns import Turns

GATEWAY = 17
START_WALL_S = 1_800_000_000


class Tokens:
    """Tokens that say `user:device:session`."""

    def verify(self, token: str, now: float) -> Claims | Code:
        user, device, session = (int(part) for part in token.split(":"))
        return Claims(user, device, session, int(now), int(now) + 900)

    def seal(self, claims: Claims, epoch: int, terms: bytes) -> bytes:
        """Nobody who was recorded asks for a ticket."""
        return b"ticket"

    def unseal(self, ticket: bytes, terms: bytes, now: float) -> None:
        """See above."""


class SilentLink:
    """There is no other gateway."""

    def publish(self, stream: int, seq: int, audience_version: int, frame: bytes) -> None:
        """Nobody else is there."""

    def subscribe(self, stream: int) -> None:
        """See above."""

    def unsubscribe(self, stream: int) -> None:
        """See above."""

    def announce(self, topic: str, payload: bytes) -> None:
        """See above."""


class Socket:
    """One client's end: bytes in, messages out."""

    heartbeat_s = 45.0
    queued_bytes = 0
    sums = None

    def __init__(self, house: House) -> None:
        self._house = house
        self._heard: list[bytes] = []
        self.closed: int | None = None
        self.inlet: Inlet = house.cast.entrance.accept(self, self.peer)
        house.settle()

    @property
    def peer(self) -> Peer:
        return Peer("192.0.2.1")

    def push(self, batch: Batch) -> bool:
        self._heard.append(bytes(batch.payload))
        return True

    def send(self, payload: bytes) -> None:
        self._heard.append(bytes(payload))

    def close(self, code: int, reason: str) -> None:
        self.closed = code

    def pause_reading(self) -> None:
        """A recording is never too fast."""

    def resume_reading(self) -> None:
        """See above."""

    def say(self, message: bytes) -> None:
        """The client sends this, and everything that follows from it happens."""
        self.inlet.received(message)
        self._house.settle()

    def hear(self) -> list[bytes]:
        """The messages that came since the last time."""
        heard, self._heard = self._heard, []
        return heard


class House:
    """See the module. Ann founded the community and learns in it; her devices are 1 and 2."""

    def __init__(self) -> None:
        self._now = 1_000.0
        self.database = Database()
        self.ann = self.database.create_user("Ann")
        self.devices = [self.database.create_device(self.ann).id for _ in range(2)]
        space = self.database.create_community("Seven springs", self.ann, now=START_WALL_S)
        tables = self.database.tables
        enrolment = tables.enrolment(space.id, self.ann)
        assert enrolment is not None
        home = next(one for one in tables.spaces.values() if one.of == self.ann and one.parent == 0)
        self.inbox = tables.inboxes[self.ann]
        self.own = tables.stream_of(home, StreamKind.OWN)
        self.answers = tables.stream_of(enrolment, StreamKind.ANSWERS)
        self.board = tables.stream_of(space, StreamKind.BOARD)
        self.library = tables.stream_of(space, StreamKind.LIBRARY)
        assert space.members[self.ann] is Role.OWNER
        self._entries: list[tuple[Entry, Ref[Decided]]] = []
        self._queries: list[tuple[Query, int, Ref[Answered]]] = []
        self.crashes: list[Exception] = []
        self._turns = Turns(
            clock=lambda: self._now,
            wall=lambda: self.wall,
            random=lambda: 0.5,
            on_crash=lambda pool, key, cause: self.crashes.append(cause),
        )
        near = Neighbourhood()
        self._exchange = Exchange(near)
        link = SilentLink()
        self.cast = assemble(self._turns, near, self._exchange, Ports(GATEWAY, self, self, link, Tokens()), CastLimits())
        self._exchange.settle(link, lambda: None)
        self._exchange.up()
        self._tell_inbox()
        self.settle()

    @property
    def wall(self) -> float:
        return START_WALL_S + self._now - 1_000

    def token(self, device: int) -> str:
        return f"{self.ann}:{device}:{device + 1000}"

    # The ports

    def submit(self, entry: Entry, reply_to: Ref[Decided]) -> bool:
        self._entries.append((entry, reply_to))
        return True

    def ask(self, query: Query, ticket: int, reply_to: Ref[Answered]) -> None:
        self._queries.append((query, ticket, reply_to))

    # What happens

    def settle(self) -> None:
        """Until nobody has anything to do."""
        self._turns.advance()
        while True:
            while self._turns.ready:
                self._turns.run_ready(1000)
            if self._entries:
                batch, self._entries = self._entries, []
                decided, facts = self.database.append([entry for entry, _ in batch], int(self.wall))
                self._exchange.committed(facts)
                for (_, reply_to), outcome in zip(batch, decided, strict=True):
                    reply_to.tell_control(outcome)
                self._tell_inbox()
            elif self._queries:
                query, ticket, reply_to = self._queries.pop(0)
                reply_to.tell_control(Answered(ticket, self.database.query(query, self.wall)))
            else:
                break
        assert not self.crashes, self.crashes

    def _tell_inbox(self) -> None:
        self._exchange.committed(self.database.deliver_outbox(int(self.wall)))

    def pass_time(self, seconds: float) -> None:
        """Time passes, timers ring."""
        end = self._now + seconds
        while self._turns.next_deadline_s() <= end:
            self._now = max(self._now, self._turns.next_deadline_s())
            self.settle()
        self._now = end
        self.settle()
