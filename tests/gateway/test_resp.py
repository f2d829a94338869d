"""Claims about the command client: against a real Valkey, and through a proxy that fails on demand."""

from __future__ import annotations

import os
import random
import signal
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest
import trio
import trio.testing
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.redis_connection import (
    Backoff,
    OutcomeUnknown,
    RedisAddress,
    RedisAway,
    RedisBusy,
    RedisRefused,
    Way,
    open_connection,
    pack,
    parse_address,
)
from gateway.resp import UNREAD_POSTS_MAX, CommandLimits, Commands, Script
from supervisors.embedded_valkey import ValkeyExited, ValkeyOptions, serve_valkey
from tests.fixtures_valkey import TestValkey
from tests.gateway.faulty_redis import FaultyRedis

PATIENCE_S = 20.0
"""How long a test waits for what must happen; only a failing one ever waits that long."""


def impatient() -> float:
    """The jitter of tests: attempts follow each other after 1 to 40 ms instead of up to two seconds."""
    return 0.02


@asynccontextmanager
async def running(
    address: RedisAddress, limits: CommandLimits | None = None, *, tls: ssl.SSLContext | None = None, wait: bool = True
) -> AsyncIterator[Commands]:
    commands = Commands(Way(address, "test", tls=tls), random=impatient, limits=limits)
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(commands.serve)
            if wait:
                await commands.wait_up()
            yield commands
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def faulty(valkey: TestValkey, tmp_path: Path) -> AsyncIterator[FaultyRedis]:
    proxy = FaultyRedis(valkey.server.address.socket_path, tmp_path)
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.serve)
        yield proxy
        nursery.cancel_scope.cancel()


async def test_every_caller_gets_its_own_reply_and_many_share_a_write(valkey: TestValkey) -> None:
    async with running(parse_address(valkey.url)) as commands:
        replies: dict[int, object] = {}

        async def echo(number: int) -> None:
            replies[number] = await commands.call("ECHO", number)

        async with trio.open_nursery() as nursery:
            for number in range(500):
                nursery.start_soon(echo, number)
        assert replies == {number: b"%d" % number for number in range(500)}
        assert commands.counts.writes < 20


async def test_posts_between_calls_do_not_shift_replies(valkey: TestValkey) -> None:
    async with running(parse_address(valkey.url)) as commands:
        for number in range(50):
            commands.post(pack(("INCR", "posted")))
            if number % 3 == 0:
                commands.post(pack(("INCR", "posted")) * 2, 2)
            assert await commands.call("ECHO", number) == b"%d" % number
        commands.post(pack(("LPUSH", "posted", 1)))
        assert await commands.call("GET", "posted") == b"%d" % (50 + 2 * 17)
        assert commands.counts.posts_refused == 1


async def test_what_a_round_posts_leaves_at_its_end_in_one_write_and_no_task_is_woken_for_it(valkey: TestValkey) -> None:
    async with running(parse_address(valkey.url)) as commands:
        await trio.testing.wait_all_tasks_blocked()
        writes = commands.counts.writes
        commands.cork()
        commands.cork()
        for _ in range(100):
            commands.post(pack(("INCR", "posted")))
        commands.uncork()
        assert commands.unsent_bytes > 0, "the outer round is still open"
        commands.uncork()
        assert (commands.unsent_bytes, commands.counts.writes) == (0, writes + 1)
        assert await commands.call("GET", "posted") == b"100"


async def test_a_round_that_the_kernel_does_not_take_whole_is_finished_by_the_writer(valkey: TestValkey) -> None:
    async with running(parse_address(valkey.url)) as commands:
        for number in range(5):
            commands.cork()
            for _ in range(50):
                commands.post(pack(("APPEND", "long", bytes([65 + number]) * 20_000)))
            commands.uncork()
        long = await commands.call("GET", "long")
        assert long == b"".join(bytes([65 + number]) * 1_000_000 for number in range(5))


async def test_answers_to_posts_may_lie_unread_and_a_call_behind_them_gets_its_own(valkey: TestValkey) -> None:
    async with running(parse_address(valkey.url), CommandLimits(deadline_s=0.4)) as commands:
        for number in range(1, 4):
            for _ in range(UNREAD_POSTS_MAX + 10):
                commands.post(pack(("INCR", "posted")))
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert await commands.call("GET", "posted") == b"%d" % (number * (UNREAD_POSTS_MAX + 10))
        assert commands.counts.losses == 0


