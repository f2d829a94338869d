"""Clients up to three schemas behind are answered byte for byte as recorded, and old and present ones read what the others wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest

from protocol.entities import SCHEMA, SCHEMA_MIN
from tests.recordings.conversation import ACTION, ANSWER, CONTENT, NEW, OLD, PREFERENCES, PRESENT, PROFILE, SUBJECT, T
from tests.recordings.record import SCHEMAS, Stage, path_of, record

EVENT, CONFLICT_PAGE, CHANGED = 48, 59, 30
KNOWN: dict[int, dict[int, set[int]]] = {
    2: {ANSWER: {2, 3, 4}, PROFILE: {1, 2, 4, 5}, PREFERENCES: {1, 2, 3, 6, 7}, CONTENT: {1, 2, 3, 4}},
    3: {ANSWER: {2, 3, 4}, PROFILE: {1, 3, 4, 5}, PREFERENCES: {1, 2, 3, 6, 7}, CONTENT: {1, 2, 3, 4}, ACTION: {1, 2, 3, 4, 5}},
    4: {ANSWER: {2, 3, 4}, PROFILE: {1, 3, 4, 5}, PREFERENCES: {1, 2, 4, 5, 6, 7}, CONTENT: {1, 2, 3, 4}, ACTION: {1, 2, 3, 4, 5}},
}
"""Which fields a client of each schema knows, as it was built."""
every_schema = pytest.mark.parametrize("schema", SCHEMAS)


def load(schema: int) -> dict[str, Any]:
    recording: dict[str, Any] = json.loads(path_of(schema).read_text("utf-8"))
    assert recording["schema"] == schema
    return recording


def frames(messages: list[str]) -> Iterator[list[Any]]:
    for message in messages:
        whole = msgpack.unpackb(bytes.fromhex(message), strict_map_key=False)
        yield from whole if isinstance(whole[0], list) else [whole]


def heard(recording: dict[str, Any], who: str) -> list[list[Any]]:
    return [frame for step in recording["steps"] for frame in frames(step[who])]


def items(recording: dict[str, Any], who: str) -> list[tuple[int, int, dict[int, Any]]]:
    """Stream's entity, version and fields of each record that events told of."""
    return [
        (item[0], item[2], item[3])
        for frame in heard(recording, who)
        if frame[0] == EVENT and frame[5][0] == CHANGED
        for item in frame[5][1]
    ]


def test_the_three_schemas_before_the_present_one_are_recorded() -> None:
    assert (SCHEMAS, PRESENT) == (tuple(range(SCHEMA_MIN, SCHEMA)), SCHEMA)


@every_schema
def test_an_old_client_is_answered_byte_for_byte_as_it_was_recorded(schema: int) -> None:
    stage = Stage()
    for step in load(schema)["steps"]:
        answers = stage.play(step["who"], bytes.fromhex(step["sends"]))
        for who in (OLD, NEW):
            assert answers.get(who, []) == step[who], f"{step['about']}: what the {who} client hears"


@every_schema
def test_a_recording_is_of_what_such_a_client_says(schema: int) -> None:
    assert record(schema) == load(schema), "record anew only if the bytes are meant to change: python -m tests.recordings.record"


@every_schema
def test_an_old_client_is_told_of_nothing_that_it_does_not_know(schema: int) -> None:
    known, seen = KNOWN[schema], 0
    for entity, fields in told(load(schema), OLD):
        assert set(fields) <= known[entity], (entity, fields)
        seen += 1
    assert seen > 20


def told(recording: dict[str, Any], who: str) -> Iterator[tuple[int, dict[int, Any]]]:
    """Everything with fields that a client hears of: events, pages, snapshots, conflicts, kept values."""
    entity_of = {21: PROFILE, 22: ANSWER}
    for frame in heard(recording, who):
        match frame:
            case [48, _, _, _, _, [30, records]]:
                yield from ((item[0], item[3]) for item in records)
            case [52, _, _, events, _]:
                yield from ((item[0], item[3]) for event in events if event[3][0] == CHANGED for item in event[3][1])
            case [58, _, _, _, records, _]:
                yield from ((item[0], item[3]) for item in records)
            case [59, _, conflicts, _]:
                yield from ((conflict[2], conflict[at]) for conflict in conflicts for at in (8, 9, 10, 11))
            case [61, id, versions, _]:
                yield from ((entity_of[id], version[5]) for version in versions)


