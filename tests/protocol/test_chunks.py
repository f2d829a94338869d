"""Chunks: the same changes in fewer bytes; every change comes out byte for byte as a `Mutate` would carry it."""

from __future__ import annotations

from itertools import pairwise

import msgpack
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from protocol import codec
from protocol.chunks import BadItem, expand, pack
from protocol.entities import TABLE, Entity, write_fields
from protocol.frames import ChangeItem, Chunk, Mutate, Run
from protocol.operations import Change
from tests.protocol.samples import fields_of

IDS = st.one_of(st.integers(1, 300), st.integers(1, 2**53 - 1))


@st.composite
def changes(draw: st.DrawFn) -> Change:
    declaration = draw(st.sampled_from(list(TABLE.values())))
    gone = declaration.deletable and draw(st.booleans())
    fields = Raw(b"\x80") if gone else write_fields(draw(fields_of(declaration)))
    stream = draw(st.sampled_from([1, 2, 2**53 - 1]))
    return Change(
        stream, declaration.entity, draw(IDS), draw(st.integers(0, 2**40)), fields, draw(st.sampled_from([0, 1, 2**53 - 1])), gone
    )


frozen = st.lists(changes().map(codec.encode), min_size=1, max_size=12)


def over_the_wire(chunk: Chunk) -> Chunk:
    received = codec.decode_command(codec.encode(chunk))
    assert isinstance(received, Chunk)
    return received


@settings(max_examples=300)
@given(frozen, st.integers(1, 2**53 - 257))
def test_what_was_packed_comes_out_byte_for_byte(encoded: list[bytes], number: int) -> None:
    chunk = over_the_wire(pack(number, encoded))
    assert chunk.number == number
    assert expand(chunk) == encoded


@settings(max_examples=100)
@given(frozen, st.data())
def test_a_retry_that_is_cut_elsewhere_carries_the_same_bytes(encoded: list[bytes], data: st.DataObject) -> None:
    cuts = sorted({0, len(encoded), *data.draw(st.lists(st.integers(0, len(encoded)), max_size=4))})
    pieces = [over_the_wire(pack(1 + begin, encoded[begin:end])) for begin, end in pairwise(cuts)]
    assert [change for piece in pieces for change in expand(piece)] == encoded


@settings(max_examples=100)
@given(frozen)
def test_a_chunk_is_no_longer_than_its_changes_one_by_one(encoded: list[bytes]) -> None:
    singly = codec.join([codec.encode(Mutate(number, Raw(change))) for number, change in enumerate(encoded, 1)])
    assert len(codec.encode(pack(1, encoded))) <= len(singly) + 12


@settings(max_examples=200)
@given(frozen, st.data())
def test_what_another_writer_packs_in_other_widths_or_with_defaults_written_out_is_the_same(
    encoded: list[bytes], data: st.DataObject
) -> None:
    """The digest is over what expanding gives, so it may not depend on how an item was written."""
    decoded = [msgspec.msgpack.decode(change, type=Change) for change in encoded]
    runs, before = [], 0
    for change in decoded:
        item = [change.key, change.at - before, msgspec.msgpack.decode(change.fields), change.base, change.gone]
        before = change.at
        while data.draw(st.booleans()) and (item[-1], len(item)) in ((False, 5), (0, 4)):
            item.pop()
        runs.append([change.stream, change.entity, [item]])
    chunk = codec.decode_command(msgpack.packb([15, 1, 0, runs]))
    assert isinstance(chunk, Chunk)
    assert expand(chunk) == encoded


BAD = {
    "nil": b"\xc0",
    "text": b"\xa8say this",
    "no time": b"\x91\x01",
    "a key that is none": b"\x93\x00\x00\x81\x01\x05",
    "a key that is text": b"\x93\xa11\x00\x81\x01\x05",
    "one field too many": b"\x96\x01\x00\x80\x00\xc3\x01",
    "a base below zero": b"\x94\x01\x00\x80\xff",
    "a time too far away": b"\x93\x01\xcf\xff\xff\xff\xff\xff\xff\xff\xff\x80",
    "text that is no UTF-8": b"\x94\x01\x00\x80\xa2\xff\xfe",
}


