"""People with browsers of their own, for the tests of the web app. Screenshots go to the folder in APP_SCREENSHOTS, where that is set."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from pathlib import Path
from typing import TypeVar

import trio
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.system.running import PASSWORD
from tests.web.tools import install

WAIT_MS = 20_000
expect.set_options(timeout=WAIT_MS)
PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 800}
NUMBERS = count(1)
Found = TypeVar("Found")


def beside(job: Callable[..., Awaitable[Found]], *arguments: object) -> Found:
    """Runs a job of the Python client in a thread: this one belongs to the browser."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(partial(trio.run, job, *arguments)).result()


class Visitor:
    """Somebody with a browser of their own. Whatever goes wrong on their page is kept."""

    def __init__(self, browser: Browser, origin: str, name: str, viewport: dict[str, int], locale: str = "en") -> None:
        self.origin, self.name = origin, f"{name}{next(NUMBERS)}"
        self.context: BrowserContext = browser.new_context(viewport=viewport, locale=locale, reduced_motion="reduce")  # type: ignore[arg-type]
        self.context.set_default_timeout(WAIT_MS)
        self.page: Page = self.context.new_page()
        self.wrong: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda said: self.wrong.append(said.text) if "Content Security Policy" in said.text else None)
        self.page.goto(origin)

    def sign_up(self, display: str) -> None:
        page = self.page
        page.locator("#tab-signUp").click()
        page.locator("#name").fill(self.name)
        page.locator("#display").fill(display)
        page.locator("#password").fill(PASSWORD)
        page.locator("form button.main").click()
        expect(page.locator(".sync.good")).to_be_visible(timeout=WAIT_MS)

    def say(self, text: str) -> None:
        self.page.locator("textarea").fill(text)
        self.page.locator("textarea").press("Enter")

    def texts(self) -> list[str]:
        return [text.strip() for text in self.page.locator(".message .text").all_inner_texts()]

    def sees(self, *texts: str) -> None:
        for text in texts:
            expect(self.page.locator(".message .text", has_text=text)).to_have_count(1, timeout=WAIT_MS)

    def shoot(self, name: str) -> None:
        if folder := os.environ.get("APP_SCREENSHOTS"):
            self.page.screenshot(path=Path(folder) / f"{name}.png")


def faults(page: Page, rule: str = "") -> list[str]:
    """What axe finds wrong with a page once it has its heading: by all its rules, or by one."""
    page.locator("h1").first.wait_for(timeout=WAIT_MS)
    if not page.evaluate("'axe' in window"):
        page.evaluate((install() / "node_modules" / "axe-core" / "axe.min.js").read_text())
    ask = """rule => axe.run(rule ? { runOnly: [rule] } : {}).then(({ violations }) =>
      violations.map(one => `${one.id}: ${one.nodes.map(node => node.target.join(" ")).join(", ")}`))"""
    found: list[str] = page.evaluate(ask, rule)
    return found
