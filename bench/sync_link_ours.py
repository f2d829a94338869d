"""The day through the real system: gateway with TLS on its own listener, Postgres, Valkey; and the Python client with its store in a file.

    serve   an installation at the link's server end; a member with a seat for each run, a channel with the day's 500 messages
    sync    the client at the device's end: 200 changes wait in its store; it connects, sends them and follows the channel

The client is the one that people use; only its transport is wrapped, to count what it sends again.

    python -m bench.sync_link_ours serve|sync JSON     (run by bench/sync_link.py at the ends of the link)
"""

from __future__ import annotations

import logging
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Final

import asyncpg
import msgspec
import structlog
import trio

from actors.storage import Entry
from bench.link import SERVER_ADDRESS
from bench.ours import ENVIRONMENT
from bench.population import make_people, make_rooms
from bench.sync_link_day import Day, Deed, make_day
from bench.sync_link_ends import Done, Task, go
from client import Settings, SqliteStore, connect
from client.link import Link
from client.websocket import WebSocketTransport
from persistence.bridge import Bridge, BridgeOptions
from persistence.operations.hot import Columns
from protocol.codec import decode_frame, encode, split
from protocol.entities import TABLE, write_fields
from protocol.events import Said
from protocol.frames import Event
from protocol.operations import Change, Say
from protocol.values import LinkQuality, StreamKind
from supervisors.dev import Installation
from supervisors.tree import running

PREPARE_S: Final = 60.0
UP_TAGS: Final = frozenset({2, 15})
"""Mutate and Chunk: payload; the rest of what a client sends is talk."""


class Seat(msgspec.Struct, frozen=True):
    """Somebody's device, and where their things are."""

    user: int
    device: int
    inbox: int
    access_token: str
    channel: int
    streams: dict[int, int]
    """Of their own records, by kind."""

    expires_at: float = 0.0

    async def renew(self) -> None:
        raise AssertionError("a run is shorter than a token's life")


class Served(msgspec.Struct, frozen=True):
    """What the server says when it is ready."""

    port: int
    seats: tuple[Seat, ...]


# -- the server's end -----------------------------------------------------------------------------------------------------


async def serve(task: Task, day: Day) -> None:
    """An installation with a seat for each run, until this process is ended."""
    environment = {
        **ENVIRONMENT,
        "EDUCONNECT_LISTEN_HOST": SERVER_ADDRESS,
        "EDUCONNECT_LISTEN_TLS_CERTIFICATE": task.tls.chain,
        "EDUCONNECT_LISTEN_TLS_KEY": task.tls.key,
    }
    installation = Installation(Path(task.folder), port=0, environment=environment)
    async with running(installation.spec()):
        bridge = Bridge(BridgeOptions(installation.dsn))
        async with trio.open_nursery() as nursery:
            await nursery.start(bridge.serve)
            seats = await bridge.run(partial(_prepare, keys=installation.key_file, runs=task.run, day=day), deadline_s=PREPARE_S)
            nursery.cancel_scope.cancel()
        port = int(installation.urls[0].rpartition(":")[2])
        print(msgspec.json.encode(Served(port, tuple(seats))).decode(), flush=True)
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)


async def _prepare(connection: asyncpg.Connection, keys: Path, runs: int, day: Day) -> list[Seat]:
    people = await make_people(connection, keys, runs + 1)
    [room] = await make_rooms(connection, people, 1, len(people))
    author = people[-1]
    entries = [Entry(author.user, 0, 0, 0, 0, Say(room.stream, line)) for line in day.lines]
    columns = Columns(entries)
    columns.read(await columns.append(connection))
    rows = await connection.fetch(
        "select m.user_id, t.kind, t.id from members m join spaces s on s.id = m.space_id and s.kind in (3, 4)"
        " join streams t on t.space_id = s.id where m.user_id = any($1)",
        [person.user for person in people],
    )
    streams: dict[int, dict[int, int]] = {}
    for user, kind, stream in rows:
        streams.setdefault(user, {})[kind] = stream
    return [
        Seat(
            person.user,
            person.device,
            streams[person.user][StreamKind.INBOX],
            person.token,
            room.stream,
            streams[person.user],
            time.time() + 3000,
        )
        for person in people[:-1]
    ]


# -- the device's end -----------------------------------------------------------------------------------------------------