async def test_a_connection_that_ends_while_nobody_reads_is_noticed(valkey: TestValkey) -> None:
    async with running(parse_address(valkey.url), CommandLimits(deadline_s=0.4)) as commands:
        identity = await commands.call("CLIENT", "ID")
        commands.post(pack(("INCR", "posted")))
        await trio.testing.wait_all_tasks_blocked(0.02)
        with valkey.client() as client:
            client.client_kill_filter(_id=str(identity))
        await commands.wait_down()
        await commands.wait_up()
        assert await commands.call("GET", "posted") == b"1"


async def test_a_cancelled_caller_does_not_shift_replies(valkey: TestValkey, tmp_path: Path) -> None:
    async with faulty(valkey, tmp_path) as proxy, running(proxy.address) as commands:
        for number in range(10):
            with trio.CancelScope() as scope:
                scope.cancel()
                await commands.call("ECHO", "nobody waits for this")
            assert scope.cancelled_caught
            assert await commands.call("ECHO", number) == b"%d" % number


async def test_without_redis_a_call_is_refused_at_once(tmp_path: Path) -> None:
    async with running(RedisAddress(socket_path=str(tmp_path / "nobody.sock")), wait=False) as commands:
        with pytest.raises(RedisAway):
            await commands.call("PING")
        with pytest.raises(RedisAway):
            commands.post(pack(("PING",)))


async def test_what_was_in_flight_when_the_connection_was_lost_is_unknown_and_never_sent_again(valkey: TestValkey, tmp_path: Path) -> None:
    async with faulty(valkey, tmp_path) as proxy, running(proxy.address) as commands:
        proxy.fault = "swallow"
        async with trio.open_nursery() as nursery:

            async def count() -> None:
                with pytest.raises(OutcomeUnknown):
                    await commands.call("INCR", "counted")

            nursery.start_soon(count)
            await proxy.wait_swallowed()
            proxy.cut()
        await commands.wait_up()
        assert await commands.call("GET", "counted") == b"1"


async def test_a_call_that_is_not_answered_in_time_is_unknown_and_the_silent_connection_is_replaced(
    valkey: TestValkey, tmp_path: Path
) -> None:
    async with faulty(valkey, tmp_path) as proxy, running(proxy.address, CommandLimits(deadline_s=0.05)) as commands:
        proxy.fault = "swallow"
        with pytest.raises(OutcomeUnknown):
            await commands.call("PING")
        await commands.wait_down()
        assert commands.counts.stalls == 1
        proxy.cut()
        await commands.wait_up()
        assert await commands.call("PING") == b"PONG"


async def test_a_paused_server_delays_and_does_not_confuse(valkey: TestValkey) -> None:
    async with running(parse_address(valkey.url)) as commands:
        with valkey.client() as client:
            client.client_pause(50)
        assert await commands.call("ECHO", "late") == b"late"


async def test_a_process_that_was_stopped_finds_its_replies(valkey: TestValkey) -> None:
    async with running(parse_address(valkey.url), CommandLimits(deadline_s=0.02)) as commands:
        with valkey.client() as client:
            for number in range(10):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(commands.call, "ECHO", number)
                    await trio.lowlevel.checkpoint()
                    await trio.lowlevel.checkpoint()  # sent; the answer comes while the process is blocked
                    client.blpop(["never"], timeout=0.05)
        assert (commands.counts.losses, commands.counts.unknown) == (0, 0)


async def test_calls_beyond_the_bound_are_refused(valkey: TestValkey, tmp_path: Path) -> None:
    async with faulty(valkey, tmp_path) as proxy, running(proxy.address, CommandLimits(in_flight_max=3)) as commands:
        proxy.fault = "swallow"
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(commands.call, "PING")
            await proxy.wait_swallowed()
            with pytest.raises(RedisBusy):
                await commands.call("PING")
            nursery.cancel_scope.cancel()
        proxy.cut()
        await commands.wait_down()
        await commands.wait_up()
        for _ in range(10):  # the bound counts what is in flight, not what ever was
            assert await commands.call("PING") == b"PONG"


