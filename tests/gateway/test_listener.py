"""The public port: who gets in, who waits, who is told to come back, and how it goes away."""

from __future__ import annotations

import ipaddress
import resource
import socket
import struct
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from gateway import rfc6455
from gateway.admission import Bucket, Census, Gates
from gateway.client_address import SIGNATURE_V2, Trust
from gateway.connection import Bounds
from gateway.rfc6455 import BINARY, Close, Message, Reader
from protocol.codes import Code
from tests.gateway.certificates import Certificates, make_certificates
from tests.gateway.public_port import PATIENCE_S, REQUEST, Port, eventually, open_port, open_socket, read_all, read_until

KEY = b"\x01\x02\x03\x04"
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


async def ask(port: Port, data: bytes) -> bytes:
    """What the port answers to `data` until it closes."""
    async with await port.connect() as stream:
        await stream.send_all(data)
        return await read_all(stream)


def status(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1.1 "), answer
    return int(answer[9:12])


def refused(port: Port) -> dict[str, int]:
    return port.listener.counters.refused


# ── where things go ──


async def test_plain_http_reaches_the_application_with_every_byte_already_read() -> None:
    async with open_port() as port:
        body = b"b" * 3000
        request = b"POST /read HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 3000\r\n\r\n" + body
        answer = await ask(port, request)
        assert status(answer) == 200
        assert answer.endswith(b"/read 127.0.0.1 3000")


async def test_a_head_that_drips_in_is_a_head() -> None:
    async with open_port() as port, await port.connect() as stream:
        for byte in REQUEST:
            await stream.send_all(bytes((byte,)))
        assert status(await read_until(stream, b"\r\n\r\n")) == 101


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\n" + REQUEST, 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"GET /socket HTTP/1.1\r\nHost: h\r\n\r\n", 426),
        (REQUEST.replace(b"/socket", b"/elsewhere"), 404),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000, 431),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 16_500 + b"\r\n\r\n", 431),
    ],
)
async def test_what_is_not_wanted_is_refused_with_a_status(data: bytes, expected: int) -> None:
    async with open_port() as port:
        assert status(await ask(port, data)) == expected
        assert sum(refused(port).values()) == 1


async def test_a_head_that_takes_too_long_is_answered_408(mock_clock: MockClock) -> None:
    async with open_port(gates=Gates(head_s=10)) as port, await port.connect() as stream:
        await stream.send_all(b"GET / HT")
        await eventually(lambda: port.listener.half_open == 1)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(9.5)
        await trio.testing.wait_all_tasks_blocked()
        assert port.listener.half_open == 1
        mock_clock.jump(1.0)
        assert status(await read_all(stream)) == 408


# ── gates ──


async def test_a_flood_of_half_open_connections_is_bounded_and_lets_honest_ones_through() -> None:
    async with open_port(gates=Gates(half_open_max=50, half_open_per_client_max=1000)) as port:
        flood = [port.connect_raw() for _ in range(200)]
        try:
            await eventually(lambda: refused(port).get("half_open") == 150)
            assert port.listener.half_open == 50
            async with await open_socket(port):
                pass
        finally:
            for sock in flood:
                sock.close()
        await eventually(lambda: port.listener.half_open == 0)


async def test_one_address_cannot_hold_all_half_open_places() -> None:
    async with open_port(gates=Gates(half_open_per_client_max=10)) as port:
        flood = [port.connect_raw() for _ in range(10)]
        try:
            await eventually(lambda: port.listener.half_open == 10)
            assert status(await ask(port, b"")) == 429
            assert refused(port) == {"half_open_per_client": 1}
        finally:
            for sock in flood:
                sock.close()
        await eventually(lambda: port.listener.half_open == 0)
        async with await open_socket(port):
            pass


