"""Notices, push and mail over HTTP: what each route takes, and what it says to what is wrong."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from actors.notices import DEFAULTS, Listed, NoticeKind, Preferences, Reminder
from actors.push import Service, Subscribed, Subscription
from gateway.mail.envelope import MailTokens
from gateway.telling import Telling
from gateway.web import create_app
from protocol.codes import Code
from tests.gateway.push_services import Browser, b64
from tests.gateway.test_mail_envelope import report, written
from tests.gateway.web_world import NOW, World

SECRET = "from-the-mail-server"
ENDPOINT = "https://push.example.org/send/abc"
LISTED = Listed(9, NoticeKind.MENTION, 3, 4, 5, 42, 0, "", int(NOW), False)


class Memory:
    """People's notices, in memory; by person."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, tuple[int, ...]]] = []
        self.preferred: dict[int, Preferences] = {}
        self.stopped: list[tuple[int, int]] = []
        self.refused: list[tuple[str, str]] = []
        self.reminding: dict[int, tuple[int, Reminder]] = {}
        self.subscribed: dict[int, tuple[int, int, Subscription]] = {}
        self.asked: list[tuple[int, int, int]] = []

    async def list_notices(self, user: int, before: int, limit: int) -> tuple[Listed, ...]:
        self.asked.append((user, before, limit))
        return (LISTED,)

    async def read(self, user: int, notices: Sequence[int]) -> None:
        self.seen.append((user, tuple(notices)))

    async def preferences(self, user: int) -> Preferences:
        return self.preferred.get(user, Preferences())

    async def prefer(self, user: int, preferences: Preferences) -> None:
        self.preferred[user] = preferences

    async def unsubscribe_mail(self, user: int, kind: int) -> None:
        self.stopped.append((user, kind))

    async def remind(self, user: int, reminder: Reminder) -> int:
        if len(self.reminding) >= 2:
            return 0
        self.reminding[len(self.reminding) + 1] = (user, reminder)
        return len(self.reminding)

    async def reminders(self, user: int) -> tuple[Reminder, ...]:
        return tuple(reminder for owner, reminder in self.reminding.values() if owner == user)

    async def forget_reminder(self, user: int, id: int) -> bool:
        return id in self.reminding and self.reminding[id][0] == user and bool(self.reminding.pop(id))

    async def subscribe(self, user: int, device: int, subscription: Subscription) -> int:
        self.subscribed[len(self.subscribed) + 1] = (user, device, subscription)
        return len(self.subscribed)

    async def subscriptions(self, user: int) -> tuple[Subscribed, ...]:
        return tuple(Subscribed(id, to.service, device, 1) for id, (owner, device, to) in self.subscribed.items() if owner == user)

    async def unsubscribe(self, user: int, id: int) -> bool:
        return id in self.subscribed and self.subscribed[id][0] == user and bool(self.subscribed.pop(id))

    async def refuse_address(self, address: str, status: str) -> None:
        self.refused.append((address, status))


class Place(World):
    """The application with notices."""

    def __init__(self, services: frozenset[Service] = frozenset(Service), secret: str = SECRET) -> None:
        super().__init__()
        self.notices = Memory()
        self.mail_tokens = MailTokens([b"k" * 32])
        telling = Telling(self.notices, self.notices, self.notices, self.mail_tokens, secret, "BPublicKey", services)
        self.app = create_app(msgspec.structs.replace(self.services, telling=telling))

    async def person(self, name: str) -> tuple[int, str]:
        opened = await self.register(name)
        return opened["user"], opened["access_token"]


def web(**changed: Any) -> dict[str, Any]:
    browser = Browser()
    return {"service": "web", "address": ENDPOINT, "p256dh": b64(browser.p256dh), "auth": b64(browser.auth), **changed}


