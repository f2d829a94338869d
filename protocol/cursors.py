"""Cursors in few bytes, as `Resume` carries them.

    (1000007, 41) (1000008, 3) (1000005, 977)  ─pack─▶  1000007 41  1 3  -3 977          pairs: stream less the one before it, position

Streams that belong together were made together, so most differences are small; msgpack writes what is small in one byte. The order is
the client's own: what is most urgent first.

Invariant: `unpack` takes nothing that `pack` does not make: every stream once, every number within the range of its kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from protocol.codec import BadFrame
from protocol.codes import Code
from protocol.frames import Resume
from protocol.values import ID_MAX, Cursor


def pack(cursors: Iterable[Cursor]) -> tuple[int, ...]:
    """The numbers of `Resume.cursors`."""
    packed: list[int] = []
    before = 0
    for cursor in cursors:
        packed += (cursor.stream - before, cursor.seq)
        before = cursor.stream
    return tuple(packed)


def unpack(packed: Sequence[int]) -> tuple[Cursor, ...]:
    """The cursors. Raises `BadFrame` (`INVALID`) for what is none, or comes twice."""
    if len(packed) % 2:
        raise _bad(f"cursors are pairs, and there are {len(packed)} numbers")
    cursors: dict[int, Cursor] = {}
    stream = 0
    for place in range(0, len(packed), 2):
        stream += packed[place]
        if not 1 <= stream <= ID_MAX or not 0 <= packed[place + 1] <= ID_MAX or stream in cursors:
            raise _bad(f"the cursor at place {place // 2} is none: stream {stream}, position {packed[place + 1]}")
        cursors[stream] = Cursor(stream, packed[place + 1])
    return tuple(cursors.values())


def _bad(detail: str) -> BadFrame:
    return BadFrame(Code.INVALID, detail, int(Resume.__struct_config__.tag))  # type: ignore[arg-type]