async def test_connections_beyond_one_addresss_share_are_told_to_come_back() -> None:
    async with open_port(gates=Gates(per_client_max=2)) as port:
        async with await open_socket(port) as first, await open_socket(port):
            answer = await ask(port, REQUEST)
            assert status(answer) == 429
            assert b"\r\nRetry-After: 10\r\n" in answer
            assert status(await ask(port, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")) == 429
            await first.aclose()
            session = await port.session()
            await session.until(lambda: session.ends)
            async with await open_socket(port):
                pass


async def test_beyond_the_total_everybody_is_told_to_come_back() -> None:
    async with open_port(gates=Gates(sockets_max=1)) as port, await open_socket(port):
        answer = await ask(port, REQUEST)
        assert status(answer) == 503
        assert b"\r\nRetry-After: 10\r\n" in answer
        assert refused(port) == {"sockets": 1}


async def arrive(port: Port, count: int) -> list[trio.SocketStream]:
    """Connects `count` clients, one after the other: each is admitted, waits or is refused before the next comes."""
    counters = port.listener.counters
    streams = []
    for number in range(1, count + 1):
        stream = await port.connect()
        streams.append(stream)
        await stream.send_all(REQUEST)

        def decided(number: int = number) -> bool:
            return counters.accepted + port.listener.waiting + sum(counters.refused.values()) == number

        await eventually(decided)
    return streams


async def test_a_storm_waits_its_turn_and_what_would_wait_too_long_is_told_to_come_back(mock_clock: MockClock) -> None:
    gates = Gates(handshakes_per_s=1.0, handshakes_burst=2, waiting_max=3, waiting_s=2.5)
    async with open_port(gates=gates) as port:
        counters = port.listener.counters
        streams = await arrive(port, 6)
        assert (counters.accepted, port.listener.waiting, refused(port)) == (2, 3, {"waiting": 1})
        answer = await read_all(streams[5])
        assert status(answer) == 503
        assert b"\r\nRetry-After: 10\r\n" in answer
        mock_clock.jump(1.01)
        await eventually(lambda: counters.accepted == 3)
        mock_clock.jump(1.01)
        await eventually(lambda: counters.accepted == 4)
        mock_clock.jump(0.6)
        assert status(await read_all(streams[4])) == 503
        assert refused(port) == {"waiting": 1, "admission_late": 1}
        for stream in streams[:4]:
            assert status(await read_until(stream, b"\r\n\r\n")) == 101
        for stream in streams:
            await stream.aclose()


async def test_who_leaves_while_waiting_takes_nobodys_turn(mock_clock: MockClock) -> None:
    gates = Gates(handshakes_per_s=1.0, handshakes_burst=1, per_client_max=3)
    async with open_port(gates=gates) as port:
        first, second, third = await arrive(port, 3)
        assert port.listener.waiting == 2
        await second.aclose()
        await trio.testing.wait_all_tasks_blocked(0.01)
        mock_clock.jump(1.2)
        assert status(await read_until(third, b"\r\n\r\n")) == 101
        assert port.listener.waiting == 0
        await first.aclose()
        await third.aclose()


async def test_out_of_descriptors_newcomers_wait_and_nobody_else_notices(mock_clock: MockClock) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with open_port() as port, await open_socket(port) as stream:
        waiting = port.connect_raw()
        await eventually(lambda: port.listener.half_open == 1)
        blocked = socket.socket()
        resource.setrlimit(resource.RLIMIT_NOFILE, (blocked.fileno() + 1, hard))
        try:
            blocked.connect(("127.0.0.1", port.number))
            await eventually(lambda: refused(port) == {"descriptors": 1})
            await stream.send_all(rfc6455.encode(BINARY, b"unmoved", key=KEY))
            answer = await read_until(stream, b"unmoved")
            assert answer.endswith(b"unmoved")
            assert refused(port) == {"descriptors": 1}, "it must not spin"
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        mock_clock.jump(0.2)
        await eventually(lambda: port.listener.half_open == 2)
        waiting.close()
        blocked.close()


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = Bucket(2.0, 3, now=100.0)
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(100.5) for _ in range(2)] == [True, False]
    assert [bucket.take(1000.0) for _ in range(4)] == [True, True, True, False]


def test_a_census_forgets_who_left() -> None:
    census = Census(2)
    assert [census.enter("a"), census.enter("a"), census.enter("a"), census.enter("b")] == [True, True, False, True]
    census.leave("a")
    assert census.enter("a")
    for address in ("a", "a", "b"):
        census.leave(address)
    assert len(census) == 0


# ── proxies ──


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP4 203.0.113.7 10.0.0.1 5000 443\r\n",
        SIGNATURE_V2 + b"\x21\x11\x00\x0c" + bytes((203, 0, 113, 7, 10, 0, 0, 1)) + struct.pack("!HH", 5000, 443),
    ],
    ids=["v1", "v2"],
)
@pytest.mark.parametrize("piece", [1, 1000])
async def test_a_trusted_proxy_tells_whose_connection_it_is(header: bytes, piece: int) -> None:
    async with open_port(trust=Trust(networks=LOOPBACK, proxy_protocol=True)) as port, await port.connect() as stream:
        data = header + REQUEST
        for start in range(0, len(data), piece):
            await stream.send_all(data[start : start + piece])
        assert status(await read_until(stream, b"\r\n\r\n")) == 101
        session = await port.session()
        assert (session.peer.address, session.peer.port) == ("203.0.113.7", 5000)


