"""What one learned goes along with one's community, stays one's own, and goes when one goes."""

from __future__ import annotations

import io
import zipfile
from functools import partial
from pathlib import Path

import msgspec

from actors.sovereignty import Kind
from persistence.bridge import Bridge
from persistence.sovereignty.archive import Writer
from persistence.sovereignty.person_export import export_person
from protocol.entities import Entity, Fields
from protocol.values import StreamKind
from tests.persistence.learning.school import grade_all
from tests.persistence.records import enrolled, fields_of, of_space
from tests.persistence.sovereignty.places import found_school
from tests.persistence.sovereignty.test_erasure import erase
from tests.persistence.sovereignty.test_round_trip import bring, export
from tests.persistence.world import World, world


async def all_of(w: World, stream: int, *entities: Entity) -> dict[tuple[int, int], Fields | None]:
    rows = await w.rows("select entity, key from records where stream_id = $1 and entity = any($2) order by 1, 2", stream, list(entities))
    return {(row["entity"], row["key"]): await fields_of(w, stream, Entity(row["entity"]), row["key"]) for row in rows}


async def test_a_community_that_moves_keeps_its_lessons_keys_and_grades_and_grades_them_the_same(bridge: Bridge, tmp_path: Path) -> None:
    async with world(bridge) as w:
        school = await found_school(w)
        imported = await bring(w, await export(w, school.space, tmp_path / "a.zip"), school.ada, {school.eve.user: school.eve.user})
        for kind in (StreamKind.LIBRARY, StreamKind.STUDIO):
            old, new = await of_space(w, school.space, kind), await of_space(w, imported.space, kind)
            assert len(await all_of(w, old, *Entity)) >= 2 and await all_of(w, new, *Entity) == await all_of(w, old, *Entity)
        answers = [await enrolled(w, space, school.eve, StreamKind.ANSWERS) for space in (school.space, imported.space)]
        before = await all_of(w, answers[0], Entity.ANSWER, Entity.GRADE)
        assert {key for entity, key in before if entity == Entity.GRADE} == {5, 6}
        assert await all_of(w, answers[1], Entity.ANSWER, Entity.GRADE) == before
        rows = "select question, at, points, lesson from attempts where stream_id = $1 order by question, place"
        assert await w.rows(rows, answers[1]) == []
        assert await grade_all(w) > 0
        assert await all_of(w, answers[1], Entity.ANSWER, Entity.GRADE) == before, "graded by the keys that came along, to the same end"
        assert [tuple(row) for row in await w.rows(rows, answers[1])] == [tuple(row) for row in await w.rows(rows, answers[0])]


async def test_an_archive_of_a_version_that_knew_no_studio_gets_one(bridge: Bridge, tmp_path: Path) -> None:
    async with world(bridge) as w:
        school = await found_school(w)
        studio = await of_space(w, school.space, StreamKind.STUDIO)
        for table in ("log", "records", "tombstones", "entity_versions", "ungraded", "sync_conflicts"):
            await w.rows(f"delete from {table} where stream_id = $1", studio)
        await w.rows("delete from streams where id = $1", studio)
        imported = await bring(w, await export(w, school.space, tmp_path / "a.zip"), school.ada)
        [row] = await w.rows("select read_roles, write_roles from streams where space_id = $1 and kind = 13", imported.space)
        assert tuple(row) == (7, 0)


async def test_who_goes_takes_their_answers_grades_and_attempts_along_and_leaves_what_they_taught(bridge: Bridge) -> None:
    async with world(bridge) as w:
        school = await found_school(w)
        answers = await enrolled(w, school.space, school.eve, StreamKind.ANSWERS)
        library = await of_space(w, school.space, StreamKind.LIBRARY)
        assert await w.rows("select from attempts where user_id = $1", school.eve.user) != []
        await erase(w, Kind.PERSON, school.eve.user)
        assert await w.rows("select from attempts where user_id = $1", school.eve.user) == []
        assert await w.rows("select from records where stream_id = $1", answers) == []
        assert await w.rows("select from attempts where user_id = $1", school.ada.user) != []
        assert (await all_of(w, library, Entity.QUESTION)).keys() == {(Entity.QUESTION, 5), (Entity.QUESTION, 6)}


async def test_a_persons_archive_has_their_grades_and_attempts_in_words(bridge: Bridge, tmp_path: Path) -> None:
    async with world(bridge) as w:
        school = await found_school(w)
        path = tmp_path / "eve.zip"
        with path.open("wb") as file:
            work = partial(export_person, user=school.eve.user, writer=Writer(file))
            await w.bridge.run(work, deadline_s=60, readonly=True, isolation="snapshot")
        whole = {name: zipfile.ZipFile(io.BytesIO(path.read_bytes())).read(name) for name in zipfile.ZipFile(path).namelist()}
        [attempts] = [text for name, text in whole.items() if "attempts" in name]
        told = [msgspec.json.decode(line) for line in attempts.splitlines()]
        assert {(one["question"], one["points"]) for one in told} == {(5, 100), (6, 100)}
