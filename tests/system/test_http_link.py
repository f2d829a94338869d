"""Where sockets are blocked: the same sessions over HTTP, on the running system with two gateways."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import trio

from client import connect
from client.connecting import REAL_WORLD
from client.errors import Unreachable
from client.http_link import HttpTransport
from client.ways import Ways
from client.websocket import WebSocketTransport
from protocol.codes import Code
from protocol.values import Role
from tests.system.running import Dev, community, ended, register, texts

pytestmark = pytest.mark.xdist_group("system")


class School:
    """A proxy in front of a gateway that drops what wants to be a socket, while it `blocks`."""

    def __init__(self, gateway: str) -> None:
        self._port = int(gateway.rpartition(":")[2])
        self.blocks = True
        self.dropped = 0
        self.streams: set[trio.SocketStream] = set()
        self.url = ""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        task_status.started()
        await trio.serve_listeners(self._serve, listeners)

    async def cut(self) -> None:
        """Cuts everything that is open."""
        for stream in list(self.streams):
            await trio.aclose_forcefully(stream)

    async def _serve(self, stream: trio.SocketStream) -> None:
        self.streams.add(stream)
        try:
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                head = await stream.receive_some(65536)
                if b"upgrade: websocket" in head.lower() and self.blocks:
                    self.dropped += 1
                    return
                async with await trio.open_tcp_stream("127.0.0.1", self._port) as server, trio.open_nursery() as nursery:
                    await server.send_all(head)
                    nursery.start_soon(_pump, stream, server, nursery)
                    nursery.start_soon(_pump, server, stream, nursery)
        finally:
            self.streams.discard(stream)
            await trio.aclose_forcefully(stream)


async def _pump(source: trio.SocketStream, sink: trio.SocketStream, nursery: trio.Nursery) -> None:
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while data := await source.receive_some(65536):
            await sink.send_all(data)
    nursery.cancel_scope.cancel()


@asynccontextmanager
async def school(gateway: str) -> AsyncIterator[School]:
    async with trio.open_nursery() as nursery:
        proxy = School(gateway)
        await nursery.start(proxy.run)
        yield proxy
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("streams", [True, False], ids=["as it comes", "by polls"])
async def test_a_whole_conversation_goes_over_http_alone_and_survives_cut_requests(dev: Dev, streams: bool) -> None:
    here, there = dev.urls
    learner_is = await register(here)
    async with school(here) as proxy:
        way = HttpTransport(proxy.url)
        way.streams = streams
        async with (
            connect(way, learner_is) as learner,
            community(there, (learner, Role.LEARNER)) as (owner, _, general),
        ):
            learner.follow(general)
            owner.follow(general)
            for number in range(3):
                await owner.say(general, f"question {number}")
                await proxy.cut()
                with trio.fail_after(20):
                    await learner.say(general, f"answer {number}")
            said = [f"{word} {number}" for number in range(3) for word in ("question", "answer")]
            assert await texts(owner, general, said[-1]) == said
            assert await texts(learner, general, said[-1]) == said
        assert way.streams == streams and proxy.dropped == 0


async def test_a_client_falls_back_to_http_by_itself_and_leaves_it_when_sockets_go_through(
    dev: Dev, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.ways.RETRY_S", 0.2)
    here, there = dev.urls
    learner_is = await register(here)
    async with school(here) as proxy:
        ways = Ways(WebSocketTransport(proxy.url), HttpTransport(proxy.url), REAL_WORLD.spread)
        async with connect(ways, learner_is) as learner, community(there, (learner, Role.LEARNER)) as (owner, _, general):
            learner.follow(general)
            fell_back = ways.by_http
            assert fell_back and proxy.dropped >= 2
            await learner.say(general, "over http")
            proxy.blocks = False
            with trio.fail_after(20):
                async for status in learner.statuses():
                    if status.state == "online" and not ways.by_http:
                        break
                await learner.say(general, "over a socket")
            assert await texts(owner, general, "over a socket") == ["over http", "over a socket"]


async def test_a_server_that_is_not_there_is_not_looked_for_over_http_for_ever() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
    await listeners[0].aclose()
    ways = Ways(WebSocketTransport(url), HttpTransport(url), REAL_WORLD.spread)
    for _ in range(4):
        with pytest.raises(Unreachable):
            async with ways.open():
                raise AssertionError("opened")
    assert not ways.by_http


async def test_a_device_is_taken_over_from_a_link_by_a_socket_and_from_a_socket_by_a_link(dev: Dev) -> None:
    here, there = dev.urls
    login = await register(here)
    async with connect(HttpTransport(here), login) as first:
        await first.online()
        async with connect(WebSocketTransport(there), login) as second:
            await second.online()
            assert await ended(first) == Code.TAKEN_OVER
            async with connect(HttpTransport(there), login) as third:
                await third.online()
                assert await ended(second) == Code.TAKEN_OVER


async def test_a_session_that_is_ended_ends_its_link_within_a_second(dev: Dev) -> None:
    here, there = dev.urls
    login = await register(here)
    async with connect(HttpTransport(here), login) as session:
        await session.online()
        async with httpx.AsyncClient(trust_env=False) as http:
            await http.post(f"{there}/api/v1/auth/logout", headers={"authorization": f"Bearer {login.access_token}"})
        assert await ended(session, within_s=10) == Code.REVOKED
