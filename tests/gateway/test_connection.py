"""Open sockets on a real port: closing, heartbeat, bounds, backpressure, and neighbours that do not feel each other."""

from __future__ import annotations

import socket

import msgspec
import pytest
import trio
from trio.testing import MockClock

from actors.socket_port import Batch
from gateway import rfc6455
from gateway.connection import Bounds, Connection
from gateway.rfc6455 import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Close, Event, Limits, Message, Ping, Pong, Reader
from protocol.codes import Code
from tests.gateway.public_port import PATIENCE_S, REQUEST, Port, Session, eventually, open_port, open_socket, read_all, read_exactly

KEY = b"\x01\x02\x03\x04"
LIMITS = Limits(message_bytes_max=64 * 1024 * 1024)


def frame(opcode: int, payload: bytes = b"", *, final: bool = True) -> bytes:
    return rfc6455.encode(opcode, payload, final=final, key=KEY)


def goodbye(code: int, reason: str = "") -> bytes:
    return rfc6455.encode_close(code, reason, key=KEY)


async def next_events(stream: trio.SocketStream, reader: Reader, count: int) -> list[Event]:
    events: list[Event] = []
    with trio.fail_after(PATIENCE_S):
        while len(events) < count:
            data = await stream.receive_some()
            assert data, events
            events += reader.feed(data)
    return events


async def last_events(stream: trio.SocketStream) -> list[Event]:
    """Every event until the server has closed."""
    return Reader(LIMITS, masked=False).feed(await read_all(stream))


# ── closing ──


async def test_the_peers_close_is_echoed_and_told_once() -> None:
    async with open_port() as port, await open_socket(port) as stream:
        await stream.send_all(goodbye(4321, "so long"))
        assert await last_events(stream) == [Close(4321, "so long")]
        session = await port.session()
        await session.until(lambda: session.ends)
        assert session.ends == [(4321, "so long")]


async def test_a_close_without_a_code_is_answered_by_one_without_a_code() -> None:
    async with open_port() as port, await open_socket(port) as stream:
        await stream.send_all(frame(CLOSE))
        assert await last_events(stream) == [Close(rfc6455.NO_CODE, "")]
        session = await port.session()
        await session.until(lambda: session.ends)
        assert session.ends == [(rfc6455.NO_CODE, "")]


async def test_our_close_comes_after_what_was_queued_and_waits_for_the_peers() -> None:
    async with open_port(echo=False) as port, await open_socket(port) as stream:
        session = await port.session()
        session.outlet.send(b"last words")
        session.outlet.close(4010, "elsewhere")
        session.outlet.send(b"too late")
        assert not session.outlet.push(Batch(b"too late as well"))
        events = await next_events(stream, Reader(LIMITS, masked=False), 2)
        assert events == [Message(BINARY, b"last words"), Close(4010, "elsewhere")]
        assert session.ends == []
        await stream.send_all(frame(BINARY, b"unheard") + goodbye(4010))
        assert await read_all(stream) == b""
        await session.until(lambda: session.ends)
        assert session.ends == [(4010, "elsewhere")]
        assert session.messages == []


async def test_a_peer_that_never_answers_our_close_is_let_go(mock_clock: MockClock) -> None:
    async with open_port(echo=False, bounds=Bounds(close_s=5.0)) as port, await open_socket(port) as stream:
        session = await port.session()
        session.outlet.close(4010, "elsewhere")
        assert await next_events(stream, Reader(LIMITS, masked=False), 1) == [Close(4010, "elsewhere")]
        mock_clock.jump(6.0)
        assert await read_all(stream) == b""
        await session.until(lambda: session.ends)
        assert session.ends == [(4010, "elsewhere")]


async def test_a_line_that_ends_without_a_close_is_1006() -> None:
    async with open_port() as port:
        stream = await open_socket(port)
        session = await port.session()
        await stream.aclose()
        await session.until(lambda: session.ends)
        assert [code for code, _ in session.ends] == [rfc6455.ABNORMAL]
        assert port.listener.counters.closes == {rfc6455.ABNORMAL: 1}


async def test_a_reset_line_is_1006() -> None:
    async with open_port() as port:
        stream = await open_socket(port)
        session = await port.session()
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        await stream.aclose()
        await session.until(lambda: session.ends)
        assert [code for code, _ in session.ends] == [rfc6455.ABNORMAL]


