"""What pictures are asked of in the sandbox, and what it answers: `sandbox/images.py` from this side.

    bytes ─images.look──▶ upright width and height, placeholder
          ─images.render▶ WebP and AVIF of each width

Invariant: no byte of a picture is decoded in this process; what comes back is bounded, and read as a struct.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from actors.sandbox_port import Sandbox, SandboxFailed, Why
from protocol.values import PLACEHOLDER_BYTES_MAX

PICTURE_BYTES_MAX: Final = 24 * 1024 * 1024
"""A larger one is no photo of a phone; it is refused as a picture."""
MEMORY_MIB: Final = 1024
LOOK_S: Final = 15.0
RENDER_S: Final = 90.0
RENDERED_BYTES_MAX: Final = 16 * 1024 * 1024


class Seen(Struct, frozen=True, array_like=True):
    """What a picture is: pixels, upright, and what it looks like from afar."""

    width: Annotated[int, Meta(ge=1, le=65_535)]
    height: Annotated[int, Meta(ge=1, le=65_535)]
    placeholder: Annotated[bytes, Meta(max_length=PLACEHOLDER_BYTES_MAX)]


class Made(Struct, frozen=True, array_like=True):
    """One rendition."""

    name: Annotated[str, Meta(pattern=r"^[0-9]{2,5}\.(webp|avif)$")]
    width: Annotated[int, Meta(ge=1, le=4096)]
    height: Annotated[int, Meta(ge=1, le=65_535)]
    data: bytes


class NotAPicture(Exception):
    """It cannot be shown, and is not kept as what it says it is. The text is for its sender."""


async def look(sandbox: Sandbox, data: bytes) -> Seen:
    """Raises `NotAPicture`; `SandboxFailed` where nothing is known about the picture by that."""
    raw = await _ask(sandbox, "images.look", data, LOOK_S, 4096)
    return msgspec.msgpack.decode(raw, type=Seen)


async def render(sandbox: Sandbox, data: bytes) -> tuple[Made, ...]:
    """As `look`."""
    raw = await _ask(sandbox, "images.render", data, RENDER_S, RENDERED_BYTES_MAX)
    return msgspec.msgpack.decode(raw, type=tuple[Made, ...])


async def _ask(sandbox: Sandbox, task: str, data: bytes, seconds: float, answer_max: int) -> bytes:
    try:
        return await sandbox(task, data, seconds=seconds, memory_mib=MEMORY_MIB, answer_max=answer_max)
    except SandboxFailed as failed:
        match failed.why:
            case Why.REFUSED:
                raise NotAPicture("it is damaged, too large, or not the picture that it says it is") from failed
            case Why.TIME | Why.MEMORY:
                raise NotAPicture("it takes more time or memory than a picture does") from failed
            case _:
                raise
