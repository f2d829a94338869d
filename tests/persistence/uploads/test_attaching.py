"""Files become part of a message, once, by the transaction that appends it; and go when it goes."""

from __future__ import annotations

import asyncio
import hashlib
import zipfile
from pathlib import Path
from typing import Any

import asyncpg
import trio

from actors.inference import Answer, Span, Verdict
from actors.sovereignty import PART_BYTES, Kind
from actors.uploads import State
from persistence.bridge import Bridge
from persistence.moderation.words import text_of
from persistence.sovereignty.archive import Reader
from persistence.sovereignty.archives import MakeArchive, PostgresSovereignty
from persistence.sovereignty.erasures import Erasures
from persistence.uploads.rules import COLLECT, RENDER
from protocol.codec import decode_body
from protocol.codes import Code
from protocol.events import Posted
from protocol.operations import DecideHeld, Delete, Edit, Post, Remove, SetModeration
from protocol.values import Harm, HeldForm, HeldState
from tests.persistence.moderation.scene import NEVER_SWEEPS, FakeModels, moderated, until
from tests.persistence.sovereignty.test_erasure import erase
from tests.persistence.uploads.desk import Desk, Once, noise, photo
from tests.persistence.world import World, world

_SOMEBODY_WAITS = """
select exists (
    select from pg_locks l join pg_database d on d.oid = l.database
    where d.datname = current_database() and l.locktype = 'advisory' and not l.granted
)"""


async def message(w: World, stream: int, seq: int) -> Posted:
    [row] = await w.rows("select body from log where stream_id = $1 and seq = $2", stream, seq)
    body = decode_body(row["body"])
    assert isinstance(body, Posted), body
    return body


async def test_a_message_says_what_its_files_are_and_each_goes_with_one_message(bridge: Bridge, tmp_path: Path) -> None:
    async with world(bridge) as w:
        desk = Desk(bridge, tmp_path)
        ada, eve = await w.person("ada"), await w.person("eve")
        _, _, channel = await w.community(ada, eve)
        picture, notes = await desk.ready(ada.user, photo(), "a photo.jpg"), await desk.ready(ada.user, b"my notes")
        assert (await w.ask(eve, Post(channel, "mine", attachments=(picture.id,)))).code is Code.NOT_FOUND
        post = Post(channel, "look", attachments=(picture.id, notes.id, picture.id))
        seq = await w.ok(ada, post)
        files = (await message(w, channel, seq)).attachments
        assert [(file.id, file.name, file.media_type, file.size) for file in files] == [
            (picture.id, "a photo.jpg", "image/jpeg", picture.bytes),
            (notes.id, "a file", "text/plain", 8),
        ]
        assert files[0].hash.hex() == picture.sha256 and files[0].placeholder and (files[0].width, files[0].height) == (300, 200)
        assert (await w.ask(ada, post, ada.number)).value == seq, "asked again by the same number it is the same message"
        assert (await w.ask(ada, Post(channel, "again", attachments=(notes.id,)))).code is Code.NOT_FOUND
        assert not await desk.uploads.drop(ada.user, notes.id), "a message has it"
        assert (await w.ask(eve, Edit(channel, seq, "x"))).code is Code.FORBIDDEN
        await w.ok(ada, Edit(channel, seq, "look here"))
        edited = await message(w, channel, seq)
        assert (edited.text, edited.edited, edited.attachments) == ("look here", True, files)


async def test_what_is_no_upload_of_ones_own_that_is_ready_is_attached_by_nobody(bridge: Bridge, tmp_path: Path) -> None:
    async with world(bridge) as w:
        desk = Desk(bridge, tmp_path)
        ada, outsider = await w.person("ada"), await w.person("outsider")
        _, _, channel = await w.community(ada)
        refused = await desk.send(ada.user, b"\xff\xd8\xff no photo")
        theirs = await desk.ready(outsider.user, noise(10))
        for id in (refused.id, theirs.id, 10**12):
            assert (await w.ask(ada, Post(channel, "look", attachments=(id,)))).code is Code.NOT_FOUND
        # Whoever is not a member learns nothing, and their file is theirs still.
        assert (await w.ask(outsider, Post(channel, "hello", attachments=(theirs.id,)))).code is Code.NOT_FOUND
        found = await desk.uploads.find(outsider.user, theirs.id)
        assert found is not None and found.state is State.READY


