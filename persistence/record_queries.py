"""What the store asks of records: snapshots, conflicts, what was not applied, earlier values, what a device keeps.

    queries ─▶ columns ─▶ unnest … lateral ─▶ rows ─▶ results, in order

As in `queries`: one statement answers a whole batch, and is one snapshot, so that a page of records, the head of their stream and the
permission to read them agree with each other. Whoever may not read a stream now sees nothing of it, not even their own conflict about it:
what stands beside their value is the community's. It is kept, and seen again by whoever comes back.

Invariant: fields leave here as the present schema has them, whatever schema wrote them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg
import msgspec
from msgspec import Raw

from actors.storage import (
    ConflictList,
    Denied,
    HoldingRead,
    ListConflicts,
    ListUnapplied,
    ReadHolding,
    ReadRecords,
    ReadVersions,
    RecordsRead,
    Result,
    UnappliedList,
    VersionList,
)
from protocol.codes import Code
from protocol.entities import NO_FIELDS, RECORD_KINDS, SHARED_KINDS, TABLE, Entity, Fields, read_fields, upcast, write_fields
from protocol.events import RecordItem
from protocol.frames import Conflict, KeptVersion, UnappliedItem
from protocol.grading import ANSWERING
from protocol.merge import unpack_record
from protocol.operations import Held
from protocol.permissions import Permission, base_roles, mask
from protocol.values import ConflictState, KeptAs, SpaceKind

PAGE_BYTES_MAX: Final = 48 * 1024
"""Of conflicts, of what was not applied, or of kept values: so many stored bytes, or one that is longer. Twenty conflicts can be over a
megabyte, for which a socket is closed; whoever writes a few long ones would keep everybody else from deciding any."""
ITEM_BYTES_MIN: Final = 6
"""What the smallest record costs in a page; so a page of so many bytes holds no more records than this allows."""
STORED_FACTOR: Final = 12
"""A stored cell carries its version and stamp, at most some twenty bytes to a value's one or more: a page of so many bytes never needs
more than this many times as many stored ones to be read. The exact bound is kept when the items are made."""

_CODE: Final = """
cross join lateral (
    select case when m.role is null then 17 when m.role & s.read_roles = 0 then 16 when s.kind <> all ({kinds}) then 1 else 0 end as code
) c"""
_MEMBER: Final = """
left join streams s on s.id = q.stream
left join lateral (select m.role from members m where m.space_id = s.space_id and m.user_id = q.user_id limit 1) m on true"""

_RECORDS: Final = f"""
select c.code, s.head, r.entities, r.keys, r.stored, r.seen
from unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::bigint[], $5::integer[], $6::bigint[])
    with ordinality as q (stream, user_id, entity, key, records_max, bytes_max, pos)
{_MEMBER}{_CODE.format(kinds="$7::smallint[]")}
left join lateral (
    select array_agg(w.entity order by w.entity, w.key) as entities, array_agg(w.key order by w.entity, w.key) as keys,
           array_agg(w.cells order by w.entity, w.key) as stored, max(w.seen) as seen
    from (
        select l.*, sum(octet_length(l.cells)) over (order by l.entity, l.key) - octet_length(l.cells) as before, count(*) over () as seen
        from (
            select t.entity, t.key, t.cells from records t
            where t.stream_id = q.stream and (t.entity, t.key) > (q.entity, q.key) order by t.entity, t.key limit q.records_max
        ) l
    ) w where w.before = 0 or w.before + octet_length(w.cells) <= q.bytes_max
) r on c.code = 0
order by q.pos"""

# Three ways to find candidates, each by an index and each up to the bound; whoever finds one twice counts it once.
_CONFLICTS: Final = """
select w.pos, w.seen, w.id, w.stream_id, w.entity, w.key, w.user_id, w.state, w.at, w.standing, w.mine, w.theirs, w.common, w.cells, w.gone,
       w.decided_by, w.choice
