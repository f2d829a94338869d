"""Archives that wait to be fetched, erasure on request, and how long messages are kept: implements `actors.sovereignty.Sovereignty`.

    order ─▶ archives row + job ─▶ make: a snapshot ─▶ a file of its own ─▶ archive_parts ─▶ read, for a week ─▶ swept

Invariant: `find` and `order` see only what the asking account asked for; parts of an archive are there all or none.
"""

from __future__ import annotations

import hashlib
import tempfile
from functools import partial
from typing import Any, BinaryIO, Final

import asyncpg
import trio
from msgspec import Struct

from actors.jobs import Order, Work, pack
from actors.sovereignty import PART_BYTES, Archive, Kind
from persistence.audit import Deed, record
from persistence.bridge import Bridge
from persistence.jobs.enqueue import enqueue
from persistence.objects import Objects
from persistence.sovereignty.archive import Writer
from persistence.sovereignty.enclosed import enclose, files_of
from persistence.sovereignty.erasures import Erasures
from persistence.sovereignty.leaving import NoSuchCommunity, export_space
from persistence.sovereignty.person_export import export_person

MAKE: Final = "archive.make"
CALL_S: Final = 10.0
MAKE_S: Final = 900.0
AGAIN_AFTER_S: Final = 3600.0
ARCHIVE_BYTES_MAX: Final = 2 << 30
_COLUMNS: Final = (
    "id, extract(epoch from asked_at)::bigint as asked_at, extract(epoch from expires_at)::bigint as expires_at,"
    " ready_at is not null as ready, bytes, coalesce(encode(sha256, 'hex'), '') as sha256, error"
)


class MakeArchive(Struct, frozen=True):
    """The payload of that job: a row of `archives`."""

    archive: int


