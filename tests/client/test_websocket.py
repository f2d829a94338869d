"""The client over real TCP: opening, closing and losing a WebSocket, always within a bound."""

from __future__ import annotations

import pytest
import trio

from client import Account, AccountError, SessionEnded, Unreachable, connect
from client.errors import LinkClosed
from client.websocket import CLOSE_S, WebSocketTransport
from protocol.codes import Code
from protocol.events import Said
from protocol.frames import Event, Goodbye
from tests.client.conftest import FakeGrant
from tests.client.fake_server import FakeServer
from tests.client.fake_web import FakeWeb


async def test_a_whole_life_over_tcp_register_say_hear_and_leave(web: FakeWeb, server: FakeServer) -> None:
    async with Account(web.url) as account:
        credentials = await account.register("cyd", "correct horse")
        async with connect(web.url, credentials) as session:
            with session.events(50) as events:
                assert await session.say(50, "over TCP") == 1
                async for item in events:
                    if isinstance(item, Event):
                        assert item.body == Said("over TCP") and item.author == credentials.user
                        break
    assert server.texts(50) == ["over TCP"]


async def test_sockets_that_are_reset_lose_and_double_nothing(web: FakeWeb, server: FakeServer) -> None:
    server.cuts.extend([4, 5, 6])
    async with connect(web.url, FakeGrant(server, 11, 4e9)) as session:
        numbers = [await session.say(50, str(number)) for number in range(10)]
    assert numbers == list(range(1, 11))
    assert server.texts(50) == [str(number) for number in range(10)]


async def test_a_server_that_hangs_up_during_the_handshake_is_unreachable_at_once(web: FakeWeb) -> None:
    web.hang_up = True
    with pytest.raises(Unreachable, match="handshake"):
        async with WebSocketTransport(web.url).open():
            raise AssertionError("opened")


async def test_a_server_that_refuses_the_socket_is_unreachable_with_its_status(web: FakeWeb) -> None:
    web.reject = True
    with pytest.raises(Unreachable, match="503"):
        async with WebSocketTransport(web.url).open():
            raise AssertionError("opened")


async def test_nobody_at_the_address_is_unreachable() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    with pytest.raises(Unreachable):
        async with WebSocketTransport(f"http://127.0.0.1:{port}").open():
            raise AssertionError("opened")


async def test_closing_is_bounded_when_the_peer_reads_nothing(web: FakeWeb) -> None:
    web.stall = True
    with trio.fail_after(CLOSE_S + 10):
        async with WebSocketTransport(web.url).open() as link:
            with trio.move_on_after(0.05):
                while True:
                    await link.send(bytes(60_000))


async def test_the_code_of_a_goodbye_reaches_the_application(web: FakeWeb, server: FakeServer) -> None:
    server.goodbyes.append(Goodbye(Code.REVOKED, "logged out elsewhere"))
    async with connect(web.url, FakeGrant(server, 11, 4e9)) as session:
        with pytest.raises(SessionEnded, match="logged out elsewhere") as caught:
            await session.online()
        assert caught.value.code == Code.REVOKED


async def test_a_closed_link_says_so_in_both_directions(web: FakeWeb, server: FakeServer) -> None:
    async with WebSocketTransport(web.url).open() as link:
        await link.send(b"\x91\xc1")
        with pytest.raises(LinkClosed):
            while True:
                await link.receive()


async def test_an_address_that_is_none_is_refused_with_an_example() -> None:
    with pytest.raises(ValueError, match="expected something like"):
        WebSocketTransport("ftp://example")


async def test_a_wrong_password_is_said_in_the_servers_words(web: FakeWeb) -> None:
    async with Account(web.url) as account:
        await account.register("cyd", "correct horse")
        with pytest.raises(AccountError, match="wrong password") as caught:
            await account.login("cyd", "battery staple")
        assert caught.value.final and caught.value.status == 401


async def test_two_renewals_at_once_use_one_refresh_token(web: FakeWeb) -> None:
    async with Account(web.url) as account:
        credentials = await account.register("cyd", "correct horse")
        before = credentials.access_token
        async with trio.open_nursery() as nursery:
            nursery.start_soon(credentials.renew)
            nursery.start_soon(credentials.renew)
        assert credentials.access_token != before
        assert [route for route, _ in web.requests] == ["register", "refresh"]
        assert credentials.inbox and credentials.device


async def test_logging_in_again_keeps_the_device(web: FakeWeb) -> None:
    async with Account(web.url) as account:
        first = await account.register("cyd", "correct horse")
        assert (await account.login("cyd", "correct horse", device=first.device)).device == first.device
        assert (await account.login("cyd", "correct horse")).device != first.device
