"""A simulated device: the client library's own machine, ledger and positions, driven by the world instead of by trio.

It posts unique texts, wanders off, comes back to whichever gateway, and keeps a copy of every stream it follows. What it was told is
done, it remembers: the checker asks for all of it in the end.
"""

from __future__ import annotations

from msgspec import Raw

from actors.device import digest_of
from client.ledger import Entry, Ledger
from client.positions import Heard, Positions, Verdict
from proofs.simulation.database import Database
from proofs.simulation.gateway import SimulatedGateway
from proofs.simulation.network import SimulatedSocket
from proofs.simulation.rows import DeviceRow
from proofs.simulation.world import Violation, World
from protocol import client_session as machine
from protocol.client_session import Action, Session, State
from protocol.codec import decode_frame, encode, join, split
from protocol.codes import TABLE, Code, Retry
from protocol.events import AnyBody
from protocol.frames import (
    VERSION,
    Bye,
    Command,
    Done,
    DoneRun,
    Event,
    Failed,
    Follow,
    Followed,
    Frame,
    Hello,
    Lagged,
    Mutate,
    Refused,
    Typing,
    Unfollowed,
    Watch,
    Welcome,
)
from protocol.operations import Operation
from protocol.values import LinkQuality

WINDOW = 16
RETRY_S = 0.3
RENEW_S = 0.2


