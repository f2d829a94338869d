"""Runs a session: carries out what the session machine says, one socket after the other, until it is over.

    machine ─Connect─▶ open, Hello or Resume ─▶ ┌ read ┐ ┌ write ┐ ┌ heartbeat ┐ ┌ renew the token ┐ ─▶ cut ─▶ machine
            ─Wait────▶ sleep                    └──────┘ └───────┘ └───────────┘ └─────────────────┘
            ─Renew───▶ HTTP                     the first of them that ends ends the socket

Each socket has one nursery, and whatever belongs to it ends with it. Time is trio's; chance and the wall clock come from `World`.

Invariant: every socket that was opened is reported to the machine as `Cut` once, after the exchange has put back what was open on it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio
from msgspec.structs import replace

from client.errors import AccountError, DeviceCopied, LinkClosed, ServerFault, SessionEnded, Unreachable
from client.exchange import Exchange
from client.link import Link, Transport
from client.session import Session, Status, World
from client.settings import Forking, Grant, Settings
from client.tickets import VOID, Kept
from protocol import client_session as machine
from protocol.client_session import State, backoff_ms
from protocol.codec import BadFrame, decode_frame, encode, join, split
from protocol.codes import Code
from protocol.cursors import pack
from protocol.entities import SCHEMA
from protocol.frames import (
    VERSION,
    AnyFrame,
    Bye,
    Draining,
    Failed,
    Followed,
    Goodbye,
    Hello,
    Ping,
    Resume,
    Resumed,
    Welcome,
)
from protocol.values import Cursor, LinkQuality

GREETING_S = 20.0
"""From the open socket to `Welcome`. The server itself gives a client ten seconds, and then there is its own work and the way back."""
HEARTBEAT_DEFAULT_S = 60.0
"""Where the server does not say."""
PATIENCE = 1.25
"""The server pings at its heartbeat; a quarter more of silence means that its ping is late, not that ours is early."""
PONG_S = 10.0
"""How long a silent link has to answer: a bad 2G link takes 1.6 s and sometimes loses the first try."""
NUDGE_S = 1.5
"""So long after the last word, with an answer due and nothing heard, a `Ping` follows. If the last packet was lost, TCP would notice by a
time-out alone, which on a 2G link is seconds away and doubles; a packet behind it shows the loss as soon as its acknowledgement is back."""
ANSWER_S = 60.0
"""Mutations are answered or the socket is given up: the server answers within its own deadlines, which are shorter."""
RENEW_AHEAD_S = 120.0
"""A token is renewed this long before it expires (of 900 s), and up to a minute earlier by chance, so that clients that came together
after an outage do not renew together."""
CLOCK_SLACK_S = 5.0
"""A token with less time than this left is renewed before it is shown."""
SLOW_GREETING_S = 0.6
"""From `Hello` to `Welcome`: a link that takes longer is treated as a poor one until the next socket."""
FORKS_MAX = 3
"""Devices asked for in one session because its store was copied. The first one ends the matter; more mean that somebody is wrong."""
LEAVE_S = 3.0
"""What is left to say at the end gets this long."""


class Runner:
    """The life of one session."""

    def __init__(self, session: Session, exchange: Exchange, transport: Transport, grant: Grant, settings: Settings, world: World) -> None:
        self._session = session
        self._exchange = exchange
        self._transport = transport
        session.when_hurried(self.hurry)
        self._grant = grant
        self._settings = settings
        self._world = world
        self._machine = machine.Session(epoch=exchange.epoch)
        self._todo: deque[machine.Action] = deque()
        self._socket: Socket | None = None
        self._activity = trio.CancelScope()
        self._hurried = trio.Event()
        self._cause = machine.Cut()
        self._copied: str | None = None
        self._forks = 0

    async def run(self) -> None:
        """Runs until the session is over. To be cancelled at will."""
        try:
            if self._machine.state is State.IDLE:
                self.feed(machine.Began())
            while self._todo and self._machine.state is not State.ENDED:
                action = self._todo.popleft()
                with self._activity:
                    await self._do(action)
                self._activity = trio.CancelScope()
        finally:
            self._finish()

    async def _do(self, action: machine.Action) -> None:
        match action:
            case machine.Connect():
                await self._connect()
            case machine.Wait(ms, least_ms):
                self._hurried = trio.Event()
                # A store that was copied ends the line itself: the cut of it knows no code.
                code = self._cause.code or (int(Code.NUMBER_REUSED) if self._copied is not None else 0)
                self._session.set_status(Status("waiting", ms / 1000, code, self._cause.detail))
                await trio.sleep(least_ms / 1000)
                with trio.move_on_after((ms - least_ms) / 1000):
                    await self._hurried.wait()
                self.feed(machine.Waited())
            case machine.Renew():
                await self._renew()
            case _:
                pass

    def stop(self) -> None:
        """The owner is done: says `Bye` if a socket is open. `run` returns soon."""
        self.feed(machine.Stopped())
        if self._socket is None:
            self._activity.cancel()

    def will_fork(self, detail: str) -> bool:
        """The store was copied: goes on as another device, if the grant can become one."""
        if not isinstance(self._grant, Forking) or self._forks >= FORKS_MAX:
            return False
        self._copied = detail
        return True

    def hurry(self) -> None:
        """Ends a wait as soon as it may be ended; without one nothing happens."""
        self._hurried.set()

    def feed(self, happened: machine.Input | AnyFrame) -> None:
        """Feeds the machine; what concerns the open socket is done at once, the rest when the socket is gone."""
        step = machine.step(self._machine, happened, self._world.spread())
        self._machine = step.session
        for action in step.actions:
            if isinstance(action, machine.Connect | machine.Wait | machine.Renew):
                self._todo.append(action)
            elif self._socket is not None:
                self._socket.perform(action)

    def _finish(self) -> None:
        end = self._machine.end or machine.End(0)
        self._session.set_status(Status("ended", 0.0, end.code, end.detail))
        reused = end.code == Code.NUMBER_REUSED
        self._exchange.finish(DeviceCopied(end.detail) if reused else SessionEnded(end.code, end.detail))

    async def _renew(self) -> bool:
        """True if there are new tokens; otherwise the machine has been told."""
        self._session.set_status(Status("connecting", detail="renewing the token"))
        try:
            await self._grant.renew()
        except (AccountError, Unreachable) as error:
            self._cause = machine.Cut(detail=str(error))
            refused = isinstance(error, AccountError) and error.final
            if self._machine.state is not State.ENDED:
                self.feed(machine.TokenRefused(str(error)) if refused else machine.RenewFailed(str(error)))
            return False
        if self._machine.state is State.RENEWING:
            self.feed(machine.Renewed())
        return True

    async def _fork(self) -> bool:
        """True if the store goes on as a new device; otherwise the machine has been told."""
        assert isinstance(self._grant, Forking)
        self._session.set_status(Status("connecting", 0.0, Code.NUMBER_REUSED, f"this store was copied: {self._copied}"))
        try:
            await self._grant.fork_device()
        except (AccountError, Unreachable) as error:
            self._cause = machine.Cut(detail=str(error))
            refused = isinstance(error, AccountError) and error.final
            if self._machine.state is State.CONNECTING:
                self.feed(machine.TokenRefused(str(error)) if refused else machine.ConnectFailed(str(error)))
            return False
        self._copied = None
        self._forks += 1
        self._exchange.become(self._grant.device)
        detail = f"this store was copied and goes on as device {self._grant.device}"
        self._session.set_status(Status("connecting", 0.0, Code.NUMBER_REUSED, detail))
        return self._machine.state is State.CONNECTING

    async def _connect(self) -> None:
        self._session.set_status(Status("connecting", 0.0, self._cause.code, self._cause.detail))
        left_s = self._grant.expires_at - self._world.wall() - self._session.link.clock_ahead_s
        if left_s < CLOCK_SLACK_S and not await self._renew():
            return
        if self._copied is not None and not await self._fork():
            return
        socket = Socket(self, self._session, self._exchange, self._grant, self._settings, self._world)
        try:
            async with self._transport.open() as link:
                if self._machine.state is not State.CONNECTING:
                    return
                self._socket = socket
                try:
                    await socket.converse(link)
                finally:
                    self._socket = None
                    self._exchange.cut()
        except Unreachable as error:
            self._cause = machine.Cut(detail=str(error))
            if self._machine.state is State.CONNECTING:
                self.feed(machine.ConnectFailed(str(error)))
            return
        self._cause = socket.cut
        told = self._machine.told
        if (told.code if told is not None else socket.cut.code) in VOID:
            self._exchange.tickets.drop()
        self.feed(socket.cut)


class Socket:
    """One socket's tasks, and why it ended."""

    def __init__(self, runner: Runner, session: Session, exchange: Exchange, grant: Grant, settings: Settings, world: World) -> None:
        self._runner = runner
        self._session = session
        self._exchange = exchange
        self._grant = grant
        self._settings = settings
        self._world = world
        self._scope = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._leaving = False
        self._welcome: Welcome | None = None
        self._ticket: Kept | None = None
        """What was shown, if it was taken or may yet be."""
        self._first: Hello | Resume | None = None
        """What is to be said, before anything else can be."""
        self._cursors: tuple[Cursor, ...] = ()
        self._clock_ms = 0
        self._opened_at = 0.0
        self._drain_at = 0.0
        self._spoke_at = 0.0
        self._spoken = trio.Event()
        self._nudging = False
        self._greeted_at = 0.0
        self.cut = machine.Cut()

    async def converse(self, link: Link) -> None:
        """Returns when the socket is of no more use; `cut` then says why."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._scope = nursery.cancel_scope
            self._exchange.later = self._later
            nursery.start_soon(self._read, link)

    def perform(self, action: machine.Action) -> None:
        """Does at once what the machine wants of the open socket."""
        match action:
            case machine.Greet():
                self._first = self._hello()
            case machine.ShowTicket():
                self._first = self._resume()
            case machine.Resume(_, reset):
                assert self._welcome is not None
                self._exchange.welcome(self._welcome, reset, self._link())
            case machine.LeaveAfter(ms):
                self._drain_at = trio.current_time()
                self._later(ms / 1000, lambda: self._runner.feed(machine.Waited()))
            case machine.Leave():
                self._leaving = True
                self._exchange.wake()
            case machine.Close():
                self._end()
            case _:
                pass

    def _later(self, delay_s: float, act: Callable[[], None]) -> None:
        async def wait_and_act() -> None:
            await trio.sleep(delay_s)
            act()

        assert self._nursery is not None
        self._nursery.start_soon(wait_and_act)

    def _end(self, code: int = 0, detail: str = "") -> None:
        """The first reason counts."""
        if self._scope.cancel_called:
            return
        now = trio.current_time()
        self.cut = machine.Cut(
            code,
            detail,
            int((now - self._opened_at) * 1000) if self._welcome is not None else 0,
            int((now - self._drain_at) * 1000) if self._drain_at else 0,
        )
        self._scope.cancel()

    async def _read(self, link: Link) -> None:
        try:
            server_s = self._world.wall() + self._session.link.clock_ahead_s
            self._ticket = self._exchange.tickets.find(self._grant.device, self._exchange.epoch, server_s)
            self._runner.feed(machine.Connected(self._ticket is not None))
            with trio.fail_after(GREETING_S):
                while self._first is not None:
                    first, self._first = self._first, None
                    self._greeted_at = trio.current_time()
                    await link.send(encode(first))
                    await self._hear(await link.receive(), link)
            while True:
                await self._hear(await link.receive(), link)
        except LinkClosed as closed:
            self._end(closed.code, closed.detail)
        except trio.TooSlowError:
            self._end(Code.DEAD, "no welcome from the server")
        except (BadFrame, ServerFault, machine.IllegalInput) as fault:
            self._end(0, f"the server does not keep to the protocol: {fault}")
        except DeviceCopied as copied:
            if self._runner.will_fork(copied.detail):
                self._end(0, copied.detail)
            else:
                self._runner.feed(machine.Broken(Code.NUMBER_REUSED, copied.detail))

    def _link(self) -> LinkQuality:
        """As the application says, else as it was just measured."""
        if self._settings.link is not LinkQuality.UNKNOWN:
            return self._settings.link
        return LinkQuality.POOR if trio.current_time() - self._greeted_at >= SLOW_GREETING_S else LinkQuality.UNKNOWN

    def _hello(self) -> Hello:
        return Hello(
            VERSION,
            self._grant.access_token,
            self._grant.device,
            self._exchange.hello_cursors(),
            self._exchange.epoch,
            max(0, int(self._world.wall() * 1000)),
            self._settings.heartbeat_s,
            self._settings.link,
            self._settings.software,
            SCHEMA,
        )

    def _resume(self) -> Resume:
        assert self._ticket is not None
        self._cursors = self._exchange.hello_cursors()
        self._clock_ms = int(self._world.wall() * 1000)
        left_ms = self._ticket.expires * 1000 - self._clock_ms
        return Resume(self._ticket.ticket, left_ms, pack(self._cursors), self._settings.link, self._settings.heartbeat_s, SCHEMA)

    async def _hear(self, message: bytes, link: Link) -> None:
        for raw in split(message):
            frame = decode_frame(raw)
            if isinstance(frame, Welcome):
                self._ticket = None
                self._open(frame, frame, link)
                self._exchange.take_ticket()
            elif isinstance(frame, Resumed):
                self._go_on(frame, link)
            elif isinstance(frame, Failed) and frame.code is Code.TICKET and self._welcome is None:
                self._exchange.tickets.drop()
                self._runner.feed(machine.TicketRefused())
            elif isinstance(frame, Draining | Goodbye):
                self._runner.feed(frame)
            else:
                self._runner.feed(machine.Traffic())
                self._exchange.hear(frame)

    def _go_on(self, resumed: Resumed, link: Link) -> None:
        """As if `Welcome` had come, and for each cursor that missed nothing its `Followed`."""
        if self._ticket is None:
            raise ServerFault("a session was resumed without a ticket")
        server_ms = max(0, self._clock_ms + resumed.ahead_ms)
        kept = self._ticket.welcome
        welcome = replace(kept, last_number=resumed.last_number, server_ms=server_ms, heartbeat_s=resumed.heartbeat_s)
        self._open(welcome, resumed, link)
        rest = frozenset(resumed.rest)
        for place, cursor in enumerate(self._cursors):
            if place not in rest:
                self._exchange.hear(Followed(0, cursor.stream, cursor.seq, True))

    def _open(self, welcome: Welcome, heard: Welcome | Resumed, link: Link) -> None:
        self._welcome = welcome
        self._opened_at = trio.current_time()
        self._runner.feed(heard)
        self._session.user, self._session.inbox = welcome.user, welcome.inbox
        self._session.measured(self._opened_at - self._greeted_at, welcome.server_ms, self._world.wall())
        self._session.set_status(Status("online"))
        assert self._nursery is not None
        self._nursery.start_soon(self._write, link)
        self._nursery.start_soon(self._keep_heart, link, float(welcome.heartbeat_s or HEARTBEAT_DEFAULT_S))
        self._nursery.start_soon(self._nudge, link)
        self._nursery.start_soon(self._keep_token)

    async def _write(self, link: Link) -> None:
        try:
            while True:
                while frames := self._exchange.collect():
                    await link.send(join(frames))
                    self._spoke_at = trio.current_time()
                    if not self._nudging:
                        self._spoken.set()
                    self._nudging = False
                if self._leaving:
                    await link.send(encode(Bye()))
                    self._end(Code.BYE)
                    return
                await self._exchange.wait_something()
        except LinkClosed as closed:
            self._end(closed.code, closed.detail)

    async def _nudge(self, link: Link) -> None:
        """Sends something behind what may have been lost, once each time that something was said."""
        while True:
            await self._spoken.wait()
            self._spoken = trio.Event()
            while self._exchange.is_waiting:
                left_s = NUDGE_S - (trio.current_time() - max(self._spoke_at, link.heard_at()))
                if left_s <= 0:
                    self._nudging = True
                    self._exchange.questions.wonder(Ping, lambda answer: None)
                    break
                await trio.sleep(left_s)

    async def _keep_heart(self, link: Link, heartbeat_s: float) -> None:
        """Asks for a sign of life after a silence; gives the socket up when there is none, or when mutations stay unanswered."""
        silence_s = heartbeat_s * PATIENCE
        answers, answers_at = self._exchange.answers, trio.current_time()
        while True:
            now = trio.current_time()
            if self._exchange.answers != answers or not self._exchange.in_flight:
                answers, answers_at = self._exchange.answers, now
            elif now - answers_at >= ANSWER_S:
                self._end(Code.DEAD, f"mutations unanswered for {ANSWER_S:.0f} s")
                return
            silent_s = now - link.heard_at()
            if silent_s < silence_s:
                await trio.sleep(max(0.01, min(silence_s - silent_s, ANSWER_S / 4)))
                continue
            with trio.move_on_after(PONG_S) as patience:
                await self._session.ping()
            if patience.cancelled_caught and link.heard_at() <= now:
                self._end(Code.DEAD, f"nothing heard for {trio.current_time() - link.heard_at():.0f} s")
                return

    async def _keep_token(self) -> None:
        """Renews the access token ahead of its expiry and puts the new one on the live socket."""
        failures = 0
        assert self._welcome is not None
        if self._ticket is not None and self._welcome.expires < int(self._grant.expires_at) and not await self._put_token():
            return  # a ticket of the token before this one: the socket would end with that one
        while True:
            left_s = self._grant.expires_at - self._world.wall() - self._session.link.clock_ahead_s
            early_s = RENEW_AHEAD_S + 60 * self._world.spread()
            await trio.sleep(max(left_s - early_s, backoff_ms(failures, 1.0) / 1000 if failures else 0.0))
            try:
                await self._grant.renew()
                if not await self._put_token():
                    return
                failures = 0
            except AccountError as error:
                if error.final:
                    return
                failures += 1
            except Unreachable:
                failures += 1

    async def _put_token(self) -> bool:
        """Puts the present token on the socket. False if the socket is gone."""
        try:
            return await self._session.put_token(self._grant.access_token)
        except SessionEnded:
            return False
