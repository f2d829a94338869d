"""The vectors, read by our codec and by an independent msgpack; neither had a part in making them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgpack
import msgspec
import pytest

from protocol import codec
from protocol.codec import BadFrame, UnknownBody, UnknownEvent, UnknownFrame
from protocol.codes import Code
from protocol.vectors import pack
from tests.protocol.files import ROOT

VECTORS: dict[str, Any] = json.loads((ROOT / "tests/vectors/frames.json").read_text("utf-8"))
READERS: dict[str, Callable[[bytes], msgspec.Struct]] = {
    "command": codec.decode_command,
    "operation": codec.decode_operation,
    "frame": codec.decode_frame,
    "body": codec.decode_body,
}
UNKNOWN = (UnknownFrame, UnknownBody, UnknownEvent)


def read(entry: dict[str, Any]) -> msgspec.Struct:
    return READERS[entry["reader"]](bytes.fromhex(entry["hex"]))


def fields(value: msgspec.Struct) -> dict[str, Any]:
    """What a reader made of it, as JSON says it; bytes left for a second step are read by the independent msgpack."""

    def plain(item: Any) -> Any:
        if isinstance(item, msgspec.Raw):
            return as_json(msgpack.unpackb(bytes(item), strict_map_key=False))
        if isinstance(item, bytes):
            return as_json(item)
        if isinstance(item, msgspec.Struct):
            tag = item.__struct_config__.tag
            inner = [plain(getattr(item, name)) for name in item.__struct_fields__]
            return inner if tag is None else [tag, *inner]
        if isinstance(item, tuple):
            return [plain(inner) for inner in item]
        return item

    return {name: plain(getattr(value, name)) for name in value.__struct_fields__}


def as_json(value: Any) -> Any:
    """What the independent reader made of bytes, as the vectors write it: JSON has no maps from numbers, and no bytes."""
    match value:
        case bytes():
            return {"bin": value.hex()}
        case dict():
            return {"map": [[key, as_json(item)] for key, item in value.items()]}
        case list():
            return [as_json(item) for item in value]
        case _:
            return value


def as_msgpack(value: Any) -> Any:
    """The other way round."""
    match value:
        case {"bin": str(digits)}:
            return bytes.fromhex(digits)
        case {"map": list(pairs)}:
            return {key: as_msgpack(item) for key, item in pairs}
        case list():
            return [as_msgpack(item) for item in value]
        case _:
            return value


def claims(key: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("entry", VECTORS[key], ids=lambda entry: entry["name"])


@claims("valid")
def test_a_valid_vector_decodes_to_its_fields(entry: dict[str, Any]) -> None:
    value = read(entry)
    assert type(value).__name__ == entry["type"]
    assert fields(value) == entry["fields"]


@claims("valid")
def test_an_independent_reader_sees_the_wire_form(entry: dict[str, Any]) -> None:
    assert as_json(msgpack.unpackb(bytes.fromhex(entry["hex"]), strict_map_key=False)) == entry["wire"]


@claims("valid")
def test_an_independent_writers_bytes_decode_to_the_same(entry: dict[str, Any]) -> None:
    assert READERS[entry["reader"]](msgpack.packb(as_msgpack(entry["wire"]))) == read(entry)


@claims("valid")
def test_what_our_codec_writes_an_independent_reader_reads(entry: dict[str, Any]) -> None:
    value = read(entry)
    assert not isinstance(value, UNKNOWN)
    assert READERS[entry["reader"]](msgpack.packb(msgpack.unpackb(codec.encode(value), strict_map_key=False))) == value  # type: ignore[arg-type]


@claims("newer")
def test_what_a_newer_server_adds_is_passed_over(entry: dict[str, Any]) -> None:
    value = read(entry)
    assert type(value).__name__ == entry["type"]
    assert fields(value) == entry["fields"]


@claims("invalid")
def test_an_invalid_vector_is_refused_with_its_code(entry: dict[str, Any]) -> None:
    with pytest.raises(BadFrame) as caught:
        read(entry)
    assert (caught.value.code.name, caught.value.tag) == (entry["code"], entry["tag"])
    assert caught.value.detail


@claims("messages")
def test_a_message_comes_apart_into_its_frames(entry: dict[str, Any]) -> None:
    frames = [bytes.fromhex(frame) for frame in entry["frames"]]
    assert [bytes(frame) for frame in codec.split(bytes.fromhex(entry["hex"]))] == frames
    if entry["written"] == "shortest":
        assert codec.join(frames).hex() == entry["hex"]


@claims("bad_messages")
def test_a_bad_message_is_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(BadFrame) as caught:
        codec.split(bytes.fromhex(entry["hex"]))
    assert caught.value.code is Code[entry["code"]]


def test_every_tag_of_the_wire_has_a_valid_vector() -> None:
    known = {
        "command": codec._COMMAND_TAGS,
        "operation": codec._OPERATION_TAGS,
        "frame": codec._FRAME_TAGS,
        "body": codec._BODY_TAGS,
    }
    for reader, tags in known.items():
        assert {entry["wire"][0] for entry in VECTORS["valid"] if entry["reader"] == reader} == tags


@pytest.mark.parametrize("value", [0, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**53 - 1, -1, -32, -33, -128, -129, -(2**40)])
def test_the_vectors_writer_packs_integers_as_the_independent_one_does(value: int) -> None:
    assert pack(value) == msgpack.packb(value)


@pytest.mark.parametrize("length", [0, 15, 16, 31, 32, 255, 256, 65_535, 65_536])
def test_the_vectors_writer_packs_lengths_as_the_independent_one_does(length: int) -> None:
    pairs = {"map": [[index, 1] for index in range(length)]}
    for value in ("é" * (length // 2) + "a" * (length % 2), [1] * length, pairs, {"bin": "07" * length}):
        assert pack(value) == msgpack.packb(as_msgpack(value))
