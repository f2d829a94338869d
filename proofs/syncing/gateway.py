"""A gateway without waiting: sockets of frames over the model database, each frame handled when it arrives.

    client's frame ─▶ Hello · question ─▶ the database at once ─▶ answer
                      Mutate, Chunk ────▶ waiting ─commit─▶ one transaction of everybody's ─▶ Done, Refused, events to who follows

What a session decides by itself is the server's own code: chunks are expanded, skew is measured, questions are asked and answered, runs of
outcomes are put together by the same functions. Order, and what is lost, is up to whoever moves the frames.

Invariant: a device has one socket at most; a second one takes over, and whatever the first still sends has no effect.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from msgspec import Struct

from actors.answers import Answers
from actors.clock import measure
from actors.device import digest_of, read_operation
from actors.requests import QUESTIONS, answer, denied, question
from actors.storage import Attach, Attached, Denied, Entry, Events, ReadAfter, Refusal
from proofs.simulation.database import Database
from protocol.chunks import BadItem, expand
from protocol.codec import decode_command, encode_event
from protocol.codes import TABLE, Code, Retry
from protocol.frames import (
    VERSION,
    Bye,
    Chunk,
    Follow,
    Followed,
    Frame,
    Goodbye,
    Granted,
    Hello,
    Limits,
    Mutate,
    Ping,
    Pong,
    Refused,
    Unfollow,
    Unfollowed,
    Welcome,
)
from protocol.operations import AnyOperation

PAGE_EVENTS = 4
PAGE_BYTES = 2_000
"""Small pages, so that a stream of a few events takes several."""
IN_FLIGHT_MAX = 256


class Decision(Struct, frozen=True):
    """A mutation that was decided for the first time, in the history that the database has now."""

    device: int
    number: int
    operation: bytes
    code: Code
    value: int


class Socket:
    """One connection. `down` holds frames on their way to the client; `code` is why it ended (0: it has not)."""

    def __init__(self) -> None:
        self.user = 0
        self.device = 0
        self.generation = 0
        self.skew_s: int | None = None
        self.follows: dict[int, int] = {}
        self.answers = Answers()
        self.down: deque[bytes] = deque()
        self.code = 0

    @property
    def is_open(self) -> bool:
        return not self.code

    def flush(self) -> None:
        """What was said is on its way."""
        self.down.extend(self.answers.take())


class Gateway:
    """See the module. `clock` is the server's, Unix seconds."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._sockets: list[Socket] = []
        self._waiting: list[tuple[Socket, Entry, bytes]] = []
        self.history: list[Decision] = []
        self.sent: dict[tuple[int, int], AnyOperation | Refusal] = {}
        """What arrived last under each number of each device."""
        self.forks: list[int] = []
        self.moves = 0
        """How often a commit had something to do."""

    def open(self) -> Socket:
        socket = Socket()
        self._sockets.append(socket)
        return socket

    def close(self, socket: Socket, code: int = 1006) -> None:
        """The socket is gone. What it sent and is waiting may still be committed; nobody hears of it."""
        socket.code = socket.code or code
        if socket in self._sockets:
            self._sockets.remove(socket)

    def close_all(self) -> None:
        """The server is gone for a moment, with everything that was not committed."""
        self._waiting.clear()
        for socket in list(self._sockets):
            self.close(socket)

    def receive(self, socket: Socket, raw: bytes) -> None:
        """One frame of the client's."""
        command = decode_command(raw)
        match command:
            case Hello():
                self._greet(socket, command)
            case Mutate():
                operation = bytes(command.operation)
                self._submit(socket, command.number, operation, read_operation(operation))
            case Chunk():
                for number, one in enumerate(expand(command), command.number):
                    if isinstance(one, BadItem):
                        self._submit(socket, number, one.raw, Refusal(Code.INVALID, one.detail, one.raw))
                    else:
                        self._submit(socket, number, one, read_operation(one))
            case Follow(id, stream, after):
                self._follow(socket, id, stream, after)
            case Unfollow(id, stream):
                socket.follows.pop(stream, None)
                socket.answers.say(Granted(id))
            case Ping(id, clock_ms):
                socket.skew_s = measure(socket.skew_s, clock_ms, self._clock())
                socket.answers.say(Pong(id, int(self._clock() * 1000)))
            case Bye():
                self.close(socket, Code.BYE)
            case _ if isinstance(command, QUESTIONS):
                asked = question(command, socket.user, socket.device)
                told = asked if isinstance(asked, Frame) else answer(command, self._database.query(asked, self._clock()))
                socket.answers.say(told)
            case _:
                raise AssertionError(f"no simulated client sends {type(command).__name__}")
        socket.flush()

    def commit(self) -> None:
        """Everything that waits, in one transaction; then the events that came of it, also those that follow through the outbox."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            self.moves += 1
            self.sent.update(((entry.device, entry.number), entry.operation) for _, entry, _ in waiting)
            decided, _ = self._database.append([entry for _, entry, _ in waiting], int(self._clock()))
            for (socket, entry, operation), outcome in zip(waiting, decided, strict=True):
                consumed = TABLE[outcome.code].retry is Retry.NO and outcome.code not in (Code.TOO_OLD, Code.NUMBER_REUSED)
                if consumed and not outcome.replayed:
                    self.history.append(Decision(entry.device, entry.number, operation, outcome.code, outcome.value))
                if socket.is_open and outcome.code is Code.TAKEN_OVER:
                    self._end(socket, Code.TAKEN_OVER)
                elif socket.is_open and outcome.code is Code.OK:
                    socket.answers.done(entry.number, outcome.value)
                elif socket.is_open:
                    socket.answers.say(Refused(entry.number, outcome.code, outcome.detail))
        self._database.deliver_outbox(int(self._clock()))
        for socket in list(self._sockets):
            for stream in list(socket.follows):
                self._push(socket, stream)
            self.moves += len(socket.answers) > 0
            socket.flush()

    def _greet(self, socket: Socket, hello: Hello) -> None:
        user, session = (int(part) for part in hello.token.split(":"))
        attached = self._database.query(Attach(session, user, hello.device, 1), self._clock())
        if isinstance(attached, Denied):
            self._end(socket, attached.code)
            return
        assert isinstance(attached, Attached)
        for other in list(self._sockets):
            if other is not socket and other.device == hello.device:
                self._end(other, Code.TAKEN_OVER)
        socket.user, socket.device, socket.generation = user, hello.device, attached.generation
        socket.skew_s = measure(None, hello.clock_ms, self._clock())
        now_ms, expires = int(self._clock() * 1000), int(self._clock()) + 900
        limits = Limits(64 * 1024, IN_FLIGHT_MAX, 1000)
        numbers = (attached.last_number, attached.epoch, now_ms, 60, expires, limits)
        socket.answers.say(Welcome(VERSION, session, user, attached.inbox, *numbers))
        for cursor in hello.cursors:
            self._follow(socket, 0, cursor.stream, cursor.seq)

    def _submit(self, socket: Socket, number: int, operation: bytes, read: AnyOperation | Refusal) -> None:
        entry = Entry(socket.user, socket.device, socket.generation, number, digest_of(operation), read, socket.skew_s or 0)
        self._waiting.append((socket, entry, operation))

    def _follow(self, socket: Socket, id: int, stream: int, after: int) -> None:
        page = self._database.query(ReadAfter(stream, socket.user, after, PAGE_EVENTS, PAGE_BYTES), self._clock())
        if isinstance(page, Denied):
            socket.follows.pop(stream, None)
            socket.answers.say(denied(id, page, stream))
            return
        assert isinstance(page, Events)
        upto = self._say_events(socket, stream, page) or after
        if not page.more:
            socket.follows[stream] = upto
        socket.answers.say(Followed(id, stream, upto, not page.more))

    def _push(self, socket: Socket, stream: int) -> None:
        page = self._database.query(ReadAfter(stream, socket.user, socket.follows[stream], 1000, 1 << 20), self._clock())
        if isinstance(page, Denied):
            del socket.follows[stream]
            socket.answers.say(Unfollowed(stream, page.code))
            return
        assert isinstance(page, Events) and not page.more
        socket.follows[stream] = self._say_events(socket, stream, page) or socket.follows[stream]

    def _say_events(self, socket: Socket, stream: int, page: Events) -> int:
        for row in page.rows:
            socket.answers.add(encode_event(stream, row.seq, row.author, row.at, row.body))
        return page.rows[-1].seq if page.rows else 0

    def _end(self, socket: Socket, code: Code) -> None:
        socket.answers.say(Goodbye(code))
        socket.flush()
        self.close(socket, code)
