"""What a conformance suite asks of a WebSocket server, asked of the public port by raw bytes: every group of cases, by behaviour.

    framing · pings · reserved bits · opcodes · fragments · UTF-8 · closing · limits

A client here keeps no rules but those it means to keep. Messages are binary in this product: a text is understood, checked, and refused
with 1003, so that a text that is not UTF-8 shows by its 1007. `python -m proofs autobahn` puts Autobahn's own cases to the same reader.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from gateway import rfc6455
from gateway.connection import Bounds
from gateway.rfc6455 import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Close, Event, Limits, Message, Pong, Reader
from tests.gateway.public_port import PATIENCE_S, open_port, open_socket

KEY = b"\x37\xfa\x21\x3d"
ROOMY = Bounds(
    reader=Limits(message_bytes_max=17 * 2**20, frames_per_message_max=300_000, fragment_bytes_min=0),
    queue_hard_bytes=64 * 2**20,
    controls_per_s_max=1_000,
)


def frame(opcode: int, payload: bytes = b"", *, final: bool = True) -> bytes:
    return rfc6455.encode(opcode, payload, final=final, key=KEY)


class Client:
    """A raw stream whose handshake is done; reads frames strictly."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._reader = Reader(Limits(message_bytes_max=17 * 2**20), masked=False)
        self._heard: list[Event] = []

    async def say(self, *wire: bytes) -> None:
        await self.stream.send_all(b"".join(wire))

    async def hear(self) -> Event | None:
        """The next frame or message; None at the end of the line."""
        with trio.fail_after(PATIENCE_S):
            while not self._heard:
                data = await self.stream.receive_some(65_536)
                if not data:
                    return None
                self._heard += self._reader.feed(data)
        return self._heard.pop(0)

    async def end(self) -> list[Event]:
        """Everything until the line ends."""
        events = []
        while (event := await self.hear()) is not None:
            events.append(event)
        return events


@asynccontextmanager
async def client(bounds: Bounds = ROOMY) -> AsyncIterator[Client]:
    async with open_port(bounds=bounds) as port:
        async with await open_socket(port) as stream:
            yield Client(stream)


async def echoed(talk: Client, *wire: bytes) -> bytes:
    await talk.say(*wire)
    event = await talk.hear()
    assert isinstance(event, Message), event
    return event.payload


# ── framing ──


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 65_535, 65_536, 1_000_000])
async def test_a_message_of_any_size_is_heard_whole(size: int) -> None:
    async with client() as talk:
        payload = bytes(at % 251 for at in range(size))
        assert await echoed(talk, frame(BINARY, payload)) == payload


@pytest.mark.parametrize("piece", [1, 3, 997])
async def test_a_message_that_arrives_in_pieces_of_any_size_is_heard_whole(piece: int) -> None:
    async with client() as talk:
        wire = frame(BINARY, b"*" * 2_000)
        for at in range(0, len(wire), piece):
            await talk.say(wire[at : at + piece])
        assert await talk.hear() == Message(BINARY, b"*" * 2_000)


async def test_many_messages_in_one_segment_are_answered_in_their_order() -> None:
    async with client() as talk:
        await talk.say(*(frame(BINARY, b"%d" % n) for n in range(100)))
        assert [await talk.hear() for _ in range(100)] == [Message(BINARY, b"%d" % n) for n in range(100)]


# ── pings and pongs ──


@pytest.mark.parametrize("payload", [b"", b"hello", bytes(range(125)), b"\x00\xff\xfe\xfd\xfc\xfb"])
async def test_a_ping_is_answered_by_a_pong_with_its_payload(payload: bytes) -> None:
    async with client() as talk:
        await talk.say(frame(PING, payload))
        assert await talk.hear() == Pong(payload)


async def test_a_ping_of_126_bytes_ends_the_socket() -> None:
    assert await ended_by(frame(PING, b"x" * 126)) == rfc6455.PROTOCOL_ERROR


async def test_an_unasked_pong_is_answered_by_nothing() -> None:
    async with client() as talk:
        await talk.say(frame(PONG, b"unasked"), frame(PING, b"asked"))
        assert await talk.hear() == Pong(b"asked")


