"""What was written without a network leaves when there is one, though the page was closed: by the service worker, in a real browser."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, CDPSession, expect

from tests.web.network import Network
from tests.web.visitors import DESKTOP, PHONE, WAIT_MS, Visitor

TAG = "educonnect-unsent"
KEPT = """() => new Promise(done => {
  const opened = indexedDB.open("educonnect")
  opened.onsuccess = () => {
    const names = opened.result.transaction("rows").objectStore("rows").getAllKeys()
    names.onsuccess = () => { opened.result.close(); done(names.result.filter(name => name.startsWith("m/")).length) }
  }
})"""


@pytest.fixture
def network(origin: str) -> Iterator[Network]:
    network = Network(origin)
    yield network
    network.close()


@pytest.fixture
def amina(browser: Browser, origin: str) -> Iterator[Visitor]:
    visitor = Visitor(browser, origin, "amina", DESKTOP)
    visitor.sign_up("Amina Njeri")
    yield visitor
    visitor.context.close()


@pytest.fixture
def ben(browser: Browser, network: Network) -> Iterator[Visitor]:
    visitor = Visitor(browser, network.url, "ben", PHONE)
    visitor.sign_up("Ben Otieno")
    yield visitor
    visitor.context.close()


@pytest.fixture
def channel(amina: Visitor, ben: Visitor) -> str:
    """The address of a channel of the two, which both look at."""
    page = amina.page
    page.locator(".side a.action").click()
    page.locator("#community").fill("Seven springs school")
    page.locator("form button.main").click()
    page.locator("#invite").fill(ben.name)
    page.locator("#invite").press("Enter")
    ben.page.locator(".invited button").click()
    expect(ben.page.locator(".talk-link", has_text="general")).to_be_visible()
    href = page.locator(".talk-link", has_text="general").get_attribute("href")
    assert href
    for visitor in (amina, ben):
        visitor.page.goto(f"{visitor.origin}/{href}")
        expect(visitor.page.locator("textarea")).to_be_visible()
    return href


class Waking:
    """The protocol for developers, in a page that is not of the app: says `sync` as the browser does when a network is back."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.origin = origin
        self.registrations: list[str] = []
        self.page = context.new_page()
        self.session: CDPSession = context.new_cdp_session(self.page)
        self.session.on("ServiceWorker.workerRegistrationUpdated", self._note)
        self.session.send("ServiceWorker.enable")

    def _note(self, said: dict[str, Any]) -> None:
        found = [one for one in said["registrations"] if one["scopeURL"].startswith(self.origin) and not one["isDeleted"]]
        self.registrations += [one["registrationId"] for one in found]

    def sync(self) -> None:
        while not self.registrations:
            self.page.wait_for_timeout(50)
        told = {"origin": self.origin, "registrationId": self.registrations[-1], "tag": TAG, "lastChance": False}
        self.session.send("ServiceWorker.dispatchSyncEvent", told)


def test_words_written_without_a_network_leave_though_the_page_was_closed_and_once(
    amina: Visitor, ben: Visitor, channel: str, network: Network
) -> None:
    ben.say("before")
    amina.sees("before")
    assert ben.page.evaluate("navigator.serviceWorker.ready.then(() => !!navigator.serviceWorker.controller)")
    waking = Waking(ben.context, network.url)
    network.take_away()
    expect(ben.page.locator(".sync.away")).to_be_visible(timeout=WAIT_MS)
    for text in ("first without a network", "second without a network"):
        ben.say(text)
        expect(ben.page.locator(".message.waiting", has_text=text)).to_have_count(1)
    # A word is shown before the disk has it: the page is closed when it is kept.
    deadline = time.monotonic() + WAIT_MS / 1000
    while ben.page.evaluate(KEPT) < 2 and time.monotonic() < deadline:
        ben.page.wait_for_timeout(50)
    ben.page.close()
    network.bring_back()
    waking.sync()
    amina.sees("first without a network", "second without a network")
    assert [page.url for page in ben.context.pages] == ["about:blank"], "no page of Ben's is open"

    # Opened again without a network: what was sent is there, as sent.
    network.take_away()
    ben.page = ben.context.new_page()
    ben.page.goto(f"{network.url}/{channel}")
    ben.sees("before", "first without a network", "second without a network")
    expect(ben.page.locator(".message.waiting")).to_have_count(0)
    network.bring_back()
    expect(ben.page.locator(".sync.good")).to_be_visible(timeout=WAIT_MS)
    ben.say("after")
    amina.sees("after")
    for visitor in (amina, ben):
        visitor.sees("before", "first without a network", "second without a network", "after")
        assert [text for text in visitor.texts() if "network" in text] == ["first without a network", "second without a network"]
