"""A socket's transport, with a kernel and a clock that do what the script says.

script ─▶ bytes from the peer · room in the kernel · what the session says · time · the end of the line
       ─▶ gateway.multiplexer, gateway.connection ─▶ what left, what the session was told

left     frames as a server must send them, nothing behind a close, messages in the order they were accepted, none cut out
told     `closed` once and nothing after it, never from inside a call of the session
held     queues within their bounds, and nothing left when the socket is gone
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Hashable, Iterable
from enum import IntEnum
from itertools import islice
from random import Random
from typing import Any, Final

from actors.socket_port import Batch, Outlet, Peer
from gateway import rfc6455
from gateway.connection import Bounds, Counters
from gateway.multiplexer import Multiplexer
from gateway.poller import HUNG_UP, READ, WRITE
from gateway.wheel import Wheel
from proofs.fuzzing import script
from proofs.fuzzing.grammar import TERRAIN, Grammar
from proofs.fuzzing.mutation import any_message, mutate_wire
from proofs.fuzzing.script import step, steps_of
from proofs.fuzzing.target import Target, Wrong

STEPS_MAX: Final = 40
HEAD: Final = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
BOUNDS: Final = Bounds(
    reader=rfc6455.Limits(message_bytes_max=8_192),
    queue_soft_bytes=2_048,
    queue_hard_bytes=8_192,
    held_bytes_max=16_384,
    heartbeat_s=30.0,
    pong_s=20.0,
)
CONTROL_FRAMES_BYTES: Final = 2 * (rfc6455.CONTROL_BYTES_MAX + 2) + 2
"""A close frame and a ping may pass the hard bound, and a message that is larger than it goes to an empty queue."""
TIMES_S: Final = (0.0, 0.2, 1.1, 2.5, 6.0, 31.0, 60.0, 300.0)
ROOMS: Final = (0, 1, 2, 5, 100, 1_000, 10_000, 1_000_000)
SIZES: Final = (0, 1, 30, 125, 126, 1_500, 2_100, 9_000)
PEER: Final = Peer("127.0.0.1")


class Op(IntEnum):
    """What a step does. Payloads are bytes from the peer, or one byte that chooses."""

    BYTES = 0
    ROOM = 1
    PUSH = 2
    SEND = 3
    CLOSE = 4
    TIME = 5
    READING = 6
    CORK = 7
    UNCORK = 8
    END = 9
    BREAK = 10
    DRAIN = 11


class _Kernel:
    """One socket, as the operating system has it."""

    family = socket.AF_UNIX
    """Of which the kernel keeps no account of bytes and losses."""

    def __init__(self) -> None:
        self.inbox = b""
        self.ended = self.broken = self.shut = False
        self.room = 1_000
        self.left = bytearray()

    def recv(self, size: int) -> bytes:
        if self.broken:
            raise ConnectionResetError
        if not self.inbox and not self.ended:
            raise BlockingIOError
        data, self.inbox = self.inbox[:size], self.inbox[size:]
        return data

    def send(self, data: bytes) -> int:
        if self.broken or self.shut:
            raise BrokenPipeError
        if not self.room:
            raise BlockingIOError
        taken = min(len(data), self.room)
        self.left += data[:taken]
        self.room -= taken
        return taken

    def shutdown(self, how: int) -> None:
        self.shut = True

    def fileno(self) -> int:
        return 3

    def close(self) -> None:
        """The end."""


class _Poller:
    """`gateway.poller.Poller`, as far as connections know it."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.wheel: Wheel[Any] = Wheel(self.now, 0.1)
        self.mask = 0
        self.retired = 0
        self.watched: Any = None

    def each_round(self, start: Callable[[], None], end: Callable[[], None]) -> None:
        """Rounds are the script's."""

    def each_tick(self, call: Callable[[], None]) -> None:
        """See `each_round`."""

    def watch(self, watched: Any, mask: int) -> None:
        self.watched, self.mask = watched, mask

    def change(self, watched: Any, mask: int) -> None:
        self.mask = mask

    def release(self, watched: Any) -> None:
        self.wheel.clear(watched)

    def retire(self, watched: Any) -> None:
        self.release(watched)
        self.retired += 1


