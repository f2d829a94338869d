"""Notices in the web app, in a real browser: the inbox, how it is set, and pushes, whose way over the world's services a stand-in takes."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, CDPSession, Page, expect

from actors.sentences import SENTENCES
from gateway.mail import render
from tests.gateway.push_services import WebPushService, b64, serving_http
from tests.system.running import PASSWORD, Dev
from tests.web.visitors import PHONE, WAIT_MS, Visitor, faults

ROOT = Path(__file__).parents[2]
MESSAGES = ROOT / "web" / "app" / "messages" / "notices"
# The browser's push service is the world's: what it would have given is given by this test, and everything behind it is the browser's own.
SUBSCRIBED = """([endpoint, p256dh, auth]) => {
  let on = false
  const given = {endpoint, options: {}, unsubscribe: async () => { on = false; return true },
    toJSON: () => ({endpoint, expirationTime: null, keys: {p256dh, auth}})}
  PushManager.prototype.subscribe = async options => { window.askedPush = options; on = true; sessionStorage.push = "on"; return given }
  PushManager.prototype.getSubscription = async () => on || sessionStorage.push ? given : null
}"""


@pytest.fixture(scope="module")
def ben(browser: Browser, origin: str) -> Iterator[Visitor]:
    visitor = Visitor(browser, origin, "ben", PHONE)
    visitor.context.grant_permissions(["notifications"], origin=origin)
    visitor.sign_up("Ben Otieno")
    yield visitor
    visitor.context.close()


@pytest.fixture(scope="module")
def channel(amina: Visitor, ben: Visitor) -> str:
    """The address of the channel of a community that Amina opened and Ben was invited to: his first notice."""
    page = amina.page
    page.locator(".side a.action").click()
    page.locator("#community").fill("Seven springs school")
    page.locator("form button.main").click()
    page.locator("#invite").fill(ben.name)
    page.locator("#invite").press("Enter")
    expect(ben.page.locator(".bell .badge")).to_have_text(re.compile("^1"), timeout=WAIT_MS)
    at(ben, "#/notices")
    expect(ben.page.locator(".notice.unread .line-of")).to_have_text("Amina Njeri invites you to Seven springs school", timeout=WAIT_MS)
    ben.shoot("notices-invited-phone")
    ben.page.locator(".notice a").click()
    ben.page.locator(".invited button").click()
    expect(ben.page.locator(".talk-link", has_text="general")).to_be_visible(timeout=WAIT_MS)
    expect(ben.page.locator(".bell .badge")).to_have_count(0, timeout=WAIT_MS)
    href = amina.page.locator(".talk-link", has_text="general").get_attribute("href")
    assert href
    return href


def at(visitor: Visitor, path: str) -> Page:
    visitor.page.goto(f"{visitor.origin}/{path}")
    return visitor.page


def answer(amina: Visitor, channel: str, text: str, reply: str) -> None:
    """Amina answers somebody's message in the channel."""
    at(amina, channel)
    message = amina.page.locator(".message", has_text=text).first
    message.hover()
    message.locator(".more").click()
    amina.page.get_by_role("button", name="Reply", exact=True).click()
    amina.say(reply)
    amina.sees(reply)


def test_an_answer_is_a_notice_that_leads_to_it_and_is_read_with_it(amina: Visitor, ben: Visitor, channel: str) -> None:
    at(amina, "#/notices/0/settings")
    expect(amina.page.locator(".kind").first).to_be_visible(timeout=WAIT_MS)
    amina.shoot("notice-settings-desktop")
    at(ben, channel)
    ben.say("What is a half of a third?")
    amina.page.goto(f"{amina.origin}/{channel}")
    amina.sees("What is a half of a third?")
    page = at(ben, "#/notices")
    answer(amina, channel, "What is a half of a third?", "A sixth.")
    expect(page.locator(".notice.unread .line-of")).to_have_text("Amina Njeri answered you in general", timeout=WAIT_MS)
    expect(page).to_have_title("(1) EduConnect")
    ben.shoot("notices-phone")
    assert faults(page) == []
    page.locator(".notice.unread a").click()
    ben.sees("A sixth.")
    expect(page.locator(".bell .badge")).to_have_count(0, timeout=WAIT_MS)
    expect(page).to_have_title("EduConnect")
    assert amina.wrong == [] and ben.wrong == []