async def test_the_files_of_a_place_have_a_bound(bridge: Bridge, tmp_path: Path) -> None:
    async with world(bridge) as w:
        desk = Desk(bridge, tmp_path)
        w.journal.space_bytes_max = 1_500
        ada = await w.person("ada")
        _, _, channel = await w.community(ada)
        one, two = [await desk.ready(ada.user, noise(1_000, seed)) for seed in (1, 2)]
        await w.ok(ada, Post(channel, "one", attachments=(one.id,)))
        assert (await w.ask(ada, Post(channel, "two", attachments=(two.id,)))).code is Code.LIMIT


async def test_the_bound_of_a_place_counts_what_is_sent_at_the_same_time(bridge: Bridge, tmp_path: Path) -> None:
    async with world(bridge) as w:
        desk = Desk(bridge, tmp_path)
        w.journal.space_bytes_max = 1_500
        ada = await w.person("ada")
        space, _, channel = await w.community(ada)
        one, two = [await desk.ready(ada.user, noise(1_000, seed)) for seed in (1, 2)]
        answers: list[Code] = []

        async def send() -> None:
            answers.append((await w.ask(ada, Post(channel, "two", attachments=(two.id,)))).code)

        async def beside(tx: asyncpg.Connection) -> None:
            """Another one's message with a file, not committed before this one waits for it."""
            await tx.execute("select pg_advisory_xact_lock(hashtextextended('space uploads', $1))", space)
            await tx.execute("update uploads set stream_id = $2, space_id = $3, seq = 1, state = 4 where id = $1", one.id, channel, space)
            trio_token.run_sync_soon(nursery.start_soon, send)
            while not await tx.fetchval(_SOMEBODY_WAITS):  # noqa: ASYNC110 (it has no event)
                await asyncio.sleep(0.01)

        trio_token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            with trio.fail_after(60):
                await bridge.run(beside, deadline_s=60)
        assert answers == [Code.LIMIT]


async def test_links_are_for_who_may_read_the_message_now(bridge: Bridge, tmp_path: Path) -> None:
    async with world(bridge) as w:
        desk = Desk(bridge, tmp_path)
        ada, ben, eve = [await w.person(name) for name in ("ada", "ben", "eve")]
        space, _, channel = await w.community(ada, ben)
        picture, notes = await desk.ready(ada.user, photo(100, 50)), await desk.ready(ada.user, b"my notes")
        seq = await w.ok(ada, Post(channel, "look", attachments=(picture.id, notes.id)))
        before = await desk.uploads.readable(ben.user, channel, (seq,))
        assert [[one.name for one in file.renditions] for file in before] == [[], ["original"]], "of a photo never the original"
        await desk.do_jobs(RENDER)
        after = await desk.uploads.readable(ben.user, channel, (seq,))
        assert [one.name for one in after[0].renditions] == ["160.webp", "160.avif"]
        assert await desk.uploads.readable(eve.user, channel, (seq,)) == ()
        assert await desk.uploads.readable(eve.user, channel + 999, (seq,)) == ()
        await w.ok(ada, Remove(space, ben.user))
        assert await desk.uploads.readable(ben.user, channel, (seq,)) == ()
        await w.ok(ada, Delete(channel, seq))
        assert await desk.uploads.readable(ada.user, channel, (seq,)) == ()


async def test_a_message_that_names_anothers_file_opens_nothing(bridge: Bridge, tmp_path: Path) -> None:
    async with world(bridge) as w:
        desk = Desk(bridge, tmp_path)
        ada, eve = await w.person("ada"), await w.person("eve")
        (_, _, ours), (_, _, theirs) = await w.community(ada), await w.community(eve)
        secret = await desk.ready(ada.user, b"a secret of ada's")
        seq = await w.ok(ada, Post(ours, "ours", attachments=(secret.id,)))
        mine = await desk.ready(eve.user, b"something")
        forged = await w.ok(eve, Post(theirs, "mine", attachments=(mine.id,)))
        # As an archive of eve's making could bring it in.
        body = await w.value("select body from log where stream_id = $1 and seq = $2", ours, seq)
        await w.rows("update log set body = $3 where stream_id = $1 and seq = $2", theirs, forged, body)
        assert len(await desk.uploads.readable(ada.user, ours, (seq,))) == 1
        assert await desk.uploads.readable(eve.user, theirs, (forged,)) == ()