class PostgresSovereignty:
    """See the module."""

    def __init__(self, bridge: Bridge, erasures: Erasures, objects: Objects | None = None) -> None:
        self._bridge = bridge
        self._objects = objects
        self._erasures = erasures

    async def order(self, kind: Kind, subject: int, user: int) -> Archive:
        async def work(tx: asyncpg.Connection) -> Archive:
            # One at a time for who asks twice at once.
            await tx.execute("select pg_advisory_xact_lock(hashtextextended('archive', $1))", user)
            row = await tx.fetchrow(
                f"select {_COLUMNS} from archives where kind = $1 and subject = $2 and asked_by = $3"
                " and error = '' and asked_at > now() - make_interval(secs => $4)",
                kind,
                subject,
                user,
                AGAIN_AFTER_S,
            )
            if row is None:
                await tx.execute("delete from archives where kind = $1 and subject = $2 and asked_by = $3", kind, subject, user)
                row = await tx.fetchrow(
                    f"insert into archives (kind, subject, asked_by) values ($1, $2, $3) returning {_COLUMNS}", kind, subject, user
                )
                assert row is not None
                community = kind is Kind.COMMUNITY
                await enqueue(tx, Order(MAKE, pack(MakeArchive(row["id"])), key=str(row["id"]), space=subject if community else 0))
                action = "community_exported" if community else "person_exported"
                await record(tx, Deed(user, action, subject if community else None, None if community else subject))
            return Archive(**row)

        return await self._bridge.run(work, deadline_s=CALL_S)

    async def find(self, kind: Kind, subject: int, user: int) -> Archive | None:
        async def work(tx: asyncpg.Connection) -> Archive | None:
            row = await tx.fetchrow(
                f"select {_COLUMNS} from archives where kind = $1 and subject = $2 and asked_by = $3 and expires_at > now()",
                kind,
                subject,
                user,
            )
            return None if row is None else Archive(**row)

        return await self._bridge.run(work, deadline_s=CALL_S, readonly=True)

    async def read(self, archive: int, part: int) -> bytes | None:
        async def work(tx: asyncpg.Connection) -> bytes | None:
            part_: bytes | None = await tx.fetchval("select bytes from archive_parts where archive_id = $1 and place = $2", archive, part)
            return part_

        return await self._bridge.run(work, deadline_s=CALL_S, readonly=True)

    async def name_of(self, kind: Kind, id: int) -> str | None:
        async def work(tx: asyncpg.Connection) -> str | None:
            community = "select name from spaces where id = $1 and kind = 1"
            person = "select name::text from accounts where id = $1 and disabled_at is null"
            name: str | None = await tx.fetchval(community if kind is Kind.COMMUNITY else person, id)
            return name

        return await self._bridge.run(work, deadline_s=CALL_S, readonly=True)

    async def erase(self, kind: Kind, id: int, by: int) -> bool:
        return await self._erasures.ask(kind, id, by) is not None

    async def keep_for(self, space: int, days: int | None, by: int) -> bool:
        async def work(tx: asyncpg.Connection) -> bool:
            found = await tx.fetchval("update spaces set retention_days = $2 where id = $1 and kind = 1 returning id", space, days)
            if found is not None:
                await record(tx, Deed(by, "retention_set", space, detail={"days": days}))
            return found is not None

        return await self._bridge.run(work, deadline_s=CALL_S)

    async def make(self, work: Work[MakeArchive]) -> None:
        """The job: writes the archive into a file of its own, then into the database as the job's end."""
        archive = work.payload.archive
        row = await self._bridge.run(partial(_read, archive=archive), deadline_s=CALL_S, readonly=True)
        if row is None:
            return
        with tempfile.TemporaryFile() as file:
            failed = ""
            try:
                await self._bridge.run(
                    partial(_write, kind=Kind(row["kind"]), subject=row["subject"], file=file),
                    deadline_s=MAKE_S,
                    readonly=True,
                    isolation="snapshot",
                )
                if self._objects is not None:
                    files = await self._bridge.run(
                        partial(files_of, kind=Kind(row["kind"]), subject=row["subject"]), deadline_s=CALL_S, readonly=True
                    )
                    await enclose(file, self._objects, files, ARCHIVE_BYTES_MAX)
            except NoSuchCommunity as error:
                failed = str(error)
            size = file.seek(0, 2)
            if size > ARCHIVE_BYTES_MAX:
                failed = f"it has {size} bytes, and at most {ARCHIVE_BYTES_MAX} are kept here: the operator can export it"
            digest = hashlib.sha256()
            place = 0
            file.seek(0)
            while not failed and (part := await trio.to_thread.run_sync(file.read, PART_BYTES)):
                digest.update(part)
                await self._bridge.run(partial(_keep, archive=archive, place=place, part=part), deadline_s=CALL_S)
                place += 1
                work.report(place, size // PART_BYTES + 1)
        await work.finish(partial(_finish, archive=archive, size=0 if failed else size, sha256=digest.digest(), error=failed))


async def sweep_archives(tx: asyncpg.Connection) -> int:
    """Deletes archives whose time is over, with their parts; how many. For a job."""
    status: str = await tx.execute("delete from archives where expires_at < now()")
    return int(status.rpartition(" ")[2])


async def _read(tx: asyncpg.Connection, archive: int) -> asyncpg.Record | None:
    return await tx.fetchrow("select kind, subject from archives where id = $1 and ready_at is null and error = ''", archive)


async def _write(tx: asyncpg.Connection, kind: Kind, subject: int, file: BinaryIO) -> None:
    # Again from the beginning, should the connection have been lost on the way.
    file.seek(0)
    file.truncate()
    writer = Writer(file)
    try:
        if kind is Kind.COMMUNITY:
            await export_space(tx, subject, writer)
        else:
            await export_person(tx, subject, writer)
    finally:
        writer.abandon()


async def _keep(tx: asyncpg.Connection, archive: int, place: int, part: bytes) -> None:
    await tx.execute(
        "insert into archive_parts (archive_id, place, bytes) select $1, $2, $3 where exists (select from archives where id = $1)"
        " on conflict (archive_id, place) do update set bytes = excluded.bytes",
        archive,
        place,
        part,
    )


async def _finish(tx: Any, archive: int, size: int, sha256: bytes, error: str) -> None:
    await tx.execute(
        "update archives set ready_at = case when $4 = '' then now() end, bytes = $2, sha256 = $3, error = $4 where id = $1",
        archive,
        size,
        sha256,
        error,
    )
    await tx.execute("delete from archive_parts where archive_id = $1 and place >= $2", archive, -(-size // PART_BYTES))
