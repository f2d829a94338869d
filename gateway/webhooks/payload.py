"""What a receiver is told of an event: JSON, with names in place of our tags and positions.

    Due(kind, author, stream, seq, at, body) ─▶ {"type": "message.posted", "timestamp": "…Z", "data": {"community": …, "text": …}}

Fields have the names of `docs/protocol.md`. What a record's fields say is left out, for that is read by who may: the event says
which record changed.
"""

from __future__ import annotations

import datetime
from enum import Enum
from typing import Any

import msgspec
from msgspec import Raw, Struct

from actors.webhooks import NAMES, Due
from protocol.codec import decode_body


def payload(due: Due) -> bytes:
    """The body of a delivery: the same bytes for the same event, unless it was edited or redacted meanwhile."""
    data = {"community": due.space, "stream": due.stream, "seq": due.seq, "author": due.author, **_fields(decode_body(due.body))}
    at = datetime.datetime.fromtimestamp(due.at, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return msgspec.json.encode({"type": NAMES[due.kind], "timestamp": at, "data": data})


def _fields(struct: Struct) -> dict[str, Any]:
    return {name: _plain(value) for name in struct.__struct_fields__ if not isinstance(value := getattr(struct, name), Raw)}


def _plain(value: Any) -> Any:
    if isinstance(value, Struct):
        return _fields(value)
    if isinstance(value, Enum) and isinstance(value.name, str):
        return value.name.lower()
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return value
