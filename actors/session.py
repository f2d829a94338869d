"""A session: one socket, from its first frame to its last.

    Arrived ─split─▶ frame ─table: legal?─▶ Mutate  ─▶ device ─▶ journal
                                            Chunk   ─▶ the same, one by one
                                            Follow  ─▶ channel
                                            Watch   ─▶ community
                                            others  ─▶ store, answered by id

It decodes, checks what the table and the limits allow, and passes on; it decides nothing about the world. Streams' frames go from
the channel to the socket without passing here, so that a fan-out costs one step; answers go through here and leave together.

Invariant: after `Goodbye` nothing is sent; when it ends, every actor that knows of it is told, whatever the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Final, TypeVar, assert_never

from msgspec import Struct, msgpack

from actors.accounts import Claims, Tokens
from actors.answers import Answers
from actors.cell import Context, Ref, Timer
from actors.clock import measure
from actors.greeting import Greeting
from actors.limits import REQUESTS
from actors.messages import (
    Alarm,
    Arrived,
    AttachSocket,
    AwareBy,
    Depart,
    DetachSocket,
    DeviceAttached,
    Drained,
    DrainSoon,
    Enter,
    FollowEnded,
    Kick,
    LineClosed,
    PeopleLost,
    SessionMessage,
    Settled,
    Submit,
    Subscribe,
    TrustIs,
    TypingBy,
    Unsubscribe,
    WatchAnswered,
    WatchOff,
    WatchOn,
)
from actors.neighbourhood import Neighbourhood
from actors.pace import Pace, Rate
from actors.requests import QUESTIONS, AnyQuestion, answer, found, question
from actors.socket_port import Outlet
from actors.storage import (
    Answered,
    Attached,
    InheritedOutcomes,
    MatchList,
    Store,
)
from actors.tallies import Farewell
from protocol.chunks import BadItem, expand
from protocol.codec import MESSAGE_BYTES_MAX, BadFrame, decode_command, encode, join, split
from protocol.codes import Code
from protocol.cursors import unpack
from protocol.entities import SCHEMA
from protocol.frames import (
    VERSION,
    VERSION_MIN,
    AnyCommand,
    Aware,
    Bye,
    Chunk,
    Draining,
    Failed,
    Follow,
    Frame,
    Goodbye,
    Granted,
    Hello,
    Inherit,
    Limits,
    Mutate,
    Ping,
    Pong,
    Refresh,
    Refused,
    Resume,
    Resumed,
    TakeTicket,
    Ticket,
    Typing,
    Unfollow,
    Watch,
    Welcome,
)
from protocol.server_session import WORK, Illegal, Signal, State, step
from protocol.values import Cursor, LinkQuality

M = TypeVar("M")

FLUSH = Alarm("flush")
HELLO_LATE = Alarm("hello_late")
TOKEN_ENDS = Alarm("token_ends")
GREET = Alarm("greet")
STUCK = Alarm("stuck")


FLOOD_WAIT_S: Final = 5.0
"""How long a device stays away that went on after it was told to slow down."""


class SessionLimits(Struct, frozen=True):
    """The bounds and times of one session."""

    message_bytes_max: int = MESSAGE_BYTES_MAX
    """As the transport enforces it; announced in Welcome."""
    hello_s: float = 10.0
    """From the handshake to a legal Hello."""
    attach_s: float = 10.0
    """From there to the device's answer: twice what the store takes at most. Beyond it the question is lost, and nobody would answer."""
    held_frames_max: int = 128
    """Commands that wait while the device attaches: a client may send before it is welcomed. As many are passed over behind a ticket that
    was not taken."""
    held_bytes_max: int = 2 * MESSAGE_BYTES_MAX
    """Of those that wait: what was read of a message keeps all of it in memory, and it may be long until the database answers."""
    greeting_s: float = 0.1
    """How long a resumed session's cursors may take to be read, for one message to answer them all. A read takes a few milliseconds."""
    asks_max: int = 16
    """Requests that wait for Postgres at once."""
    follows_max: int = 500
    watches_max: int = 16
    in_flight_max: int = 256
    heartbeat_s: float = 45.0
    heartbeat_min_s: float = 5.0
    heartbeat_max_s: float = 300.0
    token_grace_s: float = 10.0
    """After the token's end, for a refresh that is on its way."""
    stuck_s: float = 60.0
    """How long a socket may refuse to take what was sent before it is closed as SLOW."""
    drain_spread_s: float = 20.0
    """Clients of a server that goes away are told to return within this time, each at a moment of its own."""
    commands: Rate = Rate(per_s=100.0, burst=600.0)
    """Commands of all kinds. A device that returns after days sends its queue at once: the burst is generous, the average is not."""
    flood: Rate = Rate(per_s=5.0, burst=200.0)
    """Commands that may be refused for their rate or their form; beyond it the socket ends with FLOOD. It heals with time, so that a
    client which obeys `wait_ms` never gets there however long it lives."""


