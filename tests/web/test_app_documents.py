"""A document written by two people in real browsers and a third one in Python: cut off, healed, restored, and the same for all."""

from __future__ import annotations

import random
import threading
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import TypeVar

import pytest
import trio
from playwright.sync_api import expect

from bench.byte_relay import Relay
from client import Session, connect
from client.documents import Document, open_document
from protocol.operations import Join
from tests.system.running import register
from tests.web.visitors import WAIT_MS, Visitor, faults

AREA = ".paper textarea"
WAIT_S = WAIT_MS / 1000
R = TypeVar("R")


class Line:
    """A way to the server that can be taken away for a while."""

    def __init__(self, port: int, nursery: trio.Nursery) -> None:
        self.relay = Relay(port)
        self._nursery = nursery
        self._scope = trio.CancelScope()

    async def open(self) -> None:
        """The same address each time."""
        self._scope = trio.CancelScope()
        await self._nursery.start(self._serve)

    async def _serve(self, task_status: trio.TaskStatus[None]) -> None:
        with self._scope:
            async with trio.open_nursery() as nursery:
                (listener,) = await nursery.start(partial(trio.serve_tcp, self.relay.serve, self.relay.port, host="127.0.0.1"))
                self.relay.port = listener.socket.getsockname()[1]
                task_status.started()

    async def take_away(self) -> None:
        self._scope.cancel()


class Writer:
    """Somebody with the Python client, in a loop of their own beside Playwright's."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._up, self._done = threading.Event(), trio.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._live,), daemon=True)
        self.session: Session
        self.line: Line
        self.document: Document
        self._thread.start()
        assert self._up.wait(WAIT_S)

    async def _live(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        credentials = await register(self._origin)
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self.line = Line(int(self._origin.rpartition(":")[2]), nursery)
            await self.line.open()
            async with connect(self.line.relay.url, credentials) as self.session:
                self._up.set()
                await self._done.wait()
            nursery.cancel_scope.cancel()

    def do(self, act: Callable[[], Awaitable[R]]) -> R:
        async def within() -> R:
            with trio.fail_after(WAIT_S):
                return await act()

        return trio.from_thread.run(within, trio_token=self._token)

    def open(self, space: int, stream: int) -> None:
        async def joined() -> None:
            await self.session.do(Join(space))
            self.document = await self._nursery.start(self._hold, stream)

        self.do(joined)

    async def _hold(self, stream: int, task_status: trio.TaskStatus[Document]) -> None:
        async with open_document(self.session, stream, random.Random(5).random) as document:
            task_status.started(document)
            await self._done.wait()

    def type(self, text: str, *, in_front: bool = False) -> None:
        """At the end: in the middle of a word, if somebody else is just writing one there."""

        async def typed() -> None:
            self.document.text.insert(0 if in_front else len(str(self.document.text).encode()), text)

        self.do(typed)

    def reads(self, wanted: Callable[[str], bool]) -> str:
        return self.do(lambda: self.document.reads(wanted))

    def stop(self) -> None:
        trio.from_thread.run_sync(self._done.set, trio_token=self._token)
        self._thread.join(WAIT_S)


@pytest.fixture(scope="module")
def carol(origin: str) -> Iterator[Writer]:
    writer = Writer(origin)
    yield writer
    writer.stop()


@pytest.fixture(scope="module")
def document(amina: Visitor, ben: Visitor, carol: Writer) -> str:
    """Amina's community, with a document that all three have open; its address."""
    page = amina.page
    page.locator(".side a.action").click()
    page.locator("#community").fill("Seven springs school")
    page.locator("form button.main").click()
    page.locator("#invite").fill(ben.name)
    page.locator("#invite").press("Enter")
    ben.page.locator(".invited button").click()
    expect(ben.page.locator(".talk-link").first).to_be_visible(timeout=WAIT_MS)
    name = carol.do(lambda: name_of(carol.session))
    page.locator("#invite").fill(name)
    page.locator("#invite").press("Enter")
    space = int(page.url.rpartition("/")[2])
    page.locator("main .doors a[href^='#/documents/']").click()
    amina.shoot("documents-empty-desktop")
    page.locator("#title").fill("Notes about rivers")
    page.locator("form button.main").click()
    expect(page.locator(AREA)).to_be_editable(timeout=WAIT_MS)
    here = page.url.partition("#")[2]
    carol.do(lambda: carol.session.synced())
    carol.open(space, int(here.rpartition("/")[2]))
    ben.page.goto(f"{ben.origin}/#/documents/{space}")
    ben.page.locator("a.row", has_text="Notes about rivers").click()
    expect(ben.page.locator(AREA)).to_be_editable(timeout=WAIT_MS)
    return here


