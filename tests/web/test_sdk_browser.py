"""The TypeScript SDK in a real browser: IndexedDB, several tabs with one socket, a tab that goes, a reload without a network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from playwright.sync_api import BrowserContext, Page, Route, sync_playwright

from supervisors.settings import Listen
from tests.fixtures_postgres import database, postgres_server, postgres_template
from tests.fixtures_valkey import TestValkey, valkey, valkey_server
from tests.needs import require
from tests.system.inside import gateways, settings_for
from tests.web.test_sdk import run_node, sdk

__all__ = ["database", "postgres_server", "postgres_template", "sdk", "valkey", "valkey_server"]

pytestmark = pytest.mark.xdist_group("web-sdk")

FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-features=LocalNetworkAccessChecks"]
"""The page comes from the test and not from the network, so the browser takes the gateway for a machine of somebody's home."""
PATIENCE_MS = 15_000
PAGE = """<!doctype html><meta charset="utf-8"><script type="module">
import { openClient } from "/sdk/index.js";
const client = await openClient();
const until = (live, wanted) => new Promise((resolve) => {
  const off = live.subscribe((value) => { if (wanted(value)) { queueMicrotask(() => off()); resolve(value); } });
});
const texts = (stream) => until(client.follow(stream), ({ messages, caughtUp }) => caughtUp || messages.length)
  .then(({ messages }) => messages.map(({ text, state }) => [text, state]));
Object.assign(window, { client, until, texts, ready: true });
</script>"""


@pytest.fixture
def chromium() -> str:
    return require("chromium", "runs the web SDK in a browser")


@contextmanager
def browser(chromium: str, script: Path, url: str) -> Iterator[BrowserContext]:
    """A browser that knows one more page of the server's origin: one that loads the SDK and nothing else."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        try:
            context = running.new_context()
            context.set_default_timeout(PATIENCE_MS)
            context.route(f"{url}/page", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
            context.route(f"{url}/sdk/*", lambda route: route.fulfill(path=script / route.request.url.partition("?")[0].rpartition("/")[2]))
            yield context
        finally:
            running.close()


class Tab:
    """A page, the sockets that it opened, and what its client says."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.page: Page = context.new_page()
        self.sockets = 0
        self.page.on("websocket", self._count)
        self.page.goto(f"{url}/page")
        self.wait("window.ready")

    def _count(self, _: object) -> None:
        self.sockets += 1

    def wait(self, condition: str) -> None:
        self.page.wait_for_function(f"() => {condition}")

    def do(self, script: str) -> Any:
        return self.page.evaluate(f"async () => {{ {script} }}")

    def reload(self) -> None:
        self.page.reload()
        self.wait("window.ready")


def use_two_tabs(chromium: str, script: Path, url: str) -> None:
    with browser(chromium, script, url) as context:
        first, second = Tab(context, url), Tab(context, url)
        first.do("await client.signUp('tabs', 'a long enough word')")
        second.wait("client.status.value.state === 'online'")
        assert [tab.do("return client.status.value.leader") for tab in (first, second)] == [True, False]
        stream = second.do(
            "const space = await client.submit({ type: 'CreateCommunity', name: 'Seven springs' });"
            "const { spaces } = await until(client.places, (places) => places.spaces.some((one) => one.space === space));"
            "return spaces.find((one) => one.space === space).streams.find((one) => one.kind === 3).stream"
        )
        second.do(f"await client.say({stream}, 'from the second tab')")
        first.do(f"await until(client.follow({stream}), (one) => one.messages.some((said) => said.text === 'from the second tab'))")
        # A refusal crosses from tab to tab as what it is.
        refused = second.do(f"return client.edit({stream}, 99, 'x').catch((error) => [error instanceof Error, error.code > 0])")
        assert refused == [True, True]
        assert (first.sockets, second.sockets) == (1, 0), "two tabs share one socket"

        said = second.page.evaluate_handle(f"() => ({{ value: client.say({stream}, 'while the first tab goes') }})")
        first.page.close()
        second.wait("client.status.value.leader && client.status.value.state === 'online'")
        said.evaluate("async ({ value }) => { await value }")
        assert second.sockets == 1

        context.set_offline(True)
        second.reload()
        assert ["while the first tab goes", "sent"] in second.do(f"return texts({stream})"), "what was there is there without a network"
        second.do(f"void client.say({stream}, 'without a network').catch(() => undefined); await new Promise((go) => setTimeout(go, 100))")
        second.reload()
        assert ["without a network", "waiting"] in second.do(f"return texts({stream})")
        context.set_offline(False)
        second.do("client.hurry(); await client.synced()")
        third = Tab(context, url)
        third.do(f"await until(client.follow({stream}), (one) => one.messages.some((said) => said.text === 'without a network'))")
        told = [text for text, state in third.do(f"return texts({stream})") if state == "sent"]
        assert told.count("without a network") == told.count("while the first tab goes") == 1

        third.do("await client.logOut()")
        second.wait("client.status.value.state === 'signed-out' && client.places.value.spaces.length === 0")


def lose_a_script(chromium: str, script: Path, url: str) -> None:
    """Chromium asks once for a script under its address: what could not be had then is asked for under another one."""
    lost: list[str] = []

    def lose(route: Route) -> None:
        lost.append(route.request.url)
        route.abort()

    with browser(chromium, script, url) as context:
        context.route(re.compile(r"/sdk/rest-[^?]*\.js$"), lose)
        tab = Tab(context, url)
        tab.do("await client.signUp('lost', 'a long enough word')")
        tab.wait("client.status.value.state === 'online'")
        tab.do("await client.synced()")
        assert lost


async def test_tabs_share_a_socket_and_a_reload_without_a_network_loses_nothing(
    sdk: Path, chromium: str, database: str, valkey: TestValkey, tmp_path: Path
) -> None:
    run_node(sdk, "--size")
    settings = settings_for(database, valkey.url, tmp_path, listen=Listen(port=0, origins=("*",)))
    async with gateways(settings, tmp_path / "run") as [house]:
        await trio.to_thread.run_sync(use_two_tabs, chromium, sdk / "build" / "esm", house.url)


async def test_a_script_that_was_lost_on_its_way_is_asked_for_again(
    sdk: Path, chromium: str, database: str, valkey: TestValkey, tmp_path: Path
) -> None:
    run_node(sdk, "--size")
    settings = settings_for(database, valkey.url, tmp_path, listen=Listen(port=0, origins=("*",)))
    async with gateways(settings, tmp_path / "run") as [house]:
        await trio.to_thread.run_sync(lose_a_script, chromium, sdk / "build" / "esm", house.url)