async def test_a_trusted_proxy_that_tells_nothing_is_cut_off() -> None:
    async with open_port(trust=Trust(networks=LOOPBACK, proxy_protocol=True)) as port:
        assert await ask(port, REQUEST) == b""
        assert refused(port) == {"proxy_header": 1}


async def test_the_forwarded_address_counts_for_sockets_and_for_http() -> None:
    async with open_port(trust=Trust(networks=LOOPBACK, header="x-forwarded-for"), gates=Gates(per_client_max=1)) as port:
        request = REQUEST[:-2] + b"X-Forwarded-For: 6.6.6.6, 203.0.113.7\r\n\r\n"
        async with await open_socket(port, request):
            session = await port.session()
            assert session.peer.address == "203.0.113.7"
            assert status(await ask(port, request)) == 429
        answer = await ask(port, b"GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Forwarded-For: 203.0.113.8\r\n\r\n")
        assert answer.endswith(b"/x 203.0.113.8 0")


async def test_a_strangers_forwarded_address_is_ignored() -> None:
    async with open_port() as port:
        answer = await ask(port, b"GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Forwarded-For: 203.0.113.8\r\n\r\n")
        assert answer.endswith(b"/x 127.0.0.1 0")


# ── TLS and unix sockets ──


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


async def connect_tls(port: Port, certificates: Certificates, before: bytes = b"") -> trio.SSLStream[trio.SocketStream]:
    tcp = await port.connect()
    if before:
        await tcp.send_all(before)
    stream = trio.SSLStream(tcp, certificates.client, server_hostname="localhost", https_compatible=True)
    await stream.do_handshake()
    return stream


async def test_a_socket_over_tls_carries_large_messages_both_ways(certificates: Certificates) -> None:
    bounds = Bounds(reader=rfc6455.Limits(message_bytes_max=8 * 1024 * 1024), queue_hard_bytes=16 * 1024 * 1024)
    async with open_port(tls=certificates.server, bounds=bounds) as port:
        stream = await connect_tls(port, certificates)
        payload = bytes(index % 251 for index in range(3_000_000))
        wire = rfc6455.encode(BINARY, payload, key=KEY)
        reader = Reader(rfc6455.Limits(message_bytes_max=1 << 30), masked=False)
        await stream.send_all(REQUEST)
        answer = await read_until(stream, b"\r\n\r\n")
        assert status(answer) == 101
        events = reader.feed(answer.partition(b"\r\n\r\n")[2])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, wire + rfc6455.encode(BINARY, b"small", key=KEY))
            with trio.fail_after(PATIENCE_S):
                while len(events) < 2:
                    events += reader.feed(bytes(await stream.receive_some()))
        assert events == [Message(BINARY, payload), Message(BINARY, b"small")]
        session = await port.session()
        assert session.peer.secure
        session.outlet.close(4000, "bye")
        with trio.fail_after(PATIENCE_S):
            assert reader.feed(bytes(await stream.receive_some())) == [Close(4000, "bye")]
        await stream.aclose()
        await session.until(lambda: session.ends)


async def test_pings_pass_a_full_tls_queue_without_tearing_it(certificates: Certificates, mock_clock: MockClock) -> None:
    bounds = Bounds(heartbeat_s=30, pong_s=1000, queue_hard_bytes=64 * 1024 * 1024)
    async with open_port(echo=False, tls=certificates.server, bounds=bounds) as port:
        stream = await connect_tls(port, certificates)
        await stream.send_all(REQUEST)
        answer = await read_until(stream, b"\r\n\r\n")
        session = await port.session()
        parts = [bytes((number % 256,)) * 100_000 for number in range(100)]
        for part in parts:
            session.outlet.send(part)
        assert session.outlet.queued_bytes > 0
        mock_clock.jump(31)
        await trio.testing.wait_all_tasks_blocked()
        reader = Reader(rfc6455.Limits(message_bytes_max=1 << 30), masked=False)
        events = reader.feed(answer.partition(b"\r\n\r\n")[2])
        with trio.fail_after(PATIENCE_S * 100):
            while len(events) < len(parts) + 1:
                events += reader.feed(bytes(await stream.receive_some()))
        assert [event for event in events if isinstance(event, Message)] == [Message(BINARY, part) for part in parts]
        assert rfc6455.Ping(b"") in events[:-1], "the ping did not overtake anything"
        await stream.transport_stream.aclose()


