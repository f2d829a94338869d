"""The codec: everything comes back as it went, and nothing but `BadFrame` comes of bytes, whatever they are."""

from __future__ import annotations

import gc
import json
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any, get_args

import msgpack
import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from protocol import codec
from protocol.codec import BadFrame
from protocol.codes import Code
from protocol.entities import BadFields, read_fields
from protocol.events import AnyBody, Posted, Redacted, Said
from protocol.frames import (
    BATCH_FRAMES_MAX,
    AnyCommand,
    AnyFrame,
    ChangeItem,
    Chunk,
    Event,
    Member,
    MemberPage,
    Mutate,
    Page,
    PageEvent,
    Run,
    Spaces,
    Typing,
    Welcome,
)
from protocol.operations import AnyOperation, Say
from protocol.schema import INT_MAX, INT_MIN
from protocol.values import Role
from tests.protocol.files import ROOT

READERS: tuple[Callable[[bytes], msgspec.Struct], ...] = (
    codec.decode_command,
    codec.decode_operation,
    codec.decode_frame,
    codec.decode_body,
)
_VALID = json.loads((ROOT / "tests/vectors/frames.json").read_text("utf-8"))["valid"]
VALID = [bytes.fromhex(entry["hex"]) for entry in _VALID]
BYTES_A_BYTE_MAX = 20
"""Memory that decoding may cost for each byte of input: 18.7 were measured at worst, a `Hello` full of cursors of three bytes each."""
MEMORY_FIXED_BYTES = 16 * 1024
"""What one decoding costs beside that: the error, its text and its traceback."""


def build(kind: Any) -> st.SearchStrategy[Any]:
    """Any legal value of a struct, from its own annotations."""
    hints = {name: hint for name, hint in _hints(kind)}
    return st.builds(kind, **{name: _strategy(hint) for name, hint in hints.items()})


def _hints(kind: Any) -> Iterator[tuple[str, msgspec.inspect.Type]]:
    described = msgspec.inspect.type_info(kind)
    assert isinstance(described, msgspec.inspect.StructType)
    for field in described.fields:
        yield field.name, field.type


def _strategy(kind: msgspec.inspect.Type) -> st.SearchStrategy[Any]:
    match kind:
        case msgspec.inspect.Metadata():
            return _strategy(kind.type)
        case msgspec.inspect.IntType():
            low, high = kind.ge, kind.le
            return st.integers(INT_MIN if low is None else low, INT_MAX if high is None else high)
        case msgspec.inspect.BoolType():
            return st.booleans()
        case msgspec.inspect.StrType():
            return st.text(st.characters(exclude_categories=["Cs"]), min_size=kind.min_length or 0, max_size=min(kind.max_length or 40, 40))
        case msgspec.inspect.EnumType():
            return st.sampled_from(list(kind.cls))
        case msgspec.inspect.VarTupleType():
            return st.lists(_strategy(kind.item_type), min_size=kind.min_length or 0, max_size=min(kind.max_length or 4, 4)).map(tuple)
        case msgspec.inspect.StructType():
            return run_strategy() if kind.cls is Run else build(kind.cls)
        case msgspec.inspect.UnionType():
            return st.one_of([_strategy(member) for member in kind.types])
        case msgspec.inspect.BytesType():
            return st.binary(min_size=kind.min_length or 0, max_size=min(kind.max_length or 20, 20))
        case msgspec.inspect.RawType():
            return st.just(msgspec.Raw(codec.encode(Say(1, "x"))))
        case other:
            raise AssertionError(f"no strategy for {other}")


def run_strategy() -> st.SearchStrategy[Run]:
    """Runs whose changes are changes, since shorter ones are refused by their count."""
    items = st.lists(build(ChangeItem).map(codec_of_item), min_size=1, max_size=4).map(tuple)
    return st.builds(Run, st.integers(1, 2**53 - 1), st.integers(1, 255), items)


def codec_of_item(item: ChangeItem) -> msgspec.Raw:
    return msgspec.Raw(msgspec.msgpack.encode(item))


def _texts(struct: msgspec.Struct) -> bytes:
    """All texts of a struct, joined."""
    return "".join(value for name in struct.__struct_fields__ if isinstance(value := getattr(struct, name), str)).encode()


