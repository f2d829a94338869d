"""Where identifiers stand in messages, and how all of them are replaced: for what moves from one installation to another.

    body ─rename(names)─▶ the same body, with each account, stream and space by its name there

What a field means is read from its annotation (`UserId`, `StreamId`, `SpaceId`), so an event that is added tomorrow is renamed too. In
records the table of entities says it (`Field.refers`).

Invariant: whatever is no identifier of these three comes out as it went in. Sequence numbers, keys, versions and texts stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from typing import Any, Final, TypeVar, get_args

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from protocol.entities import TABLE, Refers, Value, read_fields, write_fields
from protocol.events import RecordItem
from protocol.values import AuthorId, MaybeSpaceId, MaybeStreamId, SpaceId, StreamId, UserId

T = TypeVar("T", bound=Struct)


class Identifies(Enum):
    """What an identifier names."""

    USER = "user"
    STREAM = "stream"
    SPACE = "space"


class Names(Struct, frozen=True):
    """What everything is called on the other side. Each is asked for identifiers above 0 only."""

    user: Callable[[int], int]
    stream: Callable[[int], int]
    space: Callable[[int], int]

    def of(self, what: Identifies, id: int) -> int:
        """One identifier's new name; 0 stays 0."""
        if id == 0:
            return 0
        match what:
            case Identifies.USER:
                return self.user(id)
            case Identifies.STREAM:
                return self.stream(id)
            case Identifies.SPACE:
                return self.space(id)


def _said_of(annotated: Any) -> str:
    description: str = get_args(annotated)[1].description
    return description


_BY_DESCRIPTION: Final[Mapping[str, Identifies]] = {
    _said_of(UserId): Identifies.USER,
    _said_of(AuthorId): Identifies.USER,
    _said_of(StreamId): Identifies.STREAM,
    _said_of(SpaceId): Identifies.SPACE,
    _said_of(MaybeStreamId): Identifies.STREAM,
    _said_of(MaybeSpaceId): Identifies.SPACE,
}
_REFERS: Final[Mapping[Refers, Identifies]] = {
    Refers.USER: Identifies.USER,
    Refers.STREAM: Identifies.STREAM,
    Refers.SPACE: Identifies.SPACE,
}

_Way = Callable[[Any, Names], Any]


def rename(message: T, names: Names) -> T:
    """An event's body, or an operation, with every identifier replaced."""
    changed = {field: way(getattr(message, field), names) for field, way in _ways(type(message)).items()}
    renamed = replace(message, **changed) if changed else message
    return _rename_record(renamed, names) if isinstance(renamed, RecordItem) else renamed  # type: ignore[return-value]


def rename_fields(entity: int, raw: bytes | Raw, names: Names) -> Raw:
    """A record's fields, as they are sent and kept; those of an entity that is not known stay as they are."""
    refers = _fields_that_refer(entity)
    if not refers:
        return Raw(raw)
    fields = read_fields(raw)
    return write_fields({number: rename_value(entity, number, value, names) for number, value in fields.items()})


def rename_value(entity: int, number: int, value: Value, names: Names) -> Value:
    """One field's value; of a list, each that it names."""
    what = _fields_that_refer(entity).get(number)
    if what is None or isinstance(value, bool):
        return value
    if isinstance(value, tuple):
        return tuple(names.of(what, one) if isinstance(one, int) else one for one in value)
    return names.of(what, value) if isinstance(value, int) else value


def _fields_that_refer(entity: int) -> Mapping[int, Identifies]:
    declaration = TABLE.get(entity)
    if declaration is None:
        return {}
    return {field.number: _REFERS[field.refers] for field in declaration.fields if field.refers in _REFERS}


def _rename_record(item: RecordItem, names: Names) -> RecordItem:
    return replace(item, fields=rename_fields(item.entity, item.fields, names))


@cache
def _ways(kind: type) -> Mapping[str, _Way]:
    """By field: how it is renamed; fields without identifiers are left out."""
    described = msgspec.inspect.type_info(kind)
    assert isinstance(described, msgspec.inspect.StructType), kind
    ways = {field.name: _way_of(field.type) for field in described.fields}
    return {name: way for name, way in ways.items() if way is not None}


def _way_of(described: msgspec.inspect.Type) -> _Way | None:
    match described:
        case msgspec.inspect.Metadata(type=inner, extra_json_schema=extra):
            what = _BY_DESCRIPTION.get((extra or {}).get("description", ""))
            if what is not None:
                return lambda id, names: names.of(what, id)
            return _way_of(inner)
        case msgspec.inspect.VarTupleType(item_type=item) | msgspec.inspect.ListType(item_type=item):
            way = _way_of(item)
            return None if way is None else lambda several, names: tuple(way(one, names) for one in several)
        case msgspec.inspect.StructType(cls=kind) if _ways(kind) or kind is RecordItem:
            return lambda one, names: rename(one, names)
        case _:
            return None
