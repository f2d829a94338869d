"""The two ways to ask a server, reduced to what came of it: a code, `OK` for what was done.

    Talker   a socket: Hello, then operations and requests one after the other
    Caller   HTTP on one connection, written and read by hand: a client library would take longer than the server

Invariant: every question has one answer, or ends its connection with a code; silence is an error (`Silent`).
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec
import trio
from msgspec import Raw, Struct

from proofs.fuzzing.line import Conversation, Line
from proofs.matrixing.ground import Login
from protocol.codec import encode, join
from protocol.codes import Code
from protocol.frames import (
    AnyCommand,
    AnyFrame,
    Done,
    DoneRun,
    Failed,
    Goodbye,
    Hello,
    Mutate,
    Refused,
    Welcome,
)
from protocol.operations import AnyOperation
from protocol.values import Cursor

ANSWER_S: Final = 20.0
Judge = Callable[[AnyFrame], Code | None]
"""What an answer says: `OK`, a refusal, or None where it is not the answer yet."""


class Ended(Exception):
    """The socket ended in the middle of the conversation."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the socket ended with {code}")
        self.code = code


class Talker:
    """A socket that is open. Whatever is not an answer (events, presence) is passed over, or kept where `kept` is a list."""

    def __init__(self, conversation: Conversation, number: int) -> None:
        self._conversation = conversation
        self._number = number
        self._id = 0
        self.kept: list[AnyFrame] | None = None

    def next_id(self) -> int:
        """An id that no request of this socket has had."""
        self._id += 1
        return self._id

    async def do(self, operation: AnyOperation) -> tuple[Code, int, str]:
        """What became of an operation: the code, its value, and what was said about it."""
        return await self.do_raw(Raw(encode(operation)))

    async def do_raw(self, operation: Raw) -> tuple[Code, int, str]:
        """The same of bytes that need not be an operation."""
        self._number += 1
        number = self._number
        await self._conversation.send(encode(Mutate(number, operation)))
        while True:
            frame = await self.frame()
            if isinstance(frame, Done) and frame.number == number:
                return Code.OK, frame.value, ""
            if isinstance(frame, DoneRun) and frame.first <= number < frame.first + len(frame.values):
                return Code.OK, frame.values[number - frame.first], ""
            if isinstance(frame, Refused) and frame.number == number:
                return frame.code, 0, frame.detail

    async def ask(self, command: AnyCommand, judge: Judge) -> Code:
        """What became of a command, as `judge` reads the answers."""
        await self._conversation.send(encode(command))
        while True:
            code = judge(await self.frame())
            if code is not None:
                return code

    async def send(self, *frames: bytes) -> None:
        """Frames as they are, in one message."""
        await self._conversation.send(join(list(frames)))

    def take_number(self) -> int:
        """The next number, for a command that carries mutations by itself."""
        self._number += 1
        return self._number

    async def frame(self) -> AnyFrame:
        """The next frame. Raises `Ended`."""
        with trio.fail_after(ANSWER_S):
            frame = await self._conversation.frame()
        if frame is None:
            raise Ended(self._conversation.closed)
        if isinstance(frame, Goodbye):
            raise Ended(int(frame.code))
        if self.kept is not None:
            self.kept.append(frame)
        return frame


@contextlib.asynccontextmanager
async def converse(port: int, source: str) -> AsyncIterator[Conversation]:
    """A socket on which nothing has been said yet."""
    async with Line.open(port, source) as line:
        conversation = Conversation(line)
        if not await conversation.shake_hands():
            raise ConnectionError(conversation.answered)
        yield conversation


@contextlib.asynccontextmanager
async def talk(port: int, source: str, login: Login, cursors: tuple[Cursor, ...] = ()) -> AsyncIterator[Talker]:
    """A session that is open. Raises `Ended` where it was not let in."""
    async with converse(port, source) as conversation:
        await conversation.send(encode(Hello(1, login.token, login.device, cursors)))
        frame = await conversation.frame()
        if not isinstance(frame, Welcome):
            raise Ended(int(frame.code) if isinstance(frame, Goodbye) else conversation.closed)
        yield Talker(conversation, frame.last_number)


