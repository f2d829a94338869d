"""What a person sees who looks in while something is wrong: a slow reader, a hot stream, an actor that crashes. Real gateways, real
servers, real sockets; what is asserted is the text on the screen."""

from __future__ import annotations

import base64
import re
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
import trio
import trio.testing
from prometheus_client.parser import text_string_to_metric_families

from actors.messages import Enter, UserMessage
from actors.user import User
from client import Credentials, Session, connect
from gateway.handshake import SUBPROTOCOL
from protocol.codec import encode, join
from protocol.entities import SCHEMA
from protocol.frames import VERSION, Hello
from protocol.operations import CreateCommunity
from protocol.values import Cursor, LinkQuality, Role
from supervisors.live import frame, render, render_json, see
from supervisors.settings import Sockets
from tests.fixtures_postgres import database, postgres_server, postgres_template
from tests.fixtures_valkey import TestValkey, valkey, valkey_server
from tests.needs import require
from tests.system.inside import gateways, settings_for, views
from tests.system.running import community, register, texts

__all__ = ["database", "postgres_server", "postgres_template", "valkey", "valkey_server"]

RECEIVE_BYTES = 4096


QUEUE_BYTES = 16 * 1024
LONG = "x" * 4000


@pytest.fixture
def promtool() -> str:
    return require("promtool", "checks metrics, alert rules and queries")


@asynccontextmanager
async def stopped_reader(url: str, credentials: Credentials, stream: int) -> AsyncIterator[trio.socket.SocketType]:
    """A device that is welcomed, follows a stream, and never reads again. Its kernel keeps as little as it may."""
    host, _, port = url.removeprefix("http://").partition(":")
    sock = trio.socket.socket()
    with sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        await sock.connect((host, int(port)))
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        head = (
            f"GET /socket HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
        )
        cursors = (Cursor(stream, 0),)
        hello = Hello(VERSION, credentials.access_token, credentials.device, cursors, link=LinkQuality.FAIR, schema=SCHEMA)
        payload = join([encode(hello)])
        await trio.SocketStream(sock).send_all(
            head.encode() + bytes((0x82, 0x80 | 126, *len(payload).to_bytes(2, "big"), 0, 0, 0, 0)) + payload
        )
        assert (await sock.recv(1024)).startswith(b"HTTP/1.1 101")
        yield sock


async def test_a_slow_reader_is_named_with_what_waits_for_it(
    database: str,
    valkey: TestValkey,
    tmp_path: Path,
) -> None:
    settings = settings_for(database, valkey.url, tmp_path, sockets=Sockets(queue_soft_bytes=QUEUE_BYTES))
    async with gateways(settings, tmp_path / "run") as [gateway]:
        learner = await register(gateway.url)
        async with connect(gateway.url, learner) as session, community(gateway.url, (session, Role.LEARNER)) as (owner, _, general):
            async with stopped_reader(gateway.url, learner, general):
                with trio.fail_after(60):
                    shown = (await views(tmp_path / "run"))["gateway-1"]
                    while not shown.readers:
                        for _ in range(20):
                            await owner.say(general, LONG)
                        shown = (await views(tmp_path / "run"))["gateway-1"]
                [reader] = shown.readers
                assert (reader.user, reader.device) == (learner.user, learner.device)
                assert reader.queued_bytes > 0
                text = render(await see([tmp_path / "run"]), whole=False)
                line = next(line for line in text.splitlines() if "unread for" in line)
                assert re.fullmatch(
                    rf"    user {learner.user} device {learner.device} \(session \d+, fair\): [\d.]+ KiB unread for [\d.]+ s"
                    r"(, dropped from 1 stream)?",
                    line,
                )


async def test_a_hot_stream_is_named_with_its_share(database: str, valkey: TestValkey, tmp_path: Path) -> None:
    async with gateways(settings_for(database, valkey.url, tmp_path), tmp_path / "run") as [gateway]:
        credentials = await register(gateway.url)
        async with connect(gateway.url, credentials) as owner:
            for name in ("quiet", "busy"):
                await owner.do(CreateCommunity(name))
            spaces = (await owner.overview()).spaces
            quiet, busy = [stream.stream for space in spaces for stream in space.streams if stream.name == "general"]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_read, owner, quiet, busy)
                await owner.say(quiet, "one")
                nursery.start_soon(_chatter, owner, busy)
                with trio.fail_after(30):
                    while True:
                        shown = (await views(tmp_path / "run"))["gateway-1"]
                        if shown.streams and shown.streams[0].share > 0.9:
                            break
                nursery.cancel_scope.cancel()
            assert shown.streams[0].stream == busy
            lines = render([("gateway-1", shown)], whole=False).splitlines()
            title = next(at for at, line in enumerate(lines) if line.startswith("  busiest of"))
            assert re.fullmatch(
                rf"    stream {busy} \(space \d+\): [\d.]+ events/s to 1 follower, \d+% of all flushes(, BEHIND for [\d.]+ s)?",
                lines[title + 1],
            )


