"""What a session promises to the application, whatever happens to its sockets."""

from __future__ import annotations

from trio.testing import MockClock

from client import CaughtUp, connect
from protocol.events import Said
from protocol.frames import Event
from tests.client.conftest import CALM, FakeGrant
from tests.client.fake_server import FakeServer


async def test_a_message_said_is_committed_and_its_number_returned(server: FakeServer, autojump_clock: MockClock) -> None:
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        assert await session.say(50, "one") == 1
        assert await session.say(50, "two") == 2
    assert server.texts(50) == ["one", "two"]


async def test_events_of_a_stream_come_in_order_with_what_was_missed_first(server: FakeServer, autojump_clock: MockClock) -> None:
    for number in range(40):
        server.append(50, 2, Said(str(number)))
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        with session.events(50) as events:
            got = [await anext(events) for _ in range(41)]
            assert [item.seq for item in got[:40] if isinstance(item, Event)] == list(range(1, 41))
            assert got[40] == CaughtUp(50, 40)
            server.append(50, 2, Said("live"))
            live = await anext(events)
            assert isinstance(live, Event) and live.body == Said("live")