commands = st.one_of([build(kind) for kind in get_args(AnyCommand)])
operations = st.one_of([build(kind) for kind in get_args(AnyOperation)]).filter(lambda operation: b"\0" not in _texts(operation))
"""Those that may be asked for: no text holds U+0000, since Postgres' cannot."""
frames = st.one_of([build(kind) for kind in get_args(AnyFrame)])
bodies = st.one_of([build(kind) for kind in get_args(AnyBody)])


def test_every_struct_of_the_wire_round_trips_at_least_once() -> None:
    for union, reader in zip((AnyCommand, AnyOperation, AnyFrame, AnyBody), READERS, strict=True):
        for kind in get_args(union):
            tag = kind.__struct_config__.tag
            assert any(raw[1] == tag and type(reader(raw)) is kind for raw in VALID if _accepts(reader, raw)), kind


def _accepts(reader: Callable[[bytes], msgspec.Struct], raw: bytes) -> bool:
    try:
        reader(raw)
    except BadFrame:
        return False
    return True


@given(commands)
def test_a_command_comes_back_as_it_went(command: Any) -> None:
    assert codec.decode_command(codec.encode(command)) == command


@given(operations)
def test_an_operation_comes_back_as_it_went(operation: Any) -> None:
    assert codec.decode_operation(codec.encode(operation)) == operation


@given(frames)
def test_a_frame_comes_back_as_it_went(frame: Any) -> None:
    assert codec.decode_frame(codec.encode(frame)) == frame


@given(bodies)
def test_a_body_comes_back_as_it_went(body: Any) -> None:
    assert codec.decode_body(codec.encode(body)) == body


@given(st.lists(st.one_of(commands, frames).map(codec.encode), min_size=1, max_size=20))
def test_a_message_comes_apart_into_what_was_joined(encoded: list[bytes]) -> None:
    assert [bytes(frame) for frame in codec.split(codec.join(encoded))] == encoded


@given(build(Event))
@example(Event(1, 1, 1, 1, Posted("without files", 0, ())))
def test_an_event_around_encoded_bytes_is_the_event_itself(event: Event) -> None:
    encoded = codec.encode_event(event.stream, event.seq, event.author, event.at, codec.encode(event.body))
    assert encoded == codec.encode(event)


# Whatever the bytes


def read_everything(data: bytes) -> None:
    """Reads `data` in every way there is; anything but `BadFrame` fails the test."""
    for reader in READERS:
        try:
            reader(data)
        except BadFrame as bad:
            assert bad.code in (Code.BAD_FRAME, Code.INVALID, Code.UNKNOWN)
            assert len(bad.detail) <= 400
    try:
        raw_frames = codec.split(data)
    except BadFrame as bad:
        assert bad.code is Code.BAD_FRAME
    else:
        assert 1 <= len(raw_frames) <= BATCH_FRAMES_MAX
        for raw in raw_frames:
            for reader in READERS:
                try:
                    reader(raw)
                except BadFrame:
                    pass


@settings(max_examples=400)
@given(st.binary(max_size=64))
@example(b"")
@example(b"\x91")
@example(b"\xdc")
@example(b"\xdd\x00\x00\x00")
@example(b"\x92\x01\xc1")
def test_arbitrary_bytes_raise_nothing_but_bad_frame(data: bytes) -> None:
    read_everything(data)


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(width=32),
    st.sampled_from(["", "é", "text"]),
    st.binary(max_size=3),
)


@settings(max_examples=300)
@given(st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=6), max_leaves=12))
def test_arbitrary_msgpack_raises_nothing_but_bad_frame(value: Any) -> None:
    read_everything(msgpack.packb(value, strict_types=True))


