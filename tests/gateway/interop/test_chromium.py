"""A browser's own WebSocket: a page served by the public port talks to the socket of the same port, and reports back over HTTP."""

from __future__ import annotations

import json
import os
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from gateway.handshake import Policy
from tests import needs
from tests.gateway.public_port import hello, open_port

PAGE = Path(__file__).with_name("page.html").read_bytes()
BROWSER_S = 60.0
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--no-proxy-server",
)


class Site:
    """Serves the page and waits for its report."""

    def __init__(self) -> None:
        self.report: dict[str, Any] = {}
        self.reported = trio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await hello(scope, receive, send)
            return
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        known = scope["path"] in ("/", "/report")
        await send({"type": "http.response.start", "status": 200 if known else 404, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": PAGE if scope["path"] == "/" else b""})
        if scope["path"] == "/report":
            self.report = json.loads(body)
            self.reported.set()


@pytest.fixture(scope="module")
def chromium() -> str:
    return needs.require("chromium", "a real browser is one of four clients that must understand us")


async def test_chromium_gets_back_what_it_sent_and_hears_our_code_and_reason(chromium: str, tmp_path: Path) -> None:
    site = Site()
    async with open_port(app=site, policy=Policy(origins=("*",))) as port:
        environment = os.environ | {"HOME": str(tmp_path)}
        command = [chromium, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", f"http://127.0.0.1:{port.number}/"]
        async with trio.open_nursery() as nursery:
            run = partial(trio.run_process, command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, check=False)
            browser: trio.Process = await nursery.start(run)
            with trio.fail_after(BROWSER_S):
                await site.reported.wait()
            browser.terminate()
        assert site.report == {
            "echoed": 9,
            "subprotocol": "educonnect.v1",
            "extensions": "",
            "close": [4321, "so long", True],
            "elsewhere": 1006,
        }
        session = await port.session()
        assert session.ends == [(4321, "so long")]
        assert session.peer.origin == f"http://127.0.0.1:{port.number}"
