"""What the store asks Postgres of streams, spaces and people: for each kind of query, one statement that answers a whole batch of them.

    queries ─▶ columns ─▶ unnest … lateral ─▶ a row per query ─▶ results, in order

One statement is one snapshot: permission, head and rows agree with each other. Whoever is not a member is told `NOT_FOUND`, a member whose
role may not read `FORBIDDEN`. Each look-up of a member is a lateral with LIMIT, which keeps the planner from walking through all members
of a large space. Whoever asks for what follows a position before the stream's floor is told `RESET`: the events between are no longer kept,
and a page that began after them would look whole.

Everything but `FindPerson` is read from the primary: a replica that lags would still let somebody in who has just been removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Final

import asyncpg

from actors.storage import (
    INVITATIONS_LISTED_MAX,
    Audience,
    CheckAudience,
    Denied,
    Events,
    FindPerson,
    Head,
    Heads,
    ListMembers,
    ListSpaces,
    MemberList,
    PersonFound,
    ReadAfter,
    ReadBefore,
    ReadHeads,
    Result,
    Row,
    SpaceList,
)
from protocol.codes import Code
from protocol.entities import RECORD_KINDS, TABLE
from protocol.frames import Invitation, Member, Slow, SpaceState, StreamState
from protocol.values import Role, SpaceKind, StreamKind

# {row} compares with the position, {order} walks away from it: the first rows of the walk, up to both bounds, but at least one.
_READ: Final = """
select s.space_id, s.head, s.floor, s.audience_version, s.kind = 4 and s.write_roles = 0, c.code, e.seqs, e.authors, e.ats, e.bodies
from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[], $5::integer[])
    with ordinality as q (stream, user_id, position, events_max, bytes_max, pos)
left join streams s on s.id = q.stream
left join lateral (select m.role from members m where m.space_id = s.space_id and m.user_id = q.user_id limit 1) m on true
cross join lateral (
    select case when s.id is null then 17 when q.user_id = 0 then 0 when m.role is null then 17
           when m.role & s.read_roles = 0 then 16 {reset}else 0 end as code
) c
left join lateral (
    select array_agg(w.seq order by w.seq) as seqs, array_agg(w.author order by w.seq) as authors,
           array_agg(w.at order by w.seq) as ats, array_agg(w.body order by w.seq) as bodies
    from (
        select l.seq, l.author, l.at, l.body, sum(octet_length(l.body)) over (order by l.seq {order}) - octet_length(l.body) as before
        from (select * from log where stream_id = q.stream and {row} order by seq {order} limit q.events_max) l
    ) w where w.before = 0 or w.before + octet_length(w.body) <= q.bytes_max
) e on c.code = 0
order by q.pos"""
_READ_AFTER: Final = _READ.format(row="seq > q.position", order="asc", reset="when q.position < s.floor then 27 ")
_READ_BEFORE: Final = _READ.format(row="seq < q.position", order="desc", reset="")

_AUDIENCE: Final = """
select s.audience_version, s.kind = 4 and s.write_roles = 0, array(
    select m.user_id from members m
    where m.space_id = s.space_id and m.user_id = any(($4::bigint[])[q.first:q.last]) and m.role & s.read_roles <> 0)
from unnest($1::bigint[], $2::integer[], $3::integer[]) with ordinality as q (stream, first, last, pos)
left join streams s on s.id = q.stream
order by q.pos"""

_HEADS: Final = "select id, head, audience_version from streams where id = any($1::bigint[])"

# A row per stream; the first of a user's carries the invitations, too, and whom they block. The inbox is left out: its head stands in front
# of everything. An enrolment is called by its community's id.
_SPACES: Final = """
select q.pos, i.head, case when row_number() over (partition by q.pos order by p.id, s.id) = 1 then v.invitations end,
       case when row_number() over (partition by q.pos order by p.id, s.id) = 1
            then array(select b.blocked from blocks b where b.user_id = q.user_id order by b.blocked) end,
       p.id, p.kind, case when p.kind = 4 then p.parent::text else p.name end, m.role, s.id, s.kind, s.name, s.head,
       coalesce(r.seq, 0), s.slow_s,
       m.role & s.write_roles <> 0,
       case when p.kind = 1 then (select bit_or(x.permissions) from user_roles u join roles x on x.id = u.role_id
                                  where u.user_id = q.user_id and u.space_id = p.id and s.kind = any ($3::smallint[])) end
