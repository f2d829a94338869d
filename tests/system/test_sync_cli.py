"""`educonnect sync` against the running system: two devices of a mentor and one of a learner, each a file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import trio

from client import connect
from client.sync import sync
from protocol.values import Role
from tests.system.running import PASSWORD, Dev, community, register

pytestmark = pytest.mark.xdist_group("system")


class Device:
    """A store, and who uses it."""

    def __init__(self, store: Path, url: str, name: str) -> None:
        self._given = ["--store", str(store), "--url", url, "--name", name, "--password", PASSWORD, "--wait", "20"]

    async def __call__(self, *words: str, status: int = 0) -> str:
        printed: list[str] = []
        ended = await sync([*self._given, *words], printed.append)
        text = "\n".join([*printed, ""])
        assert ended == status, f"{words}: {ended}\n{text}"
        return text


async def test_days_offline_on_two_devices_end_in_what_a_person_decided(dev: Dev, tmp_path: Path) -> None:
    url = dev.urls[0]
    mentor, learner = await register(url), await register(url)
    async with connect(url, mentor) as one, connect(url, learner) as two:
        async with community(url, (one, Role.MENTOR), (two, Role.LEARNER)) as (_, space, _channel):
            pass
    phone = Device(tmp_path / "phone.db", url, mentor.login.name)
    laptop = Device(tmp_path / "laptop.db", dev.urls[-1], mentor.login.name)
    other = Device(tmp_path / "other.db", url, learner.login.name)

    await phone("put", "content", "new", "title=Bread", "text=Flour and water.", "--in", str(space))
    await laptop("now")
    key = re.findall(r"content (\d+)", await laptop("list", "content"))[0]
    await phone("--offline", "put", "content", key, "text=Rye flour and water.", status=3)
    await phone("--offline", "put", "profile", "languages=sw,en", status=3)
    await laptop("--offline", "put", "profile", "about=I bake", status=3)
    await laptop("put", "content", key, "text=Flour and warm water.")
    assert "1 conflict to be decided" in await phone("now")

    shown = await phone("--offline", "conflicts", "show", number := (await phone("conflicts", "list")).split()[0])
    assert "together: Rye flour and warm water." in shown
    await phone("--offline", "conflicts", "resolve", number, "--merged", status=3)
    await phone("--http", "now")
    assert "Rye flour and warm water." in await laptop("--fresh", "get", "content", key)
    assert await laptop("get", "profile") == "profile 1 (your own)\n  about: I bake\n  languages: sw, en\n"

    place = re.findall(r"(\d+)  .*: text: Flour and warm water\.", await laptop("versions", "content", key))[0]
    await laptop("restore", "content", key, "--place", place)
    assert "Flour and warm water." in await phone("--fresh", "get", "content", key)

    assert "refused" in await other("put", "content", key, "title=Mine", "--in", str(space), status=1)
    assert "title: Mine" in await other("unapplied", "list", "--server")
    await other("put", "progress", "7", "percent=100", "--in", str(space))
    await phone("set-back", str(space), str(learner.user), "7", "--percent", "20")
    assert "percent: 20" in await other("--fresh", "get", "progress", "7")


async def test_a_copied_store_is_another_device_and_loses_nothing(dev: Dev, tmp_path: Path) -> None:
    url = dev.urls[0]
    person = await register(url)
    first, copied = (Device(tmp_path / f"{which}.db", url, person.login.name) for which in ("first", "copied"))
    await first("put", "profile", "about=one")
    await first("--offline", "put", "bookmark", "new", "note=in both", status=3)
    content = await trio.Path(tmp_path / "first.db").read_bytes()
    await trio.Path(tmp_path / "copied.db").write_bytes(content)
    await first("put", "bookmark", "new", "note=of the first")
    await copied("put", "bookmark", "new", "note=of the copy")
    for device in (first, copied, first):
        await device("now")
        assert "Nothing waits to be sent" in await device("status")
    notes = [re.findall("note: (.*)", await device("list", "bookmark")) for device in (first, copied)]
    assert sorted(notes[0]) == sorted(notes[1]) == ["in both", "of the copy", "of the first"]