async def test_with_a_message_that_is_deleted_its_bytes_go_and_with_time_those_that_nobody_sent(bridge: Bridge, tmp_path: Path) -> None:
    async with world(bridge) as w:
        desk = Desk(bridge, tmp_path)
        ada = await w.person("ada")
        _, _, channel = await w.community(ada)
        picture, stays, waits = (
            await desk.ready(ada.user, photo()),
            await desk.ready(ada.user, noise(9)),
            await desk.ready(ada.user, noise(8)),
        )
        await desk.do_jobs(RENDER)
        seq = await w.ok(ada, Post(channel, "look", attachments=(picture.id,)))
        await w.ok(ada, Post(channel, "and this", attachments=(stays.id,)))
        await desk.sweep()
        assert len(desk.kept()) == 3 + 4, "nothing that is in use goes"
        await w.ok(ada, Delete(channel, seq))
        await w.rows("update uploads set expires_at = now() - interval '1 s' where id = $1", waits.id)
        await desk.sweep()
        assert desk.kept() == [f"objects/{stays.sha256[:2]}/{stays.sha256}"]
        assert await w.column("select id from uploads") == [stays.id]


async def test_the_files_of_what_is_checked_first_wait_with_it_and_come_with_it(bridge: Bridge, tmp_path: Path) -> None:
    async with world(bridge) as w:
        desk = Desk(bridge, tmp_path)
        ada, ben = await w.person("ada"), await w.person("ben")
        space, _, channel = await w.community(ada, ben)
        await w.ok(ada, SetModeration(space, check_first=True))
        picture = await desk.ready(ben.user, photo())
        assert await w.ok(ben, Post(channel, "look", attachments=(picture.id,))) == 0, "it is no message yet"
        await desk.sweep()
        assert await w.column("select seq from uploads where id = $1", picture.id) == [0], "it may come yet"
        [held] = await w.column("select id from held")
        await w.rows("update held set state = 2, review_id = space_id where id = $1", held)
        await w.ok(ada, DecideHeld(held, True))
        [seq] = await w.column("select seq from uploads where id = $1", picture.id)
        assert (await message(w, channel, seq)).attachments[0].id == picture.id
        await desk.sweep()
        assert await desk.bytes_of(picture.sha256)
        assert len(await desk.uploads.readable(ada.user, channel, (seq,))) == 1


async def test_the_words_of_a_files_name_are_judged_with_its_message(bridge: Bridge, tmp_path: Path) -> None:
    models = FakeModels()
    async with moderated(bridge, models, NEVER_SWEEPS) as (w, _):
        desk = Desk(bridge, tmp_path)
        ada, eve = await w.person("ada"), await w.person("eve")
        _, _, channel = await w.community(ada, eve)
        good = await desk.ready(eve.user, noise(10, 1), "IMG_20261123_070012.jpg")
        await w.ok(eve, Post(channel, "my map", attachments=(good.id,)))
        worse = await desk.ready(eve.user, noise(10, 2), "what_a_bad_man-2.png")
        seq = await w.ok(eve, Post(channel, "a photo", attachments=(worse.id,)))
        await until(bridge, "select * from held where stream_id = $1 and target = $2 and state = $3", channel, seq, HeldState.HIDDEN)
        # The numbers of a camera are nobody's telephone number.
        assert {"my map\nIMG", "a photo\nwhat a bad man"} <= set(models.asked)
        assert await desk.uploads.readable(ada.user, channel, (seq,)) == ()
        # Who decides sees the name.
        [row] = await w.rows("select body from held where stream_id = $1", channel)
        assert text_of(HeldForm.MESSAGE, row["body"]) == "a photo\nwhat_a_bad_man-2.png"