# ── violations, on the wire ──


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (frame(TEXT, b"text"), rfc6455.UNSUPPORTED),
        (rfc6455.encode(BINARY, b"unmasked"), rfc6455.PROTOCOL_ERROR),
        (b"\xf2\x80" + KEY, rfc6455.PROTOCOL_ERROR),
        (frame(CONTINUATION, b"of nothing"), rfc6455.PROTOCOL_ERROR),
        (frame(TEXT, b"\xff"), rfc6455.INVALID_TEXT),
        (frame(BINARY, b"x" * 2000)[:4], rfc6455.TOO_BIG),
        (goodbye(1000)[:2] + KEY + rfc6455.mask(b"\x03\xed", KEY), rfc6455.PROTOCOL_ERROR),
    ],
    ids=["text", "unmasked", "reserved bits", "continuation", "not utf-8", "too big", "close code"],
)
async def test_a_violation_is_answered_with_its_code_and_ends_the_socket(wire: bytes, code: int) -> None:
    async with open_port(bounds=Bounds(reader=Limits(message_bytes_max=1000))) as port, await open_socket(port) as stream:
        await stream.send_all(frame(BINARY, b"before") + wire)
        events = await last_events(stream)
        assert events[0] == Message(BINARY, b"before")
        assert isinstance(events[1], Close)
        assert events[1].code == code
        session = await port.session()
        await session.until(lambda: session.ends)
        assert [end for end, _ in session.ends] == [code]


async def test_a_flood_of_control_frames_ends_the_socket() -> None:
    async with open_port(bounds=Bounds(controls_per_s_max=20)) as port, await open_socket(port) as stream:
        await stream.send_all(frame(PING, b"p") * 20 + frame(PONG) * 10)
        events = await last_events(stream)
        assert events[:20] == [Pong(b"p")] * 20
        assert isinstance(events[-1], Close)
        assert events[-1].code == Code.FLOOD


# ── life ──


async def test_a_ping_is_answered_even_between_fragments() -> None:
    async with open_port() as port, await open_socket(port) as stream:
        await stream.send_all(frame(BINARY, b"a" * 20, final=False) + frame(PING, b"x" * 125) + frame(CONTINUATION, b"b"))
        events = await next_events(stream, Reader(LIMITS, masked=False), 2)
        assert events == [Pong(b"x" * 125), Message(BINARY, b"a" * 20 + b"b")]


async def test_a_silent_peer_is_pinged_and_then_closed_as_dead(mock_clock: MockClock) -> None:
    async with open_port(bounds=Bounds(heartbeat_s=30, pong_s=20)) as port, await open_socket(port) as stream:
        session = await port.session()
        reader = Reader(LIMITS, masked=False)
        mock_clock.jump(30.5)
        assert await next_events(stream, reader, 1) == [Ping(b"")]
        mock_clock.jump(20.5)
        (event,) = await next_events(stream, reader, 1)
        assert isinstance(event, Close)
        assert event.code == Code.DEAD
        assert await read_all(stream) == b""
        assert [code for code, _ in session.ends] == [Code.DEAD]


async def test_any_frame_counts_as_life(mock_clock: MockClock) -> None:
    async with open_port(bounds=Bounds(heartbeat_s=30, pong_s=20)) as port, await open_socket(port) as stream:
        session = await port.session()
        reader = Reader(LIMITS, masked=False)
        mock_clock.jump(30.5)
        assert await next_events(stream, reader, 1) == [Ping(b"")]
        await stream.send_all(frame(BINARY, b"busy"))
        assert await next_events(stream, reader, 1) == [Message(BINARY, b"busy")]
        mock_clock.jump(29.0)
        await stream.send_all(frame(BINARY, b"still here"))
        assert await next_events(stream, reader, 1) == [Message(BINARY, b"still here")]
        mock_clock.jump(30.5)
        assert await next_events(stream, reader, 1) == [Ping(b"")]
        assert session.ends == []


async def test_the_heartbeat_can_be_negotiated_later(mock_clock: MockClock) -> None:
    async with open_port(bounds=Bounds(heartbeat_s=30)) as port, await open_socket(port) as stream:
        session = await port.session()
        session.outlet.heartbeat_s = 5.0
        mock_clock.jump(5.5)
        assert await next_events(stream, Reader(LIMITS, masked=False), 1) == [Ping(b"")]


async def test_a_heartbeat_shorter_than_the_patience_for_pongs_is_kept(mock_clock: MockClock) -> None:
    async with open_port(bounds=Bounds(heartbeat_s=5, pong_s=20)) as port, await open_socket(port) as stream:
        session = await port.session()
        reader = Reader(LIMITS, masked=False)
        for _ in range(3):
            mock_clock.jump(5.5)
            assert await next_events(stream, reader, 1) == [Ping(b"")]
            await stream.send_all(frame(BINARY, b"here") + frame(PONG, b""))
            assert await next_events(stream, reader, 1) == [Message(BINARY, b"here")]
        mock_clock.jump(5.5)
        assert await next_events(stream, reader, 1) == [Ping(b"")]
        for _ in range(3):
            mock_clock.jump(5.5)
            await trio.testing.wait_all_tasks_blocked()
            assert session.ends == [], "one ping, and patience"
        mock_clock.jump(5.5)
        (event,) = await next_events(stream, reader, 1)
        assert isinstance(event, Close) and event.code == Code.DEAD