@pytest.mark.parametrize("piecewise", [False, True])
async def test_pings_in_a_row_are_answered_in_their_order(piecewise: bool) -> None:
    async with client() as talk:
        wire = b"".join(frame(PING, b"payload-%d" % n) for n in range(10))
        for part in [bytes((byte,)) for byte in wire] if piecewise else [wire]:
            await talk.say(part)
        assert [await talk.hear() for _ in range(10)] == [Pong(b"payload-%d" % n) for n in range(10)]


# ── reserved bits, opcodes ──


async def ended_by(*wire: bytes, bounds: Bounds = ROOMY, before: int = 0) -> int:
    """The close code that these bytes lead to, after `before` other frames."""
    async with client(bounds) as talk:
        await talk.say(*wire)
        events = await talk.end()
    assert len(events) == before + 1, events
    assert isinstance(events[-1], Close), events
    return events[-1].code


@pytest.mark.parametrize("bits", range(1, 8))
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, PONG, CLOSE])
async def test_reserved_bits_end_the_socket_and_what_came_before_is_answered(bits: int, opcode: int) -> None:
    wire = frame(opcode, b"")
    damaged = bytes((wire[0] | bits << 4,)) + wire[1:]
    assert await ended_by(frame(BINARY, b"before"), damaged, frame(PING), before=1) == rfc6455.PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
@pytest.mark.parametrize("payload", [b"", b"reserved"])
async def test_reserved_opcodes_end_the_socket_and_what_came_before_is_answered(opcode: int, payload: bytes) -> None:
    assert await ended_by(frame(BINARY, b"before"), frame(opcode, payload), frame(PING), before=1) == rfc6455.PROTOCOL_ERROR


async def test_an_unmasked_frame_ends_the_socket() -> None:
    assert await ended_by(rfc6455.encode(BINARY, b"bare")) == rfc6455.PROTOCOL_ERROR


# ── fragments ──


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
async def test_a_control_frame_in_fragments_ends_the_socket(opcode: int) -> None:
    assert await ended_by(frame(opcode, b"", final=False), frame(CONTINUATION)) == rfc6455.PROTOCOL_ERROR


@pytest.mark.parametrize("parts", [[b"frag", b"ment"], [b"", b"x", b""], [b"", b"", b""], [b"*" * 70_000, b"", b"*" * 70_000]])
async def test_fragments_are_one_message_with_pings_answered_between(parts: list[bytes]) -> None:
    async with client() as talk:
        for at, part in enumerate(parts):
            await talk.say(frame(CONTINUATION if at else BINARY, part, final=at == len(parts) - 1), frame(PING, b"%d" % at))
            if at < len(parts) - 1:
                assert await talk.hear() == Pong(b"%d" % at)
        assert await talk.hear() == Message(BINARY, b"".join(parts))


@pytest.mark.parametrize("final", [True, False])
async def test_a_continuation_of_nothing_ends_the_socket(final: bool) -> None:
    assert await ended_by(frame(CONTINUATION, b"nothing", final=final), frame(BINARY, b"late")) == rfc6455.PROTOCOL_ERROR


async def test_a_continuation_after_a_whole_message_ends_the_socket() -> None:
    wire = [frame(BINARY, b"a", final=False), frame(CONTINUATION, b"b"), frame(CONTINUATION, b"c")]
    assert await ended_by(*wire, before=1) == rfc6455.PROTOCOL_ERROR


async def test_a_message_inside_another_ends_the_socket() -> None:
    assert await ended_by(frame(BINARY, b"a", final=False), frame(BINARY, b"b")) == rfc6455.PROTOCOL_ERROR


# ── UTF-8 ──


@pytest.mark.parametrize("text", ["", "plain", "Hello-µ@ßöäüàá-UTF-8!!", "κόσμε", "\U0010ffff", "\ufffe\uffff\U0001fffe"])
async def test_a_text_that_is_utf_8_is_understood_and_refused_for_being_text(text: str) -> None:
    assert await ended_by(frame(TEXT, text.encode())) == rfc6455.UNSUPPORTED


