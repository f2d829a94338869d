"""One's account in the web app, in a real browser with an authenticator of its own (CDP): how one gets in, and how one leaves."""

from __future__ import annotations

import base64
import email
import email.policy
import hmac
import io
import re
import struct
import time
import zipfile
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, CDPSession, Page, Route, expect

from client import Account, connect
from protocol.codes import Code
from protocol.operations import Block
from tests.system.running import PASSWORD, Dev
from tests.web.qr_reader import read_qr
from tests.web.visitors import DESKTOP, PHONE, WAIT_MS, Visitor, beside, faults

BETTER = "four quiet lanterns by the river"


@pytest.fixture(scope="module")
def home(origin: str) -> str:
    """Where there are passkeys: a name, not an address."""
    return origin.replace("127.0.0.1", "localhost")


@pytest.fixture(scope="module")
def amina(browser: Browser, home: str) -> Iterator[Visitor]:
    visitor = Visitor(browser, home, "amina", DESKTOP)
    visitor.sign_up("Amina Njeri")
    yield visitor
    visitor.context.close()


@pytest.fixture(scope="module")
def ben(browser: Browser, home: str) -> Iterator[Visitor]:
    """With an authenticator built into his phone."""
    visitor = Visitor(browser, home, "ben", PHONE)
    visitor.sign_up("Ben Otieno")
    add_authenticator(visitor)
    yield visitor
    visitor.context.close()


def add_authenticator(visitor: Visitor) -> CDPSession:
    cdp = visitor.context.new_cdp_session(visitor.page)
    cdp.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    cdp.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return cdp


def at(visitor: Visitor, path: str) -> Page:
    visitor.page.goto(f"{visitor.origin}/{path}")
    return visitor.page


def mailed(house: Dev, address: str, what: str) -> str:
    """The code of the newest mail to an address, and that it leads to the app."""
    found = re.compile(rf"/#/link/0/{what}=([\w-]{{43}})")
    deadline = time.monotonic() + WAIT_MS / 1000
    while time.monotonic() < deadline:
        for path in sorted((house.folder / "mail").glob("*.eml"), key=lambda one: -one.stat().st_mtime_ns):
            message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            body = message.get_body(("plain",))
            if body is not None and address in str(message["To"]) and (link := found.search(str(body.get_content()))):
                return link[1]
        time.sleep(0.05)
    raise AssertionError(f"no mail to {address}")


async def _block(url: str, name: str, other: str) -> None:
    """As the Python client does, on another device."""
    async with Account(url) as account:
        credentials = await account.login(name, PASSWORD)
    async with connect(url, credentials) as session:
        await session.do(Block((await session.search(other)).user))


def log_out(visitor: Visitor) -> None:
    at(visitor, "#/settings").get_by_role("button", name="Log out").click()
    expect(visitor.page.locator("#tab-logIn")).to_be_visible(timeout=WAIT_MS)


def make_stale(page: Page, path: str) -> list[str]:
    """The next request there is answered as hours after the log-in; the methods of all of them."""
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.method)
        problem = {"type": "about:blank", "title": "…", "status": 403, "detail": "stale", "code": int(Code.STEP_UP)}
        if len(asked) == 1:
            route.fulfill(status=403, json=problem, content_type="application/problem+json")
        else:
            route.continue_()

    page.route(path, answer)
    return asked


