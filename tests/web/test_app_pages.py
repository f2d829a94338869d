"""Every page of the app, opened as its address says: at a phone and at a desk, light and dark, and read from the right.

The names come from the app's own sources: a page that is new and is not opened here fails.
"""

from __future__ import annotations

import io
import random
import re
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest
import trio
from msgspec import Struct
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from client import Account, connect
from client.documents import open_document
from client.uploads import FileSender
from protocol.entities import Entity
from protocol.operations import CreateCommunity, CreateDocument, Invite, Join, Post, React, ReportMessage, Say
from protocol.values import ReportReason, Role
from supervisors.demo_lessons import HALVES, PIECES, SECTIONS, make_lessons
from tests.system.running import PASSWORD
from tests.web.tools import WEB
from tests.web.visitors import DESKTOP, PHONE, WAIT_MS, Visitor, beside, faults

SOURCES: Final = WEB / "app" / "src"
TEACHER, LEARNER, RUDE = "pages-teacher", "pages-learner", "pages-rude"
LONG: Final = "A-word-that-is-longer-than-any-telephone-is-wide-and-has-no-place-where-it-could-be-broken-at-all"
STANDS: Final = "h1"
OVER: Final = """(() => {
  const can = one => one === document.documentElement || /auto|scroll/.test(getComputedStyle(one).overflowX);
  const wide = one => one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 0 && can(one);
  return [...document.querySelectorAll("*")].filter(wide).map(one => one.className || one.tagName);
})()"""
"""What can be moved sideways: the page, or a part of it that has a scroll bar."""
HEADINGS: Final = "[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].filter(one => one.checkVisibility()).map(one => +one.tagName[1])"


class Ground(Struct, frozen=True):
    """What there is to look at."""

    space: int
    general: int
    document: int
    record: int
    """The stream of a lesson's contents."""


def page_names() -> set[str]:
    """Of all pages, as the app's sources name them."""
    own = re.search(r"const OWN = \{(.*?)\}", (SOURCES / "place.ts").read_text(), re.DOTALL)
    lazy = re.search(r"export const PAGES = \{(.*?)\n\}", (SOURCES / "pages.ts").read_text(), re.DOTALL)
    assert own and lazy
    named = re.findall(r'(\w+): "(\w+)"', own[1])
    return {name for _, name in named} | set(re.findall(r"^  (\w+):", lazy[1], re.MULTILINE)) | {"home"}


def addresses(ground: Ground) -> dict[str, tuple[str, ...]]:
    """Where each page is, in its several states."""
    space, first = ground.space, SECTIONS[0][0]
    return {
        "home": ("",),
        "channel": (f"c/{ground.general}",),
        "space": (f"s/{space}",),
        "new": ("new",),
        "settings": ("settings",),
        "lessons": (f"lessons/{space}",),
        "lesson": (f"lesson/{space}/{HALVES}", f"lesson/{space}/{PIECES}/edit"),
        "checkpoint": (f"checkpoint/{space}/{HALVES}", f"checkpoint/{space}/due"),
        "progress": (f"progress/{space}",),
        "mentors": ("mentors", "mentors/0/mine"),
        "review": (f"review/{space}", "review/0/mine"),
        "conflicts": ("conflicts",),
        "record": (f"record/{ground.record}/{int(Entity.CONTENT)}/{first}",),
        "notices": ("notices", "notices/0/settings"),
        "account": ("account",),
        "link": ("link",),
        "document": (f"document/{ground.document}", f"document/{ground.document}/versions"),
        "documents": (f"documents/{space}",),
        "search": ("search/0/picture",),
    }


