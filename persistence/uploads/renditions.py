"""What others may have of a file, by rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg

from actors.uploads import PICTURES, Rendition

KEPT_OF: Final = (
    "select u.id, o.sha256, o.bytes as whole, r.name, r.width, r.height, r.bytes from uploads u"
    " join objects o on o.sha256 = u.sha256 and o.state = 1 left join renditions r on r.sha256 = u.sha256"
    " where u.id = any($1) order by u.id, r.width, r.name desc"
)
"""Of these uploads what is kept: a row for each rendition, or one without."""


def renditions(media_type: str, rows: Sequence[asyncpg.Record]) -> tuple[Rendition, ...]:
    """Of a picture what was made of it, of anything else itself. `rows`: of one upload, as `KEPT_OF` has them; one at least."""
    if media_type not in PICTURES:
        return (Rendition("original", media_type, rows[0]["whole"]),)
    return tuple(
        Rendition(row["name"], kind_of(row["name"]), row["bytes"], row["width"], row["height"]) for row in rows if row["name"] is not None
    )


def kind_of(rendition: str) -> str:
    """The media type of a rendition such as `320.webp`."""
    return f"image/{rendition.rpartition('.')[2]}"
