"""One house a run for all that use the web app, and a browser a module (only one Playwright may run at a time)."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests import needs
from tests.system.running import Dev
from tests.system.test_passkeys import FLAGS
from tests.web.visitors import DESKTOP, PHONE, Visitor


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """Without models and without the demonstration's people. Tests make people and communities of their own in it. Its port is known
    before, so that there are passkeys at `localhost`, and it may push to services of this machine."""
    needs.require("chromium", "the web app is used in a real browser")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDUCONNECT_PUSH_LOOPBACK_ALLOWED", "true")
        patch.setenv("EDUCONNECT_TRUST_MENTORING", "0")  # how somebody comes to be trusted is claimed elsewhere
        running = Dev(tmp_path_factory.mktemp("app"), "--no-demo", "--port", str(port))
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def origin(house: Dev) -> str:
    return house.urls[0]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = needs.require("chromium", "the web app is used in a real browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def amina(browser: Browser, origin: str) -> Iterator[Visitor]:
    """Signed up, at a desk."""
    visitor = Visitor(browser, origin, "amina", DESKTOP)
    visitor.sign_up("Amina Njeri")
    yield visitor
    visitor.context.close()


@pytest.fixture(scope="module")
def ben(browser: Browser, origin: str) -> Iterator[Visitor]:
    """Signed up, with a phone."""
    visitor = Visitor(browser, origin, "ben", PHONE)
    visitor.sign_up("Ben Otieno")
    yield visitor
    visitor.context.close()