async def _read(session: Session, *streams: int) -> None:
    async for _ in session.events(*streams):
        pass


async def _chatter(session: Session, stream: int) -> None:
    while True:
        await session.say(stream, "and so on")


async def test_a_gateway_that_works_has_metrics_that_promtool_accepts_and_that_count_what_happened(
    database: str, valkey: TestValkey, tmp_path: Path, promtool: str
) -> None:
    async with gateways(settings_for(database, valkey.url, tmp_path), tmp_path / "run", 2) as [first, second]:
        async with connect(second.url, await register(second.url)) as far, community(first.url, (far, Role.LEARNER)) as (owner, _, general):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(texts, far, general, "the last")
                with trio.fail_after(20):
                    while general not in second.node.cast.near.followed:
                        await trio.testing.wait_all_tasks_blocked(0.01)
                for text in ("one", "two", "the last"):
                    await owner.say(general, text)
            async with httpx.AsyncClient(trust_env=False) as http:
                here, there = [(await http.get(f"{gateway.url}/metrics")).text for gateway in (first, second)]
    figures = [
        {(s.name, *sorted(s.labels.values())): s.value for family in text_string_to_metric_families(text) for s in family.samples}
        for text in (here, there)
    ]
    assert figures[0]["educonnect_mutations_total", "OK", "Say", "no"] == 3
    assert figures[0]["educonnect_journal_batch_entries_sum",] >= 3 and figures[0]["educonnect_journal_commit_seconds_count",] >= 3
    assert figures[0]["educonnect_link_published_total",] >= 3 and figures[1]["educonnect_fanout_events_total",] >= 3
    assert figures[1]["educonnect_fanout_deliveries_total",] >= 1
    assert figures[1]["educonnect_sessions", str(SCHEMA), "unknown"] == 1
    assert figures[0]["educonnect_http_requests_total", "/api/v1/auth/register", "201", "POST"] == 1
    assert figures[0]["educonnect_postgres_call_seconds_count", "journal"] >= 1
    assert figures[0]["educonnect_up", "database"] == figures[0]["educonnect_up", "link"] == 1
    assert figures[0]["educonnect_turn_delay_seconds_count",] > 0
    assert figures[0]["educonnect_child_uptime_seconds", "gateway/storage/journal"] > 0
    for text in (here, there):
        own = "".join(line for line in text.splitlines(keepends=True) if "process_" not in line)
        done = await trio.run_process(
            [promtool, "check", "metrics"], stdin=own.encode(), capture_stdout=True, capture_stderr=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


async def test_an_actor_that_crashes_is_named_with_its_cause(
    database: str, valkey: TestValkey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive = User.receive
    broken: set[int] = set()

    def receive_or_crash(self: User, message: UserMessage) -> None:
        receive(self, message)
        if isinstance(message, Enter) and broken:
            raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(User, "receive", receive_or_crash)
    async with gateways(settings_for(database, valkey.url, tmp_path), tmp_path / "run", 2) as [first, second]:
        sound, ill = await register(first.url), await register(second.url)
        async with connect(first.url, sound) as session:
            await session.online()
        broken.add(ill.user)
        async with connect(second.url, ill) as session:
            await session.online()
            seen = await see([tmp_path / "run"])
        text = render(seen, whole=False)
        of_first, of_second = text.split("gateway-2")
        assert "restarts" not in of_first.partition("actors")[2].partition("journal")[2]
        # Its sessions say again that they are there, so it crashes until it is given up.
        said = rf"^    user {ill.user}: 4 crashes, last \d s ago: ZeroDivisionError: a fault of ours$"
        assert re.search(said, of_second, re.MULTILINE), text
        assert re.search(r"^    user: 1, \d+ messages/s, 3 restarts, 1 given up$", of_second, re.MULTILINE), text
        shown = msgspec.json.decode(render_json(seen))
        assert [trouble["place"] for name, view in shown.items() for trouble in view["troubles"] if "gateway-2" in name] == [
            f"user {ill.user}"
        ]
        screen = frame(text, 80, 24)
        assert screen.count("\r\n") <= 23 and all(len(line) <= 80 + len("\x1b[H\x1b[K") for line in screen.split("\r\n"))
