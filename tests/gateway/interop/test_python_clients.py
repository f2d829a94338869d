"""Clients that nobody here wrote, in Python: trio-websocket and websockets."""

from __future__ import annotations

import pytest
import trio
import trio_websocket
from websockets.sync.client import connect

from tests.gateway.public_port import open_port

SIZES = (0, 1, 125, 126, 127, 128, 65535, 65536, 200_000)


async def test_trio_websocket_gets_back_what_it_sent_in_every_size() -> None:
    async with open_port() as port:
        async with trio_websocket.open_websocket_url(port.url, subprotocols=["educonnect.v1"]) as socket:
            assert socket.subprotocol == "educonnect.v1"
            for size in SIZES:
                payload = bytes(index % 251 for index in range(size))
                await socket.send_message(payload)
                assert await socket.get_message() == payload
            await socket.ping(b"life")
            await socket.aclose(4001, "enough")
        session = await port.session()
        await session.until(lambda: session.ends)
        assert session.ends == [(4001, "enough")]


async def test_trio_websocket_hears_the_code_and_reason_of_a_close() -> None:
    async with open_port() as port:
        # The client leaves the stream open when the server closes first, so here it is ours to close.
        async with await port.connect() as stream, trio.open_nursery() as nursery:
            socket = await trio_websocket.wrap_client_stream(nursery, stream, "here", "/socket")
            session = await port.session()
            session.outlet.close(4008, "too slow")
            with pytest.raises(trio_websocket.ConnectionClosed) as closed:
                await socket.get_message()
            assert closed.value.reason is not None
            assert (closed.value.reason.code, closed.value.reason.reason) == (4008, "too slow")
        await session.until(lambda: session.ends)
        assert session.ends == [(4008, "too slow")]


async def test_websockets_gets_back_what_it_sent_whole_and_in_fragments() -> None:
    def talk(url: str) -> None:
        with connect(url, subprotocols=["other", "educonnect.v1"], compression=None) as socket:  # type: ignore[list-item]
            assert socket.subprotocol == "educonnect.v1"
            for size in SIZES:
                payload = bytes(index % 251 for index in range(size))
                socket.send(payload)
                assert socket.recv() == payload
            socket.send([b"a" * 100, b"b" * 100, b"c"])
            assert socket.recv() == b"a" * 100 + b"b" * 100 + b"c"
            assert socket.ping(b"life").wait(10)

    async with open_port() as port:
        await trio.to_thread.run_sync(talk, port.url)
        session = await port.session()
        await session.until(lambda: session.ends)
        assert session.ends == [(1000, "")]


async def test_an_offered_extension_is_not_taken_up() -> None:
    def talk(url: str) -> None:
        with connect(url, compression="deflate") as socket:
            assert socket.protocol.extensions == []
            socket.send(b"x" * 1000)
            assert socket.recv() == b"x" * 1000

    async with open_port() as port:
        await trio.to_thread.run_sync(talk, port.url)
