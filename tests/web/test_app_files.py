"""Files, mentions and long channels in the web app: people with browsers, at a house as `educonnect dev` runs it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Locator, expect

from tests.web.visitors import DESKTOP, PHONE, WAIT_MS, Visitor, faults


def photo(width: int = 1600, height: int = 1200) -> bytes:
    """A picture that compresses about as a photo does."""
    image = Image.effect_mandelbrot((width // 4, height // 4), (-2.2, -1.2, 0.8, 1.2), 60).resize((width, height))
    file = io.BytesIO()
    Image.merge("RGB", (image, image.rotate(180), image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))).save(file, "JPEG", quality=88)
    return file.getvalue()


def payload(name: str, media_type: str, content: bytes) -> FilePayload:
    return {"name": name, "mimeType": media_type, "buffer": content}


@pytest.fixture(scope="module")
def amina(browser: Browser, origin: str) -> Iterator[Visitor]:
    visitor = Visitor(browser, origin, "amina", DESKTOP)
    visitor.sign_up("Amina Njeri")
    yield visitor
    visitor.context.close()


@pytest.fixture(scope="module")
def ben(browser: Browser, origin: str) -> Iterator[Visitor]:
    visitor = Visitor(browser, origin, "ben", PHONE)
    visitor.sign_up("Ben Otieno")
    yield visitor
    visitor.context.close()


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


def test_a_photo_that_is_sent_without_a_network_arrives_once_after_a_reload_and_is_seen_smaller(amina: Visitor, ben: Visitor, channel: str) -> None:
    page = amina.page
    assert page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    amina.context.set_offline(True)
    expect(page.locator(".sync.away")).to_be_visible(timeout=WAIT_MS)
    add(amina, payload("the spring.jpg", "image/jpeg", photo()))
    amina.shoot("files-tray-desktop")
    page.locator(".composer .send").click()
    expect(page.locator(".message.waiting .file img")).to_be_visible(timeout=WAIT_MS)
    amina.say("written after it, and there before it")
    page.reload()
    waiting = page.locator(".message.waiting .file")
    expect(waiting).to_contain_text("the spring.jpg", timeout=WAIT_MS)
    amina.shoot("files-waiting-desktop")
    amina.context.set_offline(False)
    seen = ben.page.locator(".picture img")
    expect(seen).to_have_count(1, timeout=WAIT_MS)
    expect(page.locator(".sync.good")).to_be_visible(timeout=WAIT_MS)
    ben.page.wait_for_function("document.querySelector('.picture img')?.naturalWidth > 0", timeout=WAIT_MS)
    width, source = ben.page.evaluate("(() => { const one = document.querySelector('.picture img'); return [one.naturalWidth, one.currentSrc] })()")
    assert width <= 1280 and "/media/" in source
    assert amina.texts()[-1] == "written after it, and there before it" or ben.texts()[-1] == "written after it, and there before it"
    expect(page.locator(".message .picture")).to_have_count(1, timeout=WAIT_MS)
    ben.shoot("files-picture-phone")
    amina.shoot("files-picture-desktop")
    assert amina.wrong == [] and ben.wrong == []
