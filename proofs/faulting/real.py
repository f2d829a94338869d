"""A device that is the real Python client, whole: session, store, exchange, trio-websocket.

    say ─▶ session.submit ─▶ Pending ─▶ the post's outcome        session.events ─▶ copies

Invariant: what it copies is what an application would have been shown, in that order.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random

import trio

from client import CaughtUp, MemoryStore, MutationRefused, Pending, Restarted, Session, SessionEnded, Unreadable, connect
from client.asking import World
from client.link import Link
from client.settings import Settings
from client.subscription import Item
from client.websocket import WebSocketTransport
from proofs.faulting.copies import Copy, Diary, Post, digest
from proofs.rehearsal.device import Badge
from protocol.codec import UnknownEvent
from protocol.frames import Event
from protocol.operations import Say


class _Roaming:
    """`client.link.Transport`: any gateway, chosen anew each time. Remembers where it is and since when, and can be dropped."""

    def __init__(self, places: Sequence[tuple[str, int]], chance: Random) -> None:
        self._places = places
        self._chance = chance
        self._next = chance.randrange(len(places))
        self.place = -1
        self.open_since = 0.0
        self.ends = 0
        self._stream: trio.abc.Stream | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Link]:
        place = self._next
        self._next = (place + 1) % len(self._places)
        host, port = self._places[place]
        transport = _Dialled(f"http://{host}:{port}")
        try:
            async with transport.open() as link:
                self.place, self.open_since, self._stream = place, time.monotonic(), transport.stream
                self._next = self._chance.randrange(len(self._places))
                yield link
        finally:
            self.place = -1
            self._stream = None
            self.ends += 1

    def drop(self) -> None:
        if isinstance(self._stream, trio.SocketStream):
            self._stream.socket.close()


class _Dialled(WebSocketTransport):
    stream: trio.abc.Stream | None = None

    async def _connect(self) -> trio.abc.Stream:
        self.stream = await super()._connect()
        return self.stream


class RealDevice:
    """Same face as `proofs.faulting.light.LightDevice`."""

    def __init__(self, badge: Badge, places: Sequence[tuple[str, int]], streams: Sequence[int], heartbeat_s: int, chance: Random) -> None:
        self.badge = badge
        self._wire = _Roaming(places, chance)
        self._chance = chance
        self._settings = Settings(heartbeat_s=heartbeat_s, software="faults")
        self.copies: dict[int, Copy] = {stream: Copy() for stream in streams}
        self._caught_up: set[int] = set()
        self._posts: dict[int, Post] = {}
        self._session: Session | None = None
        self._outcomes: trio.Nursery | None = None
        self._stopping = trio.Event()
        self.clock_offset_s = 0.0
        self.faults: list[str] = []
        self.diary = Diary()
        self.lags = 0

    @property
    def device(self) -> int:
        return self.badge.device

    @property
    def place(self) -> int:
        return self._wire.place if self.online else -1

    @property
    def open_since(self) -> float:
        return self._wire.open_since

    @property
    def online(self) -> bool:
        return self._session is not None and self._session.status.state == "online"

    @property
    def open_posts(self) -> int:
        return len(self._posts)

    @property
    def settled(self) -> bool:
        return self.online

    @property
    def ends(self) -> dict[int, int]:
        return {0: self._wire.ends}

    def say(self, post: Post) -> None:
        self._posts[post.number] = post
        if self._session is None or self._outcomes is None:
            self.faults.append(f"post {post.number} found no session")
            return
        try:
            pending = self._session.submit(Say(post.stream, post.text))
        except SessionEnded as ended:
            self.faults.append(f"post {post.number}: {ended}")
            return
        self._outcomes.start_soon(self._wait_outcome, post, pending)

    def stall(self) -> None:
        """The library always reads."""

    def go_on(self) -> None:
        """See `stall`."""

    def drop(self) -> None:
        self._wire.drop()

    def stop(self) -> None:
        self._stopping.set()

    async def live(self) -> None:
        """Runs until `stop`, or until the server ends the session for good, which is a fault."""
        world = World(lambda: time.time() + self.clock_offset_s, self._chance.random)
        try:
            async with trio.open_nursery() as outcomes:
                async with connect(self._wire, self.badge, store=MemoryStore(), settings=self._settings, world=world) as session:
                    self._session, self._outcomes = session, outcomes
                    for stream in self.copies:
                        session.follow(stream)
                    outcomes.start_soon(self._take_all, session)
                    outcomes.start_soon(self._keep_diary, session)
                    await self._stopping.wait()
                outcomes.cancel_scope.cancel()
        except* SessionEnded as ended:
            self.faults.append(f"its session ended for good: {ended.exceptions}")
        finally:
            self._session = None

    async def _keep_diary(self, session: Session) -> None:
        async for status in session.statuses():
            where = f" at gateway {self._wire.place + 1}" if status.state == "online" else ""
            self.diary.note(f"{status.state}{where} {status.wait_s:.1f} s {status.code} {status.detail}")

    async def _take_all(self, session: Session) -> None:
        with session.events() as events:
            async for first in events:
                item: Item | None = first
                while item is not None:
                    self._take(item)
                    item = events.next_nowait()

    def _take(self, item: Item) -> None:
        match item:
            case Event(stream, seq, author, at, body):
                copy = self.copies.get(stream)
                if copy is None:
                    return  # of a space that it entered before; the crew asks for channels alone
                if seq != len(copy.digests) + 1:
                    self.faults.append(f"event {seq} of stream {stream} came after {len(copy.digests)}")
                copy.add(seq, digest(author, at, body), time.monotonic(), self._wire.place, self._wire.open_since)
            case UnknownEvent(stream, seq):
                self.faults.append(f"event {seq} of stream {stream} cannot be read")
            case Unreadable(stream, code, detail):
                self.faults.append(f"stream {stream} became unreadable: {code} {detail}")
            case Restarted(stream):
                self.faults.append(f"stream {stream} began anew, although nothing was restored")
            case CaughtUp(stream):
                self._caught_up.add(stream)
            case _:
                pass

    async def _wait_outcome(self, post: Post, pending: Pending) -> None:
        try:
            post.seq = await pending.wait()
            post.acknowledged_at = time.monotonic()
        except MutationRefused as refused:
            post.refusal = str(refused)
        except SessionEnded as ended:
            self.faults.append(f"post {post.number} has no outcome: {ended}")
            return
        del self._posts[post.number]