class Opening(Struct, frozen=True):
    """What a client opens a session with, by `Hello` or by `Resume`."""

    cursors: tuple[Cursor, ...]
    epoch: int
    """Of the cursors; 0: of none. A ticket's own."""
    heartbeat_s: int
    clock_ms: int
    version: int
    """The one that both speak."""
    resumed: bool = False


class Session:
    """See the module."""

    __slots__ = (
        "_ctx",
        "_key",
        "_limits",
        "_near",
        "_outlet",
        "_overtake",
        "_store",
        "_tokens",
        "answers",
        "asks",
        "claims",
        "code",
        "epoch",
        "expires",
        "flood",
        "flushing",
        "follows",
        "frames",
        "greeting",
        "held",
        "held_bytes",
        "lags",
        "opened_s",
        "opening",
        "pace",
        "quality",
        "schema",
        "skew_s",
        "state",
        "stuck",
        "timer",
        "watches",
    )

    def __init__(
        self,
        key: int,
        ctx: Context[SessionMessage],
        outlet: Outlet,
        store: Store,
        tokens: Tokens,
        near: Neighbourhood,
        limits: SessionLimits,
        overtake: Callable[[int, int], None],
    ) -> None:
        """`overtake(device, generation)` tells every gateway that the device is not what it was (`Exchange.overtake`)."""
        self._key = key
        self._ctx = ctx
        self._outlet = outlet
        self._store = store
        self._tokens = tokens
        self._near = near
        self._overtake = overtake
        self._limits = limits
        self.state = State.NEW
        self.claims: Claims | None = None
        self.opening: Opening | None = None
        """What the client opened the session with, until it is open."""
        self.greeting: Greeting | None = None
        """What a resumed session's client is to be told before anything else."""
        self.held: list[AnyCommand] | None = None
        """What was sent before it is open, and (`held_bytes`) how long that was."""
        self.held_bytes = 0
        self.follows: dict[int, int] | None = None
        """The streams that are followed, each by which `Follow`."""
        self.watches: set[int] | None = None
        self.asks: dict[int, AnyQuestion] | None = None
        self.answers: Answers | None = None
        self.flushing = False
        self.pace = Pace(limits.commands, ctx.now())
        self.flood = Pace(limits.flood, ctx.now())
        self.quality = LinkQuality.UNKNOWN
        self.schema = SCHEMA
        self.skew_s: int | None = None
        self.epoch = 0
        self.expires = 0.0
        self.stuck: Timer | None = None
        self.opened_s = ctx.now()
        self.frames = 0
        """Commands that came, and how often (`lags`) it was too slow for a stream: for its line in the log."""
        self.lags = 0
        self.code = 0
        """With which it ended, as this session or else the line says."""
        self.timer: Timer | None = ctx.after(limits.hello_s, HELLO_LATE)

    def receive(self, message: SessionMessage) -> None:
        match message:
            case Arrived():
                self._arrived(message.payload)
            case Settled():
                self._settled(message)
            case Answered():
                self._answered(message)
            case Alarm():
                self._alarm(message)
            case FollowEnded():
                self._follow_ended(message)
            case Drained():
                if self.stuck is not None:
                    self.stuck.cancel()
                    self.stuck = None
            case DeviceAttached():
                self._welcome(message.attached)
            case WatchAnswered():
                self._watched(message)
            case PeopleLost():
                self._say_again(message.space, message.id)
            case TrustIs():
                device = None if self.claims is None else self._near.devices.find(self.claims.device)
                if device is not None:
                    device.tell_control(message)
            case Kick():
                self._end(message.code, message.detail, message.wait_ms)
            case DrainSoon():
                self._drain(message.grace_s)
            case LineClosed():
                self.code = self.code or message.code
                self.state = step(self.state, Signal.CLOSE)
                self._ctx.stop()
            case _:
                assert_never(message)

    @property
    def outlet(self) -> Outlet:
        """Its socket, for those who watch."""
        return self._outlet

    def passivate(self) -> bool:
        return False

    def stopped(self) -> None:
        """The end, in good order or by a crash: nobody keeps a word of this session."""
        if self.state is not State.CLOSED:
            self._outlet.send(encode(Goodbye(Code.FAULT, "the server restarts this session", 0)))
        self._outlet.close(int(Code.FAULT), "fault")
        if self.greeting is not None:
            self.greeting.drop()
        near = self._near
        for stream in self.follows or ():
            channel = near.channels.find(stream)
            if channel is not None:
                _take_back(channel, Unsubscribe(self._key))
        for space in self.watches or ():
            community = near.communities.find(space)
            if community is not None:
                _take_back(community, WatchOff(self._key))
        if self.claims is not None:
            device = near.devices.find(self.claims.device)
            if device is not None:
                _take_back(device, DetachSocket(self._key))
            user = near.users.find(self.claims.user)
            if user is not None:
                user.tell_control(Depart(self._key))
        self._say_farewell()

    def _say_farewell(self) -> None:
        """What this session was, in sums, for the log and the metrics."""
        claims, near = self.claims, self._near
        if claims is not None and self.opening is None:
            near.tallies.left(self.schema, self.quality)
        who = (claims.user, claims.device) if claims is not None else (0, 0)
        seconds = self._ctx.now() - self.opened_s
        line = self._outlet.sums
        near.farewell(Farewell(self._key, *who, self.code, seconds, self.frames, self.lags, self.quality, self.schema, line))

    # Frames

    def _arrived(self, payload: bytes) -> None:
        if self.state is State.CLOSED:
            return
        try:
            frames = split(payload)
        except BadFrame as bad:
            self._end(bad.code, bad.detail)
            return
        for raw in frames:
            try:
                self._command(decode_command(raw), len(raw))
            except BadFrame as bad:
                self._bad(bad)
            except Illegal as illegal:
                self._end(Code.ILLEGAL, str(illegal))
            if self._over():
                return

    def _over(self) -> bool:
        return self.state is State.CLOSED

    def _bad(self, bad: BadFrame) -> None:
        """Bytes that are no command. If they carry an id they are answered; a socket that is not open, or talks nonsense, ends."""
        if self.state in (State.OPEN, State.DRAINING) and bad.id:
            if bad.tag in _NUMBERED_TAGS:
                self._submit(bad.id, b"", bad.detail)  # the journal refuses it, and so its number is consumed
            else:
                self._reply(Failed(min(bad.id, 2**32 - 1), bad.code, bad.detail))
            self._count_flood()
        else:
            self._end(Code.BAD_FRAME, bad.detail)

    def _command(self, command: AnyCommand, size_bytes: int) -> None:
        self.frames += 1
        self.state, before = step(self.state, type(command)), self.state
        if isinstance(command, Hello):
            self._hello(command)
        elif isinstance(command, Resume):
            self._resume(command)
        elif isinstance(command, Bye):
            self.state = before
            self._end(Code.BYE, "")
        elif before in (State.ATTACHING, State.RESUMING):
            self._hold(command, size_bytes)
        elif before is State.TURNED:
            self._pass_over()
        else:
            self._work(command)

    def _hold(self, command: AnyCommand, size_bytes: int) -> None:
        limits = self._limits
        if self.held is None:
            self.held = []
        self.held_bytes += size_bytes
        if len(self.held) >= limits.held_frames_max or self.held_bytes > limits.held_bytes_max:
            detail = f"at most {limits.held_frames_max} frames of {limits.held_bytes_max} bytes together may be sent before Welcome"
            self._end(Code.FLOOD, detail)
            return
        self.held.append(command)

    def _pass_over(self) -> None:
        """What was sent behind a ticket that was not taken comes again after `Welcome`; of a stranger nothing is kept."""
        if self.frames > self._limits.held_frames_max:
            self._end(Code.FLOOD, f"at most {self._limits.held_frames_max} frames may be sent before Hello")

    def _work(self, command: AnyCommand) -> None:
        self._greet()
        wait_s = self.pace.take(self._ctx.now(), _cost(command))
        if wait_s > 0.0:
            self._slow_down(command, wait_s)
            return
        _WORK[type(command)](self, command)

    def _slow_down(self, command: AnyCommand, wait_s: float) -> None:
        wait_ms = int(wait_s * 1000) + 1
        detail = f"more than {self._limits.commands.per_s:g} commands a second; wait {wait_ms} ms"
        if isinstance(command, Mutate | Chunk):
            self._refuse(command, Code.RATE, detail, wait_ms)
        elif not isinstance(command, Typing | Aware):
            self._reply(Failed(getattr(command, "id", 0), Code.RATE, detail, wait_ms))
        self._count_flood()

    def _refuse(self, command: Mutate | Chunk, code: Code, detail: str, wait_ms: int = 0) -> None:
        """Each of its mutations, the first with the reason; no number is consumed by it."""
        count = _count(command) if isinstance(command, Chunk) else 1
        for number in range(command.number, command.number + count):
            self._reply(Refused(number, code, detail if number == command.number else "", wait_ms))

    def _count_flood(self) -> None:
        if self.flood.take(self._ctx.now()) > 0.0:
            if self.claims is not None:
                self._near.cooldowns.begin(self.claims.device, self._ctx.now() + FLOOD_WAIT_S)
            self._end(Code.FLOOD, "too many commands that were refused", int(FLOOD_WAIT_S * 1000))

    # Opening and ending

    def _hello(self, hello: Hello) -> None:
        if not VERSION_MIN <= hello.version:
            self._end(Code.VERSION, f"version {hello.version}; spoken here: {VERSION_MIN} to {VERSION}")
            return
        claims = self._tokens.verify(hello.token, self._ctx.wall())
        if isinstance(claims, Code):
            self._end(claims, "the token was not accepted")
            return
        if claims.device != hello.device:
            self._end(Code.UNAUTHENTICATED, f"the token is for device {claims.device}, not for {hello.device}")
            return
        opening = Opening(hello.cursors, hello.epoch, hello.heartbeat_s, hello.clock_ms, min(VERSION, hello.version))
        self._attach(claims, opening, hello.link, hello.schema)

    def _resume(self, resume: Resume) -> None:
        cursors = unpack(resume.cursors)
        ticketed = self._tokens.unseal(resume.ticket, _terms(self._limits), self._ctx.wall())
        if ticketed is None:
            self.state = step(self.state, Signal.TURN)
            self._reply(Failed(0, Code.TICKET))
            return
        claims = ticketed.claims
        clock_ms = claims.expires_at * 1000 - resume.left_ms
        opening = Opening(cursors, ticketed.epoch, resume.heartbeat_s, clock_ms, VERSION, resumed=True)
        self._attach(claims, opening, resume.link, resume.schema)

    def _attach(self, claims: Claims, opening: Opening, link: LinkQuality, schema: int) -> None:
        """The client is known: asks for its device."""
        wait_s = self._near.cooldowns.left(claims.device, self._ctx.now())
        if wait_s > 0.0:
            self._end(Code.FLOOD, "this device was told to wait before it comes back", math.ceil(wait_s * 1000))
            return
        self.claims = claims
        self.opening = opening
        self.quality = link
        self.schema = min(SCHEMA, schema)
        self.skew_s = measure(None, opening.clock_ms, self._ctx.wall())
        if self.timer is not None:
            self.timer.cancel()
        self.timer = self._ctx.after(self._limits.attach_s, HELLO_LATE)
        # Before the device is asked for: a revocation that is heard here after this moment finds the session, and one that was heard
        # earlier was committed earlier, so that attaching sees it. Entered at the welcome, a session between the two was missed by both.
        self._near.users.get(claims.user).tell_control(Enter(self._key, self._ctx.self, claims.session))
        self._near.devices.get(claims.device).tell_control(AttachSocket(self._key, self._ctx.self, claims.session, claims.user))

    def _welcome(self, attached: Attached) -> None:
        opening, claims, limits = self.opening, self.claims, self._limits
        assert opening is not None and claims is not None
        if opening.resumed and opening.epoch != attached.epoch:
            self._end(Code.OVERLOAD, "the database was restored meanwhile; come back", 250)
        self.state = step(self.state, Signal.ATTACHED)
        if self._over():
            return
        self.opening = None
        self._near.tallies.welcomed(self.schema, self.quality)
        self.epoch = attached.epoch
        heartbeat_s = min(limits.heartbeat_max_s, max(limits.heartbeat_min_s, opening.heartbeat_s or limits.heartbeat_s))
        self._outlet.heartbeat_s = heartbeat_s
        self._expire_at(claims.expires_at)
        if opening.resumed:
            self._go_on(opening, attached.last_number, int(heartbeat_s))
        else:
            self._outlet.send(
                encode(
                    Welcome(
                        version=opening.version,
                        session=claims.session,
                        user=claims.user,
                        inbox=attached.inbox,
                        last_number=attached.last_number,
                        epoch=attached.epoch,
                        server_ms=int(self._ctx.wall() * 1000),
                        heartbeat_s=int(heartbeat_s),
                        expires=int(claims.expires_at),
                        limits=_announced(limits),
                    )
                )
            )
        same = opening.epoch in (0, attached.epoch)
        for cursor in opening.cursors if same and not opening.resumed else ():
            self._follow(0, cursor)
        held, self.held = self.held, None
        for command in held or ():
            if not same and isinstance(command, Mutate | Chunk):
                # Numbers and base versions of another history: in this one they would stand for something else.
                self._refuse(command, Code.GAP, "this number is of another epoch")
            else:
                self._work(command)
            if self._over():
                return

    def _go_on(self, opening: Opening, last_number: int, heartbeat_s: int) -> None:
        """The session is resumed: it is said when the cursors are read, so that one message says it all."""

        def make(rest: tuple[int, ...]) -> Resumed:
            return Resumed(last_number, int(self._ctx.wall() * 1000) - opening.clock_ms, heartbeat_s, rest)

        self.greeting = Greeting(self._outlet, (cursor.stream for cursor in opening.cursors), make)
        if not opening.cursors:
            self._greet()
            return
        self._ctx.after(self._limits.greeting_s, GREET)
        for cursor in opening.cursors:
            self._follow(0, cursor, self.greeting)

    def _greet(self) -> None:
        """Says what must be said before anything else."""
        if self.greeting is not None:
            self.greeting.say()
            self.greeting = None

    def _expire_at(self, expires: float) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.expires = expires
        self.timer = self._ctx.after(max(0.0, expires - self._ctx.wall()) + self._limits.token_grace_s, TOKEN_ENDS)

    def _end(self, code: Code, detail: str, wait_ms: int = 0) -> None:
        """Says goodbye and closes; `LineClosed` will follow from the transport."""
        if self.state is State.CLOSED:
            return
        self._flush()
        self.code = int(code)
        self.state = step(self.state, Signal.CLOSE)
        if code is not Code.BYE:
            self._outlet.send(encode(Goodbye(code, detail, wait_ms)))
        self._outlet.close(int(code), code.name)

    def _drain(self, grace_s: float) -> None:
        self.state, before = step(self.state, Signal.DRAIN), self.state
        if self.state is State.DRAINING and before is not State.DRAINING:
            within_s = min(grace_s, self._limits.drain_spread_s)
            self._reply(Draining(delay_ms=int(self._ctx.random() * within_s * 1000)))

    def _alarm(self, alarm: Alarm) -> None:
        if alarm is FLUSH:
            self.flushing = False
            self._flush()
        elif alarm is HELLO_LATE:
            if self.state in (State.NEW, State.TURNED):
                self._end(Code.HELLO_LATE, f"no Hello within {self._limits.hello_s:g} s")
            elif self.state in (State.ATTACHING, State.RESUMING):
                self._end(Code.OVERLOAD, "this device could not be attached in time", 1_000)
        elif alarm is GREET:
            self._greet()
        elif alarm is TOKEN_ENDS:
            if self._ctx.wall() >= self.expires:
                self._end(Code.TOKEN_EXPIRED, "refresh the token and come back")
            else:
                self._expire_at(self.expires)  # the wall clock was set back meanwhile: the token's end is still to come
        elif alarm is STUCK:
            self._end(Code.SLOW, f"nothing was taken for {self._limits.stuck_s:g} s", 1_000)

    def _say_again(self, space: int, id: int) -> None:
        claims = self.claims
        if claims is None or self.state is State.CLOSED:
            return
        if space == 0:
            self._near.users.get(claims.user).tell_control(Enter(self._key, self._ctx.self, claims.session))
        elif self.watches and space in self.watches:
            self._watch_on(id, space)

    # Work, by command

    def _mutate(self, command: Mutate) -> None:
        self._submit(command.number, bytes(command.operation))

    def _chunk(self, command: Chunk) -> None:
        for number, change in enumerate(expand(command), command.number):
            if isinstance(change, BadItem):
                self._submit(number, change.raw, change.detail)
            else:
                self._submit(number, change)

    def _submit(self, number: int, operation: bytes, unreadable: str = "") -> None:
        assert self.claims is not None
        tracer = self._near.tracer
        trace = None if tracer is None else tracer.sample()
        submit = Submit(self._key, number, operation, self.skew_s or 0, unreadable, trace)
        if not self._near.devices.get(self.claims.device).tell(submit, len(operation)):
            self._reply(Refused(number, Code.BUSY, "too many mutations at once", 250))

    def _follow_command(self, command: Follow) -> None:
        self._follow(command.id, Cursor(command.stream, command.after))

    def _follow(self, id: int, cursor: Cursor, greeting: Greeting | None = None) -> None:
        assert self.claims is not None
        if self.follows is None:
            self.follows = {}
        if cursor.stream not in self.follows and len(self.follows) >= self._limits.follows_max:
            self._reply(Failed(id, Code.LIMIT, f"at most {self._limits.follows_max} streams are followed at once", 0, cursor.stream))
            return
        self.follows[cursor.stream] = id
        subscribe = Subscribe(
            self._key, self._ctx.self, self._outlet, self.claims.user, id, cursor.seq, self.quality, self.schema, greeting
        )
        if not self._near.channels.get(cursor.stream).tell(subscribe):
            self._reply(Failed(id, Code.BUSY, "this stream is very busy", 500, cursor.stream))

    def _unfollow(self, command: Unfollow) -> None:
        if self.follows and command.stream in self.follows:
            del self.follows[command.stream]
            channel = self._near.channels.find(command.stream)
            if channel is not None:
                _take_back(channel, Unsubscribe(self._key))
        self._reply(Granted(command.id))

    def _follow_ended(self, message: FollowEnded) -> None:
        if self.follows is not None and self.follows.get(message.stream) == message.id:
            del self.follows[message.stream]
        self.lags += message.lagged
        if message.lagged and self.stuck is None:
            self.stuck = self._ctx.after(self._limits.stuck_s, STUCK)

    def _typing(self, command: Typing) -> None:
        assert self.claims is not None
        channel = self._near.channels.find(command.stream)
        if channel is not None and self.follows and command.stream in self.follows:
            channel.tell(TypingBy(self._key, self.claims.user))

    def _aware(self, command: Aware) -> None:
        assert self.claims is not None
        channel = self._near.channels.find(command.document)
        if channel is not None and self.follows and command.document in self.follows:
            channel.tell(AwareBy(self._key, self.claims.user, command.data))

    def _watch(self, command: Watch) -> None:
        if self.watches is None:
            self.watches = set()
        if not command.on:
            if command.space in self.watches:
                self.watches.discard(command.space)
                community = self._near.communities.find(command.space)
                if community is not None:
                    _take_back(community, WatchOff(self._key))
            self._reply(Granted(command.id))
        elif command.space not in self.watches and len(self.watches) >= self._limits.watches_max:
            self._reply(Failed(command.id, Code.LIMIT, f"at most {self._limits.watches_max} spaces are watched at once"))
        else:
            self.watches.add(command.space)
            self._watch_on(command.id, command.space)

    def _watch_on(self, id: int, space: int) -> None:
        assert self.claims is not None
        watch = WatchOn(self._key, self._ctx.self, self._outlet, self.claims.user, id, self.quality)
        if not self._near.communities.get(space).tell(watch):
            self._watched(WatchAnswered(id, space, Code.BUSY))

    def _watched(self, message: WatchAnswered) -> None:
        if message.code is not Code.OK and self.watches is not None:
            self.watches.discard(message.space)
        if message.id:
            self._reply(Granted(message.id) if message.code is Code.OK else Failed(message.id, message.code))

    def _ping(self, command: Ping) -> None:
        self.skew_s = measure(self.skew_s, command.clock_ms, self._ctx.wall())
        self._reply(Pong(command.id, int(self._ctx.wall() * 1000)))

    def _refresh(self, command: Refresh) -> None:
        assert self.claims is not None
        claims = self._tokens.verify(command.token, self._ctx.wall())
        if isinstance(claims, Code):
            self._reply(Failed(command.id, claims, "the token was not accepted"))
        elif (claims.user, claims.device, claims.session) != (self.claims.user, self.claims.device, self.claims.session):
            self._reply(Failed(command.id, Code.UNAUTHENTICATED, "the token is for another session"))
        else:
            self.claims = claims
            self._expire_at(claims.expires_at)
            self._reply(Granted(command.id))

    def _take_ticket(self, command: TakeTicket) -> None:
        assert self.claims is not None
        ticket = self._tokens.seal(self.claims, self.epoch, _terms(self._limits))
        self._reply(Ticket(command.id, ticket, int(self.claims.expires_at)))

    def _question(self, command: AnyQuestion) -> None:
        assert self.claims is not None
        quota = REQUESTS.get(type(command))
        if quota is not None:
            wait_s = self._near.limits.take(quota, self.claims.user, self._outlet.peer.address)
            if wait_s > 0.0:
                self._reply(Failed(command.id, Code.RATE, f"too many of this kind ({quota.value}) in a while", int(wait_s * 1000) + 1))
                self._count_flood()
                return
        asked = question(command, self.claims.user, self.claims.device)
        if isinstance(asked, Failed):
            self._reply(asked)
            return
        if self.asks is None:
            self.asks = {}
        if command.id in self.asks:
            self._reply(Failed(command.id, Code.INVALID, "a request with this id is still unanswered"))
        elif len(self.asks) >= self._limits.asks_max:
            self._reply(Failed(command.id, Code.BUSY, f"at most {self._limits.asks_max} requests may be unanswered", 200))
        else:
            self.asks[command.id] = command
            self._store.ask(asked, command.id, self._ctx.self)

    def _answered(self, message: Answered) -> None:
        command = self.asks.pop(message.ticket, None) if self.asks else None
        if command is None:
            if isinstance(message.result, MatchList) and message.result.ticket:
                self._reply(found(0, message.result))
            return
        if isinstance(message.result, InheritedOutcomes) and isinstance(command, Inherit):
            # Also while this socket closes: the other one has lost its right to write. Later than that, the comparison of generations
            # tells it.
            self._overtake(command.device, message.result.generation)
        if self.state is not State.CLOSED:
            self._reply(answer(command, message.result, self.schema))

    # What goes out

    def _settled(self, message: Settled) -> None:
        if self.state is State.CLOSED:
            return
        if message.code is Code.OK:
            self._answers().done(message.number, message.value)
        else:
            self._answers().say(Refused(message.number, message.code, message.detail, message.wait_ms))
        self._flush_soon()

    def _reply(self, frame: Frame) -> None:
        if self.state is not State.CLOSED:
            self._answers().say(frame)
            self._flush_soon()

    def _answers(self) -> Answers:
        if self.answers is None:
            self.answers = Answers()
        return self.answers

    def _flush_soon(self) -> None:
        """After what waits in the inbox now, so that one turn's answers are one message."""
        if not self.flushing:
            self.flushing = self._ctx.self.tell(FLUSH)
        if not self.flushing or (self.answers is not None and len(self.answers) >= _OUTGOING_MAX):
            self._flush()

    def _flush(self) -> None:
        self._greet()
        answers, self.answers = self.answers, None
        if answers is not None:
            self._outlet.send(join(answers.take()))