async def test_silence_is_no_death_while_we_are_the_ones_not_reading(mock_clock: MockClock) -> None:
    async with open_port(bounds=Bounds(heartbeat_s=30, pong_s=20)) as port, await open_socket(port) as stream:
        session = await port.session()
        session.outlet.pause_reading()
        await stream.send_all(frame(BINARY, b"patience"))
        for _ in range(4):
            mock_clock.jump(30.5)
            await trio.testing.wait_all_tasks_blocked()
        assert session.messages == []
        session.outlet.resume_reading()
        await session.until(lambda: session.messages)
        assert session.messages == [b"patience"]
        assert session.ends == []


# ── bounds ──

BOUNDS = Bounds(queue_soft_bytes=64 * 1024, queue_hard_bytes=256 * 1024, linger_s=0.2)


def stalled_peer(port: Port) -> socket.socket:
    """A peer with a small window that has said hello and will not read."""
    sock = port.connect_raw(receive_bytes=4096)
    sock.sendall(REQUEST)
    return sock


async def fill(session: Session, batch: Batch) -> int:
    """Pushes until the soft bound refuses; returns how many were taken."""
    taken = 0
    while session.outlet.push(batch):
        taken += 1
        assert taken < 10_000
        if taken % 16 == 0:
            # The kernel moves what it can to the other side meanwhile.
            await trio.testing.wait_all_tasks_blocked()
    return taken


async def test_at_the_soft_bound_a_push_is_refused_and_nothing_of_it_arrives() -> None:
    async with open_port(echo=False, bounds=BOUNDS) as port:
        with stalled_peer(port) as peer:
            session = await port.session()
            batch = Batch(b"x" * 10_000)
            taken = await fill(session, batch)
            assert 0 < session.outlet.queued_bytes <= BOUNDS.queue_soft_bytes
            assert port.listener.counters.queued_bytes == session.outlet.queued_bytes
            assert port.listener.counters.pushes_refused == 1

            expected = taken * (10_000 + 4)
            received = await trio.to_thread.run_sync(receive_all, peer, expected)
            await session.until(lambda: session.drains)
            assert session.drains == 1
            assert port.listener.counters.queued_bytes == 0
            assert received[received.index(b"\r\n\r\n") + 4 :] == rfc6455.encode(BINARY, batch.payload) * taken


def receive_all(peer: socket.socket, frame_bytes: int) -> bytes:
    """The answer to the handshake, and `frame_bytes` behind it."""
    peer.settimeout(PATIENCE_S)
    data = b""
    while b"\r\n\r\n" not in data or len(data) - data.index(b"\r\n\r\n") - 4 < frame_bytes:
        more = peer.recv(65536)
        assert more
        data += more
    return data


async def test_a_slow_reader_is_closed_as_slow_and_never_delays_a_neighbour() -> None:
    async with open_port(bounds=BOUNDS) as port:
        with stalled_peer(port):
            slow = await port.session()
            async with await open_socket(port) as stream:
                quick = await port.session(1)
                batch = Batch(b"x" * 10_000)
                await fill(slow, batch)
                reader = Reader(LIMITS, masked=False)
                for number in range(20):
                    slow.outlet.push(batch)
                    assert quick.outlet.push(batch)
                    await stream.send_all(frame(BINARY, b"%d" % number))
                    assert await next_events(stream, reader, 2) == [
                        Message(BINARY, batch.payload),
                        Message(BINARY, b"%d" % number),
                    ]
                assert slow.ends == []
                # Answers go on to the hard bound, and past it the socket ends, within a bounded time.
                while port.listener.counters.closes == {} and slow.outlet.queued_bytes > 0:
                    before = slow.outlet.queued_bytes
                    slow.outlet.send(b"y" * 10_000)
                    assert slow.outlet.queued_bytes <= BOUNDS.queue_hard_bytes + 125
                    if slow.outlet.queued_bytes <= before:
                        break
                assert slow.ends == [], "a session is never called back from its own call"
                await slow.until(lambda: slow.ends)
                assert [code for code, _ in slow.ends] == [Code.SLOW]
                assert quick.ends == []
                assert port.listener.counters.queued_bytes == 0


