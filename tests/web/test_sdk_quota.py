"""The SDK where a browser gives it little room: what the server has gives way, what was written without a network never does."""

from __future__ import annotations

from pathlib import Path

import trio

from supervisors.settings import Listen, Moderation
from tests.fixtures_postgres import database, postgres_server, postgres_template
from tests.fixtures_valkey import TestValkey, valkey, valkey_server
from tests.system.inside import gateways, settings_for
from tests.web.test_sdk import run_node, sdk
from tests.web.test_sdk_browser import Tab, browser, chromium, pytestmark

__all__ = ["chromium", "database", "postgres_server", "postgres_template", "pytestmark", "sdk", "valkey", "valkey_server"]

LEFT = 20_000
"""Bytes that the browser has for this origin besides what is there."""
KEPT = """const { usage } = await navigator.storage.estimate();
  const open = indexedDB.open("educonnect");
  const rows = await new Promise((found) => { open.onsuccess = () => {
    const names = open.result.transaction("rows").objectStore("rows").getAllKeys();
    names.onsuccess = () => { open.result.close(); found(names.result); };
  } });
  return { usage, unsent: rows.filter((name) => name.startsWith("m/")).length };"""


def write_on_a_full_disk(chromium: str, script: Path, url: str) -> None:
    with browser(chromium, script, url) as context:
        tab = Tab(context, url)
        tab.do("await client.signUp('small', 'a long enough word')")
        stream = tab.do(
            "const space = await client.submit({ type: 'CreateCommunity', name: 'Seven springs' });"
            "const { spaces } = await until(client.places, (places) => places.spaces.some((one) => one.space === space));"
            "return spaces.find((one) => one.space === space).streams.find((one) => one.kind === 3).stream"
        )
        # A conversation that takes far more than the bytes that are left.
        tab.do(f"for (let n = 0; n < 60; n++) void client.say({stream}, `${{n}} ` + 'x'.repeat(2000)); await client.synced()")
        before = tab.do(KEPT)
        quota = {"origin": url, "quotaSize": before["usage"] + LEFT}
        context.new_cdp_session(tab.page).send("Storage.overrideQuotaForOrigin", quota)
        context.set_offline(True)
        texts = [f"written on a full disk {n} " + "y" * 2000 for n in range(20)]
        refused = tab.do(
            f"let refused = 0; for (const text of {texts}) void client.say({stream}, text).catch(() => refused++);"
            "await new Promise((go) => setTimeout(go, 300)); return refused"
        )
        assert refused == 0
        tab.reload()
        assert tab.do(KEPT)["unsent"] == len(texts)
        waiting = [text for text, state in tab.do(f"return texts({stream})") if state == "waiting"]
        assert waiting == texts, "all of it is there after a reload without a network"
        context.set_offline(False)
        tab.do("client.hurry(); await client.synced()")
        told = tab.do(f"return until(client.follow({stream}), (one) => one.caughtUp).then((one) => one.messages.map(({{ text }}) => text))")
        assert told[-len(texts) :] == texts and len(set(told)) == len(told), "and it is said once"
        assert tab.do("return client.status.value.failed") == 0


async def test_what_is_written_on_a_full_disk_without_a_network_is_kept_and_said(
    sdk: Path, chromium: str, database: str, valkey: TestValkey, tmp_path: Path
) -> None:
    run_node(sdk, "--size")
    sections = {"listen": Listen(port=0, origins=("*",)), "moderation": Moderation(flooding=False)}
    settings = settings_for(database, valkey.url, tmp_path, **sections)
    async with gateways(settings, tmp_path / "run") as [house]:
        await trio.to_thread.run_sync(write_on_a_full_disk, chromium, sdk / "build" / "esm", house.url)
