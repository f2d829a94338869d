"""How long a community keeps what was said: older messages are emptied in place, a window at a time.

    spaces.retention_days ─▶ the next window of a channel whose oldest message is too old ─▶ `clear` ─▶ streams.cleared moves on

Invariant: `cleared` only moves forward, in the transaction that empties up to it; what is too old is gone within an hour and some.
"""

from __future__ import annotations

from typing import Final

import asyncpg

from actors.storage import Fact, Herald
from persistence.bridge import Bridge
from persistence.sovereignty.archives import sweep_archives
from persistence.sovereignty.clearing import WINDOW, clear
from protocol.values import StreamKind

CALL_S: Final = 30.0
_DUE: Final = """
select s.id, s.cleared, w.upto
from spaces p
join streams s on s.space_id = p.id and s.kind = any($1::smallint[]) and s.cleared < s.head
cross join lateral (
    select max(o.seq) as upto
    from (select l.seq, l.at from log l where l.stream_id = s.id and l.seq > s.cleared order by l.seq limit $2) o
    where o.at < extract(epoch from now())::bigint - p.retention_days::bigint * 86400
) w
where p.retention_days is not null and w.upto is not null
order by s.id limit 1"""
_SPOKEN: Final = (StreamKind.CHANNEL, StreamKind.CONVERSATION)


async def forget_what_is_too_old(bridge: Bridge, herald: Herald) -> int:
    """Everything that is due now, and archives whose week is over; how many messages. May raise `StorageError`."""
    await bridge.run(sweep_archives, deadline_s=CALL_S)
    total, more = 0, True
    while more:
        more, cleared, facts = await bridge.run(forget_next, deadline_s=CALL_S)
        total += cleared
        if facts:
            herald.committed(facts)
    return total


async def forget_next(tx: asyncpg.Connection) -> tuple[bool, int, list[Fact]]:
    """The next window that is due: whether there was one, how many messages went, and the facts to be told."""
    row = await tx.fetchrow(_DUE, list(_SPOKEN), WINDOW)
    if row is None:
        return False, 0, []
    await tx.execute("select from streams where id = $1 for update", row["id"])
    cleared, facts = await clear(tx, row["id"], 0, row["cleared"], row["upto"])
    await tx.execute("update streams set cleared = greatest(cleared, $2) where id = $1", row["id"], row["upto"])
    return True, cleared, facts
