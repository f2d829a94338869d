"""The npm package `ws`, run by node."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import trio

from tests import needs
from tests.gateway.public_port import open_port

CLIENT = Path(__file__).with_name("ws_client.mjs")
WS_VERSION = "8"


@pytest.fixture(scope="module")
def modules() -> Path:
    return needs.node_modules("ws", WS_VERSION, "ws is one of four clients that must understand us")


async def test_ws_gets_back_what_it_sent_whole_in_fragments_and_with_pings_between(modules: Path) -> None:
    async with open_port() as port:
        command = ["node", str(CLIENT), port.url, str(modules)]
        done = await trio.run_process(command, capture_stdout=True, stderr=subprocess.STDOUT, check=False)
        assert done.returncode == 0, done.stdout
        result = json.loads(done.stdout)
        assert result == {
            "subprotocol": "educonnect.v1",
            "extensions": "",
            "echoed": 9,
            "pong": "between",
            "fragmented": "fragmented",
            "close": [4321, "so long"],
        }
        session = await port.session()
        await session.until(lambda: session.ends)
        assert session.ends == [(4321, "so long")]