from (
select q.pos, f.*, coalesce(r.version, t.version, 0) as standing, r.cells, z.size,
       sum(z.size) over (partition by q.pos order by f.id) - z.size as before, count(*) over (partition by q.pos) as seen
from unnest($1::bigint[], $2::bigint[], $3::boolean[], $4::bigint[], $5::integer[])
    with ordinality as q (user_id, after, open_only, conflict, page, pos)
cross join lateral (
    select c.* from (
        (select o.* from sync_conflicts o join streams s on s.id = o.stream_id
            join members m on m.space_id = s.space_id and m.user_id = q.user_id and m.role & s.read_roles <> 0
         where q.conflict = 0 and o.user_id = q.user_id and o.id > q.after and (o.state in (1, 2) or not q.open_only)
         order by o.id limit q.page + 1)
        union all
        (select o.* from members m
            join streams s on s.space_id = m.space_id and s.kind = any ($10::smallint[]) and m.role & s.read_roles <> 0
            cross join lateral (
                select exists (select from user_roles u join roles r on r.id = u.role_id
                               where u.user_id = q.user_id and u.space_id = m.space_id and r.permissions & $9 <> 0) as decides
            ) d
            cross join lateral (
                select i.* from sync_conflicts i
                where i.stream_id = s.id and i.user_id <> q.user_id and i.id > q.after and (i.state in (1, 2) or not q.open_only)
                    and (d.decides or exists (select from unnest($6::smallint[], $7::smallint[]) as e (entity, writers)
                                              where e.entity = i.entity and e.writers & m.role <> 0))
                order by i.id limit q.page + 1) o
         where q.conflict = 0 and m.user_id = q.user_id
         order by o.id limit q.page + 1)
        union all
        (select o.* from sync_conflicts o join streams s on s.id = o.stream_id
            join members m on m.space_id = s.space_id and m.user_id = q.user_id and m.role & s.read_roles <> 0
         where o.id = q.conflict and (o.user_id = q.user_id or exists (
             select from unnest($6::smallint[], $7::smallint[]) as e (entity, writers)
             where e.entity = o.entity and e.writers & m.role <> 0)
             or (s.kind = any ($10::smallint[]) and custom_permissions(q.user_id, s.space_id) & $9 <> 0)))
    ) c order by c.id limit q.page + 1
) f
left join records r on r.stream_id = f.stream_id and r.entity = f.entity and r.key = f.key
left join tombstones t on t.stream_id = f.stream_id and t.entity = f.entity and t.key = f.key
cross join lateral (
    select octet_length(f.mine) + octet_length(f.theirs) + octet_length(f.common) + coalesce(octet_length(r.cells), 0) as size
) z
) w where w.before = 0 or w.before + w.size <= $8
order by w.pos, w.id"""

_UNAPPLIED: Final = """
select q.pos, u.seen, c.code, u.id, u.user_id, u.space_id, extract(epoch from u.at)::bigint, u.code, u.detail, u.operation, u.quarantined
from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[]) with ordinality as q (user_id, space, after, page, pos)
left join lateral (
    select m.role, s.kind from members m join spaces s on s.id = m.space_id where m.space_id = q.space and m.user_id = q.user_id limit 1
) m on true
cross join lateral (
    select case when q.space = 0 then 0 when m.role is null then 17 when m.kind <> $5 then 16
           when m.role & $6 = 0 and custom_permissions(q.user_id, q.space) & $8 = 0 then 16 else 0 end as code
) c
left join lateral (
    select w.* from (
    select u.*, sum(octet_length(u.operation)) over (order by u.id) - octet_length(u.operation) as before, count(*) over () as seen from (
        (select o.* from sync_queue o where q.space = 0 and o.user_id = q.user_id and o.id > q.after and o.closed_at is null
         order by o.id limit q.page + 1)
        union all
        (select o.* from sync_queue o where q.space > 0 and o.space_id = q.space and o.id > q.after and o.closed_at is null
         order by o.id limit q.page + 1)
    ) u
    ) w where w.before = 0 or w.before + octet_length(w.operation) <= $7
) u on c.code = 0
order by q.pos, u.id"""

_VERSIONS: Final = f"""
select q.pos, v.seen, c.code, coalesce(m.role & $9 <> 0, false), v.place, v.version, v.kept, v.author, v.at, v.fields
from unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::bigint[], $5::bigint[], $6::integer[])
    with ordinality as q (stream, user_id, entity, key, before, page, pos)
{_MEMBER}{_CODE.format(kinds="$7::smallint[]")}
left join lateral (
    select w.* from (
        select l.*, sum(octet_length(l.fields)) over (order by l.place desc) - octet_length(l.fields) as before, count(*) over () as seen
        from (
            select o.* from entity_versions o
            where o.stream_id = q.stream and o.entity = q.entity and o.key = q.key and (q.before = 0 or o.place < q.before)
            order by o.place desc limit q.page + 1
        ) l
    ) w where w.before = 0 or w.before + octet_length(w.fields) <= $8
) v on c.code = 0
order by q.pos, v.place desc"""

_HOLDINGS: Final = """
select d.id is not null, coalesce(y.quota_bytes, 0), h.streams, h.ranks
from unnest($1::bigint[], $2::bigint[]) with ordinality as q (user_id, device, pos)
left join devices d on d.id = q.device and d.user_id = q.user_id
left join device_sync_state y on y.device_id = d.id
left join lateral (
    select array_agg(o.stream_id order by o.rank, o.stream_id) as streams, array_agg(o.rank order by o.rank, o.stream_id) as ranks
    from offline_content_cache o where o.device_id = d.id
) h on true
order by q.pos"""

_KINDS: Final = sorted(RECORD_KINDS)
_SHARED: Final = [one for one in TABLE.values() if one.stream in SHARED_KINDS]
"""The entities that others than their writer decide about."""
_NO_RECORDS: Final = "this stream holds no records"


def told_fields(entity: int, fields: Fields) -> Raw:
    """Stored fields, of whatever schema, as the present one writes them."""
    return write_fields(upcast(entity, fields))


async def read_records(connection: asyncpg.Connection, queries: Sequence[ReadRecords]) -> list[Result]:
    """Pages of records that live, at least one record in each that has any left."""
    rows = await connection.fetch(
        _RECORDS,
        [q.stream for q in queries],
        [q.user for q in queries],
        [q.after_entity for q in queries],
        [q.after_key for q in queries],
        [q.bytes_max // ITEM_BYTES_MIN + 2 for q in queries],
        [q.bytes_max * STORED_FACTOR for q in queries],
        _KINDS,
    )
    results: list[Result] = []
    for query, (code, head, entities, keys, stored, seen) in zip(queries, rows, strict=True):
        if code:
            results.append(_denied(code))
            continue
        items: list[RecordItem] = []
        left_bytes = query.bytes_max
        for entity, key, cells in zip(entities or (), keys or (), stored or (), strict=True):
            record = unpack_record(cells, entity)
            item = RecordItem(entity, key, record.version, told_fields(entity, record.fields))
            left_bytes -= len(msgspec.msgpack.encode(item))
            if items and left_bytes < 0:
                break
            items.append(item)
        results.append(RecordsRead(head, tuple(items), len(items) < (seen or 0)))
    return results


async def list_conflicts(connection: asyncpg.Connection, queries: Sequence[ListConflicts]) -> list[Result]:
    """Conflicts by ascending id: one's own where one may still read, and those about shared records that one may write."""
    rows = await connection.fetch(
        _CONFLICTS,
        [q.user for q in queries],
        [q.after for q in queries],
        [q.open_only for q in queries],
        [q.conflict for q in queries],
        [q.limit for q in queries],
        [int(one.entity) for one in _SHARED],
        [int(one.writers) for one in _SHARED],
        PAGE_BYTES_MAX,
        mask((Permission.RESOLVE_CONFLICTS,)),
        sorted(SHARED_KINDS),
    )
    found: dict[int, list[Conflict]] = {}
    seen: dict[int, int] = {}
    for pos, count, id, stream, entity, key, user, state, at, version, mine, theirs, common, cells, gone, by, choice in rows:
        seen[pos] = count
        present = NO_FIELDS if cells is None else told_fields(entity, unpack_record(cells, entity).fields)
        mine, theirs, common = (told_fields(entity, read_fields(side)) for side in (mine, theirs, common))
        found.setdefault(pos, []).append(
            Conflict(id, stream, entity, key, user, ConflictState(state), at, version, mine, theirs, common, present, gone, by, choice)
        )
    results: list[Result] = []
    for pos, query in enumerate(queries, 1):
        conflicts = found.get(pos, [])
        results.append(ConflictList(tuple(conflicts[: query.limit]), seen.get(pos, 0) > min(len(conflicts), query.limit)))
    return results