def _announced(limits: SessionLimits) -> Limits:
    return Limits(limits.message_bytes_max, limits.in_flight_max, limits.follows_max)


@cache
def _terms(limits: SessionLimits) -> bytes:
    """What `Welcome` says and `Resumed` does not repeat: where it would be said otherwise, a ticket is no good."""
    return bytes((VERSION,)) + msgpack.encode(_announced(limits))


def _take_back(whom: Ref[M], message: M) -> None:
    """Tells it in the lane of what it takes back (`Subscribe`, `WatchOn`, `Submit`): in the control lane it would be handled before, and
    a session that ends right after its last words would be followed for ever, or unheard. Control only where that lane is full.
    """
    if not whom.tell(message):
        whom.tell_control(message)


def _count(chunk: Chunk) -> int:
    return sum(len(run.changes) for run in chunk.runs)


def _cost(command: AnyCommand) -> float:
    """In commands, of the rate."""
    if isinstance(command, Mutate):
        return 1.0 + len(memoryview(command.operation)) // BYTES_PER_COMMAND
    return 1.0 + _count(command) // CHANGES_PER_COMMAND if isinstance(command, Chunk) else 1.0


_OUTGOING_MAX = 64
"""Answers that leave together at most, so that none waits for a long turn to end."""
_NUMBERED_TAGS = (Mutate.__struct_config__.tag, Chunk.__struct_config__.tag)
CHANGES_PER_COMMAND = 16
"""So many changes of a chunk cost the rate of commands as much as one command: a chunk of 256 costs 17, and a day's sync one or two."""

BYTES_PER_COMMAND = 4096
"""So many bytes of one mutation cost as much as a command: an update of a document is walked through, 60 KiB of the smallest things in
10 ms. What people say is shorter."""

_WORK: dict[type[AnyCommand], Callable[..., None]] = {
    Mutate: Session._mutate,
    Chunk: Session._chunk,
    Follow: Session._follow_command,
    Unfollow: Session._unfollow,
    Typing: Session._typing,
    Aware: Session._aware,
    Watch: Session._watch,
    Ping: Session._ping,
    Refresh: Session._refresh,
    TakeTicket: Session._take_ticket,
    **dict.fromkeys(QUESTIONS, Session._question),
}
assert set(_WORK) == set(WORK), "every command of an open session has its method"
