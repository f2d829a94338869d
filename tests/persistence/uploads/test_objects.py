"""The object store, in a folder and in what speaks S3: the same claims of both."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from persistence.objects import READ_BYTES, Objects, ObjectsAway, S3Options
from tests.persistence.uploads.desk import noise
from tests.persistence.uploads.s3_stand_in import BUCKET, s3_stand_in


@pytest.fixture(params=["folder", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Objects]:
    if request.param == "folder":
        yield Objects(f"folder:{tmp_path}")
        return
    with s3_stand_in() as (endpoint, _):
        yield Objects(f"s3://{BUCKET}/some/prefix", S3Options(endpoint, key_id="me", secret="mine"))


async def put(objects: Objects, raw: bytes, upload: int = 7, piece: int = 500_000) -> tuple[bytes, list[tuple[str, int]]]:
    pieces = []
    for at in range(0, len(raw), piece):
        part = raw[at : at + piece]
        pieces.append((await objects.put_piece(upload, f"{at:x}", part), len(part)))
    return hashlib.sha256(raw).digest(), pieces


@pytest.mark.parametrize("size", [1, 1_700_000, 11 << 20])
async def test_pieces_become_one_object_of_their_hash_that_is_read_in_parts(objects: Objects, size: int) -> None:
    raw = noise(size)
    sha256, pieces = await put(objects, raw, piece=6 << 20 if size > 10 << 20 else 500_000)
    assert await objects.hash_pieces(pieces) == (sha256, raw[:4096])
    await objects.join(pieces, 7, sha256)
    await objects.forget_pieces(7)
    assert await objects.hash_pieces(pieces) == 0, "the pieces have gone"
    read = b""
    while len(read) < size:
        part = await objects.read(sha256, "original", len(read), size)
        assert 0 < len(part) <= READ_BYTES
        read += part
    assert read == raw
    middle = size // 2
    assert await objects.read(sha256, "original", middle, middle + 1) == raw[middle : middle + 1]


async def test_an_object_goes_with_what_was_made_of_it_and_going_twice_is_going(objects: Objects) -> None:
    sha256, pieces = await put(objects, b"some bytes")
    await objects.join(pieces, 7, sha256)
    await objects.put(sha256, "160.webp", b"a picture")
    assert await objects.get(sha256, "160.webp", 100) == b"a picture"
    with pytest.raises(ObjectsAway):
        await objects.get(sha256, "160.webp", 3)
    for _ in range(2):
        await objects.forget(sha256)
        await objects.forget_pieces(7)
    for name in ("original", "160.webp"):
        with pytest.raises(ObjectsAway):
            await objects.read(sha256, name, 0, 5)


async def test_pieces_that_changed_on_their_way_become_no_object(objects: Objects) -> None:
    sha256, pieces = await put(objects, b"some bytes")
    await objects.put_piece(7, "0", b"other byte")
    with pytest.raises(ObjectsAway):
        await objects.join(pieces, 7, sha256)
    with pytest.raises(ObjectsAway):
        await objects.read(sha256, "original", 0, 5)


async def test_a_store_that_is_away_for_a_moment_is_asked_again() -> None:
    with s3_stand_in() as (endpoint, bucket):
        objects = Objects(f"s3://{BUCKET}", S3Options(endpoint, key_id="me", secret="mine"))
        bucket.fails = 1
        sha256, pieces = await put(objects, b"some bytes")
        await objects.join(pieces, 7, sha256)
        assert bucket.objects[f"objects/{sha256.hex()[:2]}/{sha256.hex()}"] == b"some bytes"


@pytest.mark.parametrize("where", ["", "folder:", "http://x", "s3:bucket", "s3://"])
def test_what_is_no_place_is_refused(where: str) -> None:
    with pytest.raises(ValueError, match="folder:/path"):
        Objects(where)
