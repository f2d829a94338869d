"""What the ML process and a model's own process say to each other, over a socket pair: four bytes of length, then msgpack.

    Load ─▶ ◀─ Loaded     Feed ─▶ ◀─ Fed     Warm ─▶ ◀─ Warmed     Batch ─▶ ◀─ Done

Requests and results are byte strings here, so that one that is no msgpack spoils nothing but itself. One order at a time: each is answered
before the next is sent, so an answer needs no number. Whatever is wrong ends the process, and its last word, if it has one, is `Broke`.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec
from msgspec import Struct

from ml_actors.kinds import Options

LENGTH: Final = struct.Struct(">I")
FRAME_BYTES_MAX: Final = 64 * 1024 * 1024


class Order(Struct, frozen=True, array_like=True):
    """Root of what the ML process says."""


class Load(Order, frozen=True, tag=1):
    kind: str
    folder: str
    options: Options


class Feed(Order, frozen=True, tag=2):
    rows: list[bytes]


class Warm(Order, frozen=True, tag=3):
    pass


class Batch(Order, frozen=True, tag=4):
    requests: list[bytes]


class Said(Struct, frozen=True, array_like=True):
    """Root of what the model's process says."""


class Loaded(Said, frozen=True, tag=1):
    title: str


class Fed(Said, frozen=True, tag=2):
    pass


class Warmed(Said, frozen=True, tag=3):
    pass


class Done(Said, frozen=True, tag=4):
    """For each request the bytes of its result; `raised`: by place, the words of what it raised in the place of one."""

    results: list[bytes]
    raised: dict[int, str]


class Broke(Said, frozen=True, tag=5):
    """It ends. `usable`: whether another try may help."""

    words: str
    usable: bool = True


AnyOrder = Load | Feed | Warm | Batch
AnySaid = Loaded | Fed | Warmed | Done | Broke

_encoder: Final = msgspec.msgpack.Encoder()


def frame(message: AnyOrder | AnySaid) -> bytes:
    data = _encoder.encode(message)
    return LENGTH.pack(len(data)) + data