async def test_bytes_beyond_the_bound_are_refused_while_the_server_takes_nothing(valkey: TestValkey, tmp_path: Path) -> None:
    limits = CommandLimits(unsent_bytes_max=1_000_000)
    async with faulty(valkey, tmp_path) as proxy, running(proxy.address, limits) as commands:
        proxy.fault = "stuck"
        packed = pack(("PUBLISH", "nobody", b"x" * 10_000))
        with pytest.raises(RedisBusy):
            for _ in range(1_000):
                commands.post(packed)
                await trio.lowlevel.checkpoint()
        assert 900_000 < commands.unsent_bytes <= 1_000_000
        proxy.cut()
        await commands.wait_down()
        assert commands.unsent_bytes == 0


async def test_what_was_not_sent_when_the_connection_was_lost_is_not_sent_over_the_next_one(valkey: TestValkey, tmp_path: Path) -> None:
    async with faulty(valkey, tmp_path) as proxy, running(proxy.address) as commands:
        proxy.fault = "stuck"
        commands.post(pack(("PUBLISH", "nobody", bytes(4_000_000))))  # more than the kernel takes
        async with trio.open_nursery() as nursery:

            async def count() -> None:
                with pytest.raises(OutcomeUnknown):
                    await commands.call("INCR", "counted")

            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(count)
            await trio.testing.wait_all_tasks_blocked()
            proxy.cut()
        await commands.wait_up()
        for number in range(3):
            assert await commands.call("ECHO", number) == b"%d" % number
        assert await commands.call("GET", "counted") is None


async def test_an_error_reply_is_raised_with_its_code(valkey: TestValkey) -> None:
    async with running(parse_address(valkey.url)) as commands:
        await commands.call("LPUSH", "list", 1)
        with pytest.raises(RedisRefused) as refused:
            await commands.call("INCR", "list")
        assert refused.value.code == "WRONGTYPE"


async def test_a_script_runs_again_after_the_server_forgot_it(valkey: TestValkey) -> None:
    script = Script.of("return {KEYS[1], ARGV[1]}")
    async with running(parse_address(valkey.url)) as commands:
        for _ in range(2):
            assert await commands.run_script(script, ("key",), (1,)) == [b"key", b"1"]
            with valkey.client() as client:
                client.script_flush()
        assert await commands.run_script(script, ("key",), (1,)) == [b"key", b"1"]


async def test_a_killed_connection_comes_back(valkey: TestValkey) -> None:
    async with running(parse_address(valkey.url)) as commands:
        identity = await commands.call("CLIENT", "ID")
        with valkey.client() as client:
            client.client_kill_filter(_id=str(identity))
        await commands.wait_down()
        await commands.wait_up()
        assert await commands.call("CLIENT", "ID") != identity


async def test_a_server_killed_and_started_again_is_found_again(tmp_path: Path) -> None:
    options = ValkeyOptions(tmp_path)
    async with trio.open_nursery() as nursery:
        first = await nursery.start(_serve_once, options)
        async with running(RedisAddress(socket_path=str(first.socket_path))) as commands:
            os.kill(first.pid, signal.SIGKILL)
            await commands.wait_down()
            with pytest.raises(RedisAway):
                await commands.call("PING")
            await nursery.start(_serve_once, options)
            await commands.wait_up()
            assert await commands.call("PING") == b"PONG"
        nursery.cancel_scope.cancel()


async def _serve_once(options: ValkeyOptions, *, task_status: trio.TaskStatus[object]) -> None:
    with suppress(ValkeyExited):
        await serve_valkey(options, task_status=task_status)


