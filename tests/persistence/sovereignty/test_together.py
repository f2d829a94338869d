"""Goals and meetings of a mentorship are both people's: each finds them in their archive, and they go with either."""

from __future__ import annotations

import io
import zipfile
from functools import partial
from pathlib import Path

import msgspec
import pytest
import trio

from actors.sovereignty import Kind
from actors.storage import ReadAfter
from persistence.bridge import Bridge
from persistence.sovereignty.archive import Writer
from persistence.sovereignty.person_export import export_person
from protocol.codes import Code
from protocol.entities import Entity
from tests.persistence.mentoring import matched, mentor
from tests.persistence.records import change
from tests.persistence.sovereignty.places import tables_with
from tests.persistence.sovereignty.test_erasure import erase
from tests.persistence.sync import Asking
from tests.persistence.world import Person, World, world


async def written(w: World, one: Person, learner: Person, word: str) -> int:
    """A mentorship with a goal and a meeting in which both wrote this word, also one that was changed and one that was deleted."""
    mentorship, _ = await matched(w, one, learner)
    [records] = await w.column("select records from mentorships where id = $1", mentorship)
    await w.ok(learner, change(records, Entity.GOAL, 1, {1: f"{word} at first"}))
    await w.ok(one, change(records, Entity.GOAL, 1, {1: f"{word} fields"}, base=1))
    await w.ok(one, change(records, Entity.MEETING, 2, {1: 2_000_000_000, 3: f"under the {word}", 4: f"{word} seeds"}))
    return int(records)


@pytest.mark.parametrize("who", ["mentor", "learner"])
async def test_they_go_with_either_of_the_two_and_those_of_others_stay(bridge: Bridge, who: str) -> None:
    async with world(bridge) as w:
        ada, bob, eve = await mentor(w, "ada"), await w.person("bob"), await w.person("eve")
        records, others = await written(w, ada, bob, "sunflower"), 0
        if who == "learner":
            others = await written(w, ada, eve, "buttercup")
        await erase(w, Kind.PERSON, ada.user if who == "mentor" else bob.user)
        assert await tables_with(w, "sunflower") == {}
        assert await w.rows("select from streams where id = $1 and floor = head", records) != [], "who comes back begins anew"
        assert (len(await w.rows("select from records where stream_id = $1", others)) == 2) is (who == "learner")


async def test_who_stays_is_told_that_they_are_gone_and_may_go_on_reading_the_stream(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ada, bob = await mentor(w, "ada"), await w.person("bob")
        records = await written(w, ada, bob, "sunflower")
        [before] = await w.column("select head from streams where id = $1", records)
        await erase(w, Kind.PERSON, ada.user)
        [head] = await w.column("select head from streams where id = $1", records)
        assert head > before, "devices that are there hear of it by an event"
        asking = Asking(bridge)
        async with trio.open_nursery() as nursery:
            await nursery.start(asking.store.serve)
            late, here = [await asking(ReadAfter(records, bob.user, after, 10, 10_000)) for after in (before, head)]
            nursery.cancel_scope.cancel()
        assert getattr(late, "code", None) is Code.RESET, late
        assert getattr(here, "code", None) is None, here


async def test_both_find_them_in_their_archives_and_nobody_else(bridge: Bridge, tmp_path: Path) -> None:
    async with world(bridge) as w:
        ada, bob, eve = await mentor(w, "ada"), await w.person("bob"), await w.person("eve")
        await written(w, ada, bob, "sunflower")
        told = {}
        for person in (ada, bob, eve):
            path = tmp_path / str(person.user)
            with path.open("wb") as file:
                work = partial(export_person, user=person.user, writer=Writer(file))
                await w.bridge.run(work, deadline_s=60, readonly=True, isolation="snapshot")
            lines = zipfile.ZipFile(io.BytesIO(path.read_bytes())).read("records.ndjson").splitlines()
            shared = [one for one in map(msgspec.json.decode, lines) if one["entity"] in (Entity.GOAL, Entity.MEETING)]
            told[person] = [(one["fields"]["1"], one["fields"].get("4")) for one in shared]
        assert told[ada] == told[bob] == [("sunflower fields", None), (2_000_000_000, "sunflower seeds")]
        assert told[eve] == []