async def test_ones_notices_are_listed_and_read() -> None:
    place = Place()
    user, token = await place.person("ada")
    answer = await place.ask("GET", "/api/v1/notices?before=10&limit=3", token=token)
    assert answer.json["notices"] == [msgspec.to_builtins(LISTED)] and place.notices.asked == [(user, 10, 3)]
    for query in ("before=0", "limit=101", "limit=x", "before=%D9%A3", "limit=-1"):
        (await place.ask("GET", f"/api/v1/notices?{query}", token=token)).problem(400, Code.INVALID)
    assert (await place.ask("POST", "/api/v1/notices/read", {"notices": [9, 8]}, token=token)).status == 204
    assert place.notices.seen == [(user, (9, 8))]
    for notices in ([], [0], list(range(1, 102)), ["x"]):
        (await place.ask("POST", "/api/v1/notices/read", {"notices": notices}, token=token)).problem(400, Code.INVALID)


async def test_preferences_are_taken_whole_and_within_bounds() -> None:
    place = Place()
    user, token = await place.person("ada")
    path = "/api/v1/notices/preferences"
    wanted = {"rules": [{"ways": 3, "kind": 1, "space": 4}, {"ways": 0, "stream": 5}], "previews": True, "digest": 2, "digest_day": 6}
    assert (await place.ask("PUT", path, wanted, token=token)).status == 204
    said = (await place.ask("GET", path, token=token)).json
    assert (said["rules"][0], said["digest_at"], said["previews"]) == ({"ways": 3, "kind": 1, "space": 4, "stream": 0}, 480, True)
    assert {int(kind): int(ways) for kind, ways in said["defaults"].items()} == {int(kind): int(ways) for kind, ways in DEFAULTS.items()}
    assert said["always"] == [int(NoticeKind.SECURITY)]
    for wrong in ({"rules": [{"ways": 16}]}, {"digest": 3}, {"digest_at": 1440}, {"rules": [{"ways": 1}] * 201}, {"unknown": 1}):
        (await place.ask("PUT", path, wrong, token=token)).problem(400, Code.INVALID)
    full = {"rules": [{"ways": 15, "kind": 255, "space": 2**53 - 1, "stream": 2**53 - 1}] * 200}
    assert (await place.ask("PUT", path, full, token=token)).status == 204 and len(place.notices.preferred[user].rules) == 200


async def test_a_reminder_is_of_something_and_at_a_time_to_come() -> None:
    place = Place()
    _, token = await place.person("ada")
    path = "/api/v1/notices/reminders"
    for at, words, stream in (
        (NOW, "x", 0),
        (NOW + 3 * 365 * 86_400, "x", 0),
        (NOW + 60, " ", 0),
        (NOW + 60, "a\0b", 0),
        (NOW + 60, "x" * 201, 0),
    ):
        (await place.ask("POST", path, {"at": int(at), "words": words, "stream": stream}, token=token)).problem(400, Code.INVALID)
    for n in (1, 2):
        assert (await place.ask("POST", path, {"at": int(NOW) + 60, "words": "stretch"}, token=token)).json == {"id": n}
    (await place.ask("POST", path, {"at": int(NOW) + 60, "words": "stretch"}, token=token)).problem(409, Code.LIMIT)
    assert len((await place.ask("GET", path, token=token)).json["reminders"]) == 2
    assert (await place.ask("DELETE", f"{path}/1", token=token)).status == 204


async def test_a_device_subscribes_to_what_is_set_up_with_what_can_be_a_subscription() -> None:
    place = Place()
    user, token = await place.person("ada")
    offered = (await place.ask("GET", "/api/v1/push", token=token)).json
    assert (offered["services"], offered["vapid_key"], offered["subscriptions"]) == (["web", "fcm", "apns"], "BPublicKey", [])
    for good in (web(), {"service": "fcm", "address": "d" * 140}, {"service": "apns", "address": "ab" * 32}):
        assert (await place.ask("POST", "/api/v1/push", good, token=token)).status == 201
    kept = place.notices.subscribed[1]
    assert kept[0] == user and kept[2].service is Service.WEB and len(kept[2].p256dh) == 65 and ENDPOINT not in repr(kept[2])
    listed = (await place.ask("GET", "/api/v1/push", token=token)).body
    assert b"push.example.org" not in listed and b"dddd" not in listed, "an address is never given out again"
    (await Place(frozenset()).ask("GET", "/api/v1/push")).problem(401, Code.UNAUTHENTICATED)


