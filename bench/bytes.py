"""Bytes of a connection, as a phone pays for them: to come, to come back, and to do nothing.

    the client, as it is ──▶ relay, which counts ──▶ gateway, at its defaults        first connect · resume · idle · renewal of the token
    a Socket.IO client ────▶ relay ───────────────▶ node, at its defaults            connect · the same again · idle

Payload is what the messages hold. What carries them is printed beside it: WebSocket's framing and handshake, TCP and IP as the kernel
counted the segments (`bench/byte_relay.py`), without TLS, whose handshake takes some kilobytes more, for everybody the same.
Identifiers begin at a million and positions have two bytes, as after a while; in an empty installation they would be shorter.

Invariant: what is counted is everything that crossed between two silences, not only what was expected.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import trio

from bench.byte_life import CURSORS, PASSWORD, Life, Pace, age, live, live_socketio
from bench.figures import Goal, Measured
from bench.peer import open_socketio, version
from bench.stage import Options
from client import Account
from protocol.codec import encode
from protocol.cursors import pack
from protocol.entities import SCHEMA
from protocol.frames import Resume, Resumed
from protocol.values import Cursor, LinkQuality
from supervisors.dev import Installation
from supervisors.tree import running

RESUME_GOAL: Final = Goal(figure_max=100)
IDLE_GOAL: Final = Goal(figure_max=12)
QUICK: Final = Pace(silence_s=0.4, beats=1, heartbeat_s=5)
SOCKETIO_PING_MS: Final = 25_000
"""Its default."""


async def measure(options: Options, say: Callable[[str], None]) -> list[Measured]:
    """Payload to come and to come back, and bytes of an idle minute; with those of TCP and IP beside."""
    pace = QUICK if options.quick else Pace()
    found: dict[str, Life] = {}
    with tempfile.TemporaryDirectory(prefix="educonnect-bench-") as name:
        folder = Path(name)
        installation = Installation(
            folder, port=0, gateways=2, environment={"EDUCONNECT_LOG_LEVEL": "error", "EDUCONNECT_MODERATION_FLOODING": "false"}
        )
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(running(installation.spec()))
            await age(installation)
            peer_port = token = None
            if options.peers:
                ping_ms = QUICK.heartbeat_s * 1000 if options.quick else SOCKETIO_PING_MS
                peer = await stack.enter_async_context(open_socketio(folder, nodes=1, keys=installation.key_file, ping_ms=ping_ms))
                (peer_port,) = peer.ports
                async with Account(installation.urls[0]) as account:
                    token = (await account.register("reader2", PASSWORD)).access_token

            async def ours() -> None:
                found["ours"] = await live(installation, pace)

            async def theirs(port: int, token: str) -> None:
                found["socketio"] = await live_socketio(port, token, pace)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(ours)
                if peer_port is not None and token is not None:
                    nursery.start_soon(theirs, peer_port, token)
    names = {"ours": "EduConnect", "socketio": f"Socket.IO {version('socket.io')}"}
    for kind, one in found.items():
        say(f"bytes: {names[kind]}: first: {one.first}")
        say(f"bytes: {names[kind]}: back: {one.again}")
        say(f"bytes: {names[kind]}: idle: {one.idle_bytes:.1f} B a minute, {one.idle_ip_bytes:.1f} B with TCP and IP")
    say(f"bytes: EduConnect: renewing the token: {found['ours'].renewal_bytes:.1f} B a minute on average, HTTP and socket")
    return _rows(found["ours"], found.get("socketio"), names["socketio"])


def wide_bytes() -> int:
    """The same payload where numbers are long: streams that are far from each other, high positions, a clock half a minute off."""
    cursors = (Cursor(stream, 60_000) for stream in (2_000_000_011, 7_000_003, 1_200_000_007, 400_000_009, 1_900_000_001))
    resume = Resume(bytes(32), 899_999, pack(cursors), LinkQuality.TWO_G, 120, SCHEMA)
    return len(encode(resume)) + len(encode(Resumed(60_000, 30_000, 120)))


def _rows(ours: Life, theirs: Life | None, peer: str) -> list[Measured]:
    def row(name: str, read: Callable[[Life], float], goal: Goal | None = None, note: str = "") -> Measured:
        figure, other = read(ours), None if theirs is None else read(theirs)
        ratio = figure / other if other else None
        return Measured(name, figure, "B", peer if other else None, other or None, ratio, goal, note)

    without_tls = "from the first SYN, with HTTP's upgrade, TCP and IP; without TLS"
    return [
        row(
            f"resume by ticket with {CURSORS} cursors, nothing missed: payload, both ways",
            lambda one: one.again.payload_bytes,
            RESUME_GOAL,
            f"{wide_bytes()} B for unrelated streams of an installation with two thousand million of them; the peer, whose Redis "
            "adapter recovers no connection, connects anew with its token and knows no cursors",
        ),
        row("resume by ticket: all bytes of its connection", lambda one: one.again.counted.ip_bytes, None, without_tls),
        row(
            f"first connect with token and {CURSORS} cursors: payload, both ways",
            lambda one: one.first.payload_bytes,
            None,
            "the ticket is in it; the peer joins one room and gets no answer by cursor",
        ),
        row("first connect with token: all bytes of its connection", lambda one: one.first.counted.ip_bytes, None, without_tls),
        row(
            "an idle minute: WebSocket bytes, both ways",
            lambda one: one.idle_bytes,
            IDLE_GOAL,
            "pings and pongs, whose payload is empty, with their framing; default heartbeats of 45 s, and 25 s of the peer",
        ),
        row("an idle minute: all bytes of its connection", lambda one: one.idle_ip_bytes, None, "with TCP and IP"),
        row(
            "renewing the token, averaged over a minute",
            lambda one: one.renewal_bytes,
            None,
            "an HTTP request, the token on the live socket and the next ticket, once in a quarter of an hour; the peer never asks again",
        ),
    ]