def test_what_is_marked_without_a_network_is_read_everywhere_when_there_is_one(amina: Visitor, ben: Visitor, channel: str) -> None:
    answer(amina, channel, "What is a half of a third?", "Or two twelfths.")
    page = at(ben, "#/notices")
    expect(page.locator(".notice.unread")).to_have_count(1, timeout=WAIT_MS)
    ben.context.set_offline(True)
    expect(page.locator(".sync.away")).to_be_visible(timeout=WAIT_MS)
    page.get_by_role("button", name="Mark all as read").click()
    expect(page.locator(".notice.unread")).to_have_count(0)
    expect(page.locator(".notices .note")).to_be_visible()
    ben.shoot("notices-offline-phone")
    page.reload()
    expect(page.locator(".notice").first).to_be_visible(timeout=WAIT_MS)
    expect(page.locator(".notice.unread")).to_have_count(0)
    with page.expect_response("**/api/v1/notices/read", timeout=WAIT_MS) as said:
        ben.context.set_offline(False)
    assert said.value.status == 204
    expect(page.locator(".notices .note")).to_have_count(0, timeout=WAIT_MS)


def test_how_notices_come_is_set_for_a_kind_a_community_and_a_night(ben: Visitor, channel: str) -> None:
    page = at(ben, "#/notices/0/settings")
    page.locator("summary", has_text="Somebody mentions me").click()
    kind = page.locator(".kind", has_text="Somebody mentions me")
    expect(kind.locator("summary .quiet")).to_have_text("In the app, On my devices, In a summary")
    with page.expect_request("**/notices/preferences", timeout=WAIT_MS) as saved:
        kind.locator("label", has_text="By mail").click()
        kind.locator("label", has_text="In a summary").click()
    assert saved.value.method == "PUT"
    expect(page.locator(".note.done", has_text="Saved")).to_be_visible(timeout=WAIT_MS)
    ben.shoot("notice-settings-phone")
    page.locator("#notice-place").select_option(label="Seven springs school")
    page.locator("summary", has_text="Everything").click()
    with page.expect_request("**/notices/preferences", timeout=WAIT_MS) as saved:
        page.locator(".kind", has_text="Everything").locator("label", has_text="In the app").click()
    rules = json.loads(saved.value.post_data or "")["rules"]
    assert {(rule["kind"], rule["ways"]) for rule in rules} == {(1, 7), (-1, 1)} and sum(rule["space"] > 0 for rule in rules) == 1
    expect(kind.locator("summary .quiet")).to_have_text("In the app")
    page.get_by_role("button", name="Everything: As everywhere").click()
    expect(kind.locator("summary .quiet")).to_have_text("In the app, On my devices, By mail")
    page.get_by_text("Every week").click()
    page.locator("#digest-day").select_option("4")
    expect(page.locator(".note.done", has_text="Saved")).to_be_visible(timeout=WAIT_MS)
    page.get_by_text("Keep quiet hours").click()
    expect(page.locator("#quiet-from")).to_have_value("22:00", timeout=WAIT_MS)
    ben.context.set_offline(True)
    expect(page.locator(".sync.away")).to_be_visible(timeout=WAIT_MS)
    page.locator("#quiet-to").fill("06:30")
    expect(page.locator(".note", has_text="Kept here")).to_be_visible(timeout=WAIT_MS)
    page.locator("#quiet-to").scroll_into_view_if_needed()
    ben.shoot("notice-settings-offline-phone")
    ben.context.set_offline(False)
    expect(page.locator(".sync.good")).to_be_visible(timeout=WAIT_MS)
    page.reload()
    expect(page.locator("#quiet-to")).to_have_value("06:30", timeout=WAIT_MS)
    expect(page.locator("#digest-day")).to_have_value("4", timeout=WAIT_MS)
    page.get_by_text("Keep quiet hours").click()
    expect(page.locator("#quiet-to")).to_have_count(0, timeout=WAIT_MS)
    assert faults(page) == [] and ben.wrong == []


