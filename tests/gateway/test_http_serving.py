"""Plain HTTP on the public port, and the faults of the server underneath: each shown on the original, and absent here."""

from __future__ import annotations

import functools
import socket
from typing import Any

import h11
import pytest
import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from trio.testing import MockClock

from gateway.options import HttpBounds
from tests.gateway.public_port import PATIENCE_S, Port, eventually, hello, open_port, read_all, read_until

GET = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
UPGRADE_AND_A_BYTE = (
    b"GET /x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nx"
)
ANSWER_BYTES = 64 * 1024 * 1024


async def flood(scope: Any, receive: Any, send: Any) -> None:
    """Answers with more than any kernel buffers."""
    if scope["type"] == "lifespan":
        await hello(scope, receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(ANSWER_BYTES // 65536):
        await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def crash(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await hello(scope, receive, send)
        return
    raise RuntimeError("an application's fault")


async def serve_original(app: Any, *, task_status: trio.TaskStatus[int]) -> None:
    """Hypercorn as it comes, on a free port."""
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.errorlog = None
    config.accesslog = None
    config.graceful_timeout = 0.1
    async with trio.open_nursery() as nursery:
        binds = await nursery.start(functools.partial(serve, app, config, mode="asgi"))
        task_status.started(int(binds[0].rpartition(":")[2]))


def stalled_reader(port: int) -> socket.socket:
    """A client that asks and never reads the answer."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", port))
    sock.sendall(GET)
    return sock


# ── fault one: bytes behind an upgrade ──


async def test_the_original_ends_when_bytes_follow_an_upgrade() -> None:
    with pytest.raises(ExceptionGroup) as ended:
        async with trio.open_nursery() as nursery:
            number = await nursery.start(serve_original, hello)
            async with await trio.open_tcp_stream("127.0.0.1", number) as stream:
                await stream.send_all(UPGRADE_AND_A_BYTE)
                await read_all(stream)
                await trio.sleep(PATIENCE_S)
            nursery.cancel_scope.cancel()
    assert ended.group_contains(h11.LocalProtocolError)


@pytest.mark.parametrize("first", [b"", GET], ids=["first request", "kept-alive connection"])
@pytest.mark.parametrize("path", [b"/x", b"/socket"])
async def test_bytes_behind_an_upgrade_end_one_connection_and_nothing_else(first: bytes, path: bytes) -> None:
    request = UPGRADE_AND_A_BYTE.replace(b"/x", path)
    async with open_port() as port, await port.connect() as other, await port.connect() as stream:
        await other.send_all(GET)
        await read_until(other, b"/x 127.0.0.1 0")
        if first:
            await stream.send_all(first)
            await read_until(stream, b"/x 127.0.0.1 0")
        await stream.send_all(request)
        if path == b"/socket" and not first:
            assert (await read_until(stream, b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        else:
            answer = await read_all(stream)
            assert answer.startswith(b"HTTP/1.1 400 " if first else b"HTTP/1.1 404 ")
            assert b"first request" in answer if first else b"/socket" in answer
        await other.send_all(GET)
        assert (await read_until(other, b"/x 127.0.0.1 0")).startswith(b"HTTP/1.1 200 ")
        assert port.http.crashes == 0


async def test_an_upgrade_to_http2_is_ignored_and_the_request_answered() -> None:
    async with open_port() as port, await port.connect() as stream:
        await stream.send_all(
            b"GET /x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n\r\n"
        )
        assert (await read_until(stream, b"/x 127.0.0.1 0")).startswith(b"HTTP/1.1 200 ")
        await stream.send_all(GET)
        assert (await read_until(stream, b"/x 127.0.0.1 0")).startswith(b"HTTP/1.1 200 ")


# ── fault two: a client that stops reading ──


async def test_the_original_cannot_be_stopped_while_a_client_does_not_read() -> None:
    stopped = trio.Event()

    async def run(*, task_status: trio.TaskStatus[int]) -> None:
        try:
            await serve_original(flood, task_status=task_status)
        finally:
            stopped.set()

    async with trio.open_nursery() as nursery:
        number = await nursery.start(run)
        with stalled_reader(number):
            await wait_quiet()
            nursery.cancel_scope.cancel()
            # Everything that a cancelled task may do without waiting has happened after this, and it still stands.
            with trio.CancelScope(shield=True):
                await wait_quiet()
                assert not stopped.is_set()
    assert stopped.is_set(), "once the client was gone, it stopped"


async def test_a_client_that_does_not_read_cannot_delay_the_end() -> None:
    with trio.fail_after(PATIENCE_S):
        async with open_port(app=flood, http_bounds=HttpBounds(shutdown_s=0.1)) as port:
            reader = stalled_reader(port.number)
            await wait_quiet()
    reader.close()


async def test_a_client_that_takes_nothing_for_too_long_is_cut_off(mock_clock: MockClock) -> None:
    async with open_port(app=flood, http_bounds=HttpBounds(stall_s=30)) as port:
        with stalled_reader(port.number):
            await wait_quiet()
            assert port.http.connections == 1
            for _ in range(3):
                mock_clock.jump(31)
                await wait_quiet()
            assert port.http.connections == 0


async def wait_quiet() -> None:
    """Waits until the kernel, too, has nothing more to move between two sockets of this process."""
    for _ in range(20):
        await trio.testing.wait_all_tasks_blocked(0.005)


# ── fault three: an answer before the body was read ──


async def late(scope: Any, receive: Any, send: Any) -> None:
    """Answers without a look at the body, once as much of it as there is room for has come."""
    await trio.testing.wait_all_tasks_blocked(0.005)
    await hello(scope, receive, send)


LONG_BODY = b"POST /ignore HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + b"4\r\nbody\r\n" * 50 + b"0\r\n\r\n"


async def sees_the_end(number: int) -> bool:
    """Sends a long body to an application that ignores it, says goodbye, and tells whether the server ends the connection."""
    async with await trio.open_tcp_stream("127.0.0.1", number) as stream:
        await stream.send_all(LONG_BODY)
        await read_until(stream, b"/ignore 127.0.0.1 0")
        await stream.send_eof()
        ended = False

        async def read_to_the_end() -> None:
            nonlocal ended
            await read_all(stream)
            ended = True

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_to_the_end)
            await wait_quiet()
            nursery.cancel_scope.cancel()
        return ended


async def test_the_original_keeps_a_connection_for_ever_whose_body_nobody_read() -> None:
    async with trio.open_nursery() as nursery:
        number = await nursery.start(serve_original, late)
        assert not await sees_the_end(number)
        nursery.cancel_scope.cancel()


async def test_an_application_that_ignores_a_long_body_leaves_nothing_behind() -> None:
    async with open_port(app=late) as port:
        assert await sees_the_end(port.number)
        await wait_quiet()
        assert port.http.connections == 0


# ── ordinary behaviour ──


async def test_an_applications_crash_is_one_answer_500() -> None:
    async with open_port(app=crash) as port, await port.connect() as stream:
        await stream.send_all(GET)
        assert (await read_until(stream, b"\r\n\r\n")).startswith(b"HTTP/1.1 500 ")
        async with await port.connect() as another:
            await another.send_all(GET)
            assert (await read_until(another, b"\r\n\r\n")).startswith(b"HTTP/1.1 500 ")


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with open_port() as port, await port.connect() as stream:
        await stream.send_all(b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number for number in range(5)))
        answer = await read_until(stream, b"/4 127.0.0.1 0")
        assert [answer.index(b"/%d 127" % number) for number in range(5)] == sorted(
            answer.index(b"/%d 127" % number) for number in range(5)
        )


async def test_a_malformed_request_on_a_kept_alive_connection_is_400() -> None:
    async with open_port() as port, await port.connect() as stream:
        await stream.send_all(GET)
        await read_until(stream, b"/x 127.0.0.1 0")
        await stream.send_all(b"NONSENSE\r\n\r\n")
        assert (await read_all(stream)).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n5\r\n",
        b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 0x10\r\n\r\n",
        b"POST /x HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        b"GET ?x HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_what_the_parser_refuses_is_refused_in_words(request_bytes: bytes) -> None:
    async with open_port() as port, await port.connect() as stream:
        await stream.send_all(request_bytes)
        head, _, body = (await read_all(stream)).partition(b"\r\n\r\n")
        assert head.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 "))
        assert body.strip()


async def test_an_idle_connection_ends(mock_clock: MockClock) -> None:
    async with open_port(http_bounds=HttpBounds(keep_alive_s=15, linger_s=1)) as port, await port.connect() as stream:
        await stream.send_all(GET)
        await read_until(stream, b"/x 127.0.0.1 0")
        await stream.send_all(b"GET /dripping HTTP/1.1\r\n")
        await wait_quiet()
        mock_clock.jump(14)
        await stream.send_all(b"Host: ")
        await wait_quiet()
        assert port.http.connections == 1
        mock_clock.jump(2)
        assert await read_all(stream) == b""


async def test_an_idle_connection_ends_even_if_its_application_took_its_time(mock_clock: MockClock) -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await trio.sleep(1)
        await hello(scope, receive, send)

    async with open_port(app=slow, http_bounds=HttpBounds(keep_alive_s=15, linger_s=1)) as port, await port.connect() as stream:
        await stream.send_all(GET)
        await eventually(lambda: port.http.connections == 1)
        await wait_quiet()
        mock_clock.jump(1.1)
        await read_until(stream, b"/x 127.0.0.1 0")
        await wait_quiet()
        mock_clock.jump(15.1)
        assert await read_all(stream) == b""


async def test_connections_have_a_bound() -> None:
    async with open_port(http_bounds=HttpBounds(connections_max=1)) as port:
        async with await port.connect() as stream:
            await stream.send_all(GET)
            await read_until(stream, b"/x 127.0.0.1 0")
            assert (await ask(port)).startswith(b"HTTP/1.1 503 ")
        await eventually(lambda: not port.http.connections)
        assert (await ask(port)).startswith(b"HTTP/1.1 200 ")


async def ask(port: Port) -> bytes:
    async with await port.connect() as stream:
        await stream.send_all(b"GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        return await read_all(stream)


async def test_stopping_ends_idle_connections_at_once_and_then_tells_the_application() -> None:
    stages: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for stage in ("startup", "shutdown"):
                await receive()
                stages.append(stage)
                await send({"type": f"lifespan.{stage}.complete"})
            return
        await hello(scope, receive, send)

    with trio.fail_after(PATIENCE_S):
        async with open_port(app=app, http_bounds=HttpBounds(shutdown_s=1000, linger_s=0.1)) as port:
            stream = await port.connect()
            await stream.send_all(GET)
            await read_until(stream, b"/x 127.0.0.1 0")
            assert stages == ["startup"]
    assert stages == ["startup", "shutdown"]
    await stream.aclose()
