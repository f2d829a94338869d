"""One house a run for all that use the web app, and a browser a module (only one Playwright may run at a time)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests import needs
from tests.system.running import Dev
from tests.system.test_passkeys import FLAGS


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """Without models and without the demonstration's people. Tests make people and communities of their own in it."""
    needs.require("chromium", "the web app is used in a real browser")
    running = Dev(tmp_path_factory.mktemp("app"), "--no-demo")
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
