"""Devices that come back with a full queue, as cheap as they can be: raw sockets, frames packed beforehand, answers counted.

    connect ─▶ upgrade ─▶ Hello ─▶ Welcome ─▶ chunk, chunk ─▶ … one more for each that is answered ─▶ all answered

They verify what they are told: every number answered exactly once, and every outcome a committed one.

Invariant: at most `WINDOW` chunks of a device are unanswered, as the real client keeps it; what is put off is sent again after the wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

import msgspec
import trio

from bench.generator import GeneratorFailed
from bench.population import Person
from protocol.chunks import pack
from protocol.codec import decode_frame, encode, split
from protocol.codes import TABLE, Retry
from protocol.entities import SCHEMA, Entity, write_fields
from protocol.frames import CHUNK_BYTES_GOAL, VERSION, Done, DoneRun, Goodbye, Hello, Refused, Welcome
from protocol.operations import Change

WINDOW: Final = 2
MIX: Final = ((Entity.PROGRESS, 120), (Entity.ANSWER, 60), (Entity.DRAFT, 20))
"""What a day's 200 changes are."""
UPGRADE: Final = (
    b"GET /socket HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
LEARNED: Final = "she measured the field twice and it was eleven steps wide both times, so the answer must be right"
DAY_S: Final = 86_400


class Place(msgspec.Struct, frozen=True):
    """Where one person's records are: by entity, the stream."""

    person: Person
    streams: dict[Entity, int]


class Answered(msgspec.Struct):
    """What one device saw. `chunk_s`: from the first sending of a chunk to the answer to the last of it. `put_off`: changes that the
    server had no room for at the moment, and that were sent again."""

    chunk_s: list[float]
    outcomes: list[int]
    put_off: int = 0


def changes_of(place: Place, now: int, keys: range, chance: Random) -> list[bytes]:
    """A day's changes, oldest first, to records with keys among `keys`."""
    kinds = [entity for entity, count in MIX for _ in range(count)]
    chance.shuffle(kinds)
    at = now - DAY_S
    changes = []
    for entity in kinds:
        at += chance.randint(0, DAY_S // len(kinds))
        match entity:
            case Entity.PROGRESS:
                fields = write_fields({1: chance.randint(1, 100)})
            case Entity.ANSWER:
                fields = write_fields({2: (chance.randint(0, 4),)})
            case _:
                fields = write_fields({3: LEARNED[: chance.randint(20, len(LEARNED))]})
        changes.append(encode(Change(place.streams[entity], entity, chance.choice(keys), at, fields)))
    return changes


def chunks_of(first: int, changes: Sequence[bytes]) -> list[tuple[int, int, bytes]]:
    """The chunks of these changes: first number, how many, and the frame. Each closes before it is longer than the protocol wishes."""
    chunks = []
    number, begin = first, 0
    while begin < len(changes):
        end = min(begin + 16, len(changes))
        frame = encode(pack(number, changes[begin:end]))
        while end < len(changes):
            longer = encode(pack(number, changes[begin : end + 4]))
            if len(longer) > CHUNK_BYTES_GOAL:
                break
            frame, end = longer, min(end + 4, len(changes))
        chunks.append((number, end - begin, frame))
        number, begin = number + end - begin, end
    return chunks


async def return_once(port: int, place: Place, changes: Sequence[bytes], chance: Random) -> Answered:
    """One device's return, from the first byte to the last answer. Raises `GeneratorFailed`."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    try:
        return await _converse(stream, place, changes, chance)
    finally:
        await trio.aclose_forcefully(stream)


async def _converse(stream: trio.SocketStream, place: Place, changes: Sequence[bytes], chance: Random) -> Answered:
    line = _Line(stream)
    await stream.send_all(UPGRADE)
    await line.skip_head()
    hello = Hello(VERSION, place.person.token, place.person.device, schema=SCHEMA)
    await stream.send_all(masked(encode(hello)))
    answered = Answered([], [])
    first = 0
    waiting: list[tuple[int, int, bytes]] = []
    sent: dict[int, float] = {}  # the chunk's last number, and when its first sending was
    begun: dict[int, float] = {}
    open_numbers: set[int] = set()
    in_flight: set[int] = set()
    wait_ms = 0
    while True:
        for raw in split(await line.message()):
            frame = decode_frame(raw)
            match frame:
                case Welcome():
                    first = frame.last_number + 1
                    waiting = chunks_of(first, changes)
                    open_numbers = set(range(first, first + len(changes)))
                case Done(number, value):
                    in_flight.discard(number)
                    settle(open_numbers, number, value, answered)
                case DoneRun(begin, values):
                    for number, value in enumerate(values, begin):
                        in_flight.discard(number)
                        settle(open_numbers, number, value, answered)
                case Refused() if TABLE[frame.code].retry in (Retry.LATER, Retry.SAME):
                    in_flight.discard(frame.number)
                    answered.put_off += 1
                    wait_ms = max(wait_ms, frame.wait_ms, 1)
                case Refused() | Goodbye():
                    raise GeneratorFailed(f"device {place.person.device}: {frame}")
                case _:
                    pass
        now = trio.current_time()
        for last in [last for last in sent if last not in open_numbers]:
            answered.chunk_s.append(now - sent.pop(last))
        if wait_ms and not in_flight:
            # Put off by a server that has enough to do: again from the lowest on, once all that was sent has its answer.
            await trio.sleep(wait_ms / 1000 * (1 + chance.random()))
            wait_ms = 0
            waiting = chunks_of(min(open_numbers), changes[min(open_numbers) - first :])
            begun.update(sent)
            sent.clear()
        while waiting and not wait_ms and len(sent) < WINDOW:
            number, count, frame_bytes = waiting.pop(0)
            last = number + count - 1
            in_flight.update(range(number, last + 1))
            sent[last] = begun.get(last, trio.current_time())
            await stream.send_all(masked(frame_bytes))
        if first and not open_numbers:
            return answered


def settle(open_numbers: set[int], number: int, value: int, answered: Answered) -> None:
    """Takes the answer to one number. Raises `GeneratorFailed` for one that is not open."""
    if number not in open_numbers:
        raise GeneratorFailed(f"number {number} was answered twice, or never asked")
    open_numbers.discard(number)
    answered.outcomes.append(value % 8)


def masked(payload: bytes) -> bytes:
    """A client's binary message. The mask is zero, which costs nobody anything and is as legal as any other."""
    size = len(payload)
    if size < 126:
        return bytes((0x82, 0x80 | size)) + bytes(4) + payload
    assert size < 65_536
    return bytes((0x82, 0xFE)) + size.to_bytes(2, "big") + bytes(4) + payload


class _Line:
    """What comes from the server: a head of HTTP, then messages."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    async def skip_head(self) -> None:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            await self._more()
        if not self._buffer.startswith(b"HTTP/1.1 101"):
            raise GeneratorFailed(f"no upgrade: {bytes(self._buffer[:200])!r}")
        del self._buffer[: end + 4]

    async def message(self) -> bytes:
        """The next binary message; control frames are passed over."""
        while True:
            opcode, payload = await self._frame()
            if opcode == 2:
                return payload
            if opcode == 8:
                raise GeneratorFailed(f"the server closed: {payload!r}")

    async def _frame(self) -> tuple[int, bytes]:
        await self._have(2)
        size, at = self._buffer[1] & 0x7F, 2
        if size >= 126:
            at = 4 if size == 126 else 10
            await self._have(at)
            size = int.from_bytes(self._buffer[2:at], "big")
        await self._have(at + size)
        opcode, payload = self._buffer[0] & 0x0F, bytes(self._buffer[at : at + size])
        del self._buffer[: at + size]
        return opcode, payload

    async def _have(self, count: int) -> None:
        while len(self._buffer) < count:
            await self._more()

    async def _more(self) -> None:
        data = await self._stream.receive_some(65_536)
        if not data:
            raise GeneratorFailed("the server closed the line")
        self._buffer += data
