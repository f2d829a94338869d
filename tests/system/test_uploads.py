"""Files with messages, as people send and see them: HTTP, the jobs' process, live sockets on another gateway."""

from __future__ import annotations

import hashlib
import io
import random
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from PIL import Image

from client import Credentials, MutationRefused, Session, connect
from client.uploads import FileSender, UploadRefused
from protocol.codes import Code
from protocol.events import Posted
from protocol.frames import Event
from protocol.operations import Post
from protocol.values import Role
from tests.system.running import Dev, community, register

pytestmark = pytest.mark.xdist_group("system")


def photo(width: int = 900, height: int = 600, kind: str = "JPEG", **options: Any) -> bytes:
    """A picture with something in it, on its side by its EXIF where `exif` says so."""
    picture = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def api(url: str, credentials: Credentials) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {credentials.login.access_token}"}, timeout=20)


async def links(client: httpx.AsyncClient, stream: int, seq: int) -> list[dict[str, Any]]:
    answer = await client.post("/api/v1/media/links", json={"stream": stream, "messages": [seq]})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["files"])


async def until_rendered(client: httpx.AsyncClient, stream: int, seq: int) -> list[dict[str, Any]]:
    deadline = trio.current_time() + 30
    while not (found := (await links(client, stream, seq)))[0]["renditions"]:
        assert trio.current_time() < deadline, "no renditions"
        await trio.sleep(0.1)
    return list(found[0]["renditions"])


async def posted(session: Session, stream: int) -> Event:
    with trio.fail_after(20):
        async for item in session.events():
            if isinstance(item, Event) and item.stream == stream and isinstance(item.body, Posted):
                return item
    raise AssertionError("the session ended")


async def test_a_photo_is_sent_with_a_message_and_seen_by_those_who_may_and_by_nobody_else(dev: Dev, tmp_path: Path) -> None:
    here, there = dev.urls
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "SECRET CAMERA"
    raw = photo(exif=exif)
    await trio.Path(tmp_path / "my photo.jpg").write_bytes(raw)
    learner_is, owner_is, stranger_is = await register(there), await register(here), await register(there)
    async with (
        connect(there, learner_is) as learner,
        community(here, (learner, Role.LEARNER), founder=owner_is) as (owner, _, general),
        api(there, learner_is) as client,
        api(here, stranger_is) as stranger,
    ):
        learner.follow(general)
        sender = FileSender(here, owner_is, random.random)
        sent = await sender.send(tmp_path / "my photo.jpg", "../../etc/my photo.jpg")
        await sender.aclose()
        assert (sent.name, sent.media_type, sent.size, sent.width, sent.height) == ("my photo.jpg", "image/jpeg", len(raw), 600, 900)

        done = await owner.submit(Post(general, "look", attachments=(sent.id,))).wait()
        event = await posted(learner, general)
        (file,) = event.body.attachments  # type: ignore[union-attr]
        assert (file.id, file.name, file.hash) == (sent.id, "my photo.jpg", hashlib.sha256(raw).digest())
        assert 0 < len(file.placeholder) <= 40

        renditions = await until_rendered(client, general, done)
        assert {one["name"] for one in renditions} == {f"{w}.{k}" for w in (160, 320, 640) for k in ("webp", "avif")}
        for one in renditions:
            got = await client.get(one["url"])
            assert got.status_code == 200 and got.headers["content-type"] == one["media_type"] and len(got.content) == one["bytes"]
            assert b"SECRET" not in got.content
            assert Image.open(io.BytesIO(got.content)).size == (one["width"], one["height"])
            assert got.headers["cache-control"] == "private, max-age=31536000, immutable"
            assert "sandbox" in got.headers["content-security-policy"] and got.headers["x-content-type-options"] == "nosniff"
        url = renditions[0]["url"]
        whole = (await client.get(url)).content
        part = await client.get(url, headers={"range": "bytes=3-9"})
        assert (part.status_code, part.content, part.headers["content-range"]) == (206, whole[3:10], f"bytes 3-9/{len(whole)}")
        assert (await client.get(url, headers={"range": "bytes=-4"})).content == whole[-4:]
        assert (await client.get(url, headers={"range": f"bytes={len(whole)}-"})).status_code == 416
        assert (await client.get(url, headers={"if-none-match": part.headers["etag"]})).status_code == 304
        # Without a link, or with another's, there is nothing; nobody is told of what they may not read.
        assert (await client.get(url.partition("?")[0])).status_code == 404
        assert (await client.get(url.replace("/160", "/320"))).status_code == 404
        assert (await client.get(url.replace(renditions[0]["name"], "original"))).status_code == 404
        assert await links(stranger, general, done) == []
        # It goes with one message, and with nobody else's.
        for who in (owner, learner):
            with pytest.raises(MutationRefused) as refused:
                await who.submit(Post(general, "again", attachments=(sent.id,))).wait()
            assert refused.value.code == Code.NOT_FOUND


async def test_what_is_no_picture_although_it_says_so_is_refused_and_nobody_can_send_it(dev: Dev, tmp_path: Path) -> None:
    here = dev.urls[0]
    credentials = await register(here)
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 400)
    sender = FileSender(here, credentials, random.random)
    with pytest.raises(UploadRefused, match="cannot be shown"):
        await sender.send(path)
    async with api(here, credentials) as client:
        (own,) = (await client.get("/api/v1/uploads")).json()["uploads"]
        assert own["state"] == 5
    await sender.aclose()
