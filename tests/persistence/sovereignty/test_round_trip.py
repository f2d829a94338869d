"""Export and import: what comes out of the other installation is what went in, by other names; and an archive is not believed."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from persistence.bridge import Bridge
from persistence.outbox import Outbox
from persistence.sovereignty.archive import MANIFEST, ArchiveRefused, Manifest, Reader, Writer
from persistence.sovereignty.arriving import Imported, import_space
from persistence.sovereignty.leaving import export_space
from persistence.sovereignty.packed import rename_packed
from persistence.sovereignty.tables import MEMBERS, POLICIES, ROWS, SPACES, STREAMS
from protocol.identifiers import Names
from protocol.operations import Level, Say, SetModeration
from protocol.values import Harm
from tests.persistence.sovereignty.places import found_school
from tests.persistence.world import Person, World, world


async def export(w: World, space: int, path: Path) -> Reader:
    with path.open("wb") as file:
        writer = Writer(file)
        await w.bridge.run(partial(export_space, space=space, writer=writer), deadline_s=60, readonly=True, isolation="snapshot")
    return Reader(path)


async def bring(
    w: World,
    archive: Reader,
    owner: Person,
    known: dict[int, int] | None = None,
    regions: tuple[str, ...] = (),
    region: str | None = None,
) -> Imported:
    work = partial(import_space, archive=archive, owner=owner.user, known=known or {}, regions=regions, region=region)
    return await w.bridge.run(work, deadline_s=60)


def rows_of(archive: Reader, file: str) -> list[dict[str, Any]]:
    return [row for group in archive.rows(file) for row in group]


async def test_a_community_that_moves_and_moves_again_is_the_same_by_other_names(bridge: Bridge, tmp_path: Path) -> None:
    async with world(bridge) as w:
        school = await found_school(w)
        await found_school(w, "-other")  # so that no number is the same by chance
        first = await export(w, school.space, tmp_path / "first.zip")
        imported = await bring(w, first, school.ada, {school.ada.user: school.ada.user})
        second = await export(w, imported.space, tmp_path / "second.zip")

        old, new = rows_of(first, STREAMS.file), rows_of(second, STREAMS.file)
        streams = {before["id"]: after["id"] for before, after in zip(old, new, strict=True)}
        spaces = {b["id"]: a["id"] for b, a in zip(rows_of(first, SPACES.file), rows_of(second, SPACES.file), strict=True)}
        assert not set(streams) & set(streams.values())
        names = Names(user=imported.people.__getitem__, stream=streams.__getitem__, space=spaces.__getitem__)

        def moved(kept: Any, row: dict[str, Any]) -> dict[str, Any]:
            row = {**row, **rename_packed(kept, row, names)}
            row.pop("says", None)
            return {**row, **{column: names.of(what, row[column]) for column, what in kept.names.items() if row[column] is not None}}

        for kept in (SPACES, MEMBERS, *ROWS):
            assert [moved(kept, row) for row in rows_of(first, kept.file)] == [
                {name: value for name, value in row.items() if name != "says"}
                for row in _without_arrival(kept.file, rows_of(second, kept.file), new)
            ], kept.file


def _without_arrival(file: str, rows: list[dict[str, Any]], streams: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the one event that the import itself adds: that its owner came."""
    if file != "log.ndjson":
        return rows
    main = next(stream for stream in streams if stream["kind"] == 2)
    return [row for row in rows if (row["stream_id"], row["seq"]) != (main["id"], main["head"])]


async def test_life_goes_on_in_a_community_that_came(bridge: Bridge, tmp_path: Path) -> None:
    async with world(bridge) as w:
        school = await found_school(w)
        archive = await export(w, school.space, tmp_path / "school.zip")
        imported = await bring(w, archive, school.eve, {school.eve.user: school.eve.user, school.ben.user: school.ben.user})
        [channel] = await w.column("select id from streams where space_id = $1 and name = 'general'", imported.space)
        head = await w.value("select head from streams where id = $1", channel)
        assert await w.ok(school.ben, Say(channel, "here we are")) == head + 1  # type: ignore[operator]
        await Outbox(bridge, w.herald).drain()
        assert await w.rows("select 1 from members where space_id = $1 and user_id = $2 and role = 1", imported.space, school.eve.user)


