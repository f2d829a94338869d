"""Debian's Chromium at the device's end of the link, four times slower than this machine, and what it says of a page.

    Playwright ─ pipe ─▶ nsenter ─▶ Chromium ─ TLS ─ TUN ═ rate, delay, losses ═ TUN ─▶ the house

A page's own clock begins with the navigation. A script that runs before the page's asks at each frame whether it can be used; what was
found is painted one frame later, and that is the time that counts. The browser has all its own ways: preloads, six connections, caches.

Invariant: what is measured is asked of the page itself; no time of this process or of Playwright is in it.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import BrowserContext, CDPSession, Page, Playwright

from bench.generator import GeneratorFailed
from bench.link import SERVER_ADDRESS, Link
from bench.page_house import HOST, PASSWORD, READER
from bench.peer import PeerMissing
from bench.sync_link_tls import TlsFiles

PHONE: Final = {"width": 360, "height": 740}
CPU_SLOWER: Final = 4
WAIT_MS: Final = 120_000
LOOK_MS: Final = 50
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
)
USABLE: Final = """
(() => {
  const seen = (window.benchSeen = {});
  const there = {
    door: () => document.querySelector("#name") && document.querySelector("main.door form button.main:not([disabled])"),
    chat: () => document.querySelector(".message .text") && document.querySelector(".talk textarea:not([disabled])"),
    online: () => document.querySelector(".sync.good"),
  };
  const look = () => {
    for (const name in there)
      if (!(name in seen) && there[name]()) {
        seen[name] = 0;
        requestAnimationFrame(() => (seen[name] = performance.now()));
      }
    if (!seen.over) requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})();
"""
"""When something can be used: milliseconds since the navigation, by name, of the frame after the one in which it was found."""


class Fetched(msgspec.Struct):
    """A file that the page asked for. `bytes`: what came over the line for it, head and body; `body_bytes`: as its sender packed it."""

    path: str
    kind: str
    asked_ms: float
    """Since the navigation."""
    bytes: int = 0
    body_bytes: int = 0
    done_ms: float = 0.0
    """0: not whole yet."""


def wrapper(link: Link, folder: Path) -> Path:
    """A program that runs Chromium at the device's end. Raises `PeerMissing`."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise PeerMissing("the app is measured in a real browser: Debian's package chromium")
    path = folder / "chromium-at-the-link"
    path.write_text(f'#!/bin/sh\nexec {" ".join(link.in_client([chromium]))} "$@"\n')
    path.chmod(0o755)
    return path


def trusting(tls: TlsFiles) -> list[str]:
    """Flags that name the house and trust its certificate, and nobody else's."""
    leaf = x509.load_pem_x509_certificate(Path(tls.chain).read_bytes())
    key = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pin = base64.b64encode(hashlib.sha256(key).digest()).decode()
    return [f"--ignore-certificate-errors-spki-list={pin}", f"--host-resolver-rules=MAP {HOST} {SERVER_ADDRESS}"]


@contextmanager
def open_profile(playwright: Playwright, program: Path, tls: TlsFiles, folder: Path, *flags: str) -> Iterator[BrowserContext]:
    """A browser with a profile in `folder`, which keeps what a phone's would: files, scripts' compiled code, the log-in."""
    context = playwright.chromium.launch_persistent_context(
        folder,
        executable_path=program,
        args=[*FLAGS, *trusting(tls), *flags],
        viewport=PHONE,  # type: ignore[arg-type]
        device_scale_factor=2,
        is_mobile=True,
        has_touch=True,
        locale="en",
    )
    context.set_default_timeout(WAIT_MS)
    context.add_init_script(USABLE)
    try:
        yield context
    finally:
        context.close()


class Visit:
    """One page of a browser, from before its navigation."""

    def __init__(self, context: BrowserContext, *, slower: int = CPU_SLOWER) -> None:
        self.page: Page = context.new_page()
        self.wrong: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.cdp: CDPSession = context.new_cdp_session(self.page)
        self.fetched: dict[str, Fetched] = {}
        self._began_s = 0.0
        self._listen()
        self.cdp.send("Network.enable")
        self.slower(slower)

    def slower(self, times: int) -> None:
        """The page's CPU is so many times slower than this machine's from now on."""
        self.cdp.send("Emulation.setCPUThrottlingRate", {"rate": times})

    def _listen(self) -> None:
        on: Mapping[str, Callable[[dict[str, Any]], None]] = {
            "Network.requestWillBeSent": self._asked,
            "Network.responseReceived": self._answered,
            "Network.loadingFinished": self._finished,
        }
        for name, heard in on.items():
            self.cdp.on(name, heard)

    def _asked(self, said: dict[str, Any]) -> None:
        if not self._began_s:
            self._began_s = said["timestamp"]
        path = said["request"]["url"].partition(HOST)[2] or said["request"]["url"]
        self.fetched[said["requestId"]] = Fetched(path, said.get("type", ""), self._since_ms(said))

    def _answered(self, said: dict[str, Any]) -> None:
        if one := self.fetched.get(said["requestId"]):
            answer = said["response"]
            one.kind = said["type"]
            if not answer.get("fromServiceWorker") and not answer.get("fromDiskCache"):
                sizes = {name.lower(): value for name, value in answer["headers"].items()}
                one.body_bytes = int(sizes.get("content-length", 0))

    def _finished(self, said: dict[str, Any]) -> None:
        if one := self.fetched.get(said["requestId"]):
            one.bytes = int(said["encodedDataLength"])
            one.done_ms = self._since_ms(said)

    def _since_ms(self, said: Mapping[str, Any]) -> float:
        return (float(said["timestamp"]) - self._began_s) * 1000

    def go(self, url: str) -> None:
        """Begins the navigation, and waits until its answer comes."""
        self.page.goto(url, wait_until="commit")

    def usable_ms(self, what: str) -> float:
        """Waits until it can be used (`USABLE`); when that was."""
        at: float = self.until(f"window.benchSeen?.{what}")
        return at

    def until(self, question: str) -> Any:
        """Asks the page again and again, until the answer is not false. (Playwright's own way to wait evaluates inside the page, which the
        app's policy forbids.)"""
        deadline_s = time.monotonic() + WAIT_MS / 1000
        while not (answer := self.page.evaluate(question)):
            if time.monotonic() > deadline_s:
                raise GeneratorFailed(f"the page waited in vain for {question}: {self.wrong}")
            self.page.wait_for_timeout(LOOK_MS)
        return answer

    def asked_ms(self, path: str) -> float:
        """Waits until the page has asked for it; when that was."""
        while not (found := [one.asked_ms for one in self.fetched.values() if one.path == path]):
            self.page.wait_for_timeout(LOOK_MS)
        return found[0]

    def before(self, usable_ms: float) -> list[Fetched]:
        """What had come by then."""
        return [one for one in self.fetched.values() if 0 < one.done_ms <= usable_ms]

    def close(self) -> None:
        self.page.close()


def log_in(context: BrowserContext, origin: str) -> None:
    """Lets the reader in at the door, on whatever link there is, and waits until everything is there."""
    visit = Visit(context, slower=1)
    visit.go(origin)
    visit.usable_ms("door")
    page = visit.page
    page.locator("#name").fill(READER)
    page.locator("#password").fill(PASSWORD)
    page.locator("main.door form button.main").click()
    visit.usable_ms("online")
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    visit.until("!!navigator.serviceWorker.controller")
    visit.close()


def forget_app(context: BrowserContext, origin: str) -> None:
    """Takes from the browser everything that the app is made of, and leaves it what the person has there."""
    page = context.new_page()
    cdp = context.new_cdp_session(page)
    cdp.send("Network.clearBrowserCache")
    cdp.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "service_workers,cache_storage,shader_cache"})
    page.close()