async def name_of(session: Session) -> str:
    overview = await session.overview()
    return next(one.name for one in (await session.members(overview.spaces[0].space)).members)


def value(visitor: Visitor) -> str:
    text: str = visitor.page.locator(AREA).input_value()
    return text


def type_at_end(visitor: Visitor, text: str) -> None:
    area = visitor.page.locator(AREA)
    expect(area).to_be_editable(timeout=WAIT_MS)
    area.click()
    area.press("Control+End")
    area.press_sequentially(text)


def kept(visitor: Visitor) -> None:
    """Waits until the page says that what was typed is on the device."""
    expect(visitor.page.locator(".saved[data-kept=true]")).to_be_visible(timeout=WAIT_MS)


def reads(visitor: Visitor, text: str) -> None:
    expect(visitor.page.locator(AREA)).to_have_value(text, timeout=WAIT_MS)


def alike(amina: Visitor, ben: Visitor, carol: Writer, *parts: str) -> str:
    """Waits until all three read the same, with each of these parts in it once; that text."""
    text = carol.reads(lambda read: all(read.count(part) == 1 for part in parts))
    for visitor in (amina, ben):
        expect(visitor.page.locator(".saved.good")).to_be_visible(timeout=WAIT_MS)
    text = str(carol.document.text)
    for visitor in (amina, ben):
        reads(visitor, text)
    return text


def test_a_document_typed_in_by_two_browsers_and_a_python_client_is_the_same_for_all_after_each_was_cut_off(
    amina: Visitor, ben: Visitor, carol: Writer, document: str
) -> None:
    type_at_end(amina, "Rivers begin in springs.\n")
    carol.reads(lambda text: "springs" in text)
    reads(ben, "Rivers begin in springs.\n")
    type_at_end(ben, "They end in lakes.\n")
    carol.reads(lambda text: "lakes" in text)
    carol.type("Some dry up.\n")
    reads(amina, "Rivers begin in springs.\nThey end in lakes.\nSome dry up.\n")

    ben.context.set_offline(True)
    expect(ben.page.locator(".saved.away")).to_be_visible(timeout=WAIT_MS)
    type_at_end(ben, "[ben alone]")
    type_at_end(amina, "[amina while ben is away]")
    carol.type("[carol while ben is away]", in_front=True)
    ben.context.set_offline(False)
    alike(amina, ben, carol, "[ben alone]", "[amina while ben is away]", "[carol while ben is away]")

    carol.do(carol.line.take_away)
    carol.type("[carol alone]")
    type_at_end(amina, "[amina while carol is away]")
    reads(ben, value(amina))
    amina.context.set_offline(True)
    expect(amina.page.locator(".saved.away")).to_be_visible(timeout=WAIT_MS)
    type_at_end(amina, "[amina alone]")
    type_at_end(ben, "[ben while both are away]")
    carol.do(carol.line.open)
    amina.context.set_offline(False)
    amina.page.evaluate("dispatchEvent(new Event('online'))")
    text = alike(amina, ben, carol, "[carol alone]", "[amina while carol is away]", "[amina alone]", "[ben while both are away]")
    assert text.count("Rivers begin in springs.") == 1 and text.count("[") == 7, text
    assert amina.wrong == [] and ben.wrong == []


def test_what_is_typed_without_a_network_outlives_a_reload(amina: Visitor, ben: Visitor, carol: Writer, document: str) -> None:
    before = alike(amina, ben, carol)
    assert ben.page.evaluate("navigator.serviceWorker.ready.then(() => !!navigator.serviceWorker.controller)")
    ben.context.set_offline(True)
    expect(ben.page.locator(".saved.away")).to_be_visible(timeout=WAIT_MS)
    type_at_end(ben, "\nUnder a tree, شجرة 🌳.")
    expect(ben.page.locator(".saved.away")).to_contain_text("not sent", timeout=WAIT_MS)
    kept(ben)
    ben.page.reload()
    reads(ben, f"{before}\nUnder a tree, شجرة 🌳.")
    type_at_end(ben, " And after it.")
    ben.shoot("document-offline-phone")
    kept(ben)
    ben.page.reload()
    reads(ben, f"{before}\nUnder a tree, شجرة 🌳. And after it.")
    carol.type("\n[meanwhile]")
    ben.context.set_offline(False)
    text = alike(amina, ben, carol, "Under a tree, شجرة 🌳. And after it.", "[meanwhile]")
    assert len(text) == len(before) + len("\nUnder a tree, شجرة 🌳. And after it.") + len("\n[meanwhile]")


