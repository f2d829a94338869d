"""The line to models on one machine: a Unix socket that the ML process listens on.

    send ─▶ outbox (bounded) ─▶ [length][Piped] ═══ socket ═══▶ desk ─▶ reply
    told ◀───────────────────── [length][Reply] ◀══════════════════════╯

Both ends read the machine's one monotonic clock, so a question carries the moment at which it is late. A pipe that breaks is noticed at
once: whatever was asked through it is `AWAY`, without waiting for its time.

Invariant: what waits to be written to either side has a bound in bytes; a peer that breaks the framing is hung up on.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
import time
from collections.abc import AsyncGenerator, Callable
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

import msgspec
import trio
from msgspec import Raw, Struct

from actors.inference import Why
from actors.model_line import PACKET_BYTES_MAX, REPLY, Asked, LineAway, LineFull, ModelDesk, Question, Reply
from gateway.redis_connection import Backoff

LENGTH: Final = struct.Struct(">I")
OUTBOX_BYTES_MAX: Final = 8 * 1024 * 1024
FRAME_BYTES_MAX: Final = PACKET_BYTES_MAX + 1024
PEERS_MAX: Final = 64
ASKED_MAX: Final = 4096
"""More than a process has under way: above it those that are late are swept out."""
READ_BYTES: Final = 65_536
_ENCODER: Final = msgspec.msgpack.Encoder()


class Piped(Struct, frozen=True, array_like=True):
    """A question on a pipe. `late_at`: of CLOCK_MONOTONIC."""

    model: str
    late_at: float
    question: Question


_PIPED: Final = msgspec.msgpack.Decoder(Piped)
WORLD: Final = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


class _Broken(Exception):
    """The other side sent what is no frame."""


class _Outbox:
    """Frames that wait for the socket."""

    def __init__(self) -> None:
        self._frames: list[bytes] = []
        self.bytes = 0
        self._bell = trio.Event()

    def put(self, data: bytes) -> bool:
        """False: full."""
        if self.bytes + len(data) > OUTBOX_BYTES_MAX:
            return False
        self._frames += (LENGTH.pack(len(data)), data)
        self.bytes += len(data)
        self._bell.set()
        return True

    async def write(self, stream: trio.SocketStream) -> NoReturn:
        while True:
            await self._bell.wait()
            self._bell = trio.Event()
            frames, self._frames = self._frames, []
            data = b"".join(frames)
            await stream.send_all(data)
            self.bytes -= sum(map(len, frames[1::2]))


async def _frames(stream: trio.SocketStream) -> AsyncGenerator[bytes, None]:
    """Whole frames until the other side closes. Raises `_Broken` and what a stream raises."""
    kept = bytearray()
    while True:
        data = await stream.receive_some(READ_BYTES)
        if not data:
            return
        kept += data
        at = 0
        while len(kept) - at >= LENGTH.size:
            (length,) = LENGTH.unpack_from(kept, at)
            if length > FRAME_BYTES_MAX:
                raise _Broken(f"a frame of {length} bytes")
            end = at + LENGTH.size + length
            if len(kept) < end:
                break
            yield bytes(kept[at + LENGTH.size : end])
            at = end
        del kept[:at]


class PipeAsking:
    """`actors.model_line.AskingLine`."""

    def __init__(self, path: Path, *, random: Callable[[], float], clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: the one that the other end reads, too."""
        self._path = path
        self._random = random
        self._clock = clock
        self._outbox: _Outbox | None = None
        self._asked: dict[int, float] = {}
        """What went into this pipe and was not answered, and when it is late: from then on nobody waits for it."""

    @property
    def up(self) -> bool:
        return self._outbox is not None

    def send(self, model: str, question: Question, left_s: float) -> None:
        if self._outbox is None:
            raise LineAway("nobody listens at the pipe")
        now, late_at = self._clock(), self._clock() + left_s
        data = _ENCODER.encode(Piped(model, late_at, question))
        if len(data) > FRAME_BYTES_MAX:
            raise ValueError(f"a question of {len(data)} bytes; allowed: {FRAME_BYTES_MAX}")
        if not self._outbox.put(data):
            raise LineFull(f"{OUTBOX_BYTES_MAX} bytes wait for the pipe")
        if len(self._asked) >= ASKED_MAX:
            self._asked = {ticket: late for ticket, late in self._asked.items() if late > now}
        self._asked[question.ticket] = late_at

    async def serve(self, told: Callable[[Reply], None], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        backoff = Backoff(self._random, last_s=0.5)
        while True:
            try:
                stream = await _connect(self._path)
            except OSError:
                await trio.sleep(backoff.next_s())
                continue
            began = trio.current_time()
            try:
                await self._talk(stream, told)
            finally:
                self._outbox = None
                await trio.aclose_forcefully(stream)
            asked, self._asked = self._asked, {}
            for ticket in asked:
                told(Reply(ticket, Why.AWAY.value, words="the pipe broke"))
            backoff.held(trio.current_time() - began)
            await trio.sleep(backoff.next_s())

    async def _talk(self, stream: trio.SocketStream, told: Callable[[Reply], None]) -> None:
        outbox = self._outbox = _Outbox()

        async def read(scope: trio.CancelScope) -> None:
            with contextlib.suppress(*WORLD, _Broken):
                async with contextlib.aclosing(_frames(stream)) as frames:
                    async for frame in frames:
                        with contextlib.suppress(msgspec.MsgspecError):
                            reply = REPLY.decode(frame)
                            self._asked.pop(reply.ticket, None)
                            told(reply)
            scope.cancel()

        async def write(scope: trio.CancelScope) -> None:
            with contextlib.suppress(*WORLD):
                await outbox.write(stream)
            scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, nursery.cancel_scope)
            nursery.start_soon(write, nursery.cancel_scope)