async def intrude(port: int, source: str, login: Login, *frames: bytes) -> Code:
    """Says Hello with a token that is not good (any more), and these frames behind it at once. The code of the end, or `OK` if anything
    but that was answered."""
    async with converse(port, source) as conversation:
        await conversation.send(join([encode(Hello(1, login.token, login.device)), *frames]))
        with trio.fail_after(ANSWER_S):
            while (frame := await conversation.frame()) is not None:
                if isinstance(frame, Goodbye):
                    return Code(frame.code)
                if not (isinstance(frame, Failed) and frame.code is not Code.OK):
                    return Code.OK
        return Code(conversation.closed)


def by_id(id: int, *answers: type[AnyFrame]) -> Judge:
    """The usual: one of `answers`, or `Failed`, with the request's id."""

    def judge(frame: AnyFrame) -> Code | None:
        if isinstance(frame, Failed) and frame.id == id:
            return frame.code
        return Code.OK if isinstance(frame, answers) and getattr(frame, "id", id) == id else None

    return judge


class Request(Struct, frozen=True):
    """One call of a route. `body`: JSON, or bytes with their type. `path` is below the server's root."""

    method: str
    path: str
    body: object = None
    content_type: str = "application/json"
    fields: tuple[tuple[str, str], ...] = ()
    """Further fields of its head."""


class Answer(Struct, frozen=True):
    """What came back. `code`: `OK` below 300, and what the problem says otherwise."""

    status: int
    body: bytes

    @property
    def code(self) -> Code:
        if self.status < 400:
            return Code.OK
        try:
            return Code(msgspec.json.decode(self.body, type=_Problem).code)
        except (msgspec.MsgspecError, ValueError):
            return Code.FAULT

    @property
    def detail(self) -> str:
        """What the server says went wrong."""
        try:
            return msgspec.json.decode(self.body, type=_Problem).detail
        except msgspec.MsgspecError:
            return f"{self.status}: {self.body[:80]!r}"


class _Problem(Struct):
    code: int
    detail: str = ""


class Caller:
    """HTTP/1.1 on a connection that is opened again where the server closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stream: trio.SocketStream | None = None

    async def call(self, request: Request, token: str, address: str) -> Answer:
        """Asks from `address` (as a trusted balancer says it). An empty token: none is sent."""
        body = request.body if isinstance(request.body, bytes) else b"" if request.body is None else msgspec.json.encode(request.body)
        head = [f"{request.method} {request.path} HTTP/1.1", "Host: matrix", f"X-Forwarded-For: {address}", f"Content-Length: {len(body)}"]
        if token:
            head.append(f"Authorization: Bearer {token}")
        if request.body is not None:
            head.append(f"Content-Type: {request.content_type}")
        head += [f"{name}: {value}" for name, value in request.fields]
        data = "\r\n".join(head).encode() + b"\r\n\r\n" + body
        with trio.fail_after(ANSWER_S):
            if self._stream is not None:
                with contextlib.suppress(trio.BrokenResourceError, ConnectionError):
                    await self._stream.send_all(data)
                    return await self._read()
                await self.close()
            self._stream = await trio.open_tcp_stream("127.0.0.1", self._port)
            await self._stream.send_all(data)
            return await self._read()

    async def close(self) -> None:
        """Ends the connection, if there is one."""
        if self._stream is not None:
            stream, self._stream = self._stream, None
            await trio.aclose_forcefully(stream)

    async def _read(self) -> Answer:
        assert self._stream is not None
        data = b""
        while b"\r\n\r\n" not in data:
            data += await self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").lower().split("\r\n")
        status = int(lines[0].split(" ")[1])
        fields = dict(line.split(": ", 1) for line in lines[1:])
        if fields.get("transfer-encoding") == "chunked":
            while not body.endswith(b"0\r\n\r\n"):
                body += await self._more()
        while len(body) < int(fields.get("content-length", 0)):
            body += await self._more()
        if fields.get("connection") == "close":
            await self.close()
        return Answer(status, body)

    async def _more(self) -> bytes:
        assert self._stream is not None
        more: bytes = await self._stream.receive_some(65_536)
        if not more:
            raise ConnectionError("the server closed the connection")
        return more