class _Session:
    """The session at the other side of the socket: notes what it hears, and complains about what it must not hear."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.ended: list[int] = []
        self.busy = False

    def received(self, payload: bytes) -> None:
        self._hear("received")

    def drained(self) -> None:
        self._hear("drained")

    def draining(self, grace_s: float) -> None:
        self._hear("draining")

    def closed(self, code: int, reason: str) -> None:
        if self.busy:
            raise Wrong("`closed` was told from inside a call of the session")
        self._hear("closed")
        self.ended.append(code)

    def _hear(self, what: str) -> None:
        if self.ended:
            raise Wrong(f"`{what}` was told after `closed`")
        self.heard.append(what)


class ConnectionTarget(Target):
    """See the module."""

    name = "connection"
    share = 8
    cost_per_byte = 60
    cost_bytes = 512 * 1024

    def draw(self, chance: Random) -> tuple[bytes, str]:
        grammar = Grammar(chance, TERRAIN)
        steps = []
        for _ in range(chance.choice((1, 3, 8, 20))):
            op = chance.choice((Op.BYTES, Op.BYTES, Op.BYTES, *Op))
            payload = chance.randbytes(2)
            if op is Op.BYTES:
                wire, _ = mutate_wire(chance, any_message(chance, grammar)[0][:1_000])
                cut = chance.choice((1, 2, 7, len(wire), len(wire), len(wire)))
                steps += [step(op, wire[at : at + cut]) for at in range(0, min(len(wire), cut * 6), cut or 1)]
            else:
                steps.append(step(op, payload))
        return b"".join(steps), "connection:script"

    def vary(self, chance: Random, data: bytes, other: bytes) -> bytes:
        return script.vary(chance, data, other, len(Op))

    def pieces(self, data: bytes) -> list[bytes]:
        return script.pieces(data, len(Op))

    def take(self, data: bytes) -> Iterable[Hashable]:
        life = _Life()
        told: list[Hashable] = []
        for number, payload, _ in islice(steps_of(data, len(Op)), STEPS_MAX):
            heard = len(life.session.heard)
            life.do(Op(number), payload)
            told.append((Op(number), tuple(life.session.heard[heard:])[-3:], tuple(life.session.ended), life.poller.mask))
        life.finish()
        return told


class _Life:
    """One socket, from its handshake to its end."""

    def __init__(self) -> None:
        self.kernel, self.poller, self.session, self.counters = _Kernel(), _Poller(), _Session(), Counters()
        self.accepted: list[bytes] = []
        self.gone = 0
        poller: Any = self.poller
        sock: Any = self.kernel
        self.multiplexer = Multiplexer(poller, self._accept, BOUNDS, self.counters, self._ended)
        self.corks = 0
        self.multiplexer.adopt(sock, PEER, HEAD, b"")

    def _accept(self, outlet: Outlet, peer: Peer) -> _Session:
        self.outlet = outlet
        return self.session

    def _ended(self, peer: Peer) -> None:
        self.gone += 1

    @property
    def open(self) -> bool:
        return not self.gone

    def do(self, op: Op, payload: bytes) -> None:
        """One step, then a look at what must always hold."""
        choice, second = (payload + b"\0\0")[:2]
        kernel, poller = self.kernel, self.poller
        match op:
            case Op.BYTES:
                kernel.inbox += payload
            case Op.ROOM:
                kernel.room = ROOMS[choice % len(ROOMS)]
            case Op.PUSH | Op.SEND | Op.CLOSE | Op.READING:
                self._speak(op, choice, second)
            case Op.TIME:
                self.wait(TIMES_S[choice % len(TIMES_S)])
            case Op.CORK:
                self.corks += 1
                self.multiplexer.cork()
            case Op.UNCORK if self.corks:
                self.corks -= 1
                self.multiplexer.uncork()
            case Op.END:
                kernel.ended = True
            case Op.BREAK:
                kernel.broken = True
            case Op.DRAIN:
                self.multiplexer.announce_drain(1.0)
        self.poll()
        self._check()
        if poller.retired > 1 or self.gone > 1:
            raise Wrong("the socket ended twice")

    def _speak(self, op: Op, choice: int, second: int) -> None:
        session, outlet = self.session, self.outlet
        if session.ended:
            return  # the session has heard that it is over
        session.busy = True
        if op is Op.CLOSE:
            outlet.close(4_000 + choice, "x" * second)
        elif op is Op.READING:
            outlet.pause_reading() if choice % 2 else outlet.resume_reading()
        else:
            payload = len(self.accepted).to_bytes(4, "big") + bytes(SIZES[choice % len(SIZES)])
            if op is Op.SEND:
                outlet.send(payload)
                self.accepted.append(payload)
            elif outlet.push(Batch(payload)):
                self.accepted.append(payload)
        session.busy = False

    def poll(self) -> None:
        """What the kernel would report, until it has nothing more to say."""
        kernel, poller = self.kernel, self.poller
        mask = 0
        for _ in range(64):
            mask = 0
            if kernel.broken:
                mask |= HUNG_UP | (READ & poller.mask)
            if poller.mask & READ and (kernel.inbox or kernel.ended):
                mask |= READ
            if poller.mask & WRITE and (kernel.room or kernel.broken):
                mask |= WRITE
            if not mask or not self.open:
                return
            poller.watched.ready(mask)
        raise Wrong(f"it goes on for ever: the kernel reports {mask}, the socket listens for {poller.mask}")

    def wait(self, seconds: float) -> None:
        """Time passes in steps of at most a second, as it does for a poller."""
        while seconds > 0 and self.open:
            self.poller.now += min(seconds, 1.0)
            seconds -= 1.0
            for watched in self.poller.wheel.turn(self.poller.now):
                watched.expired()
            self.poll()

    def _check(self) -> None:
        queued = self.outlet.queued_bytes
        if queued > BOUNDS.queue_hard_bytes + CONTROL_FRAMES_BYTES and queued > max(map(len, self.accepted), default=0) + 4_096:
            raise Wrong(f"{queued} bytes are queued")
        # What an open round put first is not counted: nobody waits for it.
        if not self.corks and self.counters.queued_bytes != (queued if self.open else 0):
            raise Wrong(f"{self.counters.queued_bytes} bytes are counted as queued, and {queued} are")
        if not 0 <= self.counters.held_bytes <= BOUNDS.held_bytes_max:
            raise Wrong(f"{self.counters.held_bytes} bytes are counted as held")

    def finish(self) -> None:
        """The round ends, the kernel has room, the peer goes: then everything must be over, and all that left must have been legal."""
        while self.corks:
            self.do(Op.UNCORK, b"")
        self.do(Op.READING, b"\0")
        self.do(Op.ROOM, b"\x07")
        self.do(Op.END, b"")
        self.wait(400.0)
        session = self.session
        if self.open or len(session.ended) != 1:
            raise Wrong(
                f"the line has ended, and `closed` was told {len(session.ended)} times; the socket is {'open' if self.open else 'gone'}"
            )
        if self.counters.queued_bytes or self.counters.held_bytes or len(self.multiplexer):
            raise Wrong(f"left behind: {self.counters.queued_bytes} bytes queued, {self.counters.held_bytes} held")
        self._read_what_left()

    def _read_what_left(self) -> None:
        left = bytes(self.kernel.left)
        if not HEAD.startswith(left[: len(HEAD)]):
            raise Wrong(f"the answer to the handshake began with {left[:60]!r}")
        reader = rfc6455.Reader(rfc6455.Limits(frames_per_message_max=10**6), masked=False)
        events = reader.feed(left[len(HEAD) :])
        for place, event in enumerate(events):
            if isinstance(event, rfc6455.Violation):
                raise Wrong(f"what left is no frame: {event.reason}")
            if isinstance(event, rfc6455.Close) and place != len(events) - 1:
                raise Wrong("frames left after the close frame")
        messages = [event.payload for event in events if isinstance(event, rfc6455.Message)]
        if messages != self.accepted[: len(messages)]:
            raise Wrong("messages left in another order than they were accepted, or not all of those before them")
        after = len(left) - len(HEAD) - sum(map(len, (_wire(event) for event in events)))
        if any(isinstance(event, rfc6455.Close) for event in events) and after > 0:
            raise Wrong(f"{after} bytes left after the close frame")


def _wire(event: rfc6455.Event) -> bytes:
    match event:
        case rfc6455.Message():
            return rfc6455.encode(event.opcode, event.payload)
        case rfc6455.Ping():
            return rfc6455.encode(rfc6455.PING, event.payload)
        case rfc6455.Pong():
            return rfc6455.encode(rfc6455.PONG, event.payload)
        case _:
            return rfc6455.encode_close(event.code, event.reason)
