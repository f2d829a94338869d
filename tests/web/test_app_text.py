"""Text first, for the weakest links: asked for at the door or in the settings, offered where the link is weak, never forced."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from tests.web.visitors import DESKTOP, PHONE, WAIT_MS, Visitor, faults

WEAK = "Object.defineProperty(navigator, 'connection', {value: Object.assign(new EventTarget(), {effectiveType: '2g', saveData: false})})"
KEPT = """navigator.serviceWorker.ready.then(() => caches.keys())
    .then((names) => caches.open(names.find((one) => one.startsWith("educonnect-"))))
    .then((cache) => cache.keys()).then((kept) => kept.map(({url}) => new URL(url).pathname))"""


def test_text_first_shows_and_fetches_words_alone_and_is_remembered(browser: Browser, origin: str) -> None:
    visitor = Visitor(browser, f"{origin}/?text", "tariq", PHONE)
    page = visitor.page
    drawn: list[str] = []
    page.on("request", lambda asked: drawn.append(asked.url) if asked.resource_type == "image" else None)
    expect(page.locator("button", has_text="Text first")).to_have_attribute("aria-pressed", "true", timeout=WAIT_MS)
    visitor.shoot("door-text-phone")
    assert faults(page) == []
    visitor.sign_up("Tariq Aziz")
    kept = page.evaluate(KEPT)
    assert "/" in kept and not [path for path in kept if "/page-" in path or "/more-" in path]

    page.goto(f"{origin}/#/settings")
    page.reload()
    expect(page.locator("label", has_text="Text first").locator("input")).to_be_checked(timeout=WAIT_MS)
    expect(page.locator(".avatar")).to_be_hidden()
    visitor.shoot("settings-text-phone")
    assert faults(page) == []
    assert drawn == [] and visitor.wrong == []

    page.locator("label", has_text="Everything").click()
    expect(page.locator(".avatar")).to_be_visible()
    page.reload()
    expect(page.locator(".brand img")).to_be_visible(timeout=WAIT_MS)
    visitor.context.close()


def test_text_first_is_offered_once_on_a_weak_link_and_only_then(browser: Browser, origin: str) -> None:
    visitor = Visitor(browser, origin, "wanjiru", DESKTOP)
    page = visitor.page
    visitor.sign_up("Wanjiru Kamau")
    expect(page.locator(".offer")).to_have_count(0)
    page.add_init_script(WEAK)
    page.reload()
    expect(page.locator(".offer")).to_be_visible(timeout=WAIT_MS)
    visitor.shoot("text-offer-desktop")
    assert faults(page) == []
    page.locator(".offer button", has_text="Keep everything").click()
    expect(page.locator(".offer")).to_have_count(0)
    page.reload()
    expect(page.locator(".sync.good")).to_be_visible(timeout=WAIT_MS)
    expect(page.locator(".offer")).to_have_count(0)
    assert page.locator("html[data-text]").count() == 0
    visitor.context.close()