@settings(max_examples=800)
@given(st.sampled_from(VALID), st.data())
def test_mutated_frames_raise_nothing_but_bad_frame(valid: bytes, data: st.DataObject) -> None:
    mutated = bytearray(valid)
    for _ in range(data.draw(st.integers(1, 4), label="mutations")):
        at = data.draw(st.integers(0, len(mutated)), label="at")
        match data.draw(st.sampled_from(("flip", "insert", "delete", "cut", "repeat")), label="how"):
            case "flip" if at < len(mutated):
                mutated[at] ^= 1 << data.draw(st.integers(0, 7), label="bit")
            case "insert":
                mutated[at:at] = data.draw(st.binary(min_size=1, max_size=5), label="bytes")
            case "delete":
                del mutated[at : at + 3]
            case "cut":
                del mutated[at:]
            case "repeat":
                mutated += mutated[at : at + 100]
    read_everything(bytes(mutated))


BOMBS = {
    "arrays in arrays": b"\x91" * 60_000 + b"\x01",
    "arrays in a known frame": b"\x92\x06" + b"\x91" * 60_000 + b"\x01",
    "arrays in a mutation's operation": b"\x93\x06\x01" + b"\x91" * 60_000 + b"\x01",
    "maps in maps": b"\x92\x06" + b"\x81\x01" * 30_000 + b"\x01",
    "many empty arrays": b"\xdc\xfd\xe8" + b"\x90" * 65_000,
    "many empty maps": b"\xdc\xfd\xe8" + b"\x80" * 65_000,
    "many empty maps in an operation": b"\x93\x06\x01\xdc\xfd\xe8" + b"\x80" * 65_000,
    "many cursors": b"\x95\x01\x01\xa1x\x01\xdc\x20\x00" + b"\x92\x01\x01" * 8192,
    "many mentions": b"\x95\x11\x01\xa1x\x00\xdc\xfd\xe8" + b"\x01" * 65_000,
    "a batch of small frames": b"\xdc\x40\x00" + b"\x91\x03" * 16_384,
    "an array that promises 2^32": b"\xdd\xff\xff\xff\xff" + b"\x01" * 100,
    "cursors that promise 2^32": b"\x95\x01\x01\xa1x\x01\xdd\xff\xff\xff\xff" + b"\x92\x01\x01" * 30,
    "mentions that promise 2^32": b"\x95\x11\x01\xa1x\x00\xdd\xff\xff\xff\xff" + b"\x01" * 30,
    "changes of one byte": b"\x94\x0f\x01\x01\x91\x93\x01\x01\xdc\x01\x00" + b"\x01" * 256,
    "many changes of one byte": b"\x94\x0f\x01\x01\xdc\x00\xf0" + (b"\x93\x01\x01\xdc\x01\x00" + b"\x01" * 256) * 240,
    "many runs of one byte": b"\x94\x0f\x01\x01\xdc\xff\xff" + b"\x90" * 65_000,
    "many runs of no changes": b"\x94\x0f\x01\x01\xdc\x01\x00" + b"\x93\x01\x01\xc0" * 256,
    "changes that promise 2^32": b"\x94\x0f\x01\x01\x91\x93\x01\x01\xdd\xff\xff\xff\xff" + b"\x01" * 30,
    "fields in fields": b"\x94\x0f\x01\x01\x91\x93\x01\x01\x91\x93\x01\x00" + b"\x81\x01" * 30_000 + b"\x01",
    "a map that promises 2^32": b"\x92\x06\xdf\xff\xff\xff\xff" + b"\x01" * 100,
    "text that promises 2^32": b"\x92\x0e\xdb\xff\xff\xff\xff" + b"x" * 100,
    "an extension that promises 2^32": b"\x92\x0e\xc9\xff\xff\xff\xff\x01" + b"x" * 100,
}


