"""What becomes of an upload when its last byte is there: one object by its hash, of a known type, looked at, and READY or REFUSED.

    ARRIVED ─▶ hash of the pieces ─▶ as announced? ─▶ join: objects/<hash> ─▶ scanner ─▶ a picture: looked at in the sandbox ─▶ READY
                  │ a piece is not whole: ARRIVING again, from there           ╰────────── no ─────────╯─▶ REFUSED             │
                                                                                                                      media.render

The row refers to the hash before the object is there, so that whoever collects what nobody refers to leaves it alone.

Invariant: before the scanner and the sandbox have said yes no state lets anybody read it; each step may be killed and done again.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import asyncpg

from actors.jobs import Hopeless, Order, Work, pack
from actors.sandbox_port import Sandbox
from actors.uploads import PICTURES, State, sniff
from persistence.bridge import Bridge
from persistence.jobs.enqueue import enqueue
from persistence.objects import Objects
from persistence.uploads.pictures import PICTURE_BYTES_MAX, NotAPicture, Seen, look, render
from persistence.uploads.rules import COLLECT, RENDER, Collect, Finish, Render
from persistence.uploads.scanning import Scanner

CALL_S: Final = 10.0
_NOTHING: Final = Seen(1, 1, b"")


class ObjectGoing(Exception):
    """The object of this hash is being deleted: the job is tried again when it has gone."""


class Finisher:
    """Runs jobs of both kinds."""

    def __init__(self, bridge: Bridge, objects: Objects, scanner: Scanner, sandbox: Sandbox) -> None:
        self._bridge = bridge
        self._sandbox = sandbox
        self._objects = objects
        self._scanner = scanner

    async def finish(self, work: Work[Finish]) -> None:
        """The job `uploads.finish`."""
        upload = work.payload.upload
        row, pieces = await self._bridge.run(partial(_read, upload=upload), deadline_s=CALL_S)
        if row is None:
            return
        found = await self._objects.hash_pieces(pieces)
        if isinstance(found, int):
            await work.finish(partial(_set_back, upload=upload, to=sum(size for _, size in pieces[:found])))
            return
        sha256, head = found
        if row["announced"] is not None and bytes(row["announced"]) != sha256:
            await self._end(work, upload, "what arrived is not what was announced")
            return
        await self._bridge.run(partial(_refer, upload=upload, sha256=sha256, size=row["bytes"]), deadline_s=CALL_S)
        await self._objects.join(pieces, upload, sha256)
        media_type, seen = sniff(head), _NOTHING
        if not await self._scanner.scan(row["bytes"], partial(self._objects.read, sha256, "original")):
            await self._end(work, upload, "the scanner refused it")
            return
        if media_type in PICTURES:
            try:
                seen = await self._look(sha256, row["bytes"])
            except NotAPicture as error:
                await self._end(work, upload, f"this picture cannot be shown: {error}")
                return
        await work.finish(partial(_ready, upload=upload, media_type=media_type, seen=seen, sha256=sha256))
        await self._objects.forget_pieces(upload)

    async def render(self, work: Work[Render]) -> None:
        """The job `media.render`."""
        sha256 = bytes.fromhex(work.payload.sha256)
        if not await self._bridge.run(partial(_is_wanted, sha256=sha256), deadline_s=CALL_S):
            return
        try:
            made = await render(self._sandbox, await self._objects.get(sha256, "original", PICTURE_BYTES_MAX))
        except NotAPicture as error:
            # It could be looked at and not be made smaller: it stays without renditions, and nobody is shown what was uploaded instead.
            raise Hopeless(str(error)) from error
        for one in made:
            await self._objects.put(sha256, one.name, one.data)
        rows = [(sha256, one.name, one.width, one.height, len(one.data)) for one in made]
        await work.finish(partial(_rendered, rows=rows))

    async def _look(self, sha256: bytes, size: int) -> Seen:
        if size > PICTURE_BYTES_MAX:
            raise NotAPicture(f"it has {size} bytes, and a picture has at most {PICTURE_BYTES_MAX}")
        return await look(self._sandbox, await self._objects.get(sha256, "original", PICTURE_BYTES_MAX))

    async def _end(self, work: Work[Finish], upload: int, why: str) -> None:
        await work.finish(partial(_refuse, upload=upload, why=why))
        await self._objects.forget_pieces(upload)


async def _read(tx: asyncpg.Connection, upload: int) -> tuple[asyncpg.Record | None, list[tuple[str, int]]]:
    row = await tx.fetchrow("select bytes, announced from uploads where id = $1 and state = $2", upload, State.ARRIVED)
    pieces = await tx.fetch("select name, bytes from upload_pieces where upload_id = $1 order by at", upload)
    return row, [(piece["name"], piece["bytes"]) for piece in pieces]


async def _refer(tx: asyncpg.Connection, upload: int, sha256: bytes, size: int) -> None:
    """Says that this upload is of that object, before the object is there."""
    state: int = await tx.fetchval(
        "insert into objects (sha256, bytes) values ($1, $2) on conflict (sha256) do update set bytes = excluded.bytes returning state",
        sha256,
        size,
    )
    if state != 1:
        raise ObjectGoing(sha256.hex())
    await tx.execute("update uploads set sha256 = $2 where id = $1 and state = $3", upload, sha256, State.ARRIVED)


async def _ready(tx: Any, upload: int, media_type: str, seen: Seen, sha256: bytes) -> None:
    picture = media_type in PICTURES
    done: int | None = await tx.fetchval(
        "update uploads set state = $2, media_type = $3, width = $4, height = $5, placeholder = $6 where id = $1 and state = $7"
        " returning id",
        upload,
        State.READY,
        media_type,
        seen.width if picture else 0,
        seen.height if picture else 0,
        seen.placeholder,
        State.ARRIVED,
    )
    await tx.execute("delete from upload_pieces where upload_id = $1", upload)
    if done is not None and picture:
        await enqueue(tx, Order(RENDER, pack(Render(sha256.hex())), key=sha256.hex()))


async def _refuse(tx: Any, upload: int, why: str) -> None:
    """The row stays for its sender to read why, and refers to no object any more."""
    await tx.execute(
        "insert into upload_leavings (upload_id, sha256) select id, sha256 from uploads where id = $1 and sha256 is not null"
        " on conflict do nothing",
        upload,
    )
    await tx.execute(
        "update uploads set state = $2, why = $3, sha256 = null where id = $1 and state = $4", upload, State.REFUSED, why, State.ARRIVED
    )
    await tx.execute("delete from upload_pieces where upload_id = $1", upload)
    await enqueue(tx, Order(COLLECT, pack(Collect()), key="leavings"))


async def _set_back(tx: Any, upload: int, to: int) -> None:
    """The store lost a piece (a machine without power): its sender goes on from there."""
    await tx.execute("delete from upload_pieces where upload_id = $1 and at >= $2", upload, to)
    await tx.execute("update uploads set state = $2, done = $3 where id = $1 and state = $4", upload, State.ARRIVING, to, State.ARRIVED)


async def _is_wanted(tx: asyncpg.Connection, sha256: bytes) -> bool:
    wanted: bool = await tx.fetchval(
        "select exists (select from uploads where sha256 = $1 and state = any($2::smallint[]))"
        " and not exists (select from renditions where sha256 = $1)",
        sha256,
        [State.READY, State.ATTACHED],
    )
    return wanted


async def _rendered(tx: Any, rows: list[tuple[bytes, str, int, int, int]]) -> None:
    for row in rows:
        await tx.execute(
            "insert into renditions (sha256, name, width, height, bytes) select $1, $2, $3, $4, $5"
            " where exists (select from objects where sha256 = $1 and state = 1)"
            " on conflict (sha256, name) do update set width = excluded.width, height = excluded.height, bytes = excluded.bytes",
            *row,
        )
