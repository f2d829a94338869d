"""What of the database goes into a community's archive, and how each column is called elsewhere.

    Kept(file, table, where, order, names, packed)      $1 the spaces, $2 their streams

`names`: columns that hold an account, a stream or a space; `packed`: columns of bytes with identifiers inside. `drop`: columns that mean
nothing elsewhere (a device's number) and come back as 0, or by the database (`own`).

Invariant: a column of these tables is in the archive, or named here with why it is not; a test compares with the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from msgspec import Struct

from protocol.identifiers import Identifies


class Packed(Enum):
    """What a column of bytes is."""

    BODY = "an event's body"
    FIELDS = "a record's fields"
    RECORD = "a record with its cells"


class Kept(Struct, frozen=True):
    """One table's part."""

    file: str
    table: str
    where: str
    order: str
    names: Mapping[str, Identifies] = {}
    packed: Mapping[str, Packed] = {}
    zero: tuple[str, ...] = ()
    """Columns that are 0 in the archive."""
    own: tuple[str, ...] = ()
    """Columns that are left out: the database gives them anew."""


_USER: Final = Identifies.USER
_STREAM: Final = Identifies.STREAM
_SPACE: Final = Identifies.SPACE
_OF_STREAMS: Final = "t.stream_id = any($2)"

SPACES: Final = Kept(
    "spaces.ndjson", "spaces", "t.id = any($1)", "t.id", {"id": _SPACE, "parent": _SPACE, "created_by": _USER}, own=("pair_key",)
)
STREAMS: Final = Kept("streams.ndjson", "streams", "t.id = any($2)", "t.id", {"id": _STREAM, "space_id": _SPACE, "placement": _SPACE})
MEMBERS: Final = Kept("members.ndjson", "members", "t.space_id = any($1)", "t.space_id, t.user_id", {"space_id": _SPACE, "user_id": _USER})
POLICIES: Final = Kept("moderation.ndjson", "moderation_policies", "t.space_id = any($1)", "t.space_id", {"space_id": _SPACE})
"""Brought in before the streams: by it the database knows where what is said is checked first."""
ROWS: Final[tuple[Kept, ...]] = (
    Kept(
        "invitations.ndjson",
        "invitations",
        "t.space_id = any($1)",
        "t.space_id, t.user_id",
        {"space_id": _SPACE, "user_id": _USER, "invited_by": _USER},
    ),
    POLICIES,
    Kept("log.ndjson", "log", _OF_STREAMS, "t.stream_id, t.seq", {"stream_id": _STREAM, "author": _USER}, {"body": Packed.BODY}),
    Kept(
        "message_versions.ndjson",
        "message_versions",
        _OF_STREAMS,
        "t.stream_id, t.seq, t.version",
        {"stream_id": _STREAM, "replaced_by": _USER},
        {"body": Packed.BODY},
    ),
    Kept(
        "documents.ndjson",
        "documents",
        _OF_STREAMS,
        "t.stream_id",
        {"stream_id": _STREAM, "space_id": _SPACE, "created_by": _USER},
        # How far each pen is in a state is found out anew: by what is written there documents are judged, and an archive is not believed.
        own=("vector", "vector_upto"),
    ),
    Kept(
        "document_versions.ndjson",
        "document_versions",
        _OF_STREAMS,
        "t.id",
        {"stream_id": _STREAM, "space_id": _SPACE, "by": _USER},
        own=("id", "vector"),
    ),
    Kept("document_set_aside.ndjson", "document_set_aside", _OF_STREAMS, "t.stream_id, t.seq", {"stream_id": _STREAM}),
    Kept("records.ndjson", "records", _OF_STREAMS, "t.stream_id, t.entity, t.key", {"stream_id": _STREAM}, {"cells": Packed.RECORD}),
    Kept(
        "tombstones.ndjson",
        "tombstones",
        _OF_STREAMS,
        "t.stream_id, t.entity, t.key",
        {"stream_id": _STREAM, "deleted_by": _USER},
        {"cells": Packed.RECORD},
    ),
    Kept(
        "versions.ndjson",
        "entity_versions",
        _OF_STREAMS,
        "t.stream_id, t.entity, t.key, t.place",
        {"stream_id": _STREAM, "author": _USER},
        {"fields": Packed.FIELDS},
        zero=("device_id", "number"),
        own=("place",),
    ),
    Kept(
        "conflicts.ndjson",
        "sync_conflicts",
        _OF_STREAMS,
        "t.id",
        {"stream_id": _STREAM, "space_id": _SPACE, "user_id": _USER, "decided_by": _USER},
        {"mine": Packed.FIELDS, "theirs": Packed.FIELDS, "common": Packed.FIELDS},
        zero=("device_id", "number"),
        own=("id",),
    ),
)
"""In the order of the archive; `spaces`, `streams` and `members` come before them."""
