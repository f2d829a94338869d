"""What several routes take behind the question mark.

Invariant: what is read is what is described (`openapi`): both are these structs.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from protocol.values import ID_MAX

Id = Annotated[int, Meta(ge=0, le=ID_MAX)]


class After(Struct, frozen=True):
    """Goes on behind this number; 0: from the beginning."""

    after: Id = 0
