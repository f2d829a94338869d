"""What readers are told of a batch: one event for each author in a stream, as far as order and size allow.

    record written ─▶ add ─▶ Items: the author's last event in the stream, or a new one ─▶ Changed

A reader passes over what is older than what they hold, and an event tells only fields that were written. So nothing of a record may come
before an older version of it: then another author's event has to be closed first.

Invariant: in the order of `events`, each record's versions ascend.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from protocol.entities import Fields, read_fields, write_fields
from protocol.events import Changed, RecordItem

ITEMS_MAX: Final = 256
"""Records in one event."""
BODY_BYTES_GOAL: Final = 4_096
"""About how long an event's body becomes before the next one is begun: a device on a bad link gets it in one message."""
_ENCODER: Final = msgspec.msgpack.Encoder()

Where = tuple[int, int, int]
"""Stream, entity and key."""


class Items(Struct):
    """What one event carries, by record: written twice, it is told once, of its last version. `place` among the events."""

    place: int
    stream: int
    author: int
    items: dict[Where, RecordItem]
    size_bytes: int = 0

    @property
    def body(self) -> Changed:
        return Changed(tuple(self.items.values()))


class Told:
    """Gathers what was written, in order."""

    __slots__ = ("_holding", "_latest", "events")

    def __init__(self) -> None:
        self.events: list[Items] = []
        self._latest: dict[tuple[int, int], Items] = {}
        self._holding: dict[Where, Items] = {}

    def add(self, where: Where, author: int, version: int, fields: Fields, gone: bool) -> None:
        """Of a record, `fields` were written, or it was deleted: it has this version now."""
        stream, entity, key = where
        event = self._latest.get((stream, author))
        holding = self._holding.get(where)
        earlier = holding.items[where] if holding is not None and holding is event else None
        item = RecordItem(entity, key, version, write_fields(_together(earlier, fields, gone)), gone)
        grows_bytes = _size_bytes(item) - (0 if earlier is None else _size_bytes(earlier))
        if (
            event is None
            or (holding is not None and holding.place > event.place)
            or (earlier is None and len(event.items) >= ITEMS_MAX)
            or (earlier is not None and earlier.gone and not gone)  # that it was gone in between must be told
            or event.size_bytes + grows_bytes > BODY_BYTES_GOAL
        ):
            event = self._latest[(stream, author)] = Items(len(self.events), stream, author, {})
            self.events.append(event)
            item = RecordItem(entity, key, version, write_fields(fields), gone)
            grows_bytes = _size_bytes(item)
        event.items[where] = item
        event.size_bytes += grows_bytes
        self._holding[where] = event


def _together(earlier: RecordItem | None, fields: Fields, gone: bool) -> Fields:
    """What two writes of a record come to."""
    return fields if earlier is None or gone else {**read_fields(earlier.fields), **fields}


def _size_bytes(item: RecordItem) -> int:
    return len(_ENCODER.encode(item))
