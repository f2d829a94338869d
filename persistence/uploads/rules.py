"""What uploads may be and how long they stay, and the jobs' payloads: what the parts of this room share."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

MIB: Final = 1024 * 1024
DAY_S: Final = 86_400.0

FINISH: Final = "uploads.finish"
RENDER: Final = "media.render"
COLLECT: Final = "uploads.collect"
UPLOADS_PER_PERSON_MAX: Final = 1_000
"""Not attached, at a time: each is a row, and some objects."""


class UploadRules(Struct, frozen=True):
    """Bounds, in bytes and hours."""

    bytes_max: int = 64 * MIB
    person_bytes_max: int = 1024 * MIB
    space_bytes_max: int = 20 * 1024 * MIB
    wait_hours: float = 48.0
    """How long an upload waits to be finished and attached, from its last byte on: a phone may be offline for a weekend."""


class Finish(Struct, frozen=True):
    """The payload of that job: an upload all of whose bytes are there."""

    upload: int


class Render(Struct, frozen=True):
    """The payload of that job: the SHA-256 of a picture, in hexadecimal."""

    sha256: str


class Collect(Struct, frozen=True):
    """The payload of that job."""
