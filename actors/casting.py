"""Frames for clients of an older schema: what was written in present fields, as they know them.

    present frame ─cast─▶ the same bytes, where nothing of it depends on a schema
                     └──▶ Changed, RecordPage, ConflictPage, VersionPage with older fields; what they do not know is left out

Casting is for those few who say that they are older: nobody else's frame comes by here. An event keeps its number whatever is left of it,
so a cursor means the same to everybody.

Invariant: the present schema is never cast, and a frame that is cast has the same tag, id, stream and number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from msgspec import Raw, Struct

from protocol.codec import encode, encode_event
from protocol.entities import SCHEMA, downcast, read_fields, write_fields
from protocol.events import Changed, RecordItem
from protocol.frames import Conflict, ConflictPage, Event, Frame, KeptVersion, Page, PageEvent, RecordPage, VersionPage

_CHANGED_TAG: Final = Changed.__struct_config__.tag
_CHANGED: Final = msgspec.msgpack.Decoder(Changed)


class _Head(Struct, frozen=True, array_like=True):
    tag: int


class _EventParts(Struct, frozen=True, array_like=True, tag=Event.__struct_config__.tag):
    stream: int
    seq: int
    author: int
    at: int
    body: Raw


_HEAD: Final = msgspec.msgpack.Decoder(_Head)
_PARTS: Final = msgspec.msgpack.Decoder(_EventParts)


def cast_events(frames: Sequence[bytes], schema: int) -> Sequence[bytes]:
    """Encoded `Event` frames for a client of `schema`; the same sequence if nothing in it has to change."""
    cast = [cast_event(frame, schema) for frame in frames]
    return frames if all(new is old for new, old in zip(cast, frames, strict=True)) else cast


def cast_event(frame: bytes, schema: int) -> bytes:
    """An encoded `Event` frame for a client of `schema`; the same object if nothing has to change."""
    parts = _PARTS.decode(frame)
    body = bytes(parts.body)
    cast = cast_body(body, schema)
    return frame if cast is body else encode_event(parts.stream, parts.seq, parts.author, parts.at, cast)


def cast_body(body: bytes, schema: int) -> bytes:
    """An event's body for a client of `schema`; the same object if nothing has to change."""
    if schema >= SCHEMA or _HEAD.decode(body).tag != _CHANGED_TAG:
        return body
    return encode(Changed(_records(_CHANGED.decode(body).records, schema)))


def cast_answer(frame: Frame, schema: int, entity: int = 0) -> Frame:
    """An answer for a client of `schema`. `entity`: whose versions were asked for."""
    if schema >= SCHEMA:
        return frame
    match frame:
        case Page():
            events = tuple(
                PageEvent(event.seq, event.author, event.at, Raw(cast_body(bytes(event.body), schema))) for event in frame.events
            )
            return Page(frame.id, frame.stream, events, frame.more)
        case RecordPage():
            records = _records(frame.records, schema)
            # A page that would be empty ends the snapshot: it could not be gone on from. Newer entities have higher numbers, so that in a
            # stream nothing known comes after them.
            return RecordPage(frame.id, frame.stream, frame.head, records, frame.more and bool(records))
        case ConflictPage():
            cast = (_conflict(conflict, schema) for conflict in frame.conflicts)
            return ConflictPage(frame.id, tuple(conflict for conflict in cast if conflict is not None), frame.more)
        case VersionPage():
            return VersionPage(frame.id, _versions(frame.versions, entity, schema), frame.more)
        case _:
            return frame


def _records(records: Iterable[RecordItem], schema: int) -> tuple[RecordItem, ...]:
    cast: list[RecordItem] = []
    for record in records:
        fields = _fields(record.entity, record.fields, schema)
        if fields is not None:
            cast.append(RecordItem(record.entity, record.key, record.version, fields, record.gone))
    return tuple(cast)


def _conflict(conflict: Conflict, schema: int) -> Conflict | None:
    sides = [_fields(conflict.entity, fields, schema) for fields in (conflict.mine, conflict.theirs, conflict.common, conflict.present)]
    if any(side is None for side in sides):
        return None
    mine, theirs, common, present = (side for side in sides if side is not None)
    return msgspec.structs.replace(conflict, mine=mine, theirs=theirs, common=common, present=present)


def _versions(versions: Iterable[KeptVersion], entity: int, schema: int) -> tuple[KeptVersion, ...]:
    cast: list[KeptVersion] = []
    for version in versions:
        fields = _fields(entity, version.fields, schema)
        if fields is not None:
            cast.append(msgspec.structs.replace(version, fields=fields))
    return tuple(cast)


def _fields(entity: int, raw: Raw, schema: int) -> Raw | None:
    """None: a client of `schema` does not know the entity."""
    fields = downcast(entity, read_fields(raw), schema)
    return None if fields is None else write_fields(fields)
