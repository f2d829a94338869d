"""What readers are told of a batch: one event for each author in a stream, as far as order and size allow.

    record written ─▶ add ─▶ Items: the author's last event in the stream, or a new one ─▶ Changed

A reader passes over what is older than what they hold, and an event tells only fields that were written. So nothing of a record may come
before an older version of it: then another author's event has to be closed first.

Invariant: in the order of `events`, each record's versions ascend.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from protocol.entities import Fields, read_fields, write_fields
from protocol.events import Changed, RecordItem

ITEMS_MAX: Final = 256
"""Records in one event."""
BODY_BYTES_GOAL: Final = 4_096
"""About how long an event's body becomes before the next one is begun: a device on a bad link gets it in one message."""
_ITEM_BYTES: Final = 24
"""What an item takes beside its fields: three numbers with their heads, and that it is gone."""

Where = tuple[int, int, int]
"""Stream, entity and key."""


class Items(Struct):
    """What one event carries, by record: written twice, it is told once, of its last version."""

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
        raw = write_fields(fields)
        size_bytes = _ITEM_BYTES + len(bytes(raw))
        event = self._latest.get((stream, author))
        holding = self._holding.get(where)
        if (
            event is None
            or (holding is not None and holding is not event)
            or len(event.items) >= ITEMS_MAX
            or event.size_bytes + size_bytes > BODY_BYTES_GOAL
        ):
            event = self._latest[(stream, author)] = Items(stream, author, {})
            self.events.append(event)
        earlier = event.items.get(where)
        if earlier is not None and not gone and not earlier.gone:
            raw = write_fields({**read_fields(earlier.fields), **fields})
        event.items[where] = RecordItem(entity, key, version, raw, gone)
        event.size_bytes += size_bytes
        self._holding[where] = event