@pytest.mark.parametrize(
    "wrong",
    [
        web(service="sms"),
        web(address="http://push.example.org/1"),
        web(address="https://127.0.0.1/1"[:8] + "2130706433/1"),
        web(address="https://push.example.org:22/"),
        web(auth=""),
        web(p256dh=base64.urlsafe_b64encode(b"\4" + b"\0" * 64).decode()),
        web(p256dh="*"),
        {"service": "fcm", "address": "short"},
        {"service": "apns", "address": "../" + "ab" * 32},
        {"service": "apns", "address": "ab" * 32, "auth": "x"},
    ],
)
async def test_what_can_be_no_subscription_is_refused_and_not_repeated(wrong: dict[str, Any]) -> None:
    place = Place()
    _, token = await place.person("ada")
    said = (await place.ask("POST", "/api/v1/push", wrong, token=token)).problem(400, Code.INVALID)
    assert wrong["address"] not in said["detail"] and place.notices.subscribed == {}


async def test_what_is_anothers_is_not_there() -> None:
    place = Place()
    _, ada = await place.person("ada")
    _, eve = await place.person("eve")
    await place.ask("POST", "/api/v1/push", web(), token=ada)
    await place.ask("POST", "/api/v1/notices/reminders", {"at": int(NOW) + 60, "words": "x"}, token=ada)
    for path in ("/api/v1/push", "/api/v1/notices/reminders"):
        theirs = (await place.ask("DELETE", f"{path}/1", token=eve)).problem(404, Code.NOT_FOUND)
        nobodys = (await place.ask("DELETE", f"{path}/77", token=eve)).problem(404, Code.NOT_FOUND)
        assert theirs == nobodys
        assert (await place.ask("DELETE", f"{path}/1", token=ada)).status == 204
    assert (await place.ask("GET", "/api/v1/push", token=eve)).json["subscriptions"] == []


async def test_fetching_the_link_changes_nothing_and_one_click_stops_those_mails() -> None:
    place = Place()
    path = f"/api/v1/mail/unsubscribe?t={place.mail_tokens.unsubscribe(7, NoticeKind.MATCH)}"
    page = await place.ask("GET", path, headers={"Accept-Language": "ar-EG, en"})
    assert page.status == 200 and b'dir="rtl"' in page.body and b'<form method="post">' in page.body and place.notices.stopped == []
    assert "form-action 'self'" in page.headers["Content-Security-Policy"]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    done = await place.ask("POST", path, raw=b"List-Unsubscribe=One-Click", headers=form)
    assert done.status == 200 and b"<form" not in done.body and place.notices.stopped == [(7, NoticeKind.MATCH)]
    for wrong in ("", "x", path.partition("?t=")[2][:-1] + "_", "x" * 2000):
        for method in ("GET", "POST"):
            (await place.ask(method, f"/api/v1/mail/unsubscribe?t={wrong}")).problem(404, Code.NOT_FOUND)
    assert len(place.notices.stopped) == 1


async def test_reports_are_taken_from_who_knows_the_secret_alone() -> None:
    place = Place()
    raw = report(written().sender)
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {SECRET}"}, {"Authorization": "Bearer "}):
        (await place.ask("POST", "/api/v1/mail/bounces", raw=raw, headers=headers)).problem(401, Code.UNAUTHENTICATED)
    (await Place(secret="").ask("POST", "/api/v1/mail/bounces", raw=raw, headers={"Authorization": "Bearer "})).problem(
        401, Code.UNAUTHENTICATED
    )
    assert place.notices.refused == []
    known = {"Authorization": f"Bearer {SECRET}", "Content-Type": "message/rfc822"}
    for sent in (raw, report("bounces@learn.example"), report(written().sender, status="4.2.2"), b"noise", b""):
        assert (await place.ask("POST", "/api/v1/mail/bounces", raw=sent, headers=known)).status == 204
    assert place.notices.refused == [("ada@example.org", "5.1.1")]
    (await place.ask("POST", "/api/v1/mail/bounces", raw=b"x" * 300_000, headers=known)).problem(413, Code.TOO_LARGE)