def test_each_sees_where_the_others_are_and_undo_takes_back_ones_own_words_alone(
    amina: Visitor, ben: Visitor, carol: Writer, document: str
) -> None:
    before = alike(amina, ben, carol)
    area = ben.page.locator(AREA)
    area.click()
    area.press("Control+Home")
    expect(amina.page.locator(".here li", has_text="Ben Otieno")).to_contain_text("line 1", timeout=WAIT_MS)
    expect(amina.page.locator(".back .mark[data-name='Ben Otieno']")).to_have_count(1, timeout=WAIT_MS)
    type_at_end(amina, " mine")
    carol.type("theirs ", in_front=True)
    alike(amina, ben, carol, " mine", "theirs ")
    amina.page.locator(AREA).press("Control+z")
    reads(amina, f"theirs {before}")
    carol.reads(lambda text: text == f"theirs {before}")
    amina.page.locator(AREA).press("Control+y")
    alike(amina, ben, carol, " mine", "theirs ")
    amina.shoot("document-desktop")
    ben.shoot("document-phone")


def test_a_restored_version_reaches_everybody_and_what_was_not_in_it_is_left_as_a_text(
    amina: Visitor, ben: Visitor, carol: Writer, document: str
) -> None:
    before = alike(amina, ben, carol)
    page = amina.page
    page.goto(f"{amina.origin}/#{document}/versions")
    page.locator("#version").fill("First draft")
    page.locator("#version").press("Enter")
    version = page.locator(".version", has_text="First draft")
    expect(version).to_be_visible(timeout=WAIT_MS)
    carol.type("\nToo much.")
    reads(ben, f"{before}\nToo much.")
    ben.context.set_offline(True)
    expect(ben.page.locator(".saved.away")).to_be_visible(timeout=WAIT_MS)
    type_at_end(ben, " Ben's own.")
    version.locator("button").click()
    expect(version.locator(".old")).to_contain_text("Rivers begin", timeout=WAIT_MS)
    amina.shoot("versions-desktop")
    version.locator("button", has_text="Restore").click()
    version.locator("button.main").click()
    reads(amina, before)
    carol.reads(lambda text: text == before)
    ben.context.set_offline(False)
    reads(ben, before)
    left = ben.page.locator(".left textarea")
    expect(left).to_have_value(f"{before}\nToo much. Ben's own.", timeout=WAIT_MS)
    ben.page.wait_for_timeout(50)
    ben.page.reload()
    expect(left).to_have_value(f"{before}\nToo much. Ben's own.", timeout=WAIT_MS)
    ben.shoot("left-behind-phone")
    ben.page.locator(".left button").last.click()
    expect(ben.page.locator(".left")).to_have_count(0, timeout=WAIT_MS)
    type_at_end(ben, " Better.")
    assert alike(amina, ben, carol, " Better.") == f"{before} Better."
    assert amina.wrong == [] and ben.wrong == []


def test_who_may_only_read_a_document_cannot_type_in_it(amina: Visitor, ben: Visitor, carol: Writer, document: str) -> None:
    page = amina.page
    page.goto(f"{amina.origin}/#{document}/versions")
    page.locator("fieldset", has_text="writes").locator("label").last.click()
    page.locator("form button.main").click()
    expect(page.locator(".note.done")).to_be_visible(timeout=WAIT_MS)
    expect(ben.page.locator(AREA)).not_to_be_editable(timeout=WAIT_MS)
    expect(ben.page.locator(".saved")).to_contain_text("not write", timeout=WAIT_MS)
    page.goto(f"{amina.origin}/#{document}")
    type_at_end(amina, " Hers.")
    expect(ben.page.locator(AREA)).to_have_value(value(amina), timeout=WAIT_MS)


def test_axe_finds_nothing_on_the_pages_of_documents_in_either_direction(amina: Visitor, ben: Visitor, document: str) -> None:
    space = amina.page.locator(".place h2 a").first.get_attribute("href")
    assert space
    ben.page.goto(f"{ben.origin}/#/settings")
    ben.page.locator("label", has_text="العربية").click()
    expect(ben.page.locator("html")).to_have_attribute("dir", "rtl", timeout=WAIT_MS)
    found: dict[str, list[str]] = {}
    pages = {"documents": space.replace("/s/", "/documents/"), "document": f"#{document}", "versions": f"#{document}/versions"}
    for name, path in pages.items():
        for visitor, size in ((amina, "desktop"), (ben, "arabic-phone")):
            visitor.page.goto(f"{visitor.origin}/{path}")
            expect(visitor.page.locator(".document .head")).to_be_visible(timeout=WAIT_MS)
            if name == "versions":
                expect(visitor.page.locator(".version").first).to_be_visible(timeout=WAIT_MS)
            if name == "document":
                expect(visitor.page.locator(AREA)).to_be_visible(timeout=WAIT_MS)
            assert visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
            visitor.shoot(f"{name}-{size}")
            found[f"{name} {size}"] = faults(visitor.page)
    assert not any(found.values()), found
