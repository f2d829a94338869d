"""`python -m proofs.fuzzing.crowd PORT SEATS`: a thousand good clients in a process of their own, each from its own address, who chat.

    post ─▶ Done (timed) ─▶ heard by everybody in the room (timed), once, in the order of its numbers

Standard input says `mark NAME` when another attack begins, and ends when it is enough; what each attack did to them is a line of JSON
on standard output, at the end. A plain loop around epoll, because a thousand tasks would measure themselves.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import Final, cast

import msgspec

from gateway import rfc6455
from proofs.fuzzing.heads import encode_lines, handshake
from protocol.codec import decode_frame, encode, split
from protocol.events import Posted, Said
from protocol.frames import Done, DoneRun, Event, Goodbye, Mutate, Refused, Welcome
from protocol.operations import Say

POSTS_PER_S: Final = 60.0
CONNECTING_MAX: Final = 100
QUIET_S: Final = 15.0
"""How long what was said may take to be heard at the end."""
_LIMITS: Final = rfc6455.Limits(message_bytes_max=4 * 1024 * 1024)


class Seat(msgspec.Struct, frozen=True):
    """One client: where it comes from, what it says first, and where it talks."""

    source: str
    hello: bytes
    stream: int


class Window(msgspec.Struct):
    """What the good clients lived through during one attack. Times in milliseconds, from saying to being heard."""

    name: str
    said: int = 0
    acknowledged: int = 0
    heard: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    worst_ms: float = 0.0
    acknowledged_p99_ms: float = 0.0
    sockets_lost: int = 0
    refused: int = 0
    lost: int = 0
    doubled: int = 0
    reordered: int = 0


class _Client:
    def __init__(self, seat: Seat, number: int) -> None:
        self.seat = seat
        self.number = number
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.sock.bind((seat.source, 0))
        self.reader = rfc6455.Reader(_LIMITS, masked=False)
        self.head: bytes | None = b""
        self.next_number = 0
        self.seq = 0
        self.said: dict[int, str] = {}


class Crowd:
    """See the module."""

    def __init__(self, port: int, seats: list[Seat]) -> None:
        self._port = port
        self._clients = [_Client(seat, number) for number, seat in enumerate(seats)]
        self._rooms: dict[int, list[_Client]] = defaultdict(list)
        for client in self._clients:
            self._rooms[client.seat.stream].append(client)
        self._selector = selectors.EpollSelector()
        self._welcome = 0
        self._windows: list[Window] = []
        self._to_heard: list[list[float]] = []
        self._to_done: list[list[float]] = []
        self._said: dict[str, tuple[float, int, int]] = {}
        self._heard: dict[str, int] = defaultdict(int)
        self._done: set[str] = set()
        self._chance = Random(7)
        self._count = 0
        self.mark("connecting")

    def mark(self, name: str) -> None:
        """From here on it is another attack."""
        self._windows.append(Window(name))
        self._to_heard.append([])
        self._to_done.append([])

    def connect(self) -> None:
        """Everybody comes in, some at a time."""
        waiting = list(self._clients)
        until_s = time.monotonic() + 120.0
        begun = 0
        while self._welcome < len(self._clients):
            while waiting and begun - self._welcome < CONNECTING_MAX:
                client = waiting.pop()
                begun += 1
                client.sock.connect_ex(("127.0.0.1", self._port))
                self._selector.register(client.sock, selectors.EVENT_WRITE, client)
            self._turn(0.1)
            if time.monotonic() > until_s:
                raise TimeoutError(f"{self._welcome} of {len(self._clients)} good clients were welcomed")

    def chat(self) -> None:
        """Until standard input ends."""
        stdin = sys.stdin.buffer
        self._selector.register(stdin, selectors.EVENT_READ, None)
        due_s = time.monotonic()
        while True:
            now_s = time.monotonic()
            while due_s <= now_s:
                due_s += 1.0 / POSTS_PER_S
                self._say()
            if not self._turn(max(0.0, due_s - time.monotonic())):
                break
        until_s = time.monotonic() + QUIET_S
        self._selector.unregister(stdin)
        while time.monotonic() < until_s and any(self._heard[text] < self._wanted(text) for text in self._done):
            self._turn(0.1)

    def tell(self) -> list[Window]:
        """What was counted, attack by attack."""
        for window, heard, done in zip(self._windows, self._to_heard, self._to_done, strict=True):
            heard.sort()
            done.sort()
            window.heard = len(heard)
            if heard:
                window.p50_ms, window.p99_ms = 1e3 * heard[len(heard) // 2], 1e3 * heard[int(len(heard) * 0.99)]
                window.worst_ms = 1e3 * heard[-1]
            if done:
                window.acknowledged_p99_ms = 1e3 * done[int(len(done) * 0.99)]
        for text in self._done:
            window = self._windows[self._said[text][1]]
            window.lost += max(0, self._wanted(text) - self._heard[text])
            window.doubled += max(0, self._heard[text] - self._wanted(text))
        return self._windows

    def _wanted(self, text: str) -> int:
        return len(self._rooms[self._said[text][2]])

    def _say(self) -> None:
        client = self._chance.choice(self._clients)
        if client.head is not None:
            return
        self._count += 1
        text = f"good {client.number} {self._count}"
        self._said[text] = (time.monotonic(), len(self._windows) - 1, client.seat.stream)
        self._windows[-1].said += 1
        client.next_number += 1
        client.said[client.next_number] = text
        self._send(client, encode(Mutate(client.next_number, msgspec.Raw(encode(Say(client.seat.stream, text))))))

    def _send(self, client: _Client, payload: bytes) -> None:
        try:
            client.sock.send(rfc6455.encode(rfc6455.BINARY, payload, key=b"good"))
        except OSError:
            self._lose(client)

    def _lose(self, client: _Client) -> None:
        self._windows[-1].sockets_lost += 1
        self._selector.unregister(client.sock)
        client.sock.close()
        client.head = b"gone"
        self._rooms[client.seat.stream].remove(client)
        self._clients.remove(client)

    def _turn(self, wait_s: float) -> bool:
        """One look at the sockets. False when standard input has ended."""
        for key, mask in self._selector.select(wait_s):
            client = cast("_Client | None", key.data)
            if client is None:
                line = sys.stdin.buffer.readline()
                if not line:
                    return False
                self.mark(line.decode().removeprefix("mark ").strip())
            elif mask & selectors.EVENT_WRITE:
                client.sock.send(encode_lines(handshake()))
                self._selector.modify(client.sock, selectors.EVENT_READ, client)
            else:
                self._receive(client)
        return True

    def _receive(self, client: _Client) -> None:
        try:
            data = client.sock.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose(client)
            return
        if client.head is not None:
            client.head += data
            head, found, data = client.head.partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                raise ConnectionError(f"a good client's handshake was answered by {head[:200]!r}")
            client.head = None
            self._send(client, client.seat.hello)
        now_s = time.monotonic()
        for event in client.reader.feed(data):
            if isinstance(event, rfc6455.Message):
                for raw in split(event.payload):
                    self._hear(client, decode_frame(raw), now_s)
            elif isinstance(event, rfc6455.Ping):
                client.sock.send(rfc6455.encode(rfc6455.PONG, event.payload, key=b"good"))

    def _hear(self, client: _Client, frame: object, now_s: float) -> None:
        match frame:
            case Welcome():
                client.next_number = frame.last_number
                self._welcome += 1
            case Event(body=Said() | Posted()):
                self._heard_event(client, frame, now_s)
            case Done():
                self._acknowledge(client, frame.number, now_s)
            case DoneRun():
                for number in range(frame.first, frame.first + len(frame.values)):
                    self._acknowledge(client, number, now_s)
            case Refused():
                self._windows[-1].refused += 1
                client.said.pop(frame.number, None)
            case Goodbye():
                print(f"a good client was sent away: {frame}", file=sys.stderr)
            case _:
                pass

    def _heard_event(self, client: _Client, frame: Event, now_s: float) -> None:
        assert isinstance(frame.body, Said | Posted)
        said = self._said.get(frame.body.text)
        if frame.seq <= client.seq:
            self._windows[-1].reordered += 1
        client.seq = frame.seq
        if said is not None:
            self._heard[frame.body.text] += 1
            self._to_heard[said[1]].append(now_s - said[0])

    def _acknowledge(self, client: _Client, number: int, now_s: float) -> None:
        text = client.said.pop(number, None)
        if text is not None:
            said_s, window, _ = self._said[text]
            self._done.add(text)
            self._windows[window].acknowledged += 1
            self._to_done[window].append(now_s - said_s)


def main() -> None:
    port, seats = int(sys.argv[1]), msgspec.json.decode(Path(sys.argv[2]).read_bytes(), type=list[Seat])
    crowd = Crowd(port, seats)
    crowd.connect()
    print("connected", flush=True)
    crowd.chat()
    print(msgspec.json.encode(crowd.tell()).decode(), flush=True)


if __name__ == "__main__":
    main()
