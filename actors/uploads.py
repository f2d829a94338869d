"""Files on their way and what became of them, as the gateway asks for it; and what is known of a file by its bytes alone.

    create ─▶ ARRIVING ─pieces─▶ ARRIVED ─job: hash, sniff, scan, look─▶ READY ─Post, or a library─▶ ATTACHED ─▶ gone with its message
                                     ╰──────────────────────────────────▶ REFUSED, with the reason

Invariant: a file is what its bytes are, never what its name or its sender says; nobody but its sender knows of it before it is READY.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import AsyncIterator
from enum import IntEnum
from typing import Final, Protocol

from msgspec import Struct

from protocol.values import FILE_NAME_MAX

PLAIN: Final = "application/octet-stream"
"""What nobody knows; and what nobody should take for anything else: markup and scripts among it."""
PICTURES: Final = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif"})
"""What renditions are made of. Others see those, never the bytes that were uploaded."""
SNIFF_BYTES: Final = 512
_MAGIC: Final[tuple[tuple[bytes, int, str], ...]] = (
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", 0, "image/png"),
    (b"GIF87a", 0, "image/gif"),
    (b"GIF89a", 0, "image/gif"),
    (b"%PDF-", 0, "application/pdf"),
    (b"ID3", 0, "audio/mpeg"),
    (b"OggS", 0, "audio/ogg"),
    (b"fLaC", 0, "audio/flac"),
    (b"\x1aE\xdf\xa3", 0, "video/webm"),
    (b"PK\x03\x04", 0, "application/zip"),
)
_FORBIDDEN_IN_NAMES: Final = re.compile(r"[\x00-\x1f\x7f/\\:*?\"<>|]")


class State(IntEnum):
    """How far an upload is."""

    ARRIVING = 1
    ARRIVED = 2
    READY = 3
    ATTACHED = 4
    REFUSED = 5


class Upload(Struct, frozen=True):
    """An upload as its owner sees it. Sizes in bytes, times in Unix seconds; `sha256` in hexadecimal, once it is known."""

    id: int
    state: State
    name: str
    bytes: int
    done: int
    expires_at: int
    media_type: str = ""
    sha256: str = ""
    width: int = 0
    height: int = 0
    placeholder: str = ""
    why: str = ""


class Wanted(Struct, frozen=True):
    """What somebody wants to upload. `sha256`: of the whole, if its sender says it; what arrives otherwise is refused."""

    size: int
    name: str = ""
    sha256: bytes | None = None


class Room(Struct, frozen=True):
    """What of one's quota is taken, and how much there is."""

    taken_bytes: int
    bytes_max: int


class Refused(Exception):
    """The upload cannot be, or cannot go on. `text` is for its sender; `why` says which way it is refused."""

    class Why(IntEnum):
        """Which way."""

        NOT_FOUND = 1
        OFFSET = 2
        """Not where it goes on; `offset` says where it does."""
        TOO_LARGE = 3
        QUOTA = 4
        OVER = 5
        """It has arrived, or its time is over: no byte is taken any more."""
        CHECKSUM = 6
        BUSY = 7

    def __init__(self, why: Why, text: str, offset: int = 0) -> None:
        super().__init__(text)
        self.why = why
        self.text = text
        self.offset = offset


class Rendition(Struct, frozen=True):
    """Something that is kept of an object and can be read. `name`: `original`, or as `320.webp`. Sizes in pixels and bytes."""

    name: str
    media_type: str
    bytes: int
    width: int = 0
    height: int = 0


class Readable(Struct, frozen=True):
    """A file of a message that somebody may read now, and what there is of it."""

    seq: int
    upload: int
    sha256: bytes
    name: str
    renditions: tuple[Rendition, ...]


class ShelfFile(Struct, frozen=True):
    """A file in a community's library. `placeholder` in hexadecimal, `width` and `height` of a picture in pixels (0: it is none)."""

    upload: int
    name: str
    media_type: str
    sha256: bytes
    width: int
    height: int
    placeholder: str
    renditions: tuple[Rendition, ...]


