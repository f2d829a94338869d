"""One device's life at a system, by its bytes: it comes, is cut off, comes back, and does nothing for some minutes.

    five streams followed, up to date ─ cut ─▶ back with its token ─ cut ─▶ back with its ticket ─▶ beats ─▶ a new token

It is the client as people install it, over a relay that counts (`bench/byte_relay.py`).

Invariant: a crossing begins before its connection's first packet and ends with a silence, and everything between is counted.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
import msgspec
import trio
import trio_websocket

from bench.byte_relay import Counted, Relay, open_relay
from client import Account, CaughtUp, Session, Settings, connect
from client.account import Credentials
from client.link import Link
from client.runner import RENEW_AHEAD_S
from client.websocket import WebSocketTransport
from persistence.bridge import Bridge, BridgeOptions
from protocol.operations import CreateCommunity, Invite, Join, Say
from protocol.values import Role
from supervisors.dev import Installation

CURSORS: Final = 5
FIRST_ID: Final = 1_000_000
POSTS: Final = 300
SILENCE_S: Final = 1.5
WAIT_S: Final = 60.0
PASSWORD: Final = "a long enough word"
TOKEN_S: Final = 900.0
"""As long as a token is good, by default."""
EARLIER_S: Final = RENEW_AHEAD_S + 30.0
"""By how much it is renewed ahead, on average."""


class Message(msgspec.Struct, frozen=True):
    """One message of a conversation, by its length."""

    up: bool
    size: int


class Crossing(msgspec.Struct, frozen=True):
    """What a connection cost from its first packet to the silence after it was open."""

    messages: tuple[Message, ...]
    counted: Counted

    @property
    def payload_bytes(self) -> int:
        return sum(message.size for message in self.messages)

    def __str__(self) -> str:
        up, down = (sum(one.size for one in self.messages if one.up is way) for way in (True, False))
        return (
            f"{self.payload_bytes} B of payload ({up} up, {down} down, {len(self.messages)} messages); {self.counted.both_bytes:,} B with "
            f"WebSocket's framing and handshake; {self.counted.ip_bytes:,} B with TCP and IP"
        )


class Life(msgspec.Struct, frozen=True):
    """What one device cost."""

    first: Crossing
    again: Crossing
    idle_bytes: float
    """A minute."""
    idle_ip_bytes: float
    renewal_bytes: float = 0.0
    """A minute, on average, over HTTP and on the socket."""


class Overheard:
    """A client's transport that writes down how long each message is."""

    def __init__(self, url: str) -> None:
        self._inner = WebSocketTransport(url)
        self.messages: list[Message] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Link]:
        async with self._inner.open() as link:
            yield OverheardLink(link, self.messages)


class OverheardLink:
    """One link of it."""

    def __init__(self, link: Link, messages: list[Message]) -> None:
        self._link = link
        self._messages = messages

    async def send(self, message: bytes) -> None:
        self._messages.append(Message(True, len(message)))
        await self._link.send(message)

    async def receive(self) -> bytes:
        message = await self._link.receive()
        self._messages.append(Message(False, len(message)))
        return message

    def heard_at(self) -> float:
        return self._link.heard_at()


class Pace(msgspec.Struct, frozen=True):
    """How long is long enough."""

    silence_s: float = SILENCE_S
    """After which a connection has said what it had to."""
    beats: int = 4
    heartbeat_s: int = 0
    """The client's wish; 0: none."""


async def cross(relay: Relay, messages: list[Message], come: Callable[[], Awaitable[object]], pace: Pace) -> Crossing:
    """Everything that crosses from now on until it has been silent for a while after `come`."""
    await relay.quiet(pace.silence_s)
    messages.clear()
    before = relay.read()
    await come()
    after = await relay.quiet(pace.silence_s)
    return Crossing(tuple(messages), after.since(before))


async def idle(relay: Relay, pace: Pace) -> tuple[float, float]:
    """Bytes a minute, and with TCP's and IP's headers, over some beats of the heart."""

    await relay.wait_crossing()
    began = ended = trio.current_time()
    first = last = await relay.quiet(pace.silence_s)
    for _ in range(pace.beats):
        await relay.wait_crossing()
        ended = trio.current_time()
        last = await relay.quiet(pace.silence_s)
    counted, minutes = last.since(first), (ended - began) / 60
    return counted.both_bytes / minutes, counted.ip_bytes / minutes


