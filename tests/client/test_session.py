"""What a session promises to the application, whatever happens to its sockets."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from client import (
    CaughtUp,
    DeviceCopied,
    MemoryStore,
    MutationRefused,
    RequestFailed,
    Restarted,
    SessionEnded,
    Settings,
    Unreadable,
    connect,
)
from client.runner import NUDGE_S
from client.session import World
from client.subscription import Events, Item
from protocol.codec import encode
from protocol.codes import Code
from protocol.events import Said
from protocol.frames import AnyFrame, Bye, Event, Follow, Goodbye, Lagged, Limits, Mutate, Ping, Refresh, Refused, Unfollow, Unfollowed
from protocol.operations import Say
from tests.client.conftest import CALM, FakeGrant
from tests.client.fake_server import FakeServer


async def take_until_live(events: Events) -> list[Item]:
    """Everything up to and with the first `CaughtUp`."""
    items: list[Item] = []
    async for item in events:
        items.append(item)
        if isinstance(item, CaughtUp):
            return items
    raise AssertionError("the subscription ended before it was live")


async def next_event(events: Events) -> Event:
    """The next durable event."""
    async for item in events:
        if isinstance(item, Event):
            return item
    raise AssertionError("the subscription ended")


def seqs(items: list[Item], stream: int = 50) -> list[int]:
    return [item.seq for item in items if isinstance(item, Event) and item.stream == stream]


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
            assert seqs(await take_until_live(events)) == list(range(1, 41))
            server.append(50, 2, Said("live"))
            assert (await next_event(events)).body == Said("live")


async def test_hello_carries_the_inbox_as_soon_as_it_is_known(server: FakeServer, autojump_clock: MockClock) -> None:
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        await session.online()
    assert [cursor.stream for cursor in server.greetings[0].cursors] == [1001]


async def test_a_message_said_offline_is_sent_when_the_server_is_back(server: FakeServer, autojump_clock: MockClock) -> None:
    server.away = True
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        pending = session.submit(Say(50, "from the bus"))
        await trio.sleep(600)
        assert not pending.decided
        server.away = False
        assert await pending.wait() == 1
    assert server.texts(50) == ["from the bus"]


async def test_a_caller_that_stops_waiting_does_not_take_its_message_back(server: FakeServer, autojump_clock: MockClock) -> None:
    server.away = True
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        with trio.move_on_after(1) as impatience:
            await session.say(50, "sent all the same")
        assert impatience.cancelled_caught
        server.away = False
        await session.settled()
    assert server.texts(50) == ["sent all the same"]


@pytest.mark.parametrize("messages", range(1, 16))
async def test_a_socket_cut_after_any_message_loses_and_doubles_nothing(
    server: FakeServer, autojump_clock: MockClock, messages: int
) -> None:
    server.cuts.extend([messages] * 4)
    for number in range(20):
        server.append(50, 2, Said(f"before {number}"))
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        with session.events(50) as events:
            for number in range(30):
                session.submit(Say(50, str(number)))
            got = [await next_event(events) for _ in range(50)]
            await session.settled()
    assert server.texts(50)[20:] == [str(number) for number in range(30)]
    assert [event.seq for event in got] == list(range(1, 51))


async def test_no_more_mutations_are_under_way_than_the_server_allows(server: FakeServer, autojump_clock: MockClock) -> None:
    server.limits = Limits(65_536, 3, 64)
    server.mute = True
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        server.mute = False
        await session.online()
        server.mute = True
        for number in range(10):
            session.submit(Say(50, str(number)))
        await trio.sleep(1)
        assert [command.number for command in server.commands if isinstance(command, Mutate)] == [1, 2, 3]


async def test_a_final_refusal_reaches_its_caller_and_blocks_nothing_behind_it(server: FakeServer, autojump_clock: MockClock) -> None:
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        server.refusals.append(Refused(0, Code.FORBIDDEN, "not here"))
        bad, good = session.submit(Say(50, "bad")), session.submit(Say(50, "good"))
        with pytest.raises(MutationRefused, match="not here") as caught:
            await bad.wait()
        assert caught.value.code is Code.FORBIDDEN
        assert await good.wait() == 1


@pytest.mark.parametrize("code", [Code.BUSY, Code.RATE, Code.UNAVAILABLE])
async def test_what_the_server_did_not_consume_is_sent_again_in_order_after_the_wait(
    server: FakeServer, autojump_clock: MockClock, code: Code
) -> None:
    server.refusals.extend([Refused(0, code, wait_ms=5000)] * 3)
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        began = trio.current_time()
        pendings = [session.submit(Say(50, str(number))) for number in range(10)]
        assert [await pending.wait() for pending in pendings] == list(range(1, 11))
        assert trio.current_time() - began >= 5
    assert server.texts(50) == [str(number) for number in range(10)]


async def test_a_device_that_is_told_to_slow_down_sends_fewer_at_once(server: FakeServer, autojump_clock: MockClock) -> None:
    """A server that takes one mutation in ten milliseconds: with the whole window each time, 3,000 would be refused."""
    refused = 0
    free_at = 0.0
    decide = server.decide

    def pace(device: int, number: int, frozen: bytes) -> AnyFrame:
        nonlocal refused, free_at
        if trio.current_time() < free_at:
            refused += 1
            return Refused(number, Code.RATE, wait_ms=10)
        free_at = max(trio.current_time(), free_at) + 0.01
        return decide(device, number, frozen)

    server.decide = pace  # type: ignore[method-assign]
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        for number in range(200):
            session.submit(Say(50, str(number)))
        await session.settled()
    assert server.texts(50) == [str(number) for number in range(200)]
    assert refused < 3 * 200


async def test_a_lost_event_is_asked_for_and_nothing_behind_the_gap_is_shown_before_it(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        with session.events(50) as events:
            await take_until_live(events)
            lost = {3}
            server.lose = lambda event: event.seq in lost
            for number in range(1, 7):
                server.append(50, 2, Said(str(number)))
                lost -= {number - 2}
            assert [(await next_event(events)).seq for _ in range(6)] == [1, 2, 3, 4, 5, 6]
    follows = [command for command in server.commands if isinstance(command, Follow) and command.stream == 50]
    assert follows[-1].after == 2


async def test_a_lagged_stream_is_followed_again_from_the_cursor(server: FakeServer, autojump_clock: MockClock) -> None:
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        with session.events(50) as events:
            server.append(50, 2, Said("1"))
            await take_until_live(events)
            (conversation,) = server.conversations
            conversation.following.discard(50)
            server.append(50, 2, Said("2"))
            conversation.tell(Lagged(50))
            assert (await next_event(events)).seq == 2
            server.append(50, 2, Said("3"))
            assert (await next_event(events)).seq == 3


async def test_an_event_that_comes_twice_is_shown_once(server: FakeServer, autojump_clock: MockClock) -> None:
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        with session.events(50) as events:
            await take_until_live(events)
            server.tell_all(server.append(50, 2, Said("once")))
            server.append(50, 2, Said("then"))
            assert [(await next_event(events)).seq, (await next_event(events)).seq] == [1, 2]


async def test_a_reader_that_does_not_read_delays_its_stream_and_nothing_else(server: FakeServer, autojump_clock: MockClock) -> None:
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM, settings=Settings(events_max=8)) as session:
        with session.events(50) as events:
            await take_until_live(events)
            for number in range(100):
                server.append(50, 2, Said(str(number)))
            assert await session.say(60_000, "elsewhere") if 60_000 in server.log else True
            await trio.sleep(1)
            assert session.cursor(50) == 8
            assert await session.ping() >= 0
            assert any(isinstance(command, Unfollow) for command in server.commands)
            assert [(await next_event(events)).seq for _ in range(100)] == list(range(1, 101))


async def test_a_reader_may_wait_for_an_acknowledgement_while_its_queue_is_full(server: FakeServer, autojump_clock: MockClock) -> None:
    server.log[51] = []
    for number in range(50):
        server.append(50, 2, Said(str(number)))
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM, settings=Settings(events_max=2)) as session:
        with session.events(50) as events:
            for number in range(50):
                event = await next_event(events)
                assert await session.say(51, f"echo {event.seq}") == number + 1


async def test_a_stream_that_may_not_be_read_is_reported_with_its_code(server: FakeServer, autojump_clock: MockClock) -> None:
    server.forbidden[50] = Code.FORBIDDEN
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        with session.events(50) as events:
            assert await anext(events) == Unreadable(50, Code.FORBIDDEN, "")


async def test_losing_the_right_to_read_is_reported_and_not_asked_for_again(server: FakeServer, autojump_clock: MockClock) -> None:
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        with session.events(50) as events:
            await take_until_live(events)
            server.tell_all(Unfollowed(50, Code.FORBIDDEN))
            assert await anext(events) == Unreadable(50, Code.FORBIDDEN)
            server.cut_all()
            await trio.sleep(10)
            await session.online()
    assert len(server.resumes) == 1 and [cursor.stream for cursor in server.cursors] == [1001]


async def test_a_stream_that_cannot_be_read_just_now_is_asked_for_later(server: FakeServer, autojump_clock: MockClock) -> None:
    server.forbidden[50] = Code.UNAVAILABLE
    server.append(50, 2, Said("1"))
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        with session.events(50) as events:
            await trio.sleep(60)
            del server.forbidden[50]
            assert (await next_event(events)).seq == 1


async def test_a_number_used_with_other_bytes_ends_the_session_as_a_copied_device(server: FakeServer, autojump_clock: MockClock) -> None:
    server.devices[11].last_number = 1
    server.devices[11].outcomes[1] = (b"something else", Refused(1, Code.FORBIDDEN))
    store = MemoryStore()
    store.bind(11)
    store.number([(store.append(encode(Say(50, "mine"))), 1)])
    async with connect(server.transport(), FakeGrant(server, 11), store=store, world=CALM) as session:
        (pending,) = session.unanswered
        with pytest.raises(DeviceCopied):
            await pending.wait()
        with pytest.raises(SessionEnded):
            session.submit(Say(50, "more"))
    assert len(store.load().mutations) == 1


async def test_a_new_store_of_an_old_device_goes_on_counting_where_the_server_is(server: FakeServer, autojump_clock: MockClock) -> None:
    for _ in range(2):
        async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
            await session.say(50, "hello")
    assert [command.number for command in server.commands if isinstance(command, Mutate)] == [1, 2]


async def test_an_outcome_that_was_lost_on_the_way_is_asked_for_under_the_same_number(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        await session.online()
        server.mute = True
        pending = session.submit(Say(50, "once"))
        await trio.sleep(1)
        server.mute = False
        server.cut_all()
        assert await pending.wait() == 1
    assert server.texts(50) == ["once"]
    assert [command.number for command in server.commands if isinstance(command, Mutate)] == [1, 1]


async def test_a_restored_database_gets_back_what_it_acknowledged_and_forgot(server: FakeServer, autojump_clock: MockClock) -> None:
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        with session.events(50) as events:
            for number in range(6):
                await session.say(50, str(number))
            await take_until_live(events)
            await trio.sleep(1)
            while events.next_nowait() is not None:
                pass
            # Back to a time when only two of the six were there, under a new epoch.
            server.cut_all()
            server.epoch += 1
            del server.log[50][2:]
            server.devices[11].last_number = 2
            for number in range(3, 7):
                del server.devices[11].outcomes[number]
            assert await anext(events) == Restarted(50)
            assert [(await next_event(events)).seq for _ in range(6)] == [1, 2, 3, 4, 5, 6]
    assert server.texts(50) == ["0", "1", "2", "3", "4", "5"]


async def test_a_silent_link_is_found_dead_and_replaced(server: FakeServer, autojump_clock: MockClock) -> None:
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        await session.online()
        server.mute = True
        began = trio.current_time()
        async for status in session.statuses():
            if status.state != "online":
                assert status.code == Code.DEAD
                break
        assert 60 < trio.current_time() - began < 100
        server.mute = False
        await session.online()
    assert any(isinstance(command, Ping) for command in server.commands)


async def test_a_quiet_link_that_answers_is_kept(server: FakeServer, autojump_clock: MockClock) -> None:
    async with connect(server.transport(), FakeGrant(server, 11, 1e12), world=CALM) as session:
        await session.online()
        await trio.sleep(3600)
        assert session.status.state == "online"
    assert len(server.greetings) == 1


async def test_mutations_that_nobody_answers_end_the_socket(server: FakeServer, autojump_clock: MockClock) -> None:
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        await session.online()
        (conversation,) = server.conversations
        decide = server.decide
        server.decide = lambda device, number, frozen: Bye() if conversation in server.conversations else decide(device, number, frozen)  # type: ignore[method-assign, assignment, return-value]
        assert await session.say(50, "hello?") == 1
    assert len(server.greetings) + len(server.resumes) == 2


async def test_the_token_is_renewed_on_the_live_socket_ahead_of_its_expiry(server: FakeServer, autojump_clock: MockClock) -> None:
    grant = FakeGrant(server, 11, expires_at=CALM.wall() + 300)
    async with connect(server.transport(), grant, world=CALM) as session:
        await session.online()
        await trio.sleep(200)
        assert session.status.state == "online"
    assert [command.token for command in server.commands if isinstance(command, Refresh)] == ["token-11-1"]


async def test_a_token_that_is_refused_is_renewed_and_shown_again(server: FakeServer, autojump_clock: MockClock) -> None:
    server.goodbyes.append(Goodbye(Code.TOKEN_EXPIRED))
    grant = FakeGrant(server, 11)
    async with connect(server.transport(), grant, world=CALM) as session:
        await session.online()
    assert grant.renewals == 1
    assert [hello.token for hello in server.greetings] == ["token-11", "token-11-1"]


async def test_an_expired_token_is_renewed_before_it_is_shown(server: FakeServer, autojump_clock: MockClock) -> None:
    grant = FakeGrant(server, 11, expires_at=CALM.wall())
    async with connect(server.transport(), grant, world=CALM) as session:
        await session.online()
    assert server.greetings[0].token == "token-11-1"


@pytest.mark.parametrize("code", [Code.REVOKED, Code.TAKEN_OVER, Code.VERSION])
async def test_a_code_that_says_no_ends_the_session_for_everybody_who_waits(
    server: FakeServer, autojump_clock: MockClock, code: Code
) -> None:
    server.goodbyes.append(Goodbye(code, "go away"))
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        with session.events() as events:
            with pytest.raises(SessionEnded) as caught:
                await session.say(50, "anyone?")
            assert caught.value.code == code
            with pytest.raises(SessionEnded):
                await session.overview()
            with pytest.raises(SessionEnded):
                await anext(events)
    assert len(server.greetings) == 1


async def test_a_goodbye_is_obeyed_to_the_millisecond_it_asks_for(server: FakeServer, autojump_clock: MockClock) -> None:
    server.goodbyes.append(Goodbye(Code.OVERLOAD, wait_ms=45_000))
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        began = trio.current_time()
        await session.online()
        assert trio.current_time() - began >= 45


async def test_an_application_in_a_hurry_ends_a_wait_after_a_second_but_not_what_the_server_asked_for(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    server.away = True
    async with connect(server.transport(), FakeGrant(server, 11), world=World(lambda: 0.0, lambda: 0.999)) as session:
        await trio.sleep(60)
        while session.status.state != "waiting":
            await session.status_after(session.status)
        began, server.away = trio.current_time(), False
        server.goodbyes.append(Goodbye(Code.OVERLOAD, wait_ms=45_000))
        session.hurry()
        session.hurry()
        await session.status_after(session.status)
        assert trio.current_time() - began <= 1
        while session.status.state != "waiting":
            await session.status_after(session.status)
        session.hurry()
        await session.online()
        assert 45 <= trio.current_time() - began <= 46.1
        session.hurry()
        assert session.status.state == "online"


async def test_a_draining_server_is_left_at_the_time_it_gave_and_not_before(server: FakeServer, autojump_clock: MockClock) -> None:
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        await session.online()
        (conversation,) = server.conversations
        conversation.drain(7000)
        began = trio.current_time()
        assert await session.say(50, "still here") == 1
        async for status in session.statuses():
            if status.state == "connecting":
                break
        assert trio.current_time() - began == pytest.approx(7)
        assert await session.say(50, "over there") == 2


async def test_requests_survive_a_cut_and_are_answered_on_the_next_socket(server: FakeServer, autojump_clock: MockClock) -> None:
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        await session.online()
        server.mute = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.overview)
            await trio.sleep(1)
            server.mute = False
            server.cut_all()
        assert (await session.search("ben")).user == 2
        with pytest.raises(RequestFailed):
            await session.search("nobody")


async def test_a_newer_servers_frames_and_events_are_passed_over(server: FakeServer, autojump_clock: MockClock) -> None:
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        with session.events(50) as events:
            await take_until_live(events)
            newer = Event(50, 1, 2, 0, Said("x"))
            server.log[50].append(newer)
            (conversation,) = server.conversations
            await conversation.link.send(encode_raw([99, 1, 2]))
            await conversation.link.send(encode_raw([48, 50, 1, 2, 0, [4242, "new"]]))
            server.append(50, 2, Said("known"))
            assert (await next_event(events)).seq == 2


async def test_what_no_server_would_take_is_refused_before_it_has_a_number(server: FakeServer, autojump_clock: MockClock) -> None:
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        with pytest.raises(ValueError, match="Say"):
            session.submit(Say(50, ""))
        assert session.unanswered == []


async def test_errors_of_the_application_come_out_as_they_are(server: FakeServer, autojump_clock: MockClock) -> None:
    with pytest.raises(KeyError):
        async with connect(server.transport(), FakeGrant(server, 11), world=CALM):
            raise KeyError("mine")


async def test_a_session_that_is_left_says_bye_and_sends_what_it_can(server: FakeServer, autojump_clock: MockClock) -> None:
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        await session.online()
        session.submit(Say(50, "on the doorstep"))
    assert server.texts(50) == ["on the doorstep"]
    assert isinstance(server.commands[-1], Bye)


async def test_the_round_trip_and_the_servers_clock_are_measured(server: FakeServer, autojump_clock: MockClock) -> None:
    server.clock_s += 120
    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        await session.ping()
        assert session.link.clock_ahead_s == pytest.approx(120, abs=1)


def encode_raw(value: object) -> bytes:
    import msgspec

    return msgspec.msgpack.encode(value)


async def test_what_is_not_answered_for_a_while_is_followed_by_one_ping_and_silence_without_a_question_by_none(
    server: FakeServer, autojump_clock: MockClock
) -> None:
    def pings() -> int:
        return sum(isinstance(command, Ping) for command in server.commands)

    async with connect(server.transport(), FakeGrant(server, 11), world=CALM) as session:
        await session.online()
        await session.say(50, "answered at once")
        await trio.sleep(30)
        assert pings() == 0
        server.mute = True
        session.submit(Say(50, "not answered"))
        await trio.sleep(NUDGE_S - 0.1)
        assert pings() == 0
        await trio.sleep(0.2)
        assert pings() == 1
        await trio.sleep(10)
        assert pings() == 1, "a second one would find out nothing that the first does not"
        session.submit(Say(50, "more"))
        await trio.sleep(NUDGE_S + 0.1)
        assert pings() == 2
        server.mute = False
