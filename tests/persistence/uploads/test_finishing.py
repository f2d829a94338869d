"""What becomes of a file when it is there: by its bytes, whatever its name says and whoever sent it."""

from __future__ import annotations

import hashlib
import io
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from actors.uploads import PLAIN, State, Wanted
from persistence.bridge import Bridge
from persistence.uploads.rules import COLLECT, FINISH, RENDER
from persistence.uploads.scanning import ScanFailed
from tests.persistence.uploads.desk import Desk, Parts, noise, photo
from tests.persistence.world import fetch, make_person

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG that says it is so large."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", data), (b"IEND", b"")]
    whole = b"".join(struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + whole


def bomb() -> bytes:
    """156 MB of black in some hundred kilobytes: more pixels than are taken."""
    return png(8_000, 6_500, zlib.compress(b"\0" * (6_500 * 24_001), 1))


HOSTILE: dict[str, Callable[[], bytes]] = {
    "a header and nothing behind it": lambda: png(100, 100),
    "a picture of 60,000 times 60,000": lambda: png(60_000, 60_000, zlib.compress(b"\0" * 1_000)),
    "a decompression bomb": bomb,
    "half a photo": lambda: photo()[:2_000],
    "a photo that is noise behind its first bytes": lambda: b"\xff\xd8\xff\xe0" + noise(5_000),
    "a GIF that is a script": lambda: b"GIF89a=1;alert(1)//" + b" " * 500,
    "a WebP that is none": lambda: b"RIFF\xff\xff\xff\x7fWEBPVP8X" + noise(400),
}


@pytest.mark.parametrize("what", HOSTILE)
async def test_a_picture_that_cannot_be_shown_is_refused_and_nothing_of_it_is_kept(bridge: Bridge, tmp_path: Path, what: str) -> None:
    desk, user = Desk(bridge, tmp_path), (await make_person(bridge, "eve")).user
    found = await desk.send(user, HOSTILE[what](), "holiday.jpg")
    assert found.state is State.REFUSED and "cannot be shown" in found.why
    await desk.do_jobs(COLLECT)
    assert desk.kept() == [] and await fetch(bridge, "select from objects") == []


async def test_a_photo_with_an_archive_behind_it_leaves_that_behind(bridge: Bridge, tmp_path: Path) -> None:
    desk, user = Desk(bridge, tmp_path), (await make_person(bridge, "eve")).user
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "SECRET CAMERA", 6
    polyglot = photo(700, 500, exif=exif, comment=b"<script>alert(1)</script>") + b"PK\x03\x04<script>alert(2)</script>"
    found = await desk.ready(user, polyglot)
    assert (found.media_type, found.width, found.height) == ("image/jpeg", 500, 700), "upright, by its EXIF"
    assert await desk.do_jobs(RENDER) == 1
    rows = await fetch(bridge, "select name, width, height, bytes from renditions order by width, name")
    assert [row["name"] for row in rows] == ["160.avif", "160.webp", "320.avif", "320.webp", "640.avif", "640.webp"]
    for row in rows:
        made = await desk.bytes_of(found.sha256, row["name"])
        picture = Image.open(io.BytesIO(made))
        picture.load()
        assert (picture.format, picture.size) == (row["name"].rpartition(".")[2].upper(), (row["width"], row["height"]))
        assert len(made) == row["bytes"] and not picture.getexif()
        assert all(word not in made for word in (b"SECRET", b"script", b"PK\x03\x04"))
    assert rows[-1]["width"] == 500, "nothing is made larger than it was"


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF"])
async def test_every_kind_of_picture_is_taken_and_shown_by_its_first_frame(bridge: Bridge, tmp_path: Path, kind: str) -> None:
    desk, user = Desk(bridge, tmp_path), (await make_person(bridge, "ada")).user
    out = io.BytesIO()
    frames = [Image.new("RGBA" if kind != "GIF" else "P", (90, 60), colour) for colour in (1, 2)]
    frames[0].save(out, kind, save_all=True, append_images=frames[1:])
    found = await desk.ready(user, out.getvalue())
    await desk.do_jobs(RENDER)
    made = Image.open(io.BytesIO(await desk.bytes_of(found.sha256, "160.webp")))
    assert (made.size, getattr(made, "n_frames", 1)) == ((90, 60), 1) and len(found.placeholder) <= 80


@pytest.mark.parametrize(
    ("raw", "kind"),
    [(SVG, PLAIN), (b"<!doctype html><script>1</script>", PLAIN), (b"%PDF-1.7 ...", "application/pdf"), (b"plain words\n", "text/plain")],
)
async def test_what_a_browser_would_run_is_bytes_and_no_page(bridge: Bridge, tmp_path: Path, raw: bytes, kind: str) -> None:
    desk, user = Desk(bridge, tmp_path), (await make_person(bridge, "eve")).user
    found = await desk.ready(user, raw, "../../../etc/cron.d/picture.png")
    assert (found.media_type, found.name) == (kind, "picture.png")
    assert await desk.do_jobs(RENDER) == 0


async def test_the_same_bytes_are_kept_once_whoever_sends_them(bridge: Bridge, tmp_path: Path) -> None:
    desk, raw = Desk(bridge, tmp_path), noise(3_000)
    users = [(await make_person(bridge, name)).user for name in ("ada", "ben")]
    sent = [await desk.ready(user, raw) for user in users]
    digest = hashlib.sha256(raw).hexdigest()
    assert [one.sha256 for one in sent] == [digest] * 2
    assert desk.kept() == [f"objects/{digest[:2]}/{digest}"]
    await desk.uploads.drop(users[0], sent[0].id)
    await desk.do_jobs(COLLECT)
    assert await desk.bytes_of(digest) == raw, "somebody has it still"
    await desk.uploads.drop(users[1], sent[1].id)
    await desk.do_jobs(COLLECT)
    assert desk.kept() == [] and await fetch(bridge, "select from objects") == []


async def test_what_arrives_otherwise_than_announced_is_refused(bridge: Bridge, tmp_path: Path) -> None:
    desk, user = Desk(bridge, tmp_path), (await make_person(bridge, "ada")).user
    found = await desk.send(user, b"these bytes", announced=hashlib.sha256(b"those bytes").digest())
    assert found.state is State.REFUSED and "announced" in found.why and desk.kept() == []


async def test_a_piece_that_the_store_lost_is_asked_for_again(bridge: Bridge, tmp_path: Path) -> None:
    desk, user = Desk(bridge, tmp_path), (await make_person(bridge, "ada")).user
    raw = noise(1_200_000)
    made = await desk.uploads.create(user, Wanted(len(raw)))
    await desk.uploads.take(user, made.id, 0, None, Parts(raw))
    [second] = await fetch(bridge, "select name, at from upload_pieces where at > 0 order by at limit 1")
    (tmp_path / second["name"]).unlink()
    await desk.do_jobs(FINISH)
    found = await desk.uploads.find(user, made.id)
    assert found is not None and (found.state, found.done) == (State.ARRIVING, second["at"])
    await desk.uploads.take(user, made.id, found.done, None, Parts(raw[found.done :]))
    await desk.do_jobs(FINISH)
    found = await desk.uploads.find(user, made.id)
    assert found is not None and found.state is State.READY and await desk.bytes_of(found.sha256) == raw


@pytest.mark.parametrize(("status", "state"), [(0, State.READY), (1, State.REFUSED)])
async def test_a_scanners_word_is_heard_before_anybody_reads_it(bridge: Bridge, tmp_path: Path, status: int, state: State) -> None:
    scanner = f"{sys.executable} -c 'import sys; assert sys.stdin.buffer.read() == b\"malware?\"; sys.exit({status})'"
    desk, user = Desk(bridge, tmp_path / "store", scanner=scanner), (await make_person(bridge, "ada")).user
    assert (await desk.send(user, b"malware?")).state is state


async def test_a_scanner_that_cannot_say_lets_nothing_through(bridge: Bridge, tmp_path: Path) -> None:
    desk = Desk(bridge, tmp_path, scanner=f"{sys.executable} -c 'import sys; sys.exit(7)'")
    user = (await make_person(bridge, "ada")).user
    made = await desk.uploads.create(user, Wanted(4))
    await desk.uploads.take(user, made.id, 0, None, Parts(b"what"))
    with pytest.raises(ScanFailed):
        await desk.do_jobs(FINISH)
    found = await desk.uploads.find(user, made.id)
    assert found is not None and found.state is State.ARRIVED
