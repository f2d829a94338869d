"""What the store asks about devices: taking them over, borrowing them for a request, fencing one that was copied.

    Attach  ─▶ generation + 1: the older socket can commit nothing more
    Borrow  ─▶ the generation as it is: a request beside the socket
    Inherit ─▶ the *other* device's generation + 1, then what became of what was sent in its name

Invariant: whoever reads outcomes of a fenced device reads all that there will ever be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg

from actors.storage import (
    Attach,
    Attached,
    Borrow,
    Denied,
    Generations,
    InheritDevice,
    InheritedOutcomes,
    ReadGenerations,
    Result,
)
from persistence.epoch import BUMP, CLUSTER, Epoch
from protocol.codes import Code
from protocol.frames import Settlement

# The history that these devices are attached in belongs to the same statement: one that was read before could be over by now, and a
# client would trust cursors of a lost future.
_ATTACH: Final = f"""
select j.code, j.generation, j.last_number, j.inbox, j.session_expires, j.display_name, j.previous_gateway,
       coalesce(account_trust(j.user_id), 0), {CLUSTER}, {BUMP}
from rows from (attach_devices($1, $2, $3, $4), unnest($2::bigint[])) with ordinality as j (
    code, generation, last_number, inbox, session_expires, display_name, previous_gateway, user_id, pos)
order by j.pos"""

# As attach_devices judges. Nothing is locked: a session that ends meanwhile raises the generation, and nothing is appended in its name.
_BORROW: Final = f"""
select (case
            when s.id is null or a.id is null or s.revoked_at is not null or a.disabled_at is not null then 4003
            when d.id is null or s.device_id <> d.id then 16
            when s.expires_at <= clock_timestamp() then 4002
            else 0
        end)::smallint,
       d.generation, d.last_number, a.inbox, extract(epoch from s.expires_at)::bigint, a.display_name, coalesce(a.trust, 0),
       {CLUSTER}, {BUMP}
from unnest($1::bigint[], $2::bigint[], $3::bigint[]) with ordinality as q (session, user_id, device, pos)
left join sessions s on s.id = q.session and s.user_id = q.user_id
left join accounts a on a.id = q.user_id
left join devices d on d.id = q.device and d.user_id = q.user_id
order by q.pos"""

# Locked in order of their ids, as everybody does; a device that two ask for is raised once, which fences it as well.
_FENCE: Final = """
with locked as materialized (
    select d.id from devices d
    where d.id in (
        select t.id from unnest($1::bigint[], $2::bigint[], $3::bigint[]) as q (user_id, device, inherited)
        join devices o on o.id = q.device and o.user_id = q.user_id
        join devices t on t.id = q.inherited and t.user_id = q.user_id and t.id <> o.id)
    order by d.id for update
)
update devices d set generation = d.generation + 1 from locked l where d.id = l.id
returning d.id, d.user_id, d.generation, d.last_number"""

_OUTCOMES: Final = """
select q.pos, q.number, o.code, o.value, coalesce(o.detail, ''), o.number is not null
from unnest($1::bigint[], $2::bigint[], $3::bigint[]) with ordinality as q (device, number, digest, pos)
left join outcomes o on o.device_id = q.device and o.slot = q.number % 256 and o.number = q.number
where o.number is null or o.digest = q.digest
order by q.pos"""

# Of a device's sessions one goes on at most. Not the newest one by its number: that may be looked for from the table's end.
_GENERATIONS: Final = """
select d.id, d.generation, coalesce((
    select bool_and(s.revoked_at is not null) from sessions s where s.device_id = d.id
), false) as ended
from devices d where d.id = any($1::bigint[])"""


async def attach(connection: asyncpg.Connection, queries: Sequence[Attach]) -> list[Result]:
    """Takes devices over; each device at most once in `queries`. A standby raises (SQLSTATE 25006): it declares nothing."""
    rows = await connection.fetch(
        _ATTACH, [q.session for q in queries], [q.user for q in queries], [q.device for q in queries], [q.gateway for q in queries]
    )
    epoch = Epoch(*rows[0][-3:]).number
    return [
        Attached(generation, last_number, inbox, epoch, expires, name, previous, trust) if code == 0 else Denied(Code(code))
        for code, generation, last_number, inbox, expires, name, previous, trust, *_ in rows
    ]


async def borrow(connection: asyncpg.Connection, queries: Sequence[Borrow]) -> list[Result]:
    """Where devices stand, for whose session is good. Changes nothing."""
    rows = await connection.fetch(_BORROW, [q.session for q in queries], [q.user for q in queries], [q.device for q in queries])
    epoch = Epoch(*rows[0][-3:]).number
    return [
        Attached(generation, last_number, inbox, epoch, expires, name, 0, trust) if code == 0 else Denied(Code(code))
        for code, generation, last_number, inbox, expires, name, trust, *_ in rows
    ]


async def inherit_device(connection: asyncpg.Connection, queries: Sequence[InheritDevice]) -> list[Result]:
    """Fences devices, then reads: in two statements, the second of which sees everything that the fence let through.

    Should the second fail, the device is fenced all the same, and asking again answers. A number whose outcome is too old to be kept is
    listed as `TOO_OLD`: it was decided, and nobody knows any more whether for these bytes.
    """
    rows = await connection.fetch(_FENCE, [q.user for q in queries], [q.device for q in queries], [q.inherited for q in queries])
    fenced: dict[tuple[int, int], tuple[int, int]] = {(user, id): (generation, last) for id, user, generation, last in rows}
    asked: list[tuple[int, int, int]] = []
    places: list[int] = []
    for place, query in enumerate(queries):
        _, last = fenced.get((query.user, query.inherited), (0, 0))
        for number, digest in query.sent if query.device != query.inherited else ():
            if number <= last:
                asked.append((query.inherited, number, digest))
                places.append(place)
    settled: dict[int, list[Settlement]] = {}
    if asked:
        for pos, number, code, value, detail, known in await connection.fetch(_OUTCOMES, *map(list, zip(*asked, strict=True))):
            outcome = Settlement(number, Code(code), value, detail) if known else Settlement(number, Code.TOO_OLD, 0)
            settled.setdefault(places[pos - 1], []).append(outcome)
    results: list[Result] = []
    for place, query in enumerate(queries):
        found = fenced.get((query.user, query.inherited))
        if query.device == query.inherited:
            results.append(Denied(Code.INVALID, "a device does not inherit from itself"))
        elif found is None:
            results.append(Denied(Code.NOT_FOUND))
        else:
            results.append(InheritedOutcomes(found[0], tuple(settled.get(place, ()))))
    return results


async def read_generations(connection: asyncpg.Connection, queries: Sequence[ReadGenerations]) -> list[Result]:
    wanted = {device for query in queries for device in query.devices}
    rows = {row["id"]: row for row in await connection.fetch(_GENERATIONS, list(wanted))}
    return [
        Generations(
            tuple((device, rows[device]["generation"]) for device in query.devices if device in rows),
            tuple(device for device in query.devices if device in rows and rows[device]["ended"]),
        )
        for query in queries
    ]