class Registration:
    """The service worker of a page, as the browser's developers' protocol names it."""

    def __init__(self, page: Page, origin: str) -> None:
        self._page, self._origin, self._id = page, origin, ""
        self._cdp: CDPSession = page.context.new_cdp_session(page)
        self._cdp.on("ServiceWorker.workerRegistrationUpdated", self._heard)
        self._cdp.send("ServiceWorker.enable")

    def _heard(self, told: dict[str, Any]) -> None:
        for one in told["registrations"]:
            if not one["isDeleted"] and one["scopeURL"].startswith(self._origin):
                self._id = one["registrationId"]

    def deliver(self, said: object) -> None:
        """As the browser does with what it decrypted."""
        deadline = time.monotonic() + WAIT_MS / 1000
        while not self._id and time.monotonic() < deadline:
            self._page.wait_for_timeout(50)
        push = {"origin": self._origin, "registrationId": self._id, "data": json.dumps(said)}
        self._cdp.send("ServiceWorker.deliverPushMessage", push)

    def shown(self) -> list[dict[str, Any]]:
        """What the browser shows now, as soon as it shows anything."""
        ask = """navigator.serviceWorker.getRegistration().then(async its => {
          for (let n = 0; n < 400; n++) {
            const found = await its.getNotifications()
            if (found.length) return found.map(({title, body, tag, data}) => ({title, body, tag, data}))
            await new Promise(done => setTimeout(done, 50))
          }
          return []
        })"""
        found: list[dict[str, Any]] = self._page.evaluate(ask)
        return found


def test_a_push_is_shown_leads_to_what_it_is_about_and_ends_with_the_log_in(amina: Visitor, ben: Visitor, channel: str, house: Dev) -> None:
    page = at(ben, "#/notices/0/settings")
    service = WebPushService(time.time, "")
    with serving_http(service):
        browser = service.browser
        page.evaluate(SUBSCRIBED, [f"{service.url}/push/1", b64(browser.p256dh), b64(browser.auth)])
        page.get_by_role("button", name="Show notices on this device").click()
        expect(page.locator(".note.done", has_text="are shown on this device")).to_be_visible(timeout=WAIT_MS)
        asked = page.evaluate("({userVisibleOnly: askedPush.userVisibleOnly, key: askedPush.applicationServerKey})")
        assert asked["userVisibleOnly"] is True
        service.expect_key(asked["key"])
        ben.shoot("push-on-phone")

        # Away: a page of the same origin without the app, so that no socket is open.
        registration = Registration(page, ben.origin)
        page.goto(f"{ben.origin}/health")
        answer(amina, channel, "What is a half of a third?", "As every baker knows.")
        deadline = time.monotonic() + 2 * WAIT_MS / 1000
        while not service.taken and time.monotonic() < deadline:
            page.wait_for_timeout(100)
        assert service.complaints == [] and len(service.taken) == 1
        (said,) = service.taken
        assert "baker" not in json.dumps(said), "words of a message are for who reads the channel"
        registration.deliver(said)
        (shown,) = registration.shown()
        assert (shown["title"], shown["body"]) == ("Seven springs school", "Amina Njeri answered you in Seven springs school.")

        # Whoever presses it comes to the message, in the window that is open.
        at(ben, "#/")
        expect(page.locator(".bell .badge")).to_be_visible(timeout=WAIT_MS)
        worker = ben.context.service_workers[0]
        worker.evaluate(PRESS)
        page.wait_for_url(re.compile(re.escape(channel)))
        ben.sees("As every baker knows.")
        expect(page.locator(".bell .badge")).to_have_count(0, timeout=WAIT_MS)

        # The browser gives another subscription: the server is told.
        page.evaluate(SUBSCRIBED, [f"{service.url}/push/2", b64(browser.p256dh), b64(browser.auth)])
        page.evaluate("sessionStorage.push = 'on'")
        with page.expect_request(lambda one: one.method == "POST" and one.url.endswith("/push"), timeout=WAIT_MS) as told:
            worker.evaluate("dispatchEvent(new ExtendableEvent('pushsubscriptionchange'))")
        assert json.loads(told.value.post_data or "")["address"].endswith("/push/2")

        # Who logs out is pushed nothing any more.
        registration.deliver({**said, "id": "2"})
        assert len(registration.shown()) == 1
        at(ben, "#/settings").get_by_role("button", name="Log out").click()
        expect(page.locator("#tab-logIn")).to_be_visible(timeout=WAIT_MS)
        assert page.evaluate("navigator.serviceWorker.getRegistration().then(its => its.getNotifications()).then(all => all.length)") == 0
        assert page.evaluate("localStorage.getItem('educonnect/push')") is None
    assert ben.wrong == []


