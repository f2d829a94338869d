"""SIGKILL to whoever delivers webhooks, in the middle of a delivery: it arrives again, under the same id, and what is behind it follows."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest
import trio

from tests.fixtures_postgres import execute
from tests.gateway.receiver import receiving
from tests.system.running import Dev, community, register

pytestmark = pytest.mark.xdist_group("system-life")

LEASES_OVER = "update webhooks set leased_until = '-infinity'"


def jobs_process(dev: Dev) -> psutil.Process:
    """The process of the role `jobs`."""
    [found] = [one for one in psutil.Process(dev.process.pid).children(recursive=True) if "--role jobs" in " ".join(one.cmdline())]
    return found


async def test_a_delivery_whose_worker_is_killed_is_made_again_under_the_same_id_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDUCONNECT_WEBHOOKS_LOOPBACK_ALLOWED", "true")
    dev = await trio.to_thread.run_sync(lambda: Dev(tmp_path, "--gateways", "1", "--no-demo"))
    try:
        [url] = dev.urls
        dsn = jobs_process(dev).environ()["EDUCONNECT_DATABASE_DSN"]
        credentials = await register(url)
        async with receiving() as receiver, community(url, founder=credentials) as (owner, space, general):
            receiver.answers = [None]
            async with httpx.AsyncClient(base_url=url, timeout=20) as client:
                wanted = {"name": "timetable", "url": receiver.url, "events": ["message.posted"]}
                token = {"Authorization": f"Bearer {credentials.login.access_token}"}
                made = await client.post(f"/api/v1/communities/{space}/webhooks", json=wanted, headers=token)
                assert made.status_code == 201, made.text
            for text in ("one", "two", "three"):
                await owner.say(general, text)
            await receiver.wait(1)
            await trio.to_thread.run_sync(jobs_process(dev).kill)
            # What waiting for some 45 seconds would do.
            await trio.to_thread.run_sync(partial(execute, dsn, LEASES_OVER))
            await receiver.wait(4)
            assert receiver.texts == ["one", "one", "two", "three"]
            assert receiver.came[0].id == receiver.came[1].id and all(one.verified(made.json()["secret"]) for one in receiver.came)
    finally:
        await trio.to_thread.run_sync(dev.stop)
