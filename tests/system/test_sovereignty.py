"""Taking one's data away and having it erased, as an owner and a person meet it: HTTP, the jobs' process, live sockets."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from client import Credentials, MutationRefused, Session, connect
from persistence.sovereignty.archive import Reader
from protocol.codes import Code
from protocol.events import Cleared, SpaceLeft
from protocol.frames import Event
from protocol.values import Role
from tests.system.running import PASSWORD, Dev, community, ended, register

pytestmark = pytest.mark.xdist_group("system")


def api(url: str, credentials: Credentials) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {credentials.login.access_token}"}, timeout=20)


async def fetch_archive(client: httpx.AsyncClient, path: str, to: Path) -> dict[str, Any]:
    """Asks, waits until it is ready, and takes it away part by part."""
    asked = await client.post(path)
    assert asked.status_code == 202, asked.text
    with trio.fail_after(60):
        while not (found := (await client.get(path)).json())["ready"]:
            assert not found["error"], found
            await trio.sleep(0.1)
    parts = []
    while (part := await client.get(f"{path}/{len(parts)}")).status_code == 200:
        parts.append(part.content)
    whole = b"".join(parts)
    await trio.Path(to).write_bytes(whole)
    assert len(whole) == found["bytes"] and hashlib.sha256(whole).hexdigest() == found["sha256"]
    return dict(found)


async def test_an_owner_takes_the_community_away_and_nobody_else_can(dev: Dev, tmp_path: Path) -> None:
    here, there = dev.urls
    learner_is, owner_is = await register(there), await register(here)
    async with (
        connect(there, learner_is) as learner,
        community(here, (learner, Role.LEARNER), founder=owner_is) as (owner, space, general),
    ):
        await owner.say(general, "ours")
        await learner.say(general, "and mine")
        async with api(here, owner_is) as client:
            await fetch_archive(client, f"/communities/{space}/archive", tmp_path / "school.zip")
        async with api(there, learner_is) as client:
            assert (await client.post(f"/communities/{space}/archive")).status_code == 403
            assert (await client.get(f"/communities/{space}/archive/0")).status_code == 403
        async with api(there, await register(there)) as client:
            assert (await client.post(f"/communities/{space}/archive")).status_code == 404
    with Reader(tmp_path / "school.zip") as archive:
        archive.verify()
        said = [row["says"].get("text") for group in archive.rows("log.ndjson") for row in group]
        assert {"ours", "and mine"} <= set(said)


async def test_an_erased_community_is_gone_for_everybody_at_once(dev: Dev) -> None:
    here, there = dev.urls
    owner_is = await register(here)
    async with (
        connect(there, await register(there)) as learner,
        community(here, (learner, Role.LEARNER), founder=owner_is) as (owner, space, general),
    ):
        await owner.say(general, "soon gone")
        async with api(here, owner_is) as client:
            assert (await client.post(f"/communities/{space}/erase", json={"name": "something else"})).status_code == 400
            assert (await client.post(f"/communities/{space}/erase", json={"name": "A school"})).status_code == 202
        await heard(learner, SpaceLeft)
        with pytest.raises(MutationRefused) as refused:
            await learner.say(general, "hello?")
        assert refused.value.code is Code.NOT_FOUND


async def test_an_erased_person_is_out_on_every_device_and_their_words_are_cleared_for_others(dev: Dev, tmp_path: Path) -> None:
    here, there = dev.urls
    ada_is = await register(there)
    async with connect(there, ada_is) as ada, community(here, (ada, Role.LEARNER)) as (owner, _, general):
        await ada.say(general, "forget this")
        owner.follow(general)
        async with api(there, ada_is) as client:
            await fetch_archive(client, "/account/archive", tmp_path / "ada.zip")
            me = (await client.get("/auth/me")).json()
            assert (await client.post("/account/erase", json={"name": me["name"]})).status_code == 202
        assert await ended(ada) == Code.REVOKED
        cleared = await heard(owner, Cleared)
        assert cleared.author == ada.user
        page = await owner.history(general)
        assert b"forget this" not in b"".join(bytes(event.body) for event in page.events)
        async with httpx.AsyncClient(base_url=here) as client:
            again = await client.post("/api/v1/auth/login", json={"name": me["name"], "password": PASSWORD})
            assert again.status_code == 401


async def heard(session: Session, kind: type[Any]) -> Any:
    with trio.fail_after(30):
        async for event in session.events():
            if isinstance(event, Event) and isinstance(event.body, kind):
                return event.body
    raise AssertionError("the session ended")