class SimulatedDevice:
    """See the module."""

    def __init__(self, world: World, row: DeviceRow, database: Database, gateways: list[SimulatedGateway]) -> None:
        self._world = world
        self.row = row
        self.user = row.user
        self.name = f"device {row.id}"
        self._database = database
        self._gateways = gateways
        self.session = Session()
        self.ledger = Ledger()
        self.positions = Positions({database.inboxes[row.user]: 0})
        self.copies: dict[int, dict[int, tuple[int, AnyBody]]] = {}
        self.acknowledged: list[tuple[Operation, int]] = []
        self.refused: list[tuple[Operation, Code]] = []
        self.operations: dict[int, Operation] = {}
        self.unwanted: set[int] = set()
        self._socket: SimulatedSocket | None = None
        self._line = 0
        self._keys = 0
        self._request = 0
        self._welcomed_at = 0.0
        self.positions.want(database.inboxes[row.user])

    # What its person does

    def come(self) -> None:
        """Begins, once."""
        self._feed(machine.Began())

    def ask(self, operation: Operation) -> None:
        """Something durable, now or when there is a line."""
        self._keys += 1
        self.operations[self._keys] = operation
        self.ledger.append(Entry(self._keys, encode(operation)))
        self._send_due()

    def follow(self, stream: int) -> None:
        self.unwanted.discard(stream)
        if self.positions.want(stream, 0):
            self._send_due()

    def chatter(self, stream: int, space: int) -> None:
        """Ephemeral things, which may get lost."""
        if self.online:
            self._request += 1
            self._send(Typing(stream), Watch(self._request, space, self._world.happens(0.5)))

    def lose_line(self) -> None:
        """The network is gone for this device."""
        if self._socket is not None:
            self._world.tell(self.name, "loses its line")
            self._socket.cut()

    @property
    def online(self) -> bool:
        return self.session.state in (State.ONLINE, State.DRAINING) and self._socket is not None

    @property
    def ended(self) -> bool:
        return self.session.state is State.ENDED

    # Its machine

    def _feed(self, happened: machine.Input | Frame) -> None:
        try:
            step = machine.step(self.session, happened, self._world.chance.random())
        except machine.IllegalInput as illegal:
            raise Violation(f"{self.name} was surprised: {illegal}") from illegal
        self.session = step.session
        for action in step.actions:
            self._act(action)

    def _act(self, action: Action) -> None:
        match action:
            case machine.Connect():
                self._connect()
            case machine.Greet():
                hello = Hello(
                    VERSION,
                    f"{self.user}:{self.row.id}:{self.row.session}",
                    self.row.id,
                    self.positions.hello(),
                    self.session.epoch,
                    link=LinkQuality.GOOD,
                )
                self._send(hello)
            case machine.Resume():
                assert not action.reset, "a simulated database is never restored"
                self.ledger.welcomed(action.last_number)
                self._welcomed_at = self._world.now
                self._send_due()
            case machine.Wait() | machine.LeaveAfter():
                self._alarm(action.ms / 1000)
            case machine.Leave():
                self._send(Bye())
            case machine.Close():
                if self._socket is not None:
                    self._socket.cut()
            case machine.Renew():
                self._world.after(RENEW_S, self._renewed)
            case _:
                raise AssertionError(action)

    def _renewed(self) -> None:
        if self.session.state is State.RENEWING:
            self._feed(machine.TokenRefused("revoked") if self.row.revoked else machine.Renewed())

    def _alarm(self, delay_s: float) -> None:
        state = self.session.state

        def ring() -> None:
            if self.session.state is state:
                self._feed(machine.Waited())

        self._world.after(delay_s, ring)

    def _connect(self) -> None:
        gateway = self._world.chance.choice(self._gateways)
        self._line += 1
        line = self._line
        socket = gateway.connect(lambda payload: self._heard(line, payload), lambda code: self._cut(line, code))

        def opened() -> None:
            if socket is None:
                self._feed(machine.ConnectFailed())
            elif line == self._line:
                self._socket = socket
                self._world.tell(self.name, f"is connected to gateway {gateway.number}")
                self._feed(machine.Connected())

        self._world.after(self._world.between(0.0, 0.2), opened)

    def _cut(self, line: int, code: int) -> None:
        if line != self._line:
            return
        if self._socket is None:  # cut before it was known to be open
            self._line += 1
            if self.session.state is State.CONNECTING:
                self._feed(machine.ConnectFailed())
            return
        self._socket = None
        self.ledger.cut()
        self._world.tell(self.name, f"has lost its socket, code {code}")
        self._feed(machine.Cut(code, online_ms=int((self._world.now - self._welcomed_at) * 1000)))

    # Frames

    def _heard(self, line: int, payload: bytes) -> None:
        if line != self._line or self._socket is None:
            return
        for raw in split(payload):
            frame = decode_frame(raw)
            assert isinstance(frame, Frame), f"{self.name} got {frame}"
            if isinstance(frame, Welcome):
                self._world.tell(self.name, f"is welcomed; decided up to {frame.last_number}")
            self._feed(frame)
            self._take(frame)
        self._send_due()

    def _take(self, frame: Frame) -> None:
        match frame:
            case Event():
                self._event(frame)
            case Followed():
                if self.positions.followed(frame.stream, frame.id, frame.upto, frame.live) is Heard.STALLED:
                    raise Violation(f"{self.name} is not brought further in stream {frame.stream}")
            case Lagged():
                self.positions.lagged(frame.stream)
            case Unfollowed():
                self.positions.rest(frame.stream)
                self.unwanted.add(frame.stream)
            case Failed() if frame.stream:
                if self.positions.failed(frame.stream, frame.id):
                    if TABLE[frame.code].retry is Retry.LATER:
                        self._world.after(RETRY_S, lambda: self.follow(frame.stream))
                    else:
                        self.unwanted.add(frame.stream)
            case Done():
                self._settled(frame.number, Code.OK, frame.value)
            case DoneRun():
                for offset, value in enumerate(frame.values):
                    self._settled(frame.first + offset, Code.OK, value)
            case Refused():
                if TABLE[frame.code].retry is Retry.NO:
                    self._settled(frame.number, frame.code, 0)
                else:
                    self.ledger.bounce(frame.number)
            case _:
                pass

    def _event(self, event: Event) -> None:
        verdict = self.positions.judge(event.stream, event.seq)
        self._may_see(event)
        if verdict is Verdict.ASK:
            at = self.positions.cursor(event.stream)
            raise Violation(f"{self.name} was sent event {event.seq} of stream {event.stream} after {at}: the server skipped some")
        if verdict is Verdict.APPLY:
            self.copies.setdefault(event.stream, {})[event.seq] = (event.author, event.body)
            self.positions.apply(event.stream, event.seq)

    def _may_see(self, event: Event) -> None:
        """Nobody is sent what happened after they were put out of a stream's audience."""
        since = self._database.put_out.get((event.stream, self.user))
        if since is not None and event.seq > since and not self._database.may_read(event.stream, self.user):
            raise Violation(f"{self.name} was sent event {event.seq} of stream {event.stream}, which it may not read since {since}")

    def _settled(self, number: int, code: Code, value: int) -> None:
        entry = self.ledger.settle(number)
        if entry is None:
            return
        operation = self.operations[entry.key]
        if code is Code.OK:
            self.acknowledged.append((operation, value))
        else:
            if code in (Code.TOO_OLD, Code.NUMBER_REUSED):
                raise Violation(f"{self.name}: mutation {number} ({operation}) was refused with {code.name}; {digest_of(entry.operation)}")
            self.refused.append((operation, code))

    def _send_due(self) -> None:
        """Whatever may go out now."""
        if not self.online:
            return
        frames: list[Command] = []
        for stream in self.positions.unasked():
            self._request += 1
            frames.append(Follow(self._request, stream, self.positions.asked(stream, self._request)))
        if self.ledger.may_rewind:
            self._world.after(RETRY_S, self._rewind)
        frames += [Mutate(entry.number, Raw(entry.operation)) for entry in self.ledger.take(WINDOW, 8_000, 64)]
        if frames:
            self._send(*frames)

    def _rewind(self) -> None:
        if self.ledger.may_rewind:
            self.ledger.rewind()
            self._send_due()

    def _send(self, *frames: Command) -> None:
        if self._socket is not None:
            for start in range(0, len(frames), 64):
                self._socket.send_to_server(join([encode(frame) for frame in frames[start : start + 64]]))