from unnest($1::bigint[]) with ordinality as q (user_id, pos)
join accounts a on a.id = q.user_id
join streams i on i.id = a.inbox
left join lateral (
    select array_agg(row(n.space_id, t.name, n.role, n.invited_by, coalesce(b.display_name, '')) order by n.at desc, n.space_id desc)
        as invitations
    from (select * from invitations where user_id = q.user_id order by at desc, space_id desc limit $2) n
    join spaces t on t.id = n.space_id
    left join accounts b on b.id = n.invited_by
) v on true
left join (members m join spaces p on p.id = m.space_id and p.kind in (1, 2, 3, 4, 5)
           join streams s on s.space_id = p.id and s.kind <> 1) on
    m.user_id = q.user_id and m.role & s.read_roles <> 0
left join read_markers r on r.user_id = q.user_id and r.stream_id = s.id
order by q.pos, p.id, s.id"""

_MEMBERS: Final = """
select m.role is not null, t.users, t.roles, t.display_names, t.names
from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[]) with ordinality as q (space, user_id, after, page, pos)
left join lateral (select m.role from members m where m.space_id = q.space and m.user_id = q.user_id limit 1) m on true
left join lateral (
    select array_agg(o.user_id order by o.user_id) as users, array_agg(o.role order by o.user_id) as roles,
           array_agg(o.display_name order by o.user_id) as display_names, array_agg(o.name::text order by o.user_id) as names
    from (
        select n.user_id, n.role, a.display_name, a.name from members n join accounts a on a.id = n.user_id
        where n.space_id = q.space and n.user_id > q.after order by n.user_id limit q.page + 1
    ) o
) t on m.role is not null
order by q.pos"""

_PERSON: Final = """
select a.id, a.name::text, a.display_name
from unnest($1::text[], $2::bigint[]) with ordinality as q (name, user_id, pos)
left join accounts a on a.name = q.name::citext and a.disabled_at is null
    and not exists (select from blocks b where b.user_id = a.id and b.blocked = q.user_id)
