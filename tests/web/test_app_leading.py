"""Leading a community in a real browser: who comes in as what, who may what, how the two find each other again; and what is refused, said
in the language of who asked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.system.running import PASSWORD
from tests.web.visitors import DESKTOP, PHONE, Visitor, faults


@pytest.fixture(scope="module")
def amina(browser: Browser, origin: str) -> Iterator[Visitor]:
    visitor = Visitor(browser, origin, "amina", DESKTOP)
    visitor.sign_up("Amina Njeri")
    yield visitor
    visitor.context.close()


@pytest.fixture(scope="module")
def ben(browser: Browser, origin: str) -> Iterator[Visitor]:
    visitor = Visitor(browser, origin, "ben", PHONE, "ar")
    visitor.sign_up("Ben Otieno")
    yield visitor
    visitor.context.close()


@pytest.fixture(scope="module")
def space(amina: Visitor, ben: Visitor) -> str:
    """Amina's community, in which Ben is a mentor: its address."""
    expect(ben.page.locator(".empty")).to_contain_text(ben.name)  # what he tells Amina
    page = amina.page
    page.goto(f"{amina.origin}/#/new")
    page.locator("#community").fill("Seven springs school")
    page.locator("form button.main").click()
    invite(page, ben.name, "Mentor")
    expect(page.locator(".note.done")).to_contain_text("Ben Otieno")
    ben.page.locator(".invited button").click()
    expect(ben.page.locator(".place .talk-link")).to_have_count(1)
    expect(ben.page.locator(".bell .badge")).to_have_count(0)  # he has read what he answered
    return str(page.evaluate("location.hash"))


def invite(page: Page, name: str, role: str) -> None:
    page.locator("#invite").fill(name)
    page.locator("#invite-role").select_option(label=role)
    page.locator("#invite").press("Enter")


def member(page: Page, name: str) -> Page:
    """Opens what can be done about a member."""
    page.reload()
    row = page.locator("main .rows > li", has_text=name)
    row.locator("button.icon").click()
    expect(page.locator(".member-acts")).to_be_visible()
    return page


def test_the_door_says_in_ones_own_language_what_a_name_and_a_password_are(browser: Browser, origin: str) -> None:
    visitor = Visitor(browser, origin, "carol", PHONE, "sw")
    page = visitor.page
    page.locator("#tab-signUp").click()
    for name, password, words in (
        ("Mwalimu wetu", "x", "bila nafasi"),
        (visitor.name, "abc", "herufi 8"),
        (visitor.name, "password1234", "rahisi mno"),
    ):
        page.locator("#name").fill(name)
        page.locator("#password").fill(password)
        page.locator("form button.main").click()
        expect(page.locator(".wrong")).to_contain_text(words)
    visitor.shoot("door-refused-phone")
    assert visitor.wrong == []
    visitor.context.close()


def test_a_refusal_is_said_where_it_was_asked_for_and_nothing_is_left_unsent(amina: Visitor, ben: Visitor, space: str) -> None:
    page = amina.page
    invite(page, ben.name, "Learner")
    expect(page.locator(".invite .wrong")).to_have_text("They are in this community already.")
    expect(page.locator(".sync.good")).to_be_visible()
    assert amina.wrong == []


def test_an_owner_gives_roles_and_shows_who_they_are_before_they_share_all_power(amina: Visitor, ben: Visitor, space: str) -> None:
    page = member(amina.page, ben.name)
    role = page.locator(".member-acts select")
    expect(role).to_have_value("4")
    role.select_option(label="Moderator")
    expect(page.locator(".member-acts .note.done")).to_have_text("Ben Otieno is now: Moderator.")
    role.select_option(label="Owner")
    expect(page.locator("dialog.prove")).to_be_visible()
    amina.shoot("leading-proof-desktop")
    page.locator("dialog.prove .plain").click()
    expect(role).to_have_value("2")  # she did not
    role.select_option(label="Owner")
    page.locator("#proof").fill(PASSWORD)
    page.locator("#proof").press("Enter")
    expect(page.locator(".member-acts .note.done")).to_have_text("Ben Otieno is now: Owner.")
    role.select_option(label="Learner")
    expect(page.locator(".member-acts .note.done")).to_have_text("Ben Otieno is now: Learner.")
    page.get_by_role("button", name="I vouch for them").click()
    expect(page.locator(".member-acts .note.done")).to_have_text("You vouch for Ben Otieno.")
    amina.shoot("leading-member-desktop")
    assert faults(page) == [] and amina.wrong == []


def test_a_conversation_is_called_by_who_is_in_it_also_without_a_network(amina: Visitor, ben: Visitor, space: str) -> None:
    page = member(amina.page, ben.name)
    page.get_by_role("button", name="Write privately").click()
    expect(page.locator(".on-channel h1")).to_have_text("Ben Otieno")
    amina.say("Well done today.")
    ben.page.goto(f"{ben.origin}/#/")
    talk = ben.page.locator(".place .talk-link", has_text="Amina Njeri")
    expect(talk).to_be_visible()
    expect(ben.page.locator(".place h2")).to_contain_text(["Seven springs school", "محادثات خاصة"])
    ben.shoot("leading-home-arabic-phone")
    assert faults(ben.page) == []
    ben.context.set_offline(True)
    ben.page.reload()
    talk.click()
    expect(ben.page.locator(".on-channel h1")).to_have_text("Amina Njeri")
    ben.sees("Well done today.")
    ben.context.set_offline(False)
    assert amina.wrong == [] and ben.wrong == []


def test_a_member_who_is_removed_sees_the_community_no_more(amina: Visitor, ben: Visitor, space: str) -> None:
    amina.page.goto(f"{amina.origin}/{space}")
    page = member(amina.page, ben.name)
    page.get_by_role("button", name="Remove from this community").click()
    page.get_by_role("button", name="Yes, remove").click()
    expect(page.locator("main .rows > li", has_text=ben.name)).to_have_count(0)
    ben.page.goto(f"{ben.origin}/#/")
    expect(ben.page.locator(".place h2 a")).to_have_count(0)
    # The only owner stays, and is told why.
    page.get_by_role("button", name="Leave this community").click()
    page.get_by_role("button", name="Yes, leave").click()
    expect(page.locator(".wrong")).to_contain_text("keeps at least one owner")
    assert amina.wrong == [] and ben.wrong == []


def test_the_key_for_the_search_leads_there_unless_it_is_switched_off(amina: Visitor, space: str) -> None:
    page = amina.page
    page.goto(f"{amina.origin}/{space}")
    expect(page.locator(".on-space h1")).to_be_visible()
    page.keyboard.press("/")
    expect(page.locator("#search-words")).to_be_focused()
    page.goto(f"{amina.origin}/#/settings")
    page.locator(".check input").uncheck()
    page.reload()
    expect(page.locator(".check input")).not_to_be_checked()
    page.locator("h1").click()
    page.keyboard.press("/")
    expect(page.locator(".on-settings")).to_be_visible()
    assert page.evaluate("location.hash") == "#/settings" and faults(page) == [] and amina.wrong == []
