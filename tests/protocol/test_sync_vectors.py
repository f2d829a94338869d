"""The vectors of sync, which were thought out by hand: the rules, the casts and the chunks agree with them."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest

from client.heirs import digest_of
from protocol import codec
from protocol.chunks import expand, pack
from protocol.conflicts import TABLE as STEPS
from protocol.entities import TABLE, Fields, downcast, upcast
from protocol.frames import Chunk
from protocol.merge import Cell, Outcome, Record, Stamp, Written, merge, outcome_value, read_outcome
from protocol.values import ConflictState
from tests.protocol.files import ROOT
from tests.protocol.test_vectors import as_json

VECTORS: dict[str, Any] = json.loads((ROOT / "tests/vectors/sync.json").read_text("utf-8"))


def claims(key: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("entry", VECTORS[key], ids=lambda entry: entry.get("name", ""))


def fields(pairs: list[Any]) -> Fields:
    return {number: tuple(value) if isinstance(value, list) else value for number, value in pairs}


@claims("merge")
def test_a_change_becomes_what_was_thought_out(entry: dict[str, Any]) -> None:
    cells = {
        number: Cell(tuple(value) if isinstance(value, list) else value, version, Stamp(*stamp))
        for number, (value, version, stamp) in entry["record"]["cells"]
    }
    record = Record(entry["record"]["version"], cells)
    change = Written(entry["change"]["base"], fields(entry["change"]["fields"]), entry["change"]["gone"])
    verdict = merge(TABLE[entry["entity"]], record, change, Stamp(*entry["stamp"]))
    assert verdict.outcome is Outcome[entry["outcome"]]
    assert (verdict.record.fields, verdict.record.is_gone) == (fields(entry["after"]["fields"]), entry["after"]["gone"])
    assert (verdict.theirs, verdict.mine) == (fields(entry["theirs"]), fields(entry["mine"]))
    assert (verdict.conflict, verdict.attempt) == (entry["conflict"], entry["attempt"])


@claims("casts")
def test_fields_of_old_schemas_become_what_was_thought_out(entry: dict[str, Any]) -> None:
    if entry["old"] is not None:
        assert upcast(entry["entity"], fields(entry["old"])) == fields(entry["present"])
    down = downcast(entry["entity"], fields(entry["present"]), entry["schema"])
    assert down == (None if entry["down"] is None else fields(entry["down"]))


@claims("chunks")
def test_a_chunk_and_its_changes_are_each_others(entry: dict[str, Any]) -> None:
    operations = [bytes.fromhex(operation) for operation in entry["operations"]]
    chunk = codec.decode_command(bytes.fromhex(entry["hex"]))
    assert isinstance(chunk, Chunk) and chunk.number == entry["number"]
    assert expand(chunk) == operations
    assert codec.encode(pack(entry["number"], operations)).hex() == entry["hex"]
    assert as_json(msgpack.unpackb(bytes.fromhex(entry["hex"]), strict_map_key=False)) == entry["wire"]


def test_a_changes_value_says_its_outcome() -> None:
    for entry in VECTORS["outcomes"]:
        assert read_outcome(entry["value"]) == (Outcome[entry["outcome"]], entry["n"])
        assert outcome_value(Outcome[entry["outcome"]], entry["n"]) == entry["value"]


def test_every_state_of_a_conflict_and_every_step_is_listed() -> None:
    listed = {(entry["state"], entry["operation"]): entry["leads_to"] for entry in VECTORS["conflicts"]}
    assert len(listed) == len(ConflictState) * 3
    for state, row in STEPS.items():
        for kind, following in row.items():
            assert listed.pop((int(state), kind.__name__)) == int(following)
    assert set(listed.values()) == {None}


def test_a_digest_is_the_clients() -> None:
    for entry in VECTORS["digests"]:
        assert str(digest_of(bytes.fromhex(entry["operation"]))) == entry["digest"]
