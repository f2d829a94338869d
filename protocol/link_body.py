"""Bodies of the link over HTTP: messages as on the socket, each behind its number and its length.

    number (varint) · length (varint) · message        number (varint) · length (varint) · message        …

A varint is LEB128 without a sign: seven bits a byte, the lowest first, the top bit set on all but the last. Number 0 is no message but a
word about the link itself: nothing (a sign of life), `o` and the link's name and key (it is open), or `c`, a close code of two bytes (big
endian) and a reason (it is over).

Invariant: `Parts` keeps at most one unfinished part, and no part is longer than its bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

ALIVE: Final = b"\0\0"
"""A sign of life in an answer that goes on."""
NUMBER_MAX: Final = 2**53 - 1
"""What a number in a browser can hold."""
_NUMBER_BYTES_MAX: Final = 8
NAME_BYTES_MAX: Final = 64
REASON_BYTES_MAX: Final = 123
"""As in a WebSocket's close frame."""


class BadPart(Exception):
    """These bytes are no part."""


class Part(Struct, frozen=True, gc=False):
    """One message, or with number 0 one word about the link."""

    number: int
    payload: bytes


class Opened(Struct, frozen=True):
    """The link's name, which may be seen, and its key, which is asked for at each request."""

    name: str
    key: str


class Over(Struct, frozen=True):
    """The link is over; code and reason are those of a WebSocket's close frame."""

    code: int
    reason: str


def encode_part(number: int, payload: bytes) -> bytes:
    """One part. `number` is 0 to `NUMBER_MAX`."""
    return _varint(number) + _varint(len(payload)) + payload


def encode_opened(name: str, key: str) -> bytes:
    """The word that begins the first answer."""
    return encode_part(0, f"o{name} {key}".encode("ascii"))


def encode_over(code: int, reason: str) -> bytes:
    """The last word. The reason is cut where it is too long."""
    return encode_part(0, b"c" + code.to_bytes(2, "big") + reason.encode()[:REASON_BYTES_MAX])


def read_word(payload: bytes) -> Opened | Over | None:
    """What a part with number 0 says; None for a sign of life, and for what a newer server may say. Raises `BadPart`."""
    match payload[:1]:
        case b"o":
            name, _, key = payload[1:].decode("ascii", "replace").partition(" ")
            if not name or not key or len(payload) > 2 * NAME_BYTES_MAX:
                raise BadPart("a link without name or key")
            return Opened(name, key)
        case b"c":
            if len(payload) < 3:
                raise BadPart("an end without a code")
            return Over(int.from_bytes(payload[1:3], "big"), payload[3:].decode("utf-8", "replace"))
        case _:
            return None


class Parts:
    """Reads parts from bytes as they come. `bytes_max`: of one message."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._buffer = bytearray()

    @property
    def is_between(self) -> bool:
        """Nothing is unfinished."""
        return not self._buffer

    def feed(self, data: bytes) -> Iterator[Part]:
        """The parts that are whole now. Raises `BadPart`."""
        self._buffer += data
        at = 0
        while (head := self._head(at)) is not None:
            number, length, begin = head
            if length > self._bytes_max:
                raise BadPart(f"a message of {length} bytes; at most {self._bytes_max} are taken")
            if begin + length > len(self._buffer):
                break
            at = begin + length
            yield Part(number, bytes(self._buffer[begin:at]))
        del self._buffer[:at]

    def _head(self, at: int) -> tuple[int, int, int] | None:
        """Number, length, and where the message begins."""
        number = self._read(at)
        length = None if number is None else self._read(number[1])
        return None if number is None or length is None else (number[0], length[0], length[1])

    def _read(self, at: int) -> tuple[int, int] | None:
        value = 0
        for place in range(_NUMBER_BYTES_MAX):
            if at + place >= len(self._buffer):
                return None
            byte = self._buffer[at + place]
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                if value > NUMBER_MAX:
                    break
                return value, at + place + 1
        raise BadPart("a number that is too large")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