async def test_http_over_tls_and_proxy_header_before_it(certificates: Certificates) -> None:
    trust = Trust(networks=LOOPBACK, proxy_protocol=True)
    async with open_port(tls=certificates.server, trust=trust) as port:
        stream = await connect_tls(port, certificates, before=b"PROXY TCP4 203.0.113.7 10.0.0.1 5000 443\r\n")
        await stream.send_all(b"GET /tls HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        answer = await read_until(stream, b"/tls 203.0.113.7 0")
        assert status(answer) == 200
        await stream.aclose()


async def test_plain_text_on_a_tls_port_ends_quietly(certificates: Certificates) -> None:
    async with open_port(tls=certificates.server) as port:
        answer = await ask(port, REQUEST)
        assert not answer.startswith(b"HTTP/")
        await eventually(lambda: port.listener.half_open == 0)


async def test_a_unix_socket_is_a_port_too_and_is_removed_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "port"
    left_behind = socket.socket(socket.AF_UNIX)
    left_behind.bind(str(path))
    left_behind.close()
    async with open_port(binds=(f"unix:{path}", "127.0.0.1:0")) as port:
        assert port.binds[0] == f"unix:{path}"
        async with await trio.open_unix_socket(path) as stream:
            await stream.send_all(b"GET /u HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            assert (await read_all(stream)).endswith(b"/u  0")
    assert not path.exists()


async def test_an_ipv6_port_knows_its_clients_by_their_ipv6_address() -> None:
    async with open_port(binds=("[::1]:0",)) as port:
        assert port.binds[0].startswith("[::1]:")
        async with await trio.open_tcp_stream("::1", port.number) as stream:
            await stream.send_all(REQUEST)
            assert status(await read_until(stream, b"\r\n\r\n")) == 101
        session = await port.session()
        assert session.peer.address == "::1"


async def test_several_processes_may_share_a_port_where_that_is_set() -> None:
    async with open_port(reuse_port=True) as first, open_port(binds=first.binds, reuse_port=True) as second:
        assert first.binds == second.binds


async def test_a_port_that_is_taken_stops_the_start() -> None:
    async with open_port() as port:
        with pytest.raises(ExceptionGroup) as failed:
            async with open_port(binds=port.binds):
                pass
        assert failed.group_contains(OSError)


# ── going away ──


async def test_draining_tells_the_sessions_and_closes_who_is_left() -> None:
    async with open_port(bounds=Bounds(linger_s=0.2)) as port:
        async with await open_socket(port) as stays, await open_socket(port) as leaves:
            first, second = await port.session(0), await port.session(1)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(port.listener.drain, 0.2)
                await second.until(lambda: second.drain_grace_s is not None)
                assert first.drain_grace_s == second.drain_grace_s == 0.2
                with pytest.raises(OSError):
                    await port.connect()
                second.outlet.close(4010, "over there")
                await leaves.send_all(rfc6455.encode_close(4010, key=KEY))
                await second.until(lambda: second.ends)
                assert first.ends == []
                (event,) = Reader(rfc6455.Limits(), masked=False).feed(await read_until(stays, b"away"))
                assert event == Close(Code.DRAIN, "this server is going away")
                await stays.send_all(rfc6455.encode_close(Code.DRAIN, key=KEY))
                await stays.aclose()
            assert first.ends == [(Code.DRAIN, "this server is going away")]
            assert len(port.listener.multiplexer) == 0


async def test_stopping_tells_every_session_once() -> None:
    async with open_port() as port:
        streams = [await open_socket(port) for _ in range(3)]
        sessions = [await port.session(index) for index in range(3)]
        sessions[0].outlet.close(4000, "closing already")
    assert [len(session.ends) for session in sessions] == [1, 1, 1]
    assert [session.ends[0][0] for session in sessions] == [4000, rfc6455.GOING_AWAY, rfc6455.GOING_AWAY]
    for session in sessions:
        session.outlet.send(b"to nobody")
        session.outlet.pause_reading()
        session.outlet.resume_reading()
        session.outlet.close(4000, "again")
    for stream in streams:
        await stream.aclose()
