"""Claims about what clients of an older schema are sent."""

from __future__ import annotations

import pytest
from msgspec import Raw

from actors import casting
from actors.casting import cast_answer, cast_body, cast_event, cast_events
from actors.channel import Channel
from actors.requests import answer
from actors.storage import ConflictList, Events, Fact, ReadAfter, RecordsRead, Row, VersionList
from protocol.codec import decode_body, encode, encode_event
from protocol.entities import SCHEMA, Entity, Fields, read_fields, write_fields
from protocol.events import Changed, RecordItem, Said
from protocol.frames import (
    Conflict,
    ConflictPage,
    Conflicts,
    Event,
    Follow,
    KeptVersion,
    Page,
    PageEvent,
    RecordPage,
    Snapshot,
    VersionPage,
    Versions,
)
from protocol.values import ConflictState, Cursor, KeptAs
from tests.actors.stage import SPACE, Line, Stage

STREAM = 50
NOW = 1_800_000_000
PREFERENCES = RecordItem(Entity.PREFERENCES, 1, 5, write_fields({1: True, 4: 22 * 60, 5: 7 * 60}))
ACTION = RecordItem(Entity.ACTION, 9, 2, write_fields({1: "Buy chalk"}))
GONE = RecordItem(Entity.BOOKMARK, 4, 3, gone=True)
BODY = encode(Changed((PREFERENCES, ACTION, GONE)))


def items(body: bytes) -> list[tuple[int, int, int, Fields, bool]]:
    changed = decode_body(body)
    assert isinstance(changed, Changed)
    return [(item.entity, item.key, item.version, read_fields(item.fields), item.gone) for item in changed.records]


def test_the_present_schema_is_sent_the_same_bytes() -> None:
    assert cast_body(BODY, SCHEMA) is BODY
    frame = encode_event(STREAM, 1, 9, NOW, BODY)
    assert cast_event(frame, SCHEMA) is frame


@pytest.mark.parametrize("schema", range(1, SCHEMA))
def test_what_depends_on_no_schema_is_sent_the_same_bytes(schema: int) -> None:
    frames = [encode_event(STREAM, seq, 9, NOW, encode(Said("hello"))) for seq in (1, 2)]
    assert cast_events(frames, schema) is frames


def test_older_fields_are_written_as_they_were_and_unknown_entities_are_left_out() -> None:
    bookmark: tuple[int, int, int, Fields, bool] = (int(Entity.BOOKMARK), 4, 3, {}, True)
    assert items(cast_body(BODY, 3)) == [
        (int(Entity.PREFERENCES), 1, 5, {1: True, 3: "22-07"}, False),
        (int(Entity.ACTION), 9, 2, {1: "Buy chalk"}, False),
        bookmark,
    ]
    assert items(cast_body(BODY, 2)) == [(int(Entity.PREFERENCES), 1, 5, {1: True, 3: "22-07"}, False), bookmark]


def test_an_event_of_which_nothing_is_left_keeps_its_place() -> None:
    frame = encode_event(STREAM, 41, 9, NOW, encode(Changed((ACTION,))))
    assert cast_event(frame, 1) == encode_event(STREAM, 41, 9, NOW, encode(Changed(())))


def test_pages_are_cast_as_events_are() -> None:
    page = cast_answer(Page(3, STREAM, (PageEvent(1, 9, NOW, Raw(BODY)),), True), 2)
    assert page == Page(3, STREAM, (PageEvent(1, 9, NOW, Raw(cast_body(BODY, 2))),), True)
    result = RecordsRead(8, (PREFERENCES, ACTION), True)
    records = answer(Snapshot(3, STREAM), result, 2)
    assert isinstance(records, RecordPage) and (records.head, records.more) == (8, True)
    assert [(one.entity, read_fields(one.fields)) for one in records.records] == [(Entity.PREFERENCES, {1: True, 3: "22-07"})]
    assert answer(Snapshot(3, STREAM), result, SCHEMA) == RecordPage(3, STREAM, 8, (PREFERENCES, ACTION), True)


