"""Chunks: several changes in the fewest bytes, and the same changes one by one again.

    changes (frozen bytes, numbered) ─pack─▶ Chunk ·· socket ·· Chunk ─expand─▶ the same bytes

A retry may be cut into other chunks than the first sending: what is compared is each change's own bytes, as a `Mutate` would carry them
(every field written, integers in their shortest form), and packing loses nothing of those.

Invariant: `expand(pack(changes)) == changes`, byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Raw, Struct

from protocol.frames import ChangeItem, Chunk, Run
from protocol.operations import Change

AT_MAX: Final = 2**40
"""The latest time that a change can say, in Unix seconds."""
_ITEM: Final = msgspec.msgpack.Decoder(ChangeItem)
_CHANGE: Final = msgspec.msgpack.Decoder(Change)
_ENCODER: Final = msgspec.msgpack.Encoder()


class _Timed(Struct, frozen=True, array_like=True):
    """What of an item the next one needs, whatever else is in it."""

    key: Raw
    later: Annotated[int, Meta(ge=-AT_MAX, le=AT_MAX)]


_TIMED: Final = msgspec.msgpack.Decoder(_Timed)


class BadItem(Struct, frozen=True):
    """A change in a chunk that cannot be read. It has its number all the same, which is refused by itself."""

    raw: bytes
    detail: str


def pack(number: int, changes: Sequence[bytes]) -> Chunk:
    """One chunk of these changes, numbered from `number` on. `changes` are operations' bytes; at least one."""
    runs: list[Run] = []
    place: tuple[int, int] = (0, 0)
    items: list[Raw] = []
    begin = before = 0
    for at_first, change in enumerate(map(_CHANGE.decode, changes)):
        if at_first == 0:
            begin = before = change.at
        if (change.stream, change.entity) != place:
            if items:
                runs.append(Run(*place, tuple(items)))
            place, items = (change.stream, change.entity), []
        item = ChangeItem(change.key, change.at - before, change.fields, change.base, change.gone)
        items.append(Raw(_short(item)))
        before = change.at
    runs.append(Run(*place, tuple(items)))
    return Chunk(number, begin, tuple(runs))


def expand(chunk: Chunk) -> list[bytes | BadItem]:
    """Each change's own bytes, in order; they are numbered from the chunk's number on."""
    at = chunk.at
    changes: list[bytes | BadItem] = []
    for run in chunk.runs:
        for raw in run.changes:
            try:
                item = _ITEM.decode(raw)
            except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
                changes.append(BadItem(bytes(raw), f"change {len(changes)} of the chunk: {error}"))
                at += _later(raw)
                continue
            at += item.later
            change = Change(run.stream, run.entity, item.key, min(max(0, at), AT_MAX), item.fields, item.base, item.gone)
            changes.append(_ENCODER.encode(change))
    return changes


def _later(raw: Raw) -> int:
    """The time of an item that cannot be read otherwise: what comes after it in the chunk is the same wherever a retry cuts."""
    try:
        return _TIMED.decode(raw).later
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return 0


def _short(item: ChangeItem) -> bytes:
    """An item without trailing defaults."""
    if item.gone:
        return _ENCODER.encode(item)
    parts = [_ENCODER.encode(item.key), _ENCODER.encode(item.later), bytes(item.fields)]
    if item.base:
        parts.append(_ENCODER.encode(item.base))
    return bytes((0x90 | len(parts),)) + b"".join(parts)
