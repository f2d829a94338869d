"""Pictures, decoded and made anew: what comes out was written here, pixel by pixel, and holds nothing of what came in but what is seen.

    bytes ─▶ one of four decoders, by the first bytes ─▶ bounds ─▶ the first frame, upright, sRGB ─▶ 160, 320, 640, 1280 wide ─▶ WebP, AVIF
                                                                                             ╰─▶ a few cells of colour: the placeholder

EXIF, comments, profiles, further frames and whatever stands behind the end are not taken along. Runs in the sandbox alone (`child.py`).

Invariant: nothing is decoded before its pixels are counted; no format but the four is ever tried.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from PIL import Image, ImageFile, ImageOps

WIDTHS: Final = (160, 320, 640, 1280)
PIXELS_MAX: Final = 50_000_000
"""Some 48 MP are what phones take; 50 million pixels are 200 MB while they are decoded."""
SIDE_MAX: Final = 16_384
PLACEHOLDER_CELLS_MAX: Final = 12
WEBP_QUALITY: Final = 78
AVIF_QUALITY: Final = 55
AVIF_SPEED: Final = 8
"""0 is slowest. At 8 a picture 1280 wide takes a fifth of a second."""
FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF")


class NoPicture(Exception):
    """These bytes are no picture that is taken here."""


def look(payload: bytes) -> bytes:
    """[width, height, placeholder], upright. Raises whatever says that it is no picture."""
    picture = _open(payload, 64)
    upright = _upright(payload)
    width, height = upright
    return msgspec.msgpack.encode([width, height, _placeholder(picture)])


def render(payload: bytes) -> bytes:
    """[[name, width, height, bytes] …], for each width up to the picture's own, in both formats."""
    picture = _open(payload, WIDTHS[-1])
    full_width, full_height = _upright(payload)
    made: list[list[object]] = []
    for nominal in WIDTHS:
        width = min(nominal, full_width)
        height = max(1, round(full_height * width / full_width))
        small = picture if picture.size == (width, height) else picture.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)
        made.append([f"{nominal}.webp", width, height, _write(small, "WEBP", quality=WEBP_QUALITY, method=4)])
        made.append([f"{nominal}.avif", width, height, _write(small, "AVIF", quality=AVIF_QUALITY, speed=AVIF_SPEED, max_threads=1)])
        if nominal >= full_width:
            break
    return msgspec.msgpack.encode(made)


TASKS: Final[Mapping[str, Callable[[bytes], bytes]]] = {"look": look, "render": render}


def _header(payload: bytes) -> Image.Image:
    """The picture, not decoded yet, if its pixels are few enough."""
    Image.MAX_IMAGE_PIXELS = None  # counted here, as an error and not as a warning
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    picture = Image.open(io.BytesIO(payload), formats=FORMATS)
    width, height = picture.size
    if not (0 < width <= SIDE_MAX and 0 < height <= SIDE_MAX and width * height <= PIXELS_MAX):
        raise NoPicture(f"{width} x {height} pixels")
    return picture


def _turned(picture: Image.Image) -> bool:
    """Whether it lies on its side, by its EXIF."""
    return picture.getexif().get(0x0112) in (5, 6, 7, 8)


def _upright(payload: bytes) -> tuple[int, int]:
    picture = _header(payload)
    width, height = picture.size
    return (height, width) if _turned(picture) else (width, height)


def _open(payload: bytes, width: int) -> Image.Image:
    """The first frame, decoded, upright, RGB or RGBA, at least as wide as asked for where it is."""
    picture = _header(payload)
    ratio = width / (picture.size[1] if _turned(picture) else picture.size[0])
    if picture.format == "JPEG" and ratio < 1:
        # The decoder itself makes it smaller, by whole factors, never below what is asked for: a quarter of the memory and of the time.
        picture.draft("RGB", (max(1, round(picture.size[0] * ratio)), max(1, round(picture.size[1] * ratio))))
    picture.load()
    upright = ImageOps.exif_transpose(picture)
    has_alpha = upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info
    clean = upright.convert("RGBA" if has_alpha else "RGB")
    clean.info = {}
    if clean.size[0] > width:
        # To the size that is needed at once, so that no two large ones are in memory.
        height = max(1, round(clean.size[1] * width / clean.size[0]))
        clean = clean.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)
        clean.info = {}
    return clean


def _write(picture: Image.Image, kind: str, **options: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, exif=b"", icc_profile=None, xmp=b"", **options)
    return out.getvalue()


def _placeholder(picture: Image.Image) -> bytes:
    """Columns times 16 plus rows, then red, green and blue of each cell: at most 37 bytes."""
    width, height = picture.size
    columns, rows = min(
        ((c, r) for c in range(1, 7) for r in range(1, 7) if 6 <= c * r <= PLACEHOLDER_CELLS_MAX),
        key=lambda grid: (abs(grid[0] * height - grid[1] * width) / max(width, height), -grid[0] * grid[1]),
    )
    flat = Image.new("RGB", picture.size, (255, 255, 255))
    flat.paste(picture.convert("RGB"), mask=picture.getchannel("A") if picture.mode == "RGBA" else None)
    return bytes((columns << 4 | rows,)) + flat.resize((columns, rows), Image.Resampling.BOX).tobytes()
