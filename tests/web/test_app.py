"""The web app in a real browser, against a gateway as `educonnect dev` runs it: what people see is what is claimed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.web.visitors import DESKTOP, PHONE, WAIT_MS, Visitor, faults


@pytest.fixture(scope="module")
def amina(browser: Browser, origin: str) -> Iterator[Visitor]:
    visitor = Visitor(browser, origin, "amina", DESKTOP)
    yield visitor
    visitor.context.close()


@pytest.fixture(scope="module")
def ben(browser: Browser, origin: str) -> Iterator[Visitor]:
    visitor = Visitor(browser, origin, "ben", PHONE)
    yield visitor
    visitor.context.close()


@pytest.fixture(scope="module")
def channel(amina: Visitor, ben: Visitor) -> str:
    """Amina opens a community and invites Ben, who joins; both look at its channel, whose address it is."""
    amina.shoot("door-desktop")
    ben.shoot("door-phone")
    ben.page.locator("#tab-signUp").click()
    ben.shoot("sign-up-phone")
    amina.sign_up("Amina Njeri")
    ben.sign_up("Ben Otieno")
    amina.shoot("empty-desktop")
    ben.shoot("empty-phone")
    amina.page.locator(".side a.action").click()
    amina.shoot("new-desktop")
    amina.page.locator("#community").fill("Seven springs school")
    amina.page.locator("form button.main").click()
    amina.page.locator("#invite").fill(ben.name)
    amina.page.locator("#invite").press("Enter")
    expect(amina.page.locator(".note")).to_contain_text("Ben Otieno", timeout=WAIT_MS)
    expect(ben.page.locator(".invited h2")).to_have_text("Seven springs school", timeout=WAIT_MS)
    ben.shoot("invited-phone")
    ben.page.locator(".invited button").click()
    expect(ben.page.locator(".place .talk-link").first).to_be_visible(timeout=WAIT_MS)
    amina.page.locator("#channel").fill("Questions about fractions")
    amina.page.locator("#channel").press("Enter")
    expect(amina.page.locator(".place .talk-link")).to_have_count(2, timeout=WAIT_MS)
    amina.shoot("community-desktop")
    href = amina.page.locator(".place .talk-link").first.get_attribute("href")
    assert href
    for visitor in (amina, ben):
        visitor.page.goto(f"{visitor.origin}/{href}")
        expect(visitor.page.locator("textarea")).to_be_visible(timeout=WAIT_MS)
    return href


def test_two_people_talk_and_see_each_other_at_once(amina: Visitor, ben: Visitor, channel: str) -> None:
    amina.say("Good morning! Who has done the exercises?")
    ben.sees("Good morning! Who has done the exercises?")
    ben.say("Me. The third one is hard.")
    amina.sees("Me. The third one is hard.")
    expect(amina.page.locator(".message", has_text="The third one").locator(".who strong")).to_have_text("Ben Otieno", timeout=WAIT_MS)
    answered = amina.page.locator(".message", has_text="The third one")
    answered.hover()
    answered.locator(".more").click()
    answered.locator(".emoji").first.click()
    expect(ben.page.locator(".reactions button")).to_have_text("👍 1", timeout=WAIT_MS)
    assert amina.wrong == [] and ben.wrong == []


def test_who_is_offline_and_loads_the_page_anew_goes_on_writing_and_both_converge(amina: Visitor, ben: Visitor, channel: str) -> None:
    expect(ben.page.locator(".sync.good")).to_be_visible(timeout=WAIT_MS)
    assert ben.page.evaluate("navigator.serviceWorker.ready.then(() => !!navigator.serviceWorker.controller)")
    ben.context.set_offline(True)
    expect(ben.page.locator(".sync.away")).to_be_visible(timeout=WAIT_MS)
    ben.page.reload()
    ben.sees("The third one is hard.")
    ben.say("Written under a tree,")
    ben.say("without any network.")
    expect(ben.page.locator(".message.waiting")).to_have_count(2, timeout=WAIT_MS)
    amina.say("Are you still there?")
    ben.page.reload()
    expect(ben.page.locator(".message.waiting")).to_have_count(2, timeout=WAIT_MS)
    expect(ben.page.locator(".sync.away summary")).to_contain_text("2", timeout=WAIT_MS)
    ben.shoot("offline-phone")
    ben.context.set_offline(False)
    amina.sees("Written under a tree,", "without any network.")
    ben.sees("Are you still there?")
    expect(ben.page.locator(".message.waiting")).to_have_count(0, timeout=WAIT_MS)
    expect(ben.page.locator(".sync.good")).to_be_visible(timeout=WAIT_MS)
    assert amina.texts() == ben.texts()
    amina.shoot("channel-desktop")
    ben.shoot("channel-phone")
    assert amina.wrong == [] and ben.wrong == []


def test_what_came_while_one_looked_elsewhere_is_counted_and_then_is_not(amina: Visitor, ben: Visitor, channel: str) -> None:
    ben.page.goto(f"{ben.origin}/#/")
    ben.page.wait_for_timeout(50)
    amina.say("One more for later.")
    expect(ben.page.locator(".place .talk-link.unread .badge")).to_be_visible(timeout=WAIT_MS)
    ben.shoot("home-phone")
    ben.page.locator(".place .talk-link.unread").click()
    ben.sees("One more for later.")
    ben.page.locator("a.back").click()
    expect(ben.page.locator(".place .talk-link.unread")).to_have_count(0, timeout=WAIT_MS)


def test_in_arabic_the_page_reads_from_the_right_and_nothing_sticks_out(ben: Visitor, channel: str) -> None:
    page = ben.page
    page.goto(f"{ben.origin}/#/settings")
    page.locator("label", has_text="العربية").click()
    expect(page.locator("html")).to_have_attribute("dir", "rtl", timeout=WAIT_MS)
    ben.shoot("settings-arabic-phone")
    page.locator("label", has_text="داكن").click()
    page.goto(f"{ben.origin}/{channel}")
    expect(page.locator("textarea")).to_be_visible(timeout=WAIT_MS)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    mark, gear = page.locator(".brand").bounding_box(), page.locator(".bar > a.icon").last.bounding_box()
    assert mark and gear and mark["x"] > gear["x"]
    ben.shoot("channel-arabic-dark-phone")
    assert ben.wrong == []


def test_axe_finds_nothing_on_any_page_at_either_size_dark_or_light(amina: Visitor, ben: Visitor, channel: str) -> None:
    space = amina.page.locator(".place h2 a").first.get_attribute("href")
    assert space
    found: dict[str, list[str]] = {}
    for visitor in (amina, ben):
        for name, path in {"home": "#/", "channel": channel, "space": space, "new": "#/new", "settings": "#/settings"}.items():
            visitor.page.goto(f"{visitor.origin}/{path}")
            expect(visitor.page.locator(f".on-{name}")).to_be_visible(timeout=WAIT_MS)
            if name == "channel":
                message = visitor.page.locator(".message").last
                message.hover()
                message.locator(".more").click()
            visitor.page.locator(".sync summary").click()
            visitor.shoot(f"axe-{name}-{visitor.name}")
            found[f"{name} of {visitor.name}"] = faults(visitor.page)
    assert not any(found.values()), found


def test_axe_finds_nothing_at_the_door(browser: Browser, origin: str) -> None:
    visitor = Visitor(browser, origin, "carol", PHONE, "sw")
    expect(visitor.page.locator("html")).to_have_attribute("lang", "sw", timeout=WAIT_MS)
    assert faults(visitor.page) == []
    visitor.page.locator("#tab-signUp").click()
    visitor.page.locator("form button.main").click()
    expect(visitor.page.locator("[role=alert]")).to_be_visible(timeout=WAIT_MS)
    assert faults(visitor.page) == []
    visitor.shoot("door-swahili-phone")
    visitor.context.close()