def code_of(secret: str) -> str:
    """Six digits as an authenticator app shows them now (RFC 6238)."""
    digest = hmac.digest(base64.b32decode(secret), struct.pack(">Q", int(time.time()) // 30), "sha1")
    (number,) = struct.unpack(">I", digest[digest[-1] & 15 :][:4])
    return f"{(number & 0x7FFFFFFF) % 1_000_000:06}"


def test_what_was_typed_at_the_door_before_the_script_was_complete_is_still_there(browser: Browser, home: str) -> None:
    context = browser.new_context(viewport=PHONE, locale="en")  # type: ignore[arg-type]
    page = context.new_page()
    held: list[Route] = []
    page.route("**/app/behind-*.js", lambda one: held.append(one))
    page.goto(home, wait_until="domcontentloaded")
    page.locator("#name").fill("early bird")
    page.locator("#password").fill("not this one")
    page.wait_for_timeout(1)
    assert held, "the client is asked for while the door stands already"
    for one in held:
        one.continue_()
    page.locator("form button.main").click()
    expect(page.locator(".wrong")).to_be_visible(timeout=WAIT_MS)
    expect(page.locator("#name")).to_have_value("early bird")
    context.close()


def test_an_address_is_proven_by_the_link_of_its_mail_and_a_stale_session_proves_itself_first(amina: Visitor, house: Dev) -> None:
    page = at(amina, "#/account")
    address = f"{amina.name}@example.org"
    asked = make_stale(page, "**/api/v1/account/email")
    page.locator("#email").fill(address)
    page.locator("#email").press("Enter")
    page.locator("dialog #proof").fill("not this one")
    page.locator("dialog #proof").press("Enter")
    expect(page.locator("dialog .wrong")).to_be_visible(timeout=WAIT_MS)
    amina.shoot("account-prove-desktop")
    assert faults(page) == []
    page.locator("dialog #proof").fill(PASSWORD)
    page.locator("dialog #proof").press("Enter")
    expect(page.locator(".note", has_text=address)).to_be_visible(timeout=WAIT_MS)
    assert asked == ["PUT", "PUT"]
    code = mailed(house, address, "address")
    at(amina, f"#/link/0/address={code}")
    expect(page.get_by_role("button", name="Yes, this is my address")).to_be_visible(timeout=WAIT_MS)
    page.wait_for_url("**/#/link")  # who uses this computer next does not find the code in its history
    assert faults(page) == []
    page.get_by_role("button", name="Yes, this is my address").click()
    expect(page.locator(".note.done")).to_be_visible(timeout=WAIT_MS)
    at(amina, "#/account")
    expect(page.locator(".note.done", has_text=address)).to_be_visible(timeout=WAIT_MS)
    assert amina.wrong == []


def test_a_passkey_is_made_opens_the_account_alone_and_is_its_second_step(ben: Visitor) -> None:
    page = at(ben, "#/account")
    page.locator("#passkey-name").fill("my phone")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.locator(".codes li")).to_have_count(10, timeout=WAIT_MS)
    expect(page.locator(".row strong", has_text="my phone")).to_be_visible(timeout=WAIT_MS)
    page.locator(".codes").scroll_into_view_if_needed()
    ben.shoot("account-codes-phone")
    assert faults(page) == []
    page.get_by_role("button", name="I have written them down").click()
    expect(page.locator(".codes")).to_have_count(0)
    page.get_by_role("button", name="Rename: my phone").click()
    page.locator("form.line input[id^=passkey-]").first.fill("my blue phone")
    assert faults(page) == []
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".row strong", has_text="my blue phone")).to_be_visible(timeout=WAIT_MS)
    log_out(ben)
    ben.shoot("door-passkey-phone")
    assert faults(page) == []
    page.get_by_role("button", name="Log in with a passkey").click()
    expect(page.locator(".sync.good")).to_be_visible(timeout=WAIT_MS)
    log_out(ben)
    page.locator("#name").fill(ben.name)
    page.locator("#password").fill(PASSWORD)
    page.locator("form button.main").click()
    expect(page.locator("#code")).to_be_visible(timeout=WAIT_MS)
    ben.shoot("door-second-step-phone")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.locator(".sync.good")).to_be_visible(timeout=WAIT_MS)
    assert ben.wrong == []


def test_an_authenticator_app_reads_its_key_from_the_picture_and_its_code_is_the_second_step(amina: Visitor) -> None:
    page = at(amina, "#/account")
    page.get_by_role("button", name="Set it up").click()
    expect(page.locator(".qr path")).to_be_attached(timeout=WAIT_MS)
    uri = page.locator("a.button[href^='otpauth:']").get_attribute("href")
    secret = page.locator(".secret").inner_text().replace(" ", "")
    assert uri and read_qr(page.locator(".qr path").get_attribute("d") or "") == uri and f"secret={secret}" in uri
    page.locator(".qr").scroll_into_view_if_needed()
    amina.shoot("account-totp-desktop")
    assert faults(page) == []
    page.locator("#totp-code").fill("000000")
    confirm = page.locator("form", has=page.locator("#totp-code")).get_by_role("button", name="Confirm")
    confirm.click()
    expect(page.locator("form .wrong")).to_be_visible(timeout=WAIT_MS)
    page.locator("#totp-code").fill(code_of(secret))
    confirm.click()
    expect(page.locator(".codes li")).to_have_count(10, timeout=WAIT_MS)
    recovery = page.locator(".codes li").first.inner_text()
    log_out(amina)
    page.locator("#name").fill(amina.name)
    page.locator("#password").fill(PASSWORD)
    page.locator("form button.main").click()
    page.locator("#code").fill(recovery)
    page.locator("form button.main").click()
    expect(page.locator(".sync.good")).to_be_visible(timeout=WAIT_MS)
    assert amina.wrong == []