async def list_unapplied(connection: asyncpg.Connection, queries: Sequence[ListUnapplied]) -> list[Result]:
    """What is kept and open: one's own wherever it was for, or everybody's for a community, for who moderates it."""
    rows = await connection.fetch(
        _UNAPPLIED,
        [q.user for q in queries],
        [q.space for q in queries],
        [q.after for q in queries],
        [q.limit for q in queries],
        SpaceKind.COMMUNITY,
        base_roles(Permission.MODERATE),
        PAGE_BYTES_MAX,
        mask((Permission.MODERATE,)),
    )
    found: dict[int, list[UnappliedItem]] = {}
    seen: dict[int, int] = {}
    denied: dict[int, Denied] = {}
    for pos, count, refused, id, user, space, at, code, detail, operation, quarantined in rows:
        if refused:
            denied[pos] = _denied(refused)
        elif id is not None:
            seen[pos] = count
            found.setdefault(pos, []).append(UnappliedItem(id, user, space, at, Code(code), detail, operation, quarantined))
    results: list[Result] = []
    for pos, query in enumerate(queries, 1):
        items = found.get(pos, [])
        results.append(denied.get(pos) or UnappliedList(tuple(items[: query.limit]), seen.get(pos, 0) > min(len(items), query.limit)))
    return results