# Ours


async def age(installation: Installation) -> None:
    """Identifiers as they are where there have been a million of each."""

    async def work(connection: asyncpg.Connection) -> None:
        for table in ("accounts", "devices", "sessions", "spaces", "streams"):
            await connection.execute("select setval(pg_get_serial_sequence($1, 'id'), $2)", table, FIRST_ID)

    bridge = Bridge(BridgeOptions(installation.dsn))
    async with trio.open_nursery() as nursery:
        await nursery.start(bridge.serve)
        await bridge.run(work, deadline_s=WAIT_S)
        nursery.cancel_scope.cancel()


async def live(installation: Installation, pace: Pace) -> Life:
    """A reader of five streams."""
    here, there = installation.urls
    async with open_relay(int(here.rpartition(":")[2])) as relay, Account(there) as account, Account(relay.url) as counted_account:
        owner, reader = await account.register("owner", PASSWORD), await counted_account.register("reader", PASSWORD)
        transport = Overheard(relay.url)
        settings = Settings(heartbeat_s=pace.heartbeat_s, records=False)
        async with connect(there, owner) as author, connect(transport, reader, settings=settings) as session:
            with session.events() as events, trio.fail_after(WAIT_S):
                await session.online()
                streams = await _make_school(author, session)
                for stream in streams:
                    session.follow(stream)
                behind = set(streams)
                while behind:
                    item = await anext(events)
                    if isinstance(item, CaughtUp):
                        behind.discard(item.stream)

            async def back() -> None:
                relay.cut()
                await session.status_after(session.status)
                await session.online()

            with session.events():
                session._exchange.tickets.drop()
                first = await cross(relay, transport.messages, back, pace)
                again = await cross(relay, transport.messages, back, pace)
                each = await idle(relay, pace)
                renewal = await cross(relay, transport.messages, lambda: _renew(session, reader), pace)
            return Life(first, again, *each, renewal.counted.both_bytes * 60 / (TOKEN_S - EARLIER_S))


async def _make_school(author: Session, reader: Session) -> list[int]:
    """A community that the reader is in, with some hundred posts; its streams for `CURSORS` cursors beside the inbox's."""
    space = await author.do(CreateCommunity("A school"))
    await author.do(Invite(space, reader.user, Role.LEARNER))
    await reader.do(Join(space))
    here = next(one for one in (await author.overview()).spaces if one.space == space)
    general = next(one.stream for one in here.streams if one.name == "general")
    for number in range(POSTS):
        author.submit(Say(general, f"post {number}"))
    await author.settled()
    others = [one.stream for one in here.streams if one.stream != general]
    return [general, *others[: CURSORS - 2]]


async def _renew(session: Session, reader: Credentials) -> None:
    """As the client does it by itself, minutes before the token's end."""
    await reader.renew()
    assert await session.put_token(reader.access_token)


# Socket.IO


async def live_socketio(port: int, token: str, pace: Pace) -> Life:
    """The same for the peer, as its client speaks: it joins a room, and answers pings."""
    messages: list[Message] = []
    opening = "40" + json.dumps({"token": token, "room": FIRST_ID}, separators=(",", ":"))
    async with open_relay(port) as relay:

        async def converse(ready: trio.Event) -> None:
            url = f"ws://127.0.0.1:{relay.port}/socket.io/?EIO=4&transport=websocket"
            try:
                async with trio_websocket.open_websocket_url(url) as socket:
                    while True:
                        heard = str(await socket.get_message())
                        messages.append(Message(False, len(heard)))
                        answer = {"0": opening, "2": "3"}.get(heard[:1])
                        if answer is not None:
                            messages.append(Message(True, len(answer)))
                            await socket.send_message(answer)
                        if heard.startswith('42["ready"'):
                            ready.set()
            except trio_websocket.ConnectionClosed:
                return  # the relay was cut

        async with trio.open_nursery() as nursery:

            async def come() -> None:
                relay.cut()
                ready = trio.Event()
                nursery.start_soon(converse, ready)
                await ready.wait()

            first = await cross(relay, messages, come, pace)
            again = await cross(relay, messages, come, pace)
            each = await idle(relay, pace)
            nursery.cancel_scope.cancel()
    return Life(first, again, *each)
