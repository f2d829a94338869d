"""The list of erasures outside the database: a file of one JSON line each, so that a restored backup can be erased by it.

    {"kind": "person", "subject": 42, "born": "2026-03-01T12:00:00.123456+00:00", "asked_at": "…"}

Numbers and times alone. It belongs on another disk than the database's backups, and is kept for as long as any of these.

Invariant: a line that `append` has returned from is on the disk; a line that was cut short by a crash is passed over, and written again.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from actors.sovereignty import Kind
from persistence.sovereignty.erasure import Subject

LINE_BYTES_MAX = 400


class Line(Struct, frozen=True):
    """One erasure as it is written down."""

    kind: str
    subject: int
    born: datetime
    asked_at: datetime

    @property
    def of(self) -> Subject:
        return Subject(Kind[self.kind.upper()], self.subject, self.born)


class LedgerUnusable(Exception):
    """The file cannot be read or written. The text names it and says why."""


class Ledger:
    """One file. Its methods block: call them in a thread."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[Line]:
        """All that was written down, oldest first. Raises `LedgerUnusable`."""
        try:
            with open(self._path, "rb") as file:
                raw = file.read()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise LedgerUnusable(f"{self._path}: {error.strerror or error}") from error
        lines = []
        for line in raw.split(b"\n"):
            try:
                lines.append(msgspec.json.decode(line, type=Line))
            except msgspec.MsgspecError:
                continue  # the rest of a write that a crash cut short
        return lines

    def append(self, subject: Subject, asked_at: datetime) -> None:
        """Writes an erasure down, unless it stands there. Raises `LedgerUnusable`."""
        if any(line.of == subject for line in self.read()):
            return
        line = msgspec.json.encode(Line(subject.kind.name.lower(), subject.id, subject.born, asked_at))
        assert len(line) <= LINE_BYTES_MAX
        try:
            # A line of its own whatever stood there last; one write, so that two processes cannot mix theirs.
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(file, b"\n" + line + b"\n" if os.fstat(file).st_size else line + b"\n")
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            raise LedgerUnusable(f"{self._path}: {error.strerror or error}") from error
