"""A server that fans messages out to its sockets, rightly or with one fault: what the load generator must find.

It speaks as much of each dialect as the generator needs, to one room, and every socket is in it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import msgspec
import trio

from protocol.codec import decode_command, decode_operation, encode, encode_event, join
from protocol.events import Said
from protocol.frames import Done, Followed, Hello, IsTyping, Limits, Mutate, Ping, Pong, Typing, Welcome
from protocol.operations import Say

Fault = Literal["none", "loses", "doubles", "alters", "swaps", "misattributes", "misdelivers", "acknowledges nothing", "answers another"]
STREAM = 7
FAULTY_MESSAGE = 3
"""The fault befalls this message, on its way to the last socket."""


class FaultyServer:
    """One room, one server."""

    def __init__(self, dialect: str, fault: Fault) -> None:
        self.port = 0
        self._dialect = dialect
        self._fault = fault
        self._sockets: list[tuple[trio.SocketStream, int]] = []
        self._seq = 0
        self._held: bytes | None = None
        self._one_at_a_time = trio.Lock()

    async def serve(self, stream: trio.SocketStream) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += await stream.receive_some(4096)
        head, _, data = data.partition(b"\r\n\r\n")
        key = next(line.split(b": ")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept
        await stream.send_all(answer + b"\r\n\r\n")
        if self._dialect == "socketio":
            await self._send(stream, b'0{"sid":"x"}')
        try:
            while True:
                while (taken := _unmask(data)) is None:
                    some = await stream.receive_some(4096)
                    if not some:
                        return
                    data += some
                payload, data = taken
                async with self._one_at_a_time:
                    await {"socketio": self._packet, "plain": self._letter, "nats": self._lines}.get(self._dialect, self._message)(
                        stream, payload
                    )
        except (trio.BrokenResourceError, trio.ClosedResourceError):  # the generator found what it was looking for, and left
            return

    async def _message(self, stream: trio.SocketStream, payload: bytes) -> None:
        match decode_command(payload):
            case Hello() as hello:
                user = hello.device
                self._sockets.append((stream, user))
                welcome = Welcome(1, 1, user, 1, 0, 1, 0, 300, 0, Limits(65536, 128, 500))
                await self._send(stream, join([encode(welcome), encode(Followed(0, STREAM, 0, True))]))
            case Mutate() as mutate:
                operation = decode_operation(mutate.operation)
                assert isinstance(operation, Say)
                self._seq += 1
                user, text = self._user_of(stream), operation.text
                right = encode_event(STREAM, self._seq, user, 0, encode(Said(text)))
                altered = encode_event(STREAM, self._seq, user, 0, encode(Said(text[:-1] + "?")))
                foreign = encode_event(STREAM, self._seq, user + 1, 0, encode(Said(text)))
                await self._fan_out(right, altered, foreign)
                if self._fault != "acknowledges nothing":
                    await self._send(stream, encode(Done(mutate.number, self._seq)))
            case Typing():
                self._seq += 1
                user = self._user_of(stream)
                right, foreign = encode(IsTyping(STREAM, user)), encode(IsTyping(STREAM, user + 1))
                await self._fan_out(right, foreign, foreign)
            case Ping() as ping:
                await self._send(stream, encode(Pong(self._answered(ping.id), 1_700_000_000_000)))

    async def _letter(self, stream: trio.SocketStream, payload: bytes) -> None:
        match payload[:1]:
            case b"J":
                self._sockets.append((stream, int(payload.split()[1])))
                await self._send(stream, b"R")
            case b"T":
                self._seq += 1
                user = self._user_of(stream)
                right, foreign = b"T%d %d" % (STREAM, user), b"T%d %d" % (STREAM, user + 1)
                await self._fan_out(right, foreign, foreign)
            case b"I":
                id, clock = map(int, payload[1:].split())
                await self._send(stream, b"I%d %d" % (self._answered(id), clock))

    async def _lines(self, stream: trio.SocketStream, payload: bytes) -> None:
        if payload.startswith(b"CONNECT"):
            user = int(payload.partition(b'"user":')[2].partition(b"}")[0])
            self._sockets.append((stream, user))
            await self._send(stream, b"INFO {}\r\nPO")  # a line may be cut anywhere
            await self._send(stream, b"NG\r\n")
            return
        self._seq += 1
        user = self._user_of(stream)
        right, foreign = b"MSG room.%d 1 3\r\n%d\r\n" % (STREAM, user), b"MSG room.%d 1 3\r\n%d\r\n" % (STREAM, user + 1)
        await self._fan_out(right, foreign, foreign)

    def _answered(self, id: int) -> int:
        self._seq += 1
        return id + 1 if self._fault == "answers another" and self._seq == FAULTY_MESSAGE else id

    async def _packet(self, stream: trio.SocketStream, payload: bytes) -> None:
        if payload.startswith(b"40"):
            self._sockets.append((stream, json.loads(payload[2:])["user"]))
            await self._send(stream, b'40{"sid":"y"}')
            await self._send(stream, b'42["ready"]')
            return
        number, _, rest = payload[2:].partition(b"[")
        event, *arguments = json.loads(b"[" + rest)
        assert event == "say"
        self._seq += 1
        user, text = self._user_of(stream), arguments[0]
        await self._fan_out(_said(user, text), _said(user, text[:-1] + "?"), _said(user + 1, text))
        if self._fault != "acknowledges nothing":
            await self._send(stream, b"43" + number + b"[]")

    async def _fan_out(self, right: bytes, altered: bytes, foreign: bytes) -> None:
        for stream, _ in self._sockets[:-1]:
            await self._send(stream, right)
        last = self._sockets[-1][0]
        if self._held is not None:
            await self._send(last, right)
            await self._send(last, self._held)
            self._held = None
            return
        if self._seq != FAULTY_MESSAGE:
            await self._send(last, right)
            return
        match self._fault:
            case "loses":
                return
            case "doubles":
                await self._send(last, right)
                await self._send(last, right)
            case "alters":
                await self._send(last, altered)
            case "swaps":
                self._held = right
            case "misattributes":
                await self._send(last, foreign)
            case "misdelivers":
                await self._send(self._sockets[0][0], right)
            case _:
                await self._send(last, right)

    def _user_of(self, stream: trio.SocketStream) -> int:
        return next(user for socket, user in self._sockets if socket is stream)

    async def _send(self, stream: trio.SocketStream, payload: bytes) -> None:
        assert len(payload) < 126
        await stream.send_all(bytes((0x81 if self._dialect in ("socketio", "plain") else 0x82, len(payload))) + payload)


def _said(user: int, text: str) -> bytes:
    return b"42" + msgspec.json.encode(["said", {"room": STREAM, "author": user, "at": 1, "text": text}])


def _unmask(data: bytes) -> tuple[bytes, bytes] | None:
    """The first frame's payload, and what follows it."""
    if len(data) < 2:
        return None
    length, at = data[1] & 127, 2
    if length == 126:
        length, at = int.from_bytes(data[2:4], "big"), 4
    end = at + 4 + length
    if len(data) < end:
        return None
    mask = data[at : at + 4]
    return bytes(byte ^ mask[n % 4] for n, byte in enumerate(data[at + 4 : end])), data[end:]


@asynccontextmanager
async def faulty_server(dialect: str, fault: Fault) -> AsyncIterator[FaultyServer]:
    """It listens for the length of the block."""
    server = FaultyServer(dialect, fault)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        server.port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, server.serve, listeners)
        yield server
        nursery.cancel_scope.cancel()