order by q.pos"""


_RECORD_WRITERS: Final = {kind: reduce(or_, (one.writers for one in TABLE.values() if one.stream is kind)) for kind in RECORD_KINDS}
"""Who may write any record in a stream of this kind: `write_roles` speaks of messages alone."""
_CUSTOM_WRITERS: Final = {one.stream: 1 << one.permission for one in TABLE.values() if one.permission is not None}
"""By which permission of a custom role records are written in a stream of this kind."""


async def read_after(connection: asyncpg.Connection, queries: Sequence[ReadAfter]) -> list[Result]:
    return await _read(connection, _READ_AFTER, queries, [q.after for q in queries])


async def read_before(connection: asyncpg.Connection, queries: Sequence[ReadBefore]) -> list[Result]:
    return await _read(connection, _READ_BEFORE, queries, [q.before for q in queries])


async def _read(connection: asyncpg.Connection, sql: str, queries: Sequence[ReadAfter | ReadBefore], positions: list[int]) -> list[Result]:
    found = await connection.fetch(
        sql,
        [q.stream for q in queries],
        [q.user for q in queries],
        positions,
        [q.events_max for q in queries],
        [q.bytes_max for q in queries],
    )
    results: list[Result] = []
    for query, (space, head, floor, audience_version, silent, code, seqs, authors, ats, bodies) in zip(queries, found, strict=True):
        if code:
            results.append(Denied(Code(code)))
            continue
        rows = tuple(map(Row, seqs or (), authors or (), ats or (), bodies or ()))
        # Above the floor numbers have no gaps, so whether there are others is known without looking.
        more = bool(rows) and (rows[-1].seq < head if isinstance(query, ReadAfter) else rows[0].seq > floor + 1)
        results.append(Events(space, head, audience_version, rows, more, silent))
    return results


async def check_audience(connection: asyncpg.Connection, queries: Sequence[CheckAudience]) -> list[Result]:
    users: list[int] = []
    first: list[int] = []
    last: list[int] = []
    for query in queries:
        first.append(len(users) + 1)
        users += query.users
        last.append(len(users))
    rows = await connection.fetch(_AUDIENCE, [q.stream for q in queries], first, last, users)
    return [
        Denied(Code.NOT_FOUND) if version is None else Audience(version, frozenset(readers), silent) for version, silent, readers in rows
    ]


async def read_heads(connection: asyncpg.Connection, queries: Sequence[ReadHeads]) -> list[Result]:
    wanted = {stream for query in queries for stream in query.streams}
    heads = {row[0]: Head(*row) for row in await connection.fetch(_HEADS, list(wanted))}
    return [Heads(tuple(heads[stream] for stream in query.streams if stream in heads)) for query in queries]


async def list_spaces(connection: asyncpg.Connection, queries: Sequence[ListSpaces]) -> list[Result]:
    rows = await connection.fetch(_SPACES, [q.user for q in queries], INVITATIONS_LISTED_MAX, list(_CUSTOM_WRITERS))
    inboxes: dict[int, int] = {}
    invited: dict[int, tuple[Invitation, ...]] = {}
    blocked: dict[int, tuple[int, ...]] = {}
    slow: dict[int, list[Slow]] = {}
    spaces: dict[int, dict[int, tuple[SpaceKind, str, Role, list[StreamState]]]] = {}
    for pos, inbox_upto, invitations, blocks, space, kind, name, role, *stream in rows:
        inboxes[pos] = inbox_upto
        if blocks is not None:
            blocked[pos] = tuple(blocks)
        if invitations is not None:
            invited[pos] = tuple(
                Invitation(into, into_name, Role(as_role), by, by_name) for into, into_name, as_role, by, by_name in invitations
            )
        if space is not None:
            entered = spaces.setdefault(pos, {}).setdefault(space, (SpaceKind(kind), name, Role(role), []))
            stream_id, stream_kind, stream_name, head, read_upto, slow_s, may_say, custom = stream
            may_write = may_say or bool(role & _RECORD_WRITERS.get(stream_kind, 0) or (custom or 0) & _CUSTOM_WRITERS.get(stream_kind, 0))
            entered[3].append(StreamState(stream_id, StreamKind(stream_kind), stream_name, head, read_upto, may_write))
            if slow_s:
                slow.setdefault(pos, []).append(Slow(stream_id, slow_s))
    return [
        SpaceList(
            inboxes[pos],
            tuple(
                SpaceState(space, kind, name, role, tuple(streams)) for space, (kind, name, role, streams) in spaces.get(pos, {}).items()
            ),
            invited.get(pos, ()),
            blocked.get(pos, ()),
            tuple(slow.get(pos, ())),
        )
        if pos in inboxes
        else Denied(Code.NOT_FOUND)
        for pos in range(1, len(queries) + 1)
    ]


async def list_members(connection: asyncpg.Connection, queries: Sequence[ListMembers]) -> list[Result]:
    rows = await connection.fetch(
        _MEMBERS, [q.space for q in queries], [q.user for q in queries], [q.after for q in queries], [q.limit for q in queries]
    )
    results: list[Result] = []
    for query, (is_member, *columns) in zip(queries, rows, strict=True):
        if not is_member:
            results.append(Denied(Code.NOT_FOUND))
            continue
        people = zip(*(column or () for column in columns), strict=True)
        members = tuple(Member(user, Role(role), display_name, name) for user, role, display_name, name in people)
        results.append(MemberList(members[: query.limit], len(members) > query.limit))
    return results


async def find_person(connection: asyncpg.Connection, queries: Sequence[FindPerson]) -> list[Result]:
    rows = await connection.fetch(_PERSON, [q.name for q in queries], [q.user for q in queries])
    return [Denied(Code.NOT_FOUND) if user is None else PersonFound(user, name, display_name) for user, name, display_name in rows]
