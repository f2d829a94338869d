"""Hold: which streams a device keeps for being offline. A choice of its owner's, remembered so that a new device can be told of it."""

from __future__ import annotations

import asyncpg

from actors.storage import Entry
from persistence.append import Effect, Refuse
from protocol.codes import Code
from protocol.operations import Hold


async def hold(tx: asyncpg.Connection, entry: Entry, operation: Hold) -> Effect | Refuse:
    """Replaces the choice. The value is how many streams were taken: what one may not read (any more) is passed over, because a device that
    chose while it was offline cannot know."""
    if not entry.device:
        return Refuse(Code.INVALID, "only a device keeps streams")
    ranks: dict[int, int] = {}
    for held in operation.streams:
        ranks[held.stream] = min(held.rank, ranks.get(held.stream, held.rank))
    # Serialized by the device's row, which is locked.
    await tx.execute("delete from offline_content_cache where device_id = $1", entry.device)
    taken: str = await tx.execute(
        "insert into offline_content_cache (device_id, stream_id, rank)"
        " select $1, q.stream, q.rank from unnest($3::bigint[], $4::smallint[]) as q (stream, rank)"
        " join streams s on s.id = q.stream"
        " cross join lateral ("
        " select from members m where m.space_id = s.space_id and m.user_id = $2 and m.role & s.read_roles <> 0 limit 1) m"
        " order by q.stream",
        entry.device,
        entry.user,
        list(ranks),
        list(ranks.values()),
    )
    await tx.execute(
        "insert into device_sync_state as t (device_id, user_id, quota_bytes, held_at) values ($1, $2, $3, now())"
        " on conflict (device_id) do update set quota_bytes = excluded.quota_bytes, held_at = excluded.held_at",
        entry.device,
        entry.user,
        operation.quota_bytes,
    )
    return Effect(value=int(taken.rpartition(" ")[2]))
