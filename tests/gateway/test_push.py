"""What is pushed is decrypted and checked by services that know nothing of ours; what they answer is told apart."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import trio

from actors.push import Parcel, Pushed, Service, Subscription, Urgency
from gateway.options import Reach
from gateway.push import apns, fcm
from gateway.push.apns import Apns, ApnsKey
from gateway.push.fcm import Fcm, read_account
from gateway.push.web_push import SubscriptionRefused, Vapid, WebPush, check_keys, encrypt, generate_key, plaintext
from gateway.webhooks.posting import Poster
from tests.gateway.push_services import ApnsService, Browser, FcmService, WebPushService, serving_http, serving_http2

PARCEL = Parcel("4.7.9", "Maths", "Ada mentioned you in Maths.", 9, 5, 42, 2, "7.5", Urgency.HIGH, 3600)
SHOWN = {"id": "4.7.9", "title": "Maths", "body": "Ada mentioned you in Maths.", "notice": 9, "stream": 5, "seq": 42, "count": 2}
TOKEN = "d" * 140
DEVICE = "ab" * 32


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def web_push(clock: Clock) -> Iterator[tuple[WebPush, WebPushService, Subscription]]:
    vapid = Vapid(generate_key(), "mailto:us@learn.example", clock)
    service = WebPushService(clock, vapid.public)
    with serving_http(service):
        browser = service.browser
        to = Subscription(Service.WEB, f"{service.url}/push/1", browser.p256dh, browser.auth)
        yield WebPush(vapid, Poster(Reach(loopback_allowed=True)), loopback_allowed=True), service, to


async def test_a_push_is_read_by_its_browser_alone_and_its_service_knows_who_sent_it() -> None:
    clock = Clock()
    with web_push(clock) as (sender, service, to):
        assert (await sender.send(to, PARCEL)).taken, service.complaints
        assert service.taken == [SHOWN]
        assert service.headers[0]["urgency"] == "high" and service.headers[0]["ttl"] == "3600"
        assert "7.5" not in service.headers[0]["topic"]
        clock.now += 11 * 3600
        assert (await sender.send(to, PARCEL)).taken, "signed anew before it expires"
        stranger = Subscription(Service.WEB, to.address, Browser().p256dh, to.auth)
        await sender.send(stranger, PARCEL)
        assert len(service.taken) == 2 and "InvalidTag" in service.complaints[-1], "encrypted for somebody else"


async def test_a_push_signed_for_another_service_or_by_another_key_would_be_refused() -> None:
    clock = Clock()
    with web_push(clock) as (_, service, to):
        other = WebPush(Vapid(generate_key(), "mailto:x@y.example", clock), Poster(Reach(loopback_allowed=True)), loopback_allowed=True)
        assert (await other.send(to, PARCEL)).hopeless and service.taken == []


@pytest.mark.parametrize(
    ("status", "headers", "pushed"),
    [
        (201, {}, Pushed(taken=True, status=201, words="201")),
        (404, {}, Pushed(gone=True, status=404, words="404")),
        (410, {}, Pushed(gone=True, status=410, words="410")),
        (429, {"Retry-After": "120"}, Pushed(retry_after_s=120.0, status=429, words="429")),
        (413, {}, Pushed(hopeless=True, status=413, words="413")),
        (503, {}, Pushed(status=503, words="503")),
        (302, {"Location": "http://127.0.0.1:1/"}, Pushed(status=302, words="302")),
    ],
)
async def test_what_a_push_service_answers_is_told_apart(status: int, headers: dict[str, str], pushed: Pushed) -> None:
    with web_push(Clock()) as (sender, service, to):
        service.answers = [(status, headers, b"")]
        assert await sender.send(to, PARCEL) == pushed


@pytest.mark.parametrize(
    "address",
    [
        "http://push.example.org/1",
        "https://127.0.0.1/1",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/1",
        "https://2130706433/1",
        "https://user@push.example.org/1",
        "https://push.example.org:22/1",
        "file:///etc/passwd",
        "https://localhost/1",
    ],
)
async def test_an_endpoint_that_leads_inside_or_is_none_is_never_connected_to(address: str) -> None:
    browser = Browser()

    async def nowhere(host: str, port: int) -> list[str]:
        return [host.strip("[]")]

    sender = WebPush(Vapid(generate_key(), "mailto:us@learn.example", Clock()), Poster(Reach(), resolve=nowhere))
    pushed = await sender.send(Subscription(Service.WEB, address, browser.p256dh, browser.auth), PARCEL)
    assert pushed.gone and not pushed.status and address not in pushed.words


async def test_a_name_that_means_an_address_inside_by_now_is_not_connected_to() -> None:
    browser = Browser()

    async def rebound(host: str, port: int) -> list[str]:
        return ["10.0.0.7"]

    sender = WebPush(Vapid(generate_key(), "mailto:us@learn.example", Clock()), Poster(Reach(), resolve=rebound))
    pushed = await sender.send(Subscription(Service.WEB, "https://push.example.org/1", browser.p256dh, browser.auth), PARCEL)
    assert pushed.gone and not pushed.status


@pytest.mark.parametrize("p256dh", [b"", b"\4" + b"\0" * 64, b"\2" + b"x" * 32, b"\4" + b"\xff" * 64])
def test_a_key_that_is_no_point_is_refused(p256dh: bytes) -> None:
    with pytest.raises(SubscriptionRefused):
        check_keys(p256dh, b"a" * 16)


def test_a_push_is_small_whatever_the_names() -> None:
    browser = Browser()
    long = Parcel("i" * 60, "ل" * 80, "ل" * 700, 2**53, 2**53, 2**53, 50)
    assert len(encrypt(plaintext(long), Subscription(Service.WEB, "x", browser.p256dh, browser.auth))) <= 4096
    assert len(base64.b64encode(plaintext(PARCEL))) < 300


async def test_fcm_is_asked_with_one_access_token_for_as_long_as_that_is_good() -> None:
    clock = Clock()
    service = FcmService(clock)
    with serving_http(service):
        async with httpx.AsyncClient(trust_env=False) as client:
            sender = Fcm(read_account(service.account()), client, clock, base_url=service.url)
            to = Subscription(Service.FCM, TOKEN)
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(sender.send, to, PARCEL)
            assert service.complaints == [] and service.tokens_given == 1
            [said, *_] = service.taken
            assert said["token"] == TOKEN and said["notification"] == {"title": PARCEL.title, "body": PARCEL.body}
            assert said["data"]["notice"] == "9" and said["android"] == {"priority": "HIGH", "ttl": "3600s", "collapse_key": "7.5"}
            clock.now += 3500
            assert (await sender.send(to, PARCEL)).taken and service.tokens_given == 2
            service.answers = [(401, {}, b"{}")]
            assert (await sender.send(to, PARCEL)) == Pushed(status=401, words="401")
            assert (await sender.send(to, PARCEL)).taken and service.tokens_given == 3


@pytest.mark.parametrize(
    ("status", "error", "pushed"),
    [
        (404, "UNREGISTERED", Pushed(gone=True, status=404, words="404 UNREGISTERED")),
        (403, "SENDER_ID_MISMATCH", Pushed(gone=True, status=403, words="403 SENDER_ID_MISMATCH")),
        (400, "INVALID_ARGUMENT", Pushed(hopeless=True, status=400, words="400 INVALID_ARGUMENT")),
        (429, "QUOTA_EXCEEDED", Pushed(retry_after_s=30.0, status=429, words="429 QUOTA_EXCEEDED")),
        (500, "<script>", Pushed(status=500, words="500")),
    ],
)
async def test_what_fcm_answers_is_told_apart(status: int, error: str, pushed: Pushed) -> None:
    clock = Clock()
    service = FcmService(clock)
    body = b'{"error": {"code": 1, "status": "X", "details": [{"@type": "t", "errorCode": "%s"}]}}' % error.encode()
    with serving_http(service):
        async with httpx.AsyncClient(trust_env=False) as client:
            sender = Fcm(read_account(service.account()), client, clock, base_url=service.url)
            assert (await sender.send(Subscription(Service.FCM, TOKEN), PARCEL)).taken
            service.answers = [(status, {"Retry-After": "30"} if status == 429 else {}, body)]
            assert await sender.send(Subscription(Service.FCM, TOKEN), PARCEL) == pushed


async def test_apns_is_spoken_to_over_one_connection_of_http_2_and_its_token_is_renewed_in_time() -> None:
    clock = Clock()
    service = ApnsService(clock)
    with serving_http2(service):
        async with httpx.AsyncClient(trust_env=False, http1=False, http2=True) as client:
            sender = Apns(ApnsKey(service.pem(), "KEY1", "TEAM1", "org.example.learn"), client, clock, base_url=service.url)
            to = Subscription(Service.APNS, DEVICE)
            for _ in range(2):
                assert (await sender.send(to, PARCEL)).taken, service.complaints
            clock.now += 39 * 60
            assert (await sender.send(to, PARCEL)).taken and len(service.provider_tokens) == 1
            clock.now += 2 * 60
            assert (await sender.send(to, PARCEL)).taken and len(service.provider_tokens) == 2
        assert service.connections == 1 and service.complaints == []
        assert len({fields["apns-id"] for fields in service.headers}) == 1, "the same push is the same push"
        assert service.headers[0]["apns-priority"] == "10" and service.headers[0]["apns-expiration"] == str(1_800_000_000 + 3600)
        assert service.taken[0]["aps"]["alert"] == {"title": PARCEL.title, "body": PARCEL.body} and service.taken[0]["notice"] == 9


@pytest.mark.parametrize(
    ("status", "reason", "pushed"),
    [
        (410, "Unregistered", Pushed(gone=True, status=410, words="410 Unregistered")),
        (400, "BadDeviceToken", Pushed(gone=True, status=400, words="400 BadDeviceToken")),
        (400, "BadTopic", Pushed(hopeless=True, status=400, words="400 BadTopic")),
        (403, "ExpiredProviderToken", Pushed(status=403, words="403 ExpiredProviderToken")),
        (429, "TooManyRequests", Pushed(status=429, words="429 TooManyRequests")),
        (503, "Shutdown", Pushed(status=503, words="503 Shutdown")),
    ],
)
async def test_what_apns_answers_is_told_apart(status: int, reason: str, pushed: Pushed) -> None:
    clock = Clock()
    service = ApnsService(clock)
    with serving_http2(service):
        async with httpx.AsyncClient(trust_env=False, http1=False, http2=True) as client:
            sender = Apns(ApnsKey(service.pem(), "KEY1", "TEAM1", "org.example.learn"), client, clock, base_url=service.url)
            service.answers = [(status, {}, b'{"reason": "%s"}' % reason.encode())]
            assert await sender.send(Subscription(Service.APNS, DEVICE), PARCEL) == pushed
            assert (await sender.send(Subscription(Service.APNS, DEVICE), PARCEL)).taken


async def test_a_service_that_is_away_is_asked_again_later() -> None:
    clock = Clock()
    service = FcmService(clock)
    with serving_http(service):
        account = read_account(service.account())
    async with httpx.AsyncClient(trust_env=False) as client:
        pushed = await Fcm(account, client, clock, base_url=service.url).send(Subscription(Service.FCM, TOKEN), PARCEL)
        assert not (pushed.taken or pushed.gone or pushed.hopeless) and pushed.words == "ConnectError"


@pytest.mark.parametrize("token", ["", "AB" * 32, "ab" * 31, "../" + "ab" * 32, "ab" * 32 + "?", "zz" * 32, "ab" * 101])
def test_a_token_that_could_end_a_path_is_none(token: str) -> None:
    assert not apns.check_token(token)
    assert fcm.check_token(TOKEN) and not fcm.check_token(TOKEN + "/") and apns.check_token(DEVICE)