class PipeAnswering:
    """`actors.model_line.AnsweringLine`. Whoever may open the socket's folder may ask."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._peers = trio.CapacityLimiter(PEERS_MAX)
        self.late = 0
        self.strange = 0
        self.unsent = 0

    async def serve(self, desk: ModelDesk, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        ear = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _remove_stale(self._path)
            await ear.bind(str(self._path))
            self._path.chmod(0o600)
            ear.listen(16)
            async with trio.open_nursery() as nursery:
                task_status.started()
                while True:
                    peer, _ = await ear.accept()
                    nursery.start_soon(self._answer, trio.SocketStream(peer), desk)
        finally:
            ear.close()
            self._path.unlink(missing_ok=True)

    async def _answer(self, stream: trio.SocketStream, desk: ModelDesk) -> None:
        outbox = _Outbox()
        async with stream, self._peers, trio.open_nursery() as nursery:

            async def write() -> None:
                with contextlib.suppress(*WORLD):
                    await outbox.write(stream)
                nursery.cancel_scope.cancel()

            nursery.start_soon(write)
            try:
                async with contextlib.aclosing(_frames(stream)) as frames:
                    async for frame in frames:
                        self._take(frame, desk, outbox)
            except _Broken:
                self.strange += 1
            except WORLD:
                pass  # it has gone, and what it asked runs out
            nursery.cancel_scope.cancel()

    def _take(self, frame: bytes, desk: ModelDesk, outbox: _Outbox) -> None:
        try:
            piped = _PIPED.decode(frame)
        except msgspec.MsgspecError:
            self.strange += 1
            return
        left_s = piped.late_at - self._clock()
        if left_s <= 0:
            self.late += 1
            return
        question = piped.question
        reply = partial(self._reply, outbox, question.ticket)
        if piped.model not in desk.models:
            reply(Why.AWAY, "", "not served here", b"")
            return
        desk.ask(Asked(piped.model, question.key, bytes(question.request), trio.current_time() + left_s, reply))

    def _reply(self, outbox: _Outbox, ticket: int, why: Why | None, by: str, words: str, result: bytes) -> None:
        data = _ENCODER.encode(Reply(ticket, why.value if why else "", by, words, Raw(result or b"\xc0")))
        if len(data) > FRAME_BYTES_MAX or not outbox.put(data):
            self.unsent += 1


async def _connect(path: Path) -> trio.SocketStream:
    peer = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        await peer.connect(str(path))
    except BaseException:
        peer.close()
        raise
    return trio.SocketStream(peer)


def _remove_stale(path: Path) -> None:
    """What a killed process left: a socket that nobody listens on. Anything else that lies there is an error."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise FileExistsError(f"{path} is no socket")
        path.unlink()