async def test_whoever_is_nobody_here_becomes_an_account_that_nobody_can_use_and_never_somebody_of_the_same_name(
    bridge: Bridge, tmp_path: Path
) -> None:
    async with world(bridge) as w:
        school = await found_school(w)
        archive = await export(w, school.space, tmp_path / "school.zip")
        imported = await bring(w, archive, school.eve)
        assert not {school.ada.user, school.ben.user, school.eve.user} & set(imported.people.values())
        [row] = await w.rows(
            "select name::text, password_hash, disabled_at, email from accounts where id = $1", imported.people[school.ada.user]
        )
        assert row["name"] != "ada" and row["password_hash"] == "!" and row["disabled_at"] is not None and row["email"] is None


async def test_no_address_password_or_device_of_anybody_leaves_with_a_community(bridge: Bridge, tmp_path: Path) -> None:
    async with world(bridge) as w:
        school = await found_school(w)
        await w.rows("update accounts set email = 'ada@secret.example', password_hash = 'hash-secret' where id = $1", school.ada.user)
        await w.rows("update devices set name = 'device-secret' where user_id = $1", school.ada.user)
        archive = await export(w, school.space, tmp_path / "school.zip")
        for name in archive.manifest.files:
            assert all("secret" not in msgspec.json.encode(row).decode() for row in rows_of(archive, name)), name
        assert all("in private" not in msgspec.json.encode(row).decode() for row in rows_of(archive, "log.ndjson"))


async def test_data_that_has_to_be_kept_elsewhere_is_refused(bridge: Bridge, tmp_path: Path) -> None:
    async with world(bridge) as w:
        school = await found_school(w)
        await w.rows("update spaces set region = 'ke' where id = $1", school.space)
        archive = await export(w, school.space, tmp_path / "school.zip")
        with pytest.raises(ArchiveRefused, match="has to be kept in 'ke'"):
            await bring(w, archive, school.ada, regions=("eu",))
        imported = await bring(w, archive, school.ada, regions=("eu", "ke"))
        assert await w.value("select region from spaces where id = $1", imported.space) == "ke"


async def test_whoever_brings_it_in_may_give_it_another_label_that_is_kept_here(bridge: Bridge, tmp_path: Path) -> None:
    async with world(bridge) as w:
        school = await found_school(w)
        await w.rows("update spaces set region = 'ke' where id = $1", school.space)
        archive = await export(w, school.space, tmp_path / "school.zip")
        for wanted, said in (("us", "has to be kept in 'us'"), ("x" * 41, "at most 40")):
            with pytest.raises(ArchiveRefused, match=said):
                await bring(w, archive, school.ada, regions=("eu", "x" * 41), region=wanted)
        imported = await bring(w, archive, school.ada, regions=("eu",), region="eu")
        assert await w.value("select region from spaces where id = $1", imported.space) == "eu"


async def test_a_community_that_checks_first_does_so_where_it_came_and_what_was_said_before_is_not_judged_again(
    bridge: Bridge, tmp_path: Path
) -> None:
    async with world(bridge) as w:
        school = await found_school(w)
        await w.ok(school.ada, SetModeration(school.space, True, (Level(Harm.INSULT, 50, 101),)))
        archive = await export(w, school.space, tmp_path / "school.zip")
        imported = await bring(w, archive, school.ada, {school.ada.user: school.ada.user})
        channels = await w.rows("select check_first, id, head from streams where space_id = $1 and kind = 3", imported.space)
        assert len(channels) == 2 and all(row["check_first"] for row in channels)
        cursors = dict(await w.rows("select stream_id, upto from moderation_cursors"))
        assert [cursors[row["id"]] for row in channels] == [row["head"] for row in channels]
        for levels in ("4:30:10", "4:50", "x", "99:50:60", None):
            lied = {POLICIES.file: lambda rows, levels=levels: [{**row, "levels": levels} for row in rows]}
            for other in rewritten(tmp_path / "school.zip", lied, honest=True):
                with pytest.raises(ArchiveRefused, match="levels"):
                    await bring(w, other, school.ada)


# Archives that are not to be believed


