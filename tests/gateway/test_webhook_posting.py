"""Attempts of deliveries against real servers on loopback: signatures, bounds, TLS, and what hostile answers cost."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from actors.webhooks import KINDS
from gateway.options import PostBounds, Reach
from gateway.webhooks.destination import parse
from gateway.webhooks.posting import Answer, Poster
from gateway.webhooks.signing import make_secret, sign
from tests.gateway.certificates import Certificates, make_certificates

DEVELOPMENT = Reach(loopback_allowed=True)
QUICK = PostBounds(total_s=2.0, connect_s=2.0)

Serve = Callable[[trio.abc.Stream], Awaitable[None]]


@asynccontextmanager
async def server(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on loopback whose connections are each given to `serve`; its port."""

    async def one(stream: trio.SocketStream) -> None:
        whole: trio.abc.Stream = stream if tls is None else trio.SSLStream(stream, tls, server_side=True)
        try:
            await serve(whole)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the other side has left, as it should

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, one, listeners)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def read_request(stream: trio.abc.Stream) -> tuple[dict[str, str], bytes]:
    """The fields and body of a request."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive_some()
    head, _, body = data.partition(b"\r\n\r\n")
    line, *fields = head.decode().split("\r\n")
    found = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)} | {"": line}
    while len(body) < int(found["content-length"]):
        body += await stream.receive_some()
    return found, body


async def post(port: int, *, bounds: PostBounds = QUICK, reach: Reach = DEVELOPMENT, path: str = "/in?x=1", **named: object) -> Answer:
    poster = Poster(reach, bounds, **named)  # type: ignore[arg-type]
    destination = parse(f"http://127.0.0.1:{port}{path}", loopback_allowed=True)
    with trio.fail_after(20):
        return await poster.post(destination, {"content-type": "application/json"}, b'{"a":1}')


async def test_a_delivery_arrives_as_it_was_signed_and_its_answer_is_told() -> None:
    got: list[tuple[dict[str, str], bytes]] = []

    async def serve(stream: trio.abc.Stream) -> None:
        got.append(await read_request(stream))
        await stream.send_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\nfine\x00")

    async with server(serve) as port:
        answer = await post(port)
    assert (answer.status, answer.text, answer.taken) == (202, "fine ", True)
    [(fields, body)] = got
    assert fields[""] == "POST /in?x=1 HTTP/1.1" and fields["host"] == f"127.0.0.1:{port}" and body == b'{"a":1}'


def verify(fields: dict[str, str], body: bytes, secret: str) -> bool:
    """As the specification of Standard Webhooks tells a receiver to do it, written without our code."""
    key = base64.b64decode(secret.split("_", 1)[1])
    signed = b".".join((fields["webhook-id"].encode(), fields["webhook-timestamp"].encode(), body))
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return any(hmac.compare_digest(f"v1,{expected}", one) for one in fields["webhook-signature"].split(" "))


def test_both_secrets_of_a_rotation_verify_and_no_other_does() -> None:
    old, new, other = (make_secret(os.urandom) for _ in range(3))
    fields, body = sign("evt_1_2_3", 1_800_000_000, b'{"type":"member.joined"}', [new, old]), b'{"type":"member.joined"}'
    assert verify(fields, body, old) and verify(fields, body, new) and not verify(fields, body, other)
    assert not verify(fields, body + b" ", new) and not verify(fields | {"webhook-timestamp": "1800000001"}, body, new)
    assert not verify(fields | {"webhook-id": "evt_1_2_4"}, body, new)


def test_the_published_example_of_the_specification_is_signed_as_it_is_published() -> None:
    # The values of the reference implementations' own tests.
    fields = sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
    assert fields["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


PAGE = (Path(__file__).resolve().parents[2] / "docs" / "webhooks.md").read_text("utf-8")


def test_the_example_in_the_documentation_verifies_what_we_sign_and_nothing_else() -> None:
    [example] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    scope: dict[str, Any] = {}
    exec(compile(example, "docs/webhooks.md", "exec"), scope)
    secret, body, now = make_secret(os.urandom), b'{"type":"member.joined"}', int(time.time())
    fields = sign("evt_1_2_3", now, body, [secret])
    assert scope["verified"](secret, fields, body)
    assert not scope["verified"](secret, fields, body + b" ") and not scope["verified"](make_secret(os.urandom), fields, body)
    assert not scope["verified"](secret, sign("evt_1_2_3", now - 3600, body, [secret]), body)


def test_the_documentation_names_every_event_that_can_be_subscribed_to() -> None:
    listed = PAGE[PAGE.index("Events: ") : PAGE.index("### What arrives")]
    assert set(re.findall(r"`([a-z_.]+)`", listed)) == set(KINDS)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
async def test_a_redirect_is_an_answer_like_any_other_and_is_not_followed(status: str) -> None:
    reached: list[str] = []

    async def inside(stream: trio.abc.Stream) -> None:
        reached.append("inside")

    async with server(inside) as secret_port:

        async def serve(stream: trio.abc.Stream) -> None:
            await read_request(stream)
            await stream.send_all(f"HTTP/1.1 {status}\r\nLocation: http://127.0.0.1:{secret_port}/\r\nContent-Length: 0\r\n\r\n".encode())

        async with server(serve) as port:
            answer = await post(port)
    assert answer.status == int(status[:3]) and not answer.taken and reached == []


async def test_an_endless_answer_is_cut_off_at_its_bound() -> None:
    sent = 0

    async def serve(stream: trio.abc.Stream) -> None:
        nonlocal sent
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
        while True:
            await stream.send_all(b"x" * 65_536)
            sent += 65_536

    async with server(serve) as port:
        answer = await post(port)
    assert answer.status == 200 and answer.text == "x" * 200
    assert sent < 16 * 1024 * 1024


@pytest.mark.parametrize(
    ("hostile", "words"),
    [
        (b"", "no answer in time|no answer within"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000, "no HTTP"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "no HTTP"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "no answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "no answer"),
    ],
)
async def test_an_answer_that_hangs_or_is_none_ends_in_words_of_ours(hostile: bytes, words: str) -> None:
    async def serve(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(hostile)
        await trio.sleep_forever()

    async with server(serve) as port:
        answer = await post(port, bounds=PostBounds(total_s=0.4, connect_s=0.4))
    assert answer.status == 0 and any(word in answer.text for word in words.split("|")), answer


async def test_endless_interim_answers_end_with_the_deadline() -> None:
    async def serve(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        while True:
            await stream.send_all(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            await trio.sleep(0.01)

    async with server(serve) as port:
        assert (await post(port, bounds=PostBounds(total_s=0.4, connect_s=0.4))).status == 0


async def test_a_connection_that_is_refused_or_broken_and_a_name_that_is_none_are_told_without_addresses() -> None:
    async def serve(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.aclose()

    async with server(serve) as port:
        broken = await post(port)
    refused = await post(port)

    async def nowhere(host: str, port: int) -> list[str]:
        raise OSError("[Errno -2] 10.0.0.53 says no")

    unknown = await post(port, resolve=nowhere)
    assert [broken.status, refused.status, unknown.status] == [0, 0, 0]
    assert "127.0.0.1" not in broken.text + refused.text and "10.0.0.53" not in unknown.text


async def test_in_production_a_server_on_loopback_is_never_reached() -> None:
    reached: list[str] = []

    async def serve(stream: trio.abc.Stream) -> None:
        reached.append("inside")

    async with server(serve) as port:
        answer = await post(port, reach=Reach())
        assert answer.status == 0 and answer.forbidden

        async def rebinding(host: str, port: int) -> list[str]:
            return ["93.184.216.34", "127.0.0.1"]

        assert (await post(port, reach=Reach(), resolve=rebinding)).forbidden
    assert reached == []


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    reached: list[str] = []

    async def proxy(stream: trio.abc.Stream) -> None:
        reached.append("proxy")

    async def serve(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with server(proxy) as proxy_port, server(serve) as port:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy_port}")
        assert (await post(port)).status == 204
    assert reached == []


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(Path(tmp_path_factory.mktemp("tls")))


async def test_tls_is_verified_with_the_hosts_name_though_the_connection_goes_to_an_address(certificates: Certificates) -> None:
    async def serve(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def here(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async def answer_of(host: str, poster: Poster) -> Answer:
        with trio.fail_after(20):
            return await poster.post(parse(f"https://{host}:{port}/", loopback_allowed=True), {}, b"{}")

    async with server(serve, certificates.server) as port:
        trusting = Poster(DEVELOPMENT, QUICK, certificates=certificates.client, resolve=here)
        assert (await answer_of("localhost", trusting)).status == 200
        wrong_name = await answer_of("hooks.example.org", trusting)
        stranger = await answer_of("localhost", Poster(DEVELOPMENT, QUICK, resolve=here))
    for answer in (wrong_name, stranger):
        assert answer.status == 0 and "certificate" in answer.text, answer


@pytest.mark.parametrize(("field", "wanted"), [("120", 120), ("99999", 86400), ("999999", 0), ("soon", 0), ("-5", 0), ("²", 0)])
async def test_a_receiver_may_say_when_to_come_back_within_a_day(field: str, wanted: int) -> None:
    async def serve(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(f"HTTP/1.1 503 Busy\r\nRetry-After: {field}\r\nContent-Length: 0\r\n\r\n".encode("latin-1"))

    async with server(serve) as port:
        assert (await post(port)).retry_after_s == wanted
