"""An archive of a community: a ZIP of JSON lines that says of itself what is in it, and is read back without trusting it.

    manifest.json            format, version, what it is of, when, and of each file: rows, bytes, SHA-256
    people.ndjson            whoever appears: number, name, display name. No addresses, no passwords
    space.json · members · roles · streams · log · records · …      one line a row; columns as in the database, bytes in hexadecimal

`docs/sovereignty.md` describes each file. Lines of the log also carry `says`: the body in words, for people; what counts is `body`.

Invariant: `Reader` yields nothing of a file whose bytes are not those of the manifest, and nothing longer than its bounds.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final

import msgspec
from msgspec import Struct

FORMAT: Final = "educonnect.community"
VERSION: Final = 1
MANIFEST: Final = "manifest.json"
MANIFEST_BYTES_MAX: Final = 1 << 20
LINE_BYTES_MAX: Final = 20 << 20
FILE_BYTES_MAX: Final = 16 << 30
FILES_MAX: Final = 64


class FileEntry(Struct, frozen=True):
    """One file of the archive."""

    rows: int
    bytes: int
    sha256: str


class Manifest(Struct, frozen=True):
    """What an archive says of itself."""

    format: str
    version: int
    subject: int
    name: str
    exported_at: datetime
    region: str
    files: dict[str, FileEntry]


class ArchiveRefused(Exception):
    """This file is no archive that can be read here. The text says what is wrong with it and what is expected."""


class Writer:
    """Writes an archive to a file that nobody else has. Blocks. `close` ends it with its manifest; without that it is none."""

    def __init__(self, file: BinaryIO) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6)
        self._files: dict[str, FileEntry] = {}

    @contextmanager
    def file(self, name: str) -> Iterator[Callable[[Sequence[Mapping[str, Any]]], None]]:
        """One file of JSON lines: yields what adds rows to it."""
        rows, size, digest = 0, 0, hashlib.sha256()
        with self._zip.open(name, "w", force_zip64=True) as file:

            def add(group: Sequence[Mapping[str, Any]]) -> None:
                nonlocal rows, size
                lines = b"".join(msgspec.json.encode(row) + b"\n" for row in group)
                file.write(lines)
                digest.update(lines)
                size += len(lines)
                rows += len(group)

            yield add
        self._files[name] = FileEntry(rows, size, digest.hexdigest())

    def close(self, subject: int, name: str, region: str, at: datetime, format: str = FORMAT) -> Manifest:
        """The manifest is written last: an archive without one was cut short."""
        manifest = Manifest(format, VERSION, subject, name, at, region, self._files)
        self._zip.writestr(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
        self._zip.close()
        return manifest

    def abandon(self) -> None:
        """Ends it as it is; after `close` nothing is left to do. Without a manifest it is no archive."""
        self._zip.close()


class Reader:
    """Reads an archive that may be anybody's. Blocks; a context manager. Raises `ArchiveRefused`."""

    def __init__(self, path: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise ArchiveRefused(f"{path}: {error}; expected: a ZIP that `educonnect space export` wrote") from error
        self.manifest = self._read_manifest()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._zip.close()

    def _read_manifest(self) -> Manifest:
        try:
            with self._zip.open(MANIFEST) as file:
                raw = file.read(MANIFEST_BYTES_MAX + 1)
            manifest = msgspec.json.decode(raw, type=Manifest)
        except (KeyError, zipfile.BadZipFile, OSError, msgspec.MsgspecError) as error:
            raise ArchiveRefused(f"{MANIFEST} cannot be read: {error}") from error
        if manifest.format != FORMAT or manifest.version != VERSION:
            raise ArchiveRefused(f"this is {manifest.format!r} version {manifest.version}; expected: {FORMAT!r} version {VERSION}")
        if len(manifest.files) > FILES_MAX:
            raise ArchiveRefused(f"there are {len(manifest.files)} files in it; expected: at most {FILES_MAX}")
        return manifest

    def verify(self) -> None:
        """Every file is there and has the bytes that the manifest says; in one pass, before anything of it is believed."""
        for name, entry in self.manifest.files.items():
            digest, size = hashlib.sha256(), 0
            try:
                with self._zip.open(name) as file:
                    while block := file.read(1 << 20):
                        size += len(block)
                        if size > min(entry.bytes, FILE_BYTES_MAX):
                            break
                        digest.update(block)
            except (KeyError, zipfile.BadZipFile, OSError) as error:
                raise ArchiveRefused(f"{name} cannot be read: {error}") from error
            if size != entry.bytes or digest.hexdigest() != entry.sha256:
                raise ArchiveRefused(f"{name} is not what the manifest says: it was changed or cut short")

    def rows(self, name: str, group: int = 500) -> Iterator[list[dict[str, Any]]]:
        """A file's rows, in groups. A file that is not there has none."""
        if name not in self.manifest.files:
            return
        rows: list[dict[str, Any]] = []
        with self._zip.open(name) as file:
            while line := file.readline(LINE_BYTES_MAX + 1):
                if len(line) > LINE_BYTES_MAX:
                    raise ArchiveRefused(f"{name} has a line of more than {LINE_BYTES_MAX} bytes")
                try:
                    rows.append(msgspec.json.decode(line, type=dict[str, Any]))
                except msgspec.MsgspecError as error:
                    raise ArchiveRefused(f"{name}, row {len(rows) + 1}: {error}") from error
                if len(rows) == group:
                    yield rows
                    rows = []
        if rows:
            yield rows
