"""How mutations leave: changes to records side by side as chunks, everything else one by one.

    Change Change Change  Say  Change
    └──────Chunk───────┘ Mutate Mutate        one alone is shorter as a `Mutate`

What a chunk will weigh is known before it is packed: an item is as long as its parts, its heading counts where the stream or the
entity changes. The estimate never falls short, so a chunk that is closed by it is within its bound.

Invariant: what `wrap` returns carries the entries' numbers and bytes exactly; `protocol.chunks.expand` gives them back.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import Raw, Struct

from client.ledger import FRAME_BYTES, Entry
from protocol.chunks import pack
from protocol.codec import encode
from protocol.frames import CHUNK_CHANGES_MAX, Mutate
from protocol.operations import Change

CHUNK_HEAD_BYTES: Final = 24
"""Of a chunk: array head, tag, number and time of up to nine bytes each, and the head of its runs."""
RUN_HEAD_BYTES: Final = 4
"""Of a run, beside stream and entity: two array heads, of which the changes' may be a long one."""
SHAPES_KEPT: Final = 1024
"""Changes whose parts are remembered: those that wait for a socket's window are looked at again and again."""

_CHANGE: Final = msgspec.msgpack.Decoder(Change)
_TAG: Final = b"\x12"
assert Change.__struct_config__.tag == _TAG[0]


class Shape(Struct, frozen=True):
    """What a change will take in a chunk: its place, its time, and an item's bytes without the time."""

    stream: int
    entity: int
    at: int
    item_bytes: int


@lru_cache(SHAPES_KEPT)
def shape_of(operation: bytes) -> Shape | None:
    """A change's shape; None for any other operation, and for a change whose bytes a chunk would not give back."""
    if operation[1:2] != _TAG:
        return None
    change = _CHANGE.decode(operation)
    if encode(change) != operation:
        return None
    base = _int_bytes(change.base) if change.base or change.gone else 0
    item_bytes = 1 + _int_bytes(change.key) + len(change.fields) + base + change.gone
    return Shape(change.stream, change.entity, change.at, item_bytes)


def weigh(entry: Entry, before: Entry | None) -> int:
    """How many bytes an entry adds behind another one; at most, as a single one is wrapped shorter."""
    shape = shape_of(entry.operation)
    if shape is None:
        return len(entry.operation) + FRAME_BYTES
    last = shape_of(before.operation) if before is not None else None
    run_bytes = RUN_HEAD_BYTES + _int_bytes(shape.stream) + _int_bytes(shape.entity)
    if last is None:
        return CHUNK_HEAD_BYTES + run_bytes + _int_bytes(0) + shape.item_bytes
    item_bytes = _int_bytes(shape.at - last.at) + shape.item_bytes
    return item_bytes if (last.stream, last.entity) == (shape.stream, shape.entity) else run_bytes + item_bytes


def wrap(entries: Sequence[Entry]) -> list[bytes]:
    """The frames that carry these entries, in order."""
    frames: list[bytes] = []
    together: list[Entry] = []
    for entry in entries:
        chunked = shape_of(entry.operation) is not None
        if together and not (chunked and entry.number == together[-1].number + 1 and len(together) < CHUNK_CHANGES_MAX):
            frames.append(_close(together))
            together = []
        if chunked:
            together.append(entry)
        else:
            frames.append(_alone(entry))
    if together:
        frames.append(_close(together))
    return frames


def _close(entries: Sequence[Entry]) -> bytes:
    if len(entries) == 1:
        return _alone(entries[0])
    return encode(pack(entries[0].number, [entry.operation for entry in entries]))


def _alone(entry: Entry) -> bytes:
    return encode(Mutate(entry.number, Raw(entry.operation)))


def _int_bytes(value: int) -> int:
    """How long an integer is in msgpack."""
    if -32 <= value < 128:
        return 1
    for size, unsigned in ((2, 2**8), (3, 2**16), (5, 2**32)):
        if -unsigned // 2 <= value < unsigned:
            return size
    return 9