def test_a_snapshot_ends_where_nothing_that_an_older_client_knows_is_left() -> None:
    """It could not go on from an empty page, and takes one that says there is more for a fault."""
    unknown = answer(Snapshot(3, STREAM), RecordsRead(8, (ACTION,), True), 2)
    assert unknown == RecordPage(3, STREAM, 8, (), False)


def conflict(id: int, entity: Entity, fields: Fields) -> Conflict:
    raw = write_fields(fields)
    return Conflict(id, STREAM, entity, 1, 1, ConflictState.PENDING, NOW, 2, raw, raw, write_fields({}), raw)


def test_all_sides_of_a_conflict_are_cast_and_one_about_an_unknown_entity_is_left_out() -> None:
    result = ConflictList((conflict(1, Entity.PROFILE, {3: ("sw", "en")}), conflict(2, Entity.ACTION, {1: "Buy chalk"})), False)
    page = answer(Conflicts(3), result, 2)
    assert isinstance(page, ConflictPage)
    (only,) = page.conflicts
    assert only.conflict == 1
    assert [read_fields(side) for side in (only.mine, only.theirs, only.common, only.present)] == [
        {2: "sw, en"},
        {2: "sw, en"},
        {},
        {2: "sw, en"},
    ]


def test_kept_versions_are_cast_by_the_entity_that_was_asked_for() -> None:
    result = VersionList((KeptVersion(1, 1, KeptAs.OVERWRITTEN, 1, NOW, write_fields({2: (4,)})),), False)
    page = answer(Versions(3, STREAM, Entity.ANSWER, 7), result, 1)
    assert isinstance(page, VersionPage)
    assert [read_fields(version.fields) for version in page.versions] == [{1: 4}]
    assert answer(Versions(3, STREAM, Entity.ACTION, 7), result, 1) == VersionPage(3, (), False)


def follower(stage: Stage, device: int, schema: int) -> Line:
    line = stage.connect(device, device, cursors=[Cursor(STREAM, 0)], schema=schema)
    stage.answer(ReadAfter, Events(SPACE, 0, 0, (), False))
    line.hear()
    return line


def commit(stage: Stage, seq: int, body: bytes) -> None:
    stage.exchange.committed([Fact(STREAM, seq, 9, NOW, body, 0)])
    stage.run()


def test_everybody_hears_a_change_in_their_own_schema_and_each_is_cast_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cast: list[int] = []
    original = casting.cast_body

    def counting(body: bytes, schema: int) -> bytes:
        cast.append(schema)
        return original(body, schema)

    monkeypatch.setattr(casting, "cast_body", counting)
    stage = Stage()
    lines = [(schema, follower(stage, 20 + n, schema)) for n, schema in enumerate((SCHEMA, 2, 3, 2, SCHEMA, 200))]
    commit(stage, 1, BODY)
    for schema, line in lines:
        assert line.hear() == [Event(STREAM, 1, 9, NOW, decode_body(cast_body(BODY, min(schema, SCHEMA))))]  # type: ignore[arg-type]
    assert sorted(cast) == [2, 3]


def test_where_nobody_is_older_nothing_is_cast(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: Channel, frames: object, batch: object) -> None:
        raise AssertionError("nobody here is older")

    stage = Stage()
    older = follower(stage, 20, 1)
    present = follower(stage, 21, SCHEMA)
    older.drop()
    monkeypatch.setattr(Channel, "_push_cast", never)
    commit(stage, 1, BODY)
    assert [type(frame) for frame in present.hear()] == [Event]
    assert stage.crashes == []


def test_a_page_of_a_follow_is_cast_too() -> None:
    stage = Stage()
    line = stage.connect(schema=2)
    line.hear()
    line.say(Follow(1, STREAM, 0))
    stage.answer(ReadAfter, Events(SPACE, 1, 0, (Row(1, 9, NOW, BODY),), False))
    event = line.hear()[0]
    assert event == Event(STREAM, 1, 9, NOW, decode_body(cast_body(BODY, 2)))  # type: ignore[arg-type]