@pytest.mark.parametrize(
    "data",
    [
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xc0\xaf",
        b"\xed\xa0\x80\xed\xb0\x80",
        b"\x80",
        b"\xff",
        b"\xce\xba\xe1\xbd",
    ],
)
async def test_a_text_that_is_not_utf_8_ends_the_socket_whole_and_cut_anywhere(data: bytes) -> None:
    assert await ended_by(frame(TEXT, data)) == rfc6455.INVALID_TEXT
    for cut in range(1, len(data)):
        assert await ended_by(frame(TEXT, data[:cut], final=False), frame(CONTINUATION, data[cut:])) == rfc6455.INVALID_TEXT


async def test_a_text_is_refused_at_the_fragment_that_shows_it_to_be_none() -> None:
    assert await ended_by(frame(TEXT, b"\xce\xba\xf4\x90\x80\x80", final=False)) == rfc6455.INVALID_TEXT


# ── closing ──


@pytest.mark.parametrize("payload", [b"", b"\x03\xe8", b"\x03\xe8Hello World!", b"\x03\xe8" + b"*" * 123])
async def test_a_close_is_answered_by_its_code_and_the_line_ends(payload: bytes) -> None:
    async with client() as talk:
        await talk.say(frame(CLOSE, payload))
        (answer,) = await talk.end()
    assert isinstance(answer, Close)
    assert answer.code == (1_000 if payload else rfc6455.NO_CODE)


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999])
async def test_every_code_for_the_wire_is_answered_by_itself(code: int) -> None:
    assert await ended_by(frame(CLOSE, code.to_bytes(2, "big") + b"why")) == code


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535])
async def test_a_code_that_is_not_for_the_wire_is_a_violation(code: int) -> None:
    assert await ended_by(frame(CLOSE, code.to_bytes(2, "big"))) == rfc6455.PROTOCOL_ERROR


async def test_half_a_close_code_and_a_reason_that_is_no_text_are_violations() -> None:
    assert await ended_by(frame(CLOSE, b"\x03")) == rfc6455.PROTOCOL_ERROR
    assert await ended_by(frame(CLOSE, b"\x03\xe8\xce\xba\xed\xa0\x80")) == rfc6455.INVALID_TEXT
    assert await ended_by(frame(CLOSE, b"x" * 126)) == rfc6455.PROTOCOL_ERROR


async def test_nothing_behind_a_close_is_answered() -> None:
    assert await ended_by(frame(CLOSE, b"\x03\xe8"), frame(PING, b"late"), frame(BINARY, b"later")) == 1_000


async def test_a_close_inside_a_fragmented_message_closes() -> None:
    assert await ended_by(frame(BINARY, b"frag", final=False), frame(CLOSE, b"\x03\xe8"), frame(CONTINUATION, b"ment")) == 1_000


# ── limits ──


@pytest.mark.parametrize("size", [65_536, 1_048_576, 4_194_304, 16_777_216])
async def test_a_large_message_is_heard_whole(size: int) -> None:
    async with client() as talk:
        await talk.say(frame(BINARY, b"\xfe" * size))
        event = await talk.hear()
        assert isinstance(event, Message) and len(event.payload) == size


@pytest.mark.parametrize("fragment", [64, 4_096, 262_144])
async def test_a_large_message_in_fragments_of_any_size_is_heard_whole(fragment: int) -> None:
    async with client() as talk:
        size = min(4_194_304, 4_096 * fragment)
        wire = [frame(CONTINUATION if at else BINARY, b"x" * fragment, final=at + fragment >= size) for at in range(0, size, fragment)]
        assert len(await echoed(talk, *wire)) == size


async def test_a_thousand_small_messages_are_all_answered() -> None:
    async with client() as talk:
        for size in (0, 16, 64, 256):
            await talk.say(*(frame(BINARY, b"x" * size) for _ in range(1_000)))
            assert {await talk.hear() for _ in range(1_000)} == {Message(BINARY, b"x" * size)}


async def test_as_the_product_is_set_a_message_too_large_ends_the_socket_at_its_declared_length() -> None:
    declared = bytes((0x82, 0xFF)) + (256 * 1024 + 1).to_bytes(8, "big")
    assert await ended_by(declared, bounds=Bounds()) == rfc6455.TOO_BIG