async def test_a_file_name_that_would_have_to_be_covered_is_for_a_person(bridge: Bridge, tmp_path: Path) -> None:
    """Covering is of the text: a name covered there would be read in the file."""

    class Personal(FakeModels):
        async def ask(self, request: Any, within_s: float, *, key: int = 0) -> Answer:
            self.asked.append(request.text)
            await trio.lowlevel.checkpoint()
            begin = request.text.find("anna")
            spans = (Span(Harm.PERSONAL, begin, begin + 4, "name"),) if begin >= 0 else ()
            return Answer(Verdict({Harm.PERSONAL: 0.99} if spans else {}, "en", 0.99, spans=spans), "fake@1")

    async with moderated(bridge, Personal(), NEVER_SWEEPS) as (w, _):
        desk = Desk(bridge, tmp_path)
        ada, eve = await w.person("ada"), await w.person("eve")
        _, _, channel = await w.community(ada, eve)
        inside, outside = await desk.ready(eve.user, noise(10, 1), "map.png"), await desk.ready(eve.user, noise(10, 2), "anna.png")
        covered = await w.ok(eve, Post(channel, "this is anna", attachments=(inside.id,)))
        held = await w.ok(eve, Post(channel, "this is she", attachments=(outside.id,)))
        await until(bridge, "select * from held where stream_id = $1", channel, count=2)
        assert (await message(w, channel, covered)).text == "this is ▒▒▒▒"
        assert await w.column("select state from held where target = $1", held) == [HeldState.WAITING]
        assert await desk.uploads.readable(ada.user, channel, (held,)) == ()


async def test_an_archive_has_the_files_of_whose_it_is_and_of_nobody_else(bridge: Bridge, tmp_path: Path) -> None:
    async with world(bridge) as w:
        desk = Desk(bridge, tmp_path / "store")
        ada, ben = await w.person("ada"), await w.person("ben")
        space, _, channel = await w.community(ada, ben)
        raws = {ada: noise(700_000, 1), ben: noise(9_000, 2)}
        for who, raw in raws.items():
            sent = await desk.ready(who.user, raw)
            await w.ok(who, Post(channel, "mine", attachments=(sent.id,)))
        alone = await desk.ready(ben.user, b"only mine")
        sovereignty = PostgresSovereignty(bridge, Erasures(bridge, w.herald, None), desk.objects)
        wanted = {(Kind.COMMUNITY, space): set(raws.values()), (Kind.PERSON, ben.user): {raws[ben], b"only mine"}}
        for (kind, subject), expected in wanted.items():
            order = await sovereignty.order(kind, subject, ada.user)
            await sovereignty.make(Once(bridge, MakeArchive(order.id)))
            found = await sovereignty.find(kind, subject, ada.user)
            assert found is not None and found.ready
            parts = [await sovereignty.read(order.id, part) for part in range(-(-found.bytes // PART_BYTES))]
            path = tmp_path / "archive.zip"
            path.write_bytes(b"".join(part for part in parts if part))
            with zipfile.ZipFile(path) as archive:
                names = [name for name in archive.namelist() if name.startswith("objects/")]
                assert {archive.read(name) for name in names} == expected and len(names) == 2
                assert all(name == f"objects/{hashlib.sha256(archive.read(name)).hexdigest()}" for name in names)
            if kind is Kind.COMMUNITY:
                with Reader(path) as reader:
                    reader.verify()
        assert alone.state is State.READY


async def test_of_an_erased_person_or_community_no_byte_of_a_file_is_left(bridge: Bridge, tmp_path: Path) -> None:
    async with world(bridge) as w:
        desk = Desk(bridge, tmp_path)
        ada, ben = await w.person("ada"), await w.person("ben")
        space, _, channel = await w.community(ada, ben)
        for who, size in ((ada, 30), (ben, 40)):
            file = await desk.ready(who.user, noise(size))
            await w.ok(who, Post(channel, "mine", attachments=(file.id,)))
        picture = await desk.ready(ben.user, photo(), "sunflower.jpg")
        await desk.do_jobs(RENDER)
        assert len(desk.kept()) == 7
        await erase(w, Kind.PERSON, ben.user)
        await desk.do_jobs(COLLECT)
        assert len(desk.kept()) == 1 and not await desk.uploads.find(ben.user, picture.id)
        await erase(w, Kind.COMMUNITY, space)
        await desk.do_jobs(COLLECT)
        assert desk.kept() == []
        assert await w.rows("select from uploads union all select from objects union all select from renditions") == []