async def test_a_label_in_a_row_that_the_manifest_does_not_have_is_not_asked(bridge: Bridge, tmp_path: Path) -> None:
    async with world(bridge) as w:
        school = await found_school(w)
        await export(w, school.space, tmp_path / "school.zip")
        rows = {SPACES.file: lambda rows: [{**row, "region": "ke"} for row in rows]}
        for archive in rewritten(tmp_path / "school.zip", rows, honest=True):
            await bring(w, archive, school.ada, regions=("eu",))
        assert await w.value("select count(*) from spaces where region <> ''") == 0


def rewritten(path: Path, changed: dict[str, Any], *, honest: bool) -> Iterator[Reader]:
    """The archive with other rows in a file; `honest`: with a manifest that fits."""
    out = io.BytesIO()
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(out, "w") as after:
        manifest = msgspec.json.decode(before.read(MANIFEST), type=Manifest)
        files = dict(manifest.files)
        for name in files:
            raw = before.read(name)
            if name in changed:
                rows = changed[name]([msgspec.json.decode(line) for line in raw.splitlines()])
                raw = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
                if honest:
                    from hashlib import sha256

                    files[name] = msgspec.structs.replace(files[name], rows=len(rows), bytes=len(raw), sha256=sha256(raw).hexdigest())
            after.writestr(name, raw)
        after.writestr(MANIFEST, msgspec.json.encode(msgspec.structs.replace(manifest, files=files)))
    lied = path.with_suffix(".lied.zip")
    lied.write_bytes(out.getvalue())
    with Reader(lied) as reader:
        yield reader


def _first(**columns: object) -> Any:
    return lambda rows: [{**rows[0], **columns}, *rows[1:]]


def _role(permissions: int, name: str = "helper") -> Any:
    return lambda rows: [*rows, {"name": name, "permissions": permissions, "created_by": 0, "holders": []}]


LIES = {
    "a row that was changed": ("log.ndjson", _first(at=1), False, "not what the manifest says"),
    "a log with a gap": ("log.ndjson", lambda rows: [rows[0], *rows[2:]], True, "gaps"),
    "somebody's inbox": ("streams.ndjson", _first(kind=1), True, "none of this community's"),
    "the control stream": ("streams.ndjson", _first(kind=7), True, "none of this community's"),
    "a stream of another space": ("streams.ndjson", _first(space_id=1), True, "none of this community's"),
    "a personal space": ("spaces.ndjson", _first(kind=3), True, "one community"),
    "an author who is not in it": ("log.ndjson", _first(author=987654), True, "account 987654 is named"),
    "bytes that are no event": ("log.ndjson", _first(body="\\xc1"), True, "body is not an event's body"),
    "bytes that are no bytes": ("log.ndjson", _first(body="zz"), True, "body is not"),
    "a role that is none": ("members.ndjson", _first(role=3), True, "members.ndjson"),
    "a role of the platform's": ("roles.ndjson", _role(1 << 38), True, "roles.ndjson"),
    "a role with permissions that are none": ("roles.ndjson", _role(1 << 30), True, "roles.ndjson"),
    "a role without a name": ("roles.ndjson", _role(1, name=""), True, "roles.ndjson"),
    "two roles of one name": ("roles.ndjson", lambda rows: [*_role(1)([]), *_role(2)([])], True, "roles.ndjson"),
    "a number too large": ("log.ndjson", _first(seq=2**70), True, "log.ndjson"),
    "text where a number belongs": ("streams.ndjson", _first(id="1; drop table log"), True, "expected: a number"),
}


@pytest.mark.parametrize("lie", LIES)
async def test_an_archive_that_lies_is_refused_and_nothing_of_it_stays(bridge: Bridge, tmp_path: Path, lie: str) -> None:
    file, change, honest, said = LIES[lie]
    async with world(bridge) as w:
        school = await found_school(w)
        (await export(w, school.space, tmp_path / "school.zip"))
        before = await w.rows("select (select count(*) from spaces), (select count(*) from accounts), (select count(*) from log)")
        for archive in rewritten(tmp_path / "school.zip", {file: change}, honest=honest):
            with pytest.raises(ArchiveRefused, match=said):
                await bring(w, archive, school.ada)
        assert await w.rows("select (select count(*) from spaces), (select count(*) from accounts), (select count(*) from log)") == before


@pytest.mark.parametrize("raw", [b"", b"PK\x03\x04", b"no zip"])
def test_a_file_that_is_no_archive_is_named(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(raw)
    with pytest.raises(ArchiveRefused, match=r"x\.zip"):
        Reader(path)
