"""WebSocket framing (RFC 6455) without I/O: bytes in, events out; payloads in, bytes out.

    bytes ─▶ Reader.feed ─▶ Message · Ping · Pong · Close · Violation          encode(opcode, payload) ─▶ bytes

      0                   1                   2                   3
     +-+-+-+-+-------+-+-------------+-------------------------------+
     |F|R|R|R| opcode|M| length 7    | length 16 or 64 when 126, 127 | mask 32 | payload
     +-+-+-+-+-------+-+-------------+-------------------------------+

A header is judged as soon as it is there, so nothing is buffered for a frame that will be refused. No extension is ever negotiated:
a reserved bit is a violation, and no input can inflate.

Invariants: how the bytes were cut into pieces never changes the events; after a `Close` or a `Violation` there are no more; the reader
holds at most `Limits.message_bytes_max` of an unfinished message, plus one control frame, plus the piece being fed.
"""

from __future__ import annotations

import codecs
from typing import Final, TypeAlias

import msgspec

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
UNSUPPORTED: Final = 1003
NO_CODE: Final = 1005
ABNORMAL: Final = 1006
INVALID_TEXT: Final = 1007
POLICY: Final = 1008
TOO_BIG: Final = 1009
SERVICE_RESTART: Final = 1012

CONTROL_BYTES_MAX: Final = 125
"""The payload of a control frame (section 5.5)."""
REASON_BYTES_MAX: Final = CONTROL_BYTES_MAX - 2

_FIN: Final = 0x80
_RESERVED: Final = 0x70
_MASKED: Final = 0x80
_HEADER_BYTES_MIN: Final = 2


class Limits(msgspec.Struct, frozen=True):
    """What one peer may make the reader hold or do before it says something whole."""

    message_bytes_max: int = 256 * 1024
    """A larger message, in one frame or in many, is refused with 1009 when its length is declared."""
    frames_per_message_max: int = 1024
    fragment_bytes_min: int = 16
    """Fragments that are shorter, and not the last, count as tiny: each costs a header's work for next to nothing."""
    tiny_fragments_max: int = 32
    """Tiny fragments allowed in one message, so that ordinary fragmentation of short texts still passes."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """One whole message, however many frames it came in. A text's payload is valid UTF-8."""

    opcode: int
    payload: bytes


class Ping(msgspec.Struct, frozen=True, gc=False):
    """To be answered by a pong with the same payload."""

    payload: bytes


class Pong(msgspec.Struct, frozen=True, gc=False):
    """Life; asked for or not, nothing answers it."""

    payload: bytes


class Close(msgspec.Struct, frozen=True, gc=False):
    """The peer says goodbye. `code` is 1005 when it gave none."""

    code: int
    reason: str


class Violation(msgspec.Struct, frozen=True, gc=False):
    """The peer broke the rules: to be closed with `code`, and nothing it sends later means anything."""

    code: int
    reason: str


Event: TypeAlias = Message | Ping | Pong | Close | Violation

_NOTHING: Final[list[Event]] = []


