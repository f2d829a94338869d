"""Identifiers inside columns of bytes: event bodies, records' fields, records with their cells.

Invariant: with the same names everything comes out as the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from persistence.sovereignty.tables import Kept, Packed
from protocol.codec import TOMBSTONE, BadFrame, UnknownBody, decode_body, encode
from protocol.entities import BadFields
from protocol.identifiers import Names, rename, rename_fields, rename_value
from protocol.merge import Record, pack_record, unpack_record


class Unreadable(Exception):
    """Bytes that are not what their column holds. The text names the column."""


def rename_packed(kept: Kept, row: Mapping[str, Any], names: Names) -> dict[str, str]:
    """A row's columns of bytes with every identifier in them renamed, as they stand in an archive. Raises `Unreadable`."""
    return {column: "\\x" + _rename(what, column, row, names).hex() for column, what in kept.packed.items()}


def _rename(what: Packed, column: str, row: Mapping[str, Any], names: Names) -> bytes:
    try:
        raw = bytes.fromhex(row[column].removeprefix("\\x"))
        match what:
            case Packed.BODY:
                return _rename_body(raw, names)
            case Packed.FIELDS:
                return bytes(rename_fields(row["entity"], raw, names))
            case Packed.RECORD:
                return _rename_record(row["entity"], raw, names)
    except (BadFrame, BadFields, ValueError, KeyError, AttributeError, TypeError) as error:
        raise Unreadable(f"{column} is not {what.value}: {error}") from error


def _rename_body(raw: bytes, names: Names) -> bytes:
    if raw == TOMBSTONE:
        return raw
    body = decode_body(raw)
    if isinstance(body, UnknownBody):
        raise ValueError(f"a kind that this version does not know ({body})")
    return encode(rename(body, names))


def _rename_record(entity: int, raw: bytes, names: Names) -> bytes:
    record = unpack_record(raw, entity)
    cells = {number: replace(cell, value=rename_value(entity, number, cell.value, names)) for number, cell in record.cells.items()}
    return pack_record(Record(record.version, cells))
