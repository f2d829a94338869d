"""Files, mentions and long channels in the web app: people with browsers, at a house as `educonnect dev` runs it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Locator, expect

from tests.web.visitors import WAIT_MS, Visitor, faults

KEPT = """() => new Promise(done => {
  const opened = indexedDB.open("educonnect");
  opened.onsuccess = () => {
    const names = opened.result.transaction("rows").objectStore("rows").getAllKeys();
    names.onsuccess = () => {
      opened.result.close();
      done(names.result.includes("n/uploads") && names.result.some(one => one.startsWith("m/")));
    };
  };
})"""
"""Whether a message with files and another one are on the disk: what a page has not written yet goes with it."""

STEADY = """async by => {
  const box = document.querySelector(".said");
  const frame = () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
  const { top, height } = box.getBoundingClientRect();
  const far = row => Math.abs(row.getBoundingClientRect().top - top - height / 2);
  let worst = 0, steps = 0, stood = 0;
  for (let step = 0; step < 400; step++) {
    const room = by < 0 ? box.scrollTop : box.scrollHeight - box.clientHeight - box.scrollTop;
    const row = [...box.querySelectorAll(".message")].reduce((one, other) => far(one) < far(other) ? one : other);
    if (far(row) > height / 3) throw new Error(`nothing is drawn in the middle of what one looks at, after ${steps} steps`);
    if (room < Math.abs(by)) {
      if (by > 0 || !box.querySelector(".beginning button")) break;
      await frame();
      continue;
    }
    const before = row.getBoundingClientRect().top;
    box.scrollTop += by;
    await frame();
    const moved = row.getBoundingClientRect().top - before;
    if (row.isConnected && Math.abs(moved) < 1) stood++;
    else if (row.isConnected) worst = Math.max(worst, Math.abs(moved + by));
    steps++;
  }
  return [worst, steps, stood];
}"""
"""Scrolls by so many pixels at a time to the end. Says by how many a row in sight was elsewhere than it was scrolled to, at most; how many
steps there were; and how many of them came to nothing, since an older page came in the same frame and what was seen stayed where it was."""


def photo(width: int = 1600, height: int = 1200) -> bytes:
    """A picture that compresses about as a photo does."""
    image = Image.effect_mandelbrot((width // 4, height // 4), (-2.2, -1.2, 0.8, 1.2), 60).resize((width, height))
    file = io.BytesIO()
    Image.merge("RGB", (image, image.rotate(180), image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))).save(file, "JPEG", quality=88)
    return file.getvalue()


def payload(name: str, media_type: str, content: bytes) -> FilePayload:
    return {"name": name, "mimeType": media_type, "buffer": content}


@pytest.fixture(scope="module")
def channel(amina: Visitor, ben: Visitor) -> str:
    """Amina opens a community, and Ben joins; both look at its channel, whose address it is."""
    amina.page.goto(f"{amina.origin}/#/new")
    amina.page.locator("#community").fill("Seven springs school")
    amina.page.locator("form button.main").click()
    amina.page.locator("#invite").fill(ben.name)
    amina.page.locator("#invite").press("Enter")
    ben.page.locator(".invited button").click()
    expect(ben.page.locator(".place .talk-link").first).to_be_visible(timeout=WAIT_MS)
    expect(amina.page.locator(".note")).to_be_visible(timeout=WAIT_MS)
    href = ben.page.locator(".place .talk-link").first.get_attribute("href")
    assert href
    for visitor in (amina, ben):
        visitor.page.goto(f"{visitor.origin}/{href}")
        expect(visitor.page.locator("textarea")).to_be_visible(timeout=WAIT_MS)
    return href


def add(visitor: Visitor, *files: FilePayload) -> Locator:
    """Chooses files to go with a message; what is shown of them."""
    visitor.page.locator("input[type=file]").set_input_files(list(files))
    shown = visitor.page.locator(".tray .file")
    expect(shown).to_have_count(len(files), timeout=WAIT_MS)
    return shown


def test_a_photo_sent_without_a_network_arrives_once_after_a_reload_and_is_seen_smaller(amina: Visitor, ben: Visitor, channel: str) -> None:
    page = amina.page
    assert page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    amina.context.set_offline(True)
    expect(page.locator(".sync.away")).to_be_visible(timeout=WAIT_MS)
    add(amina, payload("the spring.jpg", "image/jpeg", photo()))
    amina.shoot("files-tray-desktop")
    page.locator(".composer .send").click()
    expect(page.locator(".message.waiting .file img")).to_be_visible(timeout=WAIT_MS)
    amina.say("written after it, and there before it")
    page.wait_for_function(KEPT, timeout=WAIT_MS)
    page.reload()
    waiting = page.locator(".message.waiting .file")
    expect(waiting).to_contain_text("the spring.jpg", timeout=WAIT_MS)
    amina.shoot("files-waiting-desktop")
    amina.context.set_offline(False)
    seen = ben.page.locator(".picture img")
    expect(seen).to_have_count(1, timeout=WAIT_MS)
    expect(page.locator(".sync.good")).to_be_visible(timeout=WAIT_MS)
    ben.page.wait_for_function("document.querySelector('.picture img')?.naturalWidth > 0", timeout=WAIT_MS)
    width, source = ben.page.evaluate("(one => [one.naturalWidth, one.currentSrc])(document.querySelector('.picture img'))")
    assert width <= 1280 and "/media/" in source
    rows = ben.page.locator(".message")
    expect(rows.nth(0)).to_contain_text("written after it, and there before it", timeout=WAIT_MS)
    expect(rows.nth(1).locator(".picture")).to_be_visible(timeout=WAIT_MS)
    assert ben.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    expect(page.locator(".message .picture")).to_have_count(1, timeout=WAIT_MS)
    ben.shoot("files-picture-phone")
    amina.shoot("files-picture-desktop")
    assert amina.wrong == [] and ben.wrong == []


def test_a_file_that_is_no_picture_is_refused_by_name_and_can_be_put_away(amina: Visitor, ben: Visitor, channel: str) -> None:
    page = amina.page
    broken = photo(400, 300)[:2_000]
    add(amina, payload("half a photo.jpg", "image/jpeg", broken), payload("sums.txt", "text/plain", b"2 and 2 is 4"))
    page.locator(".tray .file", has_text="sums.txt").get_by_role("button").click()
    expect(page.locator(".tray .file")).to_have_count(1, timeout=WAIT_MS)
    page.locator("textarea").fill("Look at this")
    page.locator("textarea").press("Enter")
    failed = page.locator(".message.failed")
    expect(failed.locator(".file.refused")).to_contain_text("half a photo.jpg", timeout=WAIT_MS)
    expect(failed.locator(".state")).to_contain_text("half a photo.jpg", timeout=WAIT_MS)
    amina.shoot("files-refused-desktop")
    assert faults(page) == []
    failed.locator(".state button").last.click()
    expect(page.locator(".message.failed")).to_have_count(0, timeout=WAIT_MS)
    expect(page.locator(".sync.good")).to_be_visible(timeout=WAIT_MS)


def test_another_file_is_a_row_that_can_be_saved_and_what_was_written_stands_with_it(amina: Visitor, ben: Visitor, channel: str) -> None:
    add(ben, payload("homework.txt", "text/plain", b"1. a half\n2. a third\n"))
    ben.say("Mine, for tomorrow")
    row = amina.page.locator(".message", has_text="Mine, for tomorrow").locator("a.file")
    expect(row).to_contain_text("homework.txt", timeout=WAIT_MS)
    with amina.page.expect_download() as saved:
        row.click()
    assert Path(saved.value.path()).read_bytes() == b"1. a half\n2. a third\n"


def test_whom_one_mentions_by_keyboard_is_told_and_finds_the_message(amina: Visitor, ben: Visitor, channel: str) -> None:
    page = amina.page
    ben.page.goto(f"{ben.origin}/#/")
    field = page.locator("textarea")
    field.fill("")
    field.press_sequentially("Please help, @be")
    expect(page.get_by_role("option")).to_have_count(1, timeout=WAIT_MS)
    expect(field).to_have_attribute("aria-activedescendant", page.get_by_role("option").get_attribute("id") or "", timeout=WAIT_MS)
    amina.shoot("mention-list-desktop")
    assert faults(page) == []
    field.press("Enter")
    expect(field).to_have_value("Please help, @Ben Otieno ", timeout=WAIT_MS)
    field.press_sequentially("soon")
    field.press("Enter")
    expect(page.locator(".message .mention")).to_have_text("@Ben Otieno", timeout=WAIT_MS)
    ben.page.goto(f"{ben.origin}/#/notices")
    expect(ben.page.locator("main")).to_contain_text("Amina Njeri", timeout=WAIT_MS)
    ben.page.goto(f"{ben.origin}/{channel}")
    expect(ben.page.locator(".message.for-me .mention.me")).to_have_text("@Ben Otieno", timeout=WAIT_MS)
    ben.shoot("mention-phone")


def test_a_name_leads_to_a_card_from_which_one_reports_blocks_and_writes(amina: Visitor, ben: Visitor, channel: str) -> None:
    page = ben.page
    page.locator(".message .who button", has_text="Amina Njeri").first.click()
    card = page.get_by_role("dialog")
    expect(card).to_contain_text("Owner", timeout=WAIT_MS)
    ben.shoot("card-phone")
    assert faults(page) == []
    card.get_by_role("button", name="Report").click()
    expect(card.get_by_role("radio")).to_have_count(9, timeout=WAIT_MS)
    ben.shoot("report-phone")
    assert faults(page) == []
    card.get_by_role("radio").first.check()
    card.get_by_role("button", name="Send report").click()
    expect(card.get_by_role("status")).to_be_visible(timeout=WAIT_MS)
    page.keyboard.press("Escape")
    expect(card).to_have_count(0, timeout=WAIT_MS)
    page.locator(".message .who button", has_text="Amina Njeri").first.click()
    card.get_by_role("button", name="Write privately").click()
    expect(page).not_to_have_url(f"{ben.origin}/{channel}", timeout=WAIT_MS)
    expect(page.locator("textarea")).to_be_visible(timeout=WAIT_MS)
    ben.say("Between the two of us")
    expect(amina.page.locator(".talk-link.unread")).to_have_count(1, timeout=WAIT_MS)
    assert amina.wrong == [] and ben.wrong == []


def test_a_reaction_is_not_counted_as_a_message(amina: Visitor, ben: Visitor, channel: str) -> None:
    ben.page.goto(f"{ben.origin}/{channel}")
    expect(ben.page.locator(".sync.good")).to_be_visible(timeout=WAIT_MS)
    ben.page.goto(f"{ben.origin}/#/")
    amina.page.goto(f"{amina.origin}/{channel}")
    message = amina.page.locator(".message", has_text="Mine, for tomorrow")
    message.locator(".more").click()
    message.locator(".emoji").first.click()
    expect(message.locator(".reactions button")).to_have_text("👍 1", timeout=WAIT_MS)
    amina.say("And this is one")
    badge = ben.page.locator(".talk-link.unread", has_text="general").locator(".badge [aria-hidden]")
    expect(badge).to_have_text("1", timeout=WAIT_MS)


def test_in_a_long_channel_few_rows_are_drawn_and_an_address_leads_to_any_message(amina: Visitor, ben: Visitor, channel: str) -> None:
    page = amina.page
    page.goto(f"{amina.origin}/{channel}")
    for n in range(1, 121):
        amina.say(f"Row {n}")
    ben.page.goto(f"{ben.origin}/{channel}")
    ben.sees("Row 120")
    # Ben's page holds the newest; what is older is asked for as he goes up.
    expect(ben.page.locator(".message .text", has_text="Row 1").first).to_be_visible(timeout=WAIT_MS)
    assert ben.page.locator(".message").count() < 60
    ben.page.reload()
    ben.page.goto(f"{ben.origin}/{channel}/1")
    expect(ben.page.locator(".message").first).to_contain_text("written after it", timeout=WAIT_MS)
    expect(ben.page.locator(".message.wanted")).to_have_count(1, timeout=WAIT_MS)
    ben.shoot("led-phone")
    # Two who look at a page that is older than what they hold see what the other does to its messages, and what they do themselves.
    page.reload()
    page.goto(f"{amina.origin}/{channel}/1")
    rows = [visitor.page.locator(".message", has_text="written after it") for visitor in (amina, ben)]
    expect(rows[0]).to_have_count(1, timeout=WAIT_MS)
    rows[1].locator(".more").click()
    rows[1].locator(".emoji").first.click()
    for row in rows:
        expect(row.locator(".reactions button")).to_have_text("👍 1", timeout=WAIT_MS)
    rows[0].locator(".more").click()
    rows[0].get_by_role("button", name="Edit").click()
    amina.say("written after it, and mended")
    for row in rows:
        expect(row.locator(".text")).to_contain_text("and mended", timeout=WAIT_MS)
    rows[1].locator(".reactions button").click()
    for row in rows:
        expect(row.locator(".reactions")).to_have_count(0, timeout=WAIT_MS)
    ben.page.locator("button.down").click()
    ben.sees("Row 120")
    # Rows come and go, older messages come in front, none is as tall as was thought: what one looks at moves as one moves it.
    page = ben.page
    page.locator(".message .more").last.focus()
    for by in (-90, 70):
        worst, steps, stood = page.evaluate(STEADY, by)
        assert worst <= 1 and steps > 20 and stood <= 2
    assert page.evaluate("document.activeElement.className") == "said"  # who was at a row that is gone goes on in the list
    box = ben.page.locator(".said")
    for _ in range(60):
        box.evaluate("box => box.scrollBy(0, -600)")
        if ben.page.locator(".said .beginning button").count() == 0 and box.evaluate("box => box.scrollTop") == 0:
            break
        ben.page.wait_for_timeout(20)
    expect(ben.page.locator(".message").first).to_contain_text("written after it", timeout=WAIT_MS)
    assert ben.page.locator(".message").count() < 60
    assert amina.wrong == [] and ben.wrong == []


def test_in_arabic_files_and_cards_stand_on_the_other_side_and_nothing_sticks_out(ben: Visitor, channel: str) -> None:
    page = ben.page
    page.goto(f"{ben.origin}/#/settings")
    page.locator("label", has_text="العربية").click()
    page.locator("label", has_text="داكن").click()
    page.goto(f"{ben.origin}/{channel}/2")
    expect(page.locator(".message.wanted .picture img")).to_be_visible(timeout=WAIT_MS)
    add(ben, payload("a photo.jpg", "image/jpeg", photo()), payload("list.txt", "text/plain", b"one"))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    ben.shoot("files-arabic-dark-phone")
    assert faults(page) == []
    page.locator(".message .who button").first.click()
    expect(page.get_by_role("dialog").locator("button.main")).to_be_visible(timeout=WAIT_MS)
    ben.shoot("card-arabic-dark-phone")
    assert faults(page) == []
