"""A simulated device: the client library's own machine, ledger and positions, driven by the world instead of by trio.

    person ─▶ wishes, questions ─▶ Notebook ─▶ frames ─▶ socket ─▶ whichever gateway
              machine ◀─ what happened to the socket, the token, the wait ─┘

It posts unique texts, wanders off, comes back to whichever gateway, and keeps a copy of every stream it follows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from client.parcels import weigh, wrap
from proofs.simulation.coverage import Coverage
from proofs.simulation.database import Database
from proofs.simulation.gateway import SimulatedGateway, write_token
from proofs.simulation.network import SimulatedSocket
from proofs.simulation.notebook import RETRY_S, Notebook, StoreCopied
from proofs.simulation.rows import NEVER, DeviceRow
from proofs.simulation.telling import name_of_end
from proofs.simulation.world import Violation, World, lane_of_device
from protocol import client_session as machine
from protocol.client_session import Action, Session, State
from protocol.codec import decode_frame, encode, join, split
from protocol.codes import Code
from protocol.cursors import pack
from protocol.entities import SCHEMA
from protocol.frames import (
    VERSION,
    AnyRequest,
    Bye,
    Command,
    Done,
    DoneRun,
    Failed,
    Follow,
    Frame,
    Goodbye,
    Hello,
    Refresh,
    Refused,
    Resume,
    Resumed,
    TakeTicket,
    Ticket,
    Typing,
    Unfollowed,
)
from protocol.operations import Operation
from protocol.values import Cursor, LinkQuality

WINDOW = 16
RENEW_MAX_S = 2.0
CLOCK_SLACK_S = 5.0
"""As the client library has it: a token with less left is renewed before it is shown."""
RENEW_AHEAD_S = 8.0
SETTLED_S = 60.0
"""A question without an answer after this long, on a socket that is open, has been forgotten."""


class Habits(Struct, frozen=True):
    """How a device and its person behave. Probabilities per occasion."""

    token_life_s: float = 900.0
    forgetful: float = 0.0
    """A token is not refreshed in time."""
    spoiled: float = 0.0
    """A token is shown that is none of ours, or that is over."""
    eager: float = 0.0
    """Something is sent before `Welcome` has come."""
    renewal_fails: Callable[[], bool] = lambda: False
    quality: LinkQuality = LinkQuality.GOOD
    schema: int = SCHEMA
    tickets: float = 0.0
    """Something to resume with is asked for, and used at the next socket."""
    chunks: bool = True


class SimulatedDevice:
    """See the module."""

    def __init__(
        self, world: World, row: DeviceRow, database: Database, gateways: Sequence[SimulatedGateway], coverage: Coverage, habits: Habits
    ) -> None:
        self._world = world
        self.id = row.id
        self.user = row.user
        self.name = f"device {row.id}"
        self.column = lane_of_device(self.name)
        self._gateways = gateways
        self._coverage = coverage
        self.habits = habits
        self.session = Session()
        self._database = database
        self.notebook = Notebook(world, row, database, self.send_due)
        self.positions = self.notebook.positions
        self.restored = 0
        self.stopped = False
        self.excused = False
        """It ended, or was about to, for a reason that another history of the database has forgotten."""
        self._spoiled = 0
        self._socket: SimulatedSocket | None = None
        self._gateway: SimulatedGateway | None = None
        self._line = 0
        self._welcomed_at: float | None = None
        """On the present socket."""
        self._drained_at = 0.0
        self._ticket: tuple[Ticket, int] | None = None
        """And of which epoch it is."""
        self._shown: tuple[Cursor, ...] = ()
        self._token_until = world.wall() + habits.token_life_s
        self.on_greeting: Callable[[], list[Command]] = list
        self.positions.want(database.inboxes[row.user])

    # What its person does

    def come(self) -> None:
        """Begins, once; unless it was stopped before."""
        if self.session.state is State.IDLE:
            self._feed(machine.Began())

    def ask(self, operation: Operation) -> None:
        """Something durable, now or when there is a line."""
        self.notebook.append(operation)
        self.send_due()

    def follow(self, stream: int) -> None:
        if self.positions.want(stream, 0):
            self.send_due()

    def wonder(self, command: AnyRequest | Typing) -> None:
        """A question, or something ephemeral, which may get lost."""
        if self.online:
            self.send(command)

    def stop(self) -> None:
        """Its owner is done with it."""
        self._world.tell(self.column, f"its owner ends it, {self.session.state.value}")
        self.stopped = True
        self._feed(machine.Stopped())

    def lose_line(self) -> None:
        """The network is gone for this device."""
        if self._socket is not None:
            self._world.tell(self.column, "loses its line", fault=True)
            self._socket.cut()

    def stall_line(self, seconds: float) -> None:
        """Nothing comes or goes for a while."""
        if self._socket is not None:
            self._socket.stall(seconds)

    @property
    def row(self) -> DeviceRow:
        """What the database knows of it."""
        return self._database.devices[self.id]

    @property
    def line(self) -> tuple[SimulatedGateway, SimulatedSocket] | None:
        """The open socket, and where it leads."""
        return (self._gateway, self._socket) if self._socket is not None and self._gateway is not None else None

    @property
    def online(self) -> bool:
        return self.session.state in (State.ONLINE, State.DRAINING) and self._socket is not None

    @property
    def ended(self) -> bool:
        return self.session.state is State.ENDED

    @property
    def was_refused_for_spoiled_tokens(self) -> bool:
        """Shown often enough, they end a session: somebody has to log in again."""
        end = self.session.end
        return self._spoiled > 0 and end is not None and end.code in (Code.UNAUTHENTICATED, Code.TOKEN_EXPIRED)

    @property
    def must_be_updated(self) -> bool:
        """A server of a later protocol said so: it ends for good, and rightly."""
        return self.session.end is not None and self.session.end.code == Code.VERSION

    def forgotten(self) -> str:
        """A question that was never answered, in words."""
        for command, at in self.notebook.asked.values():
            if self.online and self._world.now - at > SETTLED_S:
                return f"{command} of {at:.1f} s was not answered"
        return ""

    # Its machine

    def _feed(self, happened: machine.Input | Frame) -> None:
        try:
            step = machine.step(self.session, happened, self._world.chance.random())
        except machine.IllegalInput as illegal:
            raise Violation(f"{self.name} was surprised: {illegal}", device=self.id) from illegal
        if step.session.state is not self.session.state:
            self._world.tell(self.column, f"is {step.session.state.value}")
        self.session = step.session
        for action in step.actions:
            self._act(action)

    def _act(self, action: Action) -> None:
        match action:
            case machine.Connect():
                self._connect()
            case machine.Greet():
                self._greet()
            case machine.ShowTicket():
                self._show_ticket()
            case machine.Resume():
                if action.reset:
                    self.restored += 1
                    self.notebook.begin_anew()
                self.notebook.ledger.welcomed(action.last_number)
                self._welcomed_at = self._world.now
                self._keep_token()
                if self._world.happens(self.habits.tickets):
                    self.send(TakeTicket(self.notebook.next_request()))
                self.send_due()
            case machine.Wait():
                self._world.after(action.ms / 1000, lambda: self._feed(machine.Waited()) if self.session.state is State.WAITING else None)
            case machine.LeaveAfter():
                line = self._line
                self._drained_at = self._world.now
                # It belongs to the socket, and comes in whatever state that finds the session.
                self._world.after(
                    action.ms / 1000, lambda: self._feed(machine.Waited()) if line == self._line and self._socket is not None else None
                )
            case machine.Leave():
                self.send(Bye())
            case machine.Close():
                if self._socket is not None:
                    self._socket.cut()
            case machine.Renew():
                self._world.after(self._world.between(0.0, RENEW_MAX_S), self._renew)
            case _:
                raise AssertionError(action)

    # Tokens

    def _renew(self) -> None:
        if self.session.state is State.RENEWING:
            failed = self._renewal_fails()
            self._feed(failed or machine.Renewed())

    def _renewal_fails(self) -> machine.Input | None:
        """Asks for a new token; what went wrong, if something did."""
        if self.row.revoked:
            return machine.TokenRefused("revoked")
        if self.habits.renewal_fails():
            return machine.RenewFailed("no way to the server")
        self._token_until = self._world.wall() + self.habits.token_life_s
        self.row.expires = NEVER
        return None

    def _keep_token(self) -> None:
        line = self._line

        def refresh() -> None:
            if line == self._line and self.online and not self._world.happens(self.habits.forgetful) and not self._renewal_fails():
                self.send(Refresh(self.notebook.next_request(), self.token()))
                self._keep_token()

        self._world.after(self._token_until - self._world.wall() - RENEW_AHEAD_S, refresh)

    def token(self) -> str:
        """What it shows: its access token, or by mistake something else."""
        if self._world.happens(self.habits.spoiled):
            self._spoiled += 1
            return self._world.chance.choice(("spoiled", write_token(self.user, self.id, self.row.session, self._world.wall() - 1)))
        return write_token(self.user, self.id, self.row.session, self._token_until)

    # Sockets

    @property
    def _has_ticket(self) -> bool:
        held = self._ticket
        return held is not None and held[1] == self.session.epoch and held[0].expires > self._world.wall()

    def _show_ticket(self) -> None:
        assert self._ticket is not None
        ticket, _ = self._ticket
        shown = b"spoiled" if self._world.happens(self.habits.spoiled) else ticket.ticket
        left_ms = int((ticket.expires - self._world.wall()) * 1000)
        self._shown = self.positions.hello()
        resume = Resume(shown, left_ms, pack(self._shown), self.habits.quality, schema=self.habits.schema)
        self.send(resume, *(self.on_greeting() if self._world.happens(self.habits.eager) else ()))

    def _resumed(self, resumed: Resumed) -> None:
        """Every stream that was shown is live, where nothing else is said of it."""
        for place, cursor in enumerate(self._shown):
            if place not in resumed.rest:
                self.positions.followed(cursor.stream, 0, cursor.seq, True)

    def _greet(self) -> None:
        hello = Hello(
            VERSION,
            self.token(),
            self.id,
            self.positions.hello(),
            self.session.epoch,
            link=self.habits.quality,
            schema=self.habits.schema,
        )
        self.send(hello, *(self.on_greeting() if self._world.happens(self.habits.eager) else ()))

    def _connect(self) -> None:
        if self._token_until - self._world.wall() < CLOCK_SLACK_S:
            failed = self._renewal_fails()
            if failed is not None:
                epoch = self._database.tables.epoch

                def hear() -> None:
                    """What another history answered is lost with it."""
                    if self.session.state is State.CONNECTING:
                        same = epoch == self._database.tables.epoch
                        self._feed(failed if same else machine.RenewFailed("the database was restored"))

                self._world.after(RENEW_MAX_S, hear)
                return
        gateway = self._world.chance.choice(self._gateways)
        self._line += 1
        line = self._line
        socket = gateway.connect(lambda payload: self._heard(line, payload), lambda code: self._cut(line, code), self.column)

        def opened() -> None:
            if line != self._line:
                return
            if self.session.state is not State.CONNECTING:  # stopped meanwhile
                if socket is not None:
                    socket.cut()
            elif socket is None:
                self._feed(machine.ConnectFailed())
            else:
                self._socket, self._gateway = socket, gateway
                self._world.tell_sent(self.column, gateway.column, "is connected", sent_s=self._world.now)
                self._feed(machine.Connected(self._has_ticket))

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
        self.notebook.cut()
        if code >= 4000:
            self._coverage.heard(code)
        self._world.tell(self.column, f"has lost its socket: {name_of_end(code)}")
        waited_ms = int((self._world.now - self._drained_at) * 1000) if self._drained_at else 0
        self._drained_at = 0.0
        online_ms = int((self._world.now - self._welcomed_at) * 1000) if self._welcomed_at is not None else 0
        self._welcomed_at = None
        self._feed(machine.Cut(code, online_ms=online_ms, waited_ms=waited_ms))

    # Frames

    def _heard(self, line: int, payload: bytes) -> None:
        if line != self._line or self._socket is None:
            return
        for raw in split(payload):
            frame = decode_frame(raw)
            assert isinstance(frame, Frame), f"{self.name} got {frame}"
            self.count(frame)
            if isinstance(frame, Failed) and frame.code is Code.TICKET:
                self._ticket = None
                self.notebook.passed_over()
                self._feed(machine.TicketRefused())
                continue
            if isinstance(frame, Resumed):
                self._resumed(frame)
            elif isinstance(frame, Ticket):
                self._ticket = frame, self.session.epoch
            self._feed(frame)
            if self.session.state is State.ENDED:
                continue
            self.hear_outcome(frame)
        self.send_due()

    def hear_outcome(self, frame: Frame) -> None:
        """What became of mutations, wherever it was told."""
        try:
            self.notebook.take(frame)
        except StoreCopied:
            self._world.tell(self.column, "finds out that its store was copied", fault=True)
            if machine.Broken in machine.RULES[self.session.state]:  # elsewhere the next socket will say so again
                self._feed(machine.Broken(Code.NUMBER_REUSED))

    def count(self, frame: Frame) -> None:
        """What it is, and which code is in it."""
        self._coverage.frames[type(frame).__name__] += 1
        match frame:
            case Refused() | Failed() | Goodbye() | Unfollowed():
                self._coverage.heard(frame.code)
            case Done() | DoneRun():
                self._coverage.heard(Code.OK)
            case _:
                pass

    def send_due(self) -> None:
        """Whatever may go out now."""
        if not self.online:
            return
        notebook = self.notebook
        frames: list[bytes] = []
        while notebook.wonders:
            question = notebook.wonders.pop()
            notebook.asks(question)
            frames.append(encode(question))
        for stream in self.positions.unasked():
            request = notebook.next_request()
            follow = Follow(request, stream, self.positions.asked(stream, request))
            notebook.asks(follow)
            frames.append(encode(follow))
        if notebook.ledger.may_rewind:
            self._world.after(notebook.wait_s, self._rewind)
            notebook.wait_s = RETRY_S
        taken = notebook.ledger.take(WINDOW, 8_000, 64, weigh=weigh)
        frames += wrap(taken) if self.habits.chunks else [one for entry in taken for one in wrap([entry])]
        self._send_encoded(frames)

    def _rewind(self) -> None:
        if self.notebook.ledger.may_rewind:
            self.notebook.ledger.rewind()
            self.send_due()

    def send(self, *frames: Command) -> None:
        """Now, whatever the state."""
        if self._socket is not None:
            for frame in frames:
                if isinstance(frame, AnyRequest):
                    self.notebook.asks(frame)
            self._send_encoded([encode(frame) for frame in frames])

    def _send_encoded(self, frames: Sequence[bytes]) -> None:
        if self._socket is not None:
            for start in range(0, len(frames), 64):
                self._socket.send_to_server(join(frames[start : start + 64]))