@every_schema
def test_a_client_of_either_kind_reads_what_the_other_wrote(schema: int) -> None:
    recording = load(schema)
    old, new = items(recording, OLD), items(recording, NEW)
    spoken, others = ({2: "sw, en"}, {2: "fr, sw"}) if schema <= 2 else ({3: ["sw", "en"]}, {3: ["fr", "sw"]})
    quiet, none = ({3: "22-07"}, {3: ""}) if schema <= 3 else ({4: 1320, 5: 420}, {4: 0, 5: 0})
    later = {3: "22-07"} if schema <= 3 else {4: 1350, 5: 420}
    # what the old client wrote
    assert (ANSWER, 1, {2: [3], 3: "because"}) in old and (ANSWER, 1, {2: [3], 3: "because"}) in new
    assert (PROFILE, 1, {1: "I teach", **spoken}) in old and (PROFILE, 1, {1: "I teach", 3: ["sw", "en"]}) in new
    assert (PREFERENCES, 1, {**quiet, 6: True}) in old and (PREFERENCES, 1, {4: 1320, 5: 420, 6: True}) in new
    assert (PREFERENCES, 3, none) in old and (PREFERENCES, 3, {4: 0, 5: 0}) in new
    # what the present one wrote
    assert (ANSWER, 2, {2: [5, 7]}) in old and (ANSWER, 2, {2: [5, 7]}) in new
    assert (PROFILE, 2, others) in old and (PROFILE, 2, {3: ["fr", "sw"]}) in new
    assert (PREFERENCES, 2, later) in old and (PREFERENCES, 2, {4: 1350, 5: 420}) in new
    assert (CONTENT, 1, {1: "Water", 2: "first"}) in old and (CONTENT, 1, {1: "Water", 2: "first"}) in new
    # what either made of both
    made = {2: "pt, fr"} if schema <= 2 else {3: ["pt", "fr"]}
    assert (PROFILE, 4, made) in old and (PROFILE, 4, {3: ["pt", "fr"]}) in new
    assert (CONTENT, 2, {2: "second"}) in old and (CONTENT, 2, {2: "second"}) in new
    assert ((ACTION, 1, {1: "Plant trees", 4: False}) in old) == (schema >= 3)
    assert (SUBJECT, 1, {1: "Nature"}) in new and all(entity != SUBJECT for entity, _, _ in old)


@every_schema
def test_what_an_old_client_does_not_know_keeps_its_number_in_the_stream(schema: int) -> None:
    numbered: dict[str, list[tuple[int, int]]] = {who: [] for who in (OLD, NEW)}
    for step in load(schema)["steps"][:-3]:
        for who, found in numbered.items():
            found += [(frame[1], frame[2]) for frame in frames(step[who]) if frame[0] == EVENT]
    assert numbered[OLD] == numbered[NEW]


@every_schema
def test_conflicts_have_both_sides_in_the_fields_of_whoever_asks(schema: int) -> None:
    pages = {who: next(frame for frame in heard(load(schema), who) if frame[0] == CONFLICT_PAGE) for who in (OLD, NEW)}
    theirs, mine = ({2: "pt"}, {2: "ak"}) if schema <= 2 else ({3: ["pt"]}, {3: ["ak"]})
    assert [(c[2], c[8], c[9]) for c in pages[OLD][2]] == [
        (PROFILE, {}, theirs),
        (PROFILE, mine, {}),
        (CONTENT, {2: "second"}, {2: "first"}),
    ]
    assert [(c[8], c[9]) for c in pages[NEW][2][:2]] == [({}, {3: ["pt"]}), ({3: ["ak"]}, {})]


@every_schema
def test_what_an_old_client_sends_again_has_the_outcome_that_it_had(schema: int) -> None:
    steps = load(schema)["steps"]
    [first] = [step for step in steps if step["about"].startswith("the old one knows that")]
    [done] = [frame for frame in frames(first[OLD]) if frame[0] == 33]
    assert list(frames(steps[-1][OLD])) == [done]
    assert msgpack.unpackb(bytes.fromhex(steps[-1]["sends"]), strict_map_key=False)[2][4] == T + 20
