"""Uploads as rows: who may have which, how far each is, and who reads what came with a message. Implements `actors.uploads.Uploads`.

    create ─▶ begin ─▶ Intake: pieces into the store, each written down ─▶ all there ─▶ a job finishes it (`finishing`)

A piece counts from the moment its row is there, by comparing where the upload was: of two requests at once, on whatever gateways, one
goes on, and what the other had is nobody's.

Invariant: `done` is the sum of the pieces' rows; nobody is told of an upload that is another's.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Final

import asyncpg

from actors.jobs import Order, pack
from actors.uploads import Body, Readable, Refused, Rendition, Room, ShelfFile, State, Upload, Wanted, clean_name
from persistence.bridge import Bridge
from persistence.jobs.enqueue import enqueue
from persistence.objects import Objects
from persistence.uploads import shelving
from persistence.uploads.intake import Intake
from persistence.uploads.renditions import KEPT_OF, kind_of, renditions
from persistence.uploads.rules import FINISH, UPLOADS_PER_PERSON_MAX, Finish, UploadRules
from protocol.codec import decode_body
from protocol.events import Posted
from protocol.values import StreamKind

CALL_S: Final = 10.0
INTAKES_MAX: Final = 64
"""Requests with bytes at a time, a process: 48 MiB of pieces and of what waits behind them."""
LIST_MAX: Final = 100
_COLUMNS: Final = (
    "id, state, name, bytes, done, extract(epoch from expires_at)::bigint as expires_at, media_type,"
    " coalesce(encode(sha256, 'hex'), '') as sha256, width, height, encode(placeholder, 'hex') as placeholder, why"
)
_OWN: Final = "id = $2 and user_id = $1 and (state <> 1 or expires_at > now())"
_NONE: Final = "there is no such upload, or it is not yours"
_READABLE: Final = (
    "select l.seq, l.body from streams s join members m on m.space_id = s.space_id and m.user_id = $1 and m.role & s.read_roles <> 0"
    " join accounts a on a.id = $1 and a.disabled_at is null"
    " join log l on l.stream_id = s.id and l.seq = any($3) and l.kind = 6 where s.id = $2 and s.kind = any($4::smallint[])"
)
_SPOKEN: Final = (StreamKind.CHANNEL, StreamKind.CONVERSATION)
_KEPT_HERE: Final = KEPT_OF.replace(" order by", " and u.stream_id = $2 order by")
_OBJECT: Final = (
    "select u.name, u.media_type, o.bytes as whole, r.width, r.height, r.bytes from uploads u"
    " join objects o on o.sha256 = u.sha256 and o.state = 1 left join renditions r on r.sha256 = u.sha256 and r.name = $3"
    " where u.id = $1 and u.sha256 = $2 and u.state = any($4::smallint[])"
)


class PostgresUploads:
    """See the module."""

    def __init__(self, bridge: Bridge, objects: Objects, rules: UploadRules) -> None:
        self._bridge = bridge
        self._objects = objects
        self._rules = rules
        self._intakes: dict[int, Intake] = {}

    @property
    def bytes_max(self) -> int:
        return self._rules.bytes_max

    async def create(self, user: int, wanted: Wanted) -> Upload:
        rules = self._rules
        if not 0 < wanted.size <= rules.bytes_max:
            raise Refused(Refused.Why.TOO_LARGE, f"a file has 1 to {rules.bytes_max} bytes")

        async def work(tx: asyncpg.Connection) -> Upload:
            # One at a time for a person: what two begin at once counts for both.
            await tx.execute("select pg_advisory_xact_lock(hashtextextended('uploads', $1))", user)
            taken, waiting = await _taken(tx, user)
            if taken + wanted.size > rules.person_bytes_max:
                text = f"your files have {taken} bytes, and may have {rules.person_bytes_max} together"
                raise Refused(Refused.Why.QUOTA, text)
            if waiting >= UPLOADS_PER_PERSON_MAX:
                raise Refused(Refused.Why.QUOTA, f"{UPLOADS_PER_PERSON_MAX} uploads wait to be sent with a message")
            row = await tx.fetchrow(
                "insert into uploads (user_id, name, bytes, announced, expires_at)"
                f" values ($1, $2, $3, $4, now() + make_interval(secs => $5)) returning {_COLUMNS}",
                user,
                clean_name(wanted.name),
                wanted.size,
                wanted.sha256,
                rules.wait_hours * 3600.0,
            )
            return _upload(row)

        return await self._bridge.run(work, deadline_s=CALL_S)

    async def find(self, user: int, upload: int) -> Upload | None:
        busy = self._intakes.get(upload)
        if busy is not None and busy.user == user:
            # Whoever asks how far it is has lost the line that is still thought to be there: what came by it is kept first.
            await busy.give_way()

        async def work(tx: asyncpg.Connection) -> Upload | None:
            row = await tx.fetchrow(f"select {_COLUMNS} from uploads where {_OWN}", user, upload)
            return None if row is None else _upload(row)

        return await self._bridge.run(work, deadline_s=CALL_S, readonly=True)

    async def list(self, user: int) -> tuple[Upload, ...]:
        async def work(tx: asyncpg.Connection) -> tuple[Upload, ...]:
            rows = await tx.fetch(
                f"select {_COLUMNS} from uploads where user_id = $1 and stream_id = 0 and expires_at > now() order by id desc limit $2",
                user,
                LIST_MAX,
            )
            return tuple(_upload(row) for row in rows)

        return await self._bridge.run(work, deadline_s=CALL_S, readonly=True)

    async def room(self, user: int) -> Room:
        async def work(tx: asyncpg.Connection) -> Room:
            taken, _ = await _taken(tx, user)
            return Room(taken, self._rules.person_bytes_max)

        return await self._bridge.run(work, deadline_s=CALL_S, readonly=True)

    async def take(self, user: int, upload: int, offset: int, checksum: tuple[str, bytes] | None, body: Body) -> Upload:
        found = await self.find(user, upload)
        if found is None:
            raise Refused(Refused.Why.NOT_FOUND, _NONE)
        if found.state is not State.ARRIVING:
            raise Refused(Refused.Why.OVER, "all of it has arrived", found.done)
        if found.done != offset:
            raise Refused(Refused.Why.OFFSET, f"it goes on at {found.done}", found.done)
        if upload in self._intakes or len(self._intakes) >= INTAKES_MAX:
            raise Refused(Refused.Why.BUSY, "too many uploads are under way here")
        intake = self._intakes[upload] = Intake(self._objects, self._keep, user, found, checksum)
        try:
            await intake.run(body)
        finally:
            del self._intakes[upload]
            intake.over.set()
        again = await self.find(user, upload)
        if again is None:
            raise Refused(Refused.Why.NOT_FOUND, _NONE)
        return again

    async def drop(self, user: int, upload: int) -> bool:
        async def work(tx: asyncpg.Connection) -> bool:
            status: str = await tx.execute(f"delete from uploads where {_OWN} and stream_id = 0", user, upload)
            return status != "DELETE 0"

        return await self._bridge.run(work, deadline_s=CALL_S)

    async def readable(self, user: int, stream: int, messages: tuple[int, ...]) -> tuple[Readable, ...]:
        async def work(tx: asyncpg.Connection) -> tuple[Readable, ...]:
            rows = await tx.fetch(_READABLE, user, stream, list(messages), list(_SPOKEN))
            said = [(row["seq"], decode_body(row["body"])) for row in rows]
            files = [(seq, file) for seq, body in said if isinstance(body, Posted) for file in body.attachments]
            made = await tx.fetch(_KEPT_HERE, [file.id for _, file in files], stream)
            # By the row as well as by the message: what an archive brought in may name any hash.
            kept: dict[tuple[int, bytes], list[asyncpg.Record]] = {}
            for row in made:
                kept.setdefault((row["id"], bytes(row["sha256"])), []).append(row)
            return tuple(
                Readable(seq, file.id, file.hash, file.name, renditions(file.media_type, kept[file.id, file.hash]))
                for seq, file in files
                if (file.id, file.hash) in kept
            )

        return await self._bridge.run(work, deadline_s=CALL_S, readonly=True)

    async def shelve(self, user: int, upload: int, space: int) -> None:
        async def work(tx: asyncpg.Connection) -> None:
            await shelving.put(tx, user, upload, space, self._rules)

        await self._bridge.run(work, deadline_s=CALL_S)

    async def unshelve(self, user: int, upload: int, space: int) -> bool:
        return await self._bridge.run(lambda tx: shelving.take_out(tx, user, upload, space), deadline_s=CALL_S)

    async def shelf(self, user: int, space: int, uploads: tuple[int, ...]) -> tuple[ShelfFile, ...]:
        return await self._bridge.run(lambda tx: shelving.read(tx, user, space, uploads), deadline_s=CALL_S, readonly=True)

    async def find_object(self, sha256: bytes, rendition: str, upload: int) -> tuple[Rendition, str] | None:
        async def work(tx: asyncpg.Connection) -> tuple[Rendition, str] | None:
            row = await tx.fetchrow(_OBJECT, upload, sha256, rendition, [State.READY, State.ATTACHED])
            if row is None:
                return None
            if rendition == "original":
                return Rendition(rendition, row["media_type"], row["whole"]), row["name"]
            if row["bytes"] is None:
                return None
            return Rendition(rendition, kind_of(rendition), row["bytes"], row["width"], row["height"]), row["name"]

        return await self._bridge.run(work, deadline_s=CALL_S, readonly=True)

    async def read(self, sha256: bytes, rendition: str, start: int, end: int) -> bytes:
        return await self._objects.read(sha256, rendition, start, end)

    async def _keep(self, upload: int, offset: int, pieces: Sequence[tuple[str, int]]) -> None:
        """Writes pieces down behind what is there. Raises `Refused` where somebody else went on meanwhile, or it is over."""
        size = sum(size for _, size in pieces)

        async def work(tx: asyncpg.Connection) -> bool:
            whole: bool | None = await tx.fetchval(
                "update uploads set done = done + $3, expires_at = now() + make_interval(secs => $4),"
                " state = case when done + $3 = bytes then $6::smallint else state end"
                " where id = $1 and done = $2 and state = $5 and done + $3 <= bytes returning done = bytes",
                upload,
                offset,
                size,
                self._rules.wait_hours * 3600.0,
                State.ARRIVING,
                State.ARRIVED,
            )
            if whole is None:
                return False
            starts = accumulate((length for _, length in pieces), initial=offset)
            rows = [(upload, at, length, name) for at, (name, length) in zip(starts, pieces, strict=False)]
            await tx.executemany("insert into upload_pieces (upload_id, at, bytes, name) values ($1, $2, $3, $4)", rows)
            if whole:
                await enqueue(tx, Order(FINISH, pack(Finish(upload)), key=str(upload)))
            return True

        if not await self._bridge.run(work, deadline_s=CALL_S):
            raise Refused(Refused.Why.OFFSET, "it went on by another request meanwhile, or is over; ask where it is")


async def _taken(tx: asyncpg.Connection, user: int) -> tuple[int, int]:
    """Bytes of a person's files, by what was announced, and how many of them are not attached."""
    row = await tx.fetchrow(
        "select coalesce(sum(bytes), 0)::bigint as taken, count(*) filter (where stream_id = 0) as waiting from uploads where user_id = $1"
        " and state <> $2 and (stream_id > 0 or expires_at > now())",
        user,
        State.REFUSED,
    )
    assert row is not None
    return row["taken"], row["waiting"]


def _upload(row: asyncpg.Record | None) -> Upload:
    assert row is not None
    return Upload(**{**dict(row), "state": State(row["state"])})
