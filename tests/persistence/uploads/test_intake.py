"""Bytes on their way in: cut anywhere, sent again, by two at once; and whose they are."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest
import trio

from actors.uploads import Refused, State, Wanted
from persistence.bridge import Bridge
from persistence.uploads.book import PostgresUploads
from persistence.uploads.intake import PIECE_BYTES
from persistence.uploads.rules import COLLECT, FINISH, UploadRules
from tests.persistence.uploads.desk import Desk, Parts, noise
from tests.persistence.world import make_person


def parts_of(raw: bytes, luck: random.Random) -> list[bytes]:
    parts, at = [], 0
    while at < len(raw):
        size = luck.choice((1, 900, 16_384, 200_000))
        parts.append(raw[at : at + size])
        at += size
    return parts


@pytest.mark.parametrize("seed", range(4))
async def test_a_file_that_is_cut_anywhere_and_goes_on_arrives_once_and_whole(bridge: Bridge, tmp_path: Path, seed: int) -> None:
    desk, luck = Desk(bridge, tmp_path), random.Random(seed)
    user = (await make_person(bridge, "ada")).user
    raw = noise(3 * PIECE_BYTES + luck.randrange(5_000), seed)
    made = await desk.uploads.create(user, Wanted(len(raw), sha256=hashlib.sha256(raw).digest()))
    done, cuts = 0, 0
    while done < len(raw):
        parts = parts_of(raw[done:], luck)
        sent = parts[: luck.randrange(1, len(parts) + 1)]
        body = Parts(*sent, hangs=sent != parts)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cut_when_silent, body, nursery.cancel_scope)
            await desk.uploads.take(user, made.id, done, None, body)
            nursery.cancel_scope.cancel()
        found = await desk.uploads.find(user, made.id)
        assert found is not None and found.done == done + sum(map(len, sent)), "what had come before the cut is kept"
        done, cuts = found.done, cuts + 1
    await desk.do_jobs(FINISH)
    found = await desk.uploads.find(user, made.id)
    assert found is not None and found.state is State.READY and await desk.bytes_of(found.sha256) == raw
    assert len(desk.kept()) == 1, "of the pieces nothing is left"


async def cut_when_silent(body: Parts, line: trio.CancelScope) -> None:
    await body.hanging.wait()
    line.cancel()


async def test_what_had_come_and_was_not_looked_at_yet_is_kept_at_a_cut(bridge: Bridge, tmp_path: Path) -> None:
    desk, user = Desk(bridge, tmp_path), (await make_person(bridge, "ada")).user
    made = await desk.uploads.create(user, Wanted(1_000))
    body = Parts(b"a" * 300, b"b" * 200, hangs=True)
    with trio.CancelScope() as line:
        line.cancel()
        await desk.uploads.take(user, made.id, 0, None, body)
    found = await desk.uploads.find(user, made.id)
    assert found is not None and found.done in (0, 500)  # cancelled before the request began, or in it


async def test_whoever_asks_how_far_it_is_ends_a_line_that_is_thought_to_be_there_and_nothing_of_it_is_lost(
    bridge: Bridge, tmp_path: Path
) -> None:
    desk, user = Desk(bridge, tmp_path), (await make_person(bridge, "ada")).user
    raw = noise(70_000)
    made = await desk.uploads.create(user, Wanted(len(raw)))
    silent = Parts(raw[:50_000], hangs=True)
    ended = []

    async def old() -> None:
        with pytest.raises(Refused) as refused:
            await desk.uploads.take(user, made.id, 0, None, silent)
        ended.append(refused.value.why)

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(old)
            await silent.hanging.wait()
            found = await desk.uploads.find(user, made.id)
            assert found is not None and found.done == 50_000
            assert (await desk.uploads.take(user, made.id, 50_000, None, Parts(raw[50_000:]))).done == 70_000
    assert ended == [Refused.Why.OFFSET]
    await desk.do_jobs(FINISH)
    found = await desk.uploads.find(user, made.id)
    assert found is not None and found.sha256 == hashlib.sha256(raw).hexdigest()


async def test_of_two_gateways_one_goes_on_and_there_is_no_hole(bridge: Bridge, tmp_path: Path) -> None:
    desk, user = Desk(bridge, tmp_path), (await make_person(bridge, "ada")).user
    other = PostgresUploads(bridge, desk.objects, UploadRules())
    raw = noise(90_000)
    made = await desk.uploads.create(user, Wanted(len(raw)))
    slow = Parts(raw[:40_000], hangs=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.uploads.take, user, made.id, 0, None, slow)
        await slow.hanging.wait()
        assert (await other.take(user, made.id, 0, None, Parts(raw[:60_000]))).done == 60_000
        nursery.cancel_scope.cancel()  # what the first has in hand now would come twice
    found = await other.find(user, made.id)
    assert found is not None and found.done == 60_000
    await other.take(user, made.id, 60_000, None, Parts(raw[60_000:]))
    await desk.do_jobs(FINISH)
    found = await other.find(user, made.id)
    assert found is not None and found.sha256 == hashlib.sha256(raw).hexdigest()


async def test_bytes_that_are_not_those_of_their_checksum_are_kept_in_no_part(bridge: Bridge, tmp_path: Path) -> None:
    desk, user = Desk(bridge, tmp_path), (await make_person(bridge, "ada")).user
    raw = noise(PIECE_BYTES + 10)
    made = await desk.uploads.create(user, Wanted(len(raw)))
    with pytest.raises(Refused) as refused:
        await desk.uploads.take(user, made.id, 0, ("sha256", b"\0" * 32), Parts(raw))
    assert refused.value.why is Refused.Why.CHECKSUM
    found = await desk.uploads.find(user, made.id)
    assert found is not None and found.done == 0
    assert (await desk.uploads.take(user, made.id, 0, ("sha1", hashlib.sha1(raw).digest()), Parts(raw))).done == len(raw)


async def test_more_than_was_announced_or_not_where_it_goes_on_is_refused(bridge: Bridge, tmp_path: Path) -> None:
    desk, user = Desk(bridge, tmp_path), (await make_person(bridge, "ada")).user
    made = await desk.uploads.create(user, Wanted(10))
    for offset, raw, why in ((0, b"x" * 11, Refused.Why.TOO_LARGE), (3, b"x", Refused.Why.OFFSET)):
        with pytest.raises(Refused) as refused:
            await desk.uploads.take(user, made.id, offset, None, Parts(raw))
        assert refused.value.why is why
    await desk.uploads.take(user, made.id, 0, None, Parts(b"x" * 10))
    with pytest.raises(Refused) as refused:
        await desk.uploads.take(user, made.id, 10, None, Parts(b"x"))
    assert refused.value.why is Refused.Why.OVER


async def test_another_persons_upload_is_no_upload(bridge: Bridge, tmp_path: Path) -> None:
    desk = Desk(bridge, tmp_path)
    ada, eve = [(await make_person(bridge, name)).user for name in ("ada", "eve")]
    made = await desk.uploads.create(ada, Wanted(10))
    assert await desk.uploads.find(eve, made.id) is None and not await desk.uploads.drop(eve, made.id)
    refusals = []
    for id in (made.id, made.id + 1):
        with pytest.raises(Refused) as refused:
            await desk.uploads.take(eve, id, 0, None, Parts(b"x"))
        refusals.append((refused.value.why, refused.value.text))
    assert refusals[0] == refusals[1]
    assert await desk.uploads.drop(ada, made.id) and await desk.uploads.find(ada, made.id) is None


async def test_nobody_has_more_on_its_way_than_their_quota_even_by_beginning_it_all_at_once(bridge: Bridge, tmp_path: Path) -> None:
    desk, user = Desk(bridge, tmp_path, UploadRules(bytes_max=600, person_bytes_max=1_000)), (await make_person(bridge, "ada")).user
    refused = []

    async def begin() -> None:
        try:
            await desk.uploads.create(user, Wanted(400))
        except Refused as error:
            refused.append(error.why)

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(begin)
    assert refused == [Refused.Why.QUOTA] * 2 and (await desk.uploads.room(user)).taken_bytes == 800
    for size in (0, 601):
        with pytest.raises(Refused) as too_large:
            await desk.uploads.create(user, Wanted(size))
        assert too_large.value.why is Refused.Why.TOO_LARGE
    (newest, _) = await desk.uploads.list(user)
    await desk.uploads.drop(user, newest.id)
    assert (await desk.uploads.room(user)).taken_bytes == 400
    assert await desk.do_jobs(COLLECT) == 1