PRESS = """async () => {
  const [notification] = await registration.getNotifications()
  const event = new NotificationEvent("notificationclick", {notification})
  // What a program makes may not be waited for; what is waited for goes on all the same.
  event.waitUntil = work => { self.pressed = work }
  dispatchEvent(event)
  await self.pressed.catch(() => undefined)
}"""


def test_every_sentence_of_the_server_about_safety_is_said_in_the_apps_languages() -> None:
    for language in ("en", "es", "fr", "ar", "sw"):
        said = json.loads((MESSAGES / f"{language}.json").read_text())
        mailed = json.loads((Path(render.__file__).parent / "messages" / f"{language}.json").read_text())["sentences"]
        assert {key.removeprefix("security."): text for key, text in said.items() if key.startswith("security.")} == mailed
    english = json.loads((MESSAGES / "en.json").read_text())
    assert {key.removeprefix("security."): text for key, text in english.items() if key.startswith("security.")} == dict(SENTENCES)
    sources = "".join(path.read_text() for path in (ROOT / "persistence").rglob("*.py"))
    for key, text in english.items():
        if key.startswith("said."):
            assert f'"{text}"' in sources, f"{key} is not what the server says"
    (reported,) = re.findall(r'REPORTED = "(.*)"', (ROOT / "web/app/src/pages/notices/lines.ts").read_text())
    assert f'"{reported} ' in sources


def test_axe_finds_nothing_in_arabic_and_nothing_sticks_out(browser: Browser, origin: str) -> None:
    visitor = Visitor(browser, origin, "dana", PHONE, "ar")
    visitor.sign_up("دانة")
    page = at(visitor, "#/notices/0/settings")
    expect(page.locator(".kind").first).to_be_visible(timeout=WAIT_MS)
    visitor.shoot("notice-settings-arabic-phone")
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    at(visitor, "#/account")
    page.locator("#old-password").fill(PASSWORD)
    page.locator("#next-password").fill("four quiet lanterns by the river")
    page.locator("#next-password").press("Enter")
    expect(page.locator(".bell .badge")).to_be_visible(timeout=WAIT_MS)
    at(visitor, "#/notices")
    expect(page.locator(".notice.unread q")).to_be_visible(timeout=WAIT_MS)
    said = json.loads((MESSAGES / "ar.json").read_text())["security.password_changed"]
    expect(page.locator(".notice.unread q")).to_have_text(said)
    visitor.shoot("notices-arabic-phone")
    assert faults(page) == [] and visitor.wrong == []
    visitor.context.close()