class _Refused(Exception):
    """Leaves the parser on a violation; `feed` turns it into the event."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.violation = Violation(code, reason)


class Reader:
    """One peer's bytes, made into events.

    With `masked` it reads what a client sends, and every frame must be masked; without, what a server sends, and none may be.
    """

    __slots__ = (
        "_buffer",
        "_decoder",
        "_fragments",
        "_frames",
        "_held_bytes",
        "_limits",
        "_masked",
        "_need",
        "_opcode",
        "_tiny",
        "ended",
    )

    def __init__(self, limits: Limits, *, masked: bool = True) -> None:
        self._limits = limits
        self._masked = masked
        self._buffer: bytearray | None = None
        self._need = _HEADER_BYTES_MIN
        self._opcode = CONTINUATION
        self._fragments: list[bytes] | None = None
        self._held_bytes = 0
        self._frames = 0
        self._tiny = 0
        self._decoder: codecs.IncrementalDecoder | None = None
        self.ended = False

    @property
    def buffered_bytes(self) -> int:
        """What is held of an unfinished message."""
        return self._held_bytes + (len(self._buffer) if self._buffer is not None else 0)

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes, in order. Bytes after the end of the conversation are ignored."""
        if self.ended:
            return _NOTHING
        source: bytes | bytearray = data
        if self._buffer is not None:
            self._buffer += data
            # A frame that arrives byte by byte is looked at once, when it is whole, not at every byte.
            if len(self._buffer) < self._need:
                return _NOTHING
            source = self._buffer
        events: list[Event] = []
        used = 0
        try:
            used = self._parse(source, events)
        except _Refused as refused:
            events.append(refused.violation)
            self.ended = True
        if self.ended:
            self._buffer = None
            self._fragments = None
            self._held_bytes = 0
            return events
        rest = len(source) - used
        if not rest:
            self._buffer = None
        elif source is self._buffer:
            del self._buffer[:used]
        else:
            self._buffer = bytearray(memoryview(source)[used:])
        return events

    def _parse(self, data: bytes | bytearray, events: list[Event]) -> int:
        """Takes whole frames from the front of `data`; returns the bytes used and leaves in `_need` how many the next frame takes."""
        start, available = 0, len(data)
        while True:
            body = start + _HEADER_BYTES_MIN
            if available < body:
                self._need = _HEADER_BYTES_MIN
                return start
            first, second = data[start], data[start + 1]
            length = second & 0x7F
            self._judge(first, second, length)
            if length > CONTROL_BYTES_MAX:
                width = 2 if length == 126 else 8
                if available < body + width:
                    self._need = body + width - start
                    return start
                length = int.from_bytes(data[body : body + width], "big")
                body += width
                self._judge_extended(length, width)
            if first & 0x8 == 0 and self._held_bytes + length > self._limits.message_bytes_max:
                raise _Refused(TOO_BIG, f"messages are at most {self._limits.message_bytes_max} bytes")
            if second & _MASKED:
                body += 4
            end = body + length
            if available < end:
                self._need = end - start
                return start
            payload = bytes(data[body:end])
            if second & _MASKED and length:
                payload = mask(payload, bytes(data[body - 4 : body]))
            start = end
            event = self._frame(first, payload)
            if event is not None:
                events.append(event)
                if self.ended:
                    return start

    def _judge(self, first: int, second: int, length: int) -> None:
        """Refuses what the first two bytes alone show to be wrong."""
        if first & _RESERVED:
            raise _Refused(PROTOCOL_ERROR, "reserved bits are set and no extension was agreed")
        if bool(second & _MASKED) is not self._masked:
            raise _Refused(PROTOCOL_ERROR, "a client masks its frames and a server does not")
        opcode = first & 0xF
        if opcode == BINARY or opcode == TEXT:
            if self._opcode != CONTINUATION:
                raise _Refused(PROTOCOL_ERROR, "a new message began inside another")
        elif opcode == CONTINUATION:
            if self._opcode == CONTINUATION:
                raise _Refused(PROTOCOL_ERROR, "nothing to continue")
        elif opcode in (CLOSE, PING, PONG):
            if not first & _FIN:
                raise _Refused(PROTOCOL_ERROR, "control frames are never fragmented")
            if length > CONTROL_BYTES_MAX:
                raise _Refused(PROTOCOL_ERROR, "control frames are at most 125 bytes")
        else:
            raise _Refused(PROTOCOL_ERROR, f"opcode {opcode} is reserved")

    def _judge_extended(self, length: int, width: int) -> None:
        if length >> 63:
            raise _Refused(PROTOCOL_ERROR, "the highest bit of a 64-bit length is 0")
        if length < (126 if width == 2 else 0x10000):
            raise _Refused(PROTOCOL_ERROR, "a length is written in the shortest form")

    def _frame(self, first: int, payload: bytes) -> Event | None:
        opcode = first & 0xF
        if opcode & 0x8:
            if opcode == PING:
                return Ping(payload)
            if opcode == PONG:
                return Pong(payload)
            self.ended = True
            return _read_close(payload)
        if first & _FIN and opcode != CONTINUATION:
            if opcode == TEXT:
                _check_text(payload)
            return Message(opcode, payload)
        return self._fragment(first, opcode, payload)

    def _fragment(self, first: int, opcode: int, payload: bytes) -> Event | None:
        final = bool(first & _FIN)
        if opcode != CONTINUATION:
            self._opcode = opcode
            self._frames = self._tiny = 0
            self._decoder = codecs.getincrementaldecoder("utf-8")() if opcode == TEXT else None
        fragments = self._fragments
        if fragments is None:
            fragments = self._fragments = []
        self._frames += 1
        if self._frames > self._limits.frames_per_message_max:
            raise _Refused(POLICY, f"a message has at most {self._limits.frames_per_message_max} frames")
        if not final and len(payload) < self._limits.fragment_bytes_min:
            self._tiny += 1
            if self._tiny > self._limits.tiny_fragments_max:
                raise _Refused(POLICY, f"too many fragments below {self._limits.fragment_bytes_min} bytes")
        if self._decoder is not None:
            try:
                self._decoder.decode(payload, final)
            except UnicodeDecodeError:
                raise _Refused(INVALID_TEXT, "text is UTF-8") from None
        fragments.append(payload)
        self._held_bytes += len(payload)
        if not final:
            return None
        message = Message(self._opcode, b"".join(fragments))
        self._fragments = self._decoder = None
        self._opcode = CONTINUATION
        self._held_bytes = 0
        return message