@pytest.mark.parametrize("bomb", [pytest.param(bomb, id=name) for name, bomb in BOMBS.items()])
def test_a_bomb_is_refused_and_costs_no_more_memory_than_its_size_allows(bomb: bytes) -> None:
    assert len(bomb) <= codec.MESSAGE_BYTES_MAX
    read_everything(bomb)  # whatever is built once only, caches and messages, is built now
    gc.collect()
    tracemalloc.start()
    try:
        read_everything(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= BYTES_A_BYTE_MAX * len(bomb) + MEMORY_FIXED_BYTES


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param([1, 1, "x", 1, [[1, 1]] * 256], id="cursors"),
        pytest.param([6, 1, [17, 1, "x", 0, [300] * 20]], id="mentions"),
        pytest.param([4, 1], id="pings"),
        pytest.param([15, 1, 1, [[1, 1, [[1, 0, {1: 5}]] * 256]]], id="changes"),
        pytest.param([15, 1, 1, [[1, 1, [[1, 0, {1: 5}]]]] * 256], id="runs of one change"),
    ],
)
def test_a_legal_message_full_of_small_things_costs_no_more_memory_than_its_size_allows(frame: list[Any]) -> None:
    encoded = msgpack.packb(frame)
    message = codec.join([encoded] * min(BATCH_FRAMES_MAX, (codec.MESSAGE_BYTES_MAX - 3) // len(encoded)))

    def decode_and_keep() -> list[Any]:
        decoded = [codec.decode_command(raw) for raw in codec.split(message)]
        return [decoded, [codec.decode_operation(command.operation) for command in decoded if isinstance(command, Mutate)]]

    decode_and_keep()
    gc.collect()
    tracemalloc.start()
    try:
        kept = decode_and_keep()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept[0]
    assert peak <= BYTES_A_BYTE_MAX * len(message) + MEMORY_FIXED_BYTES


def test_the_recursion_limit_is_as_it_was_after_a_nested_bomb() -> None:
    before = sys.getrecursionlimit()
    read_everything(b"\x91" * 60_000)
    assert sys.getrecursionlimit() == before
    assert codec.decode_command(codec.encode(Typing(7))) == Typing(7)


FIELD_BOMBS = {
    "a list of empty texts": b"\x81\x01\xdc\xea\x60" + b"\xa0" * 60_000,
    "a list of texts": b"\x81\x01\xdc\x75\x30" + b"\xa1a" * 30_000,
    "a list that promises 2^32": b"\x81\x01\xdd\xff\xff\xff\xff" + b"\x01" * 100,
    "many fields": b"\xde\x3a\x98" + b"".join(b"\xcd" + number.to_bytes(2, "big") + b"\x01" for number in range(15_000)),
    "fields that promise 2^32": b"\xdf\xff\xff\xff\xff" + b"\x01\x01" * 100,
    "lists in lists": b"\x81\x01" + b"\x91" * 60_000 + b"\x01",
    "maps in maps": b"\x81\x01" * 30_000 + b"\x01",
    "bytes": b"\x81\x01\xc5\xff\xff" + b"x" * 65_535,
    "text that is no UTF-8": b"\x81\x01\xa2\xff\xfe",
    "a byte that msgpack never uses": b"\x81\x01\xc1",
    "nothing": b"",
}


@pytest.mark.parametrize("bomb", [pytest.param(bomb, id=name) for name, bomb in FIELD_BOMBS.items()])
def test_fields_that_are_none_are_refused_and_cost_no_more_memory_than_their_size_allows(bomb: bytes) -> None:
    with pytest.raises(BadFields):
        read_fields(bomb)
    gc.collect()
    tracemalloc.start()
    try:
        with pytest.raises(BadFields):
            read_fields(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= BYTES_A_BYTE_MAX * len(bomb) + MEMORY_FIXED_BYTES


@given(st.integers(0, 260), st.integers(0, 8))
def test_a_chunk_of_more_changes_than_there_may_be_or_than_its_bytes_can_say_is_refused(count: int, size: int) -> None:
    chunk = [15, 7, 1, [[300, 1, [[1] + [0] * size] * count]]]
    raw = msgpack.packb(chunk)
    if 1 <= count <= 256 and len(raw) >= 4 + 6 * count:
        decoded = codec.decode_command(raw)
        assert isinstance(decoded, Chunk) and len(decoded.runs[0].changes) == count
    else:
        with pytest.raises(BadFrame) as caught:
            codec.decode_command(raw)
        assert (caught.value.code, caught.value.tag, caught.value.id) == (Code.INVALID, 15, 7)


# What a refusal tells


@pytest.mark.parametrize(
    ("raw", "code", "tag", "id"),
    [
        pytest.param(codec.encode(Mutate(9, msgspec.Raw(b"\x01")))[:-1] + b"\x01\x02", Code.BAD_FRAME, 0, 0, id="trailing"),
        pytest.param(msgpack.packb([14, 5, ""]), Code.INVALID, 14, 5, id="a request's id"),
        pytest.param(msgpack.packb([6, 5]), Code.INVALID, 6, 5, id="a mutation's number"),
        pytest.param(msgpack.packb([11, 0]), Code.INVALID, 11, 0, id="a command without an id"),
        pytest.param(msgpack.packb([1, "one", "token", 5]), Code.INVALID, 1, 0, id="hello has no id"),
        pytest.param(msgpack.packb([14, 2**63, "x"]), Code.INVALID, 14, 0, id="an id out of range"),
    ],
)
def test_a_refusal_names_the_command_and_its_id(raw: bytes, code: Code, tag: int, id: int) -> None:
    with pytest.raises(BadFrame) as caught:
        codec.decode_command(raw)
    assert (caught.value.code, caught.value.tag, caught.value.id) == (code, tag, id)


def test_a_refusal_says_which_field_and_what_is_allowed() -> None:
    with pytest.raises(BadFrame, match=r"`str` of length <= 4000 - at `\$\[2\]`"):
        codec.decode_operation(codec.encode(Say(1, "x" * 4001)))


# Old and new


def test_a_page_keeps_bodies_it_cannot_read_for_the_reader_to_pass_over() -> None:
    newer = PageEvent(2, 1, 0, msgspec.Raw(msgpack.packb([120, "new"])))
    page = Page(1, 300, (PageEvent(1, 1, 0, msgspec.Raw(codec.encode(Said("old")))), newer), False)
    decoded = codec.decode_frame(codec.encode(page))
    assert isinstance(decoded, Page)
    assert [codec.decode_body(event.body) for event in decoded.events] == [Said("old"), codec.UnknownBody(120)]


def test_an_older_clients_shorter_welcome_is_a_newer_servers_longer_one() -> None:
    welcome = msgspec.msgpack.decode(VALID_WELCOME)
    assert isinstance(codec.decode_frame(msgpack.packb([*welcome, "new"])), Welcome)
    longer_limits = [*welcome[:-1], [*welcome[-1], 7]]
    assert isinstance(codec.decode_frame(msgpack.packb(longer_limits)), Welcome)


VALID_WELCOME = next(bytes.fromhex(entry["hex"]) for entry in _VALID if entry["name"].startswith("Welcome"))


def test_the_tombstone_is_a_redacted_body() -> None:
    assert codec.decode_body(codec.TOMBSTONE) == Redacted()


@pytest.mark.parametrize("raw", ["927fff", "9324d3ffe0000000000000c3", "9263cfffffffffffffffff", "920400", "9204cb3ff0000000000000"])
def test_an_id_that_no_answer_could_carry_is_no_id(raw: str) -> None:
    # The first two were answered by a frame that no client takes: `Failed` with a negative id.
    with pytest.raises(codec.BadFrame) as bad:
        codec.decode_command(bytes.fromhex(raw))
    assert bad.value.id == 0


@pytest.mark.parametrize("raw", ["930105a3610062", "931105a3610062", "9406a3610062c3a27b7d", "9210a100"])
def test_a_text_that_no_database_holds_is_refused_before_it_gets_there(raw: str) -> None:
    with pytest.raises(codec.BadFrame) as bad:
        codec.decode_operation(bytes.fromhex(raw))
    assert bad.value.code is Code.INVALID


def test_a_reply_to_a_message_beyond_every_stream_is_refused_before_it_gets_there() -> None:
    with pytest.raises(codec.BadFrame) as bad:
        codec.decode_operation(bytes.fromhex("941101a178cfffffffffffffffff"))
    assert bad.value.code is Code.INVALID


def test_an_older_servers_members_and_spaces_are_read_without_names_and_invitations() -> None:
    members = msgspec.msgpack.encode([54, 7, 9, [[5, 8, "Juma"]], False])
    assert codec.decode_frame(members) == MemberPage(7, 9, (Member(5, Role.LEARNER, "Juma", ""),), False)
    assert codec.decode_frame(msgspec.msgpack.encode([53, 7, 4, []])) == Spaces(7, 4, (), ())
