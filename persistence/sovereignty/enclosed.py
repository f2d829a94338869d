"""The files that go with an archive: their bytes behind its rows, each by its hash.

    archive.zip ─ manifest and rows, from one snapshot ─▶ objects/<SHA-256> …, as the store has them afterwards

Each proves itself by its name, so the manifest need not know of them, and an archive without them is whole. What has gone since the
snapshot, or does not fit any more, is left out: the rows say what there was.

Invariant: no file of anybody but whose archive it is: a person's own, a community's attached ones.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from typing import BinaryIO, Final

import asyncpg

from actors.sovereignty import Kind
from actors.uploads import State
from persistence.objects import Objects, ObjectsAway

_FILES: Final = {
    Kind.PERSON: "user_id = $1",
    Kind.COMMUNITY: "space_id = $1",
}


async def files_of(tx: asyncpg.Connection, kind: Kind, subject: int) -> list[tuple[bytes, int]]:
    """Hash and bytes of each file, the newest last; none twice."""
    rows = await tx.fetch(
        f"select sha256, max(bytes) as bytes from uploads where {_FILES[kind]} and sha256 is not null and state = any($2::smallint[])"
        " group by sha256 order by min(id)",
        subject,
        [State.READY, State.ATTACHED],
    )
    return [(bytes(row["sha256"]), row["bytes"]) for row in rows]


async def enclose(file: BinaryIO, objects: Objects, files: Sequence[tuple[bytes, int]], bytes_max: int) -> int:
    """Puts files behind an archive that is written whole, as long as it has at most `bytes_max`; how many."""
    enclosed = 0
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
        for sha256, size in files:
            if file.seek(0, 2) + size > bytes_max:
                continue
            try:
                # Before its name is in the archive: what has gone leaves no half a file behind.
                part = await objects.read(sha256, "original", 0, size)
            except ObjectsAway:
                continue
            with archive.open(f"objects/{sha256.hex()}", "w", force_zip64=True) as entry:
                entry.write(part)
                at = len(part)
                while at < size:
                    part = await objects.read(sha256, "original", at, size)
                    entry.write(part)
                    at += len(part)
            enclosed += 1
    return enclosed