def _check_text(payload: bytes) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError:
        raise _Refused(INVALID_TEXT, "text is UTF-8") from None


def _read_close(payload: bytes) -> Close:
    if not payload:
        return Close(NO_CODE, "")
    if len(payload) == 1:
        raise _Refused(PROTOCOL_ERROR, "half a close code")
    code = int.from_bytes(payload[:2], "big")
    if not code_may_travel(code):
        raise _Refused(PROTOCOL_ERROR, f"close code {code} is not for the wire")
    try:
        return Close(code, payload[2:].decode())
    except UnicodeDecodeError:
        raise _Refused(INVALID_TEXT, "a close reason is UTF-8") from None


def code_may_travel(code: int) -> bool:
    """Whether a close frame may carry `code`: the registered ones but the three that only describe (1004–1006, 1015), and 3000–4999."""
    return (1000 <= code <= 1014 and code not in (1004, NO_CODE, ABNORMAL)) or 3000 <= code <= 4999


def mask(payload: bytes, key: bytes) -> bytes:
    """Masks, or unmasks: it is the same. One big-integer XOR: 0.5 µs for a chat post, 0.2 ms for 64 KiB, a fiftieth of a byte loop."""
    length = len(payload)
    stream = (key * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(stream, "little")).to_bytes(length, "little")


def encode(opcode: int, payload: bytes, *, final: bool = True, key: bytes | None = None) -> bytes:
    """One frame. A `key` of four bytes masks it, as a client must."""
    length = len(payload)
    first = opcode | _FIN if final else opcode
    flag = 0 if key is None else _MASKED
    if length < 126:
        header = bytes((first, flag | length))
    elif length < 0x10000:
        header = bytes((first, flag | 126)) + length.to_bytes(2, "big")
    else:
        header = bytes((first, flag | 127)) + length.to_bytes(8, "big")
    if key is None:
        return header + payload
    return header + key + mask(payload, key)


def encode_close(code: int, reason: str = "", *, key: bytes | None = None) -> bytes:
    """A close frame. 1005 stands for none, so its payload is empty; a reason too long for the frame is cut between characters."""
    if code == NO_CODE:
        return encode(CLOSE, b"", key=key)
    text = reason.encode()[:REASON_BYTES_MAX].decode(errors="ignore").encode()
    return encode(CLOSE, code.to_bytes(2, "big") + text, key=key)
