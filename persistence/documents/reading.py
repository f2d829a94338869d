"""What readers ask of documents: a state in parts, and the named versions. A batch is one statement, as in `persistence.queries`.

Whoever is not a member is told `NOT_FOUND`, a member whose role does not read `FORBIDDEN`; nothing of a state leaves the database for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg

from actors.storage import Denied, ListDocumentVersions, LoadState, Result, StatePart, VersionsListed
from protocol.codes import Code
from protocol.frames import DocumentVersion

_LOAD: Final = """
select c.code, x.generation, x.upto, x.size, x.start, x.part
from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::integer[], $7::integer[])
    with ordinality as q (stream, user_id, version, generation, upto, start, bytes_max, pos)
left join documents d on d.stream_id = q.stream
left join streams s on s.id = d.stream_id
left join lateral (select m.role from members m where m.space_id = s.space_id and m.user_id = q.user_id limit 1) m on true
left join lateral (
    select b.generation, b.upto, b.until, octet_length(b.state) as size, a.start,
        substring(b.state from a.start + 1 for q.bytes_max) as part
    from (
        select d.generation, d.upto, d.upto as until, d.state where q.version = 0
        union all
        select v.generation, v.upto, v.until, v.state from document_versions v where v.id = q.version and v.stream_id = q.stream
    ) b
    cross join lateral (
        select case when b.generation = q.generation and b.upto = q.upto then least(q.start, octet_length(b.state)) else 0 end as start
    ) a
    where m.role & s.read_roles <> 0
) x on true
cross join lateral (
    select case when m.role is null then 17 when m.role & s.read_roles = 0 then 16 when x.size is null then 17
           when x.upto < x.until then 32 else 0 end as code
) c
order by q.pos"""
_VERSIONS: Final = """
select m.role & s.read_roles <> 0, v.rows
from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[]) with ordinality as q (stream, user_id, before, page, pos)
left join documents d on d.stream_id = q.stream
left join streams s on s.id = d.stream_id
left join lateral (select m.role from members m where m.space_id = s.space_id and m.user_id = q.user_id limit 1) m on true
left join lateral (
    select array_agg(
        row(o.id, o.generation, o.until, o.name, o.by, extract(epoch from o.at)::bigint, octet_length(o.state)) order by o.id desc
    ) as rows
    from (
        select * from document_versions v where v.stream_id = q.stream and (q.before = 0 or v.id < q.before) order by v.id desc
        limit q.page + 1
    ) o
) v on m.role & s.read_roles <> 0
order by q.pos"""


async def load_state(connection: asyncpg.Connection, queries: Sequence[LoadState]) -> list[Result]:
    rows = await connection.fetch(
        _LOAD,
        [q.stream for q in queries],
        [q.user for q in queries],
        [q.version for q in queries],
        [q.generation for q in queries],
        [q.upto for q in queries],
        [q.offset for q in queries],
        [q.bytes_max for q in queries],
    )
    return [
        Denied(Code(code), "this version is still being prepared" if code == Code.BUSY else "")
        if code
        else StatePart(generation, upto, size, start, part)
        for code, generation, upto, size, start, part in rows
    ]


async def list_versions(connection: asyncpg.Connection, queries: Sequence[ListDocumentVersions]) -> list[Result]:
    rows = await connection.fetch(
        _VERSIONS, [q.stream for q in queries], [q.user for q in queries], [q.before for q in queries], [q.limit for q in queries]
    )
    results: list[Result] = []
    for query, (reads, found) in zip(queries, rows, strict=True):
        if not reads:
            results.append(Denied(Code.NOT_FOUND if reads is None else Code.FORBIDDEN))
            continue
        versions = tuple(DocumentVersion(*row) for row in (found or ())[: query.limit])
        results.append(VersionsListed(versions, len(found or ()) > query.limit))
    return results
