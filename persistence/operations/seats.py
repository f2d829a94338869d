"""What a user is to a stream of records, read for an operation that touches one of them.

Read after the record is locked; the stream's audience version is the guard that the last call compares: where somebody's membership or
role moved in between, the operation decides again.
"""

from __future__ import annotations

import asyncpg
from msgspec import Struct

from actors.merging import Seat
from protocol.values import StreamKind


class Seated(Struct, frozen=True):
    """A seat, with what it holds for. `space`: the stream's own. `now`: the server's clock, Unix seconds."""

    seat: Seat
    space: int
    guard: tuple[int, int]
    now: int


async def read_seat(tx: asyncpg.Connection, stream: int, user: int) -> Seated | None:
    """None: there is no such stream."""
    row = await tx.fetchrow(
        "select s.kind, s.read_roles, s.audience_version, s.space_id, coalesce(m.role, 0) as role,"
        " case when p.kind = 1 and m.role is not null then custom_permissions($2, p.id) else 0 end as custom,"
        " coalesce(case p.kind when 1 then p.id when 4 then p.parent end, 0) as community,"
        " extract(epoch from clock_timestamp())::bigint as now"
        " from streams s join spaces p on p.id = s.space_id"
        " left join lateral (select m.role from members m where m.space_id = s.space_id and m.user_id = $2 limit 1) m on true"
        " where s.id = $1",
        stream,
        user,
    )
    if row is None:
        return None
    # `left` stays unsaid: nothing is put into the queue for a seat that was read here.
    seat = Seat(StreamKind(row["kind"]), row["read_roles"], row["role"], row["community"], custom=row["custom"])
    return Seated(seat, row["space_id"], (stream, row["audience_version"]), row["now"])