def test_devices_are_named_and_logged_out_and_whoever_leaves_takes_their_own_along(browser: Browser, home: str, ben: Visitor) -> None:
    carol = Visitor(browser, home, "carol", PHONE)
    carol.sign_up("Carol Wanjiru")
    elsewhere = Visitor(browser, home, "carol", DESKTOP)
    elsewhere.page.locator("#name").fill(carol.name)
    elsewhere.page.locator("#password").fill(PASSWORD)
    elsewhere.page.locator("form button.main").click()
    expect(elsewhere.page.locator(".sync.good")).to_be_visible(timeout=WAIT_MS)
    beside(_block, home, carol.name, ben.name)
    page = at(carol, "#/account")
    rows = page.locator(".devices .row")
    expect(rows).to_have_count(3, timeout=WAIT_MS)
    blocked = page.get_by_role("button", name=re.compile("^Unblock"))
    expect(blocked).to_have_count(1, timeout=WAIT_MS)
    blocked.click()
    expect(page.get_by_text("You block nobody.")).to_be_visible(timeout=WAIT_MS)
    mine = rows.filter(has_text="this device")
    mine.get_by_role("button").click()
    page.locator(".devices input").fill("my phone")
    page.locator(".devices input").press("Enter")
    expect(rows.filter(has_text="my phone")).to_have_count(1, timeout=WAIT_MS)
    page.locator(".devices").scroll_into_view_if_needed()
    carol.shoot("account-devices-phone")
    page.get_by_role("button", name="Log out all others").click()
    expect(rows.filter(has_text="logged out")).to_have_count(2, timeout=WAIT_MS)
    expect(elsewhere.page.locator(".sync.bad")).to_be_visible(timeout=WAIT_MS)
    page.locator("#old-password").fill("not this one")
    page.locator("#next-password").fill(BETTER)
    page.get_by_role("button", name="Change it").click()
    expect(page.locator(".wrong", has_text="present password")).to_be_visible(timeout=WAIT_MS)
    page.locator("#old-password").fill(PASSWORD)
    page.get_by_role("button", name="Change it").click()
    expect(page.locator(".note.done", has_text="is changed")).to_be_visible(timeout=WAIT_MS)
    elsewhere.context.close()

    # What is one's own is taken along, and the rest is left.
    page.get_by_role("button", name="Ask for it").click()
    save = page.get_by_role("button", name="Save it on this device")
    expect(save).to_be_visible(timeout=2 * WAIT_MS)
    with page.expect_download() as saved:
        save.click()
    with zipfile.ZipFile(io.BytesIO(saved.value.path().read_bytes())) as archive:
        assert archive.testzip() is None and "manifest.json" in archive.namelist()
    page.locator("#close-name").fill(carol.name)
    page.get_by_role("button", name="Erase my account").click()
    expect(page.locator("#tab-logIn")).to_be_visible(timeout=WAIT_MS)
    assert carol.wrong == []
    carol.context.close()


def test_a_forgotten_password_is_set_anew_from_the_door(browser: Browser, home: str, house: Dev, amina: Visitor) -> None:
    visitor = Visitor(browser, home, "stranger", PHONE, "ar")
    page = visitor.page
    page.locator("a.forgot").click()
    expect(page.locator("#account")).to_be_visible(timeout=WAIT_MS)
    visitor.shoot("forgot-arabic-phone")
    assert faults(page) == []
    page.locator("#account").fill(amina.name)
    page.locator("#account").press("Enter")
    expect(page.locator(".note.done")).to_be_visible(timeout=WAIT_MS)
    code = mailed(house, f"{amina.name}@example.org", "password")
    # Who cannot open the link types its code, or pastes all of it.
    page.locator("#link-code").fill(f"http://learn.example/#/link/0/password={code}")
    page.locator("#link-code").press("Enter")
    page.locator("#new-password").fill("amina")
    page.locator("form button.main").click()
    expect(page.locator(".wrong")).to_be_visible(timeout=WAIT_MS)
    page.locator("#new-password").fill(BETTER)
    visitor.shoot("reset-arabic-phone")
    page.locator("form button.main").click()
    expect(page.locator(".note.done")).to_be_visible(timeout=WAIT_MS)
    page.locator("a.forgot").click()
    page.locator("#name").fill(amina.name)
    page.locator("#password").fill(BETTER)
    page.locator("form button.main").click()
    expect(page.locator("#code")).to_be_visible(timeout=WAIT_MS)
    assert visitor.wrong == []
    visitor.context.close()


def test_a_passkey_proves_who_one_is_where_that_is_asked_for(ben: Visitor) -> None:
    page = at(ben, "#/account")
    asked = make_stale(page, "**/api/v1/auth/passkeys/*")
    page.get_by_role("button", name="Remove: my blue phone").click()
    page.locator("dialog").get_by_role("button", name="Use a passkey").click()
    expect(page.locator(".note", has_text="None is set")).to_be_visible(timeout=WAIT_MS)
    assert asked == ["DELETE", "DELETE"] and ben.wrong == []


def test_axe_finds_nothing_in_the_account_and_nothing_sticks_out_from_the_right(ben: Visitor, amina: Visitor) -> None:
    page = at(ben, "#/account")
    expect(page.locator(".devices .row").first).to_be_visible(timeout=WAIT_MS)
    ben.shoot("account-phone")
    assert faults(page) == []
    at(ben, "#/settings").locator("label", has_text="العربية").click()
    expect(page.locator("html")).to_have_attribute("dir", "rtl", timeout=WAIT_MS)
    page.locator("label", has_text="داكن").click()
    at(ben, "#/account")
    expect(page.locator(".devices .row").first).to_be_visible(timeout=WAIT_MS)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert faults(page) == []
    ben.shoot("account-arabic-dark-phone")