async def test_an_asker_who_does_not_read_the_answers_is_closed_as_slow() -> None:
    async with open_port(bounds=BOUNDS) as port:
        with stalled_peer(port) as peer:
            session = await port.session()
            peer.settimeout(0.05)
            question = frame(BINARY, b"?" * 50_000)
            try:
                for _ in range(200):
                    peer.sendall(question)
            except OSError:
                pass
            await session.until(lambda: session.ends)
            assert [code for code, _ in session.ends] == [Code.SLOW]


async def test_unfinished_messages_of_all_sockets_together_are_bounded() -> None:
    async with open_port(bounds=Bounds(held_bytes_max=150_000)) as port:
        async with await open_socket(port) as first, await open_socket(port) as second:
            unfinished = frame(BINARY, b"x" * 100_000)
            await first.send_all(unfinished[:-1])
            await eventually(lambda: port.listener.counters.held_bytes > 99_000)
            await second.send_all(unfinished[:-1])
            (event,) = await last_events(second)
            assert isinstance(event, Close)
            assert event.code == Code.OVERLOAD
            await first.send_all(unfinished[-1:])
            assert await next_events(first, Reader(LIMITS, masked=False), 1) == [Message(BINARY, b"x" * 100_000)]
        await eventually(lambda: port.listener.counters.held_bytes == 0)


async def test_a_batch_larger_than_the_soft_bound_still_arrives() -> None:
    async with open_port(echo=False, bounds=BOUNDS) as port, await open_socket(port) as stream:
        session = await port.session()
        batch = Batch(bytes(1_000_000))
        assert session.outlet.push(batch)
        assert await next_events(stream, Reader(LIMITS, masked=False), 1) == [Message(BINARY, batch.payload)]


# ── rounds ──


async def test_pushes_within_one_round_leave_in_one_send() -> None:
    async with open_port(echo=False) as port, await open_socket(port) as stream:
        session = await port.session()
        await trio.testing.wait_all_tasks_blocked()
        batches = [Batch(b"one"), Batch(b"two"), Batch(b"three")]
        before = port.listener.counters.sends
        port.listener.multiplexer.cork()
        for batch in batches:
            assert session.outlet.push(batch)
        assert port.listener.counters.sends == before
        port.listener.multiplexer.uncork()
        assert port.listener.counters.sends == before + 1
        wires = b"".join(rfc6455.encode(BINARY, batch.payload) for batch in batches)
        assert await read_exactly(stream, len(wires)) == wires


@pytest.mark.parametrize(("secure", "length", "sends"), [(True, 8000, 3), (True, 100, 1), (False, 8000, 1)])
async def test_a_tls_record_holds_no_more_than_one_message_of_catch_up(secure: bool, length: int, sends: int) -> None:
    async with open_port(echo=False) as port, await open_socket(port) as stream:
        session = await port.session()
        assert isinstance(session.outlet, Connection)
        session.outlet.peer = msgspec.structs.replace(session.outlet.peer, secure=secure)
        batches = [Batch(letter * length) for letter in (b"a", b"b", b"c")]
        before = port.listener.counters.sends
        port.listener.multiplexer.cork()
        assert all(session.outlet.push(batch) for batch in batches)
        port.listener.multiplexer.uncork()
        assert port.listener.counters.sends == before + sends
        wires = b"".join(rfc6455.encode(BINARY, batch.payload) for batch in batches)
        assert await read_exactly(stream, len(wires)) == wires


async def test_a_round_larger_than_the_soft_bound_is_no_fault_of_the_peer() -> None:
    async with open_port(echo=False, bounds=BOUNDS) as port, await open_socket(port) as stream:
        session = await port.session()
        batch = Batch(b"x" * 30_000)
        port.listener.multiplexer.cork()
        assert all(session.outlet.push(batch) for _ in range(4))
        port.listener.multiplexer.uncork()
        assert await next_events(stream, Reader(LIMITS, masked=False), 4) == [Message(BINARY, batch.payload)] * 4


async def test_a_shared_batch_is_framed_once() -> None:
    async with open_port(echo=False) as port, await open_socket(port) as first, await open_socket(port) as second:
        batch = Batch(b"for everyone")
        for index, stream in enumerate((first, second)):
            session = await port.session(index)
            assert session.outlet.push(batch)
            wire = batch.wire
            assert wire == rfc6455.encode(BINARY, b"for everyone")
            assert await read_exactly(stream, len(wire)) == wire
            assert batch.wire is wire


async def test_frames_that_come_with_the_handshake_are_heard() -> None:
    async with open_port() as port, await open_socket(port, REQUEST + frame(BINARY, b"early")) as stream:
        assert await next_events(stream, Reader(LIMITS, masked=False), 1) == [Message(BINARY, b"early")]