class Body(Protocol):
    """The bytes of one request, as they come."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def rest(self) -> bytes:
        """What has come and nobody asked for yet, when its line was cut."""
        ...


class Uploads(Protocol):
    """All of it for one process. Calls may raise `StorageError`, those that touch bytes `OSError` as well."""

    @property
    def bytes_max(self) -> int:
        """Of one upload."""
        ...

    async def create(self, user: int, wanted: Wanted) -> Upload:
        """Raises `Refused`: TOO_LARGE, QUOTA."""
        ...

    async def find(self, user: int, upload: int) -> Upload | None:
        """One's own; None: there is none of this number, or it is another's."""
        ...

    async def list(self, user: int) -> tuple[Upload, ...]:
        """One's own that are not attached, newest first, at most a hundred."""
        ...

    async def room(self, user: int) -> Room: ...

    async def take(self, user: int, upload: int, offset: int, checksum: tuple[str, bytes] | None, body: Body) -> Upload:
        """Takes a request's bytes, which go on at `offset`; how it stands then. Cancelled, it keeps what came.

        Another request of this process for the same upload ends, and keeps what it has, first. `checksum`: algorithm and digest of these
        bytes; where they differ nothing of them is kept. Raises `Refused`: NOT_FOUND, OFFSET, OVER, TOO_LARGE, CHECKSUM, BUSY."""
        ...

    async def drop(self, user: int, upload: int) -> bool:
        """Ends one that is not attached. False: there is none."""
        ...

    async def readable(self, user: int, stream: int, messages: tuple[int, ...]) -> tuple[Readable, ...]:
        """The files of these messages, if this account may read the stream now; nothing, whatever stands in the way."""
        ...

    async def shelve(self, user: int, upload: int, space: int) -> None:
        """Puts an upload of one's own into a community's library, for good; again: nothing. Raises `Refused`: NOT_FOUND (also for who
        may not write there), OVER (it is elsewhere), QUOTA."""
        ...

    async def unshelve(self, user: int, upload: int, space: int) -> bool:
        """Takes it out again, and its bytes go. False: it was not there, or they may not."""
        ...

    async def shelf(self, user: int, space: int, uploads: tuple[int, ...]) -> tuple[ShelfFile, ...]:
        """Those of these files that are in this community's library, if this account may read it now."""
        ...

    async def find_object(self, sha256: bytes, rendition: str, upload: int) -> tuple[Rendition, str] | None:
        """What a signed link names, if it is still kept, and the upload's name for it."""
        ...

    async def read(self, sha256: bytes, rendition: str, start: int, end: int) -> bytes:
        """Bytes from `start` on, before `end`: one at least, and no more than a part. Raises `OSError` where they are gone."""
        ...


def sniff(head: bytes) -> str:
    """What a file is, by its first `SNIFF_BYTES` bytes. Text is `text/plain`; markup that a browser would run is `PLAIN`."""
    head = head[:SNIFF_BYTES]
    for magic, at, kind in _MAGIC:
        if head.startswith(magic, at):
            return kind
    if head[:4] == b"RIFF" and head[8:12] in (b"WEBP", b"WAVE"):
        return "image/webp" if head[8:12] == b"WEBP" else "audio/wav"
    if head[4:8] == b"ftyp":
        return "audio/mp4" if head[8:11] == b"M4A" else "video/mp4"
    if head[:1] == b"\xff" and len(head) > 1 and head[1] & 0xE6 == 0xE2:
        return "audio/mpeg"
    return "text/plain" if _is_plain_text(head) else PLAIN


def _is_plain_text(head: bytes) -> bool:
    """Whether it is UTF-8 without control characters and without anything that opens a tag."""
    if not head or b"<" in head:
        return False
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        # A letter of several bytes may be cut where looking ends, and only there.
        if len(head) < SNIFF_BYTES or error.start < len(head) - 3:
            return False
        text = head[: error.start].decode()
    return all(letter.isprintable() or letter in "\t\n\r" for letter in text)


def clean_name(name: str) -> str:
    """A name that is one anywhere: no folders, no control or invisible characters, no dots in front; at most `FILE_NAME_MAX` long.

    Empty: nothing is left of it."""
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    visible = "".join(letter for letter in last if unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
    tidy = " ".join(_FORBIDDEN_IN_NAMES.sub("_", visible).split()).lstrip(". ").rstrip(". ")
    if len(tidy) <= FILE_NAME_MAX:
        return tidy
    stem, dot, ending = tidy.rpartition(".")
    if not dot or len(ending) > 12:
        return tidy[:FILE_NAME_MAX].rstrip(". ")
    return f"{stem[: FILE_NAME_MAX - len(ending) - 1].rstrip('. ')}.{ending}"