async def _make(url: str, folder: Path) -> Ground:
    """A school with something on each page: words of all lengths, a photograph, a course, a document, a report, notices."""
    people = {TEACHER: "Atieno Odhiambo", LEARNER: "Wanjiru", RUDE: LONG[:60]}
    async with Account(url) as account:
        known = [await account.register(name, PASSWORD, display) for name, display in people.items()]
    photo = trio.Path(folder / "the lake.jpg")
    await photo.write_bytes(_photo())
    sender = FileSender(url, known[0], random.Random(1).random)
    file = await sender.send(Path(photo))
    await sender.aclose()
    async with connect(url, known[0]) as teacher, connect(url, known[1]) as learner, connect(url, known[2]) as rude:
        space = await teacher.do(CreateCommunity("Seven springs school"))
        for session in (learner, rude):
            await teacher.do(Invite(space, session.user, Role.LEARNER))
            await session.do(Join(space))
        overview = await teacher.overview()
        here = next(one for one in overview.spaces if one.space == space)
        general = next(one.stream for one in here.streams if one.name == "general")
        await make_lessons(teacher, learner, space)
        asked = await learner.do(Say(general, "Who knows why the third one is right?"))
        await teacher.do(Post(general, "Look at the picture.", asked, (learner.user,), (file.id,)))
        ugly = await rude.do(Say(general, f"Nobody wants you here. {LONG}"))
        await teacher.do(React(general, asked, "👍"))
        await learner.do(ReportMessage(general, ugly, ReportReason.HARASSMENT, "every day"))
        document = await teacher.do(CreateDocument(space, "What we saw at the lake"))
        async with open_document(teacher, document, random.Random(2).random) as opened:
            opened.text.insert(0, "Two boats, and a heron.\n")
            with trio.fail_after(WAIT_MS / 1000):
                await opened.settled()
        return Ground(space, general, document, teacher.sync_streams.find(Entity.CONTENT, space))


def _photo() -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").resize((900, 600)).convert("RGB").save(out, "JPEG")
    return out.getvalue()


@pytest.fixture(scope="module")
def ground(origin: str, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return beside(_make, origin, tmp_path_factory.mktemp("pages"))


class Reader(Visitor):
    """Somebody who is there already, and looks at all pages."""

    def __init__(self, browser: Browser, origin: str, name: str, viewport: dict[str, int], locale: str = "en") -> None:
        super().__init__(browser, origin, name, viewport, locale)
        self.page.locator("#name").fill(name)
        self.page.locator("#password").fill(PASSWORD)
        self.page.locator("form button.main").click()
        expect(self.page.locator(".sync.good")).to_be_visible(timeout=WAIT_MS)

    def look(self, name: str, address: str) -> None:
        """Goes there, and waits until the page stands."""
        self.page.evaluate("place => { location.hash = `#/${place}`; }", address)
        expect(self.page.locator(f".on-{name} main {STANDS}").first).to_be_visible(timeout=WAIT_MS)
        expect(self.page.locator("main .opening, main [aria-busy=true]")).to_have_count(0, timeout=WAIT_MS)


def wrong_with(page: Page) -> list[str]:
    """What no page may have, whatever is on it."""
    headings = page.evaluate(HEADINGS)
    found = [f"moves sideways: {one}" for one in page.evaluate(OVER)]
    if headings.count(1) != 1:
        found.append(f"{headings.count(1)} headings of the first level")
    if any(after - before > 1 for before, after in pairwise(headings)):
        found.append(f"headings leap: {headings}")
    return found


def test_every_page_of_the_app_is_opened_here() -> None:
    assert addresses(Ground(1, 2, 3, 4)).keys() == page_names()


@pytest.mark.parametrize(
    ("who", "viewport", "locale", "size"),
    [(LEARNER, PHONE, "en", "phone"), (TEACHER, DESKTOP, "fr", "desktop"), (LEARNER, PHONE, "ar", "phone-right-to-left")],
)
def test_no_page_has_a_fault_light_or_dark(
    browser: Browser, origin: str, ground: Ground, who: str, viewport: dict[str, int], locale: str, size: str
) -> None:
    reader = Reader(browser, origin, who, viewport, locale)
    found: dict[str, list[str]] = {}
    for name, places in addresses(ground).items():
        for state, address in enumerate(places):
            reader.page.emulate_media(color_scheme="light")
            reader.look(name, address)
            wrong = [*wrong_with(reader.page), *faults(reader.page)]
            reader.shoot(f"page-{name}{state or ''}-{size}-light")
            reader.page.emulate_media(color_scheme="dark")
            if locale != "ar":  # colours are the same from the right
                wrong += [f"dark: {one}" for one in faults(reader.page, "color-contrast")]
            reader.shoot(f"page-{name}{state or ''}-{size}-dark")
            if wrong:
                found[address or name] = wrong
    assert found == {} and reader.wrong == []
    assert reader.page.locator("html").get_attribute("dir") == ("rtl" if locale == "ar" else "ltr")
    reader.context.close()