@pytest.mark.parametrize("seed", range(5))
async def test_what_was_acknowledged_happened_once_and_nothing_happened_twice_however_often_it_is_cut(
    valkey: TestValkey, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    outcomes: Counter[str] = Counter()

    async def count(commands: Commands) -> None:
        for _ in range(50):
            await commands.wait_up()
            try:
                await commands.call("INCR", "counted")
                outcomes["acknowledged"] += 1
            except OutcomeUnknown:
                outcomes["unknown"] += 1
            except RedisAway:
                outcomes["refused"] += 1

    async with faulty(valkey, tmp_path) as proxy, running(proxy.address) as commands:
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(count, commands)
            for _ in range(8):
                for _ in range(chance.randrange(1, 20)):
                    await trio.lowlevel.checkpoint()
                proxy.fault = chance.choice(["none", "swallow"])
                for _ in range(chance.randrange(0, 20)):
                    await trio.lowlevel.checkpoint()
                proxy.cut()
                await commands.wait_down()
                await commands.wait_up()
        with valkey.client() as client:
            counted = int(client.get("counted") or 0)
    assert sum(outcomes.values()) == 1000
    assert outcomes["unknown"] > 0
    assert outcomes["acknowledged"] <= counted <= outcomes["acknowledged"] + outcomes["unknown"]


async def test_over_tls_the_certificate_is_checked(valkey: TestValkey) -> None:
    authority, server_side = certificate_for("localhost")
    trusting = ssl.create_default_context(cadata=authority)

    async def serve_one(secured: trio.SSLStream[trio.SocketStream]) -> None:
        with suppress(trio.BrokenResourceError):
            async with await trio.open_unix_socket(str(valkey.server.address.socket_path)) as server, trio.open_nursery() as nursery:

                async def pump(source: trio.abc.ReceiveStream, sink: trio.abc.SendStream) -> None:
                    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                        async for data in source:
                            await sink.send_all(data)
                    nursery.cancel_scope.cancel()

                nursery.start_soon(pump, secured, server)
                nursery.start_soon(pump, server, secured)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_ssl_over_tcp, serve_one, 0, server_side, host="127.0.0.1"))
        port = listeners[0].transport_listener.socket.getsockname()[1]
        address = parse_address(f"rediss://localhost:{port}")
        async with running(address, tls=trusting) as commands:
            assert await commands.call("PING") == b"PONG"
        with pytest.raises(RedisAway, match="CERTIFICATE_VERIFY_FAILED"):
            await open_connection(Way(address, "mistrustful"))
        nursery.cancel_scope.cancel()


def certificate_for(host: str) -> tuple[str, ssl.SSLContext]:
    """A self-signed certificate (PEM), and a server's side with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    start = datetime(2020, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), start, start + timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with NamedTemporaryFile(suffix=".pem") as both:
        both.write(pem + secret)
        both.flush()
        context.load_cert_chain(both.name)
    return pem.decode(), context


async def test_it_speaks_as_whom_the_address_says(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        options = ValkeyOptions(tmp_path, arguments=(*"--user ada on >s3cret/ ~* &* +@all --user default off".split(),))
        address = await nursery.start(serve_valkey, options)
        async with running(parse_address(f"unix://ada:s3cret%2F@{address.socket_path}?db=3")) as commands:
            assert await commands.call("ACL", "WHOAMI") == b"ada"
            listed = (await commands.call("CLIENT", "LIST")).decode()
            assert " name=test " in listed
            assert " db=3 " in listed
        wrong = parse_address(f"unix://ada:guess@{address.socket_path}")
        async with running(wrong, wait=False) as commands:
            with pytest.raises(RedisAway):
                await commands.call("PING")
            assert commands.counts.connects == 0
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://localhost", RedisAddress("localhost")),
        ("redis://h:7000/4", RedisAddress("h", 7000, database=4)),
        ("rediss://ada:p%40ss@h", RedisAddress("h", tls=True, user="ada", secret="p@ss")),
        ("redis://:pass@h?db=2", RedisAddress("h", secret="pass", database=2)),
        ("unix:///run/v.sock", RedisAddress(socket_path="/run/v.sock")),
        ("unix://:p@/run/v.sock?db=1", RedisAddress(socket_path="/run/v.sock", secret="p", database=1)),
    ],
)
def test_an_address_is_read(url: str, address: RedisAddress) -> None:
    assert parse_address(url) == address


@pytest.mark.parametrize("url", ["http://h", "h:6379", "redis://h/x", "unix://", "redis://h:port"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        parse_address(url)


def test_an_address_does_not_show_its_secret() -> None:
    address = parse_address("redis://ada:s3cret@h")
    assert "s3cret" not in f"{address} {address!r}"


def test_attempts_are_spread_below_a_bound_that_doubles_and_a_cut_connection_is_no_success() -> None:
    backoff = Backoff(lambda: 1.0, first_s=0.1, last_s=1.0)
    waits = [backoff.next_s() for _ in range(5)]
    backoff.held(0.01)
    waits.append(backoff.next_s())
    backoff.held(10.0)
    waits.append(backoff.next_s())
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 0.1]
    assert Backoff(lambda: 0.25, first_s=0.1).next_s() == 0.025