async def read_versions(connection: asyncpg.Connection, queries: Sequence[ReadVersions]) -> list[Result]:
    """Kept values of records, newest first, also of records that are deleted; a question's without its answer, but to who reads the
    studio."""
    rows = await connection.fetch(
        _VERSIONS,
        [q.stream for q in queries],
        [q.user for q in queries],
        [q.entity for q in queries],
        [q.key for q in queries],
        [q.before for q in queries],
        [q.limit for q in queries],
        _KINDS,
        PAGE_BYTES_MAX,
        int(TABLE[Entity.QUESTION].writers),
    )
    found: dict[int, list[KeptVersion]] = {}
    seen: dict[int, int] = {}
    denied: dict[int, Denied] = {}
    for pos, count, refused, sees_keys, place, version, kept, author, at, fields in rows:
        if refused:
            denied[pos] = _denied(refused)
        elif place is not None:
            seen[pos] = count
            entity = queries[pos - 1].entity
            stored = read_fields(fields)
            if entity == Entity.QUESTION and not sees_keys:
                # What a question was before it was an exam's, and what of it was never written.
                stored = {number: value for number, value in stored.items() if number not in ANSWERING}
            told = told_fields(entity, stored)
            found.setdefault(pos, []).append(KeptVersion(place, version, KeptAs(kept), author, at, told))
    results: list[Result] = []
    for pos, query in enumerate(queries, 1):
        versions = found.get(pos, [])
        results.append(denied.get(pos) or VersionList(tuple(versions[: query.limit]), seen.get(pos, 0) > min(len(versions), query.limit)))
    return results


async def read_holding(connection: asyncpg.Connection, queries: Sequence[ReadHolding]) -> list[Result]:
    """What devices keep, as they said last; a device that never said keeps nothing of its choice."""
    rows = await connection.fetch(_HOLDINGS, [q.user for q in queries], [q.device for q in queries])
    return [
        HoldingRead(tuple(map(Held, streams or (), ranks or ())), quota_bytes) if own else Denied(Code.NOT_FOUND)
        for own, quota_bytes, streams, ranks in rows
    ]


def _denied(code: int) -> Denied:
    return Denied(Code(code), _NO_RECORDS if code == Code.INVALID else "")
