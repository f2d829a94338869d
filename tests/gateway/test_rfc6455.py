"""The frame reader against what the Autobahn suite lists (sections 1 to 7 and 10), and against itself, however the bytes are cut."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway import rfc6455
from gateway.rfc6455 import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Close,
    Event,
    Limits,
    Message,
    Ping,
    Pong,
    Reader,
    Violation,
    encode,
    encode_close,
)

KEY = b"\x37\xfa\x21\x3d"
ROOMY = Limits(message_bytes_max=2 * 1024 * 1024, frames_per_message_max=100_000, tiny_fragments_max=100_000)


def frame(opcode: int, payload: bytes = b"", *, final: bool = True) -> bytes:
    return encode(opcode, payload, final=final, key=KEY)


def read(*pieces: bytes, limits: Limits = ROOMY) -> list[Event]:
    reader = Reader(limits)
    return [event for piece in pieces for event in reader.feed(piece)]


def code_of(events: Sequence[Event]) -> int:
    """The close code of the violation that ends `events`."""
    assert events and isinstance(events[-1], Violation), events
    return events[-1].code


# ── 1: framing ──


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 65535, 65536, 1_000_000])
def test_a_message_of_any_size_arrives_whole(opcode: int, size: int) -> None:
    payload = (b"0123456789" * (size // 10 + 1))[:size]
    assert read(frame(opcode, payload)) == [Message(opcode, payload)]


@pytest.mark.parametrize("piece", [1, 2, 3, 997])
def test_a_large_message_in_small_pieces_arrives_whole(piece: int) -> None:
    wire = frame(BINARY, b"x" * 65536)
    assert read(*(wire[at : at + piece] for at in range(0, len(wire), piece))) == [Message(BINARY, b"x" * 65536)]


@pytest.mark.parametrize("size", [126, 65536])
def test_a_length_in_a_longer_form_than_needed_is_refused(size: int) -> None:
    width, flag = (2, 126) if size == 126 else (8, 127)
    head = bytes((0x80 | BINARY, 0x80 | flag)) + (size - 1).to_bytes(width, "big")
    assert code_of(read(head)) == rfc6455.PROTOCOL_ERROR


def test_a_negative_64_bit_length_is_refused() -> None:
    assert code_of(read(bytes((0x82, 0xFF)) + (1 << 63).to_bytes(8, "big"))) == rfc6455.PROTOCOL_ERROR


# ── 2: pings and pongs ──


@pytest.mark.parametrize("payload", [b"", b"hello", bytes(range(0, 250, 2)), b"\x00\xff\xfe\xfd", b"\xfe" * 125])
def test_a_ping_carries_its_payload(payload: bytes) -> None:
    assert read(frame(PING, payload)) == [Ping(payload)]


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_a_control_frame_over_125_bytes_is_refused(opcode: int) -> None:
    assert code_of(read(frame(opcode, b"\xfe" * 126))) == rfc6455.PROTOCOL_ERROR


def test_an_unasked_pong_is_only_a_pong() -> None:
    assert read(frame(PONG, b"unasked"), frame(PING, b"p")) == [Pong(b"unasked"), Ping(b"p")]


def test_ten_pings_in_a_row_are_ten_pings() -> None:
    assert read(b"".join(frame(PING, b"%d" % n) for n in range(10))) == [Ping(b"%d" % n) for n in range(10)]


# ── 3, 4: reserved bits and opcodes ──


@pytest.mark.parametrize("bits", range(1, 8))
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CLOSE])
def test_reserved_bits_are_refused(bits: int, opcode: int) -> None:
    good = frame(opcode, b"")
    assert code_of(read(bytes((good[0] | bits << 4,)) + good[1:])) == rfc6455.PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_reserved_opcodes_are_refused_and_what_came_before_still_counts(opcode: int) -> None:
    events = read(frame(TEXT, b"before") + frame(opcode, b"x") + frame(PING))
    assert events[:-1] == [Message(TEXT, b"before")]
    assert code_of(events) == rfc6455.PROTOCOL_ERROR


def test_an_unmasked_frame_from_a_client_is_refused() -> None:
    assert code_of(read(encode(BINARY, b"bare"))) == rfc6455.PROTOCOL_ERROR


def test_a_masked_frame_from_a_server_is_refused() -> None:
    reader = Reader(ROOMY, masked=False)
    assert reader.feed(encode(BINARY, b"bare")) == [Message(BINARY, b"bare")]
    assert code_of(reader.feed(frame(BINARY, b"x"))) == rfc6455.PROTOCOL_ERROR


# ── 5: fragmentation ──


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_a_fragmented_control_frame_is_refused(opcode: int) -> None:
    assert code_of(read(frame(opcode, b"", final=False))) == rfc6455.PROTOCOL_ERROR


def test_control_frames_between_fragments_come_first_and_disturb_nothing() -> None:
    pieces = [
        frame(TEXT, b"frag", final=False),
        frame(PING, b"1"),
        frame(CONTINUATION, b"ment", final=False),
        frame(PONG, b"2"),
        frame(CONTINUATION, b"ed"),
    ]
    assert read(*pieces) == [Ping(b"1"), Pong(b"2"), Message(TEXT, b"fragmented")]


def test_empty_fragments_make_an_empty_message() -> None:
    pieces = [frame(BINARY, final=False), frame(CONTINUATION, final=False), frame(CONTINUATION)]
    assert read(*pieces) == [Message(BINARY, b"")]


@pytest.mark.parametrize("final", [True, False])
def test_a_continuation_of_nothing_is_refused(final: bool) -> None:
    assert code_of(read(frame(CONTINUATION, b"x", final=final))) == rfc6455.PROTOCOL_ERROR


def test_a_continuation_after_a_finished_message_is_refused() -> None:
    events = read(frame(TEXT, b"a", final=False), frame(CONTINUATION, b"b"), frame(CONTINUATION, b"c"))
    assert events[0] == Message(TEXT, b"ab")
    assert code_of(events) == rfc6455.PROTOCOL_ERROR


@pytest.mark.parametrize("final", [True, False])
def test_a_new_message_inside_another_is_refused(final: bool) -> None:
    assert code_of(read(frame(TEXT, b"a", final=False), frame(BINARY, b"b", final=final))) == rfc6455.PROTOCOL_ERROR


# ── 6: UTF-8 ──

VALID_TEXTS = [
    "Hello-µ@ßöäüàá-UTF-8!!",
    "κόσμε",
    "\x00",
    "\x7f\x80",
    "\u07ff\u0800\uffff",
    "\U00010000\U0010ffff",
    "\ud7ff\ue000\ufffd",
    "\ufffe\uffff",
]
INVALID_TEXTS = [
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80",
    b"\xf4\x90\x80\x80",
    b"\x80",
    b"\xbf",
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\x80",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
    b"\xfe",
    b"\xff",
    b"\xce\xba\xe1\xbd",
]


@pytest.mark.parametrize("text", VALID_TEXTS)
def test_valid_text_passes_whole_and_cut_anywhere(text: str) -> None:
    wire = text.encode()
    assert read(frame(TEXT, wire)) == [Message(TEXT, wire)]
    for cut in range(len(wire) + 1):
        assert read(frame(TEXT, wire[:cut], final=False), frame(CONTINUATION, wire[cut:])) == [Message(TEXT, wire)]


@pytest.mark.parametrize("wire", INVALID_TEXTS)
def test_invalid_text_is_refused_whole_and_cut_anywhere(wire: bytes) -> None:
    assert code_of(read(frame(TEXT, wire))) == rfc6455.INVALID_TEXT
    for cut in range(len(wire) + 1):
        assert code_of(read(frame(TEXT, wire[:cut], final=False), frame(CONTINUATION, wire[cut:]))) == rfc6455.INVALID_TEXT


def test_invalid_text_is_refused_at_the_fragment_that_shows_it() -> None:
    assert code_of(read(frame(TEXT, b"\xf4\x90", final=False))) == rfc6455.INVALID_TEXT


def test_binary_may_hold_anything() -> None:
    assert read(frame(BINARY, b"\xff\xfe")) == [Message(BINARY, b"\xff\xfe")]


# ── 7: closing ──


def test_nothing_counts_after_a_close() -> None:
    reader = Reader(ROOMY)
    events = reader.feed(frame(CLOSE, b"\x03\xe8") + frame(PING) + frame(TEXT, b"late"))
    assert events == [Close(1000, "")]
    assert reader.feed(frame(TEXT, b"later")) == []


def test_nothing_counts_after_a_violation() -> None:
    reader = Reader(ROOMY)
    assert code_of(reader.feed(b"\xff" + frame(TEXT, b"late"))) == rfc6455.PROTOCOL_ERROR
    assert reader.feed(frame(TEXT, b"later")) == []


def test_a_close_inside_a_fragmented_message_closes() -> None:
    assert read(frame(TEXT, b"a", final=False), frame(CLOSE, b"\x03\xe8")) == [Close(1000, "")]


@pytest.mark.parametrize(
    ("payload", "event"),
    [
        (b"", Close(rfc6455.NO_CODE, "")),
        (b"\x03\xe8", Close(1000, "")),
        (b"\x03\xe8Hello World!", Close(1000, "Hello World!")),
        (b"\x03\xe8" + b"*" * 123, Close(1000, "*" * 123)),
    ],
)
def test_a_close_tells_code_and_reason(payload: bytes, event: Close) -> None:
    assert read(frame(CLOSE, payload)) == [event]


def test_half_a_close_code_is_refused() -> None:
    assert code_of(read(frame(CLOSE, b"\x03"))) == rfc6455.PROTOCOL_ERROR


def test_a_close_reason_that_is_not_text_is_refused() -> None:
    assert code_of(read(frame(CLOSE, b"\x03\xe8\xce\xba\xe1\xbd\xb9\xcf\x83\xed\xa0\x80"))) == rfc6455.INVALID_TEXT


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999])
def test_codes_for_the_wire_pass(code: int) -> None:
    assert read(frame(CLOSE, code.to_bytes(2, "big"))) == [Close(code, "")]


@pytest.mark.parametrize("code", [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_codes_that_are_not_for_the_wire_are_refused(code: int) -> None:
    assert code_of(read(frame(CLOSE, code.to_bytes(2, "big")))) == rfc6455.PROTOCOL_ERROR


def test_a_reason_that_is_too_long_is_cut_between_characters() -> None:
    (event,) = Reader(ROOMY, masked=False).feed(encode_close(4000, "ä" * 100))
    assert event == Close(4000, "ä" * 61)


# ── limits ──

TIGHT = Limits(message_bytes_max=100, frames_per_message_max=5, fragment_bytes_min=4, tiny_fragments_max=2)


def test_a_message_is_refused_when_its_length_is_declared() -> None:
    reader = Reader(TIGHT)
    assert code_of(reader.feed(frame(BINARY, b"x" * 101)[:2])) == rfc6455.TOO_BIG
    assert reader.buffered_bytes == 0


def test_a_message_is_refused_at_the_fragment_that_makes_it_too_large() -> None:
    pieces = [frame(BINARY, b"x" * 60, final=False), frame(CONTINUATION, b"x" * 41)]
    assert code_of(read(*pieces, limits=TIGHT)) == rfc6455.TOO_BIG


def test_the_largest_message_passes() -> None:
    assert read(frame(BINARY, b"x" * 100), limits=TIGHT) == [Message(BINARY, b"x" * 100)]


def test_control_frames_do_not_count_as_part_of_a_message() -> None:
    pieces = [frame(BINARY, b"x" * 99, final=False), frame(PING, b"y" * 100), frame(CONTINUATION, b"x")]
    assert read(*pieces, limits=TIGHT) == [Ping(b"y" * 100), Message(BINARY, b"x" * 100)]


def test_too_many_frames_in_one_message_are_refused() -> None:
    pieces = [frame(BINARY, b"abcd", final=False)] + [frame(CONTINUATION, b"abcd", final=False)] * 5
    assert code_of(read(*pieces, limits=TIGHT)) == rfc6455.POLICY


def test_too_many_tiny_fragments_are_refused_and_a_few_are_not() -> None:
    few = [frame(BINARY, b"a", final=False), frame(CONTINUATION, b"b", final=False), frame(CONTINUATION, b"c")]
    assert read(*few, limits=TIGHT) == [Message(BINARY, b"abc")]
    many = [*few[:2], frame(CONTINUATION, b"c", final=False)]
    assert code_of(read(*many, limits=TIGHT)) == rfc6455.POLICY


# ── properties ──

opcodes = st.sampled_from([CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG])
payloads = st.one_of(st.binary(max_size=140), st.text(max_size=40).map(str.encode), st.just(b"\x03\xe8bye"))
frames = st.builds(frame, opcodes, payloads, final=st.booleans())
streams = st.lists(st.one_of(frames, st.binary(max_size=12)), max_size=12).map(b"".join)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({min(place, len(data)) for place in places} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(edges)]


@given(streams, st.lists(st.integers(0, 400), max_size=12))
@example(frame(TEXT, b"a", final=False) + frame(CONTINUATION, b"b"), [1, 2, 3, 7, 8])
def test_how_the_bytes_are_cut_changes_nothing(data: bytes, places: list[int]) -> None:
    assert read(*cut(data, places), limits=TIGHT) == read(data, limits=TIGHT)


@given(streams)
def test_byte_by_byte_changes_nothing(data: bytes) -> None:
    assert read(*(bytes((byte,)) for byte in data), limits=TIGHT) == read(data, limits=TIGHT)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_with_a_code_for_the_wire(data: bytes) -> None:
    reader = Reader(TIGHT)
    for event in reader.feed(data):
        if isinstance(event, Violation):
            assert rfc6455.code_may_travel(event.code)
            assert reader.ended
    assert reader.buffered_bytes <= TIGHT.message_bytes_max + rfc6455.CONTROL_BYTES_MAX + 14


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=8), st.binary(min_size=4, max_size=4), st.booleans())
def test_what_is_encoded_in_fragments_is_read_as_one(parts: list[bytes], key: bytes, masked: bool) -> None:
    wire = b"".join(
        encode(CONTINUATION if index else BINARY, part, final=index == len(parts) - 1, key=key if masked else None)
        for index, part in enumerate(parts)
    )
    assert Reader(ROOMY, masked=masked).feed(wire) == [Message(BINARY, b"".join(parts))]


@given(st.binary(max_size=1000), st.binary(min_size=4, max_size=4))
def test_masking_is_the_bytewise_xor_and_undoes_itself(payload: bytes, key: bytes) -> None:
    masked = rfc6455.mask(payload, key)
    assert masked == bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))
    assert rfc6455.mask(masked, key) == payload
