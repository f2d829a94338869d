"""What the server and clients know of a document's bytes: checksum, pen, and how states are packed.

    update  Yjs, encoding V1 (`protocol.yjs`)        state  an array of updates, in msgpack: apply one after the other to an empty document

A *pen* is a Yjs client: whatever is added to a document is numbered by it, from 0 on. Two who write with one pen make documents that differ
for ever, and whoever takes somebody else's can make what they write next disappear. So an update adds by one pen; a pen belongs to whoever
used it first in that document; and what it adds goes on where that pen ended and stands beside what is there, or half of it would wait for
what never comes.

Invariant: what `fault_of` passes is well-formed; reading raises `ValueError`, whatever the bytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

import msgspec

from protocol.operations import Update
from protocol.yjs import Written, read_written

PEN_MAX: Final = 2**32 - 1
"""Yjs draws its clients from 32 bits; so do all that write here."""
STATE_BYTES_MAX: Final = 4 * 1024 * 1024
"""What a document may be when it is compacted. A novel, with all that was ever deleted in it, is half of that."""
_STATE: Final = msgspec.msgpack.Decoder(list[bytes])


def checksum_of(update: bytes) -> int:
    """CRC-32: finds what a disk or a browser's store garbled; it is no defence against anybody."""
    return zlib.crc32(update)


def written_of(update: bytes) -> Written:
    """What an update adds, by which pen, and what it refers to. Raises ValueError, in words for whoever wrote the client."""
    written = read_written(update)
    if written.strokes.pen > PEN_MAX or max(written.needs, default=0) > PEN_MAX:
        raise ValueError("adds by or refers to a client of more than 32 bits")
    return written


def fault_of(operation: Update) -> str:
    """Why this update cannot be taken, in words; "": it can."""
    if checksum_of(operation.update) != operation.checksum:
        return "update: its checksum is another; what was stored on the device is not what was written"
    try:
        written_of(operation.update)
    except ValueError as error:
        return f"update: {error}"
    return ""


def pack_state(updates: Sequence[bytes]) -> bytes:
    """A document's state, of updates in their order."""
    return msgspec.msgpack.encode(list(updates))


def unpack_state(state: bytes) -> list[bytes]:
    """The updates of a state; of nothing, none. Raises ValueError."""
    if not state:
        return []
    try:
        return _STATE.decode(state)
    except msgspec.MsgspecError as error:
        raise ValueError(f"no state of a document: {error}") from error
