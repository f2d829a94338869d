"""Mentors and moderation in a real browser: somebody is found, asked and answered; what is reported is seen and decided."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import trio
from playwright.sync_api import Page, expect

from client import Account, connect
from protocol.operations import CreateCommunity, Invite, Join, ReportMessage, Say
from protocol.values import ReportReason, Role
from tests.system.running import PASSWORD, register
from tests.web.visitors import DESKTOP, PHONE, WAIT_MS, Visitor, faults

SETTLES_MS = 60_000
"""Without models who mentors is settled by a job, every twenty seconds."""
Found = TypeVar("Found")


def beside(job: Callable[..., Awaitable[Found]], *arguments: object) -> Found:
    """Runs it in a thread: this one belongs to the browser."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(partial(trio.run, job, *arguments)).result()


async def _found(url: str, name: str) -> tuple[int, int, int]:
    """A school with a moderator, `name`, in which somebody wrote something ugly and somebody else reported it: space, channel, number."""
    async with Account(url) as account:
        known = await account.login(name, PASSWORD)
    async with (
        connect(url, await register(url)) as owner,
        connect(url, await register(url)) as rude,
        connect(url, await register(url)) as hurt,
        connect(url, known) as moderator,
    ):
        space = await owner.do(CreateCommunity("School by the river"))
        for session, role in ((rude, Role.LEARNER), (hurt, Role.LEARNER), (moderator, Role.MODERATOR)):
            await owner.do(Invite(space, session.user, role))
            await session.do(Join(space))
        overview = await owner.overview()
        [general] = [stream.stream for one in overview.spaces if one.space == space for stream in one.streams if stream.name == "general"]
        said = await rude.do(Say(general, "nobody wants you here"))
        await hurt.do(ReportMessage(general, said, ReportReason.HARASSMENT, "every day"))
        return space, general, said


def opened(visitor: Visitor, path: str, heading: str) -> Page:
    visitor.page.goto(f"{visitor.origin}/{path}")
    expect(visitor.page.locator("h1", has_text=heading)).to_be_visible(timeout=WAIT_MS)
    return visitor.page


def test_a_mentor_is_found_with_reasons_asked_and_answered_and_both_have_a_place_to_talk(amina: Visitor, ben: Visitor) -> None:
    page = opened(amina, "#/mentors/0/offer", "Mentors")
    page.locator("label.check").click()
    page.locator("#offer-subjects").fill("bee-keeping, fractions")
    page.locator("#offer-about").fill("I have kept bees for ten years.")
    page.locator("form button.main").click()
    expect(page.locator(".note")).to_have_text("Saved.", timeout=WAIT_MS)
    amina.shoot("mentors-offer-desktop")
    assert faults(page) == []

    page = opened(ben, "#/mentors", "Mentors")
    page.locator("#mentor-subjects").fill("bee-keeping")

    def find() -> None:
        page.locator("form.card button.main").click()
        expect(page.locator(".mentor", has_text="Amina Njeri")).to_be_visible(timeout=2_000)

    _until(find, SETTLES_MS)
    mentor = page.locator(".mentor", has_text="Amina Njeri")
    expect(mentor.locator(".mentor-why")).to_have_text("Teaches bee-keeping", timeout=WAIT_MS)
    ben.shoot("mentors-found-phone")
    mentor.get_by_role("button", name="Ask").click()
    mentor.locator("textarea").fill("Would you show me?")
    ben.shoot("mentors-ask-phone")
    assert faults(page) == []
    mentor.get_by_role("button", name="Send").click()
    expect(mentor.locator(".note")).to_contain_text("Asked.", timeout=WAIT_MS)

    page = opened(amina, "#/mentors/0/mine", "Mentors")
    asked = page.locator(".mentor-list li", has_text="Ben Otieno")
    expect(asked).to_contain_text("Would you show me?", timeout=WAIT_MS)
    amina.shoot("mentors-asked-desktop")
    asked.get_by_role("button", name="Accept").click()
    asked.get_by_role("link", name="Go to the conversation").click()
    amina.say("Gladly. Come on Saturday.")

    page = opened(ben, "#/mentors/0/mine", "Mentors")
    page.get_by_role("link", name="Go to the conversation").click()
    ben.sees("Gladly. Come on Saturday.")
    assert amina.wrong == [] and ben.wrong == []


def test_what_was_reported_is_seen_by_who_moderates_and_taken_back_for_all_by_a_click(amina: Visitor, ben: Visitor, origin: str) -> None:
    space, general, _ = beside(_found, origin, amina.name)
    page = opened(amina, f"#/review/{space}", "Reports and review")
    card = page.locator(".review-list li")
    expect(card).to_contain_text("nobody wants you here", timeout=WAIT_MS)
    expect(card).to_contain_text("Harassment", timeout=WAIT_MS)
    expect(card).to_contain_text("every day", timeout=WAIT_MS)
    amina.shoot("review-desktop")
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    amina.shoot("review-phone")
    assert faults(page) == []
    card.get_by_role("button", name="Take it back").click()
    expect(page.locator(".review-count").first).to_have_text("Nothing waits for you.", timeout=WAIT_MS)
    page.goto(f"{origin}/#/c/{general}")
    expect(page.locator(".said")).to_be_visible(timeout=WAIT_MS)
    expect(page.locator(".message", has_text="nobody wants you here")).to_have_count(0, timeout=WAIT_MS)
    page.goto(f"{origin}/#/review/0/mine")
    expect(page.locator(".card")).to_have_text("Nothing of yours is held.", timeout=WAIT_MS)
    assert faults(page) == []
    page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
    assert amina.wrong == []


def test_in_arabic_both_pages_read_from_the_right_and_nothing_sticks_out(ben: Visitor) -> None:
    page = opened(ben, "#/settings", "Settings")
    page.locator("label", has_text="العربية").click()
    expect(page.locator("html")).to_have_attribute("dir", "rtl", timeout=WAIT_MS)
    for path in ("#/mentors", "#/mentors/0/mine", "#/mentors/0/offer", "#/review/0/mine"):
        page.goto(f"{ben.origin}/{path}")
        expect(page.locator(".card").first).to_be_visible(timeout=WAIT_MS)
        ben.shoot(f"arabic{path.replace('#', '').replace('/', '-')}-phone")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        assert faults(page) == [], path
    assert ben.wrong == []


def _until(what: Callable[[], None], within_ms: int) -> None:
    """Does it again until it does not fail."""
    for _ in range(within_ms // 2_000):
        try:
            return what()
        except AssertionError:
            continue
    what()