def change_of(deed: Deed, streams: dict[int, int]) -> Change:
    """A deed as the mutation that it is."""
    stream = streams[TABLE[deed.kind].stream]
    return Change(stream, deed.kind, deed.key, deed.at, write_fields(deed.numbered()), deed.base)


class Counting:
    """A transport that knows what went up and came down more than once."""

    def __init__(self, transport: WebSocketTransport) -> None:
        self._transport = transport
        self.sockets = 0
        self.up: set[bytes] = set()
        self.seqs: set[tuple[int, int]] = set()
        self.up_twice_bytes = 0
        self.down_twice_bytes = 0
        self.up_bytes = 0
        self.down_bytes = 0
        self.opened: list[float] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Link]:
        self.sockets += 1
        async with self._transport.open() as link:
            self.opened.append(time.monotonic())
            yield CountingLink(link, self)


class CountingLink:
    """One socket of it."""

    def __init__(self, link: Link, counts: Counting) -> None:
        self._link = link
        self._counts = counts

    async def send(self, message: bytes) -> None:
        self._counts.up_bytes += len(message)
        for raw in split(message):
            frame = bytes(raw)
            if frame[1] in UP_TAGS:
                if frame in self._counts.up:
                    self._counts.up_twice_bytes += len(frame)
                self._counts.up.add(frame)
        await self._link.send(message)

    async def receive(self) -> bytes:
        message = await self._link.receive()
        self._counts.down_bytes += len(message)
        for raw in split(message):
            frame = decode_frame(raw)
            if isinstance(frame, Event):
                place = (frame.stream, frame.seq)
                if place in self._counts.seqs:
                    self._counts.down_twice_bytes += len(encode(frame))
                self._counts.seqs.add(place)
        return message

    def heard_at(self) -> float:
        return self._link.heard_at()


async def sync(task: Task, day: Day) -> None:
    """One run: everything up and down at once, on one socket."""
    seat = msgspec.json.decode(task.seat, type=Seat)
    tls = ssl.create_default_context(cafile=task.root)
    way = WebSocketTransport(f"https://{SERVER_ADDRESS}:{task.port}", tls)
    settings = Settings(link=LinkQuality.TWO_G)
    with SqliteStore(Path(task.folder) / f"device-{seat.device}.sqlite") as store:
        async with connect(way, seat, store=store, settings=settings) as session:
            await session.synced()  # yesterday, on a good link: it knows its streams
        for deed in day.deeds:
            store.append(encode(change_of(deed, seat.streams)))
        transport = Counting(way)
        await trio.to_thread.run_sync(go)
        began = time.monotonic()
        marks: dict[str, float] = {}
        async with connect(transport, seat, store=store, settings=settings) as session, trio.open_nursery() as nursery:
            session.follow(seat.channel, 0)

            async def reach(mark: str, wait: Callable[[], Awaitable[None]]) -> None:
                await wait()
                marks[mark] = time.monotonic() - began

            async def read() -> None:
                lines: list[str] = []
                with session.events(seat.channel) as events:
                    async for item in events:
                        if isinstance(item, Event) and isinstance(item.body, Said):
                            lines.append(item.body.text)
                            marks.setdefault("first line", time.monotonic() - began)
                            if len(lines) == len(day.lines):
                                break
                assert tuple(lines) == day.lines, "the messages are not as they were said"

            nursery.start_soon(reach, "online", session.online)
            nursery.start_soon(reach, "up", session.settled)
            nursery.start_soon(reach, "down", read)
            nursery.start_soon(reach, "synced", session.synced)
        marks["socket"] = transport.opened[0] - began
        refused = store.unapplied()
        assert not refused, f"{len(refused)} refused, the first {refused[0]}"
    twice = transport.up_twice_bytes + transport.down_twice_bytes
    notes = (
        f"messages {transport.up_bytes} B up, {transport.down_bytes} B down;"
        f" twice {transport.up_twice_bytes} up, {transport.down_twice_bytes} down"
    )
    took_s = max(marks["synced"], marks["down"])
    Done(took_s, {mark: round(at, 2) for mark, at in sorted(marks.items(), key=itemgetter(1))}, transport.sockets, twice, notes).tell()


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    task = msgspec.json.decode(sys.argv[2], type=Task)
    trio.run(serve if sys.argv[1] == "serve" else sync, task, make_day(task.seed))


if __name__ == "__main__":
    main()
