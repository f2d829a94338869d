"""Search in a real browser: what is found comes while one types, leads to its message, and without a network is what the device keeps."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import trio
from playwright.sync_api import Browser, Page, expect

from client import Account, connect
from protocol.operations import CreateChannel, CreateCommunity, Invite, Join, Say
from protocol.values import Role
from tests.system.running import PASSWORD, register
from tests.web.visitors import PHONE, WAIT_MS, Visitor, faults

FIRST = "The ferns by the spring need shade and water."
LESSONS = [
    FIRST,
    *(f"Day {n}: we measured the river at the bridge." for n in range(40)),
    "Who brings fern leaves for the herbarium tomorrow?",
]
OFF_LINE = "هل قرأت الكتاب عن النهر؟"


async def _found(url: str, *names: str) -> int:
    """A school by the river in which much was said, with these people in it; its first channel."""
    people = []
    for name in names:
        async with Account(url) as account:
            people.append(await account.login(name, PASSWORD))
    async with connect(url, await register(url)) as teacher:
        space = await teacher.do(CreateCommunity("School by the river"))
        for credentials in people:
            async with connect(url, credentials) as person:
                await teacher.do(Invite(space, person.user, Role.LEARNER))
                await person.do(Join(space))
        [general] = [
            one.stream
            for place in (await teacher.overview()).spaces
            if place.space == space
            for one in place.streams
            if one.name == "general"
        ]
        for text in LESSONS:
            await teacher.do(Say(general, text))
        herbs = await teacher.do(CreateChannel(space, "herbs", 15, 15))
        await teacher.do(Say(herbs, OFF_LINE))
        # Whoever looks for it finds it from now on.
        with trio.fail_after(60):
            while not (await teacher.find("الكتاب")).messages or len((await teacher.find("fern")).messages) < 2:  # noqa: ASYNC110 (no event)
                await trio.sleep(1.0)
        return general


def beside(url: str, *names: str) -> int:
    """In a thread: this one belongs to the browser."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(trio.run, _found, url, *names).result()


@pytest.fixture(scope="module")
def sami(browser: Browser, origin: str) -> Iterator[Visitor]:
    visitor = Visitor(browser, origin, "sami", PHONE, "ar")
    visitor.sign_up("سامي")
    yield visitor
    visitor.context.close()


@pytest.fixture(scope="module")
def general(amina: Visitor, sami: Visitor, origin: str) -> int:
    return beside(origin, amina.name, sami.name)


def findings(page: Page) -> list[str]:
    return [text.strip() for text in page.locator(".finding .excerpt").all_inner_texts()]


def test_what_is_typed_is_found_and_leads_to_its_message(amina: Visitor, general: int) -> None:
    page = amina.page
    expect(page.locator(f'a[href="#/c/{general}"]').first).to_be_visible(timeout=WAIT_MS)
    page.locator("#main").focus()
    page.keyboard.press("/")
    field = page.locator("#search-words")
    expect(field).to_be_focused(timeout=WAIT_MS)
    field.press_sequentially("ferm")
    expect(page.locator(".finding mark").first).to_be_visible(timeout=WAIT_MS)
    field.fill("fern")
    expect(page.locator(".finding")).to_have_count(2, timeout=WAIT_MS)
    assert findings(page) == [LESSONS[-1], FIRST]
    assert page.locator(".finding mark").all_inner_texts() == ["fern", "ferns"]
    expect(page.locator(".finding .where").first).to_have_text("School by the river · #general")
    expect(page.locator(".found-count")).to_have_text("2 messages")
    assert faults(page) == []
    amina.shoot("search-desktop")
    # In the middle of what was said, which is longer than the window; "back" leads to what was found.
    page.locator(".finding").nth(1).click()
    expect(page.locator(".message", has_text=FIRST)).to_be_in_viewport(timeout=WAIT_MS)
    assert page.url.endswith(f"#/c/{general}/1")
    page.go_back()
    expect(page.locator("#search-words")).to_have_value("fern", timeout=WAIT_MS)
    expect(page.locator(".finding")).to_have_count(2, timeout=WAIT_MS)
    page.locator("#search-words").fill("nobody wrote this")
    expect(page.locator(".found-count")).to_contain_text("Nothing found", timeout=WAIT_MS)
    page.locator("#search-words").fill("river")
    expect(page.locator(".finding")).to_have_count(20, timeout=WAIT_MS)
    page.locator(".more-found").click()
    expect(page.locator(".finding")).to_have_count(40, timeout=WAIT_MS)
    assert amina.wrong == []


def test_without_a_network_what_the_device_keeps_is_found(sami: Visitor, general: int) -> None:
    page = sami.page
    page.goto(f"{sami.origin}/#/c/{general}")
    sami.sees(LESSONS[-1])
    page.goto(f"{sami.origin}/#/search")
    expect(page.locator("#search-words")).to_be_focused(timeout=WAIT_MS)
    page.locator("#search-words").fill("كتاب")
    expect(page.locator(".finding mark")).to_have_text("الكتاب", timeout=WAIT_MS)
    assert page.locator("html").get_attribute("dir") == "rtl"
    assert faults(page) == []
    sami.shoot("search-phone-ar")
    sami.context.set_offline(True)
    expect(page.locator(".finder .note")).to_be_visible(timeout=WAIT_MS)
    page.locator("#search-words").fill("herbarium")
    expect(page.locator(".finding mark")).to_have_text("herbarium", timeout=WAIT_MS)
    assert faults(page) == []
    sami.shoot("search-phone-offline")
    page.locator(".finding").click()
    expect(page.locator(".message", has_text=LESSONS[-1])).to_be_in_viewport(timeout=WAIT_MS)
    sami.context.set_offline(False)
    assert sami.wrong == []
