"""A port of few words: what it says, and that who dawdles or talks nonsense costs nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from gateway.plain_port import PlainPort


@asynccontextmanager
async def opened(missing: list[str]) -> AsyncIterator[int]:
    port = PlainPort("127.0.0.1", 0, metrics=lambda: b"educonnect_x 1\n", missing=lambda: missing)
    async with trio.open_nursery() as nursery:
        await nursery.start(port.serve)
        yield int(port.address.rpartition(":")[2])
        nursery.cancel_scope.cancel()


async def ask(port: int, text: bytes) -> bytes:
    said = b""
    with trio.fail_after(10):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(text)
            async for part in stream:
                said += part
    return said


async def test_it_says_its_metrics_that_it_lives_and_whether_it_is_ready() -> None:
    missing: list[str] = []
    async with opened(missing) as port:
        assert (await ask(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")).endswith(b"\r\n\r\neduconnect_x 1\n")
        assert b" 200 " in await ask(port, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 " in await ask(port, b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")
        missing.append("moderation: no version of it is ready")
        said = await ask(port, b"GET /ready?x=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 503 " in said and said.endswith(b"moderation: no version of it is ready\n")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (b"GET /else HTTP/1.1\r\nHost: x\r\n\r\n", b" 404 "),
        (b"POST /metrics HTTP/1.1\r\nHost: x\r\ncontent-length: 0\r\n\r\n", b" 405 "),
        (b"nonsense\r\n\r\n", b""),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 20_000, b""),
    ],
)
async def test_what_is_no_question_of_its_is_answered_so_or_not_at_all(text: bytes, answer: bytes) -> None:
    async with opened([]) as port:
        try:
            assert answer in await ask(port, text)
        except trio.BrokenResourceError:
            assert not answer, "it hung up while more was being said"
        assert b" 200 " in await ask(port, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"), "others are answered"
