"""Files of lessons stand in a community's library: put there once by whose they are, read by its readers, kept until they are taken out."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.uploads import Refused, State
from persistence.bridge import Bridge
from protocol.codes import Code
from protocol.operations import Post, Remove, SetRole
from protocol.values import HeldState, Role
from tests.persistence.moderation.scene import QUICK, FakeModels, moderated, until
from tests.persistence.uploads.desk import RULES, Desk, noise, photo
from tests.persistence.world import world


async def test_a_file_is_put_into_one_library_by_whose_it_is_and_goes_with_no_message_any_more(bridge: Bridge, tmp_path: Path) -> None:
    async with world(bridge) as w:
        desk = Desk(bridge, tmp_path)
        ada, eve = await w.person("ada"), await w.person("eve")
        (space, _, channel), (elsewhere, _, _) = await w.community(ada, eve), await w.community(ada)
        mine, sent, refused = (
            await desk.ready(ada.user, b"a map"),
            await desk.ready(ada.user, b"sent"),
            await desk.send(ada.user, b"\xff\xd8\xff"),
        )
        await w.ok(ada, Post(channel, "look", attachments=(sent.id,)))
        for user, upload, why in (
            (eve.user, mine.id, Refused.Why.NOT_FOUND),
            (ada.user, 10**12, Refused.Why.NOT_FOUND),
            (ada.user, refused.id, Refused.Why.NOT_FOUND),
            (ada.user, sent.id, Refused.Why.OVER),
        ):
            with pytest.raises(Refused) as no:
                await desk.uploads.shelve(user, upload, space)
            assert no.value.why is why
        await desk.uploads.shelve(ada.user, mine.id, space)
        await desk.uploads.shelve(ada.user, mine.id, space)
        with pytest.raises(Refused) as no:
            await desk.uploads.shelve(ada.user, mine.id, elsewhere)
        assert no.value.why is Refused.Why.OVER
        assert (await w.ask(ada, Post(channel, "and this", attachments=(mine.id,)))).code is Code.NOT_FOUND
        assert not await desk.uploads.drop(ada.user, mine.id)
        found = await desk.uploads.find(ada.user, mine.id)
        assert found is not None and found.state is State.ATTACHED


async def test_it_is_read_by_members_alone_and_by_nobody_through_another_place(bridge: Bridge, tmp_path: Path) -> None:
    async with world(bridge) as w:
        desk = Desk(bridge, tmp_path)
        ada, ben, eve = [await w.person(name) for name in ("ada", "ben", "eve")]
        (space, _, _), (theirs, _, _) = await w.community(ada, ben), await w.community(eve)
        picture, notes = await desk.ready(ada.user, photo(160, 80), "map.jpg"), await desk.ready(ada.user, b"my notes", "notes.txt")
        secret = await desk.ready(ada.user, b"not in it")
        await desk.do_jobs("media.render")
        for one in (picture, notes):
            await desk.uploads.shelve(ada.user, one.id, space)
        asked = (notes.id, picture.id, secret.id)
        shown = await desk.uploads.shelf(ben.user, space, asked)
        assert [(one.upload, one.name, one.media_type, one.width) for one in shown] == [
            (picture.id, "map.jpg", "image/jpeg", 160),
            (notes.id, "notes.txt", "text/plain", 0),
        ]
        assert [[each.name for each in one.renditions] for one in shown] == [["160.webp", "160.avif"], ["original"]]
        assert shown[0].sha256.hex() == picture.sha256 and shown[0].placeholder
        assert await desk.uploads.shelf(eve.user, space, asked) == ()
        assert await desk.uploads.shelf(eve.user, theirs, asked) == ()
        await w.ok(ada, Remove(space, ben.user))
        assert await desk.uploads.shelf(ben.user, space, asked) == ()


async def test_it_stays_through_every_sweep_until_it_is_taken_out_and_then_its_bytes_go(bridge: Bridge, tmp_path: Path) -> None:
    async with world(bridge) as w:
        desk = Desk(bridge, tmp_path)
        ada = await w.person("ada")
        (space, _, _), (elsewhere, _, _) = await w.community(ada), await w.community(ada)
        file = await desk.ready(ada.user, noise(50))
        await desk.uploads.shelve(ada.user, file.id, space)
        await w.rows("update uploads set expires_at = now() - interval '1 year'")
        await desk.sweep()
        assert await desk.bytes_of(file.sha256) == noise(50)
        assert not await desk.uploads.unshelve(ada.user, file.id, elsewhere)
        assert await desk.uploads.unshelve(ada.user, file.id, space)
        assert not await desk.uploads.unshelve(ada.user, file.id, space)
        await desk.sweep()
        assert desk.kept() == []


async def test_the_words_of_its_name_are_judged_and_where_they_do_harm_a_person_is_asked(bridge: Bridge, tmp_path: Path) -> None:
    models = FakeModels()
    async with moderated(bridge, models, QUICK) as (w, _):
        desk = Desk(bridge, tmp_path)
        ada = await w.person("ada")
        space, _, _ = await w.community(ada)
        good, worse = await desk.ready(ada.user, noise(10, 1), "map-2.png"), await desk.ready(ada.user, noise(10, 2), "a_bad_man.png")
        for one in (good, worse):
            await desk.uploads.shelve(ada.user, one.id, space)
        [held] = await until(bridge, "select * from held where author = $1 and state <> $2", ada.user, HeldState.CHECKING)
        assert held["body"] == b"a bad man" and {"map", "a bad man"} <= set(models.asked)
        await until(bridge, "select 1 from accounts where not exists (select from held where state = $1) limit 1", HeldState.CHECKING)


async def test_a_library_has_the_bound_of_its_community(bridge: Bridge, tmp_path: Path) -> None:
    async with world(bridge) as w:
        rules = type(RULES)(bytes_max=8 << 20, person_bytes_max=16 << 20, space_bytes_max=1_500)
        desk = Desk(bridge, tmp_path, rules)
        ada = await w.person("ada")
        space, _, _ = await w.community(ada)
        one, two = [await desk.ready(ada.user, noise(1_000, seed)) for seed in (1, 2)]
        await desk.uploads.shelve(ada.user, one.id, space)
        with pytest.raises(Refused) as no:
            await desk.uploads.shelve(ada.user, two.id, space)
        assert no.value.why is Refused.Why.QUOTA
        assert await desk.uploads.shelf(ada.user, space, (two.id,)) == ()


async def test_whoever_may_write_there_no_more_puts_in_and_takes_out_nothing(bridge: Bridge, tmp_path: Path) -> None:
    """Also when they still might at the door: it is asked where it is done."""
    async with world(bridge) as w:
        desk = Desk(bridge, tmp_path)
        ada, ben = await w.person("ada"), await w.person("ben")
        space, _, _ = await w.community(ada, ben)
        await w.ok(ada, SetRole(space, ben.user, Role.MODERATOR))
        first, second = [await desk.ready(ben.user, noise(50, seed)) for seed in (1, 2)]
        await desk.uploads.shelve(ben.user, first.id, space)
        for ended in (SetRole(space, ben.user, Role.LEARNER), Remove(space, ben.user)):
            await w.ok(ada, ended)
            with pytest.raises(Refused) as no:
                await desk.uploads.shelve(ben.user, second.id, space)
            assert no.value.why is Refused.Why.NOT_FOUND
            assert not await desk.uploads.unshelve(ben.user, first.id, space)
        assert [one.upload for one in await desk.uploads.shelf(ada.user, space, (first.id, second.id))] == [first.id]