@pytest.mark.parametrize("bad", [pytest.param(raw, id=name) for name, raw in BAD.items()])
@settings(max_examples=20)
@given(frozen, st.data())
def test_a_bad_item_has_its_number_and_keeps_no_other_back(bad: bytes, encoded: list[bytes], data: st.DataObject) -> None:
    packed = pack(1, encoded)
    run = data.draw(st.integers(0, len(packed.runs) - 1))
    place = data.draw(st.integers(0, len(packed.runs[run].changes)))
    items = packed.runs[run].changes
    broken = Run(packed.runs[run].stream, packed.runs[run].entity, (*items[:place], Raw(bad), *items[place:]))
    chunk = over_the_wire(Chunk(1, packed.at, (*packed.runs[:run], broken, *packed.runs[run + 1 :])))
    expanded = expand(chunk)
    at = sum(len(one.changes) for one in packed.runs[:run]) + place
    refused = expanded.pop(at)
    assert isinstance(refused, BadItem) and refused.raw == bad and refused.detail.startswith(f"change {at} of the chunk: ")
    assert len(refused.detail) <= 400
    assert expanded == encoded


@pytest.mark.parametrize("bad", [[0, 7, {1: 5}], [1, 7, {1: 5}, -1], [1, 7, {1: 5}, 0, False, "more"], ["key", 7]], ids=str)
def test_what_follows_a_bad_item_is_the_same_wherever_a_retry_cuts(bad: list[object]) -> None:
    """Or a good change would be told that its number was used for something else."""
    items = [Raw(msgspec.msgpack.encode(item)) for item in ([1, 0, {1: 5}], bad, [2, 3, {1: 6}])]

    def cut(at: int, *some: Raw) -> list[bytes | BadItem]:
        return expand(Chunk(1, at, (Run(300, Entity.PROGRESS, some),)))

    after = Raw(msgspec.msgpack.encode([2, 0, {1: 6}]))
    assert cut(100, *items)[2] == cut(110, after)[0]


def test_a_time_before_1970_is_the_beginning_of_1970_and_the_next_is_counted_from_what_was_said() -> None:
    items = (ChangeItem(1, -50, write_fields({1: 5})), ChangeItem(2, 100, write_fields({1: 6})))
    chunk = Chunk(1, 10, (Run(300, Entity.PROGRESS, tuple(Raw(msgspec.msgpack.encode(item)) for item in items)),))
    assert [msgspec.msgpack.decode(change, type=Change).at for change in expand(chunk) if isinstance(change, bytes)] == [0, 60]


def test_a_time_beyond_all_times_is_the_last_one() -> None:
    items = (ChangeItem(1, 2**40, write_fields({1: 5})), ChangeItem(2, -(2**40), write_fields({1: 6})))
    chunk = Chunk(1, 10, (Run(300, Entity.PROGRESS, tuple(Raw(msgspec.msgpack.encode(item)) for item in items)),))
    expanded = [codec.decode_operation(change) for change in expand(chunk) if isinstance(change, bytes)]
    assert [change.at for change in expanded if isinstance(change, Change)] == [2**40, 10]


# Bytes


def progress(lesson: int, percent: int, at: int) -> bytes:
    return codec.encode(Change(345_678, Entity.PROGRESS, lesson, at, write_fields({1: percent}), 0))


def test_one_progress_mutation_costs_at_most_30_bytes() -> None:
    chunk = pack(70_000, [progress(65_535, 100, 1_790_000_000)])
    assert len(codec.encode(chunk)) <= 30


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(1, 65_535), st.integers(0, 100), st.integers(1, 3_600)), min_size=200, max_size=200),
)
def test_200_progress_mutations_of_several_days_cost_at_most_2600_bytes(day: list[tuple[int, int, int]]) -> None:
    at, encoded = 1_790_000_000, []
    for lesson, percent, later in day:
        at += later
        encoded.append(progress(lesson, percent, at))
    assert len(codec.encode(pack(70_000, encoded))) <= 2_600
